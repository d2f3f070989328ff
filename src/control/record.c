/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/record.h"

#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

/* ---- reading ------------------------------------------------------------ */

typedef void get_fn(struct molt_reader *r, void *item);
typedef void fini_fn(void *item);

/* How one kind of record is read: its size here, its least size there. */
struct kind {
    size_t size, min_bytes;
    get_fn *get;
    fini_fn *fini;
};

static void free_items(const struct kind *kind, void *items, size_t n)
{
    for (size_t i = 0; items && i < n; i++)
        kind->fini((char *)items + i * kind->size);
    free(items);
}

/* A counted run of records, in the middle of something. */
static int get_items(const struct kind *kind, struct molt_reader *r, void **ret, size_t *ret_n)
{
    size_t n = molt_reader_count(r, kind->min_bytes);
    if (r->is_failed)
        return MOLT_EFORMAT;
    char *items = calloc(n ? n : 1, kind->size);
    if (!items)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < n && !r->is_failed; i++)
        kind->get(r, items + i * kind->size);
    if (r->is_failed) {
        free_items(kind, items, n);
        return MOLT_EFORMAT;
    }
    *ret = items;
    *ret_n = n;
    return 0;
}

static int get_list(const struct kind *kind, const void *bytes, size_t len, void **ret,
                    size_t *ret_n)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    void *items;
    size_t n;
    int rc = get_items(kind, &r, &items, &n);
    if (rc < 0)
        return rc;
    if (!molt_reader_at_end(&r)) {
        free_items(kind, items, n);
        return MOLT_EFORMAT;
    }
    *ret = items;
    *ret_n = n;
    return 0;
}

static void get_version(struct molt_reader *r, void *item)
{
    struct molt_version_record *v = item;
    v->module = molt_reader_str(r);
    v->number = molt_reader_u32(r);
    const uint8_t *digest = molt_reader_raw(r, MOLT_SHA256_BYTES);
    if (digest)
        memcpy(v->digest, digest, MOLT_SHA256_BYTES);
    const uint8_t *id = molt_reader_bytes(r, &v->build_id_len);
    if (v->build_id_len > sizeof(v->build_id))
        r->is_failed = true;
    else if (id)
        memcpy(v->build_id, id, v->build_id_len);
    v->base = molt_reader_u64(r);
    v->bytes = molt_reader_u64(r);
    v->is_current = molt_reader_u8(r);
    v->path = molt_reader_str(r);
    v->why = molt_reader_str(r);
    v->age_ms = molt_reader_u64(r);
}

static void fini_version(void *item)
{
    struct molt_version_record *v = item;
    free(v->module);
    free(v->path);
    free(v->why);
}

static void get_world(struct molt_reader *r, void *item)
{
    struct molt_world_record *w = item;
    w->id = molt_reader_u64(r);
    w->age_ms = molt_reader_u64(r);
    w->bytes = molt_reader_u64(r);
    w->is_current = molt_reader_u8(r);
    w->n_holds = molt_reader_u64(r);
    w->owners = molt_reader_str(r);
}

static void fini_world(void *item)
{
    free(((struct molt_world_record *)item)->owners);
}

static void get_process(struct molt_reader *r, void *item)
{
    struct molt_process_record *p = item;
    p->pid = molt_reader_u64(r);
    p->name = molt_reader_str(r);
    p->server = molt_reader_str(r);
    p->version = molt_reader_str(r);
    p->world = molt_reader_u64(r);
    p->state = molt_reader_u32(r);
    p->waiting_for = molt_reader_str(r);
    p->mailbox = molt_reader_u64(r);
    p->bytes = molt_reader_u64(r);
    p->callbacks = molt_reader_u64(r);
    p->parent = molt_reader_u64(r);
}

static void fini_process(void *item)
{
    struct molt_process_record *p = item;
    free(p->name);
    free(p->server);
    free(p->version);
    free(p->waiting_for);
}

