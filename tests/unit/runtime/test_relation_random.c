/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Processes link, monitor, trap, give up and end in any order, told to by
 * several threads; afterwards the records are compared with what must be so:
 *
 * - each monitor has told exactly once if its target ended, with the reason of
 *   that end, and not at all if it was given up or the target lives;
 * - each link to a process that ended was heard of exactly once by who traps,
 *   and was the end of who doesn't, if the reason was not 0.
 *
 * The commands follow from the seed: MOLT_TEST_SEED=n repeats them. How the
 * threads interleave doesn't.
 */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

#define PROCESSES 300
#define OBSERVERS 40 /* the first ones: they trap exits, and nobody ends them */
#define THREADS 3
#define COMMANDS 4000
#define TIES 4000

/* What a process knows of its own relations; written by its own callbacks. */
struct tie {
    bool is_monitor, is_given_up;
    int target; /* index */
    uint64_t ref;
    int n_told, reason;
};

struct member {
    molt_pid pid;
    size_t n_ties;
    struct tie *ties; /* of observers */
    atomic_int end;   /* 1: lives; else the reason */
    int n_wrong;
};

static struct fake_module module;
static struct member members[PROCESSES];
static atomic_size_t n_bystanders;
static unsigned long seed;

struct dice {
    uint64_t x;
};

static unsigned roll(struct dice *d, unsigned n)
{
    d->x ^= d->x << 13; /* xorshift64 (Marsaglia, 2003) */
    d->x ^= d->x >> 7;
    d->x ^= d->x << 17;
    return (unsigned)(d->x >> 33) % n;
}

static int index_of(molt_pid pid)
{
    for (int i = 0; i < PROCESSES; i++)
        if (members[i].pid == pid)
            return i;
    return -1;
}

/* ---- what a process does ---------------------------------------------------------- */

enum verb { LINK, UNLINK, MONITOR, DEMONITOR, TRAP, VERBS };

struct command {
    enum verb verb;
    int self, target;
    unsigned dice;
};
FAKE_TYPE(command, struct command, 0xc0);

static struct tie *live_tie(struct member *m, bool is_monitor, int target)
{
    for (size_t i = 0; i < m->n_ties; i++) {
        struct tie *t = &m->ties[i];
        if (t->is_monitor == is_monitor && t->target == target && !t->is_given_up && !t->n_told)
            return t;
    }
    return NULL;
}

static void add_tie(struct member *m, bool is_monitor, int target, uint64_t ref)
{
    if (m->n_ties < TIES)
        m->ties[m->n_ties++] = (struct tie){.is_monitor = is_monitor, .target = target, .ref = ref};
}

static void obey_observer(struct member *m, const struct command *c)
{
    molt_pid target = members[c->target].pid;
    struct tie *t;
    uint64_t ref;
    if (m->n_ties == TIES)
        return;
    switch (c->verb) {
    case LINK:
        assert_int_equal(molt_link(target), 0);
        if (target != m->pid && !live_tie(m, false, c->target))
            add_tie(m, false, c->target, 0);
        break;
    case UNLINK:
        assert_int_equal(molt_unlink(target), 0);
        if ((t = live_tie(m, false, c->target)))
            t->is_given_up = true;
        break;
    case MONITOR:
        assert_int_equal(molt_monitor(target, &ref), 0);
        add_tie(m, true, c->target, ref);
        break;
    case DEMONITOR:
        t = m->n_ties ? &m->ties[c->dice % m->n_ties] : NULL;
        if (!t || !t->is_monitor)
            break;
        assert_int_equal(molt_demonitor(t->ref), t->n_told || t->is_given_up ? MOLT_ENOENT : 0);
        t->is_given_up |= t->n_told == 0;
        break;
    default:
        break;
    }
}

/* Others have no books, and observers are let alone by them: so each tie of an
 * observer is its own doing. */
static void obey(const struct command *c)
{
    molt_pid target = members[c->target].pid;
    uint64_t ref;
    int rc = 0;
    switch (c->verb) {
    case LINK:
        if (c->target >= OBSERVERS)
            rc = molt_link(target);
        break;
    case UNLINK:
        if (c->target >= OBSERVERS)
            rc = molt_unlink(target);
        break;
    case MONITOR:
        rc = molt_monitor(target, &ref);
        if (rc == 0 && c->dice % 2)
            rc = molt_demonitor(ref);
        break;
    case TRAP:
        rc = molt_trap_exit((int)(c->dice % 2));
        break;
    default:
        break;
    }
    assert_int_equal(rc, 0);
}

