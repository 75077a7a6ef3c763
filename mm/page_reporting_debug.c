// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: do the free lists, marks and counters agree?
 */

/**
 * DOC: checks
 *
 * CONFIG_PAGE_REPORTING_DEBUG counts the pages that passes isolate and put
 * back, warns once if the counts do not balance at the end of a pass, and adds
 * the file page_reporting/verify to debugfs. Reading this file walks all free
 * lists, with zone->lock held for one zone at a time. It says "ok" and what was
 * found, or "violated" and how often each of these checks failed:
 *
 * ===============  ==========================================================
 * list-block       an entry of a list is not a free block of its order and
 *                  zone
 * list-type        a pageblock of a block has another type than the list
 * stale-mark       a block is marked as reported, but there is no device
 * nr-free          the count of blocks of an order differs from its lists
 * free-pages       NR_FREE_PAGES differs from the lists plus the memory that
 *                  is not accepted yet
 * free-cma         NR_FREE_CMA_PAGES differs from the lists
 * free-highatomic  the zone's count of free MIGRATE_HIGHATOMIC pages differs
 *                  from the lists
 * free-reported    NR_FREE_REPORTED, or the count for an order, differs from
 *                  the marks on the lists
 * mark-order       a marked block is smaller than any that may be marked
 * in-flight        pages are isolated although no pass is running
 * ===============  ==========================================================
 *
 * For in-flight, isolated = put back as reported + put back as not reported
 * + in flight.
 */

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-isolation.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmstat.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting_internal.h"

/* Checks of a zone that have to fail in a row before it is a violation. */
#define PAGE_REPORTING_LOOKS	20

static const char * const page_reporting_check_names[] = {
	[PAGE_REPORTING_CHECK_BLOCK] = "list-block",
	[PAGE_REPORTING_CHECK_TYPE] = "list-type",
	[PAGE_REPORTING_CHECK_MARK] = "stale-mark",
	[PAGE_REPORTING_CHECK_NR_FREE] = "nr-free",
	[PAGE_REPORTING_CHECK_FREE] = "free-pages",
	[PAGE_REPORTING_CHECK_CMA] = "free-cma",
	[PAGE_REPORTING_CHECK_HIGHATOMIC] = "free-highatomic",
	[PAGE_REPORTING_CHECK_REPORTED] = "free-reported",
	[PAGE_REPORTING_CHECK_ORDER] = "mark-order",
	[PAGE_REPORTING_CHECK_IN_FLIGHT] = "in-flight",
};

static_assert(ARRAY_SIZE(page_reporting_check_names) == PAGE_REPORTING_CHECKS);

/*
 * In pages, since boot. Written under the zone->lock of the pass's zone; only
 * one pass runs at a time.
 */
static struct {
	unsigned long isolated;
	unsigned long reported;
	unsigned long unreported;
} page_reporting_ledger;

/* A pass is running, and may have isolated blocks. */
static bool page_reporting_runs;

/* What the lists of one zone hold, for comparison with the counters. */
struct page_reporting_tally {
	unsigned long violations[PAGE_REPORTING_CHECKS];
	unsigned long blocks;
	unsigned long reported;
	unsigned long marked[NR_PAGE_ORDERS];
	unsigned long pages[MIGRATE_TYPES];
};

static void page_reporting_debug_add(unsigned long *entry, unsigned int order)
{
	WRITE_ONCE(*entry, *entry + (1UL << order));
}

/* A block was taken off its free list. With zone->lock held. */
void page_reporting_debug_isolated(unsigned int order)
{
	page_reporting_debug_add(&page_reporting_ledger.isolated, order);
}

/* A block of @order, or a part of one, was put back. With zone->lock held. */
void page_reporting_debug_back(unsigned int order, bool reported)
{
	page_reporting_debug_add(reported ? &page_reporting_ledger.reported :
					    &page_reporting_ledger.unreported,
				 order);
}

