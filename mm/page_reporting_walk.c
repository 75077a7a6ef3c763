// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: what a pass over free memory does to each block.
 */

/**
 * DOC: walk
 *
 * A pass goes over all zones once: in each zone from large blocks to small
 * ones, and for each order through the migratetypes. UNMOVABLE comes last, as
 * the kernel itself allocates from there. MIGRATE_ISOLATE is left out, as
 * somebody else is about to take these blocks. A zone in which there is nothing
 * to report costs a pass a look at its counts.
 *
 * Blocks that were reported gather at the tail of a list, and what is freed goes
 * to its head. So all lists are first looked at from their heads, past a few
 * marked blocks at most. Only lists that may give more after that are walked to
 * their ends, and only if the counts say that there are unreported blocks left.
 * zone->lock is never held for longer than it takes to look at
 * PAGE_REPORTING_STEPS blocks.
 */

/**
 * DOC: life of a block
 *
 * #. Freed: on a free list, PG_reported clear. The free asks for a pass.
 * #. Isolated: off the list, in the batch. Nobody else can see it. For
 *    watermarks it counts as allocated, which is why zones that are short of
 *    memory are left alone. Its pageblocks keep their type.
 * #. In the driver's hands, together with the rest of the batch.
 * #. Put back at the tail of the list of its order and its pageblock's type,
 *    where it is allocated last. If a part of it has become MIGRATE_ISOLATE
 *    meanwhile, each pageblock goes back by itself, to the list of its type.
 *    PG_reported is set if the driver had no error and the block did not merge
 *    with a neighbour that was freed meanwhile. A block that did merge is a new
 *    block that the host does not have, and that another pass reports. If all
 *    of its neighbours were marked, the host has the whole of it, and the whole
 *    is marked.
 * #. Allocated, merged, split or taken offline: off the list, and the mark is
 *    cleared on the way. See "unit" for the parts of a split block.
 *
 * Blocks go back in one place, page_reporting_drain(), whatever happened: after
 * a full batch, after the rest at the end of a zone, after an error. No path
 * leaves the walk with blocks in the batch.
 *
 * memory_failure() sets PG_hwpoison without zone->lock. The mark shares a word
 * with it, and is therefore set and cleared atomically. A page that turns bad
 * while it is in a batch is neither free nor in use for memory_failure(), which
 * flags it and leaves it alone, as it does with pages that move between other
 * lists. A kernel that checks pages at allocation will not hand it out.
 *
 * Invariants:
 *
 * - isolated = put back as reported + put back as not reported + in flight,
 *   and nothing is in flight unless a pass runs
 * - only the drain sets PG_reported, apart from the parts of a marked block;
 *   every removal from a free list clears it; both happen under zone->lock
 * - the driver's callback has one caller
 */

#include <kunit/static_stub.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-isolation.h>
#include <linux/page_reporting.h>
#include <linux/pageblock-flags.h>
#include <linux/sched.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmstat.h>

#define CREATE_TRACE_POINTS
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"

/* Blocks that a walk looks at under one hold of zone->lock: about 20 us. */
#define PAGE_REPORTING_STEPS		256

/*
 * Blocks that go back under one hold of zone->lock. Putting back merges, which
 * takes as long as many steps.
 */
#define PAGE_REPORTING_DRAIN		8

/*
 * Marked blocks that the first look at a list goes past: the parts of a split
 * block are marked and at the head.
 */
#define PAGE_REPORTING_GLANCE		8

/* sg->length is an unsigned int */
static_assert((u64)PAGE_SIZE << MAX_PAGE_ORDER <= UINT_MAX);

/**
 * struct page_reporting_list - the walk of one free list
 * @head: the list
 * @order: order of its blocks
 * @mt: their migratetype
 * @whole: walk all of it, rather than its beginning
 * @seen: PFN of the marked block behind which to go on, or 0
 */
struct page_reporting_list {
	struct list_head *head;
	unsigned int order;
	int mt;
	bool whole;
	unsigned long seen;
};

/* Why the walk of a free list stopped. */
enum page_reporting_stop {
	PAGE_REPORTING_END,
	PAGE_REPORTING_PAUSE,
	PAGE_REPORTING_BATCH_FULL,
	PAGE_REPORTING_NO_ROOM,
	PAGE_REPORTING_BUDGET_SPENT,
	PAGE_REPORTING_NOT_NOW,
	PAGE_REPORTING_LOST,
};

