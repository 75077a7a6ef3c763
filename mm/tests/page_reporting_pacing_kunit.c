// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: pacing in the engine.
 *
 * The clock of a test goes on by itself, so that tests wait for real, and expect
 * no more than an order of time. The policy itself is tested in user space, in
 * tools/testing/page_reporting/pacing.
 */

#include <kunit/test.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "../shuffle.h"
#include "page_reporting_kunit.h"

/* A whole tau of large blocks and the time to close its windows. */
#define TAU_MS		900
/* The smallest block that is reported by default. */
#define ADAPTIVE_ORDER	(PAGE_ALLOC_COSTLY_ORDER + 1)

/* As long as a worker with a timer would sleep between two passes. */
static void wait_and_pass(struct fpr_fake *fake)
{
	/* No condition to poll: it is time that has to pass. */
	msleep(50);
	fpr_pass(fake);
}

/* In about the time that it takes all that is idle to leave. */
#define IDLE_PASSES	(3 * TAU_MS / 50)

/* Passes until @cond is true, or all that is idle should have left. */
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

/* Of the first zone that reported something. Others free some, too. */
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
	/* It reports smaller blocks by default, and looks for them at once. */
	KUNIT_EXPECT_EQ(test, ADAPTIVE_ORDER, page_reporting_order);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&fake->prdev.work));

	fpr_set_delay(fake, FPR_QUIET_MS);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
	fpr_calm(fake);
}

/* B6 */
static void adaptive_keeps_the_order_that_was_asked_for(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fake->prdev.order = 7;
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 7, page_reporting_order);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	KUNIT_EXPECT_EQ(test, MAX_PAGE_ORDER, page_reporting_order);
	fpr_calm(fake);
}

static bool comes_back(struct fpr_fake *fake)
{
	return delayed_work_pending(&fake->prdev.work) ||
	       timer_pending(fpr_engine_retry(&fake->prdev));
}

/* B6 */
static void idle_memory_leaves(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	/* Nobody knows yet that it is idle. */
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_TRUE(test, comes_back(fake));

	KUNIT_EXPECT_TRUE(test, pass_until(fake, all_has_left(fake)));
}

/* B6 */
static void nothing_to_do_has_no_timer(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int tries = FPR_MAX_PASSES;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	do {
		wait_and_pass(fake);
	} while (!fpr_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

/* B6: Eight windows end before anything leaves: no tick of delay for each. */
static void due_pass_has_no_delay(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page_reporting_dev_info *prdev = &fake->prdev;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	fpr_calm(fake);
	fpr_expire_retry(fake);
	/* The work is queued, or has run; a timer would expire a tick later. */
	KUNIT_EXPECT_FALSE(test, timer_pending(&prdev->work.timer));
	flush_delayed_work(&prdev->work);
	KUNIT_EXPECT_TRUE(test, timer_pending(fpr_engine_retry(prdev)));
}

/* B6: What the user has reported is not to be paid for by pacing. */
static void flush_leaves_no_debt(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fpr_pass(fake);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_flush(ULONG_MAX));
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_debt_ns());
}

/* B6: A cap counts blocks: the largest ones leave, however few there are. */
static void cap_counts_blocks_of_any_size(struct kunit *test)
{
	u64 granted = 5UL << MAX_PAGE_ORDER;

	KUNIT_EXPECT_EQ(test, 3,
			fpr_engine_paced_budget(granted, 3, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 5,
			fpr_engine_paced_budget(granted, 9, MAX_PAGE_ORDER));
	KUNIT_EXPECT_EQ(test, 9,
			fpr_engine_paced_budget(granted, 9, MAX_PAGE_ORDER - 1));
}

/* B6: Isolated blocks look like free ones, and no other may leave for them. */
static void isolation_puts_off(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_need_isolation(test);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	page = fpr_isolate_pageblock(fake);
	/* Until other zones have reported theirs, and as long again. */
	pass_until(fake, false);
	fpr_forget(fake);
	KUNIT_EXPECT_FALSE(test, pass_until(fake, fake->nr_blocks));
	KUNIT_EXPECT_GT(test, fpr_engine_retries(&fake->prdev), 0);
	fpr_unisolate(fake, page);
	KUNIT_EXPECT_TRUE(test, pass_until(fake, fake->nr_blocks));
}

/* Takes so many of the largest blocks and frees them; a pass finds them free. */
static void use_and_pass(struct fpr_fake *fake, unsigned int nr)
{
	while (nr--)
		KUNIT_EXPECT_NOT_NULL(fake->test,
				      fpr_try_alloc(fake, GFP_KERNEL,
						    MAX_PAGE_ORDER));
	fpr_free_all(fake);
	fpr_pass(fake);
}

/*
 * B6: Of twelve blocks, seven are used again and again: the other five are all
 * that may go. Others take and free some, too.
 */
static void memory_in_use_stays(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(test, "what was freed last is not taken first");
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	pass_until(fake, fake->nr_blocks && fpr_is_quiet(fake));
	KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);

	fpr_forget(fake);
	use_and_pass(fake, 12);
	for (i = 0; i < 2 * TAU_MS / 50; i++) {
		/* As above. */
		msleep(50);
		use_and_pass(fake, 7);
	}
	KUNIT_EXPECT_GE(test, fake->nr_blocks, 1);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 8);
	KUNIT_EXPECT_TRUE(test, pass_until(fake, fake->nr_blocks >= 8));
}

static struct kunit_case page_reporting_pacing_cases[] = {
	KUNIT_CASE(adaptive_reads_minus_one),
	KUNIT_CASE(adaptive_keeps_the_order_that_was_asked_for),
	KUNIT_CASE_SLOW(idle_memory_leaves),
	KUNIT_CASE_SLOW(nothing_to_do_has_no_timer),
	KUNIT_CASE(due_pass_has_no_delay),
	KUNIT_CASE(flush_leaves_no_debt),
	KUNIT_CASE(cap_counts_blocks_of_any_size),
	KUNIT_CASE_SLOW(isolation_puts_off),
	KUNIT_CASE_SLOW(memory_in_use_stays),
	{}
};

static struct kunit_suite page_reporting_pacing_suite =
	FPR_SUITE("pacing", page_reporting_pacing_cases);

kunit_test_suite(page_reporting_pacing_suite);
