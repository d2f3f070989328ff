/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "code/carry.h"
#include "code/layout.h"
#include "control/connections.h"
#include "control/record.h"
#include "control/settings.h"
#include "upgrade/trial.h"
#include "upgrade/upgrade.h"

#define STAGE_DEADLINE_MAX_MS 600000u

struct request {
    struct molt_request_state *state;
    struct molt_reader in;
    int fd;
    struct molt_buf *out;
    struct molt_error *err;
};

typedef int serve_fn(struct request *rq);

void molt_control_request_init(struct molt_request_state *state, struct molt_host *host,
                               struct molt_settings *settings)
{
    *state =
        (struct molt_request_state){.host = host, .settings = settings, .born_ms = molt_clock_ms()};
}

void molt_control_request_greet(struct molt_request_state *state)
{
    state->is_greeted = false;
}

void molt_control_request_abandon(struct molt_request_state *state)
{
    if (state->stage)
        molt_stage_abort(molt_host_code(state->host), state->stage);
    state->stage = 0;
    state->is_greeted = false;
}

/* ---- decoding ----------------------------------------------------------- */

static bool is_whole(const struct request *rq)
{
    return molt_reader_at_end(&rq->in);
}

static int need_fd(struct request *rq)
{
    if (rq->fd >= 0)
        return 0;
    return molt_error_set(rq->err, MOLT_EINVAL, "the request lacks its descriptor");
}

/* ---- life of the host --------------------------------------------------- */

static int serve_hello(struct request *rq)
{
    struct molt_request_state *state = rq->state;
    uint32_t protocol = molt_reader_u32(&rq->in);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    if (protocol != MOLT_PROTOCOL_VERSION)
        return molt_error_set(rq->err, MOLT_EABI,
                              "the agent speaks control protocol %u, this host %u: use the molt "
                              "and molt-host of one installation",
                              protocol, MOLT_PROTOCOL_VERSION);
    state->is_greeted = true;
    molt_buf_u32(rq->out, MOLT_PROTOCOL_VERSION);
    molt_buf_u32(rq->out, MOLT_ABI_VERSION);
    molt_buf_u32(rq->out, (uint32_t)getpid());
    molt_buf_u8(rq->out, state->is_started);
    molt_buf_str(rq->out, state->root);
    return 0;
}

static int set_pair(struct request *rq, const char *key, const char *value)
{
    int rc = molt_settings_set(rq->state->settings, key, value);
    if (rc < 0)
        molt_error_set(rq->err, rc, "configuration key \"%s\": %s", key, molt_error_text(rc));
    return rc;
}

/* Twice over the payload: first all of it must decode, then it is done. */
static int each_pair(struct request *rq, bool is_for_real)
{
    struct molt_reader *in = &rq->in;
    size_t n = molt_reader_count(in, 8);
    int rc = 0;
    for (size_t i = 0; i < n && !in->is_failed && rc == 0; i++) {
        char *key = molt_reader_str(in), *value = molt_reader_str(in);
        if (key && value && is_for_real)
            rc = set_pair(rq, key, value);
        free(key);
        free(value);
    }
    return rc;
}

static int serve_config(struct request *rq)
{
    struct molt_reader begin = rq->in;
    each_pair(rq, false);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    rq->in = begin;
    int rc = each_pair(rq, true);
    if (rc == 0 && rq->state->is_started)
        molt_runtime_config_changed(molt_host_runtime(rq->state->host));
    return rc;
}

static int start_host(struct request *rq, const char *root)
{
    struct molt_request_state *state = rq->state;
    if (state->is_started)
        return molt_error_set(rq->err, MOLT_EEXIST, "the host was started before");
    if (strlen(root) >= sizeof(state->root))
        return molt_error_set(rq->err, MOLT_EINVAL, "the root supervisor's name is too long");
    int rc = molt_host_start(state->host, *root ? root : NULL, rq->err);
    if (rc < 0)
        return rc;
    state->is_started = true;
    strcpy(state->root, root);
    return 0;
}

static int serve_start(struct request *rq)
{
    char *root = molt_reader_str(&rq->in);
    int rc = is_whole(rq) && root ? start_host(rq, root) : MOLT_REQUEST_MALFORMED;
    free(root);
    return rc;
}

