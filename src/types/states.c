/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tables of states, which MOLT_STATEM() leaves in section molt_extensions beside
 * the server that is the state machine: see include/molt/abi.h.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <molt/abi.h>

#include "types/behaviour.h"
#include "types/rules.h"

/* An element of section molt_extensions, if it is a table of states. */
static int read_state_table(const struct molt_image *image, uint64_t extension,
                            struct molt_behaviour *ret, struct molt_error *err)
{
    *ret = (struct molt_behaviour){.image = (struct molt_image *)(uintptr_t)image,
                                   .addr = extension,
                                   .name = "an extension"};
    snprintf(ret->place, sizeof ret->place, "module %s:", image->module);
    struct molt_elf_word kind, data;
    int rc = molt_behaviour_read_word(ret, offsetof(struct molt_extension, kind), &kind, err);
    if (rc < 0)
        return rc;
    const char *text = kind.addr && !kind.sym ? molt_elf_string_at(&image->elf, kind.addr) : NULL;
    if (!text || strcmp(text, MOLT_EXT_STATEM) != 0)
        return 0;
    ret->name = "a table of states";
    if ((rc = molt_behaviour_read_word(ret, offsetof(struct molt_extension, data), &data, err)) < 0)
        return rc;
    ret->addr = data.addr;
    if (!data.addr || data.sym ||
        molt_behaviour_read_u32(ret, 0) != sizeof(struct molt_state_table))
        return molt_rule_break(err, MOLT_RULE_ABI, "a table of states isn't of %zu bytes",
                               sizeof(struct molt_state_table));
    rc =
        molt_behaviour_read_string(ret, offsetof(struct molt_state_table, server), &ret->name, err);
    return rc < 0 ? rc : 1;
}

/* Each table of states in the image: 1 and *ret, or 0 behind the last one. */
static int next_state_table(const struct molt_image *image, size_t *cursor,
                            struct molt_behaviour *ret, struct molt_error *err)
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
static int check_state_function(struct molt_behaviour *table, const char *state, size_t offset,
                                const char *what, bool has_number, struct molt_error *err)
{
    const struct molt_graph *g = &table->image->graph;
    struct molt_callee callee;
    bool is_set;
    int rc = molt_behaviour_read_callee(table, offset, &callee, &is_set, err);
    if (rc < 0 || !is_set)
        return rc;
    if (molt_behaviour_fits(g, callee.function, false, has_number ? 2 : 1) &&
        molt_behaviour_points_to(g, molt_behaviour_parameter(g, callee.function, 0),
                                 table->state) &&
        (!has_number || molt_behaviour_is_int(g, molt_behaviour_parameter(g, callee.function, 1))))
        return 0;
    struct molt_buf expected = MOLT_BUF_INIT, printed = MOLT_BUF_INIT;
    molt_buf_printf(&expected, ".%s of state %s: int (S *%s), S being %s", what, state,
                    has_number ? ", int" : "",
                    molt_behaviour_print_type(g, table->state, &printed));
    rc = molt_behaviour_refuse(table, &callee, expected.data ? expected.data : what, err);
    molt_buf_fini(&expected);
    molt_buf_fini(&printed);
    return rc;
}

static int check_state_functions(struct molt_behaviour *table, size_t at, const char *state,
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
static int read_state_name(const struct molt_behaviour *table, size_t i, const char **ret,
                           struct molt_error *err)
{
    size_t at = offsetof(struct molt_state_table, state) + i * sizeof(struct molt_state_entry);
    struct molt_elf_word word;
    *ret = NULL;
    int rc = molt_behaviour_read_word(table, at, &word, err);
    return rc < 0 || (!word.addr && !word.sym) ? rc
                                               : molt_behaviour_read_string(table, at, ret, err);
}

static int check_state_name(const struct molt_behaviour *table, const char *const *names, size_t i,
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
static int check_state_table(const struct molt_behaviour *b, struct molt_behaviour *table,
                             size_t *ret_n, struct molt_error *err)
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
    int rc = molt_behaviour_read_word(b, offsetof(struct molt_server, run), &run, err);
    if (rc < 0 || (!run.addr && !run.sym))
        return rc;
    return molt_rule_break_with(err, MOLT_RULE_BEHAVIOUR,
                                "let a server of its own run, and send to the state machine",
                                "%s behaviour %s is a state machine with .run", b->place, b->name);
}

bool molt_image_has_state(const struct molt_image *image, const char *name)
{
    struct molt_behaviour table;
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
int molt_states_check(const struct molt_behaviour *b, size_t *ret_n, struct molt_error *err)
{
    struct molt_behaviour table;
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
int molt_states_check_owners(const struct molt_image *image, struct molt_error *err)
{
    struct molt_behaviour table;
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
