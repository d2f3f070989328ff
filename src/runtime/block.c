/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "port/limits.h"
#include "port/sanitize.h"
#include "runtime/block_quick.h"

#define CHUNK_SHIFT 16
#define CHUNK_BYTES ((size_t)1 << CHUNK_SHIFT)
#define CHUNK_HEADER 64
#define ARENA_CHUNKS MOLT_LIMIT(16, 1)
#define SLOT_MIN 64
#define SLOT_MAX 21824                  /* three to a chunk, so that 16 KiB buffers are small */
#define BATCH_BYTES MOLT_LIMIT(8192, 1) /* of slots between caches and the heap */
#define LARGE 255u                      /* in place of a class */
#define SPAN_KEPT ((size_t)4096)        /* of a free span; the rest is the system's, and zero */

/* Addresses have 48 bits, chunk numbers 32: half in the root, half in a leaf. */
#define LEAF_BITS 16
#define LEAF_SIZE ((size_t)1 << LEAF_BITS)
#define ADDRESS_BITS 48

/* Stands at the start of a chunk, and of the first chunk of a large block. */
struct chunk {
    uint32_t slot_bytes; /* 0: a large block */
    uint32_t n_slots;
    uint32_t class_index;
    uint32_t n_carved;  /* under the class's lock */
    uint32_t inverse;   /* 2^32 / slot_bytes, rounded up: a division by multiplying */
    size_t span_bytes;  /* large: of all its chunks */
    struct chunk *next; /* free large spans */
};
_Static_assert(sizeof(struct chunk) <= CHUNK_HEADER, "chunk header");
_Static_assert(sizeof(struct molt_block) == 48, "payloads are 16-byte aligned");

struct leaf {
    _Atomic(struct chunk *) chunks[LEAF_SIZE];
};

struct size_class {
    pthread_mutex_t lock; /* guards what follows; map_lock nests in it */
    uint32_t slot_bytes;
    unsigned batch;
    struct molt_block *batches; /* of free slots; see push_batch() */
    struct chunk *carving;
};

struct mapping {
    void *at;
    size_t bytes;
    struct mapping *next;
};

struct molt_heap {
    _Atomic(struct leaf *) *root; /* [LEAF_SIZE], mapped, written under map_lock */
    unsigned n_classes;
    struct size_class classes[MOLT_BLOCK_CLASSES];
    pthread_mutex_t map_lock; /* guards what follows; nothing nests in it */
    struct mapping *mappings;
    char *arena, *arena_end;               /* chunks not yet used */
    struct chunk *spans[ADDRESS_BITS * 4]; /* free large spans by size */
    struct molt_block_cache *caches;
    long n_pointing_left; /* of caches that left */
};

/* ---- mapping ------------------------------------------------------------ */

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Under map_lock. Chunk-aligned memory that is unmapped with the heap. */
static char *map_chunks(struct molt_heap *heap, size_t bytes)
{
    struct mapping *m = malloc(sizeof(*m));
    if (!m)
        return NULL;
    char *at = map(bytes + CHUNK_BYTES);
    if (!at) {
        free(m);
        return NULL;
    }
    size_t skip = -(uintptr_t)at & (CHUNK_BYTES - 1);
    if (skip)
        munmap(at, skip);
    if (skip < CHUNK_BYTES)
        munmap(at + skip + bytes, CHUNK_BYTES - skip);
    *m = (struct mapping){at + skip, bytes, heap->mappings};
    heap->mappings = m;
    return at + skip;
}

/* Under map_lock. False when out of memory. */
static bool publish(struct molt_heap *heap, struct chunk *chunk, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
        uintptr_t number = ((uintptr_t)chunk + at) >> CHUNK_SHIFT;
        if (number >> (2 * LEAF_BITS))
            return false;
        _Atomic(struct leaf *) *cell = &heap->root[number >> LEAF_BITS];
        struct leaf *leaf = atomic_load_explicit(cell, memory_order_relaxed);
        if (!leaf) {
            leaf = map(sizeof(*leaf));
            if (!leaf)
                return false;
            /* Release: pairs with the acquire load of find_chunk(). */
            atomic_store_explicit(cell, leaf, memory_order_release);
        }
        atomic_store_explicit(&leaf->chunks[number & (LEAF_SIZE - 1)], chunk, memory_order_release);
    }
    return true;
}

