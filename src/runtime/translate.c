/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/translate.h"

#include "runtime/adopt.h"
#include "runtime/rt.h"

bool molt_translate_fits_more(const struct molt_world *world, const struct molt_block *root)
{
    const struct molt_block *block = root;
    while ((block = molt_message_next(root, block)))
        if (!molt_world_takes(world, block->type))
            return false;
    return true;
}

/* What a message says beside its blocks. */
struct label {
    enum molt_message_kind kind;
    struct molt_from from;
    uint32_t generation;
};

static struct label label_of(const struct molt_block *root)
{
    return (struct label){molt_message_kind(root), molt_message_from(root),
                          molt_message_generation(root)};
}

static void repack(struct molt_list *blocks, struct molt_block *root, const struct label *label)
{
    molt_message_repack(blocks, root);
    molt_message_set_kind(root, label->kind);
    molt_message_set_from(root, label->from);
    molt_message_set_generation(root, label->generation);
}

int molt_translate(struct molt_runner *runner, struct molt_process *p,
                   const struct molt_world *world, struct molt_block **root,
                   struct molt_migration_fault *fault)
{
    struct molt_migration migration;
    struct molt_change_env env = {.runner = runner, .process = p, .migration = &migration};
    struct molt_list blocks;
    struct label label = label_of(*root);
    struct molt_migrate how = {.heap = p->rt->heap,
                               .cache = &runner->cache,
                               .blocks = &blocks,
                               .world = world,
                               .call = molt_adopt_call_change,
                               .user = &env};
    molt_list_init(&blocks);
    (void)molt_message_unpack(*root, &blocks);
    int rc = molt_migrate(&how, &migration, fault);
    if (rc == 1) {
        *root = molt_migration_of(&migration, *root);
        molt_migration_replace(&migration, p->rt->heap, &runner->cache, &blocks, &p->owner);
    }
    repack(&blocks, *root, &label);
    return rc;
}

int molt_translate_reply(struct molt_process *p, struct molt_block **root)
{
    struct molt_migration_fault fault;
    struct molt_runner *runner = molt_runner_here();
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (molt_translate_fits(world, *root))
        return 0;
    int rc = molt_translate(runner, p, world, root, &fault);
    if (rc >= 0)
        return 0;
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN,
                     "%s: an answer of type '%s' can't be converted for world "
                     "%llu: %s",
                     label, (*root)->type->name, (unsigned long long)world->id, fault.why);
    molt_message_drop(p->rt->heap, &runner->cache, *root);
    *root = NULL;
    return rc == MOLT_ENOMEM ? MOLT_ENOMEM : MOLT_ETYPE;
}
