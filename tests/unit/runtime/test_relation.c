/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/actors.h"

#include <semaphore.h>

#include "runtime/rt.h"

static struct fake_module module;

/* What a job is to do, and what came of it. */
struct order {
    molt_pid pid;
    uint64_t ref;
    int reason, rc;
    sem_t *reached, *go_on;
};

static void do_link(void *arg)
{
    struct order *o = arg;
    o->rc = molt_link(o->pid);
}

static void do_unlink(void *arg)
{
    struct order *o = arg;
    o->rc = molt_unlink(o->pid);
}

static void do_monitor(void *arg)
{
    struct order *o = arg;
    o->rc = molt_monitor(o->pid, &o->ref);
}

static void do_demonitor(void *arg)
{
    struct order *o = arg;
    o->rc = molt_demonitor(o->ref);
}

static void do_trap(void *arg)
{
    struct order *o = arg;
    o->rc = molt_trap_exit(o->reason);
}

static void do_exit(void *arg)
{
    struct order *o = arg;
    o->rc = molt_exit(o->pid, o->reason);
}

static void link_pair(molt_pid a, molt_pid b)
{
    struct order o = {.pid = b, .rc = -1};
    actor_do(a, do_link, &o);
    assert_int_equal(o.rc, 0);
}

static void trap(molt_pid a, int is_on)
{
    struct order o = {.reason = is_on, .rc = -1};
    actor_do(a, do_trap, &o);
    assert_int_equal(o.rc, 0);
}

static uint64_t monitor(molt_pid a, molt_pid b)
{
    struct order o = {.pid = b, .rc = -1};
    actor_do(a, do_monitor, &o);
    assert_int_equal(o.rc, 0);
    assert_int_not_equal(o.ref, 0);
    return o.ref;
}

/* ---- links ------------------------------------------------------------------------ */

static void a_link_ends_both_with_the_same_reason(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        molt_pid a = actor_new(), b = actor_new();
        link_pair(a, b);
        link_pair(side ? a : b, side ? b : a); /* once more is no more */
        assert_int_equal(molt_exit(side ? a : b, MOLT_EIO), 0);
        fake_await_processes(0);
        assert_int_equal(actor_heard(HEARD_END, a).reason, MOLT_EIO);
        assert_int_equal(actor_heard(HEARD_END, b).reason, MOLT_EIO);
    }
    assert_int_equal(fake_get(ACTOR_ENDS), 4);
    assert_int_equal(fake_get(ACTOR_EXITS), 0);
}

static void a_normal_end_leaves_linked_processes_alone(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new(), c = actor_new();
    link_pair(a, b);
    link_pair(c, b);
    trap(c, 1);
    assert_int_equal(molt_exit(b, 0), 0);
    fake_await(ACTOR_EXITS, 1); /* but who traps hears of it */
    assert_int_equal(actor_heard(HEARD_EXIT, c).pid, b);
    assert_int_equal(actor_heard(HEARD_EXIT, c).reason, 0);
    actor_sync(a);
    actor_sync(c);
    fake_await_processes(2);
}

static void who_traps_exits_hears_of_them_and_goes_on(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    trap(a, 1);
    link_pair(b, a);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await(ACTOR_EXITS, 1);
    assert_int_equal(actor_heard(HEARD_EXIT, a).pid, b);
    assert_int_equal(actor_heard(HEARD_EXIT, a).reason, MOLT_EIO);
    /* Requests, too: of a thread, and of a process. */
    assert_int_equal(molt_exit(a, MOLT_ESHUTDOWN), 0);
    fake_await(ACTOR_EXITS, 2);
    molt_pid c = actor_new();
    struct order o = {.pid = a, .reason = 0};
    actor_do(c, do_exit, &o);
    fake_await(ACTOR_EXITS, 3);
    fake_await_processes(2);
    trap(a, 0);
    assert_int_equal(molt_exit(a, MOLT_ESHUTDOWN), 0);
    fake_await_processes(1);
    assert_int_equal(actor_heard(HEARD_END, a).reason, MOLT_ESHUTDOWN);
}

