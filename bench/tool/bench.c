/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/bench.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define GRACE_MS 6000

/* A signal handler and atexit() have no argument to find this by. */
static struct {
    const char *name;
    pid_t owner;
    char folder[PATH_MAX];
    bool is_kept;
    atomic_int signal;
} self;

static void on_signal(int number)
{
    atomic_store_explicit(&self.signal, number, memory_order_relaxed);
}

bool molt_bench_is_stopped(void)
{
    return atomic_load_explicit(&self.signal, memory_order_relaxed) != 0;
}

static int each_child(void (*fn)(pid_t pid, int number), int number)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    int n = 0, pid;
    while (file && fscanf(file, "%d", &pid) == 1) {
        fn((pid_t)pid, number);
        n++;
    }
    if (file)
        fclose(file);
    return n;
}

static void send_signal(pid_t pid, int number)
{
    kill(pid, number);
}

static void end_children(int number, uint64_t until_ms)
{
    each_child(send_signal, number);
    while (each_child(send_signal, 0) > 0 && molt_clock_ms() < until_ms)
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            poll(NULL, 0, 5);
}

/* As a subreaper this process inherits what its children left behind (a host
 * outlives its agent on purpose), so killing goes on until nobody is left. */
static void clean_up(void)
{
    if (getpid() != self.owner)
        return;
    end_children(SIGTERM, molt_clock_ms() + GRACE_MS);
    for (int i = 0; i < 20 && each_child(send_signal, 0) > 0; i++)
        end_children(SIGKILL, molt_clock_ms() + 500);
    if (*self.folder && !self.is_kept)
        molt_bench_remove(self.folder);
}

void molt_bench_init(const char *name)
{
    self.name = name;
    self.owner = getpid();
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    atexit(clean_up);
}

void molt_bench_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", self.name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

void molt_bench_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", self.name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void molt_bench_wait(unsigned ms)
{
    uint64_t end = molt_clock_ms() + ms;
    for (uint64_t now; !molt_bench_is_stopped() && (now = molt_clock_ms()) < end;)
        poll(NULL, 0, (int)(end - now));
    if (molt_bench_is_stopped())
        molt_bench_die("stopped by signal %d", atomic_load(&self.signal));
}

char *molt_bench_text(const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        molt_bench_die("out of memory");
    return text;
}

/* ---- places ----------------------------------------------------------------- */

/* Folder of this executable. */
static void own_folder(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
}

const char *molt_bench_folder(void)
{
    if (*self.folder)
        return self.folder;
    char own[PATH_MAX - 32];
    own_folder(own, sizeof(own));
    snprintf(self.folder, sizeof(self.folder), "%s/run-XXXXXX", own);
    if (!mkdtemp(self.folder)) {
        *self.folder = '\0';
        molt_bench_die("can't make a temporary folder in %s: %s", own, strerror(errno));
    }
    return self.folder;
}

void molt_bench_keep_folder(void)
{
    self.is_kept = true;
}

char *molt_bench_program(const char *relative, const char *variable)
{
    const char *given = variable ? getenv(variable) : NULL;
    char own[PATH_MAX];
    own_folder(own, sizeof(own));
    char *path =
        given && *given ? molt_bench_text("%s", given) : molt_bench_text("%s/%s", own, relative);
    char *real = realpath(path, NULL);
    if (!real || access(real, X_OK) < 0)
        molt_bench_die("%s: %s; build it first (./dev build release)%s%s", path, strerror(errno),
                       variable ? ", or name another in " : "", variable ? variable : "");
    free(path);
    return real;
}

bool molt_bench_has_program(const char *name)
{
    char *path = molt_bench_text("%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    char *save = NULL;
    bool is_found = false;
    for (char *dir = strtok_r(path, ":", &save); dir && !is_found;
         dir = strtok_r(NULL, ":", &save)) {
        char *file = molt_bench_text("%s/%s", dir, name);
        is_found = access(file, X_OK) == 0;
        free(file);
    }
    free(path);
    return is_found;
}
