/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest with one zone: the allocator, its hooks, the passes of the engine, and
 * the host with its huge pages.
 *
 * Whatever the policy grants is checked against the true idle times.
 */
#ifndef _PACING_GUEST_H
#define _PACING_GUEST_H

#include "../../../../mm/page_reporting_pacing.h"
#include "buddy.h"
#include "stack.h"

/* As the allocator's hooks: a window that is over ends with the next event. */
static inline void end_windows(struct page_reporting_pacing *pacing, u64 level,
			       u64 now_ms)
{
	if (now_ms >= pacing->closes_ms)
		page_reporting_pacing_advance(pacing, level, now_ms);
}

/* The host's huge page, and the unit of account. */
#define UNIT_ORDER	9U
#define UNIT_PAGES	BIT_ULL(UNIT_ORDER)

/* Orders that have a price of their own. */
struct range {
	struct page_reporting_pacing pacing;
	unsigned int last;	/* the largest order */
	unsigned int types;	/* TYPE_BIT() of each */
	struct stack stack;	/* the level, with the true idle times */
	u64 reported;
	u64 charged;		/* pages that the policy was told of as refaulted */
};

/*
 * @nr_pages: memory, all of it free at first
 * @order: the reporting order
 * @now_ms: the clock
 * @has_pcp: order 0 goes through per-CPU lists
 * @by_type: each migratetype is paced on its own
 * @old_accounting: a mark survives on each part from order 4 on, and a refault
 *	counts no more than the pages that are taken
 */
struct guest_config {
	u64 nr_pages;
	unsigned int order;
	u64 now_ms;
	bool has_pcp;
	bool by_type;
	bool old_accounting;
};

/*
 * @missing: pages of each unit that the host does not back
 * @absent: the same for each page
 * @all: the free memory, with the true idle times
 * @best: what a known future would have cost so far, in pages times ms
 * @pass_ms: when the next pass comes; 0 for none
 * @late_ms: how much later than asked for the engine's timers are
 * @price_ns: what the report of one block takes here
 * @failing: the driver fails
 * @touched: pages taken
 * @refaulted: pages that the host had to back again
 * @soon: those of @refaulted that were missed within 2 B of large blocks
 * @sent: pages reported
 * @passes: how many
 * @spent_ns: CPU time of all reports, and how much of it
 * @owed_ns: is more than 1 % of the time that went by, and the most that was
 * @most_owed_ns
 * @held: pages times ms that the host backed free memory of the ranges
 * @broken: the first promise that the policy broke, or NULL
 */
struct guest {
	struct buddy buddy;
	struct range ranges[2 * NR_TYPES];
	unsigned int nr_ranges;
	struct page_reporting_cap cap;
	bool old_accounting;
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

/* Lets time go by, with all passes that are due meanwhile. */
void guest_run(struct guest *guest, u64 until_ms);

/* The host stops the guest, whose clock goes on. */
void guest_stall(struct guest *guest, u64 ms);

/* The first page, or NO_PFN if there is no such block. */
unsigned int guest_take(struct guest *guest, unsigned int order,
			enum migratetype type);
void guest_give(struct guest *guest, unsigned int pfn, unsigned int order);

/* A flush: all unreported blocks of the reporting order and above leave. */
void guest_flush(struct guest *guest);

/* Pages in unreported blocks of the reporting order and above. */
u64 guest_level(const struct guest *guest);

/* If the guest does nothing any more, the host has it all after this time. */
u64 guest_longest_wait_ms(const struct guest *guest);

#endif /* _PACING_GUEST_H */
