/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "b.h"

which_fn *b_address(void)
{
    return a_which;
}

which_fn *const *b_table(void)
{
    static which_fn *const table[] = {a_which, b_calls_a};
    return table;
}

int b_calls_a(void)
{
    return a_which();
}

int b_helper(void)
{
    return 100;
}
