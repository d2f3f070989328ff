/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Whole builds, with each compiler. */
#include "unit/build/fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "support/emulated.h"

#define COUNTER_H                                                                                  \
    "#ifndef COUNTER_H\n#define COUNTER_H\nstruct total { long n; };\n"                            \
    "long counter_next(struct total *t);\n#endif\n"
#define COUNTER_C                                                                                  \
    "#include <molt/molt.h>\n#include \"counter.h\"\nstatic long n MOLT_FRESH;\n"                  \
    "long counter_next(struct total *t)\n{\n    return t->n = ++n;\n}\n"
#define FEED_C                                                                                     \
    "#include <molt/molt.h>\n#include \"counter.h\"\n"                                             \
    "static int on_load(void)\n{\n    struct total t;\n    return counter_next(&t) < 0;\n}\n"      \
    "MOLT_ON_LOAD(on_load);\n"

static int setup(void **state)
{
    static struct fixture f;
    const char *cc = *state;
    f = (struct fixture){0};
    make_folder(f.root);
    char conf[256];
    snprintf(conf, sizeof(conf), "name = shop\ncc = %s\ncflags = -Wall -Wextra -Wpedantic\n", cc);
    put(&f, "molt.conf", conf);
    f.cc = cc;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget_builder(f);
    remove_tree(f->root);
    return 0;
}

static void put_shop(struct fixture *f)
{
    put(f, "src/counter.h", COUNTER_H);
    put(f, "src/counter.c", COUNTER_C);
    put(f, "src/feed.c", FEED_C);
}

static bool imports(const struct molt_built_module *m, const char *module, const char *name)
{
    for (size_t i = 0; i < m->meta->n_imports; i++)
        if (strcmp(m->meta->imports[i].module, module) == 0 &&
            strcmp(m->meta->imports[i].name, name) == 0)
            return true;
    return false;
}

static bool exports(const struct molt_built_module *m, const char *name)
{
    for (size_t i = 0; i < m->meta->n_exports; i++)
        if (strcmp(m->meta->exports[i].name, name) == 0)
            return true;
    return false;
}

static const struct molt_meta_header *header_of(const struct molt_built_module *m,
                                                const char *module)
{
    for (size_t i = 0; i < m->meta->n_headers; i++)
        if (strcmp(m->meta->headers[i].module, module) == 0)
            return &m->meta->headers[i];
    fail_msg("%s has no header of %s", m->module, module);
    return NULL;
}

/* Only gold tells the line of a use; with others it is where the name stands. */
static void expect_line(const struct molt_diagnostic *d, int line)
{
    if (system("command -v ld.gold >/dev/null") == 0)
        assert_int_equal(d->line, line);
    else
        assert_true(d->line > 0 && d->line <= line);
}

/* ---- what is built ----------------------------------------------------------- */

static void a_project_becomes_images_in_the_store(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    assert_int_equal(f->result->n_modules, 2);
    assert_int_equal(f->result->n_diagnostics, 0);
    const struct molt_built_module *counter = built(f, "counter"), *feed = built(f, "feed");
    assert_true(counter->is_new && feed->is_new);
    assert_true(exports(counter, "counter_next"));
    assert_true(imports(feed, "counter", "counter_next"));
    assert_int_equal(feed->meta->imports[0].sig, counter->meta->exports[0].sig);
    assert_memory_equal(header_of(counter, "counter")->digest, header_of(feed, "counter")->digest,
                        MOLT_SHA256_BYTES);
    char hex[MOLT_SHA256_HEX], path[512];
    molt_sha256_hex(counter->meta->digest, hex);
    snprintf(path, sizeof(path), "%s/.molt/store/counter-%s.so", f->root, hex);
    assert_string_equal(counter->image_path, path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
}

static void nothing_is_done_when_nothing_changed(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    for (int i = 0; i < 2; i++) {
        build_ok(f);
        assert_int_equal(f->result->n_compiled, 0);
        assert_int_equal(f->result->n_linked, 0);
        assert_false(built(f, "counter")->is_new);
        assert_true(exports(built(f, "counter"), "counter_next"));
        forget_builder(f); /* the second time from .molt/state */
    }
}

static void an_edit_rebuilds_its_module_alone(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    put(f, "src/counter.c", COUNTER_C "int x_(void);\n");
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 1);
    put(f, "src/feed.c",
        FEED_C "static int y MOLT_FRESH = 3;\nint *get_y(void);\n"
               "int *get_y(void) { return &y; }\n");
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 1);
    assert_int_equal(f->result->n_linked, 1);
    assert_true(built(f, "feed")->is_new);
    assert_false(built(f, "counter")->is_new);
}

