/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The kernels of preempt.c that are written for AArch64. */

/* Pairs with write-back; carry through a loop. */
static uint64_t k_strings(uint64_t rounds)
{
    unsigned char from[4096], to[4096];
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7);
    for (uint64_t r = 0; r < rounds / 1500 + 1; r++) {
        void *d = to, *s = from;
        size_t n = sizeof from;
        __asm__ volatile("1:\tldp x9, x10, [%1], #16\n\tstp x9, x10, [%0], #16\n\t"
                         "subs %2, %2, #16\n\tb.ne 1b"
                         : "+r"(d), "+r"(s), "+r"(n)
                         :
                         : "memory", "cc", "x9", "x10");
        from[0] = (unsigned char)(to[sizeof to - 1] + 1);
        uint64_t sum = 0, count = 500, one = r;
        __asm__ volatile("cmn xzr, xzr\n1:\tadcs %0, %0, %2\n\tror %0, %0, #59\n\t"
                         "adcs %2, %2, %3\n\tsub %1, %1, #1\n\tcbnz %1, 1b"
                         : "+r"(sum), "+r"(count), "+r"(one)
                         : "r"(UINT64_C(0x9000000000000003))
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
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | UINT64_C(0x400000))); /* to +infinity */
    volatile double third = 1.0, three = 3.0;
    for (uint64_t i = 0; i < rounds / 4 + 1; i++)
        up += third / three;
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
    return mix(bits(up), 1);
}

/* Every register that there is holds a pattern while nothing happens. */
static uint64_t k_registers(uint64_t rounds)
{
    static unsigned char from[32 * 16], to[32 * 16];
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)mix(i, 77);
    memset(to, 0, sizeof to);
    uint64_t n = rounds;
    __asm__ volatile("ldr q0, [%[from], #0]\n\t"
                     "ldr q1, [%[from], #16]\n\t"
                     "ldr q2, [%[from], #32]\n\t"
                     "ldr q3, [%[from], #48]\n\t"
                     "ldr q4, [%[from], #64]\n\t"
                     "ldr q5, [%[from], #80]\n\t"
                     "ldr q6, [%[from], #96]\n\t"
                     "ldr q7, [%[from], #112]\n\t"
                     "ldr q8, [%[from], #128]\n\t"
                     "ldr q9, [%[from], #144]\n\t"
                     "ldr q10, [%[from], #160]\n\t"
                     "ldr q11, [%[from], #176]\n\t"
                     "ldr q12, [%[from], #192]\n\t"
                     "ldr q13, [%[from], #208]\n\t"
                     "ldr q14, [%[from], #224]\n\t"
                     "ldr q15, [%[from], #240]\n\t"
                     "ldr q16, [%[from], #256]\n\t"
                     "ldr q17, [%[from], #272]\n\t"
                     "ldr q18, [%[from], #288]\n\t"
                     "ldr q19, [%[from], #304]\n\t"
                     "ldr q20, [%[from], #320]\n\t"
                     "ldr q21, [%[from], #336]\n\t"
                     "ldr q22, [%[from], #352]\n\t"
                     "ldr q23, [%[from], #368]\n\t"
                     "ldr q24, [%[from], #384]\n\t"
                     "ldr q25, [%[from], #400]\n\t"
                     "ldr q26, [%[from], #416]\n\t"
                     "ldr q27, [%[from], #432]\n\t"
                     "ldr q28, [%[from], #448]\n\t"
                     "ldr q29, [%[from], #464]\n\t"
                     "ldr q30, [%[from], #480]\n\t"
                     "ldr q31, [%[from], #496]\n\t"
                     "1:\tsub %[n], %[n], #1\n\tcbnz %[n], 1b\n\t"
                     "str q0, [%[to], #0]\n\t"
                     "str q1, [%[to], #16]\n\t"
                     "str q2, [%[to], #32]\n\t"
                     "str q3, [%[to], #48]\n\t"
                     "str q4, [%[to], #64]\n\t"
                     "str q5, [%[to], #80]\n\t"
                     "str q6, [%[to], #96]\n\t"
                     "str q7, [%[to], #112]\n\t"
                     "str q8, [%[to], #128]\n\t"
                     "str q9, [%[to], #144]\n\t"
                     "str q10, [%[to], #160]\n\t"
                     "str q11, [%[to], #176]\n\t"
                     "str q12, [%[to], #192]\n\t"
                     "str q13, [%[to], #208]\n\t"
                     "str q14, [%[to], #224]\n\t"
                     "str q15, [%[to], #240]\n\t"
                     "str q16, [%[to], #256]\n\t"
                     "str q17, [%[to], #272]\n\t"
                     "str q18, [%[to], #288]\n\t"
                     "str q19, [%[to], #304]\n\t"
                     "str q20, [%[to], #320]\n\t"
                     "str q21, [%[to], #336]\n\t"
                     "str q22, [%[to], #352]\n\t"
                     "str q23, [%[to], #368]\n\t"
                     "str q24, [%[to], #384]\n\t"
                     "str q25, [%[to], #400]\n\t"
                     "str q26, [%[to], #416]\n\t"
                     "str q27, [%[to], #432]\n\t"
                     "str q28, [%[to], #448]\n\t"
                     "str q29, [%[to], #464]\n\t"
                     "str q30, [%[to], #480]\n\t"
                     "str q31, [%[to], #496]\n\t"
                     : [n] "+r"(n)
                     : [from] "r"(from), [to] "r"(to)
                     : "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
                       "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",
                       "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
    for (size_t i = 0; i < sizeof to; i++)
        h = mix(h, to[i] ^ (unsigned)(to[i] != from[i]) << 8);
    return h;
}

/* Compute base + 8 * i in registers only, one after the other, and wait there. What
 * comes in is inverted, so that no memory holds the values. What comes out is base,
 * if all of them are still there. */
uint64_t preempt_hold(uint64_t inverted, volatile int *stop)
{
    uint64_t base;
    __asm__ volatile("mvn x0, %[inverted]\n\t"
                     "add x9, x0, #8\n\t"
                     "add x16, x0, #16\n\t"
                     "add x17, x0, #24\n\t"
                     "add x19, x0, #32\n\t"
                     "add x28, x0, #40\n\t"
                     "add x10, x0, #48\n\t"
                     "fmov d7, x10\n\t"
                     "add x10, x0, #56\n\t"
                     "mov v29.d[1], x10\n\t"
                     "mov x10, #0\n\t"
                     "1:\tldr w11, [%[stop]]\n\t"
                     "cbz w11, 1b\n\t"
                     "mov x10, #0\n\t" /* differences */
#define GATHER(register, offset)                                                                   \
    "sub x11, " #register ", #" #offset "\n\teor x11, x11, x0\n\torr x10, x10, x11\n\t"
                     GATHER(x9, 8) GATHER(x16, 16) GATHER(x17, 24) GATHER(x19, 32)
                         GATHER(x28, 40) "fmov x9, d7\n\t" GATHER(
                             x9, 48) "mov x9, v29.d[1]\n\t" GATHER(x9, 56) "add %[base], x0, x10"
                     : [base] "=&r"(base)
                     : [inverted] "r"(inverted), [stop] "r"(stop)
                     : "x0", "x9", "x10", "x11", "x16", "x17", "x19", "x28", "v7", "v29", "cc",
                       "memory");
#undef GATHER
    return base;
}
