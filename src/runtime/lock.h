/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What modules call in place of the C library's lock functions (the linker's
 * --wrap): the same, and counted. Arguments, results and errors are those of
 * the function whose name follows the prefix.
 *
 * Threads: any.
 */
#ifndef MOLT_RUNTIME_LOCK_H
#define MOLT_RUNTIME_LOCK_H

#include <pthread.h>
#include <stdio.h>
#include <threads.h>
#include <time.h>

#include <molt/molt.h>

/* Modules bind to these, so they are visible. */
#pragma GCC visibility push(default)
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t clock,
                                   const struct timespec *until);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_tryrdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_trywrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *until);
int __wrap_pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *until);
int __wrap_pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until);
int __wrap_pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
                                      const struct timespec *until);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __wrap_pthread_spin_lock(pthread_spinlock_t *lock);
int __wrap_pthread_spin_trylock(pthread_spinlock_t *lock);
int __wrap_pthread_spin_unlock(pthread_spinlock_t *lock);
int __wrap_mtx_lock(mtx_t *lock);
int __wrap_mtx_trylock(mtx_t *lock);
int __wrap_mtx_timedlock(mtx_t *lock, const struct timespec *until);
int __wrap_mtx_unlock(mtx_t *lock);
int __wrap_ftrylockfile(FILE *lock);
void __wrap_flockfile(FILE *file);
void __wrap_funlockfile(FILE *file);
#pragma GCC visibility pop

#endif
