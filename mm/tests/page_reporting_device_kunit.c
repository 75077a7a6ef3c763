// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: the device. Registration, the three
 * states, when a pass runs, errors and sleep.
 */

#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/cpumask.h>
#include <linux/debug_locks.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/suspend.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#ifdef CONFIG_X86_LOCAL_APIC
#include <asm/apic.h>
#include <asm/nmi.h>
#endif

#include "../internal.h"
#include "../page_alloc.h"
#include "../shuffle.h"
#include "page_reporting_kunit.h"

/* In the kernel log */
#define REFUSED		"a report failed with error"
#define OVERDUE		"has not returned from a report"
/* As if a minute. */
#define OVERDUE_MS	200U

/* Of another driver; it is never called. */
static int report_of_second(struct page_reporting_dev_info *prdev,
			    struct scatterlist *sgl, unsigned int nents)
{
	return -EIO;
}

/* S2 */
static void second_device_is_busy(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page_reporting_dev_info *second;

	second = kunit_kzalloc(test, sizeof(*second), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, second);
	second->report = report_of_second;

	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(second));
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(&fake->prdev));

	/* Not its own registration to end. */
	page_reporting_unregister(second);
	KUNIT_EXPECT_PTR_EQ(test, &fpr_report,
			    page_reporting_get_status().report);

	fpr_unregister(fake);
	KUNIT_EXPECT_FALSE(test, fpr_slot_is_taken());
	KUNIT_EXPECT_EQ(test, 0, page_reporting_register(second));
	page_reporting_unregister(second);
}

/* S4 */
static void request_queues_once_after_the_delay(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct timer_list *timer = &fake->prdev.work.timer;
	unsigned long before, after, expires;
	int i;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_set_delay(fake, 2000);
	fpr_register(fake, 0);
	KUNIT_ASSERT_FALSE(test, delayed_work_pending(&fake->prdev.work));

	before = jiffies;
	fpr_request();
	after = jiffies;
	expires = timer->expires;
	fpr_expect_requested(fake);
	KUNIT_EXPECT_GE(test, expires, before + 2 * HZ);
	KUNIT_EXPECT_LE(test, expires, after + 2 * HZ);

	/* Let time pass, so that a second queueing would show. */
	KUNIT_EXPECT_TRUE(test, fpr_poll(time_after(jiffies, after + 2)));
	for (i = 0; i < 1000; i++)
		fpr_request();
	KUNIT_EXPECT_EQ(test, expires, timer->expires);
	fpr_calm(fake);
}

/* S4 */
static void request_in_requested_does_not_queue(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	atomic_set(&fake->prdev.state, PAGE_REPORTING_REQUESTED);
	fpr_request();
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&fake->prdev.work));
}

/* S5: What is due later than the delay of a request comes with it, and not twice. */
static void request_brings_a_due_pass_forward(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct timer_list *timer = &fake->prdev.work.timer;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_register(fake, 0);
	mod_delayed_work(system_freezable_wq, &fake->prdev.work,
			 msecs_to_jiffies(FPR_QUIET_MS));
	fpr_request();
	fpr_expect_wait(test, timer, FPR_DELAY_MS);

	/* What is due sooner stays as it is. */
	fpr_calm(fake);
	mod_delayed_work(system_freezable_wq, &fake->prdev.work,
			 msecs_to_jiffies(FPR_DELAY_MS / 2));
	fpr_request();
	fpr_expect_wait(test, timer, FPR_DELAY_MS / 2);
}

/* S4: Whoever frees may hold any lock, those of timers and of workqueues too. */
static void free_takes_no_lock_of_the_workqueue(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int state, queued;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	fpr_calm(fake);
	local_irq_disable();
	__page_reporting_notify();
	state = fpr_state(fake);
	queued = delayed_work_pending(&fake->prdev.work);
	local_irq_enable();
	KUNIT_EXPECT_EQ(test, PAGE_REPORTING_REQUESTED, state);
	KUNIT_EXPECT_FALSE(test, queued);
	fpr_expect_requested(fake);
}

static void request_in_irq(struct irq_work *work)
{
	__page_reporting_notify();
}

/* S4: A driver's interrupt frees what it has received. */
static void request_in_an_interrupt(struct kunit *test)
{
	struct irq_work work = IRQ_WORK_INIT_HARD(request_in_irq);
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	irq_work_queue(&work);
	irq_work_sync(&work);
	fpr_expect_requested(fake);
}

