/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What clients see. */
#include <molt/http.h>
#include <molt/molt.h>

#include "door.h"

static int push(struct molt_http *r)
{
    long n = door_push(60000);
    if (n == MOLT_ETIMEDOUT)
        return molt_http_printf(r, 503, "locked\n");
    return n < 0 ? (int)n : molt_http_printf(r, 200, "opened, %ld so far\n", n);
}

static int lock(struct molt_http *r)
{
    int rc = door_lock();
    return rc < 0 ? rc : molt_http_printf(r, 200, "locked\n");
}

static int unlock(struct molt_http *r)
{
    int rc = door_unlock();
    return rc < 0 ? rc : molt_http_printf(r, 200, "unlocked\n");
}

MOLT_ROUTES({"GET", "/push", push}, {"GET", "/lock", lock}, {"GET", "/unlock", unlock});
