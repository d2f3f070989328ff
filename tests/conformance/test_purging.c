/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Statements 28 to 46 of docs/conformance.md: delete and purge. */
#include "conformance/fixture.h"

static int purge(struct fixture *f, const char *module, unsigned number, bool is_hard,
                 unsigned *ret_unloaded, unsigned *ret_killed, struct molt_error *err)
{
    return molt_upgrade_purge(rig_host(f->rig), module, number, is_hard, ret_unloaded, ret_killed,
                              err);
}

/* ---- delete ------------------------------------------------------------------ */

/* Module lone exports a function that nobody imports. */
static void write_lone(struct rig *rig, int n)
{
    char text[256];
    rig_write(rig, "src/lone.h", "int lone_get(void);\n");
    snprintf(text, sizeof(text), "#include \"lone.h\"\nint lone_get(void) { return %d; }\n", n);
    rig_write(rig, "src/lone.c", text);
}

static void delete_lone(struct fixture *f)
{
    rig_remove(f->rig, "src/lone.c");
    rig_remove(f->rig, "src/lone.h");
    if (rig_upgrade(f->rig) < 0)
        fail_msg("%s", rig_error(f->rig));
    molt_safepoint(f->thread);
}

static void beam_28_deleted_function_is_a_named_error(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    write_lone(f.rig, 1);
    assert_int_equal(rig_upgrade(f.rig), 0);
    molt_safepoint(f.thread);
    version_fn *lone_get = (version_fn *)rig_function(f.rig, "lone", "lone_get");
    assert_int_equal(lone_get(), 1);
    delete_lone(&f);
    struct molt_error err = {0};
    assert_int_equal(lone_get(), 0);
    assert_int_equal(molt_thread_error(&err), MOLT_EUNDEF);
    assert_non_null(strstr(err.text, "lone:lone_get"));
    /* One that is imported can't go. */
    rig_remove(f.rig, "src/m.c");
    rig_write(f.rig, "src/m.c", "#include \"m.h\"\nint m_other(void) { return 1; }\n");
    assert_true(rig_upgrade(f.rig) < 0);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    fixture_close(&f);
}

static void beam_29_delete_needs_no_purge_before(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    write_lone(f.rig, 1);
    assert_int_equal(rig_upgrade(f.rig), 0);
    molt_safepoint(f.thread);
    write_lone(f.rig, 2);
    assert_int_equal(rig_upgrade(f.rig), 0);
    assert_int_equal(rig_old(f.rig, "lone"), 1);
    delete_lone(&f);
    assert_int_equal(rig_version(f.rig, "lone"), 0);
    rig_await_unloaded(f.rig, "lone", 5000);
    fixture_close(&f);
}

static void beam_30_load_after_delete_works(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    write_lone(f.rig, 1);
    assert_int_equal(rig_upgrade(f.rig), 0);
    version_fn *lone_get = (version_fn *)rig_function(f.rig, "lone", "lone_get");
    delete_lone(&f);
    write_lone(f.rig, 2);
    assert_int_equal(rig_upgrade(f.rig), 0);
    molt_safepoint(f.thread);
    assert_ptr_equal(lone_get, rig_function(f.rig, "lone", "lone_get"));
    assert_int_equal(lone_get(), 2);
    assert_int_equal(rig_version(f.rig, "lone"), 2);
    fixture_close(&f);
}

/* ---- purge -------------------------------------------------------------------- */

static void beam_31_soft_purge_leaves_what_is_in_use(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    unsigned unloaded = 9, killed = 9;
    assert_int_equal(purge(&f, "m", 0, false, &unloaded, &killed, NULL), 0);
    assert_int_equal(unloaded, 0);
    assert_int_equal(killed, 0);
    assert_int_equal(rig_old(f.rig, "m"), 1);
    assert_non_null(strstr(rig_why(f.rig, "m"), "suspended callback"));
    assert_true(fixture_lives("one"));
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

static void beam_32_unused_version_is_unloaded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    rig_await_unloaded(f.rig, "m", 5000);
    unsigned unloaded = 9, killed = 9;
    assert_int_equal(purge(&f, "m", 0, false, &unloaded, &killed, NULL), 0);
    assert_int_equal(unloaded, 0);
    fixture_close(&f);
}

