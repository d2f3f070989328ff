/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <dlfcn.h>
#include <string.h>

#include "port/unwind.h"
#include "port/unwind_bytes.h"

/* Pointer encodings (LSB 5.0 core, 10.5.1), those that linkers and compilers
 * use for position-independent code. */
#define PE_ABSPTR 0x00
#define PE_UDATA4 0x03
#define PE_SDATA4 0x0b
#define PE_SDATA8 0x0c
#define PE_PCREL 0x10
#define PE_DATAREL 0x30
#define PE_INDIRECT 0x80

struct cie {
    const uint8_t *initial, *initial_end;
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding; /* of addresses in its FDEs */
    bool has_augmentation_data;
    bool is_signal_frame;
};

static unsigned width_of(unsigned encoding)
{
    switch (encoding & 0x0f) {
    case PE_UDATA4:
    case PE_SDATA4:
        return 4;
    case PE_ABSPTR:
    case PE_SDATA8:
        return 8;
    default:
        return 0;
    }
}

/* An address; @encoding is relative to its own place or absolute. */
static uintptr_t read_address(struct molt_bytes *b, unsigned encoding)
{
    uintptr_t place = (uintptr_t)b->at;
    unsigned width = width_of(encoding);
    if (!width || (encoding & 0xf0 & ~PE_PCREL)) {
        b->is_bad = true;
        return 0;
    }
    uintptr_t v = (encoding & 0x0f) == PE_UDATA4 ? molt_bytes_uint(b, width)
                                                 : (uintptr_t)molt_bytes_int(b, width);
    return encoding & PE_PCREL ? place + v : v;
}

/* What stands after the length, which is in front of everything (10.6.1). */
static struct molt_bytes read_entry(const uint8_t *at, const uint8_t *end)
{
    struct molt_bytes b = {at, end, false};
    uint64_t len = molt_bytes_uint(&b, 4);
    if (len == 0 || len == 0xffffffff)
        b.is_bad = true;
    return molt_bytes_part(&b, len);
}

/* The letters behind 'z' say what the augmentation data holds. */
static bool read_augmentation(struct molt_bytes *b, const char *letters, struct cie *ret)
{
    struct molt_bytes data = molt_bytes_part(b, molt_bytes_uleb(b));
    ret->has_augmentation_data = true;
    for (const char *letter = letters; *letter; letter++) {
        unsigned encoding = 0;
        if (*letter == 'S')
            ret->is_signal_frame = true;
        else if (*letter == 'R' || *letter == 'L' || *letter == 'P')
            encoding = (unsigned)molt_bytes_uint(&data, 1);
        else
            return false;
        if (*letter == 'R')
            ret->encoding = (uint8_t)encoding;
        if (*letter == 'P')
            molt_bytes_uint(&data, width_of(encoding));
    }
    return !data.is_bad;
}

static bool read_cie(const uint8_t *at, const uint8_t *end, struct cie *ret)
{
    struct molt_bytes b = read_entry(at, end);
    *ret = (struct cie){.encoding = PE_ABSPTR};
    if (molt_bytes_uint(&b, 4) != 0 || b.is_bad)
        return false;
    uint64_t version = molt_bytes_uint(&b, 1);
    const char *letters = (const char *)b.at;
    while (molt_bytes_uint(&b, 1))
        ;
    if (b.is_bad || (version != 1 && version != 3))
        return false;
    ret->code_align = molt_bytes_uleb(&b);
    ret->data_align = molt_bytes_sleb(&b);
    uint64_t ra = version == 1 ? molt_bytes_uint(&b, 1) : molt_bytes_uleb(&b);
    if (ra != MOLT_UNWIND_RA)
        return false;
    if (*letters && (*letters != 'z' || !read_augmentation(&b, letters + 1, ret)))
        return false;
    ret->initial = b.at;
    ret->initial_end = b.end;
    return !b.is_bad;
}

static bool read_fde(const uint8_t *at, const uint8_t *start, const uint8_t *end,
                     struct molt_unwind_fde *ret)
{
    struct molt_bytes b = read_entry(at, end);
    struct cie cie;
    const uint8_t *place = b.at; /* the CIE is that far before (10.6.1.2) */
    uint64_t back = molt_bytes_uint(&b, 4);
    if (b.is_bad || back == 0 || back > (uint64_t)(place - start) ||
        !read_cie(place - back, end, &cie))
        return false;
    ret->from = read_address(&b, cie.encoding);
    ret->to = ret->from + read_address(&b, cie.encoding & 0x0f);
    if (cie.has_augmentation_data)
        molt_bytes_part(&b, molt_bytes_uleb(&b));
    ret->initial = cie.initial;
    ret->initial_end = cie.initial_end;
    ret->program = b.at;
    ret->program_end = b.end;
    ret->code_align = cie.code_align;
    ret->data_align = cie.data_align;
    ret->is_signal_frame = cie.is_signal_frame;
    return !b.is_bad;
}

/* .eh_frame_hdr (10.6.2): a table of pairs, sorted by address, both relative to
 * the header. Returns the last FDE that begins at or before @pc. */
static const uint8_t *search(uintptr_t pc, const uint8_t *header, const uint8_t *end)
{
    struct molt_bytes b = {header, end, false};
    uint64_t version = molt_bytes_uint(&b, 1);
    unsigned encoding = (unsigned)molt_bytes_uint(&b, 1);
    uint64_t count_encoding = molt_bytes_uint(&b, 1);
    uint64_t table_encoding = molt_bytes_uint(&b, 1);
    if (version != 1 || count_encoding != PE_UDATA4 || table_encoding != (PE_DATAREL | PE_SDATA4))
        return NULL;
    read_address(&b, encoding);
    uint64_t count = molt_bytes_uint(&b, 4);
    struct molt_bytes table = molt_bytes_part(&b, count * 8);
    if (table.is_bad || count == 0)
        return NULL;
    intptr_t offset = (intptr_t)(pc - (uintptr_t)header);
    size_t from = 0, to = count; /* entries before `from` begin at or before pc */
    int32_t pair[2];
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        memcpy(pair, table.at + 8 * middle, sizeof(pair));
        if (pair[0] <= offset)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == 0)
        return NULL;
    memcpy(pair, table.at + 8 * (from - 1), sizeof(pair));
    return header + pair[1];
}

/* _dl_find_object() is async-signal-safe and takes no lock (glibc manual,
 * "Dynamic Linker Introspection"). */
bool molt_unwind_find(uintptr_t pc, struct molt_unwind_fde *ret)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)pc, &object) != 0 || !object.dlfo_eh_frame)
        return false;
    const uint8_t *start = object.dlfo_map_start, *end = object.dlfo_map_end;
    const uint8_t *header = object.dlfo_eh_frame;
    if (header < start || header >= end)
        return false;
    const uint8_t *fde = search(pc, header, end);
    if (!fde || fde < start || fde >= end || !read_fde(fde, start, end, ret))
        return false;
    return pc >= ret->from && pc < ret->to;
}
