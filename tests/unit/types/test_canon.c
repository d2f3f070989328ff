/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Hashes: equal for equal declarations whatever made the image, different for
 * different ones. */
#include "unit/types/fixture.h"

/* Everything that C has, in one header. */
static const char all_h[] =
    "#ifndef ALL_H\n#define ALL_H\n#include <stdint.h>\n#include <stdbool.h>\n"
    "#include <stdarg.h>\n#include <stdio.h>\n#include <stddef.h>\n"
    "#ifdef PLAIN\n#define ATOMIC(T) T\n#else\n#define ATOMIC(T) _Atomic(T)\n#endif\n"
    "enum color { RED, GREEN = 5, BLUE = -1 };\n"
    "typedef enum { BIG = 0xf0000000u, HUGE_ONE = 200 } big_t;\n"
    "typedef struct { int x, y; } point_t;\n"
    "typedef int row_t[3];\n"
    "struct opaque;\n"
    "typedef int (*compare_t)(const void *, const void *);\n"
    "struct node { struct node *next; struct other *other; union { long l; double d; }; };\n"
    "struct other { struct node *back; struct node inner[2]; };\n"
    "struct bits { unsigned a : 1; unsigned b : 7; int : 4; int c : 3; unsigned : 0;\n"
    "              uint64_t d : 40; _Bool e : 1; uint8_t f : 5; enum color g : 4; };\n"
    "struct packed { char c; long l; } __attribute__((packed));\n"
    "struct all {\n"
    "  char c; signed char sc; unsigned char uc; short s; unsigned short us; int i; unsigned u;\n"
    "  long l; unsigned long ul; long long ll; unsigned long long ull; float f; double d;\n"
    "  long double ld; _Bool b; __int128 i128; double _Complex z; wchar_t w;\n"
    "  int grid[4][2]; row_t rows[2]; const char *text; char *const fixed; void *any;\n"
    "  volatile int v; ATOMIC(int) ai; ATOMIC(struct node *) an; ATOMIC(long) al;\n"
    "  enum color color; big_t big; point_t point; point_t *points; struct { int q; } anon;\n"
    "  struct opaque *opaque; compare_t compare; int (*table[3])(struct all *, ...);\n"
    "  struct bits bits; struct packed packed; struct node node; FILE *file;\n"
    "  int (*matrix)[5]; uintptr_t word; size_t zero[0]; va_list *ap; char tail[];\n"
    "};\n"
    "long f_void(void);\n"
    "void f_all(struct all *, const struct all *restrict, volatile int *const);\n"
    "point_t f_point(point_t p, struct packed q, enum color c);\n"
    "compare_t f_compare(compare_t c, void (*v)(int (*)(row_t)), row_t *r, int a[static 4]);\n"
    "int f_variadic(const char *fmt, ...);\n"
    "int f_list(const char *fmt, va_list ap);\n"
    "unsigned char f_small(unsigned char a, short b, _Bool c, float d);\n"
    "const struct opaque *f_opaque(struct opaque **o, FILE *file, ATOMIC(int) *a);\n"
    "#endif\n";

static const char *const functions[] = {"f_void",     "f_all",  "f_point", "f_compare",
                                        "f_variadic", "f_list", "f_small", "f_opaque"};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static const char provider_c[] =
    "#include <molt/molt.h>\n#include \"../all.h\"\n"
    "struct opaque { int secret; };\n"
    "long f_void(void) { return 1; }\n"
    "void f_all(struct all *a, const struct all *restrict b, volatile int *const c)\n"
    "{ a->i = b->i + *c; }\n"
    "point_t f_point(point_t p, struct packed q, enum color c) { p.x += q.c + (int)c; return p; }\n"
    "compare_t f_compare(compare_t c, void (*v)(int (*)(row_t)), row_t *r, int a[static 4])\n"
    "{ v(0); (*r)[0] = a[1]; return c; }\n"
    "int f_variadic(const char *fmt, ...) { return fmt[0]; }\n"
    "int f_list(const char *fmt, va_list ap) { return vprintf(fmt, ap); }\n"
    "unsigned char f_small(unsigned char a, short b, _Bool c, float d)\n"
    "{ return (unsigned char)(a + b + c + (int)d); }\n"
    "const struct opaque *f_opaque(struct opaque **o, FILE *file, ATOMIC(int) *a)\n"
    "{ (*o)->secret = *a + fileno(file); return *o; }\n"
    "struct mine { struct all *all; struct opaque o; struct mine *next; };\n"
    "void *make(void); void *make(void) { molt_free(molt_new(struct mine));\n"
    "  molt_free(molt_new(point_t)); return molt_new(struct bits); }\n";

