// SPDX-License-Identifier: GPL-2.0
/*
 * Shows defects of the kernel's own free page reporting, for tests/test_fixes.py.
 *
 * The module is a device that takes each report at once. The parameter "what" chooses the defect.
 * The results are parameters, which can be read once the module is loaded:
 *
 *   device	stays registered; reported_pages is the number of pages reported until no more
 *		reports came. A write to "settle" waits for this again
 *   hwpoison	while a block is marked, another CPU sets and clears PG_hwpoison of its first page,
 *		"count" times; lost counts how often the flag was set and then lost
 *   half	isolates the second pageblock of a block of two while the device has it; handed_out
 *		counts the pages of this pageblock that were allocated nevertheless
 *   error	the device refuses all reports for ten seconds; forgotten counts the passes with a
 *		refused report after which no other pass was due
 *   short	a zone has too little free memory at first, and then more of it in single pages;
 *		forgotten counts the passes at first after which no other pass was due
 *   allocate	the first allocation of the first pass fails; allocations says whether there was one
 *   unaccepted	most of the free memory counts as unaccepted; unaccepted_reported is the number of
 *		pages reported during this time
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mmzone.h>
#include <linux/page-isolation.h>
#include <linux/page_reporting.h>
#include <linux/pageblock-flags.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#define QUIET_S		5		/* after this without a pass, all is reported */
#define DEADLINE_S	120
#define SHORT_S		3		/* time for passes that find too little free memory */
#define REFUSING_S	10		/* by then, the boot no longer frees anything */
#define SPIN		50		/* between setting PG_hwpoison and checking it */
#define PAIRS		24000		/* of pages, of which one is freed: 93 MiB */
#define SHORT_PAGES	(SZ_32M >> PAGE_SHIFT)

static char *what = "";
module_param(what, charp, 0444);
static unsigned int count;
module_param(count, uint, 0444);

static unsigned long reported_pages, passes, errors, marks, sets, lost, isolated_pages, handed_out,
		     allocations, forgotten, short_pages, unaccepted_pages, unaccepted_reported;
module_param(reported_pages, ulong, 0444);
module_param(passes, ulong, 0444);
module_param(errors, ulong, 0444);
module_param(marks, ulong, 0444);
module_param(sets, ulong, 0444);
module_param(lost, ulong, 0444);
module_param(isolated_pages, ulong, 0444);
module_param(handed_out, ulong, 0444);
module_param(allocations, ulong, 0444);
module_param(forgotten, ulong, 0444);
module_param(short_pages, ulong, 0444);
module_param(unaccepted_pages, ulong, 0444);
module_param(unaccepted_reported, ulong, 0444);

/* The device */

static void (*look_at_block)(struct page *page, unsigned int order);
static void (*before_pass)(void);
static void (*after_pass)(void);
static work_func_t reporting_work;
static unsigned long refused_until;	/* in jiffies; 0: never */
static bool unfinished;			/* this pass has left something to report */

static int take_report(struct page_reporting_dev_info *prdev, struct scatterlist *sgl,
		       unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int n;

	if (refused_until && time_before(jiffies, refused_until)) {
		errors++;
		unfinished = true;
		return -EIO;
	}
	for_each_sg(sgl, sg, nents, n) {
		WRITE_ONCE(reported_pages, reported_pages + (sg->length >> PAGE_SHIFT));
		if (look_at_block)
			look_at_block(sg_page(sg), get_order(sg->length));
	}
	return 0;
}

static struct page_reporting_dev_info device = {
	.report = take_report,
	.order = PAGE_REPORTING_ORDER_UNSPECIFIED,
};

/* Replaces the function of the work. */
static void run_pass(struct work_struct *work)
{
	if (before_pass)
		before_pass();
	reporting_work(work);
	if (after_pass)
		after_pass();
	WRITE_ONCE(passes, passes + 1);
}

static int attach(void)
{
	int err = page_reporting_register(&device);

	if (err)
		return err;
	/* The first pass waits for page_reporting_delay_ms. */
	reporting_work = device.work.work.func;
	device.work.work.func = run_pass;
	return 0;
}

static void detach(void)
{
	page_reporting_unregister(&device);
}

/* Only sleeps, so that this task frees nothing. */
static int wait_until_quiet(void)
{
	unsigned long end = jiffies + DEADLINE_S * HZ, before;

	do {
		before = READ_ONCE(reported_pages) + READ_ONCE(passes);
		schedule_timeout_idle(QUIET_S * HZ);
		if (READ_ONCE(reported_pages) + READ_ONCE(passes) == before)
			return 0;
	} while (time_before(jiffies, end));
	return -ETIMEDOUT;
}

static int settle(const char *val, const struct kernel_param *kp)
{
	return wait_until_quiet();
}

/* Has to exist, as all parameters are read to show the results. */
static int show_settle(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "0\n");
}

