/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the KUnit suites' access to the internals of marks.
 *
 * Included at the end of mm/page_reporting_mark.c, see
 * page_reporting_engine_kunit.h.
 */

#include "page_reporting_kunit.h"

/**
 * __fpr_engine_set_mark - mark a page as reported, as a block of one page
 * @zone: the zone in which it is counted; a pass has entered it
 * @page: the page
 *
 * Context: zone->lock held.
 */
void __fpr_engine_set_mark(struct zone *zone, struct page *page)
{
	__page_reporting_set(page, zone, 0);
}

/**
 * __fpr_engine_clear_mark - clear the mark of a page
 * @zone: the zone in which it is counted
 * @page: the page
 *
 * Context: zone->lock held.
 */
void __fpr_engine_clear_mark(struct zone *zone, struct page *page)
{
	__page_reporting_clear(page, zone, 0);
}
