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
