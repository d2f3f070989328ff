/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Thunks for x86-64 (System V psABI, 3.2.1): r10 is the static chain, which C
 * doesn't use, and r11 is scratch at calls; rax counts the vector arguments of
 * variadic calls, so it stays. The stubs find the slot in r10.
 */
#include "port/thunk_asm.h"

void molt_thunk_asm_body(struct molt_buf *out, size_t index)
{
    molt_buf_printf(out,
                    "\tmovq molt_world@gottpoff(%%rip), %%r11\n"
                    "\tmovq %%fs:(%%r11), %%r11\n"
                    "\tmovl molt_slots_+%zu(%%rip), %%r10d\n"
                    "\tjmp *(%%r11,%%r10,8)\n",
                    4 * index);
}
