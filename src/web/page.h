/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The page of `molt dev`: why the last save isn't live, until it is; else how
 * things stand. It reloads itself.
 *
 * Threads: pure.
 */
#ifndef MOLT_WEB_PAGE_H
#define MOLT_WEB_PAGE_H

#include "base/buf.h"
#include "web/api.h"

/* Append the HTML document. Everything that comes from elsewhere is escaped. */
void molt_page_print(const struct molt_web_view *view, struct molt_buf *out);

/* Append @text with & < > " ' escaped. */
void molt_page_escape(struct molt_buf *out, const char *text);

#endif
