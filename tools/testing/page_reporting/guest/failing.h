/* SPDX-License-Identifier: GPL-2.0 */
/* Choose the tasks whose allocations fail, for guest programs that use fault injection. */
#ifndef GUEST_FAILING_H
#define GUEST_FAILING_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "report.h"

/* Let allocations of the process @pid, or "self", fail or not. It may have ended already. */
static inline void mark_failing(const char *pid, bool on)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/make-it-fail", pid);
	/* If the allocations of this process fail, open() can fail, too. */
	while ((fd = open(path, O_WRONLY)) < 0 && errno == ENOMEM)
		;
	if (fd < 0)
		return;
	while (write(fd, on ? "1" : "0", 1) != 1) {
		if (errno != ENOMEM)
			fail("write", path, errno);
	}
	close(fd);
}

/* A kernel worker, or the thread that starts new ones. */
static inline bool is_worker(const char *pid)
{
	char path[PATH_MAX], name[64];

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	return !read_text(path, name, sizeof(name)) &&
	       (!strncmp(name, "kworker", strlen("kworker")) || !strcmp(name, "kthreadd"));
}

static inline int mark_workers(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		if (!is_worker(entry->d_name))
			continue;
		mark_failing(entry->d_name, true);
		count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

#endif /* GUEST_FAILING_H */
