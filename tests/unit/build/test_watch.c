/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/build/fixture.h"

#include <fcntl.h>
#include <poll.h>

#include "build/watch.h"

struct watch_fixture {
    struct fixture base;
    struct molt_watch *watch;
};

static int setup(void **state)
{
    static struct watch_fixture f;
    f = (struct watch_fixture){0};
    make_folder(f.base.root);
    put(&f.base, "src/a.c", "1");
    put(&f.base, ".molt/x", "1");
    assert_int_equal(molt_watch_new(&f.watch, &f.base.err), 0);
    assert_int_equal(molt_watch_add(f.watch, f.base.root, &f.base.err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct watch_fixture *f = *state;
    molt_watch_free(f->watch);
    remove_tree(f->base.root);
    return 0;
}

/* inotify queues events before the system call that causes them returns, so
 * there is nothing to wait for. */
static int touched(struct watch_fixture *f, const char *const **ret)
{
    *ret = NULL;
    int n = molt_watch_read(f->watch, ret);
    assert_true(n >= 0);
    return n;
}

static void expect_one(struct watch_fixture *f, const char *name)
{
    const char *const *paths;
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->base.root, name);
    assert_int_equal(touched(f, &paths), 1);
    assert_string_equal(paths[0], path);
}

static void expect_none(struct watch_fixture *f)
{
    const char *const *paths;
    assert_int_equal(touched(f, &paths), 0);
}

static void move(struct watch_fixture *f, const char *from, const char *to)
{
    char a[256], b[256];
    snprintf(a, sizeof(a), "%s/%s", f->base.root, from);
    snprintf(b, sizeof(b), "%s/%s", f->base.root, to);
    assert_int_equal(rename(a, b), 0);
}

static void a_save_in_place_is_one_path(void **state)
{
    struct watch_fixture *f = *state;
    expect_none(f);
    put(&f->base, "src/a.c", "2");
    put(&f->base, "src/a.c", "3");
    struct pollfd poll_fd = {.fd = molt_watch_fd(f->watch), .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    expect_one(f, "src/a.c");
    expect_none(f);
}

static void a_half_written_file_is_not_reported(void **state)
{
    struct watch_fixture *f = *state;
    char path[256];
    snprintf(path, sizeof(path), "%s/src/a.c", f->base.root);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "ha", 2), 2);
    expect_none(f);
    assert_true(molt_watch_is_writing(f->watch));
    assert_true(molt_watch_unsettled(f->watch) > 100);
    assert_int_equal(write(fd, "lf", 2), 2);
    close(fd);
    expect_one(f, "src/a.c");
    assert_false(molt_watch_is_writing(f->watch));
    assert_true(molt_watch_unsettled(f->watch) <= 2);
}

static void a_file_that_was_moved_aside_is_waited_for(void **state)
{
    struct watch_fixture *f = *state;
    move(f, "src/a.c", "src/a.c~");
    expect_one(f, "src/a.c");
    assert_true(molt_watch_unsettled(f->watch) > 10);
    put(&f->base, "src/a.c", "2");
    expect_one(f, "src/a.c");
    assert_true(molt_watch_unsettled(f->watch) <= 2);
}

static void a_file_that_got_another_name_is_not_waited_for(void **state)
{
    struct watch_fixture *f = *state;
    const char *const *paths;
    move(f, "src/a.c", "src/b.c");
    assert_int_equal(touched(f, &paths), 2);
    assert_true(molt_watch_unsettled(f->watch) <= 2);
}

static bool is_c(void *user, const char *path)
{
    (void)user;
    return strcmp(path + strlen(path) - 2, ".c") == 0;
}

static void a_filter_leaves_out_files_and_no_folders(void **state)
{
    struct watch_fixture *f = *state;
    molt_watch_filter(f->watch, is_c, NULL);
    put(&f->base, "src/notes", "1");
    expect_none(f);
    assert_false(molt_watch_is_writing(f->watch));
    put(&f->base, "src/deep/b.c", "1");
    put(&f->base, "src/deep/notes", "1");
    expect_one(f, "src/deep/b.c");
}

