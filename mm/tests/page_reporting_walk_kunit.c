// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: a pass over free memory, from the choice of
 * the zones to putting back the blocks.
 */

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/smp.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "page_reporting_kunit.h"

static void set_pages(struct zone *zone, enum zone_stat_item item, long pages)
{
	atomic_long_set(&zone->vm_stat[item], pages);
}

/* A zone with a low watermark of 1000 pages, for batches of 32 blocks of order 9. */
static struct fpr_zone *new_zone(struct kunit *test, unsigned long free)
{
	struct fpr_zone *zone = kunit_kzalloc(test, sizeof(*zone), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, zone);
	zone->order = 9;
	zone->capacity = 32;
	zone->zone._watermark[WMARK_LOW] = 1000;
	atomic_long_set(&zone->zone.managed_pages, 1 << 20);
	set_pages(&zone->zone, NR_FREE_PAGES, free);
	return zone;
}

static unsigned long room_for(struct fpr_zone *zone)
{
	return fpr_engine_room(zone, MIGRATE_MOVABLE);
}

/* S6 */
static void short_zone_has_no_room(struct kunit *test)
{
	struct fpr_zone *zone = new_zone(test, 1000 + (32 << 9) - 1);

	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	set_pages(&zone->zone, NR_FREE_PAGES, 1000 + (32 << 9));
	KUNIT_EXPECT_NE(test, 0, room_for(zone));

	/* The margin follows the capacity and the order. */
	zone->capacity = 33;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	zone->capacity = 32;
	zone->order = 10;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));

	/* The margin follows the watermark, and its boost. */
	zone->order = 9;
	zone->zone._watermark[WMARK_LOW]++;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	zone->zone._watermark[WMARK_LOW]--;
	zone->zone.watermark_boost = 1;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
}

/* S6 */
static void room_ends_at_the_low_watermark(struct kunit *test)
{
	struct fpr_zone *zone = new_zone(test, 1000 + (32 << 9));

	KUNIT_EXPECT_EQ(test, 32 << 9, room_for(zone));
	set_pages(&zone->zone, NR_FREE_PAGES, 1000 + (33 << 9));
	KUNIT_EXPECT_EQ(test, 33 << 9, room_for(zone));
}

/* S6: Memory that only some allocations can use does not count. */
static void reserves_are_no_room(struct kunit *test)
{
	struct fpr_zone *zone = new_zone(test, 1000 + (33 << 9));

	zone->zone.nr_free_highatomic = 512;
	KUNIT_EXPECT_EQ(test, 32 << 9, room_for(zone));
	zone->zone.nr_free_highatomic = 513;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	zone->zone.nr_free_highatomic = 0;

#ifdef CONFIG_CMA
	set_pages(&zone->zone, NR_FREE_CMA_PAGES, 512);
	KUNIT_EXPECT_EQ(test, 32 << 9, room_for(zone));
	KUNIT_EXPECT_EQ(test, 33 << 9, fpr_engine_room(zone, MIGRATE_CMA));
	set_pages(&zone->zone, NR_FREE_CMA_PAGES, 513);
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	/* May exceed the number of free pages, as both are read one after the other. */
	set_pages(&zone->zone, NR_FREE_CMA_PAGES, LONG_MAX);
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
#endif
}

/* S6 */
static void what_cpus_have_not_folded_counts(struct kunit *test)
{
	struct per_cpu_zonestat __percpu *stats;
	struct fpr_zone *zone = new_zone(test, 1000 + (32 << 9));

	if (!IS_ENABLED(CONFIG_SMP))
		kunit_skip(test, "needs CONFIG_SMP");
	stats = alloc_percpu(struct per_cpu_zonestat);
	KUNIT_ASSERT_FALSE(test, !stats);
	zone->zone.per_cpu_zonestats = stats;
#ifdef CONFIG_SMP
	per_cpu_ptr(stats, 0)->vm_stat_diff[NR_FREE_PAGES] = -1;
#endif
	KUNIT_EXPECT_NE(test, 0, room_for(zone));
	zone->zone.percpu_drift_mark = 1000 + (32 << 9) + 1;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	free_percpu(stats);
}

/* B1: A zone that can never have enough free memory is not retried. */
static void hopeless_zone_is_not_waited_for(struct kunit *test)
{
	struct fpr_zone *zone = new_zone(test, 0);

	atomic_long_set(&zone->zone.managed_pages, 1000 + (32 << 9));
	KUNIT_EXPECT_FALSE(test, fpr_engine_is_hopeless(zone));
	/* A boost is temporary. */
	zone->zone.watermark_boost = 1000;
	KUNIT_EXPECT_FALSE(test, fpr_engine_is_hopeless(zone));
	atomic_long_set(&zone->zone.managed_pages, 1000 + (32 << 9) - 1);
	KUNIT_EXPECT_TRUE(test, fpr_engine_is_hopeless(zone));
}

static void hook_expect_room(struct fpr_fake *fake, struct scatterlist *sgl,
			     unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sgl));

	KUNIT_EXPECT_GT(fake->test,
			zone_page_state(zone, NR_FREE_PAGES) + FPR_SLACK,
			low_wmark_pages(zone));
}

/* S6: Even if the blocks of the batch are larger than the reporting order. */
static void batch_keeps_the_low_watermark(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, PAGE_REPORTING_CAPACITY);
	/* Enough for a batch of blocks of FPR_ORDER, or for two of the highest order. */
	fpr_set_low_wmark(fake, zone, zone_page_state(zone, NR_FREE_PAGES) -
				      (2UL << MAX_PAGE_ORDER) - FPR_SLACK);
	fake->hook = hook_expect_room;
	fpr_pass(fake);
	fpr_feed(fake);
	KUNIT_EXPECT_NE(test, 0, fpr_nr_in(fake, zone));
	fpr_expect_sound(test);
}

static unsigned long unaccepted_pages;

static unsigned long stub_unaccepted(struct zone *zone)
{
	return unaccepted_pages;
}

/* S6: It counts as free, but cannot be allocated before the host accepts it. */
static void unaccepted_memory_is_not_free(struct kunit *test)
{
	struct fpr_zone *zone = new_zone(test, 1000 + (32 << 9));

	unaccepted_pages = 0;
	fpr_engine_stub_unaccepted(test, stub_unaccepted);
	KUNIT_EXPECT_NE(test, 0, room_for(zone));
	unaccepted_pages = 1;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
	/* It may be accepted one day. */
	KUNIT_EXPECT_FALSE(test, fpr_engine_is_hopeless(zone));
	set_pages(&zone->zone, NR_FREE_PAGES, 1000 + (32 << 9) + 1);
	KUNIT_EXPECT_EQ(test, 32 << 9, room_for(zone));

	/* May exceed the number of free pages, as above. */
	unaccepted_pages = ULONG_MAX;
	KUNIT_EXPECT_EQ(test, 0, room_for(zone));
}

