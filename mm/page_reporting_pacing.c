// SPDX-License-Identifier: GPL-2.0
/* Free page reporting: how much free memory may be reported, and when. */

/**
 * DOC: pacing
 *
 * **Model.** A free page that the host still backs costs memory for as long as
 * it is kept. A page that was reported costs CPU time when it is used again:
 * the report and the refault. When it will be used again is not known. This is
 * the ski rental problem: rent by the day (keep), or buy (report, and perhaps
 * pay for a refault). Let B be the time after which keeping a page has cost as
 * much as its refault, which is charged as a whole huge page of the host: see
 * "unit" in mm/page_reporting_mark.c.
 *
 * **Observation.** Free lists behave like a stack: allocation takes from the
 * head, freed blocks go to the head, reported blocks to the tail. Let the level
 * be the number of unreported free pages. A page at a given depth is touched
 * exactly when the level falls below this depth. So the lowest level during the
 * last tau is how many pages were not needed in that time: the *surplus*. It is
 * a quantity, not a set of pages, as the level is a sum over all orders.
 * Migratetypes do not share their lists, so each pool of them has a level of
 * its own: see "zones" in mm/page_reporting_mark.c.
 *
 * **Derivation.** Each page of the surplus is worth the same, so all of it is
 * reported at once, except for a rest smaller than the largest blocks: see
 * __page_reporting_stays(). The lowest level is kept for each window of B / 16:
 * the open one and 64 closed ones. 16 windows span B, so no page leaves before
 * it was idle for B, and all 64 span 4 B. A window is closed by the first event
 * after its end: a block is added to the free lists or removed, or a pass runs.
 * The level does not change between events, so no timer has to close windows.
 * Reported pages leave from the bottom of the stack, and lower all minima by as
 * much.
 *
 * **Keeping.** With tau = B, the cost is at most twice that with a known
 * future. But demand is often periodic: what is needed every 1.2 B would be
 * refaulted each time. Where such programs run side by side, the sum of their
 * demands peaks even more rarely. So pages are kept for B or for 4 B, and the
 * policy learns how many to keep for 4 B:
 *
 * - two more for each page that is refaulted within 3 B of its report: if kept,
 *   it would have been there, and the next peak may be higher;
 * - one less for every four pages that are reported after 4 B: they were kept
 *   in vain. To learn more from each would forget a peak that fails to come
 *   just once.
 *
 * The surplus is what was idle for 4 B, or what was idle for B less the pages
 * to keep, whichever is more. Both are in whole blocks: a block that is to be
 * kept in part is kept. Nothing is learned from the mere passing of time: not
 * from a night without demand, a stall, or ballooning.
 *
 * **Waiting.** The surplus can grow only when the latest window with too low a
 * level is old enough. The next pass is due two windows later, as the level
 * often falls just before. If that window is still open, this is in 19/16 B,
 * which reveals stalls. With less than a block, no pass is due.
 *
 * **Stalls.** A guest that the host has stopped sees time pass without events,
 * as if it were idle. If the next pass is late by more than two windows, and by
 * more than timers are, at most four of the windows without an event are
 * counted. A stall shorter than 3/2 B, in a pass, or in the wait after an error
 * may go unnoticed, and make a page look idle for as much longer.
 *
 * **Bound.** Each page, by its depth, is a ski rental of its own. With a known
 * future, an idle period of length G costs min(G, B). A page that leaves after
 * B costs B, three windows and a refault, less than 2 1/4 times as much. One
 * that is kept and used costs at most 4 1/4 times as much, and one that is kept
 * in vain, and leaves after 4 B, at most 5 1/4 times. So the cost is at most
 * 5 1/4 times that with a known future. A demand that frees a block every 3 B
 * and uses none comes close: each is kept until the next one replaces it.
 * This assumes that the free lists behave as one stack, that the price of a page
 * does not depend on how many are reported, that no rest stays, see
 * __page_reporting_stays(), that passes run in time, and that the CPU cap does
 * not limit reports.
 *
 * **Price.** A report of 2 MiB takes about 14 us, and its refault 340 us more
 * than a hit; for 4 KiB, it is 4.0 us and 3.6 us. (From the raw data of
 * HyperAlloc, EuroSys 2025: a guest of 16 GiB under KVM.) Each 4 KiB of a block
 * below 2 MiB is assumed to be refaulted separately, for 3.6 us and a share of
 * the 4 us of one report. This price is doubled, as the host then lacks the
 * huge page that was broken up: with reports down to 4 KiB, a compilation took
 * 18 % longer in the same source. So B is 0.7 s if the smallest block of a pool
 * has 2 MiB or more, 7.6 s if it has 1 MiB, and 15.9 s if it has 4 KiB.
 *
 * Memory is worth CPU time at the host's ratio of the two: 4 GiB per CPU, as in
 * the common machines of all large clouds. On a host with half or twice that, B
 * is wrong by 2, and the cost is at most 3 times the optimum instead of twice.
 *
 * **CPU cap.** The CPU time of reporting is a debt, which is paid off at a rate
 * of 1 % of one CPU. Reports go on while it is below 50 us for each 2 MiB of
 * the guest's memory: enough to report all of it once, on a host that takes 3.5
 * times as long as the one above. So a guest that frees all its memory at once
 * does not have to wait, and over any period, reporting takes at most 1 % of a
 * CPU and one such release.
 *
 * Emptying pageblocks, see mm/page_reporting_plan.c, has a cap of its own, as
 * moving pages takes longer: 0.25 % of one CPU, and 1.5 ms for each 2 MiB at
 * once, enough to move half of the memory on a host that takes three times as
 * long. Where others use a CPU or more, only a sixth of that may be spent at
 * once. So in a guest of 4 GiB that works, moves take at most 0.7 % of a CPU
 * over two minutes, whatever they cost.
 *
 * **Ablations.** What gets worse without each term of the policy, as shown by
 * "make ablations" in tools/testing/page_reporting/pacing. Refaults are given
 * as a share of the memory that a periodic demand takes, once it is learned;
 * the cost as a multiple of that with a known future:
 *
 * ==============================  ==============================  =======  =======
 * term of the policy              in                                 with  without
 * ==============================  ==============================  =======  =======
 * keeping for 4 B                 512 MiB/0.9 s, refaults             0 %    100 %
 * keeping for more than 2 B       64 MiB/2 s and /2.3 s               0 %    2.2 %
 * keeping for B only              release of 1.5 GiB, 90 %         0.77 s    2.9 s
 * two pages for each refault      128 MiB/0.5 s, /0.3 s, learned   72 MiB  100 MiB
 * an amount rather than a flag    bursts, cost                       2.24     3.95
 * forgetting what is in vain      bursts, cost                       2.24     2.56
 * a quarter of it, not all        128 MiB/0.5 s and /0.3 s          0.2 %    1.2 %
 * forgetting reports after 3 B    32 MiB/0.9 s, 1 GiB/3 s, cost      2.09     4.47
 * ignoring reports at the start   release after the boot           0.77 s    3.0 s
 * looking for stalls              512 MiB, stop of 5 s              0 MiB  437 MiB
 * a wait for that window to age   512 MiB/0.9 s, passes             1.2/s   22.2/s
 * a wait longer by two windows    512 MiB/0.5 s, passes             1.2/s    2.2/s
 * 16 windows, not eight           release of 1.5 GiB, 90 %         0.77 s   0.81 s
 * a price for small blocks        order 4, holes, refaults            5 %    100 %
 * the CPU cap                     2 ms a report, CPU time             1 %     16 %
 * a level for each migratetype    two types of 0.9 s, refaults        0 %     16 %
 * leaving a rest unreported       80 MiB/0.9 s, refaults              0 %    0.7 %
 * ==============================  ==============================  =======  =======
 *
 * **End.** Once demand has ended, all free memory is reported after at most 4 B
 * and three windows. After that, no pass is due until a block is freed.
 */

