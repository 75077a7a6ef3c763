// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: names a guest's large free blocks to its hypervisor.
 */

/**
 * DOC: model
 *
 * The host backs a guest's memory when the guest first touches it, and never
 * hears when the guest is done with it. So the engine borrows large free
 * blocks from the buddy allocator, hands them to a device driver, whose
 * hypervisor drops what backs them, and gives them back marked PG_reported.
 * A block with this mark costs the host nothing and need not be named again.
 * Whoever allocates it loses the mark and pays for one refault.
 *
 * Work is done in passes. A pass goes over all zones once, is limited by a
 * budget, and runs from a workqueue some time after a large block became free,
 * so that a flood of frees costs one pass and memory that is about to be used
 * again stays where it is.
 */

/**
 * DOC: states
 *
 * The device's @state says whether a pass is wanted or under way. Each event and
 * what it does:
 *
 * =========  ==========================  =========  ==========================
 * state      event                       new state  besides
 * =========  ==========================  =========  ==========================
 * IDLE       request                     REQUESTED  the work is queued
 * REQUESTED  request                     REQUESTED  nothing, not even a write
 * REQUESTED  the work starts             ACTIVE     the walk follows
 * ACTIVE     request                     REQUESTED  nothing: the pass will see
 * ACTIVE     pass ends, all is done      IDLE
 * ACTIVE     pass ends, budget spent     REQUESTED  the work is queued
 * REQUESTED  pass ends (was requested)   REQUESTED  the work is queued
 * =========  ==========================  =========  ==========================
 *
 * A free that comes too late for the walk is not lost: it reads @state under
 * the zone->lock that the walk takes, for every list and before it looks at any
 * count, after it has stored ACTIVE. Either the walk finds the block, or the
 * free finds ACTIVE and turns it into REQUESTED, which the compare-and-exchange
 * at the end of the pass notices. A change of page_reporting_order has no such
 * lock, and pairs its barrier with the one in page_reporting_begin_pass().
 */

/**
 * DOC: locks
 *
 * ======================  ====================================================
 * lock                    covers
 * ======================  ====================================================
 * page_reporting_mutex    registration and unregistration, start to end
 * RCU                     page_reporting_dev for those that only ask for a
 *                         pass; it is cleared, and a grace period awaited,
 *                         before the work is cancelled
 * page_reporting_order_   page_reporting_order together with who chose it;
 * lock                    a pass reads the order once, without the lock
 * zone->lock              free lists, and PG_reported of the blocks on them
 * none                    the batch: it belongs to the work item, which never
 *                         runs twice at a time
 * ======================  ====================================================
 *
 * Order: page_reporting_mutex, then the memory hotplug lock or zone->lock.
 * Requests come from under zone->lock and take nothing but the workqueue's and
 * the timer's own locks, and what DEBUG_OBJECTS takes for those. The driver is
 * called with no lock held.
 */

/**
 * DOC: life of a block
 *
 * #. Freed: on a free list, PG_reported clear. The free asks for a pass.
 * #. Isolated: off the list, in the batch. Nobody else can see it. Counted as
 *    allocated as far as watermarks go, which is why zones that are short of
 *    memory are left alone. A block of half a pageblock or more takes the type
 *    MIGRATE_MOVABLE here, as in compaction, unless its type is one that must
 *    not change.
 * #. In the driver's hands, together with the rest of the batch.
 * #. Put back at the tail of the list of its order and its pageblock's type,
 *    where it is allocated last.
 *    PG_reported is set if the driver had no error and the block did not merge
 *    with a neighbour that was freed meanwhile; the merged block is a new
 *    block that the host does not have.
 * #. Allocated, merged, split or taken offline: off the list, and the mark is
 *    cleared on the way.
 *
 * Blocks go back in one place, page_reporting_drain(), whatever happened:
 * after a full batch, after the rest at the end of a zone, after an error. No
 * path leaves the walk with blocks in the batch.
 *
 * Invariants:
 *
 * - isolated = put back as reported + put back as not reported + in flight,
 *   and nothing is in flight unless @state is ACTIVE or a request has come
 *   since it was
 * - only the drain sets PG_reported, every removal from a free list clears it,
 *   both under zone->lock
 * - the driver's callback has one caller
 * - after unregistration no free block carries the mark, and nothing refers to
 *   the device
 */

