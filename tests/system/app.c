/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "system/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/listen.h"

#define ARGS_MAX 8
#define STOP_MS 20000

/* cmocka cuts what is longer than a page. */
#define fail_with(said, ...)                                                                       \
    do {                                                                                           \
        fprintf(stderr, "molt said:\n%s\n", (said) ? (said) : "");                                 \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

/* ---- ports ------------------------------------------------------------------ */

static bool is_free(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can_bind = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return can_bind;
}

/* Below the range that the kernel takes the ports of clients from, so that
 * nobody gets it by chance between this look and the app's start. */
static unsigned find_port(void)
{
    static unsigned n;
    for (unsigned i = 0; i < 9000; i++) {
        unsigned port = 10000 + ((unsigned)getpid() * 32 + n++) % 9000;
        if (is_free(port))
            return port;
    }
    fail_msg("no free port from 10000 to 18999");
    return 0;
}

/* ---- children ------------------------------------------------------------------ */

/* `molt ARG...` in @dir with both outputs to a new pipe. */
static pid_t spawn(const struct test_app *app, const char *dir, const char *const *argv,
                   int *ret_out)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (app->path)
            setenv("PATH", app->path, 1);
        if (chdir(dir) == 0 && dup2(null, 0) >= 0 && dup2(ends[1], 1) >= 0 && dup2(ends[1], 2) >= 0)
            execv(MOLT_COMMAND, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    *ret_out = ends[0];
    return pid;
}

/* As a shell counts: 128 and more for signals. */
static int join(pid_t pid, int timeout_ms)
{
    int status;
    uint64_t end = molt_clock_ms() + (uint64_t)timeout_ms;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        assert_true(ended >= 0);
        if (ended == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (molt_clock_ms() >= end)
            return -1;
        poll(NULL, 0, 2); /* its end is no event on a descriptor */
    }
}

/* Append what comes within @timeout_ms to *text. 1, 0 at the end, -1: nothing. */
static int read_some(int fd, char **text, size_t *len, int timeout_ms)
{
    char bytes[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0)
        return -1;
    ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n < 0)
        return errno == EINTR ? 1 : 0;
    char *grown = realloc(*text, *len + (size_t)n + 1);
    assert_non_null(grown);
    memcpy(grown + *len, bytes, (size_t)n);
    *len += (size_t)n;
    grown[*len] = '\0';
    *text = grown;
    return n > 0;
}

static int run_in(struct test_app *app, const char *dir, const char *const *argv, char **ret_text)
{
    int out;
    char *text = strdup("");
    size_t len = 0;
    uint64_t end = molt_clock_ms() + TEST_APP_PATIENCE_MS;
    pid_t pid = spawn(app, dir, argv, &out);
    while (molt_clock_ms() < end && read_some(out, &text, &len, 100) != 0)
        ;
    close(out);
    int code = join(pid, (int)(end - molt_clock_ms() + 1));
    if (code < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_with(text, "molt %s does not end", argv[1]);
    }
    if (ret_text)
        *ret_text = text;
    else
        free(text);
    return code;
}

int test_app_run(struct test_app *app, char **ret_text, ...)
{
    const char *argv[ARGS_MAX + 2] = {"molt"};
    va_list ap;
    va_start(ap, ret_text);
    int n = 1;
    for (const char *arg; (arg = va_arg(ap, const char *)) && n <= ARGS_MAX; n++)
        argv[n] = arg;
    va_end(ap);
    return run_in(app, app->root, argv, ret_text);
}

/* ---- files ------------------------------------------------------------------------ */

