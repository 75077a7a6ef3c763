// SPDX-License-Identifier: GPL-2.0
/*
 * Report periodically the counters of free page reporting in /proc/vmstat. Another guest program
 * may run in parallel.
 *
 *   every=MS		time between two reports (1000)
 *   PROGRAM ARG ...	the other program; none by default
 *
 * Events: vmstat, with the counters under their names in /proc/vmstat and the page size; finished.
 * The program ends when the host sends the line "quit", or when the other program ends, and fails
 * if that failed.
 */
#include <poll.h>

#include "beside.h"
#include "vmstat.h"

static const char * const counters[] = {
	"nr_free_pages", "nr_free_reported", "pgreport", "pgreport_fail", "pgreport_refault",
	"pgreport_merge", "pgreport_clear", "page_reporting_pass", "page_reporting_call",
	"page_reporting_skip",
};

static long long counter(const char *text, const char *name)
{
	long long value = find_counter(text, name);

	if (value < 0) {
		report("event=error text=\"" VMSTAT " has no %s: a kernel without the counters\"",
		       name);
		exit(1);
	}
	return value;
}

static void report_counters(void)
{
	long long values[ARRAY_SIZE(counters)];
	char text[16384];
	size_t i;

	read_vmstat(text, sizeof(text));
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		values[i] = counter(text, counters[i]);
	printf("event=vmstat page_kib=%ld", sysconf(_SC_PAGESIZE) / 1024);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		printf(" %s=%lld", counters[i], values[i]);
	report(" t_ms=%lld", now_ms());
}

/* Whether the host said "quit", or closed the channel, within @ms milliseconds. */
static bool told_to_quit(long ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[32];
	ssize_t len;

	if (poll(&in, 1, ms) <= 0)
		return false;
	len = read(STDIN_FILENO, line, sizeof(line) - 1);
	if (len <= 0)
		return true;
	line[len] = '\0';
	if (strcmp(line, "quit\n"))
		usage(line, "the host may say quit");
	return true;
}

int main(int argc, char **argv)
{
	long every_ms = 1000;
	int program = 1;
	long long due;
	pid_t child;

	if (argc > 1 && is_option(argv[1], "every")) {
		every_ms = number(argv[1], argv[1] + strlen("every="), INT_MAX);
		program = 2;
	}
	report_counters();
	child = start_beside(argv + program);
	due = now_ms() + every_ms;
	while (works_beside(child) && !told_to_quit(due > now_ms() ? due - now_ms() : 0)) {
		if (now_ms() < due)
			continue;
		report_counters();
		due += every_ms;
	}
	stop_beside(child);
	report("event=finished t_ms=%lld", now_ms());
	return 0;
}