#define pr_fmt(fmt) "page_reporting: " fmt

#include <linux/cleanup.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/page-isolation.h>
#include <linux/page_reporting.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "page_reporting.h"

/* Wait before a pass. Long enough for a burst of frees to end. */
#define PAGE_REPORTING_DELAY_MS		2000U
/* More than an hour between passes is a typing error, not a wish. */
#define PAGE_REPORTING_DELAY_MAX_MS	(60U * 60 * 1000)

/*
 * A free list is handed over in about this many passes. With the delay above,
 * most of what was freed at once is back on the host within 12 s, while memory
 * that is used again within seconds keeps most of its backing.
 */
#define PAGE_REPORTING_PASSES		6

/* Page descriptors that are looked at under one hold of zone->lock. */
#define PAGE_REPORTING_SWEEP		1024

/* sg->length is an unsigned int */
static_assert((u64)PAGE_SIZE << MAX_PAGE_ORDER <= UINT_MAX);

enum page_reporting_state {
	PAGE_REPORTING_IDLE,
	PAGE_REPORTING_REQUESTED,
	PAGE_REPORTING_ACTIVE,
};

/**
 * struct page_reporting_snapshot - what the decision is made from
 * @free_pages: free pages of the zone
 * @low_wmark: the zone's low watermark, in pages
 * @nr_free: blocks on the free lists of one order of the zone, of any type
 * @order: the reporting order
 * @capacity: blocks in a full batch
 * @delay_ms: the wait that the user asks for, in ms
 */
struct page_reporting_snapshot {
	unsigned long free_pages;
	unsigned long low_wmark;
	unsigned long nr_free;
	unsigned int order;
	unsigned int capacity;
	unsigned int delay_ms;
};

/**
 * struct page_reporting_plan - what was decided
 * @budget: blocks to report from each free list of that order in this pass
 * @delay_ms: wait before the next pass, if there is a reason for one, in ms
 */
struct page_reporting_plan {
	unsigned long budget;
	unsigned int delay_ms;
};

/**
 * struct page_reporting_pass - one walk over free memory
 * @prdev: the device
 * @zone: the zone that is walked; the batch never spans two
 * @order: the reporting order, the same throughout
 * @nents: blocks in the batch, at the front of @prdev->sgl
 * @nr_pages: pages in the batch
 * @more: a budget ended before its list did
 */
struct page_reporting_pass {
	struct page_reporting_dev_info *prdev;
	struct zone *zone;
	unsigned int order;
	unsigned int nents;
	unsigned long nr_pages;
	bool more;
};

/* Why the walk of a free list stopped, if it did. */
enum page_reporting_stop {
	PAGE_REPORTING_GO_ON,
	PAGE_REPORTING_BATCH_FULL,
	PAGE_REPORTING_BUDGET_SPENT,
	PAGE_REPORTING_ZONE_LOW,
};

DEFINE_STATIC_KEY_FALSE(page_reporting_enabled);

static DEFINE_MUTEX(page_reporting_mutex);
static struct page_reporting_dev_info __rcu *page_reporting_dev;

/* The list of every device with the default capacity, or with a smaller one. */
static struct scatterlist page_reporting_sgl[PAGE_REPORTING_CAPACITY];

static DEFINE_SPINLOCK(page_reporting_order_lock);
static bool page_reporting_order_from_user;

unsigned int page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
EXPORT_SYMBOL_GPL(page_reporting_order);

static unsigned int page_reporting_delay_ms = PAGE_REPORTING_DELAY_MS;

/*
 * The policy, and all of it: a share of each list a pass, in whole batches so
 * that few calls to the driver are small ones; nothing where a batch of the
 * smallest blocks could push the zone below its low watermark. Larger blocks
 * can, for as long as they are away: never below the min watermark, which
 * __isolate_free_page() sees to.
 */
