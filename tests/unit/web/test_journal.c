/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "web/journal.h"

static int setup(void **state)
{
    struct molt_journal *journal;
    assert_int_equal(molt_journal_new(&journal), 0);
    *state = journal;
    return 0;
}

static int teardown(void **state)
{
    molt_journal_free(*state);
    return 0;
}

static void push(struct molt_journal *journal, uint64_t n)
{
    char text[32];
    snprintf(text, sizeof(text), "message %llu", (unsigned long long)n);
    molt_journal_push(journal, 1000 + n, n % 2 ? MOLT_INFO : MOLT_WARN, text);
}

/* Messages @from to @to, and nothing else. */
static void assert_messages(struct molt_journal *journal, uint64_t after, uint64_t from,
                            uint64_t to)
{
    json_t *list = molt_journal_json(journal, after), *message;
    size_t i;
    assert_int_equal(json_array_size(list), to + 1 - from);
    json_array_foreach(list, i, message)
    {
        char text[32];
        snprintf(text, sizeof(text), "message %llu", (unsigned long long)(from + i));
        assert_int_equal(json_integer_value(json_object_get(message, "number")), from + i);
        assert_int_equal(json_integer_value(json_object_get(message, "time_ms")), 1000 + from + i);
        assert_string_equal(json_string_value(json_object_get(message, "text")), text);
        assert_string_equal(json_string_value(json_object_get(message, "level")),
                            (from + i) % 2 ? "info" : "warning");
    }
    json_decref(list);
}

static void an_empty_journal_has_no_messages(void **state)
{
    assert_int_equal(molt_journal_newest(*state), 0);
    assert_messages(*state, 0, 1, 0);
}

static void messages_come_in_order_and_after_a_number(void **state)
{
    for (uint64_t n = 1; n <= 5; n++)
        push(*state, n);
    assert_int_equal(molt_journal_newest(*state), 5);
    assert_messages(*state, 0, 1, 5);
    assert_messages(*state, 3, 4, 5);
    assert_messages(*state, 5, 6, 5);
    assert_messages(*state, 99, 6, 5);
}

static void the_oldest_give_way_and_numbers_go_on(void **state)
{
    for (uint64_t n = 1; n <= MOLT_JOURNAL_MAX + 7; n++)
        push(*state, n);
    assert_messages(*state, 0, 8, MOLT_JOURNAL_MAX + 7);
    assert_messages(*state, MOLT_JOURNAL_MAX, MOLT_JOURNAL_MAX + 1, MOLT_JOURNAL_MAX + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_journal_has_no_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_come_in_order_and_after_a_number, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_give_way_and_numbers_go_on, setup, teardown),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
