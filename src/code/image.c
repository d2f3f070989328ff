/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "code/image.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code/store.h"

#define PAGE ((uintptr_t)4096)

static uintptr_t page_down(uintptr_t a)
{
    return a & ~(PAGE - 1);
}

static uintptr_t page_up(uintptr_t a)
{
    return page_down(a + PAGE - 1);
}

/* ---- what was mapped ----------------------------------------------------- */

struct find {
    struct molt_image *image;
    bool is_found;
};

/* The build-id note of a mapped PT_NOTE: name "GNU", type NT_GNU_BUILD_ID (ELF
 * gABI, "Note Section"; descriptor sizes are padded to 4). */
static void read_build_id(struct molt_image *image, uintptr_t at, size_t len)
{
    uintptr_t end = at + len;
    while (end - at >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        uintptr_t name = at + sizeof(*note);
        uintptr_t desc = name + ((note->n_namesz + 3u) & ~3u);
        uintptr_t next = desc + ((note->n_descsz + 3u) & ~3u);
        if (next > end || next <= at)
            return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            memcmp((const void *)name, "GNU", 4) == 0) {
            image->build_id = (const void *)desc;
            image->build_id_len = note->n_descsz;
            return;
        }
        at = next;
    }
}

/* A writable segment without its RELRO part, which the loader made read-only. */
static void add_writable(struct molt_image *image, uintptr_t lo, uintptr_t hi, uintptr_t relro_lo,
                         uintptr_t relro_hi)
{
    if (relro_hi > lo && relro_lo <= lo)
        lo = relro_hi;
    if (lo >= hi || image->n_writable == MOLT_IMAGE_WRITABLE_MAX)
        return;
    image->writable[image->n_writable++] = (struct molt_span_of){lo, hi};
}

static int on_object(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size;
    struct find *find = user;
    struct molt_image *image = find->image;
    if (info->dlpi_addr != image->base || strcmp(info->dlpi_name, image->path) != 0)
        return 0;
    uintptr_t relro_lo = 0, relro_hi = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_GNU_RELRO) {
            relro_lo = page_down(info->dlpi_addr + ph->p_vaddr);
            relro_hi = page_down(info->dlpi_addr + ph->p_vaddr + ph->p_memsz);
        }
    }
    image->lo = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr, hi = lo + ph->p_memsz;
        if (ph->p_type == PT_NOTE && !image->build_id)
            read_build_id(image, lo, ph->p_memsz);
        if (ph->p_type != PT_LOAD)
            continue;
        if (page_down(lo) < image->lo)
            image->lo = page_down(lo);
        if (page_up(hi) > image->hi)
            image->hi = page_up(hi);
        if (ph->p_flags & PF_W)
            add_writable(image, lo, hi, relro_lo, relro_hi);
    }
    find->is_found = true;
    return 1;
}

static int look_at(struct molt_image *image, const struct molt_image_request *request,
                   struct molt_error *err)
{
    struct link_map *map;
    if (dlinfo(image->handle, RTLD_DI_LINKMAP, &map) != 0)
        return molt_error_set(err, MOLT_EIO, "%s: dlinfo failed", request->name);
    if (strcmp(map->l_name, image->path) != 0)
        return molt_error_set(err, MOLT_EIO,
                              "%s: the loader returned %s instead of %s: it holds the same file "
                              "under another name",
                              request->name, map->l_name, image->path);
    image->base = map->l_addr;
    struct find find = {.image = image};
    dl_iterate_phdr(on_object, &find);
    if (!find.is_found)
        return molt_error_set(err, MOLT_EIO, "%s: not found among the loaded objects",
                              request->name);
    if (request->build_id && (image->build_id_len != request->build_id_len ||
                              memcmp(image->build_id, request->build_id, image->build_id_len)))
        return molt_error_set(err, MOLT_EDIGEST,
                              "%s: what was mapped has another build-id than what was verified; "
                              "somebody changed %s in between",
                              request->name, image->path);
    return 0;
}

/* ---- open ------------------------------------------------------------------ */

