/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Letting go: worlds, images, ranges; and why some of them stay. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "fixture.h"

static struct {
    struct test_image a1, a2, a3;       /* f returns 1, 2, 3; g counts its calls */
    struct test_image nodelete, pinned; /* f returns 4 and 5 */
    struct test_image b1, b2, c;        /* keep() stores a pointer in a global */
} img;

#define EXPORTS                                                                                    \
    {                                                                                              \
        {"a", "f", 1}, {"a", "g", 1},                                                              \
        {                                                                                          \
            "a", "address", 1                                                                      \
        }                                                                                          \
    }
/* Far larger than a page apart, so that each version differs. */
#define TEXT(n)                                                                                    \
    "int f(void), g(void); void *address(void);"                                                   \
    "static int count; static void *spare;"                                                        \
    "static int local(void) { return " #n "; }"                                                    \
    "int f(void) { return local(); } int g(void) { return ++count; }"                              \
    "void *address(void) { spare = 0; return local; }"
#define KEEPER(n)                                                                                  \
    "static void *volatile kept; static int version = " #n                                         \
    "; void keep(void *p); void *address(void);"                                                   \
    "void keep(void *p) { kept = p; } void *address(void) { return &version; }"

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    const struct test_module plain[] = {
        {"a", .text = TEXT(1), .exports = EXPORTS},
        {"a", .text = TEXT(2), .exports = EXPORTS},
        {"a", .text = TEXT(3), .exports = EXPORTS},
        {"a", .text = TEXT(4), .exports = EXPORTS, .ldflags = {"-Wl,-z,nodelete"}},
        {"a", .text = TEXT(5), .exports = EXPORTS, .pins = {"pthread_create"}},
        {"b", .text = KEEPER(1), .exports = {{"b", "keep", 1}, {"b", "address", 1}}},
        {"b", .text = KEEPER(2), .exports = {{"b", "keep", 1}, {"b", "address", 1}}},
        {"c", .text = KEEPER(1), .exports = {{"c", "keep", 1}}},
    };
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        images[i] = test_module_build(&fx.maker, &plain[i]);
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

typedef void *address_fn(void);
typedef void keep_fn(void *p);
#define A_ADDRESS "a$address$0000000000000001"
#define B_ADDRESS "b$address$0000000000000001"
#define B_KEEP "b$keep$0000000000000001"
#define C_KEEP "c$keep$0000000000000001"

/* An address in the current version of a or b. */
static void *address_now(const char *symbol)
{
    struct molt_participant p;
    address_fn *address = (address_fn *)fixture_thunk(symbol);
    fixture_enter(&p, "asker");
    void *now = address();
    molt_code_leave(fx.code, &p);
    return now;
}

/* Store @kept in a global of the current version of b or c. */
static void keep_now(const char *symbol, void *kept)
{
    struct molt_participant p;
    keep_fn *keep = (keep_fn *)fixture_thunk(symbol);
    fixture_enter(&p, "keeper");
    keep(kept);
    molt_code_leave(fx.code, &p);
}

static int reclaim(void)
{
    return molt_code_reclaim(fx.code, NULL, NULL);
}

/* ---- what goes ------------------------------------------------------------------ */

static void an_old_image_is_unmapped(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    struct fixture_versions versions = fixture_versions();
    const char *name = strrchr(versions.path, '/') + 1;
    assert_true(fixture_mappings(name) > 0);
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 1);
    assert_int_equal(fixture_mappings(name), 0);
    assert_int_equal(fixture_versions().n, 1);
    assert_int_equal(fixture_ask(A_F), 2);
    assert_int_equal(reclaim(), 0);
}

