/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The driver: which types are one in both images, and what becomes of each. */
#include "types/match.h"

#include <stdlib.h>
#include <string.h>

#include "types/debug_walk.h"
#include "types/match_work.h"
#include "types/moves.h"

#define VISITS_MAX 1000000u /* values that are looked at for one type */
#define IN_SIGNATURES " in signatures"

/* ---- which is which --------------------------------------------------------- */

static const char *unit_path(struct molt_image *image, size_t i)
{
    struct molt_unit *unit = &image->debug.units[i];
    const char *name = dwarf_diename(&unit->die);
    const struct molt_source *source =
        name ? molt_debug_source_named(&image->debug, unit, name) : NULL;
    return source ? source->text : "";
}

/* The file of @h in the other image, where what it names is looked for first. */
static size_t other_unit(struct molt_matcher *m, struct molt_image *other,
                         const struct molt_image_hint *h)
{
    const char *path = h->unit < m->hinted->debug.n_units ? unit_path(m->hinted, h->unit) : "";
    for (size_t i = 0; *path && i < other->debug.n_units; i++)
        if (strcmp(unit_path(other, i), path) == 0)
            return i;
    return SIZE_MAX;
}

/* A hint is past if the other image knows the new name already. */
static int find_renamed(struct molt_matcher *m, const struct molt_image_hint *h)
{
    struct molt_image *other = m->options->is_backward ? &m->to : &m->from;
    struct molt_buf name = MOLT_BUF_INIT;
    uint32_t found = MOLT_NODE_NONE, past;
    if (!h->text)
        return 0;
    size_t unit = other_unit(m, other, h);
    molt_graph_print(&m->hinted->graph, h->type, &name);
    molt_buf_printf(&name, "%s", "");
    int rc = name.is_failed ? MOLT_ENOMEM : 0;
    if (rc == 0 && strcmp(name.data, h->text) != 0)
        rc = molt_graph_find(&other->graph, unit, name.data, &past, m->err);
    molt_buf_fini(&name);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = molt_graph_find(&other->graph, unit, h->text, &found, m->err);
    if (rc <= 0)
        return rc;
    struct molt_match_renamed pair = {.old = found, .new = h->type, .is_hinted = true};
    if (m->options->is_backward)
        pair = (struct molt_match_renamed){.old = h->type, .new = found, .is_hinted = true};
    return molt_match_add_renamed(m, pair);
}

static int find_all_renamed(struct molt_matcher *m)
{
    for (size_t i = 0; i < m->hinted->hints.n; i++) {
        int rc = m->hinted->hints.items[i].kind == MOLT_HINT_RENAMED_TYPE
                     ? find_renamed(m, &m->hinted->hints.items[i])
                     : 0;
        if (rc < 0)
            return rc;
    }
    return molt_match_find_tags(m);
}

static bool is_block_key(const char *key)
{
    size_t len = strlen(key), n = strlen(IN_SIGNATURES);
    return len < n || strcmp(key + len - n, IN_SIGNATURES) != 0;
}

static const char *file_of(const struct molt_image *image, size_t type)
{
    uint32_t node = molt_graph_whole(&image->graph, image->type_nodes[type]);
    const struct molt_source *file = image->graph.nodes[node].file;
    return file ? file->text : "";
}

/* Types of @key, and in the file @file if there are several. SIZE_MAX: none; @ret_n: how
 * many there are. */
static size_t find_key(const struct molt_image *image, const char *key, const char *file,
                       size_t *ret_n)
{
    size_t found = SIZE_MAX, n = 0, in_file = SIZE_MAX, n_in_file = 0;
    for (size_t i = 0; i < image->meta->n_types; i++) {
        if (strcmp(image->meta->types[i].key, key) != 0)
            continue;
        found = i;
        n++;
        if (strcmp(file_of(image, i), file) == 0) {
            in_file = i;
            n_in_file++;
        }
    }
    *ret_n = n_in_file ? n_in_file : n;
    return n_in_file ? in_file : found;
}

