/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/alt_stack.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

/* Room for a crash report's buffers and the unwinder, several times over. */
#define BYTES (128 * 1024)

void *molt_port_alt_stack_open(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
        return NULL;
    void *stack = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = BYTES}, NULL) == 0)
        return stack;
    munmap(stack, BYTES);
    return NULL;
}

void molt_port_alt_stack_close(void *stack)
{
    if (!stack)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(stack, BYTES);
}
