/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Declarations, hints and the frame of a text. */
#include "emit.h"

#include <string.h>

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
    fprintf(e->out, "    int %s_tag;\n    union { long a; double b; struct s%d_%d *p; %s} %s;\n",
            f->name, e->pair->number, e->v->types[f->type].tag,
            f->is_grown ? "char more[40]; " : "", f->name);
}

static void declare_number(struct emit *e, const struct field *f)
{
    FILE *out = e->out;
    if (f->kind == F_BITS)
        fprintf(out, "    %s int %s : %d;\n", f->is_signed ? "signed" : "unsigned", f->name,
                f->bits);
    else if (f->kind == F_BOOL || f->kind == F_BOOL_BIT)
        fprintf(out, "    _Bool %s%s;\n", f->name, f->kind == F_BOOL_BIT ? " : 1" : "");
    else if (f->kind == F_FLOAT)
        fprintf(out, "    %s %s;\n", float_name(f), f->name);
    else if (f->align)
        fprintf(out, "    %s %s __attribute__((aligned(%d)));\n", int_name(f), f->name, f->align);
    else
        fprintf(out, "    %s %s;\n", int_name(f), f->name);
}

static void declare_array(struct emit *e, const struct field *f)
{
    int n = e->pair->number, tag = e->v->types[f->type].tag;
    FILE *out = e->out;
    if (f->kind == F_LIST)
        fprintf(out, "    unsigned %s_n;\n", f->name);
    if (f->kind == F_GRID)
        fprintf(out, "    %s %s[%d][%d];\n", int_name(f), f->name, f->count, f->width);
    else if (f->kind == F_CHARS)
        fprintf(out, "    char %s[%d];\n", f->name, f->count);
    else if (f->kind == F_ENUMS)
        fprintf(out, "    enum e%d %s[%d];\n", n, f->name, f->count);
    else if (f->kind == F_STRUCTS || f->kind == F_BLOCKS)
        fprintf(out, "    struct s%d_%d %s%s[%d];\n", n, tag, f->kind == F_BLOCKS ? "*" : "",
                f->name, f->count);
    else if (f->kind == F_FLEX && f->is_structs)
        fprintf(out, "    struct s%d_%d %s[];\n", n, tag, f->name);
    else if (f->kind == F_FLEX)
        fprintf(out, "    %s %s[];\n", int_name(f), f->name);
    else
        fprintf(out, "    %s %s[%d];\n", int_name(f), f->name, f->count);
}

