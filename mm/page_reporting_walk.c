// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: what a pass over free memory does to each block.
 */

/**
 * DOC: walk
 *
 * A pass goes over all zones once: in each zone from the highest order to the
 * lowest, and for each order through the migratetypes. MIGRATE_UNMOVABLE comes
 * last, as the kernel itself allocates from there. MIGRATE_ISOLATE is skipped,
 * as these blocks are about to be taken. In a zone with nothing to report, a
 * pass only reads the counts.
 *
 * Reported blocks collect at the tail of a list, except for the parts of a
 * split block, which are at its head, as freed blocks are. So all lists are
 * first walked from their heads, past a few marked blocks at most. After that,
 * a list is walked to its end only if the budget allows more blocks and the
 * counts say that unreported blocks are left. zone->lock is never held for
 * longer than it takes to look at PAGE_REPORTING_STEPS blocks: a walk rotates
 * the list to where it stops, and resumes at its head. What pacing counts when
 * it enters a zone is limited, too: PAGE_REPORTING_COUNTED blocks of each list
 * of the kernel.
 */

/**
 * DOC: life of a block
 *
 * #. Freed: on a free list, PG_reported clear. The free requests a pass.
 * #. Isolated: off the list, in the batch, where nothing else can find it. It
 *    counts as allocated for the watermarks, which is why zones that are short
 *    of memory are skipped. Its pageblocks keep their migratetype.
 * #. With the driver, together with the rest of the batch.
 * #. Put back by page_reporting_drain(), at the tail of the list of its order
 *    and its pageblock's type, where it is allocated last. If a part of it has
 *    become MIGRATE_ISOLATE meanwhile, each pageblock is put back separately.
 *    PG_reported is set if the driver returned no error and the block did not
 *    merge with a neighbour that was freed meanwhile. If it did, the result is
 *    a new, unreported block, unless all these neighbours were marked.
 * #. Allocated, merged, split or taken offline: off the list, which clears the
 *    mark. See "unit" for the parts of a split block.
 *
 * A page that turns bad while it is in a batch is neither free nor in use:
 * memory_failure() sets PG_hwpoison and does no more, as for any page that moves
 * between lists, and a kernel that checks pages at allocation will not hand it
 * out.
 */

/**
 * DOC: silence
 *
 * The driver waits for the hypervisor in report(), and nothing can be reported
 * until it returns. If a call takes longer than 60 s, the kernel log names the
 * driver, once per call. report_age_ms in sysfs is the age of the call. A
 * hypervisor that answers, but drops nothing, cannot be seen here.
 */

#define pr_fmt(fmt) "page_reporting: " fmt

#include <kunit/static_stub.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/vmstat.h>

#define CREATE_TRACE_POINTS
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting_internal.h"

/* Blocks that are put back in one zone->lock section: each may merge. */
#define PAGE_REPORTING_DRAIN		8

/* Marked blocks that the first walk of a list skips before it stops. */
#define PAGE_REPORTING_GLANCE		8

/* A call of the driver that takes longer is named in the log. */
#define PAGE_REPORTING_OVERDUE_MS	(60U * 1000)

/* The largest block has to fit in sg->length, an unsigned int. */
static_assert((u64)PAGE_SIZE << MAX_PAGE_ORDER <= UINT_MAX);

/* The walk of one free list. */
struct page_reporting_list {
	struct list_head *head;
	unsigned int order;
	int mt;
	unsigned long marked;	/* marked blocks that it may skip */
	struct page *first;	/* the first that it has skipped, or NULL */
};

/* Why the walk of a free list stopped, or what to do after a batch. */
enum page_reporting_stop {
	PAGE_REPORTING_END,		/* of the list, or nothing stops it */
	PAGE_REPORTING_PAUSE,		/* the rest of this list */
	PAGE_REPORTING_BATCH_FULL,
	PAGE_REPORTING_BUDGET_SPENT,
	PAGE_REPORTING_NOT_NOW,
	PAGE_REPORTING_LEAVE,		/* end the pass */
};