#ifdef CONFIG_X86_LOCAL_APIC
static bool nmi_came;

static int request_in_nmi(unsigned int val, struct pt_regs *regs)
{
	if (READ_ONCE(nmi_came))
		return NMI_DONE;
	__page_reporting_notify();
	WRITE_ONCE(nmi_came, true);
	return NMI_HANDLED;
}

static void end_nmi(void *unused)
{
	unregister_nmi_handler(NMI_LOCAL, "page_reporting_kunit");
}

/*
 * S4: What frees in an NMI holds the zone->lock that it got by a trylock. The case
 * is the last one: where it fails, lockdep has said so and is off afterwards.
 */
static void request_in_an_nmi(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int checked = debug_locks;

	fpr_register(fake, 0);
	nmi_came = false;
	KUNIT_ASSERT_EQ(test, 0,
			register_nmi_handler(NMI_LOCAL, request_in_nmi, 0,
					     "page_reporting_kunit"));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, end_nmi, NULL));
	apic->send_IPI_mask(cpumask_of(raw_smp_processor_id()), NMI_VECTOR);
	if (!fpr_poll(READ_ONCE(nmi_came)))
		kunit_skip(test, "no NMI came");
	KUNIT_EXPECT_EQ(test, checked, debug_locks);
	fpr_expect_requested(fake);
}
#else
static void request_in_an_nmi(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_X86_LOCAL_APIC");
}
#endif

/* S4 */
static void first_pass_waits_for_the_device(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long before = jiffies;

	fpr_set_delay(fake, 0);
	fpr_register_unready(fake, 0);
	fpr_request();
	KUNIT_EXPECT_GE(test, fake->prdev.work.timer.expires, before + 2 * HZ);
	fpr_calm(fake);
}

static void hook_see_active(struct fpr_fake *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	int state = fpr_state(fake);

	/* A free elsewhere may have asked for one more. */
	KUNIT_EXPECT_NE(fake->test, PAGE_REPORTING_IDLE, state);
	fake->active |= state == PAGE_REPORTING_ACTIVE;
}

/* S5 */
static void pass_is_active_then_idle(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fake->hook = hook_see_active;
	fpr_report_all(fake);
	KUNIT_ASSERT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_TRUE(test, fake->active);

	do {
		fpr_pass(fake);
	} while (!fpr_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

static void hook_request(struct fpr_fake *fake, struct scatterlist *sg,
			 unsigned int nents)
{
	fpr_request();
	/* Not now: the pass that runs will do it at its end. */
	KUNIT_EXPECT_FALSE(fake->test, delayed_work_pending(&fake->prdev.work));
}

/* S5 */
static void request_during_a_pass_queues_another(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);

	/* Something to report, and little enough for one pass. */
	page = fpr_alloc(fake, GFP_KERNEL, FPR_ORDER);
	fpr_free(page);
	fpr_calm(fake);
	fpr_forget(fake);
	fake->hook = hook_request;
	fpr_pass(fake);
	KUNIT_ASSERT_NE(test, 0, fake->calls);
	fpr_expect_requested(fake);
}

/* S15 */
static void unregister_ends_the_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 1);
	fake->hook = fpr_hook_wait;
	fpr_start_worker(fake);
	fpr_unregister_in_thread(fake);
	complete_all(&fake->told);
	fpr_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
}

static int churn_fn(void *unused)
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

/* S15 */
static void register_and_unregister_under_load(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, calls, reporting = 0;

	fpr_run_thread(fake, churn_fn, NULL);

	fpr_set_order(fake, FPR_ORDER);
	fpr_set_delay(fake, 0);
	for (i = 0; i < 1000; i++) {
		fpr_register_unready(fake, 0);
		/* Let it end before, in the middle of, and after a pass. */
		mod_delayed_work(system_freezable_wq, &fake->prdev.work, 0);
		if (i % 4)
			usleep_range(50 * (i % 4), 400 * (i % 4));
		fpr_unregister(fake);

		/* Any call from here on is a jump to nowhere. */
		fake->prdev.report = NULL;
		calls = fake->calls;
		reporting += !!calls;
		KUNIT_EXPECT_FALSE(test,
				   delayed_work_pending(&fake->prdev.work));
		KUNIT_EXPECT_EQ(test, calls, READ_ONCE(fake->calls));
		if (i % 100 == 99)
			KUNIT_EXPECT_EQ(test, 0, fpr_marked());
	}
	KUNIT_EXPECT_NE_MSG(test, 0, reporting, "no pass ever ran");
}

