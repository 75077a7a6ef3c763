// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: which free blocks the hypervisor has.
 */

/**
 * DOC: mark
 *
 * PG_reported on the head of a free block says that the hypervisor has it. The
 * mark is set and cleared in this file only, under zone->lock, together with
 * what is counted about it, so that the counters cannot differ from the lists:
 *
 * ====================  =====================================================
 * in /proc/vmstat       counts
 * ====================  =====================================================
 * nr_free_reported      pages of the blocks that are marked now; also for each
 *                       zone in /proc/zoneinfo, and in each node's vmstat
 * pgreport              pages that the device took
 * pgreport_fail         pages that it was given and refused
 * pgreport_refault      pages of marked blocks that left the free lists: to be
 *                       allocated or filled by compaction, as nearly all; to be
 *                       split for isolation, to go offline or bad
 * pgreport_merge        pages of marked blocks that became parts of larger,
 *                       unmarked ones, some of them on their way back already.
 *                       A block that is put together from marked ones alone is
 *                       marked, and does not count
 * pgreport_clear        pages of marked blocks that lost the mark where they
 *                       were: the device went, or the system hibernated
 * page_reporting_pass   passes over free memory
 * page_reporting_call   calls of the driver
 * page_reporting_skip   zones left alone in a pass, short of memory for now
 * ====================  =====================================================
 *
 * While nothing is in flight,
 *
 *	pgreport = nr_free_reported + pgreport_refault + pgreport_merge + pgreport_clear
 *
 * All of them are per-CPU sums: a page that is marked on one CPU and allocated
 * on another is exact when all CPUs have folded theirs, as for nr_free_pages.
 *
 * Of a block that is split for an allocation, parts that are large enough to be
 * reported stay marked, and do not count as refaulted.
 *
 * No block below page_reporting_mark_order is marked. It only falls while a
 * device is there, before the first mark that needs it: that store and the mark
 * are followed by an unlock of the zone that whoever removes the block locks
 * afterwards.
 */

#include <linux/align.h>
#include <linux/bug.h>
#include <linux/lockdep.h>
#include <linux/memory_hotplug.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_reporting.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"

/* Page descriptors that are looked at under one hold of zone->lock: 22 us. */
#define PAGE_REPORTING_SWEEP		256

unsigned int page_reporting_mark_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

/**
 * page_reporting_mark_from - blocks of this order may be marked from now on
 * @order: the reporting order of a pass that begins
 *
 * So may pageblocks: what a larger block consists of if its types differ.
 *
 * Context: before the pass takes the first zone->lock. One pass at a time.
 */
void page_reporting_mark_from(unsigned int order)
{
	order = min_t(unsigned int, order, pageblock_order);
	if (order < page_reporting_mark_order)
		WRITE_ONCE(page_reporting_mark_order, order);
}

static void __page_reporting_set(struct page *page, struct zone *zone,
				 unsigned int order)
{
	__page_reporting_set_flag(page);
	page_reporting_zone(zone)->reported[order]++;
	__mod_zone_page_state(zone, NR_FREE_REPORTED, 1L << order);
}

static void __page_reporting_clear(struct page *page, struct zone *zone,
				   unsigned int order)
{
	__page_reporting_clear_flag(page);
	page_reporting_zone(zone)->reported[order]--;
	__mod_zone_page_state(zone, NR_FREE_REPORTED, -(1L << order));
}

/* Head of the free block that this page is in. */
static struct page *__page_reporting_head(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		struct page *head = pfn_to_page(ALIGN_DOWN(pfn, 1UL << order));

		if (PageBuddy(head) && buddy_order(head) >= order)
			return head;
	}
	return NULL;
}

/*
 * Marks the block that one has become a part of as it was put back, if the
 * hypervisor has all of it: it was put together from marked ones alone.
 */
static bool __page_reporting_mark_joined(struct page *page, struct zone *zone,
					 unsigned long had)
{
	struct page *head = __page_reporting_head(page);

	if (head && had == 1UL << buddy_order(head)) {
		__page_reporting_set(head, zone, buddy_order(head));
		return true;
	}
	count_vm_events(PGREPORT_MERGE, had);
	return false;
}

/**
 * __page_reporting_put_back - a block that was isolated goes to its free list
 * @page: its head
 * @zone: its zone
 * @order: its order
 * @reported: the hypervisor has it now
 *
 * Context: zone->lock held.
 * Return: true if it is marked as reported, or a part of a block that is.
 */
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned long had = reported ? 1UL << order : 0;

	lockdep_assert_held(&zone->lock);
	page_reporting_assert(!reported || order >= page_reporting_mark_order);

	state->joined = 0;
	state->putting_back = true;
	__putback_isolated_page(page, order, get_pageblock_migratetype(page));
	state->putting_back = false;

	count_vm_events(PGREPORT, had);
	if (!PageBuddy(page) || buddy_order(page) != order)
		return __page_reporting_mark_joined(page, zone,
						    had + state->joined);
	if (reported)
		__page_reporting_set(page, zone, order);
	return reported;
}

