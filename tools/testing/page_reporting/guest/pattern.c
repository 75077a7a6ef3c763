// SPDX-License-Identifier: GPL-2.0
/*
 * Fill memory with a pattern, which must survive whatever the host does to the guest meanwhile.
 *
 *   mem=SIZE	memory with the pattern (M)
 *   spare=SIZE	memory to touch and free first, for the host to back, and to be reported (M)
 *   later=SIZE	memory to take instead if the host says so (M)
 *   busy=SIZE	memory that work takes, instead of what take does (M)
 *   more=SIZE	more memory with the pattern, once the host says so (M)
 *
 * The host sends words: check verifies each page; take allocates, touches and frees the spare
 * memory again, and work repeats that until rest; fill takes the memory of more=, in place of what
 * it took before; again reports all free memory again; ram and disk suspend the system to RAM and
 * to /dev/vda, and off does the latter and powers off; reboot restarts the machine, and kexec boots
 * the kernel of /kexec; quit ends the program. Events: kept; alive, once a second; checked, with
 * the number of wrong pages; taken; works; rested; filled; flushed; awake. All from checked on,
 * except works, have the counters, see report_counters(), and how many pages with the pattern are
 * in movable zones.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/reboot.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "beside.h"
#include "meminfo.h"
#include "vmstat.h"

#define FLUSH	"/sys/kernel/mm/page_reporting/flush"
#define AGE	"/sys/kernel/mm/page_reporting/report_age_ms"
#define DISK	"/dev/vda"

/* Of an entry of /proc/self/pagemap. */
#define PAGE_PRESENT	(1ULL << 63)
#define PAGE_FRAME	((1ULL << 55) - 1)

static unsigned long long *kept, *filled;
static size_t kept_size, spare_size, later_size, busy_size, more_size, page_size;
static pid_t worker;

/* All words of a page differ. */
static unsigned long long word(size_t index)
{
	return (index + 1) * 0x9e3779b97f4a7c15ULL;
}

static void *take(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		fail("pattern:", "mmap", errno);
	return mem;
}

static unsigned long long *keep(size_t size)
{
	unsigned long long *mem = take(size);
	size_t i;

	for (i = 0; i < size / sizeof(*mem); i++)
		mem[i] = word(i);
	return mem;
}

static void use(size_t size)
{
	char *mem = take(size);
	size_t off;

	for (off = 0; off < size; off += page_size)
		mem[off] = 1;
	if (munmap(mem, size))
		fail("pattern:", "munmap", errno);
}

static unsigned long wrong_pages(const unsigned long long *mem, size_t size)
{
	size_t words = page_size / sizeof(*mem), page, i;
	unsigned long wrong = 0;

	for (page = 0; page < size / page_size; page++) {
		for (i = page * words; i < (page + 1) * words; i++) {
			if (mem[i] != word(i)) {
				wrong++;
				break;
			}
		}
	}
	return wrong;
}

/* The first page frame of movable zones, whose memory is above all other; none without them. */
static unsigned long long movable_start(void)
{
	unsigned long long start = ULLONG_MAX, found;
	char text[32768], *zone = text, *line;

	must_read_text("/proc/zoneinfo", text, sizeof(text));
	while ((zone = strstr(zone, "zone  Movable"))) {
		zone++;
		line = strstr(zone, "start_pfn:");
		if (!line || (strstr(zone, "\nNode") && strstr(zone, "\nNode") < line))
			continue;
		found = strtoull(line + strlen("start_pfn:"), NULL, 10);
		if (found < start)
			start = found;
	}
	return start;
}

/* How many pages of @mem are at the page frame @start or above. */
static unsigned long pages_above(const void *mem, size_t size, unsigned long long start)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	unsigned long pages = 0, page;
	unsigned long long entry;

	if (fd < 0)
		fail("open", "/proc/self/pagemap", errno);
	for (page = 0; page < size / page_size; page++) {
		off_t at = ((uintptr_t)mem / page_size + page) * sizeof(entry);

		if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
			fail("read", "/proc/self/pagemap", errno);
		/* Others are swapped out. */
		if (entry & PAGE_PRESENT)
			pages += (entry & PAGE_FRAME) >= start;
	}
	close(fd);
	return pages;
}

/* Reported pages that no counter accounts for, once per-CPU counts are folded. */
static long long imbalance(const char *text)
{
	return find_counter(text, "pgreport") - find_counter(text, "nr_free_reported") -
	       find_counter(text, "pgreport_refault") - find_counter(text, "pgreport_merge") -
	       find_counter(text, "pgreport_clear");
}

static long long age_ms(void)
{
	char text[32];

	must_read_text(AGE, text, sizeof(text));
	return strtoll(text, NULL, 10);
}

/*
 * In pages: by how much the counters do not add up, what is reported and free now, and the counters
 * since the kernel has booted. They are not read at the same time, so try until they add up.
 */
