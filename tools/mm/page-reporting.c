// SPDX-License-Identifier: GPL-2.0
/*
 * page-reporting: see and steer free page reporting
 *
 * In a guest, status and watch say what is reported, flush reports all of it,
 * and doctor says what keeps memory from coming back to the host, and what to
 * do. doctor --host does the same on the host, for one virtual machine. The
 * checks are the table "Troubleshooting" in
 * Documentation/admin-guide/mm/free_page_reporting.rst.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(a, b)	__attribute__((format(printf, a, b)))
#define MIB		1048576

#define FILES		"/sys/kernel/mm/page_reporting/"
#define PARAMS		"/sys/module/page_reporting/parameters/"
#define BOOT_LINE	"/proc/cmdline"
#define KERNEL_LOG	"/dev/kmsg"
#define VIRTIO		"/sys/bus/virtio/devices"

/* Of virtio-balloon: its device id, and which of its features. */
#define BALLOON		"0x0005"
#define F_POISON	4
#define F_REPORTING	5

/* A report that is this old is worth a look; the kernel waits for a minute. */
#define SLOW_MS		10000
#define LONG_DELAY_MS	60000
#define HOST_UNIT	(2LL * MIB)	/* a huge page of the host */

/* What of guest memory is resident beyond what the guest uses, beside a tenth. */
#define SLACK		(64LL * MIB)
/* In its name, QEMU's translations of the guest's code. */
#define TCG_CODE	"memfd:tcg-jit"

/* Exit status. */
enum { FINE, TROUBLE, BAD_INPUT };

static const char *prefix = "";
static bool json;

