// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: how much of the free memory to report, and when.
 */

/**
 * DOC: pacing
 *
 * **Model.** A free page that the host still backs costs memory for as long as
 * it is kept. A page that was reported costs CPU time when it is used again:
 * the refault, and the report that led to it. Nobody knows when a page will be
 * used again. This is the ski rental problem: rent by the day (keep), or buy
 * (report, and perhaps pay for a refault). Let B be the time for which keeping
 * a page costs as much as a refault.
 *
 * **Observation.** Free lists behave as a stack. Allocation takes from the
 * head, what is freed goes there too, and what was reported goes to the tail.
 * Let the level be the number of unreported free pages. A page at some depth
 * of the stack is touched exactly when the level falls below this depth. So
 * the pages that nobody needed during the last tau are those that lie below
 * the lowest level of the last tau: the *surplus*. It takes a counter and a few
 * minima to know, no time stamps in pages, and no search.
 *
 * For one list this is a statement about certain pages. A zone has a list for
 * each order and migratetype, and the level is the sum of many. Then it is one
 * about quantity: at no time during tau would the zone have missed so many
 * pages. That other pages are reported than were idle can lead to a refault
 * that one list would not have seen: say the surplus is a block of a type that
 * nobody wants, and a block of another type is reported in its place, and again
 * in each period. See "Doubt".
 *
 * **Derivation.** The surplus is reported all at once, because each page of it
 * has been kept for tau, and no page of it is any better than another. The
 * lowest level is kept for windows of tau / 8: the open one, which is a compare
 * and a store for each block that leaves a free list, and eight closed ones,
 * which change only when a window is closed. The eight span tau, or more if
 * they were closed late, hence no page leaves before it was idle for tau, and,
 * but for what is in doubt, none stays for longer than 9/8 tau plus the delay in
 * closing windows. What is reported leaves at the bottom of the stack, so that
 * all minima fall by as much. A window of which nothing is known has a lowest
 * level of 0.
 *
 * If windows are not closed because nobody asks, the open one grows, and its
 * lowest level holds for all of it. So there need not be a timer while the
 * level is 0: the first question after a long silence closes one long window.
 *
 * **Bound.** Take the pages by their depth, each a ski rental of its own, and
 * charge for an idle period of length G: min(G, B) if the future is known, and
 * G for G < tau, tau + B otherwise, if it is not. With tau = B that is at most
 * twice as much, whatever happens; no rule that does not look ahead and does
 * not throw dice has a better bound. The windows make it 2 1/8: a page is kept
 * for up to 9/8 tau. For tau = 2 B it is 3 1/4, the worst case being a page
 * that is never used soon; for tau = B / 2 it is 3 1/8, the worst case being
 * one that is used just after it left. The assumptions: the free lists behave
 * as one stack, a price per page that does not depend on how many are reported,
 * windows that are closed in time, and a CPU cap (below) that does not bind. A
 * change of tau adds at most one tau of keeping what is free then, since longer
 * windows are filled anew.
 *
 * **Learning.** The bound is for the worst case. What happens in fact is often
 * periodic, and memory that comes back every 1.2 B costs a refault each time
 * with tau = B, and nothing with tau = 2 B. To keep much for longer than 2 B is
 * never right: the report after B and the refault together cost less. So tau
 * is B at first, and at any time B / 2, B or 2 B:
 *
 * - it rises to 2 B when refaults come within 2 B of the report, and cost more
 *   than to keep the other pages of the report for tau longer. A refault counts
 *   twice here: the figures below are of a fast host, and somebody waits for
 *   it.
 * - it halves after 32 tau in which it was of no use. It is of use when pages
 *   are taken that were idle between tau / 2 and tau: those would have been
 *   refaulted with half of it. The windows tell, so that a workload that goes
 *   on as before is not tried with a shorter tau again and again.
 * - what costs less than 1 % of a CPU is not looked at in either case.
 * - refaults of memory that was never used do not make tau rise: it was not
 *   backed before, so that its first use costs a fault anyway. That is as much
 *   as the lowest level since the start, taking what was free then as never
 *   used. It lies at the bottom, and is reported first.
 *
 * **Doubt.** Refaults that are too few for tau to rise cost little CPU time, but
 * somebody waits for each of them, and a longer tau need not help. So each one
 * that comes within 2 B of the report makes the next grants smaller by as many
 * pages, for 4 B, up to what is not looked at above: 40 MiB of each zone and
 * range of orders. For these few pages the bound is another one: kept for up to
 * 4 B and a window, and refaulted then, they cost 5 1/4 times as much as with
 * the future known.
 *
 * **Price.** A report of 2 MiB takes about 14 us and its refault 340 us more
 * than a hit; for 4 KiB it is 4.0 and 3.6 us. (From the raw data of HyperAlloc,
 * EuroSys 2025: a guest of 16 GiB under KVM.) Below the huge page of the host
 * a refault is taken for each small page: that is 3.6 us a page whatever the
 * block, and the share of one report of 4 us, which falls as the order grows.
 * A huge page of the host that was broken up is also missing afterwards, which
 * these figures leave out: with reports down to 4 KiB, a compilation took 18 %
 * longer in the same source. Hence twice the price there. So a small block
 * waits longer: about 0.7 s at 2 MiB and above, 7.6 s just below and 15.9 s at
 * 4 KiB.
 *
 * What memory is worth in CPU time is the host's ratio of the two: 4 GiB for
 * each CPU, as in the common machines of all large clouds. At half or twice
 * the ratio B would be half or twice as long, which makes 2 at most 3.
 *
 * **CPU cap.** The time that reports take, and the walk to what is reported, is
 * a debt, which is paid off at a rate of 1 % of one CPU; to look at the counts,
 * once a window, is free. Reports go on while the debt is smaller than what it
 * takes to report all memory that is free, once. So the time spent between any
 * two moments is at most 1 % of it plus one such release, and a guest that
 * frees all its memory at once does not wait. The price of a block is learned
 * from the time that reports take, so that slow hosts get the same burst.
 *
 * **End.** With demand gone, everything is reported after at most 9/8 tau, and
 * what is in doubt after 4 B and a window; or if the cap binds, after 100 times
 * the debt and what the reports add to it; then the answer is to wait for ever.
 */

