/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random trees of supervisors on virtual time: crashes, starts that fail or
 * hang, children that don't end when asked, requests, upgrades, late timers. The
 * checks below know the rules, but nothing of how supervise.c decides.
 *
 * Each seed is replayed exactly by MOLT_SEED=<seed>. Then every rule is left out
 * in turn, and the checks must notice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/supervise.h"

#define SUPS_MAX 600
#define TASKS_MAX 12000
#define EVENTS_MAX 40000
#define REQUESTS_MAX 400
#define TRACKS_MAX 160
#define RESTARTS_MAX 4096
#define SEEDS 250
#define STEPS 250
#define HANG_MS 100000

/* What the checks know of a child, by its id. */
struct track {
    char id[MOLT_SUPERVISE_ID_MAX];
    struct molt_child_policy policy;
    molt_pid pid;          /* live, else 0 */
    bool has_ended_itself; /* and was not dealt with yet */
    bool has_failed;       /* its last start failed */
    bool may_start;
    bool was_listed; /* in a specification, or added */
    int reason;
};

struct sup {
    struct molt_supervise core;
    struct molt_supervise_spec *spec, *next_spec;
    molt_pid pid; /* its own process */
    struct sup *parent;
    bool is_dead, is_ready, has_been_stopped, was_killed;
    int depth, n_requests;
    struct track track[TRACKS_MAX];
    size_t n_tracks;
    uint64_t restarts_ms[RESTARTS_MAX];
    size_t n_restarts;
    char restarting[MOLT_SUPERVISE_ID_MAX]; /* subject, until something else happens */
    uint64_t timer;
    uint64_t timer_at_ms;
};

struct task {
    bool is_alive, is_starting, hangs, was_asked, was_killed;
    uint64_t asked_ms;
    struct sup *sup;    /* that it is a child of */
    struct sup *itself; /* if it is one */
    char id[MOLT_SUPERVISE_ID_MAX];
};

enum event_kind { EVENT_STARTED, EVENT_EXIT, EVENT_TIMER };

struct event {
    uint64_t at_ms, seq;
    enum event_kind kind;
    molt_pid pid;
    struct sup *sup;
    uint64_t timer;
    int reason;
};

struct request {
    struct molt_supervise_request request;
    struct sup *sup;
    bool is_open;
};

struct sim {
    uint64_t seed, random, now_ms, seq;
    struct sup *sups[SUPS_MAX];
    size_t n_sups;
    struct task tasks[TASKS_MAX]; /* by pid */
    size_t n_tasks;
    struct event events[EVENTS_MAX];
    size_t n_events;
    struct request requests[REQUESTS_MAX];
    size_t n_requests;
    void *garbage[TASKS_MAX * 2];
    size_t n_garbage;
    unsigned n_names;
    bool is_calm; /* nothing goes wrong any more */
    enum molt_supervise_rule without;
    char broken[256];
    size_t n_actions;
};

