/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/conf_changes.h"

#include <stdbool.h>
#include <string.h>

#include "build/keys.h"
#include "control/agent/set.h"

static bool is_for_start(const char *key)
{
    const struct molt_key *own = molt_key_find(key);
    return (own && own->is_for_start) || strcmp(key, "start") == 0 || strcmp(key, "name") == 0 ||
           strcmp(key, "dev.port") == 0 || strncmp(key, "http.", 5) == 0;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool has_key(size_t n, char *const *keys, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static void add(struct molt_buf *list, const char *key)
{
    molt_buf_printf(list, "%s%s", list->len ? ", " : "", key);
}

void molt_conf_changes_find(const struct molt_set *before, size_t n, char *const *keys,
                            char *const *values, struct molt_conf_changes *ret)
{
    *ret = (struct molt_conf_changes){MOLT_BUF_INIT, MOLT_BUF_INIT};
    for (size_t i = 0; i < n; i++)
        if (!is_same(molt_set_config(before, keys[i]), values[i]))
            add(is_for_start(keys[i]) ? &ret->late : &ret->live, keys[i]);
    for (size_t i = 0; i < before->n_config; i++)
        if (!has_key(n, keys, before->config_keys[i]))
            add(&ret->late, before->config_keys[i]);
}

void molt_conf_changes_fini(struct molt_conf_changes *changes)
{
    molt_buf_fini(&changes->live);
    molt_buf_fini(&changes->late);
}

static bool has_names(const struct molt_buf *list)
{
    return list->len && !list->is_failed;
}

void molt_conf_changes_print(const struct molt_conf_changes *changes, const char *command,
                             struct molt_buf *out)
{
    bool has_live = has_names(&changes->live), has_late = has_names(&changes->late);
    if (has_live)
        molt_buf_printf(out, "molt.conf: %s changed, and holds now", changes->live.data);
    if (has_late)
        molt_buf_printf(out, "%smolt.conf: %s changed: restart `molt %s` to have it take effect",
                        has_live ? "\n" : "", changes->late.data, command);
    if (!has_live && !has_late)
        molt_buf_adds(out, "molt.conf: nothing changed");
}

void molt_conf_changes_show(const struct molt_conf_changes *changes, const char *command,
                            struct molt_out *out)
{
    struct molt_buf text = MOLT_BUF_INIT;
    bool has_late = has_names(&changes->late);
    if (has_late || has_names(&changes->live)) {
        molt_conf_changes_print(changes, command, &text);
        if (!text.is_failed)
            molt_out_line(out, has_late ? MOLT_TONE_BAD : MOLT_TONE_PLAIN, "config", "%s",
                          text.data);
    }
    molt_buf_fini(&text);
}
