/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/elf.h"

#include <gelf.h>
#include <string.h>

#include <molt/error.h>

#include "base/buf.h"

struct tables {
    Elf_Data *symbols, *versions;
    size_t strings; /* section index */
    size_t n;
};

static bool find_tables(Elf *elf, struct tables *ret)
{
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        GElf_Shdr sh;
        if (!gelf_getshdr(scn, &sh))
            return false;
        if (sh.sh_type == SHT_DYNSYM && sh.sh_entsize) {
            ret->symbols = elf_getdata(scn, NULL);
            ret->strings = sh.sh_link;
            ret->n = sh.sh_size / sh.sh_entsize;
        } else if (sh.sh_type == SHT_GNU_versym) {
            ret->versions = elf_getdata(scn, NULL);
        }
    }
    return ret->symbols != NULL;
}

static int each(Elf *elf, void (*fn)(void *, const struct molt_elf_symbol *), void *user)
{
    struct tables t = {0};
    if (!find_tables(elf, &t))
        return MOLT_EFORMAT;
    for (size_t i = 1; i < t.n; i++) {
        GElf_Sym sym;
        GElf_Versym version = 0;
        if (!gelf_getsym(t.symbols, (int)i, &sym))
            return MOLT_EFORMAT;
        if (t.versions && !gelf_getversym(t.versions, (int)i, &version))
            return MOLT_EFORMAT;
        /* The linker takes the type of an undefined symbol from the library that
         * it found it in; what it found nowhere has none. */
        bool is_defined = sym.st_shndx != SHN_UNDEF;
        struct molt_elf_symbol s = {.name = elf_strptr(elf, t.strings, sym.st_name),
                                    .is_defined = is_defined,
                                    .is_weak = GELF_ST_BIND(sym.st_info) == STB_WEAK,
                                    .is_found = is_defined ||
                                                GELF_ST_TYPE(sym.st_info) != STT_NOTYPE ||
                                                (version & 0x7fff) > VER_NDX_GLOBAL};
        if (!s.name)
            return MOLT_EFORMAT;
        fn(user, &s);
    }
    return 0;
}

int molt_elf_symbols(const void *bytes, size_t len,
                     void (*fn)(void *user, const struct molt_elf_symbol *symbol), void *user)
{
    struct molt_buf copy = MOLT_BUF_INIT; /* libelf may write into its memory */
    molt_buf_add(&copy, bytes, len);
    int rc = copy.is_failed ? MOLT_ENOMEM : MOLT_EFORMAT;
    if (!copy.is_failed && copy.len && elf_version(EV_CURRENT) != EV_NONE) {
        Elf *elf = elf_memory(copy.data, copy.len);
        rc = elf ? each(elf, fn, user) : MOLT_EFORMAT;
        elf_end(elf);
    }
    molt_buf_fini(&copy);
    return rc;
}
