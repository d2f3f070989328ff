/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/request.h"

#include <sched.h>
#include <stdlib.h>

#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/translate.h"
#include "runtime/wait.h"

/* ---- sets ---------------------------------------------------------------------- */

static struct molt_request_segment *segment_of(struct molt_process *p)
{
    /* Acquire: pairs with grow(). */
    return atomic_load_explicit(&p->rt->requests.segments[p->slot / MOLT_REQUEST_SEGMENT],
                                memory_order_acquire);
}

static struct molt_requests *set_of(struct molt_process *p)
{
    struct molt_request_segment *segment = segment_of(p);
    /* Acquire: pairs with take_set(). */
    return segment ? atomic_load_explicit(&segment->of[p->slot % MOLT_REQUEST_SEGMENT],
                                          memory_order_acquire)
                   : NULL;
}

/* Under the lock. */
static struct molt_request_segment *grow(struct molt_process *p)
{
    struct molt_request_segment *segment = segment_of(p);
    if (!segment && (segment = calloc(1, sizeof(*segment))))
        atomic_store_explicit(&p->rt->requests.segments[p->slot / MOLT_REQUEST_SEGMENT], segment,
                              memory_order_release);
    return segment;
}

/* A set for the callback of @p. */
static struct molt_requests *take_set(struct molt_process *p)
{
    struct molt_request_table *table = &p->rt->requests;
    pthread_mutex_lock(&table->lock);
    struct molt_request_segment *segment = grow(p);
    struct molt_requests *set = segment ? table->stock : NULL;
    if (set)
        table->stock = set->next;
    else if (segment)
        set = calloc(1, sizeof(*set));
    pthread_mutex_unlock(&table->lock);
    if (set) {
        atomic_store_explicit(&segment->of[p->slot % MOLT_REQUEST_SEGMENT], set,
                              memory_order_release);
        p->fiber->act.requests = set;
    }
    return set;
}

static void give_set(struct molt_process *p, struct molt_activation *act)
{
    struct molt_request_table *table = &p->rt->requests;
    struct molt_requests *set = act->requests;
    atomic_store_explicit(&segment_of(p)->of[p->slot % MOLT_REQUEST_SEGMENT], NULL,
                          memory_order_relaxed);
    act->requests = NULL;
    pthread_mutex_lock(&table->lock);
    set->next = table->stock;
    table->stock = set;
    pthread_mutex_unlock(&table->lock);
}

void molt_requests_init(struct molt_request_table *table)
{
    pthread_mutex_init(&table->lock, NULL);
}

void molt_requests_fini(struct molt_request_table *table)
{
    while (table->stock) {
        struct molt_requests *set = table->stock;
        table->stock = set->next;
        free(set);
    }
    for (size_t i = 0; i < sizeof(table->segments) / sizeof(table->segments[0]); i++)
        free(atomic_load_explicit(&table->segments[i], memory_order_relaxed));
    pthread_mutex_destroy(&table->lock);
}

/* ---- words ----------------------------------------------------------------------- */

static uint64_t word_of(const struct molt_process *p, uint64_t ref)
{
    return (uint64_t)p->slot << MOLT_REF_BITS | ref;
}

/* Seq_cst: who waits for it has put the number into wait_ref before, and who
 * answers looks there again when the word is gone. */
static bool take_word(struct molt_requests *set, unsigned i, uint64_t word)
{
    return atomic_compare_exchange_strong(&set->words[i], &word, 0);
}

static unsigned index_of(const struct molt_requests *set, uint64_t ref)
{
    unsigned i = 0;
    while (i < MOLT_REQUESTS_MAX && !(set->entries[i].is_used && set->entries[i].ref == ref))
        i++;
    return i;
}

int molt_request_open(struct molt_process *p, uint64_t ref, molt_pid whom)
{
    struct molt_requests *set = p->fiber->act.requests;
    if (!set && !(set = take_set(p)))
        return MOLT_ENOMEM;
    unsigned i = 0;
    while (i < MOLT_REQUESTS_MAX && set->entries[i].is_used)
        i++;
    if (i == MOLT_REQUESTS_MAX)
        return MOLT_ELIMIT;
    struct molt_request_entry *entry = &set->entries[i];
    atomic_store_explicit(&entry->is_done, false, memory_order_relaxed);
    entry->is_used = true;
    entry->ref = ref;
    entry->whom = whom;
    entry->root = NULL;
    atomic_store(&set->words[i], word_of(p, ref));
    return 0;
}

