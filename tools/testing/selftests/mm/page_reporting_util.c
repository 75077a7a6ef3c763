// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests of free page reporting share: files, knobs, counters, memory, the sample driver.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "page_reporting_util.h"

#define MAX_KNOBS	16
#define SETTLE_LOOKS	100
#define SETTLE_MS	20
/* By how much a zone's free pages may change while somebody looks. */
#define UNSURE_PAGES	1024

static struct {
	char path[96];
	char text[64];
} knobs[MAX_KNOBS];
static int nr_knobs;
static pid_t owner;
static bool sample_is_ours;
static char reason[256];

/* How a case ends */

int pr_fail(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ksft_print_msg("%s\n", text);
	return KSFT_FAIL;
}

int pr_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return KSFT_SKIP;
}

const char *pr_skip_reason(void)
{
	return reason;
}

/* Files of the kernel */

/* The text without its last newline: its length, or -errno. */
int pr_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;
	int err;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	err = errno;
	close(fd);
	if (len < 0)
		return -err;
	if (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	return len;
}

/* One call of write(): what it returned, or -errno. Fit for signal handlers. */
int pr_write_bytes(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written;
	int err;

	if (fd < 0)
		return -errno;
	written = write(fd, text, len);
	err = errno;
	close(fd);
	return written < 0 ? -err : written;
}

/* All of @text in one call: 0 or -errno. */
int pr_write(const char *path, const char *text)
{
	int len = strlen(text), written = pr_write_bytes(path, text, len);

	if (written < 0)
		return written;
	return written == len ? 0 : -EIO;
}

void pr_must_write(const char *path, const char *text)
{
	int err = pr_write(path, text);

	if (err)
		ksft_exit_fail_msg("write '%s' to %s: %s\n", text, path,
				   strerror(-err));
}

static void must_read(const char *path, char *text, size_t size)
{
	int len = pr_read(path, text, size);

	if (len < 0)
		ksft_exit_fail_msg("read %s: %s\n", path, strerror(-len));
}

bool pr_reads(const char *path, const char *text)
{
	char found[256];

	must_read(path, found, sizeof(found));
	return !strcmp(found, text);
}

long pr_number(const char *path)
{
	char text[64], *end;
	long number;

	must_read(path, text, sizeof(text));
	number = strtol(text, &end, 10);
	if (end == text || *end)
		ksft_exit_fail_msg("%s: '%s' is no number\n", path, text);
	return number;
}

/* Knobs */

/* Writes the value that the file had when its knob was made. */
void pr_knob_back(const char *path)
{
	int i;

	for (i = 0; i < nr_knobs; i++)
		if (!strcmp(knobs[i].path, path))
			pr_must_write(path, knobs[i].text);
}

/* Leaves the word in brackets, as in "always [madvise] never". */
static void keep_choice(char *text)
{
	char *open = strchr(text, '['), *close = strchr(text, ']');

	if (!open || !close)
		return;
	memmove(text, open + 1, close - open - 1);
	text[close - open - 1] = '\0';
}

/* Have @text written to the file in the end. */
void pr_restore_to(const char *path, const char *text)
{
	int i;

	for (i = 0; i < nr_knobs; i++)
		if (!strcmp(knobs[i].path, path))
			return;
	if (nr_knobs == MAX_KNOBS)
		ksft_exit_fail_msg("more than %d knobs\n", MAX_KNOBS);
	snprintf(knobs[nr_knobs].path, sizeof(knobs->path), "%s", path);
	snprintf(knobs[nr_knobs].text, sizeof(knobs->text), "%s", text);
	nr_knobs++;
}

/* Have the file's present value back in the end. Before its first change. */
void pr_knob(const char *path)
{
	char text[64];

	must_read(path, text, sizeof(text));
	keep_choice(text);
	pr_restore_to(path, text);
}

/* Called in the end and from signal handlers. */
static void restore(void)
{
	if (getpid() != owner)
		return;
	while (nr_knobs > 0) {
		nr_knobs--;
		pr_write(knobs[nr_knobs].path, knobs[nr_knobs].text);
	}
	if (!sample_is_ours)
		return;
	/* Unloading waits for a report that is under way. */
	pr_write(PR_SAMPLE_DIR "delay_ms", "0");
	syscall(SYS_delete_module, PR_SAMPLE, O_NONBLOCK);
}

static void killed(int number)
{
	restore();
	_exit(128 + number);
}

