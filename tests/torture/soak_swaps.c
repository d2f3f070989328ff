/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Thousands of swaps of one module in one host, while processes keep function
 * pointers of old versions in their states and callbacks wait in old worlds.
 * After the first hundred nothing may grow: resident memory, mappings,
 * descriptors.
 *
 * usage: soak_swaps [SWAPS]
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "conformance/cell.h"
#include "rig/rig.h"
#include "usage.h"

#define WARM_UP 100
#define GROWTH_MAX_KIB 1536
#define MAPPINGS_MAX 64
#define WAITERS 3

static unsigned n_swaps = 10000;

/* keep: take the address of the running version's static function, or drop
 * it. wait: stay in this world until the cell is set. ask: call what is kept. */
static const char header[] = "int soak_keep(const char *name, int on);\n"
                             "int soak_wait(const char *name, unsigned long entered, "
                             "unsigned long go);\n"
                             "int soak_ask(const char *name, unsigned long cell);\n";
static const char source[] =
    "#include <molt/molt.h>\n#include \"soak.h\"\n"
    "struct soak { int (*fn)(void); long n; };\n"
    "struct keep { int on; };\n"
    "struct wait { unsigned long entered, go; };\nstruct ask { unsigned long cell; };\n"
    "static int mine(void) { return VERSION; }\n"
    "static int on_keep(struct soak *s, struct keep *m)\n{\n"
    "    s->fn = m->on ? mine : NULL;\n    s->n++;\n    return 0;\n}\n"
    "static int on_wait(struct soak *s, struct wait *m)\n{\n    s->n++;\n"
    "    __atomic_add_fetch((long *)m->entered, 1, __ATOMIC_SEQ_CST);\n"
    "    while (!__atomic_load_n((long *)m->go, __ATOMIC_SEQ_CST))\n        molt_sleep(1);\n"
    "    __atomic_sub_fetch((long *)m->entered, 1, __ATOMIC_SEQ_CST);\n    return 0;\n}\n"
    "static int on_ask(struct soak *s, struct ask *m)\n{\n"
    "    __atomic_store_n((long *)m->cell, s->fn ? s->fn() : -1, __ATOMIC_SEQ_CST);\n"
    "    return 0;\n}\n"
    "MOLT_SERVER(soak, struct soak, .on = { MOLT_CAST(struct keep, on_keep),\n"
    "            MOLT_CAST(struct wait, on_wait), MOLT_CAST(struct ask, on_ask) });\n"
    "int soak_keep(const char *name, int on)\n{\n    struct keep *m = molt_new(struct keep);\n"
    "    m->on = on;\n    return molt_send(name, m);\n}\n"
    "int soak_wait(const char *name, unsigned long entered, unsigned long go)\n{\n"
    "    struct wait *m = molt_new(struct wait);\n    m->entered = entered;\n    m->go = go;\n"
    "    return molt_send(name, m);\n}\n"
    "int soak_ask(const char *name, unsigned long cell)\n{\n"
    "    struct ask *m = molt_new(struct ask);\n    m->cell = cell;\n"
    "    return molt_send(name, m);\n}\n";

struct soak {
    struct rig *rig;
    struct molt_thread *thread;
    struct molt_buf meta[2]; /* of the two builds, encoded */
    char *path[2];
    int (*keep)(const char *, int);
    int (*wait)(const char *, unsigned long, unsigned long);
    int (*ask)(const char *, unsigned long);
    struct cell entered, go, answer;
    unsigned kept; /* VERSION that "keeper" holds, 0: none */
};

static void build(struct soak *s, int i)
{
    char text[4096];
    snprintf(text, sizeof(text), "#define VERSION %d\n%s", i + 1, source);
    rig_write(s->rig, "src/soak.h", header);
    rig_write(s->rig, "src/soak.c", text);
    if (rig_upgrade(s->rig) < 0)
        fail_msg("%s", rig_error(s->rig));
    const struct molt_built_module *built = rig_built(s->rig, "soak");
    assert_int_equal(molt_meta_encode(built->meta, &s->meta[i]), 0);
    s->path[i] = strdup(built->image_path);
}

