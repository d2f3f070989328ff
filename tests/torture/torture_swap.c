/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Swaps as fast as they go, good ones and bad ones, under fifty connections at
 * full speed: no request fails, no connection is lost, no count is lost or
 * doubled, memory does not grow, and the host never crashes.
 *
 * MOLT_TORTURE_SECONDS (20) or MOLT_TORTURE_MINUTES: how long; MOLT_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/listen.h"
#include "control/protocol.h"
#include "torture/project.h"

#define GROWTH_MAX_MIB 48 /* reserved ranges and caches fill during a short run */

static long resident_mib(pid_t pid)
{
    char path[64];
    long pages = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
}

/* A second agent is turned away, whatever it says. */
static void throw_frames(struct torture *t)
{
    char path[600];
    int fd;
    uint8_t bytes[256];
    snprintf(path, sizeof(path), "%s/.molt/host.sock", t->app.root);
    assert_int_equal(molt_connect_unix(path, &fd, NULL), 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)torture_random(t, 256);
    if (torture_random(t, 2))
        molt_frame_header(bytes, (uint32_t)torture_random(t, 80), 1,
                          torture_random(t, 2) ? 0xffffffffu : 200, (int)torture_random(t, 2));
    (void)!send(fd, bytes, torture_random(t, sizeof(bytes)), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* A file that is not of the project: good, broken, or one that would take a
 * route of the app. */
static void load_file(struct torture *t)
{
    static const char *const texts[] = {
        "int broken(\n", "__attribute__((constructor)) static void early(void) {}\n",
        "_Thread_local int mine; int get(void); int get(void) { return mine; }\n",
        "int nowhere(void); int get(void); int get(void) { return nowhere(); }\n",
        "#include <molt/http.h>\n"
        "static int more(struct molt_http *r) { return molt_http_printf(r, 200, \"more\\n\"); }\n"
        "MOLT_ROUTES({\"GET\", \"/more\", more});\n"};
    size_t i = torture_random(t, sizeof(texts) / sizeof(*texts));
    char *text;
    test_app_save(&t->app, "more.c", texts[i]);
    int code = test_app_run(&t->app, &text, "load", "more.c", NULL);
    if (i < 4 && code != 1)
        fail_msg("molt load ended with %d: %s", code, text);
    free(text);
}

static void nothing_is_lost_while_code_is_swapped(void **state)
{
    struct torture *t = *state;
    pid_t host = test_app_host(&t->app);
    long before = 0;
    uint64_t warm_ms = molt_clock_ms() + (t->end_ms - molt_clock_ms()) / 3;
    while (!torture_is_over(t)) {
        torture_save(t, torture_random(t, 4) > 0);
        if (torture_random(t, 6) == 0)
            throw_frames(t);
        if (torture_random(t, 16) == 0)
            load_file(t);
        torture_check(t);
        if (!before && molt_clock_ms() > warm_ms)
            before = resident_mib(host);
    }
    torture_finish(t);
    assert_int_equal(test_app_host(&t->app), host);
    assert_true(t->n_live > 0);
    long after = resident_mib(host);
    print_message("resident %ld -> %ld MiB\n", before, after);
    /* A sanitizer keeps what was freed for a while. */
    if (MOLT_TEST_SLOWNESS == 1)
        assert_true(after <= before + GROWTH_MAX_MIB);
}

static int start(void **state)
{
    struct torture *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    *state = t;
    torture_start(t, 1);
    return 0;
}

static int stop(void **state)
{
    torture_fini(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_while_code_is_swapped),
    };
    return cmocka_run_group_tests_name("swaps under load", tests, start, stop);
}