static void get_child(struct molt_reader *r, void *item)
{
    struct molt_child_record *c = item;
    c->supervisor = molt_reader_u64(r);
    c->supervisor_name = molt_reader_str(r);
    c->strategy = molt_reader_u32(r);
    c->is_self = molt_reader_u8(r);
    c->id = molt_reader_str(r);
    c->pid = molt_reader_u64(r);
    c->restart = molt_reader_u32(r);
    c->is_supervisor = molt_reader_u8(r);
    c->n_restarts = molt_reader_u64(r);
}

static void fini_child(void *item)
{
    struct molt_child_record *c = item;
    free(c->supervisor_name);
    free(c->id);
}

static void get_iface(struct molt_reader *r, void *item)
{
    struct molt_iface_record *i = item;
    i->module = molt_reader_str(r);
    i->name = molt_reader_str(r);
    i->sig = molt_reader_u64(r);
    i->slot = molt_reader_u32(r);
}

static void fini_iface(void *item)
{
    struct molt_iface_record *i = item;
    free(i->module);
    free(i->name);
}

static void get_change(struct molt_reader *r, void *item)
{
    struct molt_change_record *c = item;
    c->module = molt_reader_str(r);
    c->old_number = molt_reader_u32(r);
    c->new_number = molt_reader_u32(r);
}

static void fini_change(void *item)
{
    free(((struct molt_change_record *)item)->module);
}

static void get_frame(struct molt_reader *r, void *item)
{
    struct molt_crash_frame *f = item;
    f->module = molt_reader_str(r);
    f->number = molt_reader_u32(r);
    f->offset = molt_reader_u64(r);
}

static void fini_frame(void *item)
{
    free(((struct molt_crash_frame *)item)->module);
}

static const struct kind version_kind = {sizeof(struct molt_version_record), 77, get_version,
                                         fini_version};
static const struct kind world_kind = {sizeof(struct molt_world_record), 37, get_world, fini_world};
static const struct kind process_kind = {sizeof(struct molt_process_record), 68, get_process,
                                         fini_process};
static const struct kind child_kind = {sizeof(struct molt_child_record), 42, get_child, fini_child};
static const struct kind iface_kind = {sizeof(struct molt_iface_record), 20, get_iface, fini_iface};
static const struct kind change_kind = {sizeof(struct molt_change_record), 12, get_change,
                                        fini_change};
static const struct kind frame_kind = {sizeof(struct molt_crash_frame), 16, get_frame, fini_frame};

int molt_record_get_versions(const void *bytes, size_t len, struct molt_version_record **ret,
                             size_t *ret_n)
{
    void *items = NULL;
    int rc = get_list(&version_kind, bytes, len, &items, ret_n);
    if (rc == 0)
        *ret = items;
    return rc;
}

int molt_record_get_worlds(const void *bytes, size_t len, struct molt_world_record **ret,
                           size_t *ret_n)
{
    void *items = NULL;
    int rc = get_list(&world_kind, bytes, len, &items, ret_n);
    if (rc == 0)
        *ret = items;
    return rc;
}

int molt_record_get_processes(const void *bytes, size_t len, struct molt_process_record **ret,
                              size_t *ret_n)
{
    void *items = NULL;
    int rc = get_list(&process_kind, bytes, len, &items, ret_n);
    if (rc == 0)
        *ret = items;
    return rc;
}

int molt_record_get_children(const void *bytes, size_t len, struct molt_child_record **ret,
                             size_t *ret_n)
{
    void *items = NULL;
    int rc = get_list(&child_kind, bytes, len, &items, ret_n);
    if (rc == 0)
        *ret = items;
    return rc;
}

int molt_record_get_ifaces(const void *bytes, size_t len, struct molt_iface_record **ret,
                           size_t *ret_n)
{
    void *items = NULL;
    int rc = get_list(&iface_kind, bytes, len, &items, ret_n);
    if (rc == 0)
        *ret = items;
    return rc;
}

