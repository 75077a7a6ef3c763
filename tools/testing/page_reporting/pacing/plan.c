// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of which pageblocks are emptied, and when: results of single calls, and properties
 * that hold for a model of a zone with any pageblocks.
 */
#include <stdlib.h>

#include "test.h"

#include "../../../../mm/page_reporting_plan.h"

/* B of a pageblock of which half is in use. */
#define B_MS		1760
#define MANY		(1000 * BLOCK)
#define ALL		PAGE_REPORTING_CLASSES
/* Number of moves after which their cost is known. */
#define LEARN_PAGES	2048

/*
 * A pageblock, and when it was emptied, or tried in vain, last. A survey sees whether it is
 * stuck, but not whether it is pinned. What failed is @vain until that is forgotten.
 */
struct pageblock {
	unsigned int used;
	bool stuck;
	bool pinned;
	bool vain;
	u64 emptied_ms;
	u64 failed_ms;
};

struct zone {
	struct pageblock *blocks;
	unsigned int nr;
	struct page_reporting_fragments fragments;
	u64 now_ms;
	u64 emptied;
	u64 failed;
	u64 moved;
	unsigned int rounds;
	u64 move_ns;	/* cost of moving a page */
	u64 spent_ns;
};

static bool is_partial(const struct pageblock *block)
{
	return block->used && block->used < BLOCK;
}

static unsigned int class_of(const struct pageblock *block)
{
	return block->stuck || block->vain ? PAGE_REPORTING_STUCK :
					     page_reporting_class(block->used, BLOCK);
}

static void survey_of(const struct zone *zone, struct page_reporting_survey *survey)
{
	unsigned int i;

	*survey = (struct page_reporting_survey) {};
	for (i = 0; i < zone->nr; i++)
		if (is_partial(&zone->blocks[i]))
			page_reporting_survey_add(survey, class_of(&zone->blocks[i]),
						  zone->blocks[i].used,
						  BLOCK - zone->blocks[i].used);
}

static u64 fragments_of(const struct zone *zone)
{
	unsigned int i;
	u64 pages = 0;

	for (i = 0; i < zone->nr; i++)
		if (is_partial(&zone->blocks[i]))
			pages += BLOCK - zone->blocks[i].used;
	return pages;
}

static struct page_reporting_free free_in(const struct zone *zone)
{
	struct page_reporting_free free = { .small = fragments_of(zone) };
	unsigned int i;

	for (i = 0; i < zone->nr; i++)
		if (!zone->blocks[i].used)
			free.whole += BLOCK;
	return free;
}

static u64 used_in(const struct zone *zone)
{
	unsigned int i;
	u64 pages = 0;

	for (i = 0; i < zone->nr; i++)
		pages += zone->blocks[i].used;
	return pages;
}

static void zone_init(struct zone *zone, unsigned int nr)
{
	*zone = (struct zone) { .nr = nr, .now_ms = 1000000, .move_ns = PAGE_REPORTING_MOVE_NS };
	zone->blocks = calloc(nr, sizeof(*zone->blocks));
	CHECK(zone->blocks);
}

static void zone_free(struct zone *zone)
{
	free(zone->blocks);
}

/*
 * A round of mm/page_reporting_compact.c: sources from the start of the zone, targets from
 * its end. Some of them may have the same class.
 */
struct round {
	struct page_reporting_plan plan;
	unsigned int target;	/* pageblocks from this one on were looked at */
	unsigned int last_source;
	bool shares;
};

static bool next_target(struct round *round, unsigned int nr)
{
	if (!round->target) {
		if (round->shares || !round->plan.shares)
			return false;
		round->shares = true;
		round->target = nr;
	}
	round->target--;
	return true;
}

static bool is_target(const struct round *round, const struct pageblock *block, unsigned int at)
{
	if (!is_partial(block))
		return false;
	return class_of(block) >= round->plan.dense ||
	       (round->shares && class_of(block) == round->plan.sparse &&
		at + 1 > round->last_source);
}

static bool fill(struct zone *zone, struct round *round, unsigned int pages)
{
	while (next_target(round, zone->nr)) {
		struct pageblock *block = &zone->blocks[round->target];
		unsigned int here;

		if (!is_target(round, block, round->target))
			continue;
		/* Pages are never moved into a pageblock that was just emptied. */
		CHECK(block->emptied_ms != zone->now_ms);
		here = min((unsigned int)BLOCK - block->used, pages);
		block->used += here;
		pages -= here;
		if (pages)
			continue;
		/* It may have holes left. */
		round->target++;
		return true;
	}
	return false;
}

static bool is_source(const struct round *round, const struct pageblock *block, unsigned int at)
{
	if (!is_partial(block) || class_of(block) > round->plan.sparse)
		return false;
	return class_of(block) < round->plan.sparse ||
	       (round->plan.of_sparse && (!round->shares || at < round->target));
}

/* Empties one pageblock. False if there is no room for its pages. */
static bool empty(struct zone *zone, struct round *round, struct pageblock *block, bool fails)
{
	u64 moved = fails ? 0 : block->used, ns = (moved + 1) * zone->move_ns;

	zone->spent_ns += ns;
	page_reporting_fragments_moved(&zone->fragments, moved, ns);
	if (fails) {
		/* What failed is left alone for as long as what was emptied. */
		CHECK(!block->failed_ms || zone->now_ms - block->failed_ms >= 4 * B_MS);
		block->failed_ms = zone->now_ms;
		block->vain = true;
		zone->failed++;
		return true;
	}
	if (!fill(zone, round, block->used))
		return false;
	CHECK(!block->emptied_ms || zone->now_ms - block->emptied_ms >= 4 * B_MS);
	zone->moved += block->used;
	block->used = 0;
	block->emptied_ms = zone->now_ms;
	zone->emptied++;
	return true;
}

