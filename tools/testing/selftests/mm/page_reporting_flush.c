// SPDX-License-Identifier: GPL-2.0
/*
 * Flushing: what is free is reported when the write returns, or the write says why not.
 *
 * The delay is an hour meanwhile, so that nothing but a flush reports.
 */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "page_reporting_util.h"

/* What others may free while a test looks: a few of the largest blocks. */
#define SLACK_PAGES	(4L << 10)
#define NR_FLUSHERS	8
/* A driver that answers after so long, when a test interrupts it. */
#define SLOW_MS		4000
#define SOON_MS		300
/* How long something may take that need not wait for the driver, on a slow machine. */
#define PROMPT_MS	2500

static atomic_int nr_alarms;

static void count_alarm(int number)
{
	(void)number;
	nr_alarms++;
}

/* A signal in @ms, whose handler does nothing. */
static void alarm_in(long ms, int flags)
{
	struct itimerval timer = {
		.it_value = { ms / 1000, ms % 1000 * 1000 },
	};
	struct sigaction action = {
		.sa_handler = count_alarm,
		.sa_flags = flags,
	};

	nr_alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int expect_error(int got, int expected)
{
	if (got == expected)
		return KSFT_PASS;
	return pr_fail("flush: got %s, expected %s", strerror(-got), strerror(-expected));
}

/* The file says how the flush ended. */
static int expect_last(long least, long most, int error)
{
	struct pr_flushed last = pr_last_flush();

	if (last.pages >= least && last.pages <= most && last.error == error)
		return KSFT_PASS;
	return pr_fail("the last flush: %ld pages, error %d; expected %ld to %ld pages, error %d",
		       last.pages, last.error, least, most, error);
}

static long some_pages(void)
{
	return pr_some_memory() / pr_page_size();
}

static long pages_of(long bytes)
{
	return bytes / pr_page_size();
}

static long largest_block(void)
{
	return 1L << pr_max_order();
}

static void free_some(void)
{
	pr_take_and_give(pr_some_memory());
}

static void slow_driver(long ms)
{
	pr_sample_set("delay_ms", ms);
}

/*
 * The sample driver, and memory that it was not told of. What is reported to a driver that has just
 * been loaded waits until it is ready: so once without looking.
 */
static int prepare(const char *params)
{
	int result = pr_need_sample(params);

	if (result)
		return result;
	pr_flush("all");
	free_some();
	return KSFT_PASS;
}

/* Without a device */

static int test_no_device(void)
{
	char before[128], after[128];
	int got;

	if (pr_has_device())
		return pr_skip("there is a device");
	pr_read(PR_FLUSH, before, sizeof(before));
	got = pr_flush("all");
	pr_read(PR_FLUSH, after, sizeof(after));
	if (strcmp(before, after))
		return pr_fail("read '%s', reads '%s'", before, after);
	return expect_error(got, -ENODEV);
}

/* How much */

static int test_all(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	free_some();
	return expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES) ||
	       expect_last(1, LONG_MAX, 0);
}

static int test_twice(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	return expect_error(pr_flush("all"), 0) || expect_last(0, SLACK_PAGES, 0);
}

/* What the host had already is reported once more, and counts once as cleared. */
static int test_again(void)
{
	int result = pr_need_device();
	struct pr_counters before, after;
	long had;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	had = before.of[PR_GAUGE] / 2;
	result = expect_error(pr_flush("again"), 0) || expect_last(had, LONG_MAX, 0);
	after = pr_count();
	if (!result && after.of[PR_CLEAR] - before.of[PR_CLEAR] < had)
		result = pr_fail("of %ld reported pages, %ld were cleared", before.of[PR_GAUGE],
				 after.of[PR_CLEAR] - before.of[PR_CLEAR]);
	return result || pr_check_all_reported(SLACK_PAGES) || pr_check_identity();
}

/* One page of each EACH stays. */
#define EACH	8

static unsigned long stamp_of(size_t off)
{
	return 0x6672656570616765UL ^ off;
}

/* Memory in single pages, each with its place in it, of which most are given back. */
static char *scatter(size_t size)
{
	char *mem = pr_take(size, MADV_NOHUGEPAGE);
	size_t page = pr_page_size(), off;

	for (off = 0; off < size; off += EACH * page) {
		*(unsigned long *)(mem + off) = stamp_of(off);
		if (madvise(mem + off + page, (EACH - 1) * page, MADV_DONTNEED))
			ksft_exit_fail_msg("madvise: %s\n", strerror(errno));
	}
	return mem;
}

static int check_stamps(const char *mem, size_t size)
{
	size_t off, wrong = 0;

	for (off = 0; off < size; off += EACH * pr_page_size())
		wrong += *(const unsigned long *)(mem + off) != stamp_of(off);
	return wrong ? pr_fail("%zu pages have changed", wrong) : KSFT_PASS;
}

