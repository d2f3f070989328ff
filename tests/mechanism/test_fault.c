/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Crash containment of real loaded code, every way of failing, on several
 * threads at once; and what must not be contained. Arguments: compiler of the
 * module, its flags.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/flow_worker.h"

#include "cpu.h"
#include "modules/fault.h"
#include "port/leaf.h"
#include "port/sanitize.h"
#include "support/compile.h"

#define THREADS 4
#if defined(MOLT_HAS_ASAN) || defined(MOLT_HAS_TSAN)
#define IS_SANITIZED true
#define CRASHES 20 /* of each kind and thread: each is some times slower */
#else
#define IS_SANITIZED false
#define CRASHES (getenv("MOLT_EMULATED") ? 500 : 5000)
#endif
#define SLOWER 50 /* times that a walk over thousands of frames takes longer */

static struct {
    const char *cc, *flags;
    struct compile c;
    void *module;
    const struct fault_way *ways, *leaf_ways, *fatal_ways;
    void *past_end; /* a page of a file without a page */
} env;

static int setup(void **state)
{
    (void)state;
    compile_init(&env.c, env.cc, env.flags);
    char include[512];
    snprintf(include, sizeof include, "%s -I%s", env.flags, MECHANISM_SOURCES);
    env.c.cflags = include;
    compile_write(&env.c, "exports.map", "{ global: fault_*; local: *; };\n");
    compile_object(&env.c, MECHANISM_MODULES "/fault.c", "fault.o");
    compile_link(&env.c, "fault.o", "fault.so");
    env.c.cflags = env.flags;
    char *path = compile_path(&env.c, "fault.so");
    env.module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!env.module)
        fail_msg("%s", dlerror());
    free(path);
    env.ways = dlsym(env.module, "fault_ways");
    env.leaf_ways = dlsym(env.module, "fault_leaf_ways");
    env.fatal_ways = dlsym(env.module, "fault_fatal_ways");
    FILE *empty = tmpfile();
    assert_non_null(empty);
    env.past_end = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0);
    assert_ptr_not_equal(env.past_end, MAP_FAILED);
    fclose(empty);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(env.past_end, 4096);
    dlclose(env.module);
    compile_fini(&env.c);
    return 0;
}

static size_t count_mappings(void)
{
    size_t n = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        n++;
    fclose(maps);
    return n;
}

/* What a thread must have after a crash as before it. */
struct trim {
    struct molt_float_control control;
    sigset_t mask;
    stack_t stack;
    uint64_t flags;
    long double one;
};

static void trim_get(struct trim *ret)
{
    memset(ret, 0, sizeof *ret);
    molt_float_control_get(&ret->control);
    pthread_sigmask(SIG_BLOCK, NULL, &ret->mask);
    sigaltstack(NULL, &ret->stack);
    ret->flags = cpu_flags();
    /* Comes out as NaN if the register stack is full. */
    volatile long double a = 1.0L, b = 2.0L, c = 4.0L, d = 8.0L, e = 16.0L, f = 32.0L;
    ret->one = ((a + b) * (c + d) - (e + f) / (a + (b + (c + (d + e))))) / 1000.0L;
}

static bool is_same_trim(const struct trim *a, const struct trim *b)
{
    return memcmp(&a->control, &b->control, sizeof a->control) == 0 &&
           memcmp(&a->mask, &b->mask, sizeof a->mask) == 0 && a->stack.ss_sp == b->stack.ss_sp &&
           a->stack.ss_flags == b->stack.ss_flags && a->flags == b->flags && a->one == b->one;
}

/* What is wrong with @f as the report of @way; NULL: nothing. */
static const char *check(const struct flow_worker *w, const struct fault_way *way,
                         const struct molt_fault *f)
{
    if (f->kind != way->kind)
        return "another kind";
    if (f->signal != way->signal)
        return "another signal";
    if (f->n_frames < (size_t)way->frames_min)
        return "frames are missing";
    if (f->n_pcs != (f->n_frames < MOLT_FAULT_PCS_MAX ? f->n_frames : MOLT_FAULT_PCS_MAX))
        return "kept frames don't match";
    if (f->n_frames < MOLT_FAULT_PCS_MAX &&
        !flow_worker_is_text((void *)(uintptr_t)w, f->pcs[f->n_pcs - 1]))
        return "the outermost frame isn't the module's";
    return NULL;
}

