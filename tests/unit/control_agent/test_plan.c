/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "control/agent/backoff.h"
#include "control/agent/plan.h"

/* Metas are written by hand: only what the planner looks at. */

static char counter_name[] = "counter", hello_name[] = "hello", next_name[] = "counter_next",
            state_key[] = "counter/counter.c:struct counter", state_text[] = "struct counter",
            old_text[] = "struct counter_v1", old_key[] = "counter/counter.c:struct counter_v1",
            hits_name[] = "hits";
static char none[] = "", lock_text[] = "it contains a lock", fresh_text[] = "MOLT_FRESH";

struct fixture {
    struct molt_meta counter, hello;
    struct molt_meta_symbol exports[1], imports[1];
    struct molt_meta_type types[2];
    struct molt_meta_server servers[1];
    uint32_t changes[1];
    struct molt_meta_header counter_headers[1], hello_headers[1];
    struct molt_meta_global globals[1];
};

/* counter exports counter_next() and has a server of that name; hello calls it. */
static void make(struct fixture *f, uint8_t seed)
{
    *f = (struct fixture){0};
    f->exports[0] = (struct molt_meta_symbol){.module = counter_name, .name = next_name, .sig = 7};
    f->imports[0] = f->exports[0];
    f->types[0] =
        (struct molt_meta_type){.key = state_key, .name = state_text, .hash = 1, .shape = 101};
    f->types[1] =
        (struct molt_meta_type){.key = old_key, .name = old_text, .hash = 11, .shape = 101};
    f->servers[0] = (struct molt_meta_server){.name = counter_name,
                                              .state_type = 0,
                                              .init_type = MOLT_TYPE_NONE};
    f->changes[0] = 1;
    f->counter_headers[0] = (struct molt_meta_header){counter_name, {1}};
    f->hello_headers[0] = (struct molt_meta_header){counter_name, {1}};
    f->globals[0] =
        (struct molt_meta_global){.name = hits_name, .type = hits_name, .obstacle = none};
    f->counter = (struct molt_meta){.module = counter_name,
                                    .digest = {seed, 1},
                                    .content = seed,
                                    .n_exports = 1,
                                    .exports = f->exports,
                                    .n_types = 2,
                                    .types = f->types,
                                    .n_servers = 1,
                                    .servers = f->servers,
                                    .n_headers = 1,
                                    .headers = f->counter_headers};
    f->hello = (struct molt_meta){.module = hello_name,
                                  .digest = {seed, 2},
                                  .content = seed,
                                  .n_imports = 1,
                                  .imports = f->imports,
                                  .n_headers = 1,
                                  .headers = f->hello_headers};
}

static struct molt_plan plan_between(const struct fixture *old, const struct fixture *new,
                                     size_t n_processes)
{
    struct molt_plan_running running[] = {{&old->counter, 1}, {&old->hello, 4}};
    struct molt_plan_target targets[] = {{&new->counter, "c.so", NULL},
                                         {&new->hello, "h.so", NULL}};
    struct molt_plan_count counts[] = {{"counter", n_processes}};
    struct molt_plan_input in = {.n_running = 2,
                                 .running = running,
                                 .n_targets = 2,
                                 .targets = targets,
                                 .n_counts = 1,
                                 .counts = counts};
    struct molt_plan plan;
    assert_int_equal(molt_plan_make(&in, &plan), 0);
    return plan;
}

static void assert_refused(struct molt_plan *plan, const char *module, const char *what)
{
    assert_int_equal(plan->n_refusals, 1);
    assert_string_equal(plan->refusals[0].module, module);
    if (!strstr(plan->refusals[0].what, what))
        fail_msg("\"%s\" does not say \"%s\"", plan->refusals[0].what, what);
    assert_true(strlen(plan->refusals[0].remedy) > 0);
    molt_plan_fini(plan);
}