/* S15 */
static void unregister_leaves_no_mark(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fpr_marked());
	fpr_unregister(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
}

struct backoff {
	unsigned int delay_ms;
	unsigned int before;
	unsigned int wait_ms;
};

static const struct backoff backoffs[] = {
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

static void describe_backoff(const struct backoff *backoff, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "delay %u ms, %u failures before",
		 backoff->delay_ms, backoff->before);
}

KUNIT_ARRAY_PARAM(backoff, backoffs, describe_backoff);

/* B1 */
static void wait_grows_to_a_minute(struct kunit *test)
{
	const struct backoff *backoff = test->param_value;

	KUNIT_EXPECT_EQ(test, backoff->wait_ms,
			fpr_engine_backoff(backoff->delay_ms, backoff->before));
}

/* A pass that fails, and what it leaves behind. */
static void expect_failure(struct fpr_fake *fake, unsigned int nents,
			   unsigned int wait_ms)
{
	struct timer_list *timer = &fake->prdev.work.timer;
	struct kunit *test = fake->test;
	unsigned long expires;

	fake->err = -EIO;
	fpr_forget(fake);
	fpr_pass(fake);
	/* The next batch would fare no better, unless this was a single block. */
	if (nents > 1)
		KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_GE(test, fake->calls, 1);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, fake->calls * nents);
	fpr_expect_requested(fake);
	fpr_expect_wait(test, timer, wait_ms);

	/* No flood of frees hastens it. */
	expires = timer->expires;
	fpr_request();
	KUNIT_EXPECT_EQ(test, expires, timer->expires);
	fake->err = 0;
}

/* B1 */
static void error_is_retried_less_and_less_often(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	expect_failure(fake, 32, 20000);
	expect_failure(fake, 8, 40000);
	expect_failure(fake, 2, 60000);
	expect_failure(fake, 1, 60000);
	expect_failure(fake, 1, 60000);

	/* Back to normal after the first success. */
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_LE(test, fpr_wait_of(&fake->prdev.work.timer), 20000);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_errors());
	expect_failure(fake, 32, 20000);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
}

static void hook_serve_one(struct fpr_fake *fake, struct scatterlist *sg,
			   unsigned int nents)
{
	fake->err = fake->calls > 1 ? -EIO : 0;
}

/* B1: A night of errors is made up for as fast as half an hour of them. */
static void many_errors_count_as_a_few(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int i;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fake->err = -EIO;
	for (i = 0; i < 40; i++)
		fpr_pass(fake);
	fpr_expect_wait(test, &fake->prdev.work.timer, 60000);
	fake->hook = hook_serve_one;
	for (i = 0; i < 10; i++) {
		fpr_forget(fake);
		fpr_pass(fake);
	}
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_errors());
	fpr_expect_wait(test, &fake->prdev.work.timer, FPR_DELAY_MS);
}

/* A pass of which the first report is taken, and the second one is not. */
static void expect_half_served(struct fpr_fake *fake, unsigned int wait_ms)
{
	fake->hook = hook_serve_one;
	fpr_forget(fake);
	fpr_pass(fake);
	fake->hook = NULL;
	KUNIT_EXPECT_EQ(fake->test, 2, fake->calls);
	fpr_expect_wait(fake->test, &fake->prdev.work.timer, wait_ms);
}

/* B1 */
static void partial_success_is_one_step_back(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	expect_failure(fake, 32, 20000);
	expect_failure(fake, 8, 40000);
	expect_failure(fake, 2, 60000);
	expect_half_served(fake, 40000);
	expect_half_served(fake, 20000);
	expect_half_served(fake, 20000);
	expect_failure(fake, 8, 40000);
}

