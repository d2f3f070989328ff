/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t dice_next(struct dice *dice)
{
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int dice_below(struct dice *dice, int n)
{
    return (int)(dice_next(dice) % (uint64_t)n);
}

static bool dice_chance(struct dice *dice, int percent)
{
    return dice_below(dice, 100) < percent;
}

uint64_t mix(uint64_t a, uint64_t b)
{
    struct dice dice = {a * UINT64_C(0x100000001b3) ^ b};
    return dice_next(&dice);
}

const struct field *field_of(const struct type *type, unsigned id)
{
    for (int i = 0; i < type->n_fields; i++)
        if (type->fields[i].id == id)
            return &type->fields[i];
    return NULL;
}

/* ---- values ------------------------------------------------------------------- */

int64_t int_value(const struct field *field, uint64_t h)
{
    int bits = field->kind == F_BITS ? field->bits : field->bytes * 8;
    uint64_t v = h >> 8;
    if (field->is_tame)
        return (int64_t)(v % (bits < 8 ? UINT64_C(1) << (bits - 1) : 100));
    if (h % 4 == 0)
        v = h & 64 ? UINT64_MAX : UINT64_C(1) << (bits - 1); /* the ends of the range */
    if (bits < 64)
        v &= (UINT64_C(1) << bits) - 1;
    if (field->is_signed && bits < 64 && v >> (bits - 1))
        v |= ~UINT64_C(0) << bits;
    return (int64_t)v;
}

int enum_value(const struct pair *pair, uint64_t h)
{
    return (int)(h % (uint64_t)pair->old.names.n);
}

int64_t float_value(uint64_t h)
{
    return (int64_t)(h % 2000001) - 1000000;
}

int text_length(const struct field *field, uint64_t h)
{
    int max = field->is_tame && field->count > 4 ? 4 : field->count;
    return (int)(h % (uint64_t)max);
}

int object_value(const struct pair *pair, const struct field *field, uint64_t h)
{
    int candidates[OBJECTS_MAX], n = 0;
    for (int i = 0; i < pair->n_objects; i++)
        if ((field->kind != F_BLOCK && field->kind != F_BLOCKS && field->kind != F_UNION) ||
            pair->objects[i].type == field->type)
            candidates[n++] = i;
    int percent = field->kind == F_WORD ? 70 : 20; /* of what leads nowhere */
    return n == 0 || (int)(h / 64 % 100) < percent ? -1 : candidates[h / 8 % (uint64_t)n];
}

/* ---- the older version ----------------------------------------------------------- */

static bool has_type(const struct field *f)
{
    return f->kind == F_STRUCT || f->kind == F_STRUCTS;
}

static bool is_pointing(const struct field *f)
{
    return f->kind >= F_BLOCK && f->kind <= F_UNION;
}

static bool may_point(const struct version *v, const struct type *t)
{
    for (int i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        if (is_pointing(f))
            return true;
        if (has_type(f) && may_point(v, &v->types[f->type]))
            return true;
    }
    return false;
}

static void name_field(struct field *f, unsigned id)
{
    f->id = id;
    snprintf(f->name, sizeof f->name, "f%u", id);
}

static enum field_kind choose_kind(struct dice *d, bool is_last)
{
    enum field_kind kind = (enum field_kind)dice_below(d, F_FLEX);
    if ((kind == F_ANY || kind == F_WORD) && dice_chance(d, 75))
        kind = F_BLOCK;
    if ((kind == F_STRUCT || kind == F_STRUCTS) && is_last)
        kind = F_INT;
    return kind;
}

static void choose_sizes(struct dice *d, struct field *f)
{
    f->bytes = 1 << dice_below(d, 4);
    if (f->kind == F_FLOAT)
        f->bytes = 4 << dice_below(d, 3);
    f->is_tame = f->kind == F_LIST || dice_chance(d, 40);
    f->is_signed = dice_chance(d, 50);
    f->bits = f->kind == F_ENUM_BITS ? 6 : 2 + dice_below(d, 20);
    f->count = 2 + dice_below(d, f->kind == F_CHARS ? 30 : 4);
    f->width = 2 + dice_below(d, 2);
    if (f->kind == F_STRUCTS || f->kind == F_GRID || f->kind == F_BLOCKS)
        f->count = 2 + dice_below(d, 2);
    f->is_anonymous = f->kind == F_INT && dice_chance(d, 10);
    if (f->kind == F_INT && dice_chance(d, 5))
        f->align = 16;
    f->is_opaque = f->kind == F_WORD && dice_chance(d, 50);
}

static void make_field(struct dice *d, struct version *v, int type, struct field *f, unsigned id)
{
    *f = (struct field){0};
    name_field(f, id);
    f->kind = choose_kind(d, type + 1 >= v->n_types);
    choose_sizes(d, f);
    if (has_type(f))
        f->type = type + 1 + dice_below(d, v->n_types - type - 1);
    if (f->kind == F_BLOCK || f->kind == F_BLOCKS || f->kind == F_UNION)
        f->type = dice_below(d, v->n_types);
}

static void make_type(struct dice *d, struct version *v, int type)
{
    struct type *t = &v->types[type];
    t->tag = type;
    t->is_tagged = dice_chance(d, 90);
    t->n_fields = 1 + dice_below(d, 7);
    for (int i = 0; i < t->n_fields; i++)
        make_field(d, v, type, &t->fields[i], (unsigned)(type * 100 + i));
    /* Somebody may point at it. */
    struct field *target = &t->fields[t->n_fields++];
    *target = (struct field){.kind = F_INT, .bytes = 4, .is_signed = true, .is_target = true};
    name_field(target, (unsigned)(type * 100 + 50));
    t->is_packed = !may_point(v, t) && dice_chance(d, 15);
}

static void add_flex(struct dice *d, struct version *v, int type)
{
    struct type *t = &v->types[type];
    if (t->is_nested || t->is_packed || dice_chance(d, 80))
        return;
    struct field *f = &t->fields[t->n_fields++];
    *f = (struct field){.kind = F_FLEX, .bytes = 1 << dice_below(d, 4), .is_signed = true};
    name_field(f, (unsigned)(type * 100 + 60));
    f->is_structs = type + 1 < v->n_types && dice_chance(d, 40);
    if (!f->is_structs)
        return;
    f->type = type + 1 + dice_below(d, v->n_types - type - 1);
    v->types[f->type].is_nested = true;
}

static bool is_flexible(const struct type *t)
{
    return t->n_fields > 0 && t->fields[t->n_fields - 1].kind == F_FLEX;
}

static void make_version(struct dice *d, struct version *v)
{
    v->n_types = 1 + dice_below(d, TYPES_MAX);
    for (int i = v->n_types - 1; i >= 0; i--)
        make_type(d, v, i);
    for (int i = 0; i < v->n_types; i++)
        for (int k = 0; k < v->types[i].n_fields; k++) {
            const struct field *f = &v->types[i].fields[k];
            if (has_type(f))
                v->types[f->type].is_nested = true;
        }
    for (int i = 0; i < v->n_types; i++)
        add_flex(d, v, i);
    v->names.n = 2 + dice_below(d, 3);
    for (int i = 0; i < v->names.n; i++) {
        v->names.id[i] = i;
        v->names.value[i] = i * 3;
    }
}

static void make_objects(struct dice *d, struct pair *pair)
{
    pair->n_objects = pair->old.n_types + dice_below(d, 3);
    for (int i = 0; i < pair->n_objects; i++) {
        struct object *o = &pair->objects[i];
        o->type = i < pair->old.n_types ? i : dice_below(d, pair->old.n_types);
        bool is_flex = is_flexible(&pair->old.types[o->type]);
        o->count = is_flex || dice_chance(d, 70) ? 1 : 2 + dice_below(d, 2);
        o->n_flex = is_flex ? dice_below(d, 4) : 0;
    }
}

/* ---- the newer version -------------------------------------------------------------- */

struct change {
    struct dice *dice;
    struct pair *pair;
    struct type *type;
    struct field *field;
    unsigned next_id;
};

static void expect(struct change *c, enum outcome outcome)
{
    struct pair *p = c->pair;
    /* The strictest of what was done holds: what types refuse can't be reached by a value. */
    if (outcome > p->outcome)
        p->outcome = outcome;
}

__attribute__((format(printf, 2, 3))) static void tell(struct change *c, const char *fmt, ...)
{
    size_t n = strlen(c->pair->story);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->pair->story + n, sizeof c->pair->story - n, fmt, ap);
    va_end(ap);
}

