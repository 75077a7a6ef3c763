// SPDX-License-Identifier: GPL-2.0
/*
 * Which pageblocks are emptied, and when: tables, and what holds for a zone whose
 * pageblocks are as they may.
 */
#include <stdlib.h>

#include "test.h"

#include "../../../../mm/page_reporting_plan.h"

/* B of a pageblock of which half is in use. */
#define B_MS		1768
#define MANY		(1000 * BLOCK)

/* A pageblock, and when it was emptied last. */
struct pageblock {
	unsigned int used;
	bool stuck;
	u64 emptied_ms;
};

struct zone {
	struct pageblock *blocks;
	unsigned int nr;
	struct page_reporting_fragments fragments;
	u64 now_ms;
	u64 emptied;
	u64 moved;
	unsigned int rounds;
};

static bool is_partial(const struct pageblock *block)
{
	return block->used && block->used < BLOCK;
}

static unsigned int class_of(const struct pageblock *block)
{
	return block->stuck ? PAGE_REPORTING_STUCK :
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
	*zone = (struct zone) { .nr = nr, .now_ms = 1000000 };
	zone->blocks = calloc(nr, sizeof(*zone->blocks));
	CHECK(zone->blocks);
}

static void zone_free(struct zone *zone)
{
	free(zone->blocks);
}

/*
 * What mm/page_reporting_compact.c does: sources from the start, targets from the end, some
 * of them of the same class.
 */
struct round {
	struct page_reporting_plan plan;
	unsigned int target;	/* those from here on were looked at */
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
		/* Never into what was emptied just now. */
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

static u64 run_plan(struct zone *zone, struct page_reporting_plan plan, u64 fails_of)
{
	struct round round = { .plan = plan, .target = zone->nr };
	unsigned int source;
	u64 emptied = 0;

	for (source = 0; source < zone->nr && round.plan.blocks; source++) {
		struct pageblock *block = &zone->blocks[source];

		if (!is_source(&round, block, source))
			continue;
		round.plan.blocks--;
		if (class_of(block) == plan.sparse) {
			round.plan.of_sparse--;
			round.last_source = source + 1;
		}
		if (fails_of && source % fails_of == 0)
			continue;
		if (!fill(zone, &round, block->used))
			break;
		CHECK(!block->emptied_ms || zone->now_ms - block->emptied_ms >= 4 * B_MS);
		zone->moved += block->used;
		block->used = 0;
		block->emptied_ms = zone->now_ms;
		emptied++;
	}
	return emptied;
}

/* A pass; returns ms until the next one, or PAGE_REPORTING_NEVER. */
static unsigned int pass(struct zone *zone, u64 fails_of)
{
	struct page_reporting_plan plan = {};
	struct page_reporting_survey survey;
	u64 surplus, emptied;

	surplus = page_reporting_fragments_sample(&zone->fragments, fragments_of(zone),
						  zone->now_ms);
	if (surplus) {
		survey_of(zone, &survey);
		plan = page_reporting_plan(&survey, surplus, BLOCK);
		CHECK_LE(plan.blocks * BLOCK, surplus);
		emptied = run_plan(zone, plan, fails_of);
		zone->emptied += emptied;
		zone->rounds++;
		page_reporting_fragments_emptied(&zone->fragments, &plan, emptied, true,
						 fragments_of(zone), zone->now_ms);
	}
	return page_reporting_fragments_wait(&zone->fragments, zone->now_ms);
}

static void start(struct zone *zone)
{
	page_reporting_fragments_init(&zone->fragments, ORDER, zone->nr * BLOCK,
				      fragments_of(zone), zone->now_ms);
}

/* Passes as they are asked for, without any demand. Returns how many. */
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
	/* What was full by the time it was looked at. */
	CHECK_EQ(page_reporting_class(BLOCK, BLOCK), 63);
}

CASE(plan_of_equal_halves_empties_half)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 600, BLOCK / 2);
	plan = page_reporting_plan(&survey, MANY, BLOCK);
	/* One of 32 holes is not counted on. */
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
	plan = page_reporting_plan(&survey, 5 * BLOCK, BLOCK);
	CHECK_EQ(plan.blocks, 5);
	CHECK_EQ(plan.sparse, 5);
	CHECK_EQ(plan.of_sparse, 5);
	/* 1120 holes in the fullest take 200 pages. */
	CHECK_EQ(plan.dense, 50);
	CHECK(!plan.shares);

	plan = page_reporting_plan(&survey, 12 * BLOCK, BLOCK);
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
	CHECK_EQ(page_reporting_plan(&survey, MANY, BLOCK).blocks, 0);
	add(&survey, 100, BLOCK * 3 / 4 - 1);
	CHECK_EQ(page_reporting_plan(&survey, MANY, BLOCK).blocks, 100);
}

CASE(plan_fills_what_cannot_be_emptied_first)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	add(&survey, 100, 50);
	add_stuck(&survey, 20, 20);
	plan = page_reporting_plan(&survey, MANY, BLOCK);
	CHECK_EQ(plan.blocks, 100);
	CHECK_EQ(plan.dense, PAGE_REPORTING_STUCK);
}

