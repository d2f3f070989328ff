/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The experiments, and what is read from them. */
#include <math.h>
#include <string.h>

#include "runtime/runtime.h"

/* clang-format off */
const struct rt_experiment molt_rt_experiments[RT_EXPERIMENTS] = {
    [RT_PINGPONG_SAME] = {"pingpong-same", "pingpong", "same", "pairs that play at once", 1, RT_ALL,
                          {1, 10, 100, 1000, 10000}, 1},
    [RT_PINGPONG_ANY] = {"pingpong-any", "pingpong", "any", "pairs that play at once", 2, RT_ALL,
                         {1, 10, 100, 1000}, 1},
    [RT_PINGPONG_ACROSS] = {"pingpong-across", "pingpong", "across", "pairs", 2, RT_ALL, {1}, 1},
    [RT_SEND_SAME] = {"send-same", "send", "same", "senders", 1, RT_ALL, {1}, 1},
    [RT_SEND_ACROSS] = {"send-across", "send", "across", "senders", 2, RT_ALL, {1}, 1},
    [RT_SEND_ANY] = {"send-any", "send", "any", "senders", 2, RT_ALL, {1, 2, 4, 8, 32, 128, 1024}, 8},
    [RT_CALL_SAME] = {"call-same", "call", "same", "clients that call at once", 1, RT_ALL,
                      {1, 10, 100, 1000}, 1},
    [RT_CALL_ANY] = {"call-any", "call", "any", "clients that call at once", 2, RT_ALL,
                     {1, 10, 100, 1000}, 1},
    [RT_CALL_ACROSS] = {"call-across", "call", "across", "clients", 2, RT_ALL, {1}, 1},
    [RT_SPAWN] = {"spawn", "spawn", "same", "processes alive at once", 1, RT_ALL,
                  {1, 10, 100, 1000, 10000, 100000}, 1},
    [RT_RING_SAME] = {"ring-same", "ring", "same", "processes in the ring", 1, RT_ALL,
                      {10, 100, 1000, 10000, 100000}, 10000},
    [RT_RING_ANY] = {"ring-any", "ring", "any", "processes in the ring", 2, RT_ALL, {10000}, 10000},
    [RT_IDLE] = {"idle", "idle", "any", "processes", 2, RT_ALL | 1 << RT_HIBERNATED,
                 {10, 100, 1000, 10000, 100000, 1000000}, 1000000},
    [RT_CANCEL] = {"cancel", "cancel", "same", "other timers that are armed", 1, RT_ALL,
                   {1, 100, 10000, 100000}, 10000},
    [RT_TIMERS] = {"timers", "timers", "any", "timers", 2, RT_ALL,
                   {10, 100, 1000, 10000, 100000, 1000000}, 1000000},
    [RT_GET_SET] = {"get-set", "table-get-set", "same", "rows", 1, RT_BEAM, {1000, 100000, 1000000}, 100000},
    [RT_PUT_SET] = {"put-set", "table-put-set", "same", "rows", 1, RT_BEAM, {1000, 100000, 1000000}, 100000},
    [RT_ADD_SET] = {"add-set", "table-add-set", "same", "rows", 1, RT_BEAM, {100000}, 100000},
    [RT_GET_ORDERED] = {"get-ordered", "table-get-ordered", "same", "rows", 1, RT_BEAM, {1000, 100000, 1000000}, 100000},
    [RT_PUT_ORDERED] = {"put-ordered", "table-put-ordered", "same", "rows", 1, RT_BEAM, {1000, 100000, 1000000}, 100000},
    [RT_GET_SET_2] = {"get-set-2", "table-get-set", "across", "rows", 2, RT_BEAM, {100000}, 100000},
    [RT_PUT_SET_2] = {"put-set-2", "table-put-set", "across", "rows", 2, RT_BEAM, {100000}, 100000},
    [RT_ADD_SET_2] = {"add-set-2", "table-add-set", "across", "rows", 2, RT_BEAM, {100000}, 100000},
    [RT_GET_ORDERED_2] = {"get-ordered-2", "table-get-ordered", "across", "rows", 2, RT_BEAM, {100000}, 100000},
    [RT_PUT_ORDERED_2] = {"put-ordered-2", "table-put-ordered", "across", "rows", 2, RT_BEAM, {100000}, 100000},
};
/* clang-format on */

