// SPDX-License-Identifier: GPL-2.0
/*
 * Read the files of a disk twice, rest, and read them again, while the page cache is limited.
 *
 *   disk=PATH	an ext2 file system, which is mounted read-only
 *   rest=S	how long to rest
 *   limit=HOW	nothing (the default); drop: drop_caches at the start of the rest; reclaim: write
 *		256M to memory.reclaim every 6 s unless memory is under pressure; mglru: set
 *		min_ttl_ms to protect what was used in the last second. DAMON_RECLAIM is enabled
 *		on the boot line instead
 *
 * Events: read, with the time it took, how much came from the disk, and how much of that had been
 * reclaimed before; resting; rested.
 */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmstat.h"

#define FILES		"/tmp/files"
#define CGROUP		"/tmp/cgroup"
#define LRU_GEN		"/sys/kernel/mm/lru_gen/"
#define PRESSURE	"/proc/pressure/memory"
#define PERIOD_S	6
#define STEP		"256M"
#define MAX_AVG10	1.0

static void mount_at(const char *what, const char *where, const char *type, unsigned long flags)
{
	if (mkdir(where, 0755) || mount(what, where, type, flags, NULL))
		fail("mount", where, errno);
}

static double pressure(void)
{
	char text[256];
	int err = read_text(PRESSURE, text, sizeof(text));
	double avg10;

	if (err)
		fail("read", PRESSURE, -err);
	if (sscanf(text, "some avg10=%lf", &avg10) != 1)
		fail("read", PRESSURE, EPROTO);
	return avg10;
}

/* Less than was asked for is no failure: there may be less. */
static void reclaim(void)
{
	int fd = open(CGROUP "/memory.reclaim", O_WRONLY);

	if (fd < 0 || (write(fd, STEP, strlen(STEP)) < 0 && errno != EAGAIN))
		fail("write", CGROUP "/memory.reclaim", errno);
	close(fd);
}

static void reclaim_beside(void)
{
	pid_t child;

	mount_at("cgroup2", CGROUP, "cgroup2", 0);
	flush_report();
	child = fork();
	if (child < 0)
		fail("cache:", "fork", errno);
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		sleep(PERIOD_S);
		if (pressure() < MAX_AVG10)
			reclaim();
	}
}

static void read_file(const char *path)
{
	static char buffer[MIB];
	int fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		fail("open", path, errno);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		;
	if (got)
		fail("read", path, errno);
	close(fd);
}

static void read_all(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(FILES);

	if (!dir)
		fail("open", FILES, errno);
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_REG)
			continue;
		snprintf(path, sizeof(path), FILES "/%s", entry->d_name);
		read_file(path);
	}
	closedir(dir);
}

static void read_and_report(void)
{
	long long disk_kib = read_counter("pgpgin"), refaults = read_counter("workingset_refault_file");
	long long began_ms = now_ms();

	read_all();
	report("event=read took_ms=%lld disk_kib=%lld refaults=%lld t_ms=%lld", now_ms() - began_ms,
	       read_counter("pgpgin") - disk_kib,
	       read_counter("workingset_refault_file") - refaults, now_ms());
}

static void begin(const char *limit)
{
	if (!strcmp(limit, "reclaim")) {
		reclaim_beside();
	} else if (!strcmp(limit, "mglru")) {
		write_text(LRU_GEN "enabled", "y");
		write_text(LRU_GEN "min_ttl_ms", "1000");
	} else if (strcmp(limit, "nothing") && strcmp(limit, "drop")) {
		usage(limit, "limits are nothing, drop, reclaim, mglru");
	}
}

int main(int argc, char **argv)
{
	const char *disk = NULL, *limit = "nothing";
	long rest_s = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "disk"))
			disk = argv[i] + strlen("disk=");
		else if (is_option(argv[i], "limit"))
			limit = argv[i] + strlen("limit=");
		else if (is_option(argv[i], "rest"))
			rest_s = number(argv[i], argv[i] + strlen("rest="), INT_MAX);
		else
			usage(argv[i], "options are disk, limit, rest");
	}
	if (!disk)
		usage("disk", "give disk=PATH");
	mount_at(disk, FILES, "ext2", MS_RDONLY);
	begin(limit);
	read_and_report();
	read_and_report();
	if (!strcmp(limit, "drop"))
		write_text("/proc/sys/vm/drop_caches", "1");
	report("event=resting t_ms=%lld", now_ms());
	sleep(rest_s);
	report("event=rested t_ms=%lld", now_ms());
	read_and_report();
	return 0;
}
