// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting. Included by mm/page_reporting.c.
 *
 * A fake device takes the reports of this machine's real free memory, and
 * passes run in the test's own thread. A test is named after the row of the
 * list of required behaviour that it shows: see "Tests" in
 * Documentation/mm/free_page_reporting.rst.
 */

#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

#include "shuffle.h"

/* No pass starts by itself while a test looks. */
#define FAKE_QUIET_MS		PAGE_REPORTING_DELAY_MAX_MS
/* More blocks than a test machine has. */
#define FAKE_MAX_BLOCKS		65536
/* An order that the allocator does not keep on per-CPU lists. */
#define FAKE_ORDER		5
/* Blocks of that order: four pageblocks of 2 MiB. */
#define FAKE_FILL		64
/* One of each type that can be allocated. */
#define FAKE_PAIRS		3
/* Pages that others may take while a test looks. */
#define FAKE_SLACK		512
/* A delay that grows to a minute, and is long enough for a test. */
#define FAKE_DELAY_MS		20000U
/* For what has to happen soon, on a machine that is busy. */
#define FAKE_DEADLINE		(30 * HZ)
/* Passes after which all that can be reported has been. */
#define FAKE_MAX_PASSES		200

struct fake_block {
	struct page *page;
	struct zone *zone;
	unsigned int order;
	int mt;
	unsigned int call;
	unsigned int pass;
};

/* Where a block is that was on a free list before. */
enum fake_where {
	FAKE_LISTED,	/* on the list of its order and type */
	FAKE_ASTRAY,	/* free, but not on that list */
	FAKE_TAKEN,	/* not free, or part of another block */
};

/* Two buddies, allocated, and what else it took to find them. */
struct fake_pair {
	/* 0 means FAKE_ORDER */
	unsigned int order;
	struct page *lo, *hi;
	struct page *fill[FAKE_FILL];
};

struct fake_device {
	struct page_reporting_dev_info prdev;
	struct kunit *test;
	/* what report() returns */
	int err;
	/* called by report() before it returns */
	void (*hook)(struct fake_device *fake, struct scatterlist *sg,
		     unsigned int nents);
	struct fake_pair pairs[FAKE_PAIRS];
	/* what a hook waits for */
	struct page *watch;
	/* what was refused: a call of the engine, or a report by a hook */
	unsigned int refusals;
	/* a device that returns when told */
	struct completion entered, told, gone;
	unsigned int returned;
	bool active;
	unsigned int passes;
	unsigned int calls;
	unsigned int nr_blocks;
	struct fake_block *blocks;
	/* saved globals */
	bool from_user;
	unsigned int user_order;
	unsigned int delay_ms;
};

static void fake_record(struct fake_device *fake, struct page *page,
			unsigned int order)
{
	if (fake->nr_blocks == FAKE_MAX_BLOCKS)
		return;

	fake->blocks[fake->nr_blocks++] = (struct fake_block) {
		.page = page,
		.zone = page_zone(page),
		.order = order,
		.mt = get_pageblock_migratetype(page),
		.call = fake->calls,
		.pass = fake->passes,
	};
}

static int fake_report(struct page_reporting_dev_info *prdev,
		       struct scatterlist *sgl, unsigned int nents)
{
	struct fake_device *fake =
		container_of(prdev, struct fake_device, prdev);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		fake_record(fake, sg_page(sg), get_order(sg->length));
	fake->calls++;

	if (fake->hook)
		fake->hook(fake, sgl, nents);
	fake->returned++;
	return fake->err;
}

static void fake_forget(struct fake_device *fake)
{
	fake->calls = 0;
	fake->returned = 0;
	fake->nr_blocks = 0;
}

static void fake_set_order(struct fake_device *fake, unsigned int order)
{
	char val[16];

	snprintf(val, sizeof(val), "%u\n", order);
	KUNIT_ASSERT_EQ(fake->test, 0, page_reporting_set_order(val, NULL));
}

/* Takes away the pass that somebody asked for. */
static void fake_calm(struct fake_device *fake)
{
	/* A free may ask again between the two. */
	do {
		cancel_delayed_work_sync(&fake->prdev.work);
		atomic_set(&fake->prdev.state, PAGE_REPORTING_IDLE);
	} while (delayed_work_pending(&fake->prdev.work));
}

static void fake_set_delay(struct fake_device *fake, unsigned int delay_ms)
{
	char val[16];

	snprintf(val, sizeof(val), "%u\n", delay_ms);
	KUNIT_ASSERT_EQ(fake->test, 0, page_reporting_set_delay(val, NULL));
}

/* In ms, from now on. */
static unsigned int fake_wait_of(const struct timer_list *timer)
{
	if (!timer_pending(timer))
		return 0;
	return jiffies_to_msecs(timer->expires - jiffies);
}

/* Up to @wait_ms, and not shorter by more than what a test takes. */
static void fake_expect_wait(struct kunit *test, const struct timer_list *timer,
			     unsigned int wait_ms)
{
	unsigned int left_ms = fake_wait_of(timer);

	KUNIT_EXPECT_LE(test, left_ms, wait_ms);
	KUNIT_EXPECT_GT(test, left_ms, wait_ms / 4 * 3);
}

/* The free lists agree with the counters, and with the engine. */
static void fake_expect_sound(struct kunit *test)
{
	struct page_reporting_verdict verdict;
	const char *wrong = page_reporting_verify(&verdict);

	KUNIT_EXPECT_NULL_MSG(test, wrong, "%s", wrong);
}

static void fake_register(struct fake_device *fake, unsigned int capacity)
{
	fake->prdev.capacity = capacity;
	fake->prdev.report = fake_report;
	KUNIT_ASSERT_EQ(fake->test, 0, page_reporting_register(&fake->prdev));
	/* It is live from the start. */
	fake->prdev.ready_at = 0;
	fake_calm(fake);
	fake_forget(fake);
}

static void fake_pass(struct fake_device *fake)
{
	/* Whoever asks from now on finds that somebody has, and queues nothing. */
	do {
		timer_delete_sync(&fake->prdev.retry);
		cancel_delayed_work_sync(&fake->prdev.work);
		atomic_set(&fake->prdev.state, PAGE_REPORTING_REQUESTED);
	} while (delayed_work_pending(&fake->prdev.work));
	fake->passes++;
	page_reporting_work(&fake->prdev.work.work);
}

/* Passes until one finds nothing, which is the last one. */
static void fake_report_all(struct fake_device *fake)
{
	unsigned int passes, calls;

	for (passes = 0; passes < FAKE_MAX_PASSES; passes++) {
		calls = fake->calls;
		fake_pass(fake);
		if (fake->calls == calls)
			return;
	}
	KUNIT_FAIL(fake->test, "still reporting after %d passes",
		   FAKE_MAX_PASSES);
}

static const struct fake_block *fake_find(struct fake_device *fake,
					  struct page *page)
{
	unsigned int i;

	for (i = 0; i < fake->nr_blocks; i++)
		if (fake->blocks[i].page == page)
			return &fake->blocks[i];
	return NULL;
}

static bool __fake_list_has(const struct fake_block *block)
{
	int mt = get_pageblock_migratetype(block->page);
	struct page *page;

	list_for_each_entry(page,
			    &block->zone->free_area[block->order].free_list[mt],
			    buddy_list)
		if (page == block->page)
			return true;
	return false;
}

/*
 * The rest of the machine may allocate a block as soon as it is back: that is
 * no failure, but a reason to look again with other blocks.
 */
static enum fake_where fake_find_block(const struct fake_block *block)
{
	enum fake_where where = FAKE_TAKEN;

	spin_lock_irq(&block->zone->lock);
	if (PageBuddy(block->page) && buddy_order(block->page) == block->order)
		where = __fake_list_has(block) ? FAKE_LISTED : FAKE_ASTRAY;
	spin_unlock_irq(&block->zone->lock);
	return where;
}

static unsigned int fake_count(struct fake_device *fake, enum fake_where where)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fake_find_block(&fake->blocks[i]) == where;
	return nr;
}

static bool fake_is_reported(const struct fake_block *block)
{
	bool reported;

	spin_lock_irq(&block->zone->lock);
	reported = PageBuddy(block->page) && PageReported(block->page);
	spin_unlock_irq(&block->zone->lock);
	return reported;
}

static unsigned int fake_nr_reported(struct fake_device *fake)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fake_is_reported(&fake->blocks[i]);
	return nr;
}

static unsigned long __fake_marked_in(struct zone *zone)
{
	unsigned int order, mt;
	unsigned long nr = 0;
	struct page *page;

	for_each_migratetype_order(order, mt)
		list_for_each_entry(page, &zone->free_area[order].free_list[mt],
				    buddy_list)
			nr += PageReported(page);
	return nr;
}

/* Blocks with the mark, on all free lists. */
static unsigned long fake_marked(void)
{
	unsigned long nr = 0;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		nr += __fake_marked_in(zone);
		spin_unlock_irq(&zone->lock);
	}
	return nr;
}

static unsigned long __fake_unreported_in(struct zone *zone, unsigned int order)
{
	unsigned long nr = 0;
	struct page *page;
	unsigned int mt;

	for (; order < NR_PAGE_ORDERS; order++)
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			list_for_each_entry(page,
					    &zone->free_area[order].free_list[mt],
					    buddy_list)
				nr += !PageReported(page);
	return nr;
}

/* Blocks that a zone could report. */
static unsigned long fake_unreported(struct zone *zone, unsigned int order)
{
	unsigned long nr;

	spin_lock_irq(&zone->lock);
	nr = __fake_unreported_in(zone, order);
	spin_unlock_irq(&zone->lock);
	return nr;
}

static struct zone *fake_largest_zone(void)
{
	struct zone *zone, *largest = NULL;

	for_each_populated_zone(zone)
		if (!largest || zone_managed_pages(zone) >
				zone_managed_pages(largest))
			largest = zone;
	return largest;
}

static unsigned int fake_pair_order(const struct fake_pair *pair)
{
	return pair->order ?: FAKE_ORDER;
}

static void fake_put(struct fake_pair *pair, struct page **page)
{
	if (*page)
		__free_pages(*page, fake_pair_order(pair));
	*page = NULL;
}

static void fake_put_pair(struct fake_pair *pair)
{
	int i;

	fake_put(pair, &pair->lo);
	fake_put(pair, &pair->hi);
	for (i = 0; i < FAKE_FILL; i++)
		fake_put(pair, &pair->fill[i]);
}

/* Takes the buddy of the last block out of the others, if it is there. */
static struct page *fake_take_buddy(struct fake_pair *pair, int last)
{
	unsigned long pfn = page_to_pfn(pair->fill[last]) ^
			    (1UL << fake_pair_order(pair));
	struct page *buddy = NULL;
	int i;

	for (i = 0; i < last && !buddy; i++)
		if (pair->fill[i] && page_to_pfn(pair->fill[i]) == pfn)
			swap(buddy, pair->fill[i]);
	return buddy;
}

/*
 * Allocates two blocks that would merge if both were free. The allocator
 * halves larger blocks when it has none of that order, so that they turn up
 * soon. The rest of what it took to find them stays allocated with them, so that
 * the allocator has no reason to give their pageblock another type.
 */
static void fake_get_pair(struct fake_device *fake, struct fake_pair *pair,
			  gfp_t gfp)
{
	struct page *buddy;
	int i;

	fake_put_pair(pair);
	for (i = 0; i < FAKE_FILL; i++) {
		pair->fill[i] = alloc_pages(gfp, fake_pair_order(pair));
		KUNIT_ASSERT_NOT_NULL(fake->test, pair->fill[i]);
		if (pair->lo)
			continue;
		buddy = fake_take_buddy(pair, i);
		if (!buddy)
			continue;
		pair->lo = min(buddy, pair->fill[i]);
		pair->hi = max(buddy, pair->fill[i]);
		pair->fill[i] = NULL;
	}
	KUNIT_ASSERT_NOT_NULL(fake->test, pair->lo);
}

/*
 * S1: the parameter
 */

static void s01_order_takes_0_to_max(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	char val[16], buf[16];
	unsigned int order;

	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct kernel_param kp = { .arg = &page_reporting_order };

		fake_set_order(fake, order);
		KUNIT_EXPECT_EQ(test, order, page_reporting_order);
		snprintf(val, sizeof(val), "%u\n", order);
		page_reporting_order_ops.get(buf, &kp);
		KUNIT_EXPECT_STREQ(test, val, buf);
	}
}

static void s01_order_refuses_anything_else(struct kunit *test)
{
	static const char * const bad[] = {
		"-1", "-2", "abc", "\n", "", "1.5", "9 9", "9x", "0x", "99",
		"4294967295", "4294967305", "99999999999999999999",
		__stringify(MAX_PAGE_ORDER) "1",
	};
	struct fake_device *fake = test->priv;
	int i;

	fake_set_order(fake, 7);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    page_reporting_set_order(bad[i], NULL),
				    "\"%s\"", bad[i]);
		KUNIT_EXPECT_EQ_MSG(test, 7, page_reporting_order,
				    "after \"%s\"", bad[i]);
	}
}

static void s01_order_reads_minus_one_until_set(struct kunit *test)
{
	struct kernel_param kp = { .arg = &page_reporting_order };
	struct fake_device *fake = test->priv;
	char buf[16];

	page_reporting_order_ops.get(buf, &kp);
	KUNIT_EXPECT_STREQ(test, "-1\n", buf);

	fake_register(fake, 0);
	page_reporting_order_ops.get(buf, &kp);
	KUNIT_EXPECT_STRNEQ(test, "-1\n", buf);

	page_reporting_unregister(&fake->prdev);
	page_reporting_order_ops.get(buf, &kp);
	KUNIT_EXPECT_STREQ(test, "-1\n", buf);
}

static void s01_order_user_beats_driver_beats_pageblock(struct kunit *test)
{
	static const unsigned int unspecified[] = {
		0, PAGE_REPORTING_ORDER_UNSPECIFIED, MAX_PAGE_ORDER + 1,
	};
	struct fake_device *fake = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(unspecified); i++) {
		fake->prdev.order = unspecified[i];
		fake_register(fake, 0);
		KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
		page_reporting_unregister(&fake->prdev);
	}

	fake->prdev.order = 3;
	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 3, page_reporting_order);
	page_reporting_unregister(&fake->prdev);

	fake_set_order(fake, 6);
	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 6, page_reporting_order);
	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_EQ(test, 6, page_reporting_order);
}

