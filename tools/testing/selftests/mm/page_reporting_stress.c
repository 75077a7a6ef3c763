// SPDX-License-Identifier: GPL-2.0
/*
 * Memory is used in huge pages and in small ones and goes offline and back while it is reported:
 * nobody is in another's way, and afterwards the counters add up.
 *
 * usage: page_reporting_stress [SECONDS]
 */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "page_reporting_util.h"

#define BLOCKS		"/sys/devices/system/memory/"
#define MAX_BLOCKS	4
#define DEFAULT_S	10

/* What the workers did, shared with them. */
static struct {
	unsigned long flushes;
	unsigned long huge;
	unsigned long small;
	unsigned long offlined;
	unsigned long busy;
	int error;		/* of a flush, or of bringing memory back */
} *sums;

/* The state files of blocks of memory that can go offline. */
static char blocks[MAX_BLOCKS][96];
static int nr_blocks;
static long duration_ms = DEFAULT_S * 1000;

/* Workers: each does one thing until it is killed, or for one round. */

static void flush_all(void)
{
	int err = pr_flush("all");

	if (err)
		sums->error = -err;
	sums->flushes++;
}

static size_t huge_use(void)
{
	return pr_some_memory() / 4;
}

static void use_huge_pages(void)
{
	pr_take_and_give(huge_use());
	sums->huge++;
}

/* Freed in two steps, with neighbours still in use in between. */
static void use_small_pages(void)
{
	size_t size = 16UL << 20, part = 64UL << 10, off;
	char *mem = pr_take(size, MADV_NOHUGEPAGE);

	for (off = 0; off < size; off += 2 * part)
		madvise(mem + off, part, MADV_DONTNEED);
	pr_sleep_ms(20);
	pr_give(mem, size);
	sums->small++;
}

static void interrupted(int number)
{
	(void)number;
}

static void replug_block(const char *state)
{
	int err;

	/* The kernel tries for as long as it takes, or until a signal. */
	alarm(5);
	err = pr_write(state, "offline");
	alarm(0);
	if (err)
		sums->busy++;
	else
		sums->offlined++;
	pr_sleep_ms(50);
	if (!err && pr_write(state, "online_movable"))
		sums->error = EBUSY;
}

static void replug_memory(void)
{
	struct sigaction action = { .sa_handler = interrupted };
	int i;

	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < nr_blocks; i++)
		replug_block(blocks[i]);
}

static void change_delay(void)
{
	static const char * const delays[] = { "0", "10", "-1", "100", "2000" };
	static unsigned int turn;

	pr_must_write(PR_DELAY, delays[turn++ % ARRAY_SIZE(delays)]);
	pr_sleep_ms(200);
}

static void change_order(void)
{
	static const char * const orders[] = { "9", "3", "0", "-1", "5" };
	static unsigned int turn;

	pr_must_write(PR_ORDER, orders[turn++ % ARRAY_SIZE(orders)]);
	pr_sleep_ms(700);
}

static void (* const workers[])(void) = {
	flush_all, flush_all, use_huge_pages, use_small_pages, replug_memory, change_delay,
	change_order,
};

/* Rounds until the time is over, so that nothing is killed halfway. */
static pid_t start(void (*round)(void), long end_ms)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	do {
		round();
		pr_sleep_ms(5);
	} while (pr_now_ms() < end_ms);
	_exit(0);
}

static int join_all(const pid_t *children)
{
	int result = KSFT_PASS, status;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		status = pr_join(children[i], duration_ms + 60000);
		if (status)
			result = pr_fail("worker %zu ended with status %d", i, status);
	}
	return result;
}

/* Blocks of memory that only movable pages are in. */
static void find_block(const char *name)
{
	char path[300], zones[64], *state = blocks[nr_blocks];

	snprintf(path, sizeof(path), BLOCKS "%s/valid_zones", name);
	if (nr_blocks == MAX_BLOCKS || pr_read(path, zones, sizeof(zones)) < 0 ||
	    strcmp(zones, "Movable"))
		return;
	snprintf(state, sizeof(blocks[0]), BLOCKS "%.30s/state", name);
	pr_restore_to(state, "online_movable");
	nr_blocks++;
}

