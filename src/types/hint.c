/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/hint.h"

#include <dwarf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/fields.h"
#include "types/image.h"
#include "types/rules.h"

#define NAME_MAX_BYTES 256

/* One that is being read. */
struct reading {
    struct molt_image *image;
    uint64_t addr;
    uint64_t value_at; /* address of the value; 0: none */
    const char *type_text;
    uint64_t type_size;
    bool is_in_header;
    struct molt_image_hint hint;
};

static const char *const macros[] = {
    [MOLT_HINT_RENAMED] = "MOLT_RENAMED",
    [MOLT_HINT_RENAMED_TYPE] = "MOLT_RENAMED_TYPE",
    [MOLT_HINT_DEFAULT] = "MOLT_DEFAULT",
    [MOLT_HINT_EXAMPLE] = "MOLT_EXAMPLE",
    [MOLT_HINT_TAGGED] = "MOLT_TAGGED",
    [MOLT_HINT_CASE] = "MOLT_CASE",
    [MOLT_HINT_LENGTH] = "MOLT_LENGTH",
    [MOLT_HINT_OPAQUE] = "MOLT_OPAQUE",
    [MOLT_HINT_DROP] = "MOLT_DROP",
    [MOLT_HINT_SEMANTIC] = "MOLT_SEMANTIC",
    [MOLT_HINT_RENUMBERED] = "MOLT_RENUMBERED",
};
#define KINDS (sizeof macros / sizeof *macros)

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading hints: out of memory");
}

/* Refuse a hint: @found is what is wrong with it. */
static int refuse(const struct reading *r, const char *remedy, struct molt_error *err,
                  const char *found)
{
    const struct molt_image_hint *h = &r->hint;
    return molt_rule_break_with(err, MOLT_RULE_HINT, remedy, "%s %s(%.120s%s%.100s): %s", h->place,
                                macros[h->kind], r->type_text, h->field ? ", " : "",
                                h->field ? h->field : "", found);
}

static int refuse_name(const struct reading *r, const char *name, const char *what,
                       struct molt_error *err)
{
    char found[NAME_MAX_BYTES];
    snprintf(found, sizeof found, "%.120s is %s", name, what);
    return refuse(r, "mend the hint, or remove it", err, found);
}

/* ---- reading ------------------------------------------------------------ */

static int unreadable(struct molt_error *err)
{
    return molt_rule_break_with(err, MOLT_RULE_HINT, "write hints with the macros of <molt/molt.h>",
                                "section molt_hints is unreadable");
}

static int read_address(const struct reading *r, size_t offset, uint64_t *ret,
                        struct molt_error *err)
{
    struct molt_elf_word word;
    if (molt_elf_word(&r->image->elf, r->addr + offset, &word) < 0 || word.sym)
        return unreadable(err);
    *ret = word.addr;
    return 0;
}

static int read_text(const struct reading *r, size_t offset, const char **ret,
                     struct molt_error *err)
{
    uint64_t addr = 0;
    int rc = read_address(r, offset, &addr, err);
    if (rc < 0)
        return rc;
    *ret = addr ? molt_elf_string_at(&r->image->elf, addr) : NULL;
    return addr && (!*ret || strlen(*ret) >= NAME_MAX_BYTES) ? unreadable(err) : 0;
}

static int read_place(struct reading *r, struct molt_error *err)
{
    struct molt_debug *debug = &r->image->debug;
    char place[NAME_MAX_BYTES] = "an unknown place";
    const struct molt_debug_var *var = molt_debug_var_at(debug, r->addr);
    r->hint.unit = SIZE_MAX;
    if (var) {
        Dwarf_Die die = var->die;
        const struct molt_source *source = molt_debug_source(debug, &die);
        r->hint.unit = var->unit;
        r->is_in_header = source && source->is_header;
        molt_debug_place(debug, &die, place, sizeof place);
    }
    r->hint.place = molt_arena_strdup(&debug->arena, place);
    return r->hint.place ? 0 : no_memory(err);
}

