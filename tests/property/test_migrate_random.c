/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random pairs of types, compiled, loaded, migrated there and back, and compared with what
 * the model says (model.h). MOLT_PAIRS says how many (default 300), MOLT_SEED which.
 *
 * A failure leaves its two C files behind and says where.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <molt/molt.h>

#include "base/sha256.h"
#include "code/code.h"
#include "code/layout.h"
#include "code/table.h"
#include "emit.h"
#include "model.h"
#include "runtime/block.h"
#include "runtime/migrate.h"
#include "support/compile.h"
#include "types/match.h"

#define FILES 2
#define PER_FILE 50 /* pairs; those of other files have the same names */
#define BATCH (FILES * PER_FILE)

/* An image on disk, read. */
struct built {
    char file[32];
    uint8_t *bytes;
    size_t len;
};

struct tally {
    unsigned n, n_converted, n_back, n_refused, n_stopped, n_back_refused, n_back_stopped;
    unsigned n_may, n_may_converted;
};

/* Refusals by rule. */
#define CAUSES_MAX 64
struct causes {
    unsigned n;
    struct {
        char rule[48];
        unsigned count;
    } cause[CAUSES_MAX];
};

/* One pair under way. */
struct run {
    struct molt_owner owner;
    void *first[OBJECTS_MAX]; /* where the objects were at first */
    void *objects[OBJECTS_MAX];
    bool has_moved[OBJECTS_MAX]; /* with the last migration */
    bool is_refused, is_back_refused, is_done;
    char why[256];
};

struct batch {
    uint64_t seed;
    struct compile compile;
    struct pair pairs[BATCH];
    struct run runs[BATCH];
    struct built old, now;
    struct molt_world *held[2];
    const void *const *marks[2][BATCH]; /* of the first and the second world */
    struct molt_code *code;
    char store[64];
    struct molt_heap *heap;
    struct molt_block_cache cache;
    struct molt_match match, back;
    struct molt_error err;
};

static struct batch *batch;        /* for molt_block_new() below */
static struct molt_owner *current; /* whose blocks are being made */
static struct tally tally;
static struct causes causes;

/* ---- what modules call --------------------------------------------------------- */

/* The modules' own; in place of the runtime's, which wants a process. */
void *molt_block_new(const struct molt_type *const *tag, size_t size, size_t count)
{
    (void)size;
    struct molt_block *block = molt_block_make(batch->heap, &batch->cache, current, *tag, count);
    return block ? molt_block_payload(block) : NULL;
}

void *molt_block_new_flexible(const struct molt_type *const *tag, size_t size, size_t at,
                              size_t element, size_t n)
{
    size_t bytes = at + element * n;
    if ((*tag)->flex_at != at || (*tag)->flex_size != element)
        return NULL;
    struct molt_block *block = molt_block_make_bytes(batch->heap, &batch->cache, current, *tag,
                                                     bytes < size ? size : bytes);
    return block ? molt_block_payload(block) : NULL;
}

/* ---- building -------------------------------------------------------------------- */

static const char *const files[FILES] = {"a.c", "b.c"}, *const names[FILES] = {"one", "two"};

/* @prefix: of the copy that stays for people. */
static void write_source(struct batch *b, int file, const char *prefix, bool is_now)
{
    char *text = NULL, name[32];
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    emit_text(out, b->pairs + file * PER_FILE, PER_FILE, is_now, names[file]);
    if (file == 0)
        fprintf(out, "MOLT_MODULE_DESCRIPTOR(\"property\");\n");
    assert_int_equal(fclose(out), 0);
    compile_write(&b->compile, files[file], text);
    snprintf(name, sizeof name, "%s-%s", prefix, files[file]);
    compile_write(&b->compile, name, text);
    free(text);
}

/* Files keep their names, which are part of what types are known by. */
static void build(struct batch *b, struct built *ret, const char *name, bool is_now)
{
    char objects[FILES][40], both[80];
    snprintf(ret->file, sizeof ret->file, "%s.so", name);
    for (int i = 0; i < FILES; i++) {
        write_source(b, i, name, is_now);
        snprintf(objects[i], sizeof objects[i], "%s-%s.o", name, names[i]);
        compile_object(&b->compile, files[i], objects[i]);
    }
    snprintf(both, sizeof both, "%s %s", objects[0], objects[1]);
    compile_link(&b->compile, both, ret->file);
    ret->bytes = compile_read(&b->compile, ret->file, &ret->len);
}