void pr_start(void)
{
	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("not root\n");
	if (access(PR_ORDER, F_OK))
		ksft_exit_skip("no CONFIG_PAGE_REPORTING\n");
	if (access(PR_FLUSH, F_OK))
		ksft_exit_skip("no " PR_FLUSH ": another implementation, or no sysfs\n");

	owner = getpid();
	atexit(restore);
	signal(SIGINT, killed);
	signal(SIGTERM, killed);
	signal(SIGHUP, killed);
	pr_knob(PR_ORDER);
	pr_knob(PR_DELAY);
}

/* Time */

long pr_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

void pr_sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

bool pr_await_text(const char *path, const char *text, long ms)
{
	long end = pr_now_ms() + ms;

	while (!pr_reads(path, text)) {
		if (pr_now_ms() > end)
			return false;
		pr_sleep_ms(5);
	}
	return true;
}

bool pr_await_counter(enum pr_counter which, long least, long ms)
{
	long end = pr_now_ms() + ms;

	while (pr_count().of[which] < least) {
		if (pr_now_ms() > end)
			return false;
		pr_sleep_ms(20);
	}
	return true;
}

/* Counters */

const char * const pr_counter_names[PR_NR_COUNTERS] = {
	[PR_REPORT] = "pgreport",
	[PR_FAIL] = "pgreport_fail",
	[PR_REFAULT] = "pgreport_refault",
	[PR_MERGE] = "pgreport_merge",
	[PR_CLEAR] = "pgreport_clear",
	[PR_PASS] = "page_reporting_pass",
	[PR_CALL] = "page_reporting_call",
	[PR_SKIP] = "page_reporting_skip",
	[PR_GAUGE] = "nr_free_reported",
	[PR_MOVE] = "pgreport_move",
	[PR_TRY] = "page_reporting_try",
	[PR_EMPTY] = "page_reporting_empty",
	[PR_EMPTY_FAIL] = "page_reporting_empty_fail",
};

/* Adds what all CPUs have counted by themselves; fails when a sum is negative. */
static void fold(void)
{
	pr_must_write("/proc/sys/vm/stat_refresh", "1");
}

static FILE *must_open(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		ksft_exit_fail_msg("open %s: %s\n", path, strerror(errno));
	return file;
}

/* The counters of one vmstat file; those that it does not have are -1. */
static struct pr_counters read_vmstat(const char *path)
{
	FILE *file = must_open(path);
	struct pr_counters counters;
	char name[64];
	long value;
	int i;

	for (i = 0; i < PR_NR_COUNTERS; i++)
		counters.of[i] = -1;
	while (fscanf(file, "%63s %ld", name, &value) == 2)
		for (i = 0; i < PR_NR_COUNTERS; i++)
			if (!strcmp(name, pr_counter_names[i]))
				counters.of[i] = value;
	fclose(file);
	return counters;
}

struct pr_counters pr_count(void)
{
	fold();
	return read_vmstat("/proc/vmstat");
}

/* 0 where every page that the device took is accounted for, once. */
long pr_imbalance(const struct pr_counters *counters)
{
	const long *of = counters->of;

	return of[PR_REPORT] - of[PR_GAUGE] - of[PR_REFAULT] - of[PR_MERGE] -
	       of[PR_CLEAR];
}

/* Others may use memory between the look at one counter and at the next: not every time. */
int pr_check_identity(void)
{
	struct pr_counters counters = {};
	const long *of = counters.of;
	int looks;

	for (looks = 0; looks < SETTLE_LOOKS; looks++) {
		counters = pr_count();
		if (!pr_imbalance(&counters))
			return KSFT_PASS;
		pr_sleep_ms(SETTLE_MS);
	}
	return pr_fail("pgreport %ld != gauge %ld + refault %ld + merge %ld + clear %ld, by %ld",
		       of[PR_REPORT], of[PR_GAUGE], of[PR_REFAULT],
		       of[PR_MERGE], of[PR_CLEAR], pr_imbalance(&counters));
}

static struct pr_zone *find_zone(struct pr_zones *zones, int node,
				 const char *name)
{
	struct pr_zone *zone;
	int i;

	for (i = 0; i < zones->nr; i++)
		if (zones->zone[i].node == node &&
		    !strcmp(zones->zone[i].name, name))
			return &zones->zone[i];
	if (zones->nr == PR_MAX_ZONES)
		ksft_exit_fail_msg("more than %d zones\n", PR_MAX_ZONES);
	zone = &zones->zone[zones->nr++];
	*zone = (struct pr_zone) { .node = node };
	snprintf(zone->name, sizeof(zone->name), "%s", name);
	return zone;
}

