/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What compilers must be told about modules on this CPU.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_MODULE_FLAGS_H
#define MOLT_PORT_MODULE_FLAGS_H

#include <stdbool.h>

/* Flags for gcc, or for clang where @is_clang, beside those that all CPUs have
 * in common; ends with NULL. Static. */
const char *const *molt_port_module_flags(bool is_clang);

#endif
