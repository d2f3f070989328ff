/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Messages, replies and spawn arguments that come in layouts which the world of
 * their receiver doesn't know: they are converted when they are taken, by the receiver,
 * with all that they bring, to a newer world as to an older one.
 *
 * Threads: the worker that runs the receiver, in the world.
 */
#ifndef MOLT_RUNTIME_TRANSLATE_H
#define MOLT_RUNTIME_TRANSLATE_H

#include <stdbool.h>

#include "code/layout.h"
#include "runtime/message.h"
#include "runtime/migrate.h"
#include "runtime/process.h"

struct molt_runner;

/* Whether what @root brings, beside itself, fits @world. */
bool molt_translate_fits_more(const struct molt_world *world, const struct molt_block *root);

/* Whether the packed message @root fits @world as it is. */
static inline bool molt_translate_fits(const struct molt_world *world,
                                       const struct molt_block *root)
{
    return molt_world_takes(world, root->type) &&
           (!molt_message_has_more(root) || molt_translate_fits_more(world, root));
}

/* Convert the packed message *root, which was addressed to @p and is in no mailbox, for
 * @world. 0: it fits as it is. 1: *root is what it became, with the same kind, caller and
 * receiver. MOLT_ECHANGE, MOLT_ENOMEM: it is as it was, @fault says why. */
int molt_translate(struct molt_runner *runner, struct molt_process *p,
                   const struct molt_world *world, struct molt_block **root,
                   struct molt_migration_fault *fault);

/* The same for an answer that came for the callback of @p. On failure *root is freed and NULL,
 * the log says why, and the caller gets MOLT_ETYPE or MOLT_ENOMEM. */
int molt_translate_reply(struct molt_process *p, struct molt_block **root);

#endif