static bool has_packed(const struct version *v)
{
    for (int i = 0; i < v->n_types; i++)
        if (v->types[i].is_packed)
            return true;
    return false;
}

/* Pointers in what is packed, if only by way of a struct inside, are another matter. */
static void make_new_field(struct change *c, struct field *f)
{
    int type = (int)(c->type - c->pair->now.types);
    do
        make_field(c->dice, &c->pair->now, type, f, c->next_id++);
    while (has_type(f) || f->kind == F_ENUM || f->kind == F_ENUMS || f->kind == F_ENUM_BITS ||
           (has_packed(&c->pair->now) && is_pointing(f)));
    if (f->kind != F_INT || c->type->is_nested)
        return;
    f->has_default = dice_chance(c->dice, 40);
    f->has_example = !f->has_default && dice_chance(c->dice, 30);
}

static void change_add(struct change *c)
{
    struct type *t = c->type;
    if (t->n_fields + 2 >= FIELDS_MAX)
        return;
    int at = dice_below(c->dice, t->n_fields - is_flexible(t) + 1);
    memmove(&t->fields[at + 1], &t->fields[at], (size_t)(t->n_fields - at) * sizeof *t->fields);
    struct field *f = &t->fields[at];
    make_new_field(c, f);
    t->n_fields++;
    f->is_changed = true;
    tell(c, "s%d +%s; ", t->tag, f->name);
}

