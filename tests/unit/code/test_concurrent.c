/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Threads that call modules while upgrades of two modules are committed and old
 * images leave memory under them. Every thread must see, in one callback, both
 * modules of one upgrade, never one old and one new.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fixture.h"

#define THREADS 4
#define COMMITS 1000
#define CALLS 20 /* per callback */

static struct {
    struct test_image a[2], b[2]; /* of upgrade 1 and 2 */
} img;

#define TEXT_A(n) "int f(void); int f(void) { return " #n "; }"
#define TEXT_B(n) "int f(void), h(void); int h(void) { return 10 * f() + " #n "; }"

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    const char *const text_a[] = {TEXT_A(1), TEXT_A(2)}, *const text_b[] = {TEXT_B(1), TEXT_B(2)};
    for (int i = 0; i < 2; i++) {
        img.a[i] = test_module_build(&fx.maker, &(struct test_module){"a", .text = text_a[i],
                                                                      .exports = {{"a", "f", 1}}});
        img.b[i] = test_module_build(&fx.maker, &(struct test_module){"b", .text = text_b[i],
                                                                      .exports = {{"b", "h", 1}},
                                                                      .imports = {{"a", "f", 1}}});
    }
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_image_fini(&img.a[i], molt_meta_free);
        test_image_fini(&img.b[i], molt_meta_free);
    }
    fixture_fini();
    return 0;
}

static void swap_both(int i)
{
    uint64_t stage = fixture_begin();
    if (fixture_put(stage, &img.a[i]) != 0 || fixture_put(stage, &img.b[i]) != 0 ||
        fixture_seal(stage) != 0 || fixture_commit(stage) != 0)
        fail_msg("swap: %s", fx.err.text);
}

struct caller {
    pthread_t thread;
    char name[16];
    atomic_int *is_over;
    bool goes_offline; /* now and then */
    bool holds;        /* visits a world that it held, as a suspended callback does */
    fixture_fn *f, *h;
    unsigned long n_callbacks, n_mixed, n_seen[2];
};

/* One callback: whatever it sees first it has to see until its end. */
static void call_back(struct caller *c)
{
    int first = c->f();
    if (first != 1 && first != 2) {
        c->n_mixed++;
        return;
    }
    c->n_seen[first - 1]++;
    for (int i = 0; i < CALLS; i++)
        c->n_mixed += c->f() != first || c->h() != 11 * first;
}

/* A callback that is suspended in @world, while the thread goes on with
 * another one, and resumes. */
static void call_back_twice(struct caller *c, struct molt_participant *p, struct molt_world *world)
{
    int held = c->f();
    molt_world_hold(world);
    molt_participant_boundary(p, molt_code_current_cell(fx.code));
    call_back(c);
    molt_participant_visit(p, world);
    c->n_mixed += c->f() != held;
    call_back(c);
    molt_participant_return(p);
    molt_world_release(world);
}

static void *call_all_the_time(void *user)
{
    struct caller *c = user;
    struct molt_participant p;
    _Atomic(struct molt_world *) *cell = molt_code_current_cell(fx.code);
    molt_code_join(fx.code, &p, c->name, true);
    while (!atomic_load(c->is_over)) {
        sched_yield(); /* more callers than cores: let each have its turn */
        struct molt_world *world = molt_participant_boundary(&p, cell);
        call_back(c);
        c->n_callbacks++;
        if (c->holds)
            call_back_twice(c, &p, world);
        if (c->goes_offline && c->n_callbacks % 16 == 0)
            molt_participant_offline(&p);
    }
    molt_code_leave(fx.code, &p);
    return NULL;
}

static void threads_see_whole_upgrades_during_a_thousand_commits(void **state)
{
    atomic_int is_over = 0;
    struct caller callers[THREADS] = {0};
    int n_unloaded = 0;
    (void)state;
    swap_both(0);
    for (int i = 0; i < THREADS; i++) {
        struct caller *c = &callers[i];
        snprintf(c->name, sizeof c->name, "caller %d", i);
        c->is_over = &is_over;
        c->goes_offline = i % 2;
        c->holds = i >= 2;
        c->f = A_F;
        c->h = B_H;
        assert_int_equal(pthread_create(&c->thread, NULL, call_all_the_time, c), 0);
    }
    for (int i = 1; i <= COMMITS; i++) {
        swap_both(i % 2);
        assert_int_equal(molt_code_grace(fx.code, 60000), 0);
        int n = molt_code_reclaim(fx.code, NULL, NULL);
        assert_true(n >= 0);
        n_unloaded += n;
    }
    atomic_store(&is_over, 1);
    for (int i = 0; i < THREADS; i++) {
        struct caller *c = &callers[i];
        assert_int_equal(pthread_join(c->thread, NULL), 0);
        assert_int_equal(c->n_mixed, 0);
        assert_true(c->n_seen[0] > 0 && c->n_seen[1] > 0);
    }
    n_unloaded += molt_code_reclaim(fx.code, NULL, NULL);
    assert_int_equal(n_unloaded, 2 * COMMITS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_see_whole_upgrades_during_a_thousand_commits,
                                        fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