#include <linux/bits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <asm/page.h>

#include "page_reporting_pacing.h"

/* See "Price": in ns per 4 KiB, whatever PAGE_SIZE is. A CPU is worth 4 GiB. */
#define UNIT_SHIFT			12
#define HUGE_SHIFT			21
#define HUGE_PRICE_NS			((340000U + 14000) >> (HUGE_SHIFT - UNIT_SHIFT))
#define SMALL_REFAULT_NS		3600U
#define SMALL_REPORT_NS			4000U
#define SMALL_FACTOR			2
#define UNITS_PER_CPU			(SZ_4G >> UNIT_SHIFT)

/* So many pages more are kept for each that is refaulted. See "Keeping". */
#define REFAULT_SHARE			2

/* One in so many pages that were kept in vain is forgotten. See "Keeping". */
#define VAIN_SHARE			4

/* Windows without an event that count if a pass is late. See "Stalls". */
#define LATE_WINDOWS			4

/* For this many B after the start, most reports are of memory never used. */
#define START_BREAK_EVENS		2

/* See "CPU cap". The bursts are for each huge page of the guest. */
#define CAP_NS_PER_MS			10000U
#define CAP_BURST_NS			50000U
#define CAP_MOVE_NS_PER_MS		2500U
#define CAP_MOVE_BURST_NS		1500000U
#define CAP_DEBT_MAX_NS			BIT_ULL(62)
/* A batch takes less than 5 ms; any time beyond that is steal time. */
#define CAP_CHARGE_MAX_NS		5000000ULL

