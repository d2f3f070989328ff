/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "build/files.h"

void molt_conf_fini(struct molt_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++) {
        free(conf->keys[i]);
        free(conf->values[i]);
    }
    free(conf->keys);
    free(conf->values);
    free(conf->lines);
    *conf = (struct molt_conf){0};
}

const char *molt_conf_get(const struct molt_conf *conf, const char *key)
{
    for (size_t i = 0; i < conf->n; i++)
        if (strcmp(conf->keys[i], key) == 0)
            return conf->values[i];
    return NULL;
}

/* Cut white space off both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        text[--len] = 0;
    return text;
}

static int conf_add(struct molt_conf *conf, const char *key, const char *value, int line)
{
    size_t n = conf->n + 1;
    char **keys = realloc(conf->keys, n * sizeof(*keys));
    conf->keys = keys ? keys : conf->keys;
    char **values = realloc(conf->values, n * sizeof(*values));
    conf->values = values ? values : conf->values;
    int *lines = realloc(conf->lines, n * sizeof(*lines));
    conf->lines = lines ? lines : conf->lines;
    if (!keys || !values || !lines)
        return MOLT_ENOMEM;
    keys[conf->n] = strdup(key);
    values[conf->n] = strdup(value);
    lines[conf->n] = line;
    conf->n = n;
    return keys[n - 1] && values[n - 1] ? 0 : MOLT_ENOMEM;
}

/* A comment starts at a # that begins the line or follows white space. */
static void cut_comment(char *text)
{
    for (char *p = text; *p; p++) {
        if (*p == '#' && (p == text || isspace((unsigned char)p[-1]))) {
            *p = 0;
            return;
        }
    }
}

static int conf_line(struct molt_conf *conf, const char *path, char *text, int line,
                     struct molt_error *err)
{
    cut_comment(text);
    text = trim(text);
    if (!*text)
        return 0;
    char *equals = strchr(text, '=');
    if (!equals)
        return molt_error_set(err, MOLT_EFORMAT, "%s:%d: `%s`: expected `key = value`", path, line,
                              text);
    *equals = 0;
    const char *key = trim(text), *value = trim(equals + 1);
    if (!*key || strpbrk(key, " \t"))
        return molt_error_set(err, MOLT_EFORMAT,
                              "%s:%d: `%s` is not a key: it is one word before the `=`", path, line,
                              key);
    for (size_t i = 0; i < conf->n; i++)
        if (strcmp(conf->keys[i], key) == 0)
            return molt_error_set(err, MOLT_EFORMAT, "%s:%d: `%s` was set in line %d already", path,
                                  line, key, conf->lines[i]);
    return conf_add(conf, key, value, line);
}

int molt_conf_read(const char *path, struct molt_conf *ret, struct molt_error *err)
{
    struct molt_buf text = MOLT_BUF_INIT;
    struct molt_conf conf = {0};
    int rc = molt_file_read(path, &text, err);
    if (rc == 0 && memchr(text.data, 0, text.len))
        rc = molt_error_set(err, MOLT_EFORMAT, "%s: not a text file: it holds a NUL byte", path);
    int line = 1;
    for (char *at = text.data; rc == 0 && at; line++) {
        char *next = strchr(at, '\n');
        if (next)
            *next++ = 0;
        rc = conf_line(&conf, path, at, line, err);
        at = next;
    }
    molt_buf_fini(&text);
    if (rc < 0) {
        molt_conf_fini(&conf);
        return rc == MOLT_ENOMEM ? molt_error_set(err, rc, "%s: out of memory", path) : rc;
    }
    *ret = conf;
    return 0;
}
