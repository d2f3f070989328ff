/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_tree.h"

#include "port/spin.h"
#include "runtime/table_body.h"

#define PREFETCH_LINE 64
#define PREFETCH_MAX 640 /* of a leaf with short keys: its header and all of them */

/* ---- nodes ---------------------------------------------------------------------- */

/* A node's key against @key: -1, 0, 1. */
static int compare(const struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                   const uint64_t *key)
{
    const _Atomic(uint64_t) *words = molt_tree_key(tree, node, i);
    for (uint32_t k = 0; k < tree->key_words; k++) {
        uint64_t word = molt_table_word(&words[k]);
        if (word != key[k])
            return word < key[k] ? -1 : 1;
    }
    return 0;
}

static inline uint32_t is_less(const struct molt_tree_node *node, uint32_t i, uint64_t key)
{
    return molt_table_word(&node->words[i]) < key;
}

/* The usual case, without branches that depend on the keys: how many of the @n
 * words are smaller than @key. In quarters, since three words that don't depend on
 * each other take no longer than one. What lies behind the right quarter is not
 * smaller, so it does no harm that there may be too much of it. */
static inline uint32_t rank_word(const struct molt_tree_node *node, uint32_t n, uint64_t key)
{
    uint32_t base = 0;
    while (n > 3) {
        uint32_t q = n / 4;
        base += q * (is_less(node, base + q - 1, key) + is_less(node, base + 2 * q - 1, key) +
                     is_less(node, base + 3 * q - 1, key));
        n -= 3 * q;
    }
    uint32_t rank = base;
    for (uint32_t i = 0; i < n; i++)
        rank += is_less(node, base + i, key);
    return rank;
}

