/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Walking the frames of one stack from a signal handler.
 *
 * An unwinder of our own because the usual ones trust what they read: here every
 * word of the stack is inside the bounds that were given, every step leads
 * upwards, and whatever isn't understood ends the walk. So it can't fault, not
 * even on a smashed stack, takes no lock and allocates nothing. It reads the
 * call frame information in .eh_frame (DWARF 5, 6.4; LSB 5.0 core, 10.6), which
 * compilers make unless told not to, and which is right at every instruction,
 * prologues and epilogues included, or is known not to be.
 *
 * Signal frames and frames without information end a walk: module code that
 * was called by a signal handler, or compiled with
 * -fno-asynchronous-unwind-tables, can't be walked through.
 *
 * Threads: any, async-signal-safe. Locks: none. The object that holds a pc must
 * stay loaded, which it does while a frame of it is on the walked stack.
 */
#ifndef MOLT_PORT_UNWIND_H
#define MOLT_PORT_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/unwind_cpu.h"

struct molt_unwind {
    uintptr_t low, high; /* what may be read of the stack */
    uint64_t known;      /* bit by register: its value is certain */
    uintptr_t pc;
    bool is_return;                   /* pc is behind a call */
    uintptr_t regs[MOLT_UNWIND_REGS]; /* by DWARF number; [MOLT_UNWIND_SP] is the frame's sp */
};

/* Begin with what the signal that brought @ucontext (third argument of an
 * SA_SIGINFO handler) interrupted, on the stack [@low, @high). */
void molt_unwind_init(struct molt_unwind *u, const void *ucontext, uintptr_t low, uintptr_t high);

/* Go on to the caller. False: the walk can't go on; *@u is as it was. */
bool molt_unwind_step(struct molt_unwind *u);

/* Go on from where a call led to, of which no instruction ran, to that call. */
bool molt_unwind_leave_call(struct molt_unwind *u);

/* For a frame that was interrupted at @pc in the function [@from, @to): is what
 * frame information says right there? It says that the CFA is @cfa_offset behind
 * register @cfa_reg. */
bool molt_unwind_is_settled(uintptr_t pc, uintptr_t from, uintptr_t to, uint64_t cfa_reg,
                            int64_t cfa_offset);

/* A word of the stack. False: outside of the bounds, or not aligned. */
bool molt_unwind_read(const struct molt_unwind *u, uintptr_t at, uintptr_t *ret);

/* Frame information of the code at a pc. */
struct molt_unwind_fde {
    uintptr_t from, to; /* the code that it describes */
    const uint8_t *initial, *initial_end;
    const uint8_t *program, *program_end;
    uint64_t code_align;
    int64_t data_align;
    bool is_signal_frame;
};

/* False: there is none that we can read. */
bool molt_unwind_find(uintptr_t pc, struct molt_unwind_fde *ret);

#endif
