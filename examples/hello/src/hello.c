/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What clients see. Change the greeting and save: the next request has it. */
#include <molt/http.h>
#include <molt/molt.h>

#include "counter.h"

static int hello(struct molt_http *r)
{
    return molt_http_printf(r, 200, "Hello 1\n");
}

static int count(struct molt_http *r)
{
    long n = counter_next();
    if (n < 0)
        return (int)n; /* the client gets 500 */
    return molt_http_printf(r, 200, "%ld\n", n);
}

MOLT_ROUTES({"GET", "/", hello}, {"GET", "/count", count});