static void an_image_of_a_sealed_memfd_is_unmapped_and_its_link_removed(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    assert_int_equal(fixture_ask(A_F), 1);
    struct fixture_versions versions = fixture_versions();
    char target[64] = "";
    assert_true(readlink(versions.path, target, sizeof target - 1) > 0);
    assert_non_null(strstr(target, "/fd/"));
    /* The link doesn't stand where a file of the store would. */
    char hex[MOLT_SHA256_HEX], path[256];
    molt_sha256_hex(img.a1.meta->digest, hex);
    snprintf(path, sizeof path, "%s/a-%s.so", fx.store, hex);
    assert_string_not_equal(path, versions.path);
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 1);
    assert_int_equal(access(versions.path, F_OK), -1);
    assert_int_equal(fixture_ask(A_F), 2);
}

static void links_that_a_dead_host_left_are_swept(void **state)
{
    (void)state;
    char dead[256], live[256], file[256];
    snprintf(dead, sizeof dead, "%s/a-00.99999-1.so", fx.store);
    snprintf(live, sizeof live, "%s/a-00.1-1.so", fx.store);
    snprintf(file, sizeof file, "%s/a-00.so", fx.store);
    assert_int_equal(symlink("/proc/0/fd/3", dead), 0);
    assert_int_equal(symlink("/proc/self/exe", live), 0);
    fclose(fopen(file, "we"));
    struct molt_code_config config = {.store = fx.store, .is_sealed = true};
    struct molt_code *code;
    assert_int_equal(molt_code_new(&config, &code, &fx.err), 0);
    assert_int_equal(faccessat(AT_FDCWD, dead, F_OK, AT_SYMLINK_NOFOLLOW), -1);
    assert_int_equal(faccessat(AT_FDCWD, live, F_OK, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(access(file, F_OK), 0);
    molt_code_free(code);
    unlink(live);
    unlink(file);
}

/* The mapping at @at, as /proc/self/maps shows it. */
static void describe(const void *at, char *perms)
{
    char line[512];
    strcpy(perms, "none");
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long lo, hi;
        char found[8];
        if (sscanf(line, "%lx-%lx %7s", &lo, &hi, found) == 3 && lo <= (uintptr_t)at &&
            (uintptr_t)at < hi)
            strcpy(perms, found);
    }
    fclose(maps);
}

static void the_range_of_an_unloaded_image_stays_without_access(void **state)
{
    char perms[8];
    (void)state;
    fixture_swap(&img.a1);
    void *old = address_now(A_ADDRESS);
    describe(old, perms);
    assert_string_equal(perms, "r-xp");
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 1);
    describe(old, perms);
    assert_string_equal(perms, "---p");
}

static sigjmp_buf trapped;
static void on_segv(int number)
{
    (void)number;
    siglongjmp(trapped, 1);
}

static void a_stale_pointer_into_an_unloaded_image_traps(void **state)
{
    struct sigaction action = {.sa_handler = on_segv}, before;
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *old = (fixture_fn *)address_now(A_ADDRESS);
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 1);
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    if (sigsetjmp(trapped, 1) == 0) {
        old();
        fail_msg("the call returned");
    }
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
}

static void a_pc_is_named_before_and_after_its_image_was_unloaded(void **state)
{
    uintptr_t offset, offset_before;
    bool is_unloaded;
    char name[80];
    (void)state;
    fixture_swap(&img.a1);
    void *old = address_now(A_ADDRESS);
    const struct molt_version *v = molt_code_find_pc(fx.code, old, &offset_before, &is_unloaded);
    assert_non_null(v);
    assert_false(is_unloaded);
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 1);
    v = molt_code_find_pc(fx.code, old, &offset, &is_unloaded);
    assert_non_null(v);
    assert_true(is_unloaded);
    assert_int_equal(offset, offset_before);
    molt_version_print(v, name, sizeof name);
    assert_string_equal(name, "a@1");
    assert_null(molt_code_find_pc(fx.code, &img, &offset, &is_unloaded));
}

