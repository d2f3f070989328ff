/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/code.h"
#include "control/log_ring.h"
#include "control/record.h"
#include "control/settings.h"
#include "upgrade/trial.h"
#include "upgrade/upgrade.h"

/* ---- records ---------------------------------------------------------------------- */

static void put_lists(struct molt_buf *versions, struct molt_buf *upgrade)
{
    uint8_t digest[MOLT_SHA256_BYTES] = {1, 2, 3}, id[4] = {9, 8, 7, 6};
    struct molt_version_info v = {.module = "counter",
                                  .number = 7,
                                  .digest = digest,
                                  .build_id = id,
                                  .build_id_len = sizeof(id),
                                  .base = 0x1000,
                                  .bytes = 4096,
                                  .is_current = true,
                                  .path = "/store/x.so",
                                  .why = "",
                                  .loaded_ms = 100};
    molt_buf_u32(versions, 2);
    molt_record_put_version(versions, &v, 350);
    v.why = "process 2 'counter'";
    molt_record_put_version(versions, &v, 50); /* a clock that went back is no age */
    struct molt_upgrade_change changes[] = {{"counter", 1, 2}, {"hello", 0, 1}};
    struct molt_upgrade_result r = {.world = 5, .n_changes = 2, .changes = changes, .check_ns = 6};
    r.conversion.n_processes = 3;
    molt_record_put_upgrade(upgrade, &r, 11);
}

static void records_come_back_as_they_were_written(void **state)
{
    (void)state;
    struct molt_buf versions = MOLT_BUF_INIT, upgrade = MOLT_BUF_INIT;
    struct molt_version_record *list;
    struct molt_upgrade_record u;
    size_t n;
    put_lists(&versions, &upgrade);
    assert_int_equal(molt_record_get_versions(versions.data, versions.len, &list, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].module, "counter");
    assert_int_equal(list[0].age_ms, 250);
    assert_int_equal(list[0].build_id_len, 4);
    assert_int_equal(list[0].build_id[3], 6);
    assert_string_equal(list[1].why, "process 2 'counter'");
    assert_int_equal(list[1].age_ms, 0);
    molt_record_free_versions(list, n);
    assert_int_equal(molt_record_get_upgrade(upgrade.data, upgrade.len, &u), 0);
    assert_int_equal(u.world, 5);
    assert_int_equal(u.n_changes, 2);
    assert_string_equal(u.changes[1].module, "hello");
    assert_int_equal(u.n_processes, 3);
    assert_int_equal(u.stage_ns, 11);
    molt_record_fini_upgrade(&u);
    molt_buf_fini(&versions);
    molt_buf_fini(&upgrade);
}

static void children_come_back_as_they_were_written(void **state)
{
    (void)state;
    struct molt_buf buf = MOLT_BUF_INIT;
    struct molt_child_record *list;
    size_t n;
    struct molt_runtime_child self = {.supervisor = 5,
                                      .supervisor_name = "app",
                                      .strategy = MOLT_REST_FOR_ONE,
                                      .is_self = true,
                                      .id = ""};
    struct molt_runtime_child child = {.supervisor = 5,
                                       .supervisor_name = "app",
                                       .id = "a",
                                       .pid = 7,
                                       .restart = MOLT_TEMPORARY,
                                       .is_supervisor = true,
                                       .n_restarts = 9};
    molt_buf_u32(&buf, 2);
    molt_record_put_child(&buf, &self);
    molt_record_put_child(&buf, &child);
    assert_int_equal(molt_record_get_children(buf.data, buf.len - 1, &list, &n), MOLT_EFORMAT);
    assert_int_equal(molt_record_get_children(buf.data, buf.len, &list, &n), 0);
    assert_int_equal(n, 2);
    assert_true(list[0].is_self && list[0].supervisor == 5);
    assert_string_equal(molt_record_strategy(list[0].strategy), "rest_for_one");
    assert_true(!list[1].is_self && list[1].is_supervisor && list[1].pid == 7);
    assert_string_equal(list[1].id, "a");
    assert_string_equal(molt_record_restart(list[1].restart), "temporary");
    assert_int_equal(list[1].n_restarts, 9);
    molt_record_free_children(list, n);
    molt_buf_fini(&buf);
}

static void a_trial_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct molt_buf buf = MOLT_BUF_INIT;
    struct molt_trial_record t;
    struct molt_trial_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    report->n_servers = 2; /* one of them without processes: not told */
    report->servers[1] = (struct molt_trial_server){.name = "counter",
                                                    .n_processes = 9,
                                                    .n_tried = 4,
                                                    .n_changed = 3,
                                                    .n_busy = 2,
                                                    .n_failed = 1};
    report->n_failures = report->n_failed = 1;
    report->failures[0] = (struct molt_trial_failure){.pid = 12,
                                                      .label = "process 12 (counter)",
                                                      .place = {"counter", 2, 0x1130},
                                                      .why = "crashed"};
    report->bytes = 64;
    report->is_cut = true;
    molt_record_put_trial(&buf, &(struct molt_upgrade_trial){report, 77});
    for (size_t len = 0; len < buf.len; len++)
        assert_int_equal(molt_record_get_trial(buf.data, len, &t), MOLT_EFORMAT);
    assert_int_equal(molt_record_get_trial(buf.data, buf.len, &t), 0);
    assert_int_equal(t.n_servers, 1);
    assert_string_equal(t.servers[0].name, "counter");
    assert_int_equal(t.servers[0].n_busy, 2);
    assert_int_equal(t.n_failures, 1);
    assert_string_equal(t.failures[0].module, "counter");
    assert_int_equal(t.failures[0].offset, 0x1130);
    assert_string_equal(t.failures[0].why, "crashed");
    assert_true(t.is_cut && t.bytes == 64 && t.ns == 77 && t.n_failed == 1);
    molt_record_fini_trial(&t);
    molt_buf_fini(&buf);
    free(report);
}

