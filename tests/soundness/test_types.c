/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Types by what they are, not by name or size. */
#include "soundness/fixture.h"

/* Modules p and q each have their own struct item, of equal size. q's server
 * must not take p's for its own. */
static void same_name_in_two_modules_is_two_types(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "q", "int q_send(void);\n",
                 "#include \"q.h\"\nstruct item { int x, y; };\nstruct q { long n; };\n"
                 "static int on_item(struct q *q, struct item *m)\n{\n    (void)q;\n"
                 "    SET(CELL_A, m->x * 10 + m->y);\n    return 0;\n}\n"
                 "static int other(struct q *q, const char *type, void *m)\n{\n"
                 "    (void)q;\n    (void)m;\n    SET(CELL_B, type[0]);\n    return 0;\n}\n"
                 "MOLT_SERVER(q, struct q, .on_other = MOLT_FN(other),\n"
                 "            .on = { MOLT_CAST(struct item, on_item) });\n"
                 "int q_send(void)\n{\n    struct item *m = molt_new(struct item);\n"
                 "    m->x = 1;\n    m->y = 2;\n    return molt_send(\"q\", m);\n}\n");
    sound_module(&s, "p", "int p_send(void);\n",
                 "#include \"p.h\"\nstruct item { float x, y; };\n"
                 "int p_send(void)\n{\n    struct item *m = molt_new(struct item);\n"
                 "    m->x = 3;\n    return molt_send(\"q\", m);\n}\n");
    sound_upgrade(&s);
    sound_spawn("q");
    assert_int_equal(sound_call(&s, "q", "q_send"), 0);
    cell_await(&s.a, 12);
    assert_int_equal(sound_call(&s, "p", "p_send"), 0);
    cell_await(&s.b, 's');
    assert_int_equal(atomic_load(&s.a.value), 12);
    sound_close(&s);
}

static void anonymous_and_file_local_types_travel(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "anon", "int anon_send(void);\n",
                 "#include \"anon.h\"\n"
                 "typedef struct { int a; struct { int b; }; union { int c; float d; }; } local;\n"
                 "struct anon { long n; };\n"
                 "static int on_local(struct anon *s, local *m)\n{\n    (void)s;\n"
                 "    SET(CELL_A, m->a * 100 + m->b * 10 + m->c);\n    return 0;\n}\n"
                 "MOLT_SERVER(anon, struct anon, .on = { MOLT_CAST(local, on_local) });\n"
                 "int anon_send(void)\n{\n    local *m = molt_new(local);\n"
                 "    m->a = 1;\n    m->b = 2;\n    m->c = 3;\n"
                 "    return molt_send(\"anon\", m);\n}\n");
    sound_upgrade(&s);
    sound_spawn("anon");
    assert_int_equal(sound_call(&s, "anon", "anon_send"), 0);
    cell_await(&s.a, 123);
    sound_close(&s);
}

/* end = buf + n stays its block's own, though another block may follow it. */
static void pointer_one_past_an_array_stays_with_it(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(
        &s, "span", "int span_send(void);\n",
        "#include \"span.h\"\nstruct span { long n; };\n"
        "struct range { int *begin, *end; };\n"
        "static int on_range(struct span *s, struct range *m)\n{\n    (void)s;\n    long sum = 0;\n"
        "    for (int *p = m->begin; p < m->end; p++)\n        sum += *p;\n"
        "    SET(CELL_A, molt_count(m->begin) == 16 ? sum : -1);\n    return 0;\n}\n"
        "MOLT_SERVER(span, struct span, .on = { MOLT_CAST(struct range, on_range) });\n"
        "int span_send(void)\n{\n    struct range *m = molt_new(struct range);\n"
        "    m->begin = molt_new_array(int, 16);\n    int *next = molt_new_array(int, 16);\n"
        "    for (int i = 0; i < 16; i++)\n        m->begin[i] = i + 1;\n"
        "    m->end = m->begin + 16;\n    int rc = molt_send(\"span\", m);\n"
        "    /* the neighbour is still ours */\n"
        "    SET(CELL_B, molt_count(next));\n    molt_free(next);\n    return rc;\n}\n");
    sound_upgrade(&s);
    sound_spawn("span");
    assert_int_equal(sound_call(&s, "span", "span_send"), 0);
    cell_await(&s.a, 136);
    assert_int_equal(atomic_load(&s.b.value), 16);
    sound_close(&s);
}

#define STATE_SERVER(fields, more)                                                                 \
    "#include \"st.h\"\nstruct st { " fields " };\nstruct add { long by; };\n"                     \
    "static int on_add(struct st *s, struct add *m)\n{\n    s->n += m->by;\n"                      \
    "    SET(CELL_A, s->n);\n    return 0;\n}\n" more                                              \
    "int st_add(void)\n{\n    struct add *m = molt_new(struct add);\n    m->by = 5;\n"             \
    "    return molt_send(\"st\", m);\n}\n"
#define PLAIN "MOLT_SERVER(st, struct st, .on = { MOLT_CAST(struct add, on_add) });\n"

static void open_state(struct sound *s)
{
    sound_open(s);
    sound_module(s, "st", "int st_add(void);\n", STATE_SERVER("long n; long m;", PLAIN));
    sound_upgrade(s);
    sound_spawn("st");
    sound_call(s, "st", "st_add");
    cell_await(&s->a, 5);
}

