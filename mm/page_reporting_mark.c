// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: which free blocks are reported, and what is counted.
 */

/**
 * DOC: mark
 *
 * PG_reported on the first page of a free block says that the hypervisor was
 * told that it is free. Only this file sets and clears the mark, under
 * zone->lock, and updates the counters at the same time, so that they cannot
 * differ from the lists:
 *
 * ====================  =====================================================
 * in /proc/vmstat       counts
 * ====================  =====================================================
 * nr_free_reported      pages of the blocks that are marked now; also for each
 *                       zone in /proc/zoneinfo, and in each node's vmstat
 * pgreport              pages that were reported without an error
 * pgreport_fail         pages in reports that failed
 * pgreport_refault      pages of marked blocks that were allocated or filled by
 *                       compaction. If a block is split, the parts that stay
 *                       marked do not count, see "unit"
 * pgreport_merge        pages of marked blocks that became parts of larger,
 *                       unmarked ones, and of reported blocks that did so while
 *                       they were put back. A block that merges from marked
 *                       ones alone is marked, and does not count
 * pgreport_clear        pages of marked blocks that lost the mark for any other
 *                       reason: the balloon or free page hinting took them;
 *                       they were isolated, to go offline or for a contiguous
 *                       allocation; a page of the block turned bad; the order
 *                       was raised; the device was unregistered; the system
 *                       hibernated
 * page_reporting_pass   passes over free memory
 * page_reporting_call   calls of the driver
 * page_reporting_skip   zones that a pass skipped, fully or in part, because
 *                       they were short of memory
 * ====================  =====================================================
 *
 * While nothing is in flight,
 *
 *	pgreport = nr_free_reported + pgreport_refault + pgreport_merge +
 *	pgreport_clear
 *
 * All of them are collected per CPU, as nr_free_pages is. The equation holds
 * once each CPU has folded its share into the totals.
 */

/**
 * DOC: unit
 *
 * The host backs a guest's memory by huge pages of 2 MiB where it can. The
 * first touch of 4 KiB in a reported 2 MiB makes the host back all of it. So
 * the unit of account is such a huge page, or a pageblock where that is
 * smaller. When a marked block is split for an allocation, the parts of a unit
 * or more stay marked, and do not count as refaulted. Smaller parts lose the
 * mark and count as refaulted, as the host has to back them again. So
 *
 * - a marked block is one that the host does not back
 * - no part of a host's huge page is marked while another part is in use
 * - a report does not break up a huge page of the host
 *
 * If the operator sets a lower order, the host is assumed to back memory in
 * smaller pages, and parts down to this order stay marked. Pacing is still
 * charged whole units when a block of a unit or more is used. When a smaller
 * block is used, it is charged the pages of the block.
 */

/**
 * DOC: zones
 *
 * Marked blocks are counted for each zone and order. The allocator counts the
 * blocks on the free lists. The difference is the level: the free memory that
 * is not reported. It takes a few additions to compute, whatever the size of
 * the zone, and no list is walked. Between passes, the level is updated for
 * each block that is added to or removed from the free lists. Pacing is told
 * when it falls, see mm/page_reporting_pacing.c.
 *
 * Programs and the kernel allocate from lists of different migratetypes. An
 * allocation takes a marked block of its own type before an unmarked one of
 * another. If a single level covered both, two demands that peak in turn would
 * show a surplus that neither has. So there are two pools, each with a level of
 * its own. Memory that was free before the device was registered counts as
 * movable, as its types are unknown without a walk over all lists. Blocks below
 * the unit of account have another price than larger ones, and are a third
 * pool.
 *
 * The state of a zone is allocated by the first pass in it, without a wait for
 * memory. If there is none, a later pass tries again.
 */

#include <linux/align.h>
#include <linux/bug.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_reporting.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"

/* Blocks that a sweep looks at in one zone->lock section: about 20 us. */
#define PAGE_REPORTING_SWEEP		256

