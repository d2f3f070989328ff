/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Behaviours: section molt_servers is an array of struct molt_server. The casts
 * of MOLT_SERVER() hide the functions' types from the compiler; here they are
 * compared with what their places promise (include/molt/abi.h).
 */
#include <dwarf.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/abi.h>

#include "types/behaviour.h"
#include "types/image.h"
#include "types/rules.h"

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading behaviours: out of memory");
}

/* ---- expectations ------------------------------------------------------- */

static bool is_const_pointer(const struct molt_graph *g, uint32_t type)
{
    unsigned quals = 0;
    uint32_t found = molt_behaviour_pointee(g, type);
    if (found == MOLT_NODE_NONE)
        return false;
    molt_graph_strip(g, found, &quals);
    return quals & MOLT_QUAL_CONST;
}

/* To a struct of <molt/molt.h>. */
static bool points_to_struct(const struct molt_graph *g, uint32_t type, const char *name)
{
    uint32_t found = molt_behaviour_pointee(g, type);
    if (found == MOLT_NODE_NONE)
        return false;
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, found, NULL)];
    return node->kind == MOLT_KIND_RECORD && node->name && strcmp(node->name, name) == 0;
}

static bool points_to_from(const struct molt_graph *g, uint32_t type)
{
    return points_to_struct(g, type, "molt_from");
}

static bool points_to_char(const struct molt_graph *g, uint32_t type)
{
    uint32_t found = molt_behaviour_pointee(g, type);
    if (found == MOLT_NODE_NONE)
        return false;
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, found, NULL)];
    return node->kind == MOLT_KIND_BASE && node->size == 1;
}

struct shape { /* of a function in the table */
    size_t offset;
    const char *what;
    bool returns_void;
    unsigned n_parameters;
    const char *expected;
};

static bool is_fixed_callee_fine(const struct molt_behaviour *b, const struct shape *shape,
                                 uint32_t function)
{
    const struct molt_graph *g = &b->image->graph;
    if (!molt_behaviour_fits(g, function, shape->returns_void, shape->n_parameters) ||
        !molt_behaviour_points_to(g, molt_behaviour_parameter(g, function, 0), b->state))
        return false;
    switch (shape->offset) {
    case offsetof(struct molt_server, terminate):
        return molt_behaviour_is_int(g, molt_behaviour_parameter(g, function, 1));
    case offsetof(struct molt_server, on_ready):
        return molt_behaviour_is_int(g, molt_behaviour_parameter(g, function, 1)) &&
               molt_behaviour_is_base(g, molt_behaviour_parameter(g, function, 2), DW_ATE_unsigned,
                                      4);
    case offsetof(struct molt_server, on_other):
        return points_to_char(g, molt_behaviour_parameter(g, function, 1)) &&
               molt_behaviour_pointee(g, molt_behaviour_parameter(g, function, 2)) !=
                   MOLT_NODE_NONE &&
               molt_behaviour_is_void(
                   g, molt_behaviour_pointee(g, molt_behaviour_parameter(g, function, 2)));
    case offsetof(struct molt_server, on_exit):
        return points_to_struct(g, molt_behaviour_parameter(g, function, 1), "molt_exit") &&
               is_const_pointer(g, molt_behaviour_parameter(g, function, 1));
    case offsetof(struct molt_server, on_down):
        return points_to_struct(g, molt_behaviour_parameter(g, function, 1), "molt_down") &&
               is_const_pointer(g, molt_behaviour_parameter(g, function, 1));
    case offsetof(struct molt_server, on_data):
        return points_to_struct(g, molt_behaviour_parameter(g, function, 1), "molt_net_data") &&
               is_const_pointer(g, molt_behaviour_parameter(g, function, 1));
    default:
        return true;
    }
}

