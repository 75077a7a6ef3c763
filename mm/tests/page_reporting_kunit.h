/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the KUnit suites share.
 *
 * A fake device takes the reports of this machine's real free memory. Passes
 * run in the thread of the test, unless a test starts the worker. Whatever a
 * test changes is undone by a managed action, even if the test aborts.
 *
 * The comment above each case begins with the rows of behaviour that it shows:
 * see "Tests" in Documentation/mm/free_page_reporting.rst.
 */
#ifndef _MM_TESTS_PAGE_REPORTING_KUNIT_H
#define _MM_TESTS_PAGE_REPORTING_KUNIT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_reporting.h>
#include <linux/vmstat.h>

#include "../page_reporting.h"
#include "../page_reporting_internal.h"

/* The longest delay that the parameter takes: no pass starts by itself. */
#define FPR_QUIET_MS		3600000
/* A delay that grows to a minute, and is long enough for a test. */
#define FPR_DELAY_MS		20000
/* As a delay: pacing decides. */
#define FPR_ADAPTIVE		(-1)
/* An order that the allocator does not keep on per-CPU lists. */
#define FPR_ORDER		5
/* Pages that others may take while a test looks. */
#define FPR_SLACK		512
/* For what has to happen soon, on a machine that is busy. */
#define FPR_DEADLINE		(30 * HZ)
/* Passes after which all that can be reported has been. */
#define FPR_MAX_PASSES		200
/* Blocks of a pair's order that are allocated to find the pair. */
#define FPR_FILL		64
/* One pair of each type that can be allocated. */
#define FPR_PAIRS		3

/* The parameters, as in /sys/module/page_reporting/parameters/ */
#define FPR_PARAM_ORDER		"page_reporting_order"
#define FPR_PARAM_DELAY		"page_reporting_delay_ms"

/**
 * struct fpr_block - a block that was reported
 * @page: its first page
 * @zone: its zone
 * @order: its order
 * @mt: the type of its first pageblock when it was reported
 * @call: number of the call of report(), from 0
 * @pass: number of the pass, as counted by fpr_pass()
 */
struct fpr_block {
	struct page *page;
	struct zone *zone;
	unsigned int order;
	int mt;
	unsigned int call;
	unsigned int pass;
};

/* Where a block is that was on a free list before. */
enum fpr_where {
	FPR_LISTED,	/* on the list of its order and type */
	FPR_ASTRAY,	/* free, but not on that list */
	FPR_TAKEN,	/* not free, or part of another block */
};

/**
 * struct fpr_pair - two allocated buddies
 * @order: the order of each; 0 means FPR_ORDER
 * @lo: the lower one
 * @hi: the upper one
 * @fill: the other blocks that it took to find them
 */
struct fpr_pair {
	unsigned int order;
	struct page *lo, *hi;
	struct page *fill[FPR_FILL];
};

/**
 * struct fpr_fake - a device that takes reports, and the state of one test
 * @prdev: what is registered
 * @test: the test
 * @err: what report() returns
 * @hook: called by report() before it returns, or NULL
 * @pairs: pairs of blocks, see fpr_get_pair()
 * @allocated: all pages of fpr_alloc() that are not freed yet
 * @watch: a page that a hook waits for
 * @refusals: what was refused: a call of the engine, or a report by a hook
 * @entered: a hook was called
 * @told: a hook may return
 * @gone: a thread is done
 * @returned: calls of report() that are over
 * @active: a hook saw the state ACTIVE
 * @passes: passes by fpr_pass()
 * @calls: calls of report()
 * @nr_blocks: entries in @blocks
 * @blocks: all blocks that were reported, in order
 * @low_zone: the zone whose low watermark was changed, or NULL
 * @low_wmark: what it was before
 * @saved_order: the order that the user had set, which is restored at the end
 * @saved_delay: the same of the delay, as text
 * @saved_compact: the same of making whole blocks of fragments
 */
