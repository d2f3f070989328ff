/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Stages: handles, and everything that must be refused without a trace. */
#include <sys/stat.h>

#include "fixture.h"

static struct {
    struct test_image a1, a2, a_wide; /* f returns 1, 2; f of another signature */
    struct test_image b;              /* imports a:f */
    struct test_image b_header, a_header, a_newer_header, b_newer_header;
    struct test_image hooks_good, hooks_more, hooks_bad; /* see HOOKS() */
    struct test_image globals1, globals2;                /* f returns 7, 8 */
    struct test_image server_a, server_b, type_b;
    struct test_image view_good, view_symbolic, view_functions, view_clang;
    struct test_image liar, no_thunk, no_definition, few_tags;
} img;

#define EXPORT_F                                                                                   \
    {                                                                                              \
        {                                                                                          \
            "a", "f", 1                                                                            \
        }                                                                                          \
    }
#define TEXT_F(n) "int f(void); int f(void) { return " #n "; }"
#define TEXT_H "int f(void); int h(void); int h(void) { return 10 * f(); }"

/* on_load and on_abandon leave their traces in the environment, which a module
 * that is unloaded can't take along. */
#define HOOKS(module, rc)                                                                          \
    "#include <stdlib.h>\n#include <string.h>\n"                                                   \
    "static void note(const char *what)"                                                           \
    "{ char t[256]; const char *o = getenv(\"MOLT_TEST_HOOKS\");"                                  \
    "  strcpy(t, o ? o : \"\"); strcat(t, what); setenv(\"MOLT_TEST_HOOKS\", t, 1); }"             \
    "static int on_load(void) { note(\"+" module "\"); return " #rc "; }"                          \
    "static void on_abandon(void) { note(\"-" module "\"); }"                                      \
    "MOLT_ON_LOAD(on_load); MOLT_ON_ABANDON(on_abandon);"

#define SERVER                                                                                     \
    "struct s { int n; }; static int init(struct s *s, const int *n) { return 0; }"                \
    "MOLT_SERVER(same, struct s, .init = MOLT_FN(init));"

static struct test_image build(struct test_module module)
{
    return test_module_build(&fx.maker, &module);
}

