// SPDX-License-Identifier: GPL-2.0
/*
 * The counters of free page reporting: each counts what it says, and together they account for
 * every page that was reported.
 *
 * Passes by themselves are put off for as long as the tests run, so that what is counted between
 * two looks is what the test did. Other users of memory are taken into account: they can refault
 * and merge, but not report.
 */
#include <limits.h>
#include <sys/mman.h>

#include "page_reporting_util.h"

#define SCALE_FACTOR	"/proc/sys/vm/watermark_scale_factor"
/* 30 % of each zone, the most that there is. */
#define HIGH_SCALE	"3000"
#define FILL_AT_MOST	(4UL << 30)

/* The checks below are joined by ||: each is 0, which is KSFT_PASS, or 1, KSFT_FAIL. */

static struct pr_counters since(const struct pr_counters *before)
{
	struct pr_counters now = pr_count();
	int i;

	for (i = 0; i < PR_NR_COUNTERS; i++)
		now.of[i] -= before->of[i];
	return now;
}

/* @what happened between @least and @most times. */
static int expect(const struct pr_counters *delta, enum pr_counter what, long least, long most)
{
	if (delta->of[what] >= least && delta->of[what] <= most)
		return KSFT_PASS;
	return pr_fail("%s grew by %ld, expected %ld to %ld", pr_counter_names[what],
		       delta->of[what], least, most);
}

static int expect_flush(int expected)
{
	int got = pr_flush("all");

	if (got == expected)
		return KSFT_PASS;
	return pr_fail("flush: got %s, expected %s", strerror(-got), strerror(-expected));
}

static long some_pages(void)
{
	return pr_some_memory() / pr_page_size();
}

/* Cases */

static int test_exist(void)
{
	struct pr_counters counters = pr_count();
	int i, missing = 0;

	for (i = 0; i < PR_NR_COUNTERS; i++)
		if (counters.of[i] < 0) {
			ksft_print_msg("/proc/vmstat: %s is missing or negative\n",
				       pr_counter_names[i]);
			missing++;
		}
	return missing ? KSFT_FAIL : KSFT_PASS;
}

static int test_gauge(void)
{
	return pr_check_gauge(0);
}

static int test_no_device(void)
{
	struct pr_counters before = pr_count(), delta;

	if (pr_has_device())
		return pr_skip("there is a device");
	if (before.of[PR_GAUGE])
		return pr_fail("%ld pages are reported, to nobody", before.of[PR_GAUGE]);
	pr_take_and_give(pr_some_memory());
	delta = since(&before);
	return expect(&delta, PR_REPORT, 0, 0) || expect(&delta, PR_CALL, 0, 0) ||
	       expect(&delta, PR_PASS, 0, 0) || expect(&delta, PR_REFAULT, 0, 0) ||
	       expect(&delta, PR_GAUGE, 0, 0);
}

static int test_report(void)
{
	struct pr_counters before, delta;
	struct pr_flushed last;
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	pr_take_and_give(pr_some_memory());
	before = pr_count();
	pr_must_write(PR_FLUSH, "all");
	delta = since(&before);
	last = pr_last_flush();
	if (last.pages != delta.of[PR_REPORT])
		return pr_fail("the flush reported %ld pages, pgreport grew by %ld", last.pages,
			       delta.of[PR_REPORT]);
	return expect(&delta, PR_REPORT, some_pages() / 2, LONG_MAX) ||
	       expect(&delta, PR_CALL, 1, last.pages) || expect(&delta, PR_PASS, 1, 10) ||
	       expect(&delta, PR_FAIL, 0, 0) || expect(&delta, PR_CLEAR, 0, 0) ||
	       expect(&delta, PR_GAUGE, 1, last.pages);
}

static int test_refault(void)
{
	long unreported, pages = some_pages();
	struct pr_counters before, delta;
	int result = pr_need_device();
	char *mem;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	unreported = sysconf(_SC_AVPHYS_PAGES) - before.of[PR_GAUGE];
	if (unreported > pages / 2)
		return pr_skip("%ld pages are free that cannot be reported", unreported);
	mem = pr_take(pages * pr_page_size(), MADV_HUGEPAGE);
	delta = since(&before);
	pr_give(mem, pages * pr_page_size());
	return expect(&delta, PR_REFAULT, pages - unreported, LONG_MAX) ||
	       expect(&delta, PR_REPORT, 0, 0) || expect(&delta, PR_CLEAR, 0, 0) ||
	       expect(&delta, PR_GAUGE, LONG_MIN, -(pages - unreported));
}

