/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the page allocator calls on its hot paths, when a
 * block is added to a free list, removed from it, or merged. Without
 * CONFIG_PAGE_REPORTING all of it compiles to nothing. Without a device, each
 * call is a branch that is patched out.
 */
#ifndef _MM_PAGE_REPORTING_H
#define _MM_PAGE_REPORTING_H

#include <linux/jump_label.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
/* For page_alloc.c, which gets it through this header. */
#include <linux/page-isolation.h>

#ifdef CONFIG_PAGE_REPORTING

/* On while a device is registered. */
DECLARE_STATIC_KEY_FALSE(page_reporting_enabled);

/* Order of the smallest block that is reported; UINT_MAX while undecided. */
extern unsigned int page_reporting_order;

/* No block of a lower order is marked. See page_reporting_mark.c. */
extern unsigned int page_reporting_mark_order;

void __page_reporting_notify(void);
void __page_reporting_freed(struct zone *zone, unsigned int order, int mt);
void __page_reporting_taken(struct page *page, struct zone *zone,
			    unsigned int low, unsigned int high, int mt);
void __page_reporting_left(struct page *page, struct zone *zone,
			   unsigned int order, int mt);
void __page_reporting_merged(struct page *page, struct zone *zone,
			     unsigned int order, int mt);
void __page_reporting_retyped(struct page *page, struct zone *zone,
			      unsigned int order, int old_mt, int new_mt);

/*
 * Does the engine have to know when a block of this order leaves a free list?
 * Only if such a block may be marked as reported. zone->lock is held.
 */
static inline bool page_reporting_watches(unsigned int order)
{
	return static_branch_unlikely(&page_reporting_enabled) &&
	       order >= READ_ONCE(page_reporting_mark_order);
}

/**
 * page_reporting_notify_free - a block was added to a free list
 * @zone: its zone
 * @order: its order after merging
 * @mt: its migratetype
 *
 * Context: Any, including NMI, with zone->lock held and interrupts off. Does
 * not sleep and takes no lock.
 */
static inline void page_reporting_notify_free(struct zone *zone,
					      unsigned int order, int mt)
{
	if (static_branch_unlikely(&page_reporting_enabled) &&
	    order >= READ_ONCE(page_reporting_order))
		__page_reporting_freed(zone, order, mt);
}

/**
 * page_reporting_notify - blocks were added to free lists other than by a free
 *
 * Context: Any.
 */
static inline void page_reporting_notify(void)
{
	if (static_branch_unlikely(&page_reporting_enabled))
		__page_reporting_notify();
}

/**
 * page_reporting_taken - a block was allocated, all of it or its first part
 * @page: its first page. The block is no longer on a free list, and what is
 *	split off is not on one yet
 * @zone: its zone
 * @low: the order that was allocated
 * @high: the order of the whole block
 * @mt: its migratetype
 *
 * Context: zone->lock held, interrupts off. Does not sleep.
 */
static inline void page_reporting_taken(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high,
					int mt)
{
	if (page_reporting_watches(high))
		__page_reporting_taken(page, zone, low, high, mt);
}

/**
 * page_reporting_left - a block was removed from its list for another reason
 * @page: its first page
 * @zone: its zone
 * @order: its order
 * @mt: its migratetype
 *
 * Context: zone->lock held, interrupts off. Does not sleep.
 */
static inline void page_reporting_left(struct page *page, struct zone *zone,
				       unsigned int order, int mt)
{
	if (page_reporting_watches(order))
		__page_reporting_left(page, zone, order, mt);
}

/**
 * page_reporting_merged - a free block has become a part of a larger one
 * @page: its first page; the block is no longer on a free list
 * @zone: its zone
 * @order: its order before the merge
 * @mt: its migratetype before the merge
 *
 * Context: zone->lock held, interrupts off. Does not sleep.
 */
static inline void page_reporting_merged(struct page *page, struct zone *zone,
					 unsigned int order, int mt)
{
	if (page_reporting_watches(order))
		__page_reporting_merged(page, zone, order, mt);
}

/**
 * page_reporting_retyped - the migratetype of a free block has changed
 * @page: its first page
 * @zone: its zone
 * @order: its order
 * @old_mt: its old migratetype
 * @new_mt: its new migratetype
 *
 * Context: zone->lock held, interrupts off. Does not sleep.
 */
static inline void page_reporting_retyped(struct page *page, struct zone *zone,
					  unsigned int order, int old_mt,
					  int new_mt)
{
	if (page_reporting_watches(order))
		__page_reporting_retyped(page, zone, order, old_mt, new_mt);
}

#else /* !CONFIG_PAGE_REPORTING */

static inline void page_reporting_notify_free(struct zone *zone,
					      unsigned int order, int mt)
{
}

static inline void page_reporting_notify(void)
{
}

static inline void page_reporting_taken(struct page *page, struct zone *zone,
					unsigned int low, unsigned int high,
					int mt)
{
}

static inline void page_reporting_left(struct page *page, struct zone *zone,
				       unsigned int order, int mt)
{
}

static inline void page_reporting_merged(struct page *page, struct zone *zone,
					 unsigned int order, int mt)
{
}

static inline void page_reporting_retyped(struct page *page, struct zone *zone,
					  unsigned int order, int old_mt,
					  int new_mt)
{
}

#endif /* CONFIG_PAGE_REPORTING */
#endif /* _MM_PAGE_REPORTING_H */
