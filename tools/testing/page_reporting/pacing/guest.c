// SPDX-License-Identifier: GPL-2.0
/*
 * A guest with one zone and one free list, whose engine asks the policy.
 */
#include "guest.h"

#define PAID_NS_PER_MS	10000

void guest_init(struct guest *guest, unsigned int order, u64 now_ms)
{
	*guest = (struct guest) { .now_ms = now_ms, .price_ns = 14000 };
	stack_init(&guest->unreported);
	page_reporting_pacing_init(&guest->pacing, order, 0, now_ms);
	page_reporting_cap_init(&guest->cap, now_ms);
}

void guest_free(struct guest *guest)
{
	stack_free(&guest->unreported);
}

static void promise(struct guest *guest, bool kept, const char *what)
{
	if (!kept && !guest->broken)
		guest->broken = what;
}

static void pass_time(struct guest *guest, u64 now_ms)
{
	u64 ms = now_ms - guest->now_ms;

	guest->held += guest->unreported.pages * ms;
	guest->owed_ns -= min(guest->owed_ns, ms * PAID_NS_PER_MS);
	guest->now_ms = now_ms;
}

static void spend(struct guest *guest, u64 blocks)
{
	u64 ns = blocks * guest->price_ns;

	page_reporting_cap_charge(&guest->cap, blocks, ns);
	guest->spent_ns += ns;
	guest->owed_ns += ns;
	guest->most_owed_ns = max(guest->most_owed_ns, guest->owed_ns);
}

/* The blocks leave at the bottom, and each of them has to be old enough. */
static void report(struct guest *guest, u64 pages)
{
	u64 tau_ms = page_reporting_pacing_tau_ms(&guest->pacing), left = pages;

	while (left) {
		struct layer layer = stack_pop_bottom(&guest->unreported, left);

		promise(guest, guest->now_ms - layer.since_ms >= tau_ms,
			"reported memory was idle for tau");
		left -= layer.pages;
	}
	guest->reported += pages;
	guest->sent += pages;
	page_reporting_pacing_reported(&guest->pacing, pages, guest->now_ms);
}

static void use_grant(struct guest *guest, struct page_reporting_grant grant)
{
	u64 blocks = grant.pages >> grant.order, idle;

	promise(guest, grant.pages <= guest->unreported.pages,
		"never more than the level");
	if (guest->broken)
		return;
	idle = stack_idle(&guest->unreported,
			  page_reporting_pacing_tau_ms(&guest->pacing), guest->now_ms);
	promise(guest, grant.pages <= idle, "never more than the surplus");
	if (!guest->failing)
		report(guest, blocks << grant.order);
	spend(guest, blocks);
}

/* One pass of the engine. */
static void ask(struct guest *guest)
{
	u64 free = guest->unreported.pages + guest->reported;
	unsigned int order = guest->pacing.order, wait_ms;
	struct page_reporting_grant grant;

	guest->asked++;
	page_reporting_cap_begin(&guest->cap, free >> order, guest->now_ms);
	grant = page_reporting_pacing_decide(&guest->pacing, &guest->cap,
					     guest->unreported.pages, guest->now_ms);
	use_grant(guest, grant);
	wait_ms = page_reporting_pacing_wait(&guest->pacing, guest->unreported.pages,
					     guest->now_ms);
	if (!guest->failing)
		promise(guest, wait_ms == grant.wait_ms, "the grant says how long to wait");
	if (guest->often_ms && wait_ms != PAGE_REPORTING_NEVER)
		wait_ms = min((u64)wait_ms, guest->often_ms);
	guest->ask_ms = wait_ms == PAGE_REPORTING_NEVER ? 0 :
			guest->now_ms + wait_ms + guest->late_ms;
}

void guest_run(struct guest *guest, u64 until_ms)
{
	while (guest->ask_ms && guest->ask_ms <= until_ms && !guest->broken) {
		pass_time(guest, max(guest->ask_ms, guest->now_ms));
		ask(guest);
	}
	pass_time(guest, max(until_ms, guest->now_ms));
}

void guest_gives(struct guest *guest, u64 pages)
{
	stack_push(&guest->unreported, pages, guest->now_ms);
	if (!guest->ask_ms && guest->unreported.pages >> guest->pacing.order)
		guest->ask_ms = guest->now_ms + PAGE_REPORTING_FIRST_MS + guest->late_ms;
}

static void refault(struct guest *guest, u64 pages)
{
	if (!pages)
		return;
	guest->reported -= pages;
	guest->refaulted += pages;
	page_reporting_pacing_refaulted(&guest->pacing, pages, guest->now_ms);
}

void guest_takes(struct guest *guest, u64 pages)
{
	pages = min(pages, guest->unreported.pages + guest->reported);
	while (pages && guest->unreported.pages)
		pages -= stack_pop(&guest->unreported, pages).pages;
	page_reporting_pacing_note(&guest->pacing, guest->unreported.pages);
	refault(guest, pages);
}

/*
 * 9/8 of the longest tau, as it may still rise, and what the CPU cap demands. The
 * timer that is armed may have been set when timers were later than they are now.
 */
u64 guest_longest_wait_ms(const struct guest *guest)
{
	u64 blocks = guest->unreported.pages >> guest->pacing.order;
	u64 window_ms = 2 * guest->pacing.break_even_ms / PAGE_REPORTING_WINDOWS;
	u64 wait_ms = window_ms + guest->late_ms;
	u64 armed_ms = max(guest->ask_ms, guest->now_ms) - guest->now_ms;
	u64 tau_ms = max(armed_ms, wait_ms) + 8 * wait_ms;
	u64 doubt_ms = 4 * guest->pacing.break_even_ms + wait_ms;

	return max(tau_ms, guest->pacing.missed ? doubt_ms : 0) +
	       2 * guest->late_ms + 1 +
	       (guest->cap.debt_ns + blocks * guest->price_ns) / PAID_NS_PER_MS;
}
