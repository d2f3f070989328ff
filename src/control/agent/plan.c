/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/plan.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct planner {
    const struct molt_plan_input *in;
    struct molt_plan *plan;
    bool is_failed; /* out of memory */
};

/* ---- building the result -------------------------------------------------- */

static void add_step(struct planner *p, struct molt_plan_step step)
{
    struct molt_plan *plan = p->plan;
    struct molt_plan_step *steps = realloc(plan->steps, (plan->n_steps + 1) * sizeof(*plan->steps));
    if (!steps) {
        p->is_failed = true;
        return;
    }
    plan->steps = steps;
    plan->steps[plan->n_steps++] = step;
}

/* A refusal that is filled in by say() and remedy(); NULL when out of memory. */
static struct molt_plan_refusal *add_refusal(struct planner *p, const char *module,
                                             unsigned old_number)
{
    struct molt_plan *plan = p->plan;
    struct molt_plan_refusal *refusals =
        realloc(plan->refusals, (plan->n_refusals + 1) * sizeof(*plan->refusals));
    if (!refusals) {
        p->is_failed = true;
        return NULL;
    }
    plan->refusals = refusals;
    struct molt_plan_refusal *r = &refusals[plan->n_refusals++];
    *r = (struct molt_plan_refusal){.module = strdup(module), .old_number = old_number};
    if (!r->module)
        p->is_failed = true;
    return r;
}

static void __attribute__((format(printf, 3, 4)))
format(struct planner *p, char **ret, const char *fmt, ...)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    molt_buf_vprintf(&buf, fmt, ap);
    va_end(ap);
    *ret = molt_buf_take(&buf);
    if (!*ret)
        p->is_failed = true;
    molt_buf_fini(&buf);
}

/* ---- looking things up ----------------------------------------------------- */

static const struct molt_plan_running *find_running(const struct molt_plan_input *in,
                                                    const char *module)
{
    for (size_t i = 0; i < in->n_running; i++)
        if (strcmp(in->running[i].meta->module, module) == 0)
            return &in->running[i];
    return NULL;
}

static const struct molt_plan_target *find_target(const struct molt_plan_input *in,
                                                  const char *module)
{
    for (size_t i = 0; i < in->n_targets; i++)
        if (strcmp(in->targets[i].meta->module, module) == 0)
            return &in->targets[i];
    return NULL;
}

static const struct molt_meta_server *find_server(const struct molt_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->n_servers; i++)
        if (strcmp(meta->servers[i].name, name) == 0)
            return &meta->servers[i];
    return NULL;
}

/* The target that defines server @name, wherever it moved. */
static const struct molt_meta *find_server_home(const struct molt_plan_input *in, const char *name)
{
    for (size_t i = 0; i < in->n_targets; i++)
        if (find_server(in->targets[i].meta, name))
            return in->targets[i].meta;
    return NULL;
}

size_t molt_plan_processes(const struct molt_plan_input *in, const char *server)
{
    for (size_t i = 0; i < in->n_counts; i++)
        if (strcmp(in->counts[i].server, server) == 0)
            return in->counts[i].n;
    return 0;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "es";
}

/* ---- steps ------------------------------------------------------------------ */

static bool same_headers(const struct molt_meta *a, const struct molt_meta *b)
{
    if (a->n_headers != b->n_headers)
        return false;
    for (size_t i = 0; i < a->n_headers; i++) {
        size_t j = 0;
        while (j < b->n_headers && strcmp(a->headers[i].module, b->headers[j].module) != 0)
            j++;
        if (j == b->n_headers ||
            memcmp(a->headers[i].digest, b->headers[j].digest, MOLT_SHA256_BYTES) != 0)
            return false;
    }
    return true;
}

/* Equal means: the same version, whatever its debug lines say. */
static bool same_code(const struct molt_meta *a, const struct molt_meta *b)
{
    return memcmp(a->digest, b->digest, MOLT_SHA256_BYTES) == 0 || a->content == b->content;
}

static void plan_steps(struct planner *p)
{
    const struct molt_plan_input *in = p->in;
    for (size_t i = 0; i < in->n_targets; i++) {
        const struct molt_plan_target *t = &in->targets[i];
        const struct molt_plan_running *r = find_running(in, t->meta->module);
        struct molt_plan_step step = {.meta = t->meta,
                                      .image_path = t->image_path,
                                      .old_number = r ? r->number : 0};
        if (!r || !same_code(r->meta, t->meta))
            step.action = MOLT_PLAN_PUT;
        else if (!same_headers(r->meta, t->meta))
            step.action = MOLT_PLAN_KEEP;
        else
            continue;
        add_step(p, step);
    }
    for (size_t i = 0; i < in->n_running; i++) {
        const struct molt_plan_running *r = &in->running[i];
        if (!find_target(in, r->meta->module))
            add_step(p, (struct molt_plan_step){.action = MOLT_PLAN_DELETE,
                                                .meta = r->meta,
                                                .old_number = r->number});
    }
}

