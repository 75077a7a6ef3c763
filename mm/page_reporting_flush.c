// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: report all free memory now, and return when it is done.
 */

/**
 * DOC: flush
 *
 * A flush, for example before a snapshot or a migration, starts a pass at once,
 * with a budget that allows everything but what the watermarks need, and waits
 * for its end. There is one flush at a time; others wait for it. A signal ends
 * the wait even while the hypervisor does not answer.
 *
 * Blocks that merged while they were put back are not reported yet. So a pass
 * that left something is followed by another one, up to four passes in all, as
 * memory that is freed all the time would keep a flush running.
 *
 * If asked to, the first pass starts with a round in each zone that makes whole
 * blocks of fragments: see mm/page_reporting_compact.c. Before that, all CPUs
 * put their pages on the LRU lists. A signal does not end that wait, not even
 * for a CPU that is busy with a real-time task.
 *
 * The marks say what the hypervisor was told. It may back such memory again
 * nevertheless: one that loads a snapshot or receives a migration may write all
 * pages, those that are zero as well. So a flush can clear all marks first.
 */

#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/swap.h>

#include "page_reporting_internal.h"

/* Passes of one flush: the first reports nearly all, the others what merged. */
#define PAGE_REPORTING_ROUNDS		4

/* Held for as long as a flush takes. */
static DEFINE_MUTEX(page_reporting_flush_mutex);

/* How the last flush ended. */
static DEFINE_SPINLOCK(page_reporting_flushed_lock);
static struct page_reporting_flushed page_reporting_flushed;

static struct page_reporting_flushed
page_reporting_flush_rounds(unsigned long wanted,
			    enum page_reporting_first first)
{
	struct page_reporting_flushed flushed = {}, served;
	ktime_t begin = ktime_get();
	unsigned int round;
	struct zone *zone;

	for_each_populated_zone(zone)
		page_reporting_drain_pcps(zone);
	for (round = 0; round < PAGE_REPORTING_ROUNDS; round++) {
		served = page_reporting_serve(wanted - flushed.nr_pages, first);
		first = PAGE_REPORTING_NOTHING_FIRST;
		flushed.nr_pages += served.nr_pages;
		flushed.moved += served.moved;
		flushed.err = served.err;
		if (served.err || !served.more || flushed.nr_pages >= wanted)
			break;
	}
	flushed.duration_us = ktime_us_delta(ktime_get(), begin);
	return flushed;
}

/**
 * page_reporting_flush - report free memory now
 * @nr_pages: how much to report, in pages; ULONG_MAX for all
 * @first: what is done before
 *
 * Context: Process context. Sleeps until that much or all eligible memory is
 * reported, until PAGE_REPORTING_ROUNDS passes have run, or until a signal
 * comes.
 * Return: 0; -ENODEV if there is no device or it went away; -EBUSY if the
 * system is about to sleep or goes down; -ERESTARTSYS if a signal came;
 * otherwise what the driver returned.
 */
int page_reporting_flush(unsigned long nr_pages, enum page_reporting_first first)
{
	struct page_reporting_flushed flushed;
	int err;

	if (!page_reporting_get_status().report)
		return -ENODEV;
	/* For moves. Neither in a pass nor with the mutex: see "flush" above. */
	if (first == PAGE_REPORTING_COMPACT_FIRST &&
	    page_reporting_compacts(page_reporting_get_status().order) == PAGE_REPORTING_COMPACTS)
		lru_add_drain_all();
	if (mutex_lock_interruptible(&page_reporting_flush_mutex))
		return -ERESTARTSYS;
	flushed = page_reporting_flush_rounds(nr_pages, first);
	err = flushed.err;
	/* User space, which reads this from sysfs, has no ERESTARTSYS. */
	if (err == -ERESTARTSYS)
		flushed.err = -EINTR;

	spin_lock(&page_reporting_flushed_lock);
	page_reporting_flushed = flushed;
	spin_unlock(&page_reporting_flushed_lock);
	mutex_unlock(&page_reporting_flush_mutex);
	return err;
}

/* A copy of the result of the last flush; all 0 if there was none. */
struct page_reporting_flushed page_reporting_last_flush(void)
{
	struct page_reporting_flushed flushed;

	spin_lock(&page_reporting_flushed_lock);
	flushed = page_reporting_flushed;
	spin_unlock(&page_reporting_flushed_lock);
	return flushed;
}
