/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Questions to an open ELF view. */
#include <string.h>

#include "types/elf_tables.h"
#include "types/rules.h"

const char *molt_elf_section_name(const struct molt_elf *elf, const Elf64_Shdr *section)
{
    return elf->section_strings + section->sh_name;
}

const Elf64_Shdr *molt_elf_section(const struct molt_elf *elf, const char *name)
{
    for (size_t i = 1; i < elf->n_sections; i++)
        if (strcmp(molt_elf_section_name(elf, &elf->sections[i]), name) == 0)
            return &elf->sections[i];
    return NULL;
}

const Elf64_Shdr *molt_elf_section_at(const struct molt_elf *elf, uint64_t addr)
{
    for (size_t i = 1; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if ((s->sh_flags & SHF_ALLOC) && !(s->sh_flags & SHF_TLS) && addr >= s->sh_addr &&
            addr - s->sh_addr < s->sh_size)
            return s;
    }
    return NULL;
}

const uint8_t *molt_elf_at(const struct molt_elf *elf, uint64_t addr, uint64_t len)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && addr >= p->p_vaddr && addr - p->p_vaddr <= p->p_filesz &&
            len <= p->p_filesz - (addr - p->p_vaddr))
            return elf->bytes + p->p_offset + (addr - p->p_vaddr);
    }
    return NULL;
}

const char *molt_elf_string_at(const struct molt_elf *elf, uint64_t addr)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type != PT_LOAD || addr < p->p_vaddr || addr - p->p_vaddr >= p->p_filesz)
            continue;
        const char *text = (const char *)elf->bytes + p->p_offset + (addr - p->p_vaddr);
        return memchr(text, '\0', p->p_filesz - (addr - p->p_vaddr)) ? text : NULL;
    }
    return NULL;
}

bool molt_elf_dynamic(const struct molt_elf *elf, int64_t tag, uint64_t *ret_value)
{
    for (size_t i = 0; i < elf->n_dynamic; i++) {
        if (elf->dynamic[i].d_tag == tag) {
            *ret_value = elf->dynamic[i].d_un.d_val;
            return true;
        }
    }
    return false;
}

const char *molt_elf_symbol_name(const struct molt_elf_table *table, const Elf64_Sym *sym)
{
    return table->strings + sym->st_name;
}

bool molt_elf_is_versioned(const struct molt_elf *elf, size_t dynsym_index)
{
    if (!elf->versions)
        return false;
    uint16_t version;
    memcpy(&version, elf->versions + 2 * dynsym_index, sizeof version);
    return (version & 0x7fff) > 1; /* 0: local, 1: global without a version */
}