/* Half of what is left between the pages comes back, and each page has what was written to it. */
static int expect_compacted(const char *mem, size_t size)
{
	struct pr_counters before, after;
	long least = size / pr_page_size() / 2;

	pr_must_write(PR_FLUSH, "all");
	before = pr_count();
	if (pr_flush("compact"))
		return pr_fail("the flush failed");
	after = pr_count();
	if (after.of[PR_GAUGE] - before.of[PR_GAUGE] < least)
		return pr_fail("%ld pages more are reported, not %ld",
			       after.of[PR_GAUGE] - before.of[PR_GAUGE], least);
	if (pr_last_flush().moved != after.of[PR_MOVE] - before.of[PR_MOVE])
		return pr_fail("%ld pages moved, it says %ld",
			       after.of[PR_MOVE] - before.of[PR_MOVE], pr_last_flush().moved);
	if (after.of[PR_TRY] != after.of[PR_EMPTY] + after.of[PR_EMPTY_FAIL])
		return pr_fail("of %ld pageblocks, %ld were emptied and %ld not",
			       after.of[PR_TRY], after.of[PR_EMPTY], after.of[PR_EMPTY_FAIL]);
	return check_stamps(mem, size);
}

/* Needs a kernel that can move pages, and pageblocks that are worth it. */
static int need_compact(void)
{
	int result = pr_need_device();

	if (!result && (pr_reads(PR_COMPACTS, "unable") || pr_reads(PR_COMPACTS, "pageblock")))
		result = pr_skip("pages are not moved here");
	return result;
}

/* With the parameter set to this, and memory scattered, see what a flush does. */
static int with_compact(const char *value, int (*expect)(const char *mem, size_t size))
{
	size_t size = pr_some_memory();
	int result = need_compact();
	char *mem;

	if (result)
		return result;
	pr_knob(PR_COMPACT);
	pr_must_write(PR_COMPACT, value);
	mem = scatter(size);
	result = expect(mem, size);
	pr_give(mem, size);
	pr_knob_back(PR_COMPACT);
	return result;
}

static int test_compact(void)
{
	return with_compact("Y", expect_compacted);
}

/* Where it is off, a flush with it is one of all. */
static int expect_not_compacted(const char *mem, size_t size)
{
	int result = expect_error(pr_flush("compact"), 0) || pr_check_all_reported(SLACK_PAGES);

	if (pr_last_flush().moved)
		result = pr_fail("%ld pages moved", pr_last_flush().moved);
	return result || check_stamps(mem, size);
}

static int test_compact_off(void)
{
	return with_compact("N", expect_not_compacted);
}

static int test_order_0(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_ORDER, "0");
	free_some();
	result = expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES);
	pr_knob_back(PR_ORDER);
	return result;
}

static int test_size(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	free_some();
	return expect_error(pr_flush("8M"), 0) || expect_last(pages_of(8L << 20), LONG_MAX, 0);
}

/* One block a call: never more than a block too many. */
static int test_size_exact(void)
{
	long wanted = pages_of(64L << 20);
	int result = prepare("capacity=1");

	if (result)
		return result;
	return expect_error(pr_flush("64M"), 0) ||
	       expect_last(wanted, wanted + largest_block() - 1, 0) ||
	       expect_error(pr_flush("67108864\n"), 0) ||
	       expect_last(wanted, wanted + largest_block() - 1, 0);
}

static int test_size_rounded(void)
{
	int result = prepare("capacity=1");

	if (result)
		return result;
	return expect_error(pr_flush("1"), 0) || expect_last(1, largest_block(), 0);
}

static int test_size_beyond(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	free_some();
	return expect_error(pr_flush("1P"), 0) || pr_check_all_reported(SLACK_PAGES) ||
	       expect_last(some_pages() / 2, LONG_MAX, 0);
}

/* When it returns */

static int test_duration(void)
{
	int result = prepare("");
	struct pr_flushed last;
	long took_ms;

	if (result)
		return result;
	slow_driver(SOON_MS);
	took_ms = -pr_now_ms();
	result = expect_error(pr_flush("all"), 0);
	took_ms += pr_now_ms();
	slow_driver(0);
	last = pr_last_flush();
	if (last.duration_us / 1000 > took_ms || last.duration_us < SOON_MS * 900)
		return pr_fail("it says that it took %ld us, and took %ld ms", last.duration_us,
			       took_ms);
	return result || pr_check_all_reported(SLACK_PAGES);
}

