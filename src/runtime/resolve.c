/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "port/limits.h"
#include "runtime/fiber.h"
#include "runtime/net.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

#define THREADS_MAX MOLT_LIMIT(4, 1)
#define QUESTIONS_MAX 1024 /* that wait for a thread */
#define ANSWERS_MAX 16
#define IDLE_MS 10000

struct question {
    struct question *next;
    molt_pid pid;
    uint64_t ref;
    unsigned port;
    int rc; /* how many addresses, or the code */
    struct molt_net_address answers[ANSWERS_MAX];
    char name[];
};

struct molt_resolver {
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct molt_runtime *rt; /* NULL once it is gone: the last thread frees this */
    struct question *first, *last;
    struct question *answered;
    unsigned n_questions, n_threads, n_idle;
};

/* ---- life ---------------------------------------------------------------------- */

int molt_resolver_new(struct molt_runtime *rt, struct molt_resolver **ret)
{
    struct molt_resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return MOLT_ENOMEM;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->asked, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
    r->rt = rt;
    *ret = r;
    return 0;
}

static void free_list(struct question *q)
{
    while (q) {
        struct question *next = q->next;
        free(q);
        q = next;
    }
}

static void destroy(struct molt_resolver *r)
{
    free_list(r->first);
    free_list(r->answered);
    pthread_cond_destroy(&r->asked);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void molt_resolver_free(struct molt_resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->rt = NULL;
    bool is_last = r->n_threads == 0;
    pthread_cond_broadcast(&r->asked);
    pthread_mutex_unlock(&r->lock);
    if (is_last)
        destroy(r);
}

/* ---- asking, on a thread of the resolver ------------------------------------------ */

static int code_of(int gai)
{
    switch (gai) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return MOLT_ENOENT;
    case EAI_AGAIN:
        return MOLT_EBUSY;
    case EAI_MEMORY:
        return MOLT_ENOMEM;
    default:
        return MOLT_EIO;
    }
}

static int ask(const char *name, unsigned port, struct molt_net_address *ret, size_t max)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *info;
    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(name, service, &hints, &info);
    if (rc != 0)
        return code_of(rc);
    size_t n = 0;
    for (const struct addrinfo *i = info; i && n < max; i = i->ai_next)
        molt_net_address_set(&ret[n++], i->ai_addr, i->ai_addrlen);
    freeaddrinfo(info);
    return (int)n;
}

/* Under the lock. NULL when there was nothing for a while, or never will be. */
static struct question *next_question(struct molt_resolver *r)
{
    uint64_t until_ns = molt_clock_ns() + UINT64_C(1000000) * IDLE_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
    int rc = 0;
    r->n_idle++;
    while (r->rt && !r->first && rc == 0)
        rc = pthread_cond_timedwait(&r->asked, &r->lock, &until);
    r->n_idle--;
    struct question *q = r->rt ? r->first : NULL;
    if (q) {
        r->first = q->next;
        r->n_questions--;
    }
    return q;
}

/* Under the lock, so that the runtime stays. */
static void deliver(struct molt_resolver *r, struct question *q)
{
    q->next = r->answered;
    r->answered = q;
    if (r->rt && molt_process_complete(r->rt, q->pid, q->ref, 0, NULL))
        return;
    r->answered = q->next;
    free(q);
}

static void *thread_main(void *arg)
{
    struct molt_resolver *r = arg;
    struct question *q;
    pthread_mutex_lock(&r->lock);
    while ((q = next_question(r)) != NULL) {
        pthread_mutex_unlock(&r->lock);
        q->rc = ask(q->name, q->port, q->answers, ANSWERS_MAX);
        pthread_mutex_lock(&r->lock);
        deliver(r, q);
    }
    bool is_last = --r->n_threads == 0 && !r->rt;
    pthread_mutex_unlock(&r->lock);
    if (is_last)
        destroy(r);
    return NULL;
}

