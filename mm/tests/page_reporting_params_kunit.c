// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: the parameters page_reporting_order and
 * page_reporting_delay_ms.
 */

#include <kunit/test.h>
#include <linux/timer.h>

#include "page_reporting_kunit.h"

/* S1 */
static void order_takes_0_to_max(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int order;

	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		fpr_set_order(fake, order);
		fpr_expect_wanted(test, order);
	}
	fpr_register(fake, 0);
	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		fpr_set_order(fake, order);
		fpr_pass(fake);
		fpr_expect_order(fake, order, order);
	}
}

struct bad_value {
	const char *val;
	const char *desc;
};

static const struct bad_value bad_orders[] = {
	{ "-2", "minus two" },
	{ "-1x", "minus one and letter" },
	{ "--1", "two signs" },
	{ "abc", "letters" },
	{ "\n", "newline" },
	{ "", "nothing" },
	{ "1.5", "fraction" },
	{ "9 9", "two numbers" },
	{ "9x", "number and letter" },
	{ "0x", "hexadecimal without digits" },
	{ __stringify(MAX_PAGE_ORDER) "1", "ten times too large" },
	{ "99", "too large" },
	{ "4294967295", "minus one, unsigned" },
	{ "4294967305", "nine after 32 bits" },
	{ "99999999999999999999", "more than 64 bits" },
};

KUNIT_ARRAY_PARAM_DESC(bad_order, bad_orders, desc);

/* S1 */
static void order_refuses_anything_else(struct kunit *test)
{
	const struct bad_value *bad = test->param_value;
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, 7);
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, -EINVAL, fpr_set_param(FPR_PARAM_ORDER, bad->val));
	fpr_pass(fake);
	fpr_expect_order(fake, 7, 7);
}

/* S1 */
static void order_reads_minus_one_until_set(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_expect_param(test, FPR_PARAM_ORDER, "-1\n");

	fpr_register(fake, 0);
	fpr_expect_order(fake, page_reporting_order, page_reporting_order);
	KUNIT_EXPECT_LE(test, page_reporting_order, MAX_PAGE_ORDER);

	fpr_unregister(fake);
	fpr_expect_param(test, FPR_PARAM_ORDER, "-1\n");
}

static const unsigned int unspecified[] = {
	PAGE_REPORTING_ORDER_UNSPECIFIED, MAX_PAGE_ORDER + 1,
};

static void describe_unspecified(const unsigned int *order, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %d", (int)*order);
}

KUNIT_ARRAY_PARAM(unspecified, unspecified, describe_unspecified);

/* S1 B2: For each order by which a driver leaves the choice to the engine. */
static void user_beats_driver_beats_pageblock(struct kunit *test)
{
	const unsigned int *order = test->param_value;
	struct fpr_fake *fake = test->priv;

	fake->prdev.order = *order;
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);
	fpr_unregister(fake);

	fake->prdev.order = 3;
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 3, page_reporting_order);
	fpr_unregister(fake);

	fpr_set_order(fake, 6);
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 6, page_reporting_order);
	fpr_unregister(fake);
	KUNIT_EXPECT_EQ(test, 6, page_reporting_order);
}

/* S1: Scripts save the order, set another one for a while, and restore the old one. */
static void order_can_be_unset(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, 3);
	KUNIT_EXPECT_EQ(test, 0, fpr_set_param(FPR_PARAM_ORDER, "-1\n"));
	fpr_expect_wanted(test, -1);
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, pageblock_order, page_reporting_order);

	/* With a device, -1 restores the order that the device asked for. */
	fpr_set_order(fake, 3);
	fpr_pass(fake);
	fpr_expect_order(fake, 3, 3);
	KUNIT_EXPECT_EQ(test, 0, fpr_set_param(FPR_PARAM_ORDER, "-1"));
	fpr_expect_order(fake, 3, pageblock_order);
	fpr_pass(fake);
	fpr_expect_order(fake, pageblock_order, pageblock_order);
	fpr_unregister(fake);
	fpr_expect_wanted(test, -1);

	fake->prdev.order = 7;
	fpr_register(fake, 0);
	fpr_set_order(fake, 3);
	fpr_pass(fake);
	fpr_set_order(fake, PAGE_REPORTING_ORDER_UNSPECIFIED);
	fpr_pass(fake);
	fpr_expect_order(fake, 7, 7);
}