static unsigned dice(struct sim *m, unsigned n) /* xorshift64* */
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return (unsigned)((m->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static void broken(struct sim *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void broken(struct sim *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!m->broken[0])
        vsnprintf(m->broken, sizeof(m->broken), fmt, ap);
    va_end(ap);
}

static void *keep(struct sim *m, size_t size)
{
    void *block = calloc(1, size);
    if (!block || m->n_garbage == sizeof(m->garbage) / sizeof(*m->garbage))
        abort();
    return m->garbage[m->n_garbage++] = block;
}

static void later(struct sim *m, uint64_t ms, struct event event)
{
    if (m->n_events == EVENTS_MAX)
        abort();
    event.at_ms = m->now_ms + ms;
    event.seq = m->seq++;
    m->events[m->n_events++] = event;
}

static struct track *track(struct sup *s, const char *id)
{
    for (size_t i = 0; i < s->n_tracks; i++)
        if (strcmp(s->track[i].id, id) == 0)
            return &s->track[i];
    if (s->n_tracks == TRACKS_MAX)
        abort();
    struct track *t = &s->track[s->n_tracks++];
    *t = (struct track){.pid = 0};
    strcpy(t->id, id);
    return t;
}

/* ---- specifications -------------------------------------------------------- */

static struct molt_child_policy random_policy(struct sim *m, enum molt_auto_shutdown automatic)
{
    static const int shutdowns[] = {0, 5, 20, 20, 50, MOLT_SHUTDOWN_KILL, MOLT_SHUTDOWN_FOREVER};
    struct molt_child_policy p = {.restart = dice(m, 3), .shutdown_ms = shutdowns[dice(m, 7)]};
    p.is_significant = automatic != MOLT_AUTO_NEVER && p.restart != MOLT_PERMANENT && dice(m, 2);
    p.is_supervisor = dice(m, 6) == 0;
    if (p.is_supervisor)
        p.shutdown_ms = MOLT_SHUTDOWN_FOREVER;
    return p;
}

static struct molt_supervised *new_child(struct sim *m, const char *id,
                                         struct molt_child_policy policy)
{
    struct molt_supervised *c = keep(m, sizeof(*c));
    strcpy(c->id, id);
    c->policy = policy;
    molt_list_init(&c->link);
    return c;
}

static struct molt_supervise_spec *new_spec(struct sim *m, bool is_simple)
{
    struct molt_supervise_spec *spec = keep(m, sizeof(*spec));
    spec->strategy = is_simple ? MOLT_SIMPLE_ONE_FOR_ONE : dice(m, 3);
    spec->auto_shutdown = dice(m, 3) ? MOLT_AUTO_NEVER : 1 + dice(m, 2);
    spec->intensity = dice(m, 6);
    spec->period_ms = 20 + dice(m, 200);
    spec->restarts_ms = keep(m, 8 * sizeof(uint64_t));
    molt_list_init(&spec->children);
    unsigned n = is_simple ? 1 : dice(m, 5), at = dice(m, 8);
    for (unsigned i = 0; i < n; i++) { /* ids of eight, in an order that varies */
        char id[2] = {(char)('a' + (at + i * 3) % 8), '\0'};
        struct molt_supervised *c = new_child(m, id, random_policy(m, spec->auto_shutdown));
        molt_list_append(&spec->children, &c->link);
    }
    struct molt_error err;
    if (molt_supervise_check(spec, &err) < 0)
        broken(m, "the test's own specification is refused: %s", err.text);
    return spec;
}

static bool is_simple(const struct sup *s)
{
    return s->spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE;
}

static void note_policies(struct sup *s, struct molt_supervise_spec *spec)
{
    for (struct molt_list *at = spec->children.next; at != &spec->children; at = at->next) {
        struct molt_supervised *c = molt_container_of(at, struct molt_supervised, link);
        struct track *t = track(s, c->id);
        t->policy = c->policy;
        t->may_start = t->was_listed = true;
    }
}

static struct sup *new_sup(struct sim *m, struct sup *parent, molt_pid pid)
{
    if (m->n_sups == SUPS_MAX)
        abort();
    struct sup *s = keep(m, sizeof(*s));
    m->sups[m->n_sups++] = s;
    s->parent = parent;
    s->pid = pid;
    s->depth = parent ? parent->depth + 1 : 0;
    s->spec = new_spec(m, dice(m, 4) == 0);
    if (!is_simple(s))
        note_policies(s, s->spec);
    molt_supervise_init(&s->core, s->spec);
    s->core.without = m->without;
    return s;
}

/* ---- what a task does ---------------------------------------------------------- */

static void task_ends(struct sim *m, molt_pid pid, int reason)
{
    struct task *task = &m->tasks[pid];
    if (!task->is_alive)
        return;
    task->is_alive = false;
    struct sup *s = task->sup;
    struct track *t = track(s, task->id);
    if (t->pid == pid)
        t->pid = 0;
    if (task->is_starting)
        t->has_failed = true;
    else if (!task->was_asked && !task->was_killed) {
        t->has_ended_itself = true;
        t->reason = reason;
    }
    if (!s->is_dead)
        molt_supervise_exited(&s->core, pid, reason);
}

static const int reasons[] = {0, MOLT_ESHUTDOWN, MOLT_EIO, MOLT_ECRASH};

static void begin_task(struct sim *m, struct sup *s, struct molt_supervised *c)
{
    if (m->n_tasks + 1 == TASKS_MAX)
        abort();
    molt_pid pid = ++m->n_tasks;
    struct task *task = &m->tasks[pid];
    *task = (struct task){.is_alive = true, .is_starting = true, .sup = s};
    strcpy(task->id, c->id);
    track(s, c->id)->pid = pid;
    molt_supervise_spawned(&s->core, c, pid);
    struct event event = {.kind = EVENT_STARTED, .pid = pid};
    if (track(s, c->id)->policy.is_supervisor && s->depth < 3) {
        task->itself = new_sup(m, s, pid);
        return;
    }
    task->hangs = !m->is_calm && dice(m, 6) == 0;
    unsigned how = m->is_calm ? 99 : dice(m, 100);
    if (how < 8)
        event = (struct event){.kind = EVENT_EXIT, .pid = pid, .reason = MOLT_EIO};
    else if (how < 12)
        event = (struct event){.kind = EVENT_EXIT, .pid = pid, .reason = 0};
    if (how < 98) /* else it hangs in its init, until the end of the storm */
        later(m, dice(m, 6), event);
    else
        later(m, m->is_calm ? 1 : 3000, event);
}

static void ask_task(struct sim *m, molt_pid pid)
{
    struct task *task = &m->tasks[pid];
    task->was_asked = true;
    task->asked_ms = m->now_ms;
    if (task->itself)
        molt_supervise_stop(&task->itself->core, MOLT_ESHUTDOWN);
    else
        later(m, task->hangs ? HANG_MS : dice(m, 15),
              (struct event){.kind = EVENT_EXIT,
                             .pid = pid,
                             .reason = dice(m, 8) ? MOLT_ESHUTDOWN : reasons[dice(m, 4)]});
}

static void kill_task(struct sim *m, molt_pid pid)
{
    struct task *task = &m->tasks[pid];
    task->was_killed = true;
    if (task->itself && !task->itself->is_dead) {
        task->itself->was_killed = true;
        molt_supervise_kill(&task->itself->core);
    } else {
        later(m, dice(m, 3),
              (struct event){.kind = EVENT_EXIT, .pid = pid, .reason = MOLT_EKILLED});
    }
}

/* ---- the checks ------------------------------------------------------------------ */

static size_t place_of(struct sup *s, const char *id)
{
    size_t at = 0;
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(&s->core, c)); at++)
        if (strcmp(c->id, id) == 0)
            return at;
    return SIZE_MAX;
}

