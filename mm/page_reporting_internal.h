/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what its own files share.
 */
#ifndef _MM_PAGE_REPORTING_INTERNAL_H
#define _MM_PAGE_REPORTING_INTERNAL_H

#include <linux/bitops.h>
#include <linux/mm_types.h>
#include <linux/page-flags.h>
#include <linux/page_reporting.h>
#include <linux/types.h>

#include "page_reporting_debug.h"

enum page_reporting_state {
	PAGE_REPORTING_IDLE,
	PAGE_REPORTING_REQUESTED,
	PAGE_REPORTING_ACTIVE,
};

/**
 * struct page_reporting_status - what there is to see from outside
 * @report: the callback of the device; NULL without one
 * @state: an enum page_reporting_state
 * @order: the reporting order in effect
 */
struct page_reporting_status {
	int (*report)(struct page_reporting_dev_info *prdev,
		      struct scatterlist *sg, unsigned int nents);
	int state;
	unsigned int order;
};

/* page_reporting.c: the engine */
struct page_reporting_status page_reporting_get_status(void);
int page_reporting_run_now(void);

/*
 * The mark shares a word with flags that others set without zone->lock, such as
 * PG_hwpoison, and the macros for it are not atomic.
 */
static inline void __page_reporting_set_flag(struct page *page)
{
	set_bit(PG_reported, &page->flags);
}

static inline void __page_reporting_clear_flag(struct page *page)
{
	clear_bit(PG_reported, &page->flags);
}

/* page_reporting_mark.c: which blocks the hypervisor has */
void page_reporting_mark_from(unsigned int order);
void page_reporting_mark_none(void);
void __page_reporting_mark(struct page *page, struct zone *zone,
			   unsigned int order);
void __page_reporting_mark_lost(unsigned int order);
void page_reporting_sweep(void);

/* page_reporting_flush.c: report now */
int page_reporting_flush(unsigned long nr_pages);

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

struct page_reporting_flushed page_reporting_last_flush(void);
bool page_reporting_flush_pending(void);
unsigned long page_reporting_flush_join(void);
unsigned long page_reporting_flush_left(unsigned long ticket);
void page_reporting_flush_add(unsigned long ticket, unsigned long nr_pages);
bool page_reporting_flush_leave(unsigned long ticket, bool more, int err);
void page_reporting_flush_abort(int err);

#endif /* _MM_PAGE_REPORTING_INTERNAL_H */
