/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Recipes and moves on their way from the agent into a host's stage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <molt/host.h>

#include "code/table.h"
#include "control/agent/link.h"
#include "control/agent/send_match.h"
#include "control/listen.h"
#include "control/request.h"
#include "support/test_module.h"
#include "types/match.h"
#include "upgrade/host.h"

#define KEY "a/a.c:struct s"
#define ANSWER_MS 30000

static struct {
    struct module_maker maker;
    struct test_image s1, s2; /* struct s of 4 and of 8 bytes */
    char folder[64], socket[96];
    int listen_fd;
    pthread_t thread;
    struct molt_host *host;
    struct molt_link *link;
    struct molt_error err;
} fx;

/* ---- a host that serves one agent ----------------------------------------------------- */

static int answer(struct molt_request_state *state, struct molt_conn *conn,
                  const struct molt_frame *frame)
{
    struct molt_buf out = MOLT_BUF_INIT;
    struct molt_error err = {0};
    int rc = molt_control_request_serve(state, frame, &out, &err);
    if (frame->fd >= 0)
        close(frame->fd);
    if (rc != MOLT_REQUEST_MALFORMED)
        molt_conn_reply(conn, frame->id, rc, err.text, &out);
    molt_buf_fini(&out);
    return rc;
}

static void *serve(void *user)
{
    struct molt_host_config config = {.size = sizeof config, .store = fx.folder, .workers = 1};
    struct molt_request_state state;
    struct molt_frame frame;
    struct molt_conn *conn;
    (void)user;
    assert_int_equal(molt_host_new(&config, &fx.host, &fx.err), 0);
    molt_control_request_init(&state, fx.host, NULL);
    molt_control_request_greet(&state);
    assert_int_equal(molt_conn_new(accept(fx.listen_fd, NULL, NULL), &conn), 0);
    while (molt_conn_receive(conn, -1, &frame) == 1)
        if (answer(&state, conn, &frame) == MOLT_REQUEST_MALFORMED)
            break;
    molt_control_request_abandon(&state);
    molt_conn_free(conn);
    return NULL;
}

static int build_modules(void **state)
{
    (void)state;
    module_maker_init(&fx.maker, "gcc", "-O1", "gold");
    fx.maker.include = MOLT_SOURCE_DIR "/include";
    const struct test_module one = {"a", .text = "int one(void); int one(void) { return 1; }",
                                    .types = {{KEY, 1, 4, false}}};
    const struct test_module two = {"a", .text = "int two(void); int two(void) { return 2; }",
                                    .types = {{KEY, 2, 8, false}}};
    fx.s1 = test_module_build(&fx.maker, &one);
    fx.s2 = test_module_build(&fx.maker, &two);
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    test_image_fini(&fx.s1, molt_meta_free);
    test_image_fini(&fx.s2, molt_meta_free);
    module_maker_fini(&fx.maker);
    return 0;
}

static int open_host(void **state)
{
    (void)state;
    strcpy(fx.folder, "/tmp/molt-match-XXXXXX");
    assert_non_null(mkdtemp(fx.folder));
    snprintf(fx.socket, sizeof fx.socket, "%s/host", fx.folder);
    assert_int_equal(molt_listen_unix(fx.socket, &fx.listen_fd, &fx.err), 0);
    assert_int_equal(pthread_create(&fx.thread, NULL, serve, NULL), 0);
    struct molt_link_options options = {.socket = fx.socket};
    if (molt_link_attach(&options, &fx.link, &fx.err) < 0)
        fail_msg("%s", fx.err.text);
    return 0;
}

static int close_host(void **state)
{
    char command[128];
    (void)state;
    molt_link_free(fx.link);
    assert_int_equal(pthread_join(fx.thread, NULL), 0);
    molt_host_free(fx.host); /* whose layouts this thread has read */
    close(fx.listen_fd);
    snprintf(command, sizeof command, "rm -r %s", fx.folder);
    assert_int_equal(system(command), 0);
    return 0;
}