/* What follows after a batch. */
enum page_reporting_next {
	PAGE_REPORTING_NEXT_BATCH,
	PAGE_REPORTING_NEXT_LIST,
	PAGE_REPORTING_LEAVE,
};

/* The batch. There is one pass at a time. */
static struct scatterlist page_reporting_sgl[PAGE_REPORTING_CAPACITY];

/* Blocks that left each list of the zone in this pass. */
static unsigned long page_reporting_nr_taken[NR_PAGE_ORDERS][MIGRATE_TYPES];

/* Who is in the driver's report() right now. */
static struct task_struct *page_reporting_reporter;

static void page_reporting_reset_batch(struct page_reporting_pass *pass)
{
	sg_init_table(page_reporting_sgl, PAGE_REPORTING_CAPACITY);
	pass->nents = 0;
	pass->nr_pages = 0;
}

static unsigned long page_reporting_unaccepted_pages(struct zone *zone)
{
	/* Few machines have such memory, and KUnit's has not. */
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_unaccepted_pages, zone);
#ifdef CONFIG_UNACCEPTED_MEMORY
	return zone_page_state(zone, NR_UNACCEPTED);
#else
	return 0;
#endif
}

/*
 * Free pages that any allocation could get while blocks of type @mt are away.
 * Left out is what only some can get: unaccepted memory, the reserve for atomic
 * allocations, and CMA pages unless @mt is CMA.
 */
static unsigned long page_reporting_usable(struct zone *zone, int mt)
{
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);
	unsigned long unusable = page_reporting_unaccepted_pages(zone) +
				 READ_ONCE(zone->nr_free_highatomic);

	/* Near the watermarks, what the CPUs have not folded yet matters. */
	if (zone->percpu_drift_mark && free < zone->percpu_drift_mark)
		free = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	if (!is_migrate_cma(mt))
		unusable += zone_page_state(zone, NR_FREE_CMA_PAGES);
	return free - min(free, unusable);
}

/*
 * How many pages of type @mt may be away at a time. None, if a batch of the
 * smallest blocks could push the zone below its low watermark; else as many as
 * the zone has above that watermark.
 */
static unsigned long __page_reporting_room(const struct page_reporting_pass *pass,
					   int mt)
{
	unsigned long batch = (unsigned long)pass->budget.capacity << pass->order;
	unsigned long low = low_wmark_pages(pass->zone);
	unsigned long usable;

	/* The blocks in the batch are away now, and will be back. */
	usable = page_reporting_usable(pass->zone, mt) + pass->nr_pages;
	return usable < low + batch ? 0 : usable - low;
}

/*
 * Is the zone too small to ever have that much? A boost of its watermarks
 * passes, and does not count.
 */
static bool page_reporting_is_hopeless(const struct page_reporting_pass *pass)
{
	unsigned long batch = (unsigned long)pass->budget.capacity << pass->order;

	return zone_managed_pages(pass->zone) <
	       pass->zone->_watermark[WMARK_LOW] + batch;
}

static bool __page_reporting_isolate(struct page *page, unsigned int order)
{
	if (!__isolate_free_block(page, order))
		return false;
	page_reporting_debug_isolated(order);
	return true;
}

/* Blocks that may yet leave a list. */
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

	lockdep_assert_held(&pass->zone->lock);

	if (!__page_reporting_blocks(pass, list))
		return PAGE_REPORTING_BUDGET_SPENT;
	room = __page_reporting_room(pass, list->mt);
	/* A block that does not even fit alone is for a better time. */
	if (pass->nr_pages + (1UL << order) > room)
		return pass->nents ? PAGE_REPORTING_NO_ROOM :
				     PAGE_REPORTING_NOT_NOW;
	if (!__page_reporting_isolate(page, order))
		return PAGE_REPORTING_NOT_NOW;

	sg_set_page(&page_reporting_sgl[pass->nents++], page,
		    PAGE_SIZE << order, 0);
	pass->nr_pages += 1UL << order;
	page_reporting_nr_taken[order][list->mt]++;
	if (budget->ops->take)
		budget->ops->take(budget, order);
	return pass->nents == pass->limit ?
	       PAGE_REPORTING_BATCH_FULL : PAGE_REPORTING_END;
}

/* Turns the list, so that its next walk starts with @page. */
static void __page_reporting_turn(struct list_head *list, struct page *page)
{
	if (&page->buddy_list != list)
		list_rotate_to_front(&page->buddy_list, list);
}

