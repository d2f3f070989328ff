/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "torture/project.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SECONDS 20
#define LAYOUTS 3
#define SHOWN 6000 /* bytes of what molt said */

static const char *const fields[LAYOUTS] = {"long n;", "int spare; long n;",
                                            "long n; char text[40]; short more;"};

/* ---- chance ------------------------------------------------------------------ */

/* xorshift64*, Vigna 2016. */
uint64_t torture_random(struct torture *t, uint64_t n)
{
    t->random ^= t->random >> 12;
    t->random ^= t->random << 25;
    t->random ^= t->random >> 27;
    return (t->random * 2685821657736338717u >> 11) % n;
}

static double seconds(void)
{
    const char *minutes = getenv("MOLT_TORTURE_MINUTES"), *s = getenv("MOLT_TORTURE_SECONDS");
    double value = minutes ? 60 * strtod(minutes, NULL) : s ? strtod(s, NULL) : SECONDS;
    assert_true(value > 0);
    return value;
}

bool torture_is_over(const struct torture *t)
{
    return molt_clock_ms() >= t->end_ms;
}

/* ---- sources ------------------------------------------------------------------- */

static void save_hello(struct torture *t, const char *error)
{
    char text[1024];
    snprintf(
        text, sizeof(text),
        "#include <molt/http.h>\n"
        "#include \"counter.h\"\n"
        "static int hello(struct molt_http *r)\n"
        "{\n"
        "    long n = counter_next() %s;\n"
        "    if (n < 0)\n        molt_log(MOLT_ERR, \"counter_next: %%ld\", n);\n"
        "    return n < 0 ? (int)n : molt_http_printf(r, 200, \"%%ld %%d\\n\", n, %u + STEP);\n"
        "}\n"
        "MOLT_ROUTES({\"GET\", \"/\", hello});\n",
        error, t->version);
    if (torture_random(t, 2))
        test_app_save(&t->app, "src/hello.c", text);
    else
        test_app_overwrite(&t->app, "src/hello.c", text);
}

static void save_header(struct torture *t)
{
    char text[256];
    snprintf(
        text, sizeof(text),
        "#ifndef COUNTER_H\n#define COUNTER_H\n#define STEP (%u * 0)\nlong counter_next(void);\n"
        "#endif\n",
        t->step);
    test_app_save(&t->app, "src/counter.h", text);
}

/* The conversions from the layouts that the state hasn't. */
static int print_changes(const struct torture *t, char *text, size_t size, bool is_failing)
{
    int n = 0;
    for (unsigned i = 0; i < LAYOUTS; i++)
        if (i != t->layout)
            n += snprintf(text + n, size - (size_t)n,
                          "struct was_%u { %s };\n"
                          "static int from_%u(const struct was_%u *old, struct counter *now)\n"
                          "{\n    now->n = old->n;\n    return %s;\n}\n",
                          i, fields[i], i, i, is_failing ? "MOLT_EINVAL" : "0");
    return n;
}