static void remove_field(struct type *t, struct field *f)
{
    int at = (int)(f - t->fields);
    memmove(f, f + 1, (size_t)(t->n_fields - at - 1) * sizeof *f);
    t->n_fields--;
}

static bool has_new_fields(const struct type *t)
{
    for (int i = 0; i < t->n_fields; i++)
        if (t->fields[i].id >= 1000)
            return true;
    return false;
}

static void drop(struct type *t, const struct field *f, const char *suffix)
{
    snprintf(t->dropped[t->n_dropped++], sizeof t->dropped[0], "%.8s%s", f->name, suffix);
}

static void change_remove(struct change *c)
{
    struct type *t = c->type;
    const struct field *f = c->field;
    bool is_hinted = dice_chance(c->dice, 50);
    if (f->kind == F_FLEX || f->kind == F_EITHER || f->id >= 1000 || f->old_name[0])
        return;
    tell(c, "s%d -%s%s; ", t->tag, f->name, is_hinted ? " (hint)" : "");
    t->n_gone += !is_hinted;
    if (is_hinted)
        drop(t, f, "");
    if (is_hinted && f->kind == F_LIST)
        drop(t, f, "_n");
    if (is_hinted && (f->kind == F_UNION || f->kind == F_TAGGED_ANY))
        drop(t, f, "_tag");
    remove_field(t, c->field);
}

static void change_reorder(struct change *c)
{
    struct type *t = c->type;
    int n = t->n_fields - is_flexible(t);
    if (n < 2)
        return;
    int a = dice_below(c->dice, n), b = dice_below(c->dice, n);
    struct field f = t->fields[a];
    t->fields[a] = t->fields[b];
    t->fields[b] = f;
    tell(c, "s%d %s<->%s; ", t->tag, t->fields[a].name, t->fields[b].name);
}

static void change_width(struct change *c)
{
    struct field *f = c->field;
    bool is_wider = dice_chance(c->dice, 75);
    if (f->kind == F_FLOAT) {
        if (is_wider && f->bytes == 16)
            return;
        if (!is_wider && f->bytes == 4)
            return;
        f->bytes = is_wider ? f->bytes * 2 : f->bytes / 2;
    } else if (f->kind == F_BITS) {
        int bits = is_wider ? f->bits + 3 : f->bits - 1;
        if (bits > 32 || bits < 1)
            return;
        f->bits = bits;
    } else if (f->kind == F_INT || f->kind == F_INTS || f->kind == F_LIST || f->kind == F_GRID ||
               (f->kind == F_FLEX && !f->is_structs)) {
        if ((is_wider && f->bytes == 8) || (!is_wider && f->bytes == 1))
            return;
        f->bytes = is_wider ? f->bytes * 2 : f->bytes / 2;
    } else {
        return;
    }
    tell(c, "s%d.%s %s; ", c->type->tag, f->name, is_wider ? "wider" : "narrower");
    if (!is_wider)
        expect(c, MUST_REFUSE);
}

