/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a module's image shows to the host: the descriptor and the tables that
 * it leads to. Authors use the macros of <molt/molt.h>; the build appends
 * MOLT_MODULE_DESCRIPTOR() to the module's first translation unit.
 *
 * Invariant: everything here is constant data of the image, except the words
 * of section molt_tags, which the host fills once, before any code of the
 * image runs. Tables start with their size and grow only at the end.
 */
#ifndef MOLT_ABI_H
#define MOLT_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOLT_ABI_VERSION 1
#define MOLT_MODULE_MAGIC UINT64_C(0x656c75646f6d746d) /* "mtmodule" */

/* Dynamic symbol of the descriptor; looked up in the image's own handle. */
#define MOLT_MODULE_SYMBOL "molt$module"

/* A block type as the host knows it; opaque to modules. */
struct molt_type;

/* One word of section molt_tags: before load 0, afterwards the type object.
 * The member `of` exists for its type in the debug info alone. */
#define MOLT_TAG_UNION_(T)                                                                         \
    union {                                                                                        \
        const struct molt_type *type;                                                              \
        __typeof__(T) *of;                                                                         \
    }
#define MOLT_TAG_ATTR_ __attribute__((used, section("molt_tags"), aligned(8)))

typedef void (*molt_any_fn)(void);

enum molt_handler_kind {
    MOLT_HANDLER_NONE = 0,
    MOLT_HANDLER_CALL = 1, /* int fn(S *, T *, struct molt_from *) */
    MOLT_HANDLER_CAST = 2, /* int fn(S *, T *) */
};

/* A message handler. @type is T as written, e.g. "struct next"; the build
 * checks it, and @fn's parameters, against the debug info. */
struct molt_handler {
    const char *type;
    uint32_t size;
    uint32_t kind; /* bits 0 to 7: enum molt_handler_kind; 8 to 23: the states of a state
                      machine in which it handles, none being all */
    molt_any_fn fn;
};

#define MOLT_HANDLER_KIND_MASK 0xffu
#define MOLT_HANDLER_STATES_SHIFT 8

/* A migration: int fn(const OLD *, S *), from the old state layout OLD. */
struct molt_change {
    const char *type;
    uint32_t size;
    uint32_t reserved;
    molt_any_fn fn;
};

/* Bounds of one process; 0: none. */
enum molt_on_full {
    MOLT_FULL_BLOCK = 0, /* a sender that is a process waits for room; others get MOLT_EBUSY */
    MOLT_FULL_DROP = 1,  /* the message is dropped, and that is reported; senders get MOLT_ELIMIT */
    MOLT_FULL_EXIT = 2,  /* the process ends with MOLT_ELIMIT */
};
#define MOLT_MAILBOX_MAX 60000
struct molt_limits {
    uint32_t mailbox;  /* messages that wait, at most MOLT_MAILBOX_MAX */
    uint32_t on_full;  /* enum molt_on_full, of the mailbox */
    uint64_t memory;   /* bytes of its blocks, mail included once it was taken up */
    uint32_t is_fatal; /* 0: molt_new() gives NULL beyond it; 1: the process ends */
    uint32_t reserved;
};

#define MOLT_HANDLERS_MAX 24
#define MOLT_CHANGES_MAX 4

/* A server behaviour: what MOLT_SERVER() emits into section molt_servers. S is
 * the state's type. Any function may be NULL. */
struct molt_server {
    uint32_t size; /* sizeof(struct molt_server) of the module's headers */
    uint32_t state_size;
    const char *name;
    const char *state;      /* S as written */
    molt_any_fn init;       /* int fn(S *, const A *): A is the spawn argument */
    molt_any_fn terminate;  /* void fn(S *, int reason) */
    molt_any_fn on_ready;   /* int fn(S *, int fd, unsigned events) */
    molt_any_fn on_timeout; /* int fn(S *) */
    molt_any_fn on_other;   /* int fn(S *, const char *type, void *message) */
    struct molt_change change[MOLT_CHANGES_MAX];
    struct molt_handler on[MOLT_HANDLERS_MAX];
    molt_any_fn run;         /* int fn(S *): begins after init, see molt_upgrade_point() */
    molt_any_fn on_continue; /* int fn(S *): see molt_continue() */
    molt_any_fn on_config;   /* int fn(S *): the app's configuration has changed */
    molt_any_fn on_exit;     /* int fn(S *, const struct molt_exit *): see molt_trap_exit() */
    molt_any_fn on_down;     /* int fn(S *, const struct molt_down *): see molt_monitor() */
    struct molt_limits limits;
    molt_any_fn on_data; /* int fn(S *, const struct molt_net_data *): see <molt/net.h> */
};

/* ---- state machines --------------------------------------------------------- */

#define MOLT_STATES_MAX 16

/* A state; see <molt/statem.h>. Any function may be NULL. */
struct molt_state_entry {
    const char *name;             /* NULL: there is no such state */
    molt_any_fn enter;            /* int fn(S *, int from): from itself at first */
    molt_any_fn on_state_timeout; /* int fn(S *) */
    molt_any_fn on_event_timeout; /* int fn(S *) */
    molt_any_fn on_named_timeout; /* int fn(S *, int name) */
};

/* What a server lacks to be a state machine: an extension of kind MOLT_EXT_STATEM
 * in the server's module. */
struct molt_state_table {
    uint32_t size;
    uint32_t reserved;
    const char *server;
    struct molt_state_entry state[MOLT_STATES_MAX]; /* without gaps */
};

/* ---- supervisors ----------------------------------------------------------- */

