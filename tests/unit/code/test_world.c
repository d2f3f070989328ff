/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Worlds over time: who is in which, how many there may be, and grace. */
#include <pthread.h>
#include <stdatomic.h>

#include "fixture.h"

static struct {
    struct test_image a1, a2; /* f returns 1, 2 */
    struct test_image server1, server2;
} img;

#define TEXT(n) "int f(void); int f(void) { return " #n "; }"
#define SERVER(n)                                                                                  \
    "struct s { int n; }; static int init(struct s *s, const int *a) { return " #n "; }"           \
    "MOLT_SERVER(counter, struct s, .init = MOLT_FN(init));"                                       \
    "MOLT_SUPERVISOR(app, .intensity = " #n ");"                                                   \
    "static const int table = " #n "; MOLT_EXTENSION(routes, \"routes\", &table);"

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    const struct test_module modules[] = {
        {"a", .text = TEXT(1), .exports = {{"a", "f", 1}}},
        {"a", .text = TEXT(2), .exports = {{"a", "f", 1}}},
        {"s", .text = SERVER(1), .types = {{"s/s.c:struct s", 1, 4, false}}, .n_tags = 1,
         .servers = {{"counter", 0}}},
        {"s", .text = SERVER(2), .types = {{"s/s.c:struct s", 1, 4, false}}, .n_tags = 1,
         .servers = {{"counter", 0}}},
    };
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        images[i] = test_module_build(&fx.maker, &modules[i]);
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof img / sizeof *images; i++)
        test_image_fini(&images[i], molt_meta_free);
    fixture_fini();
    return 0;
}

static struct molt_world *current(void)
{
    return atomic_load(molt_code_current_cell(fx.code));
}

/* ---- participants ----------------------------------------------------------------- */

static void a_participant_changes_worlds_at_its_boundary_alone(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *f = A_F;
    fixture_enter(&p, "worker 0");
    fixture_swap(&img.a2);
    assert_int_equal(f(), 1);
    assert_int_equal(f(), 1);
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    assert_int_equal(f(), 2);
    molt_code_leave(fx.code, &p);
}

static void a_participant_that_is_offline_calls_nobody(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *f = A_F;
    molt_code_join(fx.code, &p, "feed", true);
    assert_int_equal(f(), 0);
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    assert_int_equal(f(), 1);
    molt_participant_offline(&p);
    assert_int_equal(f(), 0);
    molt_code_leave(fx.code, &p);
    assert_int_equal(f(), 0);
}

static void leaving_an_old_world_is_reported_once(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    fixture_enter(&p, "feed");
    fixture_swap(&img.a2);
    fx.n_idle = 0;
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    assert_int_equal(fx.n_idle, 1);
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    molt_code_leave(fx.code, &p);
    assert_int_equal(fx.n_idle, 1);
}

/* ---- the limit ------------------------------------------------------------------------ */

static void one_world_too_many_is_refused_naming_the_owners(void **state)
{
    enum { N_OLD = MOLT_WORLDS_MAX - 1 };
    struct molt_participant p[N_OLD];
    char name[16];
    uint64_t stage;
    (void)state;
    for (int i = 0; i < N_OLD; i++) {
        fixture_swap(i % 2 ? &img.a2 : &img.a1);
        snprintf(name, sizeof name, "feed-%d", i);
        fixture_enter(&p[i], name);
    }
    fixture_swap(N_OLD % 2 ? &img.a2 : &img.a1);
    assert_int_equal(molt_stage_begin(fx.code, &stage, &fx.err), MOLT_ELIMIT);
    for (int i = 0; i < N_OLD; i++) {
        snprintf(name, sizeof name, "thread feed-%d", i);
        assert_says(name);
    }
    molt_participant_boundary(&p[N_OLD / 2], molt_code_current_cell(fx.code));
    assert_int_equal(molt_stage_begin(fx.code, &stage, &fx.err), 0);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    for (int i = 0; i < N_OLD; i++)
        molt_code_leave(fx.code, &p[i]);
}

struct listing {
    unsigned n, n_current;
    uint64_t newest;
    char owners[256]; /* of the oldest */
};

static void list(void *user, const struct molt_world_info *info)
{
    struct listing *l = user;
    if (l->n++ == 0)
        l->newest = info->id;
    l->n_current += info->is_current;
    snprintf(l->owners, sizeof l->owners, "%s", info->owners);
}

static void worlds_are_listed_with_their_owners(void **state)
{
    struct molt_participant p;
    struct listing l = {0};
    (void)state;
    fixture_swap(&img.a1);
    fixture_enter(&p, "feed");
    struct molt_world *old = current();
    molt_world_hold(old);
    fixture_swap(&img.a2);
    assert_int_equal(molt_code_each_world(fx.code, list, &l), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.n_current, 1);
    assert_int_equal(l.newest, current()->id);
    assert_string_equal(l.owners, "thread feed, 1 suspended callback");
    molt_world_release(old);
    molt_code_leave(fx.code, &p);
    l = (struct listing){0};
    assert_int_equal(molt_code_each_world(fx.code, list, &l), 0);
    assert_int_equal(l.n, 1);
}

