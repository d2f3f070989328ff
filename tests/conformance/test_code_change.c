/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Statements 47 to 64 of docs/conformance.md: changing the state of processes,
 * and who is held for that. */
#include "conformance/fixture.h"

/* Server st: a push appends a digit to n, and says in a cell what came out, plus
 * a million if the state has its second layout; a stall waits for a cell. A call
 * does what a push does, and replies. Server ask calls it. */

static struct cell seen, entered, go, answer;

#define MILLION 1000000

#define ST_HEADER                                                                                  \
    "int st_push(const char *name, long digit);\n"                                                 \
    "int st_stall(const char *name);\nint st_odd(const char *name);\n"                             \
    "long st_call(const char *name, long digit);\n"

#define ST_HEAD                                                                                    \
    "#include <molt/molt.h>\n#include \"st.h\"\n"                                                  \
    "#define SEEN ((long *)%#lx)\n#define ENTERED ((long *)%#lx)\n#define GO ((long *)%#lx)\n"     \
    "struct push { long digit; };\nstruct ask { long digit; };\nstruct told { long n; };\n"        \
    "struct stall { long unused; };\nstruct odd { long unused; };\n"

/* Layouts, and how one becomes the other. */
#define FIRST                                                                                      \
    "struct st { long n; };\n"                                                                     \
    "static int init(struct st *s, const long *first)\n{\n    s->n = first ? *first : 0;\n"        \
    "    return 0;\n}\n"                                                                           \
    "static long value(const struct st *s) { return s->n; }\n"
#define SECOND                                                                                     \
    "struct st { long extra; long n; };\nstruct st_1 { long n; };\n"                               \
    "static int init(struct st *s, const long *first)\n{\n    s->n = first ? *first : 0;\n"        \
    "    s->extra = 1000000;\n    return 0;\n}\n"                                                  \
    "static long value(const struct st *s) { return s->n + s->extra; }\n"                          \
    "static int from_1(const struct st_1 *old, struct st *now)\n{\n"                               \
    "    now->n = old->n;\n    now->extra = 1000000;\n"
#define BACK                                                                                       \
    FIRST "struct st_2 { long extra; long n; };\n"                                                 \
          "static int from_2(const struct st_2 *old, struct st *now)\n{\n"                         \
          "    now->n = old->n;\n    return 0;\n}\n"

#define ST_REST(changes)                                                                           \
    "static int on_push(struct st *s, struct push *m)\n{\n"                                        \
    "    s->n = s->n * 10 + m->digit;\n"                                                           \
    "    __atomic_store_n(SEEN, value(s), __ATOMIC_SEQ_CST);\n    return 0;\n}\n"                  \
    "static int on_ask(struct st *s, struct ask *m, struct molt_from *from)\n{\n"                  \
    "    struct told *t = molt_new(struct told);\n    s->n = s->n * 10 + m->digit;\n"              \
    "    t->n = value(s);\n    return molt_reply(from, t);\n}\n"                                   \
    "static int on_stall(struct st *s, struct stall *m)\n{\n    (void)m;\n"                        \
    "    __atomic_store_n(ENTERED, 1, __ATOMIC_SEQ_CST);\n"                                        \
    "    while (!__atomic_load_n(GO, __ATOMIC_SEQ_CST))\n        molt_sleep(1);\n"                 \
    "    s->n = s->n * 10 + 9;\n    return 0;\n}\n"                                                \
    "MOLT_SERVER(st, struct st, .init = MOLT_FN(init), " changes                                   \
    "            .on = { MOLT_CAST(struct push, on_push), MOLT_CAST(struct stall, on_stall),\n"    \
    "                    MOLT_CALL(struct ask, on_ask) });\n"                                      \
    "int st_push(const char *name, long digit)\n{\n"                                               \
    "    struct push *m = molt_new(struct push);\n    m->digit = digit;\n"                         \
    "    return molt_send(name, m);\n}\n"                                                          \
    "int st_stall(const char *name)\n{\n    return molt_send(name, molt_new(struct stall));\n}\n"  \
    "int st_odd(const char *name)\n{\n    return molt_send(name, molt_new(struct odd));\n}\n"      \
    "long st_call(const char *name, long digit)\n{\n"                                              \
    "    struct ask *m = molt_new(struct ask);\n    struct told *t = NULL;\n"                      \
    "    m->digit = digit;\n    int rc = molt_call(name, m, &t, 10000);\n"                         \
    "    long n = rc < 0 ? rc : t->n;\n    molt_free(t);\n    return n;\n}\n"

