/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Writes the assembler text of an interface object for the exports given as
 * "module:name", to be linked into the test host at build time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/interface_text.h"

#define EXPORTS_MAX 64

int main(int argc, char **argv)
{
    struct module_export exports[EXPORTS_MAX];
    size_t n = 0;
    for (int i = 2; i < argc && n < EXPORTS_MAX; i++) {
        char *colon = strchr(argv[i], ':');
        if (!colon)
            return 1;
        *colon = '\0';
        exports[n++] = (struct module_export){argv[i], colon + 1, UINT64_C(0x0123456789abcdef)};
    }
    FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (!out || interface_text(out, n, exports) < 0 || fclose(out) != 0)
        return 1;
    return 0;
}
