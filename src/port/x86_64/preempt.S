/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where preempted code is redirected to, on its own stack and outside of the
 * signal handler. The handler (interrupted.c) left, from the interrupted rsp
 * downwards: the red zone of 128 bytes (psABI 3.2.2), which stays untouched, and
 *
 *      152(%rbp)  pc                  as seen once all registers are pushed
 *      144        components to save, a mask for XSAVE; 0: the CPU has none
 *      136        bytes of the XSAVE area
 *      128        the struct molt_preempt_thread
 *      120        flags
 *      112 ... 0  rax, rcx, rdx, rbx, rsi, rdi, rbp, r8 to r15
 *
 * Below comes the XSAVE area, aligned to 64 (SDM volume 1, 13.4). All of it is
 * above the sp of whatever yield() does, for scans of the stack to find.
 *
 * The frame information says that this was called by the interrupted
 * instruction as a signal handler is: debuggers and our own unwinder see it so.
 */
#define RED_ZONE 128

        .text
        .globl  molt_preempt_trampoline
        .hidden molt_preempt_trampoline
        .type   molt_preempt_trampoline, @function
        .p2align 4
molt_preempt_trampoline:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa rsp, 32 + RED_ZONE
        .cfi_offset rip, -8 - RED_ZONE
        pushfq
        .cfi_adjust_cfa_offset 8
        .irp    reg, rax, rcx, rdx, rbx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        pushq   %\reg
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \reg, 0
        .endr
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        cld                             /* psABI 3.2.1: clear at each call */
        subq    136(%rbp), %rsp
        andq    $-64, %rsp
        movl    144(%rbp), %eax
        movl    148(%rbp), %edx
        testl   %eax, %eax
        jz      1f
        /* XRSTOR wants the header's reserved bytes to be zero, and XSAVE
         * doesn't write them (SDM volume 1, 13.4.2). */
        xorl    %ecx, %ecx
        .irp    at, 512, 520, 528, 536, 544, 552, 560, 568
        movq    %rcx, \at(%rsp)
        .endr
        xsave64 (%rsp)
        testb   $4, %al
        jz      2f
        vzeroupper                      /* mixing with SSE code would be slow */
        jmp     2f
1:      fxsave64 (%rsp)
2:      fninit                          /* psABI 3.2.1: the x87 stack is empty at calls */
        movq    128(%rbp), %rdi
        call    molt_preempt_yield
        movl    144(%rbp), %eax
        movl    148(%rbp), %edx
        testl   %eax, %eax
        jz      3f
        xrstor64 (%rsp)
        jmp     4f
3:      fxrstor64 (%rsp)
4:      movq    %rbp, %rsp
        .cfi_def_cfa_register rsp
        .irp    reg, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rbx, rdx, rcx, rax
        popq    %\reg
        .cfi_adjust_cfa_offset -8
        .cfi_restore \reg
        .endr
        popfq
        .cfi_adjust_cfa_offset -8
        leaq    24(%rsp), %rsp          /* unlike add it keeps the flags */
        .cfi_adjust_cfa_offset -24
        ret     $RED_ZONE
        .cfi_endproc
        .size   molt_preempt_trampoline, . - molt_preempt_trampoline

        .section .note.GNU-stack, "", @progbits