static void a_sealed_world_is_not_listed_before_its_commit(void **state)
{
    struct listing l = {0};
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_code_each_world(fx.code, list, &l), 0);
    assert_int_equal(l.n, 1);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 1);
}

/* ---- grace ---------------------------------------------------------------------------- */

static void grace_is_immediate_when_nobody_is_online(void **state)
{
    struct molt_participant p;
    (void)state;
    assert_int_equal(molt_code_grace(fx.code, 0), 0);
    molt_code_join(fx.code, &p, "feed", true);
    assert_int_equal(molt_code_grace(fx.code, 0), 0);
    molt_code_leave(fx.code, &p);
}

/* Another thread in a callback, which takes one step each time it is told. */
struct stepper {
    pthread_t thread;
    pthread_barrier_t step;
    fixture_fn *f;
    int before, after; /* what f answered around the boundary */
};

static void *take_steps(void *user)
{
    struct stepper *s = user;
    struct molt_participant p;
    fixture_enter(&p, "worker 0");
    pthread_barrier_wait(&s->step); /* in its callback */
    pthread_barrier_wait(&s->step); /* it may end */
    s->before = s->f();
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    s->after = s->f();
    pthread_barrier_wait(&s->step); /* in the next one */
    pthread_barrier_wait(&s->step);
    molt_code_leave(fx.code, &p);
    return NULL;
}

static void grace_times_out_while_a_participant_stays_in_its_callback(void **state)
{
    struct stepper s = {0};
    (void)state;
    fixture_swap(&img.a1);
    s.f = A_F;
    assert_int_equal(pthread_barrier_init(&s.step, NULL, 2), 0);
    assert_int_equal(pthread_create(&s.thread, NULL, take_steps, &s), 0);
    pthread_barrier_wait(&s.step);
    assert_int_equal(molt_code_grace(fx.code, 1), MOLT_ETIMEDOUT);
    /* Its world is still its own while it is waited for. */
    fixture_swap(&img.a2);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 0);
    pthread_barrier_wait(&s.step);
    pthread_barrier_wait(&s.step);
    assert_int_equal(s.before, 1);
    assert_int_equal(s.after, 2);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 1);
    pthread_barrier_wait(&s.step);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    pthread_barrier_destroy(&s.step);
}

static void grace_does_not_wait_for_the_calling_thread_itself(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_enter(&p, "executor");
    assert_int_equal(molt_code_grace(fx.code, 0), 0);
    molt_code_leave(fx.code, &p);
}

static void *ask_for_grace(void *user)
{
    *(int *)user = molt_code_grace(fx.code, 1);
    return NULL;
}

/* What an earlier wait that timed out asked of this thread is no reason to
 * wait for oneself. */
static void grace_does_not_wait_for_itself_after_another_thread_did(void **state)
{
    struct molt_participant p;
    pthread_t thread;
    int rc = 0;
    (void)state;
    fixture_enter(&p, "executor");
    assert_int_equal(pthread_create(&thread, NULL, ask_for_grace, &rc), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rc, MOLT_ETIMEDOUT);
    assert_int_equal(molt_code_grace(fx.code, 0), 0);
    molt_code_leave(fx.code, &p);
}

struct looper {
    atomic_int is_online, is_over;
};

static void *loop(void *user)
{
    struct looper *l = user;
    struct molt_participant p;
    molt_code_join(fx.code, &p, "looper", true);
    do {
        molt_participant_boundary(&p, molt_code_current_cell(fx.code));
        atomic_store(&l->is_online, 1);
    } while (!atomic_load(&l->is_over));
    molt_code_leave(fx.code, &p);
    return NULL;
}