static void hook_refuse_one(struct fpr_fake *fake, struct scatterlist *sgl,
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

/* B1 */
static void refused_block_holds_up_no_other(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int passes = FPR_MAX_PASSES;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fake->hook = hook_refuse_one;
	while (fpr_unreported_in_all(FPR_ORDER) > 1 && --passes)
		fpr_pass(fake);
	KUNIT_EXPECT_NE_MSG(test, 0, passes, "%lu blocks not reported",
			    fpr_unreported_in_all(FPR_ORDER));
	KUNIT_EXPECT_GT(test, fake->refusals, 1);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
	fpr_expect_sound(test);
}

static void hook_refuse_all(struct fpr_fake *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	fake->err = -EIO;
}

/* Lists of a zone that have blocks to report, with a bit for each order and type. */
static unsigned long lists_of(struct fpr_fake *fake, unsigned int pass,
			      unsigned int *most)
{
	unsigned int nr[NR_PAGE_ORDERS * MIGRATE_TYPES] = {};
	const struct fpr_block *block;
	unsigned int i, list, lists = 0;

	*most = 0;
	for (i = 0; i < fake->nr_blocks; i++) {
		block = &fake->blocks[i];
		if (block->pass != pass || block->zone != fpr_largest_zone())
			continue;
		list = block->order * MIGRATE_TYPES + block->mt;
		lists += !nr[list]++;
		*most = max(*most, nr[list]);
	}
	return lists;
}

/*
 * B1: A host may refuse a block for ever. Once batches are down to one block, each
 * list has its turn in the same pass: at its beginning and then behind that.
 */
static void refused_block_holds_up_no_other_list(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int most;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_refuse_all;
	fpr_pass(fake);
	KUNIT_EXPECT_GT(test, lists_of(fake, fake->passes, &most), 1);
	KUNIT_EXPECT_LE(test, most, 2);
	/* It is an error still: the next pass comes after the wait for one. */
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_errors());
	fpr_expect_requested(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
}

static unsigned int messages(const char *about)
{
	struct kmsg_dump_iter iter;
	unsigned int nr = 0;
	char line[160];
	size_t len;

	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, sizeof(line) - 1, &len)) {
		line[len] = '\0';
		nr += !!strstr(line, about);
	}
	return nr;
}

/* B1 */
static void error_is_named_once(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, before = messages(REFUSED);

	if (!IS_ENABLED(CONFIG_PRINTK))
		kunit_skip(test, "needs CONFIG_PRINTK");

	fpr_register(fake, 1);
	fake->err = -EIO;
	for (i = 0; i < 5; i++)
		fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, before + 1, messages(REFUSED));

	/* A new series is news. */
	fake->err = 0;
	fpr_pass(fake);
	fake->err = -EIO;
	fpr_pass(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, before + 2, messages(REFUSED));
}

static unsigned int stub_overdue(void)
{
	return OVERDUE_MS;
}

/* The host answers after the log has named it, and some time later. */
static void hook_be_overdue(struct fpr_fake *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	unsigned int before = messages(OVERDUE), age_ms;

	fake->hook = NULL;
	KUNIT_EXPECT_TRUE(fake->test, fpr_poll(messages(OVERDUE) > before));
	age_ms = page_reporting_report_age_ms();
	KUNIT_EXPECT_GE(fake->test, age_ms, OVERDUE_MS);
	msleep(3 * OVERDUE_MS);
	KUNIT_EXPECT_GE(fake->test, page_reporting_report_age_ms(),
			age_ms + 2 * OVERDUE_MS);
}

/* B18 */
static void silent_host_is_named_once(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int before = messages(OVERDUE);

	if (!IS_ENABLED(CONFIG_PRINTK))
		kunit_skip(test, "needs CONFIG_PRINTK");

	fpr_engine_stub_overdue(test, stub_overdue);
	fpr_register(fake, 1);
	fake->hook = hook_be_overdue;
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, before + 1, messages(OVERDUE));
	KUNIT_EXPECT_GT(test, fake->calls, 1);

	/* It has answered: what runs on after this is not a report. */
	KUNIT_EXPECT_EQ(test, 0, page_reporting_report_age_ms());
	msleep(3 * OVERDUE_MS);
	KUNIT_EXPECT_EQ(test, before + 1, messages(OVERDUE));
}

static void hook_see_age(struct fpr_fake *fake, struct scatterlist *sg,
			 unsigned int nents)
{
	/* Never 0, however quick the host is. */
	KUNIT_EXPECT_GT(fake->test, page_reporting_report_age_ms(), 0);
}

/* B18 */
static void age_is_that_of_the_report(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_report_age_ms());
	fake->hook = hook_see_age;
	fpr_pass(fake);
	KUNIT_EXPECT_GT(test, fake->calls, 0);
	KUNIT_EXPECT_EQ(test, 0, page_reporting_report_age_ms());
}