const Elf64_Rela *molt_elf_reloc_at(const struct molt_elf *elf, uint64_t addr)
{
    size_t lo = 0, hi = elf->n_relocs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (elf->relocs[mid].r_offset < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < elf->n_relocs && elf->relocs[lo].r_offset == addr ? &elf->relocs[lo] : NULL;
}

/* "System V ABI, AMD64 supplement", table 4.9. */
static enum molt_elf_reloc_kind x86_64_kind(uint64_t type)
{
    switch (type) {
    case R_X86_64_NONE:
        return MOLT_RELOC_NONE;
    case R_X86_64_RELATIVE:
        return MOLT_RELOC_RELATIVE;
    case R_X86_64_64:
        return MOLT_RELOC_ABS64;
    case R_X86_64_32:
        return MOLT_RELOC_ABS32;
    case R_X86_64_GLOB_DAT:
        return MOLT_RELOC_GOT;
    case R_X86_64_JUMP_SLOT:
        return MOLT_RELOC_JUMP;
    case R_X86_64_COPY:
        return MOLT_RELOC_COPY;
    case R_X86_64_IRELATIVE:
        return MOLT_RELOC_IRELATIVE;
    case R_X86_64_DTPMOD64:
    case R_X86_64_DTPOFF64:
    case R_X86_64_TLSDESC:
        return MOLT_RELOC_TLS;
    case R_X86_64_TPOFF64:
        return MOLT_RELOC_TLS_STATIC;
    default:
        return MOLT_RELOC_UNKNOWN;
    }
}

/* "ELF for the Arm 64-bit Architecture", section 5.7. */
static enum molt_elf_reloc_kind aarch64_kind(uint64_t type)
{
    switch (type) {
    case R_AARCH64_NONE:
        return MOLT_RELOC_NONE;
    case R_AARCH64_RELATIVE:
        return MOLT_RELOC_RELATIVE;
    case R_AARCH64_ABS64:
        return MOLT_RELOC_ABS64;
    case R_AARCH64_ABS32:
        return MOLT_RELOC_ABS32;
    case R_AARCH64_GLOB_DAT:
        return MOLT_RELOC_GOT;
    case R_AARCH64_JUMP_SLOT:
        return MOLT_RELOC_JUMP;
    case R_AARCH64_COPY:
        return MOLT_RELOC_COPY;
    case R_AARCH64_IRELATIVE:
        return MOLT_RELOC_IRELATIVE;
    case R_AARCH64_TLS_DTPMOD:
    case R_AARCH64_TLS_DTPREL:
    case R_AARCH64_TLSDESC:
        return MOLT_RELOC_TLS;
    case R_AARCH64_TLS_TPREL:
        return MOLT_RELOC_TLS_STATIC;
    default:
        return MOLT_RELOC_UNKNOWN;
    }
}

enum molt_elf_reloc_kind molt_elf_reloc_kind(const struct molt_elf *elf, const Elf64_Rela *rela)
{
    uint64_t type = ELF64_R_TYPE(rela->r_info);
    return elf->header.e_machine == EM_AARCH64 ? aarch64_kind(type) : x86_64_kind(type);
}

int molt_elf_word(const struct molt_elf *elf, uint64_t addr, struct molt_elf_word *ret)
{
    const uint8_t *at = molt_elf_at(elf, addr, 8);
    if (!at)
        return MOLT_EFORMAT;
    *ret = (struct molt_elf_word){0};
    const Elf64_Rela *rela = molt_elf_reloc_at(elf, addr);
    if (!rela) {
        memcpy(&ret->addr, at, sizeof ret->addr);
        return 0;
    }
    enum molt_elf_reloc_kind kind = molt_elf_reloc_kind(elf, rela);
    if (kind == MOLT_RELOC_RELATIVE) {
        ret->addr = (uint64_t)rela->r_addend;
        return 0;
    }
    if (kind != MOLT_RELOC_ABS64 && kind != MOLT_RELOC_GOT && kind != MOLT_RELOC_JUMP)
        return MOLT_EFORMAT;
    const Elf64_Sym *sym = &elf->dynsym.syms[ELF64_R_SYM(rela->r_info)];
    /* gold leaves what nobody defines to the loader, which puts 0 there. */
    bool is_null =
        ELF64_ST_BIND(sym->st_info) == STB_WEAK && ELF64_ST_VISIBILITY(sym->st_other) == STV_HIDDEN;
    if (sym->st_shndx == SHN_UNDEF)
        ret->sym = is_null ? NULL : sym;
    else
        ret->addr = sym->st_value + (uint64_t)rela->r_addend;
    return 0;
}

/* One relocation of a debug section: S + A, S being relative to its section. */
static int relocate_one(const struct molt_elf *elf, const Elf64_Shdr *target,
                        const Elf64_Rela *rela, uint8_t *copy)
{
    enum molt_elf_reloc_kind kind = molt_elf_reloc_kind(elf, rela);
    size_t width = kind == MOLT_RELOC_ABS64 ? 8 : kind == MOLT_RELOC_ABS32 ? 4 : 0;
    size_t index = ELF64_R_SYM(rela->r_info);
    if (kind == MOLT_RELOC_NONE)
        return 0;
    if (width == 0 || index >= elf->symtab.n || rela->r_offset > target->sh_size ||
        width > target->sh_size - rela->r_offset)
        return MOLT_EFORMAT;
    uint64_t value = elf->symtab.syms[index].st_value + (uint64_t)rela->r_addend;
    memcpy(copy + target->sh_offset + rela->r_offset, &value, width);
    return 0;
}

/* TLS and PC-relative ones don't occur in what we read of a probe. */
static int relocate_section(const struct molt_elf *elf, const Elf64_Shdr *relocs,
                            const Elf64_Shdr *target, uint8_t *copy)
{
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= relocs->sh_size; at += sizeof(Elf64_Rela)) {
        Elf64_Rela rela;
        memcpy(&rela, elf->bytes + relocs->sh_offset + at, sizeof rela);
        if (relocate_one(elf, target, &rela, copy) < 0)
            return MOLT_EFORMAT;
    }
    return 0;
}

static bool is_read_by_us(const char *name)
{
    static const char *const sections[] = {".debug_info", ".debug_addr", ".debug_str_offsets",
                                           ".debug_line", ".debug_types"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(name, sections[i]) == 0)
            return true;
    return false;
}

int molt_elf_relocate_debug(const struct molt_elf *elf, uint8_t *copy, struct molt_error *err)
{
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (s->sh_type != SHT_RELA || s->sh_info >= elf->n_sections)
            continue;
        const Elf64_Shdr *target = &elf->sections[s->sh_info];
        const char *name = molt_elf_section_name(elf, target);
        if (target->sh_type == SHT_NOBITS || !is_read_by_us(name))
            continue;
        if (relocate_section(elf, s, target, copy) < 0)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "bad relocations for %s", name);
    }
    return 0;
}
