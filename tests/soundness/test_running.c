/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A callback that computes, blocks or crashes concerns nobody else. */
#include "soundness/fixture.h"

#include <dlfcn.h>

#include "port/preempt.h"
#include "port/sanitize.h"
#include "types/libc_names.h"

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

static unsigned long long preempted(const struct sound *s)
{
    struct molt_runtime_stats stats;
    molt_runtime_stats(molt_host_runtime(rig_host(s->rig)), &stats);
    return stats.preempted;
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

/* Computes in long double (x87), double and vectors of the compiler's own size, with
 * all of it in registers, and in the end says what came out; @n asks for how long. */
static const char mixer[] =
    "#include \"mixer.h\"\n"
    "typedef float vec __attribute__((vector_size(32)));\n"
    "typedef unsigned ivec __attribute__((vector_size(32)));\n"
    "long mixer_mix(long n)\n{\n"
    "    long double x = 0.3L, y = 1.7L;\n    double d = 0.7, e = 0;\n"
    "    vec v = {1, 2, 3, 4, 5, 6, 7, 8}, w = v * 0.5f;\n"
    "    ivec i = {1, 2, 3, 4, 5, 6, 7, 8};\n    unsigned long h = 88172645463325252ul;\n"
    "    while (n-- > 0) {\n        x = x * 3.7L * (1 - x);\n"
    "        y = y * 0.999L + x / (1 + y * y);\n        d = d * 3.6 * (1 - d);\n"
    "        e += d * (double)y;\n        v = v * 0.75f + w * 0.5f;\n"
    "        w = w * 0.9f + v * 0.01f;\n        i = (i << 3) ^ (i >> 5) ^ (unsigned)h;\n"
    "        h ^= h << 13;\n        h ^= h >> 7;\n        h ^= h << 17;\n    }\n"
    "    double all[] = {(double)x, (double)y, d, e};\n"
    "    for (int k = 0; k < 4; k++)\n        h = h * 31 + *(unsigned long *)&all[k];\n"
    "    for (int k = 0; k < 8; k++)\n"
    "        h = h * 31 + i[k] + *(unsigned *)&((float *)&v)[k] * 7u + (unsigned)(w[k] * 1e6f);\n"
    "    return (long)(h & 0x7fffffffffffffff);\n}\n";

#define MIX_ROUNDS 500000
#define MIXES 8

/* Each of them takes some time slices, and the next one has the registers full of
 * its own. A counts those that came out right, C the wrong ones. */
static void registers_of_callbacks_that_compute_are_their_own(void **state)
{
    (void)state;
    struct sound s;
    char source[6000];
    if (!can_preempt())
        skip();
    sound_open_with(&s, 1);
    snprintf(source, sizeof(source),
             "%s" SERVER("mixer", "    long expected = GET(CELL_GO);\n"
                                  "    long got = mixer_mix(%d);\n"
                                  "    __atomic_fetch_add(got == expected ? CELL_A : CELL_C, 1, "
                                  "__ATOMIC_SEQ_CST);\n"),
             mixer, MIX_ROUNDS);
    sound_module(&s, "mixer", HEADER("mixer") "long mixer_mix(long n);\n", source);
    sound_upgrade(&s);
    long expected =
        ((long (*)(long))(uintptr_t)rig_function(s.rig, "mixer", "mixer_mix"))(MIX_ROUNDS);
    atomic_store(&s.go.value, expected);
    unsigned long long before = preempted(&s);
    uint64_t until = molt_clock_ms() + 60000;
    long n = 0;
    do {
        for (int i = 0; i < MIXES; i++, n++) {
            sound_spawn("mixer");
            sound_call(&s, "mixer", "mixer_run");
            assert_int_equal(molt_unregister("mixer"), 0);
        }
        while (atomic_load(&s.a.value) + atomic_load(&s.c.value) < n && molt_clock_ms() < until)
            sched_yield();
    } while (preempted(&s) - before < MIXES && molt_clock_ms() < until);
    assert_int_equal(atomic_load(&s.c.value), 0);
    assert_int_equal(atomic_load(&s.a.value), n);
    assert_true(preempted(&s) - before >= MIXES);
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

/* glibc's own name for flockfile(), which no linker option wraps: molt can't know whether a lock
 * is held. The process is never suspended; others go on all the same. */
static void a_module_with_locks_that_nobody_counts_is_not_preempted(void **state)
{
    (void)state;
    struct sound s;
    if (!can_preempt())
        skip();
    sound_open_with(&s, 1);
    sound_module(&s, "locker", HEADER("locker"),
                 "#include <stdio.h>\nvoid _IO_flockfile(FILE *file);\n"
                 "void _IO_funlockfile(FILE *file);\n" SERVER(
                     "locker", "    _IO_flockfile(stdin);\n    SET(CELL_A, 1);\n"
                               "    while (!*CELL_GO)\n        ;\n"
                               "    _IO_funlockfile(stdin);\n    SET(CELL_A, 2);\n"));
    sound_module(&s, "other", HEADER("other"), SERVER("other", "    SET(CELL_B, s->n);\n"));
    sound_upgrade(&s);
    sound_spawn("other");
    unsigned long long before = preempted(&s);
    sound_spawn("locker");
    sound_call(&s, "locker", "locker_run");
    cell_await(&s.a, 1);
    for (int i = 1; i <= 5; i++) {
        sound_call(&s, "other", "other_run");
        cell_await(&s.b, i);
    }
    assert_int_equal(preempted(&s), before);
    atomic_store(&s.go.value, 1);
    cell_await(&s.a, 2);
    sound_close(&s);
}

/* What modules are linked to is there. */
static void every_lock_that_is_wrapped_is_counted(void **state)
{
    (void)state;
    size_t n;
    const char *const *locks = molt_libc_locks(&n);
    assert_true(n > 20);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof(name), "__wrap_%s", locks[i]);
        if (!dlsym(RTLD_DEFAULT, name))
            fail_msg("there is no %s", name);
    }
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
        cmocka_unit_test(registers_of_callbacks_that_compute_are_their_own),
        cmocka_unit_test(a_callback_of_a_library_is_handed_over_instead),
        cmocka_unit_test(a_module_with_locks_that_nobody_counts_is_not_preempted),
        cmocka_unit_test(every_lock_that_is_wrapped_is_counted),
        cmocka_unit_test(blocking_system_calls_leave_others_their_turn),
        cmocka_unit_test(a_crash_ends_its_process_only),
        cmocka_unit_test(a_stack_overflow_ends_its_process_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