static void s01_order_change_asks_for_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake_set_order(fake, FAKE_ORDER);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

/*
 * S2: one device
 */

static void s02_second_device_is_busy(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page_reporting_dev_info *second;

	second = kunit_kzalloc(test, sizeof(*second), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, second);
	second->report = fake_report;

	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(second));
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(&fake->prdev));

	/* Not its own registration to end. */
	page_reporting_unregister(second);
	KUNIT_EXPECT_PTR_EQ(test, &fake->prdev,
			    rcu_access_pointer(page_reporting_dev));

	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_NULL(test, rcu_access_pointer(page_reporting_dev));
	KUNIT_EXPECT_EQ(test, 0, page_reporting_register(second));
	page_reporting_unregister(second);
}

/*
 * S3: what the free path tells
 */

/* Does a free of this order ask for a pass? Not for another CPU's. */
static bool fake_notify_asks(struct fake_device *fake, unsigned int order)
{
	fake_calm(fake);
	page_reporting_notify_free(order);
	return atomic_read(&fake->prdev.state) == PAGE_REPORTING_REQUESTED;
}

static void s03_only_large_blocks_notify(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int tries = 10;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	KUNIT_EXPECT_TRUE(test, fake_notify_asks(fake, MAX_PAGE_ORDER));

	/* The rest of the machine may free a large block at any time. */
	while (tries && fake_notify_asks(fake, MAX_PAGE_ORDER - 1))
		tries--;
	KUNIT_EXPECT_NE(test, 0, tries);
}

static void s03_allocator_notifies(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);

	page = alloc_pages(GFP_KERNEL, FAKE_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	fake_calm(fake);
	__free_pages(page, FAKE_ORDER);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
}

static void s03_key_is_on_with_a_device(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	KUNIT_EXPECT_FALSE(test, static_key_enabled(&page_reporting_enabled));
	fake_register(fake, 0);
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&page_reporting_enabled));
	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&page_reporting_enabled));
}

/*
 * S4: a request
 */

static void s04_request_queues_once_after_two_seconds(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct timer_list *timer = &fake->prdev.work.timer;
	unsigned long before, after, expires;
	int i;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("2000", NULL));
	KUNIT_ASSERT_FALSE(test, delayed_work_pending(&fake->prdev.work));

	before = jiffies;
	page_reporting_request(&fake->prdev);
	after = jiffies;
	expires = timer->expires;
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
	KUNIT_EXPECT_GE(test, expires, before + 2 * HZ);
	KUNIT_EXPECT_LE(test, expires, after + 2 * HZ);

	/* Let time pass, so that a second queueing would show. */
	msleep(50);
	for (i = 0; i < 1000; i++)
		page_reporting_request(&fake->prdev);
	KUNIT_EXPECT_EQ(test, expires, timer->expires);
	fake_calm(fake);
}

static void s04_request_in_requested_does_not_queue(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	atomic_set(&fake->prdev.state, PAGE_REPORTING_REQUESTED);
	page_reporting_request(&fake->prdev);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

static void s04_delay_is_bounded(struct kunit *test)
{
	static const char * const bad[] = { "-2", "3600001", "abc", "", "1.5" };
	struct fake_device *fake = test->priv;
	bool timer;
	int i;

	fake_register(fake, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    page_reporting_set_delay(bad[i], NULL),
				    "\"%s\"", bad[i]);
	KUNIT_EXPECT_EQ(test, FAKE_QUIET_MS, page_reporting_delay_ms);

	/* No delay still means a timer: the free path may not wake anybody. */
	KUNIT_EXPECT_EQ(test, 0, page_reporting_set_delay("0", NULL));
	local_irq_disable();
	page_reporting_request(&fake->prdev);
	timer = timer_pending(&fake->prdev.work.timer);
	local_irq_enable();
	KUNIT_EXPECT_TRUE(test, timer);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_set_delay("3600000", NULL));
	fake_calm(fake);
}

static void s04_first_pass_waits_for_the_device(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned long before = jiffies;

	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("0", NULL));
	fake->prdev.report = fake_report;
	KUNIT_ASSERT_EQ(test, 0, page_reporting_register(&fake->prdev));
	page_reporting_request(&fake->prdev);
	KUNIT_EXPECT_GE(test, fake->prdev.work.timer.expires, before + 2 * HZ);
	fake_calm(fake);
}

/*
 * S5: a pass
 */

static void hook_see_active(struct fake_device *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	int state = atomic_read(&fake->prdev.state);

	/* A free elsewhere may have asked for one more. */
	KUNIT_EXPECT_NE(fake->test, PAGE_REPORTING_IDLE, state);
	fake->active |= state == PAGE_REPORTING_ACTIVE;
}

static void s05_pass_is_active_then_idle(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int tries = 10;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	fake->hook = hook_see_active;
	fake_report_all(fake);
	KUNIT_ASSERT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_TRUE(test, fake->active);

	do {
		fake_pass(fake);
	} while (atomic_read(&fake->prdev.state) != PAGE_REPORTING_IDLE &&
		 --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

static void hook_request(struct fake_device *fake, struct scatterlist *sg,
			 unsigned int nents)
{
	page_reporting_request(&fake->prdev);
	/* Not now: the pass that runs will do it at its end. */
	KUNIT_EXPECT_FALSE(fake->test, delayed_work_pending(&fake->prdev.work));
}

static void s05_request_during_a_pass_queues_another(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);

	/* Something to report, and little enough for one pass. */
	page = alloc_pages(GFP_KERNEL, FAKE_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	__free_pages(page, FAKE_ORDER);
	fake_calm(fake);
	fake_forget(fake);
	fake->hook = hook_request;
	fake_pass(fake);
	KUNIT_ASSERT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

/*
 * S6: watermark
 */

static void s06_plan_leaves_a_short_zone_alone(struct kunit *test)
{
	struct page_reporting_snapshot snap = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
		.delay_ms = 2000,
	};

	snap.free_pages = 1000 + (32 << 9) - 1;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).budget);
	snap.free_pages++;
	KUNIT_EXPECT_NE(test, 0, page_reporting_decide(&snap).budget);

	/* The margin follows the capacity and the order. */
	snap.capacity = 33;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).budget);
	snap.capacity = 32;
	snap.order = 10;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).budget);
}

static void s06_plan_keeps_the_low_watermark(struct kunit *test)
{
	struct page_reporting_snapshot snap = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
	};

	snap.free_pages = 1000 + (32 << 9) - 1;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).room);
	snap.free_pages++;
	KUNIT_EXPECT_EQ(test, 32 << 9, page_reporting_decide(&snap).room);
	snap.free_pages += 512;
	KUNIT_EXPECT_EQ(test, 33 << 9, page_reporting_decide(&snap).room);
}

static unsigned int fake_nr_in(struct fake_device *fake, struct zone *zone)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fake->blocks[i].zone == zone;
	return nr;
}

static void hook_expect_room(struct fake_device *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sgl));

	/* Others allocate too, but not much. */
	KUNIT_EXPECT_GT(fake->test,
			zone_page_state(zone, NR_FREE_PAGES) + FAKE_SLACK,
			low_wmark_pages(zone));
}

/* Even if the batch is of larger blocks than the reporting order says. */
static void s06_batch_keeps_the_low_watermark(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long low = zone->_watermark[WMARK_LOW];

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, PAGE_REPORTING_CAPACITY);
	/* There is room for a batch of small blocks, or for two large ones. */
	zone->_watermark[WMARK_LOW] = zone_page_state(zone, NR_FREE_PAGES) -
				      (2UL << MAX_PAGE_ORDER) - FAKE_SLACK;
	fake->hook = hook_expect_room;
	fake_pass(fake);
	zone->_watermark[WMARK_LOW] = low;
	KUNIT_EXPECT_NE(test, 0, fake_nr_in(fake, zone));
	fake_expect_sound(test);
}

/* It counts as free, but nobody can allocate it without the host. */
static void s06_unaccepted_memory_is_not_free(struct kunit *test)
{
	struct page_reporting_snapshot snap = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
		.free_pages = 1000 + (32 << 9), .managed_pages = 1 << 20,
	};

	KUNIT_EXPECT_NE(test, 0, page_reporting_decide(&snap).budget);
	snap.unaccepted_pages = 1;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).budget);
	KUNIT_EXPECT_TRUE(test, page_reporting_decide(&snap).put_off);
	snap.free_pages++;
	KUNIT_EXPECT_EQ(test, 32 << 9, page_reporting_decide(&snap).room);

	/* The two are not read at the same instant. */
	snap.unaccepted_pages = ULONG_MAX;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_decide(&snap).budget);
}

static void s06_zone_below_watermark_is_skipped(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long low = zone->_watermark[WMARK_LOW];
	unsigned int nr;

	fake_register(fake, 0);
	/* Not enough unless all of the zone were free, but not hopeless. */
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
		((unsigned long)fake->prdev.sgl_nents << page_reporting_order);
	fake_pass(fake);
	zone->_watermark[WMARK_LOW] = low;
	nr = fake_nr_in(fake, zone);
	KUNIT_EXPECT_EQ(test, 0, nr);

	fake_forget(fake);
	fake_pass(fake);
	nr = fake_nr_in(fake, zone);
	KUNIT_EXPECT_NE(test, 0, nr);
}

/*
 * S7: the walk
 */

/* Where a block's zone comes in the walk. */
static unsigned int fake_zone_rank(const struct fake_block *block)
{
	return zone_to_nid(block->zone) * MAX_NR_ZONES + zone_idx(block->zone);
}

/* Returns how often the type changed within one order of one zone. */
static unsigned int fake_expect_walk_order(struct fake_device *fake)
{
	struct kunit *test = fake->test;
	const struct fake_block *a, *b;
	unsigned int i, types = 0;

	for (i = 1; i < fake->nr_blocks; i++) {
		a = &fake->blocks[i - 1];
		b = &fake->blocks[i];
		KUNIT_EXPECT_LE(test, fake_zone_rank(a), fake_zone_rank(b));
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

static void s07_walk_goes_from_high_to_low_order(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int first, last;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_pass(fake);
	KUNIT_ASSERT_GT(test, fake->nr_blocks, 1);
	fake_expect_walk_order(fake);

	first = fake->blocks[0].order;
	last = fake->blocks[fake->nr_blocks - 1].order;
	KUNIT_EXPECT_GT_MSG(test, first, last, "one order only");
}

/* Reports a lone block of each type; returns how often the type changed. */
static unsigned int fake_report_types(struct fake_device *fake)
{
	static const gfp_t gfps[FAKE_PAIRS] = {
		GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | __GFP_RECLAIMABLE
	};
	unsigned int i, types;

	fake_report_all(fake);
	/* The half that stays keeps the other one from merging. */
	for (i = 0; i < FAKE_PAIRS; i++) {
		fake_get_pair(fake, &fake->pairs[i], gfps[i]);
		fake_put(&fake->pairs[i], &fake->pairs[i].lo);
	}
	fake_forget(fake);
	fake_pass(fake);
	types = fake_expect_walk_order(fake);
	for (i = 0; i < FAKE_PAIRS; i++)
		fake_put_pair(&fake->pairs[i]);
	return types;
}

static void s07_walk_takes_the_types_in_turn(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int tries = 5;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	/* With one type only, because others took the rest, nothing is shown. */
	while (!fake_report_types(fake) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

#ifdef CONFIG_MEMORY_ISOLATION
/* Isolates a free pageblock that was not reported, and returns its head. */
static struct page *fake_isolate_pageblock(struct kunit *test)
{
	unsigned long nr = pageblock_nr_pages;
	int err = -EBUSY, tries;
	struct page *page;

	for (tries = 0; err && tries < 10; tries++) {
		page = alloc_pages(GFP_HIGHUSER_MOVABLE, pageblock_order);
		KUNIT_ASSERT_NOT_NULL(test, page);
		__free_pages(page, pageblock_order);
		err = start_isolate_page_range(page_to_pfn(page),
					       page_to_pfn(page) + nr,
					       MIGRATE_MOVABLE, 0, GFP_KERNEL);
	}
	KUNIT_ASSERT_EQ(test, 0, err);
	drain_all_pages(page_zone(page));
	return page;
}

static void fake_unisolate_pageblock(struct page *page)
{
	undo_isolate_page_range(page_to_pfn(page),
				page_to_pfn(page) + pageblock_nr_pages,
				MIGRATE_MOVABLE);
}

static void s07_isolated_type_is_skipped(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_register(fake, 0);
	page = fake_isolate_pageblock(test);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_NULL(test, fake_find(fake, page));
	fake_unisolate_pageblock(page);

	/* Part of a free block again, of whatever order. */
	fake_forget(fake);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}
#else
static void s07_isolated_type_is_skipped(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}
#endif

/*
 * S8: isolation
 */

static void hook_expect_isolated(struct fake_device *fake,
				 struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_FALSE(fake->test, PageBuddy(sg_page(sg)));
}

static void s08_blocks_are_isolated(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake->hook = hook_expect_isolated;
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/* The engine and the allocator assert the lock; lockdep answers by a WARN. */
static void s08_isolation_holds_zone_lock(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		kunit_skip(test, "needs CONFIG_LOCKDEP");

	KUNIT_ASSERT_FALSE(test, test_taint(TAINT_WARN));
	fake_register(fake, 0);
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, test_taint(TAINT_WARN));
}

static void s08_reported_blocks_are_skipped(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i, again = 0;

	fake_register(fake, 0);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);

	for (i = 1; i < fake->nr_blocks && i < 2000; i++)
		again += fake_find(fake, fake->blocks[i].page) !=
			 &fake->blocks[i];
	KUNIT_EXPECT_EQ(test, 0, again);
}

/*
 * Past the per-CPU lists, which take blocks of the size of a huge page: with
 * pages of 64 KiB, that is the highest order.
 */
static void fake_free_largest(struct page *page)
{
	struct zone *zone = page_zone(page);

	__free_pages(page, MAX_PAGE_ORDER);
	drain_all_pages(zone);
}

/* A new block at the tail of its list, where it is found last. */
static void fake_move_to_tail(struct page *page)
{
	struct zone *zone = page_zone(page);
	int mt = get_pageblock_migratetype(page);

	spin_lock_irq(&zone->lock);
	if (PageBuddy(page) && buddy_order(page) == MAX_PAGE_ORDER)
		list_move_tail(&page->buddy_list,
			       &zone->free_area[MAX_PAGE_ORDER].free_list[mt]);
	spin_unlock_irq(&zone->lock);
}

static void s08_block_behind_reported_ones_is_found(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_register(fake, 0);
	fake_report_all(fake);
	/* Of the type that most have, to be among many. */
	page = alloc_pages(GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	fake_free_largest(page);
	fake_move_to_tail(page);
	fake_forget(fake);
	fake_pass(fake);
	KUNIT_EXPECT_NOT_NULL(test, fake_find(fake, page));
}

/*
 * S9: batches
 */

static void hook_expect_list(struct fake_device *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct kunit *test = fake->test;
	struct scatterlist *sg;
	unsigned int nr = 0;

	KUNIT_EXPECT_NE(test, 0, nents);
	KUNIT_EXPECT_LE(test, nents, fake->prdev.sgl_nents);
	for (sg = sgl; sg && nr <= nents; sg = sg_next(sg)) {
		struct page *page = sg_page(sg);
		unsigned int order = get_order(sg->length);

		KUNIT_EXPECT_EQ(test, PAGE_SIZE << order, sg->length);
		KUNIT_EXPECT_EQ(test, 0, sg->offset);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(page_to_pfn(page),
						   1UL << order));
		KUNIT_EXPECT_GE(test, order, page_reporting_order);
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nents, nr);
}

/* Pages that a batch may have, without those that others took since. */
static unsigned long fake_room(struct zone *zone)
{
	unsigned long pages = zone_page_state(zone, NR_FREE_PAGES);

	return pages - min(pages, low_wmark_pages(zone) + FAKE_SLACK);
}

/* Not the last one of its zone, and still there was no reason to send it. */
static bool fake_is_short(const struct fake_block *block, unsigned int nents,
			  unsigned long pages, unsigned int capacity)
{
	return block->zone == block[1].zone && block->pass == block[1].pass &&
	       nents != capacity &&
	       pages + (1UL << block[1].order) <= fake_room(block->zone);
}

/* All calls for a zone are full, or as large as the zone allows, but the last. */
static void fake_expect_full_batches(struct fake_device *fake,
				     unsigned int capacity)
{
	unsigned long pages = 0;
	unsigned int i, nents = 0;

	for (i = 0; i < fake->nr_blocks; i++) {
		const struct fake_block *block = &fake->blocks[i];
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
					   fake_is_short(block, nents, pages,
							 capacity));
		KUNIT_EXPECT_LE(fake->test, nents, capacity);
		nents = 0;
		pages = 0;
	}
}

static void s09_full_batch_is_reported_at_once(struct kunit *test)
{
	static const unsigned int capacities[] = { 0, 1, 3, 31, 32, 33, 256 };
	struct fake_device *fake = test->priv;
	unsigned int i, capacity, full;

	fake_set_order(fake, FAKE_ORDER);
	fake->hook = hook_expect_list;
	for (i = 0; i < ARRAY_SIZE(capacities); i++) {
		capacity = capacities[i] ?: PAGE_REPORTING_CAPACITY;
		fake_register(fake, capacities[i]);
		KUNIT_EXPECT_EQ(test, capacity, fake->prdev.sgl_nents);
		fake_report_all(fake);
		fake_expect_full_batches(fake, capacity);
		full = fake->nr_blocks / capacity;
		KUNIT_EXPECT_GE(test, fake->calls, full);
		page_reporting_unregister(&fake->prdev);
	}
}

static void s09_rest_is_reported_at_the_zones_end(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);

	/* One block is no full batch. */
	fake_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fake_put(&fake->pairs[0], &fake->pairs[0].lo);
	fake_forget(fake);
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_LT(test, fake->nr_blocks, PAGE_REPORTING_CAPACITY);
}

static void s09_huge_capacity_falls_back(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, UINT_MAX);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_CAPACITY, fake->prdev.sgl_nents);
	fake->hook = hook_expect_list;
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
}

