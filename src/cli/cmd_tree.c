/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

#define DEPTH_MAX 32

static json_t *find_supervisor(json_t *doc, uint64_t pid)
{
    size_t i;
    json_t *s;
    json_array_foreach(doc, i, s) if (pid && molt_show_number(s, "pid") == pid) return s;
    return NULL;
}

static bool is_child(json_t *doc, uint64_t pid)
{
    size_t i, k;
    json_t *s, *c;
    json_array_foreach(doc, i, s)
        json_array_foreach(json_object_get(s, "children"), k,
                           c) if (molt_show_number(c, "pid") == pid) return true;
    return false;
}

/* "  2 restarts", "" */
static const char *show_restarts(json_t *child, char buf[MOLT_SHOW_MAX])
{
    unsigned long long n = molt_show_number(child, "restarts");
    buf[0] = '\0';
    if (n)
        snprintf(buf, MOLT_SHOW_MAX, "  %llu restart%s", n, n == 1 ? "" : "s");
    return buf;
}

static void print_child(struct molt_out *out, json_t *child, const char *strategy, int depth)
{
    char buf[MOLT_SHOW_MAX], pid[MOLT_SHOW_MAX] = "down";
    const char *id = molt_show_text(child, "id");
    unsigned long long number = molt_show_number(child, "pid");
    if (number)
        snprintf(pid, sizeof(pid), "%llu", number);
    molt_out_line(out, number ? MOLT_TONE_PLAIN : MOLT_TONE_BAD, "tree", "%*s%-*s %-10s %s%s%s%s",
                  2 * depth, "", depth < 12 ? 24 - 2 * depth : 0, *id ? id : "-", pid,
                  molt_show_text(child, "restart"), *strategy ? ", " : "", strategy,
                  show_restarts(child, buf));
}

/* The depth is bounded, because the answer isn't one instant's. */
static void print_children(struct molt_out *out, json_t *doc, json_t *supervisor, int depth)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(supervisor, "children"), i, c)
    {
        json_t *inner = find_supervisor(doc, molt_show_number(c, "pid"));
        print_child(out, c, inner ? molt_show_text(inner, "strategy") : "", depth);
        if (inner && depth < DEPTH_MAX)
            print_children(out, doc, inner, depth + 1);
    }
}

static void print(struct molt_out *out, json_t *doc)
{
    size_t i;
    json_t *s;
    json_array_foreach(doc, i, s)
    {
        if (is_child(doc, molt_show_number(s, "pid")))
            continue;
        molt_out_line(out, MOLT_TONE_PLAIN, "tree", "%-24s %-10llu %s",
                      molt_show_text(s, "supervisor"),
                      (unsigned long long)molt_show_number(s, "pid"),
                      molt_show_text(s, "strategy"));
        print_children(out, doc, s, 1);
    }
}

static int run(const struct molt_cli_args *args)
{
    return molt_client_show(args, "/v1/tree", print);
}

const struct molt_command molt_command_tree = {.name = "tree",
                                               .args = "",
                                               .help = "supervisors and their children",
                                               .options = {{"json", NULL, "as JSON"}},
                                               .run = run};