static void a_kill_cant_be_trapped_but_its_news_can(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new(), c = actor_new();
    trap(a, 1);
    trap(b, 1);
    link_pair(a, b);
    link_pair(b, c);
    assert_int_equal(molt_exit(b, MOLT_EKILLED), 0);
    fake_await(ACTOR_EXITS, 1);
    fake_await_processes(1);
    assert_int_equal(actor_heard(HEARD_EXIT, a).reason, MOLT_EKILLED);
    /* The killed one didn't terminate; who was only linked to it did. */
    assert_int_equal(actor_heard(HEARD_END, b).who, 0);
    assert_int_equal(actor_heard(HEARD_END, c).reason, MOLT_EKILLED);
}

static void a_link_to_a_dead_process_ends_at_once(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    assert_int_equal(molt_exit(b, 0), 0);
    fake_await_processes(1);
    trap(a, 1);
    link_pair(a, b);
    fake_await(ACTOR_EXITS, 1);
    assert_int_equal(actor_heard(HEARD_EXIT, a).reason, MOLT_EDEAD);
    link_pair(a, UINT64_C(1) << 60); /* never was */
    fake_await(ACTOR_EXITS, 2);
    trap(a, 0);
    struct order o = {.pid = b, .rc = -1};
    actor_post(a, do_link, &o);
    fake_await_processes(0);
    fake_await(ACTOR_ENDS, 2);
    assert_int_equal(o.rc, 0);
    assert_int_equal(actor_heard(HEARD_END, a).reason, MOLT_EDEAD);
}

static void an_unlinked_process_hears_nothing(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    struct order o = {.pid = b, .rc = -1};
    link_pair(b, a);
    actor_do(a, do_unlink, &o);
    assert_int_equal(o.rc, 0);
    actor_do(a, do_unlink, &o); /* nothing to undo is fine */
    assert_int_equal(o.rc, 0);
    link_pair(a, a);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(1);
    actor_sync(a);
    assert_int_equal(fake_get(ACTOR_EXITS), 0);
}

/* Wait until the other is dead, so that its news lies in the mailbox; then give
 * up what it came from. */
static void do_give_up_late(void *arg)
{
    struct order *o = arg;
    assert_int_equal(molt_trap_exit(1), 0);
    assert_int_equal(molt_link(o->pid), 0);
    assert_int_equal(molt_monitor(o->pid, &o->ref), 0);
    sem_post(o->reached);
    while (sem_wait(o->go_on) < 0)
        ;
    assert_int_equal(molt_unlink(o->pid), 0);
    assert_int_equal(molt_demonitor(o->ref), 0);
    assert_int_equal(molt_demonitor(o->ref), MOLT_ENOENT);
}

static void what_is_given_up_late_is_dropped_from_the_mailbox(void **state)
{
    (void)state;
    sem_t reached, go_on;
    sem_init(&reached, 0, 0);
    sem_init(&go_on, 0, 0);
    molt_pid a = actor_new(), b = actor_new();
    struct order o = {.pid = b, .reached = &reached, .go_on = &go_on};
    actor_post(a, do_give_up_late, &o);
    while (sem_wait(&reached) < 0)
        ;
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(1);
    sem_post(&go_on);
    fake_await(ACTOR_DONE, 1);
    actor_sync(a);
    assert_int_equal(fake_get(ACTOR_EXITS), 0);
    assert_int_equal(fake_get(ACTOR_DOWNS), 0);
    sem_destroy(&reached);
    sem_destroy(&go_on);
}

static void do_long_sleep(void *arg)
{
    struct order *o = arg;
    fake_add(ACTOR_OTHER, 1);
    o->rc = molt_sleep(1000000);
}

