/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A project in a temporary folder, and builds of it.
 *
 * Threads: one.
 */
#ifndef MOLT_TEST_BUILD_FIXTURE_H
#define MOLT_TEST_BUILD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/build.h"

struct fixture {
    char root[64];
    const char *cc; /* compiler of this test, if it matters */
    struct molt_builder *builder;
    struct molt_build_result *result; /* of the last build */
    struct molt_error err;
};

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static inline void make_folder(char root[64])
{
    snprintf(root, 64, "/tmp/molt-build-XXXXXX");
    assert_non_null(mkdtemp(root));
}

/* Write @text to @name in @root; folders are made. */
static inline void put_in(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0755);
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void put(struct fixture *f, const char *name, const char *text)
{
    put_in(f->root, name, text);
}

static inline void drop(struct fixture *f, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", f->root, name);
    assert_int_equal(unlink(path), 0);
}

static inline char *slurp(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = NULL;
    size_t cap = 0;
    ssize_t len = getdelim(&text, &cap, 0, file);
    fclose(file);
    return len < 0 ? strdup("") : text;
}

static inline void forget_builder(struct fixture *f)
{
    molt_build_result_free(f->result);
    f->result = NULL;
    molt_builder_free(f->builder);
    f->builder = NULL;
}

static inline void open_builder(struct fixture *f, const struct molt_build_options *options)
{
    static const struct molt_build_options dev = {.is_dev = true, .jobs = 2};
    int rc = molt_builder_new(f->root, options ? options : &dev, &f->builder, &f->err);
    if (rc < 0)
        fail_msg("builder: %s", f->err.text);
}

/* Build everything; result->code is the caller's to look at. */
static inline int build(struct fixture *f)
{
    if (!f->builder)
        open_builder(f, NULL);
    molt_build_result_free(f->result);
    f->result = NULL;
    int rc = molt_builder_run(f->builder, 0, NULL, &f->result, &f->err);
    if (rc < 0)
        fail_msg("build: %s", f->err.text);
    return f->result->code;
}

static inline void build_ok(struct fixture *f)
{
    int code = build(f);
    if (code != 0)
        fail_msg("code %d: %s", code, f->result->output);
}

static inline const struct molt_built_module *built(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->result->n_modules; i++)
        if (strcmp(f->result->modules[i].module, name) == 0)
            return &f->result->modules[i];
    return NULL;
}

/* The first diagnostic whose message holds @text; fails if there is none. */
static inline const struct molt_diagnostic *told(const struct fixture *f, const char *text)
{
    for (size_t i = 0; i < f->result->n_diagnostics; i++)
        if (strstr(f->result->diagnostics[i].message, text))
            return &f->result->diagnostics[i];
    fail_msg("no diagnostic with `%s` in: %s", text, f->result->output);
    return NULL;
}

#endif
