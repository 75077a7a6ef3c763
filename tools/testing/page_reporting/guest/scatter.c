// SPDX-License-Identifier: GPL-2.0
/*
 * Take memory in single pages, free a share of them one by one in random order, and wait. Then
 * replace pages for some time: free one, and touch one that was freed before. In the end, each page
 * that is left must still have its content.
 *
 *   mib=N	memory to take
 *   free=P	share of it to free, in percent (90)
 *   wait=S	how long to wait after that (20)
 *   flush=1	half way through this wait, flush with "compact"
 *   flush=2	the same with the kernel's own compaction of all memory
 *   rounds=N	number of rounds; each replaces one of 16 pages at random, flushes with "compact"
 *		while a pipe holds some pages and others are locked, and verifies all pages
 *   churn=S	how long to replace pages, at most one every 20 us (0)
 *
 * Events: touched; scattered, after the free; flushed, with the time it took; settled, after the
 * wait, with the pages moved, and refaulted since the free; churned, with the number of
 * replacements, their mean time, the CPU time of the kernel's workers, and the times to touch a new
 * page and to read an existing one (50th, 99th and 99.9th percentile, in ns); rounds, after the last
 * one, with the pages moved; intact, if nothing was lost.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "report.h"
#include "vmstat.h"
#include "workers.h"

#define FLUSH		"/sys/kernel/mm/page_reporting/flush"
#define PAGE		4096UL
#define PAUSE_NS	20000
/* Pages that a pipe holds in a round, and as many that are locked. */
#define HELD		64
/* One step of each histogram is an eighth of a power of two. */
#define STEPS		8
#define BUCKETS		(STEPS * 40)

static long mib, free_percent = 90, wait_s = 20, flush, churn_s, rounds;

/* The pages in random order. The first @there of them exist. */
static unsigned int *pages;
static unsigned long nr, there;
static char *mem;
/* The kernel's count of refaults when the pages had been freed. */
static long long refaulted;

struct times {
	unsigned long counts[BUCKETS];
	unsigned long nr;
};

static struct times touches, reads;

static unsigned long random_below(unsigned long below)
{
	static uint64_t seed = 88172645463325252ULL;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void add_time(struct times *times, long long ns)
{
	unsigned int log = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - 3;
	unsigned int bucket = log * STEPS + (ns >> log);

	times->counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	times->nr++;
}

/* The time that @per_mille of all took at most. */
static long long time_of(const struct times *times, unsigned int per_mille)
{
	unsigned long left = times->nr * per_mille / 1000;
	unsigned int bucket;

	for (bucket = 0; bucket < BUCKETS; bucket++) {
		if (left < times->counts[bucket])
			break;
		left -= times->counts[bucket];
	}
	if (bucket < 2 * STEPS)
		return bucket;
	return (long long)(STEPS + bucket % STEPS) << (bucket / STEPS - 1);
}

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		long *value;
	} options[] = {
		{ "mib", &mib }, { "free", &free_percent }, { "wait", &wait_s },
		{ "flush", &flush }, { "churn", &churn_s }, { "rounds", &rounds },
	};
	size_t o;
	int i;

	for (i = 1; i < argc; i++) {
		for (o = 0; o < ARRAY_SIZE(options); o++)
			if (is_option(argv[i], options[o].name))
				break;
		if (o == ARRAY_SIZE(options))
			usage(argv[i], "options are mib, free, wait, flush, churn, rounds");
		*options[o].value = number(argv[i], strchr(argv[i], '=') + 1, INT_MAX);
	}
	if (!mib || free_percent < 1 || free_percent > 99)
		usage("mib", "mib=N and a share of 1 to 99 are needed");
}

static uint64_t *page_at(unsigned long place)
{
	return (uint64_t *)(mem + pages[place] * PAGE);
}

/* A page has its number at its start, and the opposite at its end. */
static void write_page(unsigned long place)
{
	uint64_t *page = page_at(place);

	page[0] = pages[place] + 1;
	page[PAGE / sizeof(*page) - 1] = ~page[0];
}

static void take(void)
{
	unsigned long i;

	nr = mib * MIB / PAGE;
	pages = malloc(nr * sizeof(*pages));
	mem = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED || !pages)
		fail("scatter:", "memory", errno);
	/* Not an error: a kernel without huge pages takes single ones anyway. */
	madvise(mem, nr * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < nr; i++) {
		pages[i] = i;
		write_page(i);
	}
	there = nr;
}

static void swap_pages(unsigned long a, unsigned long b)
{
	unsigned int page = pages[a];

	pages[a] = pages[b];
	pages[b] = page;
}

/* Gives back one of those that are there. */
static void give_one(void)
{
	swap_pages(random_below(there), there - 1);
	there--;
	if (madvise(page_at(there), PAGE, MADV_DONTNEED))
		fail("scatter:", "madvise", errno);
}

static void replace_one(void)
{
	volatile uint64_t *page;
	long long begin;

	give_one();
	swap_pages(there, there + random_below(nr - there));
	begin = now_ns();
	write_page(there);
	add_time(&touches, now_ns() - begin);
	there++;
	page = page_at(random_below(there));
	begin = now_ns();
	page[1];
	add_time(&reads, now_ns() - begin);
}

