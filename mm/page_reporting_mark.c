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
 * size of the zone, and no list is looked at. Pacing is told when the level
 * changes, see mm/page_reporting_pacing.c.
 *
 * Programs and the kernel allocate from lists of different types. An allocation
 * takes a marked block of its own type before an unmarked one of another. If
 * one level stood for both, two demands that are seldom low at the same time
 * would have a surplus that neither has. So there are two pools, each with a
 * level of its own. What was free before the device came counts as movable, as
 * nobody knows its types without a walk over all lists. Blocks below the unit
 * of account have another price than larger ones, and are a third pool.
 *
 * The state of all zones is allocated at registration, for a node at a time. A
 * node that appears later gets it in the next pass, and nothing of it is
 * reported before.
 */

#include <linux/align.h>
#include <linux/bug.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/page_reporting.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>
#include <trace/events/page_reporting.h>

#include "internal.h"
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

/* MAX_NR_ZONES for each node, while a device is registered. */
static struct page_reporting_zone *page_reporting_nodes[MAX_NUMNODES];

/**
 * page_reporting_zone - what is known of a zone
 * @zone: the zone
 *
 * Context: zone->lock held, or in the work item. When the device goes, the
 * answer may turn into NULL while the lock is held, but not for a zone of which
 * something is known, and so not for that of a marked block. A state that was
 * read before stays until the lock is dropped.
 * Return: its state, or NULL without a device, or if there was no memory for it
 * and no pass came there since.
 */
struct page_reporting_zone *page_reporting_zone(struct zone *zone)
{
	struct page_reporting_zone *zones;

	zones = READ_ONCE(page_reporting_nodes[zone_to_nid(zone)]);
	return zones ? &zones[zone_idx(zone)] : NULL;
}

/**
 * page_reporting_now_ms - the clock of pacing
 *
 * Context: any.
 * Return: ms since some time before the boot, exact to a tick.
 */
u64 page_reporting_now_ms(void)
{
	return jiffies64_to_msecs(get_jiffies_64());
}

/**
 * page_reporting_pool - what a free block is paced with
 * @order: its order
 * @mt: its migratetype
 *
 * Return: the pool.
 */
enum page_reporting_pool page_reporting_pool(unsigned int order, int mt)
{
	if (order < PAGE_REPORTING_UNIT_ORDER)
		return PAGE_REPORTING_SMALL;
	if (mt == MIGRATE_UNMOVABLE || mt == MIGRATE_RECLAIMABLE ||
	    mt == MIGRATE_HIGHATOMIC)
		return PAGE_REPORTING_KERNEL;
	return PAGE_REPORTING_MOVABLE;
}

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
	       page_reporting_zone(zone)->reported[order];
}

/**
 * __page_reporting_level - unreported pages of a pool
 * @zone: the zone, which a pass has entered
 * @pool: the pool
 *
 * Context: zone->lock held.
 * Return: pages in blocks of the reporting order and more.
 */
u64 __page_reporting_level(struct zone *zone, enum page_reporting_pool pool)
{
	const struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned int order = state->pacing[pool].order;
	unsigned int end = pool == PAGE_REPORTING_SMALL ?
			   PAGE_REPORTING_UNIT_ORDER : NR_PAGE_ORDERS;
	u64 level = 0, kernel;

	for (; order < end; order++)
		level += (u64)(zone->free_area[order].nr_free -
			       state->reported[order]) << order;
	if (pool == PAGE_REPORTING_SMALL)
		return level;
	kernel = min(level, state->kernel);
	return pool == PAGE_REPORTING_KERNEL ? kernel : level - kernel;
}

/**
 * page_reporting_counts_in - which pool's level pages of a free block are part of
 * @state: of its zone, which a pass has entered
 * @order: its order
 * @mt: its migratetype
 * @pages: how many pages are to leave the level
 *
 * What was free before the device came counts as movable, whatever its type.
 *
 * Context: zone->lock held.
 * Return: the pool.
 */
enum page_reporting_pool
page_reporting_counts_in(const struct page_reporting_zone *state,
			 unsigned int order, int mt, u64 pages)
{
	enum page_reporting_pool pool = page_reporting_pool(order, mt);

	if (pool == PAGE_REPORTING_KERNEL && state->kernel < pages)
		return PAGE_REPORTING_MOVABLE;
	return pool;
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
	page_reporting_zone(zone)->reported[order]++;
	__mod_zone_page_state(zone, NR_FREE_REPORTED, 1L << order);
}

