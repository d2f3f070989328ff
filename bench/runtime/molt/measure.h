/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What every measurement of this app needs: its request, the search for a number
 * of operations that takes long enough, the clocks, and the answer. Peers do
 * the same in the same way (../peers).
 *
 * A request is "/FIGURE?n=N&ms=MS&at=PLACE", its answer "result KEY=VALUE ...",
 * or "error TEXT".
 *
 * Threads: the process of a connection.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <molt/http.h>

struct measure {
    struct molt_http *request;
    uint64_t n;                   /* the number that cost is plotted over */
    uint64_t target_ns;           /* a run that counts takes at least 0.8 of this */
    bool is_across;               /* partners on two workers */
    unsigned runs;                /* so far */
    uint64_t ops;                 /* to do in this run */
    uint64_t done_ops;            /* in the last one */
    uint64_t wall_ns, cpu_ns;     /* of the last one */
    uint64_t began_ns, began_cpu; /* of the running one */
};

/* Ask a process for its thread, to see on which worker it is. */
struct where {
    int unused;
};
struct here {
    uint64_t thread;
};

/* "That is done", from whom a referee waits for. */
struct finished {
    int unused;
};

/* The answer of a referee: when it ended, by its own clock. */
struct outcome {
    uint64_t wall_ns, cpu_ns;
};

static inline uint64_t measure_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t measure_now(void)
{
    return measure_clock(CLOCK_MONOTONIC);
}

/* Of all threads. */
static inline uint64_t measure_cpu(void)
{
    return measure_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static inline uint64_t measure_number(const struct molt_http *r, const char *key, uint64_t fallback)
{
    const char *at = strstr(molt_http_query(r), key);
    return at ? strtoull(at + strlen(key), NULL, 10) : fallback;
}

static inline struct measure measure_begin(struct molt_http *r)
{
    return (struct measure){.request = r,
                            .n = measure_number(r, "n=", 1),
                            .target_ns = measure_number(r, "ms=", 500) * 1000000,
                            .is_across = strstr(molt_http_query(r), "at=across")};
}

/* Is another run needed? The first ones are short: they find how many
 * operations are long enough, and warm up. Only the last one counts, and never
 * the first, which waits for what was started just before. */
static inline bool measure_next(struct measure *m)
{
    if (m->runs++ >= 2 && m->wall_ns >= m->target_ns - m->target_ns / 5)
        return false;
    double factor = m->wall_ns ? 1.1 * (double)m->target_ns / (double)m->wall_ns : 1;
    factor = factor > 10 ? 10 : factor;
    m->ops = m->ops ? (uint64_t)((double)m->ops * factor) + 1 : 100;
    return true;
}

static inline void measure_start(struct measure *m)
{
    m->began_cpu = measure_cpu();
    m->began_ns = measure_now();
}

/* @ops may differ from what was asked for: numbers are divided. */
static inline void measure_stop(struct measure *m, uint64_t ops)
{
    m->wall_ns = measure_now() - m->began_ns;
    m->cpu_ns = measure_cpu() - m->began_cpu;
    m->done_ops = ops;
}

static inline int measure_answer(const struct measure *m)
{
    return molt_http_printf(m->request, 200, "result ops=%llu wall_ns=%llu cpu_ns=%llu\n",
                            (unsigned long long)m->done_ops, (unsigned long long)m->wall_ns,
                            (unsigned long long)m->cpu_ns);
}

static inline int measure_fail(const struct measure *m, const char *what, int rc)
{
    return molt_http_printf(m->request, 200, "error %s: %s\n", what, molt_error_text(rc));
}

/* Resident bytes of the host. */
static inline uint64_t measure_resident(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* For handlers of MOLT_CALL(struct where, ...). */
static inline int measure_tell(const struct molt_from *from)
{
    struct here *here = molt_new(struct here);
    if (!here)
        return MOLT_ENOMEM;
    here->thread = (uint64_t)pthread_self();
    return molt_reply(from, here);
}

static inline uint64_t measure_thread_of(molt_pid pid)
{
    struct here *here = NULL;
    struct where *where = molt_new(struct where);
    if (!where || molt_call_pid(pid, where, &here, 10000) < 0)
        return 0;
    uint64_t thread = here->thread;
    molt_free(here);
    return thread;
}

#define MEASURE_CROWD 512

/* A process of @server, which handles struct where, on another worker than
 * process @other. The runtime decides where processes run: it may be the worker
 * of whoever starts them, until another one that has nothing to do takes some.
 * So a crowd is started, one that landed elsewhere is kept, the others end.
 * MOLT_ELIMIT if none does. */
static inline int measure_spawn_across(const char *server, molt_pid other, molt_pid *ret)
{
    molt_pid crowd[MEASURE_CROWD];
    uint64_t thread = measure_thread_of(other);
    *ret = 0;
    for (int attempt = 0; attempt < 16 && thread && !*ret; attempt++) {
        for (int i = 0; i < MEASURE_CROWD; i++) {
            int rc = molt_spawn(server, NULL, NULL, &crowd[i]);
            if (rc < 0)
                return rc;
        }
        for (int i = 0; i < MEASURE_CROWD; i++) {
            uint64_t found = *ret ? thread : measure_thread_of(crowd[i]);
            if (found && found != thread)
                *ret = crowd[i];
            else
                molt_exit(crowd[i], 0);
        }
    }
    return *ret ? 0 : MOLT_ELIMIT;
}

/* Were they where they should be to the end? MOLT_ESTALE if the runtime moved
 * one of them beside the other. */
static inline int measure_check(const struct measure *m, molt_pid a, molt_pid b)
{
    return !m->is_across || measure_thread_of(a) != measure_thread_of(b) ? 0 : MOLT_ESTALE;
}

#endif
