/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A set: everything that a host needs to run an app at one state of its
 * sources. In a file (.molt/set, JSON) it is what `molt build` leaves for
 * `molt run`, which needs no compiler then.
 *
 * Paths in the file are relative to its folder; those in memory are absolute.
 * The set is written whole or not at all. Images are checked against the
 * digests of their metas when they are loaded, by the host.
 *
 * Threads: one at a time.
 */
#ifndef MOLT_CONTROL_AGENT_SET_H
#define MOLT_CONTROL_AGENT_SET_H

#include <stddef.h>

#include <molt/error.h>

struct molt_build_result;
struct molt_meta;
struct molt_project;

struct molt_set_module {
    char *image_path;
    struct molt_meta *meta; /* names the module */
};

struct molt_set {
    char *name, *start; /* app, root supervisor ("": none) */
    size_t n_config, n_modules, n_interfaces;
    char **config_keys, **config_values;
    struct molt_set_module *modules;
    char **interfaces; /* paths of interface objects */
};

/* Copies of what was built. MOLT_ENOMEM. */
int molt_set_from_build(const struct molt_project *project, const struct molt_build_result *result,
                        struct molt_set **ret);
int molt_set_copy(const struct molt_set *set, struct molt_set **ret);
void molt_set_free(struct molt_set *set);

/* Add or replace the module that @meta names. @meta and the path are copied. */
int molt_set_put(struct molt_set *set, const struct molt_meta *meta, const char *image_path);
const struct molt_set_module *molt_set_find(const struct molt_set *set, const char *module);
int molt_set_add_interface(struct molt_set *set, const char *path);
const char *molt_set_config(const struct molt_set *set, const char *key); /* or NULL */
int molt_set_configure(struct molt_set *set, const char *key, const char *value);

/* Write to / read from @folder/set; metas lie beside the images. On reading:
 * MOLT_ENOENT (says how to make one), MOLT_EFORMAT. */
int molt_set_write(const struct molt_set *set, const char *folder, struct molt_error *err);
int molt_set_read(const char *folder, struct molt_set **ret, struct molt_error *err);
/* Copy images and interfaces into the folder @store, unless they are there, and refer to the
 * copies. An image whose bytes aren't its meta's is MOLT_EFORMAT. */
int molt_set_import(struct molt_set *set, const char *store, struct molt_error *err);

#endif
