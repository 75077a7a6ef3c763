// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: which free blocks the hypervisor has.
 */

/**
 * DOC: mark
 *
 * PG_reported on the head of a free block says that the hypervisor has it. This
 * file alone sets and clears the mark, under zone->lock, together with what is
 * counted about it, so that the counters cannot differ from the lists:
 *
 * ====================  =====================================================
 * in /proc/vmstat       counts
 * ====================  =====================================================
 * nr_free_reported      pages of the blocks that are marked now; also for each
 *                       zone in /proc/zoneinfo, and in each node's vmstat
 * pgreport              pages that the device took
 * pgreport_fail         pages that it was given and refused
 * pgreport_refault      pages of marked blocks that were allocated or filled by
 *                       compaction. Of a block that is split, the parts that
 *                       stay marked do not count, see "unit"
 * pgreport_merge        pages of marked blocks that became parts of larger,
 *                       unmarked ones, some of them on their way back already.
 *                       A block that is put together from marked ones alone is
 *                       marked, and does not count
 * pgreport_clear        pages of marked blocks that lost the mark for any other
 *                       reason: the balloon took them, or a free page hint;
 *                       they were isolated, to go offline or for a contiguous
 *                       allocation; a page of the block turned bad; the order
 *                       rose; the device went; the system hibernated
 * page_reporting_pass   passes over free memory
 * page_reporting_call   calls of the driver
 * page_reporting_skip   zones left alone in a pass, or a part of them, because
 *                       they were short of memory
 * ====================  =====================================================
 *
 * While nothing is in flight,
 *
 *	pgreport = nr_free_reported + pgreport_refault + pgreport_merge +
 *	pgreport_clear
 *
 * All of them are per-CPU sums, as nr_free_pages is. The equation holds once
 * each CPU has folded its share.
 */

/**
 * DOC: unit
 *
 * The host backs a guest's memory by huge pages of 2 MiB where it can. The
 * first touch of 4 KiB in a reported 2 MiB makes the host back all of it. So
 * the unit of account is such a huge page, or a pageblock where that is
 * smaller. When a marked block is split for an allocation, the parts that are a
 * unit or larger stay marked, and do not count as refaulted. Smaller parts lose
 * the mark, as the host has to back them again, and count. So
 *
 * - a marked block is one that the host does not back
 * - no part of a host's huge page is marked while another part is in use
 * - a report does not break up a huge page of the host
 *
 * Where the operator sets a lower order, the host is taken to back smaller
 * pages, and parts down to this order stay marked. Pacing is still charged
 * whole units when a block of a unit or more is used, and the pages themselves
 * when a smaller one is.
 */

/**
 * DOC: zones
 *
 * Marked blocks are counted for each zone and order. The allocator counts the
 * blocks on the free lists. The difference is the level: the free memory that
 * the hypervisor does not have. It takes a few additions to know, whatever the
 * size of the zone, and no list is looked at. Between passes it is kept up to
 * date with each block that comes and leaves. Pacing is told when it falls, see
 * mm/page_reporting_pacing.c.
 *
 * Programs and the kernel allocate from lists of different types. An allocation
 * takes a marked block of its own type before an unmarked one of another. If
 * one level stood for both, two demands that are seldom low at the same time
 * would have a surplus that neither has. So there are two pools, each with a
 * level of its own. What was free before the device came counts as movable, as
 * nobody knows its types without a walk over all lists. Blocks below the unit
 * of account have another price than larger ones, and are a third pool.
 *
 * The state of a zone is allocated when a pass first comes there, without a wait
 * for memory. If there is none, a later pass tries again.
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

/* Blocks that a sweep looks at under one hold of zone->lock: about 20 us. */
#define PAGE_REPORTING_SWEEP		256

/*
 * The smallest block that may be marked in any zone. It falls before the first
 * such mark is set and rises after the last one is gone. An unlock of the zone
 * follows the store and the mark, and whoever removes the block takes that
 * lock.
 */
unsigned int page_reporting_mark_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

/* The zones of which something is known. For the pass, and for unregistration. */
static LIST_HEAD(page_reporting_zones);

/**
 * __page_reporting_unreported - blocks that the hypervisor does not have
 * @zone: the zone, which a pass has entered
 * @order: their order
 *
 * Context: zone->lock held.
 * Return: how many, of all types.
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
 * __page_reporting_count_levels - count the level of each pool anew
 * @zone: the zone, which a pass has entered
 *
 * The hooks keep the levels up to date, but for the few blocks that come to a
 * free list without a free: beside a page that turned bad, or when an isolation
 * ends. Nor does a merge count that compaction captures.
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

/* The smallest block of a zone that may be marked from now on. */
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

/* Is this task taking memory for the host, as a balloon does? */
static bool page_reporting_is_balloon(void)
{
	return in_task() && current->flags & PF_BALLOON;
}

/*
 * Marks those parts of a block that stay marked when expand() frees them, from
 * large to small. Returns how many pages they have. See "unit" above.
 */
