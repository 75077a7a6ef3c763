// SPDX-License-Identifier: GPL-2.0
/*
 * What the files of free page reporting take and refuse: one write of every row, the error that is
 * expected, and the value afterwards, which is the old one if the write was refused.
 */
#include <unistd.h>

#include "page_reporting_util.h"

/* More than fits in a buffer of the kernel's for such files. */
#define LONG_TEXT	5000

/* Refused by every file that takes a number. */
static const char * const no_numbers[] = {
	"\n", " ", "\t", "\n9", "9\n9", "9\n\n", " 9", "9 ", "9\t", "9 9",
	"abc", "x9", "9x", "0x", "0xg", "9k", "9M", "1e1", "1.5", "1,5", "9,",
	"--9", "+-9", "+", "-", "-2", "-9", "08", "NaN", "none", "default", "all",
	"-9223372036854775809", "4294967296", "18446744073709551615",
	"18446744073709551616", "99999999999", "99999999999999999999", "0x100000000",
};

/* 2^32 and 2^64 plus something harmless, and numbers beyond any order. */
static const char * const no_orders[] = {
	"-01", "-1 ", "-1\n\n", "4294967295", "4294967305", "18446744073709551625",
	"64", "0x40", "0100", "255", "256", "1000",
};

static const char * const no_delays[] = {
	"4294967297", "4294969296", "18446744073709553616",
	"2000ms", "2s", "1h", "-01", "-1 ",
};

static const char * const no_flushes[] = {
	"\n", " ", "\t", "0", "0\n", "00", "0x0", "0k", "0G", "-1", "-0", "-4096", "-512M", "+512M",
	"abc", "ALL", "All", "al", "allx", "all all", "all,", "compact all", "Compact", "all\n\n",
	"\nall", "all 512M",
	"M", "k", "G", "512MB", "512Mi", "512M M", "512MM", "1G1", "512M\n\n", "5 12M",
	"AGAIN", "Again", "agai", "againx", "again again", "again 512M", "all again", "again\n\n",
	"0xg", "1.5G", "1,5G", "--1", "18446744073709551616", "99999999999999999999", "16E",
	"17179869184G", "18014398509481984k", "18446744073709551615", "none", "NaN", "0x1000", "0x",
};

/* Something that is accepted, and what it reads then. */
struct good {
	const char *text;
	const char *reads;
};

static const struct good good_delays[] = {
	{ "0", "0" }, { "1", "1" }, { "20", "20" }, { "2000", "2000" }, { "3600000", "3600000" },
	{ "-1", "-1" }, { "-1\n", "-1" },
	/* More than an hour is an hour. */
	{ "3600001", "3600000" }, { "4294967295", "3600000" }, { "0x36ee81\n", "3600000" },
	{ "250\n", "250" }, { "+5", "5" }, { "0x10", "16" }, { "010", "8" }, { "0000000002", "2" },
};

static const char * const no_switches[] = {
	"\n", " ", "\t", "2", "-1", "abc", "x", "compact", "always", "pays",
};

static const struct good good_switches[] = {
	{ "N", "N" }, { "Y", "Y" }, { "0", "N" }, { "1", "Y" }, { "n\n", "N" }, { "y\n", "Y" },
	{ "off", "N" }, { "on\n", "Y" },
};

static const char * const good_flushes[] = {
	"1", "4096", "4095", "64k", "1M\n", "01000000", "1G", "1g", "1T", "1P", "15E", "all",
	"all\n", "again", "again\n", "compact", "compact\n",
};

static const char * const read_only[] = { PR_DEVICE, PR_EFFECTIVE, PR_STATE, PR_AGE, PR_COMPACTS };

static char long_text[LONG_TEXT + 1];

/* One line of the report */

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* As in C, and not more of it than fits on a line. */
static const char *quoted(const char *text)
{
	static char quote[80];
	size_t len = 0;

	for (; *text && len < 40; text++) {
		if (*text == '\n')
			len += sprintf(quote + len, "\\n");
		else if (*text == '\t')
			len += sprintf(quote + len, "\\t");
		else
			quote[len++] = *text;
	}
	sprintf(quote + len, "%s", *text ? "..." : "");
	return quote;
}

