/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Translation units: what is handed to the compiler, and when.
 *
 * The compiler gets a copy of the author's text between generated lines: in
 * front of it `#pragma redefine_extname` for the exports of the module and of
 * the modules whose headers the text includes, behind it an anchor for each
 * imported function. A copy, because an #include of the original would make
 * clang treat it as a header and hide warnings, and because what is compiled
 * is then exactly what was hashed. #line has messages and debug information
 * name the original.
 *
 * Which headers a text includes is guessed from its #include lines. If the
 * dependency file says otherwise, the unit is compiled again with what is true.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "build/builder.h"
#include "build/includes.h"

#define ATTEMPTS_MAX 3

enum outcome { DONE, AGAIN, FAILED };

/* A unit while it is looked at. */
struct work {
    const struct molt_project_module *module;
    const char *source; /* absolute; NULL: the descriptor */
    char *stem;         /* <dir>/obj/<module>/<name>, without extension */
    char *object;
    char *temp; /* <temp>/<module>-<name>: what the compiler writes, without extension */
    struct molt_args flags;
    bool *imports;  /* by index into run->modules: compiled with these */
    bool *previous; /* those of the record */
    bool has_previous;
    struct molt_unit *unit; /* the new record */
    struct molt_job job;
};

static int no_memory(struct molt_run *run)
{
    return molt_error_set(run->err, MOLT_ENOMEM, "out of memory while compiling");
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

/* "<dir>/obj/<module>/<name of the source without .c>"; malloc'd. */
static char *stem_of(const struct molt_run *run, const struct molt_project_module *module,
                     const char *source)
{
    const char *name = source ? strrchr(source, '/') + 1 : "molt-module.c";
    char *out = NULL;
    if (asprintf(&out, "%s/obj/%s/%.*s", run->builder->dir, module->name, (int)strlen(name) - 2,
                 name) < 0)
        return NULL;
    return out;
}

static char *object_of(const struct molt_run *run, const struct molt_project_module *module,
                       const char *source)
{
    char *stem = stem_of(run, module, source), *out = NULL;
    if (stem && asprintf(&out, "%s.o", stem) < 0)
        out = NULL;
    free(stem);
    return out;
}

static char *with_ext(const struct work *w, const char *ext)
{
    char *out = NULL;
    return asprintf(&out, "%s.%s", w->stem, ext) < 0 ? NULL : out;
}

static char *temp_with_ext(const struct work *w, const char *ext)
{
    char *out = NULL;
    return asprintf(&out, "%s.%s", w->temp, ext) < 0 ? NULL : out;
}

/* ---- the text -------------------------------------------------------------- */

static void add_renames(const struct molt_run *run, const struct molt_project_module *m,
                        struct molt_buf *out)
{
    const struct molt_header *h = molt_run_header(run, m);
    for (size_t i = 0; h && i < h->names.n; i++) {
        char name[1024];
        if (molt_meta_symbol_name(name, sizeof(name), m->name, h->names.v[i], h->sigs[i]) > 0)
            molt_buf_printf(out, "#pragma redefine_extname %s %s\n", h->names.v[i], name);
    }
}

static void add_anchors(const struct molt_run *run, const struct molt_project_module *m,
                        struct molt_buf *out)
{
    const struct molt_header *h = molt_run_header(run, m);
    for (size_t i = 0; h && i < h->names.n; i++) {
        const char *f = h->names.v[i];
        molt_buf_printf(out,
                        "#undef %s\n"
                        "static __typeof__(%s) *molt_anchor_%s __attribute__((used));\n",
                        f, f, f);
    }
}

/* How this unit sees its own module's exports: MOLT_VIEW of molt/abi.h, spelled
 * out because the author need not include that. */
static void add_views(const struct molt_run *run, const struct molt_project_module *m,
                      struct molt_buf *out)
{
    const struct molt_header *h = molt_run_header(run, m);
    for (size_t i = 0; h && i < h->names.n; i++) {
        const char *f = h->names.v[i];
        molt_buf_printf(out,
                        "#undef %s\n"
                        "static void *molt_view_see_%s(void) { return (void *)%s; }\n"
                        "static const struct { void *address; void *(*see)(void); } molt_view_%s\n"
                        "    __attribute__((used, section(\"molt_views\"), aligned(8))) =\n"
                        "    { (void *)%s, molt_view_see_%s };\n",
                        f, f, f, f, f, f);
    }
}

static void add_prologue(const struct molt_run *run, const struct work *w, const bool *imports,
                         struct molt_buf *out)
{
    molt_buf_adds(out, "#pragma GCC diagnostic push\n"
                       "#pragma GCC diagnostic ignored \"-Wpedantic\"\n");
    for (size_t i = 0; i < run->n_modules; i++)
        if (imports[i] || run->modules[i] == w->module)
            add_renames(run, run->modules[i], out);
    molt_buf_adds(out, "#pragma GCC diagnostic pop\n#line 1 \"");
    for (const char *p = molt_run_relative(run, w->source); *p; p++) {
        if (*p == '"' || *p == '\\')
            molt_buf_adds(out, "\\");
        molt_buf_add(out, p, 1);
    }
    molt_buf_adds(out, "\"\n");
}

/* The anchors stand on the lines behind the author's last one. */
static void add_epilogue(const struct molt_run *run, const struct work *w, const bool *imports,
                         struct molt_buf *out)
{
    molt_buf_adds(out, "\n#pragma GCC diagnostic ignored \"-Wpedantic\"\n"
                       "#pragma GCC diagnostic ignored \"-Wdeprecated-declarations\"\n");
    for (size_t i = 0; i < run->n_modules; i++)
        if (imports[i] && run->modules[i] != w->module)
            add_anchors(run, run->modules[i], out);
        else if (imports[i])
            add_views(run, run->modules[i], out);
}

/* The descriptor in a unit of its own: macros of the author can't break it. Its
 * weak names of section edges must become 0 where a section is absent: bfd does
 * that by itself, gold and lld only if there is an empty section, which bfd
 * would drop again. */
static void add_descriptor(const struct molt_run *run, const struct work *w, struct molt_buf *out)
{
    static const char *const sections[] = {"tags", "servers", "supervisors", "extensions", "views"};
    size_t n = strcmp(run->builder->tools->linker_name, "bfd") == 0
                   ? 0
                   : sizeof(sections) / sizeof(*sections);
    molt_buf_adds(out, "#include <molt/abi.h>\n");
    for (size_t i = 0; i < n; i++)
        molt_buf_printf(
            out, "__asm__(\".pushsection molt_%s,\\\"aw\\\",%%progbits\\n.popsection\\n\");\n",
            sections[i]);
    molt_buf_printf(out, "MOLT_MODULE_DESCRIPTOR(\"%s\");\n", w->module->name);
}

static int write_text(struct molt_run *run, struct work *w)
{
    struct molt_buf text = MOLT_BUF_INIT;
    int rc = 0;
    if (w->source) {
        struct molt_buf source = MOLT_BUF_INIT;
        add_prologue(run, w, w->imports, &text);
        rc = molt_file_read(w->source, &source, run->err);
        if (rc == 0 && molt_sha256(source.data, source.len, w->unit->source) < 0)
            rc = no_memory(run);
        molt_buf_add(&text, source.data, source.len);
        molt_buf_fini(&source);
        add_epilogue(run, w, w->imports, &text);
    } else {
        add_descriptor(run, w, &text);
    }
    char *path = with_ext(w, "tu.c");
    if (rc == 0 && (text.is_failed || !path))
        rc = no_memory(run);
    if (rc == 0)
        rc = molt_file_update(path, text.data, text.len, run->err);
    free(path);
    molt_buf_fini(&text);
    return rc < 0 ? rc : 0;
}

/* ---- the key --------------------------------------------------------------- */

/* A header that appears in a folder that is searched earlier would be taken
 * instead: note for each dependency in which folders it would be found. */
static void add_shadows(const struct molt_run *run, const struct molt_args *folders,
                        const char *dep, struct molt_buf *out)
{
    for (size_t i = 0; i < folders->n; i++) {
        size_t len = strlen(folders->v[i]);
        if (strncmp(dep, folders->v[i], len) != 0 || dep[len] != '/')
            continue;
        for (size_t k = 0; k < folders->n; k++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s%s", folders->v[k], dep + len);
            molt_buf_u8(out, k == i || molt_files_exists(run->builder->files, path));
        }
    }
}

static int unit_key(struct molt_run *run, const struct work *w, const struct molt_unit *unit,
                    const bool *imports, uint8_t key[MOLT_SHA256_BYTES])
{
    struct molt_buf text = MOLT_BUF_INIT;
    struct molt_args folders = MOLT_ARGS_INIT;
    molt_buf_add(&text, run->builder->tools->id, MOLT_SHA256_BYTES);
    for (size_t i = 0; i < w->flags.n; i++)
        molt_buf_str(&text, w->flags.v[i]);
    if (w->source) {
        add_prologue(run, w, imports, &text);
        molt_buf_add(&text, unit->source, MOLT_SHA256_BYTES);
        add_epilogue(run, w, imports, &text);
    } else {
        add_descriptor(run, w, &text);
    }
    molt_includes_folders(run, &w->flags, &folders);
    for (size_t i = 0; i < unit->deps.n; i++) {
        uint8_t digest[MOLT_SHA256_BYTES];
        molt_files_digest(run->builder->files, unit->deps.v[i], digest);
        molt_buf_str(&text, unit->deps.v[i]);
        molt_buf_add(&text, digest, sizeof(digest));
        add_shadows(run, &folders, unit->deps.v[i], &text);
    }
    int rc =
        text.is_failed || folders.is_failed ? MOLT_ENOMEM : molt_sha256(text.data, text.len, key);
    molt_args_fini(&folders);
    molt_buf_fini(&text);
    return rc < 0 ? no_memory(run) : 0;
}

/* 1: the object of the build before is still right. */
static int is_current(struct molt_run *run, struct work *w)
{
    struct molt_builder *b = run->builder;
    const struct molt_unit *old = molt_strmap_get(&b->units, w->object);
    if (!old)
        return 0;
    molt_includes_from_deps(run, &old->deps, w->previous);
    w->has_previous = true;
    uint8_t digest[MOLT_SHA256_BYTES], key[MOLT_SHA256_BYTES];
    molt_files_digest(b->files, w->object, digest);
    if (memcmp(digest, old->object, sizeof(digest)) != 0)
        return 0;
    if (w->source) {
        molt_files_digest(b->files, w->source, digest);
        if (memcmp(digest, old->source, sizeof(digest)) != 0)
            return 0;
    }
    int rc = unit_key(run, w, old, w->previous, key);
    return rc < 0 ? rc : memcmp(key, old->key, sizeof(key)) == 0;
}

/* ---- compiling ------------------------------------------------------------- */

/* An export may be named like a function of libc: what the compiler knows of
 * that one must not hold for it, and gcc wouldn't rename it. */
static void add_command(const struct molt_run *run, const struct work *w, struct molt_args *argv)
{
    molt_args_copy(argv, &run->builder->tools->cc);
    molt_args_copy(argv, &w->flags);
    for (size_t i = 0; w->source && i < run->n_modules; i++) {
        bool is_renamed = w->imports[i] || run->modules[i] == w->module;
        const struct molt_header *h = is_renamed ? molt_run_header(run, run->modules[i]) : NULL;
        for (size_t k = 0; h && k < h->names.n; k++)
            molt_args_addf(argv, "-fno-builtin-%s", h->names.v[k]);
    }
}

static int make_job(struct molt_run *run, struct work *w)
{
    int rc = write_text(run, w);
    if (rc < 0)
        return rc;
    molt_job_fini(&w->job);
    molt_job_init(&w->job);
    add_command(run, w, &w->job.argv);
    const char *stem = molt_run_relative(run, w->stem);
    molt_args_add(&w->job.argv, "-MD");
    molt_args_add(&w->job.argv, "-MF");
    molt_args_addf(&w->job.argv, "%s.d", molt_run_relative(run, w->temp));
    molt_args_add(&w->job.argv, "-c");
    molt_args_addf(&w->job.argv, "%s.tu.c", stem);
    molt_args_add(&w->job.argv, "-o");
    molt_args_addf(&w->job.argv, "%s.o", molt_run_relative(run, w->temp));
    return w->job.argv.is_failed ? no_memory(run) : 0;
}

/* Take the dependencies in @text, without the generated text itself. */
static int take_deps(struct molt_run *run, const struct work *w, const char *text,
                     struct molt_args *out)
{
    struct molt_args names = MOLT_ARGS_INIT;
    char *self = with_ext(w, "tu.c");
    molt_text_deps(text, &names);
    for (size_t i = 0; i < names.n; i++) {
        char *path = molt_run_absolute(run, names.v[i]);
        if (path && self && strcmp(path, self) == 0)
            free(path);
        else
            molt_args_take(out, path);
    }
    bool is_failed = names.is_failed || out->is_failed || !self;
    free(self);
    molt_args_fini(&names);
    molt_args_sort(out);
    return is_failed ? no_memory(run) : 0;
}

/* A failed compilation removes its output: the object of the build before
 * must survive it. */
static int publish_object(struct molt_run *run, const struct work *w)
{
    char *temp = temp_with_ext(w, "o");
    if (!temp)
        return no_memory(run);
    int rc = 0;
    if (rename(temp, w->object) < 0)
        rc = molt_error_set(run->err, MOLT_EIO, "can't write %s: %s", w->object, strerror(errno));
    free(temp);
    molt_files_forget(run->builder->files, w->object);
    return rc;
}

/* Compiled: note what it was made from. */
static int compiled(struct molt_run *run, struct work *w, struct molt_files_time since,
                    enum outcome *ret)
{
    struct molt_unit *u = w->unit;
    struct molt_buf text = MOLT_BUF_INIT;
    char *path = temp_with_ext(w, "d");
    int rc = path ? molt_file_read(path, &text, run->err) : no_memory(run);
    free(path);
    molt_args_reset(&u->deps);
    if (rc == 0)
        rc = take_deps(run, w, text.data, &u->deps);
    molt_buf_fini(&text);
    if (rc < 0)
        return rc;
    bool differs = false;
    molt_includes_from_deps(run, &u->deps, w->previous);
    for (size_t i = 0; i < run->n_modules; i++)
        differs = differs || w->previous[i] != w->imports[i];
    memcpy(w->imports, w->previous, run->n_modules * sizeof(*w->imports));
    if (differs) {
        *ret = AGAIN;
        return 0;
    }
    rc = unit_key(run, w, u, w->imports, u->key);
    if (rc == 0 && !molt_run_is_settled(run, &u->deps, since))
        memset(u->key, 0, sizeof(u->key));
    if (rc == 0)
        rc = publish_object(run, w);
    if (rc == 0 && molt_files_digest(run->builder->files, w->object, u->object) < 0)
        rc = molt_error_set(run->err, MOLT_EIO, "can't read %s, which was just written", w->object);
    *ret = DONE;
    return rc;
}

/* It doesn't compile. If the guess was new it may be what is wrong: ask the
 * preprocessor for the truth. */
static int not_compiled(struct molt_run *run, struct work *w, enum outcome *ret)
{
    *ret = FAILED;
    if (w->has_previous &&
        memcmp(w->previous, w->imports, run->n_modules * sizeof(*w->imports)) == 0)
        return 0;
    struct molt_job job;
    molt_job_init(&job);
    add_command(run, w, &job.argv);
    molt_args_add(&job.argv, "-w");
    molt_args_add(&job.argv, "-M");
    molt_args_addf(&job.argv, "%s.tu.c", molt_run_relative(run, w->stem));
    int rc = molt_jobs_run(&job, 1, 1, run->builder->root, run->builder->interrupt, run->err);
    struct molt_args deps = MOLT_ARGS_INIT;
    if (rc == 0 && job.status == 0)
        rc = take_deps(run, w, job.out.data, &deps);
    if (rc == 0 && job.status == 0) {
        molt_includes_from_deps(run, &deps, w->previous);
        if (memcmp(w->previous, w->imports, run->n_modules * sizeof(*w->imports)) != 0)
            *ret = AGAIN;
        memcpy(w->imports, w->previous, run->n_modules * sizeof(*w->imports));
        w->has_previous = true;
    }
    molt_args_fini(&deps);
    molt_job_fini(&job);
    return rc;
}

static int install(struct molt_run *run, struct work *w)
{
    struct molt_unit *old = molt_strmap_get(&run->builder->units, w->object);
    if (molt_strmap_put(&run->builder->units, w->object, w->unit) < 0)
        return no_memory(run);
    w->unit = NULL;
    molt_unit_free(old);
    run->builder->is_dirty = true;
    run->result->n_compiled++;
    return 0;
}

static int finish(struct molt_run *run, struct work *w, struct molt_files_time since, bool is_last,
                  enum outcome *ret)
{
    int rc = w->job.status == 0 ? compiled(run, w, since, ret) : not_compiled(run, w, ret);
    if (rc < 0)
        return rc;
    if (*ret == AGAIN && !is_last)
        return 0;
    molt_run_output(run, &w->job);
    if (*ret == DONE)
        return install(run, w);
    if (*ret == AGAIN)
        molt_run_error(run, molt_run_relative(run, w->source), 0,
                       "which headers it includes depends on how their functions are "
                       "named; include them without conditions");
    run->result->code = MOLT_ECOMPILE;
    return 0;
}

/* Compile @todo; those that need another attempt are left in it. */
static int attempt(struct molt_run *run, struct work **todo, size_t *n, bool is_last)
{
    struct molt_job *jobs = calloc(*n, sizeof(*jobs));
    if (!jobs)
        return no_memory(run);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < *n; i++)
        rc = make_job(run, todo[i]);
    for (size_t i = 0; i < *n; i++)
        jobs[i] = todo[i]->job;
    struct molt_files_time since = molt_files_now();
    if (rc == 0)
        rc = molt_jobs_run(jobs, *n, run->builder->jobs, run->builder->root,
                           run->builder->interrupt, run->err);
    for (size_t i = 0; i < *n; i++)
        todo[i]->job = jobs[i];
    free(jobs);
    size_t left = 0;
    for (size_t i = 0; rc == 0 && i < *n; i++) {
        enum outcome outcome = FAILED;
        rc = finish(run, todo[i], since, is_last, &outcome);
        if (outcome == AGAIN)
            todo[left++] = todo[i];
    }
    *n = left;
    return rc;
}