static void grace_ends_when_everybody_passed_a_boundary(void **state)
{
    struct looper l = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, loop, &l), 0);
    while (!atomic_load(&l.is_online))
        sched_yield();
    for (int i = 0; i < 100; i++)
        assert_int_equal(molt_code_grace(fx.code, 30000), 0);
    atomic_store(&l.is_over, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *leave_late(void *user)
{
    struct molt_participant p;
    struct looper *l = user;
    fixture_enter(&p, "leaver");
    atomic_store(&l->is_online, 1);
    /* Bit 0 of the announcement: somebody waits for this boundary. */
    while (!((uintptr_t)atomic_load(&p.world) & 1))
        sched_yield();
    molt_participant_offline(&p);
    molt_code_leave(fx.code, &p);
    return NULL;
}

static void grace_ends_when_who_was_waited_for_goes_offline(void **state)
{
    struct looper l = {0};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, leave_late, &l), 0);
    while (!atomic_load(&l.is_online))
        sched_yield();
    assert_int_equal(molt_code_grace(fx.code, 30000), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- lookups --------------------------------------------------------------------------- */

static void a_server_keeps_its_id_and_follows_the_world(void **state)
{
    (void)state;
    assert_int_equal(molt_code_server_id(fx.code, "counter"), -1);
    struct molt_world *empty = current();
    molt_world_hold(empty);
    fixture_swap(&img.server1);
    int id = molt_code_server_id(fx.code, "counter");
    assert_true(id >= 0);
    assert_string_equal(molt_code_server_name(fx.code, id), "counter");
    assert_null(molt_world_server(empty, id));
    const struct molt_server_ref *one = molt_world_server(current(), id);
    assert_non_null(one);
    assert_int_equal(((int (*)(void *, const void *))one->desc->init)(NULL, NULL), 1);
    assert_string_equal(one->state_type->key_text, "s/s.c:struct s");
    fixture_swap(&img.server2);
    assert_int_equal(molt_code_server_id(fx.code, "counter"), id);
    const struct molt_server_ref *two = molt_world_server(current(), id);
    assert_int_equal(((int (*)(void *, const void *))two->desc->init)(NULL, NULL), 2);
    assert_ptr_equal(two->state_type, molt_world_server(current(), id)->state_type);
    assert_null(molt_world_server(current(), id + 1));
    assert_null(molt_world_server(current(), -1));
    molt_world_release(empty);
}

static void equal_layouts_have_one_type_object_over_versions(void **state)
{
    (void)state;
    fixture_swap(&img.server1);
    int id = molt_code_server_id(fx.code, "counter");
    const struct molt_type *type = molt_world_server(current(), id)->state_type;
    fixture_swap(&img.server2);
    assert_ptr_equal(molt_world_server(current(), id)->state_type, type);
}

static void supervisors_and_extensions_follow_the_world(void **state)
{
    (void)state;
    fixture_swap(&img.server1);
    assert_int_equal(molt_world_supervisor(current(), "app")->intensity, 1);
    assert_null(molt_world_supervisor(current(), "nobody"));
    fixture_swap(&img.server2);
    assert_int_equal(molt_world_supervisor(current(), "app")->intensity, 2);
    assert_int_equal(current()->n_extensions, 1);
    assert_string_equal(current()->extensions[0].kind, "routes");
    assert_int_equal(*(const int *)current()->extensions[0].data, 2);
}

struct iface_search {
    unsigned n;
    uint32_t slot;
};

static void find_f(void *user, const struct molt_iface_info *info)
{
    struct iface_search *s = user;
    s->n++;
    if (strcmp(info->module, "a") == 0 && strcmp(info->name, "f") == 0 && info->sig == 1)
        s->slot = info->slot;
}

static void slots_have_names(void **state)
{
    struct iface_search s = {.slot = UINT32_MAX};
    char name[64], small[4];
    (void)state;
    fixture_swap(&img.a1);
    assert_int_equal(molt_code_each_iface(fx.code, find_f, &s), 0);
    assert_int_equal(s.n, sizeof fixture_exports / sizeof *fixture_exports);
    assert_int_equal(molt_code_slot_name(fx.code, s.slot, name, sizeof name), 0);
    assert_string_equal(name, "a:f");
    assert_int_equal(molt_code_slot_name(fx.code, s.slot, small, sizeof small), 0);
    assert_string_equal(small, "a:f");
    assert_int_equal(molt_code_slot_name(fx.code, MOLT_SLOTS_MAX - 1, name, sizeof name),
                     MOLT_ENOENT);
    assert_int_equal(molt_code_slot_name(fx.code, UINT32_MAX, name, sizeof name), MOLT_ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_participant_changes_worlds_at_its_boundary_alone),
        TEST(a_participant_that_is_offline_calls_nobody),
        TEST(leaving_an_old_world_is_reported_once),
        TEST(one_world_too_many_is_refused_naming_the_owners),
        TEST(worlds_are_listed_with_their_owners),
        TEST(a_sealed_world_is_not_listed_before_its_commit),
        TEST(grace_is_immediate_when_nobody_is_online),
        TEST(grace_times_out_while_a_participant_stays_in_its_callback),
        TEST(grace_does_not_wait_for_the_calling_thread_itself),
        TEST(grace_does_not_wait_for_itself_after_another_thread_did),
        TEST(grace_ends_when_everybody_passed_a_boundary),
        TEST(grace_ends_when_who_was_waited_for_goes_offline),
        TEST(a_server_keeps_its_id_and_follows_the_world),
        TEST(equal_layouts_have_one_type_object_over_versions),
        TEST(supervisors_and_extensions_follow_the_world),
        TEST(slots_have_names),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
