/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include "runtime/block.h"
#include "runtime/message.h"
#include "runtime/process.h"

struct node {
    struct node *next;
    void *any;
    long value;
};
struct plain {
    char bytes[40];
};
FAKE_POINTER_TYPE(node, struct node, 1, FAKE_PTR(struct node, next, MOLT_PTR_DATA),
                  FAKE_PTR(struct node, any, MOLT_PTR_WORD));
FAKE_TYPE(plain, struct plain, 2);
FAKE_TYPE(byte, char, 3);

struct list {
    long n;
    char tail;
    struct node *items[];
};
static const struct molt_meta_ptr item_ptrs[] = {
    {.offset = 0, .count = 1, .kind = MOLT_PTR_DATA, .field = (char[]){"items"}}};
static const struct molt_type list_type = {.key_text = "struct list",
                                           .name = "struct list",
                                           .hash = 4,
                                           .shape = 4,
                                           .size = sizeof(struct list),
                                           .may_point = true,
                                           .flex_at = offsetof(struct list, items),
                                           .flex_size = sizeof(struct node *),
                                           .n_flex_ptrs = 1,
                                           .flex_ptrs = item_ptrs};

struct bench {
    struct molt_heap *heap;
    struct molt_block_cache cache;
    struct molt_owner mine, theirs;
};

static int setup(void **state)
{
    static struct bench b;
    assert_int_equal(molt_heap_new(&b.heap), 0);
    molt_block_cache_join(b.heap, &b.cache);
    molt_owner_init(&b.mine);
    molt_owner_init(&b.theirs);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    molt_block_drop_list(b->heap, &b->cache, &b->mine.blocks);
    molt_block_drop_list(b->heap, &b->cache, &b->theirs.blocks);
    assert_int_equal(molt_heap_pointing(b->heap), 0);
    molt_block_cache_leave(b->heap, &b->cache);
    molt_heap_free(b->heap);
    return 0;
}

static struct molt_block *make(struct bench *b, const struct molt_type *type, size_t n)
{
    return molt_block_make(b->heap, &b->cache, &b->mine, type, n);
}

static void check_addresses(struct bench *b, size_t bytes)
{
    struct molt_block *block = make(b, &byte_type, bytes), *after = make(b, &byte_type, bytes);
    char *at = molt_block_payload(block);
    assert_int_equal((uintptr_t)at % 16, 0);
    assert_ptr_equal(molt_heap_find(b->heap, at), block);
    assert_ptr_equal(molt_heap_find(b->heap, at + bytes / 2), block);
    assert_ptr_equal(molt_heap_find(b->heap, at + bytes), block);
    assert_ptr_not_equal(molt_heap_find(b->heap, at - 1), block);
    assert_ptr_not_equal(molt_heap_find(b->heap, at + bytes + 1), block);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(at[i], 0);
    memset(at, 0xab, bytes);
    molt_block_drop(b->heap, &b->cache, block);
    assert_null(molt_heap_find(b->heap, at));
    assert_null(molt_heap_find(b->heap, at + bytes));
    molt_block_drop(b->heap, &b->cache, after);
}

static void any_address_in_a_block_leads_to_it(void **state)
{
    for (size_t bytes = 0; bytes < 300; bytes++)
        check_addresses(*state, bytes);
    for (size_t bytes = 300; bytes < 5000000; bytes += bytes / 3)
        check_addresses(*state, bytes);
    /* The edges of small and large. */
    for (size_t bytes = 16300; bytes < 16420; bytes++)
        check_addresses(*state, bytes);
    for (size_t bytes = 21700; bytes < 21850; bytes++)
        check_addresses(*state, bytes);
}

static void other_addresses_lead_nowhere(void **state)
{
    struct bench *b = *state;
    int local;
    assert_null(molt_heap_find(b->heap, NULL));
    assert_null(molt_heap_find(b->heap, &local));
    assert_null(molt_heap_find(b->heap, (void *)UINTPTR_MAX));
    assert_null(molt_heap_find(b->heap, (void *)(uintptr_t)1));
    void *foreign = malloc(100);
    assert_null(molt_heap_find(b->heap, foreign));
    free(foreign);
}

static void freed_memory_is_zeroed_before_its_next_use(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 1000; i++) {
        struct molt_block *block = make(b, &plain_type, 3);
        char *at = molt_block_payload(block);
        for (size_t k = 0; k < 3 * sizeof(struct plain); k++)
            assert_int_equal(at[k], 0);
        memset(at, 0xff, 3 * sizeof(struct plain));
        molt_block_drop(b->heap, &b->cache, block);
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct bench *b = *state;
    assert_null(make(b, &plain_type, SIZE_MAX));
    assert_null(make(b, &plain_type, SIZE_MAX / sizeof(struct plain)));
    assert_null(make(b, &plain_type, SIZE_MAX / sizeof(struct plain) / 4));
}