/* @priced: give the round up if it is too expensive, as all rounds but those of a flush. */
static enum page_reporting_end run_plan(struct zone *zone, struct page_reporting_plan plan,
					u64 fails_of, bool priced)
{
	struct round round = { .plan = plan, .target = zone->nr };
	unsigned int source;

	for (source = 0; source < zone->nr && round.plan.blocks; source++) {
		struct pageblock *block = &zone->blocks[source];

		if (!is_source(&round, block, source))
			continue;
		if (priced && page_reporting_fragments_too_dear(&zone->fragments, plan.sparse,
								zone->now_ms))
			return PAGE_REPORTING_END_DEAR;
		round.plan.blocks--;
		if (class_of(block) == plan.sparse) {
			round.plan.of_sparse--;
			round.last_source = source + 1;
		}
		if (!empty(zone, &round, block,
			   block->pinned || (fails_of && source % fails_of == 0)))
			break;
	}
	return PAGE_REPORTING_END_DONE;
}

/* Plans for those of @classes that are worth their price. */
static struct page_reporting_plan plan_for(const struct zone *zone,
					   const struct page_reporting_survey *survey, u64 surplus,
					   unsigned int classes)
{
	unsigned int worth = page_reporting_fragments_affordable(&zone->fragments, zone->now_ms);
	struct page_reporting_plan plan = page_reporting_plan(survey, surplus,
							      min(classes, worth), BLOCK);

	CHECK_LE(plan.blocks * BLOCK, surplus);
	return plan;
}

static void forget_failures(struct zone *zone)
{
	unsigned int i;

	for (i = 0; i < zone->nr; i++)
		zone->blocks[i].vain = false;
}

static void run_round(struct zone *zone, u64 surplus, u64 fails_of)
{
	struct page_reporting_round round = {};
	struct page_reporting_survey survey;
	u64 emptied = zone->emptied, failed = zone->failed, spent_ns = zone->spent_ns;
	u64 rent_ns = page_reporting_pacing_rent_ns(BLOCK, zone->fragments.age_ms);

	if (page_reporting_fragments_retry(&zone->fragments, zone->now_ms))
		forget_failures(zone);
	survey_of(zone, &survey);
	round.plan = plan_for(zone, &survey, surplus, ALL);
	round.end = run_plan(zone, round.plan, fails_of, true);
	while (round.end == PAGE_REPORTING_END_DEAR) {
		round.plan = plan_for(zone, &survey, surplus, round.plan.sparse);
		if (!round.plan.blocks)
			break;
		round.end = run_plan(zone, round.plan, fails_of, true);
	}
	round.blocks = zone->emptied - emptied;
	round.failed = zone->failed - failed;
	round.cost_ns = zone->spent_ns - spent_ns;
	/* At most twice the rent that was paid, and the moves that it takes to learn a price. */
	CHECK_LE(round.cost_ns, 2 * round.blocks * rent_ns + LEARN_PAGES * zone->move_ns);
	zone->rounds++;
	page_reporting_fragments_emptied(&zone->fragments, &round, free_in(zone), zone->now_ms);
}

/* Runs a pass. Returns ms until the next one, or PAGE_REPORTING_NEVER. */
static unsigned int pass(struct zone *zone, u64 fails_of)
{
	u64 surplus = page_reporting_fragments_sample(&zone->fragments, free_in(zone),
						      zone->now_ms);

	if (surplus)
		run_round(zone, surplus, fails_of);
	return page_reporting_fragments_wait(&zone->fragments, zone->now_ms);
}

static void start(struct zone *zone)
{
	page_reporting_fragments_init(&zone->fragments, ORDER, fragments_of(zone), zone->now_ms);
	page_reporting_fragments_resize(&zone->fragments, zone->nr * BLOCK);
}

/* Runs passes when they are due, without any demand. Returns their number. */
static unsigned int rest(struct zone *zone, u64 fails_of)
{
	unsigned int passes, wait_ms;

	for (passes = 1; passes < 100; passes++) {
		wait_ms = pass(zone, fails_of);
		if (wait_ms == PAGE_REPORTING_NEVER)
			return passes;
		zone->now_ms += wait_ms;
	}
	return passes;
}

static void add(struct page_reporting_survey *survey, unsigned int nr, unsigned int used)
{
	while (nr--)
		page_reporting_survey_add(survey, page_reporting_class(used, BLOCK), used,
					  BLOCK - used);
}

static void add_stuck(struct page_reporting_survey *survey, unsigned int nr, unsigned int used)
{
	while (nr--)
		page_reporting_survey_add(survey, PAGE_REPORTING_STUCK, used, BLOCK - used);
}

CASE(class_is_a_64th)
{
	CHECK_EQ(page_reporting_class(0, BLOCK), 0);
	CHECK_EQ(page_reporting_class(7, BLOCK), 0);
	CHECK_EQ(page_reporting_class(8, BLOCK), 1);
	CHECK_EQ(page_reporting_class(BLOCK - 1, BLOCK), 63);
	/* A pageblock that has become full meanwhile. */
	CHECK_EQ(page_reporting_class(BLOCK, BLOCK), 63);
}

