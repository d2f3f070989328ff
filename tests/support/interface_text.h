/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Assembler text of an interface object for tests.
 *
 * Threads: pure but for the stream.
 */
#ifndef MOLT_TESTS_INTERFACE_TEXT_H
#define MOLT_TESTS_INTERFACE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* An exported function: thunk molt$<module>$<name>$<sig>. */
struct module_export {
    const char *module;
    const char *name;
    uint64_t sig;
};

/* Write the text to @out. 0, or -1 if writing failed. */
int interface_text(FILE *out, size_t n_exports, const struct module_export *exports);

#endif
