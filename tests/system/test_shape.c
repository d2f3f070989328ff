/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The shape of a project changes while it runs: modules and files come, go and
 * get other names, headers lie elsewhere, molt.conf is edited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static void move(struct test_app *app, const char *from, const char *to)
{
    char a[1024], b[1024];
    snprintf(a, sizeof(a), "%s/%s", app->root, from);
    snprintf(b, sizeof(b), "%s/%s", app->root, to);
    assert_int_equal(rename(a, b), 0);
}

static void assert_answers(struct test_app *app, const char *path, int status, const char *body)
{
    struct test_client client;
    test_client_open(&client, app->port);
    const char *got = test_client_get(&client, path);
    assert_int_equal(client.status, status);
    if (body)
        assert_string_equal(got, body);
    test_client_close(&client);
}

/* A module with a route that answers its name. */
static void put_module(struct test_app *app, const char *file, const char *name)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "#include <molt/http.h>\n"
             "static int say(struct molt_http *r)\n"
             "{\n    return molt_http_printf(r, 200, \"%s\\n\");\n}\n"
             "MOLT_ROUTES({\"GET\", \"/%s\", say});\n",
             name, name);
    test_app_save(app, file, text);
}

static void two_new_modules_at_once_are_one_upgrade(void **state)
{
    struct test_app *app = *state;
    test_app_overwrite(app, ".git", "gitdir: .gitdir\n"); /* as in a work tree */
    test_app_mkdir(app, ".gitdir");
    test_app_overwrite(app, ".gitdir/index.lock", "");
    put_module(app, "src/one.c", "one");
    put_module(app, "src/two.c", "two");
    test_app_remove(app, ".gitdir/index.lock");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "one@1 added"));
    assert_non_null(strstr(line, "two@1 added"));
    assert_answers(app, "/one", 200, "one\n");
    assert_answers(app, "/two", 200, "two\n");
}

static void a_module_that_got_another_name_is_deleted_and_added_at_once(void **state)
{
    struct test_app *app = *state;
    move(app, "src/one.c", "src/uno.c");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "one@1 deleted"));
    assert_non_null(strstr(line, "uno@1 added"));
    assert_answers(app, "/one", 200, "one\n"); /* its text is the same */
}

static void a_module_becomes_a_folder_and_goes_on_as_the_same(void **state)
{
    struct test_app *app = *state;
    test_app_overwrite(app, ".gitdir/index.lock", "");
    test_app_mkdir(app, "src/two");
    move(app, "src/two.c", "src/two/main.c");
    test_app_save(app, "src/two/more.c", "int two_more(void);\nint two_more(void) { return 2; }\n");
    test_app_remove(app, ".gitdir/index.lock");
    test_app_await(app, "two@1 -> 2");
    assert_answers(app, "/two", 200, "two\n");
}

static void a_file_of_a_module_goes(void **state)
{
    struct test_app *app = *state;
    test_app_remove(app, "src/two/more.c");
    test_app_await(app, "two@2 -> 3");
    assert_answers(app, "/two", 200, "two\n");
}

static void a_module_that_others_call_is_not_deleted_and_they_are_named(void **state)
{
    struct test_app *app = *state;
    move(app, "src/counter.c", "counter.away");
    test_app_await(app, "link error, nothing changed");
    /* Where the linker can't tell, because a sanitizer's names are missing, too,
     * molt does. */
    const char *const said[] = {"counter_next()", "undefined function: counter_next", NULL};
    assert_non_null(strstr(test_app_await_any(app, said), "module hello"));
    assert_answers(app, "/count", 200, "1\n");
    move(app, "src/counter.h", "counter.h.away");
    test_app_await(app, "compile error, nothing changed");
    test_app_await(app, "src/hello.c:");
    assert_answers(app, "/count", 200, "2\n");
    move(app, "counter.h.away", "src/counter.h");
    test_app_await(app, "link error, nothing changed");
    move(app, "counter.away", "src/counter.c");
    test_app_await(app, "nothing to change");
    assert_answers(app, "/count", 200, "3\n");
}

static void a_module_with_processes_is_not_deleted_and_they_are_counted(void **state)
{
    struct test_app *app = *state;
    char *text = test_app_read(app, "src/hello.c");
    test_app_overwrite(app, ".gitdir/index.lock", "");
    test_app_save(app, "src/hello.c",
                  "#include <molt/http.h>\n"
                  "static int hello(struct molt_http *r)\n"
                  "{\n    return molt_http_printf(r, 200, \"alone\\n\");\n}\n"
                  "MOLT_ROUTES({\"GET\", \"/\", hello});\n");
    move(app, "src/counter.c", "counter.away");
    move(app, "src/counter.h", "counter.h.away");
    test_app_remove(app, ".gitdir/index.lock");
    test_app_await(app, "counter refused, counter@1 goes on");
    test_app_await(app, "server counter would be gone, and 1 process of it lives");
    assert_answers(app, "/count", 200, "4\n");
    test_app_overwrite(app, ".gitdir/index.lock", "");
    move(app, "counter.away", "src/counter.c");
    move(app, "counter.h.away", "src/counter.h");
    test_app_save(app, "src/hello.c", text);
    free(text);
    test_app_remove(app, ".gitdir/index.lock");
    test_app_await(app, "nothing to change");
}

static void a_header_beside_the_sources_is_watched_once_it_is_used(void **state)
{
    struct test_app *app = *state;
    test_app_mkdir(app, "shared");
    test_app_save(app, "shared/words.h", "#define WORD \"first\\n\"\n");
    test_app_edit(app, "src/uno.c", "#include <molt/http.h>",
                  "#include <molt/http.h>\n#include \"../shared/words.h\"");
    test_app_await(app, "nothing to change");
    test_app_edit(app, "src/uno.c", "\"one\\n\"", "WORD");
    test_app_await(app, "uno@1 -> 2");
    assert_answers(app, "/one", 200, "first\n");
    test_app_save(app, "shared/words.h", "#define WORD \"second\\n\"\n");
    test_app_await(app, "uno@2 -> 3");
    assert_answers(app, "/one", 200, "second\n");
}

