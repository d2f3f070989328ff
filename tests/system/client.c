/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* HTTP/1.1 as far as tests need it: answers with a Content-Length, one at a
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "system/app.h"

void test_client_open(struct test_client *client, unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = TEST_APP_PATIENCE_MS / 1000};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void test_client_close(struct test_client *client)
{
    close(client->fd);
    client->fd = -1;
}

void test_client_ask(struct test_client *client, const char *path)
{
    char request[512];
    int len =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    assert_in_range(len, 1, sizeof(request) - 1);
    assert_int_equal(send(client->fd, request, (size_t)len, MSG_NOSIGNAL), len);
}

/* Where the body begins, once all of it is there; NULL before. */
static char *find_body(char *text, size_t len)
{
    char *body = strstr(text, "\r\n\r\n"), *field = strcasestr(text, "\r\nContent-Length:");
    if (!body)
        return NULL;
    if (!field || field > body)
        fail_msg("an answer without its length: %s", text);
    body += 4;
    return (size_t)(body - text) + strtoul(field + 17, NULL, 10) <= len ? body : NULL;
}

const char *test_client_answer(struct test_client *client)
{
    size_t len = 0;
    char *body = NULL;
    while (!body) {
        ssize_t n = recv(client->fd, client->text + len, sizeof(client->text) - 1 - len, 0);
        if (n <= 0)
            fail_msg("the connection %s after: %.*s", n ? "stalled" : "ended", (int)len,
                     client->text);
        len += (size_t)n;
        client->text[len] = '\0';
        body = find_body(client->text, len);
    }
    assert_int_equal(sscanf(client->text, "HTTP/1.1 %d ", &client->status), 1);
    return body;
}

const char *test_client_get(struct test_client *client, const char *path)
{
    test_client_ask(client, path);
    return test_client_answer(client);
}
