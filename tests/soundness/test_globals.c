/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Mutable globals have one live copy, which follows its code. */
#include "code/carry.h"
#include "soundness/fixture.h"

#define HEADER "int g_set(void);\nint g_check(void);\n"
#define HEAD "#include \"g.h\"\n#include <pthread.h>\n#include <stdlib.h>\n#include <string.h>\n"

static void open_with(struct sound *s, const char *source)
{
    sound_open(s);
    sound_module(s, "g", HEADER, source);
    sound_upgrade(s);
    assert_int_equal(sound_call(s, "g", "g_set"), 0);
}

static void change(struct sound *s, const char *source)
{
    sound_module(s, "g", HEADER, source);
    sound_upgrade(s);
}

/* Counters, a static local, a table that is pointed to, an array that grows, one that gets
 * wider, a struct with a pointer to a static function, a text, memory from malloc(). */
static void values_follow_by_name_and_type(void **state)
{
    (void)state;
    struct sound s;
    open_with(
        &s,
        HEAD "struct row { int n; };\nstatic const struct row rows[] = {{1}, {2}};\n"
             "static int one(void) { return 1; }\nstatic int two(void) { return 2; }\n"
             "struct ops { int n; int (*fn)(void); };\n"
             "static int hits; static int list[2]; static struct ops ops = {0, one};\n"
             "static const struct row *row = rows; static const char *text = \"zero\";\n"
             "static long *heap; static int *inside = &list[0];\n"
             "static int tick(void) { static int hits; return ++hits; }\n"
             "int g_set(void)\n{\n    hits = -41;\n    list[0] = 7;\n    list[1] = 8;\n"
             "    ops.n = 5;\n    ops.fn = two;\n    row = &rows[1];\n    text = \"two\";\n"
             "    heap = malloc(sizeof *heap);\n    *heap = 99;\n    inside = &list[1];\n"
             "    tick();\n    tick();\n    return 0;\n}\n"
             "int g_check(void) { return tick() + ops.fn() + ops.n + *inside + text[0] + row->n +\n"
             "    hits + list[0] + (int)*heap; }\n");
    change(
        &s, HEAD
        "static int pad[100] = {1};\nstruct row { int n; };\n"
        "static int two(void) { return 22; }\nstatic int one(void) { return 11; }\n"
        "static const struct row rows[] = {{10}, {20}, {30}};\n"
        "struct ops { int max; int n; int (*fn)(void); };\n"
        "static int *inside; static struct ops ops = {100, 0, one};\n"
        "static long hits = 3; static int list[4] = {1, 2, 3, 4}; static int fresh = 5;\n"
        "static const struct row *row = rows; static const char *text = \"three\";\n"
        "static long *heap;\n"
        "static int tick(void) { static int hits; return hits += 10; }\n"
        "int g_set(void)\n{\n    pad[1]++;\n    if (pad[2]) {\n        hits++;\n"
        "        list[pad[3]]++;\n        ops.n++;\n        ops.max++;\n        ops.fn = pad[4] ? "
        "one : two;\n"
        "        row = rows;\n        heap = NULL;\n        inside = NULL;\n        text = NULL;\n"
        "    }\n    return strcmp(text, \"two\");\n}\n"
        "int g_check(void)\n{\n    if (hits != -41)\n        return 1;\n"
        "    if (list[0] != 7 || list[1] != 8 || list[2] != 3 || list[3] != 4)\n"
        "        return 2;\n"
        "    if (ops.n != 5 || ops.max != 100 || ops.fn() != 22)\n        return 3;\n"
        "    if (row != &rows[1])\n        return 4;\n"
        "    if (strcmp(text, \"two\") != 0)\n        return 5;\n"
        "    if (*heap != 99)\n        return 6;\n    free(heap);\n"
        "    if (inside != &list[1])\n        return 7;\n"
        "    return tick() == 12 && fresh++ == 5 ? 100 : 8;\n}\n"
        "const char *const other = \"two\";\n");
    assert_int_equal(sound_call(&s, "g", "g_check"), 100);
    rig_await_unloaded(s.rig, "g", 10000);
    assert_int_equal(sound_call(&s, "g", "g_set"), 0);
    sound_close(&s);
}

static void a_value_survives_many_upgrades_and_fresh_ones_do_not(void **state)
{
    (void)state;
    struct sound s;
    char source[1024];
    open_with(&s, HEAD "static int n; static MOLT_FRESH int f;\n"
                       "int g_set(void) { return 0; }\nint g_check(void) { f++; return ++n; }\n");
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(sound_call(&s, "g", "g_check"), i);
        snprintf(source, sizeof source,
                 HEAD "static char pad[%d] = {1}; static int n; static MOLT_FRESH int f;\n"
                      "int g_set(void) { return f + pad[1]; }\n"
                      "int g_check(void) { f++; return ++n; }\n",
                 i * 100);
        change(&s, source);
        assert_int_equal(sound_call(&s, "g", "g_set"), 0);
    }
    sound_close(&s);
}

