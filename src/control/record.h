/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the replies and events of the protocol carry, as structures: the host
 * writes them, the agent reads them. Layouts: control/protocol.h.
 *
 * Reading checks every bound: what doesn't decode is MOLT_EFORMAT, and nothing
 * is returned. Strings of a record are malloc'd and never NULL.
 *
 * Threads: pure.
 */
#ifndef MOLT_CONTROL_RECORD_H
#define MOLT_CONTROL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "base/stops.h"

struct molt_code_config;
struct molt_version_info;
struct molt_world_info;
struct molt_iface_info;
struct molt_process_info;
struct molt_runtime_child;
struct molt_upgrade_result;
struct molt_runtime_crash;
struct molt_runtime_stats;
struct molt_upgrade_trial;

#define MOLT_RECORD_BUILD_ID_MAX 64

struct molt_version_record {
    char *module;
    uint32_t number;
    uint8_t digest[MOLT_SHA256_BYTES];
    uint8_t build_id[MOLT_RECORD_BUILD_ID_MAX];
    size_t build_id_len;
    uint64_t base, bytes;
    bool is_current;
    char *path, *why;
    uint64_t age_ms;
};

struct molt_world_record {
    uint64_t id, age_ms, bytes;
    bool is_current;
    uint64_t n_holds;
    char *owners;
};

struct molt_process_record {
    uint64_t pid;
    char *name, *server, *version;
    uint64_t world;
    uint32_t state; /* enum molt_process_state */
    char *waiting_for;
    uint64_t mailbox, bytes, callbacks, parent;
};

/* A supervisor itself, or one of its children. */
struct molt_child_record {
    uint64_t supervisor;
    char *supervisor_name;
    uint32_t strategy; /* enum molt_strategy */
    bool is_self, is_supervisor;
    char *id;
    uint64_t pid;
    uint32_t restart; /* enum molt_restart */
    uint64_t n_restarts;
};

struct molt_iface_record {
    char *module, *name;
    uint64_t sig;
    uint32_t slot;
};

struct molt_stats_record {
    uint64_t processes, workers, stacks, callbacks, messages, crashes, restarts;
    uint64_t rss_bytes, uptime_ms;
    uint64_t stopped_threads[MOLT_STOP_BUCKETS]; /* base/stops.h */
    uint64_t stopped_processes[MOLT_STOP_BUCKETS];
    uint64_t connections;                /* peers over IP */
    uint64_t spares, spares_max;         /* workers that stand in for stuck ones */
    uint64_t stack_bytes, stack_deepest; /* 0: the host doesn't say */
    uint64_t preempted, handovers;
};

struct molt_change_record {
    char *module;
    uint32_t old_number, new_number; /* 0: added, deleted */
};

struct molt_upgrade_record {
    uint64_t world;
    size_t n_changes;
    struct molt_change_record *changes;
    uint32_t n_processes, n_redone;
    uint64_t stage_ns, check_ns, wait_ns, switch_ns, held_ns;
};

/* See runtime/trial.h. */
struct molt_trial_server_record {
    char *name;
    uint32_t n_processes, n_tried, n_changed, n_busy, n_failed;
};

struct molt_trial_failure_record {
    uint64_t pid;
    char *label, *module;
    uint32_t number;
    uint64_t offset;
    char *why;
};

struct molt_trial_record {
    size_t n_servers, n_failures;
    struct molt_trial_server_record *servers;
    struct molt_trial_failure_record *failures;
    uint32_t n_failed;
    uint64_t bytes, ns;
    bool is_cut;
};

#define MOLT_CRASH_FRAMES_MAX 48

struct molt_crash_frame {
    char *module; /* "": code of the host itself, or unknown */
    uint32_t number;
    uint64_t offset;
};

struct molt_crash_record {
    uint32_t signal;
    uint64_t address, pid;
    size_t n_frames;
    struct molt_crash_frame *frames;
    uint64_t connections; /* peers over IP that it cut off */
};

/* A crash that ended only its process; see struct molt_runtime_crash. */
struct molt_contained_record {
    uint64_t pid;
    char *label, *server, *state_type, *callback, *message;
    uint64_t callbacks;
    uint32_t signal;
    uint64_t address;
    char *what;
    uint64_t n_all; /* frames there were */
    size_t n_frames;
    struct molt_crash_frame *frames;
};

/* Append one record. @now_ms: the monotonic clock, for ages. */
void molt_record_put_version(struct molt_buf *buf, const struct molt_version_info *v,
                             uint64_t now_ms);
void molt_record_put_world(struct molt_buf *buf, const struct molt_world_info *w);
void molt_record_put_process(struct molt_buf *buf, const struct molt_process_info *p);
void molt_record_put_child(struct molt_buf *buf, const struct molt_runtime_child *c);
void molt_record_put_iface(struct molt_buf *buf, const struct molt_iface_info *i);
void molt_record_put_upgrade(struct molt_buf *buf, const struct molt_upgrade_result *r,
                             uint64_t stage_ns);
void molt_record_put_trial(struct molt_buf *buf, const struct molt_upgrade_trial *t);
void molt_record_put_stats(struct molt_buf *buf, const struct molt_runtime_stats *s,
                           const struct molt_stops *stops, uint64_t rss_bytes, uint64_t uptime_ms,
                           uint64_t connections);
void molt_record_put_contained(struct molt_buf *buf, const struct molt_runtime_crash *crash);

/* Read a whole payload (without the reply's code). Lists are malloc'd. */
int molt_record_get_versions(const void *bytes, size_t len, struct molt_version_record **ret,
                             size_t *ret_n);
int molt_record_get_worlds(const void *bytes, size_t len, struct molt_world_record **ret,
                           size_t *ret_n);
int molt_record_get_processes(const void *bytes, size_t len, struct molt_process_record **ret,
                              size_t *ret_n);
int molt_record_get_children(const void *bytes, size_t len, struct molt_child_record **ret,
                             size_t *ret_n);
int molt_record_get_ifaces(const void *bytes, size_t len, struct molt_iface_record **ret,
                           size_t *ret_n);
int molt_record_get_upgrade(const void *bytes, size_t len, struct molt_upgrade_record *ret);
int molt_record_get_trial(const void *bytes, size_t len, struct molt_trial_record *ret);
int molt_record_get_stats(const void *bytes, size_t len, struct molt_stats_record *ret);
int molt_record_get_crash(const void *bytes, size_t len, struct molt_crash_record *ret);
int molt_record_get_contained(const void *bytes, size_t len, struct molt_contained_record *ret);

void molt_record_free_versions(struct molt_version_record *list, size_t n);
void molt_record_free_worlds(struct molt_world_record *list, size_t n);
void molt_record_free_processes(struct molt_process_record *list, size_t n);
void molt_record_free_children(struct molt_child_record *list, size_t n);
void molt_record_free_ifaces(struct molt_iface_record *list, size_t n);
void molt_record_fini_upgrade(struct molt_upgrade_record *record);
void molt_record_fini_trial(struct molt_trial_record *record);
void molt_record_fini_crash(struct molt_crash_record *record);
void molt_record_fini_contained(struct molt_contained_record *record);

/* "one_for_one", ...; "permanent", ...; "?" for other values. */
const char *molt_record_strategy(uint32_t strategy);
const char *molt_record_restart(uint32_t restart);

/* "idle", "queued", ...; "?" for values outside enum molt_process_state. */
const char *molt_record_process_state(uint32_t state);

#endif
