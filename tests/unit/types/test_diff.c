/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Differences in words, places in code, words with addresses. */
#include "unit/types/fixture.h"

static const char maker[] =
    "\nvoid *make(void);\nvoid *make(void) { return molt_new(struct s); }\n";

static void build(struct fixture *f, const char *cc, const char *declarations)
{
    char text[2048];
    fixture_init(f, cc, "-O0");
    snprintf(text, sizeof text, "#include <molt/molt.h>\n%s%s", declarations, maker);
    fixture_good(f, "m", text);
}

/* The differences of struct s between two texts are exactly @expected. */
static void differs(const char *old, const char *new, const char *expected)
{
    struct fixture a, b;
    struct molt_buf out = MOLT_BUF_INIT;
    struct molt_error err = {0};
    build(&a, "gcc", old);
    build(&b, "clang", new);
    int n = molt_image_diff(a.image, a.len, b.image, b.len, "m/m.c:struct s", &out, &err);
    if (n < 0)
        fail_msg("%s", err.text);
    assert_string_equal(out.data ? out.data : "", expected);
    int lines = 0;
    for (const char *at = expected; *at; at++)
        lines += *at == '\n';
    assert_int_equal(n, lines);
    molt_buf_fini(&out);
    fixture_fini(&a);
    fixture_fini(&b);
}

static void equal_layouts_have_no_differences(void **state)
{
    (void)state;
    differs("struct s { long n; };", "typedef long l; struct s { l n; };", "");
}

static void changed_members_are_named(void **state)
{
    (void)state;
    differs("struct s { long n; };", "struct s { int n; };", "struct s.n  long -> int\n");
    differs("struct s { long n; };", "struct s { long n, max; };", "struct s.max  added (long)\n");
    differs("struct s { long n; char *name; };", "struct s { long n; };",
            "struct s.name  removed (char *)\n");
    differs("struct s { int a, b; };", "struct s { int b, a; };",
            "struct s.a  moved from byte 0 to 4\nstruct s.b  moved from byte 4 to 0\n");
    differs("struct s { char n[16]; };", "struct s { char n[32]; };",
            "struct s.n  char [16] -> char [32]\n");
    differs("struct s { int a : 3; };", "struct s { int a : 5; };",
            "struct s.a  3 bits -> 5 bits\n");
    differs("typedef int ident; struct s { ident id; };",
            "typedef long ident; struct s { ident id; };", "struct s.id  int -> long\n");
    differs("struct s { int (*f)(int); };", "struct s { int (*f)(long); };",
            "struct s.f  int (*)(int) -> int (*)(long)\n");
    differs("struct s { int n; };", "struct s { int n; } __attribute__((aligned(16)));",
            "struct s  4 bytes -> 16 bytes\n");
}

static void nested_members_have_paths(void **state)
{
    (void)state;
    differs("struct p { int x, y; }; struct s { struct p pos; struct { long a; } in[2]; };",
            "struct p { long x, y; }; struct s { struct p pos; struct { int a; } in[2]; };",
            "struct s.pos.x  int -> long\nstruct s.pos.y  int -> long\n"
            "struct s.in.a  long -> int\n");
    differs("enum e { A, B }; struct s { enum e e; };",
            "enum e { A, C, B }; struct s { enum e e; };",
            "struct s.e.B  1 -> 2\nstruct s.e.C  added (1)\n");
}

static void pointed_to_structs_are_compared_once(void **state)
{
    (void)state;
    differs("struct t { struct t *next; int v; }; struct s { struct t *a, *b; struct s *me; };",
            "struct t { struct t *next; long v; }; struct s { struct t *a, *b; struct s *me; };",
            "struct t.v  int -> long\n");
    differs("struct t { int v; }; struct s { struct t *a; };",
            "struct u { int v; }; struct s { struct u *a; };",
            "struct s.a  struct t * -> struct u *\n");
}

static void types_that_are_not_in_both_are_an_error(void **state)
{
    (void)state;
    struct fixture f;
    struct molt_buf out = MOLT_BUF_INIT;
    struct molt_error err = {0};
    build(&f, "gcc", "struct s { int n; };");
    assert_int_equal(molt_image_diff(f.image, f.len, f.image, f.len, "m/m.c:struct t", &out, &err),
                     MOLT_ENOENT);
    assert_int_equal(molt_image_diff(f.image, 100, f.image, f.len, "m/m.c:struct s", &out, &err),
                     MOLT_EFORMAT);
    molt_buf_fini(&out);
    fixture_fini(&f);
}

