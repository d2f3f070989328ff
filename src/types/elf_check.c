/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Image rules that headers, dynamic tags, symbols and relocations decide. */
#include <inttypes.h>
#include <string.h>

#include <molt/abi.h>

#include "types/image.h"
#include "types/rules.h"

static bool is_segment(const struct molt_elf *elf, uint32_t type, const Elf64_Phdr **ret)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        if (elf->segments[i].p_type == type) {
            *ret = &elf->segments[i];
            return true;
        }
    }
    return false;
}

/* ---- descriptor --------------------------------------------------------- */

static const Elf64_Sym *find_descriptor(const struct molt_elf *elf)
{
    for (size_t i = 1; i < elf->dynsym.n; i++) {
        const Elf64_Sym *sym = &elf->dynsym.syms[i];
        if (sym->st_shndx != SHN_UNDEF &&
            strcmp(molt_elf_symbol_name(&elf->dynsym, sym), MOLT_MODULE_SYMBOL) == 0)
            return sym;
    }
    return NULL;
}

static bool is_module_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 64 && name[n] == '\0';
}

/* The descriptor's ranges must be the sections that we read the tables from. */
static int check_range(const struct molt_elf *elf, uint64_t addr, size_t start, size_t end,
                       const char *section, struct molt_error *err)
{
    const Elf64_Shdr *s = molt_elf_section(elf, section);
    struct molt_elf_word from, to;
    if (molt_elf_word(elf, addr + start, &from) < 0 || molt_elf_word(elf, addr + end, &to) < 0)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the descriptor's %s are unreadable",
                               section);
    uint64_t lo = s ? s->sh_addr : 0, hi = s ? s->sh_addr + s->sh_size : 0;
    /* Without the section an empty range may lie anywhere: bfd drops empty
     * sections, but not the symbols of their edges. */
    bool is_empty = !s && from.addr == to.addr;
    if (from.sym || to.sym || (!is_empty && (from.addr != lo || to.addr != hi)))
        return molt_rule_break(err, MOLT_RULE_CORRUPT,
                               "the descriptor's %s are not those of the section", section);
    return 0;
}

