/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/project.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/args.h"
#include "build/conf.h"
#include "build/files.h"
#include "build/keys.h"
#include "build/share.h"

#define NAME_MAX_MODULE 63

void molt_project_free(struct molt_project *project)
{
    if (!project)
        return;
    for (size_t i = 0; i < project->n_modules; i++) {
        struct molt_project_module *m = &project->modules[i];
        for (size_t k = 0; k < m->n_sources; k++)
            free(m->sources[k]);
        free(m->sources);
        free(m->name);
        free(m->header);
        free(m->cflags);
        free(m->libs);
    }
    free(project->modules);
    for (size_t i = 0; i < project->n_config; i++) {
        free(project->config_keys[i]);
        free(project->config_values[i]);
    }
    free(project->config_keys);
    free(project->config_values);
    free(project->root);
    free(project->name);
    free(project->cc);
    free(project->cflags);
    free(project->start);
    free(project);
}

const char *molt_project_config(const struct molt_project *project, const char *key)
{
    for (size_t i = 0; i < project->n_config; i++)
        if (strcmp(project->config_keys[i], key) == 0)
            return project->config_values[i];
    return NULL;
}

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "out of memory while reading the project");
}

/* ---- folders ------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in @folder, sorted, without hidden ones. A folder that isn't there
 * has none. */
static int list_folder(const char *folder, struct molt_args *out, struct molt_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return molt_error_set(err, MOLT_EIO, "can't read the folder %s: %s", folder,
                              strerror(errno));
    for (const struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            molt_args_add(out, e->d_name);
    closedir(dir);
    if (out->is_failed)
        return no_memory(err);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), compare_names);
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_module_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return len > 0 && len <= NAME_MAX_MODULE;
}

/* ---- modules ------------------------------------------------------------- */

struct scan {
    struct molt_project *project;
    const struct molt_conf *conf;
    struct molt_share share;
    struct molt_error *err;
};

static const char *conf_for(const struct scan *s, const char *key, const char *module)
{
    char full[NAME_MAX_MODULE + 16];
    snprintf(full, sizeof(full), "%s.%s", key, module);
    const char *value = molt_conf_get(s->conf, full);
    return value ? value : "";
}

/* Add module @name with @sources (taken); @header and @libs may be NULL. */
static int module_add(struct scan *s, const char *name, struct molt_args *sources,
                      const char *header, const char *libs)
{
    struct molt_project *p = s->project;
    struct molt_project_module *all =
        sources->is_failed ? NULL : realloc(p->modules, (p->n_modules + 1) * sizeof(*p->modules));
    if (!all)
        return no_memory(s->err);
    p->modules = all;
    struct molt_project_module *m = &all[p->n_modules++];
    *m = (struct molt_project_module){.name = strdup(name),
                                      .n_sources = sources->n,
                                      .sources = sources->v,
                                      .header = header ? strdup(header) : NULL,
                                      .cflags = strdup(conf_for(s, "cflags", name)),
                                      .libs = strdup(libs ? libs : conf_for(s, "libs", name))};
    *sources = MOLT_ARGS_INIT;
    if (!m->name || !m->cflags || !m->libs || (header && !m->header))
        return no_memory(s->err);
    return 0;
}

static const struct molt_project_module *module_find(const struct molt_project *p, const char *name)
{
    for (size_t i = 0; i < p->n_modules; i++)
        if (strcmp(p->modules[i].name, name) == 0)
            return &p->modules[i];
    return NULL;
}

/* The public header of the module at src/@name or src/@name.c. */
static bool find_header(const char *root, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/src/%s.h", root, name);
    if (is_file(path))
        return true;
    snprintf(path, size, "%s/src/%s/%s.h", root, name, name);
    if (is_file(path))
        return true;
    snprintf(path, size, "%s/include/%s.h", root, name);
    return is_file(path);
}

static int check_new(struct scan *s, const char *name, const char *path)
{
    if (!is_module_name(name, strlen(name)))
        return molt_error_set(s->err, MOLT_EFORMAT,
                              "%s: `%s` can't be a module's name: at most %d letters, digits and "
                              "underscores, no digit first; rename it",
                              path, name, NAME_MAX_MODULE);
    const struct molt_project_module *other = module_find(s->project, name);
    if (other)
        return molt_error_set(s->err, MOLT_EFORMAT,
                              "%s: module `%s` is defined by %s already; rename one of them", path,
                              name, other->sources[0]);
    return 0;
}

static int project_module_add(struct scan *s, const char *name, const char *path,
                              struct molt_args *sources)
{
    int rc = check_new(s, name, path);
    if (rc < 0)
        return rc;
    char header[PATH_MAX];
    bool has_header = find_header(s->project->root, name, header, sizeof(header));
    return module_add(s, name, sources, has_header ? header : NULL, NULL);
}

