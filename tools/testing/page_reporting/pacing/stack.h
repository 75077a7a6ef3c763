/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free memory as a stack, with the time since when each page has been idle.
 *
 * The kernel does not have this. It approximates the idle times by window minima.
 */
#ifndef _PACING_STACK_H
#define _PACING_STACK_H

#include "host.h"

/* Pages that have been idle since the same time. */
struct layer {
	u64 pages;
	u64 since_ms;
};

/* The layers @first to @last - 1, the bottom one first. */
struct stack {
	struct layer *layers;
	size_t first;
	size_t last;
	size_t room;
	u64 pages;
};

void stack_init(struct stack *stack);
void stack_free(struct stack *stack);
void stack_push(struct stack *stack, u64 pages, u64 now_ms);

/* Takes up to @pages from the top layer. There has to be one. */
struct layer stack_pop(struct stack *stack, u64 pages);
struct layer stack_pop_bottom(struct stack *stack, u64 pages);

/* Number of pages that have been idle for at least @ms. */
u64 stack_idle(const struct stack *stack, u64 ms, u64 now_ms);

#endif /* _PACING_STACK_H */