/* In the meta keys are relative to a project that diff isn't told. */
static void header_types_are_found_by_their_short_key(void **state)
{
    (void)state;
    struct fixture f;
    struct molt_buf out = MOLT_BUF_INIT;
    fixture_init(&f, "gcc", "-O0");
    compile_write(&f.c, "src/s.h", "struct s { int n; };\n");
    fixture_good(&f, "m",
                 "#include <molt/molt.h>\n#include \"s.h\"\nvoid *make(void);\n"
                 "void *make(void) { return molt_new(struct s); }\n");
    fixture_type(&f, "src/s.h:struct s");
    assert_int_equal(molt_image_diff(f.image, f.len, f.image, f.len, "src/s.h:struct s", &out,
                                     NULL),
                     0);
    molt_buf_fini(&out);
    fixture_fini(&f);
}

static void check_word(const struct molt_meta_type *t, size_t i, uint32_t offset, uint32_t count,
                       enum molt_ptr_kind kind, const char *field)
{
    assert_true(i < t->n_ptrs);
    assert_string_equal(t->ptrs[i].field, field);
    assert_int_equal(t->ptrs[i].offset, offset);
    assert_int_equal(t->ptrs[i].count, count);
    assert_int_equal(t->ptrs[i].kind, kind);
}

static void words_that_may_hold_addresses_are_listed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc",
              "#include <stdint.h>\nstruct t { long a; struct t *t; };\n"
              "struct s { void *any; const char *text; uintptr_t word; uint64_t plain; long l;\n"
              "  struct t *data; void (*code)(void); union { long a; char *p; } u;\n"
              "  char small[7]; char big[17]; struct t list[2]; struct s *more[3];\n"
              "  char grid[4][6]; double d; _Atomic(struct t *) at; void (*codes[2])(void); };\n");
        const struct molt_meta_type *t = fixture_type(&f, "m/m.c:struct s");
        size_t n = 0;
        check_word(t, n++, 0, 1, MOLT_PTR_ANY, "any");
        check_word(t, n++, 8, 1, MOLT_PTR_ANY, "text");
        check_word(t, n++, 16, 1, MOLT_PTR_WORD, "word");
        check_word(t, n++, 40, 1, MOLT_PTR_DATA, "data");
        check_word(t, n++, 48, 1, MOLT_PTR_CODE, "code");
        check_word(t, n++, 56, 1, MOLT_PTR_WORD, "u");
        check_word(t, n++, 72, 2, MOLT_PTR_WORD, "big");
        check_word(t, n++, 96, 1, MOLT_PTR_DATA, "list[0].t");
        check_word(t, n++, 112, 1, MOLT_PTR_DATA, "list[1].t");
        check_word(t, n++, 120, 3, MOLT_PTR_DATA, "more");
        check_word(t, n++, 144, 3, MOLT_PTR_WORD, "grid");
        check_word(t, n++, 176, 1, MOLT_PTR_DATA, "at");
        check_word(t, n++, 184, 2, MOLT_PTR_CODE, "codes");
        assert_int_equal(t->n_ptrs, n);
        fixture_fini(&f);
    }
}

static void flexible_members_are_described_beside_the_type(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc",
              "struct e { long a; void *any; struct e *e[2]; };\n"
              "struct s { long n; char c; struct e list[]; };\n");
        const struct molt_meta_type *t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->size, 16);
        assert_int_equal(t->n_ptrs, 0);
        assert_int_equal(t->flex_at, 16);
        assert_int_equal(t->flex_size, 32);
        assert_int_equal(t->n_flex_ptrs, 2);
        assert_int_equal(t->flex_ptrs[0].offset, 8);
        assert_int_equal(t->flex_ptrs[0].kind, MOLT_PTR_ANY);
        assert_string_equal(t->flex_ptrs[0].field, "list[].any");
        assert_int_equal(t->flex_ptrs[1].offset, 16);
        assert_int_equal(t->flex_ptrs[1].count, 2);
        assert_int_equal(t->flex_ptrs[1].kind, MOLT_PTR_DATA);
        fixture_fini(&f);
        build(&f, i ? "clang" : "gcc", "struct s { int n; char text[]; };\n");
        t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->flex_at, 4);
        assert_int_equal(t->flex_size, 1);
        assert_int_equal(t->n_flex_ptrs, 0);
        fixture_fini(&f);
        build(&f, i ? "clang" : "gcc", "struct s { char *lines[2]; int n; };\n");
        t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->flex_size, 0);
        fixture_fini(&f);
    }
}

