/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <molt/error.h>

#include "web/json.h"
#include "web/page.h"

static void assert_keys(json_t *doc, const char *const *keys)
{
    size_t n = 0;
    for (; keys[n]; n++)
        if (!json_object_get(doc, keys[n]))
            fail_msg("key %s is missing", keys[n]);
    assert_int_equal(json_object_size(doc), n);
}

static void modules_have_their_shape(void **state)
{
    (void)state;
    static const char *const keys[] = {"module", "version",  "name", "is_current",
                                       "digest", "build_id", "base", "bytes",
                                       "age_ms", "path",     "why",  NULL};
    char module[] = "counter", path[] = "/x.so", why[] = "process 2";
    struct molt_version_record v = {.module = module,
                                    .number = 2,
                                    .digest = {0xab, 1},
                                    .build_id = {0xcd},
                                    .build_id_len = 1,
                                    .is_current = true,
                                    .path = path,
                                    .why = why};
    json_t *doc = molt_json_modules(&v, 1), *m = json_array_get(doc, 0);
    assert_keys(m, keys);
    assert_string_equal(json_string_value(json_object_get(m, "name")), "counter@2");
    assert_int_equal(json_integer_value(json_object_get(m, "version")), 2);
    assert_true(json_is_true(json_object_get(m, "is_current")));
    const char *digest = json_string_value(json_object_get(m, "digest"));
    assert_int_equal(strlen(digest), 64);
    assert_memory_equal(digest, "ab0100", 6);
    assert_string_equal(json_string_value(json_object_get(m, "build_id")), "cd");
    json_decref(doc);
}

static void worlds_and_processes_have_their_shape(void **state)
{
    (void)state;
    static const char *const world_keys[] = {"world", "is_current", "age_ms", "bytes",
                                             "holds", "owners",     NULL};
    static const char *const process_keys[] = {"pid",   "name",      "server",      "code",
                                               "world", "state",     "waiting_for", "mailbox",
                                               "bytes", "callbacks", "parent",      NULL};
    char text[] = "x";
    struct molt_world_record w = {.id = 3, .owners = text};
    struct molt_process_record p = {
        .pid = 4, .name = text, .server = text, .version = text, .state = 3, .waiting_for = text};
    json_t *worlds = molt_json_worlds(&w, 1), *processes = molt_json_processes(&p, 1);
    assert_keys(json_array_get(worlds, 0), world_keys);
    assert_keys(json_array_get(processes, 0), process_keys);
    json_t *state_name = json_object_get(json_array_get(processes, 0), "state");
    assert_string_equal(json_string_value(state_name), "suspended");
    json_decref(worlds);
    json_decref(processes);
    worlds = molt_json_worlds(NULL, 0);
    assert_true(json_is_array(worlds));
    assert_int_equal(json_array_size(worlds), 0);
    json_decref(worlds);
}

static void errors_carry_code_and_text(void **state)
{
    (void)state;
    json_t *doc = molt_json_error(MOLT_EPINNED, "");
    const char *code, *text;
    assert_int_equal(json_unpack(doc, "{s:{s:s, s:s}}", "error", "code", &code, "text", &text), 0);
    assert_string_equal(code, "MOLT_EPINNED");
    assert_string_equal(text, "still in use");
    json_decref(doc);
}

static void text_that_is_not_utf8_is_still_text(void **state)
{
    (void)state;
    json_t *doc = molt_json_text("a\xff z");
    assert_string_equal(json_string_value(doc), "a? z");
    json_decref(doc);
    doc = molt_json_text("\xc3\xa4");
    assert_string_equal(json_string_value(doc), "\xc3\xa4");
    json_decref(doc);
}

static void the_page_escapes_what_the_compiler_said(void **state)
{
    (void)state;
    struct molt_web_view view = {
        "shop", "dev", "", "compile error", "<script>alert('x' & \"y\")</script>", "", 0};
    struct molt_page page = {.view = &view, .state = "live"};
    struct molt_buf out = MOLT_BUF_INIT;
    molt_page_print(&page, &out);
    molt_buf_add(&out, "", 1);
    assert_null(strstr(out.data, "<script>"));
    assert_non_null(strstr(out.data, "What ran before goes on."));
    assert_non_null(strstr(out.data, "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)"));
    assert_non_null(strstr(out.data, "http-equiv=\"refresh\""));
    molt_buf_fini(&out);
    view.problem = "";
    view.last = "hello@1 -> 2";
    molt_page_print(&page, &out);
    molt_buf_add(&out, "", 1);
    assert_non_null(strstr(out.data, "shop is live"));
    assert_non_null(strstr(out.data, "hello@1 -&gt; 2"));
    molt_buf_fini(&out);
}

