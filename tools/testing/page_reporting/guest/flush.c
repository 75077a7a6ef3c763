// SPDX-License-Identifier: GPL-2.0
/*
 * Prepare a guest for a snapshot: report all free memory now if the kernel can do that, or else
 * wait.
 *
 *   wait=S	how long to wait if the kernel cannot flush
 *
 * Events: flushed, with the time it took; or waited, if the kernel cannot flush.
 */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "report.h"

#define FLUSH	"/sys/kernel/mm/page_reporting/flush"

static void flush(int fd)
{
	long long began_ms = now_ms();

	if (write(fd, "all", 3) != 3)
		fail("write", FLUSH, errno);
	report("event=flushed took_ms=%lld t_ms=%lld", now_ms() - began_ms, now_ms());
}

int main(int argc, char **argv)
{
	long wait_s;
	int fd;

	if (argc != 2 || !is_option(argv[1], "wait"))
		usage(argc > 1 ? argv[1] : "flush", "give wait=S");
	wait_s = number(argv[1], argv[1] + strlen("wait="), INT_MAX);
	fd = open(FLUSH, O_WRONLY);
	if (fd >= 0) {
		flush(fd);
		return 0;
	}
	if (errno != ENOENT)
		fail("open", FLUSH, errno);
	sleep(wait_s);
	report("event=waited t_ms=%lld", now_ms());
	return 0;
}