static void beam_33_hard_purge_counts_whom_it_ended(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct molt_error err = {0};
    unsigned unloaded = 0, killed = 0;
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    assert_int_equal(purge(&f, "m", 1, true, &unloaded, &killed, &err), 0);
    assert_int_equal(killed, 1);
    assert_int_equal(unloaded, 1);
    assert_int_equal(rig_old(f.rig, "m"), 0);
    assert_false(fixture_lives("one"));
    /* Without an old version: nothing to do; the current one: refused. */
    assert_int_equal(purge(&f, "m", 1, true, &unloaded, &killed, &err), 0);
    assert_int_equal(killed, 0);
    assert_int_equal(purge(&f, "m", 2, true, &unloaded, &killed, &err), MOLT_EINVAL);
    assert_int_equal(purge(&f, "m", 0, true, &unloaded, &killed, &err), MOLT_EINVAL);
    /* What never was is told apart from what is gone. */
    assert_int_equal(purge(&f, "m", 77, false, &unloaded, &killed, &err), MOLT_ENOENT);
    assert_int_equal(purge(&f, "none", 0, false, &unloaded, &killed, &err), MOLT_ENOENT);
    fixture_close(&f);
}

/* Process t, which waits in a callback, and process w, which is linked to it and
 * monitors it. */
static const char watched_c[] =
    "#include <molt/molt.h>\n#include \"t.h\"\n"
    "struct t { long n; };\nstruct wait { long n; };\nstruct watch { molt_pid pid; };\n"
    "static void set(long *cell, long to)\n{\n    __atomic_store_n(cell, to, "
    "__ATOMIC_SEQ_CST);\n}\n"
    "static int on_wait(struct t *t, struct wait *m)\n{\n    (void)t;\n    (void)m;\n"
    "    set((long *)%#lx, 1);\n    molt_sleep(100000);\n    return 0;\n}\n"
    "static void terminate(struct t *t, int reason)\n{\n    (void)t;\n    (void)reason;\n"
    "    set((long *)%#lx, 1);\n}\n"
    "MOLT_SERVER(t, struct t, .terminate = MOLT_FN(terminate),\n"
    "            .on = { MOLT_CAST(struct wait, on_wait) });\n"
    "static int on_watch(struct t *t, struct watch *m)\n{\n    uint64_t ref;\n    (void)t;\n"
    "    if (molt_trap_exit(1) < 0 || molt_link(m->pid) < 0 || molt_monitor(m->pid, &ref) < 0)\n"
    "        return MOLT_EINVAL;\n    set((long *)%#lx, 1);\n    return 0;\n}\n"
    "static int on_exit(struct t *t, const struct molt_exit *e)\n{\n    (void)t;\n"
    "    set((long *)%#lx, e->reason);\n    return 0;\n}\n"
    "static int on_down(struct t *t, const struct molt_down *d)\n{\n    (void)t;\n"
    "    set((long *)%#lx, d->reason);\n    return 0;\n}\n"
    "MOLT_SERVER(w34, struct t, .on_exit = MOLT_FN(on_exit), .on_down = MOLT_FN(on_down),\n"
    "            .on = { MOLT_CAST(struct watch, on_watch) });\n"
    "int t_wait(void)\n{\n    return molt_send(\"t\", molt_new(struct wait));\n}\n"
    "int t_watch(void)\n{\n    struct watch *m = molt_new(struct watch);\n"
    "    m->pid = molt_whereis(\"t\");\n    return molt_send(\"watcher\", m);\n}\n";

