// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernate to /dev/vda and go on from the image at once, in the same machine, with the device of
 * module/fixes.c: for tests/test_fixes.py.
 *
 * What was reported before, and when all was reported again, goes to the console. The channel for
 * events is dead by then: on 7.3.4, each write to it waits for ever. By its source, virtio_console
 * asks the host for the state of its port before there is a buffer for the answer.
 */
#include <sys/swap.h>
#include <unistd.h>

#include "report.h"

#define DISK	"/dev/vda"
#define PARAMS	"/sys/module/fixes/parameters/"

static unsigned long reported_pages(void)
{
	char text[32];
	int err = read_text(PARAMS "reported_pages", text, sizeof(text));

	if (err)
		fail("read", PARAMS "reported_pages", -err);
	return strtoul(text, NULL, 10);
}

int main(void)
{
	unsigned long before = reported_pages();

	if (swapon(DISK, 0))
		fail("swap to", DISK, errno);
	write_text("/sys/power/disk", "test_resume");
	write_text("/sys/power/state", "disk");
	write_text(PARAMS "settle", "1");
	fprintf(stderr, "hibernated: before=%lu after=%lu\n", before, reported_pages() - before);
	for (;;)
		pause();
}
