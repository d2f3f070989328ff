/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_hash.h"

#include <stdlib.h>

#include "port/spin.h"
#include "runtime/table_body.h"

#define BUCKETS_FIRST MOLT_LIMIT(64u, 1u) /* a power of two */
#define BUCKETS_MAX (1u << 30)
#define SPLITS_AT_ONCE 4

struct molt_table_bucket {
    struct molt_seq seq;
    _Atomic(struct molt_table_row *) head;
};

/* ---- which bucket ----------------------------------------------------------- */

static uint32_t level_of(uint32_t n_buckets)
{
    return 31 - (uint32_t)__builtin_clz(n_buckets);
}

static uint32_t index_of(uint32_t hash, uint32_t n_buckets)
{
    uint32_t half = 1u << level_of(n_buckets);
    uint32_t index = hash & (2 * half - 1);
    return index < n_buckets ? index : index & (half - 1);
}

static unsigned segment_of(uint32_t index)
{
    return index < BUCKETS_FIRST ? 0 : level_of(index / BUCKETS_FIRST) + 1;
}

static uint32_t segment_start(unsigned segment)
{
    return segment == 0 ? 0 : BUCKETS_FIRST << (segment - 1);
}

static struct molt_table_bucket *bucket_at(struct molt_table_hash *h, uint32_t index)
{
    unsigned segment = segment_of(index);
    /* Acquire: pairs with the release store of add_segment(). */
    return atomic_load_explicit(&h->segments[segment], memory_order_acquire) +
           (index - segment_start(segment));
}

static uint32_t n_buckets(struct molt_table_hash *h)
{
    /* Acquire: pairs with the release stores of split() and merge(); who sees
     * the number sees the segment. */
    return atomic_load_explicit(&h->n_buckets, memory_order_acquire);
}

