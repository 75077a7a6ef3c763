// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: how much of the free memory may go, and when.
 */

/**
 * DOC: pacing
 *
 * **Model.** A free page that the host still backs costs memory for as long as
 * it is kept. A page that was reported costs CPU time when it is used again:
 * the refault, and the report that led to it. Nobody knows when a page will be
 * used again. This is the ski rental problem: rent by the day (keep), or buy
 * (report, and perhaps pay for a refault). Let B be the time for which keeping
 * a page costs as much as its refault.
 *
 * **Unit of account.** The host backs a guest by huge pages where it can. The
 * first touch of 4 KiB in a reported 2 MiB makes it back all of them, so a
 * refault costs, and is charged as, a whole huge page. See "unit" in
 * mm/page_reporting_mark.c.
 *
 * **Observation.** Free lists behave as a stack. Allocation takes from the
 * head, what is freed goes there too, and what was reported goes to the tail.
 * Let the level be the number of unreported free pages. A page at some depth
 * of the stack is touched exactly when the level falls below this depth. So
 * the pages that nobody needed during the last tau are those below the lowest
 * level of the last tau: the *surplus*. A counter and a few minima tell it,
 * without time stamps in pages and without a search.
 *
 * For one list this is a statement about certain pages. A zone has a list for
 * each order, and the level is the sum of them. Then it is one about quantity:
 * at no time during tau would so many pages have been missed. Migratetypes do
 * not share their lists, so a level counts blocks of one type only.
 *
 * **Derivation.** All of the surplus is reported at once: each page of it has
 * been kept for tau, and none is better than another. The lowest level is kept
 * for windows of B / 8: the open one and 16 closed ones. Eight span B, so no page
 * leaves before it was idle for B, and all 16 span 2 B. Windows end with the
 * first event after their time: a block that comes to the free lists, one that
 * leaves them, or a pass. Between two events the level does not change, so the
 * windows in which nothing happened are known exactly, and no timer has to close
 * them. What is reported leaves at the bottom of the stack, and all minima fall
 * by as much.
 *
 * **Keeping.** With tau = B, the cost is at most twice that of a known future.
 * What happens in fact is often periodic, and memory that comes back every 1.2 B
 * costs a refault each time with tau = B, and nothing with tau = 2 B. To keep
 * memory for longer than 2 B is never right: a report after B and the refault
 * cost less. So pages are kept for B or for 2 B, and what is learned is how many
 * pages to keep for 2 B:
 *
 * - as many more as come back within B of their report: they would have been
 *   there;
 * - as many less as are reported after 2 B: they were kept in vain.
 *
 * The surplus is what was idle for 2 B, or what was idle for B less the pages to
 * keep, whichever is more. Each event counts once, and time alone teaches
 * nothing: not a night without demand, not a stall, not ballooning.
 *
 * **Waiting.** The surplus can grow only when the latest window that was too
 * low is old enough. A pass is asked for a window after that, as often the level
 * falls just before: that saves every third pass of a churn of 0.5 s. While the
 * level is too low, it is 10/8 B from now, which shows a stall.
 *
 * **Stalls.** A guest that the host stops sees time pass in which nothing
 * happens, as if it were idle. The promised pass is then late. Whoever finds it
 * late by more than a window counts the windows without an event as two at
 * most. A stall shorter than 10/8 B may hide between two passes. It can make a
 * page look idle for as much longer.
 *
 * **Bound.** Take the pages by their depth, each a ski rental of its own, and
 * charge for an idle period of length G: min(G, B) if the future is known. If it
 * is not, a page that leaves after B costs B, two windows and a refault, 2 1/4 times
 * as much. One that leaves after 2 B costs 3 1/4 times as much. But it was kept
 * because another page came back after B to 2 B, at a cost of at most 2 1/4, and
 * each such page pays for one only. So the two cost at most 2 3/4 times as much as
 * if the future was known, and a sum of such pairs and single pages does.
 * The assumptions: the free lists behave as one stack, a price per page that does
 * not depend on how many are reported, passes in time, and a CPU cap that does
 * not bind.
 *
 * **Price.** A report of 2 MiB takes about 14 us, and its refault 340 us more
 * than a hit; for 4 KiB it is 4.0 and 3.6 us. (From the raw data of HyperAlloc,
 * EuroSys 2025: a guest of 16 GiB under KVM.) Blocks below the host's huge page
 * are reported only where the operator sets such an order. There, each small
 * page is taken to be refaulted by itself: 3.6 us, whatever the block, and its
 * share of the 4 us of one report, which falls as the order grows. These
 * figures leave out that a huge page of the host that was broken up is missing
 * afterwards: with reports down to 4 KiB, a compilation took 18 % longer in the
 * same source. Hence twice the price there. So a small block waits longer: B is
 * 0.7 s where the smallest block of a pool has 2 MiB or more, 7.6 s where it
 * has 1 MiB, and 15.9 s where it has 4 KiB.
 *
 * What memory is worth in CPU time is the host's ratio of the two: 4 GiB for
 * each CPU, as in the common machines of all large clouds. At half or twice
 * the ratio B would be half or twice as long, which makes 2 at most 3.
 *
 * **CPU cap.** The CPU time of reporting is a debt, which is paid off at a rate
 * of 1 % of one CPU. Reports go on while the debt is smaller than 50 us for
 * each 2 MiB of the guest's memory. That is the time for one report of all of
 * it, on a host that takes 3.5 times as long as the one above. So a guest that
 * frees all its memory at once does not wait, and between any two moments
 * reporting takes at most 1 % of the time and one such release.
 *
 * **Ablations.** Of "make ablations" in tools/testing/page_reporting/pacing, what
 * gets worse without a term. Refaults are a part of what a known churn takes, the
 * cost is that of a known future:
 *
 * ==============================  ============================  =======  =======
 * without                         in                               with  without
 * ==============================  ============================  =======  =======
 * keeping for 2 B                 512 MiB/0.9 s, refaults           0 %    100 %
 * keeping for B only              release of 1.5 GiB, 90 %       0.81 s    1.5 s
 * an amount rather than a flag    bursts, cost                     2.08     2.68
 * a fall by what is kept in vain  day and night, cost              1.38     1.54
 * forgetting reports after B      128 MiB every 1.8 s, cost        2.13     2.71
 * leaving out the start           release after the boot         0.81 s   1.55 s
 * looking for stalls              512 MiB, stop of 1.5 s          0 MiB  874 MiB
 * a wait for the oldest window    512 MiB/0.9 s, passes           1.3/s   11.1/s
 * a wait longer by a window       512 MiB/0.5 s, passes           1.2/s    2.2/s
 * eight windows, but four         release of 1.5 GiB, 90 %       0.81 s   0.91 s
 * a price for small blocks        order 4, holes, refaults          7 %    100 %
 * the CPU cap                     2 ms a report, CPU time           1 %     16 %
 * a level for each migratetype    two types of 0.9 s, refaults      0 %     44 %
 * ==============================  ============================  =======  =======
 *
 * **End.** With demand gone, everything is reported after at most 2 B and two
 * windows. After that no pass is due until a block is freed.
 */

