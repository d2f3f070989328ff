/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Public header of module b. Threads: any. */
#ifndef MECHANISM_B_H
#define MECHANISM_B_H

#include "a.h"

which_fn *b_address(void);      /* a_which's, as b sees it */
which_fn *const *b_table(void); /* constant data: a_which, b_calls_a */
which_fn b_calls_a;             /* a_which() */
which_fn b_helper;              /* 100 */

#endif
