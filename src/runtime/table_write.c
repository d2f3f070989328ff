/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_write.h"

static _Atomic(uint64_t) *value_of(const struct molt_table_layout *layout,
                                   struct molt_table_row *row)
{
    return &row->words[layout->key_words];
}

static bool is_value(const struct molt_table_layout *layout, struct molt_table_row *row,
                     const void *expected)
{
    const _Atomic(uint64_t) *words = value_of(layout, row);
    const char *at = expected;
    size_t left = layout->value_bytes;
    for (; left >= 8; left -= 8, at += 8, words++) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (word != molt_table_word(words))
            return false;
    }
    uint64_t word = 0;
    memcpy(&word, at, left);
    return left == 0 || word == molt_table_word(words);
}

/* The usual case: a field of a word. */
static void add_to_word(const struct molt_table_layout *layout, struct molt_table_row *row,
                        struct molt_table_write *w)
{
    _Atomic(uint64_t) *word = value_of(layout, row) + w->field.offset / 8;
    uint64_t now = molt_table_word(word) + (uint64_t)w->delta;
    atomic_store_explicit(word, now, memory_order_relaxed);
    w->sum = (int64_t)now;
}

/* Through a copy of at most two words, because the field may lie anywhere. */
static void add_to_window(const struct molt_table_layout *layout, struct molt_table_row *row,
                          struct molt_table_write *w)
{
    uint64_t window[2] = {0};
    uint32_t first = w->field.offset / 8, at = w->field.offset % 8;
    size_t n = at + w->field.size > 8 ? 2 : 1;
    _Atomic(uint64_t) *words = value_of(layout, row) + first;
    for (size_t i = 0; i < n; i++)
        window[i] = molt_table_word(&words[i]);
    char *field = (char *)window + at;
    if (w->field.size == 4) {
        uint32_t now;
        memcpy(&now, field, 4);
        now += (uint32_t)w->delta;
        memcpy(field, &now, 4);
        w->sum = w->field.is_signed ? (int64_t)(int32_t)now : (int64_t)now;
    } else {
        uint64_t now;
        memcpy(&now, field, 8);
        now += (uint64_t)w->delta;
        memcpy(field, &now, 8);
        w->sum = (int64_t)now;
    }
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&words[i], window[i], memory_order_relaxed);
}

static void add_to_field(const struct molt_table_layout *layout, struct molt_table_row *row,
                         struct molt_table_write *w)
{
    if (w->field.size == 8 && w->field.offset % 8 == 0)
        add_to_word(layout, row, w);
    else
        add_to_window(layout, row, w);
}

static void overwrite(const struct molt_table_layout *layout, struct molt_table_row *row,
                      const void *value)
{
    molt_table_words_in(value_of(layout, row), value, layout->value_bytes);
}

static enum molt_table_act apply_absent(struct molt_table_write *w)
{
    bool is_adding = w->op == MOLT_TABLE_OP_PUT || w->op == MOLT_TABLE_OP_INSERT ||
                     (w->op == MOLT_TABLE_OP_ADD && w->value);
    w->rc = is_adding ? 0 : MOLT_ENOENT;
    return is_adding ? MOLT_TABLE_ADD_ROW : MOLT_TABLE_KEEP;
}

enum molt_table_act molt_table_write_apply(const struct molt_table_layout *layout,
                                           struct molt_table_row *row, struct molt_table_write *w)
{
    w->rc = 0;
    if (!row)
        return apply_absent(w);
    if (atomic_load_explicit(&row->layout, memory_order_relaxed) != layout->number) {
        w->rc = MOLT_ETYPE; /* it waits to be migrated */
        return MOLT_TABLE_KEEP;
    }
    switch (w->op) {
    case MOLT_TABLE_OP_PUT:
        overwrite(layout, row, w->value);
        return MOLT_TABLE_CHANGED;
    case MOLT_TABLE_OP_INSERT:
        w->rc = MOLT_EEXIST;
        return MOLT_TABLE_KEEP;
    case MOLT_TABLE_OP_TAKE:
        molt_table_words_out(value_of(layout, row), w->ret_value, layout->value_bytes);
        return MOLT_TABLE_REMOVE;
    case MOLT_TABLE_OP_DELETE:
        return MOLT_TABLE_REMOVE;
    case MOLT_TABLE_OP_TOUCH:
        return MOLT_TABLE_CHANGED;
    case MOLT_TABLE_OP_ADD:
        add_to_field(layout, row, w);
        return MOLT_TABLE_CHANGED;
    default:
        break;
    }
    if (!is_value(layout, row, w->expected)) {
        w->rc = 1;
        return MOLT_TABLE_KEEP;
    }
    if (w->op == MOLT_TABLE_OP_DELETE_SAME)
        return MOLT_TABLE_REMOVE;
    overwrite(layout, row, w->value);
    return MOLT_TABLE_CHANGED;
}

void molt_table_write_fill(const struct molt_table_layout *layout, struct molt_table_row *row,
                           struct molt_table_write *w)
{
    atomic_store_explicit(&row->hash, w->hash, memory_order_relaxed);
    atomic_store_explicit(&row->layout, layout->number, memory_order_relaxed);
    for (size_t i = 0; i < layout->key_words; i++)
        atomic_store_explicit(&row->words[i], w->key[i], memory_order_relaxed);
    overwrite(layout, row, w->value);
    if (w->op == MOLT_TABLE_OP_ADD)
        add_to_field(layout, row, w);
}
