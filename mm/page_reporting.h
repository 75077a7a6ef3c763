/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the page allocator calls on its hot paths, when a
 * block is added to a free list, removed from it, or merged. Without
 * CONFIG_PAGE_REPORTING all of it compiles to nothing. Without a device, each
 * call is a branch that is patched out.
 */
#ifndef _MM_PAGE_REPORTING_H
#define _MM_PAGE_REPORTING_H

#include <linux/huge_mm.h>
#include <linux/jump_label.h>
#include <linux/kconfig.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
/* For page_alloc.c, which gets it through this header. */
#include <linux/page-isolation.h>
#include <linux/sizes.h>

/* See "unit" in page_reporting_mark.c. 2 MiB on arm64 with any page size. */
#define PAGE_REPORTING_UNIT_ORDER \
	min_t(unsigned int, ilog2(SZ_2M) - PAGE_SHIFT, pageblock_order)

/*
 * Is each free at most one unit? The allocator splits larger blocks into
 * pageblocks, but a per-CPU list can free up to a huge page at once.
 */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
#define PAGE_REPORTING_FREED_ORDER	HPAGE_PMD_ORDER
#else
#define PAGE_REPORTING_FREED_ORDER	PAGE_ALLOC_COSTLY_ORDER
#endif
#define PAGE_REPORTING_FREES_UNITS \
	(pageblock_order == PAGE_REPORTING_UNIT_ORDER && \
	 pageblock_order >= PAGE_REPORTING_FREED_ORDER)

/* On while a device is registered. */
DECLARE_STATIC_KEY_FALSE(page_reporting_enabled);

/* Order of the smallest block that is reported; UINT_MAX while undecided. */
extern unsigned int page_reporting_order;

/*
 * A free of this order or above requests a pass. This is page_reporting_order,
 * or a lower order until a fragment is freed. See page_reporting_compact.c.
 */
extern unsigned int page_reporting_notify_order;

/* No block of a lower order is marked. See page_reporting_mark.c. */
extern unsigned int page_reporting_mark_order;

void __page_reporting_notify(void);
void __page_reporting_freed(struct zone *zone, unsigned int order, int mt,
			    unsigned int freed);
void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high, int mt);
void __page_reporting_left(struct page *page, struct zone *zone,
			   unsigned int order, int mt);
void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order, int mt);
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int old_mt, int new_mt);

/* Is there a device? If the option is off, calls behind this are dead code. */
static __always_inline bool page_reporting_has_device(void)
{
	return IS_ENABLED(CONFIG_PAGE_REPORTING) &&
	       static_branch_unlikely(&page_reporting_enabled);
}

/* May a block of this order be marked? If not, the hooks need not see it. */
static inline bool page_reporting_watches(unsigned int order)
{
	return page_reporting_has_device() &&
	       order >= READ_ONCE(page_reporting_mark_order);
}

/* Blocks were added to free lists other than by a free. Context: any. */
static inline void page_reporting_notify(void)
{
	if (page_reporting_has_device())
		__page_reporting_notify();
}

/*
 * The other hooks are called with zone->lock held and interrupts off, in any
 * context, including NMI. They do not sleep and take no lock. @page is the
 * first page of the block, @mt its migratetype.
 */

/*
 * A block of order @freed was added to a free list. @order: after merging. Where
 * no more than a unit is freed at once, @freed makes no difference, and is not
 * used, so that the caller need not keep it.
 */
static inline void page_reporting_notify_free(struct zone *zone,
					      unsigned int freed,
					      unsigned int order, int mt)
{
	if (page_reporting_has_device() &&
	    order >= READ_ONCE(page_reporting_notify_order))
		__page_reporting_freed(zone, order, mt,
				       PAGE_REPORTING_FREES_UNITS ?
				       0 : freed);
}

/*
 * A block of order @high was removed from its list to allocate @low from its
 * start. The parts that are split off are on no list yet.
 */
static inline void page_reporting_taken(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high,
					int mt)
{
	if (page_reporting_watches(high))
		__page_reporting_taken(page, zone, low, high, mt);
}

/* A block was removed from its list for another reason. */
static inline void page_reporting_left(struct page *page, struct zone *zone,
				       unsigned int order, int mt)
{
	if (page_reporting_watches(order))
		__page_reporting_left(page, zone, order, mt);
}

/*
 * A block was removed to merge. @order and @mt: before the merge. An unreported
 * block of a pageblock or more stays in its level.
 */
static inline void page_reporting_merged(struct page *page, struct zone *zone,
					 unsigned int order, int mt)
{
	if (page_reporting_watches(order) &&
	    (PageReported(page) || order < pageblock_order))
		__page_reporting_merged(page, zone, order, mt);
}

/* The migratetype of a free block changes, on its list or between two lists. */
static inline void page_reporting_retyped(struct page *page, struct zone *zone,
					  unsigned int order, int old_mt,
					  int new_mt)
{
	if (page_reporting_watches(order))
		__page_reporting_retyped(page, zone, order, old_mt, new_mt);
}

#endif /* _MM_PAGE_REPORTING_H */
