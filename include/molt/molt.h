/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the author of a module writes against: typed blocks, servers, messages,
 * processes, supervisors.
 *
 * Ownership in one sentence: a block belongs to one process at a time; sending
 * it, replying with it or passing it to a spawned process moves it, with all
 * that its typed pointers reach, and it dies with its owner.
 *
 * Unless said otherwise functions return 0 or a positive value, or a negative
 * code of <molt/error.h>.
 *
 * Threads: inside a process, all of it. From a registered foreign thread
 * (<molt/host.h>): everything but what is marked "process only", which answers
 * MOLT_ENOPROC.
 */
#ifndef MOLT_MOLT_H
#define MOLT_MOLT_H

#include <stddef.h>
#include <stdint.h>

#include <molt/abi.h>
#include <molt/error.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A process's number; never reused within a host. 0 is nobody. */
typedef uint64_t molt_pid;

/* Whom to answer. Copy it into the state to reply later, from any callback. */
struct molt_from {
    molt_pid pid;
    uint64_t ref;
};

/* ---- blocks ------------------------------------------------------------ */

/* A tag: the address of a word that leads to the type object of T. */
#define MOLT_TAG(T)                                                                                \
    (__extension__({                                                                               \
        static MOLT_TAG_UNION_(T) molt_tag_ MOLT_TAG_ATTR_;                                        \
        &molt_tag_.type;                                                                           \
    }))

/* New zeroed block of one T, or an array of @n; NULL when out of memory or
 * when n * sizeof(T) overflows. Owned by the calling process (by the calling
 * thread's pending list outside processes: send it or free it). */
#define molt_new(T) ((__typeof__(T) *)molt_block_new(MOLT_TAG(T), sizeof(T), 1))
#define molt_new_array(T, n) ((__typeof__(T) *)molt_block_new(MOLT_TAG(T), sizeof(T), (n)))
void *molt_block_new(const struct molt_type *const *tag, size_t size, size_t count);

/* Free a block of the caller's. NULL is fine. A pointer that is no block of
 * the caller's is reported through the log and left alone. */
void molt_free(void *block);

/* Elements in @block, as given to molt_new_array(); 0 if it is no block. */
size_t molt_count(const void *block);

/* Keep a block that came with the message that is being handled: otherwise
 * the message and what it brought are freed when the handler returns.
 * Process only. MOLT_EOWNER if it is not the caller's. */
int molt_keep(void *block);

/* ---- servers ----------------------------------------------------------- */

#define MOLT_CALL(T, handler)                                                                      \
    {                                                                                              \
        .type = #T, .size = sizeof(T), .kind = MOLT_HANDLER_CALL, .fn = (molt_any_fn)(handler)     \
    }
#define MOLT_CAST(T, handler)                                                                      \
    {                                                                                              \
        .type = #T, .size = sizeof(T), .kind = MOLT_HANDLER_CAST, .fn = (molt_any_fn)(handler)     \
    }
/* Migration from the layout OLD (a struct that the author spells out as it
 * was): int handler(const OLD *, S *). Pure: no effects, may run often. */
#define MOLT_CHANGE(OLD, handler)                                                                  \
    {                                                                                              \
        .type = #OLD, .size = sizeof(OLD), .fn = (molt_any_fn)(handler)                            \
    }

#define MOLT_FN(f) ((molt_any_fn)(f))

/* MOLT_SERVER(counter, struct counter, .init = MOLT_FN(init),
 *             .on = { MOLT_CALL(struct next, on_next) }); */
#define MOLT_SERVER(name_, S, ...)                                                                 \
    static MOLT_TAG_UNION_(S) molt_tag_state_##name_ MOLT_TAG_ATTR_;                               \
    static const struct molt_server molt_server_##name_                                            \
        __attribute__((used, section("molt_servers"),                                              \
                       aligned(8))) = {.size = sizeof(struct molt_server),                         \
                                       .state_size = sizeof(S),                                    \
                                       .name = #name_,                                             \
                                       .state = #S,                                                \
                                       __VA_ARGS__}

/* Handlers return 0 to go on, MOLT_STOP to end the process normally, or a
 * negative code to end it with that. terminate runs in both cases. */
#define MOLT_STOP 1

/* Of a process, among those that wait for the same core. */
enum molt_priority { MOLT_PRIORITY_NORMAL, MOLT_PRIORITY_HIGH, MOLT_PRIORITY_LOW };

/* ---- messages ---------------------------------------------------------- */

/* Send @msg (a block, consumed also on failure) to the process registered as
 * @name, or to @pid. MOLT_ENOENT, MOLT_EDEAD, MOLT_EOWNER, MOLT_EINVAL. */
int molt_send(const char *name, void *msg);
int molt_send_pid(molt_pid pid, void *msg);