/* Pages refaulted since the free; -1 if this kernel does not count them. */
static long long refaults(void)
{
	long long counter = read_counter("pgreport_refault");

	return counter < 0 ? -1 : counter - refaulted;
}

/* What the kernel has moved up to now, on the line of an event. */
static const char *moves(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "moved=%lld emptied=%lld failed=%lld refaults=%lld",
		 read_counter("pgreport_move"), read_counter("page_reporting_empty"),
		 read_counter("page_reporting_empty_fail"), refaults());
	return text;
}

static void churn(void)
{
	long long begin = now_ns(), end = begin + churn_s * 1000000000LL, t, busy = 0;
	long workers = workers_ms();
	unsigned long count = 0;

	for (t = begin; t < end; t = now_ns()) {
		replace_one();
		count++;
		busy += now_ns() - t;
		while (now_ns() < t + PAUSE_NS)
			;
	}
	report("event=churned t_ms=%lld count=%lu mean_ns=%lld workers_ms=%ld %s touch_p50_ns=%lld touch_p99_ns=%lld touch_p999_ns=%lld read_p50_ns=%lld read_p99_ns=%lld read_p999_ns=%lld",
	       now_ms(), count, busy / (long long)count, workers_ms() - workers, moves(),
	       time_of(&touches, 500), time_of(&touches, 990), time_of(&touches, 999),
	       time_of(&reads, 500), time_of(&reads, 990), time_of(&reads, 999));
}

static void write_flush(void)
{
	write_text(FLUSH, "compact");
}

static void flush_now(void)
{
	long long begin = now_ms();
	char text[128];

	if (flush == 2) {
		write_text("/proc/sys/vm/compact_memory", "1");
		write_text(FLUSH, "all");
	} else {
		write_flush();
	}
	if (read_text(FLUSH, text, sizeof(text)))
		fail("scatter:", FLUSH, EIO);
	report("event=flushed t_ms=%lld took_ms=%lld text=\"%s\"", now_ms(), now_ms() - begin, text);
}

static bool is_page(const uint64_t *page, unsigned long place)
{
	return page[0] == pages[place] + 1ULL && page[PAGE / sizeof(*page) - 1] == ~page[0];
}

static void check(void)
{
	unsigned long i, wrong = 0;

	for (i = 0; i < there; i++)
		wrong += !is_page(page_at(i), i);
	if (wrong)
		fail("scatter:", "pages that changed", EIO);
}

/* Pages from @first on, that a pipe holds. */
static void hold(unsigned long first, int pipe)
{
	unsigned long i;

	for (i = first; i < first + HELD; i++)
		if (vmsplice(pipe, &(struct iovec){ page_at(i), PAGE }, 1, 0) != PAGE)
			fail("scatter:", "vmsplice", errno);
}

/* What came out of the pipe is what was put in. */
static void release(unsigned long first, int pipe)
{
	static uint64_t page[PAGE / sizeof(uint64_t)];
	unsigned long i;

	for (i = first; i < first + HELD; i++)
		if (read(pipe, page, PAGE) != PAGE || !is_page(page, i))
			fail("scatter:", "a page in a pipe that changed", EIO);
}

static void one_round(const int *pipes)
{
	unsigned long i, held, locked;

	for (i = 0; i < there / 16; i++)
		replace_one();
	held = random_below(there - HELD);
	locked = random_below(there - HELD);
	hold(held, pipes[1]);
	for (i = locked; i < locked + HELD; i++)
		if (mlock(page_at(i), PAGE))
			fail("scatter:", "mlock", errno);
	write_flush();
	check();
	release(held, pipes[0]);
	if (munlockall())
		fail("scatter:", "munlockall", errno);
}

static void do_rounds(void)
{
	long i, part = rounds < 20 ? rounds : rounds / 20;
	int pipes[2];

	if (pipe(pipes) || fcntl(pipes[1], F_SETPIPE_SZ, 2 * HELD * PAGE) < 0)
		fail("scatter:", "pipe", errno);
	for (i = 1; i <= rounds; i++) {
		one_round(pipes);
		if (i % part == 0)
			report("event=progress t_ms=%lld rounds=%ld %s", now_ms(), i, moves());
	}
	report("event=rounds t_ms=%lld nr=%ld %s", now_ms(), rounds, moves());
}

int main(int argc, char **argv)
{
	long workers;

	parse(argc, argv);
	take();
	report("event=touched t_ms=%lld", now_ms());
	while (there > nr / 100 * (100 - free_percent))
		give_one();
	workers = workers_ms();
	refaulted = read_counter("pgreport_refault");
	report("event=scattered t_ms=%lld", now_ms());
	if (flush) {
		sleep(wait_s / 2);
		flush_now();
		sleep(wait_s - wait_s / 2);
	} else {
		sleep(wait_s);
	}
	report("event=settled t_ms=%lld %s workers_ms=%ld", now_ms(), moves(),
	       workers_ms() - workers);
	if (churn_s)
		churn();
	if (rounds)
		do_rounds();
	check();
	report("event=intact t_ms=%lld pages=%lu", now_ms(), there);
	return 0;
}
