// SPDX-License-Identifier: GPL-2.0
/*
 * The files of free page reporting tell the truth, and a change of the delay or of the order takes
 * effect when it should.
 */
#include <unistd.h>

#include "page_reporting_util.h"

#define SAMPLE_NAME	"sample_report [" PR_SAMPLE "]"
/* The driver may not be ready for so long after it has registered. */
#define NOT_READY_MS	2000
/* For what should happen at once, on a slow machine. */
#define PROMPT_MS	10000
/* What others may free while a test looks: a few of the largest blocks. */
#define SLACK_PAGES	(4L << 10)

static int expect_text(const char *path, const char *expected)
{
	char found[256];

	if (pr_await_text(path, expected, PROMPT_MS))
		return KSFT_PASS;
	pr_read(path, found, sizeof(found));
	return pr_fail("%s reads '%s', expected '%s'", path, found, expected);
}

static int expect_no_pass_since(const struct pr_counters *before)
{
	long passes = pr_count().of[PR_PASS] - before->of[PR_PASS];

	return passes ? pr_fail("%ld passes ran", passes) : KSFT_PASS;
}

/* A pass is asked for, and does not come: all is reported, some is freed, the delay is an hour. */
static int request_pass(void)
{
	pr_must_write(PR_FLUSH, "all");
	pr_take_and_give(pr_some_memory());
	return expect_text(PR_STATE, "requested");
}

static int test_none(void)
{
	if (pr_has_device())
		return pr_skip("there is a device");
	return expect_text(PR_DEVICE, "none") || expect_text(PR_STATE, "none") ||
	       expect_text(PR_COMPACTS, "none") ||
	       (pr_number(PR_EFFECTIVE) == pr_number(PR_ORDER) ? KSFT_PASS :
		pr_fail("the order is %ld, the parameter says %ld", pr_number(PR_EFFECTIVE),
			pr_number(PR_ORDER)));
}

static bool is_state(const char *text)
{
	return !strcmp(text, "idle") || !strcmp(text, "requested") || !strcmp(text, "active");
}

static int test_device(void)
{
	int result = pr_need_device(), order;
	char device[256], state[256];

	if (result)
		return result;
	pr_read(PR_DEVICE, device, sizeof(device));
	pr_read(PR_STATE, state, sizeof(state));
	order = pr_number(PR_EFFECTIVE);
	ksft_print_msg("device %s, state %s, order %d\n", device, state, order);
	if (!device[0] || strstr(device, "0x") || !is_state(state))
		return pr_fail("device '%s', state '%s'", device, state);
	if (order < 0 || order > pr_max_order())
		return pr_fail("order %d with a device", order);
	return KSFT_PASS;
}

static int test_sample(void)
{
	int result = pr_need_sample("");

	if (result)
		return result;
	result = expect_text(PR_DEVICE, SAMPLE_NAME);
	if (pr_sample_unload())
		return pr_fail("cannot unload the driver");
	return result || expect_text(PR_DEVICE, "none") || expect_text(PR_STATE, "none");
}

static int test_order(void)
{
	int result = pr_need_device(), order;
	char text[16];

	if (result)
		return result;
	for (order = pr_max_order(); order >= 0 && !result; order--) {
		snprintf(text, sizeof(text), "%d", order);
		pr_must_write(PR_ORDER, text);
		result = expect_text(PR_ORDER, text) || expect_text(PR_EFFECTIVE, text);
	}
	pr_knob_back(PR_ORDER);
	return result;
}

/* Drivers compare with the order while a report is under way. It shows at once, and has to wait. */
static int test_order_waits(void)
{
	int result = pr_need_sample("");
	pid_t child;

	if (result)
		return result;
	pr_must_write(PR_ORDER, "9");
	pr_take_and_give(pr_some_memory());
	pr_sample_set("delay_ms", 60000);
	child = pr_flush_in_child("all");
	result = expect_text(PR_STATE, "active");
	pr_must_write(PR_ORDER, "8");
	result = result || expect_text(PR_ORDER, "8") || expect_text(PR_EFFECTIVE, "8");
	pr_sample_set("delay_ms", 0);
	if (pr_join(child, 60000))
		result = pr_fail("the flush failed");
	pr_must_write(PR_FLUSH, "all");
	result = result || expect_text(PR_EFFECTIVE, "8") || pr_check_all_reported(SLACK_PAGES);
	pr_knob_back(PR_ORDER);
	return result;
}

