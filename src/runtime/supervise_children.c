/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The children of a supervisor: found by pid and id, checked, looked at. */
#include "runtime/supervise_op.h"

#include <string.h>

/* ---- children by pid ---------------------------------------------------- */

/* A digital search tree: the bits of the key, from the top, lead down from
 * node to node. The multiplication is a bijection that spreads small numbers. */
static unsigned branch_at(molt_pid pid, unsigned depth)
{
    return (unsigned)((pid * UINT64_C(0x9e3779b97f4a7c15)) >> (63 - (depth & 63))) & 1;
}

static struct molt_supervised **find_place(struct molt_supervise *s, molt_pid pid)
{
    struct molt_supervised **at = &s->by_pid;
    for (unsigned depth = 0; *at && (*at)->pid != pid; depth++)
        at = &(*at)->branch[branch_at(pid, depth)];
    return at;
}

struct molt_supervised *molt_supervise_find_pid(struct molt_supervise *s, molt_pid pid)
{
    return pid ? *find_place(s, pid) : NULL;
}

void molt_supervise_insert_pid(struct molt_supervise *s, struct molt_supervised *c)
{
    c->branch[0] = c->branch[1] = NULL;
    *find_place(s, c->pid) = c;
}

/* Any leaf below may take the place of what goes. */
static void tree_remove(struct molt_supervise *s, struct molt_supervised *c)
{
    struct molt_supervised **place = find_place(s, c->pid), **leaf = place;
    while ((*leaf)->branch[0] || (*leaf)->branch[1])
        leaf = &(*leaf)->branch[(*leaf)->branch[0] ? 0 : 1];
    struct molt_supervised *with = *leaf;
    *leaf = NULL;
    if (with == c)
        return;
    memcpy(with->branch, c->branch, sizeof(with->branch));
    *place = with;
}

/* ---- the list of children ----------------------------------------------- */

void molt_supervise_set_down(struct molt_supervise *s, struct molt_supervised *c)
{
    if (c->pid)
        tree_remove(s, c);
    molt_list_unlink(&c->note.link);
    c->pid = 0;
    c->state = MOLT_CHILD_DOWN;
}

void molt_supervise_remove(struct molt_supervise *s, struct molt_supervised *c)
{
    molt_supervise_set_down(s, c);
    molt_list_unlink(&c->link);
    molt_list_append(&s->released, &c->link);
}

/* One of the specification leaves a trace, or the next upgrade would take it
 * for a child that is new and start it again. */
void molt_supervise_forget(struct molt_supervise *s, struct molt_supervised *c)
{
    molt_supervise_set_down(s, c);
    if (c->is_static)
        c->state = MOLT_CHILD_FORGOTTEN;
    else
        molt_supervise_remove(s, c);
}

struct molt_supervised *molt_supervise_find_id(struct molt_supervise *s, const char *id)
{
    for (struct molt_list *at = s->children.next; at != &s->children; at = at->next)
        if (strcmp(child_of(at)->id, id) == 0)
            return child_of(at);
    return NULL;
}

/* @c as the caller handed it over. */
void molt_supervise_adopt(struct molt_supervised *c, bool is_static)
{
    c->note.kind = MOLT_NOTE_CHILD;
    molt_list_init(&c->note.link);
    c->branch[0] = c->branch[1] = NULL;
    c->state = MOLT_CHILD_DOWN;
    c->pid = 0;
    c->reason = 0;
    c->is_static = is_static;
    c->is_new = c->is_gone = false;
}

/* ---- checking ----------------------------------------------------------- */

bool molt_supervise_is_policy_sound(const struct molt_child_policy *policy,
                                    enum molt_auto_shutdown auto_shutdown)
{
    return (unsigned)policy->restart <= MOLT_TEMPORARY &&
           policy->shutdown_ms >= MOLT_SHUTDOWN_KILL &&
           (!policy->is_significant ||
            (policy->restart != MOLT_PERMANENT && auto_shutdown != MOLT_AUTO_NEVER));
}

