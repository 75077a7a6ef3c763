/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: what the KUnit suites need of the budgets' internals.
 *
 * Included at the end of mm/page_reporting_budget.c, see
 * page_reporting_engine_kunit.h.
 */

#include "page_reporting_kunit.h"

const unsigned int fpr_engine_passes = PAGE_REPORTING_PASSES;

/**
 * fpr_engine_debt_ns - CPU time that pacing has spent and not paid for
 *
 * Return: the time, in ns.
 */
u64 fpr_engine_debt_ns(void)
{
	return page_reporting_cap.debt_ns;
}

/**
 * fpr_engine_set_debt - as if pacing had spent CPU time just now
 * @ns: how much
 */
void fpr_engine_set_debt(u64 ns)
{
	page_reporting_cap = (struct page_reporting_cap) {
		.debt_ns = ns,
		.paid_ms = page_reporting_now_ms(),
	};
}