static void what_cannot_follow_is_refused_by_name(void **state)
{
    (void)state;
    struct sound s;
    static const char *const more[] = {"", "int other(int n);\nint other(int n) { return n; }\n"};
    char source[2048];
    for (int i = 0; i < 2; i++) {
        snprintf(source, sizeof source,
                 HEAD "static struct { int n; pthread_mutex_t lock; } queue;\nstatic int n;\n%s"
                      "int g_set(void) { n = 4; pthread_mutex_lock(&queue.lock); queue.n++;\n"
                      "    return pthread_mutex_unlock(&queue.lock); }\n"
                      "int g_check(void) { return n + queue.n; }\n",
                 more[i]);
        if (i == 0) {
            open_with(&s, source);
            continue;
        }
        sound_module(&s, "g", HEADER, source);
        sound_refused(&s, MOLT_EREFUSED,
                      "g@1: mutable global src/g.c:queue would lose its value: it contains a lock "
                      "(pthread_mutex_t); mark it MOLT_FRESH");
        molt_safepoint(s.thread);
    }
    assert_int_equal(sound_call(&s, "g", "g_check"), 5);
    sound_close(&s);
}

#define CACHE(more)                                                                                \
    HEAD "struct t { long n; };\nstatic struct { int k; struct t *last; } cache;\n" more           \
         "static int on_t(struct t *t, struct t *m)\n{\n    (void)m;\n    cache.last = t;\n"       \
         "    SET(CELL_A, 1);\n    return 0;\n}\n"                                                 \
         "MOLT_SERVER(t, struct t, .on = { MOLT_CAST(struct t, on_t) });\n"                        \
         "int g_set(void) { return molt_spawn(\"t\", \"t\", NULL, NULL); }\n"                      \
         "int g_check(void) { return molt_send(\"t\", molt_new(struct t)) + (cache.last == (void " \
         "*)1); }\n"

/* Blocks move and end with their process: a global that leads to one isn't converted blindly. */
static void a_pointer_to_a_block_is_refused(void **state)
{
    (void)state;
    struct sound s;
    open_with(&s, CACHE(""));
    assert_int_equal(sound_call(&s, "g", "g_check"), 0);
    cell_await(&s.a, 1);
    sound_module(&s, "g", HEADER, CACHE("int more(void);\nint more(void) { return cache.k; }\n"));
    sound_refused(&s, MOLT_ECHANGE, "mutable global src/g.c:cache of g@1 can't follow");
    assert_non_null(strstr(rig_error(s.rig), "last: it leads to a block of a process"));
    assert_int_equal(rig_version(s.rig, "g"), 1);
    sound_close(&s);
}

#define SLOW(body)                                                                                 \
    HEAD "static int n;\n" body "struct slow { long n; };\nstruct go { long n; };\n"               \
         "static int on_go(struct slow *s, struct go *m)\n{\n    (void)s;\n    (void)m;\n"         \
         "    SET(CELL_A, 1);\n    WAIT(CELL_GO);\n    n++;\n    SET(CELL_B, n);\n    return 0;\n" \
         "}\nMOLT_SERVER(slow, struct slow, .on = { MOLT_CAST(struct go, on_go) });\n"             \
         "int g_set(void) { n = 7; return molt_send(\"slow\", molt_new(struct go)); }\n"

/* Who is inside of an old callback would go on with the old copy. */
static void a_straggler_is_waited_for_and_named(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "g", HEADER, SLOW("int g_check(void) { return n; }\n"));
    sound_upgrade(&s);
    sound_spawn("slow");
    assert_int_equal(sound_call(&s, "g", "g_set"), 0);
    cell_await(&s.a, 1);
    sound_module(&s, "g", HEADER, SLOW("int g_check(void) { return n + 100; }\n"));
    sound_refused(&s, MOLT_ETIMEDOUT, "slow");
    molt_safepoint(s.thread);
    assert_int_equal(sound_call(&s, "g", "g_check"), 7);
    atomic_store(&s.go.value, 1);
    cell_await(&s.b, 8);
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "g", "g_check"), 108);
    sound_close(&s);
}

#define BUSY(more)                                                                                 \
    HEAD "static long hits;\n" more "struct busy { long n; };\nstruct step { long n; };\n"         \
         "static int on_step(struct busy *b, struct step *m)\n{\n    (void)m;\n"                   \
         "    hits++;\n    b->n++;\n"                                                              \
         "    if (!GET(CELL_GO))\n        return molt_send(\"busy\", molt_new(struct step));\n"    \
         "    SET(CELL_B, b->n);\n    SET(CELL_A, hits);\n    return 0;\n}\n"                      \
         "MOLT_SERVER(busy, struct busy, .on = { MOLT_CAST(struct step, on_step) });\n"            \
         "int g_set(void) { return molt_send(\"busy\", molt_new(struct step)); }\n"

