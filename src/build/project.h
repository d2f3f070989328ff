/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * An app's sources: which modules there are and how they are compiled.
 *
 * molt.conf, one `key = value` a line, `#` comments:
 *     name = shop            cc = gcc               cflags = -O0 -g
 *     cflags.counter = -O2   libs.counter = m z     start = app
 *     http.port = 9000       (any other key is for molt_config())
 * Modules: each src/NAME.c is module NAME; each folder src/NAME/ is module NAME
 * of all its *.c. The public header of NAME is NAME.h beside the file, or
 * src/NAME/NAME.h, or include/NAME.h; without one it exports nothing. Modules
 * that ship with molt (http) are added when a header of theirs is included.
 *
 * Threads: one at a time.
 */
#ifndef MOLT_BUILD_PROJECT_H
#define MOLT_BUILD_PROJECT_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

#include "build/conf.h"

struct molt_project_module {
    char *name;
    size_t n_sources;
    char **sources;  /* absolute */
    char *header;    /* absolute path of the public header, or NULL */
    char *cflags;    /* cflags.NAME or "" */
    char *libs;      /* libs.NAME or "" */
    bool is_shipped; /* comes with molt */
};

struct molt_project {
    char *root; /* absolute */
    char *name;
    char *cc;
    char *cflags;
    char *start; /* root supervisor, or NULL */
    size_t n_modules;
    struct molt_project_module *modules; /* sorted by name */
    size_t n_config;
    char **config_keys, **config_values;
};

/* Read molt.conf and scan for modules. MOLT_ENOENT: no molt.conf here (says how
 * to make one); MOLT_EFORMAT with the line. */
int molt_project_load(const char *root, struct molt_project **ret, struct molt_error *err);
/* Read molt.conf alone, for a place without sources: the values of molt's keys are
 * checked, the names of modules in keys aren't. Codes as above. */
int molt_project_read_conf(const char *root, struct molt_conf *ret, struct molt_error *err);
void molt_project_free(struct molt_project *project);
const char *molt_project_config(const struct molt_project *project, const char *key);

#endif