static void going_back_gives_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char *first = strdup(built(f, "counter")->image_path);
    put(f, "src/counter.c", COUNTER_C "int x_(void);\nint x_(void) { return 5; }\n");
    build_ok(f);
    assert_string_not_equal(built(f, "counter")->image_path, first);
    put(f, "src/counter.c", COUNTER_C);
    build_ok(f);
    assert_string_equal(built(f, "counter")->image_path, first);
    free(first);
}

static void several_files_make_one_module(void **state)
{
    struct fixture *f = *state;
    put(f, "src/big/big.h", "#include \"big/part.h\"\nint big_a(void);\n");
    put(f, "src/big/part.h", "int big_b(void);\nstruct only_here { int x; };\n");
    put(f, "src/big/a.c",
        "#include \"big.h\"\n#include \"private/p.h\"\n"
        "int big_a(void) { return helper() + big_b(); }\n");
    put(f, "src/big/private/p.h", "int helper(void);\n");
    put(f, "src/big/b.c",
        "#include \"big.h\"\n#include \"private/p.h\"\n"
        "int big_b(void) { return 2; }\nint helper(void) { return 1; }\n");
    build_ok(f);
    const struct molt_built_module *big = built(f, "big");
    assert_int_equal(big->meta->n_exports, 2);
    assert_true(exports(big, "big_a") && exports(big, "big_b"));
    put(f, "src/big/b.c",
        "#include \"big.h\"\n#include \"private/p.h\"\n"
        "int big_b(void) { return 3; }\nint helper(void) { return 1; }\n");
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 1);
    assert_true(built(f, "big")->is_new);
}

static void libraries_are_linked_by_name(void **state)
{
    struct fixture *f = *state;
    char *conf;
    char path[128], text[512];
    snprintf(path, sizeof(path), "%s/molt.conf", f->root);
    conf = slurp(path);
    put(f, "src/wave.h", "double wave(double x);\n");
    put(f, "src/wave.c",
        "#include <math.h>\n#include \"wave.h\"\n"
        "double wave(double x) { return sin(x) + cbrt(x); }\n");
    assert_int_equal(build(f), MOLT_ELINK);
    const struct molt_diagnostic *d = told(f, "cbrt()");
    assert_string_equal(d->file, "src/wave.c");
    expect_line(d, 3);
    assert_non_null(strstr(d->message, "libs.wave"));
    snprintf(text, sizeof(text), "%slibs.wave = m\n", conf);
    put(f, "molt.conf", text);
    build_ok(f);
    snprintf(text, sizeof(text), "%slibs.wave = nosuchlibrary\n", conf);
    put(f, "molt.conf", text);
    struct molt_build_result *result = NULL;
    assert_int_equal(molt_builder_run(f->builder, 0, NULL, &result, &f->err), MOLT_ENOENT);
    assert_null(result);
    assert_non_null(strstr(f->err.text, "nosuchlibrary"));
    free(conf);
}

static void the_http_module_comes_with_its_header(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/web.c",
        "#include <molt/http.h>\n#include \"counter.h\"\n"
        "static int hello(struct molt_http *r)\n{\n    struct total t;\n"
        "    return molt_http_printf(r, 200, \"%ld\", counter_next(&t));\n}\n"
        "MOLT_ROUTES({\"GET\", \"/\", hello});\n");
    build_ok(f);
    assert_non_null(built(f, "http"));
    assert_true(exports(built(f, "http"), "molt_http_printf"));
    assert_true(imports(built(f, "web"), "http", "molt_http_printf"));
    put(f, "src/web.c", "int web(void);\n");
    build_ok(f);
    assert_null(built(f, "http"));
    assert_int_equal(f->result->n_deleted, 1);
}

/* ---- headers ----------------------------------------------------------------- */

