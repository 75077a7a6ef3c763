/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of /proc/vmstat. A kernel without a counter is not an error here, as the stock kernel
 * has none of free page reporting.
 */
#ifndef GUEST_VMSTAT_H
#define GUEST_VMSTAT_H

#include "report.h"

#define VMSTAT	"/proc/vmstat"

/* Read all of /proc/vmstat into @text. */
static inline void read_vmstat(char *text, size_t size)
{
	must_read_text(VMSTAT, text, size);
}

/* The value of the counter @name in @text; -1 if there is none. */
static inline long long find_counter(const char *text, const char *name)
{
	size_t len = strlen(name);
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	}
	return -1;
}

/* The current value of the counter @name; -1 if this kernel does not have it. */
static inline long long read_counter(const char *name)
{
	char text[16384];

	read_vmstat(text, sizeof(text));
	return find_counter(text, name);
}

#endif /* GUEST_VMSTAT_H */
