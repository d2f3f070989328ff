/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <molt/http.h> /* brings the module http, which has http_listener */
#include <molt/molt.h>

MOLT_SUPERVISOR(app, .child = {{.id = "door", .server = "door"},
                               {.id = "http", .server = "http_listener"}});
