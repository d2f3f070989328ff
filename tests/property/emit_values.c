/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The values of objects, field by field, as rows of a table or as statements. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "emit.h"

/* "f1[2].f3" */
struct path {
    char text[256];
};

__attribute__((format(printf, 1, 2))) static struct path path_of(const char *fmt, ...)
{
    struct path path;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(path.text, sizeof path.text, fmt, ap);
    va_end(ap);
    return path;
}

static bool is_checking(const struct emit *e)
{
    return e->pass == PASS_EXPECTED || e->pass == PASS_CHECK;
}

static bool is_table(const struct emit *e)
{
    return e->pass == PASS_VALUES || e->pass == PASS_EXPECTED;
}

/* ---- rows ------------------------------------------------------------------------- */

/* "C(kind, object, element, type, path, bytes, value, to)", see emit.c. */
static void row(struct emit *e, const char *kind, const char *path, const char *bytes,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void row(struct emit *e, const char *kind, const char *path, const char *bytes,
                const char *fmt, ...)
{
    va_list ap;
    if (!is_table(e))
        return;
    const struct object *o = &e->pair->objects[e->object];
    fprintf(e->out, "C(%s, %d, %d, s%d_%d, %s, %s, ", kind, e->object, e->element, e->pair->number,
            e->v->types[o->type].tag, path, bytes);
    va_start(ap, fmt);
    vfprintf(e->out, fmt, ap);
    va_end(ap);
    fputs(")\n", e->out);
}

static void bitfield(struct emit *e, const char *path, const char *value)
{
    if (e->pass == PASS_SET)
        fprintf(e->out, "    o%d[%d].%s = %s;\n", e->object, e->element, path, value);
    else if (e->pass == PASS_CHECK)
        fprintf(e->out, "    if (o%d[%d].%s != %s) return __LINE__;\n", e->object, e->element, path,
                value);
}

static bool is_bitfield(const struct field *f)
{
    return f->kind == F_BITS || f->kind == F_BOOL_BIT || f->kind == F_ENUM_BITS;
}

static void print_int(char *text, size_t size, int64_t value, bool is_signed)
{
    if (is_signed && value == INT64_MIN)
        snprintf(text, size, "-9223372036854775807L - 1");
    else if (is_signed)
        snprintf(text, size, "%" PRId64 "L", value);
    else
        snprintf(text, size, "%" PRIu64 "UL", (uint64_t)value);
}

/* ---- leaves ------------------------------------------------------------------------ */

/* An integer, bool, enum or bitfield as it is declared in @f; the value is @old's. */
static void emit_number(struct emit *e, const char *path, const struct field *f,
                        const struct field *old, uint64_t h)
{
    char text[64];
    if (old->kind == F_FLOAT) { /* refused */
        row(e, "CELL_NEVER", path, "", "0, 0");
        return;
    }
    bool is_signed = old->kind == F_INT || old->kind == F_BITS || old->kind == F_INTS ||
                             old->kind == F_GRID || old->kind == F_LIST || old->kind == F_FLEX
                         ? old->is_signed
                         : false;
    int64_t value =
        old->kind == F_BOOL || old->kind == F_BOOL_BIT ? (int64_t)(h & 1) : int_value(old, h);
    bool is_named = f->kind == F_ENUM || f->kind == F_ENUMS || f->kind == F_ENUM_BITS;
    if (is_named)
        snprintf(text, sizeof text, "N%d_%d", e->pair->number,
                 e->pair->old.names.id[enum_value(e->pair, h)]);
    else
        print_int(text, sizeof text, value, is_signed);
    bool is_kept = is_named || value >= 0 || is_signed == f->is_signed;
    if (is_bitfield(f))
        bitfield(e, path, text);
    else
        row(e,
            !is_kept                                         ? "CELL_NEVER"
            : f->is_signed && f->kind != F_BOOL && !is_named ? "CELL_SIGNED"
                                                             : "CELL_UNSIGNED",
            path, "", "%s, 0", text);
}

static void emit_text_of(struct emit *e, const char *path, const struct field *old, uint64_t h)
{
    char text[64];
    int n = text_length(old, h);
    for (int i = 0; i < n; i++)
        text[i] = (char)('a' + (h >> (i % 50)) % 26);
    text[n] = '\0';
    row(e, "CELL_TEXT", path, "", "(long)\"%s\", 0", text);
}

static void emit_mark(struct emit *e, const char *path, const struct field *f, uint64_t h)
{
    int first = f->kind == F_FUNCTION ? MARK_FUNCTION
                : f->kind == F_TEXT   ? MARK_TEXT
                                      : MARK_VARIABLE;
    int n = f->kind == F_FUNCTION ? 3 : 2;
    if (h / 64 % 5 == 0)
        row(e, "CELL_UNSIGNED", path, "", "0, 0");
    else
        row(e, "CELL_MARK", path, "", "%d, 0", first + (int)(h % (uint64_t)n));
}

/* What a pointer leads to. */
static void emit_target(struct emit *e, const char *path, const struct field *old, uint64_t h)
{
    const struct pair *p = e->pair;
    int object = object_value(p, old, h);
    if (object < 0) {
        row(e, "CELL_UNSIGNED", path, "", "0, 0");
        return;
    }
    const struct object *o = &p->objects[object];
    if (old->kind != F_INNER) {
        row(e, "CELL_BLOCK", path, "", "%d, 0", object);
        return;
    }
    row(e, "CELL_BLOCK", path, "", "%d, A(%d, s%d_%d, f%d)", object,
        (int)((h >> 40) % (uint64_t)o->count), p->number, e->v->types[o->type].tag,
        o->type * 100 + 50);
}

static void emit_word(struct emit *e, const char *path, const struct field *old, uint64_t h)
{
    int object = object_value(e->pair, old, h);
    if (object < 0)
        row(e, "CELL_UNSIGNED", path, "", "%d, 0", (int)(h >> 34));
    else
        row(e, old->is_opaque ? "CELL_OPAQUE" : "CELL_WORD", path, "", "%d, 0", object);
}

static void emit_tag(struct emit *e, const char *path, int tag)
{
    struct path name = path_of("%s_tag", path);
    row(e, "CELL_SIGNED", name.text, "", "%d, 0", tag);
}

static void emit_union(struct emit *e, const char *path, const struct field *old, uint64_t h)
{
    int tag = (int)((h >> 20) % 3);
    emit_tag(e, path, tag);
    struct path name = path_of("%s.%c", path, "abp"[tag]);
    if (tag == 2)
        emit_target(e, name.text, old, h);
    else if (tag == 1)
        row(e, "CELL_FLOAT", name.text, "", "%d, 0", (int)(h >> 40));
    else
        row(e, "CELL_SIGNED", name.text, "", "%d, 0", (int)(h >> 33));
}

/* The tag is the number of the type + 1. */
static void emit_tagged_any(struct emit *e, const char *path, const struct field *old, uint64_t h)
{
    int object = object_value(e->pair, old, h);
    emit_tag(e, path, object < 0 ? 1 : e->pair->objects[object].type + 1);
    emit_target(e, path, old, h);
}

static void emit_either(struct emit *e, const char *path, uint64_t h)
{
    struct path name = path_of("%s%c", path, h & 1 ? 'a' : 'b');
    row(e, h & 1 ? "CELL_SIGNED" : "CELL_FLOAT", name.text, "", "%d, 0", (int)(h >> 33));
}

/* ---- arrays ------------------------------------------------------------------------ */

static void emit_struct(struct emit *e, const char *base, int type, uint64_t h, bool is_zero);

static void emit_element(struct emit *e, const char *path, const struct field *f,
                         const struct field *old, uint64_t h)
{
    if (f->kind == F_STRUCTS || (f->kind == F_FLEX && f->is_structs)) {
        struct path base = path_of("%s.", path);
        emit_struct(e, base.text, f->type, h, false);
    } else if (f->kind == F_BLOCKS) {
        emit_target(e, path, old, h);
    } else {
        emit_number(e, path, f, old, h);
    }
}

/* Elements from @n of @count on came with this version: zero. */
static void emit_rest(struct emit *e, const char *path, int n, int count)
{
    if (!is_checking(e) || n >= count)
        return;
    struct path name = path_of("%s[%d]", path, n);
    struct path bytes = path_of("%d *", count - n);
    row(e, "CELL_ZERO", name.text, bytes.text, "0, 0");
}

static void emit_array(struct emit *e, const char *path, const struct field *f,
                       const struct field *old, int n, uint64_t h)
{
    for (int i = 0; i < n; i++) {
        struct path element = path_of("%s[%d]", path, i);
        emit_element(e, element.text, f, old, mix(h, (uint64_t)i + 1));
    }
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void emit_grid(struct emit *e, const char *path, const struct field *f,
                      const struct field *old, const struct field *other, uint64_t h)
{
    int n = other ? smaller(other->count, f->count) : f->count;
    int width = other ? smaller(other->width, f->width) : f->width;
    for (int i = 0; i < n; i++) {
        struct path line = path_of("%s[%d]", path, i);
        emit_array(e, line.text, f, old, width, mix(h, (uint64_t)i + 100));
        emit_rest(e, line.text, width, f->width);
    }
    emit_rest(e, path, n, f->count);
}

static void emit_list(struct emit *e, const char *path, const struct field *f,
                      const struct field *old, uint64_t h)
{
    int n = (int)(h % ((uint64_t)old->count + 1));
    struct path name = path_of("%s_n", path);
    row(e, "CELL_UNSIGNED", name.text, "", "%d, 0", n);
    emit_array(e, path, f, old, n, h);
}

/* ---- fields ------------------------------------------------------------------------- */

/* All of a field is zero. */
static void emit_zero(struct emit *e, const char *path, const struct field *f)
{
    if (!is_checking(e) || f->kind == F_FLEX)
        return;
    struct path name = path_of("%s%s", path,
                               f->kind == F_STRUCT   ? "."
                               : f->kind == F_EITHER ? "a"
                                                     : "");
    if (is_bitfield(f))
        bitfield(e, name.text, "0");
    else if (f->kind == F_STRUCT)
        emit_struct(e, name.text, f->type, 0, true);
    else if (f->kind == F_FLOAT) /* long double has padding */
        row(e, "CELL_FLOAT", name.text, "", "0, 0");
    else
        row(e, "CELL_ZERO", name.text, "", "0, 0");
}

static void emit_inner(struct emit *e, const char *path, const struct field *f, uint64_t h)
{
    struct path base = path_of("%s.", path);
    emit_struct(e, base.text, f->type, h, false);
}

/* What the older and the newer text agree on; the value is made from the older field.
 * @other: as the version before had it, if that counts. */
static void emit_field(struct emit *e, const char *path, const struct field *f,
                       const struct field *old, const struct field *other, uint64_t h)
{
    int n = other ? smaller(other->count, f->count) : f->count;
    switch (f->kind) {
    case F_FLOAT:
        row(e, old->kind == F_FLOAT ? "CELL_FLOAT" : "CELL_NEVER", path, "", "%" PRId64 "L, 0",
            float_value(h));
        break;
    case F_INTS:
    case F_ENUMS:
    case F_STRUCTS:
    case F_BLOCKS:
        emit_array(e, path, f, old, n, h);
        emit_rest(e, path, n, f->count);
        break;
    case F_GRID:
        emit_grid(e, path, f, old, other, h);
        break;
    case F_LIST:
        emit_list(e, path, f, old, h);
        break;
    case F_CHARS:
        emit_text_of(e, path, old, h);
        break;
    case F_STRUCT:
        emit_inner(e, path, f, h);
        break;
    case F_EITHER:
        emit_either(e, path, h);
        break;
    case F_BLOCK:
    case F_INNER:
    case F_ANY:
        emit_target(e, path, old, h);
        break;
    case F_FUNCTION:
    case F_VARIABLE:
    case F_TEXT:
        emit_mark(e, path, f, h);
        break;
    case F_TAGGED_ANY:
        emit_tagged_any(e, path, old, h);
        break;
    case F_WORD:
        emit_word(e, path, old, h);
        break;
    case F_UNION:
        emit_union(e, path, old, h);
        break;
    default:
        emit_number(e, path, f, old, h);
        break;
    }
}

int emit_default_of(const struct field *f)
{
    return (int)f->id % 50 + 1;
}

/* One element of type @type, whose fields' paths begin with @base. */
static void emit_struct(struct emit *e, const char *base, int type, uint64_t h, bool is_zero)
{
    const struct type *t = &e->v->types[type];
    for (int i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        const struct field *old = field_of(&e->pair->old.types[type], f->id);
        const struct field *now = field_of(&e->pair->now.types[type], f->id);
        /* Building knows nothing of the newer version. */
        bool is_lost = !old || (is_checking(e) && !now);
        struct path path = path_of("%s%s", base, f->name);
        if (f->kind == F_FLEX)
            continue;
        if ((f->has_default || f->has_example) && is_checking(e))
            row(e, "CELL_UNSIGNED", path.text, "", "%d, 0", emit_default_of(f));
        else if (is_lost || is_zero)
            emit_zero(e, path.text, f);
        else
            emit_field(e, path.text, f, old, is_checking(e) ? (e->is_now ? old : now) : NULL,
                       mix(h, f->id));
    }
}

static void emit_flex(struct emit *e)
{
    const struct object *o = &e->pair->objects[e->object];
    const struct type *t = &e->v->types[o->type];
    const struct field *f = &t->fields[t->n_fields - 1];
    if (f->kind != F_FLEX)
        return;
    const struct field *old = field_of(&e->pair->old.types[o->type], f->id);
    emit_array(e, f->name, f, old, o->n_flex, mix(mix(e->pair->seed, 77), (uint64_t)e->object));
}

void emit_objects(struct emit *e)
{
    const struct pair *p = e->pair;
    for (e->object = 0; e->object < p->n_objects; e->object++) {
        for (e->element = 0; e->element < p->objects[e->object].count; e->element++)
            emit_struct(e, "", p->objects[e->object].type,
                        mix(mix(p->seed, (uint64_t)e->object), (uint64_t)e->element), false);
        e->element = 0;
        emit_flex(e);
    }
}