struct fpr_fake {
	struct page_reporting_dev_info prdev;
	struct kunit *test;
	int err;
	void (*hook)(struct fpr_fake *fake, struct scatterlist *sg,
		     unsigned int nents);
	struct fpr_pair pairs[FPR_PAIRS];
	struct list_head allocated;
	struct page *watch;
	unsigned int refusals;
	struct completion entered, told, gone;
	unsigned int returned;
	bool active;
	unsigned int passes;
	unsigned int calls;
	unsigned int nr_blocks;
	struct fpr_block *blocks;
	struct zone *low_zone;
	unsigned long low_wmark;
	unsigned int saved_order;
	char saved_delay[16];
	bool saved_compact;
};

/**
 * fpr_poll - wait until a condition is true
 * @cond: the condition; it is evaluated again and again, and may do something
 *
 * Return: true, or false if FPR_DEADLINE has passed.
 */
#define fpr_poll(cond)						\
({								\
	unsigned long __deadline = jiffies + FPR_DEADLINE;	\
	bool __true;						\
								\
	while (!(__true = (cond)) &&				\
	       time_before(jiffies, __deadline))		\
		usleep_range(500, 1000);			\
	__true;							\
})

/* A suite, and its fixture. The kernel's macro then registers it. */
#define FPR_SUITE(_name, _cases)				\
{								\
	.name = "page_reporting_" _name,			\
	.suite_init = fpr_suite_init,				\
	.suite_exit = fpr_suite_exit,				\
	.init = fpr_init,					\
	.test_cases = _cases,					\
}

int fpr_suite_init(struct kunit_suite *suite);
void fpr_suite_exit(struct kunit_suite *suite);
int fpr_init(struct kunit *test);

/* The device */
int fpr_report(struct page_reporting_dev_info *prdev, struct scatterlist *sgl,
	       unsigned int nents);
void fpr_register_unready(struct fpr_fake *fake, unsigned int capacity);
void fpr_register(struct fpr_fake *fake, unsigned int capacity);
void fpr_unregister(struct fpr_fake *fake);
bool fpr_slot_is_taken(void);
int fpr_state(const struct fpr_fake *fake);
void fpr_calm(struct fpr_fake *fake);
void fpr_request(void);
bool fpr_comes_back(struct fpr_fake *fake);
void fpr_expect_requested(struct fpr_fake *fake);
void fpr_run_pass(struct fpr_fake *fake);
void fpr_pass(struct fpr_fake *fake);
void fpr_report_all(struct fpr_fake *fake);
void fpr_start_worker(struct fpr_fake *fake);
void fpr_hook_wait(struct fpr_fake *fake, struct scatterlist *sg,
		   unsigned int nents);
void fpr_hook_sleep(struct fpr_fake *fake, struct scatterlist *sg,
		    unsigned int nents);
void fpr_hook_free_neighbour(struct fpr_fake *fake, struct scatterlist *sgl,
			     unsigned int nents);
void fpr_hook_expect_list(struct fpr_fake *fake, struct scatterlist *sgl,
			  unsigned int nents);

/* Threads */
struct task_struct *fpr_run_thread(struct fpr_fake *fake,
				   int (*fn)(void *data), void *data);
struct task_struct *fpr_run_thread_on(struct fpr_fake *fake, unsigned int cpu,
				      int (*fn)(void *data), void *data);
struct task_struct *fpr_unregister_in_thread(struct fpr_fake *fake);
void fpr_stop_thread(struct fpr_fake *fake, struct task_struct *task);
void fpr_expect_gone(struct fpr_fake *fake);

/* What was reported */
void fpr_forget(struct fpr_fake *fake);
const struct fpr_block *fpr_find(struct fpr_fake *fake, struct page *page);
bool fpr_covers(struct fpr_fake *fake, struct page *page);
enum fpr_where fpr_find_block(const struct fpr_block *block);
unsigned int fpr_count(struct fpr_fake *fake, enum fpr_where where);
unsigned int fpr_nr_in(struct fpr_fake *fake, struct zone *zone);
unsigned int fpr_nr_marked(struct fpr_fake *fake);

/* Parameters */
int fpr_set_param(const char *name, const char *val);
void fpr_expect_param(struct kunit *test, const char *name, const char *val);
void fpr_set_order(struct fpr_fake *fake, unsigned int order);
void fpr_set_delay(struct fpr_fake *fake, int delay_ms);
void fpr_expect_order(struct fpr_fake *fake, unsigned int live,
		      unsigned int wanted);