static double get(const struct molt_bench_result *r, const char *key)
{
    return molt_bench_result_get(r, key);
}
static double ns(const struct molt_bench_result *r)
{
    return get(r, "wall_ns") / get(r, "ops");
}
static double us(const struct molt_bench_result *r)
{
    return ns(r) / 1e3;
}
static double millions(const struct molt_bench_result *r)
{
    return 1e3 / ns(r);
}
static double seconds(const struct molt_bench_result *r)
{
    return get(r, "wall_ns") / 1e9;
}
/* Of fewer than a thousand it would be of what is loaded at the first use. */
static double bytes_each(const struct molt_bench_result *r)
{
    if (get(r, "ops") < 1000)
        return NAN;
    return get(r, "grown") / get(r, "ops");
}
static double mebibytes(const struct molt_bench_result *r)
{
    return get(r, "resident") / (1 << 20);
}
static double late_p50(const struct molt_bench_result *r)
{
    return get(r, "late_p50_ns") / 1e6;
}
static double late_p99(const struct molt_bench_result *r)
{
    return get(r, "late_p99_ns") / 1e6;
}
static double late_max(const struct molt_bench_result *r)
{
    return get(r, "late_max_ns") / 1e6;
}

double molt_rt_cpu_ns(const struct molt_bench_result *r)
{
    return get(r, "cpu_ns") / get(r, "ops");
}

/* Go can't be told where its goroutines run. */
#define PLACED (1u << RT_GO)