static int read_hint(struct reading *r, struct molt_error *err)
{
    struct molt_hint raw;
    const uint8_t *bytes = molt_elf_at(&r->image->elf, r->addr, sizeof raw);
    if (!bytes)
        return unreadable(err);
    memcpy(&raw, bytes, sizeof raw);
    if (raw.size != sizeof raw || raw.kind == 0 || raw.kind >= KINDS)
        return molt_rule_break(err, MOLT_RULE_ABI, "a hint has %" PRIu32 " bytes, kind %" PRIu32,
                               raw.size, raw.kind);
    struct molt_image_hint *h = &r->hint;
    h->kind = (enum molt_hint_kind)raw.kind;
    h->text_type = MOLT_NODE_NONE;
    h->value_size = raw.value_size;
    h->number = raw.number;
    r->type_size = raw.type_size;
    int rc = read_text(r, offsetof(struct molt_hint, type), &r->type_text, err);
    if (rc == 0)
        rc = read_text(r, offsetof(struct molt_hint, field), &h->field, err);
    if (rc == 0)
        rc = read_text(r, offsetof(struct molt_hint, text), &h->text, err);
    if (rc == 0)
        rc = read_address(r, offsetof(struct molt_hint, value), &r->value_at, err);
    if (rc < 0)
        return rc;
    if (!r->type_text)
        return unreadable(err);
    return read_place(r, err);
}

/* ---- what it says -------------------------------------------------------- */

static const struct molt_node *whole_node(const struct molt_graph *g, uint32_t type)
{
    return &g->nodes[molt_graph_whole(g, type)];
}

static bool is_integer(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = whole_node(g, type);
    return node->kind == MOLT_KIND_ENUM ||
           (node->kind == MOLT_KIND_BASE &&
            (node->encoding == DW_ATE_signed || node->encoding == DW_ATE_unsigned ||
             node->encoding == DW_ATE_signed_char || node->encoding == DW_ATE_unsigned_char ||
             node->encoding == DW_ATE_boolean));
}

static int need_field(const struct reading *r, const char *path, struct molt_field *ret,
                      struct molt_error *err)
{
    if (path && molt_field_at(&r->image->graph, r->hint.type, path, ret))
        return 0;
    return refuse_name(r, path ? path : "(nothing)", "no field of it", err);
}

/* The bytes of a value; of other memory a value can only hold NULL. */
static int check_value(struct reading *r, uint64_t size, struct molt_error *err)
{
    const struct molt_elf *elf = &r->image->elf;
    r->hint.value = r->value_at ? molt_elf_at(elf, r->value_at, size) : NULL;
    if (!r->hint.value || r->hint.value_size != size)
        return refuse(r, "mend the hint, or remove it", err, "the value has another size");
    for (size_t i = 0; i < elf->n_relocs; i++)
        if (elf->relocs[i].r_offset >= r->value_at && elf->relocs[i].r_offset - r->value_at < size)
            return refuse(r, "leave pointers out: they become NULL", err,
                          "the value holds an address");
    return 0;
}

/* A field that says which, or how many: an integer of the same struct. */
static int need_integer(const struct reading *r, const char *path, struct molt_error *err)
{
    struct molt_field field;
    int rc = need_field(r, path, &field, err);
    if (rc < 0 || is_integer(&r->image->graph, field.type))
        return rc;
    return refuse_name(r, path, "no integer", err);
}

static bool is_void_pointer(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = whole_node(g, type);
    return node->kind == MOLT_KIND_POINTER && whole_node(g, node->target)->kind == MOLT_KIND_VOID;
}

static bool is_union(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = whole_node(g, type);
    return node->kind == MOLT_KIND_RECORD && node->is_union;
}

