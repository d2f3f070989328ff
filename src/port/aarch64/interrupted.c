/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A redirected thread finds a copy of its signal frame on its own stack and goes
 * on in preempt.S, outside of the handler, which in the end has the kernel load
 * that copy: no instruction of this CPU can load all registers and jump
 * elsewhere, and what the frame holds (vectors of any length) is complete.
 */
#include "port/interrupted.h"

#include <asm/sigcontext.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "port/context_drop.h"
#include "port/preempt.h"
#include "port/sanitize.h"
#include "port/unwind.h"

void molt_preempt_trampoline(void); /* preempt.S */
void molt_preempt_yield(struct molt_preempt_thread *thread, ucontext_t *uc);

/* What rt_sigreturn() loads at sp (linux/arch/arm64/kernel/signal.c). */
struct signal_frame {
    siginfo_t info;
    ucontext_t uc;
};

/* preempt.S knows it, and that registers follow the fault's address there. */
_Static_assert(sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext) == 304, "see preempt.S");

#define PSTATE_BTYPE UINT64_C(0xc00) /* of an indirect branch that is under way */

/* Exception classes of an attempt to run code (ARM ARM, ESR_EL1.EC). */
#define ESR_CLASS(esr) ((esr) >> 26 & 0x3f)
#define CLASS_FETCH_ABORT 0x20
#define CLASS_PC_ALIGNMENT 0x22

/* Sticky flags and modes that nobody sets are not a setting: rounding, flush to
 * zero, default NaN, traps. */
#define FPCR_SETTINGS UINT64_C(0x07c89f00)

bool molt_interrupted_is_supported(void)
{
    return true;
}

/* ---- floating point -------------------------------------------------------- */

void molt_float_control_get(struct molt_float_control *ret)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    ret->words[0] = (uint32_t)(fpcr & FPCR_SETTINGS);
    ret->words[1] = 0;
}

static void set_float_control(const struct molt_float_control *control)
{
    uint64_t fpcr = control->words[0];
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
}

/* Called by the trampoline. @uc is what goes on afterwards; signals that the
 * thread blocks or lets through by then stay so. */
void molt_preempt_yield(struct molt_preempt_thread *thread, ucontext_t *uc)
{
    set_float_control(&thread->control);
    thread->hooks->yield(thread->user);
    pthread_sigmask(SIG_BLOCK, NULL, &uc->uc_sigmask);
}

/* ---- records of a signal frame ------------------------------------------------ */

/* The one with @magic among the records that follow the registers; NULL: none
 * (linux/arch/arm64 uapi sigcontext.h). */
static void *find_record(const ucontext_t *uc, uint32_t magic)
{
    const char *at = (const char *)uc->uc_mcontext.__reserved;
    const char *end = at + sizeof(uc->uc_mcontext.__reserved);
    struct _aarch64_ctx head;
    while ((size_t)(end - at) >= sizeof(head)) {
        memcpy(&head, at, sizeof(head));
        if (head.magic == magic)
            return (void *)(uintptr_t)at;
        if (head.magic == 0 || head.size < sizeof(head) || head.size > (size_t)(end - at))
            break;
        at += head.size;
    }
    return NULL;
}

/* Records that didn't fit lie elsewhere, at an address that the frame names: such
 * a frame can't be copied. */
size_t molt_interrupted_room(const void *ucontext)
{
    if (find_record(ucontext, EXTRA_MAGIC))
        return SIZE_MAX;
    return sizeof(struct signal_frame) + 16;
}

/* ---- redirecting -------------------------------------------------------------- */

static MOLT_UNSANITIZED void copy_words(volatile uint64_t *to, const volatile uint64_t *from,
                                        size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*to); i++)
        to[i] = from[i];
}

/* There is no red zone (AAPCS64 6.4.5.1). */
void molt_interrupted_redirect(void *ucontext, struct molt_preempt_thread *thread)
{
    ucontext_t *uc = ucontext;
    mcontext_t *m = &uc->uc_mcontext;
    uintptr_t sp = (m->sp - sizeof(struct signal_frame)) & ~(uintptr_t)15;
    uintptr_t copy = sp + offsetof(struct signal_frame, uc);
    copy_words((volatile uint64_t *)copy, (const volatile uint64_t *)ucontext, sizeof(*uc));
    m->regs[0] = (uintptr_t)thread;
    m->regs[1] = copy;
    m->sp = sp;
    m->pc = (uintptr_t)molt_preempt_trampoline;
    m->pstate &= ~PSTATE_BTYPE;
}

/* ---- leaving -------------------------------------------------------------------- */

bool molt_interrupted_is_fetch(const void *ucontext)
{
    const ucontext_t *uc = ucontext;
    const struct esr_context *esr = find_record(uc, ESR_MAGIC);
    if (!esr)
        return uc->uc_mcontext.fault_address == uc->uc_mcontext.pc;
    return ESR_CLASS(esr->esr) == CLASS_FETCH_ABORT || ESR_CLASS(esr->esr) == CLASS_PC_ALIGNMENT;
}