static void a_rollback_to_earlier_bytes_has_fresh_globals(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *count = A_G;
    assert_int_equal(fixture_ask(count), 1);
    assert_int_equal(fixture_ask(count), 2);
    fixture_swap(&img.a2);
    fixture_swap(&img.a1); /* while the first one is still mapped */
    assert_int_equal(fixture_ask(A_F), 1);
    assert_int_equal(fixture_ask(count), 1);
    assert_int_equal(reclaim(), 2);
    assert_int_equal(fixture_ask(count), 2);
    fixture_swap(&img.a3);
    assert_int_equal(reclaim(), 1);
    fixture_swap(&img.a1); /* after it was unmapped */
    assert_int_equal(fixture_ask(count), 1);
}

static void version_numbers_go_on_after_everything_was_unloaded(void **state)
{
    char name[80];
    uintptr_t offset;
    bool is_unloaded;
    (void)state;
    fixture_swap(&img.a1);
    uint64_t stage = fixture_begin();
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_int_equal(reclaim(), 1);
    fixture_swap(&img.a1);
    molt_version_print(molt_code_find_pc(fx.code, address_now(A_ADDRESS), &offset, &is_unloaded),
                       name, sizeof name);
    assert_string_equal(name, "a@2");
}

/* ---- what stays ------------------------------------------------------------------ */

static void an_image_of_a_world_that_somebody_is_in_stays(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *f = A_F;
    fixture_enter(&p, "feed");
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 0);
    assert_int_equal(f(), 1);
    assert_non_null(strstr(fixture_versions().why, "thread feed"));
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    assert_int_equal(f(), 2);
    assert_int_equal(reclaim(), 1);
    molt_code_leave(fx.code, &p);
}

static void an_image_of_a_world_that_is_held_stays(void **state)
{
    struct molt_participant p;
    (void)state;
    fixture_swap(&img.a1);
    fixture_fn *f = A_F;
    fixture_enter(&p, "worker");
    struct molt_world *held = atomic_load(molt_code_current_cell(fx.code));
    molt_world_hold(held);
    fixture_swap(&img.a2);
    molt_participant_boundary(&p, molt_code_current_cell(fx.code));
    assert_int_equal(reclaim(), 0);
    assert_non_null(strstr(fixture_versions().why, "1 suspended callback"));
    molt_participant_visit(&p, held);
    assert_int_equal(f(), 1);
    molt_participant_return(&p);
    assert_int_equal(f(), 2);
    fx.n_idle = 0;
    molt_world_release(held);
    assert_int_equal(fx.n_idle, 1);
    assert_int_equal(reclaim(), 1);
    molt_code_leave(fx.code, &p);
}

struct scan {
    void *word; /* that the "runtime" finds */
    unsigned n_ranges;
    int rc;
};

static int scan(void *user, const struct molt_range *ranges, size_t n, molt_pin_fn *report,
                void *report_user)
{
    struct scan *s = user;
    s->n_ranges = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        if ((uintptr_t)s->word < ranges[i].lo || (uintptr_t)s->word >= ranges[i].hi)
            continue;
        report(report_user, &ranges[i], 12, "process 12 'counter': struct counter.on_tick");
        report(report_user, &ranges[i], 13, "mailbox of 13");
    }
    return s->rc;
}

static void an_image_that_the_scan_finds_a_pin_for_stays_with_its_names(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    struct scan s = {.word = address_now(A_ADDRESS)};
    fixture_swap(&img.a2);
    assert_int_equal(molt_code_reclaim(fx.code, scan, &s), 0);
    assert_int_equal(s.n_ranges, 1);
    assert_string_equal(fixture_versions().why,
                        "process 12 'counter': struct counter.on_tick; mailbox of 13");
    s.word = NULL;
    assert_int_equal(molt_code_reclaim(fx.code, scan, &s), 1);
}

