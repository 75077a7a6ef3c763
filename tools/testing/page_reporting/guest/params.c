// SPDX-License-Identifier: GPL-2.0
/*
 * Compare the parameters of page reporting with what the boot line has set, with a TAP report.
 *
 *   params expect order=N [delay=N] [compact=Y|N]
 */
#include "report.h"

#define DIRECTORY "/sys/module/page_reporting/parameters/"

static const struct parameter {
	const char *name;
	const char *path;
} parameters[] = {
	{ "order", DIRECTORY "page_reporting_order" },
	{ "delay", DIRECTORY "page_reporting_delay_ms" },
	{ "compact", DIRECTORY "page_reporting_compact" },
};

static int nr_failed;

/* The parameter that a "name=value" argument names. If there is none, the program ends. */
static const struct parameter *parameter_of(const char *arg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (is_option(arg, parameters[i].name))
			return &parameters[i];
	}
	usage(arg, "give order=N, delay=N or compact=Y or N");
}

/* Expects the value of a "name=value" argument from the parameter of this name. */
static void test_expectation(int nr, const char *arg)
{
	const struct parameter *param = parameter_of(arg);
	const char *value = strchr(arg, '=') + 1;
	char text[32];
	int err = read_text(param->path, text, sizeof(text));
	bool differs;

	if (err)
		fail("read", param->path, -err);
	differs = strcmp(text, value);
	if (differs)
		report("# reads %s, expected %s", text, value);
	nr_failed += differs;
	report("%sok %d - %s reads '%s'", differs ? "not " : "", nr, param->name, value);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 3 || strcmp(argv[1], "expect"))
		usage("params", "give expect order=N delay=N");
	report("TAP version 14");
	report("1..%d", argc - 2);
	for (i = 2; i < argc; i++)
		test_expectation(i - 1, argv[i]);
	return nr_failed ? 1 : 0;
}
