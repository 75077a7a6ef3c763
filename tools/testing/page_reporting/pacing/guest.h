/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a guest with one zone: the allocator, its hooks, the passes of the
 * engine, and the host with its huge pages.
 *
 * All that the policy grants is checked against the true idle times.
 */
#ifndef _PACING_GUEST_H
#define _PACING_GUEST_H

#include "../../../../mm/page_reporting_pacing.h"
#include "buddy.h"
#include "stack.h"

/* As the allocator's hooks do: the next event closes a window that is over. */
static inline void end_windows(struct page_reporting_pacing *pacing, u64 level,
			       u64 now_ms)
{
	if (now_ms >= pacing->closes_ms)
		page_reporting_pacing_advance(pacing, level, now_ms);
}

/* A huge page of the host, which is the unit of account. */
#define UNIT_ORDER	9U
#define UNIT_PAGES	BIT_ULL(UNIT_ORDER)

/* A range of orders that is paced with its own price. */
struct range {
	struct page_reporting_pacing pacing;
	unsigned int last;	/* the highest order */
	unsigned int types;	/* TYPE_BIT() of each */
	struct stack stack;	/* the level, with the true idle times */
	bool all;		/* the last grant was all of it */
	u64 left;		/* of the last grant */
	u64 reported;
	u64 charged;		/* pages that the policy was charged as refaulted */
};

/*
 * @nr_pages: memory, all of it free at first
 * @order: the reporting order
 * @now_ms: the clock
 * @has_pcp: order 0 uses per-CPU lists
 * @by_type: each migratetype is paced separately
 * @old_accounting: parts of order 4 and above stay marked when a block is split, and
 *	a refault counts only the pages that are taken
 * @spends_rests: a rest of a grant that is smaller than the largest unreported block is
 *	spent on smaller ones
 */
struct guest_config {
	u64 nr_pages;
	unsigned int order;
	u64 now_ms;
	bool has_pcp;
	bool by_type;
	bool old_accounting;
	bool spends_rests;
};

/*
 * @missing: number of pages that the host does not back, for each unit
 * @absent: for each page, whether the host does not back it
 * @all: the free memory, with the true idle times
 * @best: the cost so far with a known future, in pages times ms
 * @pass_ms: when the next pass is due; 0 for none
 * @late_ms: by how much the engine's timers are late
 * @price_ns: CPU time to report one block
 * @failing: the driver fails
 * @touched: pages that were taken
 * @refaulted: pages that the host had to back again
 * @soon: pages of @refaulted that were needed again within 2 B of large blocks
 * @sent: pages that were reported
 * @passes: number of passes
 * @spent_ns: CPU time of all reports
 * @owed_ns: the part of @spent_ns beyond 1 % of the elapsed time
 * @most_owed_ns: maximum of @owed_ns
 * @held: free memory of the ranges that the host backed, in pages times ms
 * @broken: the first promise that the policy broke, or NULL
 */
struct guest {
	struct buddy buddy;
	struct range ranges[2 * NR_TYPES];
	unsigned int nr_ranges;
	struct page_reporting_cap cap;
	bool old_accounting;
	bool spends_rests;
	unsigned short *missing;
	bool *absent;
	struct stack all;
	u64 best;
	u64 now_ms;
	u64 pass_ms;
	u64 late_ms;
	u64 price_ns;
	bool failing;
	u64 touched;
	u64 refaulted;
	u64 soon;
	u64 sent;
	u64 passes;
	u64 spent_ns;
	u64 owed_ns;
	u64 most_owed_ns;
	u64 held;
	const char *broken;
};

void guest_init(struct guest *guest, const struct guest_config *config);
void guest_free(struct guest *guest);

/* Lets time pass, and runs all passes that are due meanwhile. */
void guest_run(struct guest *guest, u64 until_ms);

/* The host stops the guest, while its clock goes on. */
void guest_stall(struct guest *guest, u64 ms);

/* Allocates a block. Returns its first page, or NO_PFN if there is none. */
unsigned int guest_take(struct guest *guest, unsigned int order,
			enum migratetype type);
void guest_give(struct guest *guest, unsigned int pfn, unsigned int order);

/* Reports all unreported blocks of the reporting order and above. */
void guest_flush(struct guest *guest);

/* Pages in unreported blocks of the reporting order and above. */
u64 guest_level(const struct guest *guest);

/* If the guest does nothing more, all free memory is reported after this time. */
u64 guest_longest_wait_ms(const struct guest *guest);

#endif /* _PACING_GUEST_H */
