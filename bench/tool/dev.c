/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LIVE_MS 60000
#define STOP_MS 8000
#define SHOWN 1500 /* bytes of the log's end */

void molt_bench_dev_die(const struct molt_bench_dev *dev, const char *what)
{
    char *log = molt_bench_read(dev->log);
    size_t len = strlen(log);
    molt_bench_die("%s. molt said:\n%s", what, len > SHOWN ? log + len - SHOWN : log);
}

void molt_bench_dev_check(struct molt_bench_dev *dev)
{
    if (molt_bench_join(&dev->child, 0) >= 0)
        molt_bench_dev_die(dev, "molt dev ended");
}

void molt_bench_dev_start(struct molt_bench_dev *dev, const char *root, const char *share,
                          unsigned port, const char *prefix)
{
    char *molt = molt_bench_program("../src/molt", "MOLT");
    const char *argv[] = {molt, "dev", NULL};
    *dev = (struct molt_bench_dev){.root = molt_bench_text("%s", root),
                                   .log = molt_bench_text("%s.log", root),
                                   .socket = molt_bench_text("%s/.molt/agent.sock", root),
                                   .port = port};
    dev->api = molt_bench_talk_unix(dev->socket, 10000);
    if (share)
        setenv("MOLT_SHARE", share, 1);
    dev->child = molt_bench_start(argv, root, dev->log, 0);
    free(molt);
    struct molt_bench_talk talk = molt_bench_talk_tcp(port, 2000);
    uint64_t end = molt_clock_ms() + LIVE_MS;
    while (!molt_bench_talk_until(&talk, "/", prefix, 2000, 100)) {
        molt_bench_dev_check(dev);
        if (molt_clock_ms() > end)
            molt_bench_dev_die(dev, "molt dev isn't live after a minute");
    }
    molt_bench_talk_close(&talk);
}

void molt_bench_dev_stop(struct molt_bench_dev *dev)
{
    molt_bench_talk_close(&dev->api);
    if (!molt_bench_stop(&dev->child, STOP_MS))
        molt_bench_say("molt dev didn't end within %d s of SIGTERM", STOP_MS / 1000);
    free(dev->root);
    free(dev->log);
    free(dev->socket);
}

json_t *molt_bench_dev_get(struct molt_bench_dev *dev, const char *path)
{
    char *body = NULL;
    int status = molt_bench_talk(&dev->api, "GET", path, NULL, &body);
    json_t *doc = status == 200 ? json_loads(body, 0, NULL) : NULL;
    free(body);
    return doc;
}

pid_t molt_bench_dev_host(struct molt_bench_dev *dev)
{
    json_t *doc = molt_bench_dev_get(dev, "/v1/status");
    pid_t pid = (pid_t)json_integer_value(json_object_get(doc, "host_pid"));
    json_decref(doc);
    if (pid <= 0)
        molt_bench_dev_die(dev, "molt names no host");
    return pid;
}

const char *molt_bench_dev_problem(struct molt_bench_dev *dev)
{
    static char kind[128];
    json_t *doc = molt_bench_dev_get(dev, "/v1/status");
    const char *text = json_string_value(json_object_get(json_object_get(doc, "problem"), "kind"));
    snprintf(kind, sizeof(kind), "%s", text ? text : "");
    json_decref(doc);
    return kind;
}
