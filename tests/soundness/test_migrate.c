/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* States that follow their types: from the debug info of real modules to live processes. */
#include "soundness/fixture.h"

/* Of the source of server `st`: its types and hints, what init fills in, and what a poke says. */
struct side {
    const char *types, *fill, *read;
    long expected; /* CELL_A after a poke */
};

static void write_side(struct sound *s, const struct side *side)
{
    char text[6000];
    int n = snprintf(
        text, sizeof(text),
        "#include \"st.h\"\n#include <string.h>\n%s\nstruct poke { long n; };\n"
        "static int init(struct st *s, const struct poke *arg)\n{\n    (void)arg;\n    (void)s;\n"
        "%s\n    return 0;\n}\n"
        "static int on_poke(struct st *s, struct poke *m)\n{\n    (void)m;\n    (void)s;\n"
        "    SET(CELL_B, GET(CELL_B) + 1);\n    SET(CELL_A, %s);\n    return 0;\n}\n"
        "#ifndef CHANGES\n#define CHANGES\n#endif\n"
        "MOLT_SERVER(st, struct st, .init = MOLT_FN(init), CHANGES\n"
        "            .on = { MOLT_CAST(struct poke, on_poke) });\n"
        "int st_poke(void)\n{\n    return molt_send(\"st\", molt_new(struct poke));\n}\n",
        side->types, side->fill, side->read);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    sound_module(s, "st", "int st_poke(void);\n", text);
}

static void poke(struct sound *s, long expected)
{
    long before = atomic_load(&s->b.value);
    assert_int_equal(sound_call(s, "st", "st_poke"), 0);
    cell_await(&s->b, before + 1);
    cell_await(&s->a, expected);
}

static void open_old(struct sound *s, const struct side *old)
{
    sound_open(s);
    write_side(s, old);
    sound_upgrade(s);
    sound_spawn("st");
    poke(s, old->expected);
}

static void change_to(struct sound *s, const struct side *now)
{
    write_side(s, now);
    sound_upgrade(s);
    assert_int_equal(rig_result(s->rig)->conversion.n_processes, 1);
    poke(s, now->expected);
}

/* Up, and down again by the old sources, which say @back of what came back. */
static void follows_both_ways(const struct side *old, const struct side *now, long back)
{
    struct sound s;
    struct side again = *old;
    again.expected = back;
    open_old(&s, old);
    change_to(&s, now);
    change_to(&s, &again);
    change_to(&s, now);
    sound_close(&s);
}

/* ---- what follows --------------------------------------------------------------- */

static void field_is_added_moved_and_widened(void **state)
{
    (void)state;
    struct side old = {"struct st { int a; long b; short c; };",
                       "s->a = -7; s->b = 40; s->c = -300;", "s->a * 1000000L + s->b * 1000 + s->c",
                       -6960300};
    struct side now = {"struct st { long c; char name[24]; long b; long a; int added; };", "",
                       "s->a * 1000000L + s->b * 1000 + s->c + s->added + s->name[3]", -6960300};
    follows_both_ways(&old, &now, -6960300);
}

static void nested_structs_and_arrays_follow(void **state)
{
    (void)state;
    struct side old = {
        "struct in { int x; int y; };\nstruct st { struct in one; struct in many[3]; "
        "unsigned char small[4]; };",
        "s->one.x = 1; s->one.y = 2;\n    for (int i = 0; i < 3; i++) {\n"
        "        s->many[i].x = 10 * i; s->many[i].y = i;\n    }\n"
        "    s->small[3] = 200;",
        "s->one.x + s->one.y + s->many[2].x + s->many[2].y + s->small[3]", 225};
    struct side now = {"struct in { long y; long z; int x; };\nstruct st { int first; "
                       "struct in many[5]; struct in one; int small[6]; };",
                       "",
                       "s->first + s->one.x + s->one.y + s->one.z + s->many[2].x + s->many[2].y +\n"
                       "        s->many[4].x + s->small[3] + s->small[5]",
                       225};
    follows_both_ways(&old, &now, 225);
}

/* Two blocks that lead to each other, a pointer into the middle, and one that stays. */
#define GRAPH_FILL                                                                                 \
    "struct node *a = molt_new(struct node), *b = molt_new(struct node);\n"                        \
    "    a->n = 5; b->n = 7; a->next = b; b->next = a;\n"                                          \
    "    s->head = a; s->inner = &b->n; s->plain = molt_new_array(long, 4);\n"                     \
    "    s->plain[3] = 11;"
