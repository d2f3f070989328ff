/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Following an edit from the save to the last connection, and beyond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "demo/demo.h"

#define ARRIVE_MS 30000
#define UNLOAD_MS 5000
#define STEADY_MS 1000 /* load between two edits */

/* ---- load and counter --------------------------------------------------------------- */

static int check(void *user, unsigned connection, const char *body, size_t len)
{
    struct demo_watch *w = user;
    if (len < 7 || strncasecmp(body, "hello ", 6) != 0)
        return -1;
    uint64_t now = molt_clock_ns(), last = w->last_ns[connection];
    w->last_ns[connection] = now;
    if (last && now - last > atomic_load_explicit(&w->longest_ns, memory_order_relaxed))
        atomic_store_explicit(&w->longest_ns, now - last, memory_order_relaxed);
    return 0;
}

void molt_demo_start_load(struct demo *demo)
{
    struct molt_load_config config = {.port = demo->dev.port,
                                      .connections = DEMO_CONNECTIONS,
                                      .threads = 1,
                                      .check = check,
                                      .user = &demo->watch};
    struct molt_error err = {0};
    demo->load_ns = molt_clock_ns();
    if (molt_load_start(&config, &demo->load, &err) < 0)
        molt_bench_die("the load doesn't start: %s", err.text);
}

void molt_demo_count(struct demo *demo)
{
    struct demo_counter *c = &demo->counter;
    char *body = NULL;
    int status = molt_bench_talk(&c->talk, "GET", "/count", NULL, &body);
    long n = status == 200 ? atol(body) : -1;
    free(body);
    if (n != c->n + 1) {
        c->n_wrong++;
        molt_bench_say("/count answered %ld (status %d) after %ld", n, status, c->n);
    }
    c->n = n > c->n ? n : c->n;
}

/* A turn of waiting: somebody counts, and molt has to be alive. */
static void pass_time(struct demo *demo)
{
    molt_demo_count(demo);
    molt_bench_dev_check(&demo->dev);
    molt_bench_wait(2);
}

/* ---- versions ------------------------------------------------------------------------- */

struct version {
    unsigned number;
    double bytes;
};

/* The newest version of @module that is current, or (@number > 0) the one of
 * that number; number 0: there is none. */
static struct version find_version(struct demo *demo, const char *module, unsigned number)
{
    struct version found = {0};
    json_t *list = molt_bench_dev_get(&demo->dev, "/v1/modules"), *item;
    json_t *array = json_is_array(list) ? list : json_object_get(list, "modules");
    size_t i;
    if (!json_is_array(array))
        molt_bench_dev_die(&demo->dev, "the API doesn't list the modules");
    json_array_foreach(array, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "module"));
        unsigned n = (unsigned)json_integer_value(json_object_get(item, "version"));
        bool is_it = number ? n == number : json_is_true(json_object_get(item, "is_current"));
        if (name && strcmp(name, module) == 0 && is_it)
            found = (struct version){n, (double)json_integer_value(json_object_get(item, "bytes"))};
    }
    json_decref(list);
    return found;
}

/* ---- edits ----------------------------------------------------------------------------- */

/* Nothing may change; molt has to say why. */
static void follow_error(struct demo *demo, const struct demo_edit *edit, struct demo_outcome *out)
{
    uint64_t saved_ns = edit->save(demo->root, demo->share), end = molt_clock_ms() + ARRIVE_MS;
    while (!*molt_bench_dev_problem(&demo->dev)) {
        if (molt_clock_ms() > end)
            molt_bench_dev_die(&demo->dev, "molt doesn't report the syntax error");
        pass_time(demo);
    }
    out->first_ms = (double)(molt_clock_ns() - saved_ns) / 1e6;
    molt_bench_say("%s: reported after %.0f ms, nothing changed", edit->what, out->first_ms);
}

/* Wait for the end of @old, since the first new answer at @live_ns. */
static void follow_old(struct demo *demo, const struct demo_edit *edit, struct version old,
                       uint64_t live_ns, struct demo_outcome *out)
{
    uint64_t end = molt_clock_ms() + UNLOAD_MS;
    out->kept_kib = old.bytes / 1024;
    out->unloaded_ms = -1;
    while (out->unloaded_ms < 0 && molt_clock_ms() < end) {
        if (!find_version(demo, edit->module, old.number).number)
            out->unloaded_ms = (double)(molt_clock_ns() - live_ns) / 1e6;
        else
            pass_time(demo);
    }
}