static void path_of(const struct test_app *app, const char *path, char ret[1024])
{
    int n = snprintf(ret, 1024, "%s/%s", app->root, path);
    assert_in_range(n, 1, 1023);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void test_app_overwrite(struct test_app *app, const char *path, const char *text)
{
    char full[1024];
    path_of(app, path, full);
    write_file(full, text);
}

void test_app_save(struct test_app *app, const char *path, const char *text)
{
    char full[1024], temporary[1040];
    path_of(app, path, full);
    snprintf(temporary, sizeof(temporary), "%s.tmp", full);
    write_file(temporary, text);
    assert_int_equal(rename(temporary, full), 0);
}

char *test_app_read(struct test_app *app, const char *path)
{
    char full[1024], *text = NULL;
    size_t size = 0;
    path_of(app, path, full);
    FILE *file = fopen(full, "re");
    assert_non_null(file);
    assert_true(getdelim(&text, &size, '\0', file) > 0);
    fclose(file);
    return text;
}

void test_app_edit(struct test_app *app, const char *path, const char *from, const char *to)
{
    char *text = test_app_read(app, path), *at = strstr(text, from), *edited = NULL;
    if (!at)
        fail_msg("%s has no `%s`:\n%s", path, from, text);
    assert_true(asprintf(&edited, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    test_app_save(app, path, edited);
    free(edited);
    free(text);
}

void test_app_mkdir(struct test_app *app, const char *path)
{
    char full[1024];
    path_of(app, path, full);
    assert_int_equal(mkdir(full, 0755), 0);
}

void test_app_remove(struct test_app *app, const char *path)
{
    char full[1024];
    path_of(app, path, full);
    assert_int_equal(remove(full), 0);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

/* ---- life ---------------------------------------------------------------------- */

void test_app_init(struct test_app *app)
{
    char conf[256];
    const char *const argv[] = {"molt", "new", "app", NULL};
    memset(app, 0, sizeof(*app));
    app->out = -1;
    snprintf(app->folder, sizeof(app->folder), "%s/system-XXXXXX", MOLT_BINARY_DIR);
    assert_non_null(mkdtemp(app->folder));
    assert_int_equal(run_in(app, app->folder, argv, NULL), 0);
    snprintf(app->root, sizeof(app->root), "%s/app", app->folder);
    app->port = find_port();
    app->page_port = find_port();
    snprintf(conf, sizeof(conf),
             "name = app\nstart = app\ncc = %s\nhttp.port = %u\ndev.port = %u\n"
             "http.idle_ms = 86400000\n", /* tests hold connections for longer than a minute */
             MOLT_TEST_CC, app->port, app->page_port);
    test_app_overwrite(app, "molt.conf", conf);
}

void test_app_start(struct test_app *app, const char *verb)
{
    const char *const argv[] = {"molt", verb, NULL};
    assert_int_equal(app->agent, 0);
    if (app->out >= 0)
        close(app->out);
    app->agent = spawn(app, app->root, argv, &app->out);
}

void test_app_start_live(struct test_app *app, const char *verb)
{
    test_app_start(app, verb);
    test_app_await(app, "app is live");
}

int test_app_join(struct test_app *app)
{
    int code = join(app->agent, TEST_APP_PATIENCE_MS);
    if (code < 0)
        fail_with(app->text, "molt does not end");
    app->agent = 0;
    return code;
}

int test_app_stop(struct test_app *app)
{
    kill(app->agent, SIGTERM);
    return test_app_join(app);
}

void test_app_kill_agent(struct test_app *app)
{
    kill(app->agent, SIGKILL);
    assert_int_equal(join(app->agent, STOP_MS), 128 + SIGKILL);
    app->agent = 0;
}

pid_t test_app_host(const struct test_app *app)
{
    char path[1024];
    int fd;
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    path_of(app, ".molt/host.sock", path);
    if (molt_connect_unix(path, &fd, NULL) < 0)
        return 0;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
    close(fd);
    return peer.pid;
}

void test_app_fini(struct test_app *app)
{
    int code = 0;
    if (app->agent > 0) {
        kill(app->agent, SIGTERM);
        code = join(app->agent, STOP_MS * MOLT_TEST_SLOWNESS);
    }
    if (code < 0) {
        kill(app->agent, SIGKILL);
        waitpid(app->agent, NULL, 0);
    }
    pid_t left = test_app_host(app);
    if (left > 0)
        kill(left, SIGKILL);
    if (app->out >= 0)
        close(app->out);
    nftw(app->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    char *text = app->text;
    app->text = NULL;
    if (code != 0)
        fprintf(stderr, "molt ended with %d on SIGTERM; it said:\n%s\n", code, text ? text : "");
    free(text);
    assert_int_equal(code, 0);
}

int test_app_setup(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    test_app_start_live(app, "dev");
    return 0;
}

int test_app_teardown(void **state)
{
    test_app_fini(*state);
    free(*state);
    return 0;
}

/* ---- what molt says ----------------------------------------------------------------- */

/* The first whole line from @seen on that holds one of @texts, or NULL. */
static char *find_line(struct test_app *app, const char *const *texts)
{
    char *first = NULL;
    for (size_t i = 0; app->text && texts[i]; i++) {
        char *at = strstr(app->text + app->seen, texts[i]);
        if (at && (!first || at < first))
            first = at;
    }
    char *end = first ? strchr(first, '\n') : NULL;
    if (!end)
        return NULL;
    while (first > app->text && first[-1] != '\n')
        first--;
    app->seen = (size_t)(end + 1 - app->text);
    return strndup(first, (size_t)(end - first));
}

const char *test_app_await_any(struct test_app *app, const char *const *texts)
{
    static char line[1024];
    uint64_t end = molt_clock_ms() + TEST_APP_PATIENCE_MS;
    for (char *found;;) {
        if ((found = find_line(app, texts))) {
            snprintf(line, sizeof(line), "%s", found);
            free(found);
            return line;
        }
        uint64_t now = molt_clock_ms();
        int rc = now < end ? read_some(app->out, &app->text, &app->len, (int)(end - now)) : -1;
        if (rc <= 0)
            fail_with(app->text, "waited for `%s`, %s", texts[0],
                      rc ? "in vain" : "but molt ended");
    }
}

const char *test_app_await(struct test_app *app, const char *text)
{
    const char *const texts[] = {text, NULL};
    return test_app_await_any(app, texts);
}

void test_app_listen(struct test_app *app)
{
    while (app->out >= 0 && read_some(app->out, &app->text, &app->len, 0) > 0)
        ;
}
