// SPDX-License-Identifier: GPL-2.0
/*
 * Allocates memory in blocks of orders 4 to 8, in turn, for the lab's program churn. The module
 * holds at least as many MiB as were last written to /sys/module/blocks/parameters/held_mib, with
 * each page touched; 0 frees all. The blocks are movable, like those of user space.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

#define MIN_ORDER	4
#define NR_ORDERS	5
#define MIB_PAGES	(SZ_1M >> PAGE_SHIFT)

static DEFINE_MUTEX(held_lock);
static LIST_HEAD(held);		/* through page->lru, with the order in page->private */
static unsigned long held_pages;
static unsigned int turn;

static int take_block(unsigned int order)
{
	struct page *page = alloc_pages(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN, order);
	unsigned int i;

	if (!page)
		return -ENOMEM;
	for (i = 0; i < 1U << order; i++)
		memset_page(page + i, 0, 1, 1);
	set_page_private(page, order);
	list_add(&page->lru, &held);
	held_pages += 1UL << order;
	return 0;
}

static void free_block(void)
{
	struct page *page = list_first_entry(&held, struct page, lru);
	unsigned int order = page_private(page);

	list_del(&page->lru);
	set_page_private(page, 0);
	held_pages -= 1UL << order;
	__free_pages(page, order);
}

static void free_all(void)
{
	while (!list_empty(&held))
		free_block();
}

static int set_held(const char *val, const struct kernel_param *kp)
{
	unsigned int mib;
	int err = kstrtouint(val, 0, &mib);

	if (err)
		return err;
	guard(mutex)(&held_lock);
	if (!mib)
		free_all();
	while (!err && held_pages < (unsigned long)mib * MIB_PAGES)
		err = take_block(MIN_ORDER + turn++ % NR_ORDERS);
	return err;
}

static const struct kernel_param_ops held_ops = {
	.set = set_held,
};
module_param_cb(held_mib, &held_ops, NULL, 0200);
MODULE_PARM_DESC(held_mib, "MiB to hold; 0 frees all");

static int __init blocks_init(void)
{
	return 0;
}

static void __exit blocks_exit(void)
{
	free_all();
}

module_init(blocks_init);
module_exit(blocks_exit);
MODULE_DESCRIPTION("Takes and frees memory in blocks of orders 4 to 8");
MODULE_LICENSE("GPL");
