// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: which blocks are reported, and what is
 * counted.
 */

#include <kunit/test.h>
#include <linux/align.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/memory_hotplug.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/smp.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "../shuffle.h"
#include "page_reporting_kunit.h"

static void get_order_desc(const unsigned int *order, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %u", *order);
}

/* Does the hook for a free of this order request a pass? */
static bool notify_asks(struct fpr_fake *fake, unsigned int order)
{
	struct page *page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, 0);
	struct zone *zone = page_zone(page);

	fpr_calm(fake);
	spin_lock_irq(&zone->lock);
	page_reporting_notify_free(zone, order, order, MIGRATE_MOVABLE);
	spin_unlock_irq(&zone->lock);
	fpr_free(page);
	return fpr_state(fake) == PAGE_REPORTING_REQUESTED;
}

/* S3 */
static void only_large_blocks_notify(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	KUNIT_EXPECT_TRUE(test, notify_asks(fake, MAX_PAGE_ORDER));

	/* Others may free a large block at any time. */
	while (tries && notify_asks(fake, MAX_PAGE_ORDER - 1))
		tries--;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* S3 */
static void allocator_notifies(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);

	page = fpr_alloc(fake, GFP_KERNEL, FPR_ORDER);
	fpr_calm(fake);
	fpr_free(page);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED, fpr_state(fake));
}

/* S3: A zone that no pass has entered yet has no state. */
static void free_before_the_first_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register_unready(fake, 0);
	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_past_lists(page);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED, fpr_state(fake));
	fpr_engine_live_in(0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/* S3 */
static void key_is_on_with_a_device(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	KUNIT_EXPECT_FALSE(test, static_key_enabled(&page_reporting_enabled));
	fpr_register(fake, 0);
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&page_reporting_enabled));
	fpr_unregister(fake);
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&page_reporting_enabled));
}

/* S12 */
static void mark_after_success(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 5;

	fpr_register(fake, 0);
	do {
		fpr_forget(fake);
		fpr_pass(fake);
		KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);
	} while (fpr_nr_marked(fake) != fake->nr_blocks && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* S12 */
static void no_mark_after_failure(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->err = -EIO;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
}

/* The sleep ends the pass, so that it does not report the merged block. */
static void hook_free_neighbour_and_sleep(struct fpr_fake *fake,
					  struct scatterlist *sgl,
					  unsigned int nents)
{
	fpr_hook_free_neighbour(fake, sgl, nents);
	if (!fake->pairs[0].hi)
		fpr_hook_sleep(fake, sgl, nents);
}

/* S12 */
static void no_mark_on_a_merged_block(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *lo;
	bool alone;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);

	fpr_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	lo = fake->pairs[0].lo;
	fpr_put(&fake->pairs[0].lo);
	fake->watch = lo;
	fake->hook = hook_free_neighbour_and_sleep;
	fpr_forget(fake);
	fpr_pass(fake);

	KUNIT_EXPECT_NOT_NULL(test, fpr_find(fake, lo));
	KUNIT_EXPECT_NULL(test, fake->pairs[0].hi);
	alone = PageBuddy(lo) && buddy_order(lo) == FPR_ORDER;
	KUNIT_EXPECT_FALSE(test, alone);
	KUNIT_EXPECT_FALSE(test, PageReported(lo));
}

/* S12 */
static void allocation_clears_the_mark(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = fpr_alloc(fake, GFP_KERNEL, FPR_ORDER);
	KUNIT_EXPECT_FALSE(test, PageReported(page));
	fpr_free(page);
}

static unsigned long nr_pages(struct fpr_fake *fake)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += 1UL << fake->blocks[i].order;
	return nr;
}

/* B3 */
static void counters_add_up(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];
	struct fpr_sums *before;

	fpr_need_counters(test);
	before = fpr_new_sums(test);
	fpr_expect_identity(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_EQ(test, nr_pages(fake),
			fpr_grown(test, before, PGREPORT));
	KUNIT_EXPECT_EQ(test, fake->calls,
			fpr_grown(test, before, PAGE_REPORTING_CALL));
	KUNIT_EXPECT_EQ(test, fake->passes,
			fpr_grown(test, before, PAGE_REPORTING_PASS));
	KUNIT_EXPECT_GT(test, fpr_new_sums(test)->free, 0);
	fpr_expect_identity(test);

	/* The lower block of a pair is reported, and merges with the upper one. */
	fpr_get_pair(fake, pair, GFP_KERNEL);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_REFAULT),
			1UL << FPR_ORDER);
	fpr_put(&pair->lo);
	fpr_report_all(fake);
	fpr_put(&pair->hi);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_MERGE),
			1UL << FPR_ORDER);
	fpr_expect_identity(test);

	fpr_unregister(fake);
	KUNIT_EXPECT_GT(test, fpr_grown(test, before, PGREPORT_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, 0, fpr_new_sums(test)->free);
	fpr_expect_identity(test);
}

/* B3 */
static void merge_in_the_drain_is_counted(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;

	fpr_need_counters(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	fpr_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fake->watch = fake->pairs[0].lo;
	fpr_put(&fake->pairs[0].lo);
	fake->hook = fpr_hook_free_neighbour;
	before = fpr_new_sums(test);
	fpr_pass(fake);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_MERGE),
			1UL << FPR_ORDER);
	fpr_expect_identity(test);
}

