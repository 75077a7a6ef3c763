// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: one pass over free memory, from the zones
 * to the way back of the blocks.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>

#include "../internal.h"
#include "page_reporting_kunit.h"

/* S6 */
static void policy_leaves_a_short_zone_alone(struct kunit *test)
{
	struct fpr_zone_state zone = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
		.delay_ms = 2000,
	};

	zone.free_pages = 1000 + (32 << 9) - 1;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).budget);
	zone.free_pages++;
	KUNIT_EXPECT_NE(test, 0, fpr_engine_decide(&zone).budget);

	/* The margin follows the capacity and the order. */
	zone.capacity = 33;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).budget);
	zone.capacity = 32;
	zone.order = 10;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).budget);
}

/* S6 */
static void policy_keeps_the_low_watermark(struct kunit *test)
{
	struct fpr_zone_state zone = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
	};

	zone.free_pages = 1000 + (32 << 9) - 1;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).room);
	zone.free_pages++;
	KUNIT_EXPECT_EQ(test, 32 << 9, fpr_engine_decide(&zone).room);
	zone.free_pages += 512;
	KUNIT_EXPECT_EQ(test, 33 << 9, fpr_engine_decide(&zone).room);
}

static void hook_expect_room(struct fpr_fake *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sgl));

	/* Others allocate too, but not much. */
	KUNIT_EXPECT_GT(fake->test,
			zone_page_state(zone, NR_FREE_PAGES) + FPR_SLACK,
			low_wmark_pages(zone));
}

/* S6: Even if the batch is of larger blocks than the reporting order says. */
static void batch_keeps_the_low_watermark(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, PAGE_REPORTING_CAPACITY);
	/* There is room for a batch of small blocks, or for two large ones. */
	fpr_set_low_wmark(fake, zone, zone_page_state(zone, NR_FREE_PAGES) -
				      (2UL << MAX_PAGE_ORDER) - FPR_SLACK);
	fake->hook = hook_expect_room;
	fpr_pass(fake);
	fpr_feed(fake);
	KUNIT_EXPECT_NE(test, 0, fpr_nr_in(fake, zone));
	fpr_expect_sound(test);
}

/* S6: It counts as free, but nobody can allocate it without the host. */
static void unaccepted_memory_is_not_free(struct kunit *test)
{
	struct fpr_zone_state zone = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
		.free_pages = 1000 + (32 << 9), .managed_pages = 1 << 20,
	};

	KUNIT_EXPECT_NE(test, 0, fpr_engine_decide(&zone).budget);
	zone.unaccepted_pages = 1;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).budget);
	KUNIT_EXPECT_TRUE(test, fpr_engine_decide(&zone).put_off);
	zone.free_pages++;
	KUNIT_EXPECT_EQ(test, 32 << 9, fpr_engine_decide(&zone).room);

	/* The two are not read at the same instant. */
	zone.unaccepted_pages = ULONG_MAX;
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_decide(&zone).budget);
}

