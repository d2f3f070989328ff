/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/settings.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct setting {
    struct setting *older;
    const char *value;
    char key[]; /* the value follows its NUL */
};

struct molt_settings {
    pthread_mutex_t lock; /* guards the list; nothing nests in it */
    struct setting *newest;
    size_t n;
};

int molt_settings_new(struct molt_settings **ret)
{
    struct molt_settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return MOLT_ENOMEM;
    pthread_mutex_init(&settings->lock, NULL);
    *ret = settings;
    return 0;
}

void molt_settings_free(struct molt_settings *settings)
{
    if (!settings)
        return;
    for (struct setting *s = settings->newest, *older; s; s = older) {
        older = s->older;
        free(s);
    }
    pthread_mutex_destroy(&settings->lock);
    free(settings);
}

static const char *find(const struct molt_settings *settings, const char *key)
{
    for (const struct setting *s = settings->newest; s; s = s->older)
        if (strcmp(s->key, key) == 0)
            return s->value;
    return NULL;
}

static int add(struct molt_settings *settings, const char *key, const char *value)
{
    if (settings->n == MOLT_SETTINGS_MAX)
        return MOLT_ELIMIT;
    size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
    struct setting *s = malloc(sizeof(*s) + key_size + value_size);
    if (!s)
        return MOLT_ENOMEM;
    memcpy(s->key, key, key_size);
    memcpy(s->key + key_size, value, value_size);
    s->value = s->key + key_size;
    s->older = settings->newest;
    settings->newest = s;
    settings->n++;
    return 0;
}

int molt_settings_set(struct molt_settings *settings, const char *key, const char *value)
{
    if (!*key)
        return MOLT_EINVAL;
    pthread_mutex_lock(&settings->lock);
    const char *now = find(settings, key);
    int rc = now && strcmp(now, value) == 0 ? 0 : add(settings, key, value);
    pthread_mutex_unlock(&settings->lock);
    return rc;
}

const char *molt_settings_get(void *user, const char *key)
{
    struct molt_settings *settings = user;
    pthread_mutex_lock(&settings->lock);
    const char *value = find(settings, key);
    pthread_mutex_unlock(&settings->lock);
    return value;
}

#define STOP_DEFAULT_MS 5000
#define STOP_MAX_MS 600000

int molt_settings_stop_ms(const char *value)
{
    char *end;
    unsigned long ms = value ? strtoul(value, &end, 10) : 0;
    bool is_number = value && *value >= '0' && *value <= '9' && !*end && ms <= STOP_MAX_MS;
    return is_number ? (int)ms : STOP_DEFAULT_MS;
}
