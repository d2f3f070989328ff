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

#include "types/image.h"
#include "types/rules.h"

struct behaviour {
    struct molt_image *image;
    uint64_t addr;    /* of the struct molt_server */
    const char *name; /* of the behaviour */
    size_t unit;      /* where it is declared */
    uint32_t state;   /* node of S */
    char place[256];
    struct molt_meta_server *meta;
};

/* A function in the table, with its type. */
struct callee {
    const char *name;
    uint32_t function; /* node */
    char place[256];
};

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading behaviours: out of memory");
}

static int read_word(const struct behaviour *b, size_t offset, struct molt_elf_word *ret,
                     struct molt_error *err)
{
    if (molt_elf_word(&b->image->elf, b->addr + offset, ret) < 0)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s is unreadable", b->name);
    return 0;
}

static int read_string(const struct behaviour *b, size_t offset, const char **ret,
                       struct molt_error *err)
{
    struct molt_elf_word word;
    int rc = read_word(b, offset, &word, err);
    if (rc < 0)
        return rc;
    *ret = word.addr && !word.sym ? molt_elf_string_at(&b->image->elf, word.addr) : NULL;
    if (!*ret)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has a name that is no string",
                               b->name);
    return 0;
}

static uint32_t read_u32(const struct behaviour *b, size_t offset)
{
    uint32_t value = 0;
    const uint8_t *at = molt_elf_at(&b->image->elf, b->addr + offset, sizeof value);
    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

/* ---- expectations ------------------------------------------------------- */

static bool is_base(const struct molt_graph *g, uint32_t type, unsigned encoding, uint64_t size)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    return node->kind == MOLT_KIND_BASE && node->encoding == encoding && node->size == size;
}

static bool is_int(const struct molt_graph *g, uint32_t type)
{
    return is_base(g, type, DW_ATE_signed, 4);
}

static bool is_void(const struct molt_graph *g, uint32_t type)
{
    return g->nodes[molt_graph_strip(g, type, NULL)].kind == MOLT_KIND_VOID;
}

/* What a pointer leads to; NONE if @type is no pointer. */
static uint32_t pointee(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    return node->kind == MOLT_KIND_POINTER ? node->target : MOLT_NODE_NONE;
}

static bool points_to(const struct molt_graph *g, uint32_t type, uint32_t target)
{
    uint32_t found = pointee(g, type);
    return found != MOLT_NODE_NONE && molt_graph_is_same(g, found, target);
}

static bool is_const_pointer(const struct molt_graph *g, uint32_t type)
{
    unsigned quals = 0;
    uint32_t found = pointee(g, type);
    if (found == MOLT_NODE_NONE)
        return false;
    molt_graph_strip(g, found, &quals);
    return quals & MOLT_QUAL_CONST;
}

/* To a struct of <molt/molt.h>. */
static bool points_to_struct(const struct molt_graph *g, uint32_t type, const char *name)
{
    uint32_t found = pointee(g, type);
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
    uint32_t found = pointee(g, type);
    if (found == MOLT_NODE_NONE)
        return false;
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, found, NULL)];
    return node->kind == MOLT_KIND_BASE && node->size == 1;
}

/* ---- functions of the table --------------------------------------------- */

/* A handler that another module exports could change without this one. */
static int refuse_import(const struct behaviour *b, const Elf64_Sym *sym, struct molt_error *err)
{
    return molt_rule_break_with(err, MOLT_RULE_HANDLER,
                                "write a function in this module that calls it",
                                "%s behaviour %s uses %.200s, which another module defines",
                                b->place, b->name,
                                molt_elf_symbol_name(&b->image->elf.dynsym, sym));
}