#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/page.h>

#include "page_reporting_pacing.h"

/* Prices in ns for 4 KiB, whatever the size of a page here. See "Price". */
#define UNIT_SHIFT			12
#define HUGE_SHIFT			21
#define HUGE_PRICE_NS			((340000U + 14000) >> (HUGE_SHIFT - UNIT_SHIFT))
#define SMALL_REFAULT_NS		3600U
#define SMALL_REPORT_NS			4000U
#define SMALL_FACTOR			2

/* What is worth a CPU: 4 GiB. */
#define UNITS_PER_CPU			(SZ_4G >> UNIT_SHIFT)

/* Windows have a whole number of ms. */
#define BREAK_EVEN_MULTIPLE		PAGE_REPORTING_WINDOWS

/* Windows without an event that count when a pass is late. See "Stalls". */
#define LATE_WINDOWS			2

/* For so many times B after the start, reports are of memory never used. */
#define START_BREAK_EVENS		2

/* 1 % of a millisecond, in ns. */
#define CAP_NS_PER_MS			10000U
/* One release of everything: 50 us for each huge page. See "CPU cap". */
#define CAP_BURST_NS			50000U
#define CAP_DEBT_MAX_NS			BIT_ULL(62)
/* No batch takes longer than 5 ms. What does was taken by the host: steal time. */
#define CAP_CHARGE_MAX_NS		5000000ULL