CASE(plan_of_equal_halves_empties_half)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 600, BLOCK / 2);
	plan = page_reporting_plan(&survey, MANY, ALL, BLOCK);
	/* One of 32 holes is reserved. */
	CHECK_LE(plan.blocks, 300);
	CHECK(plan.blocks >= 280);
	CHECK_EQ(plan.moves, plan.blocks * BLOCK / 2);
	CHECK_EQ(plan.sparse, 32);
	CHECK_EQ(plan.of_sparse, plan.blocks);
	CHECK(plan.shares);
}

CASE(plan_empties_the_emptiest)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 10, 40);
	add(&survey, 10, 400);
	add(&survey, 10, 100);
	plan = page_reporting_plan(&survey, 5 * BLOCK, ALL, BLOCK);
	CHECK_EQ(plan.blocks, 5);
	CHECK_EQ(plan.sparse, 5);
	CHECK_EQ(plan.of_sparse, 5);
	/* 1120 holes in the fullest take 200 pages. */
	CHECK_EQ(plan.dense, 50);
	CHECK(!plan.shares);

	plan = page_reporting_plan(&survey, 12 * BLOCK, ALL, BLOCK);
	CHECK_EQ(plan.blocks, 12);
	CHECK_EQ(plan.sparse, 12);
	CHECK_EQ(plan.of_sparse, 2);
	CHECK_EQ(plan.moves, 600);
}

CASE(plan_leaves_what_is_mostly_in_use)
{
	struct page_reporting_survey survey = {};

	add(&survey, 100, BLOCK * 3 / 4);
	add_stuck(&survey, 100, 1);
	CHECK_EQ(page_reporting_plan(&survey, MANY, ALL, BLOCK).blocks, 0);
	add(&survey, 100, BLOCK * 3 / 4 - 1);
	CHECK_EQ(page_reporting_plan(&survey, MANY, ALL, BLOCK).blocks, 100);
}

CASE(plan_fills_what_cannot_be_emptied_first)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 100, 50);
	add_stuck(&survey, 20, 20);
	plan = page_reporting_plan(&survey, MANY, ALL, BLOCK);
	CHECK_EQ(plan.blocks, 100);
	CHECK_EQ(plan.dense, PAGE_REPORTING_STUCK);
}

CASE(plan_needs_room)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	plan = page_reporting_plan(&survey, MANY, ALL, BLOCK);
	CHECK_EQ(plan.blocks, 0);
	/* The pages of a single pageblock have no other one to go to. */
	add(&survey, 1, 100);
	CHECK_EQ(page_reporting_plan(&survey, MANY, ALL, BLOCK).blocks, 0);
	add_stuck(&survey, 1, BLOCK - 90);
	CHECK_EQ(page_reporting_plan(&survey, MANY, ALL, BLOCK).blocks, 0);
	add_stuck(&survey, 1, BLOCK - 90);
	CHECK_EQ(page_reporting_plan(&survey, MANY, ALL, BLOCK).blocks, 1);
}

CASE(plan_obeys_the_surplus)
{
	struct page_reporting_survey survey = {};

	add(&survey, 100, 10);
	CHECK_EQ(page_reporting_plan(&survey, 0, ALL, BLOCK).blocks, 0);
	CHECK_EQ(page_reporting_plan(&survey, BLOCK - 1, ALL, BLOCK).blocks, 0);
	CHECK_EQ(page_reporting_plan(&survey, 7 * BLOCK, ALL, BLOCK).blocks, 7);
}

/* In any zone, a plan fits, and is carried out as planned. */
CASE(plan_fits_whatever_the_zone)
{
	u64 seed, emptied = 0;

	for (seed = 1; seed <= 400; seed++) {
		struct page_reporting_survey survey;
		struct page_reporting_plan plan;
		struct zone zone;
		u64 s = seed, before, done;
		unsigned int i, shift = draw(&s, 9);

		zone_init(&zone, 20 + draw(&s, 300));
		for (i = 0; i < zone.nr; i++) {
			zone.blocks[i].used = draw(&s, (BLOCK >> shift) + 2);
			if (!draw(&s, 3))
				zone.blocks[i].used = draw(&s, BLOCK + 1);
			zone.blocks[i].stuck = !draw(&s, 10);
		}
		survey_of(&zone, &survey);
		plan = page_reporting_plan(&survey, draw(&s, zone.nr) * BLOCK, ALL, BLOCK);
		before = used_in(&zone);
		CHECK_LE(plan.of_sparse, survey.blocks[plan.sparse]);
		CHECK(plan.dense > plan.sparse);
		start(&zone);
		run_plan(&zone, plan, 0, false);
		done = zone.emptied;
		/* Pageblocks of one class differ by a few pages. */
		CHECK(done >= plan.blocks - min(plan.blocks, (u64)1 + plan.blocks / 32));
		if (done == plan.blocks)
			CHECK_EQ(used_in(&zone), before);
		emptied += done;
		zone_free(&zone);
	}
	/* Plans that are empty would fit, too. */
	CHECK(emptied > 400 * 10);
}

static void scatter(struct zone *zone, u64 seed, unsigned int used)
{
	unsigned int i;

	for (i = 0; i < zone->nr; i++)
		zone->blocks[i].used = used + draw(&seed, 20);
}

