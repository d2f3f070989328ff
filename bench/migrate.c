/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What it costs to convert states: structs of 64 bytes that gain a field and whose others all
 * move, alone or in arrays, from one state to a million. By the runtime's own migration, on one
 * thread, allocation and adoption included; processor time, because others may use the machine.
 *
 * usage: molt-bench-migrate            all, and write bench/results/migrate.*
 *        molt-bench-migrate --once     one round of each, print only
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "code/table.h"
#include "runtime/adopt.h"
#include "tool/bench.h"
#include "tool/plot.h"
#include "tool/stats.h"

#define STRUCT 64u
#define GROWN 72u
#define ROUNDS 9
/* Small ones are converted so often in a round. */
#define ROUND_BYTES ((size_t)16 << 20)
/* With less, other things count more. */
#define MEMORY_MIN (16 << 20)

struct point {
    size_t bytes, n; /* of a state; states */
    struct molt_bench_series ns, factor;
};

static struct point points[] = {
    {.bytes = 64, .n = 1},
    {.bytes = 64, .n = 100},
    {.bytes = 64, .n = 10000},
    {.bytes = 64, .n = 100000},
    {.bytes = 64, .n = 1000000},
    {.bytes = 1024, .n = 100000},
    {.bytes = 16384, .n = 10000},
    {.bytes = (size_t)1 << 20, .n = 64},
    {.bytes = (size_t)16 << 20, .n = 4},
    {.bytes = (size_t)64 << 20, .n = 1},
};
#define N_POINTS (sizeof(points) / sizeof(points[0]))

static struct {
    struct molt_code *code;
    struct molt_heap *heap;
    struct molt_block_cache cache;
    const struct molt_type *old, *now;
    struct molt_world *old_world, *now_world;
    struct molt_edge_node edges[2];
} t;

/* ---- two worlds --------------------------------------------------------------------- */

static const struct molt_type *new_type(uint64_t hash, uint32_t size)
{
    static char key[] = "bench:struct item";
    struct molt_meta_type meta = {
        .key = key, .name = key, .hash = hash, .shape = hash, .size = size};
    const struct molt_type *type = molt_types_intern(t.code->types, &meta);
    if (!type)
        molt_bench_die("out of memory");
    return type;
}

static struct molt_world *new_world(const struct molt_type *type)
{
    struct molt_world *w = molt_world_empty(t.code);
    w->types = calloc(1, sizeof(*w->types));
    w->types[0] = type;
    w->n_types = 1;
    return w;
}

/* An int that gets longer, and seven longs in another order; or back. */
static struct molt_recipe *new_recipe(bool is_back)
{
    struct molt_recipe *r = calloc(1, sizeof(*r));
    struct molt_step *steps = calloc(8, sizeof(*steps));
    for (unsigned i = 0; i < 8; i++) {
        uint32_t old = 8 * i, now = i ? 8 * (8 - i) : 64;
        steps[i] = (struct molt_step){.kind = MOLT_STEP_COPY,
                                      .old_at = is_back ? now : old,
                                      .new_at = is_back ? old : now,
                                      .count = 8};
    }
    steps[0].kind = MOLT_STEP_INT;
    steps[0].flags = MOLT_STEP_OLD_SIGNED | MOLT_STEP_NEW_SIGNED;
    steps[0].old_bytes = is_back ? 8 : 4;
    steps[0].new_bytes = is_back ? 4 : 8;
    steps[0].count = 1;
    r->from_key = strdup("bench:struct item");
    r->to_key = strdup("bench:struct item");
    r->from_hash = is_back ? 2 : 1;
    r->to_hash = is_back ? 1 : 2;
    r->from_size = is_back ? GROWN : STRUCT;
    r->to_size = is_back ? STRUCT : GROWN;
    r->n_top = r->n_steps = 8;
    r->steps = steps;
    r->n_texts = 1;
    r->texts = calloc(1, sizeof(*r->texts));
    r->texts[0] = strdup("item.n");
    return r;
}

static void lead(struct molt_edge_node *node, const struct molt_type *from,
                 const struct molt_type *to, struct molt_recipe *recipe)
{
    struct molt_error err = {0};
    if (molt_recipe_check(recipe, &err) < 0)
        molt_bench_die("%s", err.text);
    *node = (struct molt_edge_node){.edge = {recipe, from, to, NULL}, .recipe = recipe};
    struct molt_type *mutable = (struct molt_type *)(uintptr_t)from;
    atomic_store(&mutable->edges, node);
    atomic_store(&mutable->is_many, true);
}

static void open_worlds(void)
{
    struct molt_code_config config = {.store = molt_bench_folder()};
    struct molt_error err = {0};
    if (molt_code_new(&config, &t.code, &err) < 0)
        molt_bench_die("%s", err.text);
    t.old = new_type(1, STRUCT);
    t.now = new_type(2, GROWN);
    t.old_world = new_world(t.old);
    t.now_world = new_world(t.now);
    lead(&t.edges[0], t.old, t.now, new_recipe(false));
    lead(&t.edges[1], t.now, t.old, new_recipe(true));
}