static void read_zoneinfo(struct pr_zones *zones)
{
	FILE *file = must_open("/proc/zoneinfo");
	struct pr_zone *zone = NULL;
	char line[256], name[64];
	long value;
	int node;

	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Node %d, zone %15s", &node, name) == 2)
			zone = find_zone(zones, node, name);
		else if (!zone)
			continue;
		else if (sscanf(line, " pages free %ld", &value) == 1)
			zone->free = value;
		else if (sscanf(line, " %63s %ld", name, &value) != 2)
			continue;
		else if (!strcmp(name, "low"))
			zone->low = value;
		else if (!strcmp(name, "managed"))
			zone->managed = value;
		else if (!strcmp(name, "nr_free_cma"))
			zone->free_cma = value;
		else if (!strcmp(name, pr_counter_names[PR_GAUGE]))
			zone->reported = value;
	}
	fclose(file);
}

static void read_buddyinfo(struct pr_zones *zones)
{
	FILE *file = must_open("/proc/buddyinfo");
	char line[512], name[16];
	int node, at, step, order;

	while (fgets(line, sizeof(line), file)) {
		struct pr_zone *zone;

		if (sscanf(line, "Node %d, zone %15s%n", &node, name, &at) != 2)
			continue;
		zone = find_zone(zones, node, name);
		for (order = 0; order < PR_MAX_ORDERS; order++, at += step)
			if (sscanf(line + at, " %ld%n", &zone->blocks[order],
				   &step) != 1)
				break;
		zones->nr_orders = order;
	}
	fclose(file);
}

void pr_read_zones(struct pr_zones *zones)
{
	memset(zones, 0, sizeof(*zones));
	fold();
	read_zoneinfo(zones);
	read_buddyinfo(zones);
}

/* Free pages in blocks of @order or larger. */
long pr_eligible_pages(const struct pr_zone *zone, int nr_orders, int order)
{
	long pages = 0;

	for (; order < nr_orders; order++)
		pages += zone->blocks[order] << order;
	return pages;
}

int pr_max_order(void)
{
	struct pr_zones zones;

	pr_read_zones(&zones);
	return zones.nr_orders - 1;
}

size_t pr_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static long node_gauges(void)
{
	long sum = 0, here;
	char path[64];
	int node;

	for (node = 0; node < 1024; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/vmstat", node);
		if (access(path, R_OK))
			continue;
		here = read_vmstat(path).of[PR_GAUGE];
		if (here < 0)
			ksft_exit_fail_msg("%s has no nr_free_reported\n", path);
		sum += here;
	}
	return sum;
}

/* All places that show the gauge show the same. */
int pr_check_sums(void)
{
	long zones_sum = 0, nodes = 0, all = 0;
	struct pr_zones zones;
	int looks, i;

	for (looks = 0; looks < SETTLE_LOOKS; looks++) {
		all = pr_count().of[PR_GAUGE];
		pr_read_zones(&zones);
		for (zones_sum = 0, i = 0; i < zones.nr; i++)
			zones_sum += zones.zone[i].reported;
		nodes = access("/sys/devices/system/node", F_OK) ? all : node_gauges();
		if (all == zones_sum && all == nodes)
			return KSFT_PASS;
		pr_sleep_ms(SETTLE_MS);
	}
	return pr_fail("nr_free_reported: %ld in vmstat, %ld in zoneinfo, %ld in the nodes' vmstat",
		       all, zones_sum, nodes);
}

static const struct pr_zone *zone_beyond_bound(const struct pr_zones *zones, int order)
{
	int i;

	for (i = 0; i < zones->nr; i++)
		if (zones->zone[i].reported < 0 ||
		    zones->zone[i].reported >
		    pr_eligible_pages(&zones->zone[i], zones->nr_orders, order))
			return &zones->zone[i];
	return NULL;
}

