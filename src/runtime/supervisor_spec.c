/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/supervisor_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "runtime/rt.h"

#define INTENSITY_DEFAULT 3
#define PERIOD_DEFAULT_MS 5000
#define NEAR_MAX 3 /* edits; a name farther off is not what was meant */

struct molt_supervisor_child *molt_supervisor_child_new(const char *id, const char *server)
{
    struct molt_supervisor_child *child = calloc(1, sizeof(*child));
    if (!child)
        return NULL;
    molt_list_init(&child->node.link);
    strncpy(child->node.id, id ? id : "", sizeof(child->node.id) - 1);
    strncpy(child->server, server ? server : "", sizeof(child->server) - 1);
    return child;
}

void molt_supervisor_child_free(struct molt_supervisor_child *child)
{
    free(child);
}

void molt_supervisor_spec_free(struct molt_supervise_spec *spec)
{
    if (!spec)
        return;
    molt_list_each (link, tmp, &spec->children)
        molt_supervisor_child_free(
            molt_supervisor_child_of(molt_container_of(link, struct molt_supervised, link)));
    free(spec->restarts_ms);
    free(spec);
}

bool molt_supervisor_is(struct molt_code *code, const struct molt_world *world, const char *server)
{
    return !molt_world_server(world, molt_code_server_id(code, server)) &&
           molt_world_supervisor(world, server);
}

struct molt_child_policy molt_supervisor_policy(uint32_t restart, int32_t shutdown_ms,
                                                bool is_supervisor)
{
    int by_default = is_supervisor ? MOLT_SHUTDOWN_FOREVER : MOLT_SHUTDOWN_DEFAULT_MS;
    return (struct molt_child_policy){.restart = (enum molt_restart)(restart &
                                                                     ~(uint32_t)MOLT_SIGNIFICANT),
                                      .shutdown_ms = shutdown_ms ? shutdown_ms : by_default,
                                      .is_supervisor = is_supervisor,
                                      .is_significant = restart & MOLT_SIGNIFICANT};
}

const struct molt_child *molt_supervisor_entry(const struct molt_supervisor *table, const char *id)
{
    for (size_t i = 0; table && i < MOLT_CHILDREN_MAX; i++)
        if (table->child[i].id && strcmp(table->child[i].id, id) == 0)
            return &table->child[i];
    return NULL;
}

/* ---- reading the table ------------------------------------------------------ */

static int refuse(const struct molt_supervisor *table, struct molt_error *err, const char *why)
{
    return molt_error_set(err, MOLT_EINVAL, "supervisor '%s': %s", table->name, why);
}

static int read_child(struct molt_code *code, const struct molt_world *world,
                      const struct molt_supervisor *table, const struct molt_child *entry,
                      struct molt_list *children, struct molt_error *err)
{
    if (!entry->server)
        return molt_error_set(err, MOLT_EINVAL, "supervisor '%s': child '%s' has no server",
                              table->name, entry->id);
    if ((entry->id && strlen(entry->id) >= MOLT_SUPERVISE_ID_MAX) ||
        strlen(entry->server) >= MOLT_SUPERVISE_ID_MAX)
        return refuse(table, err, "the id or server of a child is longer than 63 characters");
    struct molt_supervisor_child *child = molt_supervisor_child_new(entry->id, NULL);
    if (!child)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for a supervisor");
    child->node.policy = molt_supervisor_policy(entry->restart, entry->shutdown_ms,
                                                molt_supervisor_is(code, world, entry->server));
    molt_list_append(children, &child->node.link);
    return 0;
}

static int read_table(struct molt_code *code, const struct molt_world *world,
                      const struct molt_supervisor *table, struct molt_supervise_spec *spec,
                      struct molt_error *err)
{
    uint32_t intensity = table->intensity ? table->intensity : INTENSITY_DEFAULT;
    spec->strategy = (enum molt_strategy)table->strategy;
    spec->auto_shutdown = (enum molt_auto_shutdown)table->auto_shutdown;
    spec->intensity = intensity == MOLT_INTENSITY_NONE ? 0 : intensity;
    spec->period_ms = table->period_ms ? table->period_ms : PERIOD_DEFAULT_MS;
    if (spec->intensity > MOLT_INTENSITY_MAX)
        return refuse(table, err, "an intensity above 65536 restarts is none");
    spec->restarts_ms = calloc((size_t)spec->intensity + 1, sizeof(*spec->restarts_ms));
    if (!spec->restarts_ms)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for a supervisor");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < MOLT_CHILDREN_MAX; i++)
        if (table->child[i].id || table->child[i].server)
            rc = read_child(code, world, table, &table->child[i], &spec->children, err);
    return rc;
}