static int serve_stop(struct request *rq)
{
    uint32_t timeout_ms = molt_reader_u32(&rq->in);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    if (timeout_ms > STAGE_DEADLINE_MAX_MS)
        timeout_ms = STAGE_DEADLINE_MAX_MS;
    molt_control_request_abandon(rq->state);
    rq->state->stop_code = molt_host_stop(rq->state->host, (int)timeout_ms);
    rq->state->is_stopped = true;
    if (rq->state->stop_code < 0)
        return molt_error_set(rq->err, rq->state->stop_code,
                              "processes that did not end within %u ms were dropped", timeout_ms);
    return 0;
}

/* ---- stages ------------------------------------------------------------- */

static int serve_begin(struct request *rq)
{
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    uint64_t stage;
    int rc = molt_stage_begin(molt_host_code(rq->state->host), &stage, rq->err);
    if (rc < 0)
        return rc;
    rq->state->stage = stage;
    rq->state->stage_began_ns = molt_clock_ns();
    molt_buf_u64(rq->out, stage);
    return 0;
}

static int serve_interface(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    const uint8_t *digest = molt_reader_raw(&rq->in, MOLT_SHA256_BYTES);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    int rc = need_fd(rq);
    if (rc < 0)
        return rc;
    return molt_stage_interface(molt_host_code(rq->state->host), stage, rq->fd, digest, rq->err);
}

/* The meta in a PUT or KEEP. A meta that doesn't decode is the agent's bug, but
 * the frame around it is sound: an error, not the end. */
static int read_meta(struct request *rq, struct molt_meta **ret)
{
    size_t len;
    const uint8_t *bytes = molt_reader_bytes(&rq->in, &len);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return molt_meta_decode(bytes, len, ret, rq->err);
}

static int serve_put(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    struct molt_meta *meta = NULL;
    int rc = read_meta(rq, &meta);
    if (rc == 0)
        rc = need_fd(rq);
    if (rc == 0)
        rc = molt_stage_put(molt_host_code(rq->state->host), stage, meta, rq->fd, rq->err);
    if (rc < 0) {
        molt_meta_free(meta);
        return rc;
    }
    molt_buf_u8(rq->out, rc == 1);
    return 0;
}

static int serve_keep(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    struct molt_meta *meta = NULL;
    int rc = read_meta(rq, &meta);
    if (rc == 0)
        rc = molt_stage_keep(molt_host_code(rq->state->host), stage, meta, rq->err);
    if (rc < 0)
        molt_meta_free(meta);
    return rc;
}

static int serve_delete(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    char *module = molt_reader_str(&rq->in);
    int rc = is_whole(rq) && module
                 ? molt_stage_delete(molt_host_code(rq->state->host), stage, module, rq->err)
                 : MOLT_REQUEST_MALFORMED;
    free(module);
    return rc;
}

/* The first that is no good ends it; the agent then aborts the stage. */
static int serve_recipes(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    size_t n = molt_reader_count(&rq->in, 4);
    struct molt_reader all = rq->in;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        molt_reader_bytes(&rq->in, &len);
    }
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t len;
        const uint8_t *bytes = molt_reader_bytes(&all, &len);
        struct molt_recipe *recipe = NULL;
        rc = molt_recipe_decode(bytes, len, &recipe, rq->err);
        if (rc == 0)
            rc = molt_stage_recipe(molt_host_code(rq->state->host), stage, recipe, rq->err);
        if (rc < 0)
            molt_recipe_free(recipe);
    }
    return rc;
}

static int serve_moves(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    size_t len;
    const uint8_t *bytes = molt_reader_bytes(&rq->in, &len);
    struct molt_moves *moves = NULL;
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    int rc = molt_moves_decode(bytes, len, &moves, rq->err);
    if (rc == 0)
        rc = molt_stage_moves(molt_host_code(rq->state->host), stage, moves, rq->err);
    if (rc < 0)
        molt_moves_free(moves);
    return rc;
}

static int serve_globals(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    size_t len;
    const uint8_t *bytes = molt_reader_bytes(&rq->in, &len);
    struct molt_carry *carry = NULL;
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    int rc = molt_carry_decode(bytes, len, &carry, rq->err);
    if (rc == 0)
        rc = molt_stage_carry(molt_host_code(rq->state->host), stage, carry, rq->err);
    if (rc < 0)
        molt_carry_free(carry);
    return rc;
}

