/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the tests of the code layer share: a code table with a store of its
 * own, and images that are compiled once per program.
 *
 * Threads: the test's main thread, but for what only calls thunks.
 */
#ifndef MOLT_TESTS_CODE_FIXTURE_H
#define MOLT_TESTS_CODE_FIXTURE_H

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "code/code.h"
#include "support/test_module.h"

/* All names of these tests; one interface object has the thunks of all. */
static const struct module_export fixture_exports[] = {
    {"a", "f", 1}, {"a", "f", 2},    {"a", "g", 1},       {"a", "address", 1},
    {"b", "h", 1}, {"b", "keep", 1}, {"b", "address", 1}, {"c", "keep", 1},
};

struct fixture {
    struct module_maker maker;
    char *interface;
    uint8_t interface_digest[MOLT_SHA256_BYTES];
    char store[128];
    struct molt_code *code;
    struct molt_error err;
    unsigned n_idle; /* calls of on_idle_world */
};

static struct fixture fx;

/* ---- per program ------------------------------------------------------------ */

static inline void fixture_init(void)
{
    module_maker_init(&fx.maker, "gcc", "-O1", "gold");
    fx.maker.include = MOLT_SOURCE_DIR "/include";
    fx.interface =
        module_maker_interface(&fx.maker, "molt-if",
                               sizeof fixture_exports / sizeof *fixture_exports, fixture_exports);
    int fd = open(fx.interface, O_RDONLY | O_CLOEXEC);
    assert_int_equal(molt_sha256_fd(fd, fx.interface_digest), 0);
    close(fd);
}

static inline void fixture_fini(void)
{
    free(fx.interface);
    module_maker_fini(&fx.maker);
}

/* ---- per test ----------------------------------------------------------------- */

static inline void fixture_on_idle(void *user)
{
    (void)user;
    __atomic_fetch_add(&fx.n_idle, 1, __ATOMIC_RELAXED);
}

static inline int fixture_open_as(unsigned worlds_max, bool is_sealed)
{
    snprintf(fx.store, sizeof fx.store, "/tmp/molt-store-XXXXXX");
    assert_non_null(mkdtemp(fx.store));
    struct molt_code_config config = {
        .store = fx.store,
        .worlds_max = worlds_max,
        .is_sealed = is_sealed,
        .on_idle_world = fixture_on_idle,
    };
    fx.err = (struct molt_error){0};
    assert_int_equal(molt_code_new(&config, &fx.code, &fx.err), 0);
    return 0;
}

static inline int fixture_open(void **state)
{
    (void)state;
    return fixture_open_as(0, false);
}

static inline int fixture_open_sealed(void **state)
{
    (void)state;
    return fixture_open_as(0, true);
}

static inline int fixture_close(void **state)
{
    (void)state;
    molt_code_free(fx.code);
    fx.code = NULL;
    DIR *dir = opendir(fx.store);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(fx.store), 0);
    return 0;
}

/* ---- steps -------------------------------------------------------------------- */

static inline uint64_t fixture_begin(void)
{
    uint64_t stage = 0;
    int rc = molt_stage_begin(fx.code, &stage, &fx.err);
    if (rc < 0)
        fail_msg("begin: %s", fx.err.text);
    int fd = open(fx.interface, O_RDONLY | O_CLOEXEC);
    rc = molt_stage_interface(fx.code, stage, fd, fx.interface_digest, &fx.err);
    if (rc < 0)
        fail_msg("interface: %s", fx.err.text);
    close(fd);
    return stage;
}

static inline struct molt_meta *fixture_clone(const struct molt_meta *meta)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_meta *copy = NULL;
    assert_int_equal(molt_meta_encode(meta, &bytes), 0);
    assert_int_equal(molt_meta_decode(bytes.data, bytes.len, &copy, NULL), 0);
    molt_buf_fini(&bytes);
    return copy;
}

/* Puts @meta, which is freed if the put fails, with the bytes of @path. */
static inline int fixture_put_as(uint64_t stage, struct molt_meta *meta, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    fx.err = (struct molt_error){0};
    int rc = molt_stage_put(fx.code, stage, meta, fd, &fx.err);
    if (rc < 0)
        molt_meta_free(meta);
    close(fd);
    return rc;
}

static inline int fixture_put(uint64_t stage, const struct test_image *image)
{
    return fixture_put_as(stage, fixture_clone(image->meta), image->path);
}

static inline int fixture_seal(uint64_t stage)
{
    fx.err = (struct molt_error){0};
    return molt_stage_seal(fx.code, stage, &fx.err);
}

static inline int fixture_commit(uint64_t stage)
{
    uint64_t world;
    fx.err = (struct molt_error){0};
    return molt_stage_commit(fx.code, stage, &world, &fx.err);
}

/* All in one; whatever fails, fails the test. */
static inline void fixture_swap(const struct test_image *image)
{
    uint64_t stage = fixture_begin();
    if (fixture_put(stage, image) != 0 || fixture_seal(stage) != 0 || fixture_commit(stage) != 0)
        fail_msg("swap: %s", fx.err.text);
}

/* ---- looking ------------------------------------------------------------------- */

typedef int fixture_fn(void);

/* The thunk of @symbol, e.g. "a$f$0000000000000001". */
static inline void *fixture_thunk(const char *symbol)
{
    char name[128];
    snprintf(name, sizeof name, "molt$%s", symbol);
    void *thunk = dlsym(RTLD_DEFAULT, name);
    assert_non_null(thunk);
    return thunk;
}

#define A_F ((fixture_fn *)fixture_thunk("a$f$0000000000000001"))
#define A_F2 ((fixture_fn *)fixture_thunk("a$f$0000000000000002"))
#define A_G ((fixture_fn *)fixture_thunk("a$g$0000000000000001"))
#define B_H ((fixture_fn *)fixture_thunk("b$h$0000000000000001"))

/* Mappings of files in the store whose name starts with @name. */
static inline int fixture_mappings(const char *name)
{
    char line[512], path[160];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", fx.store, name);
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, path) != NULL;
    fclose(maps);
    return n;
}

/* Enters the current world with a participant of its own. */
static inline void fixture_enter(struct molt_participant *p, const char *name)
{
    molt_code_join(fx.code, p, name, true);
    molt_participant_boundary(p, molt_code_current_cell(fx.code));
}

/* What @symbol answers in the current world. */
static inline int fixture_ask(fixture_fn *fn)
{
    struct molt_participant p;
    fixture_enter(&p, "asker");
    int answer = fn();
    molt_code_leave(fx.code, &p);
    return answer;
}

struct fixture_versions {
    unsigned n, n_old;
    char why[4608]; /* of the last old one */
    char path[512]; /* of the newest */
};

static inline void fixture_count(void *user, const struct molt_version_info *info)
{
    struct fixture_versions *versions = user;
    if (versions->n++ == 0)
        snprintf(versions->path, sizeof versions->path, "%s", info->path);
    if (info->is_current)
        return;
    versions->n_old++;
    snprintf(versions->why, sizeof versions->why, "%s", info->why);
}

static inline struct fixture_versions fixture_versions(void)
{
    struct fixture_versions versions = {0};
    assert_int_equal(molt_code_each_version(fx.code, fixture_count, &versions), 0);
    return versions;
}

#define assert_says(words)                                                                         \
    do {                                                                                           \
        if (!strstr(fx.err.text, words))                                                           \
            fail_msg("'%s' does not say '%s'", fx.err.text, words);                                \
    } while (0)

#endif