static void a_changed_header_rebuilds_its_dependents(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/alone.c", "int alone_(void);\n");
    build_ok(f);
    uint64_t sig = built(f, "counter")->meta->exports[0].sig;
    put(f, "src/counter.h",
        "#ifndef COUNTER_H\n#define COUNTER_H\nstruct total { long n, m; };\n"
        "long counter_next(struct total *t);\n#endif\n");
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 2);
    assert_true(built(f, "feed")->is_new && built(f, "counter")->is_new);
    assert_false(built(f, "alone")->is_new || built(f, "alone")->is_kept);
    assert_true(built(f, "counter")->meta->exports[0].sig != sig);
    assert_int_equal(built(f, "counter")->meta->exports[0].sig,
                     built(f, "feed")->meta->imports[0].sig);
}

static void a_header_that_changes_nothing_for_a_module_keeps_its_version(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char *image = strdup(built(f, "feed")->image_path);
    uint8_t digest[MOLT_SHA256_BYTES];
    memcpy(digest, header_of(built(f, "feed"), "counter")->digest, sizeof(digest));
    put(f, "src/counter.h",
        "#ifndef COUNTER_H\n#define COUNTER_H\n#define COUNTER_MAX 4\n\n\n"
        "struct total { long n; };\nlong counter_next(struct total *t);\n#endif\n");
    build_ok(f);
    const struct molt_built_module *feed = built(f, "feed");
    assert_true(feed->is_kept);
    assert_false(feed->is_new);
    assert_string_equal(feed->image_path, image);
    assert_memory_not_equal(header_of(feed, "counter")->digest, digest, sizeof(digest));
    assert_memory_equal(header_of(feed, "counter")->digest,
                        header_of(built(f, "counter"), "counter")->digest, sizeof(digest));
    forget_builder(f);
    build_ok(f);
    assert_false(built(f, "feed")->is_kept || built(f, "feed")->is_new);
    assert_int_equal(f->result->n_linked, 0);
    free(image);
}

static void comments_in_a_header_change_no_digest(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    put(f, "src/counter.h", "/* A counter. */\n" COUNTER_H "\n// the end\n");
    build_ok(f);
    assert_false(built(f, "feed")->is_new || built(f, "feed")->is_kept);
    assert_false(built(f, "counter")->is_new || built(f, "counter")->is_kept);
}

static void a_new_include_renames_at_once(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/feed.c", "int feed_(void);\n");
    build_ok(f);
    put(f, "src/feed.c", FEED_C);
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 1);
    assert_true(imports(built(f, "feed"), "counter", "counter_next"));
    put(f, "src/feed.c", "int feed_(void);\n");
    build_ok(f);
    assert_int_equal(built(f, "feed")->meta->n_imports, 0);
    assert_int_equal(built(f, "feed")->meta->n_headers, 0);
}

static void includes_that_conditions_hide_are_found_out(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/feed.c",
        "#if 0\n#include \"counter.h\"\n#endif\n"
        "int counter_next_(void);\nint counter_next_(void) { return 1; }\n");
    build_ok(f);
    assert_int_equal(built(f, "feed")->meta->n_imports, 0);
    put(f, "src/feed.c",
        "#define H \"counter.h\"\n#include H\n#include <molt/molt.h>\n"
        "static int on_load(void)\n{\n    struct total t;\n"
        "    return counter_next(&t) < 0;\n}\nMOLT_ON_LOAD(on_load);\n");
    build_ok(f);
    assert_true(imports(built(f, "feed"), "counter", "counter_next"));
}

static void a_header_that_hides_another_is_seen(void **state)
{
    struct fixture *f = *state;
    put(f, "include/limit.h", "#define LIMIT 1\n");
    put(f, "src/a.h", "int a_limit(void);\n");
    put(f, "src/a.c",
        "#include \"a.h\"\n#include \"limit.h\"\nint a_limit(void) { return LIMIT; }\n");
    build_ok(f);
    put(f, "src/limit.h", "#define LIMIT 2\n");
    build_ok(f);
    assert_true(built(f, "a")->is_new);
}

