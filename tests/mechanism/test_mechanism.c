/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Proves the mechanism of docs/design/worlds.md with nothing but src/port:
 * thunks, interface objects, world tables made by hand, and modules that are
 * compiled here. Arguments: compiler of module a, compiler of the others,
 * level, linker.
 */
#include "modules/names_ab.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cmocka.h>

#include <molt/abi.h>

#include "modules/b.h"
#include "port/thunk.h"
#include "support/module_maker.h"

#define SIG UINT64_C(0x0123456789abcdef)
#define CALLS 100000 /* per thread, in the test of two threads */

static const struct module_export late_exports[] = {
    {"c", "index", SIG},    {"c", "read", SIG},
    {"c", "log_init", SIG}, {"c", "c_calls", SIG},
    {"d", "d_first", SIG},  {"d", "d_second", SIG},
    {"d", "d_calls", SIG},  {"c", "c_address_of_index", SIG},
};

static struct {
    struct module_maker maker; /* compiles with the compiler of the others */
    const char *cc_a;
    void *a[3], *b, *c; /* handles; a by version */
    char *path_a2;
    void **world[3]; /* world 1 has a@1, world 2 has a@2 */
    char *interface_late;
    const struct molt_interface *interfaces[2];
} env;

/* What the hook of failed calls saw on this thread. */
static __thread struct {
    uint32_t slot;
    int is_outside;
    unsigned n;
    bool is_aligned;
    jmp_buf *leave_to; /* leave the stack for good, as a runtime does that ends a process */
} failed;

/* ---- the little of a code layer that the tests need ----------------------- */

static void fill_slots(const struct molt_interface *interface, uint32_t first)
{
    assert_true(interface->magic == MOLT_INTERFACE_MAGIC);
    for (uint32_t i = 0; i < interface->count; i++)
        interface->slots[i] = first + i;
    for (uint32_t i = 0; i < interface->count; i++) {
        const struct molt_interface_entry *entry = &interface->entries[i];
        bool is_big = strcmp(entry->name, "a_big") == 0;
        molt_thunk_describe(first + i, entry->name, is_big ? sizeof(struct big) : 0);
    }
    molt_thunk_outside_fill(first, first + interface->count);
}

static const struct molt_interface_entry *entry_of(uint32_t slot)
{
    for (size_t k = 0; k < 2; k++) {
        const struct molt_interface *interface = env.interfaces[k];
        for (uint32_t i = 0; interface && i < interface->count; i++)
            if (interface->slots[i] == slot)
                return &interface->entries[i];
    }
    return NULL;
}

static void on_failed(uint32_t slot, int is_outside)
{
    failed.slot = slot;
    failed.is_outside = is_outside;
    failed.n++;
    failed.is_aligned = ((uintptr_t)__builtin_frame_address(0) & 15) == 0;
    if (failed.leave_to)
        longjmp(*failed.leave_to, 1);
}

static const char *symbol_of(const struct molt_interface_entry *entry)
{
    static char symbol[128];
    snprintf(symbol, sizeof symbol, "molt$%s$%s$%016llx", entry->module, entry->name,
             (unsigned long long)entry->sig);
    return symbol;
}

static void **new_world(void)
{
    void **table = molt_thunk_table_new();
    assert_non_null(table);
    return table;
}

/* Enter all that @handle, module @module, defines of @interface. */
static void define(void **table, const struct molt_interface *interface, const char *module,
                   void *handle)
{
    for (uint32_t i = 0; i < interface->count; i++) {
        if (strcmp(interface->entries[i].module, module) != 0)
            continue;
        void *definition = dlsym(handle, symbol_of(&interface->entries[i]));
        assert_non_null(definition);
        assert_ptr_not_equal(definition, interface->entries[i].thunk);
        table[interface->slots[i]] = definition;
    }
}

static void *open_image(const char *path, int scope)
{
    void *handle = dlopen(path, RTLD_NOW | scope);
    if (!handle)
        fail_msg("%s", dlerror());
    return handle;
}

static bool is_mapped(const char *path)
{
    char line[512];
    bool is_found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        is_found |= strstr(line, path) != NULL;
    fclose(maps);
    return is_found;
}

static void enter(int world)
{
    molt_world = world ? env.world[world] : molt_thunk_outside_table();
    failed.n = 0;
}

/* Expect that exactly one call failed, and that its name is known. */
static void assert_failed(const char *name, int is_outside)
{
    assert_int_equal(failed.n, 1);
    assert_int_equal(failed.is_outside, is_outside);
    assert_true(failed.is_aligned);
    assert_non_null(entry_of(failed.slot));
    assert_string_equal(entry_of(failed.slot)->name, name);
    failed.n = 0;
}

