// SPDX-License-Identifier: GPL-2.0
/*
 * Take memory, touch it, give it back, pause; again and again.
 *
 *   mem=SIZE	what each cycle takes, in M
 *   pause=MS	from giving back to the next cycle
 *   for=S	no cycle starts later than this
 *   count=N	or no more cycles than these; one of the two is needed
 *   thp=HOW	always or never; no advice without it
 *
 * Events: churning; cycle, with the time that taking and touching took; churned, with the sums and
 * the CPU time of the kernel's workers meanwhile.
 */
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "workers.h"

struct churn {
	size_t mem;
	long pause_ms;
	long for_s;
	long count;
	int advice;		/* for madvise(), -1 for none */
};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static size_t size_of(const char *arg, char *value)
{
	size_t len = strlen(value);

	if (!len || value[len - 1] != 'M')
		usage(arg, "give a size such as 512M");
	value[len - 1] = '\0';
	return number(arg, value, INT_MAX) * MIB;
}

static int advice_of(const char *arg, const char *value)
{
	if (!strcmp(value, "always"))
		return MADV_HUGEPAGE;
	if (strcmp(value, "never"))
		usage(arg, "give always or never");
	return MADV_NOHUGEPAGE;
}

static void parse_option(struct churn *churn, char *arg)
{
	char *equals = strchr(arg, '=');
	char *value = equals ? equals + 1 : arg;

	if (is_option(arg, "mem"))
		churn->mem = size_of(arg, value);
	else if (is_option(arg, "pause"))
		churn->pause_ms = number(arg, value, INT_MAX);
	else if (is_option(arg, "for"))
		churn->for_s = number(arg, value, INT_MAX);
	else if (is_option(arg, "count"))
		churn->count = number(arg, value, INT_MAX);
	else if (is_option(arg, "thp"))
		churn->advice = advice_of(arg, value);
	else
		usage(arg, "options are mem, pause, for, count, thp");
}

static struct churn parse(int argc, char **argv)
{
	struct churn churn = { .advice = -1 };
	int i;

	for (i = 1; i < argc; i++)
		parse_option(&churn, argv[i]);
	if (!churn.mem || !churn.for_s == !churn.count)
		usage("churn", "mem=SIZE and one of for=S and count=N are needed");
	return churn;
}

/* One cycle: how long it took to take and touch the memory, in nanoseconds. */
static long long cycle(const struct churn *churn)
{
	size_t page = sysconf(_SC_PAGESIZE), off;
	long long start = now_ns(), took;
	char *mem;

	mem = mmap(NULL, churn->mem, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		fail("churn:", "mmap", errno);
	if (churn->advice >= 0 && madvise(mem, churn->mem, churn->advice))
		fail("churn:", "madvise", errno);
	for (off = 0; off < churn->mem; off += page)
		memset(mem + off, 1, 1);
	took = now_ns() - start;
	if (munmap(mem, churn->mem))
		fail("churn:", "munmap", errno);
	return took;
}

static bool is_over(const struct churn *churn, long cycles, long long began_ms)
{
	if (churn->count)
		return cycles >= churn->count;
	return now_ms() >= began_ms + churn->for_s * 1000LL;
}

int main(int argc, char **argv)
{
	struct churn churn = parse(argc, argv);
	long long began_ms = now_ms(), took, sum = 0;
	long cycles = 0, workers = workers_ms();

	report("event=churning t_ms=%lld", now_ms());
	while (!is_over(&churn, cycles, began_ms)) {
		took = cycle(&churn);
		sum += took;
		cycles++;
		report("event=cycle alloc_ns=%lld t_ms=%lld", took, now_ms());
		usleep(churn.pause_ms * 1000);
	}
	report("event=churned cycles=%ld alloc_ns=%lld workers_ms=%ld t_ms=%lld", cycles, sum,
	       workers_ms() - workers, now_ms());
	return 0;
}
