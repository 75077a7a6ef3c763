// SPDX-License-Identifier: GPL-2.0
/*
 * A model of a guest with one zone: the allocator, its hooks, the passes of the
 * engine, and the host with its huge pages.
 */
#include <stdlib.h>

#include "guest.h"

#define PAID_NS_PER_MS		10000
/* Blocks in a full batch. */
#define CAPACITY		32
/* The lowest order with a mark before the unit of account was introduced. */
#define OLD_MARK_ORDER		4

#define guest_of(ptr)	((struct guest *)((char *)(ptr) - offsetof(struct guest, buddy)))

static void promise(struct guest *guest, bool kept, const char *what)
{
	if (!kept && !guest->broken)
		guest->broken = what;
}

/* The range of a block, or NULL if blocks of its order are not counted. */
static struct range *range_of(struct guest *guest, unsigned int order,
			      enum migratetype type)
{
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++) {
		struct range *range = &guest->ranges[i];

		if (order >= range->pacing.order && order <= range->last &&
		    range->types & TYPE_BIT(type))
			return range;
	}
	return NULL;
}

/* B of large blocks. */
static u64 break_even_ms(const struct guest *guest)
{
	return guest->ranges[0].pacing.break_even_ms;
}

static u64 level_of(const struct guest *guest, const struct range *range)
{
	return buddy_level(&guest->buddy, range->pacing.order, range->last,
			   range->types);
}

/* Updates the stack of true idle times for the current level. */
static void sync_stack(struct guest *guest, struct range *range)
{
	u64 level = level_of(guest, range);

	while (range->stack.pages > level)
		stack_pop(&range->stack, range->stack.pages - level);
	stack_push(&range->stack, level - range->stack.pages, guest->now_ms);
}

static void sync_stacks(struct guest *guest)
{
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++)
		sync_stack(guest, &guest->ranges[i]);
}

/* Number of pages of a split block that stay free in blocks of this range. */
static u64 parts_in(const struct range *range, const struct taken *taken)
{
	unsigned int order;
	u64 pages = 0;

	if (!(range->types & TYPE_BIT(taken->to)))
		return 0;
	for (order = taken->low; order < taken->high; order++)
		if (order >= range->pacing.order && order <= range->last)
			pages += 1ULL << order;
	return pages;
}

/* A marked block was allocated, so the host backs whole units of it again. */
static void hook_refault(struct guest *guest, const struct taken *taken)
{
	struct range *range = range_of(guest, taken->high, taken->from);
	u64 pages = 1ULL << taken->low;
	unsigned int order;

	if (guest->old_accounting || taken->high < UNIT_ORDER) {
		for (order = taken->low; order < taken->high; order++)
			if (order < guest->buddy.mark_order)
				pages += 1ULL << order;
	} else {
		pages = max(pages, UNIT_PAGES);
	}
	/* With the old accounting, a part may be too small for any range. */
	if (!range)
		return;
	range->charged += pages;
	page_reporting_pacing_refaulted(&range->pacing, pages, guest->now_ms);
}

static void rise(struct guest *guest, struct range *range, u64 pages)
{
	u64 level = level_of(guest, range);

	end_windows(&range->pacing, level - min(level, pages),
		    guest->now_ms);
	if (!guest->pass_ms)
		guest->pass_ms = guest->now_ms + guest->late_ms +
				 page_reporting_pacing_soonest_ms();
}

/* An unmarked block was allocated. Some of its parts may still be free. */
static void hook_fall(struct guest *guest, const struct taken *taken)
{
	struct range *range = range_of(guest, taken->high, taken->from);
	unsigned int i;

	if (!range)
		return;
	end_windows(&range->pacing, level_of(guest, range) +
				   (1ULL << taken->high) - parts_in(range, taken),
				   guest->now_ms);
	page_reporting_pacing_fell(&range->pacing, level_of(guest, range));
	for (i = 0; i < guest->nr_ranges; i++) {
		struct range *other = &guest->ranges[i];
		u64 pages = parts_in(other, taken);

		if (other != range && pages)
			rise(guest, other, pages);
	}
}