static void a_header_must_stand_alone(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.h", "unknown_t a_get(void);\n");
    put(f, "src/a.c", "typedef int unknown_t;\n#include \"a.h\"\nint a_get(void) { return 1; }\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    assert_string_equal(told(f, "unknown_t")->file, "src/a.h");
}

/* ---- errors ------------------------------------------------------------------ */

static void a_compile_error_changes_nothing(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char *image = strdup(built(f, "counter")->image_path);
    put(f, "src/counter.c",
        "#include \"counter.h\"\nlong counter_next(struct total *t)\n{\n"
        "    return t->nothing;\n}\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    const struct molt_diagnostic *d = told(f, "nothing");
    assert_string_equal(d->file, "src/counter.c");
    assert_int_equal(d->line, 4);
    assert_true(d->column > 0 && d->is_error);
    assert_int_equal(f->result->n_modules, 0);
    put(f, "src/counter.c", COUNTER_C);
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 0);
    assert_false(built(f, "counter")->is_new);
    assert_string_equal(built(f, "counter")->image_path, image);
    assert_int_equal(access(image, R_OK), 0);
    free(image);
}

static void an_unclosed_function_is_reported_in_the_authors_file(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/feed.c", "#include \"counter.h\"\nint f(void);\nint f(void)\n{\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    for (size_t i = 0; i < f->result->n_diagnostics; i++)
        assert_string_equal(f->result->diagnostics[i].file, "src/feed.c");
    assert_true(f->result->n_diagnostics > 0);
}

static void warnings_of_the_author_are_shown(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.c", "static int unused_one(void)\n{\n    return 1;\n}\n");
    build_ok(f);
    const struct molt_diagnostic *d = told(f, "unused_one");
    assert_false(d->is_error);
    assert_string_equal(d->file, "src/a.c");
    assert_int_equal(d->line, 1);
    assert_int_equal(f->result->n_diagnostics, 1);
}

static void all_errors_are_shown_at_once(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.c", "int a(void) { return first_error; }\n");
    put(f, "src/b.c", "int b(void) { return second_error; }\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    assert_string_equal(told(f, "first_error")->file, "src/a.c");
    assert_string_equal(told(f, "second_error")->file, "src/b.c");
}

static void a_missing_export_is_named(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.h", "int a_one(void);\n\nint a_two(void);\n");
    put(f, "src/a.c", "#include \"a.h\"\nint a_one(void) { return 1; }\n");
    assert_int_equal(build(f), MOLT_ELINK);
    const struct molt_diagnostic *d = told(f, "a_two()");
    assert_string_equal(d->file, "src/a.h");
    assert_int_equal(d->line, 3);
}

static void a_function_of_another_modules_header_is_refused(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/feed.c",
        "#include \"counter.h\"\n\n"
        "long counter_next(struct total *t) { return t->n; }\n");
    assert_int_equal(build(f), MOLT_ELINK);
    const struct molt_diagnostic *d = told(f, "module feed defines counter_next()");
    assert_string_equal(d->file, "src/feed.c");
    assert_int_equal(d->line, 3);
}

static void an_undefined_function_is_located(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.h", "int a(void);\n");
    put(f, "src/a.c",
        "#include \"a.h\"\nint nowhere(void);\nint a(void)\n{\n"
        "    return nowhere();\n}\n");
    assert_int_equal(build(f), MOLT_ELINK);
    const struct molt_diagnostic *d = told(f, "nowhere()");
    assert_string_equal(d->file, "src/a.c");
    expect_line(d, 5);
}

static void a_misspelt_function_of_molt_is_told_with_the_right_one(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.c",
        "#include <molt/molt.h>\nint molt_sned(const char *name, void *message);\n"
        "static int start(void)\n{\n    return molt_sned(\"a\", NULL);\n}\n"
        "MOLT_ON_LOAD(start);\n");
    assert_int_equal(build(f), MOLT_ELINK);
    const struct molt_diagnostic *d = told(f, "did you mean molt_send()?");
    assert_string_equal(d->file, "src/a.c");
    expect_line(d, 5);
    put(f, "src/a.c",
        "int molt_fly_to_the_moon(void);\nint start(void);\n"
        "int start(void)\n{\n    return molt_fly_to_the_moon();\n}\n");
    assert_int_equal(build(f), MOLT_ELINK);
    told(f, "molt_fly_to_the_moon(), which nothing defines");
    /* That is the http module's: without its header it has another name. */
    put(f, "src/a.c",
        "int molt_http_printf(void);\nint start(void);\n"
        "int start(void)\n{\n    return molt_http_printf();\n}\n");
    assert_int_equal(build(f), MOLT_ELINK);
}

