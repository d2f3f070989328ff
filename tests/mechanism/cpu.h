/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What tests of preemption and crash containment do in assembler.
 *
 * Threads: the caller's.
 */
#ifndef MOLT_TESTS_MECHANISM_CPU_H
#define MOLT_TESTS_MECHANISM_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __x86_64__

static inline bool cpu_has(const char *extension)
{
    if (strcmp(extension, "avx512f") == 0)
        return __builtin_cpu_supports("avx512f");
    return strcmp(extension, "avx2") == 0 && __builtin_cpu_supports("avx2");
}

/* Flags that the ABI wants to be clear at each call. */
static inline uint64_t cpu_flags(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    return flags & 0x400;
}

/* Everything that a callee may change, changed. */
static inline void cpu_spoil_registers(void)
{
    static const unsigned char junk[64] = {0x5a, 0xa5, 0x3c};
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile(".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
                         "25,26,27,28,29,30,31\n\tvmovdqu64 (%0), %%zmm\\r\n\t.endr\n\t"
                         ".irp r,1,2,3,4,5,6,7\n\tkmovw (%0), %%k\\r\n\t.endr\n\tvzeroupper"
                         :
                         : "r"(junk)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    else if (__builtin_cpu_supports("avx2"))
        __asm__ volatile(".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                         "vmovdqu (%0), %%ymm\\r\n\t.endr\n\tvzeroupper"
                         :
                         : "r"(junk)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    __asm__ volatile("fninit\n\tfldpi\n\tfldpi\n\tfldl2e\n\tfninit" : : : "memory");
    __asm__ volatile("xorl %%eax, %%eax\n\tmovl $-1, %%ecx\n\tmovl $-2, %%edx\n\t"
                     "movl $-3, %%esi\n\tmovl $-4, %%edi\n\tmovl $-5, %%r8d\n\tmovl $-6, %%r9d\n\t"
                     "movl $-7, %%r10d\n\tmovl $-8, %%r11d"
                     :
                     :
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
    volatile double x = 1.0, y = 3.0;
    x = x / y; /* inexact: sticky flags */
}

#else

static inline bool cpu_has(const char *extension)
{
    (void)extension;
    return false;
}

static inline uint64_t cpu_flags(void)
{
    return 0;
}

/* Everything that a callee may change, changed. */
static inline void cpu_spoil_registers(void)
{
    __asm__ volatile("movi v0.16b, #1\n\t"
                     "movi v1.16b, #2\n\t"
                     "movi v2.16b, #3\n\t"
                     "movi v3.16b, #4\n\t"
                     "movi v4.16b, #5\n\t"
                     "movi v5.16b, #6\n\t"
                     "movi v6.16b, #7\n\t"
                     "movi v7.16b, #8\n\t"
                     "movi v8.16b, #9\n\t"
                     "movi v9.16b, #10\n\t"
                     "movi v10.16b, #11\n\t"
                     "movi v11.16b, #12\n\t"
                     "movi v12.16b, #13\n\t"
                     "movi v13.16b, #14\n\t"
                     "movi v14.16b, #15\n\t"
                     "movi v15.16b, #16\n\t"
                     "movi v16.16b, #17\n\t"
                     "movi v17.16b, #18\n\t"
                     "movi v18.16b, #19\n\t"
                     "movi v19.16b, #20\n\t"
                     "movi v20.16b, #21\n\t"
                     "movi v21.16b, #22\n\t"
                     "movi v22.16b, #23\n\t"
                     "movi v23.16b, #24\n\t"
                     "movi v24.16b, #25\n\t"
                     "movi v25.16b, #26\n\t"
                     "movi v26.16b, #27\n\t"
                     "movi v27.16b, #28\n\t"
                     "movi v28.16b, #29\n\t"
                     "movi v29.16b, #30\n\t"
                     "movi v30.16b, #31\n\t"
                     "movi v31.16b, #32\n\t"
                     "mov x0, #77\n\t"
                     "mov x1, #78\n\t"
                     "mov x2, #79\n\t"
                     "mov x3, #80\n\t"
                     "mov x4, #81\n\t"
                     "mov x5, #82\n\t"
                     "mov x6, #83\n\t"
                     "mov x7, #84\n\t"
                     "mov x8, #85\n\t"
                     "mov x9, #86\n\t"
                     "mov x10, #87\n\t"
                     "mov x11, #88\n\t"
                     "mov x12, #89\n\t"
                     "mov x13, #90\n\t"
                     "mov x14, #91\n\t"
                     "mov x15, #92\n\t"
                     "mov x16, #93\n\t"
                     "mov x17, #94\n\t"
                     "cmp xzr, xzr"
                     :
                     :
                     : "cc", "memory", "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",
                       "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "v0", "v1", "v2",
                       "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
                       "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                       "v26", "v27", "v28", "v29", "v30", "v31");
    volatile double x = 1.0, y = 3.0;
    x = x / y; /* inexact: sticky flags */
}

#endif

#endif
