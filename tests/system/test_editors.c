/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Every way in which editors and tools save: each goes live once, nothing that
 * is half there is ever built, and backups, swap files and locks are no saves.
 *
 * The sequences of system calls were taken from the programs with strace;
 * where a program is part of every system it is run itself. Between two steps
 * molt is asked for its status, so that it has seen the first one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/app.h"

#define HELLO "src/hello.c"

static unsigned n_saves;

/* ---- files ------------------------------------------------------------------ */

static const char *full(struct test_app *app, const char *path)
{
    static char paths[4][1024];
    static unsigned n;
    char *out = paths[n++ % 4];
    snprintf(out, sizeof(paths[0]), "%s/%s", app->root, path);
    return out;
}

static void move(struct test_app *app, const char *from, const char *to)
{
    assert_int_equal(rename(full(app, from), full(app, to)), 0);
}

static int open_new(struct test_app *app, const char *path, int flags)
{
    int fd = open(full(app, path), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const char *text, size_t len)
{
    assert_int_equal(write(fd, text, len), len);
}

static void put_file(struct test_app *app, const char *path, const char *text)
{
    int fd = open_new(app, path, O_TRUNC);
    put(fd, text, strlen(text));
    assert_int_equal(close(fd), 0);
}

/* A shell command in the project's folder. */
static void run(struct test_app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void run(struct test_app *app, const char *fmt, ...)
{
    char *command, *line;
    va_list ap;
    va_start(ap, fmt);
    assert_true(vasprintf(&command, fmt, ap) > 0);
    va_end(ap);
    assert_true(asprintf(&line, "cd '%s' && %s", app->root, command) > 0);
    assert_int_equal(system(line), 0);
    free(line);
    free(command);
}

/* molt's loop goes round once, and sees what happened before. */
static void let_molt_look(struct test_app *app)
{
    assert_int_equal(test_app_run(app, NULL, "status", NULL), 0);
}

/* ---- what is expected ----------------------------------------------------------- */

/* hello.c with another greeting, the caller's to free, and that greeting. */
static char *next_text(struct test_app *app, char greeting[32])
{
    char *text = test_app_read(app, HELLO), *at = strstr(text, "r, 200, \""), *out = NULL;
    assert_non_null(at);
    at += strlen("r, 200, \"");
    snprintf(greeting, 32, "save %u\n", ++n_saves);
    assert_true(
        asprintf(&out, "%.*ssave %u%s", (int)(at - text), text, n_saves, strstr(at, "\\n\"")) > 0);
    free(text);
    return out;
}

static void expect_live(struct test_app *app, const char *greeting)
{
    struct test_client client;
    test_app_await(app, "live in");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), greeting);
    test_client_close(&client);
}

/* What was seen on the way was never a module that is gone or broken. */
static void expect_no_trouble(struct test_app *app)
{
    static const char *const bad[] = {"deleted", "error", "refused", "failed", "added"};
    test_app_listen(app);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (strstr(app->text, bad[i]))
            fail_msg("molt said `%s`:\n%s", bad[i], app->text);
}

/* Nothing was built since the last await: a save later on is the next line. */
static void expect_nothing(struct test_app *app)
{
    char greeting[32], *text = next_text(app, greeting);
    let_molt_look(app);
    test_app_save(app, HELLO, text);
    free(text);
    const char *const any[] = {"live in", "nothing to change", NULL};
    assert_non_null(strstr(test_app_await_any(app, any), "live in"));
    expect_no_trouble(app);
}

/* ---- ways --------------------------------------------------------------------------- */

typedef void way_fn(struct test_app *app, const char *text);

/* nano, ed, mcedit, VS Code, `cat >`. */
static void in_place(struct test_app *app, const char *text)
{
    put_file(app, HELLO, text);
}

/* In small pieces, as stdio does with a small buffer. */
static void in_pieces(struct test_app *app, const char *text)
{
    int fd = open_new(app, HELLO, O_TRUNC);
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += 64)
        put(fd, text + at, len - at < 64 ? len - at : 64);
    assert_int_equal(close(fd), 0);
}

