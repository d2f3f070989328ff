/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "emit.h"

#include <inttypes.h>
#include <string.h>

struct emit {
    FILE *out;
    const struct pair *pair;
    const struct version *v;
    bool is_now;   /* the newer text */
    bool is_check; /* else it builds */
};

/* ---- declarations --------------------------------------------------------------- */

static const char *int_name(const struct field *f)
{
    static const char *const names[2][4] = {{"unsigned char", "unsigned short", "unsigned",
                                             "unsigned long"},
                                            {"signed char", "short", "int", "long"}};
    int i = f->bytes == 1 ? 0 : f->bytes == 2 ? 1 : f->bytes == 4 ? 2 : 3;
    return names[f->is_signed][i];
}

static const char *float_name(const struct field *f)
{
    return f->bytes == 4 ? "float" : f->bytes == 8 ? "double" : "long double";
}

static void declare_union(struct emit *e, const struct field *f)
{
    fprintf(e->out, "    int %s_tag;\n    union { long a; double b; void *p; %s} %s;\n", f->name,
            f->is_grown ? "char more[40]; " : "", f->name);
}

static void declare_field(struct emit *e, const struct field *f)
{
    int n = e->pair->number, tag = e->v->types[f->type].tag;
    FILE *out = e->out;
    if (f->is_anonymous)
        fprintf(out, "    struct {\n");
    switch (f->kind) {
    case F_INT:
        fprintf(out, "    %s %s;\n", int_name(f), f->name);
        break;
    case F_FLOAT:
        fprintf(out, "    %s %s;\n", float_name(f), f->name);
        break;
    case F_BOOL:
        fprintf(out, "    _Bool %s;\n", f->name);
        break;
    case F_BITS:
        fprintf(out, "    %s int %s : %d;\n", f->is_signed ? "signed" : "unsigned", f->name,
                f->bits);
        break;
    case F_ENUM:
        fprintf(out, "    enum e%d %s;\n", n, f->name);
        break;
    case F_LIST:
        fprintf(out, "    unsigned %s_n;\n", f->name); /* fall through */
    case F_INTS:
        fprintf(out, "    %s %s[%d];\n", int_name(f), f->name, f->count);
        break;
    case F_CHARS:
        fprintf(out, "    char %s[%d];\n", f->name, f->count);
        break;
    case F_STRUCT:
        fprintf(out, "    struct s%d_%d %s;\n", n, tag, f->name);
        break;
    case F_STRUCTS:
        fprintf(out, "    struct s%d_%d %s[%d];\n", n, tag, f->name, f->count);
        break;
    case F_BLOCK:
        fprintf(out, "    struct s%d_%d *%s;\n", n, tag, f->name);
        break;
    case F_INNER:
        fprintf(out, "    int *%s;\n", f->name);
        break;
    case F_ANY:
        fprintf(out, "    void *%s;\n", f->name);
        break;
    case F_UNION:
        declare_union(e, f);
        break;
    default:
        fprintf(out, "    %s %s[];\n", int_name(f), f->name);
        break;
    }
    if (f->is_anonymous)
        fprintf(out, "    };\n");
}

static void declare_types(struct emit *e)
{
    int n = e->pair->number;
    fprintf(e->out, "enum e%d {", n);
    for (int i = 0; i < e->v->names.n; i++)
        fprintf(e->out, " N%d_%d = %d,", n, e->v->names.id[i], e->v->names.value[i]);
    fprintf(e->out, " };\n");
    for (int i = e->v->n_types - 1; i >= 0; i--) {
        const struct type *t = &e->v->types[i];
        fprintf(e->out, "struct s%d_%d {\n", n, t->tag);
        for (int k = 0; k < t->n_fields; k++)
            declare_field(e, &t->fields[k]);
        fprintf(e->out, "}%s;\n", t->is_packed ? " __attribute__((packed))" : "");
    }
}

/* A value that fits into every integer. */
static int default_of(const struct field *f)
{
    return (int)f->id % 50;
}

/* ---- hints ------------------------------------------------------------------------ */