static void what_only_warns_in_c_but_crashes_is_an_error(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", strcmp(f->cc, "gcc") == 0 ? "name = x\n" : "name = x\ncc = clang\n");
    put(f, "src/a.c", "int a(void);\nint a(void)\n{\n    return undeclared(1);\n}\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    expect_line(told(f, "undeclared"), 4);
    put(f, "src/a.c", "char *a(long n);\nchar *a(long n)\n{\n    return n;\n}\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    put(f, "src/a.c", "int *a(char **n);\nint *a(char **n)\n{\n    return n;\n}\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    put(f, "src/a.c", "f(void);\nf(void)\n{\n    return 1;\n}\n");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    put(f, "src/a.c", "int a(void);\nint a(void)\n{\n    return 1;\n}\n");
    build_ok(f);
}

static void one_name_defined_twice_is_a_link_error(void **state)
{
    struct fixture *f = *state;
    put(f, "src/big/a.c", "int twice(void);\nint twice(void) { return 1; }\n");
    put(f, "src/big/b.c", "int twice(void);\nint twice(void) { return 2; }\n");
    assert_int_equal(build(f), MOLT_ELINK);
    told(f, "twice");
}

static void broken_image_rules_are_refusals(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.c", "__attribute__((constructor)) static void early(void) { }\n");
    assert_int_equal(build(f), MOLT_EREFUSED);
    told(f, "module a");
    put(f, "src/a.c", "int fine(void);\n");
    build_ok(f);
}

static void a_bad_conf_fails_the_build_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char path[128];
    snprintf(path, sizeof(path), "%s/molt.conf", f->root);
    char *conf = slurp(path);
    put(f, "molt.conf", "cflags = 'open\n");
    struct molt_build_result *result = NULL;
    assert_int_equal(molt_builder_run(f->builder, 0, NULL, &result, &f->err), MOLT_EFORMAT);
    put(f, "molt.conf", "cc = molt-no-such-compiler\n");
    assert_int_equal(molt_builder_run(f->builder, 0, NULL, &result, &f->err), MOLT_ENOENT);
    assert_non_null(strstr(f->err.text, "molt-no-such-compiler"));
    put(f, "molt.conf", conf);
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 0);
    free(conf);
}

/* ---- names ------------------------------------------------------------------- */

static void exports_may_have_names_of_libc(void **state)
{
    struct fixture *f = *state;
    put(f, "src/text.h", "int index(int a, int b);\nint log_init(void);\nint time(int *t);\n");
    put(f, "src/text.c",
        "#include \"text.h\"\nint index(int a, int b) { return a - b; }\n"
        "int log_init(void) { return 7; }\nint time(int *t) { return *t; }\n");
    put(f, "src/user.c",
        "#include \"text.h\"\nint use(void);\nint use(void)\n{\n    int t = 1;\n"
        "    return index(3, 2) + log_init() + time(&t);\n}\n");
    build(f);
    assert_int_equal(f->result->code, 0);
    assert_int_equal(built(f, "text")->meta->n_exports, 3);
    assert_true(imports(built(f, "user"), "text", "index"));
    assert_true(imports(built(f, "user"), "text", "time"));
}

static void helpers_may_be_named_like_exports_of_others(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/other/a.c", "int counter_next(int x);\nint counter_next(int x) { return x; }\n");
    put(f, "src/other/b.c",
        "int counter_next(int x);\nint b(void);\n"
        "int b(void) { return counter_next(2); }\n");
    build_ok(f);
    assert_int_equal(built(f, "other")->meta->n_exports, 0);
    assert_int_equal(built(f, "other")->meta->n_imports, 0);
}

