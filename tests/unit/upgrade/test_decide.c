/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The decision, from worlds made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "upgrade/decide.h"

static const struct molt_server desc = {.name = "counter"};

/* Types differ by address; shape and size are what a change is found by. */
static const struct molt_type old_state = {.name = "struct counter", .shape = 1, .size = 8};
static const struct molt_type new_state = {.name = "struct counter", .shape = 2, .size = 16};
static const struct molt_type spelled_out = {.name = "struct counter_1", .shape = 1, .size = 8};
static const struct molt_type other_size = {.name = "struct counter_0", .shape = 1, .size = 4};
static const struct molt_type next = {.name = "struct next", .shape = 3, .size = 8};
static const struct molt_type wider_next = {.name = "struct next", .shape = 4, .size = 16};

struct world {
    struct molt_world world;
    struct molt_server_ref server;
    const struct molt_type *handlers[2];
    const struct molt_type *changes[2];
};

/* The version is only compared. */
static void make(struct world *w, int version, const struct molt_type *state,
                 const struct molt_type *handler, const struct molt_type *change)
{
    memset(w, 0, sizeof(*w));
    w->handlers[0] = handler;
    w->changes[0] = change;
    w->server = (struct molt_server_ref){
        .desc = &desc,
        .version = (const struct molt_version *)(uintptr_t)(0x1000 * version),
        .state_type = state,
        .handler_types = w->handlers,
        .change_types = w->changes,
        .n_handlers = handler ? 1 : 0,
        .n_changes = change ? 1 : 0,
    };
    w->world.servers = &w->server;
    w->world.n_servers = 1;
}

static const char *name_of(void *user, int id)
{
    (void)user;
    assert_int_equal(id, 0);
    return "counter";
}

static size_t count(void *user, int id)
{
    (void)id;
    return *(size_t *)user;
}

static struct molt_decision decide(struct world *old, struct world *now, size_t n)
{
    struct molt_decision decision;
    assert_int_equal(molt_decide(&old->world, &now->world, name_of, count, &n, &decision), 0);
    return decision;
}

static void equal_layouts_need_nothing(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &old_state, &next, NULL);
    struct molt_decision d = decide(&old, &now, 100);
    assert_false(d.is_refused);
    assert_int_equal(d.conversion.n_types, 0);
    molt_decision_fini(&d);
}

static void same_version_is_not_looked_at(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 1, &new_state, &wider_next, NULL);
    struct molt_decision d = decide(&old, &now, 100);
    assert_false(d.is_refused || d.conversion.n_types > 0);
    molt_decision_fini(&d);
}

static void changed_state_without_a_change_is_refused_by_name(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &new_state, &next, NULL);
    struct molt_decision d = decide(&old, &now, 3);
    assert_true(d.is_refused);
    char *reasons = molt_buf_take(&d.reasons);
    assert_non_null(strstr(reasons, "counter"));
    assert_non_null(strstr(reasons, "3 processes have it"));
    assert_non_null(strstr(reasons, "MOLT_CHANGE"));
    free(reasons);
    molt_decision_fini(&d);
}

static void changed_state_that_nobody_has_is_fine(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &new_state, &next, NULL);
    struct molt_decision d = decide(&old, &now, 0);
    assert_false(d.is_refused);
    molt_decision_fini(&d);
}

static void change_is_found_by_layout_not_by_name(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &new_state, &next, &spelled_out);
    struct molt_decision d = decide(&old, &now, 3);
    assert_false(d.is_refused);
    molt_decision_fini(&d);
}

static void change_from_another_layout_does_not_count(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &new_state, &next, &other_size);
    struct molt_decision d = decide(&old, &now, 1);
    assert_true(d.is_refused);
    molt_decision_fini(&d);
}

static void message_layout_that_goes_is_waited_for(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &old_state, &wider_next, NULL);
    struct molt_decision d = decide(&old, &now, 1);
    assert_false(d.is_refused);
    assert_int_equal(d.conversion.n_types, 1);
    assert_ptr_equal(d.conversion.gone_types[0], &next);
    molt_decision_fini(&d);
}

static void server_that_goes_is_refused_while_processes_run_it(void **state)
{
    (void)state;
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &old_state, &next, NULL);
    now.server.desc = NULL;
    struct molt_decision d = decide(&old, &now, 1);
    assert_true(d.is_refused);
    molt_decision_fini(&d);
    d = decide(&old, &now, 0);
    assert_false(d.is_refused);
    molt_decision_fini(&d);
}

/* ---- state machines ---- */

static const struct molt_state_table two = {.state = {{.name = "A"}, {.name = "B"}}};
static const struct molt_state_table three = {
    .state = {{.name = "A"}, {.name = "B"}, {.name = "C"}}};

static struct molt_decision decide_states(const struct molt_state_table *from,
                                          const struct molt_state_table *to, size_t n)
{
    struct world old, now;
    make(&old, 1, &old_state, &next, NULL);
    make(&now, 2, &old_state, &next, NULL);
    old.server.states = from;
    now.server.states = to;
    return decide(&old, &now, n);
}

static void states_that_keep_their_numbers_need_nothing(void **state)
{
    (void)state;
    struct molt_decision d = decide_states(&two, &three, 5);
    assert_false(d.is_refused);
    assert_int_equal(d.conversion.n_types, 0);
    molt_decision_fini(&d);
}

static void server_that_changes_its_kind_is_refused_while_processes_run_it(void **state)
{
    (void)state;
    struct molt_decision d = decide_states(&two, NULL, 2);
    assert_true(d.is_refused);
    assert_non_null(strstr(d.reasons.data, "counter would cease to be a state machine while 2"));
    molt_decision_fini(&d);
    d = decide_states(NULL, &two, 1);
    assert_non_null(strstr(d.reasons.data, "would become a state machine while 1 process runs"));
    molt_decision_fini(&d);
    d = decide_states(NULL, &two, 0);
    assert_false(d.is_refused);
    molt_decision_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_layouts_need_nothing),
        cmocka_unit_test(same_version_is_not_looked_at),
        cmocka_unit_test(changed_state_without_a_change_is_refused_by_name),
        cmocka_unit_test(changed_state_that_nobody_has_is_fine),
        cmocka_unit_test(change_is_found_by_layout_not_by_name),
        cmocka_unit_test(change_from_another_layout_does_not_count),
        cmocka_unit_test(message_layout_that_goes_is_waited_for),
        cmocka_unit_test(server_that_goes_is_refused_while_processes_run_it),
        cmocka_unit_test(states_that_keep_their_numbers_need_nothing),
        cmocka_unit_test(server_that_changes_its_kind_is_refused_while_processes_run_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
