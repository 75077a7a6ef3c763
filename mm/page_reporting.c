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
 *
 * How long that is and how large the budget depends on page_reporting_delay_ms.
 * With -1, the default, what each zone has kept free for long enough is the
 * budget, but for what is in doubt, and the next pass comes when more may have
 * been: page_reporting_zone.c and page_reporting_pacing.c. A number is the wait
 * before each pass, and each list has a budget of its own:
 * page_reporting_decide().
 *
 * A zone in which there is nothing to report costs a pass a look at its counts.
 * Elsewhere, lists are walked in steps, so that zone->lock is never held for
 * longer than it takes to look at PAGE_REPORTING_STEPS blocks, where to isolate
 * a large one counts as several.
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
 * ACTIVE     pass ends, some put off     IDLE       the retry timer is armed
 * ACTIVE     pass ends, pacing waits     IDLE       the retry timer is armed; for
 *                                                   short waits as for a request
 * ACTIVE     pass ends, budget spent     REQUESTED  the work is queued; not where
 *                                                   pacing decides
 * ACTIVE     pass ends, some came late   REQUESTED  the same
 * ACTIVE     pass ends by an error       REQUESTED  the work is queued, late
 * REQUESTED  pass ends (was requested)   REQUESTED  the work is queued
 * any        the retry timer expires     REQUESTED  as for a request; where
 *                                                   pacing decides, at once
 * any        a flush                     as it was  the work is queued, at once
 * =========  ==========================  =========  ==========================
 *
 * A free that comes too late for the walk is not lost: it reads @state under
 * the zone->lock that the walk takes, before it looks at the counts of the zone
 * and after it has stored ACTIVE. Either the walk finds the block, or the
 * free finds ACTIVE and turns it into REQUESTED, which the compare-and-exchange
 * at the end of the pass notices. A change of page_reporting_order has no such
 * lock, and pairs its barrier with the one in page_reporting_begin_pass().
 */

/**
 * DOC: retries
 *
 * No free announces what a pass had to leave behind, so that whatever stops a
 * pass from reporting a block sees to it that somebody comes back:
 *
 * - The driver had an error. The pass ends, as the next batch would fare no
 *   better, and the work is queued again: after the normal delay first, then
 *   after twice as long each time, up to a minute. Requests change nothing
 *   about that. A pass that is served without an error ends it, one that is
 *   served in part goes back by one step. A message names the first error of
 *   such a series.
 *   The host may refuse some blocks for ever, and must not miss others for
 *   them. So the blocks of the batch go to the tails of their lists, the next
 *   pass begins after the list that the error came from, and its batches are
 *   smaller with each step, down to one block; each success doubles them.
 * - A zone was short of memory, or a block stood on a list of MIGRATE_ISOLATE,
 *   from where it returns without a word. Only that is put off, and a free
 *   still gets its pass after the normal delay; a timer asks for one when no
 *   free does. Its time grows in the same way, until a pass leaves nothing
 *   behind, which also stops the timer: a guest that has reported all is quiet.
 *   A zone with fewer pages than the watermark and a batch together will never
 *   be served, and nobody waits for it. The timer is not deferrable: that would
 *   save a wakeup a minute, but an idle CPU could keep it for ever.
 * - A budget was spent, or a block came to a list that had been walked, as it
 *   merged while it was put back, or as an allocation split one: the next pass
 *   follows after the normal delay. Each has something to do, or is the last.
 * - The system goes to sleep: the pass ends, and waking up asks for one.
 *
 * Where pacing decides, the same timer ends its waits: something is kept for now,
 * and may go when it has been kept for long enough. It is armed for what is due
 * first, and not at all when nothing is kept.
 *
 * A pass takes no memory. What it needs was allocated at registration, but for
 * what is known of a node that has come since.
 */

/**
 * DOC: sleep
 *
 * The workqueue freezes with the system, which waits for a pass that runs. From
 * the notice that the system is about to sleep on, passes end before the next
 * report, and new ones end before the first.
 *
 * After hibernation the host has other memory: the loader of the image used
 * pages that the image takes for free and reported. So all marks are cleared
 * before the first pass. Suspending to RAM changes nothing for the host.
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
 * the order's lock        page_reporting_order, who chose it, and what it will
 *                         be after the pass that runs
 * the flush's locks       page_reporting_flush.c: a mutex for as long as a flush
 *                         takes, a spinlock for how far it is
 * zone->lock              free lists, PG_reported of the blocks on them, and what
 *                         is known of the zone: page_reporting_zone.c
 * none                    the batch, the CPU time that pacing allows, the counts
 *                         of errors and retries, and where the next pass
 *                         begins: they belong to the work item, which never
 *                         runs twice at a time
 * ======================  ====================================================
 *
 * Order: page_reporting_mutex, then the memory hotplug lock, zone->lock or the
 * flush's spinlock; the flush's mutex, then what drains the per-CPU lists.
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
 *    memory are left alone. Its pageblocks keep their type.
 * #. In the driver's hands, together with the rest of the batch.
 * #. Put back at the tail of the list of its order and its pageblock's type,
 *    where it is allocated last. A part of it may have become MIGRATE_ISOLATE
 *    meanwhile: then each pageblock goes back by itself, to the list of its type.
 *    PG_reported is set if the driver had no error and the block did not merge
 *    with a neighbour that was freed meanwhile; the merged block is a new
 *    block that the host does not have, and asks for another pass. If all that
 *    it merged with came back marked before, the host has the whole of it, and
 *    the whole is marked.
 * #. Allocated, merged, split or taken offline: off the list, and the mark is
 *    cleared on the way.
 *
 * Blocks go back in one place, page_reporting_drain(), whatever happened:
 * after a full batch, after the rest at the end of a zone, after an error. No
 * path leaves the walk with blocks in the batch.
 *
 * memory_failure() sets PG_hwpoison without zone->lock, so that the mark, which
 * shares a word with it, is set and cleared atomically. A page that turns bad
 * while it is away is neither free nor in use for memory_failure(), which leaves it
 * alone but flagged, as it does with pages on their way between other lists; a
 * kernel that checks pages at allocation will not hand it out.
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

#include <kunit/static_stub.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/page-isolation.h>
#include <linux/page_reporting.h>
#include <linux/pageblock-flags.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/timer.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#define CREATE_TRACE_POINTS
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"

/* As a delay, and the default: pacing decides. Reads -1. */
#define PAGE_REPORTING_ADAPTIVE		UINT_MAX
/* Drivers register first and make the device live afterwards. */
#define PAGE_REPORTING_READY_MS		2000U
/* More than an hour between passes is a typing error, not a wish. */
#define PAGE_REPORTING_DELAY_MAX_MS	(60U * 60 * 1000)

