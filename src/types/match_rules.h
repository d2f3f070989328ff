/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Why a changed type isn't converted: one list with the name, what is wrong and
 * what to do. docs/refusals.md has the same lines; a test compares.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_MATCH_RULES_H
#define MOLT_TYPES_MATCH_RULES_H

/* X(id, name, message, remedy) */
#define MOLT_MATCH_RULE_LIST(X)                                                                    \
    X(AMBIGUOUS, "ambiguous", "a field is gone, and a new one could be its new name",              \
      "MOLT_RENAMED() if it is, MOLT_DROP() if not")                                               \
    X(NARROWING, "narrowing", "the new type can't hold all old values",                            \
      "keep the wider type, or convert a server's state in a MOLT_CHANGE()")                       \
    X(OTHER_KIND, "other-kind", "a value of another kind",                                         \
      "give the field a new name, or convert a server's state in a MOLT_CHANGE()")                 \
    X(SHORTER, "shorter-array", "the array got shorter, and all of it may be in use",              \
      "MOLT_LENGTH() if another field counts what is in use")                                      \
    X(FLEXIBLE, "flexible", "a flexible member that can't follow",                                 \
      "keep it the last member of its struct")                                                     \
    X(ENUM_VALUES, "enum-values", "two names of one number part",                                  \
      "keep them equal, or convert a server's state in a MOLT_CHANGE()")                           \
    X(RENUMBERED, "enum-renumbered",                                                               \
      "an enum's numbers changed, and plain integers may hold them",                               \
      "number new names behind the old ones, or MOLT_RENUMBERED() if no integer does")             \
    X(UNION, "union", "a union changed, and nothing says which member it holds",                   \
      "MOLT_TAGGED() and a MOLT_CASE() for each member")                                           \
    X(POINTEE, "pointee", "the pointer leads to another type",                                     \
      "MOLT_RENAMED_TYPE() if it is the same under a new name, or give the field a new name")      \
    X(FUNCTION, "function-pointer", "the pointer is to functions of another signature",            \
      "give the field a new name")                                                                 \
    X(RENAMED_TYPE, "renamed-type", "another type of the same place",                              \
      "MOLT_RENAMED_TYPE() if it is the same under a new name")                                    \
    X(SEMANTIC, "semantic", "the same layout with another meaning (MOLT_SEMANTIC)",                \
      "convert a server's state in a MOLT_CHANGE(); give a message a new type")                    \
    X(TWICE, "two-types", "two types of the module go by one key",                                 \
      "give one of them another name")                                                             \
    X(GLOBAL, "global", "the value of a mutable global can't follow",                              \
      "MOLT_FRESH if it may start anew, or move it into a process's state or a table")             \
    X(TOO_BIG, "too-big", "the type is too big to be described",                                   \
      "split it, or allocate its parts as blocks of their own")

enum molt_match_rule {
#define MOLT_MATCH_RULE_ENUM_(id, name, message, remedy) MOLT_MATCH_##id,
    MOLT_MATCH_RULE_LIST(MOLT_MATCH_RULE_ENUM_)
#undef MOLT_MATCH_RULE_ENUM_
        MOLT_MATCH_RULE_COUNT
};

const char *molt_match_rule_name(enum molt_match_rule rule);
const char *molt_match_rule_message(enum molt_match_rule rule);
const char *molt_match_rule_remedy(enum molt_match_rule rule);

#endif