static const char user_c[] =
    "#include <molt/molt.h>\n#include \"../all.h\"\n"
    "long use(struct all *a, va_list ap);\n"
    "long use(struct all *a, va_list ap) {\n"
    "  f_all(a, a, &a->v); a->point = f_point(a->point, a->packed, RED);\n"
    "  a->compare = f_compare(a->compare, 0, a->rows, a->grid[0]);\n"
    "  a->u = f_small(1, 2, 1, 3.f); f_opaque(&a->opaque, a->file, &a->ai);\n"
    "  return f_void() + f_variadic(\"x\", 1) + f_list(\"y\", ap); }\n"
    "void *make(void); void *make(void) { molt_free(molt_new(struct bits));\n"
    "  return molt_new(struct node); }\n";

static void export_all(struct fixture *f, uint64_t sigs[FUNCTIONS])
{
    compile_write(&f->c, "all.h", all_h);
    for (size_t i = 0; i < FUNCTIONS; i++)
        sigs[i] = fixture_export(f, "provider", "all.h", functions[i]);
}

struct hashes {
    uint64_t sigs[FUNCTIONS];
    uint64_t mine, bits, point;
};

/* Build provider and user; the reader compares each definition, and each
 * anchor, with the signatures of the probe. */
static void hash_all(const char *cc, const char *cflags, struct hashes *ret)
{
    struct fixture f;
    fixture_init(&f, cc, cflags);
    export_all(&f, ret->sigs);
    fixture_good(&f, "provider", provider_c);
    assert_int_equal(f.meta->n_exports, FUNCTIONS);
    ret->mine = fixture_type(&f, "provider/provider.c:struct mine")->hash;
    ret->bits = fixture_type(&f, "all.h:struct bits")->hash;
    ret->point = fixture_type(&f, "all.h:point_t")->hash;
    fixture_good(&f, "user", user_c);
    assert_int_equal(f.meta->n_imports, FUNCTIONS);
    assert_true(fixture_type(&f, "all.h:struct bits")->hash == ret->bits);
    fixture_fini(&f);
}

static void compare(const char *cc, const char *cflags, const struct hashes *a,
                    const struct hashes *b)
{
    for (size_t k = 0; k < FUNCTIONS; k++)
        if (a->sigs[k] != b->sigs[k])
            fail_msg("%s %s: %s has another signature", cc, cflags, functions[k]);
    assert_true(a->mine == b->mine);
    assert_true(a->bits == b->bits);
    assert_true(a->point == b->point);
}

static void signatures_and_layouts_agree_over_the_whole_matrix(void **state)
{
    (void)state;
    struct hashes first, now;
    hash_all("gcc", "-O0", &first);
    for (size_t i = 1; i < FIXTURE_MATRIX; i++) {
        if (strstr(fixture_matrix[i][1], "-gdwarf-4"))
            continue;
        hash_all(fixture_matrix[i][0], fixture_matrix[i][1], &now);
        compare(fixture_matrix[i][0], fixture_matrix[i][1], &first, &now);
    }
}

/* gcc doesn't write _Atomic into DWARF 4; all else is the same as in DWARF 5. */
static void dwarf_4_agrees_with_dwarf_5_but_for_atomics(void **state)
{
    (void)state;
    struct hashes first, now;
    hash_all("gcc", "-O0 -DPLAIN", &first);
    hash_all("gcc", "-O2 -DPLAIN -gdwarf-4", &now);
    compare("gcc", "-gdwarf-4", &first, &now);
    hash_all("clang", "-O0 -DPLAIN -gdwarf-4", &now);
    compare("clang", "-gdwarf-4", &first, &now);
}