static void hook_taken(struct buddy *buddy, const struct taken *taken)
{
	struct guest *guest = guest_of(buddy);

	if (taken->marked)
		hook_refault(guest, taken);
	else
		hook_fall(guest, taken);
	sync_stacks(guest);
}

static void hook_freed(struct buddy *buddy, unsigned int order, enum migratetype type)
{
	struct guest *guest = guest_of(buddy);
	struct range *range = range_of(guest, order, type);

	if (range)
		rise(guest, range, 1ULL << order);
	sync_stacks(guest);
}

static void init_range(struct guest *guest, unsigned int first, unsigned int last,
		       unsigned int types)
{
	struct range *range = &guest->ranges[guest->nr_ranges++];

	range->last = last;
	range->types = types;
	stack_init(&range->stack);
	page_reporting_pacing_init(&range->pacing, first,
				   buddy_level(&guest->buddy, first, last, types),
				   guest->now_ms);
	sync_stack(guest, range);
}

void guest_init(struct guest *guest, const struct guest_config *config)
{
	unsigned int i;
	u64 units;

	*guest = (struct guest) {
		.now_ms = config->now_ms,
		.price_ns = 14000,
		.old_accounting = config->old_accounting,
		.spends_rests = config->spends_rests,
	};
	buddy_init(&guest->buddy, config->nr_pages);
	guest->buddy.has_pcp = config->has_pcp;
	guest->buddy.mark_order = config->old_accounting ? OLD_MARK_ORDER :
				  min(config->order, UNIT_ORDER);
	guest->buddy.taken = hook_taken;
	guest->buddy.freed = hook_freed;
	units = guest->buddy.nr_pages >> UNIT_ORDER;
	guest->missing = allocate(NULL, units * sizeof(*guest->missing));
	memset(guest->missing, 0, units * sizeof(*guest->missing));
	guest->absent = allocate(NULL, guest->buddy.nr_pages);
	memset(guest->absent, 0, guest->buddy.nr_pages);
	stack_init(&guest->all);
	stack_push(&guest->all, guest->buddy.nr_pages, config->now_ms);
	for (i = 0; i < (config->by_type ? NR_TYPES : 1); i++) {
		unsigned int types = config->by_type ? TYPE_BIT(i) : ALL_TYPES;

		init_range(guest, max(config->order, UNIT_ORDER),
			   MAX_PAGE_ORDER, types);
		if (config->order < UNIT_ORDER)
			init_range(guest, config->order, UNIT_ORDER - 1, types);
	}
	page_reporting_cap_init(&guest->cap, config->now_ms);
	guest->pass_ms = config->now_ms + break_even_ms(guest);
}

void guest_free(struct guest *guest)
{
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++)
		stack_free(&guest->ranges[i].stack);
	buddy_free(&guest->buddy);
	free(guest->missing);
	free(guest->absent);
	stack_free(&guest->all);
}

u64 guest_level(const struct guest *guest)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++)
		pages += level_of(guest, &guest->ranges[i]);
	return pages;
}

static void pass_time(struct guest *guest, u64 now_ms)
{
	u64 ms = now_ms - guest->now_ms;

	guest->held += guest_level(guest) * ms;
	guest->owed_ns -= min(guest->owed_ns, ms * PAID_NS_PER_MS);
	guest->now_ms = now_ms;
}

static void spend(struct guest *guest, u64 ns)
{
	page_reporting_cap_charge(&guest->cap, ns);
	guest->spent_ns += ns;
	guest->owed_ns += ns;
	guest->most_owed_ns = max(guest->most_owed_ns, guest->owed_ns);
}

/* The host drops the memory that backs a block. */
static void drop(struct guest *guest, unsigned int pfn, unsigned int order)
{
	unsigned int end = pfn + (1U << order);

	for (; pfn < end; pfn++) {
		guest->missing[pfn >> UNIT_ORDER] += !guest->absent[pfn];
		guest->absent[pfn] = true;
	}
}

static void isolate(struct guest *guest, struct range *range, unsigned int pfn,
		    unsigned int order)
{
	u64 left = 1ULL << order;

	buddy_isolate(&guest->buddy, pfn);
	page_reporting_pacing_isolated(&range->pacing, left);
	while (left)
		left -= stack_pop_bottom(&range->stack, left).pages;
}

