/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "upgrade/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "port/limits.h"

/* First and longest wait before pinned versions are looked at again: pointers
 * in blocks vanish without an event. */
#define LOOK_AGAIN_FIRST_MS MOLT_LIMIT(250u, 1u)
#define SWEEP_ROWS MOLT_LIMIT(16384u, 2u) /* of tables, at a time */
#define SWEEP_MS 10                       /* of the sweep after an upgrade, between other work */
#define LOOK_AGAIN_MAX_MS MOLT_LIMIT(16000u, 8u)

struct molt_code *molt_host_code(struct molt_host *host)
{
    return host->code;
}

struct molt_runtime *molt_host_runtime(struct molt_host *host)
{
    return host->runtime;
}

int molt_host_event_fd(const struct molt_host *host)
{
    return host->event_fd;
}

void molt_host_on_unloaded(struct molt_host *host, molt_unloaded_fn *fn, void *user)
{
    host->on_unloaded = fn;
    host->unloaded_user = user;
}

void molt_host_on_crash(struct molt_host *host, molt_crash_fn *fn, void *user)
{
    host->on_crash = fn;
    host->crash_user = user;
}

/* Any thread. A full eventfd counter means that the wake-up is pending anyway. */
void molt_host_wake(void *user)
{
    struct molt_host *host = user;
    uint64_t one = 1;
    ssize_t n = write(host->idle_fd, &one, sizeof(one));
    (void)n;
}

static void unloaded(void *user, const char *module, unsigned number, uint64_t retained_ms)
{
    struct molt_host *host = user;
    molt_sink_log(&host->sink, MOLT_DEBUG, "%s@%u unloaded after %llu ms", module, number,
                  (unsigned long long)retained_ms);
    if (host->on_unloaded)
        host->on_unloaded(host->unloaded_user, module, number, retained_ms);
}

/* ---- what the runtime calls, from any thread ----------------------------------- */

static const char *get_config(void *user, const char *key)
{
    const struct molt_host *host = user;
    return host->config_get ? host->config_get(host->config_user, key) : NULL;
}

static void crashed(void *user, const struct molt_runtime_crash *crash)
{
    const struct molt_host *host = user;
    if (host->on_crash)
        host->on_crash(host->crash_user, crash);
    else
        molt_runtime_log_crash(host->runtime, crash);
}

static void root_ended(void *user, int reason)
{
    struct molt_host *host = user;
    atomic_store(&host->root_end, reason < 0 ? reason : MOLT_ESHUTDOWN);
    molt_host_wake(host);
}

int molt_host_root_end(const struct molt_host *host)
{
    return atomic_load(&host->root_end);
}

static int open_events(struct molt_host *host, struct molt_error *err)
{
    host->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    host->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    host->event_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (host->idle_fd < 0 || host->timer_fd < 0 || host->event_fd < 0 ||
        epoll_ctl(host->event_fd, EPOLL_CTL_ADD, host->idle_fd, &event) < 0 ||
        epoll_ctl(host->event_fd, EPOLL_CTL_ADD, host->timer_fd, &event) < 0)
        return molt_error_set(err, MOLT_EIO, "cannot make the host's event descriptors: %s",
                              strerror(errno));
    return 0;
}