/* S1: To set the device's own order, as a script does to restore it, is no choice. */
static void restored_order_is_no_choice(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fake->prdev.order = 7;
	fpr_register(fake, 0);
	fpr_expect_param(test, FPR_PARAM_ORDER, "7\n");
	fpr_set_order(fake, 3);
	fpr_set_order(fake, 7);
	fpr_pass(fake);
	fpr_expect_order(fake, 7, 7);
	fpr_unregister(fake);
	fpr_expect_param(test, FPR_PARAM_ORDER, "-1\n");

	fake->prdev.order = 5;
	fpr_register(fake, 0);
	fpr_expect_order(fake, 5, 5);
}

/* S1 */
static void order_change_asks_for_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fpr_set_order(fake, FPR_ORDER);
	fpr_expect_requested(fake);
}

static const struct bad_value bad_delays[] = {
	{ "-2", "minus two" },
	{ "4294967296", "more than an unsigned int" },
	{ "abc", "letters" },
	{ "", "nothing" },
	{ "1.5", "fraction" },
};

KUNIT_ARRAY_PARAM_DESC(bad_delay, bad_delays, desc);

/* S4 B2 */
static void delay_refuses_anything_else(struct kunit *test)
{
	const struct bad_value *bad = test->param_value;
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, -EINVAL, fpr_set_param(FPR_PARAM_DELAY, bad->val));
	fpr_expect_param(test, FPR_PARAM_DELAY, __stringify(FPR_QUIET_MS) "\n");
}

/* S4 B2 */
static void delay_takes_0_to_an_hour(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, 0);
	fpr_expect_param(test, FPR_PARAM_DELAY, "0\n");
	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_expect_param(test, FPR_PARAM_DELAY, __stringify(FPR_QUIET_MS) "\n");
}

/* S4 B2: Any unsigned int is a valid delay. UINT_MAX is not taken as -1. */
static void delay_beyond_an_hour_is_an_hour(struct kunit *test)
{
	static const char * const delays[] = { "3600001", "4294967295" };
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(delays); i++) {
		fpr_set_delay(fake, 0);
		KUNIT_EXPECT_EQ(test, 0,
				fpr_set_param(FPR_PARAM_DELAY, delays[i]));
		fpr_expect_param(test, FPR_PARAM_DELAY,
				 __stringify(FPR_QUIET_MS) "\n");
	}
}

/* S1 B2: A driver may ask for reports of single pages. */
static void driver_asks_for_order_0(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fake->prdev.order = 0;
	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_order);
}

/* B2 */
static void order_may_be_unspecified(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	fake->prdev.order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, pageblock_order);
}

/* B2 */
static void new_delay_rearms_the_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	fpr_register(fake, 0);
	fpr_request();
	fpr_expect_wait(test, timer, FPR_QUIET_MS);
	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_expect_wait(test, timer, FPR_DELAY_MS);
	fpr_set_delay(fake, 2 * FPR_DELAY_MS);
	fpr_expect_wait(test, timer, 2 * FPR_DELAY_MS);
}

/* B2: With the new delay, memory may be reported that was not with the old one. */
static void new_delay_asks_for_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_expect_requested(fake);
	fpr_expect_wait(test, &fake->prdev.work.timer, FPR_DELAY_MS);

	/* Writing the same value again and again must not delay passes. */
	fpr_calm(fake);
	fpr_set_delay(fake, FPR_DELAY_MS);
	KUNIT_EXPECT_FALSE(test, fpr_comes_back(fake));
}

