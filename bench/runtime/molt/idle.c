/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* n processes that live and do nothing: time until the last of them has run its
 * init, and the resident memory that they take. */
#include <stdatomic.h>

#include "measure.h"

static _Atomic uint64_t n_born MOLT_FRESH;

struct born {
    molt_pid creator;
    uint64_t n;
};

/* A counter, say. */
struct idler {
    uint64_t value;
};

/* Whoever comes last reports. */
static int idler_init(struct idler *s, const struct born *born)
{
    s->value = atomic_fetch_add_explicit(&n_born, 1, memory_order_relaxed) + 1;
    if (s->value < born->n)
        return 0;
    struct finished *finished = molt_new(struct finished);
    return finished ? molt_send_pid(born->creator, finished) : MOLT_ENOMEM;
}

MOLT_SERVER(idler, struct idler, .init = MOLT_FN(idler_init));

struct create {
    uint64_t n;
};

struct creator {
    struct molt_from waiter;
    uint64_t began_ns, began_cpu;
};

static int on_create(struct creator *s, struct create *create, struct molt_from *from)
{
    s->waiter = *from;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < create->n; i++) {
        molt_pid pid;
        struct born *born = molt_new(struct born);
        if (!born)
            return MOLT_ENOMEM;
        *born = (struct born){molt_self(), create->n};
        int rc = molt_spawn("idler", NULL, born, &pid);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int on_finished(struct creator *s, struct finished *finished)
{
    struct outcome *outcome = molt_new(struct outcome);
    (void)finished;
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

MOLT_SERVER(creator, struct creator,
            .on = {MOLT_CALL(struct create, on_create), MOLT_CAST(struct finished, on_finished)});

static int idle(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    struct outcome *outcome = NULL;
    struct create *create = molt_new(struct create);
    molt_pid creator;
    if (!create)
        return MOLT_ENOMEM;
    create->n = m.n;
    uint64_t before = measure_resident();
    int rc = molt_spawn("creator", NULL, NULL, &creator);
    if (rc >= 0)
        rc = molt_call_pid(creator, create, &outcome, -1);
    if (rc < 0)
        return measure_fail(&m, "idle", rc);
    uint64_t after = measure_resident();
    return molt_http_printf(r, 200,
                            "result ops=%llu wall_ns=%llu cpu_ns=%llu grown=%llu resident=%llu\n",
                            (unsigned long long)m.n, (unsigned long long)outcome->wall_ns,
                            (unsigned long long)outcome->cpu_ns,
                            (unsigned long long)(after - before), (unsigned long long)after);
}

MOLT_ROUTES({"GET", "/idle", idle});