static struct chunk *find_chunk(const struct molt_heap *heap, uintptr_t address)
{
    uintptr_t number = address >> CHUNK_SHIFT;
    if (number >> (2 * LEAF_BITS))
        return NULL;
    struct leaf *leaf =
        atomic_load_explicit(&heap->root[number >> LEAF_BITS], memory_order_acquire);
    if (!leaf)
        return NULL;
    return atomic_load_explicit(&leaf->chunks[number & (LEAF_SIZE - 1)], memory_order_acquire);
}

/* ---- small blocks ------------------------------------------------------- */

/* Four classes to a doubling, then SLOT_MAX. */
static uint32_t next_slot_bytes(uint32_t bytes)
{
    uint32_t power = SLOT_MIN;
    while (power * 2 <= bytes)
        power *= 2;
    uint32_t next = bytes + power / 4;
    return next > 16384 ? SLOT_MAX : next;
}

static void init_classes(struct molt_heap *heap)
{
    uint32_t bytes = SLOT_MIN;
    for (unsigned i = 0;; i++, bytes = next_slot_bytes(bytes)) {
        struct size_class *class = &heap->classes[i];
        pthread_mutex_init(&class->lock, NULL);
        class->slot_bytes = bytes;
        class->batch = bytes >= BATCH_BYTES ? 1 : BATCH_BYTES / bytes;
        heap->n_classes = i + 1;
        if (bytes == SLOT_MAX)
            break;
    }
}

static unsigned class_of(uint32_t slot_bytes)
{
    if (slot_bytes <= SLOT_MIN)
        return 0;
    /* Classes of the doubling that starts at 2^p are 2^p + k * 2^(p-2). */
    uint32_t last = slot_bytes - 1;
    unsigned p = 31 - (unsigned)__builtin_clz(last);
    unsigned index = (p - 6) * 4 + ((last - (1u << p)) >> (p - 2)) + 1;
    return index;
}

static struct chunk *take_chunk(struct molt_heap *heap, unsigned index)
{
    struct chunk *chunk = NULL;
    pthread_mutex_lock(&heap->map_lock);
    if (heap->arena == heap->arena_end) {
        char *arena = map_chunks(heap, ARENA_CHUNKS * CHUNK_BYTES);
        if (arena) {
            heap->arena = arena;
            heap->arena_end = arena + ARENA_CHUNKS * CHUNK_BYTES;
        }
    }
    if (heap->arena != heap->arena_end) {
        chunk = (struct chunk *)(void *)heap->arena;
        uint32_t slot_bytes = heap->classes[index].slot_bytes;
        *chunk = (struct chunk){.slot_bytes = slot_bytes,
                                .n_slots = (CHUNK_BYTES - CHUNK_HEADER) / slot_bytes,
                                .class_index = index,
                                .inverse = UINT32_MAX / slot_bytes + 1};
        if (publish(heap, chunk, CHUNK_BYTES))
            heap->arena += CHUNK_BYTES;
        else
            chunk = NULL;
    }
    pthread_mutex_unlock(&heap->map_lock);
    return chunk;
}

/* Under the class's lock. A slot that was never used, or NULL. */
static struct molt_block *carve(struct molt_heap *heap, struct size_class *class, unsigned index)
{
    struct chunk *chunk = class->carving;
    if (!chunk || chunk->n_carved == chunk->n_slots) {
        chunk = take_chunk(heap, index);
        if (!chunk)
            return NULL;
        class->carving = chunk;
    }
    char *at = (char *)chunk + CHUNK_HEADER + (size_t)chunk->n_carved++ * chunk->slot_bytes;
    return (struct molt_block *)(void *)at;
}

static void push_free(struct molt_block **head, struct molt_block *block)
{
    block->envelope = (uintptr_t)*head;
    *head = block;
}

