/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The inside of the code table, shared by the files of this layer.
 *
 * Threads and Locks: as written at each member. "lock" is molt_code.lock.
 */
#ifndef MOLT_CODE_TABLE_H
#define MOLT_CODE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "code/carry.h"
#include "code/code.h"
#include "code/image.h"
#include "code/layout.h"
#include "port/limits.h"

/* One build of a module inside this host. */
struct molt_version {
    char module[64];
    unsigned number;
    struct molt_meta *meta;
    struct molt_image image;
    const struct molt_module *desc;  /* in the image */
    uint32_t *slots;                 /* of meta->exports; by the same index */
    void **functions;                /* their own definitions */
    void **thunks;                   /* their canonical addresses */
    struct molt_server_ref *servers; /* of meta->servers */
    int *server_ids;
    size_t n_types; /* of meta->types, interned */
    const struct molt_type **types;
    uint8_t digest[MOLT_SHA256_BYTES]; /* meta's, also once that is gone */
    size_t n_worlds;                   /* that it is in; lock */
    bool is_loaded;                    /* on_load ran */
    bool is_uncounted;                 /* MOLT_META_UNCOUNTED; constant while it is in memory */
    bool is_zombie;                    /* dlclose kept it */
    char *why;                         /* why it stays, for listings; lock; malloc'd */
    size_t why_len;
    uint64_t loaded_ms, retired_ms; /* retired: ceased to be current; 0: is */
    /* Header digests that it counts as compiled against: meta's own, or newer
     * ones that it was proven equal under. lock. */
    size_t n_headers;
    struct molt_meta_header *headers;
    struct molt_version *next; /* in molt_code.versions */
};

/* More than names, so that a search finds an end. */
#define MOLT_SERVER_BUCKETS MOLT_LIMIT(2048u, MOLT_SERVERS_MAX + 1u)

/* A range of addresses and whose it is, for crash reports: read by signal
 * handlers, hence atomics and no locks. */
struct molt_code_span {
    atomic_uintptr_t lo, hi; /* hi 0: free */
    atomic_bool is_unloaded;
    struct molt_version *version; /* a tombstone once unloaded */
};

/* Images with a range, and of these the unloaded ones whose ranges stay
 * reserved; the oldest gives way. */
#define MOLT_SPANS_MAX MOLT_LIMIT(2048u, 16u)
#define MOLT_RESERVED_MAX MOLT_LIMIT(1024u, 2u)

/* A recipe as a way from one type object to another. Until the commit it is in the lists
 * of its stage and its world alone; then in its type's, for good. */
struct molt_edge_node {
    struct molt_edge edge; /* edge.to NULL: no such layout was ever here */
    struct molt_recipe *recipe;
    /* Whose function edge.change is; NULL once that version left memory. Who is in a world
     * with the version can't see it go. */
    _Atomic(const struct molt_version *) version;
    struct molt_edge_node *next;       /* in molt_type.edges; set before it is there */
    struct molt_edge_node *stage_next; /* in molt_world.edges, and the stage's */
};

/* Moves, for good once committed. */
struct molt_moves_node {
    struct molt_moves *moves;
    struct molt_moves_node *next;       /* in molt_code.moves; set before it is there */
    struct molt_moves_node *stage_next; /* in molt_world.moves, and the stage's */
};

/* Globals that follow. For good once committed, like moves: pointers to them follow, too. */
struct molt_carry_node {
    struct molt_carry *carry;
    struct molt_version *from, *to; /* once the values were made */
    uint8_t *values;                /* the new ones; once copied, the initial ones */
    bool is_copied;
    struct molt_carry_node *next;       /* in molt_code.carries; set before it is there */
    struct molt_carry_node *stage_next; /* in molt_world.carries, and the stage's */
};

enum molt_item_kind { MOLT_ITEM_PUT, MOLT_ITEM_KEEP, MOLT_ITEM_DELETE };

struct molt_stage_item {
    enum molt_item_kind kind;
    char module[64];
    struct molt_version *version; /* PUT: the new one */
    struct molt_meta *meta;       /* KEEP: its headers count */
};

struct molt_stage {
    uint64_t id;
    struct molt_world *base;
    struct molt_world *world; /* once sealed */
    size_t n_items, cap_items;
    struct molt_stage_item *items;
    struct molt_edge_node *edges;
    struct molt_moves_node *moves;
    struct molt_carry_node *carries;
};

struct molt_code {
    pthread_mutex_t lock; /* guards all below that isn't atomic; nothing of
                             other layers is called with it but on_unloaded */
    char *store;
    unsigned worlds_max;
    bool is_sealed;
    bool is_reclaiming;
    struct molt_sink sink;
    void (*on_idle_world)(void *user);
    void (*on_unloaded)(void *user, const char *, unsigned, uint64_t);
    void *user;

    struct molt_stops stops;
    _Atomic(struct molt_world *) current;
    struct molt_world *worlds; /* all live ones, newest first */
    uint64_t last_world_id;
    struct molt_version *versions; /* all in memory, newest first */
    struct {                       /* last number given to a module; survives its versions */
        char module[64];
        unsigned number;
    } * numbers;
    size_t n_numbers;

    struct molt_participant *participants;
    pthread_cond_t boundary; /* a waited-for participant passed one, or a pause is over */
    atomic_ulong pauser;     /* pthread_self() of who has everybody else pause; 0: nobody */

    unsigned n_late; /* participants that pause at a boundary */

    struct molt_stage *stage;
    uint64_t last_stage_id;

