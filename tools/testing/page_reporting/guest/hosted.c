// SPDX-License-Identifier: GPL-2.0
/*
 * Run a shell script of the host, with the host's tools, on this guest's kernel. Another guest
 * program may run in parallel.
 *
 *   script=PATH	a script for bash, on the host
 *   PROGRAM ARG ...	the other program; none by default
 *
 * The output of the script goes to the progress channel, line by line. Event: hosted, with its exit
 * status.
 */
#include "beside.h"
#include "hostroot.h"

#define SHELL	"/bin/bash"

static noreturn void become_shell(const char *script)
{
	mount_or_fail("proc", "/proc", "proc", 0, NULL);
	mount_or_fail("sysfs", "/sys", "sysfs", 0, NULL);
	mount_or_fail("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	dup2(STDOUT_FILENO, STDERR_FILENO);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/tmp", 1);
	execl(SHELL, SHELL, script, NULL);
	fail("run", SHELL, errno);
}

int main(int argc, char **argv)
{
	pid_t child, shell;
	int status;

	if (argc < 2 || !is_option(argv[1], "script"))
		usage(argc > 1 ? argv[1] : "hosted", "give script=PATH first");
	child = start_beside(argv + 2);
	enter_host();
	flush_report();
	shell = fork();
	if (shell < 0)
		fail("start", SHELL, errno);
	if (!shell)
		become_shell(argv[1] + strlen("script="));
	if (waitpid(shell, &status, 0) != shell)
		fail("wait for", SHELL, errno);
	stop_beside(child);
	report("event=hosted status=%d t_ms=%lld", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	       now_ms());
	return 0;
}
