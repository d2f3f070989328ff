/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "counter.h"

#include <molt/molt.h>

struct counter { /* the state: any C struct */
    long n;
};
struct next { /* a request */
    long by;
};
struct total { /* its reply */
    long n;
};

static int init(struct counter *c, const long *first)
{
    c->n = first ? *first : 0;
    return 0;
}

static int on_next(struct counter *c, struct next *m, struct molt_from *from)
{
    struct total *t = molt_new(struct total);
    if (!t)
        return molt_reply_error(from, MOLT_ENOMEM);
    t->n = c->n += m->by;
    return molt_reply(from, t); /* consumed */
}

MOLT_SERVER(counter, struct counter, .init = MOLT_FN(init),
            .on = {MOLT_CALL(struct next, on_next)});

long counter_next(void) /* runs in the caller's process */
{
    struct next *m = molt_new(struct next);
    struct total *t = NULL;
    if (!m)
        return MOLT_ENOMEM;
    m->by = 1;
    int rc = molt_call("counter", m, &t, 1000); /* m consumed, t ours, milliseconds */
    long n = rc < 0 ? rc : t->n;
    molt_free(t);
    return n;
}
