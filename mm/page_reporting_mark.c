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
 * differ from the lists. nr_free_reported is the number of pages marked now. A
 * block that loses the mark counts in pgreport_refault if compaction filled it,
 * or anything but a balloon allocated it (parts that stay marked do not count,
 * see "unit"); in pgreport_merge if it became part of a larger, unmarked block,
 * maybe while it was put back; and otherwise in pgreport_clear.
 * Documentation/admin-guide/mm/free_page_reporting.rst has all counters, the
 * reasons, and how they add up.
 */

/**
 * DOC: unit
 *
 * The host backs a guest's memory by huge pages of 2 MiB where it can. The
 * first touch of 4 KiB in a reported one makes it back all 2 MiB. So the unit
 * of account is such a huge page, or a pageblock where that is smaller. When a
 * marked block is split for an allocation, the parts of a unit or more stay
 * marked. Smaller parts lose the mark and count as refaulted, as the host has
 * to back them again. So no part of a unit is marked while another part is in
 * use. Where that is 2 MiB, no report breaks up a huge page of the host.
 *
 * If the operator sets a lower order, the host is assumed to back memory in
 * smaller pages, and parts down to this order stay marked. Pacing is still
 * charged whole units when a block of a unit or more is used. For a smaller
 * block, it is charged the pages of the block.
 */

/**
 * DOC: zones
 *
 * The level of a pool is its free memory that is not reported: the blocks that
 * the allocator counts, less the marked ones that are counted here, for each
 * zone and order. This takes a few additions, whatever the size of the zone.
 * Between passes, the level is updated for each block that comes to the free
 * lists or leaves them, by its own pages, whatever it merges with. Pacing is
 * told when the level falls.
 *
 * Programs and the kernel allocate from lists of different migratetypes, and
 * take a marked block of their own type before an unmarked one of another. If
 * one level covered both, two demands that peak in turn would show a surplus
 * that neither has. So each has a pool. The allocator does not count blocks by
 * type, so each pass counts those on the kernel's lists, which are short where
 * programs have most of the memory. One block in the wrong pool would show a
 * surplus that never goes away, and pass after pass would report a busy block.
 * Where a list is too long for that, memory that was free before the device was
 * registered counts as movable. So a block can be larger than the level of the
 * kernel's pool, and then leaves the movable pool, whole. Blocks below the unit
 * of account have another price than larger ones, and are a third pool.
 */

#include <linux/align.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting_internal.h"

/*
 * Order of the smallest block that may be marked in any zone. It is lowered
 * before the first such mark is set, and raised after the last one is cleared.
 * Both the store and the mark come before an unlock of zone->lock, which is
 * taken to remove a block. So whoever sees the mark also sees the lower order.
 */
unsigned int page_reporting_mark_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

/* The zones that have a state. Used by the pass and by unregistration only. */
static LIST_HEAD(page_reporting_zones);

/* Unreported free pages in blocks of order @low to @end - 1, of all types. */
u64 __page_reporting_unreported(struct zone *zone, unsigned int low,
				unsigned int end)
{
	u64 pages = 0;
	unsigned int order;

	lockdep_assert_held(&zone->lock);
	for (order = low; order < end; order++)
		pages += (u64)(zone->free_area[order].nr_free -
			       zone->page_reporting->reported[order]) << order;
	return pages;
}

/*
 * Unreported pages in blocks of order @low or above on the kernel's lists. If a
 * list is too long to count, not less than @level.
 */
static s64 __page_reporting_kernel_level(struct zone *zone, unsigned int low,
					 s64 level)
{
	unsigned int order, nr;
	struct page *page;
	s64 pages = 0;
	int mt;

	for (order = low; order < NR_PAGE_ORDERS; order++) {
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			if (page_reporting_pool(order, mt) != PAGE_REPORTING_KERNEL)
				continue;
			nr = 0;
			list_for_each_entry(page, &zone->free_area[order].free_list[mt],
					    buddy_list) {
				if (nr++ == PAGE_REPORTING_COUNTED)
					return max(pages, level);
				if (!PageReported(page))
					pages += 1LL << order;
			}
		}
	}
	return pages;
}

/*
 * Computes the level of each pool anew. The hooks miss blocks that come to a
 * free list without a free: the rest of a block of which a page turned bad, and
 * blocks whose isolation ends. If compaction captures a merged block, what it
 * merged with stays in the level.
 */
