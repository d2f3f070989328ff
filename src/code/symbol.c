/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* ELF names of exported functions; the form is stated in docs/design/spine.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "code/meta.h"

int molt_meta_symbol_name(char *buf, size_t size, const char *module, const char *name,
                          uint64_t sig)
{
    int n = snprintf(buf, size, "molt$%s$%s$%016" PRIx64, module, name, sig);
    return n < 0 || (size_t)n >= size ? MOLT_EINVAL : n;
}

static int parse_sig(const char *hex, uint64_t *ret)
{
    uint64_t sig = 0;
    for (int i = 0; i < 16; i++) {
        char c = hex[i];
        if (c >= '0' && c <= '9')
            sig = sig << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            sig = sig << 4 | (uint64_t)(c - 'a' + 10);
        else
            return MOLT_EFORMAT;
    }
    if (hex[16] != '\0')
        return MOLT_EFORMAT;
    *ret = sig;
    return 0;
}

int molt_meta_symbol_parse(const char *elf_name, char *buf, size_t size, const char **ret_module,
                           const char **ret_name, uint64_t *ret_sig)
{
    size_t len = strlen(elf_name);
    if (strncmp(elf_name, "molt$", 5) != 0 || len >= size)
        return MOLT_EFORMAT;
    memcpy(buf, elf_name, len + 1);
    char *module = buf + 5;
    char *name = strchr(module, '$');
    char *sig = name ? strchr(name + 1, '$') : NULL;
    if (!sig || name == module || sig == name + 1 || parse_sig(sig + 1, ret_sig) < 0)
        return MOLT_EFORMAT;
    *name++ = '\0';
    *sig = '\0';
    *ret_module = module;
    *ret_name = name;
    return 0;
}
