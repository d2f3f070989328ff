/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The kernels of preempt.c that are written for x86-64. */

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
#ifdef __AVX512F__
#define UPPER_VECTORS(X) UPPER16(X)
#define LOAD_MASK(i) "kmovw 8*" #i "(%[from]), %%k" #i "\n\t"
#define STORE_MASK(i) "kmovw %%k" #i ", 8*" #i "(%[masks])\n\t"
#define MASKS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#else
#define UPPER_VECTORS(X)
#define MASKS(X)
#endif

/* The x87 stack, all of it. */
#define X87_VALUES 8
#define X87_BYTES 16
#define PUSH(i) "fldt " #i "*16(%[x87])\n\t"
#define POP(i) "fstpt " #i "*16(%[x87])\n\t"
#define UP8(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define DOWN8(X) X(7) X(6) X(5) X(4) X(3) X(2) X(1) X(0)

static uint64_t k_registers(uint64_t rounds)
{
    static unsigned char from[VECTORS * VECTOR_BYTES], to[VECTORS * VECTOR_BYTES];
    static uint64_t masks[8];
    static long double x87[X87_VALUES], expected[X87_VALUES];
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)mix(i, 77);
    memset(to, 0, sizeof to);
    memset(masks, 0, sizeof masks);
    for (size_t i = 0; i < X87_VALUES; i++)
        x87[i] = expected[i] = 1.0L / (long double)(i + 3);
    uint64_t n = rounds;
    __asm__ volatile(ALL16(LOAD) UPPER_VECTORS(LOAD) MASKS(LOAD_MASK)
                         UP8(PUSH) "1:\tdecq %[n]\n\t"
                                   "jnz 1b\n\t" ALL16(STORE) UPPER_VECTORS(STORE) MASKS(STORE_MASK)
                                       DOWN8(POP)
                     : [n] "+r"(n)
                     : [from] "r"(from), [to] "r"(to), [size] "i"(VECTOR_BYTES), [x87] "r"(x87),
                       [masks] "r"(masks)
                     : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#ifdef __AVX512F__
                       ,
                       "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                       "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1",
                       "k2", "k3", "k4", "k5", "k6", "k7"
#endif
    );
    for (size_t i = 0; i < sizeof to; i++)
        h = mix(h, to[i] ^ (unsigned)(to[i] != from[i]) << 8);
    for (size_t i = 0; i < X87_VALUES; i++)
        h = mix(h, bits((double)x87[i]) ^ (x87[i] != expected[i]));
    for (size_t i = 0; i < 8; i++)
        h = mix(h, masks[i]);
    return h;
}

/* Compute base + 8 * i in registers only, one after the other, and wait there. What
 * comes in is inverted, so that no memory holds the values. What comes out is base,
 * if all of them are still there. */
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
#ifdef __AVX512F__
                     "vmovdqa64 %%zmm29, %%zmm6\n\t"
#endif
                     "leaq -8(%%rbx), %%rdx\n\t"
                     "xorq %%rax, %%rdx\n\t" /* differences, gathered in rdx */
#define GATHER(register, offset)                                                                   \
    "leaq -" #offset "(%%" #register "), %%rbx\n\t"                                                \
                                     "xorq %%rax, %%rbx\n\torq %%rbx, %%rdx\n\t"
                     GATHER(r8, 16) GATHER(r9, 24) GATHER(r12, 32)
                         GATHER(r15, 40) "movq %%xmm7, %%r8\n\t" GATHER(
                             r8, 48) "movq %%xmm6, %%r8\n\t" GATHER(r8, 56) "addq %%rdx, %%rax\n\t"
#ifdef __AVX512F__
                                                                            "vzeroupper\n\t"
#endif
                     : "+a"(base)
                     : [stop] "r"(stop)
                     : "rbx", "rdx", "r8", "r9", "r12", "r15", "xmm6", "xmm7",
#ifdef __AVX512F__
                       "xmm29",
#endif
                       "cc", "memory");
#undef GATHER
    return base;
}
