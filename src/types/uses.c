/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * With -fno-plt all uses go through a word of the GOT, addressed relative to
 * the program counter on x86-64: bytes in the code whose value leads from their
 * end to that word are a use. Chance hits are possible in theory; they would
 * only spoil a line number in a message. clang's debug info says nothing of
 * extern variables, so the instruction decides between call and data there.
 */
#include "types/uses.h"

#include <string.h>

/* Bytes of code between loading an address and calling it. */
#define CALL_WITHIN 64

struct scan {
    const struct molt_elf *elf;
    uint64_t slot;   /* the GOT word */
    uint64_t call;   /* address of a call or jump through it, or 0 */
    uint64_t access; /* address of another use, or 0 */
};

/* clang -O0 loads the address into a register first: REX.W 8B /r, and somewhat
 * later FF /2 with that register. @i: of the displacement. */
static bool is_called_by_register(const uint8_t *bytes, uint64_t len, uint64_t i)
{
    if (i < 3 || (bytes[i - 3] & 0xf8) != 0x48 || bytes[i - 2] != 0x8b)
        return false;
    uint8_t reg = (bytes[i - 1] >> 3) & 7;
    bool is_upper = bytes[i - 3] & 4;
    uint64_t end = i + 4 + CALL_WITHIN < len ? i + 4 + CALL_WITHIN : len;
    for (uint64_t k = i + 4; k + 2 <= end; k++)
        if (bytes[k] == 0xff && bytes[k + 1] == (0xd0 | reg) && (bytes[k - 1] == 0x41) == is_upper)
            return true;
    return false;
}

static void scan_bytes(struct scan *scan, uint64_t addr, const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 2; i + 4 <= len; i++) {
        int32_t distance;
        memcpy(&distance, bytes + i, sizeof distance);
        if (addr + i + 4 + (uint64_t)(int64_t)distance != scan->slot)
            continue;
        /* FF /2 is call, FF /4 jmp, with a modrm byte of mode RIP + disp32 */
        bool is_call = bytes[i - 2] == 0xff && (bytes[i - 1] == 0x15 || bytes[i - 1] == 0x25);
        is_call = is_call || is_called_by_register(bytes, len, i);
        uint64_t *found = is_call ? &scan->call : &scan->access;
        if (!*found)
            *found = addr + i - 2;
    }
}

static void scan_code(struct scan *scan)
{
    const struct molt_elf *elf = scan->elf;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
            scan_bytes(scan, p->p_vaddr, elf->bytes + p->p_offset, p->p_filesz);
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
    struct scan scan = {.elf = elf};
    place[0] = '\0';
    for (size_t i = 0; i < elf->n_relocs; i++) {
        if (ELF64_R_SYM(elf->relocs[i].r_info) != index)
            continue;
        if (molt_elf_reloc_kind(elf, &elf->relocs[i]) == MOLT_RELOC_ABS64) {
            place_in_table(image, elf->relocs[i].r_offset, place, size);
            continue;
        }
        scan.slot = elf->relocs[i].r_offset;
        if (elf->header.e_machine == EM_X86_64)
            scan_code(&scan);
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
