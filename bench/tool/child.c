/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Children of benchmarks: started, waited for, stopped, found. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tool/bench.h"

/* In the new process, before exec. Failures show as its exit code 127. */
static void prepare(const char *dir, const char *log, const int in[2], const int out[2])
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int file = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : null;
    dup2(in[0] >= 0 ? in[0] : null, 0);
    dup2(out[1] >= 0 ? out[1] : file, 1);
    dup2(file, 2);
    if (dir && chdir(dir) < 0)
        _exit(127);
}

static void make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        molt_bench_die("no pipe: %s", strerror(errno));
}

struct molt_bench_child molt_bench_start(const char *const *argv, const char *dir, const char *log,
                                         int flags)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (flags & MOLT_BENCH_PIPES) {
        make_pipe(in);
        make_pipe(out);
    }
    pid_t pid = fork();
    if (pid < 0)
        molt_bench_die("can't start %s: %s", argv[0], strerror(errno));
    if (pid == 0) {
        prepare(dir, log, in, out);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (flags & MOLT_BENCH_PIPES) {
        close(in[0]);
        close(out[1]);
    }
    return (struct molt_bench_child){.pid = pid, .in = in[1], .out = out[0]};
}

static void close_pipes(struct molt_bench_child *child)
{
    if (child->in >= 0)
        close(child->in);
    if (child->out >= 0)
        close(child->out);
    child->in = child->out = -1;
}

int molt_bench_join(struct molt_bench_child *child, unsigned ms)
{
    if (child->pid <= 0)
        return 0;
    uint64_t end = molt_clock_ms() + ms;
    for (int status;;) {
        pid_t pid = waitpid(child->pid, &status, WNOHANG);
        if (pid == child->pid || (pid < 0 && errno == ECHILD)) {
            child->pid = 0;
            close_pipes(child);
            return pid < 0 ? 0 : status;
        }
        if (molt_clock_ms() >= end)
            return -1;
        poll(NULL, 0, 1);
    }
}

bool molt_bench_stop(struct molt_bench_child *child, unsigned ms)
{
    if (child->pid <= 0)
        return true;
    kill(child->pid, SIGTERM);
    if (molt_bench_join(child, ms) >= 0)
        return true;
    kill(child->pid, SIGKILL);
    molt_bench_join(child, 5000);
    return false;
}

int molt_bench_run(const char *const *argv, const char *dir, const char *log)
{
    struct molt_bench_child child = molt_bench_start(argv, dir, log, 0);
    int status;
    while (waitpid(child.pid, &status, 0) < 0)
        if (errno != EINTR || molt_bench_is_stopped())
            molt_bench_die("stopped while %s ran", argv[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Name of process @pid as the kernel keeps it (15 characters). */
static bool has_name(int pid, const char *name)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool is_read = fgets(text, sizeof(text), file);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return is_read && strcmp(text, name) == 0;
}

pid_t molt_bench_find_child(pid_t parent, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(path, "re");
    int pid, found = 0;
    while (file && !found && fscanf(file, "%d", &pid) == 1)
        if (has_name(pid, name))
            found = pid;
    if (file)
        fclose(file);
    return (pid_t)found;
}

/* ---- trees of them ------------------------------------------------------------ */

/* Call @fn for each thread of @pid. */
static void each_thread(pid_t pid, void (*fn)(pid_t pid, pid_t thread, void *user), void *user)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            fn(pid, (pid_t)atoi(e->d_name), user);
    if (dir)
        closedir(dir);
}

struct tree {
    pid_t *pids;
    size_t n, max;
};

/* Any thread may have children. */
static void add_children(pid_t pid, pid_t thread, void *user)
{
    struct tree *tree = user;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
    FILE *file = fopen(path, "re");
    for (int child; file && tree->n < tree->max && fscanf(file, "%d", &child) == 1;)
        tree->pids[tree->n++] = (pid_t)child;
    if (file)
        fclose(file);
}

size_t molt_bench_tree(pid_t pid, pid_t *pids, size_t max)
{
    struct tree tree = {pids, 0, max};
    if (max > 0)
        pids[tree.n++] = pid;
    for (size_t i = 0; i < tree.n; i++)
        each_thread(pids[i], add_children, &tree);
    return tree.n;
}

static void bind_thread(pid_t pid, pid_t thread, void *user)
{
    (void)pid;
    sched_setaffinity(thread, sizeof(cpu_set_t), user); /* it may have ended */
}

static cpu_set_t cores(unsigned first, unsigned n)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned i = 0; i < n; i++)
        CPU_SET(first + i, &set);
    return set;
}

void molt_bench_bind_self(unsigned first, unsigned n)
{
    cpu_set_t set = cores(first, n);
    bind_thread(0, 0, &set);
}

void molt_bench_bind(pid_t pid, unsigned first, unsigned n)
{
    pid_t pids[64];
    cpu_set_t set = cores(first, n);
    size_t n_pids = molt_bench_tree(pid, pids, 64);
    for (size_t i = 0; i < n_pids; i++)
        each_thread(pids[i], bind_thread, &set);
}