static void cut_and_lengthened_records_are_malformed(void **state)
{
    (void)state;
    struct molt_buf versions = MOLT_BUF_INIT, upgrade = MOLT_BUF_INIT;
    struct molt_version_record *list;
    struct molt_upgrade_record u;
    size_t n;
    put_lists(&versions, &upgrade);
    for (size_t len = 0; len < versions.len; len++)
        assert_int_equal(molt_record_get_versions(versions.data, len, &list, &n), MOLT_EFORMAT);
    for (size_t len = 0; len < upgrade.len; len++)
        assert_int_equal(molt_record_get_upgrade(upgrade.data, len, &u), MOLT_EFORMAT);
    molt_buf_u8(&versions, 0);
    molt_buf_u8(&upgrade, 0);
    assert_int_equal(molt_record_get_versions(versions.data, versions.len, &list, &n),
                     MOLT_EFORMAT);
    assert_int_equal(molt_record_get_upgrade(upgrade.data, upgrade.len, &u), MOLT_EFORMAT);
    molt_buf_fini(&versions);
    molt_buf_fini(&upgrade);
}

static void flipped_records_never_do_more_than_fail(void **state)
{
    (void)state;
    struct molt_buf versions = MOLT_BUF_INIT, upgrade = MOLT_BUF_INIT;
    put_lists(&versions, &upgrade);
    for (size_t bit = 0; bit < versions.len * 8; bit++) {
        struct molt_version_record *list;
        size_t n;
        versions.data[bit / 8] ^= (char)(1 << bit % 8);
        if (molt_record_get_versions(versions.data, versions.len, &list, &n) == 0)
            molt_record_free_versions(list, n);
        versions.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < upgrade.len * 8; bit++) {
        struct molt_upgrade_record u;
        upgrade.data[bit / 8] ^= (char)(1 << bit % 8);
        if (molt_record_get_upgrade(upgrade.data, upgrade.len, &u) == 0)
            molt_record_fini_upgrade(&u);
        upgrade.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    molt_buf_fini(&versions);
    molt_buf_fini(&upgrade);
}

/* ---- log ring ------------------------------------------------------------------------ */

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void a_full_ring_drops_the_oldest_and_says_how_many(void **state)
{
    (void)state;
    struct molt_log_ring *ring;
    struct molt_log_entry entry;
    uint64_t lost = 99;
    assert_int_equal(molt_log_ring_new(3, &ring), 0);
    assert_false(is_readable(molt_log_ring_fd(ring)));
    for (int i = 0; i < 5; i++) {
        char message[16];
        snprintf(message, sizeof(message), "m%d", i);
        molt_log_ring_push(ring, MOLT_WARN, message);
    }
    assert_true(is_readable(molt_log_ring_fd(ring)));
    for (int i = 2; i < 5; i++) {
        char message[16];
        snprintf(message, sizeof(message), "m%d", i);
        assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
        assert_string_equal(entry.text, message);
        assert_int_equal(entry.level, MOLT_WARN);
        assert_int_equal(lost, i == 2 ? 2 : 0);
    }
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 0);
    assert_false(is_readable(molt_log_ring_fd(ring)));
    molt_log_ring_push(ring, MOLT_INFO, "again");
    assert_true(is_readable(molt_log_ring_fd(ring)));
    molt_log_ring_free(ring);
}

static struct molt_buf make_crash(struct molt_runtime_frame *frames, size_t n)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    struct molt_runtime_crash crash = {.pid = 12,
                                       .label = "process 12 'counter'",
                                       .server = "counter",
                                       .state_type = "struct counter",
                                       .callback = "call",
                                       .message = "struct next",
                                       .callbacks = 41,
                                       .signal = SIGSEGV,
                                       .address = 0x10,
                                       .what = "bad address",
                                       .n_all = n + 3,
                                       .n_frames = n,
                                       .frames = frames};
    molt_record_put_contained(&buf, &crash);
    assert_false(buf.is_failed);
    return buf;
}

