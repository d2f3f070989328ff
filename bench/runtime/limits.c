/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What two threads can do at all: the floor under every figure across cores. */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/runtime.h"
#include "tool/bench.h"

#define FUTEX_ROUNDS 20000
#define SPIN_ROUNDS 1000000

/* The ball is whose turn it is: 0 the one's, 1 the other's. */
struct game {
    atomic_uint turn;
    unsigned rounds, core;
    bool is_spinning;
};

static void bind_to(unsigned core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

/* Pairs with pass(): what the other one wrote is seen. */
static void wait_turn(struct game *g, unsigned mine)
{
    while (atomic_load_explicit(&g->turn, memory_order_acquire) != mine)
        if (!g->is_spinning)
            syscall(SYS_futex, &g->turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
}

static void pass(struct game *g, unsigned to)
{
    atomic_store_explicit(&g->turn, to, memory_order_release);
    if (!g->is_spinning)
        syscall(SYS_futex, &g->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other(void *argument)
{
    struct game *g = argument;
    bind_to(g->core);
    for (unsigned i = 0; i < g->rounds; i++) {
        wait_turn(g, 1);
        pass(g, 0);
    }
    return NULL;
}

static double play(unsigned rounds, unsigned core, bool is_spinning)
{
    struct game g = {.rounds = rounds, .core = core, .is_spinning = is_spinning};
    pthread_t thread;
    cpu_set_t before;
    sched_getaffinity(0, sizeof(before), &before);
    bind_to(0);
    if (pthread_create(&thread, NULL, other, &g) != 0)
        molt_bench_die("no thread");
    unsigned long began = molt_clock_ns();
    for (unsigned i = 0; i < rounds; i++) {
        pass(&g, 1);
        wait_turn(&g, 0);
    }
    double ns = (double)(molt_clock_ns() - began) / rounds;
    pthread_join(thread, NULL);
    sched_setaffinity(0, sizeof(before), &before);
    return ns;
}

void molt_rt_measure_limits(struct rt_limits *ret)
{
    *ret = (struct rt_limits){.futex_same_ns = play(FUTEX_ROUNDS, 0, false)};
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    ret->futex_across_ns = play(FUTEX_ROUNDS / 4, 1, false);
    ret->spin_ns = play(SPIN_ROUNDS, 1, true);
}
