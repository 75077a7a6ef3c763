// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the policy that check the results of single calls.
 */
#include "test.h"

#define B_MS	720
#define W_MS	(B_MS / PAGE_REPORTING_WINDOWS)

/* A policy and a clock. */
struct setup {
	struct page_reporting_pacing pacing;
	u64 now_ms;
};

static struct setup setup(void)
{
	struct setup s = { .now_ms = 1000000 };

	page_reporting_pacing_init(&s.pacing, ORDER, 0, s.now_ms);
	/* Long after the start */
	s.pacing.started_ms = 0;
	return s;
}

static u64 decide(struct setup *s, u64 level, u64 after_ms)
{
	s->now_ms += after_ms;
	return page_reporting_pacing_decide(&s->pacing, level, s->now_ms);
}

static void fall(struct setup *s, u64 pages, u64 level, u64 after_ms)
{
	s->now_ms += after_ms;
	end_windows(&s->pacing, level + pages, s->now_ms);
	page_reporting_pacing_fell(&s->pacing, level);
}

static void rise(struct setup *s, u64 pages, u64 level, u64 after_ms)
{
	s->now_ms += after_ms;
	end_windows(&s->pacing, level - min(level, pages), s->now_ms);
}

static void report(struct setup *s, u64 pages)
{
	page_reporting_pacing_isolated(&s->pacing, pages);
	page_reporting_pacing_reported(&s->pacing, pages, s->now_ms);
}

static void refault(struct setup *s, u64 pages, u64 after_ms)
{
	s->now_ms += after_ms;
	page_reporting_pacing_refaulted(&s->pacing, pages, s->now_ms);
}

static u64 wait_of(struct setup *s, u64 level)
{
	return page_reporting_pacing_wait(&s->pacing, level, 0, s->now_ms);
}

/* The level has not changed for 4 B. A window has just begun. */
static struct setup settled(u64 level)
{
	struct setup s = setup();

	rise(&s, level, level, 0);
	s.pacing.due_ms = s.now_ms + (PAGE_REPORTING_KEPT + 1) * B_MS;
	decide(&s, level, (PAGE_REPORTING_PAST + 1) * W_MS);
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
	}
}

CASE(first_pass_is_after_b_and_a_window)
{
	CHECK_EQ(page_reporting_pacing_soonest_ms(), B_MS + W_MS);
}

CASE(nothing_known_nothing_granted)
{
	struct setup s = setup();
	unsigned int i;

	/* It is unknown whether the memory that is free was free before. */
	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 0);
	CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 100 * BLOCK);
}

CASE(surplus_is_the_lowest_of_all_windows_of_b)
{
	unsigned int i;

	/* The level falls once, in each of the windows in turn, and in the open one. */
	for (i = 0; i <= PAGE_REPORTING_WINDOWS; i++) {
		struct setup s = settled(100 * BLOCK);

		fall(&s, 60 * BLOCK, 40 * BLOCK, 0);
		rise(&s, 60 * BLOCK, 100 * BLOCK, 0);
		s.pacing.due_ms = U64_MAX;
		CHECK_EQ(decide(&s, 100 * BLOCK, i * W_MS), 40 * BLOCK);
		s.pacing.due_ms = U64_MAX;
		if (i == PAGE_REPORTING_WINDOWS)
			CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 100 * BLOCK);
	}
}

CASE(a_fall_only_lowers)
{
	struct setup s = settled(100 * BLOCK);

	fall(&s, 70 * BLOCK, 30 * BLOCK, 1);
	rise(&s, 30 * BLOCK, 60 * BLOCK, 1);
	fall(&s, BLOCK, 59 * BLOCK, 1);
	CHECK_EQ(decide(&s, 100 * BLOCK, 1), 30 * BLOCK);
}

/* An event closes the windows before it, with the level that they had. */
CASE(events_end_windows)
{
	struct setup s = settled(100 * BLOCK);

	s.pacing.due_ms = s.now_ms + 9 * B_MS;
	fall(&s, 60 * BLOCK, 40 * BLOCK, 3 * W_MS);
	CHECK_EQ(s.pacing.past[0], 100 * BLOCK);
	CHECK_EQ(s.pacing.low, 40 * BLOCK);
	rise(&s, 50 * BLOCK, 90 * BLOCK, 3 * W_MS);
	/* The level in the window of the fall, and in those after it. */
	CHECK_EQ(s.pacing.past[2], 40 * BLOCK);
	CHECK_EQ(s.pacing.past[3], 100 * BLOCK);
	CHECK_EQ(s.pacing.low, 40 * BLOCK);
	fall(&s, BLOCK, 89 * BLOCK, 2 * W_MS);
	CHECK_EQ(s.pacing.past[0], 90 * BLOCK);
	CHECK_EQ(s.pacing.past[1], 40 * BLOCK);
	/* More pages may be freed than the level shows. */
	rise(&s, 1000 * BLOCK, 100 * BLOCK, 2 * W_MS);
	CHECK_EQ(s.pacing.low, 0);
}

