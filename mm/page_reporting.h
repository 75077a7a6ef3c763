/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the page allocator calls on its hot paths. Without
 * CONFIG_PAGE_REPORTING all of it folds away. Without a device it is
 * patched-out branches: where a block comes to a free list, leaves it, or
 * merges.
 */
#ifndef _MM_PAGE_REPORTING_H
#define _MM_PAGE_REPORTING_H

#include <linux/jump_label.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
/* Not for this file: page_alloc.c gets it from here. */
#include <linux/page-isolation.h>

#ifdef CONFIG_PAGE_REPORTING

/* On exactly while a device is registered. */
DECLARE_STATIC_KEY_FALSE(page_reporting_enabled);

/* Smallest block that is reported; larger than any order while undecided. */
extern unsigned int page_reporting_order;

/* No smaller block is marked as reported. See page_reporting_mark.c. */
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
 * Does it matter that a block of this order leaves the free lists? It does if
 * such a block may be marked as reported. With zone->lock held.
 */
static inline bool page_reporting_watches(unsigned int order)
{
	return static_branch_unlikely(&page_reporting_enabled) &&
	       order >= READ_ONCE(page_reporting_mark_order);
}

/**
 * page_reporting_notify_free - a block has come to a free list
 * @zone: its zone
 * @order: its order after merging
 * @mt: its migratetype
 *
 * Context: zone->lock held, interrupts off, any context, NMI too. Does not
 * sleep, takes no lock.
 */
static inline void page_reporting_notify_free(struct zone *zone,
					      unsigned int order, int mt)
{
	if (static_branch_unlikely(&page_reporting_enabled) &&
	    order >= READ_ONCE(page_reporting_order))
		__page_reporting_freed(zone, order, mt);
}

/**
 * page_reporting_notify - blocks have come to free lists without a free
 *
 * Context: any.
 */
static inline void page_reporting_notify(void)
{
	if (static_branch_unlikely(&page_reporting_enabled))
		__page_reporting_notify();
}

/**
 * page_reporting_taken - a block was allocated, the whole of it or its front
 * @page: its head, no longer on a free list; what is split off is not yet
 * @zone: its zone
 * @low: the order that was allocated
 * @high: the order that the block had
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
 * page_reporting_left - a block has left its free list for any other reason
 * @page: its head
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
 * page_reporting_merged - a free block is now a part of a larger one
 * @page: its head, no longer on a free list
 * @zone: its zone
 * @order: the order that it had
 * @mt: the migratetype that it had
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
 * page_reporting_retyped - a free block is now one of another type
 * @page: its head
 * @zone: its zone
 * @order: its order
 * @old_mt: the migratetype that it had
 * @new_mt: its new one
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
