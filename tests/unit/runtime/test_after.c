/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Messages that are sent later, and timers that are cancelled. */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

enum { SEEN = 8, CHANGED };

struct tick {
    long n;
    void *word;
};
FAKE_POINTER_TYPE(tick, struct tick, 0x81, FAKE_PTR(struct tick, word, MOLT_PTR_WORD));

#define SEEN_MAX 4096
static long seen[SEEN_MAX]; /* under the fixture's lock */
static size_t n_seen;
static uint64_t seen_ns;

static int on_tick(struct fake_state *s, struct tick *m)
{
    (void)s;
    pthread_mutex_lock(&fake_here->lock);
    if (n_seen < SEEN_MAX)
        seen[n_seen++] = m->n;
    seen_ns = molt_clock_ns();
    pthread_mutex_unlock(&fake_here->lock);
    fake_add(SEEN, 1);
    return 0;
}

static struct fake_module module;
static molt_pid target;

static struct molt_thread *me(void)
{
    return molt_container_of(molt_runner_here(), struct molt_thread, runner);
}

static int setup(void **state)
{
    static struct fake f;
    static struct molt_thread *thread;
    n_seen = 0;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    struct fake_server *s = actor_server(&module, "actor");
    fake_on(s, MOLT_HANDLER_CAST, &tick_type, MOLT_FN(on_tick));
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    target = actor_spawn();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    return 0;
}

static struct tick *tick(long n)
{
    struct tick *m = fake_new(struct tick, tick);
    assert_non_null(m);
    m->n = n;
    return m;
}

static uint64_t after(unsigned ms, long n)
{
    uint64_t timer = 0;
    assert_int_equal(molt_send_after(ms, target, tick(n), &timer), 0);
    assert_int_not_equal(timer, 0);
    return timer;
}

/* ---- sending ------------------------------------------------------------------- */

static void a_message_comes_at_its_time(void **state)
{
    (void)state;
    uint64_t start = molt_clock_ns();
    after(20, 1);
    fake_await(SEEN, 1);
    assert_true(seen_ns - start >= 20000000u);
    assert_int_equal(molt_send_after(0, target, tick(2), NULL), 0);
    fake_await(SEEN, 2);
    assert_int_equal(seen[1], 2);
}

