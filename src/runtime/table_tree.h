/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Ordered index: a B+-tree whose readers take no lock.
 *
 * A node has a version (table_seq.h), sorted keys inline, and pointers: a leaf
 * one row for each key, an inner node one child more than keys, where child i
 * has the keys k with keys[i-1] <= k < keys[i]. Nodes aren't linked sideways: a
 * walk that reaches a leaf's end goes down again, with the fence that it noted
 * on its way.
 *
 *  who          | excludes                        | how
 *  -------------+---------------------------------+-----------------------------
 *  reader       | nobody                          | asks each node's version
 *  writer       | writers of the same leaf        | locks the leaf's version, if
 *               |                                 | it is the one it came with
 *  split,       | each other                      | molt_table_tree.lock
 *  removal of   | readers and writers of the      | locks the versions of what
 *  an empty leaf| nodes concerned                 | it changes, root downwards
 *
 * Coming down: read a node's version, find the child, read the child's version,
 * then ask whether the node's is still the same. So the child was the right
 * one when its version was read, with the range of keys that leads to it. The
 * range of a leaf gets smaller only by a split, which changes its version; it
 * gets larger, too, when an empty neighbour is removed. So who locks a leaf by
 * the version that it came with has the right leaf.
 *
 * Inner nodes change under the lock only, so who has it reads them as they are.
 * A writer has one version and waits for nothing with it; splits wait for
 * versions with the lock held, from the root downwards.
 *
 * Nodes are of one size and stay nodes until the body is freed: late readers
 * find a node, and see by versions that it is the wrong one. Pointers are stored
 * with release and loaded with acquire, all else is relaxed, under the version.
 *
 * Leaves are removed when they are empty, not merged when they are sparse.
 *
 * Progress: see table_seq.h.
 * Locks: molt_table_tree.lock guards the structure and the spare nodes;
 * versions nest in it.
 */
#ifndef MOLT_RUNTIME_TABLE_TREE_H
#define MOLT_RUNTIME_TABLE_TREE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/table_write.h"

struct molt_table_body;
struct molt_table_cursor;

struct molt_tree_node {
    struct molt_seq seq;
    _Atomic(uint32_t) n;                           /* keys */
    _Atomic(uint32_t) level;                       /* 0: leaf */
    struct molt_tree_node *next_spare, *next_made; /* under the tree's lock */
    _Atomic(uint64_t) words[];                     /* keys, then pointers */
};

struct molt_table_tree {
    struct molt_seq root_seq;
    _Atomic(struct molt_tree_node *) root;
    uint32_t key_words;
    uint32_t fanout; /* keys that a node has room for */
    pthread_mutex_t lock;
    struct molt_tree_node *spare, *made; /* free ones; all */
    atomic_size_t bytes;
};

int molt_table_tree_init(struct molt_table_tree *tree, uint32_t key_words);
void molt_table_tree_fini(struct molt_table_tree *tree);
size_t molt_table_tree_bytes(struct molt_table_tree *tree);

int molt_table_tree_get(struct molt_table_body *body, const uint64_t *key, void *ret_value);

/* False: nothing was done, there is no free row; refill and try again. */
bool molt_table_tree_write(struct molt_table_body *body, struct molt_table_write *w);

int molt_table_tree_step(struct molt_table_body *body, const struct molt_table_cursor *cursor,
                         uint64_t *ret_key, void *ret_value);

/* ---- structure (table_tree_shape.c) ------------------------------------------- */

/* Make room on the way to @key. MOLT_ENOMEM: the tree is as good as before. */
int molt_table_tree_split(struct molt_table_tree *tree, const uint64_t *key);

/* Take out the leaf that @key leads to, if it is empty. */
void molt_table_tree_prune(struct molt_table_tree *tree, const uint64_t *key);

/* ---- nodes ---------------------------------------------------------------------- */

/* Never more than there is room for, whatever a late reader meets. */
static inline uint32_t molt_tree_n(const struct molt_tree_node *node)
{
    return atomic_load_explicit(&node->n, memory_order_relaxed);
}

static inline uint32_t molt_tree_level(const struct molt_tree_node *node)
{
    return atomic_load_explicit(&node->level, memory_order_relaxed);
}

static inline _Atomic(uint64_t) *molt_tree_key(const struct molt_table_tree *tree,
                                               struct molt_tree_node *node, uint32_t i)
{
    return &node->words[(size_t)i * tree->key_words];
}

static inline void *molt_tree_at(const struct molt_table_tree *tree, struct molt_tree_node *node,
                                 uint32_t i)
{
    size_t at = (size_t)tree->fanout * tree->key_words + i;
    return (void *)(uintptr_t)atomic_load_explicit(&node->words[at], memory_order_acquire);
}

static inline void molt_tree_set(const struct molt_table_tree *tree, struct molt_tree_node *node,
                                 uint32_t i, const void *to)
{
    size_t at = (size_t)tree->fanout * tree->key_words + i;
    atomic_store_explicit(&node->words[at], (uint64_t)(uintptr_t)to, memory_order_release);
}

/* How many of the node's keys are smaller than @key; @or_equal: or equal. */
uint32_t molt_tree_rank(const struct molt_table_tree *tree, struct molt_tree_node *node,
                        const uint64_t *key, bool or_equal);

/* Open a gap for key and pointer at @i (pointers from @i + @skip on), or close
 * it. The node's version is locked; its n is changed. */
void molt_tree_open(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                    uint32_t skip);
void molt_tree_close(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                     uint32_t skip);

#endif
