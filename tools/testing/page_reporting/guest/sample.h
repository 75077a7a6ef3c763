/* SPDX-License-Identifier: GPL-2.0 */
/* The sample driver and other modules of the initramfs, for the guest programs that use them. */
#ifndef GUEST_SAMPLE_H
#define GUEST_SAMPLE_H

#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "report.h"

#define SAMPLE		"page_reporting_sample"
#define SAMPLE_STATS	"/sys/module/" SAMPLE "/parameters/stats"

/* Load /modules/@name.ko with the parameters "name=value ...". Returns 0 or -errno. */
static inline int load_module(const char *name, const char *params)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return err;
}

/* The number after @key, such as "pages=", in the sample driver's statistics; 0 if not found. */
static inline unsigned long number_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	return found ? strtoul(found + strlen(key), NULL, 10) : 0;
}

#endif /* GUEST_SAMPLE_H */
