// SPDX-License-Identifier: GPL-2.0
/*
 * Take memory, touch all of it, free it, and then report periodically how much is free.
 *
 *   mem=SIZE	memory to take (K, M, G)
 *   chunk=SIZE	size of one mapping; all of it by default
 *   thp=HOW	always, never, or system (the default: no advice)
 *   hold=MS	wait before the free; "host" waits for the line "go"
 *   every=MS	time between two reports of free memory (500)
 *   limit=S	end after this time even if the host has not sent "quit" (600)
 *
 * Events: ready, freeing, freed, memfree, finished; t_ms is the guest's clock. The program ends
 * when the host sends the line "quit".
 */
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

struct hog {
	size_t mem;
	size_t chunk;
	int advice;		/* for madvise(), -1 for none */
	bool wait_for_host;
	long hold_ms;
	long every_ms;
	long limit_s;
};

enum host_word { HOST_SILENT, HOST_GO, HOST_QUIT };

static size_t size_of(const char *arg, const char *value)
{
	unsigned long long n;
	char *end;
	int shift;

	errno = 0;
	n = strtoull(value, &end, 10);
	switch (*end) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	default:
		shift = -1;
	}
	if (errno || end == value || *value == '-' || shift < 0 || end[1] || !n ||
	    n > (SIZE_MAX >> shift))
		usage(arg, "give a size such as 512M or 3G");
	return n << shift;
}

static int advice_of(const char *arg, const char *value)
{
	if (!strcmp(value, "always"))
		return MADV_HUGEPAGE;
	if (!strcmp(value, "never"))
		return MADV_NOHUGEPAGE;
	if (strcmp(value, "system"))
		usage(arg, "give always, never or system");
	return -1;
}

static void set_hold(struct hog *hog, const char *arg, const char *value)
{
	hog->wait_for_host = !strcmp(value, "host");
	if (!hog->wait_for_host)
		hog->hold_ms = number(arg, value, INT_MAX);
}

static void parse_option(struct hog *hog, const char *arg)
{
	const char *equals = strchr(arg, '=');
	const char *value = equals ? equals + 1 : "";

	if (is_option(arg, "mem"))
		hog->mem = size_of(arg, value);
	else if (is_option(arg, "chunk"))
		hog->chunk = size_of(arg, value);
	else if (is_option(arg, "thp"))
		hog->advice = advice_of(arg, value);
	else if (is_option(arg, "hold"))
		set_hold(hog, arg, value);
	else if (is_option(arg, "every"))
		hog->every_ms = number(arg, value, INT_MAX);
	else if (is_option(arg, "limit"))
		hog->limit_s = number(arg, value, INT_MAX);
	else
		usage(arg, "options are mem, chunk, thp, hold, every, limit");
}

static struct hog parse(int argc, char **argv)
{
	struct hog hog = { .advice = -1, .every_ms = 500, .limit_s = 600 };
	int i;

	for (i = 1; i < argc; i++)
		parse_option(&hog, argv[i]);
	if (!hog.mem)
		usage("mem", "mem=SIZE is needed");
	if (!hog.chunk || hog.chunk > hog.mem)
		hog.chunk = hog.mem;
	return hog;
}

/* The size of chunk @i. The last one may be smaller. */
static size_t chunk_size(const struct hog *hog, size_t i)
{
	size_t left = hog->mem - i * hog->chunk;

	return left < hog->chunk ? left : hog->chunk;
}

static char *take_chunk(const struct hog *hog, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE), off;
	char *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		fail("hog:", "mmap", errno);
	if (hog->advice >= 0 && madvise(mem, size, hog->advice))
		fail("hog:", "madvise", errno);
	for (off = 0; off < size; off += page)
		memset(mem + off, 1, 1);
	return mem;
}

static char **take(const struct hog *hog, size_t nr)
{
	char **chunks = calloc(nr, sizeof(*chunks));
	long long start = now_ms();
	size_t i;

	if (!chunks)
		fail("hog:", "calloc", errno);
	for (i = 0; i < nr; i++)
		chunks[i] = take_chunk(hog, chunk_size(hog, i));
	report("event=ready mib=%zu touch_ms=%lld t_ms=%lld", hog->mem / MIB, now_ms() - start,
	       now_ms());
	return chunks;
}

static void give_back(const struct hog *hog, char **chunks, size_t nr)
{
	size_t i;

	report("event=freeing mib=%zu t_ms=%lld", hog->mem / MIB, now_ms());
	for (i = 0; i < nr; i++) {
		if (munmap(chunks[i], chunk_size(hog, i)))
			fail("hog:", "munmap", errno);
	}
	report("event=freed mib=%zu t_ms=%lld", hog->mem / MIB, now_ms());
	free(chunks);
}

/* Read a line from the host. If it has closed the channel, this means "quit". */
static enum host_word read_word(void)
{
	char line[32];
	size_t len = 0;
	char c;

	while (len < sizeof(line) - 1) {
		if (read(STDIN_FILENO, &c, 1) != 1)
			return HOST_QUIT;
		if (c == '\n')
			break;
		line[len++] = c;
	}
	line[len] = '\0';
	if (!strcmp(line, "go"))
		return HOST_GO;
	if (strcmp(line, "quit"))
		usage(line, "the host may say go or quit");
	return HOST_QUIT;
}

/* Wait at most @ms milliseconds for a word of the host; -1 waits for ever. */
static enum host_word listen_to_host(long ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	if (poll(&in, 1, ms) <= 0)
		return HOST_SILENT;
	return read_word();
}

static void hold(const struct hog *hog)
{
	if (hog->wait_for_host) {
		if (listen_to_host(-1) != HOST_GO)
			usage("host", "it has to say go before anything else");
	} else if (hog->hold_ms) {
		usleep(hog->hold_ms * 1000);
	}
}

static void report_free(void)
{
	char text[512], *line;
	long kib;
	int err;

	err = read_text("/proc/meminfo", text, sizeof(text));

	if (err)
		fail("hog:", "/proc/meminfo", -err);
	line = strstr(text, "MemFree:");
	if (!line)
		fail("hog:", "MemFree", ENODATA);
	kib = strtol(line + strlen("MemFree:"), NULL, 10);
	report("event=memfree mib=%ld t_ms=%lld", kib / 1024, now_ms());
}

int main(int argc, char **argv)
{
	struct hog hog = parse(argc, argv);
	size_t nr = (hog.mem - 1) / hog.chunk + 1;
	long long end = now_ms() + hog.limit_s * 1000LL;
	enum host_word word = HOST_SILENT;
	char **chunks;

	chunks = take(&hog, nr);
	hold(&hog);
	give_back(&hog, chunks, nr);
	while (word != HOST_QUIT && now_ms() < end) {
		report_free();
		word = listen_to_host(hog.every_ms);
	}
	report("event=finished reason=%s t_ms=%lld", word == HOST_QUIT ? "quit" : "limit",
	       now_ms());
	return 0;
}
