/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Reading the table of a behaviour, or what belongs to one, from an image: its
 * words, its functions with their types, and what those have to be.
 *
 * Invariant: what is read lies in the image's file, or is refused.
 *
 * Threads: one at a time on an image. Locks: none.
 */
#ifndef MOLT_TYPES_BEHAVIOUR_H
#define MOLT_TYPES_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types/image.h"

struct molt_behaviour {
    struct molt_image *image;
    uint64_t addr;    /* of the table: a struct molt_server, or what its reader says */
    const char *name; /* of the behaviour */
    size_t unit;      /* where it is declared */
    uint32_t state;   /* node of S */
    char place[256];
    struct molt_meta_server *meta;
};

/* A function in the table, with its type. */
struct molt_callee {
    const char *name;
    uint32_t function; /* node */
    char place[256];
};

/* What is at @offset of the table. MOLT_EREFUSED: it is no such thing. */
int molt_behaviour_read_word(const struct molt_behaviour *b, size_t offset,
                             struct molt_elf_word *ret, struct molt_error *err);
/* The image's string. */
int molt_behaviour_read_string(const struct molt_behaviour *b, size_t offset, const char **ret,
                               struct molt_error *err);
/* 0 if it is unreadable. */
uint32_t molt_behaviour_read_u32(const struct molt_behaviour *b, size_t offset);
/* The function at @offset of the table; *ret_is_set false: there is none. MOLT_ENOMEM, or
 * a rule that it breaks. */
int molt_behaviour_read_callee(struct molt_behaviour *b, size_t offset, struct molt_callee *ret,
                               bool *ret_is_set, struct molt_error *err);

/* What @type, a node, is behind its qualifiers and names. */
bool molt_behaviour_is_base(const struct molt_graph *g, uint32_t type, unsigned encoding,
                            uint64_t size);
bool molt_behaviour_is_int(const struct molt_graph *g, uint32_t type);
bool molt_behaviour_is_void(const struct molt_graph *g, uint32_t type);
/* What a pointer leads to; MOLT_NODE_NONE if @type is no pointer. */
uint32_t molt_behaviour_pointee(const struct molt_graph *g, uint32_t type);
bool molt_behaviour_points_to(const struct molt_graph *g, uint32_t type, uint32_t target);

/* Whether @function has @n_parameters and returns int, or nothing. */
bool molt_behaviour_fits(const struct molt_graph *g, uint32_t function, bool returns_void,
                         unsigned n_parameters);
/* The type of parameter @i, which it has. */
uint32_t molt_behaviour_parameter(const struct molt_graph *g, uint32_t function, unsigned i);

/* @type as C, in @buf; "?" when out of memory. */
const char *molt_behaviour_print_type(const struct molt_graph *g, uint32_t type,
                                      struct molt_buf *buf);
/* Refuse @callee, whose type should have been @expected. Returns the rule's code. */
int molt_behaviour_refuse(const struct molt_behaviour *b, const struct molt_callee *callee,
                          const char *expected, struct molt_error *err);

/* The states that server @b has; none (0) if it is no state machine. MOLT_ENOMEM, or a
 * rule that they break. */
int molt_states_check(const struct molt_behaviour *b, size_t *ret_n, struct molt_error *err);
/* Each table of states belongs to a server of the image, whose servers were read. */
int molt_states_check_owners(const struct molt_image *image, struct molt_error *err);

#endif