/* A distance from the watermarks, in pages: more than others allocate meanwhile. */
#define HEADROOM	4096

/**
 * struct reserve_kind - memory that only some allocations can use
 * @add: adds pages to its counter
 * @desc: its name
 */
struct reserve_kind {
	void (*add)(struct zone *zone, long pages);
	const char *desc;
};

static void add_highatomic(struct zone *zone, long pages)
{
	spin_lock_irq(&zone->lock);
	WRITE_ONCE(zone->nr_free_highatomic, zone->nr_free_highatomic + pages);
	spin_unlock_irq(&zone->lock);
}

static void add_cma(struct zone *zone, long pages)
{
#ifdef CONFIG_CMA
	mod_zone_page_state(zone, NR_FREE_CMA_PAGES, pages);
#endif
}

static const struct reserve_kind reserve_kinds[] = {
	{ add_highatomic, "highatomic" },
	{ add_cma, "CMA" },
};

KUNIT_ARRAY_PARAM_DESC(reserve_kind, reserve_kinds, desc);

/* S6: If all free memory above the low watermark is a reserve, none is reported. */
static void zone_with_reserves_only_is_skipped(struct kunit *test)
{
	const struct reserve_kind *kind = test->param_value;
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	unsigned long low = zone->_watermark[WMARK_LOW] + 4 * HEADROOM;
	unsigned int nr;
	long pages;

	if (kind->add == add_cma && !IS_ENABLED(CONFIG_CMA))
		kunit_skip(test, "needs CONFIG_CMA");
	fpr_register(fake, 1);
	/* Raised, so that the zone does not fall below its min watermark. */
	fpr_set_low_wmark(fake, zone, low);
	pages = zone_page_state_snapshot(zone, NR_FREE_PAGES) -
		low_wmark_pages(zone) + HEADROOM / 2;
	kind->add(zone, pages);
	fpr_pass(fake);
	kind->add(zone, -pages);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_EQ(test, 0, nr);

	fpr_forget(fake);
	fpr_pass(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_NE(test, 0, nr);
}

static void end_boost(void *zone)
{
	((struct zone *)zone)->watermark_boost = 0;
}

/* S6 B1: A boost that is more than the zone can ever have free is temporary. */
static void boosted_zone_is_tried_again(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	struct fpr_sums *before;

	fpr_need_counters(test);
	fpr_register(fake, 1);
	fpr_starve(fake, zone);
	zone->watermark_boost = pageblock_nr_pages;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, end_boost, zone));
	fpr_report_all(fake);
	before = fpr_new_sums(test);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_SKIP));
	KUNIT_EXPECT_TRUE(test, fpr_comes_back(fake));
	KUNIT_EXPECT_GT(test, fpr_engine_retries(), 0);
}