/* Every other part of @mem. */
static void give_parts(char *mem, size_t size, size_t part)
{
	size_t off;

	for (off = 0; off < size; off += 2 * part)
		if (madvise(mem + off, part, MADV_DONTNEED))
			ksft_exit_fail_msg("MADV_DONTNEED: %s\n", strerror(errno));
}

static int test_merge(void)
{
	size_t size = pr_some_memory(), part = 256 * pr_page_size();
	struct pr_counters before, delta;
	int result = pr_need_device();
	char *mem;

	if (result)
		return result;
	pr_must_write(PR_ORDER, "3");
	pr_must_write(PR_FLUSH, "all");
	mem = pr_take(size, MADV_NOHUGEPAGE);
	give_parts(mem, size, part);
	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	pr_give(mem, size);
	delta = since(&before);
	pr_knob_back(PR_ORDER);
	return expect(&delta, PR_MERGE, some_pages() / 16, LONG_MAX) ||
	       expect(&delta, PR_REPORT, 0, 0) || expect(&delta, PR_CLEAR, 0, 0);
}

/* A pass by itself, after the delay. */
static int test_pass(void)
{
	struct pr_counters before, delta;
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	pr_must_write(PR_DELAY, "50");
	pr_take_and_give(pr_some_memory());
	if (!pr_await_counter(PR_REPORT, before.of[PR_REPORT] + 1, 20000))
		result = pr_fail("nothing was reported within 20 s");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	delta = since(&before);
	return result || expect(&delta, PR_PASS, 1, LONG_MAX) ||
	       expect(&delta, PR_CALL, 1, LONG_MAX);
}

/* How much has to be taken until all zones are short of memory. */
static size_t too_much(const struct pr_zones *zones)
{
	long pages = 0;
	int i;

	for (i = 0; i < zones->nr; i++)
		if (zones->zone[i].free > zones->zone[i].low)
			pages += zones->zone[i].free - zones->zone[i].low * 8 / 10;
	return pages > 0 ? pages * pr_page_size() : 0;
}

/* Zones that are short, with something that would be reported otherwise. */
static long count_short(const struct pr_zones *zones, int order)
{
	long nr = 0;
	int i;

	for (i = 0; i < zones->nr; i++) {
		const struct pr_zone *zone = &zones->zone[i];

		nr += pr_supply(zone, order) == PR_SHORT &&
		      pr_eligible_pages(zone, zones->nr_orders, order) > zone->reported;
	}
	return nr;
}

/* Free pages of the zones that may be asked. */
static long spare_pages(const struct pr_zones *zones, int order)
{
	long pages = 0;
	int i;

	for (i = 0; i < zones->nr; i++)
		if (pr_supply(&zones->zone[i], order) <= PR_UNSURE)
			pages += zones->zone[i].free;
	return pages;
}

static int test_short_zones(size_t size)
{
	size_t unreported = 32UL << 20;
	int order = pr_number(PR_EFFECTIVE), result;
	struct pr_counters before, delta;
	struct pr_zones zones;
	char *mem = pr_take(size, MADV_HUGEPAGE);

	/* Blocks that could be reported, in zones that have become short. */
	pr_give(mem, unreported);
	before = pr_count();
	pr_read_zones(&zones);
	result = expect_flush(0);
	delta = since(&before);
	pr_give(mem + unreported, size - unreported);
	if (!count_short(&zones, order))
		return pr_skip("no zone could be made short of memory");
	return result || expect(&delta, PR_SKIP, count_short(&zones, order), LONG_MAX) ||
	       expect(&delta, PR_REPORT, 0, spare_pages(&zones, order));
}

static int test_skip(void)
{
	struct pr_zones zones;
	int result = pr_need_device();
	size_t size;

	if (result)
		return result;
	pr_knob(SCALE_FACTOR);
	pr_must_write(SCALE_FACTOR, HIGH_SCALE);
	pr_must_write(PR_FLUSH, "all");
	pr_read_zones(&zones);
	size = too_much(&zones);
	if (size > FILL_AT_MOST || size < 64UL << 20)
		result = pr_skip("%zu MiB would have to be filled", size >> 20);
	else
		result = test_short_zones(size);
	pr_knob_back(SCALE_FACTOR);
	return result;
}