/*
 * Waits after a failure grow from the normal delay to a minute: a host that is
 * upgraded is back by then, and a call a minute costs nothing. Never less than
 * the first of these, whatever the user's delay.
 */
#define PAGE_REPORTING_RETRY_MIN_MS	100U
#define PAGE_REPORTING_RETRY_MAX_MS	(60U * 1000)

/*
 * A free list is handed over in about this many passes. With a delay of two
 * seconds, most of what was freed at once is back on the host within 12 s, while
 * memory that is used again within seconds keeps most of its backing.
 */
#define PAGE_REPORTING_PASSES		6

/*
 * Blocks of a list that are looked at under one hold of zone->lock: about 20 us
 * with pages of 4 KiB. To isolate a large one counts as several; one of any size
 * can be. Reported ones gather at the end, so that this many are seldom in the
 * way.
 */
#define PAGE_REPORTING_STEPS		256

/*
 * To isolate a block of half a pageblock or more takes as long as a step for so
 * many of its pages: __isolate_free_page() looks at all pages of the pageblocks
 * to make them movable. 9 us for 4 MiB, with 4 KiB pages.
 */
#define PAGE_REPORTING_PAGES_PER_STEP	8

/*
 * The smallest block that is reported by default where pacing decides. What is
 * smaller is what the allocator keeps on per-CPU lists and the kernel asks for
 * all the time. Not below it: with reports of 4 KiB, a compilation took 18 %
 * longer, as the host lost its huge pages (HyperAlloc, EuroSys 2025).
 */
#define PAGE_REPORTING_FLOOR		(PAGE_ALLOC_COSTLY_ORDER + 1)

/* sg->length is an unsigned int */
static_assert((u64)PAGE_SIZE << MAX_PAGE_ORDER <= UINT_MAX);

/**
 * struct page_reporting_snapshot - what the decision is made from
 * @free_pages: free pages of the zone
 * @unaccepted_pages: those of them that the host has not given to the guest yet
 * @managed_pages: all pages of the zone that the allocator manages
 * @low_wmark: the zone's low watermark, in pages
 * @nr_free: blocks on the free lists of one order of the zone, of any type
 * @order: the reporting order
 * @capacity: blocks in a full batch
 * @delay_ms: the wait that the user asks for, in ms
 */
