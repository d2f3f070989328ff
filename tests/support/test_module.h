/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A few lines of C as a module with its description, without a build and
 * without debug info: what a test says about exports, imports and types is
 * what the meta says.
 *
 * Threads: as module_maker.h.
 */
#ifndef MOLT_TESTS_TEST_MODULE_H
#define MOLT_TESTS_TEST_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "code/meta.h"
#include "support/module_maker.h"

#define TEST_LIST_MAX 6

struct test_header {
    const char *module;
    uint8_t digest; /* each byte of it */
};

struct test_type {
    const char *key;
    uint64_t hash;
    uint32_t size;
    bool is_from_header;
};

struct test_server {
    const char *name;
    uint32_t state_type; /* index into types */
};

/* Lists end with an element whose first member is NULL. */
struct test_module {
    const char *module; /* in the meta and, unless @says is set, in the image */
    const char *says;   /* the name in the image's descriptor */
    const char *text;   /* C; <molt/molt.h> is included, exports are renamed */
    struct module_export exports[TEST_LIST_MAX];
    struct module_export imports[TEST_LIST_MAX];
    struct test_header headers[TEST_LIST_MAX];
    struct test_type types[TEST_LIST_MAX];
    struct test_server servers[TEST_LIST_MAX];
    const char *pins[TEST_LIST_MAX];
    const char *globals[TEST_LIST_MAX];
    uint32_t n_tags; /* each is of type 0 */
    const char *cflags[MODULE_FLAGS_MAX - 2];
    const char *ldflags[MODULE_FLAGS_MAX];
};

struct test_image {
    char *path;
    struct molt_meta *meta;
};

/* Compile @module into a new image. @maker->include must be set. */
struct test_image test_module_build(struct module_maker *maker, const struct test_module *module);
/* Frees path and meta. The meta is freed by @free_meta, molt_meta_free() in
 * tests that link the code layer. */
void test_image_fini(struct test_image *image, void (*free_meta)(struct molt_meta *));

#endif
