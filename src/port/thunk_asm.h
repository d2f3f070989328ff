/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Assembler text of an interface object: thunks, their slot indices, and the
 * table that tells the host what they are; see port/thunk.h.
 *
 * Threads: pure.
 */
#ifndef MOLT_PORT_THUNK_ASM_H
#define MOLT_PORT_THUNK_ASM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* What a thunk stands for. */
struct molt_thunk_asm {
    const char *elf_name; /* its symbol: letters, digits, _ and $ alone */
    const char *module, *name;
    uint64_t sig;
};

/* Append the whole assembler file for @n thunks to @out. */
void molt_thunk_asm(struct molt_buf *out, size_t n, const struct molt_thunk_asm *thunks);

/* The part that differs by CPU: the instructions of thunk @index, which jumps
 * through the table that molt_world leads to, with the index in word @index of
 * the symbol molt_slots_. */
void molt_thunk_asm_body(struct molt_buf *out, size_t index);

#endif
