/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on children of supervisors: typed calls to these. */
#include <limits.h>
#include <string.h>

#include "runtime/runner.h"
#include "runtime/supervisor_call.h"

static char arg_field[] = "arg", infos_field[] = "infos";

static const struct molt_meta_ptr request_ptrs[] = {
    {.offset = offsetof(struct molt_child_request, arg),
     .count = 1,
     .kind = MOLT_PTR_DATA,
     .field = arg_field}};
static const struct molt_meta_ptr reply_ptrs[] = {
    {.offset = offsetof(struct molt_child_reply, infos),
     .count = 1,
     .kind = MOLT_PTR_DATA,
     .field = infos_field}};

const struct molt_type molt_child_request_type = {.name = "struct molt_child_request",
                                                  .size = sizeof(struct molt_child_request),
                                                  .may_point = true,
                                                  .n_ptrs = 1,
                                                  .ptrs = request_ptrs};
const struct molt_type molt_child_reply_type = {.name = "struct molt_child_reply",
                                                .size = sizeof(struct molt_child_reply),
                                                .may_point = true,
                                                .n_ptrs = 1,
                                                .ptrs = reply_ptrs};
const struct molt_type molt_child_info_type = {.name = "struct molt_child_info",
                                               .size = sizeof(struct molt_child_info)};

static struct molt_child_request *new_request(enum molt_supervise_request_kind kind)
{
    static const struct molt_type *const tag = &molt_child_request_type;
    struct molt_child_request *request = molt_block_new(&tag, sizeof(*request), 1);
    if (request)
        request->kind = kind;
    return request;
}

/* Put @text, NULL is "", into a member; MOLT_EINVAL if it is too long. */
static int set_text(char *member, const char *text)
{
    if (text && strlen(text) >= MOLT_SUPERVISE_ID_MAX)
        return MOLT_EINVAL;
    strcpy(member, text ? text : "");
    return 0;
}

/* Ask, and wait. Consumes @request; @ret is the caller's on success. */
static int ask(const char *supervisor, molt_pid pid, struct molt_child_request *request,
               struct molt_child_reply **ret)
{
    static const struct molt_type *const tag = &molt_child_reply_type;
    return molt_call_typed(supervisor, pid, request, (void **)ret, &tag, -1);
}

/* The same, for those whose answer is a code and a pid. */
static int ask_pid(const char *supervisor, molt_pid pid, struct molt_child_request *request,
                   molt_pid *ret_pid)
{
    struct molt_child_reply *reply;
    int rc = ask(supervisor, pid, request, &reply);
    if (rc < 0)
        return rc;
    rc = reply->code;
    if (ret_pid && reply->pid)
        *ret_pid = reply->pid;
    molt_free(reply);
    return rc;
}

/* What was to be sent and can't be. */
static int give_up(struct molt_child_request *request, void *arg, int code)
{
    molt_free(request);
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *root;
    if (arg && runner && molt_runner_take(runner, arg, &root) == 0)
        molt_runner_drop(runner, root);
    return molt_self() ? code : MOLT_ENOPROC;
}

int molt_child_start(const char *supervisor, molt_pid pid, const struct molt_child *child,
                     void *arg, molt_pid *ret_pid)
{
    struct molt_child_request *request = new_request(MOLT_SUPERVISE_ADD);
    if (!request)
        return give_up(NULL, arg, MOLT_ENOMEM);
    if (child &&
        (!child->id || !child->server || child->arg || set_text(request->id, child->id) < 0 ||
         set_text(request->server, child->server) < 0))
        return give_up(request, arg, MOLT_EINVAL);
    request->restart = child ? child->restart : 0;
    request->shutdown_ms = child ? child->shutdown_ms : 0;
    request->arg = arg;
    return ask_pid(supervisor, pid, request, ret_pid);
}

static int ask_for(enum molt_supervise_request_kind kind, const char *supervisor, molt_pid pid,
                   const char *id, molt_pid child, molt_pid *ret_pid)
{
    struct molt_child_request *request = new_request(kind);
    if (!request)
        return give_up(NULL, NULL, MOLT_ENOMEM);
    request->pid = child;
    if ((!id && !child) || set_text(request->id, id) < 0)
        return give_up(request, NULL, MOLT_EINVAL);
    return ask_pid(supervisor, pid, request, ret_pid);
}

int molt_child_terminate(const char *supervisor, molt_pid pid, const char *id, molt_pid child)
{
    return ask_for(MOLT_SUPERVISE_TERMINATE, supervisor, pid, id, child, NULL);
}

int molt_child_restart(const char *supervisor, molt_pid pid, const char *id, molt_pid *ret_pid)
{
    return ask_for(MOLT_SUPERVISE_RESTART, supervisor, pid, id, 0, ret_pid);
}

int molt_child_delete(const char *supervisor, molt_pid pid, const char *id)
{
    return ask_for(MOLT_SUPERVISE_DELETE, supervisor, pid, id, 0, NULL);
}

int molt_children(const char *supervisor, molt_pid pid, struct molt_child_info *ret, size_t n)
{
    struct molt_child_request *request = new_request(MOLT_SUPERVISE_LOOK);
    if (!request)
        return give_up(NULL, NULL, MOLT_ENOMEM);
    if (n && !ret)
        return give_up(request, NULL, MOLT_EINVAL);
    request->n = n;
    struct molt_child_reply *reply;
    int rc = ask(supervisor, pid, request, &reply);
    if (rc < 0)
        return rc;
    rc = reply->code;
    size_t n_listed = reply->infos ? molt_count(reply->infos) : 0;
    if (n_listed)
        memcpy(ret, reply->infos, (n_listed < n ? n_listed : n) * sizeof(*ret));
    if (rc == 0)
        rc = reply->n_children > INT_MAX ? INT_MAX : (int)reply->n_children;
    molt_free(reply->infos);
    molt_free(reply);
    return rc;
}