/*
 * Order of the smallest block that may be marked in any zone. It is lowered
 * before the first such mark is set, and raised after the last one is cleared.
 * The store and the mark are followed by an unlock of zone->lock, which whoever
 * removes the block takes. So a remover that sees the mark also sees the lower
 * order.
 */
unsigned int page_reporting_mark_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

/* The zones that have a state. Used by the pass and by unregistration only. */
static LIST_HEAD(page_reporting_zones);

/**
 * __page_reporting_unreported - count the unreported free blocks of an order
 * @zone: the zone, which a pass has entered
 * @order: the order
 *
 * Context: zone->lock held.
 * Return: their number, in all migratetypes together.
 */
unsigned long __page_reporting_unreported(struct zone *zone, unsigned int order)
{
	lockdep_assert_held(&zone->lock);
	return zone->free_area[order].nr_free -
	       zone->page_reporting->reported[order];
}

static u64 __page_reporting_sum(struct zone *zone, unsigned int low,
				unsigned int end)
{
	u64 pages = 0;
	unsigned int order;

	for (order = low; order < end; order++)
		pages += (u64)__page_reporting_unreported(zone, order) << order;
	return pages;
}

/**
 * __page_reporting_count_levels - compute the level of each pool anew
 * @zone: the zone, which a pass has entered
 *
 * The hooks keep the levels up to date, except for the few blocks that come to
 * a free list without a free: the rest of a block of which a page turned bad,
 * and blocks whose isolation ends. They also miss a merged block that
 * compaction captures.
 *
 * Context: zone->lock held.
 */
void __page_reporting_count_levels(struct zone *zone)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *movable, *kernel, *small;
	s64 sum;

	movable = &state->pool[PAGE_REPORTING_MOVABLE];
	kernel = &state->pool[PAGE_REPORTING_KERNEL];
	small = &state->pool[PAGE_REPORTING_SMALL];
	sum = __page_reporting_sum(zone, movable->pacing.order, NR_PAGE_ORDERS);
	kernel->level = clamp(kernel->level, 0LL, sum);
	movable->level = sum - kernel->level;
	small->level = __page_reporting_sum(zone, small->pacing.order,
					    PAGE_REPORTING_UNIT_ORDER);
}

/* Order of the smallest block that may be marked if @order is reported. */
static unsigned int page_reporting_floor(unsigned int order)
{
	return min_t(unsigned int, order, PAGE_REPORTING_UNIT_ORDER);
}

static void __page_reporting_set(struct page *page, struct zone *zone,
				 unsigned int order)
{
	SetPageReported(page);
	zone->page_reporting->reported[order]++;
	__mod_zone_page_state(zone, NR_FREE_REPORTED, 1L << order);
}

static void __page_reporting_clear(struct page *page, struct zone *zone,
				   unsigned int order)
{
	ClearPageReported(page);
	zone->page_reporting->reported[order]--;
	__mod_zone_page_state(zone, NR_FREE_REPORTED, -(1L << order));
}

/* Is this task allocating for the host, as a balloon does? */
static bool page_reporting_is_balloon(void)
{
	return in_task() && current->flags & PF_BALLOON;
}

/*
 * Marks those parts of a split block that stay marked when expand() frees them,
 * from large to small. Returns the number of their pages. See "unit" above.
 */
static unsigned long __page_reporting_keep_parts(struct page *page,
						 struct zone *zone,
						 unsigned int low,
						 unsigned int high)
{
	unsigned long kept = 0;

	low = max(low, page_reporting_floor(zone->page_reporting->order));
	while (high-- > low) {
		/* Guard pages are on no free list. */
		if (debug_guardpage_enabled() &&
		    high < debug_guardpage_minorder())
			continue;
		__page_reporting_set(page + (1UL << high), zone, high);
		kept += 1UL << high;
	}
	return kept;
}

