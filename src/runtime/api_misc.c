/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on surroundings: configuration, log, version, world. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/rt.h"

const void *molt_extension_next(const char *kind, size_t *cursor)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_world *world = runner ? molt_runner_world(runner) : NULL;
    while (world && kind && *cursor < world->n_extensions) {
        const struct molt_extension *e = &world->extensions[(*cursor)++];
        if (strcmp(e->kind, kind) == 0)
            return e->data;
    }
    return NULL;
}

const char *molt_config(const char *key, const char *fallback)
{
    struct molt_runner *runner = molt_runner_here();
    const struct molt_runtime_config *config = runner ? &runner->rt->config : NULL;
    const char *value =
        config && config->config_get && key ? config->config_get(config->config_user, key) : NULL;
    return value ? value : fallback;
}

void molt_log(enum molt_level level, const char *fmt, ...)
{
    struct molt_runner *runner = molt_runner_here();
    if (!runner)
        return;
    va_list ap;
    va_start(ap, fmt);
    molt_sink_vlog(&runner->rt->config.sink, level, fmt, ap);
    va_end(ap);
}

int molt_version(char *buf, size_t size)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    const struct molt_version *v =
        p ? atomic_load_explicit(&p->version, memory_order_relaxed) : NULL;
    if (!v)
        return MOLT_ENOPROC;
    if (!buf || size == 0)
        return MOLT_EINVAL;
    molt_version_print(v, buf, size);
    return 0;
}