static struct molt_table_row *follow(_Atomic(struct molt_table_row *) *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static void lead(_Atomic(struct molt_table_row *) *at, struct molt_table_row *row)
{
    atomic_store_explicit(at, row, memory_order_release);
}

static uint32_t hash_of(const struct molt_table_row *row)
{
    return atomic_load_explicit(&row->hash, memory_order_relaxed);
}

/* The bucket that @hash belongs to, with its version. */
static inline struct molt_table_bucket *read_bucket(struct molt_table_hash *h, uint32_t hash,
                                                    uint64_t *ret_version, uint32_t *ret_n)
{
    for (;;) {
        uint32_t n = n_buckets(h), index = index_of(hash, n);
        struct molt_table_bucket *b = bucket_at(h, index);
        *ret_version = molt_seq_read(&b->seq);
        *ret_n = n_buckets(h);
        if (__builtin_expect(*ret_n == n, 1) || index_of(hash, *ret_n) == index)
            return b;
    }
}

static inline struct molt_table_bucket *lock_bucket(struct molt_table_hash *h, uint32_t hash)
{
    for (;;) {
        uint32_t n = n_buckets(h), index = index_of(hash, n);
        struct molt_table_bucket *b = bucket_at(h, index);
        /* The row comes while the lock is taken. */
        molt_cpu_prefetch(follow(&b->head));
        molt_seq_lock(&b->seq);
        uint32_t now = n_buckets(h);
        if (__builtin_expect(now == n, 1) || index_of(hash, now) == index)
            return b;
        molt_seq_unlock_same(&b->seq);
    }
}

/* ---- life -------------------------------------------------------------------- */

static int add_segment(struct molt_table_hash *h, unsigned segment)
{
    size_t n = segment == 0 ? BUCKETS_FIRST : segment_start(segment);
    struct molt_table_bucket *buckets = calloc(n, sizeof(*buckets));
    if (!buckets)
        return MOLT_ENOMEM;
    atomic_store_explicit(&h->segments[segment], buckets, memory_order_release);
    atomic_fetch_add_explicit(&h->bytes, n * sizeof(*buckets), memory_order_relaxed);
    return 0;
}

int molt_table_hash_init(struct molt_table_hash *h)
{
    memset(h, 0, sizeof(*h));
    atomic_init(&h->n_buckets, BUCKETS_FIRST);
    return add_segment(h, 0);
}

void molt_table_hash_fini(struct molt_table_hash *h)
{
    for (unsigned i = 0; i < MOLT_TABLE_SEGMENTS; i++)
        free(atomic_load_explicit(&h->segments[i], memory_order_relaxed));
}

size_t molt_table_hash_bytes(struct molt_table_hash *h)
{
    return atomic_load_explicit(&h->bytes, memory_order_relaxed);
}

/* ---- get ---------------------------------------------------------------------- */

static bool is_row(const struct molt_table_body *body, const struct molt_table_row *row,
                   const uint64_t *key, uint32_t hash)
{
    return hash_of(row) == hash && molt_table_words_are(row->words, key, body->layout.key_words);
}

/* False if it was changed meanwhile. */
static inline bool try_get(struct molt_table_body *body, const uint64_t *key, uint32_t hash,
                           void *ret_value, int *rc)
{
    uint64_t version;
    uint32_t n;
    struct molt_table_bucket *b = read_bucket(&body->hash, hash, &version, &n);
    struct molt_table_row *row = follow(&b->head);
    while (row && !is_row(body, row, key, hash)) {
        row = follow(&row->next);
        if (!molt_seq_is_same(&b->seq, version))
            return false;
    }
    *rc = row ? molt_table_body_copy(body, row, ret_value) : MOLT_ENOENT;
    return molt_seq_is_same(&b->seq, version);
}

int molt_table_hash_get(struct molt_table_body *body, const uint64_t *key, void *ret_value)
{
    uint32_t hash = molt_table_key_hash(key, body->layout.key_words, body->seed);
    int rc;
    for (unsigned spins = 0; !try_get(body, key, hash, ret_value, &rc);)
        molt_seq_pause(&spins);
    return rc;
}

/* ---- growing and shrinking ------------------------------------------------------ */

/* One more bucket. By who has is_resizing. */
static int split(struct molt_table_hash *h)
{
    uint32_t n = n_buckets(h), bit = 1u << level_of(n);
    unsigned segment = segment_of(n);
    if (n >= BUCKETS_MAX)
        return MOLT_ELIMIT;
    if (!atomic_load_explicit(&h->segments[segment], memory_order_relaxed) &&
        add_segment(h, segment) < 0)
        return MOLT_ENOMEM;
    struct molt_table_bucket *from = bucket_at(h, n - bit), *to = bucket_at(h, n);
    molt_seq_lock(&from->seq);
    molt_seq_lock(&to->seq);
    _Atomic(struct molt_table_row *) *at = &from->head;
    for (struct molt_table_row *row = follow(at); row; row = follow(at)) {
        if (!(hash_of(row) & bit)) {
            at = &row->next;
            continue;
        }
        lead(at, follow(&row->next));
        lead(&row->next, follow(&to->head));
        lead(&to->head, row);
    }
    atomic_store_explicit(&h->n_buckets, n + 1, memory_order_release);
    molt_seq_unlock(&to->seq);
    molt_seq_unlock(&from->seq);
    return 0;
}

/* One less. By who has is_resizing. */
static void merge(struct molt_table_hash *h)
{
    uint32_t n = n_buckets(h) - 1;
    struct molt_table_bucket *from = bucket_at(h, n), *to = bucket_at(h, n - (1u << level_of(n)));
    molt_seq_lock(&to->seq);
    molt_seq_lock(&from->seq);
    _Atomic(struct molt_table_row *) *end = &to->head;
    for (struct molt_table_row *row = follow(end); row; row = follow(end))
        end = &row->next;
    lead(end, follow(&from->head));
    lead(&from->head, NULL);
    atomic_store_explicit(&h->n_buckets, n, memory_order_release);
    molt_seq_unlock(&from->seq);
    molt_seq_unlock(&to->seq);
}

/* As many buckets as rows, or down to a quarter of that. A few at a time;
 * without memory, or if somebody else is at it, chains are a bit longer. */
static void resize(struct molt_table_body *body)
{
    struct molt_table_hash *h = &body->hash;
    if (atomic_exchange_explicit(&h->is_resizing, true, memory_order_acquire))
        return;
    for (int i = 0; i < SPLITS_AT_ONCE; i++) {
        uint64_t count = molt_table_body_count(body), n = n_buckets(h);
        if (count > n) {
            if (split(h) < 0)
                break;
        } else if (n > BUCKETS_FIRST && count < n / 4) {
            merge(h);
        } else {
            break;
        }
    }
    atomic_store_explicit(&h->is_resizing, false, memory_order_release);
}

static bool wants_resize(struct molt_table_body *body)
{
    uint64_t count = molt_table_body_count(body), n = n_buckets(&body->hash);
    return count > n || (n > BUCKETS_FIRST && count < n / 4);
}

/* ---- write ----------------------------------------------------------------------- */

/* False: no free row. The bucket is locked. */
static bool insert(struct molt_table_body *body, struct molt_table_bucket *b,
                   struct molt_table_write *w)
{
    struct molt_table_row *row = molt_table_body_take(body, w, &w->rc);
    if (!row) {
        molt_seq_unlock_same(&b->seq);
        return w->rc < 0;
    }
    lead(&row->next, follow(&b->head));
    lead(&b->head, row);
    molt_table_body_wrote(body, row, w);
    molt_seq_unlock(&b->seq);
    return true;
}

bool molt_table_hash_write(struct molt_table_body *body, struct molt_table_write *w)
{
    struct molt_table_bucket *b = lock_bucket(&body->hash, w->hash);
    _Atomic(struct molt_table_row *) *at = &b->head;
    struct molt_table_row *row = follow(at);
    for (; row && !is_row(body, row, w->key, w->hash); row = follow(at))
        at = &row->next;
    enum molt_table_act act = molt_table_write_apply(&body->layout, row, w);
    if (act == MOLT_TABLE_ADD_ROW) {
        if (!insert(body, b, w))
            return false;
    } else if (act == MOLT_TABLE_KEEP) {
        molt_seq_unlock_same(&b->seq);
    } else {
        if (act == MOLT_TABLE_REMOVE)
            lead(at, follow(&row->next));
        molt_table_body_wrote(body, act == MOLT_TABLE_REMOVE ? NULL : row, w);
        molt_seq_unlock(&b->seq);
    }
    if (act == MOLT_TABLE_REMOVE)
        molt_table_body_give(body, w->shard, row);
    if ((act == MOLT_TABLE_REMOVE || act == MOLT_TABLE_ADD_ROW) && wants_resize(body))
        resize(body);
    return true;
}

/* ---- walk ------------------------------------------------------------------------- */

static uint32_t reverse(uint32_t x)
{
    x = __builtin_bswap32(x);
    x = (x & 0x0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f);
    x = (x & 0x33333333) << 2 | (x >> 2 & 0x33333333);
    return (x & 0x55555555) << 1 | (x >> 1 & 0x55555555);
}

/* A place in the order of all rows: at hashes whose reversed bits are @order,
 * behind @key if there is one. */
struct place {
    uint32_t order;
    const uint64_t *key;
};

static void load_key(const struct molt_table_body *body, const struct molt_table_row *row,
                     uint64_t *key)
{
    for (size_t i = 0; i < body->layout.key_words; i++)
        key[i] = molt_table_word(&row->words[i]);
}

static bool is_behind(const struct molt_table_body *body, const struct molt_table_row *row,
                      const struct place *place)
{
    uint32_t order = reverse(hash_of(row));
    if (order != place->order || !place->key)
        return order >= place->order;
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    load_key(body, row, key);
    return molt_table_key_compare(key, place->key, body->layout.key_words) > 0;
}

static bool is_before(const struct molt_table_body *body, const struct molt_table_row *row,
                      const struct molt_table_row *best)
{
    if (!best)
        return true;
    uint32_t mine = reverse(hash_of(row)), other = reverse(hash_of(best));
    if (mine != other)
        return mine < other;
    uint64_t a[MOLT_TABLE_KEY_WORDS], b[MOLT_TABLE_KEY_WORDS];
    load_key(body, row, a);
    load_key(body, best, b);
    return molt_table_key_compare(a, b, body->layout.key_words) < 0;
}

/* The first row behind @place in its bucket: MOLT_ENOENT, with the bucket's
 * last order in *ret_last. False if it was changed meanwhile. */
static bool try_step(struct molt_table_body *body, const struct place *place, uint64_t *ret_key,
                     void *ret_value, uint32_t *ret_last, int *rc)
{
    uint64_t version;
    uint32_t hash = reverse(place->order), n;
    struct molt_table_bucket *b = read_bucket(&body->hash, hash, &version, &n);
    struct molt_table_row *best = NULL;
    for (struct molt_table_row *row = follow(&b->head); row; row = follow(&row->next)) {
        if (is_behind(body, row, place) && is_before(body, row, best))
            best = row;
        if (!molt_seq_is_same(&b->seq, version))
            return false;
    }
    /* Bits of the hash that all rows of the bucket share: one more if it was
     * split, which is so if its other half is there. */
    uint32_t half = 1u << level_of(n);
    uint32_t shared = (hash & (half - 1)) + half < n ? 2 * half - 1 : half - 1;
    *ret_last = place->order | ~reverse(shared);
    *rc = MOLT_ENOENT;
    if (best) {
        load_key(body, best, ret_key);
        *rc = molt_table_body_copy(body, best, ret_value);
    }
    return molt_seq_is_same(&b->seq, version);
}

int molt_table_hash_step(struct molt_table_body *body, const uint64_t *after, uint64_t *ret_key,
                         void *ret_value)
{
    struct place place = {0, after};
    if (after)
        place.order = reverse(molt_table_key_hash(after, body->layout.key_words, body->seed));
    for (unsigned spins = 0;;) {
        uint32_t last;
        int rc;
        if (!try_step(body, &place, ret_key, ret_value, &last, &rc)) {
            molt_seq_pause(&spins);
            continue;
        }
        if (rc != MOLT_ENOENT || last == UINT32_MAX)
            return rc;
        place = (struct place){last + 1, NULL};
    }
}