/* The function at @offset of the table; *ret_is_set false: there is none. */
static int read_callee(struct behaviour *b, size_t offset, struct callee *ret, bool *ret_is_set,
                       struct molt_error *err)
{
    struct molt_elf_word word;
    *ret = (struct callee){.name = "?"};
    *ret_is_set = false;
    int rc = read_word(b, offset, &word, err);
    if (rc < 0)
        return rc;
    *ret_is_set = word.addr != 0 || word.sym;
    if (!*ret_is_set)
        return 0;
    if (word.sym)
        return refuse_import(b, word.sym, err);
    const struct molt_debug_fn *fn = molt_debug_fn_at(&b->image->debug, word.addr);
    if (!fn)
        return molt_rule_break(err, MOLT_RULE_HANDLER,
                               "%s behaviour %s names a function without debug info", b->place,
                               b->name);
    Dwarf_Die die = fn->die;
    ret->name = fn->name;
    molt_debug_place(&b->image->debug, &die, ret->place, sizeof ret->place);
    return molt_graph_add(&b->image->graph, &die, &ret->function, err);
}

/* A printed type in a message's life. */
static const char *print_type(const struct molt_graph *g, uint32_t type, struct molt_buf *buf)
{
    molt_buf_reset(buf);
    molt_graph_print(g, type, buf);
    return buf->data ? buf->data : "?";
}

/* Refuse @callee, whose type should have been @expected. */
static int refuse(const struct behaviour *b, const struct callee *callee, const char *expected,
                  struct molt_error *err)
{
    struct molt_buf found = MOLT_BUF_INIT;
    int rc = molt_rule_break(err, MOLT_RULE_HANDLER,
                             "%s %s of behaviour %s is %.150s, declared for %.150s", callee->place,
                             callee->name, b->name,
                             print_type(&b->image->graph, callee->function, &found), expected);
    molt_buf_fini(&found);
    return rc;
}

struct shape { /* of a function in the table */
    size_t offset;
    const char *what;
    bool returns_void;
    unsigned n_parameters;
    const char *expected;
};

static bool fits(const struct molt_graph *g, uint32_t function, bool returns_void,
                 unsigned n_parameters)
{
    const struct molt_node *node = &g->nodes[function];
    return node->kind == MOLT_KIND_FUNCTION && node->n_members == n_parameters &&
           !node->is_variadic &&
           (returns_void ? is_void(g, node->target) : is_int(g, node->target));
}

static uint32_t parameter(const struct molt_graph *g, uint32_t function, unsigned i)
{
    return g->nodes[function].members[i].type;
}

static bool is_fixed_callee_fine(const struct behaviour *b, const struct shape *shape,
                                 uint32_t function)
{
    const struct molt_graph *g = &b->image->graph;
    if (!fits(g, function, shape->returns_void, shape->n_parameters) ||
        !points_to(g, parameter(g, function, 0), b->state))
        return false;
    switch (shape->offset) {
    case offsetof(struct molt_server, terminate):
        return is_int(g, parameter(g, function, 1));
    case offsetof(struct molt_server, on_ready):
        return is_int(g, parameter(g, function, 1)) &&
               is_base(g, parameter(g, function, 2), DW_ATE_unsigned, 4);
    case offsetof(struct molt_server, on_other):
        return points_to_char(g, parameter(g, function, 1)) &&
               pointee(g, parameter(g, function, 2)) != MOLT_NODE_NONE &&
               is_void(g, pointee(g, parameter(g, function, 2)));
    case offsetof(struct molt_server, on_exit):
        return points_to_struct(g, parameter(g, function, 1), "molt_exit") &&
               is_const_pointer(g, parameter(g, function, 1));
    case offsetof(struct molt_server, on_down):
        return points_to_struct(g, parameter(g, function, 1), "molt_down") &&
               is_const_pointer(g, parameter(g, function, 1));
    case offsetof(struct molt_server, on_data):
        return points_to_struct(g, parameter(g, function, 1), "molt_net_data") &&
               is_const_pointer(g, parameter(g, function, 1));
    default:
        return true;
    }
}

