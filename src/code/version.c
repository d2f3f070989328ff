/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A version: an image, checked against its meta and made ready to run: tags
 * point at type objects, exports have slots, servers have ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "code/table.h"

#define WHY_MAX 4096

const char *molt_version_module(const struct molt_version *v)
{
    return v->module;
}

unsigned molt_version_number(const struct molt_version *v)
{
    return v->number;
}

const struct molt_meta *molt_version_meta(const struct molt_version *v)
{
    return v->meta;
}

void molt_version_print(const struct molt_version *v, char *buf, size_t size)
{
    snprintf(buf, size, "%s@%u", v->module, v->number);
}

void molt_version_set_why(struct molt_version *version, const char *why)
{
    free(version->why);
    version->why = why && *why ? strdup(why) : NULL;
    version->why_len = version->why ? strlen(version->why) : 0;
}

void molt_version_add_why(struct molt_version *version, const char *why)
{
    if (!version->why) {
        molt_version_set_why(version, why);
        return;
    }
    if (version->why_len + strlen(why) + 3 > WHY_MAX)
        return;
    char *text;
    if (asprintf(&text, "%s; %s", version->why, why) < 0)
        return;
    free(version->why);
    version->why = text;
    version->why_len = strlen(text);
}

/* ---- checking the descriptor ---------------------------------------------- */

static bool is_inside(const struct molt_image *image, const void *from, const void *to)
{
    uintptr_t a = (uintptr_t)from, b = (uintptr_t)to;
    return (!from && !to) || (a >= image->lo && a <= b && b <= image->hi);
}

static int check_descriptor(struct molt_version *v, struct molt_error *err)
{
    const struct molt_meta *meta = v->meta;
    const struct molt_module *d = molt_image_symbol(&v->image, MOLT_MODULE_SYMBOL);
    if (!d || !is_inside(&v->image, d, d + 1) || d->magic != MOLT_MODULE_MAGIC)
        return molt_error_set(err, MOLT_EFORMAT,
                              "%s: the image has no molt descriptor; build it with molt",
                              meta->module);
    if (d->abi != MOLT_ABI_VERSION || d->size < sizeof(struct molt_module))
        return molt_error_set(err, MOLT_EABI,
                              "%s: built for ABI version %u, this host has %u; build it with the "
                              "same molt release",
                              meta->module, d->abi, MOLT_ABI_VERSION);
    if (!is_inside(&v->image, d->name, d->name + 1) || strcmp(d->name, meta->module) != 0)
        return molt_error_set(err, MOLT_EFORMAT, "%s: the image says that it is another module",
                              meta->module);
    bool ok = is_inside(&v->image, d->tags, d->tags_end) &&
              is_inside(&v->image, d->servers, d->servers_end) &&
              is_inside(&v->image, d->supervisors, d->supervisors_end) &&
              is_inside(&v->image, d->extensions, d->extensions_end) &&
              is_inside(&v->image, d->views, d->views_end) &&
              (size_t)(d->tags_end - d->tags) == meta->n_tags &&
              (size_t)(d->servers_end - d->servers) == meta->n_servers;
    if (!ok)
        return molt_error_set(err, MOLT_EFORMAT,
                              "%s: descriptor and description of the image disagree", meta->module);
    v->desc = d;
    return 0;
}

static bool is_thunk_of(const struct molt_version *v, const void *p)
{
    for (size_t i = 0; i < v->meta->n_exports; i++)
        if (p == v->thunks[i])
            return true;
    return false;
}

/* A module that was linked with -Bsymbolic, or compiled by clang with
 * -fno-semantic-interposition, takes its own exports' addresses without the
 * thunks, the one everywhere, the other in code of the defining unit. */
static int check_views(const struct molt_version *v, struct molt_error *err)
{
    for (const struct molt_view *view = v->desc->views; view < v->desc->views_end; view++) {
        bool ok = is_inside(&v->image, (const void *)(uintptr_t)view->see,
                            (const char *)(uintptr_t)view->see + 1) &&
                  is_thunk_of(v, view->address) && view->see() == view->address;
        if (!ok)
            return molt_error_set(err, MOLT_EREFUSED,
                                  "%s: the address of an own exported function isn't its thunk: "
                                  "the module was linked with -Bsymbolic, or compiled with "
                                  "clang's -fno-semantic-interposition; build it without them",
                                  v->module);
    }
    return 0;
}

