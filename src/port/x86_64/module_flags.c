/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/module_flags.h"

#include <stddef.h>

const char *const *molt_port_module_flags(bool is_clang)
{
    static const char *const flags[] = {"-fstack-clash-protection", NULL};
    (void)is_clang;
    return flags;
}
