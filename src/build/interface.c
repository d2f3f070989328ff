/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Interface objects: the thunks of exported functions, assembled and linked
 * like any other object, because the host makes no executable memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/builder.h"
#include "port/limits.h"
#include "port/thunk_asm.h"

struct list {
    size_t n, cap;
    struct molt_thunk_asm *thunks; /* elf_name is malloc'd */
};

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "out of memory while making an interface");
}

static void list_fini(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free((char *)(uintptr_t)list->thunks[i].elf_name);
    free(list->thunks);
}

static int list_add(struct list *list, const struct molt_meta_symbol *s, const char *elf_name,
                    struct molt_error *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : MOLT_LIMIT(32, 1);
        struct molt_thunk_asm *thunks = realloc(list->thunks, cap * sizeof(*thunks));
        if (!thunks)
            return no_memory(err);
        list->thunks = thunks;
        list->cap = cap;
    }
    char *copy = strdup(elf_name);
    if (!copy)
        return no_memory(err);
    list->thunks[list->n++] = (struct molt_thunk_asm){.elf_name = copy,
                                                      .module = s->module,
                                                      .name = s->name,
                                                      .sig = s->sig};
    return 0;
}

/* The exports of @meta that aren't in @known, which is extended by them. */
static int collect(struct list *list, const struct molt_meta *meta, struct molt_strmap *known,
                   struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < meta->n_exports; i++) {
        const struct molt_meta_symbol *s = &meta->exports[i];
        char name[1024];
        rc = molt_meta_symbol_name(name, sizeof(name), s->module, s->name, s->sig);
        if (rc < 0)
            return molt_error_set(err, rc, "the name of %s() in module %s is too long", s->name,
                                  s->module);
        rc = 0;
        if (molt_strmap_get(known, name))
            continue;
        rc = list_add(list, s, name, err);
        if (rc == 0 && molt_strmap_put(known, name, list) < 0)
            rc = no_memory(err);
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct molt_thunk_asm *)a)->elf_name,
                  ((const struct molt_thunk_asm *)b)->elf_name);
}

/* Run @argv in the root; what it prints becomes the error. */
static int run_tool(struct molt_builder *b, const struct molt_args *argv, struct molt_error *err)
{
    if (argv->is_failed)
        return no_memory(err);
    char *out = NULL;
    int rc = molt_job_output(argv, b->root, &out, err);
    free(out);
    return rc < 0 ? molt_error_wrap(err, rc, "interface object") : 0;
}

static int assemble(struct molt_builder *b, const char *source, const char *object,
                    struct molt_error *err)
{
    struct molt_args argv = MOLT_ARGS_INIT;
    molt_args_copy(&argv, &b->tools->cc);
    molt_args_add(&argv, "-c");
    molt_args_add(&argv, source);
    molt_args_add(&argv, "-o");
    molt_args_add(&argv, object);
    int rc = run_tool(b, &argv, err);
    molt_args_fini(&argv);
    return rc;
}

static int link_object(struct molt_builder *b, const char *object, const char *image,
                       struct molt_error *err)
{
    static const char *const options[] = {"-shared",
                                          "-z",
                                          "now",
                                          "-z",
                                          "relro",
                                          "-z",
                                          "noexecstack",
                                          "-z",
                                          "text",
                                          "--build-id=sha1",
                                          "--hash-style=gnu"};
    struct molt_args argv = MOLT_ARGS_INIT;
    molt_args_add(&argv, b->tools->linker);
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
        molt_args_add(&argv, options[i]);
    molt_args_addf(&argv, "--version-script=%s/cache/exports.map", b->dir);
    molt_args_add(&argv, "-o");
    molt_args_add(&argv, image);
    molt_args_add(&argv, object);
    int rc = run_tool(b, &argv, err);
    molt_args_fini(&argv);
    return rc;
}

/* Move @image to its name in the store. */
static int publish(struct molt_builder *b, const char *image, char **ret_path,
                   struct molt_error *err)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    uint8_t digest[MOLT_SHA256_BYTES];
    char hex[MOLT_SHA256_HEX], *path = NULL;
    int rc = molt_file_read(image, &bytes, err);
    if (rc == 0 && molt_sha256(bytes.data, bytes.len, digest) < 0)
        rc = no_memory(err);
    molt_buf_fini(&bytes);
    if (rc < 0)
        return rc;
    molt_sha256_hex(digest, hex);
    if (asprintf(&path, "%s/store/molt-if-%s.so", b->dir, hex) < 0)
        return no_memory(err);
    if (chmod(image, 0444) < 0 || rename(image, path) < 0) {
        rc = molt_error_set(err, MOLT_EIO, "can't write %s: %s", path, strerror(errno));
        free(path);
        return rc;
    }
    *ret_path = path;
    return 0;
}

static int make(struct molt_builder *b, const struct list *list, char **ret_path,
                struct molt_error *err)
{
    char source[4096], object[4096], image[4096];
    snprintf(source, sizeof(source), "%s/molt-interface.s", b->temp);
    snprintf(object, sizeof(object), "%s/molt-interface.o", b->temp);
    snprintf(image, sizeof(image), "%s/molt-interface.so", b->temp);
    struct molt_buf text = MOLT_BUF_INIT;
    molt_thunk_asm(&text, list->n, list->thunks);
    int rc =
        text.is_failed ? no_memory(err) : molt_file_write(source, text.data, text.len, 0644, err);
    molt_buf_fini(&text);
    if (rc == 0)
        rc = assemble(b, source, object, err);
    if (rc == 0)
        rc = link_object(b, object, image, err);
    return rc < 0 ? rc : publish(b, image, ret_path, err);
}

int molt_builder_interface(struct molt_builder *builder, size_t n_metas,
                           const struct molt_meta *const *metas, size_t n_known,
                           const char *const *known, char **ret_path, struct molt_error *err)
{
    struct molt_strmap names = MOLT_STRMAP_INIT;
    struct list list = {0};
    char *path = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n_known; i++)
        if (molt_strmap_put(&names, known[i], &list) < 0)
            rc = no_memory(err);
    for (size_t i = 0; rc == 0 && i < n_metas; i++)
        rc = collect(&list, metas[i], &names, err);
    if (rc == 0 && list.n) {
        qsort(list.thunks, list.n, sizeof(*list.thunks), compare);
        rc = molt_builder_folders(builder, err);
    }
    if (rc == 0 && list.n)
        rc = make(builder, &list, &path, err);
    list_fini(&list);
    molt_strmap_fini(&names, NULL);
    if (rc == 0)
        *ret_path = path;
    return rc;
}
