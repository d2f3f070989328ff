/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Linking: objects to an image in the store, by the linker itself; the
 * compiler's driver would cost twice the linker's time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "build/builder.h"
#include "build/check.h"
#include "types/image_info.h"
#include "types/libc_names.h"

/* A module while it is linked. */
struct work {
    const struct molt_project_module *module;
    struct molt_args objects;
    char *temp; /* the linker's output */
    const struct molt_linked *old;
    struct molt_linked *fresh;
    size_t n_headers;
    struct molt_meta_header *headers;
    struct molt_job job;
    bool needs_link, is_new, is_kept;
};

static int no_memory(struct molt_run *run)
{
    return molt_error_set(run->err, MOLT_ENOMEM, "out of memory while linking");
}

/* ---- the command ------------------------------------------------------------ */

/* An option of the linker, as the driver takes it where @by_driver. */
static void add_option(struct molt_args *argv, bool by_driver, const char *option)
{
    molt_args_addf(argv, "%s%s", by_driver ? "-Wl," : "", option);
}

static void add_options(const struct molt_run *run, struct molt_args *argv, bool by_driver)
{
    static const char *const words[] = {"now", "relro", "noexecstack", "text"};
    for (size_t i = 0; i < 4; i++) {
        add_option(argv, by_driver, "-z");
        add_option(argv, by_driver, words[i]);
    }
    add_option(argv, by_driver, "--build-id=sha1");
    add_option(argv, by_driver, "--hash-style=gnu");
    /* A driver asks for it by itself; without it no unwinder finds callers. */
    add_option(argv, by_driver, "--eh-frame-hdr");
    molt_args_addf(argv, "%s--version-script=%s/cache/exports.map", by_driver ? "-Wl," : "",
                   molt_run_relative(run, run->builder->dir));
    /* The host counts locks, so that it knows where it may suspend. */
    size_t n_locks;
    const char *const *locks = molt_libc_locks(&n_locks);
    for (size_t i = 0; i < n_locks; i++)
        molt_args_addf(argv, "%s--wrap=%s", by_driver ? "-Wl," : "", locks[i]);
}

/* `libs = m z /opt/x/liby.a -lq`: names are looked up, the rest is passed on. */
static int add_libraries(struct molt_run *run, const struct molt_project_module *module,
                         struct molt_args *argv)
{
    struct molt_args names = MOLT_ARGS_INIT;
    int rc = molt_args_words(&names, module->libs);
    if (rc < 0)
        molt_error_set(run->err, rc, "molt.conf: a quote isn't closed in `libs.%s`", module->name);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *path = names.v[i];
        if (!strchr(path, '/') && path[0] != '-')
            rc = molt_toolchain_library(run->builder->tools, names.v[i], &path, run->err);
        if (rc == 0)
            molt_args_add(argv, path);
        else
            molt_error_wrap(run->err, rc, "module %s", module->name);
    }
    molt_args_fini(&names);
    return rc;
}

static int make_command(struct molt_run *run, struct work *w)
{
    const struct molt_toolchain *tools = run->builder->tools;
    struct molt_args *argv = &w->job.argv;
    bool by_driver = run->builder->sanitizer != NULL;
    if (by_driver) {
        molt_args_copy(argv, &tools->cc);
        molt_args_addf(argv, "-fsanitize=%s", run->builder->sanitizer);
        molt_args_addf(argv, "-fuse-ld=%s", tools->linker_name);
        molt_args_add(argv, "-nostartfiles");
    } else {
        molt_args_add(argv, tools->linker);
    }
    molt_args_add(argv, "-shared");
    add_options(run, argv, by_driver);
    molt_args_add(argv, "-o");
    molt_args_add(argv, molt_run_relative(run, w->temp));
    for (size_t i = 0; i < w->objects.n; i++)
        molt_args_add(argv, molt_run_relative(run, w->objects.v[i]));
    int rc = add_libraries(run, w->module, argv);
    /* libc by name: without it glibc binds to the oldest versions of symbols. */
    if (!by_driver) {
        molt_args_add(argv, tools->libgcc);
        molt_args_add(argv, tools->libc);
    }
    return rc < 0 ? rc : argv->is_failed ? no_memory(run) : 0;
}

/* ---- what it depends on ------------------------------------------------------ */

/* Over the command, the objects and the linker; ret_source over the authors'
 * files alone. */