#define CHANGE_1 ".change = { MOLT_CHANGE(struct st_1, from_1) },\n"
#define CHANGE_2 ".change = { MOLT_CHANGE(struct st_2, from_2) },\n"

/* What from_1() ends in. */
#define WELL "    return 0;\n}\n"
#define BADLY "    return -7;\n}\n"
#define SLOWLY                                                                                     \
    "    __atomic_store_n(ENTERED, 1, __ATOMIC_SEQ_CST);\n"                                        \
    "    while (!__atomic_load_n(GO, __ATOMIC_SEQ_CST))\n        ;\n    return 0;\n}\n"

/* What a server may have besides: on_other says 77, terminate says value and reason. */
#define OTHER                                                                                      \
    "static int on_other(struct st *s, const char *type, void *m)\n{\n    (void)s;\n    "          \
    "(void)m;\n"                                                                                   \
    "    (void)type;\n    __atomic_store_n(SEEN, 77, __ATOMIC_SEQ_CST);\n    return 0;\n}\n"
#define END                                                                                        \
    "static void terminate(struct st *s, int reason)\n{\n"                                         \
    "    __atomic_store_n(SEEN, 1000 * value(s) - reason, __ATOMIC_SEQ_CST);\n}\n"
#define HAS_OTHER ".on_other = MOLT_FN(on_other),\n"
#define HAS_END ".terminate = MOLT_FN(terminate),\n"

#define V1 ST_HEAD FIRST ST_REST("")
#define V1_ENDS ST_HEAD FIRST END ST_REST(HAS_END)
#define V2_SLOW_ENDS ST_HEAD SECOND SLOWLY END ST_REST(CHANGE_1 HAS_END)
#define V2_OTHER ST_HEAD SECOND WELL OTHER ST_REST(CHANGE_1 HAS_OTHER)
#define V2 ST_HEAD SECOND WELL ST_REST(CHANGE_1)
#define V2_FAILS ST_HEAD SECOND BADLY ST_REST(CHANGE_1)
#define V2_SLOW ST_HEAD SECOND SLOWLY ST_REST(CHANGE_1)
#define V1_AGAIN ST_HEAD BACK ST_REST(CHANGE_2)

#define ASK                                                                                        \
    "#include <molt/molt.h>\n#include \"st.h\"\n#include \"asker.h\"\n"                            \
    "struct asker { long unused; };\nstruct start { unsigned long out; };\n"                       \
    "static int on_start(struct asker *a, struct start *m)\n{\n    (void)a;\n"                     \
    "    __atomic_store_n((long *)m->out, st_call(\"one\", 5), __ATOMIC_SEQ_CST);\n"               \
    "    return 0;\n}\n"                                                                           \
    "MOLT_SERVER(asker, struct asker, .on = { MOLT_CAST(struct start, on_start) });\n"             \
    "int asker_start(unsigned long out)\n{\n    struct start *m = molt_new(struct start);\n"       \
    "    m->out = out;\n    return molt_send(\"asker\", m);\n}\n"

typedef int push_fn(const char *, long);
typedef int stall_fn(const char *);
typedef int start_fn(unsigned long);

struct change {
    struct rig *rig;
    struct molt_thread *thread;
    push_fn *push;
    stall_fn *stall;
    start_fn *start;
};

/* ---- the rig ------------------------------------------------------------------- */

static void write_st(struct change *c, const char *fmt)
{
    char text[8192];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(text, sizeof(text), fmt, (unsigned long)&seen.value,
                     (unsigned long)&entered.value, (unsigned long)&go.value);
#pragma GCC diagnostic pop
    assert_in_range(n, 1, sizeof(text) - 1);
    rig_write(c->rig, "src/st.h", ST_HEADER);
    rig_write(c->rig, "src/st.c", text);
}

static void upgrade(struct change *c, const char *text)
{
    write_st(c, text);
    if (rig_upgrade(c->rig) < 0)
        fail_msg("%s", rig_error(c->rig));
    molt_safepoint(c->thread);
}

static void reset_cells(void)
{
    struct cell *cells[] = {&seen, &entered, &go, &answer};
    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++)
        atomic_store(&cells[i]->value, 0);
}

