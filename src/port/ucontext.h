/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The registers of a thread that a signal interrupted, as far as a crash
 * report needs them.
 *
 * Threads: any; async-signal-safe.
 */
#ifndef MOLT_PORT_UCONTEXT_H
#define MOLT_PORT_UCONTEXT_H

#include <stdbool.h>
#include <stdint.h>

struct molt_port_registers {
    uintptr_t pc, sp, fp;
    uintptr_t link; /* return address register, 0 where the CPU has none */
};

/* From the third argument of an SA_SIGINFO handler. */
void molt_port_registers(const void *context, struct molt_port_registers *ret);

/* Where the call came from that led to @regs->pc, provided that no instruction
 * ran there. @read_word reads memory that may be bad. */
bool molt_port_return_address(const struct molt_port_registers *regs,
                              bool (*read_word)(uintptr_t at, uintptr_t *ret), uintptr_t *ret);

#endif
