/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the sanitizers must be told; nothing at all in other builds.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_SANITIZE_H
#define MOLT_PORT_SANITIZE_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define MOLT_HAS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define MOLT_HAS_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOLT_HAS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define MOLT_HAS_TSAN 1
#endif
#endif

#if defined(MOLT_HAS_ASAN) || defined(MOLT_HAS_TSAN)
#define MOLT_IS_SANITIZED 1
#else
#define MOLT_IS_SANITIZED 0
#endif

/* For a function that reads memory which the sanitizers would object to, on
 * purpose: a conservative scan of a stack. */
#define MOLT_UNSANITIZED                                                                           \
    __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"),                        \
                   no_sanitize("undefined")))

#ifdef MOLT_HAS_ASAN
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#endif

/* Reading or writing [@p, @p + @n) is an error until it is unpoisoned. */
static inline void molt_sanitize_poison(const void *p, size_t n)
{
#ifdef MOLT_HAS_ASAN
    __asan_poison_memory_region(p, n);
#else
    (void)p;
    (void)n;
#endif
}

static inline void molt_sanitize_unpoison(const void *p, size_t n)
{
#ifdef MOLT_HAS_ASAN
    __asan_unpoison_memory_region(p, n);
#else
    (void)p;
    (void)n;
#endif
}

#endif
