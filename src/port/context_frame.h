/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The part of a context switch that differs by CPU.
 *
 * Threads: as context.h.
 */
#ifndef MOLT_PORT_CONTEXT_FRAME_H
#define MOLT_PORT_CONTEXT_FRAME_H

#include "port/context.h"

/* Save the callee-saved registers on the stack and where that is in *@save_sp,
 * then go on with those saved at @to_sp. */
void molt_context_swap(void **save_sp, void *to_sp);

/* First frame of a context; calls molt_context_main(). Not to be called: it is
 * where molt_context_swap() goes on when @context is entered first. */
void molt_context_start(void);

/* Write below @top, which is 16-byte aligned, what molt_context_swap() would
 * have saved just before molt_context_start(); returns where, for @to_sp. */
void *molt_context_frame(void *top, struct molt_context *context);

#endif