static int check_ranges(const struct molt_elf *elf, uint64_t addr, struct molt_error *err)
{
#define RANGE(member)                                                                              \
    {                                                                                              \
        offsetof(struct molt_module, member), offsetof(struct molt_module, member##_end),          \
            "molt_" #member                                                                        \
    }
    static const struct {
        size_t start, end;
        const char *section;
    } ranges[] = {RANGE(tags), RANGE(servers), RANGE(supervisors), RANGE(extensions), RANGE(views)};
#undef RANGE
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        int rc = check_range(elf, addr, ranges[i].start, ranges[i].end, ranges[i].section, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_name(struct molt_image *image, uint64_t addr, struct molt_error *err)
{
    const struct molt_elf *elf = &image->elf;
    const char *expected = image->options->module;
    struct molt_elf_word name;
    if (molt_elf_word(elf, addr + offsetof(struct molt_module, name), &name) < 0 || name.sym ||
        !(image->module = molt_elf_string_at(elf, name.addr)) || !is_module_name(image->module))
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the descriptor has no proper name");
    if (expected && strcmp(expected, image->module) != 0)
        return molt_rule_break(err, MOLT_RULE_OTHER_MODULE, "it is module %s, expected was %s",
                               image->module, expected);
    return 0;
}

static int check_descriptor(struct molt_image *image, struct molt_error *err)
{
    const struct molt_elf *elf = &image->elf;
    const Elf64_Sym *sym = find_descriptor(elf);
    if (!sym)
        return molt_rule_break(err, MOLT_RULE_NO_DESCRIPTOR, "it exports no symbol %s",
                               MOLT_MODULE_SYMBOL);
    struct molt_module head;
    const uint8_t *at = molt_elf_at(elf, sym->st_value, sizeof head);
    if (!at)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the descriptor is cut off");
    memcpy(&head, at, sizeof head);
    if (head.magic != MOLT_MODULE_MAGIC)
        return molt_rule_break(err, MOLT_RULE_NO_DESCRIPTOR, "%s has another content",
                               MOLT_MODULE_SYMBOL);
    if (head.abi != MOLT_ABI_VERSION || head.size < sizeof head)
        return molt_rule_break(err, MOLT_RULE_ABI, "its ABI is %" PRIu32 ", this molt's is %d",
                               head.abi, MOLT_ABI_VERSION);
    int rc = check_name(image, sym->st_value, err);
    return rc < 0 ? rc : check_ranges(elf, sym->st_value, err);
}

/* ---- dynamic tags ------------------------------------------------------- */

static int check_tags(const struct molt_elf *elf, struct molt_error *err)
{
    uint64_t value, strings_len = elf->dynsym.strings_len;
    for (int i = 0; i < 2; i++) {
        if (!molt_elf_dynamic(elf, i ? DT_RPATH : DT_RUNPATH, &value))
            continue;
        return molt_rule_break(err, MOLT_RULE_RUNPATH, "%s \"%s\"", i ? "DT_RPATH" : "DT_RUNPATH",
                               value < strings_len ? elf->dynsym.strings + value : "?");
    }
    if (molt_elf_dynamic(elf, DT_FLAGS_1, &value) && (value & DF_1_NODELETE))
        return molt_rule_break(err, MOLT_RULE_NODELETE, "flag DF_1_NODELETE is set");
    if (molt_elf_dynamic(elf, DT_TEXTREL, &value))
        return molt_rule_break(err, MOLT_RULE_TEXT_RELOCATION, "tag DT_TEXTREL is set");
    if (molt_elf_dynamic(elf, DT_FLAGS, &value)) {
        if (value & DF_STATIC_TLS)
            return molt_rule_break(err, MOLT_RULE_STATIC_TLS, "flag DF_STATIC_TLS is set");
        if (value & DF_TEXTREL)
            return molt_rule_break(err, MOLT_RULE_TEXT_RELOCATION, "flag DF_TEXTREL is set");
    }
    for (size_t i = 0; i < elf->n_dynamic; i++)
        if (elf->dynamic[i].d_tag == DT_NEEDED && elf->dynamic[i].d_un.d_val >= strings_len)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "a needed library has no name");
    return 0;
}

/* ---- memory ------------------------------------------------------------- */

static const char *some_thread_local(const struct molt_elf *elf)
{
    for (size_t i = 0; i < elf->symtab.n; i++) {
        const Elf64_Sym *sym = &elf->symtab.syms[i];
        const char *name = molt_elf_symbol_name(&elf->symtab, sym);
        /* $d and its like are mapping symbols ("ELF for the Arm 64-bit
         * Architecture", 5.5.4); assemblers give them the section's type. */
        if (ELF64_ST_TYPE(sym->st_info) == STT_TLS && sym->st_shndx != SHN_UNDEF && *name != '$')
            return name;
    }
    return "one without a name";
}

static int check_memory(const struct molt_elf *elf, struct molt_error *err)
{
    const Elf64_Phdr *segment;
    if (is_segment(elf, PT_TLS, &segment))
        return molt_rule_break(err, MOLT_RULE_THREAD_LOCAL, "%s", some_thread_local(elf));
    if (!is_segment(elf, PT_GNU_STACK, &segment))
        return molt_rule_break(err, MOLT_RULE_EXEC_STACK,
                               "PT_GNU_STACK is absent, which means executable");
    if (segment->p_flags & PF_X)
        return molt_rule_break(err, MOLT_RULE_EXEC_STACK, "PT_GNU_STACK has the X flag");
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) && (p->p_flags & PF_X))
            return molt_rule_break(err, MOLT_RULE_WRITABLE_CODE, "the segment at 0x%" PRIx64,
                                   p->p_vaddr);
    }
    return 0;
}

/* ---- symbols and relocations -------------------------------------------- */

static int check_symbols(const struct molt_elf *elf, struct molt_error *err)
{
    for (size_t i = 1; i < elf->dynsym.n; i++) {
        const Elf64_Sym *sym = &elf->dynsym.syms[i];
        const char *name = molt_elf_symbol_name(&elf->dynsym, sym);
        if (ELF64_ST_BIND(sym->st_info) == STB_GNU_UNIQUE)
            return molt_rule_break(err, MOLT_RULE_UNIQUE, "%s", name);
        if (ELF64_ST_TYPE(sym->st_info) == STT_GNU_IFUNC && sym->st_shndx != SHN_UNDEF)
            return molt_rule_break(err, MOLT_RULE_IFUNC, "%s", name);
    }
    return 0;
}

static const Elf64_Phdr *segment_at(const struct molt_elf *elf, uint64_t addr)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && addr >= p->p_vaddr && addr - p->p_vaddr < p->p_memsz)
            return p;
    }
    return NULL;
}

