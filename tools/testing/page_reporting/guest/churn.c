// SPDX-License-Identifier: GPL-2.0
/*
 * Allocate memory, touch it, free it, and pause, in a loop.
 *
 *   mem=SIZE	memory that each cycle takes, in M
 *   pause=MS	time from the free to the next cycle
 *   for=S	start no cycle after this time
 *   count=N	run at most so many cycles; one of the two is needed
 *   thp=HOW	always or never, by madvise(); without it, no advice
 *   of=WHAT	anon (the default); tmpfs: a file in /tmp; blocks: kernel memory of orders 4 to 8,
 *		which the module "blocks" allocates
 *   beside ...	run a second churn in parallel, with its own options of this kind
 *
 * How long was memory idle before it is taken? Free lists work as a stack: the block freed last is
 * taken first. So the program notes, for each MiB of its level (all that it holds), when the level
 * last fell below it. The MiB that is taken next has been idle since then: for less than SHORT_MS
 * (short), for longer (long), or it was not taken before (never). Memory of one of these kinds that
 * is taken in a row is a run; a pause is part of a short run. The model does not know the per-CPU
 * lists, nor memory that others take and free.
 *
 * Events: churning; run, when one begins; cycle, with the time to take and touch the memory, the
 * MiB of each kind taken so far, and the pages that the kernel counted as refaulted meanwhile;
 * churned, with the sums and the CPU time of the kernel's workers. A counter that the kernel does
 * not have is -1.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmstat.h"
#include "workers.h"

#define SHORT_MS	1400
#define MAX_MIB		8192
#define BESIDE		"beside"
#define HELD		"/sys/module/blocks/parameters/held_mib"

enum source { ANON, TMPFS, BLOCKS };

struct churn {
	long mib;
	long pause_ms;
	long for_s;
	long count;
	int advice;		/* for madvise(), -1 for none */
	enum source source;
	int fd;			/* the file in /tmp or the module's parameter, or -1 */
	char *mem;
	long cycles;
	long long took_ns;
};

enum idle { NEVER, SHORT, LONG, NR_IDLE };

static const char * const idle_names[] = { "never", "short", "long" };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Protected by the lock. */
static struct {
	long mib;				/* taken now */
	long long freed_ns[2 * MAX_MIB];	/* when @mib last fell to the index; 0: never */
	enum idle run;
	long long counter;			/* pgreport_refault, as last read */
	long taken_mib[NR_IDLE];
	long long refaulted[NR_IDLE];
} level;

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static long mib_of(const char *arg, char *value)
{
	size_t len = strlen(value);

	if (!len || value[len - 1] != 'M')
		usage(arg, "give a size such as 512M");
	value[len - 1] = '\0';
	return number(arg, value, MAX_MIB);
}

static int advice_of(const char *arg, const char *value)
{
	if (!strcmp(value, "always"))
		return MADV_HUGEPAGE;
	if (strcmp(value, "never"))
		usage(arg, "give always or never");
	return MADV_NOHUGEPAGE;
}

static enum source source_of(const char *arg, const char *value)
{
	if (!strcmp(value, "tmpfs"))
		return TMPFS;
	if (!strcmp(value, "blocks"))
		return BLOCKS;
	if (strcmp(value, "anon"))
		usage(arg, "give anon, tmpfs or blocks");
	return ANON;
}

static void parse_option(struct churn *churn, char *arg)
{
	char *equals = strchr(arg, '=');
	char *value = equals ? equals + 1 : arg;

	if (is_option(arg, "mem"))
		churn->mib = mib_of(arg, value);
	else if (is_option(arg, "pause"))
		churn->pause_ms = number(arg, value, INT_MAX);
	else if (is_option(arg, "for"))
		churn->for_s = number(arg, value, INT_MAX);
	else if (is_option(arg, "count"))
		churn->count = number(arg, value, INT_MAX);
	else if (is_option(arg, "thp"))
		churn->advice = advice_of(arg, value);
	else if (is_option(arg, "of"))
		churn->source = source_of(arg, value);
	else
		usage(arg, "options are mem, pause, for, count, thp, of");
}

/* Parse the options up to the end, or to the word "beside". Returns their number. */
static int parse(struct churn *churn, char **argv)
{
	int i;

	*churn = (struct churn){ .advice = -1, .fd = -1 };
	for (i = 0; argv[i] && strcmp(argv[i], BESIDE); i++)
		parse_option(churn, argv[i]);
	if (!churn->mib || !churn->for_s == !churn->count)
		usage("churn", "mem=SIZE and one of for=S and count=N are needed");
	return i;
}

/* Add the refaults since the last call to those of the current run. */
static void count_refaults(void)
{
	long long counter = read_counter("pgreport_refault");

	level.refaulted[level.run] += counter - level.counter;
	level.counter = counter;
}

static void enter_run(enum idle idle)
{
	if (level.run == idle)
		return;
	count_refaults();
	level.run = idle;
	report("event=run idle=%s t_ms=%lld", idle_names[idle], now_ms());
}

/* How long the next MiB to be taken has been idle. */
static enum idle idle_of_next(void)
{
	long long freed_ns = level.freed_ns[level.mib];

	if (!freed_ns)
		return NEVER;
	return now_ns() - freed_ns < SHORT_MS * 1000000LL ? SHORT : LONG;
}

