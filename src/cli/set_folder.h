/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Where the set is that somebody names. Threads: any. */
#ifndef MOLT_CLI_SET_FOLDER_H
#define MOLT_CLI_SET_FOLDER_H

#include <molt/error.h>

/* The absolute folder of the set that @path means: a project's folder that was built
 * (PROJECT/.molt/set), a folder with a set in it, or the set itself. Malloc'd. MOLT_ENOENT. */
int molt_set_folder(const char *path, char **ret, struct molt_error *err);

#endif