static size_t count_tasks(struct sim *m, struct sup *s, bool (*is_counted)(const struct task *))
{
    size_t n = 0;
    for (molt_pid pid = 1; pid <= m->n_tasks; pid++)
        n += m->tasks[pid].sup == s && m->tasks[pid].is_alive && is_counted(&m->tasks[pid]);
    return n;
}

static bool is_any(const struct task *task)
{
    (void)task;
    return true;
}

static bool is_asked_task(const struct task *task)
{
    return task->was_asked || task->was_killed;
}

static bool is_starting_task(const struct task *task)
{
    return task->is_starting && !task->was_asked && !task->was_killed;
}

static bool is_live(struct sup *s, const char *id)
{
    return track(s, id)->pid != 0;
}

static bool is_wanted_back(struct sim *m, struct sup *s, const char *id)
{
    for (size_t i = 0; i < m->n_requests; i++)
        if (m->requests[i].is_open && m->requests[i].sup == s &&
            m->requests[i].request.kind == MOLT_SUPERVISE_RESTART &&
            strcmp(m->requests[i].request.id, id) == 0)
            return true;
    return false;
}

/* At the START of @c. */
static void check_start(struct sim *m, struct sup *s, struct molt_supervised *c)
{
    struct track *t = track(s, c->id);
    if (is_live(s, c->id))
        broken(m, "%s is started while it lives", c->id);
    if (molt_supervise_is_ending(&s->core) || s->has_been_stopped)
        broken(m, "%s is started at the end", c->id);
    if (count_tasks(m, s, is_starting_task))
        broken(m, "%s is started before the one before has started", c->id);
    if (!t->may_start && !is_wanted_back(m, s, c->id))
        broken(m, "%s is started without a reason", c->id);
    t->may_start = false;
    t->has_ended_itself = false;
    if (!s->restarting[0])
        return;
    size_t subject = place_of(s, s->restarting), at = 0;
    bool is_all = s->spec->strategy == MOLT_ONE_FOR_ALL;
    for (struct molt_supervised *d = NULL; (d = molt_supervise_each(&s->core, d)); at++) {
        bool must_be_down = is_all || (s->spec->strategy == MOLT_REST_FOR_ONE && at > subject);
        if (must_be_down && is_live(s, d->id))
            broken(m, "%s is started while %s still lives", c->id, d->id);
    }
    s->restarting[0] = '\0';
}

