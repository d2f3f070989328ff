/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Letting old versions go. An image leaves memory when no world has it, no
 * library was given an address of it, and nothing was found that leads into
 * it: neither by the runtime (blocks, mail, suspended stacks) nor here, in the
 * writable data of the images that stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "code/table.h"

struct reclaim {
    struct molt_code *code;
    struct molt_range *ranges;
    bool *is_pinned;
    bool *is_searched; /* of a pinned one: its data was looked at */
    size_t n;
};

static int by_lo(const void *a, const void *b)
{
    const struct molt_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* A pin that libraries may have through an import, by name; NULL if none. */
static const char *import_pin(const struct molt_version *v)
{
    return v->meta->n_pins ? v->meta->pins[0] : NULL;
}

/* Whether @v is in no world, and only a pin could keep it. */
static bool is_candidate(struct molt_version *v)
{
    if (v->n_worlds > 0 || v->is_zombie)
        return false;
    const char *pin = import_pin(v);
    if (!pin)
        return true;
    char why[160];
    snprintf(why, sizeof(why), "it calls %s: a library may hold an address of it", pin);
    molt_version_set_why(v, why);
    return false;
}

/* Versions of the stage that is being built are in no world yet. */
static bool is_staged(const struct molt_code *code, const struct molt_version *v)
{
    for (size_t i = 0; code->stage && i < code->stage->n_items; i++)
        if (code->stage->items[i].version == v)
            return true;
    return false;
}

static int collect_candidates(struct reclaim *r)
{
    size_t n = 0;
    for (struct molt_version *v = r->code->versions; v; v = v->next)
        n++;
    r->ranges = calloc(n + 1, sizeof(*r->ranges));
    r->is_pinned = calloc(n + 1, sizeof(*r->is_pinned));
    r->is_searched = calloc(n + 1, sizeof(*r->is_searched));
    if (!r->ranges || !r->is_pinned || !r->is_searched)
        return MOLT_ENOMEM;
    for (struct molt_version *v = r->code->versions; v; v = v->next)
        if (!is_staged(r->code, v) && is_candidate(v))
            r->ranges[r->n++] = (struct molt_range){v->image.lo, v->image.hi, v};
    qsort(r->ranges, r->n, sizeof(*r->ranges), by_lo);
    return 0;
}

static void pin(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)holder;
    struct reclaim *r = user;
    size_t i = (size_t)(range - r->ranges);
    struct molt_version *v = (struct molt_version *)(uintptr_t)range->version;
    if (!r->is_pinned[i])
        molt_version_set_why(v, why);
    else
        molt_version_add_why(v, why);
    r->is_pinned[i] = true;
}

static const struct molt_range *range_of(const struct reclaim *r, uintptr_t word)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (word < r->ranges[mid].lo)
            hi = mid;
        else if (word >= r->ranges[mid].hi)
            lo = mid + 1;
        else
            return &r->ranges[mid];
    }
    return NULL;
}

/* Conservative: any aligned word counts. Code runs beside this and may write
 * the words; an address of an old image can't appear anew, only be copied from
 * somewhere that is looked at as well. */
__attribute__((no_sanitize("thread", "address"))) static void
scan_writable(struct reclaim *r, const struct molt_version *holder)
{
    for (size_t i = 0; i < holder->image.n_writable; i++) {
        const struct molt_span_of *span = &holder->image.writable[i];
        uintptr_t first = (span->lo + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
        for (uintptr_t at = first; at + sizeof(void *) <= span->hi; at += sizeof(void *)) {
            const struct molt_range *range = range_of(r, *(const volatile uintptr_t *)at);
            char why[192];
            if (!range || range->version == holder)
                continue;
            snprintf(why, sizeof(why), "global data of %s@%u points into it", holder->module,
                     holder->number);
            pin(r, range, 0, why);
        }
    }
}

/* First those that stay anyway, then those that are found to stay, until no
 * more are: a pinned image's data pins in its turn. */
static void scan_images(struct reclaim *r)
{
    for (struct molt_version *v = r->code->versions; v; v = v->next) {
        bool may_leave = false;
        for (size_t i = 0; i < r->n; i++)
            may_leave |= r->ranges[i].version == v;
        if (!may_leave)
            scan_writable(r, v);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!r->is_pinned[i] || r->is_searched[i])
            continue;
        r->is_searched[i] = true;
        scan_writable(r, r->ranges[i].version);
        i = (size_t)-1; /* it may have pinned an earlier one */
    }
}

static int unload_unpinned(struct reclaim *r)
{
    int n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->is_pinned[i])
            continue;
        struct molt_version *v = (struct molt_version *)(uintptr_t)r->ranges[i].version;
        char module[sizeof(v->module)];
        unsigned number = v->number;
        uint64_t retained = v->retired_ms ? molt_clock_ms() - v->retired_ms : 0;
        memcpy(module, v->module, sizeof(module));
        if (molt_version_unload(r->code, v) == MOLT_IMAGE_KEPT)
            continue;
        n++;
        if (r->code->on_unloaded)
            r->code->on_unloaded(r->code->user, module, number, retained);
    }
    return n;
}

/* Nothing may go while somewhere couldn't be looked. */
static void explain_failure(struct reclaim *r, int code)
{
    const char *why = "not everything that could lead into it could be looked at";
    if (code == MOLT_ETIMEDOUT)
        why = "a callback or a registered thread runs without reaching a world boundary, and may "
              "hold an address of it";
    for (size_t i = 0; i < r->n; i++)
        if (!r->is_pinned[i])
            molt_version_set_why((struct molt_version *)(uintptr_t)r->ranges[i].version, why);
}

int molt_code_reclaim(struct molt_code *code, molt_scan_fn *scan, void *scan_user)
{
    struct reclaim r = {.code = code};
    pthread_mutex_lock(&code->lock);
    if (code->is_reclaiming) {
        pthread_mutex_unlock(&code->lock);
        return MOLT_EBUSY;
    }
    molt_worlds_collect(code);
    int rc = collect_candidates(&r);
    code->is_reclaiming = true;
    pthread_mutex_unlock(&code->lock);
    /* Without the lock: the scan asks for grace periods and takes its time.
     * Nobody else unloads meanwhile, and candidates are in no world. */
    if (rc == 0 && r.n && scan)
        rc = scan(scan_user, r.ranges, r.n, pin, &r);
    pthread_mutex_lock(&code->lock);
    if (rc >= 0 && r.n) {
        scan_images(&r);
        rc = unload_unpinned(&r);
    } else if (rc < 0) {
        explain_failure(&r, rc);
    }
    code->is_reclaiming = false;
    pthread_mutex_unlock(&code->lock);
    free(r.ranges);
    free(r.is_pinned);
    free(r.is_searched);
    return rc;
}
