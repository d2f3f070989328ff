/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The protocol between agent and host, over a unix stream socket.
 *
 * A frame is a header of 16 bytes and a payload (encodings: base/buf.h):
 * u32 mark, u32 type (bit 31: a descriptor comes with it), u32 id, u32 length
 * of the payload. The agent sends requests; the host answers each with
 * MOLT_FRAME_REPLY of the same id, in order, and sends events (id 0) at any
 * time. A frame may carry one descriptor (SCM_RIGHTS, with its first byte).
 * Whatever doesn't decode ends the connection, never the host. A second agent
 * gets a reply with id 0 and MOLT_EBUSY, and the end of its connection.
 *
 * Reply payload: i32 code (as u32); if negative: str text; else the payload
 * named below.
 *
 * Threads: pure; a connection belongs to one thread at a time.
 */
#ifndef MOLT_CONTROL_PROTOCOL_H
#define MOLT_CONTROL_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "base/buf.h"

#define MOLT_PROTOCOL_VERSION 1
#define MOLT_FRAME_MAX (64u << 20)  /* bytes of payload */
#define MOLT_FRAME_HEADER 16        /* bytes */
#define MOLT_FRAME_MARK 0x746c6f6du /* "molt", little-endian */
#define MOLT_FRAME_HAS_FD 0x80000000u

/* Exit code of molt-host when the root supervisor gave up. */
#define MOLT_HOST_EXIT_OVER 3

enum molt_frame_type {
    MOLT_FRAME_REPLY = 1,
    /* requests                 payload                      -> reply payload */
    MOLT_FRAME_HELLO = 16, /* u32 protocol                 -> u32 protocol, u32 abi, u32 pid,
                                                              u8 is_started, str root */
    MOLT_FRAME_CONFIG,     /* u32 n, n * (str key, str value) */
    MOLT_FRAME_START,      /* str root ("": none) */
    MOLT_FRAME_STOP,       /* u32 timeout_ms; the host exits after the reply */
    MOLT_FRAME_BEGIN,      /*                              -> u64 stage */
    MOLT_FRAME_INTERFACE,  /* u64 stage, 32 raw digest; fd */
    MOLT_FRAME_PUT,        /* u64 stage, bytes meta; fd    -> u8 is_unchanged */
    MOLT_FRAME_KEEP,       /* u64 stage, bytes meta */
    MOLT_FRAME_DELETE,     /* u64 stage, str module */
    MOLT_FRAME_APPLY,      /* u64 stage, u32 deadline_ms   -> upgrade result, below */
    MOLT_FRAME_ABORT,      /* u64 stage */
    MOLT_FRAME_INTERFACES, /*                              -> u32 n, n * (str module, str name,
                                                              u64 sig, u32 slot) */
    MOLT_FRAME_MODULES,    /*                              -> u32 n, n * version, below */
    MOLT_FRAME_WORLDS,     /*                              -> u32 n, n * world, below */
    MOLT_FRAME_PROCESSES,  /*                              -> u32 n, n * process, below */
    MOLT_FRAME_STATS,      /*                              -> stats, below */
    MOLT_FRAME_PURGE,      /* str module, u32 number, u8 is_hard -> u32 unloaded, u32 killed */
    MOLT_FRAME_META,       /* str module, u32 number (0: current) -> bytes meta */
    MOLT_FRAME_CHILDREN,   /*                              -> u32 n, n * child, below */
    MOLT_FRAME_RECIPES,    /* u64 stage, u32 n, n * bytes recipe (code/recipe.h) */
    MOLT_FRAME_MOVES,      /* u64 stage, bytes moves (code/recipe.h) */
    MOLT_FRAME_TRY,        /* u64 stage, u32 max_states (0: all), u32 deadline_ms -> trial, below;
                              the stage stays open */
    MOLT_FRAME_GLOBALS,    /* u64 stage, bytes globals that follow (code/carry.h) */
    /* events                   payload */
    MOLT_FRAME_LOG = 64,  /* u32 level, str text */
    MOLT_FRAME_UNLOADED,  /* str module, u32 number, u64 retained_ms */
    MOLT_FRAME_CRASH,     /* u32 signal, u64 address, u64 pid, u32 n, n * (str module, u32
                             number, u64 offset), u64 connections: frames, innermost first;
                             module "" is code of the host itself, offset then the pc.
                             Sent from the signal handler; the connection ends after it. */
    MOLT_FRAME_CONTAINED, /* a crash that ended only its process: u64 pid, str label, str
                             server, str state_type, str callback, str message, u64 callbacks,
                             u32 signal, u64 address, str what, u64 n_all, u32 n, n * (str
                             module, u32 number, u64 offset), as above. Newer hosts may append
                             to it. */
    MOLT_FRAME_OVER,      /* u32 reason (as int), str root, u64 connections: the root supervisor
                             ended by itself; the host ends what is left, then the connection,
                             then itself: with 0 if the reason is MOLT_ESHUTDOWN, else with
                             MOLT_HOST_EXIT_OVER. Newer hosts may append to it. */
    MOLT_FRAME_HANGUP,    /* it got SIGHUP: the configuration should be read again */
};

