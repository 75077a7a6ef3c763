// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: what the KUnit suites share. See page_reporting_kunit.h.
 */

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/page-isolation.h>
#include <linux/scatterlist.h>
#include <linux/suspend.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "page_reporting_kunit.h"

/* More blocks than a test machine has. */
#define FPR_MAX_BLOCKS		65536

#define FPR_PARAM_PREFIX	"page_reporting."

/* One for all cases: freeing 2 MiB between two of them disturbs the second. */
static struct fpr_block *fpr_blocks;

/*
 * The device
 */

static void fpr_record(struct fpr_fake *fake, struct page *page,
		       unsigned int order)
{
	if (fake->nr_blocks == FPR_MAX_BLOCKS)
		return;

	fake->blocks[fake->nr_blocks++] = (struct fpr_block) {
		.page = page,
		.zone = page_zone(page),
		.order = order,
		.mt = get_pageblock_migratetype(page),
		.call = fake->calls,
		.pass = fake->passes,
	};
}

int fpr_report(struct page_reporting_dev_info *prdev, struct scatterlist *sgl,
	       unsigned int nents)
{
	struct fpr_fake *fake = container_of(prdev, struct fpr_fake, prdev);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		fpr_record(fake, sg_page(sg), get_order(sg->length));
	fake->calls++;

	if (fake->hook)
		fake->hook(fake, sgl, nents);
	fake->returned++;
	return fake->err;
}

static void fpr_end_registration(void *data)
{
	struct fpr_fake *fake = data;

	/* A test that has aborted may have left report() waiting. */
	complete_all(&fake->told);
	page_reporting_unregister(&fake->prdev);
}

/* As a driver does: the device may not be live yet. */
void fpr_register_unready(struct fpr_fake *fake, unsigned int capacity)
{
	struct kunit *test = fake->test;

	fpr_forget(fake);
	fake->prdev.capacity = capacity;
	fake->prdev.report = fpr_report;
	KUNIT_ASSERT_EQ(test, 0, page_reporting_register(&fake->prdev));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, fpr_end_registration,
						  fake));
}

/* The device is live from the start, and no pass is on its way. */
void fpr_register(struct fpr_fake *fake, unsigned int capacity)
{
	fpr_register_unready(fake, capacity);
	fpr_engine_live_in(0);
	fpr_calm(fake);
	fpr_forget(fake);
}

void fpr_unregister(struct fpr_fake *fake)
{
	kunit_remove_action(fake->test, fpr_end_registration, fake);
	page_reporting_unregister(&fake->prdev);
}

/* Is a device registered? */
bool fpr_slot_is_taken(void)
{
	return page_reporting_get_status().report;
}

int fpr_state(const struct fpr_fake *fake)
{
	return atomic_read(&fake->prdev.state);
}

/* No pass is due, whatever for, and none runs. */
static void fpr_cancel(struct fpr_fake *fake, int state)
{
	/* A free may ask again in between. */
	do {
		atomic_set(&fake->prdev.state, state);
		fpr_engine_settle();
		cancel_delayed_work_sync(&fake->prdev.work);
		atomic_set(&fake->prdev.state, state);
	} while (delayed_work_pending(&fake->prdev.work));
}

/* Takes away the pass that somebody asked for. */
void fpr_calm(struct fpr_fake *fake)
{
	fpr_cancel(fake, PAGE_REPORTING_IDLE);
}

/* As a free does, and waits until the pass is queued. */
void fpr_request(void)
{
	__page_reporting_notify();
	fpr_engine_settle();
}

/* A pass is on its way, whoever has asked for it. */
bool fpr_comes_back(struct fpr_fake *fake)
{
	fpr_engine_settle();
	return delayed_work_pending(&fake->prdev.work);
}

void fpr_expect_requested(struct fpr_fake *fake)
{
	KUNIT_EXPECT_TRUE(fake->test, fpr_comes_back(fake));
	KUNIT_EXPECT_EQ(fake->test, PAGE_REPORTING_REQUESTED, fpr_state(fake));
}