/* S6 */
static void zone_below_watermark_is_skipped(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	unsigned int nr;

	fpr_register(fake, 0);
	fpr_starve(fake, zone);
	fpr_pass(fake);
	fpr_feed(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_EQ(test, 0, nr);

	fpr_forget(fake);
	fpr_pass(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_NE(test, 0, nr);
}

/* Where a block's zone comes in the walk. */
static unsigned int zone_rank(const struct fpr_block *block)
{
	return zone_to_nid(block->zone) * MAX_NR_ZONES + zone_idx(block->zone);
}

/* Returns how often the type changed within one order of one zone. */
static unsigned int expect_walk_order(struct fpr_fake *fake)
{
	struct kunit *test = fake->test;
	const struct fpr_block *a, *b;
	unsigned int i, types = 0;

	for (i = 1; i < fake->nr_blocks; i++) {
		a = &fake->blocks[i - 1];
		b = &fake->blocks[i];
		KUNIT_EXPECT_LE(test, zone_rank(a), zone_rank(b));
		if (a->zone != b->zone)
			continue;
		KUNIT_EXPECT_GE(test, a->order, b->order);
		if (a->order != b->order)
			continue;
		KUNIT_EXPECT_LE(test, a->mt, b->mt);
		types += a->mt < b->mt;
	}
	return types;
}

/* S7 */
static void walk_goes_from_high_to_low_order(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int first, last;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_ASSERT_GT(test, fake->nr_blocks, 1);
	expect_walk_order(fake);

	first = fake->blocks[0].order;
	last = fake->blocks[fake->nr_blocks - 1].order;
	KUNIT_EXPECT_GT_MSG(test, first, last, "one order only");
}

/* Reports a lone block of each type; returns how often the type changed. */
static unsigned int report_types(struct fpr_fake *fake)
{
	static const gfp_t gfps[FPR_PAIRS] = {
		GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | __GFP_RECLAIMABLE
	};
	unsigned int i, types;

	fpr_report_all(fake);
	/* The half that stays keeps the other one from merging. */
	for (i = 0; i < FPR_PAIRS; i++) {
		fpr_get_pair(fake, &fake->pairs[i], gfps[i]);
		fpr_put(&fake->pairs[i].lo);
	}
	fpr_forget(fake);
	fpr_pass(fake);
	types = expect_walk_order(fake);
	for (i = 0; i < FPR_PAIRS; i++)
		fpr_put_pair(&fake->pairs[i]);
	return types;
}

/* S7 */
static void walk_takes_the_types_in_turn(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 5;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	/* With one type only, because others took the rest, nothing is shown. */
	while (!report_types(fake) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* S7 */
static void isolated_type_is_skipped(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_need_isolation(test);
	fpr_register(fake, 0);
	page = fpr_isolate_pageblock(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_NULL(test, fpr_find(fake, page));
	fpr_unisolate(fake, page);

	/* Part of a free block again, of whatever order. */
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static void hook_expect_isolated(struct fpr_fake *fake,
				 struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_FALSE(fake->test, PageBuddy(sg_page(sg)));
}

/* S8: The engine and the allocator assert the lock; lockdep answers by a WARN. */
static void isolation_holds_zone_lock(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		kunit_skip(test, "needs CONFIG_LOCKDEP");

	KUNIT_ASSERT_FALSE(test, test_taint(TAINT_WARN));
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, test_taint(TAINT_WARN));
}

/* S8 */
static void blocks_are_isolated(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->hook = hook_expect_isolated;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/* S8 */
static void reported_blocks_are_skipped(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, again = 0;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);

	for (i = 1; i < fake->nr_blocks && i < 2000; i++)
		again += fpr_find(fake, fake->blocks[i].page) !=
			 &fake->blocks[i];
	KUNIT_EXPECT_EQ(test, 0, again);
}

/* A new block at the tail of its list, where it is found last. */
static void move_to_tail(struct page *page)
{
	struct zone *zone = page_zone(page);
	int mt = get_pageblock_migratetype(page);

	spin_lock_irq(&zone->lock);
	if (PageBuddy(page) && buddy_order(page) == MAX_PAGE_ORDER)
		list_move_tail(&page->buddy_list,
			       &zone->free_area[MAX_PAGE_ORDER].free_list[mt]);
	spin_unlock_irq(&zone->lock);
}

/* S8 */
static void block_behind_reported_ones_is_found(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	/* Of the type that most have, to be among many. */
	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	fpr_free_past_lists(page);
	move_to_tail(page);
	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_NOT_NULL(test, fpr_find(fake, page));
}

/* Pages that a batch may have, without those that others took since. */
static unsigned long room(struct zone *zone)
{
	unsigned long pages = zone_page_state(zone, NR_FREE_PAGES);

	return pages - min(pages, low_wmark_pages(zone) + FPR_SLACK);
}

/* Not the last one of its zone, and still there was no reason to send it. */
static bool is_short(const struct fpr_block *block, unsigned int nents,
		     unsigned long pages, unsigned int capacity)
{
	return block->zone == block[1].zone && block->pass == block[1].pass &&
	       nents != capacity &&
	       pages + (1UL << block[1].order) <= room(block->zone);
}

/* All calls for a zone are full, or as large as the zone allows, but the last. */
static void expect_full_batches(struct fpr_fake *fake, unsigned int capacity)
{
	unsigned long pages = 0;
	unsigned int i, nents = 0;

	for (i = 0; i < fake->nr_blocks; i++) {
		const struct fpr_block *block = &fake->blocks[i];
		bool last = i + 1 == fake->nr_blocks;

		nents++;
		pages += 1UL << block->order;
		if (!last && block->call == block[1].call) {
			KUNIT_EXPECT_PTR_EQ(fake->test, block->zone,
					    block[1].zone);
			continue;
		}
		if (!last)
			KUNIT_EXPECT_FALSE(fake->test,
					   is_short(block, nents, pages,
						    capacity));
		KUNIT_EXPECT_LE(fake->test, nents, capacity);
		nents = 0;
		pages = 0;
	}
}

static const unsigned int capacities[] = { 0, 1, 3, 31, 32, 33, 256 };

static void describe_capacity(const unsigned int *capacity, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "capacity %u", *capacity);
}

KUNIT_ARRAY_PARAM(capacity, capacities, describe_capacity);

/* S9 B2: of whatever capacity, and 0 is the default */
static void full_batch_is_reported_at_once(struct kunit *test)
{
	const unsigned int *asked = test->param_value;
	unsigned int capacity = *asked ?: PAGE_REPORTING_CAPACITY;
	struct fpr_fake *fake = test->priv;
	unsigned int full;

	fpr_set_order(fake, FPR_ORDER);
	fake->hook = fpr_hook_expect_list;
	fpr_register(fake, *asked);
	KUNIT_EXPECT_EQ(test, capacity, fpr_engine_capacity(&fake->prdev));
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_GE(test, fake->calls * capacity, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
	fpr_expect_sound(test);

	fpr_report_all(fake);
	expect_full_batches(fake, capacity);
	full = fake->nr_blocks / capacity;
	KUNIT_EXPECT_GE(test, fake->calls, full);
}

/* S9 */
static void rest_is_reported_at_the_zones_end(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);

	/* One block is no full batch. */
	fpr_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fpr_put(&fake->pairs[0].lo);
	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_LT(test, fake->nr_blocks, PAGE_REPORTING_CAPACITY);
}

/* S9 */
static void huge_capacity_falls_back(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, UINT_MAX);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_CAPACITY,
			fpr_engine_capacity(&fake->prdev));
	fake->hook = fpr_hook_expect_list;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
}

static void hook_expect_unlocked(struct fpr_fake *fake,
				 struct scatterlist *sg, unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sg));
	struct kunit *test = fake->test;
	int tries = 1000;

	KUNIT_EXPECT_FALSE(test, irqs_disabled());
#ifdef CONFIG_LOCKDEP
	KUNIT_EXPECT_EQ(test, 0, current->lockdep_depth);
#endif
	if (irqs_disabled())
		return;

	might_sleep();
	/* Another CPU may hold it for a moment, but not for a second. */
	while (!spin_trylock_irq(&zone->lock)) {
		if (!--tries) {
			KUNIT_FAIL(test, "zone->lock is held");
			return;
		}
		usleep_range(500, 1000);
	}
	spin_unlock_irq(&zone->lock);
}