static void hook_fail_five_times(struct fpr_fake *fake,
				 struct scatterlist *sg, unsigned int nents)
{
	fake->err = fake->calls <= 5 ? -EIO : 0;
}

/* B1: No pass by hand, and no free: the engine has to come back by itself. */
static void all_is_reported_after_the_last_error(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, 0);
	fpr_register(fake, 0);
	fake->hook = hook_fail_five_times;
	fpr_request();
	KUNIT_EXPECT_TRUE(test,
			  fpr_poll(!fpr_unreported(zone, pageblock_order)));
	fake->hook = NULL;
	KUNIT_EXPECT_GT(test, fake->calls, 5);
}

/* A pass over a zone that is short of memory, and the wait for the next. */
static void expect_put_off(struct fpr_fake *fake, unsigned int wait_ms)
{
	int tries = 10;

	/* Others free in the other zones, and that has no reason to wait. */
	do {
		fpr_forget(fake);
		fpr_pass(fake);
	} while (fpr_state(fake) != PAGE_REPORTING_IDLE && --tries);
	KUNIT_EXPECT_NE(fake->test, 0, tries);
	fpr_expect_wait(fake->test, &fake->prdev.work.timer, wait_ms);
}

/* B1 */
static void short_zone_is_tried_again(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_register(fake, 1);
	fpr_starve(fake, fpr_largest_zone());
	fpr_report_all(fake);
	fpr_engine_forget_retries();
	expect_put_off(fake, 20000);
	expect_put_off(fake, 40000);
	expect_put_off(fake, 60000);
	expect_put_off(fake, 60000);

	/* A free is served as ever. */
	fpr_request();
	fpr_expect_requested(fake);
	KUNIT_EXPECT_LE(test, fpr_wait_of(&fake->prdev.work.timer), 20000);

	fpr_feed(fake);
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_retries());
}

/* B1 */
static void guest_with_all_reported_is_quiet(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_register(fake, 1);
	do {
		fpr_report_all(fake);
	} while (!fpr_is_quiet(fake) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* B1: No pass follows to find that there is nothing left to do. */
static void last_pass_is_followed_by_none(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;
	int tries = 10;

	fpr_register(fake, 0);
	do {
		fpr_report_all(fake);
		page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
		fpr_free_past_lists(page);
		fpr_forget(fake);
		fpr_pass(fake);
	} while ((!fake->nr_blocks || !fpr_is_quiet(fake)) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
}

static void hook_free_neighbour_silently(struct fpr_fake *fake,
					 struct scatterlist *sgl,
					 unsigned int nents)
{
	fpr_hook_free_neighbour(fake, sgl, nents);
	/* As when compaction puts it back, which tells nobody. */
	atomic_set(&fake->prdev.state, PAGE_REPORTING_ACTIVE);
}

/* B1: Where the walk comes by last, so that nothing but the next pass can find it. */
static void merge_asks_for_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_pair *pair = &fake->pairs[0];

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_get_pair(fake, pair, GFP_KERNEL);
	fpr_fill(fake, GFP_KERNEL, FPR_FILL);
	fpr_free_odd(fake, FPR_FILL);
	fpr_report_all(fake);

	fake->watch = pair->lo;
	fpr_put(&pair->lo);
	fpr_move_to_tail(fake->watch, FPR_ORDER);
	fake->hook = hook_free_neighbour_silently;
	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_NULL(test, pair->hi);
	fpr_expect_requested(fake);
}

/* While one of two is away, the other is split for an allocation. */
static void hook_split_the_other(struct fpr_fake *fake,
				 struct scatterlist *sgl, unsigned int nents)
{
	fake->hook = NULL;
	fpr_split_largest(fake, FPR_ORDER);
}

/* B1: What is left of it is on other lists: this pass finds it, or the next one. */
static void split_is_not_lost(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *one, *other;

	if (is_shuffle_order(MAX_PAGE_ORDER))
		kunit_skip(test, "what was freed last is not split first");
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fpr_report_all(fake);
	one = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	other = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
	fpr_free_past_lists(one);
	fpr_free_past_lists(other);

	fake->hook = hook_split_the_other;
	fpr_pass(fake);
	KUNIT_EXPECT_FALSE(test, list_empty(&fake->allocated));
	if (fpr_unreported_in_all(FPR_ORDER))
		KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));
}

/*
 * B1: Half of a block of the highest order is isolated, and comes back to the
 * other half: a block that can be reported, where there was none before.
 */
