/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

enum { DONE, CHANGED, BLOCKED, SEEN };

struct old_state {
    long n;
    char *text; /* a block of its own */
    char *spare;
};
struct new_state {
    char *text;
    long n, max;
    char *note;
};
struct add {
    long by;
};
struct read {
    int x;
};
struct value {
    long n, max;
    char text[8];
};
struct wait {
    unsigned ms;
};
FAKE_POINTER_TYPE(old_state, struct old_state, 0x100,
                  FAKE_PTR(struct old_state, text, MOLT_PTR_WORD),
                  FAKE_PTR(struct old_state, spare, MOLT_PTR_WORD));
FAKE_POINTER_TYPE(new_state, struct new_state, 0x101,
                  FAKE_PTR(struct new_state, text, MOLT_PTR_WORD),
                  FAKE_PTR(struct new_state, note, MOLT_PTR_WORD));
FAKE_TYPE(add, struct add, 0x102);
FAKE_TYPE(read, struct read, 0x103);
FAKE_TYPE(value, struct value, 0x104);
FAKE_TYPE(wait, struct wait, 0x105);
FAKE_TYPE(byte, char, 0x106);

static int old_init(struct old_state *s, const void *arg)
{
    (void)arg;
    s->text = fake_new_array(char, byte, 8);
    s->spare = fake_new_array(char, byte, 8);
    strcpy(s->text, "kept");
    return 0;
}

static int old_add(struct old_state *s, struct add *m)
{
    s->n += m->by;
    fake_add(SEEN, 1);
    return 0;
}

static int old_wait(struct old_state *s, struct wait *m)
{
    (void)s;
    fake_add(BLOCKED, 1);
    int rc = molt_sleep(m->ms);
    fake_add(DONE, 1);
    return rc;
}

static int new_add(struct new_state *s, struct add *m)
{
    s->n += m->by;
    s->max = s->n > s->max ? s->n : s->max;
    fake_add(SEEN, 1);
    return 0;
}

static int new_read(struct new_state *s, struct read *m, struct molt_from *from)
{
    (void)m;
    struct value *v = fake_new(struct value, value);
    *v = (struct value){.n = s->n, .max = s->max};
    memcpy(v->text, s->text, 5);
    assert_string_equal(s->note, "new");
    return molt_reply(from, v);
}

static int change_result;

static int change(const struct old_state *old, struct new_state *s)
{
    assert_int_equal(molt_send("server", fake_new(struct add, add)), MOLT_ENOPROC);
    assert_int_equal(molt_sleep(1), MOLT_ENOPROC);
    s->n = old->n;
    s->text = old->text;
    s->note = fake_new_array(char, byte, 4);
    strcpy(s->note, "new");
    molt_free(old->spare); /* goes at adoption only */
    fake_add(CHANGED, 1);
    return change_result;
}

static struct fake_module old_module, new_module;
static struct molt_world *old_world, *new_world;

static void new_server(struct fake_module *m)
{
    struct fake_server *s = fake_server(m, "server", &new_state_type);
    fake_on(s, MOLT_HANDLER_CAST, &add_type, MOLT_FN(new_add));
    fake_on(s, MOLT_HANDLER_CALL, &read_type, MOLT_FN(new_read));
    fake_change(s, &old_state_type, MOLT_FN(change));
}

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&old_module, "app", 1);
    fake_module_init(&new_module, "app", 2);
    struct fake_server *s = fake_server(&old_module, "server", &old_state_type);
    s->desc.init = MOLT_FN(old_init);
    fake_on(s, MOLT_HANDLER_CAST, &add_type, MOLT_FN(old_add));
    fake_on(s, MOLT_HANDLER_CAST, &wait_type, MOLT_FN(old_wait));
    fake_runner(&old_module, "runner");
    new_server(&new_module);
    fake_runner(&new_module, "runner");
    old_world = fake_world(&f, &old_module);
    fake_commit(&f, old_world);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    assert_int_equal(molt_spawn("server", "server", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    new_world = fake_world(&f, &new_module);
    change_result = 0;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    molt_thread_unregister(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static const struct molt_type *gone = &wait_type;

static struct molt_conversion conversion(struct fake *f)
{
    (void)f;
    return (struct molt_conversion){.old_world = old_world,
                                    .new_world = new_world,
                                    .n_types = 1,
                                    .gone_types = &gone};
}

static void add(long by)
{
    struct add *m = fake_new(struct add, add);
    m->by = by;
    assert_int_equal(molt_send("server", m), 0);
}

static struct value seen;

static void do_read(void *arg)
{
    (void)arg;
    struct value *v = NULL;
    assert_int_equal(fake_call("server", fake_new(struct read, read), &v, value, -1), 0);
    seen = *v;
    molt_free(v);
}

static void read_value(void)
{
    long n = fake_get(DONE);
    assert_int_equal(fake_post("runner", do_read, NULL, DONE), 0);
    fake_await(DONE, n + 1);
}

static size_t server_bytes;

static void note_bytes(void *user, const struct molt_process_info *info)
{
    (void)user;
    if (strcmp(info->name, "server") == 0)
        server_bytes = info->bytes;
}

static void a_state_moves_to_its_new_layout(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_conversion_result result;
    add(5);
    fake_await(SEEN, 1);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1000, NULL), 0);
    fake_commit(f, new_world);
    molt_runtime_adopt(f->rt, &conv, &result);
    assert_int_equal(result.n_processes, 1);
    assert_true(result.held_ns > 0);
    add(2);
    read_value();
    assert_int_equal(seen.n, 7);
    assert_int_equal(seen.max, 7);
    assert_string_equal(seen.text, "kept");
    /* State, text and note; the old state and its spare block are gone. The
     * message goes when the callback ends, which no event tells. */
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    do
        molt_runtime_each_process(f->rt, note_bytes, NULL);
    while (server_bytes != sizeof(struct new_state) + 8 + 4 && molt_clock_ns() < deadline);
    assert_int_equal(server_bytes, sizeof(struct new_state) + 8 + 4);
}

static void what_ran_meanwhile_is_redone(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_conversion_result result;
    add(1);
    fake_await(SEEN, 1);
    /* The callback's end, not only its last statement. */
    fake_await_processes(2);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    add(10);
    fake_await(SEEN, 2);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1000, NULL), 0);
    add(100); /* waits in the mailbox */
    fake_commit(f, new_world);
    molt_runtime_adopt(f->rt, &conv, &result);
    assert_int_equal(result.n_processes, 1);
    read_value();
    assert_int_equal(seen.n, 111);
    assert_true(fake_get(CHANGED) >= 1);
}