/* Version 1 runs, with process one. */
static void open_change(struct change *c)
{
    *c = (struct change){.rig = rig_new(NULL)};
    reset_cells();
    write_st(c, V1);
    rig_write(c->rig, "src/asker.h", "int asker_start(unsigned long out);\n");
    rig_write(c->rig, "src/asker.c", ASK);
    if (rig_upgrade(c->rig) < 0)
        fail_msg("%s", rig_error(c->rig));
    assert_int_equal(molt_host_start(rig_host(c->rig), NULL, NULL), 0);
    c->thread = rig_enter(c->rig);
    c->push = (push_fn *)rig_function(c->rig, "st", "st_push");
    c->stall = (stall_fn *)rig_function(c->rig, "st", "st_stall");
    c->start = (start_fn *)rig_function(c->rig, "asker", "asker_start");
    assert_int_equal(molt_spawn("st", "one", NULL, NULL), 0);
}

static void close_change(struct change *c)
{
    atomic_store(&go.value, 1);
    molt_thread_unregister(c->thread);
    rig_free(c->rig);
}

static void spawn_two(void)
{
    assert_int_equal(molt_spawn("st", "two", NULL, NULL), 0);
}

static void push(struct change *c, const char *name, long digit, long expected)
{
    assert_int_equal(c->push(name, digit), 0);
    cell_await(&seen, expected);
}

/* ---- an upgrade beside the test ---------------------------------------------------- */

struct apply {
    struct rig *rig;
    uint64_t stage;
    int rc;
    pthread_t thread;
};

static void *run_apply(void *user)
{
    struct apply *apply = user;
    apply->rc = rig_apply(apply->rig, apply->stage, 5000);
    return NULL;
}

/* Comes back when the change function of @text runs, which waits for `go`. */
static void begin_slow(struct change *c, struct apply *apply, const char *text)
{
    write_st(c, text);
    *apply = (struct apply){.rig = c->rig};
    assert_int_equal(rig_build(c->rig), 0);
    assert_int_equal(rig_stage(c->rig, &apply->stage), 0);
    pthread_create(&apply->thread, NULL, run_apply, apply);
    cell_await(&entered, 1);
}

static void end_slow(struct change *c, struct apply *apply)
{
    atomic_store(&go.value, 1);
    /* It waits for this thread as for any other. */
    molt_safepoint(c->thread);
    pthread_join(apply->thread, NULL);
    if (apply->rc < 0)
        fail_msg("%s", rig_error(c->rig));
    molt_safepoint(c->thread);
}

/* ---- statements ---------------------------------------------------------------------- */

static void beam_47_mail_of_a_held_process_waits_in_order(void **state)
{
    (void)state;
    struct change c;
    struct apply apply;
    open_change(&c);
    push(&c, "one", 1, 1);
    begin_slow(&c, &apply, V2_SLOW);
    for (long digit = 2; digit <= 5; digit++)
        assert_int_equal(c.push("one", digit), 0);
    end_slow(&c, &apply);
    push(&c, "one", 6, MILLION + 123456);
    close_change(&c);
}

static void beam_50_change_replaces_the_state_and_the_process_goes_on(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    spawn_two();
    push(&c, "one", 4, 4);
    upgrade(&c, V2);
    assert_int_equal(rig_result(c.rig)->conversion.n_processes, 2);
    push(&c, "one", 2, MILLION + 42);
    push(&c, "two", 3, MILLION + 3);
    close_change(&c);
}

static void beam_51_failed_change_keeps_state_and_process(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    spawn_two();
    push(&c, "one", 4, 4);
    molt_pid before = molt_whereis("one");
    write_st(&c, V2_FAILS);
    assert_int_equal(rig_upgrade(c.rig), MOLT_ECHANGE);
    assert_non_null(strstr(rig_error(c.rig), "-7"));
    molt_safepoint(c.thread);
    assert_int_equal(rig_version(c.rig, "st"), 1);
    assert_true(molt_whereis("one") == before);
    push(&c, "one", 2, 42);
    push(&c, "two", 7, 7);
    upgrade(&c, V2);
    push(&c, "one", 1, MILLION + 421);
    close_change(&c);
}

/* On the BEAM the request waits in the mailbox until the callback returns, and takes effect
 * also if the caller has given up by then. Here the switch waits for nobody. */
static void beam_53_callback_that_waits_does_not_hold_the_upgrade_up(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    assert_int_equal(c.stall("one"), 0);
    cell_await(&entered, 1);
    upgrade(&c, V2);
    assert_int_equal(rig_version(c.rig, "st"), 2);
    atomic_store(&go.value, 1);
    push(&c, "one", 1, MILLION + 91);
    push(&c, "one", 2, MILLION + 912);
    close_change(&c);
}

