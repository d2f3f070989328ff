/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Public headers: which functions does a module export, with which signatures,
 * and did the header change for those who include it?
 *
 * Two compiler runs answer that: one that preprocesses, for names and digest,
 * and one that compiles a probe, for the signatures. Both are repeated only
 * when something that they depend on changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/builder.h"
#include "build/tokens.h"
#include "types/image_info.h"

/* A header that is out of date, while its jobs run. */
struct pending {
    const struct molt_project_module *module;
    struct molt_header *header; /* the new record */
    uint8_t flags[MOLT_SHA256_BYTES];
    struct molt_job job;
    bool needs_probe;
};

static int no_memory(struct molt_run *run)
{
    return molt_error_set(run->err, MOLT_ENOMEM, "out of memory while reading headers");
}

const struct molt_header *molt_run_header(const struct molt_run *run,
                                          const struct molt_project_module *module)
{
    return module->header ? molt_strmap_get(&run->builder->headers, module->name) : NULL;
}

static int flags_digest(struct molt_run *run, const struct molt_project_module *module,
                        struct molt_args *flags, uint8_t digest[MOLT_SHA256_BYTES])
{
    int rc = molt_run_flags(run, module, NULL, flags);
    struct molt_buf text = MOLT_BUF_INIT;
    molt_buf_str(&text, module->header);
    molt_buf_add(&text, run->builder->tools->id, MOLT_SHA256_BYTES);
    for (size_t i = 0; i < flags->n; i++)
        molt_buf_str(&text, flags->v[i]);
    if (rc == 0 && (text.is_failed || molt_sha256(text.data, text.len, digest) < 0))
        rc = no_memory(run);
    molt_buf_fini(&text);
    return rc;
}

/* Over the flags and the content of all files of the header. */
static int header_key(struct molt_run *run, const struct molt_header *h,
                      const uint8_t flags[MOLT_SHA256_BYTES], uint8_t key[MOLT_SHA256_BYTES])
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_buf_add(&text, flags, MOLT_SHA256_BYTES);
    for (size_t i = 0; i < h->deps.n; i++) {
        uint8_t digest[MOLT_SHA256_BYTES];
        molt_files_digest(run->builder->files, h->deps.v[i], digest);
        molt_buf_str(&text, h->deps.v[i]);
        molt_buf_add(&text, digest, sizeof(digest));
    }
    int rc = text.is_failed ? MOLT_ENOMEM : molt_sha256(text.data, text.len, key);
    molt_buf_fini(&text);
    return rc < 0 ? no_memory(run) : 0;
}

/* Is the record of @module's header up to date? 1: yes. */
static int is_current(struct molt_run *run, const struct molt_project_module *module,
                      const uint8_t flags[MOLT_SHA256_BYTES])
{
    const struct molt_header *h = molt_run_header(run, module);
    if (!h)
        return 0;
    uint8_t key[MOLT_SHA256_BYTES];
    int rc = header_key(run, h, flags, key);
    return rc < 0 ? rc : memcmp(key, h->key, sizeof(key)) == 0;
}

/* ---- preprocessing -------------------------------------------------------- */

static void add_preprocess(struct molt_run *run, struct pending *p, const struct molt_args *flags)
{
    molt_args_copy(&p->job.argv, &run->builder->tools->cc);
    molt_args_copy(&p->job.argv, flags);
    static const char *const rest[] = {"-w", "-E", "-dD", "-x", "c"};
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++)
        molt_args_add(&p->job.argv, rest[i]);
    molt_args_add(&p->job.argv, molt_run_relative(run, p->module->header));
}

/* White space in a directive counts once. */
static void add_directive(struct molt_buf *out, const struct molt_token *t)
{
    for (size_t i = 0; i < t->len; i++) {
        bool is_space = t->text[i] == ' ' || t->text[i] == '\t';
        if (is_space && i + 1 < t->len && (t->text[i + 1] == ' ' || t->text[i + 1] == '\t'))
            continue;
        molt_buf_add(out, is_space ? " " : &t->text[i], 1);
    }
    molt_buf_u8(out, 0);
}

/* Digest of the tokens, of project headers alone or of all. */
static int tokens_digest(const struct molt_tokens *tokens, const bool *is_in,
                         uint8_t digest[MOLT_SHA256_BYTES])
{
    struct molt_buf text = MOLT_BUF_INIT;
    for (size_t i = 0; i < tokens->n; i++) {
        const struct molt_token *t = &tokens->v[i];
        if (is_in && !is_in[t->file])
            continue;
        if (t->kind == MOLT_TOKEN_DIRECTIVE) {
            add_directive(&text, t);
        } else {
            molt_buf_add(&text, t->text, t->len);
            molt_buf_u8(&text, 0);
        }
    }
    int rc =
        text.is_failed ? MOLT_ENOMEM : molt_sha256(text.data ? text.data : "", text.len, digest);
    molt_buf_fini(&text);
    return rc;
}

struct ownership {
    const bool *is_own;
};

