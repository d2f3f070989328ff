/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

#define NUMBER "a number"
#define GROUP "workers."
#define NEAR_MAX 3 /* edits; a name farther off isn't what was meant */

static const struct molt_key keys[] = {
    {"stop_ms", 0, 600000, "milliseconds", false},
    {"workers", 1, 256, NUMBER, true},
    {"workers.pinned", 0, 0, NULL, true},
    {"workers.spare", 1, 256, NUMBER, true},
    {"workers.stack_kib", 16, 1048576, "KiB", true},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

const struct molt_key *molt_key_find(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool read_value(const struct molt_key *key, const char *text, unsigned long *ret)
{
    if (key->max == 0) {
        *ret = strcmp(text, "yes") == 0;
        return *ret || strcmp(text, "no") == 0;
    }
    if (!*text || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoul(text, NULL, 10);
    return errno == 0 && *ret >= key->min && *ret <= key->max;
}

unsigned long molt_key_value(const struct molt_key *key, const char *text, unsigned long fallback)
{
    unsigned long value;
    return text && read_value(key, text, &value) ? value : fallback;
}

static int complain_value(const struct molt_conf *conf, size_t i, const struct molt_key *key,
                          const char *path, struct molt_error *err)
{
    if (key->max == 0)
        return molt_error_set(err, MOLT_EFORMAT, "%s:%d: `%s = %s`: expected yes or no", path,
                              conf->lines[i], key->name, conf->values[i]);
    return molt_error_set(err, MOLT_EFORMAT, "%s:%d: `%s = %s`: expected %s from %lu to %lu", path,
                          conf->lines[i], key->name, conf->values[i], key->unit, key->min,
                          key->max);
}

static int complain_name(const struct molt_conf *conf, size_t i, const char *path,
                         struct molt_error *err)
{
    const char *name = conf->keys[i], *nearest = NULL;
    unsigned least = NEAR_MAX + 1;
    for (size_t k = 0; k < N_KEYS; k++) {
        unsigned distance = molt_near_distance(name, keys[k].name);
        if (distance < least) {
            least = distance;
            nearest = keys[k].name;
        }
    }
    if (nearest)
        return molt_error_set(err, MOLT_EFORMAT, "%s:%d: there is no key `%s`; did you mean `%s`?",
                              path, conf->lines[i], name, nearest);
    return molt_error_set(err, MOLT_EFORMAT,
                          "%s:%d: there is no key `%s`, and names that begin with `" GROUP
                          "` are molt's; rename it",
                          path, conf->lines[i], name);
}

int molt_keys_check(const struct molt_conf *conf, const char *path, struct molt_error *err)
{
    for (size_t i = 0; i < conf->n; i++) {
        const struct molt_key *key = molt_key_find(conf->keys[i]);
        unsigned long value;
        if (key && !read_value(key, conf->values[i], &value))
            return complain_value(conf, i, key, path, err);
        if (!key && strncmp(conf->keys[i], GROUP, strlen(GROUP)) == 0)
            return complain_name(conf, i, path, err);
    }
    return 0;
}