static int on_command(struct fake_state *s, struct command *c)
{
    s->n++;
    if (c->self < OBSERVERS)
        obey_observer(&members[c->self], c);
    else
        obey(c);
    fake_add(ACTOR_OTHER, 1);
    return 0;
}

static int note_told(struct tie *t, int reason)
{
    t->n_told++;
    t->reason = reason;
    return 0;
}

static int on_exit_heard(struct fake_state *s, const struct molt_exit *e)
{
    (void)s;
    int self = index_of(molt_self());
    if (self >= OBSERVERS)
        return 0;
    struct tie *t = live_tie(&members[self], false, index_of(e->pid));
    members[self].n_wrong += !t;
    return t ? note_told(t, e->reason) : 0;
}

static int on_down_heard(struct fake_state *s, const struct molt_down *d)
{
    (void)s;
    int self = index_of(molt_self());
    if (self >= OBSERVERS)
        return 0;
    struct member *m = &members[self];
    for (size_t i = 0; i < m->n_ties; i++) {
        struct tie *t = &m->ties[i];
        if (!t->is_monitor || t->ref != d->ref)
            continue;
        m->n_wrong += t->n_told || t->is_given_up || members[t->target].pid != d->pid;
        return note_told(t, d->reason);
    }
    m->n_wrong++;
    return 0;
}

static void on_terminate(struct fake_state *s, int reason)
{
    (void)s;
    atomic_store(&members[index_of(molt_self())].end, reason);
}

/* ---- who tells them -------------------------------------------------------------------- */

static void command(struct dice *dice)
{
    struct command *c = fake_new(struct command, command);
    *c = (struct command){.verb = (enum verb)roll(dice, VERBS),
                          .self = (int)roll(dice, roll(dice, 2) ? OBSERVERS : PROCESSES),
                          .target = (int)roll(dice, PROCESSES),
                          .dice = roll(dice, 1u << 20)};
    int rc = molt_send_pid(members[c->self].pid, c);
    assert_true(rc == 0 || rc == MOLT_EDEAD);
}

static void end_somebody(struct dice *dice)
{
    static const int reasons[] = {0, 0, 0, MOLT_EIO, MOLT_EKILLED};
    int victim = OBSERVERS + (int)roll(dice, PROCESSES - OBSERVERS);
    int reason = reasons[roll(dice, 5)];
    int rc = molt_exit(members[victim].pid, reason);
    assert_true(rc == 0 || rc == MOLT_EDEAD);
}

/* In the slot of somebody who ended, perhaps; what comes late must not hit it. */
static void add_bystander(void)
{
    assert_int_equal(molt_spawn("deaf", NULL, NULL, NULL), 0);
    atomic_fetch_add(&n_bystanders, 1);
}

static void *tell_them(void *arg)
{
    struct molt_thread *thread;
    struct dice dice = {seed * 2654435761u + (uintptr_t)arg * 97 + 1};
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "teller", &thread), 0);
    for (int i = 0; i < COMMANDS; i++) {
        if (roll(&dice, 40) == 0)
            end_somebody(&dice);
        else if (roll(&dice, 40) == 0)
            add_bystander();
        else
            command(&dice);
        if (i % 64 == 0)
            molt_safepoint(thread);
    }
    molt_thread_unregister(thread);
    return NULL;
}

/* ---- what must be so ----------------------------------------------------------------------- */

static void check_tie(const struct tie *t)
{
    int end = atomic_load(&members[t->target].end);
    if (t->is_given_up)
        assert_int_equal(t->n_told, 0);
    else if (t->target < OBSERVERS)
        assert_int_equal(t->n_told, 0); /* it lives */
    else
        assert_int_equal(t->n_told, 1);
    if (t->n_told && t->reason != MOLT_EDEAD)
        assert_int_equal(t->reason, end == 1 ? MOLT_EKILLED : end);
}

