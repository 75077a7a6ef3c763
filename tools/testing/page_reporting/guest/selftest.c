// SPDX-License-Identifier: GPL-2.0
/*
 * Run one of the kernel's selftests. The host evaluates its TAP report and its exit status.
 *
 *   selftest [user=UID] PROGRAM [ARG ...]
 *
 * PROGRAM is a file in /selftests, and runs in this directory. Its environment variable
 * PAGE_REPORTING_SAMPLE is the path of the sample driver's module, if there is one. Event:
 * selftest, with the exit status.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define DIRECTORY	"/selftests"
#define MODULE		"/modules/page_reporting_sample.ko"

static noreturn void become(long uid, char **argv)
{
	char path[256];

	if (chdir(DIRECTORY))
		fail("enter", DIRECTORY, errno);
	setenv("PATH", "/bin", 1);
	if (!access(MODULE, R_OK))
		setenv("PAGE_REPORTING_SAMPLE", MODULE, 1);
	if (uid && setuid(uid))
		fail("become", "another user", errno);
	snprintf(path, sizeof(path), DIRECTORY "/%s", argv[0]);
	execv(path, argv);
	fail("run", path, errno);
}

int main(int argc, char **argv)
{
	long uid = 0;
	pid_t child;
	int status;

	argv++;
	if (argc > 1 && is_option(argv[0], "user")) {
		uid = number(argv[0], argv[0] + strlen("user="), 65534);
		argv++;
	}
	if (!argv[0])
		usage("selftest", "name a program in " DIRECTORY);
	child = fork();
	if (!child)
		become(uid, argv);
	if (child < 0 || waitpid(child, &status, 0) != child)
		fail("run", argv[0], errno);
	if (WIFSIGNALED(status)) {
		report("event=error text=\"%s: signal %d\"", argv[0], WTERMSIG(status));
		return 1;
	}
	report("event=selftest name=%s status=%d", argv[0], WEXITSTATUS(status));
	return 0;
}
