/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void molt_job_init(struct molt_job *job)
{
    *job = (struct molt_job){.status = -1, .fds = {-1, -1}};
}

void molt_job_fini(struct molt_job *job)
{
    molt_args_fini(&job->argv);
    molt_buf_fini(&job->out);
    molt_buf_fini(&job->err);
}

/* The environment with LC_ALL=C; the strings stay environ's. */
static char **env_new(void)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 2, sizeof(*env));
    if (!env)
        return NULL;
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LC_ALL=", 7) != 0)
            env[k++] = environ[i];
    static char locale[] = "LC_ALL=C";
    env[k] = locale;
    return env;
}

static int attr_init(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_init(attr);
    if (rc)
        return rc;
    /* A group of its own: compilers are drivers, and what they start has to
     * end with them. */
    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                       POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(attr, 0);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &all);
    return 0;
}

static int spawn(struct molt_job *job, int out, int err, const char *cwd, char **env)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc)
        return rc;
    rc = attr_init(&attr);
    if (rc) {
        posix_spawn_file_actions_destroy(&actions);
        return rc;
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (cwd)
        posix_spawn_file_actions_addchdir_np(&actions, cwd);
    rc = posix_spawnp(&job->pid, job->argv.v[0], &actions, &attr, job->argv.v, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* A pipe whose ends are above 2, so that the dup2 of a child can't hit them. */
static int pipe_new(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (fds[i] > 2)
            continue;
        int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        close(fds[i]);
        fds[i] = moved;
    }
    return fds[0] < 0 || fds[1] < 0 ? -1 : 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int start(struct molt_job *job, const char *cwd, char **env, struct molt_error *error)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    int rc = job->argv.is_failed || !job->argv.n ? ENOMEM : 0;
    if (!rc && (pipe_new(out) < 0 || pipe_new(err) < 0))
        rc = errno ? errno : EMFILE;
    if (!rc)
        rc = spawn(job, out[1], err[1], cwd, env);
    close_fd(&out[1]);
    close_fd(&err[1]);
    if (rc) {
        close_fd(&out[0]);
        close_fd(&err[0]);
        return molt_error_set(error, MOLT_EIO, "can't run %s: %s; is it installed?",
                              job->argv.n ? job->argv.v[0] : "a program", strerror(rc));
    }
    job->fds[0] = out[0];
    job->fds[1] = err[0];
    return 0;
}

static void reap(struct molt_job *job)
{
    int status = 0;
    while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
        ;
    job->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    molt_buf_printf(&job->out, "%s", "");
    molt_buf_printf(&job->err, "%s", "");
}

static void drain(struct molt_job *job, int which)
{
    char chunk[16384];
    ssize_t n = read(job->fds[which], chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR)
        return;
    if (n > 0)
        molt_buf_add(which ? &job->err : &job->out, chunk, (size_t)n);
    else
        close_fd(&job->fds[which]);
}

static bool is_running(const struct molt_job *job)
{
    return job->fds[0] >= 0 || job->fds[1] >= 0;
}

/* Wait until something can be read from the first @last jobs, or from
 * @interrupt; returns how many of them ended. */
static unsigned wait_some(struct molt_job *jobs, size_t last, struct pollfd *polls,
                          const struct molt_interrupt *interrupt)
{
    nfds_t n = 0;
    for (int k = 0; k < MOLT_INTERRUPT_FDS; k++)
        polls[n++] = (struct pollfd){.fd = interrupt ? interrupt->fds[k] : -1, .events = POLLIN};
    for (size_t i = 0; i < last; i++)
        for (int k = 0; k < 2; k++)
            if (jobs[i].fds[k] >= 0)
                polls[n++] = (struct pollfd){.fd = jobs[i].fds[k], .events = POLLIN};
    if (poll(polls, n, -1) < 0)
        return 0;
    unsigned ended = 0;
    n = MOLT_INTERRUPT_FDS;
    for (size_t i = 0; i < last; i++) {
        bool was_running = is_running(&jobs[i]);
        for (int k = 0; k < 2; k++)
            if (jobs[i].fds[k] >= 0 && polls[n++].revents)
                drain(&jobs[i], k);
        if (was_running && !is_running(&jobs[i])) {
            reap(&jobs[i]);
            ended++;
        }
    }
    return ended;
}

static bool is_due(const struct molt_interrupt *interrupt)
{
    struct pollfd p[MOLT_INTERRUPT_FDS];
    for (int k = 0; interrupt && k < MOLT_INTERRUPT_FDS; k++)
        p[k] = (struct pollfd){.fd = interrupt->fds[k], .events = POLLIN};
    return interrupt && poll(p, MOLT_INTERRUPT_FDS, 0) > 0 && interrupt->is_due(interrupt->user);
}

static void kill_running(struct molt_job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_running(&jobs[i]))
            kill(-jobs[i].pid, SIGKILL);
}

int molt_jobs_run(struct molt_job *jobs, size_t n, unsigned parallel, const char *cwd,
                  const struct molt_interrupt *interrupt, struct molt_error *err)
{
    if (!n)
        return 0;
    char **env = env_new();
    struct pollfd *polls = calloc(n * 2 + MOLT_INTERRUPT_FDS, sizeof(*polls));
    int rc = env && polls ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    size_t next = 0;
    unsigned running = 0;
    while (rc == 0 && (next < n || running)) {
        if (next < n && running < (parallel ? parallel : 1)) {
            rc = start(&jobs[next], cwd, env, err);
            running += rc == 0;
            next += rc == 0;
        } else {
            running -= wait_some(jobs, next, polls, interrupt);
        }
        if (rc == 0 && is_due(interrupt)) {
            rc = molt_error_set(err, MOLT_ESTALE, "interrupted");
            kill_running(jobs, next);
        }
    }
    while (running)
        running -= wait_some(jobs, next, polls, NULL);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (jobs[i].out.is_failed || jobs[i].err.is_failed)
            rc = molt_error_set(err, MOLT_ENOMEM, "out of memory while running %s",
                                jobs[i].argv.v[0]);
    free(polls);
    free(env);
    return rc;
}

int molt_job_output(const struct molt_args *argv, const char *cwd, char **ret_out,
                    struct molt_error *err)
{
    struct molt_job job;
    molt_job_init(&job);
    molt_args_copy(&job.argv, argv);
    int rc = molt_jobs_run(&job, 1, 1, cwd, NULL, err);
    if (rc == 0 && job.status != 0)
        rc = molt_error_set(err, MOLT_EIO, "%s failed: %.*s", argv->v[0], (int)job.err.len,
                            job.err.data);
    if (rc == 0) {
        while (job.out.len && job.out.data[job.out.len - 1] == '\n')
            job.out.len--;
        job.out.data[job.out.len] = 0;
        *ret_out = molt_buf_take(&job.out);
        rc = *ret_out ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    molt_job_fini(&job);
    return rc;
}
