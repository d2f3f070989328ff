/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where preempted code is redirected to, on its own stack and outside of the
 * signal handler. sp is at a copy of the handler's signal frame, from which the
 * kernel loads all registers when yield() has returned; x0 is the thread, x1
 * the struct ucontext in that frame. The copy is above the sp of whatever
 * yield() does, for scans of the stack to find.
 *
 * The frame information says that this was called by the interrupted
 * instruction as a signal handler is; pc is column 32 (AADWARF64 4.1). Each
 * register is an expression: sp + 304 holds the fault's address, behind it come
 * x0 to x30, sp and pc.
 */
        .set    rt_sigreturn, 139
        .set    info_bytes, 128

        /* DW_CFA_expression reg, 3 bytes: DW_OP_breg31 at */
        .macro  saved reg, at
        .cfi_escape 0x10, \reg, 3, 0x8f, (\at & 0x7f) | 0x80, \at >> 7
        .endm

        .text
        .globl  molt_preempt_trampoline
        .hidden molt_preempt_trampoline
        .type   molt_preempt_trampoline, %function
        .p2align 4
        .cfi_startproc
        .cfi_signal_frame
        .cfi_return_column 32
        /* DW_CFA_def_cfa_expression: the interrupted sp */
        .cfi_escape 0x0f, 4, 0x8f, ((304 + 8 + 31 * 8) & 0x7f) | 0x80, (304 + 8 + 31 * 8) >> 7, 0x06
        .irp    reg, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
        saved   \reg, (304 + 8 + \reg * 8)
        .endr
        saved   32, (304 + 8 + 32 * 8)
        nop     /* unwinders look at the instruction before a return address */
molt_preempt_trampoline:
        bl      molt_preempt_yield
        mov     x8, #rt_sigreturn
        svc     #0
        .cfi_endproc
        .size   molt_preempt_trampoline, . - molt_preempt_trampoline

        .section .note.GNU-stack, "", %progbits
