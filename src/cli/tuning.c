/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/tuning.h"

#include "build/keys.h"

/* An option takes what its key in molt.conf takes; 0 if it wasn't given. */
static int read_one(const struct molt_cli_args *args, const char *option, const char *key,
                    unsigned long *ret, struct molt_error *err)
{
    const struct molt_key *range = molt_key_find(key);
    return molt_cli_args_number(args, option, range->min, range->max, 0, ret, err);
}

int molt_tuning_read(const struct molt_cli_args *args, struct molt_tuning *ret,
                     struct molt_error *err)
{
    unsigned long workers, spares, stack_kib;
    int rc = read_one(args, "workers", "workers", &workers, err);
    if (rc == 0)
        rc = read_one(args, "spare", "workers.spare", &spares, err);
    if (rc == 0)
        rc = read_one(args, "stack", "workers.stack_kib", &stack_kib, err);
    if (rc < 0)
        return rc;
    *ret = (struct molt_tuning){.workers = (unsigned)workers,
                                .spares = (unsigned)spares,
                                .stack_kib = stack_kib,
                                .is_pinned = molt_cli_args_has(args, "pinned")};
    return 0;
}
