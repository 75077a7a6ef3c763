/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: the KUnit suites' access to the internals of the walk.
 *
 * Included at the end of mm/page_reporting_walk.c, see
 * page_reporting_engine_kunit.h.
 */

#include "page_reporting_kunit.h"

const unsigned int fpr_engine_steps = PAGE_REPORTING_STEPS;
const unsigned int fpr_engine_glance = PAGE_REPORTING_GLANCE;
const unsigned int fpr_engine_drain = PAGE_REPORTING_DRAIN;

/**
 * fpr_engine_stub_unaccepted - replace the number of unaccepted pages
 * @test: the test; the stub is removed when it ends
 * @stub: called instead; returns the number of unaccepted pages in the zone
 */
void fpr_engine_stub_unaccepted(struct kunit *test,
				unsigned long (*stub)(struct zone *zone))
{
	__kunit_activate_static_stub(test, page_reporting_unaccepted_pages,
				     stub);
}

/**
 * fpr_engine_stub_overdue - replace the time after which a report is overdue
 * @test: the test; the stub is removed when it ends
 * @stub: called instead; returns the time in ms
 */
void fpr_engine_stub_overdue(struct kunit *test, unsigned int (*stub)(void))
{
	__kunit_activate_static_stub(test, page_reporting_overdue_ms, stub);
}

static unsigned long fpr_engine_blocks(struct page_reporting_budget *budget,
				       struct zone *zone, unsigned int order,
				       int mt, unsigned long taken)
{
	return ULONG_MAX;
}

static const struct page_reporting_budget_ops fpr_engine_no_limit = {
	.blocks = fpr_engine_blocks,
};

static struct page_reporting_pass fpr_engine_pass(struct zone *zone,
						  unsigned int order,
						  unsigned int capacity)
{
	return (struct page_reporting_pass) {
		.zone = zone,
		.order = order,
		.limit = capacity,
		.budget = {
			.ops = &fpr_engine_no_limit,
			.capacity = capacity,
		},
	};
}

/**
 * fpr_engine_room - how many pages may be isolated in a zone at a time
 * @zone: the zone
 * @mt: the migratetype of the blocks
 *
 * Return: the number of pages.
 */
unsigned long fpr_engine_room(struct fpr_zone *zone, int mt)
{
	struct page_reporting_pass pass =
		fpr_engine_pass(&zone->zone, zone->order, zone->capacity);

	return __page_reporting_room(&pass, mt);
}

/**
 * fpr_engine_stub_drain - replace what frees a batch of a per-CPU list
 * @test: the test; the stub is used in its thread
 * @stub: what to call instead
 */
void fpr_engine_stub_drain(struct kunit *test,
			   void (*stub)(struct zone *zone,
					struct per_cpu_pages *pcp))
{
	__kunit_activate_static_stub(test, page_reporting_drain_batch, stub);
}

/**
 * fpr_engine_is_hopeless - is a zone too small to ever be reported?
 * @zone: the zone
 *
 * Return: true if so; such a zone is not retried.
 */
bool fpr_engine_is_hopeless(struct fpr_zone *zone)
{
	struct page_reporting_pass pass =
		fpr_engine_pass(&zone->zone, zone->order, zone->capacity);

	return page_reporting_is_hopeless(&pass, &zone->zone);
}

/**
 * fpr_engine_is_due - would a pass walk the free lists of a zone?
 * @zone: a zone that a pass has entered
 * @order: the reporting order
 *
 * Context: takes zone->lock.
 * Return: true if so.
 */
bool fpr_engine_is_due(struct zone *zone, unsigned int order)
{
	struct page_reporting_pass pass =
		fpr_engine_pass(zone, order, PAGE_REPORTING_CAPACITY);
	bool due;

	spin_lock_irq(&zone->lock);
	due = !page_reporting_is_hopeless(&pass, zone) &&
	      __page_reporting_unreported(zone, order, NR_PAGE_ORDERS);
	spin_unlock_irq(&zone->lock);
	return due;
}

/**
 * fpr_engine_walk_list - walk a list up to the first full batch, and put it back
 * @zone: a zone that a pass has entered
 * @order: the order of the list, and the reporting order
 * @mt: the migratetype of the list
 * @whole: walk all of the list, or only its beginning
 *
 * Context: takes zone->lock. No pass runs.
 * Return: the number of pauses, and of the blocks in the batch.
 */
struct fpr_walked fpr_engine_walk_list(struct zone *zone, unsigned int order,
				       int mt, bool whole)
{
	struct page_reporting_pass pass =
		fpr_engine_pass(zone, order, PAGE_REPORTING_CAPACITY);
	struct page_reporting_list list = {
		.head = &zone->free_area[order].free_list[mt],
		.order = order,
		.mt = mt,
		.marked = whole ? zone->free_area[order].nr_free :
				  PAGE_REPORTING_GLANCE,
	};
	enum page_reporting_stop stop;
	struct fpr_walked walked = {};

	page_reporting_reset_batch(&pass);
	do {
		spin_lock_irq(&zone->lock);
		stop = __page_reporting_fill(&pass, &list);
		spin_unlock_irq(&zone->lock);
		walked.pauses += stop == PAGE_REPORTING_PAUSE;
	} while (stop == PAGE_REPORTING_PAUSE);
	walked.nents = pass.nents;
	page_reporting_drain(&pass, false);
	return walked;
}