int molt_record_get_upgrade(const void *bytes, size_t len, struct molt_upgrade_record *ret)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    struct molt_upgrade_record u = {.world = molt_reader_u64(&r)};
    void *changes = NULL;
    int rc = get_items(&change_kind, &r, &changes, &u.n_changes);
    if (rc < 0)
        return rc;
    u.changes = changes;
    u.n_processes = molt_reader_u32(&r);
    u.n_redone = molt_reader_u32(&r);
    u.stage_ns = molt_reader_u64(&r);
    u.check_ns = molt_reader_u64(&r);
    u.wait_ns = molt_reader_u64(&r);
    u.switch_ns = molt_reader_u64(&r);
    u.held_ns = molt_reader_u64(&r);
    if (r.is_failed || !molt_reader_at_end(&r)) {
        molt_record_fini_upgrade(&u);
        return MOLT_EFORMAT;
    }
    *ret = u;
    return 0;
}

static void get_trial_server(struct molt_reader *r, void *item)
{
    struct molt_trial_server_record *s = item;
    s->name = molt_reader_str(r);
    uint32_t *const counts[] = {&s->n_processes, &s->n_tried, &s->n_changed, &s->n_busy,
                                &s->n_failed};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        *counts[i] = molt_reader_u32(r);
}

static void fini_trial_server(void *item)
{
    free(((struct molt_trial_server_record *)item)->name);
}

static void get_trial_failure(struct molt_reader *r, void *item)
{
    struct molt_trial_failure_record *f = item;
    f->pid = molt_reader_u64(r);
    f->label = molt_reader_str(r);
    f->module = molt_reader_str(r);
    f->number = molt_reader_u32(r);
    f->offset = molt_reader_u64(r);
    f->why = molt_reader_str(r);
}

static void fini_trial_failure(void *item)
{
    struct molt_trial_failure_record *f = item;
    free(f->label);
    free(f->module);
    free(f->why);
}

static const struct kind trial_server_kind = {sizeof(struct molt_trial_server_record), 24,
                                              get_trial_server, fini_trial_server};
static const struct kind trial_failure_kind = {sizeof(struct molt_trial_failure_record), 32,
                                               get_trial_failure, fini_trial_failure};

int molt_record_get_trial(const void *bytes, size_t len, struct molt_trial_record *ret)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    struct molt_trial_record t = {0};
    void *items = NULL;
    int rc = get_items(&trial_server_kind, &r, &items, &t.n_servers);
    t.servers = items;
    items = NULL;
    if (rc == 0)
        rc = get_items(&trial_failure_kind, &r, &items, &t.n_failures);
    t.failures = items;
    t.n_failed = molt_reader_u32(&r);
    t.bytes = molt_reader_u64(&r);
    t.ns = molt_reader_u64(&r);
    t.is_cut = molt_reader_u8(&r);
    if (rc == 0 && !molt_reader_at_end(&r))
        rc = MOLT_EFORMAT;
    if (rc < 0)
        molt_record_fini_trial(&t);
    else
        *ret = t;
    return rc;
}

void molt_record_fini_trial(struct molt_trial_record *record)
{
    free_items(&trial_server_kind, record->servers, record->n_servers);
    free_items(&trial_failure_kind, record->failures, record->n_failures);
    *record = (struct molt_trial_record){0};
}

int molt_record_get_stats(const void *bytes, size_t len, struct molt_stats_record *ret)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    struct molt_stats_record s = {0};
    uint64_t *const fields[] = {&s.processes, &s.workers,  &s.stacks,    &s.callbacks, &s.messages,
                                &s.crashes,   &s.restarts, &s.rss_bytes, &s.uptime_ms};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        *fields[i] = molt_reader_u64(&r);
    for (size_t i = 0; i < MOLT_STOP_BUCKETS; i++)
        s.stopped_threads[i] = molt_reader_u64(&r);
    for (size_t i = 0; i < MOLT_STOP_BUCKETS; i++)
        s.stopped_processes[i] = molt_reader_u64(&r);
    uint64_t *const newer[] = {&s.connections,   &s.spares,    &s.spares_max, &s.stack_bytes,
                               &s.stack_deepest, &s.preempted, &s.handovers};
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
        if (!r.is_failed && !molt_reader_at_end(&r))
            *newer[i] = molt_reader_u64(&r);
    if (r.is_failed || !molt_reader_at_end(&r))
        return MOLT_EFORMAT;
    *ret = s;
    return 0;
}

