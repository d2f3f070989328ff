/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on links, monitors and ends. */
#include "runtime/relation.h"
#include "runtime/rt.h"

/* The caller's runner inside a process; NULL elsewhere. */
static struct molt_runner *runner_of_process(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && runner->process && !runner->is_converting ? runner : NULL;
}

int molt_link(molt_pid pid)
{
    struct molt_runner *runner = runner_of_process();
    if (!runner)
        return MOLT_ENOPROC;
    return pid ? molt_relation_link(runner->process, &runner->cache, pid) : MOLT_EINVAL;
}

int molt_unlink(molt_pid pid)
{
    struct molt_runner *runner = runner_of_process();
    if (!runner)
        return MOLT_ENOPROC;
    if (!pid)
        return MOLT_EINVAL;
    molt_relation_unlink(runner->process, &runner->cache, pid);
    return 0;
}

int molt_monitor(molt_pid pid, uint64_t *ret_ref)
{
    struct molt_runner *runner = runner_of_process();
    if (!runner)
        return MOLT_ENOPROC;
    if (!pid || !ret_ref)
        return MOLT_EINVAL;
    return molt_relation_monitor(runner->process, &runner->cache, pid, ret_ref);
}

int molt_demonitor(uint64_t ref)
{
    struct molt_runner *runner = runner_of_process();
    return runner ? molt_relation_demonitor(runner->process, &runner->cache, ref) : MOLT_ENOPROC;
}

static bool has_on_exit(const struct molt_process *p)
{
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    const struct molt_server_ref *ref =
        p->server_id >= 0 && world ? molt_world_server(world, p->server_id) : NULL;
    return ref && ref->desc->on_exit;
}

int molt_trap_exit(int is_on)
{
    struct molt_runner *runner = runner_of_process();
    if (!runner)
        return MOLT_ENOPROC;
    struct molt_process *p = runner->process;
    if (!is_on)
        atomic_fetch_and(&p->status, ~MOLT_IS_TRAPPING);
    else if (!has_on_exit(p))
        return MOLT_EINVAL;
    else
        atomic_fetch_or(&p->status, MOLT_IS_TRAPPING);
    return 0;
}

/* Have on_exit called, by a message. */
static int request(struct molt_runner *runner, molt_pid pid, int reason)
{
    struct molt_block *root =
        molt_message_new_notice(runner->rt->heap, &runner->cache, MOLT_MESSAGE_LINK_EXIT);
    if (!root)
        return MOLT_ENOMEM;
    struct molt_exit_notice *notice = molt_block_payload(root);
    notice->pid = molt_self();
    notice->reason = reason;
    int rc =
        molt_process_post(runner->rt, pid, root, MOLT_MESSAGE_LINK_EXIT, (struct molt_from){0});
    if (rc < 0)
        molt_runner_drop(runner, root);
    return rc;
}

int molt_exit(molt_pid pid, int reason)
{
    struct molt_runner *runner = molt_runner_here();
    if (!runner || runner->is_converting)
        return MOLT_ENOPROC;
    if (reason > 0)
        return MOLT_EINVAL;
    if (reason == MOLT_EKILLED)
        return molt_process_kill(runner->rt, pid);
    struct molt_process *p = molt_process_find(runner->rt, pid);
    /* If the slot is another's by now, either way comes to MOLT_EDEAD. */
    if (!p || !(molt_process_status(p) & MOLT_IS_TRAPPING) ||
        (runner->process && molt_relation_is_child(runner->process, pid)))
        return molt_process_exit(runner->rt, pid, reason);
    return request(runner, pid, reason);
}
