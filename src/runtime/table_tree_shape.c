/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What changes the shape of the tree: splits of full nodes and removal of empty
 * leaves, one at a time; see table_tree.h.
 */
#include <stdlib.h>

#include "runtime/table_tree.h"

#define NODE_BYTES MOLT_LIMIT((size_t)1024, (size_t)64) /* about, for short keys */
#define FANOUT_MIN MOLT_LIMIT(8u, 3u)
#define LEVELS_MAX 64

static size_t node_bytes(const struct molt_table_tree *tree)
{
    size_t words = (size_t)tree->fanout * (tree->key_words + 1) + 1;
    return sizeof(struct molt_tree_node) + 8 * words;
}

/* Under the lock. NULL when out of memory. */
static struct molt_tree_node *make_node(struct molt_table_tree *tree, uint32_t level)
{
    struct molt_tree_node *node = tree->spare;
    if (node) {
        tree->spare = node->next_spare;
    } else {
        node = calloc(1, node_bytes(tree));
        if (!node)
            return NULL;
        node->next_made = tree->made;
        tree->made = node;
        atomic_fetch_add_explicit(&tree->bytes, node_bytes(tree), memory_order_relaxed);
    }
    /* A late reader may look at a spare node, so it changes like any other. */
    molt_seq_lock(&node->seq);
    atomic_store_explicit(&node->n, 0, memory_order_relaxed);
    atomic_store_explicit(&node->level, level, memory_order_relaxed);
    molt_seq_unlock(&node->seq);
    return node;
}

/* Under the lock; nothing leads to the node any more, and its version has
 * changed since something did. */
static void spare_node(struct molt_table_tree *tree, struct molt_tree_node *node)
{
    node->next_spare = tree->spare;
    tree->spare = node;
}

int molt_table_tree_init(struct molt_table_tree *tree, uint32_t key_words)
{
    memset(tree, 0, sizeof(*tree));
    tree->key_words = key_words;
    size_t room = NODE_BYTES - sizeof(struct molt_tree_node) - 8;
    tree->fanout = (uint32_t)(room / (8 * ((size_t)key_words + 1)));
    if (tree->fanout < FANOUT_MIN)
        tree->fanout = FANOUT_MIN;
    struct molt_tree_node *root = make_node(tree, 0);
    if (!root)
        return MOLT_ENOMEM;
    pthread_mutex_init(&tree->lock, NULL);
    atomic_init(&tree->root, root);
    return 0;
}

void molt_table_tree_fini(struct molt_table_tree *tree)
{
    while (tree->made) {
        struct molt_tree_node *node = tree->made;
        tree->made = node->next_made;
        free(node);
    }
    pthread_mutex_destroy(&tree->lock);
}

size_t molt_table_tree_bytes(struct molt_table_tree *tree)
{
    return atomic_load_explicit(&tree->bytes, memory_order_relaxed);
}

static struct molt_tree_node *root_of(struct molt_table_tree *tree)
{
    return atomic_load_explicit(&tree->root, memory_order_relaxed);
}

static void set_root(struct molt_table_tree *tree, struct molt_tree_node *root)
{
    molt_seq_lock(&tree->root_seq);
    atomic_store_explicit(&tree->root, root, memory_order_release);
    molt_seq_unlock(&tree->root_seq);
}

static struct molt_tree_node *child_of(struct molt_table_tree *tree, struct molt_tree_node *node,
                                       const uint64_t *key)
{
    return molt_tree_at(tree, node, molt_tree_rank(tree, node, key, true));
}

static void copy_key(struct molt_table_tree *tree, struct molt_tree_node *from, uint32_t i,
                     struct molt_tree_node *to, uint32_t k)
{
    for (uint32_t w = 0; w < tree->key_words; w++)
        atomic_store_explicit(&molt_tree_key(tree, to, k)[w],
                              molt_table_word(&molt_tree_key(tree, from, i)[w]),
                              memory_order_relaxed);
}

/* ---- split --------------------------------------------------------------------------- */

/* Move what is behind the first @keep keys to @right. Key @keep separates them;
 * an inner node gives it up. */
static void divide(struct molt_table_tree *tree, struct molt_tree_node *node,
                   struct molt_tree_node *right, uint32_t keep)
{
    uint32_t n = molt_tree_n(node);
    uint32_t is_inner = molt_tree_level(node) > 0;
    uint32_t first = keep + is_inner;
    for (uint32_t i = first; i < n; i++)
        copy_key(tree, node, i, right, i - first);
    for (uint32_t i = first; i < n + is_inner; i++)
        molt_tree_set(tree, right, i - first, molt_tree_at(tree, node, i));
    atomic_store_explicit(&right->n, n - first, memory_order_relaxed);
    atomic_store_explicit(&node->n, keep, memory_order_relaxed);
}

/* Keys that are put in ascending order leave full nodes behind. */
static uint32_t keys_to_keep(struct molt_table_tree *tree, struct molt_tree_node *node,
                             const uint64_t *key)
{
    uint32_t n = molt_tree_n(node);
    bool is_append = molt_tree_rank(tree, node, key, false) == n;
    return is_append ? n - 1 : n / 2;
}

/* Split @node, which is child @i of @parent; both and @right are locked. */
static void split_child(struct molt_table_tree *tree, struct molt_tree_node *parent, uint32_t i,
                        struct molt_tree_node *node, struct molt_tree_node *right,
                        const uint64_t *key)
{
    uint32_t keep = keys_to_keep(tree, node, key);
    divide(tree, node, right, keep);
    molt_tree_open(tree, parent, i, 1);
    /* What was moved still stands where it was. */
    copy_key(tree, node, keep, parent, i);
    molt_tree_set(tree, parent, i + 1, right);
}