void fpr_expect_wanted(struct kunit *test, int order);

/* Timers */
unsigned int fpr_wait_of(const struct timer_list *timer);
void fpr_expect_wait(struct kunit *test, const struct timer_list *timer,
		     unsigned int wait_ms);
bool fpr_is_quiet(struct fpr_fake *fake);

/* Zones and free lists */
struct zone *fpr_largest_zone(void);
void fpr_set_low_wmark(struct fpr_fake *fake, struct zone *zone,
		       unsigned long pages);
void fpr_starve(struct fpr_fake *fake, struct zone *zone);
void fpr_feed(struct fpr_fake *fake);
unsigned long fpr_marked(void);
unsigned long fpr_unreported(struct zone *zone, unsigned int order);
unsigned long fpr_unreported_in_all(unsigned int order);
unsigned long fpr_nr_largest(void);
void fpr_expect_sound(struct kunit *test);

/* Memory */
struct page *fpr_try_alloc(struct fpr_fake *fake, gfp_t gfp, unsigned int order);
struct page *fpr_alloc(struct fpr_fake *fake, gfp_t gfp, unsigned int order);
void fpr_fill(struct fpr_fake *fake, gfp_t gfp, unsigned int nr);
void fpr_free_odd(struct fpr_fake *fake, unsigned int nr);
void fpr_split_largest(struct fpr_fake *fake, unsigned int order);
void fpr_free(struct page *page);
void fpr_free_all(struct fpr_fake *fake);
void fpr_free_past_lists(struct page *page);
void fpr_move_to_tail(struct page *page, unsigned int order);
void fpr_get_pair(struct fpr_fake *fake, struct fpr_pair *pair, gfp_t gfp);
void fpr_put(struct page **page);
void fpr_put_pair(struct fpr_pair *pair);
void fpr_free_upper_half(struct page *page);
void fpr_need_isolation(struct kunit *test);
struct page *fpr_isolate_pageblock(struct fpr_fake *fake);
void fpr_set_type(struct page *page, int mt);
int fpr_try_isolate(struct fpr_fake *fake, struct page *page);
void fpr_unisolate(struct fpr_fake *fake, struct page *page);

/* Counters in /proc/vmstat */
struct fpr_sums {
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned long free;
};

void fpr_need_counters(struct kunit *test);
struct fpr_sums *fpr_new_sums(struct kunit *test);
unsigned long fpr_grown(struct kunit *test, const struct fpr_sums *before,
			enum vm_event_item item);
void fpr_expect_identity(struct kunit *test);

/*
 * What the tests need of the engine, besides page_reporting.h,
 * page_reporting_internal.h and the parameters. The functions are in
 * page_reporting_*engine_kunit.h, which the engine's files include at their ends:
 * all that a change of the engine's internals has to touch is there and here.
 */

/* A free list is reported in about this many passes. */
extern const unsigned int fpr_engine_passes;
/* Blocks that are looked at under one hold of zone->lock. */
extern const unsigned int fpr_engine_steps;
/* Marked blocks at the head of a list that a first look goes past. */
extern const unsigned int fpr_engine_glance;
/* Blocks that go back under one hold of zone->lock. */
extern const unsigned int fpr_engine_drain;

/**
 * struct fpr_zone - a zone that is not there
 * @zone: its counters, watermarks and numbers of free blocks
 * @order: the reporting order
 * @capacity: blocks in a full batch
 */
struct fpr_zone {
	struct zone zone;
	unsigned int order;
	unsigned int capacity;
};

/**
 * struct fpr_walked - how the walk of a list went
 * @pauses: how often zone->lock was dropped on the way
 * @nents: blocks that were taken; they are back
 */
struct fpr_walked {
	unsigned int pauses;
	unsigned int nents;
};

