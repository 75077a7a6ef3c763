// SPDX-License-Identifier: GPL-2.0
/*
 * For libFuzzer: the bytes control a guest, or the arguments of direct calls of the
 * policy. With the guest, no promise may be broken. In both, nothing may overflow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "churn.h"

#include "../../../../mm/page_reporting_plan.h"

#define PAGES_MAX	BIT_ULL(52)
#define TOTAL		(16 * MIB)

struct bytes {
	const unsigned char *data;
	size_t left;
};

static u64 next(struct bytes *bytes)
{
	if (!bytes->left)
		return 0;
	bytes->left--;
	return *bytes->data++;
}

/* A number of any size: a byte for its size, then its value; or all bits set. */
static u64 any(struct bytes *bytes)
{
	u64 shift = next(bytes);

	return shift == 255 ? ~0ULL : next(bytes) << shift % 57;
}

/* A number up to @most, as a byte says; sometimes @most itself. */
static u64 part(struct bytes *bytes, u64 most)
{
	u64 byte = next(bytes);

	return byte == 255 ? most : most >> (byte & 31) >> (byte >> 6);
}

static void one_step(struct guest *guest, struct churn *churns, struct bytes *bytes)
{
	u64 what = next(bytes);
	struct churn *churn = &churns[what >> 7];

	switch (what % 4) {
	case 0:
		churn_give(churn, guest, part(bytes, TOTAL));
		break;
	case 1:
		churn_take(churn, guest, part(bytes, TOTAL));
		break;
	case 2:
		if (what & 4)
			guest_stall(guest, part(bytes, 1 << 14));
		else
			guest_run(guest, guest->now_ms + part(bytes, 1 << 14));
		break;
	default:
		guest->late_ms = what >> 4;
		guest->failing = what & 4;
		guest->price_ns = 1 + part(bytes, 1 << 15);
		if (what & 8)
			guest_flush(guest);
	}
}

static void fuzz_guest(struct bytes bytes)
{
	struct guest_config config = { .nr_pages = TOTAL };
	struct churn churns[NR_TYPES];
	struct guest guest;
	unsigned int i;
	u64 flags;

	config.order = next(&bytes) % NR_PAGE_ORDERS;
	flags = next(&bytes);
	config.has_pcp = flags & 1;
	config.by_type = flags & 2;
	guest_init(&guest, &config);
	for (i = 0; i < NR_TYPES; i++)
		churn_init(&churns[i], &(struct churn_config) {
			   .pages = TOTAL, .high = MAX_PAGE_ORDER, .type = i });
	while (bytes.left && !guest.broken)
		one_step(&guest, churns, &bytes);
	guest.failing = false;
	guest_run(&guest, guest.now_ms);
	guest_run(&guest, guest.now_ms + guest_longest_wait_ms(&guest));
	if (!guest.broken && guest.pass_ms)
		guest.broken = "no timer with nothing left";
	if (guest.broken) {
		fprintf(stderr, "broken: %s\n", guest.broken);
		abort();
	}
	for (i = 0; i < NR_TYPES; i++)
		churn_free(&churns[i]);
	guest_free(&guest);
}

static void one_call(struct page_reporting_pacing *pacing, struct page_reporting_cap *cap,
		     struct bytes *bytes)
{
	u64 what = next(bytes), pages = any(bytes) % (PAGES_MAX + 1);
	u64 now_ms = any(bytes) % BIT_ULL(60);

	switch (what % 9) {
	case 0:
		if (page_reporting_pacing_decide(pacing, pages, now_ms) > pages)
			abort();
		break;
	case 1:
		if (!page_reporting_pacing_wait(pacing, pages, 0, now_ms))
			abort();
		break;
	case 2:
		page_reporting_pacing_isolated(pacing, pages);
		break;
	case 3:
		page_reporting_pacing_reported(pacing, pages, now_ms);
		break;
	case 4:
		page_reporting_pacing_refaulted(pacing, pages, now_ms);
		break;
	case 5:
		end_windows(pacing, any(bytes) >> 12, now_ms);
		page_reporting_pacing_fell(pacing, pages);
		break;
	case 6:
		end_windows(pacing, any(bytes) >> 12, now_ms);
		break;
	case 7:
		page_reporting_cap_allows(cap, pages, now_ms);
		break;
	default:
		page_reporting_cap_charge(cap, any(bytes));
	}
}

