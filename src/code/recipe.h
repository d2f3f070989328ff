/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Recipes: how a value of one layout becomes a value of another. The agent reads
 * the debug info of both images, decides, and writes a recipe; the host, which
 * knows neither names nor C, checks its bounds once and follows it for each block.
 * docs/design/migration.md has the rules by which recipes are made.
 *
 * A recipe is a list of steps for one element of a block. Steps read the old
 * element and write the new one, which is zero at first; no step reads what
 * another has written, so their order only matters for which failure is named.
 *
 * Invariants of a checked recipe: every access lies inside the element that its
 * step is for (or, behind it, in the flexible member); children of a step have
 * larger indexes than it and belong to one parent, so following it ends; the
 * work for an element is bounded by its size and the number of steps.
 *
 * Threads: a recipe is immutable once it is checked.
 */
#ifndef MOLT_CODE_RECIPE_H
#define MOLT_CODE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

struct molt_buf;

#define MOLT_RECIPE_STEPS_MAX 65536u
#define MOLT_RECIPE_TEXTS_MAX 65536u

enum molt_step_kind {
    /* Leaves. Offsets are bytes from the start of the enclosing element. */
    MOLT_STEP_COPY,    /* `count` bytes in which there is no address */
    MOLT_STEP_POINTER, /* `count` words that are pointers: rewired to where their target went;
                          `type` is the pointee as the old image knows it, 0 if unknown (void *,
                          char *, functions) */
    MOLT_STEP_WORD,    /* `count` words that may be addresses (uintptr_t, bytes, unions): copied;
                          fails if one leads to something that moves */
    MOLT_STEP_INT,     /* `count` integers of old_bytes -> new_bytes (1, 2, 4, 8, 16); fails if a
                          value doesn't fit; signs as in flags */
    MOLT_STEP_FLOAT,   /* `count` floats of old_bytes -> new_bytes (4, 8, 16: long double); fails
                          if a narrower one isn't exactly the same number */
    MOLT_STEP_BITS,    /* one bitfield: offsets and widths in bits, little-endian bit order as
                          both compilers lay them out; fails if the value doesn't fit */
    MOLT_STEP_ENUM,    /* `count` values of 1 to 8 bytes, mapped by maps [first, first + n_steps),
                          which ascend by `old`; fails for a value that is none of them */
    MOLT_STEP_SET,     /* new bytes [new_at, +count) from bytes[first ...] of the recipe */
    /* Conditions: they write nothing. */
    MOLT_STEP_FITS,   /* the integer at old_at (old_bytes, flags) is in 0 to `limit`, else fails */
    MOLT_STEP_STRING, /* there is a NUL in the `count` bytes at old_at, else fails */
    MOLT_STEP_ZERO,   /* the `count` bytes at old_at are zero, else fails */
    /* With children [first, first + n_steps). */
    MOLT_STEP_EACH,  /* `count` structs or arrays that lie inside, old_stride and new_stride bytes
                        apart; children are relative to each; `type` is the struct as the old
                        image knows it */
    MOLT_STEP_UNION, /* a tagged union: the children are CASEs, ascending by their tags; the tag
                        is the integer of 1 to 8 bytes at old_at; fails if no case has its value */
    MOLT_STEP_CASE,  /* inside UNION alone: the tag is `limit`; children are relative to the
                        same element as the UNION itself */
    MOLT_STEP_FLEX,  /* top level, at most one: like EACH for all elements behind old_at; the block
                        is one element then. new_stride 0, without children: they are dropped */
    MOLT_STEP_KINDS
};

#define MOLT_STEP_OLD_SIGNED 1u
#define MOLT_STEP_NEW_SIGNED 2u
/* Of ENUM (count 1), FITS and UNION: it is a bitfield. old_at, old_bytes, and ENUM's new_at and
 * new_bytes, count bits, as those of BITS. */
#define MOLT_STEP_IN_BITS 4u
/* Of POINTER: the pointee has another layout in the new image, so only what molt owns can follow:
 * other memory (malloc) fails. */
#define MOLT_STEP_MUST_OWN 8u

struct molt_step {
    uint8_t kind;                 /* enum molt_step_kind */
    uint8_t flags;                /* MOLT_STEP_... */
    uint8_t old_bytes, new_bytes; /* widths of INT, FLOAT, ENUM, FITS, UNION; in bits for BITS */
    uint32_t text;                /* index of the field's path ("counter.n"), for messages */
    uint32_t old_at, new_at;      /* bytes; bits for BITS */
    uint32_t count;
    uint32_t old_stride, new_stride; /* EACH, FLEX */
    uint32_t first, n_steps;         /* children, or a range of maps or bytes */
    uint64_t type; /* molt_recipe_type_id() of a key, or 0. Of leaves but POINTER: their type, if
                      one is at hand; it tells &s->n from one past the array before n */
    int64_t limit; /* FITS, CASE */
};

struct molt_recipe_map {
    int64_t old, new;
};

