/* SPDX-License-Identifier: GPL-2.0 */
/* Values of /proc/meminfo. */
#ifndef GUEST_MEMINFO_H
#define GUEST_MEMINFO_H

#include "report.h"

#define MEMINFO	"/proc/meminfo"

/* Read all of /proc/meminfo into @text. */
static inline void read_meminfo(char *text, size_t size)
{
	must_read_text(MEMINFO, text, size);
}

/* The value in KiB on the line of @text that begins with @key, which ends in a colon. */
static inline long find_kib(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	if (!line)
		fail("find in " MEMINFO, key, ENODATA);
	return strtol(line + strlen(key), NULL, 10);
}

/* The same, of the current values. */
static inline long read_kib(const char *key)
{
	char text[8192];

	read_meminfo(text, sizeof(text));
	return find_kib(text, key);
}

#endif /* GUEST_MEMINFO_H */
