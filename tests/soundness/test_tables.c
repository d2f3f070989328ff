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
         "    struct molt_table_options o = {.name = \"rows\"};\n"                                 \
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
    assert_int_equal(sound_call(&s, "shop", "shop_get"), MOLT_ETYPE);
    sound_module(&s, "shop", ROW_HEADER, ROW("long n;"));
    sound_upgrade(&s);
    assert_int_equal(sound_call(&s, "shop", "shop_get"), 41);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_use_tables_of_their_own_types),
        cmocka_unit_test(what_points_to_a_block_is_not_stored),
        cmocka_unit_test(rows_outlive_code_and_are_never_misread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