/* page_reporting.c */
unsigned int fpr_engine_forget_user(void);
void fpr_engine_restore(unsigned int order);
unsigned int
fpr_engine_capacity(const struct page_reporting_dev_info *prdev);
void fpr_engine_live_in(unsigned int ms);
void fpr_engine_ask(void);
void fpr_engine_settle(void);
unsigned int fpr_engine_errors(void);
unsigned int fpr_engine_retries(void);
void fpr_engine_forget_retries(void);
unsigned int fpr_engine_backoff(unsigned int delay_ms, unsigned int before);
void fpr_engine_pm(unsigned long event);
void fpr_engine_stub_going_down(struct kunit *test, bool (*stub)(void));
void fpr_engine_forget_device(void);
void fpr_engine_stub_refuse(struct kunit *test, void (*stub)(void *caller));

/* As user space does by a size, "again" and "compact" in flush. */
static inline int fpr_flush(unsigned long nr_pages)
{
	return page_reporting_flush(nr_pages, PAGE_REPORTING_NOTHING_FIRST);
}

static inline int fpr_flush_again(void)
{
	return page_reporting_flush(ULONG_MAX, PAGE_REPORTING_FORGET_FIRST);
}

static inline int fpr_flush_compact(void)
{
	return page_reporting_flush(ULONG_MAX, PAGE_REPORTING_COMPACT_FIRST);
}

/* page_reporting_walk.c */
void fpr_engine_stub_unaccepted(struct kunit *test,
				unsigned long (*stub)(struct zone *zone));
void fpr_engine_stub_overdue(struct kunit *test, unsigned int (*stub)(void));
unsigned long fpr_engine_room(struct fpr_zone *zone, int mt);
void fpr_engine_stub_drain(struct kunit *test,
			   void (*stub)(struct zone *zone,
					struct per_cpu_pages *pcp));
bool fpr_engine_is_hopeless(struct fpr_zone *zone);
bool fpr_engine_is_due(struct zone *zone, unsigned int order);
struct fpr_walked fpr_engine_walk_list(struct zone *zone, unsigned int order,
				       int mt, bool whole);

/* page_reporting_budget.c */
u64 fpr_engine_debt_ns(void);
void fpr_engine_set_debt(u64 ns);
unsigned long fpr_engine_paced_blocks(struct zone *zone, unsigned int order,
				      int mt, enum page_reporting_pool pool);

/* page_reporting_compact.c */
extern const unsigned int fpr_engine_fragment_order;
u64 fpr_engine_move_debt_ns(void);
void fpr_engine_set_move_debt(u64 ns);
u64 *fpr_engine_least_fragments(struct zone *zone);
unsigned int fpr_engine_search_slices(struct zone *zone, unsigned int steps,
				      unsigned int most);
u64 fpr_engine_move_price(struct zone *zone);
void fpr_engine_charge_search(struct zone *zone);
unsigned int fpr_engine_wait_for_slice(struct zone *zone);
unsigned int fpr_engine_age_behind_others(struct zone *zone, unsigned int ms);
bool fpr_engine_finds_block(struct zone *zone, struct page *page);
bool fpr_engine_is_stuck(struct page *page);
bool fpr_engine_is_vain(struct page *page);
extern const unsigned int fpr_engine_vain_bits;
unsigned int fpr_engine_vain_bit(unsigned long block, unsigned int forgotten);
struct page *fpr_engine_hold_hole(struct page *page);
void fpr_engine_give_hole(struct page *page);
unsigned int fpr_engine_round_ms(unsigned long pages);
unsigned long fpr_engine_cut_short(struct zone *zone);
unsigned int fpr_engine_hold_holes(struct page *page);
unsigned int fpr_engine_use_hole(struct page *page);
unsigned long fpr_engine_move_block(struct page *page);
bool fpr_engine_empty(struct page *page);
void fpr_engine_put_holes(struct zone *zone);
unsigned int fpr_engine_age_rounds(unsigned int ms);
unsigned int fpr_engine_rounds(void);

/* page_reporting_mark.c */
void __fpr_engine_set_mark(struct zone *zone, struct page *page);
void __fpr_engine_clear_mark(struct zone *zone, struct page *page);

#endif /* _MM_TESTS_PAGE_REPORTING_KUNIT_H */
