/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Make the host's root the root of a guest program, so that it can use the host's tools.
 */
#ifndef GUEST_HOSTROOT_H
#define GUEST_HOSTROOT_H

#include <sys/mount.h>
#include <unistd.h>

#include "report.h"

#define HOST	"/host"		/* the tag of the 9p device, and where it is mounted */

static inline void mount_or_fail(const char *what, const char *where, const char *type,
				 unsigned long flags, const char *data)
{
	if (mount(what, where, type, flags, data))
		fail("mount", where, errno);
}

/* Enter the host's root, which is read-only, with the guest's own /tmp and /dev. */
static inline void enter_host(void)
{
	mount_or_fail("host", HOST, "9p", MS_RDONLY,
		      "trans=virtio,version=9p2000.L,cache=loose,msize=131072");
	mount_or_fail("tmpfs", HOST "/tmp", "tmpfs", 0, NULL);
	mount_or_fail("/dev", HOST "/dev", NULL, MS_BIND, NULL);
	if (chroot(HOST) || chdir("/tmp"))
		fail("chroot", HOST, errno);
}

#endif /* GUEST_HOSTROOT_H */
