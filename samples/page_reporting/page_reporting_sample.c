// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest driver for free page reporting.
 *
 * There is no hypervisor behind it: the module only counts the memory that is
 * reported, and nothing is dropped. Comments say what a real driver does instead.
 * For tests, reports can fail or take long.
 *
 * A driver does three things. It fills in a struct page_reporting_dev_info and
 * registers it once its device can take reports. It handles reports. And it
 * unregisters before the device is removed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/page_reporting.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/sysfs.h>

static int order = PAGE_REPORTING_ORDER_UNSPECIFIED;
module_param(order, int, 0444);
MODULE_PARM_DESC(order, "Order of the smallest block to report; -1: the kernel decides");

static uint capacity;
module_param(capacity, uint, 0444);
MODULE_PARM_DESC(capacity, "Maximum number of blocks in one report; 0: the kernel decides");

static uint fail_every;
module_param(fail_every, uint, 0644);
MODULE_PARM_DESC(fail_every, "Fail every Nth report; 0 for none");

static uint fail_percent;
module_param(fail_percent, uint, 0644);
MODULE_PARM_DESC(fail_percent, "Percentage of reports that fail, chosen at random");

static uint delay_ms;
module_param(delay_ms, uint, 0644);
MODULE_PARM_DESC(delay_ms, "Time that a report takes, in ms; may be changed while one waits");

/* Written only by sample_report(), which never runs twice at a time. */
static struct {
	unsigned long reports;	/* number of reports */
	unsigned long errors;	/* reports that failed */
	unsigned long blocks;	/* blocks in the other reports */
	unsigned long pages;	/* pages in these blocks */
	unsigned long longest;	/* maximum number of blocks in one report */
} stats;

static int sample_get_stats(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer,
			  "reports=%lu errors=%lu blocks=%lu pages=%lu longest=%lu\n",
			  READ_ONCE(stats.reports), READ_ONCE(stats.errors),
			  READ_ONCE(stats.blocks), READ_ONCE(stats.pages),
			  READ_ONCE(stats.longest));
}

static int sample_set_stats(const char *val, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops sample_stats_ops = {
	.set = sample_set_stats,
	.get = sample_get_stats,
};
module_param_cb(stats, &sample_stats_ops, NULL, 0444);
MODULE_PARM_DESC(stats, "Statistics of all reports since the module was loaded");

/* With WRITE_ONCE(), as sysfs reads the counters without a lock. */
static void sample_count(unsigned long *counter, unsigned long more)
{
	WRITE_ONCE(*counter, *counter + more);
}

/* The value of a parameter, which may change at any time. */
static unsigned int sample_param(const unsigned int *param)
{
	/* Parameters are written by plain stores. An old value does no harm. */
	return data_race(*param);
}

/*
 * Simulates a busy hypervisor. The parameter is read repeatedly, so that a lower
 * value also ends a wait that has begun.
 */
static void sample_wait(void)
{
	unsigned long start = jiffies;

	while (time_before(jiffies,
			   start + msecs_to_jiffies(sample_param(&delay_ms))))
		msleep(20);
}

static bool sample_fails(void)
{
	unsigned int nth = sample_param(&fail_every);

	if (nth && stats.reports % nth == 0)
		return true;
	return get_random_u32_below(100) < sample_param(&fail_percent);
}

/*
 * Called with @nents free blocks, at most @capacity, in process context and with
 * no lock held. May sleep, and take long. Nothing else uses the blocks until it
 * returns. Must not access their content, and must not call
 * page_reporting_unregister(), which waits for it to return.
 */
static int sample_report(struct page_reporting_dev_info *prdev,
			 struct scatterlist *sgl, unsigned int nents)
{
	unsigned long pages = 0;
	struct scatterlist *sg;
	unsigned int i;

	sample_count(&stats.reports, 1);
	sample_wait();
	if (sample_fails()) {
		/*
		 * After an error, none of these blocks counts as reported, even
		 * if some were. All of them will be reported again.
		 */
		sample_count(&stats.errors, 1);
		return -EIO;
	}

	/*
	 * A real driver passes the sg->length bytes at sg_phys(sg) of each entry
	 * to its hypervisor, and waits for it. Here, they are only counted.
	 */
	for_each_sg(sgl, sg, nents, i)
		pages += sg->length >> PAGE_SHIFT;

	sample_count(&stats.blocks, nents);
	sample_count(&stats.pages, pages);
	WRITE_ONCE(stats.longest, max_t(unsigned long, stats.longest, nents));
	return 0;
}

/* All other fields belong to the engine, and have to be 0 at first. */
static struct page_reporting_dev_info sample_dev = {
	.report = sample_report,
};

static int __init sample_init(void)
{
	int err;

	/*
	 * A driver that leaves the choice to the kernel sets the order to
	 * PAGE_REPORTING_ORDER_UNSPECIFIED, and the capacity to 0. It sets the
	 * capacity if the queue of its device has fewer entries.
	 */
	sample_dev.order = order;
	sample_dev.capacity = capacity;

	/* The last step of a driver's probe. Reports may begin at once. */
	err = page_reporting_register(&sample_dev);
	if (err)
		pr_err("cannot register (%d): is there a balloon?\n", err);
	return err;
}

static void __exit sample_exit(void)
{
	/*
	 * The first step of a driver's remove. Waits for a report in progress.
	 * After this, no report follows, and all blocks are back on their lists.
	 */
	page_reporting_unregister(&sample_dev);
	pr_info("%lu pages in %lu blocks, %lu of %lu reports failed\n",
		stats.pages, stats.blocks, stats.errors, stats.reports);
}

module_init(sample_init);
module_exit(sample_exit);
MODULE_DESCRIPTION("Example of a driver for free page reporting");
MODULE_LICENSE("GPL");
