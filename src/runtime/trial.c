/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "code/table.h"
#include "runtime/adopt.h"
#include "runtime/fiber.h"
#include "runtime/rt.h"

/* ---- around the fork ---------------------------------------------------------- */

/* What the child takes, always in this order; the parent's other threads hold one at most,
 * or nest as their definitions say. */
void molt_trial_lock(struct molt_runtime *rt)
{
    pthread_mutex_lock(&rt->names.lock);
    pthread_mutex_lock(&rt->code->lock);
    molt_heap_lock(rt->heap);
}

void molt_trial_unlock(struct molt_runtime *rt)
{
    molt_heap_unlock(rt->heap);
    pthread_mutex_unlock(&rt->code->lock);
    pthread_mutex_unlock(&rt->names.lock);
}

/* ---- what an author's function may not do ---------------------------------------- */

/* FNV-1a, eight bytes at a time: this is about accidents, not about attacks. */
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t len)
{
    const uint64_t prime = UINT64_C(0x100000001b3);
    const char *at = bytes;
    for (; len >= sizeof(uint64_t); at += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    for (; len; at++, len--)
        hash = (hash ^ (unsigned char)*at) * prime;
    return hash;
}

/* Of all that @p has. */
static uint64_t hash_blocks(const struct molt_process *p)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    molt_list_each (node, tmp, &p->owner.blocks) {
        const struct molt_block *b = molt_container_of(node, struct molt_block, link);
        hash = hash_more(hash, molt_block_payload(b), molt_block_bytes(b));
    }
    return hash;
}

static uint64_t count_output(const struct molt_trial *trial)
{
    struct stat st;
    if (trial->output_fd < 0)
        return 0;
    fflush(stdout);
    return fstat(trial->output_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void set_place(struct molt_trial_place *place, struct molt_code *code, const void *pc)
{
    uintptr_t offset = 0;
    bool is_unloaded;
    const struct molt_version *v = molt_code_find_pc(code, pc, &offset, &is_unloaded);
    *place = (struct molt_trial_place){.offset = offset};
    if (!v)
        return;
    strncpy(place->module, molt_version_module(v), sizeof(place->module) - 1);
    place->number = molt_version_number(v);
}

static void add_failure(struct molt_trial_report *r, const char *why)
{
    r->n_failed++;
    if (r->server_id >= 0 && r->server_id < MOLT_SERVERS_MAX)
        r->servers[r->server_id].n_failed++;
    if (r->n_failures >= MOLT_TRIAL_FAILURES_MAX)
        return;
    struct molt_trial_failure *f = &r->failures[r->n_failures++];
    *f = (struct molt_trial_failure){.pid = r->pid, .place = r->place};
    snprintf(f->label, sizeof(f->label), "%.127s", r->label);
    snprintf(f->why, sizeof(f->why), "%.255s", why);
}

void molt_trial_before_call(struct molt_trial *trial, struct molt_code *code, molt_any_fn change)
{
    const void *pc;
    memcpy(&pc, &change, sizeof(pc));
    set_place(&trial->report->place, code, pc);
    trial->report->is_calling = true;
}

void molt_trial_after_call(struct molt_trial *trial)
{
    uint64_t n = count_output(trial);
    trial->report->is_calling = false;
    trial->has_output |= n != trial->n_written;
    trial->n_written = n;
}

void molt_trial_note_fault(struct molt_trial *trial, struct molt_code *code, const void *pc)
{
    struct molt_trial_place place;
    set_place(&place, code, pc);
    if (place.module[0])
        trial->report->place = place;
}

/* ---- one process ------------------------------------------------------------------ */

static const char *find_impurity(const struct molt_trial *trial, const struct molt_process *p,
                                 uint64_t hash)
{
    if (hash_blocks(p) != hash)
        return "its MOLT_CHANGE wrote to the old state, which is const: everybody else may still "
               "need it, and it may be read again";
    if (trial->has_output)
        return "its MOLT_CHANGE wrote to standard output or standard error: it may run any number "
               "of times, also for nothing; what has effects belongs into a callback";
    return NULL;
}

/* @p is claimed. */
static void try_process(struct molt_trial *trial, struct molt_process *p)
{
    struct molt_trial_report *r = trial->report;
    struct molt_trial_server *server = &r->servers[p->server_id];
    struct molt_migration_fault fault = {0};
    bool is_behind = molt_adopt_behind(p) != NULL;
    r->pid = molt_process_pid(p);
    r->server_id = p->server_id;
    r->place = (struct molt_trial_place){0};
    molt_process_label(p, r->label, sizeof(r->label));
    uint64_t hash = hash_blocks(p);
    trial->has_output = false;
    server->n_tried++;
    r->is_trying = true;
    int rc = molt_adopt_prepare(p, trial->world, &fault);
    r->is_trying = false;
    const char *impurity = find_impurity(trial, p, hash);
    /* Who can't be converted to what is current can't be in the way of what comes. */
    if (impurity)
        add_failure(r, impurity);
    else if (rc < 0 && (rc == MOLT_ENOMEM || !is_behind))
        add_failure(r, fault.why);
    const struct molt_prepared *prepared = atomic_load(&p->prepared);
    if (rc == 1 && prepared) {
        server->n_changed++;
        r->bytes += atomic_load(&prepared->migration.made.bytes) +
                    atomic_load(&prepared->migration.written.bytes);
    }
    molt_adopt_drop_prepared(p, &p->rt->executor.cache);
}

/* Who was in a callback at the fork stays in it: the thread isn't here. */
static bool can_try(struct molt_process *p)
{
    if (!molt_process_claim(p))
        return false;
    return !p->fiber && molt_process_phase(p) != MOLT_PHASE_NEW;
}

/* ---- all of them ------------------------------------------------------------------- */

static void count_servers(struct molt_runtime *rt, struct molt_trial_report *r)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        const struct molt_process *p = molt_process_at(rt, i);
        if (!molt_process_pid(p) || p->server_id < 0 || p->server_id >= MOLT_SERVERS_MAX)
            continue;
        r->servers[p->server_id].n_processes++;
        if ((uint32_t)p->server_id >= r->n_servers)
            r->n_servers = (uint32_t)p->server_id + 1;
    }
    for (uint32_t id = 0; id < r->n_servers; id++) {
        const char *name = molt_code_server_name(rt->code, (int)id);
        snprintf(r->servers[id].name, sizeof(r->servers[id].name), "%.63s", name ? name : "?");
    }
}