static bool
page_reporting_window_is_over(const struct page_reporting_demand *pool)
{
	return page_reporting_now_ms() >= pool->pacing.closes_ms;
}

static void __page_reporting_end_windows(struct page_reporting_demand *pool)
{
	if (page_reporting_window_is_over(pool))
		page_reporting_pacing_advance(&pool->pacing,
					      page_reporting_level(pool),
					      page_reporting_now_ms());
}

/* Pacing is charged whole units, even if smaller parts keep their mark. */
static void __page_reporting_refault(struct page *page, struct zone *zone,
				     unsigned int order, int mt,
				     unsigned long nr_pages)
{
	enum page_reporting_pool pool;
	unsigned long charged = nr_pages;

	count_vm_events(PGREPORT_REFAULT, nr_pages);
	if (order >= PAGE_REPORTING_UNIT_ORDER)
		charged = ALIGN(nr_pages, 1UL << PAGE_REPORTING_UNIT_ORDER);
	pool = page_reporting_pool(order, mt);
	page_reporting_pacing_refaulted(&zone->page_reporting->pool[pool].pacing,
					charged, page_reporting_now_ms());
	trace_page_reporting_refault(zone, page_to_pfn(page), nr_pages);
}

static void __page_reporting_use_marked(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high,
					int mt)
{
	unsigned long used = 1UL << high;

	used -= __page_reporting_keep_parts(page, zone, low, high);
	__page_reporting_clear(page, zone, high);
	if (page_reporting_is_balloon())
		count_vm_events(PGREPORT_CLEAR, used);
	else
		__page_reporting_refault(page, zone, high, mt, used);
}

/* The level of a pool changes by @change pages, other than by an allocation. */
static void __page_reporting_change(struct page_reporting_demand *pool,
				    s64 change)
{
	__page_reporting_end_windows(pool);
	pool->level += change;
}

/* An unreported block was added to a free list. */
static void __page_reporting_came(struct zone *zone, unsigned int order, int mt)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool;

	if (!state)
		return;
	pool = &state->pool[page_reporting_pool(order, mt)];
	if (order >= pool->pacing.order)
		__page_reporting_change(pool, 1LL << order);
}

/*
 * An unreported block was removed from its free list, but was not allocated.
 * Returns its pool, or NULL if it counts in none.
 */
static struct page_reporting_demand *
__page_reporting_went(struct zone *zone, unsigned int order, int mt)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool;

	if (!state)
		return NULL;
	pool = &state->pool[page_reporting_counts_in(state, order, mt,
						     1LL << order)];
	if (order < pool->pacing.order)
		return NULL;
	__page_reporting_change(pool, -(1LL << order));
	return pool;
}

/*
 * An unreported block was removed but not allocated, and pacing is to treat it
 * as if it had never been free.
 */
static void __page_reporting_isolate(struct zone *zone, unsigned int order,
				     int mt)
{
	struct page_reporting_demand *pool = __page_reporting_went(zone, order, mt);

	if (pool)
		page_reporting_pacing_isolated(&pool->pacing, 1ULL << order);
}

/*
 * An unreported block was allocated, in whole or in part. The parts that are
 * split off are on no list yet, but are counted here already.
 */
static void __page_reporting_use_unmarked(struct zone *zone, unsigned int low,
					  unsigned int high, int mt)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool, *small;
	s64 pages;

	if (!state)
		return;
	small = &state->pool[PAGE_REPORTING_SMALL];
	pool = &state->pool[page_reporting_pool(high, mt)];
	if (high < pool->pacing.order)
		return;
	pages = 1LL << max(low, pool->pacing.order);
	pool = &state->pool[page_reporting_counts_in(state, high, mt, pages)];
	__page_reporting_change(pool, -pages);
	if (page_reporting_is_balloon())
		page_reporting_pacing_isolated(&pool->pacing, pages);
	else
		page_reporting_pacing_fell(&pool->pacing,
					   page_reporting_level(pool));
	/* The rest of a unit or more may have parts that count as small. */
	low = max(low, small->pacing.order);
	if (pool != small && low < PAGE_REPORTING_UNIT_ORDER)
		__page_reporting_change(small, pages - (1LL << low));
}