/* At the first ASK or KILL of @c. */
static void check_stop(struct sim *m, struct sup *s, struct molt_supervised *c)
{
    if (is_simple(s))
        return;
    if (!s->was_killed && count_tasks(m, s, is_asked_task))
        broken(m, "%s is stopped before the one before has stopped", c->id);
    bool is_end = molt_supervise_is_ending(&s->core);
    size_t here = place_of(s, c->id), subject = place_of(s, s->restarting), at = 0;
    if (s->restarting[0] && !is_end) {
        if (s->spec->strategy == MOLT_ONE_FOR_ONE)
            broken(m, "%s is stopped for the restart of %s", c->id, s->restarting);
        if (s->spec->strategy == MOLT_REST_FOR_ONE && here < subject)
            broken(m, "%s, in front of %s, is stopped", c->id, s->restarting);
    }
    if (!is_end && !s->restarting[0])
        return;
    for (struct molt_supervised *d = NULL; (d = molt_supervise_each(&s->core, d)); at++)
        if (at > here && is_live(s, d->id) && !s->was_killed)
            broken(m, "%s is stopped before %s, which is behind it", c->id, d->id);
}

static void check_kill(struct sim *m, struct sup *s, const struct molt_supervise_action *a)
{
    struct task *task = &m->tasks[a->pid];
    const struct molt_child_policy *p = &track(s, task->id)->policy;
    if (!task->was_asked)
        check_stop(m, s, a->child);
    if (s->was_killed || (p->shutdown_ms == MOLT_SHUTDOWN_KILL && !task->was_asked))
        return;
    if (!task->was_asked)
        broken(m, "%s is killed without being asked", task->id);
    else if (p->shutdown_ms < 0)
        broken(m, "%s is killed instead of waited for", task->id);
    else if (!is_simple(s) && m->now_ms != task->asked_ms + (unsigned)p->shutdown_ms)
        broken(m, "%s is killed after the wrong time", task->id);
    else if (m->now_ms < task->asked_ms + (unsigned)p->shutdown_ms)
        broken(m, "%s is killed too early", task->id);
}

static size_t recent_restarts(struct sim *m, struct sup *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_restarts; i++)
        n += m->now_ms - s->restarts_ms[i] <= s->spec->period_ms;
    return n;
}

static bool is_normal(int reason)
{
    return reason == 0 || reason == MOLT_ESHUTDOWN;
}

static bool is_due_to_restart(const struct track *t)
{
    return t->policy.restart == MOLT_PERMANENT ||
           (t->policy.restart == MOLT_TRANSIENT && !is_normal(t->reason));
}

static void check_restart(struct sim *m, struct sup *s, struct molt_supervised *c)
{
    struct track *t = track(s, c->id);
    if (!t->has_failed && !(t->has_ended_itself && is_due_to_restart(t)))
        broken(m, "%s is restarted without a reason", c->id);
    t->has_failed = false;
    if (s->n_restarts == RESTARTS_MAX)
        abort();
    s->restarts_ms[s->n_restarts++] = m->now_ms;
    if (recent_restarts(m, s) > s->spec->intensity)
        broken(m, "%s is restarted once too often", c->id);
    strcpy(s->restarting, c->id);
    size_t subject = place_of(s, c->id), at = 0;
    for (struct molt_supervised *d = NULL; (d = molt_supervise_each(&s->core, d)); at++)
        if (d == c || s->spec->strategy == MOLT_ONE_FOR_ALL ||
            (s->spec->strategy == MOLT_REST_FOR_ONE && at > subject))
            track(s, d->id)->may_start = true;
}