static int check_reloc(const struct molt_elf *elf, const Elf64_Rela *rela, struct molt_error *err)
{
    const Elf64_Sym *sym = &elf->dynsym.syms[ELF64_R_SYM(rela->r_info)];
    const char *name = molt_elf_symbol_name(&elf->dynsym, sym);
    const Elf64_Phdr *target = segment_at(elf, rela->r_offset);
    switch (molt_elf_reloc_kind(elf, rela)) {
    case MOLT_RELOC_NONE:
        return 0;
    case MOLT_RELOC_COPY:
        return molt_rule_break(err, MOLT_RULE_IMPORTED_DATA, "%s is copied at load", name);
    case MOLT_RELOC_IRELATIVE:
        return molt_rule_break(err, MOLT_RULE_IFUNC, "a relocation calls 0x%" PRIx64,
                               (uint64_t)rela->r_addend);
    case MOLT_RELOC_TLS_STATIC:
        return molt_rule_break(err, MOLT_RULE_STATIC_TLS, "%s", *name ? name : "a local variable");
    case MOLT_RELOC_TLS:
        return molt_rule_break(err, MOLT_RULE_THREAD_LOCAL, "%s",
                               *name ? name : "a local variable");
    case MOLT_RELOC_UNKNOWN:
        return molt_rule_break(err, MOLT_RULE_RELOCATION, "type %" PRIu64 " for %s",
                               (uint64_t)ELF64_R_TYPE(rela->r_info), *name ? name : "no symbol");
    default:
        break;
    }
    if (!target || target->p_vaddr + target->p_memsz - rela->r_offset < 8)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "a relocation of unmapped memory");
    if (!(target->p_flags & PF_W))
        return molt_rule_break(err, MOLT_RULE_TEXT_RELOCATION, "at 0x%" PRIx64 "%s%s",
                               (uint64_t)rela->r_offset, *name ? " for " : "", name);
    return 0;
}

static int check_relocs(const struct molt_elf *elf, struct molt_error *err)
{
    for (size_t i = 0; i < elf->n_relocs; i++) {
        int rc = check_reloc(elf, &elf->relocs[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- build-id ----------------------------------------------------------- */

#define NOTE_HEAD 12

/* The note NT_GNU_BUILD_ID ("GNU", type 3) among those of @bytes. */
static const uint8_t *find_build_id(const uint8_t *bytes, uint64_t len, uint32_t *ret_len)
{
    while (len >= NOTE_HEAD) {
        uint32_t head[3]; /* name size, descriptor size, type */
        memcpy(head, bytes, sizeof head);
        uint64_t name = ((uint64_t)head[0] + 3) & ~(uint64_t)3;
        uint64_t desc = ((uint64_t)head[1] + 3) & ~(uint64_t)3;
        if (NOTE_HEAD + name + desc > len)
            return NULL;
        if (head[0] == 4 && memcmp(bytes + NOTE_HEAD, "GNU", 4) == 0 &&
            head[2] == NT_GNU_BUILD_ID) {
            *ret_len = head[1];
            return bytes + NOTE_HEAD + name;
        }
        bytes += NOTE_HEAD + name + desc;
        len -= NOTE_HEAD + name + desc;
    }
    return NULL;
}

static int read_build_id(struct molt_image *image, struct molt_error *err)
{
    const struct molt_elf *elf = &image->elf;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        uint32_t len = 0;
        if (p->p_type != PT_NOTE)
            continue;
        const uint8_t *id = find_build_id(elf->bytes + p->p_offset, p->p_filesz, &len);
        if (!id)
            continue;
        if (len < 8 || len > MOLT_BUILD_ID_MAX)
            return molt_rule_break(err, MOLT_RULE_BUILD_ID, "it has %" PRIu32 " bytes", len);
        memcpy(image->meta->build_id, id, len);
        image->meta->build_id_len = len;
        image->build_id_at = (size_t)(id - elf->bytes);
        return 0;
    }
    return molt_rule_break(err, MOLT_RULE_BUILD_ID, "the note is absent");
}

int molt_image_check_elf(struct molt_image *image, struct molt_error *err)
{
    const struct molt_elf *elf = &image->elf;
    int rc;
    if (elf->header.e_type != ET_DYN)
        return molt_rule_break(err, MOLT_RULE_FILE_TYPE, "it is an object file (.o)");
    if ((rc = check_tags(elf, err)) < 0 || (rc = check_memory(elf, err)) < 0 ||
        (rc = check_symbols(elf, err)) < 0 || (rc = check_relocs(elf, err)) < 0 ||
        (rc = check_descriptor(image, err)) < 0 ||
        (rc = molt_image_check_constructors(image, err)) < 0)
        return rc;
    return read_build_id(image, err);
}