/* S10 */
static void driver_is_called_without_zone_lock(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->hook = hook_expect_unlocked;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
}

/* Pages that a zone has fewer after a pass. */
static long pages_missing(struct fpr_fake *fake, struct zone *zone)
{
	long before = zone_page_state_snapshot(zone, NR_FREE_PAGES);

	fpr_forget(fake);
	fpr_pass(fake);
	return before - zone_page_state_snapshot(zone, NR_FREE_PAGES);
}

static void expect_all_back(struct fpr_fake *fake, int err)
{
	/* Half of the smallest block that could be missing. */
	long most = 1L << (pageblock_order - 1);
	struct zone *zone = fpr_largest_zone();
	struct kunit *test = fake->test;
	long missing;
	int tries;

	fpr_register(fake, 0);
	fake->err = err;
	/* Others allocate and free too. A block that is lost stays lost. */
	for (tries = 0; tries < 5; tries++) {
		missing = pages_missing(fake, zone);
		KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
		KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
		if (missing < most && !fpr_count(fake, FPR_TAKEN))
			return;
	}
	KUNIT_FAIL(test, "%ld pages missing, %u of %u blocks not back", missing,
		   fpr_count(fake, FPR_TAKEN), fake->nr_blocks);
}

/* S11 */
static void blocks_go_back_after_success(struct kunit *test)
{
	expect_all_back(test->priv, 0);
}