void __page_reporting_count_levels(struct zone *zone)
{
	struct page_reporting_zone *state = zone->page_reporting;
	unsigned int unit = max(state->order, PAGE_REPORTING_UNIT_ORDER);
	s64 sum = __page_reporting_unreported(zone, unit, NR_PAGE_ORDERS);
	struct page_reporting_demand *movable = &state->pool[PAGE_REPORTING_MOVABLE];
	struct page_reporting_demand *kernel = &state->pool[PAGE_REPORTING_KERNEL];
	s64 level = kernel->level;

	kernel->level = __page_reporting_kernel_level(zone, unit, level);
	kernel->level = clamp(kernel->level, 0LL, sum);
	movable->level = sum - kernel->level;
	/* What changes the pool was in the old one by mistake. */
	if (kernel->level > level)
		page_reporting_pacing_isolated(&movable->pacing,
					       kernel->level - level);
	else
		page_reporting_pacing_isolated(&kernel->pacing,
					       level - kernel->level);
	state->pool[PAGE_REPORTING_SMALL].level =
		__page_reporting_unreported(zone, state->order, unit);
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

static void __page_reporting_use_marked(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high,
					int mt)
{
	enum page_reporting_pool pool = page_reporting_pool(high, mt);
	unsigned long used = 1UL << high;
	unsigned int part = high;

	low = max(low, min(zone->page_reporting->order, PAGE_REPORTING_UNIT_ORDER));
	/* Parts that stay marked when expand() frees them, see "unit" above. */
	while (part-- > low) {
		/* Guard pages are on no free list. */
		if (debug_guardpage_enabled() && part < debug_guardpage_minorder())
			continue;
		__page_reporting_set(page + (1UL << part), zone, part);
		used -= 1UL << part;
	}
	__page_reporting_clear(page, zone, high);
	if (page_reporting_is_balloon()) {
		count_vm_events(PGREPORT_CLEAR, used);
		return;
	}
	count_vm_events(PGREPORT_REFAULT, used);
	trace_page_reporting_refault(zone, page_to_pfn(page), used);
	/* Pacing is charged whole units, even if smaller parts stay marked. */
	if (high >= PAGE_REPORTING_UNIT_ORDER)
		used = ALIGN(used, 1UL << PAGE_REPORTING_UNIT_ORDER);
	page_reporting_pacing_refaulted(&zone->page_reporting->pool[pool].pacing,
					used, page_reporting_now_ms());
}

/* Changes the level of a pool. First closes the windows that are over. */
static void __page_reporting_change(struct page_reporting_demand *pool,
				    s64 change)
{
	if (page_reporting_now_ms() >= pool->pacing.closes_ms)
		page_reporting_pacing_advance(&pool->pacing,
					      page_reporting_level(pool),
					      page_reporting_now_ms());
	pool->level += change;
}

/*
 * A block of order @freed, which was not reported, was added to a free list and
 * is now of @order. What it merged with is in the level already, unless it was
 * too small for this pool: then its pages come with the block that they complete.
 */
static void __page_reporting_came(struct zone *zone, unsigned int order, int mt,
				  unsigned int freed)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool;

	if (!state)
		return;
	pool = &state->pool[page_reporting_pool(order, mt)];
	if (order < pool->pacing.order)
		return;
	if (order >= PAGE_REPORTING_UNIT_ORDER)
		order = max(freed, pool->pacing.order);
	__page_reporting_change(pool, 1LL << order);
}

/*
 * The pool that @pages leave now. If the kernel's level is lower than that, what
 * it has is first added to the level of the movable pool.
 */
static struct page_reporting_demand *
__page_reporting_leaves(struct page_reporting_zone *state, unsigned int order,
			int mt, s64 pages)
{
	enum page_reporting_pool pool = page_reporting_counts_in(state, order, mt, pages);

	if (pool != page_reporting_pool(order, mt)) {
		state->pool[pool].level += state->pool[PAGE_REPORTING_KERNEL].level;
		state->pool[PAGE_REPORTING_KERNEL].level = 0;
	}
	return &state->pool[pool];
}

/*
 * An unreported block was removed from its free list, but was not allocated.
 * @isolated: pacing is to treat it as if it had never been free
 */
static void __page_reporting_went(struct zone *zone, unsigned int order, int mt,
				  bool isolated)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool;

	if (!state)
		return;
	pool = &state->pool[page_reporting_pool(order, mt)];
	if (order < pool->pacing.order)
		return;
	pool = __page_reporting_leaves(state, order, mt, 1LL << order);
	__page_reporting_change(pool, -(1LL << order));
	if (isolated)
		page_reporting_pacing_isolated(&pool->pacing, 1ULL << order);
}

/*
 * A block was allocated, in whole or in part. The parts that are split off are
 * on no list yet, but are counted here already.
 */
