/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a command prints: text for people, or JSON for programs (--json).
 * Colours only on a terminal and without NO_COLOR; progress only on a terminal.
 *
 * Threads: one.
 */
#ifndef MOLT_CLI_OUT_H
#define MOLT_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>

#include <molt/error.h>

#include "cli/command.h"

enum molt_tone { MOLT_TONE_PLAIN, MOLT_TONE_GOOD, MOLT_TONE_BAD, MOLT_TONE_DIM };

struct molt_out {
    bool is_json, is_terminal, has_color;
    bool has_progress; /* an unfinished line is on the terminal */
};

/* --json of @args, if the command has it. Lines are flushed one by one. */
void molt_out_init(struct molt_out *out, const struct molt_cli_args *args);

/* One event: @text and a newline, or {"event": kind, "text": text}. */
void molt_out_line(struct molt_out *out, enum molt_tone tone, const char *kind, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));

/* On a terminal: a line that the next one replaces. Else nothing. */
void molt_out_progress(struct molt_out *out, const char *text);

/* A document, as it is. */
void molt_out_json(struct molt_out *out, json_t *doc);

/* @doc (borrowed) in one line. */
void molt_out_json_line(struct molt_out *out, const json_t *doc);

/* To standard error: "molt: <text>", or as a JSON error. Returns the exit code
 * MOLT_EXIT_FAILED. */
int molt_out_fail(struct molt_out *out, int code, const struct molt_error *err);
/* Likewise for a wrong command line: MOLT_EXIT_USAGE. */
int molt_out_usage(const struct molt_command *command, const char *text);

#endif
