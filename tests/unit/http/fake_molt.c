/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/http/fake_molt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/net.h>

MOLT_MODULE_DESCRIPTOR("http");

#define PROCESSES_MAX 64
#define FD_BASE 1000000 /* out of the way of real descriptors */
#define LISTENER_FD (FD_BASE - 1)
#define TABLES_MAX 8
#define CONFIG_MAX 16

struct block {
    struct block *next;
    struct process *owner;
    size_t size, count;
};

struct process {
    bool is_alive, is_ending;
    int reason, fd;
    const struct molt_server *server;
    void *state;
    struct block *blocks;
    void *mail; /* one message to itself */
    uint64_t timer_ms;
    unsigned events;
};

struct peer {
    bool is_attached, is_eof, is_broken;
    char *in, *out;
    size_t in_at, in_len, out_len, room, piece;
    unsigned reads, writes;
    struct process *process;
};

static struct fake {
    struct process processes[PROCESSES_MAX], *current, *listener;
    struct peer peers[PROCESSES_MAX];
    int n_processes, n_peers, n_queued;
    const struct molt_route *tables[TABLES_MAX];
    size_t n_tables, n_config;
    const char *config[CONFIG_MAX][2];
    char *log;
    uint64_t now_ms;
    unsigned fail_alloc, accepts;
    int accept_error, listen_error, spawn_arg_fd;
} fake;

static void check(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "fake runtime: %s\n", what);
        abort();
    }
}

static struct peer *peer_of(int fd)
{
    check(fd >= FD_BASE && fd < FD_BASE + fake.n_peers, "not a descriptor of ours");
    return &fake.peers[fd - FD_BASE];
}

/* ---- blocks --------------------------------------------------------------- */

void *molt_block_new(const struct molt_type *const *tag, size_t size, size_t count)
{
    (void)tag;
    check(fake.current != NULL, "allocation outside a process");
    if (fake.fail_alloc > 0 && --fake.fail_alloc == 0)
        return NULL;
    struct block *b = calloc(1, sizeof(*b) + size * count);
    check(b != NULL, "out of memory");
    *b = (struct block){fake.current->blocks, fake.current, size, count};
    fake.current->blocks = b;
    return b + 1;
}

static struct block *unlink_block(struct process *p, void *data)
{
    struct block *b = (struct block *)data - 1;
    for (struct block **at = &p->blocks; *at; at = &(*at)->next)
        if (*at == b) {
            *at = b->next;
            return b;
        }
    check(false, "not a block of this process");
    return NULL;
}

void molt_free(void *data)
{
    if (data)
        free(unlink_block(fake.current, data));
}

size_t molt_count(const void *data)
{
    return ((const struct block *)data - 1)->count;
}

/* ---- processes ------------------------------------------------------------- */

