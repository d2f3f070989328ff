/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/preview.h"

#include <stdlib.h>
#include <string.h>

/* ---- parts ---------------------------------------------------------------------- */

static const char *find_unseen(const struct molt_matched *matched, const char *module)
{
    const struct molt_matched_module *m = molt_matched_find(matched, module);
    return m && m->there.unseen ? m->there.unseen : "";
}

static void add_modules(const struct molt_plan *plan, const struct molt_matched *matched,
                        struct molt_preview *p)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct molt_plan_step *step = &plan->steps[i];
        enum molt_preview_change change = step->action == MOLT_PLAN_DELETE ? MOLT_PREVIEW_REMOVED
                                          : step->action == MOLT_PLAN_KEEP ? MOLT_PREVIEW_HEADERS
                                          : step->old_number               ? MOLT_PREVIEW_CHANGED
                                                                           : MOLT_PREVIEW_ADDED;
        p->modules[p->n_modules++] =
            (struct molt_preview_module){step->meta->module, change, step->old_number,
                                         find_unseen(matched, step->meta->module)};
    }
}

/* A type of a header that several modules share is told once. */
static bool is_known(const struct molt_preview *p, const struct molt_match_type *type)
{
    for (size_t i = 0; i < p->n_types; i++) {
        const struct molt_match_type *t = p->types[i].there;
        if (t->from_hash == type->from_hash && t->to_hash == type->to_hash &&
            strcmp(t->from_key, type->from_key) == 0)
            return true;
    }
    return false;
}

static const struct molt_match_type *find_back(const struct molt_match *back,
                                               const struct molt_match_type *there)
{
    for (size_t i = 0; i < back->n_types; i++) {
        const struct molt_match_type *t = &back->types[i];
        if (t->from_hash == there->to_hash && t->to_hash == there->from_hash && t->to_key &&
            strcmp(t->to_key, there->from_key) == 0)
            return t;
    }
    return NULL;
}

static void add_types(const struct molt_matched *matched, struct molt_preview *p)
{
    for (size_t i = 0; i < matched->n; i++) {
        const struct molt_matched_module *m = &matched->modules[i];
        for (size_t k = 0; k < m->there.n_types; k++) {
            const struct molt_match_type *t = &m->there.types[k];
            if (!is_known(p, t))
                p->types[p->n_types++] =
                    (struct molt_preview_type){m->module, t, find_back(&m->back, t)};
        }
    }
}

static bool is_replaced(const struct molt_plan *plan, const char *module)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].action != MOLT_PLAN_KEEP &&
            strcmp(plan->steps[i].meta->module, module) == 0)
            return true;
    return false;
}

static void add_servers(const struct molt_plan_input *in, const struct molt_plan *plan,
                        struct molt_preview *p)
{
    for (size_t i = 0; i < in->n_running; i++) {
        const struct molt_plan_running *r = &in->running[i];
        bool has_new_code = is_replaced(plan, r->meta->module);
        for (size_t s = 0; s < r->meta->n_servers; s++) {
            const struct molt_meta_server *server = &r->meta->servers[s];
            struct molt_preview_server now = {.name = server->name,
                                              .state = r->meta->types[server->state_type].name,
                                              .n_processes = molt_plan_processes(in, server->name),
                                              .has_new_code = has_new_code};
            now.fate = molt_plan_fate(in, r, server, NULL, &now.type);
            if (now.n_processes && (has_new_code || now.fate != MOLT_PLAN_STAYS))
                p->servers[p->n_servers++] = now;
        }
    }
}

/* ---- life ------------------------------------------------------------------------ */

int molt_preview_make(const struct molt_plan_input *input, const struct molt_plan *plan,
                      const struct molt_matched *matched, struct molt_preview *ret)
{
    size_t n_types = 0, n_servers = 0;
    for (size_t i = 0; i < matched->n; i++)
        n_types += matched->modules[i].there.n_types;
    for (size_t i = 0; i < input->n_running; i++)
        n_servers += input->running[i].meta->n_servers;
    struct molt_preview p = {.modules = calloc(plan->n_steps + 1, sizeof(*p.modules)),
                             .types = calloc(n_types + 1, sizeof(*p.types)),
                             .servers = calloc(n_servers + 1, sizeof(*p.servers)),
                             .n_refusals = plan->n_refusals,
                             .refusals = plan->refusals};
    if (!p.modules || !p.types || !p.servers) {
        molt_preview_fini(&p);
        return MOLT_ENOMEM;
    }
    add_modules(plan, matched, &p);
    add_types(matched, &p);
    add_servers(input, plan, &p);
    *ret = p;
    return 0;
}

void molt_preview_fini(struct molt_preview *p)
{
    for (size_t i = 0; p->trial_places && i < p->trial.n_failures; i++)
        free(p->trial_places[i]);
    free(p->trial_places);
    molt_record_fini_trial(&p->trial);
    free(p->untried);
    free(p->old_states);
    free(p->refusal);
    free(p->modules);
    free(p->types);
    free(p->servers);
    *p = (struct molt_preview){0};
}

bool molt_preview_is_refused(const struct molt_preview *p)
{
    return p->n_refusals || p->refusal || (p->is_tried && p->trial.n_failed);
}