/* What the worker would do, in this thread. */
void fpr_run_pass(struct fpr_fake *fake)
{
	struct work_struct *work = &fake->prdev.work.work;

	fake->passes++;
	work->func(work);
}

/* One pass, in this thread. */
void fpr_pass(struct fpr_fake *fake)
{
	/* Whoever asks from now on finds that somebody has, and queues nothing. */
	fpr_cancel(fake, PAGE_REPORTING_REQUESTED);
	fpr_run_pass(fake);
}

/* Passes until one finds nothing, which is the last one. */
void fpr_report_all(struct fpr_fake *fake)
{
	unsigned int passes, calls;

	for (passes = 0; passes < FPR_MAX_PASSES; passes++) {
		calls = fake->calls;
		fpr_pass(fake);
		if (fake->calls == calls)
			return;
	}
	KUNIT_FAIL(fake->test, "still reporting after %d passes",
		   FPR_MAX_PASSES);
}

/* A pass in the worker, as in real life. Returns when a hook was called. */
void fpr_start_worker(struct fpr_fake *fake)
{
	mod_delayed_work(system_freezable_wq, &fake->prdev.work, 0);
	KUNIT_ASSERT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->entered,
						    FPR_DEADLINE));
}

/* The host answers when it is told. */
void fpr_hook_wait(struct fpr_fake *fake, struct scatterlist *sg,
		   unsigned int nents)
{
	complete(&fake->entered);
	wait_for_completion(&fake->told);
}

void fpr_hook_sleep(struct fpr_fake *fake, struct scatterlist *sg,
		    unsigned int nents)
{
	fpr_engine_pm(PM_SUSPEND_PREPARE);
}

/* Frees the upper half of the first pair when the lower one is reported. */
void fpr_hook_free_neighbour(struct fpr_fake *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		if (sg_page(sg) == fake->watch)
			fpr_put(&fake->pairs[0].hi);
}

void fpr_hook_expect_list(struct fpr_fake *fake, struct scatterlist *sgl,
			  unsigned int nents)
{
	struct kunit *test = fake->test;
	struct scatterlist *sg;
	unsigned int nr = 0;

	KUNIT_EXPECT_NE(test, 0, nents);
	KUNIT_EXPECT_LE(test, nents, fpr_engine_capacity(&fake->prdev));
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

/*
 * Threads
 */

static void fpr_end_thread(void *task)
{
	kthread_stop_put(task);
}

static void fpr_end_wait(void *data)
{
	struct fpr_fake *fake = data;

	complete_all(&fake->told);
}

static struct task_struct *fpr_start_thread(struct fpr_fake *fake,
					    struct task_struct *task)
{
	struct kunit *test = fake->test;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	/* It may end by itself before it is stopped. */
	get_task_struct(task);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, fpr_end_thread, task));
	/* First, as the thread may wait for report(). */
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, fpr_end_wait, fake));
	wake_up_process(task);
	return task;
}

/* The thread is stopped when the test ends, if it runs by then. */
struct task_struct *fpr_run_thread(struct fpr_fake *fake,
				   int (*fn)(void *data), void *data)
{
	return fpr_start_thread(fake, kthread_create(fn, data,
						     "page_reporting_test"));
}

struct task_struct *fpr_run_thread_on(struct fpr_fake *fake, unsigned int cpu,
				      int (*fn)(void *data), void *data)
{
	return fpr_start_thread(fake,
				kthread_create_on_cpu(fn, data, cpu,
						      "page_reporting_test/%u"));
}

/* Unless it has ended by itself. */
void fpr_stop_thread(struct fpr_fake *fake, struct task_struct *task)
{
	kunit_release_action(fake->test, fpr_end_thread, task);
}

static int fpr_unregister_fn(void *data)
{
	struct fpr_fake *fake = data;

	page_reporting_unregister(&fake->prdev);
	complete(&fake->gone);
	return 0;
}

/* Unregistration has begun when this returns. @gone says when it is done. */
struct task_struct *fpr_unregister_in_thread(struct fpr_fake *fake)
{
	struct task_struct *task = fpr_run_thread(fake, fpr_unregister_fn, fake);

