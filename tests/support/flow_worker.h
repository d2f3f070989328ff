/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The least that a scheduler does, for tests of preemption and crash
 * containment: one thread, one flow on a stack with a guard page, text ranges
 * that count as modules.
 *
 * Threads: a worker belongs to the thread that opened it; others may request
 * its preemption.
 */
#ifndef MOLT_TESTS_FLOW_WORKER_H
#define MOLT_TESTS_FLOW_WORKER_H

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/alt_stack.h"
#include "port/fault.h"
#include "port/preempt.h"

#define FLOW_WORKER_STACK ((size_t)256 * 1024)
#define FLOW_WORKER_GUARD ((size_t)4096)
#define FLOW_WORKER_RANGES 4

struct flow_worker {
    struct molt_context context, fiber;
    struct molt_flow flow;
    struct molt_flow *running;
    char *map;
    void *alt_stack;
    struct molt_preempt_thread preempt;
    struct molt_fault_thread fault;
    bool has_preemption;
    struct {
        uintptr_t from, to;
    } text[FLOW_WORKER_RANGES];
    size_t n_text;
    bool is_locked;                         /* what a lock count would say */
    unsigned long n_yields;                 /* the flow was taken off the thread */
    void (*on_yield)(struct flow_worker *); /* on the thread's own context */
    void *user;
    struct molt_preempt_frames frames; /* of the last redirection */

    molt_flow_fn *fn;
    const void *args[4];
    intptr_t result;
    bool is_done;
};

static inline struct molt_flow *flow_worker_running(void *user)
{
    return ((struct flow_worker *)user)->running;
}

static inline bool flow_worker_is_text(void *user, uintptr_t pc)
{
    const struct flow_worker *w = user;
    for (size_t i = 0; i < w->n_text; i++)
        if (pc >= w->text[i].from && pc < w->text[i].to)
            return true;
    return false;
}

static inline bool flow_worker_may_redirect(void *user, const struct molt_preempt_frames *frames)
{
    struct flow_worker *w = user;
    w->frames = *frames;
    return !w->is_locked;
}

static inline bool flow_worker_may_contain(void *user, const struct molt_fault *fault)
{
    (void)fault;
    return !((struct flow_worker *)user)->is_locked;
}

static inline void flow_worker_yield(void *user)
{
    struct flow_worker *w = user;
    molt_context_leave(&w->fiber);
}

static const struct molt_preempt_hooks flow_worker_preempt_hooks = {
    .running = flow_worker_running,
    .is_module_text = flow_worker_is_text,
    .may_redirect = flow_worker_may_redirect,
    .yield = flow_worker_yield,
};

static const struct molt_fault_hooks flow_worker_fault_hooks = {
    .running = flow_worker_running,
    .is_module_text = flow_worker_is_text,
    .may_contain = flow_worker_may_contain,
};

static inline void flow_worker_open(struct flow_worker *w)
{
    struct molt_error err;
    memset(w, 0, sizeof *w);
    w->map = mmap(NULL, FLOW_WORKER_GUARD + FLOW_WORKER_STACK, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_ptr_not_equal(w->map, MAP_FAILED);
    assert_int_equal(mprotect(w->map, FLOW_WORKER_GUARD, PROT_NONE), 0);
    w->alt_stack = molt_port_alt_stack_open();
    w->flow = (struct molt_flow){.context = &w->fiber, .guard_bytes = FLOW_WORKER_GUARD};
    molt_context_init_thread(&w->context);
    assert_int_equal(molt_fault_install(&err), 0);
    assert_int_equal(molt_fault_thread_init(&w->fault, &flow_worker_fault_hooks, w, &err), 0);
    int rc = molt_preempt_install(&err);
    w->has_preemption = rc == 0;
    if (rc < 0)
        print_message("no preemption: %s\n", err.text);
    else
        assert_int_equal(molt_preempt_thread_init(&w->preempt, &flow_worker_preempt_hooks, w, &err),
                         0);
}

static inline void flow_worker_close(struct flow_worker *w)
{
    if (w->has_preemption)
        molt_preempt_thread_fini(&w->preempt);
    molt_fault_thread_fini(&w->fault);
    molt_port_alt_stack_close(w->alt_stack);
    munmap(w->map, FLOW_WORKER_GUARD + FLOW_WORKER_STACK);
}

static inline void flow_worker_add_text(struct flow_worker *w, uintptr_t from, uintptr_t to)
{
    assert_true(w->n_text < FLOW_WORKER_RANGES);
    w->text[w->n_text].from = from;
    w->text[w->n_text++].to = to;
}

/* The executable segment of the object that is loaded at @base. */
struct flow_worker_search {
    uintptr_t base, from, to;
};

static inline int flow_worker_search_one(struct dl_phdr_info *info, size_t size, void *user)
{
    struct flow_worker_search *s = user;
    (void)size;
    for (size_t i = 0; info->dlpi_addr == s->base && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
            continue;
        s->from = s->base + ph->p_vaddr;
        s->to = s->from + ph->p_memsz;
    }
    return 0;
}

static inline void flow_worker_add_object(struct flow_worker *w, void *handle)
{
    struct link_map *map;
    assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
    struct flow_worker_search s = {.base = map->l_addr};
    dl_iterate_phdr(flow_worker_search_one, &s);
    assert_true(s.to > s.from);
    flow_worker_add_text(w, s.from, s.to);
}

static inline void flow_worker_entry(void *arg)
{
    struct flow_worker *w = arg;
    w->result = molt_flow_call(&w->flow, w->fn, w->args[0], w->args[1], w->args[2], w->args[3]);
    w->is_done = true;
    molt_context_leave(&w->fiber);
}

/* Run @fn(@a, @b) as module code until it returned (true, see w->result) or
 * ended by a fault that was contained (false, *@ret_fault). */
static inline bool flow_worker_run(struct flow_worker *w, molt_flow_fn *fn, const void *a,
                                   const void *b, struct molt_fault *ret_fault)
{
    bool is_contained = false;
    molt_context_init(&w->fiber, w->map + FLOW_WORKER_GUARD, FLOW_WORKER_STACK, flow_worker_entry,
                      w);
    w->fn = fn;
    w->args[0] = a;
    w->args[1] = b;
    w->is_done = false;
    while (!w->is_done && !is_contained) {
        w->running = &w->flow;
        molt_context_enter(&w->context, &w->fiber);
        w->running = NULL;
        is_contained = molt_fault_take(&w->fault, ret_fault);
        if (w->is_done || is_contained)
            break;
        w->n_yields++;
        if (w->on_yield)
            w->on_yield(w);
    }
    molt_context_fini(&w->fiber);
    return !is_contained;
}

#endif