static void a_failing_change_leaves_all_as_it_was(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    add(5);
    fake_await(SEEN, 1);
    /* Until the callback ended the process isn't between callbacks. */
    change_result = -77;
    int rc = molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err);
    if (rc == 0)
        rc = molt_runtime_hold(f->rt, &conv, 1000, &err);
    assert_int_equal(rc, MOLT_ECHANGE);
    assert_non_null(strstr(err.text, "'server'"));
    assert_non_null(strstr(err.text, "-77"));
    molt_runtime_unprepare(f->rt, &conv);
    molt_runtime_unprepare(f->rt, &conv);
    add(6);
    fake_await(SEEN, 2);
    /* And the next attempt succeeds. */
    change_result = 0;
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1000, NULL), 0);
    fake_commit(f, new_world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    read_value();
    assert_int_equal(seen.n, 11);
}

static void unprepare_lets_the_held_go(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1000, NULL), 0);
    add(5);
    molt_runtime_unprepare(f->rt, &conv);
    fake_await(SEEN, 1);
}

static void stragglers_and_old_mail_are_waited_for(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    struct wait *m = fake_new(struct wait, wait);
    m->ms = 500;
    assert_int_equal(molt_send("server", m), 0);
    fake_await(BLOCKED, 1);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 5, &err), MOLT_ETIMEDOUT);
    assert_non_null(strstr(err.text, "'server'"));
    /* A second one, in the mailbox. */
    m = fake_new(struct wait, wait);
    m->ms = 20;
    assert_int_equal(molt_send("server", m), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 10000, &err), 0);
    assert_int_equal(fake_get(DONE), 2);
    fake_commit(f, new_world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    read_value();
    assert_int_equal(seen.n, 0);
}

static void do_sleep(void *arg)
{
    (void)arg;
    fake_add(BLOCKED, 1);
    assert_int_equal(molt_sleep(40), 0);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void old_mail_of_others_is_waited_for(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    gone = &fake_job_type;
    /* The runner's mailbox: one that it handles now, one behind it. */
    assert_int_equal(fake_post("runner", do_sleep, NULL, SEEN), 0);
    fake_await(BLOCKED, 1);
    assert_int_equal(fake_post("runner", do_nothing, NULL, SEEN), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1, &err), MOLT_ETIMEDOUT);
    assert_non_null(strstr(err.text, "'runner'"));
    assert_non_null(strstr(err.text, "struct fake_job"));
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 10000, &err), 0);
    gone = &wait_type;
    molt_runtime_unprepare(f->rt, &conv);
    fake_await(SEEN, 2);
}

static void a_process_born_while_held_starts_in_the_new_world(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 1000, NULL), 0);
    molt_pid pid;
    assert_int_equal(molt_spawn("server", "late", NULL, &pid), 0);
    struct add *m = fake_new(struct add, add);
    assert_int_equal(molt_send("late", m), 0);
    fake_commit(f, new_world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await(SEEN, 1);
    assert_int_equal(molt_runtime_count(f->rt, molt_code_server_id(f->code, "server")), 2);
}

static void a_layout_without_a_change_is_named(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    new_module.servers[0].change_types[0] = &wait_type;
    add(1);
    fake_await(SEEN, 1);
    int rc = molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err);
    if (rc == 0)
        rc = molt_runtime_hold(f->rt, &conv, 1000, &err);
    assert_int_equal(rc, MOLT_ECHANGE);
    assert_non_null(strstr(err.text, "struct old_state"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_state_moves_to_its_new_layout),
        TEST(what_ran_meanwhile_is_redone),
        TEST(a_failing_change_leaves_all_as_it_was),
        TEST(unprepare_lets_the_held_go),
        TEST(stragglers_and_old_mail_are_waited_for),
        TEST(old_mail_of_others_is_waited_for),
        TEST(a_process_born_while_held_starts_in_the_new_world),
        TEST(a_layout_without_a_change_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