struct page_reporting_snapshot {
	unsigned long free_pages;
	unsigned long unaccepted_pages;
	unsigned long managed_pages;
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
 * @room: pages that may be away at a time
 * @put_off: not now, but try again later
 */
struct page_reporting_plan {
	unsigned long budget;
	unsigned long room;
	unsigned int delay_ms;
	bool put_off;
};

/**
 * struct page_reporting_pass - one walk over free memory
 * @prdev: the device
 * @zone: the zone that is walked; the batch never spans two
 * @order: the reporting order, the same throughout
 * @place: the list that is walked, by its place in the walk
 * @second: the lists before @prdev->start are walked, after the others
 * @nents: blocks in the batch, at the front of @prdev->sgl
 * @limit: blocks that the batch may have
 * @nr_pages: pages in the batch
 * @orders: bit for each order of which the zone had unreported blocks
 * @adaptive: pacing decides how much to report, and when to come back
 * @paced: @adaptive, and no flush wants more than that
 * @grant: pages that pacing lets go from this zone, for each range of orders
 * @allowed: blocks that the CPU cap lets go from this zone
 * @wait_ms: when pacing wants to be asked again, in ms
 * @free_blocks: in all zones, reported or not, when the pass began
 * @cpu_ns: CPU time of this task that is accounted for
 * @flush: ticket of the flush that it works for, or 0
 * @blocks: blocks that the device took
 * @pages: pages in them
 * @room: pages that the batch may have
 * @passed: marked blocks of the list that the walk has left behind
 * @err: what the driver's last call returned
 * @stopped: why the pass has to end before the next report, or 0
 * @served: one of its calls succeeded
 * @more: there is more to report right away: a budget ended before its list
 *	did, or a block came to a list that had been walked
 * @put_off: something was left alone that can be reported later
 * @short_of: the zone has too little memory for now
 */
struct page_reporting_pass {
	struct page_reporting_dev_info *prdev;
	struct zone *zone;
	unsigned int order;
	unsigned long place;
	bool second;
	unsigned int nents;
	unsigned int limit;
	unsigned long nr_pages;
	unsigned long orders;
	bool adaptive;
	bool paced;
	u64 grant[PAGE_REPORTING_RANGES];
	u64 allowed;
	unsigned int wait_ms;
	u64 free_blocks;
	u64 cpu_ns;
	unsigned long flush;
	unsigned long blocks;
	unsigned long pages;
	unsigned long room;
	unsigned long passed;
	int err;
	int stopped;
	bool served;
	bool more;
	bool put_off;
	bool short_of;
};

/* Why the walk of a free list stopped, if it did. */
enum page_reporting_stop {
	PAGE_REPORTING_GO_ON,
	PAGE_REPORTING_PAUSE,
	PAGE_REPORTING_BATCH_FULL,
	PAGE_REPORTING_NO_ROOM,
	PAGE_REPORTING_BUDGET_SPENT,
	PAGE_REPORTING_NOT_NOW,
};

DEFINE_STATIC_KEY_FALSE(page_reporting_enabled);

static DEFINE_MUTEX(page_reporting_mutex);
static struct page_reporting_dev_info __rcu *page_reporting_dev;

/* The list of every device with the default capacity, or with a smaller one. */
static struct scatterlist page_reporting_sgl[PAGE_REPORTING_CAPACITY];

/* Who is in the driver's report() right now. */
static struct task_struct *page_reporting_reporter;

/* The system is about to sleep, sleeps, or has just woken up. */
static bool page_reporting_asleep;

static DEFINE_SPINLOCK(page_reporting_order_lock);
static bool page_reporting_order_from_user;
/* What the device asks for, and 0 if it has no wish; undecided without one. */
static unsigned int page_reporting_order_asked = PAGE_REPORTING_ORDER_UNSPECIFIED;
/* A pass runs, and a change waits for its end in page_reporting_order_next. */
static bool page_reporting_order_held;
static unsigned int page_reporting_order_next = PAGE_REPORTING_ORDER_UNSPECIFIED;

unsigned int page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
EXPORT_SYMBOL_GPL(page_reporting_order);

static unsigned int page_reporting_delay_ms = PAGE_REPORTING_ADAPTIVE;

/* CPU time that pacing allows. Only the work item uses it. */
static struct page_reporting_cap page_reporting_cap;

/*
 * The policy, and all of it: a share of each list a pass, in whole batches so
 * that few calls to the driver are small ones; nothing where a batch of the
 * smallest blocks could push the zone below its low watermark, and of larger
 * blocks only as many at a time as cannot.
 */
static struct page_reporting_plan
page_reporting_decide(const struct page_reporting_snapshot *snap)
{
	unsigned long in_flight = (unsigned long)snap->capacity << snap->order;
	unsigned long needed = snap->low_wmark + in_flight;
	unsigned long usable = snap->free_pages - min(snap->free_pages,
						      snap->unaccepted_pages);
	struct page_reporting_plan plan = { .delay_ms = snap->delay_ms };

	/* A zone that can never have that much is not waited for. */
	if (usable < needed) {
		plan.put_off = snap->managed_pages >= needed;
		return plan;
	}

	plan.room = usable - snap->low_wmark;
	plan.budget = roundup(DIV_ROUND_UP(snap->nr_free,
					   PAGE_REPORTING_PASSES),
			      snap->capacity);
	return plan;
}

/* The wait after a failure, when there were @before of them in a row already. */
static unsigned int page_reporting_backoff(unsigned int delay_ms,
					   unsigned int before)
{
	unsigned int first = max(delay_ms, PAGE_REPORTING_RETRY_MIN_MS);
	unsigned int most = max(first, PAGE_REPORTING_RETRY_MAX_MS);

	/* Ten times suffice from the shortest, and do not overflow the longest. */
	return min(first << min(before, 10U), most);
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

static bool page_reporting_is_adaptive(void)
{
	return READ_ONCE(page_reporting_delay_ms) == PAGE_REPORTING_ADAPTIVE;
}

/* The wait before a pass that a free asks for. */
static unsigned int page_reporting_next_delay(void)
{
	/* No list is looked at here; a capacity of 0 has no whole batches. */
	struct page_reporting_snapshot snap = {
		.capacity = 1,
		.delay_ms = READ_ONCE(page_reporting_delay_ms),
	};

	if (snap.delay_ms == PAGE_REPORTING_ADAPTIVE)
		return PAGE_REPORTING_FIRST_MS;
	return page_reporting_decide(&snap).delay_ms;
}

/* True if nobody else has asked for a pass, nor will at the end of this one. */
static bool page_reporting_ask_for_pass(struct page_reporting_dev_info *prdev)
{
	/* Frees come in floods: no write to a shared cache line for each. */
	if (atomic_read(&prdev->state) == PAGE_REPORTING_REQUESTED)
		return false;

	return atomic_xchg(&prdev->state, PAGE_REPORTING_REQUESTED) ==
	       PAGE_REPORTING_IDLE;
}

static void page_reporting_request(struct page_reporting_dev_info *prdev)
{
	unsigned int delay_ms;

	if (!page_reporting_ask_for_pass(prdev))
		return;
	delay_ms = page_reporting_next_delay();
	page_reporting_queue(prdev, delay_ms);
	trace_page_reporting_request(delay_ms);
}

/*
 * Nothing was freed since, or a pass is on its way already. What pacing waits
 * for is due now, and a tick for each of its windows adds up.
 */
static void page_reporting_retry(struct timer_list *timer)
{
	struct page_reporting_dev_info *prdev = from_timer(prdev, timer, retry);

	if (!page_reporting_is_adaptive()) {
		page_reporting_request(prdev);
	} else if (page_reporting_ask_for_pass(prdev)) {
		/* No zone->lock is held here: a worker can be woken. */
		queue_delayed_work(system_freezable_wq, &prdev->work, 0);
		trace_page_reporting_request(0);
	}
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

/* Jiffies until the device takes reports; 0 if it does. */
static unsigned long
page_reporting_until_ready(const struct page_reporting_dev_info *prdev)
{
	u64 now = get_jiffies_64();

	return now < prdev->ready_at ? prdev->ready_at - now : 0;
}

/**
 * page_reporting_run_now - begin a pass without delay
 *
 * If one runs, another one follows it.
 *
 * Context: any but under zone->lock.
 * Return: 0, or -ENODEV without a device.
 */
int page_reporting_run_now(void)
{
	struct page_reporting_dev_info *prdev;

	/* Pairs with the grace period in page_reporting_unregister(). */
	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (!prdev)
		return -ENODEV;
	mod_delayed_work(system_freezable_wq, &prdev->work,
			 page_reporting_until_ready(prdev));
	return 0;
}

/* A pass that is waiting for its time gets the delay that holds now. */
static void page_reporting_requeue(void)
{
	struct page_reporting_dev_info *prdev;
	unsigned long delay = msecs_to_jiffies(page_reporting_next_delay());

	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (!prdev || !delayed_work_pending(&prdev->work))
		return;
	/* It waits because of an error: no reason to try sooner. */
	if (READ_ONCE(prdev->late))
		return;
	mod_delayed_work(system_freezable_wq, &prdev->work,
			 max3(delay, page_reporting_until_ready(prdev), 1UL));
	/* Who asked for it at once, while we looked away, asked before us. */
	if (page_reporting_flush_pending())
		page_reporting_run_now();
}

static void page_reporting_reset_batch(struct page_reporting_pass *pass)
{
	sg_init_table(pass->prdev->sgl, pass->prdev->sgl_nents);
	pass->nents = 0;
	pass->nr_pages = 0;
}

/* Moves what is free in half a pageblock to the lists of another type. */
static void __page_reporting_move_half(struct zone *zone, struct page *page,
				       unsigned int order, int mt)
{
	struct page *end = page + (1UL << order);

	while (page < end) {
		if (!PageBuddy(page)) {
			page++;
			continue;
		}
		list_move_tail(&page->buddy_list,
			       &zone->free_area[buddy_order(page)].free_list[mt]);
		page += 1UL << buddy_order(page);
	}
}

/*
 * __isolate_free_page() makes large blocks movable, for compaction, which fills
 * them. Ours go back empty, and stay what they were: @mt, with their mark or
 * without. Only types that merge are changed, and the counters of free pages
 * make no difference between those.
 */
static void __page_reporting_keep_type(struct zone *zone, struct page *page,
				       unsigned int order, int mt)
{
	unsigned long i;

	if (get_pageblock_migratetype(page) == mt)
		return;

	for (i = 0; i < 1UL << order; i += pageblock_nr_pages)
		set_pageblock_migratetype(page + i, mt);

	/* The other half of the pageblock has been moved as well. */
	if (order < pageblock_order)
		__page_reporting_move_half(zone,
					   pfn_to_page(page_to_pfn(page) ^
						       (1UL << order)),
					   order, mt);
}

static bool __page_reporting_isolate(struct zone *zone, struct page *page,
				     unsigned int order)
{
	unsigned int range = page_reporting_range(order);
	u64 *in_flight = &page_reporting_zone(zone)->in_flight[range];
	int mt = get_pageblock_migratetype(page);

	/* First: it leaves the list, but not to be used. */
	*in_flight += 1UL << order;
	if (!__isolate_free_page(page, order)) {
		*in_flight -= 1UL << order;
		return false;
	}

	__page_reporting_keep_type(zone, page, order, mt);
	page_reporting_debug_isolated(order);
	return true;
}

static enum page_reporting_stop
__page_reporting_take(struct page_reporting_pass *pass, struct page *page,
		      unsigned int order, unsigned long *budget)
{
	lockdep_assert_held(&pass->zone->lock);

	if (!*budget)
		return PAGE_REPORTING_BUDGET_SPENT;
	/* One that does not even fit alone is for a better time. */
	if (pass->nr_pages + (1UL << order) > pass->room)
		return pass->nents ? PAGE_REPORTING_NO_ROOM :
				     PAGE_REPORTING_NOT_NOW;
	if (!__page_reporting_isolate(pass->zone, page, order))
		return PAGE_REPORTING_NOT_NOW;

	sg_set_page(&pass->prdev->sgl[pass->nents++], page,
		    PAGE_SIZE << order, 0);
	pass->nr_pages += 1UL << order;
	if (pass->paced) {
		pass->grant[page_reporting_range(order)] -= 1UL << order;
		pass->allowed--;
	}
	--*budget;
	return pass->nents == pass->limit ?
	       PAGE_REPORTING_BATCH_FULL : PAGE_REPORTING_GO_ON;
}

/* The next walk of the list starts with @page, not with what came before. */
static void __page_reporting_turn(struct list_head *list, struct page *page)
{
	if (&page->buddy_list != list)
		list_rotate_to_front(&page->buddy_list, list);
}

/* How many steps it takes to isolate a block, besides the one to look at it. */
static unsigned int page_reporting_steps_of(unsigned int order)
{
	unsigned int pages = max(1UL << order, pageblock_nr_pages);

	return order < pageblock_order - 1 ? 0 :
					     pages / PAGE_REPORTING_PAGES_PER_STEP;
}

/*
 * Moves blocks that the host does not have from a free list to the batch, up to
 * @unreported of them: when there are no more, the rest of the list need not be
 * looked at.
 */
static enum page_reporting_stop
__page_reporting_fill(struct page_reporting_pass *pass, struct list_head *list,
		      unsigned int order, unsigned long unreported,
		      unsigned long *budget)
{
	unsigned int steps = PAGE_REPORTING_STEPS;
	enum page_reporting_stop stop;
	struct page *page, *next;

	list_for_each_entry_safe(page, next, list, buddy_list) {
		if (!unreported)
			break;
		if (!steps) {
			__page_reporting_turn(list, page);
			return PAGE_REPORTING_PAUSE;
		}
		steps--;
		if (PageReported(page)) {
			pass->passed++;
			continue;
		}

		unreported--;
		stop = __page_reporting_take(pass, page, order, budget);
		if (stop == PAGE_REPORTING_GO_ON) {
			steps -= min(steps, page_reporting_steps_of(order));
			continue;
		}

		/* What filled the batch has left the list. */
		__page_reporting_turn(list, stop == PAGE_REPORTING_BATCH_FULL ?
					    next : page);
		return stop;
	}
	return PAGE_REPORTING_GO_ON;
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
	struct scatterlist *sg;
	unsigned int i, order;

	spin_lock_irq(&pass->zone->lock);
	for_each_sg(pass->prdev->sgl, sg, pass->nents, i) {
		order = get_order(sg->length);
		__page_reporting_putback_parts(pass, sg_page(sg), order,
					       reported);
		__page_reporting_zone_back(pass->zone, order, reported,
					   pass->paced);
	}
	spin_unlock_irq(&pass->zone->lock);
}

/* Is this task inside of the driver's report()? */
static bool page_reporting_in_report(void)
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
	err = prdev->report(prdev, prdev->sgl, pass->nents);
	WRITE_ONCE(page_reporting_reporter, NULL);
	/* Neither 0 nor an error: no driver may do that. */
	if (WARN_ON_ONCE(err > 0))
		err = -EIO;
	trace_page_reporting_batch(pass->zone, pass->nents, pass->nr_pages, err,
				   ktime_get_ns() - begin_ns);
	return err;
}

/* The blocks themselves are counted where they are marked. */
static void page_reporting_count(struct page_reporting_pass *pass, int err)
{
	count_vm_event(PAGE_REPORTING_CALL);
	if (err) {
		count_vm_events(PGREPORT_FAIL, pass->nr_pages);
		return;
	}
	pass->blocks += pass->nents;
	pass->pages += pass->nr_pages;
	page_reporting_flush_add(pass->flush, pass->nr_pages);
}

/* One message for a series of errors. */
static void page_reporting_note(struct page_reporting_pass *pass, int err)
{
	struct page_reporting_dev_info *prdev = pass->prdev;

	pass->err = err;
	if (!err) {
		pass->served = true;
		pass->limit = min(2 * pass->limit, prdev->sgl_nents);
	} else if (!prdev->errors) {
		pr_warn_ratelimited("the device did not take %u blocks (error %d), trying again\n",
				    pass->nents, err);
	}
}

/* Somebody waits for this pass to end, and does not need the rest of it. */
static bool page_reporting_must_stop(struct page_reporting_dev_info *prdev)
{
	return rcu_access_pointer(page_reporting_dev) != prdev ||
	       READ_ONCE(page_reporting_asleep);
}

/* The same, and a flush is told. */
static bool page_reporting_ends(struct page_reporting_pass *pass)
{
	if (!page_reporting_must_stop(pass->prdev))
		return false;
	/* A device that went does not come back; a system that slept wakes up. */
	pass->stopped = rcu_access_pointer(page_reporting_dev) == pass->prdev ?
			-EBUSY : -ENODEV;
	return true;
}

/*
 * The CPU time since the last call went into @blocks blocks. What the user wants
 * reported, by a delay or a flush, is not to be paid for by pacing.
 */
static void page_reporting_charge(struct page_reporting_pass *pass,
				  unsigned int blocks)
{
	u64 now_ns;

	if (!pass->paced)
		return;
	now_ns = task_sched_runtime(current);
	page_reporting_cap_charge(&page_reporting_cap, blocks,
				  now_ns - pass->cpu_ns);
	pass->cpu_ns = now_ns;
}

/* Hands over the batch, if there is anything in it. False ends the pass. */
static bool page_reporting_send(struct page_reporting_pass *pass)
{
	int err;

	if (!pass->nents)
		return true;

	sg_mark_end(&pass->prdev->sgl[pass->nents - 1]);
	err = page_reporting_call(pass);
	page_reporting_drain(pass, !err);
	page_reporting_note(pass, err);
	page_reporting_count(pass, err);
	page_reporting_charge(pass, pass->nents);
	page_reporting_reset_batch(pass);
	cond_resched();
	return !err && !page_reporting_ends(pass);
}

static unsigned long page_reporting_unaccepted_pages(struct zone *zone)
{
#ifdef CONFIG_UNACCEPTED_MEMORY
	return zone_page_state(zone, NR_UNACCEPTED);
#else
	return 0;
#endif
}

/* What to do with each list of @order and @mt, from what is there right now. */
static struct page_reporting_plan
__page_reporting_plan(struct page_reporting_pass *pass, unsigned int order,
		      unsigned int mt)
{
	struct zone *zone = pass->zone;
	struct page_reporting_snapshot snap = {
		/* What is in the batch will be back. */
		.free_pages = zone_page_state(zone, NR_FREE_PAGES) +
			      pass->nr_pages,
		.unaccepted_pages = page_reporting_unaccepted_pages(zone),
		.managed_pages = zone_managed_pages(zone),
		.low_wmark = low_wmark_pages(zone),
		.nr_free = zone->free_area[order].nr_free,
		.order = pass->order,
		.capacity = pass->prdev->sgl_nents,
		.delay_ms = READ_ONCE(page_reporting_delay_ms),
	};

	/* Somebody is about to take these away, or to let them go silently. */
	if (is_migrate_isolate(mt))
		return (struct page_reporting_plan) { .put_off = true };

	return page_reporting_decide(&snap);
}

/* Blocks of an order that pacing and the CPU cap let go. */
static unsigned long
page_reporting_paced_budget(const struct page_reporting_pass *pass,
			    unsigned int order)
{
	u64 granted = pass->grant[page_reporting_range(order)] >> order;

	return min3(granted, pass->allowed, (u64)ULONG_MAX);
}

/*
 * Blocks that may yet be taken from a list of @order, of which @taken were; a
 * flush wants another @wanted pages, from whatever list.
 */
static unsigned long
page_reporting_budget(const struct page_reporting_pass *pass,
		      const struct page_reporting_plan *plan,
		      unsigned int order, unsigned long taken,
		      unsigned long wanted)
{
	if (plan->budget && pass->paced)
		return page_reporting_paced_budget(pass, order);
	if (!plan->budget || !pass->flush)
		return plan->budget - min(plan->budget, taken);

	/* Rounded up. What is in the batch counts. */
	wanted -= min(wanted, pass->nr_pages);
	return wanted ? ((wanted - 1) >> order) + 1 : 0;
}

/* One hold of zone->lock: at most a batch, from one list. */
static enum page_reporting_stop
page_reporting_fill(struct page_reporting_pass *pass, unsigned int order,
		    unsigned int mt, unsigned long *taken)
{
	struct list_head *list = &pass->zone->free_area[order].free_list[mt];
	struct page_reporting_plan plan;
	enum page_reporting_stop stop;
	unsigned long budget, left, wanted, unreported;

	/* Its lock is not to be taken under zone->lock. */
	wanted = page_reporting_flush_left(pass->flush);
	spin_lock_irq(&pass->zone->lock);
	unreported = __page_reporting_unreported(pass->zone, order);
	plan = __page_reporting_plan(pass, order, mt);
	budget = page_reporting_budget(pass, &plan, order, *taken, wanted);
	left = budget;
	pass->room = plan.room;
	stop = __page_reporting_fill(pass, list, order, unreported, &left);
	*taken += budget - left;
	spin_unlock_irq(&pass->zone->lock);

	/* There was something, and not even the first block could be had. */
	if (stop == PAGE_REPORTING_BUDGET_SPENT && !plan.budget)
		stop = plan.put_off ? PAGE_REPORTING_NOT_NOW :
				      PAGE_REPORTING_GO_ON;
	return stop;
}

/* Blocks on all lists of an order. They change meanwhile, which is as well. */
static unsigned long page_reporting_nr_free(struct zone *zone,
					    unsigned int order)
{
	/* An estimate, for ends that need not be exact. */
	return data_race(zone->free_area[order].nr_free);
}

static bool page_reporting_walk_list(struct page_reporting_pass *pass,
				     unsigned int order, unsigned int mt)
{
	enum page_reporting_stop stop;
	unsigned long taken = 0;
	bool more, go_on = true;
	unsigned int nents;

	/* No need to look for blocks that have to stay. */
	if (pass->paced && !page_reporting_paced_budget(pass, order))
		return true;

	pass->passed = 0;
	do {
		nents = pass->nents;
		stop = page_reporting_fill(pass, order, mt, &taken);
		/* To look for a block is paid for, but no part of its price. */
		if (pass->nents == nents)
			page_reporting_charge(pass, 0);
		more = stop == PAGE_REPORTING_BATCH_FULL ||
		       stop == PAGE_REPORTING_NO_ROOM;
		if (more)
			go_on = page_reporting_send(pass);
		/* Once around the list; what is new by then asks again. */
		if (stop == PAGE_REPORTING_PAUSE) {
			more = pass->passed <
			       page_reporting_nr_free(pass->zone, order);
			cond_resched();
		}
	} while (more && go_on);

	/* Others turn lists, too, and something may have been left out. */
	pass->more |= stop == PAGE_REPORTING_BUDGET_SPENT ||
		      (stop == PAGE_REPORTING_PAUSE && pass->flush);
	pass->put_off |= stop == PAGE_REPORTING_NOT_NOW ||
			 stop == PAGE_REPORTING_PAUSE;
	pass->short_of |= stop == PAGE_REPORTING_NOT_NOW && !is_migrate_isolate(mt);
	return go_on;
}

/* Of a list in the walk over all of them. */
static unsigned long page_reporting_place(struct zone *zone, unsigned int order,
					  unsigned int mt)
{
	unsigned long rank = zone_to_nid(zone) * MAX_NR_ZONES + zone_idx(zone);

	return (rank * NR_PAGE_ORDERS + MAX_PAGE_ORDER - order) *
	       MIGRATE_TYPES + mt;
}

/* Each list has its turn once, in one of two rounds. */
static bool page_reporting_has_turn(const struct page_reporting_pass *pass)
{
	return (pass->place < pass->prdev->start) == pass->second;
}

/*
 * From high to low: what is left when the budget ends is the smallest blocks,
 * which are the ones that allocations look at first.
 */
static bool page_reporting_walk_lists(struct page_reporting_pass *pass)
{
	int order, mt;

	/* To look at counts is free: it is not to use up what reports may take. */
	pass->cpu_ns = task_sched_runtime(current);
	for (order = MAX_PAGE_ORDER; order >= (int)pass->order; order--) {
		if (!(pass->orders & BIT(order)))
			continue;
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			pass->place = page_reporting_place(pass->zone, order, mt);
			if (page_reporting_has_turn(pass) &&
			    !page_reporting_walk_list(pass, order, mt))
				return false;
		}
	}
	return page_reporting_send(pass);
}

/*
 * The orders of which there are blocks to report. Of a zone that never has the
 * pages that page_reporting_decide() wants, there are none.
 */
static unsigned long __page_reporting_orders(struct page_reporting_pass *pass)
{
	unsigned long batch = (unsigned long)pass->prdev->sgl_nents << pass->order;
	unsigned long orders = 0;
	unsigned int order;

	if (zone_managed_pages(pass->zone) < low_wmark_pages(pass->zone) + batch)
		return 0;
	for (order = pass->order; order < NR_PAGE_ORDERS; order++)
		if (__page_reporting_unreported(pass->zone, order))
			orders |= BIT(order);
	return orders;
}

/*
 * What pacing lets go. While pageblocks are isolated it cannot know: they count
 * as free for a while, and other blocks would leave in their place.
 */
static u64 __page_reporting_granted(struct page_reporting_pass *pass)
{
	if (has_isolate_pageblock(pass->zone)) {
		pass->put_off = true;
		pass->orders = 0;
		return 0;
	}
	pass->allowed = page_reporting_cap_blocks(&page_reporting_cap);
	return __page_reporting_zone_decide(pass->zone, pass->grant);
}

/*
 * Is there anything to do here? It costs the same whatever the size of the
 * zone. What is freed later finds the pass ACTIVE, and asks for the next one.
 */
static bool page_reporting_ask(struct page_reporting_pass *pass)
{
	u64 granted = 0;

	/* For each zone: the price may be another one since the last. */
	page_reporting_cap_begin(&page_reporting_cap, pass->free_blocks,
				 page_reporting_now_ms());
	spin_lock_irq(&pass->zone->lock);
	pass->orders = __page_reporting_orders(pass);
	if (pass->orders && pass->paced)
		granted = __page_reporting_granted(pass);
	spin_unlock_irq(&pass->zone->lock);
	return pass->paced ? granted : pass->orders;
}

/* When to look at this zone again. What was put off has a timer of its own. */
static void page_reporting_ask_again(struct page_reporting_pass *pass)
{
	unsigned int wait_ms;

	if (pass->short_of || !pass->orders)
		return;
	spin_lock_irq(&pass->zone->lock);
	wait_ms = __page_reporting_zone_wait(pass->zone);
	spin_unlock_irq(&pass->zone->lock);
	pass->wait_ms = min(pass->wait_ms, wait_ms);
}

/*
 * What merges on its way back, and the parts of a block that an allocation splits,
 * may be on lists that were walked, and nothing announces them. Pacing looks at
 * the zone's level anyway.
 */
static void page_reporting_look_back(struct page_reporting_pass *pass)
{
	if (pass->paced || pass->put_off)
		return;
	spin_lock_irq(&pass->zone->lock);
	pass->more |= __page_reporting_orders(pass) != 0;
	spin_unlock_irq(&pass->zone->lock);
}

static bool page_reporting_walk_zone(struct page_reporting_pass *pass,
				     struct zone *zone)
{
	unsigned long blocks = pass->blocks, pages = pass->pages;
	u64 begin_ns = ktime_get_ns();
	bool go_on = true;