static int check_fixed(struct behaviour *b, struct molt_error *err)
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
        struct callee callee;
        bool is_set;
        int rc = read_callee(b, shapes[i].offset, &callee, &is_set, err);
        if (rc < 0)
            return rc;
        if (!is_set || is_fixed_callee_fine(b, &shapes[i], callee.function))
            continue;
        struct molt_buf expected = MOLT_BUF_INIT, state = MOLT_BUF_INIT;
        molt_buf_printf(&expected, ".%s: %s, S being %s", shapes[i].what, shapes[i].expected,
                        print_type(&b->image->graph, b->state, &state));
        rc = refuse(b, &callee, expected.data ? expected.data : shapes[i].expected, err);
        molt_buf_fini(&expected);
        molt_buf_fini(&state);
        return rc;
    }
    return 0;
}

/* int init(S *) or int init(S *, const A *): A, or void, is what spawn gives. */
static int check_init(struct behaviour *b, struct molt_error *err)
{
    struct molt_image *image = b->image;
    const struct molt_graph *g = &image->graph;
    struct callee callee;
    bool is_set;
    b->meta->init_type = MOLT_TYPE_NONE;
    int rc = read_callee(b, offsetof(struct molt_server, init), &callee, &is_set, err);
    if (rc < 0 || !is_set)
        return rc;
    bool has_argument = fits(g, callee.function, false, 2);
    if ((!has_argument && !fits(g, callee.function, false, 1)) ||
        !points_to(g, parameter(g, callee.function, 0), b->state) ||
        (has_argument && pointee(g, parameter(g, callee.function, 1)) == MOLT_NODE_NONE))
        return refuse(b, &callee, ".init: int (S *, const A *)", err);
    if (!has_argument)
        return 0;
    return molt_image_add_type(image, pointee(g, parameter(g, callee.function, 1)),
                               &b->meta->init_type, err);
}

/* The message parameter must be what the entry names. */
static int check_message(struct behaviour *b, const struct callee *callee, const char *type,
                         uint32_t size, uint32_t message, struct molt_error *err)
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
                             print_type(&image->graph, message, &found), type);
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

static int check_handler(struct behaviour *b, size_t at, uint32_t kind, uint32_t *ret,
                         struct molt_error *err)
{
    const struct molt_graph *g = &b->image->graph;
    struct callee callee;
    bool is_set;
    const char *type;
    int rc = read_string(b, at + offsetof(struct molt_handler, type), &type, err);
    if (rc < 0 ||
        (rc = read_callee(b, at + offsetof(struct molt_handler, fn), &callee, &is_set, err)) < 0)
        return rc;
    if (!is_set)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no function for %s", b->name,
                               type);
    bool is_call = kind == MOLT_HANDLER_CALL;
    uint32_t function = callee.function;
    if (!fits(g, function, false, is_call ? 3 : 2) ||
        !points_to(g, parameter(g, function, 0), b->state) ||
        pointee(g, parameter(g, function, 1)) == MOLT_NODE_NONE ||
        (is_call && !points_to_from(g, parameter(g, function, 2))))
        return refuse(b, &callee,
                      is_call ? "MOLT_CALL: int (S *, T *, struct molt_from *)"
                              : "MOLT_CAST: int (S *, T *)",
                      err);
    uint32_t message = pointee(g, parameter(g, function, 1));
    rc = check_message(b, &callee, type, read_u32(b, at + offsetof(struct molt_handler, size)),
                       message, err);
    return rc < 0 ? rc : molt_image_add_type(b->image, message, ret, err);
}

/* ---- state machines ------------------------------------------------------ */

/* An element of section molt_extensions, if it is a table of states. */
static int read_state_table(const struct molt_image *image, uint64_t extension,
                            struct behaviour *ret, struct molt_error *err)
{
    *ret = (struct behaviour){.image = (struct molt_image *)(uintptr_t)image,
                              .addr = extension,
                              .name = "an extension"};
    snprintf(ret->place, sizeof ret->place, "module %s:", image->module);
    struct molt_elf_word kind, data;
    int rc = read_word(ret, offsetof(struct molt_extension, kind), &kind, err);
    if (rc < 0)
        return rc;
    const char *text = kind.addr && !kind.sym ? molt_elf_string_at(&image->elf, kind.addr) : NULL;
    if (!text || strcmp(text, MOLT_EXT_STATEM) != 0)
        return 0;
    ret->name = "a table of states";
    if ((rc = read_word(ret, offsetof(struct molt_extension, data), &data, err)) < 0)
        return rc;
    ret->addr = data.addr;
    if (!data.addr || data.sym || read_u32(ret, 0) != sizeof(struct molt_state_table))
        return molt_rule_break(err, MOLT_RULE_ABI, "a table of states isn't of %zu bytes",
                               sizeof(struct molt_state_table));
    rc = read_string(ret, offsetof(struct molt_state_table, server), &ret->name, err);
    return rc < 0 ? rc : 1;
}