int molt_image_open(const struct molt_image_request *request, struct molt_image *ret,
                    struct molt_error *err)
{
    struct molt_image image = {.fd = -1};
    uint8_t digest[MOLT_SHA256_BYTES];
    int rc = molt_sha256_fd(request->fd, digest);
    if (rc < 0)
        return molt_error_set(err, rc, "%s: cannot read the image: %s", request->name,
                              strerror(errno));
    if (memcmp(digest, request->digest, sizeof(digest)) != 0)
        return molt_error_set(err, MOLT_EDIGEST,
                              "%s: the image's bytes don't have the SHA-256 that was announced; "
                              "build or send it again",
                              request->name);
    rc = molt_store_publish(request, &image, err);
    if (rc < 0)
        return rc;
    image.handle = dlopen(image.path, RTLD_NOW | (request->is_global ? RTLD_GLOBAL : RTLD_LOCAL));
    if (!image.handle) {
        const char *why = dlerror();
        rc = molt_error_set(err, MOLT_EREFUSED, "%s: the loader refused it: %s", request->name,
                            why ? why : "no reason given");
        molt_store_withdraw(&image);
        return rc;
    }
    rc = look_at(&image, request, err);
    if (rc < 0) {
        dlclose(image.handle);
        molt_store_withdraw(&image);
        return rc;
    }
    *ret = image;
    return 0;
}

void *molt_image_symbol(const struct molt_image *image, const char *name)
{
    void *p = dlsym(image->handle, name);
    uintptr_t a = (uintptr_t)p;
    return a >= image->lo && a < image->hi ? p : NULL;
}

/* ---- close ----------------------------------------------------------------- */

/* DT_FLAGS_1 of a mapped object, 0 if there is none. */
static ElfW(Xword) dynamic_flags_1(const ElfW(Dyn) * dyn)
{
    for (; dyn && dyn->d_tag != DT_NULL; dyn++)
        if (dyn->d_tag == DT_FLAGS_1)
            return dyn->d_un.d_val;
    return 0;
}

static void explain_kept(const char *path, char *why, size_t size)
{
    /* With RTLD_NOLOAD the loader hands out what it kept. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (!handle) {
        snprintf(why, size, "dlclose returned, but part of its range is still mapped");
        return;
    }
    struct link_map *map;
    const char *reason = "another object is bound to it, or it holds unique symbols or "
                         "thread-local destructors";
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && dynamic_flags_1(map->l_ld) & DF_1_NODELETE)
        reason = "it is marked NODELETE (-z nodelete)";
    dlclose(handle);
    snprintf(why, size, "dlclose kept it: %s", reason);
}

/* Whether a mapping of @path overlaps [lo, hi), by /proc/self/maps. */
static bool is_mapped(const char *path, uintptr_t lo, uintptr_t hi)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return true;
    char *real = realpath(path, NULL);
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof(line), maps)) {
        unsigned long a, b;
        if (sscanf(line, "%lx-%lx", &a, &b) != 2 || b <= lo || a >= hi)
            continue;
        found = strstr(line, path) || (real && strstr(line, real)) || strstr(line, "memfd:molt");
    }
    free(real);
    fclose(maps);
    return found;
}

enum molt_image_fate molt_image_close(struct molt_image *image, char *why, size_t size)
{
    if (image->handle)
        dlclose(image->handle);
    image->handle = NULL;
    /* That nothing is mapped there any more is what MAP_FIXED_NOREPLACE checks. */
    void *at = (void *)image->lo;
    size_t len = image->hi - image->lo;
    void *got = mmap(at, len, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != at) {
        if (got != MAP_FAILED) /* a kernel that doesn't know the flag takes it as a hint */
            munmap(got, len);
        if (is_mapped(image->path, image->lo, image->hi)) {
            explain_kept(image->path, why, size);
            return MOLT_IMAGE_KEPT;
        }
    }
    molt_store_withdraw(image);
    return got == at ? MOLT_IMAGE_GONE : MOLT_IMAGE_EXPOSED;
}

void molt_image_unreserve(uintptr_t lo, uintptr_t hi)
{
    munmap((void *)lo, hi - lo);
}