/* The lanes sleep for a minute, and are woken from outside for less. */
static void a_nearer_timer_wakes_a_sleeping_lane(void **state)
{
    (void)state;
    uint64_t far[2] = {after(60000, 0), after(60000, 0)};
    for (long n = 1; n <= 50; n++) {
        after(1, n);
        fake_await(SEEN, n);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(molt_cancel_timer(far[i]), 0);
}

static void do_start_many(void *arg)
{
    unsigned ms[] = {30, 10, 20, 10, 30, 0};
    (void)arg;
    for (int i = 0; i < 6; i++)
        after(ms[i], i);
}

static void they_come_by_deadline_then_by_start(void **state)
{
    (void)state;
    const long expected[] = {5, 1, 3, 2, 0, 4};
    actor_do(actor_spawn(), do_start_many, NULL);
    fake_await(SEEN, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(seen[i], expected[i]);
}

static void do_start_and_end(void *arg)
{
    (void)arg;
    after(30, 7);
    assert_int_equal(molt_exit(molt_self(), 0), 0);
}

static void a_timer_outlives_who_started_it(void **state)
{
    (void)state;
    actor_post(actor_new(), do_start_and_end, NULL);
    fake_await(ACTOR_ENDS, 1);
    fake_await(SEEN, 1);
    assert_int_equal(seen[0], 7);
}

static void what_nobody_is_left_for_is_dropped(void **state)
{
    struct fake *f = *state;
    molt_pid survivor = actor_spawn();
    actor_sync(survivor);
    after(20, 1);
    assert_int_equal(molt_heap_pointing(f->rt->heap), 1);
    assert_int_equal(molt_runtime_kill(f->rt, target), 0);
    /* Another process may have the slot by then. */
    target = actor_spawn();
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_heap_pointing(f->rt->heap) > 0) /* no event tells that it was freed */
        assert_true(molt_clock_ns() < deadline);
    assert_int_equal(fake_get(SEEN), 0);
}

/* ---- cancelling ------------------------------------------------------------------ */

static void a_cancelled_message_never_comes(void **state)
{
    struct fake *f = *state;
    uint64_t timer = after(20, 1), later = after(40, 2);
    assert_int_equal(molt_cancel_timer(timer), 0);
    assert_int_equal(molt_cancel_timer(timer), MOLT_ENOENT);
    assert_int_equal(molt_heap_pointing(f->rt->heap), 1);
    fake_await(SEEN, 1);
    assert_int_equal(seen[0], 2);
    assert_int_equal(molt_cancel_timer(later), MOLT_ENOENT);
}

static void a_wrong_number_is_harmless(void **state)
{
    (void)state;
    uint64_t timer = after(60000, 1), wrong[] = {0, 1, 17, UINT64_MAX, timer + 1, timer << 1};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(molt_cancel_timer(wrong[i]), MOLT_ENOENT);
    for (unsigned bit = 0; bit < 64; bit++)
        assert_int_equal(molt_cancel_timer(timer ^ UINT64_C(1) << bit), MOLT_ENOENT);
    assert_int_equal(molt_cancel_timer(timer), 0);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void a_number_is_never_used_twice(void **state)
{
    (void)state;
    static uint64_t numbers[20000];
    for (int i = 0; i < 20000; i++) {
        numbers[i] = after(60000, i);
        if (i % 3)
            assert_int_equal(molt_cancel_timer(numbers[i]), 0);
    }
    for (int i = 0; i < 20000; i += 3)
        assert_int_equal(molt_cancel_timer(numbers[i]), 0);
    qsort(numbers, 20000, sizeof(numbers[0]), by_value);
    for (int i = 1; i < 20000; i++)
        assert_int_not_equal(numbers[i - 1], numbers[i]);
}

static void do_send_after_from_a_job(void *arg)
{
    *(uint64_t *)arg = after(60000, 3);
}

static void anybody_may_cancel(void **state)
{
    (void)state;
    uint64_t timer;
    actor_do(actor_spawn(), do_send_after_from_a_job, &timer);
    assert_int_equal(molt_cancel_timer(timer), 0);
}

/* ---- errors ------------------------------------------------------------------------ */

static void bad_input_gets_a_named_error(void **state)
{
    struct fake *f = *state;
    int local;
    uint64_t timer = 5;
    actor_sync(target);
    long before = molt_heap_pointing(f->rt->heap);
    assert_int_equal(molt_send_after(1, 0, tick(1), &timer), MOLT_EINVAL);
    assert_int_equal(molt_send_after(1, target + (UINT64_C(1) << 40), tick(1), &timer), MOLT_EDEAD);
    assert_int_equal(molt_send_after(1, target, NULL, &timer), MOLT_EINVAL);
    assert_int_equal(molt_send_after(1, target, &local, &timer), MOLT_EINVAL);
    assert_int_equal(timer, 5);
    /* What was consumed is gone. */
    assert_int_equal(molt_heap_pointing(f->rt->heap), before);
    struct tick *sent = tick(1);
    assert_int_equal(molt_send_after(60000, target, sent, &timer), 0);
    assert_int_equal(molt_send_pid(target, sent), MOLT_EOWNER);
    molt_free(sent); /* reported, and left alone */
    assert_int_equal(molt_cancel_timer(timer), 0);
    struct molt_thread *thread = me();
    molt_thread_unregister(thread);
    assert_int_equal(molt_send_after(1, target, &local, &timer), MOLT_ENOPROC);
    assert_int_equal(molt_cancel_timer(timer), MOLT_ENOPROC);
    assert_int_equal(molt_runtime_thread_register(f->rt, "again", &thread), 0);
}

/* ---- upgrades ------------------------------------------------------------------------ */

static void *cancel(void *arg)
{
    struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "canceller", &thread), 0);
    fake_await(CHANGED, 1);
    assert_int_equal(molt_cancel_timer(*(uint64_t *)arg), 0);
    molt_thread_unregister(thread);
    return NULL;
}

static void a_gone_layout_in_a_timer_is_waited_for(void **state)
{
    struct fake *f = *state;
    const struct molt_type *gone = &tick_type;
    struct molt_conversion conv = {.old_world = module.world,
                                   .new_world = module.world,
                                   .n_types = 1,
                                   .gone_types = &gone};
    struct molt_error err = {0};
    uint64_t timer = after(60000, 1);
    pthread_t canceller;
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 5, &err), MOLT_ETIMEDOUT);
    assert_non_null(strstr(err.text, "old layout of 'struct tick' waits in timer"));
    assert_int_equal(pthread_create(&canceller, NULL, cancel, &timer), 0);
    fake_add(CHANGED, 1);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    molt_runtime_unprepare(f->rt, &conv);
    pthread_join(canceller, NULL);
    /* One that expires is waited for, too, and then for its handler. */
    after(20, 2);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    molt_runtime_unprepare(f->rt, &conv);
    fake_await(SEEN, 1);
}

static char found[1024];
static char image[4096];

static void on_found(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    snprintf(found, sizeof(found), "%s", why);
}