/* The server is held while its state is changed; the call comes meanwhile. */
static void beam_54_callers_of_a_held_server_are_answered(void **state)
{
    (void)state;
    struct change c;
    struct apply apply;
    open_change(&c);
    push(&c, "one", 4, 4);
    assert_int_equal(molt_spawn("asker", "asker", NULL, NULL), 0);
    begin_slow(&c, &apply, V2_SLOW);
    assert_int_equal(c.start((unsigned long)&answer.value), 0);
    assert_int_equal(atomic_load(&answer.value), 0);
    end_slow(&c, &apply);
    uint64_t until = molt_clock_ms() + 10000;
    while (!atomic_load(&answer.value) && molt_clock_ms() < until)
        sched_yield();
    /* By the old code before the switch, or by the new code after it. */
    assert_true(atomic_load(&answer.value) == 45 || atomic_load(&answer.value) == MILLION + 45);
    push(&c, "one", 6, MILLION + 456);
    close_change(&c);
}

/* Server parent: `begin` starts process kid of server st, linked, `end` fails. */
static const char parent_c[] =
    "#include <molt/molt.h>\n#include \"parent.h\"\n"
    "struct parent { long unused; };\nstruct begin { long unused; };\n"
    "struct end { long unused; };\n"
    "static int on_begin(struct parent *p, struct begin *m)\n{\n    (void)p;\n    (void)m;\n"
    "    struct molt_spawn_options o = {.size = sizeof(o), .flags = MOLT_SPAWN_LINK,\n"
    "                                   .name = \"kid\"};\n    molt_pid pid;\n"
    "    return molt_spawn_with(\"st\", NULL, &o, &pid);\n}\n"
    "static int on_end(struct parent *p, struct end *m)\n{\n    (void)p;\n    (void)m;\n"
    "    return MOLT_EIO;\n}\n"
    "MOLT_SERVER(parent, struct parent, .on = { MOLT_CAST(struct begin, on_begin),\n"
    "                                           MOLT_CAST(struct end, on_end) });\n"
    "int parent_begin(void) { return molt_send(\"parent\", molt_new(struct begin)); }\n"
    "int parent_end(void) { return molt_send(\"parent\", molt_new(struct end)); }\n";

static void await_process(const char *name, bool lives)
{
    uint64_t until = molt_clock_ms() + 10000;
    while (fixture_lives(name) != lives) {
        if (molt_clock_ms() > until)
            fail_msg("process %s %s", name, lives ? "doesn't start" : "lives on");
        sched_yield();
    }
}

/* Process kid alone runs st, a child of process parent. */
static void have_parent(struct change *c)
{
    rig_write(c->rig, "src/parent.h", "int parent_begin(void);\nint parent_end(void);\n");
    rig_write(c->rig, "src/parent.c", parent_c);
    upgrade(c, V1_ENDS);
    assert_int_equal(molt_exit(molt_whereis("one"), 0), 0);
    await_process("one", false);
    assert_int_equal(molt_spawn("parent", "parent", NULL, NULL), 0);
    assert_int_equal(((version_fn *)rig_function(c->rig, "parent", "parent_begin"))(), 0);
    await_process("kid", true);
}

/* The end is not lost while the child's state is changed, and it happens once. */
static void beam_55_child_of_a_parent_that_ends_meanwhile_ends_in_order(void **state)
{
    (void)state;
    struct change c;
    struct apply apply;
    open_change(&c);
    have_parent(&c);
    push(&c, "kid", 4, 4);
    begin_slow(&c, &apply, V2_SLOW_ENDS);
    assert_int_equal(((version_fn *)rig_function(c.rig, "parent", "parent_end"))(), 0);
    await_process("parent", false);
    assert_true(fixture_lives("kid"));
    assert_int_equal(atomic_load(&seen.value), 4);
    end_slow(&c, &apply);
    await_process("kid", false);
    /* By the old code before the switch, or by the new code after it. */
    long said = atomic_load(&seen.value);
    assert_true(said == 1000 * 4L - MOLT_EIO || said == 1000 * (MILLION + 4L) - MOLT_EIO);
    assert_int_equal(rig_version(c.rig, "st"), 3);
    close_change(&c);
}

