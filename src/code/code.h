/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The code table: images, interfaces and worlds of one host.
 *
 * A world is an immutable set of versions, one per module, with a flat table
 * of function addresses, one per slot; a slot belongs to (module, name,
 * signature) and is never reused. One world is current; making another one
 * current is one store. Everybody who runs module code does so as a
 * participant (a worker or a registered foreign thread) that announces its
 * world; a callback that was suspended holds its world by count.
 *
 * Invariant: a world is freed, and an image leaves memory, only when nobody
 * announces or holds a world with it, and no pin was found.
 *
 * Threads: stage, commit, reclaim and the listings take the table's lock and
 * may load or unload objects: call them from the executor thread, never from
 * a worker. The participant and lookup functions are for the thread that owns
 * the participant, and take no lock.
 * Locks:   molt_code.lock (in code.c); the loader's lock nests in it.
 */
#ifndef MOLT_CODE_CODE_H
#define MOLT_CODE_CODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/abi.h>
#include <molt/error.h>

#include "base/log.h"
#include "base/stops.h"
#include "code/meta.h"
#include "code/type.h"
#include "port/limits.h"
#include "port/thunk.h"

struct molt_code;
struct molt_stage;
struct molt_version;

/* What a callback needs of a server behaviour in one world. */
struct molt_server_ref {
    const struct molt_server *desc; /* in the image; NULL: absent in this world */
    const struct molt_version *version;
    const struct molt_type *state_type;
    const struct molt_type *init_type;            /* NULL: init takes no argument */
    const struct molt_type *const *handler_types; /* like desc->on */
    const struct molt_type *const *change_types;  /* like desc->change */
    size_t n_handlers, n_changes;
    const struct molt_state_table *states; /* in the image; NULL: no state machine */
};

#define MOLT_SERVERS_MAX MOLT_LIMIT(1024, 16) /* server names ever used in one host */
#define MOLT_WORLDS_MAX MOLT_LIMIT(8, 3)      /* that callbacks may be in at once */

/* A world. Immutable once published but for the reference count and for stubs
 * written into slots that no thunk uses yet. */
struct molt_world {
    void **table; /* what thunks jump through; see port/thunk.h */
    uint64_t id;  /* 1, 2, ... */
    uint64_t created_ms;
    atomic_ulong n_holds; /* suspended callbacks; see molt_world_hold() */
    struct molt_code *code;
    size_t n_versions;
    struct molt_version **versions; /* sorted by module name; counted */
    size_t n_servers;
    struct molt_server_ref *servers; /* by server id; holes have desc NULL */
    size_t n_extensions;
    struct molt_extension *extensions; /* of all modules, module order */
    struct molt_world *next_older;     /* list of live worlds, newest first */
    uint32_t n_modules_changed;
    uint32_t layout_epoch; /* see layout.h */
    /* Its versions' types, ascending by key, then by address. */
    size_t n_types;
    const struct molt_type **types;
    struct molt_edge_node *edges;    /* that its stage brought; see layout.c */
    struct molt_moves_node *moves;   /* the same */
    struct molt_carry_node *carries; /* the same */
};

/* Somebody who runs module code: a worker or a registered thread. */
struct molt_participant {
    /* Announced world; NULL while offline. Bit 0: somebody waits for this
     * participant's next boundary (molt_code_grace). */
    _Atomic(struct molt_world *) world;
    struct molt_code *code;
    char name[48];
    bool is_foreign;
    atomic_ulong thread; /* pthread_self() of whoever is online as it */
    struct molt_participant *next;
};

struct molt_code_config {
    const char *store;   /* folder of images; copied */
    unsigned worlds_max; /* 0: MOLT_WORLDS_MAX */
    bool is_sealed;      /* map from sealed memfds */
    struct molt_sink sink;
    /* Called (any thread, no lock held) when something may have become
     * reclaimable, so that the owner runs molt_code_reclaim() soon. */
    void (*on_idle_world)(void *user);
    void *user;
    /* May be NULL: an old version left memory, @retained_ms after it ceased to
     * be current. Called by molt_code_reclaim(), with the lock held. */
    void (*on_unloaded)(void *user, const char *module, unsigned number, uint64_t retained_ms);
};

int molt_code_new(const struct molt_code_config *config, struct molt_code **ret,
                  struct molt_error *err);
/* No participant may be left. Unloads everything. NULL is fine. */
void molt_code_free(struct molt_code *code);

/* ---- participants ------------------------------------------------------- */

/* The participant starts offline. @p stays at its address until it left. */
void molt_code_join(struct molt_code *code, struct molt_participant *p, const char *name,
                    bool is_foreign);
