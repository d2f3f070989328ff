/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/context_frame.h"

#include <stdint.h>
#include <string.h>

/* x19 to x30, then d8 to d15; context.S has the same order. */
enum { X19 = 0, X30 = 11, WORDS = 20 };

void *molt_context_frame(void *top, struct molt_context *context)
{
    void **sp = (void **)top - WORDS;
    memset(sp, 0, WORDS * sizeof(*sp)); /* x29 is 0: the last frame record (AAPCS64 6.4.6) */
    sp[X19] = context;
    sp[X30] = (void *)(uintptr_t)molt_context_start;
    return sp;
}
