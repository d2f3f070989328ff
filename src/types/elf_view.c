/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Opening a view: headers, segments, sections, symbol tables ("Tool Interface
 * Standard ELF", version 1.2, and the gABI's 64-bit classes). */
#include "types/elf_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "types/elf_tables.h"
#include "types/rules.h"

uint16_t molt_elf_native_machine(void)
{
    struct utsname name;
    if (uname(&name) < 0)
        return EM_NONE;
    if (strcmp(name.machine, "x86_64") == 0)
        return EM_X86_64;
    return strcmp(name.machine, "aarch64") == 0 ? EM_AARCH64 : EM_NONE;
}

bool molt_elf_fits(const struct molt_elf *elf, uint64_t offset, uint64_t size)
{
    return offset <= elf->len && size <= elf->len - offset;
}

static int check_ident(const struct molt_elf *elf, struct molt_error *err)
{
    const uint8_t *b = elf->bytes;
    if (elf->len < SELFMAG || memcmp(b, ELFMAG, SELFMAG) != 0) {
        if (elf->len == 0)
            return molt_rule_break(err, MOLT_RULE_NOT_ELF, "it is empty");
        return molt_rule_break(err, MOLT_RULE_NOT_ELF, "it starts with byte 0x%02x", b[0]);
    }
    if (elf->len < sizeof(Elf64_Ehdr))
        return molt_rule_break(err, MOLT_RULE_TRUNCATED, "%zu bytes hold no ELF header", elf->len);
    if (b[EI_CLASS] != ELFCLASS64)
        return molt_rule_break(err, MOLT_RULE_MACHINE, "ELF class %u, not 64-bit", b[EI_CLASS]);
    if (b[EI_DATA] != ELFDATA2LSB)
        return molt_rule_break(err, MOLT_RULE_MACHINE, "byte order %u, not little-endian",
                               b[EI_DATA]);
    if (b[EI_VERSION] != EV_CURRENT)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "ELF version %u", b[EI_VERSION]);
    return 0;
}

static int check_header(struct molt_elf *elf, struct molt_error *err)
{
    memcpy(&elf->header, elf->bytes, sizeof elf->header);
    const Elf64_Ehdr *h = &elf->header;
    uint16_t native = molt_elf_native_machine();
    if (h->e_machine != native)
        return molt_rule_break(err, MOLT_RULE_MACHINE, "machine %u, this is machine %u",
                               h->e_machine, native);
    if (h->e_type != ET_DYN && h->e_type != ET_REL)
        return molt_rule_break(err, MOLT_RULE_FILE_TYPE, "ELF type %u%s", h->e_type,
                               h->e_type == ET_EXEC ? ", an executable" : "");
    if (h->e_phnum && h->e_phentsize != sizeof(Elf64_Phdr))
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "program headers of %u bytes",
                               h->e_phentsize);
    if (h->e_shnum && h->e_shentsize != sizeof(Elf64_Shdr))
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "section headers of %u bytes",
                               h->e_shentsize);
    return 0;
}

/* A malloc'd copy of @n items of @item bytes at @offset. */
static int copy_table(const struct molt_elf *elf, uint64_t offset, uint64_t n, size_t item,
                      const char *what, void *ret, struct molt_error *err)
{
    if (n > elf->len / item || !molt_elf_fits(elf, offset, n * item))
        return molt_rule_break(err, MOLT_RULE_TRUNCATED, "%s end past the end of %zu bytes", what,
                               elf->len);
    void *copy = malloc(n ? n * item : 1);
    if (!copy)
        return molt_error_set(err, MOLT_ENOMEM, "reading %s: out of memory", what);
    if (n)
        memcpy(copy, elf->bytes + offset, n * item);
    memcpy(ret, &copy, sizeof copy);
    return 0;
}

/* The loader maps by page and trusts all of this. */
static int check_load(const Elf64_Phdr *p, uint64_t *lowest, struct molt_error *err)
{
    if (p->p_align > 1 && ((p->p_align & (p->p_align - 1)) != 0 ||
                           ((p->p_vaddr - p->p_offset) & (p->p_align - 1)) != 0))
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "a segment is aligned to 0x%llx",
                               (unsigned long long)p->p_align);
    if (p->p_vaddr < *lowest)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "segments overlap at 0x%llx",
                               (unsigned long long)p->p_vaddr);
    *lowest = p->p_vaddr + p->p_memsz;
    return 0;
}

#define IMAGE_MAX (UINT64_C(1) << 40)

