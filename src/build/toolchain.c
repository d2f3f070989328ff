/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/toolchain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "build/files.h"
#include "build/jobs.h"

#define CACHE_FORMAT UINT32_C(0x4d540001)

void molt_toolchain_free(struct molt_toolchain *tools)
{
    if (!tools)
        return;
    molt_args_fini(&tools->cc);
    free(tools->cc_path);
    free(tools->version);
    free(tools->linker);
    free(tools->linker_name);
    free(tools->libc);
    free(tools->libgcc);
    free(tools->cache);
    molt_strmap_fini(&tools->libraries, free);
    free(tools);
}

/* The file that running @program would start; malloc'd, NULL if none. */
static char *find_program(const char *program)
{
    if (strchr(program, '/'))
        return access(program, X_OK) == 0 ? strdup(program) : NULL;
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/bin:/bin"; path;) {
        size_t len = strcspn(path, ":");
        char *file = NULL;
        if (len && asprintf(&file, "%.*s/%s", (int)len, path, program) < 0)
            return NULL;
        if (file && access(file, X_OK) == 0)
            return file;
        free(file);
        path = path[len] ? path + len + 1 : NULL;
    }
    return NULL;
}

/* What identifies a program's file without reading it. */
static void add_file_id(struct molt_buf *out, const char *path)
{
    struct stat st;
    molt_buf_str(out, path);
    if (!path || stat(path, &st) < 0)
        return;
    molt_buf_u64(out, (uint64_t)st.st_size);
    molt_buf_u64(out, (uint64_t)st.st_ino);
    molt_buf_u64(out, (uint64_t)st.st_mtim.tv_sec);
    molt_buf_u64(out, (uint64_t)st.st_mtim.tv_nsec);
}

/* Digest over what the cache must agree with. */
static int compute_id(const struct molt_toolchain *tools, uint8_t id[MOLT_SHA256_BYTES])
{
    struct molt_buf text = MOLT_BUF_INIT;
    for (size_t i = 0; i < tools->cc.n; i++)
        molt_buf_str(&text, tools->cc.v[i]);
    add_file_id(&text, tools->cc_path);
    add_file_id(&text, tools->linker);
    /* They change what the compiler finds, and no dependency file tells. */
    static const char *const variables[] = {"CPATH", "C_INCLUDE_PATH", "COMPILER_PATH",
                                            "GCC_EXEC_PREFIX", "LIBRARY_PATH"};
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        molt_buf_str(&text, getenv(variables[i]));
    int rc = text.is_failed ? MOLT_ENOMEM : molt_sha256(text.data, text.len, id);
    molt_buf_fini(&text);
    return rc;
}

/* gold links a module in 6 ms, bfd in 10, lld in 25; lld comes before bfd
 * because it treats empty sections like gold. */
static int find_linker(struct molt_toolchain *tools, struct molt_error *err)
{
    static const char *const names[] = {"gold", "lld", "bfd"};
    for (size_t i = 0; i < 3 && !tools->linker; i++) {
        char program[16];
        snprintf(program, sizeof(program), "ld.%s", names[i]);
        tools->linker = find_program(program);
        if (tools->linker && !(tools->linker_name = strdup(names[i])))
            return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    if (tools->linker)
        return 0;
    return molt_error_set(err, MOLT_ENOENT,
                          "no linker found (ld.gold, ld.bfd or ld.lld); install binutils");
}

/* `cc <option>`, its first line. */
static int ask(const struct molt_toolchain *tools, const char *option, char **ret,
               struct molt_error *err)
{
    struct molt_args argv = MOLT_ARGS_INIT;
    molt_args_copy(&argv, &tools->cc);
    molt_args_add(&argv, option);
    int rc = molt_job_output(&argv, NULL, ret, err);
    molt_args_fini(&argv);
    if (rc == 0)
        (*ret)[strcspn(*ret, "\n")] = 0;
    return rc;
}

/* A file that belongs to the compiler: it prints the name alone if it has
 * none of that name. */
static int ask_file(const struct molt_toolchain *tools, const char *name, char **ret,
                    struct molt_error *err)
{
    char option[256];
    snprintf(option, sizeof(option), "-print-file-name=%s", name);
    int rc = ask(tools, option, ret, err);
    if (rc < 0)
        return rc;
    if (strchr(*ret, '/') && access(*ret, R_OK) == 0)
        return 0;
    free(*ret);
    *ret = NULL;
    return molt_error_set(err, MOLT_ENOENT, "%s knows no %s", tools->cc.v[0], name);
}

static int ask_all(struct molt_toolchain *tools, struct molt_error *err)
{
    int rc = ask(tools, "--version", &tools->version, err);
    if (rc == 0)
        rc = ask_file(tools, "libc.so.6", &tools->libc, err);
    if (rc == 0)
        rc = ask_file(tools, "libgcc.a", &tools->libgcc, err);
    return rc;
}

static void cache_store(const struct molt_toolchain *tools)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_u32(&out, CACHE_FORMAT);
    molt_buf_add(&out, tools->id, sizeof(tools->id));
    molt_buf_str(&out, tools->version);
    molt_buf_str(&out, tools->libc);
    molt_buf_str(&out, tools->libgcc);
    molt_buf_u32(&out, (uint32_t)tools->libraries.n);
    for (size_t i = 0; i < tools->libraries.n; i++) {
        molt_buf_str(&out, tools->libraries.entries[i].key);
        molt_buf_str(&out, tools->libraries.entries[i].value);
    }
    /* Without the cache the compiler is asked again: not worth an error. */
    if (!out.is_failed)
        molt_file_write(tools->cache, out.data, out.len, 0644, NULL);
    molt_buf_fini(&out);
}

