/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "build/jobs.h"
#include "support/emulated.h"

static void make(struct molt_job *job, const char *words)
{
    molt_job_init(job);
    assert_int_equal(molt_args_words(&job->argv, words), 0);
}

static void output_and_status_are_captured(void **state)
{
    (void)state;
    struct molt_job jobs[3];
    make(&jobs[0], "sh -c 'echo out; echo err >&2; exit 3'");
    make(&jobs[1], "sh -c 'kill -9 $$'");
    make(&jobs[2], "sh -c 'pwd; cat; echo $LC_ALL'");
    struct molt_error err = {0};
    assert_int_equal(molt_jobs_run(jobs, 3, 2, "/usr", NULL, &err), 0);
    assert_int_equal(jobs[0].status, 3);
    assert_memory_equal(jobs[0].out.data, "out\n", 4);
    assert_memory_equal(jobs[0].err.data, "err\n", 4);
    assert_int_equal(jobs[1].status, 128 + 9);
    assert_int_equal(jobs[2].status, 0);
    assert_memory_equal(jobs[2].out.data, "/usr\nC\n", 7);
    for (int i = 0; i < 3; i++)
        molt_job_fini(&jobs[i]);
}

static void much_output_on_both_pipes_is_read(void **state)
{
    (void)state;
    struct molt_job job;
    make(&job, "sh -c 'head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2'");
    assert_int_equal(molt_jobs_run(&job, 1, 1, NULL, NULL, NULL), 0);
    assert_int_equal(job.out.len, 300000);
    assert_int_equal(job.err.len, 300000);
    molt_job_fini(&job);
}

static void a_missing_program_is_named(void **state)
{
    (void)state;
    SKIP_IF_EMULATED("qemu's vfork is a fork, so that posix_spawn can't tell");
    struct molt_job jobs[2];
    make(&jobs[0], "true");
    make(&jobs[1], "molt-no-such-program");
    struct molt_error err = {0};
    assert_int_equal(molt_jobs_run(jobs, 2, 2, NULL, NULL, &err), MOLT_EIO);
    assert_non_null(strstr(err.text, "molt-no-such-program"));
    assert_int_equal(jobs[0].status, 0);
    molt_job_fini(&jobs[0]);
    molt_job_fini(&jobs[1]);
}

struct asked {
    int fd;
    unsigned n;
    bool answer;
};

static bool ask(void *user)
{
    struct asked *asked = user;
    uint64_t value;
    asked->n++;
    assert_int_equal(read(asked->fd, &value, sizeof(value)), sizeof(value));
    return asked->answer;
}

static void an_interrupt_kills_all_that_runs(void **state)
{
    (void)state;
    SKIP_IF_EMULATED("qemu's vfork is a fork, so that a child may have no group yet");
    struct molt_job jobs[3];
    make(&jobs[0], "sh -c 'sleep 1000 & wait'"); /* the child holds the pipe, too */
    make(&jobs[1], "sleep 1000");
    make(&jobs[2], "sleep 1000");
    struct asked asked = {.fd = eventfd(1, EFD_CLOEXEC), .answer = true};
    struct molt_interrupt interrupt = {.fds = {-1, asked.fd}, .is_due = ask, .user = &asked};
    struct molt_error err = {0};
    assert_int_equal(molt_jobs_run(jobs, 3, 1, NULL, &interrupt, &err), MOLT_ESTALE);
    assert_int_equal(asked.n, 1);
    assert_int_equal(jobs[0].status, 128 + 9);
    assert_int_equal(jobs[2].status, -1); /* never started */
    close(asked.fd);
    for (int i = 0; i < 3; i++)
        molt_job_fini(&jobs[i]);
}

static void an_event_that_is_no_reason_interrupts_nothing(void **state)
{
    (void)state;
    struct molt_job job;
    make(&job, "sh -c 'echo done'");
    struct asked asked = {.fd = eventfd(1, EFD_CLOEXEC)};
    struct molt_interrupt interrupt = {.fds = {asked.fd, -1}, .is_due = ask, .user = &asked};
    assert_int_equal(molt_jobs_run(&job, 1, 1, NULL, &interrupt, NULL), 0);
    assert_int_equal(asked.n, 1);
    assert_int_equal(job.status, 0);
    assert_string_equal(job.out.data, "done\n");
    close(asked.fd);
    molt_job_fini(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_are_captured),
        cmocka_unit_test(much_output_on_both_pipes_is_read),
        cmocka_unit_test(a_missing_program_is_named),
        cmocka_unit_test(an_interrupt_kills_all_that_runs),
        cmocka_unit_test(an_event_that_is_no_reason_interrupts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