/* The *.c of @folder, absolute. */
static int list_sources(const char *folder, struct molt_args *out, struct molt_error *err)
{
    struct molt_args names = MOLT_ARGS_INIT;
    int rc = list_folder(folder, &names, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        if (ends_with(names.v[i], ".c"))
            molt_args_addf(out, "%s/%s", folder, names.v[i]);
    molt_args_fini(&names);
    return rc;
}

static int scan_entry(struct scan *s, const char *src, const char *name)
{
    char path[PATH_MAX + NAME_MAX + 2], module[NAME_MAX + 1];
    snprintf(path, sizeof(path), "%s/%s", src, name);
    snprintf(module, sizeof(module), "%s", name);
    struct molt_args sources = MOLT_ARGS_INIT;
    int rc = 0;
    if (is_folder(path)) {
        rc = list_sources(path, &sources, s->err);
    } else if (ends_with(name, ".c") && is_file(path)) {
        module[strlen(module) - 2] = 0;
        molt_args_add(&sources, path);
    }
    if (rc == 0 && sources.n)
        rc = project_module_add(s, module, path, &sources);
    molt_args_fini(&sources);
    return rc;
}

static int scan_modules(struct scan *s)
{
    char src[PATH_MAX];
    snprintf(src, sizeof(src), "%s/src", s->project->root);
    struct molt_args names = MOLT_ARGS_INIT;
    int rc = list_folder(src, &names, s->err);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        rc = scan_entry(s, src, names.v[i]);
    molt_args_fini(&names);
    return rc;
}

/* ---- modules that ship with molt ------------------------------------------ */

/* Is there a line that includes <@header> in a C file of @folder or below? */
static int folder_includes(const char *folder, const char *header, unsigned depth,
                           struct molt_files *files, struct molt_error *err)
{
    struct molt_args names = MOLT_ARGS_INIT;
    int rc = list_folder(folder, &names, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", folder, names.v[i]);
        const struct molt_args *includes = NULL;
        if (ends_with(path, ".c") || ends_with(path, ".h"))
            includes = molt_files_includes(files, path);
        else if (depth < 8 && is_folder(path))
            rc = folder_includes(path, header, depth + 1, files, err);
        for (size_t k = 0; rc == 0 && includes && k < includes->n; k++)
            rc = strncmp(includes->v[k] + 1, header, strlen(header)) == 0 &&
                 strlen(includes->v[k]) == strlen(header) + 2;
    }
    molt_args_fini(&names);
    return rc;
}

static int is_included(struct scan *s, const char *header, struct molt_files *files)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/src", s->project->root);
    int rc = folder_includes(folder, header, 0, files, s->err);
    snprintf(folder, sizeof(folder), "%s/include", s->project->root);
    return rc ? rc : folder_includes(folder, header, 0, files, s->err);
}

static int shipped_add(struct scan *s, const char *name, const char *folder,
                       const struct molt_conf *conf, const char *header)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", s->share.include, header);
    struct molt_args sources = MOLT_ARGS_INIT;
    int rc = list_sources(folder, &sources, s->err);
    if (rc == 0 && !sources.n)
        rc = molt_error_set(s->err, MOLT_ENOENT, "%s holds no C files; reinstall molt", folder);
    if (rc == 0)
        rc = check_new(s, name, folder);
    const char *libs = molt_conf_get(conf, "libs");
    if (rc == 0)
        rc = module_add(s, name, &sources, path, libs ? libs : "");
    if (rc == 0)
        s->project->modules[s->project->n_modules - 1].is_shipped = true;
    molt_args_fini(&sources);
    return rc;
}

/* Add the shipped module in @folder if the project includes its header. */
static int shipped_check(struct scan *s, const char *name, const char *folder,
                         struct molt_files *files)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/module.conf", folder);
    if (!is_file(path))
        return 0;
    struct molt_conf conf;
    int rc = molt_conf_read(path, &conf, s->err);
    if (rc < 0)
        return rc;
    const char *header = molt_conf_get(&conf, "header");
    if (!header)
        rc = molt_error_set(s->err, MOLT_EFORMAT, "%s: no `header = `", path);
    else if ((rc = is_included(s, header, files)) > 0)
        rc = shipped_add(s, name, folder, &conf, header);
    molt_conf_fini(&conf);
    return rc;
}

static int scan_shipped(struct scan *s)
{
    struct molt_files *files = molt_files_new();
    if (!files)
        return no_memory(s->err);
    struct molt_args names = MOLT_ARGS_INIT;
    int rc = list_folder(s->share.modules, &names, s->err);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof(folder), "%s/%s", s->share.modules, names.v[i]);
        rc = shipped_check(s, names.v[i], folder, files);
    }
    molt_args_fini(&names);
    molt_files_free(files);
    return rc;
}

