/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* compile_commands.json: the real source files, for clangd and its like. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/builder.h"

static void add_string(struct molt_buf *out, const char *text)
{
    molt_buf_adds(out, "\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            molt_buf_printf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            molt_buf_printf(out, "\\u%04x", (unsigned char)*p);
        else
            molt_buf_add(out, p, 1);
    }
    molt_buf_adds(out, "\"");
}

static int add_entry(struct molt_run *run, const struct molt_project_module *module,
                     const char *source, struct molt_buf *out)
{
    struct molt_args flags = MOLT_ARGS_INIT;
    char *folder = strndup(source, (size_t)(strrchr(source, '/') - source));
    int rc = folder ? molt_run_flags(run, module, folder, &flags) : MOLT_ENOMEM;
    molt_buf_adds(out, out->len > 2 ? ",\n  {\n    \"directory\": " : "  {\n    \"directory\": ");
    add_string(out, run->builder->root);
    molt_buf_adds(out, ",\n    \"file\": ");
    add_string(out, source);
    molt_buf_adds(out, ",\n    \"arguments\": [");
    for (size_t i = 0; i < run->builder->tools->cc.n; i++) {
        molt_buf_adds(out, i ? ", " : "");
        add_string(out, run->builder->tools->cc.v[i]);
    }
    for (size_t i = 0; i < flags.n; i++) {
        molt_buf_adds(out, ", ");
        add_string(out, flags.v[i]);
    }
    molt_buf_adds(out, ", \"-c\", ");
    add_string(out, source);
    molt_buf_adds(out, "]\n  }");
    free(folder);
    molt_args_fini(&flags);
    return rc;
}

int molt_run_commands(struct molt_run *run)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_adds(&out, "[\n");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < run->n_modules; i++) {
        const struct molt_project_module *m = run->modules[i];
        for (size_t k = 0; rc == 0 && !m->is_shipped && k < m->n_sources; k++)
            rc = add_entry(run, m, m->sources[k], &out);
    }
    molt_buf_adds(&out, "\n]\n");
    char path[4096];
    snprintf(path, sizeof(path), "%s/compile_commands.json", run->builder->root);
    if (rc == 0)
        rc = out.is_failed ? molt_error_set(run->err, MOLT_ENOMEM, "out of memory")
                           : molt_file_update(path, out.data, out.len, run->err);
    molt_buf_fini(&out);
    return rc < 0 ? rc : 0;
}
