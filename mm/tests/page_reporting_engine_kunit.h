/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the KUnit suites need of the device's internals.
 *
 * Included at the end of mm/page_reporting.c. No test is here, and no test uses
 * a static function or a private variable of that file in another way.
 */

#include "page_reporting_kunit.h"

/**
 * fpr_engine_forget_user - make the order one that the user has not set
 *
 * Without a device.
 *
 * Return: for fpr_engine_restore()
 */
unsigned int fpr_engine_forget_user(void)
{
	unsigned int order = page_reporting_user_order;

	fpr_engine_restore(PAGE_REPORTING_ORDER_UNSPECIFIED);
	return order;
}

/**
 * fpr_engine_restore - bring back the order that the user had set, if any
 * @order: of fpr_engine_forget_user()
 *
 * Without a device. What a driver has set is forgotten.
 */
void fpr_engine_restore(unsigned int order)
{
	page_reporting_user_order = order;
	page_reporting_last_order = order;
	page_reporting_order = order;
}

/**
 * fpr_engine_capacity - blocks that a batch for a device may have
 * @prdev: a registered device
 *
 * Return: the number of blocks of the order that is in effect.
 */
unsigned int fpr_engine_capacity(const struct page_reporting_dev_info *prdev)
{
	return page_reporting_capacity(prdev, page_reporting_order);
}

/**
 * fpr_engine_live_in - say when the device takes reports
 * @ms: from now on, in ms; 0 if it takes them now
 */
void fpr_engine_live_in(unsigned int ms)
{
	page_reporting_ready_at = ms ? get_jiffies_64() + msecs_to_jiffies(ms) :
				       0;
}

static struct page_reporting_request fpr_engine_request;

/**
 * fpr_engine_ask - open a request as a flush does, without starting a pass
 */
void fpr_engine_ask(void)
{
	init_completion(&fpr_engine_request.done);
	fpr_engine_request.wanted = ULONG_MAX;
	spin_lock(&page_reporting_request_lock);
	fpr_engine_request.ticket = ++page_reporting_ticket;
	page_reporting_request = &fpr_engine_request;
	spin_unlock(&page_reporting_request_lock);
}

/**
 * fpr_engine_settle - wait until what a free has asked for is queued
 */
void fpr_engine_settle(void)
{
	irq_work_sync(&page_reporting_kick_work);
}

/**
 * fpr_engine_errors - how many steps the wait after an error has grown
 *
 * Return: the number of steps; 0 if there was no error.
 */
unsigned int fpr_engine_errors(void)
{
	return page_reporting_errors;
}

/**
 * fpr_engine_retries - how often something was put off in a row
 *
 * Return: the number of times; 0 if nothing is.
 */
unsigned int fpr_engine_retries(void)
{
	return page_reporting_retries;
}

/**
 * fpr_engine_forget_retries - as if nothing was put off up to now
 */
void fpr_engine_forget_retries(void)
{
	page_reporting_retries = 0;
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
 * fpr_engine_pm - let the engine believe that the system sleeps or wakes up
 * @event: a PM event, such as PM_SUSPEND_PREPARE
 */
void fpr_engine_pm(unsigned long event)
{
	page_reporting_pm_notify(NULL, event, NULL);
}

/**
 * fpr_engine_stub_going_down - say whether the system goes down
 * @test: the test, with which the stub ends
 * @stub: called instead
 */
void fpr_engine_stub_going_down(struct kunit *test, bool (*stub)(void))
{
	__kunit_activate_static_stub(test, page_reporting_going_down, stub);
}

/**
 * fpr_engine_forget_device - what the end of a registration left for later
 *
 * Without a device.
 */
void fpr_engine_forget_device(void)
{
	page_reporting_forget();
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
