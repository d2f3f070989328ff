/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/libc_names.h"

#include <stddef.h>
#include <string.h>

#define AT_EXIT                                                                                    \
    "put the work into MOLT_ON_ABANDON() or a server's .terminate; the C library would "           \
    "call code that may be unloaded by then"
#define AT_FORK                                                                                    \
    "do it in the process that forks; the C library would call code that may be unloaded"
#define SIGNALS "signals belong to the host: write to a pipe or signalfd from a process instead"

static const struct {
    const char *name, *alternative;
} forbidden[] = {
    {"atexit", AT_EXIT},
    {"on_exit", AT_EXIT},
    {"at_quick_exit", AT_EXIT},
    {"__cxa_atexit", AT_EXIT},
    {"__cxa_at_quick_exit", AT_EXIT},
    {"__cxa_thread_atexit", AT_EXIT},
    {"__cxa_thread_atexit_impl", AT_EXIT},
    {"pthread_atfork", AT_FORK},
    {"__register_atfork", AT_FORK},
    {"signal", SIGNALS},
    {"__sysv_signal", SIGNALS},
    {"sysv_signal", SIGNALS},
    {"bsd_signal", SIGNALS},
    {"ssignal", SIGNALS},
    {"sigaction", SIGNALS},
    {"__sigaction", SIGNALS},
    {"sigset", SIGNALS},
    {"sigignore", SIGNALS},
    {"siginterrupt", SIGNALS},
    {"sigaltstack", SIGNALS},
};

/* Threads, destructors of thread-specific data, timers and requests that call
 * back on a thread of the library's own, streams and formats with callbacks. */
static const char *const pinning[] = {
    "pthread_create",
    "thrd_create",
    "pthread_key_create",
    "tss_create",
    "timer_create",
    "mq_notify",
    "aio_read",
    "aio_read64",
    "aio_write",
    "aio_write64",
    "aio_fsync",
    "aio_fsync64",
    "lio_listio",
    "lio_listio64",
    "getaddrinfo_a",
    "clone",
    "makecontext",
    "fopencookie",
    "funopen",
    "register_printf_function",
    "register_printf_specifier",
    "register_printf_modifier",
};

const char *molt_libc_alternative(const char *name)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strcmp(forbidden[i].name, name) == 0)
            return forbidden[i].alternative;
    return NULL;
}

bool molt_libc_pins(const char *name)
{
    for (size_t i = 0; i < sizeof pinning / sizeof *pinning; i++)
        if (strcmp(pinning[i], name) == 0)
            return true;
    return false;
}

static const char *const locks[] = {"pthread_mutex_lock",
                                    "pthread_mutex_trylock",
                                    "pthread_mutex_timedlock",
                                    "pthread_mutex_clocklock",
                                    "pthread_mutex_unlock",
                                    "pthread_rwlock_rdlock",
                                    "pthread_rwlock_wrlock",
                                    "pthread_rwlock_tryrdlock",
                                    "pthread_rwlock_trywrlock",
                                    "pthread_rwlock_timedrdlock",
                                    "pthread_rwlock_timedwrlock",
                                    "pthread_rwlock_clockrdlock",
                                    "pthread_rwlock_clockwrlock",
                                    "pthread_rwlock_unlock",
                                    "pthread_spin_lock",
                                    "pthread_spin_trylock",
                                    "pthread_spin_unlock",
                                    "mtx_lock",
                                    "mtx_trylock",
                                    "mtx_timedlock",
                                    "mtx_unlock",
                                    "flockfile",
                                    "ftrylockfile",
                                    "funlockfile"};

/* glibc's own names of some of them, which nobody wraps. */
static const char *const other_locks[] = {
    "__pthread_mutex_lock",       "__pthread_mutex_trylock", "__pthread_mutex_unlock",
    "__pthread_rwlock_rdlock",    "__pthread_rwlock_wrlock", "__pthread_rwlock_tryrdlock",
    "__pthread_rwlock_trywrlock", "__pthread_rwlock_unlock", "_IO_flockfile",
    "_IO_ftrylockfile",           "_IO_funlockfile",
};

const char *const *molt_libc_locks(size_t *ret_n)
{
    *ret_n = sizeof locks / sizeof *locks;
    return locks;
}

bool molt_libc_is_uncounted(const char *name)
{
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        if (strcmp(locks[i], name) == 0)
            return true;
    for (size_t i = 0; i < sizeof other_locks / sizeof *other_locks; i++)
        if (strcmp(other_locks[i], name) == 0)
            return true;
    return false;
}

bool molt_libc_is_provided(const char *name, bool is_weak)
{
    static const char *const weak[] = {"__cxa_finalize", "__gmon_start__",
                                       "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"};
    if (strncmp(name, "molt_", 5) == 0 || strncmp(name, "__wrap_", 7) == 0 ||
        strcmp(name, "_GLOBAL_OFFSET_TABLE_") == 0)
        return true;
    for (size_t i = 0; is_weak && i < sizeof weak / sizeof *weak; i++)
        if (strcmp(weak[i], name) == 0)
            return true;
    return false;
}
