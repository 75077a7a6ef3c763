// SPDX-License-Identifier: GPL-2.0
/*
 * The policy one decision at a time: what goes in, and what has to come out.
 */
#include "test.h"

#define B_MS	720
#define W_MS	(B_MS / PAGE_REPORTING_WINDOWS)
/* 1 % of 4 GiB, from which on refaults are looked at. */
#define NOISE	(4 * GIB / 100)

/* A policy, a cap that does not bind, and a clock. */
struct setup {
	struct page_reporting_pacing pacing;
	struct page_reporting_cap cap;
	u64 now_ms;
};

static struct setup setup(void)
{
	struct setup s = { .now_ms = 1000000 };

	/* With all in use: what is reported later has been used before. */
	page_reporting_pacing_init(&s.pacing, ORDER, 0, s.now_ms);
	page_reporting_cap_init(&s.cap, s.now_ms);
	page_reporting_cap_begin(&s.cap, 1ULL << 40, s.now_ms);
	return s;
}

static struct page_reporting_grant ask(struct setup *s, u64 level, u64 after_ms)
{
	s->now_ms += after_ms;
	return page_reporting_pacing_decide(&s->pacing, &s->cap, level, s->now_ms);
}

/* Windows in which nothing happens. Returns what the last answer granted. */
static u64 quiet(struct setup *s, u64 level, unsigned int windows, u64 window_ms)
{
	u64 pages = 0;

	while (windows--)
		pages = ask(s, level, window_ms).pages;
	return pages;
}

/* From nothing to a level that is a surplus as a whole. */
static struct setup settled(u64 level)
{
	struct setup s = setup();

	quiet(&s, level, 1 + PAGE_REPORTING_WINDOWS, W_MS);
	return s;
}

CASE(break_even_grows_as_the_order_falls)
{
	static const unsigned int ms[] = { 15936, 11744, 9632, 8592, 8064, 7808,
					   7664, 7600, 7568, 720, 720 };
	struct page_reporting_pacing pacing;
	unsigned int order;

	for (order = 0; order <= 10; order++) {
		page_reporting_pacing_init(&pacing, order, 0, 0);
		CHECK_EQ(pacing.break_even_ms, ms[order]);
		CHECK_EQ(page_reporting_pacing_tau_ms(&pacing), ms[order]);
	}
}

CASE(first_question_after_the_shortest_window)
{
	CHECK_EQ(PAGE_REPORTING_FIRST_MS, B_MS / 2 / PAGE_REPORTING_WINDOWS);
}

CASE(nothing_known_nothing_granted)
{
	struct setup s = setup();
	unsigned int i;

	/* What is free was free before, for all we know, or was not. */
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 0);
	CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 100 * BLOCK);
}

CASE(surplus_is_the_lowest_of_all_windows)
{
	unsigned int i;

	/* One dip, in each of the windows in turn, the open one too. */
	for (i = 0; i <= PAGE_REPORTING_WINDOWS; i++) {
		struct setup s = settled(100 * BLOCK);

		page_reporting_pacing_note(&s.pacing, 40 * BLOCK);
		if (!i) {
			CHECK_EQ(ask(&s, 100 * BLOCK, W_MS - 1).pages, 40 * BLOCK);
			continue;
		}
		CHECK_EQ(quiet(&s, 100 * BLOCK, i, W_MS), 40 * BLOCK);
		if (i == PAGE_REPORTING_WINDOWS)
			CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 100 * BLOCK);
	}
}

CASE(note_only_lowers)
{
	struct setup s = settled(100 * BLOCK);

	page_reporting_pacing_note(&s.pacing, 30 * BLOCK);
	page_reporting_pacing_note(&s.pacing, 60 * BLOCK);
	CHECK_EQ(ask(&s, 100 * BLOCK, 1).pages, 30 * BLOCK);
}

CASE(late_window_counts_as_several)
{
	struct setup s = setup();

	ask(&s, 100 * BLOCK, W_MS);
	CHECK_EQ(ask(&s, 100 * BLOCK, 7 * W_MS + W_MS - 1).pages, 0);
	CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 100 * BLOCK);
}

