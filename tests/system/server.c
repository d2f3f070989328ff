/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "system/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 120000

struct system_server {
    char root[256];
    pid_t agent, host;
    unsigned port;
    bool has_share;
};

/* ---- files ------------------------------------------------------------------- */

static char *read_text(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "re");
    assert_non_null(text);
    if (file) {
        text[fread(text, 1, 65535, file)] = '\0';
        fclose(file);
    }
    return text;
}

static char *output_of(const struct system_server *s)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/output", s->root);
    return read_text(path);
}

static void fail_with_output(const struct system_server *s, const char *what)
{
    char *text = output_of(s);
    fprintf(stderr, "%s; molt said:\n%s\n", what, text);
    free(text);
    fail_msg("%s", what);
}

void system_server_write(struct system_server *s, const char *path, const char *text)
{
    char full[600];
    snprintf(full, sizeof(full), "%s/%s", s->root, path);
    FILE *file = fopen(full, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void system_server_edit(struct system_server *s, const char *path, const char *from, const char *to)
{
    char full[600];
    snprintf(full, sizeof(full), "%s/%s", s->root, path);
    char *text = read_text(full), *at = strstr(text, from);
    assert_non_null(at);
    char *edited = NULL;
    assert_true(asprintf(&edited, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    system_server_write(s, path, edited);
    free(edited);
    free(text);
}

struct system_server *system_server_new(const char *config)
{
    struct system_server *s = calloc(1, sizeof(*s));
    char path[300], conf[1024];
    assert_non_null(s);
    snprintf(s->root, sizeof(s->root), "%s/system-XXXXXX", MOLT_BINARY_DIR);
    assert_non_null(mkdtemp(s->root));
    snprintf(path, sizeof(path), "%s/src", s->root);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(conf, sizeof(conf), "name = system\nstart = app\nhttp.port = 0\n%s", config);
    system_server_write(s, "molt.conf", conf);
    return s;
}

/* ---- processes ----------------------------------------------------------------- */

/* molt @verb in the project's folder; its output goes to a file there. */
static pid_t start_molt(const struct system_server *s, const char *verb)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    char share[300];
    snprintf(share, sizeof(share), "%s/share", s->root);
    if (s->has_share)
        setenv("MOLT_SHARE", share, 1);
    int fd = chdir(s->root) == 0 ? open("output", O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0)
        execl(MOLT_COMMAND, "molt", verb, (char *)NULL);
    _exit(127);
}

static bool has_ended(pid_t pid, int *ret_status)
{
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void run_molt(struct system_server *s, const char *verb)
{
    int status;
    pid_t pid = start_molt(s, verb);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_with_output(s, verb);
}

/* The only child of the agent. */
static pid_t host_of(pid_t agent)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)agent, (int)agent);
    char *text = read_text(path);
    pid_t pid = (pid_t)atoi(text);
    free(text);
    return pid;
}

static bool find_port(struct system_server *s)
{
    char *text = output_of(s), *at = strstr(text, "http: listening on ");
    if (at)
        at = strstr(at, " port ");
    if (at && strchr(at, '\n'))
        s->port = (unsigned)atoi(at + 6);
    free(text);
    return s->port > 0;
}

static bool has_said(const struct system_server *s, const char *text)
{
    char *output = output_of(s);
    bool is_there = strstr(output, text) != NULL;
    free(output);
    return is_there;
}

/* The output is a file, so its lines are no events: look again, with a
 * deadline. */
void system_server_await(struct system_server *s, const char *text)
{
    int status;
    for (int waited_ms = 0; !has_said(s, text); waited_ms += 20) {
        if (has_ended(s->agent, &status)) {
            s->agent = 0;
            fail_with_output(s, "molt has ended");
        }
        if (waited_ms > PATIENCE_MS)
            fail_with_output(s, text);
        poll(NULL, 0, 20);
    }
}

void system_server_start(struct system_server *s, bool is_dev)
{
    if (!is_dev)
        run_molt(s, "build");
    s->agent = start_molt(s, is_dev ? "dev" : "run");
    system_server_await(s, " is live");
    if (!find_port(s))
        fail_with_output(s, "the app doesn't say its port");
    s->host = host_of(s->agent);
    assert_true(s->host > 0);
}

static void end_agent(struct system_server *s)
{
    int status;
    kill(s->agent, SIGTERM);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS / 4; waited_ms += 20) {
        if (has_ended(s->agent, &status)) {
            s->agent = 0;
            return;
        }
        poll(NULL, 0, 20);
    }
    kill(s->agent, SIGKILL);
    kill(s->host, SIGKILL);
    waitpid(s->agent, &status, 0);
    fail_with_output(s, "molt run doesn't end on SIGTERM");
}

static void remove_folder(const struct system_server *s)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", s->root, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

void system_server_free(struct system_server *s)
{
    if (!s)
        return;
    if (s->agent > 0)
        end_agent(s);
    remove_folder(s);
    free(s);
}

static void copy_folder(const char *from, const char *to)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("cp", "cp", "-r", "--", from, to, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

void system_server_own_share(struct system_server *s)
{
    char share[300];
    snprintf(share, sizeof(share), "%s/share", s->root);
    assert_int_equal(mkdir(share, 0755), 0);
    copy_folder(MOLT_SOURCE_DIR "/modules", share);
    copy_folder(MOLT_SOURCE_DIR "/include", share);
    s->has_share = true;
}

/* ---- looking -------------------------------------------------------------------- */

unsigned system_server_port(const struct system_server *s)
{
    return s->port;
}

bool system_server_is_running(const struct system_server *s)
{
    return kill(s->agent, 0) == 0 && host_of(s->agent) == s->host;
}

size_t system_server_memory(const struct system_server *s)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)s->host);
    char *text = read_text(path), *rest = strchr(text, ' ');
    size_t pages = rest ? strtoul(rest, NULL, 10) : 0;
    free(text);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

unsigned system_server_descriptors(const struct system_server *s)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->host);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}
