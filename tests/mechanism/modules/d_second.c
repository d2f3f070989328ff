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

VIEW(d_first);
VIEW(d_second);
VIEW(d_calls);