	pass->zone = zone;
	pass->short_of = false;
	if (!page_reporting_enter_zone(zone, pass->order)) {
		pass->put_off = true;
		return true;
	}
	if (page_reporting_ask(pass)) {
		go_on = page_reporting_walk_lists(pass);
		page_reporting_look_back(pass);
	}
	if (pass->adaptive)
		page_reporting_ask_again(pass);
	/* The other half of a walk that began elsewhere. */
	if (pass->second && pass->blocks == blocks)
		return go_on;
	if (pass->short_of)
		count_vm_event(PAGE_REPORTING_SKIP);
	trace_page_reporting_zone(zone, pass->blocks - blocks,
				  pass->pages - pages, pass->short_of,
				  ktime_get_ns() - begin_ns);
	return go_on;
}

static bool page_reporting_walk(struct page_reporting_pass *pass)
{
	struct zone *zone;

	for_each_populated_zone(zone)
		if (page_reporting_ends(pass) ||
		    !page_reporting_walk_zone(pass, zone))
			return false;
	return true;
}

/* While a pass runs, page_reporting_order stays: drivers compare with it. */
static unsigned int page_reporting_hold_order(void)
{
	unsigned int order;

	spin_lock(&page_reporting_order_lock);
	page_reporting_order_held = true;
	order = page_reporting_order;
	spin_unlock(&page_reporting_order_lock);
	return order;
}

static void page_reporting_release_order(void)
{
	spin_lock(&page_reporting_order_lock);
	page_reporting_order_held = false;
	if (page_reporting_order_next != PAGE_REPORTING_ORDER_UNSPECIFIED)
		WRITE_ONCE(page_reporting_order, page_reporting_order_next);
	page_reporting_order_next = PAGE_REPORTING_ORDER_UNSPECIFIED;
	spin_unlock(&page_reporting_order_lock);
}

/* The wait after a pass that is to be followed by another one. */
static unsigned int
page_reporting_delay_after(const struct page_reporting_pass *pass)
{
	unsigned int delay_ms = page_reporting_next_delay();

	if (!pass->err)
		return min(delay_ms, pass->wait_ms);
	return page_reporting_backoff(delay_ms, pass->prdev->errors - 1);
}

/* How long frees are waited for: not for ever, if something was left behind. */
static unsigned int page_reporting_patience(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	unsigned int backoff_ms;

	if (!pass->put_off)
		prdev->retries = 0;
	if (!pass->put_off || timer_pending(&prdev->retry))
		return pass->wait_ms;

	backoff_ms = page_reporting_backoff(page_reporting_next_delay(),
					    prdev->retries);
	if (pass->wait_ms <= backoff_ms)
		return pass->wait_ms;
	prdev->retries++;
	return backoff_ms;
}

static void page_reporting_arm_retry(const struct page_reporting_pass *pass)
{
	struct timer_list *timer = &pass->prdev->retry;
	unsigned int wait_ms = page_reporting_patience(pass);

	if (wait_ms != PAGE_REPORTING_NEVER)
		timer_reduce(timer, jiffies + msecs_to_jiffies(wait_ms));
	else if (!pass->put_off)
		timer_delete(timer);
}

/* Has another pass to follow, though nobody asks for one? */
static bool page_reporting_comes_back(const struct page_reporting_pass *pass)
{
	if (pass->err)
		return true;
	/* Longer waits are the timer's, and end when something is freed. */
	return pass->adaptive ? pass->wait_ms <= PAGE_REPORTING_FIRST_MS :
				pass->more;
}

/* What the next pass has to know of the errors of this one. */
static void page_reporting_note_errors(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;

	prdev->start = pass->err ? pass->place + 1 : 0;
	if (pass->err && pass->served)
		prdev->errors = max(prdev->errors, 2U) - 1;
	else if (pass->err)
		prdev->errors++;
	else if (pass->served)
		prdev->errors = 0;
}

static void page_reporting_end_pass(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;

	page_reporting_debug_end_pass();
	count_vm_event(PAGE_REPORTING_PASS);
	page_reporting_release_order();
	page_reporting_note_errors(pass);
	/* After an error the work itself comes back, and sees all zones. */
	if (!pass->err)
		page_reporting_arm_retry(pass);
	if (page_reporting_flush_leave(pass->flush, pass->more,
				       pass->stopped ?: pass->err))
		page_reporting_run_now();

	if (!page_reporting_comes_back(pass) &&
	    atomic_cmpxchg(&prdev->state, PAGE_REPORTING_ACTIVE,
			   PAGE_REPORTING_IDLE) == PAGE_REPORTING_ACTIVE)
		return;

	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	WRITE_ONCE(prdev->late, pass->err);
	/* Who changes the delay waits for those that have read the old one. */
	rcu_read_lock();
	page_reporting_queue(prdev, page_reporting_delay_after(pass));
	rcu_read_unlock();
}

/* Pacing wants to know how much a release of everything would cost. */
static u64 page_reporting_free_blocks(unsigned int low)
{
	struct zone *zone;
	unsigned int order;
	u64 blocks = 0;

	for_each_populated_zone(zone)
		for (order = low; order < NR_PAGE_ORDERS; order++)
			blocks += page_reporting_nr_free(zone, order);
	return blocks;
}

static void page_reporting_begin_pass(struct page_reporting_pass *pass)
{
	/*
	 * A full barrier, before the first zone->lock and before the order and
	 * page_reporting_asleep are read. Pairs with the zone->lock that a free
	 * holds, with smp_mb() in page_reporting_set_order() and smp_store_mb()
	 * in page_reporting_wake(): see "states" above.
	 */
	atomic_xchg(&pass->prdev->state, PAGE_REPORTING_ACTIVE);
	WRITE_ONCE(pass->prdev->late, false);
	pass->order = page_reporting_hold_order();
	page_reporting_mark_from(pass->order);
	pass->flush = page_reporting_flush_join();
	pass->limit = max(pass->prdev->sgl_nents >>
			  min(pass->prdev->errors, 31U), 1U);
	pass->adaptive = page_reporting_is_adaptive();
	pass->paced = pass->adaptive && !pass->flush;
	pass->wait_ms = PAGE_REPORTING_NEVER;
	pass->free_blocks = page_reporting_free_blocks(pass->order);
	page_reporting_reset_batch(pass);
	trace_page_reporting_pass_begin(pass->order, pass->flush);
}

static void page_reporting_work(struct work_struct *work)
{
	struct page_reporting_pass pass = {
		.prdev = container_of(work, struct page_reporting_dev_info,
				      work.work),
	};
	u64 begin_ns = ktime_get_ns();

	page_reporting_begin_pass(&pass);
	if (page_reporting_walk(&pass) && pass.prdev->start) {
		pass.second = true;
		page_reporting_walk(&pass);
	}
	trace_page_reporting_pass_end(pass.blocks, pass.pages, pass.err,
				      ktime_get_ns() - begin_ns);
	page_reporting_end_pass(&pass);
}

static void __page_reporting_change_order(unsigned int order)
{
	if (page_reporting_order_held)
		page_reporting_order_next = order;
	else
		WRITE_ONCE(page_reporting_order, order);
}

/* The order that the device is served with unless the user has set one. */
static unsigned int __page_reporting_order_of_device(void)
{
	if (page_reporting_order_asked)
		return page_reporting_order_asked;
	if (page_reporting_is_adaptive())
		return min_t(unsigned int, PAGE_REPORTING_FLOOR, pageblock_order);
	return pageblock_order;
}

static void __page_reporting_default_order(void)
{
	/* What the user has set stays. */
	if (!page_reporting_order_from_user)
		__page_reporting_change_order(__page_reporting_order_of_device());
}

/* A device comes, which asks for an order, or 0; or it has gone. */
static void page_reporting_ask_order(unsigned int order)
{
	spin_lock(&page_reporting_order_lock);
	page_reporting_order_asked = order;
	__page_reporting_default_order();
	spin_unlock(&page_reporting_order_lock);
}

static void page_reporting_user_order(unsigned int order)
{
	spin_lock(&page_reporting_order_lock);
	page_reporting_order_from_user = true;
	__page_reporting_change_order(order);
	spin_unlock(&page_reporting_order_lock);
}

/* What was set last, in effect or not yet. */
static unsigned int page_reporting_wanted_order(void)
{
	unsigned int order;

	spin_lock(&page_reporting_order_lock);
	order = page_reporting_order_next;
	if (order == PAGE_REPORTING_ORDER_UNSPECIFIED)
		order = page_reporting_order;
	spin_unlock(&page_reporting_order_lock);
	return order;
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

static void page_reporting_init_dev(struct page_reporting_dev_info *prdev)
{
	prdev->errors = 0;
	prdev->start = 0;
	prdev->retries = 0;
	INIT_DELAYED_WORK(&prdev->work, page_reporting_work);
	timer_setup(&prdev->retry, page_reporting_retry, 0);
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
 * two seconds from now: nothing is reported before, not by a flush either.
 *
 * Context: Process context. May sleep.
 * Return: 0, or -EBUSY while a device is registered, be it this one.
 */
int page_reporting_register(struct page_reporting_dev_info *prdev)
{
	/* Who unregisters the device holds the mutex, and waits for us. */
	if (page_reporting_in_report())
		return -EBUSY;

	guard(mutex)(&page_reporting_mutex);

	if (page_reporting_registered())
		return -EBUSY;

	page_reporting_get_sgl(prdev);
	page_reporting_ask_order(prdev->order <= MAX_PAGE_ORDER ? prdev->order : 0);
	page_reporting_init_dev(prdev);
	page_reporting_cap_init(&page_reporting_cap, page_reporting_now_ms());
	page_reporting_get_zones();

	/* The key is first: with it off, no mark would be cleared. */
	static_branch_enable(&page_reporting_enabled);

	/*
	 * The device may not be ready yet, whatever the user wants: the first
	 * pass is asked for here, before a free can ask for an earlier one.
	 */
	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	prdev->ready_at = get_jiffies_64() +
			  msecs_to_jiffies(PAGE_REPORTING_READY_MS);
	rcu_assign_pointer(page_reporting_dev, prdev);
	page_reporting_queue(prdev, max(page_reporting_next_delay(),
					PAGE_REPORTING_READY_MS));
	return 0;
}
EXPORT_SYMBOL_GPL(page_reporting_register);

/* A mistake in a driver, which would wait for itself. */
static void page_reporting_refuse(void *caller)
{
	/* KUnit makes the mistake on purpose, and counts. */
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_refuse, caller);
	WARN_ONCE(1, "page_reporting: %pS unregisters a device from inside of its report(): refused\n",
		  caller);
}

/**
 * page_reporting_unregister - stop to report free memory to a device
 * @prdev: the device; nothing happens unless it is the registered one
 *
 * When this returns, @prdev->report is not running and will not run again, and
 * all blocks are back on their free lists, none of them marked as reported.
 * Waits for a report that is under way, and so for the hypervisor; the pass ends
 * with it.
 *
 * A driver cannot unregister from inside of its @prdev->report: that would wait
 * for itself. Such a call is refused: it warns, once, with the caller's name,
 * and changes nothing; the device stays registered. Return an error instead,
 * and unregister from a work item.
 *
 * Context: Process context, but not @prdev->report. May sleep.
 */
void page_reporting_unregister(struct page_reporting_dev_info *prdev)
{
	if (page_reporting_in_report()) {
		page_reporting_refuse(__builtin_return_address(0));
		return;
	}

	guard(mutex)(&page_reporting_mutex);

	if (page_reporting_registered() != prdev)
		return;

	/*
	 * No new request by a free: __page_reporting_notify() pairs. The pass that
	 * still runs can arm the timer, and the timer queue the work: so the timer
	 * is shut down first, and can no longer be armed.
	 */
	RCU_INIT_POINTER(page_reporting_dev, NULL);
	synchronize_rcu();
	timer_shutdown_sync(&prdev->retry);
	cancel_delayed_work_sync(&prdev->work);
	page_reporting_flush_abort(-ENODEV);

	/* The key is last: with it off, no mark would be cleared any more. */
	page_reporting_sweep();
	static_branch_disable(&page_reporting_enabled);
	page_reporting_mark_none();
	page_reporting_put_zones();

	page_reporting_ask_order(PAGE_REPORTING_ORDER_UNSPECIFIED);
	page_reporting_put_sgl(prdev);
	page_reporting_assert(!delayed_work_pending(&prdev->work) &&
			      !timer_pending(&prdev->retry));
}
EXPORT_SYMBOL_GPL(page_reporting_unregister);

static void page_reporting_wake(void)
{
	/* Pairs with page_reporting_begin_pass(): it or we see the other. */
	smp_store_mb(page_reporting_asleep, false);
	/* For what was freed, and for the pass that was cut short. */
	__page_reporting_notify();
}

static int page_reporting_pm_notify(struct notifier_block *nb,
				    unsigned long event, void *unused)
{
	/*
	 * Not under page_reporting_mutex, which waits for the host when a device
	 * goes. A sweep beside that is one too many, and does no harm.
	 */
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(page_reporting_asleep, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		/* Without a device there are no marks, but a lot of memory. */
		if (static_key_enabled(&page_reporting_enabled))
			page_reporting_sweep();
		fallthrough;
	case PM_POST_SUSPEND:
		page_reporting_wake();
		break;
	}
	return NOTIFY_DONE;
}

static int __init page_reporting_init(void)
{
	pm_notifier(page_reporting_pm_notify, 0);
	return 0;
}
subsys_initcall(page_reporting_init);

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

	/* In effect now, or after the pass that runs. */
	page_reporting_user_order(order);
	/* Pairs with page_reporting_begin_pass(): it or we see the other. */
	smp_mb();
	/* A lower order makes free memory eligible that no free announces. */
	__page_reporting_notify();
	return 0;
}

/* Signed, so that "undecided" reads -1. */
static int page_reporting_get_order(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n",
			 (int)page_reporting_wanted_order());
}