/* S6 */
static void zone_below_watermark_is_skipped(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = test->priv;
	unsigned int nr;

	fpr_register(fake, 0);
	fpr_starve(fake, zone);
	fpr_pass(fake);
	fpr_feed(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_EQ(test, 0, nr);

	fpr_forget(fake);
	fpr_pass(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_NE(test, 0, nr);
}

/* Position of the block's zone in the walk. */
static unsigned int zone_rank(const struct fpr_block *block)
{
	return zone_to_nid(block->zone) * MAX_NR_ZONES + zone_idx(block->zone);
}

/* Position of the block's migratetype in the walk: MIGRATE_UNMOVABLE is last. */
static unsigned int type_rank(const struct fpr_block *block)
{
	return block->mt == MIGRATE_UNMOVABLE ? MIGRATE_TYPES : block->mt;
}

/* May @a be walked before @b? Both are in the same zone. */
static bool comes_before(const struct fpr_block *a, const struct fpr_block *b)
{
	if (a->order != b->order)
		return a->order > b->order;
	return type_rank(a) <= type_rank(b);
}

/*
 * Expects blocks in the order of the walk, which goes over the lists of a zone twice:
 * over their beginnings, and then up to their ends. Returns how often the migratetype
 * changed between two blocks of the same zone and order.
 */
static unsigned int expect_walk_order(struct fpr_fake *fake)
{
	unsigned int i, types = 0, rounds = 1;
	struct kunit *test = fake->test;
	const struct fpr_block *a, *b;

	for (i = 1; i < fake->nr_blocks; i++) {
		a = &fake->blocks[i - 1];
		b = &fake->blocks[i];
		KUNIT_EXPECT_LE(test, zone_rank(a), zone_rank(b));
		if (a->zone != b->zone) {
			rounds = 1;
			continue;
		}
		rounds += !comes_before(a, b);
		KUNIT_EXPECT_LE(test, rounds, 2);
		types += a->order == b->order && a->mt != b->mt;
	}
	return types;
}

/* S7 */
static void walk_goes_from_high_to_low_order(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int first, last;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_ASSERT_GT(test, fake->nr_blocks, 1);
	expect_walk_order(fake);

	first = fake->blocks[0].order;
	last = fake->blocks[fake->nr_blocks - 1].order;
	KUNIT_EXPECT_GT_MSG(test, first, last, "one order only");
}

/* The blocks are at the beginnings of their lists, so one walk finds them all. */
static void expect_types_in_turn(struct fpr_fake *fake, struct page **pages)
{
	unsigned int i, j;

	for (i = 0; i < FPR_PAIRS; i++) {
		for (j = 0; j < FPR_PAIRS; j++) {
			const struct fpr_block *a = fpr_find(fake, pages[i]);
			const struct fpr_block *b = fpr_find(fake, pages[j]);

			if (a && b && a < b && a->zone == b->zone &&
			    a->order == b->order)
				KUNIT_EXPECT_LE(fake->test, type_rank(a),
						type_rank(b));
		}
	}
}

/* Reports a block of each migratetype. Returns how often the type changed. */
static unsigned int report_types(struct fpr_fake *fake)
{
	static const gfp_t gfps[FPR_PAIRS] = {
		GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | __GFP_RECLAIMABLE
	};
	struct page *pages[FPR_PAIRS];
	unsigned int i, types;

	fpr_report_all(fake);
	/* The upper block of the pair stays allocated, so the lower does not merge. */
	for (i = 0; i < FPR_PAIRS; i++) {
		fpr_get_pair(fake, &fake->pairs[i], gfps[i]);
		pages[i] = fake->pairs[i].lo;
		fpr_put(&fake->pairs[i].lo);
	}
	fpr_forget(fake);
	fpr_pass(fake);
	expect_types_in_turn(fake, pages);
	types = expect_walk_order(fake);
	for (i = 0; i < FPR_PAIRS; i++)
		fpr_put_pair(&fake->pairs[i]);
	return types;
}

/* S7 B6: MIGRATE_UNMOVABLE is last, as the kernel itself allocates from there. */
static void walk_takes_the_types_in_turn(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 5;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	/* Try again if others have allocated all blocks but those of one type. */
	while (!report_types(fake) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* S7 */
static void isolated_type_is_skipped(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_need_isolation(test);
	fpr_register(fake, 0);
	page = fpr_isolate_pageblock(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_NULL(test, fpr_find(fake, page));
	fpr_unisolate(fake, page);

	/* The page is part of a free block again, of any order. */
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static void hook_expect_isolated(struct fpr_fake *fake,
				 struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_FALSE(fake->test, PageBuddy(sg_page(sg)));
}

/* S8: The engine and the allocator assert that the lock is held, with a WARN. */
static void isolation_holds_zone_lock(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		kunit_skip(test, "needs CONFIG_LOCKDEP");

	KUNIT_ASSERT_FALSE(test, test_taint(TAINT_WARN));
	fpr_register(fake, 0);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_FALSE(test, test_taint(TAINT_WARN));
}

/* S8 */
static void blocks_are_isolated(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->hook = hook_expect_isolated;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

/* S8 */
static void reported_blocks_are_skipped(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int i, again = 0;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);

	for (i = 1; i < fake->nr_blocks && i < 2000; i++)
		again += fpr_find(fake, fake->blocks[i].page) !=
			 &fake->blocks[i];
	KUNIT_EXPECT_EQ(test, 0, again);
}

/* S8 */
static void block_behind_reported_ones_is_found(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	/* Of the migratetype that has the longest list. */
	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
	fpr_free_past_lists(page);
	fpr_move_to_tail(page, MAX_PAGE_ORDER);
	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_NOT_NULL(test, fpr_find(fake, page));
}

/* Pages that a batch may have, less what others may have allocated since. */
static unsigned long room(struct zone *zone)
{
	unsigned long pages = zone_page_state(zone, NR_FREE_PAGES);

	return pages - min(pages, low_wmark_pages(zone) + FPR_SLACK);
}

/* Is the batch that ends with @block too small, without being the zone's last? */
static bool is_short(const struct fpr_block *block, unsigned int nents,
		     unsigned long pages, unsigned int capacity)
{
	return block->zone == block[1].zone && block->pass == block[1].pass &&
	       nents != capacity &&
	       pages + (1UL << block[1].order) <= room(block->zone);
}

/* All batches of a zone but the last are full, or as large as the zone allows. */
static void expect_full_batches(struct fpr_fake *fake, unsigned int capacity)
{
	unsigned long pages = 0;
	unsigned int i, nents = 0;

	for (i = 0; i < fake->nr_blocks; i++) {
		const struct fpr_block *block = &fake->blocks[i];
		bool last = i + 1 == fake->nr_blocks;

		nents++;
		pages += 1UL << block->order;
		if (!last && block->call == block[1].call) {
			KUNIT_EXPECT_PTR_EQ(fake->test, block->zone,
					    block[1].zone);
			continue;
		}
		if (!last)
			KUNIT_EXPECT_FALSE(fake->test,
					   is_short(block, nents, pages,
						    capacity));
		KUNIT_EXPECT_LE(fake->test, nents, capacity);
		nents = 0;
		pages = 0;
	}
}

static const unsigned int capacities[] = { 0, 1, 3, 31, 32, 33, 256, UINT_MAX };

static void describe_capacity(const unsigned int *capacity, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "capacity %u", *capacity);
}

KUNIT_ARRAY_PARAM(capacity, capacities, describe_capacity);

/* S9 B2: For all capacities. The default is the maximum, and 0 means the default. */
static void full_batch_is_reported_at_once(struct kunit *test)
{
	const unsigned int *asked = test->param_value;
	unsigned int capacity = *asked ?: PAGE_REPORTING_CAPACITY;
	struct fpr_fake *fake = test->priv;
	unsigned int full;

	capacity = min(capacity, PAGE_REPORTING_CAPACITY);

	fpr_set_order(fake, FPR_ORDER);
	fake->hook = fpr_hook_expect_list;
	fpr_register(fake, *asked);
	KUNIT_EXPECT_EQ(test, capacity, fpr_engine_capacity(&fake->prdev));
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
	KUNIT_EXPECT_GE(test, fake->calls * capacity, fake->nr_blocks);
	KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
	fpr_expect_sound(test);

	fpr_report_all(fake);
	expect_full_batches(fake, capacity);
	full = fake->nr_blocks / capacity;
	KUNIT_EXPECT_GE(test, fake->calls, full);
}

/* S9 */
static void rest_is_reported_at_the_zones_end(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);

	/* One block does not fill a batch. */
	fpr_get_pair(fake, &fake->pairs[0], GFP_KERNEL);
	fpr_put(&fake->pairs[0].lo);
	fpr_forget(fake);
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
	KUNIT_EXPECT_LT(test, fake->nr_blocks, PAGE_REPORTING_CAPACITY);
}

static unsigned int most_nents;
static unsigned long most_pages;

static void hook_note_most(struct fpr_fake *fake, struct scatterlist *sgl,
			   unsigned int nents)
{
	struct scatterlist *sg;
	unsigned long pages = 0;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		pages += sg->length >> PAGE_SHIFT;
	most_nents = max(most_nents, nents);
	/* A single block may be larger. */
	if (nents > 1)
		most_pages = max(most_pages, pages);
}

static void expect_small_batches(struct fpr_fake *fake)
{
	struct kunit *test = fake->test;

	most_nents = 0;
	most_pages = 0;
	fake->hook = hook_note_most;
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	KUNIT_EXPECT_NE(test, 0, most_nents);
	KUNIT_EXPECT_LE(test, most_nents, PAGE_REPORTING_CAPACITY);
	KUNIT_EXPECT_LE(test, most_pages, SZ_128M >> PAGE_SHIFT);
}

/* S9 H12: If the host never answers, the blocks of the last batch are lost. */
static void large_capacity_does_not_empty_a_zone(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 1024);
	expect_small_batches(fake);
}

/* S9 H12: With pages of 64 KiB, 32 blocks of the largest order have 16 GiB. */
static void large_blocks_do_not_empty_a_zone(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	expect_small_batches(fake);
}

static void hook_expect_unlocked(struct fpr_fake *fake,
				 struct scatterlist *sg, unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sg));
	struct kunit *test = fake->test;
	int tries = 1000;

	KUNIT_EXPECT_FALSE(test, irqs_disabled());
#ifdef CONFIG_LOCKDEP
	KUNIT_EXPECT_EQ(test, 0, current->lockdep_depth);
#endif
	if (irqs_disabled())
		return;

	might_sleep();
	/* Another CPU may hold it for a moment, but not for long. */
	while (!spin_trylock_irq(&zone->lock)) {
		if (!--tries) {
			KUNIT_FAIL(test, "zone->lock is held");
			return;
		}
		usleep_range(500, 1000);
	}
	spin_unlock_irq(&zone->lock);
}

/* S10 */
static void driver_is_called_without_zone_lock(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_register(fake, 0);
	fake->hook = hook_expect_unlocked;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->calls);
}

