/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The entry into module code for x86-64, System V ABI. A walk over frames ends
 * at molt_flow_return with the sp that is noted here, which is the callee's CFA.
 */
        .text

/* intptr_t molt_flow_call(flow, fn, a, b, c, d) */
        .globl  molt_flow_call
        .hidden molt_flow_call
        .type   molt_flow_call, @function
        .p2align 4
molt_flow_call:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        movq    %rdi, %rbx
        movq    %rsi, %r11
        movq    %rdx, %rdi
        movq    %rcx, %rsi
        movq    %r8, %rdx
        movq    %r9, %rcx
        xorl    %eax, %eax
        movq    %rsp, (%rbx)
        call    *%r11
        .globl  molt_flow_return
        .hidden molt_flow_return
molt_flow_return:
        movq    $0, (%rbx)
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        ret
        .cfi_endproc
        .size   molt_flow_call, . - molt_flow_call

        .section .note.GNU-stack, "", @progbits