/* The batch. Only one pass runs at a time. */
static struct scatterlist page_reporting_sgl[PAGE_REPORTING_CAPACITY];

/* Blocks that this pass has taken from each list of the current zone. */
static unsigned long page_reporting_nr_taken[NR_PAGE_ORDERS][MIGRATE_TYPES];

/* The task that is running the driver's report(), or NULL. */
static struct task_struct *page_reporting_reporter;

/* Its pass, and when the call began, in jiffies. Valid during the call. */
static const struct page_reporting_pass *page_reporting_caller;
static unsigned long page_reporting_called_at;

static void page_reporting_reset_batch(struct page_reporting_pass *pass)
{
	sg_init_table(page_reporting_sgl, PAGE_REPORTING_CAPACITY);
	pass->nents = 0;
	pass->nr_pages = 0;
}

static unsigned long page_reporting_unaccepted_pages(struct zone *zone)
{
	/* Few machines have such memory, so KUnit replaces this. */
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_unaccepted_pages, zone);
#ifdef CONFIG_UNACCEPTED_MEMORY
	return zone_page_state(zone, NR_UNACCEPTED);
#else
	return 0;
#endif
}

/*
 * Free pages that are left for any allocation while blocks of type @mt are
 * isolated. Does not count what only some allocations can get: unaccepted
 * memory, the reserve for atomic allocations, and CMA pages unless @mt is CMA.
 */
unsigned long page_reporting_usable(struct zone *zone, int mt)
{
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);
	unsigned long unusable = page_reporting_unaccepted_pages(zone) +
				 READ_ONCE(zone->nr_free_highatomic);

	/* Near the watermarks, the per-CPU deltas of the counter matter. */
	if (zone->percpu_drift_mark && free < zone->percpu_drift_mark)
		free = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	if (!is_migrate_cma(mt))
		unusable += zone_page_state(zone, NR_FREE_CMA_PAGES);
	return free - min(free, unusable);
}

/*
 * How many pages of type @mt may be isolated at a time: those above the low
 * watermark, or none if a full batch of the smallest blocks could cross it.
 */
static unsigned long __page_reporting_room(const struct page_reporting_pass *pass,
					   int mt)
{
	unsigned long batch = (unsigned long)pass->budget.capacity << pass->order;
	unsigned long low = low_wmark_pages(pass->zone);
	/* With the blocks in the batch, which are isolated already. */
	unsigned long usable = page_reporting_usable(pass->zone, mt) + pass->nr_pages;

	return usable < low + batch ? 0 : usable - low;
}

/* Is the zone too small to ever have room? A watermark boost is temporary. */
bool page_reporting_is_hopeless(const struct page_reporting_pass *pass,
				struct zone *zone)
{
	unsigned long batch = (unsigned long)pass->budget.capacity << pass->order;

	return zone_managed_pages(zone) < zone->_watermark[WMARK_LOW] + batch;
}

static unsigned long
__page_reporting_blocks(struct page_reporting_pass *pass,
			const struct page_reporting_list *list)
{
	struct page_reporting_budget *budget = &pass->budget;

	return budget->ops->blocks(budget, pass->zone, list->order, list->mt,
				   page_reporting_nr_taken[list->order][list->mt]);
}

static enum page_reporting_stop
__page_reporting_take(struct page_reporting_pass *pass,
		      struct page_reporting_list *list, struct page *page)
{
	struct page_reporting_budget *budget = &pass->budget;
	unsigned int order = list->order;
	unsigned long room;

	if (!__page_reporting_blocks(pass, list))
		return PAGE_REPORTING_BUDGET_SPENT;
	room = __page_reporting_room(pass, list->mt);
	/* A block that does not fit even by itself is deferred. */
	if (pass->nr_pages + (1UL << order) > room || !page_reporting_fits(pass->nr_pages, order))
		return pass->nents ? PAGE_REPORTING_BATCH_FULL :
				     PAGE_REPORTING_NOT_NOW;
	if (!__isolate_free_block(page, order))
		return PAGE_REPORTING_NOT_NOW;