static int make_key(struct molt_run *run, const struct work *w, uint8_t key[MOLT_SHA256_BYTES],
                    uint8_t source[MOLT_SHA256_BYTES])
{
    struct molt_buf text = MOLT_BUF_INIT, sources = MOLT_BUF_INIT;
    molt_buf_add(&text, run->builder->tools->id, MOLT_SHA256_BYTES);
    const char *temp = molt_run_relative(run, w->temp);
    for (size_t i = 0; i < w->job.argv.n; i++)
        if (strcmp(w->job.argv.v[i], temp) != 0)
            molt_buf_str(&text, w->job.argv.v[i]);
    for (size_t i = 0; i < w->objects.n; i++) {
        const struct molt_unit *u = molt_strmap_get(&run->builder->units, w->objects.v[i]);
        molt_buf_str(&sources, w->objects.v[i]);
        if (u)
            molt_buf_add(&text, u->object, sizeof(u->object));
        if (u)
            molt_buf_add(&sources, u->source, sizeof(u->source));
    }
    bool is_ok = !text.is_failed && !sources.is_failed &&
                 molt_sha256(text.data, text.len, key) == 0 &&
                 molt_sha256(sources.data, sources.len, source) == 0;
    molt_buf_fini(&text);
    molt_buf_fini(&sources);
    return is_ok ? 0 : no_memory(run);
}

static int collect_headers(struct molt_run *run, struct work *w)
{
    w->headers = calloc(run->n_modules + 1, sizeof(*w->headers));
    if (!w->headers)
        return no_memory(run);
    for (size_t i = 0; i < run->n_modules; i++) {
        const struct molt_project_module *other = run->modules[i];
        const struct molt_header *h = molt_run_header(run, other);
        if (!h || !molt_run_uses(run, w->module, other))
            continue;
        struct molt_meta_header *out = &w->headers[w->n_headers++];
        memcpy(out->digest, h->digest, sizeof(out->digest));
        if (!(out->module = strdup(other->name)))
            return no_memory(run);
    }
    return 0;
}

static bool has_headers(const struct molt_meta *meta, const struct work *w)
{
    if (meta->n_headers != w->n_headers)
        return false;
    for (size_t i = 0; i < w->n_headers; i++)
        if (strcmp(meta->headers[i].module, w->headers[i].module) != 0 ||
            memcmp(meta->headers[i].digest, w->headers[i].digest, MOLT_SHA256_BYTES) != 0)
            return false;
    return true;
}

/* Is the image of the build before still in the store, undamaged? */
static bool is_stored(struct molt_run *run, const struct molt_linked *l)
{
    uint8_t digest[MOLT_SHA256_BYTES];
    return molt_files_digest(run->builder->files, l->image_path, digest) == 0 &&
           memcmp(digest, l->meta->digest, sizeof(digest)) == 0;
}

/* ---- metas ------------------------------------------------------------------- */

static int copy_meta(struct molt_run *run, const struct molt_meta *from, struct molt_meta **ret)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_meta_encode(from, &bytes);
    if (rc == 0)
        rc = molt_meta_decode(bytes.data, bytes.len, ret, run->err);
    else
        no_memory(run);
    molt_buf_fini(&bytes);
    return rc;
}

/* Give @meta the headers of @w instead of its own. */
static int set_headers(struct molt_run *run, struct molt_meta *meta, const struct work *w)
{
    struct molt_meta_header *copy = calloc(w->n_headers + 1, sizeof(*copy));
    bool is_ok = copy != NULL;
    for (size_t i = 0; is_ok && i < w->n_headers; i++) {
        copy[i] = w->headers[i];
        copy[i].module = strdup(w->headers[i].module);
        is_ok = copy[i].module != NULL;
    }
    for (size_t i = 0; i < meta->n_headers; i++)
        free(meta->headers[i].module);
    free(meta->headers);
    meta->headers = copy;
    meta->n_headers = copy ? w->n_headers : 0;
    return is_ok ? 0 : no_memory(run);
}

static bool same_symbols(const struct molt_meta_symbol *a, size_t n_a,
                         const struct molt_meta_symbol *b, size_t n_b)
{
    for (size_t i = 0; n_a == n_b && i < n_a; i++)
        if (a[i].sig != b[i].sig || strcmp(a[i].module, b[i].module) != 0 ||
            strcmp(a[i].name, b[i].name) != 0)
            return false;
    return n_a == n_b;
}