void molt_interrupted_leave(void *ucontext, struct molt_context *from,
                            const struct molt_float_control *control)
{
    mcontext_t *m = &((ucontext_t *)ucontext)->uc_mcontext;
    struct fpsimd_context *fp = find_record(ucontext, FPSIMD_MAGIC);
    struct molt_context_landing to;
    molt_context_drop(from, &to);
    /* What molt_context_swap() left on the caller's stack, see context.S. */
    const uint64_t *saved = to.saved;
    memcpy(&m->regs[19], saved, 12 * sizeof(*saved));
    m->sp = (uintptr_t)(saved + 20);
    m->pc = m->regs[30];
    if (to.first) {
        /* As if called from there: it returns through x30. */
        m->pc = (uintptr_t)to.first;
        m->regs[0] = (uintptr_t)to.arg;
        m->regs[1] = 0;
    }
    m->pstate &= ~PSTATE_BTYPE;
    if (!fp)
        return;
    memset(fp->vregs, 0, sizeof(fp->vregs));
    for (size_t i = 0; i < 8; i++)
        fp->vregs[8 + i] = saved[12 + i];
    fp->fpsr = 0;
    fp->fpcr = control->words[0];
}

/* ---- walking ---------------------------------------------------------------------- */

void molt_unwind_init(struct molt_unwind *u, const void *ucontext, uintptr_t low, uintptr_t high)
{
    const mcontext_t *m = &((const ucontext_t *)ucontext)->uc_mcontext;
    u->low = low;
    u->high = high;
    u->known = ~UINT64_C(0);
    for (size_t i = 0; i < 31; i++)
        u->regs[i] = m->regs[i];
    u->regs[MOLT_UNWIND_SP] = m->sp;
    u->pc = m->pc;
    u->is_return = false;
}

bool molt_unwind_leave_call(struct molt_unwind *u)
{
    u->pc = u->regs[MOLT_UNWIND_RA];
    u->is_return = true;
    return true;
}

/* ---- frames under construction ------------------------------------------------ */

#define X29 29
#define AHEAD 64 /* instructions; blocks that end a function are shorter */

static bool is_load_of_x30(uint32_t insn)
{
    bool is_pair = (insn & 0xfe400000) == 0xa8400000 && (insn >> 10 & 31) == MOLT_UNWIND_RA;
    bool is_one = (insn & 0xffe00000) == 0xf8400000 || (insn & 0xffc00000) == 0xf9400000;
    return is_pair || (is_one && (insn & 31) == MOLT_UNWIND_RA);
}

static bool leaves_function(uint32_t insn, uintptr_t at, uintptr_t from, uintptr_t to)
{
    if ((insn & 0xff9ffc1f) == 0xd61f0000 && (insn & 0x00600000) != 0x00200000)
        return true; /* br, ret */
    if ((insn & 0xfc000000) != 0x14000000)
        return false;
    uintptr_t target = at + (uintptr_t)((int64_t)((uint64_t)insn << 38) >> 36);
    return target < from || target >= to; /* a tail call */
}

/* bl, blr, b, conditional branches: the block goes on elsewhere, or a call is to
 * come, for which the frame has to be whole. */
static bool branches(uint32_t insn)
{
    return (insn & 0x7c000000) == 0x14000000 || (insn & 0xfe000000) == 0x54000000 ||
           (insn & 0x7c000000) == 0x34000000 || (insn & 0xfffffc1f) == 0xd63f0000;
}

static bool moves_sp(uint32_t insn)
{
    bool is_pair = (insn & 0xffc003e0) == 0xa98003e0 || (insn & 0xffc003e0) == 0x6d8003e0;
    bool is_one = (insn & 0xffe00fe0) == 0xf8000fe0;
    return is_pair || is_one || (insn & 0xff0003ff) == 0xd10003ff;
}

/* clang before version 15 describes frames for calls only: neither the first
 * instructions, before x29 is set, nor the last ones, where it is the caller's
 * again. Where the row says x29, x30 has to be loaded before the function is
 * left; where it says sp as it was, sp must not have been moved. */
bool molt_unwind_is_settled(uintptr_t pc, uintptr_t from, uintptr_t to, uint64_t cfa_reg,
                            int64_t cfa_offset)
{
    uint32_t insn;
    for (uintptr_t at = pc; cfa_reg == X29 && at + 4 <= to && at < pc + 4 * AHEAD; at += 4) {
        memcpy(&insn, (const void *)at, sizeof(insn));
        if (leaves_function(insn, at, from, to))
            return false;
        if (is_load_of_x30(insn) || branches(insn))
            break;
    }
    if (cfa_reg != MOLT_UNWIND_SP || cfa_offset != 0)
        return true;
    for (uintptr_t at = from; at < pc && at < from + 4 * AHEAD; at += 4) {
        memcpy(&insn, (const void *)at, sizeof(insn));
        if (branches(insn))
            break;
        if (moves_sp(insn))
            return false;
    }
    return true;
}