/* No machine has more pages. */
#define PAGES_MAX			BIT_ULL(52)

/* Time since @then_ms; 0 if the clock went back. */
static u64 elapsed(u64 now_ms, u64 then_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* What it costs to report and refault a block, for each 4 KiB of it. */
static u64 price_ns(unsigned int shift)
{
	if (shift >= HUGE_SHIFT)
		return HUGE_PRICE_NS;
	return SMALL_FACTOR * (SMALL_REFAULT_NS +
			       (SMALL_REPORT_NS >> (shift - UNIT_SHIFT)));
}

static unsigned int break_even_ms(unsigned int shift)
{
	unsigned int ms = div64_u64(price_ns(shift) * UNITS_PER_CPU, 1000000);

	return ms - ms % BREAK_EVEN_MULTIPLE;
}

static unsigned int window_ms(const struct page_reporting_pacing *pacing)
{
	return pacing->break_even_ms / PAGE_REPORTING_WINDOWS;
}

/* By then, a block was idle for B, and the window in which it came is over. */
static unsigned int first_ms(unsigned int b_ms)
{
	return b_ms + b_ms / PAGE_REPORTING_WINDOWS;
}

/**
 * page_reporting_pacing_first_ms - from a block that is freed to a pass
 * @pacing: of the pool in question
 *
 * Return: ms, for a block that is freed while no pass is asked for.
 */
unsigned int
page_reporting_pacing_first_ms(const struct page_reporting_pacing *pacing)
{
	return first_ms(pacing->break_even_ms);
}

static void open_window(struct page_reporting_pacing *pacing, u64 now_ms)
{
	pacing->opened_ms = now_ms;
	pacing->closes_ms = now_ms + window_ms(pacing);
}

/* Lowest level of the latest @nr closed windows. */
static u64 lowest(const struct page_reporting_pacing *pacing, unsigned int nr)
{
	u64 low = pacing->past[0];
	unsigned int i;

	for (i = 1; i < nr; i++)
		low = min(low, pacing->past[i]);
	return low;
}

/* Pages that nobody needed during the latest @nr closed windows and since. */
static u64 idle(const struct page_reporting_pacing *pacing, unsigned int nr)
{
	return min(pacing->low, lowest(pacing, nr));
}

/* A page that was reported longer than B ago would have left after 2 B, too. */
static void forget(struct page_reporting_pacing *pacing, u64 now_ms)
{
	if (elapsed(now_ms, pacing->recent_ms) >= pacing->break_even_ms)
		pacing->recent = 0;
}

static void push_window(struct page_reporting_pacing *pacing)
{
	memmove(&pacing->past[1], &pacing->past[0],
		sizeof(pacing->past) - sizeof(pacing->past[0]));
	pacing->past[0] = pacing->low;
}

/**
 * page_reporting_pacing_advance - end the windows that are over
 * @pacing: of the pool in question
 * @level: the level since the last event, in pages
 * @now_ms: the time
 */
void page_reporting_pacing_advance(struct page_reporting_pacing *pacing,
				   u64 level, u64 now_ms)
{
	unsigned int length_ms = window_ms(pacing);
	u64 over = div64_u64(elapsed(now_ms, pacing->opened_ms), length_ms);
	bool late = elapsed(now_ms, pacing->due_ms) > length_ms;
	unsigned int i;

	/* A block that is freed has a pass asked for. */
	if (pacing->due_ms == U64_MAX || late)
		pacing->due_ms = now_ms + page_reporting_pacing_first_ms(pacing);
	pacing->closes_ms = pacing->opened_ms + length_ms;
	if (!over)
		return;
	for (i = 0; i < min(over, (u64)PAGE_REPORTING_PAST + 1); i++) {
		if (late && i == LATE_WINDOWS)
			break;
		push_window(pacing);
		pacing->low = level;
	}
	open_window(pacing, late ? now_ms : pacing->opened_ms + over * length_ms);
}

/* Windows until those that are lower than @enough are older than @nr windows. */
static unsigned int windows_until(const struct page_reporting_pacing *pacing,
				  unsigned int nr, u64 enough)
{
	unsigned int i;

	if (pacing->low < enough)
		return nr + 1;
	for (i = 0; i < nr; i++)
		if (pacing->past[i] < enough)
			return nr - i;
	return 1;
}

/**
 * page_reporting_pacing_soonest_ms - from a free to a pass, for any block
 *
 * Return: page_reporting_pacing_first_ms() of blocks of 2 MiB and more, in ms.
 * Smaller ones have to wait for longer.
 */
unsigned int page_reporting_pacing_soonest_ms(void)
{
	return first_ms(break_even_ms(HUGE_SHIFT));
}

/**
 * page_reporting_pacing_wait - when to look again
 * @pacing: of the pool in question
 * @level: the level, in pages
 * @left: pages that could have left now, and did not
 * @now_ms: the time
 *
 * The caller promises to come by then.
 *
 * Return: ms from now, at least 1 and at most 10/8 B, or PAGE_REPORTING_NEVER if
 * there is not one block to report: the next one that is freed asks for a pass.
 */
unsigned int page_reporting_pacing_wait(struct page_reporting_pacing *pacing,
					u64 level, u64 left, u64 now_ms)
{
	u64 block = 1ULL << pacing->order;
	unsigned int windows;
	u64 wait_ms;

	if (level < block) {
		pacing->due_ms = U64_MAX;
		/* The next event has a new promise. */
		pacing->closes_ms = 0;
		return PAGE_REPORTING_NEVER;
	}
	/* What could leave and did not, as no block fits, is no reason to come. */
	windows = min(windows_until(pacing, PAGE_REPORTING_WINDOWS,
				    pacing->keep + left + block),
		      windows_until(pacing, PAGE_REPORTING_PAST, left + block));
	/* Later by one, since a level that falls meanwhile saves a pass. */
	wait_ms = (u64)(windows + (windows > 1)) * window_ms(pacing);
	wait_ms -= min(wait_ms, elapsed(now_ms, pacing->opened_ms));
	wait_ms = max(wait_ms, 1ULL);
	pacing->due_ms = now_ms + wait_ms;
	return wait_ms;
}

/**
 * page_reporting_pacing_decide - how much to report now
 * @pacing: of the pool in question
 * @level: the level, in pages
 * @now_ms: the time
 *
 * Return: pages, in whole blocks of @pacing->order.
 */
u64 page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
				 u64 level, u64 now_ms)
{
	u64 for_b, for_2b, pages;

	page_reporting_pacing_advance(pacing, level, now_ms);
	/* A pass that takes long is not late. */
	pacing->due_ms = now_ms + page_reporting_pacing_first_ms(pacing);
	for_b = min(idle(pacing, PAGE_REPORTING_WINDOWS), level);
	for_2b = min(idle(pacing, PAGE_REPORTING_PAST), level);
	pages = for_b - min(for_b, pacing->keep);
	pacing->late = for_2b - min(for_2b, pages);
	pages += pacing->late;
	return pages >> pacing->order << pacing->order;
}

