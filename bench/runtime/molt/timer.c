/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Timers: started and cancelled while others are armed, and armed for good. A
 * process has one, so n of them are n processes. */
#include <stdatomic.h>

#include "measure.h"

#define HOUR_MS 3600000

static _Atomic uint64_t n_ready MOLT_FRESH, n_armed MOLT_FRESH, n_fired MOLT_FRESH;
static uint64_t *late_ns MOLT_FRESH; /* of each that fired; nobody else writes at its index */

struct sleeper_arg {
    molt_pid referee;
    uint64_t index, n, far_ms;
};

struct sleeper {
    molt_pid referee;
    uint64_t index, n, due_ns;
};

static int tell(molt_pid referee)
{
    struct finished *finished = molt_new(struct finished);
    return finished ? molt_send_pid(referee, finished) : MOLT_ENOMEM;
}

static uint64_t count(_Atomic uint64_t *counter)
{
    return atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel) + 1;
}

static int sleeper_init(struct sleeper *s, const struct sleeper_arg *arg)
{
    *s = (struct sleeper){arg->referee, arg->index, arg->n, 0};
    if (arg->far_ms)
        molt_timeout((int)arg->far_ms);
    return count(&n_ready) == s->n ? tell(s->referee) : 0;
}

struct arm {
    int ms;
};

static int on_arm(struct sleeper *s, struct arm *arm)
{
    s->due_ns = measure_now() + (uint64_t)arm->ms * 1000000;
    int rc = molt_timeout(arm->ms);
    if (rc < 0)
        return rc;
    return count(&n_armed) == s->n ? tell(s->referee) : 0;
}

static int on_timeout(struct sleeper *s)
{
    uint64_t now = measure_now();
    late_ns[s->index] = now > s->due_ns ? now - s->due_ns : 0;
    return count(&n_fired) == s->n ? tell(s->referee) : 0;
}

MOLT_SERVER(sleeper, struct sleeper, .init = MOLT_FN(sleeper_init),
            .on_timeout = MOLT_FN(on_timeout), .on = {MOLT_CAST(struct arm, on_arm)});

/* ---- the referee: told three times that all of them did it ---------------------- */

struct gather {
    uint64_t n, far_ms;
};

struct arm_all {
    uint64_t first_ms, spread_ms;
};

struct await_all {
    int unused;
};

struct gatherer {
    struct molt_from waiter;
    uint64_t n, began_ns, began_cpu, is_early;
    molt_pid *pids;
};

static int on_gather(struct gatherer *s, struct gather *gather, struct molt_from *from)
{
    s->waiter = *from;
    s->n = gather->n;
    s->pids = molt_new_array(molt_pid, s->n);
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < s->n; i++) {
        struct sleeper_arg *arg = molt_new(struct sleeper_arg);
        if (!arg || !s->pids)
            return MOLT_ENOMEM;
        *arg = (struct sleeper_arg){molt_self(), i, s->n, gather->far_ms};
        int rc = molt_spawn("sleeper", NULL, arg, &s->pids[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int on_arm_all(struct gatherer *s, struct arm_all *all, struct molt_from *from)
{
    s->waiter = *from;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < s->n; i++) {
        struct arm *arm = molt_new(struct arm);
        if (!arm)
            return MOLT_ENOMEM;
        arm->ms = (int)(all->first_ms + i * all->spread_ms / s->n);
        molt_send_pid(s->pids[i], arm);
    }
    return 0;
}

static int answer(struct gatherer *s)
{
    struct outcome *outcome = molt_new(struct outcome);
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    struct molt_from waiter = s->waiter;
    s->waiter = (struct molt_from){0};
    return molt_reply(&waiter, outcome);
}

/* The last one may fire before anybody asks. */
static int on_await_all(struct gatherer *s, struct await_all *all, struct molt_from *from)
{
    (void)all;
    s->waiter = *from;
    return s->is_early ? answer(s) : 0;
}

static int on_finished(struct gatherer *s, struct finished *finished)
{
    (void)finished;
    if (s->waiter.pid)
        return answer(s);
    s->is_early = 1;
    return 0;
}

MOLT_SERVER(gatherer, struct gatherer,
            .on = {MOLT_CALL(struct gather, on_gather), MOLT_CALL(struct arm_all, on_arm_all),
                   MOLT_CALL(struct await_all, on_await_all),
                   MOLT_CAST(struct finished, on_finished)});

static int gather(uint64_t n, uint64_t far_ms, molt_pid *ret_gatherer)
{
    struct gather *gather = molt_new(struct gather);
    struct outcome *outcome = NULL;
    if (!gather)
        return MOLT_ENOMEM;
    *gather = (struct gather){n, far_ms};
    int rc = molt_spawn("gatherer", NULL, NULL, ret_gatherer);
    return rc < 0 ? rc : molt_call_pid(*ret_gatherer, gather, &outcome, -1);
}

/* ---- start and cancel, with n others armed --------------------------------------- */

static int cancel(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid gatherer;
    int rc = gather(m.n, HOUR_MS, &gatherer);
    while (rc >= 0 && measure_next(&m)) {
        measure_start(&m);
        for (uint64_t i = 0; i < m.ops && rc >= 0; i++) {
            rc = molt_timeout(1000 + (int)(i % 4096));
            if (rc >= 0)
                rc = molt_timeout(-1);
        }
        measure_stop(&m, m.ops);
    }
    return rc < 0 ? measure_fail(&m, "cancel", rc) : measure_answer(&m);
}

/* ---- n armed, all of which fire ---------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int report(const struct measure *m, const struct outcome *armed)
{
    qsort(late_ns, m->n, sizeof(*late_ns), compare);
    return molt_http_printf(m->request, 200,
                            "result ops=%llu wall_ns=%llu cpu_ns=%llu late_p50_ns=%llu "
                            "late_p99_ns=%llu late_max_ns=%llu\n",
                            (unsigned long long)m->n, (unsigned long long)armed->wall_ns,
                            (unsigned long long)armed->cpu_ns,
                            (unsigned long long)late_ns[m->n / 2],
                            (unsigned long long)late_ns[m->n * 99 / 100],
                            (unsigned long long)late_ns[m->n - 1]);
}

static int timers(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    struct outcome *armed = NULL, *fired = NULL;
    struct arm_all *all = molt_new(struct arm_all);
    struct await_all *await = molt_new(struct await_all);
    molt_pid gatherer;
    late_ns = calloc(m.n, sizeof(*late_ns));
    if (!all || !await || !late_ns)
        return MOLT_ENOMEM;
    *all = (struct arm_all){measure_number(r, "first=", 500), measure_number(r, "spread=", 1000)};
    int rc = gather(m.n, 0, &gatherer);
    if (rc >= 0)
        rc = molt_call_pid(gatherer, all, &armed, -1);
    if (rc >= 0)
        rc = molt_call_pid(gatherer, await, &fired, -1);
    return rc < 0 ? measure_fail(&m, "timers", rc) : report(&m, armed);
}

MOLT_ROUTES({"GET", "/cancel", cancel}, {"GET", "/timers", timers});
