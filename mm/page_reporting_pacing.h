/* SPDX-License-Identifier: GPL-2.0 */
/* Free page reporting: how much free memory may be reported, and when. */
#ifndef _MM_PAGE_REPORTING_PACING_H
#define _MM_PAGE_REPORTING_PACING_H

#include <linux/limits.h>
#include <linux/types.h>

/* Shares of the burst, which is the CPU time that moves may take at once. */
#define PAGE_REPORTING_SHARES		24U
/* So many of them while others use a CPU or more. */
#define PAGE_REPORTING_BUSY_SHARES	4U

/* What it is taken to cost to move 4 KiB, in ns. */
#define PAGE_REPORTING_MOVE_NS		2000U

/* B is as long as PAGE_REPORTING_WINDOWS windows. */
#define PAGE_REPORTING_WINDOWS		16
/* Pages are kept for so many B at most. Its windows are known. */
#define PAGE_REPORTING_KEPT		4
#define PAGE_REPORTING_PAST		(PAGE_REPORTING_KEPT * PAGE_REPORTING_WINDOWS)

/*
 * A wait is longer by this many windows. A pass that comes more than as many
 * windows after its due time is late.
 */
#define PAGE_REPORTING_SLACK		2

/* Value of @due_ms from the start of a pass until it has seen the pool. */
#define PAGE_REPORTING_PASS_RUNS	(U64_MAX - 1)

/* No pass is needed before the next free, which requests one. */
#define PAGE_REPORTING_NEVER		(~0U)

/*
 * The demand for the free blocks of one pool. The level is the number of
 * unreported pages in them. Levels and amounts are in pages. The caller
 * serialises all calls for one of these: by zone->lock or, for fragments, by
 * making them from the work only.
 */
struct page_reporting_pacing {
	u64 low;		/* lowest level in the open window */
	u64 past[PAGE_REPORTING_PAST];	/* in closed ones, the latest first, + @gone */
	u64 gone;		/* pages that left it from the bottom */
	u64 opened_ms;		/* when the open window began */
	u64 closes_ms;		/* when it ends */
	u64 due_ms;		/* next pass, PAGE_REPORTING_PASS_RUNS, or U64_MAX */
	u64 started_ms;		/* when most of it had never been used */
	u64 recent;		/* reported less than 3 B ago, not used since */
	u64 recent_ms;		/* when most of @recent were reported */
	u64 keep;		/* how much of the surplus to keep for 4 B */
	u64 early;		/* of the latest grant: idle for B, beyond @keep */
	u64 late;		/* the rest of it: idle for 4 B */
	u64 vain;		/* kept in vain, and not yet taken off @keep */
	unsigned int break_even_ms;	/* B */
	unsigned int order;	/* of the smallest block that counts */
};

/* The CPU time that was spent and is not paid off, as of @paid_ms. */
struct page_reporting_cap {
	u64 debt_ns;
	u64 paid_ms;
};

void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms);
void page_reporting_pacing_init_fragments(struct page_reporting_pacing *pacing,
					  unsigned int order, u64 level,
					  u64 now_ms);
void page_reporting_pacing_advance(struct page_reporting_pacing *pacing,
				   u64 level, u64 now_ms);
void page_reporting_pacing_begin(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms);
void page_reporting_pacing_put_off(struct page_reporting_pacing *pacing,
				   u64 wait_ms, u64 now_ms);
void page_reporting_pacing_end(struct page_reporting_pacing *pacing,
			       unsigned int wait_ms, bool all, u64 now_ms);
u64 page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms);
unsigned int page_reporting_pacing_soonest_ms(void);
u64 page_reporting_pacing_rent_ns(u64 pages, u64 ms);
u64 page_reporting_pacing_rent_ms(u64 pages, u64 ns);
u64 page_reporting_pacing_price_ns(u64 pages);
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
u64 page_reporting_cap_moves_wait(struct page_reporting_cap *cap, u64 pages,
				  unsigned int share, u64 now_ms);
unsigned int page_reporting_cap_share(u64 busy_ns, u64 ns);
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 ns);

/*
 * Blocks were allocated, which leaves @level. The open window must not be over:
 * see page_reporting_pacing_advance().
 */
static inline void
page_reporting_pacing_fell(struct page_reporting_pacing *pacing, u64 level)
{
	if (level < pacing->low)
		pacing->low = level;
}

#endif /* _MM_PAGE_REPORTING_PACING_H */
