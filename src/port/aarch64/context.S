/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Context switch for AArch64: x19 to x29, the link register x30 and the lower
 * halves of v8 to v15 belong to the caller (AAPCS64 6.1.1, 6.1.2); sp is a
 * multiple of 16 wherever it is used to access memory (6.4.5.1).
 *
 * It leaves by ret, which needs no landing pad, so that it would work in a
 * guarded page. The object as a whole doesn't claim BTI, and x30 is saved as it
 * is, not signed: molt's scan for return addresses compares plain words.
 */
        .set    frame_bytes, 160

        .text

/* void molt_context_swap(void **save_sp, void *to_sp) */
        .globl  molt_context_swap
        .hidden molt_context_swap
        .type   molt_context_swap, %function
        .p2align 4
molt_context_swap:
        .cfi_startproc
        sub     sp, sp, #frame_bytes
        .cfi_adjust_cfa_offset frame_bytes
        stp     x19, x20, [sp, #0]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        stp     x21, x22, [sp, #16]
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        stp     x23, x24, [sp, #32]
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        stp     x25, x26, [sp, #48]
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        stp     x27, x28, [sp, #64]
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152
        mov     x2, sp
        str     x2, [x0]
        /* The other stack has the same frame at its end, so the rules stand. */
        mov     sp, x1
        ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x29, x30, [sp, #80]
        ldp     x27, x28, [sp, #64]
        ldp     x25, x26, [sp, #48]
        ldp     x23, x24, [sp, #32]
        ldp     x21, x22, [sp, #16]
        ldp     x19, x20, [sp, #0]
        add     sp, sp, #frame_bytes
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        ret
        .cfi_endproc
        .size   molt_context_swap, . - molt_context_swap

/*
 * First frame of a context. x19 holds the struct molt_context. Its caller's
 * frame is found through context->caller->sp, where molt_context_swap left the
 * registers: CFA = *(*(x19 + 8)) + 160.
 */
        .globl  molt_context_start
        .hidden molt_context_start
        .type   molt_context_start, %function
        .p2align 4
molt_context_start:
        .cfi_startproc
        .cfi_escape 0x0f, 7, 0x83, 8, 0x06, 0x06, 0x23, 0xa0, 0x01
        .cfi_offset x19, -160
        .cfi_offset x20, -152
        .cfi_offset x21, -144
        .cfi_offset x22, -136
        .cfi_offset x23, -128
        .cfi_offset x24, -120
        .cfi_offset x25, -112
        .cfi_offset x26, -104
        .cfi_offset x27, -96
        .cfi_offset x28, -88
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        .cfi_offset d8, -64
        .cfi_offset d9, -56
        .cfi_offset d10, -48
        .cfi_offset d11, -40
        .cfi_offset d12, -32
        .cfi_offset d13, -24
        .cfi_offset d14, -16
        .cfi_offset d15, -8
        mov     x0, x19
        bl      molt_context_main
        brk     #1
        .cfi_endproc
        .size   molt_context_start, . - molt_context_start

        .section .note.GNU-stack, "", %progbits
