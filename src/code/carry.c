/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Encoding: u32 version, then the members of struct molt_carry in the order in
 * which molt_carry_encode() writes them (base/buf.h for the elements).
 */
#include "code/carry.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CARRY_VERSION 1u

void molt_carry_free(struct molt_carry *carry)
{
    if (!carry)
        return;
    free(carry->module);
    for (size_t i = 0; carry->items && i < carry->n; i++) {
        free(carry->items[i].name);
        molt_recipe_free(carry->items[i].recipe);
    }
    free(carry->items);
    free(carry);
}

int molt_carry_encode(const struct molt_carry *carry, struct molt_buf *out)
{
    molt_buf_u32(out, CARRY_VERSION);
    molt_buf_str(out, carry->module);
    molt_buf_add(out, carry->from_digest, sizeof(carry->from_digest));
    molt_buf_add(out, carry->to_digest, sizeof(carry->to_digest));
    molt_buf_u32(out, (uint32_t)carry->n);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < carry->n; i++) {
        struct molt_buf bytes = MOLT_BUF_INIT;
        rc = molt_recipe_encode(carry->items[i].recipe, &bytes);
        molt_buf_str(out, carry->items[i].name);
        molt_buf_u64(out, carry->items[i].old_at);
        molt_buf_u64(out, carry->items[i].new_at);
        molt_buf_bytes(out, bytes.data, bytes.len);
        molt_buf_fini(&bytes);
    }
    return rc < 0 || out->is_failed ? MOLT_ENOMEM : 0;
}

/* ---- decoding ---------------------------------------------------------------------- */

static void get_digest(struct molt_reader *r, uint8_t digest[32])
{
    const uint8_t *bytes = molt_reader_raw(r, 32);
    if (bytes)
        memcpy(digest, bytes, 32);
}

/* Ascending, disjoint, within what 32 bits can say; and one value each. */
static bool is_sound(const struct molt_carried *item, uint64_t *end)
{
    const struct molt_recipe *r = item->recipe;
    bool ok = item->old_at >= *end && item->old_at <= UINT32_MAX - (uint64_t)r->from_size &&
              item->new_at <= UINT32_MAX - (uint64_t)r->to_size && r->from_size > 0 &&
              r->to_size > 0 && !r->change_module &&
              molt_recipe_new_bytes(r, r->from_size) == r->to_size;
    *end = item->old_at + r->from_size;
    return ok;
}

static int get_items(struct molt_reader *r, struct molt_carry *carry, struct molt_error *err)
{
    size_t n = molt_reader_count(r, 4 + 8 + 8 + 4);
    uint64_t end = 0;
    carry->items = calloc(n ? n : 1, sizeof(*carry->items));
    if (!carry->items)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the list of globals");
    carry->n = n;
    for (size_t i = 0; i < n && !r->is_failed; i++) {
        struct molt_carried *item = &carry->items[i];
        size_t len;
        item->name = molt_reader_str(r);
        item->old_at = molt_reader_u64(r);
        item->new_at = molt_reader_u64(r);
        const uint8_t *bytes = molt_reader_bytes(r, &len);
        int rc = r->is_failed ? 0 : molt_recipe_decode(bytes, len, &item->recipe, err);
        if (rc < 0)
            return rc;
        if (!r->is_failed && !is_sound(item, &end))
            r->is_failed = true;
    }
    return 0;
}

int molt_carry_decode(const void *bytes, size_t len, struct molt_carry **ret,
                      struct molt_error *err)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    if (molt_reader_u32(&r) != CARRY_VERSION || r.is_failed)
        return molt_error_set(err, MOLT_EFORMAT,
                              "the list of globals has another format version; agent and host "
                              "must be of the same molt release");
    struct molt_carry *carry = calloc(1, sizeof(*carry));
    if (!carry)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the list of globals");
    carry->module = molt_reader_str(&r);
    get_digest(&r, carry->from_digest);
    get_digest(&r, carry->to_digest);
    int rc = get_items(&r, carry, err);
    if (rc == 0 && molt_reader_at_end(&r) && carry->module && carry->module[0]) {
        *ret = carry;
        return 0;
    }
    molt_carry_free(carry);
    if (rc < 0)
        return rc;
    if (r.is_out_of_memory)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the list of globals");
    return molt_error_set(err, MOLT_EFORMAT, "the list of globals is malformed");
}

/* ---- finding ----------------------------------------------------------------------- */

/* The last that begins at or before @at. */
static const struct molt_carried *last_before(const struct molt_carry *carry, uint64_t at)
{
    size_t lo = 0, hi = carry->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (carry->items[mid].old_at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &carry->items[lo - 1] : NULL;
}

int molt_carry_find(const struct molt_carry *carry, uint32_t old_at, uint64_t type, uint32_t *ret,
                    char *why, size_t why_size)
{
    const struct molt_carried *item = last_before(carry, old_at);
    size_t now;
    /* What lies right behind a variable may be its end: if nothing follows that begins there. */
    if (!item || old_at - item->old_at > item->recipe->from_size)
        return MOLT_ENOENT;
    int rc = molt_recipe_forward(item->recipe, item->recipe->from_size, old_at - item->old_at, type,
                                 &now, why, why_size);
    if (rc == 0)
        *ret = (uint32_t)(item->new_at + now);
    return rc;
}