/* Equal size, other layout, and nothing proves where the values would come from. */
static void state_of_equal_size_but_other_layout_is_refused(void **state)
{
    (void)state;
    struct sound s;
    open_state(&s);
    sound_module(&s, "st", "int st_add(void);\n", STATE_SERVER("int n; long m;", PLAIN));
    sound_refused(&s, MOLT_EREFUSED, "MOLT_CHANGE");
    molt_safepoint(s.thread);
    sound_call(&s, "st", "st_add");
    cell_await(&s.a, 10);
    assert_int_equal(rig_version(s.rig, "st"), 1);
    sound_close(&s);
}

static void state_moves_through_the_authors_change(void **state)
{
    (void)state;
    struct sound s;
    open_state(&s);
    sound_module(&s, "st", "int st_add(void);\n",
                 STATE_SERVER("long m; long n; char name[8];",
                              "struct st_1 { long n; long m; };\n"
                              "static int change(const struct st_1 *old, struct st *now)\n{\n"
                              "    now->n = old->n + 1000;\n    return 0;\n}\n"
                              "MOLT_SERVER(st, struct st,\n"
                              "            .change = { MOLT_CHANGE(struct st_1, change) },\n"
                              "            .on = { MOLT_CAST(struct add, on_add) });\n"));
    sound_upgrade(&s);
    assert_int_equal(rig_result(s.rig)->conversion.n_processes, 1);
    sound_call(&s, "st", "st_add");
    cell_await(&s.a, 1010);
    sound_close(&s);
}

static void failing_change_changes_nothing(void **state)
{
    (void)state;
    struct sound s;
    open_state(&s);
    sound_module(&s, "st", "int st_add(void);\n",
                 STATE_SERVER("long m; long n; char name[8];",
                              "struct st_1 { long n; long m; };\n"
                              "static int change(const struct st_1 *old, struct st *now)\n{\n"
                              "    (void)old;\n    (void)now;\n    return -5;\n}\n"
                              "MOLT_SERVER(st, struct st,\n"
                              "            .change = { MOLT_CHANGE(struct st_1, change) },\n"
                              "            .on = { MOLT_CAST(struct add, on_add) });\n"));
    sound_refused(&s, MOLT_ECHANGE, "-5");
    molt_safepoint(s.thread);
    sound_call(&s, "st", "st_add");
    cell_await(&s.a, 10);
    sound_close(&s);
}

/* A handler whose parameter isn't what the table says is found by the build. */
static void handler_of_another_type_is_refused(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "bad", NULL,
                 "struct bad { long n; };\nstruct one { long n; };\nstruct two { long n; };\n"
                 "static int on_one(struct bad *s, struct one *m)\n{\n    (void)s;\n    (void)m;\n"
                 "    return 0;\n}\n"
                 "MOLT_SERVER(bad, struct bad, .on = { MOLT_CAST(struct two, on_one) });\n"
                 "struct two *bad_use(void);\n"
                 "struct two *bad_use(void) { return molt_new(struct two); }\n");
    sound_refused(&s, MOLT_EREFUSED, "on_one");
    sound_close(&s);
}

/* Header types: an importer that was compiled against another layout can't
 * stay in a world with the new one; the build brings it along. */
static void header_type_has_one_layout_per_world(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(
        &s, "prov", "struct pair { int x, y; };\nint prov_sum(struct pair *p);\n",
        "#include \"prov.h\"\nint prov_sum(struct pair *p) { return p->x * 10 + p->y; }\n");
    sound_module(&s, "cons", "int cons_get(void);\n",
                 "#include \"prov.h\"\n#include \"cons.h\"\n"
                 "int cons_get(void)\n{\n    struct pair p = { .x = 1, .y = 2 };\n"
                 "    return prov_sum(&p);\n}\n");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "cons", "cons_get"), 12);
    sound_module(
        &s, "prov", "struct pair { int y, x; };\nint prov_sum(struct pair *p);\n",
        "#include \"prov.h\"\nint prov_sum(struct pair *p) { return p->x * 10 + p->y; }\n");
    sound_upgrade(&s);
    assert_int_equal(rig_version(s.rig, "cons"), 2);
    assert_int_equal(sound_call(&s, "cons", "cons_get"), 12);
    sound_close(&s);
}

/* A mutable global is known, and goes on counting. */
static void mutable_global_is_known(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "glob", "int glob_next(void);\n",
                 "#include \"glob.h\"\nstatic int hits;\nMOLT_FRESH static int fresh = 1;\n"
                 "static const char *const names[] = { \"a\", \"b\" };\n"
                 "int glob_next(void) { return ++hits + fresh + names[0][0]; }\n");
    sound_upgrade(&s);
    const struct molt_meta *meta = rig_built(s.rig, "glob")->meta;
    assert_int_equal(meta->n_globals, 1);
    assert_non_null(strstr(meta->globals[0].name, "hits"));
    assert_int_equal(sound_call(&s, "glob", "glob_next"), 1 + 1 + 'a');
    sound_module(&s, "glob", "int glob_next(void);\n",
                 "#include \"glob.h\"\nstatic int hits;\n"
                 "int glob_next(void) { return ++hits + 100; }\n");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "glob", "glob_next"), 2 + 100);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_name_in_two_modules_is_two_types),
        cmocka_unit_test(anonymous_and_file_local_types_travel),
        cmocka_unit_test(pointer_one_past_an_array_stays_with_it),
        cmocka_unit_test(state_of_equal_size_but_other_layout_is_refused),
        cmocka_unit_test(state_moves_through_the_authors_change),
        cmocka_unit_test(failing_change_changes_nothing),
        cmocka_unit_test(handler_of_another_type_is_refused),
        cmocka_unit_test(header_type_has_one_layout_per_world),
        cmocka_unit_test(mutable_global_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
