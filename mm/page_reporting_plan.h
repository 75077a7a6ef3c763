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
 * @holes: free pages in them
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
 * @more: limited by the surplus: more might fit, but is not idle
 * @cheap: how many classes to wait for: the most pageblocks for their price
 * @next: as @cheap, but counting only pageblocks that are not affordable now;
 *	0 if there are none
 * @shares: the holes from @dense on are not enough: also fill the pageblocks
 *	of @sparse that are not emptied
 */
struct page_reporting_plan {
	u64 blocks;
	u64 moves;
	unsigned int sparse;
	u64 of_sparse;
	unsigned int dense;
	bool more;
	unsigned int cheap;
	unsigned int next;
	bool shares;
};

/**
 * struct page_reporting_free - the free memory of a zone, in pages
 * @small: in blocks below a pageblock: the fragments
 * @whole: in others
 */
struct page_reporting_free {
	u64 small;
	u64 whole;
};

/* How a round ended. */
enum page_reporting_end {
	PAGE_REPORTING_END_DONE,	/* it has tried all that it had planned */
	PAGE_REPORTING_END_DEAR,	/* moves cost more than was planned for */
	PAGE_REPORTING_END_CUT,		/* it had to stop */
};

/**
 * struct page_reporting_round - what came of a round
 * @plan: what it had planned
 * @blocks: pageblocks that it has emptied
 * @failed: pageblocks that it could not empty
 * @cost_ns: CPU time that it has spent
 * @end: how it ended
 */
struct page_reporting_round {
	struct page_reporting_plan plan;
	u64 blocks;
	u64 failed;
	u64 cost_ns;
	enum page_reporting_end end;
};

/**
 * struct page_reporting_fragments - the demand for a zone's small free blocks
 * @pacing: windows over the excess
 * @excess: pages in small free blocks above @floor, at the latest sample
 * @floor: pages that were left by the last round that tried all it had planned,
 *	or the lowest number since
 * @least: the excess that is worth a round, in pages
 * @idle: pages that were idle for B at the latest sample; 0 if they were not
 *	enough
 * @age_ms: for how long they were idle by then, on average
 * @noted_ms: when the latest sample was
 * @spent_ns: CPU time of the latest moves
 * @moved: the latest moves, in pages
 * @ask: no round starts until this many classes are affordable
 * @asked: pages that were idle when @ask was set
 * @start_ms: no round starts before; 0 before the first one
 * @pays_ms: time until which the gain of the last round has to last to pay off
 * @gained: pages in the whole blocks that it has made; 0 once they have lasted
 *	until @pays_ms, or half of them were taken apart before
 * @left: what was free when it had ended
 * @backoff: doublings of the time between two rounds
 * @retry_ms: when failed pageblocks may be tried again
 */
struct page_reporting_fragments {
	struct page_reporting_pacing pacing;
	u64 excess;
	u64 floor;
	u64 least;
	u64 idle;
	u64 age_ms;
	u64 noted_ms;
	u64 spent_ns;
	u64 moved;
	unsigned int ask;
	u64 asked;
	u64 start_ms;
	u64 pays_ms;
	u64 gained;
	struct page_reporting_free left;
	unsigned int backoff;
	u64 retry_ms;
};

unsigned int page_reporting_class(unsigned int used, unsigned int block);
void page_reporting_survey_add(struct page_reporting_survey *survey,
			       unsigned int class, unsigned int used,
			       unsigned int holes);
struct page_reporting_plan
page_reporting_plan(const struct page_reporting_survey *survey, u64 surplus,
		    unsigned int classes, unsigned int block);

void page_reporting_fragments_init(struct page_reporting_fragments *fragments,
				   unsigned int order, u64 level, u64 now_ms);
void page_reporting_fragments_resize(struct page_reporting_fragments *fragments,
				     u64 pages);
u64 page_reporting_fragments_sample(struct page_reporting_fragments *fragments,
				    struct page_reporting_free free, u64 now_ms);
void page_reporting_fragments_put_off(struct page_reporting_fragments *fragments,
				      u64 ms, u64 now_ms);
unsigned int
page_reporting_fragments_wait(struct page_reporting_fragments *fragments,
			      u64 now_ms);
unsigned int
page_reporting_fragments_affordable(const struct page_reporting_fragments *fragments,
				    u64 now_ms);
bool page_reporting_fragments_too_dear(const struct page_reporting_fragments *fragments,
				       unsigned int class, u64 now_ms);
void page_reporting_fragments_moved(struct page_reporting_fragments *fragments,
				    u64 pages, u64 ns);
bool page_reporting_fragments_retry(struct page_reporting_fragments *fragments,
				    u64 now_ms);
bool page_reporting_fragments_left(const struct page_reporting_fragments *fragments,
				   const struct page_reporting_round *round);
void page_reporting_fragments_emptied(struct page_reporting_fragments *fragments,
				      const struct page_reporting_round *round,
				      struct page_reporting_free free, u64 now_ms);

#endif /* _MM_PAGE_REPORTING_PLAN_H */