static void swap(struct soak *s, int i)
{
    struct molt_code *code = molt_host_code(rig_host(s->rig));
    struct molt_error err = {0};
    struct molt_meta *meta;
    uint64_t stage;
    assert_int_equal(molt_meta_decode(s->meta[i].data, s->meta[i].len, &meta, &err), 0);
    int rc = molt_stage_begin(code, &stage, &err);
    int fd = open(s->path[i], O_RDONLY | O_CLOEXEC);
    if (rc == 0)
        rc = molt_stage_put(code, stage, meta, fd, &err);
    close(fd);
    if (rc == 0)
        rc = rig_apply(s->rig, stage, 0);
    if (rc < 0)
        fail_msg("%s %s", err.text, rig_error(s->rig));
    molt_safepoint(s->thread);
    molt_host_housekeep(rig_host(s->rig));
}

/* What happens around swap @n, in a pattern that repeats. */
static void act(struct soak *s, unsigned n, int version)
{
    char name[16];
    if (n % 7 == 0) {
        assert_int_equal(s->keep("keeper", 1), 0);
        s->kept = (unsigned)version + 1;
    } else if (n % 7 == 4) {
        assert_int_equal(s->keep("keeper", 0), 0);
        s->kept = 0;
    }
    if (n % 5 < WAITERS) {
        atomic_store(&s->go.value, 0);
        snprintf(name, sizeof(name), "waiter%u", n % 5);
        assert_int_equal(s->wait(name, (unsigned long)&s->entered.value,
                                 (unsigned long)&s->go.value),
                         0);
        cell_await(&s->entered, n % 5 + 1);
    } else if (n % 5 == WAITERS) {
        atomic_store(&s->go.value, 1);
        cell_await(&s->entered, 0);
    }
    atomic_store(&s->answer.value, 0);
    assert_int_equal(s->ask("keeper", (unsigned long)&s->answer.value), 0);
    cell_await(&s->answer, s->kept ? (long)s->kept : -1);
}

static void open_soak(struct soak *s)
{
    molt_pid pid;
    *s = (struct soak){.rig = rig_new(NULL)};
    build(s, 0);
    assert_int_equal(molt_host_start(rig_host(s->rig), NULL, NULL), 0);
    s->thread = rig_enter(s->rig);
    build(s, 1);
    molt_safepoint(s->thread);
    s->keep = (int (*)(const char *, int))rig_function(s->rig, "soak", "soak_keep");
    s->wait = (int (*)(const char *, unsigned long, unsigned long))rig_function(s->rig, "soak",
                                                                                "soak_wait");
    s->ask = (int (*)(const char *, unsigned long))rig_function(s->rig, "soak", "soak_ask");
    assert_int_equal(molt_spawn("soak", "keeper", NULL, &pid), 0);
    for (int i = 0; i < WAITERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "waiter%d", i);
        assert_int_equal(molt_spawn("soak", name, NULL, &pid), 0);
    }
}

static void print(unsigned n, const struct usage *u)
{
    print_message("after %5u swaps: %ld KiB resident, %ld mappings, %ld descriptors\n", n,
                  u->resident_kib, u->mappings, u->descriptors);
}

static void nothing_grows_after_the_first_hundred_swaps(void **state)
{
    (void)state;
    struct soak s;
    open_soak(&s);
    struct usage first = {0}, now = {0};
    for (unsigned n = 0; n < n_swaps; n++) {
        swap(&s, (int)(n % 2));
        act(&s, n, (int)(n % 2));
        if (n + 1 == WARM_UP)
            first = usage_now();
        if (n + 1 == WARM_UP || (n + 1) % 1000 == 0) {
            now = usage_now();
            print(n + 1, &now);
        }
    }
    atomic_store(&s.go.value, 1);
    assert_int_equal(s.keep("keeper", 0), 0);
    rig_await_unloaded(s.rig, "soak", 10000);
    assert_true(now.resident_kib <= first.resident_kib + GROWTH_MAX_KIB);
    assert_true(now.mappings <= first.mappings + MAPPINGS_MAX);
    assert_true(now.descriptors <= first.descriptors);
    molt_thread_unregister(s.thread);
    rig_free(s.rig);
    for (int i = 0; i < 2; i++) {
        molt_buf_fini(&s.meta[i]);
        free(s.path[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        n_swaps = (unsigned)strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_grows_after_the_first_hundred_swaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
