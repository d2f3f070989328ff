/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Code that never returns is upgraded at its upgrade points, its state's layout
 * included, and its old images go. */
#include "soundness/fixture.h"

#define LOOP(members, cell, more)                                                                  \
    "#include \"loop.h\"\n"                                                                        \
    "struct loop { " members " };\n"                                                               \
    "static int step(struct loop *s)\n{\n"                                                         \
    "    s->n++;\n    SET(" cell ", s->n);\n    return molt_upgrade_point();\n}\n"                 \
    "static int run(struct loop *s)\n{\n"                                                          \
    "    int rc;\n    while ((rc = step(s)) == 0)\n        molt_now_ms();\n    return rc;\n}\n"    \
    "int loop_answer(void)\n{\n    return 1;\n}\n" more

#define SERVER(more) "MOLT_SERVER(loop, struct loop, .run = MOLT_FN(run)" more ");\n"

/* Wait until the loop has come on by some rounds. */
static long await_more(struct cell *cell)
{
    long now = atomic_load(&cell->value);
    while (atomic_load(&cell->value) < now + 10)
        sched_yield();
    return now;
}

static void code_that_never_returns_is_upgraded(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "loop", "int loop_answer(void);\n", LOOP("long n;", "CELL_A", SERVER("")));
    sound_upgrade(&s);
    sound_spawn("loop");
    long n = await_more(&s.a);
    /* Code alone. */
    sound_module(&s, "loop", "int loop_answer(void);\n", LOOP("long n;", "CELL_B", SERVER("")));
    sound_upgrade(&s);
    await_more(&s.b);
    assert_true(atomic_load(&s.b.value) > n);
    rig_await_unloaded(s.rig, "loop", 10000);
    /* And the layout of its state. */
    n = await_more(&s.b);
    sound_module(&s, "loop", "int loop_answer(void);\n",
                 LOOP("long max, n, spare[3];", "CELL_C",
                      "struct loop_1 { long n; };\n"
                      "static int change(const struct loop_1 *old, struct loop *now)\n{\n"
                      "    now->n = old->n;\n    return 0;\n}\n" SERVER(
                          ", .change = { MOLT_CHANGE(struct loop_1, change) }")));
    sound_upgrade(&s);
    await_more(&s.c);
    assert_true(atomic_load(&s.c.value) > n);
    rig_await_unloaded(s.rig, "loop", 10000);
    sound_close(&s);
}

static void what_comes_late_to_an_upgrade_point_holds_nobody_up(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
#define STUCK(members)                                                                             \
    "#include \"loop.h\"\nstruct loop { " members " };\n"                                          \
    "static int run(struct loop *s)\n{\n    SET(CELL_A, 1);\n    WAIT(CELL_GO);\n"                 \
    "    SET(CELL_B, s->n + 1);\n    return molt_upgrade_point();\n}\n"                            \
    "int loop_answer(void)\n{\n    return 1;\n}\n"
    sound_module(&s, "loop", "int loop_answer(void);\n", STUCK("long n;") SERVER(""));
    sound_upgrade(&s);
    sound_spawn("loop");
    cell_await(&s.a, 1);
    sound_module(&s, "loop", "int loop_answer(void);\n",
                 STUCK("long m, n;") "struct loop_1 { long n; };\n"
                                     "static int change(const struct loop_1 *old, struct loop *now)"
                                     "\n{\n    now->n = old->n + 5;\n    return 0;\n}\n" SERVER(
                                         ", .change = { MOLT_CHANGE(struct loop_1, change) }"));
    sound_upgrade(&s);
    assert_int_equal(rig_version(s.rig, "loop"), 2);
    assert_int_equal(atomic_load(&s.b.value), 0);
    atomic_store(&s.go.value, 1);
    /* Once more in its old world, then with the state that was converted. */
    cell_await(&s.b, 6);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_that_never_returns_is_upgraded),
        cmocka_unit_test(what_comes_late_to_an_upgrade_point_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