/* More than any price takes to be paid. They keep products from overflow. */
#define RENT_MAX_MS			((u64)3600 * 1000)
#define RENT_MAX_NS			BIT_ULL(42)
#define UNITS_MAX			BIT_ULL(42)

/* Above the number of pages of any machine. */
#define PAGES_MAX			BIT_ULL(52)

/* Time since @then_ms; 0 if the clock went backwards. */
static u64 elapsed(u64 now_ms, u64 then_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* The price of the report and the refault of a block, per 4 KiB. */
static u64 price_ns(unsigned int shift)
{
	if (shift >= HUGE_SHIFT)
		return HUGE_PRICE_NS;
	return SMALL_FACTOR * (SMALL_REFAULT_NS +
			       (SMALL_REPORT_NS >> (shift - UNIT_SHIFT)));
}

static u64 units(u64 pages)
{
	return pages << (PAGE_SHIFT - UNIT_SHIFT);
}

/* The price of the report and the refault of so many pages in huge pages. */
u64 page_reporting_pacing_price_ns(u64 pages)
{
	return units(pages) * HUGE_PRICE_NS;
}

/* What it costs to keep so many pages, 4 GiB at most, as CPU time. */
u64 page_reporting_pacing_rent_ns(u64 pages, u64 ms)
{
	return div64_u64(min(units(pages), UNITS_PER_CPU) *
			 min(ms, RENT_MAX_MS) * 1000000, UNITS_PER_CPU);
}

/* For how long these pages can be kept at the price of so much CPU time. */
u64 page_reporting_pacing_rent_ms(u64 pages, u64 ns)
{
	u64 ms_ns = min(units(pages), UNITS_MAX) * 1000000;

	return div64_u64(min(ns, RENT_MAX_NS) * UNITS_PER_CPU + ms_ns - 1, ms_ns);
}

/* B for a price per 4 KiB, such that a window is a whole number of ms. */
static unsigned int break_even_ms(u64 ns)
{
	unsigned int ms = div64_u64(ns * UNITS_PER_CPU, 1000000);

	return ms - ms % PAGE_REPORTING_WINDOWS;
}

static unsigned int window_ms(const struct page_reporting_pacing *pacing)
{
	return pacing->break_even_ms / PAGE_REPORTING_WINDOWS;
}

/* After this, a block was idle for B, not counting the window of its free. */
static unsigned int first_ms(unsigned int b_ms)
{
	return b_ms + b_ms / PAGE_REPORTING_WINDOWS;
}

static void open_window(struct page_reporting_pacing *pacing, u64 now_ms)
{
	pacing->opened_ms = now_ms;
	pacing->closes_ms = now_ms + window_ms(pacing);
}

/* The lowest level in a closed window, less what has left the bottom since. */
static u64 past_low(const struct page_reporting_pacing *pacing, unsigned int i)
{
	return pacing->past[i] - min(pacing->past[i], pacing->gone);
}

/*
 * Pages of @low that were not needed in the closed windows @i to @end - 1, either.
 * If it is less than a block, how much less does not matter.
 */
static u64 idle(const struct page_reporting_pacing *pacing, unsigned int i,
		unsigned int end, u64 low)
{
	for (; i < end && low >> pacing->order; i++)
		low = min(low, past_low(pacing, i));
	return low;
}

/* Pages reported more than 3 B ago would be reported by now with 4 B, too. */
static void forget(struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 most_ms = (PAGE_REPORTING_KEPT - 1) * (u64)pacing->break_even_ms;

	if (elapsed(now_ms, pacing->recent_ms) >= most_ms)
		pacing->recent = 0;
}

/* Closes the windows that are over. @level is that since the last event. */
void page_reporting_pacing_advance(struct page_reporting_pacing *pacing,
				   u64 level, u64 now_ms)
{
	unsigned int length_ms = window_ms(pacing);
	u64 over = div64_u64(elapsed(now_ms, pacing->opened_ms), length_ms);
	bool late = elapsed(now_ms, pacing->due_ms) >
		    PAGE_REPORTING_SLACK * length_ms;
	unsigned int i, nr, most = late ? LATE_WINDOWS : PAGE_REPORTING_PAST + 1;

	/* Each free requests a pass, which is then due after this. */
	if (pacing->due_ms == U64_MAX || late)
		pacing->due_ms = now_ms + first_ms(pacing->break_even_ms);
	pacing->closes_ms = pacing->opened_ms + length_ms;
	if (!over)
		return;
	/* The open window becomes the oldest of @nr, or is too old to be kept. */
	nr = min_t(u64, over, most);
	for (i = PAGE_REPORTING_PAST; i-- > nr;)
		pacing->past[i] = pacing->past[i - nr];
	if (nr <= PAGE_REPORTING_PAST)
		pacing->past[nr - 1] = pacing->low + pacing->gone;
	for (i = 0; i < nr - 1; i++)
		pacing->past[i] = level + pacing->gone;
	pacing->low = level;
	open_window(pacing, late ? now_ms : pacing->opened_ms + over * length_ms);
}

/* Windows until all of those below @enough are older than @nr windows. */
static unsigned int windows_until(const struct page_reporting_pacing *pacing,
				  unsigned int nr, u64 enough)
{
	unsigned int i;

	if (pacing->low < enough)
		return nr + 1;
	for (i = 0; i < nr; i++)
		if (past_low(pacing, i) < enough)
			return nr - i;
	return 1;
}

/* Delay in ms from the free of a block of 2 MiB or more; others wait longer. */
unsigned int page_reporting_pacing_soonest_ms(void)
{
	return first_ms(break_even_ms(HUGE_PRICE_NS));
}

/*
 * The time until the next pass over this pool: 1 ms to 19/16 B, or
 * PAGE_REPORTING_NEVER if the level is below one block. A later pass counts as
 * a sign of a stall. @left: pages that were granted now and were not reported
 */
unsigned int page_reporting_pacing_wait(struct page_reporting_pacing *pacing,
					u64 level, u64 left, u64 now_ms)
{
	u64 block = 1ULL << pacing->order;
	unsigned int windows;
	u64 wait_ms;

	if (level < block) {
		pacing->due_ms = U64_MAX;
		/* Have the next event set a new due time. */
		pacing->closes_ms = 0;
		return PAGE_REPORTING_NEVER;
	}
	/* What was granted but is too little to be reported needs no pass. */
	windows = min(windows_until(pacing, PAGE_REPORTING_WINDOWS,
				    pacing->keep + left + block),
		      windows_until(pacing, PAGE_REPORTING_PAST, left + block));
	/* If the level falls in these windows, the slack saves a pass. */
	if (windows > 1)
		windows += PAGE_REPORTING_SLACK;
	wait_ms = (u64)windows * window_ms(pacing);
	wait_ms -= min(wait_ms, elapsed(now_ms, pacing->opened_ms));
	wait_ms = max(wait_ms, 1ULL);
	pacing->due_ms = now_ms + wait_ms;
	return wait_ms;
}

/*
 * A pass has begun. It may take long until it comes to this pool, which must
 * not look like a late pass.
 */
void page_reporting_pacing_begin(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms)
{
	page_reporting_pacing_advance(pacing, level, now_ms);
	pacing->due_ms = PAGE_REPORTING_PASS_RUNS;
}

/*
 * The next pass comes in @wait_ms, whenever the pool needs one. A timer may be
 * late by an eighth of a long wait: see the levels in kernel/time/timer.c.
 */
void page_reporting_pacing_put_off(struct page_reporting_pacing *pacing,
				   u64 wait_ms, u64 now_ms)
{
	u64 due_ms = now_ms + wait_ms + wait_ms / 7;

	if (pacing->due_ms >= PAGE_REPORTING_PASS_RUNS || pacing->due_ms < due_ms)
		pacing->due_ms = due_ms;
}

/*
 * A pass has ended, perhaps long after it came to this pool. @wait_ms: until the
 * next one, or PAGE_REPORTING_NEVER. @all: that is so even if the pool needs one
 * sooner, as after an error
 */
void page_reporting_pacing_end(struct page_reporting_pacing *pacing,
			       unsigned int wait_ms, bool all, u64 now_ms)
{
	if (wait_ms != PAGE_REPORTING_NEVER &&
	    (all || pacing->due_ms < PAGE_REPORTING_PASS_RUNS))
		page_reporting_pacing_put_off(pacing, wait_ms, now_ms);
	/* The pass did not see this pool. The next event sets a new due time. */
	if (pacing->due_ms == PAGE_REPORTING_PASS_RUNS) {
		pacing->due_ms = U64_MAX;
		pacing->closes_ms = 0;
	}
}

static u64 whole_blocks(const struct page_reporting_pacing *pacing, u64 pages)
{
	return pages >> pacing->order << pacing->order;
}

/* The pages that may be reported now, a multiple of a block of @pacing->order. */
u64 page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms)
{
	u64 for_b, for_4b, pages;

	page_reporting_pacing_begin(pacing, level, now_ms);
	for_b = idle(pacing, 0, PAGE_REPORTING_WINDOWS, min(pacing->low, level));
	for_4b = idle(pacing, PAGE_REPORTING_WINDOWS, PAGE_REPORTING_PAST, for_b);
	pacing->early = whole_blocks(pacing, for_b - min(for_b, pacing->keep));
	pages = max(pacing->early, whole_blocks(pacing, for_4b));
	pacing->late = pages - pacing->early;
	return pages;
}

