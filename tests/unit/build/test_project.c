/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/build/fixture.h"

#include "build/project.h"

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    make_folder(f.root);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    remove_tree(((struct fixture *)*state)->root);
    return 0;
}

static struct molt_project *load(struct fixture *f)
{
    struct molt_project *p = NULL;
    if (molt_project_load(f->root, &p, &f->err) < 0)
        fail_msg("%s", f->err.text);
    return p;
}

static void refuse(struct fixture *f, int code, const char *text)
{
    struct molt_project *p = NULL;
    f->err = (struct molt_error){0};
    assert_int_equal(molt_project_load(f->root, &p, &f->err), code);
    assert_null(p);
    if (!strstr(f->err.text, text))
        fail_msg("`%s` is not in: %s", text, f->err.text);
}

static void settings_and_modules_are_found(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf",
        "# a shop\nname = shop\n\ncc=clang\ncflags = -O1 -DX='a b' # fast\n"
        "cflags.counter = -O2\nlibs.counter = m z\nstart = app\nhttp.port = 9000\ncolour = #fff\n");
    put(f, "src/counter.c", "");
    put(f, "src/counter.h", "");
    put(f, "src/feed/b.c", "");
    put(f, "src/feed/a.c", "");
    put(f, "src/feed/feed.h", "");
    put(f, "src/feed/.hidden.c", "");
    put(f, "src/alone.c", "");
    put(f, "src/outside.c", "");
    put(f, "include/outside.h", "");
    put(f, "src/headers/only.h", "");
    struct molt_project *p = load(f);
    assert_string_equal(p->name, "shop");
    assert_string_equal(p->cc, "clang");
    assert_string_equal(p->cflags, "-O1 -DX='a b'");
    assert_string_equal(p->start, "app");
    assert_string_equal(molt_project_config(p, "http.port"), "9000");
    assert_null(molt_project_config(p, "nothing"));
    assert_int_equal(p->n_modules, 4);
    assert_string_equal(p->modules[0].name, "alone");
    assert_null(p->modules[0].header);
    assert_string_equal(p->modules[1].name, "counter");
    assert_non_null(strstr(p->modules[1].header, "/src/counter.h"));
    assert_string_equal(p->modules[1].cflags, "-O2");
    assert_string_equal(p->modules[1].libs, "m z");
    assert_int_equal(p->modules[2].n_sources, 2);
    assert_non_null(strstr(p->modules[2].sources[0], "/src/feed/a.c"));
    assert_non_null(strstr(p->modules[2].header, "/src/feed/feed.h"));
    assert_non_null(strstr(p->modules[3].header, "/include/outside.h"));
    molt_project_free(p);
}

static void defaults_hold_for_an_empty_conf(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", "");
    struct molt_project *p = load(f);
    assert_string_equal(p->name, strrchr(f->root, '/') + 1);
    assert_string_equal(p->cc, "gcc");
    assert_string_equal(p->cflags, "");
    assert_null(p->start);
    assert_int_equal(p->n_modules, 0);
    molt_project_free(p);
}

static void a_folder_without_conf_is_refused(void **state)
{
    refuse(*state, MOLT_ENOENT, "molt new");
}

static void mistakes_are_named_with_their_line(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", "name = shop\n\nwhat is this\n");
    refuse(f, MOLT_EFORMAT, "molt.conf:3: `what is this`");
    put(f, "molt.conf", "name = shop\nname = other\n");
    refuse(f, MOLT_EFORMAT, "molt.conf:2: `name` was set in line 1");
    put(f, "molt.conf", "= x\n");
    refuse(f, MOLT_EFORMAT, "molt.conf:1:");
    put(f, "molt.conf", "name = x\nlibs.none = m\n");
    refuse(f, MOLT_EFORMAT, "molt.conf:2: `libs.none`: there is no module `none`");
}

static void modules_need_names_that_c_can_spell(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", "");
    put(f, "src/my-module.c", "");
    refuse(f, MOLT_EFORMAT, "`my-module` can't be a module's name");
}

static void one_name_is_one_module(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", "");
    put(f, "src/twin.c", "");
    put(f, "src/twin/other.c", "");
    refuse(f, MOLT_EFORMAT, "defined by");
}

/* A share folder with one module, as an installation has it. */
static void put_share(struct fixture *f)
{
    put(f, "share/include/molt/molt.h", "");
    put(f, "share/include/molt/parrot.h", "void parrot_talk(void);\n");
    put(f, "share/modules/parrot/module.conf", "header = molt/parrot.h\nlibs = m\n");
    put(f, "share/modules/parrot/parrot.c", "");
    char share[128];
    snprintf(share, sizeof(share), "%s/share", f->root);
    setenv("MOLT_SHARE", share, 1);
}

static void shipped_modules_are_added_when_their_header_is_included(void **state)
{
    struct fixture *f = *state;
    put_share(f);
    put(f, "molt.conf", "");
    put(f, "src/a.c", "int x;\n");
    struct molt_project *p = load(f);
    assert_int_equal(p->n_modules, 1);
    molt_project_free(p);
    put(f, "include/deep/b.h", "  #  include <molt/parrot.h>\n");
    p = load(f);
    assert_int_equal(p->n_modules, 2);
    assert_string_equal(p->modules[1].name, "parrot");
    assert_true(p->modules[1].is_shipped);
    assert_string_equal(p->modules[1].libs, "m");
    assert_non_null(strstr(p->modules[1].header, "molt/parrot.h"));
    molt_project_free(p);
    unsetenv("MOLT_SHARE");
}

static void a_share_without_headers_is_refused(void **state)
{
    struct fixture *f = *state;
    put(f, "molt.conf", "");
    setenv("MOLT_SHARE", f->root, 1);
    refuse(f, MOLT_ENOENT, "MOLT_SHARE");
    unsetenv("MOLT_SHARE");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settings_and_modules_are_found),
        TEST(defaults_hold_for_an_empty_conf),
        TEST(a_folder_without_conf_is_refused),
        TEST(mistakes_are_named_with_their_line),
        TEST(modules_need_names_that_c_can_spell),
        TEST(one_name_is_one_module),
        TEST(shipped_modules_are_added_when_their_header_is_included),
        TEST(a_share_without_headers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
