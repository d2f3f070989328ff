/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/extras.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "control/agent/file.h"
#include "control/agent/set.h"

int molt_extras_init(struct molt_extras *extras, const char *root)
{
    struct molt_buf path = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/.molt/loaded", root);
    *extras = (struct molt_extras){.path = molt_buf_take(&path)};
    molt_buf_fini(&path);
    return extras->path ? 0 : MOLT_ENOMEM;
}

void molt_extras_fini(struct molt_extras *extras)
{
    for (size_t i = 0; i < extras->n; i++)
        free(extras->names[i]);
    free(extras->names);
    free(extras->path);
    *extras = (struct molt_extras){0};
}

static int remember(struct molt_extras *extras, const char *name)
{
    for (size_t i = 0; i < extras->n; i++)
        if (strcmp(extras->names[i], name) == 0)
            return 0;
    char **grown = realloc(extras->names, (extras->n + 1) * sizeof(*grown));
    if (!grown)
        return MOLT_ENOMEM;
    extras->names = grown;
    grown[extras->n] = strdup(name);
    if (!grown[extras->n])
        return MOLT_ENOMEM;
    extras->n++;
    return 0;
}

/* One name a line. */
int molt_extras_learn(struct molt_extras *extras, const struct molt_set *running)
{
    struct molt_buf text = MOLT_BUF_INIT;
    int rc = molt_agent_file_read(extras->path, &text, NULL);
    molt_buf_printf(&text, "%s", "");
    char *save = NULL, *line = rc == 0 && text.data ? strtok_r(text.data, "\n", &save) : NULL;
    for (rc = 0; rc == 0 && line; line = strtok_r(NULL, "\n", &save))
        if (molt_set_find(running, line))
            rc = remember(extras, line);
    molt_buf_fini(&text);
    return rc;
}

int molt_extras_add(struct molt_extras *extras, const char *name, struct molt_error *err)
{
    struct molt_buf text = MOLT_BUF_INIT;
    int rc = remember(extras, name);
    for (size_t i = 0; i < extras->n; i++)
        molt_buf_printf(&text, "%s\n", extras->names[i]);
    if (rc < 0 || text.is_failed)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    else
        rc = molt_agent_file_write(extras->path, text.data, text.len, err);
    molt_buf_fini(&text);
    return rc;
}

int molt_extras_put(const struct molt_extras *extras, const struct molt_set *running,
                    struct molt_set *set)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < extras->n; i++) {
        const struct molt_set_module *m = molt_set_find(running, extras->names[i]);
        if (m && !molt_set_find(set, extras->names[i]))
            rc = molt_set_put(set, m->meta, m->image_path);
    }
    return rc;
}
