/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt: sets built ahead, applied one after the other to a running host. */
#include <stdio.h>
#include <stdlib.h>

#include "control/agent/set.h"
#include "swap/swap.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/talk.h"

static const char hello_c[] = "#include <molt/http.h>\n"
                              "\n"
                              "static int hello(struct molt_http *r)\n"
                              "{\n"
                              "    return molt_http_printf(r, 200, \"Hello %%d\\n\", %u);\n"
                              "}\n"
                              "\n"
                              "MOLT_ROUTES({\"GET\", \"/\", hello});\n";

struct subject {
    struct molt_bench_app *app;
    unsigned port;
    struct molt_set *sets[SWAP_VERSIONS_MAX + 1];
};

static void *prepare(unsigned n)
{
    struct subject *s = calloc(1, sizeof(*s));
    if (!s)
        molt_bench_die("out of memory");
    char *root = molt_bench_text("%s/molt", molt_bench_folder());
    char *path = molt_bench_text("%s/src/hello.c", root);
    s->port = molt_bench_port();
    molt_bench_app_files(root, s->port);
    char *conf = molt_bench_text("%s/molt.conf", root);
    char *old = molt_bench_read(conf);
    char *text = molt_bench_text("%scflags = -O2 -g\n", old);
    molt_bench_write(conf, text);
    for (unsigned i = 0; i <= n; i++) {
        char *source = molt_bench_text(hello_c, i);
        molt_bench_write(path, source);
        free(source);
        if (!s->app)
            s->app = molt_bench_app_new(root, false);
        s->sets[i] = molt_bench_app_build(s->app);
    }
    free(text);
    free(old);
    free(conf);
    free(path);
    free(root);
    return s;
}

static unsigned start(void *state)
{
    struct subject *s = state;
    struct molt_bench_talk talk = molt_bench_talk_tcp(s->port, 1000);
    molt_bench_app_apply(s->app, s->sets[0], NULL);
    if (!molt_bench_talk_until(&talk, "/", "Hello 0\n", 1000, 10000))
        molt_bench_die("molt's host doesn't answer on port %u", s->port);
    molt_bench_talk_close(&talk);
    return s->port;
}

static void swap(void *state, unsigned version, struct swap_times *ret)
{
    struct subject *s = state;
    struct molt_bench_swap times;
    molt_bench_app_apply(s->app, s->sets[version], &times);
    *ret = (struct swap_times){times.total_ns, times.switch_ns, times.held_ns};
}

static void tick(void *state)
{
    molt_bench_app_tick(((struct subject *)state)->app);
}

static double memory(void *state)
{
    return molt_bench_memory(molt_bench_app_pid(((struct subject *)state)->app)).pss;
}

static double cpu(void *state)
{
    return molt_bench_cpu(molt_bench_app_pid(((struct subject *)state)->app));
}

static void stops(void *state, uint64_t *buckets)
{
    molt_bench_app_stops(((struct subject *)state)->app, buckets);
}

static void stop(void *state)
{
    molt_bench_app_stop(((struct subject *)state)->app);
}

const struct swap_subject molt_swap_molt = {.name = "molt",
                                            .title = "molt",
                                            .prepare = prepare,
                                            .start = start,
                                            .swap = swap,
                                            .tick = tick,
                                            .memory = memory,
                                            .cpu = cpu,
                                            .stops = stops,
                                            .stop = stop};