static int check_fixed(struct molt_behaviour *b, struct molt_error *err)
{
    static const struct shape shapes[] = {
        {offsetof(struct molt_server, terminate), "terminate", true, 2, "void (S *, int reason)"},
        {offsetof(struct molt_server, on_ready), "on_ready", false, 3,
         "int (S *, int fd, unsigned events)"},
        {offsetof(struct molt_server, on_data), "on_data", false, 2,
         "int (S *, const struct molt_net_data *)"},
        {offsetof(struct molt_server, on_timeout), "on_timeout", false, 1, "int (S *)"},
        {offsetof(struct molt_server, on_other), "on_other", false, 3,
         "int (S *, const char *type, void *message)"},
        {offsetof(struct molt_server, run), "run", false, 1, "int (S *)"},
        {offsetof(struct molt_server, on_continue), "on_continue", false, 1, "int (S *)"},
        {offsetof(struct molt_server, on_config), "on_config", false, 1, "int (S *)"},
        {offsetof(struct molt_server, on_exit), "on_exit", false, 2,
         "int (S *, const struct molt_exit *)"},
        {offsetof(struct molt_server, on_down), "on_down", false, 2,
         "int (S *, const struct molt_down *)"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct molt_callee callee;
        bool is_set;
        int rc = molt_behaviour_read_callee(b, shapes[i].offset, &callee, &is_set, err);
        if (rc < 0)
            return rc;
        if (!is_set || is_fixed_callee_fine(b, &shapes[i], callee.function))
            continue;
        struct molt_buf expected = MOLT_BUF_INIT, state = MOLT_BUF_INIT;
        molt_buf_printf(&expected, ".%s: %s, S being %s", shapes[i].what, shapes[i].expected,
                        molt_behaviour_print_type(&b->image->graph, b->state, &state));
        rc = molt_behaviour_refuse(b, &callee, expected.data ? expected.data : shapes[i].expected,
                                   err);
        molt_buf_fini(&expected);
        molt_buf_fini(&state);
        return rc;
    }
    return 0;
}

/* int init(S *) or int init(S *, const A *): A, or void, is what spawn gives. */
static int check_init(struct molt_behaviour *b, struct molt_error *err)
{
    struct molt_image *image = b->image;
    const struct molt_graph *g = &image->graph;
    struct molt_callee callee;
    bool is_set;
    b->meta->init_type = MOLT_TYPE_NONE;
    int rc =
        molt_behaviour_read_callee(b, offsetof(struct molt_server, init), &callee, &is_set, err);
    if (rc < 0 || !is_set)
        return rc;
    bool has_argument = molt_behaviour_fits(g, callee.function, false, 2);
    if ((!has_argument && !molt_behaviour_fits(g, callee.function, false, 1)) ||
        !molt_behaviour_points_to(g, molt_behaviour_parameter(g, callee.function, 0), b->state) ||
        (has_argument && molt_behaviour_pointee(g, molt_behaviour_parameter(g, callee.function,
                                                                            1)) == MOLT_NODE_NONE))
        return molt_behaviour_refuse(b, &callee, ".init: int (S *, const A *)", err);
    if (!has_argument)
        return 0;
    return molt_image_add_type(
        image, molt_behaviour_pointee(g, molt_behaviour_parameter(g, callee.function, 1)),
        &b->meta->init_type, err);
}

/* The message parameter must be what the entry names. */
static int check_message(struct molt_behaviour *b, const struct molt_callee *callee,
                         const char *type, uint32_t size, uint32_t message, struct molt_error *err)
{
    struct molt_image *image = b->image;
    bool is_named;
    int rc = molt_graph_is_named(&image->graph, b->unit, type, message, &is_named, err);
    if (rc < 0)
        return rc;
    if (!is_named) {
        struct molt_buf found = MOLT_BUF_INIT;
        rc = molt_rule_break(err, MOLT_RULE_HANDLER, "%s handler %s takes %s, declared for %s",
                             callee->place, callee->name,
                             molt_behaviour_print_type(&image->graph, message, &found), type);
        molt_buf_fini(&found);
        return rc;
    }
    message = molt_graph_strip(&image->graph, message, NULL);
    if (image->graph.nodes[message].kind != MOLT_KIND_ARRAY && image->graph.nodes[message].size &&
        image->graph.nodes[message].size != size)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR,
                               "%s has %" PRIu32 " bytes in behaviour %s, %" PRIu64
                               " in the debug info",
                               type, size, b->name, image->graph.nodes[message].size);
    return 0;
}