static void hold_blocks(const struct churn *churn, long mib)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%ld", mib);

	if (pwrite(churn->fd, text, len, 0) != len)
		fail("churn: write", HELD, errno);
}

static void touch(const struct churn *churn, long i)
{
	size_t page = sysconf(_SC_PAGESIZE), off;

	if (churn->source == BLOCKS) {
		hold_blocks(churn, i + 1);
		return;
	}
	for (off = 0; off < MIB; off += page)
		memset(churn->mem + i * MIB + off, 1, 1);
}

/* Take MiB number @i. Returns the time that it took. */
static long long take_mib(const struct churn *churn, long i)
{
	long long start, took;

	pthread_mutex_lock(&lock);
	enter_run(idle_of_next());
	start = now_ns();
	touch(churn, i);
	took = now_ns() - start;
	level.taken_mib[level.run]++;
	level.mib++;
	pthread_mutex_unlock(&lock);
	return took;
}

static void open_source(struct churn *churn)
{
	char path[] = "/tmp/churn.XXXXXX";

	if (churn->source == TMPFS) {
		churn->fd = mkstemp(path);
		if (churn->fd < 0 || unlink(path) || ftruncate(churn->fd, churn->mib * MIB))
			fail("churn:", path, errno);
	} else if (churn->source == BLOCKS && churn->fd < 0) {
		churn->fd = open(HELD, O_WRONLY);
		if (churn->fd < 0)
			fail("churn: open", HELD, errno);
	}
}

static void map(struct churn *churn)
{
	int flags = churn->source == TMPFS ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (churn->source == BLOCKS)
		return;
	churn->mem = mmap(NULL, churn->mib * MIB, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE,
			  churn->fd, 0);
	if (churn->mem == MAP_FAILED)
		fail("churn:", "mmap", errno);
	if (churn->advice >= 0 && madvise(churn->mem, churn->mib * MIB, churn->advice))
		fail("churn:", "madvise", errno);
}

static void free_all(struct churn *churn)
{
	if (churn->source == BLOCKS)
		hold_blocks(churn, 0);
	else if (munmap(churn->mem, churn->mib * MIB))
		fail("churn:", "munmap", errno);
	if (churn->source == TMPFS && close(churn->fd))
		fail("churn:", "close", errno);
}

/* Free the memory of the cycle. Assumes that all MiB took the same time. */
static void give_back(struct churn *churn)
{
	long long start = now_ns(), took;
	long i;

	free_all(churn);
	took = now_ns() - start;
	pthread_mutex_lock(&lock);
	for (i = 1; i <= churn->mib; i++)
		level.freed_ns[--level.mib] = start + took * i / churn->mib;
	enter_run(SHORT);
	count_refaults();
	pthread_mutex_unlock(&lock);
}

/* Run one cycle. Returns the time to take and touch the memory, in ns. */
static long long cycle(struct churn *churn)
{
	long long start = now_ns(), took;
	long i;

	open_source(churn);
	map(churn);
	took = now_ns() - start;
	for (i = 0; i < churn->mib; i++)
		took += take_mib(churn, i);
	give_back(churn);
	return took;
}

static void report_cycle(long long took)
{
	bool counted = level.counter >= 0;

	pthread_mutex_lock(&lock);
	printf("event=cycle alloc_ns=%lld never_mib=%ld short_mib=%ld long_mib=%ld", took,
	       level.taken_mib[NEVER], level.taken_mib[SHORT], level.taken_mib[LONG]);
	report(" short_refaults=%lld long_refaults=%lld t_ms=%lld",
	       counted ? level.refaulted[SHORT] : -1, counted ? level.refaulted[LONG] : -1,
	       now_ms());
	pthread_mutex_unlock(&lock);
}

static bool is_over(const struct churn *churn, long long began_ms)
{
	if (churn->count)
		return churn->cycles >= churn->count;
	return now_ms() >= began_ms + churn->for_s * 1000LL;
}

static void *run(void *argument)
{
	struct churn *churn = argument;
	long long began_ms = now_ms(), took;

	while (!is_over(churn, began_ms)) {
		took = cycle(churn);
		churn->took_ns += took;
		churn->cycles++;
		report_cycle(took);
		usleep(churn->pause_ms * 1000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct churn first, second = {};
	int parsed = 1 + parse(&first, argv + 1);
	long workers = workers_ms();
	pthread_t beside;
	int err;

	if (parsed < argc && parsed + 1 + parse(&second, argv + parsed + 1) < argc)
		usage(BESIDE, "one is enough");
	level.counter = read_counter("pgreport_refault");
	report("event=churning passes=%lld t_ms=%lld", read_counter("page_reporting_pass"),
	       now_ms());
	err = second.mib ? pthread_create(&beside, NULL, run, &second) : 0;
	if (err)
		fail("churn:", "pthread_create", err);
	run(&first);
	if (second.mib)
		pthread_join(beside, NULL);
	report("event=churned cycles=%ld alloc_ns=%lld workers_ms=%ld passes=%lld t_ms=%lld",
	       first.cycles + second.cycles, first.took_ns + second.took_ns, workers_ms() - workers,
	       read_counter("page_reporting_pass"), now_ms());
	return 0;
}