static int serve_apply(struct request *rq)
{
    struct molt_request_state *state = rq->state;
    uint64_t stage = molt_reader_u64(&rq->in);
    uint32_t deadline_ms = molt_reader_u32(&rq->in);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    if (deadline_ms > STAGE_DEADLINE_MAX_MS)
        deadline_ms = STAGE_DEADLINE_MAX_MS;
    uint64_t stage_ns = molt_clock_ns() - state->stage_began_ns;
    struct molt_upgrade_result result = {0};
    int rc = molt_upgrade_apply(state->host, stage, (int)deadline_ms, &result, rq->err);
    if (stage == state->stage)
        state->stage = 0;
    if (rc < 0)
        return rc;
    molt_record_put_upgrade(rq->out, &result, stage_ns);
    molt_upgrade_result_fini(&result);
    return 0;
}

static int serve_try(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    uint32_t max_states = molt_reader_u32(&rq->in), deadline_ms = molt_reader_u32(&rq->in);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    if (deadline_ms > STAGE_DEADLINE_MAX_MS)
        deadline_ms = STAGE_DEADLINE_MAX_MS;
    struct molt_upgrade_trial trial;
    int rc =
        molt_upgrade_try(rq->state->host, stage, max_states, (int)deadline_ms, &trial, rq->err);
    if (rc < 0)
        return rc;
    molt_record_put_trial(rq->out, &trial);
    molt_upgrade_trial_fini(&trial);
    return 0;
}

static int serve_abort(struct request *rq)
{
    uint64_t stage = molt_reader_u64(&rq->in);
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    int rc = molt_stage_abort(molt_host_code(rq->state->host), stage);
    if (stage == rq->state->stage)
        rq->state->stage = 0;
    return rc;
}

/* ---- listings ----------------------------------------------------------- */

struct lister {
    struct molt_buf items;
    uint32_t n;
    uint64_t now_ms;
};

static void list_version(void *user, const struct molt_version_info *v)
{
    struct lister *l = user;
    molt_record_put_version(&l->items, v, l->now_ms);
    l->n++;
}

static void list_world(void *user, const struct molt_world_info *w)
{
    struct lister *l = user;
    molt_record_put_world(&l->items, w);
    l->n++;
}

static void list_iface(void *user, const struct molt_iface_info *i)
{
    struct lister *l = user;
    molt_record_put_iface(&l->items, i);
    l->n++;
}

static void list_process(void *user, const struct molt_process_info *p)
{
    struct lister *l = user;
    molt_record_put_process(&l->items, p);
    l->n++;
}

static void list_child(void *user, const struct molt_runtime_child *c)
{
    struct lister *l = user;
    molt_record_put_child(&l->items, c);
    l->n++;
}

/* Count and items of @l after a listing that returned @rc. */
static int finish_list(struct request *rq, struct lister *l, int rc)
{
    molt_buf_u32(rq->out, l->n);
    molt_buf_add(rq->out, l->items.data, l->items.len);
    if (l->items.is_failed)
        rc = MOLT_ENOMEM;
    molt_buf_fini(&l->items);
    return rc < 0 ? rc : 0;
}

static int serve_interfaces(struct request *rq)
{
    struct lister l = {0};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return finish_list(rq, &l,
                       molt_code_each_iface(molt_host_code(rq->state->host), list_iface, &l));
}

static int serve_modules(struct request *rq)
{
    struct lister l = {.now_ms = molt_clock_ms()};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return finish_list(rq, &l,
                       molt_code_each_version(molt_host_code(rq->state->host), list_version, &l));
}

static int serve_worlds(struct request *rq)
{
    struct lister l = {0};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return finish_list(rq, &l,
                       molt_code_each_world(molt_host_code(rq->state->host), list_world, &l));
}

static int serve_processes(struct request *rq)
{
    struct lister l = {0};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return finish_list(rq, &l,
                       molt_runtime_each_process(molt_host_runtime(rq->state->host), list_process,
                                                 &l));
}

static int serve_children(struct request *rq)
{
    struct lister l = {0};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    return finish_list(rq, &l,
                       molt_runtime_each_child(molt_host_runtime(rq->state->host), list_child, &l));
}

/* Resident bytes by /proc/self/statm (proc(5): second field, pages). */
static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size = 0, resident = 0;
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int serve_stats(struct request *rq)
{
    struct molt_runtime_stats stats = {0};
    if (!is_whole(rq))
        return MOLT_REQUEST_MALFORMED;
    molt_runtime_stats(molt_host_runtime(rq->state->host), &stats);
    molt_record_put_stats(rq->out, &stats, molt_code_stops(molt_host_code(rq->state->host)),
                          resident_bytes(), molt_clock_ms() - rq->state->born_ms,
                          molt_connections_count());
    return 0;
}

