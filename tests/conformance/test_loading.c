/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Statements 1 to 21 of docs/conformance.md: loading and versions. */
#include "conformance/fixture.h"

static void beam_01_first_load_is_callable(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(f.m_version(), 1);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(rig_old(f.rig, "m"), 0);
    fixture_close(&f);
}

static void beam_02_second_load_serves_everybody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_upgrade(&f, 2);
    /* This thread is still in its world, and keeps the old version there. */
    assert_int_equal(f.m_version(), 1);
    assert_int_equal(rig_old(f.rig, "m"), 1);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 2);
    assert_int_equal(rig_version(f.rig, "m"), 2);
    fixture_close(&f);
}

static void beam_03_running_callback_keeps_its_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    fixture_upgrade(&f, 3);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 3);
    assert_int_equal(atomic_load(&f.after.value), 0);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

static void beam_04_process_moves_at_its_next_callback(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    molt_safepoint(f.thread);
    fixture_work(&f, "one", 2);
    cell_await(&f.after, 2);
    fixture_close(&f);
}

static void beam_05_suspended_callback_finishes_in_its_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_work(&f, "two", 1);
    fixture_upgrade(&f, 2);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

/* A load never ends a process, however often and whatever it replaces. */
static void beam_07_loading_never_kills(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    fixture_upgrade(&f, 2);
    molt_safepoint(f.thread);
    fixture_work(&f, "two", 2);
    fixture_upgrade(&f, 3);
    rig_reclaim(f.rig);
    assert_true(fixture_lives("one"));
    assert_true(fixture_lives("two"));
    fixture_close(&f);
}

static void beam_06_third_version_loads_while_two_are_in_use(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    for (int n = 2; n <= 5; n++)
        fixture_upgrade(&f, n);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 5);
    rig_reclaim(f.rig);
    /* Only what somebody is in stays: version 1, not 2 to 4. */
    assert_int_equal(rig_old(f.rig, "m"), 1);
    assert_true(fixture_lives("one"));
    fixture_close(&f);
}

/* Stage module m from a file that isn't what its digest says. */
static void beam_08_corrupt_object_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    struct molt_code *code = molt_host_code(rig_host(f.rig));
    struct molt_error err = {0};
    uint64_t stage;
    assert_int_equal(molt_stage_begin(code, &stage, &err), 0);
    struct molt_meta *meta = molt_meta_new();
    meta->module = strdup("m");
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(molt_stage_put(code, stage, meta, fd, &err), MOLT_EDIGEST);
    assert_non_null(strstr(err.text, "SHA-256"));
    close(fd);
    molt_meta_free(meta);
    assert_int_equal(molt_stage_abort(code, stage), 0);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_true(fixture_lives("one"));
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    fixture_close(&f);
}

static void beam_10_identical_object_is_no_new_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_upgrade(&f, 1);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(rig_result(f.rig)->n_changes, 0);
    fixture_close(&f);
}

/* Put the bytes of @path as module @module, described as @like is. */
static int put_file(struct rig *rig, const char *module, const char *path,
                    const struct molt_meta *like, struct molt_error *err)
{
    struct molt_code *code = molt_host_code(rig_host(rig));
    uint64_t stage;
    assert_int_equal(molt_stage_begin(code, &stage, err), 0);
    struct molt_meta *meta = molt_meta_new();
    meta->module = strdup(module);
    memcpy(meta->build_id, like->build_id, like->build_id_len);
    meta->build_id_len = like->build_id_len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(molt_sha256_fd(fd, meta->digest), 0);
    int rc = molt_stage_put(code, stage, meta, fd, err);
    close(fd);
    if (rc < 0)
        molt_meta_free(meta);
    assert_int_equal(molt_stage_abort(code, stage), 0);
    return rc;
}

static void beam_11_garbage_and_wrong_names_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct molt_error err = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/molt.conf", rig_root(f.rig));
    const struct molt_built_module *w = rig_built(f.rig, "w");
    assert_int_equal(put_file(f.rig, "m", path, w->meta, &err), MOLT_EREFUSED);
    assert_non_null(strstr(err.text, "m: "));
    assert_int_equal(put_file(f.rig, "m", w->image_path, w->meta, &err), MOLT_EFORMAT);
    assert_non_null(strstr(err.text, "another module"));
    assert_int_equal(put_file(f.rig, "../m", path, w->meta, &err), MOLT_EINVAL);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(rig_old(f.rig, "m"), 0);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 1);
    fixture_close(&f);
}

