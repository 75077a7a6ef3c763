// SPDX-License-Identifier: GPL-2.0
/* Free page reporting: which pageblocks are worth emptying, and when. */

/**
 * DOC: plan
 *
 * **Model.** Free memory in blocks below a huge page of the host cannot be
 * reported without breaking up that huge page. But the used pages of a sparse
 * pageblock can move into the free pages of others. That frees a huge page as a
 * whole. Its price is the pages to move, one report, and a later refault; its
 * gain is 2 MiB. So this is the ski rental of page_reporting_pacing.c with a
 * higher price, for another kind of free memory: the *fragments*, which are
 * free blocks below a pageblock. A round looks at all pageblocks of a zone,
 * and then empties some of them.
 *
 * **When.** A round starts when enough fragments have been idle for B, where B
 * is that of a pageblock of which half is in use: to move a page is taken to
 * cost 2 us, so B is 1.8 s. The level of the fragments is sampled by passes,
 * as a hook for each small block would slow down the allocator. A sample sees
 * less than a hook does. But what a hook would see is a demand for fragments,
 * and when they have become a whole block, that demand falls on the level of
 * whole blocks, before anything is reported. So a wrong decision costs the
 * moves, and no refault.
 *
 * A round looks at all pageblocks a few times, which costs up to 10 us for each.
 * So enough is one of 64 pages, and at least 8 pageblocks. While fragments
 * still come in, a round would have to be followed by others: so enough is also
 * half of what there is.
 *
 * **Which.** The emptiest pageblocks, as long as
 *
 * - what is used in them fits into the free pages of those that stay, less a
 *   reserve of one of 32 pages
 * - not more than the surplus becomes whole blocks
 * - at most 3/4 of each is in use, which makes the price at most a third higher
 *   than that of a half
 *
 * Targets are the fullest pageblocks, those that cannot be emptied included. So
 * what lies between is left as it is, for another round.
 * Reported and whole free blocks are neither emptied nor filled.
 *
 * **Back-off.** Two rounds in a zone are at least 4 B apart, so that no
 * pageblock is emptied twice within 4 B. If a round has emptied less than half
 * of what it planned, or if it was over less than 16 B after it was allowed to
 * start, the next one has to wait twice as long, up to 64 B.
 *
 * **End.** What a round leaves otherwise is of no use to another one. So the next one
 * waits until there is enough beyond that. Without new fragments, none is due.
 */

#include <linux/minmax.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/types.h>

#include "page_reporting_plan.h"

/* The highest class that is emptied: at most 3/4 is in use. */
#define HIGHEST			(PAGE_REPORTING_CLASSES * 3 / 4 - 1)
/* One of so many free pages is not planned for. */
#define RESERVE			32

/* An excess of one of so many pages is worth a round, and no less than this. */
#define LEAST_SHARE		64
#define LEAST_BLOCKS		8

/* Rounds are so many B apart, and doubled this often at most. */
#define APART			4
#define SOON			16
#define BACKOFF_MAX		4U

/* The class of a pageblock of @block pages of which @used are in use. */
unsigned int page_reporting_class(unsigned int used, unsigned int block)
{
	return min(used * PAGE_REPORTING_CLASSES / block,
		   PAGE_REPORTING_CLASSES - 1U);
}

/* Adds a pageblock. @class may be PAGE_REPORTING_STUCK. */
void page_reporting_survey_add(struct page_reporting_survey *survey,
			       unsigned int class, unsigned int used,
			       unsigned int holes)
{
	survey->blocks[class]++;
	survey->used[class] += used;
	survey->holes[class] += holes;
}

static u64 all_holes(const struct page_reporting_survey *survey)
{
	unsigned int class;
	u64 holes = 0;

	for (class = 0; class <= PAGE_REPORTING_STUCK; class++)
		holes += survey->holes[class];
	return holes;
}

/* How many more pageblocks of a class can be emptied into @holes. */
static u64 that_fit(const struct page_reporting_survey *survey,
		    unsigned int class, u64 holes, u64 moves)
{
	u64 nr = survey->blocks[class], each;

	if (holes <= moves || !nr)
		return 0;
	/* One that is emptied takes its own free pages away, too. */
	each = div64_u64(survey->used[class] + survey->holes[class] + nr - 1, nr);
	return min(nr, div64_u64(holes - moves, max(each, (u64)1)));
}

/* Chooses the fullest pageblocks that take what is to be moved. */
static void choose_targets(const struct page_reporting_survey *survey,
			   struct page_reporting_plan *plan)
{
	u64 holes = 0;

	for (plan->dense = PAGE_REPORTING_STUCK; ; plan->dense--) {
		holes += survey->holes[plan->dense];
		plan->shares = holes - holes / RESERVE < plan->moves;
		if (!plan->shares || plan->dense == plan->sparse + 1)
			return;
	}
}

/**
 * page_reporting_plan - decide which pageblocks to empty, and which to fill
 * @survey: the pageblocks
 * @surplus: pages in small free blocks that may become whole blocks
 * @block: pages in a pageblock
 *
 * Return: the plan.
 */