static void bytes_and_pointing_blocks_are_counted(void **state)
{
    struct bench *b = *state;
    struct molt_block *a = make(b, &node_type, 2), *c = make(b, &plain_type, 1);
    assert_int_equal(atomic_load(&b->mine.bytes), 2 * sizeof(struct node) + sizeof(struct plain));
    assert_int_equal(molt_heap_pointing(b->heap), 1);
    molt_block_drop(b->heap, &b->cache, a);
    molt_block_drop(b->heap, &b->cache, c);
    assert_int_equal(atomic_load(&b->mine.bytes), 0);
    assert_int_equal(molt_heap_pointing(b->heap), 0);
}

/* ---- graphs ------------------------------------------------------------------- */

static struct node *node(struct bench *b)
{
    return molt_block_payload(make(b, &node_type, 1));
}

static struct molt_block *block_of(struct bench *b, const void *at)
{
    return molt_heap_find(b->heap, at);
}

static size_t length(const struct molt_list *list)
{
    size_t n = 0;
    for (struct molt_list *at = list->next; at != list; at = at->next)
        n++;
    return n;
}

static int pack(struct bench *b, const void *root, const void *pinned)
{
    return molt_message_pack(b->heap, &b->mine, block_of(b, root),
                             pinned ? block_of(b, pinned) : NULL);
}

static size_t size_of_message(const struct molt_block *root)
{
    size_t n = 0;
    for (const struct molt_block *at = root; at; at = molt_message_next(root, at))
        n++;
    return n;
}

static void drop(struct bench *b, const void *root)
{
    molt_message_drop(b->heap, &b->cache, block_of(b, root));
}

static void a_graph_moves_with_its_cycles(void **state)
{
    struct bench *b = *state;
    struct node *x = node(b), *y = node(b), *z = node(b), *stays = node(b);
    char *text = molt_block_payload(make(b, &byte_type, 9));
    x->next = y;
    y->next = z;
    z->next = x;
    y->any = text + 9; /* one past the end */
    z->any = (char *)y + 5;
    struct molt_block *root = block_of(b, x);
    assert_int_equal(pack(b, x, NULL), 0);
    assert_int_equal(size_of_message(root), 4);
    molt_message_address(root, &b->theirs);
    assert_int_equal(molt_message_unpack(root, &b->theirs.blocks), 3 * sizeof(*x) + 9);
    assert_int_equal(length(&b->theirs.blocks), 4);
    assert_ptr_equal(molt_block_owner(block_of(b, text)), &b->theirs);
    assert_ptr_equal(molt_block_owner(block_of(b, stays)), &b->mine);
}

static void a_message_remembers_its_kind_caller_and_generation(void **state)
{
    struct bench *b = *state;
    for (int n = 0; n < 3; n++) {
        struct node *x = node(b);
        struct molt_block *root = block_of(b, x);
        if (n > 0)
            x->next = node(b);
        if (n > 1)
            x->any = node(b);
        assert_int_equal(pack(b, x, NULL), 0);
        assert_int_equal(molt_message_kind(root), MOLT_MESSAGE_CAST);
        struct molt_from from = {.pid = UINT64_MAX - 5, .ref = MOLT_REF_MASK - 7};
        molt_message_set_kind(root, MOLT_MESSAGE_CALL);
        molt_message_set_from(root, from);
        molt_message_set_generation(root, MOLT_GENERATION_MASK - 1);
        assert_int_equal(molt_message_kind(root), MOLT_MESSAGE_CALL);
        assert_true(molt_message_from(root).pid == from.pid);
        assert_true(molt_message_from(root).ref == from.ref);
        assert_int_equal(molt_message_generation(root), MOLT_GENERATION_MASK - 1);
        assert_int_equal(size_of_message(root), n + 1);
        assert_int_equal(molt_block_bytes(root), sizeof(*x));
        molt_message_drop(b->heap, &b->cache, root);
    }
}

static void each_element_of_an_array_is_followed(void **state)
{
    struct bench *b = *state;
    struct node *row = molt_block_payload(make(b, &node_type, 50));
    for (int i = 0; i < 50; i++)
        row[i].next = node(b);
    assert_int_equal(pack(b, row, NULL), 0);
    assert_int_equal(size_of_message(block_of(b, row)), 51);
    drop(b, row);
}