static void an_empty_host_gets_every_module(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 1);
    f.counter.n_globals = 1; /* fine in the first version */
    f.counter.globals = f.globals;
    struct molt_plan_target targets[] = {{&f.counter, "c.so", NULL}, {&f.hello, "h.so", NULL}};
    struct molt_plan_input in = {.n_targets = 2, .targets = targets};
    struct molt_plan plan;
    assert_int_equal(molt_plan_make(&in, &plan), 0);
    assert_int_equal(plan.n_refusals, 0);
    assert_int_equal(plan.n_steps, 2);
    assert_int_equal(plan.steps[0].action, MOLT_PLAN_PUT);
    assert_int_equal(plan.steps[0].old_number, 0);
    assert_string_equal(plan.steps[1].image_path, "h.so");
    molt_plan_fini(&plan);
}

static void equal_sets_need_nothing(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 1);
    struct molt_plan plan = plan_between(&f, &f, 1);
    assert_int_equal(plan.n_steps, 0);
    assert_int_equal(plan.n_refusals, 0);
    molt_plan_fini(&plan);
}

static void other_bytes_with_equal_content_are_the_same_version(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 1);
    new.counter.digest[0] = 99; /* a comment moved the debug lines */
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_int_equal(plan.n_steps, 0);
    molt_plan_fini(&plan);
}

static void a_changed_module_is_put_and_others_stay(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 1);
    new.hello.content = 2;
    new.hello.digest[0] = 2;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_int_equal(plan.n_refusals, 0);
    assert_int_equal(plan.n_steps, 1);
    assert_int_equal(plan.steps[0].action, MOLT_PLAN_PUT);
    assert_string_equal(plan.steps[0].meta->module, "hello");
    assert_int_equal(plan.steps[0].old_number, 4);
    molt_plan_fini(&plan);
}

static void equal_code_with_other_header_digests_is_kept(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 1);
    new.counter_headers[0].digest[0] = new.hello_headers[0].digest[0] = 2;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_int_equal(plan.n_refusals, 0);
    assert_int_equal(plan.n_steps, 2);
    assert_int_equal(plan.steps[0].action, MOLT_PLAN_KEEP);
    assert_int_equal(plan.steps[1].action, MOLT_PLAN_KEEP);
    molt_plan_fini(&plan);
}

static void a_module_against_another_state_of_a_header_is_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 1);
    new.counter_headers[0].digest[0] = 2;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_refused(&plan, "hello", "another state of the header of counter");
}

static void globals_whose_old_image_is_gone_are_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    old.counter.n_globals = new.counter.n_globals = 1;
    old.counter.globals = new.counter.globals = old.globals;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_non_null(strstr(plan.refusals[0].remedy, "MOLT_FRESH"));
    assert_refused(&plan, "counter", "hits: the value of this mutable global can't follow");
}

static void only_globals_that_cannot_follow_are_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    old.counter.n_globals = new.counter.n_globals = 1;
    old.counter.globals = new.counter.globals = old.globals;
    struct molt_match_refusal why = {.rule = hits_name,
                                     .field = hits_name,
                                     .why = lock_text,
                                     .remedy = fresh_text};
    for (int is_refused = 0; is_refused < 2; is_refused++) {
        struct molt_match_global global = {.name = hits_name,
                                           .fate = is_refused ? MOLT_GLOBAL_REFUSED
                                                              : MOLT_GLOBAL_FOLLOWS,
                                           .value = {.n_refusals = 1, .refusals = &why}};
        struct molt_match match = {.n_globals = 1, .globals = &global};
        struct molt_plan_running running = {&old.counter, 1};
        struct molt_plan_target target = {&new.counter, "c.so", &match};
        struct molt_plan_input in = {.n_running = 1,
                                     .running = &running,
                                     .n_targets = 1,
                                     .targets = &target};
        struct molt_plan plan;
        assert_int_equal(molt_plan_make(&in, &plan), 0);
        if (is_refused) {
            assert_non_null(strstr(plan.refusals[0].remedy, fresh_text));
            assert_refused(&plan, "counter", lock_text);
        } else {
            assert_int_equal(plan.n_refusals, 0);
            molt_plan_fini(&plan);
        }
    }
}