void molt_code_leave(struct molt_code *code, struct molt_participant *p);

_Atomic(struct molt_world *) *molt_code_current_cell(struct molt_code *code);

/* The slow half of molt_participant_boundary(). */
struct molt_world *molt_participant_advance(struct molt_participant *p);

/* World boundary: the participant is in the current world afterwards, and the
 * thread's thunks go there. Valid until its next boundary or offline call. */
static inline struct molt_world *molt_participant_boundary(struct molt_participant *p,
                                                           _Atomic(struct molt_world *) *current)
{
    /* Acquire: pairs with the store of molt_stage_commit(). A participant that
     * somebody waits for compares unequal and takes the slow path. */
    struct molt_world *now = atomic_load_explicit(current, memory_order_acquire);
    struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (__builtin_expect(now == mine, 1) && !MOLT_IS_HOSTILE)
        return now;
    return molt_participant_advance(p);
}

/* Leave the current world, before waiting. */
void molt_participant_offline(struct molt_participant *p);

/* Have this thread's thunks go to @world, which is held, until the next
 * boundary (a suspended callback goes on). */
void molt_participant_visit(struct molt_participant *p, struct molt_world *world);
/* Back to the announced world. */
void molt_participant_return(struct molt_participant *p);

/* Keep @world beyond this callback / let go. Any thread that is in it, or
 * holds it. */
void molt_world_hold(struct molt_world *world);
void molt_world_release(struct molt_world *world);

/* How long upgrades stopped threads and processes; owned by the table. The
 * runtime adds the processes. */
struct molt_stops *molt_code_stops(struct molt_code *code);

/* ---- lookups, from inside a world -------------------------------------- */

/* Host-wide id of a server name, for molt_world_server(); -1 if never seen.
 * Lock-free; ids are small and never reused. */
int molt_code_server_id(struct molt_code *code, const char *name);
const char *molt_code_server_name(struct molt_code *code, int id);

static inline const struct molt_server_ref *molt_world_server(const struct molt_world *world,
                                                              int id)
{
    if (id < 0 || (size_t)id >= world->n_servers || !world->servers[id].desc)
        return NULL;
    return &world->servers[id];
}

const struct molt_supervisor *molt_world_supervisor(const struct molt_world *world,
                                                    const char *name);
/* The @i-th of all supervisors; NULL if there are fewer. */
const struct molt_supervisor *molt_world_supervisor_at(const struct molt_world *world, size_t i);

const char *molt_version_module(const struct molt_version *v);
unsigned molt_version_number(const struct molt_version *v);
/* "module@n" into @buf. */
void molt_version_print(const struct molt_version *v, char *buf, size_t size);
const struct molt_meta *molt_version_meta(const struct molt_version *v);
/* The version whose text holds @pc, also one that was unloaded (then
 * *ret_is_unloaded); NULL if none. Async-signal-safe. @ret_offset is pc minus
 * the image's base. */
const struct molt_version *molt_code_find_pc(struct molt_code *code, const void *pc,
                                             uintptr_t *ret_offset, bool *ret_is_unloaded);

/* It takes locks that the host doesn't count: a thread in it must not be suspended,
 * and a crash in it may leave a lock behind. Async-signal-safe. */
bool molt_version_is_uncounted(const struct molt_version *version);

/* "module:name" of a slot for messages; MOLT_ENOENT. Async-signal-safe. */
int molt_code_slot_name(struct molt_code *code, uint32_t slot, char *buf, size_t size);

/* ---- stage and commit --------------------------------------------------- */

/* Begin a stage on top of the current world. One at a time: MOLT_EBUSY.
 * MOLT_ELIMIT when the worlds are used up (names the owners). The handle is
 * consumed by commit and abort; using it afterwards is MOLT_ESTALE. */
int molt_stage_begin(struct molt_code *code, uint64_t *ret_stage, struct molt_error *err);

/* Load an interface object (thunks for new names) from @fd, checking @digest.
 * One that is loaded already is no error. */
int molt_stage_interface(struct molt_code *code, uint64_t stage, int fd,
                         const uint8_t digest[MOLT_SHA256_BYTES], struct molt_error *err);

/* Add or change the module that @meta (consumed on success) describes; the
 * image's bytes come from @fd. Identical to the current version: returns 1,
 * nothing to do. Otherwise 0. */
int molt_stage_put(struct molt_code *code, uint64_t stage, struct molt_meta *meta, int fd,
                   struct molt_error *err);

/* A version that was rebuilt against changed headers and came out equal goes
 * on, with the header digests of @meta (consumed on success). */
int molt_stage_keep(struct molt_code *code, uint64_t stage, struct molt_meta *meta,
                    struct molt_error *err);

