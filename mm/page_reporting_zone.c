// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: what is known of each zone, and what pacing makes of it.
 */

/**
 * DOC: zones
 *
 * For each zone, the engine counts its marked blocks by order. The difference
 * to the blocks on the free lists, which the allocator counts, is the level: the
 * free memory that the hypervisor does not have. It takes a few additions to
 * know, whatever the size of the zone, and no list is looked at.
 *
 * Pacing (mm/page_reporting_pacing.c) wants to know how low the level has been.
 * So each block that is taken from the free lists is noted, if blocks of its
 * order can be reported; what is left of it when it is split is not gone. Blocks
 * on their way to the device and back are part of the level, as nobody uses
 * them. A block that merges is not noted either, as no memory is used by that; if
 * it leaves its range, what is freed there by then may pass for as idle as it was.
 *
 * Blocks that are huge pages of the host have another price than smaller ones,
 * and are paced apart from them: a zone has two ranges of orders.
 *
 * The state of all zones is allocated at registration, for a node at a time. A
 * node that appears later gets it in the next pass, and nothing of it is
 * reported before.
 */

#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "internal.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"

/* Reports of 2 MiB and more do not break up a huge page of the host. */
#define PAGE_REPORTING_LARGE_ORDER \
	min_t(unsigned int, ilog2(SZ_2M) - PAGE_SHIFT, NR_PAGE_ORDERS)

/* MAX_NR_ZONES for each node, while a device is registered. */
static struct page_reporting_zone *page_reporting_nodes[MAX_NUMNODES];

/**
 * page_reporting_zone - what is known of a zone
 * @zone: the zone
 *
 * Context: zone->lock held, or in the work item. Read it once: when the device
 * goes, the answer turns into NULL under the lock, and what was read before stays
 * until the lock is dropped. Of a marked block's zone it is never NULL.
 * Return: its state, or NULL without a device, or if no pass came there yet and
 * there was no memory for it.
 */
struct page_reporting_zone *page_reporting_zone(struct zone *zone)
{
	struct page_reporting_zone *zones;

	zones = READ_ONCE(page_reporting_nodes[zone_to_nid(zone)]);
	return zones ? &zones[zone_idx(zone)] : NULL;
}

/* The clock of pacing. A tick is exact enough. */
u64 page_reporting_now_ms(void)
{
	return jiffies64_to_msecs(get_jiffies_64());
}

/* The range that blocks of this order belong to. */
unsigned int page_reporting_range(unsigned int order)
{
	return order >= PAGE_REPORTING_LARGE_ORDER ? PAGE_REPORTING_LARGE :
						     PAGE_REPORTING_SMALL;
}

static unsigned int page_reporting_range_end(unsigned int range)
{
	return range == PAGE_REPORTING_LARGE ? NR_PAGE_ORDERS :
					       PAGE_REPORTING_LARGE_ORDER;
}

/* The smallest block of a range, where passes begin at @order. */
static unsigned int page_reporting_range_order(unsigned int range,
					       unsigned int order)
{
	if (range == PAGE_REPORTING_LARGE)
		return max(order, PAGE_REPORTING_LARGE_ORDER);
	return order;
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

/* Pages in blocks of a range, from its smallest order on, in flight or not. */
static u64 __page_reporting_level(struct zone *zone,
				  const struct page_reporting_zone *state,
				  unsigned int range)
{
	unsigned int order = state->pacing[range].order;
	u64 level = state->in_flight[range];

	for (; order < page_reporting_range_end(range); order++)
		level += (u64)(zone->free_area[order].nr_free -
			       state->reported[order]) << order;
	return level;
}

/**
 * __page_reporting_zone_taken - an unreported block has left the free lists
 * @zone: its zone
 * @low: the order that was allocated
 * @high: the order that the block had
 *
 * Context: zone->lock held. What is split off is not on its lists yet.
 */
void __page_reporting_zone_taken(struct zone *zone, unsigned int low,
				 unsigned int high)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned int range = page_reporting_range(high);
	struct page_reporting_pacing *pacing;
	u64 level;

	if (!state)
		return;
	pacing = &state->pacing[range];
	if (high < pacing->order)
		return;
	level = __page_reporting_level(zone, state, range);
	/* The parts of the same range are free again in a moment. */
	level += (1UL << high) - (1UL << max(low, pacing->order));
	page_reporting_pacing_note(pacing, level);
}