CASE(round_after_b)
{
	unsigned int wait_ms;
	struct zone zone;
	u64 freed_ms;

	zone_init(&zone, 1000);
	start(&zone);
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	scatter(&zone, 1, 50);
	freed_ms = zone.now_ms;
	do {
		wait_ms = pass(&zone, 0);
		if (zone.rounds)
			break;
		CHECK_LE(wait_ms, 19 * B_MS / 16 + 1);
		zone.now_ms += wait_ms;
	} while (true);
	CHECK(zone.now_ms - freed_ms >= B_MS);
	CHECK_LE(zone.now_ms - freed_ms, 2 * B_MS);
	CHECK_LE(850, zone.emptied);
	zone_free(&zone);
}

/* As fragments are freed bit by bit, the first rounds find only some of them. */
CASE(fragments_that_come_in_slowly_are_all_emptied)
{
	unsigned int i, wait_ms;
	struct zone zone;
	u64 freed_ms = 0;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = BLOCK;
	for (i = 0; i < 20000; i += 200) {
		unsigned int b;

		for (b = 0; b < zone.nr; b++)
			if (!zone.blocks[b].emptied_ms && zone.blocks[b].used > 60)
				zone.blocks[b].used -= 8;
		freed_ms = zone.now_ms;
		wait_ms = pass(&zone, 0);
		zone.now_ms += min(wait_ms, 200U);
	}
	rest(&zone, 0);
	CHECK_LE(800, zone.emptied);
	CHECK_LE(zone.now_ms - freed_ms, 20000);
	zone_free(&zone);
}

CASE(rent_is_a_share_of_a_cpu)
{
	/* 4 GiB are worth as much as a CPU. */
	CHECK_EQ(page_reporting_pacing_rent_ns(4 * GIB, 1000), 1000000000);
	CHECK_EQ(page_reporting_pacing_rent_ns(BLOCK, 1000), 488281);
	CHECK_EQ(page_reporting_pacing_rent_ms(4 * GIB, 1000000000), 1000);
	/* Rounded up, and far from an overflow. */
	CHECK_EQ(page_reporting_pacing_rent_ms(BLOCK, 488282), 1001);
	CHECK_EQ(page_reporting_pacing_rent_ns(BLOCK, U64_MAX),
		 page_reporting_pacing_rent_ns(BLOCK, 3600000));
	CHECK(page_reporting_pacing_rent_ms(BLOCK, U64_MAX) > 3600000);
	CHECK_EQ(page_reporting_pacing_rent_ms(U64_MAX >> 12, 1), 1);
}

CASE(plan_leaves_what_is_not_worth_its_price)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 10, 40);
	add(&survey, 3, 100);
	add(&survey, 10, 200);
	add_stuck(&survey, 100, 1);
	plan = page_reporting_plan(&survey, MANY, 0, BLOCK);
	CHECK_EQ(plan.blocks, 0);
	CHECK_EQ(plan.cheap, 6);
	CHECK_EQ(plan.next, 6);
	plan = page_reporting_plan(&survey, MANY, 6, BLOCK);
	CHECK_EQ(plan.blocks, 10);
	CHECK_EQ(plan.cheap, 6);
	/* 3 pageblocks of 100 pages are a worse deal than 13 of up to 200 pages. */
	CHECK_EQ(plan.next, 26);
	plan = page_reporting_plan(&survey, MANY, 26, BLOCK);
	CHECK_EQ(plan.blocks, 23);
	CHECK_EQ(plan.next, 0);
	/* The limit is the surplus, not the price. */
	plan = page_reporting_plan(&survey, 5 * BLOCK, 6, BLOCK);
	CHECK_EQ(plan.blocks, 5);
	CHECK(plan.more);
	CHECK_EQ(plan.next, 0);
}

/* Runs passes until @end_ms. Returns how many pageblocks were emptied. */
static u64 pass_until(struct zone *zone, u64 end_ms)
{
	u64 emptied = zone->emptied;

	while (zone->now_ms < end_ms) {
		unsigned int wait_ms = pass(zone, 0);

		zone->now_ms = min(end_ms, zone->now_ms + wait_ms);
	}
	return zone->emptied - emptied;
}

/* Frees ask for passes, whatever the policy waits for. */
static void pass_twice_a_second(struct zone *zone, unsigned int nr)
{
	while (nr--) {
		pass(zone, 0);
		zone->now_ms += 500;
	}
}

/* Moves cost five times as much as assumed: the first round learns it, the next one waits. */
CASE(dear_moves_wait_until_the_rent_is_as_high)
{
	struct zone zone;
	u64 freed_ms;

	zone_init(&zone, 1000);
	start(&zone);
	zone.move_ns = 10000;
	scatter(&zone, 1, 230);
	freed_ms = zone.now_ms;
	CHECK_LE(pass_until(&zone, freed_ms + 5400), 10);
	CHECK_EQ(zone.rounds, 1);
	/* (240 * 10 us + 354 us) * 4 GiB / 2 MiB */
	CHECK(pass_until(&zone, freed_ms + 11000) > 350);
	CHECK_LE(zone.rounds, 3);
	CHECK_EQ(zone.fragments.backoff, 0);
	zone_free(&zone);
}

/* Pageblocks that get cheaper meanwhile are emptied at the lower price. */
CASE(cheap_pageblocks_do_not_wait_for_dear_ones)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	zone.move_ns = 10000;
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = i % 2 ? 20 : 240;
	CHECK(pass_until(&zone, zone.now_ms + 3000) >= 480);
	CHECK_LE(zone.moved, 500 * 20 + LEARN_PAGES);
	CHECK(pass_until(&zone, zone.now_ms + 17000) >= 150);
	zone_free(&zone);
}

