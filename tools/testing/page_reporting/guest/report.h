/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest programs share: the lines that they send to the host.
 *
 * Standard output is the progress channel. A line is either an event,
 * "event=NAME key=value ...", with values that contain blanks in double quotes,
 * or a line of a TAP report.
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB 1048576UL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Milliseconds since the guest booted. */
static inline long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Send buffered lines now. If the host no longer reads the channel, the program ends. */
static inline void flush_report(void)
{
	if (fflush(stdout) == EOF) {
		fprintf(stderr, "progress channel: %s\n", strerror(errno));
		exit(3);
	}
}

/* Send one line, formatted as by printf(), with a newline. */
#define report(fmt, ...) (printf(fmt "\n", ##__VA_ARGS__), flush_report())

/* Report what failed, with the errno @err, and end the program. */
static inline noreturn void fail(const char *what, const char *name, int err)
{
	report("event=error text=\"%s %s: %s\"", what, name, strerror(err));
	exit(1);
}

/* Report a wrong argument and what would be right, and end the program. */
static inline noreturn void usage(const char *arg, const char *right)
{
	report("event=error text=\"argument '%s': %s\"", arg, right);
	exit(2);
}

/* Whether @arg reads "@key=...". */
static inline bool is_option(const char *arg, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(arg, key, len) && arg[len] == '=';
}

/* Parse a decimal number from 0 to @max. Anything else ends the program. */
static inline long number(const char *arg, const char *value, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < 0 || n > max)
		usage(arg, "give a whole decimal value, 0 or more");
	return n;
}

/* Write @text to an existing file, in one call. On failure, the program ends. */
static inline void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		fail("open", path, errno);
	if (write(fd, text, strlen(text)) < 0)
		fail("write", path, errno);
	close(fd);
}

/* Read the first @size - 1 bytes of a file, without the final newline. -errno on failure. */
static inline int read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	if (!file)
		return -errno;
	errno = 0;
	len = fread(text, 1, size - 1, file);
	if (ferror(file)) {
		int err = errno ? errno : EIO;

		fclose(file);
		return -err;
	}
	fclose(file);
	if (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	return 0;
}

/* The same; a file that cannot be read ends the program. */
static inline void must_read_text(const char *path, char *text, size_t size)
{
	int err = read_text(path, text, size);

	if (err)
		fail("read", path, -err);
}

#endif /* GUEST_REPORT_H */