/* -1 gives the choice back to the driver. */
static int test_order_back(void)
{
	int result = pr_need_sample("order=7");

	if (result)
		return result;
	pr_must_write(PR_ORDER, "3");
	result = expect_text(PR_ORDER, "3") || expect_text(PR_EFFECTIVE, "3");
	pr_must_write(PR_ORDER, "-1");
	result = result || expect_text(PR_ORDER, "7") || expect_text(PR_EFFECTIVE, "7");
	pr_must_write(PR_FLUSH, "all");
	result = result || expect_text(PR_EFFECTIVE, "7") || pr_check_gauge(7);
	pr_knob_back(PR_ORDER);
	return result;
}

/* What a script does that sets both for a while. */
static void set_for_a_while(void)
{
	char order[16], delay[16];

	pr_read(PR_ORDER, order, sizeof(order));
	pr_read(PR_DELAY, delay, sizeof(delay));
	pr_must_write(PR_ORDER, "0");
	pr_must_write(PR_DELAY, "100");
	pr_must_write(PR_ORDER, order);
	pr_must_write(PR_DELAY, delay);
}

/* Not even the next device, which asks for another order, sees that it was there. */
static int test_restored(void)
{
	int result = pr_need_sample("order=7");

	if (result)
		return result;
	pr_must_write(PR_DELAY, "-1");
	set_for_a_while();
	result = expect_text(PR_ORDER, "7") || expect_text(PR_DELAY, "-1");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_must_write(PR_FLUSH, "all");
	result = result || expect_text(PR_EFFECTIVE, "7") || pr_check_gauge(7);
	return result || pr_need_sample("order=5") || expect_text(PR_ORDER, "5") ||
	       expect_text(PR_EFFECTIVE, "5");
}

static int test_states(void)
{
	int result = pr_need_sample("");
	pid_t child;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	result = expect_text(PR_STATE, "idle");
	pr_take_and_give(pr_some_memory());
	result = result || expect_text(PR_STATE, "requested");
	pr_sample_set("delay_ms", 60000);
	child = pr_flush_in_child("all");
	result = result || expect_text(PR_STATE, "active");
	pr_sample_set("delay_ms", 0);
	if (pr_join(child, 60000))
		result = pr_fail("the flush failed");
	return result || expect_text(PR_STATE, "idle");
}

/* It grows while the driver waits for its host, and is 0 otherwise. */
static int test_age(void)
{
	int result = pr_need_sample("");
	long first, second;
	pid_t child;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	result = expect_text(PR_AGE, "0");
	pr_take_and_give(pr_some_memory());
	pr_sample_set("delay_ms", 60000);
	child = pr_flush_in_child("all");
	result = result || expect_text(PR_STATE, "active");
	pr_sleep_ms(500);
	first = pr_number(PR_AGE);
	pr_sleep_ms(500);
	second = pr_number(PR_AGE);
	pr_sample_set("delay_ms", 0);
	if (pr_join(child, 60000))
		result = pr_fail("the flush failed");
	if (!first || second < first + 400)
		result = pr_fail("a report that waits is %ld and, 500 ms later, %ld ms old", first,
				 second);
	return result || expect_text(PR_AGE, "0");
}

