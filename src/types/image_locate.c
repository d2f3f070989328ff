/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* From an address in an image to function, file and line. */
#include <dwarf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "types/debug.h"
#include "types/image_info.h"

#define FILE_MAX ((size_t)1 << 30)

static int read_all(int fd, size_t len, uint8_t *bytes)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, bytes + done, len - done, (off_t)done);
        if (n <= 0)
            return MOLT_EIO;
        done += (size_t)n;
    }
    return 0;
}

static int read_file(const char *path, uint8_t **ret, size_t *ret_len)
{
    struct stat st;
    uint8_t *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MOLT_ENOENT;
    int rc = fstat(fd, &st) < 0 || st.st_size < 0 || (size_t)st.st_size > FILE_MAX ? MOLT_EIO : 0;
    size_t len = rc == 0 ? (size_t)st.st_size : 0;
    if (rc == 0 && !(bytes = malloc(len + 1)))
        rc = MOLT_ENOMEM;
    if (rc == 0)
        rc = read_all(fd, len, bytes);
    close(fd);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    *ret = bytes;
    *ret_len = len;
    return 0;
}

/* The innermost function at @pc, inlined or not. */
static const char *function_name(Dwarf_Die *unit, uint64_t pc)
{
    Dwarf_Die *scopes = NULL;
    const char *name = NULL;
    int n = dwarf_getscopes(unit, pc, &scopes);
    for (int i = 0; i < n && !name; i++) {
        int tag = dwarf_tag(&scopes[i]);
        Dwarf_Attribute attr;
        if ((tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) &&
            dwarf_attr_integrate(&scopes[i], DW_AT_name, &attr))
            name = dwarf_formstring(&attr);
    }
    free(scopes);
    return name;
}

static const char *symbol_name(const struct molt_elf *elf, uint64_t pc)
{
    for (size_t i = 0; i < elf->symtab.n; i++) {
        const Elf64_Sym *sym = &elf->symtab.syms[i];
        if (ELF64_ST_TYPE(sym->st_info) == STT_FUNC && pc >= sym->st_value &&
            pc - sym->st_value < sym->st_size)
            return molt_elf_symbol_name(&elf->symtab, sym);
    }
    return NULL;
}

static int keep(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? MOLT_ENOMEM : 0;
}

static int locate_in(struct molt_debug *debug, uint64_t pc, struct molt_source_location *ret)
{
    for (size_t i = 0; i < debug->n_units; i++) {
        Dwarf_Die unit = debug->units[i].die;
        if (dwarf_haspc(&unit, pc) <= 0)
            continue;
        Dwarf_Line *line = dwarf_getsrc_die(&unit, pc);
        int rc = keep(line ? dwarf_linesrc(line, NULL, NULL) : NULL, &ret->file);
        if (line && dwarf_lineno(line, &ret->line) != 0)
            ret->line = 0;
        return rc < 0 ? rc : keep(function_name(&unit, pc), &ret->function);
    }
    return 0;
}

static int locate(const uint8_t *bytes, size_t len, uint64_t pc, struct molt_source_location *ret)
{
    struct molt_elf elf;
    struct molt_debug debug;
    int rc = molt_elf_open(bytes, len, &elf, NULL);
    if (rc < 0)
        return rc;
    if (molt_debug_open(&elf, NULL, NULL, &debug, NULL) == 0) {
        rc = locate_in(&debug, pc, ret);
        molt_debug_fini(&debug);
    }
    if (rc == 0 && !ret->function)
        rc = keep(symbol_name(&elf, pc), &ret->function);
    molt_elf_fini(&elf);
    return rc;
}

int molt_image_locate(const char *path, uint64_t offset, struct molt_source_location *ret)
{
    uint8_t *bytes;
    size_t len;
    *ret = (struct molt_source_location){0};
    int rc = read_file(path, &bytes, &len);
    if (rc < 0)
        return rc;
    rc = locate(bytes, len, offset, ret);
    if (rc < 0)
        molt_source_location_fini(ret);
    free(bytes);
    return rc;
}

void molt_source_location_fini(struct molt_source_location *loc)
{
    free(loc->function);
    free(loc->file);
    *loc = (struct molt_source_location){0};
}