	page_reporting_debug_isolated(order);
	sg_set_page(&page_reporting_sgl[pass->nents++], page,
		    PAGE_SIZE << order, 0);
	pass->nr_pages += 1UL << order;
	page_reporting_nr_taken[order][list->mt]++;
	if (budget->ops->take)
		budget->ops->take(budget, order);
	return pass->nents == pass->limit ?
	       PAGE_REPORTING_BATCH_FULL : PAGE_REPORTING_END;
}

/* The next walk of the list starts with @page. */
static void __page_reporting_turn(struct list_head *list, struct page *page)
{
	if (&page->buddy_list != list)
		list_rotate_to_front(&page->buddy_list, list);
}

/*
 * Moves unreported blocks from a free list to the batch, in one zone->lock
 * section. Stops when the zone has no more of them of this order.
 */
static enum page_reporting_stop
__page_reporting_fill(struct page_reporting_pass *pass,
		      struct page_reporting_list *list)
{
	u64 unreported = __page_reporting_unreported(pass->zone, list->order,
						     list->order + 1);
	unsigned int steps = PAGE_REPORTING_STEPS;
	enum page_reporting_stop stop;
	struct page *page, *next;

	/* Nothing left to report does not mean that the budget is spent. */
	if (!unreported)
		return PAGE_REPORTING_END;
	if (!__page_reporting_blocks(pass, list))
		return PAGE_REPORTING_BUDGET_SPENT;
	list_for_each_entry_safe(page, next, list->head, buddy_list) {
		if (!unreported)
			break;
		if (PageReported(page)) {
			/* Seen all of the list, or skipped enough blocks. */
			if (page == list->first || !list->marked--)
				break;
			list->first = list->first ?: page;
			if (--steps)
				continue;
			__page_reporting_turn(list->head, next);
			return PAGE_REPORTING_PAUSE;
		}
		unreported -= 1ULL << list->order;
		stop = __page_reporting_take(pass, list, page);
		if (stop == PAGE_REPORTING_END)
			continue;
		/* @page may be in the batch, and no longer on the list. */
		__page_reporting_turn(list->head, PageBuddy(page) ? page : next);
		return stop;
	}
	return PAGE_REPORTING_END;
}

/*
 * Puts back the whole block, or each pageblock on the list of its own type if a
 * part has changed its type while it was isolated.
 */
static void __page_reporting_putback(struct page_reporting_pass *pass,
				     struct page *page, unsigned int order,
				     bool reported)
{
	struct page_reporting_budget *budget = &pass->budget;
	int mt = get_pageblock_migratetype(page);
	unsigned int part = order;
	unsigned long i;
	bool marked;

	for (i = pageblock_nr_pages; i < 1UL << order; i += pageblock_nr_pages)
		if (get_pageblock_migratetype(page + i) != mt)
			part = pageblock_order;
	for (i = 0; i < 1UL << order; i += 1UL << part) {
		marked = __page_reporting_put_back(page + i, pass->zone, part, reported);
		page_reporting_debug_back(part, marked);
	}
	if (reported && budget->ops->back)
		budget->ops->back(budget, pass->zone, order, mt);
}

static void page_reporting_drain(struct page_reporting_pass *pass,
				 bool reported)
{
	struct scatterlist *sg;
	unsigned int i;

	spin_lock_irq(&pass->zone->lock);
	for_each_sg(page_reporting_sgl, sg, pass->nents, i) {
		__page_reporting_putback(pass, sg_page(sg), get_order(sg->length), reported);
		if (i % PAGE_REPORTING_DRAIN == PAGE_REPORTING_DRAIN - 1) {
			spin_unlock_irq(&pass->zone->lock);
			spin_lock_irq(&pass->zone->lock);
		}
	}
	spin_unlock_irq(&pass->zone->lock);
}