uint32_t molt_tree_rank(const struct molt_table_tree *tree, struct molt_tree_node *node,
                        const uint64_t *key, bool or_equal)
{
    uint32_t lo = 0, hi = molt_tree_n(node);
    if (tree->key_words == 1) /* what is not larger is smaller than the next */
        return or_equal && key[0] == UINT64_MAX ? hi : rank_word(node, hi, key[0] + or_equal);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = compare(tree, node, mid, key);
        if (order < 0 || (or_equal && order == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void move_key(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t from,
                     uint32_t to)
{
    for (uint32_t k = 0; k < tree->key_words; k++)
        atomic_store_explicit(&molt_tree_key(tree, node, to)[k],
                              molt_table_word(&molt_tree_key(tree, node, from)[k]),
                              memory_order_relaxed);
}

void molt_tree_open(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                    uint32_t skip)
{
    uint32_t n = molt_tree_n(node);
    for (uint32_t k = n; k > i; k--)
        move_key(tree, node, k - 1, k);
    for (uint32_t k = n + skip; k > i + skip; k--)
        molt_tree_set(tree, node, k, molt_tree_at(tree, node, k - 1));
    atomic_store_explicit(&node->n, n + 1, memory_order_relaxed);
}

void molt_tree_close(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                     uint32_t skip)
{
    uint32_t n = molt_tree_n(node);
    bool is_inner = molt_tree_level(node) > 0;
    for (uint32_t k = i; k + 1 < n; k++)
        move_key(tree, node, k + 1, k);
    for (uint32_t k = i + skip; k + 1 < n + is_inner; k++)
        molt_tree_set(tree, node, k, molt_tree_at(tree, node, k + 1));
    atomic_store_explicit(&node->n, n - 1, memory_order_relaxed);
}

/* ---- down ------------------------------------------------------------------------- */

/* Where a way down ends, and what lies beyond. */
struct way {
    struct molt_tree_node *leaf;
    uint64_t version;
    bool has_fence;
    uint64_t fence[MOLT_TABLE_KEY_WORDS];
};

/* How a way goes: to the leaf that has @key if anybody has; with before, to the
 * one that has the keys just below it. NULL: to the edge. @wants_fence: the
 * first key of the next leaf (of this leaf with before). */
struct course {
    const uint64_t *key;
    bool is_before, wants_fence;
};

static uint32_t choose(const struct molt_table_tree *tree, struct molt_tree_node *node,
                       const struct course *course)
{
    if (!course->key)
        return course->is_before ? molt_tree_n(node) : 0;
    return molt_tree_rank(tree, node, course->key, !course->is_before);
}

static void note_fence(const struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i,
                       const struct course *course, struct way *way)
{
    if (course->is_before ? i == 0 : i >= molt_tree_n(node))
        return;
    const _Atomic(uint64_t) *key = molt_tree_key(tree, node, course->is_before ? i - 1 : i);
    for (uint32_t k = 0; k < tree->key_words; k++)
        way->fence[k] = molt_table_word(&key[k]);
    way->has_fence = true;
}

/* A leaf's keys come together: searching them one line after the other would wait
 * for each. Nodes above are few, and mostly near. */
static void prefetch_keys(const struct molt_table_tree *tree, const struct molt_tree_node *leaf)
{
    const char *at = (const char *)leaf;
    size_t bytes = sizeof(*leaf) + (size_t)tree->fanout * tree->key_words * sizeof(uint64_t);
    bytes = bytes < PREFETCH_MAX ? bytes : PREFETCH_MAX;
    for (size_t done = 0; done < bytes; done += PREFETCH_LINE)
        molt_cpu_prefetch(at + done);
}

/* The child on the way to a key of one word. */
static inline struct molt_tree_node *child_to_word(const struct molt_table_tree *tree,
                                                   struct molt_tree_node *node, uint64_t key)
{
    /* What is not larger is smaller than the next. */
    uint32_t n = molt_tree_n(node);
    return molt_tree_at(tree, node, key == UINT64_MAX ? n : rank_word(node, n, key + 1));
}

static inline struct molt_tree_node *next_on_way(const struct molt_table_tree *tree,
                                                 struct molt_tree_node *node,
                                                 const struct course *course, struct way *way)
{
    if (tree->key_words == 1 && course->key && !course->is_before && !course->wants_fence)
        return child_to_word(tree, node, course->key[0]);
    uint32_t i = choose(tree, node, course);
    if (course->wants_fence)
        note_fence(tree, node, i, course, way);
    return molt_tree_at(tree, node, i);
}

/* False if something changed on the way. */
static inline bool try_descend(struct molt_table_tree *tree, const struct course *course,
                               struct way *way)
{
    way->has_fence = false;
    uint64_t root_version = molt_seq_read(&tree->root_seq);
    struct molt_tree_node *node = atomic_load_explicit(&tree->root, memory_order_acquire);
    uint64_t version = molt_seq_read(&node->seq);
    if (!molt_seq_is_same(&tree->root_seq, root_version))
        return false;
    while (molt_tree_level(node) > 0) {
        struct molt_tree_node *child = next_on_way(tree, node, course, way);
        /* Before it is followed: in a leaf this is a row. */
        if (!molt_seq_is_same(&node->seq, version))
            return false;
        if (molt_tree_level(node) == 1)
            prefetch_keys(tree, child);
        uint64_t child_version = molt_seq_read(&child->seq);
        if (!molt_seq_is_same(&node->seq, version))
            return false;
        node = child;
        version = child_version;
    }
    way->leaf = node;
    way->version = version;
    return true;
}

static void descend(struct molt_table_tree *tree, const struct course *course, struct way *way)
{
    for (unsigned spins = 0; !try_descend(tree, course, way);)
        molt_seq_pause(&spins);
}

/* The row of @key in the leaf, or NULL; *ret_i is where it is or should be. To
 * be followed only if the version is asked before. */
static inline struct molt_table_row *find(struct molt_table_tree *tree, struct molt_tree_node *leaf,
                                          const uint64_t *key, uint32_t *ret_i)
{
    uint32_t n = molt_tree_n(leaf);
    if (tree->key_words == 1) {
        uint32_t i = rank_word(leaf, n, key[0]);
        *ret_i = i;
        bool is_it = i < n && molt_table_word(&leaf->words[i]) == key[0];
        return is_it ? molt_tree_at(tree, leaf, i) : NULL;
    }
    uint32_t i = molt_tree_rank(tree, leaf, key, false);
    *ret_i = i;
    bool is_there = i < n && compare(tree, leaf, i, key) == 0;
    return is_there ? molt_tree_at(tree, leaf, i) : NULL;
}

/* ---- get --------------------------------------------------------------------------- */

int molt_table_tree_get(struct molt_table_body *body, const uint64_t *key, void *ret_value)
{
    struct molt_table_tree *tree = &body->tree;
    struct course course = {.key = key};
    struct way way;
    for (unsigned spins = 0;; molt_seq_pause(&spins)) {
        uint32_t i;
        descend(tree, &course, &way);
        struct molt_table_row *row = find(tree, way.leaf, key, &i);
        if (!molt_seq_is_same(&way.leaf->seq, way.version))
            continue;
        if (!row)
            return MOLT_ENOENT;
        int rc = molt_table_body_copy(body, row, ret_value);
        if (molt_seq_is_same(&way.leaf->seq, way.version))
            return rc;
    }
}

/* ---- write ------------------------------------------------------------------------- */

enum outcome { DONE, NO_ROW, FULL, EMPTIED };

/* The leaf is locked, and is let go. */
static enum outcome insert(struct molt_table_body *body, struct molt_tree_node *leaf, uint32_t i,
                           struct molt_table_write *w)
{
    struct molt_table_tree *tree = &body->tree;
    bool is_full = molt_tree_n(leaf) == tree->fanout;
    struct molt_table_row *row = is_full ? NULL : molt_table_body_take(body, w, &w->rc);
    if (!row) {
        molt_seq_unlock_same(&leaf->seq);
        return is_full ? FULL : w->rc < 0 ? DONE : NO_ROW;
    }
    molt_tree_open(tree, leaf, i, 0);
    for (uint32_t k = 0; k < tree->key_words; k++)
        atomic_store_explicit(&molt_tree_key(tree, leaf, i)[k], w->key[k], memory_order_relaxed);
    molt_tree_set(tree, leaf, i, row);
    molt_table_body_wrote(body, row, w);
    molt_seq_unlock(&leaf->seq);
    return DONE;
}

/* The leaf is locked, and is let go. */
static enum outcome write_leaf(struct molt_table_body *body, struct molt_tree_node *leaf,
                               struct molt_table_write *w)
{
    uint32_t i;
    struct molt_table_row *row = find(&body->tree, leaf, w->key, &i);
    switch (molt_table_write_apply(&body->layout, row, w)) {
    case MOLT_TABLE_ADD_ROW:
        return insert(body, leaf, i, w);
    case MOLT_TABLE_REMOVE:
        break;
    case MOLT_TABLE_KEEP:
        molt_seq_unlock_same(&leaf->seq);
        return DONE;
    default:
        molt_table_body_wrote(body, row, w);
        molt_seq_unlock(&leaf->seq);
        return DONE;
    }
    molt_tree_close(&body->tree, leaf, i, 0);
    molt_table_body_wrote(body, NULL, w);
    bool is_empty = molt_tree_n(leaf) == 0;
    molt_seq_unlock(&leaf->seq);
    molt_table_body_give(body, w->shard, row);
    return is_empty ? EMPTIED : DONE;
}

bool molt_table_tree_write(struct molt_table_body *body, struct molt_table_write *w)
{
    struct molt_table_tree *tree = &body->tree;
    struct course course = {.key = w->key};
    struct way way;
    for (unsigned spins = 0;;) {
        descend(tree, &course, &way);
        if (!molt_seq_try_lock(&way.leaf->seq, way.version)) {
            molt_seq_pause(&spins);
            continue;
        }
        switch (write_leaf(body, way.leaf, w)) {
        case NO_ROW:
            return false;
        case FULL:
            w->rc = molt_table_tree_split(tree, w->key);
            if (w->rc < 0)
                return true;
            break;
        case EMPTIED:
            molt_table_tree_prune(tree, w->key);
            return true;
        case DONE:
            return true;
        }
    }
}

/* ---- walk -------------------------------------------------------------------------- */

/* The place in the leaf that the step leads to, or -1 if it lies beyond. */
static int64_t place_in(struct molt_table_tree *tree, struct molt_tree_node *leaf,
                        const struct molt_table_cursor *at)
{
    uint32_t n = molt_tree_n(leaf);
    if (at->step == MOLT_TABLE_PREV)
        return (at->key ? (int64_t)molt_tree_rank(tree, leaf, at->key, false) : (int64_t)n) - 1;
    uint32_t i = at->key ? molt_tree_rank(tree, leaf, at->key, at->step == MOLT_TABLE_NEXT) : 0;
    return i < n ? (int64_t)i : -1;
}

/* MOLT_ENOENT: not in this leaf. False if it changed meanwhile. */
static bool copy_from(struct molt_table_body *body, const struct way *way,
                      const struct molt_table_cursor *at, uint64_t *ret_key, void *ret_value,
                      int *rc)
{
    struct molt_table_tree *tree = &body->tree;
    int64_t i = place_in(tree, way->leaf, at);
    *rc = MOLT_ENOENT;
    if (i >= 0) {
        struct molt_table_row *row = molt_tree_at(tree, way->leaf, (uint32_t)i);
        for (uint32_t k = 0; k < tree->key_words; k++)
            ret_key[k] = molt_table_word(&molt_tree_key(tree, way->leaf, (uint32_t)i)[k]);
        if (!molt_seq_is_same(&way->leaf->seq, way->version))
            return false;
        *rc = molt_table_body_copy(body, row, ret_value);
    }
    return molt_seq_is_same(&way->leaf->seq, way->version);
}

int molt_table_tree_step(struct molt_table_body *body, const struct molt_table_cursor *cursor,
                         uint64_t *ret_key, void *ret_value)
{
    struct molt_table_cursor at = *cursor;
    uint64_t from[MOLT_TABLE_KEY_WORDS];
    for (unsigned spins = 0;;) {
        struct course course = {.key = at.key,
                                .is_before = at.step == MOLT_TABLE_PREV,
                                .wants_fence = true};
        struct way way;
        int rc;
        descend(&body->tree, &course, &way);
        if (!copy_from(body, &way, &at, ret_key, ret_value, &rc)) {
            molt_seq_pause(&spins);
            continue;
        }
        if (rc != MOLT_ENOENT || !way.has_fence)
            return rc;
        /* On from the fence, which the next leaf may have, and the one before
         * can't. */
        memcpy(from, way.fence, sizeof(uint64_t) * body->tree.key_words);
        at.key = from;
        if (at.step == MOLT_TABLE_NEXT)
            at.step = MOLT_TABLE_FROM;
    }
}