	KUNIT_EXPECT_TRUE(fake->test, fpr_poll(!fpr_slot_is_taken()));
	return task;
}

void fpr_expect_gone(struct fpr_fake *fake)
{
	KUNIT_EXPECT_NE(fake->test, 0,
			wait_for_completion_timeout(&fake->gone,
						    FPR_DEADLINE));
}

/*
 * What was reported
 */

void fpr_forget(struct fpr_fake *fake)
{
	fake->calls = 0;
	fake->returned = 0;
	fake->nr_blocks = 0;
}

const struct fpr_block *fpr_find(struct fpr_fake *fake, struct page *page)
{
	unsigned int i;

	for (i = 0; i < fake->nr_blocks; i++)
		if (fake->blocks[i].page == page)
			return &fake->blocks[i];
	return NULL;
}

/* Was a block reported that this page is part of? */
bool fpr_covers(struct fpr_fake *fake, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		if (fpr_find(fake, pfn_to_page(ALIGN_DOWN(pfn, 1UL << order))))
			return true;
	return false;
}

static bool __fpr_list_has(const struct fpr_block *block)
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
enum fpr_where fpr_find_block(const struct fpr_block *block)
{
	enum fpr_where where = FPR_TAKEN;

	spin_lock_irq(&block->zone->lock);
	if (PageBuddy(block->page) && buddy_order(block->page) == block->order)
		where = __fpr_list_has(block) ? FPR_LISTED : FPR_ASTRAY;
	spin_unlock_irq(&block->zone->lock);
	return where;
}

/* How many of the blocks that were reported are there? */
unsigned int fpr_count(struct fpr_fake *fake, enum fpr_where where)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fpr_find_block(&fake->blocks[i]) == where;
	return nr;
}

unsigned int fpr_nr_in(struct fpr_fake *fake, struct zone *zone)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fake->blocks[i].zone == zone;
	return nr;
}

static bool fpr_is_marked(const struct fpr_block *block)
{
	bool marked;

	spin_lock_irq(&block->zone->lock);
	marked = PageBuddy(block->page) && PageReported(block->page);
	spin_unlock_irq(&block->zone->lock);
	return marked;
}

/* How many of the blocks that were reported have the mark? */
unsigned int fpr_nr_marked(struct fpr_fake *fake)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake->nr_blocks; i++)
		nr += fpr_is_marked(&fake->blocks[i]);
	return nr;
}

/*
 * Parameters, as sysfs writes and reads them
 */

static const struct kernel_param *fpr_find_param(const char *name)
{
	size_t len = strlen(FPR_PARAM_PREFIX);
	const struct kernel_param *kp;

	for (kp = __start___param; kp < __stop___param; kp++)
		if (!strncmp(kp->name, FPR_PARAM_PREFIX, len) &&
		    !strcmp(kp->name + len, name))
			return kp;
	return NULL;
}

int fpr_set_param(const char *name, const char *val)
{
	const struct kernel_param *kp = fpr_find_param(name);
	int err;

	if (!kp)
		return -ENOENT;
	kernel_param_lock(NULL);
	err = kp->ops->set(val, kp);
	kernel_param_unlock(NULL);
	return err;
}

static int fpr_get_param(const char *name, char *buf)
{
	const struct kernel_param *kp = fpr_find_param(name);
	int len;

	if (!kp)
		return -ENOENT;
	kernel_param_lock(NULL);
	len = kp->ops->get(buf, kp);
	kernel_param_unlock(NULL);
	return len;
}

void fpr_expect_param(struct kunit *test, const char *name, const char *val)
{
	char buf[16] = "";
	int len = fpr_get_param(name, buf);

	KUNIT_EXPECT_EQ(test, strlen(val), len);
	KUNIT_EXPECT_STREQ(test, val, buf);
}

static void fpr_set_number(struct fpr_fake *fake, const char *name, int num)
{
	char val[16];

	snprintf(val, sizeof(val), "%d\n", num);
	KUNIT_EXPECT_EQ(fake->test, 0, fpr_set_param(name, val));
}