/*
 * Marks the parts of a block that are about to be free again, from large to
 * small as expand() makes them, and returns how many pages they have. Below the
 * reporting order the host may use what it has for something else: a part of a
 * huge page of its own comes back with the rest of it.
 */
static unsigned long __page_reporting_keep_parts(struct page *page,
						 struct zone *zone,
						 unsigned int low,
						 unsigned int high)
{
	unsigned long kept = 0;

	low = max(low, page_reporting_mark_order);
	while (high-- > low) {
		/* A guard page comes to no list. */
		if (debug_guardpage_enabled() &&
		    high < debug_guardpage_minorder())
			continue;
		__page_reporting_set(page + (1UL << high), zone, high);
		kept += 1UL << high;
	}
	return kept;
}

static void __page_reporting_refault(struct page *page, struct zone *zone,
				     unsigned int order, unsigned long nr_pages)
{
	count_vm_events(PGREPORT_REFAULT, nr_pages);
	__page_reporting_zone_refault(zone, order, nr_pages);
	trace_page_reporting_refault(zone, page_to_pfn(page), nr_pages);
}

static void __page_reporting_use(struct page *page, struct zone *zone,
				 unsigned int low, unsigned int high)
{
	unsigned long used = 1UL << high;

	used -= __page_reporting_keep_parts(page, zone, low, high);
	__page_reporting_clear(page, zone, high);
	__page_reporting_refault(page, zone, high, used);
}

void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high)
{
	if (PageReported(page))
		__page_reporting_use(page, zone, low, high);
	else
		__page_reporting_zone_taken(zone, low, high);
}

void __page_reporting_left(struct page *page, struct zone *zone,
			   unsigned int order)
{
	__page_reporting_taken(page, zone, order, order);
}

void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);

	__page_reporting_clear(page, zone, order);
	/* The block that is put back may be all that it lacks. */
	if (state->putting_back)
		state->joined += 1UL << order;
	else
		count_vm_events(PGREPORT_MERGE, 1UL << order);
}

static void __page_reporting_forget(struct page *page, struct zone *zone,
				    unsigned int order)
{
	__page_reporting_clear(page, zone, order);
	count_vm_events(PGREPORT_CLEAR, 1UL << order);
}

/*
 * Clears the marks in a part of a zone, and returns where to go on. Nobody
 * sets a mark that is to go, so that one look at each block is enough.
 */
static unsigned long page_reporting_sweep_some(struct zone *zone,
					       unsigned long pfn,
					       unsigned long end)
{
	unsigned int steps;

	spin_lock_irq(&zone->lock);
	for (steps = 0; pfn < end && steps < PAGE_REPORTING_SWEEP; steps++) {
		struct page *page = pfn_to_online_page(pfn);

		if (!page) {
			pfn = ALIGN(pfn + 1, pageblock_nr_pages);
		} else if (page_zone(page) != zone || !PageBuddy(page)) {
			pfn++;
		} else {
			/* No write to the flags of a page that needs none. */
			if (PageReported(page))
				__page_reporting_forget(page, zone,
							buddy_order(page));
			pfn += 1UL << buddy_order(page);
		}
	}
	spin_unlock_irq(&zone->lock);
	return pfn;
}

/**
 * page_reporting_sweep - forget what the hypervisor has
 *
 * What it was told means nothing to another device, or another host. Nobody may
 * report meanwhile.
 *
 * Context: Process context. Takes the memory hotplug lock and each zone->lock.
 */
void page_reporting_sweep(void)
{
	struct zone *zone;

	get_online_mems();
	for_each_populated_zone(zone) {
		unsigned long pfn = zone->zone_start_pfn;

		while (pfn < zone_end_pfn(zone)) {
			pfn = page_reporting_sweep_some(zone, pfn,
							zone_end_pfn(zone));
			cond_resched();
		}
	}
	put_online_mems();
}

/**
 * page_reporting_mark_none - there is no device, and no mark
 *
 * Context: after page_reporting_sweep(), with the static key off.
 */
void page_reporting_mark_none(void)
{
	WRITE_ONCE(page_reporting_mark_order, PAGE_REPORTING_ORDER_UNSPECIFIED);
}
