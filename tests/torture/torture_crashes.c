/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Processes crash in several ways, as fast as their supervisor starts them again,
 * while others exchange numbered messages, and some compute for ever, with pauses. Each crash
 * is counted once and reported once, its caller gets MOLT_ECRASH; no message of
 * the others is lost, doubled or out of order; who is preempted computes the same;
 * nothing grows.
 *
 * MOLT_TORTURE_SECONDS (4) or MOLT_TORTURE_MINUTES: how long; MOLT_TORTURE_CRASHES:
 * and until there were so many.
 */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conformance/cell.h"
#include "port/limits.h"
#include "port/preempt.h"
#include "port/sanitize.h"
#include "rig/rig.h"
#include "usage.h"

enum { ATTACKERS = 4, VICTIMS = 4, STREAMS = 4, SPINNERS = 2 };

#define SECONDS 4.0
#define PATIENCE_MS 30000
/* Crashes of each attacker before growth is measured. */
#define WARM_UP MOLT_LIMIT(200, 10)
/* Spare workers begin when they are needed first: each with a thread, stacks of
 * its own and a descriptor. Beyond that nothing may grow with the crashes. */
#define SPARES 8
#define GROWTH_MAX_KIB (4096 + SPARES * 2048)
#define MAPPINGS_MAX (64 + SPARES * 24)
#define DESCRIPTORS_MAX (2 + SPARES)

/* Cells of the test, by address in the module's source. */
struct cells {
    atomic_long stop;    /* attackers and streams are to end */
    atomic_long halt;    /* spinners are to end */
    atomic_long crashed; /* calls answered by MOLT_ECRASH */
    atomic_long strange; /* by anything that can't be */
    atomic_long idle;    /* attackers that have ended */
    atomic_long sent, received, disorder;
    atomic_long rounds, miscomputed;
};

static struct cells cells;
static atomic_long n_reports;