/* ---- refusals ---------------------------------------------------------------- */

static bool has_change(const struct molt_meta *meta, const struct molt_meta_server *server,
                       const struct molt_meta_type *from)
{
    for (size_t i = 0; i < server->n_changes; i++)
        if (meta->types[server->change_types[i]].shape == from->shape)
            return true;
    return false;
}

static void refuse_state(struct planner *p, const struct molt_plan_running *r,
                         const struct molt_meta_server *server, const struct molt_meta *home,
                         size_t n)
{
    const struct molt_meta_type *old = &r->meta->types[server->state_type];
    struct molt_plan_refusal *refusal = add_refusal(p, home->module, r->number);
    if (!refusal)
        return;
    format(p, &refusal->what,
           "the state of server %s changed its layout (%s), and %zu process%s %s it", server->name,
           old->name, n, plural(n), n == 1 ? "has" : "have");
    format(p, &refusal->remedy,
           "keep a copy of the old struct under another name, say `struct %s_v%u`, and add to "
           "MOLT_SERVER(%s, ...): .change = { MOLT_CHANGE(struct %s_v%u, from_v%u) } with "
           "`static int from_v%u(const struct %s_v%u *old, %s *now)`",
           server->name, r->number, server->name, server->name, r->number, r->number, r->number,
           server->name, r->number, old->name);
}

static void refuse_gone_server(struct planner *p, const struct molt_plan_running *r,
                               const struct molt_meta_server *server, size_t n)
{
    struct molt_plan_refusal *refusal = add_refusal(p, r->meta->module, r->number);
    if (!refusal)
        return;
    format(p, &refusal->what, "server %s would be gone, and %zu process%s of it live%s",
           server->name, n, plural(n), n == 1 ? "s" : "");
    format(p, &refusal->remedy, "keep MOLT_SERVER(%s, ...) until they have ended", server->name);
}

/* Type identity is key and layout, as in the host's type table. */
static bool same_type(const struct molt_meta_type *a, const struct molt_meta_type *b)
{
    return a->hash == b->hash && strcmp(a->key, b->key) == 0;
}

static const struct molt_match_type *find_match(const struct molt_plan_input *in,
                                                const struct molt_meta *home,
                                                const struct molt_meta_type *from)
{
    const struct molt_plan_target *target = find_target(in, home->module);
    const struct molt_match *match = target ? target->match : NULL;
    for (size_t i = 0; match && i < match->n_types; i++)
        if (match->types[i].from_hash == from->hash &&
            strcmp(match->types[i].from_key, from->key) == 0)
            return &match->types[i];
    return NULL;
}