/* ---- steps ------------------------------------------------------------------------------ */

static int ask(uint32_t type, struct molt_buf *payload, int fd, struct molt_buf *ret)
{
    fx.err = (struct molt_error){0};
    int rc = molt_link_request(fx.link, type, payload, fd, ANSWER_MS, ret, &fx.err);
    if (payload)
        molt_buf_fini(payload);
    return rc;
}

static uint64_t begin(void)
{
    struct molt_buf in = MOLT_BUF_INIT;
    assert_int_equal(ask(MOLT_FRAME_BEGIN, NULL, -1, &in), 0);
    struct molt_reader r = molt_reader_init(in.data, in.len);
    uint64_t stage = molt_reader_u64(&r);
    molt_buf_fini(&in);
    return stage;
}

static void put(uint64_t stage, const struct test_image *image)
{
    struct molt_buf out = MOLT_BUF_INIT, meta = MOLT_BUF_INIT;
    assert_int_equal(molt_meta_encode(image->meta, &meta), 0);
    molt_buf_u64(&out, stage);
    molt_buf_bytes(&out, meta.data, meta.len);
    molt_buf_fini(&meta);
    int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (ask(MOLT_FRAME_PUT, &out, fd, NULL) < 0)
        fail_msg("%s", fx.err.text);
    close(fd);
}

static int apply(uint64_t stage)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_u64(&out, stage);
    molt_buf_u32(&out, 5000);
    return ask(MOLT_FRAME_APPLY, &out, -1, NULL);
}

static struct molt_step copy_step;
static char key[] = KEY, module[] = "a";

static struct molt_recipe some_recipe(void)
{
    copy_step = (struct molt_step){.kind = MOLT_STEP_COPY, .count = 4};
    return (struct molt_recipe){.from_key = key,
                                .to_key = key,
                                .from_hash = 1,
                                .to_hash = 2,
                                .from_size = 4,
                                .to_size = 8,
                                .n_top = 1,
                                .n_steps = 1,
                                .steps = &copy_step};
}

static int send_one(uint64_t stage, struct molt_recipe *recipe, struct molt_moves *moves)
{
    struct molt_match_type types[2] = {{.recipe = NULL}, {.recipe = recipe}};
    struct molt_match match = {.n_types = 2, .types = types, .moves = moves};
    fx.err = (struct molt_error){0};
    return molt_agent_send_match(fx.link, stage, &match, ANSWER_MS, &fx.err);
}

static struct molt_moves some_moves(void)
{
    struct molt_moves moves = {.module = module};
    memcpy(moves.from_digest, fx.s1.meta->digest, sizeof moves.from_digest);
    memcpy(moves.to_digest, fx.s2.meta->digest, sizeof moves.to_digest);
    return moves;
}

static const struct molt_edge_node *first_edge(void)
{
    const struct molt_type *type = molt_types_find(molt_host_code(fx.host)->types, KEY, 1, 4);
    assert_non_null(type);
    return atomic_load(&type->edges);
}

/* A host with s1. */
static void run_first(void)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_str(&out, "");
    if (ask(MOLT_FRAME_START, &out, -1, NULL) < 0)
        fail_msg("%s", fx.err.text);
    uint64_t stage = begin();
    put(stage, &fx.s1);
    if (apply(stage) < 0)
        fail_msg("%s", fx.err.text);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void recipes_and_moves_hold_after_the_upgrade(void **state)
{
    (void)state;
    run_first();
    struct molt_recipe recipe = some_recipe();
    struct molt_moves moves = some_moves();
    uint64_t stage = begin();
    put(stage, &fx.s2);
    if (send_one(stage, &recipe, &moves) < 0)
        fail_msg("%s", fx.err.text);
    assert_null(first_edge());
    if (apply(stage) < 0)
        fail_msg("%s", fx.err.text);
    assert_non_null(first_edge());
    assert_true(molt_recipe_is_equal(first_edge()->recipe, &recipe));
    assert_int_equal(first_edge()->edge.to->size, 8);
    assert_non_null(atomic_load(&molt_host_code(fx.host)->moves));
}

