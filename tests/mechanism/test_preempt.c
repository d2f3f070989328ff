/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Preemption of real loaded code: whatever it computes comes out as if nobody
 * had interrupted it. Arguments: compiler of the module, its flags.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <ucontext.h>

#include "support/flow_worker.h"

#include "base/clock.h"
#include "cpu.h"
#include "modules/preempt.h"
#include "port/sanitize.h"
#include "port/walk.h"
#include "support/compile.h"

#define ENOUGH 300         /* redirections of each kernel */
#define ROUNDS 200000      /* of one run: a millisecond or so */
#define DEADLINE_MS 100000 /* for ENOUGH, however busy the machine is */
#define PERIOD_MIN_US 50
#define PERIOD_MAX_US 200

#if defined(MOLT_HAS_ASAN) || defined(MOLT_HAS_TSAN)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static struct {
    const char *cc, *flags;
    struct compile c;
    void *module;
    const struct preempt_kernel *kernels;
    volatile int *is_in_qsort;
    struct molt_float_control control;
    unsigned long n_in_qsort, n_bad_control, n_bad_flags, n_yields;
} env;

/* ---- the module ---------------------------------------------------------------- */

static void *load(const char *source, const char *flags, const char *name)
{
    char object[64];
    struct compile c = env.c;
    c.cflags = flags;
    snprintf(object, sizeof object, "%s.o", name);
    char *path = compile_path(&c, name);
    compile_object(&c, source, object);
    compile_link(&c, object, name);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fail_msg("%s", dlerror());
    free(path);
    return handle;
}

static int setup(void **state)
{
    (void)state;
    compile_init(&env.c, env.cc, env.flags);
    compile_write(&env.c, "exports.map", "{ global: preempt_*; local: *; };\n");
    env.module = load(MECHANISM_MODULES "/preempt.c", env.flags, "preempt.so");
    env.kernels = dlsym(env.module, "preempt_kernels");
    env.is_in_qsort = dlsym(env.module, "preempt_is_in_qsort");
    assert_non_null(env.kernels);
    assert_non_null(env.is_in_qsort);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dlclose(env.module);
    compile_fini(&env.c);
    return 0;
}

/* ---- the monitor ----------------------------------------------------------------- */

/* Asks at a period that changes, for its ticks not to meet the same instruction
 * each time. The timer is the event that it waits for. */
struct monitor {
    pthread_t thread;
    struct molt_preempt_thread *target;
    int timer;
    atomic_bool is_stopping;
};

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;
    uint64_t n;
    for (unsigned i = 0; !atomic_load(&m->is_stopping); i++) {
        long us = PERIOD_MIN_US + (long)(i * 37 % (PERIOD_MAX_US - PERIOD_MIN_US));
        struct itimerspec at = {.it_value = {.tv_nsec = us * 1000}};
        assert_int_equal(timerfd_settime(m->timer, 0, &at, NULL), 0);
        assert_int_equal(read(m->timer, &n, sizeof n), sizeof n);
        int rc = molt_preempt_request(m->target);
        assert_true(rc == 0 || rc == MOLT_EBUSY);
    }
    return NULL;
}

static void monitor_start(struct monitor *m, struct flow_worker *w)
{
    *m = (struct monitor){.target = &w->preempt};
    m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    assert_true(m->timer >= 0);
    assert_int_equal(pthread_create(&m->thread, NULL, monitor_main, m), 0);
}

static void monitor_stop(struct monitor *m)
{
    atomic_store(&m->is_stopping, true);
    pthread_join(m->thread, NULL);
    close(m->timer);
}

/* ---- what others do meanwhile ------------------------------------------------------- */

/* An allocator's lock that the flow held would never be released. */
static void allocate(void)
{
    void *kept[20];
    for (int i = 0; i < 20; i++)
        kept[i] = malloc((size_t)(16 << (i % 8)));
    for (int i = 0; i < 20; i++)
        free(kept[i]);
}

static void on_yield(struct flow_worker *w)
{
    struct molt_float_control now;
    molt_float_control_get(&now);
    env.n_bad_control += memcmp(&now, &env.control, sizeof now) != 0;
    env.n_bad_flags += cpu_flags() != 0;
    env.n_in_qsort += *env.is_in_qsort != 0;
    env.n_yields++;
    assert_true(flow_worker_is_text(w, w->frames.pcs[0]));
    cpu_spoil_registers();
    allocate();
}

