/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the KUnit suites' access to the internals of compact.
 *
 * Included at the end of mm/page_reporting_compact.c, see
 * page_reporting_engine_kunit.h.
 */

#include <linux/delay.h>

#include "page_reporting_kunit.h"

const unsigned int fpr_engine_fragment_order = PAGE_REPORTING_FRAGMENT_ORDER;

/**
 * fpr_engine_move_debt_ns - CPU time that is charged to moves and not paid off yet
 *
 * Return: the time, in ns.
 */
u64 fpr_engine_move_debt_ns(void)
{
	return page_reporting_move_cap.debt_ns;
}

/**
 * fpr_engine_set_move_debt - set the CPU time that moves have to pay off
 * @ns: the time in ns, as if it had been spent just now
 */
void fpr_engine_set_move_debt(u64 ns)
{
	page_reporting_move_cap = (struct page_reporting_cap) {
		.debt_ns = ns,
		.paid_ms = page_reporting_now_ms(),
	};
}

/**
 * fpr_engine_least_fragments - how many pages of fragments are enough for a round
 * @zone: the zone
 *
 * Return: where that is stored, or NULL if no round was considered yet.
 */
u64 *fpr_engine_least_fragments(struct zone *zone)
{
	return zone->page_reporting && zone->page_reporting->compact ?
	       &zone->page_reporting->compact->fragments.least : NULL;
}

/**
 * fpr_engine_finds_block - is a pageblock one of a zone that may be emptied or filled?
 * @zone: the zone
 * @page: the first page of the pageblock
 *
 * Return: whether it is found in this zone.
 */
bool fpr_engine_finds_block(struct zone *zone, struct page *page)
{
	bool found;

	spin_lock_irq(&zone->lock);
	found = page_reporting_block_at(zone, page_to_pfn(page));
	spin_unlock_irq(&zone->lock);
	return found;
}

/**
 * fpr_engine_is_stuck - does a survey find that a pageblock cannot be emptied?
 * @page: the first page of the pageblock
 *
 * Return: whether it counts among those.
 */
bool fpr_engine_is_stuck(struct page *page)
{
	return page_reporting_look(page_zone(page), page_to_pfn(page),
				   pageblock_nr_pages).class == PAGE_REPORTING_STUCK;
}

/**
 * fpr_engine_is_vain - is a pageblock left alone, as it could not be emptied?
 * @page: a page in it
 *
 * Return: whether a round takes it for one that cannot be emptied.
 */
bool fpr_engine_is_vain(struct page *page)
{
	const struct page_reporting_compact *compact = page_zone(page)->page_reporting->compact;
	unsigned long pfn = pageblock_start_pfn(page_to_pfn(page));

	return compact && !fpr_engine_is_stuck(pfn_to_page(pfn)) &&
	       page_reporting_look_again(compact, page_zone(page), pfn,
					 pageblock_nr_pages).class == PAGE_REPORTING_STUCK;
}

/* In a zone with more pageblocks, some share a bit of those that are left alone. */
const unsigned int fpr_engine_vain_bits = PAGE_REPORTING_VAIN;

/**
 * fpr_engine_vain_bit - the bit of a pageblock
 * @block: number of the pageblock, from PFN 0 on
 * @forgotten: how often the bits were cleared
 *
 * Return: its number.
 */
unsigned int fpr_engine_vain_bit(unsigned long block, unsigned int forgotten)
{
	static struct page_reporting_compact compact;

	compact.forgotten = 0;
	while (forgotten--)
		page_reporting_forget_vain(&compact);
	return page_reporting_vain_bit(block << pageblock_order, compact.forgotten);
}

/**
 * fpr_engine_round_ms - for how long a round may run
 * @pages: the size of the zone
 *
 * Return: the time in ms.
 */
unsigned int fpr_engine_round_ms(unsigned long pages)
{
	struct fpr_zone *fake = kzalloc(sizeof(*fake), GFP_KERNEL);
	unsigned int ms = 0;

	if (fake) {
		fake->zone.spanned_pages = pages;
		ms = page_reporting_round_ms(&fake->zone);
	}
	kfree(fake);
	return ms;
}

/**
 * fpr_engine_hold_holes - isolate the free pages of a pageblock, as a slice does
 * @page: the first page of the pageblock
 *
 * Return: the number of pages.
 */
