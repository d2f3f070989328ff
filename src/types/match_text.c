/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What a match says to people: lines, refusals, names of fields. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

#define LINES_MAX 200
#define TEXT_MAX 1024

void molt_match_fail(struct molt_matcher *m, int code)
{
    if (m->code == 0)
        m->code = code;
}

__attribute__((format(printf, 2, 0))) static const char *vtext(struct molt_matcher *m,
                                                               const char *fmt, va_list ap)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_vprintf(&buf, fmt, ap);
    const char *text = buf.is_failed ? NULL : molt_arena_strdup(&m->arena, buf.data);
    molt_buf_fini(&buf);
    if (!text)
        molt_match_fail(m, MOLT_ENOMEM);
    return text ? text : "";
}

const char *molt_match_text(struct molt_matcher *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = vtext(m, fmt, ap);
    va_end(ap);
    return text;
}

const char *molt_match_type_text(struct molt_matcher *m, const struct molt_image *image,
                                 uint32_t type)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_graph_print(&image->graph, type, &buf);
    const char *text = molt_match_text(m, "%s", buf.data ? buf.data : "?");
    if (buf.is_failed)
        molt_match_fail(m, MOLT_ENOMEM);
    molt_buf_fini(&buf);
    return text;
}

static const char *dot(const char *path)
{
    return *path && *path != '[' ? "." : "";
}

const char *molt_match_step_text(struct molt_matcher *m, const struct molt_match_place *at)
{
    return molt_match_text(m, "%s%s%s", m->subject.bare, dot(at->path), at->path);
}

struct molt_make_at molt_match_at(struct molt_matcher *m, const struct molt_match_place *at)
{
    return (struct molt_make_at){.old_at = at->old_at,
                                 .new_at = at->new_at,
                                 .text = m->trials ? "" : molt_match_step_text(m, at)};
}

const char *molt_match_owner_text(struct molt_matcher *m, const struct molt_match_place *at)
{
    if (at->owner == MOLT_NODE_NONE)
        return m->subject.name;
    return molt_match_type_text(m, m->hinted, at->owner);
}