/* The same type with the same layout; meta->n_types: there is none. */
static size_t same_type(const struct molt_meta *meta, const struct molt_meta_type *type)
{
    size_t i = 0;
    while (i < meta->n_types &&
           (meta->types[i].hash != type->hash || strcmp(meta->types[i].key, type->key) != 0))
        i++;
    return i;
}

/* What the old type @i is now: by key, by hint. SIZE_MAX: nothing. */
static size_t counterpart(struct molt_matcher *m, size_t i, bool *ret_is_twice)
{
    const struct molt_meta_type *type = &m->from.meta->types[i];
    size_t n_old, n_new;
    find_key(&m->from, type->key, file_of(&m->from, i), &n_old);
    size_t found = find_key(&m->to, type->key, file_of(&m->from, i), &n_new);
    *ret_is_twice = n_old > 1 || n_new > 1;
    for (size_t k = 0; found == SIZE_MAX && k < m->to.meta->n_types; k++)
        if (is_block_key(m->to.meta->types[k].key) &&
            molt_match_renamed(m, m->from.type_nodes[i], m->to.type_nodes[k]))
            found = k;
    return found;
}

/* ---- one type ------------------------------------------------------------------ */

static void fini_refusal(struct molt_match_refusal *r)
{
    free(r->rule);
    free(r->field);
    free(r->why);
    free(r->remedy);
    free(r->place);
}

static void fini_subject(struct molt_match_subject *s)
{
    for (size_t i = 0; i < s->n_refusals; i++)
        fini_refusal(&s->refusals[i]);
    for (size_t i = 0; i < s->n_lost; i++)
        free(s->lost[i]);
    free(s->refusals);
    free(s->lost);
    molt_buf_fini(&s->lines);
    *s = (struct molt_match_subject){0};
}

static const char *bare_name(const char *name)
{
    static const char *const words[] = {"struct ", "union ", "enum "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(name, words[i], strlen(words[i])) == 0)
            return name + strlen(words[i]);
    return name;
}

static void begin(struct molt_matcher *m, uint32_t old, uint32_t new, const char *name)
{
    m->maker = (struct molt_maker){0};
    m->visits = VISITS_MAX;
    m->denials = 0;
    m->subject = (struct molt_match_subject){.old = molt_graph_whole(&m->from.graph, old),
                                             .new = molt_graph_whole(&m->to.graph, new),
                                             .name = name,
                                             .bare = bare_name(name)};
}

static bool is_reach_only(struct molt_matcher *m)
{
    m->ignores_pointees = true;
    bool is_same = molt_match_is_kept(m, m->subject.old, m->subject.new, 0);
    m->ignores_pointees = false;
    return is_same;
}

/* The root's name must be the same, as for structs inside. */
static void match_root(struct molt_matcher *m, struct molt_step_list *list)
{
    struct molt_match_place at = {.old = m->subject.old,
                                  .new = m->subject.new,
                                  .path = "",
                                  .owner = MOLT_NODE_NONE,
                                  .is_tail = true};
    /* A block may be an array of it. */
    at.old_align = molt_match_align(8, molt_graph_size(&m->from.graph, at.old));
    if (!molt_match_is_type(m, at.old, at.new, false))
        molt_match_refuse_types(m, &at, MOLT_MATCH_RENAMED_TYPE,
                                molt_match_text(m, "MOLT_RENAMED_TYPE(%s, %s);\n", m->subject.name,
                                                molt_match_type_text(m, &m->from, at.old)),
                                "the state of the same server has another type");
    molt_match_value(m, list, at);
    molt_make_end(list, molt_graph_size(&m->from.graph, at.old),
                  molt_graph_size(&m->to.graph, at.new));
}