/* Append the lines of @text to @out, indented. */
static void add_lines(struct molt_buf *out, const char *indent, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n)
            molt_buf_printf(out, "\n%s%.*s", indent, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* Fields that stand in the way, and what would allow each. */
static void refuse_fields(struct planner *p, const char *module, unsigned old_number,
                          const struct molt_match_refusal *fields, size_t n)
{
    struct molt_plan_refusal *refusal = add_refusal(p, module, old_number);
    struct molt_buf what = MOLT_BUF_INIT, remedy = MOLT_BUF_INIT;
    for (size_t i = 0; refusal && i < n; i++) {
        const struct molt_match_refusal *f = &fields[i];
        molt_buf_printf(&what, "%s%s%s%s  %s", i ? "\n  " : "", f->place ? f->place : "",
                        f->place ? "  " : "", f->field ? f->field : "", f->why ? f->why : "");
        bool is_told = false;
        for (size_t k = 0; k < i; k++)
            is_told |= f->remedy && fields[k].remedy && !strcmp(f->remedy, fields[k].remedy);
        if (f->remedy && !is_told)
            add_lines(&remedy, "    ", f->remedy);
    }
    if (refusal) {
        refusal->what = molt_buf_take(&what);
        refusal->remedy = remedy.len ? molt_buf_take(&remedy) : strdup("keep the layout");
        if (!refusal->what || !refusal->remedy)
            p->is_failed = true;
    }
    molt_buf_fini(&what);
    molt_buf_fini(&remedy);
}

enum molt_plan_fate molt_plan_fate(const struct molt_plan_input *in,
                                   const struct molt_plan_running *r,
                                   const struct molt_meta_server *server,
                                   const struct molt_meta **ret_home,
                                   const struct molt_match_type **ret_match)
{
    const struct molt_meta *home = find_server_home(in, server->name);
    const struct molt_meta_type *from = &r->meta->types[server->state_type];
    const struct molt_match_type *match = home ? find_match(in, home, from) : NULL;
    if (ret_home)
        *ret_home = home;
    if (ret_match)
        *ret_match = match;
    if (!home)
        return MOLT_PLAN_GONE;
    const struct molt_meta_server *now = find_server(home, server->name);
    bool is_same = same_type(from, &home->types[now->state_type]);
    if (!is_same && has_change(home, now, from))
        return MOLT_PLAN_CHANGE;
    if (match && match->verdict != MOLT_MATCH_REFUSED)
        return match->recipe && match->recipe->change_module ? MOLT_PLAN_CHANGE : MOLT_PLAN_FOLLOWS;
    return is_same ? MOLT_PLAN_STAYS : MOLT_PLAN_STUCK;
}

static void check_server(struct planner *p, const struct molt_plan_running *r,
                         const struct molt_meta_server *server)
{
    const struct molt_meta *home;
    const struct molt_match_type *match;
    size_t n = molt_plan_processes(p->in, server->name);
    if (!n)
        return;
    enum molt_plan_fate fate = molt_plan_fate(p->in, r, server, &home, &match);
    if (fate == MOLT_PLAN_GONE)
        refuse_gone_server(p, r, server, n);
    else if (fate == MOLT_PLAN_STUCK && match && match->n_refusals)
        refuse_fields(p, home->module, r->number, match->refusals, match->n_refusals);
    else if (fate == MOLT_PLAN_STUCK)
        refuse_state(p, r, server, home, n);
}

static bool has_global(const struct molt_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->n_globals; i++)
        if (strcmp(meta->globals[i].name, name) == 0)
            return true;
    return false;
}

/* Without its image nobody can say what lies in a variable. */
static void refuse_unknown_globals(struct planner *p, const struct molt_plan_running *r,
                                   const struct molt_meta *now)
{
    for (size_t i = 0; i < r->meta->n_globals; i++) {
        const char *name = r->meta->globals[i].name;
        struct molt_plan_refusal *refusal =
            has_global(now, name) ? add_refusal(p, now->module, r->number) : NULL;
        if (!refusal)
            continue;
        format(
            p, &refusal->what,
            "%s: the value of this mutable global can't follow, because the image of %s@%u isn't "
            "in the store any more",
            name, now->module, r->number);
        format(p, &refusal->remedy,
               "mark it MOLT_FRESH if it may start anew in each version, or move it into the state "
               "of a process or a table");
        return;
    }
}

/* The values of mutable globals follow by name and type. */
static void check_globals(struct planner *p, const struct molt_plan_step *step)
{
    const struct molt_plan_running *r = find_running(p->in, step->meta->module);
    const struct molt_plan_target *target = find_target(p->in, step->meta->module);
    const struct molt_match *match = target ? target->match : NULL;
    if (r && !match)
        refuse_unknown_globals(p, r, step->meta);
    for (size_t i = 0; r && match && i < match->n_globals; i++)
        if (match->globals[i].fate == MOLT_GLOBAL_REFUSED)
            refuse_fields(p, step->meta->module, r->number, match->globals[i].value.refusals,
                          match->globals[i].value.n_refusals);
}

/* What is wrong with two versions as a whole. */
static void check_match(struct planner *p, const struct molt_plan_target *target)
{
    const struct molt_plan_running *r = find_running(p->in, target->meta->module);
    if (r && target->match && target->match->n_refusals)
        refuse_fields(p, target->meta->module, r->number, target->match->refusals,
                      target->match->n_refusals);
}

static void check_unique_servers(struct planner *p, size_t at)
{
    const struct molt_plan_input *in = p->in;
    const struct molt_meta *meta = in->targets[at].meta;
    for (size_t s = 0; s < meta->n_servers; s++) {
        const char *name = meta->servers[s].name;
        for (size_t i = 0; i < at; i++) {
            if (!find_server(in->targets[i].meta, name))
                continue;
            struct molt_plan_refusal *refusal = add_refusal(p, meta->module, 0);
            if (!refusal)
                return;
            format(p, &refusal->what, "server %s is defined by modules %s and %s", name,
                   in->targets[i].meta->module, meta->module);
            format(p, &refusal->remedy,
                   "rename one of them: server names are the app's, not the "
                   "module's");
        }
    }
}