/* In no zone more pages are reported than are free in blocks of @order or larger. */
static int check_bound(int order)
{
	const struct pr_zone *zone = NULL;
	struct pr_zones zones;
	int looks;

	for (looks = 0; looks < SETTLE_LOOKS; looks++) {
		pr_read_zones(&zones);
		zone = zone_beyond_bound(&zones, order);
		if (!zone)
			return KSFT_PASS;
		pr_sleep_ms(SETTLE_MS);
	}
	return pr_fail("node %d, zone %s: %ld pages reported, of %ld in blocks of order %d and up",
		       zone->node, zone->name, zone->reported,
		       pr_eligible_pages(zone, zones.nr_orders, order), order);
}

/* The kernel's own walk over the free lists, where it has one: what it found, or -1. */
static long walk(void)
{
	char text[512], *found;

	if (access(PR_VERIFY, R_OK))
		return -1;
	must_read(PR_VERIFY, text, sizeof(text));
	found = strstr(text, "reported_pages=");
	if (strncmp(text, "ok ", 3) || !found)
		ksft_exit_fail_msg("%s: %s\n", PR_VERIFY, text);
	return strtol(found + strlen("reported_pages="), NULL, 10);
}

static int check_walk(void)
{
	long walked = 0, gauge = 0;
	int looks;

	for (looks = 0; looks < SETTLE_LOOKS; looks++) {
		walked = walk();
		gauge = pr_count().of[PR_GAUGE];
		if (walked < 0 || walked == gauge)
			return KSFT_PASS;
		pr_sleep_ms(SETTLE_MS);
	}
	return pr_fail("nr_free_reported is %ld, a walk finds %ld pages", gauge, walked);
}

/*
 * The gauge against the free lists. @order is the lowest that blocks can have been reported from
 * since the last pass: when page_reporting_order rises, the next pass forgets smaller ones.
 */
int pr_check_gauge(int order)
{
	int result = check_bound(order);

	return result == KSFT_PASS ? check_walk() : result;
}

/* Memory */

char *pr_take(size_t size, int advice)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t off;

	if (mem == MAP_FAILED)
		ksft_exit_fail_msg("mmap of %zu bytes: %s\n", size, strerror(errno));
	madvise(mem, size, advice);
	for (off = 0; off < size; off += pr_page_size())
		mem[off] = 1;
	return mem;
}

void pr_give(char *mem, size_t size)
{
	if (munmap(mem, size))
		ksft_exit_fail_msg("munmap: %s\n", strerror(errno));
}

void pr_take_and_give(size_t size)
{
	pr_give(pr_take(size, MADV_HUGEPAGE), size);
}

/* A quarter of what is free, at most 256 MiB. */
size_t pr_some_memory(void)
{
	size_t size = sysconf(_SC_AVPHYS_PAGES) * pr_page_size() / 4;
	size_t most = 256UL << 20, granule = 4UL << 20;

	return (size < most ? size : most) / granule * granule;
}

/* The device */

bool pr_has_device(void)
{
	return !pr_reads(PR_DEVICE, "none");
}

int pr_flush(const char *what)
{
	return pr_write(PR_FLUSH, what);
}

/* A process that flushes: its exit status is the error. */
pid_t pr_flush_in_child(const char *what)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (!child) {
		/* To be killed as any other process. */
		signal(SIGTERM, SIG_DFL);
		_exit(-pr_flush(what));
	}
	return child;
}

/* Waits for a child: its exit status, 128 and more if it was killed, or -1 after @ms. */
int pr_join(pid_t child, long ms)
{
	long end = pr_now_ms() + ms;
	int status;
	pid_t pid;

	while (!(pid = waitpid(child, &status, WNOHANG)) && pr_now_ms() < end)
		pr_sleep_ms(5);
	if (pid < 0)
		ksft_exit_fail_perror("waitpid");
	if (!pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct pr_flushed pr_last_flush(void)
{
	struct pr_flushed last;
	char text[128];

	must_read(PR_FLUSH, text, sizeof(text));
	if (sscanf(text, "pages=%ld duration_us=%ld error=%d moved=%ld", &last.pages,
		   &last.duration_us, &last.error, &last.moved) != 4)
		ksft_exit_fail_msg("%s reads '%s'\n", PR_FLUSH, text);
	return last;
}

/* The module from where PAGE_REPORTING_SAMPLE says: 0 or -errno. */
static int load_from(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return err;
}

static void become_modprobe(const char *params)
{
	char copy[256], *argv[16] = { "modprobe", "-q", PR_SAMPLE }, *rest = copy;
	int argc = 3;

	snprintf(copy, sizeof(copy), "%s", params);
	while (argc < 15 && (argv[argc] = strtok_r(rest, " ", &rest)))
		argc++;
	argv[argc] = NULL;
	execvp(argv[0], argv);
	_exit(127);
}

static int load_by_modprobe(const char *params)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		return -errno;
	if (!child)
		become_modprobe(params);
	if (waitpid(child, &status, 0) != child || status)
		return -ENOENT;
	return 0;
}

bool pr_has_sample(void)
{
	return !access(PR_SAMPLE_DIR "stats", F_OK);
}

/* Loads the sample driver, which is unloaded in the end: 0 or -errno. */
int pr_sample_load(const char *params)
{
	const char *path = getenv("PAGE_REPORTING_SAMPLE");
	int err = path ? load_from(path, params) : load_by_modprobe(params);

	if (!err)
		sample_is_ours = true;
	return err;
}

int pr_sample_unload(void)
{
	if (syscall(SYS_delete_module, PR_SAMPLE, 0))
		return -errno;
	sample_is_ours = false;
	return 0;
}

void pr_sample_set(const char *name, long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PR_SAMPLE_DIR "%s", name);
	snprintf(text, sizeof(text), "%ld", value);
	pr_must_write(path, text);
}