/* Every batch waits, and the write waits for all of them. */
static int test_waits(void)
{
	int result = prepare("capacity=8");
	long reports;

	if (result)
		return result;
	slow_driver(100);
	reports = pr_sample_stat("reports");
	result = expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES);
	reports = pr_sample_stat("reports") - reports;
	slow_driver(0);
	if (reports < some_pages() / largest_block() / 8)
		return pr_fail("the driver got only %ld batches", reports);
	return result;
}

static int test_during_pass(void)
{
	int result = prepare("capacity=8");

	if (result)
		return result;
	slow_driver(200);
	pr_must_write(PR_DELAY, "0");
	result = pr_await_text(PR_STATE, "active", 10000) ? KSFT_PASS :
		 pr_fail("no pass began within 10 s");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	result = result || expect_error(pr_flush("all"), 0) ||
		 pr_check_all_reported(SLACK_PAGES);
	slow_driver(0);
	return result;
}

/* Signals */

/* Interrupts a flush of a driver that takes its time; returns what the write said. */
static int interrupt_flush(int flags, long slow_ms, long *took_ms)
{
	int err;

	slow_driver(slow_ms);
	alarm_in(SOON_MS, flags);
	*took_ms = -pr_now_ms();
	err = pr_flush("all");
	*took_ms += pr_now_ms();
	return err;
}

static int test_interrupt(void)
{
	int result = prepare(""), err;
	long took_ms;

	if (result)
		return result;
	err = interrupt_flush(0, SLOW_MS, &took_ms);
	slow_driver(0);
	if (took_ms > PROMPT_MS)
		return pr_fail("interrupted after %d ms, it returned after %ld", SOON_MS, took_ms);
	return expect_error(err, -EINTR) || expect_last(0, LONG_MAX, EINTR);
}

static int test_after_interrupt(void)
{
	int result = prepare("");
	long took_ms;

	if (result)
		return result;
	interrupt_flush(0, SLOW_MS, &took_ms);
	slow_driver(0);
	free_some();
	return expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES) ||
	       expect_last(1, LONG_MAX, 0);
}

static int test_restart(void)
{
	int result = prepare(""), err;
	long took_ms;

	if (result)
		return result;
	err = interrupt_flush(SA_RESTART, 3 * SOON_MS, &took_ms);
	slow_driver(0);
	if (!nr_alarms || took_ms < 3 * SOON_MS)
		return pr_fail("it took %ld ms, with %d signals", took_ms, nr_alarms);
	return expect_error(err, 0) || pr_check_all_reported(SLACK_PAGES);
}

static int test_kill(void)
{
	int result = prepare(""), status;
	pid_t child;

	if (result)
		return result;
	slow_driver(SLOW_MS);
	child = pr_flush_in_child("all");
	result = pr_await_text(PR_STATE, "active", 10000) ? KSFT_PASS :
		 pr_fail("the flush did not begin within 10 s");
	kill(child, SIGKILL);
	status = pr_join(child, PROMPT_MS);
	slow_driver(0);
	if (status != 128 + SIGKILL)
		return pr_fail("the process that flushes was killed, and has status %d", status);
	return result || expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES);
}

/* Several at a time */

static int test_interrupt_in_queue(void)
{
	int result = prepare(""), err;
	long took_ms;
	pid_t child;

	if (result)
		return result;
	slow_driver(SLOW_MS);
	child = pr_flush_in_child("all");
	pr_await_text(PR_STATE, "active", 10000);
	err = interrupt_flush(0, SLOW_MS, &took_ms);
	slow_driver(0);
	if (took_ms > PROMPT_MS)
		result = pr_fail("behind another, interrupted after %d ms, it returned after %ld",
				 SOON_MS, took_ms);
	return expect_error(-pr_join(child, 60000), 0) || result || expect_error(err, -EINTR);
}

static int join_all(const pid_t *children)
{
	int result = KSFT_PASS, i;

	for (i = 0; i < NR_FLUSHERS; i++) {
		int status = pr_join(children[i], 60000);

		if (status)
			result = pr_fail("flush %d ended with status %d", i, status);
	}
	return result;
}

static int test_concurrent(void)
{
	static const char * const what[] = { "all", "4M", "1", "1P" };
	pid_t children[NR_FLUSHERS];
	int result = pr_need_device(), i;

	if (result)
		return result;
	free_some();
	for (i = 0; i < NR_FLUSHERS; i++)
		children[i] = pr_flush_in_child(what[i % ARRAY_SIZE(what)]);
	for (i = 0; i < 4; i++)
		free_some();
	result = join_all(children);
	return result || expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES) ||
	       pr_check_identity();
}

/* The driver says no */