int molt_supervisor_spec_new(struct molt_code *code, const struct molt_world *world,
                             const struct molt_supervisor *table, struct molt_supervise_spec **ret,
                             struct molt_error *err)
{
    if (table->size != sizeof(*table))
        return molt_error_set(err, MOLT_EABI,
                              "a supervisor is of another ABI version: build its module with the "
                              "same molt release");
    if (strlen(table->name) >= MOLT_SUPERVISE_ID_MAX)
        return refuse(table, err, "the name is longer than 63 characters");
    struct molt_supervise_spec *spec = calloc(1, sizeof(*spec));
    if (!spec)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for a supervisor");
    molt_list_init(&spec->children);
    struct molt_error why = {0};
    int rc = read_table(code, world, table, spec, err);
    if (rc == 0 && (rc = molt_supervise_check(spec, &why)) < 0)
        molt_error_set(err, rc, "supervisor '%s': %s", table->name, why.text);
    if (rc < 0) {
        molt_supervisor_spec_free(spec);
        return rc;
    }
    *ret = spec;
    return 0;
}

/* ---- before an upgrade -------------------------------------------------------- */

/* The name of a server or supervisor of @world that looks most like @name, or NULL. */
static const char *nearest_server(struct molt_code *code, const struct molt_world *world,
                                  const char *name)
{
    const struct molt_supervisor *table;
    const char *other, *nearest = NULL;
    unsigned least = NEAR_MAX + 1, distance;
    for (int id = 0; (other = molt_code_server_name(code, id)); id++) {
        if (!molt_world_server(world, id) || (distance = molt_near_distance(name, other)) >= least)
            continue;
        least = distance;
        nearest = other;
    }
    for (size_t i = 0; (table = molt_world_supervisor_at(world, i)); i++) {
        if ((distance = molt_near_distance(name, table->name)) >= least)
            continue;
        least = distance;
        nearest = table->name;
    }
    return nearest;
}

static int check_server(struct molt_code *code, const struct molt_world *world,
                        const struct molt_supervisor *table, const struct molt_child *child,
                        struct molt_error *err)
{
    if (molt_world_server(world, molt_code_server_id(code, child->server)) ||
        molt_world_supervisor(world, child->server))
        return 0;
    const char *nearest = nearest_server(code, world, child->server);
    return molt_error_set(
        err, MOLT_EINVAL,
        "supervisor '%s': child '%s' is of server '%s', which no module has%s%s%s", table->name,
        child->id ? child->id : "", child->server, nearest ? "; did you mean '" : "",
        nearest ? nearest : "", nearest ? "'?" : "");
}

/* Each child is of a server, or a supervisor, that there is. */
static int check_servers(struct molt_code *code, const struct molt_world *world,
                         const struct molt_supervisor *table, struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < MOLT_CHILDREN_MAX; i++)
        if (table->child[i].server)
            rc = check_server(code, world, table, &table->child[i], err);
    return rc;
}

static int check_supervisor(struct molt_code *code, const struct molt_world *now,
                            const struct molt_world *next, const struct molt_supervisor *table,
                            struct molt_error *err)
{
    struct molt_supervise_spec *spec, *old = NULL;
    int rc = molt_supervisor_spec_new(code, next, table, &spec, err);
    if (rc < 0)
        return rc;
    rc = check_servers(code, next, table, err);
    if (rc < 0) {
        molt_supervisor_spec_free(spec);
        return rc;
    }
    const struct molt_supervisor *before = now ? molt_world_supervisor(now, table->name) : NULL;
    struct molt_error why = {0};
    int rc_before = before ? molt_supervisor_spec_new(code, now, before, &old, NULL) : 0;
    /* One that isn't sound is no obstacle: it can't run. */
    if (rc_before == MOLT_ENOMEM)
        rc = molt_error_set(err, rc_before, "no memory for a supervisor");
    else if (old && (rc = molt_supervise_check_change(old, spec, &why)) < 0)
        molt_error_set(err, rc, "supervisor '%s': %s", table->name, why.text);
    molt_supervisor_spec_free(old);
    molt_supervisor_spec_free(spec);
    return rc;
}

int molt_runtime_check_supervisors(struct molt_runtime *rt, const struct molt_world *now,
                                   const struct molt_world *next, struct molt_error *err)
{
    const struct molt_supervisor *table;
    int rc = 0;
    for (size_t i = 0; rc == 0 && (table = molt_world_supervisor_at(next, i)); i++)
        rc = check_supervisor(rt->code, now, next, table, err);
    return rc;
}
