// SPDX-License-Identifier: GPL-2.0
/*
 * Replays a trace of memory demand under a policy of reporting free memory.
 *
 *   replay POLICY PAGES < TRACE
 *
 * POLICY is one of
 *   pacing		mm/page_reporting_pacing.c, with the model of the free lists; the
 *			other policies use a single stack
 *   delay=MS		a pass MS after the first free, and every MS while there is
 *			more. Each reports a sixth of the free blocks, rounded up to
 *			batches of 32
 *   surplus=MS		reports at once all that was idle for MS, by exact idle times
 *   offline=MS		with a known future, where to keep a page for MS costs as
 *			much as a refault: reports pages at once that will be idle
 *			for longer, and keeps all others
 *
 * PAGES is the size of the guest's memory. Each line of TRACE is MS,PAGES: from this
 * time on, so many pages are in use. Memory that is free at the beginning is already
 * reported, so that the first use of a page is a refault with each policy. Prints the
 * sums as JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "churn.h"

/* Order of 2 MiB in pages of 4 KiB: the blocks in which memory is taken and freed. */
#define ORDER		9
#define BLOCK		BIT_ULL(ORDER)
/* The highest order, in which most free memory is. */
#define TOP_ORDER	10
#define SHARE		6
#define BATCH		32
/* Long after the initial free memory was reported. */
#define START_MS	1000000

/*
 * @stack: free memory that the host backs; with offline, all free memory
 * @reported: number of free pages that are reported
 * @pass_ms: when the next pass is due; 0 for none
 * @ms: the number in POLICY
 */
struct replay {
	struct guest guest;
	struct churn churn;
	struct stack stack;
	u64 reported;
	u64 now_ms;
	u64 pass_ms;
	u64 refaulted;
	u64 sent;
	u64 held;
	u64 ms;
	void (*run)(struct replay *replay, u64 until_ms);
	void (*gives)(struct replay *replay, u64 pages);
	void (*takes)(struct replay *replay, u64 pages);
};

static void hold(struct replay *replay, u64 until_ms)
{
	replay->held += replay->stack.pages * (until_ms - replay->now_ms);
	replay->now_ms = until_ms;
}

static void report_bottom(struct replay *replay, u64 pages)
{
	replay->sent += pages;
	replay->reported += pages;
	while (pages)
		pages -= stack_pop_bottom(&replay->stack, pages).pages;
}

static void any_gives(struct replay *replay, u64 pages)
{
	stack_push(&replay->stack, pages, replay->now_ms);
}

static void any_takes(struct replay *replay, u64 pages)
{
	while (pages && replay->stack.pages)
		pages -= stack_pop(&replay->stack, pages).pages;
	replay->reported -= pages;
	replay->refaulted += pages;
}

/* pacing: with the model of the free lists, in blocks of 2 MiB */

static void pacing_run(struct replay *replay, u64 until_ms)
{
	guest_run(&replay->guest, until_ms);
	replay->now_ms = until_ms;
	replay->held = replay->guest.held;
	replay->refaulted = replay->guest.refaulted;
	replay->sent = replay->guest.sent;
}

static void pacing_gives(struct replay *replay, u64 pages)
{
	churn_give(&replay->churn, &replay->guest, pages);
}

static void pacing_takes(struct replay *replay, u64 pages)
{
	churn_take(&replay->churn, &replay->guest, pages);
}

/* delay=MS */

static u64 pass_pages(const struct replay *replay)
{
	u64 free = (replay->stack.pages + replay->reported) >> TOP_ORDER;
	u64 blocks = (free + SHARE - 1) / SHARE;

	return (blocks + BATCH - 1) / BATCH * BATCH << TOP_ORDER;
}

static void delay_run(struct replay *replay, u64 until_ms)
{
	while (replay->pass_ms && replay->pass_ms <= until_ms) {
		hold(replay, replay->pass_ms);
		report_bottom(replay, min(replay->stack.pages, pass_pages(replay)));
		replay->pass_ms = replay->stack.pages ? replay->now_ms + replay->ms : 0;
	}
	hold(replay, until_ms);
}

static void delay_gives(struct replay *replay, u64 pages)
{
	any_gives(replay, pages);
	if (!replay->pass_ms)
		replay->pass_ms = replay->now_ms + replay->ms;
}

/* surplus=MS */

static void surplus_run(struct replay *replay, u64 until_ms)
{
	const struct stack *stack = &replay->stack;

	while (stack->pages) {
		u64 due_ms = stack->layers[stack->first].since_ms + replay->ms;

		if (due_ms > until_ms)
			break;
		hold(replay, max(due_ms, replay->now_ms));
		report_bottom(replay, stack->layers[stack->first].pages);
	}
	hold(replay, until_ms);
}

/* offline=MS: whether a page was kept is decided when it is taken again. */

