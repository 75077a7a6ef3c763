// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the cost and the effect of page reporting in a guest, with the stock kernel or ours.
 *
 * One CPU cycle is one instruction under QEMU's -icount shift=0, so a difference of
 * get_cycles() is an exact number of instructions. The parameter "what" chooses the
 * measurement. The results are parameters, which can be read once the module is loaded:
 *
 *   pairs	allocate and free one block of "order", "count" times, on the first
 *		"cpus" CPUs in turn, with interrupts off. An order without per-CPU lists is a
 *		free block of its own, its buddy in use; with "largest", each pair splits a
 *		largest block and merges it again. An order with per-CPU lists above 0: others of
 *		its blocks are free, as the watermark check looks for one, and how long that
 *		takes depends on where it finds one. Result: insns_per_pair
 *   passes	a device that takes each report at once. When all free memory is reported, measure
 *		a pass with nothing to do, and all passes after one block of 4 MiB of "type" was
 *		freed; results: idle_pass_insns, one_block_pass_insns, reported_pages. With "busy",
 *		an unmovable block of 4 MiB is allocated and freed every 100 ms meanwhile, so that
 *		it is never idle. Then the passes until the one block is reported are measured,
 *		busy_pages is what else was reported, and late says that the block was not reported
 *		within 60 s
 *   split	the same device; when all is reported, take "mib" in pieces of "order",
 *		one every "pause_ms"; results: reported_pages, and repeated_pages, the part of
 *		them that had been reported before and was not used since
 */
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#define QUIET_S		30		/* after this without a pass, all is reported */
#define PAIR_GFP	__GFP_NOWARN	/* without kswapd, which changes what a per-CPU list takes */
#define WARM_UP		100		/* pairs that are not measured, at first */
#define OTHER_PAGES	16384U		/* half of these do not fit into a per-CPU list */
#define BLOCK_ORDER	10		/* 4 MiB */
#define BLOCK_PAGES	BIT(BLOCK_ORDER)
#define NUDGE_PIECES	16
#define BUSY_MS		100
#define LEARN_MS	30000		/* with a busy block, before the one block is freed */
#define POLL_MS		10
#define REPORT_MS	60000		/* time limit for the report of the one block */

static char *what = "";
module_param(what, charp, 0444);
static unsigned int order, count = 1000, cpus = 1, mib, pause_ms;
module_param(order, uint, 0444);
module_param(count, uint, 0444);
module_param(cpus, uint, 0444);
module_param(mib, uint, 0444);
module_param(pause_ms, uint, 0444);
static char *type = "unmovable";
module_param(type, charp, 0444);
static bool busy, largest;
module_param(busy, bool, 0444);
module_param(largest, bool, 0444);

static unsigned long insns_per_pair, idle_pass_insns, one_block_pass_insns;
static unsigned long reported_pages, repeated_pages, busy_pages, passes;
module_param(insns_per_pair, ulong, 0444);
module_param(idle_pass_insns, ulong, 0444);
module_param(one_block_pass_insns, ulong, 0444);
module_param(reported_pages, ulong, 0444);
module_param(repeated_pages, ulong, 0444);
module_param(busy_pages, ulong, 0444);
static bool late;
module_param(late, bool, 0444);
module_param(passes, ulong, 0444);

static void sleep_ms(unsigned int ms)
{
	schedule_timeout_idle(msecs_to_jiffies(ms));
}

/* Pairs */

static atomic_t arrived;
static cycles_t began, ended[NR_CPUS];
static bool pairs_failed;
static struct page *others[OTHER_PAGES];

static bool has_cpu_lists(void)
{
	return order <= PAGE_ALLOC_COSTLY_ORDER;
}

/* Waits until all CPUs are here. PAUSE makes the emulator run another CPU. */
static void meet(unsigned int nr)
{
	atomic_inc(&arrived);
	while (atomic_read(&arrived) < nr * cpus)
		cpu_relax();
}

