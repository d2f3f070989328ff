/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Thunks: the canonical addresses of exported functions.
 *
 * A thunk loads the running thread's world table (molt_world, initial-exec
 * TLS), its own slot index (a data word that the host filled), and jumps
 * through the table. It has no frame. The agent generates the text of
 * interface objects; slots that a world doesn't define hold molt_thunk_undef,
 * threads without a world use a table of molt_thunk_outside. See
 * docs/design/worlds.md for why, with measurements.
 *
 * Threads: molt_world is the calling thread's own.
 */
#ifndef MOLT_PORT_THUNK_H
#define MOLT_PORT_THUNK_H

#include <stddef.h>
#include <stdint.h>

/* Slots that a table has room for, and how many fit into one page. */
#define MOLT_SLOTS_MAX 32768u
#define MOLT_SLOTS_PER_PAGE (4096u / sizeof(void *))

/* The running thread's table; never NULL. Part of the ABI of interface
 * objects, hence exported. */
extern __thread void **molt_world __attribute__((tls_model("initial-exec"), visibility("default")));

/* A new table with molt_thunk_undef in every slot. Pages that aren't written
 * are shared by all tables of the OS process. NULL when out of memory. */
void **molt_thunk_table_new(void);
void molt_thunk_table_free(void **table);

/* Table for threads without a world: molt_thunk_outside in each slot that
 * molt_thunk_outside_fill() was called for. */
void **molt_thunk_outside_table(void);

/* Make slots [from, to) of that table usable. Before a thunk of theirs is
 * visible; callers serialise. */
void molt_thunk_outside_fill(size_t from, size_t to);

/* Stubs: callees of any signature, see thunk.S in x86_64/ and aarch64/. */
void molt_thunk_undef(void);
void molt_thunk_outside(void);

/* What a failed call does: called with the slot and whether the thread had no
 * world (else the world doesn't define the slot). May leave the stack for
 * good; if it returns, the caller gets zeroes. */
typedef void molt_thunk_failed_fn(uint32_t slot, int is_outside);

/* Say what a slot is, for failed calls on threads that belong to no host:
 * "module:name" (borrowed until described anew; NULL forgets it), and the size
 * of the struct that it returns in memory (0: in registers). Any thread may
 * read; callers serialise. */
void molt_thunk_describe(uint32_t slot, const char *name, size_t ret_bytes);
/* NULL if unknown. Async-signal-safe. */
const char *molt_thunk_name(uint32_t slot);

/* Process-wide, because the calling thread may belong to no host. The first
 * setter wins; setting the same function again is fine. */
void molt_thunk_on_failed(molt_thunk_failed_fn *fn);

/* The table of an interface object, its dynamic symbol molt$interface. The
 * object has no relocations but to itself and to molt_world. */
#define MOLT_INTERFACE_SYMBOL "molt$interface"
#define MOLT_INTERFACE_MAGIC UINT64_C(0x6563616665746d6d)
struct molt_interface_entry {
    const char *module; /* NUL-terminated */
    const char *name;
    uint64_t sig;
    void *thunk;
};
struct molt_interface {
    uint64_t magic;
    uint32_t abi; /* MOLT_ABI_VERSION */
    uint32_t count;
    uint32_t *slots;                      /* [count], written by the host */
    struct molt_interface_entry *entries; /* [count] */
};

#endif