/*
 * S10: no lock for the driver
 */

static void hook_expect_unlocked(struct fake_device *fake,
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

static void s10_driver_is_called_without_zone_lock(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake->hook = hook_expect_unlocked;
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
}

/*
 * S11: every block goes back
 */

/* Pages that a zone has fewer after a pass. */
static long fake_pages_missing(struct fake_device *fake, struct zone *zone)
{
	long before = zone_page_state_snapshot(zone, NR_FREE_PAGES);

	fake_forget(fake);
	fake_pass(fake);
	return before - zone_page_state_snapshot(zone, NR_FREE_PAGES);
}

static void fake_expect_all_back(struct fake_device *fake, int err)
{
	/* Half of the smallest block that could be missing. */
	long most = 1L << (pageblock_order - 1);
	struct zone *zone = fake_largest_zone();
	struct kunit *test = fake->test;
	long missing;
	int tries;

	fake_register(fake, 0);
	fake->err = err;
	/* Others allocate and free too. A block that is lost stays lost. */
	for (tries = 0; tries < 5; tries++) {
		missing = fake_pages_missing(fake, zone);
		KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
		KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
		if (missing < most && !fake_count(fake, FAKE_TAKEN))
			return;
	}
	KUNIT_FAIL(test, "%ld pages missing, %u of %u blocks not back", missing,
		   fake_count(fake, FAKE_TAKEN), fake->nr_blocks);
}

static void s11_blocks_go_back_after_success(struct kunit *test)
{
	fake_expect_all_back(test->priv, 0);
}

static void s11_blocks_go_back_after_failure(struct kunit *test)
{
	fake_expect_all_back(test->priv, -EIO);
}

/* Reports one reclaimable block, and tells where it is afterwards. */
static enum fake_where fake_report_reclaimable(struct fake_device *fake)
{
	struct fake_block block = { .order = FAKE_ORDER };
	struct fake_pair *pair = &fake->pairs[0];
	enum fake_where where;

	fake_report_all(fake);
	fake_get_pair(fake, pair, GFP_KERNEL | __GFP_RECLAIMABLE);
	block.page = pair->lo;
	block.zone = page_zone(pair->lo);
	block.mt = get_pageblock_migratetype(pair->lo);
	fake_put(pair, &pair->lo);

	fake_forget(fake);
	fake_report_all(fake);
	where = fake_find_block(&block);
	/* Reported, and nobody turned its pageblock into another type? */
	if (!fake_find(fake, block.page) ||
	    get_pageblock_migratetype(block.page) != block.mt)
		where = FAKE_TAKEN;
	return where;
}

static void s11_blocks_go_back_to_their_list(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	enum fake_where where = FAKE_TAKEN;
	int tries;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	for (tries = 0; tries < 5 && where == FAKE_TAKEN; tries++)
		where = fake_report_reclaimable(fake);
	KUNIT_EXPECT_EQ(test, FAKE_LISTED, where);
}

/*
 * S12: the mark
 */

static void s12_mark_after_success(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int tries = 5;

	fake_register(fake, 0);
	do {
		fake_forget(fake);
		fake_pass(fake);
		KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);
	} while (fake_nr_reported(fake) != fake->nr_blocks && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

static void s12_no_mark_after_failure(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake->err = -EIO;
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fake_marked());
}

static void hook_free_neighbour(struct fake_device *fake,
				struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		if (sg_page(sg) == fake->watch)
			fake_put(&fake->pairs[0], &fake->pairs[0].hi);
}

static void s12_no_mark_on_a_merged_block(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *lo;
	bool alone;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);

	fake_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	lo = fake->pairs[0].lo;
	fake_put(&fake->pairs[0], &fake->pairs[0].lo);
	fake->watch = lo;
	fake->hook = hook_free_neighbour;
	fake_forget(fake);
	fake_pass(fake);

	KUNIT_EXPECT_NOT_NULL(test, fake_find(fake, lo));
	KUNIT_EXPECT_NULL(test, fake->pairs[0].hi);
	alone = PageBuddy(lo) && buddy_order(lo) == FAKE_ORDER;
	KUNIT_EXPECT_FALSE(test, alone);
	KUNIT_EXPECT_FALSE(test, PageReported(lo));
}

static void s12_allocation_clears_the_mark(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	page = alloc_pages(GFP_KERNEL, FAKE_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_FALSE(test, PageReported(page));
	__free_pages(page, FAKE_ORDER);
}

/*
 * S13: the budget
 */

static void s13_plan_budget_follows_the_list(struct kunit *test)
{
	static const struct {
		unsigned long nr_free;
		unsigned int capacity;
		unsigned long budget;
	} table[] = {
		{ 0, 32, 0 },
		{ 1, 32, 32 },
		{ 6 * 32, 32, 32 },
		{ 6 * 32 + 1, 32, 64 },
		{ 6000, 32, 1024 },
		{ 6000, 1, 1000 },
		{ 6001, 1, 1001 },
		{ 600, 33, 132 },
	};
	struct page_reporting_plan plan;
	int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct page_reporting_snapshot snap = {
			.free_pages = ULONG_MAX,
			.nr_free = table[i].nr_free,
			.order = 9,
			.capacity = table[i].capacity,
			.delay_ms = 1234,
		};

		plan = page_reporting_decide(&snap);
		KUNIT_EXPECT_EQ_MSG(test, table[i].budget, plan.budget,
				    "row %d", i);
		KUNIT_EXPECT_EQ(test, 1234, plan.delay_ms);
	}
}

static void s13_budget_bounds_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct zone *zone = fake_largest_zone();
	unsigned long nr_free = zone->free_area[MAX_PAGE_ORDER].nr_free;
	unsigned long budget = DIV_ROUND_UP(nr_free, PAGE_REPORTING_PASSES);
	unsigned int i, mt, lists = 0, nr = 0;

	if (nr_free < 2 * PAGE_REPORTING_PASSES)
		kunit_skip(test, "only %lu blocks of the highest order",
			   nr_free);
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		lists += !list_empty(&zone->free_area[MAX_PAGE_ORDER].free_list[mt]);

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 1);
	fake_pass(fake);
	for (i = 0; i < fake->nr_blocks; i++)
		nr += fake->blocks[i].zone == zone;
	KUNIT_EXPECT_GE(test, nr, budget);
	KUNIT_EXPECT_LE(test, nr, budget * lists);
	KUNIT_EXPECT_LT(test, nr, nr_free);

	/* The rest is for a pass to come. */
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

/*
 * S14: where the next pass goes on
 */

static void fake_turn_reported_to_front(struct list_head *list)
{
	struct page *page;

	list_for_each_entry(page, list, buddy_list)
		if (PageReported(page)) {
			list_rotate_to_front(&page->buddy_list, list);
			return;
		}
}

static void s14_interrupted_walk_turns_the_list(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct zone *zone = fake_largest_zone();
	struct list_head *list =
		&zone->free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE];
	bool before, after;

	if (list_count_nodes(list) < 4 * PAGE_REPORTING_PASSES)
		kunit_skip(test, "too few blocks of the highest order");

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 1);
	fake_pass(fake);

	/* What the last pass did is now in the way of the next one. */
	spin_lock_irq(&zone->lock);
	fake_turn_reported_to_front(list);
	before = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);

	fake_pass(fake);
	spin_lock_irq(&zone->lock);
	after = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_FALSE(test, after);
}

/*
 * S15: unregistration
 */

static void hook_go_away(struct fake_device *fake, struct scatterlist *sg,
			 unsigned int nents)
{
	/* The first thing that page_reporting_unregister() does. */
	RCU_INIT_POINTER(page_reporting_dev, NULL);
}

static void s15_unregister_ends_the_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 1);
	fake->hook = hook_go_away;
	fake_pass(fake);
	rcu_assign_pointer(page_reporting_dev, &fake->prdev);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
}

static int fake_churn(void *unused)
{
	static const unsigned int orders[] = { MAX_PAGE_ORDER, 9, 7, 5, 3, 0 };
	struct page *pages[ARRAY_SIZE(orders)];
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < ARRAY_SIZE(orders); i++)
			pages[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN,
					       orders[i]);
		for (i = 0; i < ARRAY_SIZE(orders); i++)
			if (pages[i])
				__free_pages(pages[i], orders[i]);
		usleep_range(100, 300);
	}
	return 0;
}

static void fake_stop_churn(void *task)
{
	kthread_stop(task);
}

static void s15_register_and_unregister_under_load(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct task_struct *churn;
	unsigned int i, calls, reporting = 0;
	int err;

	churn = kthread_run(fake_churn, NULL, "page_reporting_churn");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, churn);
	err = kunit_add_action_or_reset(test, fake_stop_churn, churn);
	KUNIT_ASSERT_EQ(test, 0, err);

	fake_set_order(fake, FAKE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("0", NULL));
	for (i = 0; i < 1000; i++) {
		fake_forget(fake);
		fake->prdev.report = fake_report;
		KUNIT_ASSERT_EQ(test, 0, page_reporting_register(&fake->prdev));
		/* Let it end before, in the middle of, and after a pass. */
		mod_delayed_work(system_freezable_wq, &fake->prdev.work, 0);
		if (i % 4)
			usleep_range(50 * (i % 4), 400 * (i % 4));
		page_reporting_unregister(&fake->prdev);

		/* Any call from here on is a jump to nowhere. */
		fake->prdev.report = NULL;
		calls = fake->calls;
		reporting += !!calls;
		KUNIT_EXPECT_FALSE(test,
				   delayed_work_pending(&fake->prdev.work));
		KUNIT_EXPECT_EQ(test, calls, READ_ONCE(fake->calls));
		if (i % 100 == 99)
			KUNIT_EXPECT_EQ(test, 0, fake_marked());
	}
	KUNIT_EXPECT_NE_MSG(test, 0, reporting, "no pass ever ran");
}

