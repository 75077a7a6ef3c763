/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the KUnit suites need of the engine's internals.
 *
 * Included at the end of mm/page_reporting.c. No test is here, and no test uses
 * a static function or a private field of the engine in another way.
 */

#include "page_reporting_kunit.h"

const struct fpr_engine_limits fpr_engine_limits = {
	.passes = PAGE_REPORTING_PASSES,
	.steps = PAGE_REPORTING_STEPS,
	.pages_per_step = PAGE_REPORTING_PAGES_PER_STEP,
};

/**
 * fpr_engine_forget_user - make the order one that the user has not set
 * @saved: for fpr_engine_restore()
 *
 * Without a device.
 */
void fpr_engine_forget_user(struct fpr_engine_saved *saved)
{
	saved->from_user = page_reporting_order_from_user;
	saved->order = page_reporting_order;
	page_reporting_order_from_user = false;
	page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
}

/**
 * fpr_engine_restore - bring back the order that the user had set, if any
 * @saved: of fpr_engine_forget_user()
 */
void fpr_engine_restore(const struct fpr_engine_saved *saved)
{
	page_reporting_order_from_user = saved->from_user;
	page_reporting_order = saved->order;
}

/**
 * fpr_engine_capacity - blocks that a batch for a device may have
 * @prdev: a registered device
 *
 * Return: the number of blocks.
 */
unsigned int fpr_engine_capacity(const struct page_reporting_dev_info *prdev)
{
	return prdev->sgl_nents;
}

/**
 * fpr_engine_live_in - say when a device takes reports
 * @prdev: a registered device
 * @ms: from now on, in ms; 0 if it takes them now
 */
void fpr_engine_live_in(struct page_reporting_dev_info *prdev, unsigned int ms)
{
	prdev->ready_at = ms ? get_jiffies_64() + msecs_to_jiffies(ms) : 0;
}

/**
 * fpr_engine_errors - how many steps the wait after an error has grown
 * @prdev: a registered device
 *
 * Return: the number of steps; 0 if there was no error.
 */
unsigned int fpr_engine_errors(const struct page_reporting_dev_info *prdev)
{
	return prdev->errors;
}

/**
 * fpr_engine_retries - how often something was put off in a row
 * @prdev: a registered device
 *
 * Return: the number of times; 0 if nothing is.
 */
unsigned int fpr_engine_retries(const struct page_reporting_dev_info *prdev)
{
	return prdev->retries;
}

/**
 * fpr_engine_retry - the timer for what was put off, and for pacing
 * @prdev: a registered device, or one that was
 *
 * Return: the timer; its function asks for a pass.
 */
struct timer_list *fpr_engine_retry(struct page_reporting_dev_info *prdev)
{
	return &prdev->retry;
}

/**
 * fpr_engine_pm - let the engine believe that the system sleeps or wakes up
 * @event: a PM event, such as PM_SUSPEND_PREPARE
 */
void fpr_engine_pm(unsigned long event)
{
	page_reporting_pm_notify(NULL, event, NULL);
}

/**
 * fpr_engine_stub_refuse - no warning when report() unregisters the device
 * @test: the test, with which the stub ends
 * @stub: called instead
 */
void fpr_engine_stub_refuse(struct kunit *test, void (*stub)(void *caller))
{
	__kunit_activate_static_stub(test, page_reporting_refuse, stub);
}

/**
 * fpr_engine_decide - the policy of a fixed delay
 * @state: a zone
 *
 * Return: what to report of it.
 */
struct fpr_decision fpr_engine_decide(const struct fpr_zone_state *state)
{
	struct page_reporting_snapshot snap = {
		.free_pages = state->free_pages,
		.unaccepted_pages = state->unaccepted_pages,
		.managed_pages = state->managed_pages,
		.low_wmark = state->low_wmark,
		.nr_free = state->nr_free,
		.order = state->order,
		.capacity = state->capacity,
		.delay_ms = state->delay_ms,
	};
	struct page_reporting_plan plan = page_reporting_decide(&snap);

	return (struct fpr_decision) {
		.budget = plan.budget,
		.room = plan.room,
		.delay_ms = plan.delay_ms,
		.put_off = plan.put_off,
	};
}

/**
 * fpr_engine_backoff - the wait after a failure
 * @delay_ms: the delay that the user set, in ms
 * @before: failures in a row before this one
 *
 * Return: the wait, in ms.
 */
unsigned int fpr_engine_backoff(unsigned int delay_ms, unsigned int before)
{
	return page_reporting_backoff(delay_ms, before);
}