static int check_tagged(const struct reading *r, struct molt_error *err)
{
    const struct molt_graph *g = &r->image->graph;
    struct molt_field field;
    int rc = need_field(r, r->hint.field, &field, err);
    if (rc == 0 && !is_union(g, field.type) && !is_void_pointer(g, field.type))
        rc = refuse_name(r, r->hint.field, "neither a union nor a void *", err);
    return rc < 0 ? rc : need_integer(r, r->hint.text, err);
}

static int check_case(struct reading *r, struct molt_error *err)
{
    struct molt_graph *g = &r->image->graph;
    struct molt_field field, member;
    int rc = need_field(r, r->hint.field, &field, err);
    if (rc < 0)
        return rc;
    if (is_void_pointer(g, field.type)) {
        rc = molt_graph_find(g, r->hint.unit, r->hint.text, &r->hint.text_type, err);
        return rc != 0 ? (rc < 0 ? rc : 0) : refuse_name(r, r->hint.text, "no type here", err);
    }
    if (!is_union(g, field.type))
        return refuse_name(r, r->hint.field, "neither a union nor a void *", err);
    if (!molt_field_at(g, molt_graph_whole(g, field.type), r->hint.text, &member))
        return refuse_name(r, r->hint.text, "no member of the union", err);
    return 0;
}

static int check_length(const struct reading *r, struct molt_error *err)
{
    struct molt_field field;
    int rc = need_field(r, r->hint.field, &field, err);
    if (rc == 0 && whole_node(&r->image->graph, field.type)->kind != MOLT_KIND_ARRAY)
        rc = refuse_name(r, r->hint.field, "no array", err);
    return rc < 0 ? rc : need_integer(r, r->hint.text, err);
}

static int check_default(struct reading *r, struct molt_error *err)
{
    struct molt_field field;
    int rc = need_field(r, r->hint.field, &field, err);
    if (rc == 0 && field.bit_size)
        rc = refuse_name(r, r->hint.field, "a bitfield; MOLT_EXAMPLE can give it a value", err);
    return rc < 0 ? rc : check_value(r, molt_graph_size(&r->image->graph, field.type), err);
}

static int check_drop(const struct reading *r, struct molt_error *err)
{
    struct molt_field field;
    if (r->hint.text && !molt_field_at(&r->image->graph, r->hint.type, r->hint.text, &field))
        return 0;
    return refuse_name(r, r->hint.text ? r->hint.text : "(nothing)", "still a field of it", err);
}

/* Modules that include the header must agree about the type. */
static int check_semantic(struct reading *r, struct molt_error *err)
{
    struct molt_graph *g = &r->image->graph;
    uint64_t known, identity = g->nodes[r->hint.type].identity;
    if (identity == 0)
        return refuse(r, "give the type a name", err, "the type has none");
    if (molt_graph_is_shared(g, r->hint.type) && !r->is_in_header)
        return refuse(r, "write it in the header, behind the type", err,
                      "the type is from a header");
    if (molt_map_get(&g->semantics, identity, &known) && known != (uint64_t)r->hint.number)
        return refuse(r, "leave one", err, "there are two of different numbers");
    if (molt_map_put(&g->semantics, identity, (uint64_t)r->hint.number) < 0)
        return no_memory(err);
    return 0;
}

static int check_kind(struct reading *r, struct molt_error *err)
{
    struct molt_field field;
    switch (r->hint.kind) {
    case MOLT_HINT_RENAMED:
    case MOLT_HINT_OPAQUE:
        return need_field(r, r->hint.field, &field, err);
    case MOLT_HINT_DEFAULT:
        return check_default(r, err);
    case MOLT_HINT_EXAMPLE:
        return check_value(r, molt_graph_size(&r->image->graph, r->hint.type), err);
    case MOLT_HINT_TAGGED:
        return check_tagged(r, err);
    case MOLT_HINT_CASE:
        return check_case(r, err);
    case MOLT_HINT_LENGTH:
        return check_length(r, err);
    case MOLT_HINT_DROP:
        return check_drop(r, err);
    case MOLT_HINT_SEMANTIC:
        return check_semantic(r, err);
    default:
        return 0;
    }
}

