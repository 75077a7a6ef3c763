/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The CPU time of the kernel's workers, which includes that of page reporting.
 */
#ifndef GUEST_WORKERS_H
#define GUEST_WORKERS_H

#include <ctype.h>
#include <dirent.h>
#include <unistd.h>

#include "report.h"

/* CPU time of a kworker in ticks, from its stat file, see proc(5); 0 for other tasks. */
static inline long worker_ticks(const char *pid)
{
	char path[64], text[512], *rest;
	long user, system;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	/* The task may have ended by now. */
	if (read_text(path, text, sizeof(text)) || !strstr(text, "(kworker/"))
		return 0;
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
			    &user, &system) != 2)
		fail("workers:", path, EPROTO);
	return user + system;
}

/* CPU time of all current kworkers in ms, with an error of at most 10 ms for each. */
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