static void change_sign(struct change *c)
{
    struct field *f = c->field;
    if (f->kind != F_INT && f->kind != F_INTS && f->kind != F_GRID && f->kind != F_BITS)
        return;
    f->is_signed = !f->is_signed;
    tell(c, "s%d.%s sign; ", c->type->tag, f->name);
    /* Whether a value stops it, the dice of the values decide. */
    if (!f->is_tame)
        expect(c, MAY_CONVERT);
}

static void change_kind(struct change *c)
{
    struct field *f = c->field;
    if (f->kind == F_BOOL || f->kind == F_BOOL_BIT) {
        f->kind = F_INT;
        tell(c, "s%d.%s bool -> int; ", c->type->tag, f->name);
        return;
    }
    if (f->kind == F_BITS && f->bits < 8 * f->bytes && dice_chance(c->dice, 60)) {
        f->kind = F_INT;
        tell(c, "s%d.%s bits -> int; ", c->type->tag, f->name);
        return;
    }
    if (f->kind == F_INT)
        f->kind = F_FLOAT, f->bytes = 8;
    else if (f->kind == F_FLOAT)
        f->kind = F_INT, f->bytes = 8;
    else
        return;
    tell(c, "s%d.%s integer <-> float; ", c->type->tag, f->name);
    expect(c, MUST_REFUSE);
}

static void change_length(struct change *c)
{
    struct field *f = c->field;
    if (f->kind != F_INTS && f->kind != F_LIST && f->kind != F_CHARS && f->kind != F_STRUCTS &&
        f->kind != F_GRID && f->kind != F_ENUMS && f->kind != F_BLOCKS)
        return;
    bool is_inner = f->kind == F_GRID && dice_chance(c->dice, 50);
    int *count = is_inner ? &f->width : &f->count, before = *count;
    bool is_longer = before < 3 || dice_chance(c->dice, 60);
    *count = is_longer ? before + 1 + dice_below(c->dice, 4) : before - 1;
    tell(c, "s%d.%s [%d] -> [%d]; ", c->type->tag, f->name, before, *count);
    if (!is_longer)
        expect(c, f->kind == F_LIST || f->kind == F_CHARS ? MAY_CONVERT : MUST_REFUSE);
}

static void change_rename(struct change *c)
{
    struct field *f = c->field;
    bool is_hinted = dice_chance(c->dice, 70);
    bool has_two_names =
        f->kind == F_LIST || f->kind == F_UNION || f->kind == F_TAGGED_ANY || f->kind == F_EITHER;
    if (f->id >= 1000 || f->old_name[0] || has_two_names)
        return;
    if (is_hinted)
        memcpy(f->old_name, f->name, sizeof f->old_name);
    snprintf(f->name, sizeof f->name, "g%u", f->id);
    tell(c, "s%d.f%u renamed%s; ", c->type->tag, f->id, is_hinted ? " (hint)" : "");
    if (!is_hinted)
        expect(c, MUST_REFUSE);
}

static void change_type_name(struct change *c)
{
    if (c->type->tag >= TYPES_MAX)
        return;
    c->type->tag += TYPES_MAX;
    tell(c, "s%d renamed; ", c->type->tag - TYPES_MAX);
}

static void change_names(struct change *c)
{
    struct version *v = &c->pair->now;
    if (v->names.n == NAMES_MAX)
        return;
    bool is_middle = dice_chance(c->dice, 30);
    int at = is_middle ? dice_below(c->dice, v->names.n) : v->names.n;
    memmove(&v->names.id[at + 1], &v->names.id[at], (size_t)(v->names.n - at) * sizeof(int));
    v->names.id[at] = (int)c->next_id++;
    v->names.n++;
    for (int i = 0; is_middle && i < v->names.n; i++)
        v->names.value[i] = i * 3;
    v->names.value[v->names.n - 1] = (v->names.n - 1) * 3;
    v->is_renumbered |= is_middle;
    tell(c, "enum +1%s; ", is_middle ? " in the middle" : "");
}

static void change_anonymous(struct change *c)
{
    if (c->field->kind != F_INT)
        return;
    c->field->is_anonymous = !c->field->is_anonymous;
    tell(c, "s%d.%s anonymous; ", c->type->tag, c->field->name);
}

