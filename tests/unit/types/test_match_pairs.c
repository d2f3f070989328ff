/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Images as wholes: pointers, flexible members, several files, the way back, the
 * author's own conversion. */
#include "unit/types/match_fixture.h"

static struct match_fixture p;

static void matched(const char *old, const char *new, int n)
{
    char a[4096], b[4096];
    snprintf(a, sizeof a, MATCH_HEAD "%s", old);
    snprintf(b, sizeof b, MATCH_HEAD "%s", new);
    match_init(&p, "gcc", "clang", "-O0", a, b, n);
}

static const struct molt_step *find_step(const struct molt_match_type *t, enum molt_step_kind kind,
                                         unsigned nth)
{
    for (uint32_t i = 0; i < t->recipe->n_steps; i++)
        if (t->recipe->steps[i].kind == kind && nth-- == 0)
            return &t->recipe->steps[i];
    match_print(t);
    fail_msg("no such step");
    return NULL;
}

static void pointers_name_what_they_lead_to(void **state)
{
    (void)state;
    matched("struct item { int n; }; struct same { int k; };\n"
            "struct t1 { struct item *a; struct same *b; void *c; int (*f)(struct item *);"
            " struct t1 *me; const char *text; };\n",
            "struct item { long n; }; struct same { int k; };\n"
            "struct t1 { struct item *a; struct same *b; void *c; int (*f)(struct item *);"
            " struct t1 *me; const char *text; };\n",
            1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    assert_true(t->is_reach_only);
    const struct molt_step *s = find_step(t, MOLT_STEP_POINTER, 0);
    assert_true(s->type == molt_recipe_type_id("m/m.c:struct item"));
    assert_int_equal(s->flags, MOLT_STEP_MUST_OWN);
    s = find_step(t, MOLT_STEP_POINTER, 1);
    assert_true(s->type == molt_recipe_type_id("m/m.c:struct same"));
    assert_int_equal(s->flags, 0);
    assert_int_equal(find_step(t, MOLT_STEP_POINTER, 2)->type, 0);
    assert_int_equal(find_step(t, MOLT_STEP_POINTER, 3)->type, 0);
    assert_int_equal(find_step(t, MOLT_STEP_POINTER, 4)->flags, MOLT_STEP_MUST_OWN);
    assert_true(find_step(t, MOLT_STEP_POINTER, 5)->type == MOLT_RECIPE_TYPE_TEXT);
    match_fini(&p);
}

static void all_elements_of_a_flexible_member_are_converted(void **state)
{
    (void)state;
    struct {
        int n;
        struct {
            int x;
            short y;
        } items[3];
    } was = {3, {{1, 2}, {3, 4}, {5, 6}}};
    struct {
        long n;
        struct {
            short y;
            long x;
        } items[3];
    } now = {0};
    struct molt_recipe_fault fault;
    matched("struct item { int x; short y; }; struct t1 { int n; struct item items[]; };\n",
            "struct item { short y; long x; }; struct t1 { long n; struct item items[]; };\n", 1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    assert_int_equal(molt_recipe_new_bytes(t->recipe, sizeof was), sizeof now);
    assert_int_equal(molt_recipe_run(t->recipe, &was, sizeof was, &now, NULL, &fault), 0);
    for (int i = 0; i < 3; i++)
        assert_true(now.items[i].x == 1 + 2 * i && now.items[i].y == 2 + 2 * i);
    match_fini(&p);
}

static void the_way_back_drops_what_is_new_and_checks_what_got_wider(void **state)
{
    (void)state;
    struct {
        long n;
        int m;
        int v[4];
        double d;
        int b;
    } was = {5, 6, {1, 2}, 0.5, 1};
    struct {
        int v[2];
        int n;
        float d;
        bool b;
    } now;
    matched("struct t1 { int v[2]; int old; float d; bool b; };\n",
            "struct t1 { long n; int m; int v[4]; double d; int b; };\n"
            "MOLT_RENAMED(struct t1, n, old);\n",
            1);
    match_verdict(&p, "struct t1", MOLT_MATCH_HINTED);
    assert_int_equal(match_run(&p, true), 0);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_HINTED);
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), 0);
    assert_true(now.n == 5 && now.v[0] == 1 && now.v[1] == 2 && now.d == 0.5f && now.b);
    assert_int_equal(t->recipe->n_lost, 1);
    was.n = 1L << 40;
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), MOLT_ECHANGE);
    was.n = 1;
    was.v[3] = 1;
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), MOLT_ECHANGE);
    was.v[3] = 0;
    was.d = 0.1;
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), MOLT_ECHANGE);
    was.d = 1;
    was.b = 2;
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), MOLT_ECHANGE);
    match_fini(&p);
}

