/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "build/build.h"
#include "code/meta.h"

/* ---- lists of strings ------------------------------------------------------ */

static int push_string(char ***list, size_t *n, const char *text)
{
    char **grown = realloc(*list, (*n + 1) * sizeof(*grown));
    if (!grown)
        return MOLT_ENOMEM;
    *list = grown;
    grown[*n] = strdup(text);
    if (!grown[*n])
        return MOLT_ENOMEM;
    (*n)++;
    return 0;
}

static void free_strings(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        free(list[i]);
    free(list);
}

/* A meta is immutable and has no copy function: its encoding is one. */
static int copy_meta(const struct molt_meta *meta, struct molt_meta **ret)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    int rc = molt_meta_encode(meta, &buf);
    if (rc == 0)
        rc = molt_meta_decode(buf.data, buf.len, ret, NULL);
    molt_buf_fini(&buf);
    return rc;
}

/* ---- life -------------------------------------------------------------------- */

static struct molt_set *make_set(const char *name, const char *start)
{
    struct molt_set *set = calloc(1, sizeof(*set));
    if (!set)
        return NULL;
    set->name = strdup(name ? name : "");
    set->start = strdup(start ? start : "");
    if (!set->name || !set->start) {
        molt_set_free(set);
        return NULL;
    }
    return set;
}

void molt_set_free(struct molt_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n_modules; i++) {
        free(set->modules[i].image_path);
        molt_meta_free(set->modules[i].meta);
    }
    free(set->modules);
    free_strings(set->config_keys, set->n_config);
    free_strings(set->config_values, set->n_config);
    free_strings(set->interfaces, set->n_interfaces);
    free(set->name);
    free(set->start);
    free(set);
}

int molt_set_from_build(const struct molt_project *project, const struct molt_build_result *result,
                        struct molt_set **ret)
{
    struct molt_set *set = make_set(project->name, project->start);
    int rc = set ? 0 : MOLT_ENOMEM;
    for (size_t i = 0; rc == 0 && i < project->n_config; i++)
        rc = molt_set_configure(set, project->config_keys[i], project->config_values[i]);
    for (size_t i = 0; rc == 0 && i < result->n_modules; i++)
        rc = molt_set_put(set, result->modules[i].meta, result->modules[i].image_path);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    *ret = set;
    return 0;
}

int molt_set_copy(const struct molt_set *from, struct molt_set **ret)
{
    struct molt_set *set = make_set(from->name, from->start);
    int rc = set ? 0 : MOLT_ENOMEM;
    for (size_t i = 0; rc == 0 && i < from->n_config; i++)
        rc = molt_set_configure(set, from->config_keys[i], from->config_values[i]);
    for (size_t i = 0; rc == 0 && i < from->n_modules; i++)
        rc = molt_set_put(set, from->modules[i].meta, from->modules[i].image_path);
    for (size_t i = 0; rc == 0 && i < from->n_interfaces; i++)
        rc = molt_set_add_interface(set, from->interfaces[i]);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    *ret = set;
    return 0;
}

/* ---- contents ------------------------------------------------------------------ */

static struct molt_set_module *find(const struct molt_set *set, const char *module)
{
    for (size_t i = 0; i < set->n_modules; i++)
        if (strcmp(set->modules[i].meta->module, module) == 0)
            return &set->modules[i];
    return NULL;
}

const struct molt_set_module *molt_set_find(const struct molt_set *set, const char *module)
{
    return find(set, module);
}

int molt_set_put(struct molt_set *set, const struct molt_meta *meta, const char *image_path)
{
    struct molt_set_module *at = find(set, meta->module);
    if (!at) {
        struct molt_set_module *grown =
            realloc(set->modules, (set->n_modules + 1) * sizeof(*grown));
        if (!grown)
            return MOLT_ENOMEM;
        set->modules = grown;
    }
    struct molt_set_module fresh = {.image_path = strdup(image_path)};
    int rc = fresh.image_path ? copy_meta(meta, &fresh.meta) : MOLT_ENOMEM;
    if (rc < 0) {
        free(fresh.image_path);
        return rc;
    }
    if (at) {
        free(at->image_path);
        molt_meta_free(at->meta);
        *at = fresh;
    } else {
        set->modules[set->n_modules++] = fresh;
    }
    return 0;
}

int molt_set_add_interface(struct molt_set *set, const char *path)
{
    for (size_t i = 0; i < set->n_interfaces; i++)
        if (strcmp(set->interfaces[i], path) == 0)
            return 0;
    return push_string(&set->interfaces, &set->n_interfaces, path);
}

const char *molt_set_config(const struct molt_set *set, const char *key)
{
    for (size_t i = 0; i < set->n_config; i++)
        if (strcmp(set->config_keys[i], key) == 0)
            return set->config_values[i];
    return NULL;
}

static int replace_value(struct molt_set *set, size_t i, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return MOLT_ENOMEM;
    free(set->config_values[i]);
    set->config_values[i] = copy;
    return 0;
}

int molt_set_configure(struct molt_set *set, const char *key, const char *value)
{
    for (size_t i = 0; i < set->n_config; i++)
        if (strcmp(set->config_keys[i], key) == 0)
            return replace_value(set, i, value);
    size_t n_values = set->n_config;
    int rc = push_string(&set->config_values, &n_values, value);
    if (rc < 0)
        return rc;
    rc = push_string(&set->config_keys, &set->n_config, key);
    if (rc < 0)
        free(set->config_values[n_values - 1]);
    return rc;
}