enum found { NO_MODULE, NO_FUNCTION, OTHER_SIGNATURE, FOUND };

static enum found find_export(const struct molt_plan_input *in,
                              const struct molt_meta_symbol *import)
{
    const struct molt_plan_target *t = find_target(in, import->module);
    enum found best = t ? NO_FUNCTION : NO_MODULE;
    for (size_t i = 0; t && i < t->meta->n_exports; i++) {
        const struct molt_meta_symbol *e = &t->meta->exports[i];
        if (strcmp(e->name, import->name) != 0)
            continue;
        if (e->sig == import->sig)
            return FOUND;
        best = OTHER_SIGNATURE;
    }
    return best;
}

static void check_imports(struct planner *p, const struct molt_meta *meta)
{
    const struct molt_plan_running *r = find_running(p->in, meta->module);
    for (size_t i = 0; i < meta->n_imports; i++) {
        const struct molt_meta_symbol *import = &meta->imports[i];
        enum found found = find_export(p->in, import);
        if (found == FOUND)
            continue;
        struct molt_plan_refusal *refusal = add_refusal(p, meta->module, r ? r->number : 0);
        if (!refusal)
            return;
        const char *module = import->module, *name = import->name;
        if (found == NO_MODULE) {
            format(p, &refusal->what, "%s calls %s() of module %s, which would not be there",
                   meta->module, name, module);
            format(p, &refusal->remedy, "keep module %s, or remove the call", module);
        } else if (found == NO_FUNCTION) {
            format(p, &refusal->what, "%s calls %s(), which %s does not define", meta->module, name,
                   module);
            format(p, &refusal->remedy,
                   "define it in module %s, not static, and declare it in %s.h", module, module);
        } else {
            format(p, &refusal->what, "%s was compiled against another signature of %s:%s()",
                   meta->module, module, name);
            format(p, &refusal->remedy, "build both together");
        }
    }
}

/* Whoever includes a header has to have seen the state of it that its owner
 * was compiled with. */
static void check_headers(struct planner *p, const struct molt_meta *meta)
{
    for (size_t i = 0; i < meta->n_headers; i++) {
        const struct molt_meta_header *h = &meta->headers[i];
        const struct molt_plan_target *owner = find_target(p->in, h->module);
        for (size_t j = 0; owner && j < owner->meta->n_headers; j++) {
            const struct molt_meta_header *own = &owner->meta->headers[j];
            if (strcmp(own->module, h->module) != 0 ||
                memcmp(own->digest, h->digest, MOLT_SHA256_BYTES) == 0)
                continue;
            struct molt_plan_refusal *refusal = add_refusal(p, meta->module, 0);
            if (!refusal)
                return;
            format(p, &refusal->what, "%s was compiled against another state of the header of %s",
                   meta->module, h->module);
            format(p, &refusal->remedy, "build both together");
        }
    }
}

static void check_all(struct planner *p)
{
    const struct molt_plan_input *in = p->in;
    for (size_t i = 0; i < p->plan->n_steps; i++)
        if (p->plan->steps[i].action == MOLT_PLAN_PUT)
            check_globals(p, &p->plan->steps[i]);
    for (size_t i = 0; i < in->n_running; i++)
        for (size_t s = 0; s < in->running[i].meta->n_servers; s++)
            check_server(p, &in->running[i], &in->running[i].meta->servers[s]);
    for (size_t i = 0; i < in->n_targets; i++) {
        check_unique_servers(p, i);
        check_imports(p, in->targets[i].meta);
        check_headers(p, in->targets[i].meta);
        check_match(p, &in->targets[i]);
    }
}

int molt_plan_make(const struct molt_plan_input *input, struct molt_plan *ret)
{
    struct molt_plan plan = {0};
    struct planner p = {.in = input, .plan = &plan};
    plan_steps(&p);
    if (plan.n_steps)
        check_all(&p);
    if (p.is_failed) {
        molt_plan_fini(&plan);
        return MOLT_ENOMEM;
    }
    *ret = plan;
    return 0;
}

void molt_plan_fini(struct molt_plan *plan)
{
    for (size_t i = 0; i < plan->n_refusals; i++) {
        free(plan->refusals[i].module);
        free(plan->refusals[i].what);
        free(plan->refusals[i].remedy);
    }
    free(plan->refusals);
    free(plan->steps);
    *plan = (struct molt_plan){0};
}