static bool is_own(void *user, uint32_t file)
{
    return ((const struct ownership *)user)->is_own[file];
}

/* May @file declare exports of @module? The public header, and for a module
 * with a folder of its own any header there. */
static bool declares_exports(struct molt_run *run, const struct molt_project_module *module,
                             const char *file)
{
    const char *header = molt_run_relative(run, module->header);
    if (strcmp(file, header) == 0)
        return true;
    char folder[128];
    int n = snprintf(folder, sizeof(folder), "src/%s/", module->name);
    return n > 0 && (size_t)n < sizeof(folder) && strncmp(file, folder, (size_t)n) == 0;
}

static int note_deps(struct molt_run *run, struct molt_header *h, const struct molt_args *files)
{
    for (size_t i = 0; i < files->n; i++)
        if (files->v[i][0] != '<' && files->v[i][0] && files->v[i][strlen(files->v[i]) - 1] != '/')
            molt_args_take(&h->deps, molt_run_absolute(run, files->v[i]));
    molt_args_sort(&h->deps);
    return h->deps.is_failed ? MOLT_ENOMEM : 0;
}

static int read_tokens(struct molt_run *run, struct pending *p, const struct molt_tokens *tokens)
{
    struct molt_header *h = p->header;
    size_t n = tokens->files.n;
    bool *owns = calloc(n, sizeof(*owns)), *is_project = calloc(n, sizeof(*is_project));
    int rc = owns && is_project ? 0 : MOLT_ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        owns[i] = declares_exports(run, p->module, tokens->files.v[i]);
        is_project[i] = owns[i] || !tokens->is_system[i];
    }
    uint8_t all[MOLT_SHA256_BYTES] = {0};
    if (rc == 0)
        rc = tokens_digest(tokens, is_project, h->digest);
    if (rc == 0)
        rc = tokens_digest(tokens, NULL, all);
    if (rc == 0) {
        struct ownership ownership = {owns};
        molt_tokens_functions(tokens, is_own, &ownership, &h->names);
        rc = h->names.is_failed ? MOLT_ENOMEM : note_deps(run, h, &tokens->files);
    }
    struct molt_buf key = MOLT_BUF_INIT;
    molt_buf_add(&key, all, sizeof(all));
    molt_buf_add(&key, p->flags, sizeof(p->flags));
    if (rc == 0)
        rc = key.is_failed ? MOLT_ENOMEM : molt_sha256(key.data, key.len, h->probe_key);
    molt_buf_fini(&key);
    free(owns);
    free(is_project);
    return rc;
}

/* The preprocessor is done: names, digest, and whether the signatures that are
 * known still hold. */
static int preprocessed(struct molt_run *run, struct pending *p, struct molt_files_time since)
{
    if (p->job.status != 0) {
        molt_run_output(run, &p->job);
        run->result->code = MOLT_ECOMPILE;
        return 0;
    }
    struct molt_tokens tokens;
    int rc = molt_tokens_read(p->job.out.data, &tokens);
    if (rc < 0)
        return no_memory(run);
    rc = read_tokens(run, p, &tokens);
    molt_tokens_fini(&tokens);
    if (rc < 0)
        return no_memory(run);
    struct molt_header *h = p->header;
    h->sigs = calloc(h->names.n + 1, sizeof(*h->sigs));
    if (!h->sigs)
        return no_memory(run);
    const struct molt_header *old = molt_run_header(run, p->module);
    bool is_known = old && memcmp(old->probe_key, h->probe_key, MOLT_SHA256_BYTES) == 0 &&
                    old->names.n == h->names.n;
    if (is_known)
        memcpy(h->sigs, old->sigs, h->names.n * sizeof(*h->sigs));
    p->needs_probe = !is_known && h->names.n;
    rc = header_key(run, h, p->flags, h->key);
    if (rc == 0 && !molt_run_is_settled(run, &h->deps, since))
        memset(h->key, 0, sizeof(h->key));
    return rc;
}

/* ---- the probe ------------------------------------------------------------ */

static void probe_path(const struct molt_run *run, const struct pending *p, const char *ext,
                       char *path, size_t size)
{
    snprintf(path, size, "%s/%s-molt-probe.%s", run->builder->temp, p->module->name, ext);
}

static int write_probe(struct molt_run *run, const struct pending *p, const char *path)
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_buf_printf(&text, "#include \"%s\"\n", molt_run_relative(run, p->module->header));
    for (size_t i = 0; i < p->header->names.n; i++) {
        const char *f = p->header->names.v[i];
        molt_buf_printf(&text,
                        "#undef %s\n"
                        "static __typeof__(%s) *molt_anchor_%s __attribute__((used));\n",
                        f, f, f);
    }
    int rc =
        text.is_failed ? no_memory(run) : molt_file_update(path, text.data, text.len, run->err);
    molt_buf_fini(&text);
    return rc < 0 ? rc : 0;
}

