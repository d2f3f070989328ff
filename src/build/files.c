/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "build/strmap.h"

/* Times of file systems are stamped from a clock that ticks every 1 to 10 ms. */
#define RACY_NS INT64_C(50000000)

struct file {
    unsigned long run;  /* when stat was last asked */
    int64_t checked_ns; /* the same on the monotonic clock */
    bool is_known, is_racy, has_includes;
    int64_t mtime_ns, ctime_ns;
    uint64_t size, ino, dev;
    uint8_t digest[MOLT_SHA256_BYTES];
    struct molt_args includes;
};

struct molt_files {
    unsigned long run;
    struct molt_strmap map;
};

static void file_free(void *value)
{
    struct file *f = value;
    molt_args_fini(&f->includes);
    free(f);
}

struct molt_files *molt_files_new(void)
{
    struct molt_files *files = calloc(1, sizeof(*files));
    if (files)
        files->run = 1;
    return files;
}

void molt_files_free(struct molt_files *files)
{
    if (!files)
        return;
    molt_strmap_fini(&files->map, file_free);
    free(files);
}

void molt_files_next(struct molt_files *files)
{
    files->run++;
}

void molt_files_forget(struct molt_files *files, const char *path)
{
    struct file *f = molt_strmap_get(&files->map, path);
    if (f) {
        f->is_known = false;
        f->run = 0;
    }
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* File systems stamp with the coarse clock, which lags behind the exact one. */
struct molt_files_time molt_files_now(void)
{
    struct timespec real, monotonic;
    clock_gettime(CLOCK_REALTIME_COARSE, &real);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    return (struct molt_files_time){ns_of(real), ns_of(monotonic)};
}

static bool is_same(const struct file *f, const struct stat *st)
{
    return f->is_known && !f->is_racy && f->size == (uint64_t)st->st_size && f->ino == st->st_ino &&
           f->dev == st->st_dev && f->mtime_ns == ns_of(st->st_mtim) &&
           f->ctime_ns == ns_of(st->st_ctim);
}

/* Read the file and note what stat said of it before. */
static int file_load(struct file *f, const char *path, const struct stat *st)
{
    int64_t now = molt_files_now().real_ns;
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_file_read(path, &bytes, NULL);
    if (rc == 0)
        rc = molt_sha256(bytes.data, bytes.len, f->digest);
    molt_buf_fini(&bytes);
    if (rc < 0)
        return rc;
    f->size = (uint64_t)st->st_size;
    f->ino = st->st_ino;
    f->dev = st->st_dev;
    f->mtime_ns = ns_of(st->st_mtim);
    f->ctime_ns = ns_of(st->st_ctim);
    f->is_racy = f->mtime_ns > now - RACY_NS || f->ctime_ns > now - RACY_NS;
    f->is_known = true;
    return 0;
}

/* Bring the entry up to date, at most once a build. */
static struct file *file_get(struct molt_files *files, const char *path)
{
    struct file *f = molt_strmap_get(&files->map, path);
    if (!f) {
        f = calloc(1, sizeof(*f));
        if (!f || molt_strmap_put(&files->map, path, f) < 0) {
            free(f);
            return NULL;
        }
    }
    if (f->run == files->run)
        return f;
    f->run = files->run;
    f->checked_ns = molt_files_now().monotonic_ns;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        f->is_known = false;
        return f;
    }
    if (is_same(f, &st))
        return f;
    f->has_includes = false;
    if (file_load(f, path, &st) < 0)
        f->is_known = false;
    return f;
}

bool molt_files_is_settled(struct molt_files *files, const char *path, struct molt_files_time since)
{
    struct stat st;
    const struct file *f = molt_strmap_get(&files->map, path);
    if (!f || !f->is_known || f->run != files->run || stat(path, &st) < 0)
        return false;
    if (f->checked_ns > since.monotonic_ns)
        return ns_of(st.st_mtim) < since.real_ns && ns_of(st.st_ctim) < since.real_ns;
    if (is_same(f, &st))
        return true;
    struct file now = {.is_known = false};
    return file_load(&now, path, &st) == 0 &&
           memcmp(now.digest, f->digest, sizeof(now.digest)) == 0;
}

int molt_files_digest(struct molt_files *files, const char *path, uint8_t digest[MOLT_SHA256_BYTES])
{
    memset(digest, 0, MOLT_SHA256_BYTES);
    const struct file *f = file_get(files, path);
    if (!f)
        return MOLT_ENOMEM;
    if (!f->is_known)
        return MOLT_ENOENT;
    memcpy(digest, f->digest, MOLT_SHA256_BYTES);
    return 0;
}

bool molt_files_exists(struct molt_files *files, const char *path)
{
    const struct file *f = file_get(files, path);
    return f && f->is_known;
}

/* The quoted name in an `#include` line, with its quotes; NULL if @line is
 * something else. */