/* clang-format off */
const struct rt_metric molt_rt_metrics[] = {
    {RT_PINGPONG_SAME, "pingpong-same", "Ping-pong, one worker", "us a round trip", "Ping-pong, one worker", us, false, 3, 0.3, 0, RT_BOTH},
    {RT_PINGPONG_ANY, "pingpong-any", "Ping-pong, two workers, placed by the runtime", "us a round trip", NULL, us, false, 3, 0, 0, RT_BOTH},
    {RT_PINGPONG_ACROSS, "pingpong-across", "Ping-pong across two workers", "us a round trip", NULL, us, false, 1, 0, PLACED, RT_BOTH},
    {RT_SEND_SAME, "send-same", "One-way sends, 1 sender, same worker", "M/s", NULL, millions, true, 2, 25, 0, RT_BOTH},
    {RT_SEND_ACROSS, "send-across", "One-way sends, 1 sender, other worker", "M/s", NULL, millions, true, 2, 13, PLACED, RT_BOTH},
    {RT_SEND_ANY, "send-any", "One-way sends, 8 senders, two workers", "M/s", "One-way sends, two workers", millions, true, 2, 15, 0, RT_BOTH},
    {RT_CALL_SAME, "call-same", "Server call, one worker", "us", "Server calls, one worker", us, false, 3, 0.6, 0, RT_BOTH},
    {RT_CALL_ANY, "call-any", "Server call, two workers, placed by the runtime", "us", "Server calls, two workers", us, false, 3, 0, 0, RT_BOTH},
    {RT_CALL_ACROSS, "call-across", "Server call across two workers", "us", NULL, us, false, 1, 0, PLACED, RT_BOTH},
    {RT_SPAWN, "spawn", "Spawn and exit, one after the other", "M/s", "Spawn and exit, batch by batch", millions, true, 2, 2.5, 0, RT_BOTH},
    {RT_RING_SAME, "ring-same", "Ring of 10,000, one worker", "us a hop", "A ring, one worker", us, false, 3, 0, 0, RT_BOTH},
    {RT_RING_ANY, "ring-any", "Ring of 10,000, two workers", "us a hop", NULL, us, false, 3, 0, 0, RT_BOTH},
    {RT_IDLE, "idle-bytes", "Memory of an idle process (state of 8 bytes)", "bytes", "Memory of an idle process", bytes_each, false, 0, 328, 0, RT_BOTH},
    {RT_IDLE, "idle-seconds", "A million processes: until all live", "s", NULL, seconds, false, 2, 1, 0, RT_TABLE},
    {RT_IDLE, "idle-each", "Creating a process, until it is idle", "us", NULL, us, false, 3, 0, 0, RT_GROWTH},
    {RT_IDLE, "idle-mib", "A million processes: resident memory", "MiB", NULL, mebibytes, false, 0, 512, 0, RT_TABLE},
    {RT_CANCEL, "timer-cancel", "Start and cancel a timer, 10,000 others armed", "ns", "Start and cancel a timer", ns, false, 0, 0, 0, RT_BOTH},
    {RT_TIMERS, "timer-arm", "A million timers: start one", "ns", "Arming timers: to start one", ns, false, 0, 0, 0, RT_BOTH},
    {RT_TIMERS, "timer-late-p50", "A million timers: lateness, median", "ms", "Lateness of timers, median", late_p50, false, 2, 0, 0, RT_BOTH},
    {RT_TIMERS, "timer-late-p99", "A million timers: lateness, p99", "ms", "Lateness of timers, p99", late_p99, false, 2, 0, 0, RT_BOTH},
    {RT_TIMERS, "timer-late-max", "A million timers: lateness, longest", "ms", "Lateness of timers, longest", late_max, false, 2, 0, 0, RT_BOTH},
    {RT_GET_SET, "table-get-set", "Table, hash set: read", "M/s", "Table, hash set: reads", millions, true, 2, 0, 0, RT_BOTH},
    {RT_PUT_SET, "table-put-set", "Table, hash set: write", "M/s", "Table, hash set: writes", millions, true, 2, 0, 0, RT_BOTH},
    {RT_ADD_SET, "table-add-set", "Table, hash set: count", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
    {RT_GET_ORDERED, "table-get-ordered", "Table, ordered: read", "M/s", "Table, ordered: reads", millions, true, 2, 0, 0, RT_BOTH},
    {RT_PUT_ORDERED, "table-put-ordered", "Table, ordered: write", "M/s", "Table, ordered: writes", millions, true, 2, 0, 0, RT_BOTH},
    {RT_GET_SET_2, "table-get-set-2", "Table, hash set: read, two processes on two workers", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
    {RT_PUT_SET_2, "table-put-set-2", "Table, hash set: write, two processes on two workers", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
    {RT_ADD_SET_2, "table-add-set-2", "Table, hash set: count, two processes on two workers", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
    {RT_GET_ORDERED_2, "table-get-ordered-2", "Table, ordered: read, two processes on two workers", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
    {RT_PUT_ORDERED_2, "table-put-ordered-2", "Table, ordered: write, two processes on two workers", "M/s", NULL, millions, true, 2, 0, 0, RT_BOTH},
};
/* clang-format on */
const size_t molt_rt_n_metrics = sizeof(molt_rt_metrics) / sizeof(*molt_rt_metrics);

static double cpu_us(const struct molt_bench_result *r)
{
    return molt_rt_cpu_ns(r) / 1e3;
}

void molt_rt_cpu_metric(enum rt_experiment_id id, struct rt_cpu_metric *ret)
{
    const struct rt_experiment *e = &molt_rt_experiments[id];
    snprintf(ret->name, sizeof(ret->name), "%s-cpu", e->name);
    snprintf(ret->title, sizeof(ret->title), "Processor time of an operation: %s", e->name);
    ret->metric = (struct rt_metric){.experiment = id,
                                     .name = ret->name,
                                     .title = ret->title,
                                     .unit = "us of processor time",
                                     .value = cpu_us,
                                     .digits = 3,
                                     .no_rank = strcmp(e->place, "across") == 0 ? PLACED : 0};
}

/* ---- reading results ------------------------------------------------------------- */

size_t molt_rt_head(const struct rt_results *results, enum rt_experiment_id id)
{
    const struct rt_experiment *e = &molt_rt_experiments[id];
    size_t head = 0;
    for (size_t i = 0; i < RT_POINTS_MAX && e->points[i] && e->points[i] <= e->head; i++)
        if (results->of[id][i][RT_MOLT].n)
            head = i;
    return head;
}

struct molt_bench_cell molt_rt_cell(const struct rt_results *results,
                                    const struct rt_metric *metric, size_t point, enum rt_who who)
{
    const struct rt_runs *runs = &results->of[metric->experiment][point][who];
    struct molt_bench_series s = {0};
    for (unsigned i = 0; i < runs->n; i++)
        molt_bench_add(&s, metric->value(&runs->runs[i]));
    struct molt_bench_cell cell = molt_bench_cell(&s);
    molt_bench_series_fini(&s);
    return cell;
}

struct molt_bench_cell molt_rt_better(const struct rt_results *results,
                                      const struct rt_metric *metric, size_t point,
                                      enum rt_who peer)
{
    const struct rt_runs *ours = &results->of[metric->experiment][point][RT_MOLT];
    const struct rt_runs *theirs = &results->of[metric->experiment][point][peer];
    double a[RT_ROUNDS_MAX], b[RT_ROUNDS_MAX];
    unsigned n = ours->n < theirs->n ? ours->n : theirs->n;
    for (unsigned i = 0; i < n; i++) {
        a[i] = metric->value(&ours->runs[i]);
        b[i] = metric->value(&theirs->runs[i]);
    }
    return molt_bench_better(n, a, b, metric->is_more_better);
}