/* S11 */
static void blocks_go_back_after_failure(struct kunit *test)
{
	expect_all_back(test->priv, -EIO);
}

/* Reports one reclaimable block, and tells where it is afterwards. */
static enum fpr_where report_reclaimable(struct fpr_fake *fake)
{
	struct fpr_block block = { .order = FPR_ORDER };
	struct fpr_pair *pair = &fake->pairs[0];
	enum fpr_where where;

	fpr_report_all(fake);
	fpr_get_pair(fake, pair, GFP_KERNEL | __GFP_RECLAIMABLE);
	block.page = pair->lo;
	block.zone = page_zone(pair->lo);
	block.mt = get_pageblock_migratetype(pair->lo);
	fpr_put(&pair->lo);

	fpr_forget(fake);
	fpr_report_all(fake);
	where = fpr_find_block(&block);
	/* Reported, and nobody turned its pageblock into another type? */
	if (!fpr_find(fake, block.page) ||
	    get_pageblock_migratetype(block.page) != block.mt)
		where = FPR_TAKEN;
	return where;
}

/* S11 */
static void blocks_go_back_to_their_list(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	enum fpr_where where = FPR_TAKEN;
	int tries;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	for (tries = 0; tries < 5 && where == FPR_TAKEN; tries++)
		where = report_reclaimable(fake);
	KUNIT_EXPECT_EQ(test, FPR_LISTED, where);
}

struct list_budget {
	unsigned long nr_free;
	unsigned int capacity;
	unsigned long budget;
};

static const struct list_budget list_budgets[] = {
	{ 0, 32, 0 },
	{ 1, 32, 32 },
	{ 6 * 32, 32, 32 },
	{ 6 * 32 + 1, 32, 64 },
	{ 6000, 32, 1024 },
	{ 6000, 1, 1000 },
	{ 6001, 1, 1001 },
	{ 600, 33, 132 },
};

static void describe_list(const struct list_budget *list, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu blocks, capacity %u",
		 list->nr_free, list->capacity);
}

KUNIT_ARRAY_PARAM(list_budget, list_budgets, describe_list);

/* S13 */
static void budget_follows_the_list(struct kunit *test)
{
	const struct list_budget *list = test->param_value;
	struct fpr_zone_state zone = {
		.free_pages = ULONG_MAX,
		.nr_free = list->nr_free,
		.order = 9,
		.capacity = list->capacity,
		.delay_ms = 1234,
	};
	struct fpr_decision decision = fpr_engine_decide(&zone);

	KUNIT_EXPECT_EQ(test, list->budget, decision.budget);
	KUNIT_EXPECT_EQ(test, 1234, decision.delay_ms);
}

