/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Good modules: what ends up in the meta, with every compiler. */
#include "unit/types/fixture.h"

#include "types/image.h"

static const char next_h[] = "#ifndef NEXT_H\n#define NEXT_H\n"
                             "struct tree { struct tree *left, *right; long key; };\n"
                             "struct next { long by; struct tree *tree; };\n"
                             "long counter_next(const struct next *next, int times);\n"
                             "long other_total(struct tree *tree);\n"
                             "#endif\n";

static const char counter_c[] =
    "#include <molt/molt.h>\n"
    "#include <stdio.h>\n"
    "#include \"../next.h\"\n"
    "#include \"../other.h\"\n"
    "struct counter { long n; struct next *last; char name[16]; struct next inner[2];\n"
    "                 unsigned int flag : 3, wide : 20; int (*fn)(struct next *); };\n"
    "struct total { long n; };\n"
    "static int hits;\n"
    "MOLT_FRESH int fresh_hits;\n"
    "static const char *const names[] = {\"a\", \"b\"};\n"
    "static int init(struct counter *c, const long *first)\n"
    "{ c->n = first ? *first : 0; return 0; }\n"
    "static int on_next(struct counter *c, struct next *m, struct molt_from *from)\n"
    "{ struct total *t = molt_new(struct total); static int calls; if (!t) return -1;\n"
    "  t->n = c->n += m->by; hits++; calls++; fresh_hits++; return molt_reply(from, t); }\n"
    "static int on_reset(struct counter *c, struct total *t)\n"
    "{ c->n = t->n; puts(names[c->n & 1]); return 0; }\n"
    "struct counter_old { int n; };\n"
    "static int change(const struct counter_old *old, struct counter *new)\n"
    "{ new->n = old->n; return 0; }\n"
    "static void end(struct counter *c, int reason) { c->n = reason; }\n"
    "MOLT_SERVER(counter, struct counter, .init = MOLT_FN(init), .terminate = MOLT_FN(end),\n"
    "  .on = { MOLT_CALL(struct next, on_next), MOLT_CAST(struct total, on_reset) },\n"
    "  .change = { MOLT_CHANGE(struct counter_old, change) });\n"
    "long counter_next(const struct next *next, int times)\n"
    "{ char **p = molt_new_array(char *, 4); molt_free(p);\n"
    "  return next->by * times + other_total(next->tree); }\n";

static void write_project(struct fixture *f)
{
    compile_write(&f->c, "next.h", next_h);
    compile_write(&f->c, "other.h", "struct tree;\nlong other_total(struct tree *tree);\n");
    fixture_export(f, "counter", "next.h", "counter_next");
    fixture_export(f, "other", "other.h", "other_total");
}

static void build_counter(struct fixture *f)
{
    write_project(f);
    fixture_good(f, "counter", counter_c);
}

static void check_symbols(const struct molt_meta *m)
{
    assert_int_equal(m->n_exports, 1);
    assert_string_equal(m->exports[0].module, "counter");
    assert_string_equal(m->exports[0].name, "counter_next");
    assert_int_equal(m->n_imports, 1);
    assert_string_equal(m->imports[0].module, "other");
    assert_string_equal(m->imports[0].name, "other_total");
    assert_int_equal(m->n_pins, 0);
}

static void check_server(const struct fixture *f)
{
    const struct molt_meta *m = f->meta;
    assert_int_equal(m->n_servers, 1);
    const struct molt_meta_server *s = &m->servers[0];
    assert_string_equal(s->name, "counter");
    assert_string_equal(m->types[s->state_type].key, "counter/counter.c:struct counter");
    assert_string_equal(m->types[s->init_type].key, "long");
    assert_int_equal(s->n_handlers, 2);
    assert_string_equal(m->types[s->handler_types[0]].key, "next.h:struct next");
    assert_true(m->types[s->handler_types[0]].is_from_header);
    assert_string_equal(m->types[s->handler_types[1]].key, "counter/counter.c:struct total");
    assert_int_equal(s->n_changes, 1);
    assert_string_equal(m->types[s->change_types[0]].key, "counter/counter.c:struct counter_old");
}

static void check_globals(const struct molt_meta *m)
{
    assert_int_equal(m->n_globals, 2);
    assert_string_equal(m->globals[0].name, "src/counter.c:hits");
    assert_string_equal(m->globals[1].name, "src/counter.c:on_next:calls");
}

