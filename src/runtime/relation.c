/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Why nobody is told twice, and nobody is forgotten.
 *
 * A target that ends has lost its pid before. Who adds a relation looks at the
 * pid under the same lock under which the target takes relations out of its
 * list, so either the relation is in the list when the last one is taken, or who
 * adds it sees that the target is gone, and sends the notice itself. One that
 * nobody has related (MOLT_IS_TIED) doesn't take the lock: who adds the first
 * relation sets the flag before it looks at the pid, see retire().
 *
 * A notice that is on its way can't be called back. But a relation stays in its
 * watcher's tree until the watcher has the notice in hand; if it isn't there any
 * more, the watcher gave it up, and the notice is dropped. The key of a relation
 * is the target's pid or the monitor's number, so one to an earlier process of
 * the target's slot is never taken for one to a later.
 */
#include "runtime/relation.h"

#include <stdlib.h>

#include "runtime/rt.h"
#include "runtime/wait.h"

/* ---- a tree by kind and key -------------------------------------------------------- */

/* A treap: a search tree by key and a heap by a hash of the key (Seidel and
 * Aragon, 1996). So no operation allocates, and none is slow. */

struct key {
    enum molt_relation_kind kind;
    uint64_t number;
};

static struct key key_of(const struct molt_relation *r)
{
    return (struct key){r->kind, r->kind == MOLT_RELATION_MONITOR ? r->ref : r->target};
}

static int compare(struct key a, struct key b)
{
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    return a.number < b.number ? -1 : a.number > b.number;
}

/* The finalizer of splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t rank_of(const struct molt_relation *r)
{
    struct key key = key_of(r);
    uint64_t x = key.number + ((uint64_t)key.kind << 62) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Where @key is, or would be. */
static struct molt_relation **seek(struct molt_relation **at, struct key key)
{
    int side;
    while (*at && (side = compare(key, key_of(*at))) != 0)
        at = &(*at)->branch[side > 0];
    return at;
}

static void split(struct molt_relation *tree, struct key key, struct molt_relation **low,
                  struct molt_relation **high)
{
    while (tree) {
        struct molt_relation ***side = compare(key_of(tree), key) < 0 ? &low : &high;
        unsigned inner = side == &low;
        **side = tree;
        *side = &tree->branch[inner];
        tree = tree->branch[inner];
    }
    *low = *high = NULL;
}

/* No relation of the same key may be there. */
static void tree_add(struct molt_relation **at, struct molt_relation *r)
{
    struct key key = key_of(r);
    uint64_t rank = rank_of(r);
    while (*at && rank_of(*at) > rank)
        at = &(*at)->branch[compare(key, key_of(*at)) > 0];
    split(*at, key, &r->branch[0], &r->branch[1]);
    *at = r;
}

static struct molt_relation *tree_remove(struct molt_relation **root, struct key key)
{
    struct molt_relation **at = seek(root, key), *found = *at;
    if (!found)
        return NULL;
    struct molt_relation *low = found->branch[0], *high = found->branch[1];
    while (low && high) {
        bool is_low = rank_of(low) > rank_of(high);
        *at = is_low ? low : high;
        at = &(*at)->branch[is_low];
        low = is_low ? *at : low;
        high = is_low ? high : *at;
    }
    *at = low ? low : high;
    return found;
}

/* ---- a target's list ------------------------------------------------------------------ */

static void watch(struct molt_process *target, struct molt_relation *r)
{
    r->next = target->watchers;
    r->at = &target->watchers;
    if (r->next)
        r->next->at = &r->next;
    target->watchers = r;
}

static void unwatch(struct molt_relation *r)
{
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
}

/* ---- locks and memory ------------------------------------------------------------------ */

/* @b may be NULL, or @a. */
static void lock_two(struct molt_process *a, struct molt_process *b)
{
    struct molt_process *first = b && b < a ? b : a, *second = first == a ? b : a;
    molt_spin_lock(&first->tie_lock);
    if (second && second != first)
        molt_spin_lock(&second->tie_lock);
}

static void unlock_two(struct molt_process *a, struct molt_process *b)
{
    if (b && b != a)
        molt_spin_unlock(&b->tie_lock);
    molt_spin_unlock(&a->tie_lock);
}

/* Whoever is in the slot may have relations from now on. One that ends takes its
 * pid away and then looks at the flag; who relates it does the reverse. Under its
 * lock: if the flag is there already, who ends has to wait for that. */
static void mark_tied(struct molt_process *slot)
{
    if (!(molt_process_status(slot) & MOLT_IS_TIED))
        atomic_fetch_or(&slot->status, MOLT_IS_TIED);
}

