/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * State machines as processes run them. What the core asks for is done here:
 * timers are started and cancelled, messages are packed again and unpacked.
 *
 * A timer only says that there is something to do; which timeouts are due is
 * found out by who runs the process, from their deadlines. So a timer that
 * expires late, or for an earlier process of the slot, changes nothing.
 */
#include "runtime/machine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/after.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/rt.h"

_Static_assert(MOLT_STATEM_STATES_MAX == MOLT_STATES_MAX, "one number of states");

static struct molt_machine_event *message_of(struct molt_statem_event *event)
{
    bool is_message = event && event->slot < 0;
    return is_message ? molt_container_of(event, struct molt_machine_event, event) : NULL;
}

/* ---- life ------------------------------------------------------------------------- */

int molt_machine_start(struct molt_process *p)
{
    struct molt_machine *m = calloc(1, sizeof(*m));
    if (m)
        m->spare = calloc(1, sizeof(*m->spare));
    if (!m || !m->spare) {
        free(m);
        return MOLT_ENOMEM;
    }
    molt_statem_init(&m->core, 0);
    molt_statem_start(&m->core);
    p->machine = m;
    atomic_fetch_or(&p->status, MOLT_IS_MACHINE);
    return 0;
}

static void turn_away(struct molt_process *p, struct molt_block_cache *cache,
                      struct molt_block *root)
{
    if (molt_message_kind(root) == MOLT_MESSAGE_CALL) {
        struct molt_from from = molt_message_from(root);
        molt_process_complete(p->rt, from.pid, from.ref, MOLT_EDEAD, NULL);
    }
    molt_message_drop(p->rt->heap, cache, root);
}

void molt_machine_free(struct molt_process *p, struct molt_block_cache *cache)
{
    struct molt_machine *m = p->machine;
    atomic_fetch_and(&p->status, ~MOLT_IS_MACHINE);
    p->machine = NULL;
    struct molt_statem_event *event;
    while ((event = molt_statem_take(&m->core))) {
        struct molt_machine_event *message = message_of(event);
        turn_away(p, cache, message->root);
        free(message);
    }
    /* The blocks of the message at hand went with its callback. */
    free(message_of(m->core.event));
    for (int slot = 0; slot < MOLT_STATEM_SLOTS; slot++) {
        if (m->timers[slot])
            molt_timer_cancel(m->timers[slot]);
        free(m->timers[slot]);
    }
    free(m->spare);
    free(m);
}

/* ---- timers ----------------------------------------------------------------------- */

static void arm(struct molt_process *p, const struct molt_statem_action *a)
{
    struct molt_machine *m = p->machine;
    struct molt_timer_event event = {.pid = molt_process_pid(p),
                                     .ref = a->ref,
                                     .kind = MOLT_TIMER_MACHINE};
    m->deadline_ns[a->slot] = molt_clock_ns() + (uint64_t)a->ms * 1000000;
    molt_lane_start_timer(p, m->timers[a->slot], m->deadline_ns[a->slot], &event);
}

/* The slot whose timer expired first by @now_ns; -1 if none did. */
static int next_expired(const struct molt_machine *m, uint64_t now_ns)
{
    int first = -1;
    for (int slot = 0; slot < MOLT_STATEM_SLOTS; slot++) {
        const struct molt_statem_timeout *t = &m->core.timeout[slot];
        if (!t->is_armed || m->deadline_ns[slot] > now_ns)
            continue;
        bool is_first =
            first < 0 || m->deadline_ns[slot] < m->deadline_ns[first] ||
            (m->deadline_ns[slot] == m->deadline_ns[first] && t->ref < m->core.timeout[first].ref);
        first = is_first ? slot : first;
    }
    return first;
}

bool molt_machine_poll(struct molt_process *p)
{
    struct molt_machine *m = p->machine;
    uint64_t now = molt_clock_ns();
    for (int slot; (slot = next_expired(m, now)) >= 0;) {
        molt_timer_cancel(m->timers[slot]);
        molt_statem_fired(&m->core, m->core.timeout[slot].ref);
    }
    return molt_statem_is_due(&m->core);
}

