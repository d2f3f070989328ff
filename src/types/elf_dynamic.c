/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The tables that the loader uses. It finds them through the dynamic segment
 * and believes them; we read symbols through section headers, so both must
 * name the same bytes, or somebody could show us one image and load another.
 */
#include <stdlib.h>
#include <string.h>

#include "types/elf_tables.h"
#include "types/rules.h"

static int read_tags(struct molt_elf *elf, struct molt_error *err)
{
    const Elf64_Phdr *segment = NULL;
    for (size_t i = 0; i < elf->n_segments; i++)
        if (elf->segments[i].p_type == PT_DYNAMIC)
            segment = &elf->segments[i];
    if (!segment)
        return molt_rule_break(err, MOLT_RULE_FILE_TYPE, "it has no dynamic segment");
    size_t n = segment->p_filesz / sizeof(Elf64_Dyn);
    const uint8_t *at = molt_elf_at(elf, segment->p_vaddr, n * sizeof(Elf64_Dyn));
    if (!at || n == 0 || at != elf->bytes + segment->p_offset)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the dynamic segment isn't mapped");
    elf->dynamic = malloc(n * sizeof *elf->dynamic);
    if (!elf->dynamic)
        return molt_error_set(err, MOLT_ENOMEM, "reading the dynamic tags: out of memory");
    memcpy(elf->dynamic, at, n * sizeof *elf->dynamic);
    while (elf->n_dynamic < n && elf->dynamic[elf->n_dynamic].d_tag != DT_NULL)
        elf->n_dynamic++;
    if (elf->n_dynamic == n)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the dynamic tags don't end");
    return 0;
}

/* @tag must lead to the start of @section. */
static bool is_section(const struct molt_elf *elf, int64_t tag, const Elf64_Shdr *section)
{
    uint64_t addr;
    return section && molt_elf_dynamic(elf, tag, &addr) && addr == section->sh_addr &&
           molt_elf_at(elf, addr, section->sh_size) == elf->bytes + section->sh_offset;
}

static int check_symbol_tables(struct molt_elf *elf, struct molt_error *err)
{
    if (elf->dynsym.n == 0)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "it has no dynamic symbols");
    const Elf64_Shdr *symbols = &elf->sections[elf->dynsym.section];
    const Elf64_Shdr *strings = &elf->sections[symbols->sh_link];
    uint64_t size;
    if (!is_section(elf, DT_SYMTAB, symbols) || !is_section(elf, DT_STRTAB, strings) ||
        !molt_elf_dynamic(elf, DT_STRSZ, &size) || size != strings->sh_size)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the dynamic symbols are ambiguous");
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (s->sh_type != SHT_GNU_versym)
            continue;
        if (s->sh_size != 2 * elf->dynsym.n || !is_section(elf, DT_VERSYM, s))
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "the symbol versions don't fit");
        elf->versions = elf->bytes + s->sh_offset;
    }
    return 0;
}

static uint32_t word32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Buckets lead to symbols, and each chain ends inside the table. */
static bool are_chains_fine(const struct molt_elf *elf, const uint8_t *buckets, uint32_t n_buckets,
                            uint32_t first, const uint8_t *chain)
{
    if (elf->dynsym.n > first && !(word32(chain + 4 * (elf->dynsym.n - 1 - first)) & 1))
        return false;
    for (uint32_t i = 0; i < n_buckets; i++) {
        uint32_t sym = word32(buckets + 4 * (size_t)i);
        if (sym != 0 && (sym < first || sym >= elf->dynsym.n))
            return false;
    }
    return true;
}

/* GNU hash: n_buckets, first symbol, bloom words, shift; bloom; buckets; chain. */
static int check_hash(const struct molt_elf *elf, struct molt_error *err)
{
    uint64_t addr;
    if (!molt_elf_dynamic(elf, DT_GNU_HASH, &addr))
        return molt_rule_break(err, MOLT_RULE_CORRUPT,
                               "it has no GNU hash table (link with --hash-style=gnu)");
    const uint8_t *head = molt_elf_at(elf, addr, 16);
    if (head) {
        uint64_t n_buckets = word32(head), first = word32(head + 4), n_bloom = word32(head + 8);
        uint64_t n_chain = elf->dynsym.n > first ? elf->dynsym.n - first : 0;
        bool is_sane = n_buckets > 0 && n_bloom > 0 && (n_bloom & (n_bloom - 1)) == 0 &&
                       word32(head + 12) < 64;
        uint64_t size = 16 + 8 * n_bloom + 4 * n_buckets + 4 * n_chain;
        if (is_sane && molt_elf_at(elf, addr, size) &&
            are_chains_fine(elf, head + 16 + 8 * n_bloom, (uint32_t)n_buckets, (uint32_t)first,
                            head + 16 + 8 * n_bloom + 4 * n_buckets))
            return 0;
    }
    return molt_rule_break(err, MOLT_RULE_CORRUPT, "the symbol hash table doesn't fit");
}

static int by_offset(const void *a, const void *b)
{
    const Elf64_Rela *x = a, *y = b;
    return (x->r_offset > y->r_offset) - (x->r_offset < y->r_offset);
}

static int check_relocs(const struct molt_elf *elf, struct molt_error *err)
{
    for (size_t i = 0; i < elf->n_relocs; i++)
        if (ELF64_R_SYM(elf->relocs[i].r_info) >= elf->dynsym.n)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "a relocation has no symbol");
    return 0;
}

static int add_relocs(struct molt_elf *elf, int64_t tag, int64_t size_tag, struct molt_error *err)
{
    uint64_t addr, size;
    if (!molt_elf_dynamic(elf, tag, &addr))
        return 0;
    if (!molt_elf_dynamic(elf, size_tag, &size) || size % sizeof(Elf64_Rela) != 0)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the relocations have no size");
    const uint8_t *at = molt_elf_at(elf, addr, size);
    if (!at)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the relocations aren't mapped");
    size_t n = size / sizeof(Elf64_Rela);
    Elf64_Rela *all = reallocarray(elf->relocs, elf->n_relocs + n + 1, sizeof *all);
    if (!all)
        return molt_error_set(err, MOLT_ENOMEM, "reading relocations: out of memory");
    elf->relocs = all;
    if (n)
        memcpy(all + elf->n_relocs, at, size);
    elf->n_relocs += n;
    return 0;
}

static int read_relocs(struct molt_elf *elf, struct molt_error *err)
{
    uint64_t value;
    if (molt_elf_dynamic(elf, DT_REL, &value) || molt_elf_dynamic(elf, DT_RELR, &value))
        return molt_rule_break(err, MOLT_RULE_RELOCATION, "packed or addend-less relocations");
    if (molt_elf_dynamic(elf, DT_PLTREL, &value) && value != DT_RELA)
        return molt_rule_break(err, MOLT_RULE_RELOCATION, "addend-less PLT relocations");
    int rc = add_relocs(elf, DT_RELA, DT_RELASZ, err);
    if (rc < 0 || (rc = add_relocs(elf, DT_JMPREL, DT_PLTRELSZ, err)) < 0)
        return rc;
    if (elf->n_relocs)
        qsort(elf->relocs, elf->n_relocs, sizeof *elf->relocs, by_offset);
    return check_relocs(elf, err);
}

int molt_elf_read_dynamic(struct molt_elf *elf, struct molt_error *err)
{
    int rc = read_tags(elf, err);
    if (rc < 0 || (rc = check_symbol_tables(elf, err)) < 0 || (rc = check_hash(elf, err)) < 0)
        return rc;
    return read_relocs(elf, err);
}