static noinline void
__page_reporting_taken_any(struct page *page, struct zone *zone,
			   unsigned int low, unsigned int high, int mt)
{
	struct page_reporting_zone *state = zone->page_reporting;
	struct page_reporting_demand *pool, *small;
	s64 pages;

	if (PageReported(page)) {
		__page_reporting_use_marked(page, zone, low, high, mt);
		return;
	}
	if (!state)
		return;
	small = &state->pool[PAGE_REPORTING_SMALL];
	pool = &state->pool[page_reporting_pool(high, mt)];
	if (high < pool->pacing.order)
		return;
	pages = 1LL << max(low, pool->pacing.order);
	pool = __page_reporting_leaves(state, high, mt, pages);
	__page_reporting_change(pool, -pages);
	if (page_reporting_is_balloon())
		page_reporting_pacing_isolated(&pool->pacing, pages);
	else
		page_reporting_pacing_fell(&pool->pacing,
					   page_reporting_level(pool));
	/* Splitting a unit or more may leave parts that count as small. */
	low = max(low, small->pacing.order);
	if (pool != small && low < PAGE_REPORTING_UNIT_ORDER)
		__page_reporting_change(small, pages - (1LL << low));
}

/*
 * The hooks for blocks that are allocated or freed are hot. Their common case
 * is a few instructions without a call. Returns false if there is more to do;
 * otherwise stores the block's pool in *@pool.
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
		      page_reporting_now_ms() < (*pool)->pacing.closes_ms);
}

void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high, int mt)
{
	struct page_reporting_demand *pool;
	s64 left;

	if (likely(!PageReported(page) &&
		   __page_reporting_is_common(zone, high, mt, &pool) &&
		   max(low, zone->page_reporting->order) >= PAGE_REPORTING_UNIT_ORDER &&
		   !(current->flags & PF_BALLOON))) {
		left = pool->level - (1LL << max(low, pool->pacing.order));
		if (likely(left >= 0)) {
			pool->level = left;
			page_reporting_pacing_fell(&pool->pacing, left);
			return;
		}
	}
	__page_reporting_taken_any(page, zone, low, high, mt);
}

/*
 * The block was removed for another reason than an allocation: to be reported,
 * isolated or taken offline, or because a page turned bad.
 */
void __page_reporting_left(struct page *page, struct zone *zone,
			   unsigned int order, int mt)
{
	if (!PageReported(page)) {
		__page_reporting_went(zone, order, mt, true);
		return;
	}
	__page_reporting_clear(page, zone, order);
	count_vm_events(PGREPORT_CLEAR, 1UL << order);
}

static noinline void __page_reporting_freed_any(struct zone *zone,
						unsigned int order, int mt,
						unsigned int freed)
{
	unsigned int reported = READ_ONCE(page_reporting_order);

	__page_reporting_came(zone, order, mt, freed);
	/* One fragment is enough to ask for a pass. */
	if (order < reported)
		WRITE_ONCE(page_reporting_notify_order, reported);
	__page_reporting_notify();
}

/* A block became one of page_reporting_notify_order or above by a free. */
void __page_reporting_freed(struct zone *zone, unsigned int order, int mt,
			    unsigned int freed)
{
	struct page_reporting_demand *pool;

	if (likely(__page_reporting_is_common(zone, order, mt, &pool))) {
		order = pool->pacing.order;
		if (!PAGE_REPORTING_FREES_UNITS)
			order = max(order, freed);
		pool->level += 1LL << order;
		__page_reporting_notify();
	} else {
		__page_reporting_freed_any(zone, order, mt, freed);
	}
}

/*
 * The block was removed, and is about to be added as a part of a larger one,
 * which is not marked. So its pages have to be in a level, unless
 * __page_reporting_came() counts them as a part of the larger block.
 */
void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order, int mt)
{
	bool small = order < PAGE_REPORTING_UNIT_ORDER;

	if (!PageReported(page)) {
		if (small)
			__page_reporting_went(zone, order, mt, false);
		return;
	}
	__page_reporting_clear(page, zone, order);
	if (!small)
		__page_reporting_came(zone, order, mt, order);
	/* While a block is put back, the merged block may still be marked. */
	if (zone->page_reporting->joined)
		*zone->page_reporting->joined += 1UL << order;
	else
		count_vm_events(PGREPORT_MERGE, 1UL << order);
}

