/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "upgrade/decide.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct decide {
    struct molt_world *old_world, *new_world;
    const char *(*server_name)(void *user, int id);
    molt_count_fn *count;
    void *user;
    struct molt_decision *out;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct decide *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (d->out->reasons.len)
        molt_buf_adds(&d->out->reasons, "\n");
    molt_buf_vprintf(&d->out->reasons, fmt, ap);
    va_end(ap);
    d->out->is_refused = true;
}

/* The change function of @server that starts from @type's layout, or -1. Only
 * the layout counts: the author had to spell it out under another name. */
static long find_change(const struct molt_server_ref *server, const struct molt_type *type)
{
    for (size_t i = 0; i < server->n_changes; i++) {
        const struct molt_type *from = server->change_types[i];
        if (from && from->shape == type->shape && from->size == type->size)
            return (long)i;
    }
    return -1;
}

static int add_server(struct molt_conversion *c, int id, size_t change)
{
    int *ids = realloc(c->server_ids, (c->n_servers + 1) * sizeof(*ids));
    if (!ids)
        return MOLT_ENOMEM;
    c->server_ids = ids;
    size_t *indexes = realloc(c->change_indexes, (c->n_servers + 1) * sizeof(*indexes));
    if (!indexes)
        return MOLT_ENOMEM;
    c->change_indexes = indexes;
    ids[c->n_servers] = id;
    indexes[c->n_servers++] = change;
    return 0;
}

static int add_type(struct molt_conversion *c, const struct molt_type *type)
{
    for (size_t i = 0; i < c->n_types; i++)
        if (c->gone_types[i] == type)
            return 0;
    const struct molt_type **types = realloc(c->gone_types, (c->n_types + 1) * sizeof(*types));
    if (!types)
        return MOLT_ENOMEM;
    c->gone_types = types;
    types[c->n_types++] = type;
    return 0;
}

/* Layouts that @old takes as messages and @now doesn't. */
static int compare_handlers(struct decide *d, const struct molt_server_ref *old,
                            const struct molt_server_ref *now)
{
    for (size_t i = 0; i < old->n_handlers; i++) {
        bool is_taken = false;
        for (size_t j = 0; j < now->n_handlers; j++)
            is_taken |= old->handler_types[i] == now->handler_types[j];
        if (is_taken)
            continue;
        if (add_type(&d->out->conversion, old->handler_types[i]) < 0)
            return MOLT_ENOMEM;
    }
    return 0;
}

static int compare_state(struct decide *d, int id, const struct molt_server_ref *old,
                         const struct molt_server_ref *now)
{
    if (old->state_type == now->state_type)
        return 0;
    long change = find_change(now, old->state_type);
    if (change >= 0)
        return add_server(&d->out->conversion, id, (size_t)change);
    size_t n = d->count(d->user, id);
    if (n > 0)
        refuse(d,
               "server %s: the layout of its state %s changed, %zu process%s, and there is no "
               "MOLT_CHANGE from the old layout: keep the layout, or write one",
               d->server_name(d->user, id), old->state_type->name, n,
               n == 1 ? " has it" : "es have it");
    /* Nobody has it now; if somebody is spawned before the switch, the hold
     * finds that there is no such change, and the upgrade is refused. */
    return n > 0 ? 0 : add_server(&d->out->conversion, id, SIZE_MAX);
}

/* Whether a machine of @old can go on in @now as it is: states keep their numbers. */
static bool are_states_same(const struct molt_state_table *old, const struct molt_state_table *now)
{
    if (!old || !now)
        return old == now;
    for (int i = 0; i < MOLT_STATES_MAX && old->state[i].name; i++)
        if (!now->state[i].name || strcmp(old->state[i].name, now->state[i].name) != 0)
            return false;
    return true;
}

static bool is_listed(const struct molt_conversion *c, int id)
{
    return c->n_servers > 0 && c->server_ids[c->n_servers - 1] == id;
}

/* Which state a process is in is looked at when it is held. */
static int compare_states(struct decide *d, int id, const struct molt_server_ref *old,
                          const struct molt_server_ref *now)
{
    size_t n = d->count(d->user, id);
    if (!old->states != !now->states && n > 0)
        refuse(d,
               "server %s would %s a state machine while %zu process%s run%s it: end them first, "
               "or give the new one another name",
               d->server_name(d->user, id), now->states ? "become" : "cease to be", n,
               n == 1 ? "" : "es", n == 1 ? "s" : "");
    if (are_states_same(old->states, now->states) || is_listed(&d->out->conversion, id))
        return 0;
    return add_server(&d->out->conversion, id, SIZE_MAX);
}

static int compare_server(struct decide *d, int id)
{
    const struct molt_server_ref *old = molt_world_server(d->old_world, id);
    const struct molt_server_ref *now = molt_world_server(d->new_world, id);
    if (!old || (now && now->version == old->version))
        return 0;
    if (!now) {
        size_t n = d->count(d->user, id);
        if (n > 0)
            refuse(d, "server %s would go while %zu process%s run%s it: end them first, or keep it",
                   d->server_name(d->user, id), n, n == 1 ? "" : "es", n == 1 ? "s" : "");
        return 0;
    }
    int rc = compare_state(d, id, old, now);
    rc = rc < 0 ? rc : compare_states(d, id, old, now);
    return rc < 0 ? rc : compare_handlers(d, old, now);
}

int molt_decide(struct molt_world *old_world, struct molt_world *new_world,
                const char *(*server_name)(void *user, int id), molt_count_fn *count, void *user,
                struct molt_decision *ret)
{
    struct molt_decision out = {.conversion = {.old_world = old_world, .new_world = new_world}};
    struct decide d = {old_world, new_world, server_name, count, user, &out};
    int rc = 0;
    for (size_t id = 0; rc == 0 && id < old_world->n_servers; id++)
        rc = compare_server(&d, (int)id);
    if (rc == 0 && out.reasons.is_failed)
        rc = MOLT_ENOMEM;
    if (rc < 0) {
        molt_decision_fini(&out);
        return rc;
    }
    out.needs_conversion = out.conversion.n_servers > 0 || out.conversion.n_types > 0;
    *ret = out;
    return 0;
}

void molt_decision_fini(struct molt_decision *decision)
{
    molt_buf_fini(&decision->reasons);
    free(decision->conversion.server_ids);
    free(decision->conversion.change_indexes);
    free((void *)(uintptr_t)decision->conversion.gone_types);
}