/* A wrong price does not stop all rounds for ever. */
CASE(price_is_asked_again)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < 100; i++)
		page_reporting_fragments_moved(&zone.fragments, 0, U64_MAX);
	scatter(&zone, 1, 50);
	CHECK_EQ(pass_until(&zone, zone.now_ms + 10000), 0);
	CHECK(pass_until(&zone, zone.now_ms + 60000) >= 800);
	/* The right price has been learned again. */
	scatter(&zone, 2, 50);
	CHECK(pass_until(&zone, zone.now_ms + 10000) >= 800);
	zone_free(&zone);
}

/* When the hypervisor takes the CPU away for 20 ms, moves do not cost more. */
CASE(price_has_no_outliers)
{
	struct zone zone;
	u64 i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < 20; i++)
		page_reporting_fragments_moved(&zone.fragments, 250, 250 * 2000);
	page_reporting_fragments_moved(&zone.fragments, 250, 20000000);
	scatter(&zone, 1, 180);
	/* At 6 us, it would be 3.2 s. */
	CHECK(pass_until(&zone, zone.now_ms + 2600) > 350);
	zone_free(&zone);
}

/* If all pageblocks have about as many pages, a single round empties all of them. */
CASE(round_waits_for_most_of_them)
{
	struct page_reporting_survey survey = {};
	struct zone zone;
	unsigned int i;

	for (i = 0; i < 200; i++)
		add(&survey, 1, 200 + i / 2);
	CHECK(page_reporting_plan(&survey, MANY, 0, BLOCK).cheap >= 34);
	/* It does not wait for pageblocks that are much more expensive. */
	add(&survey, 10, 300);
	add(&survey, 400, 10);
	CHECK_EQ(page_reporting_plan(&survey, MANY, 0, BLOCK).cheap, 2);

	zone_init(&zone, 1000);
	start(&zone);
	zone.move_ns = 10000;
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = 200 + i / 20;
	CHECK(pass_until(&zone, zone.now_ms + 12000) > 400);
	CHECK_LE(zone.rounds, 2);
	zone_free(&zone);
}

/* Sets the cost of a move, and lets the policy learn it. */
static void learn(struct zone *zone, u64 ns)
{
	unsigned int i;

	zone->move_ns = ns;
	for (i = 0; i < 100; i++)
		page_reporting_fragments_moved(&zone->fragments, BLOCK, BLOCK * ns);
}

/* Pages that are freed later make the pageblocks cheaper. */
CASE(more_fragments_are_looked_at_again)
{
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	learn(&zone, 30000);
	scatter(&zone, 1, 300);
	CHECK_LE(pass_until(&zone, zone.now_ms + 2500), 10);
	scatter(&zone, 2, 200);
	/* 300 pages would be worth it after 20 s, 200 after 15. */
	pass_twice_a_second(&zone, 33);
	CHECK(zone.emptied > 300);
	zone_free(&zone);
}

/* Fragments that a round leaves as too expensive keep their age. */
CASE(what_a_round_leaves_keeps_its_age)
{
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	learn(&zone, 30000);
	scatter(&zone, 1, 230);
	/* 250 pages are worth it after 16.5 s. */
	pass_twice_a_second(&zone, 35);
	CHECK(zone.emptied > 350);
	zone_free(&zone);
}

/* A round takes the idle fragments, and a later one those that were not idle yet. */
CASE(what_was_not_idle_is_taken_later)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = i < 600 ? 50 : BLOCK;
	CHECK_EQ(pass_until(&zone, zone.now_ms + 1700), 0);
	for (i = 600; i < zone.nr; i++)
		zone.blocks[i].used = 50;
	CHECK(pass_until(&zone, zone.now_ms + 1500) > 400);
	CHECK_LE(zone.emptied, 600);
	CHECK(pass_until(&zone, zone.now_ms + 18000) > 250);
	zone_free(&zone);
}

/* When moves have become expensive and then cheap again, the high price is forgotten. */
CASE(price_is_forgotten)
{
	struct zone zone;
	u64 i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < 100; i++)
		page_reporting_fragments_moved(&zone.fragments, 512, 512 * 60000);
	for (i = 0; i < 100; i++)
		page_reporting_fragments_moved(&zone.fragments, 512, 512 * 1000);
	scatter(&zone, 1, 230);
	CHECK(pass_until(&zone, zone.now_ms + 4000) > 350);
	zone_free(&zone);
}

/* Even if nothing has to be moved, a huge page is reported, and refaulted later. */
CASE(emptying_an_empty_pageblock_has_a_price)
{
	struct page_reporting_fragments fragments;
	u64 price_ns = page_reporting_pacing_price_ns(BLOCK);
	u64 paid_ms = page_reporting_pacing_rent_ms(BLOCK, price_ns);

	page_reporting_fragments_init(&fragments, ORDER, 0, 1000);
	page_reporting_fragments_resize(&fragments, GIB);
	fragments.idle = 100 * BLOCK;
	fragments.noted_ms = 1000;
	CHECK_EQ(page_reporting_fragments_affordable(&fragments, 1000), 0);
	CHECK_EQ(page_reporting_fragments_affordable(&fragments, 1000 + paid_ms), 0);
	/* 8 pages of 2 us are a class. */
	CHECK_EQ(page_reporting_fragments_affordable(&fragments, 1000 + paid_ms + 34), 1);
}