/* The shape of a slow disk, or of a large file over a network. */
static void in_two_halves(struct test_app *app, const char *text)
{
    int fd = open_new(app, HELLO, O_TRUNC);
    let_molt_look(app);
    put(fd, text, strlen(text) / 2);
    let_molt_look(app);
    put(fd, text + strlen(text) / 2, strlen(text) - strlen(text) / 2);
    assert_int_equal(close(fd), 0);
}

/* A save of another file must not build the half that is there. */
static void half_while_another_is_saved(struct test_app *app, const char *text)
{
    int fd = open_new(app, HELLO, O_TRUNC);
    char *counter = test_app_read(app, "src/counter.c");
    test_app_save(app, "src/counter.c", counter);
    free(counter);
    let_molt_look(app);
    put(fd, text, strlen(text));
    let_molt_look(app);
    assert_int_equal(close(fd), 0);
}

/* vim with backupcopy=yes: tries the folder with 4913, copies to hello.c~. */
static void vim_copy(struct test_app *app, const char *text)
{
    char *old = test_app_read(app, HELLO);
    put_file(app, "src/.hello.c.swp", "b0VIM 9.0");
    put_file(app, "src/4913", "");
    assert_int_equal(unlink(full(app, "src/4913")), 0);
    put_file(app, HELLO "~", old);
    free(old);
    let_molt_look(app);
    int fd = open_new(app, HELLO, O_TRUNC);
    put(fd, text, strlen(text));
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(full(app, HELLO "~")), 0);
    assert_int_equal(unlink(full(app, "src/.hello.c.swp")), 0);
}

/* vim and nvim with backupcopy=no: the old file is moved aside, then there is
 * none of that name until the new one is created, and synced before it closes. */
static void vim_rename(struct test_app *app, const char *text)
{
    put_file(app, "src/4913", "");
    assert_int_equal(unlink(full(app, "src/4913")), 0);
    move(app, HELLO, HELLO "~");
    let_molt_look(app);
    int fd = open_new(app, HELLO, 0);
    let_molt_look(app);
    put(fd, text, strlen(text));
    assert_int_equal(fsync(fd), 0);
    let_molt_look(app);
    assert_int_equal(close(fd), 0);
    assert_int_equal(chmod(full(app, HELLO), 0644), 0);
    assert_int_equal(unlink(full(app, HELLO "~")), 0);
}

/* vim with 'backupext' set: the backup's name is no noise by itself. */
static void vim_rename_to_orig(struct test_app *app, const char *text)
{
    move(app, HELLO, HELLO ".orig");
    let_molt_look(app);
    put_file(app, HELLO, text);
}

/* emacs: lock, auto-save file, backup by rename, the lock goes. */
static void emacs(struct test_app *app, const char *text)
{
    unlink(full(app, "src/.#hello.c"));
    assert_int_equal(symlink("user@host.123:456", full(app, "src/.#hello.c")), 0);
    put_file(app, "src/#hello.c#", text);
    let_molt_look(app);
    move(app, HELLO, HELLO "~");
    int fd = open_new(app, HELLO, O_TRUNC);
    put(fd, text, strlen(text));
    assert_int_equal(fsync(fd), 0);
    let_molt_look(app);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(full(app, "src/#hello.c#")), 0);
    assert_int_equal(unlink(full(app, "src/.#hello.c")), 0);
}

/* JetBrains' safe write: two renames, so for a moment there is no file. */
static void jetbrains(struct test_app *app, const char *text)
{
    put_file(app, HELLO "___jb_tmp___", text);
    move(app, HELLO, HELLO "___jb_old___");
    let_molt_look(app);
    move(app, HELLO "___jb_tmp___", HELLO);
    assert_int_equal(unlink(full(app, HELLO "___jb_old___")), 0);
}

/* gedit and all that use g_file_set_contents(). */
static void glib(struct test_app *app, const char *text)
{
    put_file(app, "src/.goutputstream-X1Y2Z3", text);
    move(app, "src/.goutputstream-X1Y2Z3", HELLO);
}

