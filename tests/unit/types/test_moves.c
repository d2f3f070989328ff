/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "fixture.h"

#include "types/moves.h"

struct pair {
    struct fixture f;
    uint8_t *old_bytes;
    size_t old_len;
    struct molt_image old, now;
    struct molt_moves *moves;
};

static void make(struct pair *p, const char *const how[2], const char *old, const char *now)
{
    struct molt_image_options options = {.allow_sanitizer = true};
    struct molt_error err = {0};
    *p = (struct pair){0};
    fixture_init(&p->f, how[0], how[1]);
    fixture_build(&p->f, "m", old);
    p->old_bytes = p->f.image;
    p->old_len = p->f.len;
    p->f.image = NULL;
    fixture_build(&p->f, "m", now);
    options.project = p->f.c.dir;
    assert_int_equal(molt_image_begin(p->old_bytes, p->old_len, &options, &p->old, &err), 0);
    assert_int_equal(molt_image_begin(p->f.image, p->f.len, &options, &p->now, &err), 0);
    if (molt_moves_make(&p->old, &p->now, &p->moves, &err) < 0)
        fail_msg("%s", err.text);
}

static void done(struct pair *p)
{
    molt_moves_free(p->moves);
    molt_image_fini(&p->old);
    molt_image_fini(&p->now);
    free(p->old_bytes);
    fixture_fini(&p->f);
}

static uint32_t place_of_var(struct molt_image *image, const char *name, const char *scope)
{
    for (size_t i = 0; i < image->debug.n_vars; i++) {
        const struct molt_debug_var *var = &image->debug.vars[i];
        if (strcmp(var->name, name) == 0 && (!scope || (var->scope && !strcmp(var->scope, scope))))
            return (uint32_t)var->addr;
    }
    fail_msg("no variable %s", name);
    return 0;
}

static uint32_t place_of_fn(struct molt_image *image, const char *name)
{
    for (size_t i = 0; i < image->debug.n_fns; i++)
        if (strcmp(image->debug.fns[i].name, name) == 0)
            return (uint32_t)image->debug.fns[i].addr;
    fail_msg("no function %s", name);
    return 0;
}

/* Where the constant word of variable @name leads to. */
static uint32_t place_of_text(struct molt_image *image, const char *name)
{
    struct molt_elf_word word;
    assert_int_equal(molt_elf_word(&image->elf, place_of_var(image, name, NULL), &word), 0);
    return (uint32_t)word.addr;
}

static uint32_t moved(struct pair *p, uint32_t at, uint64_t type)
{
    uint32_t to = 0;
    const char *gone = NULL;
    if (molt_moves_find(p->moves, at, type, &to, &gone) < 0)
        fail_msg("%#x is gone: %s", at, gone ? gone : "?");
    return to;
}

static const char *gone(struct pair *p, uint32_t at, uint64_t type)
{
    uint32_t to = 0;
    const char *name = NULL;
    assert_int_equal(molt_moves_find(p->moves, at, type, &to, &name), MOLT_ENOENT);
    return name ? name : "";
}

#define HEAD                                                                                       \
    "#include <molt/molt.h>\n"                                                                     \
    "struct s { int n; };\n"                                                                       \
    "int (*volatile keep_fn)(int);\nconst void *volatile keep;\n"

static const char old_text[] = HEAD
    "static int one(int a) { return a + 1; }\n"
    "static int two(int a) { static int calls; return a + ++calls; }\n"
    "static int three(int a) { return a * 3; }\n"
    "static int table[3] = {1, 2, 3};\n"
    "static const struct s fixed = {7};\n"
    "static long other;\n"
    "static const char *volatile hello = \"hello, world\";\n"
    "static const char *volatile tail = \"world\";\n"
    "static const char *volatile empty = \"\";\n"
    "static const char *volatile leaves = \"this one leaves\";\n"
    "void *m_use(void)\n"
    "{ keep_fn = one; keep_fn = two; keep_fn = three; keep = table; keep = &fixed; keep = &other;\n"
    "  keep = hello; keep = tail; keep = empty; keep = leaves; return molt_new(struct s); }\n";

