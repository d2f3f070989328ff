/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/recipe_make.h"

#include <stdlib.h>
#include <string.h>

#define GAP_MAX 8   /* padding that a copy goes over */
#define BITS_MAX 64 /* of a step that takes several bitfields */

void molt_step_list_fini(struct molt_step_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        molt_step_list_fini(&list->items[i].inner);
    free(list->items);
    *list = (struct molt_step_list){0};
}

static struct molt_made_step *add(struct molt_maker *maker, struct molt_step_list *list,
                                  struct molt_make_at at, struct molt_step step)
{
    if (at.old_at > UINT32_MAX || at.new_at > UINT32_MAX) {
        maker->is_too_big = true;
        return NULL;
    }
    if (molt_array_grow(list->items, list->n, list->cap) < 0) {
        maker->is_failed = true;
        return NULL;
    }
    step.old_at = (uint32_t)at.old_at;
    step.new_at = (uint32_t)at.new_at;
    struct molt_made_step *made = &list->items[list->n++];
    *made = (struct molt_made_step){.step = step, .text = at.text};
    maker->n_steps++;
    list->is_closed = false;
    return made;
}

static struct molt_step *last_of(struct molt_step_list *list, enum molt_step_kind kind)
{
    struct molt_step *last = list->n ? &list->items[list->n - 1].step : NULL;
    return last && last->kind == kind ? last : NULL;
}

/* Does the copy @last lead up to @at, over equal gaps? */
static bool continues(const struct molt_step_list *list, const struct molt_step *last,
                      struct molt_make_at at)
{
    uint64_t old_end = (uint64_t)last->old_at + last->count;
    uint64_t new_end = (uint64_t)last->new_at + last->count;
    if (at.old_at < old_end || at.new_at < new_end || at.old_at - old_end != at.new_at - new_end)
        return false;
    uint64_t gap = at.new_at - new_end;
    return gap == 0 || (gap < GAP_MAX && !list->is_closed && !list->is_tight);
}

void molt_make_copy(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    uint64_t bytes, uint64_t type)
{
    struct molt_step *last = last_of(list, MOLT_STEP_COPY);
    if (bytes == 0)
        return;
    if (bytes > UINT32_MAX) {
        maker->is_too_big = true;
        return;
    }
    if (last && continues(list, last, at)) {
        last->count = (uint32_t)(at.old_at + bytes - last->old_at);
        last->type = last->type == type ? type : 0;
        list->is_closed = false;
        return;
    }
    add(maker, list, at,
        (struct molt_step){.kind = MOLT_STEP_COPY, .count = (uint32_t)bytes, .type = type});
}

void molt_make_leaf(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    struct molt_step step)
{
    add(maker, list, at, step);
}

/* Unchanged neighbours may be read and written together. */
static bool extend_bits(struct molt_step_list *list, struct molt_make_at at, unsigned bits)
{
    struct molt_step *last = last_of(list, MOLT_STEP_BITS);
    return last && !list->is_closed && last->old_bytes == last->new_bytes && last->flags == 0 &&
           last->old_at + last->old_bytes == at.old_at &&
           last->new_at + last->new_bytes == at.new_at &&
           last->old_at % 8 + last->old_bytes + bits <= BITS_MAX &&
           last->new_at % 8 + last->new_bytes + bits <= BITS_MAX;
}

void molt_make_bits(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    unsigned old_bits, unsigned new_bits, unsigned flags)
{
    bool is_kept =
        old_bits == new_bits && !(flags & MOLT_STEP_OLD_SIGNED) == !(flags & MOLT_STEP_NEW_SIGNED);
    if (is_kept && extend_bits(list, at, old_bits)) {
        struct molt_step *last = &list->items[list->n - 1].step;
        last->old_bytes = last->new_bytes = (uint8_t)(last->old_bytes + old_bits);
        return;
    }
    add(maker, list, at,
        (struct molt_step){.kind = MOLT_STEP_BITS,
                           .flags = is_kept ? 0 : (uint8_t)flags,
                           .old_bytes = (uint8_t)old_bits,
                           .new_bytes = (uint8_t)new_bits,
                           .count = 1});
}

void molt_make_enum(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    struct molt_step step, const struct molt_recipe_map *maps)
{
    struct molt_made_step *made = add(maker, list, at, step);
    if (made)
        made->maps = maps;
}

void molt_make_set(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                   const void *bytes, uint64_t n)
{
    at.old_at = 0;
    struct molt_step step = {.kind = MOLT_STEP_SET, .count = (uint32_t)n};
    struct molt_made_step *made = add(maker, list, at, step);
    if (made)
        made->bytes = bytes;
}

/* Bytes of one value of a leaf that can be repeated; 0: it can't. */
static void units_of(const struct molt_step *step, uint64_t *ret_old, uint64_t *ret_new)
{
    *ret_old = *ret_new = 0;
    switch (step->kind) {
    case MOLT_STEP_COPY:
        *ret_old = *ret_new = 1;
        break;
    case MOLT_STEP_POINTER:
    case MOLT_STEP_WORD:
        *ret_old = *ret_new = 8;
        break;
    case MOLT_STEP_INT:
    case MOLT_STEP_FLOAT:
    case MOLT_STEP_ENUM:
        *ret_old = step->flags & MOLT_STEP_IN_BITS ? 0 : step->old_bytes;
        *ret_new = step->flags & MOLT_STEP_IN_BITS ? 0 : step->new_bytes;
        break;
    default:
        break;
    }
}

