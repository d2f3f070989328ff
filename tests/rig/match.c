/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the agent does for each module that is replaced: match the two images, there and back. */
#include "rig/match.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "code/carry.h"
#include "code/layout.h"
#include "types/match.h"

/* The bytes of the file @path, mapped; .bytes NULL: it can't be read. */
static struct molt_match_side open_image(const char *path)
{
    struct stat st;
    struct molt_match_side side = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return side;
    if (fstat(fd, &st) == 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at != MAP_FAILED)
            side = (struct molt_match_side){at, (size_t)st.st_size};
    }
    close(fd);
    return side;
}

static void close_image(struct molt_match_side *side)
{
    if (side->bytes)
        munmap((void *)(uintptr_t)side->bytes, side->len);
}

static int stage_recipe(struct molt_code *code, uint64_t stage, struct molt_recipe **recipe,
                        struct molt_error *err)
{
    int rc = *recipe ? molt_stage_recipe(code, stage, *recipe, err) : 0;
    if (rc >= 0)
        *recipe = NULL;
    return rc;
}

static int stage_globals(struct molt_code *code, uint64_t stage, const struct molt_match *match,
                         struct molt_error *err)
{
    struct molt_carry carry, *copy = NULL;
    struct molt_buf bytes = MOLT_BUF_INIT;
    int rc = molt_match_carry(match, &carry);
    if (rc == 0)
        rc = molt_carry_encode(&carry, &bytes);
    if (rc == 0 && carry.n > 0)
        rc = molt_carry_decode(bytes.data, bytes.len, &copy, err);
    if (rc == 0 && copy)
        rc = molt_stage_carry(code, stage, copy, err);
    if (rc < 0)
        molt_carry_free(copy);
    free(carry.items);
    molt_buf_fini(&bytes);
    return rc;
}

/* The recipes, the moves and the globals of @match become the stage's. */
static int stage_match(struct molt_code *code, uint64_t stage, struct molt_match *match,
                       struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < match->n_types; i++)
        rc = stage_recipe(code, stage, &match->types[i].recipe, err);
    for (size_t i = 0; rc >= 0 && i < match->n_same; i++)
        rc = stage_recipe(code, stage, &match->same[i], err);
    if (rc >= 0 && match->moves)
        rc = stage_globals(code, stage, match, err);
    if (rc >= 0 && match->moves) {
        rc = molt_stage_moves(code, stage, match->moves, err);
        if (rc >= 0)
            match->moves = NULL;
    }
    return rc;
}

static int match_one_way(const struct rig_match *how, const struct molt_match_side *from,
                         const struct molt_match_side *to, bool is_backward, struct molt_error *err)
{
    struct molt_match match;
    struct molt_match_options options = {.project = how->project,
                                         .allow_sanitizer = true,
                                         .wants_moves = !is_backward,
                                         .is_backward = is_backward};
    int rc = molt_match_images(from, to, &options, &match, err);
    if (rc < 0)
        return rc;
    rc = stage_match(how->code, how->stage, &match, err);
    molt_match_fini(&match);
    return rc;
}

struct look {
    const char *module;
    bool is_found;
    char hex[MOLT_SHA256_HEX];
};

static void find_running(void *user, const struct molt_version_info *info)
{
    struct look *look = user;
    if (!info->is_current || strcmp(info->module, look->module) != 0)
        return;
    molt_sha256_hex(info->digest, look->hex);
    look->is_found = true;
}

int rig_match_module(const struct rig_match *how, const char *module, const char *image_path,
                     struct molt_error *err)
{
    char path[600];
    struct look look = {.module = module};
    molt_code_each_version(how->code, find_running, &look);
    if (!look.is_found)
        return 0;
    snprintf(path, sizeof(path), "%s/.molt/store/%s-%s.so", how->project, module, look.hex);
    if (strcmp(path, image_path) == 0)
        return 0;
    struct molt_match_side old = open_image(path), now = open_image(image_path);
    int rc = old.bytes && now.bytes ? match_one_way(how, &old, &now, false, err)
                                    : molt_error_set(err, MOLT_ENOENT, "no image %s", path);
    if (rc >= 0)
        rc = match_one_way(how, &now, &old, true, err);
    close_image(&old);
    close_image(&now);
    return rc;
}