static void check_report(struct sim *m, struct sup *s, const struct molt_supervise_action *a)
{
    switch (a->report) {
    case MOLT_REPORT_RESTART:
        check_restart(m, s, a->child);
        break;
    case MOLT_REPORT_INTENSITY:
        if (recent_restarts(m, s) + 1 <= s->spec->intensity)
            broken(m, "%s ends its supervisor with restarts to spare", a->child->id);
        break;
    default:
        break;
    }
}

static void check_reply(struct sim *m, struct sup *s, const struct molt_supervise_action *a)
{
    struct request *r = molt_container_of(a->request, struct request, request);
    if (!r->is_open || r->sup != s)
        broken(m, "a request is answered twice");
    r->is_open = false;
    s->n_requests--;
    if (a->reason == 0 && r->request.kind == MOLT_SUPERVISE_TERMINATE) {
        const char *id = is_simple(s) ? m->tasks[r->request.pid].id : r->request.id;
        if (is_live(s, id))
            broken(m, "%s lives though it was terminated", id);
        track(s, id)->has_ended_itself = track(s, id)->has_failed = false;
    }
}

static void check_end(struct sim *m, struct sup *s, int reason)
{
    if (!s->was_killed && count_tasks(m, s, is_any))
        broken(m, "a supervisor ends while a child lives");
    if (s->n_requests)
        broken(m, "a supervisor ends and owes an answer");
    if (s->has_been_stopped && !s->was_killed && reason != MOLT_ESHUTDOWN && reason != 0 &&
        reason != MOLT_ELIMIT && s->is_ready)
        broken(m, "a supervisor ends with %d", reason);
}

/* ---- running it ---------------------------------------------------------------------- */

static void end_sup(struct sim *m, struct sup *s, int reason)
{
    check_end(m, s, reason);
    s->is_dead = true;
    if (s->parent)
        task_ends(m, s->pid, reason);
}

static void start_child(struct sim *m, struct sup *s, struct molt_supervised *c)
{
    check_start(m, s, c);
    if (m->is_calm || dice(m, 12)) {
        begin_task(m, s, c);
        return;
    }
    track(s, c->id)->has_failed = true;
    molt_supervise_start_failed(&s->core, c, dice(m, 3) ? MOLT_ENOMEM : 0);
}

static void take_new_spec(struct sup *s, const struct molt_supervise_spec *old)
{
    if (old != s->spec)
        return;
    s->spec = s->next_spec;
    s->next_spec = NULL;
    size_t n = old->intensity < s->spec->intensity ? old->intensity : s->spec->intensity;
    if (s->n_restarts > n) { /* older ones are given up */
        memmove(s->restarts_ms, s->restarts_ms + s->n_restarts - n, n * sizeof(uint64_t));
        s->n_restarts = n;
    }
}

static void act(struct sim *m, struct sup *s, const struct molt_supervise_action *a)
{
    const struct track *t = a->child ? track(s, a->child->id) : NULL;
    switch (a->kind) {
    case MOLT_SUPERVISE_START:
        start_child(m, s, a->child);
        break;
    case MOLT_SUPERVISE_ASK:
        if (t->policy.shutdown_ms == MOLT_SHUTDOWN_KILL)
            broken(m, "%s is asked instead of killed", a->child->id);
        check_stop(m, s, a->child);
        ask_task(m, a->pid);
        break;
    case MOLT_SUPERVISE_KILL:
        check_kill(m, s, a);
        kill_task(m, a->pid);
        break;
    case MOLT_SUPERVISE_ARM:
        s->timer = a->timer;
        later(m, (uint64_t)a->ms, (struct event){.kind = EVENT_TIMER, .sup = s, .timer = a->timer});
        break;
    case MOLT_SUPERVISE_REPORT:
        check_report(m, s, a);
        break;
    case MOLT_SUPERVISE_REPLY:
        check_reply(m, s, a);
        break;
    case MOLT_SUPERVISE_RELEASE_SPEC:
        take_new_spec(s, a->spec);
        break;
    case MOLT_SUPERVISE_READY:
        s->is_ready = true;
        if (s->parent && m->tasks[s->pid].is_alive) {
            m->tasks[s->pid].is_starting = false;
            molt_supervise_started(&s->parent->core, s->pid);
        }
        break;
    case MOLT_SUPERVISE_END:
        end_sup(m, s, a->reason);
        break;
    case MOLT_SUPERVISE_DISARM:
    case MOLT_SUPERVISE_RELEASE:
        break;
    }
}

