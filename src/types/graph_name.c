/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Types in words: as C for people, and as keys for the host. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "types/graph.h"

#define DEPTH_MAX 32
#define DECLARATOR_MAX 512

static const char *record_word(const struct molt_node *node)
{
    if (node->kind == MOLT_KIND_ENUM)
        return "enum";
    return node->is_union ? "union" : "struct";
}

static void print(const struct molt_graph *g, uint32_t index, const char *declarator, int depth,
                  struct molt_buf *out);

/* "T" or "T declarator". */
static void print_plain(const char *word, const char *name, const char *declarator,
                        struct molt_buf *out)
{
    molt_buf_printf(out, "%s%s%s%s%s", word, *word ? " " : "", name, *declarator ? " " : "",
                    declarator);
}

static void print_parameters(const struct molt_graph *g, const struct molt_node *node, int depth,
                             struct molt_buf *out)
{
    for (uint32_t i = 0; i < node->n_members; i++) {
        molt_buf_adds(out, i ? ", " : "");
        print(g, node->members[i].type, "", depth + 1, out);
    }
    if (node->is_variadic)
        molt_buf_adds(out, node->n_members ? ", ..." : "...");
    else if (node->n_members == 0)
        molt_buf_adds(out, "void");
}

static void print_function(const struct molt_graph *g, const struct molt_node *node,
                           const char *declarator, int depth, struct molt_buf *out)
{
    struct molt_buf inner = MOLT_BUF_INIT;
    molt_buf_printf(&inner, "%s(", declarator);
    print_parameters(g, node, depth, &inner);
    molt_buf_adds(&inner, ")");
    molt_buf_printf(&inner, "%s", "");
    if (inner.is_failed)
        out->is_failed = true;
    else
        print(g, node->target, inner.data, depth + 1, out);
    molt_buf_fini(&inner);
}

static const char *qual_word(unsigned quals)
{
    switch (quals) {
    case MOLT_QUAL_CONST:
        return "const";
    case MOLT_QUAL_VOLATILE:
        return "volatile";
    case MOLT_QUAL_RESTRICT:
        return "restrict";
    default:
        return "_Atomic";
    }
}

static void print_qualified(const struct molt_graph *g, const struct molt_node *node,
                            const char *declarator, int depth, struct molt_buf *out)
{
    char inner[DECLARATOR_MAX];
    if (g->nodes[node->target].kind == MOLT_KIND_POINTER) {
        /* A qualified pointer: the word stands behind the star. */
        uint32_t pointee = g->nodes[node->target].target;
        snprintf(inner, sizeof inner, "*%s%s%s", qual_word(node->quals), *declarator ? " " : "",
                 declarator);
        print(g, pointee, inner, depth + 1, out);
        return;
    }
    molt_buf_printf(out, "%s ", qual_word(node->quals));
    print(g, node->target, declarator, depth + 1, out);
}

static void print_pointer(const struct molt_graph *g, const struct molt_node *node,
                          const char *declarator, int depth, struct molt_buf *out)
{
    char inner[DECLARATOR_MAX];
    enum molt_node_kind kind = g->nodes[node->target].kind;
    bool needs_parens = kind == MOLT_KIND_FUNCTION || kind == MOLT_KIND_ARRAY;
    snprintf(inner, sizeof inner, needs_parens ? "(*%s)" : "*%s", declarator);
    print(g, node->target, inner, depth + 1, out);
}

static void print_array(const struct molt_graph *g, const struct molt_node *node,
                        const char *declarator, int depth, struct molt_buf *out)
{
    char inner[DECLARATOR_MAX];
    if (node->count == MOLT_COUNT_OPEN)
        snprintf(inner, sizeof inner, "%s[]", declarator);
    else
        snprintf(inner, sizeof inner, "%s[%" PRIu64 "]", declarator, node->count);
    print(g, node->target, inner, depth + 1, out);
}