static void open_worker(struct flow_worker *w, void *module)
{
    flow_worker_open(w);
    flow_worker_add_object(w, module);
    w->on_yield = on_yield;
    molt_float_control_get(&env.control);
    env.n_bad_control = env.n_bad_flags = env.n_in_qsort = 0;
}

static uint64_t run(struct flow_worker *w, const struct preempt_kernel *kernel, uintptr_t rounds)
{
    assert_true(flow_worker_run(w, (molt_flow_fn *)kernel->run, (const void *)rounds, NULL, NULL));
    return (uint64_t)w->result;
}

/* The one with a pattern in every floating-point and vector register. */
static const struct preempt_kernel *holding_registers(const struct preempt_kernel *kernels)
{
    size_t i = 0;
    while (kernels[i].name && strcmp(kernels[i].name, "registers") != 0)
        i++;
    assert_non_null(kernels[i].name);
    return &kernels[i];
}

static unsigned long count(const struct flow_worker *w, enum molt_preempt_outcome outcome)
{
    return atomic_load(&w->preempt.outcomes[outcome]);
}

/* ---- tests ------------------------------------------------------------------------------ */

/* Until it was redirected @enough times, or, if that is 0, was met @misses times
 * where it mustn't be. */
static void disturb(struct flow_worker *w, const struct preempt_kernel *kernel, uint64_t expected,
                    unsigned long enough, unsigned long misses)
{
    unsigned long redirected = count(w, MOLT_PREEMPT_REDIRECTED);
    unsigned long missed = count(w, MOLT_PREEMPT_NOT_ALL);
    uint64_t deadline = molt_clock_ms() + DEADLINE_MS;
    unsigned long n_runs = 0;
    do {
        uint64_t got = run(w, kernel, ROUNDS);
        n_runs++;
        if (got != expected)
            fail_msg("%s: %016llx instead of %016llx after %lu runs", kernel->name,
                     (unsigned long long)got, (unsigned long long)expected, n_runs);
        if (molt_clock_ms() > deadline)
            fail_msg("%s: only %lu redirections, %lu misses", kernel->name,
                     count(w, MOLT_PREEMPT_REDIRECTED) - redirected,
                     count(w, MOLT_PREEMPT_NOT_ALL) - missed);
    } while (count(w, MOLT_PREEMPT_REDIRECTED) - redirected < enough ||
             count(w, MOLT_PREEMPT_NOT_ALL) - missed < misses);
    print_message("  %-10s %5lu redirected, %5lu not all module text, %lu runs\n", kernel->name,
                  count(w, MOLT_PREEMPT_REDIRECTED) - redirected,
                  count(w, MOLT_PREEMPT_NOT_ALL) - missed, n_runs);
}

static void preempted_code_computes_what_it_computes_undisturbed(void **state)
{
    (void)state;
    struct flow_worker w;
    struct monitor monitor;
    uint64_t expected[32];
    open_worker(&w, env.module);
    if (!w.has_preemption) {
        flow_worker_close(&w);
        skip();
    }
    for (size_t i = 0; env.kernels[i].name; i++)
        expected[i] = run(&w, &env.kernels[i], ROUNDS);
    assert_int_equal(w.n_yields, 0);
    monitor_start(&monitor, &w);
    for (size_t i = 0; env.kernels[i].name; i++)
        disturb(&w, &env.kernels[i], expected[i], env.kernels[i].is_callback ? 0 : ENOUGH,
                env.kernels[i].is_callback ? ENOUGH : 0);
    monitor_stop(&monitor);
    assert_int_equal(w.n_yields, count(&w, MOLT_PREEMPT_REDIRECTED));
    assert_int_equal(env.n_in_qsort, 0);
    assert_int_equal(env.n_bad_control, 0);
    assert_int_equal(env.n_bad_flags, 0);
    flow_worker_close(&w);
}