CASE(long_silence_ends_in_one_long_window)
{
	struct setup s = settled(0);

	/* The level rose at the end of it, which nobody noted. */
	CHECK_EQ(ask(&s, 100 * BLOCK, 20000).pages, 0);
	CHECK_EQ(quiet(&s, 100 * BLOCK, PAGE_REPORTING_WINDOWS - 1, W_MS), 0);
	CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 100 * BLOCK);
}

CASE(never_more_than_the_level)
{
	struct setup s = settled(100 * BLOCK);

	/* A caller that forgot to note a fall. */
	CHECK_EQ(ask(&s, 70 * BLOCK, 1).pages, 70 * BLOCK);
}

CASE(less_than_a_block_is_nothing)
{
	struct setup s = settled(BLOCK - 1);

	CHECK_EQ(ask(&s, BLOCK - 1, W_MS).pages, 0);
	CHECK_EQ(settled(BLOCK).pacing.past[0], BLOCK);
	s = settled(BLOCK);
	CHECK_EQ(ask(&s, BLOCK, W_MS).pages, BLOCK);
	CHECK_EQ(ask(&s, BLOCK, W_MS).order, ORDER);
}

CASE(wait_is_the_rest_of_the_window)
{
	struct setup s = settled(0);

	CHECK_EQ(ask(&s, BLOCK, W_MS).wait_ms, W_MS);
	CHECK_EQ(ask(&s, BLOCK, 30).wait_ms, W_MS - 30);
	CHECK_EQ(page_reporting_pacing_wait(&s.pacing, BLOCK, s.now_ms + 9999), 1);
}

CASE(wait_for_ever_with_nothing_left)
{
	struct setup s = settled(100 * BLOCK);

	/* All of it is granted; what was not a block is not worth a timer. */
	CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).wait_ms, PAGE_REPORTING_NEVER);
	CHECK_EQ(page_reporting_pacing_wait(&s.pacing, BLOCK - 1, s.now_ms),
		 PAGE_REPORTING_NEVER);
	CHECK(page_reporting_pacing_wait(&s.pacing, BLOCK, s.now_ms) !=
	      PAGE_REPORTING_NEVER);
}

CASE(reported_pages_leave_at_the_bottom)
{
	struct setup s = settled(100 * BLOCK);

	page_reporting_pacing_reported(&s.pacing, 30 * BLOCK, s.now_ms);
	CHECK_EQ(ask(&s, 70 * BLOCK, 1).pages, 70 * BLOCK);
	/* What comes now is no surplus, though the level was higher before. */
	CHECK_EQ(ask(&s, 100 * BLOCK, 1).pages, 70 * BLOCK);
	CHECK_EQ(quiet(&s, 100 * BLOCK, PAGE_REPORTING_WINDOWS, W_MS), 70 * BLOCK);
	CHECK_EQ(ask(&s, 100 * BLOCK, W_MS).pages, 100 * BLOCK);
}

/* 300 MiB are reported; tau after some of them were refaulted. */
static unsigned int tau_after(u64 refaulted, u64 after_ms)
{
	struct setup s = settled(300 * MIB);

	page_reporting_pacing_reported(&s.pacing, 300 * MIB, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, refaulted, s.now_ms + after_ms);
	ask(&s, 0, 2 * B_MS);
	return page_reporting_pacing_tau_ms(&s.pacing);
}

CASE(early_refaults_raise_tau)
{
	/* A third of what was reported, as each refault counts twice. */
	CHECK_EQ(tau_after(100 * MIB, 10), B_MS);
	CHECK_EQ(tau_after(100 * MIB + 1, 10), 2 * B_MS);
	CHECK_EQ(tau_after(300 * MIB, 10), 2 * B_MS);
	/* More than was reported lately was reported before. */
	CHECK_EQ(tau_after(3 * GIB, 10), 2 * B_MS);
}

CASE(late_refaults_do_not_count)
{
	CHECK_EQ(tau_after(300 * MIB, 2 * B_MS - 1), 2 * B_MS);
	CHECK_EQ(tau_after(300 * MIB, 2 * B_MS), B_MS);
}