/* Is this task inside the driver's report()? Context: any. */
bool page_reporting_in_report(void)
{
	return READ_ONCE(page_reporting_reporter) == current;
}

/* How long the driver's report() has been running, or 0. Context: any. */
unsigned int page_reporting_report_age_ms(void)
{
	/* Pairs with page_reporting_call(). */
	if (!smp_load_acquire(&page_reporting_reporter))
		return 0;
	return max(jiffies_to_msecs(jiffies - READ_ONCE(page_reporting_called_at)),
		   1U);
}

static void page_reporting_overdue(struct timer_list *timer)
{
	const struct page_reporting_pass *pass = page_reporting_caller;

	pr_warn("%ps has not returned from a report of %u blocks (%lu KiB) for %u s\n",
		pass->prdev->report, pass->nents,
		pass->nr_pages << (PAGE_SHIFT - 10),
		page_reporting_report_age_ms() / 1000);
}

static DEFINE_TIMER(page_reporting_overdue_timer, page_reporting_overdue);

static unsigned int page_reporting_overdue_ms(void)
{
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_overdue_ms);
	return PAGE_REPORTING_OVERDUE_MS;
}

static int page_reporting_call(struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	u64 begin_ns = ktime_get_ns();
	int err;

	might_sleep();
	page_reporting_assert(pass->order >= READ_ONCE(page_reporting_order));

	page_reporting_caller = pass;
	WRITE_ONCE(page_reporting_called_at, jiffies);
	/* Pairs with page_reporting_report_age_ms(). */
	smp_store_release(&page_reporting_reporter, current);
	mod_timer(&page_reporting_overdue_timer,
		  jiffies + msecs_to_jiffies(page_reporting_overdue_ms()));
	err = prdev->report(prdev, page_reporting_sgl, pass->nents);
	timer_delete_sync(&page_reporting_overdue_timer);
	WRITE_ONCE(page_reporting_reporter, NULL);
	/* Drivers may only return 0 or a negative errno. */
	if (WARN_ON_ONCE(err > 0))
		err = -EIO;
	trace_page_reporting_batch(pass->zone, pass->nents, pass->nr_pages, err,
				   ktime_get_ns() - begin_ns);
	return err;
}

/* Charges the CPU time since the last call to the budget. */
static void page_reporting_spend(struct page_reporting_pass *pass)
{
	if (pass->budget.ops->spent)
		pass->budget.ops->spent(&pass->budget);
}

static bool page_reporting_ends(struct page_reporting_pass *pass)
{
	if (!pass->stopped)
		pass->stopped = pass->ended(pass);
	return pass->stopped;
}

/*
 * Reports the batch. See "retries" for errors. If the driver raised the order
 * and returned an error, the pass ends: no further batch may have smaller blocks.
 */
static enum page_reporting_stop page_reporting_send(struct page_reporting_pass *pass)
{
	bool single = pass->limit == 1;
	int err;

	if (page_reporting_ends(pass)) {
		page_reporting_drain(pass, false);
		return PAGE_REPORTING_LEAVE;
	}

	sg_mark_end(&page_reporting_sgl[pass->nents - 1]);
	err = page_reporting_call(pass);
	page_reporting_drain(pass, !err);
	count_vm_event(PAGE_REPORTING_CALL);
	/* For pgreport, see __page_reporting_put_back(). */
	if (err) {
		pass->err = err;
		count_vm_events(PGREPORT_FAIL, pass->nr_pages);
	} else {
		pass->blocks += pass->nents;
		pass->pages += pass->nr_pages;
		pass->limit = min(2 * pass->limit, pass->budget.capacity);
	}
	page_reporting_spend(pass);
	page_reporting_reset_batch(pass);
	if (page_reporting_ends(pass) ||
	    (err && (!single || pass->order < READ_ONCE(page_reporting_order))))
		return PAGE_REPORTING_LEAVE;
	return err ? PAGE_REPORTING_END : PAGE_REPORTING_PAUSE;
}

