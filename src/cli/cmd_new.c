/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt new: a small app that runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/template.h"

#define NAME_MAX_LEN 40

/* The name becomes a folder and part of messages: letters, digits, - and _. */
static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t len = strlen(name);
    if (!len || len > NAME_MAX_LEN || !strchr(letters, name[0]))
        return false;
    for (const char *c = name; *c; c++)
        if (!strchr(letters, *c) && !strchr("0123456789-_", *c))
            return false;
    return true;
}

/* @text with each "@NAME@" replaced. */
static void expand(const char *text, const char *name, struct molt_buf *out)
{
    static const char mark[] = "@NAME@";
    const char *at;
    while ((at = strstr(text, mark))) {
        molt_buf_add(out, text, (size_t)(at - text));
        molt_buf_adds(out, name);
        text = at + strlen(mark);
    }
    molt_buf_adds(out, text);
}

static int write_file(int dir, const struct molt_template *t, const char *name,
                      struct molt_error *err)
{
    struct molt_buf text = MOLT_BUF_INIT;
    expand(t->text, name, &text);
    int fd = openat(dir, t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int rc = 0;
    if (fd < 0 || text.is_failed || write(fd, text.data, text.len) != (ssize_t)text.len)
        rc = molt_error_set(err, MOLT_EIO, "%s/%s: %s", name, t->path, strerror(errno));
    if (fd >= 0 && close(fd) < 0 && rc == 0)
        rc = molt_error_set(err, MOLT_EIO, "%s/%s: %s", name, t->path, strerror(errno));
    molt_buf_fini(&text);
    return rc;
}

static int make_app(const char *name, struct molt_error *err)
{
    if (mkdir(name, 0755) < 0)
        return errno == EEXIST ? molt_error_set(err, MOLT_EEXIST,
                                                "%s exists already: choose another name, or "
                                                "remove it",
                                                name)
                               : molt_error_set(err, MOLT_EIO, "%s: %s", name, strerror(errno));
    int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || mkdirat(dir, "src", 0755) < 0) {
        int rc = molt_error_set(err, MOLT_EIO, "%s: %s", name, strerror(errno));
        if (dir >= 0)
            close(dir);
        return rc;
    }
    size_t n;
    const struct molt_template *list = molt_template_list(&n);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_file(dir, &list[i], name, err);
    close(dir);
    return rc;
}

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    const char *name = args->args[0];
    molt_out_init(&out, args);
    if (!is_name(name))
        return molt_out_usage(args->command, "a NAME has letters, digits, - and _, begins with a "
                                             "letter, and is at most 40 long");
    int rc = make_app(name, &err);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    molt_out_line(&out, MOLT_TONE_GOOD, "new", "%s is made; go on with: cd %s && molt dev", name,
                  name);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_new = {.name = "new",
                                              .args = "NAME",
                                              .help = "make a small app in a new folder",
                                              .min_args = 1,
                                              .max_args = 1,
                                              .options = {{"json", NULL, "as JSON"}},
                                              .run = run};