static void choose_compiler(struct batch *b, struct dice *dice)
{
    static const char *const flags[] = {"-w -O0", "-w -O0 -gdwarf-4", "-w -O0 -std=gnu11",
                                        "-w -O0", "-w -O1",           "-w -O2"};
    b->compile.cc = dice_below(dice, 2) ? "gcc" : "clang";
    b->compile.cflags = flags[dice_below(dice, sizeof flags / sizeof *flags)];
}

/* ---- staging --------------------------------------------------------------------- */

static void must(struct batch *b, int rc, const char *what)
{
    if (rc < 0)
        fail_msg("%s: %d %s (seed %" PRIu64 ", see %s)", what, rc, b->err.text, b->seed,
                 b->compile.dir);
}

static void stage_image(struct batch *b, uint64_t stage, const struct built *built)
{
    struct molt_meta *meta = NULL;
    struct molt_image_options options = {.module = "property", .project = b->compile.dir};
    must(b, molt_image_read(built->bytes, built->len, &options, &meta, &b->err), "read");
    char *path = compile_path(&b->compile, built->file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    must(b, molt_stage_put(b->code, stage, meta, fd, &b->err), "put");
    close(fd);
    free(path);
}

static void stage_recipes(struct batch *b, uint64_t stage, struct molt_match *match)
{
    for (size_t i = 0; i < match->n_types; i++) {
        struct molt_recipe *recipe = match->types[i].recipe;
        match->types[i].recipe = NULL;
        if (recipe)
            must(b, molt_stage_recipe(b->code, stage, recipe, &b->err), match->types[i].name);
    }
    for (size_t i = 0; i < match->n_same; i++) {
        must(b, molt_stage_recipe(b->code, stage, match->same[i], &b->err), "same");
        match->same[i] = NULL;
    }
    must(b, molt_stage_moves(b->code, stage, match->moves, &b->err), "moves");
    match->moves = NULL;
}

static void upgrade(struct batch *b, const struct built *built, struct molt_match *match)
{
    uint64_t stage, world;
    must(b, molt_stage_begin(b->code, &stage, &b->err), "begin");
    stage_image(b, stage, built);
    if (match)
        stage_recipes(b, stage, match);
    must(b, molt_stage_seal(b->code, stage, &b->err), "seal");
    must(b, molt_stage_commit(b->code, stage, &world, &b->err), "commit");
}

static struct molt_world *current_world(struct batch *b)
{
    return atomic_load(molt_code_current_cell(b->code));
}

static const struct property_entry *entry(struct batch *b, int i)
{
    const struct molt_world *world = current_world(b);
    for (size_t k = 0; k < world->n_extensions; k++)
        if (strcmp(world->extensions[k].kind, names[i / PER_FILE]) == 0)
            return (const struct property_entry *)world->extensions[k].data + i % PER_FILE;
    fail_msg("the world lacks the entries");
    return NULL;
}

/* Old worlds stay, as long as states may lead into them. */
static void keep_world(struct batch *b, int n)
{
    b->held[n] = current_world(b);
    molt_world_hold(b->held[n]);
    for (int i = 0; i < BATCH; i++)
        b->marks[n][i] = entry(b, i)->marks;
}

/* ---- verdicts --------------------------------------------------------------------- */

static void count_cause(const char *rule)
{
    unsigned i = 0;
    while (i < causes.n && strcmp(causes.cause[i].rule, rule) != 0)
        i++;
    if (i == CAUSES_MAX)
        return;
    if (i == causes.n)
        snprintf(causes.cause[causes.n++].rule, sizeof causes.cause[0].rule, "%s", rule);
    causes.cause[i].count++;
}

/* The pair that the type "property/a.c:struct s17_2" is of. */
static int pair_of(const char *key)
{
    int number = -1;
    for (int i = 0; i < FILES; i++) {
        const char *struct_name = strstr(key, files[i]);
        if (struct_name && sscanf(struct_name, "%*[^:]:struct s%d_", &number) == 1 && number >= 0 &&
            number < PER_FILE)
            return i * PER_FILE + number;
    }
    fail_msg("a type that isn't ours: %s", key);
    return -1;
}

static void take_verdict(struct batch *b, const struct molt_match_type *t, bool is_backward)
{
    struct run *run = &b->runs[pair_of(t->from_key)];
    if (t->recipe)
        return;
    bool *is_refused = is_backward ? &run->is_back_refused : &run->is_refused;
    bool is_first = !*is_refused;
    *is_refused = true;
    if (t->verdict != MOLT_MATCH_REFUSED)
        fail_msg("%s has no recipe and isn't refused", t->name);
    if (t->n_refusals == 0)
        fail_msg("%s is refused without a reason", t->name);
    if (!is_backward && is_first)
        count_cause(t->refusals[0].rule);
    snprintf(run->why, sizeof run->why, "%.100s: %.120s", t->refusals[0].field, t->refusals[0].why);
}

static void match_all(struct batch *b, const struct built *from, const struct built *to,
                      bool is_backward, struct molt_match *ret)
{
    struct molt_match_side sides[2] = {{from->bytes, from->len}, {to->bytes, to->len}};
    struct molt_match_options options = {.project = b->compile.dir,
                                         .is_backward = is_backward,
                                         .wants_moves = true};
    must(b, molt_match_images(&sides[0], &sides[1], &options, ret, &b->err), "match");
    for (size_t i = 0; i < ret->n_refusals; i++)
        fail_msg("seed %" PRIu64 ": the whole is refused: %s %s, see %s", b->seed,
                 ret->refusals[i].field, ret->refusals[i].why, b->compile.dir);
    for (size_t i = 0; i < ret->n_types; i++)
        take_verdict(b, &ret->types[i], is_backward);
}

/* ---- one pair ----------------------------------------------------------------------- */

static void wrong(struct batch *b, int i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
static void wrong(struct batch *b, int i, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail_msg("pair %d of %s and MOLT_SEED=%" PRIu64 " (%s): %s; see %s", i % PER_FILE,
             files[i / PER_FILE], b->seed, b->pairs[i].story, text, b->compile.dir);
    abort();
}

static int call_change(void *user, molt_any_fn change, const void *old, void *now)
{
    (void)user;
    return ((int (*)(const void *, void *))change)(old, now);
}

/* Into the current world. Returns 1 or 0, or a negative code with @run->why. */
static int migrate(struct batch *b, int i)
{
    struct run *run = &b->runs[i];
    struct molt_migration migration;
    struct molt_migration_fault fault = {0};
    struct molt_migrate how = {.heap = b->heap,
                               .cache = &b->cache,
                               .blocks = &run->owner.blocks,
                               .world = current_world(b),
                               .call = call_change};
    memset(run->has_moved, 0, sizeof run->has_moved);
    int rc = molt_migrate(&how, &migration, &fault);
    if (rc < 0)
        snprintf(run->why, sizeof run->why, "%s", fault.why);
    if (rc <= 0)
        return rc;
    for (int k = 0; k < b->pairs[i].n_objects; k++) {
        struct molt_block *block = molt_heap_find(b->heap, run->objects[k]);
        if (!block)
            wrong(b, i, "object %d is no block any more", k);
        void *before = run->objects[k];
        run->objects[k] = molt_block_payload(molt_migration_of(&migration, block));
        run->has_moved[k] = run->objects[k] != before;
    }
    molt_migration_adopt(&migration, b->heap, &b->cache, &run->owner);
    return rc;
}

/* ---- values ------------------------------------------------------------------------- */

static bool is_float_right(const struct property_cell *cell, const void *at)
{
    float f;
    double d;
    long double l;
    double expected = (double)cell->value / 8;
    memcpy(&f, at, sizeof f);
    if (cell->bytes == sizeof f)
        return (double)f == expected;
    memcpy(&d, at, sizeof d);
    if (cell->bytes == sizeof d)
        return d == expected;
    memcpy(&l, at, sizeof l);
    return l == (long double)expected;
}

static bool is_zero(const uint8_t *at, size_t n)
{
    while (n && !*at)
        at++, n--;
    return n == 0;
}

/* What stays where it is may lead into older images. */
static bool is_mark_right(struct batch *b, int i, const struct property_cell *cell,
                          const void *value)
{
    const void *now = entry(b, i)->marks[cell->value];
    if (cell->value >= MARK_TEXT && now && strcmp(value, now) == 0) {
        uintptr_t offset;
        bool is_unloaded;
        const struct molt_version *v = molt_code_find_pc(b->code, value, &offset, &is_unloaded);
        bool is_here = v && !is_unloaded && molt_world_find(current_world(b), "property") == v;
        return is_here || !b->runs[i].has_moved[cell->object];
    }
    if (value == now)
        return true;
    for (int k = 0; k < 2 && !b->runs[i].has_moved[cell->object]; k++)
        if (b->marks[k][i] && value == b->marks[k][i][cell->value])
            return true;
    return false;
}

static bool is_pointer_right(struct batch *b, int i, const struct property_cell *cell,
                             const void *at)
{
    const struct run *run = &b->runs[i];
    const char *value;
    memcpy(&value, at, sizeof value);
    switch (cell->kind) {
    case CELL_BLOCK:
        return value == (const char *)run->objects[cell->value] + cell->to;
    case CELL_OPAQUE:
        return value == run->first[cell->value];
    case CELL_WORD:
        return value == run->first[cell->value] && value == run->objects[cell->value];
    default:
        return is_mark_right(b, i, cell, value);
    }
}

static bool is_right(struct batch *b, int i, const struct property_cell *cell)
{
    const uint8_t *at = (const uint8_t *)b->runs[i].objects[cell->object] + cell->at;
    uint64_t word = 0;
    unsigned shift = cell->bytes < 8 ? 64 - 8 * cell->bytes : 0;
    switch (cell->kind) {
    case CELL_SIGNED:
        memcpy(&word, at, cell->bytes);
        return (int64_t)(word << shift) >> shift == cell->value;
    case CELL_UNSIGNED:
        memcpy(&word, at, cell->bytes);
        return word == (uint64_t)cell->value;
    case CELL_FLOAT:
        return is_float_right(cell, at);
    case CELL_TEXT:
        return strncmp((const char *)at, (const char *)cell->value, cell->bytes) == 0;
    case CELL_ZERO:
        return is_zero(at, cell->bytes);
    case CELL_NEVER:
        return false;
    default:
        return is_pointer_right(b, i, cell, at);
    }
}

/* Returns 0, or the line of the first value that is wrong. */
static int check(struct batch *b, int i)
{
    const struct property_entry *e = entry(b, i);
    for (unsigned k = 0; k < e->n_expected; k++)
        if (!is_right(b, i, &e->expected[k]))
            return (int)e->expected[k].line;
    return e->check(b->runs[i].objects);
}

static void put_float(const struct property_cell *cell, void *at)
{
    double d = (double)cell->value / 8;
    float f = (float)d;
    long double l = d;
    memcpy(at,
           cell->bytes == 4   ? (void *)&f
           : cell->bytes == 8 ? (void *)&d
                              : (void *)&l,
           cell->bytes);
}

static void put(struct run *run, const struct property_entry *e, const struct property_cell *cell)
{
    char *at = (char *)run->objects[cell->object] + cell->at;
    const void *pointer = NULL;
    switch (cell->kind) {
    case CELL_FLOAT:
        put_float(cell, at);
        return;
    case CELL_TEXT:
        strcpy(at, (const char *)cell->value);
        return;
    case CELL_BLOCK:
        pointer = (const char *)run->objects[cell->value] + cell->to;
        break;
    case CELL_MARK:
        pointer = e->marks[cell->value];
        break;
    case CELL_OPAQUE:
    case CELL_WORD:
        pointer = run->objects[cell->value];
        break;
    default:
        memcpy(at, &cell->value, cell->bytes);
        return;
    }
    memcpy(at, &pointer, sizeof pointer);
}

static void make_objects(struct batch *b, int i)
{
    struct run *run = &b->runs[i];
    const struct property_entry *e = entry(b, i);
    current = &run->owner;
    assert_int_equal(e->build(run->objects), 0);
    memcpy(run->first, run->objects, sizeof run->first);
    for (unsigned k = 0; k < e->n_values; k++)
        put(run, e, &e->values[k]);
}

/* ---- there and back ------------------------------------------------------------------- */

static void there(struct batch *b, int i)
{
    const struct pair *pair = &b->pairs[i];
    struct run *run = &b->runs[i];
    tally.n_may += pair->outcome == MAY_CONVERT;
    if (pair->outcome == MUST_CONVERT && run->is_refused)
        wrong(b, i, "refused without need: %s", run->why);
    if (pair->outcome == MUST_REFUSE && !run->is_refused)
        wrong(b, i, "converted what can't be proven");
    if (run->is_refused) {
        tally.n_refused++;
        return;
    }
    int rc = migrate(b, i);
    if (rc < 0 && pair->outcome == MUST_CONVERT)
        wrong(b, i, "stopped without need: %s", run->why);
    if (rc < 0) {
        tally.n_stopped++;
        return;
    }
    int line = check(b, i);
    if (line)
        wrong(b, i, "a wrong value, now-%s:%d", files[i / PER_FILE], line);
    tally.n_may_converted += pair->outcome == MAY_CONVERT;
    tally.n_converted++;
    run->is_done = true;
}

static void and_back(struct batch *b, int i)
{
    struct run *run = &b->runs[i];
    bool must = b->pairs[i].outcome == MUST_CONVERT;
    if (!run->is_done)
        return;
    if (run->is_back_refused) {
        tally.n_back_refused++;
        if (must)
            wrong(b, i, "refused on the way back: %s", run->why);
        return;
    }
    int rc = migrate(b, i);
    if (rc < 0) {
        tally.n_back_stopped++;
        if (must)
            wrong(b, i, "stopped on the way back: %s", run->why);
        return;
    }
    int line = check(b, i);
    if (line)
        wrong(b, i, "a wrong value after the way back, old-%s:%d", files[i / PER_FILE], line);
    tally.n_back++;
}

/* ---- a batch -------------------------------------------------------------------------- */

static void batch_init(struct batch *b, uint64_t seed)
{
    struct dice dice = {seed};
    *b = (struct batch){.seed = seed};
    batch = b;
    for (int i = 0; i < BATCH; i++) {
        pair_make(&b->pairs[i], dice_next(&dice), i % PER_FILE);
        molt_owner_init(&b->runs[i].owner);
    }
    compile_init(&b->compile, "gcc", "-w -O0");
    b->compile.ldflags = "";
    compile_write(&b->compile, "exports.map", "{ global: molt$*; local: *; };\n");
    choose_compiler(b, &dice);
    build(b, &b->old, "old", false);
    choose_compiler(b, &dice);
    build(b, &b->now, "now", true);
    strcpy(b->store, "/tmp/molt-store-XXXXXX");
    assert_non_null(mkdtemp(b->store));
    struct molt_code_config config = {.store = b->store};
    must(b, molt_code_new(&config, &b->code, &b->err), "code table");
    assert_int_equal(molt_heap_new(&b->heap), 0);
    molt_block_cache_join(b->heap, &b->cache);
}

static void batch_fini(struct batch *b)
{
    for (int i = 0; i < BATCH; i++)
        molt_block_drop_list(b->heap, &b->cache, &b->runs[i].owner.blocks);
    molt_block_cache_leave(b->heap, &b->cache);
    molt_heap_free(b->heap);
    for (int i = 0; i < 2; i++)
        molt_world_release(b->held[i]);
    molt_code_free(b->code);
    molt_match_fini(&b->match);
    molt_match_fini(&b->back);
    free(b->old.bytes);
    free(b->now.bytes);
    compile_fini(&b->compile);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", b->store);
    assert_int_equal(system(command), 0);
    batch = NULL;
}

static void run_batch(uint64_t seed)
{
    static struct batch b;
    batch_init(&b, seed);
    match_all(&b, &b.old, &b.now, false, &b.match);
    match_all(&b, &b.now, &b.old, true, &b.back);
    upgrade(&b, &b.old, NULL);
    keep_world(&b, 0);
    for (int i = 0; i < BATCH; i++)
        make_objects(&b, i);
    upgrade(&b, &b.now, &b.match);
    keep_world(&b, 1);
    for (int i = 0; i < BATCH; i++)
        there(&b, i);
    upgrade(&b, &b.old, &b.back);
    for (int i = 0; i < BATCH; i++)
        and_back(&b, i);
    tally.n += BATCH;
    batch_fini(&b);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* One number and what it counts per line: ./dev property adds them up. */
static void print_tally(void)
{
    const struct {
        unsigned n;
        const char *what;
    } lines[] = {{tally.n, "pairs"},
                 {tally.n_converted, "converted"},
                 {tally.n_back, "converted there and back"},
                 {tally.n_back_refused, "refused on the way back, by their types"},
                 {tally.n_back_stopped, "stopped on the way back, by a value"},
                 {tally.n_stopped, "stopped by a value"},
                 {tally.n_may, "that could go either way"},
                 {tally.n_may_converted, "that could go either way, and were converted"},
                 {tally.n_refused, "refused by their types, of these first by:"}};
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        printf("%8u %s\n", lines[i].n, lines[i].what);
    for (unsigned i = 0; i < causes.n; i++)
        printf("%8u - %s\n", causes.cause[i].count, causes.cause[i].rule);
}

static void random_states_follow_random_changes_of_their_types(void **state)
{
    (void)state;
    uint64_t n = number_from("MOLT_PAIRS", 300), seed = number_from("MOLT_SEED", 1);
    for (uint64_t i = 0; i * BATCH < n; i++)
        run_batch(seed + i);
    print_tally();
    assert_true(tally.n_converted > 0);
    assert_true(tally.n_refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_states_follow_random_changes_of_their_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