/* One module with a view of its export, bound in four ways. */
static void build_views(void)
{
    struct test_module module = {"a", .text = TEXT_F(6) "MOLT_VIEW(f);",
                                 .exports = {{"a", "f", 1}}};
    img.view_good = build(module);
    module.ldflags[0] = "-Wl,-Bsymbolic";
    img.view_symbolic = build(module);
    module.ldflags[0] = "-Wl,-Bsymbolic-functions";
    img.view_functions = build(module);
    module.ldflags[0] = NULL;
    module.cflags[0] = "-fno-semantic-interposition";
    fx.maker.cc = "clang";
    img.view_clang = build(module);
    fx.maker.cc = "gcc";
}

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    img.a1 = build((struct test_module){"a", .text = TEXT_F(1), .exports = EXPORT_F});
    img.a2 = build((struct test_module){"a", .text = TEXT_F(2), .exports = EXPORT_F});
    img.a_wide = build((struct test_module){"a", .text = TEXT_F(3), .exports = {{"a", "f", 2}}});
    img.b = build(
        (struct test_module){"b", .text = TEXT_H, .exports = {{"b", "h", 1}}, .imports = EXPORT_F});
    img.a_header = build(
        (struct test_module){"a", .text = TEXT_F(4), .exports = EXPORT_F, .headers = {{"a", 1}}});
    img.a_newer_header = build(
        (struct test_module){"a", .text = TEXT_F(5), .exports = EXPORT_F, .headers = {{"a", 2}}});
    img.b_header = build((struct test_module){"b", .text = TEXT_H, .exports = {{"b", "h", 1}},
                                              .imports = EXPORT_F, .headers = {{"a", 1}}});
    img.b_newer_header = build((struct test_module){"b", .text = TEXT_H, .exports = {{"b", "h", 1}},
                                                    .imports = EXPORT_F, .headers = {{"a", 2}}});
    img.hooks_good = build((struct test_module){"good", .text = HOOKS("good", 0)});
    img.hooks_more = build((struct test_module){"more", .text = HOOKS("more", 0)});
    img.globals1 = build((struct test_module){"a", .text = TEXT_F(7), .exports = EXPORT_F,
                                              .globals = {"total", "last"}});
    img.globals2 = build(
        (struct test_module){"a", .text = TEXT_F(8), .exports = EXPORT_F, .globals = {"total"}});
    img.hooks_bad = build((struct test_module){"zbad", .text = HOOKS("zbad", 7)});
    img.server_a =
        build((struct test_module){"a", .text = SERVER, .types = {{"a/a.c:struct s", 1, 4, false}},
                                   .servers = {{"same", 0}}, .n_tags = 1});
    img.server_b =
        build((struct test_module){"b", .text = SERVER, .types = {{"x.h:struct s", 1, 4, true}},
                                   .servers = {{"same", 0}}, .n_tags = 1});
    img.type_b =
        build((struct test_module){"c", .text = "", .types = {{"x.h:struct s", 2, 8, true}}});
    build_views();
    img.liar = build((struct test_module){"a", .says = "b", .text = ""});
    img.no_thunk =
        build((struct test_module){"a", .text = SERVER TEXT_F(1), .exports = {{"a", "f", 99}},
                                   .types = {{"a/a.c:struct s", 1, 4, false}},
                                   .servers = {{"same", 0}}, .n_tags = 1});
    img.no_definition = build((struct test_module){"a", .text = "", .exports = EXPORT_F});
    img.few_tags =
        build((struct test_module){"a", .text = "", .types = {{"a/a.c:struct s", 1, 4, false}},
                                   .n_tags = 1});
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof img / sizeof *images; i++)
        test_image_fini(&images[i], molt_meta_free);
    fixture_fini();
    return 0;
}

/* Nothing of the stage is left: not in memory, not as a world. */
static void assert_no_trace(void)
{
    assert_int_equal(fixture_versions().n, 0);
    assert_int_equal(fixture_mappings("a-"), 0);
    assert_int_equal(fixture_mappings("b-"), 0);
    assert_int_equal(fixture_ask(A_F), 0);
}

/* ---- handles ------------------------------------------------------------------ */

static void a_commit_makes_the_module_current(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    assert_int_equal(fixture_ask(A_F), 1);
    fixture_swap(&img.a2);
    assert_int_equal(fixture_ask(A_F), 2);
}

static void a_handle_is_stale_after_its_commit(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_commit(stage), MOLT_ESTALE);
    assert_int_equal(molt_stage_abort(fx.code, stage), MOLT_ESTALE);
    assert_int_equal(fixture_seal(stage), MOLT_ESTALE);
    assert_int_equal(fixture_put(stage, &img.a2), MOLT_ESTALE);
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), MOLT_ESTALE);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void a_handle_is_stale_after_its_abort(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_commit(stage), MOLT_ESTALE);
    assert_int_equal(molt_stage_abort(fx.code, stage), MOLT_ESTALE);
    assert_no_trace();
}

static void a_handle_that_never_existed_is_stale(void **state)
{
    struct molt_world *world;
    (void)state;
    assert_int_equal(fixture_commit(77), MOLT_ESTALE);
    assert_int_equal(fixture_seal(0), MOLT_ESTALE);
    assert_int_equal(molt_stage_abort(fx.code, UINT64_MAX), MOLT_ESTALE);
    assert_int_equal(molt_stage_world(fx.code, 77, &world), MOLT_ESTALE);
}

static void a_second_stage_is_busy_until_the_first_ends(void **state)
{
    uint64_t second;
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(molt_stage_begin(fx.code, &second, &fx.err), MOLT_EBUSY);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(molt_stage_begin(fx.code, &second, &fx.err), 0);
    assert_true(second != stage);
}