/* ---- building --------------------------------------------------------------- */

#define MODULE(file) MECHANISM_MODULES "/" file

static char *build_a(const char *output, const char *version)
{
    struct module_source source = {
        .output = output,
        .sources = {MODULE("a.c"), MODULE("a_more.c")},
        .cflags = {version, "-include", MODULE("names_ab.h")},
    };
    const char *cc = env.maker.cc;
    env.maker.cc = env.cc_a;
    char *path = module_maker_build(&env.maker, &source);
    env.maker.cc = cc;
    return path;
}

static char *build_b(void)
{
    struct module_source source = {
        .output = "b-1",
        .sources = {MODULE("b.c")},
        .cflags = {"-include", MODULE("names_ab.h")},
    };
    return module_maker_build(&env.maker, &source);
}

static char *build_c(void)
{
    struct module_source source = {
        .output = "c-1",
        .sources = {MODULE("c.c"), MODULE("c_more.c")},
        .cflags = {"-include", MODULE("names_c.h")},
    };
    return module_maker_build(&env.maker, &source);
}

static char *build_d(const char *output, const char *cflag, const char *ldflag)
{
    struct module_source source = {
        .output = output,
        .sources = {MODULE("d_first.c"), MODULE("d_second.c")},
        .cflags = {"-I", MECHANISM_INCLUDE, "-include", MODULE("names_d.h"), cflag},
        .ldflags = {ldflag},
    };
    return module_maker_build(&env.maker, &source);
}

