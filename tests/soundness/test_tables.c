/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Tables as modules use them: real types, real tags, across upgrades. */
#include "soundness/fixture.h"

#define HEAD                                                                                       \
    "#include \"shop.h\"\n#include <molt/table.h>\n#include <stdint.h>\n#include <string.h>\n"     \
    "#define OK(x) do { if (!(x)) return __LINE__; } while (0)\n"

#define USE                                                                                        \
    "struct hit { int64_t n; int last; char note[20]; };\n"                                        \
    "struct at { short x, y; };\n"                                                                 \
    "static int is_big(const long *key, const struct hit *hit, void *user)\n{\n"                   \
    "    (void)key;\n    ++*(int *)user;\n    return hit->n > 5;\n}\n"                             \
    "static int numbers(uint32_t kind)\n{\n"                                                       \
    "    molt_table t;\n    struct hit hit, other;\n    int64_t sum;\n    int rc, calls = 0;\n"    \
    "    OK(molt_table_new(long, struct hit, (&(struct molt_table_options){.kind = kind}),\n"      \
    "                      &t, NULL) == 0);\n"                                                     \
    "    memset(&hit, 0, sizeof hit);\n"                                                           \
    "    for (long key = 0; key < 10; key++) {\n        hit.n = key;\n"                            \
    "        OK(molt_table_put(t, &key, &hit) == 0);\n    }\n"                                     \
    "    const long seven = 7;\n    const struct hit *constant = &hit;\n"                          \
    "    OK(molt_table_insert(t, &seven, constant) == MOLT_EEXIST);\n"                             \
    "    OK(molt_table_get(t, &seven, &other) == 0 && other.n == 7);\n"                            \
    "    OK(molt_table_swap(t, &seven, &hit, &other) == 1);\n"                                     \
    "    OK(molt_table_swap(t, &seven, &other, &hit) == 0);\n"                                     \
    "    OK(molt_table_add(t, &seven, struct hit, n, 2, &sum) == 0 && sum == 11);\n"               \
    "    OK(molt_table_add(t, &(long){77}, struct hit, last, 1, NULL) == MOLT_ENOENT);\n"          \
    "    OK(molt_table_add_or(t, &(long){77}, struct hit, last, -3, &hit, &sum) == 0);\n"          \
    "    OK(sum == -3);\n"                                                                         \
    "    OK(molt_table_take(t, &(long){77}, &other) == 0 && other.last == -3);\n"                  \
    "    OK(molt_table_delete(t, &(long){77}) == MOLT_ENOENT);\n"                                  \
    "    OK(molt_table_put(t, &(int){7}, &hit) == MOLT_ETYPE);\n"                                  \
    "    OK(molt_table_get(t, &seven, &sum) == MOLT_ETYPE);\n"                                     \
    "    int n = 0;\n    long key;\n"                                                              \
    "    molt_table_each (rc, t, &key, &other)\n        n++;\n"                                    \
    "    OK(rc == MOLT_ENOENT && n == 10);\n"                                                      \
    "    OK(molt_table_select(t, long, struct hit, is_big, &calls) == 4 && calls == 10);\n"        \
    "    if (kind == MOLT_TABLE_ORDERED) {\n        n = 0;\n"                                      \
    "        molt_table_each_in (rc, t, &(long){2}, &(long){6}, &key, &other)\n"                   \
    "            OK(key == 2 + n++);\n"                                                            \
    "        OK(rc == MOLT_ENOENT && n == 4);\n"                                                   \
    "        OK(molt_table_last(t, &key, &other) == 0 && key == 9);\n"                             \
    "        OK(molt_table_prev(t, &key, &key, &other) == 0 && key == 8);\n    }\n"                \
    "    OK(molt_table_delete_if(t, long, struct hit, is_big, &calls) == 4);\n"                    \
    "    OK(molt_table_count(t) == 6);\n"                                                          \
    "    OK(molt_table_clear(t) == 0 && molt_table_count(t) == 0);\n"                              \
    "    OK(molt_table_drop(t) == 0 && molt_table_count(t) == MOLT_ESTALE);\n"                     \
    "    return 0;\n}\n"                                                                           \
    "static int names(uint32_t kind)\n{\n"                                                         \
    "    molt_table t;\n    struct molt_table_options o = {.kind = kind, .name = \"names\"};\n"    \
    "    OK(molt_table_new(char[12], struct at, &o, &t, NULL) == 0);\n"                            \
    "    OK(molt_table_put(t, \"alice\", (&(struct at){1, 2})) == 0);\n"                           \
    "    char key[12] = \"alice\";\n    struct at at;\n    molt_table same;\n"                     \
    "    OK(molt_table_get(t, &key, &at) == 0 && at.y == 2);\n"                                    \
    "    const char *text = \"bob\";\n    OK(molt_table_get(t, text, &at) == MOLT_ENOENT);\n"      \
    "    OK(molt_table_put(t, \"a longer name\", &at) == MOLT_EINVAL);\n"                          \
    "    OK(molt_table_first(t, &key, &at) == 0 && strcmp(key, \"alice\") == 0);\n"                \
    "    OK(molt_table_find(\"names\", &same) == 0 && same == t);\n"                               \
    "    struct molt_table_info info;\n    OK(molt_table_describe(t, &info) == 0);\n"              \
    "    OK(strcmp(info.value_type, \"struct at\") == 0 && info.rows == 1);\n"                     \
    "    OK(molt_table_drop(t) == 0);\n"                                                           \
    "    OK(molt_table_new(struct at, long, &o, &t, NULL) == 0);\n"                                \
    "    OK(molt_table_put(t, (&(struct at){3, 4}), &(long){5}) == 0);\n"                          \
    "    long got = 0;\n"                                                                          \
    "    OK(molt_table_get(t, (&(struct at){3, 4}), &got) == 0 && got == 5);\n"                    \
    "    return molt_table_drop(t);\n}\n"                                                          \
    "int shop_test(void)\n{\n    int rc = numbers(MOLT_TABLE_SET);\n"                              \
    "    if (rc == 0)\n        rc = numbers(MOLT_TABLE_ORDERED);\n"                                \
    "    if (rc == 0)\n        rc = names(MOLT_TABLE_SET);\n"                                      \
    "    return rc ? rc : names(MOLT_TABLE_ORDERED);\n}\n"