static void s15_unregister_leaves_no_mark(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake_marked());
	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_EQ(test, 0, fake_marked());
}

/*
 * B1: nothing is lost
 */

static void b01_wait_grows_to_a_minute(struct kunit *test)
{
	static const struct {
		unsigned int delay_ms;
		unsigned int before;
		unsigned int wait_ms;
	} table[] = {
		{ 2000, 0, 2000 },
		{ 2000, 1, 4000 },
		{ 2000, 4, 32000 },
		{ 2000, 5, 60000 },
		{ 2000, UINT_MAX, 60000 },
		{ 0, 0, 100 },
		{ 0, 1, 200 },
		{ 0, 9, 51200 },
		{ 0, 10, 60000 },
		{ 60000, 0, 60000 },
		{ 60000, 3, 60000 },
		{ 3600000, 0, 3600000 },
		{ 3600000, UINT_MAX, 3600000 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		KUNIT_EXPECT_EQ_MSG(test, table[i].wait_ms,
				    page_reporting_backoff(table[i].delay_ms,
							   table[i].before),
				    "row %d", i);
}

/* A pass that fails, and what it leaves behind. */
static void fake_expect_failure(struct fake_device *fake, unsigned int wait_ms)
{
	struct timer_list *timer = &fake->prdev.work.timer;
	struct kunit *test = fake->test;
	unsigned long expires;

	fake->err = -EIO;
	fake_forget(fake);
	fake_pass(fake);
	/* The next batch would fare no better. */
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	fake_expect_wait(test, timer, wait_ms);

	/* No flood of frees hastens it. */
	expires = timer->expires;
	page_reporting_notify_free(MAX_PAGE_ORDER);
	KUNIT_EXPECT_EQ(test, expires, timer->expires);
	fake->err = 0;
}

static void b01_error_is_retried_less_and_less_often(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_delay(fake, FAKE_DELAY_MS);
	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake_expect_failure(fake, 20000);
	fake_expect_failure(fake, 40000);
	fake_expect_failure(fake, 60000);
	fake_expect_failure(fake, 60000);

	/* Back to normal after the first success. */
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_LE(test, fake_wait_of(&fake->prdev.work.timer), 20000);
	fake_expect_failure(fake, 20000);
	KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
}

static void hook_serve_one(struct fake_device *fake, struct scatterlist *sg,
			   unsigned int nents)
{
	fake->err = fake->calls > 1 ? -EIO : 0;
}

/* A pass of which the first report is taken, and the second one is not. */
static void fake_expect_half_served(struct fake_device *fake,
				    unsigned int wait_ms)
{
	fake->hook = hook_serve_one;
	fake_forget(fake);
	fake_pass(fake);
	fake->hook = NULL;
	KUNIT_EXPECT_EQ(fake->test, 2, fake->calls);
	fake_expect_wait(fake->test, &fake->prdev.work.timer, wait_ms);
}

static void b01_partial_success_is_one_step_back(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_delay(fake, FAKE_DELAY_MS);
	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake_expect_failure(fake, 20000);
	fake_expect_failure(fake, 40000);
	fake_expect_failure(fake, 60000);
	fake_expect_half_served(fake, 40000);
	fake_expect_half_served(fake, 20000);
	fake_expect_half_served(fake, 20000);
	fake_expect_failure(fake, 40000);
}

static unsigned long fake_unreported_in_all(unsigned int order)
{
	unsigned long nr = 0;
	struct zone *zone;

	for_each_populated_zone(zone)
		nr += fake_unreported(zone, order);
	return nr;
}

static void hook_refuse_one(struct fake_device *fake, struct scatterlist *sgl,
			    unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	fake->err = 0;
	/* The first of all: whatever there is comes after it. */
	if (!fake->watch)
		fake->watch = sg_page(sgl);
	for_each_sg(sgl, sg, nents, i)
		if (sg_page(sg) == fake->watch)
			fake->err = -EIO;
	fake->refusals += !!fake->err;
}

static void b01_refused_block_holds_up_no_other(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int passes = FAKE_MAX_PASSES;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake->hook = hook_refuse_one;
	while (fake_unreported_in_all(FAKE_ORDER) > 1 && --passes)
		fake_pass(fake);
	KUNIT_EXPECT_NE_MSG(test, 0, passes, "%lu blocks not reported",
			    fake_unreported_in_all(FAKE_ORDER));
	KUNIT_EXPECT_GT(test, fake->refusals, 1);
	KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
	fake_expect_sound(test);
}

#ifdef CONFIG_PRINTK
static unsigned int fake_messages(void)
{
	struct kmsg_dump_iter iter;
	unsigned int nr = 0;
	char line[160];
	size_t len;

	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, sizeof(line) - 1, &len)) {
		line[len] = '\0';
		nr += !!strstr(line, "the device did not take");
	}
	return nr;
}

static void b01_error_is_named_once(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i, before = fake_messages();

	fake_register(fake, 1);
	fake->err = -EIO;
	for (i = 0; i < 5; i++)
		fake_pass(fake);
	KUNIT_EXPECT_EQ(test, before + 1, fake_messages());

	/* A new series is news. */
	fake->err = 0;
	fake_pass(fake);
	fake->err = -EIO;
	fake_pass(fake);
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, before + 2, fake_messages());
}
#else
static void b01_error_is_named_once(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_PRINTK");
}
#endif

static void hook_fail_five_times(struct fake_device *fake,
				 struct scatterlist *sg, unsigned int nents)
{
	fake->err = fake->calls <= 5 ? -EIO : 0;
}

/* No pass by hand, and no free: the engine has to come back by itself. */
static void b01_all_is_reported_after_the_last_error(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long deadline = jiffies + FAKE_DEADLINE;

	fake_set_delay(fake, 0);
	fake_register(fake, 0);
	fake->hook = hook_fail_five_times;
	page_reporting_request(&fake->prdev);
	while (fake_unreported(zone, pageblock_order) &&
	       time_before(jiffies, deadline))
		msleep(20);
	fake->hook = NULL;
	KUNIT_EXPECT_GT(test, fake->calls, 5);
	KUNIT_EXPECT_EQ(test, 0, fake_unreported(zone, pageblock_order));
}

/* A pass over a zone that is short of memory, and the wait for the next. */
static void fake_expect_put_off(struct fake_device *fake, unsigned int wait_ms)
{
	timer_delete_sync(&fake->prdev.retry);
	fake_forget(fake);
	fake_pass(fake);
	fake_expect_wait(fake->test, &fake->prdev.retry, wait_ms);
}

static void b01_short_zone_is_tried_again(struct kunit *test)
{
	struct page_reporting_dev_info *prdev;
	struct fake_device *fake = test->priv;
	struct zone *zone = fake_largest_zone();
	unsigned long low = zone->_watermark[WMARK_LOW];

	prdev = &fake->prdev;
	fake_set_delay(fake, FAKE_DELAY_MS);
	fake_register(fake, 1);
	/* Short, but not for ever: all of it might become free one day. */
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
				      (1UL << pageblock_order);
	fake_expect_put_off(fake, 20000);
	fake_expect_put_off(fake, 40000);
	fake_expect_put_off(fake, 60000);
	fake_expect_put_off(fake, 60000);

	/* Frees are served as ever, and change nothing about the timer. */
	fake_calm(fake);
	page_reporting_request(prdev);
	KUNIT_EXPECT_LE(test, fake_wait_of(&prdev->work.timer), 20000);
	fake_calm(fake);
	page_reporting_retry(&prdev->retry);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&prdev->state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&prdev->work));

	zone->_watermark[WMARK_LOW] = low;
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, timer_pending(&prdev->retry));
	KUNIT_EXPECT_EQ(test, 0, prdev->retries);
}

static void b01_hopeless_zone_is_not_waited_for(struct kunit *test)
{
	struct page_reporting_snapshot snap = {
		.low_wmark = 1000, .nr_free = 100, .order = 9, .capacity = 32,
		.managed_pages = 1000 + (32 << 9),
	};

	KUNIT_EXPECT_TRUE(test, page_reporting_decide(&snap).put_off);
	snap.managed_pages--;
	KUNIT_EXPECT_FALSE(test, page_reporting_decide(&snap).put_off);

	/* Nothing is put off where something is taken. */
	snap.free_pages = 1000 + (32 << 9);
	KUNIT_EXPECT_NE(test, 0, page_reporting_decide(&snap).budget);
	KUNIT_EXPECT_FALSE(test, page_reporting_decide(&snap).put_off);
}

static bool fake_is_quiet(struct fake_device *fake)
{
	return atomic_read(&fake->prdev.state) == PAGE_REPORTING_IDLE &&
	       !delayed_work_pending(&fake->prdev.work) &&
	       !timer_pending(&fake->prdev.retry);
}

static void b01_guest_with_all_reported_is_quiet(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int tries = 10;

	fake_register(fake, 1);
	do {
		fake_report_all(fake);
	} while (!fake_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* No pass follows to find that there is nothing left to do. */
static void b01_last_pass_knows_that_it_is(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;
	int tries = 10;

	fake_register(fake, 0);
	do {
		fake_report_all(fake);
		page = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, page);
		fake_free_largest(page);
		fake_forget(fake);
		fake_pass(fake);
	} while ((!fake->nr_blocks || !fake_is_quiet(fake)) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

static void hook_free_neighbour_silently(struct fake_device *fake,
					 struct scatterlist *sgl,
					 unsigned int nents)
{
	hook_free_neighbour(fake, sgl, nents);
	/* As when compaction puts it back, which tells nobody. */
	atomic_set(&fake->prdev.state, PAGE_REPORTING_ACTIVE);
}

static void b01_merge_asks_for_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);

	fake_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fake->watch = fake->pairs[0].lo;
	fake_put(&fake->pairs[0], &fake->pairs[0].lo);
	fake->hook = hook_free_neighbour_silently;
	fake_forget(fake);
	fake_pass(fake);
	KUNIT_EXPECT_NULL(test, fake->pairs[0].hi);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

static void fake_put_list(struct list_head *taken, unsigned int order)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, taken, lru)
		__free_pages(page, order);
	INIT_LIST_HEAD(taken);
}

static unsigned long fake_nr_largest(void)
{
	struct zone *zone;
	unsigned long nr = 0;

	for_each_populated_zone(zone)
		nr += page_reporting_nr_free(zone, MAX_PAGE_ORDER);
	return nr;
}

static LIST_HEAD(fake_taken);

/* While one of two is away, the other is split for an allocation. */
static void hook_split_the_other(struct fake_device *fake,
				 struct scatterlist *sgl, unsigned int nents)
{
	unsigned long largest = fake_nr_largest();
	struct page *page;

	fake->hook = NULL;
	while (fake_nr_largest() >= largest) {
		page = alloc_pages(GFP_KERNEL, FAKE_ORDER);
		if (!page)
			return;
		list_add(&page->lru, &fake_taken);
	}
}

/* What is left of it is on lists that no pass looks at unless it is told. */
static void b01_split_asks_for_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *one, *other;

	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(test, "what was freed last is not split first");
	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake_report_all(fake);
	one = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
	other = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
	if (one)
		fake_free_largest(one);
	if (other)
		fake_free_largest(other);
	KUNIT_ASSERT_TRUE(test, one && other);

	fake->hook = hook_split_the_other;
	fake_pass(fake);
	KUNIT_EXPECT_FALSE(test, list_empty(&fake_taken));
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
	fake_put_list(&fake_taken, FAKE_ORDER);
}

#ifdef CONFIG_MEMORY_ISOLATION
/*
 * Half of a block of the highest order is isolated, and comes back to the other
 * half: a block that can be reported, where there was none before.
 */
static void b01_end_of_isolation_asks_for_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 1);
	page = fake_isolate_pageblock(test);
	fake_report_all(fake);
	timer_delete_sync(&fake->prdev.retry);
	fake_calm(fake);
	fake_unisolate_pageblock(page);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
}

/* No free tells when such a block is an ordinary one again. */
static void b01_isolated_block_is_tried_again(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;
	bool pending;

	fake_register(fake, 1);
	page = fake_isolate_pageblock(test);
	fake_report_all(fake);
	pending = timer_pending(&fake->prdev.retry);
	fake_unisolate_pageblock(page);
	KUNIT_EXPECT_TRUE(test, pending);

	fake_forget(fake);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, timer_pending(&fake->prdev.retry));
}
#else
static void b01_end_of_isolation_asks_for_a_pass(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}

static void b01_isolated_block_is_tried_again(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}
#endif

/*
 * B2: what newer drivers ask for
 */

static void b02_capacity_is_any_number(struct kunit *test)
{
	static const unsigned int capacities[] = { 0, 1, 3, 31, 33, 256 };
	struct fake_device *fake = test->priv;
	unsigned int i, capacity;

	fake_set_order(fake, FAKE_ORDER);
	fake->hook = hook_expect_list;
	for (i = 0; i < ARRAY_SIZE(capacities); i++) {
		capacity = capacities[i] ?: PAGE_REPORTING_CAPACITY;
		fake_register(fake, capacities[i]);
		fake_pass(fake);
		KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
		KUNIT_EXPECT_GE(test, fake->calls * capacity, fake->nr_blocks);
		fake_expect_full_batches(fake, capacity);
		KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
		fake_expect_sound(test);
		page_reporting_unregister(&fake->prdev);
	}
}

static void b02_order_may_be_unspecified(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i;

	fake->prdev.order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	fake_register(fake, 0);
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, pageblock_order);
}

/*
 * B9: clean ends
 */

static void b09_second_device_is_told_everything(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int first;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	first = fake->nr_blocks;
	page_reporting_unregister(&fake->prdev);

	memset(&fake->prdev, 0, sizeof(fake->prdev));
	fake_register(fake, 0);
	fake_report_all(fake);
	/* The rest of the machine takes and splits some. */
	KUNIT_EXPECT_GT(test, fake->nr_blocks, first / 2);
}

static int fake_pm(unsigned long event)
{
	return page_reporting_pm_notify(NULL, event, NULL);
}

static void hook_go_to_sleep(struct fake_device *fake, struct scatterlist *sg,
			     unsigned int nents)
{
	fake_pm(PM_SUSPEND_PREPARE);
}