CASE(a_window_ends_when_it_is_over)
{
	struct setup s = settled(100 * BLOCK);

	s.pacing.due_ms = U64_MAX;
	fall(&s, 60 * BLOCK, 40 * BLOCK, W_MS - 1);
	CHECK_EQ(s.pacing.past[0], 100 * BLOCK);
	CHECK_EQ(s.pacing.low, 40 * BLOCK);
	fall(&s, BLOCK, 39 * BLOCK, 1);
	CHECK_EQ(s.pacing.past[0], 40 * BLOCK);
	/* The next window begins where the last one ended, not at the event. */
	fall(&s, BLOCK, 38 * BLOCK, W_MS + W_MS / 2);
	CHECK_EQ(s.pacing.closes_ms, s.now_ms + W_MS - W_MS / 2);
}

CASE(a_long_silence_is_many_windows)
{
	struct setup s = setup();

	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	s.pacing.due_ms = U64_MAX;
	CHECK_EQ(decide(&s, 100 * BLOCK, 3600000), 100 * BLOCK);
}

CASE(a_late_pass_counts_four_windows)
{
	struct setup s = settled(0);
	unsigned int i;

	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	s.pacing.due_ms = s.now_ms + W_MS;
	CHECK_EQ(decide(&s, 100 * BLOCK, 60000), 0);
	/* The first of them is the one in which the level was 0. */
	for (i = 0; i < 3; i++)
		CHECK_EQ(s.pacing.past[i], 100 * BLOCK);
	for (i = 3; i < PAGE_REPORTING_PAST; i++)
		CHECK_EQ(s.pacing.past[i], 0);
	/* After that, windows are counted as usual. */
	for (i = 0; i < PAGE_REPORTING_WINDOWS - 4; i++)
		CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 0);
	CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 100 * BLOCK);
}

CASE(late_by_two_windows_is_in_time)
{
	struct setup s = settled(0);

	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	s.pacing.due_ms = s.now_ms + B_MS;
	CHECK_EQ(decide(&s, 100 * BLOCK, B_MS + 2 * W_MS), 100 * BLOCK);
	s = settled(0);
	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	s.pacing.due_ms = s.now_ms + B_MS;
	CHECK_EQ(decide(&s, 100 * BLOCK, B_MS + 2 * W_MS + 1), 0);
}

/* The first free block makes a pass due, even if the window stays open. */
CASE(stall_after_the_first_free_block)
{
	struct setup s = settled(0);

	CHECK_EQ(wait_of(&s, 0), PAGE_REPORTING_NEVER);
	rise(&s, 100 * BLOCK, 100 * BLOCK, 1);
	CHECK_EQ(s.pacing.due_ms, s.now_ms + B_MS + W_MS);
	CHECK_EQ(decide(&s, 100 * BLOCK, 60000), 0);
}

CASE(never_more_than_the_level)
{
	struct setup s = settled(100 * BLOCK);

	/* The caller did not tell the policy that the level fell. */
	CHECK_EQ(decide(&s, 70 * BLOCK, 1), 70 * BLOCK);
}

CASE(less_than_a_block_is_nothing)
{
	struct setup s = settled(BLOCK - 1);

	CHECK_EQ(decide(&s, BLOCK - 1, 1), 0);
	CHECK_EQ(wait_of(&s, BLOCK - 1), PAGE_REPORTING_NEVER);
	s = settled(2 * BLOCK - 1);
	CHECK_EQ(decide(&s, 2 * BLOCK - 1, 1), BLOCK);
	CHECK(wait_of(&s, BLOCK) != PAGE_REPORTING_NEVER);
}

