// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: how much a pass may take from each free list.
 */

/**
 * DOC: budgets
 *
 * A pass asks a budget how many blocks it may take from each list. There are
 * three kinds:
 *
 * ========  =================================================================
 * budget    allows
 * ========  =================================================================
 * paced     of each pool of a zone, the memory that pacing found to be idle
 *           for long enough, as long as the CPU cap allows it. Also tells when
 *           more may be idle. For a delay of -1
 * fixed     of each list, in each pass, a sixth of the zone's blocks of this
 *           order, rounded up to whole batches, so that few calls of the driver
 *           are small. For a delay in ms
 * flush     everything, up to the size that the flush asks for
 * ========  =================================================================
 *
 * The walk decides which blocks are taken first, and what a zone must keep.
 */

#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>

#include "page_reporting_internal.h"

/*
 * A free list is reported in about this many passes: with a delay of two
 * seconds, in 12 s. Memory that is used again sooner keeps most of its backing.
 */
#define PAGE_REPORTING_PASSES		6

/* The CPU cap. Registration resets it, and only the work item uses it. */
static struct page_reporting_cap page_reporting_cap;

static unsigned long
__page_reporting_fixed_blocks(struct page_reporting_budget *budget,
			      struct zone *zone, unsigned int order, int mt,
			      unsigned long taken)
{
	unsigned long share = roundup(DIV_ROUND_UP(zone->free_area[order].nr_free,
						   PAGE_REPORTING_PASSES),
				      budget->capacity);

	return share - min(share, taken);
}

const struct page_reporting_budget_ops page_reporting_fixed_ops = {
	.blocks = __page_reporting_fixed_blocks,
};

static unsigned long
__page_reporting_flush_blocks(struct page_reporting_budget *budget,
			      struct zone *zone, unsigned int order, int mt,
			      unsigned long taken)
{
	/* A pass has to end even if memory is freed as fast as reported. */
	unsigned long most = zone->free_area[order].nr_free + budget->capacity;

	if (!budget->wanted)
		return 0;
	/* Rounded up to a block. */
	return min(((budget->wanted - 1) >> order) + 1,
		   most - min(most, taken));
}

static void __page_reporting_flush_take(struct page_reporting_budget *budget,
					unsigned int order)
{
	budget->wanted -= min(budget->wanted, 1UL << order);
}

const struct page_reporting_budget_ops page_reporting_flush_ops = {
	.blocks = __page_reporting_flush_blocks,
	.take = __page_reporting_flush_take,
};

/*
 * After the isolation of a part of a block, each pool may count a part of it. If
 * it is too far back on a list to be counted anew, neither would ever report it.
 * With all memory idle, it does not matter in which pool that little counts.
 */
static void __page_reporting_join_pools(struct page_reporting_budget *budget,
					struct page_reporting_zone *state)
{
	struct page_reporting_demand *kernel = &state->pool[PAGE_REPORTING_KERNEL];

	if (!budget->all[PAGE_REPORTING_KERNEL] ||
	    !budget->all[PAGE_REPORTING_MOVABLE] ||
	    kernel->level >= MAX_ORDER_NR_PAGES)
		return;
	state->pool[PAGE_REPORTING_MOVABLE].level += kernel->level;
	page_reporting_pacing_isolated(&kernel->pacing, kernel->level);
	kernel->level = 0;
	budget->grant[PAGE_REPORTING_MOVABLE] += budget->grant[PAGE_REPORTING_KERNEL];
	budget->grant[PAGE_REPORTING_KERNEL] = 0;
}

static bool __page_reporting_paced_open(struct page_reporting_budget *budget,
					struct zone *zone)
{
	struct page_reporting_zone *state = zone->page_reporting;
	u64 now_ms = page_reporting_now_ms(), sum = 0;
	enum page_reporting_pool pool;
	u64 level;

	__page_reporting_count_levels(zone);
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++) {
		level = page_reporting_level(&state->pool[pool]);
		budget->grant[pool] =
			page_reporting_pacing_decide(&state->pool[pool].pacing,
						     level, now_ms);
		budget->all[pool] = level - budget->grant[pool] <
				    1ULL << state->pool[pool].pacing.order;
		sum += budget->grant[pool];
	}
	__page_reporting_join_pools(budget, state);
	return sum;
}

/*
 * Does the pool have unreported blocks above @order? Says no where it cannot
 * tell, as only the sum over all types is counted.
 */
static bool __page_reporting_has_larger(struct zone *zone,
					enum page_reporting_pool pool,
					unsigned int order)
{
	enum page_reporting_pool other = pool == PAGE_REPORTING_KERNEL ?
					 PAGE_REPORTING_MOVABLE :
					 PAGE_REPORTING_KERNEL;

	if (pool == PAGE_REPORTING_SMALL)
		return __page_reporting_unreported(zone, order + 1,
						   PAGE_REPORTING_UNIT_ORDER);
	return __page_reporting_unreported(zone, order + 1, NR_PAGE_ORDERS) >
	       page_reporting_level(&zone->page_reporting->pool[other]);
}