static struct page_reporting_plan
page_reporting_decide(const struct page_reporting_snapshot *snap)
{
	unsigned long in_flight = (unsigned long)snap->capacity << snap->order;
	struct page_reporting_plan plan = { .delay_ms = snap->delay_ms };

	if (snap->free_pages >= snap->low_wmark + in_flight)
		plan.budget = roundup(DIV_ROUND_UP(snap->nr_free,
						   PAGE_REPORTING_PASSES),
				      snap->capacity);
	return plan;
}

static void page_reporting_queue(struct page_reporting_dev_info *prdev,
				 unsigned int delay_ms)
{
	/*
	 * The caller may hold zone->lock, under which a timer can be armed but
	 * no worker woken: never without a delay. The queue freezes with the
	 * system, as the devices do.
	 */
	queue_delayed_work(system_freezable_wq, &prdev->work,
			   max(msecs_to_jiffies(delay_ms), 1UL));
}

static unsigned int page_reporting_next_delay(void)
{
	/* No list is looked at here; a capacity of 0 has no whole batches. */
	struct page_reporting_snapshot snap = {
		.capacity = 1,
		.delay_ms = READ_ONCE(page_reporting_delay_ms),
	};

	return page_reporting_decide(&snap).delay_ms;
}

static void page_reporting_request(struct page_reporting_dev_info *prdev)
{
	/* Frees come in floods: no write to a shared cache line for each. */
	if (atomic_read(&prdev->state) == PAGE_REPORTING_REQUESTED)
		return;

	if (atomic_xchg(&prdev->state, PAGE_REPORTING_REQUESTED) ==
	    PAGE_REPORTING_IDLE)
		page_reporting_queue(prdev, page_reporting_next_delay());
}

void __page_reporting_notify(void)
{
	struct page_reporting_dev_info *prdev;

	/* Pairs with the grace period in page_reporting_unregister(). */
	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (prdev)
		page_reporting_request(prdev);
}

static void page_reporting_reset_batch(struct page_reporting_pass *pass)
{
	sg_init_table(pass->prdev->sgl, pass->prdev->sgl_nents);
	pass->nents = 0;
	pass->nr_pages = 0;
}

static enum page_reporting_stop
__page_reporting_take(struct page_reporting_pass *pass, struct page *page,
		      unsigned int order, unsigned long *budget)
{
	lockdep_assert_held(&pass->zone->lock);

	if (!*budget)
		return PAGE_REPORTING_BUDGET_SPENT;
	if (!__isolate_free_page(page, order))
		return PAGE_REPORTING_ZONE_LOW;

	sg_set_page(&pass->prdev->sgl[pass->nents++], page,
		    PAGE_SIZE << order, 0);
	pass->nr_pages += 1UL << order;
	--*budget;
	return pass->nents == pass->prdev->sgl_nents ?
	       PAGE_REPORTING_BATCH_FULL : PAGE_REPORTING_GO_ON;
}

/* The next walk of the list starts with @page, not with what came before. */
static void __page_reporting_turn(struct list_head *list, struct page *page)
{
	if (&page->buddy_list != list)
		list_rotate_to_front(&page->buddy_list, list);
}

/* Moves blocks that the host does not have from a free list to the batch. */
static enum page_reporting_stop
__page_reporting_fill(struct page_reporting_pass *pass, struct list_head *list,
		      unsigned int order, unsigned long *budget)
{
	enum page_reporting_stop stop;
	struct page *page, *next;

	list_for_each_entry_safe(page, next, list, buddy_list) {
		if (PageReported(page))
			continue;

		stop = __page_reporting_take(pass, page, order, budget);
		if (stop == PAGE_REPORTING_GO_ON)
			continue;

		/* What filled the batch has left the list. */
		__page_reporting_turn(list, stop == PAGE_REPORTING_BATCH_FULL ?
					    next : page);
		return stop;
	}
	return PAGE_REPORTING_GO_ON;
}

