// SPDX-License-Identifier: GPL-2.0
/*
 * Read or write one file of the guest.
 *
 *   file read PATH		reports its first 4000 bytes, with blanks for newlines
 *   file write PATH TEXT	writes TEXT and a newline in one call, as echo does
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "report.h"

static int read_file(const char *path)
{
	char text[4001], *c;
	int err = read_text(path, text, sizeof(text));

	if (err)
		fail("read", path, -err);
	for (c = text; *c; c++) {
		if (*c == '\n' || *c == '"' || *c == '\\')
			*c = ' ';
	}
	report("event=value path=%s text=\"%s\"", path, text);
	return 0;
}

/* With a newline: without one, the kernel holds back a line written to /dev/kmsg. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), len;
	char *line;

	if (fd < 0)
		fail("open", path, errno);
	len = asprintf(&line, "%s\n", text);
	if (len < 0)
		fail("allocate", path, ENOMEM);
	if (write(fd, line, len) != len)
		fail("write", path, errno);
	free(line);
	if (close(fd))
		fail("close", path, errno);
	report("event=written path=%s", path);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "read"))
		return read_file(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "write"))
		return write_file(argv[2], argv[3]);
	usage("file", "give read PATH, or write PATH TEXT");
}
