/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Selective receive: a callback takes a message from the middle of its mailbox.
 *
 * The own list only grows at its end while a callback runs, and only this file
 * takes from it then. So a place in it is good until the callback returns, and
 * nothing is looked at twice: within one receive the search goes on behind the
 * last message it saw, and between receives marks remember up to where there is
 * no message of a type. Marks carry the process and its count of callbacks, so
 * that nobody has to forget them.
 *
 * What is of another layout, from which a way leads to the type, is converted where
 * it stands, for the world that the callback is in.
 */
#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/translate.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

struct search {
    struct molt_process *p;
    struct molt_activation *act;
    const struct molt_world *world;
    const struct molt_type *type;
    int (*is_match)(const void *msg, void *user);
    void *user;
    struct molt_block *last;  /* looked at, NULL: none yet */
    struct molt_block *clean; /* none of the type up to here */
    bool is_clean;            /* ... and up to `last` */
};

/* ---- marks -------------------------------------------------------------------- */

static void check_marks(struct search *s)
{
    struct molt_mail_marks *marks = &s->act->marks;
    molt_pid pid = molt_process_pid(s->p);
    unsigned long long at = atomic_load_explicit(&s->p->n_callbacks, memory_order_relaxed);
    if (marks->pid != pid || marks->at != at)
        *marks = (struct molt_mail_marks){.pid = pid, .at = at};
}

static void begin_at_mark(struct search *s)
{
    check_marks(s);
    for (unsigned i = 0; i < MOLT_MAIL_MARKS; i++)
        if (s->act->marks.type[i] == s->type)
            s->last = s->clean = s->act->marks.last[i];
}

static void set_mark(struct search *s)
{
    struct molt_mail_marks *marks = &s->act->marks;
    unsigned i = 0;
    while (i < MOLT_MAIL_MARKS && marks->type[i] != s->type)
        i++;
    if (i == MOLT_MAIL_MARKS)
        i = marks->next++ % MOLT_MAIL_MARKS;
    marks->type[i] = s->type;
    marks->last[i] = s->clean;
}

/* @root is about to go: its place is @now's, or that of what is before it. */
static void move_marks(struct search *s, const struct molt_block *root, struct molt_block *now)
{
    for (unsigned i = 0; i < MOLT_MAIL_MARKS; i++)
        if (s->act->marks.last[i] == root)
            s->act->marks.last[i] = now;
}

/* ---- the search ----------------------------------------------------------------- */

/* Whether @m is of the type once it is in a layout of the world; at once, most often. */
static bool leads_to_type(const struct search *s, const struct molt_block *m)
{
    struct molt_way way;
    if (__builtin_expect(m->type == s->type || molt_world_takes(s->world, m->type), 1))
        return m->type == s->type;
    int n = molt_world_way(s->world, m->type, &way);
    return n > 0 && way.edges[n - 1]->to == s->type;
}

static bool is_of_type(const struct search *s, const struct molt_block *m)
{
    return molt_message_kind(m) == MOLT_MESSAGE_CAST && leads_to_type(s, m);
}

static void report_unfit(const struct search *s, const struct molt_block *m, const char *why)
{
    char label[128];
    molt_process_label(s->p, label, sizeof(label));
    molt_runtime_log(s->p->rt, MOLT_WARN,
                     "%s: molt_receive() leaves a message of type '%s' where it is, because it "
                     "can't be converted for world %llu: %s",
                     label, m->type->name, (unsigned long long)s->world->id, why);
}

/* A message of the type, behind s->last, that may have to be converted first. NULL: that
 * can't be; it stays. */
static struct molt_block *fit(struct search *s, struct molt_runner *runner, struct molt_block *m)
{
    struct molt_migration_fault fault;
    if (__builtin_expect(molt_translate_fits(s->world, m), 1))
        return m;
    struct molt_block *now = m;
    molt_process_pluck(s->p, s->last, m);
    int rc = molt_translate(runner, s->p, s->world, &now, &fault);
    molt_process_plant(s->p, s->last, now);
    move_marks(s, m, now);
    if (rc >= 0)
        return now;
    report_unfit(s, m, fault.why);
    return NULL;
}