/* B3 */
static void refused_pages_are_counted(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;

	fpr_need_counters(test);
	fpr_register(fake, 0);
	fake->err = -EIO;
	before = fpr_new_sums(test);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, nr_pages(fake),
			fpr_grown(test, before, PGREPORT_FAIL));
	KUNIT_EXPECT_EQ(test, 0, fpr_grown(test, before, PGREPORT));
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_CALL));
}

/* B3 */
static void skipped_zone_is_counted(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;

	fpr_need_counters(test);
	fpr_register(fake, 1);
	before = fpr_new_sums(test);
	fpr_starve(fake, zone);
	fpr_pass(fake);
	fpr_feed(fake);
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_SKIP));
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_SKIP));
}

/*
 * Allocates blocks until one of the highest order is split for it. Returns how
 * many pages were refaulted by the last allocation.
 */
static unsigned long split_largest(struct fpr_fake *fake, unsigned int order)
{
	struct fpr_sums *before;
	unsigned long largest;

	do {
		before = fpr_new_sums(fake->test);
		largest = fpr_nr_largest();
		if (!fpr_try_alloc(fake, GFP_KERNEL, order))
			return 0;
	} while (fpr_nr_largest() >= largest);
	return fpr_grown(fake->test, before, PGREPORT_REFAULT);
}

/* B8: A lower order than a huge page means that the host uses smaller pages. */
static void split_keeps_the_rest_reported(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long used;

	fpr_need_counters(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	used = split_largest(fake, FPR_ORDER);
	/* Far less than the block that was split. */
	KUNIT_EXPECT_GE(test, used, 1UL << FPR_ORDER);
	KUNIT_EXPECT_LT(test, used, MAX_ORDER_NR_PAGES / 2);
	fpr_expect_identity(test);

	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 4);
}

/* Number of marked blocks below an order. */
static unsigned long marked_below(unsigned int end)
{
	unsigned int order, mt;
	unsigned long nr = 0;
	struct zone *zone;
	struct page *page;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		for (order = 0; order < end; order++)
			for (mt = 0; mt < MIGRATE_TYPES; mt++)
				list_for_each_entry(page,
						    &zone->free_area[order].free_list[mt],
						    buddy_list)
					nr += PageReported(page);
		spin_unlock_irq(&zone->lock);
	}
	return nr;
}

/*
 * B6 B8 B14: By default, the host is assumed to back a whole huge page when a part of
 * it is touched. So no part of this huge page keeps its mark, all of it counts as
 * refaulted, and the rest of the block stays marked.
 */
static void no_mark_survives_below_the_unit(struct kunit *test)
{
	const unsigned int unit = PAGE_REPORTING_UNIT_ORDER;
	struct fpr_fake *fake = test->priv;
	unsigned long used, marked;

	fpr_need_counters(test);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	marked = fpr_marked();
	used = split_largest(fake, unit - 1);
	KUNIT_EXPECT_EQ(test, 0, marked_below(unit));
	KUNIT_EXPECT_GE(test, used, 1UL << unit);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(used, 1UL << unit));
	if (unit < MAX_PAGE_ORDER)
		KUNIT_EXPECT_LT(test, used, 2 * MAX_ORDER_NR_PAGES);
	KUNIT_EXPECT_GT(test, fpr_marked(), marked / 2);
	fpr_expect_identity(test);
	fpr_expect_sound(test);
}

/* Reports single pages once, and then only pageblocks. */
static void use_order_0_once(struct fpr_fake *fake)
{
	fpr_set_order(fake, 0);
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_EXPECT_TRUE(fake->test, page_reporting_watches(0));
	KUNIT_EXPECT_NE(fake->test, 0, marked_below(pageblock_order));
	fpr_set_order(fake, pageblock_order);
	fpr_forget(fake);
	fpr_report_all(fake);
}

/* H7 */
static void raised_order_ends_the_watch_of_small_blocks(struct kunit *test)
{
	use_order_0_once(test->priv);
	KUNIT_EXPECT_FALSE(test, page_reporting_watches(0));
	KUNIT_EXPECT_FALSE(test, page_reporting_watches(PAGE_REPORTING_UNIT_ORDER - 1));
	KUNIT_EXPECT_TRUE(test, page_reporting_watches(pageblock_order));
}

/* H7 */
static void raised_order_clears_smaller_marks(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	use_order_0_once(fake);
	KUNIT_EXPECT_EQ(test, 0, marked_below(PAGE_REPORTING_UNIT_ORDER));
	/* Larger blocks keep their marks. */
	KUNIT_EXPECT_NE(test, 0, fpr_marked());
	fpr_expect_identity(test);
	fpr_expect_sound(test);
}

static int sweep_in_a_thread(void *arg)
{
	struct fpr_fake *fake = arg;

	page_reporting_sweep(NR_PAGE_ORDERS);
	complete(&fake->gone);
	return 0;
}

/* H7: Offlining takes as long as a page does not move, and may never end. */
static void sweep_waits_for_no_offlining(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct task_struct *thread;
	bool gone = false;

	if (!IS_ENABLED(CONFIG_MEMORY_HOTPLUG))
		kunit_skip(test, "needs CONFIG_MEMORY_HOTPLUG");
	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fpr_marked());
	mem_hotplug_begin();
	thread = kthread_run(sweep_in_a_thread, fake, "fpr_sweep");
	if (!IS_ERR(thread))
		gone = wait_for_completion_timeout(&fake->gone, FPR_DEADLINE);
	mem_hotplug_done();
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	KUNIT_EXPECT_TRUE(test, gone);
	if (!gone)
		wait_for_completion(&fake->gone);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
}

