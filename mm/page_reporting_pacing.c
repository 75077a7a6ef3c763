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
 * each order and migratetype, and the level is the sum over many. Then it is a
 * statement about quantity: at no time during tau would the zone have missed so
 * many pages. The pages that are reported may be others than those that were
 * idle, and cause refaults that a single list would not have seen. See "Doubt".
 *
 * **Derivation.** All of the surplus is reported at once: each page of it has
 * been kept for tau, and none is better than another. The lowest level is kept
 * for windows of tau / 8: the open one and eight closed ones. The eight span
 * tau. So no page leaves before it was idle for tau, and, unless it is in
 * doubt, none stays for longer than 9/8 tau plus the delay of the pass. A
 * window ends with the first event after its time: a block that comes to the
 * free lists, a block that leaves them, or a pass. Between two events the level
 * does not change, so the windows in which nothing happened are known exactly,
 * and no timer has to close them. Reported pages leave at the bottom of the
 * stack, and all minima fall by as much.
 *
 * **Waiting.** The surplus can grow only when the latest window that was too
 * low is older than tau. A pass is promised for that time, not for an earlier
 * one, and for B from now at the latest, so that a stall shows.
 *
 * **Stalls.** A guest that the host stops sees time pass in which nothing
 * happens, as if it were idle. The promised pass is then late. If it is late by
 * more than a window, at most two of the windows without an event count. A
 * stall shorter than B may fall between two passes and stay unseen. It can make
 * a page look idle for longer by its own length.
 *
 * **Bound.** Take the pages by their depth, each a ski rental of its own. An
 * idle period of length G costs min(G, B) if the future is known. If it is not,
 * it costs G for G < tau, and tau + B otherwise. With tau = B that is at most
 * twice as much, whatever happens, and no deterministic rule without knowledge
 * of the future has a better bound. The windows make it 2 1/8. For tau = 2 B it
 * is 3 1/4, and the worst case is a page that is never used again. The
 * assumptions: the free lists behave as one stack, the price of a page does not
 * depend on how many are reported, passes are in time, and the CPU cap does not
 * bind. A change of tau adds at most one tau of keeping what is free then.
 *
 * **Learning.** The bound is for the worst case. Real demand is often periodic.
 * Memory that comes back every 1.2 B costs a refault each time with tau = B,
 * and nothing with tau = 2 B. To keep memory for longer than 2 B is never
 * right: a report after B and the refault cost less. So tau is B or 2 B. The
 * balance of the two is kept in pages, and each event counts once:
 *
 * - tau is B, and a reported page comes back within 2 B: +2. With 2 B it would
 *   not have been reported, and somebody waits for the refault;
 * - tau is B, and a reported page does not come back within 2 B: -1, the price
 *   of keeping it longer;
 * - tau is 2 B, and a page is used that was idle for B to 2 B: +2;
 * - tau is 2 B, and a page is reported: -1.
 *
 * At +40 MiB tau becomes 2 B, at -40 MiB it becomes B, and the balance stops
 * there. So time alone teaches nothing: not a night without demand, not a
 * stall, not ballooning. Memory that was free at the start and never used is
 * left out, as its first use costs a fault anyway.
 *
 * **Doubt.** Refaults that are too few for tau to rise cost little CPU time,
 * but somebody waits for each of them, and a longer tau need not help. So each
 * page that is refaulted within 2 B of its report makes the next grants smaller
 * by one page, for 4 B, up to 40 MiB of each pool of a zone. For these few
 * pages the bound is another one: kept for up to 4 B and a window, and
 * refaulted then, they cost 5 1/4 times as much as with the future known.
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
 * **End.** With demand gone, everything is reported after at most 9/8 tau, and
 * what is in doubt after 4 B and a window. After that no pass is due until a
 * block is freed.
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
#define PAGES_PER_CPU			(SZ_4G >> PAGE_SHIFT)