static void assert_page(const struct molt_page *page, const char *const *texts)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_page_print(page, &out);
    molt_buf_add(&out, "", 1);
    for (; *texts; texts++)
        if (!strstr(out.data, *texts))
            fail_msg("`%s` is not in: %s", *texts, out.data);
    molt_buf_fini(&out);
}

static void the_page_does_not_say_that_what_is_down_goes_on(void **state)
{
    (void)state;
    static const char *const down[] = {"shop: crash", "Nothing runs at the moment.", NULL};
    static const char *const done[] = {"class=\"bad\">shop is done", NULL};
    struct molt_web_view view = {"shop", "dev", "", "crash", "the host was killed", "", 0};
    assert_page(&(struct molt_page){.view = &view, .state = "down"}, down);
    view.problem = "";
    assert_page(&(struct molt_page){.view = &view, .state = "done"}, done);
}

static void the_page_shows_what_the_host_counts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "<th>Connections</th><td>7</td>",
        "<th>Workers</th><td>3, and 1 of 8 spare ones at work</td>",
        "<th>Stacks</th><td>5 of 256 KiB, the deepest used 20 KiB</td>", NULL};
    struct molt_web_view view = {"shop", "dev", "", "", "", "", 0};
    struct molt_stats_record stats = {.workers = 3,
                                      .stacks = 5,
                                      .connections = 7,
                                      .spares = 1,
                                      .spares_max = 8,
                                      .stack_bytes = 262144,
                                      .stack_deepest = 20480};
    assert_page(&(struct molt_page){.view = &view, .state = "live", .stats = &stats}, texts);
}

static void a_tree_nests_children_below_their_supervisor(void **state)
{
    (void)state;
    static const char *const supervisor_keys[] = {"supervisor", "pid", "strategy", "children",
                                                  NULL};
    static const char *const child_keys[] = {"id",       "pid", "restart", "is_supervisor",
                                             "restarts", NULL};
    char app[] = "app", inner[] = "inner", none[] = "", a[] = "a";
    struct molt_child_record list[] = {
        {.supervisor = 1, .supervisor_name = app, .is_self = true, .id = none, .strategy = 2},
        {.supervisor = 1, .supervisor_name = app, .id = a, .pid = 3, .restart = 1, .n_restarts = 4},
        {.supervisor = 1, .supervisor_name = app, .id = inner, .is_supervisor = true},
        {.supervisor = 2, .supervisor_name = inner, .is_self = true, .id = none, .strategy = 99}};
    json_t *doc = molt_json_tree(list, 4);
    assert_int_equal(json_array_size(doc), 2);
    json_t *first = json_array_get(doc, 0), *children = json_object_get(first, "children");
    assert_keys(first, supervisor_keys);
    assert_string_equal(json_string_value(json_object_get(first, "strategy")), "rest_for_one");
    assert_int_equal(json_array_size(children), 2);
    assert_keys(json_array_get(children, 0), child_keys);
    json_t *restart = json_object_get(json_array_get(children, 0), "restart");
    assert_string_equal(json_string_value(restart), "transient");
    json_t *second = json_array_get(doc, 1);
    assert_string_equal(json_string_value(json_object_get(second, "strategy")), "?");
    assert_int_equal(json_array_size(json_object_get(second, "children")), 0);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_have_their_shape),
        cmocka_unit_test(worlds_and_processes_have_their_shape),
        cmocka_unit_test(a_tree_nests_children_below_their_supervisor),
        cmocka_unit_test(errors_carry_code_and_text),
        cmocka_unit_test(text_that_is_not_utf8_is_still_text),
        cmocka_unit_test(the_page_escapes_what_the_compiler_said),
        cmocka_unit_test(the_page_does_not_say_that_what_is_down_goes_on),
        cmocka_unit_test(the_page_shows_what_the_host_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