static unsigned long __page_reporting_keep_parts(struct page *page,
						 struct zone *zone,
						 unsigned int low,
						 unsigned int high)
{
	unsigned long kept = 0;

	low = max(low, page_reporting_floor(zone->page_reporting->order));
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

static bool
page_reporting_window_is_over(const struct page_reporting_demand *pool)
{
	return page_reporting_now_ms() >= pool->pacing.closes_ms;
}

static void __page_reporting_end_windows(struct page_reporting_demand *pool)
{
	if (page_reporting_window_is_over(pool))
		page_reporting_pacing_advance(&pool->pacing,
					      max(pool->level, 0LL),
					      page_reporting_now_ms());
}

/* Pacing is charged whole units, even where smaller parts keep their mark. */
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

/* The level of a pool changes by @change pages, not by use. */
static void __page_reporting_change(struct page_reporting_demand *pool,
				    s64 change)
{
	__page_reporting_end_windows(pool);
	pool->level += change;
}

/* A block that the hypervisor does not have is on a free list. */
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

/* It has left it, not by use. Returns its pool, or NULL if it counts in none. */
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

/* Pacing takes it for a block that was never there. */
static void __page_reporting_isolate(struct zone *zone, unsigned int order,
				     int mt)
{
	struct page_reporting_demand *pool = __page_reporting_went(zone, order, mt);

	if (pool)
		page_reporting_pacing_isolated(&pool->pacing, 1ULL << order);
}

/* What is split off is not on its lists yet, and counts already. */
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
		page_reporting_pacing_fell(&pool->pacing, max(pool->level, 0LL));
	/* Of a block of a unit or more, parts may be left that count as small. */
	low = max(low, small->pacing.order);
	if (pool != small && low < PAGE_REPORTING_UNIT_ORDER)
		__page_reporting_change(small, pages - (1LL << low));
}

/*
 * The three hooks below run for each block that is allocated, freed, or merged.
 * Their common case is a few instructions, without a call. False if there is more
 * to do; else the block's pool is in *@pool.
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

/* The mark goes, but not because the block is used. */
static void __page_reporting_forget(struct page *page, struct zone *zone,
				    unsigned int order)
{
	__page_reporting_clear(page, zone, order);
	count_vm_events(PGREPORT_CLEAR, 1UL << order);
}

/* To be reported, isolated or taken offline, or for a bad page: not by use. */
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
 * __page_reporting_freed - a block that can be reported has come to a free list
 * @zone: its zone
 * @order: its order, after merging
 * @mt: its migratetype
 *
 * Context: as page_reporting_notify_free().
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
	/* While a block is put back, the whole may turn out to be marked. */
	if (zone->page_reporting->joined)
		*zone->page_reporting->joined += 1UL << order;
	else
		count_vm_events(PGREPORT_MERGE, 1UL << order);
}

/* The block is off its list, and will be back as a part of another one. */
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

/* Its pages count in the pool of the new type from now on. */
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int old_mt, int new_mt)
{
	if (PageReported(page) || page_reporting_pool(order, old_mt) ==
				  page_reporting_pool(order, new_mt))
		return;
	/* Nobody has used it. */
	__page_reporting_isolate(zone, order, old_mt);
	__page_reporting_came(zone, order, new_mt);
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

/**
 * __page_reporting_put_back - a block that was isolated goes to its free list
 * @page: its head
 * @zone: its zone
 * @order: its order
 * @reported: the hypervisor has it now
 *
 * If it merges with marked blocks alone, the hypervisor has the whole of it,
 * and the whole is marked.
 *
 * Context: zone->lock held.
 * Return: true if it is marked as reported, or a part of a block that is.
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
 * Looks at the last blocks of a list, clears their marks and moves each to the
 * front: without marks, the order of a list means nothing. Returns how many
 * marked blocks of this order are left in the zone.
 */
static unsigned long page_reporting_sweep_list(struct zone *zone,
					       unsigned int order, int mt)
{
	struct list_head *list = &zone->free_area[order].free_list[mt];
	struct page_reporting_zone *state;
	unsigned int steps = PAGE_REPORTING_SWEEP;
	unsigned long left;

	spin_lock_irq(&zone->lock);
	/* The device may go meanwhile, and its marks with it. */
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

/* Marked blocks are near the tails, so a second round is seldom needed. */
static void page_reporting_sweep_order(struct zone *zone, unsigned int order)
{
	int mt = 0;

	while (page_reporting_sweep_list(zone, order, mt)) {
		mt = (mt + 1) % MIGRATE_TYPES;
		cond_resched();
	}
}

/**
 * page_reporting_sweep - forget what the hypervisor has
 * @below: the marks of blocks below this order; NR_PAGE_ORDERS for all
 *
 * Takes time in proportion to the marked blocks. Nobody may report meanwhile.
 * Large blocks go first, as the parts of a split block may stay marked.
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

/* From now on, no smaller block of any zone gets a mark by a split. */
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
 * page_reporting_mark_begin - a pass begins
 * @order: its reporting order
 *
 * Blocks down to this order, or down to the unit of account if that is smaller,
 * may be marked from now on. If the order has risen, marks on smaller blocks
 * are cleared.
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
 * page_reporting_enter_zone - a pass comes to a zone
 * @zone: the zone
 * @order: the reporting order of the pass
 *
 * What was learned from another order is forgotten.
 *
 * Context: Process context. One caller at a time.
 * Return: false if there is no memory for a new zone's state.
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
 * page_reporting_put_zones - the device went, and there is no mark
 *
 * Context: after page_reporting_sweep(), with the static key off.
 */
void page_reporting_put_zones(void)
{
	struct page_reporting_zone *state, *next;

	WRITE_ONCE(page_reporting_mark_order, PAGE_REPORTING_ORDER_UNSPECIFIED);
	list_for_each_entry_safe(state, next, &page_reporting_zones, list) {
		/* A hook that saw the key on holds the lock. */
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
