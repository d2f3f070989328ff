/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/match_rules.h"

static const struct {
    const char *name, *message, *remedy;
} rules[] = {
#define RULE_ENTRY_(id, name, message, remedy) {name, message, remedy},
    MOLT_MATCH_RULE_LIST(RULE_ENTRY_)
#undef RULE_ENTRY_
};

const char *molt_match_rule_name(enum molt_match_rule rule)
{
    return rules[rule].name;
}

const char *molt_match_rule_message(enum molt_match_rule rule)
{
    return rules[rule].message;
}

const char *molt_match_rule_remedy(enum molt_match_rule rule)
{
    return rules[rule].remedy;
}