static void globals_that_were_marked_or_are_new_are_no_reason(void **state)
{
    (void)state;
    for (int is_new = 0; is_new < 2; is_new++) {
        struct fixture old, new;
        make(&old, 1);
        make(&new, 2);
        struct fixture *f = is_new ? &new : &old;
        f->counter.n_globals = 1;
        f->counter.globals = f->globals;
        struct molt_plan plan = plan_between(&old, &new, 1);
        assert_int_equal(plan.n_refusals, 0);
        molt_plan_fini(&plan);
    }
}

static void an_unchanged_module_may_have_globals(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 1);
    old.counter.n_globals = new.counter.n_globals = 1;
    old.counter.globals = new.counter.globals = old.globals;
    new.hello.content = 2;
    new.hello.digest[0] = 2;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_int_equal(plan.n_refusals, 0);
    molt_plan_fini(&plan);
}

static void a_changed_state_without_a_change_function_is_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.types[0].hash = 2;
    new.types[0].shape = 102;
    struct molt_plan plan = plan_between(&old, &new, 3);
    assert_int_equal(plan.refusals[0].old_number, 1);
    assert_non_null(strstr(plan.refusals[0].remedy, "MOLT_CHANGE(struct counter_v1"));
    assert_refused(&plan, "counter", "3 processes have it");
}

static void a_changed_state_with_a_change_function_of_its_shape_goes(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.types[0].hash = 2;
    new.types[0].shape = 102;
    new.servers[0].n_changes = 1;
    new.servers[0].change_types = new.changes;
    struct molt_plan plan = plan_between(&old, &new, 3);
    assert_int_equal(plan.n_refusals, 0);
    molt_plan_fini(&plan);
    new.types[1].shape = 103; /* a change from some other layout is no help */
    plan = plan_between(&old, &new, 3);
    assert_refused(&plan, "counter", "changed its layout");
}

static void a_changed_state_that_nobody_has_goes(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.types[0].hash = 2;
    new.types[0].shape = 102;
    struct molt_plan plan = plan_between(&old, &new, 0);
    assert_int_equal(plan.n_refusals, 0);
    molt_plan_fini(&plan);
}

static void a_server_with_processes_can_not_go(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.counter.n_servers = 0;
    struct molt_plan plan = plan_between(&old, &new, 1);
    assert_refused(&plan, "counter", "server counter would be gone, and 1 process of it lives");
}

static void an_import_of_another_signature_is_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.exports[0].sig = 8;
    struct molt_plan plan = plan_between(&old, &new, 0);
    assert_refused(&plan, "hello", "another signature of counter:counter_next()");
}

static void an_import_that_is_gone_is_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.counter.n_exports = 0;
    struct molt_plan plan = plan_between(&old, &new, 0);
    assert_refused(&plan, "hello", "counter_next(), which counter does not define");
}

static void deleting_a_provider_is_refused_and_deleting_a_user_goes(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 1);
    struct molt_plan_running running[] = {{&f.counter, 1}, {&f.hello, 4}};
    struct molt_plan_target hello[] = {{&f.hello, "h.so", NULL}},
                            counter[] = {{&f.counter, "c.so", NULL}};
    struct molt_plan_input in = {.n_running = 2,
                                 .running = running,
                                 .n_targets = 1,
                                 .targets = hello};
    struct molt_plan plan;
    assert_int_equal(molt_plan_make(&in, &plan), 0);
    assert_refused(&plan, "hello", "module counter, which would not be there");
    in.targets = counter;
    assert_int_equal(molt_plan_make(&in, &plan), 0);
    assert_int_equal(plan.n_refusals, 0);
    assert_int_equal(plan.n_steps, 1);
    assert_int_equal(plan.steps[0].action, MOLT_PLAN_DELETE);
    assert_string_equal(plan.steps[0].meta->module, "hello");
    molt_plan_fini(&plan);
}

static void two_modules_with_one_server_name_are_refused(void **state)
{
    (void)state;
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.hello.n_servers = 1;
    new.hello.servers = new.servers;
    struct molt_plan plan = plan_between(&old, &new, 0);
    assert_refused(&plan, "hello", "server counter is defined by modules counter and hello");
}

