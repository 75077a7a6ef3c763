/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: checks of the engine's invariants, and of the free lists
 * that it takes blocks from. Empty without CONFIG_PAGE_REPORTING_DEBUG.
 */
#ifndef _MM_PAGE_REPORTING_DEBUG_H
#define _MM_PAGE_REPORTING_DEBUG_H

#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* The checks of page_reporting_verify(); their names are in the .c file. */
enum page_reporting_check {
	PAGE_REPORTING_CHECK_BLOCK,	/* not a free block of that list */
	PAGE_REPORTING_CHECK_TYPE,	/* a pageblock has another type */
	PAGE_REPORTING_CHECK_MARK,	/* marked, but there is no device */
	PAGE_REPORTING_CHECK_NR_FREE,	/* an order's nr_free is wrong */
	PAGE_REPORTING_CHECK_FREE,	/* NR_FREE_PAGES is wrong */
	PAGE_REPORTING_CHECK_CMA,	/* NR_FREE_CMA_PAGES is wrong */
	PAGE_REPORTING_CHECK_HIGHATOMIC,/* nr_free_highatomic is wrong */
	PAGE_REPORTING_CHECK_REPORTED,	/* a count of marks is wrong */
	PAGE_REPORTING_CHECK_ORDER,	/* marked, but too small for a mark */
	PAGE_REPORTING_CHECK_IN_FLIGHT,	/* isolated, but no pass is running */
	PAGE_REPORTING_CHECKS,
};

/* What a walk over all free lists found. */
struct page_reporting_verdict {
	unsigned long violations[PAGE_REPORTING_CHECKS];	/* of each check */
	unsigned long zones;
	unsigned long blocks;
	unsigned long free_pages;
	unsigned long reported_pages;
	unsigned long in_flight;
};

#ifdef CONFIG_PAGE_REPORTING_DEBUG

#define page_reporting_assert(cond)	WARN_ON_ONCE(!(cond))

void page_reporting_debug_begin_pass(void);
void page_reporting_debug_isolated(unsigned int order);
void page_reporting_debug_back(unsigned int order, bool reported);
void page_reporting_debug_end_pass(void);
const char *page_reporting_verify(struct page_reporting_verdict *verdict);

#else /* !CONFIG_PAGE_REPORTING_DEBUG */

#define page_reporting_assert(cond)	BUILD_BUG_ON_INVALID(cond)

static inline void page_reporting_debug_begin_pass(void) { }
static inline void page_reporting_debug_isolated(unsigned int order) { }
static inline void page_reporting_debug_back(unsigned int order, bool reported) { }
static inline void page_reporting_debug_end_pass(void) { }

static inline const char *
page_reporting_verify(struct page_reporting_verdict *verdict)
{
	return NULL;
}

#endif /* CONFIG_PAGE_REPORTING_DEBUG */
#endif /* _MM_PAGE_REPORTING_DEBUG_H */
