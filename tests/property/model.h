/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random pairs of C types, older and newer, with a graph of objects: the model that the
 * property test of migration is written from. It knows C names and values and nothing
 * of offsets, debug info or recipes, so it can't make the same mistakes.
 *
 * A value isn't stored: it is a function of the pair's seed, the object and the path of
 * field ids that leads to it, and so the same for both texts.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_PROPERTY_MODEL_H
#define MOLT_TESTS_PROPERTY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define FIELDS_MAX 12
#define TYPES_MAX 4
#define OBJECTS_MAX 6
#define NAMES_MAX 8 /* of an enum */

/* Things of a text that pointers lead to. */
#define MARK_FUNCTION 0 /* three static functions */
#define MARK_VARIABLE 3 /* two static integers */
#define MARK_TEXT 5     /* two literals */
#define MARKS 7

enum field_kind {
    F_INT,
    F_FLOAT,
    F_BOOL,
    F_BITS,
    F_BOOL_BIT,
    F_ENUM,
    F_ENUM_BITS,
    F_INTS,     /* array of integers */
    F_GRID,     /* array of arrays of integers */
    F_ENUMS,    /* array of enums */
    F_LIST,     /* of integers, with the number that is in use before it, and a hint that says so */
    F_CHARS,    /* a string in an array */
    F_STRUCT,   /* inside */
    F_STRUCTS,  /* an array inside */
    F_EITHER,   /* an anonymous union of a long and a double */
    F_BLOCK,    /* pointer to an object */
    F_BLOCKS,   /* array of such */
    F_INNER,    /* pointer to an integer in the middle of an object */
    F_FUNCTION, /* pointer to a static function */
    F_VARIABLE, /* ... to a static integer */
    F_TEXT,     /* ... to a literal */
    F_ANY,      /* void pointer to an object */
    F_TAGGED_ANY, /* the same, with a tag before it, and hints that say to what */
    F_WORD,       /* uintptr_t: a number or the address of an object */
    F_UNION,      /* with a tag before it */
    F_FLEX,       /* integers or structs behind the end of the object */
    F_KINDS
};

struct field {
    unsigned id; /* the same in both versions */
    char name[16], old_name[16];
    enum field_kind kind;
    int bytes, bits, count;  /* of an integer or float; of a bitfield; of an array */
    int width;               /* of the arrays in an array */
    int align;               /* 0: as usual */
    bool is_signed, is_tame; /* tame: values from 0 to 100, and short strings */
    bool is_target;          /* of pointers into the middle: only moves */
    bool is_anonymous;       /* lies in an anonymous struct of its own */
    bool is_grown;           /* a union with another, larger member */
    bool is_opaque;          /* a hint says that it is no address */
    bool has_default, has_example;
    bool is_changed; /* in the newer version; once is enough */
    bool is_structs; /* FLEX: of @type */
    int type;        /* STRUCT, STRUCTS, BLOCK, BLOCKS, UNION's pointer, FLEX */
};

struct type {
    int tag;                              /* of its name; another one when it was renamed */
    bool is_packed, is_nested, is_tagged; /* is_tagged: hints say which member of a union holds */
    int n_fields;
    struct field fields[FIELDS_MAX];
    /* In the newer version. */
    int semantic;  /* 0: no hint */
    int n_gone;    /* fields removed without a hint */
    int n_dropped; /* with one */
    char dropped[2 * FIELDS_MAX][16];
};

struct enumeration {
    int n;
    int id[NAMES_MAX], value[NAMES_MAX];
};

struct version {
    int n_types;
    struct type types[TYPES_MAX];
    struct enumeration names;
    bool is_renumbered;
    bool lacks_function; /* the last one */
};

struct object {
    int type;
    int count; /* elements; 1 if the type is flexible */
    int n_flex;
};

/* What must come out. */
enum outcome {
    MUST_CONVERT,
    MAY_CONVERT, /* may also be refused, but if it isn't, it has to be right */
    MUST_REFUSE, /* by the types */
};

struct pair {
    uint64_t seed;
    int number; /* in its file */
    struct version old, now;
    int n_objects;
    struct object objects[OBJECTS_MAX];
    enum outcome outcome;
    char story[512]; /* what was changed, for people */
};

/* A small generator of its own, so that a seed means the same everywhere: splitmix64. */
struct dice {
    uint64_t state;
};
uint64_t dice_next(struct dice *dice);
/* 0 <= result < @n */
int dice_below(struct dice *dice, int n);

uint64_t mix(uint64_t a, uint64_t b);

void pair_make(struct pair *pair, uint64_t seed, int number);

const struct field *field_of(const struct type *type, unsigned id);

/* The value of an integer field (element) whose path's hash is @h. */
int64_t int_value(const struct field *field, uint64_t h);
/* ... as an index into old.names. */
int enum_value(const struct pair *pair, uint64_t h);
/* In eighths: exact in every width. */
int64_t float_value(uint64_t h);
/* Length of a string, less than the array's and 9 if it is tame. */
int text_length(const struct field *field, uint64_t h);
/* The object that a pointer (or word) leads to, -1: NULL (or a number). */
int object_value(const struct pair *pair, const struct field *field, uint64_t h);

#endif