/* ---- making ready ----------------------------------------------------------- */

static int resolve_exports(struct molt_version *v, struct molt_error *err)
{
    const struct molt_meta *meta = v->meta;
    v->slots = calloc(meta->n_exports + 1, sizeof(*v->slots));
    v->functions = calloc(meta->n_exports + 1, sizeof(*v->functions));
    v->thunks = calloc(meta->n_exports + 1, sizeof(*v->thunks));
    if (!v->slots || !v->functions || !v->thunks)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; i < meta->n_exports; i++) {
        const struct molt_meta_symbol *e = &meta->exports[i];
        char symbol[512];
        if (molt_meta_symbol_name(symbol, sizeof(symbol), meta->module, e->name, e->sig) < 0)
            return molt_error_set(err, MOLT_ELIMIT, "%s: the name %s is too long", meta->module,
                                  e->name);
        long slot = molt_iface_find(meta->module, e->name, e->sig, e->ret_bytes, &v->thunks[i]);
        if (slot < 0)
            return molt_error_set(err, MOLT_EREFUSED,
                                  "%s: no thunk for %s yet; send its interface object first",
                                  meta->module, e->name);
        v->slots[i] = (uint32_t)slot;
        v->functions[i] = molt_image_symbol(&v->image, symbol);
        if (!v->functions[i])
            return molt_error_set(err, MOLT_EFORMAT, "%s: the image doesn't define %s",
                                  meta->module, e->name);
    }
    return check_views(v, err);
}

static const struct molt_type *type_at(const struct molt_type *const *types, uint32_t index)
{
    return index == MOLT_TYPE_NONE ? NULL : types[index];
}

static const struct molt_type **select_types(const struct molt_type *const *types,
                                             const uint32_t *indexes, size_t n)
{
    const struct molt_type **selected = calloc(n + 1, sizeof(*selected));
    for (size_t i = 0; selected && i < n; i++)
        selected[i] = type_at(types, indexes[i]);
    return selected;
}

static size_t count_handlers(const struct molt_server *desc)
{
    size_t n = 0;
    while (n < MOLT_HANDLERS_MAX && desc->on[n].kind != MOLT_HANDLER_NONE)
        n++;
    return n;
}

static size_t count_changes(const struct molt_server *desc)
{
    size_t n = 0;
    while (n < MOLT_CHANGES_MAX && desc->change[n].fn)
        n++;
    return n;
}

static const struct molt_state_table *find_states(const struct molt_version *v, const char *server)
{
    const struct molt_module *d = v->desc;
    for (const struct molt_extension *e = d->extensions; e < d->extensions_end; e++) {
        const struct molt_state_table *table = e->data;
        if (strcmp(e->kind, MOLT_EXT_STATEM) == 0 && is_inside(&v->image, table, table + 1) &&
            table && is_inside(&v->image, table->server, table->server + 1) &&
            strcmp(table->server, server) == 0)
            return table;
    }
    return NULL;
}

/* A table of states is one by its size and names, and handlers name states of it
 * alone. */
static bool are_states_fine(const struct molt_version *v, const struct molt_server *desc,
                            const struct molt_state_table *states)
{
    unsigned n = 0;
    while (states && n < MOLT_STATES_MAX && states->state[n].name) {
        const char *name = states->state[n].name;
        if (!is_inside(&v->image, name, name + 1))
            return false;
        n++;
    }
    for (unsigned i = n; states && i < MOLT_STATES_MAX; i++)
        if (states->state[i].name)
            return false;
    if (states && (states->size != sizeof(*states) || n == 0 || desc->run))
        return false;
    for (size_t i = 0; i < MOLT_HANDLERS_MAX; i++)
        if (desc->on[i].kind >> MOLT_HANDLER_STATES_SHIFT >> n)
            return false;
    return true;
}