static void the_back_off_doubles_to_five_seconds_and_starts_over_after_ten(void **state)
{
    (void)state;
    static const unsigned expected[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct molt_backoff b = {0};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(molt_backoff_next(&b, 9999), expected[i]);
    assert_int_equal(molt_backoff_next(&b, 10000), 100);
}

/* A match of the counter's images that says @verdict of its state. */
static struct molt_plan plan_with_match(enum molt_verdict verdict)
{
    static char rule[] = "narrowing", field[] = "struct counter.n", why[] = "long -> int",
                remedy[] = "keep `long`\n", place[] = "src/counter.c:4";
    static struct molt_match_refusal refusal = {rule, field, why, remedy, place};
    struct fixture old, new;
    make(&old, 1);
    make(&new, 2);
    new.types[0].hash = 2;
    new.types[0].shape = 102;
    struct molt_match_type type = {.from_key = old.types[0].key,
                                   .from_hash = old.types[0].hash,
                                   .verdict = verdict,
                                   .n_refusals = verdict == MOLT_MATCH_REFUSED,
                                   .refusals = &refusal};
    struct molt_match match = {.n_types = 1, .types = &type};
    struct molt_plan_running running[] = {{&old.counter, 1}, {&old.hello, 4}};
    struct molt_plan_target targets[] = {{&new.counter, "c.so", &match},
                                         {&new.hello, "h.so", NULL}};
    struct molt_plan_count counts[] = {{"counter", 3}};
    struct molt_plan_input in = {.n_running = 2,
                                 .running = running,
                                 .n_targets = 2,
                                 .targets = targets,
                                 .n_counts = 1,
                                 .counts = counts};
    struct molt_plan plan;
    assert_int_equal(molt_plan_make(&in, &plan), 0);
    return plan;
}

static void a_state_that_follows_its_type_needs_nothing(void **state)
{
    (void)state;
    struct molt_plan plan = plan_with_match(MOLT_MATCH_AUTOMATIC);
    assert_int_equal(plan.n_refusals, 0);
    molt_plan_fini(&plan);
}

static void what_stands_in_the_way_is_named_with_place_and_remedy(void **state)
{
    (void)state;
    struct molt_plan plan = plan_with_match(MOLT_MATCH_REFUSED);
    assert_int_equal(plan.n_refusals, 1);
    assert_string_equal(plan.refusals[0].what, "src/counter.c:4  struct counter.n  long -> int");
    assert_non_null(strstr(plan.refusals[0].remedy, "keep `long`"));
    assert_int_equal(plan.refusals[0].old_number, 1);
    molt_plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_host_gets_every_module),
        cmocka_unit_test(equal_sets_need_nothing),
        cmocka_unit_test(other_bytes_with_equal_content_are_the_same_version),
        cmocka_unit_test(a_changed_module_is_put_and_others_stay),
        cmocka_unit_test(equal_code_with_other_header_digests_is_kept),
        cmocka_unit_test(a_module_against_another_state_of_a_header_is_refused),
        cmocka_unit_test(globals_whose_old_image_is_gone_are_refused),
        cmocka_unit_test(only_globals_that_cannot_follow_are_refused),
        cmocka_unit_test(globals_that_were_marked_or_are_new_are_no_reason),
        cmocka_unit_test(an_unchanged_module_may_have_globals),
        cmocka_unit_test(a_changed_state_without_a_change_function_is_refused),
        cmocka_unit_test(a_changed_state_with_a_change_function_of_its_shape_goes),
        cmocka_unit_test(a_changed_state_that_nobody_has_goes),
        cmocka_unit_test(a_server_with_processes_can_not_go),
        cmocka_unit_test(an_import_of_another_signature_is_refused),
        cmocka_unit_test(an_import_that_is_gone_is_refused),
        cmocka_unit_test(deleting_a_provider_is_refused_and_deleting_a_user_goes),
        cmocka_unit_test(two_modules_with_one_server_name_are_refused),
        cmocka_unit_test(the_back_off_doubles_to_five_seconds_and_starts_over_after_ten),
        cmocka_unit_test(a_state_that_follows_its_type_needs_nothing),
        cmocka_unit_test(what_stands_in_the_way_is_named_with_place_and_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
