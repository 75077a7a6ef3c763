/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the KUnit suites' access to the internals of budgets.
 *
 * Included at the end of mm/page_reporting_budget.c, see
 * page_reporting_engine_kunit.h.
 */

#include "page_reporting_kunit.h"

const unsigned int fpr_engine_passes = PAGE_REPORTING_PASSES;

/**
 * fpr_engine_debt_ns - CPU time that is charged to pacing and not paid off yet
 *
 * Return: the time in ns.
 */
u64 fpr_engine_debt_ns(void)
{
	return page_reporting_cap.debt_ns;
}

/**
 * fpr_engine_set_debt - set the CPU time that pacing has to pay off
 * @ns: the time in ns, as if it had been spent just now
 */
void fpr_engine_set_debt(u64 ns)
{
	page_reporting_cap = (struct page_reporting_cap) {
		.debt_ns = ns,
		.paid_ms = page_reporting_now_ms(),
	};
}

/**
 * fpr_engine_paced_blocks - how many blocks of a list pacing allows to report
 * @zone: a zone that a pass has entered
 * @order: the order of the list
 * @mt: the migratetype of the list
 * @pool: the pool that has a grant, of one block
 *
 * Context: zone->lock held.
 * Return: the number of blocks.
 */
unsigned long fpr_engine_paced_blocks(struct zone *zone, unsigned int order,
				      int mt, enum page_reporting_pool pool)
{
	struct page_reporting_budget budget = {};

	budget.grant[pool] = 1ULL << order;
	budget.all[pool] = true;
	return __page_reporting_paced_blocks(&budget, zone, order, mt, 0);
}
