/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions of state machines: notes for when the callback returns. */
#include <stdlib.h>

#include <molt/statem.h>

#include "runtime/fiber.h"
#include "runtime/machine.h"
#include "runtime/rt.h"

_Static_assert(MOLT_TIMEOUTS_MAX == MOLT_STATEM_TIMEOUTS_MAX, "one number of timeouts");

static struct molt_runner *runner_here(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting && runner->process ? runner : NULL;
}

/* The machine whose callback runs here, as inside a handler. MOLT_ENOPROC,
 * MOLT_EINVAL. */
static int here(struct molt_machine **ret)
{
    struct molt_runner *runner = runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    if (!molt_process_is_machine(p) || p->fiber->act.callback.kind == MOLT_CALLBACK_TERMINATE)
        return MOLT_EINVAL;
    if (!p->machine->core.is_handling)
        molt_statem_begin(&p->machine->core);
    *ret = p->machine;
    return 0;
}

int molt_state(void)
{
    struct molt_runner *runner = runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    return molt_process_is_machine(p) ? p->machine->core.state : MOLT_EINVAL;
}

/* In the world that the callback runs in. */
static bool is_state(const struct molt_process *p, int state)
{
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    const struct molt_server_ref *ref = world ? molt_world_server(world, p->server_id) : NULL;
    return ref && ref->states && state >= 0 && state < MOLT_STATES_MAX &&
           ref->states->state[state].name;
}

int molt_next_state(int state)
{
    struct molt_machine *m;
    int rc = here(&m);
    if (rc < 0)
        return rc;
    return is_state(runner_here()->process, state) ? molt_statem_go(&m->core, state) : MOLT_EINVAL;
}

int molt_repeat_state(void)
{
    struct molt_machine *m;
    int rc = here(&m);
    return rc < 0 ? rc : molt_statem_repeat(&m->core);
}

int molt_postpone(void)
{
    struct molt_machine *m;
    int rc = here(&m);
    if (rc == 0)
        rc = molt_statem_postpone(&m->core);
    if (rc < 0 || m->spare)
        return rc;
    /* The one at hand stays with the message. */
    m->spare = calloc(1, sizeof(*m->spare));
    if (m->spare)
        return 0;
    molt_statem_unpostpone(&m->core);
    return MOLT_ENOMEM;
}

/* Consumes @root on success. */
static int insert(struct molt_process *p, struct molt_block *root)
{
    struct molt_machine *m;
    int rc = here(&m);
    if (rc < 0)
        return rc;
    struct molt_machine_event *message = calloc(1, sizeof(*message));
    if (!message)
        return MOLT_ENOMEM;
    message->root = root;
    rc = molt_statem_insert(&m->core, &message->event);
    if (rc < 0) {
        free(message);
        return rc;
    }
    molt_message_address(root, &p->rt->sends.owner);
    molt_process_count_mail(p, 1);
    return 0;
}

int molt_insert(void *msg)
{
    /* What it consumes is freed as far as it is known, as in other functions. */
    struct molt_runner *any = molt_runner_here(), *runner = runner_here();
    struct molt_block *root = NULL;
    int rc = any && msg ? molt_runner_take(any, msg, &root) : MOLT_EINVAL;
    if (rc == 0)
        rc = runner ? insert(runner->process, root) : MOLT_ENOPROC;
    if (rc < 0 && root)
        molt_runner_drop(any, root);
    return any ? rc : MOLT_ENOPROC;
}

/* A timer is made where it may be needed, so that nothing can fail later. */
static int set_timeout(int slot, int ms)
{
    struct molt_machine *m;
    int rc = here(&m);
    if (rc < 0)
        return rc;
    if (ms > 0 && !m->timers[slot] && !(m->timers[slot] = calloc(1, sizeof(*m->timers[slot]))))
        return MOLT_ENOMEM;
    return molt_statem_set_timeout(&m->core, slot, ms);
}

int molt_state_timeout(int ms)
{
    return set_timeout(MOLT_STATEM_STATE_TIMEOUT, ms);
}

int molt_event_timeout(int ms)
{
    return set_timeout(MOLT_STATEM_EVENT_TIMEOUT, ms);
}

int molt_named_timeout(int name, int ms)
{
    return name >= 0 && name < MOLT_TIMEOUTS_MAX ? set_timeout(name, ms) : MOLT_EINVAL;
}
