/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The same as data and pictures. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/runtime.h"
#include "tool/bench.h"
#include "tool/plot.h"

/* ---- JSON: every run, so that any other statistic can be had of it ------------------ */

static json_t *result_json(const struct molt_bench_result *r)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < r->n; i++)
        json_object_set_new(object, r->v[i].key, json_real(r->v[i].value));
    return object;
}

static json_t *point_json(const struct rt_results *r, unsigned id, size_t point)
{
    json_t *object = json_object();
    json_object_set_new(object, "n",
                        json_integer((json_int_t)molt_rt_experiments[id].points[point]));
    for (unsigned who = 0; who < RT_WHO; who++) {
        const struct rt_runs *runs = &r->of[id][point][who];
        if (!runs->n)
            continue;
        json_t *list = json_array();
        for (unsigned i = 0; i < runs->n; i++)
            json_array_append_new(list, result_json(&runs->runs[i]));
        json_object_set_new(object, molt_rt_subjects[who].name, list);
    }
    return object;
}

static json_t *experiment_json(const struct rt_results *r, unsigned id)
{
    const struct rt_experiment *e = &molt_rt_experiments[id];
    json_t *object = json_object(), *points = json_array();
    json_object_set_new(object, "n_is", json_string(e->x_label));
    json_object_set_new(object, "workers", json_integer(e->workers));
    for (size_t i = 0; i < RT_POINTS_MAX && e->points[i]; i++)
        if (r->of[id][i][RT_MOLT].n)
            json_array_append_new(points, point_json(r, id, i));
    json_object_set_new(object, "points", points);
    return object;
}

static void save_json(const char *dir, const struct rt_results *r)
{
    json_t *root = json_object(), *experiments = json_object();
    char *path = molt_bench_text("%s/runtime.json", dir), *machine = molt_bench_machine();
    json_object_set_new(root, "machine", json_string(machine));
    json_object_set_new(root, "erlang", json_string(molt_rt_version(RT_ERLANG)));
    json_object_set_new(root, "go", json_string(molt_rt_version(RT_GO)));
    json_object_set_new(root, "rounds", json_integer(r->rounds));
    json_object_set_new(root, "run_ms", json_integer(r->ms));
    json_object_set_new(root, "futex_same_ns", json_real(r->limits.futex_same_ns));
    json_object_set_new(root, "futex_across_ns", json_real(r->limits.futex_across_ns));
    json_object_set_new(root, "spin_across_ns", json_real(r->limits.spin_ns));
    for (unsigned id = 0; id < RT_EXPERIMENTS; id++)
        if (r->of[id][molt_rt_head(r, (enum rt_experiment_id)id)][RT_MOLT].n)
            json_object_set_new(experiments, molt_rt_experiments[id].name, experiment_json(r, id));
    json_object_set_new(root, "experiments", experiments);
    if (json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0)
        molt_bench_die("can't write %s", path);
    json_decref(root);
    free(machine);
    free(path);
}

/* ---- pictures --------------------------------------------------------------------------- */

/* False if @who wasn't run, or not at three points. */
static bool make_line(const struct rt_results *r, const struct rt_metric *m, enum rt_who who,
                      struct molt_bench_line *line)
{
    const struct rt_experiment *e = &molt_rt_experiments[m->experiment];
    *line = (struct molt_bench_line){.name = molt_rt_subjects[who].title};
    for (size_t i = 0; i < RT_POINTS_MAX && e->points[i]; i++) {
        struct molt_bench_cell cell = molt_rt_cell(r, m, i, who);
        if (cell.n == 0 || !isfinite(cell.median))
            continue;
        line->x[line->n] = (double)e->points[i];
        line->y[line->n] = cell.median;
        line->low[line->n] = cell.low;
        line->high[line->n++] = cell.high;
    }
    return line->n >= 3;
}

static void save_picture(const char *dir, const struct rt_results *r, const struct rt_metric *m)
{
    const struct rt_experiment *e = &molt_rt_experiments[m->experiment];
    char *label =
        molt_bench_text("%s (%s is better)", m->unit, m->is_more_better ? "higher" : "lower");
    struct molt_bench_plot plot = {.title = m->growth ? m->growth : m->title,
                                   .x_label = e->x_label,
                                   .y_label = label};
    for (unsigned who = 0; who < RT_WHO; who++)
        plot.n_lines += make_line(r, m, (enum rt_who)who, &plot.lines[plot.n_lines]);
    if (plot.n_lines > 0) {
        char *path = molt_bench_text("%s/runtime-%s.svg", dir, m->name);
        FILE *file = fopen(path, "we");
        if (!file)
            molt_bench_die("can't write %s", path);
        molt_bench_plot_write(&plot, file);
        fclose(file);
        free(path);
    }
    free(label);
}

void molt_rt_save(const char *dir, const struct rt_results *r)
{
    save_json(dir, r);
    for (size_t i = 0; i < molt_rt_n_metrics; i++)
        if (molt_rt_metrics[i].shown != RT_TABLE)
            save_picture(dir, r, &molt_rt_metrics[i]);
    for (unsigned id = 0; id < RT_EXPERIMENTS; id++) {
        struct rt_cpu_metric cpu;
        molt_rt_cpu_metric((enum rt_experiment_id)id, &cpu);
        save_picture(dir, r, &cpu.metric);
    }
}
