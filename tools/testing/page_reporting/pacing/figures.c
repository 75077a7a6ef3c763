// SPDX-License-Identifier: GPL-2.0
/*
 * Figures of the policy on workloads that are the same in each run. Each line has a
 * name, a figure and its unit. Less is better.
 *
 *   figures [types] [old]
 *
 * types: one level for all migratetypes
 * old: the accounting before the unit of account was introduced
 */
#include <stdio.h>

#include "churn.h"

#define START_MS	100000
#define LEARN_MS	10000
#define KNOWN_MS	30000

static struct guest_config config = {
	.nr_pages = 2 * GIB, .order = UNIT_ORDER, .now_ms = START_MS, .by_type = true,
};

#define CHURN(mib, touch, pause, first, last, of)			\
	{ .pages = (mib) * MIB, .touch_ms = touch, .pause_ms = pause,	\
	  .low = first, .high = last, .type = of, .start_ms = START_MS + 5000 }

struct workload {
	const char *name;
	unsigned int nr;
	struct churn_config churns[2];
};

static const struct workload workloads[] = {
	{ "512m-0.5s 4k", 1, { CHURN(512, 300, 500, 0, 0, MOVABLE) } },
	{ "512m-0.9s 4k", 1, { CHURN(512, 300, 900, 0, 0, MOVABLE) } },
	{ "512m-0.9s huge", 1, { CHURN(512, 300, 900, 9, 9, MOVABLE) } },
	{ "128m-0.5s 4k", 1, { CHURN(128, 50, 500, 0, 0, MOVABLE) } },
	{ "128m-0.9s 4k", 1, { CHURN(128, 50, 900, 0, 0, MOVABLE) } },
	{ "32m-0.9s huge", 1, { CHURN(32, 50, 900, 9, 9, MOVABLE) } },
	{ "8m-0.9s huge", 1, { CHURN(8, 50, 900, 9, 9, MOVABLE) } },
	{ "128m-1.3s huge", 1, { CHURN(128, 50, 1300, 9, 9, MOVABLE) } },
	{ "128m-0.5s order4-8", 1, { CHURN(128, 50, 500, 4, 8, UNMOVABLE) } },
	{ "256m-0.9s mixed", 1, { CHURN(256, 150, 900, 0, 9, MOVABLE) } },
	{ "128m-0.5s+128m-0.9s", 2, { CHURN(128, 50, 500, 0, 0, MOVABLE),
				      CHURN(128, 50, 900, 0, 0, MOVABLE) } },
	{ "4k-0.5s+order4-8-0.5s", 2, { CHURN(128, 50, 500, 0, 0, MOVABLE),
					CHURN(128, 60, 530, 4, 8, UNMOVABLE) } },
	{ "4k-0.9s+order4-8-0.9s", 2, { CHURN(128, 50, 900, 0, 0, MOVABLE),
					CHURN(128, 50, 980, 4, 8, UNMOVABLE) } },
	{ "512m-0.9s+512m-10s", 2, { CHURN(512, 300, 900, 9, 9, MOVABLE),
				     CHURN(512, 330, 9910, 9, 9, MOVABLE) } },
	{ "128m-0.9s+1g-3s", 2, { CHURN(128, 50, 900, 9, 9, MOVABLE),
				  CHURN(1024, 300, 3000, 9, 9, MOVABLE) } },
	{ "32m-0.9s+1g-3s", 2, { CHURN(32, 50, 900, 9, 9, MOVABLE),
				 CHURN(1024, 300, 3000, 9, 9, MOVABLE) } },
	{ "4k-128m-0.5s+128m-0.3s", 2, { CHURN(128, 150, 500, 0, 0, MOVABLE),
					 CHURN(128, 120, 300, 0, 0, MOVABLE) } },
	{ "128m-0.5s+128m-0.3s", 2, { CHURN(128, 150, 500, 9, 9, MOVABLE),
				      CHURN(128, 120, 300, 9, 9, MOVABLE) } },
	{ "64m-2s+64m-2.3s", 2, { CHURN(64, 50, 2000, 9, 9, MOVABLE),
				  CHURN(64, 50, 2300, 9, 9, MOVABLE) } },
	{ "128m-1.8s huge", 1, { CHURN(128, 50, 1800, 9, 9, MOVABLE) } },
	{ "16m-1.8s huge", 1, { CHURN(16, 50, 1800, 9, 9, MOVABLE) } },
	{ "128m-2.5s huge", 1, { CHURN(128, 50, 2500, 9, 9, MOVABLE) } },
	{ "128m-4s huge", 1, { CHURN(128, 50, 4000, 9, 9, MOVABLE) } },
	{ "128m-10s huge", 1, { CHURN(128, 50, 10000, 9, 9, MOVABLE) } },
};