static bool is_alive(const struct molt_process *slot, molt_pid pid)
{
    return slot && pid && atomic_load_explicit(&slot->pid, memory_order_acquire) == pid;
}

static enum molt_message_kind message_of(enum molt_relation_kind kind)
{
    return kind == MOLT_RELATION_LINK      ? MOLT_MESSAGE_LINK_EXIT
           : kind == MOLT_RELATION_MONITOR ? MOLT_MESSAGE_DOWN
                                           : MOLT_MESSAGE_CHILD_EXIT;
}

static struct molt_relation *new_relation(struct molt_runtime *rt, struct molt_block_cache *cache,
                                          enum molt_relation_kind kind)
{
    struct molt_relation *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->kind = kind;
    r->notice = molt_message_new_notice(rt->heap, cache, message_of(kind));
    if (r->notice)
        return r;
    free(r);
    return NULL;
}

/* @r and those that follow it through free_next; taken out. */
static void free_relations(struct molt_runtime *rt, struct molt_block_cache *cache,
                           struct molt_relation *r)
{
    while (r) {
        struct molt_relation *next = r->free_next;
        if (r->notice)
            molt_message_drop(rt->heap, cache, r->notice);
        free(r);
        r = next;
    }
}

static struct molt_relation *chain(struct molt_relation *r, struct molt_relation *rest)
{
    if (!r)
        return rest;
    r->free_next = rest;
    return r;
}

/* Take the relation of @watcher with @key out of the tree and of @target's list.
 * Under both locks; NULL if there is none. */
static struct molt_relation *detach(struct molt_process *watcher, struct key key)
{
    struct molt_relation *r = tree_remove(&watcher->relations, key);
    if (r && r->notice)
        unwatch(r);
    return r;
}

/* ---- telling ----------------------------------------------------------------------------- */

/* A relation that has left the target's list; by value, because the relation is
 * the watcher's alone by now. */
struct end {
    enum molt_relation_kind kind;
    molt_pid watcher, target;
    uint64_t ref;
    struct molt_block *notice;
    int reason;
};

/* Under the target's lock, or before anybody else can see @r. */
static struct end take_end(struct molt_relation *r, int reason)
{
    struct end end = {r->kind, r->watcher, r->target, r->ref, r->notice, reason};
    r->notice = NULL;
    return end;
}

enum hearing { DEAF, TO_BE_ENDED, TRAPPING };

/* How the watcher of a link hears. One that doesn't trap exits has nothing to
 * take up later, so the relation is over. Supervisors hear and go on. */
static enum hearing hear(struct molt_runtime *rt, const struct end *end)
{
    struct molt_process *watcher = molt_process_slot(rt, end->watcher);
    struct molt_relation *r = NULL;
    enum hearing hearing = DEAF;
    struct key key = {MOLT_RELATION_LINK, end->target};
    molt_spin_lock(&watcher->tie_lock);
    if (is_alive(watcher, end->watcher) && *seek(&watcher->relations, key))
        hearing = watcher->server_id < 0 || molt_process_status(watcher) & MOLT_IS_TRAPPING
                      ? TRAPPING
                      : TO_BE_ENDED;
    if (hearing == TO_BE_ENDED)
        r = tree_remove(&watcher->relations, key);
    molt_spin_unlock(&watcher->tie_lock);
    free(r);
    return hearing;
}

/* Consumes the notice. */
static void tell(struct molt_runtime *rt, struct molt_block_cache *cache, const struct end *end)
{
    struct molt_exit_notice *notice = molt_block_payload(end->notice);
    uint64_t ref = end->kind == MOLT_RELATION_MONITOR ? end->ref
                   : end->kind == MOLT_RELATION_LINK  ? MOLT_NOTICE_OF_LINK
                                                      : 0;
    *notice = (struct molt_exit_notice){.pid = end->target, .ref = ref, .reason = end->reason};
    enum hearing hearing = end->kind == MOLT_RELATION_LINK ? hear(rt, end) : TRAPPING;
    if (hearing == TO_BE_ENDED && end->reason != 0)
        (void)molt_process_exit(rt, end->watcher, end->reason);
    if (hearing != TRAPPING || molt_process_post(rt, end->watcher, end->notice,
                                                 message_of(end->kind), (struct molt_from){0}) < 0)
        molt_message_drop(rt->heap, cache, end->notice);
}

/* ---- making and giving up ---------------------------------------------------------------- */

/* Under both locks. */
static void attach(struct molt_process *watcher, struct molt_process *target,
                   struct molt_relation *r)
{
    tree_add(&watcher->relations, r);
    watch(target, r);
}

/* Relate @p, which runs, and @target, or find that @pid is gone: then @r has
 * left at once, as *ret_end. False: they are related already. Under both locks;
 * @back is NULL but for a link. */
