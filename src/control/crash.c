/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <molt/molt.h>

#include "code/code.h"
#include "control/connections.h"
#include "control/protocol.h"
#include "control/record.h"
#include "port/alt_stack.h"
#include "port/ucontext.h"

#define FRAMES_MAX MOLT_CRASH_FRAMES_MAX
#define SEND_WAIT_MS 500

/* A signal handler has no user pointer: this is the one place where a host is
 * found through a global. Written by install and uninstall only. */
static struct {
    _Atomic(struct molt_code *) code;
    atomic_int fd;        /* agent's socket, -1: none */
    atomic_int first_tid; /* thread that reports; 0: nobody crashed yet */
    int probe[2];         /* pipe for reading addresses that may be bad */
    void *alt_stack;
} crash = {.fd = -1, .probe = {-1, -1}};

/* SIGTRAP is what __builtin_trap() raises on some CPUs. */
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* ---- a writer that needs nothing ---------------------------------------- */

struct out {
    uint8_t bytes[8192];
    size_t len;
};

static void put(struct out *o, const void *bytes, size_t len)
{
    if (len > sizeof(o->bytes) - o->len)
        len = sizeof(o->bytes) - o->len;
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

static void put_int(struct out *o, uint64_t v, size_t width)
{
    uint8_t le[8];
    for (size_t i = 0; i < width; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    put(o, le, width);
}

static void put_str(struct out *o, const char *text)
{
    size_t len = strlen(text);
    put_int(o, len, 4);
    put(o, text, len);
}

static void print(struct out *o, const char *text)
{
    put(o, text, strlen(text));
}

static void print_number(struct out *o, uint64_t v, unsigned base)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    put(o, digits + at, sizeof(digits) - at);
}

static void print_hex(struct out *o, uint64_t v)
{
    print(o, "0x");
    print_number(o, v, 16);
}

/* ---- collecting frames --------------------------------------------------- */

/* Read a word that may not be mapped: write(2) answers EFAULT where a load
 * would trap. */
static bool read_word(uintptr_t at, uintptr_t *ret)
{
    if (at % sizeof(*ret) ||
        write(crash.probe[1], (const void *)at, sizeof(*ret)) != (ssize_t)sizeof(*ret))
        return false;
    return read(crash.probe[0], ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
}

static bool is_readable(uintptr_t at)
{
    char byte;
    return write(crash.probe[1], (const void *)at, 1) == 1 && read(crash.probe[0], &byte, 1) == 1;
}

/* From a jump into nowhere: the return address and the frame pointers. Only
 * what lies on the way of frame pointers is read, with bounds. */
static size_t follow_frame_pointers(const struct molt_port_registers *regs, uintptr_t *frames)
{
    size_t n = 0;
    uintptr_t fp = regs->fp, word;
    frames[n++] = regs->pc;
    if (molt_port_return_address(regs, read_word, &word))
        frames[n++] = word;
    while (n < FRAMES_MAX) {
        uintptr_t next, back;
        if (!read_word(fp, &next) || !read_word(fp + sizeof(fp), &back) || !back)
            break;
        if (back != frames[n - 1])
            frames[n++] = back;
        if (next <= fp)
            break;
        fp = next;
    }
    return n;
}

/* The unwinder looks at the bytes around each pc, so it may only be asked when
 * the first one is readable. Its own frames and the signal's come before. */
static size_t collect(const struct molt_port_registers *regs, uintptr_t *frames)
{
    if (!is_readable(regs->pc))
        return follow_frame_pointers(regs, frames);
    void *all[FRAMES_MAX + 8];
    int n = backtrace(all, FRAMES_MAX + 8);
    int first = 0;
    while (first < n && (uintptr_t)all[first] != regs->pc)
        first++;
    if (first == n)
        return follow_frame_pointers(regs, frames);
    size_t count = 0;
    for (int i = first; i < n && count < FRAMES_MAX; i++)
        frames[count++] = (uintptr_t)all[i];
    return count;
}

/* ---- reporting ------------------------------------------------------------ */

struct place {
    const char *module; /* "" if it is not in a version */
    unsigned number;
    uintptr_t offset; /* from the image's base, or the pc */
    bool is_unloaded;
};

/* A return address may be the first byte after the function: ask for the call
 * before it. */
static struct place resolve(struct molt_code *code, uintptr_t pc, bool is_return)
{
    struct place p = {.module = "", .offset = pc};
    uintptr_t offset = 0, back = is_return ? 1 : 0;
    const struct molt_version *v =
        code ? molt_code_find_pc(code, (const void *)(pc - back), &offset, &p.is_unloaded) : NULL;
    if (!v)
        return p;
    p.module = molt_version_module(v);
    p.number = molt_version_number(v);
    p.offset = offset;
    return p;
}

static void print_place(struct out *o, const struct place *p)
{
    if (!*p->module) {
        print(o, "host ");
        print_hex(o, p->offset);
        return;
    }
    print(o, p->module);
    print(o, "@");
    print_number(o, p->number, 10);
    print(o, "+");
    print_hex(o, p->offset);
    if (p->is_unloaded)
        print(o, " (unloaded)");
}

/* "molt-host: SIGSEGV at 0x0 in counter@2+0x1134, from hello@1+0x1190" */
static void report_line(int signal, uintptr_t address, const struct place *places, size_t n)
{
    struct out o;
    o.len = 0;
    print(&o, "molt-host: ");
    print(&o, molt_crash_signal_name(signal));
    print(&o, " at ");
    print_hex(&o, address);
    if (n && places[0].is_unloaded) {
        print(&o, ": jump into ");
        print(&o, places[0].module);
        print(&o, "@");
        print_number(&o, places[0].number, 10);
        print(&o, ", unloaded");
    }
    bool is_first = true;
    for (size_t i = 0; i < n; i++) {
        if (!*places[i].module && i > 0)
            continue; /* the line is for module code, the frame has the rest */
        print(&o, is_first ? " in " : ", from ");
        print_place(&o, &places[i]);
        is_first = false;
    }
    print(&o, "\n");
    (void)!write(STDERR_FILENO, o.bytes, o.len);
}

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN || poll(&p, 1, SEND_WAIT_MS) <= 0) {
            return;
        }
    }
}

