/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Hints decide what the types leave open. */
#include "unit/types/match_fixture.h"

static struct match_fixture pairs[2];
static size_t n_pairs;

/* clang-format off */
static const char old_text[] = MATCH_HEAD
    "struct t1 { int total; };\n"
    "struct t2 { int gone; };\n"
    "struct t3 { int n; };\n"
    "struct t4 { unsigned a : 4; };\n"
    "struct t5 { int kind; union { int i; double d; char s[8]; } u; };\n"
    "struct t6 { unsigned n : 5; int v[8]; };\n"
    "struct t7 { void *cookie; int n; };\n"
    "struct tally { int n; }; struct t8 { struct tally in; struct tally *p; };\n"
    "enum phase { IDLE, BUSY, DONE }; struct t9 { enum phase a; enum phase b : 4; enum phase c[2]; };\n"
    "struct t10 { struct { int old_x; int y; } pos; };\n"
    "struct t11 { enum phase kind; void *p; };\n"
    "struct t12 { char data[12]; };\n"
    "struct t13 { int v[2]; };\n";
static const char new_text[] = MATCH_HEAD
    "struct t1 { int sum; int other; }; MOLT_RENAMED(struct t1, sum, total);\n"
    "struct t2 { int fresh; }; MOLT_DROP(struct t2, gone);\n"
    "struct t3 { int n; int max; char name[8]; struct { int lo, hi; } range; double d; };\n"
    "MOLT_DEFAULT(struct t3, max, 100);\nMOLT_DEFAULT(struct t3, name, \"abc\");\n"
    "MOLT_EXAMPLE(struct t3, .range.hi = 7, .d = 2.5, .max = 1);\n"
    "struct t4 { unsigned b : 3; unsigned a : 4; unsigned c : 7; }; MOLT_EXAMPLE(struct t4, .b = 5, .c = 99);\n"
    "enum { INT = 7 };\n"
    "struct t5 { long kind; union { long i; double d; } u; }; MOLT_TAGGED(struct t5, u, kind);\n"
    "MOLT_CASE(struct t5, u, INT, i); MOLT_CASE(struct t5, u, 2, d);\n"
    "struct t6 { unsigned n : 9; int v[4]; }; MOLT_LENGTH(struct t6, v, n);\n"
    "struct t7 { int n; void *cookie; }; MOLT_OPAQUE(struct t7, cookie);\n"
    "struct counter { long n; }; struct t8 { struct counter in; struct counter *p; };\n"
    "MOLT_RENAMED_TYPE(struct counter, struct tally);\n"
    "enum phase { NEW, IDLE, BUSY, DONE }; struct t9 { enum phase a; enum phase b : 4; enum phase c[2]; };\n"
    "MOLT_RENUMBERED(enum phase);\n"
    "struct t10 { struct { int y; long x; int z; } pos; };\n"
    "MOLT_RENAMED(struct t10, pos.x, pos.old_x); MOLT_DEFAULT(struct t10, pos.z, 3);\n"
    "struct t11 { enum phase kind; long pad; void *p; }; MOLT_TAGGED(struct t11, p, kind);\n"
    "MOLT_CASE(struct t11, p, IDLE, struct counter); MOLT_CASE(struct t11, p, NEW, struct t1);\n"
    "struct t12 { long n; char data[12]; }; MOLT_OPAQUE(struct t12, data);\n"
    "struct t13 { int v[4]; }; MOLT_DEFAULT(struct t13, v, 1, 2, 3, 4);\n"
    "struct tally { char another; };\n";
/* clang-format on */
#define N_TYPES 13

static int build(void **state)
{
    (void)state;
    match_init(&pairs[0], "gcc", "clang", "-O2", old_text, new_text, N_TYPES);
    match_init(&pairs[1], "clang", "gcc", "-O0", old_text, new_text, N_TYPES);
    n_pairs = 2;
    return 0;
}

static int clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_pairs; i++)
        match_fini(&pairs[i]);
    return 0;
}

