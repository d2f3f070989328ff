/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The app that `molt new` makes, in a folder of its own, and the real `molt`
 * as a child whose output comes through a pipe.
 *
 * Whatever goes wrong in here fails the running test, with all that molt said.
 * Waiting is on the pipe, 30 seconds at most, and more with a sanitizer.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_SYSTEM_APP_H
#define MOLT_TESTS_SYSTEM_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEST_APP_PATIENCE_MS (30000 * MOLT_TEST_SLOWNESS)

struct test_app {
    char folder[512]; /* temporary, of this test */
    char root[544];   /* the project in it */
    unsigned port, page_port;
    const char *path; /* PATH of children; NULL: ours */
    pid_t agent;      /* 0: none */
    int out;          /* read end of its output */
    char *text;       /* all it said; NUL-terminated */
    size_t len, seen; /* what test_app_await() has passed */
};

/* ---- life ------------------------------------------------------------------ */

/* `molt new`, with free ports; modules app, hello, counter and http. */
void test_app_init(struct test_app *app);
/* SIGTERM to the agent, which has to end in order; a host that is left over is
 * killed; the folder goes. Also after a failed test. */
void test_app_fini(struct test_app *app);

/* Start `molt @verb` ("dev", "run"). */
void test_app_start(struct test_app *app, const char *verb);
/* The same, and wait until the app is live. */
void test_app_start_live(struct test_app *app, const char *verb);
/* SIGTERM; its exit code. */
int test_app_stop(struct test_app *app);
/* The agent ended by itself, or does so now; its exit code. */
int test_app_join(struct test_app *app);
/* SIGKILL the agent; the host lives on. */
void test_app_kill_agent(struct test_app *app);

/* The process that serves, which is the listener of the host's socket; 0: none. */
pid_t test_app_host(const struct test_app *app);

/* For cmocka: *state becomes an app that is live under `molt dev`; its end. */
int test_app_setup(void **state);
int test_app_teardown(void **state);

/* ---- what molt says ----------------------------------------------------------- */

/* Wait for a line that holds @text, after the lines that were waited for
 * before. Returns the line, until the next call. */
const char *test_app_await(struct test_app *app, const char *text);
/* The same for the first line that holds one of @texts (NULL ends). */
const char *test_app_await_any(struct test_app *app, const char *const *texts);
/* Take in what was said by now, so that molt never waits for us. */
void test_app_listen(struct test_app *app);

/* Run `molt ARG...` (NULL ends) in the project to its end. Returns the exit
 * code; *ret_text (may be NULL) is what it printed to both outputs, the
 * caller's to free. */
int test_app_run(struct test_app *app, char **ret_text, ...) __attribute__((sentinel));

/* ---- files of the project -------------------------------------------------------- */

/* As editors save: a temporary file beside it, then rename. */
void test_app_save(struct test_app *app, const char *path, const char *text);
/* As `>` does: truncate, then write. */
void test_app_overwrite(struct test_app *app, const char *path, const char *text);
/* Replace the first @from, which must be there, and save. */
void test_app_edit(struct test_app *app, const char *path, const char *from, const char *to);
void test_app_mkdir(struct test_app *app, const char *path);
void test_app_remove(struct test_app *app, const char *path);
/* Whole text, the caller's to free. */
char *test_app_read(struct test_app *app, const char *path);

/* ---- talking to the app -------------------------------------------------------- */

/* A connection that is kept alive. */
struct test_client {
    int fd;
    int status;      /* of the last answer */
    char text[8192]; /* the last answer, head and body */
};

void test_client_open(struct test_client *client, unsigned port);
void test_client_close(struct test_client *client);
/* GET @path on the open connection; returns the body, until the next call. */
const char *test_client_get(struct test_client *client, const char *path);
/* Send the request only, then read the answer only. */
void test_client_ask(struct test_client *client, const char *path);
const char *test_client_answer(struct test_client *client);

#endif
