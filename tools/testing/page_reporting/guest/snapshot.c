// SPDX-License-Identifier: GPL-2.0
/*
 * Prepare a guest for a snapshot after a build. Unmounts the host's root, as a guest with a 9p file
 * system cannot be migrated, and keeps the objects that were built.
 *
 *   before=HOW	nothing; flush: report all free memory; compact: compact it first; zero: take and
 *		clear all free memory
 *
 * Event: ready, with the time it took, the free memory afterwards in KiB, and whether the kernel
 * supports this. The program ends when the host sends a line.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostroot.h"
#include "meminfo.h"

#define FLUSH	"/sys/kernel/mm/page_reporting/flush"
#define OBJECTS	"/tmp/objects"
/*
 * Memory that is not taken: for the watermarks, which transparent huge pages raise, and for the
 * per-CPU lists.
 */
#define LEFT_KIB 98304

/* The objects are on a tmpfs in the host's root. */
static void leave_host(void)
{
	if (mkdir(OBJECTS, 0755) || mount(HOST "/tmp", OBJECTS, NULL, MS_MOVE, NULL))
		fail("move", HOST "/tmp", errno);
	if (umount(HOST "/dev") || umount(HOST))
		fail("unmount", HOST, errno);
}

/* Returns whether the kernel supports this word. */
static bool flush(const char *word)
{
	int fd = open(FLUSH, O_WRONLY);
	bool known;

	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0)
		fail("open", FLUSH, errno);
	known = write(fd, word, strlen(word)) >= 0;
	if (!known && errno != EINVAL)
		fail("write", FLUSH, errno);
	close(fd);
	return known;
}

static void clear_free_memory(void)
{
	size_t size = (read_kib("MemFree:") - LEFT_KIB) * 1024;
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		fail("snapshot:", "mmap", errno);
	memset(mem, 0, size);
	if (munmap(mem, size))
		fail("snapshot:", "munmap", errno);
}

static bool prepare(const char *before)
{
	if (!strcmp(before, "flush"))
		return flush("all");
	if (!strcmp(before, "compact"))
		return flush("compact");
	if (!strcmp(before, "zero"))
		clear_free_memory();
	else if (strcmp(before, "nothing"))
		usage(before, "give nothing, flush, compact or zero");
	return true;
}

int main(int argc, char **argv)
{
	long long began_ms;
	char line[16];
	bool known;

	if (argc != 2 || !is_option(argv[1], "before"))
		usage(argc > 1 ? argv[1] : "snapshot", "give before=WAY");
	leave_host();
	began_ms = now_ms();
	known = prepare(argv[1] + strlen("before="));
	report("event=ready known=%d took_ms=%lld free_kib=%ld t_ms=%lld", known,
	       now_ms() - began_ms, read_kib("MemFree:"), now_ms());
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		fail("read", "a line of the host", errno);
	return 0;
}