static void metas_of_provider_and_user_have_the_same_header_types(void **state)
{
    (void)state;
    struct fixture p, u;
    uint64_t sigs[FUNCTIONS];
    fixture_init(&p, "gcc", "-O2");
    fixture_init(&u, "clang", "-O0");
    export_all(&p, sigs);
    export_all(&u, sigs);
    fixture_good(&p, "provider", provider_c);
    fixture_good(&u, "user", user_c);
    size_t n = 0;
    for (size_t i = 0; i < u.meta->n_types; i++)
        for (size_t k = 0; k < p.meta->n_types; k++) {
            const struct molt_meta_type *a = &u.meta->types[i], *b = &p.meta->types[k];
            if (!a->is_from_header || strcmp(a->key, b->key) != 0)
                continue;
            n++;
            if (a->hash != b->hash || a->size != b->size)
                fail_msg("%s differs", a->key);
        }
    assert_true(n >= 6);
    fixture_fini(&p);
    fixture_fini(&u);
}

/* The hash of `struct s` in module m. */
static uint64_t hash_of(const char *cc, const char *cflags, const char *declarations, bool shape)
{
    struct fixture f;
    char text[2048];
    fixture_init(&f, cc, cflags);
    snprintf(text, sizeof text,
             "#include <molt/molt.h>\n%s\nvoid *make(void);\n"
             "void *make(void) { return molt_new(struct s); }\n",
             declarations);
    fixture_good(&f, "m", text);
    const struct molt_meta_type *type = fixture_type(&f, "m/m.c:struct s");
    uint64_t hash = shape ? type->shape : type->hash;
    fixture_fini(&f);
    return hash;
}

static void every_difference_changes_the_hash(void **state)
{
    (void)state;
    static const char *const layouts[] = {
        "struct s { long n; };",
        "struct s { int n; };",
        "struct s { unsigned long n; };",
        "struct s { long m; };",
        "struct s { long n, m; };",
        "struct s { long n; } __attribute__((aligned(16)));",
        "struct s { double n; };",
        "struct s { _Atomic long n; };",
        "struct s { long *n; };",
        "struct s { long n[2]; };",
        "struct s { long n[3]; };",
        "struct s { long n[2][1]; };",
        "struct s { long n : 5; };",
        "struct s { long n : 6; };",
        "struct s { long : 1; long n : 5; };",
        "enum e { A }; struct s { enum e n; };",
        "enum e { A = 1 }; struct s { enum e n; };",
        "enum e { B }; struct s { enum e n; };",
        "struct t { int i; }; struct s { struct t *n; };",
        "struct t { long i; }; struct s { struct t *n; };",
        "struct t; struct s { struct t *n; };",
        "struct u; struct s { struct u *n; };",
        "struct s { struct s *n; };",
        "struct s { union { long n; int i; }; };",
        "struct s { struct { long n; }; };",
        "struct s { void (*n)(int); };",
        "struct s { void (*n)(int, ...); };",
        "struct s { int (*n)(int); };",
    };
    uint64_t seen[sizeof layouts / sizeof *layouts];
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        seen[i] = hash_of("gcc", "-O0", layouts[i], false);
        for (size_t k = 0; k < i; k++)
            if (seen[i] == seen[k])
                fail_msg("equal: %s and %s", layouts[i], layouts[k]);
        if (hash_of("clang", "-O2", layouts[i], false) != seen[i])
            fail_msg("clang differs: %s", layouts[i]);
    }
}

static void spelling_does_not_change_the_hash(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"struct s { long n; };", "typedef long number; struct s { number n; };"},
        {"struct s { unsigned long n; };", "#include <stdint.h>\nstruct s { uint64_t n; };"},
        {"struct s { long n; };", "struct s { long long n; };"},
        {"struct s { const char *n; };", "struct s { char *const n; };"},
        {"struct s { int n[2][3]; };", "typedef int row[3]; struct s { const row n[2]; };"},
        {"struct s { int n; char tail[]; };", "struct s { int n; char tail[0]; };"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (hash_of("gcc", "-O0", pairs[i][0], false) !=
            hash_of("clang", "-O0", pairs[i][1], false))
            fail_msg("differ: %s and %s", pairs[i][0], pairs[i][1]);
}