static bool one_pair(void)
{
	struct page *page = alloc_pages(PAIR_GFP, order);

	cpu_relax();
	if (!page)
		return false;
	__free_pages(page, order);
	cpu_relax();
	return true;
}

static void run_pairs(void *unused)
{
	unsigned int i, cpu = smp_processor_id();

	if (cpu >= cpus)
		return;
	meet(1);
	for (i = 0; i < WARM_UP; i++)
		if (!one_pair())
			pairs_failed = true;
	meet(2);
	WRITE_ONCE(began, get_cycles());
	for (i = 0; i < count; i++)
		if (!one_pair())
			pairs_failed = true;
	ended[cpu] = get_cycles();
}

static bool is_second(struct page *page)
{
	return page_to_pfn(page) & BIT(order);
}

/*
 * Takes many blocks and frees those that are the second of two buddies. They do not all fit
 * into the list of a CPU. Are some of them on the zone's free list then?
 */
static bool free_others(struct list_head *taken)
{
	unsigned int i, blocks = OTHER_PAGES >> order;

	for (i = 0; i < blocks; i++) {
		others[i] = alloc_pages(PAIR_GFP, order);
		if (!others[i])
			pairs_failed = true;
		else if (!is_second(others[i]))
			list_add(&others[i]->lru, taken);
	}
	for (i = 0; i < blocks; i++)
		if (others[i] && is_second(others[i]))
			__free_pages(others[i], order);
	for (i = 0; i < blocks; i++)
		if (others[i] && PageBuddy(others[i]) && page_private(others[i]) == order)
			return true;
	return false;
}

/* Was @page just split off a largest block, of which all the rest is free? */
static bool is_first_part(struct page *page)
{
	unsigned int part;

	for (part = order; part < MAX_PAGE_ORDER; part++)
		if (!PageBuddy(page + BIT(part)) || page_private(page + BIT(part)) != part)
			return false;
	return IS_ALIGNED(page_to_pfn(page), BIT(MAX_PAGE_ORDER));
}

/* Takes the buddy of @page, too, so that the only free block of this order is @page. */
static bool take_buddy(struct page *page, struct list_head *taken)
{
	struct page *buddy = alloc_pages(PAIR_GFP, order);

	if (!buddy)
		return false;
	list_add(&buddy->lru, taken);
	return buddy == page + BIT(order);
}

/*
 * Takes all other free blocks, so that each pair finds the same, whatever else was free.
 * Only for orders without per-CPU lists.
 */
static bool take_others(struct list_head *taken)
{
	struct page *page;
	bool alone = true;

	while ((page = alloc_pages(PAIR_GFP, order))) {
		if (is_first_part(page)) {
			if (!largest && order < MAX_PAGE_ORDER)
				alone = take_buddy(page, taken);
			__free_pages(page, order);
			return alone;
		}
		list_add(&page->lru, taken);
	}
	return false;
}

static int measure_pairs(void)
{
	struct page *page, *next;
	cycles_t end = 0;
	LIST_HEAD(taken);
	unsigned int cpu;

	if (!count || !cpus || cpus > num_online_cpus() || order > MAX_PAGE_ORDER)
		return -EINVAL;
	if (order && !(has_cpu_lists() ? free_others(&taken) : take_others(&taken)))
		pairs_failed = true;
	on_each_cpu(run_pairs, NULL, true);
	list_for_each_entry_safe(page, next, &taken, lru)
		__free_pages(page, order);
	for (cpu = 0; cpu < cpus; cpu++)
		end = max(end, ended[cpu]);
	insns_per_pair = (end - began) / ((unsigned long)count * cpus);
	return pairs_failed ? -ENOMEM : 0;
}

/* A device that takes each report at once */