/* Not one of the steps that were counted meanwhile is lost. */
static void under_load_no_step_is_lost(void **state)
{
    (void)state;
    struct sound s;
    char source[4096], more[200];
    sound_open(&s);
    sound_module(&s, "g", HEADER, BUSY("int g_check(void) { return 0; }\n"));
    sound_upgrade(&s);
    sound_spawn("busy");
    assert_int_equal(sound_call(&s, "g", "g_set"), 0);
    for (int i = 1; i <= 8; i++) {
        snprintf(
            more, sizeof more,
            "static char pad[%d] = {1};\nint g_check(void) { pad[2] = 1; return %d + pad[3]; }\n",
            i * 64, i);
        snprintf(source, sizeof source, BUSY("%s"), more);
        change(&s, source);
        assert_int_equal(sound_call(&s, "g", "g_check"), i);
    }
    atomic_store(&s.go.value, 1);
    uint64_t until = molt_clock_ms() + 10000;
    while (atomic_load(&s.a.value) == 0 && molt_clock_ms() < until)
        sched_yield();
    assert_true(atomic_load(&s.b.value) > 0);
    assert_int_equal(atomic_load(&s.a.value), atomic_load(&s.b.value));
    sound_close(&s);
}

static bool no_block(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    return false;
}

/* If the commit fails after the copy: what was written into the new image is taken back
 * before its on_abandon, which would free what isn't its own. */
static void an_abandoned_copy_leaves_both_images_as_they_were(void **state)
{
    (void)state;
    struct sound s;
    uint64_t stage;
    open_with(&s, HEAD "static char *p; int g_set(void) { p = strdup(\"mine\"); return 0; }\n"
                       "int g_check(void) { return strcmp(p, \"mine\"); }\n");
    sound_module(&s, "g", HEADER,
                 HEAD "static char *p; int g_set(void) { p = strdup(\"x\"); return 0; }\n"
                      "int g_check(void) { return 5; }\n"
                      "static void bye(void) { SET(CELL_A, p ? 2 : 1); free(p); }\n"
                      "static int hi(void) { return 0; }\n"
                      "MOLT_ON_LOAD(hi);\nMOLT_ON_ABANDON(bye);\n");
    assert_int_equal(rig_build(s.rig), 0);
    if (rig_stage(s.rig, &stage) < 0)
        fail_msg("%s", rig_error(s.rig));
    struct molt_code *code = molt_host_code(rig_host(s.rig));
    struct molt_error err = {0};
    struct molt_carry_env env = {no_block, NULL};
    assert_int_equal(molt_stage_seal(code, stage, &err), 0);
    assert_true(molt_stage_carries(code, stage));
    assert_int_equal(molt_stage_copy_globals(code, stage, &env, &err), 0);
    assert_int_equal(molt_stage_abort(code, stage), 0);
    cell_await(&s.a, 1);
    assert_int_equal(sound_call(&s, "g", "g_check"), 0);
    sound_close(&s);
}

#define POINTS(globals, fields, more)                                                              \
    HEAD "struct conf { " globals " };\nstatic struct conf conf = { .n = 1 };\n"                   \
         "static long total;\nstatic MOLT_FRESH long anew;\n"                                      \
         "struct holder { " fields " struct conf *conf; long *total, *anew; };\n"                  \
         "static int init(struct holder *h, void *arg)\n{\n    (void)arg;\n"                       \
         "    h->conf = &conf;\n    h->total = &total;\n    h->anew = &anew;\n    return 0;\n}\n"  \
         "struct look { long n; };\n"                                                              \
         "static int on_look(struct holder *h, struct look *m)\n{\n    (void)m;\n"                 \
         "    long ok = h->conf == &conf && h->total == &total && h->anew == &anew;\n"             \
         "    SET(CELL_A, ok ? conf.n : -1);\n    return 0;\n}\n"                                  \
         "MOLT_SERVER(holder, struct holder, .init = MOLT_FN(init),\n"                             \
         "            .on = { MOLT_CAST(struct look, on_look) });\n" more

static void pointers_in_states_lead_to_the_live_copy(void **state)
{
    (void)state;
    struct sound s;
    open_with(&s, POINTS("long n;", "",
                         "int g_set(void) { conf.n = 55; return 0; }\n"
                         "int g_check(void) { return 0; }\n"));
    sound_spawn("holder");
    change(&s, POINTS("long n; int max;", "int more;",
                      "int g_set(void) { return 0; }\nint g_check(void)\n"
                      "{ return molt_send(\"holder\", molt_new(struct look)); }\n"));
    assert_int_equal(sound_call(&s, "g", "g_check"), 0);
    cell_await(&s.a, 55);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_follow_by_name_and_type),
        cmocka_unit_test(a_value_survives_many_upgrades_and_fresh_ones_do_not),
        cmocka_unit_test(what_cannot_follow_is_refused_by_name),
        cmocka_unit_test(a_pointer_to_a_block_is_refused),
        cmocka_unit_test(a_straggler_is_waited_for_and_named),
        cmocka_unit_test(under_load_no_step_is_lost),
        cmocka_unit_test(an_abandoned_copy_leaves_both_images_as_they_were),
        cmocka_unit_test(pointers_in_states_lead_to_the_live_copy),
    };
    return cmocka_run_group_tests_name("mutable globals", tests, NULL, NULL);
}
