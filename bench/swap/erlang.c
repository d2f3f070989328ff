/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Erlang: hello_server.erl, told through its stdin to load beams made ahead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "swap/swap.h"
#include "tool/bench.h"
#include "tool/talk.h"

struct subject {
    unsigned port;
    char *folder, *log;
    struct molt_bench_child node;
    FILE *answers;
};

static void compile(const struct subject *s, const char *name, const char *define, const char *to)
{
    char *source = molt_bench_text("%s/swap/%s.erl", MOLT_BENCH_SOURCE, name);
    molt_bench_mkdir(to);
    const char *argv[] = {"erlc", define, "-o", to, source, NULL};
    if (molt_bench_run(argv, NULL, s->log) != 0)
        molt_bench_die("erlc failed on %s.erl; its output is in %s. Is erlang-base installed?",
                       name, s->log);
    free(source);
}

static void *prepare(unsigned n)
{
    struct subject *s = calloc(1, sizeof(*s));
    if (!s)
        molt_bench_die("out of memory");
    s->port = molt_bench_port();
    s->folder = molt_bench_text("%s/erlang", molt_bench_folder());
    s->log = molt_bench_text("%s/erlang.log", molt_bench_folder());
    compile(s, "hello_server", "-Dmolt", s->folder);
    for (unsigned i = 0; i <= n; i++) {
        char *define = molt_bench_text("-DVERSION=%u", i);
        char *to = molt_bench_text("%s/%u", s->folder, i);
        compile(s, "hello", define, to);
        free(define);
        free(to);
    }
    return s;
}

/* No busy waiting in schedulers: server and load share the cores. */
static unsigned start(void *state)
{
    struct subject *s = state;
    char *port = molt_bench_text("%u", s->port);
    const char *argv[] = {"erl",  "-noshell",     "+sbwt", "none", "+sbwtdcpu",
                          "none", "+sbwtdio",     "none",  "-pa",  ".",
                          "-s",   "hello_server", "main",  port,   NULL};
    s->node = molt_bench_start(argv, s->folder, s->log, MOLT_BENCH_PIPES);
    s->answers = fdopen(s->node.out, "re");
    s->node.out = -1;
    free(port);
    struct molt_bench_talk talk = molt_bench_talk_tcp(s->port, 1000);
    if (!s->answers || !molt_bench_talk_until(&talk, "/", "Hello 0\n", 5000, 20000))
        molt_bench_die("the Erlang node doesn't answer; its output is in %s", s->log);
    molt_bench_talk_close(&talk);
    return s->port;
}

static void swap(void *state, unsigned version, struct swap_times *ret)
{
    struct subject *s = state;
    char line[64];
    int len = snprintf(line, sizeof(line), "%u\n", version);
    uint64_t began = molt_clock_ns();
    if (write(s->node.in, line, (size_t)len) != len || !fgets(line, sizeof(line), s->answers) ||
        strncmp(line, "ok ", 3) != 0)
        molt_bench_die("the Erlang node didn't load version %u", version);
    ret->total_ns = molt_clock_ns() - began;
}

static double memory(void *state)
{
    return molt_bench_memory(((struct subject *)state)->node.pid).pss;
}

static double cpu(void *state)
{
    return molt_bench_cpu(((struct subject *)state)->node.pid);
}

static void stop(void *state)
{
    struct subject *s = state;
    close(s->node.in); /* it halts at the end of its input, where SIGTERM takes a second */
    s->node.in = -1;
    if (molt_bench_join(&s->node, 3000) < 0)
        molt_bench_stop(&s->node, 5000);
    fclose(s->answers);
    s->answers = NULL;
}

const struct swap_subject molt_swap_erlang = {.name = "erlang",
                                              .title = "Erlang/OTP, code:load_binary",
                                              .prepare = prepare,
                                              .start = start,
                                              .swap = swap,
                                              .memory = memory,
                                              .cpu = cpu,
                                              .stop = stop};
