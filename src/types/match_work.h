/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the parts of the matcher share: two images, the type that is being matched,
 * and one function per kind of type. Each looks at one place in both values and adds
 * steps to a list, or a refusal.
 *
 * A trial asks whether something could be converted: it makes steps that are thrown
 * away, and counts refusals without keeping them.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_MATCH_WORK_H
#define MOLT_TYPES_MATCH_WORK_H

#include "base/buf.h"
#include "types/fields.h"
#include "types/image.h"
#include "types/match.h"
#include "types/match_rules.h"
#include "types/recipe_make.h"

/* The type at hand. */
struct molt_match_subject {
    uint32_t old, new;  /* nodes, whole */
    const char *name;   /* "struct counter" */
    const char *bare;   /* "counter" */
    const char *server; /* whose state it is, so that MOLT_CHANGE can help; NULL: none's */
    bool is_variable;   /* a global with its own initial value, no type of blocks */
    bool was_hinted;    /* a hint decided something */
    size_t n_refusals, cap_refusals;
    struct molt_match_refusal *refusals;
    size_t n_lost, cap_lost;
    char **lost;
    struct molt_buf lines;
    unsigned n_lines;
};

struct molt_match_enum_pair {
    uint32_t old, new;
    bool is_renumbered;
};

struct molt_match_renamed {
    uint32_t old, new; /* nodes, whole */
    bool is_hinted;    /* MOLT_RENAMED_TYPE says so; else one typedef is the name of both */
};

struct molt_matcher {
    const struct molt_match_options *options;
    struct molt_image from, to;
    struct molt_image *hinted; /* whose hints count: @to, or @from on the way back */
    struct molt_maker maker;
    struct molt_arena arena;
    struct molt_map hash_of_old, hash_of_new; /* node -> hash of all that it reaches */
    size_t n_enums, cap_enums;
    struct molt_match_enum_pair *enums; /* named alike in both */
    struct molt_match_subject subject;
    size_t n_renamed, cap_renamed;
    struct molt_match_renamed *renamed;
    bool ignores_pointees; /* molt_match_is_kept() looks at own bytes alone */
    unsigned trials;       /* open ones */
    unsigned denials;      /* refusals in trials */
    unsigned visits;       /* left */
    int code;              /* out of memory, or the like */
    struct molt_error *err;
};

/* The fields of two structs, and which is which. */
struct molt_match_pairing {
    struct molt_fields old, new;
    size_t *old_of; /* [new.n], or SIZE_MAX */
    bool *is_used;  /* [old.n] */
    uint32_t owner; /* for hints, and what stands before the fields' names there */
    const char *prefix;
    bool is_element; /* in an array inside the owner */
    uint64_t old_at; /* bytes from the start of the enclosing element */
};

/* A place in both values. */
struct molt_match_place {
    uint32_t old, new;       /* types as declared */
    uint64_t old_at, new_at; /* bytes from the start of the enclosing element */
    const char *path;        /* "items[].n"; "" for the whole */
    uint32_t owner;          /* named record around it in the hints' image, or NONE */
    const char *field;       /* its path in the owner, in the hints' image; NULL: none */
    const struct molt_field *old_field, *new_field; /* the nearest; NULL: none */
    const struct molt_match_pairing *peers;         /* beside it; NULL: none */
    bool is_tail;                                   /* a flexible member may stand here */
    bool is_element;                                /* in an array inside the owner */
    unsigned old_align; /* that the start of the old element surely has: 1, 2, 4 or 8 */
    unsigned depth;
};

/* The enums that are in both images, and which of them were renumbered. */
void molt_match_find_enums(struct molt_matcher *m);
/* Refuse (in the subject) each renumbered enum that plain integers may hold. */
void molt_match_check_enums(struct molt_matcher *m);
/* The MOLT_CHANGE of a server whose new state is the subject and that takes the old one:
 * whether there is one, and where its function is. */