void fpr_set_order(struct fpr_fake *fake, unsigned int order)
{
	fpr_set_number(fake, FPR_PARAM_ORDER, order);
}

void fpr_set_delay(struct fpr_fake *fake, int delay_ms)
{
	fpr_set_number(fake, FPR_PARAM_DELAY, delay_ms);
}

/* What the user reads. */
void fpr_expect_wanted(struct kunit *test, int order)
{
	char val[16];

	snprintf(val, sizeof(val), "%d\n", order);
	fpr_expect_param(test, FPR_PARAM_ORDER, val);
}

/* The order in effect, and what the user reads. */
void fpr_expect_order(struct fpr_fake *fake, unsigned int live,
		      unsigned int wanted)
{
	fpr_expect_wanted(fake->test, wanted);
	KUNIT_EXPECT_EQ(fake->test, live, page_reporting_order);
}

/*
 * Timers
 */

/* In ms, from now on. */
unsigned int fpr_wait_of(const struct timer_list *timer)
{
	if (!timer_pending(timer))
		return 0;
	return jiffies_to_msecs(timer->expires - jiffies);
}

/* Up to @wait_ms, and not shorter by more than what a test takes. */
void fpr_expect_wait(struct kunit *test, const struct timer_list *timer,
		     unsigned int wait_ms)
{
	unsigned int left_ms = fpr_wait_of(timer);

	KUNIT_EXPECT_LE(test, left_ms,
			jiffies_to_msecs(msecs_to_jiffies(wait_ms)));
	KUNIT_EXPECT_GT(test, left_ms, wait_ms / 4 * 3);
}

/* Nothing will happen unless somebody frees a block. */
bool fpr_is_quiet(struct fpr_fake *fake)
{
	return !fpr_comes_back(fake) && fpr_state(fake) == PAGE_REPORTING_IDLE;
}

/*
 * Zones and free lists
 */

struct zone *fpr_largest_zone(void)
{
	struct zone *zone, *largest = NULL;

	for_each_populated_zone(zone)
		if (!largest || zone_managed_pages(zone) >
				zone_managed_pages(largest))
			largest = zone;
	return largest;
}

static void fpr_restore_low_wmark(void *data)
{
	struct fpr_fake *fake = data;

	fake->low_zone->_watermark[WMARK_LOW] = fake->low_wmark;
	fake->low_zone = NULL;
}

/* Of one zone at a time, until fpr_feed(). */
void fpr_set_low_wmark(struct fpr_fake *fake, struct zone *zone,
		       unsigned long pages)
{
	KUNIT_ASSERT_NULL(fake->test, fake->low_zone);
	fake->low_zone = zone;
	fake->low_wmark = zone->_watermark[WMARK_LOW];
	zone->_watermark[WMARK_LOW] = pages;
	KUNIT_ASSERT_EQ(fake->test, 0,
			kunit_add_action_or_reset(fake->test,
						  fpr_restore_low_wmark, fake));
}

/*
 * A zone of which nothing is used would never be short, nor would one of which
 * less is used than its counters can be wrong by.
 */
static void fpr_use_zone(struct fpr_fake *fake, struct zone *zone)
{
	static const gfp_t gfps[] = {
		GFP_KERNEL, GFP_KERNEL | GFP_DMA32, GFP_KERNEL | GFP_DMA
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(gfps); i++)
		if (page_zone(fpr_alloc(fake, gfps[i], MAX_PAGE_ORDER)) == zone)
			return;
}

/*
 * Makes a zone short of memory for the device that is registered. Not for ever:
 * all of it might become free one day.
 */
void fpr_starve(struct fpr_fake *fake, struct zone *zone)
{
	unsigned long batch = fpr_engine_capacity(&fake->prdev);

	fpr_use_zone(fake, zone);
	batch <<= page_reporting_order;
	fpr_set_low_wmark(fake, zone, zone_managed_pages(zone) - batch);
}

/* The zone has the watermark again that it had before. */
void fpr_feed(struct fpr_fake *fake)
{
	kunit_release_action(fake->test, fpr_restore_low_wmark, fake);
}

