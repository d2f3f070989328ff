/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/agent/preview.h"

/* Metas and matches are written by hand: counter@3 with a server of that name, whose state
 * gets another layout, and gone@1. */

static char counter[] = "counter", gone[] = "gone", key[] = "counter/counter.c:struct counter",
            name[] = "struct counter", lines[] = "+max = 0\n", lost_old[] = "counter.spare (int)",
            lost_new[] = "counter.max (long)", unseen[] = "macros of counter.h changed\n",
            field[] = "struct counter.n", why[] = "long -> int could lose values",
            remedy[] = "keep it\n";

struct fixture {
    struct molt_meta_type old_types[1], new_types[1];
    struct molt_meta_server server;
    struct molt_meta old, new, removed;
    char *lost[2];
    struct molt_recipe there_recipe, back_recipe;
    struct molt_match_refusal refusal;
    struct molt_match_type there, back;
    struct molt_matched_module module;
    struct molt_matched matched;
    struct molt_plan_running running[2];
    struct molt_plan_target target;
    struct molt_plan_count count;
    struct molt_plan_input input;
    struct molt_plan plan;
    struct molt_preview preview;
    struct molt_buf text;
};

static void make_metas(struct fixture *f)
{
    f->old_types[0] = (struct molt_meta_type){.key = key, .name = name, .hash = 1, .shape = 1};
    f->new_types[0] = (struct molt_meta_type){.key = key, .name = name, .hash = 2, .shape = 2};
    f->server = (struct molt_meta_server){.name = counter, .init_type = MOLT_TYPE_NONE};
    f->old = (struct molt_meta){.module = counter,
                                .digest = {1},
                                .content = 1,
                                .n_types = 1,
                                .types = f->old_types,
                                .n_servers = 1,
                                .servers = &f->server};
    f->new = f->old;
    f->new.digest[0] = 2;
    f->new.content = 2;
    f->new.types = f->new_types;
    f->removed = (struct molt_meta){.module = gone, .digest = {3}, .content = 3};
}

static void make_match(struct fixture *f, enum molt_verdict verdict)
{
    f->lost[0] = lost_old;
    f->lost[1] = lost_new;
    f->there_recipe = (struct molt_recipe){.n_lost = 1, .lost = &f->lost[0]};
    f->back_recipe = (struct molt_recipe){.n_lost = 1, .lost = &f->lost[1]};
    f->refusal = (struct molt_match_refusal){.field = field, .why = why, .remedy = remedy};
    bool is_refused = verdict == MOLT_MATCH_REFUSED;
    f->there = (struct molt_match_type){.from_key = key,
                                        .to_key = key,
                                        .from_hash = 1,
                                        .to_hash = 2,
                                        .name = name,
                                        .verdict = verdict,
                                        .recipe = is_refused ? NULL : &f->there_recipe,
                                        .n_refusals = is_refused,
                                        .refusals = &f->refusal,
                                        .lines = lines};
    f->back = f->there;
    f->back.from_hash = 2;
    f->back.to_hash = 1;
    f->back.recipe = &f->back_recipe;
    f->back.n_refusals = 0;
    f->module =
        (struct molt_matched_module){.module = counter,
                                     .there = {.n_types = 1, .types = &f->there, .unseen = unseen},
                                     .back = {.n_types = 1, .types = &f->back}};
    f->matched = (struct molt_matched){1, &f->module};
}

static void preview(struct fixture *f, enum molt_verdict verdict, size_t n_processes)
{
    *f = (struct fixture){.text = MOLT_BUF_INIT};
    make_metas(f);
    make_match(f, verdict);
    f->running[0] = (struct molt_plan_running){&f->old, 3};
    f->running[1] = (struct molt_plan_running){&f->removed, 1};
    f->target = (struct molt_plan_target){&f->new, "c.so", &f->module.there};
    f->count = (struct molt_plan_count){counter, n_processes};
    f->input = (struct molt_plan_input){.n_running = 2,
                                        .running = f->running,
                                        .n_targets = 1,
                                        .targets = &f->target,
                                        .n_counts = 1,
                                        .counts = &f->count};
    assert_int_equal(molt_plan_make(&f->input, &f->plan), 0);
    assert_int_equal(molt_preview_make(&f->input, &f->plan, &f->matched, &f->preview), 0);
}

