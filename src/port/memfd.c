/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/memfd.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MFD_EXEC /* Linux 6.3; older kernels reject it and need no such flag */
#define MFD_EXEC 0x0010U
#endif

int molt_memfd_open(const char *name)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags);
    return fd;
}
