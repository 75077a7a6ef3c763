// SPDX-License-Identifier: GPL-2.0
/*
 * Report periodically what the guest's memory is used for, while another guest program runs.
 *
 *   every=MS		time between two reports
 *   PROGRAM ARG ...	the other program; it reads the progress channel
 *
 * Event: memory, in KiB: used; cache, the page cache with tmpfs and buffers; small, free blocks
 * below 2 MiB, reported or not; backed, larger free blocks that are not reported, or -1 on a kernel
 * without the counter. The host still backs them, unless the guest has never touched them. Pages on
 * the per-CPU lists count as used. The program ends with the other one, and fails if it does.
 */
#include <limits.h>

#include "beside.h"
#include "meminfo.h"
#include "vmstat.h"

#define SMALL_BELOW	(2 * MIB)

/* Free memory in blocks below 2 MiB. Each line of buddyinfo has a number for each order. */
static long small_kib(void)
{
	long page_kib = sysconf(_SC_PAGESIZE) / 1024, kib = 0, size;
	char text[4096], *line, *next, *number, *rest;

	must_read_text("/proc/buddyinfo", text, sizeof(text));
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		number = strstr(line, "zone");
		strtok_r(number, " ", &rest);
		strtok_r(NULL, " ", &rest);	/* the zone's name */
		size = page_kib;
		while ((number = strtok_r(NULL, " ", &rest)) && size < (long)SMALL_BELOW / 1024) {
			kib += size * strtol(number, NULL, 10);
			size *= 2;
		}
	}
	return kib;
}

static void report_memory(void)
{
	long long reported = read_counter("nr_free_reported"), backed;
	long free_kib, cache_kib, small = small_kib();
	char meminfo[4096];

	read_meminfo(meminfo, sizeof(meminfo));
	free_kib = find_kib(meminfo, "MemFree:");
	cache_kib = find_kib(meminfo, "\nCached:") + find_kib(meminfo, "Buffers:");
	backed = free_kib - small - reported * (sysconf(_SC_PAGESIZE) / 1024);
	if (backed < 0)
		backed = 0;	/* the values are not read at the same time */
	report("event=memory used=%ld cache=%ld small=%ld backed=%lld t_ms=%lld",
	       find_kib(meminfo, "MemTotal:") - free_kib - cache_kib, cache_kib, small,
	       reported < 0 ? -1 : backed, now_ms());
}

int main(int argc, char **argv)
{
	struct timespec period;
	sigset_t child_ends;
	long every_ms;
	pid_t child;

	if (argc < 3 || !is_option(argv[1], "every"))
		usage(argc > 1 ? argv[1] : "memory", "give every=MS and a program");
	every_ms = number(argv[1], argv[1] + strlen("every="), INT_MAX);
	period.tv_sec = every_ms / 1000;
	period.tv_nsec = every_ms % 1000 * 1000000L;
	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ends, NULL);
	child = start_beside(argv + 2);
	while (works_beside(child)) {
		report_memory();
		sigtimedwait(&child_ends, NULL, &period);
	}
	return 0;
}