/* Runs a pass, and returns by how many free pages the zone has less afterwards. */
static long pages_missing(struct fpr_fake *fake, struct zone *zone)
{
	long before = zone_page_state_snapshot(zone, NR_FREE_PAGES);

	fpr_forget(fake);
	fpr_pass(fake);
	return before - zone_page_state_snapshot(zone, NR_FREE_PAGES);
}

static void expect_all_back(struct fpr_fake *fake, int err)
{
	/* Half of the smallest block that could be lost. */
	long most = 1L << (pageblock_order - 1);
	struct zone *zone = fpr_largest_zone();
	struct kunit *test = fake->test;
	long missing;
	int tries;

	fpr_register(fake, 0);
	fake->err = err;
	/* Others allocate and free, too, but a lost block is missing in each try. */
	for (tries = 0; tries < 5; tries++) {
		missing = pages_missing(fake, zone);
		KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
		KUNIT_EXPECT_EQ(test, 0, fpr_count(fake, FPR_ASTRAY));
		if (missing < most && !fpr_count(fake, FPR_TAKEN))
			return;
	}
	KUNIT_FAIL(test, "%ld pages missing, %u of %u blocks not back", missing,
		   fpr_count(fake, FPR_TAKEN), fake->nr_blocks);
}

/* S11 */
static void blocks_go_back_after_success(struct kunit *test)
{
	expect_all_back(test->priv, 0);
}

/* S11 */
static void blocks_go_back_after_failure(struct kunit *test)
{
	expect_all_back(test->priv, -EIO);
}

/* Reports a reclaimable block, and returns where it is afterwards. */
static enum fpr_where report_reclaimable(struct fpr_fake *fake)
{
	struct fpr_block block = { .order = FPR_ORDER };
	struct fpr_pair *pair = &fake->pairs[0];
	enum fpr_where where;

	fpr_report_all(fake);
	fpr_get_pair(fake, pair, GFP_KERNEL | __GFP_RECLAIMABLE);
	block.page = pair->lo;
	block.zone = page_zone(pair->lo);
	block.mt = get_pageblock_migratetype(pair->lo);
	fpr_put(&pair->lo);

	fpr_forget(fake);
	fpr_report_all(fake);
	where = fpr_find_block(&block);
	/* Try again if it was not reported, or its pageblock has changed its type. */
	if (!fpr_find(fake, block.page) ||
	    get_pageblock_migratetype(block.page) != block.mt)
		where = FPR_TAKEN;
	return where;
}

/* S11 */
static void blocks_go_back_to_their_list(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	enum fpr_where where = FPR_TAKEN;
	int tries;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	for (tries = 0; tries < 5 && where == FPR_TAKEN; tries++)
		where = report_reclaimable(fake);
	KUNIT_EXPECT_EQ(test, FPR_LISTED, where);
}

struct list_budget {
	unsigned long nr_free;
	unsigned int capacity;
	unsigned long budget;
};

static const struct list_budget list_budgets[] = {
	{ 0, 32, 0 },
	{ 1, 32, 32 },
	{ 6 * 32, 32, 32 },
	{ 6 * 32 + 1, 32, 64 },
	{ 6000, 32, 1024 },
	{ 6000, 1, 1000 },
	{ 6001, 1, 1001 },
	{ 600, 33, 132 },
};

static void describe_list(const struct list_budget *list, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu blocks, capacity %u",
		 list->nr_free, list->capacity);
}

KUNIT_ARRAY_PARAM(list_budget, list_budgets, describe_list);

/* S13 */
static void budget_follows_the_list(struct kunit *test)
{
	const struct list_budget *list = test->param_value;
	struct page_reporting_budget budget = {
		.ops = &page_reporting_fixed_ops,
		.capacity = list->capacity,
	};
	struct zone *zone = &new_zone(test, 0)->zone;

	zone->free_area[9].nr_free = list->nr_free;
	KUNIT_EXPECT_EQ(test, list->budget,
			budget.ops->blocks(&budget, zone, 9, MIGRATE_MOVABLE, 0));
	/* What was taken before in the same pass counts. */
	if (list->budget)
		KUNIT_EXPECT_EQ(test, 1,
				budget.ops->blocks(&budget, zone, 9,
						   MIGRATE_MOVABLE,
						   list->budget - 1));
	KUNIT_EXPECT_EQ(test, 0,
			budget.ops->blocks(&budget, zone, 9, MIGRATE_MOVABLE,
					   list->budget + 1));
}

/* S13 */
static void budget_bounds_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	unsigned long nr_free = zone->free_area[MAX_PAGE_ORDER].nr_free;
	unsigned long budget = DIV_ROUND_UP(nr_free, fpr_engine_passes);
	unsigned int mt, lists = 0, nr;

	if (nr_free < 2 * fpr_engine_passes)
		kunit_skip(test, "only %lu blocks of the highest order",
			   nr_free);
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		lists += !list_empty(&zone->free_area[MAX_PAGE_ORDER].free_list[mt]);

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fpr_pass(fake);
	nr = fpr_nr_in(fake, zone);
	KUNIT_EXPECT_GE(test, nr, budget);
	KUNIT_EXPECT_LE(test, nr, budget * lists);
	KUNIT_EXPECT_LT(test, nr, nr_free);

	/* The next pass reports the rest, after the delay. */
	fpr_expect_requested(fake);
	fpr_expect_wait(test, &fake->prdev.work.timer, FPR_QUIET_MS);
}