static void b09_sleep_ends_the_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned long marked;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake->hook = hook_go_to_sleep;
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);

	/* Nothing is reported before the system is awake. */
	page_reporting_request(&fake->prdev);
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fake->hook = NULL;
	fake_calm(fake);
	marked = fake_marked();

	fake_pm(PM_POST_SUSPEND);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));
	/* The host has kept what it was given. Others take some of it. */
	KUNIT_EXPECT_GT(test, fake_marked(), marked / 2);
	fake_pass(fake);
	KUNIT_EXPECT_GT(test, fake->calls, 1);
}

static void b09_hibernation_clears_all_marks(struct kunit *test)
{
	static const unsigned long ends[] = {
		PM_POST_HIBERNATION, PM_POST_RESTORE
	};
	struct fake_device *fake = test->priv;
	int i;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		fake_forget(fake);
		fake_report_all(fake);
		KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
		KUNIT_EXPECT_NE(test, 0, fake_marked());
		fake_calm(fake);

		fake_pm(PM_HIBERNATION_PREPARE);
		fake_pm(ends[i]);
		KUNIT_EXPECT_EQ(test, 0, fake_marked());
		KUNIT_EXPECT_TRUE(test,
				  delayed_work_pending(&fake->prdev.work));
	}
}

static void hook_sleep(struct fake_device *fake, struct scatterlist *sg,
		       unsigned int nents)
{
	complete(&fake->entered);
	msleep(300);
}

/* A pass in the worker, as in real life. */
static void fake_start_worker(struct fake_device *fake)
{
	init_completion(&fake->entered);
	init_completion(&fake->told);
	init_completion(&fake->gone);
	mod_delayed_work(system_freezable_wq, &fake->prdev.work, 0);
	KUNIT_ASSERT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->entered,
						    FAKE_DEADLINE));
}

static void b09_unregister_waits_for_a_slow_host(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_sleep;
	fake_start_worker(fake);
	page_reporting_unregister(&fake->prdev);

	/* It came to its end, was the last one, and left nothing. */
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, fake_marked());
	msleep(50);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fake_expect_sound(test);
}

/* The timer for what was put off must not bring the work back. */
static void b09_unregister_ends_the_retries(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long low = zone->_watermark[WMARK_LOW];
	bool pending;

	fake_register(fake, 1);
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
				      (1UL << pageblock_order);
	fake_pass(fake);
	zone->_watermark[WMARK_LOW] = low;
	pending = timer_pending(&fake->prdev.retry);
	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_TRUE(test, pending);
	KUNIT_EXPECT_FALSE(test, timer_pending(&fake->prdev.retry));

	/* As does a pass that has not ended yet. */
	mod_timer(&fake->prdev.retry, jiffies + HZ);
	KUNIT_EXPECT_FALSE(test, timer_pending(&fake->prdev.retry));
	timer_delete_sync(&fake->prdev.retry);
}

/*
 * B11: types
 */

#define FAKE_NR_TYPES	2
static const struct {
	gfp_t gfp;
	int mt;
} fake_types[FAKE_NR_TYPES] = {
	{ GFP_KERNEL, MIGRATE_UNMOVABLE },
	{ GFP_KERNEL | __GFP_RECLAIMABLE, MIGRATE_RECLAIMABLE },
};

/* Was a block reported that this page is part of? */
static bool fake_covers(struct fake_device *fake, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		if (fake_find(fake, pfn_to_page(ALIGN_DOWN(pfn, 1UL << order))))
			return true;
	return false;
}

/* Reports a free pageblock of a type; false if it was none by then. */
static bool fake_type_stays(struct fake_device *fake, gfp_t gfp, int mt)
{
	struct page *page = alloc_pages(gfp, pageblock_order);
	bool shown;

	KUNIT_ASSERT_NOT_NULL(fake->test, page);
	__free_pages(page, pageblock_order);
	drain_all_pages(page_zone(page));
	fake_forget(fake);

	shown = get_pageblock_migratetype(page) == mt;
	fake_report_all(fake);
	shown &= fake_covers(fake, page);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, mt, get_pageblock_migratetype(page));
	fake_expect_sound(fake->test);
	return shown;
}

static void b11_pageblock_keeps_its_type(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int i, tries;

	fake_register(fake, 0);
	fake_report_all(fake);
	for (i = 0; i < FAKE_NR_TYPES; i++) {
		tries = 10;
		while (!fake_type_stays(fake, fake_types[i].gfp,
					fake_types[i].mt) && --tries)
			;
		KUNIT_EXPECT_NE_MSG(test, 0, tries, "type %d",
				    fake_types[i].mt);
	}
}

/* Frees the upper half of a block, and leaves the lower one. */
static void fake_free_upper_half(struct page *page, unsigned int order)
{
	struct page *upper = page + (1UL << (order - 1));

	/* What split_page() does, into two instead of into single pages. */
	set_page_refcounted(upper);
	__free_pages(upper, order - 1);
}

/*
 * One half of a pageblock is reported, and of the other one a part is free: the
 * type is that of both.
 */
static bool fake_half_stays(struct fake_device *fake, gfp_t gfp, int mt)
{
	unsigned int order = pageblock_order - 1;
	struct fake_pair *pair = &fake->pairs[0];
	struct page *lo, *hi;
	bool shown;

	pair->order = order;
	fake_get_pair(fake, pair, gfp);
	lo = pair->lo;
	hi = pair->hi;
	pair->hi = NULL;
	fake_free_upper_half(hi, order);
	fake_put(pair, &pair->lo);
	fake_forget(fake);

	shown = get_pageblock_migratetype(lo) == mt;
	fake_report_all(fake);
	shown &= fake_covers(fake, lo);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, mt, get_pageblock_migratetype(lo));
	fake_expect_sound(fake->test);

	__free_pages(hi, order - 1);
	fake_put_pair(pair);
	pair->order = 0;
	return shown;
}

static void b11_half_a_pageblock_keeps_its_type(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int i, tries;

	fake_set_order(fake, pageblock_order - 1);
	fake_register(fake, 0);
	fake_report_all(fake);
	for (i = 0; i < FAKE_NR_TYPES; i++) {
		tries = 5;
		while (!fake_half_stays(fake, fake_types[i].gfp,
					fake_types[i].mt) && --tries)
			;
		KUNIT_EXPECT_NE_MSG(test, 0, tries, "type %d",
				    fake_types[i].mt);
	}
}

#if defined(CONFIG_MEMORY_ISOLATION) && defined(CONFIG_CMA)
/* Gives a free pageblock one of the types that are counted apart. */
static void fake_set_type(struct page *page, int mt)
{
	struct zone *zone = page_zone(page);

	spin_lock_irq(&zone->lock);
	move_freepages_block_isolate(zone, page, mt);
	spin_unlock_irq(&zone->lock);
}

static void fake_expect_accounted(struct fake_device *fake, int mt)
{
	struct page *page = alloc_pages(GFP_HIGHUSER_MOVABLE, pageblock_order);
	struct kunit *test = fake->test;

	KUNIT_ASSERT_NOT_NULL(test, page);
	fake_set_type(page, mt);
	__free_pages(page, pageblock_order);
	drain_all_pages(page_zone(page));
	fake_forget(fake);
	fake_report_all(fake);
	KUNIT_EXPECT_TRUE(test, fake_covers(fake, page));
	KUNIT_EXPECT_EQ(test, mt, get_pageblock_migratetype(page));
	fake_expect_sound(test);
	fake_set_type(page, MIGRATE_MOVABLE);
}

static void b11_reserves_stay_accounted(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake_report_all(fake);
	fake_expect_accounted(fake, MIGRATE_CMA);
	fake_expect_accounted(fake, MIGRATE_HIGHATOMIC);
	fake_expect_sound(test);
}
#else
static void b11_reserves_stay_accounted(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION and CONFIG_CMA");
}
#endif

/*
 * H1: freezing
 */

static void h01_work_freezes_with_the_system(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	page_reporting_request(&fake->prdev);
	KUNIT_EXPECT_PTR_EQ(test, system_freezable_wq, fake->prdev.work.wq);
}

/*
 * H2: memory
 */

/* Lockdep complains about an allocation that could wait for memory. */
static void h02_pass_takes_no_memory(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	if (!IS_ENABLED(CONFIG_PROVE_LOCKING))
		kunit_skip(test, "needs CONFIG_PROVE_LOCKING");

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 256);
#ifdef CONFIG_PROVE_LOCKING
	KUNIT_ASSERT_TRUE(test, debug_locks);
	fs_reclaim_acquire(GFP_KERNEL);
	page_reporting_work(&fake->prdev.work.work);
	fs_reclaim_release(GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, debug_locks);
#endif
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/*
 * H4: no delay
 */

static void h04_no_delay_is_no_busy_loop(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long low = zone->_watermark[WMARK_LOW];

	fake_set_delay(fake, 0);
	fake_register(fake, 1);
	fake->err = -EIO;
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fake->prdev.errors);
	KUNIT_EXPECT_GT(test, fake_wait_of(&fake->prdev.work.timer), 50);

	fake_calm(fake);
	fake->err = 0;
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
				      (1UL << pageblock_order);
	fake_pass(fake);
	zone->_watermark[WMARK_LOW] = low;
	KUNIT_EXPECT_GT(test, fake_wait_of(&fake->prdev.retry), 50);
	fake_calm(fake);
}

/*
 * H7: the order
 */

static void fake_expect_order(struct fake_device *fake, unsigned int live,
			      unsigned int wanted)
{
	char val[16], buf[16];

	snprintf(val, sizeof(val), "%u\n", wanted);
	page_reporting_order_ops.get(buf, NULL);
	KUNIT_EXPECT_STREQ(fake->test, val, buf);
	KUNIT_EXPECT_EQ(fake->test, live, page_reporting_order);
}

/* What hv_balloon warns about. */
static void hook_raise_order(struct fake_device *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	fake_set_order(fake, 7);
	fake_expect_order(fake, FAKE_ORDER, 7);
	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_GE(fake->test, sg->length,
				PAGE_SIZE << page_reporting_order);
}

static void h07_order_is_held_during_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i, small = 0;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_raise_order;
	fake_pass(fake);
	fake_expect_order(fake, 7, 7);
	for (i = 0; i < fake->nr_blocks; i++)
		small += fake->blocks[i].order < 7;
	KUNIT_EXPECT_NE_MSG(test, 0, small, "no block shows the difference");

	fake->hook = NULL;
	fake_forget(fake);
	fake_report_all(fake);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 7);
}

static void hook_lower_order(struct fake_device *fake, struct scatterlist *sg,
			     unsigned int nents)
{
	fake_set_order(fake, FAKE_ORDER);
	fake_expect_order(fake, 9, FAKE_ORDER);
}

static void h07_lower_order_starts_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i, small = 0;
	struct page *page;

	fake_set_order(fake, 9);
	fake_register(fake, 0);
	fake_report_all(fake);

	/* Little enough for one pass, which has no other reason to go on. */
	page = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	fake_free_largest(page);
	fake_calm(fake);
	fake_forget(fake);
	fake->hook = hook_lower_order;
	fake_pass(fake);
	KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 9);
	fake_expect_order(fake, FAKE_ORDER, FAKE_ORDER);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));

	fake->hook = NULL;
	fake_report_all(fake);
	for (i = 0; i < fake->nr_blocks; i++)
		small += fake->blocks[i].order < 9;
	KUNIT_EXPECT_NE(test, 0, small);
}

static void h07_higher_order_drops_nothing(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	unsigned long marked;
	int tries = 5;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake_unreported(zone, 9));
	marked = fake_marked();

	/* The request stands, and so do the marks. */
	fake_set_order(fake, 9);
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED,
			atomic_read(&fake->prdev.state));
	KUNIT_EXPECT_GT(test, fake_marked(), marked / 2);
	do {
		fake_report_all(fake);
	} while (fake_unreported(zone, 9) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* As hv_balloon does when its host refuses small blocks. */
static void hook_set_live_order(struct fake_device *fake,
				struct scatterlist *sg, unsigned int nents)
{
	page_reporting_order = 9;
	fake->err = -EINVAL;
}

static void h07_driver_may_set_the_order(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_set_live_order;
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fake_expect_order(fake, 9, 9);

	fake->hook = NULL;
	fake->err = 0;
	fake_forget(fake);
	fake_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 9);
}

/*
 * H9: a part of a block becomes MIGRATE_ISOLATE while it is away
 */

#ifdef CONFIG_MEMORY_ISOLATION
static void hook_isolate_second_half(struct fake_device *fake,
				     struct scatterlist *sgl,
				     unsigned int nents)
{
	struct page *half = sg_page(sgl) + pageblock_nr_pages;

	if (fake->watch || get_order(sgl->length) <= pageblock_order)
		return;
	if (!start_isolate_page_range(page_to_pfn(half),
				      page_to_pfn(half) + pageblock_nr_pages,
				      MIGRATE_MOVABLE, 0, GFP_KERNEL))
		fake->watch = half;
}

static void h09_halves_go_back_to_their_lists(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_block half = { .order = pageblock_order };
	enum fake_where where;

	if (pageblock_order == MAX_PAGE_ORDER)
		kunit_skip(test, "no block is larger than a pageblock");

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_isolate_second_half;
	fake_pass(fake);
	fake->hook = NULL;
	KUNIT_ASSERT_NOT_NULL(test, fake->watch);

	half.page = fake->watch;
	half.zone = page_zone(half.page);
	where = fake_find_block(&half);
	fake_expect_sound(test);
	KUNIT_EXPECT_EQ(test, FAKE_LISTED, where);
	KUNIT_EXPECT_TRUE(test, is_migrate_isolate_page(half.page));
	fake_unisolate_pageblock(half.page);
}
#else
static void h09_halves_go_back_to_their_lists(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}
#endif

/*
 * H10: flags that others set
 */

/* One word is marked by the engine, the other one non-atomically on purpose. */
enum fake_word {
	FAKE_OURS,
	FAKE_CONTROL,
	FAKE_WORDS,
};