/* A process that frees more memory after a round has not undone it. */
CASE(more_fragments_are_not_those_that_come_back)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = i % 2 ? 50 : BLOCK;
	CHECK(pass_until(&zone, zone.now_ms + 2500) > 400);
	for (i = 0; i < zone.nr; i += 2)
		zone.blocks[i].used = 50;
	pass_until(&zone, zone.now_ms + 200);
	CHECK_EQ(zone.fragments.backoff, 0);
	zone_free(&zone);
}

/* Nor has a process that allocates the whole blocks, and keeps them. */
CASE(use_of_whole_blocks_is_not_what_comes_back)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	scatter(&zone, 1, 50);
	CHECK(pass_until(&zone, zone.now_ms + 3000) > 800);
	for (i = 0; i < zone.nr; i++)
		if (!zone.blocks[i].used)
			zone.blocks[i].used = BLOCK;
	pass(&zone, 0);
	CHECK_EQ(zone.fragments.backoff, 0);
	zone_free(&zone);
}

/* The age of fragments is the average, so that new ones have not paid their rent. */
CASE(new_fragments_have_not_paid_their_rent)
{
	unsigned int i, before, after;
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < 100; i++)
		page_reporting_fragments_moved(&zone.fragments, 512, 512 * 60000);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = i < 600 ? 240 : BLOCK;
	CHECK_EQ(pass_until(&zone, zone.now_ms + 20000), 0);
	before = page_reporting_fragments_affordable(&zone.fragments, zone.now_ms);
	CHECK(before > 16);
	for (i = 600; i < zone.nr; i++)
		zone.blocks[i].used = 240;
	pass(&zone, 0);
	zone.now_ms += 2500;
	pass(&zone, 0);
	CHECK_EQ(zone.emptied, 0);
	after = page_reporting_fragments_affordable(&zone.fragments, zone.now_ms);
	/* 600 for 20 s, 400 for 2.5 s: 15 s instead of 22.5 s. */
	CHECK_LE(after, before * 3 / 4);
	CHECK(after >= before * 2 / 4);
	zone_free(&zone);
}

/* If fragments return before a round has paid off, the next one waits longer. */
CASE(rounds_that_do_not_pay_get_rare)
{
	u64 start_ms, seed = 1, back_ms = 0;
	struct zone zone;
	u64 rounds;

	zone_init(&zone, 1000);
	start(&zone);
	zone.move_ns = 20000;
	start_ms = zone.now_ms;
	scatter(&zone, seed++, 100);
	for (rounds = 0; zone.now_ms < start_ms + 600000; zone.now_ms += 200) {
		/* 2 ms of moves for each pageblock are worth 4 s of it, four times over. */
		if (zone.rounds > rounds)
			back_ms = zone.now_ms + 14000;
		rounds = zone.rounds;
		if (zone.now_ms == back_ms)
			scatter(&zone, seed++, 100);
		pass(&zone, 0);
	}
	/* A round that has not paid off is followed by another after 8 B at least. */
	CHECK_LE(rounds, 12);
	CHECK(rounds >= 5);
	zone_free(&zone);
}

CASE(comes_to_rest_without_demand)
{
	unsigned int passes, used;
	struct zone zone;

	for (used = 1; used < 480; used += 17) {
		zone_init(&zone, 1000);
		start(&zone);
		scatter(&zone, used, used);
		passes = rest(&zone, used % 3);
		CHECK_LE(passes, 20);
		/* If many attempts fail, another round looks for others. */
		CHECK_LE(zone.rounds, 6);
		zone.now_ms += 3600000;
		CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
		zone_free(&zone);
	}
}

CASE(too_little_is_left_alone)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	/* A survey is worth 1000 / 64 pageblocks. */
	for (i = 0; i < 16; i++)
		zone.blocks[i].used = 20;
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	for (; i < 18; i++)
		zone.blocks[i].used = 20;
	CHECK(pass(&zone, 0) != PAGE_REPORTING_NEVER);
	zone_free(&zone);

	/* Nor is a small zone surveyed for a few pageblocks. */
	zone_init(&zone, 64);
	start(&zone);
	for (i = 0; i < 8; i++)
		zone.blocks[i].used = 1;
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	zone_free(&zone);
}

/* Fragments that are used every second are no surplus, if a pass sees the use. */
CASE(demand_for_fragments_keeps_them)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < 60; i++) {
		scatter(&zone, i, i % 2 ? 50 : BLOCK);
		zone.now_ms += 1000;
		pass(&zone, 0);
	}
	CHECK_EQ(zone.rounds, 0);
	zone_free(&zone);
}

/* All blocks that were made whole are used in fragments again at once. */
CASE(fragments_that_come_back_are_left_for_longer)
{
	u64 start_ms, first_ms = 0, passes = 0;
	unsigned int i, rounds;
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	start_ms = zone.now_ms;
	while (zone.now_ms < start_ms + 600000) {
		unsigned int wait_ms;

		rounds = zone.rounds;
		scatter(&zone, passes++, 100);
		wait_ms = pass(&zone, 0);
		if (zone.rounds > rounds && !first_ms)
			first_ms = zone.now_ms;
		zone.now_ms += wait_ms == PAGE_REPORTING_NEVER ? 800 : wait_ms;
	}
	/* 4 B, then 8, 16, 32 and 64 B apart: no more than 9 in ten minutes. */
	CHECK(zone.rounds >= 5);
	CHECK_LE(zone.rounds, 10);
	for (i = 0; i < zone.nr; i++)
		CHECK(zone.blocks[i].emptied_ms <= zone.now_ms);
	zone_free(&zone);
}

