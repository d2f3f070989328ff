/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-demo: see the help. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo/demo.h"

static const char help[] =
    "usage: molt-demo [--once] [--port N]\n"
    "Starts examples/hello with `molt dev`, lets 100 connections ask without a pause,\n"
    "and edits the sources meanwhile, as a person would: another answer, a syntax\n"
    "error, a state with another layout, the web server itself. Then says what that\n"
    "cost. Works on copies in the build folder.\n"
    "\n"
    "  --once    end afterwards, also on a terminal\n"
    "  --port N  serve on 127.0.0.1:N (9000); 0 takes a free one\n"
    "\n"
    "Exit status: 0 if nothing was dropped and every connection got the new code.\n";

struct options {
    bool is_once;
    unsigned port;
};

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {{"once", no_argument, NULL, 'o'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == 'o') {
            o->is_once = true;
        } else if (c == 'p' && strspn(optarg, "0123456789") == strlen(optarg) &&
                   atoi(optarg) < 65536) {
            o->port = (unsigned)atoi(optarg);
        } else {
            fputs(help, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
}

/* What has to be there, before anything is started. */
static void check_surroundings(const struct options *o)
{
    if (!molt_bench_has_program("gcc"))
        molt_bench_die("there is no compiler: molt dev compiles what is saved. Install gcc "
                       "(apt-get install gcc libc6-dev binutils), then run this again");
    if (molt_bench_port_is_taken(o->port))
        molt_bench_die("port %u is taken by another program. Stop that one, or choose another: "
                       "molt-demo --port N",
                       o->port);
}

/* Copies, so that the edits leave the repository as it is; of molt's own
 * modules and headers too, since one of the edits is in there. They lie below
 * include/ because `molt dev` watches that. */
static void copy_sources(struct demo *demo, unsigned port)
{
    const char *folder = molt_bench_folder();
    demo->root = molt_bench_text("%s/hello", folder);
    demo->share = molt_bench_text("%s/include/share", demo->root);
    char *modules = molt_bench_text("%s/modules", demo->share);
    char *include = molt_bench_text("%s/include", demo->share);
    char *conf = molt_bench_text("%s/molt.conf", demo->root);
    char *line = molt_bench_text("http.port = %u\n", port);
    molt_bench_copy(MOLT_BENCH_SOURCE "/../examples/hello", demo->root);
    molt_bench_mkdir(demo->share);
    molt_bench_copy(MOLT_BENCH_SOURCE "/../modules", modules);
    molt_bench_copy(MOLT_BENCH_SOURCE "/../include", include);
    char *old = molt_bench_read(conf), *text = molt_bench_replace(old, "http.port = 9000\n", line);
    molt_bench_write(conf, text);
    free(text);
    free(old);
    free(line);
    free(conf);
    free(include);
    free(modules);
}

static void wait_for_user(struct demo *demo)
{
    printf("\n  Still live: http://localhost:%u\n"
           "  Edit %s/src/hello.c, save, and reload the page. Ctrl-C ends it.\n",
           demo->dev.port, demo->root);
    molt_load_stop(demo->load);
    while (!molt_bench_is_stopped()) {
        molt_bench_dev_check(&demo->dev);
        usleep(200000);
    }
}

static bool run(const struct options *o)
{
    static struct demo demo;
    copy_sources(&demo, o->port);
    molt_bench_say("starting molt dev in %s", demo.root);
    molt_bench_dev_start(&demo.dev, demo.root, demo.share, o->port, "Hello 1\n");
    molt_bench_say("live: http://localhost:%u; %u connections ask without a pause", o->port,
                   DEMO_CONNECTIONS);
    demo.counter.talk = molt_bench_talk_tcp(o->port, 10000);
    molt_demo_count(&demo);
    molt_demo_start_load(&demo);
    molt_bench_wait(1000);
    for (unsigned i = 0; i < DEMO_EDITS; i++)
        molt_demo_edit(&demo, i);
    molt_load_stop(demo.load);
    bool is_good = molt_demo_report(&demo);
    if (isatty(STDOUT_FILENO) && !o->is_once)
        wait_for_user(&demo);
    molt_load_free(demo.load);
    molt_bench_dev_stop(&demo.dev);
    return is_good;
}

int main(int argc, char **argv)
{
    struct options o = {.port = 9000};
    read_options(argc, argv, &o);
    molt_bench_init("demo");
    if (!o.port)
        o.port = molt_bench_port();
    check_surroundings(&o);
    return run(&o) ? 0 : 1;
}