static int add_probe(struct molt_run *run, struct pending *p, struct molt_job *job)
{
    char source[4096], object[4096];
    probe_path(run, p, "c", source, sizeof(source));
    probe_path(run, p, "o", object, sizeof(object));
    int rc = write_probe(run, p, source);
    if (rc < 0)
        return rc;
    molt_args_copy(&job->argv, &run->builder->tools->cc);
    rc = molt_run_flags(run, p->module, NULL, &job->argv);
    static const char *const rest[] = {"-O0", "-w", "-fno-builtin", "-iquote", ".", "-c"};
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++)
        molt_args_add(&job->argv, rest[i]);
    molt_args_add(&job->argv, molt_run_relative(run, source));
    molt_args_add(&job->argv, "-o");
    molt_args_add(&job->argv, molt_run_relative(run, object));
    return rc;
}

static int probed(struct molt_run *run, struct pending *p, const struct molt_job *job)
{
    if (job->status != 0) {
        molt_run_output(run, job);
        run->result->code = MOLT_ECOMPILE;
        return 0;
    }
    char object[4096];
    probe_path(run, p, "o", object, sizeof(object));
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_file_read(object, &bytes, run->err);
    if (rc == 0)
        rc = molt_image_probe(bytes.data, bytes.len, run->builder->root, p->header->names.n,
                              (const char *const *)p->header->names.v, p->header->sigs, run->err);
    molt_buf_fini(&bytes);
    if (rc < 0)
        molt_error_wrap(run->err, rc, "signatures of %s",
                        molt_run_relative(run, p->module->header));
    return rc;
}

static int run_probes(struct molt_run *run, struct pending *all, size_t n)
{
    struct molt_job *jobs = calloc(n + 1, sizeof(*jobs));
    if (!jobs)
        return no_memory(run);
    size_t k = 0;
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (rc < 0 || !all[i].needs_probe)
            continue;
        molt_job_init(&jobs[k]);
        rc = add_probe(run, &all[i], &jobs[k++]);
    }
    if (rc == 0)
        rc = molt_jobs_run(jobs, k, run->builder->jobs, run->builder->root, run->builder->interrupt,
                           run->err);
    k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!all[i].needs_probe)
            continue;
        if (rc == 0)
            rc = probed(run, &all[i], &jobs[k]);
        molt_job_fini(&jobs[k++]);
    }
    free(jobs);
    return rc;
}

/* ---- all together ---------------------------------------------------------- */

static int add_pending(struct molt_run *run, const struct molt_project_module *module,
                       struct pending *all, size_t *n)
{
    struct molt_args flags = MOLT_ARGS_INIT;
    struct pending p = {.module = module};
    int rc = flags_digest(run, module, &flags, p.flags);
    if (rc == 0)
        rc = is_current(run, module, p.flags);
    if (rc == 0) {
        molt_job_init(&p.job);
        add_preprocess(run, &p, &flags);
        p.header = calloc(1, sizeof(*p.header));
        if (p.header)
            p.header->module = strdup(module->name);
        all[(*n)++] = p;
        rc = p.header && p.header->module ? 0 : no_memory(run);
    }
    molt_args_fini(&flags);
    return rc < 0 ? rc : 0;
}

/* Put the new records in the place of the old ones. */
static int install(struct molt_run *run, struct pending *p)
{
    struct molt_header *old = molt_strmap_get(&run->builder->headers, p->module->name);
    if (molt_strmap_put(&run->builder->headers, p->module->name, p->header) < 0)
        return no_memory(run);
    p->header = NULL;
    molt_header_free(old);
    run->builder->is_dirty = true;
    return 0;
}

static int update(struct molt_run *run, struct pending *all, size_t n)
{
    struct molt_job *jobs = calloc(n + 1, sizeof(*jobs));
    if (!jobs)
        return no_memory(run);
    for (size_t i = 0; i < n; i++)
        jobs[i] = all[i].job;
    struct molt_files_time since = molt_files_now();
    int rc = molt_jobs_run(jobs, n, run->builder->jobs, run->builder->root, run->builder->interrupt,
                           run->err);
    for (size_t i = 0; i < n; i++)
        all[i].job = jobs[i];
    free(jobs);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = preprocessed(run, &all[i], since);
    if (rc == 0 && run->result->code == 0)
        rc = run_probes(run, all, n);
    for (size_t i = 0; rc == 0 && run->result->code == 0 && i < n; i++)
        rc = install(run, &all[i]);
    return rc;
}

int molt_run_headers(struct molt_run *run)
{
    struct pending *all = calloc(run->n_modules + 1, sizeof(*all));
    if (!all)
        return no_memory(run);
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < run->n_modules; i++)
        if (run->modules[i]->header)
            rc = add_pending(run, run->modules[i], all, &n);
    if (rc == 0 && n)
        rc = update(run, all, n);
    for (size_t i = 0; i < n; i++) {
        molt_job_fini(&all[i].job);
        molt_header_free(all[i].header);
    }
    free(all);
    return rc;
}