static void end_of_isolation_asks_for_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_need_isolation(test);
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	page = fpr_isolate_pageblock(fake);
	fpr_report_all(fake);
	fpr_calm(fake);
	fpr_unisolate(fake, page);
	fpr_expect_requested(fake);
}

/* B1: No free tells when such a block is an ordinary one again. */
static void isolated_block_is_tried_again(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_need_isolation(test);
	fpr_register(fake, 1);
	page = fpr_isolate_pageblock(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_GT(test, fpr_engine_retries(), 0);
	KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));
	fpr_unisolate(fake, page);

	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_retries());
}

/* B9 */
static void second_device_is_told_everything(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int first;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	first = fake->nr_blocks;
	fpr_unregister(fake);

	fake->prdev = (struct page_reporting_dev_info) {
		.order = PAGE_REPORTING_ORDER_UNSPECIFIED,
	};
	fpr_register(fake, 0);
	fpr_report_all(fake);
	/* The rest of the machine takes and splits some. */
	KUNIT_EXPECT_GT(test, fake->nr_blocks, first / 2);
}

static bool goes_down;

static bool stub_going_down(void)
{
	return goes_down;
}

static void forget_device(void *unused)
{
	goes_down = false;
	fpr_engine_forget_device();
}

/* B17: A sweep would hold up the end of a large guest, for nothing. */
static void shutdown_leaves_the_marks(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long marked;

	fpr_engine_stub_going_down(test, stub_going_down);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	marked = fpr_marked();
	KUNIT_ASSERT_NE(test, 0, marked);

	goes_down = true;
	fpr_unregister(fake);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, forget_device, NULL));
	KUNIT_EXPECT_FALSE(test, fpr_slot_is_taken());
	/* Others take some of it, which clears the mark. */
	KUNIT_EXPECT_GT(test, fpr_marked(), marked / 2);
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&page_reporting_enabled));
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(&fake->prdev));

	kunit_release_action(test, forget_device, NULL);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&page_reporting_enabled));
}

static void hook_go_down(struct fpr_fake *fake, struct scatterlist *sgl,
			 unsigned int nents)
{
	goes_down = true;
}

static void stay_up(void *unused)
{
	goes_down = false;
}

/* B17: Devices that have stopped would answer with an error, or never. */
static void shutdown_ends_the_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_engine_stub_going_down(test, stub_going_down);
	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stay_up, NULL));
	fake->hook = hook_go_down;
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);

	fpr_request();
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_errors());

	kunit_release_action(test, stay_up, NULL);
	fake->hook = NULL;
	fpr_request();
	fpr_pass(fake);
	KUNIT_EXPECT_GT(test, fake->calls, 1);
}

/* B9 */
static void sleep_ends_the_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long marked;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fake->hook = fpr_hook_sleep;
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);

	/* Nothing is reported before the system is awake. */
	fpr_request();
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fake->hook = NULL;
	fpr_calm(fake);
	marked = fpr_marked();

	fpr_engine_pm(PM_POST_SUSPEND);
	fpr_expect_requested(fake);
	/* The host has kept what it was given. Others take some of it. */
	KUNIT_EXPECT_GT(test, fpr_marked(), marked / 2);
	fpr_pass(fake);
	KUNIT_EXPECT_GT(test, fake->calls, 1);
}

struct wakeup {
	unsigned long event;
	const char *desc;
};

static const struct wakeup wakeups[] = {
	{ PM_POST_HIBERNATION, "after hibernation" },
	{ PM_POST_RESTORE, "after a restore that failed" },
};

KUNIT_ARRAY_PARAM_DESC(wakeup, wakeups, desc);

/* B9 */
static void hibernation_clears_all_marks(struct kunit *test)
{
	const struct wakeup *wakeup = test->param_value;
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_NE(test, 0, fpr_marked());
	fpr_calm(fake);

	fpr_engine_pm(PM_HIBERNATION_PREPARE);
	fpr_engine_pm(wakeup->event);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
	fpr_expect_requested(fake);
}

/* The host answers some time after unregistration has begun. */
static void hook_be_slow(struct fpr_fake *fake, struct scatterlist *sg,
			 unsigned int nents)
{
	complete(&fake->entered);
	KUNIT_EXPECT_TRUE(fake->test, fpr_poll(!fpr_slot_is_taken()));
	msleep(100);
}

