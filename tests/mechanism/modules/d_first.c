/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "d.h"

int d_first(void)
{
    return 1;
}

MOLT_VIEW(d_first);
MOLT_VIEW(d_second);

MOLT_MODULE_DESCRIPTOR("d");
