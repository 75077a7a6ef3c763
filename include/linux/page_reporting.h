/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the interface between the engine and the device driver
 * that tells the hypervisor which memory is free.
 */
#ifndef _LINUX_PAGE_REPORTING_H
#define _LINUX_PAGE_REPORTING_H

#include <linux/atomic.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>

/*
 * Maximum number of entries in one scatterlist. A part of the interface, as
 * drivers compare the size of their queues with it.
 */
#define PAGE_REPORTING_CAPACITY			32

/* As @order: the driver leaves the choice to the engine. */
#define PAGE_REPORTING_ORDER_UNSPECIFIED	-1

/**
 * struct page_reporting_dev_info - a device that takes reports of free memory
 * @report: Reports @nents blocks to the hypervisor, which may drop the memory
 *	that backs them. Each entry of the list is one physically contiguous
 *	block of sg->length bytes, a power of two times PAGE_SIZE and aligned
 *	to its size; the last entry is marked as the end of the list. The
 *	driver owns the blocks only until it returns. Called from process
 *	context with no lock held; may sleep. No entry is smaller than
 *	page_reporting_order, which does not change during the call. Returns 0
 *	when all blocks were reported, or a negative errno. After an error, none
 *	of them counts as reported, and the engine tries again later, at growing
 *	intervals of at most a minute (or of the user's delay, if that is
 *	longer). Must not unregister the device.
 * @order: Order of the smallest block that the device wants to have reported.
 *	PAGE_REPORTING_ORDER_UNSPECIFIED and anything above MAX_PAGE_ORDER
 *	mean pageblock_order. A value that the user set for
 *	page_reporting_order overrides this one.
 * @capacity: Maximum number of entries for one call of @report. Need not be a
 *	power of two. 0 and anything above PAGE_REPORTING_CAPACITY mean
 *	PAGE_REPORTING_CAPACITY. Calls may have fewer entries, as those with
 *	more than one block are limited to 128 MiB in total.
 * @work: The pass over free memory. Owned by the engine.
 * @state: Whether a pass is requested or running. Owned by the engine.
 *
 * The driver sets @report and @order, and @capacity if it has a preference. It
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
