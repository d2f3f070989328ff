/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/interrupted.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "port/context_drop.h"
#include "port/preempt.h"
#include "port/sanitize.h"
#include "port/unwind.h"

void molt_preempt_trampoline(void); /* preempt.S */
void molt_preempt_yield(struct molt_preempt_thread *thread);

#define RED_ZONE 128
#define LEGACY_BYTES 512 /* FXSAVE area, the first part of an XSAVE area */
#define REGISTERS_BYTES (4 * 8 + 16 * 8)
#define ALIGNMENT 64

/* Components of the extended state (SDM volume 1, 13.1). */
#define STATE_X87 (UINT64_C(1) << 0)
#define STATE_SSE (UINT64_C(1) << 1)
#define STATE_PKRU (UINT64_C(1) << 9)

#define FLAG_DIRECTION INT64_C(0x400)
#define FLAG_ALIGNMENT INT64_C(0x40000)

#define TRAP_PAGE_FAULT 14
#define FAULT_IS_FETCH 0x10

bool molt_interrupted_is_supported(void)
{
    return true;
}

/* ---- floating point -------------------------------------------------------- */

void molt_float_control_get(struct molt_float_control *ret)
{
    uint16_t cw;
    __asm__ volatile("stmxcsr %0" : "=m"(ret->words[0]));
    __asm__ volatile("fnstcw %0" : "=m"(cw));
    /* Sticky flags of operations are nobody's setting. */
    ret->words[0] &= ~UINT32_C(0x3f);
    ret->words[1] = cw;
}

static void set_float_control(const struct molt_float_control *control)
{
    uint16_t cw = (uint16_t)control->words[1];
    __asm__ volatile("fldcw %0" : : "m"(cw));
    __asm__ volatile("ldmxcsr %0" : : "m"(control->words[0]));
}

/* Called by the trampoline, which has emptied the x87 stack. */
void molt_preempt_yield(struct molt_preempt_thread *thread)
{
    set_float_control(&thread->control);
    thread->hooks->yield(thread->user);
}

/* ---- extended state in a signal frame --------------------------------------- */

/* The kernel says behind the legacy area what it saved for this thread and how
 * many bytes that takes in the standard format (linux/arch/x86 uapi
 * sigcontext.h, struct _fpx_sw_bytes). It is exact where CPUID isn't: AMX is
 * in it only for processes that were allowed to use it. */
struct state {
    uint64_t components; /* 0: no XSAVE */
    size_t bytes;
};

static struct state state_of(const ucontext_t *uc)
{
    struct _fpx_sw_bytes sw;
    struct state state = {0, LEGACY_BYTES};
    const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    if (!fp)
        return state;
    memcpy(&sw, (const char *)fp + LEGACY_BYTES - sizeof(sw), sizeof(sw));
    if (sw.magic1 != FP_XSTATE_MAGIC1)
        return state;
    /* Protection keys are the thread's rights, not a value that is computed
     * with: what the thread was denied meanwhile stays denied. */
    state.components = sw.xstate_bv & ~STATE_PKRU;
    state.bytes = sw.xstate_size;
    return state;
}

size_t molt_interrupted_room(const void *ucontext)
{
    return RED_ZONE + REGISTERS_BYTES + ALIGNMENT + state_of(ucontext).bytes;
}

/* ---- redirecting -------------------------------------------------------------- */

MOLT_UNSANITIZED void molt_interrupted_redirect(void *ucontext, struct molt_preempt_thread *thread)
{
    ucontext_t *uc = ucontext;
    greg_t *regs = uc->uc_mcontext.gregs;
    struct state state = state_of(uc);
    volatile uint64_t *top = (volatile uint64_t *)(regs[REG_RSP] - RED_ZONE);
    top[-1] = (uint64_t)regs[REG_RIP];
    top[-2] = state.components;
    top[-3] = state.bytes;
    top[-4] = (uint64_t)(uintptr_t)thread;
    regs[REG_RSP] = (greg_t)(uintptr_t)(top - 4);
    regs[REG_RIP] = (greg_t)(uintptr_t)molt_preempt_trampoline;
}

/* ---- leaving -------------------------------------------------------------------- */

bool molt_interrupted_is_fetch(const void *ucontext)
{
    const greg_t *regs = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    return regs[REG_TRAPNO] == TRAP_PAGE_FAULT && (regs[REG_ERR] & FAULT_IS_FETCH);
}

/* Components that the header doesn't list are reset by the kernel's XRSTOR. */
static void reset_float(ucontext_t *uc, const struct molt_float_control *control)
{
    struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    uint64_t header;
    if (!fp)
        return;
    fp->cwd = (uint16_t)control->words[1];
    fp->swd = 0;
    fp->ftw = 0; /* all empty */
    fp->mxcsr = control->words[0];
    if (!state_of(uc).components)
        return;
    memcpy(&header, (char *)fp + LEGACY_BYTES, sizeof(header));
    header = (header & STATE_PKRU) | STATE_X87 | STATE_SSE;
    memcpy((char *)fp + LEGACY_BYTES, &header, sizeof(header));
}

void molt_interrupted_leave(void *ucontext, struct molt_context *from,
                            const struct molt_float_control *control)
{
    /* What molt_context_swap() left on the caller's stack, see context.S. */
    static const int order[] = {REG_R15, REG_R14, REG_R13, REG_R12, REG_RBX, REG_RBP, REG_RIP};
    enum { N = sizeof(order) / sizeof(*order) };
    ucontext_t *uc = ucontext;
    greg_t *regs = uc->uc_mcontext.gregs;
    struct molt_context_landing to;
    molt_context_drop(from, &to);
    const greg_t *saved = to.saved;
    for (size_t i = 0; i < N; i++)
        regs[order[i]] = saved[i];
    regs[REG_RSP] = (greg_t)(uintptr_t)(saved + N);
    if (to.first) {
        /* As if called from there: its return address is the last one saved. */
        regs[REG_RSP] -= (greg_t)sizeof(*saved);
        regs[REG_RIP] = (greg_t)(uintptr_t)to.first;
        regs[REG_RDI] = (greg_t)(uintptr_t)to.arg;
        regs[REG_RSI] = 0;
    }
    regs[REG_EFL] &= ~(FLAG_DIRECTION | FLAG_ALIGNMENT);
    reset_float(uc, control);
}

/* ---- walking ---------------------------------------------------------------------- */

void molt_unwind_init(struct molt_unwind *u, const void *ucontext, uintptr_t low, uintptr_t high)
{
    static const int by_number[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                    REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                    REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    const greg_t *regs = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    u->low = low;
    u->high = high;
    u->known = ~UINT64_C(0);
    for (size_t i = 0; i < MOLT_UNWIND_REGS; i++)
        u->regs[i] = (uintptr_t)regs[by_number[i]];
    u->pc = (uintptr_t)regs[REG_RIP];
    u->is_return = false;
}

/* It pushed the return address (psABI 3.2.2). */
bool molt_unwind_leave_call(struct molt_unwind *u)
{
    uintptr_t *sp = &u->regs[MOLT_UNWIND_SP];
    if (!molt_unwind_read(u, *sp, &u->pc))
        return false;
    *sp += sizeof(*sp);
    u->is_return = true;
    return true;
}

/* gcc and clang describe every instruction here. */
bool molt_unwind_is_settled(uintptr_t pc, uintptr_t from, uintptr_t to, uint64_t cfa_reg,
                            int64_t cfa_offset)
{
    (void)pc, (void)from, (void)to, (void)cfa_reg, (void)cfa_offset;
    return true;
}