static void an_include_folder_that_appears_is_watched(void **state)
{
    struct test_app *app = *state;
    test_app_mkdir(app, "include");
    test_app_save(app, "include/size.h", "#define SIZE 1\n");
    test_app_edit(app, "src/uno.c", "#include \"../shared/words.h\"",
                  "#include \"../shared/words.h\"\n#include \"size.h\"");
    test_app_edit(app, "src/uno.c", "200, WORD", "200 + SIZE, WORD");
    test_app_await(app, "uno@3 -> 4");
    assert_answers(app, "/one", 201, "second\n");
    test_app_save(app, "include/size.h", "#define SIZE 2\n");
    test_app_await(app, "uno@4 -> 5");
    assert_answers(app, "/one", 202, "second\n");
}

static void flags_and_settings_of_molt_conf_hold_at_once(void **state)
{
    struct test_app *app = *state;
    char *conf = test_app_read(app, "molt.conf"), *edited;
    test_app_save(app, "src/uno.c",
                  "#include <molt/http.h>\n#include <molt/molt.h>\n"
                  "#ifndef NUMBER\n#define NUMBER 0\n#endif\n"
                  "static int say(struct molt_http *r)\n"
                  "{\n    return molt_http_printf(r, 200, \"%d %s\\n\", NUMBER,\n"
                  "                            molt_config(\"my.word\", \"none\"));\n}\n"
                  "MOLT_ROUTES({\"GET\", \"/one\", say});\n");
    test_app_await(app, "uno@5 -> 6");
    assert_answers(app, "/one", 200, "0 none\n");
    assert_true(asprintf(&edited, "%scflags.uno = -DNUMBER=7\nmy.word = some\n", conf) > 0);
    test_app_save(app, "molt.conf", edited);
    free(edited);
    test_app_await(app, "molt.conf: cflags.uno, my.word changed, and holds now");
    test_app_await(app, "uno@6 -> 7");
    assert_answers(app, "/one", 200, "7 some\n");
    assert_true(asprintf(&edited, "%scflags.uno = -DNUMBER=7\nmy.word = other\n", conf) > 0);
    test_app_save(app, "molt.conf", edited);
    test_app_await(app, "nothing to change");
    assert_answers(app, "/one", 200, "7 other\n");
    /* What is read only at the start is named. */
    char *port;
    assert_true(asprintf(&port, "%shttp.keep_alive = 5\n", edited) > 0);
    test_app_save(app, "molt.conf", port);
    test_app_await(app, "http.keep_alive changed: restart `molt dev`");
    free(port);
    free(edited);
    free(conf);
}

static void a_bad_molt_conf_changes_nothing(void **state)
{
    struct test_app *app = *state;
    char *conf = test_app_read(app, "molt.conf");
    test_app_save(app, "molt.conf", "name app\n");
    test_app_await(app, "molt.conf:1");
    assert_answers(app, "/one", 200, "7 other\n");
    test_app_remove(app, "molt.conf");
    test_app_await(app, "no molt.conf in");
    assert_answers(app, "/one", 200, "7 other\n");
    test_app_save(app, "molt.conf", conf);
    free(conf);
    test_app_await(app, "nothing to change");
}

/* A copy of what ships with molt, so that a module of it can be saved. */
static char *copy_share(struct test_app *app)
{
    char *share, *command;
    assert_true(asprintf(&share, "%s/share", app->folder) > 0);
    assert_true(asprintf(&command, "mkdir '%s' && cp -r '%s/modules' '%s/include' '%s'", share,
                         MOLT_SOURCE_DIR, MOLT_SOURCE_DIR, share) > 0);
    assert_int_equal(system(command), 0);
    free(command);
    return share;
}

static void a_save_of_a_module_that_ships_with_molt_goes_live(void **state)
{
    struct test_app *app = *state;
    char *share = copy_share(app), *command;
    assert_int_equal(test_app_stop(app), 0);
    setenv("MOLT_SHARE", share, 1);
    test_app_start_live(app, "dev");
    assert_true(asprintf(&command,
                         "echo 'int molt_more(void); int molt_more(void) { return 1; }' "
                         ">> '%s/modules/http/turn.c'",
                         share) > 0);
    assert_int_equal(system(command), 0);
    test_app_await(app, "http@1");
    unsetenv("MOLT_SHARE");
    free(command);
    free(share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_new_modules_at_once_are_one_upgrade),
        cmocka_unit_test(a_module_that_got_another_name_is_deleted_and_added_at_once),
        cmocka_unit_test(a_module_becomes_a_folder_and_goes_on_as_the_same),
        cmocka_unit_test(a_file_of_a_module_goes),
        cmocka_unit_test(a_module_that_others_call_is_not_deleted_and_they_are_named),
        cmocka_unit_test(a_module_with_processes_is_not_deleted_and_they_are_counted),
        cmocka_unit_test(a_header_beside_the_sources_is_watched_once_it_is_used),
        cmocka_unit_test(an_include_folder_that_appears_is_watched),
        cmocka_unit_test(flags_and_settings_of_molt_conf_hold_at_once),
        cmocka_unit_test(a_bad_molt_conf_changes_nothing),
        cmocka_unit_test(a_save_of_a_module_that_ships_with_molt_goes_live),
    };
    return cmocka_run_group_tests_name("the shape of a project", tests, test_app_setup,
                                       test_app_teardown);
}