/* One of the numbers that the sample driver counted since it was loaded. */
long pr_sample_stat(const char *name)
{
	char text[256], *found;

	must_read(PR_SAMPLE_DIR "stats", text, sizeof(text));
	found = strstr(text, name);
	if (!found || found[strlen(name)] != '=')
		ksft_exit_fail_msg("the sample's stats '%s' have no %s\n", text, name);
	return strtol(found + strlen(name) + 1, NULL, 10);
}

/* Pages in a full batch of the smallest blocks. */
static long batch_pages(int order)
{
	long most = PR_BATCH_BYTES / pr_page_size(), block = 1L << order;

	if (most < block)
		return block;
	return most / block < PR_CAPACITY ? most / block * block : PR_CAPACITY << order;
}

/*
 * Is the zone left alone in a pass, as a batch could push it below its watermark? Never for long,
 * unless it is so small that it will never be served. Of contiguous memory, which only some may
 * use, blocks may leave longer than others.
 */
enum pr_supply pr_supply(const struct pr_zone *zone, int order)
{
	long needed = zone->low + batch_pages(order);

	if (zone->managed < needed)
		return PR_TOO_SMALL;
	if (zone->free - zone->free_cma > needed + UNSURE_PAGES)
		return PR_ENOUGH;
	return zone->free < needed - UNSURE_PAGES ? PR_SHORT : PR_UNSURE;
}

/* Not more pages are waiting to be reported than @most: KSFT_PASS or KSFT_FAIL. */
int pr_check_all_reported(long most)
{
	int order = pr_number(PR_EFFECTIVE), i;
	long left = 0, reported = 0;
	struct pr_zones zones;

	pr_read_zones(&zones);
	for (i = 0; i < zones.nr; i++) {
		const struct pr_zone *zone = &zones.zone[i];

		if (pr_supply(zone, order) != PR_ENOUGH)
			continue;
		left += pr_eligible_pages(zone, zones.nr_orders, order) - zone->reported;
		reported += zone->reported;
	}
	if (!reported)
		return pr_fail("nothing is reported where there is enough free memory");
	if (left <= most)
		return KSFT_PASS;
	return pr_fail("%ld pages in blocks of order %d and up are not reported", left, order);
}

/* Any device, the sample driver where there is no other: KSFT_PASS or KSFT_SKIP. */
int pr_need_device(void)
{
	int err;

	if (pr_has_device())
		return KSFT_PASS;
	err = pr_sample_load("");
	if (err)
		return pr_skip("no device, and no module " PR_SAMPLE ": %s", strerror(-err));
	return KSFT_PASS;
}

/* The sample driver, loaded anew with @params: KSFT_PASS or KSFT_SKIP. */
int pr_need_sample(const char *params)
{
	int err;

	if (sample_is_ours) {
		err = pr_sample_unload();
		if (err)
			ksft_exit_fail_msg("unload " PR_SAMPLE ": %s\n", strerror(-err));
	}
	if (pr_has_device())
		return pr_skip("the device is not the sample driver, to be told what to do");
	err = pr_sample_load(params);
	if (err)
		return pr_skip("no module " PR_SAMPLE ": %s", strerror(-err));
	return KSFT_PASS;
}