static void check(void)
{
    size_t n_told = 0;
    for (int i = 0; i < OBSERVERS; i++) {
        assert_int_equal(members[i].n_wrong, 0);
        assert_int_equal(atomic_load(&members[i].end), 1);
        for (size_t k = 0; k < members[i].n_ties; k++) {
            check_tie(&members[i].ties[k]);
            n_told += (size_t)members[i].ties[k].n_told;
        }
    }
    assert_true(n_told > 0);
}

static void do_trap(void *arg)
{
    (void)arg;
    assert_int_equal(molt_trap_exit(1), 0);
}

static void nothing_is_lost_doubled_or_late(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < OBSERVERS; i++)
        actor_do(members[i].pid, do_trap, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, tell_them, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* Whoever still lives, but for the observers, ends now. */
    for (int i = OBSERVERS; i < PROCESSES; i++)
        (void)molt_exit(members[i].pid, i % 2 ? MOLT_EKILLED : MOLT_EIO);
    for (int i = OBSERVERS; i < PROCESSES; i++)
        (void)molt_exit(members[i].pid, MOLT_EKILLED); /* who trapped that */
    fake_await_processes(OBSERVERS + atomic_load(&n_bystanders));
    /* Each notice of an end was in its mailbox before the last of the others was gone.
     * But an observer may still have had commands before it, and one that relates it to
     * who is gone tells it at once, which is behind the first of these two. */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < OBSERVERS; i++)
            actor_sync(members[i].pid);
    check();
}

/* ---- links end processes in groups ----------------------------------------------------------- */

static void do_link_to(void *arg)
{
    assert_int_equal(molt_link(*(molt_pid *)arg), 0);
}

/* A forest of links: one end takes its tree along, and nobody else. */
static void an_end_spreads_over_links_and_no_further(void **state)
{
    (void)state;
    struct dice dice = {seed * 7919u + 3};
    int tree[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        tree[i] = i;
        if (i < 10)
            continue;
        int parent = (int)roll(&dice, (unsigned)i);
        tree[i] = tree[parent];
        bool is_up = roll(&dice, 2);
        actor_do(members[is_up ? i : parent].pid, do_link_to, &members[is_up ? parent : i].pid);
    }
    size_t left = PROCESSES;
    for (int round = 0; round < 10; round++) {
        int victim = (int)roll(&dice, PROCESSES), n = 0;
        if (atomic_load(&members[victim].end) != 1)
            continue;
        for (int i = 0; i < PROCESSES; i++)
            n += tree[i] == tree[victim];
        assert_int_equal(molt_exit(members[victim].pid, -100 - round), 0);
        fake_await_processes(left -= (size_t)n);
        for (int i = 0; i < PROCESSES; i++)
            if (tree[i] == tree[victim])
                assert_int_equal(atomic_load(&members[i].end), -100 - round);
    }
    for (int i = 0; i < PROCESSES; i++)
        if (atomic_load(&members[i].end) == 1)
            actor_sync(members[i].pid);
}

/* ---- fixture ---- */

static int setup(void **state)
{
    static struct fake f;
    actors_start(&f, &module, 3);
    atomic_store(&n_bystanders, 0);
    struct fake_server *s = &module.servers[0];
    s->desc.on_exit = MOLT_FN(on_exit_heard);
    s->desc.on_down = MOLT_FN(on_down_heard);
    s->desc.terminate = MOLT_FN(on_terminate);
    fake_on(s, MOLT_HANDLER_CAST, &command_type, MOLT_FN(on_command));
    fake_publish(&f, &module);
    for (int i = 0; i < PROCESSES; i++) {
        struct member *m = &members[i];
        free(m->ties);
        memset(m, 0, sizeof(*m));
        atomic_store(&m->end, 1);
        if (i < OBSERVERS)
            m->ties = calloc(TIES, sizeof(*m->ties));
        m->pid = actor_new();
    }
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    for (int i = 0; i < PROCESSES; i++) {
        free(members[i].ties);
        members[i].ties = NULL;
    }
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const char *given = getenv("MOLT_TEST_SEED");
    seed = given ? strtoul(given, NULL, 10) : molt_clock_ns() % 1000000 + 1;
    print_message("MOLT_TEST_SEED=%lu\n", seed);
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_lost_doubled_or_late),
        TEST(an_end_spreads_over_links_and_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