/* Send @msg and wait for the reply, at most @timeout_ms (< 0: for ever).
 * On success *ret is the reply, the caller's to free. The reply's type must be
 * **ret's, else MOLT_ETYPE. Process only. Also: MOLT_ETIMEDOUT, MOLT_EDEAD
 * (it died before it answered), MOLT_ELOCKED, MOLT_EKILLED, and whatever
 * negative code the handler failed with. */
#define molt_call(name, msg, ret, timeout_ms)                                                      \
    molt_call_typed((name), 0, (msg), (void **)(ret), MOLT_TAG(**(ret)), (timeout_ms))
#define molt_call_pid(pid, msg, ret, timeout_ms)                                                   \
    molt_call_typed(NULL, (pid), (msg), (void **)(ret), MOLT_TAG(**(ret)), (timeout_ms))
int molt_call_typed(const char *name, molt_pid pid, void *msg, void **ret,
                    const struct molt_type *const *tag, int timeout_ms);

/* Answer a call with @reply (a block, consumed also on failure). A caller that
 * no longer waits is no error. */
int molt_reply(const struct molt_from *from, void *reply);

/* Answer a call with a negative code instead. */
int molt_reply_error(const struct molt_from *from, int code);

/* ---- processes --------------------------------------------------------- */

/* Start a process of the server behaviour @server; @arg (a block or NULL,
 * consumed also on failure) goes to its init, which runs on the new process;
 * the call returns before it. @name (may be NULL) is registered first:
 * MOLT_EEXIST if taken. MOLT_ENOENT: no such server in this world. */
int molt_spawn(const char *server, const char *name, void *arg, molt_pid *ret_pid);

molt_pid molt_self(void); /* 0 outside a process */
molt_pid molt_whereis(const char *name);
int molt_register(const char *name, molt_pid pid);
int molt_unregister(const char *name);

/* Ask a process to end with @reason (a negative code, or 0 for normal). Its
 * blocking calls return MOLT_EKILLED; it ends when its callback returns. */
int molt_exit(molt_pid pid, int reason);

/* Sleep at least @ms. Process only: the worker runs others meanwhile.
 * MOLT_ELOCKED, MOLT_EKILLED. */
int molt_sleep(unsigned ms);

/* Have on_timeout called once, @ms after now; replaces an earlier one.
 * @ms < 0 cancels. Process only. */
int molt_timeout(int ms);

/* Milliseconds of a monotonic clock. */
uint64_t molt_now_ms(void);

/* ---- supervisors, globals, hooks, extensions ---------------------------- */

/* MOLT_SUPERVISOR(app, .child = { { .id = "counter", .server = "counter" } }); */
#define MOLT_SUPERVISOR(name_, ...)                                                                \
    static const struct molt_supervisor molt_supervisor_##name_                                    \
        __attribute__((used, section("molt_supervisors"), aligned(8))) = {                         \
            .size = sizeof(struct molt_supervisor), .name = #name_, __VA_ARGS__}

/* A mutable global that starts fresh in every version. Without the mark an
 * upgrade that changes the module is refused. */
#define MOLT_FRESH __attribute__((section("molt_fresh")))

#define MOLT_EXTENSION_AS_(id, kind_, data_)                                                       \
    static const struct molt_extension molt_extension_##id                                         \
        __attribute__((used, section("molt_extensions"), aligned(8))) = {kind_, data_}
#define MOLT_EXTENSION(id, kind_, data_) MOLT_EXTENSION_AS_(id, kind_, data_)

/* int fn(void): runs while the version is staged, sees only its own module;
 * non-zero refuses the upgrade. void fn(void): undoes it if the stage is
 * abandoned or refused later. */
#define MOLT_ON_LOAD(fn)                                                                           \
    MOLT_EXTENSION(on_load, MOLT_EXT_ON_LOAD, (const void *)(uintptr_t)(int (*)(void))(fn))
#define MOLT_ON_ABANDON(fn)                                                                        \
    MOLT_EXTENSION(on_abandon, MOLT_EXT_ON_ABANDON, (const void *)(uintptr_t)(void (*)(void))(fn))

/* Walk all extensions of @kind in the running thread's world: start with
 * *cursor = 0; returns the next table, NULL at the end. Valid until the
 * callback returns. */
const void *molt_extension_next(const char *kind, size_t *cursor);

/* ---- surroundings ------------------------------------------------------ */

/* A value of the app's configuration (molt.conf), or @fallback. The string
 * lives as long as the host. */
const char *molt_config(const char *key, const char *fallback);

enum molt_level { MOLT_DEBUG, MOLT_INFO, MOLT_WARN, MOLT_ERR };
void molt_log(enum molt_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "module@version" of the code that the running callback belongs to, into
 * @buf; for logs. Process only. */
int molt_version(char *buf, size_t size);

/* Count a spinlock or another lock that molt doesn't wrap, so that blocking
 * while it is held is an error instead of a deadlock. Per process. */
void molt_lock_enter(const void *lock);
void molt_lock_leave(const void *lock);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
