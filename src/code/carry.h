/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Mutable globals that follow: which variable of the old version becomes which of the
 * new one, and how. The agent finds out and says; the host checks it against both
 * descriptions and both images, and copies while nobody runs module code.
 *
 * Invariant: there is one live copy. The old image's data is only read; what was written
 * into the new image is taken back unless the commit follows.
 *
 * Threads: the executor; molt_carry_find() any.
 */
#ifndef MOLT_CODE_CARRY_H
#define MOLT_CODE_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "code/recipe.h"

struct molt_buf;
struct molt_code;

/* A variable. The recipe is of its type, and the sizes are its bytes. */
struct molt_carried {
    char *name;              /* "src/counter.c:tick:hits" */
    uint64_t old_at, new_at; /* from the images' bases */
    struct molt_recipe *recipe;
};

struct molt_carry {
    char *module;
    uint8_t from_digest[32], to_digest[32];
    size_t n;
    struct molt_carried *items; /* ascending old_at, disjoint */
};

void molt_carry_free(struct molt_carry *carry);
/* MOLT_ENOMEM. */
int molt_carry_encode(const struct molt_carry *carry, struct molt_buf *out);
/* Decodes and checks each recipe. MOLT_EFORMAT, MOLT_ENOMEM. */
int molt_carry_decode(const void *bytes, size_t len, struct molt_carry **ret,
                      struct molt_error *err);

/* Where a pointer of pointee @type (as in steps) to byte @old_at of the old image leads, if that
 * is in a variable that follows. MOLT_ENOENT: it is in none; MOLT_ECHANGE and @why. */
int molt_carry_find(const struct molt_carry *carry, uint32_t old_at, uint64_t type, uint32_t *ret,
                    char *why, size_t why_size);

/* Add to the stage; consumed on success. The seal refuses (MOLT_EREFUSED) what doesn't fit both
 * versions, and a stage that would lose the value of a global that both have. */
int molt_stage_carry(struct molt_code *code, uint64_t stage, struct molt_carry *carry,
                     struct molt_error *err);
/* Whether the sealed stage has globals to copy. */
bool molt_stage_carries(struct molt_code *code, uint64_t stage);

/* What the host knows of addresses. */
struct molt_carry_env {
    bool (*is_block)(void *user, uint64_t value); /* it leads into a process's block */
    void *user;
};

/* Copy them all, or none. Nobody may run module code until the stage is committed or
 * aborted. MOLT_ECHANGE naming the variable, MOLT_ENOMEM. */
int molt_stage_copy_globals(struct molt_code *code, uint64_t stage,
                            const struct molt_carry_env *env, struct molt_error *err);

#endif