/* Who is restarted when a child has to be. */
enum molt_strategy {
    MOLT_ONE_FOR_ONE = 0,        /* that one */
    MOLT_ONE_FOR_ALL = 1,        /* all */
    MOLT_REST_FOR_ONE = 2,       /* that one and those behind it */
    MOLT_SIMPLE_ONE_FOR_ONE = 3, /* that one; any number of children of one kind, the first of
                                    the list, started on demand */
};

/* Does the end of significant children end the supervisor? */
enum molt_auto_shutdown { MOLT_AUTO_NEVER = 0, MOLT_AUTO_ANY = 1, MOLT_AUTO_ALL = 2 };

/* When a child is restarted: always; unless it ended with 0 or MOLT_ESHUTDOWN;
 * never. A significant one may end its supervisor, see molt_auto_shutdown. */
enum molt_restart {
    MOLT_PERMANENT = 0,
    MOLT_TRANSIENT = 1,
    MOLT_TEMPORARY = 2,
    MOLT_SIGNIFICANT = 0x100, /* added to the latter two */
};

#define MOLT_SHUTDOWN_FOREVER (-1) /* wait for the child to end */
#define MOLT_SHUTDOWN_KILL (-2)    /* kill it without asking */
#define MOLT_INTENSITY_NONE UINT32_MAX

/* A child of a supervisor. */
struct molt_child {
    const char *id;             /* unique in its supervisor; also the registered name */
    const char *server;         /* name of the server behaviour, or of a supervisor */
    int (*arg)(void **ret_arg); /* makes the spawn argument (a block), or NULL */
    uint32_t restart;           /* enum molt_restart */
    int32_t shutdown_ms;        /* from asking it to end to killing it; 0: 5000, or
                                   MOLT_SHUTDOWN_FOREVER for supervisors */
};

#define MOLT_CHILDREN_MAX 16
#define MOLT_INTENSITY_MAX 65536

/* A supervisor: what MOLT_SUPERVISOR() emits into section molt_supervisors.
 * More than @intensity restarts in @period_ms end it. */
struct molt_supervisor {
    uint32_t size;
    uint32_t intensity;     /* 0: the default, 3; MOLT_INTENSITY_NONE: none is allowed */
    uint32_t period_ms;     /* 0: the default, 5000 */
    uint16_t strategy;      /* enum molt_strategy */
    uint16_t auto_shutdown; /* enum molt_auto_shutdown */
    const char *name;
    struct molt_child child[MOLT_CHILDREN_MAX];
};

/* A typed table that a module offers to others, found through the world by
 * its kind (e.g. "http.routes"): an element of section molt_extensions. */
struct molt_extension {
    const char *kind;
    const void *data;
};

/* How the module sees the address of one of its own exports: in data, and in
 * code. Both must be the thunk's (docs/design/worlds.md, "Detection"). An
 * element of section molt_views; emitted by the build, per unit and export. */
struct molt_view {
    void *address;
    void *(*see)(void);
};
#define MOLT_VIEW(f)                                                                               \
    static void *molt_view_see_##f(void)                                                           \
    {                                                                                              \
        return (void *)f;                                                                          \
    }                                                                                              \
    static const struct molt_view molt_view_##f                                                    \
        __attribute__((used, section("molt_views"), aligned(8))) = {(void *)f, molt_view_see_##f}

/* The descriptor. Ranges are [start, end); NULL where a section is absent. */
struct molt_module {
    uint64_t magic;
    uint32_t abi;
    uint32_t size;
    const char *name;
    uint64_t *tags, *tags_end;
    const struct molt_server *servers, *servers_end;
    const struct molt_supervisor *supervisors, *supervisors_end;
    const struct molt_extension *extensions, *extensions_end;
    const struct molt_view *views, *views_end;
};

/* Kinds of extension that the host itself reads: int fn(void), void fn(void),
 * struct molt_state_table. */
#define MOLT_EXT_ON_LOAD "molt.on_load"
#define MOLT_EXT_ON_ABANDON "molt.on_abandon"
#define MOLT_EXT_STATEM "molt.statem"

#define MOLT_SECTION_EDGE_(type, section)                                                          \
    extern type __start_##section[] __attribute__((weak, visibility("hidden")));                   \
    extern type __stop_##section[] __attribute__((weak, visibility("hidden")))

#define MOLT_MODULE_DESCRIPTOR(module_name)                                                        \
    MOLT_SECTION_EDGE_(uint64_t, molt_tags);                                                       \
    MOLT_SECTION_EDGE_(const struct molt_server, molt_servers);                                    \
    MOLT_SECTION_EDGE_(const struct molt_supervisor, molt_supervisors);                            \
    MOLT_SECTION_EDGE_(const struct molt_extension, molt_extensions);                              \
    MOLT_SECTION_EDGE_(const struct molt_view, molt_views);                                        \
    extern const struct molt_module molt_module_descriptor_ __asm__(MOLT_MODULE_SYMBOL)            \
        __attribute__((visibility("default")));                                                    \
    const struct molt_module molt_module_descriptor_ __attribute__((used)) = {                     \
        .magic = MOLT_MODULE_MAGIC,                                                                \
        .abi = MOLT_ABI_VERSION,                                                                   \
        .size = sizeof(struct molt_module),                                                        \
        .name = module_name,                                                                       \
        .tags = __start_molt_tags,                                                                 \
        .tags_end = __stop_molt_tags,                                                              \
        .servers = __start_molt_servers,                                                           \
        .servers_end = __stop_molt_servers,                                                        \
        .supervisors = __start_molt_supervisors,                                                   \
        .supervisors_end = __stop_molt_supervisors,                                                \
        .extensions = __start_molt_extensions,                                                     \
        .extensions_end = __stop_molt_extensions,                                                  \
        .views = __start_molt_views,                                                               \
        .views_end = __stop_molt_views,                                                            \
    }

#ifdef __cplusplus
}
#endif

#endif
