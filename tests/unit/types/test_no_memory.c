/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Each allocation while an image is read fails in its turn. */
#include "support/alloc_fail.h"
#include "types/match.h"
#include "unit/types/fixture.h"

#define TRIES_MAX 20000

static const char cell_h[] = "#ifndef CELL_H\n#define CELL_H\n"
                             "struct cell { struct cell *next; long n; int (*fn)(int); };\n"
                             "long cell_sum(const struct cell *cell);\n"
                             "long other_sum(struct cell *cell);\n"
                             "#endif\n";

static const char cell_c[] =
    "#include <molt/molt.h>\n"
    "#include \"../cell.h\"\n"
    "struct state { long n; struct cell *first; char name[8]; unsigned flag : 3; };\n"
    "struct before { int n; };\n"
    "enum colour { RED, GREEN = 4 };\n"
    "struct ask { enum colour colour; union { int i; double d; } u; };\n"
    "static int hits;\n"
    "static int init(struct state *s, const long *n) { s->n = n ? *n : 0; return 0; }\n"
    "static int on_cell(struct state *s, struct cell *c)\n"
    "{ s->n += cell_sum(c); hits++; return 0; }\n"
    "static int on_ask(struct state *s, struct ask *a, struct molt_from *from)\n"
    "{ struct before *b = molt_new(struct before); if (b) b->n = a->colour; s->n++;\n"
    "  return molt_reply(from, b); }\n"
    "static int change(const struct before *old, struct state *s) { s->n = old->n; return 0; }\n"
    "MOLT_SERVER(cell, struct state, .init = MOLT_FN(init),\n"
    "  .on = { MOLT_CAST(struct cell, on_cell), MOLT_CALL(struct ask, on_ask) },\n"
    "  .change = { MOLT_CHANGE(struct before, change) });\n"
    "long cell_sum(const struct cell *c) { return c ? c->n + other_sum(c->next) : 0; }\n";

static void build_cell(struct fixture *f, const char *cc)
{
    fixture_init(f, cc, "-O2");
    compile_write(&f->c, "cell.h", cell_h);
    fixture_export(f, "cell", "cell.h", "cell_sum");
    fixture_export(f, "other", "cell.h", "other_sum");
    fixture_good(f, "cell", cell_c);
}

/* Says what went wrong instead, and goes on, so that one run shows it all. */
static unsigned count_wrong(const struct fixture *f, size_t nth, int rc)
{
    if (rc == MOLT_ENOMEM && strstr(f->err.text, "memory"))
        return 0;
    print_error("allocation %zu fails: code %d: %s\n", nth, rc, f->err.text);
    return 1;
}

static void an_image_is_read_or_there_is_no_memory(void **state)
{
    static const char *const ccs[] = {"gcc", "clang"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        build_cell(&f, ccs[i]);
        size_t nth = 1;
        unsigned n_wrong = 0;
        for (bool has_failed = true; nth < TRIES_MAX; nth++) {
            alloc_fail_at(nth);
            int rc = fixture_read(&f, "cell");
            has_failed = alloc_fail_end();
            if (!has_failed) {
                assert_int_equal(rc, 0);
                break;
            }
            n_wrong += count_wrong(&f, nth, rc);
        }
        assert_int_equal(n_wrong, 0);
        assert_in_range(nth, 100, TRIES_MAX - 1);
        fixture_fini(&f);
    }
}

static void types_are_matched_or_there_is_no_memory(void **state)
{
    struct fixture f;
    uint8_t *old;
    (void)state;
    fixture_init(&f, "gcc", "-O0");
    fixture_build(&f, "m",
                  "#include <molt/molt.h>\nenum e { A, B };\nstruct in { int x; };\n"
                  "struct s { enum e e; struct in in[2]; long v[2]; int gone; };\n"
                  "void *make(void);\nvoid *make(void) { return molt_new(struct s); }\n");
    old = f.image;
    struct molt_match_side from = {old, f.len};
    f.image = NULL;
    fixture_build(&f, "m",
                  "#include <molt/molt.h>\nenum e { N, A, B };\nstruct in { char c; long x; };\n"
                  "struct s { enum e e; struct in in[2]; int v[3]; int fresh; };\n"
                  "MOLT_DEFAULT(struct s, fresh, 3);\n"
                  "void *make(void);\nvoid *make(void) { return molt_new(struct s); }\n");
    struct molt_match_side to = {f.image, f.len};
    size_t nth = 1;
    unsigned n_wrong = 0;
    for (; nth < TRIES_MAX; nth++) {
        struct molt_match match = {0};
        f.err = (struct molt_error){0};
        alloc_fail_at(nth);
        int rc = molt_match_images(&from, &to, NULL, &match, &f.err);
        bool has_failed = alloc_fail_end();
        if (!has_failed) {
            assert_int_equal(rc, 0);
            assert_int_equal(match.n_types, 1);
            assert_int_equal(match.n_refusals, 1);
            assert_int_equal(match.types[0].n_refusals, 2);
        }
        molt_match_fini(&match);
        if (!has_failed)
            break;
        n_wrong += count_wrong(&f, nth, rc);
    }
    assert_int_equal(n_wrong, 0);
    assert_in_range(nth, 20, TRIES_MAX - 1);
    free(old);
    fixture_fini(&f);
}

/* A wrong hash would be worse than none: it names symbols. */
static void a_signature_is_hashed_or_there_is_no_memory(void **state)
{
    struct fixture f;
    const char *name = "cell_sum";
    (void)state;
    fixture_init(&f, "gcc", "-O0");
    compile_write(&f.c, "cell.h", cell_h);
    compile_write(&f.c, "probe.c",
                  "#include \"cell.h\"\n"
                  "static __typeof__(cell_sum) *molt_anchor_cell_sum __attribute__((used));\n");
    compile_object(&f.c, "probe.c", "probe.o");
    f.image = compile_read(&f.c, "probe.o", &f.len);
    uint64_t good = 0;
    assert_int_equal(molt_image_probe(f.image, f.len, f.c.dir, 1, &name, &good, NULL), 0);
    size_t nth = 1;
    unsigned n_wrong = 0;
    for (; nth < TRIES_MAX; nth++) {
        uint64_t sig = 0;
        f.err = (struct molt_error){0};
        alloc_fail_at(nth);
        int rc = molt_image_probe(f.image, f.len, f.c.dir, 1, &name, &sig, &f.err);
        if (!alloc_fail_end()) {
            assert_int_equal(rc, 0);
            assert_true(sig == good);
            break;
        }
        n_wrong += count_wrong(&f, nth, rc);
    }
    assert_int_equal(n_wrong, 0);
    assert_in_range(nth, 10, TRIES_MAX - 1);
    fixture_fini(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_read_or_there_is_no_memory),
        cmocka_unit_test(a_signature_is_hashed_or_there_is_no_memory),
        cmocka_unit_test(types_are_matched_or_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