/* H7: When a block is split, no part that is too small for a mark keeps it. */
static void raised_order_keeps_no_smaller_parts(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	use_order_0_once(fake);
	split_largest(fake, FPR_ORDER);
	KUNIT_EXPECT_EQ(test, 0, marked_below(PAGE_REPORTING_UNIT_ORDER));
}

/* More pages than are refaulted in a test. */
#define RECENT		SZ_1M

static struct page_reporting_pacing *__pacing_of(struct zone *zone,
						 enum page_reporting_pool pool)
{
	return &zone->page_reporting->pool[pool].pacing;
}

/*
 * Tells pacing that so many pages of large blocks have just been reported that any
 * refault is charged.
 */
static void fake_reports(void)
{
	struct page_reporting_pacing *pacing;
	enum page_reporting_pool pool;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		for (pool = 0; pool < PAGE_REPORTING_SMALL; pool++) {
			pacing = __pacing_of(zone, pool);
			pacing->recent = RECENT;
			pacing->recent_ms = page_reporting_now_ms();
		}
		spin_unlock_irq(&zone->lock);
	}
}

/* Pages that pacing was charged since fake_reports(). */
static u64 charged(void)
{
	enum page_reporting_pool pool;
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		for (pool = 0; pool < PAGE_REPORTING_SMALL; pool++)
			pages += RECENT - __pacing_of(zone, pool)->recent;
		spin_unlock_irq(&zone->lock);
	}
	return pages;
}

/* B6: Pacing is charged a whole huge page when a part of one is used. */
static void whole_unit_is_charged(struct kunit *test)
{
	const unsigned long unit = 1UL << PAGE_REPORTING_UNIT_ORDER;
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;
	unsigned long largest, used;
	u64 pages;

	fpr_need_counters(test);
	if (FPR_ORDER >= PAGE_REPORTING_UNIT_ORDER)
		kunit_skip(test, "no block is smaller than a huge page");
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	do {
		before = fpr_new_sums(test);
		largest = fpr_nr_largest();
		fake_reports();
		KUNIT_ASSERT_NOT_NULL(test, fpr_try_alloc(fake, GFP_KERNEL,
							  FPR_ORDER));
		pages = charged();
	} while (fpr_nr_largest() >= largest);
	used = fpr_grown(test, before, PGREPORT_REFAULT);

	KUNIT_EXPECT_GE(test, used, 1UL << FPR_ORDER);
	KUNIT_EXPECT_LT(test, used, unit);
	KUNIT_EXPECT_GE(test, pages, unit);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(pages, unit));
}

static struct page *alloc_for_balloon(struct fpr_fake *fake)
{
	struct page *page;

	current->flags |= PF_BALLOON;
	page = fpr_try_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	current->flags &= ~PF_BALLOON;
	KUNIT_ASSERT_NOT_NULL(fake->test, page);
	return page;
}

/* B17: Memory that a balloon takes is given to the host, not used. */
static void ballooning_is_no_refault(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;

	fpr_need_counters(test);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	before = fpr_new_sums(test);
	fake_reports();
	alloc_for_balloon(fake);
	KUNIT_EXPECT_LT(test, charged(), MAX_ORDER_NR_PAGES);
	KUNIT_EXPECT_LT(test, fpr_grown(test, before, PGREPORT_REFAULT),
			MAX_ORDER_NR_PAGES);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_CLEAR),
			MAX_ORDER_NR_PAGES);
	fpr_expect_identity(test);

	/* An ordinary allocation is charged. */
	fake_reports();
	fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	KUNIT_EXPECT_GE(test, charged(), MAX_ORDER_NR_PAGES);
}

/* Frees an unreported block of the kernel, which is the next one to be allocated. */
static struct zone *free_unreported(struct fpr_fake *fake)
{
	struct page *page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	struct zone *zone = page_zone(page);

	fpr_free_past_lists(page);
	return zone;
}

/* Makes all free memory of the kernel look idle for 4 B. No window ends soon. */
static void fake_idle(struct zone *zone)
{
	struct page_reporting_pacing *pacing;
	u64 level;
	int i;

	spin_lock_irq(&zone->lock);
	pacing = __pacing_of(zone, PAGE_REPORTING_KERNEL);
	level = zone->page_reporting->pool[PAGE_REPORTING_KERNEL].level;
	pacing->low = level;
	for (i = 0; i < PAGE_REPORTING_PAST; i++)
		pacing->past[i] = level + pacing->gone;
	pacing->opened_ms = page_reporting_now_ms() + MSEC_PER_SEC;
	pacing->closes_ms = pacing->opened_ms;
	spin_unlock_irq(&zone->lock);
}

/* By how many pages the open window is lower than the one before it. */
static u64 fallen(struct zone *zone)
{
	struct page_reporting_pacing *pacing;
	u64 pages;

	spin_lock_irq(&zone->lock);
	pacing = __pacing_of(zone, PAGE_REPORTING_KERNEL);
	pages = pacing->past[0] - pacing->gone - pacing->low;
	spin_unlock_irq(&zone->lock);
	return pages;
}

/* B6 B17: Ballooning is no demand, from which pacing would learn. Use is. */
static void ballooning_teaches_nothing(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone;

	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(test, "the block freed last is not taken first");
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	zone = free_unreported(fake);
	fake_idle(zone);
	alloc_for_balloon(fake);
	KUNIT_EXPECT_LT(test, fallen(zone), MAX_ORDER_NR_PAGES);
	fpr_free_all(fake);

	/* An ordinary allocation is. */
	zone = free_unreported(fake);
	fake_idle(zone);
	fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	KUNIT_EXPECT_GE(test, fallen(zone), MAX_ORDER_NR_PAGES);
}

