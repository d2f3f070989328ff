/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "control/record.h"
#include "web/json.h"
#include "web/page.h"

#define BODY_MAX 65536
#define IDLE_S 60u
#define WAITING_MAX 16 /* a client that is gone isn't noticed while its answer waits */

/* To the API, between its first byte and its answer's last. */
struct request {
    struct molt_buf body;
    struct MHD_Connection *connection;
    struct molt_list link; /* in molt_web.waiting, or in no list */
    bool has_waited;
};

struct molt_web {
    struct molt_api api;
    struct MHD_Daemon *daemons[MOLT_WEB_FDS]; /* API, page */
    unsigned n_open;                          /* requests to the API */
    unsigned n_waiting;       /* of these, suspended until there is a message more */
    struct molt_list waiting; /* longest first */
    bool is_ending;           /* nobody waits any more */
};

/* ---- answers --------------------------------------------------------------------- */

/* Consumes @text. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              char *text)
{
    if (!text)
        return MHD_NO;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

/* ---- answers that wait -------------------------------------------------------------- */

static void resume(struct molt_web *web, struct request *r)
{
    molt_list_unlink(&r->link);
    molt_list_init(&r->link);
    web->n_waiting--;
    MHD_resume_connection(r->connection); /* on_api is called again for it */
}

static void suspend(struct molt_web *web, struct request *r)
{
    if (web->n_waiting == WAITING_MAX) /* it gets an empty list, and may ask again */
        resume(web, molt_container_of(web->waiting.next, struct request, link));
    r->has_waited = true;
    molt_list_append(&web->waiting, &r->link);
    web->n_waiting++;
    MHD_suspend_connection(r->connection);
}

void molt_web_wake(struct molt_web *web)
{
    while (web && !molt_list_is_empty(&web->waiting))
        resume(web, molt_container_of(web->waiting.next, struct request, link));
}

void molt_web_end_waits(struct molt_web *web)
{
    if (web)
        web->is_ending = true;
    molt_web_wake(web);
}

/* ---- requests to the API ------------------------------------------------------------- */

/* ?after=12 is {"after": 12}. */
static enum MHD_Result take_argument(void *user, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    (void)kind;
    char *end;
    long long number = value ? strtoll(value, &end, 10) : 0;
    json_t *json =
        value && *value && !*end ? json_integer(number) : molt_json_text(value ? value : "");
    return json_object_set_new(user, key, json) < 0 ? MHD_NO : MHD_YES;
}

/* A request without a body may have its members in the query. */
static void take_query(struct request *r)
{
    json_t *doc = r->body.len ? NULL : json_object();
    if (doc &&
        MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, take_argument, doc)) {
        char *text = json_dumps(doc, JSON_COMPACT);
        if (text)
            molt_buf_adds(&r->body, text);
        free(text);
    }
    json_decref(doc);
}

static enum MHD_Result serve_api(struct molt_web *web, struct MHD_Connection *c, const char *path,
                                 const char *method, const struct molt_buf *body)
{
    json_t *doc = NULL;
    unsigned status = 413;
    if (body->len > BODY_MAX)
        doc = json_pack("{s:{s:s, s:s}}", "error", "code", "MOLT_ELIMIT", "text",
                        "the request's body is too long");
    else
        status = molt_api_serve(&web->api, method, path, body->data, body->len, &doc);
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    json_decref(doc);
    return answer(c, status, "application/json", text);
}

static enum MHD_Result begin_request(struct molt_web *web, struct MHD_Connection *c, void **request)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return MHD_NO;
    r->connection = c;
    molt_list_init(&r->link);
    web->n_open++;
    *request = r;
    return MHD_YES;
}

/* Called several times for a request: first, for each piece of its body, and
 * with an empty piece at the end; and with that again when it was resumed. */
static enum MHD_Result on_api(void *user, struct MHD_Connection *c, const char *path,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_len, void **request)
{
    (void)version;
    struct molt_web *web = user;
    struct request *r = *request;
    if (!r)
        return begin_request(web, c, request);
    if (*piece_len) {
        if (r->body.len <= BODY_MAX)
            molt_buf_add(&r->body, piece, *piece_len);
        *piece_len = 0;
        return r->body.is_failed ? MHD_NO : MHD_YES;
    }
    take_query(r);
    if (!web->is_ending && !r->has_waited &&
        molt_api_is_to_wait(&web->api, path, r->body.data, r->body.len)) {
        suspend(web, r);
        return MHD_YES;
    }
    return serve_api(web, c, path, method, &r->body);
}