static const char now_text[] =
    HEAD "static long long_before = 5;\n"
         "static const char *volatile before = \"something new comes first\";\n"
         "static int three(long a) { return (int)a * 3; }\n"
         "static int two(int a) { static int calls; return a + 2 + ++calls; }\n"
         "static int one(int a) { return a + 11; }\n"
         "static const struct s fixed = {8};\n"
         "static int other;\n"
         "static int table[3] = {4, 2, 3};\n"
         "static const char *volatile empty = \"\";\n"
         "static const char *volatile tail = \"world\";\n"
         "static const char *volatile hello = \"hello, world\";\n"
         "void *m_use(void)\n"
         "{ keep_fn = one; keep_fn = two; keep = (void *)three; keep = table; keep = &fixed;\n"
         "  keep = &other; keep = &long_before; keep = before;\n"
         "  keep = hello; keep = tail; keep = empty; return molt_new(struct s); }\n";

static void functions_and_variables_are_found_by_their_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_MATRIX; i++) {
        struct pair p;
        make(&p, fixture_matrix[i], old_text, now_text);
        assert_int_equal(moved(&p, place_of_fn(&p.old, "one"), 0), place_of_fn(&p.now, "one"));
        assert_int_equal(moved(&p, place_of_fn(&p.old, "two"), 0), place_of_fn(&p.now, "two"));
        assert_int_equal(moved(&p, place_of_var(&p.old, "table", NULL) + 4, 0),
                         place_of_var(&p.now, "table", NULL) + 4);
        assert_int_equal(moved(&p, place_of_var(&p.old, "calls", "two"), 0),
                         place_of_var(&p.now, "calls", "two"));
        done(&p);
    }
}

static void what_changed_its_type_is_gone(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_MATRIX; i++) {
        struct pair p;
        make(&p, fixture_matrix[i], old_text, now_text);
        assert_non_null(strstr(gone(&p, place_of_var(&p.old, "other", NULL), 0), "m.c:other"));
        done(&p);
    }
}

static void a_function_with_another_signature_is_gone(void **state)
{
    (void)state;
    struct pair p;
    make(&p, fixture_matrix[0], old_text, now_text);
    assert_non_null(strstr(gone(&p, place_of_fn(&p.old, "three"), 0), "m.c:three()"));
    done(&p);
}

static void the_middle_of_a_function_leads_nowhere(void **state)
{
    (void)state;
    struct pair p;
    make(&p, fixture_matrix[0], old_text, now_text);
    gone(&p, place_of_fn(&p.old, "one") + 1, 0);
    done(&p);
}

static void texts_are_found_by_their_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_MATRIX; i++) {
        static const char *const names[] = {"hello", "tail", "empty"};
        struct pair p;
        make(&p, fixture_matrix[i], old_text, now_text);
        for (size_t k = 0; k < 3; k++) {
            uint32_t from = place_of_text(&p.old, names[k]);
            uint32_t to = moved(&p, from, MOLT_RECIPE_TYPE_TEXT);
            assert_string_equal(molt_elf_string_at(&p.old.elf, from),
                                molt_elf_string_at(&p.now.elf, to));
        }
        assert_non_null(strstr(gone(&p, place_of_text(&p.old, "leaves"), MOLT_RECIPE_TYPE_TEXT),
                               "this one leaves"));
        done(&p);
    }
}

static void texts_are_for_char_pointers_alone(void **state)
{
    (void)state;
    struct pair p;
    make(&p, fixture_matrix[0], old_text, now_text);
    gone(&p, place_of_text(&p.old, "hello"), 0);
    gone(&p, place_of_text(&p.old, "hello"), molt_recipe_type_id("int"));
    done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_and_variables_are_found_by_their_names),
        cmocka_unit_test(what_changed_its_type_is_gone),
        cmocka_unit_test(a_function_with_another_signature_is_gone),
        cmocka_unit_test(the_middle_of_a_function_leads_nowhere),
        cmocka_unit_test(texts_are_found_by_their_bytes),
        cmocka_unit_test(texts_are_for_char_pointers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
