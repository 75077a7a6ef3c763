// SPDX-License-Identifier: GPL-2.0
/*
 * page-reporting of tools/mm on the running kernel: it says what the files say, flushes, finds what
 * is wrong, and refuses bad input.
 */
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "page_reporting_util.h"

/* After so long without an answer, doctor says so. */
#define SLOW_MS		10000
#define SLACK_PAGES	(4L << 10)
#define MAX_WORDS	8
/* What status may take. */
#define STATUS_US	5000
#define NR_TIMED	25
#define NR_TRIES	12
/* Exit status. */
#define FINE		0
#define TROUBLE		1
#define BAD_INPUT	2

/* Here, as built in the kernel's tree, as installed. */
static const char * const places[] = {
	"./page-reporting", "../../../mm/page-reporting", "/usr/sbin/page-reporting",
};

static const char *tool;

/* What the last run printed, and its CPU time, of user and system. */
static char out[16384], err[1024];
static long cpu_us;

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t got;

	while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
		len += got;
	text[len] = '\0';
	close(fd);
}

static void become(const char **words, const int *to_out, const int *to_err)
{
	if (dup2(to_out[1], STDOUT_FILENO) < 0 || dup2(to_err[1], STDERR_FILENO) < 0)
		_exit(126);
	close(to_out[0]);
	close(to_err[0]);
	execv(tool, (char **)words);
	_exit(127);
}

/* Runs the tool with these words, the last of which is NULL: its exit status. */
static int run(const char *first, ...)
{
	const char *words[MAX_WORDS] = { "page-reporting", first };
	int to_out[2], to_err[2], status, i = 1;
	struct rusage usage;
	va_list args;
	pid_t child;

	va_start(args, first);
	while (words[i] && i < MAX_WORDS - 1)
		words[++i] = va_arg(args, const char *);
	va_end(args);
	fflush(stdout);
	if (pipe(to_out) || pipe(to_err))
		ksft_exit_fail_perror("pipe");
	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (!child)
		become(words, to_out, to_err);
	close(to_out[1]);
	close(to_err[1]);
	read_all(to_out[0], out, sizeof(out));
	read_all(to_err[0], err, sizeof(err));
	if (wait4(child, &status, 0, &usage) != child || !WIFEXITED(status))
		ksft_exit_fail_msg("%s did not exit\n", tool);
	cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L +
		 usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	return WEXITSTATUS(status);
}

static int expect_status(int got, int expected)
{
	if (got == expected)
		return KSFT_PASS;
	return pr_fail("exit status %d, not %d: %s%s", got, expected, out, err);
}

static int expect_out(const char *text)
{
	return strstr(out, text) ? KSFT_PASS : pr_fail("no '%s' in: %s", text, out);
}

/* The number after a key of the last output, which is JSON. */
static long long number_of(const char *key)
{
	char quoted[64], *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
	at = strstr(out, quoted);
	if (!at)
		ksft_exit_fail_msg("no %s in: %s\n", key, out);
	return strtoll(at + strlen(quoted), NULL, 10);
}

static int expect_finding(const char *check, const char *result)
{
	char text[96];

	snprintf(text, sizeof(text), "{\"check\": \"%s\", \"result\": \"%s\"", check, result);
	return expect_out(text);
}

static int test_status(void)
{
	char device[256];
	long long before, after, said;

	pr_read(PR_DEVICE, device, sizeof(device));
	before = pr_count().of[PR_GAUGE];
	if (run("--json", "status", NULL))
		return pr_fail("status: %s", err);
	said = number_of("reported_bytes") / (long)pr_page_size();
	after = pr_count().of[PR_GAUGE];
	if (said < (before < after ? before : after) - SLACK_PAGES ||
	    said > (before > after ? before : after) + SLACK_PAGES)
		return pr_fail("%lld pages reported, not %lld to %lld", said, before, after);
	if (strstr(out, "\"refaulted_bytes_per_s\""))
		return pr_fail("the average since boot is no present rate: %s", out);
	if (number_of("order") != pr_number(PR_EFFECTIVE) ||
	    number_of("delay_ms") != pr_number(PR_DELAY) || number_of("report_age_ms"))
		return pr_fail("order, delay or age are others: %s", out);
	return expect_out(device) || expect_out(pr_has_device() ? "\"on\": true" : "\"on\": false");
}

