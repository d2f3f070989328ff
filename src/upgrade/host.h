/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The inside of struct molt_host, for the files of this layer.
 *
 * Threads: the executor thread, but for wake() which any thread calls.
 */
#ifndef MOLT_UPGRADE_HOST_H
#define MOLT_UPGRADE_HOST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/log.h"
#include "upgrade/decide.h"
#include "upgrade/upgrade.h"

struct molt_host {
    struct molt_code *code;
    struct molt_runtime *runtime;
    struct molt_sink sink;
    int event_fd;           /* epoll over the two below: readable when there is work */
    int idle_fd;            /* eventfd: a world may have become free */
    int timer_fd;           /* timerfd: look again at pinned versions */
    size_t n_swept;         /* rows whose pointers were led on since the sweep began */
    unsigned look_again_ms; /* backs off while nothing changes */
    bool is_started;
    molt_unloaded_fn *on_unloaded;
    void *unloaded_user;
    molt_config_fn *config_get; /* the embedder's, with its user */
    void *config_user;
    atomic_int root_end; /* negative: the root supervisor ended with that */
    molt_crash_fn *on_crash;
    void *crash_user;
};

/* Seal @stage, unless it is sealed, and decide. @ret is the caller's to end. MOLT_EREFUSED and
 * what else speaks against it; the stage stays open. */
int molt_upgrade_check(struct molt_host *host, uint64_t stage, struct molt_world **ret_world,
                       struct molt_decision *ret, struct molt_error *err);

/* There is something for housekeeping. Any thread; @user is a struct molt_host. */
void molt_host_wake(void *user);

#endif
