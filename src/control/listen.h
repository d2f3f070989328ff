/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Unix sockets by path, for the owner's eyes only.
 *
 * A path may be longer than sun_path: it is then reached through its folder's
 * descriptor.
 *
 * Threads: molt_listen_unix() changes the umask for a moment: call it while the
 * OS process has one thread.
 */
#ifndef MOLT_CONTROL_LISTEN_H
#define MOLT_CONTROL_LISTEN_H

#include <molt/error.h>

/* Listen at @path, mode 0600. A socket that nobody listens on any more is
 * replaced; MOLT_EBUSY if somebody does; MOLT_EEXIST if something else is
 * there; MOLT_EIO. */
int molt_listen_unix(const char *path, int *ret_fd, struct molt_error *err);

/* Connect to @path. MOLT_ENOENT: nothing there; MOLT_ECLOSED: nobody listens;
 * MOLT_EIO. */
int molt_connect_unix(const char *path, int *ret_fd, struct molt_error *err);

#endif
