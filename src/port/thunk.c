/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/thunk.h"

#include <stdatomic.h>
#include <string.h>

/* In .bss: pages whose slots no thunk uses cost nothing. */
static void *outside[MOLT_SLOTS_MAX];

__thread void **molt_world = outside;

/* The one piece of process-wide state: a failed call may come from a thread
 * that belongs to no host. */
static _Atomic(molt_thunk_failed_fn *) on_failed;

void **molt_thunk_outside_table(void)
{
    return outside;
}

void molt_thunk_outside_fill(size_t from, size_t to)
{
    /* Release: pairs with the thunk becoming visible through the loader. */
    for (size_t i = from; i < to; i++)
        __atomic_store_n(&outside[i], (void *)molt_thunk_outside, __ATOMIC_RELEASE);
}

void molt_thunk_on_failed(molt_thunk_failed_fn *fn)
{
    molt_thunk_failed_fn *none = NULL;
    atomic_compare_exchange_strong(&on_failed, &none, fn);
}

/* Called by the stubs; returns what goes into the return register. */
void *molt_thunk_fail(uint32_t slot, int is_outside, void *first_argument);

void *molt_thunk_fail(uint32_t slot, int is_outside, void *first_argument)
{
    size_t ret_bytes = 0;
    molt_thunk_failed_fn *fn = atomic_load(&on_failed);
    if (fn)
        fn(slot, is_outside, &ret_bytes);
    if (ret_bytes == 0)
        return NULL;
    memset(first_argument, 0, ret_bytes);
    return first_argument;
}
