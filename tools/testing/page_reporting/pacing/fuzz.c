// SPDX-License-Identifier: GPL-2.0
/*
 * For libFuzzer: the bytes control a guest, or the arguments of direct calls of the
 * policy. With the guest, no promise may be broken. In both, nothing may overflow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "churn.h"

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

/* libFuzzer calls it by another name. */
int fuzz_one(const unsigned char *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

int fuzz_one(const unsigned char *data, size_t size)
{
	struct bytes bytes = { data, size };

	if (next(&bytes) & 1)
		fuzz_calls(bytes);
	else
		fuzz_guest(bytes);
	return 0;
}