static int make_recipe(struct molt_matcher *m, const struct molt_meta_type *old,
                       const struct molt_meta_type *new, struct molt_step_list *list,
                       struct molt_recipe **ret)
{
    struct molt_recipe *r = calloc(1, sizeof *r);
    if (!r) {
        molt_step_list_fini(list);
        return MOLT_ENOMEM;
    }
    r->from_key = strdup(old->key);
    r->to_key = strdup(new->key);
    r->from_hash = old->hash;
    r->to_hash = new->hash;
    r->from_type = molt_recipe_type_id(old->key);
    r->from_size = old->size;
    r->to_size = new->size;
    int rc = molt_maker_finish(&m->maker, list, r);
    if (rc == 0 && (!r->from_key || !r->to_key))
        rc = MOLT_ENOMEM;
    if (rc == 0 && (rc = molt_recipe_check(r, NULL)) < 0 && rc != MOLT_ENOMEM)
        rc = MOLT_ELIMIT; /* nested too deeply, or the like */
    r->lost = m->subject.lost;
    r->n_lost = (uint32_t)m->subject.n_lost;
    m->subject.lost = NULL;
    m->subject.n_lost = 0;
    if (rc < 0)
        molt_recipe_free(r);
    else
        *ret = r;
    return rc;
}

/* What would be refused is the author's to convert. */
static int leave_to_author(struct molt_matcher *m, struct molt_recipe *r, uint64_t at)
{
    struct molt_match_subject *s = &m->subject;
    r->change_module = strdup(m->to.meta->module);
    r->change_at = at;
    if (s->n_refusals)
        r->flags |= MOLT_RECIPE_IS_PARTIAL;
    for (size_t i = 0; i < s->n_refusals; i++) {
        molt_match_line(m, "%s  left to MOLT_CHANGE: %s", s->refusals[i].field, s->refusals[i].why);
        fini_refusal(&s->refusals[i]);
    }
    s->n_refusals = 0;
    return r->change_module ? 0 : MOLT_ENOMEM;
}

static int finish_recipe(struct molt_matcher *m, const struct molt_meta_type *old,
                         const struct molt_meta_type *new, struct molt_step_list *list,
                         struct molt_match_type *type)
{
    struct molt_match_subject *s = &m->subject;
    uint64_t change_at = 0;
    bool is_changed = !s->is_variable && molt_match_find_change(m, &change_at);
    if (m->maker.is_failed)
        return MOLT_ENOMEM;
    type->verdict = s->was_hinted ? MOLT_MATCH_HINTED : MOLT_MATCH_AUTOMATIC;
    if (s->n_refusals && !is_changed) {
        type->verdict = MOLT_MATCH_REFUSED;
        molt_step_list_fini(list);
        return 0;
    }
    int rc = make_recipe(m, old, new, list, &type->recipe);
    if (rc == MOLT_ELIMIT) {
        struct molt_match_place at = {.path = "", .owner = MOLT_NODE_NONE};
        molt_match_refuse(m, &at, MOLT_MATCH_TOO_BIG, NULL, "its recipe has too many steps");
        type->verdict = MOLT_MATCH_REFUSED;
        return 0;
    }
    if (rc == 0 && is_changed) {
        type->verdict = MOLT_MATCH_CHANGE;
        rc = leave_to_author(m, type->recipe, change_at);
    }
    return rc;
}

static int fill_type(struct molt_matcher *m, const struct molt_meta_type *old,
                     const struct molt_meta_type *new, struct molt_match_type *type)
{
    struct molt_match_subject *s = &m->subject;
    type->from_key = strdup(old->key);
    type->to_key = strdup(new->key);
    type->from_hash = old->hash;
    type->to_hash = new->hash;
    type->name = strdup(new->name);
    molt_buf_printf(&s->lines, "%s", "");
    type->lines = molt_buf_take(&s->lines);
    molt_match_fill_remedies(m);
    type->refusals = s->refusals;
    type->n_refusals = s->n_refusals;
    s->refusals = NULL;
    s->n_refusals = 0;
    if (!type->from_key || !type->to_key || !type->name || !type->lines)
        return MOLT_ENOMEM;
    return m->code;
}

