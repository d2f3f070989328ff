/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/project_root.h"
#include "control/listen.h"

#define RESPONSE_MAX (64u << 20)
#define TIMEOUT_MS 60000

/* ---- the response ------------------------------------------------------------- */

/* Value of a header among the lines of @head (NUL-terminated), or NULL. */
static const char *find_header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    }
    return NULL;
}

static int parse_head(const char *head, unsigned *ret_status, size_t *ret_len)
{
    const char *value = find_header(head, "Content-Length");
    char *end = NULL;
    if (sscanf(head, "HTTP/1.%*1[01] %3u", ret_status) != 1 || !value)
        return MOLT_EFORMAT;
    errno = 0;
    unsigned long len = strtoul(value, &end, 10);
    if (errno || end == value || *value == '-' || len > RESPONSE_MAX)
        return MOLT_EFORMAT;
    *ret_len = len;
    return 0;
}

int molt_client_parse(const char *bytes, size_t len, unsigned *ret_status, const char **ret_body,
                      size_t *ret_body_len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end)
        return len > 65536 ? MOLT_EFORMAT : 0;
    char *head = strndup(bytes, (size_t)(end - bytes));
    if (!head)
        return MOLT_ENOMEM;
    size_t body_len = 0;
    int rc = parse_head(head, ret_status, &body_len);
    free(head);
    size_t head_len = (size_t)(end - bytes) + 4;
    if (rc < 0 || len - head_len < body_len)
        return rc;
    *ret_body = bytes + head_len;
    *ret_body_len = body_len;
    return 1;
}

/* ---- the exchange ---------------------------------------------------------------- */

static int send_all(int fd, const char *bytes, size_t len, struct molt_error *err)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return molt_error_set(err, MOLT_ECLOSED, "the agent: %s", strerror(errno));
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int send_request(int fd, const struct molt_client_request *request, struct molt_error *err)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    char *body = request->body ? json_dumps(request->body, JSON_COMPACT) : strdup("");
    int rc = body ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        molt_buf_printf(&buf,
                        "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        request->method, request->path, strlen(body), body);
        rc = buf.is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory")
                           : send_all(fd, buf.data, buf.len, err);
    }
    free(body);
    molt_buf_fini(&buf);
    return rc;
}

/* More of the response: 1; 0 at its end; MOLT_ETIMEDOUT. */
static int receive_some(int fd, uint64_t deadline, struct molt_buf *in, struct molt_error *err)
{
    char chunk[16384];
    uint64_t now = molt_clock_ms();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
    if (n == 0)
        return molt_error_set(err, MOLT_ETIMEDOUT, "the agent does not answer");
    ssize_t len = n > 0 ? recv(fd, chunk, sizeof(chunk), 0) : -1;
    if (len < 0 && errno == EINTR)
        return 1;
    if (len <= 0)
        return 0;
    molt_buf_add(in, chunk, (size_t)len);
    return in->is_failed || in->len > RESPONSE_MAX + 65536
               ? molt_error_set(err, MOLT_ENOMEM, "the agent's answer is too long")
               : 1;
}

/* The error that the agent answered with. */
static int take_error(json_t *doc, struct molt_error *err)
{
    const char *name = "", *text = "";
    json_unpack(doc, "{s:{s:s, s:s}}", "error", "code", &name, "text", &text);
    int code = MOLT_EFORMAT;
    for (int c = -1; c > -64; c--)
        if (strcmp(molt_error_name(c), name) == 0)
            code = c;
    return molt_error_set(err, code, "%s", *text ? text : "the agent refused without a reason");
}

static int take_response(unsigned status, const char *body, size_t len, json_t **ret,
                         struct molt_error *err)
{
    json_t *doc = json_loadb(body, len, 0, NULL);
    if (!doc)
        return molt_error_set(err, MOLT_EFORMAT, "the agent's answer (status %u) is not JSON",
                              status);
    if (status == 200) {
        *ret = doc;
        return 0;
    }
    int rc = take_error(doc, err);
    json_decref(doc);
    return rc;
}

static int exchange(int fd, const struct molt_client_request *request, json_t **ret,
                    struct molt_error *err)
{
    struct molt_buf in = MOLT_BUF_INIT;
    uint64_t deadline =
        molt_clock_ms() + (uint64_t)(request->timeout_ms ? request->timeout_ms : TIMEOUT_MS);
    unsigned status = 0;
    const char *body = NULL;
    size_t len = 0;
    int rc = send_request(fd, request, err), whole = 0;
    while (rc == 0 && whole == 0) {
        rc = receive_some(fd, deadline, &in, err);
        if (rc == 0)
            rc = molt_error_set(err, MOLT_ECLOSED, "the agent ended the connection");
        if (rc > 0)
            whole = molt_client_parse(in.data, in.len, &status, &body, &len);
        rc = rc < 0 ? rc : 0;
    }
    if (rc == 0 && whole < 0)
        rc = molt_error_set(err, whole, "the agent's answer is malformed");
    if (rc == 0)
        rc = take_response(status, body, len, ret, err);
    int more = rc == 0 && request->is_until_agent_ends;
    while (more > 0)
        more = receive_some(fd, deadline, &in, err);
    molt_buf_fini(&in);
    if (more < 0) {
        json_decref(*ret);
        return more;
    }
    return rc;
}

int molt_client_ask(const struct molt_client_request *request, json_t **ret, struct molt_error *err)
{
    char *root;
    int fd, rc = molt_project_root(&root, err);
    if (rc < 0)
        return rc;
    struct molt_buf path = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/.molt/agent.sock", root);
    rc = path.is_failed ? MOLT_ENOMEM : molt_connect_unix(path.data, &fd, err);
    if (rc == MOLT_ENOENT || rc == MOLT_ECLOSED)
        rc = molt_error_set(err, MOLT_ECLOSED,
                            "no agent runs for %s: start one with `molt dev` or `molt run`", root);
    molt_buf_fini(&path);
    free(root);
    if (rc < 0)
        return rc;
    rc = exchange(fd, request, ret, err);
    close(fd);
    return rc;
}

int molt_client_show(const struct molt_cli_args *args, const char *path,
                     void (*print)(struct molt_out *out, json_t *doc))
{
    struct molt_out out;
    struct molt_error err = {0};
    struct molt_client_request request = {.method = "GET", .path = path};
    json_t *doc;
    molt_out_init(&out, args);
    int rc = molt_client_ask(&request, &doc, &err);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    if (out.is_json)
        molt_out_json(&out, doc);
    else
        print(&out, doc);
    json_decref(doc);
    return MOLT_EXIT_OK;
}
