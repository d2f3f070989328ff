/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/unwind.h"

#include <string.h>

#include "port/sanitize.h"
#include "port/unwind_bytes.h"

/* Call frame instructions (DWARF 5, 7.24; LSB 5.0 core, table 7-3). */
enum {
    CFA_NOP = 0x00,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_ADVANCE_LOC = 0x40, /* the upper two bits; the lower six are an operand */
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
};

/* Expression operations (DWARF 5, 2.5.1, 7.7.1), those that gcc, clang and the
 * linkers put into frame information: realigned stacks and PLT entries. */
enum {
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08,
    OP_CONST1S = 0x09,
    OP_CONST2U = 0x0a,
    OP_CONST2S = 0x0b,
    OP_CONST4U = 0x0c,
    OP_CONST4S = 0x0d,
    OP_AND = 0x1a,
    OP_MINUS = 0x1c,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_BREG0 = 0x70,
};

enum kind { SAME, UNDEFINED, OFFSET, VAL_OFFSET, REGISTER, EXPRESSION, VAL_EXPRESSION };

struct rule {
    enum kind kind;
    int64_t operand; /* offset from the CFA, a register, or bytes of the expression */
    const uint8_t *expression;
};

/* One row of the table that a program describes (DWARF 5, 6.4.1). */
struct row {
    struct rule cfa; /* REGISTER: register `operand` plus `offset`; or VAL_EXPRESSION */
    int64_t cfa_offset;
    struct rule regs[MOLT_UNWIND_REGS];
};

#define REMEMBERED_MAX 4

struct machine {
    const struct molt_unwind_fde *fde;
    uintptr_t location;
    struct row row, initial;
    struct row remembered[REMEMBERED_MAX];
    unsigned n_remembered;
    bool is_bad;
};

/* ---- reading the stack ---------------------------------------------------- */

MOLT_UNSANITIZED bool molt_unwind_read(const struct molt_unwind *u, uintptr_t at, uintptr_t *ret)
{
    if (at % sizeof(*ret) || at < u->low || at >= u->high || u->high - at < sizeof(*ret))
        return false;
    *ret = *(const volatile uintptr_t *)at;
    return true;
}

static bool is_known(const struct molt_unwind *u, uint64_t reg)
{
    return u->known >> reg & 1;
}

/* ---- expressions ------------------------------------------------------------ */

#define STACK_MAX 8

struct stack {
    uintptr_t words[STACK_MAX];
    unsigned n;
    bool is_bad;
};

static void push(struct stack *s, uintptr_t v)
{
    if (s->n < STACK_MAX)
        s->words[s->n++] = v;
    else
        s->is_bad = true;
}

static uintptr_t pop(struct stack *s)
{
    if (s->n)
        return s->words[--s->n];
    s->is_bad = true;
    return 0;
}

static void binary(struct stack *s, uint64_t op)
{
    uintptr_t second = pop(s), first = pop(s);
    switch (op) {
    case OP_AND:
        push(s, first & second);
        break;
    case OP_MINUS:
        push(s, first - second);
        break;
    case OP_PLUS:
        push(s, first + second);
        break;
    case OP_SHL:
        push(s, second < 64 ? first << second : 0);
        break;
    default: /* OP_GE */
        push(s, (intptr_t)first >= (intptr_t)second);
    }
}

