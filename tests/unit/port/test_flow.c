/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the interfaces of flows, preemption and containment promise, without a
 * module; the mechanism itself is proven in tests/mechanism. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "support/flow_worker.h"

#include "port/unwind_bytes.h"

/* ---- flows ---------------------------------------------------------------------- */

static struct molt_flow *seen_flow;
static uintptr_t seen_sp;

static intptr_t take_four(const void *a, const void *b, const void *c, const void *d)
{
    seen_sp = seen_flow->entry_sp;
    return (intptr_t)a * 1000 + (intptr_t)b * 100 + (intptr_t)c * 10 + (intptr_t)d;
}

static void a_flow_passes_four_arguments_and_the_result(void **state)
{
    (void)state;
    struct molt_flow flow = {.entry_sp = 0};
    seen_flow = &flow;
    intptr_t got = molt_flow_call(&flow, (molt_flow_fn *)take_four, (void *)1, (void *)2, (void *)3,
                                  (void *)4);
    assert_int_equal(got, 1234);
    assert_int_equal(seen_sp % 16, 0);
    assert_true(seen_sp != 0);
    assert_int_equal(flow.entry_sp, 0);
}

/* ---- threads ----------------------------------------------------------------------- */

static void *init_without_stack(void *unused)
{
    struct molt_preempt_thread preempt;
    struct molt_fault_thread fault;
    struct molt_error err;
    stack_t off = {.ss_flags = SS_DISABLE};
    (void)unused;
    sigaltstack(&off, NULL); /* a sanitizer gave it one */
    int first = molt_preempt_thread_init(&preempt, &flow_worker_preempt_hooks, NULL, &err);
    int second = molt_fault_thread_init(&fault, &flow_worker_fault_hooks, NULL, &err);
    return (void *)(intptr_t)(first == MOLT_EINVAL && second == MOLT_EINVAL);
}

static void a_thread_without_an_alternate_stack_is_refused(void **state)
{
    (void)state;
    pthread_t thread;
    void *is_refused;
    assert_int_equal(pthread_create(&thread, NULL, init_without_stack, NULL), 0);
    pthread_join(thread, &is_refused);
    assert_non_null(is_refused);
}

static void a_thread_is_inited_once_and_again_after_its_fini(void **state)
{
    (void)state;
    struct flow_worker w;
    struct molt_preempt_thread preempt;
    struct molt_fault_thread fault;
    struct molt_error err;
    for (int i = 0; i < 2; i++) {
        flow_worker_open(&w);
        assert_int_equal(molt_fault_thread_init(&fault, &flow_worker_fault_hooks, &w, &err),
                         MOLT_EEXIST);
        if (w.has_preemption)
            assert_int_equal(molt_preempt_thread_init(&preempt, &flow_worker_preempt_hooks, &w,
                                                      &err),
                             MOLT_EEXIST);
        flow_worker_close(&w);
    }
}

static void *leave_a_thread_object(void *arg)
{
    struct molt_preempt_thread *thread = arg;
    struct molt_error err;
    void *alt_stack = molt_port_alt_stack_open();
    int rc = molt_preempt_thread_init(thread, &flow_worker_preempt_hooks, NULL, &err);
    molt_preempt_thread_fini(thread);
    molt_port_alt_stack_close(alt_stack);
    return (void *)(intptr_t)(rc == 0);
}

static void a_thread_that_is_gone_says_so(void **state)
{
    (void)state;
    struct molt_preempt_thread gone;
    pthread_t thread;
    void *is_inited;
    assert_int_equal(pthread_create(&thread, NULL, leave_a_thread_object, &gone), 0);
    pthread_join(thread, &is_inited);
    assert_non_null(is_inited);
    assert_int_equal(molt_preempt_request(&gone), MOLT_EDEAD);
    assert_int_equal(molt_preempt_request(&gone), MOLT_EDEAD); /* nothing stayed pending */
    assert_int_equal(molt_preempt_cpu_ns(&gone), 0);
    assert_int_equal(molt_preempt_activity(&gone), MOLT_PREEMPT_UNKNOWN);
}

/* ---- signals of others --------------------------------------------------------------- */

static volatile sig_atomic_t n_urgent, n_segv;

static void on_urgent(int signal)
{
    (void)signal;
    n_urgent++;
}

static void a_request_outside_of_a_flow_has_no_effect(void **state)
{
    (void)state;
    struct flow_worker w;
    flow_worker_open(&w);
    if (!w.has_preemption) {
        flow_worker_close(&w);
        skip();
    }
    errno = 77;
    assert_int_equal(molt_preempt_request(&w.preempt), 0);
    assert_int_equal(errno, 77);
    assert_int_equal(w.preempt.outcomes[MOLT_PREEMPT_NO_FLOW], 1);
    assert_int_equal(w.preempt.n_requests, 1);
    flow_worker_close(&w);
}