static void code_without_frame_information_is_left_alone(void **state)
{
    (void)state;
    struct flow_worker w;
    struct monitor monitor;
    char flags[512];
    snprintf(flags, sizeof flags, "%s -fno-asynchronous-unwind-tables -fno-unwind-tables",
             env.flags);
    void *module = load(MECHANISM_MODULES "/preempt.c", flags, "bare.so");
    const struct preempt_kernel *kernels = dlsym(module, "preempt_kernels");
    open_worker(&w, module);
    if (w.has_preemption) {
        const struct preempt_kernel *kernel = holding_registers(kernels);
        uint64_t expected = run(&w, kernel, ROUNDS);
        monitor_start(&monitor, &w);
        disturb(&w, kernel, expected, 0, 50);
        monitor_stop(&monitor);
        assert_int_equal(w.n_yields, 0);
    }
    bool is_skipped = !w.has_preemption;
    flow_worker_close(&w);
    dlclose(module);
    if (is_skipped)
        skip();
}

static void a_held_lock_denies_preemption(void **state)
{
    (void)state;
    struct flow_worker w;
    struct monitor monitor;
    open_worker(&w, env.module);
    if (!w.has_preemption) {
        flow_worker_close(&w);
        skip();
    }
    const struct preempt_kernel *kernel = holding_registers(env.kernels);
    uint64_t deadline = molt_clock_ms() + DEADLINE_MS, expected = run(&w, kernel, ROUNDS);
    w.is_locked = true;
    monitor_start(&monitor, &w);
    while (count(&w, MOLT_PREEMPT_DENIED) < 50 && molt_clock_ms() < deadline)
        assert_int_equal(run(&w, kernel, ROUNDS), expected);
    monitor_stop(&monitor);
    assert_true(count(&w, MOLT_PREEMPT_DENIED) >= 50);
    assert_int_equal(count(&w, MOLT_PREEMPT_REDIRECTED), 0);
    assert_int_equal(w.n_yields, 0);
    flow_worker_close(&w);
}

/* ---- roots -------------------------------------------------------------------------------- */

#define N_HELD 8
static struct {
    uint64_t first;
    int stop;
    unsigned n_found;
} held;

static unsigned MOLT_UNSANITIZED count_held(const struct flow_worker *w)
{
    unsigned found = 0;
    const uintptr_t *high = (const uintptr_t *)(w->map + FLOW_WORKER_GUARD + FLOW_WORKER_STACK);
    for (const volatile uintptr_t *at = w->fiber.sp; at < high; at++)
        for (unsigned i = 0; i < N_HELD; i++)
            if (*at == held.first + 8 * i)
                found |= 1u << i;
    return found;
}

static void look_for_held(struct flow_worker *w)
{
    held.n_found = count_held(w);
    held.stop = 1;
    cpu_spoil_registers();
}

static void a_scan_of_the_suspended_stack_finds_all_registers(void **state)
{
    (void)state;
    struct flow_worker w;
    struct monitor monitor;
    int n_early = 0;
    open_worker(&w, env.module);
    if (!w.has_preemption) {
        flow_worker_close(&w);
        skip();
    }
    w.on_yield = look_for_held;
    monitor_start(&monitor, &w);
    for (int i = 0; i < 50; i++) {
        held.first = UINT64_C(0x00007a5b00000000) + (uint64_t)i * 4096;
        held.stop = held.n_found = 0;
        flow_worker_run(&w, (molt_flow_fn *)dlsym(env.module, "preempt_hold"),
                        (const void *)~held.first, (const void *)&held.stop, NULL);
        assert_int_equal(w.result, held.first);
        assert_int_equal(held.n_found & (held.n_found + 1), 0); /* the first ones, or all */
        n_early += held.n_found != (1u << N_HELD) - 1;          /* they were being made */
    }
    monitor_stop(&monitor);
    assert_true(n_early < 25);
    flow_worker_close(&w);
}

/* ---- every instruction ---------------------------------------------------------------------- */

#define STEP_ROUNDS 400
#define STEP_DEPTH 256
#define STEP_PCS 64
#define FLAG_TRAP 0x100

#ifdef __x86_64__
/* The calls that the processor made, noted while it runs step by step, against
 * what a walk says at each instruction. */
static struct {
    struct flow_worker *w;
    uintptr_t first; /* of the kernel */
    uintptr_t last_pc;
    bool is_inside;
    size_t depth;
    uintptr_t returns[STEP_DEPTH]; /* return addresses, outermost first */
    unsigned long n_steps, n_walks, n_missed, n_refused, n_wrong;
    uintptr_t wrong_pc;
} step;