static void beam_34_killed_process_runs_no_terminate(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct cell terminated = {0}, entered = {0}, watching = {0}, exited = {0}, down = {0};
    char text[4096];
    snprintf(text, sizeof(text), watched_c, (unsigned long)&entered.value,
             (unsigned long)&terminated.value, (unsigned long)&watching.value,
             (unsigned long)&exited.value, (unsigned long)&down.value);
    rig_write(f.rig, "src/t.h", "int t_wait(void);\nint t_watch(void);\n");
    rig_write(f.rig, "src/t.c", text);
    if (rig_upgrade(f.rig) < 0)
        fail_msg("%s", rig_error(f.rig));
    molt_safepoint(f.thread);
    molt_pid pid;
    assert_int_equal(molt_spawn("t", "t", NULL, &pid), 0);
    assert_int_equal(molt_spawn("w34", "watcher", NULL, NULL), 0);
    assert_int_equal(((version_fn *)rig_function(f.rig, "t", "t_watch"))(), 0);
    cell_await(&watching, 1);
    assert_int_equal(((version_fn *)rig_function(f.rig, "t", "t_wait"))(), 0);
    cell_await(&entered, 1);
    assert_int_equal(molt_runtime_kill(molt_host_runtime(rig_host(f.rig)), pid), 0);
    assert_false(fixture_lives("t"));
    assert_int_equal(atomic_load(&terminated.value), 0);
    cell_await(&exited, MOLT_EKILLED);
    cell_await(&down, MOLT_EKILLED);
    assert_true(fixture_lives("watcher"));
    fixture_close(&f);
}

static void beam_35_frames_pin_their_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    rig_reclaim(f.rig);
    assert_int_equal(rig_old(f.rig, "m"), 1);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    rig_await_unloaded(f.rig, "m", 5000);
    fixture_close(&f);
}

/* Server k keeps the address of a static function, and of a literal. */
#define K_SOURCE                                                                                   \
    "#include <molt/molt.h>\n#include \"k.h\"\n"                                                   \
    "struct k { int (*fn)(void); const char *text; };\n"                                           \
    "struct keep { long what; };\nstruct ask { long n; unsigned long cell; };\n"                   \
    "static int mine(void)\n{\n    return VERSION;\n}\n"                                           \
    "static int on_keep(struct k *k, struct keep *m)\n{\n"                                         \
    "    k->fn = m->what == 1 ? mine : NULL;\n"                                                    \
    "    k->text = m->what == 2 ? TEXT : NULL;\n    return 0;\n}\n"                                \
    "static int on_ask(struct k *k, struct ask *m)\n{\n"                                           \
    "    long v = k->fn ? k->fn() : k->text ? k->text[0] : -1;\n"                                  \
    "    __atomic_store_n((long *)m->cell, v, __ATOMIC_SEQ_CST);\n    return 0;\n}\n"              \
    "MOLT_SERVER(k, struct k, .on = { MOLT_CAST(struct keep, on_keep),\n"                          \
    "                                 MOLT_CAST(struct ask, on_ask) });\n"                         \
    "int k_keep(long what)\n{\n    struct keep *m = molt_new(struct keep);\n"                      \
    "    m->what = what;\n    return molt_send(\"k\", m);\n}\n"                                    \
    "int k_ask(unsigned long cell)\n{\n    struct ask *m = molt_new(struct ask);\n"                \
    "    m->cell = cell;\n    return molt_send(\"k\", m);\n}\n"

typedef int keep_fn(long what);
typedef int ask_fn(unsigned long cell);

static void write_k(struct rig *rig, int n)
{
    char text[4096];
    rig_write(rig, "src/k.h", "int k_keep(long what);\nint k_ask(unsigned long cell);\n");
    snprintf(text, sizeof(text), "#define VERSION %d\n#define TEXT \"%c\"\n%s", n, 'a' + n,
             K_SOURCE);
    rig_write(rig, "src/k.c", text);
}

static void open_k(struct fixture *f, keep_fn **ret_keep, ask_fn **ret_ask)
{
    molt_pid pid;
    fixture_open(f);
    write_k(f->rig, 1);
    if (rig_upgrade(f->rig) < 0)
        fail_msg("%s", rig_error(f->rig));
    molt_safepoint(f->thread);
    *ret_keep = (keep_fn *)rig_function(f->rig, "k", "k_keep");
    *ret_ask = (ask_fn *)rig_function(f->rig, "k", "k_ask");
    assert_int_equal(molt_spawn("k", "k", NULL, &pid), 0);
}