struct fake_race {
	/* No real pages: nobody else looks at their flags. */
	struct page pages[FAKE_WORDS];
	/* updates that were lost */
	unsigned long lost[FAKE_WORDS];
};

/* Enough that chance cannot explain none at all in the other word. */
#define FAKE_LOST	50UL
/* CPUs of an emulator that take turns never race. */
#define FAKE_NO_RACE	(5 * HZ)

/* Stands for memory_failure(), with a flag that every kernel has. */
static int fake_flip(void *data)
{
	struct fake_race *race = data;
	unsigned long *flags;
	int i, word;

	while (!kthread_should_stop()) {
		for (i = 0; i < 1000; i++) {
			word = i % FAKE_WORDS;
			flags = &race->pages[word].flags;
			set_bit(PG_locked, flags);
			race->lost[word] += !test_and_clear_bit(PG_locked, flags);
			race->lost[word] += test_bit(PG_locked, flags);
		}
		cond_resched();
	}
	return 0;
}

/* The same again and again, as the race is between a load and its store. */
static void fake_mark_words(struct fake_race *race)
{
	struct page *ours = &race->pages[FAKE_OURS];
	unsigned long *control = &race->pages[FAKE_CONTROL].flags;
	int i;

	for (i = 0; i < 1000; i++)
		__page_reporting_set_flag(ours);
	for (i = 0; i < 1000; i++)
		arch___set_bit(PG_reported, control);
	for (i = 0; i < 1000; i++)
		__page_reporting_clear_flag(ours);
	for (i = 0; i < 1000; i++)
		arch___clear_bit(PG_reported, control);
	cond_resched();
}

/* Two threads on one CPU never meet in the middle of an instruction. */
static struct task_struct *fake_start_flip(struct fake_race *race)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask,
					   raw_smp_processor_id());

	return kthread_run_on_cpu(fake_flip, race, cpu,
				  "page_reporting_flip/%u");
}

static void fake_race(struct kunit *test, struct fake_race *race)
{
	struct task_struct *flip = fake_start_flip(race);
	unsigned long begin = jiffies;

	KUNIT_EXPECT_FALSE(test, IS_ERR(flip));
	if (IS_ERR(flip))
		return;
	/* An old count only means one more round. */
	while (data_race(race->lost[FAKE_CONTROL]) < FAKE_LOST &&
	       time_before(jiffies, begin + 4 * FAKE_DEADLINE)) {
		fake_mark_words(race);
		/* As above. */
		if (!data_race(race->lost[FAKE_CONTROL]) &&
		    time_after(jiffies, begin + FAKE_NO_RACE))
			break;
	}
	kthread_stop(flip);
}

static void h10_mark_leaves_other_flags_alone(struct kunit *test)
{
	struct fake_race *race;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");

	race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, race);
	migrate_disable();
	fake_race(test, race);
	migrate_enable();
	if (!race->lost[FAKE_CONTROL])
		kunit_skip(test, "the CPUs take turns here");

	/* The race takes place, and this test would see it. */
	KUNIT_EXPECT_GE(test, race->lost[FAKE_CONTROL], FAKE_LOST);
	KUNIT_EXPECT_EQ(test, 0, race->lost[FAKE_OURS]);
	KUNIT_EXPECT_EQ(test, 0, race->pages[FAKE_OURS].flags);
}

/*
 * H12: a host that is slow or dead
 */

static void hook_wait(struct fake_device *fake, struct scatterlist *sg,
		      unsigned int nents)
{
	complete(&fake->entered);
	wait_for_completion(&fake->told);
}

static int fake_unregister(void *data)
{
	struct fake_device *fake = data;

	page_reporting_unregister(&fake->prdev);
	complete(&fake->gone);
	return 0;
}

/* Whoever wants memory, or a pass, or to look, need not wait for the host. */
static void fake_expect_life_goes_on(struct fake_device *fake)
{
	struct page_reporting_dev_info second = { .report = fake_report };
	struct kunit *test = fake->test;
	struct page *page;
	int order;

	for (order = 0; order <= pageblock_order; order++) {
		page = alloc_pages(GFP_KERNEL, order);
		KUNIT_EXPECT_NOT_NULL(test, page);
		if (page)
			__free_pages(page, order);
	}
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(&second));
	fake_set_order(fake, 7);
	fake_expect_order(fake, FAKE_ORDER, 7);
	fake_pm(PM_HIBERNATION_PREPARE);
	fake_pm(PM_POST_HIBERNATION);
	fake_expect_sound(test);
}

static void h12_host_that_does_not_answer(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct task_struct *task;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 3);
	fake->hook = hook_wait;
	fake_start_worker(fake);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 3);
	fake_expect_life_goes_on(fake);

	task = kthread_run(fake_unregister, fake, "page_reporting_unregister");
	KUNIT_EXPECT_FALSE(test, IS_ERR(task));
	if (!IS_ERR(task))
		KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&fake->gone,
								     HZ / 5));
	/* It returns after unregistration began, and is not called again. */
	complete_all(&fake->told);
	if (!IS_ERR(task))
		KUNIT_EXPECT_NE(test, 0,
				wait_for_completion_timeout(&fake->gone,
							    FAKE_DEADLINE));
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, fake_marked());
	KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
}

static void hook_fail_every_third(struct fake_device *fake,
				  struct scatterlist *sg, unsigned int nents)
{
	fake->err = fake->calls % 3 ? 0 : -EIO;
}

static void h12_every_third_call_fails(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	struct fake_device *fake = test->priv;
	int passes = FAKE_MAX_PASSES;

	fake_register(fake, 8);
	fake->hook = hook_fail_every_third;
	while (fake_unreported(zone, pageblock_order) && --passes) {
		fake_pass(fake);
		/* Whatever is left, somebody will come back for it. */
		if (fake_unreported(zone, pageblock_order))
			KUNIT_EXPECT_TRUE(test,
					  delayed_work_pending(&fake->prdev.work));
		KUNIT_EXPECT_LE(test, fake->prdev.errors, 1);
	}
	KUNIT_EXPECT_NE(test, 0, passes);
	KUNIT_EXPECT_GT(test, fake->calls, 3);
	KUNIT_EXPECT_EQ(test, 0, fake_count(fake, FAKE_ASTRAY));
}

/*
 * H13: unregistration by the callback
 */

/* In place of a warning, which would end the run. */
static void fake_refuse(void *caller)
{
	struct fake_device *fake = kunit_get_current_test()->priv;

	fake->refusals++;
}

static void hook_unregister(struct fake_device *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	struct page_reporting_dev_info second = { .report = fake_report };

	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_PTR_EQ(fake->test, &fake->prdev,
			    rcu_access_pointer(page_reporting_dev));
	KUNIT_EXPECT_EQ(fake->test, -EBUSY, page_reporting_register(&second));
	fake->hook = NULL;
}

static void h13_callback_cannot_unregister(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_unregister;
	kunit_activate_static_stub(test, page_reporting_refuse, fake_refuse);
	fake_pass(fake);
	kunit_deactivate_static_stub(test, page_reporting_refuse);
	KUNIT_EXPECT_EQ(test, 1, fake->refusals);
	/* Nothing has changed, the pass went on. */
	KUNIT_EXPECT_GT(test, fake->calls, 1);
	KUNIT_EXPECT_NE(test, 0, fake_marked());

	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_NULL(test, rcu_access_pointer(page_reporting_dev));
}

/*
 * H16: lengths
 */

static void hook_expect_lengths(struct fake_device *fake,
				struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_EQ(fake->test, (u64)sg->length,
				(u64)PAGE_SIZE << MAX_PAGE_ORDER);
}

static void h16_longest_block_fits_its_length(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	fake->hook = hook_expect_lengths;
	fake_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/*
 * B2: the delay
 */

static void b02_new_delay_rearms_the_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	fake_register(fake, 0);
	page_reporting_request(&fake->prdev);
	fake_expect_wait(test, timer, FAKE_QUIET_MS);
	fake_set_delay(fake, FAKE_DELAY_MS);
	fake_expect_wait(test, timer, FAKE_DELAY_MS);
	fake_set_delay(fake, 2 * FAKE_DELAY_MS);
	fake_expect_wait(test, timer, 2 * FAKE_DELAY_MS);

	/* Nobody asked for a pass: none begins. */
	fake_calm(fake);
	fake_set_delay(fake, FAKE_DELAY_MS);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

static void b02_new_delay_does_not_hurry(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	/* A driver that failed gets its time, */
	fake_set_delay(fake, FAKE_DELAY_MS);
	fake_register(fake, 0);
	fake->err = -EIO;
	fake_pass(fake);
	fake_expect_wait(test, timer, FAKE_DELAY_MS);
	fake_set_delay(fake, 0);
	fake_expect_wait(test, timer, FAKE_DELAY_MS);

	/* and a device that is not live yet, too. */
	fake->prdev.late = false;
	fake->prdev.ready_at = get_jiffies_64() + msecs_to_jiffies(FAKE_DELAY_MS);
	/* Another value: one that was set already changes nothing. */
	fake_set_delay(fake, 1);
	fake_expect_wait(test, timer, FAKE_DELAY_MS);
}

/*
 * B3: counters
 */

#ifdef CONFIG_VM_EVENT_COUNTERS
struct fake_sums {
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned long free;
};

/* Blocks come and go meanwhile: look until nothing has. */
static void fake_sum(struct fake_sums *sums)
{
	unsigned long free = 0, before;
	struct zone *zone;
	int looks = 100;

	do {
		before = free;
		all_vm_events(sums->events);
		free = 0;
		for_each_populated_zone(zone)
			free += zone_page_state_snapshot(zone, NR_FREE_REPORTED);
	} while (free != before && --looks);
	sums->free = free;
}

static struct fake_sums *fake_new_sums(struct kunit *test)
{
	struct fake_sums *sums = kunit_kzalloc(test, sizeof(*sums), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sums);
	fake_sum(sums);
	return sums;
}

/* How much an event has grown. */
static unsigned long fake_grown(struct kunit *test,
				const struct fake_sums *before,
				enum vm_event_item item)
{
	return fake_new_sums(test)->events[item] - before->events[item];
}

static void fake_expect_identity(struct kunit *test)
{
	const unsigned long *events;
	struct fake_sums *sums;
	int looks = 20;

	do {
		sums = fake_new_sums(test);
		events = sums->events;
		if (events[PGREPORT] == sums->free + events[PGREPORT_REFAULT] +
		    events[PGREPORT_MERGE] + events[PGREPORT_CLEAR])
			return;
	} while (--looks);
	KUNIT_FAIL(test, "reported %lu, free %lu, refault %lu, merge %lu, clear %lu",
		   events[PGREPORT], sums->free, events[PGREPORT_REFAULT],
		   events[PGREPORT_MERGE], events[PGREPORT_CLEAR]);
}

static unsigned long fake_nr_pages(struct fake_device *fake)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += 1UL << fake->blocks[i].order;
	return nr;
}

static void b03_counters_add_up(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_sums *before = fake_new_sums(test);
	struct fake_pair *pair = &fake->pairs[0];

	fake_expect_identity(test);
	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	KUNIT_EXPECT_EQ(test, fake_nr_pages(fake),
			fake_grown(test, before, PGREPORT));
	KUNIT_EXPECT_EQ(test, fake->calls,
			fake_grown(test, before, PAGE_REPORTING_CALL));
	KUNIT_EXPECT_EQ(test, fake->passes,
			fake_grown(test, before, PAGE_REPORTING_PASS));
	KUNIT_EXPECT_GT(test, fake_new_sums(test)->free, 0);
	fake_expect_identity(test);

	/* One of a pair is reported, and merges with the other. */
	fake_get_pair(fake, pair, GFP_KERNEL);
	KUNIT_EXPECT_GE(test, fake_grown(test, before, PGREPORT_REFAULT),
			1UL << FAKE_ORDER);
	fake_put(pair, &pair->lo);
	fake_report_all(fake);
	fake_put(pair, &pair->hi);
	KUNIT_EXPECT_GE(test, fake_grown(test, before, PGREPORT_MERGE),
			1UL << FAKE_ORDER);
	fake_expect_identity(test);

	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_GT(test, fake_grown(test, before, PGREPORT_CLEAR), 0);
	KUNIT_EXPECT_EQ(test, 0, fake_new_sums(test)->free);
	fake_expect_identity(test);
}

static void b03_merge_in_the_drain_is_counted(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_sums *before;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	fake_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fake->watch = fake->pairs[0].lo;
	fake_put(&fake->pairs[0], &fake->pairs[0].lo);
	fake->hook = hook_free_neighbour;
	before = fake_new_sums(test);
	fake_pass(fake);
	KUNIT_EXPECT_GE(test, fake_grown(test, before, PGREPORT_MERGE),
			1UL << FAKE_ORDER);
	fake_expect_identity(test);
}

static void b03_refused_pages_are_counted(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_sums *before;

	fake_register(fake, 0);
	fake->err = -EIO;
	before = fake_new_sums(test);
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, fake_nr_pages(fake),
			fake_grown(test, before, PGREPORT_FAIL));
	KUNIT_EXPECT_EQ(test, 0, fake_grown(test, before, PGREPORT));
	KUNIT_EXPECT_EQ(test, 1, fake_grown(test, before, PAGE_REPORTING_CALL));
}

static void b03_skipped_zone_is_counted(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	unsigned long low = zone->_watermark[WMARK_LOW];
	struct fake_device *fake = test->priv;
	struct fake_sums *before;

	fake_register(fake, 1);
	before = fake_new_sums(test);
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
				      (1UL << pageblock_order);
	fake_pass(fake);
	zone->_watermark[WMARK_LOW] = low;
	KUNIT_EXPECT_EQ(test, 1, fake_grown(test, before, PAGE_REPORTING_SKIP));
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake_grown(test, before, PAGE_REPORTING_SKIP));
}

/*
 * B8: splits
 */

/*
 * Takes blocks until one of the largest is split for it, and returns how many
 * pages were refaulted then. Smaller ones need not be split at all.
 */
static unsigned long fake_split_largest(struct kunit *test,
					struct list_head *taken)
{
	struct fake_sums *before;
	unsigned long largest;
	struct page *page;

