/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "upgrade/decide.h"

#include <stdarg.h>
#include <stdlib.h>

#include "code/layout.h"

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

/* Whether @server has a change function that starts from @type's layout. Only the
 * layout counts: the author had to spell it out under another name. */
static bool has_change(const struct molt_server_ref *server, const struct molt_type *type)
{
    for (size_t i = 0; i < server->n_changes; i++) {
        const struct molt_type *from = server->change_types[i];
        if (from && from->shape == type->shape && from->size == type->size)
            return true;
    }
    return false;
}

/* Whether values of @type become @to in the new world by themselves. */
static bool has_way(const struct decide *d, const struct molt_type *type,
                    const struct molt_type *to)
{
    struct molt_way way;
    int n = molt_world_way(d->new_world, type, &way);
    return n > 0 && way.edges[n - 1]->to == to;
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

/* Whether @now handles @type, as it is or converted. */
static bool is_handled(const struct decide *d, const struct molt_server_ref *now,
                       const struct molt_type *type)
{
    for (size_t j = 0; j < now->n_handlers; j++)
        if (now->handler_types[j] == type || has_way(d, type, now->handler_types[j]))
            return true;
    return false;
}

/* Layouts that @old takes as messages and @now doesn't. */
static int compare_handlers(struct decide *d, const struct molt_server_ref *old,
                            const struct molt_server_ref *now)
{
    for (size_t i = 0; i < old->n_handlers; i++) {
        if (is_handled(d, now, old->handler_types[i]))
            continue;
        if (add_type(&d->out->conversion, old->handler_types[i]) < 0)
            return MOLT_ENOMEM;
    }
    return 0;
}

/* If nobody has the state now, but somebody is spawned before the switch, that one stays in
 * the old world and is reported. */
static void compare_state(struct decide *d, int id, const struct molt_server_ref *old,
                          const struct molt_server_ref *now)
{
    if (old->state_type == now->state_type || has_change(now, old->state_type) ||
        has_way(d, old->state_type, now->state_type))
        return;
    size_t n = d->count(d->user, id);
    if (n > 0)
        refuse(d,
               "server %s: the layout of its state %s changed, %zu process%s, and nothing leads "
               "from the old layout to the new one: keep the layout, say by a hint of "
               "<molt/migrate.h> what is meant, or write a MOLT_CHANGE",
               d->server_name(d->user, id), old->state_type->name, n,
               n == 1 ? " has it" : "es have it");
}

/* Which state a process is in is looked at when it changes over. */
static void compare_states(struct decide *d, int id, const struct molt_server_ref *old,
                           const struct molt_server_ref *now)
{
    size_t n = d->count(d->user, id);
    if (!old->states != !now->states && n > 0)
        refuse(d,
               "server %s would %s a state machine while %zu process%s run%s it: end them first, "
               "or give the new one another name",
               d->server_name(d->user, id), now->states ? "become" : "cease to be", n,
               n == 1 ? "" : "es", n == 1 ? "s" : "");
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
    compare_state(d, id, old, now);
    compare_states(d, id, old, now);
    return compare_handlers(d, old, now);
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
    *ret = out;
    return 0;
}

void molt_decision_fini(struct molt_decision *decision)
{
    molt_buf_fini(&decision->reasons);
    free((void *)(uintptr_t)decision->conversion.gone_types);
}
