/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Mutable globals of both images, by file, enclosing function and name. */
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

static int by_name(const void *a, const void *b)
{
    const struct molt_meta_global *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const struct molt_meta_global *find_global(const struct molt_meta *meta, const char *name)
{
    struct molt_meta_global key = {.name = (char *)(uintptr_t)name};
    if (meta->n_globals == 0)
        return NULL;
    return bsearch(&key, meta->globals, meta->n_globals, sizeof *meta->globals, by_name);
}

/* Does the name of a global mean this variable? */
static bool is_called(struct molt_image *image, const struct molt_debug_var *var, const char *name)
{
    Dwarf_Die die = var->die;
    const struct molt_source *source = molt_debug_source(&image->debug, &die);
    const char *scope = var->scope ? var->scope : "";
    size_t n = source ? strlen(source->text) : 0, n_scope = strlen(scope);
    if (!source || strncmp(name, source->text, n) != 0 || name[n] != ':')
        return false;
    name += n + 1;
    if (n_scope && (strncmp(name, scope, n_scope) != 0 || name[n_scope] != ':'))
        return false;
    return strcmp(name + (n_scope ? n_scope + 1 : 0), var->name) == 0;
}

static const struct molt_debug_var *find_variable(struct molt_image *image,
                                                  const struct molt_debug_var *vars, size_t n,
                                                  const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (is_called(image, &vars[i], name))
            return &vars[i];
    return NULL;
}

/* The author wrote const, also for all elements of an array. */
static int is_declared_const(struct molt_image *image, const struct molt_debug_var *var, bool *ret,
                             struct molt_error *err)
{
    uint32_t node;
    unsigned quals = 0;
    Dwarf_Die die = var->die;
    int rc = molt_graph_add_type_of(&image->graph, &die, &node, err);
    for (int i = 0; rc == 0 && i < MOLT_CHAIN_MAX; i++) {
        node = molt_graph_strip(&image->graph, node, &quals);
        if (image->graph.nodes[node].kind != MOLT_KIND_ARRAY)
            break;
        node = image->graph.nodes[node].target;
    }
    *ret = (quals & MOLT_QUAL_CONST) != 0;
    return rc;
}

static bool is_fresh(const struct molt_image *image, uint64_t addr)
{
    const Elf64_Shdr *s = molt_elf_section_at(&image->elf, addr);
    return s && strcmp(molt_elf_section_name(&image->elf, s), "molt_fresh") == 0;
}

/* What becomes of a global that the new image has not, as one. Compilers make constants of
 * variables that nobody writes: then the author means it still to be there. */
static int find_fate(struct molt_matcher *m, const char *name, enum molt_global_fate *ret)
{
    const struct molt_debug *d = &m->to.debug;
    const struct molt_debug_var *var = find_variable(&m->to, d->vars, d->n_vars, name);
    const struct molt_debug_var *ghost =
        var ? NULL : find_variable(&m->to, d->ghosts, d->n_ghosts, name);
    bool is_const = false;
    *ret = MOLT_GLOBAL_LOST;
    if (!var && !ghost)
        return 0;
    int rc = is_declared_const(&m->to, var ? var : ghost, &is_const, m->err);
    bool is_anew = is_const || (var && is_fresh(&m->to, var->addr));
    *ret = is_anew ? MOLT_GLOBAL_ANEW : MOLT_GLOBAL_REFUSED;
    return rc;
}

static int type_of(struct molt_image *image, const struct molt_meta_global *global, uint32_t *ret,
                   struct molt_error *err)
{
    const struct molt_debug_var *var = molt_debug_var_at(&image->debug, global->at);
    *ret = MOLT_NODE_VOID;
    if (!var)
        return 0;
    Dwarf_Die die = var->die;
    return molt_graph_add_type_of(&image->graph, &die, ret, err);
}

static struct molt_match_global *add(struct molt_match *match, size_t *cap, const char *name,
                                     enum molt_global_fate fate)
{
    char *copy = strdup(name);
    if (!copy || molt_array_grow(match->globals, match->n_globals, *cap) < 0) {
        free(copy);
        return NULL;
    }
    struct molt_match_global *ret = &match->globals[match->n_globals++];
    *ret = (struct molt_match_global){.name = copy, .fate = fate};
    return ret;
}

static const char *obstacle_of(const struct molt_meta_global *old,
                               const struct molt_meta_global *now)
{
    if (*old->obstacle)
        return old->obstacle;
    return *now->obstacle ? now->obstacle : NULL;
}

static int match_pair(struct molt_matcher *m, const struct molt_meta_global *old,
                      const struct molt_meta_global *now, struct molt_match_global *ret)
{
    struct molt_match_variable v = {.name = old->name, .obstacle = obstacle_of(old, now)};
    ret->old_at = old->at;
    ret->new_at = now->at;
    int rc = type_of(&m->from, old, &v.old, m->err);
    if (rc == 0)
        rc = type_of(&m->to, now, &v.new, m->err);
    if (rc < 0)
        return rc;
    v.old_bytes = v.obstacle ? 0 : (uint32_t)old->bytes;
    v.new_bytes = v.obstacle ? 0 : (uint32_t)now->bytes;
    rc = molt_match_variable(m, &v, &ret->value);
    if (rc == 0 && !ret->value.recipe)
        ret->fate = MOLT_GLOBAL_REFUSED;
    return rc;
}

/* The new image has no such global. */
static int match_gone(struct molt_matcher *m, const struct molt_meta_global *old,
                      struct molt_match_global *ret)
{
    struct molt_match_variable v = {.name = old->name,
                                    .obstacle = "the new version doesn't write it any more, and "
                                                "the compiler made a constant of it"};
    ret->old_at = old->at;
    int rc = find_fate(m, old->name, &ret->fate);
    if (rc == 0 && ret->fate == MOLT_GLOBAL_REFUSED)
        rc = molt_match_variable(m, &v, &ret->value);
    return rc;
}

int molt_match_globals(struct molt_matcher *m, struct molt_match *match)
{
    const struct molt_meta *old = m->from.meta, *now = m->to.meta;
    size_t cap = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < old->n_globals; i++) {
        const struct molt_meta_global *a = &old->globals[i], *b = find_global(now, a->name);
        struct molt_match_global *global = add(match, &cap, a->name, MOLT_GLOBAL_FOLLOWS);
        if (!global)
            return MOLT_ENOMEM;
        rc = b ? match_pair(m, a, b, global) : match_gone(m, a, global);
    }
    for (size_t i = 0; rc == 0 && i < now->n_globals; i++) {
        if (find_global(old, now->globals[i].name))
            continue;
        struct molt_match_global *global = add(match, &cap, now->globals[i].name, MOLT_GLOBAL_NEW);
        if (!global)
            return MOLT_ENOMEM;
        global->new_at = now->globals[i].at;
    }
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct molt_carried *x = a, *y = b;
    return (x->old_at > y->old_at) - (x->old_at < y->old_at);
}

int molt_match_carry(const struct molt_match *match, struct molt_carry *ret)
{
    *ret = (struct molt_carry){.items = calloc(match->n_globals + 1, sizeof *ret->items)};
    if (!ret->items)
        return MOLT_ENOMEM;
    ret->module = match->moves->module;
    memcpy(ret->from_digest, match->moves->from_digest, sizeof ret->from_digest);
    memcpy(ret->to_digest, match->moves->to_digest, sizeof ret->to_digest);
    for (size_t i = 0; i < match->n_globals; i++) {
        const struct molt_match_global *g = &match->globals[i];
        if (g->fate == MOLT_GLOBAL_FOLLOWS)
            ret->items[ret->n++] =
                (struct molt_carried){g->name, g->old_at, g->new_at, g->value.recipe};
    }
    qsort(ret->items, ret->n, sizeof *ret->items, by_place);
    return 0;
}