CASE(reported_pages_leave_at_the_bottom)
{
	struct setup s = settled(100 * BLOCK);

	report(&s, 30 * BLOCK);
	CHECK_EQ(s.pacing.low, 70 * BLOCK);
	CHECK_EQ(decide(&s, 70 * BLOCK, 1), 70 * BLOCK);
	/* New free memory is no surplus, even if the level was higher before. */
	rise(&s, 30 * BLOCK, 100 * BLOCK, 1);
	CHECK_EQ(decide(&s, 100 * BLOCK, 1), 70 * BLOCK);
}

/* The wait lasts until the latest window with too low a level is old enough, and two more. */
CASE(wait_ends_when_the_lowest_window_does)
{
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++) {
		struct setup s = settled(100 * BLOCK);
		u64 windows = PAGE_REPORTING_WINDOWS - i;

		if (windows > 1)
			windows += 2;
		s.pacing.past[i] = 0;
		CHECK_EQ(wait_of(&s, 100 * BLOCK), windows * W_MS);
		s.now_ms += 30;
		CHECK_EQ(wait_of(&s, 100 * BLOCK), windows * W_MS - 30);
		CHECK_EQ(s.pacing.due_ms, s.now_ms + windows * W_MS - 30);
		s.now_ms += 2 * B_MS;
		CHECK_EQ(wait_of(&s, 100 * BLOCK), 1);
	}
}

CASE(wait_of_an_open_window_that_is_low)
{
	struct setup s = settled(100 * BLOCK);

	fall(&s, 100 * BLOCK, 0, 0);
	CHECK_EQ(wait_of(&s, BLOCK), (PAGE_REPORTING_WINDOWS + 3) * W_MS);
}

CASE(wait_for_pages_that_are_kept)
{
	struct setup s = settled(100 * BLOCK);

	/* For kept pages, the windows of 4 B count. A pass still looks after 19/16 B. */
	s.pacing.keep = 100 * BLOCK;
	s.pacing.past[PAGE_REPORTING_PAST - 4] = 0;
	CHECK_EQ(wait_of(&s, 100 * BLOCK), (4 + 2) * W_MS);
	s.pacing.past[PAGE_REPORTING_PAST - 4] = 100 * BLOCK;
	s.pacing.past[0] = 0;
	CHECK_EQ(wait_of(&s, 100 * BLOCK), (PAGE_REPORTING_WINDOWS + 3) * W_MS);
}

/* Reports 300 MiB. Returns how much is kept after @refaulted of them were refaulted. */
static u64 kept_after(u64 refaulted, u64 after_ms)
{
	struct setup s = settled(300 * MIB);

	report(&s, 300 * MIB);
	refault(&s, refaulted, after_ms);
	return s.pacing.keep;
}

CASE(refaults_raise_what_is_kept)
{
	CHECK_EQ(kept_after(0, 10), 0);
	CHECK_EQ(kept_after(BLOCK, 10), 2 * BLOCK);
	CHECK_EQ(kept_after(300 * MIB, 3 * B_MS - 1), 2 * 300 * MIB);
	/* Refaults beyond the recent reports are of memory reported earlier. */
	CHECK_EQ(kept_after(3 * GIB, 10), 2 * 300 * MIB);
	/* Later than 3 B after the report, they do not count. */
	CHECK_EQ(kept_after(300 * MIB, 3 * B_MS), 0);
}

CASE(each_report_counts_once)
{
	struct setup s = settled(300 * MIB);

	report(&s, 100 * MIB);
	refault(&s, 100 * MIB, 1);
	refault(&s, 100 * MIB, 1);
	CHECK_EQ(s.pacing.keep, 2 * 100 * MIB);
	report(&s, 50 * MIB);
	refault(&s, 100 * MIB, 1);
	CHECK_EQ(s.pacing.keep, 2 * 150 * MIB);
}

CASE(kept_pages_stay_for_4_b)
{
	struct setup s = settled(0);
	unsigned int i;

	s.pacing.keep = 100 * BLOCK;
	rise(&s, 300 * BLOCK, 300 * BLOCK, 0);
	for (i = 0; i < PAGE_REPORTING_WINDOWS; i++)
		CHECK_EQ(decide(&s, 300 * BLOCK, W_MS), 0);
	CHECK_EQ(decide(&s, 300 * BLOCK, W_MS), 200 * BLOCK);
	report(&s, 200 * BLOCK);
	for (i = 0; i < 3 * PAGE_REPORTING_WINDOWS - 1; i++)
		CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 0);
	CHECK_EQ(s.pacing.keep, 100 * BLOCK);
	CHECK_EQ(decide(&s, 100 * BLOCK, W_MS), 100 * BLOCK);
}