/* B6: A free or an allocation ends a window, and not only a pass. */
static void window_ends_by_an_event(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page_reporting_pacing *pacing;
	unsigned int window_ms;
	u64 begin_ms, opened_ms, low;
	struct page *page;
	struct zone *zone;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	zone = page_zone(page);
	fpr_calm(fake);

	spin_lock_irq(&zone->lock);
	pacing = __pacing_of(zone, PAGE_REPORTING_KERNEL);
	window_ms = pacing->break_even_ms / PAGE_REPORTING_WINDOWS;
	begin_ms = page_reporting_now_ms() - 3 * window_ms - window_ms / 2;
	pacing->opened_ms = begin_ms;
	pacing->closes_ms = begin_ms + window_ms;
	pacing->due_ms = U64_MAX;
	pacing->low = 5;
	spin_unlock_irq(&zone->lock);

	fpr_free_past_lists(page);
	spin_lock_irq(&zone->lock);
	opened_ms = pacing->opened_ms;
	low = pacing->past[(opened_ms - begin_ms) / window_ms - 1] - pacing->gone;
	spin_unlock_irq(&zone->lock);
	/* The first of the windows that ended has the low level from before. */
	KUNIT_EXPECT_EQ(test, 5, low);
	KUNIT_EXPECT_GE(test, opened_ms, begin_ms + 3 * window_ms);
	KUNIT_EXPECT_LE(test, opened_ms, page_reporting_now_ms());
	KUNIT_EXPECT_EQ(test, 0, (opened_ms - begin_ms) % window_ms);
}

static u64 level_of(struct zone *zone, enum page_reporting_pool pool)
{
	u64 level;

	spin_lock_irq(&zone->lock);
	level = zone->page_reporting->pool[pool].level;
	spin_unlock_irq(&zone->lock);
	return level;
}

struct pool {
	gfp_t gfp;
	enum page_reporting_pool pool;
	const char *desc;
};

static const struct pool pools[] = {
	{ GFP_KERNEL, PAGE_REPORTING_KERNEL, "kernel" },
	{ GFP_HIGHUSER_MOVABLE, PAGE_REPORTING_MOVABLE, "movable" },
};

KUNIT_ARRAY_PARAM_DESC(pool, pools, desc);

/* The two pools of blocks of a unit or more. */
struct levels {
	u64 own;
	u64 other;
};

static struct levels levels_of(struct zone *zone, enum page_reporting_pool pool)
{
	return (struct levels) {
		.own = level_of(zone, pool),
		.other = level_of(zone, pool == PAGE_REPORTING_KERNEL ?
				  PAGE_REPORTING_MOVABLE : PAGE_REPORTING_KERNEL),
	};
}

/* B6: A free changes the level of its own pool, and not that of the other one. */
static void each_pool_has_its_own_level(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	const struct pool *of = test->param_value;
	struct levels before, freed, reported;
	struct page *page;
	struct zone *zone;
	unsigned int i;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	/* Others may free or take a block of this order meanwhile. */
	for (i = 0; i < 5; i++) {
		fpr_report_all(fake);
		page = fpr_alloc(fake, of->gfp, MAX_PAGE_ORDER);
		zone = page_zone(page);
		if (page_reporting_pool(MAX_PAGE_ORDER,
					get_pageblock_migratetype(page)) != of->pool)
			kunit_skip(test, "no block of this type");
		before = levels_of(zone, of->pool);
		fpr_free_past_lists(page);
		freed = levels_of(zone, of->pool);
		/* A report lowers the level again. */
		fpr_report_all(fake);
		reported = levels_of(zone, of->pool);
		if (freed.own == before.own + MAX_ORDER_NR_PAGES &&
		    freed.other == before.other &&
		    reported.own <= before.own && reported.other <= before.other)
			return;
	}
	KUNIT_EXPECT_EQ(test, before.own + MAX_ORDER_NR_PAGES, freed.own);
	KUNIT_EXPECT_EQ(test, before.other, freed.other);
	KUNIT_EXPECT_LE(test, reported.own, before.own);
	KUNIT_EXPECT_LE(test, reported.other, before.other);
	KUNIT_FAIL(test, "not in any of %u tries", i);
}

/* B6: A block that two pools count a part of each leaves no part in either. */
static void block_in_two_levels_leaves_both(struct kunit *test)
{
	struct page_reporting_demand *movable, *kernel;
	s64 half = MAX_ORDER_NR_PAGES / 2, before, left = -1, moved = -1;
	struct fpr_fake *fake = test->priv;
	unsigned int tries = 10;
	struct page *page;
	struct zone *zone;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	/* Others may free or take a block of this order meanwhile. */
	while ((left || moved != half) && tries--) {
		fpr_report_all(fake);
		page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
		zone = page_zone(page);
		fpr_free_past_lists(page);
		spin_lock_irq(&zone->lock);
		movable = &zone->page_reporting->pool[PAGE_REPORTING_MOVABLE];
		kernel = &zone->page_reporting->pool[PAGE_REPORTING_KERNEL];
		movable->level += kernel->level - half;
		kernel->level = half;
		before = movable->level;
		spin_unlock_irq(&zone->lock);
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
		left = level_of(zone, PAGE_REPORTING_KERNEL);
		moved = before - level_of(zone, PAGE_REPORTING_MOVABLE);
	}
	KUNIT_EXPECT_EQ(test, 0, left);
	KUNIT_EXPECT_EQ(test, half, moved);
}