static bool is_call(const unsigned char *code)
{
    if (*code == 0x3e || (*code & 0xf0) == 0x40) /* notrack, REX */
        code++;
    return *code == 0xe8 || (*code == 0xff && (code[1] >> 3 & 7) == 2);
}

static bool is_ret(const unsigned char *code)
{
    return *code == 0xc3 || *code == 0xc2 || (*code == 0xf3 && code[1] == 0xc3);
}

static void note_calls(uintptr_t pc, uintptr_t sp)
{
    bool begins = !step.is_inside && pc == step.first;
    if (begins || (step.is_inside && is_call((const unsigned char *)step.last_pc))) {
        if (step.depth < STEP_DEPTH)
            step.returns[step.depth] = *(const uintptr_t *)sp;
        step.depth++;
        step.is_inside = true;
    } else if (step.is_inside && is_ret((const unsigned char *)step.last_pc)) {
        step.is_inside = --step.depth > 0;
    }
}

/* All callers of this instruction in the kernel, as noted? */
static bool is_all_text(void)
{
    for (size_t i = 1; i < step.depth; i++)
        if (!flow_worker_is_text(step.w, step.returns[i] - 1))
            return false;
    return true;
}

static bool is_as_noted(const struct molt_walk *walk, uintptr_t pc)
{
    if (walk->n_frames != step.depth || walk->pcs[0] != pc)
        return false;
    for (size_t i = 1; i < walk->n_pcs; i++)
        if (walk->pcs[i] != step.returns[step.depth - i])
            return false;
    return true;
}

static void compare(const void *context, uintptr_t pc)
{
    uintptr_t pcs[STEP_PCS];
    struct molt_flow *flow = &step.w->flow;
    struct molt_walk walk = {.is_module_text = flow_worker_is_text,
                             .user = step.w,
                             .pcs = pcs,
                             .max = STEP_PCS};
    molt_unwind_init(&walk.at, context, molt_walk_low(flow), molt_walk_high(flow));
    bool is_walkable = molt_walk(&walk, flow), is_text = is_all_text();
    step.n_walks++;
    step.n_missed += !is_walkable && is_text;
    step.n_refused += !is_walkable && !is_text;
    if (is_walkable && (!is_text || !is_as_noted(&walk, pc))) {
        step.n_wrong++;
        step.wrong_pc = pc - step.w->text[0].from;
    }
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t pc = (uintptr_t)regs[REG_RIP];
    (void)signal;
    (void)info;
    note_calls(pc, (uintptr_t)regs[REG_RSP]);
    step.last_pc = pc;
    step.n_steps++;
    if (step.is_inside && flow_worker_is_text(step.w, pc))
        compare(context, pc);
    if (!step.is_inside && step.n_walks)
        regs[REG_EFL] &= ~FLAG_TRAP;
}

/* The flow's first function, which isn't module text: from here on, each
 * instruction traps. */
static intptr_t run_stepped(const void *kernel, const void *rounds)
{
    __asm__ volatile("subq $128, %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\taddq $128, %%rsp"
                     :
                     : "i"(FLAG_TRAP)
                     : "cc", "memory");
    return molt_flow_call(&step.w->flow, (molt_flow_fn *)(uintptr_t)kernel, rounds, NULL, NULL,
                          NULL);
}

static void run_all_stepped(struct flow_worker *w)
{
    for (const struct preempt_kernel *k = env.kernels; k->name; k++) {
        memset(&step, 0, sizeof step);
        step.w = w;
        step.first = (uintptr_t)k->run;
        uint64_t expected = run(w, k, STEP_ROUNDS);
        flow_worker_run(w, (molt_flow_fn *)run_stepped, (const void *)(uintptr_t)k->run,
                        (const void *)(uintptr_t)STEP_ROUNDS, NULL);
        assert_int_equal(w->result, expected);
        print_message("  %-10s %7lu steps, %7lu walks, %lu missed, %lu in callbacks\n", k->name,
                      step.n_steps, step.n_walks, step.n_missed, step.n_refused);
        if (step.n_wrong)
            fail_msg("%s: %lu walks are wrong, the last at %lx of the module's text", k->name,
                     step.n_wrong, (unsigned long)step.wrong_pc);
        assert_true(step.n_walks > 100);
        /* Epilogues of realigned stacks, where rbp isn't certain and the caller
         * needs it. */
        assert_true(step.n_missed <= step.n_walks / 2);
        if (k->is_callback)
            assert_true(step.n_refused > 1000);
    }
}

