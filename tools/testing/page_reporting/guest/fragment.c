// SPDX-License-Identifier: GPL-2.0
/*
 * Take memory, free a hole in each piece of it, wait, free the rest, and wait again.
 *
 *   mib=N	memory to take
 *   wait=S	how long to wait, each time
 *   hold=S	how long to wait before the holes are freed (0)
 *   each=KIB	size of a piece (2048)
 *   hole=KIB	size of the hole at the beginning of each piece (1024)
 *
 * Events: touched; half, after the holes were freed and the first wait; all, after the second one.
 */
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

#define KIB	1024UL

static long mib, wait_s, hold_s, each_kib = 2048, hole_kib = 1024;

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		long *value;
	} options[] = {
		{ "mib", &mib }, { "wait", &wait_s }, { "hold", &hold_s },
		{ "each", &each_kib }, { "hole", &hole_kib },
	};
	size_t o;
	int i;

	for (i = 1; i < argc; i++) {
		for (o = 0; o < ARRAY_SIZE(options); o++)
			if (is_option(argv[i], options[o].name))
				break;
		if (o == ARRAY_SIZE(options))
			usage(argv[i], "options are mib, wait, hold, each, hole");
		*options[o].value = number(argv[i], strchr(argv[i], '=') + 1, INT_MAX);
	}
	if (!mib)
		usage("mib", "mib=N is needed");
	if (!hole_kib || hole_kib > each_kib)
		usage("hole", "give a size from 1 to that of a piece, in KiB");
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

static void give_back_holes(char *mem)
{
	size_t off;

	for (off = 0; off + hole_kib * KIB <= mib * MIB; off += each_kib * KIB) {
		if (munmap(mem + off, hole_kib * KIB))
			fail("fragment:", "munmap", errno);
	}
}

int main(int argc, char **argv)
{
	char *mem;

	parse(argc, argv);
	mem = take();
	report("event=touched t_ms=%lld", now_ms());
	sleep(hold_s);
	give_back_holes(mem);
	sleep(wait_s);
	report("event=half t_ms=%lld", now_ms());
	sleep(hold_s);
	/* munmap() accepts the holes. */
	if (munmap(mem, mib * MIB))
		fail("fragment:", "munmap", errno);
	sleep(wait_s);
	report("event=all t_ms=%lld", now_ms());
	return 0;
}