static void beam_57_going_back_hands_over_the_newer_layout(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    push(&c, "one", 4, 4);
    upgrade(&c, V2);
    push(&c, "one", 2, MILLION + 42);
    upgrade(&c, V1_AGAIN);
    push(&c, "one", 1, 421);
    upgrade(&c, V2);
    push(&c, "one", 5, MILLION + 4215);
    upgrade(&c, V1); /* it doesn't know the layout, but what it needs follows by itself */
    push(&c, "one", 7, 42157);
    close_change(&c);
}

/* Supervisor tree with @children; a kid counts its start and its end in two cells. */
static void write_tree(struct change *c, const char *children)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "#include <molt/molt.h>\nstruct kid { long unused; };\n"
             "static int init(struct kid *k, const void *arg)\n{\n    (void)k;\n    (void)arg;\n"
             "    __atomic_fetch_add((long *)%#lx, 1, __ATOMIC_SEQ_CST);\n    return 0;\n}\n"
             "static void terminate(struct kid *k, int reason)\n{\n    (void)k;\n"
             "    (void)reason;\n"
             "    __atomic_fetch_add((long *)%#lx, 1, __ATOMIC_SEQ_CST);\n}\n"
             "MOLT_SERVER(kid, struct kid, .init = MOLT_FN(init),\n"
             "            .terminate = MOLT_FN(terminate));\n"
             "MOLT_SUPERVISOR(tree, .child = {%s});\n",
             (unsigned long)&seen.value, (unsigned long)&answer.value, children);
    rig_write(c->rig, "src/tree.c", text);
}

static void beam_58_tree_follows_its_new_description(void **state)
{
    (void)state;
    struct change c = {.rig = rig_new(NULL)};
    reset_cells();
    write_tree(&c, "{\"a\", \"kid\", NULL, 0, 0}, {\"b\", \"kid\", NULL, 0, 0}");
    if (rig_upgrade(c.rig) < 0)
        fail_msg("%s", rig_error(c.rig));
    assert_int_equal(molt_host_start(rig_host(c.rig), "tree", NULL), 0);
    c.thread = rig_enter(c.rig);
    cell_await(&seen, 2);
    molt_pid b = molt_whereis("b");
    write_tree(&c, "{\"b\", \"kid\", NULL, 0, 0}, {\"c\", \"kid\", NULL, 0, 0}");
    if (rig_upgrade(c.rig) < 0)
        fail_msg("%s", rig_error(c.rig));
    molt_safepoint(c.thread);
    cell_await(&seen, 3);
    cell_await(&answer, 1);
    await_process("a", false);
    await_process("c", true);
    assert_true(b != 0 && molt_whereis("b") == b);
    /* What can't be is refused before anything changes. */
    write_tree(&c, "{\"b\", \"kid\", NULL, 0, 0}, {\"b\", \"kid\", NULL, 0, 0}");
    assert_true(rig_upgrade(c.rig) < 0);
    molt_safepoint(c.thread);
    assert_true(molt_whereis("b") == b && fixture_lives("c"));
    assert_int_equal(atomic_load(&answer.value), 1);
    close_change(&c);
}

/* There is no gen_event and no callback mode: which processes change is read from
 * their servers' modules and layouts, what a server handles from its new table. */
static void beam_59_only_its_processes_change_and_its_table_is_read_anew(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    stall_fn *odd = (stall_fn *)rig_function(c.rig, "st", "st_odd");
    assert_int_equal(molt_spawn("asker", "asker", NULL, NULL), 0);
    assert_int_equal(odd("one"), 0); /* reported, and dropped */
    push(&c, "one", 4, 4);
    upgrade(&c, V2_OTHER);
    assert_int_equal(rig_result(c.rig)->conversion.n_processes, 1);
    assert_int_equal(odd("one"), 0);
    cell_await(&seen, 77);
    assert_int_equal(c.start((unsigned long)&answer.value), 0);
    cell_await(&answer, MILLION + 45);
    close_change(&c);
}

/* The server's change works, but another module of the set fails behind it. */
static void beam_60_error_before_the_switch_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    push(&c, "one", 4, 4);
    write_st(&c, V2);
    rig_write(c.rig, "src/late.c",
              "#include <molt/molt.h>\nstatic int no(void)\n{\n    return -3;\n}\n"
              "MOLT_ON_LOAD(no);\n");
    assert_int_equal(rig_upgrade(c.rig), MOLT_EONLOAD);
    molt_safepoint(c.thread);
    assert_int_equal(rig_version(c.rig, "st"), 1);
    assert_int_equal(rig_version(c.rig, "late"), 0);
    push(&c, "one", 2, 42);
    close_change(&c);
}