static unsigned long page_reporting_in_flight(void)
{
	return READ_ONCE(page_reporting_ledger.isolated) -
	       READ_ONCE(page_reporting_ledger.reported) -
	       READ_ONCE(page_reporting_ledger.unreported);
}

void page_reporting_debug_begin_pass(void)
{
	WRITE_ONCE(page_reporting_runs, true);
}

/* A pass has put back all of its blocks. */
void page_reporting_debug_end_pass(void)
{
	page_reporting_assert(!page_reporting_in_flight());
	WRITE_ONCE(page_reporting_runs, false);
}

/* Do all pageblocks in a free block have the type of its list? */
static bool __page_reporting_types_are(struct page *page, unsigned int order,
				       int mt)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i += pageblock_nr_pages)
		if (get_pageblock_migratetype(page + i) != mt)
			return false;
	return true;
}

static void __page_reporting_tally_block(struct page_reporting_tally *tally,
					 struct zone *zone, struct page *page,
					 unsigned int order, int mt)
{
	unsigned long *violations = tally->violations;

	violations[PAGE_REPORTING_CHECK_BLOCK] +=
		!PageBuddy(page) || buddy_order(page) != order ||
		page_zone(page) != zone;
	violations[PAGE_REPORTING_CHECK_TYPE] +=
		!__page_reporting_types_are(page, order, mt);

	tally->blocks++;
	tally->pages[mt] += 1UL << order;
	if (!PageReported(page))
		return;
	tally->reported += 1UL << order;
	tally->marked[order]++;
	violations[PAGE_REPORTING_CHECK_MARK] +=
		!static_key_enabled(&page_reporting_enabled);
	violations[PAGE_REPORTING_CHECK_ORDER] +=
		order < page_reporting_mark_order;
}

static void __page_reporting_tally_lists(struct page_reporting_tally *tally,
					 struct zone *zone)
{
	unsigned int order, mt;
	unsigned long before;
	struct page *page;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		struct free_area *area = &zone->free_area[order];

		before = tally->blocks;
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			list_for_each_entry(page, &area->free_list[mt],
					    buddy_list)
				__page_reporting_tally_block(tally, zone, page,
							     order, mt);
		tally->violations[PAGE_REPORTING_CHECK_NR_FREE] +=
			tally->blocks - before != area->nr_free;
	}
}

/* Without a device, no zone has a state, and no block is marked. */
static void __page_reporting_tally_orders(struct page_reporting_tally *tally,
					  struct zone *zone)
{
	const struct page_reporting_zone *state = zone->page_reporting;
	unsigned int order;

	for (order = 0; state && order < NR_PAGE_ORDERS; order++)
		tally->violations[PAGE_REPORTING_CHECK_REPORTED] +=
			tally->marked[order] != state->reported[order];
}

static unsigned long
page_reporting_tally_free(const struct page_reporting_tally *tally)
{
	unsigned long pages = 0;
	int mt;

	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		if (!is_migrate_isolate(mt))
			pages += tally->pages[mt];
	return pages;
}

/* Unaccepted pages count as free, but are on a list of their own. */
static unsigned long page_reporting_unaccepted(struct zone *zone)
{
#ifdef CONFIG_UNACCEPTED_MEMORY
	return zone_page_state_snapshot(zone, NR_UNACCEPTED);
#else
	return 0;
#endif
}

/* The counters change only under zone->lock, but are folded without it. */
static void __page_reporting_tally_counters(struct page_reporting_tally *tally,
					    struct zone *zone)
{
	unsigned long *violations = tally->violations;