static void operate(const struct molt_unwind *u, struct stack *s, struct molt_bytes *b)
{
    uint64_t op = molt_bytes_uint(b, 1);
    uintptr_t word;
    if (op >= OP_BREG0 && op < OP_BREG0 + MOLT_UNWIND_REGS) {
        s->is_bad |= !is_known(u, op - OP_BREG0);
        push(s, u->regs[op - OP_BREG0] + (uintptr_t)molt_bytes_sleb(b));
    } else if (op >= OP_LIT0 && op < OP_LIT0 + 32) {
        push(s, op - OP_LIT0);
    } else if (op >= OP_CONST1U && op <= OP_CONST4S) {
        unsigned width = 1u << ((op - OP_CONST1U) / 2);
        bool is_signed = (op - OP_CONST1U) % 2;
        push(s, is_signed ? (uintptr_t)molt_bytes_int(b, width) : molt_bytes_uint(b, width));
    } else if (op == OP_PLUS_UCONST) {
        push(s, pop(s) + molt_bytes_uleb(b));
    } else if (op == OP_DEREF) {
        if (!molt_unwind_read(u, pop(s), &word))
            s->is_bad = true;
        else
            push(s, word);
    } else if (op == OP_AND || op == OP_MINUS || op == OP_PLUS || op == OP_SHL || op == OP_GE) {
        binary(s, op);
    } else {
        s->is_bad = true;
    }
}

/* @cfa is on the stack at the start, if there is one (DWARF 5, 6.4.2.3). */
static bool evaluate(const struct molt_unwind *u, const struct rule *rule, const uintptr_t *cfa,
                     uintptr_t *ret)
{
    struct molt_bytes b = {rule->expression, rule->expression + rule->operand, false};
    struct stack s = {.n = 0};
    if (cfa)
        push(&s, *cfa);
    while (b.at < b.end && !b.is_bad && !s.is_bad)
        operate(u, &s, &b);
    *ret = pop(&s);
    return !b.is_bad && !s.is_bad;
}

/* ---- the table ---------------------------------------------------------------- */

/* Rules of registers that we don't keep (vectors) are read and dropped. */
static void set(struct machine *m, uint64_t reg, struct rule rule)
{
    if (reg < MOLT_UNWIND_REGS)
        m->row.regs[reg] = rule;
}

static void set_offset(struct machine *m, uint64_t reg, enum kind kind, int64_t factored)
{
    set(m, reg, (struct rule){.kind = kind, .operand = factored * m->fde->data_align});
}

static void restore(struct machine *m, uint64_t reg)
{
    if (reg < MOLT_UNWIND_REGS)
        m->row.regs[reg] = m->initial.regs[reg];
}

static void define_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
    if (reg >= MOLT_UNWIND_REGS)
        m->is_bad = true;
    m->row.cfa = (struct rule){.kind = REGISTER, .operand = (int64_t)reg};
    m->row.cfa_offset = offset;
}

static struct rule read_expression(enum kind kind, struct molt_bytes *b)
{
    struct molt_bytes part = molt_bytes_part(b, molt_bytes_uleb(b));
    return (struct rule){.kind = kind, .operand = part.end - part.at, .expression = part.at};
}

static void remember(struct machine *m)
{
    if (m->n_remembered < REMEMBERED_MAX)
        m->remembered[m->n_remembered++] = m->row;
    else
        m->is_bad = true;
}

static void recall(struct machine *m)
{
    if (m->n_remembered)
        m->row = m->remembered[--m->n_remembered];
    else
        m->is_bad = true;
}

static void execute_cfa(struct machine *m, uint64_t op, struct molt_bytes *b)
{
    uint64_t reg;
    switch (op) {
    case CFA_DEF_CFA:
        reg = molt_bytes_uleb(b);
        define_cfa(m, reg, (int64_t)molt_bytes_uleb(b));
        break;
    case CFA_DEF_CFA_SF:
        reg = molt_bytes_uleb(b);
        define_cfa(m, reg, molt_bytes_sleb(b) * m->fde->data_align);
        break;
    case CFA_DEF_CFA_REGISTER:
        define_cfa(m, molt_bytes_uleb(b), m->row.cfa_offset);
        break;
    case CFA_DEF_CFA_OFFSET:
        m->row.cfa_offset = (int64_t)molt_bytes_uleb(b);
        break;
    case CFA_DEF_CFA_OFFSET_SF:
        m->row.cfa_offset = molt_bytes_sleb(b) * m->fde->data_align;
        break;
    case CFA_DEF_CFA_EXPRESSION:
        m->row.cfa = read_expression(VAL_EXPRESSION, b);
        break;
    default:
        m->is_bad = true;
    }
}

