/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/thunk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_BYTES (MOLT_SLOTS_MAX * sizeof(void *))

/* In .bss: pages whose slots no thunk uses cost nothing. */
static void *outside[MOLT_SLOTS_MAX];

__thread void **molt_world = outside;

/* Process-wide, as a failed call may come from a thread that belongs to no
 * host. */
static _Atomic(molt_thunk_failed_fn *) on_failed;

/* Thunks are names of the whole OS process, so their descriptions are, too. */
static _Atomic(const char *) names[MOLT_SLOTS_MAX];
static atomic_uint returned[MOLT_SLOTS_MAX];

void molt_thunk_describe(uint32_t slot, const char *name, size_t ret_bytes)
{
    if (slot >= MOLT_SLOTS_MAX)
        return;
    atomic_store(&returned[slot], (unsigned)ret_bytes);
    atomic_store(&names[slot], name);
}

const char *molt_thunk_name(uint32_t slot)
{
    return slot < MOLT_SLOTS_MAX ? atomic_load(&names[slot]) : NULL;
}

/* ---- tables ------------------------------------------------------------------ */

/* A file of stubs that every table is a private mapping of; -1: there is none,
 * and tables are filled one by one. */
static int stubs = -1;
static pthread_once_t stubs_once = PTHREAD_ONCE_INIT;

static void fill_with_stubs(void **table)
{
    for (size_t i = 0; i < MOLT_SLOTS_MAX; i++)
        table[i] = (void *)molt_thunk_undef;
}

static void make_stubs(void)
{
    int fd = memfd_create("molt-stubs", MFD_CLOEXEC);
    if (fd < 0)
        return;
    void **table = MAP_FAILED;
    if (ftruncate(fd, (off_t)TABLE_BYTES) == 0)
        table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED) {
        close(fd);
        return;
    }
    fill_with_stubs(table);
    munmap(table, TABLE_BYTES);
    stubs = fd;
}

void **molt_thunk_table_new(void)
{
    pthread_once(&stubs_once, make_stubs);
    int flags = MAP_PRIVATE | MAP_NORESERVE | (stubs < 0 ? MAP_ANONYMOUS : 0);
    void **table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, flags, stubs, 0);
    if (table == MAP_FAILED)
        return NULL;
    if (stubs < 0)
        fill_with_stubs(table);
    return table;
}

void molt_thunk_table_free(void **table)
{
    if (table)
        munmap(table, TABLE_BYTES);
}

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

/* Called by the stubs. @result is where the caller wants a struct that is
 * returned in memory, and is returned if there is one, else NULL. */
void *molt_thunk_fail(uint32_t slot, int is_outside, void *result);

void *molt_thunk_fail(uint32_t slot, int is_outside, void *result)
{
    molt_thunk_failed_fn *fn = atomic_load(&on_failed);
    if (fn)
        fn(slot, is_outside);
    size_t ret_bytes = slot < MOLT_SLOTS_MAX ? atomic_load(&returned[slot]) : 0;
    if (ret_bytes == 0)
        return NULL;
    memset(result, 0, ret_bytes);
    return result;
}