/* Each setting that keeps pages from being moved has its word. */
static int test_compacts(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	if (pr_reads(PR_COMPACTS, "unable"))
		return access(PR_COMPACT, F_OK) ? KSFT_PASS :
		       pr_fail("pages cannot be moved, and there is a parameter for it");
	if (pr_reads(PR_COMPACTS, "pageblock"))
		return pr_page_size() > 4096 ? KSFT_PASS :
		       pr_fail("with pages of %zu, a pageblock is too large", pr_page_size());
	pr_knob(PR_COMPACT);
	pr_must_write(PR_COMPACT, "Y");
	result = expect_text(PR_COMPACTS, "flush");
	pr_must_write(PR_DELAY, "-1");
	result = result || expect_text(PR_COMPACTS, "on");
	pr_must_write(PR_COMPACT, "N");
	result = result || expect_text(PR_COMPACTS, "off");
	pr_must_write(PR_ORDER, "4");
	result = result || expect_text(PR_COMPACTS, "order");
	pr_knob_back(PR_ORDER);
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_knob_back(PR_COMPACT);
	return result;
}

static int test_shorter_delay(void)
{
	int result = pr_need_device();
	struct pr_counters before;

	if (result)
		return result;
	result = request_pass();
	before = pr_count();
	pr_sleep_ms(1000);
	result = result || expect_no_pass_since(&before) || expect_text(PR_STATE, "requested");
	pr_must_write(PR_DELAY, "100");
	if (!result && !pr_await_counter(PR_PASS, before.of[PR_PASS] + 1, PROMPT_MS))
		result = pr_fail("no pass within 10 s of a delay of 100 ms");
	if (!result && !pr_await_counter(PR_REPORT, before.of[PR_REPORT] + 1, PROMPT_MS))
		result = pr_fail("nothing was reported");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	return result;
}

static int test_longer_delay(void)
{
	int result = pr_need_device();
	struct pr_counters before;

	if (result)
		return result;
	result = request_pass();
	before = pr_count();
	pr_must_write(PR_DELAY, "2000");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_sleep_ms(3500);
	return result || expect_no_pass_since(&before) || expect_text(PR_STATE, "requested");
}

/* A refused delay leaves the pass where it is. */
static int test_refused_delay(void)
{
	int result = pr_need_device();
	struct pr_counters before;

	if (result)
		return result;
	result = request_pass();
	before = pr_count();
	pr_write(PR_DELAY, "0x");
	pr_write(PR_DELAY, "");
	pr_write(PR_DELAY, "-2");
	pr_sleep_ms(500);
	return result || expect_no_pass_since(&before);
}

static int test_not_ready(void)
{
	int result = pr_need_sample("");
	long loaded_ms, reports;

	if (result)
		return result;
	/* Once more, as the time counts from here. */
	pr_sample_unload();
	pr_take_and_give(pr_some_memory());
	loaded_ms = pr_now_ms();
	if (pr_sample_load(""))
		return pr_fail("cannot load the driver again");
	pr_must_write(PR_DELAY, "1");
	pr_sleep_ms(NOT_READY_MS / 2);
	reports = pr_sample_stat("reports");
	if (reports && pr_now_ms() - loaded_ms < NOT_READY_MS)
		result = pr_fail("%ld reports within %d ms of registration", reports, NOT_READY_MS);
	if (!result && !pr_await_counter(PR_GAUGE, 1, PROMPT_MS))
		result = pr_fail("no report within 10 s of registration");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	return result;
}

static const struct pr_case cases[] = {
	{ "device and state say that there is no device", test_none },
	{ "device, state and order say something", test_device },
	{ "the device is the driver's callback and module", test_sample },
	{ "the order follows the parameter", test_order },
	{ "the order may change while a report is under way", test_order_waits },
	{ "-1 gives the choice of the order back", test_order_back },
	{ "what is saved and restored leaves no trace", test_restored },
	{ "the state is idle, requested, active and idle again", test_states },
	{ "a report has an age until the driver has answered", test_age },
	{ "whether pages are moved, or why not", test_compacts },
	{ "a shorter delay brings forward what is queued", test_shorter_delay },
	{ "a longer delay puts off what is queued", test_longer_delay },
	{ "a refused delay changes nothing", test_refused_delay },
	{ "no delay brings a report before the driver is ready", test_not_ready },
	{ "every reported page is accounted for after all this", pr_check_identity },
};

int main(void)
{
	pr_start();
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_run(cases, ARRAY_SIZE(cases));
}
