// SPDX-License-Identifier: GPL-2.0
/*
 * Take memory, give back every other MiB of it, wait, give back the rest, wait.
 *
 *   mib=N	what to take
 *   wait=S	how long to wait, each time
 *
 * Events: touched, half (half of it was given back and the wait is over), all (the same for all).
 */
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

static long mib, wait_s;

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "mib"))
			mib = number(argv[i], argv[i] + strlen("mib="), INT_MAX);
		else if (is_option(argv[i], "wait"))
			wait_s = number(argv[i], argv[i] + strlen("wait="), INT_MAX);
		else
			usage(argv[i], "options are mib, wait");
	}
	if (!mib)
		usage("mib", "mib=N is needed");
}

static char *take(void)
{
	size_t page = sysconf(_SC_PAGESIZE), size = mib * MIB, off;
	char *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		fail("fragment:", "mmap", errno);
	for (off = 0; off < size; off += page)
		memset(mem + off, 1, 1);
	return mem;
}

static void give_back_half(char *mem)
{
	long i;

	for (i = 0; i < mib; i += 2) {
		if (munmap(mem + i * MIB, MIB))
			fail("fragment:", "munmap", errno);
	}
}

int main(int argc, char **argv)
{
	char *mem;

	parse(argc, argv);
	mem = take();
	report("event=touched t_ms=%lld", now_ms());
	give_back_half(mem);
	sleep(wait_s);
	report("event=half t_ms=%lld", now_ms());
	/* What was given back already is no error here. */
	if (munmap(mem, mib * MIB))
		fail("fragment:", "munmap", errno);
	sleep(wait_s);
	report("event=all t_ms=%lld", now_ms());
	return 0;
}