/* Ten minutes in which no pageblock can be emptied, and rounds get rare. */
static void try_in_vain(struct zone *zone, u64 fails_of)
{
	u64 end_ms = zone->now_ms + 600000, i = 0;

	while (zone->now_ms < end_ms) {
		unsigned int wait_ms;

		/* An increasing amount, so that there are always new fragments. */
		scatter(zone, i, i / 10 % 2 ? 50 : 300);
		i++;
		wait_ms = pass(zone, fails_of);
		zone->now_ms += wait_ms == PAGE_REPORTING_NEVER ? 800 : wait_ms;
	}
	CHECK_EQ(zone->emptied, 0);
	CHECK(zone->rounds >= 3);
	CHECK_LE(zone->rounds, 10);
}

CASE(round_that_fails_is_tried_less_often)
{
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	try_in_vain(&zone, 1);
	zone_free(&zone);
}

/* The emptiest pageblocks are pinned: the others are emptied all the same, and soon. */
CASE(pageblocks_that_fail_do_not_keep_others_from_their_turn)
{
	struct zone zone;
	unsigned int i;
	u64 failed;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++) {
		zone.blocks[i].used = i < 400 ? 100 : i < 800 ? 200 : BLOCK;
		zone.blocks[i].pinned = i < 400;
	}
	pass_until(&zone, zone.now_ms + 20 * B_MS);
	CHECK(zone.failed >= 200);
	CHECK_LE(zone.failed, 400);
	CHECK_EQ(zone.emptied, 400);
	/* After that, the zone is left alone. */
	failed = zone.failed;
	pass_until(&zone, zone.now_ms + 3600000);
	CHECK_EQ(zone.failed, failed);
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	zone_free(&zone);
}

/* A pin may end. Once new fragments make a round due, all are tried that are worth it. */
CASE(pageblock_that_failed_is_tried_again_later)
{
	unsigned int i, emptied = 0;
	struct zone zone;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++) {
		zone.blocks[i].used = i < 300 ? 50 : BLOCK;
		zone.blocks[i].pinned = i < 300;
	}
	pass_until(&zone, zone.now_ms + 70 * B_MS);
	CHECK_EQ(zone.emptied, 0);
	CHECK(zone.failed > 200);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].pinned = false;
	for (i = 300; i < 900; i++)
		zone.blocks[i].used = 200;
	pass_until(&zone, zone.now_ms + 64 * B_MS);
	for (i = 0; i < 300; i++)
		emptied += zone.blocks[i].emptied_ms != 0;
	CHECK(emptied > 250);
	zone_free(&zone);
}

/* Fragments come and go where nothing can be emptied: even surveys get rare. */
CASE(round_that_finds_nothing_is_tried_less_often)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].stuck = true;
	try_in_vain(&zone, 0);
	zone_free(&zone);
}

/* Pressure or a cap may end each round before its first pageblock is empty. */
CASE(round_that_is_cut_short_is_tried_less_often)
{
	struct page_reporting_round round = { .end = PAGE_REPORTING_END_CUT, .plan.blocks = 100 };
	struct page_reporting_fragments fragments;
	struct page_reporting_free free = { .small = 100 * BLOCK };
	u64 now_ms = 1000000;
	unsigned int i;

	page_reporting_fragments_init(&fragments, ORDER, 0, now_ms);
	page_reporting_fragments_resize(&fragments, GIB);
	for (i = 1; i <= 10; i++) {
		page_reporting_fragments_emptied(&fragments, &round, free, now_ms);
		CHECK_EQ(fragments.start_ms - now_ms, 4 * B_MS << min(i, 4U));
	}
	/* One that has emptied some has not cost more than it gained. */
	fragments.backoff = 0;
	round.blocks = 1;
	page_reporting_fragments_emptied(&fragments, &round, free, now_ms);
	CHECK_EQ(fragments.backoff, 0);
}

/* Memory comes and goes in fragments: no pageblock is emptied twice within 4 B. */
CASE(no_pageblock_twice_within_4_b)
{
	u64 seed, rounds = 0;

	for (seed = 1; seed <= 40; seed++) {
		struct zone zone;
		unsigned int step;
		u64 s = seed;

		zone_init(&zone, 200);
		start(&zone);
		for (step = 0; step < 400; step++) {
			unsigned int wait_ms, i;

			for (i = draw(&s, 4) ? 0 : draw(&s, 100); i; i--)
				zone.blocks[draw(&s, zone.nr)].used = draw(&s, BLOCK + 1);
			wait_ms = pass(&zone, draw(&s, 4));
			zone.now_ms += min(wait_ms, 100 + (unsigned int)draw(&s, 3000));
		}
		rounds += zone.rounds;
		zone_free(&zone);
	}
	CHECK(rounds > 40 * 3);
}

