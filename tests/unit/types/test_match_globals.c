/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Mutable globals of two versions: which follow, and how. */
#include "unit/types/match_fixture.h"

static struct match_fixture p;

/* Every global is used by a function, so that no compiler drops it. */
#define USE(name)                                                                                  \
    "void *use_" #name "(void); void *use_" #name "(void) { return (void *)&" #name "; }\n"

static void matched(const char *cc, const char *cflags, const char *old, const char *new)
{
    char a[4096], b[4096];
    snprintf(a, sizeof a, MATCH_HEAD "#include <pthread.h>\n#include <stdatomic.h>\n%s", old);
    snprintf(b, sizeof b, MATCH_HEAD "#include <pthread.h>\n#include <stdatomic.h>\n%s", new);
    match_init(&p, "gcc", cc, cflags, a, b, 0);
}

static const struct molt_match_global *find(const char *name, enum molt_global_fate fate)
{
    for (size_t i = 0; i < p.match.n_globals; i++) {
        const struct molt_match_global *g = &p.match.globals[i];
        if (strcmp(g->name, name) != 0)
            continue;
        if (g->fate != fate) {
            match_print(&g->value);
            fail_msg("%s: fate %d, expected %d", name, g->fate, fate);
        }
        assert_int_equal(g->value.recipe != NULL, fate == MOLT_GLOBAL_FOLLOWS);
        return g;
    }
    fail_msg("%s is not in the match", name);
    return NULL;
}