static int check_handler(struct molt_behaviour *b, size_t at, uint32_t kind, uint32_t *ret,
                         struct molt_error *err)
{
    const struct molt_graph *g = &b->image->graph;
    struct molt_callee callee;
    bool is_set;
    const char *type;
    int rc = molt_behaviour_read_string(b, at + offsetof(struct molt_handler, type), &type, err);
    if (rc < 0 || (rc = molt_behaviour_read_callee(b, at + offsetof(struct molt_handler, fn),
                                                   &callee, &is_set, err)) < 0)
        return rc;
    if (!is_set)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no function for %s", b->name,
                               type);
    bool is_call = kind == MOLT_HANDLER_CALL;
    uint32_t function = callee.function;
    if (!molt_behaviour_fits(g, function, false, is_call ? 3 : 2) ||
        !molt_behaviour_points_to(g, molt_behaviour_parameter(g, function, 0), b->state) ||
        molt_behaviour_pointee(g, molt_behaviour_parameter(g, function, 1)) == MOLT_NODE_NONE ||
        (is_call && !points_to_from(g, molt_behaviour_parameter(g, function, 2))))
        return molt_behaviour_refuse(b, &callee,
                                     is_call ? "MOLT_CALL: int (S *, T *, struct molt_from *)"
                                             : "MOLT_CAST: int (S *, T *)",
                                     err);
    uint32_t message = molt_behaviour_pointee(g, molt_behaviour_parameter(g, function, 1));
    rc = check_message(b, &callee, type,
                       molt_behaviour_read_u32(b, at + offsetof(struct molt_handler, size)),
                       message, err);
    return rc < 0 ? rc : molt_image_add_type(b->image, message, ret, err);
}

/* ---- handlers ------------------------------------------------------------ */

/* @kind of the handler of @type has states that there are. */
static int check_mask(const struct molt_behaviour *b, uint32_t kind, size_t n_states, uint32_t type,
                      struct molt_error *err)
{
    uint32_t states = kind >> MOLT_HANDLER_STATES_SHIFT;
    const char *name = b->image->meta->types[type].name;
    if (states && n_states == 0)
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "declare it with MOLT_STATEM(), or use MOLT_CALL() or "
                                    "MOLT_CAST()",
                                    "%s behaviour %s has a handler for %s in some states, but "
                                    "no states",
                                    b->place, b->name, name);
    if (states >> n_states)
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "list it with MOLT_STATE(), or take it out of MOLT_IN()",
                                    "%s behaviour %s has a handler for %s in a state that it "
                                    "doesn't list",
                                    b->place, b->name, name);
    return 0;
}

static int check_overlap(const struct molt_behaviour *b, const uint32_t *masks, uint32_t mask,
                         uint32_t type, struct molt_error *err)
{
    const struct molt_meta_server *meta = b->meta;
    for (size_t k = 0; k < meta->n_handlers; k++)
        if (meta->handler_types[k] == type && (!mask || !masks[k] || mask & masks[k]))
            return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has two handlers for %s%s",
                                   b->name, b->image->meta->types[type].name,
                                   mask || masks[k] ? " in one state" : "");
    return 0;
}

static int check_handlers(struct molt_behaviour *b, struct molt_error *err)
{
    struct molt_meta_server *meta = b->meta;
    meta->handler_types = calloc(MOLT_HANDLERS_MAX, sizeof *meta->handler_types);
    if (!meta->handler_types)
        return no_memory(err);
    uint32_t masks[MOLT_HANDLERS_MAX] = {0};
    size_t n_states;
    int rc = molt_states_check(b, &n_states, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < MOLT_HANDLERS_MAX; i++) {
        size_t at = offsetof(struct molt_server, on) + i * sizeof(struct molt_handler);
        uint32_t whole = molt_behaviour_read_u32(b, at + offsetof(struct molt_handler, kind));
        uint32_t kind = whole & MOLT_HANDLER_KIND_MASK;
        if (whole == MOLT_HANDLER_NONE)
            continue;
        if (kind == MOLT_HANDLER_NONE || kind > MOLT_HANDLER_CAST || meta->n_handlers != i)
            return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has a gap in its handlers",
                                   b->name);
        uint32_t type = MOLT_TYPE_NONE;
        masks[i] = whole >> MOLT_HANDLER_STATES_SHIFT;
        if ((rc = check_handler(b, at, kind, &type, err)) < 0 ||
            (rc = check_mask(b, whole, n_states, type, err)) < 0 ||
            (rc = check_overlap(b, masks, masks[i], type, err)) < 0)
            return rc;
        meta->handler_types[meta->n_handlers++] = type;
    }
    return 0;
}