/* MOLT_RENUMBERED decides about the module, not about t9. */
static const struct molt_match_type *hinted(const struct match_fixture *p, const char *name)
{
    bool is_enum = strcmp(name, "struct t9") == 0;
    return match_verdict(p, name, is_enum ? MOLT_MATCH_AUTOMATIC : MOLT_MATCH_HINTED);
}

#define FOR_EACH(name, was, now)                                                                   \
    for (size_t i_ = 0; i_ < n_pairs; i_++)                                                        \
        if (match_convert(hinted(&pairs[i_], name), &(was), sizeof(was), &(now), sizeof(now)) < 0) \
            fail_msg("not converted");                                                             \
        else
#define FOR_NONE(name, was, now)                                                                   \
    for (size_t i_ = 0; i_ < n_pairs; i_++)                                                        \
    assert_int_equal(match_convert(hinted(&pairs[i_], name), &(was), sizeof(was), &(now),          \
                                   sizeof(now)),                                                   \
                     MOLT_ECHANGE)

static void a_renamed_field_keeps_its_value(void **state)
{
    (void)state;
    int was = 5;
    struct {
        int sum, other;
    } now;
    FOR_EACH("struct t1", was, now)
    {
        assert_true(now.sum == 5 && now.other == 0);
    }
}

static void a_dropped_field_is_not_what_is_new(void **state)
{
    (void)state;
    int was = 5, now;
    FOR_EACH("struct t2", was, now)
    {
        assert_int_equal(now, 0);
    }
}

static void new_fields_get_their_defaults(void **state)
{
    (void)state;
    int was = 5;
    struct {
        int n;
        int max;
        char name[8];
        struct {
            int lo, hi;
        } range;
        double d;
    } now;
    FOR_EACH("struct t3", was, now)
    {
        assert_true(now.n == 5 && now.max == 100 && now.range.lo == 0 && now.range.hi == 7);
        assert_true(now.d == 2.5);
        assert_string_equal(now.name, "abc");
        assert_non_null(strstr(hinted(&pairs[i_], "struct t3")->lines, "+max = 100\n"));
    }
}

static void new_bitfields_get_those_of_the_example(void **state)
{
    (void)state;
    struct {
        unsigned a : 4;
    } was = {.a = 11};
    struct {
        unsigned b : 3;
        unsigned a : 4;
        unsigned c : 7;
    } now;
    FOR_EACH("struct t4", was, now)
    {
        assert_true(now.a == 11 && now.b == 5 && now.c == 99);
    }
}

static void a_tag_says_what_the_union_holds(void **state)
{
    (void)state;
    struct {
        int kind;
        union {
            int i;
            double d;
            char s[8];
        } u;
    } was = {.kind = 7, .u = {.i = -3}};
    struct {
        long kind;
        union {
            long i;
            double d;
        } u;
    } now;
    FOR_EACH("struct t5", was, now)
    {
        assert_true(now.kind == 7 && now.u.i == -3);
    }
    was.kind = 2;
    was.u.d = 0.5;
    FOR_EACH("struct t5", was, now)
    {
        assert_true(now.kind == 2 && now.u.d == 0.5);
    }
    was.kind = 1;
    FOR_NONE("struct t5", was, now);
}

static void a_count_says_what_an_array_holds(void **state)
{
    (void)state;
    struct {
        unsigned n : 5;
        int v[8];
    } was = {.n = 4, .v = {1, 2, 3, 4, 99}};
    struct {
        unsigned n : 9;
        int v[4];
    } now;
    FOR_EACH("struct t6", was, now)
    {
        assert_true(now.n == 4 && now.v[0] == 1 && now.v[3] == 4);
    }
    was.n = 5;
    FOR_NONE("struct t6", was, now);
}

static unsigned count_kind(const struct molt_recipe *r, enum molt_step_kind kind)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < r->n_steps; i++)
        n += r->steps[i].kind == kind;
    return n;
}