static void close_events(struct molt_host *host)
{
    int fds[] = {host->event_fd, host->timer_fd, host->idle_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int open_layers(struct molt_host *host, const struct molt_host_config *config,
                       struct molt_error *err)
{
    struct molt_code_config code = {
        .store = config->store,
        .worlds_max = config->worlds_max,
        .is_sealed = config->is_sealed,
        .sink = host->sink,
        .on_idle_world = molt_host_wake,
        .user = host,
        .on_unloaded = unloaded,
    };
    int rc = molt_code_new(&code, &host->code, err);
    if (rc < 0)
        return rc;
    struct molt_runtime_config runtime = {
        .code = host->code,
        .workers = config->workers,
        .stack_bytes = config->stack_bytes,
        .spares = config->spares,
        .is_pinned = config->is_pinned,
        .sink = host->sink,
        .config_get = get_config,
        .config_user = host,
        .on_root_exit = root_ended,
        .on_crash = crashed,
    };
    host->config_get = config->config_get;
    host->config_user = config->user;
    return molt_runtime_new(&runtime, &host->runtime, err);
}

int molt_host_new(const struct molt_host_config *config, struct molt_host **ret,
                  struct molt_error *err)
{
    if (config->size != sizeof(*config))
        return molt_error_set(err, MOLT_EABI,
                              "molt_host_config has another size than this libmolt's; compile "
                              "against its headers");
    struct molt_host *host = calloc(1, sizeof(*host));
    if (!host)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    host->event_fd = host->idle_fd = host->timer_fd = -1;
    host->sink = (struct molt_sink){config->log, config->user};
    host->look_again_ms = LOOK_AGAIN_FIRST_MS;
    int rc = open_events(host, err);
    if (rc == 0)
        rc = open_layers(host, config, err);
    if (rc < 0) {
        molt_host_free(host);
        return rc;
    }
    *ret = host;
    return 0;
}

int molt_host_start(struct molt_host *host, const char *root, struct molt_error *err)
{
    if (host->is_started)
        return molt_error_set(err, MOLT_EINVAL, "the host runs already");
    int rc = molt_runtime_start(host->runtime, root, err);
    host->is_started = rc == 0;
    return rc;
}

int molt_host_stop(struct molt_host *host, int timeout_ms)
{
    if (!host->is_started)
        return 0;
    host->is_started = false;
    return molt_runtime_stop(host->runtime, timeout_ms);
}

void molt_host_free(struct molt_host *host)
{
    if (!host)
        return;
    if (host->runtime)
        molt_host_stop(host, 0);
    if (host->runtime && molt_runtime_is_stuck(host->runtime))
        return;
    molt_runtime_free(host->runtime);
    molt_code_free(host->code);
    close_events(host);
    free(host);
}

int molt_thread_register(struct molt_host *host, const char *name, struct molt_thread **ret)
{
    return molt_runtime_thread_register(host->runtime, name, ret);
}

/* ---- housekeeping ------------------------------------------------------------ */

static void count_old(void *user, const struct molt_version_info *info)
{
    size_t *n = user;
    *n += !info->is_current;
}

/* Arm the timer if old versions are still there. */
static void look_again(struct molt_host *host, int n_unloaded)
{
    size_t n_old = 0;
    molt_code_each_version(host->code, count_old, &n_old);
    struct itimerspec when = {0};
    if (n_unloaded > 0)
        host->look_again_ms = LOOK_AGAIN_FIRST_MS;
    if (n_old) {
        when.it_value.tv_sec = host->look_again_ms / 1000;
        when.it_value.tv_nsec = (long)(host->look_again_ms % 1000) * 1000000;
        if (host->look_again_ms < LOOK_AGAIN_MAX_MS)
            host->look_again_ms *= 2;
    }
    timerfd_settime(host->timer_fd, 0, &when, NULL);
}

static void drain(int fd)
{
    uint64_t n;
    while (read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
        ;
}

static void count_old_world(void *user, const struct molt_world_info *info)
{
    size_t *n = user;
    *n += !info->is_current;
}

/* Rows may hold what lives in old versions longer than anybody else: when nobody is in an
 * older world any more, lead their pointers on. True: pins may have gone. */
static bool sweep_tables(struct molt_host *host)
{
    size_t n_old = 0, n_worlds = 0;
    molt_code_each_version(host->code, count_old, &n_old);
    molt_code_each_world(host->code, count_old_world, &n_worlds);
    if (n_old == 0 || n_worlds > 0)
        return false;
    if (molt_runtime_sweep_tables(host->runtime, SWEEP_ROWS, &host->n_swept)) {
        molt_host_wake(host);
        return false;
    }
    bool has_changed = host->n_swept > 0;
    host->n_swept = 0;
    return has_changed;
}

int molt_host_housekeep(struct molt_host *host)
{
    drain(host->idle_fd);
    drain(host->timer_fd);
    if (!molt_runtime_sweep(host->runtime, SWEEP_MS))
        molt_host_wake(host);
    int n = molt_code_reclaim(host->code, molt_runtime_scan, host->runtime);
    if (sweep_tables(host))
        n += molt_code_reclaim(host->code, molt_runtime_scan, host->runtime);
    look_again(host, n);
    return n;
}