static void globals_are_listed_unless_constant_or_fresh(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(&f, "m",
                     "#include <molt/molt.h>\n"
                     "int in_data = 5; static long in_bss[4]; MOLT_FRESH int marked;\n"
                     "const int constant = 3; static const char *const names[] = {\"a\"};\n"
                     "static const char *mutable_name = \"b\";\n"
                     "long use(int i, const char *s); long use(int i, const char *s)\n"
                     "{ static int here; in_bss[i] += in_data++ + marked++ + here++;\n"
                     "  const char *was = mutable_name; mutable_name = s;\n"
                     "  return in_bss[i] + names[0][0] + was[0] + constant; }\n");
        assert_int_equal(f.meta->n_globals, 4);
        assert_string_equal(f.meta->globals[0], "m.c:in_bss");
        assert_string_equal(f.meta->globals[1], "m.c:in_data");
        assert_string_equal(f.meta->globals[2], "m.c:mutable_name");
        assert_string_equal(f.meta->globals[3], "m.c:use:here");
        fixture_fini(&f);
    }
}

static uint64_t address_of(struct fixture *f, const char *symbol)
{
    char command[256], line[256];
    snprintf(command, sizeof command, "nm %s/module.so", f->c.dir);
    FILE *nm = popen(command, "r");
    assert_non_null(nm);
    uint64_t found = 0;
    while (fgets(line, sizeof line, nm)) {
        line[strcspn(line, "\n")] = '\0';
        if (strlen(line) > 19 && strcmp(line + 19, symbol) == 0)
            found = strtoull(line, NULL, 16);
    }
    pclose(nm);
    assert_true(found);
    return found;
}

static void addresses_lead_to_function_and_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(&f, "m",
                     "#include <molt/molt.h>\n"
                     "static inline __attribute__((always_inline)) void boom(volatile int *p)\n"
                     "{\n    *p = __LINE__;\n}\n"
                     "void use(volatile int *p);\nvoid use(volatile int *p)\n{\n    boom(p);\n}\n");
        char *path = compile_path(&f.c, "module.so");
        uint64_t start = address_of(&f, "use");
        struct molt_source_location loc;
        assert_int_equal(molt_image_locate(path, start, &loc), 0);
        assert_non_null(strstr(loc.file, "src/m.c"));
        molt_source_location_fini(&loc);
        bool was_inlined = false;
        for (uint64_t at = start; at < start + 40 && !was_inlined; at++) {
            assert_int_equal(molt_image_locate(path, at, &loc), 0);
            was_inlined = loc.function && strcmp(loc.function, "boom") == 0 && loc.line == 4;
            molt_source_location_fini(&loc);
        }
        assert_true(was_inlined);
        assert_int_equal(molt_image_locate(path, 0x7fffffff, &loc), 0);
        assert_null(loc.function);
        assert_int_equal(molt_image_locate("/nowhere", 0, &loc), MOLT_ENOENT);
        free(path);
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_layouts_have_no_differences),
        cmocka_unit_test(changed_members_are_named),
        cmocka_unit_test(nested_members_have_paths),
        cmocka_unit_test(pointed_to_structs_are_compared_once),
        cmocka_unit_test(types_that_are_not_in_both_are_an_error),
        cmocka_unit_test(header_types_are_found_by_their_short_key),
        cmocka_unit_test(words_that_may_hold_addresses_are_listed),
        cmocka_unit_test(flexible_members_are_described_beside_the_type),
        cmocka_unit_test(globals_are_listed_unless_constant_or_fresh),
        cmocka_unit_test(addresses_lead_to_function_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
