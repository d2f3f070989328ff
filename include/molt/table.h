/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tables: typed rows of key and value that processes share, so that nobody
 * needs a mutable global. Like Erlang's ETS, with C types.
 *
 *     molt_table hits;
 *     molt_table_new(long, struct hit, &(struct molt_table_options){.name = "hits"}, &hits, NULL);
 *     molt_table_put(hits, &user, &(struct hit){.n = 1});
 *     molt_table_add(hits, &user, struct hit, n, 1, NULL);
 *
 * Values are copied in and out: no pointer to a row ever leaves the table, and
 * what a get returns was one row at one instant. The type of the key and of
 * the value that is passed must be the table's, else MOLT_ETYPE; nothing is ever
 * read as something else.
 *
 * Rows follow their types: an upgrade that changes a struct converts all rows of
 * it, or is refused, naming table, key and field. Code of the older version that
 * runs on has each row converted on its way in and out, both ways; MOLT_ECHANGE
 * if that can't be ("4294967296 doesn't fit into int"), and nothing was changed.
 *
 * Keys are integers, char arrays (strings: what stands behind the NUL does not
 * count), or other types without pointers, byte by byte: zero a struct before
 * you fill it, because its padding counts. Where the key is a char array, a
 * char * to a NUL-terminated string that fits will do as well ("alice").
 *
 * Values have a fixed size and no pointers to data, which would be another
 * process's or dead: put the bytes into the value. Pointers to functions are
 * fine and pin their code. A word that leads to a block (a void *, or bytes of
 * a char array that look like it) is refused with MOLT_EOWNER when it is put.
 *
 * Every function may return MOLT_ESTALE (the handle is no table's any more),
 * MOLT_ENOENT (it never was one's, or, for keys, there is no such row),
 * MOLT_ETYPE, MOLT_ECHANGE, MOLT_EINVAL (NULL; a string that does not fit), MOLT_ENOPROC (a
 * thread without runtime, or inside a change function, which must be pure), and
 * what writes also MOLT_EOWNER (the table is protected and another's).
 *
 * Threads: any process, any registered thread. Nothing here blocks or suspends
 * the caller, and no lock is held while its code runs.
 */
#ifndef MOLT_TABLE_H
#define MOLT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>
#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A table's handle; never reused within a host. 0 is none. */
typedef uint64_t molt_table;

enum molt_table_kind {
    MOLT_TABLE_SET = 0,     /* hash table; iteration in no particular order */
    MOLT_TABLE_ORDERED = 1, /* by key: integers by value, strings and bytes as memcmp() */
};

enum molt_table_access {
    MOLT_TABLE_PROTECTED = 0, /* everybody reads, the owner writes */
    MOLT_TABLE_PUBLIC = 1,    /* everybody reads and writes */
};

#define MOLT_TABLE_KEY_MAX 256     /* bytes of a key */
#define MOLT_TABLE_VALUE_MAX 65536 /* bytes of a value */
#define MOLT_TABLE_NAME_MAX 64     /* with the NUL */

struct molt_table_options {
    const char *name;   /* copied; NULL: anonymous. MOLT_EEXIST if taken */
    uint32_t kind;      /* enum molt_table_kind */
    uint32_t access;    /* enum molt_table_access */
    uint64_t rows_max;  /* 0: no limit; a row beyond it is MOLT_ELIMIT */
    uint64_t bytes_max; /* the same, of rows with their headers; not the index */
};

/* How keys are compared; chosen by molt_table_new() from the key's C type. */
enum molt_table_key {
    MOLT_TABLE_KEY_NONE = 0, /* floating point: NaN and -0 make no keys */
    MOLT_TABLE_KEY_UNSIGNED = 1,
    MOLT_TABLE_KEY_SIGNED = 2,
    MOLT_TABLE_KEY_STRING = 3,
    MOLT_TABLE_KEY_BYTES = 4,
};

/* ---- life --------------------------------------------------------------- */

/* New table from keys of type K to values of type V. The calling process owns
 * it; it ends with its owner unless there is an heir (a thread's table ends
 * with the host). @options may be NULL. MOLT_EINVAL (what the types may not
 * be is in @err), MOLT_EEXIST, MOLT_ELIMIT, MOLT_ENOMEM. */
#define molt_table_new(K, V, options, ret_table, err)                                              \
    molt_table_new_typed(MOLT_TAG(K), MOLT_TABLE_KEY_OF_(K), MOLT_TAG(V), (options), (ret_table),  \
                         (err))

/* The owner drops it: rows are freed, the name is free. */
int molt_table_drop(molt_table table);

/* The handle of the table named @name. MOLT_ENOENT. */
int molt_table_find(const char *name, molt_table *ret_table);

/* What an heir gets, as a cast, when the owner of a table has ended: handle it
 * with MOLT_CAST(struct molt_table_heritage, ...). */
struct molt_table_heritage {
    molt_table table;
    molt_pid from; /* who ended */
    uint64_t data; /* as given to molt_table_set_heir() */
};

/* When the owner ends, @heir becomes the owner and is told; 0: nobody, which
 * is how it starts. If the heir is dead by then the table goes. By the owner. */
#define molt_table_set_heir(table, heir, data)                                                     \
    molt_table_set_heir_typed((table), (heir), (data), MOLT_TAG(struct molt_table_heritage))

/* ---- rows ----------------------------------------------------------------- */

/* Insert a row, or replace the value of the one there is. MOLT_ELIMIT,
 * MOLT_ENOMEM: nothing changed. */
#define molt_table_put(table, key, value)                                                          \
    molt_table_put_typed((table), (key), MOLT_TAG(*(key)), (value), MOLT_TAG(*(value)))

/* Insert a row if there is none with this key, else MOLT_EEXIST. */
#define molt_table_insert(table, key, value)                                                       \
    molt_table_insert_typed((table), (key), MOLT_TAG(*(key)), (value), MOLT_TAG(*(value)))

/* Copy the value out. MOLT_ENOENT. */
#define molt_table_get(table, key, ret_value)                                                      \
    molt_table_get_typed((table), (key), MOLT_TAG(*(key)), (ret_value), MOLT_TAG(*(ret_value)))

/* Copy the value out and delete the row, in one step. MOLT_ENOENT. */
#define molt_table_take(table, key, ret_value)                                                     \
    molt_table_take_typed((table), (key), MOLT_TAG(*(key)), (ret_value), MOLT_TAG(*(ret_value)))

/* Delete the row. MOLT_ENOENT. */
#define molt_table_delete(table, key) molt_table_delete_typed((table), (key), MOLT_TAG(*(key)))

/* Compare and swap: replace the value by @value if its bytes are those of
 * @expected. Returns 0, or 1 if the row's value is another; MOLT_ENOENT. The
 * padding of structs counts: compare with what a get returned. */
#define molt_table_swap(table, key, expected, value)                                               \
    molt_table_swap_typed((table), (key), MOLT_TAG(*(key)),                                        \
                          (1 ? (expected) : (const __typeof__(*(value)) *)0), (value),             \
                          MOLT_TAG(*(value)))

/* Delete the row if the bytes of its value are those of @expected. As swap. */
#define molt_table_delete_same(table, key, expected)                                               \
    molt_table_delete_same_typed((table), (key), MOLT_TAG(*(key)), (expected),                     \
                                 MOLT_TAG(*(expected)))

/* Add @delta to integer field @field (of 4 or 8 bytes) of the value V, as one
 * step; it wraps around. The sum goes to *ret_sum, an int64_t, or NULL.
 * MOLT_ENOENT if there is no row; with _or a row of @initial (a V) is made
 * first, and then added to. */
#define molt_table_add(table, key, V, field, delta, ret_sum)                                       \
    molt_table_add_typed((table), (key), MOLT_TAG(*(key)), MOLT_TAG(V),                            \
                         MOLT_TABLE_FIELD_(V, field), (delta), NULL, (ret_sum))
#define molt_table_add_or(table, key, V, field, delta, initial, ret_sum)                           \
    molt_table_add_typed((table), (key), MOLT_TAG(*(key)), MOLT_TAG(V),                            \
                         MOLT_TABLE_FIELD_(V, field), (delta),                                     \
                         (1 ? (initial) : (const __typeof__(V) *)0), (ret_sum))

/* Rows there are now. */
int64_t molt_table_count(molt_table table);

/* Delete all rows at once: nobody sees some gone and others not. */
int molt_table_clear(molt_table table);

/* ---- walking --------------------------------------------------------------- */

/* The first row, and the one after @key, which need not exist (any more):
 * copied to *ret_key and *ret_value. MOLT_ENOENT at the end. @key and ret_key
 * may be one variable.
 *
 * A walk by next() is safe while others write: each row that is there during
 * the whole walk comes exactly once; one that is added or deleted meanwhile
 * may come or not. Nothing needs to be ended, a walk may be left anywhere. */
#define molt_table_first(table, ret_key, ret_value)                                                \
    MOLT_TABLE_STEP_(table, NULL, NULL, ret_key, ret_value, MOLT_TABLE_NEXT)
#define molt_table_next(table, key, ret_key, ret_value)                                            \
    MOLT_TABLE_STEP_(table, key, MOLT_TAG(*(key)), ret_key, ret_value, MOLT_TABLE_NEXT)

/* The last row, and the one before @key. MOLT_ENOTSUP unless it is ordered. */
#define molt_table_last(table, ret_key, ret_value)                                                 \
    MOLT_TABLE_STEP_(table, NULL, NULL, ret_key, ret_value, MOLT_TABLE_PREV)
#define molt_table_prev(table, key, ret_key, ret_value)                                            \
    MOLT_TABLE_STEP_(table, key, MOLT_TAG(*(key)), ret_key, ret_value, MOLT_TABLE_PREV)

/* The first row whose key is @key or comes after it. MOLT_ENOTSUP unless it is
 * ordered. */
#define molt_table_from(table, key, ret_key, ret_value)                                            \
    MOLT_TABLE_STEP_(table, key, MOLT_TAG(*(key)), ret_key, ret_value, MOLT_TABLE_FROM)

/* Loop over all rows: @rc is an int variable, which is MOLT_ENOENT after a
 * walk to the end, @key and @value point to where copies go. */
#define molt_table_each(rc, table, key, value)                                                     \
    for ((rc) = molt_table_first((table), (key), (value)); (rc) == 0;                              \
         (rc) = molt_table_next((table), (key), (key), (value)))

/* Loop over the rows from @from up to but not including @to, which are
 * pointers like @key, in order. Ordered tables only. Ends with MOLT_ENOENT. */
#define molt_table_each_in(rc, table, from, to, key, value)                                        \
    for ((rc) = molt_table_to_((table), (to), molt_table_from((table), (from), (key), (value)),    \
                               (key));                                                             \
         (rc) == 0; (rc) = molt_table_to_((table), (to),                                           \
                                          molt_table_next((table), (key), (key), (value)), (key)))

/* Call @fn(const K *, const V *, user), which returns an int, for a copy of each
 * row; the number of rows for which it was > 0. A negative value stops and is
 * the result. No lock is held: it may block, and may write to the table. */
#define molt_table_select(table, K, V, fn, user) MOLT_TABLE_WALK_(table, K, V, fn, user, 1)

/* The same, and delete the rows for which @fn is > 0, but not those that
 * changed after it saw them. The number that were deleted. */
#define molt_table_delete_if(table, K, V, fn, user)                                                \
    MOLT_TABLE_WALK_(table, K, V, fn, user,                                                        \
                     (molt_table_delete_same((table), &molt_key_, &molt_value_) == 0))

/* ---- what it is ------------------------------------------------------------ */

struct molt_table_info {
    molt_table table;
    char name[MOLT_TABLE_NAME_MAX]; /* "" if anonymous */
    uint32_t kind, access;
    molt_pid owner, heir;    /* 0: none */
    uint64_t rows, rows_max; /* 0: no limit */
    uint64_t bytes;          /* taken from the system: rows, spare rows and index */
    uint64_t row_bytes;      /* of one row with its header */
    char key_type[64];       /* "char[32]"; cut if longer */
    char value_type[64];     /* "struct hit" */
    uint32_t layout;         /* counts up when rows are migrated */
};
int molt_table_describe(molt_table table, struct molt_table_info *ret_info);

/* ---- what the macros call ---------------------------------------------------- */

enum molt_table_step { MOLT_TABLE_NEXT = 0, MOLT_TABLE_PREV = 1, MOLT_TABLE_FROM = 2 };

/* A field of a value: offset, bytes, and whether it is signed. */
struct molt_table_field {
    uint32_t offset;
    uint16_t size;
    uint16_t is_signed;
};

/* Tags (MOLT_TAG()) say what the pointers before them point to. */
typedef const struct molt_type *const *molt_table_tag;

int molt_table_new_typed(molt_table_tag key_tag, enum molt_table_key key, molt_table_tag value_tag,
                         const struct molt_table_options *options, molt_table *ret_table,
                         struct molt_error *err);
int molt_table_set_heir_typed(molt_table table, molt_pid heir, uint64_t data,
                              molt_table_tag heritage_tag);
int molt_table_put_typed(molt_table table, const void *key, molt_table_tag key_tag,
                         const void *value, molt_table_tag value_tag);
int molt_table_insert_typed(molt_table table, const void *key, molt_table_tag key_tag,
                            const void *value, molt_table_tag value_tag);
int molt_table_get_typed(molt_table table, const void *key, molt_table_tag key_tag, void *ret_value,
                         molt_table_tag value_tag);
int molt_table_take_typed(molt_table table, const void *key, molt_table_tag key_tag,
                          void *ret_value, molt_table_tag value_tag);
int molt_table_delete_typed(molt_table table, const void *key, molt_table_tag key_tag);
int molt_table_swap_typed(molt_table table, const void *key, molt_table_tag key_tag,
                          const void *expected, const void *value, molt_table_tag value_tag);
int molt_table_delete_same_typed(molt_table table, const void *key, molt_table_tag key_tag,
                                 const void *expected, molt_table_tag value_tag);
int molt_table_add_typed(molt_table table, const void *key, molt_table_tag key_tag,
                         molt_table_tag value_tag, struct molt_table_field field, int64_t delta,
                         const void *initial, int64_t *ret_sum);
/* @key NULL: from the very beginning or end. */
int molt_table_step_typed(molt_table table, const void *key, molt_table_tag key_tag, void *ret_key,
                          molt_table_tag ret_key_tag, void *ret_value, molt_table_tag value_tag,
                          enum molt_table_step step);
/* < 0, 0, > 0 as the table orders them, in *ret_order. */
int molt_table_compare_typed(molt_table table, const void *a, molt_table_tag a_tag, const void *b,
                             molt_table_tag b_tag, int *ret_order);

#define MOLT_TABLE_KEY_OF_(K)                                                                      \
    _Generic((__typeof__(K) *)0,                                                                   \
        char *: MOLT_TABLE_KEY_CHAR_,                                                              \
        signed char *: MOLT_TABLE_KEY_SIGNED,                                                      \
        short *: MOLT_TABLE_KEY_SIGNED,                                                            \
        int *: MOLT_TABLE_KEY_SIGNED,                                                              \
        long *: MOLT_TABLE_KEY_SIGNED,                                                             \
        long long *: MOLT_TABLE_KEY_SIGNED,                                                        \
        _Bool *: MOLT_TABLE_KEY_UNSIGNED,                                                          \
        unsigned char *: MOLT_TABLE_KEY_UNSIGNED,                                                  \
        unsigned short *: MOLT_TABLE_KEY_UNSIGNED,                                                 \
        unsigned int *: MOLT_TABLE_KEY_UNSIGNED,                                                   \
        unsigned long *: MOLT_TABLE_KEY_UNSIGNED,                                                  \
        unsigned long long *: MOLT_TABLE_KEY_UNSIGNED,                                             \
        float *: MOLT_TABLE_KEY_NONE,                                                              \
        double *: MOLT_TABLE_KEY_NONE,                                                             \
        long double *: MOLT_TABLE_KEY_NONE,                                                        \
        char(*)[sizeof(K)]: MOLT_TABLE_KEY_STRING,                                                 \
        default: MOLT_TABLE_KEY_BYTES)
/* Plain char is signed on some machines. */
#define MOLT_TABLE_KEY_CHAR_ ((char)-1 < 0 ? MOLT_TABLE_KEY_SIGNED : MOLT_TABLE_KEY_UNSIGNED)

/* Fields of other types than integers of 4 and 8 bytes don't compile. */
#define MOLT_TABLE_FIELD_(V, field)                                                                \
    ((struct molt_table_field){offsetof(V, field), sizeof(((V *)0)->field),                        \
                               _Generic(((V *)0)->field, int : 1, long : 1, long long : 1,         \
                                        unsigned int : 0, unsigned long : 0,                       \
                                        unsigned long long : 0)})

#define MOLT_TABLE_STEP_(table, key, key_tag, ret_key, ret_value, step)                            \
    molt_table_step_typed((table), (key), (key_tag), (ret_key), MOLT_TAG(*(ret_key)), (ret_value), \
                          MOLT_TAG(*(ret_value)), (step))

#define molt_table_to_(table, to, rc, key)                                                         \
    (__extension__({                                                                               \
        int molt_rc_ = (rc), molt_order_ = 0;                                                      \
        if (molt_rc_ == 0)                                                                         \
            molt_rc_ = molt_table_compare_typed((table), (key), MOLT_TAG(*(key)), (to),            \
                                                MOLT_TAG(*(to)), &molt_order_);                    \
        molt_rc_ == 0 && molt_order_ >= 0 ? (int)MOLT_ENOENT : molt_rc_;                           \
    }))

/* The loop is the module's own code, so that a callback that computes for
 * long is preempted like any other code. */
#define MOLT_TABLE_WALK_(table, K, V, fn, user, is_counted)                                        \
    (__extension__({                                                                               \
        __typeof__(K) molt_key_;                                                                   \
        __typeof__(V) molt_value_;                                                                 \
        int molt_walk_, molt_fn_ = 0;                                                              \
        int64_t molt_n_ = 0;                                                                       \
        molt_table_each(molt_walk_, (table), &molt_key_, &molt_value_)                             \
        {                                                                                          \
            molt_fn_ = (fn)((const __typeof__(K) *)&molt_key_,                                     \
                            (const __typeof__(V) *)&molt_value_, (user));                          \
            if (molt_fn_ < 0)                                                                      \
                break;                                                                             \
            if (molt_fn_ > 0 && (is_counted))                                                      \
                molt_n_++;                                                                         \
        }                                                                                          \
        molt_fn_ < 0                     ? (int64_t)molt_fn_                                       \
        : molt_walk_ != (int)MOLT_ENOENT ? (int64_t)molt_walk_                                     \
                                         : molt_n_;                                                \
    }))

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