static void follow_answer(struct demo *demo, const struct demo_edit *edit, struct demo_outcome *out)
{
    struct version old = find_version(demo, edit->module, 0);
    int marker = molt_load_watch(demo->load, edit->answer);
    struct molt_load_marker m = {0};
    if (marker < 0)
        molt_bench_die("the load can't watch for another answer");
    uint64_t saved_ns = edit->save(demo->root, demo->share), end = molt_clock_ms() + ARRIVE_MS;
    while (m.n_seen == 0 && molt_clock_ms() < end) {
        pass_time(demo);
        molt_load_marker(demo->load, marker, &m);
    }
    if (m.n_seen == 0)
        molt_bench_dev_die(&demo->dev, "no connection got the new answer within 30 s");
    uint64_t live_ns = demo->load_ns + m.first_ns;
    follow_old(demo, edit, old, live_ns, out);
    while (m.n_seen < DEMO_CONNECTIONS && molt_clock_ms() < end) {
        pass_time(demo);
        molt_load_marker(demo->load, marker, &m);
    }
    molt_load_marker(demo->load, marker, &m);
    out->n_reached = m.n_unbroken;
    out->first_ms = (double)(int64_t)(live_ns - saved_ns) / 1e6;
    out->all_ms = (double)(int64_t)(demo->load_ns + m.last_ns - saved_ns) / 1e6;
    molt_bench_say("%s: live after %.0f ms, %u of %u connections have it", edit->what,
                   out->first_ms, out->n_reached, DEMO_CONNECTIONS);
}

void molt_demo_edit(struct demo *demo, unsigned i)
{
    struct demo_outcome *out = &demo->outcomes[i];
    atomic_store_explicit(&demo->watch.longest_ns, 0, memory_order_relaxed);
    if (molt_demo_edits[i].answer)
        follow_answer(demo, &molt_demo_edits[i], out);
    else
        follow_error(demo, &molt_demo_edits[i], out);
    for (uint64_t end = molt_clock_ms() + STEADY_MS; molt_clock_ms() < end;)
        pass_time(demo);
    out->gap_ms = (double)atomic_load_explicit(&demo->watch.longest_ns, memory_order_relaxed) / 1e6;
}

/* ---- the table ------------------------------------------------------------------------- */

static void print_edit(const struct demo_edit *edit, const struct demo_outcome *out)
{
    char kept[32] = "-", gone[32] = "-", reached[32] = "-";
    if (edit->answer) {
        snprintf(reached, sizeof(reached), "%u of %u", out->n_reached, DEMO_CONNECTIONS);
        snprintf(kept, sizeof(kept), "%.0f KiB", out->kept_kib);
        snprintf(gone, sizeof(gone), "%.0f ms", out->unloaded_ms);
        if (out->unloaded_ms < 0)
            snprintf(gone, sizeof(gone), "not yet");
    }
    printf("  %-36s %-11s %5.0f ms %9.1f ms   %8s  %8s\n", edit->what, reached, out->first_ms,
           out->gap_ms, kept, gone);
}

bool molt_demo_report(struct demo *demo)
{
    struct molt_load_stats s;
    molt_load_snapshot(demo->load, &s);
    const struct demo_counter *c = &demo->counter;
    bool is_good = s.n_failures == 0 && s.lost == 0 && s.reconnects == 0 && c->n_wrong == 0 &&
                   c->talk.n_connects == 1;
    printf("\n  %-36s %-11s %8s %12s   %8s  %8s\n", "saved", "connections", "live", "longest gap",
           "old code", "unloaded");
    for (unsigned i = 0; i < DEMO_EDITS; i++) {
        print_edit(&molt_demo_edits[i], &demo->outcomes[i]);
        if (molt_demo_edits[i].answer && demo->outcomes[i].n_reached != DEMO_CONNECTIONS)
            is_good = false;
    }
    printf("\n  %lu requests, %lu failed, %lu connections lost, %lu reconnected; %.0f requests/s, "
           "p99 %.1f ms, longest gap %.1f ms\n"
           "  the counter counted to %ld, %ld answers out of order, on %u connection%s\n\n",
           (unsigned long)s.requests, (unsigned long)s.n_failures, (unsigned long)s.lost,
           (unsigned long)s.reconnects, (double)s.requests / ((double)s.elapsed_ns / 1e9),
           (double)s.p99_ns / 1e6, (double)s.longest_gap_ns / 1e6, c->n, c->n_wrong,
           c->talk.n_connects, c->talk.n_connects == 1 ? "" : "s");
    puts(is_good ? "  nothing was dropped, nobody had to reconnect"
                 : "  FAILED: something was lost or did not arrive, see above");
    return is_good;
}