/* A heap of its own for each measurement, so that none finds what the one before left. */
static void take_heap(void)
{
    if (molt_heap_new(&t.heap) < 0)
        molt_bench_die("out of memory");
    molt_block_cache_join(t.heap, &t.cache);
}

static void give_back(void)
{
    molt_block_cache_leave(t.heap, &t.cache);
    molt_heap_free(t.heap);
    malloc_trim(0);
}

/* ---- states ----------------------------------------------------------------------------- */

struct states {
    size_t n;
    struct molt_process *processes; /* for the room that they take; each has its owner */
    struct molt_prepared **prepared;
};

static struct molt_block *block_of(const struct molt_owner *owner)
{
    return molt_container_of(owner->blocks.next, struct molt_block, link);
}

/* Each element has its number at its start, and at its end. */
static void fill(struct molt_block *block)
{
    char *at = molt_block_payload(block);
    int n = (int)molt_block_count(block);
    for (int i = 0; i < n; i++) {
        memcpy(at + (size_t)i * STRUCT, &i, sizeof(i));
        long last = i;
        memcpy(at + (size_t)i * STRUCT + 56, &last, sizeof(last));
    }
}

static void open_states(struct states *s, size_t bytes, size_t n)
{
    s->n = n;
    s->processes = calloc(n, sizeof(*s->processes));
    s->prepared = calloc(n, sizeof(struct molt_prepared *));
    if (!s->processes || !s->prepared)
        molt_bench_die("out of memory");
    for (size_t i = 0; i < n; i++) {
        molt_owner_init(&s->processes[i].owner);
        struct molt_block *block =
            molt_block_make(t.heap, &t.cache, &s->processes[i].owner, t.old, bytes / STRUCT);
        if (!block)
            molt_bench_die("out of memory");
        fill(block);
    }
}

static void close_states(struct states *s)
{
    for (size_t i = 0; i < s->n; i++)
        molt_block_drop_list(t.heap, &t.cache, &s->processes[i].owner.blocks);
    free(s->processes);
    free(s->prepared);
}

static void convert(struct molt_process *p, const struct molt_world *world,
                    struct molt_migration *ret)
{
    struct molt_migration_fault fault;
    struct molt_migrate how = {.heap = t.heap,
                               .cache = &t.cache,
                               .blocks = &p->owner.blocks,
                               .world = world};
    if (molt_migrate(&how, ret, &fault) != 1)
        molt_bench_die("a state wasn't converted: %s", fault.why);
}

static void adopt(struct molt_process *p, struct molt_migration *migration)
{
    molt_migration_adopt(migration, t.heap, &t.cache, &p->owner);
}

/* One after the other, as they change over while they run. */
static void change_over(struct states *s, const struct molt_world *world)
{
    struct molt_migration migration;
    for (size_t i = 0; i < s->n; i++) {
        convert(&s->processes[i], world, &migration);
        adopt(&s->processes[i], &migration);
    }
}

/* The numbers of its last element are where they belong. */
static void check(const struct states *s, size_t i)
{
    const struct molt_block *block = block_of(&s->processes[i].owner);
    const char *at = molt_block_payload(block);
    size_t last = molt_block_count(block) - 1;
    long n[2];
    memcpy(&n[0], at + last * GROWN + 64, sizeof(long));
    memcpy(&n[1], at + last * GROWN + 8, sizeof(long));
    if (block->type != t.now || n[0] != (long)last || n[1] != (long)last)
        molt_bench_die("state %zu is wrong after the conversion", i);
}

/* ---- measuring ----------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* There and back. */
static void measure_speed(struct point *p, struct states *s)
{
    size_t times = ROUND_BYTES / (p->bytes * p->n) + 1;
    uint64_t since = cpu_ns();
    for (size_t k = 0; k < times; k++) {
        change_over(s, t.now_world);
        change_over(s, t.old_world);
    }
    molt_bench_add(&p->ns, (double)(cpu_ns() - since) / (double)(2 * times * p->n));
    change_over(s, t.now_world);
    for (size_t i = 0; i < s->n; i++)
        check(s, i);
    change_over(s, t.old_world);
}

/* All ahead of a switch, as staging does: the old and the new ones at once. */
static void measure_memory(struct point *p, struct states *s, double base)
{
    double before = molt_bench_memory(getpid()).rss - base;
    for (size_t i = 0; i < s->n; i++) {
        s->prepared[i] = malloc(sizeof(struct molt_prepared));
        if (!s->prepared[i])
            molt_bench_die("out of memory");
        convert(&s->processes[i], t.now_world, &s->prepared[i]->migration);
    }
    double peak = molt_bench_memory(getpid()).rss - base;
    for (size_t i = 0; i < s->n; i++) {
        adopt(&s->processes[i], &s->prepared[i]->migration);
        free(s->prepared[i]);
    }
    if (before > MEMORY_MIN)
        molt_bench_add(&p->factor, peak / before);
}

