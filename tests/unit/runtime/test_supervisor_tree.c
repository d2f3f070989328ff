/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Supervisors as authors use them: order of starts and stops by strategy, children
 * that don't end, children on request, a specification that changes. */
#include "unit/runtime/fake_world.h"

#include "runtime/process.h"
#include "runtime/rt.h"

enum { EVENTS, STUCK, DONE };

struct end {
    int reason;
};
FAKE_TYPE(end, struct end, 0x41);

struct block_worker {
    int unused;
};
FAKE_TYPE(block_worker, struct block_worker, 0x42);

struct tied {
    struct end *end;
};
FAKE_POINTER_TYPE(tied, struct tied, 0x43, FAKE_PTR(struct tied, end, MOLT_PTR_DATA));

static struct fake_module module, next;
static struct fake *fake;

/* ---- what happened, in order ------------------------------------------------------ */

static char journal[1024];

static const char *name_of_self(void)
{
    static const char *const names[] = {"a", "b", "c", "d", "inner", "app"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (molt_whereis(names[i]) == molt_self())
            return names[i];
    return "?";
}

static void note(const char *what)
{
    char line[32];
    snprintf(line, sizeof(line), "%s%s ", what, name_of_self());
    pthread_mutex_lock(&fake->lock);
    strncat(journal, line, sizeof(journal) - strlen(journal) - 1);
    pthread_mutex_unlock(&fake->lock);
    fake_add(EVENTS, 1);
}

/* Wait until @n more things have happened, which are @expected. */
static long n_seen;

static void expect(const char *expected)
{
    long n = 0;
    for (const char *c = expected; *c; c++)
        n += *c == ' ';
    n_seen += n;
    fake_await(EVENTS, n_seen);
    pthread_mutex_lock(&fake->lock);
    char now[sizeof(journal)];
    strcpy(now, journal);
    journal[0] = '\0';
    pthread_mutex_unlock(&fake->lock);
    assert_string_equal(now, expected);
}

/* ---- servers ------------------------------------------------------------------------ */

static int child_init(struct fake_state *s, const struct end *arg)
{
    s->n = arg ? arg->reason : 0;
    note("+");
    return s->n < 0 ? (int)s->n : 0;
}

static int child_end(struct fake_state *s, struct end *m)
{
    (void)s;
    return m->reason ? m->reason : MOLT_STOP;
}

static void child_terminate(struct fake_state *s, int reason)
{
    (void)s, (void)reason;
    note("-");
}

/* It waits, and would for ever. */
static int wait_for_ever(struct fake_state *s, struct block_worker *m)
{
    (void)s, (void)m;
    fake_add(STUCK, 1);
    while (molt_sleep(3600000) == 0)
        ;
    return 0;
}

static struct fake_server *server(struct fake_module *m, const char *name)
{
    struct fake_server *s = fake_server(m, name, &fake_state_type);
    s->desc.init = MOLT_FN(child_init);
    s->desc.terminate = MOLT_FN(child_terminate);
    s->init_type = &end_type;
    fake_on(s, MOLT_HANDLER_CAST, &end_type, MOLT_FN(child_end));
    return s;
}

/* ---- a tree -------------------------------------------------------------------------- */

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 3);
    fake = &f;
    fake_module_init(&module, "app", 1);
    server(&module, "one");
    fake_on(server(&module, "waits"), MOLT_HANDLER_CAST, &block_worker_type,
            MOLT_FN(wait_for_ever));
    fake_runner(&module, "runner");
    module.n_supervisors = 2;
    for (int i = 0; i < 2; i++)
        module.supervisors[i] = (struct molt_supervisor){.size = sizeof(struct molt_supervisor),
                                                         .name = i ? "inner" : "app",
                                                         .period_ms = 60000};
    journal[0] = '\0';
    n_seen = 0;
    *state = &f;
    return 0;
}

static struct molt_child *child(unsigned at, unsigned i, const char *id, const char *server_name)
{
    struct molt_child *c = &module.supervisors[at].child[i];
    *c = (struct molt_child){.id = id, .server = server_name};
    return c;
}

