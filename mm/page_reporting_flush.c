// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: report all that is free, now, and say when it is done.
 */

/**
 * DOC: flush
 *
 * Before a snapshot, a migration or a pause, somebody wants the hypervisor to
 * have all free memory, and to know when it has. A flush is a wish that the next
 * pass of the engine fulfils: that pass has no budget, starts at once, and tells
 * how far it came. Watermarks hold, as a flush is no reason to run out of memory.
 *
 * There is one flush at a time, others wait for their turn. It has a ticket, by
 * which a pass knows that it still works for the same one: who is interrupted
 * withdraws it, and the pass takes no further block; what is left waits for the
 * next one. Whoever waits can be interrupted, whatever the hypervisor does.
 *
 * Blocks that merged while they were put back are not reported yet. So a pass
 * for a flush is followed by another one at once, PAGE_REPORTING_ROUNDS in all at
 * most: memory that is freed all the time could keep a flush for ever.
 */

#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "page_reporting_internal.h"

/* Passes for one flush: one for all, and some for what merged meanwhile. */
#define PAGE_REPORTING_ROUNDS		4

/* Held for as long as a flush takes. */
static DEFINE_MUTEX(page_reporting_flush_mutex);

/* Covers all below. */
static DEFINE_SPINLOCK(page_reporting_flush_lock);
static DECLARE_COMPLETION(page_reporting_flush_done);
static struct page_reporting_flushed page_reporting_flushed;
/* Who is served; 0 is nobody. Each flush has another one. */
static unsigned long page_reporting_flush_ticket;
static unsigned long page_reporting_flush_last_ticket;
static unsigned long page_reporting_flush_wanted;
static unsigned int page_reporting_flush_rounds;

static void page_reporting_flush_begin(unsigned long nr_pages)
{
	spin_lock(&page_reporting_flush_lock);
	reinit_completion(&page_reporting_flush_done);
	page_reporting_flushed = (struct page_reporting_flushed) {};
	page_reporting_flush_wanted = nr_pages;
	page_reporting_flush_rounds = 0;
	page_reporting_flush_ticket = ++page_reporting_flush_last_ticket;
	spin_unlock(&page_reporting_flush_lock);
}

/* Ends the flush with @err unless it has ended already; returns how it ended. */
static int page_reporting_flush_finish(int err, ktime_t begin)
{
	struct page_reporting_flushed *flushed = &page_reporting_flushed;

	spin_lock(&page_reporting_flush_lock);
	flushed->duration_us = ktime_us_delta(ktime_get(), begin);
	if (page_reporting_flush_ticket)
		flushed->err = err == -ERESTARTSYS ? -EINTR : err;
	else
		err = flushed->err;
	page_reporting_flush_ticket = 0;
	spin_unlock(&page_reporting_flush_lock);
	return err;
}

/* Free blocks hide there in pieces. For all zones at once it may do nothing. */
static void page_reporting_drain_cpus(void)
{
	struct zone *zone;

	for_each_populated_zone(zone)
		drain_all_pages(zone);
}

/**
 * page_reporting_flush - have free memory reported now
 * @nr_pages: how much, in pages; ULONG_MAX is all
 *
 * Context: Process context. Sleeps until the hypervisor has that much or all
 * that is eligible, or until a signal comes.
 * Return: 0; -ENODEV without a device, or when it went away; -EBUSY when the
 * system is about to sleep; -ERESTARTSYS when interrupted; else what the driver
 * returned.
 */
int page_reporting_flush(unsigned long nr_pages)
{
	ktime_t begin = ktime_get();
	int err;

	if (!page_reporting_get_status().report)
		return -ENODEV;
	if (mutex_lock_interruptible(&page_reporting_flush_mutex))
		return -ERESTARTSYS;

	page_reporting_drain_cpus();
	page_reporting_flush_begin(nr_pages);
	err = page_reporting_run_now();
	if (!err)
		err = wait_for_completion_interruptible(&page_reporting_flush_done);
	err = page_reporting_flush_finish(err, begin);
	mutex_unlock(&page_reporting_flush_mutex);
	return err;
}

/**
 * page_reporting_last_flush - how the last flush ended, or how far it is
 *
 * Return: by value; all of it is 0 before the first one.
 */
struct page_reporting_flushed page_reporting_last_flush(void)
{
	struct page_reporting_flushed flushed;

	spin_lock(&page_reporting_flush_lock);
	flushed = page_reporting_flushed;
	spin_unlock(&page_reporting_flush_lock);
	return flushed;
}

/**
 * page_reporting_flush_join - a pass begins
 *
 * Return: the ticket of the flush that it works for, or 0.
 */
unsigned long page_reporting_flush_join(void)
{
	unsigned long ticket;

	spin_lock(&page_reporting_flush_lock);
	ticket = page_reporting_flush_ticket;
	spin_unlock(&page_reporting_flush_lock);
	return ticket;
}

/**
 * page_reporting_flush_pending - does somebody wait for a flush?
 *
 * Return: true if so.
 */
bool page_reporting_flush_pending(void)
{
	return page_reporting_flush_join();
}

/**
 * page_reporting_flush_left - how much does the flush still want?
 * @ticket: of the pass that asks
 *
 * Return: pages; 0 if it is content, or was withdrawn.
 */
unsigned long page_reporting_flush_left(unsigned long ticket)
{
	unsigned long left = 0;

	spin_lock(&page_reporting_flush_lock);
	if (ticket && ticket == page_reporting_flush_ticket)
		left = page_reporting_flush_wanted -
		       min(page_reporting_flush_wanted,
			   page_reporting_flushed.nr_pages);
	spin_unlock(&page_reporting_flush_lock);
	return left;
}

/**
 * page_reporting_flush_add - the device took a batch
 * @ticket: of the pass
 * @nr_pages: pages in it
 */
void page_reporting_flush_add(unsigned long ticket, unsigned long nr_pages)
{
	spin_lock(&page_reporting_flush_lock);
	if (ticket && ticket == page_reporting_flush_ticket)
		page_reporting_flushed.nr_pages += nr_pages;
	spin_unlock(&page_reporting_flush_lock);
}

static bool __page_reporting_flush_go_on(bool more)
{
	return more && ++page_reporting_flush_rounds < PAGE_REPORTING_ROUNDS &&
	       page_reporting_flushed.nr_pages < page_reporting_flush_wanted;
}

static void __page_reporting_flush_end(int err)
{
	page_reporting_flushed.err = err;
	page_reporting_flush_ticket = 0;
	complete(&page_reporting_flush_done);
}

/**
 * page_reporting_flush_leave - a pass ends
 * @ticket: of that pass
 * @more: there is more to report
 * @err: why it ended early, or 0
 *
 * Return: true if another pass has to follow at once: for the rest, or for a
 * flush that this pass has not seen.
 */
bool page_reporting_flush_leave(unsigned long ticket, bool more, int err)
{
	bool pending;

	spin_lock(&page_reporting_flush_lock);
	if (ticket && ticket == page_reporting_flush_ticket &&
	    (err || !__page_reporting_flush_go_on(more)))
		__page_reporting_flush_end(err);
	pending = page_reporting_flush_ticket;
	spin_unlock(&page_reporting_flush_lock);
	return pending;
}

/**
 * page_reporting_flush_abort - no pass will follow
 * @err: what to tell whoever waits
 */
void page_reporting_flush_abort(int err)
{
	spin_lock(&page_reporting_flush_lock);
	if (page_reporting_flush_ticket)
		__page_reporting_flush_end(err);
	spin_unlock(&page_reporting_flush_lock);
}