/*
 * Blocks left the free lists, from the bottom of the stack and not by demand,
 * such as those to be reported. If put back unreported, they count as freed.
 */
void page_reporting_pacing_isolated(struct page_reporting_pacing *pacing,
				    u64 pages)
{
	pacing->low -= min(pacing->low, pages);
	pacing->gone += pages;
}

/*
 * Pages were reported. What page_reporting_pacing_decide() had not granted was
 * granted for another pool, as blocks may count in one and lie in another.
 */
void page_reporting_pacing_reported(struct page_reporting_pacing *pacing,
				    u64 pages, u64 now_ms)
{
	u64 early = min(pages, pacing->early), b_ms = pacing->break_even_ms;
	u64 late = min(pages - early, pacing->late);

	/* A pass may end before it has reported all that was granted. */
	pacing->early -= early;
	pacing->late -= late;
	/* A block may have less than VAIN_SHARE pages. */
	pacing->vain += late;
	pacing->keep -= min(pacing->keep, pacing->vain / VAIN_SHARE);
	pacing->vain %= VAIN_SHARE;
	/* To keep the late ones for 4 B has saved no refault. */
	pages -= late;
	/* The first use of memory costs a fault anyway, reported or not. */
	if (!pages || elapsed(now_ms, pacing->started_ms) < START_BREAK_EVENS * b_ms)
		return;
	forget(pacing, now_ms);
	/* Keep the time at which most of the recent pages were reported. */
	if (pacing->recent <= pages)
		pacing->recent_ms = now_ms;
	pacing->recent = min(pacing->recent + pages, PAGES_MAX);
}

