/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * From a module's table, struct molt_supervisor, to what a supervisor decides
 * by, struct molt_supervise_spec. Nothing of the table's memory is kept: it may
 * be unloaded.
 *
 * Threads: any; the world must not go meanwhile.
 */
#ifndef MOLT_RUNTIME_SUPERVISOR_SPEC_H
#define MOLT_RUNTIME_SUPERVISOR_SPEC_H

#include "code/code.h"
#include "runtime/supervise.h"

#define MOLT_SHUTDOWN_DEFAULT_MS 5000

/* A child, and how it is started. */
struct molt_supervisor_child {
    struct molt_supervised node;
    char server[MOLT_SUPERVISE_ID_MAX]; /* "": as the specification says */
    struct molt_block *arg; /* NULL: as the specification says; else of the supervisor's blocks */
    uint64_t n_restarts;    /* that it was the reason for */
};

static inline struct molt_supervisor_child *molt_supervisor_child_of(struct molt_supervised *node)
{
    return molt_container_of(node, struct molt_supervisor_child, node);
}

/* A new child; molt_supervisor_child_free(). NULL when out of memory. @id may be
 * NULL; both names fit. */
struct molt_supervisor_child *molt_supervisor_child_new(const char *id, const char *server);
/* Not its argument. */
void molt_supervisor_child_free(struct molt_supervisor_child *child);

/* Whether @server is the name of a supervisor of @world. */
bool molt_supervisor_is(struct molt_code *code, const struct molt_world *world, const char *server);

/* What @restart and @shutdown_ms of a struct molt_child mean. */
struct molt_child_policy molt_supervisor_policy(uint32_t restart, int32_t shutdown_ms,
                                                bool is_supervisor);

/* The specification that @table of @world says, checked; molt_supervisor_spec_free().
 * MOLT_ENOMEM, or MOLT_EINVAL naming the supervisor and what is wrong. */
int molt_supervisor_spec_new(struct molt_code *code, const struct molt_world *world,
                             const struct molt_supervisor *table, struct molt_supervise_spec **ret,
                             struct molt_error *err);
/* With the children that are left in its list. NULL is fine. */
void molt_supervisor_spec_free(struct molt_supervise_spec *spec);

/* The entry of @id in @table (NULL: there is none); NULL if it isn't listed. */
const struct molt_child *molt_supervisor_entry(const struct molt_supervisor *table, const char *id);

#endif
