/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Addresses of functions and data across versions and modules. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "soundness/fixture.h"

/* Module ops: op_add exported; module user: keeps and compares its address. */
static void write_ops(struct sound *s, int n)
{
    char text[512];
    snprintf(text, sizeof(text),
             "#include \"ops.h\"\nint op_add(int a) { return a + %d; }\n"
             "op_fn op_get(void) { return op_add; }\n"
             "static op_fn const table[] = { op_add };\n"
             "op_fn op_from_table(void) { return table[0]; }\n",
             n);
    sound_module(s, "ops",
                 "typedef int (*op_fn)(int);\nint op_add(int a);\nop_fn op_get(void);\n"
                 "op_fn op_from_table(void);\n",
                 text);
}

#define USER                                                                                       \
    "#include \"ops.h\"\n#include \"user.h\"\n"                                                    \
    "static op_fn const table[] = { op_add };\n"                                                   \
    "int user_same(void)\n{\n"                                                                     \
    "    return op_get() == op_add && table[0] == op_add && op_from_table() == op_add;\n}\n"       \
    "void *user_address(void)\n{\n    return (void *)op_add;\n}\n"

static void exported_address_is_one_everywhere(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    write_ops(&s, 1);
    sound_module(&s, "user", "int user_same(void);\nvoid *user_address(void);\n", USER);
    sound_upgrade(&s);
    void *first = rig_function(s.rig, "ops", "op_add");
    void *(*user_address)(void) = (void *(*)(void))rig_function(s.rig, "user", "user_address");
    for (int n = 2; n < 5; n++) {
        assert_int_equal(sound_call(&s, "user", "user_same"), 1);
        assert_ptr_equal(user_address(), first);
        assert_int_equal(((int (*)(int))first)(10), 9 + n);
        write_ops(&s, n);
        sound_upgrade(&s);
        assert_ptr_equal(rig_function(s.rig, "ops", "op_add"), first);
    }
    sound_close(&s);
}

/* A process keeps an exported function's address in its state: it pins
 * nothing, and follows the world. */
static void kept_exported_address_pins_nothing(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    write_ops(&s, 1);
    sound_module(&s, "keeper", "int keeper_ask(void);\n",
                 "#include \"ops.h\"\n#include \"keeper.h\"\n"
                 "struct keeper { op_fn fn; };\nstruct ask { long n; };\n"
                 "static int init(struct keeper *k)\n{\n    k->fn = op_add;\n    return 0;\n}\n"
                 "static int on_ask(struct keeper *k, struct ask *m)\n{\n    (void)m;\n"
                 "    SET(CELL_A, k->fn(100));\n    return 0;\n}\n"
                 "MOLT_SERVER(keeper, struct keeper, .init = MOLT_FN(init),\n"
                 "            .on = { MOLT_CAST(struct ask, on_ask) });\n"
                 "int keeper_ask(void)\n{\n"
                 "    return molt_send(\"keeper\", molt_new(struct ask));\n}\n");
    sound_upgrade(&s);
    sound_spawn("keeper");
    sound_call(&s, "keeper", "keeper_ask");
    cell_await(&s.a, 101);
    write_ops(&s, 2);
    sound_upgrade(&s);
    rig_await_unloaded(s.rig, "ops", 5000);
    sound_call(&s, "keeper", "keeper_ask");
    cell_await(&s.a, 102);
    sound_close(&s);
}

/* A stored pointer to a function whose signature changed leads to a named
 * error in later worlds, not into code that expects other arguments. */
static void changed_signature_behind_a_stored_pointer_is_named(void **state)
{
    (void)state;
    struct sound s;
    struct molt_error err = {0};
    sound_open(&s);
    write_ops(&s, 1);
    sound_upgrade(&s);
    int (*stored)(int) = (int (*)(int))rig_function(s.rig, "ops", "op_add");
    assert_int_equal(stored(1), 2);
    sound_module(&s, "ops", "long op_add(long a, long b);\n",
                 "#include \"ops.h\"\nlong op_add(long a, long b) { return a * b; }\n");
    sound_upgrade(&s);
    assert_int_equal(stored(1), 0);
    assert_int_equal(molt_thread_error(&err), MOLT_EUNDEF);
    assert_non_null(strstr(err.text, "ops:op_add"));
    long (*fresh)(long, long) = (long (*)(long, long))rig_function(s.rig, "ops", "op_add");
    assert_int_equal(fresh(6, 7), 42);
    assert_true((void *)fresh != (void *)stored);
    sound_close(&s);
}

