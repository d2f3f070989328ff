/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "d.h"

int d_second(void)
{
    return 2;
}

/* A reference from another unit, which a module that binds within one unit
 * alone leaves to the thunk. */
int d_calls(void)
{
    return d_first() + d_second();
}

MOLT_VIEW(d_first);
MOLT_VIEW(d_second);
MOLT_VIEW(d_calls);