static void find_blocks(void)
{
	DIR *dir = opendir(BLOCKS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "memory", strlen("memory")))
			find_block(entry->d_name);
	if (dir)
		closedir(dir);
}

static long thp_faults(void)
{
	char name[64];
	long value, found = -1;
	FILE *file = fopen("/proc/vmstat", "r");

	while (file && fscanf(file, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, "thp_fault_alloc"))
			found = value;
	if (file)
		fclose(file);
	return found;
}

static long huge_faults;

/* Cases */

static int test_workers(void)
{
	pid_t children[ARRAY_SIZE(workers)];
	int result = pr_need_device();
	long end_ms = pr_now_ms() + duration_ms;
	size_t i;

	if (result)
		return result;
	huge_faults = thp_faults();
	for (i = 0; i < ARRAY_SIZE(workers); i++)
		children[i] = start(workers[i], end_ms);
	result = join_all(children);
	huge_faults = thp_faults() - huge_faults;
	pr_must_write(PR_DELAY, PR_NEVER_MS);

	ksft_print_msg("%lu flushes, %lu huge and %lu small uses, %ld huge pages\n",
		       sums->flushes, sums->huge, sums->small, huge_faults);
	ksft_print_msg("%lu times a block went offline, %lu times it did not\n", sums->offlined,
		       sums->busy);
	if (sums->error)
		result = pr_fail("something failed: %s", strerror(sums->error));
	if (!sums->flushes || !sums->huge || !sums->small)
		result = pr_fail("not everything took place");
	return result;
}

static int test_huge_pages(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) ||
	    pr_reads("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]"))
		return pr_skip("no transparent huge pages");
	/* Else there need not be a whole one in it: 512 MiB with pages of 64 KiB. */
	if (pr_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") > (long)huge_use() / 2)
		return pr_skip("a huge page is too large for this machine");
	return huge_faults > 0 ? KSFT_PASS : pr_fail("no huge page was to be had");
}

static int test_offline(void)
{
	int result = pr_need_device();

	if (result)
		return result;
	if (!nr_blocks)
		return pr_skip("no block of memory can go offline");
	return sums->offlined ? KSFT_PASS :
	       pr_fail("no block of memory went offline, in %lu attempts", sums->busy);
}

static int test_gauge(void)
{
	return pr_check_gauge(0);
}

static int test_flush(void)
{
	int result = pr_need_device(), err;

	if (result)
		return result;
	err = pr_flush("all");
	if (err)
		return pr_fail("flush: %s", strerror(-err));
	return pr_check_all_reported(4L << 10);
}

static const struct pr_case cases[] = {
	{ "memory is used beside reporting", test_workers },
	{ "huge pages are allocated beside reporting", test_huge_pages },
	{ "memory goes offline beside reporting", test_offline },
	{ "every reported page is accounted for", pr_check_identity },
	{ "the gauge is the same everywhere", pr_check_sums },
	{ "the gauge agrees with the free lists", test_gauge },
	{ "what is free now can be reported", test_flush },
};

static void parse(int argc, char **argv)
{
	char *end;

	if (argc == 1)
		return;
	duration_ms = strtol(argv[1], &end, 10) * 1000;
	if (argc > 2 || *end || duration_ms < 1000 || duration_ms > 3600000)
		ksft_exit_fail_msg("usage: %s [SECONDS], 1 to 3600\n", argv[0]);
}

int main(int argc, char **argv)
{
	pr_start();
	parse(argc, argv);
	sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sums == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	find_blocks();
	pr_must_write(PR_DELAY, PR_NEVER_MS);
	pr_run(cases, ARRAY_SIZE(cases));
}