static void change_union(struct change *c)
{
    if (c->field->kind != F_UNION || c->field->is_grown)
        return;
    c->field->is_grown = true;
    tell(c, "s%d.%s union grows%s; ", c->type->tag, c->field->name,
         c->type->is_tagged ? " (hint)" : "");
    if (!c->type->is_tagged)
        expect(c, MUST_REFUSE);
}

static void change_align(struct change *c)
{
    if (c->field->kind != F_INT)
        return;
    c->field->align = c->field->align ? 0 : 16;
    tell(c, "s%d.%s aligned; ", c->type->tag, c->field->name);
}

/* Only MOLT_CHANGE could convert it. */
static void change_semantic(struct change *c)
{
    if (!dice_chance(c->dice, 20))
        return;
    c->type->semantic = 2;
    tell(c, "s%d another meaning; ", c->type->tag);
    expect(c, MUST_REFUSE);
}

static void change_function(struct change *c)
{
    if (!dice_chance(c->dice, 20))
        return;
    c->pair->now.lacks_function = true;
    tell(c, "a function is gone; ");
    expect(c, MAY_CONVERT);
}

static void change_pointee(struct change *c)
{
    if ((c->field->kind != F_BLOCK && c->field->kind != F_BLOCKS) || c->pair->now.n_types < 2)
        return;
    c->field->type = (c->field->type + 1) % c->pair->now.n_types;
    tell(c, "s%d.%s other pointee; ", c->type->tag, c->field->name);
    expect(c, MUST_REFUSE);
}

static void change_once(struct change *c)
{
    static void (*const all[])(
        struct change *) = {change_add,       change_add,    change_remove,    change_reorder,
                            change_reorder,   change_width,  change_width,     change_sign,
                            change_kind,      change_length, change_length,    change_rename,
                            change_type_name, change_names,  change_anonymous, change_union,
                            change_pointee,   change_align,  change_semantic,  change_function};
    c->type = &c->pair->now.types[dice_below(c->dice, c->pair->now.n_types)];
    c->field = &c->type->fields[dice_below(c->dice, c->type->n_fields)];
    void (*change)(struct change *) = all[dice_below(c->dice, sizeof all / sizeof *all)];
    bool is_own = change == change_add || change == change_reorder || change == change_names ||
                  change == change_type_name || change == change_semantic ||
                  change == change_function;
    /* A field that was changed once stays, so that each change has its expected outcome. */
    bool is_fresh = !c->field->is_changed && !c->field->is_target;
    if (is_own) {
        change(c);
    } else if (is_fresh) {
        size_t before = strlen(c->pair->story);
        struct field *field = c->field;
        change(c);
        field->is_changed |= change != change_remove && strlen(c->pair->story) > before;
    }
}

/* Most changes fit few fields. */
static void change_something(struct change *c)
{
    size_t before = strlen(c->pair->story);
    for (int i = 0; i < 6 && strlen(c->pair->story) == before; i++)
        change_once(c);
}

/* Void pointers, and words and unions without hints, may lead to what moves: whether that
 * can be told apart depends on where, which is not the model's business. */
static void expect_unknown(struct change *c)
{
    for (int i = 0; i < c->pair->old.n_types; i++)
        for (int k = 0; k < c->pair->old.types[i].n_fields; k++) {
            const struct field *f = &c->pair->old.types[i].fields[k];
            bool is_hinted = f->kind == F_UNION ? c->pair->old.types[i].is_tagged : f->is_opaque;
            if (f->kind == F_ANY || ((f->kind == F_UNION || f->kind == F_WORD) && !is_hinted))
                expect(c, MAY_CONVERT);
        }
}

/* A field that went beside one that came could be its old name: for the matcher to say. */
static void expect_ambiguity(struct change *c)
{
    for (int i = 0; i < c->pair->now.n_types; i++)
        if (c->pair->now.types[i].n_gone && has_new_fields(&c->pair->now.types[i]))
            expect(c, MAY_CONVERT);
}

void pair_make(struct pair *pair, uint64_t seed, int number)
{
    struct dice dice = {seed};
    *pair = (struct pair){.seed = seed, .number = number};
    make_version(&dice, &pair->old);
    make_objects(&dice, pair);
    pair->now = pair->old;
    struct change change = {.dice = &dice, .pair = pair, .next_id = 1000};
    int n = 1 + dice_below(&dice, 4);
    for (int i = 0; i < n; i++)
        change_something(&change);
    expect_unknown(&change);
    expect_ambiguity(&change);
}