/* Under the lock. */
static bool start_thread(struct molt_resolver *r)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&thread, &attr, thread_main, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    r->n_threads += is_started;
    return is_started;
}

/* ---- the process's side --------------------------------------------------------------- */

/* Under the lock: of processes that ended between answer and fetching it. */
static void sweep(struct molt_resolver *r)
{
    for (struct question **at = &r->answered, *q; (q = *at) != NULL;) {
        if (molt_process_find(r->rt, q->pid)) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        free(q);
    }
}

/* Consumes @q on success. */
static int put(struct molt_resolver *r, struct question *q)
{
    int rc = 0;
    pthread_mutex_lock(&r->lock);
    sweep(r);
    if (r->n_questions >= QUESTIONS_MAX)
        rc = MOLT_ELIMIT;
    else if (r->n_idle <= r->n_questions && r->n_threads < THREADS_MAX && !start_thread(r) &&
             r->n_threads == 0)
        rc = MOLT_ENOMEM;
    if (rc == 0) {
        if (r->first)
            r->last->next = q;
        else
            r->first = q;
        r->last = q;
        r->n_questions++;
        pthread_cond_signal(&r->asked);
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static struct question *fetch(struct molt_resolver *r, molt_pid pid, uint64_t ref)
{
    pthread_mutex_lock(&r->lock);
    struct question **at = &r->answered, *q;
    while ((q = *at) != NULL && (q->pid != pid || q->ref != ref))
        at = &q->next;
    if (q)
        *at = q->next;
    pthread_mutex_unlock(&r->lock);
    return q;
}

/* Wait for the answer to what was put, and copy it. */
static int await(struct molt_process *p, uint64_t ref, struct molt_net_address *ret, size_t max,
                 int timeout_ms)
{
    struct molt_block *root;
    molt_wait_for(p, ref, timeout_ms);
    int rc = molt_wait_end(p, &root);
    struct question *q = rc == 0 ? fetch(p->rt->resolver, molt_process_pid(p), ref) : NULL;
    if (!q)
        return rc < 0 ? rc : MOLT_EIO;
    rc = q->rc > 0 && (size_t)q->rc > max ? (int)max : q->rc;
    if (rc > 0)
        memcpy(ret, q->answers, (size_t)rc * sizeof(*ret));
    free(q);
    return rc;
}

static int resolve(struct molt_process *p, const char *name, unsigned port,
                   struct molt_net_address *ret, size_t max, int timeout_ms)
{
    size_t len = strlen(name);
    struct question *q = len <= 255 ? malloc(sizeof(*q) + len + 1) : NULL;
    if (!q)
        return len <= 255 ? MOLT_ENOMEM : MOLT_EINVAL;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_RESOLVE);
    if (!ref) {
        free(q);
        return MOLT_EKILLED;
    }
    *q = (struct question){.pid = molt_process_pid(p), .ref = ref, .port = port};
    memcpy(q->name, name, len + 1);
    int rc = put(p->rt->resolver, q);
    if (rc == 0)
        return await(p, ref, ret, max, timeout_ms);
    free(q);
    molt_wait_abort(p, ref);
    return rc;
}

int molt_net_resolve(const char *name, unsigned port, struct molt_net_address *ret, size_t max,
                     int timeout_ms)
{
    struct molt_process *p = molt_net_caller();
    if (!p)
        return MOLT_ENOPROC;
    if (!name || !*name || strcmp(name, "*") == 0 || port > 65535 || !ret || max == 0)
        return MOLT_EINVAL;
    if (molt_net_address_parse(name, port, ret) == 0)
        return 1;
    if (strpbrk(name, "/@%:"))
        return MOLT_EINVAL; /* an address that is none */
    if (timeout_ms == 0)
        return MOLT_EBUSY;
    int rc = molt_wait_check_locks(p, "molt_net_resolve()");
    return rc < 0 ? rc : resolve(p, name, port, ret, max, timeout_ms);
}
