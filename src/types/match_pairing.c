/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Which field of a struct is which: by hint, by name, anonymous unions by their members. */
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

static size_t index_of(const struct molt_fields *fields, const char *name)
{
    const struct molt_field *field = name ? molt_fields_find(fields, name) : NULL;
    return field ? (size_t)(field - fields->items) : SIZE_MAX;
}

const char *molt_match_hint_path(struct molt_matcher *m, const struct molt_match_pairing *p,
                                 const char *name)
{
    return *p->prefix ? molt_match_text(m, "%s%s", p->prefix, name) : name;
}

/* The name without the prefix; NULL: of another struct. */
static const char *own_name(const struct molt_match_pairing *p, const char *path)
{
    size_t len = strlen(p->prefix);
    if (!path || strncmp(path, p->prefix, len) != 0 || strchr(path + len, '.'))
        return NULL;
    return path + len;
}

/* Is @text the field @name, with or without the prefix? */
static bool is_name(const struct molt_match_pairing *p, const char *text, const char *name)
{
    const char *own = own_name(p, text);
    return text && (strcmp(text, name) == 0 || (own && strcmp(own, name) == 0));
}

/* The field that RENAMED says a new one was, if the old struct has it; SIZE_MAX: none.
 * An old struct that has the new name already is from after the renaming. */
static size_t renamed_from(struct molt_matcher *m, const struct molt_match_pairing *p, size_t new)
{
    const char *name = p->new.items[new].name;
    if (!name || index_of(&p->old, name) != SIZE_MAX)
        return SIZE_MAX;
    if (!m->options->is_backward) {
        m->trials++; /* only looking */
        const struct molt_image_hint *h =
            molt_match_hint(m, MOLT_HINT_RENAMED, p->owner, molt_match_hint_path(m, p, name), NULL,
                            NULL);
        m->trials--;
        for (size_t i = 0; h && i < p->old.n; i++)
            if (p->old.items[i].name && is_name(p, h->text, p->old.items[i].name))
                return i;
        return SIZE_MAX;
    }
    for (size_t i = 0; i < p->old.n; i++) {
        const char *from = p->old.items[i].name;
        m->trials++;
        const struct molt_image_hint *h =
            from ? molt_match_hint(m, MOLT_HINT_RENAMED, p->owner, molt_match_hint_path(m, p, from),
                                   NULL, NULL)
                 : NULL;
        m->trials--;
        if (h && is_name(p, h->text, name) && index_of(&p->new, from) == SIZE_MAX)
            return i;
    }
    return SIZE_MAX;
}

/* Do two anonymous unions have a member's name in common? */
static bool is_union_alike(const struct molt_matcher *m, uint32_t old, uint32_t new)
{
    struct molt_field unused;
    const struct molt_node *node = molt_match_old(m, molt_graph_whole(&m->from.graph, old));
    for (uint32_t i = 0; i < node->n_members; i++) {
        const struct molt_member *member = &node->members[i];
        uint32_t whole = molt_graph_whole(&m->to.graph, new);
        if (member->name ? molt_field_at(&m->to.graph, whole, member->name, &unused)
                         : is_union_alike(m, member->type, new))
            return true;
    }
    return false;
}

static size_t same_field(const struct molt_matcher *m, const struct molt_match_pairing *p,
                         size_t new)
{
    const struct molt_field *field = &p->new.items[new];
    if (field->name)
        return index_of(&p->old, field->name);
    for (size_t i = 0; i < p->old.n; i++)
        if (!p->old.items[i].name && !p->is_used[i] &&
            is_union_alike(m, p->old.items[i].type, field->type))
            return i;
    return SIZE_MAX;
}

static void use(struct molt_match_pairing *p, size_t new, size_t old)
{
    p->old_of[new] = old;
    p->is_used[old] = true;
}

static void pair_fields(struct molt_matcher *m, struct molt_match_pairing *p)
{
    for (size_t i = 0; i < p->new.n; i++)
        p->old_of[i] = SIZE_MAX;
    for (size_t i = 0; i < p->new.n; i++) {
        size_t old = renamed_from(m, p, i);
        if (old == SIZE_MAX || p->is_used[old])
            continue;
        use(p, i, old);
        m->subject.was_hinted |= m->trials == 0;
    }
    for (size_t i = 0; i < p->new.n; i++) {
        size_t old = p->old_of[i] == SIZE_MAX ? same_field(m, p, i) : SIZE_MAX;
        if (old != SIZE_MAX && !p->is_used[old])
            use(p, i, old);
    }
}

bool molt_match_pairing_init(struct molt_matcher *m, const struct molt_match_place *at,
                             struct molt_match_pairing *p)
{
    uint32_t old = molt_graph_whole(&m->from.graph, at->old);
    uint32_t new = molt_graph_whole(&m->to.graph, at->new);
    uint32_t own = m->options->is_backward ? old : new;
    bool is_named = m->hinted->graph.nodes[own].identity != 0;
    *p = (struct molt_match_pairing){.old_at = at->old_at,
                                     .owner = is_named    ? own
                                              : at->field ? at->owner
                                                          : MOLT_NODE_NONE,
                                     .is_element = !is_named && at->is_element,
                                     .prefix = ""};
    if (!is_named && at->field)
        p->prefix = molt_match_text(m, "%s.", at->field);
    if (molt_fields_init(&p->old, &m->from.graph, old) < 0 ||
        molt_fields_init(&p->new, &m->to.graph, new) < 0)
        return false;
    p->old_of = calloc(p->new.n + 1, sizeof *p->old_of);
    p->is_used = calloc(p->old.n + 1, sizeof *p->is_used);
    if (!p->old_of || !p->is_used)
        return false;
    pair_fields(m, p);
    return true;
}

void molt_match_pairing_fini(struct molt_match_pairing *p)
{
    molt_fields_fini(&p->old);
    molt_fields_fini(&p->new);
    free(p->old_of);
    free(p->is_used);
}

const struct molt_field *molt_match_peer(const struct molt_matcher *m,
                                         const struct molt_match_place *at, const char *text)
{
    const struct molt_match_pairing *p = at->peers;
    const char *name = p ? own_name(p, text) : NULL;
    if (!name)
        return NULL;
    size_t i = index_of(m->options->is_backward ? &p->old : &p->new, name);
    if (i != SIZE_MAX && !m->options->is_backward)
        i = p->old_of[i];
    return i == SIZE_MAX ? NULL : &p->old.items[i];
}
