/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A callback that computes, blocks or crashes concerns nobody else. */
#include "soundness/fixture.h"

#include "port/preempt.h"
#include "port/sanitize.h"

/* Server `name`: a cast runs @body. */
#define SERVER(name, body)                                                                         \
    "#include \"" name ".h\"\n#include <stdlib.h>\n#include <unistd.h>\n"                          \
    "struct " name " { long n; };\nstruct run { long n; };\n"                                      \
    "static int on_run(struct " name " *s, struct run *m)\n{\n    (void)m;\n    s->n++;\n" body    \
    "    return 0;\n}\n"                                                                           \
    "MOLT_SERVER(" name ", struct " name ", .on = { MOLT_CAST(struct run, on_run) });\n"           \
    "int " name "_run(void)\n{\n    return molt_send(\"" name "\", molt_new(struct run));\n}\n"

#define HEADER(name) "int " name "_run(void);\n"

/* As many as could keep every worker busy. */
enum { CROWD = 6 };

static void spawn_crowd(struct sound *s, const char *server, const char *run)
{
    for (int i = 0; i < CROWD; i++) {
        sound_spawn(server);
        sound_call(s, server, run);
        /* The next one needs the name. */
        assert_int_equal(molt_unregister(server), 0);
    }
}

static bool can_preempt(void)
{
    struct molt_error err;
    if (molt_preempt_install(&err) == 0)
        return true;
    print_message("skipped: %s\n", err.text);
    return false;
}

static void callbacks_that_compute_for_ever_leave_others_their_turn(void **state)
{
    (void)state;
    struct sound s;
    if (!can_preempt())
        skip();
    sound_open(&s);
    sound_module(&s, "spinner", HEADER("spinner"),
                 SERVER("spinner", "    double sum = 1;\n    long n = 0;\n"
                                   "    while (!*CELL_GO) {\n        sum = sum * 1.25 / 1.25;\n"
                                   "        n++;\n    }\n"
                                   "    SET(CELL_A, sum == 1 && n > 0 ? 1 : -1);\n"));
    sound_module(&s, "other", HEADER("other"), SERVER("other", "    SET(CELL_B, s->n);\n"));
    sound_upgrade(&s);
    spawn_crowd(&s, "spinner", "spinner_run");
    sound_spawn("other");
    for (int i = 1; i <= 5; i++) {
        sound_call(&s, "other", "other_run");
        cell_await(&s.b, i);
    }
    assert_int_equal(atomic_load(&s.a.value), 0);
    atomic_store(&s.go.value, 1);
    cell_await(&s.a, 1);
    sound_close(&s);
}

#define TURNS "4000"
#define PREEMPTED_MAX 200

/* Two processes that pass a ball, one turn each time. */
static const char ball[] =
    "#include \"ball.h\"\nstruct player { long n; };\n"
    "struct ball { long n; molt_pid from; };\n"
    "static int pass(molt_pid to, molt_pid from, long n)\n{\n"
    "    struct ball *b = molt_new(struct ball);\n    b->n = n;\n    b->from = from;\n"
    "    return molt_send_pid(to, b);\n}\n"
    "static int on_ball(struct player *p, struct ball *b)\n{\n    p->n++;\n"
    "    if (b->n < " TURNS ")\n        return pass(b->from, molt_self(), b->n + 1);\n"
    "    SET(CELL_B, 1);\n    return 0;\n}\n"
    "MOLT_SERVER(player, struct player, .on = { MOLT_CAST(struct ball, on_ball) });\n"
    "int ball_play(void)\n{\n    molt_pid one, two;\n"
    "    int rc = molt_spawn(\"player\", NULL, NULL, &one);\n"
    "    rc = rc < 0 ? rc : molt_spawn(\"player\", NULL, NULL, &two);\n"
    "    return rc < 0 ? rc : pass(one, two, 1);\n}\n";

static unsigned long long preempted(const struct sound *s)
{
    struct molt_runtime_stats stats;
    molt_runtime_stats(molt_host_runtime(rig_host(s->rig)), &stats);
    return stats.preempted;
}

/* Not turn by turn: one that is preempted takes as long as a thousand of theirs. */
static void a_callback_that_computes_takes_turns_with_all_others_together(void **state)
{
    (void)state;
    struct sound s;
    if (!can_preempt())
        skip();
    sound_open_with(&s, 1);
    sound_module(&s, "spinner", HEADER("spinner"),
                 SERVER("spinner", "    SET(CELL_A, 1);\n    while (!*CELL_GO)\n        ;\n"));
    sound_module(&s, "ball", "int ball_play(void);\n", ball);
    sound_upgrade(&s);
    sound_spawn("spinner");
    sound_call(&s, "spinner", "spinner_run");
    cell_await(&s.a, 1);
    unsigned long long before = preempted(&s);
    assert_int_equal(sound_call(&s, "ball", "ball_play"), 0);
    cell_await(&s.b, 1);
    assert_in_range(preempted(&s) - before, 0, PREEMPTED_MAX);
    sound_close(&s);
}

