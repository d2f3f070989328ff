/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A message that goes round in a ring of n processes. */
#include "measure.h"

struct token {
    uint64_t left;
    molt_pid referee;
};

struct link {
    molt_pid next;
};

struct member {
    molt_pid next;
};

static int member_init(struct member *s, const struct link *link)
{
    s->next = link ? link->next : 0;
    return 0;
}

/* The ring is closed when its last member exists. */
static int on_link(struct member *s, struct link *link)
{
    s->next = link->next;
    return 0;
}

static int on_token(struct member *s, struct token *token)
{
    molt_pid to = token->left-- > 0 ? s->next : token->referee;
    return molt_send_pid(to, token);
}

MOLT_SERVER(member, struct member, .init = MOLT_FN(member_init),
            .on = {MOLT_CAST(struct link, on_link), MOLT_CAST(struct token, on_token)});

struct tour {
    molt_pid first;
    uint64_t hops;
};

struct starter {
    struct molt_from waiter;
    uint64_t began_ns, began_cpu;
};

static int on_tour(struct starter *s, struct tour *tour, struct molt_from *from)
{
    struct token *token = molt_new(struct token);
    if (!token)
        return MOLT_ENOMEM;
    *token = (struct token){tour->hops, molt_self()};
    s->waiter = *from;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    return molt_send_pid(tour->first, token);
}

static int on_end(struct starter *s, struct token *token)
{
    struct outcome *outcome = molt_new(struct outcome);
    (void)token;
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

MOLT_SERVER(starter, struct starter,
            .on = {MOLT_CALL(struct tour, on_tour), MOLT_CAST(struct token, on_end)});

static int make_ring(uint64_t n, molt_pid *ret_first)
{
    molt_pid first = 0, next = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct link *link = molt_new(struct link);
        if (!link)
            return MOLT_ENOMEM;
        link->next = next;
        int rc = molt_spawn("member", NULL, link, &next);
        if (rc < 0)
            return rc;
        first = first ? first : next;
    }
    struct link *link = molt_new(struct link);
    if (!link)
        return MOLT_ENOMEM;
    link->next = next;
    *ret_first = first;
    return molt_send_pid(first, link);
}

static int tour(struct measure *m, molt_pid starter, molt_pid first)
{
    struct tour *tour = molt_new(struct tour);
    struct outcome *outcome = NULL;
    if (!tour)
        return MOLT_ENOMEM;
    *tour = (struct tour){first, m->ops};
    int rc = molt_call_pid(starter, tour, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    m->done_ops = m->ops;
    molt_free(outcome);
    return 0;
}

static int ring(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid starter, first = 0;
    int rc = molt_spawn("starter", NULL, NULL, &starter);
    if (rc >= 0)
        rc = make_ring(m.n, &first);
    while (rc >= 0 && measure_next(&m))
        rc = tour(&m, starter, first);
    return rc < 0 ? measure_fail(&m, "ring", rc) : measure_answer(&m);
}

MOLT_ROUTES({"GET", "/ring", ring});