static void offline_run(struct replay *replay, u64 until_ms)
{
	replay->now_ms = until_ms;
}

static void offline_takes(struct replay *replay, u64 pages)
{
	while (pages) {
		struct layer layer = stack_pop(&replay->stack, pages);
		u64 idle_ms = replay->now_ms - layer.since_ms;

		pages -= layer.pages;
		if (idle_ms < replay->ms) {
			replay->held += layer.pages * idle_ms;
		} else {
			replay->refaulted += layer.pages;
			replay->sent += layer.pages;
		}
	}
}

static const struct {
	const char *name;
	struct replay replay;
} policies[] = {
	{ "pacing", { .run = pacing_run, .gives = pacing_gives, .takes = pacing_takes } },
	{ "delay", { .run = delay_run, .gives = delay_gives, .takes = any_takes } },
	{ "surplus", { .run = surplus_run, .gives = any_gives, .takes = any_takes } },
	{ "offline", { .run = offline_run, .gives = any_gives, .takes = offline_takes } },
};

static void die(const char *what, const char *which)
{
	fprintf(stderr, "replay: %s: %s\n", what, which);
	exit(2);
}

static u64 number(const char *text)
{
	char *end;
	u64 value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		die("neither MS nor PAGES", text);
	return value;
}

static struct replay policy_of(const char *text)
{
	size_t i, len = strcspn(text, "=");
	struct replay replay;

	for (i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		if (strlen(policies[i].name) != len || strncmp(policies[i].name, text, len))
			continue;
		replay = policies[i].replay;
		replay.ms = text[len] ? number(text + len + 1) : 0;
		if (!text[len] != !strcmp(policies[i].name, "pacing"))
			die("with or without a number", text);
		return replay;
	}
	die("no such policy", text);
	exit(2);
}

struct line {
	u64 ms;
	u64 pages;
};

static bool next_line(struct line *line, u64 total)
{
	char text[64];

	if (!fgets(text, sizeof(text), stdin))
		return false;
	if (sscanf(text, "%llu,%llu", &line->ms, &line->pages) != 2 || line->pages > total)
		die("not ms,pages with pages up to PAGES", text);
	return true;
}

/* In whole blocks. The kernel uses the rest of the last one. */
static u64 blocks_of(u64 pages)
{
	return (pages + BLOCK - 1) / BLOCK * BLOCK;
}

/* Starts with all free memory reported, and all other memory in use. */
static void start(struct replay *replay, u64 total, u64 used)
{
	struct guest_config guest = { .nr_pages = total, .order = ORDER };
	struct churn_config churn = { .pages = total, .low = ORDER, .high = ORDER };

	replay->now_ms = START_MS;
	stack_init(&replay->stack);
	/* With offline, a page that was idle for so long was reported. */
	if (replay->run == offline_run)
		stack_push(&replay->stack, total - used, 0);
	else
		replay->reported = total - used;
	guest_init(&replay->guest, &guest);
	churn_init(&replay->churn, &churn);
	churn_take(&replay->churn, &replay->guest, used);
	guest_run(&replay->guest, START_MS);
	replay->guest.held = 0;
	replay->guest.sent = 0;
	replay->guest.refaulted = 0;
}

static void play(struct replay *replay, u64 total)
{
	struct line before, line;

	if (!next_line(&before, total))
		die("no trace", "nothing to read");
	before.pages = blocks_of(before.pages);
	start(replay, total, before.pages);
	for (line = before; next_line(&line, total); before = line) {
		if (line.ms < before.ms)
			die("time goes back", "lines have to be in order");
		line.pages = blocks_of(line.pages);
		replay->run(replay, replay->now_ms + line.ms - before.ms);
		if (line.pages > before.pages)
			replay->takes(replay, line.pages - before.pages);
		else if (line.pages < before.pages)
			replay->gives(replay, before.pages - line.pages);
	}
	/* The last line counts, too. */
	replay->run(replay, replay->now_ms);
}

int main(int argc, char **argv)
{
	struct replay replay;
	u64 total;

	if (argc != 3)
		die("usage", "replay POLICY PAGES < TRACE");
	replay = policy_of(argv[1]);
	/* Whole blocks of the highest order */
	total = (number(argv[2]) + BIT_ULL(TOP_ORDER) - 1) >> TOP_ORDER << TOP_ORDER;
	play(&replay, total);
	if (replay.guest.broken)
		die("the policy broke a promise", replay.guest.broken);
	printf("{\"ms\": %llu, \"passes\": %llu, ", replay.now_ms - START_MS,
	       replay.guest.passes);
	printf("\"refaulted\": %llu, \"sent\": %llu, \"held\": %llu}\n",
	       replay.refaulted, replay.sent, replay.held);
	churn_free(&replay.churn);
	guest_free(&replay.guest);
	stack_free(&replay.stack);
	return 0;
}