/* What is idle is counted in whole pageblocks, and so is what is enough for a round. */
CASE(fragments_short_of_a_pageblock_need_no_pass)
{
	const u64 least = 1000000 / 64;
	struct page_reporting_free free = {};
	struct page_reporting_fragments fragments;
	unsigned int passes, wait_ms = 0;
	u64 now_ms = 1000, surplus = 0;

	for (free.small = least - 100; free.small < least + 2 * BLOCK; free.small += 50) {
		page_reporting_fragments_init(&fragments, ORDER, free.small, now_ms);
		page_reporting_fragments_resize(&fragments, 1000000);
		for (passes = 0; passes < 20; passes++) {
			surplus = page_reporting_fragments_sample(&fragments, free, now_ms);
			wait_ms = page_reporting_fragments_wait(&fragments, now_ms);
			if (surplus || wait_ms == PAGE_REPORTING_NEVER)
				break;
			now_ms += wait_ms;
		}
		CHECK_LE(passes, 5);
		CHECK_EQ(!surplus, free.small < 31 * BLOCK);
	}
}

/* Memory that is plugged in later makes the same fragments too few, and the other way round. */
CASE(zone_that_has_grown_may_have_more_fragments)
{
	struct zone zone;
	unsigned int i;

	zone_init(&zone, 1000);
	start(&zone);
	for (i = 0; i < zone.nr; i++)
		zone.blocks[i].used = i % 2 ? BLOCK / 2 : BLOCK;
	page_reporting_fragments_resize(&zone.fragments, 100ULL * zone.nr * BLOCK);
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	pass_until(&zone, zone.now_ms + 60000);
	CHECK_EQ(zone.rounds, 0);
	page_reporting_fragments_resize(&zone.fragments, zone.nr * BLOCK);
	CHECK(pass_until(&zone, zone.now_ms + 60000) > 200);
	zone_free(&zone);
}

/* The CPU cap: it is tried when the cap is known to allow it. */
CASE(round_beyond_the_cap_needs_one_pass)
{
	struct zone zone;
	u64 surplus, end_ms;

	zone_init(&zone, 1000);
	start(&zone);
	scatter(&zone, 1, 50);
	do {
		surplus = page_reporting_fragments_sample(&zone.fragments, free_in(&zone),
							  zone.now_ms);
		if (!surplus)
			zone.now_ms += page_reporting_fragments_wait(&zone.fragments, zone.now_ms);
	} while (!surplus);
	page_reporting_fragments_put_off(&zone.fragments, 200000, zone.now_ms);
	end_ms = zone.now_ms + 200000;
	CHECK_EQ(page_reporting_fragments_wait(&zone.fragments, zone.now_ms), 200000);
	/* A pass that somebody else asks for does not start it. */
	zone.now_ms += 1000;
	CHECK_EQ(page_reporting_fragments_sample(&zone.fragments, free_in(&zone), zone.now_ms), 0);
	zone.now_ms = end_ms;
	CHECK(page_reporting_fragments_sample(&zone.fragments, free_in(&zone), zone.now_ms) > 0);
	/* However long it takes, it is looked at again within an hour. */
	page_reporting_fragments_put_off(&zone.fragments, ~0ULL / 2, zone.now_ms);
	CHECK_EQ(page_reporting_fragments_wait(&zone.fragments, zone.now_ms), 3600000);
	zone_free(&zone);
}

CASE(moves_have_a_cap)
{
	struct page_reporting_cap cap;
	u64 huge = 4 * GIB / BLOCK + 1, spent = 0, ms, wait_ms;

	page_reporting_cap_init(&cap, 0);
	CHECK(!page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES, 0));
	for (ms = 0; ms < 120000; ms += 20)
		if (!page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES, ms)) {
			page_reporting_cap_charge(&cap, 1000000);
			spent += 1000000;
		}
	CHECK_LE(spent, huge * 1500000 + 120000 * 2500 + 1000000);
	CHECK(spent > huge * 1400000 + 120000 * 2000);
	/* A twelfth of the burst is left, but a round needs a quarter of it. */
	CHECK(!page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES, 222000));
	wait_ms = page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES * 3 / 4, 222000);
	CHECK(wait_ms > 204000);
	CHECK_LE(wait_ms, 206000);
	/* This is when it opens. */
	CHECK_EQ(page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES * 3 / 4,
					       222000 + wait_ms - 1), 1);
	CHECK(!page_reporting_cap_moves_wait(&cap, 4 * GIB, PAGE_REPORTING_SHARES * 3 / 4,
					     222000 + wait_ms));
}

/* In a busy guest of 4 GiB: at most 1 % of two minutes, whatever moves cost. */
CASE(moves_leave_a_busy_guest_alone)
{
	struct page_reporting_cap cap;
	u64 spent = 0, ms;

	CHECK_EQ(page_reporting_cap_share(0, 1000), PAGE_REPORTING_SHARES);
	CHECK_EQ(page_reporting_cap_share(500, 1000),
		 (PAGE_REPORTING_SHARES + PAGE_REPORTING_BUSY_SHARES) / 2);
	CHECK_EQ(page_reporting_cap_share(1000, 1000), PAGE_REPORTING_BUSY_SHARES);
	CHECK_EQ(page_reporting_cap_share(8000, 1000), PAGE_REPORTING_BUSY_SHARES);
	page_reporting_cap_init(&cap, 0);
	for (ms = 0; ms < 120000; ms += 20)
		if (!page_reporting_cap_moves_wait(&cap, 4 * GIB,
						   page_reporting_cap_share(1000, 1000), ms)) {
			page_reporting_cap_charge(&cap, 5000000);
			spent += 5000000;
		}
	CHECK_LE(spent, 120000ULL * 1000000 * 7 / 1000);
	CHECK(spent > 120000ULL * 1000000 * 5 / 1000);
}