static noreturn __printf(2, 3) void
die(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("page-reporting: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

/* Files */

static const char *full_path(const char *path)
{
	static char full[PATH_MAX];

	if (snprintf(full, sizeof(full), "%s%s", prefix, path) >= (int)sizeof(full))
		die(BAD_INPUT, "the path is too long: %s%s", prefix, path);
	return full;
}

static bool exists(const char *path)
{
	return !access(full_path(path), F_OK);
}

/* The whole file, to be freed; NULL with errno if it cannot be read. */
static char *read_file(const char *path)
{
	FILE *file = strcmp(path, "-") ? fopen(full_path(path), "r") : stdin;
	size_t size = 0, len = 0;
	char *text = NULL;

	if (!file)
		return NULL;
	do {
		size += 65536;
		text = realloc(text, size);
		if (!text)
			die(TROUBLE, "no memory to read %s", path);
		len += fread(text + len, 1, size - len - 1, file);
	} while (len == size - 1);
	text[len] = '\0';
	if (ferror(file)) {
		free(text);
		text = NULL;
	}
	if (file != stdin)
		fclose(file);
	return text;
}

/* The first line of a short file; empty if it cannot be read. */
static const char *read_line(const char *path, char *line, size_t size)
{
	char *text = read_file(path);

	snprintf(line, size, "%s", text ? text : "");
	line[strcspn(line, "\n")] = '\0';
	free(text);
	return line;
}

static long long read_number(const char *path)
{
	char line[64], *end;
	long long number = strtoll(read_line(path, line, sizeof(line)), &end, 10);

	return end == line || *end ? -1 : number;
}

/* The number in the line of @text that begins with @key, or -1. */
static long long number_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (; text && *text; text = strchr(text, '\n'), text += !!text)
		if (!strncmp(text, key, len) && text[len] && strchr(": \t", text[len]))
			return strtoll(text + len + 1, NULL, 10);
	return -1;
}

static __printf(3, 4) void
print_to(char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
}

/* What a guest says of itself */

struct guest {
	char device[128], state[16];
	long long order, delay_ms, age_ms;
	/* In bytes; -1 for what the kernel does not count. */
	long long total, cache, hugetlb;
	long long free, reported;
	long long sent, failed, refaulted, merged;
	/* In numbers. */
	long long passes, skips;
	double uptime_s, at_s;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static long long pages(const char *vmstat, const char *name)
{
	long long number = number_of(vmstat, name);

	return number < 0 ? -1 : number * sysconf(_SC_PAGESIZE);
}

static long long kib(const char *meminfo, const char *name)
{
	long long number = number_of(meminfo, name);

	return number < 0 ? 0 : number * 1024;
}

static void read_memory(struct guest *guest)
{
	char *meminfo = read_file("/proc/meminfo");

	if (!meminfo)
		die(TROUBLE, "read /proc/meminfo: %s", strerror(errno));
	guest->total = kib(meminfo, "MemTotal");
	guest->cache = kib(meminfo, "Cached") + kib(meminfo, "Buffers") -
		       kib(meminfo, "Shmem");
	guest->hugetlb = kib(meminfo, "Hugepagesize") *
			 (number_of(meminfo, "HugePages_Free") > 0 ?
			  number_of(meminfo, "HugePages_Free") : 0);
	free(meminfo);
}

static void read_counters(struct guest *guest)
{
	char *vmstat = read_file("/proc/vmstat");

	if (!vmstat)
		die(TROUBLE, "read /proc/vmstat: %s", strerror(errno));
	guest->free = pages(vmstat, "nr_free_pages");
	guest->reported = pages(vmstat, "nr_free_reported");
	guest->sent = pages(vmstat, "pgreport");
	guest->failed = pages(vmstat, "pgreport_fail");
	guest->refaulted = pages(vmstat, "pgreport_refault");
	guest->merged = pages(vmstat, "pgreport_merge");
	guest->passes = number_of(vmstat, "page_reporting_pass");
	guest->skips = number_of(vmstat, "page_reporting_skip");
	guest->at_s = now_s();
	free(vmstat);
}

static bool has_feature(void)
{
	return exists(FILES "device");
}

static struct guest look(void)
{
	struct guest guest = {};
	char line[64];

	read_line(FILES "device", guest.device, sizeof(guest.device));
	read_line(FILES "state", guest.state, sizeof(guest.state));
	guest.order = read_number(FILES "order");
	guest.delay_ms = read_number(PARAMS "page_reporting_delay_ms");
	guest.age_ms = read_number(FILES "report_age_ms");
	guest.uptime_s = atof(read_line("/proc/uptime", line, sizeof(line)));
	read_memory(&guest);
	read_counters(&guest);
	return guest;
}

static struct guest look_or_die(void)
{
	if (!has_feature())
		die(TROUBLE, "there is no %sdevice: page-reporting doctor says more", FILES);
	return look();
}

static bool is_on(const struct guest *guest)
{
	return guest->device[0] && strcmp(guest->device, "none");
}

/* JSON */

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_text(const char *key, const char *text)
{
	printf("\"%s\": ", key);
	print_string(text);
}

/* status and watch */

static long long block_size(long long order)
{
	return (long long)sysconf(_SC_PAGESIZE) << order;
}

static long long mib(long long bytes)
{
	return bytes < 0 ? bytes : bytes / MIB;
}

static double per_s(long long bytes, double seconds)
{
	return seconds > 0 && bytes > 0 ? bytes / seconds : 0;
}

static double share_pct(long long part, long long whole)
{
	return whole > 0 ? 100.0 * part / whole : 0;
}

/* Bytes refaulted a second: the average since boot, and the present rate. */

static double since_boot(const struct guest *guest)
{
	return per_s(guest->refaulted, guest->uptime_s);
}

static double present(const struct guest *before, const struct guest *now)
{
	return per_s(now->refaulted - before->refaulted, now->at_s - before->at_s);
}

/* @present_per_s is -1 if it was not measured. */
static void print_json(const struct guest *guest, double present_per_s)
{
	printf("{\"on\": %s, ", is_on(guest) ? "true" : "false");
	print_text("device", guest->device);
	fputs(", ", stdout);
	print_text("state", guest->state);
	printf(", \"order\": %lld, \"delay_ms\": %lld, \"report_age_ms\": %lld",
	       guest->order, guest->delay_ms, guest->age_ms);
	printf(", \"total_bytes\": %lld, \"free_bytes\": %lld, \"reported_bytes\": %lld",
	       guest->total, guest->free, guest->reported);
	printf(", \"refaulted_bytes\": %lld, \"refaulted_bytes_per_s_since_boot\": %.0f",
	       guest->refaulted, since_boot(guest));
	if (present_per_s >= 0)
		printf(", \"refaulted_bytes_per_s\": %.0f", present_per_s);
	puts("}");
}

static void print_refaults(const struct guest *guest, double present_per_s)
{
	if (guest->refaulted < 0) {
		printf("used again      not counted by this kernel\n");
		return;
	}
	printf("used again      %lld MiB since boot, on average %.1f MiB/s\n",
	       mib(guest->refaulted), since_boot(guest) / MIB);
	if (present_per_s >= 0)
		printf("used again now  %.1f MiB/s\n", present_per_s / MIB);
}

static void print_status(const struct guest *guest, double present_per_s)
{
	if (is_on(guest))
		printf("reporting       on, to %s, %s\n", guest->device, guest->state);
	else
		printf("reporting       off: there is no device\n");
	if (guest->order < 0)
		printf("smallest block  decided by the device\n");
	else
		printf("smallest block  %lld KiB (order %lld)\n",
		       block_size(guest->order) / 1024, guest->order);
	if (guest->delay_ms < 0)
		printf("delay           decided by the kernel\n");
	else
		printf("delay           %lld ms\n", guest->delay_ms);
	printf("free memory     %lld MiB, of which %lld MiB are reported (%.1f %%)\n",
	       mib(guest->free), mib(guest->reported),
	       share_pct(guest->reported, guest->free));
	print_refaults(guest, present_per_s);
	if (guest->age_ms > 0)
		printf("pending report  %.1f s, not answered yet\n", guest->age_ms / 1000.0);
	else
		printf("pending report  none\n");
}

/* Answers at once if @over_s is 0; the present rate takes a second look, so many seconds later. */
static int status(unsigned int over_s)
{
	struct guest before = look_or_die(), now = before;
	double present_per_s = -1;

	if (over_s) {
		sleep(over_s);
		now = look_or_die();
		present_per_s = present(&before, &now);
	}
	if (json)
		print_json(&now, present_per_s);
	else
		print_status(&now, present_per_s);
	return FINE;
}

static void print_sample(const struct guest *guest, double present_per_s)
{
	printf("free %lld MiB, reported %lld MiB, used again %.1f MiB/s, ",
	       mib(guest->free), mib(guest->reported), present_per_s / MIB);
	if (guest->age_ms > 0)
		printf("report pending for %.1f s\n", guest->age_ms / 1000.0);
	else
		printf("no report pending\n");
}

/* Prints a line a second, @count of them, or without end if it is 0. */
static int watch(unsigned long count)
{
	struct guest before = look_or_die(), now;
	unsigned long nr;

	for (nr = 0; !count || nr < count; nr++) {
		sleep(1);
		now = look_or_die();
		if (json)
			print_json(&now, present(&before, &now));
		else
			print_sample(&now, present(&before, &now));
		fflush(stdout);
		before = now;
	}
	return FINE;
}

/* flush */

/* As the kernel takes it: a number above 0, with or without a suffix. */
static bool is_size(const char *text)
{
	static const char suffixes[] = "KMGTPE";
	unsigned int shift = 0;
	const char *suffix;
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	if (suffix) {
		shift = 10 * (suffix - suffixes + 1);
		end++;
	}
	return !errno && !*end && number && number <= (ULLONG_MAX - 65536) >> shift;
}

static bool is_word(const char *text)
{
	return !strcmp(text, "all") || !strcmp(text, "again") || !strcmp(text, "compact");
}

static const char *why_not(int err)
{
	switch (err) {
	case ENOENT:
		return "this kernel has no " FILES "flush";
	case EACCES:
	case EPERM:
		return "only root may flush";
	case ENODEV:
		return "there is no device: page-reporting doctor says why";
	case EBUSY:
		return "the system is going to sleep, or down";
	}
	return strerror(err);
}

static void print_flushed(void)
{
	long long nr_pages, duration_us;
	char line[128];

	if (sscanf(read_line(FILES "flush", line, sizeof(line)),
		   "pages=%lld duration_us=%lld", &nr_pages, &duration_us) != 2)
		die(TROUBLE, "%sflush reads '%s'", FILES, line);
	if (json)
		printf("{\"flushed_bytes\": %lld, \"duration_us\": %lld}\n",
		       nr_pages * sysconf(_SC_PAGESIZE), duration_us);
	else
		printf("%lld MiB reported in %.3f s\n",
		       mib(nr_pages * sysconf(_SC_PAGESIZE)), duration_us / 1e6);
}

static int flush_now(const char *what)
{
	int fd, err = 0;

	if (!is_word(what) && !is_size(what))
		die(BAD_INPUT, "flush %s: give all, again, compact, or a size such as 512M", what);
	fd = open(full_path(FILES "flush"), O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, what, strlen(what)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err == EINVAL)
		die(BAD_INPUT, "flush %s: this kernel does not know that", what);
	if (err)
		die(TROUBLE, "flush %s: %s", what, why_not(err));
	print_flushed();
	return FINE;
}

/* doctor: what the checks have in common */

enum result { SKIPPED, OK, NOTE, BAD };

static const char * const result_names[] = { "skipped", "ok", "note", "bad" };

struct finding {
	enum result result;
	char saw[320];
	const char *todo;
};

#define ok(finding, ...) found(finding, OK, "", __VA_ARGS__)
#define note(finding, todo, ...) found(finding, NOTE, todo, __VA_ARGS__)
#define bad(finding, todo, ...) found(finding, BAD, todo, __VA_ARGS__)

static __printf(4, 5) void
found(struct finding *finding, enum result result, const char *todo, const char *format, ...)
{
	va_list args;

	finding->result = result;
	finding->todo = todo;
	va_start(args, format);
	vsnprintf(finding->saw, sizeof(finding->saw), format, args);
	va_end(args);
}

static void print_finding(const char *name, const struct finding *finding, bool first)
{
	if (json) {
		fputs(first ? "{\"checks\": [" : ", ", stdout);
		printf("{\"check\": \"%s\", \"result\": \"%s\", ", name,
		       result_names[finding->result]);
		print_text("saw", finding->saw);
		fputs(", ", stdout);
		print_text("todo", finding->todo);
		fputs("}", stdout);
	} else if (finding->result != SKIPPED) {
		printf("%-5s%-14s%s\n", result_names[finding->result], name, finding->saw);
		if (*finding->todo)
			printf("     %-14s-> %s\n", "", finding->todo);
	}
}

/* doctor in a guest */

struct patient {
	struct guest before, now;	/* a second apart */
	char boot_line[4096];
	/* Of the balloon, as a path in sysfs; empty if there is none. */
	char balloon[PATH_MAX];
	char features[128];
	/* What says that the kernel clears pages that are freed, or NULL. */
	const char *clears;
};

/* What the boot line says about a parameter that is on or off, the last time. */
static bool boots_with(const char *line, const char *name)
{
	size_t len = strlen(name);
	bool on = false;

	while ((line = strstr(line, name))) {
		line += len;
		if (*line == '=')
			on = line[1] == '1' || !strncmp(line + 1, "on", 2) ||
			     line[1] == 'y' || line[1] == 'Y';
	}
	return on;
}

/*
 * Whether the kernel said at boot that it clears pages that are freed: 1, 0, or -1 if the line is
 * no longer in the log, or the log may not be read. A read returns one record, and none is longer
 * than the buffer.
 */
static int log_says_clears(void)
{
	int fd = open(full_path(KERNEL_LOG), O_RDONLY | O_NONBLOCK | O_CLOEXEC), clears = -1;
	char record[8192];
	const char *said;
	ssize_t len;

	while (fd >= 0 && clears < 0) {
		len = read(fd, record, sizeof(record) - 1);
		/* EPIPE: records were overwritten, and the next read goes on behind them. */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		said = strstr(record, "mem auto-init: stack:");
		if (said)
			clears = !!strstr(said, "heap free:on");
	}
	if (fd >= 0)
		close(fd);
	return clears;
}

static bool is_configured(const char *line)
{
	struct utsname uts;
	char path[PATH_MAX], *text;
	bool found;

	uname(&uts);
	print_to(path, sizeof(path), "/boot/config-%s", uts.release);
	text = read_file(path);
	found = text && strstr(text, line);
	free(text);
	return found;
}

/* The log says what the kernel does. Without it, the boot line overrides the configuration. */
static const char *what_clears(const char *boot_line)
{
	int logged = log_says_clears();

	if (logged >= 0)
		return logged ? "the kernel log has 'heap free:on'" : NULL;
	if (strstr(boot_line, "init_on_free="))
		return boots_with(boot_line, "init_on_free") ?
		       "the boot line has init_on_free=1" : NULL;
	if (is_configured("\nCONFIG_INIT_ON_FREE_DEFAULT_ON=y"))
		return "the kernel has CONFIG_INIT_ON_FREE_DEFAULT_ON";
	return NULL;
}

static void find_balloon(struct patient *patient)
{
	DIR *dir = opendir(full_path(VIRTIO));
	struct dirent *entry;
	char path[PATH_MAX], id[16];

	while (dir && (entry = readdir(dir))) {
		print_to(path, sizeof(path), VIRTIO "/%s/device", entry->d_name);
		if (strcmp(read_line(path, id, sizeof(id)), BALLOON))
			continue;
		print_to(patient->balloon, sizeof(patient->balloon), VIRTIO "/%s", entry->d_name);
		print_to(path, sizeof(path), VIRTIO "/%s/features", entry->d_name);
		read_line(path, patient->features, sizeof(patient->features));
	}
	if (dir)
		closedir(dir);
}

static bool offers(const struct patient *patient, unsigned int bit)
{
	return strlen(patient->features) > bit && patient->features[bit] == '1';
}

static bool has_driver(const struct patient *patient)
{
	char path[PATH_MAX];

	print_to(path, sizeof(path), "%.*s/driver", PATH_MAX - 16, patient->balloon);
	return exists(path);
}

static bool fills_free_pages(const struct patient *patient)
{
	return boots_with(patient->boot_line, "page_poison") || patient->clears;
}

static void check_kernel(const struct patient *patient, struct finding *finding)
{
	(void)patient;
	if (has_feature())
		ok(finding, "this kernel has free page reporting");
	else if (exists(PARAMS "page_reporting_order"))
		bad(finding, "boot a kernel with " FILES,
		    "this kernel has an implementation without counters");
	else
		bad(finding, "boot a kernel with CONFIG_PAGE_REPORTING",
		    "this kernel has no free page reporting");
}

static void check_balloon(const struct patient *patient, struct finding *finding)
{
	if (is_on(&patient->now))
		ok(finding, "reports go to %s", patient->now.device);
	else if (patient->balloon[0])
		ok(finding, "found virtio balloon %s", strrchr(patient->balloon, '/') + 1);
	else
		bad(finding, "add a balloon to the virtual machine; its size may stay 0",
		    "no balloon is on the virtio bus, and no other device takes reports");
}

static void check_driver(const struct patient *patient, struct finding *finding)
{
	if (is_on(&patient->now) || !patient->balloon[0])
		return;
	if (has_driver(patient))
		ok(finding, "a driver is bound to the balloon");
	else
		bad(finding, "load virtio_balloon, or see in the kernel log why it failed",
		    "no driver is bound to the balloon");
}

static void check_offer(const struct patient *patient, struct finding *finding)
{
	if (is_on(&patient->now) || !patient->balloon[0] || !has_driver(patient))
		return;
	if (offers(patient, F_REPORTING))
		bad(finding, "see in the kernel log why the driver did not register",
		    "the hypervisor offers reporting, but the driver has not registered");
	else if (!fills_free_pages(patient))
		bad(finding, "switch it on; for QEMU: free-page-reporting=on",
		    "the hypervisor does not offer reporting");
}

static void check_poison(const struct patient *patient, struct finding *finding)
{
	if (boots_with(patient->boot_line, "page_poison"))
		bad(finding, "boot without page_poison=1",
		    "the boot line has page_poison=1, and reports are ignored");
	else if (!is_on(&patient->now) && !offers(patient, F_POISON) && patient->clears)
		bad(finding, "boot with init_on_free=0, or with a hypervisor that supports it",
		    "%s: the driver does not register if free pages are cleared",
		    patient->clears);
	else
		ok(finding, "the guest does not rely on the content of free pages");
}

static void check_answer(const struct patient *patient, struct finding *finding)
{
	if (patient->now.age_ms >= SLOW_MS)
		bad(finding, "look at the hypervisor: is it stopped, or short of memory?",
		    "a report has been waiting for an answer for %lld s",
		    patient->now.age_ms / 1000);
	else if (patient->now.age_ms >= 0)
		ok(finding, "no report waits for long");
}

static void check_errors(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (now->failed < 0)
		return;
	if (now->failed > now->sent / 100 || now->failed > patient->before.failed)
		bad(finding, "the kernel log has the error; look at the log of the hypervisor",
		    "reports of %lld MiB failed since boot", mib(now->failed));
	else
		ok(finding, "reports of %lld MiB failed since boot", mib(now->failed));
}

/* Free memory in blocks that are large enough to be reported. */
static long long eligible(long long order)
{
	char *text = read_file("/proc/buddyinfo"), *line, *rest = text;
	long long bytes = 0, blocks;
	int at, step, i;

	while ((line = strsep(&rest, "\n"))) {
		at = 0;
		if (sscanf(line, "Node %*d, zone %*s%n", &at) < 0 || !at)
			continue;
		for (i = 0; sscanf(line + at, " %lld%n", &blocks, &step) == 1; i++) {
			if (i >= order)
				bytes += blocks << i;
			at += step;
		}
	}
	free(text);
	return bytes * sysconf(_SC_PAGESIZE);
}

/* Is there so much free memory that it matters whether it is reported? */
static bool has_much_free(const struct guest *guest)
{
	return guest->free > guest->total / 4;
}

static void check_share(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (!is_on(now) || now->reported < 0)
		return;
	if (has_much_free(now) && now->reported < now->free / 2)
		bad(finding, "page-reporting flush; if that does not help, see what else is found",
		    "of %lld MiB that are free, %lld MiB are reported", mib(now->free),
		    mib(now->reported));
	else
		ok(finding, "of %lld MiB that are free, %lld MiB are reported", mib(now->free),
		   mib(now->reported));
}

static void check_blocks(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;
	long long large;

	if (now->order < 0 || now->free <= 0)
		return;
	large = eligible(now->order);
	if (has_much_free(now) && large < now->free / 2)
		bad(finding,
		    "page-reporting flush compact; if that may not move pages, echo 1 > /proc/sys/vm/compact_memory",
		    "of %lld MiB that are free, %lld MiB are in blocks that are large enough",
		    mib(now->free), mib(large));
	else
		ok(finding, "free memory is not in pieces");
}

static void check_delay(const struct patient *patient, struct finding *finding)
{
	long long delay_ms = patient->now.delay_ms;

	if (delay_ms >= LONG_DELAY_MS)
		note(finding, "write -1 to page_reporting_delay_ms, unless it is set on purpose",
		     "memory that is freed is reported after %lld s", delay_ms / 1000);
	else if (delay_ms >= 0)
		ok(finding, "%lld ms", delay_ms);
	else
		ok(finding, "the kernel decides");
}

static void check_order(const struct patient *patient, struct finding *finding)
{
	long long block;

	if (patient->now.order < 0)
		return;
	block = block_size(patient->now.order);
	if (block < HOST_UNIT)
		note(finding, "write -1 to page_reporting_order, unless the host has no huge pages",
		     "reports of %lld KiB break up huge pages of the host", block / 1024);
	else if (block > HOST_UNIT)
		note(finding, "write -1 to page_reporting_order, unless the host has such pages",
		     "free blocks below %lld MiB are not reported", mib(block));
	else
		ok(finding, "the smallest block has 2 MiB, as huge pages of most hosts");
}

static void check_shortage(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (now->passes < 0 || now->skips < 0)
		return;
	if (now->skips > now->passes / 2 && now->passes > 10)
		note(finding, "the guest is short of memory: give it more",
		     "in %lld passes, zones were skipped %lld times", now->passes, now->skips);
	else
		ok(finding, "no shortage of memory was seen");
}

static void check_reuse(const struct patient *patient, struct finding *finding)
{
	const struct guest *before = &patient->before, *now = &patient->now;
	double seconds = now->at_s - before->at_s;
	double sent = per_s(now->sent - before->sent, seconds);
	double used = per_s(now->refaulted - before->refaulted, seconds);

	if (now->refaulted < 0)
		return;
	if (sent > now->total / 20. && used > now->total / 20.)
		bad(finding, "set page_reporting_delay_ms to more than the time between two peaks",
		    "%.0f MiB/s are reported, and %.0f MiB/s are used again", sent / MIB,
		    used / MIB);
	else
		ok(finding, "%.0f MiB/s of what was reported are used again", used / MIB);
}

static void check_merges(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (now->merged < 0)
		return;
	if (now->merged > now->sent / 10 * 8 && now->sent > now->total)
		note(finding, "raise page_reporting_order, or write -1 to it",
		     "of %lld MiB that were reported, %lld MiB merged, to be reported again",
		     mib(now->sent), mib(now->merged));
	else
		ok(finding, "few blocks are reported twice");
}

static void check_cache(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (now->cache > now->total / 2)
		note(finding, "limit it by memory.high, or echo 1 > /proc/sys/vm/drop_caches",
		     "%lld of %lld MiB hold cached files, which are not free", mib(now->cache),
		     mib(now->total));
	else
		ok(finding, "%lld MiB hold cached files", mib(now->cache));
}

static void check_hugetlb(const struct patient *patient, struct finding *finding)
{
	const struct guest *now = &patient->now;

	if (now->hugetlb > now->total / 16)
		note(finding, "lower nr_hugepages, or use surplus pages",
		     "%lld MiB of huge pages wait in the hugetlb pool, and are not free",
		     mib(now->hugetlb));
	else
		ok(finding, "the hugetlb pool holds back %lld MiB", mib(now->hugetlb));
}

static void check_confidential(const struct patient *patient, struct finding *finding)
{
	if (!exists("/sys/class/misc/sev-guest") && !exists("/sys/class/misc/tdx_guest"))
		ok(finding, "the host can read this guest's memory");
	else if (is_on(&patient->now))
		bad(finding, "switch reporting off in the hypervisor, unless it supports this",
		    "the guest's memory is private, and reports have no effect or do harm");
	else
		ok(finding, "the guest's memory is private, and reporting is off");
}

struct guest_check {
	const char *name;
	void (*run)(const struct patient *patient, struct finding *finding);
};

static const struct guest_check guest_checks[] = {
	{ "kernel", check_kernel },
	{ "balloon", check_balloon },
	{ "driver", check_driver },
	{ "offer", check_offer },
	{ "poison", check_poison },
	{ "confidential", check_confidential },
	{ "answer", check_answer },
	{ "errors", check_errors },
	{ "share", check_share },
	{ "blocks", check_blocks },
	{ "delay", check_delay },
	{ "order", check_order },
	{ "shortage", check_shortage },
	{ "reuse", check_reuse },
	{ "merges", check_merges },
	{ "cache", check_cache },
	{ "hugetlb", check_hugetlb },
};

static unsigned int examine_guest(void)
{
	struct patient patient = {};
	unsigned int nr_bad = 0, i;

	read_line(BOOT_LINE, patient.boot_line, sizeof(patient.boot_line));
	patient.clears = what_clears(patient.boot_line);
	find_balloon(&patient);
	patient.before = look();
	sleep(1);
	patient.now = look();
	for (i = 0; i < ARRAY_SIZE(guest_checks); i++) {
		struct finding finding = { .todo = "" };

		guest_checks[i].run(&patient, &finding);
		print_finding(guest_checks[i].name, &finding, !i);
		nr_bad += finding.result == BAD;
		/* Without the feature, there is nothing else to see. */
		if (!i && nr_bad)
			break;
	}
	return nr_bad;
}

/* doctor on the host */

struct mapping {
	unsigned long long size, resident, page_size;
	bool writable, executable, shared;
	char path[PATH_MAX];
};

struct machine {
	long pid;
	char command[65536];	/* words separated by blanks */
	char exe[64];
	/* In bytes. */
	long long resident, huge, locked;
	long nr_maps, max_maps;
	bool vfio, userfaultfd;
	/* The mappings of guest memory: the largest, and sums and the like of all. */
	struct mapping largest;
	unsigned long long size, guest_resident, other_kind, page_size;
	char template[PATH_MAX];
	/* What the guest said of itself, or -1. */
	long long total, reported;
};

static const char *proc_file(const struct machine *machine, const char *name)
{
	static char path[64];

	print_to(path, sizeof(path), "/proc/%ld/%s", machine->pid, name);
	return path;
}

static void read_command(struct machine *machine)
{
	FILE *file = fopen(full_path(proc_file(machine, "cmdline")), "r");
	size_t len, i;

	if (!file)
		die(BAD_INPUT, "--host %ld: there is no such process", machine->pid);
	len = fread(machine->command, 1, sizeof(machine->command) - 1, file);
	fclose(file);
	for (i = 0; i < len; i++)
		if (!machine->command[i])
			machine->command[i] = ' ';
	read_line(proc_file(machine, "comm"), machine->exe, sizeof(machine->exe));
}

static void read_sizes(struct machine *machine)
{
	char *text = read_file(proc_file(machine, "smaps_rollup"));

	if (!text)
		die(TROUBLE, "read %s: %s", proc_file(machine, "smaps_rollup"), strerror(errno));
	machine->resident = kib(text, "Rss") + kib(text, "Shared_Hugetlb") +
			    kib(text, "Private_Hugetlb");
	machine->huge = kib(text, "AnonHugePages") + kib(text, "ShmemPmdMapped") +
			kib(text, "Shared_Hugetlb") + kib(text, "Private_Hugetlb");
	machine->locked = kib(text, "Locked");
	free(text);
}

/* The first line of a mapping in smaps; false if the line is another one. */
static bool parse_mapping(struct mapping *mapping, const char *line)
{
	unsigned long long start, end;
	char flags[8];
	int at = 0;

	if (sscanf(line, "%llx-%llx %7s %*x %*x:%*x %*u %n", &start, &end, flags, &at) != 3 || !at)
		return false;
	*mapping = (struct mapping) {
		.size = end - start,
		.writable = flags[1] == 'w',
		.executable = flags[2] == 'x',
		.shared = flags[3] == 's',
	};
	print_to(mapping->path, sizeof(mapping->path), "%s", line + at);
	return true;
}

/* Another line of a mapping. Rss is without hugetlb pages. */
static void parse_size(struct mapping *mapping, const char *line)
{
	unsigned long long value;

	if (sscanf(line, "KernelPageSize: %llu kB", &value) == 1)
		mapping->page_size = value * 1024;
	else if (sscanf(line, "Rss: %llu kB", &value) == 1 ||
		 sscanf(line, "Shared_Hugetlb: %llu kB", &value) == 1 ||
		 sscanf(line, "Private_Hugetlb: %llu kB", &value) == 1)
		mapping->resident += value * 1024;
}

static void walk_maps(struct machine *machine,
		      void (*visit)(struct machine *machine, const struct mapping *mapping))
{
	FILE *file = fopen(full_path(proc_file(machine, "smaps")), "r");
	static struct mapping mapping, next;
	char line[PATH_MAX + 128];

	if (!file)
		die(TROUBLE, "read %s: %s", proc_file(machine, "smaps"), strerror(errno));
	mapping.size = 0;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!parse_mapping(&next, line)) {
			parse_size(&mapping, line);
			continue;
		}
		if (mapping.size)
			visit(machine, &mapping);
		mapping = next;
	}
	fclose(file);
	if (mapping.size)
		visit(machine, &mapping);
}

