// SPDX-License-Identifier: GPL-2.0
/*
 * Trace the longest time with interrupts off.
 *
 *   irqsoff start	reset the maximum, and start the tracer
 *   irqsoff show	report the maximum
 *
 * Event: irqsoff, with the longest time in microseconds, and the functions in which it began and
 * ended.
 */
#include "tracing.h"

static void start(void)
{
	mount_tracing();
	write_file(TRACING "/tracing_max_latency", "0");
	write_file(TRACING "/current_tracer", "irqsoff");
}

/* The text that follows @key in the header of the trace; "" if it is not found. */
static void find(char *out, size_t size, const char *key)
{
	FILE *file = fopen(TRACING "/trace", "r");
	char line[256], *at;

	if (!file)
		fail("read", TRACING "/trace", errno);
	*out = '\0';
	while (!*out && fgets(line, sizeof(line), file)) {
		at = strstr(line, key);
		if (at) {
			snprintf(out, size, "%s", at + strlen(key));
			out[strcspn(out, "\n")] = '\0';
		}
	}
	fclose(file);
}

static void show(void)
{
	char us[32], from[128], to[128];
	int err = read_text(TRACING "/tracing_max_latency", us, sizeof(us));

	if (err)
		fail("read", TRACING "/tracing_max_latency", -err);
	find(from, sizeof(from), "started at: ");
	find(to, sizeof(to), "ended at:   ");
	report("event=irqsoff max_us=%s from=\"%s\" to=\"%s\"", us, from, to);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "start"))
		start();
	else if (argc == 2 && !strcmp(argv[1], "show"))
		show();
	else
		usage(argc > 1 ? argv[1] : "irqsoff", "give start or show");
	return 0;
}