/* ---- what is next ------------------------------------------------------------------ */

/* More to do: by whoever runs it, who looks again before it is left. */
static void go_on(struct molt_process *p)
{
    if (molt_statem_is_due(&p->machine->core))
        atomic_fetch_or(&p->status, MOLT_DO_MACHINE);
}

/* The message at hand is done with. */
static void give_back(struct molt_machine *m, struct molt_machine_event *message)
{
    if (m->spare)
        free(message);
    else
        m->spare = message;
}

static molt_any_fn timeout_fn(const struct molt_state_entry *state, int slot,
                              enum molt_callback_kind *ret_kind)
{
    *ret_kind = slot == MOLT_STATEM_STATE_TIMEOUT   ? MOLT_CALLBACK_STATE_TIMEOUT
                : slot == MOLT_STATEM_EVENT_TIMEOUT ? MOLT_CALLBACK_EVENT_TIMEOUT
                                                    : MOLT_CALLBACK_NAMED_TIMEOUT;
    return slot == MOLT_STATEM_STATE_TIMEOUT   ? state->on_state_timeout
           : slot == MOLT_STATEM_EVENT_TIMEOUT ? state->on_event_timeout
                                               : state->on_named_timeout;
}

static void report_timeout(struct molt_process *p, const struct molt_server_ref *ref, int slot)
{
    char label[128], version[96], name[16];
    molt_process_label(p, label, sizeof(label));
    molt_version_print(ref->version, version, sizeof(version));
    snprintf(name, sizeof(name), " %d", slot);
    molt_runtime_log(p->rt, MOLT_WARN, "%s (%s): %s timeout%s dropped: state %s has no %s", label,
                     version,
                     slot == MOLT_STATEM_STATE_TIMEOUT   ? "state"
                     : slot == MOLT_STATEM_EVENT_TIMEOUT ? "event"
                                                         : "named",
                     slot < MOLT_STATEM_STATE_TIMEOUT ? name : "", p->machine->state_name,
                     slot == MOLT_STATEM_STATE_TIMEOUT   ? "on_state_timeout"
                     : slot == MOLT_STATEM_EVENT_TIMEOUT ? "on_event_timeout"
                                                         : "on_named_timeout");
}

/* The function for @a, into *ret; false if the state has none. */
static bool find_step(struct molt_process *p, const struct molt_server_ref *ref,
                      const struct molt_statem_action *a, struct molt_callback *ret)
{
    if (!ref || !ref->states)
        return false;
    const struct molt_state_entry *state = &ref->states->state[p->machine->core.state];
    *ret = (struct molt_callback){.kind = MOLT_CALLBACK_ENTER,
                                  .fn = state->enter,
                                  .number = a->old_state};
    if (a->kind == MOLT_STATEM_ENTER)
        return ret->fn != NULL;
    ret->number = a->slot;
    ret->fn = timeout_fn(state, a->slot, &ret->kind);
    if (!ret->fn)
        report_timeout(p, ref, a->slot);
    return ret->fn != NULL;
}

/* It is the process's again, and no mail any more. */
static struct molt_block *unpark(struct molt_process *p, struct molt_machine_event *message)
{
    molt_process_count_mail(p, -1);
    molt_message_address(message->root, &p->owner);
    return message->root;
}

bool molt_machine_next(struct molt_process *p, const struct molt_server_ref *ref,
                       struct molt_machine_step *ret)
{
    struct molt_machine *m = p->machine;
    struct molt_statem_action a;
    ret->message = NULL;
    while (molt_statem_next(&m->core, &a)) {
        if (a.kind == MOLT_STATEM_ARM) {
            arm(p, &a);
        } else if (a.kind == MOLT_STATEM_DISARM) {
            molt_timer_cancel(m->timers[a.slot]);
        } else if (a.kind == MOLT_STATEM_HANDLE && a.slot < 0) {
            ret->message = unpark(p, message_of(a.event));
            return true;
        } else if (find_step(p, ref, &a, &ret->callback)) {
            return true;
        } else {
            /* What else there is to do may come before what the machine has next. */
            (void)molt_statem_done(&m->core, 0);
            go_on(p);
            return false;
        }
    }
    return false;
}

