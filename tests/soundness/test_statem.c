/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * State machines of real modules over upgrades. A gate takes items when it is
 * open, and postpones them when it is shut: cell B is the sum of what it took, each
 * times what the version makes of it.
 */
#include "soundness/fixture.h"

/* What all versions have. STATE is the state's members, LATER what happens before
 * an item is postponed, TIMES what a version makes of an item. */
#define GATE_HEADER "int gate_item(void);\nint gate_turn(void);\n"
#define GATE(states, state, item, later, times)                                                    \
    "#include <molt/statem.h>\n#include \"gate.h\"\n"                                              \
    "enum { " states " };\n"                                                                       \
    "struct gate { " state " };\n"                                                                 \
    "struct item { " item " };\n"                                                                  \
    "struct turn { long n; };\n"                                                                   \
    "static int take(struct gate *g, struct item *m)\n"                                            \
    "{\n    g->sum += m->n * " times ";\n    SET(CELL_B, g->sum);\n    return 0;\n}\n"             \
    "static int later(struct gate *g, struct item *m)\n"                                           \
    "{\n    (void)g, (void)m;\n" later "    SET(CELL_C, GET(CELL_C) + 1);\n"                       \
    "    return molt_postpone();\n}\n"                                                             \
    "static int turn(struct gate *g, struct turn *m)\n"                                            \
    "{\n    (void)g, (void)m;\n    return molt_next_state(molt_state() == SHUT ? OPEN : SHUT);\n}" \
    "\nstatic int entered(struct gate *g, int from)\n"                                             \
    "{\n    (void)g;\n    SET(CELL_A, GET(CELL_A) + 1 + 100 * (from != molt_state()) * " times     \
    ");\n    return molt_state_timeout(3600000);\n}\n"                                             \
    "static int init(struct gate *g)\n{\n    (void)g;\n    return molt_next_state(SHUT);\n}\n"     \
    "int gate_item(void)\n{\n    struct item *m = molt_new(struct item);\n    m->n = 1;\n"         \
    "    return molt_send(\"gate\", m);\n}\n"                                                      \
    "int gate_turn(void)\n{\n    return molt_send(\"gate\", molt_new(struct turn));\n}\n"

#define MACHINE(states, more)                                                                      \
    "MOLT_STATEM(gate, struct gate, (MOLT_STATE(SHUT, .enter = MOLT_FN(entered)),\n"               \
    "    MOLT_STATE(OPEN, .enter = MOLT_FN(entered))" states "), .init = MOLT_FN(init),\n"         \
    "    .on = { MOLT_CAST(struct turn, turn),\n"                                                  \
    "            MOLT_CAST_IN(MOLT_IN(OPEN), struct item, take),\n"                                \
    "            MOLT_CAST_IN(MOLT_IN(SHUT), struct item, later) }" more ");\n"

static void open_gate(struct sound *s, const char *source)
{
    sound_open(s);
    sound_module(s, "gate", GATE_HEADER, source);
    sound_upgrade(s);
    sound_spawn("gate");
    cell_await(&s->a, 1);
}

static void upgrade_gate(struct sound *s, const char *source)
{
    sound_module(s, "gate", GATE_HEADER, source);
    sound_upgrade(s);
}

/* Send @n items, which it postpones. */
static void postpone_items(struct sound *s, long n)
{
    long before = atomic_load(&s->c.value);
    for (long i = 0; i < n; i++)
        assert_int_equal(sound_call(s, "gate", "gate_item"), 0);
    cell_await(&s->c, before + n);
}

static void what_is_postponed_meets_the_new_code(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "1") MACHINE("", ""));
    postpone_items(&s, 3);
    upgrade_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "10") MACHINE("", ""));
    assert_int_equal(rig_result(s.rig)->conversion.n_processes, 0);
    rig_await_unloaded(s.rig, "gate", 10000);
    assert_int_equal(sound_call(&s, "gate", "gate_turn"), 0);
    cell_await(&s.b, 30);
    assert_int_equal(atomic_load(&s.a.value), 2 + 100 * 10);
    sound_close(&s);
}

static void states_keep_their_names_not_their_numbers(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "1") MACHINE("", ""));
    postpone_items(&s, 2);
    upgrade_gate(&s, GATE("JAMMED, OPEN, SHUT", "long sum;", "long n;", "", "10")
                         MACHINE(", MOLT_STATE(JAMMED)", ""));
    rig_await_unloaded(s.rig, "gate", 10000);
    postpone_items(&s, 1); /* it is still shut */
    assert_int_equal(sound_call(&s, "gate", "gate_turn"), 0);
    cell_await(&s.b, 30);
    sound_close(&s);
}

