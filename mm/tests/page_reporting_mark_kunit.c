// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: which blocks the host has, and the
 * counters.
 */

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "../internal.h"
#include "page_reporting_kunit.h"

/* Does a free of this order ask for a pass? Not for another CPU's. */
static bool notify_asks(struct fpr_fake *fake, unsigned int order)
{
	fpr_calm(fake);
	page_reporting_notify_free(order);
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

	/* The rest of the machine may free a large block at any time. */
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
	fake->hook = fpr_hook_free_neighbour;
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

	/* One of a pair is reported, and merges with the other. */
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
 * Takes blocks until one of the largest is split for it, and returns how many
 * pages were refaulted then. Smaller ones need not be split at all.
 */
static unsigned long split_largest(struct fpr_fake *fake)
{
	struct fpr_sums *before;
	unsigned long largest;

	do {
		before = fpr_new_sums(fake->test);
		largest = fpr_nr_largest();
		if (!fpr_try_alloc(fake, GFP_KERNEL, FPR_ORDER))
			return 0;
	} while (fpr_nr_largest() >= largest);
	return fpr_grown(fake->test, before, PGREPORT_REFAULT);
}

/* B8 */
static void split_keeps_the_rest_reported(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long used;

	fpr_need_counters(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	used = split_largest(fake);
	/* Others use some, too, but no block of the largest order is lost. */
	KUNIT_EXPECT_GE(test, used, 1UL << FPR_ORDER);
	KUNIT_EXPECT_LT(test, used, MAX_ORDER_NR_PAGES / 2);
	fpr_expect_identity(test);

	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 4);
}

static void take_for_report(struct fpr_fake *fake, struct page *page)
{
	KUNIT_ASSERT_TRUE(fake->test, fpr_engine_isolate(page_zone(page), page,
							 FPR_ORDER));
}

static bool put_back_reported(struct fpr_fake *fake, struct page *page)
{
	return fpr_engine_put_back(&fake->prdev, page_zone(page), page,
				   FPR_ORDER);
}

/* Has a page become part of a larger block that is marked? */
static bool is_in_marked_block(struct page *page)
{
	unsigned int order;
	struct page *head;

	for (order = FPR_ORDER + 1; order < NR_PAGE_ORDERS; order++) {
		head = pfn_to_page(ALIGN_DOWN(page_to_pfn(page), 1UL << order));
		if (PageBuddy(head) && buddy_order(head) == order &&
		    PageReported(head))
			return true;
	}
	return false;
}

/* B8: Two buddies of one batch: the second was freed when the first was away. */
static void marked_blocks_make_a_marked_one(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo, *hi;

	fpr_need_counters(test);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	fpr_get_pair(fake, pair, GFP_KERNEL);
	lo = pair->lo;
	hi = pair->hi;

	fpr_put(&pair->lo);
	take_for_report(fake, lo);
	fpr_put(&pair->hi);
	take_for_report(fake, hi);
	KUNIT_EXPECT_FALSE(test, put_back_reported(fake, lo));
	KUNIT_EXPECT_TRUE(test, PageReported(lo));
	KUNIT_EXPECT_FALSE(test, put_back_reported(fake, hi));
	KUNIT_EXPECT_FALSE(test, PageBuddy(lo) && buddy_order(lo) == FPR_ORDER);
	/* All around it was marked, too, however far it merged. */
	KUNIT_EXPECT_TRUE(test, is_in_marked_block(lo));
	fpr_expect_identity(test);
}

/* One word is marked by the engine, the other one non-atomically on purpose. */
enum race_word {
	WORD_OURS,
	WORD_CONTROL,
	NR_WORDS,
};

struct race {
	/* No real pages: nobody else looks at their flags. */
	struct page pages[NR_WORDS];
	/* updates that were lost */
	unsigned long lost[NR_WORDS];
};

/* Enough that chance cannot explain none at all in the other word. */
#define LOST_ENOUGH	50UL
/* CPUs of an emulator that take turns never race. */
#define NO_RACE		(5 * HZ)

/* Stands for memory_failure(), with a flag that every kernel has. */
static int flip_fn(void *data)
{
	struct race *race = data;
	unsigned long *flags;
	int i, word;

	while (!kthread_should_stop()) {
		for (i = 0; i < 1000; i++) {
			word = i % NR_WORDS;
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
static void mark_words(struct race *race)
{
	struct page *ours = &race->pages[WORD_OURS];
	unsigned long *control = &race->pages[WORD_CONTROL].flags;
	int i;

	for (i = 0; i < 1000; i++)
		fpr_engine_set_mark(ours);
	for (i = 0; i < 1000; i++)
		arch___set_bit(PG_reported, control);
	for (i = 0; i < 1000; i++)
		fpr_engine_clear_mark(ours);
	for (i = 0; i < 1000; i++)
		arch___clear_bit(PG_reported, control);
	cond_resched();
}

/* Two threads on one CPU never meet in the middle of an instruction. */
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

	/* An old count only means one more round. */
	while (data_race(race->lost[WORD_CONTROL]) < LOST_ENOUGH &&
	       time_before(jiffies, begin + 4 * FPR_DEADLINE)) {
		mark_words(race);
		/* As above. */
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
	migrate_disable();
	run_race(fake, race);
	migrate_enable();
	if (!race->lost[WORD_CONTROL])
		kunit_skip(test, "the CPUs take turns here");

	/* The race takes place, and this test would see it. */
	KUNIT_EXPECT_GE(test, race->lost[WORD_CONTROL], LOST_ENOUGH);
	KUNIT_EXPECT_EQ(test, 0, race->lost[WORD_OURS]);
	KUNIT_EXPECT_EQ(test, 0, race->pages[WORD_OURS].flags);
}

static struct kunit_case page_reporting_mark_cases[] = {
	KUNIT_CASE(only_large_blocks_notify),
	KUNIT_CASE(allocator_notifies),
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
	KUNIT_CASE(marked_blocks_make_a_marked_one),
	KUNIT_CASE(mark_leaves_other_flags_alone),
	{}
};

static struct kunit_suite page_reporting_mark_suite =
	FPR_SUITE("mark", page_reporting_mark_cases);

kunit_test_suite(page_reporting_mark_suite);
