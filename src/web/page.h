/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The page of `molt dev`: why the last save isn't live, until it is; else how
 * things stand; and what the host counts. It reloads itself.
 *
 * Threads: pure.
 */
#ifndef MOLT_WEB_PAGE_H
#define MOLT_WEB_PAGE_H

#include "base/buf.h"
#include "web/api.h"

struct molt_page {
    const struct molt_web_view *view;
    const char *state;                     /* of the app: molt_api_state() */
    const struct molt_stats_record *stats; /* NULL: no host runs */
};

/* Append the HTML document. Everything that comes from elsewhere is escaped. */
void molt_page_print(const struct molt_page *page, struct molt_buf *out);

/* Append @text with & < > " ' escaped. */
void molt_page_escape(struct molt_buf *out, const char *text);

#endif
