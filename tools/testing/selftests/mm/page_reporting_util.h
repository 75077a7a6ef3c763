/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of free page reporting share.
 *
 * A test program is a table of cases. A case returns KSFT_PASS, or what pr_fail() or pr_skip()
 * returns. Knobs that are changed through pr_knob() get their values back when the program ends,
 * however it ends, short of SIGKILL.
 */
#ifndef PAGE_REPORTING_UTIL_H
#define PAGE_REPORTING_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../kselftest.h"

#define PR_PARAMS	"/sys/module/page_reporting/parameters/"
#define PR_ORDER	PR_PARAMS "page_reporting_order"
#define PR_DELAY	PR_PARAMS "page_reporting_delay_ms"
#define PR_COMPACT	PR_PARAMS "page_reporting_compact"

#define PR_FILES	"/sys/kernel/mm/page_reporting/"
#define PR_DEVICE	PR_FILES "device"
#define PR_EFFECTIVE	PR_FILES "order"
#define PR_STATE	PR_FILES "state"
#define PR_AGE		PR_FILES "report_age_ms"
#define PR_COMPACTS	PR_FILES "compact"
#define PR_FLUSH	PR_FILES "flush"

#define PR_VERIFY	"/sys/kernel/debug/page_reporting/verify"

#define PR_SAMPLE	"page_reporting_sample"
#define PR_SAMPLE_DIR	"/sys/module/" PR_SAMPLE "/parameters/"

/* So long that no pass begins by itself while a test runs. */
#define PR_NEVER_MS	"3600000"

/*
 * Blocks in a full batch: PAGE_REPORTING_CAPACITY, for balloons and the sample unless told. Where
 * blocks are so large that this would be more, as many as make up so much memory.
 */
#define PR_CAPACITY	32L
#define PR_BATCH_BYTES	(128L << 20)

/* Is there so much free in a zone that some of it may be away for a moment? */
enum pr_supply {
	PR_ENOUGH,
	PR_UNSURE,
	PR_SHORT,
	PR_TOO_SMALL,
};

/* In /proc/vmstat, in this order. */
enum pr_counter {
	PR_REPORT,
	PR_FAIL,
	PR_REFAULT,
	PR_MERGE,
	PR_CLEAR,
	PR_PASS,
	PR_CALL,
	PR_SKIP,
	PR_GAUGE,
	PR_MOVE,
	PR_TRY,
	PR_EMPTY,
	PR_EMPTY_FAIL,
	PR_NR_COUNTERS,
};

extern const char * const pr_counter_names[PR_NR_COUNTERS];

struct pr_counters {
	long of[PR_NR_COUNTERS];
};

#define PR_MAX_ZONES	32
#define PR_MAX_ORDERS	32

struct pr_zone {
	int node;
	char name[16];
	long free;			/* pages, as all below */
	long low;			/* watermark */
	long managed;
	long free_cma;			/* of those that are free */
	long reported;			/* the gauge */
	long blocks[PR_MAX_ORDERS];	/* free blocks, by order */
};

struct pr_zones {
	struct pr_zone zone[PR_MAX_ZONES];
	int nr;
	int nr_orders;
};

/* What reading the flush file says of the last flush. */
struct pr_flushed {
	long pages;
	long duration_us;
	int error;
	long moved;
};

struct pr_case {
	const char *name;
	int (*run)(void);
};

/* The start: the test program ends here where it cannot run. */
void pr_start(void);

/* How a case ends, besides KSFT_PASS. */
int pr_fail(const char *format, ...) __printf(1, 2);
int pr_skip(const char *format, ...) __printf(1, 2);
const char *pr_skip_reason(void);

/* Files of the kernel: 0 or more, or a negative errno. */
int pr_read(const char *path, char *text, size_t size);
int pr_write(const char *path, const char *text);
int pr_write_bytes(const char *path, const char *text, size_t len);
long pr_number(const char *path);
void pr_must_write(const char *path, const char *text);
void pr_knob(const char *path);
void pr_knob_back(const char *path);
void pr_restore_to(const char *path, const char *text);
bool pr_reads(const char *path, const char *text);

/* Time. */
long pr_now_ms(void);
void pr_sleep_ms(long ms);
bool pr_await_text(const char *path, const char *text, long ms);
bool pr_await_counter(enum pr_counter which, long least, long ms);

/* Counters, and what they have to agree with. */
struct pr_counters pr_count(void);
long pr_imbalance(const struct pr_counters *counters);
int pr_check_identity(void);
int pr_check_gauge(int order);
int pr_check_sums(void);
void pr_read_zones(struct pr_zones *zones);
long pr_eligible_pages(const struct pr_zone *zone, int nr_orders, int order);
enum pr_supply pr_supply(const struct pr_zone *zone, int order);
int pr_max_order(void);
size_t pr_page_size(void);

/* Memory of this process. */
char *pr_take(size_t size, int advice);
void pr_give(char *mem, size_t size);
void pr_take_and_give(size_t size);
size_t pr_some_memory(void);

/* The device. */
bool pr_has_device(void);
int pr_flush(const char *what);
struct pr_flushed pr_last_flush(void);
pid_t pr_flush_in_child(const char *what);
int pr_join(pid_t child, long ms);
int pr_check_all_reported(long most);
int pr_sample_load(const char *params);
int pr_sample_unload(void);
bool pr_has_sample(void);
void pr_sample_set(const char *name, long value);
long pr_sample_stat(const char *name);
int pr_need_device(void);
int pr_need_sample(const char *params);

/* Runs all cases. Here, as kselftest.h counts for each file apart. */
static inline void pr_run(const struct pr_case *cases, size_t nr)
{
	size_t i;

	ksft_set_plan(nr);
	for (i = 0; i < nr; i++) {
		int result = cases[i].run();

		if (result == KSFT_SKIP)
			ksft_test_result_code(result, cases[i].name, "%s",
					      pr_skip_reason());
		else
			ksft_test_result_code(result, cases[i].name, NULL);
	}
	ksft_finished();
}

#endif /* PAGE_REPORTING_UTIL_H */