static void a_module_may_be_named_like_a_system_header(void **state)
{
    struct fixture *f = *state;
    put(f, "src/string.h", "int string_len(const char *s);\n");
    put(f, "src/string.c",
        "#include \"string.h\"\n#include <string.h>\n"
        "int string_len(const char *s) { return (int)strlen(s); }\n");
    build_ok(f);
    assert_int_equal(built(f, "string")->meta->n_exports, 1);
}

static void macros_of_the_author_break_nothing_generated(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/feed.c",
        FEED_C "#define size 16\n#define name nope(\n#define magic\n"
               "#define counter_next(t) no_such_function(t)\n");
    build_ok(f);
    assert_true(imports(built(f, "feed"), "counter", "counter_next"));
}

/* ---- coming and going ---------------------------------------------------------- */

static void modules_come_and_go(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    put(f, "src/extra.c", "int extra(void);\n");
    build_ok(f);
    assert_true(built(f, "extra")->is_new);
    assert_int_equal(f->result->n_deleted, 0);
    drop(f, "src/extra.c");
    build_ok(f);
    assert_int_equal(f->result->n_deleted, 1);
    assert_string_equal(f->result->deleted[0], "extra");
    build_ok(f);
    assert_int_equal(f->result->n_deleted, 0);
    put(f, "src/extra.c", "int extra(void);\n");
    build_ok(f);
    assert_true(built(f, "extra")->is_new);
}

static void a_deletion_is_reported_by_the_next_good_build(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "src/extra.c", "int extra(void);\n");
    build_ok(f);
    drop(f, "src/extra.c");
    put(f, "src/feed.c", "no c");
    assert_int_equal(build(f), MOLT_ECOMPILE);
    put(f, "src/feed.c", FEED_C);
    build_ok(f);
    assert_int_equal(f->result->n_deleted, 1);
}

static void the_build_folder_may_be_deleted(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char path[128], *image = strdup(built(f, "counter")->image_path);
    snprintf(path, sizeof(path), "%s/.molt", f->root);
    remove_tree(path);
    build_ok(f);
    assert_string_equal(built(f, "counter")->image_path, image);
    assert_int_equal(access(image, R_OK), 0);
    free(image);
}

static void damage_in_the_build_folder_is_repaired(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char *image = strdup(built(f, "counter")->image_path);
    assert_int_equal(chmod(image, 0644), 0);
    put_in("", image + 1, "garbage");
    put(f, ".molt/obj/feed/feed.o", "garbage");
    build_ok(f);
    assert_int_equal(f->result->n_compiled, 1);
    char *text = slurp(image);
    assert_memory_equal(text, "\177ELF", 4);
    free(text);
    forget_builder(f);
    put(f, ".molt/state", "garbage that is no state");
    put(f, ".molt/cache/toolchain", "garbage");
    build_ok(f);
    assert_string_equal(built(f, "counter")->image_path, image);
    free(image);
}

static void flags_are_part_of_what_is_built(void **state)
{
    struct fixture *f = *state;
    put(f, "src/a.h", "int a(void);\n");
    put(f, "src/a.c", "#include \"a.h\"\nint a(void) { return X; }\n");
    put(f, "molt.conf", "cflags = -DX=1\n");
    build_ok(f);
    put(f, "molt.conf", "cflags = -DX=1\ncflags.a = -UX -DX=2\n");
    build_ok(f);
    assert_true(built(f, "a")->is_new);
}

static void sanitizers_are_for_all_of_a_module(void **state)
{
    struct fixture *f = *state;
    if (strcmp(f->cc, "clang") == 0)
        SKIP_IF_EMULATED("clang's sanitizer runtimes are those of the build machine");
    const struct molt_build_options options = {.is_dev = true,
                                               .jobs = 2,
                                               .sanitizer = "address,undefined"};
    put_shop(f);
    open_builder(f, &options);
    build_ok(f);
    assert_true(built(f, "counter")->meta->flags & MOLT_META_SANITIZED);
    uint8_t digest[MOLT_SHA256_BYTES];
    memcpy(digest, built(f, "counter")->meta->digest, sizeof(digest));
    forget_builder(f);
    build_ok(f);
    assert_false(built(f, "counter")->meta->flags & MOLT_META_SANITIZED);
    assert_memory_not_equal(built(f, "counter")->meta->digest, digest, sizeof(digest));
}

