/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * After a handler has returned, in this order (as gen_statem does it):
 *
 * 1. its event goes back to the caller, or to the postponed ones;
 * 2. if the state changes: the state timeout is cancelled, what was postponed
 *    goes to the front of the queue, and the new state is entered;
 * 3. inserted events go to the front of that;
 * 4. timeouts that the handler, or the enter handler, asked for are set; those
 *    of no time go to the end of the queue;
 * 5. the queue is handled, then mail. Any event cancels the event timeout.
 */
#include "runtime/statem.h"

#include <assert.h>
#include <string.h>

void molt_statem_init(struct molt_statem *m, int state)
{
    memset(m, 0, sizeof(*m));
    molt_list_init(&m->queue);
    molt_list_init(&m->mail);
    molt_list_init(&m->postponed);
    molt_list_init(&m->inserted);
    for (int slot = 0; slot < MOLT_STATEM_SLOTS; slot++) {
        molt_list_init(&m->timeout[slot].event.link);
        m->timeout[slot].event.slot = slot;
    }
    m->state = m->old_state = m->next_state = state;
    m->must_enter = true;
}

void molt_statem_start(struct molt_statem *m)
{
    m->is_handling = m->is_starting = true;
    m->must_enter = false;
}

void molt_statem_offer(struct molt_statem *m, struct molt_statem_event *event)
{
    event->slot = -1;
    molt_list_append(&m->mail, &event->link);
}

/* A number is never used twice, so what fires late finds nothing. */
void molt_statem_fired(struct molt_statem *m, uint64_t ref)
{
    for (int slot = 0; slot < MOLT_STATEM_SLOTS; slot++) {
        struct molt_statem_timeout *t = &m->timeout[slot];
        if (!t->is_armed || t->ref != ref)
            continue;
        t->is_armed = false;
        molt_list_append(&m->mail, &t->event.link);
    }
}

/* ---- timeouts ----------------------------------------------------------- */

static void cancel(struct molt_statem *m, int slot)
{
    struct molt_statem_timeout *t = &m->timeout[slot];
    if (t->is_armed)
        m->disarm |= 1u << slot;
    t->is_set = t->is_armed = false;
    molt_list_unlink(&t->event.link);
}

/* Set what was asked for first; true if that takes a timer. */
static bool set_next(struct molt_statem *m, struct molt_statem_action *ret)
{
    int slot = m->wanted[0];
    struct molt_statem_timeout *t = &m->timeout[slot];
    memmove(m->wanted, m->wanted + 1, --m->n_wanted);
    t->is_wanted = false;
    cancel(m, slot);
    if (t->wanted_ms < 0)
        return false;
    t->is_set = true;
    if (t->wanted_ms == 0) {
        molt_list_append(&m->queue, &t->event.link);
        return false;
    }
    t->is_armed = true;
    t->ref = ++m->last_ref;
    m->disarm &= ~(1u << slot);
    *ret = (struct molt_statem_action){.kind = MOLT_STATEM_ARM,
                                       .slot = slot,
                                       .ref = t->ref,
                                       .ms = t->wanted_ms};
    return true;
}

static void disarm_one(struct molt_statem *m, struct molt_statem_action *ret)
{
    int slot = __builtin_ctz(m->disarm);
    m->disarm &= m->disarm - 1;
    *ret = (struct molt_statem_action){.kind = MOLT_STATEM_DISARM,
                                       .slot = slot,
                                       .ref = m->timeout[slot].ref};
}

/* ---- drawing actions ---------------------------------------------------- */

static void begin_handler(struct molt_statem *m, struct molt_statem_event *event, bool is_entering)
{
    m->is_handling = true;
    m->is_entering = is_entering;
    m->event = event;
    m->next_state = m->state;
    m->is_postponed = m->is_repeated = false;
}

static bool handle_next(struct molt_statem *m, struct molt_statem_action *ret)
{
    struct molt_list *from = molt_list_is_empty(&m->queue) ? &m->mail : &m->queue;
    if (molt_list_is_empty(from))
        return false;
    struct molt_statem_event *event = molt_container_of(from->next, struct molt_statem_event, link);
    molt_list_unlink(&event->link);
    if (event->slot >= 0)
        m->timeout[event->slot].is_set = false;
    cancel(m, MOLT_STATEM_EVENT_TIMEOUT);
    begin_handler(m, event, false);
    *ret = (struct molt_statem_action){.kind = MOLT_STATEM_HANDLE,
                                       .event = event,
                                       .slot = event->slot};
    return true;
}