static bool drain(struct sim *m)
{
    bool is_moving = true;
    while (is_moving && !m->broken[0]) {
        is_moving = false;
        for (size_t i = 0; i < m->n_sups; i++) {
            struct molt_supervise_action action;
            while (!m->broken[0] && molt_supervise_next(&m->sups[i]->core, m->now_ms, &action)) {
                is_moving = true;
                if (++m->n_actions > 200000)
                    broken(m, "it never comes to rest");
                if (m->sups[i]->is_dead && action.kind != MOLT_SUPERVISE_REPLY &&
                    action.kind != MOLT_SUPERVISE_RELEASE &&
                    action.kind != MOLT_SUPERVISE_RELEASE_SPEC)
                    broken(m, "an action after the end");
                act(m, m->sups[i], &action);
            }
        }
    }
    return !m->broken[0];
}

/* Nothing is under way in @s: what happens now is dealt with at once. */
static bool is_idle(struct sim *m, struct sup *s)
{
    return s->is_ready && !s->is_dead && !molt_supervise_is_ending(&s->core) && !s->n_requests &&
           !count_tasks(m, s, is_starting_task) && !count_tasks(m, s, is_asked_task);
}

/* A child of an idle supervisor ends by itself: what has to follow is known. */
static void crash(struct sim *m, molt_pid pid, int reason)
{
    struct task *task = &m->tasks[pid];
    struct sup *s = task->sup;
    struct track *t = track(s, task->id);
    bool is_known = is_idle(m, s) && !task->itself;
    struct molt_child_policy policy = t->policy;
    task_ends(m, pid, reason);
    t->reason = reason;
    bool is_again = is_due_to_restart(t);
    bool is_last = true;
    for (size_t i = 0; i < s->n_tracks; i++)
        is_last &= &s->track[i] == t || !s->track[i].pid || !s->track[i].policy.is_significant;
    size_t n = s->n_restarts;
    if (!drain(m) || !is_known)
        return;
    if (!is_again && policy.is_significant &&
        (s->spec->auto_shutdown == MOLT_AUTO_ANY ||
         (s->spec->auto_shutdown == MOLT_AUTO_ALL && is_last)) &&
        !molt_supervise_is_ending(&s->core))
        broken(m, "a significant child's end does not end the supervisor");
    if (is_again && s->n_restarts == n && !molt_supervise_is_ending(&s->core))
        broken(m, "%s is not restarted", task->id);
}

static void fire(struct sim *m, const struct event *e)
{
    struct task *task = &m->tasks[e->pid];
    switch (e->kind) {
    case EVENT_STARTED:
        if (task->is_alive && task->is_starting) {
            task->is_starting = false;
            track(task->sup, task->id)->has_failed = false;
            molt_supervise_started(&task->sup->core, e->pid);
        }
        break;
    case EVENT_EXIT:
        if (task->is_alive && task->was_asked && !task->was_killed &&
            m->now_ms >= task->asked_ms + HANG_MS &&
            track(task->sup, task->id)->policy.shutdown_ms >= 0)
            broken(m, "%s hangs and is not killed", task->id);
        task_ends(m, e->pid, e->reason);
        break;
    case EVENT_TIMER:
        if (!e->sup->is_dead)
            molt_supervise_timeout(&e->sup->core, e->timer);
        break;
    }
}