CASE(pages_kept_in_vain_lower_what_is_kept_by_a_quarter)
{
	struct setup s = settled(300 * BLOCK);

	s.pacing.keep = 100 * BLOCK;
	CHECK_EQ(decide(&s, 300 * BLOCK, 0), 300 * BLOCK);
	report(&s, 240 * BLOCK);
	CHECK_EQ(s.pacing.keep, 90 * BLOCK);
	report(&s, 60 * BLOCK);
	CHECK_EQ(s.pacing.keep, 75 * BLOCK);
}

/* A block may lie in a list of one pool, and count in another. */
CASE(what_another_pool_was_granted_was_not_kept)
{
	struct setup s = settled(300 * BLOCK);

	s.pacing.keep = 100 * BLOCK;
	CHECK_EQ(decide(&s, 300 * BLOCK, 0), 300 * BLOCK);
	report(&s, 300 * BLOCK);
	CHECK_EQ(s.pacing.keep, 75 * BLOCK);
	page_reporting_pacing_reported(&s.pacing, 40 * BLOCK, s.now_ms);
	CHECK_EQ(s.pacing.keep, 75 * BLOCK);
	CHECK_EQ(s.pacing.recent, 240 * BLOCK);
}

/* The CPU cap may end a pass before it has reported all that was granted. */
CASE(pass_that_ends_early_has_kept_nothing_in_vain)
{
	struct setup s = settled(12 * BLOCK);
	unsigned int i;

	s.pacing.keep = 2 * BLOCK;
	for (i = 12; i > 2; i--) {
		CHECK_EQ(decide(&s, i * BLOCK, 0), i * BLOCK);
		report(&s, BLOCK);
		CHECK_EQ(s.pacing.keep, 2 * BLOCK);
	}
	CHECK_EQ(s.pacing.recent, 10 * BLOCK);
	for (; i; i--) {
		CHECK_EQ(decide(&s, i * BLOCK, 0), i * BLOCK);
		report(&s, BLOCK);
	}
	CHECK_EQ(s.pacing.keep, 2 * BLOCK - 2 * BLOCK / 4);
	CHECK_EQ(s.pacing.recent, 10 * BLOCK);
}

/*
 * The last block, too, and blocks of a few pages. With less than a block to keep, a
 * whole one is kept, which has then not left early.
 */
CASE(the_last_block_kept_in_vain_is_forgotten)
{
	static const unsigned int orders[] = { 0, 1, 2, ORDER };
	unsigned int i, n;

	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		u64 block = BIT_ULL(orders[i]), kept;
		struct setup s = setup();
		unsigned int b_ms;

		page_reporting_pacing_init(&s.pacing, orders[i], 0, 0);
		s.pacing.keep = 3 * block + 1;
		b_ms = s.pacing.break_even_ms;
		for (n = 0; n < 24; n++) {
			rise(&s, 3 * block, 3 * block, 3 * b_ms);
			s.pacing.due_ms = U64_MAX;
			kept = min((s.pacing.keep + block - 1) / block, 3ULL) * block;
			CHECK_EQ(decide(&s, 3 * block, 5 * b_ms), 3 * block);
			report(&s, block);
			report(&s, block);
			report(&s, block);
			CHECK_EQ(s.pacing.recent, 3 * block - kept);
			refault(&s, 3 * block, 4 * b_ms);
			CHECK_LE(s.pacing.keep, 3 * block + 1);
		}
		CHECK_EQ(s.pacing.keep, 0);
	}
}

/* One page in four, also if they are reported one by one. */
CASE(small_blocks_kept_in_vain_count_in_full)
{
	struct setup s = settled(0);
	unsigned int i;

	page_reporting_pacing_init(&s.pacing, 0, 0, 0);
	s.pacing.keep = 100;
	rise(&s, 100, 100, 3 * s.pacing.break_even_ms);
	s.pacing.due_ms = U64_MAX;
	CHECK_EQ(decide(&s, 100, 5 * s.pacing.break_even_ms), 100);
	for (i = 0; i < 41; i++)
		report(&s, 1);
	CHECK_EQ(s.pacing.keep, 90);
	report(&s, 3);
	CHECK_EQ(s.pacing.keep, 89);
}