struct molt_recipe {
    char *from_key, *to_key; /* as in code/meta.h; they differ for a renamed type */
    uint64_t from_hash, to_hash;
    uint64_t from_type; /* the id of from_key; molt_recipe_decode() fills it in, 0: not yet */
    uint32_t from_size, to_size;
    uint32_t n_top; /* steps [0, n_top) are the root's */
    uint32_t flags; /* MOLT_RECIPE_... */
    uint32_t n_steps, n_texts, n_maps, n_bytes;
    struct molt_step *steps;
    char **texts;
    struct molt_recipe_map *maps;
    uint8_t *bytes;
    /* The author's own conversion, to be called after the steps: int (const OLD *, NEW *)
     * at this offset from the base of the new version of module @change_module. NULL: none. */
    char *change_module;
    uint64_t change_at;
    /* What the new layout can't hold, for people: "counter.max (long)". */
    uint32_t n_lost;
    char **lost;
};

/* The `type` of pointers to char and its kin: in a block they may lead anywhere, like unknown
 * ones; in an image they are what alone may lead to a text, which has no name or type. */
#define MOLT_RECIPE_TYPE_TEXT UINT64_C(1)

/* The steps don't make the whole value: the author's MOLT_CHANGE has to. */
#define MOLT_RECIPE_IS_PARTIAL 1u
/* The new type alone has a flexible member: a block of one element can become one, an array
 * can't. The host sets it. */
#define MOLT_RECIPE_IS_SINGLE 2u

/* What names a type in steps: a hash of its key, without layout. Never 0. */
uint64_t molt_recipe_type_id(const char *key);

/* A recipe that @recipe's members were malloc'd for; NULL is fine. */
void molt_recipe_free(struct molt_recipe *recipe);

/* Every bound above; @err names the step and its field. MOLT_EFORMAT. Whoever makes a recipe
 * of their own accord calls it before the first use; a decoded one has passed. */
int molt_recipe_check(const struct molt_recipe *recipe, struct molt_error *err);

int molt_recipe_encode(const struct molt_recipe *recipe, struct molt_buf *out);
/* Decodes and checks. MOLT_EFORMAT, MOLT_ENOMEM. */
int molt_recipe_decode(const void *bytes, size_t len, struct molt_recipe **ret,
                       struct molt_error *err);
bool molt_recipe_is_equal(const struct molt_recipe *a, const struct molt_recipe *b);

/* ---- following one ------------------------------------------------------------ */

/* Where words lead that a recipe meets. */
struct molt_rewire {
    /* The new value of pointer @value, whose pointee is @type (0: unknown). What leads
     * nowhere known is its own new value. MOLT_ECHANGE and a reason in @why if what it leads
     * to is gone or ambiguous. */
    int (*pointer)(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                   size_t why_size);
    /* Does @value lead to something that moves? */
    bool (*moves)(void *user, uint64_t value);
    void *user;
    /* Does @value lead into memory that molt owns, a block or a module's image? Asked for
     * pointers with MOLT_STEP_MUST_OWN, which fail if not. NULL: not asked. */
    bool (*owns)(void *user, uint64_t value);
};

/* What stopped a conversion. */
struct molt_recipe_fault {
    const char *field; /* in the recipe; NULL if it isn't a field's fault */
    char why[160];     /* "4294967296 doesn't fit into int" */
};

/* Bytes of the new block for an old one of @old_bytes; SIZE_MAX: more than there can be. */
size_t molt_recipe_new_bytes(const struct molt_recipe *recipe, size_t old_bytes);

/* Convert a block: @old of @old_bytes into @new, zeroed, of molt_recipe_new_bytes().
 * MOLT_ECHANGE with @fault. The author's own conversion is the caller's to run.
 * @rewire NULL: pointers and words are copied. Null pointers are never asked about. */
int molt_recipe_run(const struct molt_recipe *recipe, const void *old, size_t old_bytes, void *new,
                    const struct molt_rewire *rewire, struct molt_recipe_fault *fault);

/* Where a pointer of pointee @type (0: unknown) to byte @old_at of a block goes, as an offset
 * in the new one. One past the end stays that. MOLT_ECHANGE, and @why: the place is gone, or
 * it could be the start of a struct or its first member, which parted. */
int molt_recipe_forward(const struct molt_recipe *recipe, size_t old_bytes, size_t old_at,
                        uint64_t type, size_t *ret_new_at, char *why, size_t why_size);

/* ---- what lay in an image -------------------------------------------------------- */

/* Where functions, variables and literals of a version are in a later one of the same
 * module. Ascending, disjoint; what isn't listed has no counterpart. */
struct molt_move {
    uint32_t old_at, new_at; /* from the images' bases */
    uint32_t len;            /* bytes; functions: only old_at itself is an address */
    uint16_t is_function;
    uint16_t is_text; /* known by its bytes alone: only for pointers to char */
};

struct molt_moves {
    char *module;
    uint8_t from_digest[32], to_digest[32];
    size_t n_moves;
    struct molt_move *moves;
    /* Things that are gone, for messages: ascending old_at. */
    size_t n_gone;
    struct molt_gone {
        uint32_t old_at, len;
        char *name; /* "counter.c:tick()", "a literal \"abc\"" */
    } * gone;
};

void molt_moves_free(struct molt_moves *moves);
int molt_moves_encode(const struct molt_moves *moves, struct molt_buf *out);
int molt_moves_decode(const void *bytes, size_t len, struct molt_moves **ret,
                      struct molt_error *err);
/* @type is the pointee of the pointer, as in steps. MOLT_ENOENT and the name of what is gone in
 * @ret_gone (may be NULL: unknown). */
int molt_moves_find(const struct molt_moves *moves, uint32_t old_at, uint64_t type,
                    uint32_t *ret_new_at, const char **ret_gone);

#endif