struct page_reporting_plan
page_reporting_plan(const struct page_reporting_survey *survey, u64 surplus,
		    unsigned int block)
{
	u64 most = div64_u64(surplus, block), holes = all_holes(survey);
	struct page_reporting_plan plan = {};
	unsigned int class;

	holes -= holes / RESERVE;
	for (class = 0; class <= HIGHEST && plan.blocks < most; class++) {
		u64 nr = min(that_fit(survey, class, holes, plan.moves),
			     most - plan.blocks);

		if (nr) {
			plan.sparse = class;
			plan.of_sparse = nr;
			plan.blocks += nr;
			plan.moves += div64_u64(survey->used[class] * nr,
						survey->blocks[class]);
		}
		if (nr < survey->blocks[class])
			break;
		holes -= min(holes, survey->holes[class]);
	}
	plan.more = plan.blocks == most;
	choose_targets(survey, &plan);
	return plan;
}

/**
 * page_reporting_fragments_init - start with nothing known
 * @fragments: the demand
 * @order: order of a pageblock
 * @pages: pages in the zone
 * @level: pages in small free blocks
 * @now_ms: the current time
 */
void page_reporting_fragments_init(struct page_reporting_fragments *fragments,
				   unsigned int order, u64 pages, u64 level,
				   u64 now_ms)
{
	*fragments = (struct page_reporting_fragments) {
		.excess = level,
		.least = max(pages / LEAST_SHARE, (u64)LEAST_BLOCKS << order),
	};
	page_reporting_pacing_init_fragments(&fragments->pacing, order, level,
					     now_ms);
}

/* How much has to be idle for a round: not less than what is not. */
static u64 enough(const struct page_reporting_fragments *fragments)
{
	return max(fragments->least, fragments->excess / 2);
}

/**
 * page_reporting_fragments_sample - note how many fragments there are now
 * @fragments: the demand
 * @level: pages in small free blocks
 * @now_ms: the current time
 *
 * Return: the pages that a round may make whole blocks of, or 0 if no round is
 * to start now.
 */
u64 page_reporting_fragments_sample(struct page_reporting_fragments *fragments,
				    u64 level, u64 now_ms)
{
	struct page_reporting_pacing *pacing = &fragments->pacing;
	u64 seen, idle;

	fragments->floor = min(fragments->floor, level);
	level -= fragments->floor;
	/* What it was in between is not known, but no more than both. */
	seen = min(fragments->excess, level);
	fragments->excess = level;
	page_reporting_pacing_fell(pacing, seen);
	page_reporting_pacing_advance(pacing, seen, now_ms);
	idle = page_reporting_pacing_decide(pacing, level, now_ms);
	if (idle < enough(fragments) || now_ms < fragments->start_ms)
		return 0;
	return idle;
}

/**
 * page_reporting_fragments_wait - the time until the next sample is needed
 * @fragments: the demand
 * @now_ms: the current time
 *
 * Return: ms from now, or PAGE_REPORTING_NEVER if there are too few fragments.
 */
unsigned int
page_reporting_fragments_wait(struct page_reporting_fragments *fragments,
			      u64 now_ms)
{
	struct page_reporting_pacing *pacing = &fragments->pacing;
	u64 block = (u64)1 << pacing->order, rest_ms;
	unsigned int wait_ms;

	if (fragments->excess < fragments->least)
		return PAGE_REPORTING_NEVER;
	wait_ms = page_reporting_pacing_wait(pacing, fragments->excess,
					     enough(fragments) - block, now_ms);
	if (now_ms >= fragments->start_ms)
		return wait_ms;
	rest_ms = fragments->start_ms - now_ms;
	pacing->due_ms = max(pacing->due_ms, fragments->start_ms);
	return max_t(u64, wait_ms, rest_ms);
}

/**
 * page_reporting_fragments_emptied - a round is over
 * @fragments: the demand
 * @plan: what it had planned
 * @blocks: pageblocks that it has emptied
 * @done: it has tried all that it had planned
 * @level: pages in small free blocks now
 * @now_ms: the current time
 */
void page_reporting_fragments_emptied(struct page_reporting_fragments *fragments,
				      const struct page_reporting_plan *plan,
				      u64 blocks, bool done, u64 level,
				      u64 now_ms)
{
	u64 b_ms = fragments->pacing.break_even_ms;
	bool soon = fragments->start_ms &&
		    now_ms < fragments->start_ms + SOON * b_ms;

	if (soon || 2 * blocks < plan->blocks)
		fragments->backoff = min(fragments->backoff + 1, BACKOFF_MAX);
	else
		fragments->backoff = 0;
	/* What was not tried is as good as it was. */
	if (done && !plan->more)
		fragments->floor = level;
	fragments->floor = min(fragments->floor, level);
	fragments->excess = level - fragments->floor;
	fragments->start_ms = now_ms + (APART * b_ms << fragments->backoff);
	page_reporting_pacing_init_fragments(&fragments->pacing,
					     fragments->pacing.order,
					     fragments->excess, now_ms);
}
