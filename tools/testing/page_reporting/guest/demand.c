// SPDX-License-Identifier: GPL-2.0
/*
 * Replay the memory usage of a recorded program.
 *
 *   trace=PATH	a file on the host, whose root is mounted read-only over 9p. Its lines are
 *		MS,PAGES, in pages of 4 KiB, or comments that begin with #
 *   rounds=N	how often to replay it
 *
 * The program sleeps for the time between two lines. The time to allocate memory is added to this,
 * so that the guest falls behind the recording.
 *
 * Events: demanding; demanded, with the time that it took and the maximum that was taken.
 */
#include <limits.h>
#include <sys/mman.h>

#include "hostroot.h"

#define CHUNK		MIB		/* unit in which memory is taken and freed */
#define MAX_CHUNKS	4096L
#define MAX_STEPS	4096
#define PAGES_PER_CHUNK	256L

struct step {
	long ms;
	long chunks;
};

static const char *trace;
static long rounds = 1;
static struct step steps[MAX_STEPS];
static char *taken[MAX_CHUNKS];
static long count, peak;

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "trace"))
			trace = argv[i] + strlen("trace=");
		else if (is_option(argv[i], "rounds"))
			rounds = number(argv[i], argv[i] + strlen("rounds="), INT_MAX);
		else
			usage(argv[i], "options are trace, rounds");
	}
	if (!trace || !rounds)
		usage("trace", "trace=PATH and rounds=N, 1 or more, are needed");
}

/* Parse a line of the trace. */
static struct step parse_step(const char *line)
{
	struct step step;
	char after;
	long pages;

	if (sscanf(line, "%ld,%ld %c", &step.ms, &pages, &after) != 2 || step.ms < 0 ||
	    pages < 0 || pages > MAX_CHUNKS * PAGES_PER_CHUNK)
		usage(line, "a line is ms,pages, with a million pages at most");
	step.chunks = (pages + PAGES_PER_CHUNK - 1) / PAGES_PER_CHUNK;
	return step;
}

/* Read the trace. Returns the number of its steps. */
static int read_trace(void)
{
	FILE *file = fopen(trace, "r");
	char line[128];
	int n = 0;

	if (!file)
		fail("open", trace, errno);
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (n == MAX_STEPS)
			usage(trace, "more lines than this program takes");
		steps[n] = parse_step(line);
		if (n && steps[n].ms < steps[n - 1].ms)
			usage(line, "times have to rise");
		n++;
	}
	if (ferror(file))
		fail("read", trace, errno);
	fclose(file);
	return n;
}

static void take_one(void)
{
	char *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t page = sysconf(_SC_PAGESIZE), off;

	if (chunk == MAP_FAILED)
		fail("demand:", "mmap", errno);
	for (off = 0; off < CHUNK; off += page)
		chunk[off] = 1;
	taken[count++] = chunk;
}

static void free_one(void)
{
	if (munmap(taken[--count], CHUNK))
		fail("demand:", "munmap", errno);
}

static void go_through(int n)
{
	long before_ms = 0;
	int i;

	for (i = 0; i < n; i++) {
		usleep((steps[i].ms - before_ms) * 1000);
		before_ms = steps[i].ms;
		while (count < steps[i].chunks)
			take_one();
		while (count > steps[i].chunks)
			free_one();
		if (count > peak)
			peak = count;
	}
}

int main(int argc, char **argv)
{
	long long began_ms;
	int n;

	parse(argc, argv);
	enter_host();
	n = read_trace();
	began_ms = now_ms();
	report("event=demanding steps=%d t_ms=%lld", n, began_ms);
	while (rounds--)
		go_through(n);
	report("event=demanded peak_mib=%ld took_ms=%lld t_ms=%lld", peak, now_ms() - began_ms,
	       now_ms());
	return 0;
}