/* What is prepared doesn't disturb what runs, nor the other way round. */
static void beam_13_staging_runs_beside_callbacks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t stage;
    fixture_write(f.rig, 2, "");
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &stage), 0);
    fixture_work(&f, "one", 1);
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    assert_int_equal(rig_apply(f.rig, stage, 0), 0);
    molt_safepoint(f.thread);
    fixture_work(&f, "one", 2);
    fixture_close(&f);
}

static void beam_14_staging_alone_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t stage;
    fixture_write(f.rig, 2, "");
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &stage), 0);
    assert_int_equal(molt_stage_seal(molt_host_code(rig_host(f.rig)), stage, NULL), 0);
    molt_safepoint(f.thread);
    assert_int_equal(f.m_version(), 1);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(molt_stage_abort(molt_host_code(rig_host(f.rig)), stage), 0);
    fixture_close(&f);
}

/* ---- sets --------------------------------------------------------------------- */

/* Modules a and b that answer @n, and r, which calls a, b, a. */
static void write_pair(struct rig *rig, int a, int b)
{
    char text[256];
    rig_write(rig, "src/a.h", "int a_get(void);\n");
    rig_write(rig, "src/b.h", "int b_get(void);\n");
    snprintf(text, sizeof(text), "#include \"a.h\"\nint a_get(void) { return %d; }\n", a);
    rig_write(rig, "src/a.c", text);
    snprintf(text, sizeof(text), "#include \"b.h\"\nint b_get(void) { return %d; }\n", b);
    rig_write(rig, "src/b.c", text);
}

static void beam_15_set_switches_whole_or_not_at_all(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    write_pair(rig, 1, 1);
    assert_int_equal(rig_upgrade(rig), 0);
    struct molt_thread *thread = rig_enter(rig);
    version_fn *a_get = (version_fn *)rig_function(rig, "a", "a_get");
    version_fn *b_get = (version_fn *)rig_function(rig, "b", "b_get");
    write_pair(rig, 2, 2);
    /* b's on_load refuses: a must not switch either. */
    rig_write(rig, "src/b.c",
              "#include <molt/molt.h>\n#include \"b.h\"\nint b_get(void) { return 2; }\n"
              "static int no(void) { return -1; }\nMOLT_ON_LOAD(no);\n");
    assert_int_equal(rig_upgrade(rig), MOLT_EONLOAD);
    molt_safepoint(thread);
    assert_int_equal(a_get(), 1);
    assert_int_equal(b_get(), 1);
    assert_int_equal(rig_old(rig, "a"), 0);
    molt_thread_unregister(thread);
    rig_free(rig);
}

static void beam_16_bad_member_refuses_the_set(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct molt_code *code = molt_host_code(rig_host(f.rig));
    struct molt_error err = {0};
    uint64_t stage;
    fixture_write(f.rig, 2, "");
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &stage), 0);
    assert_int_equal(molt_stage_delete(code, stage, "m", &err), MOLT_EEXIST);
    assert_int_equal(molt_stage_abort(code, stage), 0);
    fixture_close(&f);
}

struct reader {
    struct rig *rig;
    version_fn *a_get, *b_get;
    atomic_int stop;
    atomic_long samples, mixed, backward;
};

static void *read_pairs(void *user)
{
    struct reader *r = user;
    struct molt_thread *thread = rig_enter(r->rig);
    int last = 0;
    while (!atomic_load(&r->stop)) {
        molt_safepoint(thread);
        int a = r->a_get(), b = r->b_get(), again = r->a_get();
        if (a != b || a != again)
            atomic_fetch_add(&r->mixed, 1);
        if (a < last)
            atomic_fetch_add(&r->backward, 1);
        last = a;
        atomic_fetch_add(&r->samples, 1);
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void beam_17_no_callback_sees_a_torn_set(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    write_pair(rig, 1, 1);
    assert_int_equal(rig_upgrade(rig), 0);
    struct reader reader = {
        .rig = rig,
        .a_get = (version_fn *)rig_function(rig, "a", "a_get"),
        .b_get = (version_fn *)rig_function(rig, "b", "b_get"),
    };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, read_pairs, &reader);
    for (int n = 2; n <= 20; n++) {
        write_pair(rig, n, n);
        if (rig_upgrade(rig) < 0)
            fail_msg("%s", rig_error(rig));
        rig_reclaim(rig);
    }
    atomic_store(&reader.stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    /* Within one callback not even (old, new, new) is possible, which the BEAM
     * allows. */
    assert_true(atomic_load(&reader.samples) > 0);
    assert_int_equal(atomic_load(&reader.mixed), 0);
    assert_int_equal(atomic_load(&reader.backward), 0);
    rig_free(rig);
}

/* ---- dispatch and causality ---------------------------------------------------- */

static void write_many(struct rig *rig, int n)
{
    char text[8192];
    size_t len = 0;
    for (int i = 0; i < 40; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "int many_%d(void);\n", i);
    rig_write(rig, "src/many.h", text);
    len = (size_t)snprintf(text, sizeof(text), "#include \"many.h\"\n");
    for (int i = 0; i < 40; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "int many_%d(void) { return %d; }\n", i, n);
    rig_write(rig, "src/many.c", text);
}

static void beam_18_exports_of_a_version_appear_together(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    version_fn *fn[40];
    write_many(rig, 1);
    assert_int_equal(rig_upgrade(rig), 0);
    struct molt_thread *thread = rig_enter(rig);
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof(name), "many_%d", i);
        fn[i] = (version_fn *)rig_function(rig, "many", name);
    }
    for (int n = 2; n < 5; n++) {
        write_many(rig, n);
        assert_int_equal(rig_upgrade(rig), 0);
        for (int i = 0; i < 40; i++)
            assert_int_equal(fn[i](), n - 1);
        molt_safepoint(thread);
        for (int i = 0; i < 40; i++)
            assert_int_equal(fn[i](), n);
    }
    molt_thread_unregister(thread);
    rig_free(rig);
}

