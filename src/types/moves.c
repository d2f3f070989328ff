/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/moves.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of constants that are searched for, all told: what looks like more isn't text. */
#define SEARCH_MAX ((uint64_t)64 << 20)
#define NAME_TEXT_MAX 40

/* Something with a name. */
struct thing {
    uint32_t at, len;
    bool is_function;
    uint64_t type;    /* 0: unknown, fits nothing */
    uint64_t element; /* the type of its elements, if it is an array; else 0 */
    char *key;        /* "f src/counter.c tick" */
    char *name;       /* "counter.c:tick()" */
};

struct things {
    size_t n, cap;
    struct thing *all;
    struct molt_map by_key; /* hash of the key -> index; keys are compared */
};

/* A text in the constant data that belongs to no thing, with its NUL. */
struct run {
    uint32_t at, len; /* with the NUL */
    const uint8_t *bytes;
};

struct runs {
    size_t n, cap;
    struct run *all;
    struct molt_map by_bytes; /* hash -> index of the first */
};

struct maker {
    struct molt_image *from, *to;
    struct things old, now;
    struct runs old_runs, now_runs;
    uint64_t n_searched;
    size_t cap_moves, cap_gone;
    struct molt_moves *out;
};

static void things_fini(struct things *things)
{
    for (size_t i = 0; i < things->n; i++) {
        free(things->all[i].key);
        free(things->all[i].name);
    }
    free(things->all);
    molt_map_fini(&things->by_key);
}

static void runs_fini(struct runs *runs)
{
    free(runs->all);
    molt_map_fini(&runs->by_bytes);
}

/* ---- what has a name --------------------------------------------------------------- */

/* Bytes of a complete type, 0 if unknown. */
static uint64_t size_of(const struct molt_graph *g, uint32_t type)
{
    uint64_t factor = 1;
    for (int depth = 0; depth < MOLT_CHAIN_MAX; depth++) {
        type = molt_graph_strip(g, type, NULL);
        const struct molt_node *node = &g->nodes[type];
        if (node->kind == MOLT_KIND_RECORD && node->completed != MOLT_NODE_NONE)
            node = &g->nodes[node->completed];
        if (node->kind != MOLT_KIND_ARRAY)
            return node->size > UINT32_MAX / factor ? 0 : node->size * factor;
        if (node->count == MOLT_COUNT_OPEN || node->count > UINT32_MAX / factor)
            return 0;
        factor *= node->count;
        if (factor == 0)
            return 0;
        type = node->target;
    }
    return 0;
}

static int add_thing(struct things *things, struct molt_image *image, Dwarf_Die *die,
                     const char *scope, const char *name, struct thing thing)
{
    const struct molt_source *source = molt_debug_source(&image->debug, die);
    const char *file = source ? source->text : "?", *base = source ? source->base : "?";
    const char *call = thing.is_function ? "()" : "";
    scope = scope ? scope : "";
    if (asprintf(&thing.key, "%c %s %s %s", thing.is_function ? 'f' : 'v', file, scope, name) < 0)
        return MOLT_ENOMEM;
    if (asprintf(&thing.name, "%s:%s%s%s%s", base, scope, *scope ? ":" : "", name, call) < 0 ||
        molt_array_grow(things->all, things->n, things->cap) < 0) {
        free(thing.key);
        return MOLT_ENOMEM;
    }
    things->all[things->n++] = thing;
    return 0;
}

static int add_functions(struct things *things, struct molt_image *image, struct molt_error *err)
{
    for (size_t i = 0; i < image->debug.n_fns; i++) {
        Dwarf_Die die = image->debug.fns[i].die;
        struct thing thing = {.at = (uint32_t)image->debug.fns[i].addr,
                              .len = 1,
                              .is_function = true};
        uint32_t node;
        if (!image->debug.fns[i].name || image->debug.fns[i].addr > UINT32_MAX)
            continue;
        int rc = molt_graph_add(&image->graph, &die, &node, err);
        if (rc == 0 && image->graph.nodes[node].kind == MOLT_KIND_FUNCTION)
            rc = molt_canon_signature(&image->canon, node, &thing.type, err);
        if (rc < 0)
            return rc;
        if (add_thing(things, image, &die, NULL, image->debug.fns[i].name, thing) < 0)
            return molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    }
    return 0;
}

