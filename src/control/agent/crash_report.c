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

void molt_crash_report(const struct molt_crash_record *crash, const struct molt_crash_image *images,
                       size_t n_images, const char *store, const char *root, struct molt_buf *out)
{
    struct reporter r = {images, n_images, store, root, out};
    molt_buf_printf(out, "%s at 0x%llx", molt_crash_signal_name((int)crash->signal),
                    (unsigned long long)crash->address);
    for (size_t i = 0; i < crash->n_frames; i++) {
        const struct molt_crash_frame *f = &crash->frames[i];
        if (i > 0 && !*f->module)
            continue;
        molt_buf_adds(out, i ? "\n  called from " : " in ");
        print_frame(&r, f);
    }
}
