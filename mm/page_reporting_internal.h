/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what its own files share. Calls go in one direction, but
 * for the request in mark. "device" is page_reporting.c:
 *
 *	params -> flush -> device -> walk -> mark -> pacing
 *	                   device -> budget -> mark, pacing
 *	                   device -> compact -> walk, mark, plan -> pacing
 */
#ifndef _MM_PAGE_REPORTING_INTERNAL_H
#define _MM_PAGE_REPORTING_INTERNAL_H

#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/page_reporting.h>
#include <linux/preempt.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "page_reporting.h"
#include "page_reporting_debug.h"
#include "page_reporting_pacing.h"

enum page_reporting_state {
	PAGE_REPORTING_IDLE,
	PAGE_REPORTING_REQUESTED,
	PAGE_REPORTING_ACTIVE,
};

/* As a delay: pacing decides. This is the default; users see it as -1. */
#define PAGE_REPORTING_ADAPTIVE		UINT_MAX

/* page_reporting_mark.c */

/* Free blocks that are paced together. SMALL: below the unit of account. */
enum page_reporting_pool {
	PAGE_REPORTING_MOVABLE,	/* of programs */
	PAGE_REPORTING_KERNEL,
	PAGE_REPORTING_SMALL,
	PAGE_REPORTING_POOLS,
};

/* Blocks that a walk or a sweep looks at in one zone->lock section: about 20 us. */
#define PAGE_REPORTING_STEPS		256

/* A batch of more than one block takes no more than this off the free lists. */
#define PAGE_REPORTING_BATCH_PAGES	(SZ_128M >> PAGE_SHIFT)

/*
 * Does a batch of @pages, 0 for an empty one, have room for a block of @order?
 * With pages of 4 KiB, always: 32 blocks of the largest order are 128 MiB.
 */
static inline bool page_reporting_fits(unsigned long pages, unsigned int order)
{
	return !pages || PAGE_REPORTING_BATCH_PAGES >= PAGE_REPORTING_CAPACITY << MAX_PAGE_ORDER ||
	       pages + (1UL << order) <= PAGE_REPORTING_BATCH_PAGES;
}

/* Blocks of each of the kernel's lists that a pass counts. See "zones". */
#define PAGE_REPORTING_COUNTED		32

/*
 * @level: unreported free pages. May be off by a few blocks, and even negative,
 * until __page_reporting_count_levels() corrects it.
 */
struct page_reporting_demand {
	s64 level;
	struct page_reporting_pacing pacing;
};

static inline u64 page_reporting_level(const struct page_reporting_demand *pool)
{
	return max(pool->level, 0LL);
}

/*
 * The state of a zone. zone->page_reporting points to it from the first pass in
 * the zone until the device is unregistered. zone->lock protects all but the
 * last three fields.
 */
struct page_reporting_zone {
	struct page_reporting_demand pool[PAGE_REPORTING_POOLS];
	/* For each migratetype, the pool of its blocks of a unit or more. */
	struct page_reporting_demand *of[MIGRATE_TYPES];
	unsigned long reported[NR_PAGE_ORDERS];	/* marked blocks */
	/* While a block is put back, the marked pages that it merges with. */
	unsigned long *joined;
	unsigned int order;	/* the reporting order that this is kept for */
	struct zone *zone;
	struct list_head list;	/* of all such states */
	struct page_reporting_compact *compact;	/* or NULL */
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

/* The pool whose level counts @pages of a block, see "zones". */
static inline enum page_reporting_pool
page_reporting_counts_in(const struct page_reporting_zone *state,
			 unsigned int order, int mt, s64 pages)
{
	enum page_reporting_pool pool = page_reporting_pool(order, mt);

	if (pool == PAGE_REPORTING_KERNEL && state->pool[pool].level < pages)
		return PAGE_REPORTING_MOVABLE;
	return pool;
}

u64 __page_reporting_unreported(struct zone *zone, unsigned int low,
				unsigned int end);
void __page_reporting_count_levels(struct zone *zone);
bool page_reporting_enter_zone(struct zone *zone, unsigned int order);
void page_reporting_mark_begin(unsigned int order);
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported);
void page_reporting_sweep(unsigned int below);
void page_reporting_put_zones(void);

/* page_reporting_budget.c */

/* What limits a pass. */
struct page_reporting_budget {
	const struct page_reporting_budget_ops *ops;
	unsigned int capacity;	/* blocks in a full batch */
	unsigned long wanted;	/* flush: pages that are still to be reported */
	/* Pacing: pages of each pool that may still leave the zone. */
	u64 grant[PAGE_REPORTING_POOLS];
	bool all[PAGE_REPORTING_POOLS];	/* pacing: all of the pool was granted */
	enum page_reporting_pool pool;	/* pacing: of the next block */
	u64 cpu_ns;		/* pacing: CPU time that is accounted for */
	/* Until the next pass should run, or PAGE_REPORTING_NEVER. */
	unsigned int wait_ms;
};

/*
 * One kind of limit. Only @blocks is mandatory. All but @spent and @close are
 * called with zone->lock held.
 */