static void state_and_layout_change_together(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "1") MACHINE("", ""));
    postpone_items(&s, 2);
    upgrade_gate(&s, GATE("OPEN, SHUT", "int spare; long sum;", "long n;", "",
                          "10") "struct gate_1 { long sum; };\n"
                                "static int change(const struct gate_1 *old, struct gate *now)\n"
                                "{\n    now->sum = old->sum + 1000;\n    return 0;\n}\n" MACHINE(
                                    "", ", .change = { MOLT_CHANGE(struct gate_1, change) }"));
    assert_int_equal(rig_result(s.rig)->conversion.n_processes, 1);
    assert_int_equal(sound_call(&s, "gate", "gate_turn"), 0);
    cell_await(&s.b, 1020);
    sound_close(&s);
}

static void state_that_a_process_is_in_can_not_go(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "1") MACHINE("", ""));
    postpone_items(&s, 1);
    static const char without[] = GATE("OPEN, SHUT", "long sum;", "long n;", "",
                                       "10") "MOLT_STATEM(gate, struct gate, (MOLT_STATE(OPEN)),\n"
                                             "    .on = { MOLT_CAST(struct item, take) });\n";
    sound_module(&s, "gate", GATE_HEADER, without);
    sound_refused(&s, MOLT_EREFUSED, "is in state SHUT, which server 'gate' would no longer have");
    assert_int_equal(sound_call(&s, "gate", "gate_turn"), 0);
    cell_await(&s.b, 1); /* by the old code */
    upgrade_gate(&s, without);
    assert_int_equal(sound_call(&s, "gate", "gate_item"), 0);
    cell_await(&s.b, 11);
    sound_close(&s);
}

static void postponed_message_of_a_layout_that_goes_is_waited_for(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "1") MACHINE("", ""));
    postpone_items(&s, 1);
    sound_module(&s, "gate", GATE_HEADER,
                 GATE("SHUT, OPEN", "long sum;", "short n;", "", "10") MACHINE("", ""));
    sound_refused(&s, MOLT_ETIMEDOUT, "'struct item'");
    assert_int_equal(sound_call(&s, "gate", "gate_turn"), 0);
    cell_await(&s.b, 1);
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "gate", "gate_item"), 0);
    cell_await(&s.b, 11);
    sound_close(&s);
}

/* The handler belongs to the old world, and what it asked for is done in the new one. */
static void handler_that_waits_finishes_in_its_world(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;",
                       "    SET(CELL_B, -1);\n    WAIT(CELL_GO);\n    molt_next_state(OPEN);\n",
                       "1") MACHINE("", ""));
    assert_int_equal(sound_call(&s, "gate", "gate_item"), 0);
    cell_await(&s.b, -1);
    /* Numbers change, too: it has asked for a state by its old one. */
    upgrade_gate(&s, GATE("OPEN, SHUT", "long sum;", "long n;", "", "10") MACHINE("", ""));
    atomic_store(&s.go.value, 1);
    cell_await(&s.b, 10);
    assert_int_equal(atomic_load(&s.a.value), 2 + 100 * 10);
    rig_await_unloaded(s.rig, "gate", 10000);
    sound_close(&s);
}

static void machine_that_crashes_ends_alone(void **state)
{
    (void)state;
    struct sound s;
    open_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;",
                       "    if (GET(CELL_C) == 2)\n"
                       "        SET(CELL_B, *(volatile long *)(GET(CELL_GO)));\n",
                       "1") MACHINE("", ""));
    postpone_items(&s, 2);
    assert_int_equal(sound_call(&s, "gate", "gate_item"), 0);
    sound_await_end("gate");
    sound_spawn("gate"); /* everything else goes on */
    cell_await(&s.a, 2);
    upgrade_gate(&s, GATE("SHUT, OPEN", "long sum;", "long n;", "", "10") MACHINE("", ""));
    rig_await_unloaded(s.rig, "gate", 10000);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_postponed_meets_the_new_code),
        cmocka_unit_test(states_keep_their_names_not_their_numbers),
        cmocka_unit_test(state_and_layout_change_together),
        cmocka_unit_test(state_that_a_process_is_in_can_not_go),
        cmocka_unit_test(postponed_message_of_a_layout_that_goes_is_waited_for),
        cmocka_unit_test(handler_that_waits_finishes_in_its_world),
        cmocka_unit_test(machine_that_crashes_ends_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