static int ready_server(struct molt_code *code, struct molt_version *v, size_t i,
                        const struct molt_type *const *types, struct molt_error *err)
{
    const struct molt_meta_server *meta = &v->meta->servers[i];
    const struct molt_server *desc = &v->desc->servers[i];
    struct molt_server_ref *ref = &v->servers[i];
    if (desc->size != sizeof(*desc))
        return molt_error_set(err, MOLT_EABI, "%s: server %s is of another ABI version", v->module,
                              meta->name);
    bool ok = is_inside(&v->image, desc->name, desc->name + 1) &&
              strcmp(desc->name, meta->name) == 0 && count_handlers(desc) == meta->n_handlers &&
              count_changes(desc) == meta->n_changes &&
              v->meta->types[meta->state_type].size == desc->state_size;
    const struct molt_state_table *states = ok ? find_states(v, meta->name) : NULL;
    if (!ok || !are_states_fine(v, desc, states))
        return molt_error_set(err, MOLT_EFORMAT, "%s: the image's server %s isn't as described",
                              v->module, meta->name);
    v->server_ids[i] = molt_server_intern(code, meta->name, err);
    if (v->server_ids[i] < 0)
        return v->server_ids[i];
    *ref = (struct molt_server_ref){
        .desc = desc,
        .version = v,
        .state_type = types[meta->state_type],
        .init_type = type_at(types, meta->init_type),
        .handler_types = select_types(types, meta->handler_types, meta->n_handlers),
        .change_types = select_types(types, meta->change_types, meta->n_changes),
        .n_handlers = meta->n_handlers,
        .n_changes = meta->n_changes,
        .states = states,
    };
    if (!ref->handler_types || !ref->change_types)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    return 0;
}

static int make_ready(struct molt_code *code, struct molt_version *v,
                      const struct molt_type **types, struct molt_error *err)
{
    const struct molt_meta *meta = v->meta;
    for (size_t i = 0; i < meta->n_types; i++) {
        types[i] = molt_types_intern(code->types, &meta->types[i]);
        if (!types[i])
            return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < meta->n_tags; i++)
        v->desc->tags[i] = (uint64_t)(uintptr_t)type_at(types, meta->tags[i]);
    v->servers = calloc(meta->n_servers + 1, sizeof(*v->servers));
    v->server_ids = calloc(meta->n_servers + 1, sizeof(*v->server_ids));
    if (!v->servers || !v->server_ids)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; i < meta->n_servers; i++) {
        int rc = ready_server(code, v, i, types, err);
        if (rc < 0)
            return rc;
    }
    return resolve_exports(v, err);
}

/* ---- numbers ---------------------------------------------------------------- */

/* The next number of @module, without giving it out. 0: out of memory. */
static unsigned *number_cell(struct molt_code *code, const char *module)
{
    for (size_t i = 0; i < code->n_numbers; i++)
        if (strcmp(code->numbers[i].module, module) == 0)
            return &code->numbers[i].number;
    void *numbers = realloc(code->numbers, (code->n_numbers + 1) * sizeof(*code->numbers));
    if (!numbers)
        return NULL;
    code->numbers = numbers;
    memset(&code->numbers[code->n_numbers], 0, sizeof(*code->numbers));
    strncpy(code->numbers[code->n_numbers].module, module, sizeof(code->numbers->module) - 1);
    return &code->numbers[code->n_numbers++].number;
}

/* ---- spans ------------------------------------------------------------------ */

static struct molt_code_span *span_of(struct molt_code *code, const struct molt_version *v)
{
    for (size_t i = 0; i < MOLT_SPANS_MAX; i++)
        if (code->spans[i].version == v && atomic_load(&code->spans[i].hi))
            return &code->spans[i];
    return NULL;
}

/* Forget the oldest unloaded range. */
static void unreserve_oldest(struct molt_code *code)
{
    struct molt_code_span *span = &code->spans[code->reserved[code->first_reserved]];
    code->first_reserved = (code->first_reserved + 1) % MOLT_RESERVED_MAX;
    code->n_reserved--;
    uintptr_t lo = atomic_load(&span->lo), hi = atomic_load(&span->hi);
    atomic_store(&span->hi, 0);
    if (hi > lo)
        molt_image_unreserve(lo, hi);
    molt_version_free(span->version);
    span->version = NULL;
}