static unsigned long __fpr_marked_in(struct zone *zone)
{
	struct free_area *area;
	unsigned long nr = 0;
	struct page *page;
	unsigned int mt;

	for (area = zone->free_area; area < zone->free_area + NR_PAGE_ORDERS; area++)
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			list_for_each_entry(page, &area->free_list[mt], buddy_list)
				nr += PageReported(page);
	return nr;
}

/* Blocks with the mark, on all free lists. */
unsigned long fpr_marked(void)
{
	unsigned long nr = 0;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		nr += __fpr_marked_in(zone);
		spin_unlock_irq(&zone->lock);
	}
	return nr;
}

static unsigned long __fpr_unreported_in(struct zone *zone, unsigned int order)
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
unsigned long fpr_unreported(struct zone *zone, unsigned int order)
{
	unsigned long nr;

	spin_lock_irq(&zone->lock);
	nr = __fpr_unreported_in(zone, order);
	spin_unlock_irq(&zone->lock);
	return nr;
}

unsigned long fpr_unreported_in_all(unsigned int order)
{
	unsigned long nr = 0;
	struct zone *zone;

	for_each_populated_zone(zone)
		nr += fpr_unreported(zone, order);
	return nr;
}

/* Free blocks of the highest order. */
unsigned long fpr_nr_largest(void)
{
	struct zone *zone;
	unsigned long nr = 0;

	for_each_populated_zone(zone)
		/* An estimate: others allocate and free meanwhile. */
		nr += data_race(zone->free_area[MAX_PAGE_ORDER].nr_free);
	return nr;
}

/* The free lists agree with the counters, and with the engine. */
void fpr_expect_sound(struct kunit *test)
{
	struct page_reporting_verdict verdict;
	const char *wrong = page_reporting_verify(&verdict);

	KUNIT_EXPECT_NULL_MSG(test, wrong, "%s", wrong);
}

/*
 * Memory
 */

/* A block that is freed at the end of the test unless the test does. */
struct page *fpr_try_alloc(struct fpr_fake *fake, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	if (!page)
		return NULL;
	set_page_private(page, order);
	list_add(&page->lru, &fake->allocated);
	return page;
}

struct page *fpr_alloc(struct fpr_fake *fake, gfp_t gfp, unsigned int order)
{
	struct page *page = fpr_try_alloc(fake, gfp, order);

	KUNIT_ASSERT_NOT_NULL(fake->test, page);
	return page;
}

/* Blocks of FPR_ORDER, @nr of them or fewer, for fpr_free_odd(). */
void fpr_fill(struct fpr_fake *fake, gfp_t gfp, unsigned int nr)
{
	while (nr--)
		if (!fpr_try_alloc(fake, gfp | __GFP_NOWARN, FPR_ORDER))
			return;
}

/*
 * Frees every second one of those that were allocated last. The others keep them from
 * merging until the end of the test.
 */
void fpr_free_odd(struct fpr_fake *fake, unsigned int nr)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &fake->allocated, lru) {
		if (!nr--)
			return;
		if (page_to_pfn(page) & (1UL << FPR_ORDER))
			fpr_free(page);
	}
}

/* Takes blocks until one of the largest is split for it. */
void fpr_split_largest(struct fpr_fake *fake, unsigned int order)
{
	unsigned long largest = fpr_nr_largest();

	while (fpr_nr_largest() >= largest)
		if (!fpr_try_alloc(fake, GFP_KERNEL, order))
			return;
}

void fpr_free(struct page *page)
{
	unsigned int order = page_private(page);

	list_del(&page->lru);
	set_page_private(page, 0);
	__free_pages(page, order);
}

void fpr_free_all(struct fpr_fake *fake)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &fake->allocated, lru)
		fpr_free(page);
}

/*
 * Past the per-CPU lists, which take blocks of the size of a huge page: with
 * pages of 64 KiB, that is the highest order.
 */
void fpr_free_past_lists(struct page *page)
{
	struct zone *zone = page_zone(page);

	fpr_free(page);
	drain_all_pages(zone);
}