/**
 * __page_reporting_zone_refault - memory that the hypervisor has is in use
 * @zone: its zone
 * @order: order of the block that it was part of
 * @nr_pages: how much
 *
 * Context: zone->lock held.
 */
void __page_reporting_zone_refault(struct zone *zone, unsigned int order,
				   unsigned long nr_pages)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);

	page_reporting_pacing_refaulted(&state->pacing[page_reporting_range(order)],
					nr_pages, page_reporting_now_ms());
}

/**
 * __page_reporting_zone_back - a block has come back from the device
 * @zone: its zone
 * @order: its order
 * @reported: the hypervisor has it now
 * @paced: pacing let it go; it has nothing to learn from what a flush or a
 *	fixed delay takes
 *
 * Context: zone->lock held, the block on its free list.
 */
void __page_reporting_zone_back(struct zone *zone, unsigned int order,
				bool reported, bool paced)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned int range = page_reporting_range(order);

	state->in_flight[range] -= 1UL << order;
	if (reported && paced)
		page_reporting_pacing_reported(&state->pacing[range],
					       1UL << order,
					       page_reporting_now_ms());
	else if (reported)
		page_reporting_pacing_gone(&state->pacing[range], 1UL << order);
}

/**
 * __page_reporting_zone_decide - how much may leave a zone now?
 * @zone: the zone
 * @grant: filled in, in pages for each range; the CPU cap is another matter
 *
 * Context: zone->lock held.
 * Return: the sum of @grant.
 */
u64 __page_reporting_zone_decide(struct zone *zone, u64 *grant)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	u64 now_ms = page_reporting_now_ms(), sum = 0;
	unsigned int range;

	for (range = 0; range < PAGE_REPORTING_RANGES; range++) {
		u64 level = __page_reporting_level(zone, state, range);

		grant[range] =
			page_reporting_pacing_decide(&state->pacing[range], NULL,
						     level, now_ms).pages;
		sum += grant[range];
	}
	return sum;
}

/**
 * __page_reporting_zone_wait - when to look at a zone again
 * @zone: the zone
 *
 * Context: zone->lock held.
 * Return: ms from now, or PAGE_REPORTING_NEVER if nothing is left.
 */
unsigned int __page_reporting_zone_wait(struct zone *zone)
{
	struct page_reporting_zone *state = page_reporting_zone(zone);
	unsigned int range, wait_ms = PAGE_REPORTING_NEVER;
	u64 now_ms = page_reporting_now_ms();

	for (range = 0; range < PAGE_REPORTING_RANGES; range++) {
		u64 level = __page_reporting_level(zone, state, range);

		wait_ms = min(wait_ms,
			      page_reporting_pacing_wait(&state->pacing[range],
							 level, now_ms));
	}
	return wait_ms;
}

static void __page_reporting_init_zone(struct zone *zone,
				       struct page_reporting_zone *state,
				       unsigned int order)
{
	bool anew = state->order == PAGE_REPORTING_ORDER_UNSPECIFIED;
	unsigned int range, low;
	u64 level;

	state->order = order;
	for (range = 0; range < PAGE_REPORTING_RANGES; range++) {
		low = page_reporting_range_order(range, order);
		state->pacing[range].order = low;
		level = __page_reporting_level(zone, state, range);
		/* What is free when a device comes passes for never used. */
		page_reporting_pacing_init(&state->pacing[range], low,
					   anew ? level : 0,
					   page_reporting_now_ms());
	}
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
 * Context: Process context. May sleep, if the node is new. One caller at a time.
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

/**
 * page_reporting_put_zones - the device went
 *
 * Context: after page_reporting_sweep(), with the static key off.
 */
void page_reporting_put_zones(void)
{
	struct page_reporting_zone *zones;
	struct zone *zone;
	int nid;

	/* Those that went offline have their zones still. */
	for_each_node(nid) {
		zones = page_reporting_nodes[nid];
		if (!zones)
			continue;
		WRITE_ONCE(page_reporting_nodes[nid], NULL);
		/* Who has found the state still has the lock. */
		for (zone = NODE_DATA(nid)->node_zones;
		     zone < NODE_DATA(nid)->node_zones + MAX_NR_ZONES; zone++) {
			spin_lock_irq(&zone->lock);
			spin_unlock_irq(&zone->lock);
		}
		kfree(zones);
	}
}