/* ---- all together ---------------------------------------------------------- */

static void work_free(struct work *w)
{
    free(w->stem);
    free(w->object);
    free(w->temp);
    free(w->imports);
    free(w->previous);
    molt_args_fini(&w->flags);
    molt_unit_free(w->unit);
    molt_job_fini(&w->job);
    free(w);
}

static int work_flags(struct molt_run *run, struct work *w)
{
    if (!w->source) {
        struct molt_project_module plain = *w->module;
        plain.cflags = (char[]){""};
        plain.is_shipped = true;
        return molt_run_flags(run, &plain, NULL, &w->flags);
    }
    char *folder = folder_of(w->source);
    int rc = folder ? molt_run_flags(run, w->module, folder, &w->flags) : no_memory(run);
    free(folder);
    return rc;
}

static int work_new(struct molt_run *run, const struct molt_project_module *module,
                    const char *source, struct work **ret)
{
    struct work *w = calloc(1, sizeof(*w));
    if (!w)
        return no_memory(run);
    w->module = module;
    w->source = source;
    molt_job_init(&w->job);
    w->stem = stem_of(run, module, source);
    w->object = object_of(run, module, source);
    if (!w->stem || asprintf(&w->temp, "%s/%s-%s", run->builder->temp, module->name,
                             strrchr(w->stem, '/') + 1) < 0)
        w->temp = NULL;
    w->imports = calloc(run->n_modules + 1, sizeof(*w->imports));
    w->previous = calloc(run->n_modules + 1, sizeof(*w->previous));
    w->unit = calloc(1, sizeof(*w->unit));
    *ret = w;
    if (!w->stem || !w->object || !w->temp || !w->imports || !w->previous || !w->unit)
        return no_memory(run);
    return work_flags(run, w);
}