static int finish(struct molt_matcher *m, const struct molt_meta_type *old,
                  const struct molt_meta_type *new, struct molt_step_list *list,
                  struct molt_match_type *ret)
{
    int rc = m->code;
    if (rc == 0)
        rc = finish_recipe(m, old, new, list, ret);
    molt_step_list_fini(list);
    if (rc == 0)
        rc = m->code;
    if (rc == 0)
        rc = fill_type(m, old, new, ret);
    fini_subject(&m->subject);
    return rc;
}

static int match_type(struct molt_matcher *m, size_t i, size_t k, bool is_twice,
                      struct molt_match_type *ret)
{
    const struct molt_meta_type *old = &m->from.meta->types[i], *new = &m->to.meta->types[k];
    struct molt_step_list list = {0};
    begin(m, m->from.type_nodes[i], m->to.type_nodes[k], new->name);
    ret->is_reach_only = is_reach_only(m);
    m->subject.was_hinted = false;
    if (is_twice) {
        struct molt_match_place at = {.path = "", .owner = MOLT_NODE_NONE};
        molt_match_refuse(m, &at, MOLT_MATCH_TWICE, NULL, "%s", old->key);
    } else {
        match_root(m, &list);
    }
    return finish(m, old, new, &list, ret);
}

int molt_match_variable(struct molt_matcher *m, const struct molt_match_variable *v,
                        struct molt_match_type *ret)
{
    struct molt_step_list list = {0};
    /* A variable has a name and a size, and no hash: who it is is said by its place. */
    struct molt_meta_type old = {.name = v->name, .size = v->old_bytes};
    struct molt_meta_type new = {.name = v->name, .size = v->new_bytes};
    old.key = (char *)(uintptr_t)molt_graph_key(&m->from.graph, v->old, 0);
    new.key = (char *)(uintptr_t)molt_graph_key(&m->to.graph, v->new, 0);
    if (!old.key || !new.key)
        return MOLT_ENOMEM;
    begin(m, v->old, v->new, v->name);
    m->subject.is_variable = true;
    struct molt_match_place at = {
        .old = v->old, .new = v->new, .path = "", .owner = MOLT_NODE_NONE, .old_align = 8};
    const char *obstacle = v->obstacle;
    bool is_record = molt_match_old(m, m->subject.old)->kind == MOLT_KIND_RECORD &&
                     molt_match_new(m, m->subject.new)->kind == MOLT_KIND_RECORD;
    if (obstacle)
        molt_match_refuse(m, &at, MOLT_MATCH_GLOBAL, NULL, "%s", obstacle);
    else if (is_record && !molt_match_is_type(m, at.old, at.new, false))
        molt_match_refuse_types(m, &at, MOLT_MATCH_RENAMED_TYPE, NULL, "another struct");
    else
        molt_match_value(m, &list, at);
    molt_make_end(&list, v->old_bytes, v->new_bytes);
    return finish(m, &old, &new, &list, ret);
}

/* ---- all of them ----------------------------------------------------------------- */

/* The state of the server that @i is the state of, if it has another name now. */
static size_t renamed_state(const struct molt_matcher *m, size_t i)
{
    const struct molt_meta *a = m->from.meta, *b = m->to.meta;
    for (size_t s = 0; s < a->n_servers; s++)
        for (size_t t = 0; a->servers[s].state_type == i && t < b->n_servers; t++)
            if (strcmp(a->servers[s].name, b->servers[t].name) == 0)
                return b->servers[t].state_type;
    return SIZE_MAX;
}

static int add_type(struct molt_matcher *m, size_t i, struct molt_match *match, size_t *cap)
{
    const struct molt_meta_type *old = &m->from.meta->types[i];
    bool is_twice = false;
    if (!is_block_key(old->key) || same_type(m->to.meta, old) < m->to.meta->n_types)
        return 0;
    size_t k = counterpart(m, i, &is_twice);
    if (k == SIZE_MAX)
        k = renamed_state(m, i);
    if (k == SIZE_MAX)
        return 0;
    if (molt_array_grow(match->types, match->n_types, *cap) < 0)
        return MOLT_ENOMEM;
    struct molt_match_type *type = &match->types[match->n_types++];
    *type = (struct molt_match_type){0};
    return match_type(m, i, k, is_twice, type);
}

