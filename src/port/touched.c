/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/touched.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 256 /* pages a question */

size_t molt_port_touched_below(const void *stack, size_t bytes)
{
    unsigned char is_there[CHUNK];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < bytes; at += CHUNK * page) {
        size_t len = bytes - at < CHUNK * page ? bytes - at : CHUNK * page;
        if (mincore((void *)((uintptr_t)stack + at), len, is_there) < 0)
            return 0;
        for (size_t i = 0; i * page < len; i++)
            if (is_there[i] & 1)
                return bytes - at - i * page;
    }
    return 0;
}
