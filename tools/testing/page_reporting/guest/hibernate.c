// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernate to /dev/vda and resume from the image at once, in the same machine, with the device of
 * module/fixes.c. For tests/test_fixes.py.
 *
 * The number of pages that were reported before and after goes to the console, because the progress
 * channel does not work after the resume: on 7.3.4, each write to it waits for ever. According to
 * its source, virtio_console asks the host for the state of its port before there is a buffer for
 * the answer.
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
