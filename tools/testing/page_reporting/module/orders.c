// SPDX-License-Identifier: GPL-2.0
/*
 * Allocates kernel memory of all orders, for the stress test. A write of a number to
 * /sys/module/orders/parameters/take allocates that many blocks of random orders, and frees as many
 * that were allocated before. Unloading the module frees all. With count=N, loading it allocates N
 * blocks of the highest order, so that their pageblocks get a migratetype of the kernel.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sched.h>

/* With one block in eleven of order 10, about 140 MiB at a time. */
#define ORDERS_SLOTS	192

static struct {
	struct page *page;
	unsigned int order;
} slots[ORDERS_SLOTS];

static DEFINE_MUTEX(slots_lock);
static unsigned int turn;

static void slot_free(unsigned int i)
{
	if (slots[i].page)
		__free_pages(slots[i].page, slots[i].order);
	slots[i].page = NULL;
}

/* Of two migratetypes, as each has its own free lists. A failed allocation is no error. */
static void take_block(unsigned int order)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY;

	guard(mutex)(&slots_lock);
	turn = (turn + 1) % ORDERS_SLOTS;
	slot_free(turn);
	slots[turn].order = order;
	slots[turn].page = alloc_pages(gfp | (turn % 3 ? 0 : __GFP_RECLAIMABLE), order);
}

static int take(const char *val, const struct kernel_param *kp)
{
	unsigned int blocks;

	if (kstrtouint(val, 0, &blocks))
		return -EINVAL;
	while (blocks-- && !fatal_signal_pending(current)) {
		take_block(get_random_u32_below(NR_PAGE_ORDERS));
		cond_resched();
	}
	return 0;
}

static const struct kernel_param_ops take_ops = {
	.set = take,
};
module_param_cb(take, &take_ops, NULL, 0200);
MODULE_PARM_DESC(take, "Allocate that many blocks");

static uint count;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "Blocks of the highest order to allocate at once");

static int __init orders_init(void)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		take_block(MAX_PAGE_ORDER);
	return 0;
}

static void __exit orders_exit(void)
{
	unsigned int i;

	for (i = 0; i < ORDERS_SLOTS; i++)
		slot_free(i);
}

module_init(orders_init);
module_exit(orders_exit);
MODULE_DESCRIPTION("Allocates and frees blocks of any order");
MODULE_LICENSE("GPL");
