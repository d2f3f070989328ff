/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <molt/error.h>

/* "ä" is two bytes, and the text is longer than there is room by one of them. */
static void cut_text_ends_at_a_character(void **state)
{
    (void)state;
    char path[MOLT_ERROR_TEXT_MAX + 2];
    for (size_t i = 0; i < sizeof(path) - 2; i += 2)
        memcpy(path + i, "\xc3\xa4", 3);
    struct molt_error err;

    molt_error_set(&err, MOLT_ENOENT, "%s", path);
    assert_string_equal(err.text + strlen(err.text) - 5, "\xc3\xa4...");
    molt_error_set(&err, MOLT_ENOENT, "x%s", path);
    assert_string_equal(err.text + strlen(err.text) - 5, "\xc3\xa4...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_text_ends_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