static int setup(void **state)
{
    char *a1 = build_a("a-1", "-DVERSION=1"), *b = build_b(), *c = build_c();
    (void)state;
    env.path_a2 = build_a("a-2", "-DVERSION=2");
    env.interface_late =
        module_maker_interface(&env.maker, "molt-if-late",
                               sizeof late_exports / sizeof *late_exports, late_exports);
    env.interfaces[0] = dlsym(RTLD_DEFAULT, MOLT_INTERFACE_SYMBOL);
    assert_non_null(env.interfaces[0]);
    fill_slots(env.interfaces[0], 1);
    env.interfaces[1] = dlsym(open_image(env.interface_late, RTLD_GLOBAL), MOLT_INTERFACE_SYMBOL);
    assert_non_null(env.interfaces[1]);
    fill_slots(env.interfaces[1], 1 + env.interfaces[0]->count);
    env.a[1] = open_image(a1, RTLD_LOCAL);
    env.a[2] = open_image(env.path_a2, RTLD_LOCAL);
    env.b = open_image(b, RTLD_LOCAL);
    env.c = open_image(c, RTLD_LOCAL);
    for (int i = 1; i <= 2; i++) {
        env.world[i] = new_world();
        define(env.world[i], env.interfaces[0], "a", env.a[i]);
        define(env.world[i], env.interfaces[0], "b", env.b);
        define(env.world[i], env.interfaces[1], "c", env.c);
    }
    molt_thunk_on_failed(on_failed);
    free(a1);
    free(b);
    free(c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    enter(0);
    for (int i = 1; i <= 2; i++)
        molt_thunk_table_free(env.world[i]);
    free(env.path_a2);
    free(env.interface_late);
    return 0;
}

static int leave_world(void **state)
{
    (void)state;
    enter(0);
    return 0;
}

/* ---- addresses -------------------------------------------------------------- */

static which_fn *const host_table[] = {a_which, b_calls_a};

static void the_host_is_position_independent(void **state)
{
    (void)state;
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    const ElfW(Ehdr) *header = (const void *)((const char *)headers - sizeof *header);
    assert_memory_equal(header->e_ident, ELFMAG, SELFMAG);
    assert_int_equal(header->e_type, ET_DYN);
}

static void the_address_of_an_export_is_its_thunk_in_host_data_and_code(void **state)
{
    (void)state;
    which_fn *thunk = (which_fn *)dlsym(RTLD_DEFAULT, "molt$a$a_which$0123456789abcdef");
    which_fn *volatile mine = a_which;
    assert_ptr_equal(mine, thunk);
    assert_ptr_equal(host_table[0], thunk);
    assert_ptr_equal(entry_of(env.interfaces[0]->slots[0])->thunk, thunk);
}

static void the_address_of_an_export_is_equal_in_both_versions_of_its_module(void **state)
{
    (void)state;
    for (int world = 1; world <= 2; world++) {
        enter(world);
        assert_ptr_equal(a_address(), host_table[0]);
        assert_ptr_equal(a_more_address(), host_table[0]);
    }
}

static void the_address_of_an_export_is_equal_in_another_module(void **state)
{
    (void)state;
    enter(1);
    assert_ptr_equal(b_address(), host_table[0]);
}

static void the_address_of_an_export_is_equal_in_constant_data_of_both_modules(void **state)
{
    (void)state;
    for (int world = 1; world <= 2; world++) {
        enter(world);
        for (int i = 0; i < 2; i++) {
            assert_ptr_equal(a_table()[i], host_table[i]);
            assert_ptr_equal(b_table()[i], host_table[i]);
        }
    }
}

/* ---- calls ------------------------------------------------------------------ */

static void calls_go_to_the_version_of_the_running_threads_world(void **state)
{
    (void)state;
    for (int world = 1; world <= 2; world++) {
        enter(world);
        assert_int_equal(a_which(), world);
        assert_int_equal(b_calls_a(), world);
        assert_int_equal(a_table()[0](), world);
        assert_int_equal(b_table()[1](), world);
    }
    assert_int_equal(failed.n, 0);
}

static void an_export_called_in_its_own_file_is_of_the_same_version(void **state)
{
    (void)state;
    for (int world = 1; world <= 2; world++) {
        enter(world);
        assert_int_equal(a_which_here(), world);
    }
}

static void an_export_called_in_another_file_of_its_module_is_of_the_same_version(void **state)
{
    (void)state;
    for (int world = 1; world <= 2; world++) {
        enter(world);
        assert_int_equal(a_which_there(), world);
    }
}

static void a_static_function_pointer_stays_in_its_version(void **state)
{
    (void)state;
    enter(1);
    which_fn *one = a_local();
    enter(2);
    which_fn *two = a_local();
    assert_ptr_not_equal(one, two);
    assert_int_equal(one(), 1);
    assert_int_equal(two(), 2);
    enter(1);
    assert_int_equal(two(), 2);
}

/* What gcc calls directly clang calls through the thunk; a difference only for
 * a static function's address that was carried into another world. */
static void a_stale_static_pointer_calls_exports_as_its_compiler_binds_them(void **state)
{
    (void)state;
    enter(1);
    which_fn *one = a_local_caller();
    enter(2);
    assert_int_equal(one(), strcmp(env.cc_a, "gcc") == 0 ? 1 : 2);
}

static pthread_barrier_t both_started;

static void *call_in_world(void *arg)
{
    intptr_t world = (intptr_t)arg, wrong = 0;
    enter((int)world);
    pthread_barrier_wait(&both_started);
    for (int i = 0; i < CALLS; i++)
        wrong += a_which() != world || b_calls_a() != world;
    pthread_barrier_wait(&both_started);
    return (void *)wrong;
}

static void two_threads_run_two_worlds_at_the_same_time(void **state)
{
    pthread_t threads[2];
    (void)state;
    assert_int_equal(pthread_barrier_init(&both_started, NULL, 2), 0);
    for (intptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_in_world, (void *)(i + 1)), 0);
    for (int i = 0; i < 2; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&both_started);
}

static void arguments_and_results_pass_a_thunk_unchanged(void **state)
{
    int f = 6, i = 9;
    (void)state;
    enter(1);
    assert_int_equal(a_ints(1, 2, "3", 4, 5, &f, 7, 8, &i),
                     1 + 4 + 3 * '3' + 16 + 25 + 36 + 49 + 64 + 81);
    assert_true(a_doubles(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) == 385);
    struct pair pair = a_pair((struct pair){21, 1.5}, 2);
    assert_int_equal(pair.x, 42);
    assert_true(pair.y == 3.0);
    struct big big = a_big((struct big){{1, 2, 3, 4, 5, 6}}, 10);
    for (int k = 0; k < 6; k++)
        assert_int_equal(big.v[k], (k + 1) * (10 + k));
    assert_true(a_long_double(2.25L) == 4.5L);
    assert_true(a_sum(9, 1., 2., 3., 4., 5., 6., 7., 8., 9.) == 45.);
    assert_true(a_sum(0) == 0.);
}

/* ---- failed calls ------------------------------------------------------------ */