static int test_fail(void)
{
	struct pr_counters before, delta;
	int result = pr_need_sample("");
	long errors;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	pr_take_and_give(pr_some_memory());
	errors = pr_sample_stat("errors");
	before = pr_count();
	pr_sample_set("fail_percent", 100);
	result = expect_flush(-EIO);
	delta = since(&before);
	pr_sample_set("fail_percent", 0);
	errors = pr_sample_stat("errors") - errors;
	return result || expect(&delta, PR_CALL, errors, errors) ||
	       expect(&delta, PR_FAIL, errors, LONG_MAX) || expect(&delta, PR_REPORT, 0, 0);
}

/* The driver's count of what it was told, from its first report on. */
static int test_sample_agrees(void)
{
	struct pr_counters before = pr_count(), delta;
	int result = pr_need_sample("order=3 capacity=7 fail_every=5");
	int i;

	if (result)
		return result;
	before = pr_count();
	for (i = 0; i < 10; i++) {
		pr_take_and_give(pr_some_memory() / 4);
		pr_flush("all");
	}
	pr_sample_set("fail_every", 0);
	pr_must_write(PR_FLUSH, "all");
	delta = since(&before);
	if (delta.of[PR_REPORT] != pr_sample_stat("pages"))
		return pr_fail("pgreport grew by %ld, the driver took %ld pages",
			       delta.of[PR_REPORT], pr_sample_stat("pages"));
	if (delta.of[PR_CALL] != pr_sample_stat("reports"))
		return pr_fail("page_reporting_call grew by %ld, the driver was called %ld times",
			       delta.of[PR_CALL], pr_sample_stat("reports"));
	if (!pr_sample_stat("errors") != !delta.of[PR_FAIL])
		return pr_fail("pgreport_fail grew by %ld, the driver failed %ld times",
			       delta.of[PR_FAIL], pr_sample_stat("errors"));
	return expect(&delta, PR_FAIL, pr_sample_stat("errors"), LONG_MAX);
}

/* A device that saw no smaller order: no smaller block is reported. */
static int test_gauge_order(void)
{
	int result = pr_need_sample(""), order = pr_max_order() - 1;
	char text[16];

	if (result)
		return result;
	snprintf(text, sizeof(text), "%d", order);
	pr_must_write(PR_ORDER, text);
	pr_take_and_give(pr_some_memory());
	pr_must_write(PR_FLUSH, "all");
	return pr_check_gauge(order);
}

static int test_clear(void)
{
	struct pr_counters before, delta;
	int result = pr_need_sample(""), err;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	err = pr_sample_unload();
	if (err)
		return pr_fail("unload the driver: %s", strerror(-err));
	delta = since(&before);
	if (before.of[PR_GAUGE] + delta.of[PR_GAUGE])
		return pr_fail("%ld pages are reported, to nobody",
			       before.of[PR_GAUGE] + delta.of[PR_GAUGE]);
	return expect(&delta, PR_CLEAR, before.of[PR_GAUGE] / 2, before.of[PR_GAUGE]) ||
	       expect(&delta, PR_REPORT, 0, 0);
}

static const struct pr_case cases[] = {
	{ "all counters are there", test_exist },
	{ "the gauge is the same in vmstat, zoneinfo and the nodes", pr_check_sums },
	{ "the gauge agrees with the free lists", test_gauge },
	{ "every reported page is accounted for", pr_check_identity },
	{ "without a device nothing is counted", test_no_device },
	{ "a report counts, in pages, calls and passes", test_report },
	{ "an allocation of reported memory counts", test_refault },
	{ "merging reported blocks counts", test_merge },
	{ "a pass by itself counts", test_pass },
	{ "zones that are short of memory are left alone, which counts", test_skip },
	{ "pages that the driver refused count", test_fail },
	{ "the driver counts the same", test_sample_agrees },
	{ "no block below the order is reported", test_gauge_order },
	{ "unregistration clears all marks, which counts", test_clear },
	{ "the gauge is the same everywhere after all this", pr_check_sums },
	{ "the gauge agrees with the free lists after all this", test_gauge },
	{ "every reported page is accounted for after all this", pr_check_identity },
};

int main(void)
{
	pr_start();
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_run(cases, ARRAY_SIZE(cases));
}