static void turn_reported_to_front(struct list_head *list)
{
	struct page *page;

	list_for_each_entry(page, list, buddy_list)
		if (PageReported(page)) {
			list_rotate_to_front(&page->buddy_list, list);
			return;
		}
}

/* S14 */
static void interrupted_walk_turns_the_list(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone = fpr_largest_zone();
	struct list_head *list =
		&zone->free_area[MAX_PAGE_ORDER].free_list[MIGRATE_MOVABLE];
	bool before, after;

	if (list_count_nodes(list) < 4 * fpr_engine_passes)
		kunit_skip(test, "too few blocks of the highest order");

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fpr_pass(fake);

	/* Move the reported blocks to the head, in the way of the next pass. */
	spin_lock_irq(&zone->lock);
	turn_reported_to_front(list);
	before = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);

	fpr_pass(fake);
	spin_lock_irq(&zone->lock);
	after = PageReported(list_first_entry(list, struct page, buddy_list));
	spin_unlock_irq(&zone->lock);
	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_FALSE(test, after);
}

/* B7: A pass does not walk a zone without unreported blocks. */
static void idle_zone_costs_nothing(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct zone *zone;
	bool due = false;

	/* Others free only smaller blocks meanwhile. */
	fpr_set_order(fake, pageblock_order);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	for_each_populated_zone(zone)
		due |= fpr_engine_is_due(zone, pageblock_order);
	KUNIT_EXPECT_FALSE(test, due);
}

/* From one zone, so that the test checks the lists that it has filled. */
#define ONE_ZONE	(GFP_KERNEL | GFP_DMA32)

static unsigned long held_by_cpus(const struct zone *zone)
{
	unsigned long held = 0;
	int cpu;

	for_each_online_cpu(cpu)
		held += READ_ONCE(per_cpu_ptr(zone->per_cpu_pageset, cpu)->count);
	return held;
}

/* Allocates and frees @nr pages. Returns the zone of the last one. */
static struct zone *alloc_and_free(unsigned long nr)
{
	struct page *page, *next;
	struct zone *zone = NULL;
	LIST_HEAD(pages);

	while (nr--) {
		page = alloc_page(ONE_ZONE | __GFP_NOWARN);
		if (!page)
			break;
		zone = page_zone(page);
		list_add(&page->lru, &pages);
	}
	list_for_each_entry_safe(page, next, &pages, lru)
		__free_page(page);
	return zone;
}

/*
 * Returns how many pages the per-CPU lists of the zone hold afterwards. Their limit
 * grows with each batch that is allocated, and shrinks by itself, so it may take a
 * few tries to reach @nr / 4.
 */
static unsigned long fill_per_cpu_lists(struct zone *zone, unsigned long nr)
{
	unsigned long held;
	int tries = 10;

	do {
		alloc_and_free(nr);
		held = held_by_cpus(zone);
	} while (held < nr / 4 && --tries);
	return held;
}