static void a_stage_that_is_not_sealed_can_not_be_committed(void **state)
{
    struct molt_world *world;
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_commit(stage), MOLT_ESTALE);
    assert_int_equal(molt_stage_world(fx.code, stage, &world), MOLT_ESTALE);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_world(fx.code, stage, &world), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void a_sealed_stage_takes_nothing_more(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_put(stage, &img.a2), MOLT_EINVAL);
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), MOLT_EINVAL);
    assert_int_equal(fixture_seal(stage), MOLT_EINVAL);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void a_module_can_be_in_a_stage_only_once(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_put(stage, &img.a2), MOLT_EEXIST);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void a_table_with_an_open_stage_can_be_freed(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_seal(stage), 0);
    molt_code_free(fx.code);
    fx.code = NULL;
    assert_int_equal(fixture_mappings("a-"), 0);
}

/* ---- images ------------------------------------------------------------------- */

static void identical_bytes_are_nothing_to_do(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a1), 1);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_versions().n, 1);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void bytes_with_another_digest_are_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put_as(stage, fixture_clone(img.a1.meta), img.a2.path), MOLT_EDIGEST);
    assert_says("SHA-256");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void an_image_with_another_build_id_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    struct molt_meta *meta = fixture_clone(img.a1.meta);
    meta->build_id[3] ^= 1;
    assert_int_equal(fixture_put_as(stage, meta, img.a1.path), MOLT_EDIGEST);
    assert_says("build-id");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void an_image_of_another_module_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.liar), MOLT_EFORMAT);
    assert_says("another module");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void a_module_name_that_is_no_name_is_refused(void **state)
{
    static const char *const names[] = {
        "../a", "a b", "a.b",
        "-a",   "a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    (void)state;
    uint64_t stage = fixture_begin();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct molt_meta *meta = fixture_clone(img.a1.meta);
        free(meta->module);
        meta->module = strdup(names[i]);
        assert_int_equal(fixture_put_as(stage, meta, img.a1.path), MOLT_EINVAL);
    }
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void an_export_without_a_thunk_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.no_thunk), MOLT_EREFUSED);
    assert_says("no thunk for f");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void an_export_that_the_image_does_not_define_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.no_definition), MOLT_EFORMAT);
    assert_says("doesn't define");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void an_image_that_is_not_as_described_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.few_tags), MOLT_EFORMAT);
    struct molt_meta *meta = fixture_clone(img.server_a.meta);
    meta->servers[0].name[0] = 'x';
    assert_int_equal(fixture_put_as(stage, meta, img.server_a.path), MOLT_EFORMAT);
    meta = fixture_clone(img.server_a.meta);
    meta->types[0].size++;
    assert_int_equal(fixture_put_as(stage, meta, img.server_a.path), MOLT_EFORMAT);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static char *path_in_store(const struct test_image *image)
{
    char hex[MOLT_SHA256_HEX], *path;
    molt_sha256_hex(image->meta->digest, hex);
    assert_true(asprintf(&path, "%s/%s-%s.so", fx.store, image->meta->module, hex) > 0);
    return path;
}

/* Whatever lies under the image's name, what is mapped is what was verified. */
static void a_file_of_the_store_with_other_bytes_is_replaced(void **state)
{
    (void)state;
    char *path = path_in_store(&img.a1);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("not what its name says", file) >= 0);
    assert_int_equal(fclose(file), 0);
    fixture_swap(&img.a1);
    assert_int_equal(fixture_ask(A_F), 1);
    free(path);
}

static void a_link_in_the_store_is_replaced_not_followed(void **state)
{
    struct stat there;
    (void)state;
    char *path = path_in_store(&img.a1);
    assert_int_equal(symlink(img.a1.path, path), 0);
    fixture_swap(&img.a1);
    assert_int_equal(fixture_ask(A_F), 1);
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISREG(there.st_mode));
    assert_int_equal(there.st_mode & 0777, 0444);
    free(path);
}