/* Where to go on: behind the block that was seen last, if it is still there. */
static struct list_head *
__page_reporting_resume(const struct page_reporting_pass *pass,
			const struct page_reporting_list *list)
{
	struct page *page = list->seen ? pfn_to_online_page(list->seen) : NULL;

	if (!list->seen)
		return list->head;
	if (!page || page_zone(page) != pass->zone || !PageBuddy(page) ||
	    buddy_order(page) != list->order || !PageReported(page) ||
	    get_pageblock_migratetype(page) != list->mt)
		return NULL;
	return &page->buddy_list;
}

/*
 * One hold of zone->lock: moves blocks that the host does not have from a free
 * list to the batch. Stops as soon as there are no more of this order.
 */
static enum page_reporting_stop
__page_reporting_fill(struct page_reporting_pass *pass,
		      struct page_reporting_list *list)
{
	unsigned long unreported = __page_reporting_unreported(pass->zone, list->order);
	struct list_head *from = __page_reporting_resume(pass, list);
	unsigned int marked = list->whole ? UINT_MAX : PAGE_REPORTING_GLANCE;
	unsigned int steps = PAGE_REPORTING_STEPS;
	enum page_reporting_stop stop;
	struct page *page, *next;

	if (!__page_reporting_blocks(pass, list))
		return unreported ? PAGE_REPORTING_BUDGET_SPENT :
				    PAGE_REPORTING_END;
	/* Somebody took that block: the rest is for another pass. */
	if (!from)
		return PAGE_REPORTING_LOST;
	page = list_entry(from->next, struct page, buddy_list);
	for (; unreported && &page->buddy_list != list->head; page = next) {
		next = list_next_entry(page, buddy_list);
		if (PageReported(page)) {
			if (!marked--)
				break;
			list->seen = page_to_pfn(page);
			if (!--steps)
				return PAGE_REPORTING_PAUSE;
			continue;
		}
		unreported--;
		stop = __page_reporting_take(pass, list, page);
		if (stop == PAGE_REPORTING_END)
			continue;
		/* The block that filled the batch has left the list. */
		__page_reporting_turn(list->head, stop == PAGE_REPORTING_BATCH_FULL ?
						  next : page);
		list->seen = 0;
		return stop;
	}
	return PAGE_REPORTING_END;
}

static void __page_reporting_putback(struct page_reporting_pass *pass,
				     struct page *page, unsigned int order,
				     bool reported)
{
	bool marked = __page_reporting_put_back(page, pass->zone, order,
						reported);

	page_reporting_debug_back(order, marked);
}

/* Has a part of the block changed its type while it was away? */
static bool __page_reporting_is_mixed(struct page *page, unsigned int order)
{
	int mt = get_pageblock_migratetype(page);
	unsigned long i;

	for (i = pageblock_nr_pages; i < 1UL << order; i += pageblock_nr_pages)
		if (get_pageblock_migratetype(page + i) != mt)
			return true;
	return false;
}

/* Whole, or each pageblock to the list of its own type. */
static void __page_reporting_putback_parts(struct page_reporting_pass *pass,
					   struct page *page,
					   unsigned int order, bool reported)
{
	unsigned int part = order;
	unsigned long i;

	if (__page_reporting_is_mixed(page, order))
		part = pageblock_order;
	for (i = 0; i < 1UL << order; i += 1UL << part)
		__page_reporting_putback(pass, page + i, part, reported);
}

/* The only way back for isolated blocks. */
static void page_reporting_drain(struct page_reporting_pass *pass,
				 bool reported)
{
	struct page_reporting_budget *budget = &pass->budget;
	struct scatterlist *sg;
	unsigned int i, order;
	int mt;

	spin_lock_irq(&pass->zone->lock);
	for_each_sg(page_reporting_sgl, sg, pass->nents, i) {
		order = get_order(sg->length);
		mt = get_pageblock_migratetype(sg_page(sg));
		__page_reporting_putback_parts(pass, sg_page(sg), order,
					       reported);
		if (reported && budget->ops->back)
			budget->ops->back(budget, pass->zone, order, mt);
		if (i % PAGE_REPORTING_DRAIN == PAGE_REPORTING_DRAIN - 1) {
			spin_unlock_irq(&pass->zone->lock);
			spin_lock_irq(&pass->zone->lock);
		}
	}
	spin_unlock_irq(&pass->zone->lock);
}