static const struct kernel_param_ops page_reporting_order_ops = {
	.set = page_reporting_set_order,
	.get = page_reporting_get_order,
};
module_param_cb(page_reporting_order, &page_reporting_order_ops, NULL, 0644);
MODULE_PARM_DESC(page_reporting_order,
		 "Order of the smallest free block to report, 0 to MAX_PAGE_ORDER");

/* Where pacing decides, smaller blocks are reported too: true if that changes. */
static bool page_reporting_change_delay(unsigned int delay_ms)
{
	bool was_adaptive, changes;

	spin_lock(&page_reporting_order_lock);
	was_adaptive = page_reporting_is_adaptive();
	WRITE_ONCE(page_reporting_delay_ms, delay_ms);
	changes = page_reporting_is_adaptive() != was_adaptive;
	/* Else the order may be one that the driver has set since. */
	if (changes)
		__page_reporting_default_order();
	spin_unlock(&page_reporting_order_lock);
	return changes;
}

static int page_reporting_set_delay(const char *val,
				    const struct kernel_param *kp)
{
	unsigned int delay_ms;
	bool changes;

	if (sysfs_streq(val, "-1"))
		delay_ms = PAGE_REPORTING_ADAPTIVE;
	else if (page_reporting_parse(val, PAGE_REPORTING_DELAY_MAX_MS,
				      &delay_ms))
		return -EINVAL;

	/* Or who writes the same again and again would put off all passes. */
	if (delay_ms == page_reporting_delay_ms)
		return 0;

	changes = page_reporting_change_delay(delay_ms);
	if (!rcu_access_pointer(page_reporting_dev))
		return 0;
	/* Whoever has read the old one has queued the work by then. */
	synchronize_rcu();
	page_reporting_requeue();
	/* Pairs as in page_reporting_set_order(), and for the same reason. */
	smp_mb();
	if (changes)
		__page_reporting_notify();
	return 0;
}