static void save_counter(struct torture *t, bool has_changes, bool is_failing)
{
    char text[4096];
    unsigned a = (t->layout + 1) % LAYOUTS, b = (t->layout + 2) % LAYOUTS;
    int n =
        snprintf(text, sizeof(text),
                 "#include \"counter.h\"\n#include <molt/molt.h>\n"
                 "struct counter { %s };\nstruct next { long by; };\nstruct total { long n; };\n",
                 fields[t->layout]);
    if (has_changes)
        n += print_changes(t, text + n, sizeof(text) - (size_t)n, is_failing);
    n += snprintf(text + n, sizeof(text) - (size_t)n,
                  "static int on_next(struct counter *c, struct next *m, struct molt_from *from)\n"
                  "{\n"
                  "    struct total *t = molt_new(struct total);\n"
                  "    if (!t)\n        return molt_reply_error(from, MOLT_ENOMEM);\n"
                  "    t->n = c->n += m->by + %u * STEP;\n"
                  "    return molt_reply(from, t);\n"
                  "}\n"
                  "MOLT_SERVER(counter, struct counter, .on = {MOLT_CALL(struct next, on_next)}",
                  t->version);
    if (has_changes)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      ", .change = {MOLT_CHANGE(struct was_%u, from_%u), "
                      "MOLT_CHANGE(struct was_%u, from_%u)}",
                      a, a, b, b);
    n += snprintf(text + n, sizeof(text) - (size_t)n,
                  ");\n"
                  "long counter_next(void)\n"
                  "{\n"
                  "    struct next *m = molt_new(struct next);\n"
                  "    struct total *t = NULL;\n"
                  "    if (!m)\n        return MOLT_ENOMEM;\n"
                  "    m->by = 1;\n"
                  "    int rc = molt_call(\"counter\", m, &t, 60000);\n"
                  "    long n = rc < 0 ? rc : t->n;\n"
                  "    molt_free(t);\n"
                  "    return n;\n"
                  "}\n");
    assert_in_range(n, 1, sizeof(text) - 1);
    test_app_save(&t->app, "src/counter.c", text);
}

static void save_extra(struct torture *t)
{
    char text[512];
    if (t->has_extra) {
        test_app_remove(&t->app, "src/extra.c");
    } else {
        snprintf(text, sizeof(text),
                 "#include <molt/http.h>\n"
                 "static int extra(struct molt_http *r)\n"
                 "{\n    return molt_http_printf(r, 200, \"%u\\n\");\n}\n"
                 "MOLT_ROUTES({\"GET\", \"/extra\", extra});\n",
                 t->version);
        test_app_save(&t->app, "src/extra.c", text);
    }
    t->has_extra = !t->has_extra;
}

/* ---- one save --------------------------------------------------------------------- */

static void await_outcome(struct torture *t)
{
    static const char *const outcomes[] = {" live in ", ", nothing changed", "nothing to change",
                                           " goes on", NULL};
    const char *line = test_app_await_any(&t->app, outcomes);
    if (strstr(line, " live in "))
        t->n_live++;
    else if (!strstr(line, "nothing to change"))
        t->n_refused++;
}

void torture_save(struct torture *t, bool is_awaited)
{
    t->version++;
    t->n_saves++;
    switch (torture_random(t, 10)) {
    case 0:
        save_hello(t, torture_random(t, 2) ? "+ missing" : "+ undefined_function()");
        break;
    case 1:
    case 2: /* another layout, and the way back of the one before */
        t->layout = (unsigned)torture_random(t, LAYOUTS);
        save_counter(t, true, false);
        break;
    case 3: /* refused, unless the state has that layout */
        t->layout = (unsigned)torture_random(t, LAYOUTS);
        save_counter(t, torture_random(t, 2), true);
        break;
    case 4:
        t->step++;
        save_header(t);
        break;
    case 5:
        save_extra(t);
        break;
    default:
        save_hello(t, "");
    }
    if (is_awaited)
        await_outcome(t);
    else
        test_app_listen(&t->app);
}

void torture_repair(struct torture *t)
{
    save_counter(t, true, false);
    save_hello(t, "");
}

/* ---- what may not happen -------------------------------------------------------------- */

static void show(const struct torture *t, const char *from)
{
    fprintf(stderr, "seed %llu; molt said:\n%.*s\n", (unsigned long long)t->seed, SHOWN, from);
}

void torture_check(struct torture *t)
{
    static const char *const never[] = {"the host crashed", "the host was killed",
                                        "the host exited",  "Sanitizer",
                                        "runtime error:",   "molt-host: SIG",
                                        "\nerror: ",        "connection to the host"};
    test_app_listen(&t->app);
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
        const char *at = t->app.text ? strstr(t->app.text, never[i]) : NULL;
        if (!at)
            continue;
        while (at > t->app.text && at[-1] != '\n')
            at--;
        show(t, at);
        fail_msg("molt said `%s`", never[i]);
    }
}