/*
 * Reported pages were allocated. If the recent reports had been held back, as
 * many pages would have been at the top of the stack. So it does not matter
 * which of the reported pages these are, only when the latest were reported.
 */
void page_reporting_pacing_refaulted(struct page_reporting_pacing *pacing,
				     u64 pages, u64 now_ms)
{
	forget(pacing, now_ms);
	pages = min(pages, pacing->recent);
	pacing->recent -= pages;
	pacing->keep = min(pacing->keep + REFAULT_SHARE * pages, PAGES_MAX);
}

/* Starts with nothing learned. @order is that of the smallest block. */
void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms)
{
	*pacing = (struct page_reporting_pacing) {
		.low = level,
		.due_ms = U64_MAX,
		.started_ms = now_ms,
		.break_even_ms = break_even_ms(price_ns(order + PAGE_SHIFT)),
		.order = order,
	};
	open_window(pacing, now_ms);
}

/* For fragments, of which whole blocks of @order can be made. */
void page_reporting_pacing_init_fragments(struct page_reporting_pacing *pacing,
					  unsigned int order, u64 level,
					  u64 now_ms)
{
	page_reporting_pacing_init(pacing, order, level, now_ms);
	/* Half of a pageblock that is emptied is taken to be in use. */
	pacing->break_even_ms =
		break_even_ms(HUGE_PRICE_NS + PAGE_REPORTING_MOVE_NS / 2);
	open_window(pacing, now_ms);
}

