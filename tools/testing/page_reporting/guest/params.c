// SPDX-License-Identifier: GPL-2.0
/*
 * Test the parameters of page reporting, with a TAP report.
 *
 *   params table			write each value of the tables below
 *   params expect order=N [delay=N]	check the values that the boot line has set
 */
#include <fcntl.h>
#include <unistd.h>

#include "report.h"

#define DIRECTORY "/sys/module/page_reporting/parameters/"

struct row {
	const char *text;	/* written in one call */
	int err;		/* 0: accepted, and read back as it was written */
};

struct parameter {
	const char *name;
	const char *path;
	const struct row *rows;
	size_t nr_rows;
};

static const struct row order_rows[] = {
	{ "-2", EINVAL }, { "-01", EINVAL }, { "11", EINVAL }, { "abc", EINVAL }, { "\n", EINVAL },
	{ "4294967295", EINVAL }, { "99999999999", EINVAL }, { "9 9", EINVAL }, { "1.5", EINVAL },
	{ "0", 0 }, { "1", 0 }, { "2", 0 }, { "3", 0 }, { "4", 0 }, { "5", 0 }, { "6", 0 },
	{ "7", 0 }, { "8", 0 }, { "9", 0 }, { "10", 0 }, { "-1", 0 },
};

static const struct row delay_rows[] = {
	{ "-2", EINVAL }, { "abc", EINVAL }, { "\n", EINVAL },
	{ "99999999999", EINVAL }, { "9 9", EINVAL }, { "1.5", EINVAL },
	{ "0", 0 }, { "1", 0 }, { "250", 0 }, { "2000", 0 }, { "3600000", 0 }, { "-1", 0 },
};

static const struct row compact_rows[] = {
	{ "2", EINVAL }, { "-1", EINVAL }, { "abc", EINVAL }, { "\n", EINVAL },
	{ "N", 0 }, { "Y", 0 },
};

static const struct parameter parameters[] = {
	{ "order", DIRECTORY "page_reporting_order", order_rows, ARRAY_SIZE(order_rows) },
	{ "delay", DIRECTORY "page_reporting_delay_ms", delay_rows, ARRAY_SIZE(delay_rows) },
	{ "compact", DIRECTORY "page_reporting_compact", compact_rows, ARRAY_SIZE(compact_rows) },
};

static int nr_done, nr_failed;

static void result(bool ok, const char *name, const char *what, const char *text)
{
	nr_done++;
	nr_failed += !ok;
	report("%sok %d - %s %s '%s'", ok ? "" : "not ", nr_done, name, what,
	       text[0] == '\n' ? "\\n" : text);
}

static void skip(const char *name, const char *what, const char *why)
{
	report("ok %d - %s %s # SKIP %s", ++nr_done, name, what, why);
}

/* Read the parameter. On failure, the program ends. */
static void read_parameter(const struct parameter *param, char *text, size_t size)
{
	int err = read_text(param->path, text, size);

	if (err)
		fail("read", param->path, -err);
}

/* Write @text in one call. Returns 0, or the kernel's error number. */
static int write_parameter(const struct parameter *param, const char *text)
{
	ssize_t size = strlen(text), written;
	int fd, err;

	fd = open(param->path, O_WRONLY);
	if (fd < 0)
		fail("open", param->path, errno);
	written = write(fd, text, size);
	err = written < 0 ? errno : 0;
	close(fd);
	return !err && written != size ? EIO : err;
}

/* One row: expects its error. The parameter then has the new value, or still the old one. */
static void test_row(const struct parameter *param, const struct row *row)
{
	char before[32], after[32];
	const char *expected;
	int err;

	read_parameter(param, before, sizeof(before));
	err = write_parameter(param, row->text);
	read_parameter(param, after, sizeof(after));
	expected = row->err ? before : row->text;
	/* After -1, it is the choice of the device or of the kernel. */
	if (param == &parameters[0] && !strcmp(row->text, "-1"))
		expected = after;
	if (err != row->err)
		report("# got \"%s\", expected \"%s\"", strerror(err), strerror(row->err));
	if (strcmp(after, expected))
		report("# reads %s, expected %s", after, expected);
	result(err == row->err && !strcmp(after, expected), param->name,
	       row->err ? "refuses" : "accepts", row->text);
}

static void restore(const struct parameter *param, const char *value)
{
	char text[32];

	write_parameter(param, value);
	read_parameter(param, text, sizeof(text));
	result(!strcmp(text, value), param->name, "is restored to", value);
}

static void test_parameter(const struct parameter *param)
{
	char value[32];
	size_t i;

	read_parameter(param, value, sizeof(value));
	for (i = 0; i < param->nr_rows; i++)
		test_row(param, &param->rows[i]);
	skip(param->name, "refuses ''", "a write of no bytes does not reach the kernel's handler");
	restore(param, value);
}

static bool exists(const struct parameter *param)
{
	return !access(param->path, F_OK);
}

/* Each row of each parameter. The order has to exist, the others need not. */
static void test_tables(void)
{
	size_t i, plan = 0;

	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		plan += exists(&parameters[i]) ? parameters[i].nr_rows + 2 : 1;
	report("TAP version 14");
	report("1..%zu", plan);
	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (exists(&parameters[i]))
			test_parameter(&parameters[i]);
		else if (i == 0)
			fail("find", parameters[i].path, ENOENT);
		else
			skip(parameters[i].name, "table", "this kernel has no such parameter");
	}
}

/* The parameter that a "name=value" argument names. If there is none, the program ends. */
static const struct parameter *parameter_of(const char *arg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (is_option(arg, parameters[i].name))
			return &parameters[i];
	}
	usage(arg, "give order=N or delay=N");
}

/* Expects the value of a "name=value" argument from the parameter of this name. */
static void test_expectation(const char *arg)
{
	const struct parameter *param = parameter_of(arg);
	const char *value = strchr(arg, '=') + 1;
	char text[32];

	read_parameter(param, text, sizeof(text));
	if (strcmp(text, value))
		report("# reads %s, expected %s", text, value);
	result(!strcmp(text, value), param->name, "reads", value);
}

static void test_expectations(int nr, char **args)
{
	int i;

	report("TAP version 14");
	report("1..%d", nr);
	for (i = 0; i < nr; i++)
		test_expectation(args[i]);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "table"))
		test_tables();
	else if (argc > 2 && !strcmp(argv[1], "expect"))
		test_expectations(argc - 2, argv + 2);
	else
		usage("params", "give table, or expect order=N delay=N");
	return nr_failed ? 1 : 0;
}
