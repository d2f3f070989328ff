/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Behaviours: what their functions must look like. */
#include "unit/types/fixture.h"

static const char head[] =
    "#include <molt/molt.h>\n"
    "struct state { long n; }; struct next { long by; }; struct prev { long by; };\n"
    "typedef struct { int a; } anon_t; typedef struct next next_t; struct old { int n; };\n"
    "static inline int ok(struct state *s, struct next *m, struct molt_from *f)\n"
    "{ s->n = m->by; return molt_reply(f, 0); }\n"
    "static inline int cast(struct state *s, struct next *m) { s->n = m->by; return 0; }\n";

static void build(struct fixture *f, const char *cc, const char *cflags, const char *functions,
                  const char *table)
{
    char text[4096];
    fixture_init(f, cc, cflags);
    snprintf(text, sizeof text, "%s#line 21\n%s\nMOLT_SERVER(m, struct state, %s);\n", head,
             functions, table);
    fixture_build(f, "m", text);
}

static void accepts(const char *functions, const char *table)
{
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        build(&f, fixture_matrix[i][0], fixture_matrix[i][1], functions, table);
        if (fixture_read(&f, "m") < 0)
            fail_msg("%s %s: %s", f.c.cc, f.c.cflags, f.err.text);
        fixture_fini(&f);
    }
}

static void refuses(const char *functions, const char *table, const char *words)
{
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        build(&f, fixture_matrix[i][0], fixture_matrix[i][1], functions, table);
        fixture_refused(&f, "m", MOLT_EREFUSED, words);
        fixture_fini(&f);
    }
}

static void proper_functions_are_accepted(void **state)
{
    (void)state;
    accepts("", ".on = { MOLT_CALL(struct next, ok) }");
    accepts("static int init(struct state *s) { s->n = 1; return 0; }",
            ".init = MOLT_FN(init), .on = { MOLT_CAST(struct next, cast) }");
    accepts("static int h(struct state *s, next_t *m) { s->n = m->by; return 0; }",
            ".on = { MOLT_CAST(next_t, h) }");
    accepts("static int h(struct state *s, next_t *m) { s->n = m->by; return 0; }",
            ".on = { MOLT_CAST(struct next, h) }");
    accepts("static int h(struct state *s, const anon_t *m) { s->n = m->a; return 0; }",
            ".on = { MOLT_CAST(anon_t, h), MOLT_CALL(struct next, ok) }");
    accepts("static int h(struct state *s, long *m) { s->n = *m; return 0; }",
            ".on = { MOLT_CAST(long, h) }");
    accepts("static int h(struct state *s, unsigned long *m) { s->n = (long)*m; return 0; }",
            ".on = { MOLT_CAST(unsigned long, h) }");
    accepts(
        "static void end(struct state *s, int why) { s->n = why; }\n"
        "static int ready(struct state *s, int fd, unsigned e) { s->n = fd + (int)e; return 0; }\n"
        "static int late(struct state *s) { s->n = 0; return 0; }\n"
        "static int other(struct state *s, const char *t, void *m)\n"
        "{ s->n = t[0] + (m != 0); return 0; }\n"
        "static int up(const struct old *o, struct state *s) { s->n = o->n; return 0; }",
        ".terminate = MOLT_FN(end), .on_ready = MOLT_FN(ready), .on_timeout = MOLT_FN(late),\n"
        ".on_other = MOLT_FN(other), .change = { MOLT_CHANGE(struct old, up) }");
    accepts("static int run(struct state *s) { s->n++; return 0; }\n"
            "static int gone(struct state *s, const struct molt_exit *e)\n"
            "{ s->n = e->reason; return 0; }\n"
            "static int down(struct state *s, const struct molt_down *d)\n"
            "{ s->n = d->reason; return 0; }\n"
            "#include <molt/net.h>\n"
            "static int data(struct state *s, const struct molt_net_data *d)\n"
            "{ s->n = d->rc; return 0; }",
            ".on_data = MOLT_FN(data), .run = MOLT_FN(run), .on_continue = MOLT_FN(run), "
            ".on_config = MOLT_FN(run),\n"
            ".on_exit = MOLT_FN(gone), .on_down = MOLT_FN(down),\n"
            ".limits = { .mailbox = 60000, .on_full = MOLT_FULL_EXIT, .is_fatal = 1 }");
}