static void print(const struct molt_graph *g, uint32_t index, const char *declarator, int depth,
                  struct molt_buf *out)
{
    const struct molt_node *node = &g->nodes[index];
    if (depth > DEPTH_MAX || out->len > 8 * DECLARATOR_MAX) {
        molt_buf_adds(out, "...");
        return;
    }
    switch (node->kind) {
    case MOLT_KIND_VOID:
        print_plain("", "void", declarator, out);
        break;
    case MOLT_KIND_BASE:
    case MOLT_KIND_TYPEDEF:
        print_plain("", node->name, declarator, out);
        break;
    case MOLT_KIND_RECORD:
    case MOLT_KIND_ENUM:
        print_plain(node->is_tagless ? "" : record_word(node), node->name ? node->name : "{...}",
                    declarator, out);
        break;
    case MOLT_KIND_POINTER:
        print_pointer(g, node, declarator, depth, out);
        break;
    case MOLT_KIND_ARRAY:
        print_array(g, node, declarator, depth, out);
        break;
    case MOLT_KIND_QUALIFIED:
        print_qualified(g, node, declarator, depth, out);
        break;
    case MOLT_KIND_FUNCTION:
        print_function(g, node, declarator, depth, out);
        break;
    }
}

void molt_graph_print(const struct molt_graph *g, uint32_t index, struct molt_buf *out)
{
    print(g, index, "", 0, out);
}

/* "next.h:" or "counter/counter.c:" or "counter/counter.c:function:". */
static void key_place(const struct molt_graph *g, const struct molt_node *node,
                      struct molt_buf *out)
{
    if (node->file && node->file->is_header)
        molt_buf_printf(out, "%s:", node->file->text);
    else
        molt_buf_printf(out, "%s/%s:", g->debug->module ? g->debug->module : "",
                        node->file ? node->file->base : "");
    if (node->scope)
        molt_buf_printf(out, "%s:", node->scope);
}

static void key_tag(const struct molt_graph *g, const struct molt_node *node, uint64_t hash,
                    struct molt_buf *out)
{
    key_place(g, node, out);
    if (!node->name)
        molt_buf_printf(out, "%s {%016" PRIx64 "}", record_word(node), hash);
    else if (node->is_tagless)
        molt_buf_adds(out, node->name);
    else
        molt_buf_printf(out, "%s %s", record_word(node), node->name);
}

static void key(const struct molt_graph *g, uint32_t index, uint64_t hash, int depth,
                struct molt_buf *out)
{
    index = molt_graph_strip(g, index, NULL);
    const struct molt_node *node = &g->nodes[index];
    if (depth > DEPTH_MAX) {
        molt_buf_printf(out, "{%016" PRIx64 "}", hash);
        return;
    }
    switch (node->kind) {
    case MOLT_KIND_BASE:
        molt_buf_adds(out, node->name);
        break;
    case MOLT_KIND_POINTER:
        key(g, node->target, hash, depth + 1, out);
        molt_buf_adds(out, " *");
        break;
    case MOLT_KIND_ARRAY:
        key(g, node->target, hash, depth + 1, out);
        molt_buf_printf(out, "[%" PRIu64 "]", node->count == MOLT_COUNT_OPEN ? 0 : node->count);
        break;
    case MOLT_KIND_RECORD:
    case MOLT_KIND_ENUM:
        if (node->completed != MOLT_NODE_NONE)
            node = &g->nodes[node->completed];
        key_tag(g, node, hash, out);
        break;
    case MOLT_KIND_FUNCTION:
        molt_buf_printf(out, "function {%016" PRIx64 "}", hash);
        break;
    default:
        molt_buf_adds(out, "void");
    }
}

const char *molt_graph_key(struct molt_graph *g, uint32_t index, uint64_t hash)
{
    struct molt_buf out = MOLT_BUF_INIT;
    key(g, index, hash, 0, &out);
    molt_buf_printf(&out, "%s", "");
    const char *text = out.is_failed ? NULL : molt_arena_strdup(&g->debug->arena, out.data);
    molt_buf_fini(&out);
    return text;
}

bool molt_graph_is_shared(const struct molt_graph *g, uint32_t index)
{
    for (int depth = 0; depth <= DEPTH_MAX; depth++) {
        index = molt_graph_strip(g, index, NULL);
        const struct molt_node *node = &g->nodes[index];
        if (node->kind == MOLT_KIND_RECORD && node->completed != MOLT_NODE_NONE)
            node = &g->nodes[node->completed];
        if (node->kind == MOLT_KIND_RECORD || node->kind == MOLT_KIND_ENUM)
            return node->name && !node->scope && node->file && node->file->is_header;
        if (node->kind != MOLT_KIND_POINTER && node->kind != MOLT_KIND_ARRAY)
            return false;
        index = node->target;
    }
    return false;
}