/* S13 */
static void budget_bounds_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	unsigned long nr_free = zone->free_area[MAX_PAGE_ORDER].nr_free;
	unsigned long budget = DIV_ROUND_UP(nr_free, fpr_engine_limits.passes);
	unsigned int mt, lists = 0, nr;

	if (nr_free < 2 * fpr_engine_limits.passes)
		kunit_skip(test, "only %lu blocks of the highest order",
			   nr_free);
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		lists += !list_empty(&zone->free_area[MAX_PAGE_ORDER].free_list[mt]);

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fpr_pass(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_GE(test, nr, budget);
	KUNIT_EXPECT_LE(test, nr, budget * lists);
	KUNIT_EXPECT_LT(test, nr, nr_free);

	/* The rest is for a pass to come. */
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED, fpr_state(fake));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

static void turn_reported_to_front(struct list_head *list)
{
	struct page *page;

	list_for_each_entry(page, list, buddy_list)
		if (PageReported(page)) {
			list_rotate_to_front(&page->buddy_list, list);
			return;
		}
}

/* S14 */
static void interrupted_walk_turns_the_list(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	struct list_head *list =
		&zone->free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE];
	bool before, after;

	if (list_count_nodes(list) < 4 * fpr_engine_limits.passes)
		kunit_skip(test, "too few blocks of the highest order");

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fpr_pass(fake);

	/* What the last pass did is now in the way of the next one. */
	spin_lock_irq(&zone->lock);
	turn_reported_to_front(list);
	before = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);

	fpr_pass(fake);
	spin_lock_irq(&zone->lock);
	after = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_FALSE(test, after);
}

/* B7: A pass looks at nothing where nothing is unreported, and at little else. */
static void idle_zone_costs_nothing(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long orders = 0;
	struct zone *zone;

	/* Others free small blocks now and then, and none of this order. */
	fpr_set_order(fake, pageblock_order);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	for_each_populated_zone(zone)
		orders |= fpr_engine_orders(&fake->prdev, zone, pageblock_order);
	KUNIT_EXPECT_EQ(test, 0, orders);
}

/* B7: Nor does a list of reported blocks keep the lock: it is left in the middle. */
static void walk_pauses(struct kunit *test)
{
	unsigned int i, steps = fpr_engine_limits.steps;
	struct page *pages;
	LIST_HEAD(list);

	pages = kunit_kcalloc(test, 3 * steps / 2, sizeof(*pages), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 0; i < 3 * steps / 2; i++) {
		fpr_engine_set_mark(&pages[i]);
		list_add_tail(&pages[i].buddy_list, &list);
	}
	KUNIT_EXPECT_TRUE(test, fpr_engine_walk_pauses(&list, 1));
	KUNIT_EXPECT_PTR_EQ(test, &pages[steps],
			    list_first_entry(&list, struct page, buddy_list));
	/* Nor is it looked at when there is nothing in it. */
	KUNIT_EXPECT_FALSE(test, fpr_engine_walk_pauses(&list, 0));
}

/* B7: Nor does isolation, which looks at each page of a large block. */
static void isolation_counts_as_steps(struct kunit *test)
{
	const struct fpr_engine_limits *limits = &fpr_engine_limits;
	unsigned int steps = 1 + MAX_ORDER_NR_PAGES / limits->pages_per_step;
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	struct list_head *list =
		&zone->free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE];
	unsigned long nr_free;
	unsigned int nents;

	spin_lock_irq(&zone->lock);
	nr_free = list_count_nodes(list);
	spin_unlock_irq(&zone->lock);
	/* More than the watermark and a batch, of which nothing is left alone. */
	if (nr_free < 2 * PAGE_REPORTING_CAPACITY + 4 * limits->passes)
		kunit_skip(test, "only %lu blocks of the highest order", nr_free);

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	KUNIT_EXPECT_TRUE(test,
			  fpr_engine_fill_pauses(&fake->prdev, zone,
						 MAX_PAGE_ORDER,
						 MIGRATE_MOVABLE, &nents));
	KUNIT_EXPECT_EQ(test, DIV_ROUND_UP(limits->steps, steps), nents);
}

struct type {
	gfp_t gfp;
	int mt;
	const char *desc;
};

