/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Small projects built the way `molt build` does it: probes for signatures,
 * renamed exports, anchors, a descriptor; and read again.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_TYPES_FIXTURE_H
#define MOLT_TESTS_TYPES_FIXTURE_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/compile.h"
#include "types/image_info.h"

#define FIXTURE_EXPORTS_MAX 16

struct fixture_export {
    const char *module, *header, *name;
    uint64_t sig;
};

struct fixture {
    struct compile c;
    size_t n_exports;
    struct fixture_export exports[FIXTURE_EXPORTS_MAX];
    bool has_no_anchors;
    bool has_no_descriptor;
    bool allow_sanitizer;
    uint8_t *image;
    size_t len;
    struct molt_meta *meta;
    struct molt_error err;
};

/* The compilers and optimisations that everything is tested with. */
static const char *const fixture_matrix[][2] __attribute__((unused)) = {
    {"gcc", "-O0"},          {"gcc", "-O2"},           {"clang", "-O0"},
    {"clang", "-O2"},        {"gcc", "-O2 -gdwarf-4"}, {"clang", "-O2 -gdwarf-4"},
    {"gcc", "-O0 -std=c11"},
};
#define FIXTURE_MATRIX (sizeof fixture_matrix / sizeof *fixture_matrix)

static inline void fixture_init(struct fixture *f, const char *cc, const char *cflags)
{
    *f = (struct fixture){0};
    compile_init(&f->c, cc, cflags);
}

static inline void fixture_drop_image(struct fixture *f)
{
    free(f->image);
    molt_meta_free(f->meta);
    f->image = NULL;
    f->meta = NULL;
}

static inline void fixture_fini(struct fixture *f)
{
    fixture_drop_image(f);
    compile_fini(&f->c);
}

/* Signature of @name in @header, from a probe. */
static inline uint64_t fixture_probe(struct fixture *f, const char *header, const char *name)
{
    char text[512];
    snprintf(text, sizeof text,
             "#include \"%s\"\nstatic __typeof__(%s) *molt_anchor_%s __attribute__((used));\n",
             header, name, name);
    compile_write(&f->c, "probe.c", text);
    compile_object(&f->c, "probe.c", "probe.o");
    size_t len;
    uint8_t *bytes = compile_read(&f->c, "probe.o", &len);
    uint64_t sig = 0;
    struct molt_error err = {0};
    int rc = molt_image_probe(bytes, len, f->c.dir, 1, &name, &sig, &err);
    free(bytes);
    if (rc < 0)
        fail_msg("%s: %s", name, err.text);
    return sig;
}

static inline uint64_t fixture_export(struct fixture *f, const char *module, const char *header,
                                      const char *name)
{
    assert_true(f->n_exports < FIXTURE_EXPORTS_MAX);
    uint64_t sig = fixture_probe(f, header, name);
    f->exports[f->n_exports++] = (struct fixture_export){module, header, name, sig};
    return sig;
}

/* Write the wrapper of @source and compile it to @object. */
static inline void fixture_object(struct fixture *f, const char *module, const char *source,
                                  const char *text, const char *object, bool is_first)
{
    struct molt_buf out = MOLT_BUF_INIT;
    for (size_t i = 0; i < f->n_exports; i++)
        molt_buf_printf(&out, "#pragma redefine_extname %s molt$%s$%s$%016" PRIx64 "\n",
                        f->exports[i].name, f->exports[i].module, f->exports[i].name,
                        f->exports[i].sig);
    molt_buf_printf(&out, "#include \"../%s\"\n", source);
    for (size_t i = 0; !f->has_no_anchors && i < f->n_exports; i++)
        if (strstr(text, f->exports[i].header) && strcmp(f->exports[i].module, module) != 0)
            molt_buf_printf(&out, "static __typeof__(%s) *molt_anchor_%s __attribute__((used));\n",
                            f->exports[i].name, f->exports[i].name);
    if (is_first && !f->has_no_descriptor)
        molt_buf_printf(&out, "#include <molt/abi.h>\nMOLT_MODULE_DESCRIPTOR(\"%s\");\n", module);
    char wrapper[128];
    snprintf(wrapper, sizeof wrapper, "gen/%s.wrapper.c", object);
    compile_write(&f->c, source, text);
    compile_write(&f->c, wrapper, out.data);
    molt_buf_fini(&out);
    compile_object(&f->c, wrapper, object);
}

static inline void fixture_link(struct fixture *f, const char *objects)
{
    compile_link(&f->c, objects, "module.so");
    fixture_drop_image(f);
    f->image = compile_read(&f->c, "module.so", &f->len);
}

/* Build a module of one file, src/<module>.c. */
static inline void fixture_build(struct fixture *f, const char *module, const char *text)
{
    char source[128];
    snprintf(source, sizeof source, "src/%s.c", module);
    fixture_object(f, module, source, text, "a.o", true);
    fixture_link(f, "a.o");
}

static inline int fixture_read(struct fixture *f, const char *module)
{
    struct molt_image_options options = {.module = module,
                                         .project = f->c.dir,
                                         .allow_sanitizer = f->allow_sanitizer};
    molt_meta_free(f->meta);
    f->meta = NULL;
    f->err = (struct molt_error){0};
    return molt_image_read(f->image, f->len, &options, &f->meta, &f->err);
}

/* Build and read a module that is fine. */
static inline void fixture_good(struct fixture *f, const char *module, const char *text)
{
    fixture_build(f, module, text);
    int rc = fixture_read(f, module);
    if (rc < 0)
        fail_msg("%s %s: %s", f->c.cc, f->c.cflags, f->err.text);
}

/* Reading must fail with @code and a message that holds all of these words,
 * separated by '|'. */
static inline void fixture_refused(struct fixture *f, const char *module, int code,
                                   const char *words)
{
    int rc = fixture_read(f, module);
    if (rc != code)
        fail_msg("%s %s: code %d, expected %d: %s", f->c.cc, f->c.cflags, rc, code, f->err.text);
    assert_null(f->meta);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *rest = copy, *word; (word = strsep(&rest, "|"));)
        if (!strstr(f->err.text, word))
            fail_msg("%s %s: \"%s\" is not in: %s", f->c.cc, f->c.cflags, word, f->err.text);
}

static inline void fixture_refuses(struct fixture *f, const char *module, const char *text,
                                   int code, const char *words)
{
    fixture_build(f, module, text);
    fixture_refused(f, module, code, words);
}

static inline const struct molt_meta_type *fixture_type(const struct fixture *f, const char *key)
{
    for (size_t i = 0; i < f->meta->n_types; i++)
        if (strcmp(f->meta->types[i].key, key) == 0)
            return &f->meta->types[i];
    for (size_t i = 0; i < f->meta->n_types; i++)
        fprintf(stderr, "has type %s\n", f->meta->types[i].key);
    fail_msg("%s %s: no type %s", f->c.cc, f->c.cflags, key);
    return NULL;
}

#endif
