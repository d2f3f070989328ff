/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Hints: what debug info can't say about a changed type, in one line of source each.
 *
 * Without hints molt converts what is certain: fields of the same name that moved, grew or
 * were added or removed. What could be meant in two ways is refused, and `molt plan`
 * prints the hint that decides it. A hint stays harmless when the change it speaks of is
 * long past: it only counts where old and new layout differ in that field.
 *
 * Write them at file scope in the .c file (or header) that knows the type:
 *
 *     MOLT_RENAMED(struct counter, total, sum);          total was called sum
 *     MOLT_RENAMED_TYPE(struct counter, struct tally);   the struct itself was called tally
 *     MOLT_DEFAULT(struct counter, max, 100);            what old values get for a new field
 *     MOLT_EXAMPLE(struct counter, .max = 100, .min = 1); the same for several
 *     MOLT_TAGGED(struct shape, u, kind);                kind says which member of u holds
 *     MOLT_CASE(struct shape, u, ROUND, circle);         ... for kind == ROUND it is circle
 *     MOLT_LENGTH(struct list, items, n);                only the first n of items are in use
 *     MOLT_OPAQUE(struct conn, cookie);                  copy these bytes, whatever they are
 *     MOLT_DROP(struct counter, old_max);                yes, old_max goes; it wasn't renamed
 *     MOLT_SEMANTIC(struct counter, 2);                  same layout, other meaning: MOLT_CHANGE
 *                                                        has to convert when the number changes
 *     MOLT_RENUMBERED(enum phase);                       its numbers changed, and no plain
 *                                                        integer in a state holds one
 *
 * Values of structs and arrays are written like an initializer without its braces:
 * MOLT_DEFAULT(struct counter, place, .x = 1, .y = 2). The build checks types, fields and
 * values against the debug info; a hint that names nothing there is an error.
 *
 * Threads: data alone.
 */
#ifndef MOLT_MIGRATE_H
#define MOLT_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

#include <molt/abi.h>

enum molt_hint_kind {
    MOLT_HINT_RENAMED = 1,      /* field, text: its old name */
    MOLT_HINT_RENAMED_TYPE = 2, /* text: the old type as written */
    MOLT_HINT_DEFAULT = 3,      /* field, value: of the field's type */
    MOLT_HINT_EXAMPLE = 4,      /* value: of the whole type */
    MOLT_HINT_TAGGED = 5,       /* field: a union or a void *, text: the field that says which */
    MOLT_HINT_CASE = 6,         /* field, number: of the tag, text: the union's member, or for a
                                   void * the type as written */
    MOLT_HINT_LENGTH = 7,       /* field: an array, text: the field that counts */
    MOLT_HINT_OPAQUE = 8,       /* field */
    MOLT_HINT_DROP = 9,         /* text: the old field */
    MOLT_HINT_SEMANTIC = 10,    /* number */
    MOLT_HINT_RENUMBERED = 11,  /* type: an enum */
};

/* An element of section molt_hints; read by the agent alone. */
struct molt_hint {
    uint32_t size;    /* sizeof(struct molt_hint) */
    uint32_t kind;    /* enum molt_hint_kind */
    const char *type; /* as written */
    uint64_t type_size;
    const char *field; /* or NULL */
    const char *text;  /* or NULL */
    const void *value; /* or NULL */
    uint64_t value_size;
    int64_t number;
};

#define MOLT_HINT_JOIN_(a, b) a##b
#define MOLT_HINT_NAME_(a, b) MOLT_HINT_JOIN_(a, b)
#define MOLT_HINT_(T, ...)                                                                         \
    static const struct molt_hint MOLT_HINT_NAME_(molt_hint_, __COUNTER__)                         \
        __attribute__((used, section("molt_hints"), aligned(8))) = {                               \
            .size = sizeof(struct molt_hint), .type = #T, .type_size = sizeof(T), __VA_ARGS__}

#define MOLT_RENAMED(T, field_, old_)                                                              \
    MOLT_HINT_(T, .kind = MOLT_HINT_RENAMED, .field = #field_, .text = #old_)
#define MOLT_RENAMED_TYPE(T, OLD) MOLT_HINT_(T, .kind = MOLT_HINT_RENAMED_TYPE, .text = #OLD)
#define MOLT_DEFAULT(T, field_, ...)                                                               \
    MOLT_HINT_(T, .kind = MOLT_HINT_DEFAULT, .field = #field_,                                     \
               .value = &(const __typeof__(((T *)0)->field_)){__VA_ARGS__},                        \
               .value_size = sizeof(((T *)0)->field_))
#define MOLT_EXAMPLE(T, ...)                                                                       \
    MOLT_HINT_(T, .kind = MOLT_HINT_EXAMPLE, .value = &(const T){__VA_ARGS__},                     \
               .value_size = sizeof(T))
#define MOLT_TAGGED(T, field_, tag_)                                                               \
    MOLT_HINT_(T, .kind = MOLT_HINT_TAGGED, .field = #field_, .text = #tag_)
#define MOLT_CASE(T, field_, value_, member_)                                                      \
    MOLT_HINT_(T, .kind = MOLT_HINT_CASE, .field = #field_, .text = #member_, .number = (value_))
#define MOLT_LENGTH(T, field_, length_)                                                            \
    MOLT_HINT_(T, .kind = MOLT_HINT_LENGTH, .field = #field_, .text = #length_)
#define MOLT_OPAQUE(T, field_) MOLT_HINT_(T, .kind = MOLT_HINT_OPAQUE, .field = #field_)
#define MOLT_DROP(T, old_) MOLT_HINT_(T, .kind = MOLT_HINT_DROP, .text = #old_)
#define MOLT_SEMANTIC(T, number_) MOLT_HINT_(T, .kind = MOLT_HINT_SEMANTIC, .number = (number_))
#define MOLT_RENUMBERED(E) MOLT_HINT_(E, .kind = MOLT_HINT_RENUMBERED)

#endif