static const struct type types[] = {
	{ GFP_KERNEL, MIGRATE_UNMOVABLE, "unmovable" },
	{ GFP_KERNEL | __GFP_RECLAIMABLE, MIGRATE_RECLAIMABLE, "reclaimable" },
};

KUNIT_ARRAY_PARAM_DESC(type, types, desc);

/* Reports a free pageblock of a type; false if it was none by then. */
static bool type_stays(struct fpr_fake *fake, const struct type *type)
{
	struct page *page = fpr_alloc(fake, type->gfp, pageblock_order);
	bool shown;

	fpr_free_past_lists(page);
	fpr_forget(fake);

	shown = get_pageblock_migratetype(page) == type->mt;
	fpr_report_all(fake);
	shown &= fpr_covers(fake, page);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, type->mt,
				get_pageblock_migratetype(page));
	fpr_expect_sound(fake->test);
	return shown;
}

/* B11 */
static void pageblock_keeps_its_type(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	while (!type_stays(fake, test->param_value) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/*
 * One half of a pageblock is reported, and of the other one a part is free: the
 * type is that of both.
 */
static bool half_stays(struct fpr_fake *fake, const struct type *type)
{
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo;
	bool shown;

	pair->order = pageblock_order - 1;
	fpr_get_pair(fake, pair, type->gfp);
	lo = pair->lo;
	fpr_free_upper_half(pair->hi);
	fpr_put(&pair->lo);
	fpr_forget(fake);

	shown = get_pageblock_migratetype(lo) == type->mt;
	fpr_report_all(fake);
	shown &= fpr_covers(fake, lo);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, type->mt,
				get_pageblock_migratetype(lo));
	fpr_expect_sound(fake->test);
	fpr_put_pair(pair);
	return shown;
}

/* B11 */
static void half_a_pageblock_keeps_its_type(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 5;

	fpr_set_order(fake, pageblock_order - 1);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	while (!half_stays(fake, test->param_value) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

#if defined(CONFIG_MEMORY_ISOLATION) && defined(CONFIG_CMA)
/* Gives a free pageblock one of the types that are counted apart. */
static void set_type(struct page *page, int mt)
{
	struct zone *zone = page_zone(page);

	spin_lock_irq(&zone->lock);
	move_freepages_block_isolate(zone, page, mt);
	spin_unlock_irq(&zone->lock);
}

static void end_type(void *page)
{
	set_type(page, MIGRATE_MOVABLE);
}

struct reserve {
	int mt;
	const char *desc;
};

static const struct reserve reserves[] = {
	{ MIGRATE_CMA, "CMA" },
	{ MIGRATE_HIGHATOMIC, "highatomic" },
};

KUNIT_ARRAY_PARAM_DESC(reserve, reserves, desc);

/* B11 */
static void reserves_stay_accounted(struct kunit *test)
{
	const struct reserve *reserve = test->param_value;
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, pageblock_order);
	set_type(page, reserve->mt);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, end_type, page));
	fpr_free_past_lists(page);
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_TRUE(test, fpr_covers(fake, page));
	KUNIT_EXPECT_EQ(test, reserve->mt, get_pageblock_migratetype(page));
	fpr_expect_sound(test);
	kunit_release_action(test, end_type, page);
	fpr_expect_sound(test);
}
#else
static const void *reserve_gen_params(const void *prev, char *desc)
{
	return prev ? NULL : "";
}

/* B11 */
static void reserves_stay_accounted(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION and CONFIG_CMA");
}
#endif

/* H2: Lockdep complains about an allocation that could wait for memory. */
static void pass_takes_no_memory(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	if (!IS_ENABLED(CONFIG_PROVE_LOCKING))
		kunit_skip(test, "needs CONFIG_PROVE_LOCKING");

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 256);
#ifdef CONFIG_PROVE_LOCKING
	KUNIT_ASSERT_TRUE(test, debug_locks);
	fs_reclaim_acquire(GFP_KERNEL);
	fpr_run_pass(fake);
	fs_reclaim_release(GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, debug_locks);
