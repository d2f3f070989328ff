/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/ucontext.h"

#include <ucontext.h>

void molt_port_registers(const void *context, struct molt_port_registers *ret)
{
    const mcontext_t *m = &((const ucontext_t *)context)->uc_mcontext;
    *ret = (struct molt_port_registers){.pc = m->pc,
                                        .sp = m->sp,
                                        .fp = m->regs[29],
                                        .link = m->regs[30]};
}

/* bl and blr leave it in x30 (AAPCS64 6.1.1). */
bool molt_port_return_address(const struct molt_port_registers *regs,
                              bool (*read_word)(uintptr_t at, uintptr_t *ret), uintptr_t *ret)
{
    (void)read_word;
    *ret = regs->link;
    return regs->link != 0;
}