static void __page_reporting_clear(struct page *page, struct zone *zone,
				   unsigned int order)
{
	ClearPageReported(page);
	page_reporting_zone(zone)->reported[order]--;
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

	low = max(low, page_reporting_floor(page_reporting_zone(zone)->order));
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

/* Nothing is known of a zone before the first pass comes there. */
static bool page_reporting_is_known(const struct page_reporting_zone *state)
{
	return state && state->order != PAGE_REPORTING_ORDER_UNSPECIFIED;
}

/*
 * The level of a block's pool has changed by @change pages, and @coming pages
 * are not back on their lists yet. Ends the windows that are over, and returns
 * the pacing of the pool, or NULL if the block does not count. The level itself
 * is looked at only if a window is over.
 */
static struct page_reporting_pacing *
__page_reporting_change(struct page *page, struct zone *zone, unsigned int order,
			s64 change, u64 coming)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	u64 now_ms = page_reporting_now_ms();
	struct page_reporting_pacing *pacing;
	enum page_reporting_pool pool;
	s64 level;

	if (!page_reporting_is_known(state))
		return NULL;
	pool = page_reporting_counts_in(state, order,
					get_pageblock_migratetype(page),
					max(-change, 0LL));
	if (order < state->pacing[pool].order)
		return NULL;
	if (pool == PAGE_REPORTING_KERNEL)
		state->kernel += change;

	pacing = &state->pacing[pool];
	if (likely(now_ms < pacing->closes_ms))
		return pacing;
	level = __page_reporting_level(zone, pool) + coming;
	page_reporting_pacing_advance(pacing, max(level - change, 0LL), now_ms);
	return pacing;
}

/* Pacing is charged whole units, even where smaller parts keep their mark. */
static void __page_reporting_refault(struct page *page, struct zone *zone,
				     unsigned int order, unsigned long nr_pages)
{
	enum page_reporting_pool pool;
	unsigned long charged = nr_pages;

	count_vm_events(PGREPORT_REFAULT, nr_pages);
	if (order >= PAGE_REPORTING_UNIT_ORDER)
		charged = ALIGN(nr_pages, 1UL << PAGE_REPORTING_UNIT_ORDER);
	pool = page_reporting_pool(order, get_pageblock_migratetype(page));
	page_reporting_pacing_refaulted(&page_reporting_zone(zone)->pacing[pool],
					charged, page_reporting_now_ms());
	trace_page_reporting_refault(zone, page_to_pfn(page), nr_pages);
}

static void __page_reporting_use_marked(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high)
{
	unsigned long used = 1UL << high;

	used -= __page_reporting_keep_parts(page, zone, low, high);
	__page_reporting_clear(page, zone, high);
	if (page_reporting_is_balloon())
		count_vm_events(PGREPORT_CLEAR, used);
	else
		__page_reporting_refault(page, zone, high, used);
}

/* What is split off is not on its lists yet. */
static void __page_reporting_use_unmarked(struct page *page, struct zone *zone,
					  unsigned int low, unsigned int high)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	struct page_reporting_pacing *pacing;
	unsigned int least;
	s64 used, coming;

	if (!page_reporting_is_known(state))
		return;
	least = high >= PAGE_REPORTING_UNIT_ORDER ?
		state->pacing[PAGE_REPORTING_MOVABLE].order : state->order;
	used = 1LL << max(low, least);
	coming = (1LL << high) - used;
	pacing = __page_reporting_change(page, zone, high, -used, coming);
	if (pacing && page_reporting_is_balloon())
		page_reporting_pacing_isolated(pacing, used);
	else if (pacing == &state->pacing[PAGE_REPORTING_KERNEL])
		page_reporting_pacing_fell(pacing, state->kernel);
	else if (pacing)
		page_reporting_pacing_fell(pacing, coming +
				__page_reporting_level(zone, pacing - state->pacing));
}

void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high)
{
	if (PageReported(page))
		__page_reporting_use_marked(page, zone, low, high);
	else
		__page_reporting_use_unmarked(page, zone, low, high);
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
			   unsigned int order)
{
	struct page_reporting_pacing *pacing;

	if (PageReported(page)) {
		__page_reporting_forget(page, zone, order);
		return;
	}
	pacing = __page_reporting_change(page, zone, order, -(1LL << order), 0);
	if (pacing)
		page_reporting_pacing_isolated(pacing, 1ULL << order);
}

/**
 * __page_reporting_freed - a block that can be reported has come to a free list
 * @page: its head
 * @zone: its zone
 * @order: its order, after merging
 *
 * Context: as page_reporting_notify_free().
 */
void __page_reporting_freed(struct page *page, struct zone *zone,
			    unsigned int order)
{
	__page_reporting_change(page, zone, order, 1LL << order, 0);
	__page_reporting_notify();
}

/* The block is off its list, and will be back as a part of another one. */
void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order)
{
	struct page_reporting_zone *state;
	bool reported = PageReported(page);

	__page_reporting_change(page, zone, order,
				reported ? 0 : -(1LL << order), 0);
	if (!reported)
		return;
	__page_reporting_clear(page, zone, order);
	state = page_reporting_zone(zone);
	/* While a block is put back, the whole may turn out to be marked. */
	if (state->joined)
		*state->joined += 1UL << order;
	else
		count_vm_events(PGREPORT_MERGE, 1UL << order);
}