static void the_thread_sanitizer_needs_clang(void **state)
{
    struct fixture *f = *state;
    const struct molt_build_options options = {.is_dev = true, .sanitizer = "thread"};
    assert_int_equal(molt_builder_new(f->root, &options, &f->builder, &f->err), MOLT_ENOTSUP);
    assert_null(f->builder);
    assert_non_null(strstr(f->err.text, "clang"));
}

static void a_debugger_finds_lines_of_the_authors_file(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    build_ok(f);
    char command[512], line[512];
    snprintf(command, sizeof(command), "gdb -nx -batch -ex 'info line counter.c:6' '%s' 2>&1",
             built(f, "counter")->image_path);
    if (system("command -v gdb >/dev/null") != 0)
        skip();
    FILE *out = popen(command, "re");
    assert_non_null(out);
    bool is_found = false;
    while (fgets(line, sizeof(line), out))
        is_found = is_found || strstr(line, "Line 6 of \"src/counter.c\" starts at address");
    assert_int_equal(pclose(out), 0);
    assert_true(is_found);
}

/* ---- the rest ------------------------------------------------------------------ */

static void editors_get_compile_commands(void **state)
{
    struct fixture *f = *state;
    char path[128];
    put_shop(f);
    build_ok(f);
    snprintf(path, sizeof(path), "%s/compile_commands.json", f->root);
    char *text = slurp(path);
    assert_non_null(strstr(text, "/src/counter.c\""));
    assert_non_null(strstr(text, "\"-Wpedantic\""));
    assert_null(strstr(text, "tu.c"));
    free(text);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    put(f, "src/counter.c", COUNTER_C "\n");
    build_ok(f);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void one_file_is_built_outside_the_project(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    put(f, "patch/fix.c", FEED_C);
    build_ok(f);
    molt_build_result_free(f->result);
    f->result = NULL;
    char path[128];
    snprintf(path, sizeof(path), "%s/patch/fix.c", f->root);
    assert_int_equal(molt_builder_file(f->builder, path, "fix", &f->result, &f->err), 0);
    assert_int_equal(f->result->code, 0);
    assert_int_equal(f->result->n_modules, 1);
    assert_true(imports(built(f, "fix"), "counter", "counter_next"));
    struct molt_build_result *none = NULL;
    assert_int_equal(molt_builder_file(f->builder, path, "no-name", &none, &f->err), MOLT_EINVAL);
    assert_int_equal(molt_builder_file(f->builder, "/no/file.c", "x", &none, &f->err), MOLT_ENOENT);
    build_ok(f);
    assert_int_equal(f->result->n_deleted, 0);
    assert_int_equal(f->result->n_compiled, 0);
}

static void a_file_that_is_being_written_is_not_loaded(void **state)
{
    struct fixture *f = *state;
    char path[512];
    put(f, "src/a.c", "int a(void);\nint a(void) { return 1; }\n");
    put(f, "one.c", "int one(void);\nint one(void) { return 1; }\n");
    snprintf(path, sizeof(path), "%s/one.c", f->root);
    open_builder(f, NULL);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(molt_builder_file(f->builder, path, "one", &f->result, &f->err), MOLT_EBUSY);
    assert_non_null(strstr(f->err.text, "is being written"));
    assert_null(f->result);
    close(fd);
    assert_int_equal(molt_builder_file(f->builder, path, "one", &f->result, &f->err), 0);
    assert_int_equal(f->result->code, 0);
    put(f, "one.c", "");
    molt_build_result_free(f->result);
    f->result = NULL;
    assert_int_equal(molt_builder_file(f->builder, path, "one", &f->result, &f->err), MOLT_EINVAL);
    assert_non_null(strstr(f->err.text, "is empty"));
}

static void a_save_during_the_build_is_not_lost(void **state)
{
    struct fixture *f = *state;
    put_shop(f);
    /* A compiler that saves the header as soon as it has read it. */
    put(f, "cc.sh",
        "#!/bin/sh\n. ./real.sh\n$REAL \"$@\" || exit 1\n"
        "case \"$*\" in *feed.tu.c*) [ -f saved ] || { touch saved; cp new.h src/counter.h; };; "
        "esac\n");
    put(f, "new.h",
        "#ifndef COUNTER_H\n#define COUNTER_H\nstruct total { long n, z; };\n"
        "long counter_next(struct total *t);\n#endif\n");
    char path[128], *conf, *cc;
    snprintf(path, sizeof(path), "%s/molt.conf", f->root);
    conf = slurp(path);
    cc = strstr(conf, "cc = ") + 5;
    cc[strcspn(cc, "\n")] = 0;
    char text[256];
    snprintf(text, sizeof(text), "REAL=%s\n", cc);
    put(f, "real.sh", text);
    snprintf(path, sizeof(path), "%s/cc.sh", f->root);
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(text, sizeof(text), "cc = %s/cc.sh\n", f->root);
    put(f, "molt.conf", text);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(here >= 0 && chdir(f->root) == 0);
    build_ok(f);
    uint64_t sig = built(f, "feed")->meta->imports[0].sig;
    build_ok(f);
    assert_true(built(f, "feed")->meta->imports[0].sig != sig);
    assert_int_equal(built(f, "feed")->meta->imports[0].sig,
                     built(f, "counter")->meta->exports[0].sig);
    assert_int_equal(fchdir(here), 0);
    close(here);
    free(conf);
}

#define TEST(fn, cc)                                                                               \
    {                                                                                              \
        .name = #fn " (" cc ")", .test_func = fn, .setup_func = setup, .teardown_func = teardown,  \
        .initial_state = (void *)(uintptr_t)cc                                                     \
    }
#define BOTH(fn) TEST(fn, "gcc"), TEST(fn, "clang")

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_project_becomes_images_in_the_store),
        BOTH(nothing_is_done_when_nothing_changed),
        BOTH(an_edit_rebuilds_its_module_alone),
        BOTH(going_back_gives_the_same_bytes),
        BOTH(several_files_make_one_module),
        BOTH(libraries_are_linked_by_name),
        BOTH(the_http_module_comes_with_its_header),
        BOTH(a_changed_header_rebuilds_its_dependents),
        BOTH(a_header_that_changes_nothing_for_a_module_keeps_its_version),
        BOTH(comments_in_a_header_change_no_digest),
        BOTH(a_new_include_renames_at_once),
        BOTH(includes_that_conditions_hide_are_found_out),
        TEST(a_header_that_hides_another_is_seen, "gcc"),
        BOTH(a_header_must_stand_alone),
        BOTH(a_compile_error_changes_nothing),
        BOTH(an_unclosed_function_is_reported_in_the_authors_file),
        BOTH(warnings_of_the_author_are_shown),
        TEST(all_errors_are_shown_at_once, "gcc"),
        BOTH(a_missing_export_is_named),
        BOTH(a_function_of_another_modules_header_is_refused),
        BOTH(an_undefined_function_is_located),
        BOTH(a_misspelt_function_of_molt_is_told_with_the_right_one),
        BOTH(what_only_warns_in_c_but_crashes_is_an_error),
        TEST(one_name_defined_twice_is_a_link_error, "gcc"),
        BOTH(broken_image_rules_are_refusals),
        TEST(a_bad_conf_fails_the_build_and_nothing_else, "gcc"),
        BOTH(exports_may_have_names_of_libc),
        BOTH(helpers_may_be_named_like_exports_of_others),
        BOTH(a_module_may_be_named_like_a_system_header),
        BOTH(macros_of_the_author_break_nothing_generated),
        TEST(modules_come_and_go, "gcc"),
        TEST(a_deletion_is_reported_by_the_next_good_build, "gcc"),
        TEST(the_build_folder_may_be_deleted, "gcc"),
        TEST(damage_in_the_build_folder_is_repaired, "gcc"),
        TEST(flags_are_part_of_what_is_built, "gcc"),
        BOTH(sanitizers_are_for_all_of_a_module),
        TEST(the_thread_sanitizer_needs_clang, "gcc"),
        BOTH(a_debugger_finds_lines_of_the_authors_file),
        TEST(editors_get_compile_commands, "gcc"),
        BOTH(one_file_is_built_outside_the_project),
        TEST(a_file_that_is_being_written_is_not_loaded, "gcc"),
        TEST(a_save_during_the_build_is_not_lost, "gcc"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
