/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A door. What it does with a message depends on its state. */
#include "door.h"

#include <molt/statem.h>

enum { LOCKED, SHUT, OPEN };

struct door {
    long n_opened;
};
struct lock {
    char unused;
};
struct unlock {
    char unused;
};
struct push { /* answered when it has opened */
    char unused;
};
struct opened {
    long n;
};

static int unlock(struct door *d, struct unlock *m)
{
    (void)d;
    (void)m;
    return molt_next_state(SHUT);
}

static int lock(struct door *d, struct lock *m)
{
    (void)d;
    (void)m;
    return molt_next_state(LOCKED);
}

static int lock_later(struct door *d, struct lock *m)
{
    (void)d;
    (void)m;
    return molt_postpone(); /* comes again when the state has changed */
}

static int open_it(struct door *d, struct push *m, struct molt_from *from)
{
    (void)m;
    struct opened *o = molt_new(struct opened);
    if (!o)
        return molt_reply_error(from, MOLT_ENOMEM);
    o->n = ++d->n_opened;
    molt_next_state(OPEN);
    return molt_reply(from, o);
}

static int push_later(struct door *d, struct push *m, struct molt_from *from)
{
    (void)d;
    (void)m;
    (void)from;
    return molt_postpone(); /* and the caller waits */
}

static int enter_open(struct door *d, int from)
{
    (void)d;
    (void)from;
    return molt_state_timeout(5000);
}

static int fall_shut(struct door *d)
{
    (void)d;
    return molt_next_state(SHUT);
}

/* What a state doesn't handle has nothing to change. */
static int ignore(struct door *d, const char *type, void *m)
{
    (void)d;
    (void)type;
    (void)m;
    return 0;
}

MOLT_STATEM(door, struct door,
            (MOLT_STATE(LOCKED), MOLT_STATE(SHUT),
             MOLT_STATE(OPEN, .enter = MOLT_FN(enter_open),
                        .on_state_timeout = MOLT_FN(fall_shut))),
            .on = {MOLT_CAST_IN(MOLT_IN(LOCKED), struct unlock, unlock),
                   MOLT_CAST_IN(MOLT_IN(SHUT), struct lock, lock),
                   MOLT_CAST_IN(MOLT_IN(OPEN), struct lock, lock_later),
                   MOLT_CALL_IN(MOLT_IN(SHUT), struct push, open_it),
                   MOLT_CALL_IN(MOLT_IN(LOCKED) | MOLT_IN(OPEN), struct push, push_later)},
            .on_other = MOLT_FN(ignore));

int door_lock(void) /* these run in the caller's process */
{
    struct lock *m = molt_new(struct lock);
    return m ? molt_send("door", m) : MOLT_ENOMEM;
}

int door_unlock(void)
{
    struct unlock *m = molt_new(struct unlock);
    return m ? molt_send("door", m) : MOLT_ENOMEM;
}

long door_push(int timeout_ms)
{
    struct push *m = molt_new(struct push);
    struct opened *o = NULL;
    if (!m)
        return MOLT_ENOMEM;
    int rc = molt_call("door", m, &o, timeout_ms);
    long n = rc < 0 ? rc : o->n;
    molt_free(o);
    return n;
}