int molt_stage_delete(struct molt_code *code, uint64_t stage, const char *module,
                      struct molt_error *err);

/* Build the new world and check that it is complete and type-safe: every
 * import provided with the signature it was compiled against, every header
 * digest equal, one layout per header type, server names unique. Then run
 * on_load of the new versions. MOLT_EREFUSED lists all that is wrong. */
int molt_stage_seal(struct molt_code *code, uint64_t stage, struct molt_error *err);

/* The sealed world, for comparing behaviours and types; borrowed. */
int molt_stage_world(struct molt_code *code, uint64_t stage, struct molt_world **ret);

/* Make the sealed world current: one store. MOLT_ESTALE if not sealed or the
 * handle was used before. */
int molt_stage_commit(struct molt_code *code, uint64_t stage, uint64_t *ret_world_id,
                      struct molt_error *err);

/* Undo: on_abandon in reverse order, images unloaded. */
int molt_stage_abort(struct molt_code *code, uint64_t stage);

/* Wait until every participant passed a boundary or is offline: whatever ran
 * before the call has ended or is suspended. The calling thread's own is not
 * waited for: this is no module code. MOLT_ETIMEDOUT. */
int molt_code_grace(struct molt_code *code, int timeout_ms);

/* Have everybody else who runs callbacks pass a boundary and stay there, in no world, until
 * molt_code_resume(), which has to come soon. Registered threads stop there, too, but are
 * only waited for if @is_foreign_too. MOLT_ETIMEDOUT: @who is in a callback still, and
 * nobody stops. By the executor; the same thread may commit and reclaim meanwhile. */
int molt_code_pause(struct molt_code *code, bool is_foreign_too, int timeout_ms, char *who,
                    size_t who_size);
void molt_code_resume(struct molt_code *code);
/* Whether somebody paused only at the boundary, with work already in hand. */
bool molt_code_is_anybody_late(struct molt_code *code);
/* Any thread. Soon out of date. */
bool molt_code_is_pausing(const struct molt_code *code);
/* Between two pieces of work: if there is a pause, be in no world until it is over. */
void molt_participant_rest(struct molt_participant *p);

/* ---- reclaim and listings ----------------------------------------------- */

struct molt_range {
    uintptr_t lo, hi; /* [lo, hi) */
    const struct molt_version *version;
};

/* A found pin: why @range's version can't leave, by name. @holder is the pid
 * of the process that has it, 0 if it is none. */
typedef void molt_pin_fn(void *user, const struct molt_range *range, uint64_t holder,
                         const char *why);

/* Asks whether anything outside the code table still leads into one of the
 * ranges (sorted by lo); calls @report for what it finds. Returns the number of
 * pins, or a negative code if it couldn't look everywhere. */
typedef int molt_scan_fn(void *user, const struct molt_range *ranges, size_t n, molt_pin_fn *report,
                         void *report_user);

/* Free worlds that nobody is in, then unload the images of no world that @scan
 * (may be NULL: nothing can lead there) finds no pin for. Returns the number
 * of images unloaded. */
int molt_code_reclaim(struct molt_code *code, molt_scan_fn *scan, void *scan_user);

struct molt_version_info {
    const char *module;
    unsigned number;
    const uint8_t *digest;
    const uint8_t *build_id;
    size_t build_id_len;
    uintptr_t base;
    size_t bytes; /* mapped */
    bool is_current;
    const char *path;   /* what gdb and perf see */
    const char *why;    /* for old ones: pins by name, "; " between */
    uint64_t loaded_ms; /* monotonic */
};
struct molt_world_info {
    uint64_t id;
    uint64_t age_ms;
    size_t bytes; /* what only this world keeps: table and old images */
    bool is_current;
    unsigned long n_holds;
    const char *owners; /* participants in it: "worker 0, thread feed" */
};
/* The last number that a version of @module was given in this host; 0: there
 * never was one. */
unsigned molt_code_last_number(struct molt_code *code, const char *module);
/* Whether the live world @world_id has this version. */
bool molt_code_world_has(struct molt_code *code, uint64_t world_id, const char *module,
                         unsigned number);
struct molt_iface_info {
    const char *module, *name;
    uint64_t sig;
    uint32_t slot;
};
/* Consistent snapshots under the lock; the strings live during the call. */
int molt_code_each_version(struct molt_code *code,
                           void (*fn)(void *user, const struct molt_version_info *), void *user);
int molt_code_each_world(struct molt_code *code,
                         void (*fn)(void *user, const struct molt_world_info *), void *user);
int molt_code_each_iface(struct molt_code *code,
                         void (*fn)(void *user, const struct molt_iface_info *), void *user);

#endif