	violations[PAGE_REPORTING_CHECK_FREE] +=
		page_reporting_tally_free(tally) +
		page_reporting_unaccepted(zone) !=
		zone_page_state_snapshot(zone, NR_FREE_PAGES);
	violations[PAGE_REPORTING_CHECK_REPORTED] +=
		tally->reported !=
		zone_page_state_snapshot(zone, NR_FREE_REPORTED);
	violations[PAGE_REPORTING_CHECK_HIGHATOMIC] +=
		tally->pages[MIGRATE_HIGHATOMIC] != zone->nr_free_highatomic;
#ifdef CONFIG_CMA
	violations[PAGE_REPORTING_CHECK_CMA] +=
		tally->pages[MIGRATE_CMA] !=
		zone_page_state_snapshot(zone, NR_FREE_CMA_PAGES);
#endif
}

static void page_reporting_tally_zone(struct page_reporting_tally *tally,
				      struct zone *zone)
{
	unsigned int looks = PAGE_REPORTING_LOOKS;

	do {
		memset(tally, 0, sizeof(*tally));
		spin_lock_irq(&zone->lock);
		__page_reporting_tally_lists(tally, zone);
		__page_reporting_tally_counters(tally, zone);
		__page_reporting_tally_orders(tally, zone);
		spin_unlock_irq(&zone->lock);
		if (!memchr_inv(tally->violations, 0, sizeof(tally->violations)))
			return;
		usleep_range(1000, 2000);
	} while (--looks);
}

static void page_reporting_verify_zone(struct page_reporting_verdict *verdict,
				       struct zone *zone)
{
	struct page_reporting_tally tally;
	unsigned int i;

	page_reporting_tally_zone(&tally, zone);
	for (i = 0; i < PAGE_REPORTING_CHECKS; i++)
		verdict->violations[i] += tally.violations[i];
	verdict->zones++;
	verdict->blocks += tally.blocks;
	verdict->free_pages += page_reporting_tally_free(&tally);
	verdict->reported_pages += tally.reported;
}

/* A pass that begins or ends between the two reads is no violation. */
static void page_reporting_verify_ledger(struct page_reporting_verdict *verdict)
{
	unsigned int looks = PAGE_REPORTING_LOOKS;

	do {
		verdict->in_flight = page_reporting_in_flight();
		if (!verdict->in_flight || READ_ONCE(page_reporting_runs))
			return;
		usleep_range(1000, 2000);
	} while (--looks);
	verdict->violations[PAGE_REPORTING_CHECK_IN_FLIGHT]++;
}

/**
 * page_reporting_verify - walk all free lists and check them and the counters
 * @verdict: filled in
 *
 * Context: Process context. Holds each zone->lock for as long as the walk over
 * the zone's lists takes. May sleep.
 * Return: the name of the first check that failed, or NULL if none did.
 */
const char *page_reporting_verify(struct page_reporting_verdict *verdict)
{
	struct zone *zone;
	unsigned int i;

	memset(verdict, 0, sizeof(*verdict));
	for_each_populated_zone(zone)
		page_reporting_verify_zone(verdict, zone);
	page_reporting_verify_ledger(verdict);

	for (i = 0; i < PAGE_REPORTING_CHECKS; i++)
		if (verdict->violations[i])
			return page_reporting_check_names[i];
	return NULL;
}

static int verify_show(struct seq_file *seq, void *unused)
{
	struct page_reporting_verdict verdict;
	unsigned int i;

	seq_puts(seq, page_reporting_verify(&verdict) ? "violated" : "ok");
	for (i = 0; i < PAGE_REPORTING_CHECKS; i++)
		if (verdict.violations[i])
			seq_printf(seq, " %s=%lu", page_reporting_check_names[i],
				   verdict.violations[i]);
	seq_printf(seq, " zones=%lu blocks=%lu free_pages=%lu reported_pages=%lu in_flight=%lu\n",
		   verdict.zones, verdict.blocks, verdict.free_pages,
		   verdict.reported_pages, verdict.in_flight);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(verify);

static int __init page_reporting_debug_init(void)
{
	struct dentry *dir = debugfs_create_dir("page_reporting", NULL);

	debugfs_create_file("verify", 0400, dir, NULL, &verify_fops);
	return 0;
}
late_initcall(page_reporting_debug_init);