static void each_element_of_a_flexible_array_is_followed(void **state)
{
    struct bench *b = *state;
    size_t bytes = offsetof(struct list, items) + 3 * sizeof(struct node *);
    struct molt_block *block =
        molt_block_make_bytes(b->heap, &b->cache, &b->mine, &list_type, bytes);
    struct list *list = molt_block_payload(block);
    assert_int_equal(molt_block_count(block), 3);
    for (int i = 0; i < 3; i++)
        list->items[i] = molt_block_payload(make(b, &node_type, 1));
    assert_int_equal(molt_message_pack(b->heap, &b->mine, block, NULL), 0);
    assert_true(molt_list_is_empty(&b->mine.blocks));
    int n = 0;
    for (struct molt_block *at = block; at; at = molt_message_next(block, at))
        n++;
    assert_int_equal(n, 4);
    molt_message_drop(b->heap, &b->cache, block);
}

static void words_that_are_no_blocks_stay_as_they_are(void **state)
{
    struct bench *b = *state;
    struct node *x = node(b), *gone = node(b);
    int local;
    x->any = &local;
    x->next = gone;
    molt_block_drop(b->heap, &b->cache, block_of(b, gone));
    assert_int_equal(pack(b, x, NULL), 0);
    assert_int_equal(size_of_message(block_of(b, x)), 1);
    assert_ptr_equal(x->any, &local);
    drop(b, x);
}

static void another_owners_block_refuses_the_move(void **state)
{
    struct bench *b = *state;
    struct node *x = node(b), *y = node(b);
    struct molt_block *foreign = molt_block_make(b->heap, &b->cache, &b->theirs, &node_type, 1);
    x->next = molt_block_payload(foreign);
    x->any = y;
    assert_int_equal(pack(b, x, NULL), MOLT_EOWNER);
    /* All that was the sender's is there to be freed. */
    assert_int_equal(size_of_message(block_of(b, x)), 2);
    drop(b, x);
    assert_ptr_equal(molt_block_owner(foreign), &b->theirs);
}

static void the_state_can_not_be_moved(void **state)
{
    struct bench *b = *state;
    struct node *x = node(b), *pinned = node(b);
    x->next = pinned;
    assert_int_equal(pack(b, x, pinned), MOLT_EINVAL);
    assert_ptr_equal(molt_block_owner(block_of(b, pinned)), &b->mine);
    drop(b, x);
}

/* ---- threads ------------------------------------------------------------------- */

struct churn {
    struct molt_heap *heap;
    unsigned seed;
};

static void *churn(void *arg)
{
    struct churn *c = arg;
    struct molt_block_cache cache;
    struct molt_owner owner;
    molt_block_cache_join(c->heap, &cache);
    molt_owner_init(&owner);
    struct molt_block *live[64] = {0};
    for (int i = 0; i < 20000; i++) {
        unsigned at = (unsigned)rand_r(&c->seed) % 64;
        if (live[at]) {
            assert_ptr_equal(molt_block_owner(live[at]), &owner);
            molt_block_drop(c->heap, &cache, live[at]);
        }
        live[at] =
            molt_block_make(c->heap, &cache, &owner, &byte_type, (size_t)rand_r(&c->seed) % 3000);
        assert_non_null(live[at]);
        /* Any address may be asked for at any time. */
        molt_heap_find(c->heap, (char *)live[at] + (rand_r(&c->seed) % 200000) - 100000);
    }
    molt_block_drop_list(c->heap, &cache, &owner.blocks);
    molt_block_cache_leave(c->heap, &cache);
    return NULL;
}

static void threads_share_a_heap(void **state)
{
    struct bench *b = *state;
    pthread_t threads[4];
    struct churn arg[4];
    for (unsigned i = 0; i < 4; i++) {
        arg[i] = (struct churn){b->heap, i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &arg[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_address_in_a_block_leads_to_it),
        TEST(other_addresses_lead_nowhere),
        TEST(freed_memory_is_zeroed_before_its_next_use),
        TEST(sizes_that_overflow_are_refused),
        TEST(bytes_and_pointing_blocks_are_counted),
        TEST(a_graph_moves_with_its_cycles),
        TEST(a_message_remembers_its_kind_caller_and_generation),
        TEST(each_element_of_an_array_is_followed),
        TEST(each_element_of_a_flexible_array_is_followed),
        TEST(words_that_are_no_blocks_stay_as_they_are),
        TEST(another_owners_block_refuses_the_move),
        TEST(the_state_can_not_be_moved),
        TEST(threads_share_a_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