static void a_walk_is_right_at_every_instruction(void **state)
{
    (void)state;
    struct sigaction before, sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct flow_worker w;
    if (IS_SANITIZED) {
        print_message("  skipped: a sanitizer's allocator takes too many steps\n");
        skip();
    }
    open_worker(&w, env.module);
    assert_int_equal(sigaction(SIGTRAP, &sa, &before), 0);
    run_all_stepped(&w);
    sigaction(SIGTRAP, &before, NULL);
    flow_worker_close(&w);
}
#else
static void a_walk_is_right_at_every_instruction(void **state)
{
    (void)state;
    print_message("skipped: %s: this CPU lets nobody step through his own code\n", __func__);
    skip();
}
#endif

/* ---- activity -------------------------------------------------------------------------------- */

struct other {
    struct molt_preempt_thread thread;
    int wake[2];
    atomic_bool is_stopping;
    bool is_reading;
    sem_t ready;
};

static void *other_main(void *arg)
{
    struct other *o = arg;
    char byte;
    void *alt_stack = molt_port_alt_stack_open();
    struct molt_error err;
    assert_int_equal(molt_preempt_thread_init(&o->thread, &flow_worker_preempt_hooks, NULL, &err),
                     0);
    sem_post(&o->ready);
    if (o->is_reading)
        assert_int_equal(read(o->wake[0], &byte, 1), 1);
    while (!atomic_load(&o->is_stopping))
        ;
    molt_preempt_thread_fini(&o->thread);
    molt_port_alt_stack_close(alt_stack);
    return NULL;
}

/* Until the thread is seen to be so, which takes it a moment. */
static void expect_activity(const struct other *o, enum molt_preempt_activity expected)
{
    uint64_t deadline = molt_clock_ms() + DEADLINE_MS;
    while (molt_preempt_activity(&o->thread) != expected)
        assert_true(molt_clock_ms() < deadline);
}

/* Until it waits in read(), and not for a page or a lock on the way there: then its
 * clock stands. Returns that. */
static uint64_t await_blocked(const struct other *o)
{
    uint64_t before, after = 0;
    do {
        before = after;
        expect_activity(o, MOLT_PREEMPT_BLOCKED);
        after = molt_preempt_cpu_ns(&o->thread);
    } while (after != before);
    return after;
}

static void a_blocked_thread_is_told_from_one_that_computes(void **state)
{
    (void)state;
    struct other o = {.is_reading = true};
    pthread_t thread;
    assert_int_equal(pipe(o.wake), 0);
    assert_int_equal(sem_init(&o.ready, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, other_main, &o), 0);
    sem_wait(&o.ready);
    uint64_t before = await_blocked(&o);
    assert_int_equal(write(o.wake[1], "a", 1), 1);
    expect_activity(&o, MOLT_PREEMPT_COMPUTES);
    uint64_t deadline = molt_clock_ms() + DEADLINE_MS;
    while (molt_preempt_cpu_ns(&o.thread) < before + 1000000)
        assert_true(molt_clock_ms() < deadline);
    atomic_store(&o.is_stopping, true);
    pthread_join(thread, NULL);
    sem_destroy(&o.ready);
    close(o.wake[0]);
    close(o.wake[1]);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(preempted_code_computes_what_it_computes_undisturbed),
        cmocka_unit_test(code_without_frame_information_is_left_alone),
        cmocka_unit_test(a_held_lock_denies_preemption),
        cmocka_unit_test(a_scan_of_the_suspended_stack_finds_all_registers),
        cmocka_unit_test(a_walk_is_right_at_every_instruction),
        cmocka_unit_test(a_blocked_thread_is_told_from_one_that_computes),
    };
    if (argc != 3) {
        fprintf(stderr, "usage: %s compiler flags\n", argv[0]);
        return 2;
    }
    env.cc = argv[1];
    env.flags = argv[2];
    const char *needs = strstr(env.flags, "avx512") ? "avx512f"
                        : strstr(env.flags, "avx2") ? "avx2"
                                                    : "";
    if (*needs && !cpu_has(needs)) {
        printf("skipped: this CPU has no %s\n", needs);
        return 77;
    }
    printf("preempting code of %s %s\n", env.cc, env.flags);
    return cmocka_run_group_tests(tests, setup, teardown);
}
