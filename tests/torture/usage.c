/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "usage.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static long count_lines(const char *path)
{
    long n = 0;
    int c;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

struct usage usage_now(void)
{
    struct usage usage = {0};
    long pages;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &usage.resident_kib), 2);
    fclose(file);
    usage.resident_kib *= sysconf(_SC_PAGESIZE) / 1024;
    usage.mappings = count_lines("/proc/self/maps");
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        usage.descriptors++;
    closedir(dir);
    return usage;
}
