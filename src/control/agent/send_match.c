/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/send_match.h"

#include <stdlib.h>

#include "base/buf.h"
#include "code/carry.h"
#include "control/agent/link.h"
#include "types/match.h"

/* A frame goes off when its recipes are longer than this. */
#define BATCH_BYTES (1u << 20)

struct batch {
    struct molt_link *link;
    uint64_t stage;
    int timeout_ms;
    uint32_t n;
    struct molt_buf recipes;
    struct molt_error *err;
};

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "out of memory");
}

/* Send what there is. */
static int flush(struct batch *batch)
{
    struct molt_buf payload = MOLT_BUF_INIT;
    if (batch->n == 0)
        return 0;
    molt_buf_u64(&payload, batch->stage);
    molt_buf_u32(&payload, batch->n);
    molt_buf_add(&payload, batch->recipes.data, batch->recipes.len);
    int rc = payload.is_failed || batch->recipes.is_failed
                 ? no_memory(batch->err)
                 : molt_link_request(batch->link, MOLT_FRAME_RECIPES, &payload, -1,
                                     batch->timeout_ms, NULL, batch->err);
    molt_buf_fini(&payload);
    molt_buf_reset(&batch->recipes);
    batch->n = 0;
    return rc;
}

static int add(struct batch *batch, const struct molt_recipe *recipe)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_recipe_encode(recipe, &bytes);
    molt_buf_bytes(&batch->recipes, bytes.data, bytes.len);
    molt_buf_fini(&bytes);
    batch->n++;
    if (rc < 0)
        return no_memory(batch->err);
    return batch->recipes.len > BATCH_BYTES ? flush(batch) : 0;
}

/* @bytes that were encoded with the result @rc. */
static int send_whole(struct batch *batch, uint32_t frame, int rc, struct molt_buf *bytes)
{
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_buf_u64(&payload, batch->stage);
    molt_buf_bytes(&payload, bytes->data, bytes->len);
    if (rc < 0 || payload.is_failed)
        rc = no_memory(batch->err);
    else
        rc = molt_link_request(batch->link, frame, &payload, -1, batch->timeout_ms, NULL,
                               batch->err);
    molt_buf_fini(&payload);
    molt_buf_fini(bytes);
    return rc;
}

static int send_moves(struct batch *batch, const struct molt_moves *moves)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_moves_encode(moves, &bytes);
    return send_whole(batch, MOLT_FRAME_MOVES, rc, &bytes);
}

static int send_globals(struct batch *batch, const struct molt_match *match)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_carry carry;
    if (molt_match_carry(match, &carry) < 0)
        return no_memory(batch->err);
    int rc = 0;
    if (carry.n > 0)
        rc = send_whole(batch, MOLT_FRAME_GLOBALS, molt_carry_encode(&carry, &bytes), &bytes);
    free(carry.items);
    return rc;
}

int molt_agent_send_match(struct molt_link *link, uint64_t stage, const struct molt_match *match,
                          int timeout_ms, struct molt_error *err)
{
    struct batch batch = {.link = link, .stage = stage, .timeout_ms = timeout_ms, .err = err};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < match->n_types; i++)
        if (match->types[i].recipe)
            rc = add(&batch, match->types[i].recipe);
    for (size_t i = 0; rc == 0 && i < match->n_same; i++)
        rc = add(&batch, match->same[i]);
    if (rc == 0)
        rc = flush(&batch);
    if (rc == 0 && match->moves)
        rc = send_moves(&batch, match->moves);
    if (rc == 0 && match->moves)
        rc = send_globals(&batch, match);
    molt_buf_fini(&batch.recipes);
    return rc;
}