/* molt's own tables are no place that anybody points to. */
static bool is_molts(const struct molt_image *image, uint64_t addr)
{
    const Elf64_Shdr *s = molt_elf_section_at(&image->elf, addr);
    const char *name = s ? molt_elf_section_name(&image->elf, s) : "";
    return !s || (strncmp(name, "molt_", 5) == 0 && strcmp(name, "molt_fresh") != 0);
}

static int find_element(struct molt_image *image, uint32_t type, uint64_t *ret,
                        struct molt_error *err)
{
    const struct molt_node *node = &image->graph.nodes[molt_graph_strip(&image->graph, type, NULL)];
    if (node->kind != MOLT_KIND_ARRAY)
        return 0;
    return molt_canon_type(&image->canon, node->target, MOLT_REACH_ALL, false, ret, err);
}

static int add_variables(struct things *things, struct molt_image *image, struct molt_error *err)
{
    for (size_t i = 0; i < image->debug.n_vars; i++) {
        const struct molt_debug_var *var = &image->debug.vars[i];
        struct thing thing = {.at = (uint32_t)var->addr};
        Dwarf_Die die = var->die;
        uint32_t node;
        if (!var->name || var->addr > UINT32_MAX || is_molts(image, var->addr) ||
            (i > 0 && var[-1].addr == var->addr))
            continue;
        int rc = molt_graph_add_type_of(&image->graph, &die, &node, err);
        if (rc == 0)
            rc = molt_canon_type(&image->canon, node, MOLT_REACH_ALL, false, &thing.type, err);
        if (rc < 0)
            return rc;
        thing.len = (uint32_t)size_of(&image->graph, node);
        if ((rc = find_element(image, node, &thing.element, err)) < 0)
            return rc;
        if (thing.len && add_thing(things, image, &die, var->scope, var->name, thing) < 0)
            return molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Keys that occur twice (nested blocks of one function with variables of one name) say
 * nothing: both are dropped from the index. */
static int index_things(struct things *things)
{
    for (size_t i = 0; i < things->n; i++) {
        uint64_t hash = molt_map_hash(things->all[i].key), known;
        bool is_there = molt_map_get(&things->by_key, hash, &known);
        if (molt_map_put(&things->by_key, hash, is_there ? SIZE_MAX : i) < 0)
            return MOLT_ENOMEM;
    }
    return 0;
}

static int list_things(struct things *things, struct molt_image *image, struct molt_error *err)
{
    int rc = add_functions(things, image, err);
    if (rc == 0)
        rc = add_variables(things, image, err);
    if (rc < 0)
        return rc;
    if (things->n)
        qsort(things->all, things->n, sizeof *things->all, by_place);
    if (index_things(things) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    return 0;
}

static const struct thing *find_thing(const struct things *things, const char *key)
{
    uint64_t i;
    if (!molt_map_get(&things->by_key, molt_map_hash(key), &i) || i == SIZE_MAX ||
        strcmp(things->all[i].key, key) != 0)
        return NULL;
    return &things->all[i];
}

/* ---- what has none --------------------------------------------------------------------- */

static uint64_t hash_bytes(const uint8_t *bytes, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int add_run(struct runs *runs, uint32_t at, const uint8_t *bytes, size_t n)
{
    uint64_t known, hash = hash_bytes(bytes, n);
    if (molt_array_grow(runs->all, runs->n, runs->cap) < 0)
        return MOLT_ENOMEM;
    if (!molt_map_get(&runs->by_bytes, hash, &known) &&
        molt_map_put(&runs->by_bytes, hash, runs->n) < 0)
        return MOLT_ENOMEM;
    runs->all[runs->n++] = (struct run){at, (uint32_t)n, bytes};
    return 0;
}

/* ASCII or UTF-8 as people write it. */
static bool is_text(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] < ' ' ? !strchr("\t\n\r\033", bytes[i]) : bytes[i] == 0x7f)
            return false;
    return true;
}

/* Cut [@lo, @hi) behind each NUL. Only what looks like text counts: other constants without
 * a name can't be told from parts of larger ones. */
static int cut(struct runs *runs, const uint8_t *base, uint64_t lo, uint64_t hi)
{
    bool may_be_empty = true; /* a NUL behind a text is "", further ones are padding */
    while (lo < hi) {
        const uint8_t *begin = base + lo;
        const uint8_t *end = memchr(begin, 0, hi - lo);
        if (!end)
            return 0;
        size_t n = (size_t)(end - begin) + 1;
        bool is_run = n > 1 ? is_text(begin, n - 1) : may_be_empty;
        if (is_run && add_run(runs, (uint32_t)lo, begin, n) < 0)
            return MOLT_ENOMEM;
        may_be_empty = n > 1;
        lo += n;
    }
    return 0;
}

static bool is_constant(const Elf64_Shdr *s)
{
    return (s->sh_flags & SHF_ALLOC) && !(s->sh_flags & (SHF_WRITE | SHF_EXECINSTR)) &&
           s->sh_type == SHT_PROGBITS;
}

/* The constant sections without the things in them. */
static int list_runs(struct runs *runs, const struct things *things, const struct molt_elf *elf)
{
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        const char *name = molt_elf_section_name(elf, s);
        const uint8_t *bytes = molt_elf_at(elf, s->sh_addr, s->sh_size);
        uint64_t lo = s->sh_addr, hi = s->sh_addr + s->sh_size;
        if (!is_constant(s) || !bytes || strncmp(name, ".eh_frame", 9) == 0 || hi > UINT32_MAX)
            continue;
        for (size_t k = 0; k < things->n && lo < hi; k++) {
            const struct thing *t = &things->all[k];
            if (t->is_function || t->at < lo || t->at >= hi)
                continue;
            if (cut(runs, bytes - s->sh_addr, lo, t->at) < 0)
                return MOLT_ENOMEM;
            lo = (uint64_t)t->at + t->len;
        }
        if (lo < hi && cut(runs, bytes - s->sh_addr, lo, hi) < 0)
            return MOLT_ENOMEM;
    }
    return 0;
}

/* The same bytes with their NUL; also as the tail of another text, which linkers share. */
static bool find_run(struct maker *m, const struct run *run, uint32_t *ret_at)
{
    uint64_t i;
    if (molt_map_get(&m->now_runs.by_bytes, hash_bytes(run->bytes, run->len), &i) &&
        m->now_runs.all[i].len == run->len &&
        memcmp(m->now_runs.all[i].bytes, run->bytes, run->len) == 0) {
        *ret_at = m->now_runs.all[i].at;
        return true;
    }
    for (size_t k = 0; k < m->now_runs.n && m->n_searched < SEARCH_MAX; k++) {
        const struct run *other = &m->now_runs.all[k];
        m->n_searched += 1;
        if (other->len <= run->len)
            continue;
        m->n_searched += run->len;
        if (memcmp(other->bytes + other->len - run->len, run->bytes, run->len) == 0) {
            *ret_at = other->at + other->len - run->len;
            return true;
        }
    }
    return false;
}

/* ---- the list ----------------------------------------------------------------------------- */

static int add_move(struct maker *m, struct molt_move move)
{
    if (molt_array_grow(m->out->moves, m->out->n_moves, m->cap_moves) < 0)
        return MOLT_ENOMEM;
    m->out->moves[m->out->n_moves++] = move;
    return 0;
}

/* @name is taken over. */
static int add_gone(struct maker *m, uint32_t at, uint32_t len, char *name)
{
    if (!name || molt_array_grow(m->out->gone, m->out->n_gone, m->cap_gone) < 0) {
        free(name);
        return MOLT_ENOMEM;
    }
    m->out->gone[m->out->n_gone++] = (struct molt_gone){at, len, name};
    return 0;
}

/* malloc'd; NULL when out of memory. */
static char *describe_gone(const struct thing *old, const struct thing *now)
{
    char *name = NULL;
    if (asprintf(&name, "%s%s", old->name, now ? " of that type" : "") < 0)
        return NULL;
    return name;
}

/* An array that got longer or shorter: the elements that are in both; and its end, if nothing
 * else begins there. */
static int add_array(struct maker *m, size_t i, const struct thing *now)
{
    const struct thing *old = &m->old.all[i];
    uint32_t len = old->len < now->len ? old->len : now->len, end = old->at + old->len;
    bool is_end_free = i + 1 == m->old.n || m->old.all[i + 1].at > end;
    int rc = add_move(m, (struct molt_move){old->at, now->at, len, 0, 0});
    if (rc == 0 && old->len > now->len)
        rc = add_gone(m, old->at + len, old->len - len, describe_gone(old, now));
    else if (rc == 0 && is_end_free)
        rc = add_move(m, (struct molt_move){end, now->at + now->len, 0, 0, 0});
    return rc;
}

static int add_things(struct maker *m)
{
    uint64_t end = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->old.n; i++) {
        const struct thing *old = &m->old.all[i];
        const struct thing *now = find_thing(&m->now, old->key);
        /* Identical functions, or a variable in a variable: the first one counts. */
        if (old->at < end)
            continue;
        end = (uint64_t)old->at + old->len;
        if (now && old->type && now->type == old->type && now->len == old->len)
            rc = add_move(m, (struct molt_move){old->at, now->at, old->len, old->is_function, 0});
        else if (now && old->element && now->element == old->element)
            rc = add_array(m, i, now);
        else
            rc = add_gone(m, old->at, old->len, describe_gone(old, now));
    }
    return rc;
}