static void hook_set_delay(struct fpr_fake *fake, struct scatterlist *sg,
			   unsigned int nents)
{
	fake->hook = NULL;
	/* Pacing will want a pass for this block within a second. */
	fpr_put(&fake->pairs[0].lo);
	fpr_set_delay(fake, FPR_QUIET_MS);
}

/* B2: With a new delay, the pass that is running is followed by none sooner. */
static void new_delay_counts_from_the_end_of_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fpr_set_order(fake, FPR_ORDER);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_register(fake, 0);
	fake->hook = hook_set_delay;
	/* Until something is idle for long enough to be reported. */
	KUNIT_EXPECT_TRUE(test, fpr_poll((fpr_calm(fake), fpr_pass(fake), !fake->hook)));
	fpr_expect_wait(test, &fake->prdev.work.timer, FPR_QUIET_MS);
	fpr_put_pair(&fake->pairs[0]);
}

/* B2: A shorter delay does not shorten the wait after an error. */
static void new_delay_does_not_hurry_a_retry(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_register(fake, 0);
	fake->err = -EIO;
	fpr_pass(fake);
	fpr_expect_wait(test, timer, FPR_DELAY_MS);
	fpr_set_delay(fake, 0);
	fpr_expect_wait(test, timer, FPR_DELAY_MS);
}

/* B2: But if this wait was an hour, as the delay was, it becomes a minute. */
static void new_delay_ends_a_long_retry(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	fpr_set_delay(fake, 3600 * MSEC_PER_SEC);
	fpr_register(fake, 0);
	fake->err = -EIO;
	fpr_pass(fake);
	fpr_expect_wait(test, timer, 3600 * MSEC_PER_SEC);
	fpr_set_delay(fake, 0);
	fpr_expect_wait(test, timer, 60 * MSEC_PER_SEC);
}

/* B2: That wait is over after a retry without an error, even if it reported nothing. */
static void new_delay_counts_after_a_retry_without_an_error(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_report_all(fake);
	fpr_free_past_lists(page);
	fake->err = -EIO;
	fpr_pass(fake);
	fake->err = 0;
	fpr_starve(fake, page_zone(page));
	fpr_pass(fake);
	/* The next error is not a new one. */
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_errors());
	fpr_request();
	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_expect_wait(test, &fake->prdev.work.timer, FPR_DELAY_MS);
	fpr_feed(fake);
}

/* B2: Nor does it shorten the wait until the device takes reports. */
static void new_delay_does_not_hurry_the_first_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	const struct timer_list *timer = &fake->prdev.work.timer;

	fpr_register(fake, 0);
	fpr_request();
	fpr_engine_live_in(FPR_DELAY_MS);
	fpr_set_delay(fake, 0);
	fpr_expect_wait(test, timer, FPR_DELAY_MS);
}

/* hv_balloon warns if a block is smaller than the order in effect. */
static void hook_raise_order(struct fpr_fake *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	fpr_set_order(fake, 7);
	fpr_expect_order(fake, FPR_ORDER, 7);
	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_GE(fake->test, sg->length,
				PAGE_SIZE << page_reporting_order);
}

/* H7 */
static void order_is_held_during_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, small = 0;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_raise_order;
	fpr_pass(fake);
	fpr_expect_order(fake, FPR_ORDER, 7);
	for (i = 0; i < fake->nr_blocks; i++)
		small += fake->blocks[i].order < 7;
	KUNIT_EXPECT_NE_MSG(test, 0, small, "no block shows the difference");

	fake->hook = NULL;
	fpr_forget(fake);
	fpr_report_all(fake);
	fpr_expect_order(fake, 7, 7);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 7);
}

static void hook_lower_order(struct fpr_fake *fake, struct scatterlist *sg,
			     unsigned int nents)
{
	fpr_set_order(fake, FPR_ORDER);
	fpr_expect_order(fake, 9, FPR_ORDER);
}