static void upgrade_k(struct fixture *f, int n)
{
    write_k(f->rig, n);
    if (rig_upgrade(f->rig) < 0)
        fail_msg("%s", rig_error(f->rig));
    molt_safepoint(f->thread);
}

static void ask(ask_fn *k_ask, long expected)
{
    struct cell answer = {0};
    assert_int_equal(k_ask((unsigned long)&answer.value), 0);
    cell_await(&answer, expected);
}

static void beam_36_pointers_in_state_and_mail_pin(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    assert_int_equal(k_keep(1), 0);
    ask(k_ask, 1);
    upgrade_k(&f, 2);
    rig_reclaim(f.rig);
    assert_int_equal(rig_old(f.rig, "k"), 1);
    assert_non_null(strstr(rig_why(f.rig, "k"), "'k'"));
    assert_non_null(strstr(rig_why(f.rig, "k"), "fn"));
    /* The local function of version 1 is still good. */
    ask(k_ask, 1);
    assert_int_equal(k_keep(0), 0);
    ask(k_ask, -1);
    rig_await_unloaded(f.rig, "k", 5000);
    fixture_close(&f);
}

static void beam_37_idle_process_pins_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    atomic_store(&f.go.value, 1);
    fixture_work(&f, "one", 1);
    cell_await(&f.after, 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    rig_await_unloaded(f.rig, "m", 5000);
    fixture_work(&f, "one", 2);
    fixture_close(&f);
}

static void beam_38_idle_server_goes_on_in_new_code(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    upgrade_k(&f, 2);
    assert_int_equal(k_keep(1), 0);
    ask(k_ask, 2);
    fixture_close(&f);
}

static void beam_39_slow_callback_pins_until_it_returns(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    rig_write(f.rig, "src/w.h",
              "/* again */\n"
              "int w_work(const char *name, unsigned long before, unsigned long "
              "go, unsigned long after);\nint w_more(void);\n");
    char path[600];
    snprintf(path, sizeof(path), "%s/src/w.c", rig_root(f.rig));
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fputs("int w_more(void)\n{\n    return 1;\n}\n", file);
    fclose(file);
    if (rig_upgrade(f.rig) < 0)
        fail_msg("%s", rig_error(f.rig));
    molt_safepoint(f.thread);
    rig_reclaim(f.rig);
    assert_int_equal(rig_old(f.rig, "w"), 1);
    unsigned unloaded = 0, killed = 0;
    assert_int_equal(purge(&f, "w", 1, true, &unloaded, &killed, NULL), 0);
    assert_int_equal(killed, 1);
    assert_int_equal(rig_old(f.rig, "w"), 0);
    fixture_close(&f);
}