/*
 * The hooks for blocks that are allocated, freed, or merged are hot. Their
 * common case is a few instructions without a call. Returns false if there is
 * more to do; otherwise stores the block's pool in *@pool.
 */
static __always_inline bool
__page_reporting_is_common(struct zone *zone, unsigned int order, int mt,
			   struct page_reporting_demand **pool)
{
	struct page_reporting_zone *state = zone->page_reporting;

	if (unlikely(!state))
		return false;
	*pool = state->of[mt];
	return likely(order >= (*pool)->pacing.order &&
		      !page_reporting_window_is_over(*pool));
}

static noinline void __page_reporting_taken_any(struct page *page,
						struct zone *zone,
						unsigned int low,
						unsigned int high, int mt)
{
	if (PageReported(page))
		__page_reporting_use_marked(page, zone, low, high, mt);
	else
		__page_reporting_use_unmarked(zone, low, high, mt);
}

void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high, int mt)
{
	struct page_reporting_demand *pool;
	s64 pages = 1LL << low;

	if (likely(!PageReported(page) &&
		   __page_reporting_is_common(zone, low, mt, &pool) &&
		   pool->level >= pages &&
		   !(current->flags & PF_BALLOON)))
		page_reporting_pacing_fell(&pool->pacing, pool->level -= pages);
	else
		__page_reporting_taken_any(page, zone, low, high, mt);
}

/* Clears the mark for another reason than an allocation. */
static void __page_reporting_forget(struct page *page, struct zone *zone,
				    unsigned int order)
{
	__page_reporting_clear(page, zone, order);
	count_vm_events(PGREPORT_CLEAR, 1UL << order);
}

/*
 * The block was removed for another reason than an allocation: to be reported,
 * isolated or taken offline, or because a page turned bad.
 */
void __page_reporting_left(struct page *page, struct zone *zone,
			   unsigned int order, int mt)
{
	if (PageReported(page))
		__page_reporting_forget(page, zone, order);
	else
		__page_reporting_isolate(zone, order, mt);
}

static noinline void __page_reporting_freed_any(struct zone *zone,
						unsigned int order, int mt)
{
	__page_reporting_came(zone, order, mt);
	__page_reporting_notify();
}

/**
 * __page_reporting_freed - a block of the reporting order or above was freed
 * @zone: its zone
 * @order: its order after merging
 * @mt: its migratetype
 *
 * Context: The same as for page_reporting_notify_free().
 */
void __page_reporting_freed(struct zone *zone, unsigned int order, int mt)
{
	struct page_reporting_demand *pool;

	if (likely(__page_reporting_is_common(zone, order, mt, &pool))) {
		pool->level += 1LL << order;
		__page_reporting_notify();
	} else {
		__page_reporting_freed_any(zone, order, mt);
	}
}

static noinline void __page_reporting_merged_any(struct page *page,
						 struct zone *zone,
						 unsigned int order, int mt)
{
	if (!PageReported(page)) {
		__page_reporting_went(zone, order, mt);
		return;
	}
	__page_reporting_clear(page, zone, order);
	/* While a block is put back, the merged block may still be marked. */
	if (zone->page_reporting->joined)
		*zone->page_reporting->joined += 1UL << order;
	else
		count_vm_events(PGREPORT_MERGE, 1UL << order);
}

/* The block was removed, and is about to be added as a part of a larger one. */
void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order, int mt)
{
	struct page_reporting_demand *pool;
	s64 pages = 1LL << order;

	if (likely(!PageReported(page) &&
		   __page_reporting_is_common(zone, order, mt, &pool) &&
		   pool->level >= pages))
		pool->level -= pages;
	else
		__page_reporting_merged_any(page, zone, order, mt);
}

