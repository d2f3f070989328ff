/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Tables of n rows, used by one process or by two on two workers; keys are taken at
 * random. */
#include "measure.h"

#include <molt/table.h>

struct row {
    int64_t value;
};

enum operation { GET, PUT, ADD };

struct task {
    molt_table table;
    molt_pid referee;
    uint64_t n, each;
    int64_t seed;
    enum operation operation;
};

struct table_user {
    int64_t sum;
};

static int use_row(struct table_user *s, molt_table table, enum operation operation, int64_t key)
{
    struct row row = {key};
    int rc;
    if (operation == PUT)
        return molt_table_put(table, &key, &row);
    if (operation == ADD)
        return molt_table_add(table, &key, struct row, value, 1, NULL);
    rc = molt_table_get(table, &key, &row);
    s->sum += row.value;
    return rc;
}

static int on_task(struct table_user *s, struct task *t)
{
    int64_t key = t->seed, n = (int64_t)t->n;
    for (uint64_t i = 0; i < t->each; i++) {
        key = (key * 1103515245 + 12345) % n;
        int rc = use_row(s, t->table, t->operation, key);
        if (rc < 0)
            return rc;
    }
    struct finished *finished = molt_new(struct finished);
    return finished ? molt_send_pid(t->referee, finished) : MOLT_ENOMEM;
}

static int table_user_where(struct table_user *s, struct where *where, struct molt_from *from)
{
    (void)s;
    (void)where;
    return measure_tell(from);
}

MOLT_SERVER(table_user, struct table_user,
            .on = {MOLT_CAST(struct task, on_task), MOLT_CALL(struct where, table_user_where)});

/* ---- the referee: has the users work, knows when all of them are done ------------ */

struct job {
    molt_table table;
    molt_pid users[2];
    uint64_t n_users, n, each;
    enum operation operation;
};

struct table_referee {
    struct molt_from waiter;
    uint64_t left, began_ns, began_cpu;
};

static int on_job(struct table_referee *s, struct job *job, struct molt_from *from)
{
    s->waiter = *from;
    s->left = job->n_users;
    s->began_cpu = measure_cpu();
    s->began_ns = measure_now();
    for (uint64_t i = 0; i < job->n_users; i++) {
        struct task *task = molt_new(struct task);
        if (!task)
            return MOLT_ENOMEM;
        *task = (struct task){job->table, molt_self(),      job->n,
                              job->each,  (int64_t)(i + 1), job->operation};
        molt_send_pid(job->users[i], task);
    }
    return 0;
}

static int on_finished(struct table_referee *s, struct finished *finished)
{
    (void)finished;
    if (--s->left > 0)
        return 0;
    struct outcome *outcome = molt_new(struct outcome);
    if (!outcome)
        return MOLT_ENOMEM;
    *outcome = (struct outcome){measure_now() - s->began_ns, measure_cpu() - s->began_cpu};
    return molt_reply(&s->waiter, outcome);
}

MOLT_SERVER(table_referee, struct table_referee,
            .on = {MOLT_CALL(struct job, on_job), MOLT_CAST(struct finished, on_finished)});

static int fill(uint64_t n, uint32_t kind, molt_table *ret)
{
    struct molt_table_options options = {.kind = kind, .access = MOLT_TABLE_PUBLIC};
    struct row row = {0};
    int rc = molt_table_new(int64_t, struct row, &options, ret, NULL);
    for (int64_t key = 0; key < (int64_t)n && rc >= 0; key++)
        rc = molt_table_put(*ret, &key, &row);
    return rc;
}

static int start_users(struct measure *m, struct job *job)
{
    job->n_users = m->is_across ? 2 : 1;
    int rc = molt_spawn("table_user", NULL, NULL, &job->users[0]);
    return rc < 0 || !m->is_across
               ? rc
               : measure_spawn_across("table_user", job->users[0], &job->users[1]);
}

static int work(struct measure *m, molt_pid referee, const struct job *pattern)
{
    struct job *job = molt_new(struct job);
    struct outcome *outcome = NULL;
    if (!job)
        return MOLT_ENOMEM;
    *job = *pattern;
    job->each = m->ops / job->n_users + 1;
    m->done_ops = job->each * job->n_users;
    int rc = molt_call_pid(referee, job, &outcome, -1);
    if (rc < 0)
        return rc;
    m->wall_ns = outcome->wall_ns;
    m->cpu_ns = outcome->cpu_ns;
    molt_free(outcome);
    return 0;
}

static int run(struct molt_http *r, enum operation operation, uint32_t kind)
{
    struct measure m = measure_begin(r);
    struct job job = {.n = m.n, .operation = operation};
    molt_pid referee;
    int rc = molt_spawn("table_referee", NULL, NULL, &referee);
    if (rc >= 0)
        rc = fill(m.n, kind, &job.table);
    if (rc >= 0)
        rc = start_users(&m, &job);
    while (rc >= 0 && measure_next(&m))
        rc = work(&m, referee, &job);
    if (rc >= 0)
        rc = measure_check(&m, job.users[0], job.users[1]);
    return rc < 0 ? measure_fail(&m, "table", rc) : measure_answer(&m);
}

static int get_set(struct molt_http *r)
{
    return run(r, GET, MOLT_TABLE_SET);
}
static int put_set(struct molt_http *r)
{
    return run(r, PUT, MOLT_TABLE_SET);
}
static int add_set(struct molt_http *r)
{
    return run(r, ADD, MOLT_TABLE_SET);
}
static int get_ordered(struct molt_http *r)
{
    return run(r, GET, MOLT_TABLE_ORDERED);
}
static int put_ordered(struct molt_http *r)
{
    return run(r, PUT, MOLT_TABLE_ORDERED);
}
static int add_ordered(struct molt_http *r)
{
    return run(r, ADD, MOLT_TABLE_ORDERED);
}

MOLT_ROUTES({"GET", "/table-get-set", get_set}, {"GET", "/table-put-set", put_set},
            {"GET", "/table-add-set", add_set}, {"GET", "/table-get-ordered", get_ordered},
            {"GET", "/table-put-ordered", put_ordered}, {"GET", "/table-add-ordered", add_ordered});