void molt_machine_take_up(struct molt_process *p, struct molt_block *root)
{
    struct molt_machine *m = p->machine;
    struct molt_statem_action a;
    m->spare->root = root;
    molt_statem_offer(&m->core, &m->spare->event);
    m->spare = NULL;
    /* Whatever else there is to do was done before the mailbox was looked at. */
    bool is_next = molt_statem_next(&m->core, &a);
    assert(is_next && a.kind == MOLT_STATEM_HANDLE && message_of(a.event)->root == root);
    (void)is_next;
}

void molt_machine_replace(struct molt_process *p, struct molt_block *root)
{
    message_of(p->machine->core.event)->root = root;
}

void molt_machine_skip(struct molt_process *p)
{
    struct molt_machine *m = p->machine;
    struct molt_machine_event *message = message_of(m->core.event);
    (void)molt_statem_done(&m->core, 0);
    give_back(m, message);
    go_on(p);
}

const struct molt_handler *molt_machine_handler(const struct molt_process *p,
                                                const struct molt_server_ref *ref,
                                                const struct molt_handler *first)
{
    size_t i = (size_t)(first - ref->desc->on);
    const struct molt_type *type = ref->handler_types[i];
    for (; i < ref->n_handlers; i++) {
        const struct molt_handler *handler = &ref->desc->on[i];
        uint32_t states = handler->kind >> MOLT_HANDLER_STATES_SHIFT;
        bool is_here = states == 0 || states >> p->machine->core.state & 1;
        if (is_here && ref->handler_types[i] == type)
            return handler;
    }
    return NULL;
}

/* ---- after a callback --------------------------------------------------------------- */

/* Take what came with the message out of the callback's hands again. False if the
 * handler has kept, sent or freed it. */
static bool park(struct molt_process *p, struct molt_activation *act, struct molt_block *root)
{
    const struct molt_callback *cb = &act->callback;
    bool is_single = act->single == root;
    bool is_there =
        molt_block_owner(root) == &p->owner &&
        (is_single ? molt_list_is_empty(&root->link) : act->arrived.next == &root->link);
    if (!is_there)
        return false;
    act->single = is_single ? NULL : act->single;
    molt_message_repack(&act->arrived, root);
    molt_message_set_kind(root, cb->is_call ? MOLT_MESSAGE_CALL : MOLT_MESSAGE_CAST);
    molt_message_set_from(root, cb->is_call ? cb->from : (struct molt_from){0});
    size_t bytes = 0;
    for (struct molt_block *b = root; b; b = molt_message_next(root, b))
        bytes += molt_block_bytes(b);
    molt_owner_count(&p->owner, -bytes);
    molt_message_address(root, &p->rt->sends.owner);
    molt_process_count_mail(p, 1);
    return true;
}

/* Whether the message at hand stays with the machine. */
static bool postpone(struct molt_process *p, struct molt_activation *act, bool is_stop)
{
    struct molt_statem *core = &p->machine->core;
    struct molt_machine_event *message = message_of(core->event);
    if (!core->is_postponed)
        return false;
    if (!is_stop && park(p, act, message->root))
        return true;
    molt_statem_unpostpone(core);
    if (!is_stop) {
        char label[128];
        molt_process_label(p, label, sizeof(label));
        molt_runtime_log(p->rt, MOLT_ERR,
                         "%s: a message was postponed, and kept, sent or freed, too; it will not "
                         "come again",
                         label);
    }
    return false;
}

static void note_state(struct molt_machine *m, const struct molt_server_ref *ref)
{
    const char *name = ref && ref->states ? ref->states->state[m->core.state].name : NULL;
    snprintf(m->state_name, sizeof(m->state_name), "%s", name ? name : "?");
}