/*
 * B6: To look at a block of the kernel, of which its level counts a part, takes
 * nothing from that level: it is what other blocks of the kernel are granted by.
 */
static void looking_at_a_block_moves_no_level(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	struct levels before, after;
	struct page_reporting_demand *kernel;
	unsigned long of_kernel, of_movable;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	fpr_engine_set_debt(0);
	spin_lock_irq(&zone->lock);
	kernel = &zone->page_reporting->pool[PAGE_REPORTING_KERNEL];
	before.own = kernel->level;
	kernel->level = MAX_ORDER_NR_PAGES / 2;
	before.other = zone->page_reporting->pool[PAGE_REPORTING_MOVABLE].level;
	of_kernel = fpr_engine_paced_blocks(zone, MAX_PAGE_ORDER, MIGRATE_UNMOVABLE,
					    PAGE_REPORTING_KERNEL);
	of_movable = fpr_engine_paced_blocks(zone, MAX_PAGE_ORDER, MIGRATE_UNMOVABLE,
					     PAGE_REPORTING_MOVABLE);
	after.own = kernel->level;
	after.other = zone->page_reporting->pool[PAGE_REPORTING_MOVABLE].level;
	kernel->level = before.own;
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_EQ(test, MAX_ORDER_NR_PAGES / 2, after.own);
	KUNIT_EXPECT_EQ(test, before.other, after.other);
	/* It would leave the movable pool, so that pool's grant counts. */
	KUNIT_EXPECT_EQ(test, 0, of_kernel);
	KUNIT_EXPECT_EQ(test, 1, of_movable);
}

/* Counts again after all was counted as movable. Returns whether that is corrected. */
static bool is_corrected(struct zone *zone)
{
	struct page_reporting_demand *movable, *kernel;
	s64 of_kernel, of_movable;
	bool right;

	spin_lock_irq(&zone->lock);
	movable = &zone->page_reporting->pool[PAGE_REPORTING_MOVABLE];
	kernel = &zone->page_reporting->pool[PAGE_REPORTING_KERNEL];
	of_kernel = kernel->level;
	of_movable = movable->level;
	movable->level += of_kernel;
	kernel->level = 0;
	movable->pacing.low = movable->level;
	__page_reporting_count_levels(zone);
	/* By mistake, it was part of the movable surplus, too. */
	right = kernel->level == of_kernel && movable->level == of_movable &&
		movable->pacing.low == of_movable;
	spin_unlock_irq(&zone->lock);
	return right;
}

/*
 * B6: One free block of the kernel that counts as movable would be a surplus that
 * programs do not have, for ever.
 */
static void kernel_blocks_are_counted(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *marked, *page, *movable;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	marked = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	movable = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	fpr_free_past_lists(marked);
	fpr_report_all(fake);
	fpr_free_past_lists(page);
	fpr_free_past_lists(movable);
	if (page_reporting_pool(MAX_PAGE_ORDER, get_pageblock_migratetype(page)) !=
	    PAGE_REPORTING_KERNEL)
		kunit_skip(test, "no block of this type");
	KUNIT_EXPECT_TRUE(test, is_corrected(page_zone(page)));
	KUNIT_EXPECT_GE(test, level_of(page_zone(page), PAGE_REPORTING_KERNEL),
			MAX_ORDER_NR_PAGES);
}

/* B6 B7: The blocks of a long list are not counted, and keep their level. */
static void long_list_is_not_counted(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	struct page_reporting_demand *kernel;
	s64 before, after;
	unsigned int i;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	for (i = 0; i < 2 * PAGE_REPORTING_COUNTED; i++)
		fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_all(fake);
	drain_all_pages(NULL);
	spin_lock_irq(&zone->lock);
	kernel = &zone->page_reporting->pool[PAGE_REPORTING_KERNEL];
	/* To see that it is not counted, it has to be wrong. */
	kernel->level -= MAX_ORDER_NR_PAGES;
	before = kernel->level;
	__page_reporting_count_levels(zone);
	after = kernel->level;
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_GT(test, before,
			(s64)PAGE_REPORTING_COUNTED * MAX_ORDER_NR_PAGES);
	KUNIT_EXPECT_EQ(test, before, after);
}

#ifdef CONFIG_MEMORY_HOTPLUG
/*
 * Frees an unmovable half of a block, and then the other half, which is movable.
 * Returns whether the levels changed by just that.
 */
static bool half_moves(struct fpr_fake *fake, bool report)
{
	struct page *page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	s64 half = MAX_ORDER_NR_PAGES / 2;
	struct zone *zone = page_zone(page);
	struct levels before, first, both;

	fpr_set_type(page, MIGRATE_MOVABLE);
	fpr_set_type(page + half, MIGRATE_UNMOVABLE);
	fpr_report_all(fake);
	before = levels_of(zone, PAGE_REPORTING_KERNEL);
	fpr_free_upper_half(page);
	drain_all_pages(zone);
	if (report)
		fpr_report_all(fake);
	first = levels_of(zone, PAGE_REPORTING_KERNEL);
	fpr_free_past_lists(page);
	both = levels_of(zone, PAGE_REPORTING_KERNEL);
	return first.own == before.own + (report ? 0 : half) &&
	       first.other == before.other && both.own == before.own &&
	       both.other == before.other + 2 * half;
}