/* qsort() is no module text, so what it calls back is never preempted; others
 * go on all the same. */
static void a_callback_of_a_library_is_handed_over_instead(void **state)
{
    (void)state;
    struct sound s;
    if (!can_preempt())
        skip();
    sound_open(&s);
    sound_module(&s, "sorter", HEADER("sorter"),
                 "static int compare(const void *a, const void *b);\n" SERVER(
                     "sorter",
                     "    int two[2] = {2, 1};\n"
                     "    qsort(two, 2, sizeof(int), compare);\n"
                     "    SET(CELL_A, two[0] == 1 ? 1 : -1);\n") "static int compare(const void "
                                                                 "*a, const void *b)\n{\n"
                                                                 "    while (!*CELL_GO)\n        "
                                                                 ";\n    return *(const int *)a - "
                                                                 "*(const int *)b;\n"
                                                                 "}\n");
    sound_module(&s, "other", HEADER("other"), SERVER("other", "    SET(CELL_B, s->n);\n"));
    sound_upgrade(&s);
    spawn_crowd(&s, "sorter", "sorter_run");
    sound_spawn("other");
    for (int i = 1; i <= 5; i++) {
        sound_call(&s, "other", "other_run");
        cell_await(&s.b, i);
    }
    atomic_store(&s.go.value, 1);
    cell_await(&s.a, 1);
    sound_close(&s);
}

static void blocking_system_calls_leave_others_their_turn(void **state)
{
    (void)state;
    struct sound s;
    char body[512];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    sound_open(&s);
    snprintf(body, sizeof(body),
             "    char c;\n    long n = read(%d, &c, 1);\n    SET(CELL_A, n == 1 ? 1 : -1);\n",
             ends[0]);
    char source[2048];
    snprintf(source, sizeof(source), SERVER("reader", "%s"), body);
    sound_module(&s, "reader", HEADER("reader"), source);
    sound_module(&s, "other", HEADER("other"), SERVER("other", "    SET(CELL_B, s->n);\n"));
    sound_upgrade(&s);
    spawn_crowd(&s, "reader", "reader_run");
    sound_spawn("other");
    for (int i = 1; i <= 5; i++) {
        sound_call(&s, "other", "other_run");
        cell_await(&s.b, i);
    }
    assert_int_equal(atomic_load(&s.a.value), 0);
    assert_int_equal(write(ends[1], "123456", CROWD), CROWD);
    cell_await(&s.a, 1);
    sound_close(&s);
    close(ends[0]);
    close(ends[1]);
}

static void a_crash_ends_its_process_only(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "faulty", HEADER("faulty"),
                 SERVER("faulty", "    volatile long *nowhere = (volatile long *)(s->n - 1);\n"
                                  "    SET(CELL_A, 1);\n    *nowhere = 1;\n"
                                  "    SET(CELL_A, -1);\n"));
    sound_module(&s, "other", HEADER("other"), SERVER("other", "    SET(CELL_B, s->n);\n"));
    sound_upgrade(&s);
    sound_spawn("other");
    for (int i = 1; i <= 20; i++) {
        sound_spawn("faulty");
        sound_call(&s, "faulty", "faulty_run");
        sound_await_end("faulty");
        assert_int_equal(atomic_load(&s.a.value), 1);
        sound_call(&s, "other", "other_run");
        cell_await(&s.b, i);
    }
    sound_close(&s);
}

static void a_stack_overflow_ends_its_process_only(void **state)
{
    (void)state;
    struct sound s;
    if (MOLT_IS_SANITIZED) {
        print_message("skipped: a sanitizer's frames are of another size\n");
        skip();
    }
    sound_open(&s);
    sound_module(&s, "deep", HEADER("deep"),
                 "static long dig(volatile long *n)\n{\n    volatile long here = *n + 1;\n"
                 "    return dig(&here) + here;\n}\n" SERVER(
                     "deep", "    volatile long n = 0;\n    SET(CELL_A, dig(&n));\n"));
    sound_upgrade(&s);
    sound_spawn("deep");
    sound_call(&s, "deep", "deep_run");
    sound_await_end("deep");
    assert_int_equal(atomic_load(&s.a.value), 0);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_that_compute_for_ever_leave_others_their_turn),
        cmocka_unit_test(a_callback_that_computes_takes_turns_with_all_others_together),
        cmocka_unit_test(a_callback_of_a_library_is_handed_over_instead),
        cmocka_unit_test(blocking_system_calls_leave_others_their_turn),
        cmocka_unit_test(a_crash_ends_its_process_only),
        cmocka_unit_test(a_stack_overflow_ends_its_process_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