static void beam_40_waiting_process_is_checked_too(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_work(&f, "two", 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    molt_pid pids[4];
    struct molt_world *now = atomic_load(molt_code_current_cell(molt_host_code(rig_host(f.rig))));
    /* They sleep in short steps; between two steps a callback runs. */
    uint64_t until = molt_clock_ms() + 5000;
    size_t n;
    while ((n = molt_runtime_stragglers(molt_host_runtime(rig_host(f.rig)), NULL, now->id, pids,
                                        4)) != 2 &&
           molt_clock_ms() < until)
        sched_yield();
    assert_int_equal(n, 2);
    unsigned unloaded = 0, killed = 0;
    assert_int_equal(purge(&f, "m", 1, true, &unloaded, &killed, NULL), 0);
    assert_int_equal(killed, 2);
    fixture_close(&f);
}

static void beam_41_exported_address_reaches_current_code(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    version_fn *kept = f.m_version;
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    rig_await_unloaded(f.rig, "m", 5000);
    assert_int_equal(kept(), 2);
    assert_ptr_equal(kept, rig_function(f.rig, "m", "m_version"));
    fixture_close(&f);
}

static void beam_42_constant_from_an_old_version_stays_valid(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    assert_int_equal(k_keep(2), 0);
    ask(k_ask, 'b');
    for (int n = 2; n < 5; n++)
        upgrade_k(&f, n);
    rig_reclaim(f.rig);
    ask(k_ask, 'b');
    assert_int_equal(rig_old(f.rig, "k"), 1);
    assert_int_equal(k_keep(0), 0);
    ask(k_ask, -1);
    rig_await_unloaded(f.rig, "k", 5000);
    fixture_close(&f);
}

/* Processes call a kept static function while versions come and go. */
static void beam_43_no_call_reaches_code_that_is_going(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    for (int n = 2; n < 12; n++) {
        assert_int_equal(k_keep(1), 0);
        ask(k_ask, n - 1);
        upgrade_k(&f, n);
        rig_reclaim(f.rig);
        ask(k_ask, n - 1);
    }
    rig_reclaim(f.rig);
    assert_int_equal(rig_old(f.rig, "k"), 1);
    fixture_close(&f);
}

static void beam_45_reclaim_leaves_others_running(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    fixture_work(&f, "busy", 1);
    for (int n = 2; n < 8; n++) {
        assert_int_equal(k_keep(n % 3), 0);
        upgrade_k(&f, n);
        rig_reclaim(f.rig);
    }
    assert_int_equal(atomic_load(&f.after.value), 0);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

struct purger {
    struct fixture *f;
    int rc;
};

static void *purge_all(void *user)
{
    struct purger *p = user;
    unsigned unloaded, killed;
    p->rc = purge(p->f, NULL, 0, false, &unloaded, &killed, NULL);
    return NULL;
}

static void beam_46_requests_behind_a_purge_are_answered(void **state)
{
    (void)state;
    struct fixture f;
    keep_fn *k_keep;
    ask_fn *k_ask;
    open_k(&f, &k_keep, &k_ask);
    assert_int_equal(k_keep(1), 0);
    upgrade_k(&f, 2);
    struct purger purger = {.f = &f};
    pthread_t thread;
    pthread_create(&thread, NULL, purge_all, &purger);
    assert_int_equal(rig_version(f.rig, "k"), 2);
    molt_safepoint(f.thread);
    ask(k_ask, 1);
    molt_thread_offline(f.thread);
    pthread_join(thread, NULL);
    molt_thread_online(f.thread);
    assert_int_equal(purger.rc, 0);
    assert_int_equal(rig_version(f.rig, "k"), 2);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beam_28_deleted_function_is_a_named_error),
        cmocka_unit_test(beam_29_delete_needs_no_purge_before),
        cmocka_unit_test(beam_30_load_after_delete_works),
        cmocka_unit_test(beam_31_soft_purge_leaves_what_is_in_use),
        cmocka_unit_test(beam_32_unused_version_is_unloaded),
        cmocka_unit_test(beam_33_hard_purge_counts_whom_it_ended),
        cmocka_unit_test(beam_34_killed_process_runs_no_terminate),
        cmocka_unit_test(beam_35_frames_pin_their_version),
        cmocka_unit_test(beam_36_pointers_in_state_and_mail_pin),
        cmocka_unit_test(beam_37_idle_process_pins_nothing),
        cmocka_unit_test(beam_38_idle_server_goes_on_in_new_code),
        cmocka_unit_test(beam_39_slow_callback_pins_until_it_returns),
        cmocka_unit_test(beam_40_waiting_process_is_checked_too),
        cmocka_unit_test(beam_41_exported_address_reaches_current_code),
        cmocka_unit_test(beam_42_constant_from_an_old_version_stays_valid),
        cmocka_unit_test(beam_43_no_call_reaches_code_that_is_going),
        cmocka_unit_test(beam_45_reclaim_leaves_others_running),
        cmocka_unit_test(beam_46_requests_behind_a_purge_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