/* Its pages count in the pool of the new type from now on. */
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int mt)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	enum page_reporting_pool to = page_reporting_pool(order, mt);
	struct page_reporting_pacing *pacing;

	if (PageReported(page) || !page_reporting_is_known(state) ||
	    order < state->pacing[to].order ||
	    to == page_reporting_pool(order, get_pageblock_migratetype(page)))
		return;
	if (to == PAGE_REPORTING_KERNEL)
		state->kernel += 1ULL << order;
	pacing = __page_reporting_change(page, zone, order, -(1LL << order), 0);
	/* Nobody has used it. What counts as movable anyway stays where it is. */
	if (pacing && pacing != &state->pacing[to])
		page_reporting_pacing_isolated(pacing, 1ULL << order);
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
	struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned long had = reported ? 1UL << order : 0;
	unsigned long joined = 0;
	struct page *head;

	lockdep_assert_held(&zone->lock);
	page_reporting_assert(!reported || order >= page_reporting_mark_order);

	state->joined = &joined;
	__putback_isolated_page(page, order, get_pageblock_migratetype(page));
	state->joined = NULL;

	count_vm_events(PGREPORT, had);
	head = __page_reporting_head(page);
	if (!head)
		return false;
	order = buddy_order(head);
	if (had + joined == 1UL << order) {
		__page_reporting_set(head, zone, order);
		return true;
	}
	count_vm_events(PGREPORT_MERGE, had + joined);
	__page_reporting_change(head, zone, order, 1LL << order, 0);
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
	state = page_reporting_zone(zone);
	while (state && state->reported[order] && steps-- && !list_empty(list)) {
		struct page *page = list_last_entry(list, struct page, buddy_list);

		list_move(&page->buddy_list, list);
		if (PageReported(page))
			__page_reporting_forget(page, zone, order);
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

	state->order = order;
	state->kernel = 0;
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++) {
		struct page_reporting_pacing *pacing = &state->pacing[pool];
		unsigned int low = order;

		if (pool != PAGE_REPORTING_SMALL)
			low = max(order, PAGE_REPORTING_UNIT_ORDER);
		pacing->order = low;
		page_reporting_pacing_init(pacing, low,
					   __page_reporting_level(zone, pool),
					   now_ms);
	}
}

/* From now on, no smaller block of any zone gets a mark by a split. */
static void page_reporting_raise_floor(unsigned int order)
{
	struct page_reporting_zone *state;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		state = page_reporting_zone(zone);
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
	if (page_reporting_mark_order != floor)
		WRITE_ONCE(page_reporting_mark_order, floor);
}

static bool page_reporting_get_node(int nid)
{
	struct page_reporting_zone *zones;
	unsigned int i;

	if (page_reporting_nodes[nid])
		return true;
	zones = kcalloc(MAX_NR_ZONES, sizeof(*zones), GFP_KERNEL | __GFP_NOWARN);
	if (!zones)
		return false;
	for (i = 0; i < MAX_NR_ZONES; i++)
		zones[i].order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	/* Pairs with page_reporting_zone(), which has a dependency on it. */
	smp_store_release(&page_reporting_nodes[nid], zones);
	return true;
}

/**
 * page_reporting_enter_zone - a pass comes to a zone
 * @zone: the zone
 * @order: the reporting order of the pass
 *
 * What was learned from another order is forgotten.
 *
 * Context: Process context. May sleep, if the node is new. One caller at a
 * time.
 * Return: false if there is no memory for a new node's state.
 */
bool page_reporting_enter_zone(struct zone *zone, unsigned int order)
{
	struct page_reporting_zone *state;

	if (!page_reporting_get_node(zone_to_nid(zone)))
		return false;
	state = page_reporting_zone(zone);
	if (state->order == order)
		return true;

	spin_lock_irq(&zone->lock);
	__page_reporting_init_zone(zone, state, order);
	spin_unlock_irq(&zone->lock);
	return true;
}

/**
 * page_reporting_get_zones - a device comes
 *
 * Nodes for which there is no memory get their state later.
 *
 * Context: Process context. May sleep.
 */
void page_reporting_get_zones(void)
{
	int nid;

	for_each_online_node(nid)
		page_reporting_get_node(nid);
}

/* From now on, nothing is known of these zones. Whoever knew it holds no lock. */
static void page_reporting_forget_zones(int nid,
					struct page_reporting_zone *zones)
{
	unsigned int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		/* Nodes that went offline still have their zones. */
		struct zone *zone = &NODE_DATA(nid)->node_zones[i];

		spin_lock_irq(&zone->lock);
		zones[i].order = PAGE_REPORTING_ORDER_UNSPECIFIED;
		spin_unlock_irq(&zone->lock);
	}
}

/**
 * page_reporting_put_zones - the device went, and there is no mark
 *
 * Context: after page_reporting_sweep(), with the static key off.
 */
void page_reporting_put_zones(void)
{
	struct page_reporting_zone *zones;
	int nid;

	WRITE_ONCE(page_reporting_mark_order, PAGE_REPORTING_ORDER_UNSPECIFIED);
	for_each_node(nid) {
		zones = page_reporting_nodes[nid];
		if (!zones)
			continue;
		/* Before: who knows a zone looks for its state more than once. */
		page_reporting_forget_zones(nid, zones);
		WRITE_ONCE(page_reporting_nodes[nid], NULL);
		/* And after it: who has found the state looks at its order. */
		page_reporting_forget_zones(nid, zones);
		kfree(zones);
	}
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_mark_engine_kunit.h"
#endif