static void a_type_spelled_out_again_has_the_same_shape(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    fixture_good(&f, "m",
                 "#include <molt/molt.h>\nstruct leaf { int i; };\n"
                 "struct s { struct s *next; struct leaf *leaf; };\n"
                 "struct s_old { struct s_old *next; struct leaf *leaf; };\n"
                 "void make(void); void make(void)\n"
                 "{ molt_free(molt_new(struct s)); molt_free(molt_new(struct s_old)); }\n");
    const struct molt_meta_type *now = fixture_type(&f, "m/m.c:struct s");
    const struct molt_meta_type *old = fixture_type(&f, "m/m.c:struct s_old");
    assert_true(now->shape == old->shape);
    assert_true(now->hash != old->hash);
    assert_true(now->shape == hash_of("clang", "-O0",
                                      "struct leaf { int i; };\n"
                                      "struct s { struct s *next; struct leaf *leaf; };",
                                      true));
    fixture_fini(&f);
}

static void private_types_of_two_files_are_kept_apart(void **state)
{
    (void)state;
    static const char a[] = "#include <molt/molt.h>\nstruct s { int n; };\nvoid *make_a(void);\n"
                            "void *make_a(void) { return molt_new(struct s); }\n";
    static const char b[] = "#include <molt/molt.h>\nstruct s { long n; };\nvoid *make_b(void);\n"
                            "void *make_b(void) { struct t { struct s *s; };\n"
                            " molt_free(molt_new(struct t)); return molt_new(struct s); }\n";
    struct fixture f;
    fixture_init(&f, "gcc", "-O2");
    fixture_object(&f, "m", "src/m/a.c", a, "a.o", true);
    fixture_object(&f, "m", "src/m/b.c", b, "b.o", false);
    fixture_link(&f, "a.o b.o");
    assert_int_equal(fixture_read(&f, "m"), 0);
    assert_int_equal(fixture_type(&f, "m/a.c:struct s")->size, 4);
    assert_int_equal(fixture_type(&f, "m/b.c:struct s")->size, 8);
    assert_int_equal(fixture_type(&f, "m/b.c:make_b:struct t")->size, 8);
    fixture_fini(&f);
}

static void incomplete_structs_are_completed_from_another_unit(void **state)
{
    (void)state;
    static const char a[] =
        "#include <molt/molt.h>\nstruct inner;\nstruct s { struct inner *p; };\n"
        "void *make_a(void);\n"
        "void *make_a(void) { return molt_new(struct s); }\n";
    static const char b[] = "#include <molt/molt.h>\nstruct inner { %s n; };\nvoid *make_b(void);\n"
                            "void *make_b(void) { return molt_new(struct inner); }\n";
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        char text[512];
        const char *at = strstr(b, "%s");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - b), b, i ? "long" : "int", at + 2);
        fixture_init(&f, "gcc", "-O0");
        fixture_object(&f, "m", "src/m/a.c", a, "a.o", true);
        fixture_object(&f, "m", "src/m/b.c", text, "b.o", false);
        fixture_link(&f, "a.o b.o");
        assert_int_equal(fixture_read(&f, "m"), 0);
        hashes[i] = fixture_type(&f, "m/a.c:struct s")->hash;
        fixture_fini(&f);
    }
    assert_true(hashes[0] != hashes[1]);
}

/* a.h only declares struct b; one user includes b.h, another doesn't, and the
 * provider completes a third struct in its .c file. */
static void completeness_does_not_break_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        compile_write(&f.c, "a.h",
                      "struct b; struct hidden;\nstruct a { struct b *b; struct hidden *h; };\n"
                      "int a_f(struct a *a, struct b *b, struct hidden *h);\n");
        compile_write(&f.c, "b.h", "struct b { long n; };\n");
        fixture_export(&f, "p", "a.h", "a_f");
        fixture_good(&f, "p",
                     "#include \"../b.h\"\n#include \"../a.h\"\nstruct hidden { int x; };\n"
                     "int a_f(struct a *a, struct b *b, struct hidden *h)\n"
                     "{ return a->b->n == b->n + h->x; }\n");
        uint64_t provided = fixture_type(&f, "a.h:struct a in signatures")->hash;
        static const char use[] = "#include \"../a.h\"\nint use(struct a *a);\n"
                                  "int use(struct a *a) { return a_f(a, a->b, a->h); }\n";
        char with_b[512];
        snprintf(with_b, sizeof with_b, "#include \"../b.h\"\nextern struct b *some(void);\n%s",
                 use);
        fixture_good(&f, "u", with_b);
        assert_true(fixture_type(&f, "a.h:struct a in signatures")->hash == provided);
        fixture_good(&f, "u", use);
        assert_true(fixture_type(&f, "a.h:struct a in signatures")->hash == provided);
        fixture_fini(&f);
    }
}