/* Each table of states in the image: 1 and *ret, or 0 behind the last one. */
static int next_state_table(const struct molt_image *image, size_t *cursor, struct behaviour *ret,
                            struct molt_error *err)
{
    const Elf64_Shdr *section = molt_elf_section(&image->elf, "molt_extensions");
    size_t n = section ? section->sh_size / sizeof(struct molt_extension) : 0;
    while (*cursor < n) {
        uint64_t at = section->sh_addr + (*cursor)++ * sizeof(struct molt_extension);
        int rc = read_state_table(image, at, ret, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* A function of a state: int (S *), or int (S *, int). */
static int check_state_function(struct behaviour *table, const char *state, size_t offset,
                                const char *what, bool has_number, struct molt_error *err)
{
    const struct molt_graph *g = &table->image->graph;
    struct callee callee;
    bool is_set;
    int rc = read_callee(table, offset, &callee, &is_set, err);
    if (rc < 0 || !is_set)
        return rc;
    if (fits(g, callee.function, false, has_number ? 2 : 1) &&
        points_to(g, parameter(g, callee.function, 0), table->state) &&
        (!has_number || is_int(g, parameter(g, callee.function, 1))))
        return 0;
    struct molt_buf expected = MOLT_BUF_INIT, printed = MOLT_BUF_INIT;
    molt_buf_printf(&expected, ".%s of state %s: int (S *%s), S being %s", what, state,
                    has_number ? ", int" : "", print_type(g, table->state, &printed));
    rc = refuse(table, &callee, expected.data ? expected.data : what, err);
    molt_buf_fini(&expected);
    molt_buf_fini(&printed);
    return rc;
}

static int check_state_functions(struct behaviour *table, size_t at, const char *state,
                                 struct molt_error *err)
{
    static const struct {
        size_t offset;
        const char *what;
        bool has_number;
    } functions[] = {
        {offsetof(struct molt_state_entry, enter), "enter", true},
        {offsetof(struct molt_state_entry, on_state_timeout), "on_state_timeout", false},
        {offsetof(struct molt_state_entry, on_event_timeout), "on_event_timeout", false},
        {offsetof(struct molt_state_entry, on_named_timeout), "on_named_timeout", true},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof functions / sizeof *functions; i++)
        rc = check_state_function(table, state, at + functions[i].offset, functions[i].what,
                                  functions[i].has_number, err);
    return rc;
}

/* The name of state @i; NULL if there is none. */
static int read_state_name(const struct behaviour *table, size_t i, const char **ret,
                           struct molt_error *err)
{
    size_t at = offsetof(struct molt_state_table, state) + i * sizeof(struct molt_state_entry);
    struct molt_elf_word word;
    *ret = NULL;
    int rc = read_word(table, at, &word, err);
    return rc < 0 || (!word.addr && !word.sym) ? rc : read_string(table, at, ret, err);
}

static int check_state_name(const struct behaviour *table, const char *const *names, size_t i,
                            struct molt_error *err)
{
    if (i > 0 && !names[i - 1])
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "number the states from 0 on, without gaps",
                                    "%s behaviour %s has state %s behind a gap", table->place,
                                    table->name, names[i]);
    if (names[i][0] >= '0' && names[i][0] <= '9')
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "make it an enumerator: upgrades go by its name",
                                    "%s behaviour %s has a state called %s", table->place,
                                    table->name, names[i]);
    for (size_t k = 0; k < i; k++)
        if (strcmp(names[k], names[i]) == 0)
            return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has two states %s", table->name,
                                   names[i]);
    return 0;
}