static void __page_reporting_putback(struct page *page, unsigned int order,
				     bool reported)
{
	__putback_isolated_page(page, order, get_pageblock_migratetype(page));

	/* Merged with a neighbour: a new block, larger than the host knows. */
	if (!PageBuddy(page) || buddy_order(page) != order)
		return;

	if (reported)
		__SetPageReported(page);
}

/* The only way back for isolated blocks. */
static void page_reporting_drain(struct page_reporting_pass *pass,
				 bool reported)
{
	struct scatterlist *sg;
	unsigned int i;

	spin_lock_irq(&pass->zone->lock);
	for_each_sg(pass->prdev->sgl, sg, pass->nents, i)
		__page_reporting_putback(sg_page(sg), get_order(sg->length),
					 reported);
	spin_unlock_irq(&pass->zone->lock);
}

/* Hands the batch to the driver, if there is anything in it. */
static int page_reporting_send(struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	int err;

	if (!pass->nents)
		return 0;

	sg_mark_end(&prdev->sgl[pass->nents - 1]);
	err = prdev->report(prdev, prdev->sgl, pass->nents);
	page_reporting_drain(pass, !err);
	page_reporting_reset_batch(pass);
	cond_resched();

	/* Whoever unregisters the device waits for this pass. */
	if (rcu_access_pointer(page_reporting_dev) != prdev)
		return -ESHUTDOWN;
	return err;
}

/* Blocks to report from each list of @order, from what is there right now. */
static unsigned long __page_reporting_budget(struct page_reporting_pass *pass,
					     unsigned int order)
{
	struct zone *zone = pass->zone;
	struct page_reporting_snapshot snap = {
		/* What is in the batch will be back. */
		.free_pages = zone_page_state(zone, NR_FREE_PAGES) +
			      pass->nr_pages,
		.low_wmark = low_wmark_pages(zone),
		.nr_free = zone->free_area[order].nr_free,
		.order = pass->order,
		.capacity = pass->prdev->sgl_nents,
		.delay_ms = READ_ONCE(page_reporting_delay_ms),
	};

	return page_reporting_decide(&snap).budget;
}

/* One hold of zone->lock: at most a batch, from one list. */
static enum page_reporting_stop
page_reporting_fill(struct page_reporting_pass *pass, unsigned int order,
		    unsigned int mt, unsigned long *taken)
{
	struct list_head *list = &pass->zone->free_area[order].free_list[mt];
	enum page_reporting_stop stop = PAGE_REPORTING_ZONE_LOW;
	unsigned long budget, left;

	spin_lock_irq(&pass->zone->lock);
	budget = __page_reporting_budget(pass, order);
	if (budget) {
		left = budget - min(budget, *taken);
		budget = left;
		stop = __page_reporting_fill(pass, list, order, &left);
		*taken += budget - left;
	}
	spin_unlock_irq(&pass->zone->lock);
	return stop;
}

static int page_reporting_walk_list(struct page_reporting_pass *pass,
				    unsigned int order, unsigned int mt)
{
	enum page_reporting_stop stop;
	unsigned long taken = 0;
	int err = 0;

	do {
		stop = page_reporting_fill(pass, order, mt, &taken);
		if (stop == PAGE_REPORTING_BATCH_FULL)
			err = page_reporting_send(pass);
	} while (stop == PAGE_REPORTING_BATCH_FULL && !err);

	pass->more |= stop == PAGE_REPORTING_BUDGET_SPENT;
	return err;
}

/*
 * From high to low: what is left when the budget ends is the smallest blocks,
 * which are the ones that allocations look at first.
 */
static int page_reporting_walk_zone(struct page_reporting_pass *pass,
				    struct zone *zone)
{
	int order, mt, err;

	pass->zone = zone;
	for (order = MAX_PAGE_ORDER; order >= (int)pass->order; order--) {
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			/* Somebody else is about to take these away. */
			if (is_migrate_isolate(mt))
				continue;

			err = page_reporting_walk_list(pass, order, mt);
			if (err)
				return err;
		}
	}
	return page_reporting_send(pass);
}

