/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/context.h"

#include <pthread.h>
#include <string.h>

#include "port/context_frame.h"
#include "port/sanitize.h"

/* Called by molt_context_start on the new stack. */
void molt_context_main(struct molt_context *self);

#ifdef MOLT_HAS_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                     size_t *size_old);
#endif
#ifdef MOLT_HAS_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

static void before_switch(struct molt_context *from, const struct molt_context *to)
{
#ifdef MOLT_HAS_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef MOLT_HAS_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    (void)from;
    (void)to;
}

static void after_switch(struct molt_context *self)
{
#ifdef MOLT_HAS_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
    (void)self;
}

void molt_context_main(struct molt_context *self)
{
    after_switch(self);
    self->entry(self->arg);
    __builtin_trap();
}

void molt_context_init_thread(struct molt_context *self)
{
    memset(self, 0, sizeof(*self));
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &self->stack, &self->stack_bytes);
        pthread_attr_destroy(&attr);
    }
#ifdef MOLT_HAS_TSAN
    self->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void molt_context_init(struct molt_context *context, void *stack, size_t bytes,
                       molt_context_entry *entry, void *arg)
{
    memset(context, 0, sizeof(*context));
    context->stack = stack;
    context->stack_bytes = bytes;
    context->entry = entry;
    context->arg = arg;
    molt_sanitize_unpoison(stack, bytes);
    context->sp = molt_context_frame((char *)stack + bytes, context);
#ifdef MOLT_HAS_TSAN
    context->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void molt_context_fini(struct molt_context *context)
{
    molt_sanitize_unpoison(context->stack, context->stack_bytes);
#ifdef MOLT_HAS_TSAN
    if (context->tsan_fiber)
        __tsan_destroy_fiber(context->tsan_fiber);
    context->tsan_fiber = NULL;
#endif
}

void molt_context_enter(struct molt_context *from, struct molt_context *to)
{
    to->caller = from;
    before_switch(from, to);
    molt_context_swap(&from->sp, to->sp);
    after_switch(from);
}

void molt_context_leave(struct molt_context *from)
{
    before_switch(from, from->caller);
    molt_context_swap(&from->sp, from->caller->sp);
    after_switch(from);
}