static void report_frame(int fd, int signal, uintptr_t address, const struct place *places,
                         size_t n)
{
    struct out o;
    o.len = MOLT_FRAME_HEADER;
    put_int(&o, (uint32_t)signal, 4);
    put_int(&o, address, 8);
    put_int(&o, molt_self(), 8);
    put_int(&o, n, 4);
    for (size_t i = 0; i < n; i++) {
        put_str(&o, places[i].module);
        put_int(&o, places[i].number, 4);
        put_int(&o, places[i].offset, 8);
    }
    put_int(&o, molt_connections_count(), 8);
    molt_frame_header(o.bytes, MOLT_FRAME_CRASH, 0, (uint32_t)(o.len - MOLT_FRAME_HEADER), 0);
    send_all(fd, o.bytes, o.len);
}

static void report(int signal, const siginfo_t *info, void *context)
{
    struct molt_port_registers regs;
    molt_port_registers(context, &regs);
    uintptr_t frames[FRAMES_MAX];
    struct place places[FRAMES_MAX];
    size_t n = collect(&regs, frames);
    struct molt_code *code = atomic_load(&crash.code);
    for (size_t i = 0; i < n; i++)
        places[i] = resolve(code, frames[i], i > 0);
    /* For signals that were sent si_addr is other data; the pc says where. */
    uintptr_t address = info->si_code > 0 ? (uintptr_t)info->si_addr : regs.pc;
    report_line(signal, address, places, n);
    int fd = atomic_load(&crash.fd);
    if (fd >= 0)
        report_frame(fd, signal, address, places, n);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int tid = (int)syscall(SYS_gettid), nobody = 0;
    if (atomic_compare_exchange_strong(&crash.first_tid, &nobody, tid))
        report(signal, info, context);
    else if (nobody != tid)
        for (;;) /* the first one ends the process */
            pause();
    /* Blocked until we return, then the default action, at the very place. */
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigaction(signal, &sa, NULL);
    raise(signal);
}

/* ---- life ----------------------------------------------------------------- */

static int fail(struct molt_error *err, const char *what)
{
    int error = errno;
    molt_crash_uninstall();
    return molt_error_set(err, MOLT_EIO, "crash reports: %s: %s", what, strerror(error));
}

int molt_crash_install(struct molt_code *code, struct molt_error *err)
{
    struct molt_code *none = NULL;
    if (!atomic_compare_exchange_strong(&crash.code, &none, code))
        return molt_error_set(err, MOLT_EBUSY, "crash reports are installed already");
    if (pipe2(crash.probe, O_CLOEXEC | O_NONBLOCK) < 0)
        return fail(err, "pipe");
    crash.alt_stack = molt_port_alt_stack_open();
    /* The first call loads libgcc_s, which isn't safe in a handler. */
    void *warm[4];
    backtrace(warm, 4);
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (sigaction(signals[i], &sa, NULL) < 0)
            return fail(err, "sigaction");
    return 0;
}

void molt_crash_uninstall(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &sa, NULL);
    molt_port_alt_stack_close(crash.alt_stack);
    crash.alt_stack = NULL;
    for (int i = 0; i < 2; i++) {
        if (crash.probe[i] >= 0)
            close(crash.probe[i]);
        crash.probe[i] = -1;
    }
    atomic_store(&crash.code, NULL);
}

void molt_crash_attach(int fd)
{
    atomic_store(&crash.fd, fd);
}
