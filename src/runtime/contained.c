/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/contained.h"

#include <inttypes.h>
#include <stdio.h>

#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

#define TEXT_MAX 700

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

static const char *name_of(enum molt_callback_kind kind)
{
    switch (kind) {
    case MOLT_CALLBACK_INIT:
        return "init";
    case MOLT_CALLBACK_CALL:
        return "call";
    case MOLT_CALLBACK_CAST:
        return "cast";
    case MOLT_CALLBACK_OTHER:
        return "on_other";
    case MOLT_CALLBACK_READY:
        return "on_ready";
    case MOLT_CALLBACK_DATA:
        return "on_data";
    case MOLT_CALLBACK_TIMEOUT:
        return "on_timeout";
    case MOLT_CALLBACK_TERMINATE:
        return "terminate";
    case MOLT_CALLBACK_EXIT:
        return "on_exit";
    case MOLT_CALLBACK_DOWN:
        return "on_down";
    case MOLT_CALLBACK_ENTER:
        return "enter";
    case MOLT_CALLBACK_STATE_TIMEOUT:
        return "on_state_timeout";
    case MOLT_CALLBACK_EVENT_TIMEOUT:
        return "on_event_timeout";
    case MOLT_CALLBACK_NAMED_TIMEOUT:
        return "on_named_timeout";
    case MOLT_CALLBACK_RUN:
        return "run";
    case MOLT_CALLBACK_CONTINUE:
        return "on_continue";
    case MOLT_CALLBACK_CONFIG:
        return "on_config";
    case MOLT_CALLBACK_NONE:
    case MOLT_CALLBACK_NATIVE:
        break;
    }
    return "callback";
}

static const char *message_of(const struct molt_callback *cb)
{
    bool is_message = cb->kind == MOLT_CALLBACK_CALL || cb->kind == MOLT_CALLBACK_CAST ||
                      cb->kind == MOLT_CALLBACK_OTHER;
    return is_message && cb->type ? cb->type->name : "";
}

/* A return address counts as its call, but the offset is its own. */
static struct molt_runtime_frame resolve(struct molt_code *code, uintptr_t pc, bool is_return)
{
    uintptr_t offset = 0;
    bool is_unloaded = false;
    const struct molt_version *v =
        molt_code_find_pc(code, (const void *)(pc - is_return), /* NOLINT: an address */
                          &offset, &is_unloaded);
    if (!v)
        return (struct molt_runtime_frame){.module = "", .offset = pc};
    return (struct molt_runtime_frame){molt_version_module(v), molt_version_number(v), offset};
}

void molt_runtime_log_crash(struct molt_runtime *rt, const struct molt_runtime_crash *crash)
{
    char text[TEXT_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < crash->n_frames && len < sizeof(text); i++) {
        const struct molt_runtime_frame *f = &crash->frames[i];
        size_t left = sizeof(text) - len;
        if (*f->module)
            len += (size_t)snprintf(text + len, left, " %s@%u+0x%" PRIxPTR, f->module, f->number,
                                    f->offset);
        else
            len += (size_t)snprintf(text + len, left, " 0x%" PRIxPTR, f->offset);
    }
    molt_runtime_log(rt, MOLT_ERR,
                     "%s crashed in its %s%s%s: signal %d, %s, address 0x%" PRIxPTR "; in%s",
                     crash->label, crash->callback, *crash->message ? " " : "", crash->message,
                     crash->signal, crash->what, crash->address, text);
}

static void report(struct molt_runtime *rt, const struct molt_runtime_crash *crash)
{
    if (rt->config.on_crash)
        rt->config.on_crash(rt->config.config_user, crash);
    else
        molt_runtime_log_crash(rt, crash);
}

void molt_crash_report_contained(struct molt_worker *w, struct molt_process *p)
{
    struct molt_runtime *rt = w->rt;
    struct molt_fault fault;
    struct molt_runtime_frame frames[MOLT_FAULT_PCS_MAX];
    char label[128];
    if (!molt_fault_take(&w->fault, &fault))
        return;
    atomic_fetch_add_explicit(&rt->n_crashes, 1, memory_order_relaxed);
    molt_process_label(p, label, sizeof(label));
    for (size_t i = 0; i < fault.n_pcs; i++)
        frames[i] = resolve(rt->code, fault.pcs[i], i > 0);
    const struct molt_callback *cb = &p->fiber->act.callback;
    const char *server =
        p->server_id >= 0 ? molt_code_server_name(rt->code, p->server_id) : "supervisor";
    struct molt_runtime_crash crash = {
        .pid = molt_process_pid(p),
        .label = label,
        .server = server ? server : "",
        .state_type = p->state_block ? p->state_block->type->name : "",
        .callback = name_of(cb->kind),
        .message = message_of(cb),
        .callbacks = atomic_load_explicit(&p->n_callbacks, memory_order_relaxed),
        .signal = fault.signal,
        .address = fault.address,
        .what = what(&fault),
        .n_all = fault.n_frames,
        .n_frames = fault.n_pcs,
        .frames = frames,
    };
    report(rt, &crash);
}
