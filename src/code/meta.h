/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the agent found out about an image, as the host needs it.
 *
 * The agent reads ELF and DWARF and writes this; the host, which parses
 * neither, decodes it with every bound checked and compares what it can see
 * itself (descriptor, build-id, digest). A decoded meta is immutable.
 *
 * Type identity: `key` names a type ("next.h:struct next" for one from a
 * header, "counter/counter.c:struct next" for a private one, "long" for a
 * basic one); `hash` covers its layout with all that it reaches; `shape` is the
 * same without the root's own name, so that a type spelled out again under
 * another name compares equal.
 *
 * Threads: pure functions; a meta may be read from any thread.
 */
#ifndef MOLT_CODE_META_H
#define MOLT_CODE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "base/sha256.h"

struct molt_buf;

#define MOLT_TYPE_NONE UINT32_MAX /* no such type, or "void" */
#define MOLT_BUILD_ID_MAX 32

enum molt_ptr_kind {
    MOLT_PTR_DATA, /* pointer to an object: a block, or constant data */
    MOLT_PTR_CODE, /* pointer to a function */
    MOLT_PTR_WORD, /* (u)intptr_t, union or byte array: perhaps an address */
    MOLT_PTR_ANY,  /* void *, char *: a pointer, to who knows what */
};

/* A word of a type that may hold an address. */
struct molt_meta_ptr {
    uint32_t offset; /* from the start of an element, bytes */
    uint32_t count;  /* consecutive words, >= 1 */
    enum molt_ptr_kind kind;
    char *field; /* "entry.next", for messages */
};

struct molt_meta_type {
    char *key;
    char *name; /* as a person writes it: "struct next" */
    uint64_t hash;
    uint64_t shape;
    uint32_t size;       /* bytes of one element */
    bool is_from_header; /* one layout per world */
    size_t n_ptrs;
    struct molt_meta_ptr *ptrs; /* ascending offsets, inside size */
    /* The flexible member at the end, if there is one: a block of one element may go on
     * behind flex_at with elements of flex_size bytes, in which there are these words. */
    uint32_t flex_at, flex_size; /* flex_size 0: none */
    size_t n_flex_ptrs;
    struct molt_meta_ptr *flex_ptrs; /* offsets inside flex_size */
};

struct molt_meta_symbol {
    char *module;       /* the provider */
    char *name;         /* C name */
    uint64_t sig;       /* hash of the signature and the types that it reaches */
    uint32_t ret_bytes; /* size of a struct that it returns in memory, else 0 */
};

/* The module compiled against this state of another's public header (or its
 * own): the digest of the header's preprocessed tokens and macros. */
struct molt_meta_header {
    char *module;
    uint8_t digest[MOLT_SHA256_BYTES];
};

struct molt_meta_change {
    uint32_t from_type; /* index into types */
};

struct molt_meta_server {
    char *name;
    uint32_t state_type; /* index into types, never NONE */
    uint32_t init_type;  /* type of the spawn argument or NONE */
    size_t n_handlers;
    uint32_t *handler_types; /* in the order of molt_server.on */
    size_t n_changes;
    uint32_t *change_types; /* in the order of molt_server.change */
};

/* A mutable variable of file or function scope that isn't marked MOLT_FRESH: in an upgrade
 * its value follows to the variable of the same name. */
struct molt_meta_global {
    char *name;     /* "src/counter.c:hits", a static local "src/counter.c:tick:hits" */
    char *type;     /* as a person writes it: "long [16]" */
    uint64_t at;    /* bytes from the image's base */
    uint64_t bytes; /* that it takes there */
    char *obstacle; /* why it can't follow: "it contains a lock (pthread_mutex_t)"; "": it can */
};

struct molt_meta {
    char *module;
    uint8_t digest[MOLT_SHA256_BYTES]; /* of the image file's bytes */
    uint8_t build_id[MOLT_BUILD_ID_MAX];
    size_t build_id_len;
    uint64_t content; /* hash of code, data and types without debug lines:
                         equal means the same version */
    uint32_t flags;   /* MOLT_META_... */
    size_t n_exports, n_imports, n_headers, n_types, n_tags, n_servers, n_pins;
    struct molt_meta_symbol *exports; /* module == this one */
    struct molt_meta_symbol *imports;
    struct molt_meta_header *headers;
    struct molt_meta_type *types;
    uint32_t *tags;                   /* type index of each word of section molt_tags, or NONE */
    struct molt_meta_server *servers; /* in the order of section molt_servers */
    char **pins;                      /* imports that hand out code addresses: "pthread_create" */
    size_t n_globals;
    struct molt_meta_global *globals; /* ascending names */
};

#define MOLT_META_SANITIZED 1u /* built with a sanitizer: constructors are its own */
#define MOLT_META_UNCOUNTED 2u /* takes locks that the host doesn't count: not preempted */

/* ELF name of an exported function: "molt$<module>$<name>$<sig, 16 hex>".
 * Returns the length, or MOLT_EINVAL if it doesn't fit. */
int molt_meta_symbol_name(char *buf, size_t size, const char *module, const char *name,
                          uint64_t sig);

/* Split such a name again. MOLT_EFORMAT if it is not of that form; @module
 * and @name point into @buf, which takes a copy. */
int molt_meta_symbol_parse(const char *elf_name, char *buf, size_t size, const char **ret_module,
                           const char **ret_name, uint64_t *ret_sig);

/* Append the encoding of @meta to @out. MOLT_ENOMEM. */
int molt_meta_encode(const struct molt_meta *meta, struct molt_buf *out);

/* Decode; every count, index, offset and string is checked. The result owns
 * its memory. MOLT_EFORMAT, MOLT_ENOMEM. */
int molt_meta_decode(const void *bytes, size_t len, struct molt_meta **ret, struct molt_error *err);

/* Allocate an empty meta; free one, whoever built it (all members malloc'd). */
struct molt_meta *molt_meta_new(void);
void molt_meta_free(struct molt_meta *meta);

#endif