/* B1 */
static void idle_pages_of_per_cpu_lists_are_reported(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int order = min(pageblock_order, 9U);
	struct zone *zone = alloc_and_free(1);
	unsigned long held;
	struct page *page;
	int tries = 10;

	KUNIT_ASSERT_NOT_NULL(test, zone);
	fpr_set_order(fake, order);
	fpr_register(fake, 0);
	held = fill_per_cpu_lists(zone, 4UL << order);
	if (held < 1UL << order)
		kunit_skip(test, "the per-CPU lists hold only %lu pages", held);
	fpr_report_all(fake);
	KUNIT_EXPECT_LT(test, held_by_cpus(zone), 1UL << order);

	/*
	 * If less is reported, the pages on the lists may be in demand. Try again if
	 * others have freed as much meanwhile, or shrunk the lists.
	 */
	do {
		fpr_report_all(fake);
		page = fpr_alloc(fake, GFP_KERNEL, MAX_PAGE_ORDER);
		held = fill_per_cpu_lists(zone, 4 * MAX_ORDER_NR_PAGES);
		fpr_free(page);
		fpr_pass(fake);
	} while ((held < 2 * MAX_ORDER_NR_PAGES || held_by_cpus(zone) < held / 2) &&
		 --tries);
	KUNIT_EXPECT_GE(test, held, 2 * MAX_ORDER_NR_PAGES);
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* How many pages left the per-CPU lists, and how many of them at once. */
static unsigned long drained;
static unsigned long drained_at_once;

static void stub_drain(struct zone *zone, struct per_cpu_pages *pcp)
{
	unsigned long before = READ_ONCE(pcp->count), now;

	drain_zone_pages(zone, pcp);
	now = READ_ONCE(pcp->count);
	if (now >= before)
		return;
	drained += before - now;
	drained_at_once = max(drained_at_once, before - now);
}

/*
 * B7: What the per-CPU lists hold, thousands of pages, is not freed under zone->lock
 * in one piece. Others may use the list of this CPU meanwhile.
 */
static void per_cpu_lists_are_drained_in_batches(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned int order = min(pageblock_order, 9U), tries = 10;
	struct zone *zone = alloc_and_free(1);
	unsigned long held, batch, most = 0;
	bool flush;

	KUNIT_ASSERT_NOT_NULL(test, zone);
	fpr_set_order(fake, order);
	fpr_engine_stub_drain(test, stub_drain);
	for (flush = false; tries--; ) {
		batch = READ_ONCE(raw_cpu_ptr(zone->per_cpu_pageset)->batch);
		drained = 0;
		drained_at_once = 0;
		held = fill_per_cpu_lists(zone, 4UL << order);
		most = max(most, held);
		if (held < 4 * batch || held < 1UL << order)
			continue;
		/* A pass drains if it reports much: nothing is marked yet. */
		fpr_register(fake, 0);
		if (flush)
			fpr_flush(ULONG_MAX);
		else
			fpr_report_all(fake);
		fpr_unregister(fake);
		/* The last block of a batch may have 8 pages. */
		if (drained < held / 2 || drained_at_once >= batch + 8)
			continue;
		if (flush)
			return;
		flush = true;
	}
	if (most < 4 * batch || most < 1UL << order)
		kunit_skip(test, "the per-CPU lists hold only %lu pages", most);
	KUNIT_FAIL(test, "%s drained %lu of %lu pages, up to %lu at once, not %lu",
		   flush ? "a flush" : "a pass", drained, held, drained_at_once,
		   batch);
}

/* Length of a list whose walk takes many zone->lock sections. */
#define LONG		2048
/* Length of a list whose walk takes one section and a bit. */
#define SHORT		320

/* The zone of the block that was allocated last. */
static struct zone *last_zone(struct fpr_fake *fake)
{
	KUNIT_ASSERT_FALSE(fake->test, list_empty(&fake->allocated));
	return page_zone(list_first_entry(&fake->allocated, struct page, lru));
}

static unsigned long list_length(struct zone *zone, int mt)
{
	unsigned long nr;

	spin_lock_irq(&zone->lock);
	nr = list_count_nodes(&zone->free_area[FPR_ORDER].free_list[mt]);
	spin_unlock_irq(&zone->lock);
	return nr;
}

/*
 * Frees a block of @gfp, whose buddy stays allocated, so that there is one block to
 * report. Returns its migratetype.
 */
static int free_one(struct fpr_fake *fake, gfp_t gfp)
{
	struct fpr_pair *pair = &fake->pairs[0];
	int mt;

	fpr_get_pair(fake, pair, gfp);
	mt = get_pageblock_migratetype(pair->lo);
	fpr_put(&pair->lo);
	return mt;
}

/*
 * B7: The walk of a long list drops the lock from time to time, and resumes where it
 * was. The walk of its beginning ends before that.
 */
static void walk_pauses(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_walked whole, glance;
	unsigned long length;
	struct zone *zone;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_fill(fake, ONE_ZONE | __GFP_MOVABLE, 2 * LONG);
	zone = last_zone(fake);
	fpr_free_odd(fake, 2 * LONG);
	fpr_report_all(fake);
	/* The only block to report is of another migratetype. */
	if (free_one(fake, ONE_ZONE | __GFP_RECLAIMABLE) == MIGRATE_MOVABLE)
		kunit_skip(test, "no block of another type");

	length = list_length(zone, MIGRATE_MOVABLE);
	glance = fpr_engine_walk_list(zone, FPR_ORDER, MIGRATE_MOVABLE, false);
	whole = fpr_engine_walk_list(zone, FPR_ORDER, MIGRATE_MOVABLE, true);
	if (length < LONG / 2)
		kunit_skip(test, "only %lu blocks", length);
	KUNIT_EXPECT_EQ(test, 0, glance.pauses);
	KUNIT_EXPECT_GE(test, whole.pauses, length / fpr_engine_steps / 2);
	/* The list is walked only once. */
	KUNIT_EXPECT_LE(test, whole.pauses, length / fpr_engine_steps + 1);
}

/*
 * B7: A list that is a bit longer than one zone->lock section can walk, and a much
 * longer one of another type: its length must not make the walk go round in circles.
 */
static void short_list_is_walked_once(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_walked walked;
	unsigned long length;
	struct zone *zone;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_fill(fake, ONE_ZONE | __GFP_MOVABLE, 2 * LONG);
	fpr_fill(fake, ONE_ZONE, 2 * SHORT);
	zone = last_zone(fake);
	fpr_free_odd(fake, 2 * LONG + 2 * SHORT);
	fpr_report_all(fake);
	if (free_one(fake, ONE_ZONE | __GFP_RECLAIMABLE) == MIGRATE_UNMOVABLE)
		kunit_skip(test, "no block of a third type");

	length = list_length(zone, MIGRATE_UNMOVABLE);
	walked = fpr_engine_walk_list(zone, FPR_ORDER, MIGRATE_UNMOVABLE, true);
	if (length <= fpr_engine_steps || length > 2 * SHORT)
		kunit_skip(test, "%lu blocks", length);
	KUNIT_EXPECT_LE(test, walked.pauses, length / fpr_engine_steps);
}

/* The time that it takes to look at each block of a list. */
static u64 look_ns(struct zone *zone, int mt, unsigned long *marked)
{
	struct page *page;
	u64 begin_ns;

	*marked = 0;
	spin_lock_irq(&zone->lock);
	begin_ns = ktime_get_ns();
	list_for_each_entry(page, &zone->free_area[FPR_ORDER].free_list[mt],
			    buddy_list)
		if (PageReported(page))
			(*marked)++;
	begin_ns = ktime_get_ns() - begin_ns;
	spin_unlock_irq(&zone->lock);
	return begin_ns;
}

/* The time of the fastest of five passes, each with one block of @gfp to report. */
static u64 pass_ns(struct fpr_fake *fake, gfp_t gfp, int mt)
{
	u64 begin_ns, least_ns = U64_MAX;
	int tries;

	for (tries = 0; tries < 5; tries++) {
		if (free_one(fake, gfp) != mt)
			continue;
		fpr_forget(fake);
		begin_ns = ktime_get_ns();
		fpr_pass(fake);
		least_ns = min(least_ns, ktime_get_ns() - begin_ns);
		KUNIT_EXPECT_NE(fake->test, 0, fake->nr_blocks);
	}
	if (least_ns == U64_MAX)
		kunit_skip(fake->test, "no block of type %d", mt);
	return least_ns;
}

/*
 * B7: To report one block, a pass does not look at all the marked blocks of the
 * migratetypes that come before that of the block.
 */
static void one_block_costs_no_walk_of_other_types(struct kunit *test)
{
	gfp_t gfp = ONE_ZONE | __GFP_RECLAIMABLE;
	struct fpr_fake *fake = test->priv;
	u64 before_ns, walk_ns, after_ns;
	unsigned long marked;
	struct zone *zone;

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	before_ns = pass_ns(fake, gfp, MIGRATE_RECLAIMABLE);
	fpr_put_pair(&fake->pairs[0]);

	fpr_fill(fake, ONE_ZONE | __GFP_MOVABLE, 2 * LONG);
	zone = last_zone(fake);
	fpr_free_odd(fake, 2 * LONG);
	fpr_report_all(fake);
	walk_ns = look_ns(zone, MIGRATE_MOVABLE, &marked);
	after_ns = pass_ns(fake, gfp, MIGRATE_RECLAIMABLE);
	kunit_info(test, "a pass takes %llu us, with %lu marked blocks of another type %llu us; to look at them, %llu us\n",
		   before_ns / 1000, marked, after_ns / 1000, walk_ns / 1000);
	if (marked < LONG / 2)
		kunit_skip(test, "only %lu marked blocks", marked);
	/* As under UML: a look at the blocks would be lost in the noise. */
	if (walk_ns < before_ns / 16)
		kunit_skip(test, "a pass takes far longer than a look at the blocks");
	KUNIT_EXPECT_LT(test, after_ns, before_ns + walk_ns / 2);
}

/**
 * struct watch - what another CPU sees while a batch is put back
 * @zone: the zone of the batch
 * @blocks: the batch
 * @nents: blocks in it; 0 if there is nothing to watch
 * @parts: how often it saw only a part of the batch on the free lists
 * @odd: how often that part was not a multiple of fpr_engine_drain
 */
struct watch {
	struct zone *zone;
	const struct fpr_block *blocks;
	unsigned int nents;
	unsigned int parts;
	unsigned int odd;
};

static struct watch watch;

/* Takes the lock whenever it is free, and counts the blocks that are back. */
static void look_at_batch(void)
{
	unsigned int i, nents, nr = 0;

	spin_lock_irq(&watch.zone->lock);
	nents = READ_ONCE(watch.nents);
	for (i = 0; i < nents; i++)
		nr += PageBuddy(watch.blocks[i].page);
	/* After this, others may allocate them again. */
	if (nr == nents)
		WRITE_ONCE(watch.nents, 0);
	spin_unlock_irq(&watch.zone->lock);
	if (!nr || nr == nents)
		return;
	watch.parts++;
	watch.odd += nr % fpr_engine_drain != 0;
}

static int watch_fn(void *unused)
{
	while (!kthread_should_stop()) {
		look_at_batch();
		cond_resched();
	}
	return 0;
}

/* Watches a batch, all of which is isolated now, if it is a full one. */
static void hook_watch(struct fpr_fake *fake, struct scatterlist *sg,
		       unsigned int nents)
{
	struct zone *zone = page_zone(sg_page(sg));

	spin_lock_irq(&watch.zone->lock);
	watch.blocks = &fake->blocks[fake->nr_blocks - nents];
	WRITE_ONCE(watch.nents, zone == watch.zone &&
		   nents == PAGE_REPORTING_CAPACITY ? nents : 0);
	spin_unlock_irq(&watch.zone->lock);
}

static void watched_pass(struct fpr_fake *fake)
{
	fpr_forget(fake);
	fpr_pass(fake);
	spin_lock_irq(&watch.zone->lock);
	WRITE_ONCE(watch.nents, 0);
	spin_unlock_irq(&watch.zone->lock);
	/* Have as much to report in the next pass. */
	page_reporting_sweep(NR_PAGE_ORDERS);
}

/* B7: Blocks may merge when they are put back. So this is done a few at a time. */
static void batch_goes_back_bit_by_bit(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	unsigned long begin = jiffies;
	unsigned int cpu;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	memset(&watch, 0, sizeof(watch));
	watch.zone = fpr_largest_zone();
	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fake->hook = hook_watch;
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	fpr_run_thread_on(fake, cpu, watch_fn, NULL);
	while (!READ_ONCE(watch.parts) &&
	       time_before(jiffies, begin + FPR_DEADLINE))
		watched_pass(fake);
	migrate_enable();
	KUNIT_EXPECT_NE_MSG(test, 0, watch.parts, "nobody else got the lock");
	KUNIT_EXPECT_EQ(test, 0, watch.odd);
}

struct type {
	gfp_t gfp;
	int mt;
	const char *desc;
};

static const struct type types[] = {
	{ GFP_KERNEL, MIGRATE_UNMOVABLE, "unmovable" },
	{ GFP_KERNEL | __GFP_RECLAIMABLE, MIGRATE_RECLAIMABLE, "reclaimable" },
};

KUNIT_ARRAY_PARAM_DESC(type, types, desc);

/* Reports a free pageblock of a type. False if the type had changed before. */
static bool type_stays(struct fpr_fake *fake, const struct type *type)
{
	struct page *page = fpr_alloc(fake, type->gfp, pageblock_order);
	bool shown;

	fpr_free_past_lists(page);
	fpr_forget(fake);

	shown = get_pageblock_migratetype(page) == type->mt;
	fpr_report_all(fake);
	shown &= fpr_covers(fake, page);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, type->mt,
				get_pageblock_migratetype(page));
	fpr_expect_sound(fake->test);
	return shown;
}