static void execute_rule(struct machine *m, uint64_t op, struct molt_bytes *b)
{
    uint64_t reg = molt_bytes_uleb(b);
    switch (op) {
    case CFA_OFFSET_EXTENDED:
        set_offset(m, reg, OFFSET, (int64_t)molt_bytes_uleb(b));
        break;
    case CFA_OFFSET_EXTENDED_SF:
        set_offset(m, reg, OFFSET, molt_bytes_sleb(b));
        break;
    case CFA_VAL_OFFSET:
        set_offset(m, reg, VAL_OFFSET, (int64_t)molt_bytes_uleb(b));
        break;
    case CFA_VAL_OFFSET_SF:
        set_offset(m, reg, VAL_OFFSET, molt_bytes_sleb(b));
        break;
    case CFA_RESTORE_EXTENDED:
        restore(m, reg);
        break;
    case CFA_UNDEFINED:
        set(m, reg, (struct rule){.kind = UNDEFINED});
        break;
    case CFA_SAME_VALUE:
        set(m, reg, (struct rule){.kind = SAME});
        break;
    case CFA_REGISTER:
        set(m, reg, (struct rule){.kind = REGISTER, .operand = (int64_t)molt_bytes_uleb(b)});
        break;
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
        set(m, reg, read_expression(op == CFA_EXPRESSION ? EXPRESSION : VAL_EXPRESSION, b));
        break;
    default:
        m->is_bad = true;
    }
}

static void advance(struct machine *m, uint64_t delta)
{
    m->location += delta * m->fde->code_align;
}

static void execute_one(struct machine *m, struct molt_bytes *b)
{
    uint64_t op = molt_bytes_uint(b, 1), low = op & 0x3f;
    switch (op & 0xc0) {
    case CFA_ADVANCE_LOC:
        advance(m, low);
        return;
    case CFA_OFFSET:
        set_offset(m, low, OFFSET, (int64_t)molt_bytes_uleb(b));
        return;
    case CFA_RESTORE:
        restore(m, low);
        return;
    default:
        break;
    }
    if (op >= CFA_ADVANCE_LOC1 && op <= CFA_ADVANCE_LOC4)
        advance(m, molt_bytes_uint(b, 1u << (op - CFA_ADVANCE_LOC1)));
    else if (op == CFA_REMEMBER_STATE)
        remember(m);
    else if (op == CFA_RESTORE_STATE)
        recall(m);
    else if (op == CFA_GNU_ARGS_SIZE)
        molt_bytes_uleb(b);
    else if ((op >= CFA_DEF_CFA && op <= CFA_DEF_CFA_EXPRESSION) || op == CFA_DEF_CFA_SF ||
             op == CFA_DEF_CFA_OFFSET_SF)
        execute_cfa(m, op, b);
    else if (op != CFA_NOP)
        execute_rule(m, op, b);
}

/* Until the row of @pc is complete: the next one begins behind it. */
static bool execute(struct machine *m, struct molt_bytes b, uintptr_t pc)
{
    while (b.at < b.end && m->location <= pc && !b.is_bad && !m->is_bad)
        execute_one(m, &b);
    return !b.is_bad && !m->is_bad;
}

/* ---- a step --------------------------------------------------------------------- */

/* gcc describes the registers that a function with a realigned stack saves by
 * expressions over %rbp, and leaves it at that behind the `leave` of its
 * epilogue, where %rbp is the caller's again: following them there would skip a
 * frame. The CFA is an expression over %rbp exactly as long as %rbp is surely
 * the frame's own. */
static bool is_trusted(const struct row *row, const struct rule *rule)
{
    bool is_expression = rule->kind == EXPRESSION || rule->kind == VAL_EXPRESSION;
    return !is_expression || row->cfa.kind == VAL_EXPRESSION;
}