bool molt_match_find_change(struct molt_matcher *m, uint64_t *ret_at);

/* A mutable global of both images. */
struct molt_match_variable {
    char *name;           /* "src/counter.c:hits" */
    const char *obstacle; /* why it can't follow; NULL: nothing is known yet */
    uint32_t old, new;    /* types as declared */
    uint32_t old_bytes, new_bytes;
};
/* How its value follows. MOLT_ENOMEM. */
int molt_match_variable(struct molt_matcher *m, const struct molt_match_variable *v,
                        struct molt_match_type *ret);
/* Fill @match's globals. */
int molt_match_globals(struct molt_matcher *m, struct molt_match *match);

/* ---- the kinds; a failure is in matcher->code ------------------------------- */

void molt_match_value(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at);
void molt_match_record(struct molt_matcher *m, struct molt_step_list *list,
                       struct molt_match_place at);
void molt_match_scalar(struct molt_matcher *m, struct molt_step_list *list,
                       struct molt_match_place at);
/* One of the two fields is a bitfield. Offsets of @at are in bits. */
void molt_match_bits(struct molt_matcher *m, struct molt_step_list *list,
                     struct molt_match_place at);
void molt_match_array(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at);
/* Both are flexible, at the end of the subject; or the old one is, and it goes. */
void molt_match_flexible(struct molt_matcher *m, struct molt_step_list *list,
                         struct molt_match_place at);
void molt_match_pointer(struct molt_matcher *m, struct molt_step_list *list,
                        struct molt_match_place at);
void molt_match_union(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at);
/* A union or void pointer with MOLT_TAGGED; false: it has none. */
bool molt_match_tagged(struct molt_matcher *m, struct molt_step_list *list,
                       const struct molt_match_place *at);
/* At least one is an enum; @bits: as for bitfields, with these widths, else 0. */
void molt_match_enum(struct molt_matcher *m, struct molt_step_list *list,
                     struct molt_match_place at, unsigned old_bits, unsigned new_bits);

/* ---- questions ------------------------------------------------------------- */

/* Equal bytes with equal meaning, names of members and pointees. */
bool molt_match_is_kept(struct molt_matcher *m, uint32_t old, uint32_t new, unsigned depth);
/* Is the new pointee the type that the old one was? Whatever its layout. */
bool molt_match_is_pointee(struct molt_matcher *m, uint32_t old, uint32_t new, unsigned depth);
/* Does the type, or one that it reaches, differ? */
bool molt_match_is_changed(struct molt_matcher *m, uint32_t old, uint32_t new);
/* Are two named types one: by name, or by MOLT_RENAMED_TYPE? @needs_key: with their
 * files, as blocks go by. */
bool molt_match_is_type(struct molt_matcher *m, uint32_t old, uint32_t new, bool needs_key);
/* The old type that @new was; NONE if it isn't known. */
uint32_t molt_match_counterpart(struct molt_matcher *m, uint32_t new);
/* The id of an old type for steps; 0: unknown. */
uint64_t molt_match_type_id(struct molt_matcher *m, uint32_t old);
/* Pair the fields of the two structs at @at; false: out of memory. Fini in both cases. */
bool molt_match_pairing_init(struct molt_matcher *m, const struct molt_match_place *at,
                             struct molt_match_pairing *pairing);
void molt_match_pairing_fini(struct molt_match_pairing *pairing);
/* How hints about the owner call the field @name: "pos.x". */
const char *molt_match_hint_path(struct molt_matcher *m, const struct molt_match_pairing *pairing,
                                 const char *name);

/* The old field beside @at that a hint calls @text; NULL: none. */
const struct molt_field *molt_match_peer(const struct molt_matcher *m,
                                         const struct molt_match_place *at, const char *text);
/* Does the enum have other numbers in the other image? @is_old: it is the old one's. */
bool molt_match_is_renumbered(const struct molt_matcher *m, bool is_old, uint32_t type);

