// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: report all that is free, now, and say when it is done.
 */

/**
 * DOC: flush
 *
 * Before a snapshot, a migration or a pause, somebody wants the hypervisor to
 * have all free memory, and to know when it has. A flush starts a pass at once,
 * with a budget that lets everything go, and waits for its end. Watermarks
 * hold, as a flush is no reason to run out of memory.
 *
 * There is one flush at a time; others wait for their turn. A signal ends the
 * wait, whatever the hypervisor does.
 *
 * Blocks that merged while they were put back are not reported yet. So a pass
 * that left something is followed by another one, up to PAGE_REPORTING_ROUNDS
 * in all: otherwise memory that is freed all the time could keep a flush for
 * ever.
 */

#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "page_alloc.h"
#include "page_reporting_internal.h"

/* Passes for one flush: one for everything, the others for what merged. */
#define PAGE_REPORTING_ROUNDS		4

/* Held for as long as a flush takes. */
static DEFINE_MUTEX(page_reporting_flush_mutex);

/* How the last flush ended. */
static DEFINE_SPINLOCK(page_reporting_flushed_lock);
static struct page_reporting_flushed page_reporting_flushed;

/*
 * Pieces of free blocks are on the per-CPU lists. Zone by zone, as a drain of
 * all zones at once does nothing while another one runs.
 */
static void page_reporting_drain_cpus(void)
{
	struct zone *zone;

	for_each_populated_zone(zone)
		drain_all_pages(zone);
}

static struct page_reporting_flushed page_reporting_flush_rounds(unsigned long wanted)
{
	struct page_reporting_flushed flushed = {};
	ktime_t begin = ktime_get();
	unsigned int round;

	page_reporting_drain_cpus();
	for (round = 0; round < PAGE_REPORTING_ROUNDS; round++) {
		struct page_reporting_served served;

		served = page_reporting_serve(wanted - flushed.nr_pages);
		flushed.nr_pages += served.nr_pages;
		flushed.err = served.err;
		if (served.err || !served.more || flushed.nr_pages >= wanted)
			break;
	}
	flushed.duration_us = ktime_us_delta(ktime_get(), begin);
	return flushed;
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
	struct page_reporting_flushed flushed;
	int err;

	if (!page_reporting_get_status().report)
		return -ENODEV;
	if (mutex_lock_interruptible(&page_reporting_flush_mutex))
		return -ERESTARTSYS;
	flushed = page_reporting_flush_rounds(nr_pages);
	err = flushed.err;
	/* Readers of the file know EINTR, and not ERESTARTSYS. */
	if (err == -ERESTARTSYS)
		flushed.err = -EINTR;

	spin_lock(&page_reporting_flushed_lock);
	page_reporting_flushed = flushed;
	spin_unlock(&page_reporting_flushed_lock);
	mutex_unlock(&page_reporting_flush_mutex);
	return err;
}

/**
 * page_reporting_last_flush - how the last flush ended
 *
 * Return: a copy; all of it is 0 before the first flush.
 */
struct page_reporting_flushed page_reporting_last_flush(void)
{
	struct page_reporting_flushed flushed;

	spin_lock(&page_reporting_flushed_lock);
	flushed = page_reporting_flushed;
	spin_unlock(&page_reporting_flushed_lock);
	return flushed;
}