/* Moves an unreported block to the pool of its new migratetype. */
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int old_mt, int new_mt)
{
	if (PageReported(page) || page_reporting_pool(order, old_mt) ==
				  page_reporting_pool(order, new_mt))
		return;
	/* It was not allocated, so this is no fall for pacing. */
	__page_reporting_isolate(zone, order, old_mt);
	__page_reporting_came(zone, order, new_mt);
}

/* First page of the free block that contains @page, or NULL. */
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

/**
 * __page_reporting_put_back - put an isolated block back on its free list
 * @page: its first page
 * @zone: its zone
 * @order: its order
 * @reported: the driver has reported it
 *
 * A reported block that merges with marked blocks only gives a larger block,
 * all of it reported, which is marked.
 *
 * Context: zone->lock held.
 * Return: true if it is now marked, or part of a marked block.
 */
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported)
{
	struct page_reporting_zone *state = zone->page_reporting;
	int mt = get_pageblock_migratetype(page);
	unsigned long had = reported ? 1UL << order : 0;
	unsigned long joined = 0;
	struct page *head;

	lockdep_assert_held(&zone->lock);
	page_reporting_assert(!reported || order >= page_reporting_mark_order);

	state->joined = &joined;
	__putback_isolated_page(page, order, mt);
	state->joined = NULL;

	count_vm_events(PGREPORT, had);
	head = __page_reporting_head(page);
	order = buddy_order(head);
	if (had + joined == 1UL << order) {
		__page_reporting_set(head, zone, order);
		return true;
	}
	count_vm_events(PGREPORT_MERGE, had + joined);
	__page_reporting_came(zone, order, mt);
	return false;
}

/*
 * Clears the marks of the last blocks of a list and moves each block to the
 * front: without marks, the order of blocks on a list has no meaning. Returns
 * how many marked blocks of this order are left in the zone.
 */
static unsigned long page_reporting_sweep_list(struct zone *zone,
					       unsigned int order, int mt)
{
	struct list_head *list = &zone->free_area[order].free_list[mt];
	struct page_reporting_zone *state;
	unsigned int steps = PAGE_REPORTING_SWEEP;
	unsigned long left;

	spin_lock_irq(&zone->lock);
	/* If the device was unregistered meanwhile, there is no mark left. */
	state = zone->page_reporting;
	while (state && state->reported[order] && steps-- && !list_empty(list)) {
		struct page *page = list_last_entry(list, struct page, buddy_list);

		list_move(&page->buddy_list, list);
		if (PageReported(page)) {
			__page_reporting_forget(page, zone, order);
			__page_reporting_came(zone, order, mt);
		}
	}
	left = state ? state->reported[order] : 0;
	spin_unlock_irq(&zone->lock);
	return left;
}

/* Marked blocks are near the tails, so a second round is rarely needed. */
static void page_reporting_sweep_order(struct zone *zone, unsigned int order)
{
	int mt = 0;

	while (page_reporting_sweep_list(zone, order, mt)) {
		mt = (mt + 1) % MIGRATE_TYPES;
		cond_resched();
	}
}

/**
 * page_reporting_sweep - clear marks
 * @below: clears those of blocks below this order; NR_PAGE_ORDERS for all
 *
 * Takes time in proportion to the number of marked blocks. Nothing may be
 * reported meanwhile. Starts with the highest order, as the parts of a split
 * block may stay marked.
 *
 * Context: Process context. Takes the memory hotplug lock and each zone->lock.
 */
void page_reporting_sweep(unsigned int below)
{
	struct zone *zone;
	unsigned int order;

	get_online_mems();
	for_each_populated_zone(zone)
		for (order = below; order-- > 0;)
			page_reporting_sweep_order(zone, order);
	put_online_mems();
}