/* What is free when it begins was never used, and its first use costs a fault anyway. */
static unsigned int tau_after_start(u64 level, u64 lowest)
{
	struct setup s = setup();

	page_reporting_pacing_init(&s.pacing, ORDER, level, s.now_ms);
	page_reporting_pacing_note(&s.pacing, lowest);
	quiet(&s, 600 * MIB, 2 * PAGE_REPORTING_WINDOWS, W_MS);
	page_reporting_pacing_reported(&s.pacing, 300 * MIB, s.now_ms);
	page_reporting_pacing_reported(&s.pacing, 300 * MIB, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, 600 * MIB, s.now_ms + 10);
	ask(&s, 0, 20);
	return page_reporting_pacing_tau_ms(&s.pacing);
}

CASE(memory_never_used_does_not_count)
{
	CHECK_EQ(tau_after_start(600 * MIB, 600 * MIB), B_MS);
	CHECK_EQ(tau_after_start(0, 0), 2 * B_MS);
	/* Taken once, it is as any other, */
	CHECK_EQ(tau_after_start(600 * MIB, 0), 2 * B_MS);
	/* and if only half of it was not, the other half counts. */
	CHECK_EQ(tau_after_start(600 * MIB, 300 * MIB), 2 * B_MS);
}

/* A flush takes it first, and pacing what is left. */
CASE(memory_never_used_can_be_flushed)
{
	struct setup s = setup();

	page_reporting_pacing_init(&s.pacing, ORDER, 600 * MIB, s.now_ms);
	page_reporting_pacing_note(&s.pacing, 300 * MIB);
	ask(&s, 600 * MIB, W_MS);
	page_reporting_pacing_gone(&s.pacing, 200 * MIB);
	page_reporting_pacing_reported(&s.pacing, 300 * MIB, s.now_ms);
	CHECK_EQ(s.pacing.recent, 200 * MIB);
}

CASE(few_refaults_do_not_count)
{
	struct setup s = settled(NOISE);

	page_reporting_pacing_reported(&s.pacing, NOISE, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, NOISE - 1, s.now_ms);
	ask(&s, 0, 1);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), B_MS);
	page_reporting_pacing_refaulted(&s.pacing, 1, s.now_ms);
	ask(&s, 0, 1);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), 2 * B_MS);
}

/* What is granted of 280 MiB once so many of 20 MiB were refaulted. */
static u64 granted_after(u64 refaulted, u64 after_ms)
{
	struct setup s = settled(300 * MIB);

	page_reporting_pacing_reported(&s.pacing, 20 * MIB, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, refaulted, s.now_ms);
	return ask(&s, 280 * MIB, after_ms).pages;
}

CASE(what_is_in_doubt_is_kept)
{
	CHECK_EQ(granted_after(0, 1), 280 * MIB);
	CHECK_EQ(granted_after(8 * MIB, 1), 272 * MIB);
	CHECK_EQ(granted_after(8 * MIB, 4 * B_MS - 1), 272 * MIB);
	CHECK_EQ(granted_after(8 * MIB, 4 * B_MS), 280 * MIB);
	/* More than was reported lately was reported before. */
	CHECK_EQ(granted_after(80 * MIB, 1), 260 * MIB);
}

CASE(doubts_add_up)
{
	struct setup s = settled(300 * MIB);
	unsigned int i;

	for (i = 1; i <= 3; i++) {
		page_reporting_pacing_reported(&s.pacing, 8 * MIB, s.now_ms);
		page_reporting_pacing_refaulted(&s.pacing, 8 * MIB, s.now_ms);
		CHECK_EQ(ask(&s, 300 * MIB - i * 8 * MIB, 1).pages,
			 300 * MIB - i * 16 * MIB);
	}
	/* Those of before are settled; a new one is not. */
	s.now_ms += 4 * B_MS;
	page_reporting_pacing_reported(&s.pacing, 8 * MIB, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, 8 * MIB, s.now_ms);
	CHECK_EQ(s.pacing.missed, 8 * MIB);
}

