/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Words with addresses, globals, places in code. */
#include "unit/types/fixture.h"

static const char maker[] =
    "\nvoid *make(void);\nvoid *make(void) { return molt_new(struct s); }\n";

static void build(struct fixture *f, const char *cc, const char *declarations)
{
    char text[2048];
    fixture_init(f, cc, "-O0");
    snprintf(text, sizeof text, "#include <molt/molt.h>\n%s%s", declarations, maker);
    fixture_good(f, "m", text);
}

static void check_word(const struct molt_meta_type *t, size_t i, uint32_t offset, uint32_t count,
                       enum molt_ptr_kind kind, const char *field)
{
    assert_true(i < t->n_ptrs);
    assert_string_equal(t->ptrs[i].field, field);
    assert_int_equal(t->ptrs[i].offset, offset);
    assert_int_equal(t->ptrs[i].count, count);
    assert_int_equal(t->ptrs[i].kind, kind);
}

static void words_that_may_hold_addresses_are_listed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc",
              "#include <stdint.h>\nstruct t { long a; struct t *t; };\n"
              "struct s { void *any; const char *text; uintptr_t word; uint64_t plain; long l;\n"
              "  struct t *data; void (*code)(void); union { long a; char *p; } u;\n"
              "  char small[7]; char big[17]; struct t list[2]; struct s *more[3];\n"
              "  char grid[4][6]; double d; _Atomic(struct t *) at; void (*codes[2])(void); };\n");
        const struct molt_meta_type *t = fixture_type(&f, "m/m.c:struct s");
        size_t n = 0;
        check_word(t, n++, 0, 1, MOLT_PTR_ANY, "any");
        check_word(t, n++, 8, 1, MOLT_PTR_ANY, "text");
        check_word(t, n++, 16, 1, MOLT_PTR_WORD, "word");
        check_word(t, n++, 40, 1, MOLT_PTR_DATA, "data");
        check_word(t, n++, 48, 1, MOLT_PTR_CODE, "code");
        check_word(t, n++, 56, 1, MOLT_PTR_WORD, "u");
        check_word(t, n++, 72, 2, MOLT_PTR_WORD, "big");
        check_word(t, n++, 96, 1, MOLT_PTR_DATA, "list[0].t");
        check_word(t, n++, 112, 1, MOLT_PTR_DATA, "list[1].t");
        check_word(t, n++, 120, 3, MOLT_PTR_DATA, "more");
        check_word(t, n++, 144, 3, MOLT_PTR_WORD, "grid");
        check_word(t, n++, 176, 1, MOLT_PTR_DATA, "at");
        check_word(t, n++, 184, 2, MOLT_PTR_CODE, "codes");
        assert_int_equal(t->n_ptrs, n);
        fixture_fini(&f);
    }
}

static bool has_type(const struct fixture *f, const char *key)
{
    for (size_t i = 0; i < f->meta->n_types; i++)
        if (strcmp(f->meta->types[i].key, key) == 0)
            return true;
    return false;
}

static void what_blocks_point_to_is_described_too(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc",
              "#include <stdio.h>\nenum color { RED };\nstruct far { int n; }; struct open;\n"
              "struct near { struct far *far[2]; enum color *color; struct near *self; };\n"
              "struct other { int n; };\nstruct other *unused(void);\n"
              "struct s { struct { struct near **near; } in; FILE *file; long *n; void *any;\n"
              "  struct open *open; int (*fn)(struct other *); };\n");
        assert_true(has_type(&f, "m/m.c:struct s"));
        assert_true(has_type(&f, "m/m.c:struct near *"));
        assert_true(has_type(&f, "m/m.c:struct near"));
        assert_true(has_type(&f, "m/m.c:struct far"));
        assert_true(has_type(&f, "m/m.c:enum color"));
        assert_false(has_type(&f, "m/m.c:struct other"));
        assert_int_equal(f.meta->n_types, 5); /* no FILE, no long */
        fixture_fini(&f);
    }
}

