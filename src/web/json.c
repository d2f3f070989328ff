/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

json_t *molt_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = strdup(text);
    if (!copy)
        return NULL;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
    char text[2 * MOLT_RECORD_BUILD_ID_MAX + 1] = "";
    for (size_t i = 0; i < len && i < MOLT_RECORD_BUILD_ID_MAX; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

static json_t *module(const struct molt_version_record *v)
{
    char name[320];
    snprintf(name, sizeof(name), "%s@%u", v->module, v->number);
    return json_pack("{s:o, s:i, s:o, s:b, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "module",
                     molt_json_text(v->module), "version", (int)v->number, "name",
                     molt_json_text(name), "is_current", v->is_current, "digest",
                     hex(v->digest, sizeof(v->digest)), "build_id",
                     hex(v->build_id, v->build_id_len), "base", (json_int_t)v->base, "bytes",
                     (json_int_t)v->bytes, "age_ms", (json_int_t)v->age_ms, "path",
                     molt_json_text(v->path), "why", molt_json_text(v->why));
}

static json_t *world(const struct molt_world_record *w)
{
    return json_pack("{s:I, s:b, s:I, s:I, s:I, s:o}", "world", (json_int_t)w->id, "is_current",
                     w->is_current, "age_ms", (json_int_t)w->age_ms, "bytes", (json_int_t)w->bytes,
                     "holds", (json_int_t)w->n_holds, "owners", molt_json_text(w->owners));
}

static json_t *process(const struct molt_process_record *p)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:s, s:o, s:I, s:I, s:I, s:I}", "pid",
                     (json_int_t)p->pid, "name", molt_json_text(p->name), "server",
                     molt_json_text(p->server), "code", molt_json_text(p->version), "world",
                     (json_int_t)p->world, "state", molt_record_process_state(p->state),
                     "waiting_for", molt_json_text(p->waiting_for), "mailbox",
                     (json_int_t)p->mailbox, "bytes", (json_int_t)p->bytes, "callbacks",
                     (json_int_t)p->callbacks, "parent", (json_int_t)p->parent);
}

/* Append to @list (NULL stays NULL). */
static json_t *append(json_t *list, json_t *item)
{
    if (list && json_array_append_new(list, item) == 0)
        return list;
    json_decref(list);
    return NULL;
}

json_t *molt_json_modules(const struct molt_version_record *list, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < n; i++)
        out = append(out, module(&list[i]));
    return out;
}

json_t *molt_json_worlds(const struct molt_world_record *list, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < n; i++)
        out = append(out, world(&list[i]));
    return out;
}

json_t *molt_json_processes(const struct molt_process_record *list, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < n; i++)
        out = append(out, process(&list[i]));
    return out;
}

static json_t *supervisor(const struct molt_child_record *s)
{
    return json_pack("{s:o, s:I, s:s, s:[]}", "supervisor", molt_json_text(s->supervisor_name),
                     "pid", (json_int_t)s->supervisor, "strategy",
                     molt_record_strategy(s->strategy), "children");
}

static json_t *child(const struct molt_child_record *c)
{
    return json_pack("{s:o, s:I, s:s, s:b, s:I}", "id", molt_json_text(c->id), "pid",
                     (json_int_t)c->pid, "restart", molt_record_restart(c->restart),
                     "is_supervisor", c->is_supervisor, "restarts", (json_int_t)c->n_restarts);
}

json_t *molt_json_tree(const struct molt_child_record *list, size_t n)
{
    json_t *out = json_array(), *children = NULL;
    for (size_t i = 0; out && i < n; i++) {
        if (list[i].is_self) {
            out = append(out, supervisor(&list[i]));
            children =
                out ? json_object_get(json_array_get(out, json_array_size(out) - 1), "children")
                    : NULL;
        } else if (children && json_array_append_new(children, child(&list[i])) < 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

/* [{"below_ns": 2048, "count": 7}, ...]: the buckets that aren't empty. */
static json_t *histogram(const uint64_t *buckets)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < MOLT_STOP_BUCKETS; i++)
        if (buckets[i])
            out = append(out, json_pack("{s:I, s:I}", "below_ns", (json_int_t)1 << (i + 1), "count",
                                        (json_int_t)buckets[i]));
    return out;
}

json_t *molt_json_stats(const struct molt_stats_record *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                     "s:I, s:o, s:o}",
                     "processes", (json_int_t)s->processes, "workers", (json_int_t)s->workers,
                     "stacks", (json_int_t)s->stacks, "callbacks", (json_int_t)s->callbacks,
                     "messages", (json_int_t)s->messages, "crashes", (json_int_t)s->crashes,
                     "restarts", (json_int_t)s->restarts, "rss_bytes", (json_int_t)s->rss_bytes,
                     "uptime_ms", (json_int_t)s->uptime_ms, "connections",
                     (json_int_t)s->connections, "spares", (json_int_t)s->spares, "spares_max",
                     (json_int_t)s->spares_max, "stack_bytes", (json_int_t)s->stack_bytes,
                     "stack_deepest", (json_int_t)s->stack_deepest, "preempted",
                     (json_int_t)s->preempted, "handovers", (json_int_t)s->handovers,
                     "stopped_threads", histogram(s->stopped_threads), "stopped_processes",
                     histogram(s->stopped_processes));
}

json_t *molt_json_error(int code, const char *text)
{
    return json_pack("{s:{s:s, s:o}}", "error", "code", molt_error_name(code), "text",
                     molt_json_text(text && *text ? text : molt_error_text(code)));
}