/* Starts without a debt. */
void page_reporting_cap_init(struct page_reporting_cap *cap, u64 now_ms)
{
	*cap = (struct page_reporting_cap) { .paid_ms = now_ms };
}

static void pay(struct page_reporting_cap *cap, u64 ns_per_ms, u64 now_ms)
{
	/* After this long, a debt of any size is paid off. */
	u64 ms = min(elapsed(now_ms, cap->paid_ms),
		     div64_u64(CAP_DEBT_MAX_NS, ns_per_ms) + 1);

	cap->debt_ns -= min(cap->debt_ns, ms * ns_per_ms);
	cap->paid_ms = max(cap->paid_ms, now_ms);
}

/* No overflow: 2^43 huge pages at most, less than 2^20 ns for each. */
static u64 huge_pages(u64 pages)
{
	return (min(pages, PAGES_MAX) >> (HUGE_SHIFT - PAGE_SHIFT)) + 1;
}

/* Is there CPU time left for reports? @pages is the guest's memory. */
bool page_reporting_cap_allows(struct page_reporting_cap *cap, u64 pages,
			       u64 now_ms)
{
	pay(cap, CAP_NS_PER_MS, now_ms);
	return cap->debt_ns < huge_pages(pages) * CAP_BURST_NS;
}

/*
 * How many shares of the burst moves may spend, if all CPUs together were busy
 * for @busy_ns of @ns with anything but moves.
 */
unsigned int page_reporting_cap_share(u64 busy_ns, u64 ns)
{
	unsigned int rest = PAGE_REPORTING_SHARES - PAGE_REPORTING_BUSY_SHARES;

	if (busy_ns >= ns)
		return PAGE_REPORTING_BUSY_SHARES;
	return PAGE_REPORTING_SHARES - div64_u64(rest * busy_ns, ns);
}

/*
 * The time in ms until there is CPU time left for moves, which may spend @share
 * shares of their burst; 0 if there is now. @cap is that of moves, not reports.
 */
u64 page_reporting_cap_moves_wait(struct page_reporting_cap *cap, u64 pages,
				  unsigned int share, u64 now_ms)
{
	u64 most = huge_pages(pages) * (CAP_MOVE_BURST_NS / PAGE_REPORTING_SHARES);

	pay(cap, CAP_MOVE_NS_PER_MS, now_ms);
	if (cap->debt_ns < most * share)
		return 0;
	return div64_u64(cap->debt_ns - most * share, CAP_MOVE_NS_PER_MS) + 1;
}

/* Adds CPU time in ns to the debt. */
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 ns)
{
	cap->debt_ns = min(cap->debt_ns + min(ns, CAP_CHARGE_MAX_NS),
			   CAP_DEBT_MAX_NS);
}
