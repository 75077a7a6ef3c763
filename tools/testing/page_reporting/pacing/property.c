// SPDX-License-Identifier: GPL-2.0
/*
 * Properties that hold for any guest. They are tested with many guests, each with
 * another random demand, which is the same in each run.
 */
#include "test.h"

#define GUESTS		60
#define STEPS		300
#define B_MS		720
#define START_MS	100000
#define LEARNED_MS	(START_MS + 15000)

static const unsigned int orders[] = { 0, 4, 8, 9, 10 };
static const unsigned int prices_ns[] = { 14000, 140000, 1000, 14000 };

/* A time that matters to the policy: around a window, B, or 4 B. */
static u64 some_ms(u64 *seed, u64 break_even_ms)
{
	static const unsigned int per_mille[] = { 1, 10, 60, 125, 500, 900, 1000, 1130,
						  1300, 2000, 4000, 4300, 7000, 40000 };
	u64 which = draw(seed, sizeof(per_mille) / sizeof(*per_mille));

	return break_even_ms * per_mille[which] / 1000 + draw(seed, 3);
}

static u64 some_pages(u64 *seed, u64 most)
{
	return most >> draw(seed, 10) >> draw(seed, 2);
}

/* A guest with two programs: one for each migratetype. */
struct setup {
	struct guest guest;
	struct churn churns[NR_TYPES];
	u64 seed;
};

static void setup(struct setup *s, u64 seed, const struct guest_config *config,
		  unsigned int low, unsigned int high)
{
	unsigned int i;

	s->seed = seed;
	guest_init(&s->guest, config);
	for (i = 0; i < NR_TYPES; i++)
		churn_init(&s->churns[i], &(struct churn_config) {
			   .pages = config->nr_pages, .low = low, .high = high, .type = i });
}

static void cleanup(struct setup *s)
{
	unsigned int i;

	if (s->guest.broken)
		test_fail(__FILE__, __LINE__, s->guest.broken, 0, 1);
	for (i = 0; i < NR_TYPES; i++)
		churn_free(&s->churns[i]);
	guest_free(&s->guest);
}

/* A random action of the guest, after some time. */
static void some_step(struct setup *s)
{
	struct churn *churn = &s->churns[draw(&s->seed, NR_TYPES)];
	struct guest *guest = &s->guest;
	u64 range = draw(&s->seed, guest->nr_ranges);
	u64 ms = some_ms(&s->seed, guest->ranges[range].pacing.break_even_ms);

	if (draw(&s->seed, 10))
		guest_run(guest, guest->now_ms + ms);
	else
		guest_stall(guest, ms);
	if (draw(&s->seed, 2))
		churn_give(churn, guest, some_pages(&s->seed, churn->has));
	else
		churn_take(churn, guest, some_pages(&s->seed, guest->buddy.nr_pages));
}

static void some_guest(struct setup *s, u64 seed)
{
	struct guest_config config = {
		.nr_pages = 64 * MIB,
		.order = orders[seed % 5],
		.now_ms = seed * 1000,
		.has_pcp = seed & 1,
		.by_type = seed & 2,
	};

	setup(s, seed, &config, 0, MAX_PAGE_ORDER);
	s->guest.late_ms = seed % 3 * 7;
	s->guest.price_ns = prices_ns[seed % 4];
}

CASE(only_surplus_that_was_idle_for_b)
{
	unsigned int step;
	u64 i, sent = 0;

	for (i = 1; i <= GUESTS; i++) {
		struct setup s;

		some_guest(&s, i);
		for (step = 0; step < STEPS; step++) {
			s.guest.failing = draw(&s.seed, 20) == 0;
			some_step(&s);
		}
		sent += s.guest.sent;
		cleanup(&s);
	}
	/* A policy that reports nothing would keep all promises, too. */
	CHECK(sent > GUESTS * 64 * MIB);
}

