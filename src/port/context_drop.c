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

/* molt_context_enter() is on the caller's stack and finishes ASan's switch.
 * TSan's has to wait until the handler has returned: the calls that its
 * functions are in are counted for the context that they were made in. */
void molt_context_drop(struct molt_context *from, struct molt_context_landing *ret)
{
    *ret = (struct molt_context_landing){.saved = from->caller->sp};
#ifdef MOLT_HAS_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, from->caller->stack,
                                   from->caller->stack_bytes);
#endif
#ifdef MOLT_HAS_TSAN
    ret->first = __tsan_switch_to_fiber;
    ret->arg = from->caller->tsan_fiber;
#endif
}
