/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/after.h"

#include <stdlib.h>

#include "base/clock.h"
#include "runtime/lane.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

#include <molt/molt.h>

/* The process looks whether the number is still that of its timeout. */
static void fire_timeout(struct molt_runtime *rt, const struct molt_timer_event *event)
{
    struct molt_process *p = molt_process_find(rt, event->pid);
    if (!p)
        return;
    /* The latest one stands, whichever thread is first. */
    unsigned long long fired = atomic_load_explicit(&p->timeout_fired, memory_order_relaxed);
    while (fired < event->ref &&
           !atomic_compare_exchange_weak(&p->timeout_fired, &fired, event->ref))
        ;
    molt_process_signal(p, MOLT_DO_TIMEOUT);
}

static void wake_machine(struct molt_runtime *rt, const struct molt_timer_event *event)
{
    struct molt_process *p = molt_process_find(rt, event->pid);
    if (p)
        molt_process_signal(p, MOLT_DO_MACHINE);
}

void molt_timer_event_run(struct molt_runtime *rt, const struct molt_timer_event *event)
{
    switch (event->kind) {
    case MOLT_TIMER_WAIT:
        molt_process_complete(rt, event->pid, event->ref, MOLT_ETIMEDOUT, NULL);
        break;
    case MOLT_TIMER_SLEEP:
        molt_process_complete(rt, event->pid, event->ref, 0, NULL);
        break;
    case MOLT_TIMER_TIMEOUT:
        fire_timeout(rt, event);
        break;
    case MOLT_TIMER_MACHINE:
        wake_machine(rt, event);
        break;
    case MOLT_TIMER_SEND:
        molt_send_now(rt, event);
        break;
    }
}

int molt_timeout(int ms)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner && !runner->is_converting ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    if (ms < 0 && p->timeout) {
        molt_timer_cancel(&p->timeout->timer);
        p->timeout->ref = 0;
    }
    if (ms < 0)
        return 0;
    if (!p->timeout)
        p->timeout = calloc(1, sizeof(*p->timeout));
    if (!p->timeout)
        return MOLT_ENOMEM;
    p->timeout->ref = molt_wait_next_ref(p);
    struct molt_timer_event event = {.pid = molt_process_pid(p),
                                     .ref = p->timeout->ref,
                                     .kind = MOLT_TIMER_TIMEOUT};
    molt_lane_start_timer(p, &p->timeout->timer, molt_clock_ns() + (uint64_t)ms * 1000000, &event);
    return 0;
}