/* After the last free, everything is reported, and then no timer is set. */
CASE(no_stall)
{
	unsigned int step;
	u64 i;

	for (i = 1; i <= GUESTS; i++) {
		struct setup s;

		some_guest(&s, i + 2000);
		for (step = 0; step < 50; step++)
			some_step(&s);
		churn_stop(&s.churns[0], &s.guest);
		/* The first pass may be late, and count only a few windows. */
		guest_run(&s.guest, s.guest.now_ms);
		guest_run(&s.guest, s.guest.now_ms + guest_longest_wait_ms(&s.guest));
		CHECK_LE(guest_level(&s.guest), s.guest.nr_ranges * BLOCK - 1);
		CHECK_EQ(s.guest.pass_ms, 0);
		cleanup(&s);
	}
}

CASE(idle_guest_has_no_pass)
{
	struct guest_config config = { .nr_pages = GIB, .order = ORDER };
	struct guest guest;
	u64 passes;

	guest_init(&guest, &config);
	guest_run(&guest, 10000);
	CHECK_EQ(guest_level(&guest), 0);
	passes = guest.passes;
	CHECK_LE(passes, 3);
	guest_run(&guest, 1000000000);
	CHECK_EQ(guest.passes, passes);
	guest_free(&guest);
}

/* Between any two points in time: at most 1 % of it, and one release of all memory. */
CASE(cpu_time_is_bounded)
{
	unsigned int step;
	u64 i;

	for (i = 1; i <= GUESTS; i++) {
		u64 blocks;
		struct setup s;

		some_guest(&s, i + 1000);
		for (step = 0; step < STEPS; step++)
			some_step(&s);
		blocks = s.guest.buddy.nr_pages / BLOCK + 1;
		CHECK_LE(s.guest.most_owed_ns, blocks * 50000 + 32 * s.guest.price_ns);
		cleanup(&s);
	}
}

/* Without the cap, reports would take 10 % of a CPU here. */
CASE(cpu_cap_binds)
{
	struct guest_config config = { .nr_pages = GIB, .order = ORDER };
	u64 bound_ns = 600000ULL * 10000;
	struct setup s;
	u64 ms;

	setup(&s, 1, &config, ORDER, ORDER);
	s.guest.price_ns = 2000000;
	for (ms = 0; ms < 600000; ms += 10000) {
		churn_stop(&s.churns[0], &s.guest);
		guest_run(&s.guest, ms + 9000);
		churn_take(&s.churns[0], &s.guest, GIB);
		guest_run(&s.guest, ms + 10000);
	}
	CHECK_LE(s.guest.spent_ns, bound_ns + 513 * 50000 + 32 * s.guest.price_ns);
	CHECK(s.guest.spent_ns > bound_ns / 2);
	cleanup(&s);
}

/* Release of 3 of 4 GiB, in a guest that was idle before, or had a small churn. */
static void check_release(u64 churn_mib, u64 late_ms, u64 price_ns)
{
	struct guest_config config = { .nr_pages = 4 * GIB, .order = ORDER };
	struct churn_config small = { .pages = 64 * MIB, .low = 9, .high = 9,
				      .touch_ms = 50, .pause_ms = 900, .start_ms = 3000 };
	struct churn churn;
	struct setup s;
	unsigned int i;

	setup(&s, 1, &config, ORDER, MAX_PAGE_ORDER);
	s.guest.late_ms = late_ms;
	s.guest.price_ns = price_ns;
	guest_run(&s.guest, 3000);
	churn_init(&churn, &small);
	if (churn_mib)
		churn_run(&churn, 1, &s.guest, 10000);
	churn_stop(&churn, &s.guest);
	churn_take(&s.churns[0], &s.guest, 3 * GIB);
	guest_run(&s.guest, 30000);
	for (i = 0; i < 30; i++) {
		churn_give(&s.churns[0], &s.guest, 3 * GIB / 30);
		guest_run(&s.guest, s.guest.now_ms + 10);
	}
	guest_run(&s.guest, s.guest.now_ms + 900);
	CHECK_LE(guest_level(&s.guest), 3 * GIB / 10);
	/* What the churn has taught to keep is kept for 4 B and three windows. */
	guest_run(&s.guest, s.guest.now_ms + (churn_mib ? 2200 : 800));
	CHECK_LE(guest_level(&s.guest), 3 * GIB / 100);
	churn_free(&churn);
	cleanup(&s);
}

