/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Stubs for slots that a world doesn't define, and for threads without a
 * world. They are entered by a thunk's tail jump, so on entry the stack and x30
 * are as after a call and w9 holds the slot (docs/design/worlds.md). They
 * answer with zeroes in every register that the AAPCS64 returns values in (6.9:
 * x0 and x1, v0 to v3).
 *
 * A function that returns a struct in memory gets its address in x8 and needn't
 * hand it back; molt_thunk_fail() zeroes it, as only the interface object knows
 * its size.
 */
        .text

        .macro  stub name, is_outside
        .globl  \name
        .hidden \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        stp     x29, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        mov     w0, w9
        mov     w1, #\is_outside
        mov     x2, x8
        bl      molt_thunk_fail
        mov     x0, #0
        mov     x1, #0
        movi    v0.2d, #0
        movi    v1.2d, #0
        movi    v2.2d, #0
        movi    v3.2d, #0
        ldp     x29, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   \name, . - \name
        .endm

        stub    molt_thunk_undef, 0
        stub    molt_thunk_outside, 1

        .section .note.GNU-stack, "", %progbits