static bool same_code(const struct molt_meta *a, const struct molt_meta *b)
{
    return a->content == b->content && a->flags == b->flags &&
           same_symbols(a->exports, a->n_exports, b->exports, b->n_exports) &&
           same_symbols(a->imports, a->n_imports, b->imports, b->n_imports);
}

/* The old image goes on, with the new digests of headers. */
static int keep(struct molt_run *run, struct work *w)
{
    molt_meta_free(w->fresh->meta);
    w->fresh->meta = NULL;
    free(w->fresh->image_path);
    w->fresh->image_path = strdup(w->old->image_path);
    int rc = w->fresh->image_path ? copy_meta(run, w->old->meta, &w->fresh->meta) : no_memory(run);
    if (rc == 0)
        rc = set_headers(run, w->fresh->meta, w);
    w->is_kept = !has_headers(w->old->meta, w);
    w->is_new = false;
    return rc;
}

/* ---- after the linker -------------------------------------------------------- */

static int publish(struct molt_run *run, struct work *w)
{
    char hex[MOLT_SHA256_HEX];
    molt_sha256_hex(w->fresh->meta->digest, hex);
    if (asprintf(&w->fresh->image_path, "%s/store/%s-%s.so", run->builder->dir, w->module->name,
                 hex) < 0) {
        w->fresh->image_path = NULL;
        return no_memory(run);
    }
    if (chmod(w->temp, 0444) < 0 || rename(w->temp, w->fresh->image_path) < 0)
        return molt_error_set(run->err, MOLT_EIO, "can't write %s: %s", w->fresh->image_path,
                              strerror(errno));
    molt_files_forget(run->builder->files, w->fresh->image_path);
    return 0;
}

/* Rules of images come before undefined names: what a rule forbids (imported
 * data, atexit, thread-locals) is often an undefined name, too, and the rule
 * has the better remedy. */
static int read_image(struct molt_run *run, struct work *w, const struct molt_buf *bytes)
{
    struct molt_image_options options = {.module = w->module->name,
                                         .project = run->builder->root,
                                         .allow_sanitizer = run->builder->sanitizer != NULL,
                                         .n_headers = w->n_headers,
                                         .headers = w->headers};
    struct molt_error why = {0};
    int rc = molt_image_read(bytes->data, bytes->len, &options, &w->fresh->meta, &why);
    if (rc == 0 || rc == MOLT_ELINK) {
        int code = molt_run_check_undefined(run, w->module, bytes->data, bytes->len, &w->job.argv);
        if (code < 0 || run->result->code != 0)
            return code;
    }
    if (rc == MOLT_EREFUSED || rc == MOLT_EFORMAT || rc == MOLT_ELINK) {
        molt_run_error(run, molt_run_relative(run, w->module->sources[0]), 0, "%s", why.text);
        run->result->code = rc == MOLT_ELINK ? MOLT_ELINK : MOLT_EREFUSED;
        return 0;
    }
    if (rc < 0)
        return molt_error_set(run->err, rc, "module %s: %s", w->module->name, why.text);
    if (run->builder->sanitizer)
        w->fresh->meta->flags |= MOLT_META_SANITIZED;
    return 0;
}

/* Check, read and store one module; result->code is 0 before. */
static int linked(struct molt_run *run, struct work *w)
{
    molt_run_output(run, &w->job);
    if (w->job.status != 0) {
        run->result->code = MOLT_ELINK;
        return 0;
    }
    run->result->n_linked++;
    uint64_t start = molt_clock_ns();
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_file_read(w->temp, &bytes, run->err);
    if (rc == 0)
        rc = molt_run_check_defined(run, w->module, bytes.data, bytes.len);
    if (rc == 0 && run->result->code == 0)
        rc = read_image(run, w, &bytes);
    molt_buf_fini(&bytes);
    run->result->read_ns += molt_clock_ns() - start;
    if (rc < 0 || run->result->code != 0)
        return rc;
    bool same_sources =
        w->old && memcmp(w->old->source, w->fresh->source, sizeof(w->old->source)) == 0;
    if (same_sources && is_stored(run, w->old) && same_code(w->old->meta, w->fresh->meta))
        return keep(run, w);
    w->is_new =
        !w->old || memcmp(w->old->meta->digest, w->fresh->meta->digest, MOLT_SHA256_BYTES) != 0;
    return publish(run, w);
}