static void a_store_that_can_not_be_written_is_an_error_that_names_it(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    char *path = path_in_store(&img.a1);
    assert_int_equal(mkdir(path, 0700), 0); /* rename() can't replace a folder */
    assert_int_equal(fixture_put(stage, &img.a1), MOLT_EIO);
    assert_says(path);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(fixture_put(stage, &img.a1), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 1);
    free(path);
}

/* A file that is no object: the agent would have refused it, the host says so
 * too, and goes on. */
static void bytes_that_are_no_object_are_refused(void **state)
{
    (void)state;
    char *path = module_maker_write(&fx.maker, "garbage", "\177ELF but nothing more");
    struct molt_meta *meta = fixture_clone(img.a1.meta);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(molt_sha256_fd(fd, meta->digest), 0);
    close(fd);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put_as(stage, meta, path), MOLT_EREFUSED);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
    free(path);
}

static void an_interface_object_with_another_digest_is_refused(void **state)
{
    (void)state;
    uint64_t stage;
    uint8_t digest[MOLT_SHA256_BYTES] = {1};
    assert_int_equal(molt_stage_begin(fx.code, &stage, &fx.err), 0);
    int fd = open(fx.interface, O_RDONLY | O_CLOEXEC);
    assert_int_equal(molt_stage_interface(fx.code, stage, fd, digest, &fx.err), MOLT_EDIGEST);
    close(fd);
}

/* Thunks are the process's, worlds the hosts': the same address leads where
 * the calling thread is. */
static void two_hosts_share_thunks_but_not_worlds(void **state)
{
    struct molt_code_config config = {.store = fx.store};
    struct molt_code *first = fx.code, *second;
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    assert_int_equal(molt_code_new(&config, &second, &fx.err), 0);
    fx.code = second;
    fixture_swap(&img.a2);
    fx.code = first;
    assert_int_equal(fixture_ask(A_F), 1);
    molt_code_join(second, &p, "second", true);
    molt_participant_boundary(&p, molt_code_current_cell(second));
    int answer = A_F();
    molt_code_leave(second, &p);
    assert_int_equal(answer, 2);
    assert_int_equal(fixture_ask(A_F), 1);
    molt_code_free(second);
    assert_int_equal(fixture_ask(A_F), 1);
}

static void an_object_without_a_table_is_no_interface(void **state)
{
    (void)state;
    uint64_t stage;
    assert_int_equal(molt_stage_begin(fx.code, &stage, &fx.err), 0);
    int fd = open(img.a1.path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(molt_stage_interface(fx.code, stage, fd, img.a1.meta->digest, &fx.err),
                     MOLT_EFORMAT);
    close(fd);
}

static void a_module_that_sees_its_own_exports_without_thunks_is_refused(void **state)
{
    const struct test_image *const images[] = {&img.view_symbolic, &img.view_functions,
                                               &img.view_clang};
    (void)state;
    uint64_t stage = fixture_begin();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fixture_put(stage, images[i]), MOLT_EREFUSED);
        assert_says("isn't its thunk");
    }
    assert_int_equal(fixture_put(stage, &img.view_good), 0);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_no_trace();
}

static void one_bad_object_of_two_leaves_nothing_behind(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.b), 0);
    assert_int_equal(fixture_put_as(stage, fixture_clone(img.a2.meta), img.a1.path), MOLT_EDIGEST);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_versions().n, 1);
    assert_int_equal(fixture_mappings("b-"), 0);
    assert_int_equal(fixture_ask(A_F), 1);
    assert_int_equal(fixture_ask(B_H), 0);
}

/* ---- the check of the whole world ----------------------------------------------- */

static void deleting_a_module_that_is_imported_is_refused_by_name(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    fixture_swap(&img.b);
    uint64_t stage = fixture_begin();
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("b@1 calls f of module a");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_ask(B_H), 10);
}

static void a_deleted_module_is_gone_for_those_who_call_it(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    assert_int_equal(molt_stage_delete(fx.code, stage, "nobody", &fx.err), MOLT_ENOENT);
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(A_F), 0);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 1);
    assert_no_trace();
}