/* The states of @table, a table for @b; *ret_n is how many. */
static int check_state_table(const struct behaviour *b, struct behaviour *table, size_t *ret_n,
                             struct molt_error *err)
{
    const char *names[MOLT_STATES_MAX] = {NULL};
    struct molt_elf_word run;
    memcpy(table->place, b->place, sizeof table->place);
    table->state = b->state;
    *ret_n = 0;
    for (size_t i = 0; i < MOLT_STATES_MAX; i++) {
        size_t at = offsetof(struct molt_state_table, state) + i * sizeof(struct molt_state_entry);
        int rc = read_state_name(table, i, &names[i], err);
        if (rc < 0 || (names[i] && (rc = check_state_name(table, names, i, err)) < 0) ||
            (names[i] && (rc = check_state_functions(table, at, names[i], err)) < 0))
            return rc;
        *ret_n += names[i] != NULL;
    }
    if (*ret_n == 0)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no states", b->name);
    int rc = read_word(b, offsetof(struct molt_server, run), &run, err);
    if (rc < 0 || (!run.addr && !run.sym))
        return rc;
    return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                "let a server of its own run, and send to the state machine",
                                "%s behaviour %s is a state machine with .run", b->place, b->name);
}

bool molt_image_has_state(const struct molt_image *image, const char *name)
{
    struct behaviour table;
    struct molt_error err;
    for (size_t cursor = 0; next_state_table(image, &cursor, &table, &err) > 0;)
        for (size_t i = 0; i < MOLT_STATES_MAX; i++) {
            const char *state;
            if (read_state_name(&table, i, &state, &err) == 0 && state && !strcmp(state, name))
                return true;
        }
    return false;
}

/* The states that @b has; none (0) if it is no state machine. */
static int check_states(const struct behaviour *b, size_t *ret_n, struct molt_error *err)
{
    struct behaviour table;
    size_t cursor = 0;
    bool is_found = false;
    *ret_n = 0;
    for (int rc; (rc = next_state_table(b->image, &cursor, &table, err)) != 0;) {
        if (rc < 0)
            return rc;
        if (strcmp(table.name, b->name) != 0)
            continue;
        if (is_found)
            return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has two tables of states",
                                   b->name);
        is_found = true;
        if ((rc = check_state_table(b, &table, ret_n, err)) < 0)
            return rc;
    }
    return 0;
}

/* Each table of states belongs to a server here. */
static int check_owners(const struct molt_image *image, struct molt_error *err)
{
    struct behaviour table;
    size_t cursor = 0;
    for (int rc; (rc = next_state_table(image, &cursor, &table, err)) != 0;) {
        if (rc < 0)
            return rc;
        size_t i = 0;
        while (i < image->meta->n_servers && strcmp(image->meta->servers[i].name, table.name) != 0)
            i++;
        if (i == image->meta->n_servers)
            return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                        "declare state machines with MOLT_STATEM()",
                                        "there are states of %s, which isn't in this module",
                                        table.name);
    }
    return 0;
}

/* ---- handlers ------------------------------------------------------------ */

