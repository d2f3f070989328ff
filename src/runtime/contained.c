/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/contained.h"

#include <inttypes.h>
#include <stdio.h>

#include "runtime/rt.h"
#include "runtime/worker.h"

#define TEXT_MAX 900

static const char *what(const struct molt_fault *fault)
{
    switch (fault->kind) {
    case MOLT_FAULT_ACCESS:
        return "bad address";
    case MOLT_FAULT_STACK:
        return "stack overflow";
    case MOLT_FAULT_JUMP:
        return "call of something that is no function";
    case MOLT_FAULT_ARITHMETIC:
        return "arithmetic error (division by zero?)";
    case MOLT_FAULT_INSTRUCTION:
        return "illegal instruction, or a trap";
    }
    return "crash";
}

/* Append where @pc is; a return address counts as its call. */
static size_t put_place(struct molt_code *code, uintptr_t pc, bool is_return, char *at, size_t size)
{
    uintptr_t offset = 0;
    bool is_unloaded = false;
    char version[96];
    const struct molt_version *v =
        molt_code_find_pc(code, (const void *)(pc - is_return), /* NOLINT: an address */
                          &offset, &is_unloaded);
    if (!v)
        return (size_t)snprintf(at, size, " 0x%" PRIxPTR, pc);
    molt_version_print(v, version, sizeof(version));
    return (size_t)snprintf(at, size, " %s+0x%" PRIxPTR "%s", version, offset,
                            is_unloaded ? " (unloaded)" : "");
}

static void put_frames(struct molt_code *code, const struct molt_fault *fault, char *text,
                       size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < fault->n_pcs && len < size; i++)
        len += put_place(code, fault->pcs[i], i > 0, text + len, size - len);
}

void molt_crash_report_contained(struct molt_worker *w, struct molt_process *p)
{
    struct molt_fault fault;
    char label[128], frames[TEXT_MAX];
    if (!molt_fault_take(&w->fault, &fault))
        return;
    atomic_fetch_add_explicit(&w->rt->n_crashes, 1, memory_order_relaxed);
    molt_process_label(p, label, sizeof(label));
    put_frames(w->rt->code, &fault, frames, sizeof(frames));
    molt_runtime_log(w->rt, MOLT_ERR, "%s crashed: signal %d, %s, address 0x%" PRIxPTR "; in%s",
                     label, fault.signal, what(&fault), fault.address, frames);
}