static void opaque_bytes_are_copied(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_pairs; i++) {
        const struct molt_recipe *r = hinted(&pairs[i], "struct t7")->recipe;
        assert_int_equal(count_kind(r, MOLT_STEP_POINTER), 0);
        r = hinted(&pairs[i], "struct t12")->recipe;
        assert_int_equal(count_kind(r, MOLT_STEP_WORD), 0);
        assert_int_equal(count_kind(r, MOLT_STEP_COPY), 1);
    }
}

/* A hint goes by the name that the old image had; that it has another meaning now is
 * nothing to it. */
static void a_renamed_struct_is_the_same(void **state)
{
    (void)state;
    struct {
        int n;
        void *p;
    } was = {.n = 4};
    struct {
        long n;
        void *p;
    } now;
    was.p = &was;
    FOR_EACH("struct t8", was, now)
    {
        const struct molt_recipe *r = hinted(&pairs[i_], "struct t8")->recipe;
        assert_true(now.n == 4 && now.p == &was);
        for (uint32_t k = 0; k < r->n_steps; k++)
            if (r->steps[k].kind == MOLT_STEP_POINTER) {
                assert_int_equal(r->steps[k].type, molt_recipe_type_id("m/m.c:struct tally"));
                assert_int_equal(r->steps[k].flags, MOLT_STEP_MUST_OWN);
            }
    }
}

static void enums_go_by_name(void **state)
{
    (void)state;
    enum phase { IDLE, BUSY, DONE };
    struct {
        enum phase a;
        enum phase b : 4;
        enum phase c[2];
    } was = {.a = BUSY, .b = DONE, .c = {IDLE, BUSY}}, now;
    FOR_EACH("struct t9", was, now)
    {
        if (i_ == 0)
            assert_int_equal(pairs[0].match.n_refusals, 0);
        assert_true((int)now.a == 2 && (int)now.b == 3 && (int)now.c[0] == 1);
        assert_int_equal((int)now.c[1], 2);
    }
    was.c[1] = (enum phase)17;
    FOR_NONE("struct t9", was, now);
}

static void paths_lead_into_structs_without_a_name(void **state)
{
    (void)state;
    int was[2] = {5, 6};
    struct {
        int y;
        long x;
        int z;
    } now;
    FOR_EACH("struct t10", was, now)
    {
        assert_true(now.x == 5 && now.y == 6 && now.z == 3);
    }
}

static void a_tag_says_where_a_pointer_leads(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_pairs; i++) {
        const struct molt_recipe *r = hinted(&pairs[i], "struct t11")->recipe;
        unsigned n = 0;
        for (uint32_t k = 0; k < r->n_steps; k++) {
            n += r->steps[k].kind == MOLT_STEP_POINTER &&
                 r->steps[k].type == molt_recipe_type_id("m/m.c:struct tally");
            if (r->steps[k].kind == MOLT_STEP_CASE)
                assert_int_equal(r->steps[k].limit, 0); /* IDLE was 0; NEW wasn't */
        }
        assert_int_equal(n, 1);
        assert_int_equal(count_kind(r, MOLT_STEP_CASE), 1);
    }
}

static void a_longer_array_gets_the_rest_of_its_default(void **state)
{
    (void)state;
    int was[2] = {8, 9}, now[4];
    FOR_EACH("struct t13", was, now)
    {
        assert_true(now[0] == 8 && now[1] == 9 && now[2] == 3 && now[3] == 4);
    }
}

/* ---- hints that fit nothing ------------------------------------------------------ */

static void wrong(struct fixture *f, const char *text, const char *words)
{
    char all[1024];
    snprintf(all, sizeof all,
             MATCH_HEAD "struct s { int n; int v[2]; union { int i; } u; void *p; int b : 3; };\n"
                        "enum e { A };\n%s\nvoid *make(void);\n"
                        "void *make(void) { static enum e e = A; (void)e; return molt_new(struct "
                        "s); }\n",
             text);
    fixture_refuses(f, "m", all, MOLT_EINVAL, words);
}

