/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Uses go through a word of the GOT, and what the code does with that word is
 * seen in its instructions, see uses_code.h. Chance hits are possible in theory;
 * they would only spoil a line number in a message. clang's debug info says
 * nothing of extern variables, so the instruction decides between call and data
 * there.
 */
#include "types/uses.h"

#include "types/uses_code.h"

typedef void scan_fn(struct molt_uses_scan *scan, uint64_t addr, const uint8_t *bytes,
                     uint64_t len);

static void scan_code(const struct molt_elf *elf, struct molt_uses_scan *scan)
{
    scan_fn *fn =
        elf->header.e_machine == EM_AARCH64 ? molt_uses_scan_aarch64 : molt_uses_scan_x86_64;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
            fn(scan, p->p_vaddr, elf->bytes + p->p_offset, p->p_filesz);
    }
}

/* An address in a table: the variable that holds it. */
static void place_in_table(struct molt_image *image, uint64_t addr, char *place, size_t size)
{
    const struct molt_debug *d = &image->debug;
    size_t i = 0;
    while (i < d->n_vars && d->vars[i].addr <= addr)
        i++;
    if (i == 0)
        return;
    Dwarf_Die die = d->vars[i - 1].die;
    molt_debug_place(&image->debug, &die, place, size);
}

enum molt_use molt_uses_find(struct molt_image *image, size_t index, char *place, size_t size)
{
    const struct molt_elf *elf = &image->elf;
    struct molt_uses_scan scan = {0};
    place[0] = '\0';
    for (size_t i = 0; i < elf->n_relocs; i++) {
        if (ELF64_R_SYM(elf->relocs[i].r_info) != index)
            continue;
        if (molt_elf_reloc_kind(elf, &elf->relocs[i]) == MOLT_RELOC_ABS64) {
            place_in_table(image, elf->relocs[i].r_offset, place, size);
            continue;
        }
        scan.slot = elf->relocs[i].r_offset;
        scan_code(elf, &scan);
    }
    uint64_t at = scan.call ? scan.call : scan.access;
    if (at)
        molt_debug_code_place(&image->debug, at, place, size);
    Dwarf_Die declared;
    const char *name = molt_elf_symbol_name(&elf->dynsym, &elf->dynsym.syms[index]);
    enum molt_debug_extern kind = molt_debug_find_extern(&image->debug, name, &declared);
    if (kind != MOLT_EXTERN_UNKNOWN && !at && !place[0])
        molt_debug_place(&image->debug, &declared, place, size);
    if (kind == MOLT_EXTERN_VARIABLE)
        return MOLT_USE_DATA;
    if (kind == MOLT_EXTERN_FUNCTION || scan.call)
        return MOLT_USE_CALL;
    return scan.access ? MOLT_USE_DATA : MOLT_USE_UNKNOWN;
}
