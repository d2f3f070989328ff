/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * With -fno-plt all uses go through a word of the GOT, addressed relative to
 * the program counter: bytes in the code whose value leads from their end to
 * that word are a use.
 */
#include "types/uses_code.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of code between loading an address and calling it. */
#define CALL_WITHIN 64

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

void molt_uses_scan_x86_64(struct molt_uses_scan *scan, uint64_t addr, const uint8_t *bytes,
                           uint64_t len)
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
