/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest with one zone and one free list, whose engine asks the policy.
 *
 * Whatever the policy grants is checked against the true idle times.
 */
#ifndef _PACING_GUEST_H
#define _PACING_GUEST_H

#include "../../../../mm/page_reporting_pacing.h"
#include "stack.h"

/*
 * @unreported: free, and backed by the host
 * @reported: free pages that the host has
 * @now_ms: the guest's clock
 * @ask_ms: when the engine asks next; 0 for never
 * @late_ms: how much later than asked for the engine's timers are
 * @often_ms: how often the engine asks at least, since it has other zones too
 * @price_ns: what the report of one block takes here
 * @failing: the driver fails
 * @refaulted: pages that had to be backed again
 * @sent: pages reported
 * @asked: decisions made
 * @spent_ns: CPU time of all reports, and how much of it
 * @owed_ns: is more than 1 % of the time that went by, and the most that was
 * @most_owed_ns
 * @held: pages times ms that the host backed free memory
 * @broken: the first promise that the policy broke, or NULL
 */
struct guest {
	struct page_reporting_pacing pacing;
	struct page_reporting_cap cap;
	struct stack unreported;
	u64 reported;
	u64 now_ms;
	u64 ask_ms;
	u64 late_ms;
	u64 often_ms;
	u64 price_ns;
	bool failing;
	u64 refaulted;
	u64 sent;
	u64 asked;
	u64 spent_ns;
	u64 owed_ns;
	u64 most_owed_ns;
	u64 held;
	const char *broken;
};

/* All memory is in use at first, and the clock is at @now_ms. */
void guest_init(struct guest *guest, unsigned int order, u64 now_ms);
void guest_free(struct guest *guest);

/* Lets time go by, with all that the engine does meanwhile. */
void guest_run(struct guest *guest, u64 until_ms);

/* The guest frees memory, or takes some: no more than is free. */
void guest_gives(struct guest *guest, u64 pages);
void guest_takes(struct guest *guest, u64 pages);

/* If the guest does nothing any more, the host has it all after this time. */
u64 guest_longest_wait_ms(const struct guest *guest);

#endif /* _PACING_GUEST_H */