CASE(plan_needs_room)
{
	struct page_reporting_survey survey = {};
	struct page_reporting_plan plan;

	plan = page_reporting_plan(&survey, MANY, BLOCK);
	CHECK_EQ(plan.blocks, 0);
	/* Alone, it has no place to go. */
	add(&survey, 1, 100);
	CHECK_EQ(page_reporting_plan(&survey, MANY, BLOCK).blocks, 0);
	add_stuck(&survey, 1, BLOCK - 90);
	CHECK_EQ(page_reporting_plan(&survey, MANY, BLOCK).blocks, 0);
	add_stuck(&survey, 1, BLOCK - 90);
	CHECK_EQ(page_reporting_plan(&survey, MANY, BLOCK).blocks, 1);
}

CASE(plan_obeys_the_surplus)
{
	struct page_reporting_survey survey = {};

	add(&survey, 100, 10);
	CHECK_EQ(page_reporting_plan(&survey, 0, BLOCK).blocks, 0);
	CHECK_EQ(page_reporting_plan(&survey, BLOCK - 1, BLOCK).blocks, 0);
	CHECK_EQ(page_reporting_plan(&survey, 7 * BLOCK, BLOCK).blocks, 7);
}

/* Any zone: what is planned fits, and is carried out as planned. */
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
		plan = page_reporting_plan(&survey, draw(&s, zone.nr) * BLOCK, BLOCK);
		before = used_in(&zone);
		CHECK_LE(plan.of_sparse, survey.blocks[plan.sparse]);
		CHECK(plan.dense > plan.sparse);
		done = run_plan(&zone, plan, 0);
		/* Those of one class differ by a few pages. */
		CHECK(done >= plan.blocks - min(plan.blocks, (u64)1 + plan.blocks / 32));
		if (done == plan.blocks)
			CHECK_EQ(used_in(&zone), before);
		emptied += done;
		zone_free(&zone);
	}
	/* One that plans nothing would fit, too. */
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
		CHECK_LE(wait_ms, 10 * B_MS / 8 + 1);
		zone.now_ms += wait_ms;
	} while (true);
	CHECK(zone.now_ms - freed_ms >= B_MS);
	CHECK_LE(zone.now_ms - freed_ms, 2 * B_MS);
	CHECK_LE(850, zone.emptied);
	zone_free(&zone);
}

/* As they are freed bit by bit, the first rounds find some of them only. */
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
		CHECK_LE(zone.rounds, 3);
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

	/* Nor is a small zone looked at for a few. */
	zone_init(&zone, 64);
	start(&zone);
	for (i = 0; i < 8; i++)
		zone.blocks[i].used = 1;
	CHECK_EQ(pass(&zone, 0), PAGE_REPORTING_NEVER);
	zone_free(&zone);
}

/* Fragments that are needed every second are no surplus, if a pass sees it. */
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

/* All that was made whole is used in fragments again, as soon as it is. */
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

CASE(round_that_fails_is_tried_less_often)
{
	struct zone zone;
	u64 start_ms;
	u64 i = 0;

	zone_init(&zone, 1000);
	start(&zone);
	start_ms = zone.now_ms;
	while (zone.now_ms < start_ms + 600000) {
		unsigned int wait_ms;

		/* More and more, so that there is always something new. */
		scatter(&zone, i, i / 10 % 2 ? 50 : 300);
		i++;
		wait_ms = pass(&zone, 1);
		zone.now_ms += wait_ms == PAGE_REPORTING_NEVER ? 800 : wait_ms;
	}
	CHECK_EQ(zone.emptied, 0);
	CHECK(zone.rounds >= 3);
	CHECK_LE(zone.rounds, 10);
	zone_free(&zone);
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

CASE(moves_have_a_cap)
{
	struct page_reporting_cap cap;
	u64 huge = 4 * GIB / BLOCK + 1, spent = 0, ms;

	page_reporting_cap_init(&cap, 0);
	CHECK(page_reporting_cap_allows_moves(&cap, 4 * GIB, 4, 0));
	for (ms = 0; ms < 120000; ms += 20)
		if (page_reporting_cap_allows_moves(&cap, 4 * GIB, 4, ms)) {
			page_reporting_cap_charge(&cap, 1000000);
			spent += 1000000;
		}
	CHECK_LE(spent, huge * 1000000 + 120000 * 5000 + 1000000);
	CHECK(spent > huge * 900000 + 120000 * 4000);
	/* An eighth of the burst is left: a round needs a quarter of it. */
	CHECK(page_reporting_cap_allows_moves(&cap, 4 * GIB, 4, 120000 + 51000));
	CHECK(!page_reporting_cap_allows_moves(&cap, 4 * GIB, 3, 120000 + 51000));
	CHECK(page_reporting_cap_allows_moves(&cap, 4 * GIB, 3, 120000 + 104000));
}
