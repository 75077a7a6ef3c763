/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what its own files share. Calls run one way:
 *
 *	params -> flush -> device -> walk -> mark -> pacing
 *	                   device -> budget -> mark, pacing
 */
#ifndef _MM_PAGE_REPORTING_INTERNAL_H
#define _MM_PAGE_REPORTING_INTERNAL_H

#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/page_reporting.h>
#include <linux/preempt.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "page_reporting_debug.h"
#include "page_reporting_pacing.h"

enum page_reporting_state {
	PAGE_REPORTING_IDLE,
	PAGE_REPORTING_REQUESTED,
	PAGE_REPORTING_ACTIVE,
};

/* As a delay, and the default: pacing decides. Reads -1. */
#define PAGE_REPORTING_ADAPTIVE		UINT_MAX

/*
 * The unit of account: a huge page of the host, 2 MiB on x86 and on arm64
 * whatever the guest's page size, or a pageblock where that is smaller.
 */
#define PAGE_REPORTING_UNIT_ORDER \
	min_t(unsigned int, ilog2(SZ_2M) - PAGE_SHIFT, pageblock_order)

/*
 * page_reporting_mark.c: which blocks does the host have?
 */

/*
 * Free blocks that are paced together: those of a unit of account or more,
 * apart for programs and for the kernel, and smaller ones.
 */
enum page_reporting_pool {
	PAGE_REPORTING_MOVABLE,
	PAGE_REPORTING_KERNEL,
	PAGE_REPORTING_SMALL,
	PAGE_REPORTING_POOLS,
};

/**
 * struct page_reporting_demand - a pool of a zone
 * @level: pages of it that the host backs; may be wrong by a few blocks, and
 *	even negative, until __page_reporting_count_levels()
 * @pacing: the demand for them
 */
struct page_reporting_demand {
	s64 level;
	struct page_reporting_pacing pacing;
};

/**
 * struct page_reporting_zone - what is known of a zone
 * @pool: each pool. What came to the free lists before the device counts as
 *	PAGE_REPORTING_MOVABLE
 * @of: that of each migratetype's blocks of a unit or more
 * @reported: marked blocks of each order
 * @joined: while a block is put back: counts the pages of the marked blocks
 *	that it merges with; else NULL
 * @order: the reporting order for which all of this is kept
 * @zone: the zone
 * @list: of all zones of which something is known
 *
 * zone->page_reporting, from the first pass that comes there until the device
 * goes. All but the last two under zone->lock.
 */
struct page_reporting_zone {
	struct page_reporting_demand pool[PAGE_REPORTING_POOLS];
	struct page_reporting_demand *of[MIGRATE_TYPES];
	unsigned long reported[NR_PAGE_ORDERS];
	unsigned long *joined;
	unsigned int order;
	struct zone *zone;
	struct list_head list;
};

/* The clock of pacing, exact to a tick. Any context. */
static inline u64 page_reporting_now_ms(void)
{
	/* On 32 bit, an NMI may have interrupted the tick, and time stands. */
	if (!IS_ENABLED(CONFIG_64BIT) && in_nmi())
		return 0;
	if (MSEC_PER_SEC % HZ == 0)
		return get_jiffies_64() * (MSEC_PER_SEC / HZ);
	return jiffies64_to_msecs(get_jiffies_64());
}

/* What a free block of this order and migratetype is paced with. */
static inline enum page_reporting_pool page_reporting_pool(unsigned int order,
							   int mt)
{
	if (order < PAGE_REPORTING_UNIT_ORDER)
		return PAGE_REPORTING_SMALL;
	if (mt == MIGRATE_UNMOVABLE || mt == MIGRATE_RECLAIMABLE ||
	    mt == MIGRATE_HIGHATOMIC)
		return PAGE_REPORTING_KERNEL;
	return PAGE_REPORTING_MOVABLE;
}

/*
 * In which pool's level does a block count of which @pages are to leave? What was
 * free before the device came counts as movable, whatever its type. Where the
 * kernel's level is too low for the block, the rest of it becomes movable too: a
 * part of a block can never leave.
 */
static inline enum page_reporting_pool
page_reporting_counts_in(struct page_reporting_zone *state, unsigned int order,
			 int mt, s64 pages)
{
	enum page_reporting_pool pool = page_reporting_pool(order, mt);
	struct page_reporting_demand *kernel;

	kernel = &state->pool[PAGE_REPORTING_KERNEL];
	if (pool != PAGE_REPORTING_KERNEL || kernel->level >= pages)
		return pool;
	state->pool[PAGE_REPORTING_MOVABLE].level += kernel->level;
	kernel->level = 0;
	return PAGE_REPORTING_MOVABLE;
}

unsigned long __page_reporting_unreported(struct zone *zone,
					  unsigned int order);
void __page_reporting_count_levels(struct zone *zone);
bool page_reporting_enter_zone(struct zone *zone, unsigned int order);
void page_reporting_mark_begin(unsigned int order);
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported);
void page_reporting_sweep(unsigned int below);
void page_reporting_put_zones(void);

/*
 * page_reporting_budget.c: how much may go?
 */