/* An array whose elements are one leaf without gaps is that leaf, repeated. */
static bool collapse(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                     const struct molt_step *each, struct molt_step_list *inner)
{
    uint64_t old_unit, new_unit, count;
    if (each->kind != MOLT_STEP_EACH || inner->n != 1)
        return false;
    struct molt_made_step one = inner->items[0];
    units_of(&one.step, &old_unit, &new_unit);
    if (old_unit == 0 || one.step.old_at || one.step.new_at ||
        old_unit * one.step.count != each->old_stride ||
        new_unit * one.step.count != each->new_stride)
        return false;
    if (__builtin_mul_overflow((uint64_t)one.step.count, each->count, &count) ||
        count > UINT32_MAX) {
        maker->is_too_big = true;
        return true;
    }
    if (one.step.kind == MOLT_STEP_COPY) {
        molt_make_copy(maker, list, at, count, one.step.type);
        return true;
    }
    one.step.count = (uint32_t)count;
    struct molt_made_step *made = add(maker, list, at, one.step);
    if (made)
        made->maps = one.maps;
    return true;
}

void molt_make_parent(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                      struct molt_step step, struct molt_step_list *inner)
{
    bool is_nothing = step.kind == MOLT_STEP_EACH && inner->n == 0;
    if (!is_nothing && !collapse(maker, list, at, &step, inner)) {
        struct molt_made_step *made = add(maker, list, at, step);
        if (made) {
            made->inner = *inner;
            *inner = (struct molt_step_list){0};
        }
    }
    molt_step_list_fini(inner);
}

void molt_make_gap(struct molt_step_list *list)
{
    list->is_closed = true;
}

void molt_make_end(struct molt_step_list *list, uint64_t old_size, uint64_t new_size)
{
    struct molt_step *last = last_of(list, MOLT_STEP_COPY);
    struct molt_make_at end = {.old_at = old_size, .new_at = new_size};
    if (last && continues(list, last, end))
        last->count = (uint32_t)(old_size - last->old_at);
}

/* ---- tables ------------------------------------------------------------- */

struct tables {
    struct molt_recipe *recipe;
    uint32_t n_steps;
    struct molt_map text_at; /* pointer -> index */
    int code;
};

static void count_all(const struct molt_step_list *list, struct molt_recipe *r, uint64_t *bytes,
                      uint64_t *maps)
{
    r->n_steps += (uint32_t)list->n;
    for (size_t i = 0; i < list->n; i++) {
        const struct molt_made_step *made = &list->items[i];
        *bytes += made->bytes ? made->step.count : 0;
        *maps += made->maps ? made->step.n_steps : 0;
        count_all(&made->inner, r, bytes, maps);
    }
}

static uint32_t add_text(struct tables *t, const char *text)
{
    uint64_t known, key = (uintptr_t)text;
    if (molt_map_get(&t->text_at, key, &known))
        return (uint32_t)known;
    uint32_t index = t->recipe->n_texts;
    t->recipe->texts[index] = strdup(text ? text : "");
    if (!t->recipe->texts[index] || molt_map_put(&t->text_at, key, index) < 0) {
        free(t->recipe->texts[index]);
        t->recipe->texts[index] = NULL;
        t->code = MOLT_ENOMEM;
        return 0;
    }
    t->recipe->n_texts++;
    return index;
}

static void place(struct tables *t, const struct molt_made_step *made, struct molt_step *at)
{
    struct molt_recipe *r = t->recipe;
    *at = made->step;
    at->text = add_text(t, made->text);
    if (made->maps) {
        at->first = r->n_maps;
        memcpy(r->maps + r->n_maps, made->maps, made->step.n_steps * sizeof *made->maps);
        r->n_maps += made->step.n_steps;
    } else if (made->bytes) {
        at->first = r->n_bytes;
        memcpy(r->bytes + r->n_bytes, made->bytes, made->step.count);
        r->n_bytes += made->step.count;
    }
}

/* A list's steps stand together, before those of its children. */
static void place_list(struct tables *t, const struct molt_step_list *list)
{
    uint32_t first = t->n_steps;
    t->n_steps += (uint32_t)list->n;
    for (size_t i = 0; i < list->n && t->code == 0; i++)
        place(t, &list->items[i], &t->recipe->steps[first + i]);
    for (size_t i = 0; i < list->n && t->code == 0; i++) {
        const struct molt_step_list *inner = &list->items[i].inner;
        if (inner->n == 0)
            continue;
        t->recipe->steps[first + i].first = t->n_steps;
        t->recipe->steps[first + i].n_steps = (uint32_t)inner->n;
        place_list(t, inner);
    }
}

static int make_tables(struct molt_maker *maker, const struct molt_step_list *list,
                       struct molt_recipe *r)
{
    uint64_t bytes = 0, maps = 0;
    if (maker->is_failed)
        return MOLT_ENOMEM;
    if (maker->is_too_big || maker->n_steps > MOLT_RECIPE_STEPS_MAX)
        return MOLT_ELIMIT;
    r->n_steps = 0;
    count_all(list, r, &bytes, &maps);
    if (bytes > UINT32_MAX / 2 || maps > UINT32_MAX / 64)
        return MOLT_ELIMIT;
    r->steps = calloc(r->n_steps + 1, sizeof *r->steps);
    r->texts = calloc(r->n_steps + 1, sizeof *r->texts);
    r->bytes = malloc(bytes + 1);
    r->maps = calloc(maps + 1, sizeof *r->maps);
    if (!r->steps || !r->texts || !r->bytes || !r->maps)
        return MOLT_ENOMEM;
    struct tables t = {.recipe = r};
    r->n_top = (uint32_t)list->n;
    place_list(&t, list);
    molt_map_fini(&t.text_at);
    return t.code;
}

int molt_maker_finish(struct molt_maker *maker, struct molt_step_list *list,
                      struct molt_recipe *recipe)
{
    int rc = make_tables(maker, list, recipe);
    molt_step_list_fini(list);
    return rc;
}
