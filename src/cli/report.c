/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/report.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define DIAGNOSTICS_MAX 20

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void print_change(const struct molt_change_record *c, struct molt_buf *out)
{
    if (!c->old_number)
        molt_buf_printf(out, "%s@%u added", c->module, c->new_number);
    else if (!c->new_number)
        molt_buf_printf(out, "%s@%u deleted", c->module, c->old_number);
    else
        molt_buf_printf(out, "%s@%u -> %u", c->module, c->old_number, c->new_number);
}

void molt_report_upgrade(const struct molt_upgrade_record *u, const struct molt_build_result *built,
                         uint64_t elapsed_ns, struct molt_buf *out)
{
    for (size_t i = 0; i < u->n_changes; i++) {
        molt_buf_adds(out, i ? ", " : "");
        print_change(&u->changes[i], out);
    }
    if (!u->n_changes)
        molt_buf_adds(out, "headers only");
    molt_buf_printf(out, "   live in %.0f ms (", ms(elapsed_ns));
    if (built)
        molt_buf_printf(out, "compile %.0f, link %.0f, ", ms(built->scan_ns + built->compile_ns),
                        ms(built->link_ns));
    molt_buf_printf(out, "check %.0f, ", ms(u->check_ns + (built ? built->read_ns : 0)));
    if (ms(u->wait_ns) >= 1)
        molt_buf_printf(out, "wait %.0f, ", ms(u->wait_ns));
    molt_buf_printf(out, "switch %.1f)", ms(u->switch_ns));
    if (u->n_processes)
        molt_buf_printf(out, "   %u process%s moved", u->n_processes,
                        u->n_processes == 1 ? "" : "es");
}

void molt_report_moved(const char *moved, struct molt_buf *out)
{
    bool is_one = moved && !strchr(moved, '\n');
    if (is_one)
        molt_buf_printf(out, "   %s", moved);
    while (moved && !is_one && *moved) {
        size_t n = strcspn(moved, "\n");
        molt_buf_printf(out, "\n  %.*s", (int)n, moved);
        moved += n + (moved[n] == '\n');
    }
}

const char *molt_report_build_kind(int code)
{
    return code == MOLT_ECOMPILE   ? "compile error"
           : code == MOLT_ELINK    ? "link error"
           : code == MOLT_EREFUSED ? "refused"
                                   : "build failed";
}

static const char *shorten(const char *root, const char *file)
{
    size_t len = strlen(root);
    return strncmp(root, file, len) == 0 && file[len] == '/' ? file + len + 1 : file;
}

static void print_diagnostic(const struct molt_diagnostic *d, const char *root,
                             struct molt_buf *out)
{
    molt_buf_adds(out, out->len ? "\n" : "");
    if (d->file) {
        molt_buf_printf(out, "%s:", shorten(root, d->file));
        if (d->line > 0)
            molt_buf_printf(out, "%d:", d->line);
        if (d->line > 0 && d->column > 0)
            molt_buf_printf(out, "%d:", d->column);
        molt_buf_adds(out, " ");
    }
    molt_buf_printf(out, "%s: %s", d->is_error ? "error" : "warning", d->message ? d->message : "");
}

static size_t print_diagnostics(const struct molt_build_result *built, const char *root,
                                bool are_errors, struct molt_buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < built->n_diagnostics; i++) {
        if (built->diagnostics[i].is_error != are_errors)
            continue;
        if (n++ < DIAGNOSTICS_MAX)
            print_diagnostic(&built->diagnostics[i], root, out);
    }
    if (n > DIAGNOSTICS_MAX)
        molt_buf_printf(out, "\n... and %zu more", n - DIAGNOSTICS_MAX);
    return n;
}

void molt_report_build_failure(const struct molt_build_result *built, const char *root,
                               struct molt_buf *out)
{
    molt_buf_printf(out, "%s, nothing changed", molt_report_build_kind(built->code));
    if (!print_diagnostics(built, root, true, out) && built->output) {
        molt_buf_printf(out, "\n%s", built->output);
        while (out->len && out->data[out->len - 1] == '\n')
            out->data[--out->len] = '\0';
    }
}

void molt_report_warnings(const struct molt_build_result *built, const char *root,
                          struct molt_buf *out)
{
    print_diagnostics(built, root, false, out);
}

const char *molt_report_hint(const char *root)
{
    static const char *const candidates[] = {"src/hello.c", "src/app.c", "src/main.c"};
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        struct molt_buf path = MOLT_BUF_INIT;
        molt_buf_printf(&path, "%s/%s", root, candidates[i]);
        int rc = path.is_failed ? -1 : access(path.data, R_OK);
        molt_buf_fini(&path);
        if (rc == 0)
            return candidates[i];
    }
    return "";
}
