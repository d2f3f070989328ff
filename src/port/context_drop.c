/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/context_drop.h"

#include "port/sanitize.h"

#ifdef MOLT_HAS_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
#endif
#ifdef MOLT_HAS_TSAN
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

/* molt_context_enter() is on the caller's stack and finishes the switch. */
const void *molt_context_drop(struct molt_context *from)
{
#ifdef MOLT_HAS_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, from->caller->stack,
                                   from->caller->stack_bytes);
#endif
#ifdef MOLT_HAS_TSAN
    __tsan_switch_to_fiber(from->caller->tsan_fiber, 0);
#endif
    return from->caller->sp;
}