/* Windows have a whole number of ms. */
#define BREAK_EVEN_MULTIPLE		PAGE_REPORTING_WINDOWS

/* Windows without an event that count when a pass is late. See "Stalls". */
#define LATE_WINDOWS			2

/* The balance at which tau changes: what 1 % of a CPU pays for within B. */
#define BALANCE_PAGES			((s64)(PAGES_PER_CPU / 100))
/* Most pages that are in doubt, and for how many times B. */
#define DOUBT_PAGES			(PAGES_PER_CPU / 100)
#define DOUBT_BREAK_EVENS		4

/* 1 % of a millisecond, in ns. */
#define CAP_NS_PER_MS			10000U
/* One release of everything: 50 us for each huge page. See "CPU cap". */
#define CAP_BURST_NS			50000U
#define CAP_DEBT_MAX_NS			BIT_ULL(62)
/* What a batch takes beyond 5 ms is the host's doing: steal time. */
#define CAP_CHARGE_MAX_NS		5000000U

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

/**
 * page_reporting_pacing_tau_ms - for how long free pages are kept now
 * @pacing: of the pool in question
 *
 * Return: tau, in ms.
 */
unsigned int
page_reporting_pacing_tau_ms(const struct page_reporting_pacing *pacing)
{
	return pacing->patient ? 2 * pacing->break_even_ms :
				 pacing->break_even_ms;
}

static unsigned int window_ms(const struct page_reporting_pacing *pacing)
{
	return page_reporting_pacing_tau_ms(pacing) / PAGE_REPORTING_WINDOWS;
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

/* Pages that nobody needed for tau. */
static u64 surplus(const struct page_reporting_pacing *pacing)
{
	return min(pacing->low, lowest(pacing, PAGE_REPORTING_WINDOWS));
}

/* Pages of the surplus that stay, because as many came back too soon. */
static u64 in_doubt(const struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 for_ms = DOUBT_BREAK_EVENS * (u64)pacing->break_even_ms;

	return elapsed(now_ms, pacing->missed_ms) < for_ms ? pacing->missed : 0;
}

/* Two windows become one. Nothing is known of the time before them. */
static void lengthen_tau(struct page_reporting_pacing *pacing)
{
	u64 *past = pacing->past;
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_WINDOWS / 2; i++)
		past[i] = min(past[2 * i], past[2 * i + 1]);
	for (; i < PAGE_REPORTING_WINDOWS; i++)
		past[i] = 0;
}

/* One window becomes two, each with the lowest level of both. */
static void shorten_tau(struct page_reporting_pacing *pacing)
{
	int i;

	for (i = PAGE_REPORTING_WINDOWS - 1; i >= 0; i--)
		pacing->past[i] = pacing->past[i / 2];
}

static void weigh(struct page_reporting_pacing *pacing, s64 gain)
{
	pacing->balance = clamp(pacing->balance + gain, -BALANCE_PAGES,
				BALANCE_PAGES);
}

/* Pages reported 2 B ago that did not come back were reported rightly. */
static void settle(struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 for_ms = 2 * (u64)pacing->break_even_ms;

	if (elapsed(now_ms, pacing->recent_ms) < for_ms)
		return;
	if (!pacing->patient)
		weigh(pacing, -(s64)pacing->recent);
	pacing->recent = 0;
}

/* B or 2 B, whichever has cost less lately. */
static void choose_tau(struct page_reporting_pacing *pacing, u64 now_ms)
{
	if (!pacing->patient && pacing->balance == BALANCE_PAGES) {
		pacing->patient = true;
		lengthen_tau(pacing);
		/* The refaults that have led to this do not count again. */
		pacing->missed = 0;
	} else if (pacing->patient && pacing->balance == -BALANCE_PAGES) {
		pacing->patient = false;
		shorten_tau(pacing);
	} else {
		return;
	}
	open_window(pacing, now_ms);
}

