/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Public header of module c, whose author picked unlucky names. Threads: any. */
#ifndef MECHANISM_C_H
#define MECHANISM_C_H

#include <stddef.h>
#include <sys/types.h>

char *index(const char *s, int c);            /* always NULL; libc's finds c */
ssize_t read(int fd, void *buf, size_t size); /* always 301; libc's would fail */
int log_init(void);                           /* 302 */
int c_calls(void);                            /* b_helper() of its own: 303 */
void *c_address_of_index(void);

#endif
