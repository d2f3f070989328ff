/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Arrays, and the flexible member at the end of a struct. */
#include <inttypes.h>
#include <string.h>

#include "types/match_work.h"

#define WORD 8

static bool is_plain_char(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
    return node->kind == MOLT_KIND_BASE && node->name && strcmp(node->name, "char") == 0;
}

/* The words among @n bytes that have an address of 8 * k + @phase. */
static void copy_words(struct molt_matcher *m, struct molt_step_list *list, struct molt_make_at at,
                       uint64_t n, unsigned phase)
{
    uint64_t head = (phase - at.old_at) % WORD;
    uint64_t words = n < head ? 0 : (n - head) / WORD;
    at.old_at += head;
    at.new_at += head;
    if (words && words <= UINT32_MAX)
        molt_make_leaf(&m->maker, list, at,
                       (struct molt_step){.kind = MOLT_STEP_WORD, .count = (uint32_t)words});
}

/* Where elements are aligned differently, each word that one of them may have. They
 * overlap, and write the same bytes. */
void molt_match_copy_bytes(struct molt_matcher *m, struct molt_step_list *list,
                           const struct molt_match_place *at, uint64_t n)
{
    struct molt_make_at here = molt_match_at(m, at);
    uint64_t head = -here.old_at % WORD, words = n < head ? 0 : (n - head) / WORD;
    if (at->old_align == WORD && words) {
        struct molt_make_at tail = here;
        tail.old_at += head + words * WORD;
        tail.new_at += head + words * WORD;
        molt_make_copy(&m->maker, list, here, head, 0);
        copy_words(m, list, here, n, 0);
        molt_make_copy(&m->maker, list, tail, n - head - words * WORD, 0);
        return;
    }
    molt_make_copy(&m->maker, list, here, n, 0);
    for (unsigned phase = 0; at->old_align < WORD && phase < WORD; phase += at->old_align)
        copy_words(m, list, here, n, phase);
}

static void condition(struct molt_matcher *m, struct molt_step_list *list,
                      const struct molt_match_place *at, enum molt_step_kind kind, uint64_t skip,
                      uint64_t count)
{
    struct molt_make_at here = molt_match_at(m, at);
    here.old_at += skip;
    here.new_at = 0;
    molt_make_leaf(&m->maker, list, here,
                   (struct molt_step){.kind = (uint8_t)kind, .count = (uint32_t)count});
}

/* "The first n are in use": n is checked. */
static bool match_length(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, uint64_t limit)
{
    unsigned bytes;
    bool is_signed;
    if (!at->field)
        return false;
    const struct molt_image_hint *h =
        molt_match_hint(m, MOLT_HINT_LENGTH, at->owner, at->field, NULL, NULL);
    const struct molt_field *count = h ? molt_match_peer(m, at, h->text) : NULL;
    if (!count || !molt_match_integer(&m->from.graph, count->type, &bytes, &is_signed))
        return false;
    struct molt_make_at here = molt_match_at(m, at);
    struct molt_step step = {.kind = MOLT_STEP_FITS,
                             .flags = is_signed ? MOLT_STEP_OLD_SIGNED : 0,
                             .old_bytes = (uint8_t)bytes,
                             .count = 1,
                             .limit = (int64_t)limit};
    here.new_at = 0;
    here.old_at = at->peers->old_at + count->bit_offset / 8;
    if (count->bit_size) {
        here.old_at = 8 * at->peers->old_at + count->bit_offset;
        step.old_bytes = (uint8_t)count->bit_size;
        step.flags |= MOLT_STEP_IN_BITS;
    }
    molt_make_leaf(&m->maker, list, here, step);
    return true;
}

/* Can the elements from @count on go? */
static bool match_shorter(struct molt_matcher *m, struct molt_step_list *list,
                          const struct molt_match_place *at, uint64_t old_count, uint64_t count,
                          uint64_t size)
{
    uint32_t element = molt_match_old(m, molt_graph_whole(&m->from.graph, at->old))->target;
    if (match_length(m, list, at, count))
        return true;
    if (is_plain_char(&m->from.graph, element)) {
        condition(m, list, at, MOLT_STEP_STRING, 0, count);
        return true;
    }
    if (m->options->is_backward) {
        condition(m, list, at, MOLT_STEP_ZERO, count * size, (old_count - count) * size);
        return true;
    }
    const char *remedy =
        at->field && at->peers
            ? molt_match_text(m, "MOLT_LENGTH(%s, %s, n);  /* n: the field that counts */\n",
                              molt_match_owner_text(m, at), at->field)
            : NULL;
    molt_match_refuse_types(m, at, MOLT_MATCH_SHORTER, remedy, "the last elements may be in use");
    return false;
}

/* What a longer array has more, from the default of the whole. */
static void match_longer(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, uint64_t from, uint64_t bytes)
{
    struct molt_make_at here = molt_match_at(m, at);
    const struct molt_image_hint *h =
        at->field && !at->is_element && !m->options->is_backward
            ? molt_match_hint(m, MOLT_HINT_DEFAULT, at->owner, at->field, NULL, NULL)
            : NULL;
    molt_make_gap(list);
    if (!h || h->value_size != bytes)
        return;
    here.new_at += from;
    molt_make_set(&m->maker, list, here, h->value + from, bytes - from);
}