static void call_with_every_kind_of_signature(int is_outside)
{
    int f = 6, i = 9;
    assert_int_equal(a_ints(1, 2, "3", 4, 5, &f, 7, 8, &i), 0);
    assert_failed("a_ints", is_outside);
    assert_true(a_doubles(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) == 0.);
    assert_failed("a_doubles", is_outside);
    struct pair pair = a_pair((struct pair){21, 1.5}, 2);
    assert_int_equal(pair.x, 0);
    assert_true(pair.y == 0.);
    assert_failed("a_pair", is_outside);
    assert_null(a_address());
    assert_failed("a_address", is_outside);
    assert_true(a_sum(2, 1., 2.) == 0.);
    assert_failed("a_sum", is_outside);
    struct big big = a_big((struct big){{1, 2, 3, 4, 5, 6}}, 10);
    for (int k = 0; k < 6; k++)
        assert_int_equal(big.v[k], 0);
    assert_failed("a_big", is_outside);
    /* A result in an x87 register is undefined, but the call returns. */
    volatile long double unknown = a_long_double(2.25L);
    (void)unknown;
    assert_failed("a_long_double", is_outside);
}

static void an_unused_slot_gives_the_named_error_and_zeroes(void **state)
{
    (void)state;
    void **empty = new_world();
    enter(0);
    molt_world = empty;
    for (int i = 0; i < 20; i++) /* more often than the x87 stack is deep */
        call_with_every_kind_of_signature(0);
    enter(1);
    assert_true(a_long_double(2.25L) == 4.5L);
    molt_thunk_table_free(empty);
}

static void *call_outside(void *unused)
{
    (void)unused;
    assert_ptr_equal(molt_world, molt_thunk_outside_table());
    call_with_every_kind_of_signature(1);
    assert_int_equal(host_table[1](), 0);
    assert_failed("b_calls_a", 1);
    return NULL;
}

static void a_thread_without_a_world_gets_the_named_error_and_zeroes(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, call_outside, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void the_hook_of_a_failed_call_may_leave_the_stack(void **state)
{
    jmp_buf away;
    (void)state;
    enter(0);
    failed.leave_to = &away;
    if (setjmp(away) == 0) {
        a_which();
        fail_msg("the call returned");
    }
    failed.leave_to = NULL;
    assert_failed("a_which", 1);
}

/* ---- names ------------------------------------------------------------------- */

static void *from_c(const char *name)
{
    char symbol[128];
    snprintf(symbol, sizeof symbol, "molt$c$%s$0123456789abcdef", name);
    void *thunk = dlsym(RTLD_DEFAULT, symbol);
    assert_non_null(thunk);
    return thunk;
}

static void exports_named_like_libc_functions_are_the_modules_own(void **state)
{
    (void)state;
    enter(1);
    char *(*c_index)(const char *, int) = (char *(*)(const char *, int))from_c("index");
    ssize_t (*c_read)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))from_c("read");
    void *(*address)(void) = (void *(*)(void))from_c("c_address_of_index");
    assert_null(c_index("abc", 'b'));
    assert_int_equal(c_read(-1, NULL, 0), 301);
    assert_ptr_equal(address(), (void *)c_index);
}