/* Split @node if it is full. @parent has room for one more, or is NULL: then
 * there will be a new root. */
static int split_node(struct molt_table_tree *tree, struct molt_tree_node *parent,
                      struct molt_tree_node *node, const uint64_t *key)
{
    struct molt_tree_node *right = make_node(tree, molt_tree_level(node));
    struct molt_tree_node *root = NULL;
    if (right && !parent) {
        root = parent = make_node(tree, molt_tree_level(node) + 1);
        if (root)
            molt_tree_set(tree, root, 0, node);
    }
    if (!right || !parent) {
        if (right)
            spare_node(tree, right);
        return MOLT_ENOMEM;
    }
    molt_seq_lock(&parent->seq);
    molt_seq_lock(&node->seq);
    molt_seq_lock(&right->seq);
    bool is_full = molt_tree_n(node) == tree->fanout; /* a leaf may have changed */
    if (is_full)
        split_child(tree, parent, molt_tree_rank(tree, parent, key, true), node, right, key);
    if (is_full && root)
        set_root(tree, root);
    molt_seq_unlock(&right->seq);
    molt_seq_unlock(&node->seq);
    molt_seq_unlock(&parent->seq);
    if (!is_full) {
        spare_node(tree, right);
        if (root)
            spare_node(tree, root);
    }
    return 0;
}

int molt_table_tree_split(struct molt_table_tree *tree, const uint64_t *key)
{
    struct molt_tree_node *parent = NULL;
    int rc = 0;
    pthread_mutex_lock(&tree->lock);
    for (struct molt_tree_node *node = root_of(tree);;) {
        /* Of an inner node this is what it is, of a leaf a guess. */
        if (molt_tree_n(node) == tree->fanout) {
            rc = split_node(tree, parent, node, key);
            if (rc < 0)
                break;
            if (!parent)
                parent = root_of(tree);
            if (parent != node)
                node = child_of(tree, parent, key);
        }
        if (molt_tree_level(node) == 0)
            break;
        parent = node;
        node = child_of(tree, node, key);
    }
    pthread_mutex_unlock(&tree->lock);
    return rc;
}

/* ---- prune --------------------------------------------------------------------------- */

struct path {
    struct molt_tree_node *nodes[LEVELS_MAX]; /* root first */
    uint32_t at[LEVELS_MAX];                  /* which child is next */
    unsigned n;
};

static void walk(struct molt_table_tree *tree, const uint64_t *key, struct path *path)
{
    struct molt_tree_node *node = root_of(tree);
    path->n = 0;
    for (;;) {
        path->nodes[path->n] = node;
        if (molt_tree_level(node) == 0)
            break;
        path->at[path->n] = molt_tree_rank(tree, node, key, true);
        node = molt_tree_at(tree, node, path->at[path->n++]);
    }
}

/* Take child @i out of @node; its neighbour gets the range. Locked. */
static void remove_child(struct molt_table_tree *tree, struct molt_tree_node *node, uint32_t i)
{
    if (i > 0)
        molt_tree_close(tree, node, i - 1, 1);
    else
        molt_tree_close(tree, node, 0, 0);
}

/* Nothing leads to it any more; whoever has its version starts again. */
static void give_up(struct molt_table_tree *tree, struct molt_tree_node *node)
{
    molt_seq_lock(&node->seq);
    molt_seq_unlock(&node->seq);
    spare_node(tree, node);
}

/* The leaf is empty and locked. Above it, nodes that lead to it alone go, too.
 * The leaf is let go last: whoever reads its new version through one of them
 * finds that this one has changed before. */
static void take_out(struct molt_table_tree *tree, const struct path *path)
{
    struct molt_tree_node *leaf = path->nodes[path->n];
    unsigned top = path->n;
    while (top > 0 && molt_tree_n(path->nodes[top - 1]) == 0)
        top--;
    if (top > 0) {
        struct molt_tree_node *owner = path->nodes[top - 1];
        molt_seq_lock(&owner->seq);
        remove_child(tree, owner, path->at[top - 1]);
        molt_seq_unlock(&owner->seq);
        spare_node(tree, leaf);
    } else if (path->n > 0) {
        set_root(tree, leaf); /* it is the only one */
    }
    for (unsigned i = top; i < path->n; i++)
        give_up(tree, path->nodes[i]);
    molt_seq_unlock(&leaf->seq);
}

static void lower_root(struct molt_table_tree *tree)
{
    struct molt_tree_node *root = root_of(tree);
    while (molt_tree_level(root) > 0 && molt_tree_n(root) == 0) {
        struct molt_tree_node *child = molt_tree_at(tree, root, 0);
        set_root(tree, child);
        give_up(tree, root);
        root = child;
    }
}

void molt_table_tree_prune(struct molt_table_tree *tree, const uint64_t *key)
{
    struct path path;
    pthread_mutex_lock(&tree->lock);
    walk(tree, key, &path);
    struct molt_tree_node *leaf = path.nodes[path.n];
    molt_seq_lock(&leaf->seq);
    if (molt_tree_n(leaf) > 0) {
        molt_seq_unlock_same(&leaf->seq);
    } else {
        take_out(tree, &path);
        lower_root(tree);
    }
    pthread_mutex_unlock(&tree->lock);
}
