/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/page.h"

void molt_page_escape(struct molt_buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            molt_buf_adds(out, "&amp;");
            break;
        case '<':
            molt_buf_adds(out, "&lt;");
            break;
        case '>':
            molt_buf_adds(out, "&gt;");
            break;
        case '"':
            molt_buf_adds(out, "&quot;");
            break;
        case '\'':
            molt_buf_adds(out, "&#39;");
            break;
        default:
            molt_buf_add(out, text, 1);
        }
    }
}

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta http-equiv=\"refresh\" content=\"1\"><title>molt</title><style>"
    "body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:60rem;padding:0 1rem}"
    "pre{background:#f6f6f6;padding:1rem;overflow:auto;white-space:pre-wrap}"
    ".bad{color:#b00020}.good{color:#0a6b2d}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}pre{background:#222}"
    ".bad{color:#ff6b81}.good{color:#62d48a}}</style></head><body>";

static void print_problem(const struct molt_web_view *view, struct molt_buf *out)
{
    molt_buf_adds(out, "<h1 class=\"bad\">");
    molt_page_escape(out, view->app);
    molt_buf_adds(out, ": ");
    molt_page_escape(out, view->problem_kind);
    molt_buf_adds(out, "</h1><p>What ran before goes on.</p><pre>");
    molt_page_escape(out, view->problem);
    molt_buf_adds(out, "</pre>");
}

static void print_status(const struct molt_web_view *view, struct molt_buf *out)
{
    molt_buf_adds(out, "<h1 class=\"good\">");
    molt_page_escape(out, view->app);
    molt_buf_adds(out, " is live</h1>");
    if (*view->url) {
        molt_buf_adds(out, "<p><a href=\"");
        molt_page_escape(out, view->url);
        molt_buf_adds(out, "\">");
        molt_page_escape(out, view->url);
        molt_buf_adds(out, "</a></p>");
    }
    molt_buf_adds(out, "<pre>");
    molt_page_escape(out, *view->last ? view->last : "no upgrade yet: save a source file");
    molt_buf_adds(out, "</pre>");
}

void molt_page_print(const struct molt_web_view *view, struct molt_buf *out)
{
    molt_buf_adds(out, head);
    if (*view->problem)
        print_problem(view, out);
    else
        print_status(view, out);
    molt_buf_adds(out, "</body></html>\n");
}