static const struct kernel_param_ops settle_ops = {
	.set = settle,
	.get = show_settle,
};
module_param_cb(settle, &settle_ops, NULL, 0644);

static int attach_and_wait(void)
{
	int err = attach();

	if (err)
		return err;
	err = wait_until_quiet();
	if (err)
		detach();
	return err;
}

static int attach_wait_detach(void)
{
	int err = attach_and_wait();

	if (!err)
		detach();
	return err;
}

/* hwpoison */

static struct page *target, *hammered, *hammering;
static DECLARE_COMPLETION(marked);

static void hammer_page(struct page *page)
{
	int i;

	SetPageHWPoison(page);
	sets++;
	for (i = 0; i < SPIN; i++)
		barrier();
	if (!PageHWPoison(page))
		lost++;
	ClearPageHWPoison(page);
}

static int hammer(void *unused)
{
	struct page *page;

	while (!kthread_should_stop()) {
		page = READ_ONCE(hammered);
		/* The previous page is not touched after this: see stop_hammering(). */
		smp_store_release(&hammering, page);
		if (page)
			hammer_page(page);
		else
			cond_resched();
	}
	return 0;
}

static void start_hammering(struct page *page, unsigned int order)
{
	if (page != target)
		return;
	WRITE_ONCE(hammered, page);
	while (READ_ONCE(hammering) != page)
		cpu_relax();
}

static void stop_hammering(void)
{
	struct page *page = hammered;

	if (!page)
		return;
	WRITE_ONCE(hammered, NULL);
	/* Pairs with the release in hammer(). */
	while (smp_load_acquire(&hammering))
		cpu_relax();
	/* A non-atomic mark can also set it again. */
	ClearPageHWPoison(page);
	target = NULL;
	marks++;
	complete(&marked);
}

/* Without a delay, the pass runs on this CPU as soon as this task sleeps. */
static int mark_one(void)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_PAGE_ORDER);

	if (!page)
		return -ENOMEM;
	target = page;
	__free_pages(page, MAX_PAGE_ORDER);
	return wait_for_completion_timeout(&marked, DEADLINE_S * HZ) ? 0 : -ETIMEDOUT;
}

static int mark_and_hammer(void)
{
	unsigned int i;
	int err;

	look_at_block = start_hammering;
	after_pass = stop_hammering;
	err = attach_and_wait();
	if (err)
		return err;
	for (i = 0; !err && i < count; i++)
		err = mark_one();
	detach();
	return err;
}

static int show_hwpoison(void)
{
	struct task_struct *task;
	int err;

	if (num_online_cpus() < 2)
		return -EINVAL;
	set_cpus_allowed_ptr(current, cpumask_of(0));
	task = kthread_run_on_cpu(hammer, NULL, 1, "hammer");
	if (IS_ERR(task))
		return PTR_ERR(task);
	err = mark_and_hammer();
	kthread_stop(task);
	return err;
}

/* half */

static int (*isolate_range)(unsigned long start_pfn, unsigned long end_pfn,
			    enum pb_isolate_mode mode);
static void (*undo_isolation)(unsigned long start_pfn, unsigned long end_pfn);
static unsigned long isolated_pfn;

/* Uses a kprobe to find the address of a symbol that is not exported. */
static void *address_of(const char *name)
{
	struct kprobe probe = { .symbol_name = name };

	if (register_kprobe(&probe))
		return NULL;
	unregister_kprobe(&probe);
	return probe.addr;
}

/* As alloc_contig_range() does, or unplugging memory of a virtual machine in small units. */
static void isolate_half(struct page *page, unsigned int order)
{
	unsigned long middle = page_to_pfn(page) + pageblock_nr_pages;

	if (isolated_pfn || order <= pageblock_order)
		return;
	if (!isolate_range(middle, middle + pageblock_nr_pages, PB_ISOLATE_MODE_OTHER)) {
		isolated_pfn = middle;
		isolated_pages = pageblock_nr_pages;
	}
}

/* Allocate all free memory, and look which pages are handed out. */
static void take_all(void)
{
	gfp_t gfp = GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | __GFP_NORETRY;
	struct page *page, *next;
	LIST_HEAD(taken);

	while ((page = alloc_pages(gfp, pageblock_order))) {
		if (page_to_pfn(page) == isolated_pfn)
			handed_out += pageblock_nr_pages;
		list_add(&page->lru, &taken);
	}
	list_for_each_entry_safe(page, next, &taken, lru) {
		list_del(&page->lru);
		__free_pages(page, pageblock_order);
	}
}

