/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The entry into module code for AArch64 (AAPCS64 6.4). Walks over frames end at
 * molt_flow_return with the sp that is noted here.
 */
        .text

/* intptr_t molt_flow_call(flow, fn, a, b, c, d) */
        .globl  molt_flow_call
        .hidden molt_flow_call
        .type   molt_flow_call, %function
        .p2align 4
molt_flow_call:
        .cfi_startproc
        stp     x29, x30, [sp, #-32]!
        .cfi_adjust_cfa_offset 32
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        str     x19, [sp, #16]
        .cfi_rel_offset x19, 16
        mov     x19, x0
        mov     x9, x1
        mov     x0, x2
        mov     x1, x3
        mov     x2, x4
        mov     x3, x5
        mov     x10, sp
        str     x10, [x19]
        blr     x9
        .globl  molt_flow_return
        .hidden molt_flow_return
molt_flow_return:
        str     xzr, [x19]
        ldr     x19, [sp, #16]
        .cfi_restore x19
        ldp     x29, x30, [sp], #32
        .cfi_adjust_cfa_offset -32
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   molt_flow_call, . - molt_flow_call

        .section .note.GNU-stack, "", %progbits
