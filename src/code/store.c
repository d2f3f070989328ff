/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "code/store.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/memfd.h"

/* A copy beside the store's own file, made because that path is in use, has a
 * number between digest and suffix. */
static bool is_copy(const char *path)
{
    const char *name = strrchr(path, '/');
    const char *dot = name ? strchr(name, '.') : NULL;
    return dot && strcmp(dot, ".so") != 0;
}

static bool is_known_to_loader(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (handle)
        dlclose(handle);
    return handle != NULL;
}

static int io_error(struct molt_error *err, const char *what, const char *path)
{
    return molt_error_set(err, MOLT_EIO, "cannot %s %s: %s", what, path, strerror(errno));
}

static int copy_bytes(int from, int to)
{
    char chunk[65536];
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(from, chunk, sizeof(chunk), at);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MOLT_EIO;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, chunk + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR)
                return MOLT_EIO;
            done += w > 0 ? w : 0;
        }
        at += n;
    }
}

/* Whether @path is a readable file with the digest. */
static bool has_digest(const char *path, const uint8_t *digest)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    uint8_t found[MOLT_SHA256_BYTES];
    bool same = molt_sha256_fd(fd, found) == 0 && memcmp(found, digest, sizeof(found)) == 0;
    close(fd);
    return same;
}

/* Write by temporary file and rename, so that nobody sees half a file. */
static int write_file(const char *path, int fd, struct molt_error *err)
{
    char *temporary;
    if (asprintf(&temporary, "%s.tmp.XXXXXX", path) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    int out = mkostemp(temporary, O_CLOEXEC);
    if (out < 0) {
        int rc = io_error(err, "create", temporary);
        free(temporary);
        return rc;
    }
    int rc = copy_bytes(fd, out);
    if (rc == 0 && (fchmod(out, 0444) < 0 || rename(temporary, path) < 0))
        rc = MOLT_EIO;
    if (rc < 0) {
        io_error(err, "write", path);
        unlink(temporary);
    }
    close(out);
    free(temporary);
    return rc;
}

/* The first path that the loader doesn't know: base.so, base.1.so, base.2.so
 * ... of the store's own files, base.<pid>-1.so ... for links to memfds, which
 * never take a name that a file of the store could have. */
static char *fresh_path(const struct molt_image_request *request)
{
    char hex[MOLT_SHA256_HEX];
    molt_sha256_hex(request->digest, hex);
    for (unsigned i = 0; i < 100000; i++) {
        char number[32] = "";
        if (request->is_sealed)
            snprintf(number, sizeof(number), ".%d-%u", getpid(), i + 1);
        else if (i > 0)
            snprintf(number, sizeof(number), ".%u", i);
        char *path;
        if (asprintf(&path, "%s/%s-%s%s.so", request->store, request->name, hex, number) < 0)
            return NULL;
        if (!is_known_to_loader(path))
            return path;
        free(path);
    }
    return NULL;
}

static int publish_file(const struct molt_image_request *request, struct molt_image *image,
                        struct molt_error *err)
{
    struct stat given, there;
    if (fstat(request->fd, &given) < 0)
        return io_error(err, "look at", request->name);
    bool is_there = lstat(image->path, &there) == 0;
    /* The agent usually hands over the very file of the store. */
    if (is_there && given.st_dev == there.st_dev && given.st_ino == there.st_ino)
        return 0;
    if (is_there && has_digest(image->path, request->digest) && !is_copy(image->path))
        return 0;
    return write_file(image->path, request->fd, err);
}

static int publish_sealed(const struct molt_image_request *request, struct molt_image *image,
                          struct molt_error *err)
{
    int fd = molt_memfd_open("molt");
    if (fd < 0)
        return io_error(err, "create", "a memfd");
    char target[64];
    snprintf(target, sizeof(target), "/proc/%d/fd/%d", getpid(), fd);
    uint8_t digest[MOLT_SHA256_BYTES];
    /* Verified after sealing: from here on nobody can change the bytes. */
    if (copy_bytes(request->fd, fd) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
        molt_sha256_fd(fd, digest) < 0) {
        int rc = io_error(err, "fill", "a memfd");
        close(fd);
        return rc;
    }
    int rc = 0;
    if (memcmp(digest, request->digest, sizeof(digest)) != 0)
        rc = molt_error_set(err, MOLT_EDIGEST, "%s: the image's bytes changed while being copied",
                            request->name);
    else if ((unlink(image->path) < 0 && errno != ENOENT) || symlink(target, image->path) < 0)
        rc = io_error(err, "link", image->path);
    if (rc < 0)
        close(fd);
    else
        image->fd = fd;
    return rc;
}

int molt_store_publish(const struct molt_image_request *request, struct molt_image *image,
                       struct molt_error *err)
{
    image->path = fresh_path(request);
    if (!image->path)
        return molt_error_set(err, MOLT_ENOMEM, "%s: no memory for a path in %s, or no free one",
                              request->name, request->store);
    int rc = request->is_sealed ? publish_sealed(request, image, err)
                                : publish_file(request, image, err);
    if (rc < 0) {
        free(image->path);
        image->path = NULL;
    }
    return rc;
}

void molt_store_withdraw(struct molt_image *image)
{
    if (image->path && (image->fd >= 0 || is_copy(image->path)))
        unlink(image->path);
    if (image->fd >= 0)
        close(image->fd);
    image->fd = -1;
    free(image->path);
    image->path = NULL;
}

void molt_store_sweep(const char *store)
{
    DIR *dir = opendir(store);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        bool is_link = fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISLNK(st.st_mode);
        if (is_link && fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 && errno == ENOENT)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}