static void a_crash_keeps_its_place_among_the_messages(void **state)
{
    (void)state;
    struct molt_log_ring *ring;
    struct molt_log_entry entry;
    struct molt_contained_record record;
    struct molt_runtime_frame frames[] = {{"counter", 2, 0x1134}, {"", 0, 0x7f00}};
    struct molt_buf crash = make_crash(frames, 2);
    uint64_t lost;
    assert_int_equal(molt_log_ring_new(3, &ring), 0);
    molt_log_ring_push(ring, MOLT_INFO, "before");
    molt_log_ring_push_crash(ring, &crash);
    molt_log_ring_push(ring, MOLT_INFO, "after");
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
    assert_string_equal(entry.text, "before");
    assert_int_equal(entry.crash.len, 0);
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
    assert_int_equal(molt_record_get_contained(entry.crash.data, entry.crash.len, &record), 0);
    molt_buf_fini(&entry.crash);
    assert_string_equal(record.label, "process 12 'counter'");
    assert_string_equal(record.message, "struct next");
    assert_string_equal(record.what, "bad address");
    assert_int_equal(record.callbacks, 41);
    assert_int_equal(record.n_all, 5);
    assert_int_equal(record.n_frames, 2);
    assert_string_equal(record.frames[0].module, "counter");
    assert_int_equal(record.frames[0].offset, 0x1134);
    assert_string_equal(record.frames[1].module, "");
    molt_record_fini_contained(&record);
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
    assert_string_equal(entry.text, "after");
    molt_log_ring_free(ring);
}

/* Also by a ring that is freed: a sanitizer would see the leak. */
static void crashes_that_give_way_are_counted_and_freed(void **state)
{
    (void)state;
    struct molt_log_ring *ring;
    struct molt_log_entry entry;
    uint64_t lost;
    assert_int_equal(molt_log_ring_new(2, &ring), 0);
    for (int i = 0; i < 5; i++) {
        struct molt_buf crash = make_crash(NULL, 0);
        molt_log_ring_push_crash(ring, &crash);
    }
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
    assert_int_equal(lost, 3);
    molt_buf_fini(&entry.crash);
    molt_log_ring_free(ring);
}

/* Newer hosts may say more. */
static void a_crash_record_may_be_longer_but_not_shorter(void **state)
{
    (void)state;
    struct molt_contained_record record;
    struct molt_runtime_frame frames[] = {{"counter", 2, 0x1134}};
    struct molt_buf crash = make_crash(frames, 1);
    for (size_t len = 0; len < crash.len; len++)
        assert_int_equal(molt_record_get_contained(crash.data, len, &record), MOLT_EFORMAT);
    molt_buf_u64(&crash, 7);
    assert_int_equal(molt_record_get_contained(crash.data, crash.len, &record), 0);
    molt_record_fini_contained(&record);
    molt_buf_fini(&crash);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    struct molt_log_ring *ring;
    struct molt_log_entry entry;
    char big[2 * MOLT_LOG_TEXT_MAX];
    uint64_t lost;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(molt_log_ring_new(1, &ring), 0);
    molt_log_ring_push(ring, MOLT_INFO, big);
    assert_int_equal(molt_log_ring_pop(ring, &entry, &lost), 1);
    assert_int_equal(strlen(entry.text), MOLT_LOG_TEXT_MAX - 1);
    molt_log_ring_free(ring);
}

/* ---- settings -------------------------------------------------------------------------- */

static void a_value_that_was_handed_out_stays(void **state)
{
    (void)state;
    struct molt_settings *settings;
    assert_int_equal(molt_settings_new(&settings), 0);
    assert_null(molt_settings_get(settings, "port"));
    assert_int_equal(molt_settings_set(settings, "port", "1"), 0);
    const char *first = molt_settings_get(settings, "port");
    assert_int_equal(molt_settings_set(settings, "port", "2"), 0);
    assert_string_equal(first, "1");
    assert_string_equal(molt_settings_get(settings, "port"), "2");
    assert_int_equal(molt_settings_set(settings, "", "2"), MOLT_EINVAL);
    molt_settings_free(settings);
}

static void settings_have_a_limit_and_equal_values_cost_nothing(void **state)
{
    (void)state;
    struct molt_settings *settings;
    assert_int_equal(molt_settings_new(&settings), 0);
    for (int i = 0; i < MOLT_SETTINGS_MAX; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(molt_settings_set(settings, "k", value), 0);
        assert_int_equal(molt_settings_set(settings, "k", value), 0);
    }
    assert_int_equal(molt_settings_set(settings, "k", "more"), MOLT_ELIMIT);
    molt_settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_as_they_were_written),
        cmocka_unit_test(children_come_back_as_they_were_written),
        cmocka_unit_test(a_trial_comes_back_as_it_was_written),
        cmocka_unit_test(cut_and_lengthened_records_are_malformed),
        cmocka_unit_test(flipped_records_never_do_more_than_fail),
        cmocka_unit_test(a_full_ring_drops_the_oldest_and_says_how_many),
        cmocka_unit_test(a_crash_keeps_its_place_among_the_messages),
        cmocka_unit_test(crashes_that_give_way_are_counted_and_freed),
        cmocka_unit_test(a_crash_record_may_be_longer_but_not_shorter),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(a_value_that_was_handed_out_stays),
        cmocka_unit_test(settings_have_a_limit_and_equal_values_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
