/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Processes that are started, do nothing and end: n at once, and when the last of
 * them has said in its end that it ends, the next n. */
#include "measure.h"

struct parent {
    molt_pid pid;
};

struct mayfly {
    molt_pid parent;
};

struct gone {
    int unused;
};

static int mayfly_init(struct mayfly *s, const struct parent *parent)
{
    s->parent = parent->pid;
    return molt_exit(molt_self(), 0);
}

static void mayfly_terminate(struct mayfly *s, int reason)
{
    struct gone *gone = molt_new(struct gone);
    (void)reason;
    if (gone)
        molt_send_pid(s->parent, gone);
}

MOLT_SERVER(mayfly, struct mayfly, .init = MOLT_FN(mayfly_init),
            .terminate = MOLT_FN(mayfly_terminate));

struct breed {
    uint64_t at_once, batches;
};

struct breeder {
    struct molt_from waiter;
    uint64_t at_once, batches, alive, began_ns, began_cpu;
};

static int spawn_batch(struct breeder *s)
{
    s->alive = s->at_once;
    for (uint64_t i = 0; i < s->at_once; i++) {
        molt_pid pid;
        struct parent *parent = molt_new(struct parent);
        if (!parent)
            return MOLT_ENOMEM;
        parent->pid = molt_self();
        int rc = molt_spawn("mayfly", NULL, parent, &pid);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int on_breed(struct breeder *s, struct breed *breed, struct molt_from *from)
{
    *s = (struct breeder){.waiter = *from, .at_once = breed->at_once, .batches = breed->batches};
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    return spawn_batch(s);
}

static int on_gone(struct breeder *s, struct gone *gone)
{
    (void)gone;
    if (--s->alive > 0)
        return 0;
    if (--s->batches > 0)
        return spawn_batch(s);
    struct outcome *outcome = molt_new(struct outcome);
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

MOLT_SERVER(breeder, struct breeder,
            .on = {MOLT_CALL(struct breed, on_breed), MOLT_CAST(struct gone, on_gone)});

static int breed(struct measure *m, molt_pid breeder)
{
    struct breed *breed = molt_new(struct breed);
    struct outcome *outcome = NULL;
    if (!breed)
        return MOLT_ENOMEM;
    *breed = (struct breed){m->n, m->ops / m->n + 1};
    m->done_ops = breed->at_once * breed->batches;
    int rc = molt_call_pid(breeder, breed, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    molt_free(outcome);
    return 0;
}

static int spawn(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid breeder;
    int rc = molt_spawn("breeder", NULL, NULL, &breeder);
    while (rc >= 0 && measure_next(&m))
        rc = breed(&m, breeder);
    return rc < 0 ? measure_fail(&m, "spawn", rc) : measure_answer(&m);
}

MOLT_ROUTES({"GET", "/spawn", spawn});