/* Reports what the budget allows of a free list. False ends the pass. */
static bool page_reporting_cycle(struct page_reporting_pass *pass,
				 struct page_reporting_list *list)
{
	enum page_reporting_stop stop;

	do {
		spin_lock_irq(&pass->zone->lock);
		stop = __page_reporting_fill(pass, list);
		spin_unlock_irq(&pass->zone->lock);
		if (stop == PAGE_REPORTING_BATCH_FULL)
			stop = page_reporting_send(pass);
		else if (stop == PAGE_REPORTING_PAUSE)
			page_reporting_spend(pass);
		cond_resched();
	} while (stop == PAGE_REPORTING_PAUSE);

	/* If the budget has close(), its wait_ms says when to come back. */
	pass->more |= stop == PAGE_REPORTING_BUDGET_SPENT &&
		      !pass->budget.ops->close;
	pass->put_off |= stop == PAGE_REPORTING_NOT_NOW;
	pass->short_of |= stop == PAGE_REPORTING_NOT_NOW;
	return stop != PAGE_REPORTING_LEAVE;
}

/* Walks the lists of an order, or their beginnings. False ends the pass. */
static bool page_reporting_walk_order(struct page_reporting_pass *pass,
				      unsigned int order, bool whole)
{
	struct zone *zone = pass->zone;
	u64 unreported;
	int i;

	spin_lock_irq(&zone->lock);
	unreported = __page_reporting_unreported(zone, order, order + 1);
	spin_unlock_irq(&zone->lock);
	if (!unreported)
		return true;

	for (i = 1; i <= MIGRATE_TYPES; i++) {
		struct page_reporting_list list = {
			.order = order,
			/* MIGRATE_UNMOVABLE, which is 0, comes last. */
			.mt = i % MIGRATE_TYPES,
			/* May be too many for this list: any limit will do. */
			.marked = whole ? data_race(zone->free_area[order].nr_free) :
					  PAGE_REPORTING_GLANCE,
		};

		list.head = &zone->free_area[order].free_list[list.mt];
		/* Isolated blocks may go back to other lists without notice. */
		if (is_migrate_isolate(list.mt))
			pass->put_off |= !list_empty_careful(list.head);
		else if (!page_reporting_cycle(pass, &list))
			return false;
	}
	return true;
}

/* From high to low, as allocations look at the low orders first. */
static bool page_reporting_walk_zone(struct page_reporting_pass *pass)
{
	int whole, order;

	memset(page_reporting_nr_taken, 0, sizeof(page_reporting_nr_taken));
	for (whole = 0; whole < 2; whole++)
		for (order = MAX_PAGE_ORDER; order >= (int)pass->order; order--)
			if (!page_reporting_walk_order(pass, order, whole))
				return false;
	/* The last batch of a zone is reported even if it is not full. */
	if (pass->nents)
		return page_reporting_send(pass) != PAGE_REPORTING_LEAVE;
	page_reporting_spend(pass);
	return true;
}

static void page_reporting_drain_batch(struct zone *zone,
				       struct per_cpu_pages *pcp)
{
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_drain_batch, zone, pcp);
	drain_zone_pages(zone, pcp);
}

/*
 * Frees what a per-CPU list of the zone holds now, a batch at a time: 63 blocks
 * at most. drain_all_pages() would free up to 32 batches under zone->lock. Finds
 * the list anew each time, as the zone may lose it while others run: when its
 * last memory goes offline. Where that happens during a call, this is as safe as
 * the drains of vmstat: they do not wait for hotplug either.
 */
void page_reporting_drain_pcp(struct zone *zone, int cpu)
{
	struct per_cpu_pages *pcp = per_cpu_ptr(zone->per_cpu_pageset, cpu);
	int left = READ_ONCE(pcp->count), batch = max(READ_ONCE(pcp->batch), 1);

	for (; left > 0; left -= batch) {
		page_reporting_drain_batch(zone, per_cpu_ptr(zone->per_cpu_pageset, cpu));
		cond_resched();
	}
}

