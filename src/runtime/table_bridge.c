/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_bridge.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/table_convert.h"

/* ---- ways ------------------------------------------------------------------------- */

/* Between the caller's value type and the table's. */
struct bridge {
    struct molt_table_body *body;
    const struct molt_world *world; /* the caller's */
    uint32_t ours, theirs;          /* bytes of a value: the table's, the caller's */
    struct molt_way in, out;
    /* Values of the table's layout: the row, what it shall be, and what the caller's old and
     * new view of it become. */
    char *row, *now, *base, *made;
    char *mine, *wanted; /* the caller's: the row, and what it shall be */
    char *seen;          /* the caller's, once more */
    void *memory;
};

static const struct molt_world *world_here(struct molt_tables *tables)
{
    return tables->config.world ? tables->config.world(tables->config.user) : NULL;
}

static int find_way(const struct molt_world *world, const struct molt_type *from,
                    const struct molt_type *to, struct molt_way *ret)
{
    ret->n = 0;
    if (from == to)
        return 0;
    if (!world || !from || !to)
        return MOLT_ETYPE;
    return molt_world_way_between(world, from, to, ret) < 0 ? MOLT_ETYPE : 0;
}

static size_t room(uint32_t bytes)
{
    return ((size_t)bytes + 7) / 8 * 8;
}

static int open_bridge(struct molt_tables *tables, struct molt_table_body *body,
                       const struct molt_type *type, struct bridge *b)
{
    const struct molt_table_layout *layout = &body->layout;
    *b = (struct bridge){.body = body, .world = world_here(tables)};
    int rc = find_way(b->world, type, layout->value_type, &b->in);
    if (rc == 0)
        rc = find_way(b->world, layout->value_type, type, &b->out);
    if (rc < 0)
        return rc;
    b->ours = layout->value_bytes;
    b->theirs = type->size;
    b->memory = calloc(1, 4 * room(b->ours) + 3 * room(b->theirs));
    if (!b->memory)
        return MOLT_ENOMEM;
    b->row = b->memory;
    b->now = b->row + room(b->ours);
    b->base = b->now + room(b->ours);
    b->made = b->base + room(b->ours);
    b->mine = b->made + room(b->ours);
    b->wanted = b->mine + room(b->theirs);
    b->seen = b->wanted + room(b->theirs);
    return 0;
}

/* A caller's value as the table's. Its pointers stay: they lead to the caller's images. */
static int take_in(const struct bridge *b, const void *theirs, void *ours)
{
    struct molt_recipe_fault fault;
    return molt_table_convert(&b->in, NULL, theirs, b->theirs, ours, b->ours, &fault);
}

static int give_out(const struct bridge *b, const void *ours, void *theirs)
{
    struct molt_recipe_fault fault;
    return molt_table_convert(&b->out, b->world, ours, b->ours, theirs, b->theirs, &fault);
}

/* ---- keys ----------------------------------------------------------------------------- */

int molt_table_bridge_key(struct molt_tables *tables, const struct molt_table_layout *layout,
                          const struct molt_table_args *args, uint64_t *ret_words)
{
    char key[MOLT_TABLE_KEY_MAX];
    struct molt_way way;
    struct molt_recipe_fault fault;
    const struct molt_type *type = args->key_type;
    if (molt_table_layout_takes(layout, type))
        return molt_table_key_encode(layout, type, args->key, ret_words);
    int rc = find_way(world_here(tables), type, layout->key_type, &way);
    if (rc == 0 && !args->key)
        rc = MOLT_EINVAL;
    if (rc == 0)
        rc = molt_table_convert(&way, NULL, args->key, type->size, key, layout->key_bytes, &fault);
    return rc < 0 ? rc : molt_table_key_encode(layout, layout->key_type, key, ret_words);
}

static int give_out_key(const struct molt_way *way, const struct molt_table_layout *layout,
                        const uint64_t *words, const struct molt_type *type, void *ret_key)
{
    char key[MOLT_TABLE_KEY_MAX];
    struct molt_recipe_fault fault;
    molt_table_key_decode(layout, words, key);
    return molt_table_convert(way, NULL, key, layout->key_bytes, ret_key, type->size, &fault);
}

