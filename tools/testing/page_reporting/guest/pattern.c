// SPDX-License-Identifier: GPL-2.0
/*
 * Fill memory with a pattern, which must survive whatever the host does to the guest meanwhile.
 *
 *   mem=SIZE	memory with the pattern (M)
 *   spare=SIZE	memory to touch and free first, for the host to back, and to be reported (M)
 *
 * The host sends words: check verifies each page; take allocates, touches and frees the spare
 * memory again; again reports all free memory again; quit ends the program. Events: kept; alive,
 * once a second; checked, with the number of wrong pages; taken; flushed. The last three have the
 * counters, in pages: by how much they do not add up, what is reported, refaults and clears.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmstat.h"

#define FLUSH	"/sys/kernel/mm/page_reporting/flush"

static unsigned long long *kept;
static size_t kept_size, spare_size, page_size;

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

static void keep(void)
{
	size_t i;

	kept = take(kept_size);
	for (i = 0; i < kept_size / sizeof(*kept); i++)
		kept[i] = word(i);
}

static void use_spare(void)
{
	char *mem = take(spare_size);
	size_t off;

	for (off = 0; off < spare_size; off += page_size)
		mem[off] = 1;
	if (munmap(mem, spare_size))
		fail("pattern:", "munmap", errno);
}

static unsigned long wrong_pages(void)
{
	size_t words = page_size / sizeof(*kept), page, i;
	unsigned long wrong = 0;

	for (page = 0; page < kept_size / page_size; page++) {
		for (i = page * words; i < (page + 1) * words; i++) {
			if (kept[i] != word(i)) {
				wrong++;
				break;
			}
		}
	}
	return wrong;
}

/* Reported pages that no counter accounts for, once per-CPU counts are folded. */
static long long imbalance(const char *text)
{
	return find_counter(text, "pgreport") - find_counter(text, "nr_free_reported") -
	       find_counter(text, "pgreport_refault") - find_counter(text, "pgreport_merge") -
	       find_counter(text, "pgreport_clear");
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("write", path, errno);
	close(fd);
}

/* The counters are not read at the same time, so try until they add up. */
static void report_counters(const char *event, unsigned long wrong)
{
	char text[16384];
	int looks = 50;

	do {
		usleep(100000);
		write_file("/proc/sys/vm/stat_refresh", "1");
		read_vmstat(text, sizeof(text));
	} while (imbalance(text) && --looks);
	report("event=%s wrong=%lu imbalance=%lld reported=%lld refault=%lld clear=%lld t_ms=%lld",
	       event, wrong, imbalance(text), find_counter(text, "nr_free_reported"),
	       find_counter(text, "pgreport_refault"), find_counter(text, "pgreport_clear"),
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

static void obey(const char *word)
{
	if (!strcmp(word, "check")) {
		report_counters("checked", wrong_pages());
	} else if (!strcmp(word, "take")) {
		use_spare();
		report_counters("taken", 0);
	} else if (!strcmp(word, "again")) {
		write_file(FLUSH, "again");
		report_counters("flushed", 0);
	} else {
		usage(word, "the host may say check, take, again or quit");
	}
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
		else
			usage(argv[i], "options are mem, spare");
	}
	if (!kept_size || !spare_size)
		usage("mem, spare", "give both, in MiB");
	use_spare();
	keep();
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