static const struct kernel_param_ops page_reporting_delay_ops = {
	.set = page_reporting_set_delay,
	/* Signed, so that PAGE_REPORTING_ADAPTIVE reads -1. */
	.get = param_get_int,
};
module_param_cb(page_reporting_delay_ms, &page_reporting_delay_ops,
		&page_reporting_delay_ms, 0644);
MODULE_PARM_DESC(page_reporting_delay_ms,
		 "Wait before a pass over free memory, in ms, 0 to 3600000; -1: as it pays");

/**
 * page_reporting_get_status - what there is to see from outside
 *
 * Context: any.
 * Return: by value; what it names may be gone by then, and is for display.
 */
struct page_reporting_status page_reporting_get_status(void)
{
	struct page_reporting_status status = {
		.order = READ_ONCE(page_reporting_order),
	};
	struct page_reporting_dev_info *prdev;

	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (prdev) {
		status.report = prdev->report;
		status.state = atomic_read(&prdev->state);
	}
	return status;
}

#ifdef CONFIG_PAGE_REPORTING_DEBUG
bool page_reporting_is_running(void)
{
	bool held;

	spin_lock(&page_reporting_order_lock);
	held = page_reporting_order_held;
	spin_unlock(&page_reporting_order_lock);
	return held;
}
#endif

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_engine_kunit.h"
#endif
