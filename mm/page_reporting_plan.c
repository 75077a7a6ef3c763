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
 * **When.** The rent of a pageblock's worth of fragments is what it costs to
 * keep them: 2 MiB for a second are worth 0.49 ms of a CPU. A pageblock is
 * emptied once the rent that was paid is as high as its price, which is that of
 * a huge page's report and refault, and of the moves. So to empty it never
 * costs more than what was lost by waiting, and both together are at most twice
 * as much as with a known future.
 *
 * What a move costs is measured: 2 us is only what the first round believes. It
 * is several times as much where a program uses the pages at the same time, as
 * its CPU has to flush their translations, or without hardware for nested
 * paging. A round that finds moves to cost more than twice what it can afford
 * plans again for the rest, with the cheaper pageblocks only. The next round is
 * due once the rent pays for the best value among the dearer pageblocks: the
 * most pageblocks for the price of the dearest of them. Meanwhile some
 * of them get cheaper by themselves, as the allocator prefers the smallest free
 * blocks, and those are in the fullest pageblocks: in a guest that replaces
 * pages at random, what is in use in the emptier half of the pageblocks fell
 * from 280 to 54 pages in 17 s.
 *
 * No round starts before enough fragments have been idle for B, where B is that
 * of a pageblock of which half is in use: 1.8 s. The level of the fragments is
 * sampled by passes, as a hook for each small block would slow down the
 * allocator. A sample misses demand for fragments that a hook would see. But
 * once fragments have become a whole block, that demand lowers the level of
 * whole blocks, before anything is reported. So a wrong decision costs the
 * moves, and no refault.
 *
 * A round looks at all pageblocks a few times, which costs up to 10 us for each.
 * So "enough" is at least 1/64 of the zone's pages, and at least 8 pageblocks.
 * While fragments still come in, a round would have to be followed by others:
 * so "enough" is also at least half of the fragments there are.
 *
 * **Which.** The emptiest pageblocks whose price is paid, as long as
 *
 * - what is used in them fits into the free pages of those that stay, less a
 *   reserve of 1/32
 * - not more than the surplus becomes whole blocks
 * - at most 3/4 of each is in use: above that, the gain is too small compared
 *   to the reserve and to what the survey does not see
 *
 * Targets are the fullest pageblocks, those that cannot be emptied included. So
 * what lies between is left as it is, for another round.
 * Reported and whole free blocks are neither emptied nor filled.
 *
 * **Back-off.** Two rounds in a zone are at least 4 B apart, so that no
 * pageblock is emptied twice within 4 B. The next one has to wait for twice as
 * long, up to 64 B, if a round has tried all that it planned and emptied less
 * than half of it, found nothing to try, or was cut short before it emptied any;
 * or if half of the whole blocks that it has made are taken apart before their
 * rent has reached four times what the round has cost.
 *
 * A pageblock that could not be emptied, as a page is pinned for long, would be
 * chosen again and again, instead of others. So it counts as one that cannot be
 * emptied: all that failed are forgotten every 64 B, or by a flush.
 *
 * **End.** Fragments that a round has left do not count for the next one, but
 * those that it did not try, or that were not idle or too dear. They count also
 * if so many attempts failed that as many others would be worth a round, unless
 * the back-off has reached its maximum. The next round waits until enough others
 * are free. Without new fragments, none is due.
 */

#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/types.h>

#include "page_reporting_plan.h"

/* How many classes are ever emptied: at most 3/4 of a pageblock is in use. */
#define EMPTIED			(PAGE_REPORTING_CLASSES * 3U / 4)
/* One of so many free pages is not planned for. */
#define RESERVE			32

/*
 * The excess that is worth a round: one of so many pages of the zone, but at
 * least so many pageblocks.
 */
#define LEAST_SHARE		64
#define LEAST_BLOCKS		8

/* A report and a refault cost about as much as moves of so many classes. */
#define REFAULT_CLASSES		4

/* Rounds are so many B apart, and doubled this often at most. */
#define APART			4
#define BACKOFF_MAX		4U

/* What a round has gained has to be worth so many times what it has cost. */
#define WORTH			4
/* If moves cost so many times what is affordable, a round plans again. */
#define TOO_DEAR		2

/* A longer time is not needed: its rent would pay any price. */
#define AGE_MAX_MS		((u64)3600 * 1000)
/* Fixed-point numbers have so many fraction bits. */
#define SHARE_SHIFT		10

/* A move's price is the mean of about so many of the latest. It has a limit. */
#define PRICE_PAGES		4096ULL
#define PRICE_MAX_NS		(64ULL * PAGE_REPORTING_MOVE_NS)
/* A move counts for at most so many times the price of the others. */
#define OUTLIER			4
/* Besides the pages that were moved, so many may have been tried in vain. */
#define OUTLIER_PAGES		64

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

