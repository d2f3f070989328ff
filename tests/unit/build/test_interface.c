/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Interface objects: made by the builder, loaded and called through. */
#include "unit/build/fixture.h"

#include <dlfcn.h>

#include <molt/abi.h>

#include "port/thunk.h"

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    make_folder(f.root);
    put(&f, "molt.conf", "cc = gcc\n");
    put(&f, "src/sum.h", "int sum_of(int a, int b);\nint sum_three(int a, int b, int c);\n");
    put(&f, "src/sum.c",
        "#include \"sum.h\"\nint sum_of(int a, int b) { return a + b; }\n"
        "int sum_three(int a, int b, int c) { return a + b + c; }\n");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget_builder(f);
    remove_tree(f->root);
    return 0;
}

static char *make(struct fixture *f, size_t n_known, const char *const *known)
{
    build_ok(f);
    const struct molt_meta *metas[] = {f->result->modules[0].meta};
    char *path = NULL;
    int rc = molt_builder_interface(f->builder, 1, metas, n_known, known, &path, &f->err);
    if (rc < 0)
        fail_msg("%s", f->err.text);
    return path;
}

static int twice(int a, int b)
{
    return 2 * (a + b);
}

static void thunks_jump_through_the_threads_world(void **state)
{
    char *path = make(*state, 0, NULL);
    assert_non_null(path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fail_msg("%s", dlerror());
    const struct molt_interface *table = dlsym(handle, MOLT_INTERFACE_SYMBOL);
    assert_non_null(table);
    assert_true(table->magic == MOLT_INTERFACE_MAGIC);
    assert_int_equal(table->abi, MOLT_ABI_VERSION);
    assert_int_equal(table->count, 2);
    assert_string_equal(table->entries[0].module, "sum");
    assert_string_equal(table->entries[0].name, "sum_of");
    assert_string_equal(table->entries[1].name, "sum_three");
    char name[256];
    molt_meta_symbol_name(name, sizeof(name), "sum", "sum_of", table->entries[0].sig);
    assert_ptr_equal(dlsym(handle, name), table->entries[0].thunk);

    void *world[8] = {0}, **before = molt_world;
    int (*fn)(int, int);
    *(void **)&fn = table->entries[0].thunk;
    world[5] = (void *)(uintptr_t)twice;
    table->slots[0] = 5;
    molt_world = world;
    int result = fn(3, 4);
    molt_world = before;
    assert_int_equal(result, 14);
    assert_int_equal(dlclose(handle), 0);
    free(path);
}

static void known_names_are_left_out(void **state)
{
    struct fixture *f = *state;
    build_ok(f);
    const struct molt_meta *meta = f->result->modules[0].meta;
    char names[2][256];
    const char *const known[] = {names[0], names[1]};
    for (int i = 0; i < 2; i++)
        molt_meta_symbol_name(names[i], sizeof(names[i]), "sum", meta->exports[i].name,
                              meta->exports[i].sig);
    char *none = make(f, 2, known);
    assert_null(none);
    char *one = make(f, 1, known), *again = make(f, 1, known);
    assert_non_null(one);
    assert_string_equal(one, again);
    free(one);
    free(again);
}

static void no_exports_need_no_interface(void **state)
{
    struct fixture *f = *state;
    drop(f, "src/sum.h");
    put(f, "src/sum.c", "int nothing(void);\n");
    assert_null(make(f, 0, NULL));
}

static void the_table_has_no_relocations_but_to_itself(void **state)
{
    char *path = make(*state, 0, NULL), command[512], line[512];
    snprintf(command, sizeof(command), "readelf -Wr '%s'", path);
    FILE *out = popen(command, "re");
    assert_non_null(out);
    int n_relative = 0;
    while (fgets(line, sizeof(line), out)) {
        assert_null(strstr(line, "molt$"));
        n_relative += strstr(line, "RELATIVE") != NULL;
    }
    assert_int_equal(pclose(out), 0);
    assert_int_equal(n_relative, 2 + 2 * 3);
    free(path);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(thunks_jump_through_the_threads_world),
        TEST(known_names_are_left_out),
        TEST(no_exports_need_no_interface),
        TEST(the_table_has_no_relocations_but_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