/* ---- what stays ------------------------------------------------------------------ */

/* Without hints, or a pointer whose pointee is known, a recipe says no more than the type
 * itself. */
static bool tells_pointers(const struct molt_recipe *r)
{
    for (uint32_t i = 0; i < r->n_steps; i++)
        if (r->steps[i].kind == MOLT_STEP_UNION ||
            (r->steps[i].kind == MOLT_STEP_POINTER && r->steps[i].type))
            return true;
    return false;
}

/* The recipe from a type to itself; *ret NULL: it would say nothing, or is refused. */
static int match_same(struct molt_matcher *m, size_t i, struct molt_recipe **ret)
{
    const struct molt_meta_type *old = &m->from.meta->types[i];
    size_t k = same_type(m->to.meta, old);
    struct molt_step_list list = {0};
    *ret = NULL;
    if (!is_block_key(old->key) || k == m->to.meta->n_types || old->n_ptrs + old->n_flex_ptrs == 0)
        return 0;
    begin(m, m->from.type_nodes[i], m->to.type_nodes[k], m->to.meta->types[k].name);
    match_root(m, &list);
    int rc = m->code;
    if (rc == 0 && m->subject.n_refusals == 0)
        rc = make_recipe(m, old, &m->to.meta->types[k], &list, ret);
    molt_step_list_fini(&list);
    bool tells = m->subject.was_hinted || (*ret && tells_pointers(*ret));
    fini_subject(&m->subject);
    if (rc == 0 && *ret && !tells) {
        molt_recipe_free(*ret);
        *ret = NULL;
    }
    return rc == MOLT_ELIMIT ? 0 : rc;
}

static int match_all_same(struct molt_matcher *m, struct molt_match *match)
{
    size_t cap = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && match->n_types && i < m->from.meta->n_types; i++) {
        struct molt_recipe *recipe;
        rc = match_same(m, i, &recipe);
        if (rc == 0 && recipe && molt_array_grow(match->same, match->n_same, cap) < 0) {
            molt_recipe_free(recipe);
            rc = MOLT_ENOMEM;
        } else if (rc == 0 && recipe) {
            match->same[match->n_same++] = recipe;
        }
    }
    return rc;
}

/* ---- the pair as a whole ----------------------------------------------------------- */

static int match_all(struct molt_matcher *m, struct molt_match *match)
{
    size_t cap = 0;
    int rc = find_all_renamed(m);
    if (rc < 0)
        return rc;
    molt_match_find_enums(m);
    rc = m->code;
    for (size_t i = 0; rc == 0 && i < m->from.meta->n_types; i++)
        rc = add_type(m, i, match, &cap);
    if (rc == 0)
        rc = match_all_same(m, match);
    if (rc < 0)
        return rc;
    m->subject = (struct molt_match_subject){0};
    molt_match_check_enums(m);
    match->refusals = m->subject.refusals;
    match->n_refusals = m->subject.n_refusals;
    m->subject.refusals = NULL;
    m->subject.n_refusals = 0;
    fini_subject(&m->subject);
    rc = m->code;
    if (rc == 0 && !m->options->is_backward)
        rc = molt_match_globals(m, match);
    if (rc == 0 && m->options->wants_moves)
        rc = molt_moves_make(&m->from, &m->to, &match->moves, m->err);
    return rc;
}

static int run(struct molt_matcher *m, struct molt_match *match)
{
    int rc = match_all(m, match);
    bool is_failed =
        m->arena.is_failed || m->from.debug.arena.is_failed || m->to.debug.arena.is_failed;
    if (rc == MOLT_ENOMEM || (rc == 0 && is_failed))
        rc = molt_error_set(m->err, MOLT_ENOMEM, "comparing types: out of memory");
    fini_subject(&m->subject);
    molt_map_fini(&m->hash_of_old);
    molt_map_fini(&m->hash_of_new);
    molt_arena_fini(&m->arena);
    free(m->enums);
    free(m->renamed);
    return rc;
}

