/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/build/fixture.h"

#include "build/keys.h"

static int check(const char *key, const char *value, struct molt_error *err)
{
    char *keys[] = {(char *)(uintptr_t)key}, *values[] = {(char *)(uintptr_t)value};
    int lines[] = {7};
    const struct molt_conf conf = {.n = 1, .keys = keys, .values = values, .lines = lines};
    *err = (struct molt_error){0};
    return molt_keys_check(&conf, "molt.conf", err);
}

static void accept(const char *key, const char *value)
{
    struct molt_error err;
    if (check(key, value, &err) < 0)
        fail_msg("%s", err.text);
}

static void refuse(const char *key, const char *value, const char *text)
{
    struct molt_error err;
    assert_int_equal(check(key, value, &err), MOLT_EFORMAT);
    if (!strstr(err.text, text))
        fail_msg("`%s` is not in: %s", text, err.text);
}

static void numbers_have_a_range(void **state)
{
    (void)state;
    accept("workers", "1");
    accept("workers", "256");
    accept("stop_ms", "0");
    accept("workers.stack_kib", "1048576");
    refuse("workers", "0", "molt.conf:7: `workers = 0`: expected a number from 1 to 256");
    refuse("workers", "257", "from 1 to 256");
    refuse("workers", "-1", "from 1 to 256");
    refuse("workers", "2 threads", "from 1 to 256");
    refuse("workers", "", "from 1 to 256");
    refuse("workers.spare", "99999999999999999999999", "from 1 to 256");
    refuse("workers.stack_kib", "8", "expected KiB from 16 to 1048576");
    refuse("stop_ms", "600001", "expected milliseconds from 0 to 600000");
}

static void switches_are_yes_or_no(void **state)
{
    (void)state;
    accept("workers.pinned", "yes");
    accept("workers.pinned", "no");
    refuse("workers.pinned", "1", "`workers.pinned = 1`: expected yes or no");
}

static void misspelt_keys_of_molts_group_are_named(void **state)
{
    (void)state;
    refuse("workers.pined", "yes",
           "there is no key `workers.pined`; did you mean `workers.pinned`?");
    refuse("workers.shoe_size", "43", "names that begin with `workers.` are molt's");
}

static void all_other_keys_are_the_apps(void **state)
{
    (void)state;
    accept("worker", "anything");
    accept("colour", "");
}

static void values_are_read_as_they_were_checked(void **state)
{
    (void)state;
    const struct molt_key *workers = molt_key_find("workers");
    const struct molt_key *pinned = molt_key_find("workers.pinned");
    assert_null(molt_key_find("colour"));
    assert_int_equal(molt_key_value(workers, "12", 3), 12);
    assert_int_equal(molt_key_value(workers, NULL, 3), 3);
    assert_int_equal(molt_key_value(workers, "many", 3), 3);
    assert_int_equal(molt_key_value(pinned, "yes", 0), 1);
    assert_int_equal(molt_key_value(pinned, "no", 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_a_range),
        cmocka_unit_test(switches_are_yes_or_no),
        cmocka_unit_test(misspelt_keys_of_molts_group_are_named),
        cmocka_unit_test(all_other_keys_are_the_apps),
        cmocka_unit_test(values_are_read_as_they_were_checked),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