/* One thread's share; NULL or what went wrong. */
static const char *crash_often(struct flow_worker *w, const struct fault_way *ways)
{
    struct trim before, after;
    struct molt_fault fault;
    trim_get(&before);
    for (const struct fault_way *way = ways; way->name; way++) {
        int n = way->frames_min >= 1000 ? (CRASHES + SLOWER - 1) / SLOWER : CRASHES;
        for (int i = 0; i < n; i++) {
            if (flow_worker_run(w, (molt_flow_fn *)way->run, env.past_end, NULL, &fault))
                return "it returned";
            const char *wrong = check(w, way, &fault);
            if (wrong) {
                print_error("%s: %s (kind %d, signal %d, %zu frames)\n", way->name, wrong,
                            (int)fault.kind, fault.signal, fault.n_frames);
                return wrong;
            }
            trim_get(&after);
            if (!is_same_trim(&before, &after))
                return "the thread is not as it was";
        }
    }
    return NULL;
}

static void *crash_thread(void *arg)
{
    struct flow_worker w;
    flow_worker_open(&w);
    flow_worker_add_object(&w, env.module);
    const char *wrong = crash_often(&w, arg);
    flow_worker_close(&w);
    return (void *)(uintptr_t)wrong;
}

static void crash_on_all_threads(const struct fault_way *ways)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crash_thread, (void *)(uintptr_t)ways),
                         0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("thread %d: %s", i, (const char *)wrong);
    }
}

static void each_kind_of_crash_ends_only_its_flow(void **state)
{
    (void)state;
    crash_on_all_threads(env.ways); /* caches of threads' stacks are warm now */
    size_t before = count_mappings();
    crash_on_all_threads(env.ways);
    if (IS_SANITIZED)
        print_message("  mappings not counted: the sanitizer makes more of its own\n");
    else
        assert_true(count_mappings() <= before + 2);
}

static void a_bad_pointer_for_a_pure_function_of_libc_is_the_modules(void **state)
{
    (void)state;
    size_t of, n = molt_leaf_count(&of);
    print_message("  %zu of %zu pure leaf functions found\n", n, of);
    if (IS_SANITIZED) {
        print_message("  skipped: the sanitizer has functions of its own\n");
        skip();
    }
    assert_int_equal(n, of);
    crash_on_all_threads(env.leaf_ways);
}

/* ---- what ends the host --------------------------------------------------------- */

/* Chained behind: it says so by its exit code. */
static void last_words(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    _exit(100 + signal);
}

/* The signal that ended a child that ran @way, or 100 + it through a handler; 0
 * if it was contained. */
static int fate_of(const struct fault_way *way, bool has_next, bool is_locked)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        struct sigaction next = {.sa_sigaction = last_words, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        struct flow_worker w;
        setrlimit(RLIMIT_CORE, &none);
        if (!has_next)
            next = (struct sigaction){.sa_handler = SIG_DFL};
        for (size_t i = 0; i < 5; i++)
            sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}[i], &next, NULL);
        flow_worker_open(&w);
        flow_worker_add_object(&w, env.module);
        w.is_locked = is_locked;
        flow_worker_run(&w, (molt_flow_fn *)way->run, env.past_end, NULL, NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void crashes_that_a_library_is_part_of_end_the_host(void **state)
{
    (void)state;
    for (const struct fault_way *way = env.fatal_ways; way->name; way++) {
        int fate = fate_of(way, false, false);
        if (IS_SANITIZED && strcmp(way->name, "free") == 0) {
            assert_int_not_equal(fate, 0); /* its allocator has last words of its own */
            continue;
        }
        if (fate != way->signal)
            fail_msg("%s: %d instead of %d", way->name, fate, way->signal);
        fate = fate_of(way, true, false);
        if (fate != (way->signal == SIGABRT ? SIGABRT : 100 + way->signal))
            fail_msg("%s: %d instead of the next handler", way->name, fate);
    }
}

static void crashes_with_a_lock_held_end_the_host(void **state)
{
    (void)state;
    for (const struct fault_way *way = env.ways; way->name; way++) {
        assert_int_equal(fate_of(way, false, true), way->signal);
        assert_int_equal(fate_of(way, true, true), 100 + way->signal);
        assert_int_equal(fate_of(way, true, false), 0);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_crash_ends_only_its_flow),
        cmocka_unit_test(a_bad_pointer_for_a_pure_function_of_libc_is_the_modules),
        cmocka_unit_test(crashes_that_a_library_is_part_of_end_the_host),
        cmocka_unit_test(crashes_with_a_lock_held_end_the_host),
    };
    if (argc != 3) {
        fprintf(stderr, "usage: %s compiler flags\n", argv[0]);
        return 2;
    }
    env.cc = argv[1];
    env.flags = argv[2];
    printf("containing crashes of %s %s, %d of each kind on %d threads\n", env.cc, env.flags,
           2 * CRASHES, THREADS);
    return cmocka_run_group_tests(tests, setup, teardown);
}