static void a_blocked_signal_stays_one_request(void **state)
{
    (void)state;
    struct flow_worker w;
    sigset_t set;
    flow_worker_open(&w);
    if (!w.has_preemption) {
        flow_worker_close(&w);
        skip();
    }
    sigemptyset(&set);
    sigaddset(&set, MOLT_PREEMPT_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert_int_equal(molt_preempt_request(&w.preempt), 0);
    assert_int_equal(molt_preempt_request(&w.preempt), MOLT_EBUSY);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    assert_int_equal(w.preempt.outcomes[MOLT_PREEMPT_NO_FLOW], 1);
    assert_int_equal(molt_preempt_request(&w.preempt), 0);
    flow_worker_close(&w);
}

static void an_urgent_signal_of_others_reaches_their_handler(void **state)
{
    (void)state;
    struct flow_worker w;
    struct sigaction theirs = {.sa_handler = on_urgent}, before;
    assert_int_equal(sigaction(MOLT_PREEMPT_SIGNAL, &theirs, &before), 0);
    flow_worker_open(&w); /* in front again */
    n_urgent = 0;
    raise(MOLT_PREEMPT_SIGNAL);
    assert_int_equal(n_urgent, 1);
    if (w.has_preemption)
        molt_preempt_request(&w.preempt);
    assert_int_equal(n_urgent, 1);
    flow_worker_close(&w);
    sigaction(MOLT_PREEMPT_SIGNAL, &before, NULL);
}

static void on_segv(int signal)
{
    (void)signal;
    n_segv++;
}

static void a_fault_signal_that_was_sent_is_passed_on(void **state)
{
    (void)state;
    struct flow_worker w;
    struct sigaction theirs = {.sa_handler = on_segv}, before;
    assert_int_equal(sigaction(SIGSEGV, &theirs, &before), 0);
    flow_worker_open(&w);
    n_segv = 0;
    raise(SIGSEGV);
    assert_int_equal(n_segv, 1);
    assert_false(molt_fault_take(&w.fault, NULL));
    flow_worker_close(&w);
    sigaction(SIGSEGV, &before, NULL);
}

/* ---- bytes ------------------------------------------------------------------------------- */

static struct molt_bytes bytes_of(const uint8_t *at, size_t len)
{
    return (struct molt_bytes){at, at + len, false};
}

static void leb_numbers_are_read_as_dwarf_writes_them(void **state)
{
    (void)state;
    /* DWARF 5, 7.6: tables 7.7 and 7.8 */
    static const uint8_t unsigneds[] = {0x02, 0x7f, 0x80, 0x01, 0xb9, 0x64};
    static const uint8_t signeds[] = {0x02, 0x7e, 0xff, 0x00, 0x81, 0x7f, 0x80, 0x7f};
    struct molt_bytes b = bytes_of(unsigneds, sizeof unsigneds);
    assert_int_equal(molt_bytes_uleb(&b), 2);
    assert_int_equal(molt_bytes_uleb(&b), 127);
    assert_int_equal(molt_bytes_uleb(&b), 128);
    assert_int_equal(molt_bytes_uleb(&b), 12857);
    assert_false(b.is_bad);
    b = bytes_of(signeds, sizeof signeds);
    assert_int_equal(molt_bytes_sleb(&b), 2);
    assert_int_equal(molt_bytes_sleb(&b), -2);
    assert_int_equal(molt_bytes_sleb(&b), 127);
    assert_int_equal(molt_bytes_sleb(&b), -127);
    assert_int_equal(molt_bytes_sleb(&b), -128);
    assert_false(b.is_bad);
}

static void reads_past_the_end_are_seen_and_give_nothing(void **state)
{
    (void)state;
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    struct molt_bytes b = bytes_of(endless, 3);
    assert_int_equal(molt_bytes_uint(&b, 4), 0);
    assert_true(b.is_bad);
    assert_int_equal(molt_bytes_uint(&b, 1), 0);
    b = bytes_of(endless, sizeof endless);
    molt_bytes_uleb(&b);
    assert_true(b.is_bad);
    b = bytes_of(endless, sizeof endless);
    molt_bytes_sleb(&b);
    assert_true(b.is_bad);
    b = bytes_of(endless, sizeof endless);
    struct molt_bytes part = molt_bytes_part(&b, sizeof endless + 1);
    assert_true(part.is_bad && b.is_bad);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_passes_four_arguments_and_the_result),
        cmocka_unit_test(a_thread_without_an_alternate_stack_is_refused),
        cmocka_unit_test(a_thread_is_inited_once_and_again_after_its_fini),
        cmocka_unit_test(a_thread_that_is_gone_says_so),
        cmocka_unit_test(a_request_outside_of_a_flow_has_no_effect),
        cmocka_unit_test(a_blocked_signal_stays_one_request),
        cmocka_unit_test(an_urgent_signal_of_others_reaches_their_handler),
        cmocka_unit_test(a_fault_signal_that_was_sent_is_passed_on),
        cmocka_unit_test(leb_numbers_are_read_as_dwarf_writes_them),
        cmocka_unit_test(reads_past_the_end_are_seen_and_give_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
