/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Messages, replies and arguments on their way between worlds of other layouts, and
 * processes that change over late.
 */
#include <pthread.h>

#include "soundness/fixture.h"

#define OLD_TYPES                                                                                  \
    "struct item { int n; char *text; };\nstruct ask { int n; };\nstruct told { int n; };\n"
#define NEW_TYPES                                                                                  \
    "struct item { long more[3]; char *text; long n; };\nstruct ask { char pad[9]; long n; };\n"   \
    "struct told { long n; long twice; };\n"

/* What both sides know: in a header, so that a change of it changes both. */
static void write_types(struct sound *s, const char *types)
{
    char text[1024];
    snprintf(text, sizeof(text), "#pragma once\n#include <molt/molt.h>\n%s", types);
    rig_write(s->rig, "src/types.h", text);
}

/* Server `far` answers and takes items: CELL_C is what came last, times @times. */
static void write_far(struct sound *s, const char *times)
{
    char text[2400];
    int n = snprintf(
        text, sizeof(text),
        "#include \"types.h\"\nstruct far { long n; };\n"
        "static int init(struct far *f, const struct item *arg)\n{\n"
        "    f->n = arg ? arg->n : 0;\n    if (arg)\n        SET(CELL_C, arg->n * %s);\n"
        "    return 0;\n}\n"
        "static int on_ask(struct far *f, struct ask *m, struct molt_from *from)\n{\n"
        "    struct told *t = molt_new(struct told);\n    t->n = m->n + 1;\n    (void)f;\n"
        "    SET(CELL_C, m->n * %s);\n    return molt_reply(from, t);\n}\n"
        "static int on_item(struct far *f, struct item *m)\n{\n    (void)f;\n"
        "    SET(CELL_C, (m->n + (m->text ? m->text[1] : 0)) * %s);\n    return 0;\n}\n"
        "MOLT_SERVER(far, struct far, .init = MOLT_FN(init),\n"
        "            .on = { MOLT_CALL(struct ask, on_ask), MOLT_CAST(struct item, on_item) });\n",
        times, times, times);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    sound_module(s, "far", NULL, text);
}

/* Server `near`: a cast `run` says 1 in CELL_A, and does @body. */
static void write_near(struct sound *s, const char *state, const char *body)
{
    char text[3000];
    int n =
        snprintf(text, sizeof(text),
                 "#include \"types.h\"\n#include \"near.h\"\n"
                 "static __attribute__((unused)) struct item *new_item(void)\n{\n"
                 "    struct item *i = molt_new(struct item);\n    i->n = 7;\n"
                 "    i->text = molt_new_array(char, 4);\n    i->text[1] = 100;\n    return i;\n}\n"
                 "struct near { %s };\nstruct run { long n; };\nstruct fix { long n; };\n"
                 "static int on_run(struct near *s, struct run *m)\n{\n    (void)s;\n    (void)m;\n"
                 "    SET(CELL_A, 1);\n%s\n    return 0;\n}\n"
                 "static int on_item(struct near *s, struct item *m)\n{\n    (void)s;\n"
                 "    SET(CELL_B, m->n + m->text[1]);\n    return 0;\n}\n"
                 "MOLT_SERVER(near, struct near, .on = { MOLT_CAST(struct run, on_run),\n"
                 "            MOLT_CAST(struct item, on_item) });\n"
                 "int near_run(void) { return molt_send(\"near\", molt_new(struct run)); }\n"
                 "int near_item(void) { return molt_send(\"near\", new_item()); }\n"
                 "int near_later(void)\n{\n"
                 "    return molt_send_after(1500, molt_whereis(\"near\"), new_item(), NULL);\n}\n",
                 state, body);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    sound_module(s, "near", "int near_run(void);\nint near_item(void);\nint near_later(void);\n",
                 text);
}

static void open_old(struct sound *s, const char *body)
{
    sound_open(s);
    write_types(s, OLD_TYPES);
    write_far(s, "1");
    write_near(s, "long n;", body);
    sound_upgrade(s);
    sound_spawn("near");
    sound_spawn("far");
}

