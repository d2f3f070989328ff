/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The image rules: one list with the code, the name, what is wrong and what to
 * do. docs/refusals.md has the same lines for people; a test compares.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_RULES_H
#define MOLT_TYPES_RULES_H

#include <molt/error.h>

/* X(id, code, name, message, remedy) */
#define MOLT_RULE_LIST(X)                                                                          \
    X(NOT_ELF, MOLT_EFORMAT, "not-elf", "not an ELF file",                                         \
      "give the shared object that the build made")                                                \
    X(MACHINE, MOLT_EREFUSED, "machine", "made for another kind of machine",                       \
      "build the module for this machine's processor")                                             \
    X(FILE_TYPE, MOLT_EREFUSED, "file-type", "not a shared object",                                \
      "link the module with -shared, or let `molt build` do it")                                   \
    X(TRUNCATED, MOLT_EFORMAT, "truncated", "the file is cut off",                                 \
      "copy or build the module again")                                                            \
    X(CORRUPT, MOLT_EFORMAT, "corrupt", "the file's tables don't fit together",                    \
      "build the module again; if it comes back, check the disk and the linker")                   \
    X(NO_DESCRIPTOR, MOLT_EREFUSED, "no-descriptor", "no molt module",                             \
      "build it with `molt build`, which adds the descriptor molt$module")                         \
    X(ABI, MOLT_EREFUSED, "abi", "built against headers of another molt",                          \
      "rebuild the module with the headers of this molt")                                          \
    X(OTHER_MODULE, MOLT_EREFUSED, "other-module", "another module's image",                       \
      "load it under its own name, or build the right sources")                                    \
    X(CONSTRUCTOR, MOLT_EREFUSED, "constructor",                                                   \
      "code would run while the image is loaded or unloaded",                                      \
      "move it to a function marked MOLT_ON_LOAD() or MOLT_ON_ABANDON()")                          \
    X(RUNPATH, MOLT_EREFUSED, "runpath", "the image carries a library search path of its own",     \
      "link without -rpath")                                                                       \
    X(STATIC_TLS, MOLT_EREFUSED, "static-tls", "static thread-local storage",                      \
      "compile with -ftls-model=global-dynamic")                                                   \
    X(THREAD_LOCAL, MOLT_EREFUSED, "thread-local", "thread-local variables",                       \
      "put the variable into a process's state")                                                   \
    X(NODELETE, MOLT_EREFUSED, "nodelete", "the image could never be unloaded",                    \
      "link without -z nodelete")                                                                  \
    X(UNIQUE, MOLT_EREFUSED, "unique", "a symbol that the loader keeps for ever",                  \
      "compile with -fno-gnu-unique")                                                              \
    X(EXEC_STACK, MOLT_EREFUSED, "exec-stack", "the image asks for an executable stack",           \
      "link with -z noexecstack; avoid nested functions whose address is taken")                   \
    X(WRITABLE_CODE, MOLT_EREFUSED, "writable-code", "memory that is writable and executable",     \
      "link without -N and without a linker script of your own")                                   \
    X(TEXT_RELOCATION, MOLT_EREFUSED, "text-relocation", "code that would be changed at load",     \
      "compile all of it with -fPIC")                                                              \
    X(RELOCATION, MOLT_EREFUSED, "relocation", "a relocation that molt doesn't know",              \
      "link with the flags that `molt build` uses")                                                \
    X(IFUNC, MOLT_EREFUSED, "ifunc", "an indirect function, whose resolver would run at load",     \
      "choose the variant at run time through a function pointer")                                 \
    X(IMPORTED_DATA, MOLT_EREFUSED, "imported-data", "a variable of another module is used",       \
      "call a function of that module instead")                                                    \
    X(UNDEFINED, MOLT_ELINK, "undefined", "undefined function",                                    \
      "include the header of the module that exports it, define it, or name its library in "       \
      "libs.NAME of molt.conf")                                                                    \
    X(ANCHOR, MOLT_EREFUSED, "anchor",                                                             \
      "the signature that the module was compiled against is unknown",                             \
      "build it with `molt build`, which records it")                                              \
    X(IMPORT_SIGNATURE, MOLT_EREFUSED, "import-signature",                                         \
      "compiled against another signature than it is linked to",                                   \
      "include the provider's header, don't declare its functions by hand, and rebuild")           \
    X(EXPORT_SIGNATURE, MOLT_EREFUSED, "export-signature",                                         \
      "an exported function's definition differs from its header",                                 \
      "make definition and header agree; include the header in the file that defines it; write "   \
      "(void) for no parameters")                                                                  \
    X(DEBUG_COMPRESSED, MOLT_EREFUSED, "debug-compressed", "compressed debug info",                \
      "build without -gz and without --compress-debug-sections")                                   \
    X(DEBUG_SPLIT, MOLT_EREFUSED, "debug-split", "debug info that isn't all in one place",         \
      "build without -gsplit-dwarf, -fdebug-types-section and dwz")                                \
    X(DEBUG_NONE, MOLT_EREFUSED, "debug-none", "no debug info",                                    \
      "compile with -g (not -g1) and don't strip the image")                                       \
    X(DEBUG_BAD, MOLT_EFORMAT, "debug-bad", "the debug info makes no sense",                       \
      "build the module again")                                                                    \
    X(BUILD_ID, MOLT_EREFUSED, "build-id", "no build-id", "link with --build-id=sha1")             \
    X(LAYOUTS, MOLT_EREFUSED, "two-layouts", "a header's type has two layouts in one module",      \
      "include the header with the same macros everywhere")                                        \
    X(BEHAVIOUR, MOLT_EREFUSED, "behaviour", "a malformed behaviour table",                        \
      "declare behaviours with MOLT_SERVER() only")                                                \
    X(HANDLER, MOLT_EREFUSED, "handler", "a handler's type doesn't fit",                           \
      "give the function the parameters that its table entry declares")                            \
    X(HINT, MOLT_EINVAL, "hint", "a migration hint fits nothing", "mend the hint, or remove it")   \
    X(FORBIDDEN_IMPORT, MOLT_EREFUSED, "forbidden-import", "a function that modules can't use",    \
      "see the alternative named")

enum molt_rule {
#define MOLT_RULE_ENUM_(id, code, name, message, remedy) MOLT_RULE_##id,
    MOLT_RULE_LIST(MOLT_RULE_ENUM_)
#undef MOLT_RULE_ENUM_
        MOLT_RULE_COUNT
};

const char *molt_rule_name(enum molt_rule rule);
const char *molt_rule_message(enum molt_rule rule);
const char *molt_rule_remedy(enum molt_rule rule);

/* Fill @err with "<message>: <found>; to go on: <remedy> [<name>]" and return the
 * rule's code. @found says what and where, in the format's words. */
int molt_rule_break(struct molt_error *err, enum molt_rule rule, const char *found_fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a remedy for the case at hand. */
int molt_rule_break_with(struct molt_error *err, enum molt_rule rule, const char *remedy,
                         const char *found_fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
