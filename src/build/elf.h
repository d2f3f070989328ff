/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The dynamic symbols of a shared object that the build itself linked.
 *
 * Threads: any.
 */
#ifndef MOLT_BUILD_ELF_H
#define MOLT_BUILD_ELF_H

#include <stdbool.h>
#include <stddef.h>

struct molt_elf_symbol {
    const char *name; /* lives during the call */
    bool is_defined, is_weak;
    bool is_found; /* defined, or found by the linker in a library */
};

/* Calls @fn for each. MOLT_EFORMAT if @bytes can't be read. */
int molt_elf_symbols(const void *bytes, size_t len,
                     void (*fn)(void *user, const struct molt_elf_symbol *symbol), void *user);

#endif
