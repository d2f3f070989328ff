/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The app under torture: hello answers "N V\n", N from the counter and V the
 * version of its text, while its sources change at random. The sequence follows
 * from a seed ($MOLT_SEED, else the clock), which is printed.
 *
 * Threads: one, but for the check of answers, which a load calls.
 */
#ifndef MOLT_TESTS_TORTURE_PROJECT_H
#define MOLT_TESTS_TORTURE_PROJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load.h"
#include "system/app.h"

#define TORTURE_CONNECTIONS 50

struct torture {
    struct test_app app;
    uint64_t seed, random;
    uint64_t end_ms; /* of molt_clock_ms() */
    unsigned version, layout, step;
    bool has_extra;
    struct molt_load *load;
    long last[TORTURE_CONNECTIONS]; /* what each connection was told last */
    unsigned n_saves, n_live, n_refused;
};

/* Make the app, start it under `molt dev`, and load on it. @share: this part of
 * the time that $MOLT_TORTURE_MINUTES or $MOLT_TORTURE_SECONDS give is ours. */
void torture_start(struct torture *t, double share);
/* Bring in one last version, see it served, stop the load; nothing may have
 * failed or been lost, no count doubled. */
void torture_finish(struct torture *t);
/* Stops the app and cleans up, also after a failure. */
void torture_fini(struct torture *t);

uint64_t torture_random(struct torture *t, uint64_t n); /* 0 to @n - 1 */
bool torture_is_over(const struct torture *t);

/* Save something: a new version, an error, another layout, a header, a module
 * that comes or goes. @is_awaited: until molt said what came of it. */
void torture_save(struct torture *t, bool is_awaited);

/* Save sources that are all good, so that a new agent can start with them. */
void torture_repair(struct torture *t);

/* Fail if the app crashed, or a sanitizer said something. */
void torture_check(struct torture *t);

#endif
