/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/context_frame.h"

#include <stdint.h>
#include <string.h>

/* r15, r14, r13, r12, rbx, rbp, the address to go to; then two zero words, so
 * that rsp is a multiple of 16 before molt_context_start calls (psABI 3.2.2). */
enum { RBX = 4, RIP = 6, WORDS = 9 };

void *molt_context_frame(void *top, struct molt_context *context)
{
    void **sp = (void **)top - WORDS;
    memset(sp, 0, WORDS * sizeof(*sp));
    sp[RBX] = context;
    sp[RIP] = (void *)(uintptr_t)molt_context_start;
    return sp;
}