/* ---- reading ---------------------------------------------------------------------------- */

int molt_table_bridge_get(struct molt_tables *tables, struct molt_table_visit *v,
                          const struct molt_table_args *args, void *ret_value)
{
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    struct bridge b;
    int rc = molt_table_bridge_key(tables, &v->body->layout, args, key);
    if (rc < 0)
        return rc;
    rc = open_bridge(tables, v->body, args->value_type, &b);
    if (rc == 0)
        rc = molt_table_body_get(v->body, key, b.row);
    if (rc == 0)
        rc = give_out(&b, b.row, b.mine);
    if (rc == 0)
        memcpy(ret_value, b.mine, b.theirs);
    free(b.memory);
    return rc;
}

int molt_table_bridge_step(struct molt_tables *tables, struct molt_table_visit *v,
                           const struct molt_table_args *args, enum molt_table_step step,
                           void *ret_key, const struct molt_type *ret_key_type, void *ret_value)
{
    const struct molt_table_layout *layout = &v->body->layout;
    uint64_t from[MOLT_TABLE_KEY_WORDS], key[MOLT_TABLE_KEY_WORDS];
    char their_key[MOLT_TABLE_KEY_MAX];
    struct bridge b;
    struct molt_way key_way;
    if (!ret_key_type || ret_key_type->size > sizeof(their_key))
        return MOLT_ETYPE;
    int rc = find_way(world_here(tables), layout->key_type, ret_key_type, &key_way);
    if (rc == 0 && args->key)
        rc = molt_table_bridge_key(tables, layout, args, from);
    if (rc < 0)
        return rc;
    rc = open_bridge(tables, v->body, args->value_type, &b);
    struct molt_table_cursor cursor = {.key = args->key ? from : NULL, .step = step};
    if (rc == 0)
        rc = molt_table_body_step(v->body, &cursor, key, b.row);
    if (rc == 0)
        rc = give_out_key(&key_way, layout, key, ret_key_type, their_key);
    if (rc == 0)
        rc = give_out(&b, b.row, b.mine);
    if (rc == 0) {
        memcpy(ret_key, their_key, ret_key_type->size);
        memcpy(ret_value, b.mine, b.theirs);
    }
    free(b.memory);
    return rc;
}

/* ---- changing a row --------------------------------------------------------------------- */

/* Carry over to the row what differs between what the caller saw and wants: into @b->now,
 * which is right if the caller would see just what it wants, and nothing else changed. */
static bool merge(const struct bridge *b)
{
    bool is_clear = true;
    for (uint32_t i = 0; i < b->ours; i++) {
        unsigned char row = (unsigned char)b->row[i], base = (unsigned char)b->base[i];
        unsigned char changed = (unsigned char)(base ^ (unsigned char)b->made[i]);
        is_clear = is_clear && ((row ^ base) & changed) == 0;
        b->now[i] = (char)(row ^ changed);
    }
    /* b->mine is of no more use. What the caller wants may have something in its padding, so
     * that isn't what to compare with. */
    return is_clear && give_out(b, b->now, b->mine) == 0 && give_out(b, b->made, b->seen) == 0 &&
           memcmp(b->mine, b->seen, b->theirs) == 0;
}

/* Make @b->now of @b->wanted; @has_mine: @b->mine is the row for the caller. */
static int replace(const struct bridge *b, bool has_mine)
{
    int rc = take_in(b, b->wanted, b->made);
    if (rc < 0)
        return rc;
    if (has_mine && take_in(b, b->mine, b->base) == 0 && merge(b))
        return 0;
    memcpy(b->now, b->made, b->ours);
    return 0;
}

/* As molt_table_write.field, of a value that lies flat. */
static void add_to_field(char *value, struct molt_table_write *w)
{
    char *at = value + w->field.offset;
    if (w->field.size == 8) {
        uint64_t now;
        memcpy(&now, at, 8);
        now += (uint64_t)w->delta;
        memcpy(at, &now, 8);
        w->sum = (int64_t)now;
    } else {
        uint32_t now;
        memcpy(&now, at, 4);
        now += (uint32_t)w->delta;
        memcpy(at, &now, 4);
        w->sum = w->field.is_signed ? (int64_t)(int32_t)now : (int64_t)now;
    }
}

