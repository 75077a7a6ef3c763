/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: how much of the free memory to report, and when.
 */
#ifndef _MM_PAGE_REPORTING_PACING_H
#define _MM_PAGE_REPORTING_PACING_H

#include <linux/types.h>

/* Closed windows that are kept. Together they are as long as tau. */
#define PAGE_REPORTING_WINDOWS		8

/*
 * From the first block that is freed after a wait for ever to the next question,
 * in ms: the shortest window of large blocks. To ask too early does no harm.
 */
#define PAGE_REPORTING_FIRST_MS		45

/* The wait of a grant when there is nothing to wait for. */
#define PAGE_REPORTING_NEVER		(~0U)

/**
 * struct page_reporting_pacing - what is known of the demand for free blocks
 * @low: lowest level since @opened_ms, in pages
 * @past: lowest level of each window before, the latest one first, in pages
 * @unused: of the level at the start, what was not needed up to @opened_ms, in
 *	pages that the host does not have
 * @opened_ms: when the open window began
 * @quiet_ms: when tau was last found to be none too long
 * @epoch_ms: since when @recent and @early are counted; older ones by half
 * @reported_ms: when pages that had been used were last reported
 * @recent: pages reported lately
 * @early: pages refaulted so soon that they had better been kept
 * @missed: pages to keep of the next surpluses, as so many were refaulted too
 *	soon
 * @missed_ms: when the last of these were refaulted
 * @break_even_ms: as long as this, keeping a page costs as much as its refault
 * @step: tau is (@break_even_ms / 2) << @step
 * @order: the smallest block that counts
 *
 * One for each zone and range of orders that has a price of its own. The
 * level is the number of pages in free blocks of these orders that the host
 * does not have; blocks on their way to the host and back still count.
 *
 * The caller serialises all calls for one of these, under zone->lock.
 */
struct page_reporting_pacing {
	u64 low;
	u64 past[PAGE_REPORTING_WINDOWS];
	u64 unused;
	u64 opened_ms;
	u64 quiet_ms;
	u64 epoch_ms;
	u64 reported_ms;
	u64 recent;
	u64 early;
	u64 missed;
	u64 missed_ms;
	unsigned int break_even_ms;
	unsigned int step;
	unsigned int order;
};

/**
 * struct page_reporting_cap - the CPU time that reporting may take
 * @debt_ns: CPU time spent and not yet paid for by the passing of time
 * @burst_ns: the debt up to which reporting may go on
 * @price_ns: CPU time that the report of one block takes, learned
 * @paid_ms: up to when the passing of time has been counted
 *
 * One for the whole machine. Only the work that reports uses it.
 */
struct page_reporting_cap {
	u64 debt_ns;
	u64 burst_ns;
	u64 price_ns;
	u64 paid_ms;
};

/**
 * struct page_reporting_grant - what was decided
 * @pages: pages that may be reported now, in blocks of @order and above
 * @order: the smallest block to report
 * @wait_ms: when to ask again, from now, if all of @pages are reported; or
 *	PAGE_REPORTING_NEVER: not before a block becomes free
 */
struct page_reporting_grant {
	u64 pages;
	unsigned int order;
	unsigned int wait_ms;
};

/**
 * page_reporting_pacing_note - the level fell
 * @pacing: of the zone and orders in question
 * @level: where it is now, in pages
 *
 * For each block that leaves a free list. A rise need not be noted. A block
 * that leaves for the host does not lower the level.
 */
static inline void
page_reporting_pacing_note(struct page_reporting_pacing *pacing, u64 level)
{
	if (level < pacing->low)
		pacing->low = level;
}

void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms);
struct page_reporting_grant
page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
			     const struct page_reporting_cap *cap, u64 level,
			     u64 now_ms);
unsigned int
page_reporting_pacing_wait(const struct page_reporting_pacing *pacing,
			   u64 level, u64 now_ms);
void page_reporting_pacing_reported(struct page_reporting_pacing *pacing,
				    u64 pages, u64 now_ms);
void page_reporting_pacing_gone(struct page_reporting_pacing *pacing, u64 pages);
void page_reporting_pacing_refaulted(struct page_reporting_pacing *pacing,
				     u64 pages, u64 now_ms);
unsigned int
page_reporting_pacing_tau_ms(const struct page_reporting_pacing *pacing);

void page_reporting_cap_init(struct page_reporting_cap *cap, u64 now_ms);
void page_reporting_cap_begin(struct page_reporting_cap *cap, u64 blocks,
			      u64 now_ms);
u64 page_reporting_cap_blocks(const struct page_reporting_cap *cap);
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 blocks,
			       u64 ns);

#endif /* _MM_PAGE_REPORTING_PACING_H */