/* Guest memory is data. QEMU's translations of its code may be larger. */
static bool is_data(const struct mapping *mapping)
{
	return mapping->writable && !mapping->executable && !strstr(mapping->path, TCG_CODE);
}

static void count_mapping(struct machine *machine, const struct mapping *mapping)
{
	machine->nr_maps++;
	if (is_data(mapping) && mapping->size > machine->largest.size)
		machine->largest = *mapping;
}

static bool is_of_one_kind(const struct mapping *a, const struct mapping *b)
{
	return a->shared == b->shared && a->page_size == b->page_size && !strcmp(a->path, b->path);
}

/* A file that stays when the machine goes is meant for others, too. */
static bool is_template(const struct mapping *mapping)
{
	return !mapping->shared && mapping->path[0] == '/' && !strstr(mapping->path, "(deleted)");
}

/* With NUMA nodes, or a hole for PCI, guest memory has more than one mapping. */
static void add_guest_memory(struct machine *machine, const struct mapping *mapping)
{
	if (!is_data(mapping) || mapping->size < machine->largest.size / 4)
		return;
	machine->size += mapping->size;
	machine->guest_resident += mapping->resident;
	if (!is_of_one_kind(mapping, &machine->largest))
		machine->other_kind += mapping->size;
	if (mapping->page_size > machine->page_size)
		machine->page_size = mapping->page_size;
	if (is_template(mapping))
		print_to(machine->template, sizeof(machine->template), "%s", mapping->path);
}