/* The hint of @kind about @field (NULL: any) of @owner; it counts as used unless in a trial.
 * @text, @number: NULL, or what they must be. */
const struct molt_image_hint *molt_match_hint(struct molt_matcher *m, enum molt_hint_kind kind,
                                              uint32_t owner, const char *field, const char *text,
                                              const int64_t *number);
/* How an old type got another name, or its only tag: from @old to @new; NULL: it didn't. */
const struct molt_match_renamed *molt_match_renamed(const struct molt_matcher *m, uint32_t old,
                                                    uint32_t new);
/* Find the structs that had no tag but a typedef's name, and now have one; or the other way
 * round. What has a counterpart of its own name in the other image is left alone. */
int molt_match_find_tags(struct molt_matcher *m);
/* Put a pair into matcher->renamed. */
int molt_match_add_renamed(struct molt_matcher *m, struct molt_match_renamed pair);

/* @n bytes in which anything may lie: any aligned word of them could be an address. */
void molt_match_copy_bytes(struct molt_matcher *m, struct molt_step_list *list,
                           const struct molt_match_place *at, uint64_t n);
/* The alignment of what lies @offset bytes behind something aligned to @align. */
static inline unsigned molt_match_align(unsigned align, uint64_t offset)
{
    uint64_t all = align | offset | 8;
    return (unsigned)(all & -all);
}

/* Integer types, enums too: width and sign. */
bool molt_match_integer(const struct molt_graph *g, uint32_t type, unsigned *ret_bytes,
                        bool *ret_is_signed);
bool molt_match_is_bool(const struct molt_graph *g, uint32_t type);
/* char, unsigned char or the like. */
bool molt_match_is_byte(const struct molt_graph *g, uint32_t type);

/* ---- text ------------------------------------------------------------------- */

/* Refuse the field at @at. @why is a format; @remedy NULL: what molt_match_fill_remedies()
 * will say. */
void molt_match_refuse(struct molt_matcher *m, const struct molt_match_place *at,
                       enum molt_match_rule rule, const char *remedy, const char *why, ...)
    __attribute__((format(printf, 5, 6)));
/* Give the subject's refusals that have none a remedy: a MOLT_CHANGE to paste if it is a
 * server's state, else the rule's. */
void molt_match_fill_remedies(struct molt_matcher *m);
/* Because of the types: "long -> int, which ...". */
void molt_match_refuse_types(struct molt_matcher *m, const struct molt_match_place *at,
                             enum molt_match_rule rule, const char *remedy, const char *why);
/* A line about the change. */
void molt_match_line(struct molt_matcher *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "n  int -> long", if they differ in words. */
void molt_match_line_types(struct molt_matcher *m, const struct molt_match_place *at);
/* A value that the new layout lacks. */
void molt_match_lose(struct molt_matcher *m, const char *path, uint32_t type);
/* Arena text; "" when out of memory. */
const char *molt_match_text(struct molt_matcher *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A type in words. */
const char *molt_match_type_text(struct molt_matcher *m, const struct molt_image *image,
                                 uint32_t type);
/* "counter.items[].n" for steps. */
const char *molt_match_step_text(struct molt_matcher *m, const struct molt_match_place *at);
/* Where steps go. */
struct molt_make_at molt_match_at(struct molt_matcher *m, const struct molt_match_place *at);
/* How the owner is written in hints: "struct counter". */
const char *molt_match_owner_text(struct molt_matcher *m, const struct molt_match_place *at);
void molt_match_fail(struct molt_matcher *m, int code);

static inline const struct molt_node *molt_match_old(const struct molt_matcher *m, uint32_t type)
{
    return &m->from.graph.nodes[type];
}

static inline const struct molt_node *molt_match_new(const struct molt_matcher *m, uint32_t type)
{
    return &m->to.graph.nodes[type];
}

#endif