static void a_linked_process_that_waits_is_woken_to_end(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    struct order o = {.rc = 0};
    link_pair(a, b);
    actor_post(a, do_long_sleep, &o);
    fake_await(ACTOR_OTHER, 1);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(0);
    fake_await(ACTOR_ENDS, 2);
    assert_int_equal(o.rc, MOLT_EKILLED);
    assert_int_equal(actor_heard(HEARD_END, a).reason, MOLT_EIO);
}

static atomic_bool may_go_on;

static void do_sleep_until_told(void *arg)
{
    struct order *o = arg;
    fake_add(ACTOR_OTHER, 1);
    o->rc = 0;
    while (!atomic_load(&may_go_on) && o->rc == 0)
        o->rc = molt_sleep(1);
    o->reason = (int)fake_get(ACTOR_EXITS);
}

static void who_traps_and_waits_hears_when_its_callback_is_over(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    struct order o = {.rc = -1};
    atomic_store(&may_go_on, false);
    trap(a, 1);
    link_pair(a, b);
    actor_post(a, do_sleep_until_told, &o);
    fake_await(ACTOR_OTHER, 1);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(1);
    assert_int_equal(molt_exit(a, MOLT_EIO), 0);
    atomic_store(&may_go_on, true);
    fake_await(ACTOR_EXITS, 2);
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.reason, 0); /* not before */
}

/* ---- monitors ---------------------------------------------------------------------- */

static void each_monitor_tells_once(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    uint64_t first = monitor(a, b), second = monitor(a, b), third = monitor(a, b);
    assert_int_not_equal(first, second);
    struct order o = {.ref = second};
    actor_do(a, do_demonitor, &o);
    assert_int_equal(o.rc, 0);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await(ACTOR_DOWNS, 2);
    actor_sync(a);
    assert_int_equal(fake_get(ACTOR_DOWNS), 2);
    for (size_t i = 0; i < n_heard; i++) {
        if (heard_list[i].kind != HEARD_DOWN)
            continue;
        assert_true(heard_list[i].ref == first || heard_list[i].ref == third);
        assert_int_equal(heard_list[i].pid, b);
        assert_int_equal(heard_list[i].reason, MOLT_EIO);
    }
    actor_do(a, do_demonitor, &o);
    assert_int_equal(o.rc, MOLT_ENOENT);
}

static void a_monitor_of_the_dead_tells_at_once(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    assert_int_equal(molt_exit(b, 0), 0);
    fake_await_processes(1);
    uint64_t ref = monitor(a, b);
    fake_await(ACTOR_DOWNS, 1);
    struct heard heard = actor_heard(HEARD_DOWN, a);
    assert_int_equal(heard.ref, ref);
    assert_int_equal(heard.pid, b);
    assert_int_equal(heard.reason, MOLT_EDEAD);
    monitor(a, a); /* of oneself says nothing, and hurts nobody */
    assert_int_equal(molt_exit(a, 0), 0);
    fake_await_processes(0);
}

static void a_watcher_that_has_died_is_not_told(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new(), c = actor_new();
    monitor(a, b);
    monitor(c, b);
    assert_int_equal(molt_exit(a, MOLT_EIO), 0);
    fake_await_processes(2);
    molt_pid d = actor_new(); /* in a's slot, perhaps */
    assert_int_equal(molt_exit(b, MOLT_EKILLED), 0);
    fake_await(ACTOR_DOWNS, 1);
    assert_int_equal(actor_heard(HEARD_DOWN, 0).who, c);
    fake_await_processes(2);
    actor_sync(d);
    assert_int_equal(fake_get(ACTOR_DOWNS), 1);
}

/* ---- arguments and places ------------------------------------------------------------- */