static int write_raw(const struct bridge *b, enum molt_table_op op,
                     const struct molt_table_write *w, const void *expected, const void *value)
{
    struct molt_table_write raw = {
        .op = op, .shard = w->shard, .key = w->key, .value = value, .expected = expected};
    return molt_table_body_write(b->body, &raw);
}

#define AGAIN 2 /* the row changed meanwhile */

/* There was no row. */
static int write_new(const struct bridge *b, struct molt_table_write *w)
{
    bool is_adding = w->op == MOLT_TABLE_OP_PUT || w->op == MOLT_TABLE_OP_INSERT ||
                     (w->op == MOLT_TABLE_OP_ADD && w->value);
    if (!is_adding)
        return MOLT_ENOENT;
    memcpy(b->wanted, w->value, b->theirs);
    if (w->op == MOLT_TABLE_OP_ADD)
        add_to_field(b->wanted, w);
    int rc = take_in(b, b->wanted, b->now);
    if (rc == 0)
        rc = write_raw(b, MOLT_TABLE_OP_INSERT, w, NULL, b->now);
    return rc == MOLT_EEXIST && w->op != MOLT_TABLE_OP_INSERT ? AGAIN : rc;
}

/* What the caller wants of the row that @b->mine is: 0, 1 (it is another), or a code. */
static int decide(const struct bridge *b, struct molt_table_write *w)
{
    switch (w->op) {
    case MOLT_TABLE_OP_SWAP:
    case MOLT_TABLE_OP_DELETE_SAME:
        if (memcmp(b->mine, w->expected, b->theirs) != 0)
            return 1;
        break;
    case MOLT_TABLE_OP_ADD:
        memcpy(b->wanted, b->mine, b->theirs);
        add_to_field(b->wanted, w);
        return 0;
    default:
        break;
    }
    if (w->value)
        memcpy(b->wanted, w->value, b->theirs);
    return 0;
}

/* The row is @b->row. */
static int write_old(const struct bridge *b, struct molt_table_write *w)
{
    bool is_removed = w->op == MOLT_TABLE_OP_TAKE || w->op == MOLT_TABLE_OP_DELETE_SAME;
    if (w->op == MOLT_TABLE_OP_INSERT)
        return MOLT_EEXIST;
    int rc = give_out(b, b->row, b->mine);
    bool has_mine = rc == 0;
    if (rc < 0 && w->op != MOLT_TABLE_OP_PUT)
        return rc;
    rc = decide(b, w);
    if (rc != 0)
        return rc;
    if (is_removed) {
        rc = write_raw(b, MOLT_TABLE_OP_DELETE_SAME, w, b->row, NULL);
        if (rc == 0 && w->op == MOLT_TABLE_OP_TAKE)
            memcpy(w->ret_value, b->mine, b->theirs);
    } else {
        rc = replace(b, has_mine);
        if (rc == 0)
            rc = write_raw(b, MOLT_TABLE_OP_SWAP, w, b->row, b->now);
    }
    return rc == 1 || rc == MOLT_ENOENT ? AGAIN : rc;
}

static int write_value(struct bridge *b, struct molt_table_write *w)
{
    int rc;
    do {
        rc = molt_table_body_get(b->body, w->key, b->row);
        if (rc == MOLT_ENOENT)
            rc = write_new(b, w);
        else if (rc == 0)
            rc = write_old(b, w);
    } while (rc == AGAIN);
    return rc;
}

int molt_table_bridge_write(struct molt_tables *tables, struct molt_table_visit *v,
                            const struct molt_table_args *args, struct molt_table_write *w)
{
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    struct bridge b;
    int rc = molt_table_bridge_key(tables, &v->body->layout, args, key);
    if (rc < 0)
        return rc;
    w->key = key;
    w->shard = v->thread->index;
    if (w->op == MOLT_TABLE_OP_DELETE)
        return molt_table_body_write(v->body, w);
    rc = open_bridge(tables, v->body, args->value_type, &b);
    if (rc == 0)
        rc = write_value(&b, w);
    free(b.memory);
    return rc;
}
