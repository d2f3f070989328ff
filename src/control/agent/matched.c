/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/matched.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "control/agent/file.h"

static const struct molt_meta *find_running(const struct molt_matched_input *in, const char *module)
{
    for (size_t i = 0; i < in->n_running; i++)
        if (strcmp(in->running[i]->module, module) == 0)
            return in->running[i];
    return NULL;
}

static int match_both(const struct molt_matched_input *in, const struct molt_buf *before,
                      const struct molt_buf *after, struct molt_matched_module *ret,
                      struct molt_error *err)
{
    const struct molt_match_side old = {before->data, before->len};
    const struct molt_match_side now = {after->data, after->len};
    struct molt_match_options options = {.project = in->project,
                                         .allow_sanitizer = true,
                                         .wants_moves = true};
    int rc = molt_match_images(&old, &now, &options, &ret->there, err);
    if (rc < 0)
        return rc;
    options.wants_moves = false;
    options.is_backward = true;
    rc = molt_match_images(&now, &old, &options, &ret->back, err);
    if (rc < 0)
        molt_match_fini(&ret->there);
    return rc;
}

/* Returns 1 if *ret was filled in, 0 if the old image is gone. */
static int match_module(const struct molt_matched_input *in, const struct molt_meta *old,
                        const struct molt_set_module *now, struct molt_matched_module *ret,
                        struct molt_error *err)
{
    char hex[MOLT_SHA256_HEX];
    struct molt_buf path = MOLT_BUF_INIT, before = MOLT_BUF_INIT, after = MOLT_BUF_INIT;
    molt_sha256_hex(old->digest, hex);
    molt_buf_printf(&path, "%s/%s-%s.so", in->store, old->module, hex);
    int rc = 0;
    if (path.is_failed)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    else if (molt_agent_file_read(path.data, &before, NULL) == 0)
        rc = molt_agent_file_read(now->image_path, &after, err);
    if (rc == 0 && after.len)
        rc = match_both(in, &before, &after, ret, err);
    if (rc == 0 && after.len) {
        ret->module = now->meta->module;
        rc = 1;
    }
    molt_buf_fini(&path);
    molt_buf_fini(&before);
    molt_buf_fini(&after);
    return rc < 0 ? molt_error_wrap(err, rc, "%s", now->meta->module) : rc;
}

int molt_matched_make(const struct molt_matched_input *input, struct molt_matched *ret,
                      struct molt_error *err)
{
    struct molt_matched matched = {.modules =
                                       calloc(input->set->n_modules + 1, sizeof(*matched.modules))};
    int rc = matched.modules ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && input->store && i < input->set->n_modules; i++) {
        const struct molt_set_module *now = &input->set->modules[i];
        const struct molt_meta *old = find_running(input, now->meta->module);
        if (!old || memcmp(old->digest, now->meta->digest, sizeof(old->digest)) == 0 ||
            old->content == now->meta->content)
            continue;
        rc = match_module(input, old, now, &matched.modules[matched.n], err);
        if (rc > 0) {
            matched.n++;
            rc = 0;
        }
    }
    if (rc < 0)
        molt_matched_fini(&matched);
    else
        *ret = matched;
    return rc;
}

void molt_matched_fini(struct molt_matched *matched)
{
    for (size_t i = 0; i < matched->n; i++) {
        molt_match_fini(&matched->modules[i].there);
        molt_match_fini(&matched->modules[i].back);
    }
    free(matched->modules);
    *matched = (struct molt_matched){0};
}

const struct molt_matched_module *molt_matched_find(const struct molt_matched *matched,
                                                    const char *module)
{
    for (size_t i = 0; i < matched->n; i++)
        if (strcmp(matched->modules[i].module, module) == 0)
            return &matched->modules[i];
    return NULL;
}

/* Lines as a list. */
static char *join(const char *lines)
{
    struct molt_buf out = MOLT_BUF_INIT;
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        if (n)
            molt_buf_printf(&out, "%s%.*s", out.len ? ", " : "", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
    char *text = out.len ? molt_buf_take(&out) : NULL;
    molt_buf_fini(&out);
    return text;
}

char *molt_matched_describe(const struct molt_matched *matched, const struct molt_meta_type *type)
{
    for (size_t i = 0; i < matched->n; i++)
        for (size_t k = 0; k < matched->modules[i].there.n_types; k++) {
            const struct molt_match_type *t = &matched->modules[i].there.types[k];
            if (t->from_hash == type->hash && strcmp(t->from_key, type->key) == 0)
                return t->lines ? join(t->lines) : NULL;
        }
    return NULL;
}

static void describe_global(const char *module, const struct molt_match_global *g,
                            struct molt_buf *out)
{
    char *lines = g->fate == MOLT_GLOBAL_FOLLOWS && g->value.lines ? join(g->value.lines) : NULL;
    if (lines)
        molt_buf_printf(out, "%s: %s: %s\n", module, g->name, lines);
    else if (g->fate == MOLT_GLOBAL_LOST)
        molt_buf_printf(out, "%s: lost %s\n", module, g->name);
    else if (g->fate == MOLT_GLOBAL_ANEW)
        molt_buf_printf(out, "%s: %s starts anew\n", module, g->name);
    free(lines);
}

char *molt_matched_describe_globals(const struct molt_matched *matched)
{
    struct molt_buf out = MOLT_BUF_INIT;
    for (size_t i = 0; i < matched->n; i++)
        for (size_t k = 0; k < matched->modules[i].there.n_globals; k++)
            describe_global(matched->modules[i].module, &matched->modules[i].there.globals[k],
                            &out);
    char *text = out.len ? molt_buf_take(&out) : NULL;
    molt_buf_fini(&out);
    return text;
}
