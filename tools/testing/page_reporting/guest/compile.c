// SPDX-License-Identifier: GPL-2.0
/*
 * Compile C files with the host's compiler, in the host's root, which is mounted read-only over 9p.
 *
 *   list=PATH	a file on the host. Each line has the arguments of one compilation, to which
 *		"-o OUTPUT" is added
 *   jobs=N	number of jobs in parallel
 *   tail=S	time to stay idle at the end, while the objects still exist
 *
 * Events: compiling; compiled, with the number of files and the time; idle, when the tail is over.
 */
#include <limits.h>
#include <sys/wait.h>

#include "hostroot.h"

#define COMPILER	"/usr/bin/gcc"
#define MAX_FILES	128
#define MAX_ARGS	30

static const char *list;
static long jobs = 1, tail_s;

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "list"))
			list = argv[i] + strlen("list=");
		else if (is_option(argv[i], "jobs"))
			jobs = number(argv[i], argv[i] + strlen("jobs="), MAX_FILES);
		else if (is_option(argv[i], "tail"))
			tail_s = number(argv[i], argv[i] + strlen("tail="), INT_MAX);
		else
			usage(argv[i], "options are list, jobs, tail");
	}
	if (!list || !jobs)
		usage("list", "list=PATH and jobs=N, 1 or more, are needed");
}

/* Read the list into @lines, with an allocation for each. Returns their number. */
static int read_list(char **lines)
{
	FILE *file = fopen(list, "r");
	size_t size = 0;
	int n = 0;

	if (!file)
		fail("open", list, errno);
	while (n < MAX_FILES && getline(&lines[n], &size, file) > 0) {
		lines[n][strcspn(lines[n], "\n")] = '\0';
		n++;
		size = 0;
	}
	if (!feof(file))
		usage(list, "more lines than this program takes");
	fclose(file);
	return n;
}

/* Run the compiler in this process, for one line of the list. */
static noreturn void become_compiler(char *line, int n)
{
	char *argv[MAX_ARGS + 4] = { COMPILER }, output[32], *word, *rest = line;
	int argc = 1;

	snprintf(output, sizeof(output), "/tmp/%d.o", n);
	while (argc <= MAX_ARGS && (word = strtok_r(rest, " ", &rest)))
		argv[argc++] = word;
	argv[argc++] = "-o";
	argv[argc++] = output;
	/* The compiler's messages go to the console, not to the progress channel. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	setenv("PATH", "/usr/bin:/bin", 1);
	execv(COMPILER, argv);
	fprintf(stderr, "compile: %s: %s\n", COMPILER, strerror(errno));
	_exit(127);
}

static void wait_for_one(void)
{
	int status;

	if (wait(&status) < 0)
		fail("wait for", COMPILER, errno);
	if (status) {
		report("event=error text=\"a compilation failed; the console says why\"");
		exit(1);
	}
}

static void compile_all(char **lines, int count)
{
	int i, running = 0;
	pid_t child;

	for (i = 0; i < count; i++) {
		if (running == jobs) {
			wait_for_one();
			running--;
		}
		child = fork();
		if (child < 0)
			fail("start", COMPILER, errno);
		if (!child)
			become_compiler(lines[i], i);
		running++;
	}
	while (running--)
		wait_for_one();
}

int main(int argc, char **argv)
{
	char *lines[MAX_FILES] = { NULL };
	long long began_ms;
	int count;

	parse(argc, argv);
	enter_host();
	count = read_list(lines);
	began_ms = now_ms();
	report("event=compiling files=%d t_ms=%lld", count, began_ms);
	compile_all(lines, count);
	report("event=compiled files=%d took_ms=%lld t_ms=%lld", count, now_ms() - began_ms,
	       now_ms());
	sleep(tail_s);
	report("event=idle t_ms=%lld", now_ms());
	return 0;
}