static bool cache_read(struct molt_toolchain *tools, struct molt_reader *r)
{
    if (molt_reader_u32(r) != CACHE_FORMAT)
        return false;
    const uint8_t *id = molt_reader_raw(r, sizeof(tools->id));
    if (!id || memcmp(id, tools->id, sizeof(tools->id)) != 0)
        return false;
    tools->version = molt_reader_str(r);
    tools->libc = molt_reader_str(r);
    tools->libgcc = molt_reader_str(r);
    size_t n = molt_reader_count(r, 8);
    for (size_t i = 0; i < n && !r->is_failed; i++) {
        char *name = molt_reader_str(r), *path = molt_reader_str(r);
        if (!name || !path || molt_strmap_put(&tools->libraries, name, path) < 0)
            free(path);
        free(name);
    }
    return !r->is_failed && access(tools->libc, R_OK) == 0 && access(tools->libgcc, R_OK) == 0;
}

static bool cache_load(struct molt_toolchain *tools)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    bool is_ok = molt_file_read(tools->cache, &bytes, NULL) == 0;
    if (is_ok) {
        struct molt_reader r = molt_reader_init(bytes.data, bytes.len);
        is_ok = cache_read(tools, &r);
    }
    molt_buf_fini(&bytes);
    if (is_ok)
        return true;
    free(tools->version);
    free(tools->libc);
    free(tools->libgcc);
    tools->version = tools->libc = tools->libgcc = NULL;
    molt_strmap_fini(&tools->libraries, free);
    return false;
}

static int open_tools(struct molt_toolchain *tools, const char *cc, const char *folder,
                      struct molt_error *err)
{
    if (molt_args_words(&tools->cc, cc) < 0 || !tools->cc.n)
        return molt_error_set(err, MOLT_EFORMAT, "cc = %s: not a command", cc);
    if (asprintf(&tools->cache, "%s/toolchain", folder) < 0) {
        tools->cache = NULL;
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    tools->cc_path = find_program(tools->cc.v[0]);
    if (!tools->cc_path)
        return molt_error_set(err, MOLT_ENOENT,
                              "no compiler `%s`; install it, or name another with `cc = ` in "
                              "molt.conf",
                              tools->cc.v[0]);
    int rc = find_linker(tools, err);
    if (rc == 0 && (rc = compute_id(tools, tools->id)) < 0)
        molt_error_set(err, rc, "out of memory");
    if (rc == 0 && !cache_load(tools)) {
        rc = ask_all(tools, err);
        if (rc == 0)
            cache_store(tools);
    }
    if (rc == 0)
        tools->is_clang = strstr(tools->version, "clang") != NULL;
    return rc;
}

int molt_toolchain_open(const char *cc, const char *folder, struct molt_toolchain **ret,
                        struct molt_error *err)
{
    struct molt_toolchain *tools = calloc(1, sizeof(*tools));
    if (!tools)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    int rc = open_tools(tools, cc, folder, err);
    if (rc < 0) {
        molt_toolchain_free(tools);
        return rc;
    }
    *ret = tools;
    return 0;
}

bool molt_toolchain_is_current(const struct molt_toolchain *tools, const char *cc)
{
    struct molt_args words = MOLT_ARGS_INIT;
    bool is_same = molt_args_words(&words, cc) == 0 && words.n == tools->cc.n;
    for (size_t i = 0; is_same && i < words.n; i++)
        is_same = strcmp(words.v[i], tools->cc.v[i]) == 0;
    molt_args_fini(&words);
    uint8_t id[MOLT_SHA256_BYTES];
    return is_same && compute_id(tools, id) == 0 && memcmp(id, tools->id, sizeof(id)) == 0;
}

int molt_toolchain_library(struct molt_toolchain *tools, const char *name, const char **ret,
                           struct molt_error *err)
{
    char *path = molt_strmap_get(&tools->libraries, name);
    if (path && access(path, R_OK) == 0) {
        *ret = path;
        return 0;
    }
    char file[200];
    int rc = MOLT_ENOENT;
    snprintf(file, sizeof(file), "lib%.180s.so", name);
    rc = ask_file(tools, file, &path, err);
    if (rc == MOLT_ENOENT) {
        snprintf(file, sizeof(file), "lib%.180s.a", name);
        rc = ask_file(tools, file, &path, err);
    }
    if (rc == MOLT_ENOENT)
        return molt_error_set(err, rc,
                              "library `%s` not found: there is no lib%s.so; install its "
                              "development package, or correct `libs` in molt.conf",
                              name, name);
    if (rc < 0)
        return rc;
    free(molt_strmap_get(&tools->libraries, name));
    if (molt_strmap_put(&tools->libraries, name, path) < 0) {
        free(path);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    cache_store(tools);
    *ret = path;
    return 0;
}
