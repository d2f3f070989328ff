/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-load: load on an HTTP server from the command line; see load.h. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load.h"

static const char usage[] =
    "molt-load --port P [options]: load on an HTTP server, and a strict account of it\n"
    "\n"
    "  --address A        IPv4 address (127.0.0.1)\n"
    "  --path PATH        what to GET (/)\n"
    "  --connections N    keep-alive connections that ask without pause (100)\n"
    "  --idle N           connections that are opened and held (0)\n"
    "  --threads N        threads (1)\n"
    "  --seconds S        how long (10)\n"
    "  --timeout MS       of one request (10000)\n"
    "  --expect BODY      every answer's body must be this; \\n stands for a line end\n"
    "  --watch BODY       report which connections saw this body, and when (repeatable)\n"
    "  --json             the result as one JSON object\n"
    "\n"
    "Exit status: 0 if no request failed and no connection was lost, 1 if one was,\n"
    "2 if it could not start.\n";

struct options {
    struct molt_load_config config;
    const char *watch[MOLT_LOAD_MARKERS_MAX];
    int n_watch;
    bool is_json;
};

static int check_body(void *user, unsigned connection, const char *body, size_t len)
{
    const char *expected = user;
    (void)connection;
    return strlen(expected) == len && memcmp(expected, body, len) == 0 ? 0 : MOLT_EINVAL;
}

/* In place: \n as typed in a shell becomes a line end. */
static char *unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] == 'n') {
            *to++ = '\n';
            from++;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

static int parse_number(const char *name, const char *text, unsigned min, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < min || value > 100000000) {
        fprintf(stderr, "molt-load: --%s %s: a number from %u is wanted\n", name, text, min);
        return -1;
    }
    *ret = (unsigned)value;
    return 0;
}

