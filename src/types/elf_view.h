/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A 64-bit little-endian ELF file in memory, with every table checked against
 * the bytes that there are before anyone looks into it.
 *
 * Invariant of an open view: all offsets, sizes, string and symbol indexes in
 * its tables are in bounds, and strings end.
 *
 * Threads: a view belongs to one thread at a time; the bytes are only read.
 */
#ifndef MOLT_TYPES_ELF_VIEW_H
#define MOLT_TYPES_ELF_VIEW_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

struct molt_elf_table { /* of symbols */
    Elf64_Sym *syms;    /* malloc'd copy */
    size_t n;
    const char *strings; /* in the bytes; ends with NUL */
    size_t strings_len;
    size_t section;
};

struct molt_elf {
    const uint8_t *bytes; /* borrowed */
    size_t len;
    Elf64_Ehdr header;
    size_t n_segments, n_sections, n_dynamic, n_relocs;
    Elf64_Phdr *segments; /* malloc'd copies, like the other tables */
    Elf64_Shdr *sections;
    const char *section_strings;
    Elf64_Dyn *dynamic;                   /* without the DT_NULL */
    Elf64_Rela *relocs;                   /* all dynamic ones, ascending r_offset */
    struct molt_elf_table dynsym, symtab; /* n 0 where absent */
    const uint8_t *versions;              /* .gnu.version, 2 bytes each, or NULL */
};

/* Check headers and tables of @bytes, which the caller keeps until fini. What
 * is wrong is one of the rules not-elf, machine, truncated, corrupt. ET_REL and
 * ET_DYN files only; for ET_DYN the dynamic tables are read too. */
int molt_elf_open(const void *bytes, size_t len, struct molt_elf *ret, struct molt_error *err);
void molt_elf_fini(struct molt_elf *elf);

/* Section by name, NULL if absent. */
const Elf64_Shdr *molt_elf_section(const struct molt_elf *elf, const char *name);
const char *molt_elf_section_name(const struct molt_elf *elf, const Elf64_Shdr *section);
/* The allocated section that holds @addr, NULL if none. */
const Elf64_Shdr *molt_elf_section_at(const struct molt_elf *elf, uint64_t addr);

/* @len bytes of the file that are mapped at @addr; NULL if not all are. */
const uint8_t *molt_elf_at(const struct molt_elf *elf, uint64_t addr, uint64_t len);

/* The string at @addr, NULL if there is none that ends. */
const char *molt_elf_string_at(const struct molt_elf *elf, uint64_t addr);

/* Value of dynamic tag @tag; false if absent. */
bool molt_elf_dynamic(const struct molt_elf *elf, int64_t tag, uint64_t *ret_value);

const char *molt_elf_symbol_name(const struct molt_elf_table *table, const Elf64_Sym *sym);
/* Bound at link time to a version of a library's symbol. */
bool molt_elf_is_versioned(const struct molt_elf *elf, size_t dynsym_index);

/* A pointer in the image as it will be after relocation. */
struct molt_elf_word {
    uint64_t addr;        /* where it leads, from the image's base; 0: NULL */
    const Elf64_Sym *sym; /* undefined symbol that it leads to, or NULL */
};
/* The word at @addr. MOLT_EFORMAT if there is none. */
int molt_elf_word(const struct molt_elf *elf, uint64_t addr, struct molt_elf_word *ret);

/* The relocation with r_offset @addr, NULL if none. */
const Elf64_Rela *molt_elf_reloc_at(const struct molt_elf *elf, uint64_t addr);

/* What a relocation type does, for both machines that molt knows. */
enum molt_elf_reloc_kind {
    MOLT_RELOC_UNKNOWN,
    MOLT_RELOC_NONE,
    MOLT_RELOC_RELATIVE, /* base + addend */
    MOLT_RELOC_GOT,      /* symbol, in the GOT */
    MOLT_RELOC_JUMP,     /* symbol, in the PLT's GOT */
    MOLT_RELOC_COPY,
    MOLT_RELOC_IRELATIVE,
    MOLT_RELOC_TLS, /* dynamic models */
    MOLT_RELOC_TLS_STATIC,
    MOLT_RELOC_ABS32, /* in object files */
    MOLT_RELOC_ABS64,
};
enum molt_elf_reloc_kind molt_elf_reloc_kind(const struct molt_elf *elf, const Elf64_Rela *rela);

/* The machine (EM_...) that this program runs on; EM_NONE if unknown. */
uint16_t molt_elf_native_machine(void);

/* Apply the relocations of the debug sections of the ET_REL file @elf to
 * @copy, a copy of its bytes, so that libdw, which doesn't, can read it.
 * MOLT_EFORMAT. */
int molt_elf_relocate_debug(const struct molt_elf *elf, uint8_t *copy, struct molt_error *err);

#endif
