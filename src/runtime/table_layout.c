/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_layout.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/table_row.h"

static const char *text(const char *maybe)
{
    return maybe ? maybe : "?";
}

static const struct molt_meta_ptr *find_pointer(const struct molt_type *type,
                                                enum molt_ptr_kind kind)
{
    for (size_t i = 0; i < type->n_ptrs; i++)
        if (type->ptrs[i].kind == kind)
            return &type->ptrs[i];
    return NULL;
}

static bool is_integer_size(uint32_t size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

static int check_key(const struct molt_type *type, enum molt_table_key key, struct molt_error *err)
{
    if (key == MOLT_TABLE_KEY_NONE)
        return molt_error_set(err, MOLT_EINVAL,
                              "%s is no key for a table, because floating-point numbers that are "
                              "equal may differ in their bytes: use an integer, a char array or a "
                              "struct of them",
                              type->name);
    if (key > MOLT_TABLE_KEY_BYTES || type->size == 0 || type->size > MOLT_TABLE_KEY_MAX ||
        (key <= MOLT_TABLE_KEY_SIGNED && !is_integer_size(type->size)))
        return molt_error_set(err, MOLT_EINVAL,
                              "%s with its %u bytes is no key for a table: a key has 1 to %d bytes",
                              type->name, type->size, MOLT_TABLE_KEY_MAX);
    const struct molt_meta_ptr *ptr = find_pointer(type, MOLT_PTR_DATA);
    if (!ptr)
        ptr = find_pointer(type, MOLT_PTR_CODE);
    if (ptr)
        return molt_error_set(err, MOLT_EINVAL,
                              "%s is no key for a table, because '%s' is a pointer, and equal keys "
                              "would have different addresses: put what it points to into the key",
                              type->name, text(ptr->field));
    return 0;
}

static int check_value(const struct molt_type *type, struct molt_error *err)
{
    if (type->size == 0 || type->size > MOLT_TABLE_VALUE_MAX)
        return molt_error_set(err, MOLT_EINVAL,
                              "%s with its %u bytes is no value for a table: a value has 1 to %d "
                              "bytes; keep larger ones in a process",
                              type->name, type->size, MOLT_TABLE_VALUE_MAX);
    const struct molt_meta_ptr *ptr = find_pointer(type, MOLT_PTR_DATA);
    if (ptr)
        return molt_error_set(err, MOLT_EINVAL,
                              "%s is no value for a table, because '%s' points to data, which "
                              "would belong to one process and die with it: put the bytes into the "
                              "value, or keep it in a process",
                              type->name, text(ptr->field));
    return 0;
}

int molt_table_layout_init(struct molt_table_layout *layout, const struct molt_type *key_type,
                           enum molt_table_key key, const struct molt_type *value_type,
                           struct molt_error *err)
{
    if (!key_type || !value_type)
        return molt_error_set(err, MOLT_ETYPE,
                              "the types of the table are not registered; the code that makes it "
                              "was not loaded as a module");
    int rc = check_key(key_type, key, err);
    if (rc == 0)
        rc = check_value(value_type, err);
    if (rc < 0)
        return rc;
    *layout = (struct molt_table_layout){
        .key_type = key_type,
        .value_type = value_type,
        .key = key,
        .key_bytes = key_type->size,
        .key_words = (key_type->size + 7) / 8,
        .value_bytes = value_type->size,
        .value_words = (value_type->size + 7) / 8,
        .number = 1,
        .may_point = key_type->may_point || value_type->may_point,
        .is_word_key = key_type->size == 8 && key <= MOLT_TABLE_KEY_SIGNED,
        .key_flip = (uint64_t)(key == MOLT_TABLE_KEY_SIGNED) << 63,
    };
    layout->row_bytes =
        (uint32_t)sizeof(struct molt_table_row) + 8 * (layout->key_words + layout->value_words);
    return 0;
}

static bool is_string(const struct molt_table_layout *layout, const struct molt_type *type)
{
    return layout->key == MOLT_TABLE_KEY_STRING && type != layout->key_type;
}

bool molt_table_layout_takes(const struct molt_table_layout *layout, const struct molt_type *type)
{
    if (type == layout->key_type)
        return type != NULL;
    return type && layout->key == MOLT_TABLE_KEY_STRING && type->size == 1 &&
           strcmp(type->key_text, "char") == 0;
}

static uint64_t load_integer(const struct molt_table_layout *layout, const void *key)
{
    uint64_t u8 = 0;
    uint32_t u4 = 0;
    uint16_t u2 = 0;
    uint8_t u1 = 0;
    bool is_signed = layout->key == MOLT_TABLE_KEY_SIGNED;
    switch (layout->key_bytes) {
    case 8:
        memcpy(&u8, key, 8);
        break;
    case 4:
        memcpy(&u4, key, 4);
        u8 = is_signed ? (uint64_t)(int32_t)u4 : u4;
        break;
    case 2:
        memcpy(&u2, key, 2);
        u8 = is_signed ? (uint64_t)(int16_t)u2 : u2;
        break;
    default:
        memcpy(&u1, key, 1);
        u8 = is_signed ? (uint64_t)(int8_t)u1 : u1;
    }
    return is_signed ? u8 ^ UINT64_C(1) << 63 : u8;
}

static void store_integer(const struct molt_table_layout *layout, uint64_t word, void *ret_key)
{
    if (layout->key == MOLT_TABLE_KEY_SIGNED)
        word ^= UINT64_C(1) << 63;
    uint32_t u4 = (uint32_t)word;
    uint16_t u2 = (uint16_t)word;
    uint8_t u1 = (uint8_t)word;
    switch (layout->key_bytes) {
    case 8:
        memcpy(ret_key, &word, 8);
        break;
    case 4:
        memcpy(ret_key, &u4, 4);
        break;
    case 2:
        memcpy(ret_key, &u2, 2);
        break;
    default:
        memcpy(ret_key, &u1, 1);
    }
}

/* @n bytes, and zeroes up to the last word's end. */
static void store_bytes(const void *bytes, size_t n, uint64_t *words, size_t n_words)
{
    memset(words, 0, 8 * n_words);
    memcpy(words, bytes, n);
    for (size_t i = 0; i < n_words; i++)
        words[i] = be64toh(words[i]);
}

int molt_table_key_encode_any(const struct molt_table_layout *layout, const struct molt_type *type,
                              const void *key, uint64_t *words)
{
    if (!key)
        return MOLT_EINVAL;
    if (layout->key <= MOLT_TABLE_KEY_SIGNED) {
        words[0] = load_integer(layout, key);
        return 0;
    }
    size_t n = layout->key_bytes;
    if (layout->key == MOLT_TABLE_KEY_STRING)
        n = strnlen(key, layout->key_bytes);
    if (n == layout->key_bytes && is_string(layout, type))
        return MOLT_EINVAL;
    store_bytes(key, n, words, layout->key_words);
    return 0;
}

void molt_table_key_decode(const struct molt_table_layout *layout, const uint64_t *words,
                           void *ret_key)
{
    if (layout->key <= MOLT_TABLE_KEY_SIGNED) {
        store_integer(layout, words[0], ret_key);
        return;
    }
    char *to = ret_key;
    for (size_t i = 0; i < layout->key_words; i++) {
        uint64_t word = htobe64(words[i]);
        size_t left = layout->key_bytes - 8 * i;
        memcpy(to + 8 * i, &word, left < 8 ? left : 8);
    }
}

static void print_bytes(const unsigned char *bytes, size_t n, char *buf, size_t size)
{
    size_t most = n < 16 ? n : 16;
    int at = snprintf(buf, size, "0x");
    for (size_t i = 0; i < most && (size_t)at < size; i++)
        at += snprintf(buf + at, size - (size_t)at, "%02x", bytes[i]);
    if (n > most && (size_t)at < size)
        snprintf(buf + at, size - (size_t)at, "...");
}

void molt_table_key_print(const struct molt_table_layout *layout, const uint64_t *words, char *buf,
                          size_t size)
{
    char key[MOLT_TABLE_KEY_MAX];
    if (layout->key == MOLT_TABLE_KEY_UNSIGNED) {
        snprintf(buf, size, "%" PRIu64, words[0]);
    } else if (layout->key == MOLT_TABLE_KEY_SIGNED) {
        snprintf(buf, size, "%" PRId64, (int64_t)(words[0] ^ UINT64_C(1) << 63));
    } else {
        molt_table_key_decode(layout, words, key);
        if (layout->key == MOLT_TABLE_KEY_STRING)
            snprintf(buf, size, "\"%.*s\"", (int)strnlen(key, layout->key_bytes), key);
        else
            print_bytes((unsigned char *)key, layout->key_bytes, buf, size);
    }
}

int molt_table_key_compare(const uint64_t *a, const uint64_t *b, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}