static const struct molt_server *find_server(const char *name)
{
    const struct molt_module *m = &molt_module_descriptor_;
    for (const struct molt_server *s = m->servers; s < m->servers_end; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    check(false, "no such server");
    return NULL;
}

static void end_process(struct process *p, int reason)
{
    p->is_alive = false;
    p->reason = reason;
    while (p->blocks) {
        struct block *next = p->blocks->next;
        free(p->blocks);
        p->blocks = next;
    }
    free(p->state);
    p->state = NULL;
}

static void settle(struct process *p, int rc)
{
    fake.current = NULL;
    if (rc < 0)
        end_process(p, rc);
    else if (p->is_ending)
        end_process(p, p->reason);
}

static void deliver_mail(struct process *p)
{
    void *message = p->mail;
    size_t size = ((struct block *)message - 1)->size;
    p->mail = NULL;
    for (int i = 0; p->server->on[i].fn; i++)
        if (p->server->on[i].size == size) {
            fake.current = p;
            int rc = ((int (*)(void *, void *))p->server->on[i].fn)(p->state, message);
            molt_free(message);
            settle(p, rc);
            return;
        }
    check(false, "no handler for this message");
}

static void run(struct process *p)
{
    while (p->is_alive && (p->events || p->mail)) {
        if (p->mail) {
            deliver_mail(p);
            continue;
        }
        unsigned events = p->events;
        p->events = 0;
        fake.current = p;
        settle(p, ((int (*)(void *, int, unsigned))p->server->on_ready)(p->state, p->fd, events));
    }
}

static struct process *start(const char *name, void *arg)
{
    check(fake.n_processes < PROCESSES_MAX, "too many processes");
    struct process *p = &fake.processes[fake.n_processes++], *spawner = fake.current;
    *p = (struct process){.is_alive = true, .fd = -1, .server = find_server(name)};
    p->state = calloc(1, p->server->state_size);
    fake.current = p;
    /* Those who take no argument ignore it. */
    int rc = ((int (*)(void *, const void *))p->server->init)(p->state, arg);
    settle(p, rc);
    fake.current = spawner;
    return p;
}

int molt_spawn(const char *server, const char *name, void *arg, molt_pid *ret_pid)
{
    (void)name;
    check(arg == NULL, "nobody takes an argument");
    if (fake.fail_alloc > 0 && --fake.fail_alloc == 0)
        return MOLT_ENOMEM;
    *ret_pid = (molt_pid)(start(server, NULL) - fake.processes) + 1;
    return 0;
}

molt_pid molt_self(void)
{
    return (molt_pid)(fake.current - fake.processes) + 1;
}

int molt_exit(molt_pid pid, int reason)
{
    check(pid == molt_self(), "exit of another process");
    fake.current->is_ending = true;
    fake.current->reason = reason;
    return 0;
}

int molt_send_pid(molt_pid pid, void *msg)
{
    check(pid == molt_self() && !fake.current->mail, "one message to itself at a time");
    fake.current->mail = msg;
    return 0;
}

int molt_timeout(int ms)
{
    fake.current->timer_ms = ms < 0 ? 0 : fake.now_ms + (uint64_t)ms;
    return 0;
}

uint64_t molt_now_ms(void)
{
    return fake.now_ms;
}

/* ---- surroundings ------------------------------------------------------------ */

const void *molt_extension_next(const char *kind, size_t *cursor)
{
    check(strcmp(kind, "http.routes") == 0, "another kind of extension");
    return *cursor < fake.n_tables ? fake.tables[(*cursor)++] : NULL;
}

const char *molt_config(const char *key, const char *fallback)
{
    for (size_t i = 0; i < fake.n_config; i++)
        if (strcmp(fake.config[i][0], key) == 0)
            return fake.config[i][1];
    return fallback;
}

void molt_log(enum molt_level level, const char *fmt, ...)
{
    (void)level;
    char *line = NULL, *all = NULL;
    va_list ap;
    va_start(ap, fmt);
    check(vasprintf(&line, fmt, ap) >= 0, "out of memory");
    va_end(ap);
    check(asprintf(&all, "%s%s\n", fake.log ? fake.log : "", line) >= 0, "out of memory");
    free(line);
    free(fake.log);
    fake.log = all;
}

/* ---- sockets ------------------------------------------------------------------ */

int molt_net_listen(const char *address, unsigned port, const struct molt_net_options *options)
{
    (void)address;
    (void)port;
    check(options->size == sizeof(*options) && options->backlog > 0, "no options");
    return fake.listen_error < 0 ? fake.listen_error : LISTENER_FD;
}

int molt_net_port(int fd)
{
    (void)fd;
    return 4711;
}

int molt_net_accept(int fd, int timeout_ms)
{
    check(fd == LISTENER_FD && timeout_ms == 0, "accept on no listener, or waiting");
    fake.accepts++;
    if (fake.accept_error < 0)
        return fake.accept_error;
    return fake.n_queued > 0 ? FD_BASE + fake.n_peers - fake.n_queued-- : MOLT_EBUSY;
}

int molt_net_attach(int fd)
{
    check(fake.current->fd == -1 && fd == LISTENER_FD, "attached what is given");
    fake.current->fd = fd;
    fake.current->events = MOLT_NET_READ;
    return 0;
}

static void give(int fd, struct process *p)
{
    p->fd = fd;
    p->events = MOLT_NET_GIVEN | MOLT_NET_READ | MOLT_NET_WRITE;
    peer_of(fd)->process = p;
    peer_of(fd)->is_attached = true;
}

int molt_net_give(int fd, molt_pid pid)
{
    struct process *p = &fake.processes[pid - 1];
    if (!p->is_alive)
        return MOLT_EDEAD;
    give(fd, p);
    return 0;
}

int molt_net_close(int fd)
{
    if (fd >= FD_BASE)
        peer_of(fd)->is_attached = false;
    return 0;
}

int molt_net_shutdown(int fd, unsigned directions)
{
    check(peer_of(fd)->is_attached && directions == MOLT_NET_WRITE, "another shutdown");
    return 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

long molt_net_read(int fd, void *buf, size_t len, int timeout_ms)
{
    check(timeout_ms == 0, "a read that waits");
    struct peer *peer = peer_of(fd);
    check(peer->is_attached, "read of a closed descriptor");
    check(len > 0, "read of nothing");
    peer->reads++;
    if (peer->is_broken)
        return MOLT_ECLOSED;
    size_t n = least(least(len, peer->piece), peer->in_len - peer->in_at);
    if (n == 0)
        return peer->is_eof ? 0 : MOLT_EBUSY;
    memcpy(buf, peer->in + peer->in_at, n);
    peer->in_at += n;
    /* A short count must mean that all was read. */
    if (n == peer->piece && peer->in_at < peer->in_len)
        peer->process->events |= MOLT_NET_READ;
    return (long)n;
}

long molt_net_write(int fd, const void *buf, size_t len, int timeout_ms)
{
    check(timeout_ms == 0, "a write that waits");
    struct peer *peer = peer_of(fd);
    check(peer->is_attached, "write to a closed descriptor");
    peer->writes++;
    if (peer->is_broken)
        return MOLT_ECLOSED;
    size_t n = least(least(len, peer->piece), peer->room);
    if (n == 0)
        return MOLT_EBUSY;
    peer->out = realloc(peer->out, peer->out_len + n + 1);
    memcpy(peer->out + peer->out_len, buf, n);
    peer->out_len += n;
    peer->out[peer->out_len] = '\0';
    if (peer->room != SIZE_MAX)
        peer->room -= n;
    return (long)n;
}

/* ---- the test's side -------------------------------------------------------------- */

void molt_fake_reset(void)
{
    for (int i = 0; i < fake.n_processes; i++)
        if (fake.processes[i].is_alive)
            end_process(&fake.processes[i], 0);
    for (int i = 0; i < fake.n_peers; i++) {
        free(fake.peers[i].in);
        free(fake.peers[i].out);
    }
    free(fake.log);
    fake = (struct fake){.now_ms = 1000};
}

void molt_fake_config(const char *key, const char *value)
{
    check(fake.n_config < CONFIG_MAX, "too much configuration");
    fake.config[fake.n_config][0] = key;
    fake.config[fake.n_config++][1] = value;
}

void molt_fake_routes(const struct molt_route *table)
{
    check(fake.n_tables < TABLES_MAX, "too many tables");
    fake.tables[fake.n_tables++] = table;
}

const char *molt_fake_log(void)
{
    return fake.log ? fake.log : "";
}

static struct process *next_due(uint64_t until_ms)
{
    struct process *first = NULL;
    for (int i = 0; i < fake.n_processes; i++) {
        struct process *p = &fake.processes[i];
        if (p->is_alive && p->timer_ms > 0 && p->timer_ms <= until_ms &&
            (!first || p->timer_ms < first->timer_ms))
            first = p;
    }
    return first;
}

void molt_fake_advance(unsigned ms)
{
    uint64_t until_ms = fake.now_ms + ms;
    struct process *p;
    while ((p = next_due(until_ms)) != NULL) {
        if (p->timer_ms > fake.now_ms)
            fake.now_ms = p->timer_ms;
        p->timer_ms = 0;
        fake.current = p;
        settle(p, ((int (*)(void *))p->server->on_timeout)(p->state));
        run(p);
    }
    fake.now_ms = until_ms;
}

void molt_fake_fail_alloc(unsigned nth)
{
    fake.fail_alloc = nth;
}

static int new_peer(void)
{
    check(fake.n_peers < PROCESSES_MAX, "too many clients");
    fake.peers[fake.n_peers] = (struct peer){.room = SIZE_MAX, .piece = SIZE_MAX};
    return FD_BASE + fake.n_peers++;
}

int molt_fake_connect(void)
{
    int fd = new_peer();
    struct process *p = start("http_connection", NULL);
    if (!p->is_alive)
        return -1;
    give(fd, p);
    run(p);
    return fd;
}

static void put_input(struct peer *peer, const void *bytes, size_t len)
{
    peer->in = realloc(peer->in, peer->in_len + len + 1);
    memcpy(peer->in + peer->in_len, bytes, len);
    peer->in_len += len;
}

static void signal_process(struct peer *peer, unsigned events)
{
    peer->process->events |= events;
    run(peer->process);
}

void molt_fake_send(int fd, const void *bytes, size_t len)
{
    put_input(peer_of(fd), bytes, len);
    signal_process(peer_of(fd), MOLT_NET_READ);
}

void molt_fake_send_text(int fd, const char *text)
{
    molt_fake_send(fd, text, strlen(text));
}

void molt_fake_shutdown(int fd)
{
    peer_of(fd)->is_eof = true;
    signal_process(peer_of(fd), MOLT_NET_READ | MOLT_NET_HANGUP); /* as half-closing does */
}

void molt_fake_send_and_shutdown(int fd, const char *text)
{
    put_input(peer_of(fd), text, strlen(text));
    molt_fake_shutdown(fd);
}

void molt_fake_break(int fd)
{
    peer_of(fd)->is_broken = true;
    if (!fake.current) /* else the process finds out by itself */
        signal_process(peer_of(fd), MOLT_NET_READ | MOLT_NET_WRITE | MOLT_NET_HANGUP);
}

void molt_fake_room(int fd, size_t room)
{
    bool was_full = peer_of(fd)->room == 0;
    peer_of(fd)->room = room;
    if (was_full && room > 0)
        signal_process(peer_of(fd), MOLT_NET_WRITE);
}

void molt_fake_pieces(int fd, size_t max)
{
    peer_of(fd)->piece = max;
}

const char *molt_fake_received(int fd, size_t *ret_len)
{
    if (ret_len)
        *ret_len = peer_of(fd)->out_len;
    return peer_of(fd)->out ? peer_of(fd)->out : "";
}

void molt_fake_take(int fd)
{
    peer_of(fd)->out_len = 0;
    if (peer_of(fd)->out)
        peer_of(fd)->out[0] = '\0';
}

bool molt_fake_is_open(int fd)
{
    return peer_of(fd)->process->is_alive;
}

int molt_fake_reason(int fd)
{
    return peer_of(fd)->process->reason;
}

size_t molt_fake_blocks(int fd, size_t *ret_bytes)
{
    size_t n = 0, bytes = 0;
    for (struct block *b = peer_of(fd)->process->blocks; b; b = b->next, n++)
        bytes += b->size * b->count;
    if (ret_bytes)
        *ret_bytes = bytes;
    return n;
}

size_t molt_fake_state_size(const char *server)
{
    return find_server(server)->state_size;
}

unsigned molt_fake_reads(int fd)
{
    return peer_of(fd)->reads;
}

unsigned molt_fake_writes(int fd)
{
    return peer_of(fd)->writes;
}

int molt_fake_listen(void)
{
    fake.listener = start("http_listener", NULL);
    if (!fake.listener->is_alive)
        return fake.listener->reason;
    run(fake.listener);
    return 0;
}

int molt_fake_queue_client(void)
{
    int fd = new_peer();
    fake.n_queued++;
    return fd;
}

void molt_fake_accept_error(int code)
{
    fake.accept_error = code;
}

void molt_fake_listen_error(int code)
{
    fake.listen_error = code;
}

void molt_fake_announce(void)
{
    fake.listener->events |= MOLT_NET_READ;
    run(fake.listener);
    for (int i = 0; i < fake.n_processes; i++)
        run(&fake.processes[i]);
}

unsigned molt_fake_accepts(void)
{
    return fake.accepts;
}
