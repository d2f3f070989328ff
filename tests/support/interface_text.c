/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "support/interface_text.h"

#include <inttypes.h>
#include <stdlib.h>

#include "port/thunk_asm.h"

#define NAME_MAX_BYTES 256

int interface_text(FILE *out, size_t n_exports, const struct module_export *exports)
{
    struct molt_buf text = MOLT_BUF_INIT;
    struct molt_thunk_asm *thunks = calloc(n_exports + 1, sizeof *thunks);
    char(*names)[NAME_MAX_BYTES] = calloc(n_exports + 1, sizeof *names);
    for (size_t i = 0; thunks && names && i < n_exports; i++) {
        const struct module_export *e = &exports[i];
        snprintf(names[i], sizeof names[i], "molt$%s$%s$%016" PRIx64, e->module, e->name, e->sig);
        thunks[i] = (struct molt_thunk_asm){names[i], e->module, e->name, e->sig};
    }
    if (thunks && names)
        molt_thunk_asm(&text, n_exports, thunks);
    int rc =
        text.len && !text.is_failed && fwrite(text.data, 1, text.len, out) == text.len ? 0 : -1;
    molt_buf_fini(&text);
    free(thunks);
    free(names);
    return rc;
}