static unsigned long *given;		/* by page frame: reported, and not used since */
static unsigned long *nudged;		/* by page frame: freed only to start a pass */
static unsigned long nr_frames, unknown_pages;
static work_func_t reporting_work;
static unsigned long passes_insns;
static unsigned long block_pfn = -1UL;	/* the one block that is freed */
static unsigned long block_pages;	/* how many of its pages were reported */

static void note_page(unsigned long pfn)
{
	if (pfn >= nr_frames) {
		unknown_pages++;
		return;
	}
	if (!test_and_clear_bit(pfn, nudged))
		reported_pages++;
	if (test_and_set_bit(pfn, given))
		repeated_pages++;
}

static int take_report(struct page_reporting_dev_info *prdev, struct scatterlist *sgl,
		       unsigned int nents)
{
	struct scatterlist *sg;
	unsigned long i;
	unsigned int n;

	for_each_sg(sgl, sg, nents, n) {
		if (page_to_pfn(sg_page(sg)) - block_pfn < BLOCK_PAGES)
			block_pages += sg->length >> PAGE_SHIFT;
		if (!given)
			reported_pages += sg->length >> PAGE_SHIFT;
		else
			for (i = 0; i < sg->length >> PAGE_SHIFT; i++)
				note_page(page_to_pfn(sg_page(sg)) + i);
	}
	return 0;
}

static struct page_reporting_dev_info device = { .report = take_report };

/* Replaces the function of the work, to measure each pass. */
static void count_pass(struct work_struct *work)
{
	cycles_t start = get_cycles();

	reporting_work(work);
	passes_insns += get_cycles() - start;
	WRITE_ONCE(passes, passes + 1);
}

static int attach(void)
{
	int err;

	/* A kernel without the feature has no such functions. */
	if (!IS_ENABLED(CONFIG_PAGE_REPORTING))
		return -EOPNOTSUPP;
	err = page_reporting_register(&device);
	if (err)
		return err;
	/* The first pass is due only in seconds. */
	reporting_work = device.work.work.func;
	device.work.work.func = count_pass;
	return 0;
}

static void detach(void)
{
	if (IS_ENABLED(CONFIG_PAGE_REPORTING))
		page_reporting_unregister(&device);
}

static void wait_until_quiet(void)
{
	unsigned long before;

	do {
		before = READ_ONCE(passes);
		sleep_ms(QUIET_S * 1000);
	} while (READ_ONCE(passes) != before);
}

/* Instructions of all passes until all is reported. */
static unsigned long insns_until_quiet(void)
{
	unsigned long before = passes_insns;

	wait_until_quiet();
	return passes_insns - before;
}

static void use_block(struct work_struct *work);
static DECLARE_DELAYED_WORK(busy_work, use_block);

/* Allocate and free an unmovable block: always the same one, as it was freed last. */
static void use_block(struct work_struct *work)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, BLOCK_ORDER);

	if (page)
		__free_pages(page, BLOCK_ORDER);
	schedule_delayed_work(&busy_work, msecs_to_jiffies(BUSY_MS));
}

/* Instructions of all passes until the one block is reported, or is late. */
static unsigned long insns_until_reported(void)
{
	unsigned long before = passes_insns, had = reported_pages;
	unsigned int ms;

	for (ms = 0; READ_ONCE(block_pages) < BLOCK_PAGES && ms < REPORT_MS; ms += POLL_MS)
		sleep_ms(POLL_MS);
	late = block_pages < BLOCK_PAGES;
	busy_pages = reported_pages - had - block_pages;
	return passes_insns - before;
}

static int count_block(struct page *page)
{
	unsigned long had = reported_pages;

	block_pfn = page_to_pfn(page);
	block_pages = 0;
	__free_pages(page, BLOCK_ORDER);
	if (busy) {
		one_block_pass_insns = insns_until_reported();
		return 0;
	}
	one_block_pass_insns = insns_until_quiet();
	return reported_pages - had == BLOCK_PAGES ? 0 : -ENODATA;
}