/* int fn(const OLD *, S *). */
static int check_change(struct molt_behaviour *b, size_t at, uint32_t *ret, struct molt_error *err)
{
    const struct molt_graph *g = &b->image->graph;
    struct molt_callee callee;
    bool is_set;
    const char *type;
    int rc = molt_behaviour_read_string(b, at + offsetof(struct molt_change, type), &type, err);
    if (rc < 0 || (rc = molt_behaviour_read_callee(b, at + offsetof(struct molt_change, fn),
                                                   &callee, &is_set, err)) < 0)
        return rc;
    if (!is_set)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no function for %s", b->name,
                               type);
    uint32_t function = callee.function;
    if (!molt_behaviour_fits(g, function, false, 2) ||
        !is_const_pointer(g, molt_behaviour_parameter(g, function, 0)) ||
        !molt_behaviour_points_to(g, molt_behaviour_parameter(g, function, 1), b->state))
        return molt_behaviour_refuse(b, &callee, "MOLT_CHANGE: int (const OLD *, S *)", err);
    uint32_t old = molt_behaviour_pointee(g, molt_behaviour_parameter(g, function, 0));
    rc = check_message(b, &callee, type,
                       molt_behaviour_read_u32(b, at + offsetof(struct molt_change, size)), old,
                       err);
    return rc < 0 ? rc : molt_image_add_type(b->image, old, ret, err);
}

static int check_changes(struct molt_behaviour *b, struct molt_error *err)
{
    struct molt_meta_server *meta = b->meta;
    meta->change_types = calloc(MOLT_CHANGES_MAX, sizeof *meta->change_types);
    if (!meta->change_types)
        return no_memory(err);
    for (size_t i = 0; i < MOLT_CHANGES_MAX; i++) {
        size_t at = offsetof(struct molt_server, change) + i * sizeof(struct molt_change);
        struct molt_elf_word type;
        int rc = molt_behaviour_read_word(b, at + offsetof(struct molt_change, type), &type, err);
        if (rc < 0)
            return rc;
        if (type.addr == 0)
            continue;
        if (meta->n_changes != i)
            return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has a gap in its changes",
                                   b->name);
        if ((rc = check_change(b, at, &meta->change_types[i], err)) < 0)
            return rc;
        meta->n_changes++;
    }
    return 0;
}

static int check_limits(const struct molt_behaviour *b, struct molt_error *err)
{
    size_t at = offsetof(struct molt_server, limits);
    uint32_t mailbox = molt_behaviour_read_u32(b, at + offsetof(struct molt_limits, mailbox));
    uint32_t on_full = molt_behaviour_read_u32(b, at + offsetof(struct molt_limits, on_full));
    uint32_t is_fatal = molt_behaviour_read_u32(b, at + offsetof(struct molt_limits, is_fatal));
    const char *place = b->place, *name = b->name;
    if (mailbox > MOLT_MAILBOX_MAX)
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR, "give it a smaller one, or none (0)",
                                    "%s behaviour %s has .limits.mailbox = %" PRIu32
                                    ", at most %d is possible",
                                    place, name, mailbox, MOLT_MAILBOX_MAX);
    if (on_full > MOLT_FULL_EXIT)
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "use MOLT_FULL_BLOCK, MOLT_FULL_DROP or MOLT_FULL_EXIT",
                                    "%s behaviour %s has .limits.on_full = %" PRIu32, place, name,
                                    on_full);
    if (is_fatal > 1 || molt_behaviour_read_u32(b, at + offsetof(struct molt_limits, reserved)))
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "set .limits.is_fatal to 0 or 1, and nothing behind it",
                                    "%s behaviour %s has unknown limits", place, name);
    return 0;
}

