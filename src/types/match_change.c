/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The author's own conversion: the MOLT_CHANGE whose OLD is the old state, spelled
 * again. Tags don't count, since the new version has another struct of that name. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/abi.h>

#include "types/decl.h"
#include "types/match_work.h"

#define DEPTH_MAX 48

static bool is_spelled(const struct molt_matcher *m, uint32_t old, uint32_t again, unsigned depth);

static bool is_record_spelled(const struct molt_matcher *m, const struct molt_node *a,
                              const struct molt_node *b, unsigned depth)
{
    if (a->is_union != b->is_union || a->size != b->size || a->n_members != b->n_members)
        return false;
    for (uint32_t i = 0; i < a->n_members; i++) {
        const struct molt_member *x = &a->members[i], *y = &b->members[i];
        bool is_named_same =
            x->name && y->name ? strcmp(x->name, y->name) == 0 : x->name == y->name;
        if (!is_named_same || x->bit_offset != y->bit_offset || x->bit_size != y->bit_size ||
            !is_spelled(m, x->type, y->type, depth + 1))
            return false;
    }
    return true;
}

/* An old enum may be spelled as the integer that it is. */
static bool is_integer_spelled(const struct molt_matcher *m, uint32_t old, uint32_t again)
{
    unsigned a_bytes, b_bytes;
    bool is_a_signed, is_b_signed;
    return molt_match_integer(&m->from.graph, old, &a_bytes, &is_a_signed) &&
           molt_match_integer(&m->to.graph, again, &b_bytes, &is_b_signed) && a_bytes == b_bytes &&
           is_a_signed == is_b_signed;
}

/* Equal bytes by value; what pointers lead to doesn't matter. */
static bool is_spelled(const struct molt_matcher *m, uint32_t old, uint32_t again, unsigned depth)
{
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, old));
    const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, again));
    if (a->kind == MOLT_KIND_ENUM)
        return is_integer_spelled(m, old, again);
    if (a->kind != b->kind || depth > DEPTH_MAX)
        return false;
    switch (a->kind) {
    case MOLT_KIND_BASE:
        return a->encoding == b->encoding && a->size == b->size;
    case MOLT_KIND_ARRAY:
        return a->count == b->count && is_spelled(m, a->target, b->target, depth + 1);
    case MOLT_KIND_RECORD:
        return is_record_spelled(m, a, b, depth);
    default:
        return true;
    }
}

static bool function_at(const struct molt_matcher *m, size_t server, size_t change,
                        uint64_t *ret_at)
{
    const Elf64_Shdr *section = molt_elf_section(&m->to.elf, "molt_servers");
    struct molt_elf_word word;
    if (!section)
        return false;
    uint64_t addr = section->sh_addr + server * sizeof(struct molt_server) +
                    offsetof(struct molt_server, change) + change * sizeof(struct molt_change) +
                    offsetof(struct molt_change, fn);
    if (molt_elf_word(&m->to.elf, addr, &word) < 0 || word.sym || !word.addr)
        return false;
    *ret_at = word.addr;
    return true;
}

bool molt_match_find_change(struct molt_matcher *m, uint64_t *ret_at)
{
    const struct molt_meta *meta = m->to.meta;
    if (m->options->is_backward)
        return false;
    for (size_t i = 0; i < meta->n_servers; i++) {
        const struct molt_meta_server *s = &meta->servers[i];
        uint32_t state = molt_graph_whole(&m->to.graph, m->to.type_nodes[s->state_type]);
        if (!molt_graph_is_same(&m->to.graph, state, m->subject.new))
            continue;
        m->subject.server = s->name;
        for (size_t k = 0; k < s->n_changes; k++)
            if (is_spelled(m, m->subject.old, m->to.type_nodes[s->change_types[k]], 0) &&
                function_at(m, i, k, ret_at))
                return true;
    }
    return false;
}

/* ---- one to paste --------------------------------------------------------------- */

/* Does another struct go by this name in the new version? */
static bool has_changed(void *user, uint32_t record)
{
    struct molt_matcher *m = user;
    uint32_t now;
    const char *name = molt_match_type_text(m, &m->from, record);
    int rc = molt_graph_find(&m->to.graph, SIZE_MAX, name, &now, m->err);
    if (rc < 0)
        molt_match_fail(m, rc);
    return rc <= 0 || molt_match_is_changed(m, record, now);
}

/* The first of _1, _2, ... that makes a tag which the new version doesn't have. */
static const char *free_suffix(struct molt_matcher *m, const char *word)
{
    for (int i = 1; i < 100; i++) {
        uint32_t found;
        const char *name = molt_match_text(m, "%s %s_%d", word, m->subject.bare, i);
        if (molt_graph_find(&m->to.graph, SIZE_MAX, name, &found, m->err) == 0)
            return molt_match_text(m, "_%d", i);
    }
    return "_old";
}

static const char *skeleton(struct molt_matcher *m)
{
    struct molt_match_subject *s = &m->subject;
    struct molt_buf out = MOLT_BUF_INIT;
    const struct molt_node *old = molt_match_old(m, s->old);
    const char *word = old->is_union ? "union" : "struct", *name = old->name;
    const char *suffix = free_suffix(m, word);
    struct molt_decl_options options = {.suffix = suffix, .is_changed = has_changed, .user = m};
    if (!name || old->kind != MOLT_KIND_RECORD ||
        molt_decl_print(&m->from.graph, s->old, &options, &out) < 0) {
        molt_buf_fini(&out);
        return NULL;
    }
    molt_buf_printf(&out, "static int %s_from%s(const %s %s%s *old, %s *now)\n{\n", s->bare, suffix,
                    word, name, suffix, s->name);
    for (size_t i = 0; i < s->n_refusals; i++)
        molt_buf_printf(&out, "    /* %s: %s */\n", s->refusals[i].field, s->refusals[i].why);
    molt_buf_printf(&out,
                    "    (void)old;\n    (void)now;\n    return 0;\n}\n"
                    "/* in MOLT_SERVER(%s, ...): .change = {MOLT_CHANGE(%s %s%s, %s_from%s)} */\n",
                    s->server, word, name, suffix, s->bare, suffix);
    const char *text = molt_match_text(m, "%s", out.is_failed ? "" : out.data);
    molt_buf_fini(&out);
    return text;
}

static const char *rule_remedy(const char *rule)
{
    for (int i = 0; i < MOLT_MATCH_RULE_COUNT; i++)
        if (strcmp(molt_match_rule_name((enum molt_match_rule)i), rule) == 0)
            return molt_match_rule_remedy((enum molt_match_rule)i);
    return "";
}

void molt_match_fill_remedies(struct molt_matcher *m)
{
    struct molt_match_subject *s = &m->subject;
    const char *text = NULL;
    for (size_t i = 0; i < s->n_refusals; i++) {
        struct molt_match_refusal *r = &s->refusals[i];
        if (r->remedy)
            continue;
        bool is_first = !text;
        if (is_first && s->server)
            text = skeleton(m);
        if (text)
            r->remedy = strdup(is_first ? text : "/* in the same function */\n");
        else if (asprintf(&r->remedy, "%s\n",
                          s->is_variable ? molt_match_rule_remedy(MOLT_MATCH_GLOBAL)
                                         : rule_remedy(r->rule)) < 0)
            r->remedy = NULL;
        if (!r->remedy)
            molt_match_fail(m, MOLT_ENOMEM);
    }
}