#include <linux/bits.h>
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

/* tau is half of, once or twice the break-even time, and once at first. */
#define STEP_FIRST			1
#define STEP_MAX			2

/* Windows of half of the shortest tau have a whole number of ms. */
#define BREAK_EVEN_MULTIPLE		(2 * PAGE_REPORTING_WINDOWS)

/* tau halves if it was of no use for so many times tau. */
#define QUIET_TAUS			32

/* What 1 % of a CPU would pay for within the break-even time, and no more. */
#define NOISE_PAGES			(PAGES_PER_CPU / 100)

/* The surplus is in doubt for so many times B after it was wrong. */
#define DOUBT_BREAK_EVENS		4

/* 1 % of a millisecond, in ns. */
#define CAP_NS_PER_MS			10000U
/* The price of one block: what it is before anything was measured, and limits. */
#define CAP_PRICE_NS			14000U
#define CAP_PRICE_MAX_NS		BIT_ULL(23)
/* Blocks that the known price counts for, and that a new one counts for at most. */
#define CAP_SAMPLE			64
#define CAP_SAMPLE_MAX			BIT_ULL(16)
/* Keeps all products and sums below 2^64: 2^40 blocks, 2^23 ns each. */
#define CAP_BLOCKS_MAX			BIT_ULL(40)
#define CAP_DEBT_MAX_NS			BIT_ULL(62)

/* No machine has more pages. */
#define PAGES_MAX			BIT_ULL(52)

/* Time since @then_ms; none if the clock went back. */
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
 * @pacing: of the zone and orders in question
 *
 * Return: tau, in ms.
 */