static void hints_that_fit_nothing_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O0");
    wrong(&f, "MOLT_RENAMED(struct s, m, l);",
          "src/m.c:6 MOLT_RENAMED(struct s, m)|no field|[hint]");
    wrong(&f, "MOLT_DROP(struct s, n);", "n is still a field");
    wrong(&f, "MOLT_TAGGED(struct s, n, n);", "n is neither a union");
    wrong(&f, "MOLT_TAGGED(struct s, u, p);", "p is no integer");
    wrong(&f, "MOLT_CASE(struct s, u, 1, k);", "k is no member");
    wrong(&f, "MOLT_CASE(struct s, p, 1, struct nowhere);", "struct nowhere is no type");
    wrong(&f, "MOLT_LENGTH(struct s, n, n);", "n is no array");
    wrong(&f, "MOLT_LENGTH(struct s, v, q);", "q is no field");
    wrong(&f, "MOLT_DEFAULT(struct s, p, \"text\");", "holds an address");
    wrong(&f, "MOLT_RENUMBERED(struct s);", "no enum");
    wrong(&f, "MOLT_OPAQUE(enum e, n);", "no struct");
    wrong(&f, "MOLT_RENAMED(struct s, n, l); MOLT_DROP(struct s, l);", "says otherwise|leave one");
    wrong(&f, "MOLT_SEMANTIC(struct s, 1); MOLT_SEMANTIC(struct s, 2);", "two of different");
    fixture_fini(&f);
}

static void hints_of_a_header_count_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "gcc", "-O0");
    compile_write(&f.c, "src/s.h",
                  "#pragma once\n#include <molt/molt.h>\nstruct s { int n; };\n"
                  "struct unused { int n; };\nMOLT_RENAMED(struct s, n, m);\n"
                  "MOLT_RENAMED(struct unused, n, m);\nMOLT_SEMANTIC(struct s, 3);\n");
    fixture_object(
        &f, "m", "src/a.c",
        "#include \"s.h\"\nvoid *a(void);\nvoid *a(void) { return molt_new(struct s); }\n", "a.o",
        true);
    fixture_object(
        &f, "m", "src/b.c",
        "#include \"s.h\"\nvoid *b(void);\nvoid *b(void) { return molt_new(struct s); }\n", "b.o",
        false);
    fixture_link(&f, "a.o b.o");
    assert_int_equal(fixture_read(&f, "m"), 0);
    assert_int_equal(f.meta->n_globals, 0);
    uint64_t hash = fixture_type(&f, "src/s.h:struct s")->hash;
    compile_write(&f.c, "src/s.h",
                  "#pragma once\n#include <molt/molt.h>\nstruct s { int n; };\n"
                  "MOLT_SEMANTIC(struct s, 4);\n");
    fixture_good(
        &f, "m",
        "#include \"s.h\"\nvoid *b(void);\nvoid *b(void) { return molt_new(struct s); }\n");
    assert_true(fixture_type(&f, "src/s.h:struct s")->hash != hash);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renamed_field_keeps_its_value),
        cmocka_unit_test(a_dropped_field_is_not_what_is_new),
        cmocka_unit_test(new_fields_get_their_defaults),
        cmocka_unit_test(new_bitfields_get_those_of_the_example),
        cmocka_unit_test(a_tag_says_what_the_union_holds),
        cmocka_unit_test(a_count_says_what_an_array_holds),
        cmocka_unit_test(opaque_bytes_are_copied),
        cmocka_unit_test(a_renamed_struct_is_the_same),
        cmocka_unit_test(enums_go_by_name),
        cmocka_unit_test(paths_lead_into_structs_without_a_name),
        cmocka_unit_test(a_tag_says_where_a_pointer_leads),
        cmocka_unit_test(a_longer_array_gets_the_rest_of_its_default),
        cmocka_unit_test(hints_that_fit_nothing_are_refused),
        cmocka_unit_test(hints_of_a_header_count_once),
    };
    return cmocka_run_group_tests(tests, build, clean);
}