static void a_folder_of_files_is_watched_flat(void **state)
{
    struct watch_fixture *f = *state;
    char folder[64], path[512];
    make_folder(folder);
    assert_int_equal(molt_watch_add_files(f->watch, folder, &f->base.err), 1);
    assert_int_equal(molt_watch_add_files(f->watch, folder, &f->base.err), 0);
    assert_int_equal(molt_watch_add_files(f->watch, "/no/such/folder", &f->base.err), 0);
    put_in(folder, "x.h", "1");
    const char *const *paths;
    assert_int_equal(touched(f, &paths), 1);
    snprintf(path, sizeof(path), "%s/x.h", folder);
    assert_string_equal(paths[0], path);
    put_in(folder, "sub/x.h", "1");
    assert_int_equal(touched(f, &paths), 1); /* the folder, not what is in it */
    put_in(folder, "sub/x.h", "2");
    expect_none(f);
    remove_tree(folder);
}

static void an_editor_that_renames_over_is_one_path(void **state)
{
    struct watch_fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        put(&f->base, "src/.a.c.swp", "x");
        put(&f->base, "src/4913", "x");
        drop(&f->base, "src/4913");
        move(f, "src/a.c", "src/a.c~");
        put(&f->base, "src/.new", "x");
        move(f, "src/.new", "src/a.c");
        drop(&f->base, "src/.a.c.swp");
        expect_one(f, "src/a.c");
    }
}

static void noise_is_left_out(void **state)
{
    struct watch_fixture *f = *state;
    put(&f->base, "src/#a.c#", "x");
    put(&f->base, "src/.#a.c", "x");
    put(&f->base, "src/b.swx", "x");
    put(&f->base, ".molt/obj/x.o", "x");
    put(&f->base, ".git/index", "x");
    expect_none(f);
}

static void deleting_is_reported(void **state)
{
    struct watch_fixture *f = *state;
    drop(&f->base, "src/a.c");
    expect_one(f, "src/a.c");
}

static void new_folders_are_followed(void **state)
{
    struct watch_fixture *f = *state;
    put(&f->base, "src/deep/er/b.c", "1");
    expect_one(f, "src/deep/er/b.c");
    put(&f->base, "src/deep/er/b.c", "2");
    expect_one(f, "src/deep/er/b.c");
    put(&f->base, "src/deep/c.c", "2");
    expect_one(f, "src/deep/c.c");
}

static void a_moved_folder_has_its_new_name(void **state)
{
    struct watch_fixture *f = *state;
    put(&f->base, "src/old/b.c", "1");
    const char *const *paths;
    assert_int_equal(touched(f, &paths), 1);
    move(f, "src/old", "src/new");
    assert_int_equal(touched(f, &paths), 2); /* the old folder, the new file */
    put(&f->base, "src/new/b.c", "2");
    expect_one(f, "src/new/b.c");
}

static void links_are_reported(void **state)
{
    struct watch_fixture *f = *state;
    char path[256];
    snprintf(path, sizeof(path), "%s/src/link.c", f->base.root);
    assert_int_equal(symlink("a.c", path), 0);
    expect_one(f, "src/link.c");
}

static void a_missing_folder_is_an_error(void **state)
{
    struct watch_fixture *f = *state;
    struct molt_error err = {0};
    assert_int_equal(molt_watch_add(f->watch, "/no/such/folder", &err), MOLT_ENOENT);
    assert_non_null(strstr(err.text, "/no/such/folder"));
}

static void lost_events_are_said_and_recovered(void **state)
{
    struct watch_fixture *f = *state;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    long max = 16384;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &max), 1);
    fclose(file);
    if (max > 100000)
        skip();
    char path[256];
    for (long i = 0; i < max + 10; i++) {
        snprintf(path, sizeof(path), "%s/src/f%ld", f->base.root, i % 64);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    put(&f->base, "src/lost/b.c", "1");
    const char *const *paths;
    assert_int_equal(molt_watch_read(f->watch, &paths), MOLT_ELIMIT);
    put(&f->base, "src/lost/b.c", "2");
    expect_one(f, "src/lost/b.c");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_save_in_place_is_one_path),
        TEST(a_half_written_file_is_not_reported),
        TEST(an_editor_that_renames_over_is_one_path),
        TEST(noise_is_left_out),
        TEST(deleting_is_reported),
        TEST(new_folders_are_followed),
        TEST(a_moved_folder_has_its_new_name),
        TEST(links_are_reported),
        TEST(a_missing_folder_is_an_error),
        TEST(a_file_that_was_moved_aside_is_waited_for),
        TEST(a_file_that_got_another_name_is_not_waited_for),
        TEST(a_filter_leaves_out_files_and_no_folders),
        TEST(a_folder_of_files_is_watched_flat),
        TEST(lost_events_are_said_and_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
