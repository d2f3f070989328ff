/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"
#include "code/meta.h"
#include "control/agent/file.h"
#include "control/agent/set.h"

/* Copy *@path to @store/@name, and let *@path be that. @digest: of its bytes, NULL: any. */
static int import(const char *store, const char *name, const uint8_t *digest, char **path,
                  struct molt_error *err)
{
    struct molt_buf to = MOLT_BUF_INIT, bytes = MOLT_BUF_INIT;
    uint8_t now[MOLT_SHA256_BYTES];
    molt_buf_printf(&to, "%s/%s", store, name);
    int rc = to.is_failed ? MOLT_ENOMEM : molt_agent_file_read(*path, &bytes, err);
    if (rc == 0 && digest) {
        molt_sha256(bytes.data, bytes.len, now);
        if (memcmp(now, digest, sizeof(now)) != 0)
            rc = molt_error_set(err, MOLT_EFORMAT,
                                "%s isn't what was built: build there again, or copy it again",
                                *path);
    }
    if (rc == 0 && access(to.data, F_OK) < 0)
        rc = molt_agent_file_write(to.data, bytes.data, bytes.len, err);
    char *copy = rc == 0 ? molt_buf_take(&to) : NULL;
    if (copy) {
        free(*path);
        *path = copy;
    }
    molt_buf_fini(&to);
    molt_buf_fini(&bytes);
    return rc;
}

static int import_module(struct molt_set_module *module, const char *store, struct molt_error *err)
{
    char hex[MOLT_SHA256_HEX];
    struct molt_buf name = MOLT_BUF_INIT;
    molt_sha256_hex(module->meta->digest, hex);
    molt_buf_printf(&name, "%s-%s.so", module->meta->module, hex);
    int rc = name.is_failed
                 ? MOLT_ENOMEM
                 : import(store, name.data, module->meta->digest, &module->image_path, err);
    molt_buf_fini(&name);
    return rc;
}

int molt_set_import(struct molt_set *set, const char *store, struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->n_modules; i++)
        rc = import_module(&set->modules[i], store, err);
    for (size_t i = 0; rc == 0 && i < set->n_interfaces; i++) {
        const char *slash = strrchr(set->interfaces[i], '/');
        char *name = strdup(slash ? slash + 1 : set->interfaces[i]);
        rc = name ? import(store, name, NULL, &set->interfaces[i], err) : MOLT_ENOMEM;
        free(name);
    }
    return rc;
}