static int check_answer(void *user, unsigned connection, const char *body, size_t len)
{
    struct torture *t = user;
    char text[64], *end;
    if (len >= sizeof(text))
        return -1;
    memcpy(text, body, len);
    text[len] = '\0';
    long n = strtol(text, &end, 10);
    if (end == text || *end != ' ' || n <= t->last[connection])
        return -1;
    t->last[connection] = n;
    return 0;
}

/* ---- beginning and end ----------------------------------------------------------------- */

void torture_start(struct torture *t, double share)
{
    const char *seed = getenv("MOLT_SEED");
    *t = (struct torture){.seed = seed ? strtoull(seed, NULL, 0) : molt_clock_ns()};
    t->random = t->seed * 2 + 1;
    print_message("MOLT_SEED=%llu\n", (unsigned long long)t->seed);
    test_app_init(&t->app);
    save_header(t);
    save_counter(t, true, false);
    save_hello(t, "");
    test_app_start_live(&t->app, "dev");
    struct molt_load_config config = {.port = t->app.port,
                                      .connections = TORTURE_CONNECTIONS,
                                      .idle = 10,
                                      .timeout_ms = 15000 * MOLT_TEST_SLOWNESS,
                                      .check = check_answer,
                                      .user = t};
    struct molt_error err = {0};
    if (molt_load_start(&config, &t->load, &err) < 0)
        fail_msg("load: %s", err.text);
    t->end_ms = molt_clock_ms() + (uint64_t)(1000 * share * seconds());
}

static void await_last_version(struct torture *t)
{
    struct test_client client;
    char want[32];
    uint64_t end = molt_clock_ms() + TEST_APP_PATIENCE_MS;
    t->version = 1000000;
    save_counter(t, true, false);
    save_hello(t, "");
    snprintf(want, sizeof(want), " %u\n", t->version);
    test_client_open(&client, t->app.port);
    while (!strstr(test_client_get(&client, "/"), want)) {
        torture_check(t);
        if (molt_clock_ms() > end) {
            show(t, t->app.text + (t->app.len > SHOWN ? t->app.len - SHOWN : 0));
            fail_msg("the last version is not served");
        }
        poll(NULL, 0, 20);
    }
    test_client_close(&client);
}

/* Every answer was a count of its own, and no count was lost. */
static void check_count(struct torture *t, uint64_t n_answered)
{
    long last = 0;
    struct test_client client;
    for (unsigned i = 0; i < TORTURE_CONNECTIONS; i++)
        last = t->last[i] > last ? t->last[i] : last;
    test_client_open(&client, t->app.port);
    long n = strtol(test_client_get(&client, "/"), NULL, 10);
    test_client_close(&client);
    assert_true(n > last);
    assert_true((uint64_t)n > n_answered);
}

void torture_finish(struct torture *t)
{
    struct molt_load_stats s;
    await_last_version(t);
    molt_load_stop(t->load);
    molt_load_snapshot(t->load, &s);
    print_message("%u saves, %u live, %u refused; %llu requests, %llu failures, %llu lost, longest "
                  "gap %llu ms\n",
                  t->n_saves, t->n_live, t->n_refused, (unsigned long long)s.requests,
                  (unsigned long long)s.n_failures, (unsigned long long)(s.lost + s.idle_lost),
                  (unsigned long long)s.longest_gap_ns / 1000000);
    torture_check(t);
    for (int i = 0; i < MOLT_LOAD_FAILURES; i++)
        if (s.failures[i])
            fail_msg("%llu answers failed: %s", (unsigned long long)s.failures[i],
                     molt_load_failure_name(i));
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.reconnects, 0);
    assert_int_equal(s.idle_lost, 0);
    assert_true(s.requests > 0);
    check_count(t, s.requests);
}

void torture_fini(struct torture *t)
{
    molt_load_free(t->load);
    test_app_fini(&t->app);
}
