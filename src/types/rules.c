/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/rules.h"

#include <stdio.h>

#define FOUND_MAX 512

struct rule {
    int code;
    const char *name, *message, *remedy;
};

static const struct rule rules[] = {
#define RULE_ENTRY_(id, code, name, message, remedy) {code, name, message, remedy},
    MOLT_RULE_LIST(RULE_ENTRY_)
#undef RULE_ENTRY_
};

const char *molt_rule_name(enum molt_rule rule)
{
    return rules[rule].name;
}

const char *molt_rule_message(enum molt_rule rule)
{
    return rules[rule].message;
}

const char *molt_rule_remedy(enum molt_rule rule)
{
    return rules[rule].remedy;
}

static int fill(struct molt_error *err, enum molt_rule rule, const char *remedy, const char *found)
{
    const struct rule *r = &rules[rule];
    return molt_error_set(err, r->code, "%s: %s; to go on: %s [%s]", r->message, found, remedy,
                          r->name);
}

int molt_rule_break(struct molt_error *err, enum molt_rule rule, const char *found_fmt, ...)
{
    char found[FOUND_MAX];
    va_list ap;
    va_start(ap, found_fmt);
    vsnprintf(found, sizeof found, found_fmt, ap);
    va_end(ap);
    return fill(err, rule, rules[rule].remedy, found);
}

int molt_rule_break_with(struct molt_error *err, enum molt_rule rule, const char *remedy,
                         const char *found_fmt, ...)
{
    char found[FOUND_MAX];
    va_list ap;
    va_start(ap, found_fmt);
    vsnprintf(found, sizeof found, found_fmt, ap);
    va_end(ap);
    return fill(err, rule, remedy, found);
}
