/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* An upgrade is tried on copies: whatever author's code does there, the host goes on,
 * and the report says what it was. */
#include "soundness/fixture.h"
#include "upgrade/trial.h"

#define SERVERS 5

#define FIRST                                                                                      \
    "#include \"st.h\"\n"                                                                          \
    "struct st { long n; };\n"                                                                     \
    "static int init(struct st *s, const long *first)\n{\n    (void)first;\n    s->n = 7;\n"       \
    "    return 0;\n}\n"                                                                           \
    "int st_answer(void)\n{\n    return 1;\n}\n"                                                   \
    "MOLT_SERVER(st, struct st, .init = MOLT_FN(init));\n"

/* What the second version's conversion does before it returns. */
#define SECOND(does)                                                                               \
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include \"st.h\"\n"            \
    "struct st { long extra, n; };\nstruct st_1 { long n; };\n"                                    \
    "static int from_1(const struct st_1 *old, struct st *now)\n{\n"                               \
    "    now->n = old->n;\n    " does "\n    return 0;\n}\n"                                       \
    "int st_answer(void)\n{\n    return 2;\n}\n"                                                   \
    "MOLT_SERVER(st, struct st, .change = { MOLT_CHANGE(struct st_1, from_1) });\n"

static void count_idle(void *user, const struct molt_process_info *p)
{
    int *n = user;
    *n += strcmp(p->server, "st") == 0 && p->state == MOLT_PROCESS_IDLE;
}

/* Until the workers have left all of them. */
static void await_idle(struct sound *s)
{
    for (int n = 0; n < SERVERS; sched_yield()) {
        n = 0;
        molt_runtime_each_process(molt_host_runtime(rig_host(s->rig)), count_idle, &n);
    }
}

static void open_with_processes(struct sound *s)
{
    sound_open(s);
    sound_module(s, "st", "int st_answer(void);\n", FIRST);
    sound_upgrade(s);
    for (int i = 0; i < SERVERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "st%d", i);
        molt_pid pid;
        assert_int_equal(molt_spawn("st", name, NULL, &pid), 0);
    }
    await_idle(s);
}

static uint64_t stage_second(struct sound *s, const char *source)
{
    uint64_t stage = 0;
    sound_module(s, "st", "int st_answer(void);\n", source);
    if (rig_build(s->rig) < 0 || rig_stage(s->rig, &stage) < 0)
        fail_msg("%s", rig_error(s->rig));
    return stage;
}

/* Try @source; the stage is gone afterwards, and the host as before. */
static struct molt_upgrade_trial try_second(struct sound *s, const char *source, uint32_t max,
                                            int deadline_ms)
{
    struct molt_upgrade_trial trial;
    struct molt_error err = {0};
    uint64_t stage = stage_second(s, source);
    if (molt_upgrade_try(rig_host(s->rig), stage, max, deadline_ms, &trial, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(molt_stage_abort(molt_host_code(rig_host(s->rig)), stage), 0);
    assert_int_equal(rig_version(s->rig, "st"), 1);
    assert_int_equal(sound_call(s, "st", "st_answer"), 1);
    return trial;
}

static const struct molt_trial_server *find_server(const struct molt_upgrade_trial *trial)
{
    for (uint32_t i = 0; i < trial->report->n_servers; i++)
        if (strcmp(trial->report->servers[i].name, "st") == 0)
            return &trial->report->servers[i];
    fail_msg("server st isn't in the report");
    return NULL;
}

static void all_states_are_tried_and_nothing_changes(void **state)
{
    (void)state;
    struct sound s;
    open_with_processes(&s);
    struct molt_upgrade_trial trial = try_second(&s, SECOND(""), 0, 0);
    const struct molt_trial_server *st = find_server(&trial);
    assert_int_equal(st->n_processes, SERVERS);
    assert_int_equal(st->n_tried, SERVERS);
    assert_int_equal(st->n_changed, SERVERS);
    assert_int_equal(st->n_failed, 0);
    assert_int_equal(trial.report->n_failed, 0);
    assert_int_equal(trial.report->bytes, SERVERS * 2 * sizeof(long));
    assert_true(trial.report->is_finished);
    molt_upgrade_trial_fini(&trial);
    sound_close(&s);
}

static void a_sample_is_as_large_as_was_said(void **state)
{
    (void)state;
    struct sound s;
    open_with_processes(&s);
    struct molt_upgrade_trial trial = try_second(&s, SECOND(""), 2, 0);
    const struct molt_trial_server *st = find_server(&trial);
    assert_int_equal(st->n_processes, SERVERS);
    assert_int_equal(st->n_tried, 2);
    assert_int_equal(st->n_changed, 2);
    molt_upgrade_trial_fini(&trial);
    sound_close(&s);
}

static void what_was_tried_can_be_applied(void **state)
{
    (void)state;
    struct sound s;
    struct molt_upgrade_trial trial;
    open_with_processes(&s);
    uint64_t stage = stage_second(&s, SECOND(""));
    assert_int_equal(molt_upgrade_try(rig_host(s.rig), stage, 0, 0, &trial, NULL), 0);
    molt_upgrade_trial_fini(&trial);
    assert_int_equal(rig_apply(s.rig, stage, 0), 0);
    assert_int_equal(rig_version(s.rig, "st"), 2);
    sound_close(&s);
}

/* A conversion that @does this is reported with @text, for the first process alone if @ends. */
static void check_failure(const char *source, const char *text, bool ends, int deadline_ms)
{
    struct sound s;
    open_with_processes(&s);
    struct molt_upgrade_trial trial = try_second(&s, source, 0, deadline_ms);
    const struct molt_trial_report *r = trial.report;
    assert_int_equal(r->n_failed, ends ? 1 : SERVERS);
    assert_int_equal(r->is_finished, !ends);
    if (!strstr(r->failures[0].why, text))
        fail_msg("\"%s\" lacks \"%s\"", r->failures[0].why, text);
    assert_non_null(strstr(r->failures[0].label, "'st"));
    assert_string_equal(r->failures[0].place.module, "st");
    assert_int_equal(r->failures[0].place.number, 2);
    assert_int_not_equal(r->failures[0].place.offset, 0);
    molt_upgrade_trial_fini(&trial);
    sound_close(&s);
}

static void a_conversion_that_crashes_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("*(volatile int *)8 = 1;"), "crashed: Segmentation fault", true, 0);
}

