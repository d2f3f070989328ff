/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/plan_json.h"

#include <string.h>

#include "control/agent/preview.h"
#include "web/json.h"

static json_t *text_or_null(const char *text)
{
    return text ? molt_json_text(text) : json_null();
}

/* Lines as a list. */
static json_t *lines(const char *text)
{
    json_t *list = json_array();
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        if (n)
            json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return list;
}

static json_t *modules(const struct molt_preview *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_modules; i++) {
        const struct molt_preview_module *m = &p->modules[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o}", "module", m->name, "change",
                                              molt_preview_change_name(m->change), "old_version",
                                              (int)m->old_number, "unseen", lines(m->unseen)));
    }
    return list;
}

static json_t *field_refusals(const struct molt_match_type *t)
{
    json_t *list = json_array();
    for (size_t i = 0; t && i < t->n_refusals; i++) {
        const struct molt_match_refusal *r = &t->refusals[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o, s:o, s:o}", "rule", text_or_null(r->rule),
                                        "field", text_or_null(r->field), "why",
                                        text_or_null(r->why), "remedy", text_or_null(r->remedy),
                                        "place", text_or_null(r->place)));
    }
    return list;
}

static json_t *lost(const struct molt_match_type *t)
{
    json_t *list = json_array();
    for (uint32_t i = 0; t && t->recipe && i < t->recipe->n_lost; i++)
        json_array_append_new(list, molt_json_text(t->recipe->lost[i]));
    return list;
}

static json_t *types(const struct molt_preview *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_types; i++) {
        const struct molt_match_type *t = p->types[i].there, *back = p->types[i].back;
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "module",
                                        p->types[i].module, "type", molt_json_text(t->name),
                                        "verdict", molt_preview_verdict_name(t->verdict),
                                        "reach_only", t->is_reach_only, "lines", lines(t->lines),
                                        "lost", lost(t), "lost_back", lost(back), "refusals",
                                        field_refusals(t), "refusals_back", field_refusals(back)));
    }
    return list;
}

static json_t *servers(const struct molt_preview *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_servers; i++) {
        const struct molt_preview_server *s = &p->servers[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:s, s:b}", "server", s->name,
                                              "state", molt_json_text(s->state), "processes",
                                              (json_int_t)s->n_processes, "fate",
                                              molt_preview_fate_name(s->fate), "new_code",
                                              s->has_new_code));
    }
    return list;
}

static json_t *refusals(const struct molt_preview *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_refusals; i++) {
        const struct molt_plan_refusal *r = &p->refusals[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:o, s:o}", "module", r->module, "old_version",
                                        (int)r->old_number, "what", molt_json_text(r->what),
                                        "remedy", molt_json_text(r->remedy)));
    }
    return list;
}

static json_t *tried(const struct molt_trial_record *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_servers; i++) {
        const struct molt_trial_server_record *s = &t->servers[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "server",
                                        molt_json_text(s->name), "processes",
                                        (json_int_t)s->n_processes, "tried", (json_int_t)s->n_tried,
                                        "converted", (json_int_t)s->n_changed, "busy",
                                        (json_int_t)s->n_busy, "failed", (json_int_t)s->n_failed));
    }
    return list;
}

static json_t *trial(const struct molt_preview *p)
{
    const struct molt_trial_record *t = &p->trial;
    json_t *failures = json_array();
    if (!p->is_tried) {
        json_decref(failures);
        return json_null();
    }
    for (size_t i = 0; i < t->n_failures; i++)
        json_array_append_new(failures,
                              json_pack("{s:I, s:o, s:o, s:s, s:I, s:I, s:o}", "pid",
                                        (json_int_t)t->failures[i].pid, "process",
                                        molt_json_text(t->failures[i].label), "why",
                                        molt_json_text(t->failures[i].why), "module",
                                        t->failures[i].module, "version",
                                        (json_int_t)t->failures[i].number, "offset",
                                        (json_int_t)t->failures[i].offset, "place",
                                        text_or_null(p->trial_places ? p->trial_places[i] : NULL)));
    return json_pack("{s:I, s:I, s:I, s:b, s:o, s:o}", "ns", (json_int_t)t->ns, "bytes",
                     (json_int_t)t->bytes, "failed", (json_int_t)t->n_failed, "cut", t->is_cut,
                     "servers", tried(t), "failures", failures);
}

json_t *molt_json_plan(const struct molt_preview *p)
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_preview_print(p, &text);
    json_t *doc = text.is_failed
                      ? NULL
                      : json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "refused",
                                  molt_preview_is_refused(p), "text", molt_json_text(text.data),
                                  "modules", modules(p), "types", types(p), "servers", servers(p),
                                  "refusals", refusals(p), "refusal", text_or_null(p->refusal),
                                  "untried", text_or_null(p->untried), "trial", trial(p),
                                  "old_states", text_or_null(p->old_states));
    molt_buf_fini(&text);
    return doc;
}
