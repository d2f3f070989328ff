/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Structs printed as C, and compiled again: the layout is the old one. */
#include "unit/types/match_fixture.h"

/* clang-format off */
static const char zoo[] =
    "struct pt { short x; char y; }; enum e { A, B }; enum neg { M = -1, N }; union un { int i; double d; };\n"
    "typedef struct { char c; long l; } tagless; struct other; struct same { int k; }; struct diff { int k; };\n"
    "struct small { char a; int b; char c; } __attribute__((packed));\n"
    "struct t1 { bool b; char c; signed char sc; unsigned short us; int i; long l; long long ll;\n"
    "  float f; double d; long double ld; __int128 w; unsigned __int128 uw; float _Complex fc; double _Complex dc; };\n"
    "struct t2 { struct pt p; struct pt q[3][2]; enum e e; enum neg n; union un u; tagless t; struct small s; char z; };\n"
    "struct t3 { int *p; char **pp; void *v; struct other *o; struct same *s; struct diff *x; struct t3 *me;\n"
    "  int (*f)(struct pt *, ...); void (*tab[3])(int); int (*arr)[4]; const volatile char *q; struct pt *pa[2]; };\n"
    "struct t4 { unsigned a : 3; int b : 7; bool c : 1; unsigned long d : 40; enum e e : 2; char after; int g : 1; };\n"
    "struct t5 { char a; struct { int x; union { short s; float f; }; } in; struct { char k; } v[3]; struct { long z; }; };\n"
    "struct t6 { char a; long b; int c; } __attribute__((packed));\n"
    "struct t7 { char a; int b; } __attribute__((aligned(64)));\n"
    "struct t8 { char a; int b __attribute__((aligned(32))); char c; };\n"
    "struct t9 { char a; unsigned : 5; unsigned b : 3; int : 0; unsigned c : 2; };\n"
    "struct t10 { _Atomic int a; _Atomic long b; int *_Atomic p; volatile char v; const int k; };\n"
    "struct t11 { int n; struct pt items[]; };\n"
    "struct t12 { struct t6 a; struct t7 b; struct t6 c[2]; };\n"
    "struct t13 { unsigned a : 3; unsigned b : 5; short c; } __attribute__((packed));\n"
    "struct t14 { uint8_t a; size_t b; uintptr_t c; int64_t d; unsigned x : 1, y : 31, z : 1; };\n";
/* clang-format on */
#define N_TYPES 14

/* Each tN is the state of a server of its own. */
static void add_servers(struct molt_buf *out, const char *changed)
{
    for (int i = 1; i <= N_TYPES; i++) {
        char mark[32];
        snprintf(mark, sizeof mark, "t%d_from_1", i);
        bool is_there = strstr(changed, mark);
        molt_buf_printf(out, "MOLT_SERVER(s%d, struct t%d, ", i, i);
        if (is_there)
            molt_buf_printf(out, ".change = {MOLT_CHANGE(struct t%d_1, t%d_from_1)}", i, i);
        molt_buf_printf(out, ");\n");
    }
}

/* The new version of each is another struct altogether. */
static void add_new(struct molt_buf *out)
{
    for (int i = 1; i <= N_TYPES; i++)
        molt_buf_printf(out, "struct t%d { long only_%d; char *b; struct {int q;} a, c, n, p; };\n",
                        i, i);
}

static void build_version(struct fixture *f, const char *cc, const char *head, const char *changes)
{
    struct molt_buf out = MOLT_BUF_INIT;
    f->c.cc = cc;
    molt_buf_adds(&out, MATCH_HEAD "#pragma GCC diagnostic error \"-Wall\"\n");
    molt_buf_adds(&out, head);
    molt_buf_adds(&out, changes);
    add_servers(&out, changes);
    molt_buf_printf(&out, "%s", "");
    fixture_build(f, "m", out.data);
    molt_buf_fini(&out);
}

/* All skeletons of a refused match. Later ones repeat structs that lie inside, which is
 * fine within one struct's text only: each goes to a version of its own. */
static void paste_each(struct match_fixture *p, const char *cc, const char *head)
{
    for (size_t i = 0; i < p->match.n_types; i++) {
        const struct molt_match_type *t = &p->match.types[i];
        const char *text = NULL;
        struct match_fixture again = *p;
        if (strncmp(t->name, "struct t", 8) != 0)
            continue;
        for (size_t k = 0; k < t->n_refusals && !text; k++)
            text = strstr(t->refusals[k].remedy, "MOLT_CHANGE(") ? t->refusals[k].remedy : NULL;
        if (!text) {
            match_print(t);
            fail_msg("no skeleton");
        }
        again.f.image = NULL;
        again.f.meta = NULL;
        again.match = (struct molt_match){0};
        build_version(&again.f, cc, head, text);
        assert_int_equal(match_run(&again, false), 0);
        const struct molt_match_type *now = match_find(&again, t->name);
        if (!now || now->verdict != MOLT_MATCH_CHANGE)
            fail_msg("%s: the pasted struct isn't the old one:\n%s", t->name, text);
        molt_match_fini(&again.match);
        fixture_drop_image(&again.f);
    }
}

static void check_pair(const char *old_cc, const char *new_cc)
{
    struct match_fixture p = {0};
    struct molt_buf head = MOLT_BUF_INIT;
    fixture_init(&p.f, old_cc, "-O0");
    build_version(&p.f, old_cc, zoo, "");
    p.old = p.f.image;
    p.old_len = p.f.len;
    p.f.image = NULL;
    molt_buf_adds(&head, "struct same { int k; }; struct diff { long k; };\n"
                         "struct same *same(void); struct same *same(void) { return 0; }\n");
    add_new(&head);
    molt_buf_printf(&head, "%s", "");
    build_version(&p.f, new_cc, head.data, "");
    if (match_run(&p, false) < 0)
        fail_msg("%s", p.err.text);
    assert_int_equal(p.match.n_types, N_TYPES);
    paste_each(&p, new_cc, head.data);
    molt_buf_fini(&head);
    match_fini(&p);
}

static void printed_structs_compile_to_the_same_layout(void **state)
{
    (void)state;
    check_pair("gcc", "clang");
    check_pair("clang", "gcc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_structs_compile_to_the_same_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
