/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Addresses as text and as the system has them. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "runtime/net.h"

_Static_assert(sizeof(struct sockaddr_un) <= sizeof(((struct molt_net_address *)0)->bytes),
               "room for every kind of address");

#define HOST_MAX 64

void molt_net_address_set(struct molt_net_address *ret, const void *sockaddr, socklen_t len)
{
    *ret = (struct molt_net_address){0};
    if (len > sizeof(ret->bytes))
        len = sizeof(ret->bytes);
    memcpy(ret->bytes, sockaddr, len);
    ret->length = len;
}

/* A name that doesn't begin with a slash may be abstract: then it has no NUL at
 * its end, but one in front (unix(7)). */
static int parse_unix(const char *text, struct molt_net_address *ret)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(text);
    bool is_abstract = text[0] == '@';
    if (len >= sizeof(name.sun_path) || (is_abstract && len == 1))
        return MOLT_EINVAL;
    memcpy(name.sun_path, text, len);
    if (is_abstract)
        name.sun_path[0] = '\0';
    size_t used = offsetof(struct sockaddr_un, sun_path) + len + !is_abstract;
    molt_net_address_set(ret, &name, (socklen_t)used);
    return 0;
}

/* "fe80::1%eth0", "fe80::1%2" */
static int parse_v6(const char *text, unsigned port, struct molt_net_address *ret)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    char host[HOST_MAX];
    size_t len = strcspn(text, "%");
    if (len >= sizeof(host))
        return MOLT_EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET6, host, &name.sin6_addr) != 1)
        return MOLT_EINVAL;
    if (text[len] == '%') {
        char *end;
        unsigned long scope = strtoul(text + len + 1, &end, 10);
        bool is_number = end > text + len + 1 && *end == '\0';
        name.sin6_scope_id = is_number ? (unsigned)scope : if_nametoindex(text + len + 1);
        if (name.sin6_scope_id == 0)
            return MOLT_EINVAL;
    }
    molt_net_address_set(ret, &name, sizeof(name));
    return 0;
}

int molt_net_address_parse(const char *text, unsigned port, struct molt_net_address *ret)
{
    if (!text || !ret || port > 65535)
        return MOLT_EINVAL;
    if (text[0] == '/' || text[0] == '@' || text[0] == '.')
        return port == 0 ? parse_unix(text, ret) : MOLT_EINVAL;
    if (strcmp(text, "*") == 0)
        text = "::";
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &name.sin_addr) != 1)
        return parse_v6(text, port, ret);
    molt_net_address_set(ret, &name, sizeof(name));
    return 0;
}

static int print_unix(const struct molt_net_address *address, char *buf, size_t size)
{
    const struct sockaddr_un *name = (const void *)address->bytes;
    size_t len = address->length - offsetof(struct sockaddr_un, sun_path);
    if (len == 0 || len > sizeof(name->sun_path))
        return snprintf(buf, size, "%s", ""); /* a client without a name */
    if (name->sun_path[0] == '\0')
        return snprintf(buf, size, "@%.*s", (int)len - 1, name->sun_path + 1);
    return snprintf(buf, size, "%.*s", (int)len, name->sun_path);
}

static int print_v6(const struct sockaddr_in6 *name, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &name->sin6_addr, host, sizeof(host));
    /* A client of a socket for both families that came by IPv4. */
    if (IN6_IS_ADDR_V4MAPPED(&name->sin6_addr))
        return snprintf(buf, size, "%s:%u", host + strlen("::ffff:"), ntohs(name->sin6_port));
    if (name->sin6_scope_id > 0)
        return snprintf(buf, size, "[%s%%%u]:%u", host, name->sin6_scope_id,
                        ntohs(name->sin6_port));
    return snprintf(buf, size, "[%s]:%u", host, ntohs(name->sin6_port));
}

int molt_net_address_print(const struct molt_net_address *address, char *buf, size_t size)
{
    char text[MOLT_NET_TEXT_MAX] = "", host[INET_ADDRSTRLEN];
    int n = 0;
    if (!address || !buf || address->length > sizeof(address->bytes))
        return MOLT_EINVAL;
    switch (address->length > 0 ? molt_net_sockaddr(address)->sa_family : AF_UNSPEC) {
    case AF_INET: {
        const struct sockaddr_in *name = (const void *)address->bytes;
        inet_ntop(AF_INET, &name->sin_addr, host, sizeof(host));
        n = snprintf(text, sizeof(text), "%s:%u", host, ntohs(name->sin_port));
        break;
    }
    case AF_INET6:
        n = print_v6((const void *)address->bytes, text, sizeof(text));
        break;
    case AF_UNIX:
        n = print_unix(address, text, sizeof(text));
        break;
    default:
        break;
    }
    if ((size_t)n >= size)
        return MOLT_EINVAL;
    memcpy(buf, text, (size_t)n + 1);
    return n;
}