/**
 * page_reporting_pacing_isolated - blocks leave the free lists to be reported
 * @pacing: of the pool in question
 * @pages: how many pages
 *
 * They leave at the bottom of the stack. A block that comes back unreported
 * counts as freed at that time.
 */
void page_reporting_pacing_isolated(struct page_reporting_pacing *pacing,
				    u64 pages)
{
	unsigned int i;

	pacing->low -= min(pacing->low, pages);
	for (i = 0; i < PAGE_REPORTING_PAST; i++)
		pacing->past[i] -= min(pacing->past[i], pages);
}

/**
 * page_reporting_pacing_reported - the host has taken these pages
 * @pacing: of the pool in question
 * @pages: how many
 * @now_ms: the time
 *
 * Only for what leaves because page_reporting_pacing_decide() said so.
 */
void page_reporting_pacing_reported(struct page_reporting_pacing *pacing,
				    u64 pages, u64 now_ms)
{
	u64 late = min(pages, pacing->late), b_ms = pacing->break_even_ms;

	pacing->late -= late;
	pacing->keep -= min(pacing->keep, late);
	/* 2 B did not save these. */
	pages -= late;
	/* And the first use of memory costs a fault anyway. */
	if (!pages || elapsed(now_ms, pacing->started_ms) < START_BREAK_EVENS * b_ms)
		return;
	forget(pacing, now_ms);
	/* The time is that of most of them. */
	if (pacing->recent <= pages)
		pacing->recent_ms = now_ms;
	pacing->recent = min(pacing->recent + pages, PAGES_MAX);
}