	do {
		before = fake_new_sums(test);
		largest = fake_nr_largest();
		page = alloc_pages(GFP_KERNEL, FAKE_ORDER);
		if (!page)
			return 0;
		list_add(&page->lru, taken);
	} while (fake_nr_largest() >= largest);
	return fake_grown(test, before, PGREPORT_REFAULT);
}

static void b08_split_keeps_the_rest_reported(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned long used;
	LIST_HEAD(taken);

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	used = fake_split_largest(test, &taken);
	/* Others use some, too, but no block of the largest order is lost. */
	KUNIT_EXPECT_GE(test, used, 1UL << FAKE_ORDER);
	KUNIT_EXPECT_LT(test, used, MAX_ORDER_NR_PAGES / 2);
	fake_expect_identity(test);

	fake_forget(fake);
	fake_pass(fake);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 4);
	fake_put_list(&taken, FAKE_ORDER);
}

#endif /* CONFIG_VM_EVENT_COUNTERS */

/*
 * B5: flush
 */

/* Free blocks of the largest zone that were not reported; a few come and go. */
static void fake_expect_reported(struct fake_device *fake)
{
	struct zone *zone = fake_largest_zone();

	KUNIT_EXPECT_LE(fake->test, fake_unreported(zone, pageblock_order), 8);
}

static void b05_flush_reports_all_at_once(struct kunit *test)
{
	struct page_reporting_flushed flushed;
	struct fake_device *fake = test->priv;

	fake_register(fake, 1);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_EQ(test, fake->nr_blocks, fake->calls);
	KUNIT_EXPECT_GT(test, fake->nr_blocks, 0);
	KUNIT_EXPECT_EQ(test, 0, flushed.err);
	KUNIT_EXPECT_GT(test, flushed.duration_us, 0);
	fake_expect_reported(fake);
}

static void b05_flush_stops_at_a_size(struct kunit *test)
{
	unsigned long pages = 3UL << pageblock_order;
	struct page_reporting_flushed flushed;
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(pages));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_GE(test, flushed.nr_pages, pages);
	/* No more than a block of the largest order too many. */
	KUNIT_EXPECT_LT(test, flushed.nr_pages, pages + MAX_ORDER_NR_PAGES);

	/* A page is less than a block. */
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(1));
	flushed = page_reporting_last_flush();
	KUNIT_EXPECT_GE(test, flushed.nr_pages, 1UL << pageblock_order);
	KUNIT_EXPECT_LE(test, flushed.nr_pages, MAX_ORDER_NR_PAGES);
}

static void b05_flush_obeys_watermarks(struct kunit *test)
{
	struct zone *zone = fake_largest_zone();
	unsigned long low = zone->_watermark[WMARK_LOW];
	struct fake_device *fake = test->priv;
	unsigned int i;

	fake_register(fake, 1);
	zone->_watermark[WMARK_LOW] = zone_managed_pages(zone) -
				      (1UL << pageblock_order);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	zone->_watermark[WMARK_LOW] = low;
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_PTR_NE(test, zone, fake->blocks[i].zone);
}

static void b05_flush_needs_a_device(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, -ENODEV, page_reporting_flush(ULONG_MAX));
}

static void b05_flush_tells_the_drivers_error(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 0);
	fake->err = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, page_reporting_flush(ULONG_MAX));
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, page_reporting_last_flush().err);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_last_flush().nr_pages);

	/* Another try need not wait for the back-off. */
	fake->err = 0;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	KUNIT_EXPECT_GT(test, page_reporting_last_flush().nr_pages, 0);
	fake_expect_reported(fake);
}

static void b05_flush_ends_when_the_system_sleeps(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_register(fake, 1);
	fake->hook = hook_go_to_sleep;
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_flush(ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
}

struct fake_flush {
	struct fake_device *fake;
	unsigned long nr_pages;
	struct completion begun;
	int err;
};

static int fake_flush(void *data)
{
	struct fake_flush *flush = data;

	allow_signal(SIGTERM);
	complete(&flush->begun);
	flush->err = page_reporting_flush(flush->nr_pages);
	complete(&flush->fake->gone);
	return 0;
}

/* A flush that is at work when this returns, and waits for the host. */
static struct task_struct *fake_start_flush(struct fake_flush *flush)
{
	struct fake_device *fake = flush->fake;
	struct task_struct *task;

	init_completion(&fake->entered);
	init_completion(&fake->told);
	init_completion(&fake->gone);
	init_completion(&flush->begun);
	fake->hook = hook_wait;
	task = kthread_run(fake_flush, flush, "page_reporting_flush");
	KUNIT_ASSERT_FALSE(fake->test, IS_ERR(task));
	KUNIT_EXPECT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->entered,
						    FAKE_DEADLINE));
	return task;
}

static void fake_expect_gone(struct fake_device *fake)
{
	KUNIT_EXPECT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->gone,
						    FAKE_DEADLINE));
}

static void b05_flush_can_be_interrupted(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_flush flush = { .fake = fake, .nr_pages = ULONG_MAX };

	fake_register(fake, 1);
	send_sig(SIGTERM, fake_start_flush(&flush), 0);
	fake_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, -ERESTARTSYS, flush.err);
	KUNIT_EXPECT_EQ(test, -EINTR, page_reporting_last_flush().err);
	KUNIT_EXPECT_EQ(test, 0, fake->returned);

	/* The pass goes on without it, and within its budget. */
	complete_all(&fake->told);
	flush_delayed_work(&fake->prdev.work);
	KUNIT_EXPECT_EQ(test, fake->calls, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_last_flush().nr_pages);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	fake_expect_reported(fake);
}

static void b05_flush_ends_with_the_device(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_flush flush = { .fake = fake, .nr_pages = ULONG_MAX };
	struct task_struct *task;

	fake_register(fake, 1);
	fake_start_flush(&flush);
	task = kthread_run(fake_unregister, fake, "page_reporting_unregister");
	KUNIT_EXPECT_FALSE(test, IS_ERR(task));
	msleep(50);
	complete_all(&fake->told);
	/* Both, in whatever turn. */
	fake_expect_gone(fake);
	fake_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, -ENODEV, flush.err);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
}

static void b05_flush_waits_behind_a_pass(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_flush flush = { .fake = fake, .nr_pages = ULONG_MAX };
	struct task_struct *task;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 1);
	fake->hook = hook_wait;
	fake_start_worker(fake);
	init_completion(&flush.begun);
	task = kthread_run(fake_flush, &flush, "page_reporting_flush");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	wait_for_completion(&flush.begun);
	/* What is written now must not put it off for an hour. */
	fake_set_delay(fake, FAKE_QUIET_MS);
	KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&fake->gone, HZ / 5));
	fake_set_delay(fake, FAKE_QUIET_MS);
	complete_all(&fake->told);
	fake_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, 0, flush.err);
	fake_expect_reported(fake);
}

static void b05_flush_waits_for_the_device(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	u64 ready;

	fake_register(fake, 0);
	ready = get_jiffies_64() + HZ;
	fake->prdev.ready_at = ready;
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(1));
	KUNIT_EXPECT_GE(test, get_jiffies_64(), ready);
}

/*
 * B8: merges
 */

#ifdef CONFIG_VM_EVENT_COUNTERS
static void fake_isolate(struct kunit *test, struct page *page)
{
	struct zone *zone = page_zone(page);
	bool isolated;

	spin_lock_irq(&zone->lock);
	isolated = PageBuddy(page) && buddy_order(page) == FAKE_ORDER &&
		   __page_reporting_isolate(zone, page, FAKE_ORDER);
	spin_unlock_irq(&zone->lock);
	KUNIT_ASSERT_TRUE(test, isolated);
}

static void fake_put_back(struct page_reporting_pass *pass, struct page *page)
{
	spin_lock_irq(&pass->zone->lock);
	__page_reporting_putback(pass, page, FAKE_ORDER, true);
	__page_reporting_zone_back(pass->zone, FAKE_ORDER, true, true);
	spin_unlock_irq(&pass->zone->lock);
}

/* Two buddies of one batch: the second was freed when the first was away. */
static void b08_marked_blocks_make_a_marked_one(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct fake_pair *pair = &fake->pairs[0];
	struct page_reporting_pass pass = { .prdev = &fake->prdev };
	struct page *lo, *hi, *head;
	unsigned int order;
	bool marked = false;

	fake_set_order(fake, FAKE_ORDER);
	fake_register(fake, 0);
	fake_report_all(fake);
	fake_get_pair(fake, pair, GFP_KERNEL);
	lo = pair->lo;
	hi = pair->hi;
	pass.zone = page_zone(lo);

	fake_put(pair, &pair->lo);
	fake_isolate(test, lo);
	fake_put(pair, &pair->hi);
	fake_isolate(test, hi);
	fake_put_back(&pass, lo);
	KUNIT_EXPECT_TRUE(test, PageReported(lo));
	fake_put_back(&pass, hi);
	KUNIT_EXPECT_FALSE(test, PageBuddy(lo) && buddy_order(lo) == FAKE_ORDER);
	/* All around it was marked, too, however far it merged. */
	for (order = FAKE_ORDER + 1; order < NR_PAGE_ORDERS; order++) {
		head = pfn_to_page(ALIGN_DOWN(page_to_pfn(lo), 1UL << order));
		marked |= PageBuddy(head) && buddy_order(head) == order &&
			  PageReported(head);
	}
	KUNIT_EXPECT_TRUE(test, marked);
	KUNIT_EXPECT_FALSE(test, pass.more);
	fake_expect_identity(test);
}
#endif

/*
 * B6: pacing in the engine. The clock of a test goes on by itself, so that tests
 * wait for real, and expect no more than an order of time.
 */

/* A whole tau of large blocks and the time to close its windows. */
#define FAKE_TAU_MS			900

/* Passes for as long as pacing lets everything that is idle go. */
static void fake_idle_pass(struct fake_device *fake)
{
	unsigned int i;

	for (i = 0; i < 3 * FAKE_TAU_MS / 50; i++) {
		msleep(50);
		fake_pass(fake);
	}
}

static void b06_adaptive_reads_minus_one(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	const struct kernel_param kp = { .arg = &page_reporting_delay_ms };
	char buf[16];

	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_set_delay("-1\n", NULL));
	KUNIT_EXPECT_EQ(test, 3, page_reporting_delay_ops.get(buf, &kp));
	KUNIT_EXPECT_STREQ(test, "-1\n", buf);
	/* It reports smaller blocks by default, and looks for them at once. */
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_FLOOR, page_reporting_order);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));

	fake_set_delay(fake, FAKE_QUIET_MS);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
	fake_calm(fake);
}

static void b06_adaptive_keeps_the_order_that_was_asked_for(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake->prdev.order = 7;
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 7, page_reporting_order);
	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_set_delay(fake, FAKE_QUIET_MS);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	KUNIT_EXPECT_EQ(test, MAX_PAGE_ORDER, page_reporting_order);
	fake_calm(fake);
}

static bool fake_comes_back(struct fake_device *fake)
{
	return delayed_work_pending(&fake->prdev.work) ||
	       timer_pending(&fake->prdev.retry);
}

