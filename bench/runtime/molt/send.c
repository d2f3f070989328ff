/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* One-way messages to one receiver, from n senders. A sender hands over a batch,
 * then gives way to others by a message to itself. */
#include "measure.h"

#define BATCH 1024 /* as many as the channel of the Go program holds */

struct item {
    uint64_t value;
};

struct more {
    int unused;
};

struct quota {
    molt_pid receiver;
    uint64_t n;
};

struct sender {
    molt_pid receiver;
    uint64_t left;
};

static int send_batch(struct sender *s)
{
    for (unsigned i = 0; i < BATCH && s->left > 0; i++, s->left--) {
        struct item *item = molt_new(struct item);
        if (!item)
            return MOLT_ENOMEM;
        item->value = s->left;
        molt_send_pid(s->receiver, item);
    }
    if (s->left == 0)
        return 0;
    struct more *more = molt_new(struct more);
    return more ? molt_send_pid(molt_self(), more) : MOLT_ENOMEM;
}

static int on_quota(struct sender *s, struct quota *quota)
{
    *s = (struct sender){quota->receiver, quota->n};
    return send_batch(s);
}

static int on_more(struct sender *s, struct more *more)
{
    (void)more;
    return send_batch(s);
}

static int sender_where(struct sender *s, struct where *where, struct molt_from *from)
{
    (void)s;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(sender, struct sender,
            .on = {MOLT_CAST(struct quota, on_quota), MOLT_CAST(struct more, on_more),
                   MOLT_CALL(struct where, sender_where)});

struct receiver {
    uint64_t left, sum, began_ns, began_cpu;
    struct molt_from waiter;
};

/* Have each of @senders send @each items; answered when all have come. */
struct expect {
    molt_pid *senders;
    uint64_t n_senders, each;
};

static int on_expect(struct receiver *s, struct expect *expect, struct molt_from *from)
{
    *s = (struct receiver){.left = expect->n_senders * expect->each, .waiter = *from};
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < expect->n_senders; i++) {
        struct quota *quota = molt_new(struct quota);
        if (!quota)
            return MOLT_ENOMEM;
        *quota = (struct quota){molt_self(), expect->each};
        molt_send_pid(expect->senders[i], quota);
    }
    return 0;
}

static int on_item(struct receiver *s, struct item *item)
{
    s->sum += item->value;
    if (--s->left > 0)
        return 0;
    struct outcome *outcome = molt_new(struct outcome);
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

static int receiver_where(struct receiver *s, struct where *where, struct molt_from *from)
{
    (void)s;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(receiver, struct receiver,
            .on = {MOLT_CALL(struct expect, on_expect), MOLT_CAST(struct item, on_item),
                   MOLT_CALL(struct where, receiver_where)});

static int receive_all(struct measure *m, molt_pid receiver, const molt_pid *senders)
{
    struct expect *expect = molt_new(struct expect);
    struct outcome *outcome = NULL;
    if (!expect)
        return MOLT_ENOMEM;
    *expect = (struct expect){molt_new_array(molt_pid, m->n), m->n, m->ops / m->n + 1};
    if (!expect->senders)
        return MOLT_ENOMEM;
    memcpy(expect->senders, senders, m->n * sizeof(*senders));
    m->done_ops = expect->n_senders * expect->each;
    int rc = molt_call_pid(receiver, expect, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    molt_free(outcome);
    return 0;
}

static int one_way(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid receiver, *senders = molt_new_array(molt_pid, m.n);
    if (!senders)
        return MOLT_ENOMEM;
    int rc = molt_spawn("receiver", NULL, NULL, &receiver);
    for (uint64_t i = 0; i < m.n && rc >= 0; i++)
        rc = m.is_across ? measure_spawn_across("sender", receiver, &senders[i])
                         : molt_spawn("sender", NULL, NULL, &senders[i]);
    while (rc >= 0 && measure_next(&m))
        rc = receive_all(&m, receiver, senders);
    if (rc >= 0)
        rc = measure_check(&m, receiver, senders[0]);
    return rc < 0 ? measure_fail(&m, "send", rc) : measure_answer(&m);
}

MOLT_ROUTES({"GET", "/send", one_way});