/* B9 */
static void unregister_waits_for_a_slow_host(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_be_slow;
	fpr_start_worker(fake);
	fpr_unregister(fake);

	/* It came to its end, was the last one, and left nothing. */
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
	/* Neither queued nor running, or it would be waited for. */
	KUNIT_EXPECT_FALSE(test, flush_delayed_work(&fake->prdev.work));
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	fpr_expect_sound(test);
}

/* B9: Neither what was put off nor a free that came last brings the work back. */
static void unregister_ends_the_retries(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	bool comes_back;

	fpr_register(fake, 1);
	fpr_starve(fake, zone);
	fpr_report_all(fake);
	fpr_feed(fake);
	comes_back = fpr_comes_back(fake);
	/* On its way when the device goes. */
	local_irq_disable();
	__page_reporting_notify();
	local_irq_enable();
	fpr_unregister(fake);
	KUNIT_EXPECT_TRUE(test, comes_back);
	KUNIT_EXPECT_FALSE(test, fpr_comes_back(fake));

	/* Nor does one that comes too late. */
	fpr_request();
	KUNIT_EXPECT_FALSE(test, fpr_comes_back(fake));
}

/* H1 */
static void work_freezes_with_the_system(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fpr_request();
	KUNIT_EXPECT_PTR_EQ(test, system_freezable_wq, fake->prdev.work.wq);
}

/* H4 */
static void no_delay_is_no_busy_loop(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_set_delay(fake, 0);
	fpr_register(fake, 0);
	fake->err = -EIO;
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_errors());
	KUNIT_EXPECT_GT(test, fpr_wait_of(&fake->prdev.work.timer), 50);

	/* Nor is what is put off, once the other zones have nothing more. */
	fpr_set_delay(fake, FPR_QUIET_MS);
	fake->err = 0;
	fpr_starve(fake, zone);
	fpr_report_all(fake);
	fpr_engine_forget_retries();
	fpr_set_delay(fake, 0);
	do {
		fpr_pass(fake);
	} while (fpr_state(fake) != PAGE_REPORTING_IDLE && --tries);
	KUNIT_EXPECT_GT(test, fpr_wait_of(&fake->prdev.work.timer), 50);
	fpr_feed(fake);
	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_calm(fake);
}

/* Whoever wants memory, or a pass, or to look, need not wait for the host. */
static void expect_life_goes_on(struct fpr_fake *fake)
{
	struct page_reporting_dev_info second = { .report = report_of_second };
	struct kunit *test = fake->test;
	int order;

	for (order = 0; order <= pageblock_order; order++)
		KUNIT_EXPECT_NOT_NULL(test,
				      fpr_try_alloc(fake, GFP_KERNEL, order));
	fpr_free_all(fake);
	KUNIT_EXPECT_EQ(test, -EBUSY, page_reporting_register(&second));
	fpr_set_order(fake, 7);
	fpr_expect_order(fake, FPR_ORDER, 7);
	fpr_engine_pm(PM_HIBERNATION_PREPARE);
	fpr_engine_pm(PM_POST_HIBERNATION);
	fpr_expect_sound(test);
}

/* H12 */
static void host_that_does_not_answer(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 3);
	fake->hook = fpr_hook_wait;
	fpr_start_worker(fake);
	KUNIT_EXPECT_LE(test, fake->nr_blocks, 3);
	expect_life_goes_on(fake);

	fpr_unregister_in_thread(fake);
	KUNIT_EXPECT_EQ(test, 0,
			wait_for_completion_timeout(&fake->gone, HZ / 5));
	/* It returns after unregistration began, and is not called again. */
	complete_all(&fake->told);
	fpr_expect_gone(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->calls);
	KUNIT_EXPECT_EQ(test, 1, fake->returned);
	KUNIT_EXPECT_EQ(test, 0, fpr_marked());
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
}

static void hook_fail_every_third(struct fpr_fake *fake,
				  struct scatterlist *sg, unsigned int nents)
{
	fake->err = fake->calls % 3 ? 0 : -EIO;
}

/* H12 */
static void every_third_call_fails(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	int passes = FPR_MAX_PASSES;

	fpr_register(fake, 8);
	fake->hook = hook_fail_every_third;
	while (fpr_unreported(zone, pageblock_order) && --passes) {
		fpr_pass(fake);
		/* Whatever is left, somebody will come back for it. */
		if (fpr_unreported(zone, pageblock_order))
			KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));
		KUNIT_EXPECT_LE(test, fpr_engine_errors(), 1);
	}
	KUNIT_EXPECT_NE(test, 0, passes);
	KUNIT_EXPECT_GT(test, fake->calls, 3);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
}