static void b06_idle_memory_leaves(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct zone *zone;
	unsigned int order;

	fake_set_order(fake, MAX_PAGE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	/* Nobody knows yet that it is idle. */
	fake_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_TRUE(test, fake_comes_back(fake));

	fake_idle_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	zone = fake->nr_blocks ? fake->blocks[0].zone : NULL;
	for (order = MAX_PAGE_ORDER; zone && order < NR_PAGE_ORDERS; order++)
		KUNIT_EXPECT_LE(test, fake_unreported(zone, order), 4);
}

static void b06_nothing_to_do_has_no_timer(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int tries = FAKE_MAX_PASSES;

	fake_set_order(fake, MAX_PAGE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	do {
		msleep(50);
		fake_pass(fake);
	} while ((atomic_read(&fake->prdev.state) != PAGE_REPORTING_IDLE ||
		  timer_pending(&fake->prdev.retry)) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

/* Eight windows end before anything leaves: no tick of delay for each. */
static void b06_due_pass_has_no_delay(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page_reporting_dev_info *prdev = &fake->prdev;

	fake_set_order(fake, MAX_PAGE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	fake_calm(fake);
	page_reporting_retry(&prdev->retry);
	/* The work is queued, or has run; a timer would expire a tick later. */
	KUNIT_EXPECT_FALSE(test, timer_pending(&prdev->work.timer));
	flush_delayed_work(&prdev->work);
	KUNIT_EXPECT_TRUE(test, timer_pending(&prdev->retry));
}

/* What the user has reported is not to be paid for by pacing. */
static void b06_flush_leaves_no_debt(struct kunit *test)
{
	struct fake_device *fake = test->priv;

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	fake_pass(fake);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_cap.debt_ns);
}

/* A cap counts blocks: the largest ones leave, however few there are. */
static void b06_cap_counts_blocks_of_any_size(struct kunit *test)
{
	struct page_reporting_pass pass = {
		.grant = { [PAGE_REPORTING_LARGE] = 5UL << MAX_PAGE_ORDER },
		.allowed = 3,
	};

	KUNIT_EXPECT_EQ(test, 3, page_reporting_paced_budget(&pass, MAX_PAGE_ORDER));
	pass.allowed = 9;
	KUNIT_EXPECT_EQ(test, 5, page_reporting_paced_budget(&pass, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 9, page_reporting_paced_budget(&pass, MAX_PAGE_ORDER - 1));
}

#ifdef CONFIG_MEMORY_ISOLATION
/* Blocks that are isolated look like free ones, and others must not leave for them. */
static void b06_isolation_puts_off(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page *page;

	fake_set_order(fake, MAX_PAGE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	page = fake_isolate_pageblock(test);
	fake_idle_pass(fake);
	fake_forget(fake);
	fake_idle_pass(fake);
	KUNIT_EXPECT_GT(test, fake->prdev.retries, 0);
	KUNIT_EXPECT_EQ(test, 0, fake->nr_blocks);
	fake_unisolate_pageblock(page);
	fake_idle_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}
#else
static void b06_isolation_puts_off(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}
#endif

/* Takes so many of the largest blocks and frees them; a pass finds them free. */
static void fake_use(struct fake_device *fake, unsigned int nr)
{
	struct page *page;
	LIST_HEAD(taken);

	while (nr--) {
		page = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
		KUNIT_EXPECT_NOT_NULL(fake->test, page);
		if (page)
			list_add(&page->lru, &taken);
	}
	fake_put_list(&taken, MAX_PAGE_ORDER);
	fake_pass(fake);
}

/*
 * Of twelve blocks, seven are used again and again: the other five are all that
 * may go. Others take and free some, too.
 */
static void b06_memory_in_use_stays(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	unsigned int i;

	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(test, "what was freed last is not taken first");
	fake_set_order(fake, MAX_PAGE_ORDER);
	KUNIT_ASSERT_EQ(test, 0, page_reporting_set_delay("-1", NULL));
	fake_register(fake, 0);
	fake_idle_pass(fake);
	KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);

	fake_forget(fake);
	fake_use(fake, 12);
	for (i = 0; i < 2 * FAKE_TAU_MS / 50; i++) {
		msleep(50);
		fake_use(fake, 7);
	}
	KUNIT_EXPECT_GE(test, fake->nr_blocks, 1);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 8);
	fake_idle_pass(fake);
	KUNIT_EXPECT_GE(test, fake->nr_blocks, 8);
}

/*
 * B7: what it costs
 */

/* A pass looks at nothing where nothing is unreported, and at little else. */
static void b07_idle_zone_costs_nothing(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page_reporting_pass pass = { .prdev = &fake->prdev };
	unsigned long orders = 0;
	struct zone *zone;

	/* Others free small blocks now and then, and none of this order. */
	fake_set_order(fake, pageblock_order);
	fake_register(fake, 0);
	fake_report_all(fake);
	pass.order = pageblock_order;
	for_each_populated_zone(zone) {
		pass.zone = zone;
		spin_lock_irq(&zone->lock);
		orders |= __page_reporting_orders(&pass);
		spin_unlock_irq(&zone->lock);
	}
	KUNIT_EXPECT_EQ(test, 0, orders);
}

/* Nor does a list of reported blocks keep the lock: it is left in the middle. */
static void b07_walk_pauses(struct kunit *test)
{
	struct page_reporting_pass pass = {};
	struct page *pages;
	unsigned long budget = 1, i, nr = 3 * PAGE_REPORTING_STEPS / 2;
	LIST_HEAD(list);

	pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 0; i < nr; i++) {
		__page_reporting_set_flag(&pages[i]);
		list_add_tail(&pages[i].buddy_list, &list);
	}
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_PAUSE,
			__page_reporting_fill(&pass, &list, 0, 1, &budget));
	KUNIT_EXPECT_PTR_EQ(test, &pages[PAGE_REPORTING_STEPS],
			    list_first_entry(&list, struct page, buddy_list));
	/* Nor is it looked at when there is nothing in it. */
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_GO_ON,
			__page_reporting_fill(&pass, &list, 0, 0, &budget));
	kvfree(pages);
}

/* Nor does isolation, which looks at each page of a large block. */
static void b07_isolation_counts(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	struct page_reporting_pass pass = { .prdev = &fake->prdev };
	struct zone *zone = fake_largest_zone();
	struct list_head *list =
		&zone->free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE];
	unsigned long taken = 0, nr_free, steps;

	spin_lock_irq(&zone->lock);
	nr_free = list_count_nodes(list);
	spin_unlock_irq(&zone->lock);
	/* More than the watermark and a batch, of which nothing is left alone. */
	if (nr_free < 2 * PAGE_REPORTING_CAPACITY + 4 * PAGE_REPORTING_PASSES)
		kunit_skip(test, "only %lu blocks of the highest order", nr_free);

	fake_set_order(fake, MAX_PAGE_ORDER);
	fake_register(fake, 0);
	page_reporting_reset_batch(&pass);
	pass.limit = fake->prdev.sgl_nents;
	pass.order = MAX_PAGE_ORDER;
	pass.zone = zone;
	steps = 1 + MAX_ORDER_NR_PAGES / PAGE_REPORTING_PAGES_PER_STEP;
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_PAUSE,
			page_reporting_fill(&pass, MAX_PAGE_ORDER,
					    MIGRATE_MOVABLE, &taken));
	KUNIT_EXPECT_EQ(test, DIV_ROUND_UP(PAGE_REPORTING_STEPS, steps),
			pass.nents);
	page_reporting_drain(&pass, false);
}

/* One for all cases: freeing 2 MiB between two of them disturbs the second. */
static struct fake_block *fake_blocks;

static int fake_init(struct kunit *test)
{
	struct fake_device *fake;

	if (rcu_access_pointer(page_reporting_dev))
		kunit_skip(test, "a driver holds the slot for a device");

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	if (!fake)
		return -ENOMEM;
	fake->blocks = fake_blocks;
	fake->test = test;
	fake->from_user = page_reporting_order_from_user;
	fake->user_order = page_reporting_order;
	fake->delay_ms = page_reporting_delay_ms;
	page_reporting_order_from_user = false;
	page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	page_reporting_delay_ms = FAKE_QUIET_MS;
	test->priv = fake;
	return 0;
}

static void fake_exit(struct kunit *test)
{
	struct fake_device *fake = test->priv;
	int i;

	if (!fake)
		return;

	for (i = 0; i < FAKE_PAIRS; i++)
		fake_put_pair(&fake->pairs[i]);
	page_reporting_unregister(&fake->prdev);
	page_reporting_asleep = false;
	page_reporting_order_from_user = fake->from_user;
	page_reporting_order = fake->user_order;
	page_reporting_delay_ms = fake->delay_ms;
	fake_expect_sound(test);
}

static int fake_suite_init(struct kunit_suite *suite)
{
	fake_blocks = vcalloc(FAKE_MAX_BLOCKS, sizeof(*fake_blocks));
	return fake_blocks ? 0 : -ENOMEM;
}

static void fake_suite_exit(struct kunit_suite *suite)
{
	vfree(fake_blocks);
}

static struct kunit_case page_reporting_cases[] = {
	KUNIT_CASE(s01_order_takes_0_to_max),
	KUNIT_CASE(s01_order_refuses_anything_else),
	KUNIT_CASE(s01_order_reads_minus_one_until_set),
	KUNIT_CASE(s01_order_user_beats_driver_beats_pageblock),
	KUNIT_CASE(s01_order_change_asks_for_a_pass),
	KUNIT_CASE(s02_second_device_is_busy),
	KUNIT_CASE(s03_only_large_blocks_notify),
	KUNIT_CASE(s03_allocator_notifies),
	KUNIT_CASE(s03_key_is_on_with_a_device),
	KUNIT_CASE(s04_request_queues_once_after_two_seconds),
	KUNIT_CASE(s04_request_in_requested_does_not_queue),
	KUNIT_CASE(s04_delay_is_bounded),
	KUNIT_CASE(s04_first_pass_waits_for_the_device),
	KUNIT_CASE(s05_pass_is_active_then_idle),
	KUNIT_CASE(s05_request_during_a_pass_queues_another),
	KUNIT_CASE(s06_plan_leaves_a_short_zone_alone),
	KUNIT_CASE(s06_plan_keeps_the_low_watermark),
	KUNIT_CASE(s06_batch_keeps_the_low_watermark),
	KUNIT_CASE(s06_unaccepted_memory_is_not_free),
	KUNIT_CASE(s06_zone_below_watermark_is_skipped),
	KUNIT_CASE(s07_walk_goes_from_high_to_low_order),
	KUNIT_CASE(s07_walk_takes_the_types_in_turn),
	KUNIT_CASE(s07_isolated_type_is_skipped),
	/* First: the lab ends a run soon after a warning. */
	KUNIT_CASE(s08_isolation_holds_zone_lock),
	KUNIT_CASE(s08_blocks_are_isolated),
	KUNIT_CASE(s08_reported_blocks_are_skipped),
	KUNIT_CASE(s08_block_behind_reported_ones_is_found),
	KUNIT_CASE(s09_full_batch_is_reported_at_once),
	KUNIT_CASE(s09_rest_is_reported_at_the_zones_end),
	KUNIT_CASE(s09_huge_capacity_falls_back),
	KUNIT_CASE(s10_driver_is_called_without_zone_lock),
	KUNIT_CASE(s11_blocks_go_back_after_success),
	KUNIT_CASE(s11_blocks_go_back_after_failure),
	KUNIT_CASE(s11_blocks_go_back_to_their_list),
	KUNIT_CASE(s12_mark_after_success),
	KUNIT_CASE(s12_no_mark_after_failure),
	KUNIT_CASE(s12_no_mark_on_a_merged_block),
	KUNIT_CASE(s12_allocation_clears_the_mark),
	KUNIT_CASE(s13_plan_budget_follows_the_list),
	KUNIT_CASE(s13_budget_bounds_a_pass),
	KUNIT_CASE(s14_interrupted_walk_turns_the_list),
	KUNIT_CASE(s15_unregister_ends_the_pass),
	KUNIT_CASE_SLOW(s15_register_and_unregister_under_load),
	KUNIT_CASE(s15_unregister_leaves_no_mark),
	KUNIT_CASE(b01_wait_grows_to_a_minute),
	KUNIT_CASE(b01_error_is_retried_less_and_less_often),
	KUNIT_CASE(b01_partial_success_is_one_step_back),
	KUNIT_CASE(b01_refused_block_holds_up_no_other),
	KUNIT_CASE(b01_error_is_named_once),
	KUNIT_CASE(b01_all_is_reported_after_the_last_error),
	KUNIT_CASE(b01_short_zone_is_tried_again),
	KUNIT_CASE(b01_hopeless_zone_is_not_waited_for),
	KUNIT_CASE(b01_guest_with_all_reported_is_quiet),
	KUNIT_CASE(b01_last_pass_knows_that_it_is),
	KUNIT_CASE(b01_merge_asks_for_a_pass),
	KUNIT_CASE(b01_split_asks_for_a_pass),
	KUNIT_CASE(b01_end_of_isolation_asks_for_a_pass),
	KUNIT_CASE(b01_isolated_block_is_tried_again),
	KUNIT_CASE(b02_capacity_is_any_number),
	KUNIT_CASE(b02_order_may_be_unspecified),
	KUNIT_CASE(b02_new_delay_rearms_the_pass),
	KUNIT_CASE(b02_new_delay_does_not_hurry),
#ifdef CONFIG_VM_EVENT_COUNTERS
	KUNIT_CASE(b03_counters_add_up),
	KUNIT_CASE(b03_merge_in_the_drain_is_counted),
	KUNIT_CASE(b03_refused_pages_are_counted),
	KUNIT_CASE(b03_skipped_zone_is_counted),
	KUNIT_CASE(b08_split_keeps_the_rest_reported),
#endif
	KUNIT_CASE(b05_flush_reports_all_at_once),
	KUNIT_CASE(b05_flush_stops_at_a_size),
	KUNIT_CASE(b05_flush_obeys_watermarks),
	KUNIT_CASE(b05_flush_needs_a_device),
	KUNIT_CASE(b05_flush_tells_the_drivers_error),
	KUNIT_CASE(b05_flush_ends_when_the_system_sleeps),
	KUNIT_CASE(b05_flush_can_be_interrupted),
	KUNIT_CASE(b05_flush_ends_with_the_device),
	KUNIT_CASE(b05_flush_waits_behind_a_pass),
	KUNIT_CASE(b05_flush_waits_for_the_device),
	KUNIT_CASE(b06_adaptive_reads_minus_one),
	KUNIT_CASE(b06_adaptive_keeps_the_order_that_was_asked_for),
	KUNIT_CASE_SLOW(b06_idle_memory_leaves),
	KUNIT_CASE_SLOW(b06_nothing_to_do_has_no_timer),
	KUNIT_CASE(b06_due_pass_has_no_delay),
	KUNIT_CASE(b06_flush_leaves_no_debt),
	KUNIT_CASE(b06_cap_counts_blocks_of_any_size),
	KUNIT_CASE_SLOW(b06_isolation_puts_off),
	KUNIT_CASE_SLOW(b06_memory_in_use_stays),
	KUNIT_CASE(b07_idle_zone_costs_nothing),
	KUNIT_CASE(b07_walk_pauses),
	KUNIT_CASE(b07_isolation_counts),
#ifdef CONFIG_VM_EVENT_COUNTERS
	KUNIT_CASE(b08_marked_blocks_make_a_marked_one),
#endif
	KUNIT_CASE(b09_second_device_is_told_everything),
	KUNIT_CASE(b09_sleep_ends_the_pass),
	KUNIT_CASE(b09_hibernation_clears_all_marks),
	KUNIT_CASE(b09_unregister_waits_for_a_slow_host),
	KUNIT_CASE(b09_unregister_ends_the_retries),
	KUNIT_CASE(b11_pageblock_keeps_its_type),
	KUNIT_CASE(b11_half_a_pageblock_keeps_its_type),
	KUNIT_CASE(b11_reserves_stay_accounted),
	KUNIT_CASE(h01_work_freezes_with_the_system),
	KUNIT_CASE(h02_pass_takes_no_memory),
	KUNIT_CASE(h04_no_delay_is_no_busy_loop),
	KUNIT_CASE(h07_order_is_held_during_a_pass),
	KUNIT_CASE(h07_lower_order_starts_a_pass),
	KUNIT_CASE(h07_higher_order_drops_nothing),
	KUNIT_CASE(h07_driver_may_set_the_order),
	KUNIT_CASE(h09_halves_go_back_to_their_lists),
	KUNIT_CASE(h10_mark_leaves_other_flags_alone),
	KUNIT_CASE(h12_host_that_does_not_answer),
	KUNIT_CASE(h12_every_third_call_fails),
	KUNIT_CASE(h13_callback_cannot_unregister),
	KUNIT_CASE(h16_longest_block_fits_its_length),
	{}
};

static struct kunit_suite page_reporting_suite = {
	.name = "page_reporting",
	.suite_init = fake_suite_init,
	.suite_exit = fake_suite_exit,
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = page_reporting_cases,
};

kunit_test_suite(page_reporting_suite);