static void check_tags(const struct molt_meta *m)
{
    bool has_total = false, has_state = false, has_names = false;
    assert_int_equal(m->n_tags, 3);
    for (size_t i = 0; i < m->n_tags; i++) {
        assert_true(m->tags[i] < m->n_types);
        const char *key = m->types[m->tags[i]].key;
        has_total |= strcmp(key, "counter/counter.c:struct total") == 0;
        has_state |= strcmp(key, "counter/counter.c:struct counter") == 0;
        has_names |= strcmp(key, "char *") == 0;
    }
    assert_true(has_total && has_state && has_names);
}

static void check_ptr(const struct molt_meta_ptr *p, uint32_t offset, uint32_t count,
                      enum molt_ptr_kind kind, const char *field)
{
    assert_string_equal(p->field, field);
    assert_int_equal(p->offset, offset);
    assert_int_equal(p->count, count);
    assert_int_equal(p->kind, kind);
}

static void check_ptrs(const struct fixture *f)
{
    const struct molt_meta_type *t = fixture_type(f, "counter/counter.c:struct counter");
    assert_int_equal(t->size, 80);
    assert_int_equal(t->n_ptrs, 5);
    check_ptr(&t->ptrs[0], 8, 1, MOLT_PTR_DATA, "last");
    check_ptr(&t->ptrs[1], 16, 2, MOLT_PTR_WORD, "name");
    check_ptr(&t->ptrs[2], 40, 1, MOLT_PTR_DATA, "inner[0].tree");
    check_ptr(&t->ptrs[3], 56, 1, MOLT_PTR_DATA, "inner[1].tree");
    check_ptr(&t->ptrs[4], 72, 1, MOLT_PTR_CODE, "fn");
}

static void a_good_module_is_described_alike_by_all_compilers(void **state)
{
    (void)state;
    uint64_t sig = 0, hash = 0, import = 0;
    for (size_t i = 0; i < FIXTURE_MATRIX; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        build_counter(&f);
        assert_string_equal(f.meta->module, "counter");
        assert_int_equal(f.meta->build_id_len, 20);
        check_symbols(f.meta);
        check_server(&f);
        check_globals(f.meta);
        check_tags(f.meta);
        check_ptrs(&f);
        uint64_t counter = fixture_type(&f, "counter/counter.c:struct counter")->hash;
        if (i > 0) {
            assert_true(f.meta->exports[0].sig == sig);
            assert_true(f.meta->imports[0].sig == import);
            assert_true(counter == hash);
        }
        sig = f.meta->exports[0].sig;
        import = f.meta->imports[0].sig;
        hash = counter;
        fixture_fini(&f);
    }
}

static void every_linker_will_do(void **state)
{
    (void)state;
    static const char *const linkers[] = {"-fuse-ld=bfd", "-fuse-ld=gold", "-fuse-ld=lld"};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        fixture_init(&f, "gcc", "-O2");
        f.c.ldflags = linkers[i];
        build_counter(&f);
        check_symbols(f.meta);
        check_server(&f);
        check_globals(f.meta);
        check_tags(f.meta);
        fixture_refuses(&f, "counter",
                        "int missing(int x);\nint use(int x);\nint use(int x)\n{\n"
                        "    return missing(x) + 1;\n}\n",
                        MOLT_ELINK, "missing|src/counter.c:5");
        fixture_refuses(&f, "counter",
                        "extern int hits;\nint use(void);\nint use(void)\n{\n"
                        "    return ++hits;\n}\n",
                        MOLT_EREFUSED, "hits|src/counter.c:5");
        fixture_fini(&f);
    }
}

/* Link-time optimisation, macros in the debug info. */
static void other_kinds_of_debug_info_are_read(void **state)
{
    (void)state;
    static const char *const flags[] = {"-O2 -g3", "-O2 -flto", "-Og -gdwarf-5 -gno-column-info"};
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    build_counter(&f);
    uint64_t hash = fixture_type(&f, "counter/counter.c:struct counter")->hash;
    fixture_fini(&f);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        fixture_init(&f, "gcc", "-O2");
        write_project(&f);
        f.c.cflags = flags[i];
        fixture_good(&f, "counter", counter_c);
        check_server(&f);
        check_tags(f.meta);
        if (fixture_type(&f, "counter/counter.c:struct counter")->hash != hash)
            fail_msg("%s: another hash", flags[i]);
        fixture_fini(&f);
    }
}