/* Counts the mappings, and finds those of guest memory. */
static void read_maps(struct machine *machine)
{
	walk_maps(machine, count_mapping);
	walk_maps(machine, add_guest_memory);
	machine->max_maps = read_number("/proc/sys/vm/max_map_count");
}

static void read_files(struct machine *machine)
{
	DIR *dir = opendir(full_path(proc_file(machine, "fd")));
	struct dirent *entry;
	char path[PATH_MAX], target[256];
	ssize_t len;

	if (!dir)
		die(TROUBLE, "read %s: %s", proc_file(machine, "fd"), strerror(errno));
	while ((entry = readdir(dir))) {
		print_to(path, sizeof(path), "%s/%s", full_path(proc_file(machine, "fd")),
			 entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		machine->vfio |= !!strstr(target, "vfio");
		machine->userfaultfd |= !!strstr(target, "[userfaultfd]");
	}
	closedir(dir);
}

static long long json_number(const char *text, const char *key)
{
	char quoted[64];
	const char *at;
	long long number;
	char *end;

	print_to(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(text, quoted);
	if (!at)
		return -1;
	number = strtoll(at + strlen(quoted), &end, 10);
	/* A file may end in the middle of a number. */
	return *end && strchr(",} \n", *end) ? number : -1;
}

/* What page-reporting --json status printed in the guest. */
static void read_guest(struct machine *machine, const char *path)
{
	char *text = read_file(path);

	if (!text)
		die(BAD_INPUT, "--guest %s: %s", path, strerror(errno));
	machine->total = json_number(text, "total_bytes");
	machine->reported = json_number(text, "reported_bytes");
	free(text);
	if (machine->total <= 0 || machine->reported < 0)
		die(BAD_INPUT, "--guest %s: give the output of page-reporting --json status", path);
}

static bool is_qemu(const struct machine *machine)
{
	return strstr(machine->exe, "qemu") || strstr(machine->exe, "kvm");
}

static bool says(const struct machine *machine, const char *words)
{
	return strstr(machine->command, words);
}

static void check_resident(const struct machine *machine, struct finding *finding)
{
	ok(finding, "%s: %lld MiB are resident, %lld MiB of them in huge pages", machine->exe,
	   mib(machine->resident), mib(machine->huge));
}

enum offer {
	NOT_SEEN,	/* a balloon may be added later, or by a file */
	NOT_OFFERED,
	OFFERED,
};

/* Does this begin with a value that QEMU takes for true? */
static bool is_true(const char *text)
{
	static const char * const words[] = { "on", "true", "yes", "y" };
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		len = strlen(words[i]);
		if (!strncmp(text, words[i], len) && !isalnum((unsigned char)text[len]))
			return true;
	}
	return false;
}

/* What the command line says of reports: KEY=VALUE, or "KEY": VALUE. */
static enum offer offer_of(const struct machine *machine)
{
	static const char key[] = "free-page-reporting";
	const char *at = machine->command;
	enum offer offer = NOT_SEEN;

	while (offer != OFFERED && (at = strstr(at, key))) {
		at += strlen(key);
		offer = is_true(at + strspn(at, "\"=: ")) ? OFFERED : NOT_OFFERED;
	}
	/* It is off by default, and there is one balloon at most. */
	if (offer == NOT_SEEN && says(machine, "virtio-balloon"))
		return NOT_OFFERED;
	return offer;
}

static void check_switch(const struct machine *machine, struct finding *finding)
{
	if (!is_qemu(machine))
		return;
	if (offer_of(machine) == OFFERED)
		ok(finding, "the balloon has free-page-reporting=on");
	else
		bad(finding, "start it with -device virtio-balloon-pci,free-page-reporting=on",
		    "the command line has no balloon with free-page-reporting=on");
}

static void check_backing(const struct machine *machine, struct finding *finding)
{
	const struct mapping *largest = &machine->largest;
	char more[64] = "";

	if (machine->other_kind)
		print_to(more, sizeof(more), ", and %lld MiB are of another kind",
			 mib(machine->other_kind));
	ok(finding, "%lld MiB of guest memory are %s%s%s, in pages of %llu KiB%s",
	   mib(machine->size - machine->other_kind), largest->shared ? "shared" : "private",
	   largest->path[0] ? ", of " : ", anonymous", largest->path,
	   largest->page_size / 1024, more);
}

static void check_template(const struct machine *machine, struct finding *finding)
{
	if (machine->template[0] &&
	    !(is_qemu(machine) && offer_of(machine) == NOT_OFFERED))
		bad(finding, "give each machine its own copy, with share=on; or no reporting",
		    "guest memory is a private mapping of %s: reports cut holes into that file",
		    machine->template);
	else
		ok(finding, "no file is behind guest memory that reports would damage");
}

static void check_pages(const struct machine *machine, struct finding *finding)
{
	if (machine->page_size > HOST_UNIT)
		bad(finding, "back it by pages of 2 MiB, or of 4 KiB with transparent huge pages",
		    "no report is as large as the pages of guest memory, %llu MiB",
		    machine->page_size / MIB);
	else
		ok(finding, "reports are as large as the pages of guest memory");
}

static void check_vfio(const struct machine *machine, struct finding *finding)
{
	if (machine->vfio)
		bad(finding, "nothing helps as long as the device is assigned",
		    "a device is assigned by vfio: all memory is pinned, and QEMU ignores reports");
	else
		ok(finding, "no device is assigned");
}

static void check_locked(const struct machine *machine, struct finding *finding)
{
	if (machine->locked > (long long)machine->size / 2)
		bad(finding, "start it without locked memory (mem-lock, <locked/>)",
		    "%lld MiB are locked, and cannot be dropped", mib(machine->locked));
	else
		ok(finding, "memory is not locked");
}

static void check_private(const struct machine *machine, struct finding *finding)
{
	if (says(machine, "sev-guest") || says(machine, "sev-snp-guest") ||
	    says(machine, "tdx-guest"))
		bad(finding, "switch reporting off, unless the hypervisor supports this",
		    "the guest is confidential, and reports have no effect or do harm");
	else
		ok(finding, "the guest is not confidential");
}

static void check_faults(const struct machine *machine, struct finding *finding)
{
	if (machine->userfaultfd)
		note(finding, "when that is over, run 'page-reporting flush again' in the guest",
		     "a userfaultfd is open: QEMU ignores reports during a postcopy or a snapshot");
	else
		ok(finding, "no userfaultfd is open");
}

static void check_maps(const struct machine *machine, struct finding *finding)
{
	if (machine->max_maps > 0 && machine->nr_maps > machine->max_maps / 10 * 8)
		bad(finding, "raise vm.max_map_count",
		    "%ld of at most %ld mappings are in use", machine->nr_maps,
		    machine->max_maps);
	else
		ok(finding, "%ld mappings are in use", machine->nr_maps);
}

static void check_huge(const struct machine *machine, struct finding *finding)
{
	char line[64];

	if (strstr(read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line)),
		   "[never]"))
		note(finding, "a page_reporting_order of 4 in the guest may give back more, for more refaults",
		     "the host has no transparent huge pages");
	else if (machine->resident > 1024LL * MIB && machine->huge < machine->resident / 2)
		note(finding, "if page_reporting_order in the guest is below 9, 2 MiB, write -1 to it",
		     "%.0f %% of resident memory are in huge pages",
		     share_pct(machine->huge, machine->resident));
	else
		ok(finding, "%.0f %% of resident memory are in huge pages",
		   share_pct(machine->huge, machine->resident));
}