static struct rig *crash_rig;

static void on_segv(int sig, siginfo_t *info, void *context)
{
    uintptr_t offset;
    bool is_unloaded = false;
    (void)sig;
    (void)context;
    const struct molt_version *v = molt_code_find_pc(molt_host_code(rig_host(crash_rig)),
                                                     info->si_addr, &offset, &is_unloaded);
    bool ok = v && is_unloaded && strcmp(molt_version_module(v), "gone") == 0 &&
              molt_version_number(v) == 1;
    _exit(ok ? 42 : 1);
}

/* What molt can't know of: this test keeps the address of a static function. */
static void stale_pointer_after_unload_traps_and_is_named(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "gone", "typedef int (*gone_fn)(void);\ngone_fn gone_get(void);\n",
                 "#include \"gone.h\"\nstatic int local(void) { return 3; }\n"
                 "gone_fn gone_get(void) { return local; }\n");
    sound_upgrade(&s);
    int (*(*gone_get)(void))(void) =
        (int (*(*)(void))(void))rig_function(s.rig, "gone", "gone_get");
    int (*local)(void) = gone_get();
    assert_int_equal(local(), 3);
    sound_module(&s, "gone", "typedef int (*gone_fn)(void);\ngone_fn gone_get(void);\n",
                 "#include \"gone.h\"\nstatic int local(void) { return 4; }\n"
                 "gone_fn gone_get(void) { return local; }\n");
    sound_upgrade(&s);
    rig_await_unloaded(s.rig, "gone", 5000);
    crash_rig = s.rig;
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, NULL);
        local();
        _exit(2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    sound_close(&s);
}

/* What one version's globals hold of another's image keeps that image. */
static void global_that_points_into_an_old_image_pins_it(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "src", "const char *src_text(void);\n",
                 "#include \"src.h\"\nconst char *src_text(void) { return \"one\"; }\n");
    sound_module(&s, "sink", "int sink_take(void);\nint sink_drop(void);\nint sink_first(void);\n",
                 "#include \"src.h\"\n#include \"sink.h\"\n"
                 "MOLT_FRESH static const char *kept = 0;\n"
                 "int sink_take(void) { kept = src_text(); return 0; }\n"
                 "int sink_drop(void) { kept = 0; return 0; }\n"
                 "int sink_first(void) { return kept ? kept[0] : -1; }\n");
    sound_upgrade(&s);
    sound_call(&s, "sink", "sink_take");
    sound_module(&s, "src", "const char *src_text(void);\n",
                 "#include \"src.h\"\nconst char *src_text(void) { return \"two\"; }\n");
    sound_upgrade(&s);
    rig_reclaim(s.rig);
    assert_int_equal(rig_old(s.rig, "src"), 1);
    assert_non_null(strstr(rig_why(s.rig, "src"), "global data of sink@1"));
    assert_int_equal(sound_call(&s, "sink", "sink_first"), 'o');
    sound_call(&s, "sink", "sink_drop");
    rig_await_unloaded(s.rig, "src", 5000);
    sound_close(&s);
}

/* Imports that hand out code addresses: the version stays, and says why. */
static void import_that_hands_out_addresses_pins(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "key", "int key_make(void);\n",
                 "#include \"key.h\"\n#include <pthread.h>\n"
                 "static void drop(void *p) { (void)p; }\n"
                 "int key_make(void) { pthread_key_t k; return pthread_key_create(&k, drop); }\n");
    sound_upgrade(&s);
    sound_module(&s, "key", "int key_make(void);\n",
                 "#include \"key.h\"\nint key_make(void) { return 0; }\n");
    sound_upgrade(&s);
    rig_reclaim(s.rig);
    assert_int_equal(rig_old(s.rig, "key"), 1);
    assert_non_null(strstr(rig_why(s.rig, "key"), "pthread_key_create"));
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exported_address_is_one_everywhere),
        cmocka_unit_test(kept_exported_address_pins_nothing),
        cmocka_unit_test(changed_signature_behind_a_stored_pointer_is_named),
        cmocka_unit_test(stale_pointer_after_unload_traps_and_is_named),
        cmocka_unit_test(global_that_points_into_an_old_image_pins_it),
        cmocka_unit_test(import_that_hands_out_addresses_pins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