/* B11 */
static void pageblock_keeps_its_type(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 10;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	while (!type_stays(fake, test->param_value) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/*
 * The same for half a pageblock, while a part of the other half is free: both halves
 * share the type.
 */
static bool half_stays(struct fpr_fake *fake, const struct type *type)
{
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *lo;
	bool shown;

	pair->order = pageblock_order - 1;
	fpr_get_pair(fake, pair, type->gfp);
	lo = pair->lo;
	fpr_free_upper_half(pair->hi);
	fpr_put(&pair->lo);
	fpr_forget(fake);

	shown = get_pageblock_migratetype(lo) == type->mt;
	fpr_report_all(fake);
	shown &= fpr_covers(fake, lo);
	if (shown)
		KUNIT_EXPECT_EQ(fake->test, type->mt,
				get_pageblock_migratetype(lo));
	fpr_expect_sound(fake->test);
	fpr_put_pair(pair);
	return shown;
}

/* B11 */
static void half_a_pageblock_keeps_its_type(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	int tries = 5;

	fpr_set_order(fake, pageblock_order - 1);
	fpr_register(fake, 0);
	fpr_report_all(fake);
	while (!half_stays(fake, test->param_value) && --tries)
		;
	KUNIT_EXPECT_NE(test, 0, tries);
}

/* See fpr_set_type(). */
#if defined(CONFIG_MEMORY_HOTPLUG) && defined(CONFIG_CMA)
static void end_type(void *page)
{
	fpr_set_type(page, MIGRATE_MOVABLE);
}

struct reserve {
	int mt;
	const char *desc;
};

static const struct reserve reserves[] = {
	{ MIGRATE_CMA, "CMA" },
	{ MIGRATE_HIGHATOMIC, "highatomic" },
};

KUNIT_ARRAY_PARAM_DESC(reserve, reserves, desc);

/* B11 */
static void reserves_stay_accounted(struct kunit *test)
{
	const struct reserve *reserve = test->param_value;
	struct fpr_fake *fake = test->priv;
	struct page *page;

	fpr_register(fake, 0);
	fpr_report_all(fake);
	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, pageblock_order);
	fpr_set_type(page, reserve->mt);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, end_type, page));
	fpr_free_past_lists(page);
	fpr_forget(fake);
	fpr_report_all(fake);
	KUNIT_EXPECT_TRUE(test, fpr_covers(fake, page));
	KUNIT_EXPECT_EQ(test, reserve->mt, get_pageblock_migratetype(page));
	fpr_expect_sound(test);
	kunit_release_action(test, end_type, page);
	fpr_expect_sound(test);
}
#else
static const int reserves[] = { 0 };