static bool relate(struct molt_process *p, struct molt_process *target, struct molt_relation *r,
                   struct molt_relation *back, struct end *ret_end)
{
    ret_end->notice = NULL;
    if (*seek(&p->relations, key_of(r)))
        return false;
    mark_tied(p);
    if (target)
        mark_tied(target);
    if (!is_alive(target, r->target)) {
        *ret_end = take_end(r, MOLT_EDEAD);
        tree_add(&p->relations, r);
        return true;
    }
    attach(p, target, r);
    if (back)
        attach(target, p, back);
    return true;
}

static void name_ends(struct molt_relation *r, molt_pid watcher, molt_pid target)
{
    r->watcher = watcher;
    r->target = target;
}

/* Consumes both. */
static void make(struct molt_process *p, struct molt_block_cache *cache, struct molt_relation *r,
                 struct molt_relation *back)
{
    struct molt_process *target = molt_process_slot(p->rt, r->target);
    struct end end;
    lock_two(p, target);
    bool is_new = relate(p, target, r, back, &end);
    unlock_two(p, target);
    if (!is_new)
        free_relations(p->rt, cache, chain(r, back));
    else if (end.notice)
        free_relations(p->rt, cache, back);
    if (end.notice)
        tell(p->rt, cache, &end);
}

int molt_relation_link(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid)
{
    molt_pid self = molt_process_pid(p);
    if (pid == self)
        return 0;
    struct molt_relation *r = new_relation(p->rt, cache, MOLT_RELATION_LINK);
    struct molt_relation *back = r ? new_relation(p->rt, cache, MOLT_RELATION_LINK) : NULL;
    if (!back) {
        free_relations(p->rt, cache, r);
        return MOLT_ENOMEM;
    }
    name_ends(r, self, pid);
    name_ends(back, pid, self);
    make(p, cache, r, back);
    return 0;
}

int molt_relation_monitor(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid,
                          uint64_t *ret_ref)
{
    struct molt_relation *r = new_relation(p->rt, cache, MOLT_RELATION_MONITOR);
    if (!r)
        return MOLT_ENOMEM;
    name_ends(r, molt_process_pid(p), pid);
    *ret_ref = r->ref = molt_wait_next_ref(p);
    make(p, cache, r, NULL);
    return 0;
}

void molt_relation_unlink(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid)
{
    molt_pid self = molt_process_pid(p);
    struct molt_process *other = molt_process_slot(p->rt, pid);
    struct molt_relation *r, *back = NULL;
    lock_two(p, other);
    r = detach(p, (struct key){MOLT_RELATION_LINK, pid});
    /* Another process in its place may have a link to this one, too. */
    if (r && is_alive(other, pid))
        back = detach(other, (struct key){MOLT_RELATION_LINK, self});
    unlock_two(p, other);
    free_relations(p->rt, cache, chain(r, back));
}

int molt_relation_demonitor(struct molt_process *p, struct molt_block_cache *cache, uint64_t ref)
{
    struct key key = {MOLT_RELATION_MONITOR, ref};
    molt_spin_lock(&p->tie_lock);
    struct molt_relation *r = *seek(&p->relations, key);
    molt_pid pid = r ? r->target : 0;
    molt_spin_unlock(&p->tie_lock);
    if (!r)
        return MOLT_ENOENT;
    /* Nobody but who runs the watcher takes out a monitor. */
    struct molt_process *target = molt_process_slot(p->rt, pid);
    lock_two(p, target);
    r = detach(p, key);
    unlock_two(p, target);
    free_relations(p->rt, cache, r);
    return 0;
}

bool molt_relation_is_child(struct molt_process *p, molt_pid pid)
{
    molt_spin_lock(&p->tie_lock);
    bool is = *seek(&p->relations, (struct key){MOLT_RELATION_CHILD, pid});
    molt_spin_unlock(&p->tie_lock);
    return is;
}

/* ---- spawning ------------------------------------------------------------------------------ */

void molt_relation_discard(struct molt_runtime *rt, struct molt_block_cache *cache,
                           struct molt_relation_set *set)
{
    struct molt_relation *list = chain(set->child, chain(set->monitor, NULL));
    free_relations(rt, cache, chain(set->link, chain(set->back, list)));
    *set = (struct molt_relation_set){0};
}

