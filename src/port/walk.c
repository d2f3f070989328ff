/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/walk.h"

extern const char molt_flow_return[] __attribute__((visibility("hidden"))); /* flow.S */

void molt_walk_keep(struct molt_walk *w, uintptr_t pc)
{
    if (w->n_pcs < w->max)
        w->pcs[w->n_pcs++] = pc;
    w->n_frames++;
}

uintptr_t molt_walk_low(const struct molt_flow *flow)
{
    return (uintptr_t)flow->context->stack;
}

uintptr_t molt_walk_high(const struct molt_flow *flow)
{
    return molt_walk_low(flow) + flow->context->stack_bytes;
}

/* Both have to fit: a frame of another call through molt_flow_call() has
 * another sp. */
static bool is_entry(const struct molt_unwind *u, const struct molt_flow *flow)
{
    return u->pc == (uintptr_t)molt_flow_return && u->regs[MOLT_UNWIND_SP] == flow->entry_sp;
}

bool molt_walk(struct molt_walk *w, const struct molt_flow *flow)
{
    uintptr_t last = 0; /* recursion: the same answer again */
    while (!is_entry(&w->at, flow)) {
        uintptr_t pc = w->at.is_return ? w->at.pc - 1 : w->at.pc;
        if (pc != last && !w->is_module_text(w->user, pc))
            return false;
        last = pc;
        molt_walk_keep(w, w->at.pc);
        if (!molt_unwind_step(&w->at))
            return false;
    }
    return w->n_frames > 0;
}