/* @kind of the handler of @type has states that there are. */
static int check_mask(const struct behaviour *b, uint32_t kind, size_t n_states, uint32_t type,
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

static int check_overlap(const struct behaviour *b, const uint32_t *masks, uint32_t mask,
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

static int check_handlers(struct behaviour *b, struct molt_error *err)
{
    struct molt_meta_server *meta = b->meta;
    meta->handler_types = calloc(MOLT_HANDLERS_MAX, sizeof *meta->handler_types);
    if (!meta->handler_types)
        return no_memory(err);
    uint32_t masks[MOLT_HANDLERS_MAX] = {0};
    size_t n_states;
    int rc = check_states(b, &n_states, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < MOLT_HANDLERS_MAX; i++) {
        size_t at = offsetof(struct molt_server, on) + i * sizeof(struct molt_handler);
        uint32_t whole = read_u32(b, at + offsetof(struct molt_handler, kind));
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
static int check_change(struct behaviour *b, size_t at, uint32_t *ret, struct molt_error *err)
{
    const struct molt_graph *g = &b->image->graph;
    struct callee callee;
    bool is_set;
    const char *type;
    int rc = read_string(b, at + offsetof(struct molt_change, type), &type, err);
    if (rc < 0 ||
        (rc = read_callee(b, at + offsetof(struct molt_change, fn), &callee, &is_set, err)) < 0)
        return rc;
    if (!is_set)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has no function for %s", b->name,
                               type);
    uint32_t function = callee.function;
    if (!fits(g, function, false, 2) || !is_const_pointer(g, parameter(g, function, 0)) ||
        !points_to(g, parameter(g, function, 1), b->state))
        return refuse(b, &callee, "MOLT_CHANGE: int (const OLD *, S *)", err);
    uint32_t old = pointee(g, parameter(g, function, 0));
    rc = check_message(b, &callee, type, read_u32(b, at + offsetof(struct molt_change, size)), old,
                       err);
    return rc < 0 ? rc : molt_image_add_type(b->image, old, ret, err);
}

static int check_changes(struct behaviour *b, struct molt_error *err)
{
    struct molt_meta_server *meta = b->meta;
    meta->change_types = calloc(MOLT_CHANGES_MAX, sizeof *meta->change_types);
    if (!meta->change_types)
        return no_memory(err);
    for (size_t i = 0; i < MOLT_CHANGES_MAX; i++) {
        size_t at = offsetof(struct molt_server, change) + i * sizeof(struct molt_change);
        struct molt_elf_word type;
        int rc = read_word(b, at + offsetof(struct molt_change, type), &type, err);
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

static int check_limits(const struct behaviour *b, struct molt_error *err)
{
    size_t at = offsetof(struct molt_server, limits);
    uint32_t mailbox = read_u32(b, at + offsetof(struct molt_limits, mailbox));
    uint32_t on_full = read_u32(b, at + offsetof(struct molt_limits, on_full));
    uint32_t is_fatal = read_u32(b, at + offsetof(struct molt_limits, is_fatal));
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
    if (is_fatal > 1 || read_u32(b, at + offsetof(struct molt_limits, reserved)))
        return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                    "set .limits.is_fatal to 0 or 1, and nothing behind it",
                                    "%s behaviour %s has unknown limits", place, name);
    return 0;
}

/* ---- one behaviour ------------------------------------------------------ */

/* S, from the tag that MOLT_SERVER() makes beside the table. */
static int find_state(struct behaviour *b, struct molt_error *err)
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
        if (image->meta->types[type].size != read_u32(b, offsetof(struct molt_server, state_size)))
            break;
        return 0;
    }
    return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s behaviour %s has no state type", b->place,
                           b->name);
}

static int read_server(struct behaviour *b, struct molt_error *err)
{
    b->name = "a behaviour";
    snprintf(b->place, sizeof b->place, "module %s:", b->image->module);
    int rc = read_string(b, offsetof(struct molt_server, name), &b->name, err);
    if (rc < 0)
        return rc;
    if (strlen(b->name) > 64)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "the name %.70s... is too long", b->name);
    if (read_u32(b, 0) != sizeof(struct molt_server))
        return molt_rule_break(err, MOLT_RULE_ABI, "behaviour %s has %" PRIu32 " bytes, not %zu",
                               b->name, read_u32(b, 0), sizeof(struct molt_server));
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
        return check_owners(image, err);
    size_t n = section->sh_size / sizeof(struct molt_server);
    if (section->sh_size % sizeof(struct molt_server) != 0 || n > image->elf.len)
        return molt_rule_break(err, MOLT_RULE_ABI, "section molt_servers has %" PRIu64 " bytes",
                               section->sh_size);
    meta->servers = calloc(n, sizeof *meta->servers);
    if (!meta->servers)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct behaviour b = {.image = image,
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
    return check_owners(image, err);
}