/* Each attacker has victims of its own, so every crash is one call's. */
static const char source[] =
    "#include <stdio.h>\n#include \"torment.h\"\n"
    "#define ADD(cell) __atomic_add_fetch((long *)(cell), 1, __ATOMIC_SEQ_CST)\n"
    "#define GET(cell) __atomic_load_n((long *)(cell), __ATOMIC_SEQ_CST)\n"
    "struct victim { long n; };\nstruct hurt { long kind; };\n"
    "static long dig(volatile long *n)\n{\n    volatile long here = *n + 1;\n    volatile char "
    "room[2000];\n    room[here % 2000] = 1;\n"
    "    return dig(&here) + room[0];\n}\n"
    "static int on_hurt(struct victim *v, struct hurt *m, struct molt_from *from)\n{\n"
    "    volatile long zero = 0;\n    volatile unsigned long nowhere = NOWHERE;\n"
    "    v->n++;\n"
    "    switch (m->kind) {\n"
    "    case 0:\n        *(volatile long *)nowhere = 1;\n        break;\n"
    "    case 1:\n        __builtin_trap();\n"
    "    case 2:\n        ((void (*)(void))nowhere)();\n        break;\n"
    "    case 3:\n        v->n = v->n / zero;\n        break;\n"
    "    default:\n        v->n = dig(&zero);\n    }\n"
    "    return molt_reply_error(from, MOLT_EINVAL);\n}\n"
    "MOLT_SERVER(victim, struct victim, .on = { MOLT_CALL(struct hurt, on_hurt) });\n"
    "MOLT_SUPERVISOR(top, .intensity = 65536, .period_ms = 1, .child = { CHILDREN });\n"
    "struct attacker { long index, n; };\nstruct go { long index; };\nstruct more { long n; };\n"
    "static int again(struct attacker *a)\n{\n    char name[32];\n"
    "    snprintf(name, sizeof(name), \"attacker%ld\", a->index);\n"
    "    struct more *m = molt_new(struct more);\n    return m ? molt_send(name, m) : "
    "MOLT_ENOMEM;\n"
    "}\n"
    "static int on_go(struct attacker *a, struct go *m)\n{\n    a->index = m->index;\n"
    "    return again(a);\n}\n"
    "static int on_more(struct attacker *a, struct more *m)\n{\n    char name[32];\n    (void)m;\n"
    "    if (GET(STOP)) {\n        ADD(IDLE);\n        return 0;\n    }\n"
    "    snprintf(name, sizeof(name), \"victim%ld\", a->index * VICTIMS + a->n % VICTIMS);\n"
    "    struct hurt *h = molt_new(struct hurt), *ret = NULL;\n"
    "    h->kind = a->n++ / VICTIMS % KINDS;\n"
    "    int rc = molt_call(name, h, &ret, 60000);\n"
    "    if (rc == MOLT_ECRASH)\n        ADD(CRASHED);\n"
    "    else if (rc == MOLT_ENOENT || rc == MOLT_EDEAD)\n        molt_sleep(0);\n"
    "    else\n        ADD(STRANGE);\n"
    "    return again(a);\n}\n"
    "MOLT_SERVER(attacker, struct attacker, .on = { MOLT_CAST(struct go, on_go),\n"
    "            MOLT_CAST(struct more, on_more) });\n"
    "int attacker_go(const char *name, long index)\n{\n"
    "    struct go *m = molt_new(struct go);\n    m->index = index;\n"
    "    return molt_send(name, m);\n}\n"
    /* A source sends bursts of numbers; the sink asks for the next one. */
    "enum { BURST = 16 };\n"
    "struct end { long index, next; };\nstruct number { long n; };\nstruct want { long index; };\n"
    "static int on_want(struct end *e, struct want *m)\n{\n    char name[32];\n"
    "    e->index = m->index;\n    snprintf(name, sizeof(name), \"sink%ld\", e->index);\n"
    "    for (int i = 0; i < BURST; i++) {\n"
    "        struct number *n = molt_new(struct number);\n        n->n = e->next++;\n"
    "        if (molt_send(name, n) == 0)\n            ADD(SENT);\n    }\n    return 0;\n}\n"
    "static int on_number(struct end *e, struct number *m)\n{\n    char name[32];\n"
    "    if (m->n != e->next)\n        ADD(DISORDER);\n"
    "    e->next = m->n + 1;\n    ADD(RECEIVED);\n"
    "    if (e->next % BURST || GET(STOP))\n        return 0;\n"
    "    struct want *w = molt_new(struct want);\n    w->index = e->index;\n"
    "    snprintf(name, sizeof(name), \"source%ld\", e->index);\n"
    "    return molt_send(name, w);\n}\n"
    "static int on_index(struct end *e, struct go *m)\n{\n    e->index = m->index;\n"
    "    return 0;\n}\n"
    "MOLT_SERVER(source, struct end, .on = { MOLT_CAST(struct want, on_want) });\n"
    "MOLT_SERVER(sink, struct end, .on = { MOLT_CAST(struct number, on_number),\n"
    "            MOLT_CAST(struct go, on_index) });\n"
    "int sink_go(const char *name, long index)\n{\n    struct go *m = molt_new(struct go);\n"
    "    m->index = index;\n    return molt_send(name, m);\n}\n"
    "int source_want(const char *name, long index)\n{\n"
    "    struct want *m = molt_new(struct want);\n    m->index = index;\n"
    "    return molt_send(name, m);\n}\n"
    "struct spinner { long n; };\nstruct spin { long n; };\n"
    "static double compute(void)\n{\n    volatile double scale = 1.0000001;\n"
    "    double a = 1, b = 0.5, c = 3;\n    for (int i = 0; i < 20000; i++) {\n"
    "        a = a * scale + b;\n        b = c / a - b * 0.25;\n        c = a - b * c * 1e-6;\n"
    "    }\n    return a + b + c;\n}\n"
    "static int on_spin(struct spinner *s, struct spin *m)\n{\n    double first = compute();\n"
    "    (void)m;\n    while (!GET(HALT)) {\n"
    "        double now = compute();\n"
    "        if (__builtin_memcmp(&now, &first, sizeof(now)))\n            ADD(MISCOMPUTED);\n"
    "        if (ADD(ROUNDS) % 200 == 0)\n            molt_sleep(100);\n    }\n    s->n++;\n    "
    "return 0;\n}\n"
    "MOLT_SERVER(spinner, struct spinner, .on = { MOLT_CAST(struct spin, on_spin) });\n"
    "int spinner_spin(const char *name, long index)\n{\n    (void)index;\n"
    "    return molt_send(name, molt_new(struct spin));\n}\n";

static const char header[] = "#pragma once\n#include <molt/molt.h>\n"
                             "int attacker_go(const char *name, long index);\n"
                             "int sink_go(const char *name, long index);\n"
                             "int source_want(const char *name, long index);\n"
                             "int spinner_spin(const char *name, long index);\n";

static double seconds(void)
{
    const char *minutes = getenv("MOLT_TORTURE_MINUTES"), *s = getenv("MOLT_TORTURE_SECONDS");
    double value = minutes ? 60 * strtod(minutes, NULL) : s ? strtod(s, NULL) : SECONDS;
    assert_true(value > 0);
    return value;
}

static long crashes_min(void)
{
    const char *n = getenv("MOLT_TORTURE_CRASHES");
    return n ? strtol(n, NULL, 10) : 0;
}

static void on_crash(void *user, const struct molt_runtime_crash *crash)
{
    (void)user;
    bool is_whole = strcmp(crash->server, "victim") == 0 && crash->n_frames > 0 &&
                    strcmp(crash->message, "struct hurt") == 0;
    atomic_fetch_add(is_whole ? &n_reports : &cells.strange, 1);
}

static void define(FILE *out, const char *name, const atomic_long *cell)
{
    fprintf(out, "#define %s %#lxul\n", name, (unsigned long)cell);
}

