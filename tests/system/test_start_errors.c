/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What keeps molt from starting is said with its reason and a way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/app.h"

static int make(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    return 0;
}

static void assert_fails(struct test_app *app, const char *verb, const char *text)
{
    char *said;
    int code = test_app_run(app, &said, verb, NULL);
    if (code != 1 || !strstr(said, text))
        fail_msg("molt %s: %d instead of 1, `%s` expected in: %s", verb, code, text, said);
    free(said);
}

static void a_taken_port_is_named_and_the_app_starts_when_it_is_free(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)app->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char said[80];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    snprintf(said, sizeof(said), "port %u is taken by another program", app->port);
    test_app_start(app, "dev");
    test_app_await(app, said);
    test_app_await(app, "http.port in molt.conf");
    close(fd);
    test_app_edit(app, "src/hello.c", "Hello\\n", "Hallo\\n");
    test_app_await(app, "app is live");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hallo\n");
    test_client_close(&client);
    assert_int_equal(test_app_stop(app), 0);
}

static void a_bad_line_of_molt_conf_is_shown_with_its_number(void **state)
{
    struct test_app *app = *state;
    char *text = test_app_read(app, "molt.conf"), bad[600];
    snprintf(bad, sizeof(bad), "%snonsense\n", text);
    test_app_save(app, "molt.conf", bad);
    assert_fails(app, "dev", "molt.conf:7: `nonsense`: expected `key = value`");
    assert_fails(app, "build", "molt.conf:7:");
    snprintf(bad, sizeof(bad), "%scflags.nobody = -O2\n", text);
    test_app_save(app, "molt.conf", bad);
    assert_fails(app, "build", "nobody");
    test_app_save(app, "molt.conf", text);
    free(text);
}

static void a_compiler_that_is_not_there_is_named(void **state)
{
    struct test_app *app = *state;
    char *text = test_app_read(app, "molt.conf");
    test_app_save(app, "molt.conf", "name = app\nstart = app\ncc = no-such-cc\n");
    assert_fails(app, "build", "no-such-cc");
    test_app_save(app, "molt.conf", text);
    free(text);
}

static void without_molt_conf_the_way_to_make_one_is_shown(void **state)
{
    struct test_app *app = *state;
    char *text = test_app_read(app, "molt.conf");
    test_app_remove(app, "molt.conf");
    assert_fails(app, "dev", "no molt.conf here or in a folder above");
    assert_fails(app, "build", "molt new NAME");
    assert_fails(app, "run", "no molt.conf here");
    assert_fails(app, "status", "no molt.conf here");
    test_app_save(app, "molt.conf", text);
    free(text);
}

static void a_name_that_exists_is_not_made_new(void **state)
{
    struct test_app *app = *state;
    char *said;
    test_app_mkdir(app, "other");
    test_app_save(app, "other/mine", "kept\n");
    assert_int_equal(test_app_run(app, &said, "new", "other", NULL), 1);
    free(said);
    char *kept = test_app_read(app, "other/mine");
    assert_string_equal(kept, "kept\n");
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_port_is_named_and_the_app_starts_when_it_is_free),
        cmocka_unit_test(a_bad_line_of_molt_conf_is_shown_with_its_number),
        cmocka_unit_test(a_compiler_that_is_not_there_is_named),
        cmocka_unit_test(without_molt_conf_the_way_to_make_one_is_shown),
        cmocka_unit_test(a_name_that_exists_is_not_made_new),
    };
    return cmocka_run_group_tests_name("what keeps molt from starting", tests, make,
                                       test_app_teardown);
}
