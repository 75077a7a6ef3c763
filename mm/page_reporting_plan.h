/* SPDX-License-Identifier: GPL-2.0 */
/* Free page reporting: which pageblocks are worth emptying, and when. */
#ifndef _MM_PAGE_REPORTING_PLAN_H
#define _MM_PAGE_REPORTING_PLAN_H

#include <linux/types.h>

#include "page_reporting_pacing.h"

/* Pageblocks are told apart by how much of them is in use, in 64ths. */
#define PAGE_REPORTING_CLASSES		64
/* The class of a pageblock that cannot be emptied, however little is in use. */
#define PAGE_REPORTING_STUCK		PAGE_REPORTING_CLASSES

/**
 * struct page_reporting_survey - the partly used pageblocks of a zone
 * @blocks: pageblocks of each class
 * @used: pages in use in them
 * @holes: unreported free pages in them
 */
struct page_reporting_survey {
	u64 blocks[PAGE_REPORTING_CLASSES + 1];
	u64 used[PAGE_REPORTING_CLASSES + 1];
	u64 holes[PAGE_REPORTING_CLASSES + 1];
};

/**
 * struct page_reporting_plan - what a round is to do
 * @blocks: pageblocks to empty; 0 if none is worth it
 * @moves: pages in use in them
 * @sparse: the highest class to empty
 * @of_sparse: how many of that class; of the classes below, all are emptied
 * @dense: the lowest class to fill first; above @sparse
 * @more: more would fit, but is not idle
 * @shares: they are not enough: then fill those of @sparse that are not emptied
 */
struct page_reporting_plan {
	u64 blocks;
	u64 moves;
	unsigned int sparse;
	u64 of_sparse;
	unsigned int dense;
	bool more;
	bool shares;
};

/**
 * struct page_reporting_fragments - the demand for a zone's small free blocks
 * @pacing: windows over the excess
 * @excess: pages in small free blocks above @floor, at the latest sample
 * @floor: pages that the last round has left, or fewer, if it was less since
 * @least: the excess that is worth a round, in pages
 * @start_ms: no round starts before; 0 before the first one
 * @backoff: doublings of the time between two rounds
 */
struct page_reporting_fragments {
	struct page_reporting_pacing pacing;
	u64 excess;
	u64 floor;
	u64 least;
	u64 start_ms;
	unsigned int backoff;
};

unsigned int page_reporting_class(unsigned int used, unsigned int block);
void page_reporting_survey_add(struct page_reporting_survey *survey,
			       unsigned int class, unsigned int used,
			       unsigned int holes);
struct page_reporting_plan
page_reporting_plan(const struct page_reporting_survey *survey, u64 surplus,
		    unsigned int block);

void page_reporting_fragments_init(struct page_reporting_fragments *fragments,
				   unsigned int order, u64 pages, u64 level,
				   u64 now_ms);
u64 page_reporting_fragments_sample(struct page_reporting_fragments *fragments,
				    u64 level, u64 now_ms);
unsigned int
page_reporting_fragments_wait(struct page_reporting_fragments *fragments,
			      u64 now_ms);
void page_reporting_fragments_emptied(struct page_reporting_fragments *fragments,
				      const struct page_reporting_plan *plan,
				      u64 blocks, bool done, u64 level,
				      u64 now_ms);

#endif /* _MM_PAGE_REPORTING_PLAN_H */