/* A free block to where it is found last, if it is that block still. */
void fpr_move_to_tail(struct page *page, unsigned int order)
{
	struct zone *zone = page_zone(page);
	int mt = get_pageblock_migratetype(page);

	spin_lock_irq(&zone->lock);
	if (PageBuddy(page) && buddy_order(page) == order)
		list_move_tail(&page->buddy_list,
			       &zone->free_area[order].free_list[mt]);
	spin_unlock_irq(&zone->lock);
}

/* Frees the upper half of a block, and leaves the lower one. */
void fpr_free_upper_half(struct page *page)
{
	unsigned int order = page_private(page) - 1;
	struct page *upper = page + (1UL << order);

	/* What split_page() does, into two instead of into single pages. */
	set_page_private(page, order);
	set_page_refcounted(upper);
	__free_pages(upper, order);
}

void fpr_put(struct page **page)
{
	if (*page)
		fpr_free(*page);
	*page = NULL;
}

void fpr_put_pair(struct fpr_pair *pair)
{
	int i;

	fpr_put(&pair->lo);
	fpr_put(&pair->hi);
	for (i = 0; i < FPR_FILL; i++)
		fpr_put(&pair->fill[i]);
}

static unsigned int fpr_pair_order(const struct fpr_pair *pair)
{
	return pair->order ?: FPR_ORDER;
}

/* Takes the buddy of the last block out of the others, if it is there. */
static struct page *fpr_take_buddy(struct fpr_pair *pair, int last)
{
	unsigned long pfn = page_to_pfn(pair->fill[last]) ^
			    (1UL << fpr_pair_order(pair));
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
void fpr_get_pair(struct fpr_fake *fake, struct fpr_pair *pair, gfp_t gfp)
{
	struct page *buddy;
	int i;

	fpr_put_pair(pair);
	for (i = 0; i < FPR_FILL; i++) {
		pair->fill[i] = fpr_alloc(fake, gfp, fpr_pair_order(pair));
		if (pair->lo)
			continue;
		buddy = fpr_take_buddy(pair, i);
		if (!buddy)
			continue;
		pair->lo = min(buddy, pair->fill[i]);
		pair->hi = max(buddy, pair->fill[i]);
		pair->fill[i] = NULL;
	}
	KUNIT_ASSERT_NOT_NULL(fake->test, pair->lo);
}

void fpr_need_isolation(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_MEMORY_ISOLATION))
		kunit_skip(test, "needs CONFIG_MEMORY_ISOLATION");
}

#ifdef CONFIG_MEMORY_ISOLATION
static void fpr_end_isolation(void *data)
{
	struct page *page = data;
	unsigned long pfn = page_to_pfn(page);

	undo_isolate_page_range(pfn, pfn + pageblock_nr_pages);
}

/* Isolates the pageblock of @page until fpr_unisolate(). */
int fpr_try_isolate(struct fpr_fake *fake, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	int err;

	err = start_isolate_page_range(pfn, pfn + pageblock_nr_pages,
				       PB_ISOLATE_MODE_OTHER);
	if (err)
		return err;
	return kunit_add_action_or_reset(fake->test, fpr_end_isolation, page);
}

void fpr_unisolate(struct fpr_fake *fake, struct page *page)
{
	kunit_release_action(fake->test, fpr_end_isolation, page);
}
#else
int fpr_try_isolate(struct fpr_fake *fake, struct page *page)
{
	return -EOPNOTSUPP;
}

void fpr_unisolate(struct fpr_fake *fake, struct page *page)
{
}
#endif

/* Isolates a free pageblock that was not reported, and returns its head. */
struct page *fpr_isolate_pageblock(struct fpr_fake *fake)
{
	int err = -EBUSY, tries;
	struct page *page;

	for (tries = 0; err && tries < 10; tries++) {
		page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, pageblock_order);
		fpr_free(page);
		err = fpr_try_isolate(fake, page);
	}
	KUNIT_ASSERT_EQ(fake->test, 0, err);
	drain_all_pages(page_zone(page));
	return page;
}

