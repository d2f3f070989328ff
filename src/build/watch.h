/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Watching folders for saved files, with inotify(7): IN_CLOSE_WRITE,
 * IN_MOVED_TO, IN_DELETE, IN_MOVED_FROM on folders (a watch on a file would be
 * lost when an editor renames over it). New subfolders are followed; hidden
 * files, backups (~, .swp, 4913) and folders named .molt are left out.
 *
 * A file that is a symbolic link, or has other names, is also watched where
 * its text is, and reported by the name that it has here.
 *
 * Threads: one.
 */
#ifndef MOLT_BUILD_WATCH_H
#define MOLT_BUILD_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

struct molt_watch;

int molt_watch_new(struct molt_watch **ret, struct molt_error *err);
void molt_watch_free(struct molt_watch *watch);
/* Watch @folder and all below it. */
int molt_watch_add(struct molt_watch *watch, const char *folder, struct molt_error *err);
/* Watch the files of @folder, and which folders appear in it, but nothing below
 * it. 1: it wasn't watched before; 0: it was, or isn't there. */
int molt_watch_add_files(struct molt_watch *watch, const char *folder, struct molt_error *err);
/* Report only what @filter says yes to (folders below molt_watch_add() always). */
void molt_watch_filter(struct molt_watch *watch, bool (*filter)(void *user, const char *path),
                       void *user);
int molt_watch_fd(const struct molt_watch *watch); /* for poll */
/* Read what is there, without waiting. Returns the number of distinct paths
 * touched since the last call; *ret_paths is borrowed until the next call.
 * MOLT_ELIMIT: the kernel's queue overflowed, check everything. */
int molt_watch_read(struct molt_watch *watch, const char *const **ret_paths);

/* Milliseconds until what was read of can be taken as whole, if nothing more
 * happens; 0: now. More than 0 while a file is being written, is gone as if it
 * came back in a moment, or the last event was just now. */
unsigned molt_watch_unsettled(struct molt_watch *watch);
/* Is a file being written right now, as far as events were read? */
bool molt_watch_is_writing(const struct molt_watch *watch);

#endif
