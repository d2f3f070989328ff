/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/record.h"

#include "code/code.h"
#include "upgrade/trial.h"
#include "upgrade/upgrade.h"

void molt_record_put_version(struct molt_buf *buf, const struct molt_version_info *v,
                             uint64_t now_ms)
{
    molt_buf_str(buf, v->module);
    molt_buf_u32(buf, v->number);
    molt_buf_add(buf, v->digest, MOLT_SHA256_BYTES);
    molt_buf_bytes(buf, v->build_id, v->build_id_len);
    molt_buf_u64(buf, v->base);
    molt_buf_u64(buf, v->bytes);
    molt_buf_u8(buf, v->is_current);
    molt_buf_str(buf, v->path);
    molt_buf_str(buf, v->why);
    molt_buf_u64(buf, now_ms > v->loaded_ms ? now_ms - v->loaded_ms : 0);
}

void molt_record_put_world(struct molt_buf *buf, const struct molt_world_info *w)
{
    molt_buf_u64(buf, w->id);
    molt_buf_u64(buf, w->age_ms);
    molt_buf_u64(buf, w->bytes);
    molt_buf_u8(buf, w->is_current);
    molt_buf_u64(buf, w->n_holds);
    molt_buf_str(buf, w->owners);
}

void molt_record_put_process(struct molt_buf *buf, const struct molt_process_info *p)
{
    char version[128] = "";
    if (p->version)
        molt_version_print(p->version, version, sizeof(version));
    molt_buf_u64(buf, p->pid);
    molt_buf_str(buf, p->name);
    molt_buf_str(buf, p->server);
    molt_buf_str(buf, version);
    molt_buf_u64(buf, p->world);
    molt_buf_u32(buf, p->state);
    molt_buf_str(buf, p->waiting_for);
    molt_buf_u64(buf, p->mailbox);
    molt_buf_u64(buf, p->bytes);
    molt_buf_u64(buf, p->callbacks);
    molt_buf_u64(buf, p->parent);
}

void molt_record_put_child(struct molt_buf *buf, const struct molt_runtime_child *c)
{
    molt_buf_u64(buf, c->supervisor);
    molt_buf_str(buf, c->supervisor_name);
    molt_buf_u32(buf, c->strategy);
    molt_buf_u8(buf, c->is_self);
    molt_buf_str(buf, c->id);
    molt_buf_u64(buf, c->pid);
    molt_buf_u32(buf, c->restart);
    molt_buf_u8(buf, c->is_supervisor);
    molt_buf_u64(buf, c->n_restarts);
}

void molt_record_put_iface(struct molt_buf *buf, const struct molt_iface_info *i)
{
    molt_buf_str(buf, i->module);
    molt_buf_str(buf, i->name);
    molt_buf_u64(buf, i->sig);
    molt_buf_u32(buf, i->slot);
}

void molt_record_put_upgrade(struct molt_buf *buf, const struct molt_upgrade_result *r,
                             uint64_t stage_ns)
{
    molt_buf_u64(buf, r->world);
    molt_buf_u32(buf, (uint32_t)r->n_changes);
    for (size_t i = 0; i < r->n_changes; i++) {
        molt_buf_str(buf, r->changes[i].module);
        molt_buf_u32(buf, r->changes[i].old_number);
        molt_buf_u32(buf, r->changes[i].new_number);
    }
    molt_buf_u32(buf, (uint32_t)r->conversion.n_processes);
    molt_buf_u32(buf, (uint32_t)r->conversion.n_redone);
    molt_buf_u64(buf, stage_ns);
    molt_buf_u64(buf, r->check_ns);
    molt_buf_u64(buf, r->wait_ns);
    molt_buf_u64(buf, r->switch_ns);
    molt_buf_u64(buf, r->conversion.held_ns);
}

static void put_trial_server(struct molt_buf *buf, const struct molt_trial_server *s)
{
    const uint32_t counts[] = {s->n_processes, s->n_tried, s->n_changed, s->n_busy, s->n_failed};
    molt_buf_str(buf, s->name);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        molt_buf_u32(buf, counts[i]);
}

/* Servers without processes say nothing. */
void molt_record_put_trial(struct molt_buf *buf, const struct molt_upgrade_trial *t)
{
    const struct molt_trial_report *r = t->report;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_servers; i++)
        n += r->servers[i].n_processes > 0;
    molt_buf_u32(buf, n);
    for (uint32_t i = 0; i < r->n_servers; i++)
        if (r->servers[i].n_processes > 0)
            put_trial_server(buf, &r->servers[i]);
    molt_buf_u32(buf, r->n_failures);
    for (uint32_t i = 0; i < r->n_failures; i++) {
        const struct molt_trial_failure *f = &r->failures[i];
        molt_buf_u64(buf, f->pid);
        molt_buf_str(buf, f->label);
        molt_buf_str(buf, f->place.module);
        molt_buf_u32(buf, f->place.number);
        molt_buf_u64(buf, f->place.offset);
        molt_buf_str(buf, f->why);
    }
    molt_buf_u32(buf, r->n_failed);
    molt_buf_u64(buf, r->bytes);
    molt_buf_u64(buf, t->ns);
    molt_buf_u8(buf, r->is_cut);
}

void molt_record_put_stats(struct molt_buf *buf, const struct molt_runtime_stats *s,
                           const struct molt_stops *stops, uint64_t rss_bytes, uint64_t uptime_ms,
                           uint64_t connections)
{
    molt_buf_u64(buf, s->n_processes);
    molt_buf_u64(buf, s->n_workers);
    molt_buf_u64(buf, s->n_stacks);
    molt_buf_u64(buf, s->callbacks);
    molt_buf_u64(buf, s->messages);
    molt_buf_u64(buf, s->crashes);
    molt_buf_u64(buf, s->restarts);
    molt_buf_u64(buf, rss_bytes);
    molt_buf_u64(buf, uptime_ms);
    for (size_t i = 0; i < MOLT_STOP_BUCKETS; i++)
        molt_buf_u64(buf, atomic_load_explicit(&stops->threads[i], memory_order_relaxed));
    for (size_t i = 0; i < MOLT_STOP_BUCKETS; i++)
        molt_buf_u64(buf, atomic_load_explicit(&stops->processes[i], memory_order_relaxed));
    molt_buf_u64(buf, connections);
    molt_buf_u64(buf, s->n_spares);
    molt_buf_u64(buf, s->n_spares_max);
    molt_buf_u64(buf, s->stack_bytes);
    molt_buf_u64(buf, s->stack_deepest);
    molt_buf_u64(buf, s->preempted);
    molt_buf_u64(buf, s->handovers);
}

void molt_record_put_contained(struct molt_buf *buf, const struct molt_runtime_crash *crash)
{
    molt_buf_u64(buf, crash->pid);
    molt_buf_str(buf, crash->label);
    molt_buf_str(buf, crash->server);
    molt_buf_str(buf, crash->state_type);
    molt_buf_str(buf, crash->callback);
    molt_buf_str(buf, crash->message);
    molt_buf_u64(buf, crash->callbacks);
    molt_buf_u32(buf, (uint32_t)crash->signal);
    molt_buf_u64(buf, crash->address);
    molt_buf_str(buf, crash->what);
    molt_buf_u64(buf, crash->n_all);
    molt_buf_u32(buf, (uint32_t)crash->n_frames);
    for (size_t i = 0; i < crash->n_frames; i++) {
        molt_buf_str(buf, crash->frames[i].module);
        molt_buf_u32(buf, crash->frames[i].number);
        molt_buf_u64(buf, crash->frames[i].offset);
    }
}