static void emit_field_hints(struct emit *e, const char *type, const struct type *t,
                             const struct field *f)
{
    FILE *out = e->out;
    if (f->kind == F_LIST)
        fprintf(out, "MOLT_LENGTH(%s, %s, %s_n);\n", type, f->name, f->name);
    if (f->kind == F_UNION && t->is_tagged) {
        fprintf(out, "MOLT_TAGGED(%s, %s, %s_tag);\n", type, f->name, f->name);
        fprintf(out, "MOLT_CASE(%s, %s, 0, a);\n", type, f->name);
        fprintf(out, "MOLT_CASE(%s, %s, 1, b);\n", type, f->name);
        fprintf(out, "MOLT_CASE(%s, %s, 2, p);\n", type, f->name);
    }
    if (e->is_now && f->old_name[0])
        fprintf(out, "MOLT_RENAMED(%s, %s, %s);\n", type, f->name, f->old_name);
    if (e->is_now && f->has_default)
        fprintf(out, "MOLT_DEFAULT(%s, %s, %d);\n", type, f->name, default_of(f));
}

static void emit_hints(struct emit *e)
{
    int n = e->pair->number;
    for (int i = 0; i < e->v->n_types; i++) {
        const struct type *t = &e->v->types[i];
        char name[32];
        snprintf(name, sizeof name, "struct s%d_%d", n, t->tag);
        for (int k = 0; k < t->n_fields; k++)
            emit_field_hints(e, name, t, &t->fields[k]);
        for (int k = 0; e->is_now && k < t->n_dropped; k++)
            fprintf(e->out, "MOLT_DROP(%s, %s);\n", name, t->dropped[k]);
        if (e->is_now && t->tag >= TYPES_MAX)
            fprintf(e->out, "MOLT_RENAMED_TYPE(%s, struct s%d_%d);\n", name, n, t->tag - TYPES_MAX);
    }
    if (e->is_now && e->v->is_renumbered)
        fprintf(e->out, "MOLT_RENUMBERED(enum e%d);\n", n);
}

/* ---- values ----------------------------------------------------------------------- */

/* "@lhs = @value;" or a check of it. */
static void emit_value(struct emit *e, const char *lhs, const char *value)
{
    if (e->is_check)
        fprintf(e->out, "    if (!(%s == %s)) return __LINE__;\n", lhs, value);
    else
        fprintf(e->out, "    %s = %s;\n", lhs, value);
}

static void emit_int(struct emit *e, const char *lhs, int64_t value, bool is_signed)
{
    char text[64];
    if (is_signed && value == INT64_MIN)
        snprintf(text, sizeof text, "(-9223372036854775807L - 1)");
    else if (is_signed)
        snprintf(text, sizeof text, "%" PRId64 "L", value);
    else
        snprintf(text, sizeof text, "%" PRIu64 "UL", (uint64_t)value);
    emit_value(e, lhs, text);
}

static void emit_object(struct emit *e, const char *lhs, const struct field *old, uint64_t h)
{
    char text[64] = "0";
    int object = object_value(e->pair, old, h);
    if (object >= 0 && old->kind == F_INNER)
        snprintf(text, sizeof text, "(int *)&o%d[%d].f%d", object,
                 (int)((h >> 40) % (uint64_t)e->pair->objects[object].count),
                 e->pair->objects[object].type * 100 + 50);
    else if (object >= 0)
        snprintf(text, sizeof text, "(void *)o%d", object);
    emit_value(e, lhs, text);
}

static void emit_union(struct emit *e, const char *base, const struct field *f,
                       const struct field *old, uint64_t h)
{
    char lhs[256];
    int tag = (int)((h >> 20) % 3);
    snprintf(lhs, sizeof lhs, "%s.%s_tag", base, f->name);
    emit_int(e, lhs, tag, true);
    snprintf(lhs, sizeof lhs, "%s.%s.%c", base, f->name, "abp"[tag]);
    if (tag == 2)
        emit_object(e, lhs, old, h);
    else
        emit_int(e, lhs, (int)(h >> 33), true);
}

static void emit_chars(struct emit *e, const char *lhs, const struct field *old, uint64_t h)
{
    char text[64], value[96];
    int n = text_length(old, h);
    for (int i = 0; i < n; i++)
        text[i] = (char)('a' + (h >> (i % 50)) % 26);
    text[n] = '\0';
    if (e->is_check) {
        fprintf(e->out, "    if (strcmp(%s, \"%s\")) return __LINE__;\n", lhs, text);
        return;
    }
    snprintf(value, sizeof value, "strcpy(%s, \"%s\")", lhs, text);
    fprintf(e->out, "    %s;\n", value);
}