/* H7 */
static void lower_order_starts_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, small = 0;
	struct page *page;

	fpr_set_order(fake, 9);
	fpr_register(fake, 0);
	fpr_report_all(fake);

	/* No more than one pass takes, so it has no other reason for another pass. */
	page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_past_lists(page);
	fpr_calm(fake);
	fpr_forget(fake);
	fake->hook = hook_lower_order;
	fpr_pass(fake);
	KUNIT_ASSERT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 9);
	fpr_expect_order(fake, 9, FPR_ORDER);
	fpr_expect_requested(fake);

	fake->hook = NULL;
	fpr_report_all(fake);
	fpr_expect_order(fake, FPR_ORDER, FPR_ORDER);
	for (i = 0; i < fake->nr_blocks; i++)
		small += fake->blocks[i].order < 9;
	KUNIT_EXPECT_NE(test, 0, small);
}

/* H7 */
static void higher_order_drops_nothing(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	unsigned long marked;
	int tries = 5;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fpr_unreported(zone, 9));
	marked = fpr_marked();

	/* Neither the request nor the marks are lost. */
	fpr_set_order(fake, 9);
	fpr_expect_requested(fake);
	KUNIT_EXPECT_GT(test, fpr_marked(), marked / 2);
	do {
		fpr_report_all(fake);
	} while (fpr_unreported(zone, 9) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* hv_balloon does this when its host refuses small blocks. */
static void hook_set_live_order(struct fpr_fake *fake,
				struct scatterlist *sg, unsigned int nents)
{
	page_reporting_order = 9;
	fake->err = -EINVAL;
}

/* H7 */
static void driver_may_set_the_order(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_set_live_order;
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fpr_expect_order(fake, 9, 9);

	fake->hook = NULL;
	fake->err = 0;
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	for (i = 0; i < fake->nr_blocks; i++)
		KUNIT_EXPECT_GE(test, fake->blocks[i].order, 9);
}

static struct kunit_case page_reporting_params_cases[] = {
	KUNIT_CASE(order_takes_0_to_max),
	KUNIT_CASE_PARAM(order_refuses_anything_else, bad_order_gen_params),
	KUNIT_CASE(order_reads_minus_one_until_set),
	KUNIT_CASE_PARAM(user_beats_driver_beats_pageblock,
			 unspecified_gen_params),
	KUNIT_CASE(order_can_be_unset),
	KUNIT_CASE(restored_order_is_no_choice),
	KUNIT_CASE(order_change_asks_for_a_pass),
	KUNIT_CASE_PARAM(delay_refuses_anything_else, bad_delay_gen_params),
	KUNIT_CASE(delay_takes_0_to_an_hour),
	KUNIT_CASE(delay_beyond_an_hour_is_an_hour),
	KUNIT_CASE(driver_asks_for_order_0),
	KUNIT_CASE(order_may_be_unspecified),
	KUNIT_CASE(new_delay_rearms_the_pass),
	KUNIT_CASE(new_delay_asks_for_a_pass),
	KUNIT_CASE(new_delay_counts_from_the_end_of_a_pass),
	KUNIT_CASE(new_delay_does_not_hurry_a_retry),
	KUNIT_CASE(new_delay_ends_a_long_retry),
	KUNIT_CASE(new_delay_counts_after_a_retry_without_an_error),
	KUNIT_CASE(new_delay_does_not_hurry_the_first_pass),
	KUNIT_CASE(order_is_held_during_a_pass),
	KUNIT_CASE(lower_order_starts_a_pass),
	KUNIT_CASE(higher_order_drops_nothing),
	KUNIT_CASE(driver_may_set_the_order),
	{}
};

static struct kunit_suite page_reporting_params_suite =
	FPR_SUITE("params", page_reporting_params_cases);

kunit_test_suite(page_reporting_params_suite);
