/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "d.h"

int d_first(void)
{
    return 1;
}

VIEW(d_first);
VIEW(d_second);

extern const struct view __start_molt_views[] __attribute__((visibility("hidden")));
extern const struct view __stop_molt_views[] __attribute__((visibility("hidden")));
extern const struct views views __asm__("molt$views") __attribute__((visibility("default")));
const struct views views __attribute__((used)) = {__start_molt_views, __stop_molt_views};
