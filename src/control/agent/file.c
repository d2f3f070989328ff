/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct molt_error *err, const char *path)
{
    int code = errno == ENOENT ? MOLT_ENOENT : MOLT_EIO;
    return molt_error_set(err, code, "%s: %s", path, strerror(errno));
}

static int read_all(int fd, const char *path, struct molt_buf *out, struct molt_error *err)
{
    char chunk[16384];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, path);
        if (n == 0)
            return out->is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory") : 0;
        total += (size_t)n;
        if (total > MOLT_AGENT_FILE_MAX)
            return molt_error_set(err, MOLT_ELIMIT, "%s: too long", path);
        molt_buf_add(out, chunk, (size_t)n);
    }
}

int molt_agent_file_read(const char *path, struct molt_buf *out, struct molt_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    int rc = read_all(fd, path, out, err);
    close(fd);
    return rc;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd);
}

int molt_agent_file_write(const char *path, const void *bytes, size_t len, struct molt_error *err)
{
    struct molt_buf name = MOLT_BUF_INIT;
    molt_buf_printf(&name, "%s.XXXXXX", path);
    char *temp = molt_buf_take(&name);
    if (!temp)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    int fd = mkostemp(temp, O_CLOEXEC);
    int rc = fd < 0 ? fail(err, temp) : 0;
    if (rc == 0 && (write_all(fd, bytes, len) < 0 || fchmod(fd, 0644) < 0))
        rc = fail(err, temp);
    if (fd >= 0)
        close(fd);
    if (rc == 0 && rename(temp, path) < 0)
        rc = fail(err, path);
    if (rc < 0 && fd >= 0)
        unlink(temp);
    free(temp);
    return rc;
}
