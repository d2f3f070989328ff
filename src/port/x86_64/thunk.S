/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Stubs for slots that a world doesn't define, and for threads without a
 * world. They are entered by a thunk's tail jump, so on entry the stack is as
 * after a call and %r10d holds the slot (docs/design/worlds.md). They answer
 * with zeroes in every register that the System V psABI returns values in
 * (3.2.3: rax, rdx, xmm0, xmm1).
 *
 * A function that returns a struct in memory gets its address in %rdi and must
 * hand it back in %rax; the stub asks molt_thunk_fail() for what to return, as
 * only the interface object knows the return's size.
 */
    .text

    .macro stub name, is_outside
    .globl \name
    .hidden \name
    .type \name, @function
    .p2align 4
\name:
    .cfi_startproc
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movq %rdi, %rdx
    movl %r10d, %edi
    movl $\is_outside, %esi
    call molt_thunk_fail
    xorl %edx, %edx
    pxor %xmm0, %xmm0
    pxor %xmm1, %xmm1
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    stub molt_thunk_undef, 0
    stub molt_thunk_outside, 1

    .section .note.GNU-stack, "", @progbits