/**
 * page_reporting_in_report - is this task inside of the driver's report()?
 *
 * Context: any.
 * Return: true if so.
 */
bool page_reporting_in_report(void)
{
	return READ_ONCE(page_reporting_reporter) == current;
}

static int page_reporting_call(struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	u64 begin_ns = ktime_get_ns();
	int err;

	might_sleep();
	lockdep_assert_not_held(&pass->zone->lock);
	page_reporting_assert(pass->order >= READ_ONCE(page_reporting_order));

	WRITE_ONCE(page_reporting_reporter, current);
	err = prdev->report(prdev, page_reporting_sgl, pass->nents);
	WRITE_ONCE(page_reporting_reporter, NULL);
	/* Neither 0 nor an error, which no driver may return. */
	if (WARN_ON_ONCE(err > 0))
		err = -EIO;
	trace_page_reporting_batch(pass->zone, pass->nents, pass->nr_pages, err,
				   ktime_get_ns() - begin_ns);
	return err;
}

/* The pages of pgreport are counted where the blocks are marked. */
static void page_reporting_count(struct page_reporting_pass *pass, int err)
{
	count_vm_event(PAGE_REPORTING_CALL);
	if (err) {
		pass->err = err;
		count_vm_events(PGREPORT_FAIL, pass->nr_pages);
		return;
	}
	pass->blocks += pass->nents;
	pass->pages += pass->nr_pages;
	pass->limit = min(2 * pass->limit, pass->budget.capacity);
}

static bool page_reporting_ends(struct page_reporting_pass *pass)
{
	if (!pass->stopped)
		pass->stopped = pass->ended(pass);
	return pass->stopped;
}

/*
 * Would the next batch fare no better after an error? A single block that is
 * refused is no reason to keep others from the host, unless the driver has
 * raised the order for it: no batch may have smaller blocks from then on.
 */
static bool page_reporting_gives_up(const struct page_reporting_pass *pass,
				    bool single)
{
	return !single || pass->order < READ_ONCE(page_reporting_order);
}

/*
 * Hands over the batch, if there is anything in it. After an error, the pass
 * ends, or the block goes to the tail and the next list follows.
 */
static enum page_reporting_next page_reporting_send(struct page_reporting_pass *pass)
{
	bool single = pass->limit == 1;
	int err;

	if (!pass->nents)
		return PAGE_REPORTING_NEXT_BATCH;

	sg_mark_end(&page_reporting_sgl[pass->nents - 1]);
	err = page_reporting_call(pass);
	page_reporting_drain(pass, !err);
	page_reporting_count(pass, err);
	if (pass->budget.ops->spent)
		pass->budget.ops->spent(&pass->budget);
	page_reporting_reset_batch(pass);
	cond_resched();
	if (page_reporting_ends(pass) ||
	    (err && page_reporting_gives_up(pass, single)))
		return PAGE_REPORTING_LEAVE;
	return err ? PAGE_REPORTING_NEXT_LIST : PAGE_REPORTING_NEXT_BATCH;
}

static enum page_reporting_stop
page_reporting_fill(struct page_reporting_pass *pass,
		    struct page_reporting_list *list)
{
	enum page_reporting_stop stop;

	spin_lock_irq(&pass->zone->lock);
	stop = __page_reporting_fill(pass, list);
	spin_unlock_irq(&pass->zone->lock);
	return stop;
}

/* Reports what may leave a free list. False ends the pass. */
static bool page_reporting_cycle(struct page_reporting_pass *pass,
				 struct page_reporting_list *list)
{
	enum page_reporting_next next = PAGE_REPORTING_NEXT_BATCH;
	enum page_reporting_stop stop;
	bool sends;

	do {
		stop = page_reporting_fill(pass, list);
		sends = stop == PAGE_REPORTING_BATCH_FULL ||
			stop == PAGE_REPORTING_NO_ROOM;
		if (sends)
			next = page_reporting_send(pass);
		cond_resched();
	} while (next == PAGE_REPORTING_NEXT_BATCH &&
		 (sends || stop == PAGE_REPORTING_PAUSE));

	/* A budget that closes zones says itself when there is more. */
	pass->more |= stop == PAGE_REPORTING_BUDGET_SPENT &&
		      !pass->budget.ops->close;
	pass->put_off |= stop == PAGE_REPORTING_NOT_NOW ||
			 stop == PAGE_REPORTING_LOST;
	pass->short_of |= stop == PAGE_REPORTING_NOT_NOW;
	return next != PAGE_REPORTING_LEAVE;
}

