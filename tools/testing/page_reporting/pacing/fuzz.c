// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer: a guest that does what the bytes say, and a caller that passes what
 * the bytes say. The first has to see all promises kept; nothing may overflow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "guest.h"

#define PAGES_MAX	BIT_ULL(52)
/* 4 GiB, of which 1 % is the noise of the policy. */
#define TOTAL		BIT_ULL(20)

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

/* Of any size: one byte says how large, the next what; or all bits. */
static u64 any(struct bytes *bytes)
{
	u64 shift = next(bytes);

	return shift == 255 ? ~0ULL : next(bytes) << shift % 57;
}

/* What a byte says of a number up to @most; all of it now and then. */
static u64 part(struct bytes *bytes, u64 most)
{
	u64 byte = next(bytes);

	return byte == 255 ? most : most >> (byte & 31) >> (byte >> 6);
}

static void one_step(struct guest *guest, struct bytes *bytes)
{
	u64 what = next(bytes), free = guest->unreported.pages + guest->reported;

	switch (what % 4) {
	case 0:
		guest_gives(guest, part(bytes, TOTAL - free));
		break;
	case 1:
		guest_takes(guest, part(bytes, free));
		break;
	case 2:
		guest_run(guest, guest->now_ms + part(bytes, 1 << 14));
		break;
	default:
		guest->late_ms = what >> 4;
		guest->failing = what & 4;
		guest->often_ms = what & 8 ? 20 + part(bytes, 1000) : 0;
		guest->price_ns = 1 + part(bytes, 1 << 15);
	}
}

static void fuzz_guest(struct bytes bytes)
{
	struct guest guest;

	guest_init(&guest, next(&bytes) % 11, next(&bytes));
	while (bytes.left && !guest.broken)
		one_step(&guest, &bytes);
	guest.failing = false;
	guest.often_ms = 0;
	guest_run(&guest, guest.now_ms + guest_longest_wait_ms(&guest));
	if (!guest.broken && guest.ask_ms)
		guest.broken = "no timer with nothing left";
	if (guest.broken) {
		fprintf(stderr, "broken: %s\n", guest.broken);
		abort();
	}
	guest_free(&guest);
}

static void one_call(struct page_reporting_pacing *pacing, struct page_reporting_cap *cap,
		     struct bytes *bytes)
{
	u64 pages, now_ms;
	struct page_reporting_grant grant;
	u64 what = next(bytes);

	pages = any(bytes) % (PAGES_MAX + 1);
	now_ms = any(bytes);
	switch (what % 6) {
	case 0:
		grant = page_reporting_pacing_decide(pacing, cap, pages, now_ms);
		if (grant.pages > pages || !grant.wait_ms)
			abort();
		break;
	case 1:
		page_reporting_pacing_note(pacing, pages);
		break;
	case 2:
		page_reporting_pacing_reported(pacing, pages, now_ms);
		break;
	case 3:
		page_reporting_pacing_refaulted(pacing, pages, now_ms);
		break;
	case 4:
		page_reporting_cap_begin(cap, pages, now_ms);
		break;
	default:
		page_reporting_cap_charge(cap, pages, any(bytes));
	}
}

static void fuzz_calls(struct bytes bytes)
{
	unsigned int order = next(&bytes) % 11;
	u64 level = any(&bytes) >> 12, now_ms = any(&bytes);
	struct page_reporting_pacing pacing;
	struct page_reporting_cap cap;

	page_reporting_pacing_init(&pacing, order, level, now_ms);
	page_reporting_cap_init(&cap, any(&bytes));
	while (bytes.left)
		one_call(&pacing, &cap, &bytes);
	if (pacing.step > 2 || pacing.early > pacing.recent || !cap.price_ns ||
	    pacing.missed > TOTAL / 100)
		abort();
}

/* The name that libFuzzer calls, which is not one of ours. */
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
