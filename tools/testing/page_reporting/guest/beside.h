/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Run a second guest program in parallel. It uses the same progress channel, and is killed when
 * the first program ends.
 */
#ifndef GUEST_BESIDE_H
#define GUEST_BESIDE_H

#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

/* Start the program that @argv names. Returns its pid, or 0 without a name. */
static inline pid_t start_beside(char **argv)
{
	char path[PATH_MAX];
	pid_t child;

	if (!argv[0])
		return 0;
	/* Otherwise, both processes would send what stdio has buffered. */
	flush_report();
	child = fork();
	if (child < 0)
		fail("start", argv[0], errno);
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "/bin/%s", argv[0]);
	execv(path, argv);
	fail("run", argv[0], errno);
}

/* Whether @child is still running. If it failed, this program fails, too. */
static inline bool works_beside(pid_t child)
{
	int status;

	if (!child || !waitpid(child, &status, WNOHANG))
		return true;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return false;
	report("event=error text=\"the program beside it failed\"");
	exit(1);
}

/* Kill @child, if there is one. */
static inline void stop_beside(pid_t child)
{
	if (child && !kill(child, SIGKILL))
		waitpid(child, NULL, 0);
}

#endif /* GUEST_BESIDE_H */