unsigned int
page_reporting_pacing_tau_ms(const struct page_reporting_pacing *pacing)
{
	return pacing->break_even_ms / 2 << pacing->step;
}

static unsigned int window_ms(const struct page_reporting_pacing *pacing)
{
	return page_reporting_pacing_tau_ms(pacing) / PAGE_REPORTING_WINDOWS;
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

/* Pages of the surplus that are to stay, as so many were refaulted too soon. */
static u64 in_doubt(const struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 for_ms = DOUBT_BREAK_EVENS * (u64)pacing->break_even_ms;

	return elapsed(now_ms, pacing->missed_ms) < for_ms ? pacing->missed : 0;
}

/* Were many pages taken in this window that were idle for most of tau? */
static bool tau_of_use(const struct page_reporting_pacing *pacing)
{
	u64 half = lowest(pacing, PAGE_REPORTING_WINDOWS / 2);
	u64 rest = max(pacing->low, lowest(pacing, PAGE_REPORTING_WINDOWS));
	u64 taken = half > rest ? half - rest : 0;

	/* Less than what doubles tau, or it would go up and down for ever. */
	return taken >= NOISE_PAGES / 4 && taken >= half / 8;
}

/* Pages that were not needed since the start: they lie at the bottom. */
static u64 unused(const struct page_reporting_pacing *pacing)
{
	return min(pacing->unused, pacing->low);
}

static void push_window(struct page_reporting_pacing *pacing)
{
	memmove(&pacing->past[1], &pacing->past[0],
		sizeof(pacing->past) - sizeof(pacing->past[0]));
	pacing->past[0] = pacing->low;
}

/* A window that is closed late counts as several. */
static void close_window(struct page_reporting_pacing *pacing, u64 level,
			 u64 now_ms)
{
	u64 open_ms = elapsed(now_ms, pacing->opened_ms);
	unsigned int i;

	if (open_ms < window_ms(pacing))
		return;
	if (tau_of_use(pacing))
		pacing->quiet_ms = now_ms;
	for (i = 0; i < PAGE_REPORTING_WINDOWS && open_ms >= window_ms(pacing); i++) {
		push_window(pacing);
		open_ms -= window_ms(pacing);
	}
	pacing->unused = unused(pacing);
	pacing->low = level;
	pacing->opened_ms = now_ms;
}

/* Would it have been cheaper to keep for longer what was reported lately? */
static bool reported_too_soon(const struct page_reporting_pacing *pacing)
{
	u64 kept_out = pacing->recent - pacing->early;

	/* early * 2 B > kept_out * tau */
	return pacing->early >= NOISE_PAGES &&
	       4 * pacing->early > kept_out << pacing->step;
}

/* Two windows become one, and of the time before them nothing is known. */
static void double_tau(struct page_reporting_pacing *pacing)
{
	u64 *past = pacing->past;
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_WINDOWS / 2; i++)
		past[i] = min(past[2 * i], past[2 * i + 1]);
	for (; i < PAGE_REPORTING_WINDOWS; i++)
		past[i] = 0;
	pacing->step++;
}

/* One window becomes two, and neither was lower than both. */
static void halve_tau(struct page_reporting_pacing *pacing)
{
	int i;

	for (i = PAGE_REPORTING_WINDOWS - 1; i >= 0; i--)
		pacing->past[i] = pacing->past[i / 2];
	pacing->step--;
}

/* A workload for which half of the limit might do is found out later. */
static void keep_longer(struct page_reporting_pacing *pacing)
{
	while (pacing->step < STEP_MAX)
		double_tau(pacing);
	/* The same refaults do not count again. */
	pacing->recent = 0;
	pacing->early = 0;
	pacing->missed = 0;
}

static void learn(struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 quiet_ms = QUIET_TAUS * (u64)page_reporting_pacing_tau_ms(pacing);

	if (reported_too_soon(pacing)) {
		keep_longer(pacing);
		pacing->quiet_ms = now_ms;
	} else if (pacing->step && elapsed(now_ms, pacing->quiet_ms) >= quiet_ms) {
		halve_tau(pacing);
		pacing->quiet_ms = now_ms;
	}
}

