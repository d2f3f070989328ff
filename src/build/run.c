/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Paths, flags and messages: what all steps of a build need. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/builder.h"
#include "port/module_flags.h"

void molt_header_free(void *header)
{
    struct molt_header *h = header;
    if (!h)
        return;
    free(h->module);
    molt_args_fini(&h->deps);
    molt_args_fini(&h->names);
    free(h->sigs);
    free(h);
}

void molt_unit_free(void *unit)
{
    struct molt_unit *u = unit;
    if (!u)
        return;
    molt_args_fini(&u->deps);
    free(u);
}

void molt_linked_free(void *linked)
{
    struct molt_linked *l = linked;
    if (!l)
        return;
    free(l->image_path);
    molt_meta_free(l->meta);
    free(l);
}

const char *molt_run_relative(const struct molt_run *run, const char *path)
{
    size_t n = strlen(run->builder->root);
    if (strncmp(path, run->builder->root, n) == 0 && path[n] == '/')
        return path + n + 1;
    return path;
}

/* Drop "." and "..", in place; the headers that people include aren't behind
 * symbolic links to folders. */
static char *normalise(char *path)
{
    char *out = path;
    for (char *at = path; *at;) {
        size_t len = 1 + strcspn(at + 1, "/");
        bool is_up = len == 3 && strncmp(at, "/..", 3) == 0;
        if (is_up) {
            while (out > path && *--out != '/')
                ;
        } else if (len > 1 && !(len == 2 && at[1] == '.')) {
            out = (char *)memmove(out, at, len) + len;
        }
        at += len;
    }
    *out = 0;
    return path;
}

char *molt_run_absolute(const struct molt_run *run, const char *path)
{
    char *out = NULL;
    if (*path == '/')
        out = strdup(path);
    else if (asprintf(&out, "%s/%s", run->builder->root, path) < 0)
        out = NULL;
    return out ? normalise(out) : NULL;
}

bool molt_run_is_settled(const struct molt_run *run, const struct molt_args *deps,
                         struct molt_files_time since)
{
    for (size_t i = 0; i < deps->n; i++)
        if (!molt_files_is_settled(run->builder->files, deps->v[i], since))
            return false;
    return true;
}

static bool has_optimisation(const struct molt_args *flags)
{
    for (size_t i = 0; i < flags->n; i++)
        if (strncmp(flags->v[i], "-O", 2) == 0)
            return true;
    return false;
}

/* What modules need to be loadable; behind the author's flags, so that those
 * can't undo them. See docs/design/spine.md, "Flags of a module". */
static void needed_flags(const struct molt_builder *b, struct molt_args *out)
{
    static const char *const common[] = {"-g", "-gz=none", "-gno-split-dwarf", "-fno-lto", "-fPIC",
                                         "-fno-plt", "-fvisibility=default",
                                         "-ftls-model=global-dynamic", "-fno-common",
                                         "-fdiagnostics-color=never",
                                         /* C17 has none of these; what they are about crashes */
                                         "-Werror=implicit-function-declaration",
                                         "-Werror=implicit-int", "-Werror=int-conversion",
                                         "-Werror=incompatible-pointer-types"};
    for (size_t i = 0; i < sizeof(common) / sizeof(*common); i++)
        molt_args_add(out, common[i]);
    for (const char *const *flag = molt_port_module_flags(b->tools->is_clang); *flag; flag++)
        molt_args_add(out, *flag);
    if (!b->tools->is_clang) {
        molt_args_add(out, "-fno-semantic-interposition");
        molt_args_add(out, "-fno-ipa-icf");
    }
    if (b->sanitizer) {
        molt_args_addf(out, "-fsanitize=%s", b->sanitizer);
        molt_args_add(out, "-fno-omit-frame-pointer");
    }
}

/* src/ is for quotes only: a module named `time` must not hide <time.h>. */
static void include_flags(struct molt_run *run, const char *source_folder, struct molt_args *out)
{
    if (source_folder) {
        molt_args_add(out, "-iquote");
        molt_args_add(out, molt_run_relative(run, source_folder));
    }
    molt_args_add(out, "-iquote");
    molt_args_add(out, "src");
    molt_args_add(out, "-I");
    molt_args_add(out, "include");
    molt_args_add(out, "-isystem");
    molt_args_add(out, run->builder->share.include);
}

int molt_run_flags(struct molt_run *run, const struct molt_project_module *module,
                   const char *source_folder, struct molt_args *out)
{
    struct molt_builder *b = run->builder;
    size_t n = out->n;
    /* A module that ships with molt is compiled as molt likes it. */
    const char *cflags = module->is_shipped ? "" : b->project->cflags;
    if (molt_args_words(out, cflags) < 0 || molt_args_words(out, module->cflags) < 0)
        return molt_error_set(run->err, MOLT_EFORMAT,
                              "molt.conf: a quote isn't closed in `cflags` or `cflags.%s`",
                              module->name);
    struct molt_args own = {.v = out->v ? out->v + n : NULL, .n = out->n - n};
    if (!has_optimisation(&own))
        molt_args_add(out, b->is_dev ? "-O0" : "-O2");
    needed_flags(b, out);
    include_flags(run, source_folder, out);
    return out->is_failed ? molt_error_set(run->err, MOLT_ENOMEM, "out of memory") : 0;
}

void molt_run_output(struct molt_run *run, const struct molt_job *job)
{
    const struct molt_buf *texts[] = {&job->err, &job->out};
    for (size_t i = 0; i < 2; i++) {
        if (!texts[i]->len)
            continue;
        size_t start = run->output.len;
        molt_buf_add(&run->output, texts[i]->data, texts[i]->len);
        molt_buf_printf(&run->output, "%s", "");
        if (!run->output.is_failed)
            molt_text_diagnostics(run->output.data + start, &run->diagnostics);
    }
}

void molt_run_error(struct molt_run *run, const char *file, int line, const char *fmt, ...)
{
    char text[MOLT_ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    molt_diagnostics_add(&run->diagnostics, file, line, 0, true, "%s", text);
    if (file && line)
        molt_buf_printf(&run->output, "%s:%d: error: %s\n", file, line, text);
    else if (file)
        molt_buf_printf(&run->output, "%s: error: %s\n", file, text);
    else
        molt_buf_printf(&run->output, "error: %s\n", text);
}
