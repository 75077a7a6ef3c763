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
#include "page_reporting_pacing.h"

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

/* Blocks of a host's huge page and more, and smaller ones. */
enum {
	PAGE_REPORTING_LARGE,
	PAGE_REPORTING_SMALL,
	PAGE_REPORTING_RANGES,
};

/**
 * struct page_reporting_zone - what is known of a zone
 * @pacing: the demand for free blocks of each range of orders
 * @in_flight: pages of each range that are on their way to the device and back
 * @reported: marked blocks of each order
 * @joined: pages of marked blocks that a block merged with as it was put back
 * @putting_back: that is going on
 * @order: the reporting order that all this is about
 *
 * All under zone->lock. There while a device is, see page_reporting_zone().
 */
struct page_reporting_zone {
	struct page_reporting_pacing pacing[PAGE_REPORTING_RANGES];
	u64 in_flight[PAGE_REPORTING_RANGES];
	unsigned long reported[NR_PAGE_ORDERS];
	unsigned long joined;
	bool putting_back;
	unsigned int order;
};

/* page_reporting_zone.c: how much of it is free, and how much of that may go */
struct page_reporting_zone *page_reporting_zone(struct zone *zone);
u64 page_reporting_now_ms(void);
unsigned int page_reporting_range(unsigned int order);
unsigned long __page_reporting_unreported(struct zone *zone,
					  unsigned int order);
void __page_reporting_zone_taken(struct zone *zone, unsigned int low,
				 unsigned int high);
void __page_reporting_zone_refault(struct zone *zone, unsigned int order,
				   unsigned long nr_pages);
void __page_reporting_zone_back(struct zone *zone, unsigned int order,
				bool reported, bool paced);
u64 __page_reporting_zone_decide(struct zone *zone, u64 *grant);
unsigned int __page_reporting_zone_wait(struct zone *zone);
bool page_reporting_enter_zone(struct zone *zone, unsigned int order);
void page_reporting_get_zones(void);
void page_reporting_put_zones(void);

/* page_reporting_mark.c: which blocks the hypervisor has */
void page_reporting_mark_from(unsigned int order);
void page_reporting_mark_none(void);
bool __page_reporting_put_back(struct page *page, struct zone *zone,
			       unsigned int order, bool reported);
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