struct page_reporting_budget_ops {
	/* The pass enters a zone. False if nothing may leave it now. */
	bool (*open)(struct page_reporting_budget *budget, struct zone *zone);
	/* Blocks that may still be taken from a list, after @taken of them. */
	unsigned long (*blocks)(struct page_reporting_budget *budget,
				struct zone *zone, unsigned int order, int mt,
				unsigned long taken);
	/* A block was taken from the list of the latest call of @blocks. */
	void (*take)(struct page_reporting_budget *budget, unsigned int order);
	/* A reported block was put back. */
	void (*back)(struct page_reporting_budget *budget, struct zone *zone,
		     unsigned int order, int mt);
	/* A call of the driver, or a drain of the per-CPU lists, has ended. */
	void (*spent)(struct page_reporting_budget *budget);
	/* The pass leaves the zone. May lower the budget's @wait_ms. */
	void (*close)(struct page_reporting_budget *budget, struct zone *zone);
};

extern const struct page_reporting_budget_ops page_reporting_fixed_ops;
extern const struct page_reporting_budget_ops page_reporting_flush_ops;
void page_reporting_budget_pace(struct page_reporting_budget *budget);
void page_reporting_budget_end(const struct page_reporting_budget *budget,
			       unsigned int wait_ms, bool all);
void page_reporting_budget_reset(void);

/* page_reporting_walk.c */

/* What the first pass of a flush does before it walks. */
enum page_reporting_first {
	PAGE_REPORTING_NOTHING_FIRST,
	PAGE_REPORTING_FORGET_FIRST,	/* clear all marks */
	PAGE_REPORTING_COMPACT_FIRST,	/* make whole blocks of fragments */
};

/* One walk over free memory. */
struct page_reporting_pass {
	struct page_reporting_dev_info *prdev;
	struct zone *zone;	/* being walked; a batch has only one */
	unsigned int order;	/* the reporting order */
	struct page_reporting_budget budget;
	/* Returns a negative errno if the pass has to end now, or 0. */
	int (*ended)(struct page_reporting_pass *pass);
	bool flush;		/* somebody waits for it */
	enum page_reporting_first first;
	unsigned int nents;	/* blocks in the batch */
	unsigned int limit;	/* the batch is full with so many */
	unsigned long nr_pages;	/* pages in the batch */
	unsigned long blocks;	/* reported without error */
	unsigned long pages;	/* in these blocks */
	unsigned long moved;	/* pages, to make whole blocks of fragments */
	int err;		/* the last one of the driver, or 0 */
	int stopped;		/* what @ended returned last */
	/*
	 * There is more to report: the budget was used up before the end of a
	 * list, or a block was added to a list after the walk.
	 */
	bool more;
	bool put_off;		/* something can only be reported later */
	bool short_of;		/* the zone is short of memory for now */
};

void page_reporting_walk(struct page_reporting_pass *pass);
bool page_reporting_is_hopeless(const struct page_reporting_pass *pass,
				struct zone *zone);
void page_reporting_drain_pcp(struct zone *zone, int cpu);
void page_reporting_drain_pcps(struct zone *zone);
unsigned long page_reporting_usable(struct zone *zone, int mt);
bool page_reporting_in_report(void);
unsigned int page_reporting_report_age_ms(void);

/* page_reporting_compact.c */

/* Whether pages are moved to make whole blocks, or why not. */
enum page_reporting_compacts {
	PAGE_REPORTING_COMPACTS,
	PAGE_REPORTING_COMPACT_OFF,		/* by the parameter */
	PAGE_REPORTING_COMPACT_ORDER,		/* not for this order */
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

static inline void page_reporting_compact(struct page_reporting_pass *pass) { }
static inline void page_reporting_compact_now(struct page_reporting_pass *pass) { }
static inline void page_reporting_compact_reset(void) { }
static inline void page_reporting_set_compact(bool on) { }

static inline bool page_reporting_get_compact(void)
{
	return false;
}
#endif

/* page_reporting.c */

/* @report: of the device, or NULL. @state: an enum page_reporting_state. */
struct page_reporting_status {
	int (*report)(struct page_reporting_dev_info *prdev,
		      struct scatterlist *sg, unsigned int nents);
	int state;
	unsigned int order;	/* or PAGE_REPORTING_ORDER_UNSPECIFIED */
	unsigned int delay_ms;	/* or PAGE_REPORTING_ADAPTIVE */
};

/* What a flush did, or one pass of it. */
struct page_reporting_flushed {
	unsigned long nr_pages;
	unsigned long moved;
	u64 duration_us;
	bool more;	/* the pass left something */
	int err;	/* 0 or a negative errno */
};

struct page_reporting_status page_reporting_get_status(void);
void page_reporting_set_order(unsigned int order);
void page_reporting_set_delay(unsigned int delay_ms);
void page_reporting_settings_changed(void);
struct page_reporting_flushed page_reporting_serve(unsigned long wanted,
						   enum page_reporting_first first);

/* page_reporting_flush.c */

int page_reporting_flush(unsigned long nr_pages, enum page_reporting_first first);
struct page_reporting_flushed page_reporting_last_flush(void);

#endif /* _MM_PAGE_REPORTING_INTERNAL_H */