static void result(int got, int expected, bool right, const char *path, const char *verb,
		   const char *text)
{
	if (got != expected)
		ksft_print_msg("got %s, expected %s\n", strerror(-got), strerror(-expected));
	ksft_test_result(got == expected && right, "%s %s '%s'\n", base_name(path), verb,
			 quoted(text));
}

/* The state changes by itself: for that file, only the error counts. */
static bool is_same(const char *path, const char *before, const char *after)
{
	if (!strcmp(path, PR_STATE) || !strcmp(before, after))
		return true;
	ksft_print_msg("read '%s', reads '%s'\n", before, after);
	return false;
}

static void test_refused(const char *path, const char *text, int expected)
{
	char before[256], after[256];
	int got;

	pr_read(path, before, sizeof(before));
	got = pr_write(path, text);
	pr_read(path, after, sizeof(after));
	result(got, expected, is_same(path, before, after), path, "refuses", text);
}

static void test_accepted(const char *path, const char *text, const char *reads)
{
	char after[256];
	int got = pr_write(path, text);

	pr_read(path, after, sizeof(after));
	if (strcmp(after, reads))
		ksft_print_msg("reads '%s', expected '%s'\n", after, reads);
	result(got, 0, !strcmp(after, reads), path, "accepts", text);
}

/* A write of no bytes does not reach the file's own code: it changes nothing and is no error. */
static void test_no_bytes(const char *path)
{
	char before[256], after[256];
	int got;

	pr_read(path, before, sizeof(before));
	got = pr_write_bytes(path, "", 0);
	pr_read(path, after, sizeof(after));
	result(got, 0, is_same(path, before, after), path, "ignores", "");
}

/* Numbers */

static void test_bad(const char *path, const char * const *rows, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		test_refused(path, rows[i], -EINVAL);
}

#define NR_COMMON (ARRAY_SIZE(no_numbers) + 2)

static void test_common(const char *path)
{
	test_bad(path, no_numbers, ARRAY_SIZE(no_numbers));
	test_refused(path, long_text, -EINVAL);
	test_no_bytes(path);
}

/* Every order that there is, written in several ways, and the first that there is not. */
#define NR_GOOD_ORDER_FORMS	3
#define NR_BAD_ORDER_FORMS	3
#define NR_NO_ORDER_FORMS	2

static size_t nr_order_rows(int max_order)
{
	return NR_COMMON + ARRAY_SIZE(no_orders) + NR_BAD_ORDER_FORMS +
	       NR_GOOD_ORDER_FORMS * (max_order + 1) + NR_NO_ORDER_FORMS;
}

static void test_order(int order)
{
	char text[16], reads[16];

	snprintf(reads, sizeof(reads), "%d", order);
	test_accepted(PR_ORDER, reads, reads);
	snprintf(text, sizeof(text), "%#x\n", order);
	test_accepted(PR_ORDER, text, reads);
	snprintf(text, sizeof(text), "%#o", order);
	test_accepted(PR_ORDER, text, reads);
}

static void test_first_bad_order(int order)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", order);
	test_refused(PR_ORDER, text, -EINVAL);
	snprintf(text, sizeof(text), "%#x", order);
	test_refused(PR_ORDER, text, -EINVAL);
	snprintf(text, sizeof(text), "%d\n", order);
	test_refused(PR_ORDER, text, -EINVAL);
}

/* The choice is the device's again, or else the kernel's; there is none without a device. */
static void test_no_order(void)
{
	int got = pr_write(PR_ORDER, "-1"), order = pr_number(PR_ORDER);
	bool right = pr_has_device() ? order >= 0 : order == -1;
	char reads[16];

	if (!right)
		ksft_print_msg("reads %d\n", order);
	result(got, 0, right, PR_ORDER, "accepts", "-1");
	snprintf(reads, sizeof(reads), "%d", order);
	test_accepted(PR_ORDER, "-1\n", reads);
}