/* Up to @until_ms, one instant after the other. */
static void pass_time(struct sim *m, uint64_t until_ms)
{
    while (drain(m)) {
        size_t first = SIZE_MAX;
        for (size_t i = 0; i < m->n_events; i++)
            if (m->events[i].at_ms <= until_ms &&
                (first == SIZE_MAX || m->events[i].at_ms < m->events[first].at_ms ||
                 (m->events[i].at_ms == m->events[first].at_ms &&
                  m->events[i].seq < m->events[first].seq)))
                first = i;
        if (first == SIZE_MAX)
            break;
        struct event event = m->events[first];
        m->events[first] = m->events[--m->n_events];
        m->now_ms = event.at_ms;
        fire(m, &event);
    }
    if (m->now_ms < until_ms)
        m->now_ms = until_ms;
}

static void send_request(struct sim *m, struct sup *s)
{
    if (m->n_requests == REQUESTS_MAX)
        return;
    struct request *r = &m->requests[m->n_requests++];
    *r = (struct request){.sup = s, .is_open = true};
    r->request.kind = dice(m, 5);
    snprintf(r->request.id, sizeof(r->request.id), "%c", 'a' + (char)dice(m, 8));
    if (is_simple(s) && dice(m, 2))
        r->request.kind = MOLT_SUPERVISE_ADD;
    if (r->request.kind == MOLT_SUPERVISE_ADD) {
        char id[16];
        snprintf(id, sizeof(id), "n%u", m->n_names++);
        struct molt_child_policy p = random_policy(m, s->spec->auto_shutdown);
        if (is_simple(s))
            p = molt_container_of(s->spec->children.next, struct molt_supervised, link)->policy;
        r->request.child = new_child(m, id, p);
        track(s, id)->policy = p;
        track(s, id)->may_start = true;
    } else if (is_simple(s) && r->request.kind == MOLT_SUPERVISE_TERMINATE) {
        r->request.pid = m->n_tasks ? 1 + dice(m, (unsigned)m->n_tasks) : 1;
    }
    s->n_requests++;
    molt_supervise_ask(&s->core, &r->request);
}

static bool is_in_spec(struct molt_supervise_spec *spec, const char *id)
{
    for (struct molt_list *at = spec->children.next; at != &spec->children; at = at->next)
        if (strcmp(molt_container_of(at, struct molt_supervised, link)->id, id) == 0)
            return true;
    return false;
}

/* An upgrade of an idle supervisor, and what has to follow. */
static void upgrade(struct sim *m, struct sup *s)
{
    if (is_simple(s) || !is_idle(m, s))
        return;
    struct molt_supervise_spec *spec = new_spec(m, false);
    char ids[8][MOLT_SUPERVISE_ID_MAX], gone[8][MOLT_SUPERVISE_ID_MAX];
    size_t n = 0, n_gone = 0;
    for (char id[2] = "a"; id[0] <= 'h'; id[0]++) {
        if (is_in_spec(spec, id)) {
            if (place_of(s, id) == SIZE_MAX)
                strcpy(ids[n++], id);
        } else if (place_of(s, id) != SIZE_MAX) {
            strcpy(gone[n_gone++], id);
        }
    }
    bool was_known[8];
    for (size_t i = 0; i < n; i++)
        was_known[i] = track(s, ids[i])->was_listed; /* it may have ended for good */
    note_policies(s, spec);
    s->next_spec = spec;
    molt_supervise_change(&s->core, spec);
    size_t before = m->n_tasks;
    pass_time(m, m->now_ms + 6); /* a while: some don't end when asked */
    for (size_t i = 0; i < n_gone && is_idle(m, s) && !m->broken[0]; i++)
        if (is_live(s, gone[i]) || place_of(s, gone[i]) != SIZE_MAX)
            broken(m, "%s was removed by an upgrade and is still there", gone[i]);
    for (size_t i = 0; i < n && is_idle(m, s) && before == m->n_tasks && !m->broken[0]; i++)
        if (!was_known[i] && !track(s, ids[i])->has_failed)
            broken(m, "%s was added by an upgrade and isn't started", ids[i]);
}