static void modules_use_tables_of_their_own_types(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", "int shop_test(void);\n", HEAD USE);
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_test"), 0);
    sound_close(&s);
}

static void what_points_to_a_block_is_not_stored(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", "int shop_test(void);\n",
                 HEAD "struct item { long n; };\nstruct ptr { struct item *item; };\n"
                      "struct any { void *any; };\n"
                      "int shop_test(void)\n{\n    molt_table t;\n    struct molt_error err;\n"
                      "    OK(molt_table_new(long, struct ptr, NULL, &t, &err) == MOLT_EINVAL);\n"
                      "    OK(strstr(err.text, \"'item' points to data\"));\n"
                      "    OK(molt_table_new(double, long, NULL, &t, &err) == MOLT_EINVAL);\n"
                      "    OK(molt_table_new(long, struct any, NULL, &t, &err) == 0);\n"
                      "    struct item *item = molt_new(struct item);\n"
                      "    struct any any = {item};\n    long key = 1;\n"
                      "    OK(molt_table_put(t, &key, &any) == MOLT_EOWNER);\n"
                      "    any.any = &key;\n    OK(molt_table_put(t, &key, &any) == 0);\n"
                      "    molt_free(item);\n    return molt_table_drop(t);\n}\n");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_test"), 0);
    sound_close(&s);
}

