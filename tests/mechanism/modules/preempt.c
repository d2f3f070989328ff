/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Code that is preempted at any instruction: each kernel computes a checksum
 * that depends on every register that it uses, as often as it is told to.
 * Compiled several times, with the flags of the CPU's extensions.
 */
#include "preempt.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

volatile int preempt_is_in_qsort;

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static uint64_t bits(double d)
{
    uint64_t v;
    memcpy(&v, &d, sizeof v);
    return v;
}

/* Integers, flags and the red zone: a leaf. */
static uint64_t k_scalar(uint64_t rounds)
{
    uint64_t a = 88172645463325252u, b = 1, c = 2, d = 3, e = 5, f = 7;
    volatile uint64_t zone[6] = {1, 2, 3, 4, 5, 6};
    for (uint64_t i = 0; i < rounds; i++) {
        a ^= a << 13;
        a ^= a >> 7;
        a ^= a << 17;
        b += a * c + zone[i % 6];
        c ^= b >> 3;
        d += ((a << 11) | (a >> 53)) ^ c;
        e = e * 31 + d;
        f ^= e + b;
        zone[(i + 3) % 6] ^= f;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ zone[2];
}

static uint64_t k_double(uint64_t rounds)
{
    double x = 0.3, y = 1.7, z = -0.9, s = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        x = x * 3.7 * (1 - x);
        y = y * 0.999 + x / (1 + y * y);
        z = z * 0.5 + y * x - 0.25;
        s += x * y - z;
    }
    return bits(s) ^ bits(x) ^ bits(y) ^ bits(z);
}

/* Values that stay on the x87 register stack. */
static uint64_t k_x87(uint64_t rounds)
{
    long double x = 0.3L, y = 1.7L, z = -0.9L, s = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        x = x * 3.7L * (1 - x);
        y = y * 0.999L + x / (1 + y * y);
        z = z * 0.5L + y * x - 0.25L;
        s += x * y - z;
    }
    return bits((double)s) ^ mix(bits((double)x), bits((double)(y + z)));
}

/* What the vectoriser makes of it. */
static uint64_t k_vector(uint64_t rounds)
{
    static const int n = 509;
    float a[509], b[509];
    uint32_t c[509];
    for (int i = 0; i < n; i++) {
        a[i] = (float)i * 0.01f;
        b[i] = 1.0f / (float)(i + 1);
        c[i] = (uint32_t)i * 2654435761u;
    }
    for (uint64_t r = 0; r < rounds / 300 + 1; r++) {
        for (int i = 0; i < n; i++) {
            a[i] = a[i] * 0.75f + b[i] * 0.5f;
            b[i] = b[i] * 0.9f + 0.01f * a[i];
            c[i] = (c[i] << 3) ^ (c[i] >> 5) ^ (uint32_t)i;
        }
        for (int i = 0; i < n; i++)
            c[i] += a[i] > b[i] ? 3 : 5;
    }
    uint64_t h = 0;
    for (int i = 0; i < n; i++)
        h = mix(h, c[i] + bits((double)a[i]) + bits((double)b[i]));
    return h;
}

/* Prologues, epilogues, calls and returns. */
static __attribute__((noinline)) uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t k_calls(uint64_t rounds)
{
    uint64_t h = 0;
    for (uint64_t i = 0; i < rounds / 2000 + 1; i++)
        h = mix(h, fib(12 + i % 3));
    return h;
}

/* A stack that is realigned, and one of variable size: frame information with
 * expressions and registers. */
static __attribute__((noinline)) uint64_t realigned(uint64_t v, size_t n)
{
    __attribute__((aligned(64))) volatile uint64_t lines[16];
    unsigned char *room = __builtin_alloca(n);
    memset(room, (int)v, n);
    for (int i = 0; i < 16; i++)
        lines[i] = v + room[(size_t)i % n];
    uint64_t h = (uintptr_t)lines % 64;
    for (int i = 0; i < 16; i++)
        h = mix(h, lines[i]);
    return h;
}

static uint64_t k_frames(uint64_t rounds)
{
    uint64_t h = 0;
    for (uint64_t i = 0; i < rounds / 50 + 1; i++)
        h = mix(h, realigned(h, 16 + i % 5000));
    return h;
}

#ifdef __x86_64__
#include "preempt_x86_64.h"
#else
#include "preempt_aarch64.h"
#endif

/* libc under load: its own frames are never preempted, ours between them are. */
static uint64_t k_malloc(uint64_t rounds)
{
    uint64_t h = 0;
    void *kept[16] = {NULL};
    for (uint64_t i = 0; i < rounds / 40 + 1; i++) {
        h = mix(h, i);
        free(kept[h % 16]);
        kept[h % 16] = malloc(16 + h % 3000);
        memset(kept[h % 16], (int)i, 16);
    }
    for (int i = 0; i < 16; i++)
        free(kept[i]);
    return h;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    uint32_t h = *x;
    preempt_is_in_qsort = 1;
    for (int i = 0; i < 40; i++)
        h = h * 33 + *y; /* time is spent here, in module text */
    __asm__ volatile("" : : "r"(h));
    preempt_is_in_qsort = 0;
    return (*x > *y) - (*x < *y);
}

static uint64_t k_qsort(uint64_t rounds)
{
    uint32_t v[256];
    uint64_t h = 1;
    for (uint64_t r = 0; r < rounds / 20000 + 1; r++) {
        for (int i = 0; i < 256; i++)
            v[i] = (uint32_t)(h = mix(h, (uint64_t)i));
        qsort(v, 256, sizeof *v, by_value);
        for (int i = 0; i < 256; i++)
            h = mix(h, v[i]);
    }
    return h;
}

const struct preempt_kernel preempt_kernels[] = {
    {"scalar", k_scalar, 0},   {"double", k_double, 0},     {"x87", k_x87, 0},
    {"vector", k_vector, 0},   {"calls", k_calls, 0},       {"frames", k_frames, 0},
    {"strings", k_strings, 0}, {"rounding", k_rounding, 0}, {"registers", k_registers, 0},
    {"malloc", k_malloc, 0},   {"qsort", k_qsort, 1},       {NULL, NULL, 0},
};
