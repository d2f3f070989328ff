/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * No outline atomics: the functions that they call come from libgcc.a together
 * with a constructor, which a module can't have. Atomics are loops of LDXR and
 * STXR then, unless the author's flags name a CPU that has better.
 *
 * No branch protection: a signed return address (PAC) isn't found by the scan
 * for words that lead into old code, which compares addresses as they are.
 *
 * No shrink-wrapping by clang: its frame information (before version 15) is
 * right at calls only, and molt_unwind_is_settled() knows where a frame is taken
 * down if that is at the end of the function.
 */
#include "port/module_flags.h"

#include <stddef.h>

const char *const *molt_port_module_flags(bool is_clang)
{
    static const char *const clang[] = {"-mno-outline-atomics", "-mbranch-protection=none",
                                        "-mllvm", "-enable-shrink-wrap=false", NULL};
    static const char *const gcc[] = {"-mno-outline-atomics", "-mbranch-protection=none",
                                      "-fstack-clash-protection", NULL};
    /* clang 14 has no stack clash protection for this CPU, and says so. */
    return is_clang ? clang : gcc;
}