static void flexible_members_are_described_beside_the_type(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        build(&f, i ? "clang" : "gcc",
              "struct e { long a; void *any; struct e *e[2]; };\n"
              "struct s { long n; char c; struct e list[]; };\n");
        const struct molt_meta_type *t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->size, 16);
        assert_int_equal(t->n_ptrs, 0);
        assert_int_equal(t->flex_at, 16);
        assert_int_equal(t->flex_size, 32);
        assert_int_equal(t->n_flex_ptrs, 2);
        assert_int_equal(t->flex_ptrs[0].offset, 8);
        assert_int_equal(t->flex_ptrs[0].kind, MOLT_PTR_ANY);
        assert_string_equal(t->flex_ptrs[0].field, "list[].any");
        assert_int_equal(t->flex_ptrs[1].offset, 16);
        assert_int_equal(t->flex_ptrs[1].count, 2);
        assert_int_equal(t->flex_ptrs[1].kind, MOLT_PTR_DATA);
        fixture_fini(&f);
        build(&f, i ? "clang" : "gcc", "struct s { int n; char text[]; };\n");
        t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->flex_at, 4);
        assert_int_equal(t->flex_size, 1);
        assert_int_equal(t->n_flex_ptrs, 0);
        fixture_fini(&f);
        build(&f, i ? "clang" : "gcc", "struct s { char *lines[2]; int n; };\n");
        t = fixture_type(&f, "m/m.c:struct s");
        assert_int_equal(t->flex_size, 0);
        fixture_fini(&f);
    }
}

static void globals_are_listed_unless_constant_or_fresh(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(&f, "m",
                     "#include <molt/molt.h>\n"
                     "int in_data = 5; static long in_bss[4]; MOLT_FRESH int marked;\n"
                     "const int constant = 3; static const char *const names[] = {\"a\"};\n"
                     "static const char *mutable_name = \"b\";\n"
                     "long use(int i, const char *s); long use(int i, const char *s)\n"
                     "{ static int here; in_bss[i] += in_data++ + marked++ + here++;\n"
                     "  const char *was = mutable_name; mutable_name = s;\n"
                     "  return in_bss[i] + names[0][0] + was[0] + constant; }\n");
        assert_int_equal(f.meta->n_globals, 4);
        assert_string_equal(f.meta->globals[0].name, "src/m.c:in_bss");
        assert_string_equal(f.meta->globals[1].name, "src/m.c:in_data");
        assert_string_equal(f.meta->globals[2].name, "src/m.c:mutable_name");
        assert_string_equal(f.meta->globals[3].name, "src/m.c:use:here");
        fixture_fini(&f);
    }
}

static uint64_t address_of(struct fixture *f, const char *symbol)
{
    char command[256], line[256];
    snprintf(command, sizeof command, "nm %s/module.so", f->c.dir);
    FILE *nm = popen(command, "r");
    assert_non_null(nm);
    uint64_t found = 0;
    while (fgets(line, sizeof line, nm)) {
        line[strcspn(line, "\n")] = '\0';
        if (strlen(line) > 19 && strcmp(line + 19, symbol) == 0)
            found = strtoull(line, NULL, 16);
    }
    pclose(nm);
    assert_true(found);
    return found;
}

static void addresses_lead_to_function_and_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_init(&f, fixture_matrix[i][0], fixture_matrix[i][1]);
        fixture_good(&f, "m",
                     "#include <molt/molt.h>\n"
                     "static inline __attribute__((always_inline)) void boom(volatile int *p)\n"
                     "{\n    *p = __LINE__;\n}\n"
                     "void use(volatile int *p);\nvoid use(volatile int *p)\n{\n    boom(p);\n}\n");
        char *path = compile_path(&f.c, "module.so");
        uint64_t start = address_of(&f, "use");
        struct molt_source_location loc;
        assert_int_equal(molt_image_locate(path, start, &loc), 0);
        assert_non_null(strstr(loc.file, "src/m.c"));
        molt_source_location_fini(&loc);
        bool was_inlined = false;
        for (uint64_t at = start; at < start + 40 && !was_inlined; at++) {
            assert_int_equal(molt_image_locate(path, at, &loc), 0);
            was_inlined = loc.function && strcmp(loc.function, "boom") == 0 && loc.line == 4;
            molt_source_location_fini(&loc);
        }
        assert_true(was_inlined);
        assert_int_equal(molt_image_locate(path, 0x7fffffff, &loc), 0);
        assert_null(loc.function);
        assert_int_equal(molt_image_locate("/nowhere", 0, &loc), MOLT_ENOENT);
        free(path);
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_may_hold_addresses_are_listed),
        cmocka_unit_test(what_blocks_point_to_is_described_too),
        cmocka_unit_test(flexible_members_are_described_beside_the_type),
        cmocka_unit_test(globals_are_listed_unless_constant_or_fresh),
        cmocka_unit_test(addresses_lead_to_function_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
