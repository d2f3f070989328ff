/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/api_names.h"
#include "build/elf.h"

struct check {
    struct molt_run *run;
    const struct molt_project_module *module;
    struct molt_args defined;   /* own exports that are there */
    struct molt_args undefined; /* names that nothing provides */
    struct molt_args api;       /* what libmolt has */
    bool reports_foreign;
};

/* Line of the word @name in @file; 0 if it isn't there. */
static int line_of(const char *file, const char *name)
{
    struct molt_buf text = MOLT_BUF_INIT;
    int line = 0, at = 1;
    size_t len = strlen(name);
    if (molt_file_read(file, &text, NULL) == 0) {
        for (const char *p = text.data; *p && !line; p++) {
            at += *p == '\n';
            bool starts = p == text.data || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
            if (starts && strncmp(p, name, len) == 0 &&
                !(isalnum((unsigned char)p[len]) || p[len] == '_'))
                line = at;
        }
    }
    molt_buf_fini(&text);
    return line;
}

static const struct molt_project_module *module_named(const struct molt_run *run, const char *name)
{
    for (size_t i = 0; i < run->n_modules; i++)
        if (strcmp(run->modules[i]->name, name) == 0)
            return run->modules[i];
    return NULL;
}

/* The file of @module that mentions @name, as well as can be told from text. */
static const char *source_of(const struct molt_project_module *module, const char *name,
                             int *ret_line)
{
    for (size_t i = 0; i < module->n_sources; i++)
        if ((*ret_line = line_of(module->sources[i], name)))
            return module->sources[i];
    return module->sources[0];
}

/* @name was declared by a header of @owner, but is defined here. */
static void foreign(struct check *c, const char *owner, const char *name)
{
    const struct molt_project_module *other = module_named(c->run, owner);
    const char *header = other && other->header ? other->header : owner;
    int line = 0;
    const char *source = source_of(c->module, name, &line);
    molt_run_error(c->run, molt_run_relative(c->run, source), line,
                   "module %s defines %s(), which %s declares as a function of module %s; make it "
                   "static, rename it, or move it to %s",
                   c->module->name, name, molt_run_relative(c->run, header), owner, owner);
    c->run->result->code = MOLT_ELINK;
}

/* Names that the host provides, and those of tools that are linked to it. With
 * a sanitizer only libmolt's own are known: its library takes names over,
 * without versions. */