static struct molt_match_place element_of(struct molt_matcher *m, const struct molt_match_place *at,
                                          uint32_t old, uint32_t new)
{
    struct molt_match_place inner = *at;
    inner.old = old;
    inner.new = new;
    inner.old_at = inner.new_at = 0;
    inner.old_align = molt_match_align(at->old_align, at->old_at);
    inner.old_align = molt_match_align(inner.old_align, molt_graph_size(&m->from.graph, old));
    inner.path = molt_match_text(m, "%s[]", at->path);
    inner.is_tail = false;
    inner.is_element = true;
    inner.peers = NULL;
    inner.depth++;
    return inner;
}

/* The key of elements that are structs, for pointers to them. */
static uint64_t struct_id(struct molt_matcher *m, uint32_t old)
{
    uint32_t whole = molt_graph_whole(&m->from.graph, old);
    return molt_match_old(m, whole)->kind == MOLT_KIND_RECORD ? molt_match_type_id(m, whole) : 0;
}

static bool is_bytes(const struct molt_matcher *m, uint32_t old, uint32_t new)
{
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, old));
    const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, new));
    return molt_match_is_byte(&m->from.graph, old) && molt_match_is_byte(&m->to.graph, new) &&
           a->encoding == b->encoding;
}

static void match_elements(struct molt_matcher *m, struct molt_step_list *list,
                           const struct molt_match_place *at, uint32_t old, uint32_t new,
                           uint64_t count)
{
    uint64_t old_size = molt_graph_size(&m->from.graph, old);
    uint64_t new_size = molt_graph_size(&m->to.graph, new);
    struct molt_match_place inner = element_of(m, at, old, new);
    struct molt_step_list steps = {0};
    if (is_bytes(m, old, new)) {
        molt_match_copy_bytes(m, list, at, count);
        return;
    }
    if (count > UINT32_MAX || old_size > UINT32_MAX || new_size > UINT32_MAX) {
        molt_match_refuse(m, at, MOLT_MATCH_TOO_BIG, NULL, "%" PRIu64 " elements", count);
        return;
    }
    molt_match_value(m, &steps, inner);
    molt_make_end(&steps, old_size, new_size);
    molt_make_parent(&m->maker, list, molt_match_at(m, at),
                     (struct molt_step){.kind = MOLT_STEP_EACH,
                                        .count = (uint32_t)count,
                                        .old_stride = (uint32_t)old_size,
                                        .new_stride = (uint32_t)new_size,
                                        .type = struct_id(m, old)},
                     &steps);
}

void molt_match_array(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at)
{
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, at.old));
    const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, at.new));
    uint64_t old_count = a->count == MOLT_COUNT_OPEN ? 0 : a->count;
    uint64_t new_count = b->count == MOLT_COUNT_OPEN ? 0 : b->count;
    uint64_t count = old_count < new_count ? old_count : new_count;
    uint32_t old = a->target, new = b->target;
    if (old_count != new_count)
        molt_match_line_types(m, &at);
    if (new_count < old_count &&
        !match_shorter(m, list, &at, old_count, new_count, molt_graph_size(&m->from.graph, old)))
        return;
    match_elements(m, list, &at, old, new, count);
    if (new_count > old_count)
        match_longer(m, list, &at, count * molt_graph_size(&m->to.graph, new),
                     molt_graph_size(&m->to.graph, at.new));
}

/* ---- flexible members ----------------------------------------------------- */

static void add_flex(struct molt_matcher *m, struct molt_step_list *list,
                     const struct molt_match_place *at, uint64_t old_size, uint64_t new_size,
                     struct molt_step_list *steps)
{
    molt_make_gap(list); /* elements may begin in the padding */
    molt_make_parent(&m->maker, list, molt_match_at(m, at),
                     (struct molt_step){.kind = MOLT_STEP_FLEX,
                                        .count = 1,
                                        .old_stride = (uint32_t)old_size,
                                        .new_stride = (uint32_t)new_size},
                     steps);
    list->is_closed = list->is_tight = true;
}

void molt_match_flexible(struct molt_matcher *m, struct molt_step_list *list,
                         struct molt_match_place at)
{
    struct molt_step_list steps = {0};
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, at.old));
    uint64_t old_size = molt_graph_size(&m->from.graph, a->target), new_size = 0;
    if (at.depth > 1) {
        molt_match_refuse(m, &at, MOLT_MATCH_FLEXIBLE, NULL, "it lies in a struct inside another");
        return;
    }
    if (at.new_field) {
        const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, at.new));
        new_size = molt_graph_size(&m->to.graph, b->target);
        struct molt_match_place inner = element_of(m, &at, a->target, b->target);
        molt_match_value(m, &steps, inner);
        molt_make_end(&steps, old_size, new_size);
    }
    if (old_size == 0 || old_size > UINT32_MAX || new_size > UINT32_MAX) {
        molt_step_list_fini(&steps);
        molt_match_refuse(m, &at, MOLT_MATCH_FLEXIBLE, NULL, "its elements have no size");
        return;
    }
    add_flex(m, list, &at, old_size, new_size, &steps);
}
