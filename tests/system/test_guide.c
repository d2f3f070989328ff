/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The modules of docs/guide/processes.md, as they stand there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

/* The guide's tree, below the one that has the web server. */
static const char app_c[] =
    "#include <molt/http.h>\n"
    "#include <molt/molt.h>\n"
    "MOLT_SUPERVISOR(app, .child = {{.id = \"counter\", .server = \"counter\"},\n"
    "    {.id = \"http\", .server = \"http_listener\"}, {.id = \"shop\", .server = \"shop\"},\n"
    "    {.id = \"turnstile\", .server = \"turnstile\"}});\n";

/* What the guide leaves to the reader. */
static const char rest_c[] = "#include <molt/molt.h>\n"
                             "struct rest {\n    long n;\n};\n"
                             "MOLT_SERVER(stock, struct rest);\n"
                             "MOLT_SERVER(orders, struct rest);\n"
                             "MOLT_SERVER(import, struct rest);\n";

static const char enter_c[] =
    "#include <molt/http.h>\n"
    "#include \"door.h\"\n"
    "static int enter(struct molt_http *r)\n"
    "{\n    return molt_http_printf(r, 200, \"%d\\n\", door_enter(7));\n}\n"
    "MOLT_ROUTES({\"GET\", \"/enter\", enter});\n";

static char *read_guide(void)
{
    FILE *file = fopen(MOLT_SOURCE_DIR "/docs/guide/processes.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* Each block that begins with its file's name. */
static unsigned save_modules(struct test_app *app)
{
    static const char mark[] = "```c\n/* ";
    char *guide = read_guide(), path[64];
    unsigned n = 0;
    for (char *at = guide; (at = strstr(at, mark)) != NULL; n++) {
        char *code = at + sizeof(mark) - 1, *end = strstr(code, "\n```");
        assert_non_null(end);
        assert_int_equal(sscanf(code, "%63s", path), 1);
        end[1] = '\0';
        test_app_save(app, path, code - 3);
        at = end + 2;
    }
    free(guide);
    return n;
}

static void the_guide_s_tree_runs(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text;
    assert_int_equal(save_modules(app), 6);
    test_app_save(app, "src/rest.c", rest_c);
    test_app_save(app, "src/enter.c", enter_c);
    test_app_save(app, "src/app.c", app_c);
    test_app_start_live(app, "dev");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/enter"), "1\n");
    assert_string_equal(test_client_get(&client, "/enter"), "2\n");
    assert_int_equal(test_app_run(app, &text, "tree", NULL), 0);
    const char *const parts[] = {"app",       "counter",   "http",     "shop",
                                 "stock",     "orders",    "sessions", "simple_one_for_one",
                                 "temporary", "temporary", "import",   "transient"};
    const char *at = text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++, at++)
        if (!(at = strstr(at, parts[i])))
            fail_msg("`%s` expected in order in: %s", parts[i], text);
    free(text);
    assert_int_equal(test_app_run(app, &text, "ps", NULL), 0);
    assert_non_null(strstr(text, "state LOCKED"));
    free(text);
    test_client_close(&client);
    assert_int_equal(test_app_stop(app), 0);
}

static int setup(void **state)
{
    static struct test_app app;
    test_app_init(&app);
    *state = &app;
    return 0;
}

static int teardown(void **state)
{
    test_app_fini(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_guide_s_tree_runs)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