static void files_are_named_by_project_molt_or_path(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "clang", "-O2");
    compile_write(&f.c, "include/m.h",
                  "#include <stdio.h>\n#include <molt/molt.h>\nstruct own { FILE *file; };\n"
                  "int m_f(struct molt_from *from, struct own *own);\n");
    fixture_export(&f, "m", "include/m.h", "m_f");
    fixture_good(&f, "m",
                 "#include \"../src/../include/./m.h\"\n"
                 "int m_f(struct molt_from *from, struct own *own)\n"
                 "{ return from->ref == 1 && own->file; }\n");
    fixture_type(&f, "include/m.h:struct own in signatures");
    fixture_type(&f, "molt/molt.h:struct molt_from in signatures");
    bool has_system = false;
    for (size_t i = 0; i < f.meta->n_types; i++)
        has_system |= f.meta->types[i].key[0] == '/' &&
                      strstr(f.meta->types[i].key, ":struct _IO_FILE in signatures");
    assert_true(has_system);
    fixture_fini(&f);
}

static void the_meta_survives_encoding(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    build_counter(&f);
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_meta *copy;
    assert_int_equal(molt_meta_encode(f.meta, &bytes), 0);
    assert_int_equal(molt_meta_decode(bytes.data, bytes.len, &copy, &f.err), 0);
    assert_true(copy->content == f.meta->content);
    assert_int_equal(copy->n_types, f.meta->n_types);
    molt_meta_free(copy);
    molt_buf_fini(&bytes);
    fixture_fini(&f);
}

/* Names as the linker leaves them, with and without --wrap. */
static void locks_that_nobody_counts_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *declaration, *call;
        bool is_uncounted;
    } cases[] = {
        {"int __wrap_pthread_mutex_lock(void *lock);", "__wrap_pthread_mutex_lock(lock)", false},
        {"int pthread_mutex_lock(void *lock);", "pthread_mutex_lock(lock)", true},
        {"int pthread_rwlock_timedrdlock(void *lock, void *t);",
         "pthread_rwlock_timedrdlock(lock, lock)", true},
        {"int _IO_ftrylockfile(void *lock);", "_IO_ftrylockfile(lock)", true},
        {"int puts(const char *text);", "puts(\"no lock of ours\")", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        char text[256];
        fixture_init(&f, "gcc", "-O2");
        snprintf(text, sizeof text, "%s\nint take(void *lock) { (void)lock; return %s; }\n",
                 cases[i].declaration, cases[i].call);
        fixture_good(&f, "taker", text);
        if (!(f.meta->flags & MOLT_META_UNCOUNTED) == cases[i].is_uncounted)
            fail_msg("%s: flags %x", cases[i].call, f.meta->flags);
        fixture_fini(&f);
    }
}

static void content_ignores_comments_and_sees_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        build_counter(&f);
        uint64_t content = f.meta->content;
        uint8_t digest[MOLT_SHA256_BYTES];
        memcpy(digest, f.meta->digest, sizeof digest);
        char text[4096];
        snprintf(text, sizeof text, "/* one\n two\n lines more */\n%s", counter_c);
        fixture_good(&f, "counter", text);
        assert_memory_not_equal(f.meta->digest, digest, sizeof digest);
        assert_true(f.meta->content == content);
        char *by = strstr(text, "next->by * times");
        by[9] = '+';
        fixture_good(&f, "counter", text);
        assert_true(f.meta->content != content);
        fixture_fini(&f);
    }
}

static void headers_go_into_the_meta(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O0");
    build_counter(&f);
    char name[] = "other";
    struct molt_meta_header header = {.module = name, .digest = {1, 2, 3}};
    struct molt_image_options options = {.n_headers = 1, .headers = &header};
    struct molt_meta *meta;
    assert_int_equal(molt_image_read(f.image, f.len, &options, &meta, NULL), 0);
    assert_int_equal(meta->n_headers, 1);
    assert_string_equal(meta->headers[0].module, "other");
    assert_int_equal(meta->headers[0].digest[2], 3);
    molt_meta_free(meta);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_module_is_described_alike_by_all_compilers),
        cmocka_unit_test(every_linker_will_do),
        cmocka_unit_test(other_kinds_of_debug_info_are_read),
        cmocka_unit_test(files_are_named_by_project_molt_or_path),
        cmocka_unit_test(the_meta_survives_encoding),
        cmocka_unit_test(locks_that_nobody_counts_are_told),
        cmocka_unit_test(content_ignores_comments_and_sees_code),
        cmocka_unit_test(headers_go_into_the_meta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