static void check_dropped(const struct machine *machine, struct finding *finding)
{
	long long resident = machine->guest_resident, expected;

	if (machine->total < 0)
		return;
	/* The total lacks the guest kernel's own memory, and what the guest says is older. */
	expected = machine->total - machine->reported + machine->total / 10 + SLACK;
	if (resident > expected)
		bad(finding, "see the other findings; if a snapshot was loaded, flush with 'again'",
		    "%lld MiB of guest memory are resident; the guest reported %lld of %lld MiB",
		    mib(resident), mib(machine->reported), mib(machine->total));
	else
		ok(finding,
		   "%lld MiB of guest memory are resident; the guest reported %lld of %lld MiB",
		   mib(resident), mib(machine->reported), mib(machine->total));
}

struct host_check {
	const char *name;
	void (*run)(const struct machine *machine, struct finding *finding);
};

static const struct host_check host_checks[] = {
	{ "resident", check_resident },
	{ "switch", check_switch },
	{ "backing", check_backing },
	{ "template", check_template },
	{ "pages", check_pages },
	{ "vfio", check_vfio },
	{ "locked", check_locked },
	{ "private", check_private },
	{ "userfaultfd", check_faults },
	{ "maps", check_maps },
	{ "huge", check_huge },
	{ "dropped", check_dropped },
};