static int by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* CPU times of the runs of one word, sorted. */
static void time_runs(const char *word, long us[NR_TIMED])
{
	size_t i;

	for (i = 0; i < NR_TIMED; i++) {
		if (run(word, NULL))
			ksft_exit_fail_msg("%s: %s\n", word, err);
		us[i] = cpu_us;
	}
	qsort(us, NR_TIMED, sizeof(us[0]), by_value);
}

/*
 * The CPU time of the process, as status does not sleep, and others may run in between. --help does
 * nothing but start, so the difference is what status itself takes, to read its files and print.
 *
 * The clock of an emulated machine also counts the time in which the host runs something else, which
 * may be all of a second, and now and then it stands still. So the limit is neither for the medians,
 * which are printed, nor for the fastest runs, but for the lower quartiles, and what is too slow is
 * measured again, up to NR_TRIES times. Such a machine takes milliseconds for a start, or tens with a
 * sanitizer in its kernel. There, status may take three times as long.
 */
static int test_status_is_quick(void)
{
	long start_us[NR_TIMED], us[NR_TIMED], quartile_us, start_quartile_us, limit_us;
	int tries = 0;

	do {
		time_runs("--help", start_us);
		time_runs("status", us);
		start_quartile_us = start_us[NR_TIMED / 4];
		quartile_us = us[NR_TIMED / 4];
		limit_us = 3 * start_quartile_us > STATUS_US ? 3 * start_quartile_us : STATUS_US;
	} while (quartile_us - start_quartile_us > limit_us && ++tries < NR_TRIES);
	ksft_print_msg("status: %ld us of CPU time, of which %ld to start; lower quartiles: %ld, %ld\n",
		       us[NR_TIMED / 2], start_us[NR_TIMED / 2], quartile_us, start_quartile_us);
	if (tries == NR_TRIES)
		return pr_fail("more than %ld us", limit_us);
	return KSFT_PASS;
}

static int test_watch(void)
{
	int result = expect_status(run("watch", "--count", "2", NULL), FINE);
	char *second = strchr(out, '\n');

	if (result)
		return result;
	if (!second || strncmp(second + 1, "free ", 5) || strchr(second + 1, '\n')[1])
		return pr_fail("not two lines: %s", out);
	return KSFT_PASS;
}

static int test_flush(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_take_and_give(pr_some_memory());
	result = expect_status(run("--json", "flush", NULL), FINE);
	if (!result && number_of("flushed_bytes") / (long)pr_page_size() != pr_last_flush().pages)
		result = pr_fail("the last flush had %ld pages: %s", pr_last_flush().pages, out);
	return result || pr_check_all_reported(SLACK_PAGES) ||
	       expect_status(run("flush", "1M", NULL), FINE) || expect_out(" MiB reported in ");
}

static int test_flush_again(void)
{
	int result = pr_need_device();
	long long had;

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	had = pr_count().of[PR_GAUGE] * (long long)pr_page_size();
	result = expect_status(run("--json", "flush", "again", NULL), FINE);
	if (!result && number_of("flushed_bytes") < had / 2)
		result = pr_fail("%lld bytes were reported before: %s", had, out);
	return result || pr_check_all_reported(SLACK_PAGES);
}

/* With a device, memory that was reported is used within this second. */
static int test_present_rate(void)
{
	bool has_device = pr_has_device();
	long long present;
	pid_t child;
	int result;

	if (has_device)
		pr_must_write(PR_FLUSH, "all");
	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (!child) {
		pr_sleep_ms(300);
		pr_take_and_give(pr_some_memory());
		_exit(0);
	}
	result = expect_status(run("--json", "status", "--over", "1", NULL), FINE);
	if (pr_join(child, 60000))
		result = pr_fail("cannot use memory");
	if (result)
		return result;
	present = number_of("refaulted_bytes_per_s");
	if (has_device ? present <= 0 : present)
		return pr_fail("%lld bytes a second now: %s", present, out);
	return expect_out("\"refaulted_bytes_per_s_since_boot\": ");
}