/* `near` is in the middle of its old callback then. */
static void upgrade_around_a_callback(struct sound *s)
{
    assert_int_equal(sound_call(s, "near", "near_run"), 0);
    cell_await(&s->a, 1);
    write_types(s, NEW_TYPES);
    write_far(s, "1000");
    write_near(s, "long n;", "");
    sound_upgrade(s);
}

static void straggler_calls_into_the_new_world_and_understands_the_answer(void **state)
{
    (void)state;
    struct sound s;
    open_old(&s, "    WAIT(CELL_GO);\n    struct ask *a = molt_new(struct ask);\n    a->n = 41;\n"
                 "    struct told *t = NULL;\n    int rc = molt_call(\"far\", a, &t, 10000);\n"
                 "    SET(CELL_B, rc < 0 ? rc : t->n);");
    upgrade_around_a_callback(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.b, 42);
    assert_int_equal(atomic_load(&s.c.value), 41000); /* by the new code */
    rig_await_unloaded(s.rig, "near", 10000);
    sound_close(&s);
}

static void straggler_sends_and_spawns_into_the_new_world(void **state)
{
    (void)state;
    struct sound s;
    open_old(&s, "    WAIT(CELL_GO);\n    molt_send(\"far\", new_item());\n"
                 "    while (GET(CELL_C) != 107000)\n        molt_sleep(1);\n"
                 "    SET(CELL_B, molt_spawn(\"far\", NULL, new_item(), NULL));");
    upgrade_around_a_callback(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 7000);
    cell_await(&s.b, 0);
    sound_close(&s);
}

static void straggler_receives_what_the_new_world_sent(void **state)
{
    (void)state;
    struct sound s;
    open_old(&s, "    struct item *i = NULL;\n    int rc = molt_receive(&i, 10000);\n"
                 "    SET(CELL_B, rc < 0 ? rc : i->n + i->text[1] + 1000);");
    upgrade_around_a_callback(&s);
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    cell_await(&s.b, 1107);
    /* The next one is for the new code. */
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    cell_await(&s.b, 107);
    sound_close(&s);
}

static void straggler_receives_of_both_layouts_in_their_order(void **state)
{
    (void)state;
    struct sound s;
    open_old(&s, "    struct item *i = NULL, *k = NULL;\n    WAIT(CELL_GO);\n"
                 "    int rc = molt_receive(&i, 10000);\n"
                 "    rc = rc < 0 ? rc : molt_receive(&k, 10000);\n"
                 "    SET(CELL_C, rc < 0 ? rc : (i->n + k->n) * 10 + 1);");
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.a, 1);
    assert_int_equal(sound_call(&s, "near", "near_item"), 0); /* of the old layout, before */
    write_types(&s, NEW_TYPES);
    write_far(&s, "1000");
    write_near(&s, "long n;", "");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 141);
    cell_await(&s.b, 107); /* the third one, by the new code */
    sound_close(&s);
}

static void mail_and_timers_of_the_old_layout_reach_the_new_code(void **state)
{
    (void)state;
    struct sound s;
    open_old(&s, "    WAIT(CELL_GO);\n    SET(CELL_A, 2);");
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.a, 1);
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    write_types(&s, NEW_TYPES);
    write_far(&s, "1000");
    write_near(&s, "long n;", "");
    assert_int_equal(sound_call(&s, "near", "near_later"), 0);
    sound_upgrade(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.a, 2);
    cell_await(&s.b, 107);
    atomic_store(&s.b.value, 0);
    cell_await(&s.b, 107); /* by the timer */
    rig_await_unloaded(s.rig, "near", 10000);
    sound_close(&s);
}

