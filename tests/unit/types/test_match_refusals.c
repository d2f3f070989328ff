/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What is refused, with which rule, and with what to do. */
#include "types/match_rules.h"
#include "unit/types/match_fixture.h"

static struct match_fixture p;

/* clang-format off */
static const char old_text[] = MATCH_HEAD
    "struct t1 { long n; };\n"
    "struct t2 { int total; };\n"
    "struct t3 { double d; };\n"
    "struct t4 { int i; };\n"
    "struct t5 { int *i; };\n"
    "struct t6 { int b; };\n"
    "struct t7 { int v[4]; };\n"
    "struct t8 { union { int i; float f; } u; };\n"
    "struct t9 { int (*f)(int); };\n"
    "struct one { int n; }; struct t10 { struct one *p; };\n"
    "struct t11 { struct one p; };\n"
    "struct t12 { int n; char data[]; };\n"
    "enum both { A = 0, B = 1, C = 1 }; struct t13 { enum both e; };\n"
    "struct t14 { int a; union { int x; float y; }; };\n"
    "struct t15 { float f; int k; };\n"
    "struct t16 { unsigned a : 9; };\n"
    "struct t17 { long double q; };\n"
    "struct t18 { void *p; };\n"
    "struct t19 { unsigned long w; };\n"
    "struct t20 { struct { int x; } in[2]; };\n"
    "struct t21 { union { int i; float f; } u; };\n";
static const char new_text[] = MATCH_HEAD
    "struct t1 { int n; };\n"
    "struct t2 { int sum; };\n"
    "struct t3 { float d; };\n"
    "struct t4 { float i; };\n"
    "struct t5 { long *i; };\n"
    "struct t6 { bool b; };\n"
    "struct t7 { int v[3]; };\n"
    "struct t8 { union { long i; float f; } u; };\n"
    "struct t9 { int (*f)(long); };\n"
    "struct two { int n; }; struct t10 { struct two *p; };\n"
    "struct t11 { struct two p; };\n"
    "struct t12 { int n; };\n"
    "enum both { A = 0, B = 1, C = 2 }; struct t13 { enum both e; };\n"
    "struct t14 { union { int a; float y; }; int x; };\n"
    "struct t15 { double f; float k; };\n"
    "struct t16 { unsigned a : 8; };\n"
    "struct t17 { double _Complex q; };\n"
    "struct t18 { int *p; };\n"
    "struct t19 { void *w; };\n"
    "struct t20 { struct { int y; } in[2]; };\n"
    "struct t21 { union { int i; float f; char more[9]; } u; };\n";
/* clang-format on */
#define N_TYPES 21

static int build(void **state)
{
    (void)state;
    match_init(&p, "gcc", "clang", "-O0", old_text, new_text, N_TYPES);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    match_fini(&p);
    return 0;
}

static void numbers_that_could_be_lost(void **state)
{
    (void)state;
    match_refused(&p, "struct t1", "narrowing", "struct t1.n", "");
    match_refused(&p, "struct t3", "narrowing", "struct t3.d", "");
    match_refused(&p, "struct t16", "narrowing", "struct t16.a", "");
    assert_string_equal(match_find(&p, "struct t1")->refusals[0].place, "src/m.c:4");
}

static void values_of_another_kind(void **state)
{
    (void)state;
    match_refused(&p, "struct t4", "other-kind", "struct t4.i", "");
    match_refused(&p, "struct t6", "other-kind", "struct t6.b", "");
    match_refused(&p, "struct t15", "other-kind", "struct t15.k", "");
    match_refused(&p, "struct t17", "other-kind", "struct t17.q", "");
    match_refused(&p, "struct t19", "other-kind", "struct t19.w", "");
}

static void a_field_gone_beside_a_new_one(void **state)
{
    (void)state;
    match_refused(&p, "struct t2", "ambiguous", "struct t2.total",
                  "MOLT_RENAMED(struct t2, sum, total);");
    match_refused(&p, "struct t2", "ambiguous", "struct t2.total", "MOLT_DROP(struct t2, total);");
    match_refused(&p, "struct t20", "ambiguous", "struct t20.in[].x",
                  "MOLT_RENAMED(struct t20, in.y, in.x);");
}

static void pointers_to_something_else(void **state)
{
    (void)state;
    match_refused(&p, "struct t5", "pointee", "struct t5.i", "new name");
    match_refused(&p, "struct t9", "function-pointer", "struct t9.f", "");
    match_refused(&p, "struct t10", "pointee", "struct t10.p",
                  "MOLT_RENAMED_TYPE(struct two, struct one);\n");
    match_refused(&p, "struct t18", "pointee", "struct t18.p", "");
    assert_string_equal(match_find(&p, "struct t9")->refusals[0].why,
                        "int (*)(int) -> int (*)(long): another signature");
}

static void structs_of_another_name(void **state)
{
    (void)state;
    match_refused(&p, "struct t11", "renamed-type", "struct t11.p",
                  "MOLT_RENAMED_TYPE(struct two, struct one);\n");
}

static void what_may_be_in_use(void **state)
{
    (void)state;
    match_refused(&p, "struct t7", "shorter-array", "struct t7.v", "MOLT_LENGTH(struct t7, v, n);");
    match_refused(&p, "struct t12", "flexible", "struct t12.data", "MOLT_DROP(struct t12, data);");
}

static void unions_that_nobody_explains(void **state)
{
    (void)state;
    match_refused(&p, "struct t21", "union", "struct t21.u", "MOLT_TAGGED(struct t21, u, kind);");
    match_refused(&p, "struct t8", "union", "struct t8.u", "MOLT_CASE(struct t8, u, 0, i);");
    const struct molt_match_type *t = match_verdict(&p, "struct t14", MOLT_MATCH_REFUSED);
    assert_string_equal(t->refusals[0].rule, "union");
}

static void numbers_with_two_names_that_part(void **state)
{
    (void)state;
    match_refused(&p, "struct t13", "enum-values", "struct t13.e", "");
    assert_int_equal(p.match.n_refusals, 1);
    assert_string_equal(p.match.refusals[0].rule, "enum-renumbered");
    assert_string_equal(p.match.refusals[0].field, "enum both");
    assert_string_equal(p.match.refusals[0].remedy, "MOLT_RENUMBERED(enum both);\n");
    assert_non_null(strstr(p.match.refusals[0].why, "C 1 -> 2, and struct t"));
}

static void the_page_has_every_rule(void **state)
{
    (void)state;
    static char page[65536];
    FILE *file = fopen(MOLT_SOURCE_DIR "/docs/refusals.md", "r");
    assert_non_null(file);
    size_t len = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    page[len] = '\0';
    for (int i = 0; i < MOLT_MATCH_RULE_COUNT; i++) {
        char row[512];
        enum molt_match_rule rule = (enum molt_match_rule)i;
        snprintf(row, sizeof row, "| `%s` | %s | %s |\n", molt_match_rule_name(rule),
                 molt_match_rule_message(rule), molt_match_rule_remedy(rule));
        if (!strstr(page, row))
            fail_msg("docs/refusals.md lacks: %s", row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_could_be_lost),
        cmocka_unit_test(values_of_another_kind),
        cmocka_unit_test(a_field_gone_beside_a_new_one),
        cmocka_unit_test(pointers_to_something_else),
        cmocka_unit_test(structs_of_another_name),
        cmocka_unit_test(what_may_be_in_use),
        cmocka_unit_test(unions_that_nobody_explains),
        cmocka_unit_test(numbers_with_two_names_that_part),
        cmocka_unit_test(the_page_has_every_rule),
    };
    return cmocka_run_group_tests(tests, build, clean);
}