unsigned int fpr_engine_hold_holes(struct page *page)
{
	page_reporting_take_holes(page_zone(page), page_to_pfn(page), pageblock_nr_pages);
	return page_reporting_holes.pages;
}

/**
 * fpr_engine_hold_hole - isolate the free pages next to a page, as a slice does
 * @page: the page
 *
 * Return: the free page that the next page is moved into, or NULL.
 */
struct page *fpr_engine_hold_hole(struct page *page)
{
	struct page *hole;

	fpr_engine_hold_holes(pfn_to_page(pageblock_start_pfn(page_to_pfn(page))));
	hole = page_reporting_get_hole(0);
	if (hole)
		page_reporting_return_hole(hole, 0);
	return hole;
}

/**
 * fpr_engine_give_hole - hold a page that is nowhere else
 * @page: the page, as one that is isolated
 */
void fpr_engine_give_hole(struct page *page)
{
	page_reporting_return_hole(page, 0);
}

/**
 * fpr_engine_put_holes - put them back, as at the end of a slice
 * @zone: their zone
 */
void fpr_engine_put_holes(struct zone *zone)
{
	page_reporting_put_holes(zone);
}

/**
 * fpr_engine_use_hole - try to move a page into one of the holes that are held
 * @page: the page
 *
 * Return: by how many pages the holes shrink.
 */
unsigned int fpr_engine_use_hole(struct page *page)
{
	unsigned int before = page_reporting_holes.pages;
	static struct page_reporting_compact compact;
	LIST_HEAD(folios);
	bool all = true;

	page_reporting_held.folios[0] = page_folio(page);
	page_reporting_held.nr = 1;
	folio_get(page_folio(page));
	if (page_reporting_take_folios(&folios, &all))
		page_reporting_move(&compact, &folios);
	return before - page_reporting_holes.pages;
}

/**
 * fpr_engine_move_block - move what is in use in a pageblock into the holes that are held
 * @page: the first page of the pageblock
 *
 * Return: the number of pages that were moved.
 */
unsigned long fpr_engine_move_block(struct page *page)
{
	static struct page_reporting_compact compact;

	compact.moved = 0;
	page_reporting_move_block(&compact, page_zone(page), page_to_pfn(page));
	return compact.moved;
}

/**
 * fpr_engine_empty - try to empty a pageblock, as a slice does
 * @page: the first page of the pageblock
 *
 * Return: whether it counts as emptied.
 */
bool fpr_engine_empty(struct page *page)
{
	struct page_reporting_compact *compact = page_zone(page)->page_reporting->compact;
	unsigned long before = compact->emptied;

	page_reporting_empty(compact, page_zone(page), page_to_pfn(page));
	return compact->emptied != before;
}

static int fpr_never_ends(struct page_reporting_pass *pass)
{
	return 0;
}

static unsigned int fpr_steps_left;

static int fpr_ends_after_steps(struct page_reporting_pass *pass)
{
	if (!fpr_steps_left)
		return -EINTR;
	fpr_steps_left--;
	return 0;
}

/**
 * fpr_engine_search_slices - search all of a zone for holes that are not there
 * @zone: a zone with a pageblock that may be emptied
 * @steps: how many steps each slice has, fewer than the search
 * @most: stop after so many slices
 *
 * Context: No round is in progress, and none starts.
 * Return: how many slices the search took.
 */
unsigned int fpr_engine_search_slices(struct zone *zone, unsigned int steps,
				      unsigned int most)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;
	struct page_reporting_pass pass = {
		.order = pageblock_order,
		.ended = fpr_ends_after_steps,
	};
	enum page_reporting_slice why = PAGE_REPORTING_SLICE_OVER;
	unsigned int slices;

	page_reporting_begin_round(compact, zone, ULONG_MAX, true);
	compact->stage = PAGE_REPORTING_EMPTYING;
	/* Whatever is partly used is to be emptied, and nothing is full enough. */
	compact->plan = (struct page_reporting_plan) {
		.blocks = 1,
		.of_sparse = 1,
		.sparse = PAGE_REPORTING_CLASSES,
		.dense = PAGE_REPORTING_CLASSES + 1,
	};
	for (slices = 0; why == PAGE_REPORTING_SLICE_OVER && slices < most; slices++) {
		fpr_steps_left = steps;
		why = page_reporting_slice(&pass, zone, U64_MAX);
	}
	compact->stage = PAGE_REPORTING_NO_ROUND;
	return slices;
}

