/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Is a version control system at work on the files of a project? Half of a
 * checkout is no state of the sources that anybody wanted.
 *
 * Threads: any; looks at files.
 */
#ifndef MOLT_CLI_CHECKOUT_H
#define MOLT_CLI_CHECKOUT_H

#include <stdbool.h>

/* Does git (index.lock) or Mercurial (wlock) hold the lock of the repository
 * that @folder is in? */
bool molt_checkout_is_running(const char *folder);

#endif