/* Sender s, in new code, tells receiver w to look at its version. */
static void beam_19_mail_from_new_code_is_handled_by_new_code(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    atomic_store(&f.go.value, 1);
    fixture_work(&f, "one", 1);
    for (int n = 2; n < 6; n++) {
        fixture_upgrade(&f, n);
        /* This thread enters the new world, and sends from there. */
        molt_safepoint(f.thread);
        assert_int_equal(f.m_version(), n);
        fixture_work(&f, "one", n);
        cell_await(&f.after, n);
    }
    fixture_close(&f);
}

static void beam_20_stage_is_for_one_use(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct molt_code *code = molt_host_code(rig_host(f.rig));
    struct molt_error err = {0};
    uint64_t stage, world;
    fixture_write(f.rig, 2, "");
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &stage), 0);
    assert_int_equal(rig_apply(f.rig, stage, 0), 0);
    assert_int_equal(molt_stage_commit(code, stage, &world, &err), MOLT_ESTALE);
    assert_non_null(strstr(err.text, "committed or aborted"));
    assert_int_equal(molt_stage_abort(code, stage), MOLT_ESTALE);
    assert_int_equal(molt_stage_seal(code, stage, &err), MOLT_ESTALE);
    assert_int_equal(rig_version(f.rig, "m"), 2);
    fixture_close(&f);
}

static void beam_21_stage_ends_with_its_owner(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t stage;
    fixture_write(f.rig, 2, "");
    assert_int_equal(rig_build(f.rig), 0);
    assert_int_equal(rig_stage(f.rig, &stage), 0);
    /* What the control layer does when the agent's connection ends. */
    assert_int_equal(molt_stage_abort(molt_host_code(rig_host(f.rig)), stage), 0);
    assert_int_equal(rig_apply(f.rig, stage, 0), MOLT_ESTALE);
    assert_int_equal(rig_version(f.rig, "m"), 1);
    assert_int_equal(rig_old(f.rig, "m"), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beam_01_first_load_is_callable),
        cmocka_unit_test(beam_02_second_load_serves_everybody),
        cmocka_unit_test(beam_03_running_callback_keeps_its_version),
        cmocka_unit_test(beam_04_process_moves_at_its_next_callback),
        cmocka_unit_test(beam_05_suspended_callback_finishes_in_its_version),
        cmocka_unit_test(beam_07_loading_never_kills),
        cmocka_unit_test(beam_06_third_version_loads_while_two_are_in_use),
        cmocka_unit_test(beam_08_corrupt_object_changes_nothing),
        cmocka_unit_test(beam_10_identical_object_is_no_new_version),
        cmocka_unit_test(beam_11_garbage_and_wrong_names_are_refused),
        cmocka_unit_test(beam_13_staging_runs_beside_callbacks),
        cmocka_unit_test(beam_14_staging_alone_changes_nothing),
        cmocka_unit_test(beam_15_set_switches_whole_or_not_at_all),
        cmocka_unit_test(beam_16_bad_member_refuses_the_set),
        cmocka_unit_test(beam_17_no_callback_sees_a_torn_set),
        cmocka_unit_test(beam_18_exports_of_a_version_appear_together),
        cmocka_unit_test(beam_19_mail_from_new_code_is_handled_by_new_code),
        cmocka_unit_test(beam_20_stage_is_for_one_use),
        cmocka_unit_test(beam_21_stage_ends_with_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
