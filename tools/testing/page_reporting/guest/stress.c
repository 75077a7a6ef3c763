// SPDX-License-Identifier: GPL-2.0
/*
 * Use and free memory in many ways in parallel, while page reporting runs.
 *
 *   for=S		how long
 *   device=HOW		sample: load and unload the sample driver repeatedly; none: use the
 *			device that is registered, if any
 *   fail=PERCENT	reports that fail in the sample driver (30)
 *   failslab=PERCENT	slab allocations that fail, in this program and in kernel workers (0)
 *   failpages=PERCENT	page allocations that fail, except for user memory (0)
 *   seed=N		seed of the random choices (1)
 *   only=NAME,...	run only these workers: see the table below
 *
 * The modules page_reporting_sample and orders have to be in /modules. Events: progress, every few
 * seconds; verified, counters and account, before and after: whether the free lists are sound and
 * the counters of reported pages add up, and what the memory is used for; sums; stressed, where
 * missing is the growth of the memory that is not accounted for, in KiB.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <linux/kernel-page-flags.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"
#include "sample.h"

#define PARAMETERS	"/sys/module/page_reporting/parameters/"
#define FLUSH		"/sys/kernel/mm/page_reporting/flush"
#define BLOCKS		"/sys/devices/system/memory"
#define FAILURES	"/sys/kernel/debug/"
#define CMA		"/sys/kernel/debug/cma/reserved/"
#define PROGRESS_S	5

static struct {
	long for_s;
	bool sample;
	long fail;
	long failslab;
	long failpages;
	long seed;
	const char *only;	/* names of workers; NULL for all but poison */
} options = { .fail = 30, .seed = 1 };

/* Shared by the workers and the parent. Only the parent sends to the host. */
static struct shared {
	atomic_bool stop;
	atomic_ulong rounds[11];	/* by worker */
	atomic_ulong blocks, reports, errors, loads, offlined, contiguous, poisoned;
	char error[256];		/* the first error of any worker */
	atomic_flag failed;
} *shared;

/* Is this a worker whose allocations fail? Those of the parent never do. */
static bool may_fail;

static unsigned int pick(unsigned int n)
{
	return random() % n;
}

static void nap(unsigned int ms)
{
	usleep(ms * 1000);
}

/* End a worker after an error that no injected failure explains. */
static noreturn void give_up(const char *format, ...)
{
	va_list args;

	if (!atomic_flag_test_and_set(&shared->failed)) {
		va_start(args, format);
		vsnprintf(shared->error, sizeof(shared->error), format, args);
		va_end(args);
	}
	_exit(1);
}

/* Turn off failures for a step after whose failure the kernel prints long warnings. */
static void suspend_failures(bool on)
{
	if (may_fail)
		mark_failing("self", !on);
}

/* Write to a file of the kernel. Returns 0 or -errno. */
static int put(const char *path, const char *format, ...)
{
	char text[128];
	int fd, len, err;
	va_list args;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, text, len) == len ? 0 : -errno;
	close(fd);
	return err;
}

/* The same, but the program ends if it fails. */
static void must_put(const char *path, const char *text)
{
	int err = put(path, "%s", text);

	if (err)
		fail("write", path, -err);
}

/* With failslab, munmap() may fail, too: try again. */
static void unmap(char *mem, size_t size)
{
	while (munmap(mem, size)) {
		if (errno != ENOMEM)
			give_up("munmap: %s", strerror(errno));
	}
}

/* The content of the page at @page in a mapping that was filled with @tag. */
static unsigned long mark(const char *page, unsigned long tag)
{
	return (unsigned long)page ^ tag;
}

static void fill(char *mem, size_t size, unsigned long tag)
{
	size_t off;

	for (off = 0; off < size; off += 4096)
		*(unsigned long *)(mem + off) = mark(mem + off, tag);
}

static void check(const char *mem, size_t size, unsigned long tag)
{
	size_t off;

	for (off = 0; off < size; off += 4096) {
		unsigned long found = *(const unsigned long *)(mem + off);

		if (found != mark(mem + off, tag))
			give_up("a page in use reads %#lx, not %#lx", found, mark(mem + off, tag));
	}
}