static const struct option long_options[] = {
    {"address", required_argument, NULL, 'a'},
    {"port", required_argument, NULL, 'p'},
    {"path", required_argument, NULL, 'u'},
    {"connections", required_argument, NULL, 'c'},
    {"idle", required_argument, NULL, 'i'},
    {"threads", required_argument, NULL, 't'},
    {"seconds", required_argument, NULL, 's'},
    {"timeout", required_argument, NULL, 'm'},
    {"expect", required_argument, NULL, 'e'},
    {"watch", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_option(struct options *o, int option, char *arg)
{
    unsigned seconds;
    switch (option) {
    case 'a':
        o->config.address = arg;
        return 0;
    case 'p':
        return parse_number("port", arg, 1, &o->config.port);
    case 'u':
        o->config.path = arg;
        return 0;
    case 'c':
        return parse_number("connections", arg, 0, &o->config.connections);
    case 'i':
        return parse_number("idle", arg, 0, &o->config.idle);
    case 't':
        return parse_number("threads", arg, 1, &o->config.threads);
    case 's':
        if (parse_number("seconds", arg, 1, &seconds) < 0 || seconds > 1000000)
            return -1;
        o->config.duration_ms = seconds * 1000;
        return 0;
    case 'm':
        return parse_number("timeout", arg, 1, &o->config.timeout_ms);
    case 'e':
        o->config.check = check_body;
        o->config.user = unescape(arg);
        return 0;
    case 'w':
        if (o->n_watch == MOLT_LOAD_MARKERS_MAX)
            return -1;
        o->watch[o->n_watch++] = unescape(arg);
        return 0;
    case 'j':
        o->is_json = true;
        return 0;
    default:
        return -1;
    }
}

static int parse_options(struct options *o, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (parse_option(o, option, optarg) < 0)
            return -1;
    }
    if (optind < argc || o->config.port == 0) {
        fputs(optind < argc ? "molt-load: too many arguments\n" : "molt-load: --port is missing\n",
              stderr);
        return -1;
    }
    return 0;
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double rate(const struct molt_load_stats *s)
{
    return s->elapsed_ns > 0 ? (double)s->requests * 1e9 / (double)s->elapsed_ns : 0;
}

static void print_json(struct molt_load *load, const struct options *o,
                       const struct molt_load_stats *s)
{
    printf("{\"seconds\": %.3f, \"requests\": %" PRIu64 ", \"requests_per_second\": %.1f, ",
           (double)s->elapsed_ns / 1e9, s->requests, rate(s));
    printf("\"failures\": %" PRIu64 ", \"failures_by_kind\": {", s->n_failures);
    for (int i = 0; i < MOLT_LOAD_FAILURES; i++)
        printf("%s\"%s\": %" PRIu64, i ? ", " : "",
               molt_load_failure_name((enum molt_load_failure)i), s->failures[i]);
    printf("}, \"lost\": %" PRIu64 ", \"reconnects\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"open\": %u, \"idle_open\": %u, \"idle_lost\": %" PRIu64 ", ",
           s->lost, s->reconnects, s->bytes, s->open, s->idle_open, s->idle_lost);
    printf("\"latency_ms\": {\"mean\": %.4f, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, "
           "\"p999\": %.4f, \"max\": %.4f}, \"longest_gap_ms\": %.4f, \"watched\": [",
           ms(s->mean_ns), ms(s->p50_ns), ms(s->p90_ns), ms(s->p99_ns), ms(s->p999_ns),
           ms(s->max_ns), ms(s->longest_gap_ns));
    for (int i = 0; i < o->n_watch; i++) {
        struct molt_load_marker m;
        molt_load_marker(load, i, &m);
        printf("%s{\"number\": %d, \"seen\": %u, \"unbroken\": %u, \"first_ms\": %.4f, "
               "\"last_ms\": %.4f}",
               i ? ", " : "", i, m.n_seen, m.n_unbroken, ms(m.first_ns), ms(m.last_ns));
    }
    puts("]}");
}

static void print_text(struct molt_load *load, const struct options *o,
                       const struct molt_load_stats *s)
{
    printf("%" PRIu64 " requests in %.2f s: %.0f a second, %u connections\n", s->requests,
           (double)s->elapsed_ns / 1e9, rate(s), o->config.connections);
    printf("latency ms: p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n", ms(s->p50_ns),
           ms(s->p90_ns), ms(s->p99_ns), ms(s->p999_ns), ms(s->max_ns));
    printf("longest gap on any connection: %.3f ms\n", ms(s->longest_gap_ns));
    printf("failures %" PRIu64 ", connections lost %" PRIu64 ", reconnects %" PRIu64 "\n",
           s->n_failures, s->lost, s->reconnects);
    for (int i = 0; i < MOLT_LOAD_FAILURES; i++)
        if (s->failures[i] > 0)
            printf("  %s: %" PRIu64 "\n", molt_load_failure_name((enum molt_load_failure)i),
                   s->failures[i]);
    if (o->config.idle > 0)
        printf("idle connections: %u open, %" PRIu64 " lost\n", s->idle_open, s->idle_lost);
    for (int i = 0; i < o->n_watch; i++) {
        struct molt_load_marker m;
        molt_load_marker(load, i, &m);
        printf("body %d: seen by %u connections, %u of them unbroken, after %.3f to %.3f ms\n", i,
               m.n_seen, m.n_unbroken, ms(m.first_ns), ms(m.last_ns));
    }
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.config = {.connections = 100, .duration_ms = 10000}};
    struct molt_load *load;
    struct molt_error err = {0};
    if (parse_options(&o, argc, argv) < 0) {
        fputs("Try molt-load --help\n", stderr);
        return 2;
    }
    raise_descriptor_limit();
    if (molt_load_start(&o.config, &load, &err) < 0) {
        fprintf(stderr, "molt-load: %s\n", err.text);
        return 2;
    }
    for (int i = 0; i < o.n_watch; i++)
        if (molt_load_watch(load, o.watch[i]) < 0)
            return 2;
    molt_load_wait(load);
    struct molt_load_stats stats;
    molt_load_snapshot(load, &stats);
    if (o.is_json)
        print_json(load, &o, &stats);
    else
        print_text(load, &o, &stats);
    molt_load_free(load);
    return stats.n_failures > 0 || stats.lost > 0 ||
                   (o.config.connections > 0 && stats.requests == 0)
               ? 1
               : 0;
}