KUNIT_ARRAY_PARAM(reserve, reserves, NULL);

/* B11 */
static void reserves_stay_accounted(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_MEMORY_HOTPLUG and CONFIG_CMA");
}
#endif

/* H2: Lockdep would report an allocation that may wait for reclaim. */
static void pass_takes_no_memory(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	if (!IS_ENABLED(CONFIG_PROVE_LOCKING))
		kunit_skip(test, "needs CONFIG_PROVE_LOCKING");

	fpr_set_order(fake, FPR_ORDER);
	fpr_register(fake, 256);
#ifdef CONFIG_PROVE_LOCKING
	KUNIT_ASSERT_TRUE(test, debug_locks);
	fs_reclaim_acquire(GFP_KERNEL);
	fpr_run_pass(fake);
	fs_reclaim_release(GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, debug_locks);
#endif
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static void hook_isolate_second_half(struct fpr_fake *fake,
				     struct scatterlist *sgl,
				     unsigned int nents)
{
	struct page *half = sg_page(sgl) + pageblock_nr_pages;

	if (fake->watch || get_order(sgl->length) <= pageblock_order)
		return;
	if (!fpr_try_isolate(fake, half))
		fake->watch = half;
}

/* H9 */
static void halves_go_back_to_their_lists(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;
	struct fpr_block half = { .order = pageblock_order };
	enum fpr_where where;

	fpr_need_isolation(test);
	if (pageblock_order == MAX_PAGE_ORDER)
		kunit_skip(test, "no block is larger than a pageblock");

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 1);
	fake->hook = hook_isolate_second_half;
	fpr_pass(fake);
	fake->hook = NULL;
	KUNIT_ASSERT_NOT_NULL(test, fake->watch);

	half.page = fake->watch;
	half.zone = page_zone(half.page);
	where = fpr_find_block(&half);
	fpr_expect_sound(test);
	KUNIT_EXPECT_EQ(test, FPR_LISTED, where);
	KUNIT_EXPECT_TRUE(test, is_migrate_isolate_page(half.page));
	fpr_unisolate(fake, half.page);
}

static void hook_expect_lengths(struct fpr_fake *fake,
				struct scatterlist *sgl, unsigned int nents)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgl, sg, nents, i)
		KUNIT_EXPECT_EQ(fake->test, (u64)sg->length,
				(u64)PAGE_SIZE << MAX_PAGE_ORDER);
}

/* H16 */
static void longest_block_fits_its_length(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	fpr_set_order(fake, MAX_PAGE_ORDER);
	fpr_register(fake, 0);
	fake->hook = hook_expect_lengths;
	fpr_pass(fake);
	KUNIT_EXPECT_NE(test, 0, fake->nr_blocks);
}

static struct kunit_case page_reporting_walk_cases[] = {
	KUNIT_CASE(short_zone_has_no_room),
	KUNIT_CASE(room_ends_at_the_low_watermark),
	KUNIT_CASE(reserves_are_no_room),
	KUNIT_CASE(what_cpus_have_not_folded_counts),
	KUNIT_CASE(hopeless_zone_is_not_waited_for),
	KUNIT_CASE(batch_keeps_the_low_watermark),
	KUNIT_CASE(unaccepted_memory_is_not_free),
	KUNIT_CASE_PARAM(zone_with_reserves_only_is_skipped,
			 reserve_kind_gen_params),
	KUNIT_CASE(boosted_zone_is_tried_again),
	KUNIT_CASE(zone_below_watermark_is_skipped),
	KUNIT_CASE(walk_goes_from_high_to_low_order),
	KUNIT_CASE(walk_takes_the_types_in_turn),
	KUNIT_CASE(isolated_type_is_skipped),
	/* First of its row: the lab ends a run soon after a warning. */
	KUNIT_CASE(isolation_holds_zone_lock),
	KUNIT_CASE(blocks_are_isolated),
	KUNIT_CASE(reported_blocks_are_skipped),
	KUNIT_CASE(block_behind_reported_ones_is_found),
	KUNIT_CASE_PARAM(full_batch_is_reported_at_once, capacity_gen_params),
	KUNIT_CASE(rest_is_reported_at_the_zones_end),
	KUNIT_CASE(large_capacity_does_not_empty_a_zone),
	KUNIT_CASE(large_blocks_do_not_empty_a_zone),
	KUNIT_CASE(driver_is_called_without_zone_lock),
	KUNIT_CASE(blocks_go_back_after_success),
	KUNIT_CASE(blocks_go_back_after_failure),
	KUNIT_CASE(blocks_go_back_to_their_list),
	KUNIT_CASE_PARAM(budget_follows_the_list, list_budget_gen_params),
	KUNIT_CASE(budget_bounds_a_pass),
	KUNIT_CASE(interrupted_walk_turns_the_list),
	KUNIT_CASE(idle_zone_costs_nothing),
	KUNIT_CASE(idle_pages_of_per_cpu_lists_are_reported),
	KUNIT_CASE(per_cpu_lists_are_drained_in_batches),
	KUNIT_CASE_SLOW(walk_pauses),
	KUNIT_CASE_SLOW(short_list_is_walked_once),
	KUNIT_CASE_SLOW(one_block_costs_no_walk_of_other_types),
	KUNIT_CASE(batch_goes_back_bit_by_bit),
	KUNIT_CASE_PARAM(pageblock_keeps_its_type, type_gen_params),
	KUNIT_CASE_PARAM(half_a_pageblock_keeps_its_type, type_gen_params),
	KUNIT_CASE_PARAM(reserves_stay_accounted, reserve_gen_params),
	KUNIT_CASE(pass_takes_no_memory),
	KUNIT_CASE(halves_go_back_to_their_lists),
	KUNIT_CASE(longest_block_fits_its_length),
	{}
};

static struct kunit_suite page_reporting_walk_suite =
	FPR_SUITE("walk", page_reporting_walk_cases);

kunit_test_suite(page_reporting_walk_suite);
