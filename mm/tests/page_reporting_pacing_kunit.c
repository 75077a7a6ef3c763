// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: pacing in the engine.
 *
 * These tests use the real clock, so they have to wait, and check times only
 * roughly. The policy itself is tested in user space, in
 * tools/testing/page_reporting/pacing.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "../shuffle.h"
#include "page_reporting_kunit.h"

/* B for large blocks, and the time to close its windows. */
#define TAU_MS		900

static void wait_and_pass(struct fpr_fake *fake)
{
	/* There is no condition to poll for: only time has to pass. */
	msleep(50);
	fpr_pass(fake);
}

/* In the time of so many passes, all idle memory should be reported. */
#define IDLE_PASSES	(3 * TAU_MS / 50)

/* Runs passes until @cond is true, at most IDLE_PASSES. */
#define pass_until(fake, cond)					\
({								\
	unsigned int __tries = IDLE_PASSES;			\
	bool __true;						\
								\
	do {							\
		wait_and_pass(fake);				\
	} while (!(__true = (cond)) && --__tries);		\
	__true;							\
})

/* Is the first zone that reported anything reported, but for a few blocks? */
static bool all_has_left(struct fpr_fake *fake)
{
	return fake->nr_blocks &&
	       fpr_unreported(fake->blocks[0].zone, MAX_PAGE_ORDER) <= 4;
}

/* B6 */
static void adaptive_reads_minus_one(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
	KUNIT_EXPECT_EQ(test, 0, fpr_set_param(FPR_PARAM_DELAY, "-1\n"));
	fpr_expect_param(test, FPR_PARAM_DELAY, "-1\n");
	/* Pacing may report what the old delay did not yet: after B and a window. */
	fpr_expect_requested(fake);
	fpr_expect_wait(test, &fake->prdev.work.timer,
			page_reporting_pacing_soonest_ms());
	/* No report breaks up a huge page. */
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);

	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_calm(fake);
}

/* B6: The pass after a free is due after B and a window: nothing is idle before. */
static void first_look_is_after_break_even(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	fpr_request();
	fpr_expect_wait(test, &fake->prdev.work.timer,
			page_reporting_pacing_soonest_ms());
	fpr_calm(fake);
}

/* B6 */
static void idle_memory_leaves(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	/* Pacing does not know yet which memory is idle. */
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));

	KUNIT_EXPECT_TRUE(test, pass_until(fake, all_has_left(fake)));
}