static void a_changed_signature_is_refused_naming_the_importer(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    fixture_swap(&img.b);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a_wide), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("b@1 calls f of a with another signature than a@2");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_ask(B_H), 10);
}

static void a_changed_signature_leaves_the_old_thunk_undefined(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    fixture_swap(&img.a_wide);
    assert_int_equal(fixture_ask(A_F), 0);
    assert_int_equal(fixture_ask(A_F2), 3);
}

static void a_missing_provider_is_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.b), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("f of module a");
    /* The stage is still open: what was missing can be added. */
    assert_int_equal(fixture_put(stage, &img.a2), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(B_H), 20);
}

static void another_state_of_a_header_is_refused(void **state)
{
    (void)state;
    fixture_swap(&img.a_header);
    fixture_swap(&img.b_header);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a_newer_header), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("b@1 was compiled against another state of a's header than a@2");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_ask(B_H), 40);
}

static void a_kept_module_counts_as_compiled_against_the_new_header(void **state)
{
    (void)state;
    fixture_swap(&img.a_header);
    fixture_swap(&img.b_header);
    uint64_t stage = fixture_begin();
    struct molt_meta *kept = fixture_clone(img.b_newer_header.meta);
    kept->content = img.b_header.meta->content;
    assert_int_equal(fixture_put(stage, &img.a_newer_header), 0);
    assert_int_equal(molt_stage_keep(fx.code, stage, kept, &fx.err), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(B_H), 50);
    /* And it stays so for the next upgrade. */
    stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.a_header), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
}

static void keeping_a_module_that_changed_is_refused(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    struct molt_meta *meta = fixture_clone(img.a2.meta);
    assert_int_equal(molt_stage_keep(fx.code, stage, meta, &fx.err), MOLT_EREFUSED);
    molt_meta_free(meta);
}

static void two_servers_of_one_name_are_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.server_a), 0);
    assert_int_equal(fixture_put(stage, &img.server_b), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("server named same");
}

static void two_layouts_of_one_header_type_are_refused(void **state)
{
    (void)state;
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.server_b), 0);
    assert_int_equal(fixture_put(stage, &img.type_b), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("x.h:struct s");
    assert_says("b@1");
    assert_says("c@1");
}

static void a_change_that_would_lose_mutable_globals_is_refused(void **state)
{
    (void)state;
    fixture_swap(&img.globals1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.globals2), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("a@1: mutable global total would lose its value");
    assert_says("MOLT_FRESH");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_int_equal(fixture_ask(A_F), 7);
    fixture_swap(&img.a1); /* which marked or dropped them */
    assert_int_equal(fixture_ask(A_F), 1);
}

static void equal_bytes_with_newer_headers_go_on_under_them(void **state)
{
    (void)state;
    fixture_swap(&img.a_header);
    fixture_swap(&img.b_header);
    uint64_t stage = fixture_begin();
    struct molt_meta *meta = fixture_clone(img.b_header.meta);
    memset(meta->headers[0].digest, 2, sizeof meta->headers[0].digest);
    assert_int_equal(fixture_put(stage, &img.a_newer_header), 0);
    assert_true(fixture_put_as(stage, meta, img.b_header.path) >= 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(fixture_ask(B_H), 50);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 1); /* of a alone */
}

/* ---- hooks ---------------------------------------------------------------------- */

static void on_load_runs_at_the_seal_and_on_abandon_at_the_abort(void **state)
{
    (void)state;
    unsetenv("MOLT_TEST_HOOKS");
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.hooks_good), 0);
    assert_null(getenv("MOLT_TEST_HOOKS"));
    assert_int_equal(fixture_seal(stage), 0);
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+good");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+good-good");
}

static void on_abandon_runs_in_reverse_order(void **state)
{
    (void)state;
    unsetenv("MOLT_TEST_HOOKS");
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.hooks_more), 0);
    assert_int_equal(fixture_put(stage, &img.hooks_good), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+more+good-good-more");
}