/* Under the class's lock. The first slot of a batch says how many it has, and
 * which batch is next: a batch changes hands without a look at the others. */
static void push_batch(struct size_class *class, struct molt_block *first, unsigned long n)
{
    atomic_store_explicit(&first->bytes, n, memory_order_relaxed);
    first->link.next = class->batches ? &class->batches->link : NULL;
    class->batches = first;
}

static struct molt_block *pop_batch(struct size_class *class, unsigned long *ret_n)
{
    struct molt_block *first = class->batches;
    if (!first)
        return NULL;
    struct molt_list *next = first->link.next;
    class->batches = next ? molt_container_of(next, struct molt_block, link) : NULL;
    *ret_n = atomic_load_explicit(&first->bytes, memory_order_relaxed);
    return first;
}

/* Under the class's lock. In the order of their addresses. */
static struct molt_block *carve_batch(struct molt_heap *heap, struct size_class *class,
                                      unsigned index, unsigned long *ret_n)
{
    struct molt_block *first = NULL, *last = NULL;
    unsigned n = 0;
    for (struct molt_block *block; n < class->batch && (block = carve(heap, class, index)); n++) {
        block->envelope = 0;
        if (last)
            last->envelope = (uintptr_t)block;
        else
            first = block;
        last = block;
    }
    *ret_n = n;
    return first;
}

/* The stock is empty: the spare batch, or one of the heap. */
static void refill(struct molt_heap *heap, struct molt_block_cache *cache, unsigned index)
{
    struct size_class *class = &heap->classes[index];
    struct molt_stock *stock = &cache->stock[index];
    if (stock->spare) {
        stock->free = stock->spare;
        stock->n = stock->batch;
        stock->spare = NULL;
        return;
    }
    pthread_mutex_lock(&class->lock);
    stock->free = pop_batch(class, &stock->n);
    if (!stock->free)
        stock->free = carve_batch(heap, class, index, &stock->n);
    pthread_mutex_unlock(&class->lock);
}

/* The stock is full: it becomes the spare batch, and that goes to the heap. */
static void set_aside(struct molt_heap *heap, struct molt_block_cache *cache, unsigned index)
{
    struct size_class *class = &heap->classes[index];
    struct molt_stock *stock = &cache->stock[index];
    if (stock->spare) {
        pthread_mutex_lock(&class->lock);
        push_batch(class, stock->spare, stock->batch);
        pthread_mutex_unlock(&class->lock);
    }
    stock->spare = stock->free;
    stock->free = NULL;
    stock->n = 0;
}

static void give_all(struct molt_heap *heap, struct molt_block_cache *cache, unsigned index)
{
    struct size_class *class = &heap->classes[index];
    struct molt_stock *stock = &cache->stock[index];
    pthread_mutex_lock(&class->lock);
    if (stock->free)
        push_batch(class, stock->free, stock->n);
    if (stock->spare)
        push_batch(class, stock->spare, stock->batch);
    pthread_mutex_unlock(&class->lock);
    stock->free = stock->spare = NULL;
    stock->n = 0;
}

/* ---- large blocks ------------------------------------------------------- */

/* Round up to one of four sizes per doubling, so that spans find new use. */
static size_t span_size(size_t bytes, unsigned *ret_index)
{
    size_t chunks = (bytes + CHUNK_BYTES - 1) >> CHUNK_SHIFT;
    size_t power = 1, index = 0;
    while (power * 2 <= chunks) {
        power *= 2;
        index += 4;
    }
    size_t step = power >= 4 ? power / 4 : 1;
    size_t k = (chunks - power + step - 1) / step;
    *ret_index = (unsigned)(index + k);
    return (power + k * step) << CHUNK_SHIFT;
}

