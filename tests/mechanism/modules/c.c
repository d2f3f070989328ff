/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "c.h"

int b_helper(void); /* c's own, in its other file; module b exports one as well */

char *index(const char *s, int c)
{
    (void)s, (void)c;
    return NULL;
}

ssize_t read(int fd, void *buf, size_t size)
{
    (void)fd, (void)buf, (void)size;
    return 301;
}

int log_init(void)
{
    return 302;
}

int c_calls(void)
{
    return b_helper();
}

void *c_address_of_index(void)
{
    return (void *)index;
}
