/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What keys and values of a table look like: as the author has them, and as
 * rows keep them.
 *
 * A key is kept as 64-bit words that order like the key when they are compared
 * one after the other as unsigned numbers: integers with the sign bit turned,
 * strings and bytes as big-endian words, filled up with zeroes. Equal keys have
 * equal words, and the words lead back to the key.
 *
 * Threads: any; a layout is immutable.
 */
#ifndef MOLT_RUNTIME_TABLE_LAYOUT_H
#define MOLT_RUNTIME_TABLE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <molt/table.h>

#include "code/type.h"

#define MOLT_TABLE_KEY_WORDS (MOLT_TABLE_KEY_MAX / 8)

struct molt_table_layout {
    const struct molt_type *key_type, *value_type;
    enum molt_table_key key;
    uint32_t key_bytes, key_words;
    uint32_t value_bytes, value_words;
    uint32_t row_bytes; /* with the header */
    uint32_t number;    /* 1, 2, ... within a table; each row has it */
    bool may_point;     /* a word of a row may hold an address */
    bool is_word_key;   /* the key is an integer of 8 bytes: */
    uint64_t key_flip;  /* this turned in it makes the word */
};

/* Checks what a table's types may not be. MOLT_EINVAL, MOLT_ETYPE (a type is
 * not registered). */
int molt_table_layout_init(struct molt_table_layout *layout, const struct molt_type *key_type,
                           enum molt_table_key key, const struct molt_type *value_type,
                           struct molt_error *err);

/* Is @type what may be passed as key? Also a char, in front of a string. */
bool molt_table_layout_takes(const struct molt_table_layout *layout, const struct molt_type *type);

/* @key, which is a @type that the layout takes, as words. MOLT_EINVAL: NULL, or
 * a string that doesn't fit. */
int molt_table_key_encode_any(const struct molt_table_layout *layout, const struct molt_type *type,
                              const void *key, uint64_t *words);
static inline int molt_table_key_encode(const struct molt_table_layout *layout,
                                        const struct molt_type *type, const void *key,
                                        uint64_t *words)
{
    if (__builtin_expect(!layout->is_word_key || !key, 0))
        return molt_table_key_encode_any(layout, type, key, words);
    memcpy(words, key, 8);
    words[0] ^= layout->key_flip;
    return 0;
}
void molt_table_key_decode(const struct molt_table_layout *layout, const uint64_t *words,
                           void *ret_key);
/* For people: 17, "alice", 0x0a0b.... */
void molt_table_key_print(const struct molt_table_layout *layout, const uint64_t *words, char *buf,
                          size_t size);
int molt_table_key_compare(const uint64_t *a, const uint64_t *b, size_t n_words);

/* 32 well mixed bits; @seed is secret, so that nobody can choose keys that all
 * fall into one bucket. */
static inline uint32_t molt_table_key_hash(const uint64_t *words, size_t n_words, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < n_words; i++) {
        /* Multiplying by odd constants moves bits up, the shifts move them down. */
        h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
        h = (h ^ seed) * UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ (h >> 32));
}

#endif
