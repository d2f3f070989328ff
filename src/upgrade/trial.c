/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "upgrade/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/confine.h"
#include "port/memfd.h"
#include "upgrade/host.h"

#define DEADLINE_DEFAULT_MS 5000
/* Of the deadline, after which the child begins no other process: what is left tells one that
 * hangs from many that take their time. */
#define BEGIN_PART(ms) ((ms) / 2)

struct
try {
    struct molt_host *host;
    struct molt_trial_report *report; /* shared with the child */
    int output_fd;                    /* what the child prints */
    int end[2];                       /* a pipe that the child alone writes to: it ends with it */
    int deadline_ms;
    struct molt_trial trial;
};

void molt_upgrade_trial_fini(struct molt_upgrade_trial *trial)
{
    free(trial->report);
    *trial = (struct molt_upgrade_trial){0};
}

/* ---- the child ------------------------------------------------------------------ */

/* On a signal's stack, and the end is near. */
static void note_fault(void *user, int signal, uintptr_t pc, uintptr_t address)
{
    struct try *t = user;
    (void)signal;
    (void)address;
    molt_trial_note_fault(&t->trial, t->host->code, (const void *)pc); /* NOLINT: an address */
}

static _Noreturn void be_child(struct try *t)
{
    molt_trial_unlock(t->host->runtime);
    if (molt_confine(t->output_fd, t->end[1], note_fault, t) >= 0) {
        t->trial.output_fd = STDOUT_FILENO;
        molt_trial_run(t->host->runtime, &t->trial);
    }
    _exit(0);
}

/* ---- the parent ----------------------------------------------------------------- */

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int open_all(struct try *t, struct molt_error *err)
{
    t->report =
        mmap(NULL, sizeof(*t->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t->report == MAP_FAILED) {
        t->report = NULL;
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the report of a trial");
    }
    t->output_fd = molt_memfd_open("molt-trial");
    if (t->output_fd < 0 || pipe2(t->end, O_CLOEXEC) < 0)
        return molt_error_set(err, MOLT_EIO, "trial: %s", strerror(errno));
    return 0;
}

static void close_all(struct try *t)
{
    if (t->report)
        munmap(t->report, sizeof(*t->report));
    if (t->output_fd >= 0)
        close(t->output_fd);
    close_both(t->end);
}

static pid_t start_child(struct try *t)
{
    /* Nothing that waits in a buffer is written twice: the child's is dropped with it. */
    molt_trial_lock(t->host->runtime);
    pid_t pid = fork();
    if (pid == 0)
        be_child(t);
    molt_trial_unlock(t->host->runtime);
    return pid;
}

/* Until the pipe ends. False at the deadline. */
static bool await_end(const struct try *t)
{
    uint64_t deadline = molt_clock_ms() + (uint64_t)t->deadline_ms;
    for (;;) {
        uint64_t now = molt_clock_ms();
        struct pollfd end = {.fd = t->end[0], .events = POLLIN};
        int rc = now < deadline ? poll(&end, 1, (int)(deadline - now)) : 0;
        if (rc > 0 && (end.revents & POLLIN)) {
            /* The child was told nothing of this end: author's code plays with numbers. */
            char ignored[64];
            if (read(t->end[0], ignored, sizeof(ignored)) > 0)
                continue;
        }
        if (rc > 0)
            return true;
        if (rc == 0 && now >= deadline)
            return false;
    }
}

static void explain(const struct try *t, bool is_in_time, int status, char *why, size_t size)
{
    bool is_calling = t->report->is_calling;
    const char *who = is_calling ? "its MOLT_CHANGE" : "converting it";
    if (!is_in_time && is_calling)
        snprintf(why, size, "its MOLT_CHANGE did not return within %d ms",
                 t->deadline_ms - BEGIN_PART(t->deadline_ms));
    else if (!is_in_time)
        snprintf(why, size, "converting it was not done within %d ms",
                 t->deadline_ms - BEGIN_PART(t->deadline_ms));
    else if (WIFSIGNALED(status))
        snprintf(why, size, "%s crashed: %s", who, strsignal(WTERMSIG(status)));
    else if (is_calling)
        snprintf(why, size,
                 "its MOLT_CHANGE ended the OS process that it was tried in (exit "
                 "code %d)",
                 WEXITSTATUS(status));
    else
        snprintf(why, size, "the trial could not be run here (exit code %d)", WEXITSTATUS(status));
}

/* When @pid is gone. */
static void settle(struct try *t, pid_t pid)
{
    char why[256];
    int status = 0;
    bool is_in_time = await_end(t);
    /* Gone already, but for a descriptor that author's code closed. */
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    bool is_fine = is_in_time && t->report->is_finished && WIFEXITED(status);
    if (!is_fine)
        explain(t, is_in_time, status, why, sizeof(why));
    molt_trial_settle(t->report, is_fine ? NULL : why);
}

static int run(struct try *t, struct molt_upgrade_trial *ret, struct molt_error *err)
{
    uint64_t start = molt_clock_ns();
    t->trial.report = t->report;
    t->trial.deadline_ns = start + (uint64_t)BEGIN_PART(t->deadline_ms) * 1000000;
    struct molt_trial_report *report = malloc(sizeof(*report));
    pid_t pid = report ? start_child(t) : -1;
    if (pid < 0) {
        int rc = report ? molt_error_set(err, MOLT_EIO, "trial: fork: %s", strerror(errno))
                        : molt_error_set(err, MOLT_ENOMEM, "no memory for a trial");
        free(report);
        return rc;
    }
    close(t->end[1]);
    t->end[1] = -1;
    settle(t, pid);
    *report = *t->report;
    *ret = (struct molt_upgrade_trial){report, molt_clock_ns() - start};
    return 0;
}

int molt_upgrade_try(struct molt_host *host, uint64_t stage, uint32_t max_states, int deadline_ms,
                     struct molt_upgrade_trial *ret, struct molt_error *err)
{
    struct molt_decision decision;
    struct molt_world *world;
    int rc = molt_upgrade_check(host, stage, &world, &decision, err);
    if (rc < 0)
        return rc;
    molt_decision_fini(&decision);
    struct try t = {.host = host,
                    .output_fd = -1,
                    .end = {-1, -1},
                    .deadline_ms = deadline_ms > 0 ? deadline_ms : DEADLINE_DEFAULT_MS,
                    .trial = {.world = world, .max_states = max_states, .output_fd = -1}};
    rc = open_all(&t, err);
    if (rc == 0)
        rc = run(&t, ret, err);
    close_all(&t);
    return rc;
}
