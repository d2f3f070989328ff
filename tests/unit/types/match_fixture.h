/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Two versions of a module, matched. Each struct t1 ... of the texts is a block's type.
 * Test cases have their structs once, as macros: as text for the modules, and as types
 * of the test, whose compiler lays them out alike.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_TYPES_MATCH_FIXTURE_H
#define MOLT_TESTS_TYPES_MATCH_FIXTURE_H

#include "code/recipe.h"
#include "types/match.h"
#include "unit/types/fixture.h"

/* The first line of every text, so that lines of types can be told. */
#define MATCH_HEAD "#include <molt/molt.h>\n#include <stdbool.h>\n#include <stdint.h>\n"

#define MATCH_TEXT_(...) #__VA_ARGS__
#define MATCH_TEXT(...) MATCH_TEXT_(__VA_ARGS__)

struct match_fixture {
    struct fixture f; /* both are made in one project; it holds the new image */
    uint8_t *old;
    size_t old_len;
    struct molt_match match;
    struct molt_error err;
};

/* Compile @text with blocks of struct t1 ... t<n>. */
static inline void match_compile(struct fixture *f, const char *cc, const char *text, int n)
{
    struct molt_buf out = MOLT_BUF_INIT;
    f->c.cc = cc;
    molt_buf_printf(&out, "%s\nvoid *make(int i);\nvoid *make(int i)\n{\n    switch (i) {\n", text);
    for (int i = 1; i <= n; i++)
        molt_buf_printf(&out, "    case %d: return molt_new(struct t%d);\n", i, i);
    molt_buf_printf(&out, "    default: return 0;\n    }\n}\n");
    fixture_build(f, "m", out.data);
    molt_buf_fini(&out);
}

static inline int match_run(struct match_fixture *p, bool is_backward)
{
    struct molt_match_options options = {.is_backward = is_backward, .project = p->f.c.dir};
    struct molt_match_side old = {p->old, p->old_len}, new = {p->f.image, p->f.len};
    p->err = (struct molt_error){0};
    molt_match_fini(&p->match);
    return molt_match_images(is_backward ? &new : &old, is_backward ? &old : &new, &options,
                             &p->match, &p->err);
}

static inline void match_init(struct match_fixture *p, const char *old_cc, const char *new_cc,
                              const char *cflags, const char *old, const char *new, int n)
{
    *p = (struct match_fixture){0};
    fixture_init(&p->f, old_cc, cflags);
    match_compile(&p->f, old_cc, old, n);
    p->old = p->f.image;
    p->old_len = p->f.len;
    p->f.image = NULL;
    match_compile(&p->f, new_cc, new, n);
    if (match_run(p, false) < 0)
        fail_msg("%s", p->err.text);
}

static inline void match_fini(struct match_fixture *p)
{
    molt_match_fini(&p->match);
    free(p->old);
    fixture_fini(&p->f);
}

static inline const struct molt_match_type *match_find(const struct match_fixture *p,
                                                       const char *name)
{
    for (size_t i = 0; i < p->match.n_types; i++)
        if (strcmp(p->match.types[i].name, name) == 0)
            return &p->match.types[i];
    return NULL;
}

static inline void match_print(const struct molt_match_type *t)
{
    fprintf(stderr, "%s: verdict %d\n%s", t->name, t->verdict, t->lines);
    for (size_t i = 0; i < t->n_refusals; i++)
        fprintf(stderr, "  %s: %s: %s (%s)\n%s", t->refusals[i].rule, t->refusals[i].field,
                t->refusals[i].why, t->refusals[i].place, t->refusals[i].remedy);
    for (uint32_t i = 0; t->recipe && i < t->recipe->n_steps; i++) {
        const struct molt_step *s = &t->recipe->steps[i];
        fprintf(stderr, "  %u: kind %u flags %u %u->%u at %u->%u count %u stride %u->%u %u+%u %s\n",
                i, s->kind, s->flags, s->old_bytes, s->new_bytes, s->old_at, s->new_at, s->count,
                s->old_stride, s->new_stride, s->first, s->n_steps, t->recipe->texts[s->text]);
    }
}

/* The type, which must have this verdict; its recipe passes the host's check. */
static inline const struct molt_match_type *
match_verdict(const struct match_fixture *p, const char *name, enum molt_verdict verdict)
{
    const struct molt_match_type *t = match_find(p, name);
    struct molt_error err = {0};
    if (!t)
        fail_msg("%s is not in the match", name);
    if (t->verdict != verdict) {
        match_print(t);
        fail_msg("%s: verdict %d, expected %d", name, t->verdict, verdict);
    }
    assert_int_equal(t->recipe == NULL, verdict == MOLT_MATCH_REFUSED);
    if (t->recipe && molt_recipe_check(t->recipe, &err) < 0) {
        match_print(t);
        fail_msg("%s", err.text);
    }
    return t;
}

/* Run the recipe: 0 or MOLT_ECHANGE. */
static inline int match_convert(const struct molt_match_type *t, const void *old, size_t old_size,
                                void *new, size_t new_size)
{
    struct molt_recipe_fault fault = {0};
    assert_non_null(t);
    assert_int_equal(t->recipe->from_size, old_size);
    assert_int_equal(t->recipe->to_size, new_size);
    memset(new, 0, new_size);
    return molt_recipe_run(t->recipe, old, old_size, new, NULL, &fault);
}

/* Refused with one refusal of @rule at @field, whose remedy holds @remedy. */
static inline void match_refused(const struct match_fixture *p, const char *name, const char *rule,
                                 const char *field, const char *remedy)
{
    const struct molt_match_type *t = match_verdict(p, name, MOLT_MATCH_REFUSED);
    bool is_fine = t->n_refusals == 1 && strcmp(t->refusals[0].rule, rule) == 0 &&
                   strcmp(t->refusals[0].field, field) == 0 &&
                   strstr(t->refusals[0].remedy, remedy);
    if (!is_fine) {
        match_print(t);
        fail_msg("expected %s at %s with %s", rule, field, remedy);
    }
    assert_non_null(strstr(t->refusals[0].place, "src/m.c:"));
}

#endif