/* Append a work for @source to @todo if it is out of date. */
static int consider(struct molt_run *run, const struct molt_project_module *module,
                    const char *source, struct work **todo, size_t *n)
{
    struct work *w = NULL;
    int rc = work_new(run, module, source, &w);
    if (rc == 0)
        rc = is_current(run, w);
    if (rc == 0 && source && molt_includes_guess(run, source, &w->flags, w->imports) < 0)
        rc = no_memory(run);
    if (rc != 0) {
        if (w)
            work_free(w);
        return rc < 0 ? rc : 0;
    }
    todo[(*n)++] = w;
    char *folder = folder_of(w->stem);
    rc = folder ? molt_file_mkdirs(folder, run->err) : no_memory(run);
    free(folder);
    return rc;
}

static int consider_all(struct molt_run *run, struct work **todo, size_t *n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < run->n_modules; i++) {
        const struct molt_project_module *m = run->modules[i];
        if (run->only && strcmp(run->only, m->name) != 0)
            continue;
        for (size_t k = 0; rc == 0 && k < m->n_sources; k++)
            rc = consider(run, m, m->sources[k], todo, n);
        if (rc == 0)
            rc = consider(run, m, NULL, todo, n);
    }
    return rc;
}

int molt_run_units(struct molt_run *run)
{
    size_t n_max = run->n_modules;
    for (size_t i = 0; i < run->n_modules; i++)
        n_max += run->modules[i]->n_sources;
    struct work **all = calloc(n_max + 1, sizeof(struct work *));
    struct work **todo = calloc(n_max + 1, sizeof(struct work *));
    size_t n = 0;
    int rc = all && todo ? consider_all(run, all, &n) : no_memory(run);
    size_t left = n;
    for (size_t i = 0; i < n; i++)
        todo[i] = all[i];
    for (unsigned i = 0; rc == 0 && left && i < ATTEMPTS_MAX; i++)
        rc = attempt(run, todo, &left, i + 1 == ATTEMPTS_MAX);
    for (size_t i = 0; i < n; i++)
        work_free(all[i]);
    free(all);
    free(todo);
    return rc;
}

void molt_run_objects(const struct molt_run *run, const struct molt_project_module *module,
                      struct molt_args *out)
{
    for (size_t i = 0; i < module->n_sources; i++)
        molt_args_take(out, object_of(run, module, module->sources[i]));
    molt_args_take(out, object_of(run, module, NULL));
}

bool molt_run_uses(const struct molt_run *run, const struct molt_project_module *module,
                   const struct molt_project_module *other)
{
    if (!other->header)
        return false;
    struct molt_args objects = MOLT_ARGS_INIT;
    molt_run_objects(run, module, &objects);
    bool uses = module == other;
    for (size_t i = 0; !uses && i < objects.n; i++) {
        const struct molt_unit *u = molt_strmap_get(&run->builder->units, objects.v[i]);
        uses = u && molt_args_has(&u->deps, other->header);
    }
    molt_args_fini(&objects);
    return uses;
}