CASE(release_of_3_gib_within_900_ms)
{
	check_release(0, 0, 14000);
	check_release(0, 4, 14000);
	check_release(64, 4, 14000);
	/* A slow host: the CPU cap allows one release of all memory. */
	check_release(0, 4, 50000);
}

#define CHURN(mib, touch, pause, first, last, of)			\
	{ .pages = (mib) * MIB, .touch_ms = touch, .pause_ms = pause,	\
	  .low = first, .high = last, .type = of, .start_ms = START_MS + 5000 }

struct workload {
	unsigned int nr;
	struct churn_config churns[2];
};

static const struct workload workloads[] = {
	{ 1, { CHURN(512, 300, 500, 0, 0, MOVABLE) } },
	{ 1, { CHURN(128, 50, 500, 0, 0, MOVABLE) } },
	{ 1, { CHURN(128, 50, 900, 0, 0, MOVABLE) } },
	{ 1, { CHURN(512, 300, 900, 9, 9, MOVABLE) } },
	{ 1, { CHURN(128, 50, 300, 9, 9, MOVABLE) } },
	{ 1, { CHURN(8, 50, 900, 9, 9, MOVABLE) } },
	{ 1, { CHURN(128, 50, 500, 4, 8, UNMOVABLE) } },
	{ 1, { CHURN(128, 50, 900, 4, 8, MOVABLE) } },
	{ 1, { CHURN(256, 150, 900, 0, 9, MOVABLE) } },
	{ 2, { CHURN(128, 50, 500, 0, 0, MOVABLE), CHURN(128, 50, 900, 0, 0, MOVABLE) } },
	{ 2, { CHURN(128, 50, 500, 0, 0, MOVABLE), CHURN(128, 60, 530, 4, 8, UNMOVABLE) } },
	{ 2, { CHURN(128, 50, 900, 0, 0, MOVABLE), CHURN(128, 50, 980, 4, 8, UNMOVABLE) } },
	{ 2, { CHURN(512, 300, 900, 9, 9, MOVABLE), CHURN(512, 330, 9910, 9, 9, MOVABLE) } },
	{ 2, { CHURN(512, 300, 1080, 9, 9, MOVABLE), CHURN(2, 50, 1330, 9, 9, MOVABLE) } },
	{ 2, { CHURN(128, 150, 500, 0, 0, MOVABLE), CHURN(128, 120, 300, 0, 0, MOVABLE) } },
	{ 2, { CHURN(128, 80, 500, 0, 0, MOVABLE), CHURN(128, 60, 300, 0, 0, MOVABLE) } },
	{ 2, { CHURN(128, 150, 500, 9, 9, MOVABLE), CHURN(128, 120, 300, 9, 9, MOVABLE) } },
};

#define NR_WORKLOADS	(sizeof(workloads) / sizeof(*workloads))

struct known {
	struct guest guest;
	struct churn churns[2];
	unsigned int nr;
};

static const struct guest_config two_gib = {
	.nr_pages = 2 * GIB, .order = ORDER, .now_ms = START_MS, .by_type = true,
};

static void know(struct known *known, const struct workload *workload,
		 const struct guest_config *config)
{
	unsigned int i;

	known->nr = workload->nr;
	guest_init(&known->guest, config);
	for (i = 0; i < known->nr; i++)
		churn_init(&known->churns[i], &workload->churns[i]);
	churn_run(known->churns, known->nr, &known->guest, LEARNED_MS);
}

static void end(struct known *known)
{
	unsigned int i;

	if (known->guest.broken)
		test_fail(__FILE__, __LINE__, known->guest.broken, 0, 1);
	for (i = 0; i < known->nr; i++)
		churn_free(&known->churns[i]);
	guest_free(&known->guest);
}