static struct molt_block *take_span(struct molt_heap *heap, size_t payload)
{
    unsigned index;
    if (payload > (size_t)1 << (ADDRESS_BITS - 2))
        return NULL;
    size_t bytes = span_size(CHUNK_HEADER + sizeof(struct molt_block) + payload + 1, &index);
    pthread_mutex_lock(&heap->map_lock);
    struct chunk *chunk = heap->spans[index];
    if (chunk) {
        heap->spans[index] = chunk->next;
    } else {
        chunk = (struct chunk *)(void *)map_chunks(heap, bytes);
        if (chunk)
            *chunk = (struct chunk){.span_bytes = bytes, .class_index = index};
        if (chunk && !publish(heap, chunk, bytes)) {
            chunk->next = heap->spans[index];
            heap->spans[index] = chunk;
            chunk = NULL;
        }
    }
    pthread_mutex_unlock(&heap->map_lock);
    return chunk ? (struct molt_block *)(void *)((char *)chunk + CHUNK_HEADER) : NULL;
}

static struct chunk *chunk_of_span(struct molt_block *block)
{
    return (struct chunk *)(void *)((char *)block - CHUNK_HEADER);
}

/* The pages go back to the system, the first one with the headers stays. */
static void give_span(struct molt_heap *heap, struct molt_block *block)
{
    struct chunk *chunk = chunk_of_span(block);
    molt_sanitize_unpoison(molt_block_payload(block),
                           chunk->span_bytes - CHUNK_HEADER - sizeof(*block));
    madvise((char *)chunk + SPAN_KEPT, chunk->span_bytes - SPAN_KEPT, MADV_DONTNEED);
    pthread_mutex_lock(&heap->map_lock);
    chunk->next = heap->spans[chunk->class_index];
    heap->spans[chunk->class_index] = chunk;
    pthread_mutex_unlock(&heap->map_lock);
}

/* ---- owners and caches --------------------------------------------------- */

void molt_owner_init(struct molt_owner *owner)
{
    molt_list_init(&owner->blocks);
    atomic_init(&owner->bytes, 0);
}

void molt_owner_share(struct molt_shared_owner *owner, pthread_mutex_t *lock)
{
    molt_owner_init(&owner->owner);
    atomic_init(&owner->owner.bytes, MOLT_OWNER_IS_SHARED);
    owner->lock = lock;
}

static pthread_mutex_t *lock_of(struct molt_owner *owner)
{
    return molt_container_of(owner, struct molt_shared_owner, owner)->lock;
}

static bool is_shared(const struct molt_owner *owner)
{
    size_t bytes = atomic_load_explicit(&owner->bytes, memory_order_relaxed);
    return __builtin_expect((bytes & MOLT_OWNER_IS_SHARED) != 0, 0);
}

static void add(struct molt_owner *owner, struct molt_block *block)
{
    molt_list_append(&owner->blocks, &block->link);
    molt_owner_count(owner, molt_block_bytes(block));
    atomic_store_explicit(&block->owner, owner, memory_order_release);
}

void molt_owner_add(struct molt_owner *owner, struct molt_block *block)
{
    if (!is_shared(owner)) {
        add(owner, block);
        return;
    }
    pthread_mutex_lock(lock_of(owner));
    add(owner, block);
    pthread_mutex_unlock(lock_of(owner));
}

static void remove_from(struct molt_owner *owner, struct molt_block *block)
{
    molt_list_unlink(&block->link);
    molt_owner_count(owner, -molt_block_bytes(block));
}

void molt_owner_remove(struct molt_owner *owner, struct molt_block *block)
{
    if (!is_shared(owner)) {
        remove_from(owner, block);
        return;
    }
    pthread_mutex_lock(lock_of(owner));
    remove_from(owner, block);
    pthread_mutex_unlock(lock_of(owner));
}

void molt_block_cache_join(struct molt_heap *heap, struct molt_block_cache *cache)
{
    memset(cache, 0, sizeof(*cache));
    for (unsigned i = 0; i < heap->n_classes; i++)
        cache->stock[i].batch = heap->classes[i].batch;
    for (uint32_t slot = 0; slot <= MOLT_BLOCK_QUICK; slot += 16)
        cache->class_of[slot / 16] = (uint8_t)class_of(slot);
    pthread_mutex_lock(&heap->map_lock);
    cache->next = heap->caches;
    heap->caches = cache;
    pthread_mutex_unlock(&heap->map_lock);
}