void molt_match_line(struct molt_matcher *m, const char *fmt, ...)
{
    struct molt_match_subject *s = &m->subject;
    if (m->trials || s->n_lines >= LINES_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    molt_buf_vprintf(&s->lines, fmt, ap);
    va_end(ap);
    molt_buf_adds(&s->lines, "\n");
    s->n_lines++;
}

static const char *file_text(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[type];
    bool has_file = (node->kind == MOLT_KIND_RECORD || node->kind == MOLT_KIND_ENUM) && node->file;
    return has_file ? node->file->text : NULL;
}

/* For pointers (and arrays) that read alike, @text: what those that they lead to stand for, or
 * the files that they are from. NULL: that doesn't tell them apart either. */
static const char *pointees_text(struct molt_matcher *m, uint32_t old, uint32_t new,
                                 const char *text)
{
    const struct molt_graph *f = &m->from.graph, *t = &m->to.graph;
    for (unsigned depth = 0; depth < MOLT_CHAIN_MAX; depth++) {
        old = molt_graph_whole(f, old);
        new = molt_graph_whole(t, new);
        enum molt_node_kind kind = f->nodes[old].kind;
        if (kind != t->nodes[new].kind || (kind != MOLT_KIND_POINTER && kind != MOLT_KIND_ARRAY))
            break;
        old = f->nodes[old].target;
        new = t->nodes[new].target;
    }
    const char *a = molt_match_type_text(m, &m->from, old);
    const char *b = molt_match_type_text(m, &m->to, new);
    if (strcmp(a, b) != 0)
        return molt_match_text(m, "%s, %s -> %s", text, a, b);
    a = file_text(f, old);
    b = file_text(t, new);
    return a && b && strcmp(a, b) != 0 ? molt_match_text(m, "%s of %s -> of %s", text, a, b) : NULL;
}

/* "long -> int"; when both are spelled alike, what the name stands for. */
static const char *types_text(struct molt_matcher *m, uint32_t old, uint32_t new)
{
    const char *a = molt_match_type_text(m, &m->from, old);
    const char *b = molt_match_type_text(m, &m->to, new);
    if (strcmp(a, b) == 0) {
        a = molt_match_type_text(m, &m->from, molt_graph_whole(&m->from.graph, old));
        b = molt_match_type_text(m, &m->to, molt_graph_whole(&m->to.graph, new));
    }
    if (strcmp(a, b) == 0)
        return pointees_text(m, old, new, a);
    return molt_match_text(m, "%s -> %s", a, b);
}

void molt_match_line_types(struct molt_matcher *m, const struct molt_match_place *at)
{
    const char *text = m->trials ? NULL : types_text(m, at->old, at->new);
    if (text)
        molt_match_line(m, "%s  %s", *at->path ? at->path : m->subject.bare, text);
}

void molt_match_lose(struct molt_matcher *m, const char *path, uint32_t type)
{
    struct molt_match_subject *s = &m->subject;
    char *text = NULL;
    if (m->trials)
        return;
    const char *words = molt_match_type_text(m, &m->from, type);
    if (asprintf(&text, "%s%s%s (%s)", s->bare, dot(path), path, words) < 0 ||
        molt_array_grow(s->lost, s->n_lost, s->cap_lost) < 0) {
        free(text);
        molt_match_fail(m, MOLT_ENOMEM);
        return;
    }
    s->lost[s->n_lost++] = text;
}

/* ---- refusals ----------------------------------------------------------- */

static char *place_of(const struct molt_matcher *m, const struct molt_match_place *at)
{
    const struct molt_field *field = at->new_field ? at->new_field : at->old_field;
    const struct molt_node *node = &m->to.graph.nodes[m->subject.new];
    const struct molt_source *file = field ? field->file : node->file;
    uint32_t line = field ? field->line : node->line;
    char *text = NULL;
    if (!file)
        return strdup("");
    if (asprintf(&text, line ? "%s:%" PRIu32 : "%s", file->text, line) < 0)
        return NULL;
    return text;
}

static void add_refusal(struct molt_matcher *m, const struct molt_match_place *at,
                        enum molt_match_rule rule, const char *remedy, const char *why)
{
    struct molt_match_subject *s = &m->subject;
    struct molt_match_refusal r = {.rule = strdup(molt_match_rule_name(rule)),
                                   .why = strdup(why),
                                   .place = place_of(m, at)};
    if (asprintf(&r.field, "%s%s%s", s->name, dot(at->path), at->path) < 0)
        r.field = NULL;
    if (remedy)
        r.remedy = strdup(remedy);
    if (!r.rule || !r.why || !r.place || !r.field || (remedy && !r.remedy) ||
        molt_array_grow(s->refusals, s->n_refusals, s->cap_refusals) < 0) {
        free(r.rule);
        free(r.why);
        free(r.place);
        free(r.field);
        free(r.remedy);
        molt_match_fail(m, MOLT_ENOMEM);
        return;
    }
    s->refusals[s->n_refusals++] = r;
}

void molt_match_refuse(struct molt_matcher *m, const struct molt_match_place *at,
                       enum molt_match_rule rule, const char *remedy, const char *why, ...)
{
    m->denials++;
    if (m->trials || m->code)
        return;
    va_list ap;
    va_start(ap, why);
    const char *text = vtext(m, why, ap);
    va_end(ap);
    add_refusal(m, at, rule, remedy, text);
}

void molt_match_refuse_types(struct molt_matcher *m, const struct molt_match_place *at,
                             enum molt_match_rule rule, const char *remedy, const char *why)
{
    m->denials++;
    if (m->trials || m->code)
        return;
    const char *types = types_text(m, at->old, at->new);
    add_refusal(m, at, rule, remedy,
                types ? molt_match_text(m, "%s: %s", types, why) : molt_match_text(m, "%s", why));
}
