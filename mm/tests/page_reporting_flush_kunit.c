// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: flush.
 */

#include <kunit/test.h>
#include <linux/align.h>
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "page_reporting_kunit.h"

/* Expects that the largest zone is reported, but for a few blocks freed since. */
static void expect_reported(struct fpr_fake *fake)
{
	struct zone *zone = fpr_largest_zone();

	KUNIT_EXPECT_LE(fake->test, fpr_unreported(zone, pageblock_order), 8);
}

/* B5 */
static void flush_reports_all_at_once(struct kunit *test)
{
	struct page_reporting_flushed flushed;
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 1);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_EQ(test, fake->nr_blocks, fake->calls);
	KUNIT_EXPECT_GT(test, fake->nr_blocks, 0);
	KUNIT_EXPECT_EQ(test, 0, flushed.err);
	KUNIT_EXPECT_GT(test, flushed.duration_us, 0);
	expect_reported(fake);
}

/* B5 */
static void flush_stops_at_a_size(struct kunit *test)
{
	unsigned long pages = 3UL << pageblock_order;
	struct page_reporting_flushed flushed;
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(pages));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_GE(test, flushed.nr_pages, pages);
	/* Rounded up by less than a block of the highest order. */
	KUNIT_EXPECT_LT(test, flushed.nr_pages, pages + MAX_ORDER_NR_PAGES);

	/* A single page is rounded up to a block. */
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(1));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_GE(test, flushed.nr_pages, 1UL << pageblock_order);
	KUNIT_EXPECT_LE(test, flushed.nr_pages, MAX_ORDER_NR_PAGES);
}

/* B5 */
static void flush_obeys_watermarks(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	fpr_register(fake, 1);
	fpr_starve(fake, zone);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	fpr_feed(fake);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_PTR_NE(test, zone, fake->blocks[i].zone);
}

/* Is the page part of a free block that is marked? */
static bool is_marked(struct page *page)
{
	struct zone *zone = page_zone(page);
	bool marked = false;
	unsigned int order;

	spin_lock_irq(&zone->lock);
	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		struct page *head = pfn_to_page(ALIGN_DOWN(page_to_pfn(page),
							   1UL << order));

		if (PageBuddy(head) && buddy_order(head) == order)
			marked = PageReported(head);
	}
	spin_unlock_irq(&zone->lock);
	return marked;
}

/* Returns a zone that is walked before @other, and of which a page is in use. */
static struct zone *zone_before(struct fpr_fake *fake, const struct zone *other)
{
	static const gfp_t gfps[] = { GFP_KERNEL | GFP_DMA32, GFP_KERNEL | GFP_DMA };
	struct zone *zone;
	int i;

	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		zone = page_zone(fpr_alloc(fake, gfps[i], 0));
		if (zone_idx(zone) < zone_idx(other))
			return zone;
	}
	kunit_skip(fake->test, "no zone comes before that of the blocks");
}

/*
 * B5: A zone is short of memory. In a later one, a block merges while it is put
 * back, which takes another pass.
 */
static void short_zone_does_not_end_a_flush_early(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_get_pair(fake, pair, GFP_KERNEL);
	lo = pair->lo;
	fpr_starve(fake, zone_before(fake, page_zone(lo)));

	fpr_put(&pair->lo);
	fake->watch = lo;
	fake->hook = fpr_hook_free_neighbour;
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	fpr_feed(fake);
	KUNIT_EXPECT_NOT_NULL(test, fpr_find(fake, lo));
	KUNIT_EXPECT_NULL(test, pair->hi);
	KUNIT_EXPECT_TRUE(test, is_marked(lo));
}

/* B5: The same, but what cannot be reported is an isolated block in this zone. */
static void isolated_block_does_not_end_a_flush_early(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo, *isolated;

	fpr_need_isolation(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_get_pair(fake, pair, GFP_KERNEL);
	lo = pair->lo;
	isolated = fpr_isolate_pageblock(fake);
	if (page_zone(isolated) != page_zone(lo)) {
		fpr_unisolate(fake, isolated);
		kunit_skip(test, "the isolated block is of another zone");
	}
	fpr_put(&pair->lo);
	fake->watch = lo;
	fake->hook = fpr_hook_free_neighbour;
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_NULL(test, pair->hi);
	KUNIT_EXPECT_TRUE(test, is_marked(lo));
	fpr_unisolate(fake, isolated);
}

/* B5 B17: For a host that has backed reported memory again by itself. */
static void flush_again_reports_what_is_reported(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;
	unsigned int first;

	fpr_need_counters(test);
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	first = fake->nr_blocks;
	fpr_forget(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_LT(test, fake->nr_blocks, first / 2);

	fpr_forget(fake);
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_again());
	KUNIT_EXPECT_GT(test, fake->nr_blocks, first / 2);
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_CLEAR),
			(unsigned long)first / 2 << pageblock_order);
	fpr_expect_identity(test);
	expect_reported(fake);
}

/* B5 B17: A flush that cannot report anything clears no mark. */
static void flush_again_keeps_the_marks_before_sleep(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long marked;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	marked = fpr_marked();
	fpr_engine_pm(PM_SUSPEND_PREPARE);
	KUNIT_EXPECT_EQ(test, -EBUSY, fpr_flush_again());
	KUNIT_EXPECT_GT(test, fpr_marked(), marked / 2);
}

/* B5 */
static void flush_needs_a_device(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, -ENODEV, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_EQ(test, -ENODEV, fpr_flush_again());
}

