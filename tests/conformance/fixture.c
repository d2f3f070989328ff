/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "conformance/fixture.h"

#define M_HEADER                                                                                   \
    "#ifndef M_H\n#define M_H\n"                                                                   \
    "int m_version(void);\n"                                                                       \
    "#endif\n"

void fixture_write(struct rig *rig, int n, const char *more)
{
    char text[2048];
    rig_write(rig, "src/m.h", M_HEADER);
    snprintf(text, sizeof(text),
             "#include <molt/molt.h>\n#include \"m.h\"\nint m_version(void)\n{\n    return "
             "%d;\n}\n%s",
             n, more);
    rig_write(rig, "src/m.c", text);
}

/* Server w: on struct work, calls m_version() before and after waiting. Cells
 * are the test's. */
#define W_SOURCE                                                                                   \
    "#include <molt/molt.h>\n"                                                                     \
    "#include \"m.h\"\n"                                                                           \
    "#include \"w.h\"\n"                                                                           \
    "struct w { long n; };\n"                                                                      \
    "struct work { unsigned long before, go, after; };\n"                                          \
    "static int on_work(struct w *w, struct work *m)\n"                                            \
    "{\n"                                                                                          \
    "    volatile long *before = (long *)m->before, *go = (long *)m->go;\n"                        \
    "    volatile long *after = (long *)m->after;\n"                                               \
    "    w->n++;\n"                                                                                \
    "    __atomic_store_n(before, m_version(), __ATOMIC_SEQ_CST);\n"                               \
    "    while (!__atomic_load_n(go, __ATOMIC_SEQ_CST))\n"                                         \
    "        molt_sleep(1);\n"                                                                     \
    "    __atomic_store_n(after, m_version(), __ATOMIC_SEQ_CST);\n"                                \
    "    return 0;\n"                                                                              \
    "}\n"                                                                                          \
    "MOLT_SERVER(w, struct w, .on = { MOLT_CAST(struct work, on_work) });\n"                       \
    "int w_work(const char *name, unsigned long before, unsigned long go, unsigned long after)\n"  \
    "{\n"                                                                                          \
    "    struct work *m = molt_new(struct work);\n"                                                \
    "    if (!m)\n"                                                                                \
    "        return -1;\n"                                                                         \
    "    m->before = before;\n"                                                                    \
    "    m->go = go;\n"                                                                            \
    "    m->after = after;\n"                                                                      \
    "    return molt_send(name, m);\n"                                                             \
    "}\n"
#define W_HEADER                                                                                   \
    "int w_work(const char *name, unsigned long before, unsigned long go, unsigned long after);\n"

void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.rig = rig_new(NULL)};
    fixture_write(f->rig, 1, "");
    rig_write(f->rig, "src/w.h", W_HEADER);
    rig_write(f->rig, "src/w.c", W_SOURCE);
    if (rig_upgrade(f->rig) < 0)
        fail_msg("%s", rig_error(f->rig));
    assert_int_equal(molt_host_start(rig_host(f->rig), NULL, NULL), 0);
    f->thread = rig_enter(f->rig);
    f->m_version = (version_fn *)rig_function(f->rig, "m", "m_version");
    f->w_work = (work_fn *)rig_function(f->rig, "w", "w_work");
}

void fixture_close(struct fixture *f)
{
    atomic_store(&f->go.value, 1);
    molt_thread_unregister(f->thread);
    rig_free(f->rig);
}

void fixture_upgrade(struct fixture *f, int n)
{
    fixture_write(f->rig, n, "");
    if (rig_upgrade(f->rig) < 0)
        fail_msg("%s", rig_error(f->rig));
}

bool fixture_lives(const char *name)
{
    return molt_whereis(name) != 0;
}

void fixture_work(struct fixture *f, const char *name, int n)
{
    molt_pid pid;
    if (!fixture_lives(name))
        assert_int_equal(molt_spawn("w", name, NULL, &pid), 0);
    atomic_store(&f->before.value, 0);
    assert_int_equal(f->w_work(name, (unsigned long)&f->before.value, (unsigned long)&f->go.value,
                               (unsigned long)&f->after.value),
                     0);
    cell_await(&f->before, n);
}