static int scan(struct fake *f)
{
    struct molt_range range = {(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    struct molt_thread *t = me();
    found[0] = '\0';
    molt_thread_offline(t);
    int n = molt_runtime_scan(f->rt, &range, 1, on_found, NULL);
    molt_thread_online(t);
    return n;
}

static void a_word_in_a_timer_is_found(void **state)
{
    struct fake *f = *state;
    struct tick *m = tick(1);
    uint64_t timer;
    m->word = image + 40;
    assert_int_equal(molt_send_after(60000, target, m, &timer), 0);
    assert_int_equal(scan(f), 1);
    assert_non_null(strstr(found, "message of a timer: struct tick.word"));
    assert_int_equal(molt_cancel_timer(timer), 0);
    assert_int_equal(scan(f), 0);
}

/* ---- words that move from timer to process to timer while a scan is on ----------------- */

static atomic_bool is_hopping;

static int hop(struct fake_state *s, struct tick *m)
{
    (void)s;
    if (!atomic_load(&is_hopping)) {
        fake_add(SEEN, 1);
        return 0;
    }
    struct tick *next = tick(m->n);
    next->word = m->word;
    assert_int_equal(molt_send_after((unsigned)m->n, molt_self(), next, NULL), 0);
    return 0;
}

static void a_word_that_hops_is_found_every_time(void **state)
{
    struct fake *f = *state;
    static struct fake_module m2;
    fake_module_init(&m2, "hop", 2);
    fake_on(fake_server(&m2, "hop", &fake_state_type), MOLT_HANDLER_CAST, &tick_type, MOLT_FN(hop));
    fake_publish(f, &m2);
    molt_safepoint(me());
    atomic_store(&is_hopping, true);
    for (long ms = 0; ms < 2; ms++) {
        molt_pid pid;
        assert_int_equal(molt_spawn("hop", NULL, NULL, &pid), 0);
        struct tick *m = tick(ms);
        m->word = image + 9;
        assert_int_equal(molt_send_pid(pid, m), 0);
    }
    for (int i = 0; i < 100; i++)
        assert_true(scan(f) >= 1);
    atomic_store(&is_hopping, false);
    fake_await(SEEN, 2);
}

/* ---- many, from everywhere --------------------------------------------------------------- */

static void a_timer_takes_little_memory(void **state)
{
    (void)state;
    assert_true(sizeof(struct molt_send_chunk) / MOLT_SENDS_CHUNK <= 150);
    enum { MANY = MOLT_LIMIT(1000000, 20000) };
    uint64_t *numbers = malloc(MANY * sizeof(*numbers));
    assert_non_null(numbers);
    for (int i = 0; i < MANY; i++)
        numbers[i] = after(60000 + (unsigned)i % 1000, i);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(molt_cancel_timer(numbers[(i + MANY / 2) % MANY]), 0);
    free(numbers);
}

#define STARTERS 2
#define EACH 5000

static atomic_long n_cancelled;

/* Starts timers that are about to expire, and cancels half of them, late. */
static void *start_and_cancel(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    struct molt_thread *thread;
    uint64_t recent[64] = {0};
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "starter", &thread), 0);
    for (int i = 0; i < EACH; i++) {
        uint64_t *slot = &recent[(unsigned)rand_r(&seed) % 64];
        if (*slot && rand_r(&seed) % 2 && molt_cancel_timer(*slot) == 0)
            atomic_fetch_add(&n_cancelled, 1);
        *slot = after((unsigned)rand_r(&seed) % 3, i);
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void each_message_is_sent_or_cancelled(void **state)
{
    struct fake *f = *state;
    pthread_t threads[STARTERS];
    unsigned seeds[STARTERS];
    atomic_store(&n_cancelled, 0);
    for (unsigned i = 0; i < STARTERS; i++) {
        seeds[i] = 7 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_cancel, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < STARTERS; i++)
        pthread_join(threads[i], NULL);
    fake_await(SEEN, STARTERS * EACH - atomic_load(&n_cancelled));
    assert_true(atomic_load(&n_cancelled) > 0);
    actor_sync(target);
    assert_int_equal(molt_heap_pointing(f->rt->heap), 0);
    assert_int_equal(fake_get(SEEN), STARTERS * EACH - atomic_load(&n_cancelled));
}

static void what_waits_is_freed_with_the_runtime(void **state)
{
    (void)state;
    for (long n = 0; n < 1000; n++)
        after(60000, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_comes_at_its_time),
        TEST(a_nearer_timer_wakes_a_sleeping_lane),
        TEST(they_come_by_deadline_then_by_start),
        TEST(a_timer_outlives_who_started_it),
        TEST(what_nobody_is_left_for_is_dropped),
        TEST(a_cancelled_message_never_comes),
        TEST(a_wrong_number_is_harmless),
        TEST(a_number_is_never_used_twice),
        TEST(anybody_may_cancel),
        TEST(bad_input_gets_a_named_error),
        TEST(a_gone_layout_in_a_timer_is_waited_for),
        TEST(a_word_in_a_timer_is_found),
        TEST(a_word_that_hops_is_found_every_time),
        TEST(a_timer_takes_little_memory),
        TEST(each_message_is_sent_or_cancelled),
        TEST(what_waits_is_freed_with_the_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
