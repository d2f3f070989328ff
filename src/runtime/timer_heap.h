/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Timers that are near: an intrusive pairing heap (Fredman, Sedgewick, Sleator,
 * Tarjan, 1986) by deadline, then by the order of their start. Adding is O(1),
 * taking out O(log n) amortised; the first one that is taken out of n may cost n,
 * so the heap is kept small, see timer_wheel.h.
 *
 * Threads: callers lock (molt_timers.lock).
 */
#ifndef MOLT_RUNTIME_TIMER_HEAP_H
#define MOLT_RUNTIME_TIMER_HEAP_H

struct molt_timer;

/* @root leads to the first one, NULL: none. @timer is in no heap. */
void molt_timer_heap_add(struct molt_timer **root, struct molt_timer *timer);
void molt_timer_heap_remove(struct molt_timer **root, struct molt_timer *timer);

#endif