static void what_is_refused_is_left_to_the_authors_change(void **state)
{
    (void)state;
    matched(
        "struct in { int k; };\nstruct t1 { int total; long n; struct in in; };\n",
        "struct in { float k; };\nstruct t1 { int sum; int n; struct in in; long kept; };\n"
        "struct in_1 { int k; }; struct t1_1 { int total; long n; struct in_1 in; };\n"
        "static int change(const struct t1_1 *o, struct t1 *s) { s->n = (int)o->n; return 0; }\n"
        "MOLT_SERVER(count, struct t1, .change = {MOLT_CHANGE(struct t1_1, change)});\n",
        1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_CHANGE);
    assert_int_equal(t->recipe->flags, MOLT_RECIPE_IS_PARTIAL);
    assert_string_equal(t->recipe->change_module, "m");
    assert_true(t->recipe->change_at > 0);
    assert_int_equal(t->n_refusals, 0);
    assert_non_null(strstr(t->lines, "struct t1.n  left to MOLT_CHANGE: long -> int"));
    assert_int_equal(match_run(&p, true), 0);
    match_fini(&p);
}

static void another_meaning_needs_a_change(void **state)
{
    (void)state;
    matched("struct in { int n; }; struct t1 { int n; }; struct t2 { struct in in; };\n"
            "MOLT_SEMANTIC(struct t1, 1);\n",
            "struct in { int n; }; struct t1 { int n; }; struct t2 { struct in in; };\n"
            "MOLT_SEMANTIC(struct t1, 2); MOLT_SEMANTIC(struct in, 1);\n",
            2);
    match_refused(&p, "struct t1", "semantic", "struct t1", "MOLT_CHANGE");
    match_refused(&p, "struct t2", "semantic", "struct t2.in", "MOLT_CHANGE");
    match_fini(&p);
}

static void build_two(const char *cc, const char *a, const char *b)
{
    p.f.c.cc = cc;
    fixture_object(&p.f, "m", "src/a.c", a, "a.o", true);
    fixture_object(&p.f, "m", "src/b.c", b, "b.o", false);
    fixture_link(&p.f, "a.o b.o");
}

#define MAKE(f, T) "\nvoid *" f "(void);\nvoid *" f "(void) { return molt_new(" T "); }\n"

static void files_of_a_module_keep_their_types_apart(void **state)
{
    (void)state;
    p = (struct match_fixture){0};
    fixture_init(&p.f, "gcc", "-O1");
    compile_write(&p.f.c, "src/h.h", "struct h { int n; struct opaque *o; };\n");
    build_two("gcc", MATCH_HEAD "struct s { int a; };" MAKE("a", "struct s"),
              MATCH_HEAD
              "#include \"h.h\"\nstruct opaque { int z; };\nstruct s { char b; };" MAKE("b",
                                                                                        "struct s")
                  MAKE("h", "struct h"));
    p.old = p.f.image;
    p.old_len = p.f.len;
    p.f.image = NULL;
    compile_write(&p.f.c, "src/h.h", "struct h { long n; struct opaque *o; };\n");
    build_two("clang", MATCH_HEAD "struct s { long a; };" MAKE("a", "struct s"),
              MATCH_HEAD
              "#include \"h.h\"\nstruct opaque { long z; };\nstruct s { char b, c; };" MAKE(
                  "b", "struct s") MAKE("h", "struct h"));
    assert_int_equal(match_run(&p, false), 0);
    assert_int_equal(p.match.n_types, 4); /* with struct opaque, which h points to */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p.match.types[i].verdict, MOLT_MATCH_AUTOMATIC);
    const struct molt_match_type *h = match_verdict(&p, "struct h", MOLT_MATCH_AUTOMATIC);
    assert_string_equal(h->from_key, "src/h.h:struct h");
    const struct molt_step *s = find_step(h, MOLT_STEP_POINTER, 0);
    assert_true(s->type == molt_recipe_type_id("m/b.c:struct opaque"));
    assert_int_equal(s->flags, MOLT_STEP_MUST_OWN);
    match_fini(&p);
}