/* upgrade result: u64 world, u32 n, n * (str module, u32 old_number (0: new),
 *     u32 new_number (0: deleted)), u32 n_processes (converted), u32 n_redone,
 *     u64 stage_ns, u64 check_ns, u64 wait_ns, u64 switch_ns, u64 held_ns
 * trial: u32 n, n * (str server, u32 processes, tried, changed, busy, failed), u32 n, n * (u64 pid,
 *     str label, str module, u32 number, u64 offset, str why): failures, at most 20; u32 failed,
 *     u64 bytes, u64 ns, u8 is_cut
 * version: str module, u32 number, 32 raw digest, bytes build_id, u64 base,
 *     u64 bytes, u8 is_current, str path, str why, u64 age_ms
 * world: u64 id, u64 age_ms, u64 bytes, u8 is_current, u64 n_holds, str owners
 * process: u64 pid, str name, str server, str version ("" or "m@n"), u64 world,
 *     u32 state, str waiting_for, u64 mailbox, u64 bytes, u64 callbacks, u64 parent
 * child: u64 supervisor, str supervisor_name, u32 strategy, u8 is_self (the rest is
 *     about no child), str id, u64 pid (0: down), u32 restart, u8 is_supervisor,
 *     u64 n_restarts; each supervisor itself, then its children
 * stats: u64 processes, workers, stacks, callbacks, messages, crashes,
 *     restarts, u64 rss_bytes, u64 uptime_ms, 40 u64 stopped_threads, 40 u64
 *     stopped_processes (base/stops.h), u64 connections (hosts of before that
 *     was counted leave it out), u64 spares, u64 spares_max, u64 stack_bytes,
 *     u64 stack_deepest, u64 preempted, u64 handovers (the same) */

struct molt_frame {
    uint32_t type;
    uint32_t id;
    const uint8_t *payload; /* borrowed from the connection until the next call */
    size_t len;
    int fd; /* -1, or the receiver's to close */
};

/* Write the header of a frame into @header. Async-signal-safe. */
void molt_frame_header(uint8_t header[MOLT_FRAME_HEADER], uint32_t type, uint32_t id, uint32_t len,
                       int has_fd);

struct molt_conn; /* one end of a connection */

/* Takes over @fd, which it makes non-blocking. */
int molt_conn_new(int fd, struct molt_conn **ret);
void molt_conn_free(struct molt_conn *conn);
int molt_conn_fd(const struct molt_conn *conn);

/* How long a peer may leave the socket full before it counts as gone; 30 s
 * unless set. */
void molt_conn_set_stall(struct molt_conn *conn, int stall_ms);

/* Send a frame whole, waiting if the socket is full; what arrives meanwhile is
 * kept for molt_conn_receive(), so two peers that send at once don't wait for
 * each other. @fd < 0: none; else it is borrowed. MOLT_ECLOSED, MOLT_EIO,
 * MOLT_ENOMEM, MOLT_ELIMIT (too long); the connection can only be freed after
 * one of the first three. */
int molt_conn_send(struct molt_conn *conn, uint32_t type, uint32_t id, const void *payload,
                   size_t len, int fd);

/* Receive the next frame, waiting at most @timeout_ms (0: don't wait, < 0: for
 * ever). 1: *ret is valid until the next call; 0: nothing within the time.
 * MOLT_ECLOSED at the end of the stream, MOLT_EFORMAT for a malformed one. */
int molt_conn_receive(struct molt_conn *conn, int timeout_ms, struct molt_frame *ret);

/* Send a reply: @code, and @payload or (if negative) @text. */
int molt_conn_reply(struct molt_conn *conn, uint32_t id, int code, const char *text,
                    const struct molt_buf *payload);

#endif