static void __page_reporting_init_zone(struct zone *zone,
				       struct page_reporting_zone *state,
				       unsigned int order)
{
	u64 now_ms = page_reporting_now_ms();
	enum page_reporting_pool pool;
	int mt;

	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		state->of[mt] = &state->pool[page_reporting_pool(MAX_PAGE_ORDER, mt)];
	state->order = order;
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++) {
		state->pool[pool].level = 0;
		state->pool[pool].pacing.order =
			pool == PAGE_REPORTING_SMALL ? order :
			max(order, PAGE_REPORTING_UNIT_ORDER);
	}
	__page_reporting_count_levels(zone);
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++)
		page_reporting_pacing_init(&state->pool[pool].pacing,
					   state->pool[pool].pacing.order,
					   state->pool[pool].level, now_ms);
}

/* After this, no split leaves a marked part below the floor of @order. */
static void page_reporting_raise_floor(unsigned int order)
{
	struct page_reporting_zone *state;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		state = zone->page_reporting;
		if (state && state->order < order)
			__page_reporting_init_zone(zone, state, order);
		spin_unlock_irq(&zone->lock);
	}
}

/**
 * page_reporting_mark_begin - prepare the marks for a pass
 * @order: its reporting order
 *
 * From now on, blocks down to this order may be marked, or down to the unit of
 * account if that is smaller. If this limit has risen, the marks of smaller
 * blocks are cleared.
 *
 * Context: Process context. One caller at a time, no zone->lock taken yet.
 */
void page_reporting_mark_begin(unsigned int order)
{
	unsigned int floor = page_reporting_floor(order);

	if (page_reporting_mark_order < floor) {
		page_reporting_raise_floor(order);
		page_reporting_sweep(floor);
	}
	WRITE_ONCE(page_reporting_mark_order, floor);
}

static bool page_reporting_new_zone(struct zone *zone, unsigned int order)
{
	struct page_reporting_zone *state;

	/* Reporting must not wait for memory: the host may be what frees it. */
	state = kzalloc(sizeof(*state), GFP_NOWAIT | __GFP_NOWARN);
	if (!state)
		return false;
	state->zone = zone;
	list_add(&state->list, &page_reporting_zones);
	spin_lock_irq(&zone->lock);
	zone->page_reporting = state;
	__page_reporting_init_zone(zone, state, order);
	spin_unlock_irq(&zone->lock);
	return true;
}

/**
 * page_reporting_enter_zone - prepare the state of a zone for a pass
 * @zone: the zone
 * @order: the reporting order of the pass
 *
 * If the order has changed, what pacing learned with the old one is dropped.
 *
 * Context: Process context. One caller at a time.
 * Return: false if there is no memory for the state of the zone.
 */
bool page_reporting_enter_zone(struct zone *zone, unsigned int order)
{
	struct page_reporting_zone *state = zone->page_reporting;

	if (!state)
		return page_reporting_new_zone(zone, order);
	if (state->order == order)
		return true;

	spin_lock_irq(&zone->lock);
	__page_reporting_init_zone(zone, state, order);
	spin_unlock_irq(&zone->lock);
	return true;
}

/**
 * page_reporting_put_zones - free the states of all zones
 *
 * Context: Unregistration, after page_reporting_sweep() has cleared all marks,
 * with the static key off.
 */
void page_reporting_put_zones(void)
{
	struct page_reporting_zone *state, *next;

	WRITE_ONCE(page_reporting_mark_order, PAGE_REPORTING_ORDER_UNSPECIFIED);
	list_for_each_entry_safe(state, next, &page_reporting_zones, list) {
		/* A hook that saw the key enabled holds this lock. */
		spin_lock_irq(&state->zone->lock);
		state->zone->page_reporting = NULL;
		spin_unlock_irq(&state->zone->lock);
		list_del(&state->list);
		kfree(state);
	}
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_mark_engine_kunit.h"
#endif
