// SPDX-License-Identifier: GPL-2.0
/*
 * Load a kernel module of the initramfs, or unload one.
 *
 *   module load NAME [PARAMETER=VALUE ...]	/modules/NAME.ko
 *   module unload NAME
 *
 * Ends when the module's own init or exit function has: one that measures in its init function
 * has its results in the console or in files by then. No events.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "report.h"

/* Append " @word" to @text, which has room for @size bytes. */
static void append(char *text, size_t size, const char *word)
{
	size_t used = strlen(text);
	int len = snprintf(text + used, size - used, used ? " %s" : "%s", word);

	if (len < 0 || (size_t)len >= size - used)
		usage(word, "too many parameters");
}

static void load(const char *name, char **params)
{
	char path[PATH_MAX], text[2048] = "";
	int fd;

	for (; *params; params++)
		append(text, sizeof(text), *params);
	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("open", path, errno);
	if (syscall(SYS_finit_module, fd, text, 0))
		fail("load", path, errno);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "load"))
		load(argv[2], argv + 3);
	else if (argc == 3 && !strcmp(argv[1], "unload")) {
		if (syscall(SYS_delete_module, argv[2], 0))
			fail("unload", argv[2], errno);
	} else
		usage(argc > 1 ? argv[1] : "module",
		      "give load NAME [PARAMETER=VALUE ...] or unload NAME");
	return 0;
}