static void an_aborted_stage_leaves_none(void **state)
{
    (void)state;
    run_first();
    struct molt_recipe recipe = some_recipe();
    struct molt_moves moves = some_moves();
    struct molt_buf out = MOLT_BUF_INIT;
    uint64_t stage = begin();
    put(stage, &fx.s2);
    assert_int_equal(send_one(stage, &recipe, &moves), 0);
    molt_buf_u64(&out, stage);
    assert_int_equal(ask(MOLT_FRAME_ABORT, &out, -1, NULL), 0);
    assert_null(first_edge());
    assert_null(atomic_load(&molt_host_code(fx.host)->moves));
}

static void an_unsafe_recipe_is_refused_and_the_host_goes_on(void **state)
{
    (void)state;
    run_first();
    struct molt_recipe recipe = some_recipe();
    uint64_t stage = begin();
    copy_step.count = 5;
    assert_int_equal(send_one(stage, &recipe, NULL), MOLT_EFORMAT);
    assert_non_null(strstr(fx.err.text, "lies outside"));
    copy_step.count = 4;
    assert_int_equal(send_one(stage, &recipe, NULL), 0);
    assert_int_equal(send_one(stage + 1, &recipe, NULL), MOLT_ESTALE);
}

static void moves_that_are_malformed_are_refused(void **state)
{
    (void)state;
    run_first();
    struct molt_moves moves = some_moves();
    struct molt_move list[] = {{10, 20, 30, false, false}, {12, 20, 30, false, false}};
    uint64_t stage = begin();
    moves.n_moves = 2;
    moves.moves = list;
    assert_int_equal(send_one(stage, NULL, &moves), MOLT_EFORMAT);
    moves.n_moves = 1;
    assert_int_equal(send_one(stage, NULL, &moves), 0);
}

static void many_recipes_take_several_frames(void **state)
{
    (void)state;
    run_first();
    enum { N = 40 };
    struct molt_recipe recipes[N];
    struct molt_match_type types[N] = {{0}};
    static uint8_t bytes[100000];
    for (int i = 0; i < N; i++) {
        recipes[i] = some_recipe();
        recipes[i].bytes = bytes; /* nobody's, so that it is long */
        recipes[i].n_bytes = sizeof bytes;
        recipes[i].to_hash = 3 + (uint64_t)i;
        types[i].recipe = &recipes[i];
    }
    recipes[N - 1].to_hash = 2;
    struct molt_match match = {.n_types = N, .types = types};
    uint64_t stage = begin();
    put(stage, &fx.s2);
    assert_int_equal(molt_agent_send_match(fx.link, stage, &match, ANSWER_MS, &fx.err), 0);
    if (apply(stage) < 0)
        fail_msg("%s", fx.err.text);
    int n = 0, n_leading = 0;
    for (const struct molt_edge_node *e = first_edge(); e; e = e->next) {
        n++;
        n_leading += e->edge.to != NULL;
    }
    assert_int_equal(n, N);
    assert_int_equal(n_leading, 1);
}

static void a_frame_that_does_not_decode_ends_the_connection(void **state)
{
    (void)state;
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_u64(&out, 1);
    molt_buf_u32(&out, 2);
    molt_buf_u32(&out, 0); /* one recipe of two, and that is empty */
    assert_int_equal(ask(MOLT_FRAME_RECIPES, &out, -1, NULL), MOLT_ECLOSED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_host, close_host)
    static const struct CMUnitTest tests[] = {
        T(recipes_and_moves_hold_after_the_upgrade),
        T(an_aborted_stage_leaves_none),
        T(an_unsafe_recipe_is_refused_and_the_host_goes_on),
        T(moves_that_are_malformed_are_refused),
        T(many_recipes_take_several_frames),
        T(a_frame_that_does_not_decode_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