void molt_block_cache_leave(struct molt_heap *heap, struct molt_block_cache *cache)
{
    for (unsigned i = 0; i < heap->n_classes; i++)
        give_all(heap, cache, i);
    pthread_mutex_lock(&heap->map_lock);
    struct molt_block_cache **at = &heap->caches;
    while (*at && *at != cache)
        at = &(*at)->next;
    if (*at)
        *at = cache->next;
    heap->n_pointing_left += atomic_load_explicit(&cache->n_pointing, memory_order_relaxed);
    pthread_mutex_unlock(&heap->map_lock);
}

long molt_heap_pointing(struct molt_heap *heap)
{
    pthread_mutex_lock(&heap->map_lock);
    long n = heap->n_pointing_left;
    for (struct molt_block_cache *c = heap->caches; c; c = c->next)
        n += atomic_load_explicit(&c->n_pointing, memory_order_relaxed);
    pthread_mutex_unlock(&heap->map_lock);
    return n;
}

/* ---- blocks ------------------------------------------------------------- */

/* @need: bytes with header, payload and the byte past it. */
static unsigned class_for(const struct molt_heap *heap, const struct molt_block_cache *cache,
                          size_t need)
{
    size_t slot = (need + 15) & ~(size_t)15;
    if (slot <= MOLT_BLOCK_QUICK)
        return cache->class_of[slot / 16];
    if (slot > SLOT_MAX)
        return LARGE;
    return slot > 16384 ? heap->n_classes - 1 : class_of((uint32_t)slot);
}

static struct molt_block *take_slot(struct molt_heap *heap, struct molt_block_cache *cache,
                                    unsigned class_index, size_t payload)
{
    if (__builtin_expect(class_index == LARGE, 0))
        return take_span(heap, payload);
    struct molt_stock *stock = &cache->stock[class_index];
    if (__builtin_expect(!stock->free, 0)) {
        refill(heap, cache, class_index);
        if (!stock->free)
            return NULL;
    }
    struct molt_block *block = stock->free;
    stock->free = molt_block_next_free(block);
    stock->n--;
    return block;
}

/* Of a large block, from its start: what give_span() leaves, the rest is zero already. */
static size_t dirty_bytes(size_t payload)
{
    size_t kept = SPAN_KEPT - CHUNK_HEADER - sizeof(struct molt_block);
    return payload < kept ? payload : kept;
}

static inline struct molt_block *make(struct molt_heap *heap, struct molt_block_cache *cache,
                                      struct molt_owner *owner, const struct molt_type *type,
                                      size_t payload)
{
    unsigned index = class_for(heap, cache, sizeof(struct molt_block) + payload + 1);
    struct molt_block *block = take_slot(heap, cache, index, payload);
    if (__builtin_expect(!block, 0))
        return NULL;
    molt_sanitize_unpoison(molt_block_payload(block), payload);
    memset(molt_block_payload(block), 0, index == LARGE ? dirty_bytes(payload) : payload);
    block->type = type;
    atomic_store_explicit(&block->bytes, payload | (size_t)index << MOLT_BLOCK_CLASS_SHIFT,
                          memory_order_relaxed);
    molt_owner_add(owner, block);
    if (type->may_point)
        molt_block_count_pointing(cache, 1);
    return block;
}

struct molt_block *molt_block_make(struct molt_heap *heap, struct molt_block_cache *cache,
                                   struct molt_owner *owner, const struct molt_type *type,
                                   size_t count)
{
    size_t payload;
    if (__builtin_mul_overflow(count, (size_t)type->size, &payload) || payload > SIZE_MAX / 2)
        return NULL;
    return make(heap, cache, owner, type, payload);
}

struct molt_block *molt_block_make_bytes(struct molt_heap *heap, struct molt_block_cache *cache,
                                         struct molt_owner *owner, const struct molt_type *type,
                                         size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    return make(heap, cache, owner, type, bytes);
}