#define ROW(fields)                                                                                \
    HEAD "struct row { " fields " };\n"                                                            \
         "int shop_make(void)\n{\n    molt_table t;\n"                                             \
         "    struct molt_table_options o = {.name = \"rows\", .access = MOLT_TABLE_PUBLIC};\n"    \
         "    OK(molt_table_new(long, struct row, &o, &t, NULL) == 0);\n"                          \
         "    struct row row = {0};\n    row.n = 41;\n"                                            \
         "    return molt_table_put(t, &(long){1}, &row);\n}\n"                                    \
         "int shop_get(void)\n{\n    molt_table t;\n    struct row row = {0};\n"                   \
         "    OK(molt_table_find(\"rows\", &t) == 0);\n"                                           \
         "    int rc = molt_table_get(t, &(long){1}, &row);\n"                                     \
         "    return rc < 0 ? rc : (int)row.n;\n}\n"

#define ROW_HEADER "int shop_make(void);\nint shop_get(void);\n"

static void rows_outlive_code_and_are_never_misread(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", ROW_HEADER, ROW("long n;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_make"), 0);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    /* New code, same layout. */
    sound_module(&s, "shop", ROW_HEADER "int shop_two(void);\n",
                 ROW("long n;") "int shop_two(void)\n{\n    return 2;\n}\n");
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    /* Another layout of the same name. */
    sound_module(&s, "shop", ROW_HEADER, ROW("int more; long n;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    /* The way back. */
    sound_module(&s, "shop", ROW_HEADER, ROW("long n;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_close(&s);
}

static void rows_gain_fields_and_widen_and_go_back(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", ROW_HEADER, ROW("int n; short kind;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_make"), 0);
    sound_module(&s, "shop", ROW_HEADER, ROW("short more[9]; long kind; long n; char note[40];"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_module(&s, "shop", ROW_HEADER, ROW("int n; short kind;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_close(&s);
}

#define BIG_HEADER "int shop_make(void);\nint shop_get(void);\nint shop_big(void);\n"
#define BIG(type)                                                                                  \
    ROW(type " n;")                                                                                \
    "int shop_big(void)\n{\n    molt_table t;\n    struct row row = {0};\n"                        \
    "    row.n = (" type ")(1L << 40);\n"                                                          \
    "    OK(molt_table_find(\"rows\", &t) == 0);\n"                                                \
    "    return molt_table_put(t, &(long){17}, &row);\n}\n"

static void rows_that_do_not_fit_refuse_and_are_named(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", BIG_HEADER, BIG("int"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_make"), 0);
    sound_module(&s, "shop", BIG_HEADER, BIG("unsigned"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_module(&s, "shop", BIG_HEADER, BIG("long"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_big"), 0);
    /* No way for new code, as the matcher sees it. */
    sound_module(&s, "shop", BIG_HEADER, BIG("short"));
    sound_refused(&s, MOLT_ECHANGE, "table 'rows'");
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    /* There is a way back, but not for this row. */
    sound_module(&s, "shop", BIG_HEADER, BIG("unsigned"));
    sound_refused(&s, MOLT_ECHANGE, "key 17");
    assert_non_null(strstr(rig_error(s.rig), "1099511627776"));
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_close(&s);
}

/* A server that stays in its callback, and reads and writes a row when it is told to. */
#define STAYER(fields, keep)                                                                       \
    ROW(fields)                                                                                    \
    "struct stay { long n; };\n"                                                                   \
    "static int init(long *s, const struct stay *arg)\n{\n    (void)s;\n    (void)arg;\n    "      \
    "return 0;\n}\n"                                                                               \
    "static int on_stay(long *s, struct stay *m)\n{\n    (void)s;\n    (void)m;\n"                 \
    "    molt_table t;\n    struct row row = {0};\n    int64_t sum = 0;\n"                         \
    "    molt_table_find(\"rows\", &t);\n    SET(CELL_A, 1);\n    WAIT(CELL_GO);\n"                \
    "    int rc = molt_table_get(t, &(long){1}, &row);\n"                                          \
    "    SET(CELL_B, rc ? rc : row.n);\n"                                                          \
    "    row.n++;\n    molt_table_put(t, &(long){1}, &row);\n"                                     \
    "    molt_table_add(t, &(long){1}, struct row, n, 10, &sum);\n"                                \
    "    SET(CELL_C, sum);\n    return 0;\n}\n"                                                    \
    "MOLT_SERVER(stayer, long, .init = MOLT_FN(init), .on = { MOLT_CAST(struct stay, on_stay) "    \
    "});\n"                                                                                        \
    "int shop_stay(void)\n{\n    return molt_send(\"stayer\", molt_new(struct stay));\n}\n"        \
    "int shop_keep(void)\n{\n    molt_table t;\n    struct row row = {0};\n"                       \
    "    OK(molt_table_find(\"rows\", &t) == 0 && molt_table_get(t, &(long){1}, &row) == 0);\n"    \
    "    int kept = (int)row." keep ";\n    row." keep " = 77;\n"                                  \
    "    OK(molt_table_put(t, &(long){1}, &row) == 0);\n    return kept;\n}\n"

#define STAYER_HEADER ROW_HEADER "int shop_stay(void);\nint shop_keep(void);\n"

static void a_straggler_works_on_the_rows_of_new_code(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", STAYER_HEADER, STAYER("long n;", "n"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_make"), 0);
    sound_spawn("stayer");
    assert_int_equal(sound_call(&s, "shop", "shop_stay"), 0);
    cell_await(&s.a, 1);
    sound_module(&s, "shop", STAYER_HEADER, STAYER("int before; long n; long kept;", "kept"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_keep"), 0);
    assert_int_equal(sound_call(&s, "shop", "shop_keep"), 77);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 52);
    assert_int_equal(atomic_load(&s.b.value), 41);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 52);
    assert_int_equal(sound_call(&s, "shop", "shop_keep"), 77);
    sound_close(&s);
}

/* ---- pointers in rows ------------------------------------------------------------ */

#define HOOK_HEADER "int shop_hook(void);\nint shop_call(void);\n"
#define HOOK(fields, result)                                                                       \
    HEAD "struct hook { " fields " int (*fn)(void); const char *text; };\n"                        \
         "static int local(void)\n{\n    return " result ";\n}\n"                                  \
         "int shop_hook(void)\n{\n    molt_table t;\n"                                             \
         "    struct molt_table_options o = {.name = \"hooks\"};\n"                                \
         "    OK(molt_table_new(long, struct hook, &o, &t, NULL) == 0);\n"                         \
         "    struct hook hook = {0};\n    hook.fn = local;\n    hook.text = \"hello\";\n"         \
         "    return molt_table_put(t, &(long){1}, &hook);\n}\n"                                   \
         "int shop_call(void)\n{\n    molt_table t;\n    struct hook hook = {0};\n"                \
         "    OK(molt_table_find(\"hooks\", &t) == 0);\n"                                          \
         "    OK(molt_table_get(t, &(long){1}, &hook) == 0);\n"                                    \
         "    return strcmp(hook.text, \"hello\") == 0 ? hook.fn() : -1;\n}\n"

static void pointers_in_rows_follow_and_pins_go(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "shop", HOOK_HEADER, HOOK("", "1"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_hook"), 0);
    assert_int_equal(sound_call(&s, "shop", "shop_call"), 1);
    /* The layout changes. */
    sound_module(&s, "shop", HOOK_HEADER, HOOK("long more;", "2"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_call"), 2);
    rig_await_unloaded(s.rig, "shop", 5000);
    /* The code alone changes: housekeeping leads them on. */
    sound_module(&s, "shop", HOOK_HEADER, HOOK("long more;", "3"));
    sound_upgrade(&s);
    rig_await_unloaded(s.rig, "shop", 5000);
    assert_int_equal(sound_call(&s, "shop", "shop_call"), 3);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_use_tables_of_their_own_types),
        cmocka_unit_test(what_points_to_a_block_is_not_stored),
        cmocka_unit_test(rows_outlive_code_and_are_never_misread),
        cmocka_unit_test(rows_gain_fields_and_widen_and_go_back),
        cmocka_unit_test(rows_that_do_not_fit_refuse_and_are_named),
        cmocka_unit_test(a_straggler_works_on_the_rows_of_new_code),
        cmocka_unit_test(pointers_in_rows_follow_and_pins_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