int molt_record_get_crash(const void *bytes, size_t len, struct molt_crash_record *ret)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    struct molt_crash_record c = {.signal = molt_reader_u32(&r)};
    c.address = molt_reader_u64(&r);
    c.pid = molt_reader_u64(&r);
    void *frames = NULL;
    int rc = get_items(&frame_kind, &r, &frames, &c.n_frames);
    if (rc < 0)
        return rc;
    c.frames = frames;
    if (!molt_reader_at_end(&r)) /* older hosts don't say */
        c.connections = molt_reader_u64(&r);
    if (!molt_reader_at_end(&r)) {
        molt_record_fini_crash(&c);
        return MOLT_EFORMAT;
    }
    *ret = c;
    return 0;
}

int molt_record_get_contained(const void *bytes, size_t len, struct molt_contained_record *ret)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    struct molt_contained_record c = {.pid = molt_reader_u64(&r)};
    char **const names[] = {&c.label, &c.server, &c.state_type, &c.callback, &c.message};
    void *frames = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        *names[i] = molt_reader_str(&r);
    c.callbacks = molt_reader_u64(&r);
    c.signal = molt_reader_u32(&r);
    c.address = molt_reader_u64(&r);
    c.what = molt_reader_str(&r);
    c.n_all = molt_reader_u64(&r);
    int rc = get_items(&frame_kind, &r, &frames, &c.n_frames);
    /* What follows is of a newer host. */
    c.frames = frames;
    if (rc < 0)
        molt_record_fini_contained(&c);
    else
        *ret = c;
    return rc;
}

/* ---- the rest ----------------------------------------------------------- */

void molt_record_free_versions(struct molt_version_record *list, size_t n)
{
    free_items(&version_kind, list, n);
}

void molt_record_free_worlds(struct molt_world_record *list, size_t n)
{
    free_items(&world_kind, list, n);
}

void molt_record_free_processes(struct molt_process_record *list, size_t n)
{
    free_items(&process_kind, list, n);
}

void molt_record_free_children(struct molt_child_record *list, size_t n)
{
    free_items(&child_kind, list, n);
}

void molt_record_free_ifaces(struct molt_iface_record *list, size_t n)
{
    free_items(&iface_kind, list, n);
}

void molt_record_fini_upgrade(struct molt_upgrade_record *record)
{
    free_items(&change_kind, record->changes, record->n_changes);
    record->changes = NULL;
    record->n_changes = 0;
}

void molt_record_fini_crash(struct molt_crash_record *record)
{
    free_items(&frame_kind, record->frames, record->n_frames);
    record->frames = NULL;
    record->n_frames = 0;
}

void molt_record_fini_contained(struct molt_contained_record *record)
{
    free(record->label);
    free(record->server);
    free(record->state_type);
    free(record->callback);
    free(record->message);
    free(record->what);
    free_items(&frame_kind, record->frames, record->n_frames);
    *record = (struct molt_contained_record){0};
}

const char *molt_record_strategy(uint32_t strategy)
{
    static const char *const names[] = {"one_for_one", "one_for_all", "rest_for_one",
                                        "simple_one_for_one"};
    return strategy < sizeof(names) / sizeof(names[0]) ? names[strategy] : "?";
}

const char *molt_record_restart(uint32_t restart)
{
    static const char *const names[] = {"permanent", "transient", "temporary"};
    return restart < sizeof(names) / sizeof(names[0]) ? names[restart] : "?";
}

const char *molt_record_process_state(uint32_t state)
{
    static const char *const names[] = {"idle", "queued", "running", "suspended", "claimed"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}
