/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Answers as soon as the host serves. */
#include <molt/http.h>

static int ready(struct molt_http *r)
{
    return molt_http_printf(r, 200, "ready");
}

MOLT_ROUTES({"GET", "/ready", ready});