static int test_flush_without_device(void)
{
	if (pr_has_device())
		return pr_skip("there is a device");
	return expect_status(run("flush", NULL), TROUBLE) ||
	       (strstr(err, "there is no device") ? KSFT_PASS : pr_fail("%s", err));
}

static int test_bad_input(void)
{
	static const char * const words[] = { "0", "x", "12x", "ALL", "16E" };
	char before[128], after[128];
	size_t i;

	pr_read(PR_FLUSH, before, sizeof(before));
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (run("flush", words[i], NULL) != BAD_INPUT || out[0] ||
		    strchr(err, '\n') != err + strlen(err) - 1)
			return pr_fail("flush %s: %s%s", words[i], out, err);
	}
	pr_read(PR_FLUSH, after, sizeof(after));
	return strcmp(before, after) ? pr_fail("it flushed: %s", after) : KSFT_PASS;
}

static int test_doctor(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	pr_must_write(PR_FLUSH, "all");
	run("--json", "doctor", NULL);
	/* The delay is an hour meanwhile. */
	return expect_finding("kernel", "ok") || expect_finding("balloon", "ok") ||
	       expect_finding("answer", "ok") || expect_finding("share", "ok") ||
	       expect_finding("delay", "note");
}

static int test_doctor_without_device(void)
{
	if (pr_has_device())
		return pr_skip("there is a device");
	/* There is no balloon, or it has no driver, or does not take reports. */
	return expect_status(run("--json", "doctor", NULL), TROUBLE) ||
	       expect_finding("kernel", "ok") || expect_out("\"result\": \"bad\"");
}

/* A driver that does not get an answer from its host. */
static int test_doctor_sees_silence(void)
{
	int result = pr_need_sample("");
	pid_t child;

	if (result)
		return result;
	pr_sample_set("delay_ms", 60000);
	child = pr_flush_in_child("all");
	result = pr_await_text(PR_STATE, "active", 10000) ? KSFT_PASS : pr_fail("no pass began");
	pr_sleep_ms(SLOW_MS + 500);
	result = result || expect_status(run("--json", "doctor", NULL), TROUBLE) ||
		 expect_finding("answer", "bad");
	pr_sample_set("delay_ms", 0);
	if (pr_join(child, 60000))
		result = pr_fail("the flush failed");
	return result;
}

static int test_doctor_on_a_process(void)
{
	char pid[16];
	int status;

	if (access("/proc/self/smaps_rollup", F_OK))
		return pr_skip("no CONFIG_PROC_PAGE_MONITOR");
	snprintf(pid, sizeof(pid), "%d", getpid());
	status = run("--json", "doctor", "--host", pid, NULL);
	if (status == BAD_INPUT)
		return pr_fail("%s", err);
	return expect_out("page_reporting_") || expect_finding("resident", "ok") ||
	       expect_finding("vfio", "ok");
}

static const struct pr_case cases[] = {
	{ "flush says that there is no device", test_flush_without_device },
	{ "doctor says that there is no device", test_doctor_without_device },
	{ "status says what the files say", test_status },
	{ "status is quick", test_status_is_quick },
	{ "watch prints a line a second", test_watch },
	{ "flush reports all that is free", test_flush },
	{ "flush again reports what is reported", test_flush_again },
	{ "status --over has the present rate of refaults", test_present_rate },
	{ "bad input is one line and exit status 2", test_bad_input },
	{ "doctor finds nothing wrong with a device that reports", test_doctor },
	{ "doctor sees a host that does not answer", test_doctor_sees_silence },
	{ "doctor looks at a process", test_doctor_on_a_process },
};

int main(void)
{
	size_t i;

	pr_start();
	for (i = 0; i < ARRAY_SIZE(places) && !tool; i++)
		if (!access(places[i], X_OK))
			tool = places[i];
	if (!tool)
		ksft_exit_skip("no page-reporting: make -C tools/mm\n");
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_run(cases, ARRAY_SIZE(cases));
}