static void emit_struct(struct emit *e, const char *base, int type, uint64_t h, bool is_zero);

/* All of a field is zero. */
static void emit_zero(struct emit *e, const char *base, const struct field *f)
{
    char lhs[256];
    if (!e->is_check || f->kind == F_FLEX)
        return;
    snprintf(lhs, sizeof lhs, "%s.%s", base, f->name);
    if (f->kind == F_BITS)
        emit_value(e, lhs, "0");
    else if (f->kind == F_STRUCT)
        emit_struct(e, lhs, f->type, 0, true);
    else if (f->kind == F_FLOAT) /* long double has padding */
        emit_value(e, lhs, "0");
    else
        fprintf(e->out, "    if (!is_zero(&%s, sizeof %s)) return __LINE__;\n", lhs, lhs);
}

/* Elements from @n on came with this version. */
static void emit_rest(struct emit *e, const char *lhs, const struct field *f, int n)
{
    if (e->is_check && n < f->count)
        fprintf(e->out,
                "    if (!is_zero(&%s[%d], sizeof %s - %d * sizeof *%s)) return __LINE__;\n", lhs,
                n, lhs, n, lhs);
}

static void emit_array(struct emit *e, const char *lhs, const struct field *f,
                       const struct field *old, int n, uint64_t h)
{
    char element[280];
    for (int i = 0; i < n; i++) {
        snprintf(element, sizeof element, "%s[%d]", lhs, i);
        uint64_t inner = mix(h, (uint64_t)i + 1);
        if (f->kind == F_STRUCTS)
            emit_struct(e, element, f->type, inner, false);
        else
            emit_int(e, element, int_value(old, inner), old->is_signed);
    }
}

/* What the older and the newer text agree on; the value is made from the older field. */
static void emit_field(struct emit *e, const char *base, const struct field *f,
                       const struct field *old, const struct field *other, uint64_t h)
{
    char lhs[256], number[32];
    int n = other && other->count < f->count ? other->count : f->count;
    h = mix(h, f->id);
    snprintf(lhs, sizeof lhs, "%s.%s", base, f->name);
    switch (f->kind == F_INT || f->kind == F_FLOAT ? old->kind : f->kind) {
    case F_FLOAT:
        snprintf(number, sizeof number, "%a", float_value(h));
        emit_value(e, lhs, number);
        break;
    case F_BOOL:
        emit_int(e, lhs, (int64_t)(h & 1), true);
        break;
    case F_INT:
    case F_BITS:
        emit_int(e, lhs, int_value(old, h), old->is_signed);
        break;
    case F_ENUM:
        snprintf(number, sizeof number, "N%d_%d", e->pair->number,
                 e->pair->old.names.id[enum_value(e->pair, h)]);
        emit_value(e, lhs, number);
        break;
    case F_LIST:
        snprintf(number, sizeof number, "%s.%s_n", base, f->name);
        emit_int(e, number, (int64_t)(h % ((uint64_t)old->count + 1)), false);
        n = (int)(h % ((uint64_t)old->count + 1));
        emit_array(e, lhs, f, old, n, h);
        break;
    case F_INTS:
    case F_STRUCTS:
        emit_array(e, lhs, f, old, n, h);
        emit_rest(e, lhs, f, n);
        break;
    case F_CHARS:
        emit_chars(e, lhs, old, h);
        break;
    case F_STRUCT:
        emit_struct(e, lhs, f->type, h, false);
        break;
    case F_UNION:
        emit_union(e, base, f, old, h);
        break;
    default:
        emit_object(e, lhs, old, h);
        break;
    }
}

static void emit_default(struct emit *e, const char *base, const struct field *f)
{
    char lhs[256];
    snprintf(lhs, sizeof lhs, "%s.%s", base, f->name);
    emit_int(e, lhs, default_of(f), true);
}

/* One element of type @type at lvalue @base. */
static void emit_struct(struct emit *e, const char *base, int type, uint64_t h, bool is_zero)
{
    const struct type *t = &e->v->types[type];
    for (int i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        const struct field *old = field_of(&e->pair->old.types[type], f->id);
        const struct field *now = field_of(&e->pair->now.types[type], f->id);
        /* Building knows nothing of the newer version. */
        bool is_lost = !old || (e->is_check && !now);
        if (f->kind == F_FLEX)
            continue;
        if (f->has_default && e->is_check)
            emit_default(e, base, f);
        else if (is_lost || is_zero)
            emit_zero(e, base, f);
        else
            emit_field(e, base, f, old, e->is_check ? (e->is_now ? old : now) : NULL, h);
    }
}