static void page_reporting_end_pass(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;

	if (!pass->more && atomic_cmpxchg(&prdev->state, PAGE_REPORTING_ACTIVE,
					  PAGE_REPORTING_IDLE) ==
			   PAGE_REPORTING_ACTIVE)
		return;

	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	page_reporting_queue(prdev, page_reporting_next_delay());
}

static void page_reporting_begin_pass(struct page_reporting_pass *pass)
{
	/*
	 * A full barrier, before the first zone->lock and before the order is
	 * read. Pairs with the zone->lock that a free holds and with smp_mb()
	 * in page_reporting_set_order(): see "states" above.
	 */
	atomic_xchg(&pass->prdev->state, PAGE_REPORTING_ACTIVE);
	pass->order = READ_ONCE(page_reporting_order);
	page_reporting_reset_batch(pass);
}

static void page_reporting_work(struct work_struct *work)
{
	struct page_reporting_pass pass = {
		.prdev = container_of(work, struct page_reporting_dev_info,
				      work.work),
	};
	struct zone *zone;

	page_reporting_begin_pass(&pass);
	for_each_populated_zone(zone)
		if (page_reporting_walk_zone(&pass, zone))
			break;

	page_reporting_end_pass(&pass);
}

/*
 * Clears PG_reported in a part of a zone, and returns where to go on. Nothing
 * sets the mark any more, so that one look at each block is enough.
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
				__ClearPageReported(page);
			pfn += 1UL << buddy_order(page);
		}
	}
	spin_unlock_irq(&zone->lock);
	return pfn;
}

/* What the last device was told means nothing to the next one. */
static void page_reporting_sweep(void)
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

/* What the user has set stays. */
static void page_reporting_default_order(unsigned int order)
{
	spin_lock(&page_reporting_order_lock);
	if (!page_reporting_order_from_user)
		WRITE_ONCE(page_reporting_order, order);
	spin_unlock(&page_reporting_order_lock);
}

static void page_reporting_user_order(unsigned int order)
{
	spin_lock(&page_reporting_order_lock);
	page_reporting_order_from_user = true;
	WRITE_ONCE(page_reporting_order, order);
	spin_unlock(&page_reporting_order_lock);
}

/* The order that a device is served with unless the user has set one. */
static unsigned int
page_reporting_device_order(const struct page_reporting_dev_info *prdev)
{
	if (prdev->order && prdev->order <= MAX_PAGE_ORDER)
		return prdev->order;
	return pageblock_order;
}

/*
 * Registration has no error for lack of memory: a device whose long list
 * cannot be had gets its blocks in batches of the default size.
 */
static void page_reporting_get_sgl(struct page_reporting_dev_info *prdev)
{
	prdev->sgl = page_reporting_sgl;
	prdev->sgl_nents = prdev->capacity ?: PAGE_REPORTING_CAPACITY;
	if (prdev->sgl_nents <= PAGE_REPORTING_CAPACITY)
		return;

	prdev->sgl = kvmalloc_array(prdev->sgl_nents, sizeof(*prdev->sgl),
				    GFP_KERNEL | __GFP_NOWARN);
	if (prdev->sgl)
		return;

	pr_warn("no memory for a capacity of %u, using %u\n",
		prdev->capacity, PAGE_REPORTING_CAPACITY);
	prdev->sgl = page_reporting_sgl;
	prdev->sgl_nents = PAGE_REPORTING_CAPACITY;
}

static void page_reporting_put_sgl(struct page_reporting_dev_info *prdev)
{
	if (prdev->sgl != page_reporting_sgl)
		kvfree(prdev->sgl);
	prdev->sgl = NULL;
}

static struct page_reporting_dev_info *page_reporting_registered(void)
{
	return rcu_dereference_protected(page_reporting_dev,
				lockdep_is_held(&page_reporting_mutex));
}

/**
 * page_reporting_register - start to report free memory to a device
 * @prdev: the device
 *
 * The first pass follows after the delay, and finds all memory that is free by
 * then. The device need not be ready to report yet, but has to be within
 * PAGE_REPORTING_DELAY_MS from now.
 *
 * Context: Process context. May sleep.
 * Return: 0, or -EBUSY while another device is registered.
 */
