/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What was saved, and when it is time to build it.
 *
 * Editors truncate and write, write and rename, or move the old text aside
 * first; checkouts touch hundreds of files. A build begins when everything that
 * was touched is whole: no file is being written, none is gone only for a
 * moment, no checkout runs. What is touched while a build runs makes it
 * worthless, because it may have read some files before and some after.
 *
 * Threads: one.
 */
#ifndef MOLT_CLI_SAVES_H
#define MOLT_CLI_SAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

struct molt_saves;
struct molt_builder;

/* Watch src/, include/ and molt.conf of the project at @root (copied). The
 * builder, borrowed, is asked which other files matter. */
int molt_saves_new(const char *root, struct molt_builder *builder, struct molt_saves **ret,
                   struct molt_error *err);
void molt_saves_free(struct molt_saves *saves);

int molt_saves_fd(const struct molt_saves *saves);       /* of events, for poll */
int molt_saves_timer_fd(const struct molt_saves *saves); /* readable when a wait is over */

/* Everything counts as saved. */
void molt_saves_all(struct molt_saves *saves);

/* Take in what happened. True: something was saved, and all is whole. If it
 * isn't yet, the timer is set. */
bool molt_saves_are_due(struct molt_saves *saves);

/* A build begins. *ret_changed: the paths to build for; *ret_n 0: all. Valid
 * until molt_saves_are_due() or _is_outdated(). */
void molt_saves_begin(struct molt_saves *saves, size_t *ret_n, const char *const **ret_changed);
/* Was anything saved, or begun to be, since it began? Takes in events. */
bool molt_saves_is_outdated(struct molt_saves *saves);
/* Watch what the build read outside the sources. True: some of that wasn't
 * watched before, so what it read may have been saved since. */
bool molt_saves_follow(struct molt_saves *saves);
/* It ended and holds. @is_good: it succeeded, so that now it is known which
 * files matter. */
void molt_saves_end(struct molt_saves *saves, bool is_good);
/* It was given up: what it was for is still to be built, soon. */
void molt_saves_put_back(struct molt_saves *saves);

/* When the first of the saves that are to be built was noticed (molt_clock_ns). */
uint64_t molt_saves_since(const struct molt_saves *saves);
/* Was molt.conf among those of the build that began last? */
bool molt_saves_has_conf(const struct molt_saves *saves);

#endif
