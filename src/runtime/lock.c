/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Counting the locks that a callback holds. Modules are linked so that the
 * lock functions below stand before the C library's; they count and call on.
 * Waiting on a condition variable stays as it is: a plain blocking call.
 *
 * Threads: any; outside of a process nothing is counted.
 */
#include "runtime/lock.h"

#include "runtime/fiber.h"
#include "runtime/rt.h"

void molt_lock_enter(const void *lock)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p || !p->fiber)
        return;
    struct molt_activation *act = &p->fiber->act;
    act->locks[act->n_locks++ % MOLT_LOCKS_KEPT] = lock;
}

void molt_lock_leave(const void *lock)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p || !p->fiber || p->fiber->act.n_locks == 0)
        return;
    struct molt_activation *act = &p->fiber->act;
    /* Locks needn't be left in the reverse order: close the gap. */
    unsigned depth = act->n_locks < MOLT_LOCKS_KEPT ? act->n_locks : MOLT_LOCKS_KEPT;
    const void *carry = NULL;
    for (unsigned i = 1; i <= depth; i++) {
        const void **at = &act->locks[(act->n_locks - i) % MOLT_LOCKS_KEPT];
        const void *was = *at;
        *at = carry;
        carry = was;
        if (was == lock)
            break;
    }
    act->n_locks--;
}

static int entered(int rc, const void *lock)
{
    if (rc == 0)
        molt_lock_enter(lock);
    return rc;
}

static int left(int rc, const void *lock)
{
    if (rc == 0)
        molt_lock_leave(lock);
    return rc;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    return entered(pthread_mutex_lock(lock), lock);
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock)
{
    return entered(pthread_mutex_trylock(lock), lock);
}

int __wrap_pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until)
{
    return entered(pthread_mutex_timedlock(lock, until), lock);
}

int __wrap_pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t clock,
                                   const struct timespec *until)
{
    return entered(pthread_mutex_clocklock(lock, clock, until), lock);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    return left(pthread_mutex_unlock(lock), lock);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    return entered(pthread_rwlock_rdlock(lock), lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    return entered(pthread_rwlock_wrlock(lock), lock);
}

int __wrap_pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    return entered(pthread_rwlock_tryrdlock(lock), lock);
}

int __wrap_pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    return entered(pthread_rwlock_trywrlock(lock), lock);
}

int __wrap_pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *until)
{
    return entered(pthread_rwlock_timedrdlock(lock, until), lock);
}

int __wrap_pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *until)
{
    return entered(pthread_rwlock_timedwrlock(lock, until), lock);
}

int __wrap_pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until)
{
    return entered(pthread_rwlock_clockrdlock(lock, clock, until), lock);
}

int __wrap_pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until)
{
    return entered(pthread_rwlock_clockwrlock(lock, clock, until), lock);
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    return left(pthread_rwlock_unlock(lock), lock);
}

int __wrap_pthread_spin_lock(pthread_spinlock_t *lock)
{
    return entered(pthread_spin_lock(lock), (const void *)(uintptr_t)lock);
}

int __wrap_pthread_spin_trylock(pthread_spinlock_t *lock)
{
    return entered(pthread_spin_trylock(lock), (const void *)(uintptr_t)lock);
}

int __wrap_pthread_spin_unlock(pthread_spinlock_t *lock)
{
    return left(pthread_spin_unlock(lock), (const void *)(uintptr_t)lock);
}

int __wrap_mtx_lock(mtx_t *lock)
{
    return entered(mtx_lock(lock), lock);
}

int __wrap_mtx_trylock(mtx_t *lock)
{
    return entered(mtx_trylock(lock), lock);
}

int __wrap_mtx_timedlock(mtx_t *lock, const struct timespec *until)
{
    return entered(mtx_timedlock(lock, until), lock);
}

int __wrap_mtx_unlock(mtx_t *lock)
{
    return left(mtx_unlock(lock), lock);
}

int __wrap_ftrylockfile(FILE *lock)
{
    return entered(ftrylockfile(lock), lock);
}

void __wrap_flockfile(FILE *file)
{
    flockfile(file);
    molt_lock_enter(file);
}

void __wrap_funlockfile(FILE *file)
{
    funlockfile(file);
    molt_lock_leave(file);
}