static void report_counters(const char *event, unsigned long wrong)
{
	unsigned long long start = movable_start();
	char text[16384];
	int looks = 50;

	do {
		usleep(100000);
		write_text("/proc/sys/vm/stat_refresh", "1");
		read_vmstat(text, sizeof(text));
	} while (imbalance(text) && --looks);
	report("event=%s wrong=%lu imbalance=%lld reported=%lld refault=%lld clear=%lld free=%lld "
	       "report=%lld fail=%lld skip=%lld movable=%lu total_kib=%ld age_ms=%lld t_ms=%lld",
	       event, wrong, imbalance(text), find_counter(text, "nr_free_reported"),
	       find_counter(text, "pgreport_refault"), find_counter(text, "pgreport_clear"),
	       find_counter(text, "nr_free_pages"), find_counter(text, "pgreport"),
	       find_counter(text, "pgreport_fail"), find_counter(text, "page_reporting_skip"),
	       pages_above(kept, kept_size, start) +
	       (filled ? pages_above(filled, more_size, start) : 0), read_kib("MemTotal:"), age_ms(),
	       now_ms());
}

/* Read a word that the host has sent. It is empty if the host has closed the channel. */
static void read_word(char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && read(STDIN_FILENO, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
}

static void check(void)
{
	unsigned long wrong = wrong_pages(kept, kept_size);

	if (filled)
		wrong += wrong_pages(filled, more_size);
	report_counters("checked", wrong);
}

static void fill(void)
{
	if (!more_size)
		usage("more", "give it, in MiB");
	if (filled && munmap(filled, more_size))
		fail("pattern:", "munmap", errno);
	filled = keep(more_size);
	report_counters("filled", 0);
}

static void take_spare(void)
{
	use(later_size);
	report_counters("taken", 0);
}

static void work(void)
{
	flush_report();
	worker = fork();
	if (worker < 0)
		fail("pattern:", "fork", errno);
	if (!worker) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			use(busy_size);
	}
	report("event=works t_ms=%lld", now_ms());
}

static void rest(void)
{
	if (!works_beside(worker))
		fail("pattern:", "the worker has ended", ECHILD);
	stop_beside(worker);
	worker = 0;
	report_counters("rested", 0);
}

static void report_again(void)
{
	write_text(FLUSH, "again");
	report_counters("flushed", 0);
}

static void suspend_to_ram(void)
{
	write_text("/sys/power/mem_sleep", "deep");
	write_text("/sys/power/state", "mem");
	report_counters("awake", 0);
}

/* Returns in the machine that loads the image. */
static void hibernate(const char *how)
{
	if (swapon(DISK, 0))
		fail("swap to", DISK, errno);
	write_text("/sys/power/disk", how);
	write_text("/sys/power/state", "disk");
	report_counters("awake", 0);
}

static void hibernate_here(void)
{
	hibernate("test_resume");
}

static void hibernate_and_power_off(void)
{
	hibernate("shutdown");
}

static void restart(int how)
{
	if (reboot(how))
		fail("pattern:", "reboot", errno);
}

static void start_machine_anew(void)
{
	restart(RB_AUTOBOOT);
}

/* With the boot line of this kernel. */
static void start_other_kernel(void)
{
	int kernel = open("/kexec/kernel", O_RDONLY), initrd = open("/kexec/initrd", O_RDONLY);
	char line[4096];
	int err = read_text("/proc/cmdline", line, sizeof(line));

	if (err)
		fail("read", "/proc/cmdline", -err);
	if (kernel < 0 || initrd < 0)
		fail("open", "/kexec", errno);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(line) + 1, line, 0))
		fail("load", "/kexec/kernel", errno);
	restart(LINUX_REBOOT_CMD_KEXEC);
}

static const struct {
	const char *word;
	void (*obey)(void);
} words[] = {
	{ "check", check },
	{ "take", take_spare },
	{ "fill", fill },
	{ "work", work },
	{ "rest", rest },
	{ "again", report_again },
	{ "ram", suspend_to_ram },
	{ "disk", hibernate_here },
	{ "off", hibernate_and_power_off },
	{ "reboot", start_machine_anew },
	{ "kexec", start_other_kernel },
};

static void obey(const char *word)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(word, words[i].word)) {
			words[i].obey();
			return;
		}
	}
	usage(word, "the host has no such word");
}

static size_t size_of(const char *arg)
{
	return number(arg, strchr(arg, '=') + 1, LONG_MAX / MIB) * MIB;
}

int main(int argc, char **argv)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char word[32] = "";
	int i;

	page_size = sysconf(_SC_PAGESIZE);
	for (i = 1; i < argc; i++) {
		if (is_option(argv[i], "mem"))
			kept_size = size_of(argv[i]);
		else if (is_option(argv[i], "spare"))
			spare_size = size_of(argv[i]);
		else if (is_option(argv[i], "later"))
			later_size = size_of(argv[i]);
		else if (is_option(argv[i], "busy"))
			busy_size = size_of(argv[i]);
		else if (is_option(argv[i], "more"))
			more_size = size_of(argv[i]);
		else
			usage(argv[i], "options are mem, spare, later, busy, more");
	}
	if (!kept_size || !spare_size)
		usage("mem, spare", "give both, in MiB");
	if (!later_size)
		later_size = spare_size;
	if (!busy_size)
		busy_size = later_size;
	use(spare_size);
	kept = keep(kept_size);
	report("event=kept t_ms=%lld", now_ms());
	while (strcmp(word, "quit")) {
		if (poll(&in, 1, 1000) <= 0) {
			report("event=alive t_ms=%lld", now_ms());
			continue;
		}
		read_word(word, sizeof(word));
		if (!word[0])
			fail("read", "a word of the host", EPIPE);
		if (strcmp(word, "quit"))
			obey(word);
	}
	return 0;
}
