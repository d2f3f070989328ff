/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* One world per callback, whatever happens meanwhile. */
#include "soundness/fixture.h"

static void write_ab(struct sound *s, int n)
{
    char text[256];
    snprintf(text, sizeof(text), "#include \"a.h\"\nint a_get(void) { return %d; }\n", n);
    sound_module(s, "a", "int a_get(void);\n", text);
    snprintf(text, sizeof(text), "#include \"b.h\"\nint b_get(void) { return %d; }\n", n);
    sound_module(s, "b", "int b_get(void);\n", text);
}

#define CALLER                                                                                     \
    "#include \"a.h\"\n#include \"b.h\"\n#include \"caller.h\"\n"                                  \
    "struct caller { long n; };\nstruct run { long n; };\n"                                        \
    "static int on_run(struct caller *c, struct run *m)\n{\n    (void)m;\n    c->n++;\n"           \
    "    SET(CELL_A, a_get());\n    WAIT(CELL_GO);\n"                                              \
    "    SET(CELL_C, a_get() * 10 + b_get());\n    return 0;\n}\n"                                 \
    "MOLT_SERVER(caller, struct caller, .on = { MOLT_CAST(struct run, on_run) });\n"               \
    "int caller_run(void)\n{\n    return molt_send(\"caller\", molt_new(struct run));\n}\n"

static void callback_that_waits_goes_on_in_its_world(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    write_ab(&s, 1);
    sound_module(&s, "caller", "int caller_run(void);\n", CALLER);
    sound_upgrade(&s);
    sound_spawn("caller");
    assert_int_equal(sound_call(&s, "caller", "caller_run"), 0);
    cell_await(&s.a, 1);
    write_ab(&s, 2);
    sound_upgrade(&s);
    write_ab(&s, 3);
    sound_upgrade(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 11);
    assert_int_equal(sound_call(&s, "caller", "caller_run"), 0);
    cell_await(&s.c, 33);
    rig_await_unloaded(s.rig, "a", 5000);
    rig_await_unloaded(s.rig, "b", 5000);
    sound_close(&s);
}

/* A straggler gets the address of a function that is newer than its world. */
static void straggler_that_uses_a_newer_thunk_ends_with_a_name(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(
        &s, "late", "int late_run(void);\n",
        "#include \"late.h\"\nstruct late { long n; };\nstruct run { long n; };\n"
        "static int on_run(struct late *l, struct run *m)\n{\n    (void)l;\n    (void)m;\n"
        "    SET(CELL_A, 1);\n    WAIT(CELL_GO);\n"
        "    SET(CELL_C, ((int (*)(void))GET(CELL_B))());\n    return 0;\n}\n"
        "MOLT_SERVER(late, struct late, .on = { MOLT_CAST(struct run, on_run) });\n"
        "int late_run(void)\n{\n    return molt_send(\"late\", molt_new(struct run));\n}\n");
    sound_upgrade(&s);
    sound_spawn("late");
    assert_int_equal(sound_call(&s, "late", "late_run"), 0);
    cell_await(&s.a, 1);
    sound_module(&s, "fresh", "int fresh_get(void);\n",
                 "#include \"fresh.h\"\nint fresh_get(void) { return 5; }\n");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "fresh", "fresh_get"), 5);
    atomic_store(&s.b.value, (long)rig_function(s.rig, "fresh", "fresh_get"));
    atomic_store(&s.c.value, -77);
    atomic_store(&s.go.value, 1);
    sound_await_end("late");
    assert_int_equal(atomic_load(&s.c.value), -77);
    sound_close(&s);
}

static void thread_without_a_world_gets_zeroes_and_a_name(void **state)
{
    (void)state;
    struct sound s;
    struct molt_error err = {0};
    sound_open(&s);
    write_ab(&s, 1);
    sound_upgrade(&s);
    int_fn *a_get = (int_fn *)rig_function(s.rig, "a", "a_get");
    molt_thread_offline(s.thread);
    assert_int_equal(a_get(), 0);
    assert_int_equal(molt_thread_error(&err), MOLT_ENOWORLD);
    assert_non_null(strstr(err.text, "a:a_get"));
    molt_thread_online(s.thread);
    assert_int_equal(a_get(), 1);
    assert_int_equal(molt_thread_error(&err), 0);
    sound_close(&s);
}

/* A struct that is returned in memory comes back zeroed, not wild. */
static void struct_from_nowhere_is_zeroed(void **state)
{
    (void)state;
    struct big {
        long word[8];
    };
    struct sound s;
    sound_open(&s);
    sound_module(&s, "big", "struct big { long word[8]; };\nstruct big big_get(void);\n",
                 "#include \"big.h\"\nstruct big big_get(void)\n{\n    struct big b;\n"
                 "    for (int i = 0; i < 8; i++)\n        b.word[i] = i + 1;\n    return b;\n}\n");
    sound_upgrade(&s);
    struct big (*big_get)(void) = (struct big(*)(void))rig_function(s.rig, "big", "big_get");
    assert_int_equal(big_get().word[7], 8);
    molt_thread_offline(s.thread);
    struct big b = big_get();
    for (int i = 0; i < 8; i++)
        assert_int_equal(b.word[i], 0);
    molt_thread_online(s.thread);
    sound_close(&s);
}

/* The limit names who is in the old worlds. */
static void worlds_are_limited_and_owners_named(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    write_ab(&s, 1);
    sound_module(&s, "caller", "int caller_run(void);\n", CALLER);
    sound_upgrade(&s);
    char name[16];
    int n = 1;
    for (; n < 20; n++) {
        molt_pid pid;
        snprintf(name, sizeof(name), "c%d", n);
        sound_module(&s, "starter", "int starter_run(void);\n",
                     "int starter_run(void);\n"
                     "int starter_run(void) { return 0; }\n");
        assert_int_equal(molt_spawn("caller", NULL, NULL, &pid), 0);
        if (n == 1)
            assert_int_equal(molt_register("caller", pid), 0);
        else {
            assert_int_equal(molt_unregister("caller"), 0);
            assert_int_equal(molt_register("caller", pid), 0);
        }
        atomic_store(&s.a.value, 0);
        assert_int_equal(sound_call(&s, "caller", "caller_run"), 0);
        cell_await(&s.a, n);
        write_ab(&s, n + 1);
        int rc = rig_upgrade(s.rig);
        molt_safepoint(s.thread);
        if (rc == MOLT_ELIMIT)
            break;
        assert_int_equal(rc, 0);
    }
    assert_int_equal(n, MOLT_WORLDS_MAX);
    assert_non_null(strstr(rig_error(s.rig), "suspended callback"));
    atomic_store(&s.go.value, 1);
    rig_await_unloaded(s.rig, "a", 5000);
    assert_int_equal(rig_upgrade(s.rig), 0);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callback_that_waits_goes_on_in_its_world),
        cmocka_unit_test(straggler_that_uses_a_newer_thunk_ends_with_a_name),
        cmocka_unit_test(thread_without_a_world_gets_zeroes_and_a_name),
        cmocka_unit_test(struct_from_nowhere_is_zeroed),
        cmocka_unit_test(worlds_are_limited_and_owners_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