/* Refaults of memory needed within 2 B, per 10,000 pages that are taken. */
static u64 refaulted(struct known *known, u64 ms)
{
	struct guest *guest = &known->guest;
	u64 soon = guest->soon, touched = guest->touched;

	churn_run(known->churns, known->nr, guest, guest->now_ms + ms);
	CHECK(guest->touched > touched);
	return (guest->soon - soon) * 10000 / (guest->touched - touched);
}

CASE(known_churn_is_kept)
{
	unsigned int i, order;
	struct known known;

	for (i = 0; i < NR_WORKLOADS; i++)
		for (order = 4; order <= 9; order += 5) {
			struct guest_config config = two_gib;

			config.order = order;
			config.has_pcp = i & 1;
			know(&known, &workloads[i], &config);
			/* Small blocks have a longer B. */
			if (order < 9)
				refaulted(&known, 10000);
			CHECK_LE(refaulted(&known, 12000), 100);
			end(&known);
		}
}

CASE(known_churn_has_two_passes_a_second)
{
	struct known known;
	unsigned int i;
	u64 passes;

	for (i = 0; i < NR_WORKLOADS; i++) {
		know(&known, &workloads[i], &two_gib);
		passes = known.guest.passes;
		refaulted(&known, 15000);
		CHECK_LE(known.guest.passes - passes, 30);
		end(&known);
	}
}

/*
 * With the first accounting, 4 KiB of a marked block of 4 MiB counted as 16 pages, and
 * the rest stayed marked. A model with a single stack does not show the effect.
 */
CASE(old_accounting_refaults_what_is_churned)
{
	struct guest_config config = two_gib;
	const struct workload workload = { 1, { CHURN(512, 300, 900, 0, 0, MOVABLE) } };
	struct known known;

	config.old_accounting = true;
	know(&known, &workload, &config);
	CHECK(refaulted(&known, 10000) > 4000);
	end(&known);
	config.old_accounting = false;
	know(&known, &workload, &config);
	CHECK_LE(refaulted(&known, 10000), 100);
	end(&known);
}

/*
 * Refaults of a churn of 80 MiB in 15 s, in 1/10000, once it is known. 2 MiB beside it
 * are used every 9 s, and the buddy of one of its blocks is in use.
 */
static u64 refaulted_beside_an_odd_block(bool spends_rests)
{
	const struct workload workload = { 2, { CHURN(80, 30, 900, 9, 9, MOVABLE),
						CHURN(2, 10, 9000, 9, 9, MOVABLE) } };
	struct guest_config config = two_gib;
	struct known known;
	u64 parts;

	config.spends_rests = spends_rests;
	know(&known, &workload, &config);
	CHECK(guest_take(&known.guest, UNIT_ORDER, MOVABLE) != NO_PFN);
	refaulted(&known, 10000);
	parts = refaulted(&known, 15000);
	end(&known);
	return parts;
}

/*
 * An allocation takes a marked block before it splits a larger one that is not marked.
 * So what is idle is a half of a larger block.
 */
CASE(rest_spent_on_smaller_blocks_refaults_what_is_churned)
{
	CHECK(refaulted_beside_an_odd_block(true) > 60);
	CHECK_LE(refaulted_beside_an_odd_block(false), 20);
}

/* Memory that is kept in one type does not help another type with marked blocks. */
CASE(one_level_for_all_types_refaults_what_is_churned)
{
	struct guest_config config = two_gib;
	struct known known;

	config.by_type = false;
	know(&known, &workloads[11], &config);
	CHECK(refaulted(&known, 15000) > 500);
	end(&known);
}

