/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/leaf.h"

#include <dlfcn.h>
#include <stdatomic.h>

#include "port/sanitize.h"
#include "port/unwind.h"

static const char *const names[] = {
    "memcpy",  "memmove", "memset",  "memcmp",    "memchr",  "memrchr", "strlen",
    "strnlen", "strcmp",  "strncmp", "strcpy",    "strncpy", "stpcpy",  "stpncpy",
    "strcat",  "strncat", "strchr",  "strchrnul", "strrchr",
};
#define N_NAMES (sizeof(names) / sizeof(*names))

#if defined(MOLT_HAS_ASAN) || defined(MOLT_HAS_TSAN)
#define HAS_INTERCEPTORS true
#else
#define HAS_INTERCEPTORS false
#endif

/* Of libc, of which a process has one. Written before n_ranges is. */
static struct {
    uintptr_t from, to;
} ranges[N_NAMES];
static atomic_size_t n_ranges;

/* dlsym() asks a function's resolver and answers with the implementation. */
void molt_leaf_init(void)
{
    if (HAS_INTERCEPTORS || atomic_load(&n_ranges))
        return;
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!libc)
        return;
    size_t n = 0;
    for (size_t i = 0; i < N_NAMES; i++) {
        struct molt_unwind_fde fde;
        uintptr_t at = (uintptr_t)dlsym(libc, names[i]);
        if (!at || !molt_unwind_find(at, &fde))
            continue;
        ranges[n].from = fde.from;
        ranges[n++].to = fde.to;
    }
    dlclose(libc);
    atomic_store(&n_ranges, n);
}

bool molt_leaf_is_pure(uintptr_t pc)
{
    size_t n = atomic_load(&n_ranges);
    for (size_t i = 0; i < n; i++)
        if (pc >= ranges[i].from && pc < ranges[i].to)
            return true;
    return false;
}

size_t molt_leaf_count(size_t *ret_of)
{
    *ret_of = N_NAMES;
    return atomic_load(&n_ranges);
}
