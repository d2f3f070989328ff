/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Public header of module d, whose units carry views of its exports, as the
 * build would append them. Threads: any.
 */
#ifndef MECHANISM_D_H
#define MECHANISM_D_H

#include <molt/abi.h>

int d_first(void);
int d_second(void);
int d_calls(void);

#endif
