/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: how much of the free memory may go, and when.
 */
#ifndef _MM_PAGE_REPORTING_PACING_H
#define _MM_PAGE_REPORTING_PACING_H

#include <linux/types.h>

/* Windows are as long as B together, and those of 2 B are kept. */
#define PAGE_REPORTING_WINDOWS		8
#define PAGE_REPORTING_PAST		(2 * PAGE_REPORTING_WINDOWS)

/* A wait without end: the next free asks for a pass. */
#define PAGE_REPORTING_NEVER		(~0U)

/**
 * struct page_reporting_pacing - the demand for the free blocks of one pool
 * @low: lowest level in the open window, in pages
 * @past: lowest level in each window before it, the latest one first, in pages
 * @opened_ms: when the open window began
 * @closes_ms: when it ends
 * @due_ms: when the next pass was promised to look here, or U64_MAX
 * @started_ms: when all that was free had hardly been used
 * @recent: pages reported less than B before, and not refaulted since
 * @recent_ms: when most of @recent were reported
 * @keep: pages that are kept for 2 B rather than B
 * @late: pages of the latest decision that had been kept for 2 B
 * @break_even_ms: B, the time for which keeping a page costs as much as its
 *	refault
 * @order: the smallest block that counts
 *
 * The level is the number of pages in free blocks of the pool that the host
 * backs. The caller serialises all calls for one of these: zone->lock.
 */
struct page_reporting_pacing {
	u64 low;
	u64 past[PAGE_REPORTING_PAST];
	u64 opened_ms;
	u64 closes_ms;
	u64 due_ms;
	u64 started_ms;
	u64 recent;
	u64 recent_ms;
	u64 keep;
	u64 late;
	unsigned int break_even_ms;
	unsigned int order;
};

/**
 * struct page_reporting_cap - the CPU time that reporting may take
 * @debt_ns: CPU time spent and not yet paid for by the passing of time
 * @paid_ms: up to when the passing of time has been counted
 *
 * One for the whole machine. Only the work that reports uses it.
 */
struct page_reporting_cap {
	u64 debt_ns;
	u64 paid_ms;
};

void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms);
void page_reporting_pacing_advance(struct page_reporting_pacing *pacing,
				   u64 level, u64 now_ms);
u64 page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms);
unsigned int
page_reporting_pacing_first_ms(const struct page_reporting_pacing *pacing);
unsigned int page_reporting_pacing_soonest_ms(void);
unsigned int page_reporting_pacing_wait(struct page_reporting_pacing *pacing,
					u64 level, u64 left, u64 now_ms);
void page_reporting_pacing_isolated(struct page_reporting_pacing *pacing,
				    u64 pages);
void page_reporting_pacing_reported(struct page_reporting_pacing *pacing,
				    u64 pages, u64 now_ms);
void page_reporting_pacing_refaulted(struct page_reporting_pacing *pacing,
				     u64 pages, u64 now_ms);

void page_reporting_cap_init(struct page_reporting_cap *cap, u64 now_ms);
bool page_reporting_cap_allows(struct page_reporting_cap *cap, u64 pages,
			       u64 now_ms);
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 ns);

/**
 * page_reporting_pacing_fell - blocks have left the free lists to be used
 * @pacing: of the pool in question
 * @level: the level afterwards, in pages
 *
 * No window may be over: see page_reporting_pacing_advance().
 */
static inline void
page_reporting_pacing_fell(struct page_reporting_pacing *pacing, u64 level)
{
	if (level < pacing->low)
		pacing->low = level;
}

#endif /* _MM_PAGE_REPORTING_PACING_H */