static char *describe(const struct run *run)
{
    char *name = NULL;
    if (asprintf(&name, "the text \"%.*s%s\"", NAME_TEXT_MAX, (const char *)run->bytes,
                 run->len > NAME_TEXT_MAX + 1 ? "..." : "") < 0)
        return NULL;
    for (char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '.';
    return name;
}

/* The longest tail that is still there: linkers let "lo" be the end of "hello", and "" that of
 * any text. */
static int add_tail(struct maker *m, const struct run *run)
{
    for (uint32_t k = 1; k < run->len; k++) {
        struct run tail = {run->at + k, run->len - k, run->bytes + k};
        uint32_t at;
        if (find_run(m, &tail, &at))
            return add_move(m, (struct molt_move){tail.at, at, tail.len, 0, 1});
    }
    return 0;
}

static int add_runs(struct maker *m)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->old_runs.n; i++) {
        const struct run *run = &m->old_runs.all[i];
        uint32_t at;
        if (find_run(m, run, &at)) {
            rc = add_move(m, (struct molt_move){run->at, at, run->len, 0, 1});
            continue;
        }
        rc = add_gone(m, run->at, run->len, describe(run));
        if (rc == 0)
            rc = add_tail(m, run);
    }
    return rc;
}

static int by_old(const void *a, const void *b)
{
    const struct molt_move *x = a, *y = b;
    return (x->old_at > y->old_at) - (x->old_at < y->old_at);
}