/* A retry after an error comes later than the pool needs it, which is no stall. */
CASE(retry_after_an_error_is_not_late)
{
	struct setup s = settled(0);
	int passed;

	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	CHECK_EQ(decide(&s, 100 * BLOCK, 0), 0);
	CHECK_LE(wait_of(&s, 100 * BLOCK), B_MS + 3 * W_MS);
	page_reporting_pacing_end(&s.pacing, 60000, true, s.now_ms);
	/* The timer wheel has steps of an eighth of a minute, at most. */
	CHECK_EQ(decide(&s, 100 * BLOCK, 60000 * 9 / 8), 100 * BLOCK);
	/* Without an error, it comes no later than the pool needs it. */
	s = settled(0);
	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	wait_of(&s, 100 * BLOCK);
	page_reporting_pacing_end(&s.pacing, 1, true, s.now_ms);
	CHECK_EQ(decide(&s, 100 * BLOCK, B_MS + W_MS), 100 * BLOCK);
	/* Nothing was free, or the pass ended before it came to the pool. */
	for (passed = 0; passed < 2; passed++) {
		s = settled(0);
		if (passed)
			page_reporting_pacing_begin(&s.pacing, 0, s.now_ms);
		else
			CHECK_EQ(wait_of(&s, 0), PAGE_REPORTING_NEVER);
		page_reporting_pacing_end(&s.pacing, 24500, true, s.now_ms);
		rise(&s, 100 * BLOCK, 100 * BLOCK, 1000);
		CHECK_EQ(decide(&s, 100 * BLOCK, 23500), 100 * BLOCK);
	}
}

/* The wait begins when the pass ends, long after it came to this pool. */
CASE(pass_after_one_that_ended_late_is_not_late)
{
	unsigned int wait_ms;
	struct setup s;

	s = settled(0);
	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	CHECK_EQ(decide(&s, 100 * BLOCK, 0), 0);
	wait_ms = wait_of(&s, 100 * BLOCK);
	s.now_ms += 10 * W_MS;
	page_reporting_pacing_end(&s.pacing, wait_ms, false, s.now_ms);
	CHECK_EQ(decide(&s, 100 * BLOCK, wait_ms * 9 / 8), 100 * BLOCK);
	/* But a later one still is. */
	s = settled(0);
	rise(&s, 100 * BLOCK, 100 * BLOCK, 0);
	CHECK_EQ(decide(&s, 100 * BLOCK, 0), 0);
	wait_ms = wait_of(&s, 100 * BLOCK);
	page_reporting_pacing_end(&s.pacing, wait_ms, false, s.now_ms);
	CHECK_EQ(decide(&s, 100 * BLOCK, wait_ms * 8 / 7 + 3 * W_MS), 0);
	/* What needs no pass gets no due time: its next event sets one. */
	s = settled(0);
	CHECK_EQ(wait_of(&s, 0), PAGE_REPORTING_NEVER);
	page_reporting_pacing_end(&s.pacing, wait_ms, false, s.now_ms);
	CHECK_EQ(s.pacing.due_ms, U64_MAX);
}

/* The pass did not see the pool: the next event makes a pass due. */
CASE(stall_after_a_pass_that_left_the_pool_out)
{
	struct setup s = settled(0);

	page_reporting_pacing_begin(&s.pacing, 0, s.now_ms);
	page_reporting_pacing_end(&s.pacing, PAGE_REPORTING_NEVER, false, s.now_ms);
	rise(&s, 100 * BLOCK, 100 * BLOCK, W_MS / 2);
	CHECK_EQ(decide(&s, 100 * BLOCK, 60000), 0);
}

/* Otherwise, they would be kept for 4 B again, and cost more each time. */
CASE(refaults_after_4_b_do_not_count)
{
	struct setup s = settled(300 * BLOCK);

	s.pacing.keep = 100 * BLOCK;
	decide(&s, 300 * BLOCK, 0);
	report(&s, 300 * BLOCK);
	refault(&s, 300 * BLOCK, 1);
	CHECK_EQ(s.pacing.keep, (75 + 2 * 200) * BLOCK);
}

CASE(old_reports_are_forgotten)
{
	struct setup s = settled(GIB);

	report(&s, 100 * MIB);
	s.now_ms += 3 * B_MS;
	report(&s, 30 * MIB);
	CHECK_EQ(s.pacing.recent, 30 * MIB);
}

/* In each cycle, a program frees a little memory some time before the rest. */
CASE(an_early_report_does_not_age_a_large_one)
{
	struct setup s = settled(GIB);

	report(&s, 2 * MIB);
	s.now_ms += 3 * B_MS - W_MS;
	report(&s, 512 * MIB);
	refault(&s, 512 * MIB, 2 * W_MS);
	CHECK_EQ(s.pacing.keep, 2 * 512 * MIB);
}