static void libc_functions_named_like_exports_stay_libcs(void **state)
{
    char byte;
    (void)state;
    enter(1);
    errno = 0;
    assert_int_equal(read(-1, &byte, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_non_null(strchr("abc", 'b'));
}

static void a_private_function_named_like_another_modules_export_stays_private(void **state)
{
    (void)state;
    enter(1);
    assert_int_equal(((which_fn *)from_c("c_calls"))(), 303);
    assert_int_equal(b_helper(), 100);
}

static void a_library_loaded_later_keeps_a_function_named_like_an_export(void **state)
{
    (void)state;
    struct module_source source = {.output = "library",
                                   .sources = {MODULE("library.c")},
                                   .is_library = true};
    char *path = module_maker_build(&env.maker, &source);
    void *library = open_image(path, RTLD_LOCAL);
    which_fn *start = (which_fn *)dlsym(library, "library_start");
    assert_non_null(start);
    enter(1);
    assert_int_equal(start(), 401);
    assert_int_equal(((which_fn *)from_c("log_init"))(), 302);
    assert_int_equal(dlclose(library), 0);
    free(path);
}

/* ---- unloading --------------------------------------------------------------- */

static void dlclose_unmaps_a_version(void **state)
{
    (void)state;
    char *path = build_a("a-3", "-DVERSION=3");
    void *handle = open_image(path, RTLD_LOCAL);
    assert_true(is_mapped(path));
    void **table = new_world();
    define(table, env.interfaces[0], "a", handle);
    molt_world = table;
    assert_int_equal(a_which(), 3);
    enter(0);
    assert_int_equal(dlclose(handle), 0);
    assert_false(is_mapped(path));
    molt_thunk_table_free(table);
    free(path);
}

/* ---- detection ---------------------------------------------------------------- */

struct wrong {
    int n, data, code; /* views; of them wrong as data, wrong as code */
};

/* The comparison of the code layer: each view of an export has to be a thunk
 * of the module, as data and as code. */
static struct wrong look_at_views(const char *output, const char *cflag, const char *ldflag)
{
    char *path = build_d(output, cflag, ldflag);
    void *handle = open_image(path, RTLD_LOCAL);
    const struct molt_module *module = dlsym(handle, MOLT_MODULE_SYMBOL);
    struct wrong wrong = {0};
    assert_non_null(module);
    for (const struct molt_view *view = module->views; view < module->views_end; view++) {
        bool is_thunk = false;
        for (uint32_t i = 0; i < env.interfaces[1]->count; i++)
            is_thunk |= view->address == env.interfaces[1]->entries[i].thunk;
        wrong.n++;
        wrong.data += !is_thunk;
        wrong.code += view->see() != view->address;
    }
    assert_int_equal(dlclose(handle), 0);
    free(path);
    return wrong;
}

static void a_module_linked_as_it_should_be_sees_thunks_everywhere(void **state)
{
    (void)state;
    struct wrong wrong = look_at_views("d-good", NULL, NULL);
    assert_int_equal(wrong.n, 5);
    assert_int_equal(wrong.data, 0);
    assert_int_equal(wrong.code, 0);
}

static void a_module_linked_with_bsymbolic_is_detected(void **state)
{
    (void)state;
    assert_int_equal(look_at_views("d-symbolic", NULL, "-Wl,-Bsymbolic").data, 5);
}

static void a_module_linked_with_bsymbolic_functions_is_detected(void **state)
{
    (void)state;
    assert_int_equal(look_at_views("d-functions", NULL, "-Wl,-Bsymbolic-functions").data, 5);
}

/* clang forms the address of what the unit itself defines from a local alias,
 * so three views of five are wrong; data still gets the thunk everywhere, so
 * that a word of data alone would not show it. */
static void a_module_that_clang_compiled_without_interposition_is_detected(void **state)
{
    const char *cc = env.maker.cc;
    (void)state;
    env.maker.cc = "clang";
    struct wrong wrong = look_at_views("d-clang", "-fno-semantic-interposition", NULL);
    env.maker.cc = cc;
    assert_int_equal(wrong.data, 0);
    assert_int_equal(wrong.code, 3);
}

#define TEST(f) cmocka_unit_test_teardown(f, leave_world)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_host_is_position_independent),
        TEST(the_address_of_an_export_is_its_thunk_in_host_data_and_code),
        TEST(the_address_of_an_export_is_equal_in_both_versions_of_its_module),
        TEST(the_address_of_an_export_is_equal_in_another_module),
        TEST(the_address_of_an_export_is_equal_in_constant_data_of_both_modules),
        TEST(calls_go_to_the_version_of_the_running_threads_world),
        TEST(an_export_called_in_its_own_file_is_of_the_same_version),
        TEST(an_export_called_in_another_file_of_its_module_is_of_the_same_version),
        TEST(a_static_function_pointer_stays_in_its_version),
        TEST(a_stale_static_pointer_calls_exports_as_its_compiler_binds_them),
        TEST(two_threads_run_two_worlds_at_the_same_time),
        TEST(arguments_and_results_pass_a_thunk_unchanged),
        TEST(an_unused_slot_gives_the_named_error_and_zeroes),
        TEST(a_thread_without_a_world_gets_the_named_error_and_zeroes),
        TEST(the_hook_of_a_failed_call_may_leave_the_stack),
        TEST(exports_named_like_libc_functions_are_the_modules_own),
        TEST(libc_functions_named_like_exports_stay_libcs),
        TEST(a_private_function_named_like_another_modules_export_stays_private),
        TEST(a_library_loaded_later_keeps_a_function_named_like_an_export),
        TEST(dlclose_unmaps_a_version),
        TEST(a_module_linked_as_it_should_be_sees_thunks_everywhere),
        TEST(a_module_linked_with_bsymbolic_is_detected),
        TEST(a_module_linked_with_bsymbolic_functions_is_detected),
        TEST(a_module_that_clang_compiled_without_interposition_is_detected),
    };
    if (argc != 5) {
        fprintf(stderr, "usage: %s CC-OF-A CC LEVEL LINKER\n", argv[0]);
        return 2;
    }
    module_maker_init(&env.maker, argv[2], argv[3], argv[4]);
    env.cc_a = argv[1];
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    module_maker_fini(&env.maker);
    return failures;
}