/**
 * fpr_engine_paced_budget - blocks that a list may report when pacing decides
 * @granted: pages in large blocks that pacing lets go
 * @allowed: blocks that the cap on CPU time lets go
 * @order: the order of the list
 *
 * Return: the number of blocks.
 */
unsigned long fpr_engine_paced_budget(u64 granted, u64 allowed,
				      unsigned int order)
{
	struct page_reporting_pass pass = {
		.grant = { [PAGE_REPORTING_LARGE] = granted },
		.allowed = allowed,
	};

	return page_reporting_paced_budget(&pass, order);
}

/**
 * fpr_engine_debt_ns - CPU time that pacing has spent and may not spend again
 *
 * Return: the time, in ns.
 */
u64 fpr_engine_debt_ns(void)
{
	return page_reporting_cap.debt_ns;
}

/**
 * fpr_engine_set_mark - mark a page as reported
 * @page: the page
 */
void fpr_engine_set_mark(struct page *page)
{
	__page_reporting_set_flag(page);
}

/**
 * fpr_engine_clear_mark - clear the mark of a page
 * @page: the page
 */
void fpr_engine_clear_mark(struct page *page)
{
	__page_reporting_clear_flag(page);
}

/**
 * fpr_engine_isolate - take a free block as a pass does
 * @zone: its zone
 * @page: its first page
 * @order: the order that it has to have
 *
 * Context: takes zone->lock.
 * Return: false if there is no such block.
 */
bool fpr_engine_isolate(struct zone *zone, struct page *page,
			unsigned int order)
{
	bool isolated;

	spin_lock_irq(&zone->lock);
	isolated = PageBuddy(page) && buddy_order(page) == order &&
		   __page_reporting_isolate(zone, page, order);
	spin_unlock_irq(&zone->lock);
	return isolated;
}

/**
 * fpr_engine_put_back - put an isolated block back as reported
 * @prdev: a registered device
 * @zone: the block's zone
 * @page: its first page
 * @order: its order
 *
 * Context: takes zone->lock.
 * Return: true if another pass has to follow.
 */
bool fpr_engine_put_back(struct page_reporting_dev_info *prdev,
			 struct zone *zone, struct page *page,
			 unsigned int order)
{
	struct page_reporting_pass pass = { .prdev = prdev, .zone = zone };

	spin_lock_irq(&zone->lock);
	__page_reporting_putback(&pass, page, order, true);
	__page_reporting_zone_back(zone, order, true, true);
	spin_unlock_irq(&zone->lock);
	return pass.more;
}

/**
 * fpr_engine_orders - the orders that a pass would look at in a zone
 * @prdev: a registered device
 * @zone: the zone
 * @order: the reporting order
 *
 * Context: takes zone->lock.
 * Return: a bit for each order.
 */
unsigned long fpr_engine_orders(struct page_reporting_dev_info *prdev,
				struct zone *zone, unsigned int order)
{
	struct page_reporting_pass pass = {
		.prdev = prdev, .zone = zone, .order = order,
	};
	unsigned long orders;

	spin_lock_irq(&zone->lock);
	orders = __page_reporting_orders(&pass);
	spin_unlock_irq(&zone->lock);
	return orders;
}

/**
 * fpr_engine_walk_pauses - walk a list of marked pages of order 0
 * @list: the list, of nobody else
 * @unreported: pages without a mark that the walk has to expect on it
 *
 * Return: true if the walk paused, false if it came to its end.
 */
bool fpr_engine_walk_pauses(struct list_head *list, unsigned long unreported)
{
	struct page_reporting_pass pass = {};
	unsigned long budget = 1;

	return __page_reporting_fill(&pass, list, 0, unreported, &budget) ==
	       PAGE_REPORTING_PAUSE;
}

/**
 * fpr_engine_fill_pauses - fill a batch from one list, and put it back
 * @prdev: a registered device
 * @zone: the zone
 * @order: the order of the list, and the reporting order
 * @mt: the type of the list
 * @nents: out: blocks in the batch
 *
 * Context: takes zone->lock.
 * Return: true if the walk paused before the batch was full.
 */
bool fpr_engine_fill_pauses(struct page_reporting_dev_info *prdev,
			    struct zone *zone, unsigned int order, int mt,
			    unsigned int *nents)
{
	struct page_reporting_pass pass = {
		.prdev = prdev, .zone = zone, .order = order,
		.limit = prdev->sgl_nents,
	};
	enum page_reporting_stop stop;
	unsigned long taken = 0;

	page_reporting_reset_batch(&pass);
	stop = page_reporting_fill(&pass, order, mt, &taken);
	*nents = pass.nents;
	page_reporting_drain(&pass, false);
	return stop == PAGE_REPORTING_PAUSE;
}