/* Run the recipe over what @now holds. */
static void follow(const char *name, const void *old, size_t old_size, void *now, size_t size)
{
    const struct molt_match_global *g = find(name, MOLT_GLOBAL_FOLLOWS);
    struct molt_recipe_fault fault = {0};
    struct molt_error err = {0};
    if (molt_recipe_check(g->value.recipe, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(g->value.recipe->from_size, old_size);
    assert_int_equal(g->value.recipe->to_size, size);
    assert_int_equal(molt_recipe_run(g->value.recipe, old, old_size, now, NULL, &fault), 0);
}

static void refused(const char *name, const char *rule, const char *why)
{
    const struct molt_match_global *g = find(name, MOLT_GLOBAL_REFUSED);
    assert_int_equal(g->value.n_refusals, 1);
    assert_string_equal(g->value.refusals[0].rule, rule);
    if (!strstr(g->value.refusals[0].why, why))
        fail_msg("%s", g->value.refusals[0].why);
    assert_non_null(strstr(g->value.refusals[0].remedy, "MOLT_FRESH"));
}

static void a_value_follows_by_file_function_and_name(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        matched(i % 2 ? "clang" : "gcc", i / 2 ? "-O2" : "-O0",
                "static long hits = 3;\n" USE(
                    hits) "int tick(void); int tick(void) { static int hits; return hits += 2; }\n",
                "static char pad[64] = {1};\n" USE(
                    pad) "int tick(void); int tick(void) { static int hits; return hits += 4; }\n"
                         "static long hits = 5;\n" USE(hits));
        long old = 7, now = 5;
        follow("src/m.c:hits", &old, sizeof old, &now, sizeof now);
        assert_int_equal(now, 7);
        int was = 9, is = 0;
        follow("src/m.c:tick:hits", &was, sizeof was, &is, sizeof is);
        assert_int_equal(is, 9);
        assert_int_not_equal(find("src/m.c:hits", MOLT_GLOBAL_FOLLOWS)->new_at, 0);
        find("src/m.c:pad", MOLT_GLOBAL_NEW);
        match_fini(&p);
    }
}

static void a_wider_value_and_a_longer_array_follow(void **state)
{
    (void)state;
    matched("clang", "-O1", "static int n = 1, list[2] = {1, 2};\n" USE(n) USE(list),
            "static long n = 2; static int list[4] = {6, 7, 8, 9};\n" USE(n) USE(list));
    int n = -5, list[2] = {10, 20}, now_list[4] = {6, 7, 8, 9};
    long now = 2;
    follow("src/m.c:n", &n, sizeof n, &now, sizeof now);
    assert_int_equal(now, -5);
    follow("src/m.c:list", list, sizeof list, now_list, sizeof now_list);
    assert_int_equal(now_list[0], 10);
    assert_int_equal(now_list[1], 20);
    assert_int_equal(now_list[2], 8); /* as it is initialised */
    assert_int_equal(now_list[3], 9);
    match_fini(&p);
}

/* What is new starts as it is initialised; null pointers and cleared bits are values, too. */
static void new_fields_keep_their_initial_values(void **state)
{
    (void)state;
    matched("gcc", "-O0",
            "struct c { unsigned a : 3; char *text; int n; };\n"
            "static struct c c = {1, 0, 2};\n" USE(c),
            "struct c { int max; unsigned a : 3, b : 4; char *text; int n; };\n"
            "static struct c c = {100, 7, 5, \"x\", 3};\n" USE(c));
    struct {
        unsigned a : 3;
        char *text;
        int n;
    } old = {2, NULL, 44};
    struct {
        int max;
        unsigned a : 3, b : 4;
        char *text;
        int n;
    } now = {100, 7, 5, (char *)&old, 3};
    follow("src/m.c:c", &old, sizeof old, &now, sizeof now);
    assert_int_equal(now.max, 100);
    assert_int_equal(now.a, 2);
    assert_int_equal(now.b, 5);
    assert_null(now.text);
    assert_int_equal(now.n, 44);
    const char *lines = find("src/m.c:c", MOLT_GLOBAL_FOLLOWS)->value.lines;
    assert_non_null(strstr(lines, "+max, as it is initialised"));
    match_fini(&p);
}

static void locks_and_atomics_are_refused(void **state)
{
    (void)state;
    static const char text[] =
        "struct inner { int n; pthread_mutex_t m; }; struct outer { struct inner list[2]; };\n"
        "static struct outer outer; static pthread_spinlock_t spin;\n"
        "static _Atomic long count; static atomic_int flags[2];\n"
        "static pthread_mutex_t *elsewhere;\n" USE(outer) USE(spin) USE(count) USE(flags)
            USE(elsewhere);
    matched("clang", "-O0", text, text);
    refused("src/m.c:outer", "global", "a lock (pthread_mutex_t)");
    refused("src/m.c:spin", "global", "a lock (pthread_spinlock_t)");
    refused("src/m.c:count", "global", "an atomic");
    refused("src/m.c:flags", "global", "an atomic");
    find("src/m.c:elsewhere", MOLT_GLOBAL_FOLLOWS);
    match_fini(&p);
}

static void what_could_lose_is_refused(void **state)
{
    (void)state;
    matched("gcc", "-O0",
            "struct a { int n; }; struct b { int n; };\n"
            "static long n; static int list[4]; static struct a s;\n" USE(n) USE(list) USE(s),
            "struct a { int n; }; struct b { int n; };\n"
            "static int n; static int list[2]; static struct b s;\n" USE(n) USE(list) USE(s));
    refused("src/m.c:n", "narrowing", "long -> int");
    refused("src/m.c:list", "shorter-array", "int [4] -> int [2]");
    refused("src/m.c:s", "renamed-type", "struct a -> struct b");
    match_fini(&p);
}

static void twins_are_refused(void **state)
{
    (void)state;
    static const char text[] = "int f(int i);\nint f(int i)\n{\n"
                               "    if (i) { static int n; return n++; }\n"
                               "    static int n; return n--;\n}\n";
    matched("gcc", "-O0", text, text);
    assert_int_equal(p.match.n_globals, 2);
    refused("src/m.c:f:n", "global", "another one of that name");
    match_fini(&p);
}

static void what_goes_or_starts_anew_is_told(void **state)
{
    (void)state;
    matched(
        "gcc", "-O0",
        "static int gone = 1, fresh = 1, fixed = 1;\n" USE(gone) USE(fresh) USE(fixed),
        "static int come = 1; static MOLT_FRESH int fresh = 1; static const int fixed = 1;\n" USE(
            come) USE(fresh) USE(fixed));
    find("src/m.c:gone", MOLT_GLOBAL_LOST);
    find("src/m.c:fresh", MOLT_GLOBAL_ANEW);
    find("src/m.c:fixed", MOLT_GLOBAL_ANEW);
    find("src/m.c:come", MOLT_GLOBAL_NEW);
    match_fini(&p);
}

/* A server's state of the same type has a MOLT_CHANGE: that is none for a variable. */
static void a_servers_change_is_no_variables(void **state)
{
    (void)state;
    matched("gcc", "-O0",
            "struct st { long n; }; static struct st mine;\n" USE(
                mine) "MOLT_SERVER(st, struct st);\n",
            "struct st { int n; }; struct st_1 { long n; }; static struct st mine;\n" USE(
                mine) "static int up(const struct st_1 *o, struct st *s) { s->n = (int)o->n; "
                      "return 0; }\n"
                      "MOLT_SERVER(st, struct st, .change = { MOLT_CHANGE(struct st_1, up) });\n");
    refused("src/m.c:mine", "narrowing", "long -> int");
    match_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_follows_by_file_function_and_name),
        cmocka_unit_test(a_wider_value_and_a_longer_array_follow),
        cmocka_unit_test(new_fields_keep_their_initial_values),
        cmocka_unit_test(locks_and_atomics_are_refused),
        cmocka_unit_test(what_could_lose_is_refused),
        cmocka_unit_test(twins_are_refused),
        cmocka_unit_test(what_goes_or_starts_anew_is_told),
        cmocka_unit_test(a_servers_change_is_no_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