static int test_error(void)
{
	int result = prepare("fail_percent=100");

	if (result)
		return result;
	return expect_error(pr_flush("all"), -EIO) || expect_last(0, 0, EIO);
}

/* Every fifth of the batches is refused: the flush ends with the first of them. */
static int test_partial_error(void)
{
	long most = 8 * largest_block();
	int result = prepare("capacity=2 fail_every=5");

	if (result)
		return result;
	return expect_error(pr_flush("all"), -EIO) || expect_last(4, most, EIO) ||
	       expect_error(pr_flush("all"), -EIO) || expect_last(4, most, EIO);
}

/* A block that is refused alone is told of, and other lists get their turn. */
static int test_refused_block(void)
{
	int result = prepare("capacity=1 fail_every=5");

	if (result)
		return result;
	result = expect_error(pr_flush("all"), -EIO) || expect_last(4, LONG_MAX, EIO);
	pr_sample_set("fail_every", 0);
	return result || expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES);
}

/* What an error leads to, such as waiting for a minute, a flush does not wait for. */
static int test_after_errors(void)
{
	int result = prepare("fail_percent=100"), i;
	long took_ms;

	if (result)
		return result;
	for (i = 0; i < 5; i++)
		pr_flush("all");
	pr_sample_set("fail_percent", 0);
	took_ms = -pr_now_ms();
	result = expect_error(pr_flush("all"), 0) || pr_check_all_reported(SLACK_PAGES) ||
		 expect_last(1, LONG_MAX, 0);
	took_ms += pr_now_ms();
	if (took_ms > 2 * PROMPT_MS)
		return pr_fail("it took %ld ms", took_ms);
	return result;
}

/* The driver goes */

static int test_device_goes(void)
{
	int result = prepare("capacity=1"), err, status;
	pid_t child;

	if (result)
		return result;
	slow_driver(500);
	child = pr_flush_in_child("all");
	pr_await_text(PR_STATE, "active", 10000);
	err = pr_sample_unload();
	if (err)
		return pr_fail("unload the driver: %s", strerror(-err));
	status = pr_join(child, 10000);
	return expect_error(-status, -ENODEV) || expect_last(0, some_pages(), ENODEV) ||
	       expect_error(pr_flush("all"), -ENODEV);
}

/* Not even the flush that waits behind the one that is served. */
static int test_device_goes_for_all(void)
{
	pid_t children[NR_FLUSHERS];
	int result = prepare("capacity=1"), err, i;

	if (result)
		return result;
	slow_driver(500);
	for (i = 0; i < NR_FLUSHERS; i++)
		children[i] = pr_flush_in_child("all");
	pr_await_text(PR_STATE, "active", 10000);
	err = pr_sample_unload();
	if (err)
		return pr_fail("unload the driver: %s", strerror(-err));
	for (i = 0; i < NR_FLUSHERS; i++) {
		int status = pr_join(children[i], 10000);

		if (status != ENODEV)
			result = pr_fail("flush %d ended with status %d", i, status);
	}
	return result;
}

static const struct pr_case cases[] = {
	{ "without a device there is nothing to flush to", test_no_device },
	{ "all that is free is reported", test_all },
	{ "a second flush finds nothing", test_twice },
	{ "what is reported is reported again", test_again },
	{ "whole blocks are made of fragments, and nothing is lost", test_compact },
	{ "no page is moved where that is off", test_compact_off },
	{ "a size is reported", test_size },
	{ "a size is reported, and no more than a block beyond it", test_size_exact },
	{ "a byte is a block", test_size_rounded },
	{ "more than there is means all", test_size_beyond },
	{ "the duration is what it took", test_duration },
	{ "it waits for every batch", test_waits },
	{ "it takes over from a pass that runs", test_during_pass },
	{ "a signal interrupts it", test_interrupt },
	{ "the next flush is not interrupted", test_after_interrupt },
	{ "it goes on after a signal, with SA_RESTART", test_restart },
	{ "the process can be killed", test_kill },
	{ "a signal interrupts the wait for another flush", test_interrupt_in_queue },
	{ "several at a time all end well", test_concurrent },
	{ "an error of the driver is passed on", test_error },
	{ "an error of the driver ends it, and what was reported counts", test_partial_error },
	{ "a single block that the driver refuses is told of", test_refused_block },
	{ "it does not wait because of earlier errors", test_after_errors },
	{ "it ends when the device goes", test_device_goes },
	{ "those that wait end when the device goes", test_device_goes_for_all },
	{ "all that is free is reported, down to single pages", test_order_0 },
	{ "every reported page is accounted for after all this", pr_check_identity },
	{ "the gauge is the same everywhere after all this", pr_check_sums },
};

int main(void)
{
	pr_start();
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_run(cases, ARRAY_SIZE(cases));
}