int page_reporting_register(struct page_reporting_dev_info *prdev)
{
	guard(mutex)(&page_reporting_mutex);

	if (page_reporting_registered())
		return -EBUSY;

	page_reporting_get_sgl(prdev);
	page_reporting_default_order(page_reporting_device_order(prdev));
	INIT_DELAYED_WORK(&prdev->work, page_reporting_work);

	/* The key is first: with it off, no mark would be cleared. */
	static_branch_enable(&page_reporting_enabled);

	/*
	 * The device may not be ready yet, whatever the user wants: the first
	 * pass is asked for here, before a free can ask for an earlier one.
	 */
	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	rcu_assign_pointer(page_reporting_dev, prdev);
	page_reporting_queue(prdev, max(page_reporting_next_delay(),
					PAGE_REPORTING_DELAY_MS));
	return 0;
}
EXPORT_SYMBOL_GPL(page_reporting_register);

/**
 * page_reporting_unregister - stop to report free memory to a device
 * @prdev: the device; nothing happens unless it is the registered one
 *
 * When this returns, @prdev->report is not running and will not run again, and
 * all blocks are back on their free lists, none of them marked as reported.
 * Waits for a report that is under way, and so for the hypervisor; the pass ends
 * with it.
 *
 * Context: Process context. May sleep. Deadlocks if called by @prdev->report.
 */
void page_reporting_unregister(struct page_reporting_dev_info *prdev)
{
	guard(mutex)(&page_reporting_mutex);

	if (page_reporting_registered() != prdev)
		return;

	/* From here on, no new request; __page_reporting_notify() pairs. */
	RCU_INIT_POINTER(page_reporting_dev, NULL);
	synchronize_rcu();
	cancel_delayed_work_sync(&prdev->work);

	/* The key is last: with it off, no mark would be cleared any more. */
	page_reporting_sweep();
	static_branch_disable(&page_reporting_enabled);

	page_reporting_default_order(PAGE_REPORTING_ORDER_UNSPECIFIED);
	page_reporting_put_sgl(prdev);
}
EXPORT_SYMBOL_GPL(page_reporting_unregister);

/* One error for everything that is not a number from 0 to @max. */
static int page_reporting_parse(const char *val, unsigned int max,
				unsigned int *num)
{
	if (kstrtouint(val, 0, num) || *num > max)
		return -EINVAL;
	return 0;
}

static int page_reporting_set_order(const char *val,
				    const struct kernel_param *kp)
{
	unsigned int order;

	if (page_reporting_parse(val, MAX_PAGE_ORDER, &order))
		return -EINVAL;

	page_reporting_user_order(order);
	/* Pairs with page_reporting_begin_pass(): it or we see the other. */
	smp_mb();
	/* A lower order makes free memory eligible that no free announces. */
	__page_reporting_notify();
	return 0;
}

static const struct kernel_param_ops page_reporting_order_ops = {
	.set = page_reporting_set_order,
	/* Signed, so that "undecided" reads -1. */
	.get = param_get_int,
};
module_param_cb(page_reporting_order, &page_reporting_order_ops,
		&page_reporting_order, 0644);
MODULE_PARM_DESC(page_reporting_order,
		 "Order of the smallest free block to report, 0 to MAX_PAGE_ORDER");

/* A request that is standing keeps the delay that it was made with. */
static int page_reporting_set_delay(const char *val,
				    const struct kernel_param *kp)
{
	unsigned int delay_ms;

	if (page_reporting_parse(val, PAGE_REPORTING_DELAY_MAX_MS, &delay_ms))
		return -EINVAL;

	WRITE_ONCE(page_reporting_delay_ms, delay_ms);
	return 0;
}

static const struct kernel_param_ops page_reporting_delay_ops = {
	.set = page_reporting_set_delay,
	.get = param_get_uint,
};
module_param_cb(page_reporting_delay_ms, &page_reporting_delay_ops,
		&page_reporting_delay_ms, 0644);
MODULE_PARM_DESC(page_reporting_delay_ms,
		 "Wait before a pass over free memory, in ms, 0 to 3600000");

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_kunit.c"
#endif