static void finish(struct fixture *f)
{
    molt_preview_fini(&f->preview);
    molt_plan_fini(&f->plan);
    molt_buf_fini(&f->text);
}

static void modules_types_processes_and_losses_are_told(void **state)
{
    (void)state;
    struct fixture f;
    preview(&f, MOLT_MATCH_AUTOMATIC, 2);
    molt_preview_print(&f.preview, &f.text);
    assert_string_equal(f.text.data,
                        "counter@3 changes\n"
                        "  struct counter follows by itself\n"
                        "    +max = 0\n"
                        "gone@1 is removed\n"
                        "server counter: 2 processes have their states converted (struct counter)\n"
                        "lost: counter.spare (int)\n"
                        "a way back would lose: counter.max (long)\n"
                        "what types don't tell:\n"
                        "  macros of counter.h changed\n"
                        "it can go live; nothing was changed yet");
    assert_false(molt_preview_is_refused(&f.preview));
    finish(&f);
}

static void refusals_come_with_what_would_allow_them(void **state)
{
    (void)state;
    struct fixture f;
    preview(&f, MOLT_MATCH_REFUSED, 1);
    molt_preview_print(&f.preview, &f.text);
    assert_true(molt_preview_is_refused(&f.preview));
    assert_non_null(strstr(f.text.data, "struct counter is refused"));
    assert_non_null(strstr(f.text.data, "server counter: 1 process can't be converted"));
    assert_non_null(strstr(f.text.data, "counter refused, counter@3 goes on"));
    assert_non_null(strstr(f.text.data, "long -> int could lose values"));
    assert_non_null(strstr(f.text.data, "keep it"));
    assert_non_null(strstr(f.text.data, "it would be refused; nothing was changed"));
    finish(&f);
}

static void servers_without_processes_are_left_out(void **state)
{
    (void)state;
    struct fixture f;
    preview(&f, MOLT_MATCH_AUTOMATIC, 0);
    assert_int_equal(f.preview.n_servers, 0);
    assert_int_equal(f.preview.n_modules, 2);
    finish(&f);
}

static void what_failed_on_copies_refuses_it(void **state)
{
    (void)state;
    struct fixture f;
    preview(&f, MOLT_MATCH_AUTOMATIC, 2);
    struct molt_trial_record *t = &f.preview.trial;
    f.preview.is_tried = true;
    t->servers = calloc(1, sizeof(*t->servers));
    t->failures = calloc(1, sizeof(*t->failures));
    f.preview.trial_places = calloc(1, sizeof(char *));
    assert_true(t->servers && t->failures && f.preview.trial_places);
    t->n_servers = t->n_failures = 1;
    t->n_failed = 5;
    t->ns = 1500000;
    t->bytes = 48;
    t->is_cut = true;
    t->servers[0] = (struct molt_trial_server_record){strdup(counter), 2, 2, 1, 1, 5};
    t->failures[0] = (struct molt_trial_failure_record){
        12, strdup("process 12 'counter'"), strdup(counter), 4, 8, strdup("it crashed")};
    f.preview.trial_places[0] = strdup("from_1() src/counter.c:9");
    assert_true(molt_preview_is_refused(&f.preview));
    molt_preview_print(&f.preview, &f.text);
    assert_non_null(strstr(f.text.data,
                           "\ntried on copies in 1.5 ms, 48 bytes made, and it FAILED:\n"
                           "  process 12 'counter': it crashed\n"
                           "    in from_1() src/counter.c:9\n"
                           "  and 4 more\n"
                           "  counter: 2 of 2 processes tried, 1 converted, 1 busy, 5 failed\n"
                           "  there was no time for the rest\n"));
    finish(&f);
}

static void nothing_is_said_to_be_nothing(void **state)
{
    (void)state;
    struct molt_preview p = {0};
    struct molt_buf text = MOLT_BUF_INIT;
    molt_preview_print(&p, &text);
    assert_string_equal(text.data, "nothing to change: this is what runs");
    molt_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_types_processes_and_losses_are_told),
        cmocka_unit_test(refusals_come_with_what_would_allow_them),
        cmocka_unit_test(servers_without_processes_are_left_out),
        cmocka_unit_test(what_failed_on_copies_refuses_it),
        cmocka_unit_test(nothing_is_said_to_be_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
