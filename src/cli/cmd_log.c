/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt log: what the app, its host and its agent had to say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "web/journal.h"

#define WAIT_MS (24 * 3600 * 1000)

struct log {
    struct molt_out out;
    bool has_debug;  /* --debug */
    uint64_t n_last; /* --lines, of the first answer */
    uint64_t newest; /* number that was shown */
};

static enum molt_tone tone_of(const char *level)
{
    bool is_bad = strcmp(level, "error") == 0 || strcmp(level, "warning") == 0;
    return is_bad ? MOLT_TONE_BAD : MOLT_TONE_PLAIN;
}

static bool is_shown(const struct log *log, json_t *message)
{
    return log->has_debug || strcmp(molt_show_text(message, "level"), "debug") != 0;
}

static void show(struct log *log, json_t *message)
{
    const char *level = molt_show_text(message, "level");
    uint64_t time_ms = molt_show_number(message, "time_ms");
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    char when[32] = "";
    if (log->out.is_json) {
        molt_out_json_line(&log->out, message);
        return;
    }
    if (localtime_r(&seconds, &tm))
        strftime(when, sizeof(when), "%F %T", &tm);
    molt_out_line(&log->out, tone_of(level), "log", "%s.%03u %s: %s", when,
                  (unsigned)(time_ms % 1000), level, molt_show_text(message, "text"));
}

/* All that is to be shown of @list, but no more than the last --lines. */
static void show_all(struct log *log, json_t *list)
{
    size_t i;
    json_t *message;
    uint64_t n = 0;
    json_array_foreach(list, i, message) n += is_shown(log, message);
    json_array_foreach(list, i, message)
    {
        uint64_t number = molt_show_number(message, "number");
        if (log->newest && number > log->newest + 1)
            molt_out_line(&log->out, MOLT_TONE_BAD, "gap",
                          "(%llu messages came too fast to be shown)",
                          (unsigned long long)(number - log->newest - 1));
        log->newest = number;
        if (is_shown(log, message) && n-- <= log->n_last)
            show(log, message);
    }
    log->n_last = UINT64_MAX;
}

static int ask(struct log *log, bool is_waiting, struct molt_error *err)
{
    char path[64];
    json_t *doc;
    snprintf(path, sizeof(path), "/v1/log?after=%llu&wait=%d", (unsigned long long)log->newest,
             is_waiting);
    struct molt_client_request request = {.method = "GET",
                                          .path = path,
                                          .timeout_ms = is_waiting ? WAIT_MS : 0};
    int rc = molt_client_ask(&request, &doc, err);
    if (rc == MOLT_ETIMEDOUT && is_waiting)
        return 0; /* a quiet day */
    if (rc < 0)
        return rc;
    show_all(log, json_object_get(doc, "messages"));
    json_decref(doc);
    return 0;
}

static int run(const struct molt_cli_args *args)
{
    struct log log = {.has_debug = molt_cli_args_has(args, "debug")};
    struct molt_error err = {0};
    unsigned long n;
    molt_out_init(&log.out, args);
    if (molt_cli_args_number(args, "lines", 0, MOLT_JOURNAL_MAX, MOLT_JOURNAL_MAX, &n, &err) < 0)
        return molt_out_usage(args->command, err.text);
    log.n_last = n;
    int rc = ask(&log, false, &err);
    while (rc == 0 && molt_cli_args_has(args, "follow"))
        rc = ask(&log, true, &err);
    return rc < 0 ? molt_out_fail(&log.out, rc, &err) : MOLT_EXIT_OK;
}

const struct molt_command molt_command_log = {
    .name = "log",
    .args = "",
    .help = "what the app and its host logged",
    .more =
        "The agent keeps the last 1000 messages: of processes (molt_log), of the host, of\n"
        "crashes and restarts. With --follow, go on with those that come, until the agent ends.",
    .options = {{"follow", NULL, "go on with what comes"},
                {"lines", "N", "begin with the last N; default: all there are"},
                {"debug", NULL, "messages of level debug, too"},
                {"json", NULL, "one JSON object a line"}},
    .run = run};