static void declare_field(struct emit *e, const struct field *f)
{
    int n = e->pair->number, tag = e->v->types[f->type].tag;
    FILE *out = e->out;
    if (f->is_anonymous)
        fprintf(out, "    struct {\n");
    switch (f->kind) {
    case F_INT:
    case F_FLOAT:
    case F_BOOL:
    case F_BITS:
    case F_BOOL_BIT:
        declare_number(e, f);
        break;
    case F_ENUM:
    case F_ENUM_BITS:
        fprintf(out, "    enum e%d %s", n, f->name);
        f->kind == F_ENUM ? fprintf(out, ";\n") : fprintf(out, " : %d;\n", f->bits);
        break;
    case F_STRUCT:
    case F_BLOCK:
        fprintf(out, "    struct s%d_%d %s%s;\n", n, tag, f->kind == F_BLOCK ? "*" : "", f->name);
        break;
    case F_EITHER:
        fprintf(out, "    union { long %sa; double %sb; };\n", f->name, f->name);
        break;
    case F_INNER:
    case F_VARIABLE:
        fprintf(out, "    %sint *%s;\n", f->kind == F_VARIABLE ? "const " : "", f->name);
        break;
    case F_FUNCTION:
        fprintf(out, "    int (*%s)(int);\n", f->name);
        break;
    case F_TEXT:
        fprintf(out, "    const char *%s;\n", f->name);
        break;
    case F_TAGGED_ANY:
        fprintf(out, "    int %s_tag;\n", f->name);
        __attribute__((fallthrough));
    case F_ANY:
        fprintf(out, "    void *%s;\n", f->name);
        break;
    case F_WORD:
        fprintf(out, "    uintptr_t %s;\n", f->name);
        break;
    case F_UNION:
        declare_union(e, f);
        break;
    default:
        declare_array(e, f);
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

/* In another order in the newer text, so that they have other addresses. */
static void declare_marks(struct emit *e)
{
    int n = e->pair->number;
    for (int i = 0; i < 3; i++) {
        int k = e->is_now ? 2 - i : i;
        if (k < 2 || !e->v->lacks_function)
            fprintf(e->out, "static int fn%d_%d(int x)\n{\n    return x * %d + %d;\n}\n", n, k,
                    n + 3, 7 * k + 2);
    }
    for (int i = 0; i < 2; i++)
        fprintf(e->out, "static const int var%d_%d = %d;\n", n, e->is_now ? 1 - i : i, i + 1);
    fprintf(e->out, "static const void *const marks%d[] = {", n);
    for (int k = 0; k < 3; k++)
        k == 2 && e->v->lacks_function ? fprintf(e->out, "0, ")
                                       : fprintf(e->out, "(void *)fn%d_%d, ", n, k);
    fprintf(e->out, "&var%d_0, &var%d_1, \"%s text %d\", \"%s literal %d\"};\n", n, n, "a", n, "b",
            n);
}

/* ---- hints ------------------------------------------------------------------------ */

static void emit_tag_hints(struct emit *e, const char *type, const struct field *f)
{
    FILE *out = e->out;
    fprintf(out, "MOLT_TAGGED(%s, %s, %s_tag);\n", type, f->name, f->name);
    if (f->kind == F_UNION) {
        for (int i = 0; i < 3; i++)
            fprintf(out, "MOLT_CASE(%s, %s, %d, %c);\n", type, f->name, i, "abp"[i]);
        return;
    }
    for (int i = 0; i < e->v->n_types; i++)
        fprintf(out, "MOLT_CASE(%s, %s, %d, struct s%d_%d);\n", type, f->name, i + 1,
                e->pair->number, e->v->types[i].tag);
}

static void emit_field_hints(struct emit *e, const char *type, const struct type *t,
                             const struct field *f)
{
    FILE *out = e->out;
    if (f->kind == F_LIST)
        fprintf(out, "MOLT_LENGTH(%s, %s, %s_n);\n", type, f->name, f->name);
    if ((f->kind == F_UNION && t->is_tagged) || f->kind == F_TAGGED_ANY)
        emit_tag_hints(e, type, f);
    if (f->is_opaque)
        fprintf(out, "MOLT_OPAQUE(%s, %s);\n", type, f->name);
    if (e->is_now && f->old_name[0])
        fprintf(out, "MOLT_RENAMED(%s, %s, %s);\n", type, f->name, f->old_name);
    if (e->is_now && f->has_default)
        fprintf(out, "MOLT_DEFAULT(%s, %s, %d);\n", type, f->name, emit_default_of(f));
}

static void emit_example(struct emit *e, const char *type, const struct type *t)
{
    int n = 0;
    for (int k = 0; k < t->n_fields; k++) {
        const struct field *f = &t->fields[k];
        if (!f->has_example)
            continue;
        n++ == 0 ? fprintf(e->out, "MOLT_EXAMPLE(%s", type) : 0;
        fprintf(e->out, ", .%s = %d", f->name, emit_default_of(f));
    }
    n ? fprintf(e->out, ");\n") : 0;
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
        if (e->is_now)
            emit_example(e, name, t);
        for (int k = 0; e->is_now && k < t->n_dropped; k++)
            fprintf(e->out, "MOLT_DROP(%s, %s);\n", name, t->dropped[k]);
        if (t->semantic)
            fprintf(e->out, "MOLT_SEMANTIC(%s, %d);\n", name, t->semantic);
        if (e->is_now && t->tag >= TYPES_MAX)
            fprintf(e->out, "MOLT_RENAMED_TYPE(%s, struct s%d_%d);\n", name, n, t->tag - TYPES_MAX);
    }
    if (e->is_now && e->v->is_renumbered)
        fprintf(e->out, "MOLT_RENUMBERED(enum e%d);\n", n);
}

/* ---- objects ------------------------------------------------------------------------ */

static void emit_table(struct emit *e, const char *name, enum pass pass)
{
    fprintf(e->out, "static const struct property_cell %s%d[] = {\n", name, e->pair->number);
    e->pass = pass;
    emit_objects(e);
    fprintf(e->out, "};\n");
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
    fprintf(e->out, "static int build%d(void **o)\n{\n", e->pair->number);
    for (int i = 0; i < e->pair->n_objects; i++)
        emit_new(e, i);
    e->pass = PASS_SET;
    if (!e->is_now)
        emit_objects(e);
    fprintf(e->out, "    return 0;\n}\n");
}

static void emit_check(struct emit *e)
{
    int n = e->pair->number;
    fprintf(e->out, "static int check%d(void *const *o)\n{\n", n);
    for (int i = 0; i < e->pair->n_objects; i++)
        fprintf(e->out, "    struct s%d_%d *o%d = o[%d];\n", n,
                e->v->types[e->pair->objects[i].type].tag, i, i);
    e->pass = PASS_CHECK;
    emit_objects(e);
    fprintf(e->out, "    return 0;\n}\n");
}

static const char head[] =
    "#include <molt/molt.h>\n#include <molt/migrate.h>\n#include <stdint.h>\n"
    "enum { CELL_SIGNED, CELL_UNSIGNED, CELL_FLOAT, CELL_TEXT, CELL_ZERO, CELL_NEVER,\n"
    "       CELL_BLOCK, CELL_MARK, CELL_OPAQUE, CELL_WORD };\n"
    "struct property_cell {\n    unsigned line;\n    unsigned short kind, object;\n"
    "    unsigned at, bytes;\n    long value;\n    unsigned long to;\n};\n"
    "struct property_entry {\n    const struct property_cell *values, *expected;\n"
    "    unsigned n_values, n_expected;\n    int (*build)(void **);\n"
    "    int (*check)(void *const *);\n    const void *const *marks;\n};\n"
    "#define A(i, T, path) (i) * sizeof(struct T) + __builtin_offsetof(struct T, path)\n"
    "#define C(k, o, i, T, path, n, value, to) \\\n"
    "    {__LINE__, k, o, A(i, T, path), n sizeof(((struct T *)0)->path), value, to},\n"
    "#define N(table) sizeof table / sizeof *table\n";

void emit_text(FILE *out, const struct pair *pairs, int n, bool is_now, const char *name)
{
    fputs(head, out);
    for (int i = 0; i < n; i++) {
        struct emit e = {.out = out,
                         .pair = &pairs[i],
                         .v = is_now ? &pairs[i].now : &pairs[i].old,
                         .is_now = is_now};
        declare_types(&e);
        declare_marks(&e);
        emit_hints(&e);
        if (!is_now)
            emit_table(&e, "values", PASS_VALUES);
        emit_table(&e, "expected", PASS_EXPECTED);
        emit_build(&e);
        emit_check(&e);
    }
    fprintf(out, "static const struct property_entry entries[] = {\n");
    for (int i = 0; i < n; i++) {
        int k = pairs[i].number;
        is_now ? fprintf(out, "    {0, expected%d, 0, ", k)
               : fprintf(out, "    {values%d, expected%d, N(values%d), ", k, k, k);
        fprintf(out, "N(expected%d), build%d, check%d, marks%d},\n", k, k, k, k);
    }
    fprintf(out, "};\nMOLT_EXTENSION(%s, \"%s\", entries);\n", name, name);
}
