/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/log_ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct message {
    enum molt_level level;
    char text[MOLT_LOG_TEXT_MAX];
};

struct molt_log_ring {
    pthread_mutex_t lock; /* guards what follows; nothing nests in it */
    size_t capacity, first, count;
    uint64_t lost;
    int event_fd;
    struct message messages[];
};

int molt_log_ring_new(size_t capacity, struct molt_log_ring **ret)
{
    struct molt_log_ring *ring = calloc(1, sizeof(*ring) + capacity * sizeof(struct message));
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
    pthread_mutex_destroy(&ring->lock);
    close(ring->event_fd);
    free(ring);
}

int molt_log_ring_fd(const struct molt_log_ring *ring)
{
    return ring->event_fd;
}

void molt_log_ring_push(void *user, enum molt_level level, const char *text)
{
    struct molt_log_ring *ring = user;
    size_t len = strnlen(text, MOLT_LOG_TEXT_MAX - 1);
    pthread_mutex_lock(&ring->lock);
    if (ring->count == ring->capacity) {
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
        ring->lost++;
    }
    struct message *m = &ring->messages[(ring->first + ring->count) % ring->capacity];
    m->level = level;
    memcpy(m->text, text, len);
    m->text[len] = '\0';
    bool is_first = ring->count++ == 0;
    pthread_mutex_unlock(&ring->lock);
    /* The eventfd stays readable until the reader empties the ring. */
    if (is_first)
        (void)!write(ring->event_fd, &(uint64_t){1}, sizeof(uint64_t));
}

int molt_log_ring_pop(struct molt_log_ring *ring, enum molt_level *ret_level,
                      char ret_text[MOLT_LOG_TEXT_MAX], uint64_t *ret_lost)
{
    pthread_mutex_lock(&ring->lock);
    bool is_empty = ring->count == 0;
    if (is_empty) {
        /* Under the lock, so that no push can slip in between. */
        (void)!read(ring->event_fd, &(uint64_t){0}, sizeof(uint64_t));
    } else {
        const struct message *m = &ring->messages[ring->first];
        *ret_level = m->level;
        memcpy(ret_text, m->text, strlen(m->text) + 1);
        *ret_lost = ring->lost;
        ring->lost = 0;
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
    }
    pthread_mutex_unlock(&ring->lock);
    return !is_empty;
}