static void do_bad(void *arg)
{
    (void)arg;
    uint64_t ref;
    assert_int_equal(molt_link(0), MOLT_EINVAL);
    assert_int_equal(molt_unlink(0), MOLT_EINVAL);
    assert_int_equal(molt_monitor(0, &ref), MOLT_EINVAL);
    assert_int_equal(molt_monitor(molt_self(), NULL), MOLT_EINVAL);
    assert_int_equal(molt_demonitor(0), MOLT_ENOENT);
    assert_int_equal(molt_demonitor(UINT64_MAX), MOLT_ENOENT);
}

static void do_deaf(void *arg)
{
    (void)arg;
    assert_int_equal(molt_trap_exit(1), MOLT_EINVAL);
    assert_int_equal(molt_trap_exit(0), 0);
}

static void bad_uses_are_named(void **state)
{
    (void)state;
    uint64_t ref = 0;
    molt_pid a = actor_new(), deaf = 0;
    actor_do(a, do_bad, NULL);
    assert_int_equal(molt_spawn("deaf", NULL, NULL, &deaf), 0);
    actor_do(deaf, do_deaf, NULL);
    assert_int_equal(molt_link(a), MOLT_ENOPROC);
    assert_int_equal(molt_unlink(a), MOLT_ENOPROC);
    assert_int_equal(molt_monitor(a, &ref), MOLT_ENOPROC);
    assert_int_equal(molt_demonitor(1), MOLT_ENOPROC);
    assert_int_equal(molt_trap_exit(1), MOLT_ENOPROC);
    assert_int_equal(molt_exit(a, 3), MOLT_EINVAL);
    /* Without on_down it is said, and goes on. */
    ref = monitor(deaf, a);
    assert_int_equal(molt_exit(a, 0), 0);
    fake_await_log("on_down");
    actor_sync(deaf);
}

/* ---- spawn ------------------------------------------------------------------------------ */

struct birth {
    const char *server;
    struct molt_spawn_options options;
    uint64_t ref;
    molt_pid pid;
    int rc;
};

static void do_spawn(void *arg)
{
    struct birth *b = arg;
    b->options.size = sizeof(b->options);
    if (b->options.flags & MOLT_SPAWN_MONITOR)
        b->options.ret_monitor = &b->ref;
    b->rc = molt_spawn_with(b->server, NULL, &b->options, &b->pid);
}

static int failing_init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    return MOLT_EREFUSED;
}

static void a_spawn_can_link_and_monitor_without_a_gap(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    trap(a, 1);
    struct birth b = {.server = "stillborn", .options.flags = MOLT_SPAWN_LINK | MOLT_SPAWN_MONITOR};
    actor_do(a, do_spawn, &b);
    assert_int_equal(b.rc, 0);
    fake_await(ACTOR_EXITS, 1);
    fake_await(ACTOR_DOWNS, 1);
    assert_int_equal(actor_heard(HEARD_EXIT, a).reason, MOLT_EREFUSED);
    assert_int_equal(actor_heard(HEARD_EXIT, a).pid, b.pid);
    assert_int_equal(actor_heard(HEARD_DOWN, a).reason, MOLT_EREFUSED);
    assert_int_equal(actor_heard(HEARD_DOWN, a).ref, b.ref);
    /* And the other way round. */
    b = (struct birth){.server = "actor",
                       .options = {.flags = MOLT_SPAWN_LINK | MOLT_SPAWN_SPREAD,
                                   .priority = MOLT_PRIORITY_LOW,
                                   .name = "linked"}};
    actor_do(a, do_spawn, &b);
    assert_int_equal(b.rc, 0);
    assert_int_equal(molt_whereis("linked"), b.pid);
    actor_sync(b.pid);
    assert_int_equal(molt_exit(a, MOLT_EKILLED), 0);
    fake_await_processes(0);
    assert_int_equal(actor_heard(HEARD_END, b.pid).reason, MOLT_EKILLED);
}

