// SPDX-License-Identifier: GPL-2.0
/*
 * Replays a trace of memory demand under a policy of reporting free memory.
 *
 *   replay POLICY PAGES < TRACE
 *
 * POLICY is one of
 *   pacing		mm/page_reporting_pacing.c
 *   delay=MS		a pass MS after the first free, and every MS while there is
 *			more: a sixth of the free blocks, in whole batches of 32
 *   surplus=MS		what was idle for MS, at once, with exact idle times
 *   offline=MS		the future is known, and keeping a page for MS costs as
 *			much as a refault: pages that will be idle for longer
 *			leave at once, all others stay
 *
 * PAGES is the size of the guest's memory. A TRACE has lines of ms,pages: from
 * then on so many pages are in use. What is free at its beginning is with the
 * host, so that the first use of a page is a refault under each policy alike.
 * Prints the sums as JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest.h"

/* 2 MiB in pages of 4 KiB: the smallest block that is reported by default. */
#define ORDER		9
/* The largest one, in which most free memory is. */
#define TOP_ORDER	10
#define SHARE		6
#define BATCH		32
/* Long after the host got what was free at first. */
#define START_MS	1000000

struct replay {
	struct guest guest;
	u64 ms;			/* the number in POLICY */
	void (*run)(struct replay *replay, u64 until_ms);
	void (*gives)(struct replay *replay, u64 pages);
	void (*takes)(struct replay *replay, u64 pages);
};

static void hold(struct guest *guest, u64 until_ms)
{
	guest->held += guest->unreported.pages * (until_ms - guest->now_ms);
	guest->now_ms = until_ms;
}

static void report_bottom(struct guest *guest, u64 pages)
{
	guest->sent += pages;
	guest->reported += pages;
	while (pages)
		pages -= stack_pop_bottom(&guest->unreported, pages).pages;
}

/* pacing */

static void pacing_run(struct replay *replay, u64 until_ms)
{
	guest_run(&replay->guest, until_ms);
}

static void pacing_gives(struct replay *replay, u64 pages)
{
	guest_gives(&replay->guest, pages);
}

static void any_takes(struct replay *replay, u64 pages)
{
	guest_takes(&replay->guest, pages);
}

/* delay=MS */

static u64 pass_pages(const struct guest *guest)
{
	u64 free = (guest->unreported.pages + guest->reported) >> TOP_ORDER;
	u64 blocks = (free + SHARE - 1) / SHARE;

	return (blocks + BATCH - 1) / BATCH * BATCH << TOP_ORDER;
}

static void delay_run(struct replay *replay, u64 until_ms)
{
	struct guest *guest = &replay->guest;

	while (guest->ask_ms && guest->ask_ms <= until_ms) {
		hold(guest, guest->ask_ms);
		report_bottom(guest, min(guest->unreported.pages, pass_pages(guest)));
		guest->ask_ms = guest->unreported.pages >> ORDER ?
				guest->now_ms + replay->ms : 0;
	}
	hold(guest, until_ms);
}

static void delay_gives(struct replay *replay, u64 pages)
{
	struct guest *guest = &replay->guest;

	stack_push(&guest->unreported, pages, guest->now_ms);
	if (!guest->ask_ms && guest->unreported.pages >> ORDER)
		guest->ask_ms = guest->now_ms + replay->ms;
}

/* surplus=MS */

static void surplus_run(struct replay *replay, u64 until_ms)
{
	struct guest *guest = &replay->guest;
	const struct stack *stack = &guest->unreported;

	while (stack->pages) {
		u64 due_ms = stack->layers[stack->first].since_ms + replay->ms;

		if (due_ms > until_ms)
			break;
		hold(guest, max(due_ms, guest->now_ms));
		report_bottom(guest, stack->layers[stack->first].pages);
	}
	hold(guest, until_ms);
}

static void surplus_gives(struct replay *replay, u64 pages)
{
	stack_push(&replay->guest.unreported, pages, replay->guest.now_ms);
}

/* offline=MS: whether a page stays is known when it is taken again. */

static void offline_run(struct replay *replay, u64 until_ms)
{
	replay->guest.now_ms = until_ms;
}

static void offline_takes(struct replay *replay, u64 pages)
{
	struct guest *guest = &replay->guest;

	while (pages) {
		struct layer layer = stack_pop(&guest->unreported, pages);
		u64 idle_ms = guest->now_ms - layer.since_ms;

		pages -= layer.pages;
		if (idle_ms < replay->ms) {
			guest->held += layer.pages * idle_ms;
		} else {
			guest->refaulted += layer.pages;
			guest->sent += layer.pages;
		}
	}
}

static const struct {
	const char *name;
	struct replay replay;
} policies[] = {
	{ "pacing", { .run = pacing_run, .gives = pacing_gives, .takes = any_takes } },
	{ "delay", { .run = delay_run, .gives = delay_gives, .takes = any_takes } },
	{ "surplus", { .run = surplus_run, .gives = surplus_gives, .takes = any_takes } },
	{ "offline", { .run = offline_run, .gives = surplus_gives, .takes = offline_takes } },
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

static void start(struct replay *replay, u64 free)
{
	/* With offline, a page that was idle for so long has left. */
	if (replay->run == offline_run)
		stack_push(&replay->guest.unreported, free, 0);
	else
		replay->guest.reported = free;
}

static void play(struct replay *replay, u64 total)
{
	struct line before, line;

	if (!next_line(&before, total))
		die("no trace", "nothing to read");
	start(replay, total - before.pages);
	for (line = before; next_line(&line, total); before = line) {
		if (line.ms < before.ms)
			die("time goes back", "lines have to be in order");
		replay->run(replay, replay->guest.now_ms + line.ms - before.ms);
		if (line.pages > before.pages)
			replay->takes(replay, line.pages - before.pages);
		else if (line.pages < before.pages)
			replay->gives(replay, before.pages - line.pages);
	}
}

int main(int argc, char **argv)
{
	struct replay replay;
	struct guest *guest = &replay.guest;

	if (argc != 3)
		die("usage", "replay POLICY PAGES < TRACE");
	replay = policy_of(argv[1]);
	guest_init(guest, ORDER, START_MS);
	play(&replay, number(argv[2]));
	if (guest->broken)
		die("the policy broke a promise", guest->broken);
	printf("{\"ms\": %llu, \"asked\": %llu, ", guest->now_ms - START_MS, guest->asked);
	printf("\"refaulted\": %llu, \"sent\": %llu, \"held\": %llu}\n",
	       guest->refaulted, guest->sent, guest->held);
	guest_free(guest);
	return 0;
}
