/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the KUnit suites' access to the internals of the device.
 *
 * Included at the end of mm/page_reporting.c. There are no tests in here. Tests
 * use the static functions and variables of that file only through this header.
 */

#include "page_reporting_kunit.h"

/**
 * fpr_engine_forget_user - unset the order that the user has set
 *
 * Context: No device is registered.
 * Return: the order, for fpr_engine_restore().
 */
unsigned int fpr_engine_forget_user(void)
{
	unsigned int order = page_reporting_user_order;

	fpr_engine_restore(PAGE_REPORTING_ORDER_UNSPECIFIED);
	return order;
}

/**
 * fpr_engine_restore - restore the order that the user had set, if any
 * @order: as returned by fpr_engine_forget_user()
 *
 * Discards an order that a driver has set.
 *
 * Context: No device is registered.
 */
void fpr_engine_restore(unsigned int order)
{
	page_reporting_user_order = order;
	page_reporting_last_order = order;
	page_reporting_order = order;
}

/**
 * fpr_engine_capacity - maximum number of blocks in a batch for a device
 * @prdev: a registered device
 *
 * Return: the number of blocks, for the order that is in effect.
 */
unsigned int fpr_engine_capacity(const struct page_reporting_dev_info *prdev)
{
	return page_reporting_capacity(prdev, page_reporting_order);
}

/**
 * fpr_engine_live_in - set the time from which the device takes reports
 * @ms: the time from now in ms; 0 if it takes them now
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
	fpr_engine_request.joined = false;
	spin_lock(&page_reporting_request_lock);
	page_reporting_request = &fpr_engine_request;
	spin_unlock(&page_reporting_request_lock);
}

/**
 * fpr_engine_settle - wait until the pass that a free has requested is queued
 */
void fpr_engine_settle(void)
{
	irq_work_sync(&page_reporting_kick_work);
}

/**
 * fpr_engine_errors - by how many steps the wait after an error has grown
 *
 * Return: the number of steps; 0 if there was no error.
 */
unsigned int fpr_engine_errors(void)
{
	return page_reporting_errors;
}

/**
 * fpr_engine_retries - by how many steps the wait after a deferral has grown
 *
 * Return: the number of steps; 0 if nothing is deferred.
 */
unsigned int fpr_engine_retries(void)
{
	return page_reporting_retries;
}

/**
 * fpr_engine_forget_retries - reset the number of passes that deferred something
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
 * fpr_engine_pm - tell the engine that the system goes to sleep or wakes up
 * @event: a PM event, such as PM_SUSPEND_PREPARE
 */
void fpr_engine_pm(unsigned long event)
{
	page_reporting_pm_notify(NULL, event, NULL);
}

/**
 * fpr_engine_stub_going_down - replace the check if the system goes down
 * @test: the test; the stub is removed when it ends
 * @stub: called instead
 */
void fpr_engine_stub_going_down(struct kunit *test, bool (*stub)(void))
{
	__kunit_activate_static_stub(test, page_reporting_going_down, stub);
}

/**
 * fpr_engine_forget_device - do what an unregistration at shutdown has left out
 *
 * Context: No device is registered.
 */
void fpr_engine_forget_device(void)
{
	page_reporting_forget();
}

/**
 * fpr_engine_stub_refuse - replace the warning if report() unregisters the device
 * @test: the test; the stub is removed when it ends
 * @stub: called instead
 */
void fpr_engine_stub_refuse(struct kunit *test, void (*stub)(void *caller))
{
	__kunit_activate_static_stub(test, page_reporting_refuse, stub);
}