static int check_child(const struct molt_supervise_spec *spec, const struct molt_supervised *c,
                       struct molt_error *err)
{
    bool is_simple_spec = spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE;
    if (!c->id[0] && !is_simple_spec)
        return molt_error_set(err, MOLT_EINVAL, "a child has no id");
    for (struct molt_list *at = c->link.next; at != &spec->children; at = at->next)
        if (strcmp(child_of(at)->id, c->id) == 0)
            return molt_error_set(err, MOLT_EINVAL, "two children have the id '%s'", c->id);
    if (c->policy.is_significant && spec->auto_shutdown == MOLT_AUTO_NEVER)
        return molt_error_set(err, MOLT_EINVAL,
                              "child '%s' is significant in a supervisor without auto-shutdown",
                              c->id);
    if (c->policy.is_significant && c->policy.restart == MOLT_PERMANENT)
        return molt_error_set(err, MOLT_EINVAL,
                              "child '%s' is significant and permanent: make it "
                              "transient or temporary",
                              c->id);
    if (!molt_supervise_is_policy_sound(&c->policy, spec->auto_shutdown))
        return molt_error_set(err, MOLT_EINVAL, "child '%s' has an unknown restart or shutdown",
                              c->id);
    return 0;
}

int molt_supervise_check(const struct molt_supervise_spec *spec, struct molt_error *err)
{
    if ((unsigned)spec->strategy > MOLT_SIMPLE_ONE_FOR_ONE ||
        (unsigned)spec->auto_shutdown > MOLT_AUTO_ALL)
        return molt_error_set(err, MOLT_EINVAL, "unknown strategy or auto-shutdown");
    if (spec->period_ms == 0 || (spec->intensity && !spec->restarts_ms))
        return molt_error_set(err, MOLT_EINVAL, "the restart intensity has no period or no room");
    struct molt_list *first = spec->children.next;
    if (spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE &&
        (first == &spec->children || first->next != &spec->children))
        return molt_error_set(err, MOLT_EINVAL,
                              "simple_one_for_one takes exactly one child, the template");
    for (struct molt_list *at = first; at != &spec->children; at = at->next) {
        int rc = check_child(spec, child_of(at), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_supervise_check_change(const struct molt_supervise_spec *now,
                                const struct molt_supervise_spec *next, struct molt_error *err)
{
    if ((now->strategy == MOLT_SIMPLE_ONE_FOR_ONE) == (next->strategy == MOLT_SIMPLE_ONE_FOR_ONE))
        return 0;
    return molt_error_set(err, MOLT_EREFUSED,
                          "a supervisor that runs can't change between simple_one_for_one and "
                          "another strategy: give the new one another name");
}

/* ---- looking ------------------------------------------------------------ */

struct molt_supervised *molt_supervise_each(const struct molt_supervise *s,
                                            struct molt_supervised *previous)
{
    struct molt_list *at = previous ? previous->link.next : s->children.next;
    while (at != &s->children && child_of(at)->state == MOLT_CHILD_FORGOTTEN)
        at = at->next;
    return at == &s->children ? NULL : child_of(at);
}

void molt_supervise_count(const struct molt_supervise *s, struct molt_supervise_counts *ret)
{
    *ret = (struct molt_supervise_counts){.specs = 0};
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(s, c));) {
        ret->specs++;
        ret->active += c->pid != 0;
        if (policy_of(s, c)->is_supervisor)
            ret->supervisors++;
        else
            ret->workers++;
    }
    if (is_simple(s))
        ret->specs = 1;
}

struct molt_supervised *molt_supervise_take(struct molt_supervise *s)
{
    if (molt_list_is_empty(&s->children))
        return NULL;
    struct molt_list *link = s->children.next;
    molt_list_unlink(link);
    return child_of(link);
}
