// SPDX-License-Identifier: GPL-2.0
/*
 * A model of a program that takes memory bit by bit, frees all of it, and pauses.
 */
#include <stdlib.h>

#include "churn.h"

/* The steps in which a program touches memory. */
#define STEP_MS		10

void churn_init(struct churn *churn, const struct churn_config *config)
{
	*churn = (struct churn) {
		.config = *config,
		.next_ms = config->start_ms,
		.seed = 1,
	};
	churn->blocks = allocate(NULL, (config->pages >> config->low) * sizeof(*churn->blocks));
}

void churn_free(struct churn *churn)
{
	free(churn->blocks);
}

void churn_take(struct churn *churn, struct guest *guest, u64 pages)
{
	const struct churn_config *config = &churn->config;
	u64 until = min(churn->has + pages, config->pages);

	while (churn->has < until) {
		unsigned int order = config->low, pfn;

		if (config->high > config->low)
			order += draw(&churn->seed, config->high - config->low + 1);
		while (order > config->low && churn->has + (1ULL << order) > until)
			order--;
		if (churn->has + (1ULL << order) > config->pages)
			break;
		pfn = guest_take(guest, order, config->type);
		if (pfn == NO_PFN)
			break;
		churn->blocks[churn->nr++] = (struct block) { pfn, order };
		churn->has += 1ULL << order;
	}
}

/* Frees the memory taken last, or all of it in the order in which it was taken. */
void churn_give(struct churn *churn, struct guest *guest, u64 pages)
{
	while (churn->nr && pages) {
		struct block block = churn->blocks[--churn->nr];

		guest_give(guest, block.pfn, block.order);
		churn->has -= 1ULL << block.order;
		pages -= min(pages, 1ULL << block.order);
	}
}

void churn_stop(struct churn *churn, struct guest *guest)
{
	u64 i;

	for (i = 0; i < churn->nr; i++)
		guest_give(guest, churn->blocks[i].pfn, churn->blocks[i].order);
	churn->nr = 0;
	churn->has = 0;
}

static void step(struct churn *churn, struct guest *guest)
{
	const struct churn_config *config = &churn->config;
	u64 had = churn->has, steps = max(config->touch_ms / STEP_MS, 1ULL);

	churn_take(churn, guest, max(config->pages / steps, 1ULL << config->low));
	if (churn->has < config->pages && churn->has > had) {
		churn->next_ms += config->touch_ms / steps;
		return;
	}
	churn_stop(churn, guest);
	churn->next_ms += config->pause_ms;
}

void churn_run(struct churn *churns, unsigned int nr, struct guest *guest, u64 until_ms)
{
	while (!guest->broken) {
		struct churn *first = churns;
		unsigned int i;

		for (i = 1; i < nr; i++)
			if (churns[i].next_ms < first->next_ms)
				first = &churns[i];
		if (first->next_ms > until_ms)
			break;
		guest_run(guest, first->next_ms);
		/* A stall delays the program, too. */
		first->next_ms = max(first->next_ms, guest->now_ms);
		step(first, guest);
	}
	guest_run(guest, until_ms);
}
