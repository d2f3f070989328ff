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

/* String instructions, forwards and backwards; carry through a loop. */
static uint64_t k_strings(uint64_t rounds)
{
    unsigned char from[4096], to[4096];
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7);
    for (uint64_t r = 0; r < rounds / 1500 + 1; r++) {
        void *d = to, *s = from;
        size_t n = sizeof from;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        d = from + sizeof from - 1;
        s = to + sizeof to - 2;
        n = sizeof from - 1;
        __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc");
        from[0] = (unsigned char)(to[sizeof to - 1] + 1);
        uint64_t sum = 0, count = 500, one = r;
        __asm__ volatile("clc\n1:\tadcq %2, %0\n\trolq $5, %0\n\tadcq $3, %2\n\tdecq %1\n\tjnz 1b"
                         : "+r"(sum), "+r"(count), "+r"(one)
                         :
                         : "cc");
        h = mix(h, sum + one + from[100] + to[99]);
    }
    return h;
}

/* Rounding that is the callback's own for a while: other code isn't to see it,
 * and this code is to find it again. */
static uint64_t k_rounding(uint64_t rounds)
{
    double up = 0;
    unsigned mxcsr, before;
    __asm__ volatile("stmxcsr %0" : "=m"(before));
    mxcsr = before | 0x4000; /* towards +infinity */
    uint16_t cw_before, cw;
    __asm__ volatile("fnstcw %0" : "=m"(cw_before));
    cw = (uint16_t)((cw_before & ~0x0300) | 0x0800); /* single precision, up */
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(cw));
    volatile double third = 1.0, three = 3.0;
    for (uint64_t i = 0; i < rounds / 4 + 1; i++)
        up += third / three;
    volatile long double x = 1.0L, y = 3.0L;
    long double q = 0;
    for (uint64_t i = 0; i < rounds / 4 + 1; i++)
        q += x / y;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(before), "m"(cw_before));
    return mix(bits(up), bits((double)q));
}

/* Every register that there is holds a pattern while nothing happens. */
#ifdef __AVX512F__
#define VECTOR_BYTES 64
#define VECTORS 32
#define MOVE "vmovdqu64 "
#define NAME "%%zmm"
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define VECTORS 16
#define MOVE "vmovdqu "
#define NAME "%%ymm"
#else
#define VECTOR_BYTES 16
#define VECTORS 16
#define MOVE "movdqu "
#define NAME "%%xmm"
#endif

#define LOAD(i) MOVE #i "*%c[size](%[from]), " NAME #i "\n\t"
#define STORE(i) MOVE NAME #i ", " #i "*%c[size](%[to])\n\t"
#define ALL16(X)                                                                                   \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define UPPER16(X)                                                                                 \
    X(16)                                                                                          \
    X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)

static uint64_t k_registers(uint64_t rounds)
{
    static unsigned char from[VECTORS * VECTOR_BYTES], to[VECTORS * VECTOR_BYTES];
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)mix(i, 77);
    memset(to, 0, sizeof to);
    uint64_t n = rounds;
    __asm__ volatile(ALL16(LOAD)
#ifdef __AVX512F__
                         UPPER16(LOAD) "kmovw (%[from]), %%k1\n\t"
                                       "kmovw 6(%[from]), %%k7\n\t"
#endif
                                       "1:\tdecq %[n]\n\t"
                                       "jnz 1b\n\t" ALL16(STORE)
#ifdef __AVX512F__
                                           UPPER16(STORE) "kmovw %%k1, (%[to])\n\t"
                                                          "kmovw %%k7, 6(%[to])\n\t"
#endif
                     : [n] "+r"(n)
                     : [from] "r"(from), [to] "r"(to), [size] "i"(VECTOR_BYTES)
                     : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#ifdef __AVX512F__
                       ,
                       "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                       "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1",
                       "k7"
#endif
    );
    for (size_t i = 0; i < sizeof to; i++)
        h = mix(h, to[i] ^ (unsigned)(to[i] != from[i]) << 8);
    return h;
}

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
    for (int i = 0; i < 40; i++)
        h = h * 33 + *y; /* time is spent here, in module text */
    __asm__ volatile("" : : "r"(h));
    return (*x > *y) - (*x < *y);
}

static uint64_t k_qsort(uint64_t rounds)
{
    uint32_t v[256];
    uint64_t h = 1;
    for (uint64_t r = 0; r < rounds / 20000 + 1; r++) {
        for (int i = 0; i < 256; i++)
            v[i] = (uint32_t)(h = mix(h, (uint64_t)i));
        preempt_is_in_qsort = 1;
        qsort(v, 256, sizeof *v, by_value);
        preempt_is_in_qsort = 0;
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

/* ---- roots ------------------------------------------------------------------- */

/* Compute base + 8 * i in registers only, and wait there. What comes in is
 * inverted, so that no memory holds the values. */
uint64_t preempt_hold(uint64_t inverted, volatile int *stop)
{
    uint64_t base = inverted;
    __asm__ volatile("notq %%rax\n\t"
                     "leaq 8(%%rax), %%rbx\n\t"
                     "leaq 16(%%rax), %%r8\n\t"
                     "leaq 24(%%rax), %%r9\n\t"
                     "leaq 32(%%rax), %%r12\n\t"
                     "leaq 40(%%rax), %%r15\n\t"
                     "leaq 48(%%rax), %%rdx\n\t"
                     "movq %%rdx, %%xmm7\n\t"
                     "leaq 56(%%rax), %%rdx\n\t"
#ifdef __AVX512F__
                     "vpbroadcastq %%rdx, %%zmm29\n\t"
#else
                     "movq %%rdx, %%xmm6\n\t"
#endif
                     "xorl %%edx, %%edx\n\t"
                     "1:\tcmpl $0, (%[stop])\n\t"
                     "je 1b\n\t"
                     : "+a"(base)
                     : [stop] "r"(stop)
                     : "rbx", "rdx", "r8", "r9", "r12", "r15", "xmm6", "xmm7", "cc", "memory");
    return base;
}