static void fuzz_calls(struct bytes bytes)
{
	unsigned int order = next(&bytes) % NR_PAGE_ORDERS;
	u64 level = any(&bytes) >> 12, now_ms = any(&bytes) % BIT_ULL(60);
	struct page_reporting_pacing pacing;
	struct page_reporting_cap cap;

	page_reporting_pacing_init(&pacing, order, level, now_ms);
	page_reporting_cap_init(&cap, any(&bytes));
	while (bytes.left)
		one_call(&pacing, &cap, &bytes);
	if (pacing.keep > PAGES_MAX || pacing.recent > PAGES_MAX)
		abort();
}

#define ORDER		9
#define BLOCK		BIT_ULL(ORDER)

/* With any survey, a plan empties only what exists, what fits, and what it may. */
static void fuzz_plan(struct bytes *bytes)
{
	struct page_reporting_survey survey = {};
	unsigned int classes = next(bytes), class;
	u64 surplus = any(bytes) >> 12, holes = 0, blocks = 0;
	struct page_reporting_plan plan;

	while (bytes->left) {
		unsigned int used = (next(bytes) << 8 | next(bytes)) % (BLOCK + 1);

		class = next(bytes) % 8 ? page_reporting_class(used, BLOCK) : PAGE_REPORTING_STUCK;
		page_reporting_survey_add(&survey, class, used, BLOCK - used);
		holes += BLOCK - used;
	}
	plan = page_reporting_plan(&survey, surplus, classes, BLOCK);
	for (class = 0; class <= plan.sparse; class++)
		blocks += survey.blocks[class];
	if (plan.blocks > surplus / BLOCK || plan.blocks > blocks || plan.moves > holes ||
	    plan.of_sparse > survey.blocks[plan.sparse] || plan.dense <= plan.sparse ||
	    (plan.blocks && plan.sparse >= classes) || plan.next > PAGE_REPORTING_CLASSES ||
	    plan.blocks * BLOCK > holes)
		abort();
}

static void one_fragment_call(struct page_reporting_fragments *fragments, struct bytes *bytes,
			      u64 *now_ms)
{
	struct page_reporting_free free = { any(bytes) >> 12, any(bytes) >> 12 };
	struct page_reporting_round round = {};
	u64 surplus;

	*now_ms += any(bytes) >> 24;
	switch (next(bytes) % 4) {
	case 0:
		page_reporting_fragments_moved(fragments, any(bytes) >> 16, any(bytes) >> 1);
		break;
	case 1:
		round.plan.blocks = any(bytes) >> 16;
		round.plan.more = next(bytes) & 1;
		round.plan.next = next(bytes) % (PAGE_REPORTING_CLASSES + 1);
		round.plan.cheap = next(bytes) % (PAGE_REPORTING_CLASSES + 1);
		round.blocks = any(bytes) >> 24;
		round.cost_ns = any(bytes) >> 8;
		round.end = next(bytes) % 3;
		/* From what was drawn already, so that inputs keep their meaning. */
		round.failed = round.cost_ns >> 20;
		page_reporting_fragments_retry(fragments, *now_ms);
		page_reporting_fragments_emptied(fragments, &round, free, *now_ms);
		break;
	default:
		surplus = page_reporting_fragments_sample(fragments, free, *now_ms);
		/* Only of what is there, and not before it may. */
		if (surplus > free.small || (surplus && *now_ms < fragments->start_ms))
			abort();
	}
	if (!page_reporting_fragments_wait(fragments, *now_ms) ||
	    page_reporting_fragments_affordable(fragments, *now_ms) > PAGE_REPORTING_CLASSES)
		abort();
}

static void fuzz_fragments(struct bytes bytes)
{
	struct page_reporting_fragments fragments;
	u64 now_ms = any(&bytes) >> 24;

	if (next(&bytes) & 1) {
		fuzz_plan(&bytes);
		return;
	}
	page_reporting_fragments_init(&fragments, ORDER, any(&bytes) >> 12, now_ms);
	page_reporting_fragments_resize(&fragments, any(&bytes) >> 12);
	while (bytes.left)
		one_fragment_call(&fragments, &bytes, &now_ms);
}

/* libFuzzer calls it by another name. */
int fuzz_one(const unsigned char *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

int fuzz_one(const unsigned char *data, size_t size)
{
	struct bytes bytes = { data, size };

	switch (next(&bytes) % 4) {
	case 0:
		fuzz_fragments(bytes);
		break;
	case 1:
		fuzz_calls(bytes);
		break;
	default:
		fuzz_guest(bytes);
	}
	return 0;
}
