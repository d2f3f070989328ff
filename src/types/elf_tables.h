/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the files that open an ELF view share. Threads: as elf_view.h. */
#ifndef MOLT_TYPES_ELF_TABLES_H
#define MOLT_TYPES_ELF_TABLES_H

#include "types/elf_view.h"

/* [offset, offset + size) lies in the file. */
bool molt_elf_fits(const struct molt_elf *elf, uint64_t offset, uint64_t size);

/* Read and check what the loader will use: dynamic tags, their tables,
 * relocations, hash table. Rules truncated, corrupt. */
int molt_elf_read_dynamic(struct molt_elf *elf, struct molt_error *err);

#endif
