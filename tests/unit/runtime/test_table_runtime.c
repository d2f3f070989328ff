/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Tables and the processes that own them. */
#include "unit/runtime/fake_world.h"

#include <molt/table.h>

#include "runtime/rt.h"

enum { DONE, NOTICES, ENDED };

struct value {
    long n;
    void (*fn)(void);
    void *any;
};
FAKE_TYPE(number, long, 0x61);
FAKE_POINTER_TYPE(value, struct value, 0x62, FAKE_PTR(struct value, fn, MOLT_PTR_CODE),
                  FAKE_PTR(struct value, any, MOLT_PTR_WORD));
FAKE_TYPE(heritage, struct molt_table_heritage, 0x63);

static char image[4096];
static struct molt_range range;
static struct fake_module module;
static molt_table table;
static struct molt_table_heritage notice;

static int on_heritage(struct fake_state *s, struct molt_table_heritage *m)
{
    (void)s;
    notice = *m;
    fake_add(NOTICES, 1);
    return 0;
}

static int on_job(struct fake_state *s, struct fake_job *job)
{
    (void)s;
    job->fn(job->arg);
    fake_add(job->done, 1);
    return 0;
}

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    struct fake_server *s = fake_server(&module, "heir", &fake_state_type);
    fake_on(s, MOLT_HANDLER_CAST, &heritage_type, MOLT_FN(on_heritage));
    fake_on(s, MOLT_HANDLER_CAST, &fake_job_type, MOLT_FN(on_job));
    fake_runner(&module, "runner");
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    range = (struct molt_range){(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    table = 0;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    molt_thread_unregister(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static molt_table make(const char *name)
{
    molt_table t = 0;
    struct molt_table_options o = {.name = name};
    assert_int_equal(molt_table_new_typed(&number_tag, MOLT_TABLE_KEY_SIGNED, &value_tag, &o, &t,
                                          NULL),
                     0);
    return t;
}

static int put(molt_table t, long key, struct value value)
{
    return molt_table_put_typed(t, &key, &number_tag, &value, &value_tag);
}

static void do_make(void *arg)
{
    molt_pid heir = molt_whereis("heir");
    table = make(arg);
    assert_int_equal(put(table, 1, (struct value){.n = 11}), 0);
    if (heir)
        assert_int_equal(molt_table_set_heir_typed(table, heir, 77, &heritage_tag), 0);
}

static molt_pid start_owner(const char *name)
{
    molt_pid pid;
    static char text[32];
    snprintf(text, sizeof(text), "%s", name);
    assert_int_equal(molt_spawn("runner", "owner", NULL, &pid), 0);
    assert_int_equal(fake_post("owner", do_make, text, DONE), 0);
    fake_await(DONE, 1);
    return pid;
}

static void a_table_ends_with_its_process(void **state)
{
    (void)state;
    molt_table found;
    molt_pid owner = start_owner("mine");
    assert_int_equal(molt_table_count(table), 1);
    /* It is the owner's alone to write. */
    assert_int_equal(put(table, 2, (struct value){0}), MOLT_EOWNER);
    assert_int_equal(molt_table_find("mine", &found), 0);
    assert_int_equal(found, table);
    assert_int_equal(molt_exit(owner, 0), 0);
    fake_await_processes(0);
    assert_int_equal(molt_table_count(table), MOLT_ESTALE);
    assert_int_equal(molt_table_find("mine", &found), MOLT_ENOENT);
}

static void a_table_of_a_killed_process_goes_to_its_heir(void **state)
{
    struct fake *f = *state;
    molt_pid heir;
    struct molt_table_info info;
    assert_int_equal(molt_spawn("heir", "heir", NULL, &heir), 0);
    molt_pid owner = start_owner("mine");
    assert_int_equal(molt_runtime_kill(f->rt, owner), 0);
    fake_await(NOTICES, 1);
    assert_int_equal(notice.table, table);
    assert_int_equal(notice.from, owner);
    assert_int_equal(notice.data, 77);
    assert_int_equal(molt_table_describe(table, &info), 0);
    assert_int_equal(info.owner, heir);
    assert_int_equal(info.rows, 1);
    assert_int_equal(molt_exit(heir, 0), 0);
    fake_await_processes(0);
    assert_int_equal(molt_table_count(table), MOLT_ESTALE);
}

static void a_table_whose_heir_is_gone_goes_too(void **state)
{
    (void)state;
    molt_pid heir;
    assert_int_equal(molt_spawn("heir", "heir", NULL, &heir), 0);
    molt_pid owner = start_owner("mine");
    assert_int_equal(molt_exit(heir, 0), 0);
    fake_await_processes(1);
    assert_int_equal(molt_exit(owner, 0), 0);
    fake_await_processes(0);
    assert_int_equal(molt_table_count(table), MOLT_ESTALE);
}

static void tables_of_threads_end_with_the_runtime(void **state)
{
    (void)state;
    molt_table t = make("a thread's");
    for (long key = 0; key < 1000; key++)
        assert_int_equal(put(t, key, (struct value){.n = key}), 0);
    assert_int_equal(molt_table_count(t), 1000);
}

static void pointers_to_blocks_are_refused_and_reported(void **state)
{
    (void)state;
    molt_table t = make("no blocks");
    long *block = fake_new(long, number);
    assert_int_equal(put(t, 1, (struct value){.any = block}), MOLT_EOWNER);
    fake_await_log("struct value.any leads to a block");
    molt_free(block);
    assert_int_equal(molt_table_count(t), 0);
    assert_int_equal(put(t, 1, (struct value){.any = image}), 0);
}

static char found[1024];

static void on_found(void *user, const struct molt_range *r, uint64_t holder, const char *why)
{
    (void)user;
    (void)holder;
    assert_ptr_equal(r, &range);
    snprintf(found, sizeof(found), "%s", why);
}

static int scan(struct fake *f)
{
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    found[0] = '\0';
    molt_thread_offline(t);
    int n = molt_runtime_scan(f->rt, &range, 1, on_found, NULL);
    molt_thread_online(t);
    return n;
}

static void rows_are_looked_at_before_code_is_unloaded(void **state)
{
    struct fake *f = *state;
    molt_table t = make("routes");
    assert_int_equal(put(t, 1, (struct value){.n = (long)(uintptr_t)image}), 0);
    assert_int_equal(scan(f), 0);
    void (*fn)(void) = (void (*)(void))(uintptr_t)(image + 100);
    assert_int_equal(put(t, 2, (struct value){.fn = fn}), 0);
    assert_int_equal(scan(f), 1);
    assert_string_equal(found, "table 'routes': struct value.fn");
    long key = 2;
    assert_int_equal(molt_table_delete_typed(t, &key, &number_tag), 0);
    assert_int_equal(scan(f), 0);
}

static void *outside(void *arg)
{
    (void)arg;
    molt_table t;
    struct value value;
    long key = 1;
    int rc = molt_table_new_typed(&number_tag, MOLT_TABLE_KEY_SIGNED, &value_tag, NULL, &t, NULL);
    bool is_refused =
        rc == MOLT_ENOPROC && molt_table_find("x", &t) == MOLT_ENOPROC &&
        molt_table_count(1) == MOLT_ENOPROC &&
        molt_table_get_typed(1, &key, &number_tag, &value, &value_tag) == MOLT_ENOPROC &&
        molt_table_delete_typed(1, &key, &number_tag) == MOLT_ENOPROC;
    return (void *)(intptr_t)is_refused;
}

static void threads_without_a_runtime_have_no_tables(void **state)
{
    (void)state;
    pthread_t thread;
    void *is_refused;
    assert_int_equal(pthread_create(&thread, NULL, outside, NULL), 0);
    pthread_join(thread, &is_refused);
    assert_non_null(is_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_table_ends_with_its_process, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_of_a_killed_process_goes_to_its_heir, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_table_whose_heir_is_gone_goes_too, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_of_threads_end_with_the_runtime, setup, teardown),
        cmocka_unit_test_setup_teardown(pointers_to_blocks_are_refused_and_reported, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rows_are_looked_at_before_code_is_unloaded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(threads_without_a_runtime_have_no_tables, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