/*
 * Is it better not to report this rest of a grant? Allocations take blocks of
 * the lowest order that will do, so a surplus consists of the largest ones. If
 * the rest is smaller than one of these, a smaller block would be refaulted in
 * its place, again and again: 1.5 % of 128 MiB, used every 0.5 s, instead of
 * 0.1 %. Once demand has ended, or if it is two units or more, it is reported.
 */
static bool __page_reporting_stays(struct page_reporting_budget *budget,
				   struct zone *zone, u64 rest)
{
	return rest && rest < 2UL << PAGE_REPORTING_UNIT_ORDER &&
	       !budget->all[budget->pool] &&
	       __page_reporting_has_larger(zone, budget->pool, ilog2(rest));
}

static unsigned long
__page_reporting_paced_blocks(struct page_reporting_budget *budget,
			      struct zone *zone, unsigned int order, int mt,
			      unsigned long taken)
{
	u64 grant;

	if (!page_reporting_cap_allows(&page_reporting_cap, totalram_pages(),
				       page_reporting_now_ms()))
		return 0;
	budget->pool = page_reporting_counts_in(zone->page_reporting, order,
						mt, 1ULL << order);
	grant = budget->grant[budget->pool];
	if (__page_reporting_stays(budget, zone, grant))
		return 0;
	return min_t(u64, grant >> order, ULONG_MAX);
}

static void __page_reporting_paced_take(struct page_reporting_budget *budget,
					unsigned int order)
{
	budget->grant[budget->pool] -= 1UL << order;
}

static void __page_reporting_paced_back(struct page_reporting_budget *budget,
					struct zone *zone, unsigned int order,
					int mt)
{
	struct page_reporting_zone *state = zone->page_reporting;

	page_reporting_pacing_reported(&state->pool[page_reporting_pool(order, mt)].pacing,
				       1UL << order, page_reporting_now_ms());
}

static void page_reporting_paced_spent(struct page_reporting_budget *budget)
{
	u64 now_ns = task_sched_runtime(current);

	page_reporting_cap_charge(&page_reporting_cap, now_ns - budget->cpu_ns);
	budget->cpu_ns = now_ns;
}

static void page_reporting_paced_close(struct page_reporting_budget *budget,
				       struct zone *zone)
{
	struct page_reporting_zone *state = zone->page_reporting;
	u64 now_ms = page_reporting_now_ms();
	enum page_reporting_pool pool;
	unsigned int wait_ms;

	spin_lock_irq(&zone->lock);
	for (pool = 0; pool < PAGE_REPORTING_POOLS; pool++) {
		wait_ms = page_reporting_pacing_wait(&state->pool[pool].pacing,
						     page_reporting_level(&state->pool[pool]),
						     budget->grant[pool], now_ms);
		budget->wait_ms = min(budget->wait_ms, wait_ms);
	}
	spin_unlock_irq(&zone->lock);
}

static const struct page_reporting_budget_ops page_reporting_paced_ops = {
	.open = __page_reporting_paced_open,
	.blocks = __page_reporting_paced_blocks,
	.take = __page_reporting_paced_take,
	.back = __page_reporting_paced_back,
	.spent = page_reporting_paced_spent,
	.close = page_reporting_paced_close,
};

/* Limits a pass by what pacing grants, instead of what @budget->ops says. */
void page_reporting_budget_pace(struct page_reporting_budget *budget)
{
	struct page_reporting_zone *state;
	enum page_reporting_pool pool;
	struct zone *zone;

	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		state = zone->page_reporting;
		for (pool = 0; state && pool < PAGE_REPORTING_POOLS; pool++)
			page_reporting_pacing_begin(&state->pool[pool].pacing,
						    page_reporting_level(&state->pool[pool]),
						    page_reporting_now_ms());
		spin_unlock_irq(&zone->lock);
	}
	budget->ops = &page_reporting_paced_ops;
	/* Not under zone->lock: scheduler locks must be taken first. */
	budget->cpu_ns = task_sched_runtime(current);
}

/*
 * A pass under this budget has ended. @wait_ms: until the next one, if none is
 * requested. @all: pacing did not ask for it, so pools may need one sooner
 */
void page_reporting_budget_end(const struct page_reporting_budget *budget,
			       unsigned int wait_ms, bool all)
{
	struct page_reporting_zone *state;
	enum page_reporting_pool pool;
	struct zone *zone;

	/* With a fixed delay, nothing is late. */
	if (budget->ops == &page_reporting_fixed_ops)
		return;
	for_each_populated_zone(zone) {
		spin_lock_irq(&zone->lock);
		state = zone->page_reporting;
		for (pool = 0; state && pool < PAGE_REPORTING_POOLS; pool++)
			page_reporting_pacing_end(&state->pool[pool].pacing,
						  wait_ms, all, page_reporting_now_ms());
		spin_unlock_irq(&zone->lock);
	}
}

/* Resets the CPU cap for a new device. */
void page_reporting_budget_reset(void)
{
	page_reporting_cap_init(&page_reporting_cap, page_reporting_now_ms());
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_budget_engine_kunit.h"
#endif