/**
 * page_reporting_cap_blocks - how many blocks may be reported now
 * @cap: the machine's, see page_reporting_cap_begin()
 *
 * Return: blocks of whatever size, as a report costs the same for all.
 */
u64 page_reporting_cap_blocks(const struct page_reporting_cap *cap)
{
	u64 blocks;

	if (cap->debt_ns >= cap->burst_ns)
		return 0;
	blocks = div64_u64(cap->burst_ns - cap->debt_ns, cap->price_ns);
	return min(blocks, CAP_BLOCKS_MAX);
}

/**
 * page_reporting_pacing_wait - when to ask for the next decision
 * @pacing: of the zone and orders in question
 * @level: unreported free pages
 * @now_ms: the time
 *
 * Return: ms from now, at least 1, or PAGE_REPORTING_NEVER if there is not one
 * block to report: the next one that is freed brings up the question.
 */
unsigned int
page_reporting_pacing_wait(const struct page_reporting_pacing *pacing,
			   u64 level, u64 now_ms)
{
	u64 open_ms = elapsed(now_ms, pacing->opened_ms);

	if (level >> pacing->order == 0)
		return PAGE_REPORTING_NEVER;
	return open_ms < window_ms(pacing) ? window_ms(pacing) - open_ms : 1;
}

/**
 * page_reporting_pacing_decide - how much to report now
 * @pacing: of the zone and orders in question
 * @cap: CPU time that is left, see page_reporting_cap_begin(); or NULL if the
 *	caller counts blocks, which may be larger than the smallest one
 * @level: unreported free pages
 * @now_ms: the time
 *
 * Return: a grant. Whoever reports less than all of it, because the zone is
 * short of memory or the driver fails, waits on its own account.
 */
struct page_reporting_grant
page_reporting_pacing_decide(struct page_reporting_pacing *pacing,
			     const struct page_reporting_cap *cap, u64 level,
			     u64 now_ms)
{
	struct page_reporting_grant grant = { .order = pacing->order };

	close_window(pacing, level, now_ms);
	learn(pacing, now_ms);
	grant.pages = min(surplus(pacing), level);
	grant.pages -= min(grant.pages, in_doubt(pacing, now_ms));
	if (cap)
		grant.pages = min(grant.pages,
				  page_reporting_cap_blocks(cap) << pacing->order);
	/* Whole blocks */
	grant.pages = grant.pages >> pacing->order << pacing->order;
	grant.wait_ms = page_reporting_pacing_wait(pacing, level - grant.pages,
						   now_ms);
	return grant;
}

/* What is older than 2 B can no longer be refaulted too soon. */
static void forget(struct page_reporting_pacing *pacing, u64 now_ms)
{
	u64 age_ms = elapsed(now_ms, pacing->epoch_ms);

	if (age_ms < pacing->break_even_ms)
		return;
	if (age_ms >= 2 * (u64)pacing->break_even_ms)
		pacing->recent = 0;
	pacing->recent /= 2;
	pacing->early = min(pacing->early / 2, pacing->recent);
	pacing->epoch_ms = now_ms;
}

/**
 * page_reporting_pacing_reported - the host has these pages now
 * @pacing: of the zone and orders in question
 * @pages: what was reported, and no longer counts in the level
 * @now_ms: the time
 */
void page_reporting_pacing_reported(struct page_reporting_pacing *pacing,
				    u64 pages, u64 now_ms)
{
	u64 used = pages - min(pages, unused(pacing));

	forget(pacing, now_ms);
	if (used) {
		pacing->recent = min(pacing->recent + used, PAGES_MAX);
		pacing->reported_ms = now_ms;
	}
	page_reporting_pacing_gone(pacing, pages);
}

/**
 * page_reporting_pacing_gone - these pages no longer count in the level
 * @pacing: of the zone and orders in question
 * @pages: what was reported although nobody asked here whether it should be
 */
