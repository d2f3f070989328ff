/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The address of @path, through *ret_dir_fd if it is too long. */
static int make_address(const char *path, struct sockaddr_un *ret, int *ret_dir_fd,
                        struct molt_error *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_dir_fd = -1;
    if (strlen(path) < sizeof(ret->sun_path)) {
        strcpy(ret->sun_path, path);
        return 0;
    }
    const char *name = strrchr(path, '/');
    char dir[4096];
    if (!name || (size_t)(name - path) >= sizeof(dir))
        return molt_error_set(err, MOLT_EINVAL, "socket path %s: too long", path);
    memcpy(dir, path, (size_t)(name - path));
    dir[name - path] = '\0';
    int fd = open(*dir ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return molt_error_set(err, MOLT_EIO, "%s: %s", dir, strerror(errno));
    int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", fd, name);
    if (n < 0 || (size_t)n >= sizeof(ret->sun_path)) {
        close(fd);
        return molt_error_set(err, MOLT_EINVAL, "socket path %s: name too long", path);
    }
    *ret_dir_fd = fd;
    return 0;
}

static int connect_address(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_code(int error)
{
    return error == ENOENT ? MOLT_ENOENT : error == ECONNREFUSED ? MOLT_ECLOSED : MOLT_EIO;
}

int molt_connect_unix(const char *path, int *ret_fd, struct molt_error *err)
{
    struct sockaddr_un address;
    int dir_fd;
    int rc = make_address(path, &address, &dir_fd, err);
    if (rc < 0)
        return rc;
    int fd = connect_address(&address);
    if (fd < 0)
        rc = molt_error_set(err, connect_code(errno), "%s: %s", path, strerror(errno));
    else
        *ret_fd = fd;
    if (dir_fd >= 0)
        close(dir_fd);
    return rc;
}

/* Remove what a listener that died left behind; nothing else. */
static int clear_stale(const char *path, const struct sockaddr_un *address, struct molt_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return molt_error_set(err, MOLT_EEXIST, "%s exists and is not a socket", path);
    int fd = connect_address(address);
    if (fd >= 0) {
        close(fd);
        return molt_error_set(err, MOLT_EBUSY, "%s: somebody listens there already", path);
    }
    if (errno != ECONNREFUSED || unlink(path) < 0)
        return molt_error_set(err, MOLT_EIO, "%s: %s", path, strerror(errno));
    return 0;
}

static int bind_and_listen(const char *path, const struct sockaddr_un *address, int *ret_fd,
                           struct molt_error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return molt_error_set(err, MOLT_EIO, "socket: %s", strerror(errno));
    mode_t mask = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = errno;
    umask(mask);
    if (rc < 0 || listen(fd, 64) < 0) {
        error = rc < 0 ? error : errno;
        close(fd);
        return molt_error_set(err, MOLT_EIO, "%s: %s", path, strerror(error));
    }
    *ret_fd = fd;
    return 0;
}

int molt_listen_unix(const char *path, int *ret_fd, struct molt_error *err)
{
    struct sockaddr_un address;
    int dir_fd;
    int rc = make_address(path, &address, &dir_fd, err);
    if (rc < 0)
        return rc;
    rc = clear_stale(path, &address, err);
    if (rc == 0)
        rc = bind_and_listen(path, &address, ret_fd, err);
    if (dir_fd >= 0)
        close(dir_fd);
    return rc;
}
