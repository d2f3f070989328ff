/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "soundness/fixture.h"

void sound_open_with(struct sound *s, unsigned workers)
{
    struct rig_options options = {.workers = workers};
    *s = (struct sound){.rig = rig_new(&options)};
    assert_int_equal(molt_host_start(rig_host(s->rig), NULL, NULL), 0);
    s->thread = rig_enter(s->rig);
}

void sound_open(struct sound *s)
{
    sound_open_with(s, 0);
}

void sound_close(struct sound *s)
{
    atomic_store(&s->go.value, 1);
    molt_thread_unregister(s->thread);
    rig_free(s->rig);
}

void sound_module(struct sound *s, const char *name, const char *header, const char *source)
{
    char path[128], text[8192];
    if (header) {
        snprintf(path, sizeof(path), "src/%s.h", name);
        snprintf(text, sizeof(text), "#pragma once\n#include <molt/molt.h>\n%s", header);
        rig_write(s->rig, path, text);
    }
    snprintf(path, sizeof(path), "src/%s.c", name);
    int n = snprintf(text, sizeof(text),
                     "#include <molt/molt.h>\n"
                     "#define CELL_A ((volatile long *)%#lx)\n"
                     "#define CELL_B ((volatile long *)%#lx)\n"
                     "#define CELL_C ((volatile long *)%#lx)\n"
                     "#define CELL_GO ((volatile long *)%#lx)\n"
                     "#define SET(cell, v) __atomic_store_n((cell), (long)(v), __ATOMIC_SEQ_CST)\n"
                     "#define GET(cell) __atomic_load_n((cell), __ATOMIC_SEQ_CST)\n"
                     "#define WAIT(cell) while (!GET(cell)) molt_sleep(1)\n"
                     "%s",
                     (unsigned long)&s->a.value, (unsigned long)&s->b.value,
                     (unsigned long)&s->c.value, (unsigned long)&s->go.value, source);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    rig_write(s->rig, path, text);
}

void sound_upgrade(struct sound *s)
{
    if (rig_upgrade(s->rig) < 0)
        fail_msg("%s", rig_error(s->rig));
    molt_safepoint(s->thread);
}

void sound_refused(struct sound *s, int code, const char *text)
{
    int rc = rig_upgrade_within(s->rig, 200);
    if (rc != code || !strstr(rig_error(s->rig), text))
        fail_msg("answered %s: %s", molt_error_name(rc), rig_error(s->rig));
}

int sound_call(struct sound *s, const char *module, const char *name)
{
    return ((int_fn *)rig_function(s->rig, module, name))();
}

void sound_spawn(const char *server)
{
    molt_pid pid;
    assert_int_equal(molt_spawn(server, server, NULL, &pid), 0);
}

void sound_await_end(const char *name)
{
    uint64_t until = molt_clock_ms() + 10000;
    while (molt_whereis(name)) {
        if (molt_clock_ms() > until)
            fail_msg("process %s lives on", name);
        sched_yield();
    }
}
