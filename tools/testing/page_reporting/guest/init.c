// SPDX-License-Identifier: GPL-2.0
/*
 * The first process of a lab guest: run the programs that the boot line names.
 *
 * They follow "--" on the boot line, which is read from /proc/cmdline, as the kernel does not pass
 * them on after an invalid parameter. A lone "+" separates two programs:
 * "-- params expect order=9 + hog mem=3072M". The standard input and output of each program is the
 * progress channel, a virtio-serial port. The guest powers off by itself, after the last program or
 * after the first one that failed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define PORT_NAME	"org.kernel.page_reporting.0"
#define PORTS		"/sys/class/virtio-ports"
#define PORT_WAIT_MS	10000
#define MAX_WORDS	64

static const struct {
	const char *type;
	const char *path;
} mounts[] = {
	{ "proc",	"/proc" },
	{ "sysfs",	"/sys" },
	{ "devtmpfs",	"/dev" },
	{ "tmpfs",	"/tmp" },
	{ "debugfs",	"/sys/kernel/debug" },
};

/* Power off. If that fails, return: the kernel panics when init ends. */
static int power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	fprintf(stderr, "init: power off: %s\n", strerror(errno));
	return 1;
}

/* Returns the index of the first mount that failed, or the number of mounts. */
static size_t mount_all(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, NULL))
			break;
	}
	return i;
}

/* Whether the port called @entry in sysfs is the progress channel. */
static bool is_channel(const char *entry)
{
	char path[PATH_MAX], name[64];

	snprintf(path, sizeof(path), PORTS "/%s/name", entry);
	return entry[0] != '.' && !read_text(path, name, sizeof(name)) &&
	       !strcmp(name, PORT_NAME);
}

/* Open the progress channel: a file descriptor, or -1 while there is none. */
static int open_port(void)
{
	struct dirent *entry;
	char path[PATH_MAX];
	int fd = -1;
	DIR *dir;

	dir = opendir(PORTS);
	if (!dir)
		return -1;
	while (fd < 0 && (entry = readdir(dir))) {
		if (!is_channel(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR);
	}
	closedir(dir);
	return fd;
}

/* Make the channel standard input and output; the driver adds ports while init runs. */
static bool connect_channel(void)
{
	long long end = now_ms() + PORT_WAIT_MS;
	int fd;

	while ((fd = open_port()) < 0) {
		if (now_ms() > end)
			return false;
		usleep(10000);
	}
	return dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && !close(fd);
}

/* Become the program that @argv names. */
static void become(char **argv)
{
	char path[PATH_MAX];

	if (!argv[0])
		usage("+", "name a program before it");
	snprintf(path, sizeof(path), "/bin/%s", argv[0]);
	execv(path, argv);
	fail("run", argv[0], errno);
}

/* Wait for @child, and reap what others left behind. */
static int wait_for(pid_t child)
{
	int status;
	pid_t pid;

	do {
		pid = wait(&status);
	} while (pid != child && (pid > 0 || errno == EINTR));
	return pid == child ? status : -1;
}

/* Run step number @n. True if it ended with status 0. */
static bool run_step(int n, char **argv)
{
	const char *name = argv[0] ? argv[0] : "";
	pid_t child;
	int status;

	report("event=step n=%d name=%s t_ms=%lld", n, name, now_ms());
	child = fork();
	if (!child)
		become(argv);
	status = child > 0 ? wait_for(child) : -1;
	if (status == -1)
		report("event=exit n=%d name=%s error=\"%s\"", n, name, strerror(errno));
	else if (WIFSIGNALED(status))
		report("event=exit n=%d name=%s signal=%d", n, name, WTERMSIG(status));
	else
		report("event=exit n=%d name=%s status=%d", n, name, WEXITSTATUS(status));
	return status == 0;
}

/* Run the steps up to the first that fails, and report the end. */
static void run_steps(char **argv)
{
	bool ok = true;
	char **end;
	int n = 0;

	for (; ok && *argv; argv = end) {
		end = argv;
		while (*end && strcmp(*end, "+"))
			end++;
		if (*end)
			*end++ = NULL;
		ok = run_step(++n, argv);
	}
	report("event=done steps=%d failed=%d t_ms=%lld", n, !ok, now_ms());
}

/* Split what follows "--" in @line, in place, into at most MAX_WORDS words and a NULL. */
static void split_boot_line(char *line, char **argv)
{
	char *word, *rest = strstr(line, " -- ");
	size_t n = 0;

	for (rest = rest ? rest + 4 : NULL; rest && n < MAX_WORDS; n++) {
		word = strtok_r(n ? NULL : rest, " ", &rest);
		if (!word)
			break;
		argv[n] = word;
	}
	argv[n] = NULL;
}

static void run_boot_line(void)
{
	char line[4096], *argv[MAX_WORDS + 1];
	int err = read_text("/proc/cmdline", line, sizeof(line));

	if (err) {
		report("event=error text=\"/proc/cmdline: %s\"", strerror(-err));
		return;
	}
	split_boot_line(line, argv);
	run_steps(argv);
}

static void report_boot(void)
{
	struct utsname uts;

	uname(&uts);
	report("event=boot release=%s version=\"%s\" machine=%s cpus=%ld t_ms=%lld", uts.release,
	       uts.version, uts.machine, sysconf(_SC_NPROCESSORS_ONLN), now_ms());
}

int main(void)
{
	size_t mounted;

	if (getpid() != 1) {
		fprintf(stderr, "init: runs as the first process of a guest only\n");
		return 2;
	}
	mounted = mount_all();
	if (mounted < ARRAY_SIZE(mounts))
		fprintf(stderr, "init: mount %s: %s\n", mounts[mounted].path, strerror(errno));
	if (!connect_channel()) {
		fprintf(stderr, "init: no virtio-serial port " PORT_NAME ": %s\n", strerror(errno));
		return power_off();
	}
	report_boot();
	if (mounted < ARRAY_SIZE(mounts))
		report("event=error text=\"cannot mount %s\"", mounts[mounted].path);
	else
		run_boot_line();
	return power_off();
}
