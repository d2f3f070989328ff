/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Pairs of processes that play a message to and fro; n pairs at once. */
#include "measure.h"

struct ball {
    molt_pid from;
};

struct play {
    molt_pid peer, referee;
    uint64_t rounds;
};

struct player {
    molt_pid peer, referee;
    uint64_t left;
};

struct nobody {
    int unused;
};

/* Serve: the first player is told how many rounds, with whom, and for whom. */
static int on_play(struct player *p, struct play *play)
{
    struct ball *ball = molt_new(struct ball);
    if (!ball)
        return MOLT_ENOMEM;
    *p = (struct player){play->peer, play->referee, play->rounds};
    ball->from = molt_self();
    return molt_send_pid(p->peer, ball);
}

static int on_ball(struct player *p, struct ball *ball)
{
    if (--p->left > 0) {
        ball->from = molt_self();
        return molt_send_pid(p->peer, ball);
    }
    struct finished *finished = molt_new(struct finished);
    return finished ? molt_send_pid(p->referee, finished) : MOLT_ENOMEM;
}

static int on_return(struct nobody *state, struct ball *ball)
{
    molt_pid to = ball->from;
    (void)state;
    ball->from = molt_self();
    return molt_send_pid(to, ball);
}

static int player_where(struct player *p, struct where *where, struct molt_from *from)
{
    (void)p;
    (void)where;
    return measure_tell(from);
}

static int wall_where(struct nobody *state, struct where *where, struct molt_from *from)
{
    (void)state;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(player, struct player,
            .on = {MOLT_CAST(struct play, on_play), MOLT_CAST(struct ball, on_ball),
                   MOLT_CALL(struct where, player_where)});
MOLT_SERVER(wall, struct nobody,
            .on = {MOLT_CAST(struct ball, on_return), MOLT_CALL(struct where, wall_where)});

/* ---- the referee: starts the players, knows when all of them are done -------- */

struct match {
    uint64_t pairs, rounds;
    molt_pid *players, *walls;
};

struct referee {
    struct molt_from waiter;
    uint64_t left, began_ns, began_cpu;
};

static int on_match(struct referee *s, struct match *match, struct molt_from *from)
{
    s->waiter = *from;
    s->left = match->pairs;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < match->pairs; i++) {
        struct play *play = molt_new(struct play);
        if (!play)
            return MOLT_ENOMEM;
        *play = (struct play){match->walls[i], molt_self(), match->rounds};
        molt_send_pid(match->players[i], play);
    }
    return 0;
}

static int on_finished(struct referee *s, struct finished *finished)
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

MOLT_SERVER(referee, struct referee,
            .on = {MOLT_CALL(struct match, on_match), MOLT_CAST(struct finished, on_finished)});

static int spawn_pairs(struct measure *m, molt_pid *players, molt_pid *walls)
{
    for (uint64_t i = 0; i < m->n; i++) {
        int rc = molt_spawn("player", NULL, NULL, &players[i]);
        if (rc >= 0)
            rc = m->is_across ? measure_spawn_across("wall", players[i], &walls[i])
                              : molt_spawn("wall", NULL, NULL, &walls[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int play(struct measure *m, molt_pid referee, const molt_pid *players, const molt_pid *walls)
{
    uint64_t rounds = m->ops / m->n + 1;
    struct match *match = molt_new(struct match);
    struct outcome *outcome = NULL;
    if (!match)
        return MOLT_ENOMEM;
    match->pairs = m->n;
    match->rounds = rounds;
    match->players = molt_new_array(molt_pid, m->n);
    match->walls = molt_new_array(molt_pid, m->n);
    if (!match->players || !match->walls)
        return MOLT_ENOMEM;
    memcpy(match->players, players, m->n * sizeof(*players));
    memcpy(match->walls, walls, m->n * sizeof(*walls));
    int rc = molt_call_pid(referee, match, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    m->done_ops = rounds * m->n;
    molt_free(outcome);
    return 0;
}

static int pingpong(struct molt_http *r)
{
    struct measure m = measure_begin(r);
    molt_pid referee, *players = molt_new_array(molt_pid, m.n),
                      *walls = molt_new_array(molt_pid, m.n);
    if (!players || !walls)
        return MOLT_ENOMEM;
    int rc = molt_spawn("referee", NULL, NULL, &referee);
    if (rc >= 0)
        rc = spawn_pairs(&m, players, walls);
    while (rc >= 0 && measure_next(&m))
        rc = play(&m, referee, players, walls);
    if (rc >= 0)
        rc = measure_check(&m, players[0], walls[0]);
    return rc < 0 ? measure_fail(&m, "pingpong", rc) : measure_answer(&m);
}

MOLT_ROUTES({"GET", "/pingpong", pingpong});