static void a_changed_header_type_changes_signatures_that_reach_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O0");
    compile_write(&f.c, "a.h",
                  "struct in { int n; };\nstruct a { struct in *in; };\n"
                  "int f(struct a *a);\n");
    uint64_t before = fixture_probe(&f, "a.h", "f");
    compile_write(&f.c, "a.h",
                  "struct in { long n; };\nstruct a { struct in *in; };\n"
                  "int f(struct a *a);\n");
    assert_true(fixture_probe(&f, "a.h", "f") != before);
    compile_write(&f.c, "a.h",
                  "struct in { int n; };\nstruct a { struct in *in; };\n"
                  "typedef struct a a_t; int f(a_t *const renamed);\n");
    assert_true(fixture_probe(&f, "a.h", "f") == before);
    fixture_fini(&f);
}

static void probes_know_what_is_no_function(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "clang", "-O0");
    compile_write(&f.c, "a.h", "static int n; static void f(void) { n++; }\n");
    compile_write(&f.c, "probe.c",
                  "#include \"a.h\"\nstatic __typeof__(n) *molt_anchor_n __attribute__((used));\n"
                  "static __typeof__(f) *molt_anchor_f __attribute__((used));\n");
    compile_object(&f.c, "probe.c", "probe.o");
    size_t len;
    uint8_t *bytes = compile_read(&f.c, "probe.o", &len);
    uint64_t sig;
    struct molt_error err = {0};
    const char *names[] = {"f", "n", "missing"};
    assert_int_equal(molt_image_probe(bytes, len, NULL, 1, &names[0], &sig, &err), 0);
    assert_int_equal(molt_image_probe(bytes, len, NULL, 1, &names[1], &sig, &err), MOLT_EINVAL);
    assert_int_equal(molt_image_probe(bytes, len, NULL, 1, &names[2], &sig, &err), MOLT_ENOENT);
    free(bytes);
    fixture_fini(&f);
}

/* By the calling convention of this machine. */
static void functions_tell_what_they_return_in_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        compile_write(&f.c, "m.h",
                      "struct two { long a, b; }; struct three { long a[3]; };\n"
                      "struct three f_big(void); struct two f_two(void);\n"
                      "long f_long(void);\n");
        fixture_export(&f, "m", "m.h", "f_big");
        fixture_export(&f, "m", "m.h", "f_long");
        fixture_export(&f, "m", "m.h", "f_two");
        fixture_good(&f, "m",
                     "#include \"../m.h\"\nstruct three f_big(void) { return (struct three){0}; }\n"
                     "struct two f_two(void) { return (struct two){0}; }\n"
                     "long f_long(void) { return 1; }\n");
        assert_int_equal(f.meta->exports[0].ret_bytes, 24);
        assert_int_equal(f.meta->exports[1].ret_bytes, 0);
        assert_int_equal(f.meta->exports[2].ret_bytes, 0);
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_and_layouts_agree_over_the_whole_matrix),
        cmocka_unit_test(dwarf_4_agrees_with_dwarf_5_but_for_atomics),
        cmocka_unit_test(metas_of_provider_and_user_have_the_same_header_types),
        cmocka_unit_test(every_difference_changes_the_hash),
        cmocka_unit_test(spelling_does_not_change_the_hash),
        cmocka_unit_test(a_type_spelled_out_again_has_the_same_shape),
        cmocka_unit_test(private_types_of_two_files_are_kept_apart),
        cmocka_unit_test(incomplete_structs_are_completed_from_another_unit),
        cmocka_unit_test(completeness_does_not_break_signatures),
        cmocka_unit_test(a_changed_header_type_changes_signatures_that_reach_it),
        cmocka_unit_test(probes_know_what_is_no_function),
        cmocka_unit_test(functions_tell_what_they_return_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