static void on_abandon_does_not_run_after_a_commit(void **state)
{
    (void)state;
    unsetenv("MOLT_TEST_HOOKS");
    fixture_swap(&img.hooks_good);
    molt_code_free(fx.code);
    fx.code = NULL;
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+good");
}

static void a_failing_on_load_is_undone_for_those_that_had_loaded(void **state)
{
    (void)state;
    unsetenv("MOLT_TEST_HOOKS");
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.hooks_good), 0);
    assert_int_equal(fixture_put(stage, &img.hooks_bad), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EONLOAD);
    assert_says("zbad@1");
    assert_says("7");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+good+zbad-good");
    assert_int_equal(fixture_versions().n, 0);
}

static void sealing_again_after_a_failure_loads_nobody_twice(void **state)
{
    (void)state;
    unsetenv("MOLT_TEST_HOOKS");
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.hooks_good), 0);
    assert_int_equal(fixture_put(stage, &img.hooks_bad), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EONLOAD);
    assert_int_equal(fixture_seal(stage), MOLT_EONLOAD);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    assert_string_equal(getenv("MOLT_TEST_HOOKS"), "+good+zbad+zbad-good");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_commit_makes_the_module_current),
        TEST(a_handle_is_stale_after_its_commit),
        TEST(a_handle_is_stale_after_its_abort),
        TEST(a_handle_that_never_existed_is_stale),
        TEST(a_second_stage_is_busy_until_the_first_ends),
        TEST(a_stage_that_is_not_sealed_can_not_be_committed),
        TEST(a_sealed_stage_takes_nothing_more),
        TEST(a_module_can_be_in_a_stage_only_once),
        TEST(a_table_with_an_open_stage_can_be_freed),
        TEST(identical_bytes_are_nothing_to_do),
        TEST(bytes_with_another_digest_are_refused),
        TEST(an_image_with_another_build_id_is_refused),
        TEST(an_image_of_another_module_is_refused),
        TEST(a_module_name_that_is_no_name_is_refused),
        TEST(an_export_without_a_thunk_is_refused),
        TEST(an_export_that_the_image_does_not_define_is_refused),
        TEST(an_image_that_is_not_as_described_is_refused),
        TEST(a_file_of_the_store_with_other_bytes_is_replaced),
        TEST(a_link_in_the_store_is_replaced_not_followed),
        TEST(a_store_that_can_not_be_written_is_an_error_that_names_it),
        TEST(bytes_that_are_no_object_are_refused),
        TEST(an_interface_object_with_another_digest_is_refused),
        TEST(two_hosts_share_thunks_but_not_worlds),
        TEST(an_object_without_a_table_is_no_interface),
        TEST(a_module_that_sees_its_own_exports_without_thunks_is_refused),
        TEST(one_bad_object_of_two_leaves_nothing_behind),
        TEST(deleting_a_module_that_is_imported_is_refused_by_name),
        TEST(a_deleted_module_is_gone_for_those_who_call_it),
        TEST(a_changed_signature_is_refused_naming_the_importer),
        TEST(a_changed_signature_leaves_the_old_thunk_undefined),
        TEST(a_missing_provider_is_refused),
        TEST(another_state_of_a_header_is_refused),
        TEST(a_kept_module_counts_as_compiled_against_the_new_header),
        TEST(keeping_a_module_that_changed_is_refused),
        TEST(two_servers_of_one_name_are_refused),
        TEST(two_layouts_of_one_header_type_are_refused),
        TEST(a_change_that_would_lose_mutable_globals_is_refused),
        TEST(equal_bytes_with_newer_headers_go_on_under_them),
        TEST(on_load_runs_at_the_seal_and_on_abandon_at_the_abort),
        TEST(on_abandon_runs_in_reverse_order),
        TEST(on_abandon_does_not_run_after_a_commit),
        TEST(a_failing_on_load_is_undone_for_those_that_had_loaded),
        TEST(sealing_again_after_a_failure_loads_nobody_twice),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