static void nothing_is_unloaded_if_the_scan_could_not_look_everywhere(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    struct scan s = {.rc = MOLT_ETIMEDOUT};
    fixture_swap(&img.a2);
    assert_int_equal(molt_code_reclaim(fx.code, scan, &s), MOLT_ETIMEDOUT);
    assert_int_equal(fixture_versions().n, 2);
    s.rc = 0;
    assert_int_equal(molt_code_reclaim(fx.code, scan, &s), 1);
}

static void an_image_that_gave_addresses_to_a_library_stays(void **state)
{
    (void)state;
    fixture_swap(&img.pinned);
    fixture_swap(&img.a1);
    assert_int_equal(reclaim(), 0);
    assert_non_null(strstr(fixture_versions().why, "pthread_create"));
}

static void an_image_that_another_modules_globals_point_into_stays(void **state)
{
    (void)state;
    fixture_swap(&img.a1);
    fixture_swap(&img.b1);
    keep_now(B_KEEP, address_now(A_ADDRESS));
    fixture_swap(&img.a2);
    assert_int_equal(reclaim(), 0);
    assert_non_null(strstr(fixture_versions().why, "global data of b@1"));
    keep_now(B_KEEP, NULL);
    assert_int_equal(reclaim(), 1);
}

/* Globals of c, which is current, lead into b@1, and b@1's into a@1: both are
 * old, and both stay, in whichever order images are looked at. */
static void an_image_that_a_pinned_images_globals_point_into_stays(void **state)
{
    (void)state;
    fixture_swap(&img.c);
    fixture_swap(&img.a1);
    fixture_swap(&img.b1);
    keep_now(B_KEEP, address_now(A_ADDRESS));
    keep_now(C_KEEP, address_now(B_ADDRESS));
    fixture_swap(&img.a2);
    fixture_swap(&img.b2);
    assert_int_equal(reclaim(), 0);
    assert_non_null(strstr(fixture_versions().why, "global data of b@1"));
    keep_now(C_KEEP, NULL);
    assert_int_equal(reclaim(), 2);
}

static void an_image_that_dlclose_keeps_is_reported_with_the_reason(void **state)
{
    (void)state;
    fixture_swap(&img.nodelete);
    fixture_swap(&img.a1);
    assert_int_equal(reclaim(), 0);
    struct fixture_versions versions = fixture_versions();
    assert_int_equal(versions.n_old, 1);
    assert_non_null(strstr(versions.why, "nodelete"));
    /* It is not tried again, and the same bytes can be loaded once more. */
    assert_int_equal(reclaim(), 0);
    fixture_swap(&img.nodelete);
    assert_int_equal(fixture_ask(A_F), 4);
    assert_int_equal(fixture_ask(A_G), 1);
    fixture_swap(&img.a1);
    assert_int_equal(reclaim(), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_old_image_is_unmapped),
        cmocka_unit_test_setup_teardown(links_that_a_dead_host_left_are_swept, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(an_image_of_a_sealed_memfd_is_unmapped_and_its_link_removed,
                                        fixture_open_sealed, fixture_close),
        TEST(the_range_of_an_unloaded_image_stays_without_access),
        TEST(a_stale_pointer_into_an_unloaded_image_traps),
        TEST(a_pc_is_named_before_and_after_its_image_was_unloaded),
        TEST(a_rollback_to_earlier_bytes_has_fresh_globals),
        TEST(version_numbers_go_on_after_everything_was_unloaded),
        TEST(an_image_of_a_world_that_somebody_is_in_stays),
        TEST(an_image_of_a_world_that_is_held_stays),
        TEST(an_image_that_the_scan_finds_a_pin_for_stays_with_its_names),
        TEST(nothing_is_unloaded_if_the_scan_could_not_look_everywhere),
        TEST(an_image_that_gave_addresses_to_a_library_stays),
        TEST(an_image_that_another_modules_globals_point_into_stays),
        TEST(an_image_that_a_pinned_images_globals_point_into_stays),
        TEST(an_image_that_dlclose_keeps_is_reported_with_the_reason),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