/* B6: A free block that merges with one of another type counts in that one's pool. */
static void merged_block_changes_its_pool(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int report, tries;

	if (pageblock_order != MAX_PAGE_ORDER - 1)
		kunit_skip(test, "needs two pageblocks in a largest block");
	fpr_set_order(fake, pageblock_order);
	fpr_register(fake, 0);
	for (report = 0; report < 2; report++) {
		/* Others may free or take such a block meanwhile. */
		for (tries = 10; tries && !half_moves(fake, report); tries--)
			;
		KUNIT_EXPECT_NE_MSG(test, 0, tries, "reported: %u", report);
	}
}
#endif

/* Expects that the levels that the hooks update are those computed from the lists. */
static void expect_counted(struct kunit *test, const char *when)
{
	enum page_reporting_pool pool;
	struct zone *zone;

	for_each_populated_zone(zone) {
		struct page_reporting_zone *state = zone->page_reporting;
		s64 kept[PAGE_REPORTING_POOLS], counted[PAGE_REPORTING_POOLS];

		if (!state)
			continue;
		spin_lock_irq(&zone->lock);
		for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++)
			kept[pool] = state->pool[pool].level;
		__page_reporting_count_levels(zone);
		for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++)
			counted[pool] = state->pool[pool].level;
		spin_unlock_irq(&zone->lock);
		for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++)
			KUNIT_EXPECT_EQ_MSG(test, kept[pool], counted[pool],
					    "%s: pool %d of %s", when, pool,
					    zone->name);
	}
}

static const unsigned int level_orders[] = { 4, 9, MAX_PAGE_ORDER };

KUNIT_ARRAY_PARAM(level_order, level_orders, get_order_desc);

static void take_each_order(struct fpr_fake *fake, gfp_t first, gfp_t second)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		fpr_alloc(fake, first, order);
		fpr_alloc(fake, second, order);
	}
}

/* B6: After splits, merges and marks, and with blocks below the order. */
static void levels_follow_the_lists(struct kunit *test)
{
	const unsigned int *order = test->param_value;
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, *order);
	fpr_register(fake, 0);
	fpr_pass(fake);
	expect_counted(test, "after a pass");
	take_each_order(fake, GFP_KERNEL, GFP_HIGHUSER_MOVABLE);
	expect_counted(test, "marked blocks were used");
	fpr_free_all(fake);
	drain_all_pages(NULL);
	expect_counted(test, "all was freed");
	/* Not a marked one: these are last. */
	fpr_split_largest(fake, 4);
	expect_counted(test, "a largest block was split");
	fpr_free_all(fake);
	drain_all_pages(NULL);
	take_each_order(fake, GFP_HIGHUSER_MOVABLE, GFP_KERNEL);
	expect_counted(test, "unmarked blocks were used");
	fpr_free_all(fake);
	drain_all_pages(NULL);
	fpr_pass(fake);
	expect_counted(test, "after another pass");
}

/*
 * Marks that are cleared without an allocation
 */

/* A marked block of the highest order. */
static struct page *find_marked(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct page *page, *found = NULL;
	struct list_head *lists = zone->free_area[MAX_PAGE_ORDER].free_list;
	int mt;

	spin_lock_irq(&zone->lock);
	for (mt = 0; mt < MIGRATE_PCPTYPES; mt++)
		list_for_each_entry(page, &lists[mt], buddy_list)
			if (!found && PageReported(page))
				found = page;
	spin_unlock_irq(&zone->lock);
	KUNIT_ASSERT_NOT_NULL(test, found);
	return found;
}

#ifdef CONFIG_MEMORY_FAILURE
static void end_bad_page(void *page)
{
	put_page_back_buddy(page);
}

/* Takes a page off the free lists as memory_failure() does, until the test ends. */
static void take_off(struct kunit *test, struct page *page)
{
	KUNIT_ASSERT_TRUE(test, take_page_off_buddy(page));
	page_ref_inc(page);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, end_bad_page, page));
}

/* B1: The rest of its block is on free lists again, which no free announces. */
static void bad_page_leaves_no_silence(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = find_marked(test);
	fpr_calm(fake);
	take_off(test, page);
	fpr_expect_requested(fake);
	kunit_release_action(test, end_bad_page, page);
}

/* B3 */
static void bad_page_is_no_refault_of_its_block(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;
	unsigned long refaults;
	struct page *page;

	fpr_need_counters(test);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = find_marked(test);
	before = fpr_new_sums(test);
	take_off(test, page);
	refaults = fpr_grown(test, before, PGREPORT_REFAULT);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_CLEAR),
			MAX_ORDER_NR_PAGES);
	kunit_release_action(test, end_bad_page, page);
	KUNIT_EXPECT_LT(test, refaults, MAX_ORDER_NR_PAGES / 2);
	fpr_expect_identity(test);
}
#else
static void bad_page_leaves_no_silence(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
}

static void bad_page_is_no_refault_of_its_block(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
}
#endif

/* B3: A block that was only isolated for a moment was not used. */
static void isolated_pageblock_is_no_refault(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;
	struct page *page;

	fpr_need_counters(test);
	fpr_need_isolation(test);
	if (pageblock_order == MAX_PAGE_ORDER)
		kunit_skip(test, "no block has two pageblocks");
	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = find_marked(test);
	before = fpr_new_sums(test);
	KUNIT_ASSERT_EQ(test, 0, fpr_try_isolate(fake, page));
	KUNIT_EXPECT_LT(test, fpr_grown(test, before, PGREPORT_REFAULT),
			pageblock_nr_pages);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_CLEAR),
			MAX_ORDER_NR_PAGES);
	fpr_unisolate(fake, page);
	KUNIT_EXPECT_LT(test, fpr_grown(test, before, PGREPORT_REFAULT),
			pageblock_nr_pages);
	fpr_expect_identity(test);
}