/* B5 */
static void flush_tells_the_drivers_error(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->err = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, page_reporting_last_flush().err);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_last_flush().nr_pages);

	/* Another flush does not wait for the back-off. */
	fake->err = 0;
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_GT(test, page_reporting_last_flush().nr_pages, 0);
	expect_reported(fake);
}

/* B5 */
static void flush_ends_when_the_system_sleeps(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 1);
	fake->hook = fpr_hook_sleep;
	KUNIT_EXPECT_EQ(test, -EBUSY, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
}

struct flush_thread {
	struct fpr_fake *fake;
	unsigned long nr_pages;
	struct completion begun;
	int err;
};

static int flush_fn(void *data)
{
	struct flush_thread *flush = data;

	allow_signal(SIGTERM);
	complete(&flush->begun);
	flush->err = fpr_flush(flush->nr_pages);
	complete(&flush->fake->gone);
	return 0;
}

/* Not on the stack, as the thread still runs for a moment if the test aborts. */
static struct flush_thread *new_flush(struct fpr_fake *fake)
{
	struct flush_thread *flush;

	flush = kunit_kzalloc(fake->test, sizeof(*flush), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(fake->test, flush);
	flush->fake = fake;
	flush->nr_pages = ULONG_MAX;
	init_completion(&flush->begun);
	return flush;
}

/* Starts a flush. Returns when it waits for the host. */
static struct task_struct *start_flush(struct flush_thread *flush)
{
	struct fpr_fake *fake = flush->fake;
	struct task_struct *task;

	fake->hook = fpr_hook_wait;
	task = fpr_run_thread(fake, flush_fn, flush);
	KUNIT_EXPECT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->entered,
						    FPR_DEADLINE));
	return task;
}

/* B5 */
static void flush_can_be_interrupted(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct flush_thread *flush = new_flush(fake);

	fpr_register(fake, 1);
	send_sig(SIGTERM, start_flush(flush), 0);
	fpr_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, -ERESTARTSYS, flush->err);
	KUNIT_EXPECT_EQ(test, -EINTR, page_reporting_last_flush().err);
	KUNIT_EXPECT_EQ(test, 0, fake->returned);

	/* The pass goes on within its budget, and nobody waits for it. */
	complete_all(&fake->told);
	flush_delayed_work(&fake->prdev.work);
	KUNIT_EXPECT_EQ(test, fake->calls, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_last_flush().nr_pages);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	expect_reported(fake);
}

/* B5 */
static void flush_ends_with_the_device(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct flush_thread *flush = new_flush(fake);

	fpr_register(fake, 1);
	start_flush(flush);
	fpr_unregister_in_thread(fake);
	complete_all(&fake->told);
	/* Both threads, in any order. */
	fpr_expect_gone(fake);
	fpr_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, -ENODEV, flush->err);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
}

/* B5 */
static void flush_waits_behind_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct flush_thread *flush = new_flush(fake);

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = fpr_hook_wait;
	fpr_start_worker(fake);
	fpr_run_thread(fake, flush_fn, flush);
	wait_for_completion(&flush->begun);
	/* Setting the delay to an hour must not delay the flush. */
	fpr_set_delay(fake, FPR_QUIET_MS);
	KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&fake->gone, HZ / 5));
	fpr_set_delay(fake, FPR_QUIET_MS);
	complete_all(&fake->told);
	fpr_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, 0, flush->err);
	expect_reported(fake);
}

/* B5 */
static void flush_waits_for_the_device(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	u64 ready;

	fpr_register(fake, 0);
	ready = get_jiffies_64() + HZ;
	fpr_engine_live_in(MSEC_PER_SEC);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(1));
	KUNIT_EXPECT_GE(test, get_jiffies_64(), ready);
}

/* B5: A flush that finds the device before its first pass is queued. */
static void flush_during_registration_waits_for_no_delay(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_engine_ask();
	fpr_register_unready(fake, 0);
	/* The pass waits only for the device to be ready, for two seconds. */
	KUNIT_EXPECT_TRUE(test, time_before(fake->prdev.work.timer.expires,
					    jiffies + 10 * HZ));
	/* Unregistration gives up the request. */
	fpr_unregister(fake);
}

static struct kunit_case page_reporting_flush_cases[] = {
	KUNIT_CASE(flush_reports_all_at_once),
	KUNIT_CASE(flush_stops_at_a_size),
	KUNIT_CASE(flush_obeys_watermarks),
	KUNIT_CASE(short_zone_does_not_end_a_flush_early),
	KUNIT_CASE(isolated_block_does_not_end_a_flush_early),
	KUNIT_CASE(flush_again_reports_what_is_reported),
	KUNIT_CASE(flush_again_keeps_the_marks_before_sleep),
	KUNIT_CASE(flush_needs_a_device),
	KUNIT_CASE(flush_tells_the_drivers_error),
	KUNIT_CASE(flush_ends_when_the_system_sleeps),
	KUNIT_CASE(flush_can_be_interrupted),
	KUNIT_CASE(flush_ends_with_the_device),
	KUNIT_CASE(flush_waits_behind_a_pass),
	KUNIT_CASE(flush_waits_for_the_device),
	KUNIT_CASE(flush_during_registration_waits_for_no_delay),
	{}
};

static struct kunit_suite page_reporting_flush_suite =
	FPR_SUITE("flush", page_reporting_flush_cases);

kunit_test_suite(page_reporting_flush_suite);
