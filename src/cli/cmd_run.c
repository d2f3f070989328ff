/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt run: what was built, without a compiler. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/project.h"
#include "cli/commands.h"
#include "cli/project_root.h"
#include "cli/session.h"
#include "cli/tuning.h"

/* molt.conf may have been edited since the build: its values win. Sources don't
 * have to be there. */
static int refresh_config(struct molt_set *set, const char *root, struct molt_error *err)
{
    struct molt_conf conf;
    int rc = molt_project_read_conf(root, &conf, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < conf.n; i++)
        rc = molt_set_configure(set, conf.keys[i], conf.values[i]);
    molt_conf_fini(&conf);
    return rc;
}

static int read_set(const char *root, struct molt_set **ret, struct molt_error *err)
{
    struct molt_buf folder = MOLT_BUF_INIT;
    molt_buf_printf(&folder, "%s/.molt", root);
    int rc = folder.is_failed ? MOLT_ENOMEM : molt_set_read(folder.data, ret, err);
    molt_buf_fini(&folder);
    if (rc < 0)
        return rc;
    rc = refresh_config(*ret, root, err);
    if (rc < 0)
        molt_set_free(*ret);
    return rc;
}

/* What a restart would run. */
static int make_set(void *user, struct molt_set **ret, struct molt_error *err)
{
    return read_set(user, ret, err);
}

static int run_set(struct molt_session *session, struct molt_set *set)
{
    int rc = molt_session_apply(session, set, NULL, molt_clock_ns());
    if (rc == 0)
        molt_session_loop(session);
    int code = molt_session_end(session);
    return rc < 0 ? MOLT_EXIT_FAILED : code;
}

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    struct molt_tuning tuning;
    char *root = NULL;
    struct molt_set *set = NULL;
    struct molt_session *session;
    molt_out_init(&out, args);
    if (molt_tuning_read(args, &tuning, &err) < 0)
        return molt_out_usage(args->command, err.text);
    int rc = molt_project_root(&root, &err);
    if (rc == 0)
        rc = read_set(root, &set, &err);
    if (rc == 0) {
        struct molt_session_options options = {.root = root,
                                               .mode = "run",
                                               .app = set->name,
                                               .out = &out,
                                               .tuning = tuning,
                                               .takes_hangup = true,
                                               .make_set = make_set,
                                               .takes_sets = true,
                                               .user = root,
                                               .is_sealed = true};
        rc = molt_session_new(&options, &session, &err);
        if (rc < 0)
            molt_set_free(set);
    }
    int code = rc < 0 ? molt_out_fail(&out, rc, &err) : run_set(session, set);
    free(root);
    return code;
}

const struct molt_command molt_command_run = {
    .name = "run",
    .args = "",
    .help = "run what `molt build` left, without a compiler",
    .more = "For production: images are mapped from sealed memory. The app goes on if this agent\n"
            "dies; another one attaches to it. SIGHUP, or `molt reload`: molt.conf is read again.",
    .options = {MOLT_TUNING_OPTIONS, {"json", NULL, "one JSON object a line"}},
    .run = run};
