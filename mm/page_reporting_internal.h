/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what its own files share. Calls go in one direction:
 *
 *	params -> flush -> device -> walk -> mark -> pacing
 *	                   device -> budget -> mark, pacing
 *	                   device -> compact -> mark, plan -> pacing
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

/* As a delay: pacing decides. This is the default; users see it as -1. */
#define PAGE_REPORTING_ADAPTIVE		UINT_MAX

/*
 * The unit of account: a huge page of the host, taken to be 2 MiB on x86 and on
 * arm64 whatever the guest's page size, or a pageblock where that is smaller.
 */
#define PAGE_REPORTING_UNIT_ORDER \
	min_t(unsigned int, ilog2(SZ_2M) - PAGE_SHIFT, pageblock_order)

/*
 * page_reporting_mark.c: which blocks are reported?
 */

/* Free blocks that are paced together. SMALL: below the unit of account. */
enum page_reporting_pool {
	PAGE_REPORTING_MOVABLE,	/* of programs */
	PAGE_REPORTING_KERNEL,
	PAGE_REPORTING_SMALL,
	PAGE_REPORTING_POOLS,
};

struct page_reporting_demand {
	/*
	 * Unreported free pages of the pool. May be off by a few blocks, and
	 * even negative, until __page_reporting_count_levels() corrects it.
	 */
	s64 level;
	struct page_reporting_pacing pacing;
};

static inline u64 page_reporting_level(const struct page_reporting_demand *pool)
{
	return max(pool->level, 0LL);
}

/**
 * struct page_reporting_zone - the state of a zone
 * @pool: the pools. Memory that was free before the device was registered
 *	counts in PAGE_REPORTING_MOVABLE
 * @of: for each migratetype, the pool of its blocks of a unit or more
 * @reported: number of marked blocks of each order
 * @joined: while a block is put back, counts the pages of the marked blocks
 *	that it merges with; otherwise NULL
 * @order: the reporting order that all of this is kept for
 * @zone: the zone
 * @list: entry in the list of all zones with such a state
 * @compact: of page_reporting_compact.c, or NULL
 *
 * zone->page_reporting points to it from the first pass in the zone until the
 * device is unregistered. zone->lock protects all but the last three fields.
 */
struct page_reporting_zone {
	struct page_reporting_demand pool[PAGE_REPORTING_POOLS];
	struct page_reporting_demand *of[MIGRATE_TYPES];
	unsigned long reported[NR_PAGE_ORDERS];
	unsigned long *joined;
	unsigned int order;
	struct zone *zone;
	struct list_head list;
	struct page_reporting_compact *compact;
};

/* The clock of pacing, with the resolution of a tick. Context: any. */
static inline u64 page_reporting_now_ms(void)
{
	/*
	 * On 32 bit, the NMI may have interrupted the update of jiffies_64, and
	 * would wait for it for ever. With 0, no time has passed.
	 */
	if (!IS_ENABLED(CONFIG_64BIT) && in_nmi())
		return 0;
	if (MSEC_PER_SEC % HZ == 0)
		return get_jiffies_64() * (MSEC_PER_SEC / HZ);
	return jiffies64_to_msecs(get_jiffies_64());
}

/* The pool of a free block of this order and migratetype. */
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
 * The pool whose level counts a block of which @pages are about to leave.
 * Memory that was free before the device came counts as movable, so that the
 * kernel's level may be lower than @pages. What is left of it then moves to the
 * movable pool, where the whole block counts, as no part can leave by itself.
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
 * page_reporting_budget.c: how much may a pass take from each list?
 */

/**
 * struct page_reporting_budget - what limits a pass
 * @ops: the kind of limit
 * @capacity: blocks in a full batch
 * @wanted: flush only: pages that are still to be reported
 * @grant: pacing only: pages of each pool that may still leave the zone
 * @pool: pacing only: the pool that the next block is taken from
 * @cpu_ns: pacing only: CPU time of this task that is already accounted for
 * @wait_ms: time until the next pass should run, or PAGE_REPORTING_NEVER
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
 * @open: the pass enters a zone. Returns false if nothing may leave it now.
 *	zone->lock held
 * @blocks: returns how many more blocks may be taken from a list, from which
 *	this pass has already taken @taken. zone->lock held
 * @take: a block was taken from the list of the latest call of @blocks.
 *	zone->lock held
 * @back: a reported block was put back. zone->lock held
 * @spent: a call of the driver, or a drain of the per-CPU lists, has ended
 * @close: the pass leaves the zone. May lower the budget's @wait_ms
 *
 * Only @open and @blocks are mandatory.
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

/* What the first pass of a flush does before it walks. */
enum page_reporting_first {
	PAGE_REPORTING_NOTHING_FIRST,
	PAGE_REPORTING_FORGET_FIRST,	/* clear all marks */
	PAGE_REPORTING_COMPACT_FIRST,	/* make whole blocks of fragments */
};

