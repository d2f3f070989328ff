/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * From sources to verified images.
 *
 * Incremental by content: a translation unit is compiled again when the hash
 * of its sources, headers (depfile) and flags changes, a module linked again
 * when one of its objects changes. Output goes to .molt/ of the project, by
 * temporary file and rename. Never touches a running host.
 *
 * Threads: one build at a time per molt_builder.
 */
#ifndef MOLT_BUILD_BUILD_H
#define MOLT_BUILD_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "build/project.h"
#include "code/meta.h"

struct molt_builder;
struct molt_interrupt; /* jobs.h */

struct molt_diagnostic {
    char *file; /* NULL if unknown */
    int line, column;
    bool is_error;
    char *message;
};

struct molt_built_module {
    char *module;
    char *image_path; /* .molt/store/<module>-<sha256>.so, 0444 */
    struct molt_meta *meta;
    bool is_new;  /* differs from the result of the build before */
    bool is_kept; /* rebuilt, but code and types came out equal: meta has the new
                     header digests; image_path is still the old one */
};

struct molt_build_result {
    int code; /* 0, MOLT_ECOMPILE, MOLT_ELINK, MOLT_EREFUSED (image rules), ... */
    size_t n_diagnostics;
    struct molt_diagnostic *diagnostics;
    char *output; /* what compilers and linkers printed, for people */
    size_t n_modules;
    struct molt_built_module *modules; /* all of the project's, sorted */
    size_t n_deleted;
    char **deleted; /* modules of the build before that are no more */
    unsigned n_compiled, n_linked;
    uint64_t scan_ns, compile_ns, link_ns, read_ns; /* where the time went */
};

struct molt_build_options {
    bool is_dev;                            /* prefer speed: adds -O0 where cflags has no -O */
    unsigned jobs;                          /* 0: one per core */
    const char *sanitizer;                  /* NULL, or "address,undefined" / "thread" */
    const struct molt_interrupt *interrupt; /* gives builds up; borrowed; NULL: nothing does */
};

int molt_builder_new(const char *root, const struct molt_build_options *options,
                     struct molt_builder **ret, struct molt_error *err);
void molt_builder_free(struct molt_builder *builder);
const struct molt_project *molt_builder_project(const struct molt_builder *builder);

/* Build whatever is out of date. @changed: paths that were saved (n 0: check
 * everything). The result is the caller's; on failure the build before stays
 * what it was. MOLT_ESTALE: interrupted, the same. */
int molt_builder_run(struct molt_builder *builder, size_t n_changed, const char *const *changed,
                     struct molt_build_result **ret, struct molt_error *err);
void molt_build_result_free(struct molt_build_result *result);

/* Was @path read by the last builds? */
bool molt_builder_reads(const struct molt_builder *builder, const char *path);
/* Tell @fn the folders of the files that the last builds read, the system's
 * left out; some more than once. */
void molt_builder_each_folder(const struct molt_builder *builder,
                              void (*fn)(void *user, const char *folder), void *user);

/* Objects with the thunks of all exports of @metas that are not in @known
 * (names as by molt_meta_symbol_name()): assembled and linked into
 * .molt/store/molt-if-<sha256>.so; NULL path when there is none to make. */
int molt_builder_interface(struct molt_builder *builder, size_t n_metas,
                           const struct molt_meta *const *metas, size_t n_known,
                           const char *const *known, char **ret_path, struct molt_error *err);

/* Build one C file as module @name, outside the project's scan (molt load).
 * MOLT_EBUSY: somebody is writing to it, or did so during the build. MOLT_EINVAL:
 * no C file, or an empty one. */
int molt_builder_file(struct molt_builder *builder, const char *path, const char *name,
                      struct molt_build_result **ret, struct molt_error *err);

#endif