/**
 * struct page_reporting_budget - what limits a pass
 * @ops: the kind of limit
 * @capacity: blocks in a full batch
 * @wanted: of a flush: pages that it still wants
 * @grant: of pacing: pages that may leave the zone, for each pool
 * @pool: of pacing: what the next block is taken from
 * @cpu_ns: of pacing: CPU time of this task that is accounted for
 * @wait_ms: when to look again, or PAGE_REPORTING_NEVER
 */
struct page_reporting_budget {
	const struct page_reporting_budget_ops *ops;
	unsigned int capacity;
	unsigned long wanted;
	u64 grant[PAGE_REPORTING_POOLS];
	enum page_reporting_pool pool;
	u64 cpu_ns;
	unsigned int wait_ms;
};

/**
 * struct page_reporting_budget_ops - one kind of limit
 * @open: the pass comes to a zone with unreported blocks. False: nothing of it
 *	may leave now. zone->lock held
 * @blocks: how many blocks may leave a list now, of which @taken did in this pass.
 *	zone->lock held
 * @take: a block was taken, which @blocks was asked about last. zone->lock held
 * @back: it is back, and the host has it. zone->lock held
 * @spent: a call of the driver has ended, and its blocks are back
 * @close: the pass leaves the zone; may lower the budget's @wait_ms
 *
 * All but @open and @blocks may be missing.
 */
struct page_reporting_budget_ops {
	bool (*open)(struct page_reporting_budget *budget, struct zone *zone);
	unsigned long (*blocks)(struct page_reporting_budget *budget,
				struct zone *zone, unsigned int order, int mt,
				unsigned long taken);
	void (*take)(struct page_reporting_budget *budget, unsigned int order);
	void (*back)(struct page_reporting_budget *budget, struct zone *zone,
		     unsigned int order, int mt);
	void (*spent)(struct page_reporting_budget *budget);
	void (*close)(struct page_reporting_budget *budget, struct zone *zone);
};

struct page_reporting_budget page_reporting_fixed_budget(unsigned int capacity);
struct page_reporting_budget page_reporting_paced_budget(unsigned int capacity);
struct page_reporting_budget page_reporting_flush_budget(unsigned int capacity,
							 unsigned long wanted);
void page_reporting_budget_reset(void);

/*
 * page_reporting_walk.c: what does a pass do to a block?
 */

/**
 * struct page_reporting_pass - one walk over free memory
 * @prdev: the device
 * @zone: the zone that is walked; a batch never spans two
 * @order: the reporting order, the same throughout
 * @budget: what limits the pass
 * @ended: returns why the pass has to end now, a negative errno, or 0
 * @nents: blocks in the batch
 * @limit: blocks at which the batch is full
 * @nr_pages: pages in the batch
 * @blocks: blocks that the device took
 * @pages: pages in them
 * @err: the last error of the driver in this pass, or 0
 * @stopped: what @ended returned
 * @more: there is more to report: a budget was spent before its list was
 *	walked, or a block came to a list that had been walked
 * @put_off: something was left alone that can be reported later
 * @short_of: the zone has too little memory for now
 */
struct page_reporting_pass {
	struct page_reporting_dev_info *prdev;
	struct zone *zone;
	unsigned int order;
	struct page_reporting_budget budget;
	int (*ended)(struct page_reporting_pass *pass);
	unsigned int nents;
	unsigned int limit;
	unsigned long nr_pages;
	unsigned long blocks;
	unsigned long pages;
	int err;
	int stopped;
	bool more;
	bool put_off;
	bool short_of;
};

void page_reporting_walk(struct page_reporting_pass *pass);
bool page_reporting_in_report(void);

/*
 * page_reporting.c: when does a pass run?
 */

/**
 * struct page_reporting_status - what there is to see from outside
 * @report: the callback of the device; NULL without one
 * @state: an enum page_reporting_state
 * @order: the reporting order, or PAGE_REPORTING_ORDER_UNSPECIFIED
 * @delay_ms: the wait before a pass, or PAGE_REPORTING_ADAPTIVE
 */
struct page_reporting_status {
	int (*report)(struct page_reporting_dev_info *prdev,
		      struct scatterlist *sg, unsigned int nents);
	int state;
	unsigned int order;
	unsigned int delay_ms;
};

/**
 * struct page_reporting_served - what one pass did for somebody who waited
 * @nr_pages: pages that were reported
 * @more: there is more to report
 * @err: 0, or why the pass ended early: a negative errno
 */
struct page_reporting_served {
	unsigned long nr_pages;
	bool more;
	int err;
};

struct page_reporting_status page_reporting_get_status(void);
void page_reporting_set_order(unsigned int order);
void page_reporting_set_delay(unsigned int delay_ms);
struct page_reporting_served page_reporting_serve(unsigned long wanted);

/*
 * page_reporting_flush.c: report now
 */

/**
 * struct page_reporting_flushed - how a flush ended
 * @nr_pages: pages that were reported
 * @duration_us: how long it took, in us
 * @err: 0, or a negative errno
 */
struct page_reporting_flushed {
	unsigned long nr_pages;
	u64 duration_us;
	int err;
};

int page_reporting_flush(unsigned long nr_pages);
struct page_reporting_flushed page_reporting_last_flush(void);

#endif /* _MM_PAGE_REPORTING_INTERNAL_H */