/* B7: A sweep does not look at pages in use, which have no mark, be it 1 TiB. */
static void sweep_without_marks_looks_at_no_page(struct kunit *test)
{
	unsigned long in_use = 0, found = 0, pfn;
	u64 begin_ns, sweep_ns = U64_MAX, walk_ns = U64_MAX;
	struct fpr_fake *fake = test->priv;
	struct page *page;
	int tries;

	fpr_register(fake, 0);
	while (in_use < SZ_1G >> PAGE_SHIFT &&
	       fpr_try_alloc(fake, GFP_HIGHUSER_MOVABLE | __GFP_NOWARN,
			     MAX_PAGE_ORDER))
		in_use += MAX_ORDER_NR_PAGES;
	for (tries = 0; tries < 3; tries++) {
		begin_ns = ktime_get_ns();
		page_reporting_sweep(NR_PAGE_ORDERS);
		sweep_ns = min(sweep_ns, ktime_get_ns() - begin_ns);
		begin_ns = ktime_get_ns();
		list_for_each_entry(page, &fake->allocated, lru)
			for (pfn = 0; pfn < MAX_ORDER_NR_PAGES; pfn++)
				found += READ_ONCE(page[pfn].page_type) == 0;
		walk_ns = min(walk_ns, ktime_get_ns() - begin_ns);
	}
	kunit_info(test, "with %lu MiB in use and no mark, a sweep takes %llu us; to look at their pages, %llu us (%lu)\n",
		   in_use >> (20 - PAGE_SHIFT), sweep_ns / 1000, walk_ns / 1000,
		   found);
	KUNIT_EXPECT_LT(test, sweep_ns, walk_ns / 4);
}

static void take_for_report(struct fpr_fake *fake, struct page *page,
			    unsigned int order)
{
	struct zone *zone = page_zone(page);
	bool isolated;

	spin_lock_irq(&zone->lock);
	isolated = PageBuddy(page) && buddy_order(page) == order &&
		   __isolate_free_block(page, order);
	spin_unlock_irq(&zone->lock);
	KUNIT_ASSERT_TRUE(fake->test, isolated);
}

/* Returns true if the block is marked afterwards. */
static bool put_back_reported(struct page *page, unsigned int order)
{
	struct zone *zone = page_zone(page);
	bool marked;

	spin_lock_irq(&zone->lock);
	marked = __page_reporting_put_back(page, zone, order, true);
	spin_unlock_irq(&zone->lock);
	return marked;
}

/* Is the page part of a larger block that is marked? */
static bool is_in_marked_block(struct page *page, unsigned int part)
{
	unsigned int order;
	struct page *head;

	for (order = part + 1; order < NR_PAGE_ORDERS; order++) {
		head = pfn_to_page(ALIGN_DOWN(page_to_pfn(page), 1UL << order));
		if (PageBuddy(head) && buddy_order(head) == order &&
		    PageReported(head))
			return true;
	}
	return false;
}

static const unsigned int part_orders[] = { FPR_ORDER, MAX_PAGE_ORDER - 1 };

KUNIT_ARRAY_PARAM(part_order, part_orders, get_order_desc);

/* B6 B8: Two buddies in one batch, the second freed after the first was isolated. */
static void marked_blocks_make_a_marked_one(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo, *hi;

	fpr_need_counters(test);
	fpr_set_order(fake, order);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	pair->order = order;
	fpr_get_pair(fake, pair, GFP_KERNEL);
	lo = pair->lo;
	hi = pair->hi;

	fpr_put(&pair->lo);
	drain_all_pages(NULL);
	take_for_report(fake, lo, order);
	fpr_put(&pair->hi);
	drain_all_pages(NULL);
	take_for_report(fake, hi, order);
	KUNIT_EXPECT_TRUE(test, put_back_reported(lo, order));
	KUNIT_EXPECT_TRUE(test, PageReported(lo));
	KUNIT_EXPECT_TRUE(test, put_back_reported(hi, order));
	KUNIT_EXPECT_FALSE(test, PageBuddy(lo) && buddy_order(lo) == order);
	/* However far it has merged, all the other blocks were marked, too. */
	KUNIT_EXPECT_TRUE(test, is_in_marked_block(lo, order));
	fpr_expect_identity(test);
	expect_counted(test, "both are put back");
}

/* The engine marks one of the words. The other is marked non-atomically. */
enum race_word {
	WORD_OURS,
	WORD_CONTROL,
	NR_WORDS,
};

struct race {
	/* the zone that counts the marks */
	struct zone *zone;
	/* Not real pages, so nothing else uses their flags. */
	struct page pages[NR_WORDS];
	/* updates that were lost */
	unsigned long lost[NR_WORDS];
};

/* After so many in one word, it is no chance that the other word has none. */
#define LOST_ENOUGH	50UL
/* Time limit for the first one: in some emulators, CPUs take turns. */
#define NO_RACE		(5 * HZ)

static unsigned long *flags_of(struct page *page)
{
	return &page->flags.f;
}