static int count_passes(gfp_t gfp)
{
	struct page *page;

	wait_until_quiet();
	mod_delayed_work(system_wq, &device.work, 0);
	idle_pass_insns = insns_until_quiet();

	page = alloc_pages(gfp, BLOCK_ORDER);
	if (!page)
		return -ENOMEM;
	if (busy) {
		use_block(NULL);
		sleep_ms(LEARN_MS);
	} else {
		wait_until_quiet();
	}
	return count_block(page);
}

static const struct {
	const char *name;
	gfp_t gfp;
} types[] = {
	{ "unmovable",		GFP_KERNEL },
	{ "reclaimable",	GFP_KERNEL | __GFP_RECLAIMABLE },
	{ "movable",		GFP_HIGHUSER_MOVABLE },
};

static int measure_passes(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(type, types[i].name))
			break;
	if (i == ARRAY_SIZE(types))
		return -EINVAL;
	err = attach();
	if (err)
		return err;
	err = count_passes(types[i].gfp);
	cancel_delayed_work_sync(&busy_work);
	detach();
	return err;
}

/* Split */

/* Allocate a block that the bitmaps cover, and note that it is in use. */
static struct page *take(gfp_t gfp, unsigned int block_order)
{
	struct page *page = alloc_pages(gfp, block_order);
	unsigned long pfn = page ? page_to_pfn(page) : 0;

	if (!page || pfn + (1UL << block_order) > nr_frames)
		return NULL;
	bitmap_clear(given, pfn, 1U << block_order);
	bitmap_clear(nudged, pfn, 1U << block_order);
	return page;
}

/*
 * Start a pass: free a block that was used for a moment. It is unmovable, so that no
 * piece is allocated from it before the pass.
 */
static bool nudge(void)
{
	struct page *page = take(GFP_KERNEL, BLOCK_ORDER);

	if (!page)
		return false;
	bitmap_set(nudged, page_to_pfn(page), 1U << BLOCK_ORDER);
	__free_pages(page, BLOCK_ORDER);
	return true;
}

static int take_pieces(void)
{
	unsigned long i, pieces = (unsigned long)mib << (20 - PAGE_SHIFT) >> order;

	for (i = 0; i < pieces; i++) {
		if (!take(GFP_HIGHUSER_MOVABLE, order) || (i % NUDGE_PIECES == 0 && !nudge()))
			return -ENOMEM;
		sleep_ms(pause_ms);
	}
	wait_until_quiet();
	return 0;
}

static int split_with_device(void)
{
	int err = attach();

	if (err)
		return err;
	wait_until_quiet();
	err = take_pieces();
	detach();
	return err ?: unknown_pages ? -ERANGE : 0;
}

static int measure_split(void)
{
	size_t size;
	int err;

	if (!mib || order >= BLOCK_ORDER)
		return -EINVAL;
	/* Memory below 3 GiB has no hole: frame numbers are page counts. */
	nr_frames = totalram_pages() + (SZ_64M >> PAGE_SHIFT);
	size = BITS_TO_LONGS(nr_frames) * sizeof(long);
	given = vzalloc(size);
	nudged = vzalloc(size);
	err = given && nudged ? split_with_device() : -ENOMEM;
	vfree(given);
	vfree(nudged);
	return err;
}

static const struct {
	const char *name;
	int (*measure)(void);
} measures[] = {
	{ "pairs",	measure_pairs },
	{ "passes",	measure_passes },
	{ "split",	measure_split },
};

static int __init measure_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(measures); i++)
		if (!strcmp(what, measures[i].name))
			return measures[i].measure();
	pr_err("measure: what=%s: give pairs, passes or split\n", what);
	return -EINVAL;
}

/* The pieces of "split" are never freed, as the guest powers off next. */
static void __exit measure_exit(void)
{
}

module_init(measure_init);
module_exit(measure_exit);
MODULE_DESCRIPTION("Counts what page reporting costs and reports");
MODULE_LICENSE("GPL");