#define NR_WORKLOADS	(sizeof(workloads) / sizeof(*workloads))

static void line(const char *what, const char *name, double value, const char *unit)
{
	printf("%s %s\t%.2f\t%s\n", what, name, value, unit);
}

static void start(struct guest *guest, struct churn *churns, const struct workload *workload)
{
	unsigned int i;

	guest_init(guest, &config);
	for (i = 0; i < workload->nr; i++)
		churn_init(&churns[i], &workload->churns[i]);
	churn_run(churns, workload->nr, guest, START_MS + 5000 + LEARN_MS);
}

static void end(struct guest *guest, struct churn *churns, const struct workload *workload)
{
	unsigned int i;

	for (i = 0; i < workload->nr; i++)
		churn_free(&churns[i]);
	guest_free(guest);
}

/* Refaults of memory needed within 2 B: while the churn is learned, and after that. */
static void churn(const struct workload *workload)
{
	u64 touched, soon, passes, best, cost;
	struct churn churns[2];
	struct guest guest;

	start(&guest, churns, workload);
	touched = guest.touched;
	soon = guest.soon;
	passes = guest.passes;
	best = guest.best;
	cost = guest.held + 720 * guest.refaulted;
	line("learn", workload->name, (double)soon / MIB, "MiB");
	churn_run(churns, workload->nr, &guest, guest.now_ms + KNOWN_MS);
	line("known", workload->name, 100.0 * (guest.soon - soon) / (guest.touched - touched), "%");
	cost = guest.held + 720 * guest.refaulted - cost;
	line("cost", workload->name, 1.0 * cost / (guest.best - best), "");
	line("passes", workload->name, 1000.0 * (guest.passes - passes) / KNOWN_MS, "/s");
	end(&guest, churns, workload);
}

/* The host stops the guest during a churn that was learned, at various times in it. */
static void stall(const struct workload *workload, u64 ms)
{
	u64 phase_ms, refaulted = 0, nr = 0;
	char name[64];

	for (phase_ms = 0; phase_ms < 1300; phase_ms += 97, nr++) {
		struct churn churns[2];
		struct guest guest;

		start(&guest, churns, workload);
		churn_run(churns, workload->nr, &guest, guest.now_ms + phase_ms);
		refaulted -= guest.refaulted;
		guest_stall(&guest, ms);
		churn_run(churns, workload->nr, &guest, guest.now_ms + 5000);
		refaulted += guest.refaulted;
		end(&guest, churns, workload);
	}
	snprintf(name, sizeof(name), "%s, %llu ms", workload->name, ms);
	line("stall", name, (double)refaulted / MIB / nr, "MiB");
}

/* The time from a free until 90 % of it are reported. */
static u64 release_ms(struct guest *guest, struct churn *held)
{
	u64 freed_ms = guest->now_ms, pages = held->has;

	churn_stop(held, guest);
	while (guest_level(guest) > pages / 10 && guest->now_ms < freed_ms + 60000)
		guest_run(guest, guest->now_ms + 1);
	return guest->now_ms - freed_ms;
}

/*
 * A guest boots, takes memory just after the first report, and frees 1.5 GiB some
 * time later, after a churn or without one.
 */