/* How a side is read: molt_image_begin() or molt_image_begin_debug(). */
typedef int reader(const void *bytes, size_t len, const struct molt_image_options *options,
                   struct molt_image *ret, struct molt_error *err);

static void take_census(const struct molt_matcher *m, const struct molt_match *match,
                        struct molt_match_census *ret)
{
    const struct molt_meta *old = m->from.meta;
    *ret = (struct molt_match_census){.n_types = old->n_types};
    for (size_t i = 0; i < old->n_types; i++)
        ret->n_same += same_type(m->to.meta, &old->types[i]) < m->to.meta->n_types;
    ret->n_gone = ret->n_types - ret->n_same - match->n_types;
}

static int compare(reader *read, const struct molt_match_side *from,
                   const struct molt_match_side *to, const struct molt_match_options *options,
                   struct molt_match *ret, struct molt_match_census *ret_census,
                   struct molt_error *err)
{
    static const struct molt_match_options none;
    struct molt_matcher m = {.options = options ? options : &none, .err = err};
    struct molt_image_options reading = {.project = m.options->project,
                                         .allow_sanitizer = m.options->allow_sanitizer};
    struct molt_match match = {0};
    int rc = read(from->bytes, from->len, &reading, &m.from, err);
    if (rc < 0)
        return rc;
    rc = read(to->bytes, to->len, &reading, &m.to, err);
    if (rc == 0) {
        m.hinted = m.options->is_backward ? &m.from : &m.to;
        rc = run(&m, &match);
        if (rc == 0 && ret_census)
            take_census(&m, &match, ret_census);
        molt_image_fini(&m.to);
    }
    molt_image_fini(&m.from);
    if (rc < 0)
        molt_match_fini(&match);
    else
        *ret = match;
    return rc;
}

int molt_match_images(const struct molt_match_side *from, const struct molt_match_side *to,
                      const struct molt_match_options *options, struct molt_match *ret,
                      struct molt_error *err)
{
    return compare(molt_image_begin, from, to, options, ret, NULL, err);
}

int molt_match_debug(const struct molt_match_side *from, const struct molt_match_side *to,
                     const struct molt_match_options *options, struct molt_match *ret,
                     struct molt_match_census *ret_census, struct molt_error *err)
{
    return compare(molt_image_begin_debug, from, to, options, ret, ret_census, err);
}

static bool is_key(const char *found, const char *key)
{
    size_t n = strlen(found), n_key = strlen(key);
    if (n <= n_key)
        return strcmp(found, key) == 0;
    return found[0] == '/' && strcmp(found + n - n_key, key) == 0 && found[n - n_key - 1] == '/';
}

const struct molt_match_type *molt_match_find(const struct molt_match *match, const char *from_key)
{
    for (size_t i = 0; i < match->n_types; i++)
        if (is_key(match->types[i].from_key, from_key))
            return &match->types[i];
    return NULL;
}

static void fini_type(struct molt_match_type *t)
{
    for (size_t k = 0; k < t->n_refusals; k++)
        fini_refusal(&t->refusals[k]);
    free(t->refusals);
    free(t->from_key);
    free(t->to_key);
    free(t->name);
    free(t->lines);
    molt_recipe_free(t->recipe);
}

void molt_match_fini(struct molt_match *match)
{
    for (size_t i = 0; i < match->n_types; i++)
        fini_type(&match->types[i]);
    for (size_t i = 0; i < match->n_globals; i++) {
        free(match->globals[i].name);
        fini_type(&match->globals[i].value);
    }
    free(match->globals);
    for (size_t i = 0; i < match->n_refusals; i++)
        fini_refusal(&match->refusals[i]);
    for (size_t i = 0; i < match->n_same; i++)
        molt_recipe_free(match->same[i]);
    free(match->same);
    free(match->types);
    free(match->refusals);
    free(match->unseen);
    molt_moves_free(match->moves);
    *match = (struct molt_match){0};
}