void page_reporting_drain_pcps(struct zone *zone)
{
	int cpu;

	for_each_online_cpu(cpu)
		page_reporting_drain_pcp(zone, cpu);
}

/*
 * The per-CPU lists can hold an eighth of a zone, and shrink over many seconds
 * after the demand has ended. A pass that reported at least as much as they
 * hold drains them, for the next pass to report. If it reported less, there may
 * still be a demand that they serve.
 */
static void page_reporting_drain_cpus(struct page_reporting_pass *pass,
				      unsigned long reported)
{
	unsigned long held = 0;
	int cpu;

	if (!reported || pass->stopped)
		return;
	for_each_online_cpu(cpu)
		held += READ_ONCE(per_cpu_ptr(pass->zone->per_cpu_pageset, cpu)->count);
	if (held >> pass->order && held <= reported) {
		page_reporting_drain_pcps(pass->zone);
		page_reporting_spend(pass);
	}
}

/* Is there anything to report now? A free after this requests another pass. */
static bool page_reporting_open_zone(struct page_reporting_pass *pass)
{
	const struct page_reporting_budget_ops *ops = pass->budget.ops;
	bool open;

	spin_lock_irq(&pass->zone->lock);
	open = (!ops->open || ops->open(&pass->budget, pass->zone)) &&
	       __page_reporting_unreported(pass->zone, pass->order, NR_PAGE_ORDERS);
	spin_unlock_irq(&pass->zone->lock);
	return open;
}

/*
 * A merge or a split may have added blocks to lists that were already walked,
 * and nothing announces them. So check again if there are unreported ones.
 */
static void page_reporting_close_zone(struct page_reporting_pass *pass)
{
	/* A zone that is short of memory is retried after a back-off. */
	if (pass->budget.ops->close) {
		if (!pass->short_of)
			pass->budget.ops->close(&pass->budget, pass->zone);
		return;
	}
	if (pass->put_off)
		return;
	spin_lock_irq(&pass->zone->lock);
	pass->more |= __page_reporting_unreported(pass->zone, pass->order, NR_PAGE_ORDERS);
	spin_unlock_irq(&pass->zone->lock);
}

/* Reports what the budget allows in a zone. False ends the pass. */
static bool page_reporting_process_zone(struct page_reporting_pass *pass,
					struct zone *zone)
{
	unsigned long blocks = pass->blocks, pages = pass->pages;
	bool put_off = pass->put_off;
	u64 begin_ns = ktime_get_ns();
	bool go_on = true;

	pass->zone = zone;
	pass->short_of = false;
	pass->put_off = !page_reporting_enter_zone(zone, pass->order);
	if (!pass->put_off && !page_reporting_is_hopeless(pass, zone)) {
		if (page_reporting_open_zone(pass))
			go_on = page_reporting_walk_zone(pass);
		page_reporting_drain_cpus(pass, pass->pages - pages);
		page_reporting_close_zone(pass);
	}
	if (pass->short_of)
		count_vm_event(PAGE_REPORTING_SKIP);
	trace_page_reporting_zone(zone, pass->blocks - blocks,
				  pass->pages - pages, pass->short_of,
				  ktime_get_ns() - begin_ns);
	pass->put_off |= put_off;
	return go_on;
}

/**
 * page_reporting_walk - report all that the budget allows, in all zones
 * @pass: the pass, with its device, order and budget. Says afterwards what was
 *	done and what is left
 *
 * Context: Process context. May sleep. One caller at a time.
 */
void page_reporting_walk(struct page_reporting_pass *pass)
{
	struct zone *zone;

	page_reporting_mark_begin(pass->order);
	if (pass->first == PAGE_REPORTING_FORGET_FIRST && !page_reporting_ends(pass))
		page_reporting_sweep(NR_PAGE_ORDERS);
	page_reporting_reset_batch(pass);
	for_each_populated_zone(zone)
		if (page_reporting_ends(pass) ||
		    !page_reporting_process_zone(pass, zone))
			break;
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_walk_engine_kunit.h"
#endif
