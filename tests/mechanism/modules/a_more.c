/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "a.h"

static volatile int version = VERSION;

int a_more(void)
{
    return version;
}

which_fn *a_more_address(void)
{
    return a_which;
}