/* Memory that is free at the start was never used. Its first use is a fault anyway. */
CASE(reports_at_the_start_do_not_count)
{
	struct setup s = settled(600 * MIB);

	s.pacing.started_ms = s.now_ms - 2 * B_MS + 1;
	report(&s, 300 * MIB);
	CHECK_EQ(s.pacing.recent, 0);
	s.now_ms++;
	report(&s, 300 * MIB);
	CHECK_EQ(s.pacing.recent, 300 * MIB);
}

/* A flush lowers the surplus, but the policy does not learn from it. */
CASE(what_leaves_otherwise_teaches_nothing)
{
	struct setup s = settled(600 * MIB);

	s.pacing.keep = 100 * MIB;
	page_reporting_pacing_isolated(&s.pacing, 500 * MIB);
	refault(&s, 500 * MIB, 1);
	CHECK_EQ(s.pacing.keep, 100 * MIB);
	CHECK_EQ(decide(&s, 100 * MIB, 1), 100 * MIB);
}

CASE(cap_is_one_release_and_one_percent)
{
	struct page_reporting_cap cap;

	page_reporting_cap_init(&cap, 1000);
	/* The limit for 50 huge pages: 50 us for each, and for one more. */
	page_reporting_cap_charge(&cap, 51 * 50000 - 1);
	CHECK(page_reporting_cap_allows(&cap, 50 * BLOCK, 1000));
	page_reporting_cap_charge(&cap, 1);
	CHECK(!page_reporting_cap_allows(&cap, 50 * BLOCK, 1000));
	CHECK(page_reporting_cap_allows(&cap, 51 * BLOCK, 1000));
	CHECK(page_reporting_cap_allows(&cap, 50 * BLOCK, 1001));
	/* 10 us are paid off in each ms. Unused time is not saved for later. */
	CHECK_EQ(cap.debt_ns, 51 * 50000 - 10000);
	page_reporting_cap_allows(&cap, 50 * BLOCK, 3600000);
	CHECK_EQ(cap.debt_ns, 0);
	page_reporting_cap_charge(&cap, 51 * 50000);
	CHECK(!page_reporting_cap_allows(&cap, 50 * BLOCK, 3600000));
}

/* In a batch that takes longer, the host has run other guests. */
CASE(stolen_time_counts_as_5_ms)
{
	struct page_reporting_cap cap;

	page_reporting_cap_init(&cap, 0);
	page_reporting_cap_charge(&cap, 1000000000);
	CHECK_EQ(cap.debt_ns, 5000000);
	CHECK(page_reporting_cap_allows(&cap, 512 * BLOCK, 0));
}

CASE(clock_that_goes_back_is_no_time)
{
	struct setup s = settled(100 * BLOCK);
	struct page_reporting_cap cap;

	page_reporting_cap_init(&cap, 1000);
	page_reporting_cap_charge(&cap, 14000);
	page_reporting_cap_allows(&cap, 0, 0);
	CHECK_EQ(cap.debt_ns, 14000);
	CHECK_EQ(cap.paid_ms, 1000);
	s.now_ms = 0;
	CHECK_EQ(decide(&s, 100 * BLOCK, 0), 100 * BLOCK);
	CHECK_EQ(wait_of(&s, 100 * BLOCK), W_MS);
}

CASE(no_overflow_at_2_to_the_52_pages)
{
	const u64 most = 1ULL << 52;
	struct setup s = settled(most);
	struct page_reporting_cap cap;

	CHECK_EQ(decide(&s, most, W_MS), most);
	report(&s, most);
	page_reporting_pacing_reported(&s.pacing, most, s.now_ms);
	CHECK_EQ(s.pacing.recent, most);
	refault(&s, most, 0);
	page_reporting_pacing_reported(&s.pacing, most, s.now_ms);
	refault(&s, most, 0);
	CHECK_EQ(s.pacing.keep, most);
	page_reporting_cap_init(&cap, 0);
	page_reporting_cap_charge(&cap, ~0ULL);
	page_reporting_cap_charge(&cap, ~0ULL);
	CHECK_EQ(cap.debt_ns, 2 * 5000000);
	page_reporting_cap_allows(&cap, ~0ULL, ~0ULL);
	CHECK_EQ(cap.debt_ns, 0);
}