static unsigned int examine_host(long pid, const char *guest_path)
{
	static struct machine machine;
	unsigned int nr_bad = 0, i;

	machine = (struct machine) { .pid = pid, .total = -1, .reported = -1 };
	if (guest_path)
		read_guest(&machine, guest_path);
	read_command(&machine);
	read_sizes(&machine);
	read_maps(&machine);
	read_files(&machine);
	for (i = 0; i < ARRAY_SIZE(host_checks); i++) {
		struct finding finding = { .todo = "" };

		host_checks[i].run(&machine, &finding);
		print_finding(host_checks[i].name, &finding, !i);
		nr_bad += finding.result == BAD;
	}
	return nr_bad;
}

static int doctor(long pid, const char *guest_path)
{
	unsigned int nr_bad;

	nr_bad = pid ? examine_host(pid, guest_path) : examine_guest();
	if (json)
		printf("], \"bad\": %u}\n", nr_bad);
	return nr_bad ? TROUBLE : FINE;
}

/* The command line */

static const char usage[] =
"page-reporting [--json] COMMAND\n"
"\n"
"  status [--over S]    whether reporting is on, what is set, how much is reported;\n"
"                       with the present rate of refaults, measured for S seconds\n"
"  watch [--count N]    how much is reported, once a second, N times or for ever\n"
"  flush [all|SIZE]     report free memory now: all of it, or a SIZE such as 512M\n"
"  flush again          report all of it, even what is reported already\n"
"  flush compact        first move pages so that fragments become whole blocks, then\n"
"                       report all of it\n"
"  doctor               what keeps memory from coming back, and what to do\n"
"  doctor --host PID [--guest FILE]\n"
"                       the same on the host of the virtual machine PID; FILE, or\n"
"                       - for stdin, has the output of --json status in the guest\n"
"\n"
"  --json               print a JSON object; watch prints one in each line\n"
"  --root DIR           for tests: DIR/proc and DIR/sys instead of /proc and /sys\n"
"\n"
"Exit status: 0; 1 if something failed, or doctor found something bad; 2 for bad input.\n";