void page_reporting_pacing_gone(struct page_reporting_pacing *pacing, u64 pages)
{
	unsigned int i;

	pacing->unused = unused(pacing) - min(unused(pacing), pages);
	pacing->low -= min(pacing->low, pages);
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		pacing->past[i] -= min(pacing->past[i], pages);
}

/**
 * page_reporting_pacing_refaulted - pages that the host has are in use again
 * @pacing: of the zone and orders in question
 * @pages: how many
 * @now_ms: the time; that of the last tick will do
 *
 * Had the pages been kept, so many would have been on top of the stack: which
 * of the reported ones these are does not matter, but when the last were.
 */
void page_reporting_pacing_refaulted(struct page_reporting_pacing *pacing,
				     u64 pages, u64 now_ms)
{
	u64 early = min(pacing->early + pages, pacing->recent);

	if (elapsed(now_ms, pacing->reported_ms) >= 2 * (u64)pacing->break_even_ms)
		return;
	if (early == pacing->early)
		return;
	pacing->missed = min(in_doubt(pacing, now_ms) + early - pacing->early,
			     NOISE_PAGES);
	pacing->missed_ms = now_ms;
	pacing->early = early;
}

/**
 * page_reporting_pacing_init - nothing is known yet
 * @pacing: of the zone and orders in question
 * @order: the smallest block that counts
 * @level: unreported free pages, all of which count as never used
 * @now_ms: the time
 */
void page_reporting_pacing_init(struct page_reporting_pacing *pacing,
				unsigned int order, u64 level, u64 now_ms)
{
	*pacing = (struct page_reporting_pacing) {
		.low = level,
		.unused = level,
		.opened_ms = now_ms,
		.quiet_ms = now_ms,
		.epoch_ms = now_ms,
		.break_even_ms = break_even_ms(order + PAGE_SHIFT),
		.step = STEP_FIRST,
		.order = order,
	};
}

/**
 * page_reporting_cap_init - nothing is spent yet
 * @cap: the machine's
 * @now_ms: the time
 */
void page_reporting_cap_init(struct page_reporting_cap *cap, u64 now_ms)
{
	*cap = (struct page_reporting_cap) {
		.price_ns = CAP_PRICE_NS,
		.paid_ms = now_ms,
	};
}

/**
 * page_reporting_cap_begin - before the decisions of a pass
 * @cap: the machine's
 * @blocks: free blocks in all zones that count for reporting, reported or not
 * @now_ms: the time
 */
void page_reporting_cap_begin(struct page_reporting_cap *cap, u64 blocks,
			      u64 now_ms)
{
	/* By then, a debt of any size is paid off. */
	u64 ms = min(elapsed(now_ms, cap->paid_ms),
		     CAP_DEBT_MAX_NS / CAP_NS_PER_MS + 1);

	cap->debt_ns -= min(cap->debt_ns, ms * CAP_NS_PER_MS);
	cap->paid_ms = max(cap->paid_ms, now_ms);
	cap->burst_ns = min(blocks, CAP_BLOCKS_MAX) * cap->price_ns;
}

/**
 * page_reporting_cap_charge - after a report
 * @cap: the machine's
 * @blocks: how many blocks were reported
 * @ns: CPU time that it took
 */
void page_reporting_cap_charge(struct page_reporting_cap *cap, u64 blocks,
			       u64 ns)
{
	u64 price = clamp(div64_u64(ns, max(blocks, 1ULL)), 1ULL, CAP_PRICE_MAX_NS);
	u64 nr;

	cap->debt_ns = min(cap->debt_ns + min(ns, CAP_DEBT_MAX_NS),
			   CAP_DEBT_MAX_NS);
	/* A moving average that a large report moves at once, a small one hardly. */
	nr = min(blocks, CAP_SAMPLE_MAX);
	cap->price_ns = div64_u64(CAP_SAMPLE * cap->price_ns + nr * price,
				  CAP_SAMPLE + nr);
}
