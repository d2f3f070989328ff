/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random state machines as real processes, beside a model that knows lists and
 * nothing else. MOLT_SEED=n runs number n alone.
 *
 * What the nth function of a run does is drawn from the run's number and n, on
 * both sides; so they do the same as long as they are in the same order, and their
 * traces tell where they aren't. Batches of mail are sent while the process waits in
 * a gate, so that it finds the same mailbox each time. Timers are a matter of
 * time: here they go off at once or never.
 *
 * The trace: >AB enters B from A, m7B handles message 7 in B, o8B has on_other do
 * it, r9 receives message 9 inside a handler, t3B is timeout 3.
 */
#include "unit/runtime/actors.h"

#include <molt/statem.h>

#include "runtime/rt.h"
#include "runtime/statem.h"

enum { RUNS = 60, BATCHES = 8, BATCH = 40, EVENTS_MAX = 1500, STATES = 4, LONG_MS = 3600000 };
enum { GATED = 8 };

/* State D has neither `enter` nor a function for named timeouts. */
enum { D = 3 };

/* Message n is of type n % 3: handled everywhere; in A and C alone; nowhere. */
struct mail {
    long id;
    struct mail *more; /* a block of its own with the same id */
};
FAKE_POINTER_TYPE(plain, struct mail, 0xb1, FAKE_PTR(struct mail, more, MOLT_PTR_DATA));
FAKE_POINTER_TYPE(some, struct mail, 0xb2, FAKE_PTR(struct mail, more, MOLT_PTR_DATA));
FAKE_POINTER_TYPE(odd, struct mail, 0xb3, FAKE_PTR(struct mail, more, MOLT_PTR_DATA));
FAKE_TYPE(open, long, 0xb4);

/* ---- what is drawn ----------------------------------------------------------------- */