/**
 * page_reporting_pacing_refaulted - pages that the host has are in use again
 * @pacing: of the pool in question
 * @pages: how many, in whole units of account
 * @now_ms: the time
 *
 * Had the pages been kept, as many would have been on top of the stack. So it
 * does not matter which of the reported pages these are, only when the latest
 * were reported.
 */
void page_reporting_pacing_refaulted(struct page_reporting_pacing *pacing,
				     u64 pages, u64 now_ms)
{
	forget(pacing, now_ms);
	pages = min(pages, pacing->recent);
	pacing->recent -= pages;
	pacing->keep = min(pacing->keep + pages, PAGES_MAX);
}

/**
 * page_reporting_pacing_init - nothing is known yet
 * @pacing: of the pool in question
 * @order: the smallest block that counts
 * @level: the level, in pages
 * @now_ms: the time
 */
void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms)
{
	*pacing = (struct page_reporting_pacing) {
		.low = level,
		.due_ms = U64_MAX,
		.started_ms = now_ms,
		.recent_ms = now_ms,
		.break_even_ms = break_even_ms(order + PAGE_SHIFT),
		.order = order,
	};
	open_window(pacing, now_ms);
}

/**
 * page_reporting_cap_init - nothing is spent yet
 * @cap: the machine's
 * @now_ms: the time
 */
void page_reporting_cap_init(struct page_reporting_cap *cap, u64 now_ms)
{
	*cap = (struct page_reporting_cap) { .paid_ms = now_ms };
}

/**
 * page_reporting_cap_allows - is there CPU time left for reports?
 * @cap: the machine's
 * @pages: memory of the guest, in pages
 * @now_ms: the time
 *
 * Return: true if so.
 */
bool page_reporting_cap_allows(struct page_reporting_cap *cap, u64 pages,
			       u64 now_ms)
{
	/* By then, a debt of any size is paid off. */
	u64 ms = min(elapsed(now_ms, cap->paid_ms),
		     CAP_DEBT_MAX_NS / CAP_NS_PER_MS + 1);
	u64 huge = (min(pages, PAGES_MAX) >> (HUGE_SHIFT - PAGE_SHIFT)) + 1;

	cap->debt_ns -= min(cap->debt_ns, ms * CAP_NS_PER_MS);
	cap->paid_ms = max(cap->paid_ms, now_ms);
	/* 2^43 huge pages, 2^16 ns each */
	return cap->debt_ns < huge * CAP_BURST_NS;
}

/**
 * page_reporting_cap_charge - CPU time was spent
 * @cap: the machine's
 * @ns: how much
 */
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 ns)
{
	cap->debt_ns = min(cap->debt_ns + min(ns, CAP_CHARGE_MAX_NS),
			   CAP_DEBT_MAX_NS);
}