/* Stops of 1.5 s and longer, at various times. */
CASE(stall_in_a_known_churn)
{
	static const unsigned int which[] = { 1, 2, 3, 4 };
	struct known known;
	u64 ms, phase_ms, before, touched;
	unsigned int i;

	for (i = 0; i < 4; i++)
		for (ms = 1500; ms <= 60000; ms *= 40)
			for (phase_ms = 0; phase_ms < 1300; phase_ms += 211) {
				know(&known, &workloads[which[i]], &two_gib);
				churn_run(known.churns, known.nr, &known.guest,
					  LEARNED_MS + phase_ms);
				guest_stall(&known.guest, ms);
				before = known.guest.refaulted;
				touched = known.guest.touched;
				churn_run(known.churns, known.nr, &known.guest,
					  known.guest.now_ms + 5000);
				CHECK_LE(100 * (known.guest.refaulted - before),
					 known.guest.touched - touched);
				end(&known);
			}
}

/* A churn that was learned pauses for long. The pause does not change what is kept. */
CASE(silence_teaches_nothing)
{
	struct known known;
	u64 ms, kept = 0;

	for (ms = 4000; ms <= 100000000; ms *= 10) {
		struct page_reporting_pacing *pacing = &known.guest.ranges[0].pacing;

		know(&known, &workloads[3], &two_gib);
		churn_stop(&known.churns[0], &known.guest);
		guest_run(&known.guest, known.guest.now_ms + ms);
		end_windows(pacing, 0, known.guest.now_ms);
		if (ms == 4000)
			kept = pacing->keep;
		CHECK_EQ(pacing->keep, kept);
		end(&known);
	}
}

/* The engine tells the policy that pages left the lists, but not by use or report. */
CASE(inflating_teaches_nothing)
{
	struct guest_config config = { .nr_pages = 64 * MIB, .order = ORDER };
	struct guest guest;
	struct range *range = &guest.ranges[0];
	unsigned int n;

	guest_init(&guest, &config);
	guest.pass_ms = 0;
	guest_run(&guest, 3 * B_MS / 2);
	guest.buddy.taken = NULL;
	for (n = 0; n < 8; n++) {
		buddy_take(&guest.buddy, MAX_PAGE_ORDER, MOVABLE);
		page_reporting_pacing_isolated(&range->pacing, BIT_ULL(MAX_PAGE_ORDER));
	}
	end_windows(&range->pacing, 32 * MIB, guest.now_ms + B_MS);
	CHECK_EQ(range->pacing.keep, 0);
	guest_free(&guest);
}

/* Memory that is used again after ten seconds is reported soon after its free, once this is known. */
CASE(churn_with_long_pauses_is_reported)
{
	const struct workload workload = { 1, { CHURN(512, 300, 10000, 9, 9, MOVABLE) } };
	struct known known;
	unsigned int i;
	u64 held;

	know(&known, &workload, &two_gib);
	/* As after a churn with short pauses. */
	known.guest.ranges[0].pacing.keep = 512 * MIB;
	for (i = 0; i < 2; i++) {
		held = known.guest.held;
		churn_run(known.churns, 1, &known.guest, known.guest.now_ms + 10 * 10300);
		held = (known.guest.held - held) / (512 * MIB) / 10;
		CHECK_LE(held, i ? 10 * B_MS / 8 : 5 * B_MS / 2);
	}
	churn_run(known.churns, 1, &known.guest, known.guest.now_ms + 5 * 10300);
	CHECK_EQ(known.guest.ranges[0].pacing.keep, 0);
	end(&known);
}

/*
 * Only blocks of the highest order, so that their list is a stack. In the end, all of
 * it is allocated, so that each idle period has an end. The limit is given in eighths
 * of the cost with a known future.
 */
