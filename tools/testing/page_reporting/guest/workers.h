/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The CPU time that the kernel's workers took, of which reporting is a part.
 */
#ifndef GUEST_WORKERS_H
#define GUEST_WORKERS_H

#include <ctype.h>
#include <dirent.h>
#include <unistd.h>

#include "report.h"

/* Ticks of CPU time of a task whose name begins with kworker/, else 0: proc(5), stat. */
static inline long worker_ticks(const char *pid)
{
	char path[64], text[512], *rest;
	long user, system;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	/* It may be gone by now. */
	if (read_text(path, text, sizeof(text)) || !strstr(text, "(kworker/"))
		return 0;
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
			    &user, &system) != 2)
		fail("workers:", path, EPROTO);
	return user + system;
}

/* CPU time of all workers that there are, in ms: exact to a tick of 10 ms for each. */
static inline long workers_ms(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	long ticks = 0;

	if (!dir)
		fail("workers:", "/proc", errno);
	while ((entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			ticks += worker_ticks(entry->d_name);
	closedir(dir);
	return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

#endif /* GUEST_WORKERS_H */
