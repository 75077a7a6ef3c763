// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest driver for free page reporting.
 *
 * There is no hypervisor behind it: free memory is named to this module, which
 * counts it, and nothing is dropped. What a real driver does differently is said
 * where it would. For tests, reports can fail or take long.
 *
 * A driver does three things. It fills in a struct page_reporting_dev_info and
 * registers it once its device is ready to be asked; it answers reports; and it
 * unregisters before the device goes away.
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
MODULE_PARM_DESC(order, "Smallest block to be told of, as a page order; -1 leaves it to the kernel");

static uint capacity;
module_param(capacity, uint, 0444);
MODULE_PARM_DESC(capacity, "Most blocks in one report; 0 leaves it to the kernel");

static uint fail_every;
module_param(fail_every, uint, 0644);
MODULE_PARM_DESC(fail_every, "Fail every Nth report; 0 for none");

static uint fail_percent;
module_param(fail_percent, uint, 0644);
MODULE_PARM_DESC(fail_percent, "Fail this share of the reports, at random, in percent");

static uint delay_ms;
module_param(delay_ms, uint, 0644);
MODULE_PARM_DESC(delay_ms, "Answer reports after this time, in ms; may change while one waits");

/* Written by sample_report() alone, of which only one runs at a time. */
static struct {
	unsigned long reports;	/* all of them */
	unsigned long errors;	/* that were failed */
	unsigned long blocks;	/* in those that were not */
	unsigned long pages;	/* in these blocks */
	unsigned long longest;	/* most blocks in one report */
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
MODULE_PARM_DESC(stats, "What was reported since the module was loaded");

/* For readers in sysfs, who hold no lock. */
static void sample_count(unsigned long *counter, unsigned long more)
{
	WRITE_ONCE(*counter, *counter + more);
}

/* The value of a parameter, which may change at any time. */
static unsigned int sample_param(const unsigned int *param)
{
	/* Stored to by a plain write; the old value is as good as the new one. */
	return data_race(*param);
}

/*
 * Stands for a hypervisor that is busy. The parameter is read again and again,
 * so that one that seems dead can be brought back to life.
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
 * Called with @nents free blocks, at most @capacity of them, in process context
 * with no lock held; it may sleep. Nobody else uses the blocks until it returns.
 * It must not touch what is in them, need not be quick, and must not call
 * page_reporting_unregister(), which waits for it.
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
		 * None of these blocks counts as reported, whatever happened to
		 * some of them. All of them will come again.
		 */
		sample_count(&stats.errors, 1);
		return -EIO;
	}

	/*
	 * A driver tells its hypervisor of sg->length bytes at sg_phys(sg),
	 * and waits until it has them all. Here they are only counted.
	 */
	for_each_sg(sgl, sg, nents, i)
		pages += sg->length >> PAGE_SHIFT;

	sample_count(&stats.blocks, nents);
	sample_count(&stats.pages, pages);
	WRITE_ONCE(stats.longest, max_t(unsigned long, stats.longest, nents));
	return 0;
}

/* All fields that are not set here are the engine's, and start as zeroes. */
static struct page_reporting_dev_info sample_dev = {
	.report = sample_report,
};

static int __init sample_init(void)
{
	int err;

	/*
	 * Wishes, both of them: a driver leaves them at 0 unless its device is
	 * made for another size of block, or has a queue of another length.
	 */
	sample_dev.order = order;
	sample_dev.capacity = capacity;

	/* The last step of a driver's probe: reports may come from here on. */
	err = page_reporting_register(&sample_dev);
	if (err)
		pr_err("cannot register: is there a balloon? (%d)\n", err);
	return err;
}

static void __exit sample_exit(void)
{
	/*
	 * The first step of a driver's remove. Waits for a report that is under
	 * way; when it returns, no other will come, and all blocks are back.
	 */
	page_reporting_unregister(&sample_dev);
	pr_info("%lu pages in %lu blocks, %lu of %lu reports failed\n",
		stats.pages, stats.blocks, stats.errors, stats.reports);
}

module_init(sample_init);
module_exit(sample_exit);
MODULE_DESCRIPTION("Example of a driver for free page reporting");
MODULE_LICENSE("GPL");
