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
            "{ s->n = d->reason; return 0; }",
            ".run = MOLT_FN(run), .on_continue = MOLT_FN(run), .on_config = MOLT_FN(run),\n"
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
    refuses("", ".limits = { .mailbox = 60001 }", ".limits.mailbox = 60001");
    refuses("", ".limits = { .on_full = 3 }", ".limits.on_full = 3|MOLT_FULL_BLOCK");
    refuses("", ".limits = { .is_fatal = 2 }", "unknown limits|is_fatal");
    refuses("static int up(struct state *s, const struct old *o) { s->n = o->n; return 0; }",
            ".change = { MOLT_CHANGE(struct old, up) }", "MOLT_CHANGE: int (const OLD *, S *)");
    refuses("static int up(const struct prev *o, struct state *s) { s->n = o->by; return 0; }",
            ".change = { MOLT_CHANGE(struct old, up) }",
            "up takes |struct prev|declared for struct old");
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
        cmocka_unit_test(malformed_tables_are_refused),
        cmocka_unit_test(handlers_of_other_modules_are_refused),
        cmocka_unit_test(own_exports_may_be_handlers),
        cmocka_unit_test(tags_are_found_wherever_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