#define GRAPH_READ                                                                                 \
    "s->head->n + s->head->next->n * 10 + (s->head->next->next == s->head) * 100 +\n"              \
    "        (s->inner == &s->head->next->n) * 1000 + s->plain[3] * 10000"

static void graph_with_a_cycle_and_inner_pointers_follows(void **state)
{
    (void)state;
    struct side old = {"struct node { struct node *next; long n; };\n"
                       "struct st { struct node *head; long *inner; long *plain; };",
                       GRAPH_FILL, GRAPH_READ, 111175};
    struct side now = {"struct node { long before; long n; char more[40]; struct node *next; };\n"
                       "struct st { struct node *head; long *inner; long *plain; };",
                       "", GRAPH_READ " + s->head->before", 111175};
    follows_both_ways(&old, &now, 111175);
}

static void flexible_array_follows_by_element(void **state)
{
    (void)state;
    struct side old = {"struct item { int v; };\nstruct list { long n; struct item items[]; };\n"
                       "struct st { struct list *list; };",
                       "s->list = molt_new_flexible(struct list, items, 4); s->list->n = 4;\n"
                       "    for (int i = 0; i < 4; i++)\n        s->list->items[i].v = i + 1;",
                       "s->list->items[3].v + (long)(molt_count(s->list) >= 4)", 5};
    struct side now = {"struct item { long w; long v; };\n"
                       "struct list { long n; struct item items[]; };\n"
                       "struct st { struct list *list; };",
                       "",
                       "s->list->items[3].v + s->list->items[3].w + "
                       "(long)(molt_count(s->list) >= 4)",
                       5};
    follows_both_ways(&old, &now, 5);
}

static void renamed_field_follows_its_hint(void **state)
{
    (void)state;
    struct side old = {"struct st { long sum; int k; };", "s->sum = 33; s->k = 1;", "s->sum + s->k",
                       34};
    struct side now = {"struct st { int k; long total; };\nMOLT_RENAMED(struct st, total, sum);",
                       "", "s->total + s->k", 34};
    follows_both_ways(&old, &now, 34);
}

static void added_field_gets_its_default(void **state)
{
    (void)state;
    struct side old = {"struct st { long n; };", "s->n = 3;", "s->n", 3};
    struct side now = {"struct st { long n; int max; };\nMOLT_DEFAULT(struct st, max, 100);", "",
                       "s->n + s->max", 103};
    follows_both_ways(&old, &now, 3);
}

static void union_follows_its_tag(void **state)
{
    (void)state;
    struct side old = {"struct st { int kind; union { int round; float edge; } u; };",
                       "s->kind = 1; s->u.round = 6;", "s->kind == 1 ? s->u.round : -1", 6};
    struct side now = {"struct st { int kind; union { long round; double edge; } u; };\n"
                       "MOLT_TAGGED(struct st, u, kind);\nMOLT_CASE(struct st, u, 1, round);\n"
                       "MOLT_CASE(struct st, u, 2, edge);",
                       "", "s->kind == 1 ? s->u.round : -1", 6};
    follows_both_ways(&old, &now, 6);
}

static void enum_follows_by_name(void **state)
{
    (void)state;
    struct side old = {"enum phase { IDLE, BUSY, DONE };\nstruct st { enum phase at; };",
                       "s->at = BUSY;", "s->at == BUSY ? 1 : -1", 1};
    struct side now = {"enum phase { IDLE = 1, WAITING, BUSY, DONE };\n"
                       "struct st { enum phase at; };\nMOLT_RENUMBERED(enum phase);",
                       "", "s->at == BUSY ? 1 : -1", 1};
    follows_both_ways(&old, &now, 1);
}

static void pointers_to_functions_and_literals_follow(void **state)
{
    (void)state;
    struct side old = {"struct st { long n; int (*fn)(int); const char *text; };\n"
                       "static int twice(int n) { return 2 * n; }",
                       "s->n = 4; s->fn = twice; s->text = \"hello\";",
                       "s->fn((int)s->n) + s->text[4]", 8 + 'o'};
    struct side now = {"struct st { const char *text; long n; int (*fn)(int); };\n"
                       "static int twice(int n) { return 200 * n; }",
                       "s->fn = twice; s->text = \"hello\";", "s->fn((int)s->n) + s->text[4]",
                       800 + 'o'};
    struct sound s;
    open_old(&s, &old);
    change_to(&s, &now);
    rig_await_unloaded(s.rig, "st", 5000);
    poke(&s, now.expected);
    sound_close(&s);
}