static void note_locks(struct molt_code *code, struct molt_version *v)
{
    v->is_uncounted = v->meta->flags & MOLT_META_UNCOUNTED;
    if (v->is_uncounted)
        molt_sink_log(&code->sink, MOLT_WARN,
                      "%s@%u takes locks by functions that molt can't count: it is not preempted, "
                      "and a crash in it ends the host. Built by molt, and with pthread_*, mtx_* "
                      "and flockfile by their usual names, it would be",
                      v->module, v->number);
}

static void add_span(struct molt_code *code, struct molt_version *v)
{
    note_locks(code, v);
    for (size_t i = 0; i < MOLT_SPANS_MAX; i++) {
        struct molt_code_span *span = &code->spans[i];
        if (atomic_load(&span->hi))
            continue;
        span->version = v;
        atomic_store(&span->is_unloaded, false);
        atomic_store(&span->lo, v->image.lo);
        atomic_store(&span->hi, v->image.hi);
        if (atomic_load(&code->n_spans) <= i)
            atomic_store(&code->n_spans, (unsigned)i + 1);
        return;
    }
    molt_sink_log(&code->sink, MOLT_WARN,
                  "more than %u images in memory: %s@%u won't be named in crash reports",
                  MOLT_SPANS_MAX, v->module, v->number);
}

/* Keep the name of the unloaded range as long as the range is reserved. */
static void retire_span(struct molt_code *code, struct molt_version *v, bool is_reserved)
{
    struct molt_code_span *span = span_of(code, v);
    if (!span) {
        if (is_reserved)
            molt_image_unreserve(v->image.lo, v->image.hi);
        molt_version_free(v);
        return;
    }
    if (!is_reserved) {
        atomic_store(&span->hi, 0);
        span->version = NULL;
        molt_version_free(v);
        return;
    }
    if (code->n_reserved == MOLT_RESERVED_MAX)
        unreserve_oldest(code);
    atomic_store(&span->is_unloaded, true);
    size_t at = (code->first_reserved + code->n_reserved++) % MOLT_RESERVED_MAX;
    code->reserved[at] = (unsigned)(span - code->spans);
}

void molt_code_drop_spans(struct molt_code *code)
{
    while (code->n_reserved)
        unreserve_oldest(code);
}

const struct molt_version *molt_code_find_pc(struct molt_code *code, const void *pc,
                                             uintptr_t *ret_offset, bool *ret_is_unloaded)
{
    uintptr_t a = (uintptr_t)pc;
    unsigned n = atomic_load(&code->n_spans);
    for (size_t i = 0; i < n; i++) {
        struct molt_code_span *span = &code->spans[i];
        uintptr_t lo = atomic_load(&span->lo);
        if (a < lo || a >= atomic_load(&span->hi))
            continue;
        *ret_offset = a - span->version->image.base;
        *ret_is_unloaded = atomic_load(&span->is_unloaded);
        return span->version;
    }
    return NULL;
}

bool molt_version_is_uncounted(const struct molt_version *version)
{
    return version->is_uncounted;
}

/* ---- life ------------------------------------------------------------------- */

static void free_headers(struct molt_version *v)
{
    for (size_t i = 0; i < v->n_headers; i++)
        free(v->headers[i].module);
    free(v->headers);
    v->headers = NULL;
    v->n_headers = 0;
}

int molt_version_set_headers(struct molt_version *v, const struct molt_meta *meta)
{
    struct molt_meta_header *headers = calloc(meta->n_headers + 1, sizeof(*headers));
    if (!headers)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < meta->n_headers; i++) {
        headers[i] = meta->headers[i];
        headers[i].module = strdup(meta->headers[i].module);
        if (!headers[i].module) {
            while (i-- > 0)
                free(headers[i].module);
            free(headers);
            return MOLT_ENOMEM;
        }
    }
    free_headers(v);
    v->headers = headers;
    v->n_headers = meta->n_headers;
    return 0;
}

static void free_servers(struct molt_version *v)
{
    for (size_t i = 0; v->servers && i < v->meta->n_servers; i++) {
        free((void *)(uintptr_t)v->servers[i].handler_types);
        free((void *)(uintptr_t)v->servers[i].change_types);
    }
    free(v->servers);
    v->servers = NULL;
}

