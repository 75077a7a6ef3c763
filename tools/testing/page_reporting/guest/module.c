// SPDX-License-Identifier: GPL-2.0
/*
 * Load a kernel module of the initramfs, show its parameters, or unload it.
 *
 *   module load NAME [PARAMETER=VALUE ...]	/modules/NAME.ko
 *   module show NAME
 *   module unload NAME
 *
 * Loading returns when the module's init function has returned. If it measures, the results are
 * in its parameters by then. Event: module, with all parameters that can be read.
 */
#include <dirent.h>
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

/* Report /sys/module/NAME/parameters/@param, whose value is a word, as the next key of an event. */
static void show_param(const char *name, const char *param)
{
	char path[PATH_MAX], value[256];
	int err;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", name, param);
	err = read_text(path, value, sizeof(value));
	if (err)
		fail("read", path, -err);
	printf(" %s=\"%s\"", param, value);
}

static void show(const char *name)
{
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters", name);
	dir = opendir(path);
	if (!dir)
		fail("open", path, errno);
	printf("event=module module=%s", name);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			show_param(name, entry->d_name);
	}
	closedir(dir);
	report("");
}

static void unload(const char *name)
{
	if (syscall(SYS_delete_module, name, 0))
		fail("unload", name, errno);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "load"))
		load(argv[2], argv + 3);
	else if (argc == 3 && !strcmp(argv[1], "show"))
		show(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "unload"))
		unload(argv[2]);
	else
		usage(argc > 1 ? argv[1] : "module",
		      "give load NAME [PARAMETER=VALUE ...], show NAME or unload NAME");
	return 0;
}