/* ---- molt.conf ------------------------------------------------------------ */

/* "cflags.NAME" and "libs.NAME" must name a module. */
static int check_keys(const struct scan *s, const char *path)
{
    for (size_t i = 0; i < s->conf->n; i++) {
        const char *key = s->conf->keys[i], *dot = strchr(key, '.');
        if (!dot || (strncmp(key, "cflags.", 7) != 0 && strncmp(key, "libs.", 5) != 0))
            continue;
        if (!module_find(s->project, dot + 1))
            return molt_error_set(s->err, MOLT_EFORMAT,
                                  "%s:%d: `%s`: there is no module `%s` (no src/%s.c, no folder "
                                  "src/%s)",
                                  path, s->conf->lines[i], key, dot + 1, dot + 1, dot + 1);
    }
    return molt_keys_check(s->conf, path, s->err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int take_settings(struct scan *s)
{
    struct molt_project *p = s->project;
    const char *name = molt_conf_get(s->conf, "name"), *cc = molt_conf_get(s->conf, "cc");
    const char *cflags = molt_conf_get(s->conf, "cflags");
    const char *root = molt_conf_get(s->conf, "start");
    p->name = strdup(name && *name ? name : base_name(p->root));
    p->cc = strdup(cc && *cc ? cc : "gcc");
    p->cflags = strdup(cflags ? cflags : "");
    p->start = root && *root ? strdup(root) : NULL;
    p->config_keys = calloc(s->conf->n + 1, sizeof(*p->config_keys));
    p->config_values = calloc(s->conf->n + 1, sizeof(*p->config_values));
    if (!p->name || !p->cc || !p->cflags || (root && *root && !p->start) || !p->config_keys ||
        !p->config_values)
        return no_memory(s->err);
    for (size_t i = 0; i < s->conf->n; i++) {
        p->config_keys[i] = strdup(s->conf->keys[i]);
        p->config_values[i] = strdup(s->conf->values[i]);
        p->n_config++;
        if (!p->config_keys[i] || !p->config_values[i])
            return no_memory(s->err);
    }
    return 0;
}

static int compare_modules(const void *a, const void *b)
{
    return strcmp(((const struct molt_project_module *)a)->name,
                  ((const struct molt_project_module *)b)->name);
}

static int load(struct scan *s, const char *path)
{
    int rc = take_settings(s);
    if (rc == 0)
        rc = scan_modules(s);
    if (rc == 0)
        rc = scan_shipped(s);
    if (rc == 0)
        rc = check_keys(s, path);
    if (rc == 0 && s->project->n_modules)
        qsort(s->project->modules, s->project->n_modules, sizeof(*s->project->modules),
              compare_modules);
    return rc;
}

static int read_conf(const char *root, char *path, size_t size, struct molt_conf *conf,
                     struct molt_error *err)
{
    snprintf(path, size, "%s/molt.conf", root);
    int rc = molt_conf_read(path, conf, err);
    if (rc == MOLT_ENOENT)
        molt_error_set(err, rc,
                       "no molt.conf in %s: this is not a molt project; make one with `molt new "
                       "NAME`, or put a line `name = NAME` into molt.conf",
                       root);
    return rc;
}

int molt_project_read_conf(const char *root, struct molt_conf *ret, struct molt_error *err)
{
    char path[PATH_MAX + 16];
    struct molt_conf conf = {0};
    int rc = read_conf(root, path, sizeof(path), &conf, err);
    if (rc == 0)
        rc = molt_keys_check(&conf, path, err);
    if (rc < 0)
        molt_conf_fini(&conf);
    else
        *ret = conf;
    return rc;
}

int molt_project_load(const char *root, struct molt_project **ret, struct molt_error *err)
{
    char real[PATH_MAX], path[PATH_MAX + 16];
    if (!realpath(root, real))
        return molt_error_set(err, MOLT_ENOENT, "%s: %s", root, strerror(errno));
    struct molt_conf conf = {0};
    int rc = read_conf(real, path, sizeof(path), &conf, err);
    if (rc < 0)
        return rc;
    struct scan s = {.project = calloc(1, sizeof(*s.project)), .conf = &conf, .err = err};
    if (!s.project || !(s.project->root = strdup(real)))
        rc = no_memory(err);
    if (rc == 0)
        rc = molt_share_find(&s.share, err);
    if (rc == 0)
        rc = load(&s, path);
    molt_share_fini(&s.share);
    molt_conf_fini(&conf);
    if (rc < 0) {
        molt_project_free(s.project);
        return rc;
    }
    *ret = s.project;
    return 0;
}
