// SPDX-License-Identifier: GPL-2.0
/*
 * What follows a build: remove the objects that the program compile has left, and drop the caches.
 *
 *   wait=S	time to stay idle after the objects are removed
 *   rest=S	time to stay idle after the caches are dropped
 *
 * Events, each at the end of that time: cleaned; rested, with the free memory in KiB.
 */
#include <dirent.h>
#include <limits.h>

#include "hostroot.h"
#include "meminfo.h"

#define OBJECTS		HOST "/tmp"
#define DROP_CACHES	"/proc/sys/vm/drop_caches"

static void remove_objects(void)
{
	DIR *dir = opendir(OBJECTS);
	struct dirent *entry;
	int removed = 0;

	if (!dir)
		fail("open", OBJECTS, errno);
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_REG)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0))
			fail("remove", entry->d_name, errno);
		removed++;
	}
	closedir(dir);
	if (!removed)
		fail("clean", OBJECTS, ENOENT);
}

static void drop_caches(void)
{
	int fd = open(DROP_CACHES, O_WRONLY);

	if (fd < 0 || write(fd, "3", 1) != 1)
		fail("write", DROP_CACHES, errno);
	close(fd);
}

int main(int argc, char **argv)
{
	long wait_s = 0, rest_s = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "wait"))
			wait_s = number(argv[i], argv[i] + strlen("wait="), INT_MAX);
		else if (is_option(argv[i], "rest"))
			rest_s = number(argv[i], argv[i] + strlen("rest="), INT_MAX);
		else
			usage(argv[i], "options are wait, rest");
	}
	remove_objects();
	sleep(wait_s);
	report("event=cleaned t_ms=%lld", now_ms());
	drop_caches();
	sleep(rest_s);
	report("event=rested free_kib=%ld t_ms=%lld", read_kib("MemFree:"), now_ms());
	return 0;
}