static bool page_reporting_has_unreported(struct page_reporting_pass *pass,
					  unsigned int order)
{
	bool has;

	spin_lock_irq(&pass->zone->lock);
	has = __page_reporting_unreported(pass->zone, order);
	spin_unlock_irq(&pass->zone->lock);
	return has;
}

/* Each list of an order: its beginning, or the whole of it. False ends the pass. */
static bool page_reporting_walk_order(struct page_reporting_pass *pass,
				      unsigned int order, bool whole)
{
	int i;

	if (!page_reporting_has_unreported(pass, order))
		return true;
	for (i = 1; i <= MIGRATE_TYPES; i++) {
		struct page_reporting_list list = {
			.order = order,
			/* UNMOVABLE is 0 */
			.mt = i % MIGRATE_TYPES,
			.whole = whole,
		};

		list.head = &pass->zone->free_area[order].free_list[list.mt];
		/* These return to other lists without a word, or go away. */
		if (is_migrate_isolate(list.mt))
			pass->put_off |= !list_empty_careful(list.head);
		else if (!page_reporting_cycle(pass, &list))
			return false;
	}
	return true;
}

/* From high to low: what is left is what allocations look at first. */
static bool page_reporting_walk_orders(struct page_reporting_pass *pass,
				       bool whole)
{
	int order;

	for (order = MAX_PAGE_ORDER; order >= (int)pass->order; order--)
		if (!page_reporting_walk_order(pass, order, whole))
			return false;
	return true;
}

/* What fills no batch is reported at the end of the zone. */
static bool page_reporting_walk_zone(struct page_reporting_pass *pass)
{
	memset(page_reporting_nr_taken, 0, sizeof(page_reporting_nr_taken));
	return page_reporting_walk_orders(pass, false) &&
	       page_reporting_walk_orders(pass, true) &&
	       page_reporting_send(pass) != PAGE_REPORTING_LEAVE;
}

/* Is there anything that is not reported? Costs the same in each zone. */
static bool __page_reporting_is_due(struct page_reporting_pass *pass)
{
	unsigned int order;

	for (order = pass->order; order < NR_PAGE_ORDERS; order++)
		if (__page_reporting_unreported(pass->zone, order))
			return true;
	return false;
}

/*
 * Is there anything that may leave? A free after this finds the state ACTIVE,
 * and asks for the next pass.
 */
static bool page_reporting_open_zone(struct page_reporting_pass *pass)
{
	bool open;

	spin_lock_irq(&pass->zone->lock);
	open = pass->budget.ops->open(&pass->budget, pass->zone) &&
	       __page_reporting_is_due(pass);
	spin_unlock_irq(&pass->zone->lock);
	return open;
}

/*
 * Blocks that merged on their way back, and parts of a block that an allocation
 * split, may be on lists that were walked. Nothing announces them.
 */
static void page_reporting_close_zone(struct page_reporting_pass *pass)
{
	/* For a zone that is short of memory, the back-off says when. */
	if (pass->budget.ops->close) {
		if (!pass->short_of)
			pass->budget.ops->close(&pass->budget, pass->zone);
		return;
	}
	if (pass->put_off)
		return;
	spin_lock_irq(&pass->zone->lock);
	pass->more |= __page_reporting_is_due(pass);
	spin_unlock_irq(&pass->zone->lock);
}

/* False ends the pass. */
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
	if (!pass->put_off && !page_reporting_is_hopeless(pass)) {
		if (page_reporting_open_zone(pass))
			go_on = page_reporting_walk_zone(pass);
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
 * page_reporting_walk - report what may leave
 * @pass: the pass, with @prdev, @order, @budget, @ended and @limit filled in
 *	and the rest 0. Says afterwards what was done and what was left
 *
 * Context: Process context, may sleep. One caller at a time.
 */
void page_reporting_walk(struct page_reporting_pass *pass)
{
	struct zone *zone;

	page_reporting_mark_begin(pass->order);
	page_reporting_reset_batch(pass);
	for_each_populated_zone(zone)
		if (page_reporting_ends(pass) ||
		    !page_reporting_process_zone(pass, zone))
			break;
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_walk_engine_kunit.h"
#endif
