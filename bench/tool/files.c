/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Files of benchmarks, and saving them as people's editors do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tool/bench.h"

char *molt_bench_read(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        molt_bench_die("can't read %s: %s", path, strerror(errno));
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = molt_bench_text("%s", "");
    }
    fclose(file);
    return text;
}

unsigned long molt_bench_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) < 0)
        molt_bench_die("can't write %s: %s", path, strerror(errno));
    return molt_clock_ns();
}

/* The name starts with a dot: builds shall not see the half-written file. */
unsigned long molt_bench_rename(const char *path, const char *text)
{
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) : 1;
    char *temporary =
        molt_bench_text("%.*s/.%s.tmp", dir, slash ? path : ".", slash ? slash + 1 : path);
    molt_bench_write(temporary, text);
    if (rename(temporary, path) < 0)
        molt_bench_die("can't rename %s: %s", temporary, strerror(errno));
    free(temporary);
    return molt_clock_ns();
}

char *molt_bench_replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at)
        molt_bench_die("there is no `%s` to edit", from);
    return molt_bench_text("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

void molt_bench_mkdir(const char *path)
{
    char *copy = molt_bench_text("%s", path);
    for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(copy, 0755);
        *at = '/';
    }
    if (mkdir(copy, 0755) < 0 && errno != EEXIST)
        molt_bench_die("can't make folder %s: %s", path, strerror(errno));
    free(copy);
}

static void copy_entry(const char *from, const char *to)
{
    struct stat st;
    if (stat(from, &st) < 0)
        molt_bench_die("can't read %s: %s", from, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        molt_bench_copy(from, to);
        return;
    }
    char *text = molt_bench_read(from);
    molt_bench_write(to, text);
    free(text);
}

void molt_bench_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (!dir)
        molt_bench_die("can't read folder %s: %s", from, strerror(errno));
    molt_bench_mkdir(to);
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, ".molt") == 0)
            continue;
        char *source = molt_bench_text("%s/%s", from, e->d_name);
        char *target = molt_bench_text("%s/%s", to, e->d_name);
        copy_entry(source, target);
        free(source);
        free(target);
    }
    closedir(dir);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

void molt_bench_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