void molt_machine_end(struct molt_process *p, struct molt_activation *act,
                      const struct molt_server_ref *ref)
{
    struct molt_machine *m = p->machine;
    struct molt_callback *cb = &act->callback;
    if (cb->kind == MOLT_CALLBACK_TERMINATE)
        return;
    if (!m->core.is_handling)
        molt_statem_begin(&m->core);
    bool is_stop = cb->rc < 0 || cb->rc == MOLT_STOP;
    struct molt_machine_event *message = message_of(m->core.event);
    bool is_kept = postpone(p, act, is_stop);
    /* on_other can't answer. */
    if (!is_kept && cb->is_call && cb->kind == MOLT_CALLBACK_OTHER)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, MOLT_ETYPE, NULL);
    if (is_kept || cb->kind == MOLT_CALLBACK_OTHER)
        cb->is_call = false;
    (void)molt_statem_done(&m->core, is_stop ? -1 : 0);
    if (message && !is_kept)
        give_back(m, message);
    if (molt_machine_must_enter(m))
        note_state(m, ref);
    go_on(p);
}

/* ---- upgrades ------------------------------------------------------------------------ */

static uint8_t find_state(const struct molt_state_table *table, const char *name)
{
    for (uint8_t i = 0; i < MOLT_STATES_MAX && table->state[i].name; i++)
        if (strcmp(table->state[i].name, name) == 0)
            return i;
    return MOLT_STATEM_GONE;
}

static int refuse_kind(struct molt_process *p, const struct molt_server_ref *next,
                       struct molt_error *err)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    return molt_error_set(err, MOLT_EREFUSED,
                          "%s runs server '%s', which would %s a state machine: end it first, or "
                          "give the new server another name",
                          label, next->desc->name,
                          molt_process_is_machine(p) ? "cease to be" : "become");
}

static int refuse_state(struct molt_process *p, const struct molt_server_ref *next,
                        struct molt_error *err)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    return molt_error_set(err, MOLT_EREFUSED,
                          "%s is in state %s, which server '%s' would no longer have: keep the "
                          "state until no process is in it",
                          label, p->machine->state_name, next->desc->name);
}

int molt_machine_prepare(struct molt_process *p, const struct molt_server_ref *now,
                         const struct molt_server_ref *next, struct molt_error *err)
{
    /* Before its init it is neither. */
    if (!now || !next || atomic_load_explicit(&p->phase, memory_order_relaxed) == MOLT_PHASE_NEW)
        return 0;
    if (molt_process_is_machine(p) != (next->states != NULL))
        return refuse_kind(p, next, err);
    if (!molt_process_is_machine(p))
        return 0;
    struct molt_machine *m = p->machine;
    memset(m->map, MOLT_STATEM_GONE, sizeof(m->map));
    for (int i = 0; now->states && i < MOLT_STATES_MAX && now->states->state[i].name; i++)
        m->map[i] = find_state(next->states, now->states->state[i].name);
    return m->map[m->core.state] == MOLT_STATEM_GONE ? refuse_state(p, next, err) : 0;
}

void molt_machine_adopt(struct molt_process *p)
{
    if (molt_process_is_machine(p))
        molt_statem_renumber(&p->machine->core, p->machine->map);
}

/* ---- looking ------------------------------------------------------------------------- */

bool molt_machine_each(const struct molt_process *p,
                       bool (*fn)(void *user, const struct molt_block *root), void *user)
{
    if (!molt_process_is_machine(p))
        return true;
    struct molt_statem *core = &p->machine->core;
    struct molt_list *lists[] = {&core->postponed, &core->queue, &core->mail, &core->inserted};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        for (struct molt_list *node = lists[i]->next; node != lists[i]; node = node->next) {
            struct molt_machine_event *message =
                message_of(molt_container_of(node, struct molt_statem_event, link));
            if (message && !fn(user, message->root))
                return false;
        }
    return true;
}

void molt_machine_describe_unhandled(const struct molt_process *p, char *buf, size_t size)
{
    snprintf(buf, size, "it has no handler for that in state %s", p->machine->state_name);
}

void molt_machine_describe(const struct molt_process *p, char *buf, size_t size)
{
    size_t len = strlen(buf);
    if (molt_process_is_machine(p) && p->machine->state_name[0] && len < size)
        snprintf(buf + len, size - len, "%sstate %s", len ? ", " : "", p->machine->state_name);
}