/* Map anonymous memory with this madvise() advice. NULL if there is not enough now. */
static char *map(size_t size, int advice)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	madvise(mem, size, advice);
	return mem;
}

/* Fill anonymous memory, with or without huge pages, check its content later, and free it. */
static void use_anonymous(int advice)
{
	size_t size = (1 + pick(48)) * MIB, part = (1 + pick(size / 4096)) * 4096;
	unsigned long tag = random();
	char *mem = map(size, advice);

	if (!mem)
		return;
	fill(mem, size, tag);
	/* Free it in two steps, so that there are free blocks of all sizes in between. */
	madvise(mem, part, MADV_DONTNEED);
	nap(pick(100));
	check(mem + part, size - part, tag);
	unmap(mem, size);
}

static void use_huge_pages(void)
{
	use_anonymous(MADV_HUGEPAGE);
}

static void use_small_pages(void)
{
	use_anonymous(MADV_NOHUGEPAGE);
}

/* Free every other page, for as many free blocks of a single page as possible. */
static void use_scattered_pages(void)
{
	size_t size = 24 * MIB, off;
	unsigned long tag = random();
	char *mem = map(size, MADV_NOHUGEPAGE);

	if (!mem)
		return;
	fill(mem, size, tag);
	for (off = 0; off < size; off += 2 * 4096)
		madvise(mem + off, 4096, MADV_DONTNEED);
	nap(200 + pick(300));
	for (off = 4096; off < size; off += 2 * 4096)
		check(mem + off, 4096, tag);
	unmap(mem, size);
}

/* Have a pipe hold some pages, and lock others. They must stay while their neighbours move. */
static void hold_pages(char *mem, size_t size, int pipe)
{
	size_t off;
	int i;

	for (i = 0; i < 8; i++) {
		off = pick(size / 32768) * 32768;
		mlock(mem + off, 4096);
		off = pick(size / 32768) * 32768;
		vmsplice(pipe, &(struct iovec){ mem + off, 4096 }, 1, SPLICE_F_NONBLOCK);
	}
}

/* Check that the pages in the pipe have the same content as those of the process. */
static void check_held(const char *mem, unsigned long tag, int pipe)
{
	unsigned long page[512];

	while (read(pipe, page, sizeof(page)) == sizeof(page)) {
		unsigned long found = page[0];
		const char *where = (const char *)(found ^ tag);

		if (*(const unsigned long *)mem != mark(mem, tag) || found != mark(where, tag))
			give_up("a page in a pipe reads %#lx", found);
	}
}

/* Keep one page of each 32 KiB, hold some of them, and have whole blocks made of the rest. */
static void move_pages_about(void)
{
	size_t size = 48 * MIB, off;
	unsigned long tag = random() & ~0xfffUL;
	char *mem = map(size, MADV_NOHUGEPAGE);
	int pipes[2];

	if (!mem)
		return;
	if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC)) {
		unmap(mem, size);
		return;
	}
	fill(mem, size, tag);
	for (off = 0; off < size; off += 32768)
		madvise(mem + off + 4096, 32768 - 4096, MADV_DONTNEED);
	hold_pages(mem, size, pipes[1]);
	put(PARAMETERS "page_reporting_order", "-1");
	put(FLUSH, "compact");
	for (off = 0; off < size; off += 32768)
		check(mem + off, 4096, tag);
	check_held(mem, tag, pipes[0]);
	close(pipes[0]);
	close(pipes[1]);
	unmap(mem, size);
	nap(pick(200));
}

/* Page cache of a file that is deleted when it is closed. */
static void use_page_cache(void)
{
	static char data[65536];
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	unsigned int i, n = 1 + pick(512);

	if (fd < 0)
		return;
	for (i = 0; i < n && write(fd, data, sizeof(data)) > 0; i++)
		;
	nap(pick(50));
	close(fd);
}

/* Kernel memory of all orders. */
static void use_kernel_memory(void)
{
	put("/sys/module/orders/parameters/take", "%u", 1 + pick(256));
	nap(pick(20));
}

