/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rt.h"
#include "runtime/worker.h"

/* The last failed call of this thread, which no runtime may know. */
static __thread struct molt_error failed_call;

int molt_runtime_thread_register(struct molt_runtime *rt, const char *name,
                                 struct molt_thread **ret)
{
    if (molt_runner_here())
        return MOLT_EEXIST;
    struct molt_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return MOLT_ENOMEM;
    pthread_mutex_init(&thread->lock, NULL);
    char full[48];
    snprintf(full, sizeof(full), "thread %.39s", name ? name : "?");
    molt_code_join(rt->code, &thread->participant, full, true);
    molt_runner_init(&thread->runner, rt, &thread->participant);
    molt_owner_share(&thread->runner.outside, &thread->lock);
    pthread_mutex_lock(&rt->threads_lock);
    thread->next = rt->threads;
    rt->threads = thread;
    pthread_mutex_unlock(&rt->threads_lock);
    molt_runner_set(&thread->runner);
    molt_safepoint(thread);
    *ret = thread;
    return 0;
}

void molt_safepoint(struct molt_thread *thread)
{
    molt_participant_boundary(&thread->participant, thread->runner.rt->current);
}

void molt_thread_offline(struct molt_thread *thread)
{
    molt_participant_offline(&thread->participant);
}

void molt_thread_online(struct molt_thread *thread)
{
    molt_safepoint(thread);
}

void molt_thread_unregister(struct molt_thread *thread)
{
    if (!thread)
        return;
    struct molt_runtime *rt = thread->runner.rt;
    pthread_mutex_lock(&rt->threads_lock);
    struct molt_thread **at = &rt->threads;
    while (*at && *at != thread)
        at = &(*at)->next;
    if (*at)
        *at = thread->next;
    pthread_mutex_unlock(&rt->threads_lock);
    molt_code_leave(rt->code, &thread->participant);
    molt_runner_fini(&thread->runner);
    molt_runner_set(NULL);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}

int molt_thread_error(struct molt_error *ret_err)
{
    int code = failed_call.code;
    if (ret_err)
        *ret_err = failed_call;
    failed_call.code = 0;
    failed_call.text[0] = '\0';
    return code;
}

/* ---- failed calls ------------------------------------------------------------ */

static void name_slot(uint32_t slot, char *buf, size_t size)
{
    const char *name = molt_thunk_name(slot);
    if (name)
        snprintf(buf, size, "%s", name);
    else
        snprintf(buf, size, "function %u", slot);
}

static void end_process(struct molt_process *p, const char *function)
{
    char label[128], version[96] = "?";
    molt_process_label(p, label, sizeof(label));
    const struct molt_version *v = atomic_load_explicit(&p->version, memory_order_relaxed);
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (v)
        molt_version_print(v, version, sizeof(version));
    molt_runtime_log(p->rt, MOLT_ERR,
                     "%s (%s) called %s, which is undefined in its world %llu: the process ends",
                     label, version, function, world ? (unsigned long long)world->id : 0ULL);
    atomic_fetch_add_explicit(&p->rt->n_crashes, 1, memory_order_relaxed);
    molt_worker_fail(p);
}

static void on_failed_call(uint32_t slot, int is_outside)
{
    struct molt_runner *runner = molt_runner_here();
    char function[160];
    name_slot(slot, function, sizeof(function));
    if (runner && runner->is_converting)
        runner->is_failed = true;
    else if (runner && runner->worker && runner->process)
        end_process(runner->process, function);
    if (is_outside)
        molt_error_set(&failed_call, MOLT_ENOWORLD,
                       "%s was called on a thread without a world; register the thread, or bring "
                       "it online, before it calls modules",
                       function);
    else
        molt_error_set(&failed_call, MOLT_EUNDEF, "%s is undefined in this world", function);
}

void molt_runtime_catch_failed_calls(void)
{
    molt_thunk_on_failed(on_failed_call);
}
