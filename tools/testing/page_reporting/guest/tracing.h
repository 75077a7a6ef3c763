/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's tracing, for the guest programs that use it. */
#ifndef GUEST_TRACING_H
#define GUEST_TRACING_H

#include <sys/mount.h>

#include "report.h"

#define TRACING	"/sys/kernel/tracing"

static inline void mount_tracing(void)
{
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		fail("mount", TRACING, errno);
}

static inline void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) == EOF)
		fail("write", path, errno);
	if (fclose(file))
		fail("write", path, errno);
}

#endif /* GUEST_TRACING_H */