/* Something happens. */
static void step(struct sim *m)
{
    struct sup *s = m->sups[dice(m, (unsigned)m->n_sups)];
    molt_pid pid = m->n_tasks ? 1 + dice(m, (unsigned)m->n_tasks) : 0;
    for (int i = 0; i < 20 && pid && !m->tasks[pid].is_alive; i++)
        pid = 1 + dice(m, (unsigned)m->n_tasks);
    struct task *task = &m->tasks[pid];
    switch (dice(m, 8)) {
    case 0:
    case 1:
        if (pid && task->is_alive && !task->itself && !task->is_starting && !task->was_asked &&
            !task->was_killed)
            crash(m, pid, reasons[dice(m, 4)]);
        break;
    case 2:
        if (!s->is_dead)
            send_request(m, s);
        break;
    case 3:
        if (!s->is_dead)
            upgrade(m, s);
        break;
    case 4: /* news of nobody, and of the past */
        if (!s->is_dead) {
            molt_supervise_exited(&s->core, 1000000 + dice(m, 9), MOLT_ECRASH);
            molt_supervise_timeout(&s->core, s->timer ? s->timer - 1 : 0);
        }
        break;
    default:
        pass_time(m, m->now_ms + dice(m, 30));
        break;
    }
    drain(m);
}

/* The storm is over: everything comes to rest, and ends when it is told to. */
static void finish(struct sim *m)
{
    m->is_calm = true;
    pass_time(m, m->now_ms + 300000);
    struct sup *root = m->sups[0];
    root->has_been_stopped = true;
    if (!root->is_dead)
        molt_supervise_stop(&root->core, 0);
    pass_time(m, m->now_ms + 900000);
    for (size_t i = 0; i < m->n_sups && !m->broken[0]; i++)
        if (!m->sups[i]->is_dead)
            broken(m, "a supervisor does not come to its end");
    for (size_t i = 0; i < m->n_requests && !m->broken[0]; i++)
        if (m->requests[i].is_open)
            broken(m, "a request was never answered");
    for (molt_pid pid = 1; pid <= m->n_tasks && !m->broken[0]; pid++)
        if (m->tasks[pid].is_alive)
            broken(m, "a child outlives the tree");
}

static struct sim *run(uint64_t seed, enum molt_supervise_rule without)
{
    struct sim *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->seed = seed;
    m->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    m->without = without;
    new_sup(m, NULL, 0);
    for (int i = 0; i < STEPS && !m->broken[0]; i++)
        step(m);
    if (!m->broken[0])
        finish(m);
    return m;
}

static void drop(struct sim *m)
{
    for (size_t i = 0; i < m->n_garbage; i++)
        free(m->garbage[i]);
    free(m);
}

static void trees_in_a_storm_keep_every_rule(void **state)
{
    (void)state;
    const char *wanted = getenv("MOLT_SEED");
    uint64_t first = wanted ? strtoull(wanted, NULL, 0) : 1;
    size_t n_tasks = 0, n_restarts = 0, n_sups = 0;
    for (uint64_t seed = first; seed < first + (wanted ? 1 : SEEDS); seed++) {
        struct sim *m = run(seed, MOLT_RULE_NONE);
        if (m->broken[0])
            fail_msg("MOLT_SEED=%llu: %s", (unsigned long long)seed, m->broken);
        n_tasks += m->n_tasks;
        n_sups += m->n_sups;
        for (size_t i = 0; i < m->n_sups; i++)
            n_restarts += m->sups[i]->n_restarts;
        drop(m);
    }
    /* The storm must have blown. */
    assert_true(wanted || (n_tasks > 10 * SEEDS && n_sups > 2 * SEEDS && n_restarts > SEEDS));
}

static void every_rule_that_is_left_out_is_noticed(void **state)
{
    (void)state;
    for (int rule = MOLT_RULE_NONE + 1; rule < MOLT_RULE_COUNT_; rule++) {
        bool is_noticed = false;
        for (uint64_t seed = 1; seed <= SEEDS && !is_noticed; seed++) {
            struct sim *m = run(seed, rule);
            is_noticed = m->broken[0] != '\0';
            if (is_noticed)
                print_message("rule %d, seed %llu: %s\n", rule, (unsigned long long)seed,
                              m->broken);
            drop(m);
        }
        if (!is_noticed)
            fail_msg("nobody noticed that rule %d was left out", rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_in_a_storm_keep_every_rule),
        cmocka_unit_test(every_rule_that_is_left_out_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
