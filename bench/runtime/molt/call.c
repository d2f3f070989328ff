/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Calls of one server by n clients; each waits for its answer, then calls again. */
#include "measure.h"

struct ask {
    uint64_t value;
};

struct answer {
    uint64_t value;
};

struct counter {
    uint64_t value;
};

static int on_ask(struct counter *s, struct ask *ask, struct molt_from *from)
{
    struct answer *answer = molt_new(struct answer);
    if (!answer)
        return MOLT_ENOMEM;
    s->value += ask->value;
    answer->value = s->value;
    return molt_reply(from, answer);
}

static int counter_where(struct counter *s, struct where *where, struct molt_from *from)
{
    (void)s;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(call_counter, struct counter,
            .on = {MOLT_CALL(struct ask, on_ask), MOLT_CALL(struct where, counter_where)});

struct client {
    uint64_t sum;
};

struct work {
    molt_pid server, referee;
    uint64_t n;
};

static int on_work(struct client *s, struct work *work)
{
    for (uint64_t i = 0; i < work->n; i++) {
        struct ask *ask = molt_new(struct ask);
        struct answer *answer = NULL;
        if (!ask)
            return MOLT_ENOMEM;
        ask->value = 1;
        int rc = molt_call_pid(work->server, ask, &answer, -1);
        if (rc < 0)
            return rc;
        s->sum += answer->value;
        molt_free(answer);
    }
    struct finished *finished = molt_new(struct finished);
    return finished ? molt_send_pid(work->referee, finished) : MOLT_ENOMEM;
}

static int client_where(struct client *s, struct where *where, struct molt_from *from)
{
    (void)s;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(call_client, struct client,
            .on = {MOLT_CAST(struct work, on_work), MOLT_CALL(struct where, client_where)});

/* ---- starts the clients, knows when all of them are done ---------------------- */

struct round {
    molt_pid server, *clients;
    uint64_t n_clients, each;
};

struct call_referee {
    struct molt_from waiter;
    uint64_t left, began_ns, began_cpu;
};

static int on_round(struct call_referee *s, struct round *round, struct molt_from *from)
{
    s->waiter = *from;
    s->left = round->n_clients;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < round->n_clients; i++) {
        struct work *work = molt_new(struct work);
        if (!work)
            return MOLT_ENOMEM;
        *work = (struct work){round->server, molt_self(), round->each};
        molt_send_pid(round->clients[i], work);
    }
    return 0;
}

static int on_finished(struct call_referee *s, struct finished *finished)
{
    (void)finished;
    if (--s->left > 0)
        return 0;
    struct outcome *outcome = molt_new(struct outcome);
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

MOLT_SERVER(call_referee, struct call_referee,
            .on = {MOLT_CALL(struct round, on_round), MOLT_CAST(struct finished, on_finished)});

static int call_all(struct measure *m, molt_pid referee, molt_pid server, const molt_pid *clients)
{
    struct round *round = molt_new(struct round);
    struct outcome *outcome = NULL;
    if (!round)
        return MOLT_ENOMEM;
    *round = (struct round){server, molt_new_array(molt_pid, m->n), m->n, m->ops / m->n + 1};
    if (!round->clients)
        return MOLT_ENOMEM;
    memcpy(round->clients, clients, m->n * sizeof(*clients));
    m->done_ops = round->n_clients * round->each;
    int rc = molt_call_pid(referee, round, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    molt_free(outcome);
    return 0;
}

static int call(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid referee, server, *clients = molt_new_array(molt_pid, m.n);
    if (!clients)
        return MOLT_ENOMEM;
    int rc = molt_spawn("call_referee", NULL, NULL, &referee);
    if (rc >= 0)
        rc = molt_spawn("call_counter", NULL, NULL, &server);
    for (uint64_t i = 0; i < m.n && rc >= 0; i++)
        rc = m.is_across ? measure_spawn_across("call_client", server, &clients[i])
                         : molt_spawn("call_client", NULL, NULL, &clients[i]);
    while (rc >= 0 && measure_next(&m))
        rc = call_all(&m, referee, server, clients);
    if (rc >= 0)
        rc = measure_check(&m, server, clients[0]);
    return rc < 0 ? measure_fail(&m, "call", rc) : measure_answer(&m);
}

MOLT_ROUTES({"GET", "/call", call});
