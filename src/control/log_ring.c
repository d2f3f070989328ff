/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/log_ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct molt_log_ring {
    pthread_mutex_t lock; /* guards what follows; nothing nests in it */
    size_t capacity, first, count;
    uint64_t lost;
    int event_fd;
    struct molt_log_entry entries[];
};

int molt_log_ring_new(size_t capacity, struct molt_log_ring **ret)
{
    struct molt_log_ring *ring =
        calloc(1, sizeof(*ring) + capacity * sizeof(struct molt_log_entry));
    if (!ring)
        return MOLT_ENOMEM;
    ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ring->event_fd < 0) {
        free(ring);
        return MOLT_EIO;
    }
    ring->capacity = capacity;
    pthread_mutex_init(&ring->lock, NULL);
    *ret = ring;
    return 0;
}

void molt_log_ring_free(struct molt_log_ring *ring)
{
    if (!ring)
        return;
    for (; ring->count; ring->count--)
        molt_buf_fini(&ring->entries[ring->first++ % ring->capacity].crash);
    pthread_mutex_destroy(&ring->lock);
    close(ring->event_fd);
    free(ring);
}

int molt_log_ring_fd(const struct molt_log_ring *ring)
{
    return ring->event_fd;
}

/* Room at the end; the lock is the caller's. */
static struct molt_log_entry *append(struct molt_log_ring *ring)
{
    if (ring->count == ring->capacity) {
        molt_buf_fini(&ring->entries[ring->first].crash);
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
        ring->lost++;
    }
    struct molt_log_entry *e = &ring->entries[(ring->first + ring->count++) % ring->capacity];
    e->crash = (struct molt_buf)MOLT_BUF_INIT;
    return e;
}

/* The eventfd stays readable until the reader empties the ring. */
static void wake_reader(struct molt_log_ring *ring, bool is_first)
{
    if (is_first)
        (void)!write(ring->event_fd, &(uint64_t){1}, sizeof(uint64_t));
}

void molt_log_ring_push(void *user, enum molt_level level, const char *text)
{
    struct molt_log_ring *ring = user;
    size_t len = strnlen(text, MOLT_LOG_TEXT_MAX - 1);
    pthread_mutex_lock(&ring->lock);
    struct molt_log_entry *e = append(ring);
    e->level = level;
    memcpy(e->text, text, len);
    e->text[len] = '\0';
    bool is_first = ring->count == 1;
    pthread_mutex_unlock(&ring->lock);
    wake_reader(ring, is_first);
}

void molt_log_ring_push_crash(struct molt_log_ring *ring, struct molt_buf *payload)
{
    bool is_first = false;
    pthread_mutex_lock(&ring->lock);
    if (payload->is_failed) {
        ring->lost++;
    } else {
        struct molt_log_entry *e = append(ring);
        e->level = MOLT_ERR;
        e->text[0] = '\0';
        e->crash = *payload;
        *payload = (struct molt_buf)MOLT_BUF_INIT;
        is_first = ring->count == 1;
    }
    pthread_mutex_unlock(&ring->lock);
    molt_buf_fini(payload);
    wake_reader(ring, is_first);
}

int molt_log_ring_pop(struct molt_log_ring *ring, struct molt_log_entry *ret, uint64_t *ret_lost)
{
    pthread_mutex_lock(&ring->lock);
    bool is_empty = ring->count == 0;
    if (is_empty) {
        /* Under the lock, so that no push can slip in between. */
        (void)!read(ring->event_fd, &(uint64_t){0}, sizeof(uint64_t));
    } else {
        const struct molt_log_entry *e = &ring->entries[ring->first];
        ret->level = e->level;
        ret->crash = e->crash;
        memcpy(ret->text, e->text, strlen(e->text) + 1);
        *ret_lost = ring->lost;
        ring->lost = 0;
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
    }
    pthread_mutex_unlock(&ring->lock);
    return !is_empty;
}