/* The caller's value of register @reg; false: it isn't known. */
static bool apply(const struct molt_unwind *u, const struct row *row, uint64_t reg, uintptr_t cfa,
                  uintptr_t *ret)
{
    const struct rule *rule = &row->regs[reg];
    uintptr_t at;
    if (!is_trusted(row, rule))
        return false;
    switch (rule->kind) {
    case SAME:
        *ret = u->regs[reg];
        return is_known(u, reg);
    case UNDEFINED:
        return false;
    case OFFSET:
        return molt_unwind_read(u, cfa + (uintptr_t)rule->operand, ret);
    case VAL_OFFSET:
        *ret = cfa + (uintptr_t)rule->operand;
        return true;
    case REGISTER:
        if (rule->operand < 0 || rule->operand >= MOLT_UNWIND_REGS)
            return false;
        *ret = u->regs[rule->operand];
        return is_known(u, (uint64_t)rule->operand);
    case EXPRESSION:
        return evaluate(u, rule, &cfa, &at) && molt_unwind_read(u, at, ret);
    default:
        return evaluate(u, rule, &cfa, ret);
    }
}

static bool cfa_of(const struct molt_unwind *u, const struct row *row, uintptr_t *ret)
{
    if (row->cfa.kind == VAL_EXPRESSION)
        return evaluate(u, &row->cfa, NULL, ret);
    if (row->cfa.kind != REGISTER || !is_known(u, (uint64_t)row->cfa.operand))
        return false;
    *ret = u->regs[row->cfa.operand] + (uintptr_t)row->cfa_offset;
    return true;
}

/* The caller's sp is the CFA (psABI 3.6), unless a rule says otherwise, which
 * no compiler's does. Everything that the frame has lies below it, hence frames
 * can only go upwards. A leaf that saved nothing has no frame and its return
 * address in a register, on CPUs that put it there. A register that isn't known
 * ends the walk only where it is needed. */
static bool apply_row(struct molt_unwind *u, const struct row *row)
{
    struct molt_unwind next = *u;
    uintptr_t cfa, sp = u->regs[MOLT_UNWIND_SP];
    bool is_leaf =
        MOLT_UNWIND_IS_RA_REGISTER && !u->is_return && row->regs[MOLT_UNWIND_RA].kind == SAME;
    if (!cfa_of(u, row, &cfa) || cfa < sp || (cfa == sp && !is_leaf) || cfa > u->high)
        return false;
    next.known = 0;
    for (uint64_t i = 0; i < MOLT_UNWIND_REGS; i++)
        next.known |= (uint64_t)apply(u, row, i, cfa, &next.regs[i]) << i;
    if ((row->regs[MOLT_UNWIND_RA].kind == SAME && !is_leaf) || !is_known(&next, MOLT_UNWIND_RA))
        return false; /* the outermost frame */
    next.regs[MOLT_UNWIND_SP] = cfa;
    next.known |= UINT64_C(1) << MOLT_UNWIND_SP;
    next.pc = next.regs[MOLT_UNWIND_RA];
    next.is_return = true;
    *u = next;
    return true;
}

bool molt_unwind_step(struct molt_unwind *u)
{
    struct molt_unwind_fde fde;
    struct machine m;
    uintptr_t pc = u->is_return ? u->pc - 1 : u->pc;
    if (!molt_unwind_find(pc, &fde) || fde.is_signal_frame)
        return false;
    m.fde = &fde;
    m.location = fde.from;
    memset(&m.row, 0, sizeof(m.row));
    m.n_remembered = 0;
    m.is_bad = false;
    if (!execute(&m, (struct molt_bytes){fde.initial, fde.initial_end, false}, UINTPTR_MAX))
        return false;
    m.initial = m.row;
    m.location = fde.from;
    if (!execute(&m, (struct molt_bytes){fde.program, fde.program_end, false}, pc))
        return false;
    if (!u->is_return && m.row.cfa.kind == REGISTER &&
        !molt_unwind_is_settled(pc, fde.from, fde.to, (uint64_t)m.row.cfa.operand,
                                m.row.cfa_offset))
        return false;
    return apply_row(u, &m.row);
}
