/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/page.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/record.h"

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
    "th{text-align:left;font-weight:normal;padding-right:2rem}.bad{color:#b00020}.good{color:#"
    "0a6b2d}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}pre{background:#222}"
    ".bad{color:#ff6b81}.good{color:#62d48a}}</style></head><body>";

static void print_title(const struct molt_page *page, const char *tone, const char *text,
                        struct molt_buf *out)
{
    molt_buf_printf(out, "<h1 class=\"%s\">", tone);
    molt_page_escape(out, page->view->app);
    molt_page_escape(out, text);
    molt_buf_adds(out, "</h1>");
}

static bool is_live(const struct molt_page *page)
{
    return strcmp(page->state, "live") == 0;
}

static void print_problem(const struct molt_page *page, struct molt_buf *out)
{
    char title[128];
    snprintf(title, sizeof(title), ": %s", page->view->problem_kind);
    print_title(page, "bad", title, out);
    molt_buf_adds(out, is_live(page) ? "<p>What ran before goes on.</p><pre>"
                                     : "<p>Nothing runs at the moment.</p><pre>");
    molt_page_escape(out, page->view->problem);
    molt_buf_adds(out, "</pre>");
}

static void print_status(const struct molt_page *page, struct molt_buf *out)
{
    char title[128];
    const char *url = page->view->url, *last = page->view->last;
    snprintf(title, sizeof(title), " is %s", page->state);
    print_title(page, is_live(page) ? "good" : "bad", title, out);
    if (*url && is_live(page)) {
        molt_buf_adds(out, "<p><a href=\"");
        molt_page_escape(out, url);
        molt_buf_adds(out, "\">");
        molt_page_escape(out, url);
        molt_buf_adds(out, "</a></p>");
    }
    molt_buf_adds(out, "<pre>");
    molt_page_escape(out, *last ? last : "no upgrade yet: save a source file");
    molt_buf_adds(out, "</pre>");
}

/* ---- figures ------------------------------------------------------------------- */

static void print_row(struct molt_buf *out, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void print_row(struct molt_buf *out, const char *label, const char *fmt, ...)
{
    va_list ap;
    molt_buf_printf(out, "<tr><th>%s</th><td>", label);
    va_start(ap, fmt);
    molt_buf_vprintf(out, fmt, ap);
    va_end(ap);
    molt_buf_adds(out, "</td></tr>");
}

static unsigned long long kib(uint64_t bytes)
{
    return (unsigned long long)(bytes / 1024);
}

static unsigned long long n(uint64_t number)
{
    return number;
}

static void print_figures(const struct molt_stats_record *s, struct molt_buf *out)
{
    molt_buf_adds(out, "<table>");
    print_row(out, "Up", "%llu s", n(s->uptime_ms / 1000));
    print_row(out, "Memory in use", "%llu KiB", kib(s->rss_bytes));
    print_row(out, "Processes", "%llu", n(s->processes));
    print_row(out, "Connections", "%llu", n(s->connections));
    print_row(out, "Callbacks run", "%llu", n(s->callbacks));
    print_row(out, "Messages sent", "%llu", n(s->messages));
    print_row(out, "Processes that crashed", "%llu", n(s->crashes));
    print_row(out, "Restarts by supervisors", "%llu", n(s->restarts));
    if (s->stack_bytes) { /* a host that says so */
        print_row(out, "Workers", "%llu, and %llu of %llu spare ones at work", n(s->workers),
                  n(s->spares), n(s->spares_max));
        print_row(out, "Stacks", "%llu of %llu KiB, the deepest used %llu KiB", n(s->stacks),
                  kib(s->stack_bytes), kib(s->stack_deepest));
        print_row(out, "Callbacks interrupted", "%llu that computed for long", n(s->preempted));
        print_row(out, "Workers replaced", "%llu times, by a spare while a callback blocked",
                  n(s->handovers));
    }
    molt_buf_adds(out, "</table>");
}

void molt_page_print(const struct molt_page *page, struct molt_buf *out)
{
    molt_buf_adds(out, head);
    if (*page->view->problem)
        print_problem(page, out);
    else
        print_status(page, out);
    if (page->stats)
        print_figures(page->stats, out);
    molt_buf_adds(out, "</body></html>\n");
}