/* Everything but the name, the number and the range, which a crash report of
 * an unloaded version needs. */
static void strip(struct molt_version *v)
{
    free_servers(v);
    free(v->server_ids);
    free(v->types);
    free(v->slots);
    free(v->functions);
    free(v->thunks);
    free_headers(v);
    molt_meta_free(v->meta);
    molt_version_set_why(v, NULL);
    v->server_ids = NULL;
    v->types = NULL;
    v->n_types = 0;
    v->slots = NULL;
    v->functions = NULL;
    v->thunks = NULL;
    v->meta = NULL;
    v->desc = NULL;
}

void molt_version_free(struct molt_version *version)
{
    if (!version)
        return;
    strip(version);
    free(version);
}

static int check_name(const char *module, struct molt_error *err)
{
    size_t n = strlen(module);
    bool ok = n > 0 && n < sizeof(((struct molt_version *)0)->module) && module[0] != '-';
    for (size_t i = 0; ok && i < n; i++) {
        char c = module[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-';
    }
    if (!ok)
        return molt_error_set(err, MOLT_EINVAL,
                              "'%.80s' is no module name: letters, digits, _ and -, at most 63",
                              module);
    return 0;
}

int molt_version_load(struct molt_code *code, struct molt_meta *meta, int fd,
                      struct molt_version **ret, struct molt_error *err)
{
    int rc = check_name(meta->module, err);
    unsigned *number = rc < 0 ? NULL : number_cell(code, meta->module);
    struct molt_version *v = number ? calloc(1, sizeof(*v)) : NULL;
    if (!v)
        return rc < 0 ? rc : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    struct molt_image_request request = {
        .store = code->store,
        .name = meta->module,
        .fd = fd,
        .digest = meta->digest,
        .build_id = meta->build_id,
        .build_id_len = meta->build_id_len,
        .is_sealed = code->is_sealed,
    };
    rc = molt_image_open(&request, &v->image, err);
    if (rc < 0) {
        free(v);
        return rc;
    }
    strcpy(v->module, meta->module);
    v->number = *number + 1;
    v->meta = meta;
    v->loaded_ms = molt_clock_ms();
    memcpy(v->digest, meta->digest, sizeof(v->digest));
    v->types = calloc(meta->n_types + 1, sizeof(*v->types));
    v->n_types = meta->n_types;
    rc = v->types ? molt_version_set_headers(v, meta) : MOLT_ENOMEM;
    if (rc < 0)
        molt_error_set(err, rc, "out of memory");
    else
        rc = check_descriptor(v, err);
    if (rc == 0)
        rc = make_ready(code, v, v->types, err);
    if (rc < 0) {
        char why[256];
        uintptr_t lo = v->image.lo, hi = v->image.hi;
        if (molt_image_close(&v->image, why, sizeof(why)) == MOLT_IMAGE_GONE)
            molt_image_unreserve(lo, hi);
        free_servers(v);
        v->meta = NULL; /* stays the caller's */
        strip(v);
        free(v);
        return rc;
    }
    *number = v->number;
    add_span(code, v);
    v->next = code->versions;
    code->versions = v;
    *ret = v;
    return 0;
}

static void unlink_version(struct molt_code *code, struct molt_version *v)
{
    struct molt_version **at = &code->versions;
    while (*at && *at != v)
        at = &(*at)->next;
    if (*at)
        *at = v->next;
}

enum molt_image_fate molt_version_unload(struct molt_code *code, struct molt_version *version)
{
    char why[256] = "";
    enum molt_image_fate fate = molt_image_close(&version->image, why, sizeof(why));
    if (fate == MOLT_IMAGE_KEPT) {
        version->is_zombie = true;
        molt_version_set_why(version, why);
        molt_sink_log(&code->sink, MOLT_WARN, "%s@%u stays in memory: %s", version->module,
                      version->number, why);
        return fate;
    }
    unlink_version(code, version);
    molt_layouts_forget(code, version);
    strip(version);
    retire_span(code, version, fate == MOLT_IMAGE_GONE);
    return fate;
}