static bool is_provided(const struct check *c, const char *name)
{
    static const char *const prefixes[] = {"molt$",    "__wrap_", "__asan_",
                                           "__ubsan_", "__tsan_", "__sanitizer_"};
    if (strncmp(name, "molt_", 5) == 0)
        return molt_args_has(&c->api, name);
    if (c->run->builder->sanitizer)
        return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void symbol(void *user, const struct molt_elf_symbol *s)
{
    struct check *c = user;
    char buf[1024];
    const char *module, *name;
    uint64_t sig;
    if (!s->is_defined) {
        if (!s->is_weak && !s->is_found && !is_provided(c, s->name))
            molt_args_add(&c->undefined, s->name);
        return;
    }
    if (molt_meta_symbol_parse(s->name, buf, sizeof(buf), &module, &name, &sig) < 0)
        return;
    if (strcmp(module, c->module->name) == 0)
        molt_args_add(&c->defined, name);
    else if (c->reports_foreign)
        foreign(c, module, name);
}

static void check_missing(struct check *c)
{
    const struct molt_header *h = molt_run_header(c->run, c->module);
    for (size_t i = 0; h && i < h->names.n; i++) {
        const char *name = h->names.v[i];
        if (molt_args_has(&c->defined, name))
            continue;
        molt_run_error(c->run, molt_run_relative(c->run, c->module->header),
                       line_of(c->module->header, name),
                       "%s() is declared here, but no file of module %s that includes this header "
                       "defines it; define it, include the header where it is defined, or remove "
                       "the declaration",
                       name, c->module->name);
        c->run->result->code = MOLT_ELINK;
    }
}

/* The name in "undefined reference to 'name'"; malloc'd. */
static char *undefined_name(const char *message)
{
    const char *at = strstr(message, "undefined reference to ");
    if (!at)
        return NULL;
    at += strlen("undefined reference to ");
    at += strspn(at, "'`\"");
    return strndup(at, strcspn(at, "'`\""));
}

/* Link again, with missing names as errors, to learn where they are used. */
static int find_uses(struct check *c, const struct molt_args *link, struct molt_diagnostics *out)
{
    struct molt_job job;
    molt_job_init(&job);
    molt_args_copy(&job.argv, link);
    molt_args_add(&job.argv, c->run->builder->sanitizer ? "-Wl,--no-undefined" : "--no-undefined");
    int rc =
        molt_jobs_run(&job, 1, 1, c->run->builder->root, c->run->builder->interrupt, c->run->err);
    if (rc == 0)
        molt_text_diagnostics(job.err.data, out);
    molt_job_fini(&job);
    return rc;
}

static void undefined(struct check *c, const char *name, const char *file, int line)
{
    const char *meant = molt_api_names_nearest(&c->api, name);
    if (strncmp(name, "molt_", 5) == 0 && meant)
        molt_run_error(c->run, file, line,
                       "module %s uses %s(), which molt does not have; did you mean %s()?",
                       c->module->name, name, meant);
    else
        molt_run_error(c->run, file, line,
                       "module %s uses %s(), which nothing defines; define it, include the "
                       "header of the module that exports it, or name its library with "
                       "`libs.%s = ` in molt.conf",
                       c->module->name, name, c->module->name);
    c->run->result->code = MOLT_ELINK;
}

/* bfd doesn't follow #line: it names the generated text. */
static bool is_place(const char *file)
{
    return file && !strstr(file, ".tu.c");
}

static int report_undefined(struct check *c, const struct molt_args *link)
{
    struct molt_diagnostics found = {0};
    int rc = find_uses(c, link, &found);
    for (size_t i = 0; rc == 0 && i < c->undefined.n; i++) {
        bool is_reported = false;
        for (size_t k = 0; k < found.n; k++) {
            char *name = undefined_name(found.v[k].message);
            if (name && strcmp(name, c->undefined.v[i]) == 0 && is_place(found.v[k].file)) {
                undefined(c, name, found.v[k].file, found.v[k].line);
                is_reported = true;
            }
            free(name);
        }
        if (is_reported)
            continue;
        /* Not every linker tells: show where the name stands. */
        int line = 0;
        const char *source = source_of(c->module, c->undefined.v[i], &line);
        undefined(c, c->undefined.v[i], molt_run_relative(c->run, source), line);
    }
    molt_diagnostics_fini(&found);
    return rc;
}

/* Look at the names of @c's module in the linker's output. */
static int look(struct check *c, const void *bytes, size_t len)
{
    int rc = molt_elf_symbols(bytes, len, symbol, c);
    if (rc == MOLT_EFORMAT)
        return molt_error_set(c->run->err, rc, "the linker's output for module %s can't be read",
                              c->module->name);
    if (rc < 0 || c->defined.is_failed || c->undefined.is_failed)
        return molt_error_set(c->run->err, MOLT_ENOMEM, "out of memory");
    return 0;
}

static void fini(struct check *c)
{
    molt_args_fini(&c->defined);
    molt_args_fini(&c->undefined);
    molt_args_fini(&c->api);
}

int molt_run_check_defined(struct molt_run *run, const struct molt_project_module *module,
                           const void *bytes, size_t len)
{
    struct check c = {.run = run, .module = module, .reports_foreign = true};
    int rc = look(&c, bytes, len);
    if (rc == 0)
        check_missing(&c);
    fini(&c);
    return rc;
}

int molt_run_check_undefined(struct molt_run *run, const struct molt_project_module *module,
                             const void *bytes, size_t len, const struct molt_args *link)
{
    struct check c = {.run = run, .module = module};
    int rc = molt_api_names_read(run->builder->share.include, &c.api, run->err);
    if (rc == 0)
        rc = look(&c, bytes, len);
    if (rc == 0 && c.undefined.n)
        rc = report_undefined(&c, link);
    fini(&c);
    return rc;
}