static void test_orders(int max_order)
{
	int order;

	test_common(PR_ORDER);
	test_bad(PR_ORDER, no_orders, ARRAY_SIZE(no_orders));
	test_first_bad_order(max_order + 1);
	for (order = max_order; order >= 0; order--)
		test_order(order);
	test_no_order();
	pr_knob_back(PR_ORDER);
}

static size_t nr_delay_rows(void)
{
	return NR_COMMON + ARRAY_SIZE(no_delays) + ARRAY_SIZE(good_delays);
}

static void test_delays(void)
{
	size_t i;

	test_common(PR_DELAY);
	test_bad(PR_DELAY, no_delays, ARRAY_SIZE(no_delays));
	for (i = 0; i < ARRAY_SIZE(good_delays); i++)
		test_accepted(PR_DELAY, good_delays[i].text, good_delays[i].reads);
	pr_must_write(PR_DELAY, PR_NEVER_MS);
}

/* A switch, where pages can be moved at all */

static bool has_compact(void)
{
	return !access(PR_COMPACT, F_OK);
}

static size_t nr_compact_rows(void)
{
	return has_compact() ? ARRAY_SIZE(no_switches) + ARRAY_SIZE(good_switches) + 1 : 0;
}

static void test_compact(void)
{
	size_t i;

	if (!has_compact())
		return;
	pr_knob(PR_COMPACT);
	test_bad(PR_COMPACT, no_switches, ARRAY_SIZE(no_switches));
	for (i = 0; i < ARRAY_SIZE(good_switches); i++)
		test_accepted(PR_COMPACT, good_switches[i].text, good_switches[i].reads);
	test_no_bytes(PR_COMPACT);
	pr_knob_back(PR_COMPACT);
}

/* The flush file, which reads what the last flush did */

static size_t nr_flush_rows(void)
{
	return ARRAY_SIZE(no_flushes) + 2 + ARRAY_SIZE(good_flushes);
}

static void test_flush_accepted(const char *text)
{
	int expected = pr_has_device() ? 0 : -ENODEV;

	if (expected)
		test_refused(PR_FLUSH, text, expected);
	else
		result(pr_flush(text), 0, !pr_last_flush().error, PR_FLUSH, "accepts", text);
}

static void test_flushes(void)
{
	size_t i;

	/* Something to keep: before the first flush, the file reads zeroes. */
	if (pr_has_device()) {
		pr_take_and_give(pr_some_memory());
		pr_must_write(PR_FLUSH, "all");
	}
	test_bad(PR_FLUSH, no_flushes, ARRAY_SIZE(no_flushes));
	test_refused(PR_FLUSH, long_text, -EINVAL);
	test_no_bytes(PR_FLUSH);
	for (i = 0; i < ARRAY_SIZE(good_flushes); i++)
		test_flush_accepted(good_flushes[i]);
}

/* Files that nobody can write to, root included */

static size_t nr_read_only_rows(void)
{
	return ARRAY_SIZE(read_only) * ARRAY_SIZE(no_flushes);
}

static void test_read_only(const char *path)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no_flushes); i++)
		test_refused(path, no_flushes[i], -EACCES);
}

int main(void)
{
	int max_order;
	size_t i;

	pr_start();
	max_order = pr_max_order();
	memset(long_text, '9', LONG_TEXT);
	ksft_set_plan(nr_order_rows(max_order) + nr_delay_rows() + nr_flush_rows() +
		      nr_compact_rows() + nr_read_only_rows());

	pr_must_write(PR_DELAY, PR_NEVER_MS);
	for (i = 0; i < ARRAY_SIZE(read_only); i++)
		test_read_only(read_only[i]);
	test_flushes();
	test_orders(max_order);
	test_delays();
	test_compact();
	ksft_finished();
}