static void a_conversion_that_aborts_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("abort();"), "crashed: Aborted", true, 0);
}

static void a_conversion_that_loops_is_ended(void **state)
{
    (void)state;
    check_failure(SECOND("for (volatile int i = 0;; i++)\n        ;"), "did not return", true, 200);
}

static void a_conversion_that_exits_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("exit(0);"), "ended the OS process", true, 0);
}

static void a_conversion_that_returns_an_error_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("return -5;"), "returned -5", false, 0);
}

static void a_conversion_that_writes_to_the_old_state_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("memset((void *)old, 0, sizeof(*old));"), "wrote to the old state", false,
                  0);
}

static void a_conversion_that_prints_is_named(void **state)
{
    (void)state;
    check_failure(SECOND("printf(\"%ld\\n\", old->n);"), "standard output", false, 0);
}

static void who_is_in_a_callback_is_counted_as_busy(void **state)
{
    (void)state;
    struct sound s;
    struct molt_upgrade_trial trial;
    struct molt_error err = {0};
    uint64_t stage;
    sound_open(&s);
    sound_module(&s, "st", "int st_answer(void);\n",
                 "#include \"st.h\"\nstruct st { long n; };\n"
                 "static int run(struct st *s)\n{\n    s->n = 1;\n    SET(CELL_A, 1);\n"
                 "    WAIT(CELL_GO);\n    return 1;\n}\n"
                 "int st_answer(void)\n{\n    return 1;\n}\n"
                 "MOLT_SERVER(st, struct st, .run = MOLT_FN(run));\n");
    sound_upgrade(&s);
    sound_spawn("st");
    cell_await(&s.a, 1);
    stage = stage_second(&s, SECOND(""));
    if (molt_upgrade_try(rig_host(s.rig), stage, 0, 0, &trial, &err) < 0)
        fail_msg("%s", err.text);
    const struct molt_trial_server *st = find_server(&trial);
    assert_int_equal(st->n_processes, 1);
    assert_int_equal(st->n_busy, 1);
    assert_int_equal(st->n_tried, 0);
    molt_upgrade_trial_fini(&trial);
    molt_stage_abort(molt_host_code(rig_host(s.rig)), stage);
    atomic_store(&s.go.value, 1);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_states_are_tried_and_nothing_changes),
        cmocka_unit_test(a_sample_is_as_large_as_was_said),
        cmocka_unit_test(what_was_tried_can_be_applied),
        cmocka_unit_test(a_conversion_that_crashes_is_named),
        cmocka_unit_test(a_conversion_that_aborts_is_named),
        cmocka_unit_test(a_conversion_that_loops_is_ended),
        cmocka_unit_test(a_conversion_that_exits_is_named),
        cmocka_unit_test(a_conversion_that_returns_an_error_is_named),
        cmocka_unit_test(a_conversion_that_writes_to_the_old_state_is_named),
        cmocka_unit_test(a_conversion_that_prints_is_named),
        cmocka_unit_test(who_is_in_a_callback_is_counted_as_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
