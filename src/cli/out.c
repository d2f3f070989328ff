/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "web/json.h"

void molt_out_init(struct molt_out *out, const struct molt_cli_args *args)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    setvbuf(stdout, NULL, _IOLBF, 0);
    *out = (struct molt_out){.is_json = args && molt_cli_args_has(args, "json")};
    out->is_terminal = !out->is_json && isatty(STDOUT_FILENO);
    out->has_color =
        out->is_terminal && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

static void end_progress(struct molt_out *out)
{
    if (out->has_progress)
        fputs("\r\033[K", stdout);
    out->has_progress = false;
}

static const char *start_of(const struct molt_out *out, enum molt_tone tone)
{
    static const char *const codes[] = {"", "\033[32m", "\033[31m", "\033[2m"};
    return out->has_color ? codes[tone] : "";
}

static void print_compact(const json_t *doc)
{
    char *line = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    if (line)
        puts(line);
    free(line);
}

static void print_event(const char *kind, const char *text)
{
    json_t *doc = json_pack("{s:s, s:o}", "event", kind, "text", molt_json_text(text));
    print_compact(doc);
    json_decref(doc);
}

void molt_out_line(struct molt_out *out, enum molt_tone tone, const char *kind, const char *fmt,
                   ...)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    molt_buf_vprintf(&buf, fmt, ap);
    va_end(ap);
    const char *text = buf.is_failed ? "out of memory" : buf.data;
    end_progress(out);
    if (out->is_json)
        print_event(kind, text);
    else
        printf("%s%s%s\n", start_of(out, tone), text,
               out->has_color && tone != MOLT_TONE_PLAIN ? "\033[0m" : "");
    fflush(stdout);
    molt_buf_fini(&buf);
}

void molt_out_progress(struct molt_out *out, const char *text)
{
    if (!out->is_terminal)
        return;
    end_progress(out);
    printf("%s", text);
    fflush(stdout);
    out->has_progress = true;
}

void molt_out_json(struct molt_out *out, json_t *doc)
{
    end_progress(out);
    char *text = json_dumps(doc, JSON_INDENT(2));
    puts(text ? text : "null");
    free(text);
}

void molt_out_json_line(struct molt_out *out, const json_t *doc)
{
    end_progress(out);
    print_compact(doc);
    fflush(stdout);
}

int molt_out_fail(struct molt_out *out, int code, const struct molt_error *err)
{
    const char *text = err && *err->text ? err->text : molt_error_text(code);
    end_progress(out);
    if (out->is_json) {
        json_t *doc = molt_json_error(code, text);
        if (doc)
            molt_out_json(out, doc);
        json_decref(doc);
    } else {
        fprintf(stderr, "molt: %s\n", text);
    }
    return MOLT_EXIT_FAILED;
}

int molt_out_usage(const struct molt_command *command, const char *text)
{
    fprintf(stderr, "molt%s%s: %s\nusage: molt %s%s%s\nTry molt %s%s--help.\n", command ? " " : "",
            command ? command->name : "", text, command ? command->name : "COMMAND",
            command && *command->args ? " " : "", command ? command->args : "",
            command ? command->name : "", command ? " " : "");
    return MOLT_EXIT_USAGE;
}
