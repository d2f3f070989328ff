/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Worlds without images: the runtime's tests describe servers whose functions
 * are the test program's own, and publish them as a host would publish modules.
 * The code table underneath is the real one.
 */
#ifndef MOLT_TESTS_RUNTIME_FAKE_WORLD_H
#define MOLT_TESTS_RUNTIME_FAKE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <molt/host.h>
#include <molt/molt.h>
#include <molt/net.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "code/table.h"
#include "runtime/runtime.h"
#include "runtime/thread.h"

#define FAKE static __attribute__((unused))

/* ---- types --------------------------------------------------------------------- */

/* FAKE_TYPE(node, struct node, ptrs...): the type object `node_type`, and its tag. */
#define FAKE_TYPE_(id, T, hash_, ptrs_, n_)                                                        \
    static const struct molt_type id##_type = {.key_text = #T,                                     \
                                               .name = #T,                                         \
                                               .hash = (hash_),                                    \
                                               .shape = (hash_),                                   \
                                               .size = sizeof(T),                                  \
                                               .may_point = (n_) > 0,                              \
                                               .n_ptrs = (n_),                                     \
                                               .ptrs = (ptrs_)};                                   \
    static const struct molt_type *const id##_tag __attribute__((unused)) = &id##_type
#define FAKE_TYPE(id, T, hash_) FAKE_TYPE_(id, T, hash_, NULL, 0)
#define FAKE_POINTER_TYPE(id, T, hash_, ...)                                                       \
    static const struct molt_meta_ptr id##_ptrs[] = {__VA_ARGS__};                                 \
    FAKE_TYPE_(id, T, hash_, id##_ptrs, sizeof(id##_ptrs) / sizeof(id##_ptrs[0]))
#define FAKE_PTR(T, member, kind_)                                                                 \
    {                                                                                              \
        .offset = offsetof(T, member), .count = 1, .kind = (kind_), .field = (char[])              \
        {                                                                                          \
#member                                                                                \
        }                                                                                          \
    }

#define fake_new(T, id) ((T *)molt_block_new(&id##_tag, sizeof(T), 1))
#define fake_new_array(T, id, n) ((T *)molt_block_new(&id##_tag, sizeof(T), (n)))
#define fake_call(name, msg, ret, id, ms)                                                          \
    molt_call_typed((name), 0, (msg), (void **)(ret), &id##_tag, (ms))

/* ---- a world -------------------------------------------------------------------- */

#define FAKE_SERVERS 8

struct fake_server {
    struct molt_server desc;
    const struct molt_type *state_type, *init_type;
    const struct molt_state_table *states; /* of a state machine */
    const struct molt_type *handler_types[MOLT_HANDLERS_MAX];
    const struct molt_type *change_types[MOLT_CHANGES_MAX];
};

struct fake_module {
    struct molt_version version;
    struct molt_module desc;
    struct molt_world *world;
    struct molt_supervisor supervisors[2];
    struct fake_server servers[FAKE_SERVERS];
    size_t n_servers, n_supervisors;
};

struct fake {
    struct molt_code *code;
    struct molt_runtime *rt;
    char store[64];
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    char log[1 << 16];
    size_t log_len;
    long counters[16];
    int root_reason;
    int n_root_exits;
};

/* ---- waiting for what callbacks report -------------------------------------------- */

FAKE struct fake *fake_here; /* the fixture of the running test */

FAKE long fake_add(int counter, long n)
{
    pthread_mutex_lock(&fake_here->lock);
    long now = fake_here->counters[counter] += n;
    pthread_cond_broadcast(&fake_here->changed);
    pthread_mutex_unlock(&fake_here->lock);
    return now;
}

FAKE long fake_get(int counter)
{
    return fake_add(counter, 0);
}

FAKE struct timespec fake_until(int ms)
{
    uint64_t ns = molt_clock_ns() + (uint64_t)ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

#define FAKE_PATIENCE_MS 30000

/* Wait until the counter is at least @n. */
FAKE void fake_await(int counter, long n)
{
    struct timespec until = fake_until(FAKE_PATIENCE_MS);
    int rc = 0;
    pthread_mutex_lock(&fake_here->lock);
    while (rc == 0 && fake_here->counters[counter] < n)
        rc = pthread_cond_timedwait(&fake_here->changed, &fake_here->lock, &until);
    long now = fake_here->counters[counter];
    pthread_mutex_unlock(&fake_here->lock);
    if (now < n)
        fail_msg("counter %d is %ld, expected at least %ld", counter, now, n);
}

FAKE void fake_await_processes(size_t n)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    struct molt_runtime_stats stats;
    do { /* no event tells the number of processes */
        molt_runtime_stats(fake_here->rt, &stats);
        if (stats.n_processes == n)
            return;
        sched_yield();
    } while (molt_clock_ns() < deadline);
    fail_msg("%zu processes, expected %zu", stats.n_processes, n);
}

FAKE void fake_log(void *user, enum molt_level level, const char *text)
{
    struct fake *f = user;
    (void)level;
    pthread_mutex_lock(&f->lock);
    size_t room = sizeof(f->log) - f->log_len, n = strlen(text);
    if (n + 2 < room) {
        memcpy(f->log + f->log_len, text, n);
        f->log_len += n;
        f->log[f->log_len++] = '\n';
        f->log[f->log_len] = '\0';
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Wait until the log contains @text. */
FAKE void fake_await_log(const char *text)
{
    struct timespec until = fake_until(FAKE_PATIENCE_MS);
    int rc = 0;
    pthread_mutex_lock(&fake_here->lock);
    while (rc == 0 && !strstr(fake_here->log, text))
        rc = pthread_cond_timedwait(&fake_here->changed, &fake_here->lock, &until);
    if (!strstr(fake_here->log, text)) {
        fprintf(stderr, "log:\n%s", fake_here->log);
        fail_msg("the log lacks '%s'", text);
    }
    pthread_mutex_unlock(&fake_here->lock);
}

FAKE void fake_root_exit(void *user, int reason)
{
    struct fake *f = user;
    pthread_mutex_lock(&f->lock);
    f->root_reason = reason;
    f->n_root_exits++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* ---- building ---------------------------------------------------------------------- */

FAKE void fake_module_init(struct fake_module *m, const char *name, unsigned number)
{
    memset(m, 0, sizeof(*m));
    snprintf(m->version.module, sizeof(m->version.module), "%s", name);
    m->version.number = number;
    m->version.desc = &m->desc;
    m->desc.name = m->version.module;
}

FAKE struct fake_server *fake_server(struct fake_module *m, const char *name,
                                     const struct molt_type *state)
{
    struct fake_server *s = &m->servers[m->n_servers++];
    s->desc.size = sizeof(s->desc);
    s->desc.state_size = state->size;
    s->desc.name = name;
    s->desc.state = state->name;
    s->state_type = state;
    return s;
}

FAKE void fake_on(struct fake_server *s, uint32_t kind, const struct molt_type *type,
                  molt_any_fn fn)
{
    size_t n = 0;
    while (s->desc.on[n].fn)
        n++;
    s->desc.on[n] = (struct molt_handler){type->name, type->size, kind, fn};
    s->handler_types[n] = type;
}

FAKE void fake_change(struct fake_server *s, const struct molt_type *from, molt_any_fn fn)
{
    size_t n = 0;
    while (s->desc.change[n].fn)
        n++;
    s->desc.change[n] = (struct molt_change){from->name, from->size, 0, fn};
    s->change_types[n] = from;
}

FAKE size_t fake_count(const struct molt_type *const *types, size_t max)
{
    size_t n = 0;
    while (n < max && types[n])
        n++;
    return n;
}

/* The world that @m would make, without making it current. */
FAKE struct molt_world *fake_world(struct fake *f, struct fake_module *m)
{
    struct molt_world *world = molt_world_empty(f->code);
    assert_non_null(world);
    world->id = ++f->code->last_world_id;
    /* Each changes layouts, for all that is known. */
    world->layout_epoch = (uint32_t)world->id;
    world->n_servers = 64;
    world->servers = calloc(world->n_servers, sizeof(*world->servers));
    assert_non_null(world->servers);
    for (size_t i = 0; i < m->n_servers; i++) {
        struct fake_server *s = &m->servers[i];
        int id = molt_server_intern(f->code, s->desc.name, NULL);
        world->servers[id] =
            (struct molt_server_ref){.desc = &s->desc,
                                     .version = &m->version,
                                     .state_type = s->state_type,
                                     .init_type = s->init_type,
                                     .states = s->states,
                                     .handler_types = s->handler_types,
                                     .change_types = s->change_types,
                                     .n_handlers = fake_count(s->handler_types, MOLT_HANDLERS_MAX),
                                     .n_changes = fake_count(s->change_types, MOLT_CHANGES_MAX)};
    }
    m->desc.supervisors = m->supervisors;
    m->desc.supervisors_end = m->supervisors + m->n_supervisors;
    world->versions = calloc(1, sizeof(struct molt_version *));
    assert_non_null(world->versions);
    world->versions[0] = &m->version;
    world->n_versions = 1;
    m->version.n_worlds++;
    m->world = world;
    pthread_mutex_lock(&f->code->lock);
    world->next_older = f->code->worlds;
    f->code->worlds = world;
    pthread_mutex_unlock(&f->code->lock);
    return world;
}

/* Make @world current, as molt_stage_commit() does. */
FAKE void fake_commit(struct fake *f, struct molt_world *world)
{
    atomic_store(molt_code_current_cell(f->code), world);
}

FAKE void fake_publish(struct fake *f, struct fake_module *m)
{
    fake_commit(f, fake_world(f, m));
}

FAKE void fake_init(struct fake *f, unsigned workers)
{
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
    strcpy(f->store, "/tmp/molt-test-XXXXXX");
    assert_non_null(mkdtemp(f->store));
    struct molt_sink sink = {fake_log, f};
    struct molt_code_config code = {.store = f->store, .sink = sink};
    struct molt_error err = {0};
    assert_int_equal(molt_code_new(&code, &f->code, &err), 0);
    struct molt_runtime_config config = {.code = f->code,
                                         .workers = workers,
                                         .sink = sink,
                                         .config_user = f,
                                         .on_root_exit = fake_root_exit};
    assert_int_equal(molt_runtime_new(&config, &f->rt, &err), 0);
    fake_here = f;
}

/* Stop what runs, and see that nothing is left. */
FAKE void fake_fini(struct fake *f)
{
    molt_runtime_stop(f->rt, FAKE_PATIENCE_MS);
    molt_runtime_free(f->rt);
    /* The worlds' versions are the test's. */
    for (struct molt_world *w = f->code->worlds; w; w = w->next_older)
        w->n_versions = 0;
    molt_code_free(f->code);
    rmdir(f->store);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    fake_here = NULL;
}

/* ---- running a function inside a process --------------------------------------------- */

/* A message with a function to run in the receiver. */
struct fake_job {
    void (*fn)(void *arg);
    void *arg;
    int done; /* counter to add to afterwards */
};
FAKE_TYPE(fake_job, struct fake_job, 0x10b);
struct fake_state {
    long n;
};
FAKE_TYPE(fake_state, struct fake_state, 0x57a7e);

FAKE int fake_run_job(struct fake_state *s, struct fake_job *job)
{
    (void)s;
    job->fn(job->arg);
    fake_add(job->done, 1);
    return 0;
}

/* A server whose casts of struct fake_job run a function. */
FAKE struct fake_server *fake_runner(struct fake_module *m, const char *name)
{
    struct fake_server *s = fake_server(m, name, &fake_state_type);
    fake_on(s, MOLT_HANDLER_CAST, &fake_job_type, MOLT_FN(fake_run_job));
    return s;
}

/* Send a job to @name; from a process or a registered thread. */
FAKE int fake_post(const char *name, void (*fn)(void *), void *arg, int done)
{
    struct fake_job *job = fake_new(struct fake_job, fake_job);
    if (!job)
        return MOLT_ENOMEM;
    *job = (struct fake_job){fn, arg, done};
    return molt_send(name, job);
}

#endif