static int check_segments(const struct molt_elf *elf, struct molt_error *err)
{
    uint64_t lowest = 0;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_vaddr > IMAGE_MAX || p->p_memsz > IMAGE_MAX)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "segment %zu is out of all bounds", i);
        if (!molt_elf_fits(elf, p->p_offset, p->p_filesz))
            return molt_rule_break(err, MOLT_RULE_TRUNCATED,
                                   "segment %zu ends past the end of %zu bytes", i, elf->len);
        if (p->p_type == PT_LOAD && p->p_filesz > p->p_memsz)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "segment %zu has more bytes than memory",
                                   i);
        int rc = p->p_type == PT_LOAD ? check_load(p, &lowest, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A string table's bytes; it must end with NUL. */
static const char *string_table(const struct molt_elf *elf, size_t index)
{
    if (index >= elf->n_sections)
        return NULL;
    const Elf64_Shdr *s = &elf->sections[index];
    if (s->sh_type != SHT_STRTAB || s->sh_size == 0)
        return NULL;
    const char *strings = (const char *)elf->bytes + s->sh_offset;
    return strings[s->sh_size - 1] == '\0' ? strings : NULL;
}

static int check_sections(struct molt_elf *elf, struct molt_error *err)
{
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (s->sh_type != SHT_NOBITS && s->sh_type != SHT_NULL &&
            !molt_elf_fits(elf, s->sh_offset, s->sh_size))
            return molt_rule_break(err, MOLT_RULE_TRUNCATED,
                                   "section %zu ends past the end of %zu bytes", i, elf->len);
        if (s->sh_addr > IMAGE_MAX || s->sh_size > IMAGE_MAX)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "section %zu is out of all bounds", i);
    }
    if (elf->n_sections == 0)
        return 0;
    elf->section_strings = string_table(elf, elf->header.e_shstrndx);
    if (!elf->section_strings)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "section names are missing");
    uint64_t len = elf->sections[elf->header.e_shstrndx].sh_size;
    for (size_t i = 0; i < elf->n_sections; i++)
        if (elf->sections[i].sh_name >= len)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "section %zu has no name", i);
    return 0;
}

static int check_symbols(const struct molt_elf *elf, const struct molt_elf_table *t,
                         struct molt_error *err)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->syms[i].st_name >= t->strings_len)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "symbol %zu has no name", i);
        if (t->syms[i].st_shndx < SHN_LORESERVE && t->syms[i].st_shndx >= elf->n_sections)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "symbol %s lies in no section",
                                   t->strings + t->syms[i].st_name);
    }
    return 0;
}

static int read_symbols(struct molt_elf *elf, uint32_t type, struct molt_elf_table *t,
                        struct molt_error *err)
{
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (s->sh_type != type)
            continue;
        t->strings = string_table(elf, s->sh_link);
        if (!t->strings || s->sh_entsize != sizeof(Elf64_Sym) ||
            s->sh_size % sizeof(Elf64_Sym) != 0)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "symbol table %zu is malformed", i);
        t->strings_len = elf->sections[s->sh_link].sh_size;
        t->section = i;
        int rc = copy_table(elf, s->sh_offset, s->sh_size / sizeof(Elf64_Sym), sizeof(Elf64_Sym),
                            "symbols", &t->syms, err);
        if (rc < 0)
            return rc;
        t->n = s->sh_size / sizeof(Elf64_Sym);
        return check_symbols(elf, t, err);
    }
    return 0;
}

static int open_tables(struct molt_elf *elf, struct molt_error *err)
{
    int rc = check_ident(elf, err);
    if (rc < 0 || (rc = check_header(elf, err)) < 0)
        return rc;
    const Elf64_Ehdr *h = &elf->header;
    rc = copy_table(elf, h->e_phoff, h->e_phnum, sizeof(Elf64_Phdr), "program headers",
                    &elf->segments, err);
    if (rc < 0)
        return rc;
    elf->n_segments = h->e_phnum;
    rc = copy_table(elf, h->e_shoff, h->e_shnum, sizeof(Elf64_Shdr), "section headers",
                    &elf->sections, err);
    if (rc < 0)
        return rc;
    elf->n_sections = h->e_shnum;
    if ((rc = check_segments(elf, err)) < 0 || (rc = check_sections(elf, err)) < 0 ||
        (rc = read_symbols(elf, SHT_SYMTAB, &elf->symtab, err)) < 0 ||
        (rc = read_symbols(elf, SHT_DYNSYM, &elf->dynsym, err)) < 0)
        return rc;
    return h->e_type == ET_DYN ? molt_elf_read_dynamic(elf, err) : 0;
}

int molt_elf_open(const void *bytes, size_t len, struct molt_elf *ret, struct molt_error *err)
{
    *ret = (struct molt_elf){.bytes = bytes, .len = len};
    int rc = open_tables(ret, err);
    if (rc < 0)
        molt_elf_fini(ret);
    return rc;
}

void molt_elf_fini(struct molt_elf *elf)
{
    free(elf->segments);
    free(elf->sections);
    free(elf->dynamic);
    free(elf->relocs);
    free(elf->dynsym.syms);
    free(elf->symtab.syms);
    *elf = (struct molt_elf){0};
}
