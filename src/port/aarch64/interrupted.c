/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Preemption and crash containment aren't there for this CPU: installing them
 * answers MOLT_ENOTSUP, so what follows is never called.
 */
#include "port/interrupted.h"

#include <string.h>

#include "port/unwind.h"

bool molt_interrupted_is_supported(void)
{
    return false;
}

void molt_float_control_get(struct molt_float_control *ret)
{
    memset(ret, 0, sizeof(*ret));
}

size_t molt_interrupted_room(const void *ucontext)
{
    (void)ucontext;
    return SIZE_MAX;
}

void molt_interrupted_redirect(void *ucontext, struct molt_preempt_thread *thread)
{
    (void)ucontext;
    (void)thread;
    __builtin_trap();
}

bool molt_interrupted_is_fetch(const void *ucontext)
{
    (void)ucontext;
    return false;
}

void molt_interrupted_leave(void *ucontext, struct molt_context *from,
                            const struct molt_float_control *control)
{
    (void)ucontext;
    (void)from;
    (void)control;
    __builtin_trap();
}

void molt_unwind_init(struct molt_unwind *u, const void *ucontext, uintptr_t low, uintptr_t high)
{
    (void)ucontext;
    memset(u, 0, sizeof(*u));
    u->low = low;
    u->high = high;
}
