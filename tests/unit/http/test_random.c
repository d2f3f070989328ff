/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Random bytes, from a seed that a failure names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/http/fake_molt.h"
#include "unit/http/support.h"

static int setup(void **state)
{
    (void)state;
    molt_http_support_setup();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    molt_fake_reset();
    return 0;
}

#define SEED_DEFAULT 20240607u

static uint64_t seed;

/* xorshift64* */
static uint32_t next_random(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * UINT64_C(2685821657736338717)) >> 32);
}

static uint32_t below(uint32_t n)
{
    return next_random() % n;
}

static const char *const parts[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345",
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HEAD /users/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /big?9000 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    "\r\n",
    "\r\n\r\n",
    " ",
    ":",
    "Host: x\r\n",
    "Content-Length: 3\r\n",
    "\t",
    "0\r\n\r\n",
    "ffff\r\n",
    "GET ",
    " HTTP/1.1\r\n",
    "/any?x#y",
    "http://h/p",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Upgrade: h2c\r\nConnection: upgrade\r\n",
    "PRI * HTTP/2.0\r\n\r\n",
};

/* Some whole requests, some fragments, some noise. */
static size_t make_input(char *to, size_t size)
{
    size_t len = 0;
    for (uint32_t n = 1 + below(12); n > 0; n--) {
        char noise[16];
        const char *part = parts[below(below(3) ? 5 : sizeof(parts) / sizeof(parts[0]))];
        size_t part_len = strlen(part);
        if (below(12) == 0) {
            part_len = below(sizeof(noise));
            for (size_t i = 0; i < part_len; i++)
                noise[i] = (char)next_random();
            part = noise;
        }
        if (len + part_len > size)
            break;
        memcpy(to + len, part, part_len);
        len += part_len;
    }
    if (below(3) == 0 && len > 0)
        to[below((uint32_t)len)] = (char)next_random();
    return len;
}

static void feed(int fd, const char *input, size_t len)
{
    while (len > 0 && molt_fake_is_open(fd)) {
        size_t n = 1 + below((uint32_t)len);
        switch (below(8)) {
        case 0:
            molt_fake_room(fd, 0);
            break;
        case 1:
            molt_fake_room(fd, below(3000));
            break;
        case 2:
            molt_fake_advance(below(10000));
            break;
        default:
            molt_fake_room(fd, SIZE_MAX);
        }
        if (!molt_fake_is_open(fd))
            return;
        molt_fake_send(fd, input, n);
        input += n;
        len -= n;
    }
}

/* However mangled the input: answers are whole, the process ends in order, and
 * nothing is left in memory between requests. */
static void random_input_gets_whole_answers_or_a_closed_connection(void **state)
{
    const char *text = getenv("MOLT_TEST_SEED");
    uint64_t first = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    for (uint64_t round = 0; round < 20000; round++) {
        setup(state);
        seed = (first + round) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        char input[4096];
        size_t len = make_input(input, sizeof(input));
        int fd = molt_fake_connect();
        feed(fd, input, len);
        if (molt_fake_is_open(fd))
            molt_fake_room(fd, SIZE_MAX);
        if (molt_fake_is_open(fd))
            molt_fake_shutdown(fd);
        if (molt_fake_is_open(fd) || molt_fake_reason(fd) != 0)
            fail_msg("open or ended with a reason; MOLT_TEST_SEED=%llu",
                     (unsigned long long)(first + round));
    }
}

/* The same requests, valid ones only, in any pieces and with any room. */
static void random_pieces_of_valid_requests_lose_no_answer(void **state)
{
    for (uint64_t round = 0; round < 3000; round++) {
        setup(state);
        seed = (SEED_DEFAULT + round) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        char input[4096] = "";
        int n = 1 + (int)below(10);
        for (int i = 0; i < n; i++)
            strcat(input, parts[below(3)]);
        int fd = molt_fake_connect();
        for (const char *at = input; *at;) {
            size_t len = 1 + below((uint32_t)strlen(at));
            molt_fake_room(fd, below(2) ? SIZE_MAX : below(400));
            molt_fake_send(fd, at, len);
            at += len;
        }
        molt_fake_room(fd, 0);
        molt_fake_room(fd, SIZE_MAX);
        if (molt_http_support_count(fd) != n || !molt_http_support_is_well_formed(fd))
            fail_msg("%d answers to %d requests in round %llu", molt_http_support_count(fd), n,
                     (unsigned long long)round);
        assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(random_input_gets_whole_answers_or_a_closed_connection),
        T(random_pieces_of_valid_requests_lose_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