static void use_contiguous_memory(void)
{
	unsigned int n = 1 + pick(2048);

	put("/proc/sys/vm/compact_memory", "1");
	put("/proc/sys/vm/nr_hugepages", "%u", pick(32));
	if (!put(CMA "alloc", "%u", n)) {
		shared->contiguous++;
		while (put(CMA "free", "%u", n) == -ENOMEM)
			;
	}
	nap(pick(500));
}

/* Mostly low orders, for many blocks. Sometimes the default order, and pacing. */
static void flip_order(void)
{
	static const signed char orders[] = { 0, 0, 0, 0, 0, 0, 1, 2, 3, 5, 9, 10, -1 };

	put(PARAMETERS "page_reporting_order", "%d", orders[pick(ARRAY_SIZE(orders))]);
	put(PARAMETERS "page_reporting_delay_ms", pick(8) ? "20" : "-1");
	nap(200 + pick(1000));
}

/* Add up the statistics of the sample driver before it is unloaded. */
static void collect(void)
{
	char text[256];

	/* With failslab, this can fail, too. */
	while (read_text(SAMPLE_STATS, text, sizeof(text)))
		nap(1);
	shared->reports += number_after(text, "reports=");
	shared->errors += number_after(text, "errors=");
	shared->blocks += number_after(text, "blocks=");
}

static void unload(const char *name)
{
	while (syscall(SYS_delete_module, name, 0)) {
		if (errno != ENOMEM && errno != EINTR && errno != EAGAIN)
			give_up("module %s stays: %s", name, strerror(errno));
	}
}

/* Register a device, have memory reported, and unregister it, perhaps during a report. */
static void plug_device(void)
{
	/* Mostly large batches, as each report takes some time, whatever its size. */
	static const unsigned short capacities[] = { 0, 1, 3, 31, 0, 33, 0, 256, 0, 0, 0, 0 };
	char params[128];
	int err;

	snprintf(params, sizeof(params), "capacity=%u fail_percent=%ld delay_ms=%u",
		 capacities[pick(ARRAY_SIZE(capacities))], options.fail, pick(4) ? 0 : 20);
	suspend_failures(true);
	err = load_module(SAMPLE, params);
	suspend_failures(false);
	/* It also needs kernel threads, whose allocations may still fail. */
	if (err == -ENOMEM)
		return;
	if (err)
		give_up("load " SAMPLE ": %s", strerror(-err));
	shared->loads++;
	nap(5000 + pick(10000));
	collect();
	unload(SAMPLE);
}

static void interrupted(int number)
{
	(void)number;
}

/* Read an attribute of a memory block. Empty if it cannot be read now. */
static void read_block(const char *name, const char *attribute, char *text, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), BLOCKS "/%s/%s", name, attribute);
	if (read_text(path, text, size))
		text[0] = '\0';
}

static int set_block(const char *name, const char *state)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), BLOCKS "/%s/state", name);
	return put(path, "%s", state);
}

static void bring_back_block(const char *name)
{
	char state[32];

	read_block(name, "state", state, sizeof(state));
	if (strcmp(state, "offline"))
		return;
	suspend_failures(true);
	set_block(name, "online_movable");
	suspend_failures(false);
}

/* Take a block of movable memory offline, and online again. */
static void replug_block(const char *name)
{
	char zones[64];

	bring_back_block(name);
	read_block(name, "valid_zones", zones, sizeof(zones));
	if (strcmp(zones, "Movable"))
		return;
	/* The kernel tries without a limit until a signal comes. */
	alarm(5);
	if (!set_block(name, "offline"))
		shared->offlined++;
	alarm(0);
	nap(pick(500));
	bring_back_block(name);
}

static void visit_blocks(void (*act)(const char *name))
{
	DIR *dir = opendir(BLOCKS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "memory", strlen("memory")))
			act(entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static void replug_memory(void)
{
	visit_blocks(replug_block);
	nap(500);
}

/* Whether a page is free in the buddy allocator, according to kpageflags. */
static bool is_free(int kpageflags, unsigned long pfn)
{
	unsigned long flags;

	return pread(kpageflags, &flags, sizeof(flags), pfn * sizeof(flags)) == sizeof(flags) &&
	       flags & 1UL << KPF_BUDDY;
}

/* Have a free page turn bad, maybe one that is being reported. */
static void poison_free_page(void)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC), tries;

	for (tries = 0; fd >= 0 && tries < 1000; tries++) {
		unsigned long pfn = pick(1 << 18);

		if (!is_free(fd, pfn))
			continue;
		put("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx", pfn);
		break;
	}
	close(fd);
}

