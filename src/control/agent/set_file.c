/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The file of a set: {"format": 1, "name": "shop", "start": "app",
 * "config": {key: value}, "interfaces": [path], "modules": [{"name": module,
 * "image": path, "meta": path}]}, paths relative to the file's folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "code/meta.h"
#include "control/agent/file.h"
#include "control/agent/set.h"

#define FORMAT 1

/* ---- writing ---------------------------------------------------------------- */

/* @path as seen from @folder; whole if it lies elsewhere. */
static const char *relative(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    return strncmp(folder, path, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

static int write_meta(const struct molt_set_module *m, char **ret_path, struct molt_error *err)
{
    struct molt_buf path = MOLT_BUF_INIT, bytes = MOLT_BUF_INIT;
    size_t len = strlen(m->image_path);
    int stem = (int)(len > 3 && strcmp(m->image_path + len - 3, ".so") == 0 ? len - 3 : len);
    molt_buf_printf(&path, "%.*s.meta", stem, m->image_path);
    char *name = molt_buf_take(&path);
    int rc = name ? molt_meta_encode(m->meta, &bytes) : MOLT_ENOMEM;
    if (rc == 0)
        rc = molt_agent_file_write(name, bytes.data, bytes.len, err);
    else
        molt_error_set(err, rc, "%s", molt_error_text(rc));
    molt_buf_fini(&bytes);
    if (rc < 0)
        free(name);
    else
        *ret_path = name;
    return rc;
}

static int add_module(json_t *list, const char *folder, const struct molt_set_module *m,
                      struct molt_error *err)
{
    char *meta_path;
    int rc = write_meta(m, &meta_path, err);
    if (rc < 0)
        return rc;
    json_t *item = json_pack("{s:s, s:s, s:s}", "name", m->meta->module, "image",
                             relative(folder, m->image_path), "meta", relative(folder, meta_path));
    free(meta_path);
    if (json_array_append_new(list, item) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    return 0;
}

static int write_text(json_t *doc, const char *folder, struct molt_error *err)
{
    char *text = json_dumps(doc, JSON_INDENT(2));
    struct molt_buf path = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/set", folder);
    int rc = !text || path.is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory")
                                     : molt_agent_file_write(path.data, text, strlen(text), err);
    molt_buf_fini(&path);
    free(text);
    return rc;
}

int molt_set_write(const struct molt_set *set, const char *folder, struct molt_error *err)
{
    json_t *config = json_object(), *modules = json_array(), *interfaces = json_array();
    int rc = 0;
    for (size_t i = 0; i < set->n_config; i++)
        json_object_set_new(config, set->config_keys[i], json_string(set->config_values[i]));
    for (size_t i = 0; i < set->n_interfaces; i++)
        json_array_append_new(interfaces, json_string(relative(folder, set->interfaces[i])));
    for (size_t i = 0; rc == 0 && i < set->n_modules; i++)
        rc = add_module(modules, folder, &set->modules[i], err);
    json_t *doc =
        json_pack("{s:i, s:s, s:s, s:o, s:o, s:o}", "format", FORMAT, "name", set->name, "start",
                  set->start, "config", config, "interfaces", interfaces, "modules", modules);
    if (rc == 0)
        rc = doc ? write_text(doc, folder, err)
                 : molt_error_set(err, MOLT_ENOMEM, "out of memory, or text that is not UTF-8");
    json_decref(doc);
    return rc;
}

/* ---- reading ----------------------------------------------------------------- */

/* A path of the file: below the folder, or absolute as it was written. */
static char *resolve(const char *folder, const char *path)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    if (*path == '/')
        molt_buf_printf(&buf, "%s", path);
    else
        molt_buf_printf(&buf, "%s/%s", folder, path);
    char *text = molt_buf_take(&buf);
    molt_buf_fini(&buf);
    return text;
}

static int read_meta(const char *path, const char *name, struct molt_meta **ret,
                     struct molt_error *err)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_agent_file_read(path, &bytes, err);
    if (rc == 0) {
        rc = molt_meta_decode(bytes.data, bytes.len, ret, err);
        if (rc < 0)
            molt_error_wrap(err, rc, "%s", path);
    }
    molt_buf_fini(&bytes);
    if (rc == 0 && strcmp((*ret)->module, name) != 0) {
        molt_error_set(err, MOLT_EFORMAT, "%s: describes %s, not %s", path, (*ret)->module, name);
        molt_meta_free(*ret);
        rc = MOLT_EFORMAT;
    }
    return rc;
}

static int read_module(struct molt_set *set, const char *folder, json_t *item,
                       struct molt_error *err)
{
    const char *name, *image, *meta;
    if (json_unpack(item, "{s:s, s:s, s:s}", "name", &name, "image", &image, "meta", &meta) < 0)
        return molt_error_set(err, MOLT_EFORMAT, "a module lacks name, image or meta");
    char *meta_path = resolve(folder, meta), *image_path = resolve(folder, image);
    struct molt_meta *decoded = NULL;
    int rc = meta_path && image_path ? read_meta(meta_path, name, &decoded, err)
                                     : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = molt_set_put(set, decoded, image_path);
    if (rc == 0 && access(image_path, R_OK) < 0)
        rc = molt_error_set(err, MOLT_ENOENT, "%s: %s", image_path, strerror(errno));
    molt_meta_free(decoded);
    free(meta_path);
    free(image_path);
    return rc;
}

static int read_interface(struct molt_set *set, const char *folder, json_t *item,
                          struct molt_error *err)
{
    const char *text = json_string_value(item);
    char *path = text ? resolve(folder, text) : NULL;
    int rc = path ? molt_set_add_interface(set, path)
                  : molt_error_set(err, MOLT_EFORMAT, "an interface is not a path");
    free(path);
    return rc;
}

static int read_config(struct molt_set *set, json_t *config, struct molt_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value)
    {
        if (!json_is_string(value))
            return molt_error_set(err, MOLT_EFORMAT, "config value of %s is not a string", key);
        int rc = molt_set_configure(set, key, json_string_value(value));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_doc(json_t *doc, const char *folder, struct molt_set **ret, struct molt_error *err)
{
    int format;
    const char *name, *start;
    json_t *config, *interfaces, *modules, *item;
    if (json_unpack(doc, "{s:i, s:s, s:s, s:o, s:o, s:o}", "format", &format, "name", &name,
                    "start", &start, "config", &config, "interfaces", &interfaces, "modules",
                    &modules) < 0 ||
        format != FORMAT)
        return molt_error_set(err, MOLT_EFORMAT, "not a set of format %d", FORMAT);
    struct molt_set *set = calloc(1, sizeof(*set));
    int rc = set && (set->name = strdup(name)) && (set->start = strdup(start)) ? 0 : MOLT_ENOMEM;
    if (rc == 0)
        rc = read_config(set, config, err);
    size_t i;
    json_array_foreach(interfaces, i, item) if (rc == 0) rc =
        read_interface(set, folder, item, err);
    json_array_foreach(modules, i, item) if (rc == 0) rc = read_module(set, folder, item, err);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    *ret = set;
    return 0;
}

int molt_set_read(const char *folder, struct molt_set **ret, struct molt_error *err)
{
    struct molt_buf path = MOLT_BUF_INIT, text = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/set", folder);
    if (path.is_failed)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    int rc = molt_agent_file_read(path.data, &text, err);
    if (rc == MOLT_ENOENT)
        molt_error_set(err, rc,
                       "nothing was built here yet: run `molt build` first (%s is missing)",
                       path.data);
    json_error_t why;
    json_t *doc = rc == 0 ? json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (rc == 0 && !doc)
        rc = molt_error_set(err, MOLT_EFORMAT, "%s:%d: %s; run `molt build` again", path.data,
                            why.line, why.text);
    if (doc) {
        rc = read_doc(doc, folder, ret, err);
        if (rc < 0)
            molt_error_wrap(err, rc, "%s", path.data);
        json_decref(doc);
    }
    molt_buf_fini(&text);
    molt_buf_fini(&path);
    return rc;
}