/* A sanitizer says its own word about null and zero, and its frames are large. */
static void write_module(struct rig *rig)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fprintf(out,
            "#include <molt/molt.h>\n#define NOWHERE %d\n#define KINDS %d\n#define VICTIMS %d\n",
            MOLT_IS_SANITIZED ? 16 : 0, MOLT_IS_SANITIZED ? 3 : 5, VICTIMS);
    define(out, "STOP", &cells.stop);
    define(out, "HALT", &cells.halt);
    define(out, "CRASHED", &cells.crashed);
    define(out, "STRANGE", &cells.strange);
    define(out, "IDLE", &cells.idle);
    define(out, "SENT", &cells.sent);
    define(out, "RECEIVED", &cells.received);
    define(out, "DISORDER", &cells.disorder);
    define(out, "ROUNDS", &cells.rounds);
    define(out, "MISCOMPUTED", &cells.miscomputed);
    fprintf(out, "#define CHILDREN");
    for (int i = 0; i < ATTACKERS * VICTIMS; i++)
        fprintf(out, "%s{.id = \"victim%d\", .server = \"victim\"}", i ? ", " : " ", i);
    fprintf(out, "\n%s", source);
    fclose(out);
    rig_write(rig, "src/torment.h", header);
    rig_write(rig, "src/torment.c", text);
    free(text);
}

typedef int begin_fn(const char *name, long index);

static void begin(struct rig *rig, const char *server, const char *function, int n)
{
    begin_fn *fn = (begin_fn *)rig_function(rig, "torment", function);
    for (int i = 0; i < n; i++) {
        char name[32];
        molt_pid pid;
        snprintf(name, sizeof(name), "%s%d", server, i);
        assert_int_equal(molt_spawn(server, name, NULL, &pid), 0);
        assert_int_equal(fn(name, i), 0);
    }
}

static void await(const atomic_long *cell, long value, const char *what)
{
    uint64_t until = molt_clock_ms() + PATIENCE_MS;
    while (atomic_load(cell) < value) {
        if (molt_clock_ms() > until)
            fail_msg("%s: %ld of %ld", what, atomic_load(cell), value);
        poll(NULL, 0, 1);
    }
}

static void check_usage(const struct usage *first, const struct usage *last)
{
    print_message("resident %ld -> %ld KiB, mappings %ld -> %ld, descriptors %ld -> %ld\n",
                  first->resident_kib, last->resident_kib, first->mappings, last->mappings,
                  first->descriptors, last->descriptors);
    assert_true(last->descriptors <= first->descriptors + DESCRIPTORS_MAX);
    if (MOLT_IS_SANITIZED) /* which keeps freed memory */
        return;
    assert_true(last->resident_kib <= first->resident_kib + GROWTH_MAX_KIB);
    assert_true(last->mappings <= first->mappings + MAPPINGS_MAX);
}

static void check_counts(struct rig *rig)
{
    struct molt_runtime_stats stats;
    molt_runtime_stats(molt_host_runtime(rig_host(rig)), &stats);
    print_message("%ld crashes, %ld messages, %ld rounds computed, %llu preempted\n",
                  atomic_load(&cells.crashed), atomic_load(&cells.received),
                  atomic_load(&cells.rounds), (unsigned long long)stats.preempted);
    assert_true(atomic_load(&cells.crashed) > 0);
    assert_int_equal(stats.crashes, atomic_load(&cells.crashed));
    assert_int_equal(atomic_load(&n_reports), atomic_load(&cells.crashed));
    assert_int_equal(atomic_load(&cells.strange), 0);
    assert_true(atomic_load(&cells.received) > 0);
    assert_int_equal(atomic_load(&cells.received), atomic_load(&cells.sent));
    assert_int_equal(atomic_load(&cells.disorder), 0);
    assert_true(atomic_load(&cells.rounds) > 0);
    assert_int_equal(atomic_load(&cells.miscomputed), 0);
    if (molt_preempt_install(NULL) == 0)
        assert_true(stats.preempted > 0);
}

static void crashes_cost_nobody_else_anything(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    uint64_t end_ms = molt_clock_ms() + (uint64_t)(1000 * seconds());
    write_module(rig);
    if (rig_upgrade(rig) < 0)
        fail_msg("%s", rig_error(rig));
    molt_host_on_crash(rig_host(rig), on_crash, NULL);
    assert_int_equal(molt_host_start(rig_host(rig), "top", NULL), 0);
    struct molt_thread *thread = rig_enter(rig);
    begin(rig, "sink", "sink_go", STREAMS);
    begin(rig, "source", "source_want", STREAMS);
    begin(rig, "spinner", "spinner_spin", SPINNERS);
    begin(rig, "attacker", "attacker_go", ATTACKERS);
    await(&cells.crashed, WARM_UP * ATTACKERS, "crashes while it warms up");
    struct usage first = usage_now();
    while (molt_clock_ms() < end_ms || atomic_load(&cells.crashed) < crashes_min())
        poll(NULL, 0, 10);
    struct usage last = usage_now();
    atomic_store(&cells.stop, 1);
    await(&cells.idle, ATTACKERS, "attackers that ended");
    await(&cells.received, atomic_load(&cells.sent), "messages received");
    atomic_store(&cells.halt, 1);
    check_counts(rig);
    check_usage(&first, &last);
    molt_thread_unregister(thread);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_cost_nobody_else_anything),
    };
    return cmocka_run_group_tests_name("crashes without end", tests, NULL, NULL);
}