/* Have a page of a process turn bad, which is then freed together with good ones. */
static void poison_own_page(void)
{
	size_t size = 4 * MIB;
	pid_t child = fork();
	char *mem;

	if (child > 0)
		waitpid(child, NULL, 0);
	if (child)
		return;
	mem = map(size, MADV_NOHUGEPAGE);
	if (mem) {
		fill(mem, size, 0);
		/* The kernel may kill the process, hence the child. */
		madvise(mem + pick(size / 4096) * 4096, 4096, MADV_HWPOISON);
	}
	_exit(0);
}

static void poison_memory(void)
{
	poison_free_page();
	poison_own_page();
	shared->poisoned++;
	nap(200);
}

struct worker {
	const char *name;
	void (*round)(void);
};

static const struct worker workers[] = {
	{ "huge", use_huge_pages },
	{ "small", use_small_pages },
	{ "scatter", use_scattered_pages },
	{ "moves", move_pages_about },
	{ "cache", use_page_cache },
	{ "kernel", use_kernel_memory },
	{ "contiguous", use_contiguous_memory },
	{ "order", flip_order },
	{ "replug", replug_memory },
	{ "device", plug_device },
	{ "poison", poison_memory },
};

#define NR_WORKERS ARRAY_SIZE(workers)

static_assert(ARRAY_SIZE(shared->rounds) >= NR_WORKERS, "one counter each");

/* Whether @name is one of the names in @list, which commas separate. */
static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, name, len) && (!list[len] || list[len] == ','))
			return true;
	}
	return false;
}

static bool is_wanted(const struct worker *worker)
{
	if (worker->round == plug_device && !options.sample)
		return false;
	if (options.only)
		return is_listed(options.only, worker->name);
	return worker->round != poison_memory;
}

static noreturn void work(size_t i)
{
	struct sigaction action = { .sa_handler = interrupted };

	sigaction(SIGALRM, &action, NULL);
	srandom(options.seed * NR_WORKERS + i);
	may_fail = options.failslab || options.failpages;
	if (may_fail)
		mark_failing("self", true);
	while (!shared->stop) {
		workers[i].round();
		shared->rounds[i]++;
	}
	_exit(0);
}

/* Turn injected failures on or off. They are off while the parent reports. */
static void fail_allocations(bool on)
{
	if (options.failslab)
		put(FAILURES "failslab/probability", "%ld", on ? options.failslab : 0);
	if (options.failpages)
		put(FAILURES "fail_page_alloc/probability", "%ld", on ? options.failpages : 0);
}

static void must_put_failure(const char *kind, const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), FAILURES "%s/%s", kind, file);
	must_put(path, text);
}

/* For marked tasks only, but also for allocations that can wait for reclaim. */
static void prepare_failure(const char *kind)
{
	must_put_failure(kind, "verbose", "0");
	must_put_failure(kind, "interval", "1");
	must_put_failure(kind, "times", "-1");
	must_put_failure(kind, "ignore-gfp-wait", "N");
	must_put_failure(kind, "task-filter", "Y");
}

static void prepare_failures(void)
{
	if (options.failslab)
		prepare_failure("failslab");
	if (options.failpages) {
		prepare_failure("fail_page_alloc");
		must_put_failure("fail_page_alloc", "min-order", "0");
	}
	if (options.failslab || options.failpages)
		mark_workers();
}

static void start(pid_t *pids)
{
	size_t i;

	for (i = 0; i < NR_WORKERS; i++) {
		pids[i] = is_wanted(&workers[i]) ? fork() : 0;
		if (pids[i] < 0)
			fail("stress:", "fork", errno);
		if (!pids[i] && is_wanted(&workers[i]))
			work(i);
	}
}