/* ---- with the author ---------------------------------------------------------------- */

#define CHANGED(fields, body)                                                                      \
    "struct st { " fields " };\nstruct st_1 { int n; long kept; };\n"                              \
    "static int change(const struct st_1 *old, struct st *now)\n{\n    (void)old;\n    (void)now;" \
    "\n" body "\n    return 0;\n}\n"                                                               \
    "#define CHANGES .change = { MOLT_CHANGE(struct st_1, change) },"

/* What follows by itself is there before the author's function runs. */
static void authors_change_comes_on_top_of_what_follows(void **state)
{
    (void)state;
    struct side old = {"struct st { int n; long kept; };", "s->n = 4; s->kept = 50;",
                       "s->n + s->kept", 54};
    struct side now = {CHANGED("long kept; long n; long squared;",
                               "    now->squared = now->n * old->n;"),
                       "", "s->n + s->kept + s->squared * 100", 1654};
    struct sound s;
    open_old(&s, &old);
    change_to(&s, &now);
    sound_close(&s);
}

static void other_meaning_of_the_same_layout_needs_the_author(void **state)
{
    (void)state;
    struct side old = {"struct st { int n; long kept; };\nMOLT_SEMANTIC(struct st, 1);",
                       "s->n = 4; s->kept = 50;", "s->n + s->kept", 54};
    struct side silent = {"struct st { int n; long kept; };\nMOLT_SEMANTIC(struct st, 2);", "",
                          "s->n + s->kept", 54};
    struct side now = {
        CHANGED("int n; long kept;",
                "    now->kept = old->kept * 1000;") "\nMOLT_SEMANTIC(struct st, 2);",
        "", "s->n + s->kept", 50004};
    struct sound s;
    open_old(&s, &old);
    write_side(&s, &silent);
    sound_refused(&s, MOLT_EREFUSED, "write a MOLT_CHANGE");
    molt_safepoint(s.thread);
    change_to(&s, &now);
    sound_close(&s);
}

/* ---- what doesn't follow --------------------------------------------------------------- */

/* The upgrade is refused, and says whose what doesn't fit. */
static void value_that_does_not_fit_refuses_the_upgrade(void **state)
{
    (void)state;
    struct side old = {"struct st { unsigned n; long m; };", "s->n = 4000000000u; s->m = 1;",
                       "(long)s->n + s->m", 4000000001};
    struct side now = {"struct st { int n; long m; };", "", "s->n + s->m", 0};
    struct sound s;
    open_old(&s, &old);
    write_side(&s, &now);
    sound_refused(&s, MOLT_ECHANGE, "4000000000");
    assert_non_null(strstr(rig_error(s.rig), "'st': st.n of block"));
    molt_safepoint(s.thread);
    poke(&s, old.expected);
    assert_int_equal(rig_version(s.rig, "st"), 1);
    sound_close(&s);
}

static void narrowing_is_refused_without_the_author(void **state)
{
    (void)state;
    struct side old = {"struct st { long n; };", "s->n = 1;", "s->n", 1};
    struct side now = {"struct st { int n; };", "", "s->n", 1};
    struct sound s;
    open_old(&s, &old);
    write_side(&s, &now);
    sound_refused(&s, MOLT_EREFUSED, "MOLT_CHANGE");
    molt_safepoint(s.thread);
    poke(&s, 1);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_is_added_moved_and_widened),
        cmocka_unit_test(nested_structs_and_arrays_follow),
        cmocka_unit_test(graph_with_a_cycle_and_inner_pointers_follows),
        cmocka_unit_test(flexible_array_follows_by_element),
        cmocka_unit_test(renamed_field_follows_its_hint),
        cmocka_unit_test(added_field_gets_its_default),
        cmocka_unit_test(union_follows_its_tag),
        cmocka_unit_test(enum_follows_by_name),
        cmocka_unit_test(pointers_to_functions_and_literals_follow),
        cmocka_unit_test(authors_change_comes_on_top_of_what_follows),
        cmocka_unit_test(other_meaning_of_the_same_layout_needs_the_author),
        cmocka_unit_test(value_that_does_not_fit_refuses_the_upgrade),
        cmocka_unit_test(narrowing_is_refused_without_the_author),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
