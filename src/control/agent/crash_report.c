/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/crash_report.h"

#include <string.h>

#include "control/crash.h"
#include "types/image_info.h"

struct reporter {
    const struct molt_crash_image *images;
    size_t n_images;
    const char *store, *root;
    struct molt_buf *out;
};

static const struct molt_crash_image *find_image(const struct reporter *r,
                                                 const struct molt_crash_frame *f)
{
    for (size_t i = 0; i < r->n_images; i++)
        if (r->images[i].number == f->number && strcmp(r->images[i].module, f->module) == 0)
            return &r->images[i];
    return NULL;
}

static const char *shorten(const char *root, const char *file)
{
    size_t len = root ? strlen(root) : 0;
    return len && strncmp(root, file, len) == 0 && file[len] == '/' ? file + len + 1 : file;
}

/* ", on_next() src/counter.c:14"; what is unknown is left out. */
static void print_source(const struct reporter *r, const struct molt_crash_frame *f)
{
    const struct molt_crash_image *image = find_image(r, f);
    if (!image)
        return;
    char hex[MOLT_SHA256_HEX];
    molt_sha256_hex(image->digest, hex);
    struct molt_buf path = MOLT_BUF_INIT;
    struct molt_source_location at = {0};
    molt_buf_printf(&path, "%s/%s-%s.so", r->store, image->module, hex);
    if (!path.is_failed && molt_image_locate(path.data, f->offset, &at) == 0) {
        if (at.function)
            molt_buf_printf(r->out, ", %s()", at.function);
        if (at.file)
            molt_buf_printf(r->out, " %s:%d", shorten(r->root, at.file), at.line);
    }
    molt_source_location_fini(&at);
    molt_buf_fini(&path);
}

static void print_frame(const struct reporter *r, const struct molt_crash_frame *f)
{
    if (!*f->module) {
        molt_buf_printf(r->out, "the host or a library, pc 0x%llx", (unsigned long long)f->offset);
        return;
    }
    molt_buf_printf(r->out, "%s@%u", f->module, f->number);
    print_source(r, f);
}

static bool is_same(const struct molt_crash_frame *a, const struct molt_crash_frame *b)
{
    return a->number == b->number && a->offset == b->offset && strcmp(a->module, b->module) == 0;
}

/* How many frames from @i on are one and the same: a recursion. */
static size_t count_same(const struct molt_crash_frame *frames, size_t n, size_t i)
{
    size_t end = i + 1;
    while (end < n && is_same(&frames[end], &frames[i]))
        end++;
    return end - i;
}

static void print_frames(const struct reporter *r, const struct molt_crash_frame *frames, size_t n)
{
    for (size_t i = 0, n_same; i < n; i += n_same) {
        n_same = count_same(frames, n, i);
        if (i > 0 && !*frames[i].module)
            continue;
        molt_buf_adds(r->out, i ? "\n  called from " : " in ");
        print_frame(r, &frames[i]);
        if (n_same > 1)
            molt_buf_printf(r->out, ", %zu times", n_same);
    }
}

void molt_crash_report(const struct molt_crash_record *crash, const struct molt_crash_image *images,
                       size_t n_images, const char *store, const char *root, struct molt_buf *out)
{
    struct reporter r = {images, n_images, store, root, out};
    molt_buf_printf(out, "%s at 0x%llx", molt_crash_signal_name((int)crash->signal),
                    (unsigned long long)crash->address);
    print_frames(&r, crash->frames, crash->n_frames);
}

/* ---- crashes of a process ------------------------------------------------------- */

bool molt_crash_knows_images(const struct molt_contained_record *crash,
                             const struct molt_crash_image *images, size_t n_images)
{
    struct reporter r = {.images = images, .n_images = n_images};
    for (size_t i = 0; i < crash->n_frames; i++)
        if (*crash->frames[i].module && !find_image(&r, &crash->frames[i]))
            return false;
    return true;
}

static void print_circumstances(const struct molt_contained_record *crash, struct molt_buf *out)
{
    molt_buf_printf(out, "\n  in its callback for %s%s%s, after %llu others", crash->callback,
                    *crash->message ? " " : "", crash->message,
                    (unsigned long long)crash->callbacks);
    if (*crash->state_type)
        molt_buf_printf(out, "\n  lost: its state (%s) and its mail; the host and all others go on",
                        crash->state_type);
    else
        molt_buf_adds(out, "\n  it had no state yet; the host and all others go on");
}

void molt_crash_report_process(const struct molt_contained_record *crash,
                               const struct molt_crash_image *images, size_t n_images,
                               const char *store, const char *root, struct molt_buf *out)
{
    struct reporter r = {images, n_images, store, root, out};
    molt_buf_printf(out, "%s crashed and was ended: %s, %s, address 0x%llx,", crash->label,
                    molt_crash_signal_name((int)crash->signal), crash->what,
                    (unsigned long long)crash->address);
    print_frames(&r, crash->frames, crash->n_frames);
    if (crash->n_all > crash->n_frames)
        molt_buf_printf(out, "\n  and %llu frames more",
                        (unsigned long long)(crash->n_all - crash->n_frames));
    print_circumstances(crash, out);
}