static void handlers_of_other_messages_are_refused(void **state)
{
    (void)state;
    refuses("static int on_next(struct state *s, struct prev *m, struct molt_from *f)\n"
            "{ s->n = m->by; return molt_reply(f, 0); }",
            ".on = { MOLT_CALL(struct next, on_next) }",
            "src/m.c:21 handler on_next takes struct prev, declared for struct next|handler");
    refuses("", ".on = { MOLT_CALL(struct next, cast) }",
            "cast of behaviour m|int (struct state *, struct next *)|MOLT_CALL");
    refuses("", ".on = { MOLT_CAST(struct next, ok) }", "ok of behaviour m|MOLT_CAST");
    refuses("static int h(struct prev *s, struct next *m) { s->by = m->by; return 0; }",
            ".on = { MOLT_CAST(struct next, h) }", "h of behaviour m|struct prev *");
    refuses("static long h(struct state *s, struct next *m) { s->n = m->by; return 0; }",
            ".on = { MOLT_CAST(struct next, h) }", "long (struct state *, struct next *)");
    /* A typedef that nothing else uses is in no debug info. */
    refuses("", ".on = { MOLT_CAST(next_t, cast) }", "takes struct next, declared for next_t");
    refuses("static int h(struct state *s, int *m) { s->n = *m; return 0; }",
            ".on = { MOLT_CAST(long, h) }", "h takes int, declared for long");
}

static void fixed_functions_of_other_types_are_refused(void **state)
{
    (void)state;
    refuses("static int init(struct next *s) { s->by = 1; return 0; }", ".init = MOLT_FN(init)",
            "src/m.c:21 init|.init");
    refuses("static int init(struct state *s, long n) { s->n = n; return 0; }",
            ".init = MOLT_FN(init)", "init of behaviour m");
    refuses("static int end(struct state *s, int why) { s->n = why; return 0; }",
            ".terminate = MOLT_FN(end)", ".terminate: void (S *, int reason)|struct state");
    refuses("static int ready(struct state *s, int fd, int e) { s->n = fd + e; return 0; }",
            ".on_ready = MOLT_FN(ready)", ".on_ready");
    refuses("static int late(struct state *s, int n) { s->n = n; return 0; }",
            ".on_timeout = MOLT_FN(late)", ".on_timeout");
    refuses("static int other(struct state *s, void *m, const char *t)\n"
            "{ s->n = t[0] + (m != 0); return 0; }",
            ".on_other = MOLT_FN(other)", ".on_other");
    refuses("static int run(struct state *s, int n) { s->n = n; return 0; }", ".run = MOLT_FN(run)",
            ".run: int (S *)");
    refuses("static int more(long *n) { *n = 0; return 0; }", ".on_continue = MOLT_FN(more)",
            ".on_continue: int (S *)");
    refuses("static void conf(struct state *s) { s->n = 0; }", ".on_config = MOLT_FN(conf)",
            ".on_config: int (S *)");
    refuses("static int gone(struct state *s, const struct molt_down *d)\n"
            "{ s->n = d->reason; return 0; }",
            ".on_exit = MOLT_FN(gone)", ".on_exit: int (S *, const struct molt_exit *)");
    refuses("static int down(struct state *s, struct molt_down *d)\n"
            "{ s->n = d->reason; return 0; }",
            ".on_down = MOLT_FN(down)", ".on_down: int (S *, const struct molt_down *)");
    refuses("static int data(struct state *s, const struct molt_down *d)\n"
            "{ s->n = d->reason; return 0; }",
            ".on_data = MOLT_FN(data)", ".on_data: int (S *, const struct molt_net_data *)");
    refuses("#include <molt/net.h>\n"
            "static int data(struct state *s, struct molt_net_data *d)\n"
            "{ s->n = d->rc; return 0; }",
            ".on_data = MOLT_FN(data)", ".on_data: int (S *, const struct molt_net_data *)");
    refuses("", ".limits = { .mailbox = 60001 }", ".limits.mailbox = 60001");
    refuses("", ".limits = { .on_full = 3 }", ".limits.on_full = 3|MOLT_FULL_BLOCK");
    refuses("", ".limits = { .is_fatal = 2 }", "unknown limits|is_fatal");
    refuses("static int up(struct state *s, const struct old *o) { s->n = o->n; return 0; }",
            ".change = { MOLT_CHANGE(struct old, up) }", "MOLT_CHANGE: int (const OLD *, S *)");
    refuses("static int up(const struct prev *o, struct state *s) { s->n = o->by; return 0; }",
            ".change = { MOLT_CHANGE(struct old, up) }",
            "up takes |struct prev|declared for struct old");
}