CASE(no_doubt_about_more_than_noise)
{
	struct setup s = settled(GIB);

	page_reporting_pacing_reported(&s.pacing, 500 * MIB, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, NOISE + BLOCK, s.now_ms);
	CHECK_EQ(s.pacing.missed, NOISE);
	/* A longer tau sees to what is more. */
	page_reporting_pacing_refaulted(&s.pacing, 400 * MIB, s.now_ms);
	ask(&s, 500 * MIB, 1);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), 2 * B_MS);
	CHECK_EQ(s.pacing.missed, 0);
}

CASE(old_reports_are_forgotten)
{
	struct setup s = settled(GIB);

	/* With all of the first report, 400 MiB would not be many. */
	page_reporting_pacing_reported(&s.pacing, GIB, s.now_ms);
	page_reporting_pacing_reported(&s.pacing, 400 * MIB, s.now_ms + 2 * B_MS);
	CHECK_EQ(s.pacing.recent, 400 * MIB);
	page_reporting_pacing_reported(&s.pacing, 0, s.now_ms + 3 * B_MS);
	CHECK_EQ(s.pacing.recent, 200 * MIB);
}

CASE(tau_never_above_twice_the_break_even)
{
	struct setup s = setup();
	unsigned int i;

	for (i = 0; i < 5; i++) {
		page_reporting_pacing_reported(&s.pacing, GIB, s.now_ms);
		page_reporting_pacing_refaulted(&s.pacing, GIB, s.now_ms);
		ask(&s, 0, 10);
	}
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), 2 * B_MS);
}

CASE(a_longer_tau_starts_with_what_is_known)
{
	struct setup s = settled(300 * MIB);

	s.pacing.reported_ms = s.now_ms;
	s.pacing.recent = 300 * MIB;
	page_reporting_pacing_refaulted(&s.pacing, 300 * MIB, s.now_ms);
	/* Eight windows are four now: four more have to follow. */
	CHECK_EQ(ask(&s, 300 * MIB, 1).pages, 0);
	CHECK_EQ(quiet(&s, 300 * MIB, 3, 2 * W_MS), 0);
	CHECK_EQ(ask(&s, 300 * MIB, 2 * W_MS).pages, 300 * MIB);
}

CASE(a_longer_tau_keeps_each_minimum)
{
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++) {
		struct setup s = settled(300 * MIB);

		s.pacing.past[i] = 100 * MIB;
		s.pacing.recent = 300 * MIB;
		s.pacing.early = 300 * MIB;
		ask(&s, 300 * MIB, 1);
		CHECK_EQ(s.pacing.past[i / 2], 100 * MIB);
		CHECK_EQ(s.pacing.past[PAGE_REPORTING_WINDOWS / 2], 0);
	}
}

CASE(tau_halves_after_quiet_time)
{
	struct setup s = settled(0);

	ask(&s, 0, 32 * B_MS - 9 * W_MS - 1);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), B_MS);
	ask(&s, 0, 1);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), B_MS / 2);
	ask(&s, 0, 3600000);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), B_MS / 2);
}

CASE(a_shorter_tau_starts_with_what_is_known)
{
	struct setup s = settled(300 * MIB);
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		s.pacing.past[i] = (i + 1) * 100 * BLOCK;
	s.pacing.quiet_ms = 0;
	ask(&s, 300 * MIB, 1);
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		CHECK_EQ(s.pacing.past[i], (i / 2 + 1) * 100 * BLOCK);
}

/*
 * Every @period windows, all of @mib is taken and given back within a window.
 * Returns tau after two minutes of it.
 */
static unsigned int tau_with_dips(u64 mib, unsigned int period)
{
	struct setup s = settled(0);
	unsigned int i;

	for (i = 0; i < 120000 / W_MS; i++) {
		if (i % period == 0)
			page_reporting_pacing_note(&s.pacing, 0);
		ask(&s, mib * MIB, W_MS);
	}
	return page_reporting_pacing_tau_ms(&s.pacing);
}