struct options {
	unsigned long count, over_s;
	long pid;
	const char *guest_path;
};

static unsigned long parse_number(const char *option, const char *text, unsigned long max)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || !number || number > max)
		die(BAD_INPUT, "--%s %s: give a number from 1 to %lu", option, text, max);
	return number;
}

static struct options parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "root", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'c' },
		{ "over", required_argument, NULL, 'o' },
		{ "host", required_argument, NULL, 'p' },
		{ "guest", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct options found = {};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'r':
			prefix = optarg;
			break;
		case 'c':
			found.count = parse_number("count", optarg, INT_MAX);
			break;
		case 'o':
			found.over_s = parse_number("over", optarg, 86400);
			break;
		case 'p':
			found.pid = parse_number("host", optarg, INT_MAX);
			break;
		case 'g':
			found.guest_path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(FINE);
		default:
			die(BAD_INPUT, "%s: %s; see --help", argv[optind - 1],
			    option == ':' ? "needs a value" : "no such option");
		}
	}
	return found;
}

static void check_words(const struct options *options, const char *command, int nr_words)
{
	if (nr_words > (strcmp(command, "flush") ? 1 : 2))
		die(BAD_INPUT, "%s: too many words; see --help", command);
	if (options->count && strcmp(command, "watch"))
		die(BAD_INPUT, "%s: --count is for watch", command);
	if (options->over_s && strcmp(command, "status"))
		die(BAD_INPUT, "%s: --over is for status", command);
	if (options->pid && strcmp(command, "doctor"))
		die(BAD_INPUT, "%s: --host is for doctor", command);
	if (options->guest_path && !options->pid)
		die(BAD_INPUT, "%s: --guest is for doctor --host", command);
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	const char *command = argv[optind];

	if (!command)
		die(BAD_INPUT, "give status, watch, flush or doctor; see --help");
	check_words(&options, command, argc - optind);
	if (!strcmp(command, "status"))
		return status(options.over_s);
	if (!strcmp(command, "watch"))
		return watch(options.count);
	if (!strcmp(command, "flush"))
		return flush_now(argv[optind + 1] ? argv[optind + 1] : "all");
	if (!strcmp(command, "doctor"))
		return doctor(options.pid, options.guest_path);
	die(BAD_INPUT, "%s: no such command; give status, watch, flush or doctor", command);
}