/* ---- state machines ------------------------------------------------------- */

static const char machine_head[] =
    "#include <molt/statem.h>\n"
    "struct state { long n; }; struct next { long by; }; struct prev { long by; };\n"
    "enum { A, B, C };\n"
    "static inline int ask(struct state *s, struct next *m, struct molt_from *f)\n"
    "{ s->n = m->by; return molt_reply(f, 0); }\n"
    "static inline int cast(struct state *s, struct next *m) { s->n = m->by; return 0; }\n"
    "static inline int late(struct state *s) { s->n = 0; return 0; }\n"
    "static inline int enter(struct state *s, int from) { s->n = from; return 0; }\n";

/* What is behind the head: MOLT_STATEM() and more. */
static void build_machine(struct fixture *f, const char *cc, const char *cflags, const char *text)
{
    char all[4096];
    fixture_init(f, cc, cflags);
    snprintf(all, sizeof all, "%s#line 21\n%s\n", machine_head, text);
    fixture_build(f, "m", all);
}

static void accepts_machine(const char *text)
{
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        build_machine(&f, fixture_matrix[i][0], fixture_matrix[i][1], text);
        if (fixture_read(&f, "m") < 0)
            fail_msg("%s %s: %s", f.c.cc, f.c.cflags, f.err.text);
        fixture_fini(&f);
    }
}

static void refuses_machine(const char *text, const char *words)
{
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        build_machine(&f, fixture_matrix[i][0], fixture_matrix[i][1], text);
        fixture_refused(&f, "m", MOLT_EREFUSED, words);
        fixture_fini(&f);
    }
}

static void proper_state_machines_are_accepted(void **state)
{
    (void)state;
    accepts_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A)),\n"
                    "  .on = { MOLT_CALL(struct next, ask) });");
    accepts_machine(
        "MOLT_STATEM(m, struct state, (MOLT_STATE(B), MOLT_STATE(A,\n"
        "  .enter = MOLT_FN(enter), .on_state_timeout = MOLT_FN(late),\n"
        "  .on_event_timeout = MOLT_FN(late), .on_named_timeout = MOLT_FN(enter)),\n"
        "  MOLT_STATE(C)),\n"
        "  .on = { MOLT_CALL_IN(MOLT_IN(A) | MOLT_IN(C), struct next, ask),\n"
        "          MOLT_CAST_IN(MOLT_IN(B), struct next, cast) });\n"
        "MOLT_STATEM(other, struct state, (MOLT_STATE(A)), .on_timeout = MOLT_FN(late));\n"
        "MOLT_SERVER(plain, struct state, .on = { MOLT_CAST(struct next, cast) });\n"
        "static const int x = 1; MOLT_EXTENSION(x, \"x\", &x);");
}

static void handlers_of_overlapping_states_are_refused(void **state)
{
    (void)state;
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A), MOLT_STATE(B)),\n"
                    "  .on = { MOLT_CALL_IN(MOLT_IN(A) | MOLT_IN(B), struct next, ask),\n"
                    "          MOLT_CAST_IN(MOLT_IN(B), struct next, cast) });",
                    "two handlers for struct next in one state");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A), MOLT_STATE(B)),\n"
                    "  .on = { MOLT_CALL(struct next, ask),\n"
                    "          MOLT_CAST_IN(MOLT_IN(B), struct next, cast) });",
                    "two handlers for struct next in one state");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A), MOLT_STATE(B)),\n"
                    "  .on = { MOLT_CAST_IN(MOLT_IN(C), struct next, cast) });",
                    "handler for struct next in a state that it doesn't list|MOLT_STATE()");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A)),\n"
                    "  .on = { MOLT_CAST_IN(1u << 16, struct next, cast) });",
                    "in a state that it doesn't list");
    refuses_machine("MOLT_SERVER(m, struct state,\n"
                    "  .on = { MOLT_CAST_IN(MOLT_IN(A), struct next, cast) });",
                    "but no states|MOLT_STATEM()");
}