/* ---- one behaviour ------------------------------------------------------ */

/* S, from the tag that MOLT_SERVER() makes beside the table. */
static int find_state(struct molt_behaviour *b, struct molt_error *err)
{
    struct molt_image *image = b->image;
    const Elf64_Shdr *tags = molt_elf_section(&image->elf, "molt_tags");
    const char *wanted = molt_arena_printf(&image->debug.arena, "molt_tag_state_%s", b->name);
    if (!wanted)
        return no_memory(err);
    for (size_t i = 0; tags && i < image->meta->n_tags; i++) {
        const struct molt_debug_var *var = molt_debug_var_at(&image->debug, tags->sh_addr + 8 * i);
        uint32_t type = image->meta->tags[i];
        if (!var || var->unit != b->unit || strcmp(var->name, wanted) != 0)
            continue;
        if (type == MOLT_TYPE_NONE)
            break;
        b->state = image->type_nodes[type];
        b->meta->state_type = type;
        if (image->meta->types[type].size !=
            molt_behaviour_read_u32(b, offsetof(struct molt_server, state_size)))
            break;
        return 0;
    }
    return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s behaviour %s has no state type", b->place,
                           b->name);
}

static int read_server(struct molt_behaviour *b, struct molt_error *err)
{
    b->name = "a behaviour";
    snprintf(b->place, sizeof b->place, "module %s:", b->image->module);
    int rc = molt_behaviour_read_string(b, offsetof(struct molt_server, name), &b->name, err);
    if (rc < 0)
        return rc;
    if (strlen(b->name) > 64)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "the name %.70s... is too long", b->name);
    if (molt_behaviour_read_u32(b, 0) != sizeof(struct molt_server))
        return molt_rule_break(err, MOLT_RULE_ABI, "behaviour %s has %" PRIu32 " bytes, not %zu",
                               b->name, molt_behaviour_read_u32(b, 0), sizeof(struct molt_server));
    const struct molt_debug_var *var = molt_debug_var_at(&b->image->debug, b->addr);
    if (!var)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no debug info", b->name);
    Dwarf_Die die = var->die;
    b->unit = var->unit;
    molt_debug_place(&b->image->debug, &die, b->place, sizeof b->place);
    if (!(b->meta->name = strdup(b->name)))
        return no_memory(err);
    if ((rc = find_state(b, err)) < 0 || (rc = check_init(b, err)) < 0 ||
        (rc = check_fixed(b, err)) < 0 || (rc = check_handlers(b, err)) < 0 ||
        (rc = check_limits(b, err)) < 0)
        return rc;
    return check_changes(b, err);
}

int molt_image_read_servers(struct molt_image *image, struct molt_error *err)
{
    const Elf64_Shdr *section = molt_elf_section(&image->elf, "molt_servers");
    struct molt_meta *meta = image->meta;
    if (!section || section->sh_size == 0)
        return molt_states_check_owners(image, err);
    size_t n = section->sh_size / sizeof(struct molt_server);
    if (section->sh_size % sizeof(struct molt_server) != 0 || n > image->elf.len)
        return molt_rule_break(err, MOLT_RULE_ABI, "section molt_servers has %" PRIu64 " bytes",
                               section->sh_size);
    meta->servers = calloc(n, sizeof *meta->servers);
    if (!meta->servers)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct molt_behaviour b = {.image = image,
                                   .addr = section->sh_addr + i * sizeof(struct molt_server),
                                   .meta = &meta->servers[i]};
        meta->n_servers = i + 1;
        int rc = read_server(&b, err);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (strcmp(meta->servers[k].name, b.name) == 0)
                return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "two are called %s", b.name);
    }
    return molt_states_check_owners(image, err);
}