#endif
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static void hook_isolate_second_half(struct fpr_fake *fake,
				     struct scatterlist *sgl,
				     unsigned int nents)
{
	struct page *half = sg_page(sgl) + pageblock_nr_pages;

	if (fake->watch || get_order(sgl->length) <= pageblock_order)
		return;
	if (!fpr_try_isolate(fake, half))
		fake->watch = half;
}

/* H9 */
static void halves_go_back_to_their_lists(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_block half = { .order = pageblock_order };
	enum fpr_where where;

	fpr_need_isolation(test);
	if (pageblock_order == MAX_PAGE_ORDER)
		kunit_skip(test, "no block is larger than a pageblock");

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_isolate_second_half;
	fpr_pass(fake);
	fake->hook = NULL;
	KUNIT_ASSERT_NOT_NULL(test, fake->watch);

	half.page = fake->watch;
	half.zone = page_zone(half.page);
	where = fpr_find_block(&half);
	fpr_expect_sound(test);
	KUNIT_EXPECT_EQ(test, FPR_LISTED, where);
	KUNIT_EXPECT_TRUE(test, is_migrate_isolate_page(half.page));
	fpr_unisolate(fake, half.page);
}

static void hook_expect_lengths(struct fpr_fake *fake,
				struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_EQ(fake->test, (u64)sg->length,
				(u64)PAGE_SIZE << MAX_PAGE_ORDER);
}

/* H16 */
static void longest_block_fits_its_length(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fake->hook = hook_expect_lengths;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static struct kunit_case page_reporting_walk_cases[] = {
	KUNIT_CASE(policy_leaves_a_short_zone_alone),
	KUNIT_CASE(policy_keeps_the_low_watermark),
	KUNIT_CASE(batch_keeps_the_low_watermark),
	KUNIT_CASE(unaccepted_memory_is_not_free),
	KUNIT_CASE(zone_below_watermark_is_skipped),
	KUNIT_CASE(walk_goes_from_high_to_low_order),
	KUNIT_CASE(walk_takes_the_types_in_turn),
	KUNIT_CASE(isolated_type_is_skipped),
	/* First of its row: the lab ends a run soon after a warning. */
	KUNIT_CASE(isolation_holds_zone_lock),
	KUNIT_CASE(blocks_are_isolated),
	KUNIT_CASE(reported_blocks_are_skipped),
	KUNIT_CASE(block_behind_reported_ones_is_found),
	KUNIT_CASE_PARAM(full_batch_is_reported_at_once, capacity_gen_params),
	KUNIT_CASE(rest_is_reported_at_the_zones_end),
	KUNIT_CASE(huge_capacity_falls_back),
	KUNIT_CASE(driver_is_called_without_zone_lock),
	KUNIT_CASE(blocks_go_back_after_success),
	KUNIT_CASE(blocks_go_back_after_failure),
	KUNIT_CASE(blocks_go_back_to_their_list),
	KUNIT_CASE_PARAM(budget_follows_the_list, list_budget_gen_params),
	KUNIT_CASE(budget_bounds_a_pass),
	KUNIT_CASE(interrupted_walk_turns_the_list),
	KUNIT_CASE(idle_zone_costs_nothing),
	KUNIT_CASE(walk_pauses),
	KUNIT_CASE(isolation_counts_as_steps),
	KUNIT_CASE_PARAM(pageblock_keeps_its_type, type_gen_params),
	KUNIT_CASE_PARAM(half_a_pageblock_keeps_its_type, type_gen_params),
	KUNIT_CASE_PARAM(reserves_stay_accounted, reserve_gen_params),
	KUNIT_CASE(pass_takes_no_memory),
	KUNIT_CASE(halves_go_back_to_their_lists),
	KUNIT_CASE(longest_block_fits_its_length),
	{}
};

static struct kunit_suite page_reporting_walk_suite =
	FPR_SUITE("walk", page_reporting_walk_cases);

kunit_test_suite(page_reporting_walk_suite);