/**
 * struct page_reporting_pass - one walk over free memory
 * @prdev: the device
 * @zone: the zone that is walked; a batch never spans two
 * @order: the reporting order
 * @budget: what limits the pass
 * @ended: returns a negative errno if the pass has to end now, or 0
 * @first: what is to be done before the walk
 * @nents: blocks in the batch
 * @limit: number of blocks at which the batch is full
 * @nr_pages: pages in the batch
 * @blocks: blocks that were reported without error
 * @pages: pages in these blocks
 * @moved: pages that were moved to make whole blocks of fragments
 * @err: the last error of the driver in this pass, or 0
 * @stopped: what @ended returned last
 * @more: there is more to report: the budget was used up before the end of a
 *	list, or a block was added to a list after the walk
 * @put_off: something was deferred, and can be reported later
 * @short_of: the zone is short of memory for now
 */
struct page_reporting_pass {
	struct page_reporting_dev_info *prdev;
	struct zone *zone;
	unsigned int order;
	struct page_reporting_budget budget;
	int (*ended)(struct page_reporting_pass *pass);
	enum page_reporting_first first;
	unsigned int nents;
	unsigned int limit;
	unsigned long nr_pages;
	unsigned long blocks;
	unsigned long pages;
	unsigned long moved;
	int err;
	int stopped;
	bool more;
	bool put_off;
	bool short_of;
};

void page_reporting_walk(struct page_reporting_pass *pass);
unsigned long page_reporting_usable(struct zone *zone, int mt);
bool page_reporting_in_report(void);
unsigned int page_reporting_report_age_ms(void);

/*
 * page_reporting_compact.c: how do fragments become whole blocks?
 */

/* Whether pages are moved to make whole blocks, or why not. */
enum page_reporting_compacts {
	PAGE_REPORTING_COMPACTS,
	PAGE_REPORTING_COMPACT_OFF,		/* by the parameter */
	PAGE_REPORTING_COMPACT_ORDER,		/* other blocks are reported */
	PAGE_REPORTING_COMPACT_PAGEBLOCK,	/* to empty one would not pay */
	PAGE_REPORTING_COMPACT_UNABLE,		/* no CONFIG_MIGRATION */
};

#ifdef CONFIG_PAGE_REPORTING_COMPACT
enum page_reporting_compacts page_reporting_compacts(unsigned int order);
void page_reporting_compact(struct page_reporting_pass *pass);
void page_reporting_compact_now(struct page_reporting_pass *pass);
void page_reporting_compact_reset(void);
void page_reporting_set_compact(bool on);
bool page_reporting_get_compact(void);
#else
static inline enum page_reporting_compacts
page_reporting_compacts(unsigned int order)
{
	return PAGE_REPORTING_COMPACT_UNABLE;
}

static inline void page_reporting_compact(struct page_reporting_pass *pass)
{
}

static inline void page_reporting_compact_now(struct page_reporting_pass *pass)
{
}

static inline void page_reporting_compact_reset(void)
{
}

static inline void page_reporting_set_compact(bool on)
{
}

static inline bool page_reporting_get_compact(void)
{
	return false;
}
#endif

/*
 * page_reporting.c: when does a pass run?
 */

/* @report: of the device, or NULL. @state: an enum page_reporting_state. */
struct page_reporting_status {
	int (*report)(struct page_reporting_dev_info *prdev,
		      struct scatterlist *sg, unsigned int nents);
	int state;
	unsigned int order;	/* or PAGE_REPORTING_ORDER_UNSPECIFIED */
	unsigned int delay_ms;	/* or PAGE_REPORTING_ADAPTIVE */
};

/* The result of page_reporting_serve(): whether it left something. */
struct page_reporting_served {
	unsigned long nr_pages;
	unsigned long moved;
	bool more;
	int err;
};

struct page_reporting_status page_reporting_get_status(void);
void page_reporting_set_order(unsigned int order);
void page_reporting_set_delay(unsigned int delay_ms);
void page_reporting_settings_changed(void);
struct page_reporting_served page_reporting_serve(unsigned long wanted,
						  enum page_reporting_first first);

/*
 * page_reporting_flush.c: how is all free memory reported at once?
 */

/* How a flush ended: with 0 or a negative errno. */
struct page_reporting_flushed {
	unsigned long nr_pages;
	unsigned long moved;
	u64 duration_us;
	int err;
};

int page_reporting_flush(unsigned long nr_pages);
int page_reporting_flush_again(void);
int page_reporting_flush_compact(void);
struct page_reporting_flushed page_reporting_last_flush(void);

#endif /* _MM_PAGE_REPORTING_INTERNAL_H */
