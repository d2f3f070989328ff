/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/build/fixture.h"

#include "build/files.h"

struct files_fixture {
    struct fixture base;
    struct molt_files *files;
    char path[128];
};

static int setup(void **state)
{
    static struct files_fixture f;
    f = (struct files_fixture){.files = molt_files_new()};
    make_folder(f.base.root);
    snprintf(f.path, sizeof(f.path), "%s/a.h", f.base.root);
    *state = &f;
    return f.files ? 0 : -1;
}

static int teardown(void **state)
{
    struct files_fixture *f = *state;
    molt_files_free(f->files);
    remove_tree(f->base.root);
    return 0;
}

static void an_edit_of_equal_size_within_one_tick_is_seen(void **state)
{
    struct files_fixture *f = *state;
    uint8_t last[MOLT_SHA256_BYTES] = {0}, digest[MOLT_SHA256_BYTES];
    for (int i = 0; i < 20; i++) {
        char text[] = "0123";
        text[0] = (char)('a' + i);
        put(&f->base, "a.h", text);
        molt_files_next(f->files);
        assert_int_equal(molt_files_digest(f->files, f->path, digest), 0);
        assert_memory_not_equal(digest, last, sizeof(digest));
        memcpy(last, digest, sizeof(digest));
    }
}

static void a_digest_holds_for_one_build(void **state)
{
    struct files_fixture *f = *state;
    uint8_t first[MOLT_SHA256_BYTES], second[MOLT_SHA256_BYTES];
    put(&f->base, "a.h", "one");
    assert_int_equal(molt_files_digest(f->files, f->path, first), 0);
    struct molt_files_time since = molt_files_now();
    assert_true(molt_files_is_settled(f->files, f->path, since));
    put(&f->base, "a.h", "two");
    assert_int_equal(molt_files_digest(f->files, f->path, second), 0);
    assert_memory_equal(first, second, sizeof(first));
    assert_false(molt_files_is_settled(f->files, f->path, since));
    molt_files_forget(f->files, f->path);
    assert_int_equal(molt_files_digest(f->files, f->path, second), 0);
    assert_memory_not_equal(first, second, sizeof(first));
}

static void a_missing_file_has_no_digest(void **state)
{
    struct files_fixture *f = *state;
    uint8_t digest[MOLT_SHA256_BYTES], zero[MOLT_SHA256_BYTES] = {0};
    assert_int_equal(molt_files_digest(f->files, f->path, digest), MOLT_ENOENT);
    assert_memory_equal(digest, zero, sizeof(digest));
    assert_null(molt_files_includes(f->files, f->path));
    put(&f->base, "a.h", "");
    assert_false(molt_files_exists(f->files, f->path));
    molt_files_next(f->files);
    assert_true(molt_files_exists(f->files, f->path));
}

static void include_lines_are_listed(void **state)
{
    struct files_fixture *f = *state;
    put(&f->base, "a.h",
        "#include \"b.h\"\n  #  include <molt/http.h> // x\n#include MACRO\n#include \"broken\n"
        "int include; #include \"no.h\"\n#includes \"no.h\"\n#include <last>");
    const struct molt_args *names = molt_files_includes(f->files, f->path);
    assert_non_null(names);
    assert_int_equal(names->n, 3);
    assert_string_equal(names->v[0], "\"b.h\"");
    assert_string_equal(names->v[1], "<molt/http.h>");
    assert_string_equal(names->v[2], "<last>");
}

static void writing_replaces_the_whole_file(void **state)
{
    struct files_fixture *f = *state;
    assert_int_equal(molt_file_write(f->path, "abc", 3, 0644, NULL), 0);
    assert_int_equal(molt_file_update(f->path, "abc", 3, NULL), 0);
    assert_int_equal(molt_file_update(f->path, "x", 1, NULL), 1);
    char *text = slurp(f->path);
    assert_string_equal(text, "x");
    free(text);
    struct molt_error err = {0};
    assert_int_equal(molt_file_write("/proc/none/x", "a", 1, 0644, &err), MOLT_EIO);
    assert_non_null(strstr(err.text, "/proc/none/x"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_edit_of_equal_size_within_one_tick_is_seen),
        TEST(a_digest_holds_for_one_build),
        TEST(a_missing_file_has_no_digest),
        TEST(include_lines_are_listed),
        TEST(writing_replaces_the_whole_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
