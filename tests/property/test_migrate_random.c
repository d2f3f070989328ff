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

#define BATCH 40

/* An image on disk, read. */
struct built {
    char file[32];
    uint8_t *bytes;
    size_t len;
};

struct tally {
    unsigned n, n_converted, n_back, n_refused, n_stopped, n_back_refused, n_back_stopped;
    unsigned n_may, n_may_converted, n_hinted;
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
    void *objects[OBJECTS_MAX];
    bool is_refused, is_back_refused, is_done;
    char why[256];
};

struct batch {
    uint64_t seed;
    struct compile compile;
    struct pair pairs[BATCH];
    struct run runs[BATCH];
    struct built old, now, again;
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

void *molt_block_new_flexible(const struct molt_type *const *tag, size_t at, size_t size,
                              size_t count)
{
    (void)size;
    (void)at;
    struct molt_block *block =
        molt_block_make_flexible(batch->heap, &batch->cache, current, *tag, count);
    return block ? molt_block_payload(block) : NULL;
}

/* ---- building -------------------------------------------------------------------- */

static void write_source(struct batch *b, const char *name, bool is_now)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    emit_text(out, b->pairs, BATCH, is_now);
    assert_int_equal(fclose(out), 0);
    compile_write(&b->compile, name, text);
    free(text);
}

static void build(struct batch *b, struct built *ret, const char *name, const char *source)
{
    char object[40];
    snprintf(object, sizeof object, "%s.o", name);
    snprintf(ret->file, sizeof ret->file, "%s.so", name);
    compile_object(&b->compile, source, object);
    compile_link(&b->compile, object, ret->file);
    ret->bytes = compile_read(&b->compile, ret->file, &ret->len);
}