bool molt_statem_next(struct molt_statem *m, struct molt_statem_action *ret)
{
    assert(!m->is_handling);
    if (m->is_stopped)
        return false;
    if (m->must_enter) {
        m->must_enter = false;
        begin_handler(m, NULL, true);
        *ret = (struct molt_statem_action){.kind = MOLT_STATEM_ENTER, .old_state = m->old_state};
        return true;
    }
    while (m->n_wanted)
        if (set_next(m, ret))
            return true;
    if (!m->disarm)
        return handle_next(m, ret);
    disarm_one(m, ret);
    return true;
}

bool molt_statem_is_due(const struct molt_statem *m)
{
    return !m->is_stopped && (m->must_enter || m->n_wanted > 0 || m->disarm != 0 ||
                              !molt_list_is_empty(&m->queue) || !molt_list_is_empty(&m->mail));
}

void molt_statem_begin(struct molt_statem *m)
{
    assert(!m->is_handling);
    cancel(m, MOLT_STATEM_EVENT_TIMEOUT);
    begin_handler(m, NULL, false);
}

/* ---- inside a handler --------------------------------------------------- */

int molt_statem_go(struct molt_statem *m, int state)
{
    if (!m->is_handling || m->is_entering || state < 0 || state >= MOLT_STATEM_STATES_MAX)
        return MOLT_EINVAL;
    m->next_state = state;
    return 0;
}

int molt_statem_repeat(struct molt_statem *m)
{
    if (!m->is_handling || m->is_entering || m->is_starting)
        return MOLT_EINVAL;
    m->is_repeated = true;
    return 0;
}

int molt_statem_postpone(struct molt_statem *m)
{
    if (!m->is_handling || !m->event || m->event->slot >= 0)
        return MOLT_EINVAL;
    m->is_postponed = true;
    return 0;
}

void molt_statem_unpostpone(struct molt_statem *m)
{
    m->is_postponed = false;
}

int molt_statem_insert(struct molt_statem *m, struct molt_statem_event *event)
{
    if (!m->is_handling || m->is_entering)
        return MOLT_EINVAL;
    event->slot = -1;
    molt_list_append(&m->inserted, &event->link);
    return 0;
}

int molt_statem_set_timeout(struct molt_statem *m, int slot, int ms)
{
    if (!m->is_handling || slot < 0 || slot >= MOLT_STATEM_SLOTS)
        return MOLT_EINVAL;
    struct molt_statem_timeout *t = &m->timeout[slot];
    t->wanted_ms = ms;
    if (!t->is_wanted)
        m->wanted[m->n_wanted++] = (unsigned char)slot;
    t->is_wanted = true;
    return 0;
}

/* ---- after a handler ---------------------------------------------------- */

static void put_in_front(struct molt_list *queue, struct molt_list *events)
{
    molt_list_splice(events, queue);
    molt_list_splice(queue, events);
}

static void change_state(struct molt_statem *m)
{
    m->old_state = m->state;
    m->state = m->next_state;
    m->must_enter = true;
    cancel(m, MOLT_STATEM_STATE_TIMEOUT);
    put_in_front(&m->queue, &m->postponed);
}

bool molt_statem_done(struct molt_statem *m, int rc)
{
    assert(m->is_handling);
    m->is_handling = false;
    bool is_kept = rc >= 0 && m->is_postponed;
    if (is_kept)
        molt_list_append(&m->postponed, &m->event->link);
    if (rc < 0) {
        m->is_stopped = true;
    } else if (m->is_starting) {
        m->state = m->old_state = m->next_state;
        m->must_enter = true;
    } else if (m->next_state != m->state) {
        change_state(m);
    } else if (m->is_repeated) {
        m->old_state = m->state;
        m->must_enter = true;
    }
    put_in_front(&m->queue, &m->inserted);
    m->is_starting = false;
    m->event = NULL;
    return !is_kept;
}

void molt_statem_renumber(struct molt_statem *m, const uint8_t map[MOLT_STATEM_STATES_MAX])
{
    assert(!m->is_handling && map[m->state] < MOLT_STATEM_STATES_MAX);
    m->state = m->next_state = map[m->state];
    /* As if it had always been in this one. */
    m->old_state = map[m->old_state] == MOLT_STATEM_GONE ? m->state : map[m->old_state];
}

struct molt_statem_event *molt_statem_take(struct molt_statem *m)
{
    struct molt_list *lists[] = {&m->postponed, &m->queue, &m->mail, &m->inserted};
    for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        while (!molt_list_is_empty(lists[i])) {
            struct molt_statem_event *event =
                molt_container_of(lists[i]->next, struct molt_statem_event, link);
            molt_list_unlink(&event->link);
            if (event->slot < 0)
                return event;
        }
    return NULL;
}