int molt_relation_prepare(struct molt_runtime *rt, struct molt_block_cache *cache,
                          const struct molt_spawn *spawn, struct molt_relation_set *ret)
{
    const struct {
        bool is_wanted;
        enum molt_relation_kind kind;
        struct molt_relation **ret;
    } all[] = {{spawn->supervisor, MOLT_RELATION_CHILD, &ret->child},
               {spawn->ret_monitor, MOLT_RELATION_MONITOR, &ret->monitor},
               {spawn->is_linked, MOLT_RELATION_LINK, &ret->link},
               {spawn->is_linked, MOLT_RELATION_LINK, &ret->back}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!all[i].is_wanted)
            continue;
        *all[i].ret = new_relation(rt, cache, all[i].kind);
        if (!*all[i].ret) {
            molt_relation_discard(rt, cache, ret);
            return MOLT_ENOMEM;
        }
    }
    return 0;
}

static int settle_child(struct molt_process *p, molt_pid supervisor, struct molt_relation *r)
{
    struct molt_process *watcher = molt_process_slot(p->rt, supervisor);
    if (!watcher)
        return MOLT_EDEAD;
    name_ends(r, supervisor, molt_process_pid(p));
    lock_two(watcher, p);
    mark_tied(watcher);
    mark_tied(p);
    bool is = is_alive(watcher, supervisor);
    if (is)
        attach(watcher, p, r);
    unlock_two(watcher, p);
    return is ? 0 : MOLT_EDEAD;
}

int molt_relation_settle(struct molt_process *p, const struct molt_spawn *spawn,
                         struct molt_relation_set *set)
{
    int rc = set->child ? settle_child(p, spawn->supervisor, set->child) : 0;
    struct molt_process *parent = molt_process_slot(p->rt, spawn->parent);
    molt_pid pid = molt_process_pid(p);
    if (rc < 0)
        return rc;
    if (set->monitor) {
        name_ends(set->monitor, spawn->parent, pid);
        *spawn->ret_monitor = set->monitor->ref = molt_wait_next_ref(parent);
    }
    if (set->link) {
        name_ends(set->link, spawn->parent, pid);
        name_ends(set->back, pid, spawn->parent);
    }
    if (set->monitor || set->link) {
        lock_two(parent, p);
        mark_tied(parent);
        mark_tied(p);
        if (set->monitor)
            attach(parent, p, set->monitor);
        if (set->link) {
            attach(parent, p, set->link);
            attach(p, parent, set->back);
        }
        unlock_two(parent, p);
    }
    *set = (struct molt_relation_set){0};
    return 0;
}

/* ---- the end of a process ---------------------------------------------------------------- */

static bool tell_next(struct molt_process *p, struct molt_block_cache *cache, int reason)
{
    struct end end;
    molt_spin_lock(&p->tie_lock);
    struct molt_relation *r = p->watchers;
    bool is_any = r;
    if (r) {
        unwatch(r);
        end = take_end(r, reason);
    }
    molt_spin_unlock(&p->tie_lock);
    if (is_any)
        tell(p->rt, cache, &end);
    return is_any;
}

/* The relation at the root of its tree is given up. */
static bool forget_next(struct molt_process *p, struct molt_block_cache *cache, int reason)
{
    struct key key = {0};
    molt_pid pid = 0;
    molt_spin_lock(&p->tie_lock);
    bool is_any = p->relations;
    if (is_any) {
        key = key_of(p->relations);
        pid = p->relations->target;
    }
    molt_spin_unlock(&p->tie_lock);
    if (!is_any)
        return false;
    struct molt_process *target = molt_process_slot(p->rt, pid);
    lock_two(p, target);
    /* The other end of a link may have taken it out meanwhile. */
    struct molt_relation *r = detach(p, key);
    unlock_two(p, target);
    /* A supervisor that ends as it should has no children any more. */
    if (r && r->kind == MOLT_RELATION_CHILD && r->notice)
        (void)molt_process_exit(p->rt, pid, reason < 0 ? reason : MOLT_ESHUTDOWN);
    free_relations(p->rt, cache, r);
    return true;
}

void molt_relation_end(struct molt_process *p, struct molt_block_cache *cache, int reason)
{
    while (forget_next(p, cache, reason))
        ;
    while (tell_next(p, cache, reason))
        ;
}

bool molt_relation_hears(struct molt_process *p, enum molt_message_kind kind,
                         const struct molt_exit_notice *notice)
{
    struct key key = {MOLT_RELATION_CHILD, notice->pid};
    if (kind == MOLT_MESSAGE_LINK_EXIT && notice->ref == 0)
        return true; /* somebody's request */
    if (kind == MOLT_MESSAGE_LINK_EXIT)
        key.kind = MOLT_RELATION_LINK;
    if (kind == MOLT_MESSAGE_DOWN)
        key = (struct key){MOLT_RELATION_MONITOR, notice->ref};
    molt_spin_lock(&p->tie_lock);
    struct molt_relation *r = tree_remove(&p->relations, key);
    molt_spin_unlock(&p->tie_lock);
    bool is_any = r;
    free(r);
    return is_any;
}
