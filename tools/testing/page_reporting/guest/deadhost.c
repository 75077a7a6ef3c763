// SPDX-License-Identifier: GPL-2.0
/*
 * Test what happens while a hypervisor does not answer. The sample driver has to be loaded, with
 * a delay that does not end during the test.
 *
 *   deadhost oom	let a process take memory until the kernel kills it
 *   deadhost unload	unload the driver, and have the host answer while this waits
 *   deadhost poweroff	power off
 *   deadhost reboot	restart the machine
 *
 * Events: killed; waiting, unloaded; leaving, with the age of the report that the host has.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define SAMPLE	"page_reporting_sample"
#define DELAY	"/sys/module/" SAMPLE "/parameters/delay_ms"
#define AGE	"/sys/kernel/mm/page_reporting/report_age_ms"
#define WAIT_MS	2000

static noreturn void take_all(void)
{
	for (;;) {
		char *mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (mem == MAP_FAILED)
			_exit(1);
		memset(mem, 1, MIB);
	}
}

static int run_out_of_memory(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		take_all();
	if (child < 0 || waitpid(child, &status, 0) < 0)
		fail("deadhost:", "fork", errno);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("deadhost:", "the process was not killed", status);
	report("event=killed t_ms=%lld", now_ms());
	return 0;
}

static void answer(void)
{
	int fd = open(DELAY, O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1)
		fail("write", DELAY, errno);
	close(fd);
}

static int unload(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(syscall(SYS_delete_module, SAMPLE, 0) ? errno : 0);
	usleep(WAIT_MS * 1000);
	if (child < 0 || waitpid(child, &status, WNOHANG))
		fail("deadhost:", "unloading did not wait for the report", EBUSY);
	report("event=waiting t_ms=%lld", now_ms());
	answer();
	if (waitpid(child, &status, 0) < 0 || status)
		fail("unload", SAMPLE, WEXITSTATUS(status));
	report("event=unloaded t_ms=%lld", now_ms());
	return 0;
}

static int leave(int how)
{
	char age[32];

	must_read_text(AGE, age, sizeof(age));
	report("event=leaving age_ms=%s t_ms=%lld", age, now_ms());
	reboot(how);
	fail("deadhost:", "reboot", errno);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "oom"))
		return run_out_of_memory();
	if (argc == 2 && !strcmp(argv[1], "unload"))
		return unload();
	if (argc == 2 && !strcmp(argv[1], "poweroff"))
		return leave(RB_POWER_OFF);
	if (argc == 2 && !strcmp(argv[1], "reboot"))
		return leave(RB_AUTOBOOT);
	usage(argc > 1 ? argv[1] : "deadhost", "give oom, unload, poweroff or reboot");
}
