/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union any {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(const char *address, unsigned port, union any *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (address && inet_pton(AF_INET6, address, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)port);
        return sizeof(ret->v6);
    }
    ret->v4.sin_family = AF_INET;
    ret->v4.sin_port = htons((uint16_t)port);
    if (!address || inet_pton(AF_INET, address, &ret->v4.sin_addr) != 1 ||
        ret->v4.sin_addr.s_addr == INADDR_ANY)
        ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(ret->v4);
}

static int open_socket(const union any *a)
{
    return socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

bool molt_port_is_free(const char *address, unsigned port)
{
    union any a;
    socklen_t len = make_address(address, port, &a);
    int fd = open_socket(&a);
    if (fd < 0)
        return true;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    bool is_taken = bind(fd, &a.sa, len) < 0 && errno == EADDRINUSE;
    close(fd);
    return !is_taken;
}

bool molt_port_accepts(const char *address, unsigned port)
{
    union any a;
    socklen_t len = make_address(address, port, &a);
    int fd = open_socket(&a);
    if (fd < 0)
        return false;
    bool is_open = connect(fd, &a.sa, len) == 0;
    close(fd);
    return is_open;
}
