/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the page allocator calls on its hot paths. Without
 * CONFIG_PAGE_REPORTING all of it folds away; without a device it is two
 * patched-out branches: where a block comes to a free list, and where it leaves.
 */
#ifndef _MM_PAGE_REPORTING_H
#define _MM_PAGE_REPORTING_H

#include <linux/jump_label.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
/* Not for us: page_alloc.c gets it from here. */
#include <linux/page-isolation.h>

#ifdef CONFIG_PAGE_REPORTING

/* On exactly while a device is registered. */
DECLARE_STATIC_KEY_FALSE(page_reporting_enabled);

/* Smallest block that is reported; larger than any order while undecided. */
extern unsigned int page_reporting_order;

void __page_reporting_notify(void);

/**
 * page_reported - does the hypervisor already have this free block?
 * @page: head of a block on a free list
 *
 * Context: zone->lock held, which covers PG_reported.
 * Return: true if the block was reported since it became free.
 */
static inline bool page_reported(const struct page *page)
{
	return static_branch_unlikely(&page_reporting_enabled) &&
	       PageReported(page);
}

/**
 * page_reporting_notify_free - a block has come to a free list
 * @order: its order after merging
 *
 * Context: zone->lock held, interrupts off. Does not sleep.
 */
static inline void page_reporting_notify_free(unsigned int order)
{
	if (static_branch_unlikely(&page_reporting_enabled) &&
	    order >= READ_ONCE(page_reporting_order))
		__page_reporting_notify();
}

#else /* !CONFIG_PAGE_REPORTING */

static inline bool page_reported(const struct page *page)
{
	return false;
}

static inline void page_reporting_notify_free(unsigned int order)
{
}

#endif /* CONFIG_PAGE_REPORTING */
#endif /* _MM_PAGE_REPORTING_H */
