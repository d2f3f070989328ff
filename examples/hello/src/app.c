/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The root: whoever dies is started again. */
#include <molt/http.h> /* brings the module http, which has http_listener */
#include <molt/molt.h>

MOLT_SUPERVISOR(app, .child = {{.id = "counter", .server = "counter"},
                               {.id = "http", .server = "http_listener"}});