/* Elements of 20 bytes are aligned to 8 every other time. */
static void bytes_of_elements_are_words_wherever_they_are_aligned(void **state)
{
    (void)state;
    struct {
        int n;
        char b[16];
    } was[2] = {{1, "eleven bytes"}, {2, "and more bytes"}};
    struct {
        long n;
        char b[16];
    } now[2];
    matched("struct in { int n; char b[16]; }; struct t1 { struct in in[2]; };\n",
            "struct in { long n; char b[16]; }; struct t1 { struct in in[2]; };\n", 1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    const struct molt_step *a = find_step(t, MOLT_STEP_WORD, 0),
                           *b = find_step(t, MOLT_STEP_WORD, 1);
    assert_true(a->old_at == 8 && a->count == 1);
    assert_true(b->old_at == 4 && b->count == 2);
    assert_int_equal(match_convert(t, &was, sizeof was, &now, sizeof now), 0);
    assert_memory_equal(now[1].b, was[1].b, 16);
    assert_int_equal(now[1].n, 2);
    match_fini(&p);
}

static void a_tag_lets_pointers_in_unions_be_followed(void **state)
{
    (void)state;
    matched("struct t1 { int kind; union { void *p; long n; } u; };\n",
            "struct t1 { int kind; union { void *p; long n; } u; int more; };\n"
            "MOLT_TAGGED(struct t1, u, kind); MOLT_CASE(struct t1, u, 1, p);\n"
            "MOLT_CASE(struct t1, u, 0, n);\n",
            1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_HINTED);
    find_step(t, MOLT_STEP_POINTER, 0);
    assert_int_equal(find_step(t, MOLT_STEP_CASE, 1)->limit, 1);
    match_fini(&p);
}

static void goes(const struct molt_match_type *t, size_t from, const char *type, size_t to)
{
    size_t now = SIZE_MAX;
    char why[160] = "";
    int rc = molt_recipe_forward(t->recipe, t->recipe->from_size, from,
                                 type ? molt_recipe_type_id(type) : 0, &now, why, sizeof why);
    if (rc != (to == SIZE_MAX ? MOLT_ECHANGE : 0) || now != to) {
        match_print(t);
        fail_msg("%zu of %s goes to %zu, not %zu: %s", from, type ? type : "?", now, to, why);
    }
}

static void pointers_into_a_block_follow_what_they_point_to(void **state)
{
    (void)state;
    matched("struct in { int x; int y; }; struct same { long a; void *p; };\n"
            "struct t1 { long n; struct in in; struct same s; struct in v[2]; int gone; };\n",
            "struct in { long fresh; int x; int y; }; struct same { long a; void *p; };\n"
            "struct t1 { struct same s; struct in v[3]; struct in in; long n; };\n",
            1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    goes(t, 0, "m/m.c:struct t1", 0);
    goes(t, 0, "long", 80);
    goes(t, 0, NULL, SIZE_MAX);
    goes(t, 8, "m/m.c:struct in", 64);
    goes(t, 8, "int", 72);
    goes(t, 12, "int", 76);
    goes(t, 16, "m/m.c:struct same", 0);
    goes(t, 24, NULL, 8);
    goes(t, 40, "m/m.c:struct in", 32);
    goes(t, 44, "int", 44);
    goes(t, 48, "int", SIZE_MAX);
    match_fini(&p);
}

static void a_quadruple_is_no_long_double(void **state)
{
    (void)state;
    char a[512], b[512];
    snprintf(a, sizeof a, MATCH_HEAD "struct t1 { long double q; };\n");
    snprintf(b, sizeof b, MATCH_HEAD "struct t1 { _Float128 q; };\n");
    match_init(&p, "gcc", "gcc", "-O0", a, b, 1);
    match_refused(&p, "struct t1", "other-kind", "struct t1.q", "");
    match_fini(&p);
}

static void a_renamed_type_is_looked_for_in_its_own_file(void **state)
{
    (void)state;
    const char *b = MATCH_HEAD "struct s { char b; };" MAKE("b", "struct s");
    p = (struct match_fixture){0};
    fixture_init(&p.f, "gcc", "-O0");
    build_two("gcc", MATCH_HEAD "struct s { int a; };" MAKE("a", "struct s"), b);
    p.old = p.f.image;
    p.old_len = p.f.len;
    p.f.image = NULL;
    build_two("clang",
              MATCH_HEAD "#include <molt/migrate.h>\nstruct r { long a; };"
                         "MOLT_RENAMED_TYPE(struct r, struct s);" MAKE("a", "struct r"),
              b);
    for (int is_backward = 0; is_backward < 2; is_backward++) {
        assert_int_equal(match_run(&p, is_backward), 0);
        assert_int_equal(p.match.n_types, 1);
        const struct molt_match_type *t = &p.match.types[0];
        assert_int_equal(t->verdict, MOLT_MATCH_HINTED);
        assert_non_null(strstr(is_backward ? t->to_key : t->from_key, "m/a.c:struct s"));
    }
    match_fini(&p);
}

static void a_new_enumerator_behind_the_others_needs_no_word(void **state)
{
    (void)state;
    matched("enum e { A, B }; struct t1 { enum e e; int n; };\n",
            "enum e { A, B, C }; struct t1 { enum e e; int n; };\n", 1);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    assert_int_equal(p.match.n_refusals, 0);
    assert_int_equal(t->recipe->n_steps, 1);
    assert_true(t->recipe->steps[0].kind == MOLT_STEP_COPY);
    match_fini(&p);
}

static void an_enum_between_integers_is_renumbered_by_nobody(void **state)
{
    (void)state;
    matched("enum { IDLE, BUSY }; struct t1 { int phase; char c; }; enum e { A, B };\n"
            "struct t2 { enum e e; };\n"
            "int busy(void); int busy(void) { return BUSY; }\n",
            "enum { IDLE, WAITS, BUSY }; struct t1 { int phase; char c; }; enum e { B, A };\n"
            "struct t2 { int e; };\nenum e ee(void); enum e ee(void) { return A; }"
            "int busy(void); int busy(void) { return BUSY + WAITS; }\n",
            2);
    assert_int_equal(p.match.n_refusals, 2);
    match_refused(&p, "struct t2", "enum-renumbered", "struct t2.e", "");
    match_fini(&p);
}

static void an_unchanged_module_has_no_changes(void **state)
{
    (void)state;
    matched("struct t1 { int a; };\n", "typedef int other;\nstruct t1 { other a; };\n", 1);
    assert_int_equal(p.match.n_types, 0);
    assert_int_equal(p.match.n_refusals, 0);
    match_fini(&p);
}

/* Their blocks move if they point to what changes, and void * or int * don't say to what. */
static void what_stays_has_recipes_if_its_pointers_tell_something(void **state)
{
    (void)state;
#define STAYS "struct t2 { int *n; }; struct t3 { void *p; int n; }; struct t4 { long n; };\n"

    matched("struct t1 { int a, b; };\n" STAYS, "struct t1 { int b, a; };\n" STAYS, 4);
    assert_int_equal(p.match.n_types, 1);
    assert_int_equal(p.match.n_same, 1);
    const struct molt_recipe *r = p.match.same[0];
    assert_string_equal(r->from_key, r->to_key);
    assert_true(r->from_hash == r->to_hash);
    assert_int_equal(molt_recipe_check(r, NULL), 0);
    assert_int_equal(r->n_steps, 1);
    assert_int_equal(r->steps[0].kind, MOLT_STEP_POINTER);
    assert_true(r->steps[0].type == molt_recipe_type_id("int"));
    match_fini(&p);
    matched(STAYS "struct t1 { int a; };\n", "struct t1 { int a; };\n" STAYS, 4);
    assert_int_equal(p.match.n_same, 0); /* nothing moves */
    match_fini(&p);
#define HINTED                                                                                     \
    "#include <molt/migrate.h>\nstruct t2 { uintptr_t n; }; struct t3 { uintptr_t n; };\n"         \
    "MOLT_OPAQUE(struct t3, n);\n"
    matched("struct t1 { int a; };\n" HINTED, "struct t1 { long a; };\n" HINTED, 3);
    assert_int_equal(p.match.n_same, 1);
    assert_non_null(strstr(p.match.same[0]->from_key, "struct t3"));
    assert_int_equal(p.match.same[0]->steps[0].kind, MOLT_STEP_COPY);
    match_fini(&p);
}

/* A union that can hold nothing but pointers is one, to whatever it is. */
static void a_union_of_pointers_follows_what_it_leads_to(void **state)
{
    (void)state;
    matched("struct item { int n; }; struct other { int k; };\n"
            "struct t1 { union { struct item *a; struct other *b; } u; };\n"
            "struct t2 { union { struct item *a; long n; } u; };\n"
            "struct t3 { union { struct item *a; int (*f)(struct item *); } u; };\n",
            "struct item { long n; }; struct other { int k; };\n"
            "struct t1 { union { struct item *a; struct other *b; } u; };\n"
            "struct t2 { union { struct item *a; long n; } u; };\n"
            "struct t3 { union { struct item *a; int (*f)(struct item *); } u; };\n",
            3);
    const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
    const struct molt_step *s = find_step(t, MOLT_STEP_POINTER, 0);
    assert_int_equal(t->recipe->n_steps, 1);
    assert_int_equal(s->type, 0);
    assert_int_equal(s->flags, MOLT_STEP_MUST_OWN);
    match_refused(&p, "struct t2", "union", "struct t2.u", "MOLT_TAGGED(struct t2, u, kind);");
    match_refused(&p, "struct t3", "union", "struct t3.u", "MOLT_TAGGED(struct t3, u, kind);");
    match_fini(&p);
}

/* The typedef by which the source speaks of a struct is a name of it, too. */
static void a_typedefs_struct_may_get_a_tag_or_lose_it(void **state)
{
    (void)state;
    static const char tagless[] = "typedef struct { int k, n; } item;\n"
                                  "struct t1 { item *p; item in; };\n";
    static const char tagged[] = "typedef struct item_s item; struct item_s { int k, n; };\n"
                                 "struct t1 { item *p; item in; };\n";
    for (int i = 0; i < 2; i++) {
        matched(i ? tagged : tagless, i ? tagless : tagged, 1);
        const struct molt_match_type *t = match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
        assert_true(find_step(t, MOLT_STEP_POINTER, 0)->type ==
                    molt_recipe_type_id(i ? "m/m.c:struct item_s" : "m/m.c:item"));
        assert_int_equal(match_run(&p, true), 0);
        match_verdict(&p, "struct t1", MOLT_MATCH_AUTOMATIC);
        match_fini(&p);
    }
}

/* ... but not if the tag meant another struct before. */
static void a_tag_that_was_there_before_is_no_new_name(void **state)
{
    (void)state;
    matched("struct item_s { int k; }; typedef struct { int n; } item;\n"
            "struct t1 { item *p; struct item_s *q; };\n",
            "struct item_s { int k; }; typedef struct item_s item;\n"
            "struct t1 { item *p; struct item_s *q; };\n",
            1);
    match_refused(&p, "struct t1", "pointee", "struct t1.p", "MOLT_RENAMED_TYPE(");
    assert_non_null(strstr(match_find(&p, "struct t1")->refusals[0].why, "item -> struct item_s"));
    match_fini(&p);
}

/* "row * -> row *" would say nothing. */
static void a_refused_pointee_is_told_from_its_namesake(void **state)
{
    (void)state;
    matched("typedef long row; struct t1 { row *p; };\n",
            "typedef int row; struct t1 { row *p; };\n", 1);
    match_refused(&p, "struct t1", "pointee", "struct t1.p", "");
    assert_non_null(strstr(match_find(&p, "struct t1")->refusals[0].why, "long -> int"));
    match_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_name_what_they_lead_to),
        cmocka_unit_test(all_elements_of_a_flexible_member_are_converted),
        cmocka_unit_test(the_way_back_drops_what_is_new_and_checks_what_got_wider),
        cmocka_unit_test(what_is_refused_is_left_to_the_authors_change),
        cmocka_unit_test(another_meaning_needs_a_change),
        cmocka_unit_test(files_of_a_module_keep_their_types_apart),
        cmocka_unit_test(bytes_of_elements_are_words_wherever_they_are_aligned),
        cmocka_unit_test(a_tag_lets_pointers_in_unions_be_followed),
        cmocka_unit_test(a_union_of_pointers_follows_what_it_leads_to),
        cmocka_unit_test(a_typedefs_struct_may_get_a_tag_or_lose_it),
        cmocka_unit_test(a_tag_that_was_there_before_is_no_new_name),
        cmocka_unit_test(a_refused_pointee_is_told_from_its_namesake),
        cmocka_unit_test(pointers_into_a_block_follow_what_they_point_to),
        cmocka_unit_test(a_quadruple_is_no_long_double),
        cmocka_unit_test(a_renamed_type_is_looked_for_in_its_own_file),
        cmocka_unit_test(a_new_enumerator_behind_the_others_needs_no_word),
        cmocka_unit_test(an_enum_between_integers_is_renumbered_by_nobody),
        cmocka_unit_test(what_stays_has_recipes_if_its_pointers_tell_something),
        cmocka_unit_test(an_unchanged_module_has_no_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
