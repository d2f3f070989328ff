/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Statements 9 and 23 to 27 of docs/conformance.md: on_load. */
#include "conformance/fixture.h"

#define FAILING                                                                                    \
    "static int no(void)\n{\n    return -7;\n}\n"                                                  \
    "MOLT_ON_LOAD(no);\n"

static void beam_09_failed_on_load_ends_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    fixture_write(f.rig, 3, FAILING);
    assert_int_equal(rig_upgrade(f.rig), MOLT_EONLOAD);
    assert_true(fixture_lives("one"));
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

struct apply {
    struct rig *rig;
    uint64_t stage;
    int rc;
};

static void *apply_stage(void *user)
{
    struct apply *apply = user;
    apply->rc = rig_apply(apply->rig, apply->stage, 0);
    return NULL;
}

static void beam_23_current_serves_while_on_load_runs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct cell entered = {0}, leave = {0};
    char more[1024];
    snprintf(more, sizeof(more),
             "static int slow(void)\n{\n"
             "    __atomic_store_n((long *)%#lx, 1, __ATOMIC_SEQ_CST);\n"
             "    while (!__atomic_load_n((long *)%#lx, __ATOMIC_SEQ_CST))\n        ;\n"
             "    return 0;\n}\nMOLT_ON_LOAD(slow);\n",
             (unsigned long)&entered.value, (unsigned long)&leave.value);
    fixture_write(f.rig, 2, more);
    struct apply apply = {.rig = f.rig};
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &apply.stage), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, apply_stage, &apply);
    cell_await(&entered, 1);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 1);
    atomic_store(&f.go.value, 1);
    fixture_work(&f, "one", 1);
    atomic_store(&leave.value, 1);
    pthread_join(thread, NULL);
    assert_int_equal(apply.rc, 0);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 2);
    fixture_close(&f);
}

static void beam_25_failed_on_load_keeps_current(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_write(f.rig, 2, FAILING);
    assert_int_equal(rig_upgrade(f.rig), MOLT_EONLOAD);
    assert_non_null(strstr(rig_error(f.rig), "on_load returned -7"));
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(rig_old(f.rig, "m"), 0);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 1);
    fixture_close(&f);
}

/* on_abandon undoes what on_load did, if a later step of the set fails. */
static void on_abandon_undoes_on_load(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct cell loads = {0};
    char more[1024];
    snprintf(more, sizeof(more),
             "static int in(void)\n{\n"
             "    __atomic_add_fetch((long *)%#lx, 1, __ATOMIC_SEQ_CST);\n    return 0;\n}\n"
             "static void out(void)\n{\n"
             "    __atomic_add_fetch((long *)%#lx, 100, __ATOMIC_SEQ_CST);\n}\n"
             "MOLT_ON_LOAD(in);\nMOLT_ON_ABANDON(out);\n",
             (unsigned long)&loads.value, (unsigned long)&loads.value);
    fixture_write(f.rig, 2, more);
    /* Module x comes after m, and refuses. */
    rig_write(f.rig, "src/x.c", "#include <molt/molt.h>\n" FAILING);
    assert_int_equal(rig_upgrade(f.rig), MOLT_EONLOAD);
    assert_int_equal(atomic_load(&loads.value), 101);
    assert_int_equal(rig_version(f.rig, "x"), 0);
    fixture_close(&f);
}

static void beam_27_concurrent_upgrades_take_turns(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct molt_code *code = molt_host_code(rig_host(f.rig));
    struct molt_error err = {0};
    uint64_t first, second;
    assert_int_equal(molt_stage_begin(code, &first, &err), 0);
    assert_int_equal(molt_stage_begin(code, &second, &err), MOLT_EBUSY);
    assert_int_equal(molt_stage_abort(code, first), 0);
    assert_int_equal(molt_stage_begin(code, &second, &err), 0);
    assert_int_equal(molt_stage_abort(code, second), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beam_09_failed_on_load_ends_nobody),
        cmocka_unit_test(beam_23_current_serves_while_on_load_runs),
        cmocka_unit_test(beam_25_failed_on_load_keeps_current),
        cmocka_unit_test(on_abandon_undoes_on_load),
        cmocka_unit_test(beam_27_concurrent_upgrades_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