void molt_block_release(struct molt_heap *heap, struct molt_block_cache *cache,
                        struct molt_block *block)
{
    if (block->type->may_point)
        molt_block_count_pointing(cache, -1);
    size_t word = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    unsigned index = (unsigned)(word >> MOLT_BLOCK_CLASS_SHIFT);
    atomic_store_explicit(&block->owner, NULL, memory_order_release);
    if (__builtin_expect(index == LARGE, 0)) {
        give_span(heap, block);
        return;
    }
    const struct size_class *class = &heap->classes[index];
    molt_sanitize_poison(molt_block_payload(block), class->slot_bytes - sizeof(*block));
    struct molt_stock *stock = &cache->stock[index];
    if (__builtin_expect(stock->n == stock->batch, 0))
        set_aside(heap, cache, index);
    push_free(&stock->free, block);
    stock->n++;
}

void molt_block_drop(struct molt_heap *heap, struct molt_block_cache *cache,
                     struct molt_block *block)
{
    molt_owner_remove(molt_block_owner(block), block);
    molt_block_release(heap, cache, block);
}

void molt_block_drop_list(struct molt_heap *heap, struct molt_block_cache *cache,
                          struct molt_list *list)
{
    molt_list_each (node, tmp, list) {
        molt_list_unlink(node);
        molt_block_release(heap, cache, molt_container_of(node, struct molt_block, link));
    }
}

struct molt_block *molt_heap_find(const struct molt_heap *heap, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    struct chunk *chunk = find_chunk(heap, at);
    if (!chunk)
        return NULL;
    uintptr_t first = (uintptr_t)chunk + CHUNK_HEADER;
    if (at < first)
        return NULL;
    uintptr_t start = first;
    if (chunk->slot_bytes) {
        /* Exact: offsets and sizes are below 2^16 and 2^15. */
        size_t slot = (uint64_t)(at - first) * chunk->inverse >> 32;
        if (slot >= chunk->n_slots)
            return NULL;
        start += slot * chunk->slot_bytes;
    }
    struct molt_block *block = (struct molt_block *)start; /* NOLINT: address arithmetic */
    if (!molt_block_owner(block))
        return NULL;
    uintptr_t payload = start + sizeof(*block);
    if (at < payload || at > payload + molt_block_bytes(block))
        return NULL;
    return block;
}

/* ---- the heap ------------------------------------------------------------ */

int molt_heap_new(struct molt_heap **ret)
{
    struct molt_heap *heap = calloc(1, sizeof(*heap));
    if (!heap)
        return MOLT_ENOMEM;
    heap->root = map(LEAF_SIZE * sizeof(*heap->root));
    if (!heap->root) {
        free(heap);
        return MOLT_ENOMEM;
    }
    pthread_mutex_init(&heap->map_lock, NULL);
    init_classes(heap);
    *ret = heap;
    return 0;
}

void molt_heap_free(struct molt_heap *heap)
{
    if (!heap)
        return;
    while (heap->mappings) {
        struct mapping *m = heap->mappings;
        heap->mappings = m->next;
        molt_sanitize_unpoison(m->at, m->bytes);
        munmap(m->at, m->bytes);
        free(m);
    }
    for (size_t i = 0; i < LEAF_SIZE; i++) {
        struct leaf *leaf = atomic_load_explicit(&heap->root[i], memory_order_relaxed);
        if (leaf)
            munmap(leaf, sizeof(*leaf));
    }
    munmap(heap->root, LEAF_SIZE * sizeof(*heap->root));
    for (unsigned i = 0; i < heap->n_classes; i++)
        pthread_mutex_destroy(&heap->classes[i].lock);
    pthread_mutex_destroy(&heap->map_lock);
    free(heap);
}

/* ---- all locks ------------------------------------------------------------------ */

/* Nobody has two classes' locks, so any order of them will do; map_lock nests in each. */
void molt_heap_lock(struct molt_heap *heap)
{
    for (unsigned i = 0; i < heap->n_classes; i++)
        pthread_mutex_lock(&heap->classes[i].lock);
    pthread_mutex_lock(&heap->map_lock);
}

void molt_heap_unlock(struct molt_heap *heap)
{
    pthread_mutex_unlock(&heap->map_lock);
    for (unsigned i = heap->n_classes; i-- > 0;)
        pthread_mutex_unlock(&heap->classes[i].lock);
}