    struct molt_types *types;
    /* All moves that were ever committed, newest first: appended to under the lock, read
     * without. Release; pairs with the acquire in moved.c. */
    _Atomic(struct molt_moves_node *) moves;
    _Atomic(struct molt_carry_node *) carries; /* the same of globals */

    /* Server names: open addressing, insert under the lock, lookup without. */
    _Atomic(char *) server_names[MOLT_SERVERS_MAX];
    atomic_uint n_server_names;
    atomic_uint server_buckets[MOLT_SERVER_BUCKETS]; /* id + 1 */

    struct molt_code_span spans[MOLT_SPANS_MAX];
    atomic_uint n_spans;                  /* none in use behind these */
    unsigned reserved[MOLT_RESERVED_MAX]; /* ring of span indexes */
    size_t first_reserved, n_reserved;
};

/* ---- iface.c ---- */
int molt_iface_load(struct molt_code *code, int fd, const uint8_t *digest, struct molt_error *err);
/* The slot of a name and its thunk; -1 if there is none. Notes what it returns
 * in memory. */
long molt_iface_find(const char *module, const char *name, uint64_t sig, uint32_t ret_bytes,
                     void **ret_thunk);
size_t molt_iface_count(void);

/* ---- version.c ---- */
int molt_version_load(struct molt_code *code, struct molt_meta *meta, int fd,
                      struct molt_version **ret, struct molt_error *err);
/* The image is gone or was never there. Keeps nothing. */
void molt_version_free(struct molt_version *version);
/* Count @version as compiled against the headers of @meta. MOLT_ENOMEM. */
int molt_version_set_headers(struct molt_version *v, const struct molt_meta *meta);
/* Unload the image and free the version, or keep it as a zombie. */
enum molt_image_fate molt_version_unload(struct molt_code *code, struct molt_version *version);
void molt_version_set_why(struct molt_version *version, const char *why);
/* Set or add, "; " between, up to 4 KiB. */
void molt_version_add_why(struct molt_version *version, const char *why);
void molt_code_drop_spans(struct molt_code *code);

/* ---- world.c ---- */
struct molt_world *molt_world_build(struct molt_code *code, const struct molt_stage *stage,
                                    struct molt_error *err);
struct molt_world *molt_world_empty(struct molt_code *code);
/* Every import, header, type and server name; all that is wrong goes to @err. */
int molt_world_check(const struct molt_world *world, const struct molt_stage *stage,
                     struct molt_error *err);
void molt_world_free(struct molt_world *world);
struct molt_version *molt_world_find(const struct molt_world *world, const char *module);
size_t molt_world_table_bytes(void);
bool molt_world_is_owned(const struct molt_code *code, const struct molt_world *world);
/* Free the worlds that nobody is in; lock held. */
void molt_worlds_collect(struct molt_code *code);
/* Owners of @world by name into @buf. */
void molt_world_owners(const struct molt_code *code, const struct molt_world *world, char *buf,
                       size_t size);

/* ---- layout.c ---- */
bool molt_world_has_type(const struct molt_world *world, const struct molt_type *type);
/* Whether @world knows some layout of @type's key. */
bool molt_world_has_key(const struct molt_world *world, const struct molt_type *type);

/* ---- layout_stage.c ---- */
/* The world's types and epoch, of its versions and the stage's base. MOLT_ENOMEM. */
int molt_world_fill_layouts(struct molt_world *world, const struct molt_stage *stage);
/* Bind the stage's recipes and moves to types and versions. MOLT_EREFUSED, MOLT_ENOMEM. */
int molt_layouts_bind(struct molt_code *code, struct molt_stage *stage, struct molt_world *world,
                      struct molt_error *err);
/* They hold from now on; can't fail. */
void molt_layouts_commit(struct molt_code *code, struct molt_stage *stage);
/* Free what the stage still has. */
void molt_layouts_drop(struct molt_stage *stage);
/* @v leaves memory: its functions are on no way any more. */
void molt_layouts_forget(struct molt_code *code, const struct molt_version *v);
/* With the whole table: frees all that was committed. */
void molt_layouts_free(struct molt_code *code);

/* ---- carry_stage.c ---- */
/* Add to @reasons what speaks against the stage: see molt_stage_carry(). */
void molt_carries_check(const struct molt_stage *stage, struct molt_buf *reasons);
/* Give the new images their initial values back. */
void molt_carries_undo(struct molt_stage *stage);
/* They hold from now on; can't fail. */
void molt_carries_commit(struct molt_code *code, struct molt_stage *stage);
/* Free what the stage still has. */
void molt_carries_drop(struct molt_stage *stage);
/* With the whole table: frees all that was committed. */
void molt_carries_free_all(struct molt_code *code);

/* ---- servers.c ---- */
int molt_server_intern(struct molt_code *code, const char *name, struct molt_error *err);

/* ---- stage.c ---- */
/* The stage that is open as @id; NULL and MOLT_ESTALE. */
struct molt_stage *molt_stage_find(struct molt_code *code, uint64_t id, struct molt_error *err);
/* Fails if the stage takes no more items, or has one for @module (NULL: don't ask). */
int molt_stage_check_open(const struct molt_stage *stage, const char *module,
                          struct molt_error *err);
void molt_stage_drop(struct molt_code *code);

static inline struct molt_world *molt_announced(const struct molt_participant *p)
{
    /* Seq_cst: pairs with molt_participant_advance(), see participant.c. */
    uintptr_t w = (uintptr_t)atomic_load(&p->world);
    return (struct molt_world *)(w & ~(uintptr_t)1);
}

#endif