static unsigned int oldest(struct guest *guest, struct range *range, unsigned int order)
{
	unsigned int pfn = NO_PFN, type;

	for (type = 0; type < NR_TYPES && pfn == NO_PFN; type++)
		if (range->types & TYPE_BIT(type))
			pfn = buddy_oldest(&guest->buddy, order, type);
	return pfn;
}

/* As __page_reporting_stays() of the engine. */
static bool stays(struct guest *guest, struct range *range, u64 rest)
{
	unsigned int order;

	if (guest->spends_rests || range->all || rest >= 2 * UNIT_PAGES)
		return false;
	for (order = range->pacing.order; order <= range->last; order++)
		if (rest < 1ULL << order && oldest(guest, range, order) != NO_PFN)
			return true;
	return false;
}

/* Reports a block of a range, of at most so many pages. Returns its number of pages, or 0. */
static u64 report_block(struct guest *guest, struct range *range, u64 pages)
{
	unsigned int pfn = NO_PFN;
	int order;

	if (stays(guest, range, pages))
		return 0;
	for (order = range->last; order >= (int)range->pacing.order; order--)
		if (pages >> order && (pfn = oldest(guest, range, order)) != NO_PFN)
			break;
	if (pfn == NO_PFN)
		return 0;
	isolate(guest, range, pfn, order);
	spend(guest, guest->price_ns);
	if (!guest->failing) {
		drop(guest, pfn, order);
		guest->sent += 1ULL << order;
		range->reported += 1ULL << order;
		page_reporting_pacing_reported(&range->pacing, 1ULL << order,
					       guest->now_ms);
	}
	buddy_put_back(&guest->buddy, pfn, order, !guest->failing);
	/* A block that was put back unreported or merged counts as freed now. */
	sync_stacks(guest);
	return 1ULL << order;
}

/* Returns the rest of the grant that does not fit. */
static u64 report(struct guest *guest, struct range *range, u64 pages)
{
	u64 sent, nr = 0;

	while (pages) {
		if (nr++ % CAPACITY == 0 &&
		    !page_reporting_cap_allows(&guest->cap, guest->buddy.nr_pages,
					       guest->now_ms))
			return 0;
		sent = report_block(guest, range, pages);
		if (!sent)
			break;
		pages -= sent;
	}
	return pages;
}

static void decide(struct guest *guest, struct range *range)
{
	u64 pages, level = level_of(guest, range);

	pages = page_reporting_pacing_decide(&range->pacing, level, guest->now_ms);
	promise(guest, pages <= level, "never more than the level");
	/* Merges lower the level of small blocks, without a hook. */
	promise(guest, range->last < UNIT_ORDER ||
		pages <= stack_idle(&range->stack, range->pacing.break_even_ms, guest->now_ms),
		"never more than what was idle for B");
	range->all = level - pages < 1ULL << range->pacing.order;
	range->left = report(guest, range, pages);
}

static void pass(struct guest *guest)
{
	unsigned int i, wait_ms = PAGE_REPORTING_NEVER;

	guest->passes++;
	for (i = 0; i < guest->nr_ranges; i++)
		decide(guest, &guest->ranges[i]);
	for (i = 0; i < guest->nr_ranges; i++) {
		struct range *range = &guest->ranges[i];
		unsigned int ms;

		ms = page_reporting_pacing_wait(&range->pacing, level_of(guest, range),
						range->left, guest->now_ms);
		promise(guest, ms, "a wait is at least 1 ms");
		wait_ms = min(wait_ms, ms);
	}
	guest->pass_ms = wait_ms == PAGE_REPORTING_NEVER ? 0 :
			 guest->now_ms + wait_ms + guest->late_ms;
}

void guest_run(struct guest *guest, u64 until_ms)
{
	while (guest->pass_ms && guest->pass_ms <= until_ms && !guest->broken) {
		pass_time(guest, max(guest->pass_ms, guest->now_ms));
		pass(guest);
	}
	pass_time(guest, max(until_ms, guest->now_ms));
}

void guest_stall(struct guest *guest, u64 ms)
{
	pass_time(guest, guest->now_ms + ms);
}

