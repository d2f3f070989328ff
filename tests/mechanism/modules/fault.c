/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Ways to fail, each one a function of module text. */
#include "fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero;
static void *volatile nothing;
static char words[] = "data isn't code"; /* not const: constants may lie beside code */

/* Another rounding, blocked signals, and what else the CPU has. */
static void leave_a_mess(void)
{
    sigset_t all;
#ifdef __x86_64__
    unsigned mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    mxcsr |= 0x6000;
    uint16_t cw = 0x0c3f;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1\n\tfldpi\n\tfldpi" : : "m"(mxcsr), "m"(cw));
#else
    __asm__ volatile("msr fpcr, %0" : : "r"(UINT64_C(0xc00000)));
#endif
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static int null_read(void *arg)
{
    (void)arg;
    return *(volatile int *)nothing;
}

#ifdef __x86_64__
#define SIGNAL_OF_TRAP SIGILL

static int divide(void *arg)
{
    (void)arg;
    volatile int one = 1;
    return one / zero;
}
#else
#define SIGNAL_OF_TRAP SIGTRAP /* and a division by zero is 0 */
#endif

static int trap(void *arg)
{
    (void)arg;
    __builtin_trap();
}

static int non_canonical(void *arg)
{
    (void)arg;
    volatile int *p = (volatile int *)(UINT64_C(0x8000000000000000) + (uintptr_t)nothing);
    return *p;
}

/* @arg is a page of a file, past its end. */
static int bus(void *arg)
{
    return *(volatile int *)arg;
}

/* The address of a local keeps it from becoming a loop. */
static __attribute__((noinline)) int deeper(volatile int *up)
{
    volatile int here = *up + 1;
    return deeper(&here) + here;
}

static int recurse(void *arg)
{
    (void)arg;
    return deeper(&zero);
}

/* Frames that are larger than the guard page: needs stack clash protection. */
#if defined(__x86_64__) || !defined(__clang__)
#define HAS_WIDE_FRAMES
static __attribute__((noinline)) int wider(volatile char *up)
{
    volatile char room[100000];
    room[0] = *up;
    room[sizeof room - 1] = 1;
    return wider(room) + room[0];
}

static int recurse_widely(void *arg)
{
    volatile char start = 0;
    (void)arg;
    return wider(&start);
}
#endif

static int call_nowhere(void *arg)
{
    int (*fn)(void) = (int (*)(void))(uintptr_t)(0x10 + (uintptr_t)nothing);
    (void)arg;
    return fn() + 1;
}

static int call_data(void *arg)
{
    int (*volatile fn)(void) = (int (*)(void))(uintptr_t)words;
    (void)arg;
    return fn() + 1;
}

static int copy_badly(void *arg)
{
    char *volatile to = nothing;
    (void)arg;
    memcpy(to, words, sizeof words - (size_t)zero);
    return to[1];
}

static int measure_badly(void *arg)
{
    const char *volatile text = nothing;
    (void)arg;
    return (int)strlen(text) + zero;
}

static int backwards(void *arg)
{
    (void)arg;
    char *to = nothing;
    size_t n = 8;
    leave_a_mess();
#ifdef __x86_64__
    __asm__ volatile("std\n\trep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
#else
    *(volatile char *)to = (char)n;
#endif
    return 0;
}

const struct fault_way fault_ways[] = {
    {"null read", null_read, MOLT_FAULT_ACCESS, SIGSEGV, 1},
#ifdef __x86_64__
    {"division by zero", divide, MOLT_FAULT_ARITHMETIC, SIGFPE, 1},
#endif
    {"trap", trap, MOLT_FAULT_INSTRUCTION, SIGNAL_OF_TRAP, 1},
    {"non-canonical address", non_canonical, MOLT_FAULT_ACCESS, SIGSEGV, 1},
    {"past the end of a file", bus, MOLT_FAULT_ACCESS, SIGBUS, 1},
    {"recursion", recurse, MOLT_FAULT_STACK, SIGSEGV, 1000},
#ifdef HAS_WIDE_FRAMES
    {"recursion of large frames", recurse_widely, MOLT_FAULT_STACK, SIGSEGV, 3},
#endif
    {"call of nowhere", call_nowhere, MOLT_FAULT_JUMP, SIGSEGV, 2},
    {"call of data", call_data, MOLT_FAULT_JUMP, SIGSEGV, 2},
    {"direction flag, rounding, mask", backwards, MOLT_FAULT_ACCESS, SIGSEGV, 1},
    {NULL, NULL, 0, 0, 0},
};

/* In functions of libc that keep nothing. */
const struct fault_way fault_leaf_ways[] = {
    {"memcpy", copy_badly, MOLT_FAULT_ACCESS, SIGSEGV, 2},
    {"strlen", measure_badly, MOLT_FAULT_ACCESS, SIGSEGV, 2},
    {NULL, NULL, 0, 0, 0},
};

/* ---- what is not to be contained ---------------------------------------------- */

static int compare_badly(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return *(volatile int *)nothing;
}

static int in_qsort(void *arg)
{
    int v[4] = {3, 2, 1, 0};
    (void)arg;
    qsort(v, 4, sizeof *v, compare_badly);
    return v[0];
}

static int in_free(void *arg)
{
    (void)arg;
    free((void *)(uintptr_t)0x10);
    return 0;
}

static int aborting(void *arg)
{
    (void)arg;
    abort();
}

static int raising(void *arg)
{
    (void)arg;
    raise(SIGSEGV);
    return 0;
}

static int in_smashed_stack(void *arg)
{
    (void)arg;
    volatile uintptr_t *frame = __builtin_frame_address(0);
    for (int i = 0; i < 64; i++)
        frame[i] = (uintptr_t)0x4141414141414140;
    return *(volatile int *)nothing;
}

const struct fault_way fault_fatal_ways[] = {
    {"qsort's callback", in_qsort, 0, SIGSEGV, 0},
    {"free", in_free, 0, SIGSEGV, 0},
    {"abort", aborting, 0, SIGABRT, 0},
    {"raise", raising, 0, SIGSEGV, 0},
    {"smashed stack", in_smashed_stack, 0, SIGSEGV, 0},
    {NULL, NULL, 0, 0, 0},
};