/* Whether the @nth process of @server is one of the sample, which is spread over all. */
static bool is_sampled(const struct molt_trial *trial, const struct molt_trial_server *server,
                       uint32_t nth)
{
    if (!trial->max_states || server->n_processes <= trial->max_states)
        return true;
    uint64_t before = (uint64_t)nth * trial->max_states / server->n_processes;
    return before != ((uint64_t)nth + 1) * trial->max_states / server->n_processes;
}

static void run_all(struct molt_runtime *rt, struct molt_trial *trial, uint32_t *nth)
{
    struct molt_trial_report *r = trial->report;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n && !r->is_cut; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (!molt_process_pid(p) || p->server_id < 0 || p->server_id >= MOLT_SERVERS_MAX)
            continue;
        struct molt_trial_server *server = &r->servers[p->server_id];
        if (!is_sampled(trial, server, nth[p->server_id]++))
            continue;
        if (molt_clock_ns() >= trial->deadline_ns)
            r->is_cut = true;
        else if (can_try(p))
            try_process(trial, p);
        else
            server->n_busy++;
    }
}

void molt_trial_run(struct molt_runtime *rt, struct molt_trial *trial)
{
    uint64_t start = molt_clock_ns();
    uint32_t *nth = calloc(MOLT_SERVERS_MAX, sizeof(*nth));
    if (!nth)
        return;
    /* Whose lock may be in another thread's hands, which isn't here. */
    rt->config.sink = (struct molt_sink){0};
    rt->executor.trial = trial;
    trial->n_written = count_output(trial);
    count_servers(rt, trial->report);
    run_all(rt, trial, nth);
    rt->executor.trial = NULL;
    free(nth);
    trial->report->run_ns = molt_clock_ns() - start;
    trial->report->is_finished = true;
}

/* ---- afterwards ------------------------------------------------------------------------ */

static void end_texts(struct molt_trial_report *r)
{
    for (uint32_t i = 0; i < r->n_servers; i++)
        r->servers[i].name[sizeof(r->servers[i].name) - 1] = '\0';
    for (uint32_t i = 0; i < r->n_failures; i++) {
        struct molt_trial_failure *f = &r->failures[i];
        f->label[sizeof(f->label) - 1] = '\0';
        f->why[sizeof(f->why) - 1] = '\0';
        f->place.module[sizeof(f->place.module) - 1] = '\0';
    }
    r->label[sizeof(r->label) - 1] = '\0';
    r->place.module[sizeof(r->place.module) - 1] = '\0';
}

void molt_trial_settle(struct molt_trial_report *r, const char *why_ended)
{
    if (r->n_servers > MOLT_SERVERS_MAX)
        r->n_servers = MOLT_SERVERS_MAX;
    if (r->n_failures > MOLT_TRIAL_FAILURES_MAX)
        r->n_failures = MOLT_TRIAL_FAILURES_MAX;
    end_texts(r);
    if (!why_ended)
        return;
    if (!r->is_trying) {
        r->pid = 0;
        r->server_id = -1;
        snprintf(r->label, sizeof(r->label), "the trial");
    }
    r->is_finished = false;
    add_failure(r, why_ended);
}