static void release(const char *name, u64 boot_mib, const struct churn_config *before,
		    bool flush)
{
	const struct churn_config big = { .pages = 1536 * MIB, .low = 9, .high = 9 };
	struct churn held, boot, churn;
	struct guest guest;

	guest_init(&guest, &config);
	churn_init(&held, &big);
	churn_init(&boot, &(struct churn_config) { .pages = GIB, .low = 9, .high = 9 });
	churn_init(&churn, before);
	if (flush)
		guest_flush(&guest);
	guest_run(&guest, START_MS + 1000);
	churn_take(&boot, &guest, boot_mib * MIB);
	guest_run(&guest, START_MS + 5000);
	if (before->pages > MIB)
		churn_run(&churn, 1, &guest, START_MS + 15000);
	churn_stop(&churn, &guest);
	churn_take(&held, &guest, 1536 * MIB);
	guest_run(&guest, guest.now_ms + 20000);
	line("t90", name, release_ms(&guest, &held), "ms");
	churn_free(&held);
	churn_free(&boot);
	churn_free(&churn);
	guest_free(&guest);
}

/* A churn in a guest that was flushed, as one is that was made from a template. */
static void after_flush(void)
{
	const struct workload *workload = &workloads[2];
	struct churn churns[2];
	struct guest guest;

	guest_init(&guest, &config);
	churn_init(&churns[0], &workload->churns[0]);
	guest_flush(&guest);
	churn_run(churns, 1, &guest, START_MS + 5000 + LEARN_MS);
	line("learn", "512m-0.9s huge, after a flush", (double)guest.soon / MIB, "MiB");
	end(&guest, churns, workload);
}

/* A host that takes 2 ms for a report. */
static void slow_host(void)
{
	const struct churn_config big = CHURN(1024, 300, 3000, 9, 9, MOVABLE);
	struct churn churn;
	struct guest guest;

	guest_init(&guest, &config);
	guest.price_ns = 2000000;
	churn_init(&churn, &big);
	churn_run(&churn, 1, &guest, START_MS + 100000);
	line("cpu", "1g-3s, 2 ms a report", guest.spent_ns / 1e6 / 1000, "%");
	churn_free(&churn);
	guest_free(&guest);
}

/* Reports of order 4 and above, while one page of each 2 MiB is in use. */
static void holes(void)
{
	const struct churn_config all = { .pages = 256 * MIB, .start_ms = START_MS };
	const struct churn_config some = CHURN(64, 50, 3000, 4, 4, MOVABLE);
	struct guest_config small = config;
	struct churn whole, churn;
	struct guest guest;
	u64 i, refaulted, touched;

	small.nr_pages = 256 * MIB;
	small.order = 4;
	guest_init(&guest, &small);
	churn_init(&whole, &all);
	churn_init(&churn, &some);
	churn_take(&whole, &guest, all.pages);
	for (i = 0; i < whole.nr; i++)
		if (whole.blocks[i].pfn % UNIT_PAGES)
			guest_give(&guest, whole.blocks[i].pfn, 0);
	churn_run(&churn, 1, &guest, START_MS + 60000);
	refaulted = guest.refaulted;
	touched = guest.touched;
	churn_run(&churn, 1, &guest, START_MS + 120000);
	line("known", "order 4, 64m-3s in holes",
	     100.0 * (guest.refaulted - refaulted) / (guest.touched - touched), "%");
	churn_free(&whole);
	churn_free(&churn);
	guest_free(&guest);
}

int main(int argc, char **argv)
{
	static const struct churn_config none = { .pages = MIB, .start_ms = START_MS };
	unsigned int i;

	for (; argc > 1; argc--) {
		config.by_type &= strcmp(argv[argc - 1], "types") != 0;
		config.old_accounting |= !strcmp(argv[argc - 1], "old");
	}
	for (i = 0; i < NR_WORKLOADS; i++)
		churn(&workloads[i]);
	after_flush();
	holes();
	slow_host();
	stall(&workloads[5], 1500);
	stall(&workloads[4], 1500);
	stall(&workloads[2], 1500);
	stall(&workloads[2], 500);
	stall(&workloads[2], 5000);
	release("after boot", 200, &none, false);
	release("after idle", 0, &none, false);
	release("after 32m-0.9s", 0, &workloads[5].churns[0], false);
	release("after 512m-0.9s", 0, &workloads[2].churns[0], false);
	return 0;
}
