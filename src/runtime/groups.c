/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A membership stands in two lists: of its group, in the order of joining, and
 * of its process. So the end of a process costs what it joined, and looking for
 * a membership costs the shorter of the two lists.
 */
#include "runtime/groups.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "port/limits.h"
#include "runtime/rt.h"

#define BUCKETS_MIN MOLT_LIMIT(64, 1)

struct molt_group {
    struct molt_group *next; /* in the bucket */
    struct molt_list members;
    size_t n_members;
    char name[];
};

struct molt_group_roll {
    struct molt_group_roll *next; /* in the bucket */
    struct molt_list joined;
    molt_pid pid;
};

struct membership {
    struct molt_list of_group, of_process;
    struct molt_group *group;
    struct molt_group_roll *roll;
};

/* ---- tables --------------------------------------------------------------------- */

/* FNV-1a, 64 bits. */
static size_t hash_name(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

/* Pids differ most in their lower bits. */
static size_t hash_pid(molt_pid pid)
{
    return (size_t)(pid ^ (pid >> MOLT_SLOT_BITS) * UINT64_C(0x9e3779b1));
}

static struct molt_group **find_group(struct molt_groups *all, const char *name)
{
    struct molt_group **at = &all->groups[hash_name(name) & (all->n_buckets - 1)];
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static struct molt_group_roll **find_roll(struct molt_groups *all, molt_pid pid)
{
    struct molt_group_roll **at = &all->rolls[hash_pid(pid) & (all->n_buckets - 1)];
    while (*at && (*at)->pid != pid)
        at = &(*at)->next;
    return at;
}

/* Move all to twice as many buckets. Out of memory only means longer chains. */
static void grow(struct molt_groups *all)
{
    struct molt_groups old = *all;
    size_t n = old.n_buckets * 2;
    struct molt_group **groups = calloc(n, sizeof(struct molt_group *));
    struct molt_group_roll **rolls = calloc(n, sizeof(struct molt_group_roll *));
    if (!groups || !rolls) {
        free(groups);
        free(rolls);
        return;
    }
    all->groups = groups;
    all->rolls = rolls;
    all->n_buckets = n;
    for (size_t i = 0; i < old.n_buckets; i++) {
        for (struct molt_group *g = old.groups[i], *next; g; g = next) {
            next = g->next;
            struct molt_group **at = &groups[hash_name(g->name) & (n - 1)];
            g->next = *at;
            *at = g;
        }
        for (struct molt_group_roll *r = old.rolls[i], *next; r; r = next) {
            next = r->next;
            struct molt_group_roll **at = &rolls[hash_pid(r->pid) & (n - 1)];
            r->next = *at;
            *at = r;
        }
    }
    free(old.groups);
    free(old.rolls);
}

int molt_groups_init(struct molt_groups *all)
{
    all->groups = calloc(BUCKETS_MIN, sizeof(struct molt_group *));
    all->rolls = calloc(BUCKETS_MIN, sizeof(struct molt_group_roll *));
    all->n_buckets = BUCKETS_MIN;
    if (!all->groups || !all->rolls) {
        free(all->groups);
        free(all->rolls);
        all->groups = NULL;
        all->rolls = NULL;
        return MOLT_ENOMEM;
    }
    pthread_rwlock_init(&all->lock, NULL);
    return 0;
}

void molt_groups_fini(struct molt_groups *all)
{
    if (!all->groups)
        return;
    free(all->groups);
    free(all->rolls);
    pthread_rwlock_destroy(&all->lock);
}

/* ---- groups and rolls, made and dropped ------------------------------------------- */

static struct molt_group *take_group(struct molt_groups *all, const char *name)
{
    struct molt_group **at = find_group(all, name);
    if (*at)
        return *at;
    size_t size = strlen(name) + 1;
    struct molt_group *group = malloc(sizeof(*group) + size);
    if (!group)
        return NULL;
    memcpy(group->name, name, size);
    group->n_members = 0;
    molt_list_init(&group->members);
    group->next = NULL;
    *at = group;
    all->n_groups++;
    return group;
}

static struct molt_group_roll *take_roll(struct molt_groups *all, molt_pid pid)
{
    struct molt_group_roll **at = find_roll(all, pid);
    if (*at)
        return *at;
    struct molt_group_roll *roll = malloc(sizeof(*roll));
    if (!roll)
        return NULL;
    *roll = (struct molt_group_roll){.pid = pid};
    molt_list_init(&roll->joined);
    *at = roll;
    all->n_rolls++;
    return roll;
}

/* NULL is fine. */
static void drop_empty_group(struct molt_groups *all, struct molt_group *group)
{
    if (!group || group->n_members > 0)
        return;
    *find_group(all, group->name) = group->next;
    all->n_groups--;
    free(group);
}

static void drop_empty_roll(struct molt_groups *all, struct molt_group_roll *roll)
{
    if (!roll || !molt_list_is_empty(&roll->joined))
        return;
    *find_roll(all, roll->pid) = roll->next;
    all->n_rolls--;
    free(roll);
}

/* ---- memberships --------------------------------------------------------------------- */

/* Both lists are walked side by side, to the end of the shorter. */
static struct membership *find(struct molt_group *group, struct molt_group_roll *roll)
{
    struct molt_list *a = group->members.next, *b = roll->joined.next;
    for (; a != &group->members && b != &roll->joined; a = a->next, b = b->next) {
        struct membership *of_group = molt_container_of(a, struct membership, of_group);
        struct membership *of_process = molt_container_of(b, struct membership, of_process);
        if (of_group->roll == roll)
            return of_group;
        if (of_process->group == group)
            return of_process;
    }
    return NULL;
}

static void drop(struct molt_groups *all, struct membership *m)
{
    struct molt_group *group = m->group;
    struct molt_group_roll *roll = m->roll;
    molt_list_unlink(&m->of_group);
    molt_list_unlink(&m->of_process);
    group->n_members--;
    free(m);
    drop_empty_group(all, group);
    drop_empty_roll(all, roll);
}

static int join_both(struct molt_process *p, molt_pid pid, struct molt_group *group,
                     struct molt_group_roll *roll)
{
    if (find(group, roll))
        return MOLT_EEXIST;
    struct membership *m = malloc(sizeof(*m));
    if (!m)
        return MOLT_ENOMEM;
    /* Seq_cst: a process that ends takes its pid away and then looks at the
     * flag; here it is the other way round, so one of the two sees the other. */
    atomic_fetch_or(&p->status, MOLT_IS_GROUPED);
    if (atomic_load(&p->pid) != pid) {
        free(m);
        return MOLT_EDEAD;
    }
    m->group = group;
    m->roll = roll;
    molt_list_append(&group->members, &m->of_group);
    molt_list_append(&roll->joined, &m->of_process);
    group->n_members++;
    return 0;
}

static int join_locked(struct molt_groups *all, struct molt_process *p, molt_pid pid,
                       const char *name)
{
    if (all->n_groups >= all->n_buckets || all->n_rolls >= all->n_buckets)
        grow(all);
    struct molt_group *group = take_group(all, name);
    struct molt_group_roll *roll = group ? take_roll(all, pid) : NULL;
    int rc = roll ? join_both(p, pid, group, roll) : MOLT_ENOMEM;
    drop_empty_group(all, group);
    drop_empty_roll(all, roll);
    return rc;
}

static bool is_name(const char *name)
{
    return name && name[0] && strlen(name) < MOLT_NAME_MAX;
}

int molt_groups_join(struct molt_runtime *rt, const char *name, molt_pid pid)
{
    struct molt_groups *all = &rt->groups;
    if (!is_name(name))
        return MOLT_EINVAL;
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    pthread_rwlock_wrlock(&all->lock);
    int rc = join_locked(all, p, pid, name);
    pthread_rwlock_unlock(&all->lock);
    return rc;
}

int molt_groups_leave(struct molt_runtime *rt, const char *name, molt_pid pid)
{
    struct molt_groups *all = &rt->groups;
    if (!is_name(name))
        return MOLT_EINVAL;
    pthread_rwlock_wrlock(&all->lock);
    struct molt_group *group = *find_group(all, name);
    struct molt_group_roll *roll = *find_roll(all, pid);
    struct membership *m = group && roll ? find(group, roll) : NULL;
    if (m)
        drop(all, m);
    pthread_rwlock_unlock(&all->lock);
    return m ? 0 : MOLT_ENOENT;
}

int molt_groups_members(struct molt_runtime *rt, const char *name, molt_pid *ret_pids, size_t n)
{
    struct molt_groups *all = &rt->groups;
    if (!is_name(name) || (n > 0 && !ret_pids))
        return MOLT_EINVAL;
    pthread_rwlock_rdlock(&all->lock);
    struct molt_group *group = *find_group(all, name);
    size_t count = group ? group->n_members : 0, i = 0;
    for (struct molt_list *at = group ? group->members.next : NULL; i < n && i < count;
         at = at->next)
        ret_pids[i++] = molt_container_of(at, struct membership, of_group)->roll->pid;
    pthread_rwlock_unlock(&all->lock);
    return count > INT_MAX ? INT_MAX : (int)count;
}

void molt_groups_forget(struct molt_runtime *rt, molt_pid pid)
{
    struct molt_groups *all = &rt->groups;
    pthread_rwlock_wrlock(&all->lock);
    struct molt_group_roll *roll = *find_roll(all, pid);
    for (size_t n = roll ? 1 : 0; n > 0;) {
        struct membership *m = molt_container_of(roll->joined.next, struct membership, of_process);
        n = m->of_process.next != &roll->joined;
        drop(all, m); /* the last one takes the roll along */
    }
    pthread_rwlock_unlock(&all->lock);
}

/* ---- the public functions --------------------------------------------------------------- */

int molt_group_join(const char *group, molt_pid pid)
{
    struct molt_runner *runner = molt_runner_here();
    bool is_possible = runner && !runner->is_converting;
    return is_possible ? molt_groups_join(runner->rt, group, pid) : MOLT_ENOPROC;
}

int molt_group_leave(const char *group, molt_pid pid)
{
    struct molt_runner *runner = molt_runner_here();
    bool is_possible = runner && !runner->is_converting;
    return is_possible ? molt_groups_leave(runner->rt, group, pid) : MOLT_ENOPROC;
}

int molt_group_members(const char *group, molt_pid *ret_pids, size_t n)
{
    struct molt_runner *runner = molt_runner_here();
    return runner ? molt_groups_members(runner->rt, group, ret_pids, n) : MOLT_ENOPROC;
}
