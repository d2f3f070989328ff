/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Code that the loader would run by itself. A sanitizer's own is let through
 * where the options say so, by the names that gcc and clang give it.
 */
#include <inttypes.h>
#include <string.h>

#include "types/image.h"
#include "types/rules.h"

static bool starts_with(const char *name, const char *const *prefixes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

bool molt_image_is_sanitizer_name(const char *name)
{
    static const char *const prefixes[] = {"__asan_",      "__tsan_", "__ubsan_", "__odr_asan",
                                           "__sanitizer_", "__lsan_", "__sancov", "__unnamed_"};
    return starts_with(name, prefixes, sizeof prefixes / sizeof *prefixes);
}

static bool is_sanitizer_constructor(const char *name)
{
    /* gcc: _sub_I_00099_0 and _sub_D_..., priority 99; clang: asan.module_ctor */
    static const char *const prefixes[] = {"_sub_I_00099", "_sub_D_00099",  "asan.module_",
                                           "tsan.module_", "ubsan.module_", "sancov.module_"};
    return starts_with(name, prefixes, sizeof prefixes / sizeof *prefixes);
}

static const char *function_at(const struct molt_elf *elf, uint64_t addr)
{
    for (size_t i = 0; i < elf->symtab.n; i++) {
        const Elf64_Sym *sym = &elf->symtab.syms[i];
        if (sym->st_value == addr && ELF64_ST_TYPE(sym->st_info) == STT_FUNC)
            return molt_elf_symbol_name(&elf->symtab, sym);
    }
    return "a function without a name";
}

static int check_entry(const struct molt_image *image, uint64_t addr, const char *what,
                       struct molt_error *err)
{
    const char *name = function_at(&image->elf, addr);
    if (image->options->allow_sanitizer && is_sanitizer_constructor(name))
        return 0;
    return molt_rule_break(err, MOLT_RULE_CONSTRUCTOR, "%s (%s)", name, what);
}

static int check_array(const struct molt_image *image, int64_t tag, int64_t size_tag,
                       const char *what, struct molt_error *err)
{
    uint64_t addr, size;
    if (!molt_elf_dynamic(&image->elf, tag, &addr))
        return 0;
    if (!molt_elf_dynamic(&image->elf, size_tag, &size) || size % 8 != 0)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "%s has no proper size", what);
    for (uint64_t at = 0; at < size; at += 8) {
        struct molt_elf_word word;
        if (molt_elf_word(&image->elf, addr + at, &word) < 0)
            return molt_rule_break(err, MOLT_RULE_CORRUPT, "%s isn't mapped", what);
        int rc = check_entry(image, word.addr, what, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_image_check_constructors(struct molt_image *image, struct molt_error *err)
{
    static const struct {
        int64_t tag, size_tag;
        const char *what;
    } arrays[] = {{DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ, ".preinit_array"},
                  {DT_INIT_ARRAY, DT_INIT_ARRAYSZ, ".init_array"},
                  {DT_FINI_ARRAY, DT_FINI_ARRAYSZ, ".fini_array"}};
    uint64_t addr;
    for (int i = 0; i < 2; i++)
        if (molt_elf_dynamic(&image->elf, i ? DT_FINI : DT_INIT, &addr))
            return molt_rule_break(err, MOLT_RULE_CONSTRUCTOR, "%s (%s)",
                                   function_at(&image->elf, addr), i ? "DT_FINI" : "DT_INIT");
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        int rc = check_array(image, arrays[i].tag, arrays[i].size_tag, arrays[i].what, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