static int fpr_ends_after_a_move(struct page_reporting_pass *pass)
{
	return pass->moved != 0;
}

/**
 * fpr_engine_cut_short - run a round of a flush that ends once a page was moved
 * @zone: a zone in which rounds were considered
 *
 * Context: No round is in progress, and none starts.
 * Return: how many pages were moved by then, as the pass knows it.
 */
unsigned long fpr_engine_cut_short(struct zone *zone)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;
	struct page_reporting_pass pass = {
		.order = pageblock_order,
		.ended = fpr_ends_after_a_move,
	};

	page_reporting_begin_round(compact, zone, page_reporting_free_in(zone).small, true);
	page_reporting_slice(&pass, zone, U64_MAX);
	page_reporting_end_round(compact, zone, PAGE_REPORTING_SLICE_OVER);
	return pass.moved;
}

/**
 * fpr_engine_move_price - what the zone has learned of the price of moves
 * @zone: a zone in which rounds were considered
 *
 * Return: the sum of times in ns of which it is the mean.
 */
u64 fpr_engine_move_price(struct zone *zone)
{
	return zone->page_reporting->compact->fragments.spent_ns;
}

/**
 * fpr_engine_charge_search - charge a search for holes in a round
 * @zone: a zone in which rounds were considered
 */
void fpr_engine_charge_search(struct zone *zone)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;
	u64 begin_ns = task_sched_runtime(current);

	compact->stage = PAGE_REPORTING_EMPTYING;
	compact->flush = false;
	while (task_sched_runtime(current) < begin_ns + 500 * NSEC_PER_USEC)
		cpu_relax();
	page_reporting_charge_moves(compact, begin_ns);
	compact->stage = PAGE_REPORTING_NO_ROUND;
}

/**
 * fpr_engine_wait_for_slice - have a zone's turn after the end of the slice
 * @zone: a zone in which rounds were considered
 *
 * Return: the ms until it wants its next turn.
 */
unsigned int fpr_engine_wait_for_slice(struct zone *zone)
{
	struct page_reporting_pass pass = {
		.order = pageblock_order,
		.ended = fpr_never_ends,
		.budget = { .capacity = 1 },
	};

	return page_reporting_compact_zone(&pass, zone, 0);
}

/**
 * fpr_engine_age_behind_others - have a round wait for the slices of others
 * @zone: a zone in which rounds were considered
 * @ms: how long; this has no effect on the time that the call takes
 *
 * Return: the age of the round after that, in ms.
 */
unsigned int fpr_engine_age_behind_others(struct zone *zone, unsigned int ms)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;
	unsigned int age_ms;

	/* This is when the zone was seen last. */
	fpr_engine_wait_for_slice(zone);
	page_reporting_begin_round(compact, zone, ULONG_MAX, false);
	compact->begin_ms -= ms;
	compact->seen_ms -= ms;
	fpr_engine_wait_for_slice(zone);
	age_ms = page_reporting_now_ms() - compact->begin_ms;
	compact->stage = PAGE_REPORTING_NO_ROUND;
	return age_ms;
}

/**
 * fpr_engine_age_rounds - start a round in each zone, as if long ago
 * @ms: so long ago
 *
 * Return: the number of rounds.
 */
unsigned int fpr_engine_age_rounds(unsigned int ms)
{
	struct page_reporting_compact *compact;
	unsigned int nr = 0;
	struct zone *zone;

	for_each_populated_zone(zone) {
		compact = zone->page_reporting ? zone->page_reporting->compact : NULL;
		if (!compact)
			continue;
		page_reporting_begin_round(compact, zone, ULONG_MAX, false);
		compact->begin_ms -= ms;
		nr++;
	}
	return nr;
}

/**
 * fpr_engine_rounds - count the rounds in progress
 *
 * Return: the number of zones that have one.
 */
unsigned int fpr_engine_rounds(void)
{
	struct zone *zone;
	unsigned int nr = 0;

	for_each_populated_zone(zone)
		if (zone->page_reporting && zone->page_reporting->compact)
			nr += zone->page_reporting->compact->stage !=
			      PAGE_REPORTING_NO_ROUND;
	return nr;
}
