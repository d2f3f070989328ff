/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Watching folders for saved files, with inotify(7): IN_CLOSE_WRITE,
 * IN_MOVED_TO, IN_DELETE, IN_MOVED_FROM on folders (a watch on a file would be
 * lost when an editor renames over it). New subfolders are followed; hidden
 * files, backups (~, .swp, 4913) and folders named .molt are left out.
 *
 * Threads: one.
 */
#ifndef MOLT_BUILD_WATCH_H
#define MOLT_BUILD_WATCH_H

#include <stddef.h>

#include <molt/error.h>

struct molt_watch;

int molt_watch_new(struct molt_watch **ret, struct molt_error *err);
void molt_watch_free(struct molt_watch *watch);
/* Watch @folder and all below it. */
int molt_watch_add(struct molt_watch *watch, const char *folder, struct molt_error *err);
int molt_watch_fd(const struct molt_watch *watch); /* for poll */
/* Read what is there, without waiting. Returns the number of distinct paths
 * touched since the last call; *ret_paths is borrowed until the next call.
 * MOLT_ELIMIT: the kernel's queue overflowed, check everything. */
int molt_watch_read(struct molt_watch *watch, const char *const **ret_paths);

#endif