/* ---- all together ------------------------------------------------------------ */

static void work_fini(struct work *w)
{
    molt_args_fini(&w->objects);
    free(w->temp);
    molt_linked_free(w->fresh);
    for (size_t i = 0; i < w->n_headers; i++)
        free(w->headers[i].module);
    free(w->headers);
    molt_job_fini(&w->job);
}

static int prepare(struct molt_run *run, struct work *w, const struct molt_project_module *module)
{
    w->module = module;
    molt_job_init(&w->job);
    w->fresh = calloc(1, sizeof(*w->fresh));
    if (!w->fresh || asprintf(&w->temp, "%s/%s-image.so", run->builder->temp, module->name) < 0) {
        w->temp = NULL;
        return no_memory(run);
    }
    w->old = molt_strmap_get(&run->builder->linked, module->name);
    molt_run_objects(run, module, &w->objects);
    int rc = collect_headers(run, w);
    if (rc == 0)
        rc = make_command(run, w);
    if (rc == 0)
        rc = make_key(run, w, w->fresh->key, w->fresh->source);
    if (rc < 0)
        return rc;
    w->needs_link = !w->old || memcmp(w->old->key, w->fresh->key, sizeof(w->old->key)) != 0 ||
                    !is_stored(run, w->old);
    return w->needs_link ? 0 : keep(run, w);
}

static int run_links(struct molt_run *run, struct work *all, size_t n)
{
    struct molt_job *jobs = calloc(n + 1, sizeof(*jobs));
    if (!jobs)
        return no_memory(run);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (all[i].needs_link)
            jobs[k++] = all[i].job;
    uint64_t start = molt_clock_ns();
    int rc = molt_jobs_run(jobs, k, run->builder->jobs, run->builder->root, run->builder->interrupt,
                           run->err);
    run->result->link_ns = molt_clock_ns() - start;
    k = 0;
    for (size_t i = 0; i < n; i++)
        if (all[i].needs_link)
            all[i].job = jobs[k++];
    free(jobs);
    /* All modules are looked at, so that all errors are shown at once. */
    int code = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!all[i].needs_link)
            continue;
        run->result->code = 0;
        rc = linked(run, &all[i]);
        code = code ? code : run->result->code;
    }
    run->result->code = code;
    return rc;
}

static int fill_result(struct molt_run *run, struct work *all, size_t n)
{
    struct molt_build_result *r = run->result;
    r->modules = calloc(n + 1, sizeof(*r->modules));
    if (!r->modules)
        return no_memory(run);
    for (size_t i = 0; i < n; i++) {
        struct molt_built_module *m = &r->modules[r->n_modules++];
        m->module = strdup(all[i].module->name);
        m->image_path = strdup(all[i].fresh->image_path);
        m->is_new = all[i].is_new;
        m->is_kept = all[i].is_kept;
        if (!m->module || !m->image_path)
            return no_memory(run);
        int rc = copy_meta(run, all[i].fresh->meta, &m->meta);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* From here on this is the build that the next one is compared with. */
static int commit(struct molt_run *run, struct work *all, size_t n)
{
    struct molt_builder *b = run->builder;
    for (size_t i = 0; i < n; i++) {
        struct molt_linked *old = molt_strmap_get(&b->linked, all[i].module->name);
        bool is_same = old && !all[i].is_new && !all[i].is_kept && !all[i].needs_link;
        if (is_same)
            continue;
        if (molt_strmap_put(&b->linked, all[i].module->name, all[i].fresh) < 0)
            return no_memory(run);
        all[i].fresh = NULL;
        molt_linked_free(old);
        b->is_dirty = true;
    }
    return 0;
}

int molt_run_link(struct molt_run *run)
{
    struct work *all = calloc(run->n_modules + 1, sizeof(*all));
    if (!all)
        return no_memory(run);
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < run->n_modules; i++)
        if (!run->only || strcmp(run->only, run->modules[i]->name) == 0)
            rc = prepare(run, &all[n++], run->modules[i]);
    if (rc == 0)
        rc = run_links(run, all, n);
    if (rc == 0 && run->result->code == 0)
        rc = fill_result(run, all, n);
    if (rc == 0 && run->result->code == 0 && !run->only)
        rc = commit(run, all, n);
    for (size_t i = 0; i < n; i++)
        work_fini(&all[i]);
    free(all);
    return rc;
}
