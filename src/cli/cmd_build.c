/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt build: images, and the set that molt run starts. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/build.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/project_root.h"
#include "cli/report.h"
#include "control/agent/apply.h"
#include "control/agent/set.h"
#include "web/json.h"

static int write_set(struct molt_builder *builder, const char *root,
                     const struct molt_build_result *built, struct molt_error *err)
{
    struct molt_set *set;
    struct molt_buf folder = MOLT_BUF_INIT;
    molt_buf_printf(&folder, "%s/.molt", root);
    int rc = folder.is_failed ? MOLT_ENOMEM
                              : molt_set_from_build(molt_builder_project(builder), built, &set);
    if (rc < 0) {
        molt_error_set(err, rc, "%s", molt_error_text(rc));
    } else {
        rc = molt_apply_make_interfaces(builder, set, err);
        if (rc == 0)
            rc = molt_set_write(set, folder.data, err);
        molt_set_free(set);
    }
    molt_buf_fini(&folder);
    return rc;
}

static json_t *diagnostic(const struct molt_diagnostic *d)
{
    return json_pack("{s:o, s:i, s:i, s:s, s:o}", "file", molt_json_text(d->file ? d->file : ""),
                     "line", d->line, "column", d->column, "kind",
                     d->is_error ? "error" : "warning", "text",
                     molt_json_text(d->message ? d->message : ""));
}

static void show_json(struct molt_out *out, const struct molt_build_result *built)
{
    json_t *diagnostics = json_array(), *modules = json_array();
    for (size_t i = 0; i < built->n_diagnostics; i++)
        json_array_append_new(diagnostics, diagnostic(&built->diagnostics[i]));
    for (size_t i = 0; i < built->n_modules; i++)
        json_array_append_new(modules, json_pack("{s:o, s:o}", "module",
                                                 molt_json_text(built->modules[i].module), "image",
                                                 molt_json_text(built->modules[i].image_path)));
    json_t *doc = json_pack("{s:b, s:s, s:i, s:i, s:o, s:o, s:o}", "ok", built->code >= 0, "code",
                            built->code < 0 ? molt_error_name(built->code) : "MOLT_OK", "compiled",
                            (int)built->n_compiled, "linked", (int)built->n_linked, "modules",
                            modules, "diagnostics", diagnostics, "output",
                            molt_json_text(built->output ? built->output : ""));
    if (doc)
        molt_out_json(out, doc);
    json_decref(doc);
}

static void show_text(struct molt_out *out, const struct molt_build_result *built, const char *root,
                      uint64_t elapsed_ns)
{
    struct molt_buf text = MOLT_BUF_INIT;
    if (built->code < 0) {
        molt_report_build_failure(built, root, &text);
        molt_out_line(out, MOLT_TONE_BAD, "failed", "%s", text.is_failed ? "" : text.data);
    } else {
        molt_report_warnings(built, root, &text);
        if (text.len && !text.is_failed)
            molt_out_line(out, MOLT_TONE_PLAIN, "warnings", "%s", text.data);
        molt_out_line(out, MOLT_TONE_GOOD, "built",
                      "%zu module%s built in %.0f ms (%u compiled, %u linked); start with "
                      "`molt run`",
                      built->n_modules, built->n_modules == 1 ? "" : "s", (double)elapsed_ns / 1e6,
                      built->n_compiled, built->n_linked);
    }
    molt_buf_fini(&text);
}

static int build(struct molt_out *out, struct molt_builder *builder, const char *root)
{
    struct molt_error err = {0};
    struct molt_build_result *built = NULL;
    uint64_t start_ns = molt_clock_ns();
    molt_out_progress(out, "building ...");
    int rc = molt_builder_run(builder, 0, NULL, &built, &err);
    if (rc == 0 && built->code >= 0)
        rc = write_set(builder, root, built, &err);
    int code;
    if (rc < 0) {
        code = molt_out_fail(out, rc, &err);
    } else {
        code = built->code < 0 ? MOLT_EXIT_FAILED : MOLT_EXIT_OK;
        if (out->is_json)
            show_json(out, built);
        else
            show_text(out, built, root, molt_clock_ns() - start_ns);
    }
    molt_build_result_free(built);
    return code;
}

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    struct molt_builder *builder = NULL;
    char *root = NULL;
    unsigned long jobs;
    molt_out_init(&out, args);
    if (molt_cli_args_number(args, "jobs", 0, 1024, 0, &jobs, &err) < 0)
        return molt_out_usage(args->command, err.text);
    const char *sanitizer = molt_cli_args_value(args, "sanitize");
    struct molt_build_options options = {.jobs = (unsigned)jobs,
                                         .sanitizer =
                                             sanitizer ? sanitizer : MOLT_DEFAULT_SANITIZER};
    int rc = molt_project_root(&root, &err);
    if (rc == 0)
        rc = molt_builder_new(root, &options, &builder, &err);
    int code = rc < 0 ? molt_out_fail(&out, rc, &err) : build(&out, builder, root);
    molt_builder_free(builder);
    free(root);
    return code;
}

const struct molt_command molt_command_build = {
    .name = "build",
    .args = "",
    .help = "build the project's modules, for `molt run`",
    .more = "Leaves images in .molt/store and the set to run in .molt/set. A running app is not\n"
            "touched.",
    .options = {{"jobs", "N", "compilers at a time; default: one per core"},
                {"sanitize", "LIST", "\"address,undefined\" or \"thread\""},
                {"json", NULL, "as JSON"}},
    .run = run};
