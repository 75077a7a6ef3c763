/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the interface between the engine and the one device
 * driver that tells the hypervisor which memory is free.
 */
#ifndef _LINUX_PAGE_REPORTING_H
#define _LINUX_PAGE_REPORTING_H

#include <linux/atomic.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>

/*
 * Most entries in one scatterlist. Drivers compare their own queues with it, so
 * that it is part of the interface.
 */
#define PAGE_REPORTING_CAPACITY			32

/* In @order: the driver leaves the choice to the engine. */
#define PAGE_REPORTING_ORDER_UNSPECIFIED	-1

/**
 * struct page_reporting_dev_info - a device that takes reports of free memory
 * @report: Hands @nents blocks to the hypervisor, which may drop what backs
 *	them. Entry i of the list is one physically contiguous block of
 *	sg->length bytes, a power of two times PAGE_SIZE and aligned to its
 *	size; the last entry is marked as the end of the list. The blocks
 *	belong to the driver until it returns, and not longer. Called from
 *	process context with no lock held; may sleep. No entry is smaller than
 *	page_reporting_order, which does not change meanwhile. Returns 0 when
 *	the hypervisor has all of them, or a negative errno, after which none
 *	of them counts as reported and the engine tries again later, less and
 *	less often, at least once a minute (or once in the user's delay, where
 *	that is longer). Must not unregister the device.
 * @order: Smallest block that the device wants to see, as a page order.
 *	PAGE_REPORTING_ORDER_UNSPECIFIED and anything above MAX_PAGE_ORDER mean
 *	pageblock_order. A value that the user set for page_reporting_order wins
 *	over this one.
 * @capacity: Most entries that one call of @report takes, of any value and not
 *	only a power of two. 0, and more than PAGE_REPORTING_CAPACITY, mean
 *	PAGE_REPORTING_CAPACITY. A call of more than one block has no more than
 *	128 MiB, so that it may have fewer entries.
 * @work: The pass over free memory. Owned by the engine.
 * @state: Whether a pass is wanted or under way. Owned by the engine.
 *
 * The driver fills in @report and @order, and @capacity where it has a wish,
 * leaves the rest zeroed, and keeps the structure alive until
 * page_reporting_unregister() has returned.
 */
struct page_reporting_dev_info {
	int (*report)(struct page_reporting_dev_info *prdev, struct scatterlist *sg,
		      unsigned int nents);
	unsigned int order;
	unsigned int capacity;
	struct delayed_work work;
	atomic_t state;
};

int page_reporting_register(struct page_reporting_dev_info *prdev);
void page_reporting_unregister(struct page_reporting_dev_info *prdev);

#endif /* _LINUX_PAGE_REPORTING_H */
