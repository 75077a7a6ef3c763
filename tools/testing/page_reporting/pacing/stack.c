// SPDX-License-Identifier: GPL-2.0
/*
 * Free memory as a stack, with the time since when each page has been idle.
 */
#include <stdlib.h>

#include "buddy.h"
#include "stack.h"

#define ROOM	64

void stack_init(struct stack *stack)
{
	*stack = (struct stack) { .room = ROOM };
	stack->layers = allocate(NULL, ROOM * sizeof(*stack->layers));
}

void stack_free(struct stack *stack)
{
	free(stack->layers);
}

/* Reuses the space of layers that left at the bottom, or else allocates more. */
static void make_room(struct stack *stack)
{
	size_t nr = stack->last - stack->first;

	if (stack->last < stack->room)
		return;
	memmove(stack->layers, stack->layers + stack->first, nr * sizeof(*stack->layers));
	stack->first = 0;
	stack->last = nr;
	if (nr < stack->room / 2)
		return;
	stack->room *= 2;
	stack->layers = allocate(stack->layers, stack->room * sizeof(*stack->layers));
}

void stack_push(struct stack *stack, u64 pages, u64 now_ms)
{
	if (!pages)
		return;
	if (stack->last > stack->first && stack->layers[stack->last - 1].since_ms == now_ms) {
		stack->layers[stack->last - 1].pages += pages;
		stack->pages += pages;
		return;
	}
	make_room(stack);
	stack->layers[stack->last++] = (struct layer) { pages, now_ms };
	stack->pages += pages;
}

static struct layer take(struct stack *stack, struct layer *layer, u64 pages)
{
	struct layer taken = { min(layer->pages, pages), layer->since_ms };

	layer->pages -= taken.pages;
	stack->pages -= taken.pages;
	return taken;
}

struct layer stack_pop(struct stack *stack, u64 pages)
{
	struct layer *top = &stack->layers[stack->last - 1];
	struct layer taken = take(stack, top, pages);

	stack->last -= !top->pages;
	return taken;
}

struct layer stack_pop_bottom(struct stack *stack, u64 pages)
{
	struct layer *bottom = &stack->layers[stack->first];
	struct layer taken = take(stack, bottom, pages);

	stack->first += !bottom->pages;
	return taken;
}

u64 stack_idle(const struct stack *stack, u64 ms, u64 now_ms)
{
	u64 pages = 0;
	size_t i;

	for (i = stack->first; i < stack->last; i++)
		if (now_ms - stack->layers[i].since_ms >= ms)
			pages += stack->layers[i].pages;
	return pages;
}
