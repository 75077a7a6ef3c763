/* SPDX-License-Identifier: GPL-2.0 */
/* Whose allocations fail on purpose, for the guest programs that see to it. */
#ifndef GUEST_FAILING_H
#define GUEST_FAILING_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "report.h"

/* Whether allocations of a process, such as "self", may fail; it may be gone already. */
static inline void mark_failing(const char *pid, bool on)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/make-it-fail", pid);
	/* Of a process whose allocations fail, even this can. */
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

/* Workers, and the thread that new ones are started from. */
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
