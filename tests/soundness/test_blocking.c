/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What a callback holds while it waits: errno, locks, library handles. */
#include "soundness/fixture.h"

#define SERVER(name, body)                                                                         \
    "#include \"" name ".h\"\n#include <errno.h>\n#include <pthread.h>\n#include <stdio.h>\n"      \
    "struct " name " { long n; FILE *file; };\nstruct run { long n; };\n"                          \
    "static int on_run(struct " name " *s, struct run *m)\n{\n    (void)m;\n    s->n++;\n" body    \
    "    return 0;\n}\n"                                                                           \
    "MOLT_SERVER(" name ", struct " name ", .on = { MOLT_CAST(struct run, on_run) });\n"           \
    "int " name "_run(void)\n{\n    return molt_send(\"" name "\", molt_new(struct run));\n}\n"

static void errno_is_the_process_own(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "first", "int first_run(void);\n",
                 SERVER("first", "    errno = EDOM;\n    SET(CELL_A, 1);\n    WAIT(CELL_GO);\n"
                                 "    SET(CELL_C, errno == EDOM ? 1 : -1);\n"));
    sound_module(&s, "second", "int second_run(void);\n",
                 SERVER("second", "    for (int i = 0; i < 20; i++) {\n        errno = ERANGE;\n"
                                  "        molt_sleep(1);\n    }\n    SET(CELL_B, 1);\n"));
    sound_upgrade(&s);
    sound_spawn("first");
    sound_spawn("second");
    sound_call(&s, "first", "first_run");
    cell_await(&s.a, 1);
    sound_call(&s, "second", "second_run");
    cell_await(&s.b, 1);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 1);
    sound_close(&s);
}

static void waiting_with_a_lock_held_is_an_error(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "locker", "int locker_run(void);\n",
                 "#include <pthread.h>\n"
                 "MOLT_FRESH static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;\n" SERVER(
                     "locker", "    pthread_mutex_lock(&lock);\n"
                               "    int held = molt_sleep(1);\n"
                               "    pthread_mutex_unlock(&lock);\n"
                               "    int free = molt_sleep(1);\n"
                               "    SET(CELL_A, held == MOLT_ELOCKED && free == 0 ? 1 : -1);\n"));
    sound_upgrade(&s);
    sound_spawn("locker");
    sound_call(&s, "locker", "locker_run");
    cell_await(&s.a, 1);
    sound_close(&s);
}

/* A FILE of libc's, opened by one version, is used across a wait and an
 * upgrade: it is the library's, not the image's. */
static void library_handle_survives_wait_and_upgrade(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
#define HANDLE(version)                                                                            \
    SERVER("handle", "    if (!s->file)\n        s->file = tmpfile();\n"                           \
                     "    fprintf(s->file, \"" version "\");\n    SET(CELL_A, s->n);\n"            \
                     "    if (s->n == 1)\n        WAIT(CELL_GO);\n"                                \
                     "    fflush(s->file);\n    SET(CELL_C, s->n * 100 + ftell(s->file));\n"       \
                     "    if (s->n == 2)\n        fclose(s->file);\n")
    sound_module(&s, "handle", "int handle_run(void);\n", HANDLE("one"));
    sound_upgrade(&s);
    sound_spawn("handle");
    sound_call(&s, "handle", "handle_run");
    cell_await(&s.a, 1);
    sound_module(&s, "handle", "int handle_run(void);\n", HANDLE("three"));
    sound_upgrade(&s);
    atomic_store(&s.go.value, 1);
    cell_await(&s.c, 103);
    sound_call(&s, "handle", "handle_run");
    cell_await(&s.c, 208);
    rig_await_unloaded(s.rig, "handle", 5000);
    sound_close(&s);
}

/* The thread of a callback doesn't change while it waits: compilers keep the
 * addresses of thread-locals in registers. */
static void callback_resumes_on_its_thread(void **state)
{
    (void)state;
    struct sound s;
    sound_open(&s);
    sound_module(&s, "stay", "int stay_run(void);\n",
                 SERVER("stay", "    pthread_t me = pthread_self();\n    int same = 1;\n"
                                "    for (int i = 0; i < 20; i++) {\n        molt_sleep(1);\n"
                                "        same &= pthread_equal(me, pthread_self()) != 0;\n    }\n"
                                "    SET(CELL_A, same ? 1 : -1);\n"));
    sound_upgrade(&s);
    sound_spawn("stay");
    sound_call(&s, "stay", "stay_run");
    cell_await(&s.a, 1);
    sound_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errno_is_the_process_own),
        cmocka_unit_test(waiting_with_a_lock_held_is_an_error),
        cmocka_unit_test(library_handle_survives_wait_and_upgrade),
        cmocka_unit_test(callback_resumes_on_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