static void a_spawn_that_fails_leaves_nothing(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    struct birth taken = {.server = "actor", .options.name = "taken"};
    actor_do(a, do_spawn, &taken);
    struct birth b = {.server = "actor",
                      .options = {.flags = MOLT_SPAWN_LINK | MOLT_SPAWN_MONITOR, .name = "taken"}};
    actor_do(a, do_spawn, &b);
    assert_int_equal(b.rc, MOLT_EEXIST);
    assert_int_equal(b.ref, 0);
    b = (struct birth){.server = "nobody", .options.flags = MOLT_SPAWN_LINK};
    actor_do(a, do_spawn, &b);
    assert_int_equal(b.rc, MOLT_ENOENT);
    actor_sync(a);
    fake_await_processes(2);
    assert_int_equal(fake_get(ACTOR_DOWNS), 0);
}

static void spawn_options_are_checked(void **state)
{
    (void)state;
    uint64_t ref;
    struct molt_spawn_options o = {.size = sizeof(o)};
    assert_int_equal(molt_spawn_with("actor", NULL, NULL, NULL), 0);
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), 0);
    assert_int_equal(molt_spawn_with(NULL, NULL, &o, NULL), MOLT_EINVAL);
    o.size = 8;
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_EINVAL);
    o = (struct molt_spawn_options){.size = sizeof(o), .flags = 64};
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_EINVAL);
    o.flags = MOLT_SPAWN_MONITOR;
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_EINVAL);
    o.ret_monitor = &ref;
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_ENOPROC);
    o.flags = MOLT_SPAWN_LINK;
    assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_ENOPROC);
    o = (struct molt_spawn_options){.size = sizeof(o), .priority = 7};
    struct fake_job *arg = fake_new(struct fake_job, fake_job); /* consumed all the same */
    assert_int_equal(molt_spawn_with("actor", arg, &o, NULL), MOLT_EINVAL);
    fake_await_processes(2);
}

/* ---- supervisors --------------------------------------------------------------------------- */

static molt_pid spawn_child(molt_pid supervisor)
{
    struct molt_runtime *rt = fake_here->rt;
    struct molt_spawn spawn = {.server_id = molt_code_server_id(rt->code, "actor"),
                               .parent = supervisor,
                               .supervisor = supervisor};
    molt_pid pid = 0;
    assert_int_equal(molt_process_spawn(rt, &spawn, &pid), 0);
    actor_sync(pid);
    return pid;
}

static void the_supervisors_request_cant_be_trapped(void **state)
{
    (void)state;
    molt_pid a = actor_new(), other = actor_new(), child = spawn_child(a);
    trap(child, 1);
    struct order o = {.pid = child, .reason = MOLT_ESHUTDOWN};
    actor_do(other, do_exit, &o);
    fake_await(ACTOR_EXITS, 1);
    assert_int_equal(actor_heard(HEARD_EXIT, child).pid, other);
    actor_do(a, do_exit, &o);
    fake_await_processes(2);
    assert_int_equal(actor_heard(HEARD_END, child).reason, MOLT_ESHUTDOWN);
}

static void children_of_a_killed_supervisor_end(void **state)
{
    (void)state;
    molt_pid a = actor_new(), first = spawn_child(a), second = spawn_child(a);
    trap(second, 1);
    assert_int_equal(molt_exit(a, MOLT_EKILLED), 0);
    fake_await_processes(0);
    assert_int_equal(actor_heard(HEARD_END, first).reason, MOLT_EKILLED);
    assert_int_equal(actor_heard(HEARD_END, second).reason, MOLT_EKILLED);
    struct molt_runtime *rt = fake_here->rt;
    struct molt_spawn spawn = {.server_id = molt_code_server_id(rt->code, "actor"),
                               .name = "orphan",
                               .supervisor = a};
    assert_int_equal(molt_process_spawn(rt, &spawn, NULL), MOLT_EDEAD);
    assert_int_equal(molt_whereis("orphan"), 0);
    fake_await_processes(0);
}

/* ---- upgrades -------------------------------------------------------------------------------- */