/* Sets and clears a flag as memory_failure() does, but one that each kernel has. */
static int flip_fn(void *data)
{
	struct race *race = data;
	unsigned long *flags;
	int i, word;

	while (!kthread_should_stop()) {
		for (i = 0; i < 1000; i++) {
			word = i % NR_WORDS;
			flags = flags_of(&race->pages[word]);
			set_bit(PG_locked, flags);
			race->lost[word] += !test_and_clear_bit(PG_locked, flags);
			race->lost[word] += test_bit(PG_locked, flags);
		}
		cond_resched();
	}
	return 0;
}

/* Many times in a row, as the race is between a load and the following store. */
static void mark_words(struct race *race)
{
	struct page *ours = &race->pages[WORD_OURS];
	unsigned long *control = flags_of(&race->pages[WORD_CONTROL]);
	int i;

	/* The page is on no list. The lock hides that the counters are off. */
	spin_lock_irq(&race->zone->lock);
	for (i = 0; i < 1000; i++)
		__fpr_engine_set_mark(race->zone, ours);
	for (i = 0; i < 1000; i++)
		__fpr_engine_clear_mark(race->zone, ours);
	spin_unlock_irq(&race->zone->lock);
	for (i = 0; i < 1000; i++)
		arch___set_bit(PG_reported, control);
	for (i = 0; i < 1000; i++)
		arch___clear_bit(PG_reported, control);
	cond_resched();
}

/* On another CPU: threads on the same one cannot race within an instruction. */
static struct task_struct *start_flip(struct fpr_fake *fake, struct race *race)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask,
					   raw_smp_processor_id());

	return fpr_run_thread_on(fake, cpu, flip_fn, race);
}

static void run_race(struct fpr_fake *fake, struct race *race)
{
	struct task_struct *flip = start_flip(fake, race);
	unsigned long begin = jiffies;

	/* Read without synchronization: an old value only means one more round. */
	while (data_race(race->lost[WORD_CONTROL]) < LOST_ENOUGH &&
	       time_before(jiffies, begin + 4 * FPR_DEADLINE)) {
		mark_words(race);
		/* Likewise. */
		if (!data_race(race->lost[WORD_CONTROL]) &&
		    time_after(jiffies, begin + NO_RACE))
			break;
	}
	fpr_stop_thread(fake, flip);
}

/* H10 */
static void mark_leaves_other_flags_alone(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct race *race;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");

	race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, race);
	race->zone = fpr_largest_zone();
	fpr_register(fake, 0);
	fpr_pass(fake);
	migrate_disable();
	run_race(fake, race);
	migrate_enable();
	if (!race->lost[WORD_CONTROL])
		kunit_skip(test, "the CPUs take turns here");

	/* The control shows that the race occurs, and that this test notices it. */
	KUNIT_EXPECT_GE(test, race->lost[WORD_CONTROL], LOST_ENOUGH);
	KUNIT_EXPECT_EQ(test, 0, race->lost[WORD_OURS]);
	KUNIT_EXPECT_EQ(test, 0, *flags_of(&race->pages[WORD_OURS]));
}

static struct kunit_case page_reporting_mark_cases[] = {
	KUNIT_CASE(only_large_blocks_notify),
	KUNIT_CASE(allocator_notifies),
	KUNIT_CASE(free_before_the_first_pass),
	KUNIT_CASE(key_is_on_with_a_device),
	KUNIT_CASE(mark_after_success),
	KUNIT_CASE(no_mark_after_failure),
	KUNIT_CASE(no_mark_on_a_merged_block),
	KUNIT_CASE(allocation_clears_the_mark),
	KUNIT_CASE(counters_add_up),
	KUNIT_CASE(merge_in_the_drain_is_counted),
	KUNIT_CASE(refused_pages_are_counted),
	KUNIT_CASE(skipped_zone_is_counted),
	KUNIT_CASE(split_keeps_the_rest_reported),
	KUNIT_CASE(no_mark_survives_below_the_unit),
	KUNIT_CASE(raised_order_ends_the_watch_of_small_blocks),
	KUNIT_CASE(raised_order_clears_smaller_marks),
	KUNIT_CASE(sweep_waits_for_no_offlining),
	KUNIT_CASE(raised_order_keeps_no_smaller_parts),
	KUNIT_CASE(whole_unit_is_charged),
	KUNIT_CASE(ballooning_is_no_refault),
	KUNIT_CASE(ballooning_teaches_nothing),
	KUNIT_CASE(window_ends_by_an_event),
	KUNIT_CASE_PARAM(each_pool_has_its_own_level, pool_gen_params),
	KUNIT_CASE(block_in_two_levels_leaves_both),
	KUNIT_CASE(looking_at_a_block_moves_no_level),
	KUNIT_CASE(kernel_blocks_are_counted),
	KUNIT_CASE(long_list_is_not_counted),
#ifdef CONFIG_MEMORY_HOTPLUG
	KUNIT_CASE(merged_block_changes_its_pool),
#endif
	KUNIT_CASE_PARAM(levels_follow_the_lists, level_order_gen_params),
	KUNIT_CASE(bad_page_leaves_no_silence),
	KUNIT_CASE(bad_page_is_no_refault_of_its_block),
	KUNIT_CASE(isolated_pageblock_is_no_refault),
	KUNIT_CASE_SLOW(sweep_without_marks_looks_at_no_page),
	KUNIT_CASE_PARAM(marked_blocks_make_a_marked_one, part_order_gen_params),
	KUNIT_CASE(mark_leaves_other_flags_alone),
	{}
};

static struct kunit_suite page_reporting_mark_suite =
	FPR_SUITE("mark", page_reporting_mark_cases);

kunit_test_suite(page_reporting_mark_suite);
