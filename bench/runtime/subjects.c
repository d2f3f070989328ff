/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The three programs: how each is made, started, and asked. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/set.h"
#include "runtime/runtime.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/talk.h"

#define RUN_MS 180000 /* a million gen_servers' worth of patience */
#define MOLT_WORKERS_MAX 2

static void die(const struct rt_subject *subject, const struct rt_order *o, const char *what)
{
    molt_bench_die("%s, %s %s n=%lu: %s", subject->title, o->command, o->place, o->n, what);
}

static void take_result(const struct rt_subject *subject, const struct rt_order *o,
                        const char *text, struct molt_bench_result *ret)
{
    struct molt_error err = {0};
    if (molt_bench_result_parse(text, ret, &err) < 0)
        die(subject, o, err.text);
}

/* ---- molt ------------------------------------------------------------------------- */

static struct {
    struct molt_bench_app *app[MOLT_WORKERS_MAX + 1]; /* by number of workers */
    struct molt_set *set[MOLT_WORKERS_MAX + 1];
    unsigned port;
} molt;

static void prepare_molt_with(unsigned workers)
{
    char *root = molt_bench_text("%s/molt-%u", molt_bench_folder(), workers);
    char *src = molt_bench_text("%s/src", root), *conf = molt_bench_text("%s/molt.conf", root);
    molt_bench_app_files(root, molt.port);
    molt_bench_copy(MOLT_BENCH_SOURCE "/runtime/molt", src);
    char *old = molt_bench_read(conf), *text = molt_bench_text("%scflags = -O2 -g\n", old);
    molt_bench_write(conf, text);
    molt.app[workers] = molt_bench_app_new_with(root, false, workers);
    molt.set[workers] = molt_bench_app_build(molt.app[workers]);
    free(root);
    free(src);
    free(conf);
    free(old);
    free(text);
}

static void prepare_molt(void)
{
    molt.port = molt_bench_port();
    for (unsigned workers = 1; workers <= MOLT_WORKERS_MAX; workers++)
        prepare_molt_with(workers);
}

static void run_molt(const struct rt_order *o, struct molt_bench_result *ret)
{
    struct molt_bench_app *app = molt.app[o->workers];
    struct molt_bench_talk talk = molt_bench_talk_tcp(molt.port, RUN_MS);
    molt_bench_app_apply(app, molt.set[o->workers], NULL);
    if (!molt_bench_talk_until(&talk, "/ready", "ready", 1000, 10000))
        die(&molt_rt_subjects[RT_MOLT], o, "the host doesn't answer");
    char *target = molt_bench_text("/%s?n=%lu&ms=%u&at=%s&first=%u&spread=%u", o->command, o->n,
                                   o->ms, o->place, o->first_ms, o->spread_ms);
    char *body = NULL;
    int status = molt_bench_talk(&talk, "GET", target, NULL, &body);
    molt_bench_app_tick(app);
    if (status != 200)
        die(&molt_rt_subjects[RT_MOLT], o, body ? body : "no answer");
    take_result(&molt_rt_subjects[RT_MOLT], o, body, ret);
    molt_bench_talk_close(&talk);
    molt_bench_app_stop(app);
    free(target);
    free(body);
}

static void finish_molt(void)
{
    for (unsigned workers = 1; workers <= MOLT_WORKERS_MAX; workers++) {
        molt_set_free(molt.set[workers]);
        molt_bench_app_free(molt.app[workers]);
    }
}

/* ---- programs that print ------------------------------------------------------------- */

/* All that it prints; malloc'd. */
static char *read_all(struct molt_bench_child *child)
{
    size_t len = 0, size = 4096;
    char *text = malloc(size);
    for (ssize_t n; text && len < size - 1; len += (size_t)n)
        if ((n = read(child->out, text + len, size - 1 - len)) <= 0)
            break;
    if (!text)
        molt_bench_die("out of memory");
    text[len] = '\0';
    return text;
}

static void run_program(enum rt_who who, const char *const *argv, const struct rt_order *o,
                        struct molt_bench_result *ret)
{
    const struct rt_subject *subject = &molt_rt_subjects[who];
    char *log = molt_bench_text("%s/%s.log", molt_bench_folder(), subject->name);
    struct molt_bench_child child =
        molt_bench_start(argv, molt_bench_folder(), log, MOLT_BENCH_PIPES);
    char *text = read_all(&child);
    molt_bench_wait(0);
    if (molt_bench_join(&child, 5000) != 0)
        die(subject, o, "it failed; run with --keep to see its output in the temporary folder");
    take_result(subject, o, text, ret);
    free(text);
    free(log);
}

