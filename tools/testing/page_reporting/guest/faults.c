// SPDX-License-Identifier: GPL-2.0
/*
 * Let all slab and page allocations of kernel workers fail, or none.
 *
 *   faults on
 *   faults off
 */
#include <limits.h>
#include <unistd.h>

#include "failing.h"

static const struct {
	const char *file;
	const char *text;
} knobs[] = {
	{ "failslab/verbose", "0" },
	{ "failslab/times", "-1" },
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/task-filter", "Y" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_page_alloc/times", "-1" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/task-filter", "Y" },
};

static void put_knob(const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	write_text(path, text);
}

static void set_probability(const char *percent)
{
	put_knob("failslab/probability", percent);
	put_knob("fail_page_alloc/probability", percent);
}

int main(int argc, char **argv)
{
	bool on = argc == 2 && !strcmp(argv[1], "on");
	size_t i;

	if (!on && (argc != 2 || strcmp(argv[1], "off")))
		usage("faults", "give on or off");
	if (!on) {
		set_probability("0");
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		put_knob(knobs[i].file, knobs[i].text);
	report("event=failing workers=%d", mark_workers());
	set_probability("100");
	return 0;
}