/* Moves an unreported block to the pool of its new migratetype. */
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int old_mt, int new_mt)
{
	if (PageReported(page) || page_reporting_pool(order, old_mt) ==
				  page_reporting_pool(order, new_mt))
		return;
	/* It was not allocated, so this is no fall for pacing. */
	__page_reporting_went(zone, order, old_mt, true);
	__page_reporting_came(zone, order, new_mt, order);
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

/*
 * Puts an isolated block back on its free list. If it was reported, and merges
 * with marked blocks only, all of the larger block is reported, and is marked.
 * Returns whether the block is now marked, or part of a marked one.
 */
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported)
{
	struct page_reporting_zone *state = zone->page_reporting;
	int mt = get_pageblock_migratetype(page);
	unsigned long had = reported ? 1UL << order : 0;
	s64 level = state->of[mt]->level;
	unsigned long joined = 0;
	unsigned int whole;
	struct page *head;

	page_reporting_assert(!reported || order >= page_reporting_mark_order);

	state->joined = &joined;
	__putback_isolated_page(page, order, mt);
	state->joined = NULL;

	count_vm_events(PGREPORT, had);
	head = __page_reporting_head(page);
	whole = buddy_order(head);
	if (had + joined == 1UL << whole) {
		__page_reporting_set(head, zone, whole);
		/* The marked blocks that it merged with are in no level. */
		state->of[mt]->level = level;
		return true;
	}
	count_vm_events(PGREPORT_MERGE, had + joined);
	__page_reporting_came(zone, whole, mt, order);
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
	unsigned int steps = PAGE_REPORTING_STEPS;
	unsigned long left;

	spin_lock_irq(&zone->lock);
	/* If the device was unregistered meanwhile, there is no mark left. */
	state = zone->page_reporting;
	while (state && state->reported[order] && steps-- && !list_empty(list)) {
		struct page *page = list_last_entry(list, struct page, buddy_list);

		list_move(&page->buddy_list, list);
		if (PageReported(page)) {
			__page_reporting_left(page, zone, order, mt);
			__page_reporting_came(zone, order, mt, order);
		}
	}
	left = state ? state->reported[order] : 0;
	spin_unlock_irq(&zone->lock);
	return left;
}

/*
 * Clears the marks of all blocks below an order, while nothing is reported, in
 * time proportional to their number, as they are near the tails of the lists.
 * Starts with the highest order, as parts of a split block may stay marked.
 * Takes each zone->lock, but not the memory hotplug lock, which offlining holds
 * for as long as pages do not move: what goes offline loses its marks anyway.
 */
void page_reporting_sweep(unsigned int below)
{
	struct zone *zone;
	unsigned int order;
	int mt;

	for_each_populated_zone(zone)
		for (order = below; order-- > 0;)
			for (mt = 0; page_reporting_sweep_list(zone, order, mt);
			     mt = (mt + 1) % MIGRATE_TYPES)
				cond_resched();
}

/*
 * Prepares the state of a zone for a pass with this order, for one caller at a
 * time. If the order has changed, what pacing learned with the old one is
 * dropped. Returns false if there is no memory for the state. A later pass
 * tries again.
 */
bool page_reporting_enter_zone(struct zone *zone, unsigned int order)
{
	struct page_reporting_zone *state = zone->page_reporting;
	unsigned int unit = max(order, PAGE_REPORTING_UNIT_ORDER);
	u64 now_ms = page_reporting_now_ms();
	enum page_reporting_pool pool;
	int mt;

	if (!state) {
		/* Must not wait for memory: the host may be what frees it. */
		state = kzalloc(sizeof(*state), GFP_NOWAIT | __GFP_NOWARN);
		if (!state)
			return false;
		state->zone = zone;
		list_add(&state->list, &page_reporting_zones);
	} else if (state->order == order) {
		return true;
	}

	spin_lock_irq(&zone->lock);
	zone->page_reporting = state;
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		state->of[mt] = &state->pool[page_reporting_pool(MAX_PAGE_ORDER, mt)];
	state->order = order;
	state->pool[PAGE_REPORTING_KERNEL].level = 0;
	__page_reporting_count_levels(zone);
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++)
		page_reporting_pacing_init(&state->pool[pool].pacing,
					   pool == PAGE_REPORTING_SMALL ? order : unit,
					   state->pool[pool].level, now_ms);
	spin_unlock_irq(&zone->lock);
	return true;
}

/*
 * Prepares the marks for a pass with this order, for one caller at a time: if
 * the order of the smallest block that may be marked has risen, marks of
 * smaller ones are cleared. Takes the same locks as page_reporting_sweep().
 */
void page_reporting_mark_begin(unsigned int order)
{
	unsigned int floor = min(order, PAGE_REPORTING_UNIT_ORDER);
	struct page_reporting_zone *state;

	if (page_reporting_mark_order < floor) {
		/* After this, no split leaves a marked part below the floor. */
		list_for_each_entry(state, &page_reporting_zones, list)
			page_reporting_enter_zone(state->zone, order);
		page_reporting_sweep(floor);
	}
	WRITE_ONCE(page_reporting_mark_order, floor);
}

/*
 * Frees the states of all zones at unregistration, with the static key off,
 * after page_reporting_sweep() has cleared all marks.
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
		kfree(state->compact);
		kfree(state);
	}
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_mark_engine_kunit.h"
#endif