struct wish {
    int go; /* name of a state, or -1 */
    bool repeat, postpone, receive, stop;
    int n_inserted;
    int n_timeouts, slot[2], ms[2];
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t dice_state;

static unsigned dice(unsigned n)
{
    dice_state += UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(mix(dice_state) >> 33) % n;
}

/* What function number @n of run @run does. */
static struct wish draw(uint64_t run, unsigned n)
{
    uint64_t saved = dice_state;
    dice_state = mix(run * 1000003 + n);
    struct wish w = {.go = dice(3) == 0 ? (int)dice(STATES) : -1,
                     .repeat = dice(8) == 0,
                     .postpone = dice(2) == 0,
                     .receive = dice(6) == 0,
                     .stop = dice(400) == 0,
                     .n_inserted = dice(4) == 0 ? 1 + (int)dice(2) : 0,
                     .n_timeouts = dice(3) == 0 ? 1 + (int)dice(2) : 0};
    for (int i = 0; i < 2; i++) {
        static const int times[] = {-1, 0, 0, LONG_MS};
        w.slot[i] = (int)dice(MOLT_STATEM_SLOTS);
        w.ms[i] = times[dice(4)];
    }
    dice_state = saved;
    return n < EVENTS_MAX ? w : (struct wish){.go = -1};
}

/* ---- the process -------------------------------------------------------------------- */

static uint64_t run;
static unsigned n_drawn;
static long next_id;
static int number_of[STATES], name_of[STATES]; /* of states, in the current world */
static char *trace;                            /* by the process; read when it is at rest */
static size_t trace_len;
#define TRACE_MAX (1 << 18)

__attribute__((format(printf, 3, 4))) static void add(char *to, size_t *len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    *len += (size_t)vsnprintf(to + *len, TRACE_MAX - *len, fmt, ap);
    va_end(ap);
    assert_true(*len < TRACE_MAX - 64);
}

static char here(void)
{
    return (char)('A' + name_of[molt_state()]);
}

static struct mail *new_mail(long id)
{
    struct mail *m = id % 3 == 0   ? fake_new(struct mail, plain)
                     : id % 3 == 1 ? fake_new(struct mail, some)
                                   : fake_new(struct mail, odd);
    m->id = id;
    if (id % 2) {
        m->more = fake_new(struct mail, plain);
        m->more->id = id;
    }
    return m;
}

static void set_timeouts(const struct wish *w)
{
    for (int i = 0; i < w->n_timeouts; i++) {
        int slot = w->slot[i], ms = w->ms[i];
        int rc = slot == MOLT_STATEM_STATE_TIMEOUT   ? molt_state_timeout(ms)
                 : slot == MOLT_STATEM_EVENT_TIMEOUT ? molt_event_timeout(ms)
                                                     : molt_named_timeout(slot, ms);
        assert_int_equal(rc, 0);
    }
}

static void receive_one(void)
{
    struct mail *m;
    if (molt_receive_typed((void **)&m, &plain_tag, NULL, NULL, 0) < 0)
        return;
    add(trace, &trace_len, "r%ld ", m->id);
    molt_free(m->more);
    molt_free(m);
}

static int do_as_drawn(bool is_message)
{
    struct wish w = draw(run, n_drawn++);
    if (w.stop)
        return MOLT_EIO;
    set_timeouts(&w);
    if (w.go >= 0)
        assert_int_equal(molt_next_state(number_of[w.go]), 0);
    if (w.repeat)
        assert_int_equal(molt_repeat_state(), 0);
    if (w.postpone)
        assert_int_equal(molt_postpone(), is_message ? 0 : MOLT_EINVAL);
    for (int i = 0; i < w.n_inserted; i++)
        assert_int_equal(molt_insert(new_mail(next_id++)), 0);
    if (w.receive)
        receive_one();
    return 0;
}

static int on_mail(struct fake_state *s, struct mail *m)
{
    (void)s;
    assert_true(m->id % 2 == 0 || m->more->id == m->id);
    add(trace, &trace_len, "m%ld%c ", m->id, here());
    return do_as_drawn(true);
}

static int on_other(struct fake_state *s, const char *type, struct mail *m)
{
    (void)s;
    (void)type;
    add(trace, &trace_len, "o%ld%c ", m->id, here());
    return do_as_drawn(true);
}

static int enter(struct fake_state *s, int from)
{
    (void)s;
    add(trace, &trace_len, ">%c%c ", 'A' + name_of[from], here());
    struct wish w = draw(run, n_drawn++);
    set_timeouts(&w);
    return 0;
}

static int on_timeout(int slot)
{
    add(trace, &trace_len, "t%d%c ", slot, here());
    return do_as_drawn(false);
}

static int on_state_timeout(struct fake_state *s)
{
    (void)s;
    return on_timeout(MOLT_STATEM_STATE_TIMEOUT);
}

static int on_event_timeout(struct fake_state *s)
{
    (void)s;
    return on_timeout(MOLT_STATEM_EVENT_TIMEOUT);
}

static int on_named_timeout(struct fake_state *s, int name)
{
    (void)s;
    return on_timeout(name);
}

static void wait_at_gate(void *arg)
{
    long *m;
    (void)arg;
    fake_add(GATED, 1);
    if (molt_receive_typed((void **)&m, &open_tag, NULL, NULL, -1) == 0)
        molt_free(m);
}

/* ---- worlds: states in any order -------------------------------------------------------- */

static struct fake f;
static bool has_other;
static const char *const names[STATES] = {"A", "B", "C", "D"};

struct version {
    struct fake_module module;
    struct molt_state_table states;
    int number_of[STATES];
};
static struct version versions[BATCHES + 1];

static void make_version(struct version *v, unsigned number)
{
    for (int i = 0; i < STATES; i++) {
        int k = (int)dice((unsigned)i + 1);
        v->number_of[i] = k == i ? i : v->number_of[k];
        if (k != i)
            v->number_of[k] = i;
    }
    v->states = (struct molt_state_table){.size = sizeof(v->states), .server = "machine"};
    uint32_t in_some = 0;
    for (int i = 0; i < STATES; i++) {
        v->states.state[v->number_of[i]] =
            (struct molt_state_entry){names[i], i == D ? NULL : MOLT_FN(enter),
                                      MOLT_FN(on_state_timeout), MOLT_FN(on_event_timeout),
                                      i == D ? NULL : MOLT_FN(on_named_timeout)};
        in_some |= i % 2 ? 0 : MOLT_IN(v->number_of[i]) << MOLT_HANDLER_STATES_SHIFT;
    }
    fake_module_init(&v->module, "app", number);
    struct fake_server *s = actor_server(&v->module, "machine");
    s->states = &v->states;
    s->desc.on_other = has_other ? MOLT_FN(on_other) : NULL;
    fake_on(s, MOLT_HANDLER_CAST, &plain_type, MOLT_FN(on_mail));
    fake_on(s, MOLT_HANDLER_CAST | in_some, &some_type, MOLT_FN(on_mail));
}

static void use_version(const struct version *v)
{
    for (int i = 0; i < STATES; i++) {
        number_of[i] = v->number_of[i];
        name_of[v->number_of[i]] = i;
    }
}

/* The states get other numbers, while the process is at rest. */
static void upgrade(const struct version *from, struct version *to, unsigned number)
{
    struct molt_error err = {0};
    make_version(to, number);
    struct molt_conversion conv = {.old_world = from->module.world,
                                   .new_world = fake_world(&f, &to->module)};
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    molt_thread_offline(t);
    assert_int_equal(molt_runtime_prepare(f.rt, &conv, 20000, &err), 0);
    assert_int_equal(molt_runtime_hold(f.rt, &conv, 20000, &err), 0);
    use_version(to);
    fake_commit(&f, conv.new_world);
    molt_runtime_adopt(f.rt, &conv, NULL);
    molt_thread_online(t);
}

/* ---- the model --------------------------------------------------------------------------- */

#define LIST_MAX 8192
struct list {
    long v[LIST_MAX]; /* ids of messages; -1 - slot: a timeout; GATE */
    size_t n;
};
#define GATE (-100L)

struct model {
    int state, old_state;
    bool must_enter, is_ended;
    struct list queue, mail, postponed;
    bool is_waiting[MOLT_STATEM_SLOTS]; /* as an event in the queue */
    struct list slots, times;           /* asked for, not yet set */
    unsigned n_drawn;
    long next_id;
    char *trace;
    size_t trace_len;
};

static void push(struct list *l, long v)
{
    assert_true(l->n < LIST_MAX);
    l->v[l->n++] = v;
}

static long take_at(struct list *l, size_t at)
{
    long v = l->v[at];
    memmove(l->v + at, l->v + at + 1, (--l->n - at) * sizeof(*l->v));
    return v;
}

/* @front, which is empty afterwards, before what is in @l. */
static void put_in_front(struct list *l, struct list *front)
{
    assert_true(l->n + front->n <= LIST_MAX);
    memmove(l->v + front->n, l->v, l->n * sizeof(*l->v));
    memcpy(l->v, front->v, front->n * sizeof(*l->v));
    l->n += front->n;
    front->n = 0;
}

/* Of one that runs there is nothing to forget: it never goes off. */
static void cancel(struct model *o, int slot)
{
    for (size_t i = 0; o->is_waiting[slot] && i < o->queue.n; i++)
        if (o->queue.v[i] == -1 - slot)
            (void)take_at(&o->queue, i--);
    o->is_waiting[slot] = false;
}

static void note_timeouts(struct model *o, const struct wish *w)
{
    for (int i = 0; i < w->n_timeouts; i++) {
        size_t at = 0;
        while (at < o->slots.n && o->slots.v[at] != w->slot[i])
            at++;
        if (at == o->slots.n) {
            push(&o->slots, w->slot[i]);
            push(&o->times, 0);
        }
        o->times.v[at] = w->ms[i];
    }
}

static void apply_timeouts(struct model *o)
{
    for (size_t i = 0; i < o->slots.n; i++) {
        int slot = (int)o->slots.v[i];
        cancel(o, slot);
        o->is_waiting[slot] = o->times.v[i] == 0;
        if (o->is_waiting[slot])
            push(&o->queue, -1 - slot);
    }
    o->slots.n = o->times.n = 0;
}

static void model_receive(struct model *o)
{
    for (size_t i = 0; i < o->mail.n; i++)
        if (o->mail.v[i] >= 0 && o->mail.v[i] % 3 == 0) {
            add(o->trace, &o->trace_len, "r%ld ", take_at(&o->mail, i));
            return;
        }
}

static void model_do(struct model *o, long event)
{
    struct wish w = draw(run, o->n_drawn++);
    struct list inserted = {.n = 0};
    if (w.stop) {
        o->is_ended = true;
        return;
    }
    note_timeouts(o, &w);
    for (int i = 0; i < w.n_inserted; i++)
        push(&inserted, o->next_id++);
    if (w.receive)
        model_receive(o);
    if (w.postpone && event >= 0)
        push(&o->postponed, event);
    bool is_change = w.go >= 0 && w.go != o->state;
    if (is_change) {
        cancel(o, MOLT_STATEM_STATE_TIMEOUT);
        put_in_front(&o->queue, &o->postponed);
    }
    if (is_change || w.repeat) {
        o->old_state = o->state;
        o->state = is_change ? w.go : o->state;
        o->must_enter = true;
    }
    put_in_front(&o->queue, &inserted);
}

/* What the state does with @event: 'm' or 'o' or 't', or nothing (0). */
static char function_for(const struct model *o, long event)
{
    if (event < 0)
        return o->state == D && -1 - event < MOLT_STATEM_STATE_TIMEOUT ? 0 : 't';
    bool is_handled = event % 3 == 0 || (event % 3 == 1 && o->state % 2 == 0);
    return is_handled ? 'm' : has_other ? 'o' : 0;
}

static void model_enter(struct model *o)
{
    o->must_enter = false;
    if (o->state == D)
        return;
    add(o->trace, &o->trace_len, ">%c%c ", 'A' + o->old_state, 'A' + o->state);
    struct wish w = draw(run, o->n_drawn++);
    note_timeouts(o, &w);
}

static void model_run(struct model *o)
{
    while (!o->is_ended) {
        if (o->must_enter) {
            model_enter(o);
            continue;
        }
        apply_timeouts(o);
        struct list *from = o->queue.n ? &o->queue : &o->mail;
        if (from->n == 0)
            return;
        long event = take_at(from, 0);
        if (event < 0 && event != GATE)
            o->is_waiting[-1 - event] = false;
        cancel(o, MOLT_STATEM_EVENT_TIMEOUT);
        char what = event == GATE ? 0 : function_for(o, event);
        if (!what)
            continue;
        add(o->trace, &o->trace_len, "%c%ld%c ", what, event < 0 ? -1 - event : event,
            'A' + o->state);
        model_do(o, event);
    }
}

/* ---- both ---------------------------------------------------------------------------------- */

static void compare(const struct model *o)
{
    size_t at = 0;
    while (trace[at] && trace[at] == o->trace[at])
        at++;
    if (trace[at] == o->trace[at])
        return;
    size_t from = at > 60 ? at - 60 : 0;
    fail_msg("MOLT_SEED=%llu: after %zu bytes it did \"%.90s\", the model \"%.90s\"",
             (unsigned long long)run, from, trace + from, o->trace + from);
}

static void await_end_of_batch(molt_pid pid, long n_synced)
{
    uint64_t deadline = molt_clock_ms() + FAKE_PATIENCE_MS;
    while (fake_get(ACTOR_DID) == n_synced && molt_process_find(f.rt, pid)) {
        if (molt_clock_ms() > deadline)
            fail_msg("MOLT_SEED=%llu: no end", (unsigned long long)run);
        sched_yield();
    }
}

static void post_job(molt_pid pid, void (*fn)(void *), int done)
{
    struct fake_job *job = fake_new(struct fake_job, fake_job);
    *job = (struct fake_job){fn, NULL, done};
    (void)molt_send_pid(pid, job);
}

/* Until all that it has to do by itself is done. */
static void settle(molt_pid pid, struct model *o)
{
    long n_synced = fake_get(ACTOR_DID);
    post_job(pid, actor_nothing, ACTOR_DID);
    push(&o->mail, GATE);
    await_end_of_batch(pid, n_synced);
    model_run(o);
    next_id = o->next_id;
}

/* A gate, mail, and a last job; all there before the gate opens. */
static void do_batch(molt_pid pid, struct model *o)
{
    long n_gated = fake_get(GATED), n_synced = fake_get(ACTOR_DID);
    post_job(pid, wait_at_gate, ACTOR_DONE);
    fake_await(GATED, n_gated + 1);
    push(&o->mail, GATE);
    for (unsigned n = dice(BATCH); n > 0; n--) {
        assert_int_equal(molt_send_pid(pid, new_mail(next_id++)), 0);
        push(&o->mail, o->next_id++);
    }
    post_job(pid, actor_nothing, ACTOR_DID);
    push(&o->mail, GATE);
    assert_int_equal(molt_send_pid(pid, fake_new(long, open)), 0);
    await_end_of_batch(pid, n_synced);
    model_run(o);
    next_id = o->next_id;
}

static size_t n_waiting;
static void find_mailbox(void *user, const struct molt_process_info *info)
{
    if (info->pid == *(molt_pid *)user)
        n_waiting = info->mailbox;
}

static void do_run(void)
{
    static struct model o;
    static struct molt_thread *thread;
    dice_state = mix(run);
    has_other = dice(2);
    n_drawn = 0;
    next_id = 0;
    trace_len = 0;
    trace[0] = '\0';
    char *model_trace = o.trace;
    memset(&o, 0, sizeof(o));
    o.trace = model_trace ? model_trace : malloc(TRACE_MAX);
    o.trace[0] = '\0';
    fake_init(&f, 2);
    make_version(&versions[0], 1);
    use_version(&versions[0]);
    o.state = o.old_state = name_of[0];
    o.must_enter = true;
    fake_publish(&f, &versions[0].module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    molt_pid pid = 0;
    assert_int_equal(molt_spawn("machine", NULL, NULL, &pid), 0);
    settle(pid, &o);
    unsigned version = 0;
    for (int i = 0; i < BATCHES && !o.is_ended; i++) {
        do_batch(pid, &o);
        compare(&o);
        if (!o.is_ended) {
            molt_runtime_each_process(f.rt, find_mailbox, &pid);
            assert_int_equal(n_waiting, o.postponed.n);
        }
        if (!o.is_ended && dice(2)) {
            upgrade(&versions[version], &versions[version + 1], version + 2);
            version++;
        }
    }
    if (!o.is_ended && dice(2))
        assert_int_equal(molt_runtime_kill(f.rt, pid), 0);
    molt_runtime_stop(f.rt, FAKE_PATIENCE_MS);
    assert_int_equal(molt_heap_pointing(f.rt->heap), 0);
    actors_stop(&f);
}

static void machines_do_what_the_model_does(void **state)
{
    (void)state;
    const char *seed = getenv("MOLT_SEED");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1, n = seed ? 1 : RUNS;
    trace = malloc(TRACE_MAX);
    assert_non_null(trace);
    size_t n_bytes = 0;
    for (run = first; run < first + n; run++) {
        do_run();
        n_bytes += trace_len;
    }
    print_message("traces of %zu bytes\n", n_bytes);
    assert_true(n_bytes > 1000 * n || seed);
    free(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(machines_do_what_the_model_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