/* Without memory hotplug, code outside page_alloc.c can set types only at boot. */
#ifdef CONFIG_MEMORY_HOTPLUG
/* Sets the type of a pageblock that is free or in use as a whole. */
void fpr_set_type(struct page *page, int mt)
{
	struct zone *zone = page_zone(page);
	bool is_free;

	spin_lock_irq(&zone->lock);
	is_free = PageBuddy(page) &&
		  __isolate_free_block(page, pageblock_order);
	init_pageblock_migratetype(page, mt, false);
	if (is_free)
		__putback_isolated_page(page, pageblock_order, mt);
	spin_unlock_irq(&zone->lock);
}
#endif

/*
 * Counters
 */

void fpr_need_counters(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_VM_EVENT_COUNTERS))
		kunit_skip(test, "needs CONFIG_VM_EVENT_COUNTERS");
}

/* Blocks come and go meanwhile: look until nothing has. */
static void fpr_sum(struct fpr_sums *sums)
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

struct fpr_sums *fpr_new_sums(struct kunit *test)
{
	struct fpr_sums *sums = kunit_kzalloc(test, sizeof(*sums), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sums);
	fpr_sum(sums);
	return sums;
}

/* How much an event has grown. */
unsigned long fpr_grown(struct kunit *test, const struct fpr_sums *before,
			enum vm_event_item item)
{
	return fpr_new_sums(test)->events[item] - before->events[item];
}

/* All that was reported is still free, or was counted when it left. */
void fpr_expect_identity(struct kunit *test)
{
	const unsigned long *events;
	struct fpr_sums *sums;
	int looks = 20;

	do {
		sums = fpr_new_sums(test);
		events = sums->events;
		if (events[PGREPORT] == sums->free + events[PGREPORT_REFAULT] +
		    events[PGREPORT_MERGE] + events[PGREPORT_CLEAR])
			return;
	} while (--looks);
	KUNIT_FAIL(test, "reported %lu, free %lu, refault %lu, merge %lu, clear %lu",
		   events[PGREPORT], sums->free, events[PGREPORT_REFAULT],
		   events[PGREPORT_MERGE], events[PGREPORT_CLEAR]);
}

/*
 * The start and the end of a test
 */

/* The last action: all others of the test have run. */
static void fpr_end_test(void *data)
{
	struct fpr_fake *fake = data;

	fpr_free_all(fake);
	/* A test may have left the system asleep. */
	fpr_engine_pm(PM_POST_SUSPEND);
	KUNIT_EXPECT_EQ(fake->test, 0,
			fpr_set_param(FPR_PARAM_DELAY, fake->saved_delay));
	fpr_engine_restore(fake->saved_order);
	page_reporting_set_compact(fake->saved_compact);
	fpr_expect_sound(fake->test);
}

int fpr_init(struct kunit *test)
{
	struct fpr_fake *fake;

	if (fpr_slot_is_taken())
		kunit_skip(test, "a driver holds the slot for a device");

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	if (!fake)
		return -ENOMEM;
	fake->test = test;
	fake->prdev.order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	fake->blocks = fpr_blocks;
	INIT_LIST_HEAD(&fake->allocated);
	init_completion(&fake->entered);
	init_completion(&fake->told);
	init_completion(&fake->gone);
	if (fpr_get_param(FPR_PARAM_DELAY, fake->saved_delay) < 0)
		return -ENOENT;
	fake->saved_order = fpr_engine_forget_user();
	/* Only its own suite looks at it, and it would disturb the others. */
	fake->saved_compact = page_reporting_get_compact();
	page_reporting_set_compact(false);
	fpr_set_delay(fake, FPR_QUIET_MS);
	test->priv = fake;
	return kunit_add_action_or_reset(test, fpr_end_test, fake);
}

int fpr_suite_init(struct kunit_suite *suite)
{
	fpr_blocks = vcalloc(FPR_MAX_BLOCKS, sizeof(*fpr_blocks));
	return fpr_blocks ? 0 : -ENOMEM;
}

void fpr_suite_exit(struct kunit_suite *suite)
{
	vfree(fpr_blocks);
}