bool molt_request_complete(struct molt_process *p, uint64_t ref, int rc, struct molt_block *reply)
{
    struct molt_requests *set = set_of(p);
    uint64_t word = word_of(p, ref);
    unsigned i = 0;
    if (!set)
        return false;
    while (i < MOLT_REQUESTS_MAX && !take_word(set, i, word))
        i++;
    if (i == MOLT_REQUESTS_MAX)
        return false;
    /* The process can't close the set before is_done. */
    if (reply)
        molt_message_address(reply, &p->owner);
    set->entries[i].root = reply;
    set->entries[i].rc = rc;
    /* Release: pairs with await_done(). */
    atomic_store_explicit(&set->entries[i].is_done, true, memory_order_release);
    return true;
}

bool molt_request_is_open(struct molt_process *p, uint64_t ref)
{
    struct molt_requests *set = set_of(p);
    for (unsigned i = 0; set && i < MOLT_REQUESTS_MAX; i++)
        if (atomic_load(&set->words[i]) == word_of(p, ref))
            return true;
    return false;
}

/* Who answers is between two of its instructions. */
static void await_done(struct molt_request_entry *entry)
{
    for (unsigned n = 0; !atomic_load_explicit(&entry->is_done, memory_order_acquire);) {
        if (++n < 100)
            molt_cpu_relax();
        else
            sched_yield();
    }
}

static void drop_answer(struct molt_process *p, struct molt_request_entry *entry,
                        struct molt_block_cache *cache)
{
    await_done(entry);
    if (entry->root)
        molt_message_drop(p->rt->heap, cache, entry->root);
}

/* ---- the process's side ------------------------------------------------------------ */

void molt_request_abandon(struct molt_process *p, uint64_t ref)
{
    struct molt_requests *set = p->fiber->act.requests;
    unsigned i = index_of(set, ref);
    atomic_store(&set->words[i], 0);
    set->entries[i].is_used = false;
}

/* The answer came before anybody waited for it. */
static int fetch(struct molt_process *p, struct molt_request_entry *entry,
                 struct molt_block **ret_root)
{
    await_done(entry);
    entry->is_used = false;
    int rc = entry->root ? molt_translate_reply(p, &entry->root) : 0;
    if (entry->root)
        molt_wait_accept(p, entry->root);
    *ret_root = entry->root;
    return rc < 0 ? rc : entry->rc;
}

int molt_request_await(struct molt_process *p, uint64_t ref, int timeout_ms,
                       struct molt_block **ret_root)
{
    struct molt_requests *set = p->fiber->act.requests;
    unsigned i = set ? index_of(set, ref) : MOLT_REQUESTS_MAX;
    if (i == MOLT_REQUESTS_MAX)
        return MOLT_EINVAL;
    struct molt_request_entry *entry = &set->entries[i];
    if (atomic_load(&set->words[i]) == 0)
        return fetch(p, entry, ret_root);
    /* From here on the answer may come either way; once the word is gone, by
     * wait_ref alone. */
    if (!molt_wait_begin_as(p, MOLT_WAIT_CALL, ref))
        return MOLT_EKILLED;
    molt_wait_note_whom(p, NULL, entry->whom);
    if (!take_word(set, i, word_of(p, ref))) {
        /* Answered twice, if it was by wait_ref, too: the first one counts. */
        molt_wait_abort(p, ref);
        return fetch(p, entry, ret_root);
    }
    entry->is_used = false;
    molt_wait_for(p, ref, timeout_ms);
    return molt_wait_end(p, ret_root);
}

void molt_requests_close(struct molt_process *p, struct molt_activation *act,
                         struct molt_block_cache *cache)
{
    struct molt_requests *set = act->requests;
    if (!set)
        return;
    for (unsigned i = 0; i < MOLT_REQUESTS_MAX; i++) {
        struct molt_request_entry *entry = &set->entries[i];
        if (entry->is_used && !take_word(set, i, word_of(p, entry->ref)))
            drop_answer(p, entry, cache);
        entry->is_used = false;
    }
    give_set(p, act);
}