static void report_progress(long long began_ms)
{
	char text[256] = "";
	size_t i, len = 0;

	for (i = 0; i < NR_WORKERS; i++)
		len += snprintf(text + len, sizeof(text) - len, " %s=%lu", workers[i].name,
				atomic_load(&shared->rounds[i]));
	report("event=progress s=%lld blocks=%lu reports=%lu errors=%lu offlined=%lu%s",
	       (now_ms() - began_ms) / 1000, atomic_load(&shared->blocks),
	       atomic_load(&shared->reports), atomic_load(&shared->errors),
	       atomic_load(&shared->offlined), text);
}

/* Workers end by themselves only after an error. */
static void expect_alive(const pid_t *pids)
{
	size_t i;

	for (i = 0; i < NR_WORKERS; i++) {
		int status;

		if (!pids[i] || !waitpid(pids[i], &status, WNOHANG))
			continue;
		report("event=error text=\"worker %s ended with status %#x: %s\"",
		       workers[i].name, status, shared->error);
		exit(1);
	}
}

static void watch(const pid_t *pids)
{
	long long began_ms = now_ms(), end_ms = began_ms + options.for_s * 1000;

	while (now_ms() < end_ms) {
		fail_allocations(true);
		nap(PROGRESS_S * 1000);
		fail_allocations(false);
		expect_alive(pids);
		report_progress(began_ms);
	}
}

static void join(const pid_t *pids)
{
	size_t i;

	shared->stop = true;
	for (i = 0; i < NR_WORKERS; i++) {
		int status;

		if (!pids[i])
			continue;
		if (waitpid(pids[i], &status, 0) < 0 || status) {
			report("event=error text=\"worker %s ended with status %#x: %s\"",
			       workers[i].name, status, shared->error);
			exit(1);
		}
	}
}

/* The sum of the numbers in the lines "KEY: number" or "KEY number" of a file for @keys. */
static long sum_of(const char *path, const char *const *keys, size_t nr)
{
	FILE *file = fopen(path, "r");
	char line[256], key[64];
	long value, sum = 0;
	size_t i;

	if (!file)
		fail("open", path, errno);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %63[^: ]%*[: ]%ld", key, &value) != 2)
			continue;
		for (i = 0; i < nr; i++)
			sum += strcmp(key, keys[i]) ? 0 : value;
	}
	fclose(file);
	return sum;
}

/* Memory in use by kinds of use that do not overlap, in KiB. */
static long used_kib(void)
{
	static const char * const keys[] = {
		"Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack",
		"PageTables", "SecPageTables", "VmallocUsed", "Percpu", "Hugetlb",
		"HardwareCorrupted",
	};

	return sum_of("/proc/meminfo", keys, ARRAY_SIZE(keys));
}

/* Pages on the per-CPU lists, which MemFree does not count, in KiB. */
static long percpu_kib(void)
{
	static const char * const keys[] = { "count" };

	return 4 * sum_of("/proc/zoneinfo", keys, ARRAY_SIZE(keys));
}

static long meminfo_kib(const char *key)
{
	return sum_of("/proc/meminfo", &key, 1);
}

/* Stack depot of page_owner and KASAN, which is never freed, in pools of four pages. */
static long stacks_kib(void)
{
	static const char * const keys[] = { "pools" };
	const char *path = "/sys/kernel/debug/stackdepot/stats";

	return access(path, R_OK) ? 0 : 16 * sum_of(path, keys, ARRAY_SIZE(keys));
}

/* Empty the caches, and wait for deferred frees. */
static void settle(void)
{
	int i;

	put("/proc/sys/vm/nr_hugepages", "0");
	visit_blocks(bring_back_block);
	for (i = 0; i < 3; i++) {
		must_put("/proc/sys/vm/drop_caches", "3");
		/* Folds the per-CPU counts. */
		must_put("/proc/sys/vm/stat_refresh", "1");
		nap(1000);
	}
}

/* With CONFIG_PAGE_REPORTING_DEBUG, the kernel can check all free lists and counters. */
static void check_lists(void)
{
	char text[256];

	if (read_text("/sys/kernel/debug/page_reporting/verify", text, sizeof(text)))
		return;
	report("event=verified result=%s", text);
	if (strncmp(text, "ok", strlen("ok"))) {
		report("event=error text=\"the free lists are not as they should be: %s\"", text);
		exit(1);
	}
}