static void handlers_of_states_have_the_messages_type(void **state)
{
    (void)state;
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A)),\n"
                    "  .on = { MOLT_CAST_IN(MOLT_IN(A), struct prev, cast) });",
                    "handler cast takes struct next, declared for struct prev");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A)),\n"
                    "  .on = { MOLT_CALL_IN(MOLT_IN(A), struct next, cast) });",
                    "cast of behaviour m|MOLT_CALL");
}

static void functions_of_states_of_other_types_are_refused(void **state)
{
    (void)state;
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A, .enter = MOLT_FN(late))));",
                    "late of behaviour m|.enter of state A: int (S *, int)|struct state");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A),\n"
                    "  MOLT_STATE(B, .on_state_timeout = MOLT_FN(enter))));",
                    "enter of behaviour m|.on_state_timeout of state B: int (S *)");
    refuses_machine("static int f(struct prev *s) { s->by = 1; return 0; }\n"
                    "MOLT_STATEM(m, struct state,\n"
                    "  (MOLT_STATE(A, .on_event_timeout = MOLT_FN(f))));",
                    "f of behaviour m|.on_event_timeout of state A");
    refuses_machine("static int f(struct state *s, long n) { s->n = n; return 0; }\n"
                    "MOLT_STATEM(m, struct state,\n"
                    "  (MOLT_STATE(A, .on_named_timeout = MOLT_FN(f))));",
                    "f of behaviour m|.on_named_timeout of state A: int (S *, int)");
}

static void malformed_state_machines_are_refused(void **state)
{
    (void)state;
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A), MOLT_STATE(C)));",
                    "state C behind a gap|from 0 on");
    refuses_machine("#define FIRST 0\nMOLT_STATEM(m, struct state, (MOLT_STATE(FIRST)));",
                    "a state called 0|enumerator");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A), [1] = {.name = \"A\"}));",
                    "two states A");
    refuses_machine("MOLT_STATEM(m, struct state, ([0] = {.name = 0}));", "has no states");
    refuses_machine("MOLT_STATEM(m, struct state, (MOLT_STATE(A)), .run = MOLT_FN(late));",
                    "state machine with .run");
    refuses_machine("static const struct molt_state_table t = {.size = sizeof t,\n"
                    "  .server = \"gone\", .state = {MOLT_STATE(A)}};\n"
                    "MOLT_EXTENSION(t, MOLT_EXT_STATEM, &t);",
                    "states of gone, which isn't in this module");
    refuses_machine("static const struct molt_state_table t = {.size = sizeof t,\n"
                    "  .server = \"m\", .state = {MOLT_STATE(A)}};\n"
                    "MOLT_EXTENSION(t, MOLT_EXT_STATEM, &t);\n"
                    "MOLT_STATEM(m, struct state, (MOLT_STATE(A)));",
                    "two tables of states");
    refuses_machine("static const struct molt_state_table t = {.size = 8, .server = \"m\"};\n"
                    "MOLT_EXTENSION(t, MOLT_EXT_STATEM, &t);",
                    "a table of states isn't of");
}