static int show_half(void)
{
	int err;

	isolate_range = address_of("start_isolate_page_range");
	undo_isolation = address_of("undo_isolate_page_range");
	if (!isolate_range || !undo_isolation)
		return -ENOENT;
	look_at_block = isolate_half;
	err = attach_wait_detach();
	if (!isolated_pfn)
		return err ?: -ENODATA;
	take_all();
	undo_isolation(isolated_pfn, isolated_pfn + pageblock_nr_pages);
	return err;
}

/* error */

/* Right after a pass: later, another free in the guest may have requested one. */
static void note_forgotten(void)
{
	if (READ_ONCE(unfinished) && !delayed_work_pending(&device.work))
		forgotten++;
	if (refused_until)
		unfinished = false;
}

static int show_error(void)
{
	int err;

	after_pass = note_forgotten;
	refused_until = jiffies + REFUSING_S * HZ;
	err = attach();
	if (err)
		return err;
	schedule_timeout_idle(REFUSING_S * HZ);
	err = wait_until_quiet();
	detach();
	return err;
}

/* short */

static LIST_HEAD(singles);	/* the page of each pair that stays allocated */
static LIST_HEAD(others);
static LIST_HEAD(blocks);

static void free_list(struct list_head *list, unsigned int order)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, list, lru) {
		list_del(&page->lru);
		__free_pages(page, order);
	}
}

static int take_pairs(void)
{
	struct page *page;
	int i;

	for (i = 0; i < PAIRS; i++) {
		page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, 1);
		if (!page)
			return -ENOMEM;
		split_page(page, 1);
		list_add(&page->lru, &singles);
		list_add(&page[1].lru, &others);
	}
	return 0;
}

static int take_blocks(void)
{
	struct page *page;

	while (global_zone_page_state(NR_FREE_PAGES) > SHORT_PAGES) {
		page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY, pageblock_order);
		if (!page)
			return -ENOMEM;
		list_add(&page->lru, &blocks);
	}
	return 0;
}

static int show_short(void)
{
	int err;

	after_pass = note_forgotten;
	unfinished = true;
	err = take_pairs() ?: take_blocks() ?: attach();
	if (!err) {
		schedule_timeout_idle(SHORT_S * HZ);
		short_pages = reported_pages;
		WRITE_ONCE(unfinished, false);
		/* None of these can merge. */
		free_list(&others, 0);
		err = wait_until_quiet();
		detach();
	}
	free_list(&others, 0);
	free_list(&singles, 0);
	free_list(&blocks, pageblock_order);
	return err;
}

/* allocate */

static void fail_allocation(void)
{
	current->fail_nth = passes ? 0 : 1;
}

static void note_allocation(void)
{
	if (!passes && !current->fail_nth)
		allocations++;
	current->fail_nth = 0;
}

static int show_allocate(void)
{
	before_pass = fail_allocation;
	after_pass = note_allocation;
	return attach_wait_detach();
}

/* unaccepted */

static struct zone *largest_zone(void)
{
	struct zone *zones = NODE_DATA(first_online_node)->node_zones, *zone, *largest = zones;

	for (zone = zones; zone < zones + MAX_NR_ZONES; zone++)
		if (zone_managed_pages(zone) > zone_managed_pages(largest))
			largest = zone;
	return largest;
}

/* Unaccepted memory counts as free, so to raise its counter makes the rest look scarce. */
static int count_unaccepted(struct zone *zone)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, pageblock_order);
	int err;

	if (!page)
		return -ENOMEM;
	unaccepted_pages = zone_page_state(zone, NR_FREE_PAGES) - SHORT_PAGES;
	mod_zone_page_state(zone, NR_UNACCEPTED, unaccepted_pages);
	err = attach();
	if (!err)
		schedule_timeout_idle(SHORT_S * HZ);
	mod_zone_page_state(zone, NR_UNACCEPTED, -unaccepted_pages);
	unaccepted_reported = reported_pages;
	/* This requests a pass. */
	__free_pages(page, pageblock_order);
	if (err)
		return err;
	err = wait_until_quiet();
	detach();
	return err;
}

static int show_unaccepted(void)
{
	return count_unaccepted(largest_zone());
}

static const struct {
	const char *name;
	int (*show)(void);
} shows[] = {
	{ "device",	attach_and_wait },
	{ "hwpoison",	show_hwpoison },
	{ "half",	show_half },
	{ "error",	show_error },
	{ "short",	show_short },
	{ "allocate",	show_allocate },
	{ "unaccepted",	show_unaccepted },
};

static int __init fixes_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(shows); i++)
		if (!strcmp(what, shows[i].name))
			return shows[i].show();
	pr_err("fixes: what=%s: there is no such defect\n", what);
	return -EINVAL;
}

/* Only "device" is still registered. For the others, this does nothing. */
static void __exit fixes_exit(void)
{
	detach();
}

module_init(fixes_init);
module_exit(fixes_exit);
MODULE_DESCRIPTION("Shows defects of the kernel's own free page reporting");
MODULE_LICENSE("GPL");
