// SPDX-License-Identifier: GPL-2.0
/*
 * Runs all test cases, or those named: pacing-test [CASE ...]. Each one runs in its own
 * process, so that a crash is a failure of this case only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static struct test *first, **last = &first;

void test_add(struct test *test)
{
	*last = test;
	last = &test->next;
}

void test_fail(const char *file, int line, const char *what, u64 got, u64 wanted)
{
	printf("# %s:%d: %s: got %llu, wanted %llu\n", file, line, what, got, wanted);
	fflush(stdout);
	_exit(1);
}

static bool is_wanted(const struct test *test, char **names)
{
	bool any = *names;

	for (; *names; names++)
		if (!strcmp(*names, test->name))
			return true;
	return !any;
}

static bool passes(const struct test *test)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Ends a policy that loops for ever. CPU time, so the load does not matter. */
		setrlimit(RLIMIT_CPU, &(struct rlimit) { 30, 30 });
		test->run();
		exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

int main(int argc, char **argv)
{
	int nr = 0, failed = 0;
	struct test *test;

	for (test = first; test; test = test->next)
		nr += is_wanted(test, argv + 1);
	printf("TAP version 13\n1..%d\n", nr);
	nr = 0;
	for (test = first; test; test = test->next) {
		bool ok;

		if (!is_wanted(test, argv + 1))
			continue;
		ok = passes(test);
		failed += !ok;
		printf("%sok %d %s\n", ok ? "" : "not ", ++nr, test->name);
	}
	/* Fails, too, if there is no case of that name. */
	return failed || !nr;
}
