// SPDX-License-Identifier: GPL-2.0
/*
 * Do nothing, and count how often free page reporting wakes up the idle guest.
 *
 *   settle=S	be idle this long first, until everything is reported
 *   for=S	count for this long
 *   touch=MIB	behave like a daemon: once a second, allocate, touch and free this much; 0 (the
 *		default) means no
 *
 * A wakeup is a work item or a timer whose function has "page_reporting" in its name, as seen by
 * the trace events of workqueues and timers. These exist on any kernel with tracing, whether or
 * not it counts its passes. The timer of a delayed work counts as the work that it starts.
 *
 * Events: resting; rested, with the wakeups by works and by timers, and the number of passes by
 * the kernel's counter, -1 if it has none.
 */
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tracing.h"
#include "vmstat.h"

#define PASSES	"page_reporting_pass"

static long settle_s, for_s, touch_mib;

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "settle"))
			settle_s = number(argv[i], argv[i] + strlen("settle="), INT_MAX);
		else if (is_option(argv[i], "for"))
			for_s = number(argv[i], argv[i] + strlen("for="), INT_MAX);
		else if (is_option(argv[i], "touch"))
			touch_mib = number(argv[i], argv[i] + strlen("touch="), INT_MAX);
		else
			usage(argv[i], "options are settle, for, touch");
	}
	if (!for_s)
		usage("for", "for=S is needed");
}

static void take_and_free(void)
{
	size_t page = sysconf(_SC_PAGESIZE), size = touch_mib * MIB, off;
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		fail("idle:", "mmap", errno);
	for (off = 0; off < size; off += page)
		memset(mem + off, 1, 1);
	if (munmap(mem, size))
		fail("idle:", "munmap", errno);
}

static void rest(long seconds)
{
	if (!touch_mib) {
		sleep(seconds);
		return;
	}
	for (; seconds > 0; seconds--) {
		take_and_free();
		sleep(1);
	}
}

static void set_events(const char *on)
{
	write_file(TRACING "/events/workqueue/workqueue_execute_start/enable", on);
	write_file(TRACING "/events/timer/timer_expire_entry/enable", on);
	write_file(TRACING "/events/timer/hrtimer_expire_entry/enable", on);
}

/* The header of the trace has the number of events in the buffer, and of those written. */
static void check_header(const char *line)
{
	unsigned long have, had;

	if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu", &have, &had) == 2 &&
	    have != had)
		fail("read", TRACING "/trace", EOVERFLOW);
}

static void count_wakeups(long *works, long *timers)
{
	FILE *file = fopen(TRACING "/trace", "r");
	const char *function;
	char line[512];

	if (!file)
		fail("read", TRACING "/trace", errno);
	while (fgets(line, sizeof(line), file)) {
		check_header(line);
		function = strstr(line, "function");
		if (line[0] == '#' || !function || !strstr(function, "page_reporting"))
			continue;
		if (strstr(line, "expire_entry:"))
			++*timers;
		else
			++*works;
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	long works = 0, timers = 0;
	long long passes;

	parse(argc, argv);
	mount_tracing();
	rest(settle_s);
	write_file(TRACING "/trace", "");
	passes = read_counter(PASSES);
	set_events("1");
	report("event=resting t_ms=%lld", now_ms());
	rest(for_s);
	set_events("0");
	passes = passes < 0 ? -1 : read_counter(PASSES) - passes;
	count_wakeups(&works, &timers);
	report("event=rested works=%ld timers=%ld passes=%lld t_ms=%lld", works, timers, passes,
	       now_ms());
	return 0;
}