static void check_bound(u64 seed, unsigned int eighths)
{
	struct guest_config config = { .nr_pages = GIB, .order = ORDER, .now_ms = START_MS };
	struct guest *guest;
	struct setup s;
	unsigned int i;
	u64 before, best;

	setup(&s, seed, &config, MAX_PAGE_ORDER, MAX_PAGE_ORDER);
	guest = &s.guest;
	churn_take(&s.churns[0], guest, GIB);
	guest_run(guest, guest->now_ms + 10 * B_MS);
	before = guest->held + B_MS * guest->refaulted;
	best = guest->best;
	for (i = 0; i < STEPS; i++) {
		guest_run(guest, guest->now_ms + some_ms(&s.seed, B_MS));
		if (draw(&s.seed, 2))
			churn_give(&s.churns[0], guest, some_pages(&s.seed, s.churns[0].has));
		else
			churn_take(&s.churns[0], guest, some_pages(&s.seed, GIB));
	}
	guest_run(guest, guest->now_ms + some_ms(&s.seed, B_MS));
	churn_take(&s.churns[0], guest, GIB);
	CHECK_EQ(guest_level(guest), 0);
	CHECK_LE(8 * (guest->held + B_MS * guest->refaulted - before),
		 eighths * (guest->best - best));
	cleanup(&s);
}

CASE(at_most_5_25_times_the_cost_of_a_known_future)
{
	u64 seed;

	for (seed = 1; seed <= 2 * GUESTS; seed++)
		check_bound(seed, 42);
}

/* A block is kept until the next one takes its place, so that nothing seems kept in vain. */
CASE(kept_blocks_that_follow_each_other)
{
	struct guest_config config = { .nr_pages = GIB, .order = ORDER, .now_ms = START_MS };
	const u64 block = BIT_ULL(MAX_PAGE_ORDER);
	struct guest *guest;
	u64 i, before, best;
	struct setup s;

	setup(&s, 1, &config, MAX_PAGE_ORDER, MAX_PAGE_ORDER);
	guest = &s.guest;
	churn_take(&s.churns[0], guest, GIB);
	guest_run(guest, guest->now_ms + 10 * B_MS);
	/* One block is used again soon after its report. */
	churn_give(&s.churns[0], guest, block);
	while (guest_level(guest))
		guest_run(guest, guest->now_ms + 1);
	churn_take(&s.churns[0], guest, block);
	before = guest->held + B_MS * guest->refaulted;
	best = guest->best;
	for (i = 0; i < 200; i++) {
		churn_give(&s.churns[0], guest, block);
		guest_run(guest, guest->now_ms + 3 * B_MS - 1);
	}
	guest_run(guest, guest->now_ms + 10 * B_MS);
	churn_take(&s.churns[0], guest, GIB);
	before = guest->held + B_MS * guest->refaulted - before;
	best = guest->best - best;
	CHECK_LE(8 * before, 42 * best);
	CHECK(before > 5 * best);
	cleanup(&s);
}

/* Memory is used just after its report, and then it is kept in vain. */
CASE(worst_demand)
{
	struct guest_config config = { .nr_pages = GIB, .order = ORDER, .now_ms = START_MS };
	u64 i, before, best, stays, freed_ms;
	struct guest *guest;
	struct setup s;

	setup(&s, 1, &config, MAX_PAGE_ORDER, MAX_PAGE_ORDER);
	guest = &s.guest;
	churn_take(&s.churns[0], guest, GIB);
	guest_run(guest, guest->now_ms + 10 * B_MS);
	before = guest->held + B_MS * guest->refaulted;
	best = guest->best;
	for (i = 0; i < 200; i++) {
		/* What is used 3 B after its report or later teaches nothing. */
		bool vain = guest->ranges[0].pacing.keep > GIB / 2;

		churn_stop(&s.churns[0], guest);
		freed_ms = guest->now_ms;
		stays = vain ? 0 : GIB - 1;
		while (guest_level(guest) > stays && guest->now_ms < freed_ms + 60000)
			guest_run(guest, guest->now_ms + 1);
		CHECK_LE(guest_level(guest), stays);
		if (vain)
			guest_run(guest, guest->now_ms + 3 * B_MS);
		churn_take(&s.churns[0], guest, GIB);
	}
	before = guest->held + B_MS * guest->refaulted - before;
	best = guest->best - best;
	CHECK_LE(8 * before, 42 * best);
	CHECK(2 * before > 7 * best);
	cleanup(&s);
}
