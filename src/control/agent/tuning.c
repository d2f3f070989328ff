/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/tuning.h"

#include "build/keys.h"
#include "control/agent/set.h"

static unsigned long value_of(const struct molt_set *set, const char *name)
{
    return molt_key_value(molt_key_find(name), molt_set_config(set, name), 0);
}

struct molt_tuning molt_tuning_of(const struct molt_tuning *given, const struct molt_set *set)
{
    struct molt_tuning t = *given;
    if (!t.workers)
        t.workers = (unsigned)value_of(set, "workers");
    if (!t.spares)
        t.spares = (unsigned)value_of(set, "workers.spare");
    if (!t.stack_kib)
        t.stack_kib = value_of(set, "workers.stack_kib");
    if (!t.is_pinned)
        t.is_pinned = value_of(set, "workers.pinned") != 0;
    return t;
}
