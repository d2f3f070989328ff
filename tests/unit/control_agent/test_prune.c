/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Which images leave the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/agent/crash_report.h"
#include "control/agent/prune.h"
#include "control/agent/set.h"

struct fixture {
    char folder[64];
};

static int setup(void **state)
{
    static struct fixture f;
    char path[128];
    snprintf(f.folder, sizeof(f.folder), "/tmp/molt-prune-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    snprintf(path, sizeof(path), "%s/store", f.folder);
    assert_int_equal(mkdir(path, 0755), 0);
    *state = &f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* store/<module>-<digest of @n><end> */
static const char *path_of(struct fixture *f, const char *module, unsigned n, const char *end)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/store/%s-%064x%s", f->folder, module, n, end);
    return path;
}

/* A file of age @n: smaller is older. */
static void make(struct fixture *f, const char *module, unsigned n, const char *end)
{
    const char *path = path_of(f, module, n, end);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    struct timespec times[2] = {{.tv_sec = 1000 + n}, {.tv_sec = 1000 + n}};
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool exists(struct fixture *f, const char *module, unsigned n, const char *end)
{
    return access(path_of(f, module, n, end), F_OK) == 0;
}

static void make_many(struct fixture *f, const char *module, unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        make(f, module, i, ".so");
}

static int prune(struct fixture *f, struct molt_prune request)
{
    struct molt_error err = {0};
    request.folder = f->folder;
    int rc = molt_prune_store(&request, &err);
    if (rc < 0)
        print_message("%s\n", err.text);
    return rc;
}

static void the_newest_of_each_module_stay(void **state)
{
    struct fixture *f = *state;
    make_many(f, "counter", 12);
    make_many(f, "count", 3); /* a name that begins alike */
    make_many(f, "molt-if", 9);
    make(f, "counter", 1, ".meta");
    make(f, "counter", 12, ".meta");
    assert_int_equal(prune(f, (struct molt_prune){0}), 4 + 1 + 1);
    for (unsigned i = 1; i <= 12; i++)
        assert_int_equal(exists(f, "counter", i, ".so"), i > 4);
    for (unsigned i = 1; i <= 3; i++)
        assert_true(exists(f, "count", i, ".so"));
    assert_false(exists(f, "molt-if", 1, ".so"));
    assert_false(exists(f, "counter", 1, ".meta"));
    assert_true(exists(f, "counter", 12, ".meta"));
    assert_int_equal(prune(f, (struct molt_prune){0}), 0);
}

static void what_a_set_or_a_host_has_stays(void **state)
{
    struct fixture *f = *state;
    make_many(f, "counter", 20);
    struct molt_set_module module = {.image_path = strdup(path_of(f, "counter", 2, ".so"))};
    char *interface = strdup(path_of(f, "counter", 3, ".so"));
    struct molt_set set = {.n_modules = 1,
                           .modules = &module,
                           .n_interfaces = 1,
                           .interfaces = &interface};
    const struct molt_set *sets[] = {NULL, &set};
    struct molt_crash_image image = {.module = "counter", .number = 1};
    image.digest[MOLT_SHA256_BYTES - 1] = 4;
    make(f, "counter", 5, ".1.so"); /* a copy that a host made */
    int fd = open(path_of(f, "counter", 5, ".1.so"), O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(at != MAP_FAILED);
    close(fd);
    struct molt_prune request = {
        .host = getpid(), .n_sets = 2, .sets = sets, .n_images = 1, .images = &image};
    assert_true(prune(f, request) > 0);
    assert_false(exists(f, "counter", 1, ".so"));
    for (unsigned i = 2; i <= 5; i++)
        assert_true(exists(f, "counter", i, ".so"));
    assert_true(exists(f, "counter", 5, ".1.so"));
    assert_false(exists(f, "counter", 6, ".so"));
    munmap(at, 1);
    assert_true(prune(f, (struct molt_prune){.host = getpid()}) > 0);
    assert_false(exists(f, "counter", 5, ".1.so"));
    free(module.image_path);
    free(interface);
}

static void other_files_are_left_alone(void **state)
{
    struct fixture *f = *state;
    char path[512], target[512];
    make_many(f, "counter", 20);
    make(f, "counter", 1, ".so.tmp");
    snprintf(path, sizeof(path), "%s/store/notes.so", f->folder);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    snprintf(target, sizeof(target), "%s", path_of(f, "counter", 99, ".7-1.so"));
    assert_int_equal(symlink("/proc/self/exe", target), 0); /* of a sealed image */
    assert_int_equal(prune(f, (struct molt_prune){0}), 12);
    assert_true(exists(f, "counter", 1, ".so.tmp"));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(target, F_OK), 0);
}

static void nothing_goes_when_it_is_not_known_what_is_needed(void **state)
{
    struct fixture *f = *state;
    char path[512];
    make_many(f, "counter", 20);
    assert_int_equal(prune(f, (struct molt_prune){.host = 0x7ffffff0}), MOLT_EIO);
    snprintf(path, sizeof(path), "%s/set", f->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "{", 1), 1);
    close(fd);
    assert_int_equal(prune(f, (struct molt_prune){0}), MOLT_EFORMAT);
    assert_true(exists(f, "counter", 1, ".so"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_of_each_module_stay),
        TEST(what_a_set_or_a_host_has_stays),
        TEST(other_files_are_left_alone),
        TEST(nothing_goes_when_it_is_not_known_what_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
