/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "swap/swap.h"
#include "tool/bench.h"

#define WARM_MS 500
#define ARRIVE_MS 3000

/* Successes of all connections together, noted by the load's thread. */
struct watch {
    atomic_uint_fast64_t last_ns, longest_ns; /* one writer; relaxed, read after it ended */
};

static int check(void *user, unsigned connection, const char *body, size_t len)
{
    struct watch *w = user;
    (void)connection;
    if (len < 7 || memcmp(body, "Hello ", 6) != 0)
        return -1;
    uint64_t now = molt_clock_ns(), last = atomic_load_explicit(&w->last_ns, memory_order_relaxed);
    if (last && now - last > atomic_load_explicit(&w->longest_ns, memory_order_relaxed))
        atomic_store_explicit(&w->longest_ns, now - last, memory_order_relaxed);
    atomic_store_explicit(&w->last_ns, now, memory_order_relaxed);
    return 0;
}

static struct molt_load *start_load(unsigned port, struct watch *watch)
{
    struct molt_load_config config = {
        .port = port, .connections = SWAP_CONNECTIONS, .threads = 1, .check = check, .user = watch};
    struct molt_load *load;
    struct molt_error err = {0};
    if (molt_load_start(&config, &load, &err) < 0)
        molt_bench_die("the load doesn't start: %s", err.text);
    return load;
}

/* Wait until @at_ms, looking after the subject meanwhile. False if it is late. */
static bool wait_until(const struct swap_subject *subject, void *state, uint64_t at_ms)
{
    uint64_t now = molt_clock_ms();
    bool is_late = now > at_ms;
    while ((now = molt_clock_ms()) < at_ms) {
        molt_bench_wait(at_ms - now < 50 ? (unsigned)(at_ms - now) : 50);
        if (subject->tick)
            subject->tick(state);
    }
    return !is_late;
}

static int watch_version(struct molt_load *load, unsigned version)
{
    char body[32];
    snprintf(body, sizeof(body), "Hello %u\n", version);
    int marker = molt_load_watch(load, body);
    if (marker < 0)
        molt_bench_die("the load can't watch another version");
    return marker;
}

/* Until all connections saw @marker, or in vain. Whoever lost its connection
 * counts as arrived, but not as unbroken. */
static void wait_arrival(struct molt_load *load, int marker)
{
    struct molt_load_marker m;
    uint64_t end = molt_clock_ms() + ARRIVE_MS;
    do {
        molt_bench_wait(5);
        molt_load_marker(load, marker, &m);
    } while (m.n_seen < SWAP_CONNECTIONS && molt_clock_ms() < end);
}

static void note_growth(const struct swap_subject *subject, void *state, double before,
                        struct swap_run *run)
{
    double growth = subject->memory(state) - before;
    if (growth > run->memory)
        run->memory = growth;
}

static void note_times(struct swap_run *run, const struct swap_times *times,
                       struct molt_bench_series *totals)
{
    double switch_us = (double)times->switch_ns / 1e3, held_us = (double)times->held_ns / 1e3;
    molt_bench_add(totals, (double)times->total_ns / 1e6);
    run->switch_max_us = switch_us > run->switch_max_us ? switch_us : run->switch_max_us;
    run->held_max_us = held_us > run->held_max_us ? held_us : run->held_max_us;
}

/* One turn each SWAP_PERIOD_MS; a swap or, in the control, only the look at the
 * memory, which costs the server something too. */
static void run_turns(const struct swap_subject *subject, void *state, struct molt_load *load,
                      unsigned seconds, struct swap_run *run)
{
    struct molt_bench_series totals = {0};
    double before = subject->memory(state);
    uint64_t start = molt_clock_ms();
    unsigned n = seconds * 1000 / SWAP_PERIOD_MS - 1;
    int markers[SWAP_VERSIONS_MAX];
    for (unsigned i = 1; i <= n; i++) {
        run->n_late += !wait_until(subject, state, start + (uint64_t)i * SWAP_PERIOD_MS);
        if (run->is_swapping) {
            struct swap_times times = {0};
            markers[run->n_swaps++] = watch_version(load, i);
            subject->swap(state, i, &times);
            note_times(run, &times, &totals);
        }
        note_growth(subject, state, before, run);
    }
    wait_until(subject, state, start + (uint64_t)seconds * 1000);
    run->n_reached = SWAP_CONNECTIONS;
    for (unsigned i = 0; i < run->n_swaps; i++) {
        struct molt_load_marker m;
        if (i + 1 == run->n_swaps)
            wait_arrival(load, markers[i]);
        molt_load_marker(load, markers[i], &m);
        run->n_reached = m.n_unbroken < run->n_reached ? m.n_unbroken : run->n_reached;
    }
    run->swap_max_ms = molt_bench_quantile(&totals, 1);
    run->swap_ms = molt_bench_median(&totals);
    molt_bench_series_fini(&totals);
}

/* With @sign 1 and -1 around a run: what came meanwhile. */
static void note_stops(const struct swap_subject *subject, void *state, int sign,
                       struct swap_run *run)
{
    uint64_t now[MOLT_STOP_BUCKETS] = {0};
    if (subject->stops)
        subject->stops(state, now);
    for (unsigned i = 0; i < MOLT_STOP_BUCKETS; i++)
        run->stops[i] += sign > 0 ? now[i] : -now[i];
}

void molt_swap_measure(const struct swap_subject *subject, void *state, unsigned port,
                       bool is_swapping, unsigned seconds, struct swap_run *ret)
{
    struct watch watch = {0};
    *ret = (struct swap_run){.is_swapping = is_swapping};
    double cpu = subject->cpu(state);
    struct molt_load *load = start_load(port, &watch);
    molt_bench_wait(WARM_MS);
    note_stops(subject, state, -1, ret);
    run_turns(subject, state, load, seconds, ret);
    note_stops(subject, state, 1, ret);
    ret->standing = subject->standing ? subject->standing(state) : 0;
    molt_load_stop(load);
    cpu = subject->cpu(state) - cpu;
    molt_load_snapshot(load, &ret->load);
    if (ret->load.requests)
        ret->cpu_us = cpu * 1e6 / (double)ret->load.requests;
    molt_load_free(load);
    ret->downtime_ns = atomic_load(&watch.longest_ns);
    if (ret->load.requests == 0)
        molt_bench_die("%s answered no request at all", subject->title);
}