/*
 * By how many pages the reported ones exceed those that are still reported and those that were
 * counted when they left.
 */
static long reported_surplus(long *reported)
{
	static const char * const out[] = {
		"nr_free_reported", "pgreport_refault", "pgreport_merge", "pgreport_clear",
	};
	const char *in = "pgreport";

	must_put("/proc/sys/vm/stat_refresh", "1");
	*reported = sum_of("/proc/vmstat", &in, 1);
	return *reported - sum_of("/proc/vmstat", out, ARRAY_SIZE(out));
}

/* The counters are not read at the same time, so try until they add up. */
static void check_counters(void)
{
	long reported, surplus;
	int looks = 100;

	while ((surplus = reported_surplus(&reported)) && --looks)
		nap(50);
	report("event=counters reported=%ld surplus=%ld", reported, surplus);
	if (surplus) {
		report("event=error text=\"the counters do not add up: %ld pages\"", surplus);
		exit(1);
	}
}

/* Returns the memory that is neither free nor accounted for, in KiB. */
static long take_stock(const char *when)
{
	long total, nr_free, percpu, used, stacks, other;

	settle();
	check_lists();
	check_counters();
	total = meminfo_kib("MemTotal");
	nr_free = meminfo_kib("MemFree");
	percpu = percpu_kib();
	used = used_kib();
	stacks = stacks_kib();
	other = total - nr_free - percpu - used - stacks;
	report("event=account when=%s total=%ld free=%ld percpu=%ld used=%ld stacks=%ld other=%ld",
	       when, total, nr_free, percpu, used, stacks, other);
	return other;
}

static void parse_option(const char *arg)
{
	const char *equals = strchr(arg, '=');
	const char *value = equals ? equals + 1 : "";

	if (is_option(arg, "for"))
		options.for_s = number(arg, value, INT_MAX / 1000);
	else if (is_option(arg, "fail"))
		options.fail = number(arg, value, 100);
	else if (is_option(arg, "failslab"))
		options.failslab = number(arg, value, 100);
	else if (is_option(arg, "failpages"))
		options.failpages = number(arg, value, 100);
	else if (is_option(arg, "seed"))
		options.seed = number(arg, value, INT_MAX);
	else if (is_option(arg, "only"))
		options.only = value;
	else if (!strcmp(arg, "device=sample"))
		options.sample = true;
	else if (strcmp(arg, "device=none"))
		usage(arg, "options are for, device=HOW, fail, failslab, failpages, seed, only");
}

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		parse_option(argv[i]);
	if (!options.for_s)
		usage("for", "for=S is needed");
}

static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("stress:", "mmap", errno);
}

static void load_orders(void)
{
	int err = load_module("orders", "");

	if (err)
		fail("load", "orders", -err);
}

/* Use everything once, so that tables that only grow are there before the start. */
static void warm_up(void)
{
	size_t i;
	int n;

	for (i = 0; i < NR_WORKERS; i++) {
		for (n = 0; is_wanted(&workers[i]) && n < 3; n++)
			workers[i].round();
	}
}

static void report_sums(long missing_kib)
{
	report("event=sums loads=%lu offlined=%lu contiguous=%lu poisoned=%lu moved=%lu",
	       atomic_load(&shared->loads), atomic_load(&shared->offlined),
	       atomic_load(&shared->contiguous), atomic_load(&shared->poisoned),
	       sum_of("/proc/vmstat", (const char *[]){ "pgreport_move" }, 1));
	report("event=stressed blocks=%lu reports=%lu errors=%lu missing=%ld",
	       atomic_load(&shared->blocks), atomic_load(&shared->reports),
	       atomic_load(&shared->errors), missing_kib);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = interrupted };
	pid_t pids[NR_WORKERS] = { };
	long before, after;

	parse(argc, argv);
	share();
	sigaction(SIGALRM, &action, NULL);
	load_orders();
	prepare_failures();
	must_put(PARAMETERS "page_reporting_delay_ms", "20");
	warm_up();
	unload("orders");
	before = take_stock("before");
	load_orders();
	start(pids);
	watch(pids);
	join(pids);
	unload("orders");
	after = take_stock("after");
	report_sums(after - before);
	return 0;
}