static int serve_purge(struct request *rq)
{
    char *module = molt_reader_str(&rq->in);
    uint32_t number = molt_reader_u32(&rq->in);
    uint8_t is_hard = molt_reader_u8(&rq->in);
    unsigned unloaded = 0, killed = 0;
    int rc = MOLT_REQUEST_MALFORMED;
    if (is_whole(rq) && module)
        rc = molt_upgrade_purge(rq->state->host, *module ? module : NULL, number, is_hard,
                                &unloaded, &killed, rq->err);
    free(module);
    if (rc < 0)
        return rc;
    molt_buf_u32(rq->out, unloaded);
    molt_buf_u32(rq->out, killed);
    return 0;
}

/* ---- metas -------------------------------------------------------------- */

/* Worlds and versions stay while the executor, which alone removes them, is
 * here. */
static const struct molt_meta *find_meta(struct molt_code *code, const char *module,
                                         uint32_t number)
{
    struct molt_world *world = atomic_load(molt_code_current_cell(code));
    for (; world; world = number ? world->next_older : NULL) {
        for (size_t i = 0; i < world->n_versions; i++) {
            const struct molt_version *v = world->versions[i];
            if (strcmp(molt_version_module(v), module) == 0 &&
                (!number || molt_version_number(v) == number))
                return molt_version_meta(v);
        }
    }
    return NULL;
}

static int put_meta(struct request *rq, const char *module, uint32_t number)
{
    const struct molt_meta *meta = find_meta(molt_host_code(rq->state->host), module, number);
    if (!meta && !number)
        return molt_error_set(rq->err, MOLT_ENOENT, "no module %s runs", module);
    if (!meta)
        return molt_error_set(rq->err, MOLT_ENOENT, "no %s@%u in any world", module, number);
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_meta_encode(meta, &bytes);
    if (rc == 0)
        molt_buf_bytes(rq->out, bytes.data, bytes.len);
    molt_buf_fini(&bytes);
    return rc;
}

static int serve_meta(struct request *rq)
{
    char *module = molt_reader_str(&rq->in);
    uint32_t number = molt_reader_u32(&rq->in);
    int rc = is_whole(rq) && module ? put_meta(rq, module, number) : MOLT_REQUEST_MALFORMED;
    free(module);
    return rc;
}

/* ---- dispatch ----------------------------------------------------------- */

static serve_fn *const table[] = {
    [MOLT_FRAME_HELLO] = serve_hello,
    [MOLT_FRAME_CONFIG] = serve_config,
    [MOLT_FRAME_START] = serve_start,
    [MOLT_FRAME_STOP] = serve_stop,
    [MOLT_FRAME_BEGIN] = serve_begin,
    [MOLT_FRAME_INTERFACE] = serve_interface,
    [MOLT_FRAME_PUT] = serve_put,
    [MOLT_FRAME_KEEP] = serve_keep,
    [MOLT_FRAME_DELETE] = serve_delete,
    [MOLT_FRAME_APPLY] = serve_apply,
    [MOLT_FRAME_ABORT] = serve_abort,
    [MOLT_FRAME_INTERFACES] = serve_interfaces,
    [MOLT_FRAME_MODULES] = serve_modules,
    [MOLT_FRAME_WORLDS] = serve_worlds,
    [MOLT_FRAME_PROCESSES] = serve_processes,
    [MOLT_FRAME_STATS] = serve_stats,
    [MOLT_FRAME_PURGE] = serve_purge,
    [MOLT_FRAME_META] = serve_meta,
    [MOLT_FRAME_CHILDREN] = serve_children,
    [MOLT_FRAME_RECIPES] = serve_recipes,
    [MOLT_FRAME_MOVES] = serve_moves,
    [MOLT_FRAME_TRY] = serve_try,
    [MOLT_FRAME_GLOBALS] = serve_globals,
};

int molt_control_request_serve(struct molt_request_state *state, const struct molt_frame *frame,
                               struct molt_buf *out, struct molt_error *err)
{
    struct request rq = {.state = state,
                         .in = molt_reader_init(frame->payload, frame->len),
                         .fd = frame->fd,
                         .out = out,
                         .err = err};
    if (frame->type >= sizeof(table) / sizeof(table[0]) || !table[frame->type])
        return MOLT_REQUEST_MALFORMED;
    if (!state->is_greeted && frame->type != MOLT_FRAME_HELLO)
        return molt_error_set(err, MOLT_EINVAL, "the first request has to be HELLO");
    return table[frame->type](&rq);
}