static int by_gone(const void *a, const void *b)
{
    const struct molt_gone *x = a, *y = b;
    return (x->old_at > y->old_at) - (x->old_at < y->old_at);
}

/* Neighbours that stay neighbours are one move. */
static void merge(struct molt_moves *out)
{
    size_t n = 0;
    for (size_t i = 0; i < out->n_moves; i++) {
        struct molt_move *last = n ? &out->moves[n - 1] : NULL;
        const struct molt_move *now = &out->moves[i];
        if (last && !last->is_function && !now->is_function && last->is_text == now->is_text &&
            last->old_at + last->len == now->old_at && last->new_at + last->len == now->new_at)
            last->len += now->len;
        else
            out->moves[n++] = *now;
    }
    out->n_moves = n;
}

static int make(struct maker *m, struct molt_error *err)
{
    int rc = list_things(&m->old, m->from, err);
    if (rc == 0)
        rc = list_things(&m->now, m->to, err);
    if (rc < 0)
        return rc;
    if (list_runs(&m->old_runs, &m->old, &m->from->elf) < 0 ||
        list_runs(&m->now_runs, &m->now, &m->to->elf) < 0 || add_things(m) < 0 || add_runs(m) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    if (m->out->n_moves)
        qsort(m->out->moves, m->out->n_moves, sizeof *m->out->moves, by_old);
    if (m->out->n_gone)
        qsort(m->out->gone, m->out->n_gone, sizeof *m->out->gone, by_gone);
    merge(m->out);
    return 0;
}

int molt_moves_make(struct molt_image *from, struct molt_image *to, struct molt_moves **ret,
                    struct molt_error *err)
{
    struct maker m = {.from = from, .to = to, .out = calloc(1, sizeof *m.out)};
    int rc = m.out ? 0 : molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    if (rc == 0 && !(m.out->module = strdup(from->module)))
        rc = molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    if (rc == 0)
        rc = make(&m, err);
    if (rc == 0 && (molt_sha256(from->elf.bytes, from->elf.len, m.out->from_digest) < 0 ||
                    molt_sha256(to->elf.bytes, to->elf.len, m.out->to_digest) < 0))
        rc = molt_error_set(err, MOLT_ENOMEM, "comparing images: out of memory");
    if (rc == 0) {
        *ret = m.out;
        m.out = NULL;
    }
    molt_moves_free(m.out);
    things_fini(&m.old);
    things_fini(&m.now);
    runs_fini(&m.old_runs);
    runs_fini(&m.now_runs);
    return rc;
}