CASE(tau_stays_while_it_is_of_use)
{
	/* Idle for longer than half of tau, and taken before tau is over. */
	CHECK_EQ(tau_with_dips(100, 6), B_MS);
	CHECK_EQ(tau_with_dips(100, 8), B_MS);
	/* Idle for less than half of it: half of it would do. */
	CHECK_EQ(tau_with_dips(100, 3), B_MS / 2);
	/* 10 MiB and less are noise. */
	CHECK_EQ(tau_with_dips(10, 6), B_MS / 2);
	CHECK_EQ(tau_with_dips(11, 6), B_MS);
}

CASE(cap_is_one_release_at_once)
{
	struct setup s = settled(100 * BLOCK);

	page_reporting_cap_begin(&s.cap, 100, s.now_ms);
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).pages, 100 * BLOCK);
	page_reporting_cap_charge(&s.cap, 60, 60 * 14000);
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).pages, 40 * BLOCK);
	page_reporting_cap_charge(&s.cap, 40, 40 * 14000);
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).pages, 0);
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).wait_ms, W_MS);
}

CASE(cap_is_paid_with_one_percent)
{
	struct setup s = settled(100 * BLOCK);

	page_reporting_cap_begin(&s.cap, 100, s.now_ms);
	page_reporting_cap_charge(&s.cap, 100, 100 * 14000);
	/* 14 ms: 140 us, ten blocks */
	page_reporting_cap_begin(&s.cap, 100, s.now_ms + 14);
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).pages, 10 * BLOCK);
	/* Nobody saves for later. */
	page_reporting_cap_begin(&s.cap, 100, s.now_ms + 3600000);
	CHECK_EQ(ask(&s, 200 * BLOCK, 0).pages, 100 * BLOCK);
}

CASE(cap_learns_the_price_of_a_block)
{
	struct page_reporting_cap cap;
	unsigned int i;

	page_reporting_cap_init(&cap, 0);
	/* The known price has the weight of 64 blocks. */
	page_reporting_cap_charge(&cap, 64, 64 * 94000);
	CHECK_EQ(cap.price_ns, 54000);
	page_reporting_cap_charge(&cap, 1, 119000);
	CHECK_EQ(cap.price_ns, 55000);
	page_reporting_cap_charge(&cap, 0, 1000);
	CHECK_EQ(cap.price_ns, 55000);
	for (i = 0; i < 10; i++)
		page_reporting_cap_charge(&cap, 1 << 20, 1);
	CHECK_EQ(cap.price_ns, 1);
}

CASE(clock_that_goes_back_is_no_time)
{
	struct setup s = settled(100 * BLOCK);

	page_reporting_cap_charge(&s.cap, 1, 14000);
	page_reporting_cap_begin(&s.cap, 100, 0);
	CHECK_EQ(s.cap.debt_ns, 14000);
	s.now_ms = 0;
	CHECK_EQ(ask(&s, 100 * BLOCK, 0).wait_ms, W_MS);
}

CASE(no_overflow_at_2_to_the_52_pages)
{
	const u64 most = 1ULL << 52;
	struct setup s = settled(most);

	/* The cap counts no more than 2^40 blocks. */
	CHECK_EQ(ask(&s, most, W_MS).pages, 1ULL << (40 + ORDER));
	page_reporting_pacing_reported(&s.pacing, most, s.now_ms);
	page_reporting_pacing_reported(&s.pacing, most, s.now_ms);
	page_reporting_pacing_refaulted(&s.pacing, most, s.now_ms);
	CHECK_EQ(s.pacing.early, most);
	ask(&s, most, W_MS);
	CHECK_EQ(page_reporting_pacing_tau_ms(&s.pacing), 2 * B_MS);
	page_reporting_cap_charge(&s.cap, 1, ~0ULL);
	page_reporting_cap_charge(&s.cap, 1, ~0ULL);
	CHECK_EQ(s.cap.debt_ns, 1ULL << 62);
	page_reporting_cap_begin(&s.cap, most, ~0ULL);
	CHECK_EQ(s.cap.debt_ns, 0);
	CHECK_EQ(s.cap.burst_ns, s.cap.price_ns << 40);
}