static void three(uint16_t strategy)
{
    module.supervisors[0].strategy = strategy;
    child(0, 0, "a", "one");
    child(0, 1, "b", "one");
    child(0, 2, "c", "one");
}

static void start(void)
{
    struct molt_error err = {0};
    static struct molt_thread *thread;
    fake_publish(fake, &module);
    if (molt_runtime_start(fake->rt, "app", &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(molt_runtime_thread_register(fake->rt, "test", &thread), 0);
}

static int teardown(void **state)
{
    struct molt_runner *here = molt_runner_here();
    if (here)
        molt_thread_unregister(molt_container_of(here, struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static void end_child(const char *name, int reason)
{
    struct end *m = fake_new(struct end, end);
    m->reason = reason;
    assert_int_equal(molt_send(name, m), 0);
}

static void await_root_exit(int reason)
{
    struct timespec until = fake_until(FAKE_PATIENCE_MS);
    int rc = 0;
    pthread_mutex_lock(&fake->lock);
    while (rc == 0 && fake->n_root_exits == 0)
        rc = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    assert_int_equal(fake->n_root_exits, 1);
    pthread_mutex_unlock(&fake->lock);
    assert_int_equal(fake->root_reason, reason);
}

/* ---- strategies ------------------------------------------------------------------------ */

static void the_start_waits_for_all_inits(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    assert_int_equal(fake_get(EVENTS), 3);
    expect("+a +b +c ");
}

static void one_for_one_restarts_one(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    end_child("b", MOLT_EIO);
    expect("+a +b +c -b +b ");
}

static void one_for_all_stops_in_reverse_and_starts_all(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ALL);
    start();
    end_child("b", MOLT_EIO);
    expect("+a +b +c -b -c -a +a +b +c ");
}

static void rest_for_one_leaves_those_in_front(void **state)
{
    (void)state;
    three(MOLT_REST_FOR_ONE);
    start();
    end_child("b", MOLT_EIO);
    expect("+a +b +c -b -c +b +c ");
}

static void a_tree_of_supervisors_starts_and_stops_in_order(void **state)
{
    (void)state;
    child(0, 0, "a", "one");
    child(0, 1, "inner", "inner");
    child(0, 2, "d", "one");
    child(1, 0, "b", "one");
    child(1, 1, "c", "one");
    start();
    expect("+a +b +c +d ");
    assert_int_equal(molt_runtime_stop(fake->rt, FAKE_PATIENCE_MS), 0);
    expect("-d -c -b -a ");
}

static void an_inner_supervisor_that_gives_up_is_restarted(void **state)
{
    (void)state;
    module.supervisors[1].intensity = MOLT_INTENSITY_NONE;
    child(0, 0, "a", "one");
    child(0, 1, "inner", "inner");
    child(1, 0, "b", "one");
    child(1, 1, "c", "one");
    start();
    end_child("b", MOLT_EIO);
    expect("+a +b +c -b -c +b +c ");
}

static void the_children_of_a_killed_supervisor_end(void **state)
{
    (void)state;
    child(0, 0, "inner", "inner")->restart = MOLT_TEMPORARY;
    child(1, 0, "b", "one");
    child(1, 1, "c", "one");
    start();
    expect("+b +c ");
    assert_int_equal(molt_runtime_kill(fake->rt, molt_whereis("inner")), 0);
    fake_await_processes(1); /* whether they had the time to terminate or not */
}

static void a_significant_child_ends_its_supervisor(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    module.supervisors[0].auto_shutdown = MOLT_AUTO_ANY;
    module.supervisors[0].child[1].restart = MOLT_TRANSIENT | MOLT_SIGNIFICANT;
    start();
    end_child("b", 0);
    expect("+a +b +c -b -c -a ");
    await_root_exit(MOLT_ESHUTDOWN);
}

static void no_restart_is_allowed_at_intensity_none(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    module.supervisors[0].intensity = MOLT_INTENSITY_NONE;
    start();
    end_child("c", MOLT_EIO);
    expect("+a +b +c -c -b -a ");
    await_root_exit(MOLT_ELIMIT);
}

/* ---- children that don't end -------------------------------------------------------------- */

static void get_stuck(const char *name)
{
    assert_int_equal(molt_send(name, fake_new(struct block_worker, block_worker)), 0);
    fake_await(STUCK, 1);
}

static void a_child_that_waits_is_asked_and_ends(void **state)
{
    (void)state;
    child(0, 0, "a", "one");
    child(0, 1, "b", "waits")->shutdown_ms = MOLT_SHUTDOWN_FOREVER;
    start();
    get_stuck("b");
    assert_int_equal(molt_runtime_stop(fake->rt, FAKE_PATIENCE_MS), 0);
    expect("+a +b -b -a ");
}

static void await_kill(struct molt_process *p)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    int reason;
    while (!molt_process_is_asked(p, MOLT_EXIT_KILL, &reason)) { /* no event tells of it */
        assert_true(molt_clock_ns() < deadline);
        sched_yield();
    }
}

static void *stop_runtime(void *ret)
{
    *(int *)ret = molt_runtime_stop(fake->rt, FAKE_PATIENCE_MS);
    return NULL;
}

/* The child can't run while the test has it: it doesn't see that it is asked. */
static void stop_with_stuck(int shutdown_ms)
{
    pthread_t thread;
    int rc = 1;
    child(0, 0, "a", "one");
    child(0, 1, "b", "one")->shutdown_ms = shutdown_ms;
    start();
    expect("+a +b ");
    struct molt_process *p = molt_process_find(fake->rt, molt_whereis("b"));
    assert_non_null(p);
    while (!molt_process_claim(p)) /* its init returns */
        sched_yield();
    pthread_create(&thread, NULL, stop_runtime, &rc);
    await_kill(p);
    expect(""); /* its turn comes before a's */
    molt_process_leave(p, 0, 0);
    pthread_join(thread, NULL);
    assert_int_equal(rc, 0);
    expect("-a "); /* terminate of b did not run */
}

static void a_child_that_ignores_its_end_is_killed_in_time(void **state)
{
    (void)state;
    stop_with_stuck(1);
    fake_await_log("child 'b' did not end as it was asked to");
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

/* It doesn't see that it is asked, and has its worker. */
static int hold_on(struct fake_state *s, struct block_worker *m)
{
    (void)s, (void)m;
    fake_add(STUCK, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}

static void a_callback_that_does_not_return_is_not_waited_for_longer(void **state)
{
    (void)state;
    pthread_t thread;
    int rc = 1;
    fake_on(&module.servers[0], MOLT_HANDLER_CAST, &block_worker_type, MOLT_FN(hold_on));
    child(0, 0, "a", "one");
    child(0, 1, "b", "one")->shutdown_ms = 1;
    start();
    struct molt_process *p = molt_process_find(fake->rt, molt_whereis("b"));
    pthread_mutex_lock(&gate);
    get_stuck("b");
    pthread_create(&thread, NULL, stop_runtime, &rc);
    await_kill(p); /* by another worker */
    pthread_mutex_unlock(&gate);
    pthread_join(thread, NULL);
    assert_int_equal(rc, 0);
    expect("+a +b -a ");
}

static void a_child_may_be_killed_without_asking(void **state)
{
    (void)state;
    stop_with_stuck(MOLT_SHUTDOWN_KILL);
    assert_null(strstr(fake->log, "did not end"));
}

/* ---- children on request --------------------------------------------------------------------- */

/* Run @fn in a process and wait for it. */
static void in_process(void (*fn)(void *))
{
    static long n_done;
    molt_pid pid = molt_whereis("runner");
    if (!pid) {
        assert_int_equal(molt_spawn("runner", "runner", NULL, &pid), 0);
        n_done = 0;
    }
    assert_int_equal(fake_post("runner", fn, NULL, DONE), 0);
    fake_await(DONE, ++n_done);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            n_failed++;                                                                            \
        }                                                                                          \
    } while (0)
static _Atomic(int) n_failed; /* assertions of cmocka are for its own thread */

static struct end *end_arg(int reason)
{
    struct end *arg = fake_new(struct end, end);
    arg->reason = reason;
    return arg;
}

static void ask_for_listed(void *arg)
{
    (void)arg;
    molt_pid pid = 0, again = 0;
    struct molt_child d = {.id = "d", .server = "one"};
    struct molt_child_info infos[8];
    CHECK(molt_child_start("app", 0, &d, NULL, &pid) == 0 && pid == molt_whereis("d"));
    CHECK(molt_child_start("app", 0, &d, NULL, &again) == MOLT_EEXIST && again == pid);
    CHECK(molt_children("app", 0, infos, 8) == 2 && infos[1].pid == pid);
    CHECK(strcmp(infos[0].id, "a") == 0 && strcmp(infos[1].id, "d") == 0);
    CHECK(molt_children("app", 0, NULL, 0) == 2);
    CHECK(molt_child_delete("app", 0, "d") == MOLT_EBUSY);
    CHECK(molt_child_restart("app", 0, "d", NULL) == MOLT_EEXIST);
    CHECK(molt_child_terminate("app", 0, "d", 0) == 0 && !molt_whereis("d"));
    CHECK(molt_children("app", 0, infos, 8) == 2 && infos[1].pid == 0);
    CHECK(molt_child_restart("app", 0, "d", &again) == 0 && again == molt_whereis("d"));
    CHECK(molt_child_terminate("app", 0, "d", 0) == 0);
    CHECK(molt_child_delete("app", 0, "d") == 0);
    CHECK(molt_child_delete("app", 0, "d") == MOLT_ENOENT);
    CHECK(molt_children("app", 0, NULL, 0) == 1);
}

static void children_come_and_go_on_request(void **state)
{
    (void)state;
    n_failed = 0;
    child(0, 0, "a", "one");
    start();
    in_process(ask_for_listed);
    assert_int_equal(n_failed, 0);
    expect("+a +d -d +d -d ");
}

static void ask_wrongly(void *arg)
{
    (void)arg;
    struct molt_child d = {.id = "d", .server = "nobody"}, e = {.id = "d", .server = "one"};
    struct molt_child unnamed = {.server = "one"};
    char longer[100];
    memset(longer, 'x', sizeof(longer));
    longer[99] = '\0';
    CHECK(molt_child_start("app", 0, &d, NULL, NULL) == MOLT_ENOENT);
    CHECK(molt_child_start("app", 0, &e, end_arg(MOLT_EREFUSED), NULL) == MOLT_EREFUSED);
    CHECK(molt_child_start("app", 0, NULL, end_arg(0), NULL) == MOLT_EINVAL);
    CHECK(molt_child_start("app", 0, &unnamed, end_arg(0), NULL) == MOLT_EINVAL);
    CHECK(molt_child_start("app", 0, &e, fake_new(struct tied, tied), NULL) == MOLT_EINVAL);
    CHECK(molt_child_start("nobody", 0, &e, end_arg(0), NULL) == MOLT_ENOENT);
    CHECK(molt_child_start("a", 0, &e, end_arg(0), NULL) == MOLT_ETYPE);
    CHECK(molt_child_restart("app", 0, longer, NULL) == MOLT_EINVAL);
    CHECK(molt_child_terminate("app", 0, NULL, 0) == MOLT_EINVAL);
    CHECK(molt_child_terminate("app", 0, "z", 0) == MOLT_ENOENT);
    CHECK(molt_children("app", 0, NULL, 3) == MOLT_EINVAL);
    CHECK(molt_children("app", 0, NULL, 0) == 1);
}

static void wrong_requests_get_their_code_and_change_nothing(void **state)
{
    (void)state;
    n_failed = 0;
    child(0, 0, "a", "one");
    start();
    in_process(ask_wrongly);
    assert_int_equal(n_failed, 0);
    assert_int_equal(molt_child_terminate("app", 0, "a", 0), MOLT_ENOPROC);
    assert_true(molt_whereis("a"));
}

static _Atomic(molt_pid) dynamic[2];

static void ask_for_dynamic(void *arg)
{
    (void)arg;
    molt_pid pids[2] = {0};
    struct molt_child_info infos[2];
    CHECK(molt_child_start("app", 0, NULL, end_arg(7), &pids[0]) == 0);
    CHECK(molt_child_start("app", 0, NULL, NULL, &pids[1]) == 0);
    CHECK(molt_child_start("app", 0, NULL, end_arg(MOLT_EIO), NULL) == MOLT_EIO);
    CHECK(molt_children("app", 0, infos, 2) == 2);
    CHECK(infos[0].pid == pids[0] && infos[1].pid == pids[1] && !infos[0].id[0]);
    CHECK(molt_child_terminate("app", 0, "a", 0) == MOLT_EINVAL);
    CHECK(molt_child_terminate("app", 0, NULL, molt_self()) == MOLT_ENOENT);
    CHECK(molt_child_terminate("app", 0, NULL, pids[1]) == 0);
    CHECK(molt_children("app", 0, NULL, 0) == 1);
    dynamic[0] = pids[0];
}

static void end_dynamic(void *arg)
{
    (void)arg;
    CHECK(molt_send_pid(dynamic[0], end_arg(MOLT_EIO)) == 0);
}

static void check_restarted(void *arg)
{
    (void)arg;
    struct molt_child_info info;
    CHECK(molt_children("app", 0, &info, 1) == 1 && info.pid != dynamic[0]);
}

static void simple_one_for_one_starts_and_restarts_by_its_template(void **state)
{
    (void)state;
    n_failed = 0;
    module.supervisors[0].strategy = MOLT_SIMPLE_ONE_FOR_ONE;
    child(0, 0, NULL, "one");
    start();
    in_process(ask_for_dynamic);
    expect("+? +? +? -? ");
    in_process(end_dynamic);
    expect("-? +? "); /* with a copy of its argument, or its init had failed */
    in_process(check_restarted);
    assert_int_equal(n_failed, 0);
}

/* ---- a specification that changes --------------------------------------------------------------
 */

static void begin_change(void)
{
    next = module;
    next.version.desc = &next.desc;
    next.version.n_worlds = 0;
}

static void change(void)
{
    struct molt_error err = {0};
    struct molt_world *world = fake_world(fake, &next);
    if (molt_runtime_check_supervisors(fake->rt, module.world, world, &err) < 0)
        fail_msg("%s", err.text);
    fake_commit(fake, world);
    molt_runtime_reconcile(fake->rt);
}

static void removed_children_stop_in_reverse_and_added_ones_start(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    expect("+a +b +c ");
    begin_change();
    struct molt_child *c = next.supervisors[0].child;
    c[1] = (struct molt_child){.id = "d", .server = "one"};
    c[0] = (struct molt_child){.id = "inner", .server = "inner"};
    c[2] = (struct molt_child){.id = "b", .server = "one"};
    next.supervisors[1].child[0] = (struct molt_child){.id = "x", .server = "one"};
    change();
    expect("-c -a +? +d ");
}

static void a_changed_restart_type_and_strategy_hold_at_once(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    begin_change();
    next.supervisors[0].strategy = MOLT_REST_FOR_ONE;
    next.supervisors[0].child[2].restart = MOLT_TEMPORARY;
    next.supervisors[0].child[3] = (struct molt_child){.id = "d", .server = "one"};
    change();
    expect("+a +b +c +d ");
    end_child("b", MOLT_EIO);
    expect("-b -d -c +b +d "); /* a temporary one isn't started with the others */
}

static void refused(const char *text)
{
    struct molt_error err = {0};
    struct molt_world *world = fake_world(fake, &next);
    assert_true(molt_runtime_check_supervisors(fake->rt, module.world, world, &err) < 0);
    if (!strstr(err.text, text))
        fail_msg("'%s' lacks '%s'", err.text, text);
}

static void unsound_specifications_are_refused_with_the_reason(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    begin_change();
    next.supervisors[0].child[1].id = "a";
    refused("supervisor 'app': two children have the id 'a'");
    begin_change();
    next.supervisors[0].child[1].server = NULL;
    refused("child 'b' has no server");
    begin_change();
    next.supervisors[0].child[1].server = "onne";
    refused("supervisor 'app': child 'b' is of server 'onne', which no module has; did you mean "
            "'one'?");
    begin_change();
    next.supervisors[0].child[1].server = "innr";
    refused("did you mean 'inner'?");
    begin_change();
    next.supervisors[0].child[1].server = "accounting";
    refused("child 'b' is of server 'accounting', which no module has");
    begin_change();
    next.supervisors[0].strategy = 9;
    refused("unknown strategy");
    begin_change();
    next.supervisors[0].intensity = 100000;
    refused("65536");
    begin_change();
    next.supervisors[0].strategy = MOLT_SIMPLE_ONE_FOR_ONE;
    memset(&next.supervisors[0].child[1], 0, 2 * sizeof(struct molt_child));
    refused("can't change between simple_one_for_one");
    begin_change();
    next.supervisors[0].size--;
    refused("another ABI");
}

static void one_that_can_not_change_keeps_its_specification(void **state)
{
    (void)state;
    three(MOLT_ONE_FOR_ONE);
    start();
    begin_change();
    next.supervisors[0].child[1].id = "a";
    fake_publish(fake, &next);
    molt_runtime_reconcile(fake->rt);
    fake_await_log("supervisor 'app' keeps its old specification: supervisor 'app': two children");
    assert_true(molt_whereis("b") && molt_whereis("c"));
}

/* ---- looking
 * ------------------------------------------------------------------------------------- */

static void see(void *user, const struct molt_runtime_child *c)
{
    char line[64];
    if (c->is_self)
        return;
    snprintf(line, sizeof(line), "%s/%s%s %d,", c->supervisor_name, c->id, c->pid ? "" : " down",
             (int)c->n_restarts);
    strcat(user, line);
}

static void children_are_listed_with_their_restarts(void **state)
{
    (void)state;
    char text[256] = "";
    three(MOLT_ONE_FOR_ONE);
    module.supervisors[0].child[2].restart = MOLT_TRANSIENT;
    start();
    end_child("c", 0);
    expect("+a +b +c -c ");
    fake_await_processes(3);
    end_child("b", MOLT_EIO);
    expect("-b +b ");
    assert_int_equal(molt_runtime_each_child(fake->rt, see, text), 4);
    assert_string_equal(text, "app/a 0,app/b 1,app/c down 0,");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_start_waits_for_all_inits),
        TEST(one_for_one_restarts_one),
        TEST(one_for_all_stops_in_reverse_and_starts_all),
        TEST(rest_for_one_leaves_those_in_front),
        TEST(a_tree_of_supervisors_starts_and_stops_in_order),
        TEST(an_inner_supervisor_that_gives_up_is_restarted),
        TEST(the_children_of_a_killed_supervisor_end),
        TEST(a_significant_child_ends_its_supervisor),
        TEST(no_restart_is_allowed_at_intensity_none),
        TEST(a_child_that_waits_is_asked_and_ends),
        TEST(a_child_that_ignores_its_end_is_killed_in_time),
        TEST(a_callback_that_does_not_return_is_not_waited_for_longer),
        TEST(a_child_may_be_killed_without_asking),
        TEST(children_come_and_go_on_request),
        TEST(wrong_requests_get_their_code_and_change_nothing),
        TEST(simple_one_for_one_starts_and_restarts_by_its_template),
        TEST(removed_children_stop_in_reverse_and_added_ones_start),
        TEST(a_changed_restart_type_and_strategy_hold_at_once),
        TEST(unsound_specifications_are_refused_with_the_reason),
        TEST(one_that_can_not_change_keeps_its_specification),
        TEST(children_are_listed_with_their_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
