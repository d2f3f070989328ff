/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static void print_stats(struct molt_out *out, json_t *stats)
{
    char a[MOLT_SHOW_MAX], b[MOLT_SHOW_MAX];
    molt_out_line(out, MOLT_TONE_PLAIN, "status",
                  "  up %s, %s resident, %llu processes on %llu workers",
                  molt_show_ms(molt_show_number(stats, "uptime_ms"), a),
                  molt_show_bytes(molt_show_number(stats, "rss_bytes"), b),
                  (unsigned long long)molt_show_number(stats, "processes"),
                  (unsigned long long)molt_show_number(stats, "workers"));
    molt_out_line(out, MOLT_TONE_PLAIN, "status",
                  "  %llu callbacks, %llu messages, %llu crashes, %llu restarts of processes",
                  (unsigned long long)molt_show_number(stats, "callbacks"),
                  (unsigned long long)molt_show_number(stats, "messages"),
                  (unsigned long long)molt_show_number(stats, "crashes"),
                  (unsigned long long)molt_show_number(stats, "restarts"));
}

static void print_scheduler(struct molt_out *out, json_t *stats)
{
    char a[MOLT_SHOW_MAX], b[MOLT_SHOW_MAX];
    if (molt_show_number(stats, "stack_bytes") == 0)
        return; /* a host of before these were told */
    molt_out_line(out, MOLT_TONE_PLAIN, "status",
                  "  %llu stacks of %s, the deepest used %s; %llu of %llu spare workers at work",
                  (unsigned long long)molt_show_number(stats, "stacks"),
                  molt_show_bytes(molt_show_number(stats, "stack_bytes"), a),
                  molt_show_bytes(molt_show_number(stats, "stack_deepest"), b),
                  (unsigned long long)molt_show_number(stats, "spares"),
                  (unsigned long long)molt_show_number(stats, "spares_max"));
}

/* The upper bound of the highest bucket in use, in nanoseconds; 0: none. */
static uint64_t longest(json_t *stats, const char *key)
{
    json_t *list = json_object_get(stats, key);
    size_t n = json_array_size(list);
    return n ? molt_show_number(json_array_get(list, n - 1), "below_ns") : 0;
}

static void print_stops(struct molt_out *out, json_t *stats)
{
    uint64_t thread = longest(stats, "stopped_threads");
    uint64_t process = longest(stats, "stopped_processes");
    if (thread || process)
        molt_out_line(
            out, MOLT_TONE_PLAIN, "status",
            "  longest stop by an upgrade: a thread below %.1f us, a process below %.1f us",
            (double)thread / 1000, (double)process / 1000);
}

static void print(struct molt_out *out, json_t *doc)
{
    const char *state = molt_show_text(doc, "state"), *url = molt_show_text(doc, "url");
    bool is_live = state[0] == 'l';
    molt_out_line(out, is_live ? MOLT_TONE_GOOD : MOLT_TONE_BAD, "status", "%s is %s%s%s (%s)",
                  molt_show_text(doc, "app"), state, *url ? ": " : "", url,
                  molt_show_text(doc, "mode"));
    molt_out_line(out, MOLT_TONE_PLAIN, "status",
                  "  agent pid %llu, host pid %llu, host restarts %llu, upgrades %llu",
                  (unsigned long long)molt_show_number(doc, "agent_pid"),
                  (unsigned long long)molt_show_number(doc, "host_pid"),
                  (unsigned long long)molt_show_number(doc, "host_restarts"),
                  (unsigned long long)molt_show_number(doc, "upgrades"));
    json_t *stats = json_object_get(doc, "stats"), *problem = json_object_get(doc, "problem");
    if (json_is_object(stats)) {
        print_stats(out, stats);
        print_scheduler(out, stats);
        print_stops(out, stats);
    }
    if (*molt_show_text(doc, "last"))
        molt_out_line(out, MOLT_TONE_PLAIN, "status", "  last: %s", molt_show_text(doc, "last"));
    if (json_is_object(problem))
        molt_out_line(out, MOLT_TONE_BAD, "problem", "%s\n%s", molt_show_text(problem, "kind"),
                      molt_show_text(problem, "text"));
}

static int run(const struct molt_cli_args *args)
{
    return molt_client_show(args, "/v1/status", print);
}

const struct molt_command molt_command_status = {.name = "status",
                                                 .args = "",
                                                 .help = "how the app of this project is",
                                                 .options = {{"json", NULL, "as JSON"}},
                                                 .run = run};
