/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Thunks: the canonical addresses of exported functions.
 *
 * A thunk loads the running thread's world table (molt_world, initial-exec
 * TLS), its own slot index (a data word that the host filled), and jumps
 * through the table. It has no frame. The agent generates the text of
 * interface objects from molt_thunk_asm(); slots that a world doesn't define
 * hold molt_thunk_undef, threads without a world use a table of
 * molt_thunk_outside. See docs/design/worlds.md for why, with measurements.
 *
 * Threads: molt_world is the calling thread's own.
 */
#ifndef MOLT_PORT_THUNK_H
#define MOLT_PORT_THUNK_H

#include <stddef.h>
#include <stdint.h>

/* Slots that a table has room for, and how many fit into one page. */
#define MOLT_SLOTS_MAX 65536
#define MOLT_SLOTS_PER_PAGE (4096 / sizeof(void *))

/* The running thread's table; never NULL. Part of the ABI of interface
 * objects, hence exported. */
extern __thread void **molt_world __attribute__((tls_model("initial-exec")));

/* Table for threads without a world; every slot is molt_thunk_outside. */
void **molt_thunk_outside_table(void);

/* Stubs: callee of any signature. They find the slot in the scratch register
 * that thunks load it into, call molt_thunk_failed() and return all zeroes,
 * unless that function does not return. */
void molt_thunk_undef(void);
void molt_thunk_outside(void);

/* What the stubs call; set once by the code layer. @is_outside: the thread has
 * no world. It may leave the stack for good. */
typedef void molt_thunk_failed_fn(uint32_t slot, int is_outside);
void molt_thunk_on_failed(molt_thunk_failed_fn *fn);

/* One entry of an interface object's table, symbol molt$interface. The object
 * has no relocations but to itself. */
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
    uint32_t *slots; /* [count], written by the host */
    struct molt_interface_entry *entries; /* [count] */
};

#endif