/* Its value stopped fitting when nobody could refuse any more. */
static void process_that_fits_no_more_goes_on_in_its_world_until_it_fits(void **state)
{
    (void)state;
    struct sound s;
    struct molt_runtime_stats stats;
    sound_open(&s);
    write_types(&s, OLD_TYPES);
    write_far(&s, "1");
    const char *old = "    if (s->n == 0) {\n        WAIT(CELL_GO);\n        s->n = 4000000000u;\n"
                      "        SET(CELL_B, 1);\n    } else {\n        s->n = 5;\n"
                      "        SET(CELL_B, 2);\n    }";
    write_near(&s, "unsigned n;", old);
    sound_upgrade(&s);
    sound_spawn("near");
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.a, 1);
    write_types(&s, NEW_TYPES);
    write_near(&s, "int n;", "    SET(CELL_B, s->n * 10);");
    sound_upgrade(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.b, 1);
    /* A message of the new world is for the old code then. */
    assert_int_equal(sound_call(&s, "near", "near_item"), 0);
    cell_await(&s.b, 107);
    molt_runtime_stats(molt_host_runtime(rig_host(s.rig)), &stats);
    assert_int_equal(stats.n_behind, 1);
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.b, 2); /* its old code mends it */
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.b, 50);
    molt_runtime_stats(molt_host_runtime(rig_host(s.rig)), &stats);
    assert_int_equal(stats.n_behind, 0);
    rig_await_unloaded(s.rig, "near", 10000);
    sound_close(&s);
}

/* A type of a header, in the state of another module's process. */
static void state_of_another_modules_type_follows(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    write_types(&s, OLD_TYPES);
    write_far(&s, "1");
    const char *body = "    if (!s->held)\n        s->held = new_item();\n"
                       "    SET(CELL_B, s->held->n + s->held->text[1] + s->n++);";
    write_near(&s, "struct item *held; long n;", body);
    sound_upgrade(&s);
    sound_spawn("near");
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.b, 107);
    write_types(&s, NEW_TYPES);
    sound_upgrade(&s);
    assert_int_equal(rig_result(s.rig)->conversion.n_processes, 1);
    assert_int_equal(sound_call(&s, "near", "near_run"), 0);
    cell_await(&s.b, 108);
    sound_close(&s);
}

/* ---- under load --------------------------------------------------------------------- */

#define LOADED(fields)                                                                             \
    "#include \"load.h\"\nstruct load { " fields " };\nstruct one { long n; };\n"                  \
    "static int on_one(struct load *l, struct one *m)\n{\n    l->sum += m->n;\n"                   \
    "    SET(CELL_A, l->sum);\n    return 0;\n}\n"                                                 \
    "MOLT_SERVER(load, struct load, .on = { MOLT_CAST(struct one, on_one) });\n"                   \
    "int load_one(void)\n{\n    struct one *m = molt_new(struct one);\n    m->n = 1;\n"            \
    "    return molt_send(\"load\", m);\n}\n"

struct loader {
    struct rig *rig;
    int_fn *one;
    atomic_bool is_over;
    long sent;
};

static void *put_load(void *user)
{
    struct loader *l = user;
    struct molt_thread *thread = rig_enter(l->rig);
    while (!atomic_load(&l->is_over)) {
        l->sent += l->one() == 0;
        molt_safepoint(thread);
        if (l->sent % 64 == 0)
            sched_yield();
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void nothing_is_lost_when_the_state_grows_under_load(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    static const char *const sources[] = {LOADED("long sum;"),
                                          LOADED("char name[100]; int flags; long sum;"),
                                          LOADED("long sum; char name[200];"), LOADED("long sum;")};
    sound_module(&s, "load", "int load_one(void);\n", sources[0]);
    sound_upgrade(&s);
    sound_spawn("load");
    struct loader l = {.rig = s.rig, .one = (int_fn *)rig_function(s.rig, "load", "load_one")};
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, put_load, &l), 0);
    for (int i = 1; i <= 6; i++) {
        sound_module(&s, "load", "int load_one(void);\n", sources[i % 3]);
        sound_upgrade(&s);
    }
    atomic_store(&l.is_over, true);
    molt_thread_offline(s.thread);
    pthread_join(id, NULL);
    molt_thread_online(s.thread);
    cell_await(&s.a, l.sent);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straggler_calls_into_the_new_world_and_understands_the_answer),
        cmocka_unit_test(straggler_sends_and_spawns_into_the_new_world),
        cmocka_unit_test(straggler_receives_what_the_new_world_sent),
        cmocka_unit_test(straggler_receives_of_both_layouts_in_their_order),
        cmocka_unit_test(mail_and_timers_of_the_old_layout_reach_the_new_code),
        cmocka_unit_test(process_that_fits_no_more_goes_on_in_its_world_until_it_fits),
        cmocka_unit_test(state_of_another_modules_type_follows),
        cmocka_unit_test(nothing_is_lost_when_the_state_grows_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