static void on_done(void *user, struct MHD_Connection *c, void **request,
                    enum MHD_RequestTerminationCode why)
{
    (void)c, (void)why;
    struct molt_web *web = user;
    struct request *r = *request;
    if (!r)
        return; /* a request for the page */
    web->n_open--;
    molt_buf_fini(&r->body);
    free(r);
    *request = NULL;
}

/* Only under the loopback's own names: a page elsewhere whose name was rebound
 * to 127.0.0.1 gets nothing. */
static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; host && i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (strncmp(host, names[i], len) == 0 && (host[len] == '\0' || host[len] == ':'))
            return true;
    }
    return false;
}

static enum MHD_Result on_page(void *user, struct MHD_Connection *c, const char *path,
                               const char *method, const char *version, const char *piece,
                               size_t *piece_len, void **request)
{
    (void)version, (void)piece, (void)request;
    struct molt_web *web = user;
    *piece_len = 0;
    if (!is_local_name(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host")))
        return answer(c, 403, "text/plain", strdup("not for you\n"));
    if (strcmp(method, "GET") != 0 || strcmp(path, "/") != 0)
        return answer(c, 404, "text/plain", strdup("there is only GET /\n"));
    struct molt_web_view view = {"", "", "", "", "", "", 0};
    web->api.actions.view(web->api.actions.user, &view);
    struct molt_stats_record stats;
    struct molt_page page = {.view = &view, .state = molt_api_state(&web->api)};
    if (molt_api_stats(&web->api, &stats))
        page.stats = &stats;
    struct molt_buf out = MOLT_BUF_INIT;
    molt_page_print(&page, &out);
    char *text = molt_buf_take(&out);
    molt_buf_fini(&out);
    return answer(c, 200, "text/html; charset=utf-8", text);
}

/* ---- life ---------------------------------------------------------------------------- */

static struct MHD_Daemon *start(struct molt_web *web, int fd, MHD_AccessHandlerCallback on_request)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
                            web, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_done,
                            web, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
}

int molt_web_new(const struct molt_api *api, int listen_fd, struct molt_web **ret,
                 struct molt_error *err)
{
    struct molt_web *web = calloc(1, sizeof(*web));
    if (web) {
        web->api = *api;
        molt_list_init(&web->waiting);
        web->daemons[0] = start(web, listen_fd, on_api);
    }
    if (!web || !web->daemons[0]) {
        close(listen_fd);
        free(web);
        return molt_error_set(err, MOLT_EIO, "the API's HTTP server does not start: %s",
                              strerror(errno));
    }
    *ret = web;
    return 0;
}

static int listen_loopback(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 16) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int molt_web_open_page(struct molt_web *web, unsigned port, struct molt_error *err)
{
    int fd = listen_loopback(port);
    if (fd < 0)
        return molt_error_set(err, MOLT_EIO, "127.0.0.1:%u: %s", port, strerror(errno));
    web->daemons[1] = start(web, fd, on_page);
    if (web->daemons[1])
        return 0;
    close(fd);
    return molt_error_set(err, MOLT_EIO, "the page's HTTP server does not start");
}

void molt_web_free(struct molt_web *web)
{
    if (!web)
        return;
    molt_web_end_waits(web); /* none may be suspended when its server stops */
    molt_web_run(web);
    for (int i = 0; i < MOLT_WEB_FDS; i++)
        if (web->daemons[i])
            MHD_stop_daemon(web->daemons[i]);
    free(web);
}

/* ---- the embedder's loop ----------------------------------------------------------------- */

void molt_web_fds(const struct molt_web *web, int ret_fds[MOLT_WEB_FDS])
{
    for (int i = 0; i < MOLT_WEB_FDS; i++) {
        const union MHD_DaemonInfo *info =
            web->daemons[i] ? MHD_get_daemon_info(web->daemons[i], MHD_DAEMON_INFO_EPOLL_FD) : NULL;
        ret_fds[i] = info ? info->epoll_fd : -1;
    }
}

int molt_web_timeout(const struct molt_web *web)
{
    int least = -1;
    for (int i = 0; i < MOLT_WEB_FDS; i++) {
        MHD_UNSIGNED_LONG_LONG ms;
        if (!web->daemons[i] || MHD_get_timeout(web->daemons[i], &ms) != MHD_YES)
            continue;
        int t = ms > 3600000 ? 3600000 : (int)ms;
        least = least < 0 || t < least ? t : least;
    }
    return least;
}

bool molt_web_is_busy(const struct molt_web *web)
{
    return web->n_open > 0;
}

void molt_web_run(struct molt_web *web)
{
    for (int i = 0; i < MOLT_WEB_FDS; i++)
        if (web->daemons[i])
            MHD_run(web->daemons[i]);
}