/*
 * How many classes it is best to wait for, if pageblocks below @class do not
 * count: where there are most pageblocks for the price of the dearest. 0 if
 * there are none.
 */
static unsigned int best_of(const struct page_reporting_survey *survey,
			    unsigned int class)
{
	unsigned int best = 0;
	u64 blocks = 0, most = 0, worth;

	for (; class < EMPTIED; class++) {
		blocks += survey->blocks[class];
		worth = div64_u64(blocks << SHARE_SHIFT, class + REFAULT_CLASSES);
		if (worth > most) {
			most = worth;
			best = class + 1;
		}
	}
	return best;
}

/**
 * page_reporting_plan - decide which pageblocks to empty, and which to fill
 * @survey: the pageblocks
 * @surplus: pages in small free blocks that may become whole blocks
 * @classes: only these classes, the emptiest ones, are worth their price
 * @block: pages in a pageblock
 *
 * Return: the plan.
 */
struct page_reporting_plan
page_reporting_plan(const struct page_reporting_survey *survey, u64 surplus,
		    unsigned int classes, unsigned int block)
{
	u64 most = div64_u64(surplus, block), holes = all_holes(survey);
	struct page_reporting_plan plan = {};
	unsigned int class;

	classes = min(classes, EMPTIED);
	holes -= holes / RESERVE;
	for (class = 0; class < classes && plan.blocks < most; class++) {
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
	plan.cheap = best_of(survey, 0);
	/* If affordable pageblocks are left, the price is not the limit. */
	if (class == classes)
		plan.next = best_of(survey, classes);
	choose_targets(survey, &plan);
	return plan;
}

/* The zone has @pages: needed after the start, and when that changes. */
void page_reporting_fragments_resize(struct page_reporting_fragments *fragments,
				     u64 pages)
{
	fragments->least = max(pages / LEAST_SHARE,
			       (u64)LEAST_BLOCKS << fragments->pacing.order);
}

/**
 * page_reporting_fragments_init - start with nothing known
 * @fragments: the demand
 * @order: order of a pageblock
 * @level: pages in small free blocks
 * @now_ms: the current time
 */
void page_reporting_fragments_init(struct page_reporting_fragments *fragments,
				   unsigned int order, u64 level, u64 now_ms)
{
	*fragments = (struct page_reporting_fragments) {
		.excess = level,
		.spent_ns = PRICE_PAGES / 8 * PAGE_REPORTING_MOVE_NS,
		.moved = PRICE_PAGES / 8,
	};
	page_reporting_pacing_init_fragments(&fragments->pacing, order, level,
					     now_ms);
}

static u64 block_of(const struct page_reporting_fragments *fragments)
{
	return (u64)1 << fragments->pacing.order;
}

/*
 * How much has to be idle for a round: at least as much as is not. In whole
 * blocks, as what is idle is.
 */
static u64 enough(const struct page_reporting_fragments *fragments)
{
	u64 pages = max(fragments->least, fragments->excess / 2);

	return ALIGN(pages, block_of(fragments));
}

static u64 move_ns(const struct page_reporting_fragments *fragments)
{
	return min(div64_u64(fragments->spent_ns, fragments->moved), PRICE_MAX_NS);
}

/**
 * page_reporting_fragments_moved - learn the price of a move
 * @fragments: the demand
 * @pages: pages that were moved
 * @ns: CPU time that was spent, also for what did not move
 */
void page_reporting_fragments_moved(struct page_reporting_fragments *fragments,
				    u64 pages, u64 ns)
{
	u64 most_ns = OUTLIER * (move_ns(fragments) + 1);

	pages = min(pages, PRICE_PAGES);
	fragments->moved += pages;
	/* The hypervisor may have run something else meanwhile. */
	fragments->spent_ns += min(ns, most_ns * (pages + OUTLIER_PAGES));
	while (fragments->moved > PRICE_PAGES) {
		fragments->moved /= 2;
		fragments->spent_ns /= 2;
	}
}

/* How many classes, the emptiest ones, are worth emptying for this rent. */
static unsigned int classes_for(const struct page_reporting_fragments *fragments,
				u64 rent_ns)
{
	u64 block = block_of(fragments), pages;

	rent_ns -= min(rent_ns, page_reporting_pacing_price_ns(block));
	pages = div64_u64(rent_ns, move_ns(fragments) ?: 1);
	return min(pages, block) * PAGE_REPORTING_CLASSES >> fragments->pacing.order;
}

/* For how long what is idle was idle, on average. */
static u64 age_ms(const struct page_reporting_fragments *fragments, u64 now_ms)
{
	if (!fragments->idle)
		return 0;
	return fragments->age_ms + now_ms - min(now_ms, fragments->noted_ms);
}

/* The rent that was paid for a pageblock's worth of what is idle. */
static u64 rent_ns(const struct page_reporting_fragments *fragments, u64 now_ms)
{
	return page_reporting_pacing_rent_ns(block_of(fragments),
					     age_ms(fragments, now_ms));
}

/* How many classes are worth emptying now, the emptiest ones. */
unsigned int
page_reporting_fragments_affordable(const struct page_reporting_fragments *fragments,
				    u64 now_ms)
{
	return min(classes_for(fragments, rent_ns(fragments, now_ms)), EMPTIED);
}

/* Are moves too dear now to go on emptying pageblocks up to this class? */
bool page_reporting_fragments_too_dear(const struct page_reporting_fragments *fragments,
				       unsigned int class, u64 now_ms)
{
	return class >= classes_for(fragments,
				    TOO_DEAR * rent_ns(fragments, now_ms));
}

/* The time in ms until so many classes, the emptiest ones, are affordable. */
static u64 until_affordable_ms(const struct page_reporting_fragments *fragments,
			       unsigned int classes, u64 now_ms)
{
	u64 block = block_of(fragments), ns, ms;

	if (!classes)
		return 0;
	ns = page_reporting_pacing_price_ns(block) +
	     (classes * block / PAGE_REPORTING_CLASSES + 1) * (move_ns(fragments) + 1);
	ms = page_reporting_pacing_rent_ms(block, ns);
	return ms - min(ms, age_ms(fragments, now_ms));
}

/* Was half of what the last round has gained taken apart again? */
static bool came_back(const struct page_reporting_fragments *fragments,
		      struct page_reporting_free free)
{
	u64 half = fragments->gained / 2;

	return free.small >= fragments->left.small + half &&
	       free.whole + half <= fragments->left.whole;
}

/* The next round may start 4 B after @now_ms, doubled by the back-off. */
static void put_off(struct page_reporting_fragments *fragments, u64 now_ms)
{
	u64 b_ms = fragments->pacing.break_even_ms;

	fragments->start_ms = now_ms + (APART * b_ms << fragments->backoff);
}

static void look_back(struct page_reporting_fragments *fragments,
		      struct page_reporting_free free, u64 now_ms)
{
	if (!fragments->gained)
		return;
	if (now_ms >= fragments->pays_ms) {
		fragments->backoff = 0;
		fragments->gained = 0;
	} else if (came_back(fragments, free)) {
		fragments->backoff = min(fragments->backoff + 1, BACKOFF_MAX);
		put_off(fragments, now_ms);
		fragments->gained = 0;
	}
}

/* Notes how much is idle, if that is enough for a round, and for how long. */
static void note_idle(struct page_reporting_fragments *fragments, u64 idle,
		      u64 now_ms)
{
	u64 b_ms = fragments->pacing.break_even_ms, old;

	if (idle < enough(fragments)) {
		fragments->idle = 0;
		fragments->ask = 0;
		return;
	}
	fragments->age_ms = min(age_ms(fragments, now_ms), AGE_MAX_MS);
	if (idle > fragments->idle) {
		/* What is new among it was idle for B. */
		old = div64_u64(fragments->idle << SHARE_SHIFT, idle);
		fragments->age_ms = (fragments->age_ms * old +
				     b_ms * ((1 << SHARE_SHIFT) - old)) >>
				    SHARE_SHIFT;
	}
	/* With this much more, other classes may be the best to wait for. */
	if (idle > fragments->asked + fragments->asked / 4)
		fragments->ask = 0;
	fragments->idle = idle;
	fragments->noted_ms = now_ms;
}

/**
 * page_reporting_fragments_sample - note how many fragments there are now
 * @fragments: the demand
 * @free: the free memory
 * @now_ms: the current time
 *
 * Return: the pages that a round may make whole blocks of, or 0 if no round is
 * to start now.
 */
u64 page_reporting_fragments_sample(struct page_reporting_fragments *fragments,
				    struct page_reporting_free free, u64 now_ms)
{
	struct page_reporting_pacing *pacing = &fragments->pacing;
	u64 level, seen, idle;

	look_back(fragments, free, now_ms);
	fragments->floor = min(fragments->floor, free.small);
	level = free.small - fragments->floor;
	/* The lowest level in between: at most the lower of the two. */
	seen = min(fragments->excess, level);
	fragments->excess = level;
	page_reporting_pacing_fell(pacing, seen);
	page_reporting_pacing_advance(pacing, seen, now_ms);
	idle = page_reporting_pacing_decide(pacing, level, now_ms);
	note_idle(fragments, idle, now_ms);
	if (now_ms < fragments->start_ms ||
	    until_affordable_ms(fragments, fragments->ask, now_ms))
		return 0;
	return fragments->idle;
}

/* Puts off a due round by @ms. More than an hour counts as an hour. */
void page_reporting_fragments_put_off(struct page_reporting_fragments *fragments,
				      u64 ms, u64 now_ms)
{
	ms = min(ms, AGE_MAX_MS);
	fragments->start_ms = max(fragments->start_ms, now_ms + ms);
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
	unsigned int wait_ms;
	u64 rest_ms;

	if (fragments->excess < enough(fragments))
		return PAGE_REPORTING_NEVER;
	wait_ms = page_reporting_pacing_wait(pacing, fragments->excess,
					     enough(fragments) - block_of(fragments),
					     now_ms);
	rest_ms = max(fragments->start_ms - min(fragments->start_ms, now_ms),
		      until_affordable_ms(fragments, fragments->ask, now_ms));
	if (rest_ms)
		page_reporting_pacing_put_off(pacing, rest_ms, now_ms);
	return max_t(u64, wait_ms, rest_ms);
}

/**
 * page_reporting_fragments_retry - may failed pageblocks be tried again?
 * @fragments: the demand
 * @now_ms: the current time
 *
 * Return: whether all that failed is to be forgotten, which is every 64 B.
 */
bool page_reporting_fragments_retry(struct page_reporting_fragments *fragments,
				    u64 now_ms)
{
	u64 b_ms = fragments->pacing.break_even_ms;

	if (now_ms < fragments->retry_ms)
		return false;
	fragments->retry_ms = now_ms + (APART * b_ms << BACKOFF_MAX);
	return true;
}

/**
 * page_reporting_fragments_left - are as many others left as could not be emptied?
 * @fragments: the demand
 * @round: what came of a round
 *
 * Return: whether these would be worth a round, which leaves out what failed.
 */
bool page_reporting_fragments_left(const struct page_reporting_fragments *fragments,
				   const struct page_reporting_round *round)
{
	return round->end == PAGE_REPORTING_END_DONE &&
	       round->failed << fragments->pacing.order >= fragments->least;
}

/* Has a round cost more than it can have gained? */
static bool was_in_vain(const struct page_reporting_round *round)
{
	if (round->end == PAGE_REPORTING_END_CUT)
		return !round->blocks;
	if (round->end == PAGE_REPORTING_END_DEAR)
		return false;
	if (!round->plan.blocks)
		return !round->plan.next;
	return 2 * round->blocks < round->plan.blocks;
}

/* When the next round may start, after one that has cost and gained this. */
static void settle(struct page_reporting_fragments *fragments,
		   const struct page_reporting_round *round, u64 now_ms)
{
	u64 pages = round->blocks << fragments->pacing.order;

	if (was_in_vain(round))
		fragments->backoff = min(fragments->backoff + 1, BACKOFF_MAX);
	fragments->gained = pages;
	fragments->pays_ms = now_ms +
		page_reporting_pacing_rent_ms(max(pages, block_of(fragments)),
					      WORTH * round->cost_ns);
	put_off(fragments, now_ms);
}

/**
 * page_reporting_fragments_emptied - a round is over
 * @fragments: the demand
 * @round: what came of it
 * @free: the free memory now
 * @now_ms: the current time
 */
void page_reporting_fragments_emptied(struct page_reporting_fragments *fragments,
				      const struct page_reporting_round *round,
				      struct page_reporting_free free, u64 now_ms)
{
	bool done = round->end == PAGE_REPORTING_END_DONE;
	u64 before = fragments->excess;
	bool others;

	settle(fragments, round, now_ms);
	others = page_reporting_fragments_left(fragments, round) &&
		 fragments->backoff < BACKOFF_MAX;
	fragments->left = free;
	/* Raise the floor only if nothing is left for another round. */
	if (done && !round->plan.more && !round->plan.next && !others)
		fragments->floor = free.small;
	fragments->floor = min(fragments->floor, free.small);
	fragments->excess = free.small - fragments->floor;
	page_reporting_pacing_isolated(&fragments->pacing,
				       before - min(before, fragments->excess));
	fragments->ask = done ? round->plan.next : round->plan.cheap;
	/* What is left is as old as it was. */
	fragments->idle -= min(fragments->idle, fragments->gained);
	fragments->asked = fragments->idle;
}