static void measure(struct point *p, int rounds)
{
    struct states s;
    molt_bench_say("states of %zu bytes, %zu of them", p->bytes, p->n);
    double base = molt_bench_memory(getpid()).rss;
    take_heap();
    open_states(&s, p->bytes, p->n);
    measure_memory(p, &s, base);
    change_over(&s, t.old_world);
    for (int r = 0; r < rounds; r++)
        measure_speed(p, &s);
    close_states(&s);
    give_back();
}

/* ---- reporting ------------------------------------------------------------------------------- */

static double gb_per_s(const struct point *p, double ns)
{
    return (double)p->bytes / ns;
}

static void report(FILE *out)
{
    fputs("# Migration\n\nStructs of 64 bytes that become 72: a field is new, an int grows, seven "
          "longs change their order; there and back. Larger states are arrays of them. One thread, "
          "processor time; allocating the new state, converting, adopting and freeing the old one "
          "included. `./dev bench migrate`\n\n",
          out);
    molt_bench_print_machine(out);
    fputs("\n| bytes of a state | states | ns each | interval | states/s | GB/s of old bytes | "
          "memory, all prepared |\n|---|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < N_POINTS; i++) {
        struct point *p = &points[i];
        struct molt_bench_cell c = molt_bench_cell(&p->ns);
        char factor[32] = "too little to tell";
        if (p->factor.n)
            snprintf(factor, sizeof(factor), "x %.2f", molt_bench_median(&p->factor));
        fprintf(out, "| %zu | %zu | %.0f | %.0f-%.0f | %.0f | %.2f | %s |\n", p->bytes, p->n,
                c.median, c.low, c.high, 1e9 / c.median, gb_per_s(p, c.median), factor);
    }
    fputs("\nIntervals: at least 95 % for the median of rounds like these. Memory: resident; "
          "processes, old and new states and what staging notes of each, against processes and "
          "old states alone.\n",
          out);
}

static FILE *open_result(const char *name)
{
    char *path = molt_bench_text("%s/results/%s", MOLT_BENCH_SOURCE, name);
    FILE *file = fopen(path, "we");
    if (!file)
        molt_bench_die("can't write %s", path);
    free(path);
    return file;
}

static void save_data(void)
{
    FILE *file = open_result("migrate.json");
    fputs("[\n", file);
    for (size_t i = 0; i < N_POINTS; i++) {
        struct point *p = &points[i];
        fprintf(file, "  {\"bytes\": %zu, \"states\": %zu, \"factor\": %.3f, \"ns\": [", p->bytes,
                p->n, molt_bench_median(&p->factor));
        for (size_t k = 0; k < p->ns.n; k++)
            fprintf(file, "%s%.2f", k ? ", " : "", p->ns.v[k]);
        fprintf(file, "]}%s\n", i + 1 < N_POINTS ? "," : "");
    }
    fputs("]\n", file);
    fclose(file);
}

static void add_to_line(struct molt_bench_line *line, double x, struct molt_bench_cell c,
                        double scale)
{
    line->x[line->n] = x;
    line->y[line->n] = scale / c.median;
    line->low[line->n] = scale / c.high;
    line->high[line->n++] = scale / c.low;
}

static void save_pictures(void)
{
    struct molt_bench_plot many = {.title = "Converting states of 64 bytes",
                                   .x_label = "states",
                                   .y_label = "states/s (higher is better)",
                                   .goal = 5e6,
                                   .n_lines = 1,
                                   .lines = {{.name = "molt"}}};
    struct molt_bench_plot large = {.title = "Converting states of many structs",
                                    .x_label = "bytes of a state",
                                    .y_label = "GB/s of old bytes (higher is better)",
                                    .goal = 1,
                                    .n_lines = 1,
                                    .lines = {{.name = "molt"}}};
    for (size_t i = 0; i < N_POINTS; i++) {
        struct point *p = &points[i];
        struct molt_bench_cell c = molt_bench_cell(&p->ns);
        if (p->bytes == STRUCT)
            add_to_line(&many.lines[0], (double)p->n, c, 1e9);
        if (p->bytes > STRUCT || p->n == 1000000)
            add_to_line(&large.lines[0], (double)p->bytes, c, (double)p->bytes);
    }
    FILE *file = open_result("migrate-states.svg");
    molt_bench_plot_write(&many, file);
    fclose(file);
    file = open_result("migrate-bytes.svg");
    molt_bench_plot_write(&large, file);
    fclose(file);
}

int main(int argc, char **argv)
{
    bool is_once = argc == 2 && strcmp(argv[1], "--once") == 0;
    if (argc > 1 && !is_once) {
        fputs("usage: molt-bench-migrate [--once]\n", stderr);
        return 2;
    }
    molt_bench_init("migrate");
    open_worlds();
    for (size_t i = 0; i < N_POINTS; i++)
        measure(&points[i], is_once ? 1 : ROUNDS);
    report(stdout);
    if (is_once)
        return 0;
    FILE *file = open_result("migrate.md");
    report(file);
    fclose(file);
    save_data();
    save_pictures();
    return 0;
}