static void without_on_exit_in_the_new_code_it_ends(void **state)
{
    struct fake *f = *state;
    static struct fake_module next;
    molt_pid a = actor_new(), b = actor_new(), c = actor_new();
    trap(a, 1);
    link_pair(a, b);
    link_pair(a, c);
    fake_module_init(&next, "actors", 2);
    actor_server(&next, "actor")->desc.on_exit = NULL;
    fake_publish(f, &next);
    assert_int_equal(molt_exit(c, 0), 0);
    fake_await_log("a normal end is dropped");
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_log("no on_exit any more");
    fake_await_processes(0);
    assert_int_equal(actor_heard(HEARD_END, a).reason, MOLT_EIO);
}

/* ---- many --------------------------------------------------------------------------------------
 */

#define MANY 10000

static molt_pid many[MANY];
static uint64_t many_refs[MANY];

static void do_monitor_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(molt_monitor(many[i], &many_refs[i]), 0);
}

static void do_demonitor_half(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i += 2)
        assert_int_equal(molt_demonitor(many_refs[i]), 0);
}

static void do_link_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(molt_link(many[i]), 0);
}

static void one_process_may_watch_very_many(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    for (int i = 0; i < MANY; i++)
        many[i] = actor_spawn();
    actor_do(a, do_monitor_many, NULL);
    actor_do(a, do_demonitor_half, NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(molt_exit(many[i], 0), 0);
    fake_await(ACTOR_DOWNS, MANY / 2);
    fake_await_processes(1);
    actor_sync(a);
    assert_int_equal(fake_get(ACTOR_DOWNS), MANY / 2);
}

static void very_many_may_watch_one_process(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    for (int i = 0; i < MANY; i++)
        many[i] = actor_spawn();
    static struct order orders[MANY];
    for (int i = 0; i < MANY; i++) {
        orders[i].pid = a;
        actor_post(many[i], do_monitor, &orders[i]);
    }
    fake_await(ACTOR_DONE, MANY); /* and so their inits have run */
    actor_do(b, do_link_many, NULL);
    assert_int_equal(molt_exit(a, MOLT_EIO), 0);
    fake_await(ACTOR_DOWNS, MANY);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(0);
    assert_int_equal(fake_get(ACTOR_ENDS), MANY + 2);
    assert_int_equal(fake_get(ACTOR_DOWNS), MANY);
}

/* ---- fixture ------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    static struct fake f;
    actors_start(&f, &module, 2);
    static struct fake_module more;
    more = module;
    struct fake_server *s = actor_server(&more, "stillborn");
    s->desc.init = MOLT_FN(failing_init);
    fake_publish(&f, &more);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_ends_both_with_the_same_reason),
        TEST(a_normal_end_leaves_linked_processes_alone),
        TEST(who_traps_exits_hears_of_them_and_goes_on),
        TEST(a_kill_cant_be_trapped_but_its_news_can),
        TEST(a_link_to_a_dead_process_ends_at_once),
        TEST(an_unlinked_process_hears_nothing),
        TEST(what_is_given_up_late_is_dropped_from_the_mailbox),
        TEST(a_linked_process_that_waits_is_woken_to_end),
        TEST(who_traps_and_waits_hears_when_its_callback_is_over),
        TEST(each_monitor_tells_once),
        TEST(a_monitor_of_the_dead_tells_at_once),
        TEST(a_watcher_that_has_died_is_not_told),
        TEST(bad_uses_are_named),
        TEST(a_spawn_can_link_and_monitor_without_a_gap),
        TEST(a_spawn_that_fails_leaves_nothing),
        TEST(spawn_options_are_checked),
        TEST(the_supervisors_request_cant_be_trapped),
        TEST(children_of_a_killed_supervisor_end),
        TEST(without_on_exit_in_the_new_code_it_ends),
        TEST(one_process_may_watch_very_many),
        TEST(very_many_may_watch_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