/* 1: fits, 0: about a type that the module has no use for. */
static int check_type(struct reading *r, struct molt_error *err)
{
    struct molt_graph *g = &r->image->graph;
    uint32_t type;
    int rc = molt_graph_find(g, r->hint.unit, r->type_text, &type, err);
    if (rc <= 0)
        return rc;
    r->hint.type = molt_graph_whole(g, type);
    bool is_enum = g->nodes[r->hint.type].kind == MOLT_KIND_ENUM;
    bool is_record = g->nodes[r->hint.type].kind == MOLT_KIND_RECORD;
    if (r->hint.kind == MOLT_HINT_RENUMBERED ? !is_enum
                                             : !is_record && r->hint.kind != MOLT_HINT_RENAMED_TYPE)
        return refuse_name(r, r->type_text,
                           r->hint.kind == MOLT_HINT_RENUMBERED ? "no enum" : "no struct", err);
    if (molt_graph_size(g, r->hint.type) != r->type_size)
        return refuse(r, "build the module again", err, "the debug info has another type");
    rc = check_kind(r, err);
    return rc < 0 ? rc : 1;
}

static bool is_text_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_value_same(const struct molt_image_hint *a, const struct molt_image_hint *b)
{
    return a->number == b->number && is_text_same(a->text, b->text) &&
           a->value_size == b->value_size &&
           (!a->value || !b->value || memcmp(a->value, b->value, a->value_size) == 0);
}

static bool is_about_same(const struct molt_image_hint *a, const struct molt_image_hint *b)
{
    return a->kind == b->kind && is_text_same(a->field, b->field) &&
           (a->kind != MOLT_HINT_CASE || a->number == b->number) &&
           (a->kind != MOLT_HINT_DROP || is_text_same(a->text, b->text));
}

/* A header's hints are in each unit that includes it; but two mustn't disagree. */
static int compare(const struct reading *r, const struct molt_image_hint *other,
                   struct molt_error *err)
{
    const struct molt_image_hint *h = &r->hint;
    if (!molt_graph_is_same(&r->image->graph, h->type, other->type))
        return 0;
    bool is_drop = h->kind == MOLT_HINT_DROP && other->kind == MOLT_HINT_RENAMED;
    bool is_renamed = h->kind == MOLT_HINT_RENAMED && other->kind == MOLT_HINT_DROP;
    bool contradicts = is_about_same(h, other) && !is_value_same(h, other);
    if ((is_drop || is_renamed) && is_text_same(h->text, other->text))
        contradicts = true;
    if (!contradicts)
        return 0;
    char found[NAME_MAX_BYTES];
    snprintf(found, sizeof found, "%.200s says otherwise", other->place);
    return refuse(r, "leave one of the two", err, found);
}

static int add(struct reading *r, struct molt_error *err)
{
    struct molt_image_hints *hints = &r->image->hints;
    for (size_t i = 0; i < hints->n; i++) {
        int rc = compare(r, &hints->items[i], err);
        if (rc < 0)
            return rc;
    }
    hints->items[hints->n++] = r->hint;
    return 0;
}

int molt_image_read_hints(struct molt_image *image, struct molt_error *err)
{
    const Elf64_Shdr *section = molt_elf_section(&image->elf, "molt_hints");
    if (!section || section->sh_size == 0)
        return 0;
    size_t n = section->sh_size / sizeof(struct molt_hint);
    if (section->sh_size % sizeof(struct molt_hint) != 0 || n > image->elf.len)
        return molt_rule_break(err, MOLT_RULE_ABI, "section molt_hints has %" PRIu64 " bytes",
                               section->sh_size);
    if (!(image->hints.items = calloc(n, sizeof *image->hints.items)))
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct reading r = {.image = image,
                            .addr = section->sh_addr + i * sizeof(struct molt_hint)};
        int rc = read_hint(&r, err);
        if (rc == 0)
            rc = check_type(&r, err);
        if (rc > 0)
            rc = add(&r, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
