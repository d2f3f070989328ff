/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Processes that run the test's functions and keep a record of what they hear. */
#ifndef MOLT_TESTS_RUNTIME_ACTORS_H
#define MOLT_TESTS_RUNTIME_ACTORS_H

#include "unit/runtime/fake_world.h"

enum { ACTOR_DONE, ACTOR_EXITS, ACTOR_DOWNS, ACTOR_ENDS, ACTOR_OTHER };

enum heard_kind { HEARD_EXIT, HEARD_DOWN, HEARD_END };

struct heard {
    enum heard_kind kind;
    molt_pid who; /* heard it */
    molt_pid pid; /* ended, or asked */
    uint64_t ref;
    int reason;
};

#define HEARD_MAX 200000
FAKE struct heard heard_list[HEARD_MAX]; /* under the fixture's lock */
FAKE size_t n_heard;

FAKE void actor_note(enum heard_kind kind, molt_pid pid, uint64_t ref, int reason)
{
    static const int counters[] = {ACTOR_EXITS, ACTOR_DOWNS, ACTOR_ENDS};
    pthread_mutex_lock(&fake_here->lock);
    if (n_heard < HEARD_MAX)
        heard_list[n_heard++] = (struct heard){kind, molt_self(), pid, ref, reason};
    fake_here->counters[counters[kind]]++;
    pthread_cond_broadcast(&fake_here->changed);
    pthread_mutex_unlock(&fake_here->lock);
}

FAKE int actor_exit(struct fake_state *s, const struct molt_exit *e)
{
    (void)s;
    actor_note(HEARD_EXIT, e->pid, 0, e->reason);
    return 0;
}

FAKE int actor_down(struct fake_state *s, const struct molt_down *d)
{
    (void)s;
    actor_note(HEARD_DOWN, d->pid, d->ref, d->reason);
    return 0;
}

FAKE void actor_terminate(struct fake_state *s, int reason)
{
    (void)s;
    actor_note(HEARD_END, 0, 0, reason);
}

/* The first record of @kind that @who (0: anybody) heard. */
FAKE struct heard actor_heard(enum heard_kind kind, molt_pid who)
{
    struct heard found = {0};
    pthread_mutex_lock(&fake_here->lock);
    for (size_t i = n_heard; i > 0; i--)
        if (heard_list[i - 1].kind == kind && (!who || heard_list[i - 1].who == who))
            found = heard_list[i - 1];
    pthread_mutex_unlock(&fake_here->lock);
    return found;
}

FAKE struct fake_server *actor_server(struct fake_module *m, const char *name)
{
    struct fake_server *s = fake_runner(m, name);
    s->desc.on_exit = MOLT_FN(actor_exit);
    s->desc.on_down = MOLT_FN(actor_down);
    s->desc.terminate = MOLT_FN(actor_terminate);
    return s;
}

FAKE molt_pid actor_spawn(void)
{
    molt_pid pid = 0;
    assert_int_equal(molt_spawn("actor", NULL, NULL, &pid), 0);
    return pid;
}

/* Have @pid run @fn, later. */
FAKE void actor_post(molt_pid pid, void (*fn)(void *), void *arg)
{
    struct fake_job *job = fake_new(struct fake_job, fake_job);
    *job = (struct fake_job){fn, arg, ACTOR_DONE};
    assert_int_equal(molt_send_pid(pid, job), 0);
}

/* Of what actor_do() waits for; jobs that were posted count elsewhere. */
#define ACTOR_DID 15

/* Have @pid run @fn, and wait for that. By one thread at a time. */
FAKE void actor_do(molt_pid pid, void (*fn)(void *), void *arg)
{
    long n = fake_get(ACTOR_DID);
    struct fake_job *job = fake_new(struct fake_job, fake_job);
    *job = (struct fake_job){fn, arg, ACTOR_DID};
    assert_int_equal(molt_send_pid(pid, job), 0);
    fake_await(ACTOR_DID, n + 1);
}

FAKE void actor_nothing(void *arg)
{
    (void)arg;
}

/* Wait until @pid has done what came before. */
FAKE void actor_sync(molt_pid pid)
{
    actor_do(pid, actor_nothing, NULL);
}

/* One whose init has run: before that there is nothing to terminate. */
FAKE molt_pid actor_new(void)
{
    molt_pid pid = actor_spawn();
    long n = fake_get(ACTOR_DONE);
    actor_sync(pid);
    fake_add(ACTOR_DONE, n - fake_get(ACTOR_DONE)); /* doesn't count */
    return pid;
}

FAKE void actors_start(struct fake *f, struct fake_module *m, unsigned workers)
{
    static struct molt_thread *thread;
    n_heard = 0;
    fake_init(f, workers);
    fake_module_init(m, "actors", 1);
    actor_server(m, "actor");
    fake_runner(m, "deaf"); /* has neither on_exit nor on_down */
    fake_publish(f, m);
    assert_int_equal(molt_runtime_start(f->rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f->rt, "test", &thread), 0);
}

FAKE void actors_stop(struct fake *f)
{
    struct molt_runner *here = molt_runner_here();
    molt_thread_unregister(molt_container_of(here, struct molt_thread, runner));
    fake_fini(f);
}

#endif