/* kate and all that use QSaveFile. */
static void qt(struct test_app *app, const char *text)
{
    put_file(app, HELLO ".AbCdEf", text);
    let_molt_look(app);
    move(app, HELLO ".AbCdEf", HELLO);
}

/* Sublime with atomic_save, kakoune: a hidden file, renamed. */
static void hidden_rename(struct test_app *app, const char *text)
{
    put_file(app, "src/.hello.c.kak.Rt5s", text);
    move(app, "src/.hello.c.kak.Rt5s", HELLO);
}

/* rsync, and editors that write to a folder for temporary files. */
static void from_elsewhere(struct test_app *app, const char *text)
{
    put_file(app, "new.c", text);
    move(app, "new.c", HELLO);
}

static void copied(struct test_app *app, const char *text)
{
    put_file(app, "new.c", text);
    run(app, "cp new.c %s && rm new.c", HELLO);
}

static void installed(struct test_app *app, const char *text)
{
    put_file(app, "new.c", text);
    run(app, "install -m 644 new.c %s && rm new.c", HELLO);
}

static void by_sed(struct test_app *app, const char *text)
{
    char greeting[64];
    snprintf(greeting, sizeof(greeting), "save %u", n_saves);
    (void)text;
    run(app, "sed -i '0,/r, 200, /s/r, 200, \"[^\\]*/r, 200, \"%s/' %s", greeting, HELLO);
}

/* Unlinked, then created anew: patch(1) and git do it so. */
static void by_unlink(struct test_app *app, const char *text)
{
    assert_int_equal(unlink(full(app, HELLO)), 0);
    let_molt_look(app);
    int fd = open_new(app, HELLO, O_EXCL);
    put(fd, text, strlen(text));
    let_molt_look(app);
    assert_int_equal(close(fd), 0);
}

/* No write(2) at all. */
static void by_mmap(struct test_app *app, const char *text)
{
    int fd = open(full(app, HELLO), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)strlen(text)) == 0);
    char *at = mmap(NULL, strlen(text), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    memcpy(at, text, strlen(text));
    assert_int_equal(munmap(at, strlen(text)), 0);
    assert_int_equal(close(fd), 0);
}

/* The first text is never built, or soon overtaken. */
static void twice_at_once(struct test_app *app, const char *text)
{
    put_file(app, HELLO, "int half");
    put_file(app, HELLO, text);
}

static const struct {
    const char *name;
    way_fn *save;
} ways[] = {
    {"in place", in_place},
    {"in pieces", in_pieces},
    {"in two halves", in_two_halves},
    {"half while another is saved", half_while_another_is_saved},
    {"vim, backupcopy=yes", vim_copy},
    {"vim, backupcopy=no", vim_rename},
    {"vim, backupext=.orig", vim_rename_to_orig},
    {"emacs", emacs},
    {"jetbrains", jetbrains},
    {"glib", glib},
    {"qt", qt},
    {"hidden rename", hidden_rename},
    {"from elsewhere", from_elsewhere},
    {"cp", copied},
    {"install", installed},
    {"sed -i", by_sed},
    {"unlink", by_unlink},
    {"mmap", by_mmap},
    {"twice at once", twice_at_once},
};

static void every_way_of_saving_goes_live_and_is_never_seen_by_halves(void **state)
{
    struct test_app *app = *state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char greeting[32], *text = next_text(app, greeting);
        print_message("%s\n", ways[i].name);
        ways[i].save(app, text);
        free(text);
        expect_live(app, greeting);
        expect_no_trouble(app);
    }
}

/* ---- links -------------------------------------------------------------------------- */

static void a_save_through_a_symbolic_link_goes_live(void **state)
{
    struct test_app *app = *state;
    char greeting[32];
    test_app_mkdir(app, "real");
    char *text = next_text(app, greeting);
    put_file(app, "real/text.c", text);
    assert_int_equal(symlink("../real/text.c", full(app, "src/.new")), 0);
    move(app, "src/.new", HELLO);
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    put_file(app, "real/text.c", text); /* written where the link leads */
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    put_file(app, "real/.new", text); /* replaced there */
    move(app, "real/.new", "real/text.c");
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    put_file(app, HELLO, text); /* written through it */
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    test_app_save(app, HELLO, text); /* an editor replaces the link by a file */
    free(text);
    expect_live(app, greeting);
    put_file(app, "real/text.c", "no longer ours");
    expect_nothing(app);
}