static void compile(const char *const *argv, const char *package)
{
    char *log = molt_bench_text("%s/compile.log", molt_bench_folder());
    if (molt_bench_run(argv, NULL, log) != 0) {
        char *text = molt_bench_read(log);
        molt_bench_die("%s failed: %s\nIs %s installed?", argv[0], text, package);
    }
    free(log);
}

/* ---- what they are ----------------------------------------------------------------------- */

static char versions[RT_WHO][128];

const char *molt_rt_version(enum rt_who who)
{
    return *versions[who] ? versions[who] : "?";
}

/* The first line that a program prints. */
static void ask_version(enum rt_who who, const char *const *argv)
{
    struct molt_bench_child child = molt_bench_start(argv, NULL, NULL, MOLT_BENCH_PIPES);
    char *text = read_all(&child);
    molt_bench_join(&child, 5000);
    text[strcspn(text, "\n")] = '\0';
    snprintf(versions[who], sizeof(versions[who]), "%s", text);
    free(text);
}

static void prepare_erlang(void)
{
    static const char tell[] =
        "io:format(\"Erlang/OTP ~s, erts ~s, ~s\", [erlang:system_info(otp_release),"
        "erlang:system_info(version), erlang:system_info(emu_flavor)]), halt().";
    const char *ask[] = {"erl", "-noshell", "-eval", tell, NULL};
    ask_version(RT_ERLANG, ask);
    const char *argv[] = {"erlc", "-o", molt_bench_folder(),
                          MOLT_BENCH_SOURCE "/runtime/peers/rt.erl", NULL};
    compile(argv, "erlang-base");
}

/* Schedulers are bound to cores; their busy waiting is left on: it is what makes
 * messages between two of them fast. +P: a million processes and more. */
static void run_erlang_as(enum rt_who who, const char *command, const struct rt_order *o,
                          struct molt_bench_result *ret)
{
    char *schedulers = molt_bench_text("%u:%u", o->workers, o->workers);
    char *n = molt_bench_text("%lu", o->n), *ms = molt_bench_text("%u", o->ms);
    char *first = molt_bench_text("%u", o->first_ms), *spread = molt_bench_text("%u", o->spread_ms);
    const char *argv[] = {"erl",      "+S",  schedulers, "+sbt", "db",   "+P",   "4000000",
                          "-noshell", "-pa", ".",        "-run", "rt",   "main", command,
                          n,          ms,    o->place,   first,  spread, NULL};
    run_program(who, argv, o, ret);
    free(schedulers);
    free(n);
    free(ms);
    free(first);
    free(spread);
}

static void run_erlang(const struct rt_order *o, struct molt_bench_result *ret)
{
    run_erlang_as(RT_ERLANG, o->command, o, ret);
}

static void run_hibernated(const struct rt_order *o, struct molt_bench_result *ret)
{
    run_erlang_as(RT_HIBERNATED, "hibernated", o, ret);
}

static void prepare_nothing(void)
{
}

static void prepare_go(void)
{
    char *cache = molt_bench_text("%s/go-cache", molt_bench_folder());
    char *program = molt_bench_text("%s/rt-go", molt_bench_folder());
    const char *argv[] = {"go", "build", "-o", program, MOLT_BENCH_SOURCE "/runtime/peers/rt.go",
                          NULL};
    setenv("GOCACHE", cache, 1);
    setenv("GOFLAGS", "-mod=mod", 1);
    compile(argv, "golang-go");
    const char *ask[] = {"go", "version", NULL};
    ask_version(RT_GO, ask);
    free(cache);
    free(program);
}

static void run_go(const struct rt_order *o, struct molt_bench_result *ret)
{
    char *workers = molt_bench_text("%u", o->workers), *n = molt_bench_text("%lu", o->n);
    char *ms = molt_bench_text("%u", o->ms), *first = molt_bench_text("%u", o->first_ms);
    char *spread = molt_bench_text("%u", o->spread_ms);
    const char *argv[] = {"./rt-go", o->command, n, ms, o->place, first, spread, NULL};
    setenv("GOMAXPROCS", workers, 1);
    run_program(RT_GO, argv, o, ret);
    free(workers);
    free(n);
    free(ms);
    free(first);
    free(spread);
}

const struct rt_subject molt_rt_subjects[RT_WHO] = {
    [RT_MOLT] = {"molt", "molt", prepare_molt, run_molt, finish_molt},
    [RT_ERLANG] = {"erlang", "Erlang", prepare_erlang, run_erlang, NULL},
    [RT_HIBERNATED] = {"hibernated", "Erlang, hibernated", prepare_nothing, run_hibernated, NULL},
    [RT_GO] = {"go", "Go", prepare_go, run_go, NULL},
};
