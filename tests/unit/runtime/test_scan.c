/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include "runtime/scan.h"

enum { DONE, BLOCKED };

struct holder {
    long n;
    void (*on_tick)(void);
    void *any[2];
};
struct poke {
    void *word;
};
FAKE_POINTER_TYPE(holder, struct holder, 0x51, FAKE_PTR(struct holder, on_tick, MOLT_PTR_CODE),
                  {.offset = offsetof(struct holder, any),
                   .count = 2,
                   .kind = MOLT_PTR_WORD,
                   .field = (char[]){"any"}});
FAKE_POINTER_TYPE(poke, struct poke, 0x52, FAKE_PTR(struct poke, word, MOLT_PTR_WORD));

/* An "old image": nothing but a range of addresses. */
static char image[4096];
static struct molt_range range;

static int poke(struct holder *s, struct poke *m)
{
    s->any[1] = m->word;
    fake_add(DONE, 1);
    return 0;
}

static struct fake_module module;

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    struct fake_server *s = fake_server(&module, "holder", &holder_type);
    fake_on(s, MOLT_HANDLER_CAST, &poke_type, MOLT_FN(poke));
    fake_runner(&module, "runner");
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    range = (struct molt_range){(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    molt_thread_unregister(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static char found[4096];
static uint64_t found_holder;

static void on_found(void *user, const struct molt_range *r, uint64_t holder, const char *why)
{
    (void)user;
    assert_ptr_equal(r, &range);
    found_holder = holder;
    snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s\n", why);
}

static int scan(struct fake *f)
{
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    found[0] = '\0';
    found_holder = 0;
    /* The scan waits until threads have passed a boundary, and this one scans. */
    molt_thread_offline(t);
    int n = molt_runtime_scan(f->rt, &range, 1, on_found, NULL);
    molt_thread_online(t);
    return n;
}

static void send_word(const char *name, void *word)
{
    struct poke *m = fake_new(struct poke, poke);
    m->word = word;
    assert_int_equal(molt_send(name, m), 0);
}

static void nothing_that_points_needs_no_scan(void **state)
{
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    assert_int_equal(scan(*state), 0);
}

static void a_word_in_a_state_is_found_by_name(void **state)
{
    molt_pid pid;
    assert_int_equal(molt_spawn("holder", "holder", NULL, &pid), 0);
    send_word("holder", image + 17);
    fake_await(DONE, 1);
    assert_true(scan(*state) >= 1);
    assert_non_null(strstr(found, "'holder': struct holder.any"));
    assert_int_equal(found_holder, pid);
    send_word("holder", image + sizeof(image)); /* just behind it */
    fake_await(DONE, 2);
    send_word("holder", NULL);
    fake_await(DONE, 3);
    assert_int_equal(scan(*state), 0);
}

static void *gate_word;

static void do_block(void *arg)
{
    /* On the stack of a suspended callback, and nowhere else. */
    void *volatile word = gate_word;
    (void)arg;
    gate_word = NULL;
    fake_add(BLOCKED, 1);
    molt_sleep(60000);
    assert_non_null(word);
}

/* A callback reports before it is suspended; no event tells when it is. */
static void await_suspended(struct fake *f)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_runtime_stragglers(f->rt, NULL, UINT64_MAX, NULL, 0) == 0)
        assert_true(molt_clock_ns() < deadline);
}

static void a_word_on_a_suspended_stack_is_found(void **state)
{
    struct fake *f = *state;
    gate_word = image + 5;
    molt_pid pid;
    assert_int_equal(molt_spawn("runner", "runner", NULL, &pid), 0);
    assert_int_equal(fake_post("runner", do_block, NULL, DONE), 0);
    await_suspended(f);
    assert_int_equal(scan(f), 1);
    assert_non_null(strstr(found, "'runner': stack"));
    molt_pid straggler = 0;
    assert_int_equal(molt_runtime_stragglers(f->rt, NULL, UINT64_MAX, &straggler, 1), 1);
    assert_int_equal(straggler, pid);
    assert_int_equal(molt_runtime_stragglers(f->rt, module.world, 0, NULL, 0), 1);
    assert_int_equal(molt_runtime_stragglers(f->rt, NULL, module.world->id, NULL, 0), 0);
    assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
    assert_int_equal(scan(f), 0);
}

static void a_word_in_a_mailbox_is_found(void **state)
{
    struct fake *f = *state;
    gate_word = f;
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    assert_int_equal(fake_post("runner", do_block, NULL, DONE), 0);
    fake_await(BLOCKED, 1);
    send_word("runner", image);
    assert_int_equal(scan(f), 1);
    assert_non_null(strstr(found, "'runner': message struct poke.word"));
    molt_runtime_kill(f->rt, molt_whereis("runner"));
}

static void a_thread_s_pending_block_is_found(void **state)
{
    struct poke *m = fake_new(struct poke, poke);
    m->word = image;
    assert_int_equal(scan(*state), 1);
    assert_non_null(strstr(found, "thread test: pending struct poke.word"));
    molt_free(m);
    assert_int_equal(scan(*state), 0);
}

/* ---- words that move while a scan is on ---------------------------------------- */

static atomic_bool is_hopping;

/* Passes the word to and fro between two processes through messages only. */
static int hop(struct holder *s, struct poke *m)
{
    (void)s;
    if (!atomic_load(&is_hopping)) {
        fake_add(DONE, 1);
        return 0;
    }
    struct poke *next = fake_new(struct poke, poke);
    next->word = m->word;
    return molt_send(molt_self() == molt_whereis("left") ? "right" : "left", next);
}

static void a_word_that_hops_is_found_every_time(void **state)
{
    struct fake *f = *state;
    static struct fake_module m2;
    fake_module_init(&m2, "hop", 2);
    struct fake_server *s = fake_server(&m2, "hop", &holder_type);
    fake_on(s, MOLT_HANDLER_CAST, &poke_type, MOLT_FN(hop));
    fake_publish(f, &m2);
    molt_safepoint(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    assert_int_equal(molt_spawn("hop", "left", NULL, NULL), 0);
    assert_int_equal(molt_spawn("hop", "right", NULL, NULL), 0);
    atomic_store(&is_hopping, true);
    send_word("left", image + 9);
    for (int i = 0; i < 200; i++)
        assert_true(scan(f) >= 1);
    atomic_store(&is_hopping, false);
    fake_await(DONE, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_that_points_needs_no_scan),    TEST(a_word_in_a_state_is_found_by_name),
        TEST(a_word_on_a_suspended_stack_is_found), TEST(a_word_in_a_mailbox_is_found),
        TEST(a_thread_s_pending_block_is_found),    TEST(a_word_that_hops_is_found_every_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