/* Pages in use again that tau = B would have reported. */
static u64 saved(const struct page_reporting_pacing *pacing)
{
	u64 half = lowest(pacing, PAGE_REPORTING_WINDOWS / 2);
	u64 kept = max(pacing->low, lowest(pacing, PAGE_REPORTING_WINDOWS));

	return half > kept ? min(half - kept, PAGES_MAX) : 0;
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

	if (!over)
		return;
	if (pacing->patient)
		weigh(pacing, 2 * (s64)saved(pacing));
	for (i = 0; i < min(over, (u64)PAGE_REPORTING_WINDOWS + 1); i++) {
		if (late && i == LATE_WINDOWS)
			break;
		push_window(pacing);
		pacing->low = level;
	}
	open_window(pacing, late ? now_ms : pacing->opened_ms + over * length_ms);
	/* The free that was this event asks for a pass, due in B. */
	if (pacing->due_ms == U64_MAX || late)
		pacing->due_ms = now_ms + pacing->break_even_ms;
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
 * Return: ms from now, at least 1 and at most B; or PAGE_REPORTING_NEVER if
 * there is no block to report. Then the next free asks for a pass.
 */
unsigned int page_reporting_pacing_wait(struct page_reporting_pacing *pacing,
					u64 level, u64 left, u64 now_ms)
{
	u64 enough = in_doubt(pacing, now_ms) + left + (1ULL << pacing->order);
	unsigned int i, windows = 1;
	u64 wait_ms;

	if (level >> pacing->order == 0) {
		pacing->due_ms = U64_MAX;
		return PAGE_REPORTING_NEVER;
	}
	if (pacing->low < enough)
		windows = PAGE_REPORTING_WINDOWS + 1;
	for (i = 0; i < PAGE_REPORTING_WINDOWS && windows == 1; i++)
		if (pacing->past[i] < enough)
			windows = PAGE_REPORTING_WINDOWS - i;

	wait_ms = (u64)windows * window_ms(pacing);
	wait_ms -= min(wait_ms, elapsed(now_ms, pacing->opened_ms));
	wait_ms = clamp_t(u64, wait_ms, 1, pacing->break_even_ms);
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
	u64 pages;

	page_reporting_pacing_advance(pacing, level, now_ms);
	settle(pacing, now_ms);
	choose_tau(pacing, now_ms);
	pages = min(surplus(pacing), level);
	pages -= min(pages, in_doubt(pacing, now_ms));
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
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
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
	u64 untouched = min(pages, pacing->untouched);

	pacing->untouched -= untouched;
	pages -= untouched;
	if (!pages)
		return;
	settle(pacing, now_ms);
	if (!pacing->recent)
		pacing->recent_ms = now_ms;
	pacing->recent = min(pacing->recent + pages, PAGES_MAX);
	if (pacing->patient)
		weigh(pacing, -(s64)min(pages, PAGES_MAX));
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
	settle(pacing, now_ms);
	pages = min(pages, pacing->recent);
	if (!pages)
		return;
	pacing->recent -= pages;
	if (!pacing->patient)
		weigh(pacing, 2 * (s64)pages);
	pacing->missed = min(in_doubt(pacing, now_ms) + pages, DOUBT_PAGES);
	pacing->missed_ms = now_ms;
}

/**
 * page_reporting_pacing_first_ms - when to look first at what has become free
 *
 * Return: ms after the free: B of a huge page. Nothing leaves before.
 */
unsigned int page_reporting_pacing_first_ms(void)
{
	return break_even_ms(HUGE_SHIFT);
}

/**
 * page_reporting_pacing_init - nothing is known yet
 * @pacing: of the pool in question
 * @order: the smallest block that counts
 * @level: the level, in pages, all of which counts as never used
 * @now_ms: the time
 */
void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms)
{
	*pacing = (struct page_reporting_pacing) {
		.low = level,
		.due_ms = U64_MAX,
		.untouched = level,
		.recent_ms = now_ms,
		.missed_ms = now_ms,
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