static void flush_list(struct guest *guest, struct range *range, unsigned int order,
		       unsigned int type)
{
	unsigned int pfn;

	if (!(range->types & TYPE_BIT(type)))
		return;
	while ((pfn = buddy_oldest(&guest->buddy, order, type)) != NO_PFN) {
		isolate(guest, range, pfn, order);
		drop(guest, pfn, order);
		buddy_put_back(&guest->buddy, pfn, order, true);
		sync_stacks(guest);
	}
}

void guest_flush(struct guest *guest)
{
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++) {
		struct range *range = &guest->ranges[i];
		unsigned int order, type;

		for (order = range->pacing.order; order <= range->last; order++)
			for (type = 0; type < NR_TYPES; type++)
				flush_list(guest, range, order, type);
	}
}

/* The host backs a whole unit at once, unless a small report has broken it up. */
static u64 back(struct guest *guest, unsigned int pfn)
{
	unsigned short *missing = &guest->missing[pfn >> UNIT_ORDER];
	unsigned int first = pfn >> UNIT_ORDER << UNIT_ORDER;

	if (!guest->absent[pfn])
		return 0;
	if (*missing < UNIT_PAGES) {
		guest->absent[pfn] = false;
		(*missing)--;
		return 1;
	}
	memset(guest->absent + first, 0, UNIT_PAGES);
	*missing = 0;
	return UNIT_PAGES;
}

/* Touches all units of a block. Returns how many pages the host had to back. */
static u64 touch(struct guest *guest, unsigned int first, unsigned int order)
{
	unsigned int pfn, end = first + (1U << order);
	u64 pages = 0;

	for (pfn = first; pfn < end; pfn++)
		if (guest->missing[pfn >> UNIT_ORDER])
			pages += back(guest, pfn);
		else
			pfn |= UNIT_PAGES - 1;
	return pages;
}

/*
 * Whatever block the allocator takes, the pages that are needed are those on top of
 * the stack of all free memory. Returns for how long they were idle.
 */
static u64 pop_all(struct guest *guest, u64 pages)
{
	u64 idle_ms = 0;

	while (pages && guest->all.pages) {
		struct layer layer = stack_pop(&guest->all, pages);

		idle_ms = guest->now_ms - layer.since_ms;
		guest->best += layer.pages * min(idle_ms, break_even_ms(guest));
		pages -= layer.pages;
	}
	return idle_ms;
}

unsigned int guest_take(struct guest *guest, unsigned int order, enum migratetype type)
{
	unsigned int pfn = buddy_take(&guest->buddy, order, type);
	u64 idle_ms, pages;

	if (pfn == NO_PFN)
		return NO_PFN;
	idle_ms = pop_all(guest, 1ULL << order);
	pages = touch(guest, pfn, order);
	guest->touched += 1ULL << order;
	guest->refaulted += pages;
	if (idle_ms < 2 * break_even_ms(guest))
		guest->soon += pages;
	return pfn;
}

void guest_give(struct guest *guest, unsigned int pfn, unsigned int order)
{
	stack_push(&guest->all, 1ULL << order, guest->now_ms);
	buddy_give(&guest->buddy, pfn, order);
}

/*
 * 4 B and three windows, and the wait for the CPU cap, rounded up by two windows: a pass
 * that the cap has ended is followed by one a window later, which it may end, too. The
 * armed timer may have been set when timers were later than now. Then some windows are
 * not counted.
 */
u64 guest_longest_wait_ms(const struct guest *guest)
{
	u64 longest_ms = 0, blocks = 0;
	unsigned int i;

	for (i = 0; i < guest->nr_ranges; i++) {
		const struct range *range = &guest->ranges[i];
		u64 b_ms = range->pacing.break_even_ms;

		longest_ms = max(longest_ms, PAGE_REPORTING_KEPT * b_ms +
				 (3 + PAGE_REPORTING_SLACK) * b_ms / PAGE_REPORTING_WINDOWS);
		blocks += level_of(guest, range) >> range->pacing.order;
	}
	return longest_ms + (PAGE_REPORTING_PAST + 2) * (guest->late_ms + 1) +
	       (guest->cap.debt_ns + blocks * guest->price_ns) / PAID_NS_PER_MS;
}
