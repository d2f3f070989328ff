/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Thunks for AArch64 (AAPCS64, 6.1.1): x16 and x17 are the intra-procedure-call
 * scratch registers, x9 is a caller-saved temporary. The stubs find the slot
 * in w9.
 */
#include "port/thunk_asm.h"

void molt_thunk_asm_body(struct molt_buf *out, size_t index)
{
    molt_buf_printf(out,
                    "\tadrp x16, :gottprel:molt_world\n"
                    "\tldr x16, [x16, #:gottprel_lo12:molt_world]\n"
                    "\tmrs x17, tpidr_el0\n"
                    "\tldr x16, [x17, x16]\n"
                    "\tadrp x17, molt_slots_+%zu\n"
                    "\tldr w9, [x17, #:lo12:molt_slots_+%zu]\n"
                    "\tldr x16, [x16, x9, lsl #3]\n"
                    "\tbr x16\n",
                    4 * index, 4 * index);
}