static void choose_compiler(struct batch *b, struct dice *dice)
{
    static const char *const flags[] = {"-w -O0", "-w -O1", "-w -O2", "-w -O1 -gdwarf-4",
                                        "-w -O1 -std=gnu11"};
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

static const struct property_entry *entries(struct batch *b)
{
    const struct molt_world *world = atomic_load(molt_code_current_cell(b->code));
    for (size_t i = 0; i < world->n_extensions; i++)
        if (strcmp(world->extensions[i].kind, "property") == 0)
            return world->extensions[i].data;
    fail_msg("the world lacks the entries");
    return NULL;
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

/* The pair that the type "struct s17_2" is of. */
static int pair_of(const char *name)
{
    int number = -1;
    return sscanf(name, "struct s%d_", &number) == 1 || sscanf(name, "enum e%d", &number) == 1
               ? number
               : -1;
}

static void match_all(struct batch *b, const struct built *from, const struct built *to,
                      bool is_backward, struct molt_match *ret)
{
    struct molt_match_side sides[2] = {{from->bytes, from->len}, {to->bytes, to->len}};
    struct molt_match_options options = {.project = b->compile.dir, .is_backward = is_backward};
    must(b, molt_match_images(&sides[0], &sides[1], &options, ret, &b->err), "match");
    for (size_t i = 0; i < ret->n_refusals; i++)
        fail_msg("seed %" PRIu64 ": the whole is refused: %s %s", b->seed, ret->refusals[i].field,
                 ret->refusals[i].why);
    for (size_t i = 0; i < ret->n_types; i++) {
        const struct molt_match_type *t = &ret->types[i];
        int pair = pair_of(t->name);
        if (pair < 0 || pair >= BATCH)
            continue;
        struct run *run = &b->runs[pair];
        tally.n_hinted += !is_backward && t->verdict == MOLT_MATCH_HINTED;
        if (t->recipe)
            continue;
        *(is_backward ? &run->is_back_refused : &run->is_refused) = true;
        if (!is_backward && t->n_refusals) {
            count_cause(t->refusals[0].rule);
            snprintf(run->why, sizeof run->why, "%.100s: %.120s", t->refusals[0].field,
                     t->refusals[0].why);
        }
        if (!is_backward && t->verdict != MOLT_MATCH_REFUSED)
            fail_msg("%s has no recipe and isn't refused", t->name);
        if (!is_backward && t->n_refusals == 0)
            fail_msg("%s is refused without a reason", t->name);
    }
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
    fail_msg("pair %d of MOLT_SEED=%" PRIu64 " (%s): %s; see old.c and now.c in %s, %s %s", i,
             b->seed, b->pairs[i].story, text, b->compile.dir, b->compile.cc, b->compile.cflags);
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
    const struct molt_world *world = atomic_load(molt_code_current_cell(b->code));
    int rc = molt_migrate(b->heap, &b->cache, &run->owner.blocks, world, call_change, NULL,
                          &migration, &fault);
    if (rc < 0)
        snprintf(run->why, sizeof run->why, "%s", fault.why);
    if (rc <= 0)
        return rc;
    for (int k = 0; k < b->pairs[i].n_objects; k++) {
        struct molt_block *block = molt_heap_find(b->heap, run->objects[k]);
        if (!block)
            wrong(b, i, "object %d is no block any more", k);
        run->objects[k] = molt_block_payload(molt_migration_of(&migration, block));
    }
    molt_migration_adopt(&migration, b->heap, &b->cache, &run->owner);
    return rc;
}

static void there(struct batch *b, int i, const struct property_entry *entry)
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
    if (rc < 0 && (pair->outcome == MUST_CONVERT))
        wrong(b, i, "stopped without need: %s", run->why);
    if (rc < 0) {
        tally.n_stopped++;
        return;
    }
    int line = entry->check(run->objects);
    if (line)
        wrong(b, i, "a wrong value, now.c:%d", line);
    tally.n_may_converted += pair->outcome == MAY_CONVERT;
    tally.n_converted++;
    run->is_done = true;
}

static void and_back(struct batch *b, int i, const struct property_entry *entry)
{
    struct run *run = &b->runs[i];
    if (!run->is_done)
        return;
    if (run->is_back_refused) {
        tally.n_back_refused++;
        return;
    }
    int rc = migrate(b, i);
    if (rc < 0) {
        tally.n_back_stopped++;
        if (b->pairs[i].outcome == MUST_CONVERT)
            wrong(b, i, "stopped on the way back: %s", run->why);
        return;
    }
    int line = entry->check(run->objects);
    if (line)
        wrong(b, i, "a wrong value after the way back, old.c:%d", line);
    tally.n_back++;
}

/* ---- a batch -------------------------------------------------------------------------- */

static void batch_init(struct batch *b, uint64_t seed)
{
    struct dice dice = {seed};
    *b = (struct batch){.seed = seed};
    batch = b;
    for (int i = 0; i < BATCH; i++) {
        pair_make(&b->pairs[i], dice_next(&dice), i);
        molt_owner_init(&b->runs[i].owner);
    }
    compile_init(&b->compile, "gcc", "-w -O0");
    b->compile.ldflags = "";
    compile_write(&b->compile, "exports.map", "{ global: molt$*; local: *; };\n");
    write_source(b, "old.c", false);
    write_source(b, "now.c", true);
    choose_compiler(b, &dice);
    build(b, &b->old, "old", "old.c");
    build(b, &b->again, "again", "old.c");
    choose_compiler(b, &dice);
    build(b, &b->now, "now", "now.c");
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
    molt_code_free(b->code);
    molt_match_fini(&b->match);
    molt_match_fini(&b->back);
    free(b->old.bytes);
    free(b->now.bytes);
    free(b->again.bytes);
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
    match_all(&b, &b.now, &b.again, true, &b.back);
    upgrade(&b, &b.old, NULL);
    for (int i = 0; i < BATCH; i++) {
        current = &b.runs[i].owner;
        assert_int_equal(entries(&b)[i].build(b.runs[i].objects), 0);
        int line = entries(&b)[i].check(b.runs[i].objects);
        if (line && b.pairs[i].now.n_types == 0)
            wrong(&b, i, "the model is wrong, old.c:%d", line);
    }
    upgrade(&b, &b.now, &b.match);
    for (int i = 0; i < BATCH; i++)
        there(&b, i, &entries(&b)[i]);
    upgrade(&b, &b.again, &b.back);
    for (int i = 0; i < BATCH; i++)
        and_back(&b, i, &entries(&b)[i]);
    tally.n += BATCH;
    batch_fini(&b);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_states_follow_random_changes_of_their_types(void **state)
{
    (void)state;
    uint64_t n = number_from("MOLT_PAIRS", 300), seed = number_from("MOLT_SEED", 1);
    for (uint64_t i = 0; i * BATCH < n; i++)
        run_batch(seed + i);
    printf("%u pairs: %u converted (%u there and back; back refused %u, stopped %u), %u refused by "
           "their types, %u stopped by a value; of %u that could go either way %u converted\n",
           tally.n, tally.n_converted, tally.n_back, tally.n_back_refused, tally.n_back_stopped,
           tally.n_refused, tally.n_stopped, tally.n_may, tally.n_may_converted);
    for (unsigned i = 0; i < causes.n; i++)
        printf("  refused by %-24s %u\n", causes.cause[i].rule, causes.cause[i].count);
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