static void emit_flex(struct emit *e, int object)
{
    const struct object *o = &e->pair->objects[object];
    const struct type *t = &e->v->types[o->type];
    const struct field *f = &t->fields[t->n_fields - 1];
    char lhs[64];
    if (f->kind != F_FLEX)
        return;
    const struct field *old = field_of(&e->pair->old.types[o->type], f->id);
    snprintf(lhs, sizeof lhs, "o%d->%s", object, f->name);
    emit_array(e, lhs, f, old, o->n_flex, mix(mix(e->pair->seed, 77), (uint64_t)object));
}

static void emit_objects(struct emit *e)
{
    char base[32];
    for (int i = 0; i < e->pair->n_objects; i++) {
        for (int k = 0; k < e->pair->objects[i].count; k++) {
            snprintf(base, sizeof base, "o%d[%d]", i, k);
            emit_struct(e, base, e->pair->objects[i].type,
                        mix(mix(e->pair->seed, (uint64_t)i), (uint64_t)k), false);
        }
        emit_flex(e, i);
    }
}

static void emit_check(struct emit *e)
{
    int n = e->pair->number;
    e->is_check = true;
    fprintf(e->out, "static int check_%d(void *const *o)\n{\n", n);
    for (int i = 0; i < e->pair->n_objects; i++)
        fprintf(e->out, "    struct s%d_%d *o%d = o[%d]; (void)o%d;\n", n,
                e->v->types[e->pair->objects[i].type].tag, i, i, i);
    emit_objects(e);
    fprintf(e->out, "    return 0;\n}\n");
}

static void emit_new(struct emit *e, int i)
{
    const struct object *o = &e->pair->objects[i];
    const struct type *t = &e->v->types[o->type];
    const struct field *last = &t->fields[t->n_fields - 1];
    fprintf(e->out, "    struct s%d_%d *o%d = ", e->pair->number, t->tag, i);
    if (last->kind == F_FLEX)
        fprintf(e->out, "molt_new_flexible(struct s%d_%d, %s, %d);\n", e->pair->number, t->tag,
                last->name, o->n_flex);
    else
        fprintf(e->out, "molt_new_array(struct s%d_%d, %d);\n", e->pair->number, t->tag, o->count);
    fprintf(e->out, "    if (!o%d) return -1;\n    o[%d] = o%d;\n", i, i, i);
}

/* The newer text needs the tags as well: molt must know that it has such blocks. */
static void emit_build(struct emit *e)
{
    e->is_check = false;
    fprintf(e->out, "static int build_%d(void **o)\n{\n", e->pair->number);
    for (int i = 0; i < e->pair->n_objects; i++)
        emit_new(e, i);
    if (!e->is_now)
        emit_objects(e);
    fprintf(e->out, "    return 0;\n}\n");
}

void emit_text(FILE *out, const struct pair *pairs, int n, bool is_now)
{
    fprintf(out, "#include <string.h>\n#include <molt/molt.h>\n#include <molt/migrate.h>\n"
                 "static int is_zero(const void *at, unsigned long n)\n{\n"
                 "    const unsigned char *p = at;\n"
                 "    while (n && !*p) p++, n--;\n    return n == 0;\n}\n"
                 "struct property_entry {\n    int (*build)(void **);\n"
                 "    int (*check)(void *const *);\n};\n");
    for (int i = 0; i < n; i++) {
        struct emit e = {.out = out,
                         .pair = &pairs[i],
                         .v = is_now ? &pairs[i].now : &pairs[i].old,
                         .is_now = is_now};
        declare_types(&e);
        emit_hints(&e);
        emit_build(&e);
        emit_check(&e);
    }
    fprintf(out, "static const struct property_entry entries[] = {\n");
    for (int i = 0; i < n; i++)
        fprintf(out, "    {build_%d, check_%d},\n", pairs[i].number, pairs[i].number);
    fprintf(out, "};\nMOLT_EXTENSION(property, \"property\", entries);\n"
                 "MOLT_MODULE_DESCRIPTOR(\"property\");\n");
}
