/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * DWARF's numbers of registers (x86-64 psABI, 3.6.2; AADWARF64, 4.1).
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_UNWIND_CPU_H
#define MOLT_PORT_UNWIND_CPU_H

#if defined(__x86_64__)
#define MOLT_UNWIND_REGS 17
#define MOLT_UNWIND_SP 7
#define MOLT_UNWIND_RA 16 /* a column, not a register */
#define MOLT_UNWIND_IS_RA_REGISTER 0
#else
#define MOLT_UNWIND_REGS 32
#define MOLT_UNWIND_SP 31
#define MOLT_UNWIND_RA 30
#define MOLT_UNWIND_IS_RA_REGISTER 1
#endif

#endif