static void a_save_through_another_hard_link_goes_live(void **state)
{
    struct test_app *app = *state;
    char greeting[32];
    assert_int_equal(link(full(app, HELLO), full(app, "other.c")), 0);
    char *text = next_text(app, greeting);
    put_file(app, HELLO, text); /* a link is no event: now it is noticed */
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    put_file(app, "other.c", text);
    free(text);
    expect_live(app, greeting);
    text = next_text(app, greeting);
    test_app_save(app, HELLO, text); /* the names part */
    free(text);
    expect_live(app, greeting);
    put_file(app, "other.c", "no longer ours");
    expect_nothing(app);
}

/* ---- what is no save ---------------------------------------------------------------- */

static void touching_a_file_changes_nothing(void **state)
{
    struct test_app *app = *state;
    run(app, "touch %s", HELLO);
    test_app_await(app, "nothing to change");
    expect_no_trouble(app);
}

static void modes_backups_swap_files_and_notes_are_no_saves(void **state)
{
    struct test_app *app = *state;
    assert_int_equal(chmod(full(app, HELLO), 0600), 0);
    assert_int_equal(chmod(full(app, HELLO), 0644), 0);
    put_file(app, "src/.hello.c.swp", "b0VIM");
    put_file(app, "src/.hello.c.swx", "b0VIM");
    put_file(app, HELLO ".~1~", "old");
    put_file(app, HELLO ".bak", "old");
    put_file(app, HELLO ".rej", "old");
    put_file(app, "src/4913", "");
    put_file(app, "src/#hello.c#", "x");
    put_file(app, "src/NOTES", "remember\n");
    put_file(app, "NOTES.c", "remember\n"); /* beside src/, read by nobody */
    assert_int_equal(unlink(full(app, "src/4913")), 0);
    expect_nothing(app);
}

/* ---- many files ----------------------------------------------------------------------- */

/* git checkout: index.lock, each file unlinked and created, then the lock goes.
 * Both files have to change in one upgrade. */
static void a_checkout_of_many_files_is_one_upgrade(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char greeting[32], *hello = next_text(app, greeting);
    char *counter = test_app_read(app, "src/counter.c"), *at = strstr(counter, "+= m->by"), *more;
    assert_non_null(at);
    assert_true(asprintf(&more, "%.*s+= 100 * m->by%s", (int)(at - counter), counter,
                         at + strlen("+= m->by")) > 0);
    test_app_mkdir(app, ".git");
    put_file(app, ".git/index.lock", "");
    assert_int_equal(unlink(full(app, HELLO)), 0);
    put_file(app, HELLO, hello);
    let_molt_look(app);
    let_molt_look(app);
    assert_int_equal(unlink(full(app, "src/counter.c")), 0);
    let_molt_look(app);
    put_file(app, "src/counter.c", more);
    let_molt_look(app);
    move(app, ".git/index.lock", ".git/index");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "counter@1 -> 2"));
    assert_non_null(strstr(line, "hello@"));
    expect_no_trouble(app);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), greeting);
    assert_string_equal(test_client_get(&client, "/count"), "100\n");
    test_client_close(&client);
    free(hello);
    free(counter);
    free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_saving_goes_live_and_is_never_seen_by_halves),
        cmocka_unit_test(a_save_through_a_symbolic_link_goes_live),
        cmocka_unit_test(a_save_through_another_hard_link_goes_live),
        cmocka_unit_test(touching_a_file_changes_nothing),
        cmocka_unit_test(modes_backups_swap_files_and_notes_are_no_saves),
        cmocka_unit_test(a_checkout_of_many_files_is_one_upgrade),
    };
    return cmocka_run_group_tests_name("ways of saving", tests, test_app_setup, test_app_teardown);
}
