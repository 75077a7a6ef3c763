// SPDX-License-Identifier: GPL-2.0
/*
 * Load, set up, query and unload the sample driver, and have the system sleep. The arguments are
 * short, as the boot line is limited.
 *
 *   sample load [PARAMETER=VALUE ...]
 *   sample set PARAMETER=VALUE
 *   sample stats		report the driver's statistics
 *   sample COUNTER=N	wait until a counter has reached N
 *   sample suspend STATE	suspend the system, up to the devices and back
 *   sample ram		suspend it to RAM; the RTC wakes it
 *   sample disk HOW	hibernate to /dev/vda; HOW is written to /sys/power/disk
 *   sample unload
 *
 * Events: stats; reached; suspended, with the reports before and after, and how long it took;
 * hibernating and awake, with the pages reported by then.
 */
#include <sys/swap.h>

#include "sample.h"

#define WAKE_ALARM	"/sys/class/rtc/rtc0/wakealarm"
#define DISK		"/dev/vda"
/* Longer than any pass or back-off that a test waits for. */
#define WAIT_MS		120000

static void read_stats(char *text, size_t size)
{
	int err = read_text(SAMPLE_STATS, text, size);

	if (err)
		fail("read", SAMPLE_STATS, -err);
}

static void load(char **params)
{
	char text[1024] = "";
	size_t len = 0;
	int err;

	for (; *params && len < sizeof(text); params++)
		len += snprintf(text + len, sizeof(text) - len, "%s ", *params);
	err = load_module(SAMPLE, text);
	if (err)
		fail("load", SAMPLE, -err);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, SAMPLE, 0))
		fail("unload", SAMPLE, errno);
}

static void set(char *arg)
{
	char path[PATH_MAX], *equals = strchr(arg, '=');

	if (!equals)
		usage(arg, "give PARAMETER=VALUE");
	*equals = '\0';
	snprintf(path, sizeof(path), "/sys/module/" SAMPLE "/parameters/%s", arg);
	write_text(path, equals + 1);
}

static void report_stats(void)
{
	char text[256];

	read_stats(text, sizeof(text));
	report("event=stats %s t_ms=%lld", text, now_ms());
}

static unsigned long counter(const char *key)
{
	char text[256];

	read_stats(text, sizeof(text));
	return number_after(text, key);
}

static void await(const char *arg)
{
	long long end = now_ms() + WAIT_MS;
	const char *value = strchr(arg, '=') + 1;
	unsigned long least = number(arg, value, LONG_MAX);
	char key[32];

	snprintf(key, sizeof(key), "%.*s", (int)(value - arg), arg);
	while (counter(key) < least) {
		if (now_ms() > end) {
			report("event=error text=\"%s%lu after %d s, not %lu\"", key, counter(key),
			       WAIT_MS / 1000, least);
			exit(1);
		}
		usleep(20000);
	}
	report("event=reached key=%s t_ms=%lld", key, now_ms());
}

static void suspend(const char *state)
{
	unsigned long before;
	long long start;

	write_text("/sys/power/pm_test", "devices");
	start = now_ms();
	before = counter("reports=");
	write_text("/sys/power/state", state);
	report("event=suspended before=%lu after=%lu ms=%lld", before, counter("reports="),
	       now_ms() - start);
}

static void suspend_to_ram(void)
{
	write_text(WAKE_ALARM, "+4");
	write_text("/sys/power/mem_sleep", "deep");
	write_text("/sys/power/state", "mem");
	report("event=awake pages=%lu t_ms=%lld", counter("pages="), now_ms());
}

/* Returns in the machine that resumes from the image, which may be this one. */
static void hibernate(const char *how)
{
	if (swapon(DISK, 0))
		fail("swap to", DISK, errno);
	write_text("/sys/power/disk", how);
	report("event=hibernating pages=%lu", counter("pages="));
	write_text("/sys/power/state", "disk");
	report("event=awake pages=%lu t_ms=%lld", counter("pages="), now_ms());
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "load"))
		load(argv + 2);
	else if (!strcmp(what, "unload") && argc == 2)
		unload();
	else if (!strcmp(what, "stats") && argc == 2)
		report_stats();
	else if (!strcmp(what, "set") && argc == 3)
		set(argv[2]);
	else if (!strcmp(what, "suspend") && argc == 3)
		suspend(argv[2]);
	else if (!strcmp(what, "ram") && argc == 2)
		suspend_to_ram();
	else if (!strcmp(what, "disk") && argc == 3)
		hibernate(argv[2]);
	else if (strchr(what, '=') && argc == 2)
		await(what);
	else
		usage(what, "give load, unload, stats, set, suspend, ram, disk or COUNTER=N");
	return 0;
}
