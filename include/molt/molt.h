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
#include <molt/migrate.h>

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

/* New zeroed block of one T whose last member, the flexible array @member, has room for
 * @n elements. NULL as above. What the array holds is migrated element by element. */
#define molt_new_flexible(T, member, n)                                                            \
    ((__typeof__(T) *)molt_block_new_flexible(MOLT_TAG(T), sizeof(T), offsetof(T, member),         \
                                              sizeof(((T *)0)->member[0]), (n)))
void *molt_block_new_flexible(const struct molt_type *const *tag, size_t size, size_t at,
                              size_t element, size_t n);

/* Free a block of the caller's. NULL is fine. A pointer that is no block of
 * the caller's is reported through the log and left alone. */
void molt_free(void *block);

/* Elements in @block, as given to molt_new_array(); 0 if it is no block. Of one with a
 * flexible array: how many elements of that fit; padding may have room for a few more
 * than molt_new_flexible() was asked for. */
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
 * @name, or to @pid. What one sends to oneself is handled after this callback,
 * behind what waits already; what one sends to a process that an upgrade holds,
 * in order, when it is let go. From registered threads too, offline or not.
 * MOLT_ENOENT, MOLT_EDEAD, MOLT_EOWNER, MOLT_EINVAL, MOLT_ENOPROC (a thread that
 * isn't registered, or a change function). */
int molt_send(const char *name, void *msg);
int molt_send_pid(molt_pid pid, void *msg);

/* Send @msg and wait for the reply, at most @timeout_ms (< 0: for ever).
 * On success *ret is the reply, the caller's to free. The reply's type must be
 * **ret's, else MOLT_ETYPE. Process only. Also: MOLT_EINVAL (to call oneself
 * would be to wait for ever), MOLT_ETIMEDOUT, MOLT_EDEAD (it died before it
 * answered), MOLT_ELOCKED, MOLT_EKILLED, and whatever
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

/* A request whose answer is fetched later. Plain data; may stand in the state,
 * but is good only until the callback that made it returns. */
struct molt_request {
    molt_pid pid;
    uint64_t ref;
};

/* Send @msg as molt_call() does, but go on; then wait for its answer, once. A
 * process may have up to 16 open requests. Answers of requests that are never
 * awaited are dropped when the callback returns. Process only. MOLT_ELIMIT: 16 are
 * open. Awaiting answers as molt_call() does, and MOLT_EINVAL for a request that
 * is not open: awaited already, of another process, of an earlier callback. */
int molt_call_async(const char *name, molt_pid pid, void *msg, struct molt_request *ret_request);
#define molt_await(request, ret, timeout_ms)                                                       \
    molt_await_typed((request), (void **)(ret), MOLT_TAG(**(ret)), (timeout_ms))
int molt_await_typed(const struct molt_request *request, void **ret,
                     const struct molt_type *const *tag, int timeout_ms);

/* A task: start a process of @server for one call with @arg, to be awaited. The
 * handler returns MOLT_STOP when it has replied. As molt_spawn(), molt_call_async(). */
int molt_async(const char *server, void *arg, struct molt_request *ret_request);

/* Inside a callback, wait for the first message of type **ret in the mailbox,
 * whatever stands before it, at most @timeout_ms (< 0: for ever); the others
 * stay as they are, in their order. With @is_match (may be NULL) for the first
 * one that it says yes to; it must not block (MOLT_ELOCKED), nor change the
 * message. On success *ret is the caller's to free. Calls can't be received.
 * Process only. MOLT_ETIMEDOUT, MOLT_ELOCKED, MOLT_EKILLED. */
#define molt_receive(ret, timeout_ms) molt_receive_if((ret), NULL, NULL, (timeout_ms))
#define molt_receive_if(ret, is_match, user, timeout_ms)                                           \
    molt_receive_typed((void **)(ret), MOLT_TAG(**(ret)), (is_match), (user), (timeout_ms))
int molt_receive_typed(void **ret, const struct molt_type *const *tag,
                       int (*is_match)(const void *msg, void *user), void *user, int timeout_ms);

/* Send @msg (consumed also on failure) to @pid in @ms milliseconds. The timer's
 * number goes to *ret_timer (may be NULL); it is never used twice. The message
 * waits for its time whether the caller lives or not; if @pid has ended by then
 * it is dropped. If its layout changes until then it is converted, or the upgrade
 * waits for it.
 * MOLT_EDEAD (@pid has ended already), MOLT_EINVAL, MOLT_EOWNER, MOLT_ELIMIT
 * (some 16 million wait). */
int molt_send_after(unsigned ms, molt_pid pid, void *msg, uint64_t *ret_timer);
/* 0 if the message will not be sent; MOLT_ENOENT if it was, or never will be. By
 * anybody. */
int molt_cancel_timer(uint64_t timer);

/* ---- processes --------------------------------------------------------- */

/* Start a process of the server behaviour @server; @arg (a block or NULL,
 * consumed also on failure) goes to its init, which runs on the new process;
 * the call returns before it. @name (may be NULL) is registered first:
 * MOLT_EEXIST if taken. MOLT_ENOENT: no such server in this world. */
int molt_spawn(const char *server, const char *name, void *arg, molt_pid *ret_pid);

struct molt_spawn_options {
    uint32_t size; /* sizeof(struct molt_spawn_options) */
    uint32_t flags;
    const char *name;      /* may be NULL */
    uint64_t *ret_monitor; /* with MOLT_SPAWN_MONITOR */
    enum molt_priority priority;
    const struct molt_limits *limits; /* NULL: those of the server */
};
#define MOLT_SPAWN_LINK 1u    /* as molt_link(), without a gap */
#define MOLT_SPAWN_MONITOR 2u /* as molt_monitor(), without a gap */
#define MOLT_SPAWN_SPREAD 4u  /* on the workers in turn, not on the caller's */
int molt_spawn_with(const char *server, void *arg, const struct molt_spawn_options *options,
                    molt_pid *ret_pid);

molt_pid molt_self(void); /* 0 outside a process */
molt_pid molt_whereis(const char *name);
int molt_register(const char *name, molt_pid pid);
int molt_unregister(const char *name);

/* Ask a process to end with @reason (a negative code, or 0 for normal). Its
 * blocking calls return MOLT_EKILLED; it ends when its callback returns. One
 * that traps exits gets on_exit instead, unless the caller is its supervisor, or
 * @reason is MOLT_EKILLED: that can't be trapped. */
int molt_exit(molt_pid pid, int reason);

/* Linked processes end together: when one ends with a reason other than 0, the
 * other is asked to end with the same. Links have no direction and no number:
 * linking twice is linking once. Linking to a process that is gone is as if it
 * ended with MOLT_EDEAD right afterwards. Process only. */
int molt_link(molt_pid pid);
int molt_unlink(molt_pid pid);

/* Whether the end of linked processes, and requests to end, reach the calling
 * process as on_exit instead of ending it. MOLT_EINVAL: its server has no
 * on_exit. Process only. */
int molt_trap_exit(int is_on);
struct molt_exit {
    molt_pid pid; /* who ended, or who asked */
    int reason;
};

/* Hear of the end of @pid by on_down, once, with this number; at once with
 * MOLT_EDEAD if it is gone. After molt_demonitor() nothing comes any more, also
 * if it was on its way. Process only. */
int molt_monitor(molt_pid pid, uint64_t *ret_ref);
int molt_demonitor(uint64_t ref);
struct molt_down {
    uint64_t ref;
    molt_pid pid;
    int reason;
};

/* Groups of processes by name, as in Erlang's pg. A process may be in any number
 * of groups, and leaves them when it ends. Members are listed in the order in
 * which they joined: stores at most @n, returns how many there are. */
int molt_group_join(const char *group, molt_pid pid);
int molt_group_leave(const char *group, molt_pid pid);
int molt_group_members(const char *group, molt_pid *ret_pids, size_t n);

/* Have on_continue called when this callback has returned, before anything
 * else: to finish an init after the starter went on. Process only. MOLT_EINVAL:
 * its server has no on_continue. */
int molt_continue(void);

/* In a function that runs long, and at any depth below the server's `run`: if a
 * newer world is current, or an upgrade waits for this process, the function
 * ends here and `run` begins again in the newest world, with the state, which was
 * migrated if needed. Locals, and what only they lead to, are gone. Otherwise
 * returns 0 within a few nanoseconds. MOLT_EKILLED: the process was asked to end,
 * return from `run`. MOLT_ELOCKED: a lock is held, nothing happens. MOLT_EINVAL: not
 * below `run`. Process only. */
int molt_upgrade_point(void);

/* Sleep at least @ms. Process only: the worker runs others meanwhile.
 * MOLT_ELOCKED, MOLT_EKILLED. */
int molt_sleep(unsigned ms);

/* Have on_timeout called once, @ms after now; replaces an earlier one.
 * @ms < 0 cancels. Process only. */
int molt_timeout(int ms);

/* Milliseconds of a monotonic clock. */
uint64_t molt_now_ms(void);

/* ---- supervisors, globals, hooks, extensions ---------------------------- */

/* MOLT_SUPERVISOR(app, .strategy = MOLT_REST_FOR_ONE, .intensity = 5, .period_ms = 10000,
 *                 .child = { { .id = "counter", .server = "counter" } });
 * A supervisor is registered under its name, as a child under its id. */
#define MOLT_SUPERVISOR(name_, ...)                                                                \
    static const struct molt_supervisor molt_supervisor_##name_                                    \
        __attribute__((used, section("molt_supervisors"), aligned(8))) = {                         \
            .size = sizeof(struct molt_supervisor), .name = #name_, __VA_ARGS__}

/* Children on request. The supervisor is the process registered as @supervisor,
 * or @pid if that is NULL. The calls wait for as long as it takes; a child must
 * not make them to its own supervisor from init or terminate, which that one
 * waits for. Process only. Errors of all: MOLT_ENOENT, MOLT_EDEAD, MOLT_ETYPE
 * (that is no supervisor), MOLT_ESHUTDOWN (it ends), MOLT_ELOCKED, MOLT_EKILLED. */

/* Start a child and wait for its init, whose negative code is the result if it
 * fails. Of a MOLT_SIMPLE_ONE_FOR_ONE: one more by its template, @child is NULL;
 * of others: @child, whose `arg` is NULL; it is kept, over upgrades, too. @arg (a
 * block or NULL, consumed also on failure) goes to its init. One that may be
 * restarted gets a copy each time: MOLT_EINVAL if @arg has pointers then. Without
 * @arg the template's `arg` makes one. MOLT_EEXIST: the id is taken, *ret_pid is
 * its process, if it runs. @ret_pid may be NULL. */
int molt_child_start(const char *supervisor, molt_pid pid, const struct molt_child *child,
                     void *arg, molt_pid *ret_pid);

/* Stop the child @id; it stays in the list, unless it is temporary. Of a
 * MOLT_SIMPLE_ONE_FOR_ONE @id is NULL and the process @child ends; else that is 0. */
int molt_child_terminate(const char *supervisor, molt_pid pid, const char *id, molt_pid child);

/* Start @id, which is down. MOLT_EEXIST: it runs. MOLT_EBUSY: it is being
 * restarted. @ret_pid may be NULL. */
int molt_child_restart(const char *supervisor, molt_pid pid, const char *id, molt_pid *ret_pid);

/* Forget @id, which is down. MOLT_EBUSY: it is not. */
int molt_child_delete(const char *supervisor, molt_pid pid, const char *id);

struct molt_child_info {
    char id[64];      /* "" for children of a MOLT_SIMPLE_ONE_FOR_ONE */
    molt_pid pid;     /* 0: it is down, or being restarted */
    uint32_t restart; /* enum molt_restart */
    uint32_t is_supervisor;
};

/* The children in the order of their start: stores at most @n, returns how many
 * there are. @ret may be NULL if @n is 0. */
int molt_children(const char *supervisor, molt_pid pid, struct molt_child_info *ret, size_t n);

/* A mutable global that starts fresh in every version. Without the mark its value follows by
 * file, function, name and type, while nobody is inside of a callback; an upgrade whose new
 * version can't take the value (a lock, an atomic, a narrower type) is refused. */
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