static void malformed_tables_are_refused(void **state)
{
    (void)state;
    refuses("", ".on = { [1] = MOLT_CAST(struct next, cast) }", "gap in its handlers");
    refuses("", ".on = { MOLT_CAST(struct next, cast), MOLT_CALL(struct next, ok) }",
            "two handlers for struct next");
    refuses("", ".on = { MOLT_CAST(struct next, 0) }", "no function for struct next");
    refuses("MOLT_SERVER(m2, struct state, .on = { MOLT_CAST(struct next, cast) });",
            ".name = \"m2\"", "two are called m2");
    refuses("", ".size = 8", "another molt|behaviour m has 8 bytes");
    refuses("static const struct molt_server two __attribute__((used, section(\"molt_servers\"),\n"
            "  aligned(8))) = { .size = sizeof(struct molt_server), .name = \"two\",\n"
            "  .state_size = 8 };",
            ".init = 0", "behaviour two has no state type");
}

static void handlers_of_other_modules_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    compile_write(&f.c, "o.h", "struct o { long n; };\nint o_late(struct o *o);\n");
    fixture_export(&f, "o", "o.h", "o_late");
    fixture_refuses(&f, "m",
                    "#include <molt/molt.h>\n#include \"../o.h\"\n"
                    "MOLT_SERVER(m, struct o, .on_timeout = MOLT_FN(o_late));\n",
                    MOLT_EREFUSED, "o_late|another module");
    fixture_fini(&f);
}

/* An own export as handler is reached by a relocation with a symbol. */
static void own_exports_may_be_handlers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        compile_write(&f.c, "m.h", "struct o { long n; };\nint o_late(struct o *o);\n");
        fixture_export(&f, "m", "m.h", "o_late");
        fixture_good(&f, "m",
                     "#include <molt/molt.h>\n#include \"../m.h\"\n"
                     "int o_late(struct o *o) { o->n = 0; return 0; }\n"
                     "MOLT_SERVER(m, struct o, .on_timeout = MOLT_FN(o_late));\n");
        assert_int_equal(f.meta->n_servers, 1);
        fixture_fini(&f);
    }
}

/* Tags in inlined functions, loops, nested blocks, of arrays and pointers. */
static void tags_are_found_wherever_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_MATRIX; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(
            &f, "m",
            "#include <molt/molt.h>\n"
            "struct a { int x; }; typedef struct { char c[3]; } b_t; union u { long l; };\n"
            "static inline __attribute__((always_inline)) void *make_a(void)\n"
            "{ return molt_new(struct a); }\n"
            "static void *make_b(int n) { while (n-- > 0) { { molt_free(molt_new(b_t)); } }\n"
            "  return molt_new_array(union u, 3); }\n"
            "void *make(int n); void *make(int n) {\n"
            "  struct { double d; } local; struct a *reply;\n"
            "  molt_free(molt_new(__typeof__(local))); molt_free(molt_new(struct a *));\n"
            "  molt_free(molt_new(long[4])); molt_call(\"x\", make_a(), &reply, 1);\n"
            "  return n ? make_a() : make_b(n); }\n");
        static const char *const keys[] = {"m/m.c:struct a", "m/m.c:b_t", "m/m.c:union u",
                                           "m/m.c:struct a *", "long[4]"};
        assert_true(f.meta->n_tags >= 7);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const struct molt_meta_type *type = fixture_type(&f, keys[k]);
            size_t n = 0;
            for (size_t t = 0; t < f.meta->n_tags; t++)
                n += f.meta->tags[t] == (uint32_t)(type - f.meta->types);
            assert_true(n >= 1);
        }
        for (size_t t = 0; t < f.meta->n_tags; t++)
            assert_true(f.meta->tags[t] != MOLT_TYPE_NONE);
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proper_functions_are_accepted),
        cmocka_unit_test(handlers_of_other_messages_are_refused),
        cmocka_unit_test(fixed_functions_of_other_types_are_refused),
        cmocka_unit_test(proper_state_machines_are_accepted),
        cmocka_unit_test(handlers_of_overlapping_states_are_refused),
        cmocka_unit_test(handlers_of_states_have_the_messages_type),
        cmocka_unit_test(functions_of_states_of_other_types_are_refused),
        cmocka_unit_test(malformed_state_machines_are_refused),
        cmocka_unit_test(malformed_tables_are_refused),
        cmocka_unit_test(handlers_of_other_modules_are_refused),
        cmocka_unit_test(own_exports_may_be_handlers),
        cmocka_unit_test(tags_are_found_wherever_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
