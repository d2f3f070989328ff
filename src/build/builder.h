/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the files of the build layer share: the builder, and what it remembers
 * of headers, translation units and modules from one build to the next.
 *
 * Invariant: a record describes files that exist; whoever uses it checks their
 * digests, so .molt/ can be deleted or damaged at any time.
 *
 * Threads: one build at a time.
 */
#ifndef MOLT_BUILD_BUILDER_H
#define MOLT_BUILD_BUILDER_H

#include "build/args.h"
#include "build/build.h"
#include "build/files.h"
#include "build/jobs.h"
#include "build/share.h"
#include "build/strmap.h"
#include "build/text.h"
#include "build/toolchain.h"

/* A module's public header: what it exports, and the digest of its tokens. */
struct molt_header {
    char *module;
    uint8_t key[MOLT_SHA256_BYTES]; /* compiler, flags, and content of the files in deps */
    struct molt_args deps;          /* the header and all that it includes */
    uint8_t digest[MOLT_SHA256_BYTES];
    uint8_t probe_key[MOLT_SHA256_BYTES]; /* what the signatures depend on */
    struct molt_args names;               /* exported functions, sorted */
    uint64_t *sigs;                       /* [names.n] */
};

/* A translation unit and the object compiled from it. */
struct molt_unit {
    uint8_t key[MOLT_SHA256_BYTES]; /* compiler, flags, text, content of the deps */
    uint8_t object[MOLT_SHA256_BYTES];
    uint8_t source[MOLT_SHA256_BYTES]; /* of the author's file alone */
    struct molt_args deps;             /* headers, as paths for the compiler's folder */
};

/* A linked module. */
struct molt_linked {
    uint8_t key[MOLT_SHA256_BYTES];    /* objects, libraries, linker, flags */
    uint8_t source[MOLT_SHA256_BYTES]; /* of all authors' files of the module */
    char *image_path;
    struct molt_meta *meta;
};

struct molt_builder {
    char *root;
    char *dir;       /* <root>/.molt */
    char *temp;      /* <dir>/tmp/<pid>: what isn't finished; nobody else's */
    char *sanitizer; /* NULL: none */
    bool is_dev;
    unsigned jobs;
    const struct molt_interrupt *interrupt; /* NULL: none */
    struct molt_project *project;
    struct molt_share share;
    struct molt_toolchain *tools;
    struct molt_files *files;
    struct molt_strmap headers; /* "<module>" -> struct molt_header */
    struct molt_strmap units;   /* path of the object -> struct molt_unit */
    struct molt_strmap linked;  /* "<module>" -> struct molt_linked */
    bool is_dirty;              /* the state file is out of date */
};

/* One call of molt_builder_run(). */
struct molt_run {
    struct molt_builder *builder;
    struct molt_build_result *result;
    struct molt_diagnostics diagnostics;
    struct molt_buf output;
    size_t n_modules; /* in view: their headers may be included */
    const struct molt_project_module *const *modules;
    const char *only; /* build this one alone; NULL: all */
    struct molt_error *err;
};

/* Make the folders of .molt/ that may have been deleted. */
int molt_builder_folders(struct molt_builder *builder, struct molt_error *err);
/* Remove our folder of unfinished files, and those of builders that died: their
 * compilers may live on, and write there. */
void molt_builder_clean(const struct molt_builder *builder);

void molt_header_free(void *header);
void molt_unit_free(void *unit);
void molt_linked_free(void *linked);

/* @path as it is handed to compilers, which run in the root: relative to it if
 * it lies below. Borrowed from @path. */
const char *molt_run_relative(const struct molt_run *run, const char *path);
/* Absolute form, without "." and ".."; malloc'd. */
char *molt_run_absolute(const struct molt_run *run, const char *path);

/* Flags for @module, as for its source in folder @source_folder (may be NULL).
 * MOLT_EFORMAT: a quote in cflags isn't closed. */
int molt_run_flags(struct molt_run *run, const struct molt_project_module *module,
                   const char *source_folder, struct molt_args *out);

/* May a record that was made since @since from @deps be trusted in the next
 * build? Not if one of them changed meanwhile. */
bool molt_run_is_settled(const struct molt_run *run, const struct molt_args *deps,
                         struct molt_files_time since);

/* Keep what a job printed, and its errors as diagnostics. */
void molt_run_output(struct molt_run *run, const struct molt_job *job);

/* An error that the build itself found: a diagnostic, and a line of output in
 * the form of a compiler's. @file may be NULL, @line 0. */
void molt_run_error(struct molt_run *run, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Bring the headers of all modules in view up to date. 0 with result->code
 * set if one can't be compiled. */
int molt_run_headers(struct molt_run *run);
/* The record of @module's header; NULL if it has none. */
const struct molt_header *molt_run_header(const struct molt_run *run,
                                          const struct molt_project_module *module);

/* Compile all units that are out of date. */
int molt_run_units(struct molt_run *run);
/* Object files of @module for the linker, the descriptor's last; absolute. */
void molt_run_objects(const struct molt_run *run, const struct molt_project_module *module,
                      struct molt_args *out);
/* Is the header of @other included by a unit of @module, or its own? */
bool molt_run_uses(const struct molt_run *run, const struct molt_project_module *module,
                   const struct molt_project_module *other);

/* Link and read back all modules that are out of date; fills result->modules. */
int molt_run_link(struct molt_run *run);

/* .molt/state: what builders remember. Loading ignores a state that is absent,
 * damaged or of another version. */
void molt_state_load(struct molt_builder *builder);
int molt_state_store(struct molt_builder *builder, struct molt_error *err);

/* compile_commands.json for editors; rewritten only when it changes. */
int molt_run_commands(struct molt_run *run);

#endif