/* In place of a warning, which would end the run. */
static void count_refusal(void *caller)
{
	struct fpr_fake *fake = kunit_get_current_test()->priv;

	fake->refusals++;
}

static void hook_unregister(struct fpr_fake *fake, struct scatterlist *sg,
			    unsigned int nents)
{
	struct page_reporting_dev_info second = { .report = report_of_second };

	page_reporting_unregister(&fake->prdev);
	KUNIT_EXPECT_PTR_EQ(fake->test, &fpr_report,
			    page_reporting_get_status().report);
	KUNIT_EXPECT_EQ(fake->test, -EBUSY, page_reporting_register(&second));
	fake->hook = NULL;
}

/* H13 */
static void callback_cannot_unregister(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_unregister;
	fpr_engine_stub_refuse(test, count_refusal);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fake->refusals);
	/* Nothing has changed, the pass went on. */
	KUNIT_EXPECT_GT(test, fake->calls, 1);
	KUNIT_EXPECT_NE(test, 0, fpr_marked());

	fpr_unregister(fake);
	KUNIT_EXPECT_FALSE(test, fpr_slot_is_taken());
}

static struct kunit_case page_reporting_device_cases[] = {
	KUNIT_CASE(second_device_is_busy),
	KUNIT_CASE(request_queues_once_after_the_delay),
	KUNIT_CASE(request_in_requested_does_not_queue),
	KUNIT_CASE(request_brings_a_due_pass_forward),
	KUNIT_CASE(free_takes_no_lock_of_the_workqueue),
	KUNIT_CASE(request_in_an_interrupt),
	KUNIT_CASE(first_pass_waits_for_the_device),
	KUNIT_CASE(pass_is_active_then_idle),
	KUNIT_CASE(request_during_a_pass_queues_another),
	KUNIT_CASE(unregister_ends_the_pass),
	KUNIT_CASE_SLOW(register_and_unregister_under_load),
	KUNIT_CASE(unregister_leaves_no_mark),
	KUNIT_CASE_PARAM(wait_grows_to_a_minute, backoff_gen_params),
	KUNIT_CASE(error_is_retried_less_and_less_often),
	KUNIT_CASE(partial_success_is_one_step_back),
	KUNIT_CASE(many_errors_count_as_a_few),
	KUNIT_CASE(refused_block_holds_up_no_other),
	KUNIT_CASE(refused_block_holds_up_no_other_list),
	KUNIT_CASE(error_is_named_once),
	KUNIT_CASE(silent_host_is_named_once),
	KUNIT_CASE(age_is_that_of_the_report),
	KUNIT_CASE_SLOW(all_is_reported_after_the_last_error),
	KUNIT_CASE(short_zone_is_tried_again),
	KUNIT_CASE(guest_with_all_reported_is_quiet),
	KUNIT_CASE(last_pass_is_followed_by_none),
	KUNIT_CASE(merge_asks_for_a_pass),
	KUNIT_CASE(split_is_not_lost),
	KUNIT_CASE(end_of_isolation_asks_for_a_pass),
	KUNIT_CASE(isolated_block_is_tried_again),
	KUNIT_CASE(second_device_is_told_everything),
	KUNIT_CASE(shutdown_leaves_the_marks),
	KUNIT_CASE(shutdown_ends_the_pass),
	KUNIT_CASE(sleep_ends_the_pass),
	KUNIT_CASE_PARAM(hibernation_clears_all_marks, wakeup_gen_params),
	KUNIT_CASE(unregister_waits_for_a_slow_host),
	KUNIT_CASE(unregister_ends_the_retries),
	KUNIT_CASE(work_freezes_with_the_system),
	KUNIT_CASE(no_delay_is_no_busy_loop),
	KUNIT_CASE(host_that_does_not_answer),
	KUNIT_CASE(every_third_call_fails),
	KUNIT_CASE(callback_cannot_unregister),
	KUNIT_CASE(request_in_an_nmi),
	{}
};

static struct kunit_suite page_reporting_device_suite =
	FPR_SUITE("device", page_reporting_device_cases);

kunit_test_suite(page_reporting_device_suite);
