/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The address of a GOT word is a page (ADRP) and an offset in it (LDR); gcc's
 * -fno-plt calls through the register that it was loaded into. clang has no
 * such calls for this CPU: they go to a PLT entry, which is the same sequence
 * with a BR at its end, so a call is a branch to that. Encodings: Arm
 * Architecture Reference Manual for A-profile, C4.1.
 */
#include "types/uses_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Instructions between ADRP, LDR and the call; compilers move them apart. */
#define WITHIN 16

/* PLT entries: ADRP x16; LDR x17, [x16]; ADD; BR x17, behind a landing pad for
 * indirect branches where the linker made one. */
#define PLT_REGISTER 17
#define PLT_BRANCH_WITHIN 3

struct code {
    uint64_t addr;
    const uint8_t *bytes;
    size_t n; /* instructions */
};

static uint32_t insn_at(const struct code *code, size_t i)
{
    uint32_t insn;
    memcpy(&insn, code->bytes + 4 * i, sizeof insn);
    return insn;
}

static int64_t sign_extend(uint64_t value, unsigned bits)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);
    return (int64_t)((value ^ sign) - sign);
}

static bool is_adrp(uint32_t insn)
{
    return (insn & 0x9f000000) == 0x90000000;
}

static bool is_ldr(uint32_t insn) /* 64-bit, unsigned offset */
{
    return (insn & 0xffc00000) == 0xf9400000;
}

static uint64_t adrp_page(uint32_t insn, uint64_t pc)
{
    uint64_t imm = (uint64_t)((insn >> 3) & 0x1ffffc) | ((insn >> 29) & 3);
    return (pc & ~UINT64_C(0xfff)) + (uint64_t)sign_extend(imm, 21) * 4096;
}

/* Instruction from @from on, not after @to, that loads the slot from @page in
 * register @base; 0: none. */
static size_t find_load(const struct molt_uses_scan *scan, const struct code *code, size_t from,
                        uint64_t page, uint32_t base)
{
    for (size_t i = from; i < code->n && i < from + WITHIN; i++) {
        uint32_t insn = insn_at(code, i);
        if (is_ldr(insn) && ((insn >> 5) & 31) == base &&
            page + 8 * (uint64_t)((insn >> 10) & 0xfff) == scan->slot)
            return i;
        if (is_adrp(insn) && (insn & 31) == base)
            return 0;
    }
    return 0;
}

/* BLR or BR of register @reg from instruction @from on; 0: none. */
static size_t find_branch(const struct code *code, size_t from, size_t within, uint32_t reg)
{
    for (size_t i = from; i < code->n && i < from + within; i++) {
        uint32_t insn = insn_at(code, i);
        if ((insn & 0xffdffc1f) == 0xd61f0000 && ((insn >> 5) & 31) == reg)
            return i;
        if ((is_adrp(insn) || is_ldr(insn)) && (insn & 31) == reg)
            return 0; /* it holds something else now */
    }
    return 0;
}

/* Address of the first BL or B to the PLT entry that starts at @entry, or one
 * instruction before; 0: none. */
static uint64_t find_caller(const struct code *code, uint64_t entry)
{
    for (size_t i = 0; i < code->n; i++) {
        uint32_t insn = insn_at(code, i);
        if ((insn & 0x7c000000) != 0x14000000)
            continue;
        uint64_t pc = code->addr + 4 * i;
        uint64_t to = pc + (uint64_t)sign_extend(insn & 0x3ffffff, 26) * 4;
        if (to == entry || to + 4 == entry)
            return pc;
    }
    return 0;
}

static void note(uint64_t *found, uint64_t at)
{
    if (!*found)
        *found = at;
}

void molt_uses_scan_aarch64(struct molt_uses_scan *scan, uint64_t addr, const uint8_t *bytes,
                            uint64_t len)
{
    struct code code = {.addr = addr, .bytes = bytes, .n = (size_t)(len / 4)};
    for (size_t i = 0; i < code.n; i++) {
        uint32_t adrp = insn_at(&code, i);
        if (!is_adrp(adrp))
            continue;
        uint64_t page = adrp_page(adrp, addr + 4 * i);
        size_t load =
            scan->slot - page < 0x8000 ? find_load(scan, &code, i + 1, page, adrp & 31) : 0;
        if (!load)
            continue;
        uint32_t reg = insn_at(&code, load) & 31;
        size_t branch = find_branch(&code, load + 1, WITHIN, reg);
        bool is_plt = reg == PLT_REGISTER && branch && branch < load + PLT_BRANCH_WITHIN;
        if (is_plt)
            note(&scan->call, find_caller(&code, addr + 4 * i));
        else if (branch)
            note(&scan->call, addr + 4 * branch);
        else
            note(&scan->access, addr + 4 * i);
    }
}
