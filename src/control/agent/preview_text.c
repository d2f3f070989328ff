/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A preview for people. */
#include <string.h>

#include "control/agent/preview.h"

static const char *plural(size_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

/* "\n" and each line of @text, indented. */
static void print_lines(struct molt_buf *out, const char *indent, const char *text)
{
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        if (n)
            molt_buf_printf(out, "\n%s%.*s", indent, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* ---- names ------------------------------------------------------------------------ */

const char *molt_preview_change_name(enum molt_preview_change change)
{
    static const char *const names[] = {"added", "changed", "headers", "removed"};
    return (unsigned)change < 4 ? names[change] : "?";
}

const char *molt_preview_verdict_name(enum molt_verdict verdict)
{
    static const char *const names[] = {"automatic", "hinted", "change", "refused"};
    return (unsigned)verdict < 4 ? names[verdict] : "?";
}

const char *molt_preview_fate_name(enum molt_plan_fate fate)
{
    static const char *const names[] = {"stays", "follows", "change", "stuck", "gone"};
    return (unsigned)fate < 5 ? names[fate] : "?";
}

/* ---- modules and types --------------------------------------------------------------- */

static void print_module(const struct molt_preview_module *m, struct molt_buf *out)
{
    static const char *const what[] = {"is added", "changes",
                                       "is compiled against another header; its code stays",
                                       "is removed"};
    molt_buf_printf(out, "%s%s", out->len ? "\n" : "", m->name);
    if (m->old_number)
        molt_buf_printf(out, "@%u", m->old_number);
    molt_buf_printf(out, " %s", what[m->change]);
}

static void print_type(const struct molt_preview_type *type, struct molt_buf *out)
{
    static const char *const how[] = {"follows by itself", "follows, as hints say",
                                      "needs its MOLT_CHANGE", "is refused"};
    const struct molt_match_type *t = type->there;
    molt_buf_printf(out, "\n  %s %s", t->name, how[t->verdict]);
    if (t->is_reach_only)
        molt_buf_adds(out, ": what it points to changes");
    print_lines(out, "    ", t->lines);
}

static void print_modules(const struct molt_preview *p, struct molt_buf *out)
{
    for (size_t i = 0; i < p->n_modules; i++) {
        const struct molt_preview_module *m = &p->modules[i];
        print_module(m, out);
        for (size_t k = 0; k < p->n_types; k++)
            if (strcmp(p->types[k].module, m->name) == 0)
                print_type(&p->types[k], out);
    }
}

/* ---- processes ------------------------------------------------------------------------ */

static void print_server(const struct molt_preview_server *s, struct molt_buf *out)
{
    static const char *const how[] = {"keeps its state", "has its state converted",
                                      "has its state converted by MOLT_CHANGE",
                                      "can't be converted", "would have no code any more"};
    static const char *const many[] = {"keep their states", "have their states converted",
                                       "have their states converted by MOLT_CHANGE",
                                       "can't be converted", "would have no code any more"};
    molt_buf_printf(out, "\nserver %s: %zu %s %s", s->name, s->n_processes,
                    plural(s->n_processes, "process", "processes"),
                    s->n_processes == 1 ? how[s->fate] : many[s->fate]);
    if (s->fate != MOLT_PLAN_STAYS && s->fate != MOLT_PLAN_GONE)
        molt_buf_printf(out, " (%s)", s->state);
}

/* ---- what is lost, and what isn't seen ---------------------------------------------------- */

static void print_recipe_lost(const struct molt_match_type *t, const char *intro, bool *is_begun,
                              struct molt_buf *out)
{
    for (uint32_t i = 0; t && t->recipe && i < t->recipe->n_lost; i++) {
        molt_buf_printf(out, "%s%s", *is_begun ? ", " : intro, t->recipe->lost[i]);
        *is_begun = true;
    }
}

static void print_lost(const struct molt_preview *p, struct molt_buf *out)
{
    bool is_begun = false, is_back_begun = false;
    for (size_t i = 0; i < p->n_types; i++)
        print_recipe_lost(p->types[i].there, "\nlost: ", &is_begun, out);
    for (size_t i = 0; i < p->n_types; i++)
        print_recipe_lost(p->types[i].back, "\na way back would lose: ", &is_back_begun, out);
    for (size_t i = 0; i < p->n_types; i++) {
        const struct molt_match_type *back = p->types[i].back;
        for (size_t k = 0; back && k < back->n_refusals; k++)
            molt_buf_printf(out, "\nno way back: %s  %s",
                            back->refusals[k].field ? back->refusals[k].field : back->name,
                            back->refusals[k].why ? back->refusals[k].why : "");
    }
}

static void print_unseen(const struct molt_preview *p, struct molt_buf *out)
{
    bool is_begun = false;
    for (size_t i = 0; i < p->n_modules; i++) {
        if (!*p->modules[i].unseen)
            continue;
        if (!is_begun)
            molt_buf_adds(out, "\nwhat types don't tell:");
        is_begun = true;
        print_lines(out, "  ", p->modules[i].unseen);
    }
}

/* ---- what speaks against it --------------------------------------------------------------- */

static void print_refusals(const struct molt_preview *p, struct molt_buf *out)
{
    for (size_t i = 0; i < p->n_refusals; i++) {
        const struct molt_plan_refusal *r = &p->refusals[i];
        molt_buf_printf(out, "\n%s refused", r->module);
        if (r->old_number)
            molt_buf_printf(out, ", %s@%u goes on", r->module, r->old_number);
        molt_buf_printf(out, "\n  %s\n  to allow it: %s", r->what, r->remedy);
    }
    if (p->refusal) {
        molt_buf_adds(out, "\nthe host refuses it:");
        print_lines(out, "  ", p->refusal);
    }
}

/* ---- the trial ------------------------------------------------------------------------------- */

void molt_preview_print_failures(const struct molt_preview *p, struct molt_buf *out)
{
    for (size_t i = 0; i < p->trial.n_failures; i++) {
        const struct molt_trial_failure_record *f = &p->trial.failures[i];
        molt_buf_printf(out, "\n  %s: %s", f->label, f->why);
        if (p->trial_places && p->trial_places[i])
            molt_buf_printf(out, "\n    in %s", p->trial_places[i]);
    }
    if (p->trial.n_failed > p->trial.n_failures)
        molt_buf_printf(out, "\n  and %zu more", (size_t)p->trial.n_failed - p->trial.n_failures);
}

static void print_tried(const struct molt_trial_server_record *s, struct molt_buf *out)
{
    molt_buf_printf(out, "\n  %s: %u of %u %s tried, %u converted", s->name, s->n_tried,
                    s->n_processes, plural(s->n_processes, "process", "processes"), s->n_changed);
    if (s->n_busy)
        molt_buf_printf(out, ", %u busy", s->n_busy);
    if (s->n_failed)
        molt_buf_printf(out, ", %u failed", s->n_failed);
}

static void print_trial(const struct molt_preview *p, struct molt_buf *out)
{
    if (p->untried)
        molt_buf_printf(out, "\nnot tried: %s", p->untried);
    if (!p->is_tried)
        return;
    const struct molt_trial_record *t = &p->trial;
    molt_buf_printf(out, "\ntried on copies in %.1f ms, %llu bytes made%s", (double)t->ns / 1e6,
                    (unsigned long long)t->bytes, t->n_failed ? ", and it FAILED:" : ":");
    molt_preview_print_failures(p, out);
    for (size_t i = 0; i < t->n_servers; i++)
        print_tried(&t->servers[i], out);
    if (t->is_cut)
        molt_buf_adds(out, "\n  there was no time for the rest");
}

void molt_preview_print(const struct molt_preview *p, struct molt_buf *out)
{
    if (!p->n_modules) {
        molt_buf_printf(out, "nothing to change: this is what runs");
        return;
    }
    print_modules(p, out);
    for (size_t i = 0; i < p->n_servers; i++)
        print_server(&p->servers[i], out);
    print_lost(p, out);
    print_unseen(p, out);
    print_refusals(p, out);
    print_trial(p, out);
    molt_buf_printf(out, "\n%s",
                    molt_preview_is_refused(p) ? "it would be refused; nothing was changed"
                                               : "it can go live; nothing was changed yet");
}
