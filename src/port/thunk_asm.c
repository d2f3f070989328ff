/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/thunk_asm.h"

#include <inttypes.h>

#include <molt/abi.h>

#include "port/thunk.h"

static void add_thunks(struct molt_buf *out, size_t n, const struct molt_thunk_asm *thunks)
{
    molt_buf_adds(out, "\t.text\n");
    for (size_t i = 0; i < n; i++) {
        const char *name = thunks[i].elf_name;
        molt_buf_printf(out,
                        "\t.balign 16\n"
                        "\t.globl \"%s\"\n"
                        "\t.type \"%s\", %%function\n"
                        "\"%s\":\n"
                        ".Lthunk%zu:\n"
                        "\t.cfi_startproc\n",
                        name, name, name, i);
        molt_thunk_asm_body(out, i);
        molt_buf_printf(out,
                        "\t.cfi_endproc\n"
                        "\t.size \"%s\", .-\"%s\"\n",
                        name, name);
    }
}

/* struct molt_interface and its entries; addresses are local labels, so that
 * no relocation names a symbol. */
static void add_table(struct molt_buf *out, size_t n, const struct molt_thunk_asm *thunks)
{
    molt_buf_printf(out,
                    "\t.section .data.rel.ro,\"aw\",%%progbits\n"
                    "\t.balign 8\n"
                    "\t.globl \"%s\"\n"
                    "\t.type \"%s\", %%object\n"
                    "\"%s\":\n"
                    "\t.8byte 0x%" PRIx64 "\n"
                    "\t.4byte %d, %zu\n"
                    "\t.8byte molt_slots_, .Lentries\n"
                    "\t.size \"%s\", .-\"%s\"\n"
                    ".Lentries:\n",
                    MOLT_INTERFACE_SYMBOL, MOLT_INTERFACE_SYMBOL, MOLT_INTERFACE_SYMBOL,
                    MOLT_INTERFACE_MAGIC, MOLT_ABI_VERSION, n, MOLT_INTERFACE_SYMBOL,
                    MOLT_INTERFACE_SYMBOL);
    for (size_t i = 0; i < n; i++)
        molt_buf_printf(out, "\t.8byte .Lmodule%zu, .Lname%zu, 0x%016" PRIx64 ", .Lthunk%zu\n", i,
                        i, thunks[i].sig, i);
}

static void add_strings(struct molt_buf *out, size_t n, const struct molt_thunk_asm *thunks)
{
    molt_buf_adds(out, "\t.section .rodata,\"a\",%progbits\n");
    for (size_t i = 0; i < n; i++)
        molt_buf_printf(out,
                        ".Lmodule%zu:\n\t.asciz \"%s\"\n"
                        ".Lname%zu:\n\t.asciz \"%s\"\n",
                        i, thunks[i].module, i, thunks[i].name);
}

void molt_thunk_asm(struct molt_buf *out, size_t n, const struct molt_thunk_asm *thunks)
{
    add_thunks(out, n, thunks);
    add_table(out, n, thunks);
    add_strings(out, n, thunks);
    molt_buf_printf(out,
                    "\t.bss\n"
                    "\t.balign 4\n"
                    "\t.hidden molt_slots_\n"
                    "\t.type molt_slots_, %%object\n"
                    "molt_slots_:\n"
                    "\t.zero %zu\n"
                    "\t.size molt_slots_, %zu\n"
                    "\t.section .note.GNU-stack,\"\",%%progbits\n",
                    4 * n, 4 * n);
}
