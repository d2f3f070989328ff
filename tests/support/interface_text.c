/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "support/interface_text.h"

#include <inttypes.h>

#include "port/thunk.h"

static void thunk(FILE *out, size_t k, const struct module_export *e)
{
    char symbol[256];
    snprintf(symbol, sizeof symbol, "\"molt$%s$%s$%016" PRIx64 "\"", e->module, e->name, e->sig);
    fprintf(out,
            ".balign 16\n.globl %s\n.type %s, @function\n%s:\n.Lthunk%zu:\n.cfi_startproc\n"
            "    movq molt_world@gottpoff(%%rip), %%r11\n"
            "    movq %%fs:(%%r11), %%r11\n"
            "    movl .Lslots+%zu(%%rip), %%r10d\n"
            "    jmp *(%%r11,%%r10,8)\n"
            ".cfi_endproc\n.size %s, .-%s\n",
            symbol, symbol, symbol, k, 4 * k, symbol, symbol);
}

int interface_text(FILE *out, size_t n_exports, const struct module_export *exports)
{
    fprintf(out, ".text\n");
    for (size_t i = 0; i < n_exports; i++)
        thunk(out, i, &exports[i]);
    fprintf(out, ".section .rodata\n");
    for (size_t i = 0; i < n_exports; i++)
        fprintf(out, ".Lmodule%zu: .asciz \"%s\"\n.Lname%zu: .asciz \"%s\"\n", i, exports[i].module,
                i, exports[i].name);
    fprintf(out, ".bss\n.balign 4\n.Lslots: .zero %zu\n", 4 * n_exports);
    fprintf(out, ".section .data.rel.ro,\"aw\"\n.balign 8\n.Lentries:\n");
    for (size_t i = 0; i < n_exports; i++)
        fprintf(out, ".quad .Lmodule%zu, .Lname%zu, 0x%016" PRIx64 ", .Lthunk%zu\n", i, i,
                exports[i].sig, i);
    fprintf(out,
            ".globl \"%s\"\n.type \"%s\", @object\n\"%s\":\n"
            ".quad 0x%016" PRIx64 "\n.long %d, %zu\n.quad .Lslots, .Lentries\n"
            ".size \"%s\", .-\"%s\"\n.section .note.GNU-stack,\"\",@progbits\n",
            MOLT_INTERFACE_SYMBOL, MOLT_INTERFACE_SYMBOL, MOLT_INTERFACE_SYMBOL,
            MOLT_INTERFACE_MAGIC, 1, n_exports, MOLT_INTERFACE_SYMBOL, MOLT_INTERFACE_SYMBOL);
    return ferror(out) ? -1 : 0;
}
