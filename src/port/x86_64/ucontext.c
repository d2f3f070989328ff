/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/ucontext.h"

#include <ucontext.h>

void molt_port_registers(const void *context, struct molt_port_registers *ret)
{
    const greg_t *regs = ((const ucontext_t *)context)->uc_mcontext.gregs;
    *ret = (struct molt_port_registers){.pc = (uintptr_t)regs[REG_RIP],
                                        .sp = (uintptr_t)regs[REG_RSP],
                                        .fp = (uintptr_t)regs[REG_RBP]};
}

/* A call pushed it (System V psABI 3.2.2). */
bool molt_port_return_address(const struct molt_port_registers *regs,
                              bool (*read_word)(uintptr_t at, uintptr_t *ret), uintptr_t *ret)
{
    return read_word(regs->sp, ret);
}