/* Caller and callee change their signature: one at a time there would be a
 * moment with a call that fits nothing. */
static void beam_61_modules_of_a_set_are_never_loaded_one_at_a_time(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    rig_write(c.rig, "src/low.h", "int low(void);\n");
    rig_write(c.rig, "src/low.c", "#include \"low.h\"\nint low(void) { return 1; }\n");
    rig_write(c.rig, "src/high.h", "int high(void);\n");
    rig_write(c.rig, "src/high.c",
              "#include \"low.h\"\n#include \"high.h\"\nint high(void) { return low(); }\n");
    upgrade(&c, V1);
    version_fn *high = (version_fn *)rig_function(c.rig, "high", "high");
    assert_int_equal(high(), 1);
    rig_write(c.rig, "src/low.h", "int low(int by);\n");
    rig_write(c.rig, "src/low.c", "#include \"low.h\"\nint low(int by) { return 2 * by; }\n");
    rig_write(c.rig, "src/high.c",
              "#include \"low.h\"\n#include \"high.h\"\nint high(void) { return low(21); }\n");
    upgrade(&c, V1);
    assert_int_equal(rig_result(c.rig)->n_changes, 2);
    assert_int_equal(high(), 42);
    close_change(&c);
}

/* Neither process has a supervisor. */
static void beam_62_every_process_is_found_and_none_is_skipped(void **state)
{
    (void)state;
    struct change c;
    open_change(&c);
    spawn_two();
    push(&c, "two", 4, 4);
    assert_int_equal(c.stall("one"), 0);
    cell_await(&entered, 1);
    upgrade(&c, V2);
    push(&c, "two", 2, MILLION + 42);
    atomic_store(&go.value, 1); /* the other one changes over when its callback ends */
    push(&c, "one", 3, MILLION + 93);
    close_change(&c);
}

static void beam_63_process_that_starts_meanwhile_is_in_the_new_code_after(void **state)
{
    (void)state;
    struct change c;
    struct apply apply;
    open_change(&c);
    begin_slow(&c, &apply, V2_SLOW);
    assert_int_equal(molt_spawn("st", "three", NULL, NULL), 0);
    end_slow(&c, &apply);
    assert_true(fixture_lives("three"));
    push(&c, "three", 6, MILLION + 6);
    close_change(&c);
}

/* No timer and no decision of an operator is needed, and nobody dies of it. */
static void beam_64_old_versions_go_when_the_last_straggler_has_left(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_work(&f, "one", 1);
    for (int n = 2; n <= 4; n++)
        fixture_upgrade(&f, n);
    molt_safepoint(f.thread);
    rig_reclaim(f.rig);
    assert_int_equal(rig_old(f.rig, "m"), 1);
    assert_true(fixture_lives("one"));
    atomic_store(&f.go.value, 1);
    cell_await(&f.after, 1);
    rig_await_unloaded(f.rig, "m", 5000);
    assert_true(fixture_lives("one"));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beam_47_mail_of_a_held_process_waits_in_order),
        cmocka_unit_test(beam_50_change_replaces_the_state_and_the_process_goes_on),
        cmocka_unit_test(beam_51_failed_change_keeps_state_and_process),
        cmocka_unit_test(beam_53_callback_that_waits_does_not_hold_the_upgrade_up),
        cmocka_unit_test(beam_54_callers_of_a_held_server_are_answered),
        cmocka_unit_test(beam_55_child_of_a_parent_that_ends_meanwhile_ends_in_order),
        cmocka_unit_test(beam_57_going_back_hands_over_the_newer_layout),
        cmocka_unit_test(beam_58_tree_follows_its_new_description),
        cmocka_unit_test(beam_59_only_its_processes_change_and_its_table_is_read_anew),
        cmocka_unit_test(beam_60_error_before_the_switch_leaves_all_as_it_was),
        cmocka_unit_test(beam_61_modules_of_a_set_are_never_loaded_one_at_a_time),
        cmocka_unit_test(beam_62_every_process_is_found_and_none_is_skipped),
        cmocka_unit_test(beam_63_process_that_starts_meanwhile_is_in_the_new_code_after),
        cmocka_unit_test(beam_64_old_versions_go_when_the_last_straggler_has_left),
    };
    return cmocka_run_group_tests_name("code_change", tests, NULL, NULL);
}
