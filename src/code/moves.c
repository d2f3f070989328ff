/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Encoding: u32 version, then the members of struct molt_moves in the order in
 * which molt_moves_encode() writes them (base/buf.h for the elements).
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "code/recipe.h"

#define MOVES_VERSION 1u

void molt_moves_free(struct molt_moves *moves)
{
    if (!moves)
        return;
    free(moves->module);
    free(moves->moves);
    for (size_t i = 0; moves->gone && i < moves->n_gone; i++)
        free(moves->gone[i].name);
    free(moves->gone);
    free(moves);
}

int molt_moves_encode(const struct molt_moves *moves, struct molt_buf *out)
{
    molt_buf_u32(out, MOVES_VERSION);
    molt_buf_str(out, moves->module);
    molt_buf_add(out, moves->from_digest, sizeof(moves->from_digest));
    molt_buf_add(out, moves->to_digest, sizeof(moves->to_digest));
    molt_buf_u32(out, (uint32_t)moves->n_moves);
    for (size_t i = 0; i < moves->n_moves; i++) {
        molt_buf_u32(out, moves->moves[i].old_at);
        molt_buf_u32(out, moves->moves[i].new_at);
        molt_buf_u32(out, moves->moves[i].len);
        molt_buf_u8(out, moves->moves[i].is_function != 0);
        molt_buf_u8(out, moves->moves[i].is_text != 0);
    }
    molt_buf_u32(out, (uint32_t)moves->n_gone);
    for (size_t i = 0; i < moves->n_gone; i++) {
        molt_buf_u32(out, moves->gone[i].old_at);
        molt_buf_u32(out, moves->gone[i].len);
        molt_buf_str(out, moves->gone[i].name);
    }
    return out->is_failed ? MOLT_ENOMEM : 0;
}

/* ---- decoding ---------------------------------------------------------------------- */

static void *get_array(struct molt_reader *r, size_t n, size_t size)
{
    void *array = calloc(n ? n : 1, size);
    if (!array)
        r->is_failed = r->is_out_of_memory = true;
    return array;
}

static void get_digest(struct molt_reader *r, uint8_t digest[32])
{
    const uint8_t *bytes = molt_reader_raw(r, 32);
    if (bytes)
        memcpy(digest, bytes, 32);
}

/* Ascending, disjoint, and inside what 32 bits can say. */
static bool is_behind(uint64_t at, uint64_t len, uint64_t *end)
{
    bool ok = at >= *end && at + len <= UINT32_MAX;
    /* Two things that take no bytes can't be at one place either. */
    *end = at + (len ? len : 1);
    return ok;
}

static void get_moves(struct molt_reader *r, struct molt_moves *moves)
{
    size_t n = molt_reader_count(r, 4 + 4 + 4 + 1 + 1);
    uint64_t end = 0;
    moves->moves = get_array(r, n, sizeof(*moves->moves));
    moves->n_moves = moves->moves ? n : 0;
    for (size_t i = 0; i < moves->n_moves && !r->is_failed; i++) {
        struct molt_move *move = &moves->moves[i];
        move->old_at = molt_reader_u32(r);
        move->new_at = molt_reader_u32(r);
        move->len = molt_reader_u32(r);
        move->is_function = molt_reader_u8(r) != 0;
        move->is_text = molt_reader_u8(r) != 0;
        if (!is_behind(move->old_at, move->len, &end) ||
            (uint64_t)move->new_at + move->len > UINT32_MAX)
            r->is_failed = true;
    }
}

static void get_gone(struct molt_reader *r, struct molt_moves *moves)
{
    size_t n = molt_reader_count(r, 4 + 4 + 4);
    uint64_t end = 0;
    moves->gone = get_array(r, n, sizeof(*moves->gone));
    moves->n_gone = moves->gone ? n : 0;
    for (size_t i = 0; i < moves->n_gone && !r->is_failed; i++) {
        moves->gone[i].old_at = molt_reader_u32(r);
        moves->gone[i].len = molt_reader_u32(r);
        moves->gone[i].name = molt_reader_str(r);
        if (!is_behind(moves->gone[i].old_at, moves->gone[i].len, &end))
            r->is_failed = true;
    }
}

int molt_moves_decode(const void *bytes, size_t len, struct molt_moves **ret,
                      struct molt_error *err)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    if (molt_reader_u32(&r) != MOVES_VERSION || r.is_failed)
        return molt_error_set(err, MOLT_EFORMAT,
                              "the list of moved functions has another format version; agent and "
                              "host must be of the same molt release");
    struct molt_moves *moves = calloc(1, sizeof(*moves));
    if (!moves)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    moves->module = molt_reader_str(&r);
    get_digest(&r, moves->from_digest);
    get_digest(&r, moves->to_digest);
    get_moves(&r, moves);
    get_gone(&r, moves);
    if (molt_reader_at_end(&r) && moves->module[0]) {
        *ret = moves;
        return 0;
    }
    molt_moves_free(moves);
    if (r.is_out_of_memory)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the list of moved functions");
    return molt_error_set(err, MOLT_EFORMAT, "the list of moved functions is malformed");
}

/* ---- finding ----------------------------------------------------------------------- */

/* The last that begins at or before @at. */
static const struct molt_move *last_before(const struct molt_moves *moves, uint32_t at)
{
    size_t lo = 0, hi = moves->n_moves;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (moves->moves[mid].old_at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &moves->moves[lo - 1] : NULL;
}

static const char *gone_at(const struct molt_moves *moves, uint32_t at)
{
    size_t lo = 0, hi = moves->n_gone;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (moves->gone[mid].old_at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    const struct molt_gone *gone = &moves->gone[lo - 1];
    return at == gone->old_at || at - gone->old_at < gone->len ? gone->name : NULL;
}

int molt_moves_find(const struct molt_moves *moves, uint32_t old_at, uint64_t type,
                    uint32_t *ret_new_at, const char **ret_gone)
{
    const struct molt_move *move = last_before(moves, old_at);
    const char *gone = gone_at(moves, old_at);
    uint32_t inside = move ? old_at - move->old_at : 0;
    bool is_in = move && (inside == 0 || (!move->is_function && inside < move->len));
    /* One past the end of a variable, if nothing begins there. */
    bool is_end = move && !move->is_function && !move->is_text && inside == move->len && !gone;
    bool is_of_type = move && (!move->is_text || type == MOLT_RECIPE_TYPE_TEXT);
    if ((is_in || is_end) && is_of_type) {
        *ret_new_at = move->new_at + inside;
        return 0;
    }
    if (ret_gone)
        *ret_gone = gone;
    return MOLT_ENOENT;
}