static char *include_of(const char *line)
{
    line += strspn(line, " \t");
    if (*line++ != '#')
        return NULL;
    line += strspn(line, " \t");
    if (strncmp(line, "include", 7) != 0)
        return NULL;
    line += 7;
    line += strspn(line, " \t");
    const char *end = *line == '"'   ? strchr(line + 1, '"')
                      : *line == '<' ? strchr(line, '>')
                                     : NULL;
    const char *newline = strchr(line, '\n');
    if (!end || (newline && newline < end))
        return NULL;
    return strndup(line, (size_t)(end + 1 - line));
}

const struct molt_args *molt_files_includes(struct molt_files *files, const char *path)
{
    struct file *f = file_get(files, path);
    if (!f || !f->is_known)
        return NULL;
    if (f->has_includes)
        return &f->includes;
    struct molt_buf text = MOLT_BUF_INIT;
    molt_args_reset(&f->includes);
    if (molt_file_read(path, &text, NULL) < 0 || text.is_failed) {
        molt_buf_fini(&text);
        return NULL;
    }
    for (const char *line = text.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *name = include_of(line);
        if (name)
            molt_args_take(&f->includes, name);
    }
    molt_buf_fini(&text);
    f->has_includes = !f->includes.is_failed;
    return f->has_includes ? &f->includes : NULL;
}

static int read_all(int fd, struct molt_buf *out)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MOLT_EIO;
        if (n == 0)
            break;
        molt_buf_add(out, chunk, (size_t)n);
    }
    /* NUL-terminated for callers that scan it as text. */
    molt_buf_printf(out, "%s", "");
    return out->is_failed ? MOLT_ENOMEM : 0;
}

int molt_file_read(const char *path, struct molt_buf *out, struct molt_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return molt_error_set(err, errno == ENOENT || errno == ENOTDIR ? MOLT_ENOENT : MOLT_EIO,
                              "can't open %s: %s", path, strerror(errno));
    int rc = read_all(fd, out);
    if (rc < 0)
        molt_error_set(err, rc, "can't read %s: %s", path,
                       rc == MOLT_EIO ? strerror(errno) : "out of memory");
    close(fd);
    return rc;
}

/* fcntl(2): a read lease can be had only on a file that nobody has open for
 * writing. */
static bool is_being_written(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    return errno == EAGAIN;
}

/* A close after writing is an event, so that is what is waited for. */
static void await_close(int events, int timeout_ms)
{
    char buf[4096];
    struct pollfd p = {.fd = events, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) > 0)
        (void)!read(events, buf, sizeof(buf));
}

int molt_file_await_writers(const char *path, int timeout_ms, struct molt_error *err)
{
    uint64_t end_ms = molt_clock_ms() + (uint64_t)timeout_ms, now_ms;
    int fd = open(path, O_RDONLY | O_CLOEXEC), events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    bool can_wait = events >= 0 && inotify_add_watch(events, path, IN_CLOSE_WRITE) >= 0;
    bool is_busy = fd >= 0 && is_being_written(fd);
    while (is_busy && can_wait && (now_ms = molt_clock_ms()) < end_ms) {
        await_close(events, (int)(end_ms - now_ms));
        is_busy = is_being_written(fd);
    }
    if (fd >= 0)
        close(fd);
    if (events >= 0)
        close(events);
    return is_busy ? molt_error_set(err, MOLT_EBUSY,
                                    "%s is being written by another program; load it when it is "
                                    "saved",
                                    path)
                   : 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

int molt_file_write(const char *path, const void *bytes, size_t len, unsigned mode,
                    struct molt_error *err)
{
    char *temp = NULL;
    if (asprintf(&temp, "%s.tmp%ld", path, (long)getpid()) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory while writing %s", path);
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool is_ok = fd >= 0 && write_all(fd, bytes, len) == 0;
    int saved = errno;
    if (fd >= 0 && close(fd) < 0 && is_ok) {
        is_ok = false;
        saved = errno;
    }
    if (is_ok && rename(temp, path) < 0) {
        is_ok = false;
        saved = errno;
    }
    if (!is_ok) {
        unlink(temp);
        molt_error_set(err, MOLT_EIO, "can't write %s: %s", path, strerror(saved));
    }
    free(temp);
    return is_ok ? 0 : MOLT_EIO;
}

int molt_file_update(const char *path, const void *bytes, size_t len, struct molt_error *err)
{
    struct molt_buf old = MOLT_BUF_INIT;
    bool is_equal = molt_file_read(path, &old, NULL) == 0 && old.len == len &&
                    (len == 0 || memcmp(old.data, bytes, len) == 0);
    molt_buf_fini(&old);
    if (is_equal)
        return 0;
    int rc = molt_file_write(path, bytes, len, 0644, err);
    return rc < 0 ? rc : 1;
}

int molt_file_mkdirs(const char *path, struct molt_error *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return molt_error_set(err, MOLT_EIO, "can't make the folder %s: %s", path, strerror(errno));
    char *parent = strdup(path);
    if (!parent)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    char *slash = strrchr(parent, '/');
    int rc = MOLT_EIO;
    if (slash && slash != parent) {
        *slash = 0;
        rc = molt_file_mkdirs(parent, err);
    }
    free(parent);
    if (rc < 0)
        return rc;
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    return molt_error_set(err, MOLT_EIO, "can't make the folder %s: %s", path, strerror(errno));
}