/* The author's predicate, as if under a lock: what would wait in it is refused. */
static bool asks_for(struct search *s, const struct molt_block *m)
{
    if (!s->is_match)
        return true;
    const void *mark = (const void *)(uintptr_t)s->is_match; /* NOLINT: names the function */
    molt_lock_enter(mark);
    bool is = s->is_match(molt_block_payload(m), s->user) != 0;
    molt_lock_leave(mark);
    return is;
}

/* The message, which stands behind s->last then; NULL: not yet. */
static struct molt_block *find(struct search *s, struct molt_runner *runner)
{
    for (;;) {
        struct molt_block *m = s->last ? molt_message_after(s->last) : s->p->mail;
        if (!m) {
            if (molt_process_drain(s->p, &runner->cache) == 0)
                return NULL;
            continue;
        }
        struct molt_block *fitting = is_of_type(s, m) ? fit(s, runner, m) : NULL;
        bool is = fitting != NULL;
        if (is && asks_for(s, fitting))
            return fitting;
        m = is ? fitting : m;
        s->is_clean = s->is_clean && !is;
        s->last = m;
        if (s->is_clean)
            s->clean = m;
    }
}

static void *accept(struct search *s, struct molt_runner *runner, struct molt_block *m)
{
    struct molt_process *p = s->p;
    move_marks(s, m, s->last);
    molt_process_pluck(p, s->last, m);
    molt_wait_accept(p, m);
    atomic_ullong *n_messages = &runner->worker->n_messages;
    atomic_store_explicit(n_messages, atomic_load_explicit(n_messages, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    runner->budget--;
    return molt_block_payload(m);
}

/* ---- waiting -------------------------------------------------------------------- */

static int ms_until(uint64_t deadline_ns)
{
    uint64_t now = molt_clock_ns();
    return now >= deadline_ns ? 0 : (int)((deadline_ns - now + 999999) / 1000000);
}

/* Until there is mail. MOLT_ETIMEDOUT, MOLT_EKILLED. */
static int wait_for_mail(struct molt_process *p, int timeout_ms, uint64_t deadline_ns)
{
    int ms = timeout_ms < 0 ? -1 : ms_until(deadline_ns);
    if (ms == 0)
        return MOLT_ETIMEDOUT;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_RECEIVE);
    if (!ref)
        return MOLT_EKILLED;
    molt_wait_for(p, ref, ms);
    int rc = molt_wait_stop(p, ref);
    /* What came together with the timeout is looked at first. */
    return rc == MOLT_ETIMEDOUT ? 0 : rc;
}

static bool is_asked_to_end(const struct molt_process *p)
{
    int reason;
    return atomic_load_explicit(&p->phase, memory_order_relaxed) != MOLT_PHASE_ENDING &&
           molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason);
}

static int receive(struct search *s, struct molt_runner *runner, int timeout_ms, void **ret)
{
    uint64_t deadline = timeout_ms > 0 ? molt_clock_ns() + (uint64_t)timeout_ms * 1000000 : 0;
    int rc = is_asked_to_end(s->p) ? MOLT_EKILLED : 0;
    struct molt_block *m = NULL;
    while (rc == 0 && !(m = find(s, runner)))
        rc = wait_for_mail(s->p, timeout_ms, deadline);
    set_mark(s);
    if (!m)
        return rc;
    *ret = accept(s, runner, m);
    return 0;
}

int molt_receive_typed(void **ret, const struct molt_type *const *tag,
                       int (*is_match)(const void *msg, void *user), void *user, int timeout_ms)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner && !runner->is_converting ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    if (!ret || !tag || !*tag)
        return MOLT_EINVAL;
    int rc = molt_wait_check_locks(p, "molt_receive()");
    if (rc < 0)
        return rc;
    struct search s = {.p = p,
                       .act = &p->fiber->act,
                       .world = atomic_load_explicit(&p->world, memory_order_relaxed),
                       .type = *tag,
                       .is_match = is_match,
                       .user = user,
                       .is_clean = true};
    begin_at_mark(&s);
    return receive(&s, runner, timeout_ms, ret);
}