/* Registers with pacing, and waits until there is nothing to do. */
static void register_and_rest(struct kunit *test, struct fpr_fake *fake)
{
	unsigned int tries = FPR_MAX_PASSES;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	do {
		wait_and_pass(fake);
	} while (!fpr_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* B6 */
static void nothing_to_do_has_no_timer(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	register_and_rest(test, fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

/* B6: What a zone that is short cannot report does not become due as it is idle. */
static void short_zone_waits_as_after_errors(struct kunit *test)
{
	unsigned int idle_ms = page_reporting_pacing_soonest_ms();
	struct fpr_fake *fake = test->priv;
	struct page *page;
	int i;

	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	KUNIT_ASSERT_PTR_EQ(test, page_zone(page), fpr_largest_zone());
	/* No other zone has anything to wait for. */
	register_and_rest(test, fake);
	fpr_starve(fake, fpr_largest_zone());
	fpr_free_past_lists(page);
	msleep(2 * idle_ms);
	fpr_engine_forget_retries();
	for (i = 0; i < 5; i++)
		fpr_pass(fake);
	KUNIT_EXPECT_GT(test, fpr_wait_of(&fake->prdev.work.timer), 4 * idle_ms);
	fpr_feed(fake);
}

/* B6: The next pass is due when more may be idle, without a request. */
static void pass_is_due_when_more_may_leave(struct kunit *test)
{
	/* 19/16 B rather than 17/16, in whole ticks */
	unsigned int most_ms = page_reporting_pacing_soonest_ms() / 17 * 19 + 10;
	struct fpr_fake *fake = test->priv;
	struct timer_list *timer = &fake->prdev.work.timer;
	int tries = 10;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	/* Others may free a block, which requests a pass. */
	do {
		fpr_pass(fake);
	} while (fpr_state(fake) != PAGE_REPORTING_IDLE && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
	KUNIT_EXPECT_TRUE(test, timer_pending(timer));
	KUNIT_EXPECT_LE(test, fpr_wait_of(timer), most_ms);

	/* The same after a pass that the worker runs. */
	flush_delayed_work(&fake->prdev.work);
	KUNIT_EXPECT_TRUE(test, timer_pending(timer));
	KUNIT_EXPECT_LE(test, fpr_wait_of(timer), most_ms);
	KUNIT_EXPECT_EQ(test, 0, fake->nr_blocks);
}

/* B6: The CPU time of a flush is not charged to pacing. */
static void flush_leaves_no_debt(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_pass(fake);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_debt_ns());
}

/*
 * Blocks of @order and @mt that the budget allows if pacing has granted so many
 * pages, which is all of the pool or not.
 */
static unsigned long paced_blocks_of(u64 granted, bool all, unsigned int order,
				     int mt)
{
	enum page_reporting_pool pool = page_reporting_pool(order, mt);
	struct page_reporting_budget budget = { .capacity = 32 };
	struct zone *zone = fpr_largest_zone();
	unsigned long blocks;

	page_reporting_budget_pace(&budget);
	spin_lock_irq(&zone->lock);
	/* Without a device, there is no state. */
	if (zone->page_reporting)
		budget.ops->open(&budget, zone);
	budget.grant[pool] = granted;
	budget.all[pool] = all;
	blocks = budget.ops->blocks(&budget, zone, order, mt, 0);
	spin_unlock_irq(&zone->lock);
	return blocks;
}

static unsigned long paced_blocks(u64 granted, unsigned int order)
{
	return paced_blocks_of(granted, true, order, MIGRATE_MOVABLE);
}

/* B6 */
static void grant_is_for_blocks_of_any_size(struct kunit *test)
{
	u64 granted = 5UL << MAX_PAGE_ORDER;

	fpr_engine_set_debt(0);
	KUNIT_EXPECT_EQ(test, 5, paced_blocks(granted, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 4, paced_blocks(granted - 1, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 0, paced_blocks(0, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 5UL << MAX_PAGE_ORDER, paced_blocks(granted, 0));
}

/* Blocks of a huge page of the host that may leave for a grant of @pages. */
static unsigned long rest_of(u64 pages, bool all, int mt)
{
	return paced_blocks_of(pages, all, PAGE_REPORTING_UNIT_ORDER, mt);
}

/*
 * B6: A marked block of a lower order is allocated before an unmarked larger one
 * is split. So the rest of a surplus must not be taken from the lower order.
 */
static void rest_of_a_surplus_is_in_the_largest_blocks(struct kunit *test)
{
	u64 pages = 1ULL << PAGE_REPORTING_UNIT_ORDER;
	struct fpr_fake *fake = test->priv;
	struct page *larger, *kernel;

	if (PAGE_REPORTING_UNIT_ORDER == MAX_PAGE_ORDER)
		kunit_skip(test, "no block is larger than a huge page of the host");
	fpr_set_order(fake, PAGE_REPORTING_UNIT_ORDER);
	fpr_register(fake, 0);
	kernel = fpr_alloc(fake, GFP_KERNEL, PAGE_REPORTING_UNIT_ORDER);
	/* The buddy of one of them is in use. */
	fpr_alloc(fake, GFP_KERNEL, PAGE_REPORTING_UNIT_ORDER);
	larger = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	KUNIT_ASSERT_PTR_EQ(test, page_zone(larger), fpr_largest_zone());
	fpr_report_all(fake);
	fpr_engine_set_debt(0);
	KUNIT_EXPECT_EQ(test, 1, rest_of(pages, false, MIGRATE_MOVABLE));

	fpr_free_past_lists(larger);
	KUNIT_EXPECT_EQ(test, 0, rest_of(pages, false, MIGRATE_MOVABLE));
	/* With demand gone, nothing would be refaulted. */
	KUNIT_EXPECT_EQ(test, 1, rest_of(pages, true, MIGRATE_MOVABLE));
	KUNIT_EXPECT_EQ(test, 2, rest_of(2 * pages, false, MIGRATE_MOVABLE));
	/* What programs have does not keep what the kernel has. */
	fpr_free_past_lists(kernel);
	KUNIT_EXPECT_EQ(test, 1, rest_of(pages, false, MIGRATE_UNMOVABLE));
}

/* B6: What the kernel has does not keep what programs have. */
static void larger_blocks_of_the_kernel_are_another_matter(struct kunit *test)
{
	u64 pages = 1ULL << PAGE_REPORTING_UNIT_ORDER;
	struct fpr_fake *fake = test->priv;
	struct page *larger;

	if (PAGE_REPORTING_UNIT_ORDER == MAX_PAGE_ORDER)
		kunit_skip(test, "no block is larger than a huge page of the host");
	fpr_set_order(fake, PAGE_REPORTING_UNIT_ORDER);
	fpr_register(fake, 0);
	larger = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	KUNIT_ASSERT_PTR_EQ(test, page_zone(larger), fpr_largest_zone());
	fpr_report_all(fake);
	fpr_engine_set_debt(0);
	fpr_free_past_lists(larger);
	KUNIT_EXPECT_EQ(test, 0, rest_of(pages, false, MIGRATE_UNMOVABLE));
	KUNIT_EXPECT_EQ(test, 1, rest_of(pages, false, MIGRATE_MOVABLE));
}

/* B6 */
static void debt_lets_nothing_go(struct kunit *test)
{
	u64 granted = 5UL << MAX_PAGE_ORDER;

	/* Above the limit for the memory of any test machine; takes a day to pay off. */
	fpr_engine_set_debt(1000ULL * NSEC_PER_SEC);
	KUNIT_EXPECT_EQ(test, 0, paced_blocks(granted, MAX_PAGE_ORDER));
	fpr_engine_set_debt(0);
	KUNIT_EXPECT_NE(test, 0, paced_blocks(granted, MAX_PAGE_ORDER));
}

/* B6 B17: The host ran another guest for half a second during a report. */
static void one_stolen_slice_does_not_stop_reports(struct kunit *test)
{
	u64 pages = SZ_4G >> PAGE_SHIFT;
	struct page_reporting_cap cap;
	int i;

	page_reporting_cap_init(&cap, 0);
	for (i = 0; i < 20; i++)
		page_reporting_cap_charge(&cap, 32 * 14000);
	page_reporting_cap_charge(&cap, 500 * NSEC_PER_MSEC);
	KUNIT_EXPECT_TRUE(test, page_reporting_cap_allows(&cap, pages,
							  MSEC_PER_SEC));
	/* Many slow reports do. */
	for (i = 0; i < 50; i++)
		page_reporting_cap_charge(&cap, 5 * NSEC_PER_MSEC);
	KUNIT_EXPECT_FALSE(test, page_reporting_cap_allows(&cap, pages,
							   MSEC_PER_SEC));
}

/* B6: A pass that spent long in another zone is not late in this one. */
static void long_pass_is_not_late(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	struct page_reporting_budget budget = { .capacity = 32 };
	struct page_reporting_pacing *pacing;
	struct page_reporting_demand *pool;
	unsigned int window_ms;
	bool open;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	fpr_pass(fake);
	fpr_engine_set_debt(0);

	/* The level has not changed for longer than B, and the pass is in time. */
	spin_lock_irq(&zone->lock);
	pool = &zone->page_reporting->pool[PAGE_REPORTING_MOVABLE];
	pacing = &pool->pacing;
	window_ms = pacing->break_even_ms / PAGE_REPORTING_WINDOWS;
	page_reporting_pacing_init(pacing, pacing->order,
				   page_reporting_level(pool),
				   page_reporting_now_ms() -
				   (PAGE_REPORTING_WINDOWS + 2) * window_ms);
	memset(pacing->past, 0, sizeof(pacing->past));
	pacing->due_ms = page_reporting_now_ms();
	spin_unlock_irq(&zone->lock);

	page_reporting_budget_pace(&budget);
	msleep(2 * PAGE_REPORTING_SLACK * window_ms);
	spin_lock_irq(&zone->lock);
	open = budget.ops->open(&budget, zone);
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_TRUE(test, open);
	KUNIT_EXPECT_NE(test, 0, budget.grant[PAGE_REPORTING_MOVABLE]);
}

static u64 due_ms_of(struct zone *zone, enum page_reporting_pool pool)
{
	u64 due_ms;

	spin_lock_irq(&zone->lock);
	due_ms = zone->page_reporting->pool[pool].pacing.due_ms;
	spin_unlock_irq(&zone->lock);
	return due_ms;
}

/* B6: Otherwise, a stall before the next pass would not be noticed there. */
static void zone_that_a_pass_leaves_out_may_be_late(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	enum page_reporting_pool pool;
	struct zone *zone;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	fpr_pass(fake);
	/* A pass that never comes to this zone, as it is too small or short. */
	fpr_starve(fake, fpr_largest_zone());
	fpr_pass(fake);
	for_each_populated_zone(zone) {
		for (pool = 0; zone->page_reporting && pool < PAGE_REPORTING_POOLS; pool++)
			KUNIT_EXPECT_NE(test, PAGE_REPORTING_PASS_RUNS, due_ms_of(zone, pool));
	}
	fpr_feed(fake);
}

/* B6: The timer starts when a pass ends, and may be late by an eighth. */
static void no_pass_is_due_before_the_timer(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	u64 due_ms, expires_ms;
	enum page_reporting_pool pool;
	unsigned int tries, wait_ms, nr = 0;
	struct zone *zone;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	for (tries = 0; tries < IDLE_PASSES && !nr; tries++) {
		/* Free memory that is not idle yet. */
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
		fpr_free_all(fake);
		fpr_calm(fake);
		fpr_pass(fake);
		if (!timer_pending(&fake->prdev.work.timer))
			continue;
		wait_ms = fpr_wait_of(&fake->prdev.work.timer);
		expires_ms = page_reporting_now_ms() + wait_ms;
		for_each_populated_zone(zone) {
			for (pool = 0; zone->page_reporting && pool < PAGE_REPORTING_POOLS; pool++) {
				due_ms = due_ms_of(zone, pool);
				if (due_ms == U64_MAX)
					continue;
				KUNIT_EXPECT_GE(test, due_ms, expires_ms + wait_ms / 8);
				nr++;
			}
		}
	}
	KUNIT_EXPECT_NE(test, 0, nr);
}

/* B6 B7: The time of a pass counts even if it reports nothing. */
static void walk_in_vain_is_charged(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int tries, calls;
	struct page *page;

	fpr_need_isolation(test);
	fpr_set_order(fake, pageblock_order);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	/* It counts as free and idle, but is on no list that a pass takes from. */
	page = fpr_isolate_pageblock(fake);
	pass_until(fake, fpr_nr_in(fake, page_zone(page)) && fpr_engine_retries());
	for (tries = 0; tries < IDLE_PASSES; tries++) {
		msleep(TAU_MS / 16);
		calls = fake->calls;
		fpr_engine_set_debt(0);
		fpr_pass(fake);
		if (fake->calls == calls && fpr_engine_debt_ns())
			break;
	}
	KUNIT_EXPECT_LT(test, tries, IDLE_PASSES);
	fpr_unisolate(fake, page);
}

/* B6: Isolated blocks count as free, and must not keep others from being reported. */
static void isolation_holds_up_no_other(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;
	bool comes_back;

	fpr_need_isolation(test);
	fpr_set_order(fake, pageblock_order);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	page = fpr_isolate_pageblock(fake);
	/*
	 * No free announces that the isolation ends, so passes come back. The
	 * worker may run some of them, and one that has no grant resets this.
	 */
	comes_back = pass_until(fake, fpr_nr_in(fake, page_zone(page)) && fpr_engine_retries());
	KUNIT_EXPECT_TRUE(test, comes_back);
	KUNIT_EXPECT_NULL(test, fpr_find(fake, page));
	fpr_unisolate(fake, page);
}

/* Allocates and frees @nr blocks of the highest order, and runs a pass. */
static void use_and_pass(struct fpr_fake *fake, unsigned int nr)
{
	while (nr--)
		KUNIT_EXPECT_NOT_NULL(fake->test,
				      fpr_try_alloc(fake, GFP_KERNEL,
						    MAX_PAGE_ORDER));
	fpr_free_all(fake);
	fpr_pass(fake);
}

/* After this, only what the test frees can be reported. */
static void begin_with_all_reported(struct fpr_fake *fake)
{
	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(fake->test, "the block freed last is not taken first");
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	pass_until(fake, fake->nr_blocks && fpr_is_quiet(fake));
	KUNIT_ASSERT_NE(fake->test, 0, fake->nr_blocks);
}

/*
 * B6: Of twelve blocks, seven are used again and again. Only the other five may be
 * reported, give or take what others use and free.
 */
static void memory_in_use_stays(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	begin_with_all_reported(fake);

	fpr_forget(fake);
	use_and_pass(fake, 12);
	for (i = 0; i < 2 * TAU_MS / 50; i++) {
		msleep(50);
		use_and_pass(fake, 7);
	}
	KUNIT_EXPECT_GE(test, fake->nr_blocks, 1);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 8);
	KUNIT_EXPECT_TRUE(test, pass_until(fake, fake->nr_blocks >= 8));
}

/* Blocks that each of two demands uses. */
#define DEMAND	8

static void take_some(struct fpr_fake *fake, struct page **pages, gfp_t gfp)
{
	int i;

	for (i = 0; i < DEMAND; i++)
		pages[i] = fpr_alloc(fake, gfp, MAX_PAGE_ORDER);
}

static void free_some(struct page **pages)
{
	int i;

	for (i = 0; i < DEMAND; i++)
		fpr_free(pages[i]);
}

/*
 * B6: Programs and the kernel use memory in turn. The amount of free memory does
 * not change, but none of it is idle.
 */
static void two_demands_have_no_common_surplus(struct kunit *test)
{
	struct page *movable[DEMAND], *kernel[DEMAND];
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	begin_with_all_reported(fake);

	take_some(fake, movable, GFP_HIGHUSER_MOVABLE);
	take_some(fake, kernel, GFP_KERNEL);
	fpr_forget(fake);
	/* One frees before the other allocates, so the sum of free memory never falls. */
	for (i = 0; i < 2 * TAU_MS / 100; i++) {
		free_some(kernel);
		if (i)
			take_some(fake, movable, GFP_HIGHUSER_MOVABLE);
		wait_and_pass(fake);
		free_some(movable);
		take_some(fake, kernel, GFP_KERNEL);
		wait_and_pass(fake);
	}
	KUNIT_EXPECT_LE(test, fake->nr_blocks, DEMAND / 2);
}

/* Expects that all free memory is reported, and that no pass is due after that. */
static void expect_all_leave(struct fpr_fake *fake)
{
	unsigned int tries = FPR_MAX_PASSES;

	do {
		wait_and_pass(fake);
	} while (!fpr_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE_MSG(fake->test, 0, tries, "%lu blocks are left",
			    fpr_unreported_in_all(page_reporting_order));
}

/* Allocates all blocks of the highest order, whatever their migratetype was. */
static void take_all(struct fpr_fake *fake, gfp_t gfp)
{
	gfp |= __GFP_NOWARN | __GFP_NORETRY;
	while (fpr_try_alloc(fake, gfp, MAX_PAGE_ORDER))
		;
}

/*
 * B1 B6: Memory of the kernel that was free before the registration is reported, even
 * if it is too much to be counted.
 */
static void kernel_blocks_from_before_leave(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_COUNTED + 3 * DEMAND; i++)
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_all(fake);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	KUNIT_EXPECT_TRUE(test, pass_until(fake, fake->nr_blocks));
	/* As one pool and the other, in one pass. */
	KUNIT_EXPECT_LE(test, fpr_unreported_in_all(MAX_PAGE_ORDER), 2 * DEMAND);
	expect_all_leave(fake);
}

/* More blocks than the watermarks reserve. */
#define STOLEN	32

/* B1 B6: Memory is reported that has changed its migratetype since it was counted. */
static void stolen_blocks_leave(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	expect_all_leave(fake);
	for (i = 0; i < STOLEN; i++)
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_all(fake);
	take_all(fake, GFP_HIGHUSER_MOVABLE);
	fpr_free_all(fake);
	expect_all_leave(fake);

	/* From movable to unmovable. */
	take_all(fake, GFP_KERNEL);
	fpr_free_all(fake);
	expect_all_leave(fake);
}

/* This happens when a kernel block that was counted as movable is used. */
static void count_half_as_movable(struct zone *zone)
{
	struct page_reporting_demand *pool;

	spin_lock_irq(&zone->lock);
	pool = zone->page_reporting->pool;
	pool[PAGE_REPORTING_MOVABLE].level += MAX_ORDER_NR_PAGES / 2;
	pool[PAGE_REPORTING_KERNEL].level -= MAX_ORDER_NR_PAGES / 2;
	spin_unlock_irq(&zone->lock);
}

/* B1 B6: A block is reported even if two pools count a part of it each. */
static void block_in_two_levels_leaves(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;
	struct zone *zone;

	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	zone = page_zone(page);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	expect_all_leave(fake);
	fpr_free_past_lists(page);
	count_half_as_movable(zone);
	expect_all_leave(fake);
}

/*
 * B1 B6: The same where it is so far back on a long list that it is not counted
 * anew: after an isolation of a part of it failed, for example.
 */
static void block_in_two_levels_leaves_a_long_list(struct kunit *test)
{
	struct page_reporting_pacing *kernel;
	struct fpr_fake *fake = test->priv;
	struct page *page;
	struct zone *zone;
	unsigned int i;
	u64 gone;

	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	zone = page_zone(page);
	for (i = 0; i < PAGE_REPORTING_COUNTED + DEMAND; i++)
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	expect_all_leave(fake);
	list_del_init(&page->lru);
	fpr_free_all(fake);
	expect_all_leave(fake);
	fpr_free_past_lists(page);
	fpr_move_to_tail(page, MAX_PAGE_ORDER);
	kernel = &zone->page_reporting->pool[PAGE_REPORTING_KERNEL].pacing;
	gone = kernel->gone;
	count_half_as_movable(zone);
	expect_all_leave(fake);
	/* What has left the kernel's pool does not count as idle there. */
	KUNIT_EXPECT_GE(test, kernel->gone - gone, MAX_ORDER_NR_PAGES / 2);
}

/* B6: Memory that is not idle yet in one pass is reported as soon as it is. */
static void rest_leaves_in_its_own_time(struct kunit *test)
{
	unsigned int first_ms = page_reporting_pacing_soonest_ms();
	struct fpr_fake *fake = test->priv;
	unsigned int tries = IDLE_PASSES;
	struct page *one, *other;

	/* Never reported, so that they are not kept for 4 B. */
	one = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	other = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	expect_all_leave(fake);
	fpr_free_past_lists(one);
	/* Half the time that a free would wait for its pass. */
	msleep(first_ms / 2);
	fpr_free_past_lists(other);
	fpr_forget(fake);
	/* In this thread, as a pass of the worker would set the timer anew. */
	do {
		fpr_calm(fake);
		wait_and_pass(fake);
	} while (!fake->nr_blocks && --tries);
	KUNIT_EXPECT_EQ(test, 1, fake->nr_blocks);
	KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));
	KUNIT_EXPECT_LE(test, fpr_wait_of(&fake->prdev.work.timer),
			3 * first_ms / 4);
}

static struct kunit_case page_reporting_pacing_cases[] = {
	KUNIT_CASE(adaptive_reads_minus_one),
	KUNIT_CASE(first_look_is_after_break_even),
	KUNIT_CASE_SLOW(idle_memory_leaves),
	KUNIT_CASE_SLOW(nothing_to_do_has_no_timer),
	KUNIT_CASE_SLOW(short_zone_waits_as_after_errors),
	KUNIT_CASE(pass_is_due_when_more_may_leave),
	KUNIT_CASE(flush_leaves_no_debt),
	KUNIT_CASE(grant_is_for_blocks_of_any_size),
	KUNIT_CASE(rest_of_a_surplus_is_in_the_largest_blocks),
	KUNIT_CASE(larger_blocks_of_the_kernel_are_another_matter),
	KUNIT_CASE(debt_lets_nothing_go),
	KUNIT_CASE(one_stolen_slice_does_not_stop_reports),
	KUNIT_CASE(long_pass_is_not_late),
	KUNIT_CASE(zone_that_a_pass_leaves_out_may_be_late),
	KUNIT_CASE(no_pass_is_due_before_the_timer),
	KUNIT_CASE_SLOW(walk_in_vain_is_charged),
	KUNIT_CASE_SLOW(isolation_holds_up_no_other),
	KUNIT_CASE_SLOW(memory_in_use_stays),
	KUNIT_CASE_SLOW(two_demands_have_no_common_surplus),
	KUNIT_CASE_SLOW(kernel_blocks_from_before_leave),
	KUNIT_CASE_SLOW(stolen_blocks_leave),
	KUNIT_CASE_SLOW(block_in_two_levels_leaves),
	KUNIT_CASE_SLOW(block_in_two_levels_leaves_a_long_list),
	KUNIT_CASE_SLOW(rest_leaves_in_its_own_time),
	{}
};

static struct kunit_suite page_reporting_pacing_suite =
	FPR_SUITE("pacing", page_reporting_pacing_cases);

kunit_test_suite(page_reporting_pacing_suite);
