// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for free page reporting: how fragments become whole blocks.
 *
 * The fragments are holes in a shmem file. What a round does to other pageblocks of
 * this machine is not checked.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/suspend.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "page_reporting_kunit.h"

/* Pageblocks of the file. Of each FPR_FILE_EACH pages, one stays, the rest is a hole. */
#define FPR_FILE_BLOCKS		24
#define FPR_FILE_EACH		8

/* A round that has to stop is given up after this time. */
#define FPR_ROUND_MS		10000

#define FPR_FILE_PAGES		(FPR_FILE_BLOCKS * pageblock_nr_pages)

/* Pageblocks that have to be emptied at least. In others, pages may be in use. */
#define FPR_FILE_ENOUGH		(FPR_FILE_BLOCKS / 3)

static void put_file(void *file)
{
	fput(file);
	flush_delayed_fput();
}

/* The number that is written at the start and at the end of a page of the file. */
static u64 stamp_of(pgoff_t index)
{
	return 0x6672656570616765 ^ index * 0x9e3779b97f4a7c15;
}

static u64 *ends_of(void *mem, bool last)
{
	return last ? mem + PAGE_SIZE - sizeof(u64) : mem;
}

static struct page *file_page(struct kunit *test, struct file *file, pgoff_t index)
{
	struct page *page = shmem_read_mapping_page(file->f_mapping, index);

	KUNIT_ASSERT_FALSE(test, IS_ERR(page));
	return page;
}

static void stamp(struct kunit *test, struct file *file, pgoff_t index)
{
	struct page *page = file_page(test, file, index);
	void *mem = kmap_local_page(page);

	*ends_of(mem, false) = stamp_of(index);
	*ends_of(mem, true) = ~stamp_of(index);
	kunmap_local(mem);
	set_page_dirty(page);
	put_page(page);
}

/* Expects that all pages have their content, whether they were moved or not. */
static void expect_stamps(struct kunit *test, struct file *file)
{
	unsigned long wrong = 0;
	struct page *page;
	pgoff_t index;
	void *mem;

	for (index = 0; index < FPR_FILE_PAGES; index += FPR_FILE_EACH) {
		page = file_page(test, file, index);
		mem = kmap_local_page(page);
		wrong += *ends_of(mem, false) != stamp_of(index) ||
			 *ends_of(mem, true) != ~stamp_of(index);
		kunmap_local(mem);
		put_page(page);
	}
	KUNIT_EXPECT_EQ(test, 0, wrong);
}

/* Creates a file whose pages fill whole pageblocks. */
static struct file *new_file(struct kunit *test, bool unevictable)
{
	struct file *file;
	pgoff_t index;

	file = shmem_kernel_file_setup("page_reporting", FPR_FILE_PAGES << PAGE_SHIFT,
				       (vma_flags_t){ 0 });
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	if (unevictable)
		mapping_set_unevictable(file->f_mapping);
	for (index = 0; index < FPR_FILE_PAGES; index++)
		stamp(test, file, index);
	return file;
}

/*
 * Punches holes into it, so that one page of each FPR_FILE_EACH stays. They are not
 * left on the per-CPU lists.
 */
static void make_holes(struct file *file)
{
	loff_t at, each = FPR_FILE_EACH * PAGE_SIZE;

	for (at = 0; at < FPR_FILE_PAGES << PAGE_SHIFT; at += each)
		shmem_truncate_range(file_inode(file), at + PAGE_SIZE,
				     at + each - 1);
	drain_all_pages(NULL);
}

static struct fpr_fake *begin(struct kunit *test)
{
	struct fpr_fake *fake = test->priv;

	if (page_reporting_compacts(pageblock_order) == PAGE_REPORTING_COMPACT_PAGEBLOCK)
		kunit_skip(test, "pageblocks have another size here");
	if (!IS_ENABLED(CONFIG_SHMEM))
		kunit_skip(test, "needs CONFIG_SHMEM");
	fpr_need_counters(test);
	page_reporting_set_compact(true);
	fpr_register(fake, 0);
	return fake;
}

static unsigned long tried(struct kunit *test, const struct fpr_sums *before)
{
	return fpr_grown(test, before, PAGE_REPORTING_TRY);
}

static void expect_moves_identity(struct kunit *test)
{
	const unsigned long *events = fpr_new_sums(test)->events;

	KUNIT_EXPECT_EQ(test, events[PAGE_REPORTING_TRY],
			events[PAGE_REPORTING_EMPTY] +
			events[PAGE_REPORTING_EMPTY_FAIL]);
}

/* B10: Fragments become whole blocks, which are reported, and nothing is lost. */
static void flush_makes_whole_blocks(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	unsigned long emptied, moved;
	struct fpr_sums *before;

	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	before = fpr_new_sums(test);
	fpr_forget(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());

	emptied = fpr_grown(test, before, PAGE_REPORTING_EMPTY);
	moved = fpr_grown(test, before, PGREPORT_MOVE);
	KUNIT_EXPECT_GE(test, emptied, FPR_FILE_ENOUGH);
	KUNIT_EXPECT_GE(test, fake->nr_blocks, FPR_FILE_ENOUGH / 2);
	KUNIT_EXPECT_EQ(test, moved, page_reporting_last_flush().moved);
	KUNIT_EXPECT_GE(test, page_reporting_last_flush().nr_pages,
			FPR_FILE_ENOUGH << pageblock_order);
	expect_stamps(test, file);
	expect_moves_identity(test);
	fpr_expect_identity(test);
}

/* B10: Pages are moved only into holes, not into reported or whole free blocks. */
static void moves_refault_nothing(struct kunit *test)
{
	struct file *file;
	struct fpr_sums *before;

	begin(test);
	file = new_file(test, false);
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush(ULONG_MAX));
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PGREPORT_MOVE), FPR_FILE_ENOUGH);
	/* Others may allocate a block meanwhile. */
	KUNIT_EXPECT_LE(test, fpr_grown(test, before, PGREPORT_REFAULT),
			2UL << PAGE_REPORTING_UNIT_ORDER);
	expect_stamps(test, file);
}

/* B10 */
static void off_moves_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before = fpr_new_sums(test);
	struct page *page;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_set_param("page_reporting_compact", "N"));
	fpr_expect_param(test, "page_reporting_compact", "N\n");
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	KUNIT_EXPECT_EQ(test, 0, page_reporting_last_flush().moved);
	KUNIT_EXPECT_EQ(test, page_reporting_order, page_reporting_notify_order);

	page = fpr_alloc(fake, GFP_KERNEL, 0);
	fpr_free(page);
	KUNIT_EXPECT_EQ(test, page_reporting_order, page_reporting_notify_order);
	KUNIT_EXPECT_EQ(test, 0, fpr_set_param("page_reporting_compact", "Y"));
	fpr_expect_param(test, "page_reporting_compact", "Y\n");
	KUNIT_EXPECT_EQ(test, -EINVAL, fpr_set_param("page_reporting_compact", "2x"));
}

/* B10: If the order is not that of a pageblock, no page is moved. */
static void other_orders_move_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before = fpr_new_sums(test);

	make_holes(file);
	fpr_set_order(fake, FPR_ORDER);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	if (pageblock_order < MAX_PAGE_ORDER) {
		fpr_set_order(fake, MAX_PAGE_ORDER);
		KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
		KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	}
	expect_stamps(test, file);
}

/* The PFNs of the pages of the file, to count later how many have not moved. */
static unsigned long *places_of(struct kunit *test, struct file *file)
{
	unsigned long *pfns = kunit_kcalloc(test, FPR_FILE_PAGES / FPR_FILE_EACH,
					    sizeof(*pfns), GFP_KERNEL);
	struct page *page;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, pfns);
	for (i = 0; i < FPR_FILE_PAGES / FPR_FILE_EACH; i++) {
		page = file_page(test, file, (pgoff_t)i * FPR_FILE_EACH);
		pfns[i] = page_to_pfn(page);
		put_page(page);
	}
	return pfns;
}

static struct page *pageblock_of(unsigned long pfn)
{
	return pfn_to_page(pageblock_start_pfn(pfn));
}

/* Of those that were in @zone, or in any if that is NULL. */
static unsigned int nr_moved(struct kunit *test, const unsigned long *before,
			     struct file *file, struct zone *zone)
{
	const unsigned long *now = places_of(test, file);
	unsigned int i, nr = 0;

	for (i = 0; i < FPR_FILE_PAGES / FPR_FILE_EACH; i++)
		nr += before[i] != now[i] &&
		      (!zone || page_zone(pfn_to_page(before[i])) == zone);
	return nr;
}

/* B10: Unevictable pages, such as mlocked ones, are not moved. */
static void unevictable_pages_stay(struct kunit *test)
{
	unsigned long *places;
	struct fpr_sums *before;
	struct file *file;

	begin(test);
	file = new_file(test, true);
	make_holes(file);
	lru_add_drain_all();
	places = places_of(test, file);
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_EQ(test, 0, nr_moved(test, places, file, NULL));
	/* No attempt was made, except for pageblocks of others. */
	KUNIT_EXPECT_LT(test, fpr_grown(test, before, PAGE_REPORTING_EMPTY_FAIL),
			FPR_FILE_ENOUGH);
	expect_stamps(test, file);
}

/* B10: If one page of each pageblock has an extra reference, none is emptied. */
static void pinned_pages_stay(struct kunit *test)
{
	unsigned int i, stay = 0, stuck = 0, nr = FPR_FILE_PAGES / FPR_FILE_EACH;
	unsigned long failed;
	struct file *file;
	struct page **pinned;
	struct fpr_sums *before;

	begin(test);
	file = new_file(test, false);
	make_holes(file);
	pinned = kunit_kcalloc(test, nr, sizeof(*pinned), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pinned);
	for (i = 0; i < nr; i += 8)
		pinned[i] = file_page(test, file, (pgoff_t)i * FPR_FILE_EACH);
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	/* In none of its rounds, one of them is tried again. */
	failed = fpr_grown(test, before, PAGE_REPORTING_EMPTY_FAIL);
	KUNIT_EXPECT_GT(test, failed, 0);
	KUNIT_EXPECT_LE(test, failed, 2 * FPR_FILE_BLOCKS);
	for (i = 0; i < nr; i += 8) {
		struct page *page = file_page(test, file, (pgoff_t)i * FPR_FILE_EACH);

		stay += page == pinned[i];
		stuck += fpr_engine_is_vain(page);
		put_page(page);
		put_page(pinned[i]);
	}
	KUNIT_EXPECT_EQ(test, DIV_ROUND_UP(nr, 8), stay);
	KUNIT_EXPECT_GT(test, stuck, 0);
	/* The next flush may. */
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PAGE_REPORTING_EMPTY), FPR_FILE_ENOUGH);
	expect_moves_identity(test);
	expect_stamps(test, file);
}

/* A zone for which a pass has considered a round. No further passes come. */
static struct zone *considered(struct fpr_fake *fake)
{
	struct zone *zone = fpr_largest_zone();

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_pass(fake);
	fpr_calm(fake);
	fpr_set_delay(fake, FPR_QUIET_MS);
	fpr_calm(fake);
	KUNIT_ASSERT_NOT_NULL(fake->test, fpr_engine_least_fragments(zone));
	return zone;
}

/* B10: Whoever ends a flush learns what it has moved by then. */
static void flush_that_is_cut_short_tells_what_it_moved(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before;
	unsigned long moved;
	struct zone *zone;

	considered(fake);
	make_holes(file);
	zone = page_zone(pfn_to_page(places_of(test, file)[0]));
	before = fpr_new_sums(test);
	moved = fpr_engine_cut_short(zone);
	KUNIT_EXPECT_GT(test, moved, 0);
	KUNIT_EXPECT_LE(test, moved, pageblock_nr_pages);
	KUNIT_EXPECT_EQ(test, moved, fpr_grown(test, before, PGREPORT_MOVE));
	expect_stamps(test, file);
}

/* B10: The survey of a large zone alone takes more than the time of a small one. */
static void round_in_a_large_zone_may_take_longer(struct kunit *test)
{
	const unsigned long tib = 1UL << (40 - PAGE_SHIFT);

	begin(test);
	KUNIT_EXPECT_EQ(test, FPR_ROUND_MS, fpr_engine_round_ms(0));
	if (IS_ENABLED(CONFIG_64BIT))
		KUNIT_EXPECT_GE(test, fpr_engine_round_ms(tib), 2 * FPR_ROUND_MS);
}

/* B10 H9: An isolated pageblock stops the moves in its zone. */
static void isolation_stops_moves(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct fpr_sums *before;
	unsigned long *places;
	struct page *isolated;
	struct file *file;

	fpr_need_isolation(test);
	file = new_file(test, false);
	make_holes(file);
	isolated = fpr_isolate_pageblock(fake);
	places = places_of(test, file);
	before = fpr_new_sums(test);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	if (page_zone(isolated) == page_zone(pfn_to_page(places[0])))
		KUNIT_EXPECT_EQ(test, 0, nr_moved(test, places, file, NULL));
	fpr_unisolate(fake, isolated);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_GE(test, fpr_grown(test, before, PAGE_REPORTING_EMPTY),
			FPR_FILE_ENOUGH);
}

/*
 * B10 H9: A pageblock that is isolated after it was chosen, as one that goes
 * offline is, is neither emptied nor filled.
 */
static void isolated_pageblock_is_left_alone(struct kunit *test)
{
	unsigned int i, nr = FPR_FILE_PAGES / FPR_FILE_EACH;
	struct fpr_fake *fake = begin(test);
	struct page *page, *other = NULL;
	unsigned long *places;
	struct file *file;

	fpr_need_isolation(test);
	file = new_file(test, false);
	make_holes(file);
	lru_add_drain_all();
	places = places_of(test, file);
	page = pageblock_of(places[nr / 2]);
	for (i = 0; i < nr && !other; i++) {
		other = pageblock_of(places[i]);
		if (other == page || page_zone(other) != page_zone(page))
			other = NULL;
	}
	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_ASSERT_EQ(test, 0, fpr_try_isolate(fake, page));
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_hold_holes(page));
	KUNIT_EXPECT_NE(test, 0, fpr_engine_hold_holes(other));
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_move_block(page));
	fpr_unisolate(fake, page);
	KUNIT_EXPECT_NE(test, 0, fpr_engine_move_block(page));
	fpr_engine_put_holes(page_zone(page));
	expect_stamps(test, file);
}

/*
 * B10: A pageblock that others have freed by the time it is looked at again was
 * emptied, and so was one whose last large folio has merged with the rest.
 */
static void block_that_became_free_is_emptied(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct fpr_sums *before;
	struct page *page;
	struct file *file;

	file = new_file(test, false);
	make_holes(file);
	/* The zones get their rounds. */
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	page = fpr_alloc(fake, GFP_HIGHUSER_MOVABLE, pageblock_order);
	KUNIT_ASSERT_NOT_NULL(test, page_zone(page)->page_reporting->compact);
	before = fpr_new_sums(test);
	KUNIT_EXPECT_FALSE(test, fpr_engine_empty(page));
	fpr_free(page);
	drain_all_pages(page_zone(page));
	KUNIT_EXPECT_TRUE(test, fpr_engine_empty(page));
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_EMPTY));
	KUNIT_EXPECT_EQ(test, 1, fpr_grown(test, before, PAGE_REPORTING_EMPTY_FAIL));
}

/* B10 H1 */
static void sleep_stops_moves(struct kunit *test)
{
	struct file *file;
	struct fpr_sums *before;

	begin(test);
	file = new_file(test, false);
	make_holes(file);
	before = fpr_new_sums(test);
	fpr_engine_pm(PM_SUSPEND_PREPARE);
	KUNIT_EXPECT_EQ(test, -EBUSY, fpr_flush_compact());
	KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	fpr_engine_pm(PM_POST_SUSPEND);
	expect_stamps(test, file);
}

/* B10: In a zone near its high watermark, no page is moved. */
static void short_zone_moves_nothing(struct kunit *test)
{
	unsigned long high, *before;
	struct file *file;
	struct zone *zone;

	begin(test);
	file = new_file(test, false);
	make_holes(file);
	before = places_of(test, file);
	zone = page_zone(pfn_to_page(before[0]));
	high = zone->_watermark[WMARK_HIGH];
	zone->_watermark[WMARK_HIGH] = zone_managed_pages(zone);
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	zone->_watermark[WMARK_HIGH] = high;
	KUNIT_EXPECT_EQ(test, 0, nr_moved(test, before, file, zone));
	expect_stamps(test, file);
}

/* B10: In a zone whose blocks are never reported, no page is moved. */
static void hopeless_zone_moves_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	unsigned long *before;
	struct zone *zone;

	make_holes(file);
	before = places_of(test, file);
	zone = page_zone(pfn_to_page(before[0]));
	fpr_set_low_wmark(fake, zone, zone_managed_pages(zone));
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	KUNIT_EXPECT_EQ(test, 0, nr_moved(test, before, file, zone));
	expect_stamps(test, file);
}

/* B10 H9: What a zone is said to end at may belong to another one by now. */
static void block_of_another_zone_is_not_found(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct fpr_pair *pair = &fake->pairs[0];
	struct zone *zone, *other = NULL;
	bool contiguous;

	pair->order = pageblock_order - 1;
	fpr_get_pair(fake, pair, GFP_HIGHUSER_MOVABLE);
	for_each_populated_zone(zone)
		if (zone != page_zone(pair->lo))
			other = zone;
	if (!other)
		kunit_skip(test, "needs two zones");
	KUNIT_EXPECT_TRUE(test, fpr_engine_finds_block(page_zone(pair->lo), pair->lo));
	contiguous = other->contiguous;
	other->contiguous = true;
	KUNIT_EXPECT_FALSE(test, fpr_engine_finds_block(other, pair->lo));
	other->contiguous = contiguous;
	fpr_put_pair(pair);
}

/* B10: A page without a reference is in use if it has a type, as a slab of 7.3. */
static void frozen_page_is_in_use(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct fpr_pair *pair = &fake->pairs[0];

	pair->order = pageblock_order - 1;
	fpr_get_pair(fake, pair, GFP_HIGHUSER_MOVABLE);
	fpr_put(&pair->hi);
	KUNIT_EXPECT_TRUE(test, fpr_engine_is_stuck(pair->lo));
	set_page_count(pair->lo, 0);
	KUNIT_EXPECT_FALSE(test, fpr_engine_is_stuck(pair->lo));
	__SetPageTable(pair->lo);
	KUNIT_EXPECT_TRUE(test, fpr_engine_is_stuck(pair->lo));
	__ClearPageTable(pair->lo);
	set_page_count(pair->lo, 1);
	fpr_put_pair(pair);
}

/* B1 B10: Holes that are put back may become a whole block. */
static void holes_that_make_a_whole_block_ask_for_a_pass(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct fpr_pair *pair = &fake->pairs[0];
	struct page *page;

	fpr_set_delay(fake, FPR_DELAY_MS);
	fpr_pass(fake);
	pair->order = pageblock_order - 1;
	fpr_get_pair(fake, pair, GFP_HIGHUSER_MOVABLE);
	page = pair->lo;
	fpr_put(&pair->lo);
	drain_all_pages(page_zone(page));
	KUNIT_EXPECT_EQ(test, pageblock_nr_pages / 2, fpr_engine_hold_holes(page));
	fpr_put(&pair->hi);
	drain_all_pages(page_zone(page));
	fpr_calm(fake);
	fpr_engine_put_holes(page_zone(page));
	fpr_expect_requested(fake);
}

/*
 * B10: A hole that was made ready for a page is still there if the page stays, for
 * the next attempt to move it.
 */
static void hole_of_a_page_that_stays_is_kept(struct kunit *test)
{
	struct page *page, *first;
	struct file *file;

	begin(test);
	file = new_file(test, false);
	make_holes(file);
	lru_add_drain_all();
	page = file_page(test, file, FPR_FILE_PAGES / 2);
	first = pfn_to_page(pageblock_start_pfn(page_to_pfn(page)));
	KUNIT_EXPECT_GT(test, fpr_engine_hold_holes(first), 0);
	/* Migration expects no reference but that of the file. */
	lock_page(page);
	put_page(page);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_use_hole(page));
	unlock_page(page);
	/* It was put back, which takes a batch. */
	lru_add_drain_all();
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_use_hole(page));
	fpr_engine_put_holes(page_zone(page));
	expect_stamps(test, file);
}

/* B10: A page that turned bad in a hole gets no data. */
static void bad_hole_is_not_filled(struct kunit *test)
{
	struct page *page, *bad;
	struct file *file;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
	begin(test);
	file = new_file(test, false);
	make_holes(file);
	lru_add_drain_all();
	page = file_page(test, file, FPR_FILE_PAGES / 2);
	put_page(page);
	bad = fpr_engine_hold_hole(page);
	KUNIT_ASSERT_NOT_NULL(test, bad);
	SetPageHWPoison(bad);
	/* It is lost, and the page stays. */
	KUNIT_EXPECT_EQ(test, 1, fpr_engine_use_hole(page));
	KUNIT_EXPECT_EQ(test, 0, page_count(bad));
	KUNIT_EXPECT_PTR_EQ(test, page, file_page(test, file, FPR_FILE_PAGES / 2));
	put_page(page);
	ClearPageHWPoison(bad);
	fpr_engine_give_hole(bad);
	fpr_engine_put_holes(page_zone(page));
	expect_stamps(test, file);
}

/*
 * B10: In a zone with more pageblocks than bits, no two share a bit for good: one
 * that can never be emptied would keep the other from it.
 */
static void pageblocks_share_a_bit_only_once(struct kunit *test)
{
	unsigned long nr = fpr_engine_vain_bits, block, other;
	unsigned int forgotten, shared;

	for (block = 0; block < 4; block++) {
		for (other = block + nr; other < 8 * nr; other += nr) {
			for (forgotten = shared = 0; forgotten < 8; forgotten++)
				shared += fpr_engine_vain_bit(block, forgotten) ==
					  fpr_engine_vain_bit(other, forgotten);
			KUNIT_EXPECT_LE_MSG(test, shared, 1, "%lu, %lu", block, other);
		}
	}
	/* In a zone with fewer, none do. */
	for (block = 1; block < nr; block++)
		KUNIT_ASSERT_NE(test, fpr_engine_vain_bit(0, 3),
				fpr_engine_vain_bit(block, 3));
}

/* B10: A round that could not go on for long is given up, as its survey is old. */
static void old_round_is_given_up(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_pass(fake);
	make_holes(file);
	KUNIT_ASSERT_GT(test, fpr_engine_age_rounds(2 * FPR_ROUND_MS), 0);
	before = fpr_new_sums(test);
	fpr_pass(fake);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_rounds());
	KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	/* A younger one goes on. */
	KUNIT_ASSERT_GT(test, fpr_engine_age_rounds(0), 0);
	KUNIT_EXPECT_GT(test, fpr_engine_rounds(), 0);
	expect_stamps(test, file);
}

/* Does a free of a block of this order, past the per-CPU lists, request a pass? */
static bool fragment_asks(struct fpr_fake *fake, unsigned int order)
{
	struct zone *zone = fpr_largest_zone();

	fpr_calm(fake);
	spin_lock_irq(&zone->lock);
	page_reporting_notify_free(zone, order, order, MIGRATE_MOVABLE);
	spin_unlock_irq(&zone->lock);
	return fpr_state(fake) == PAGE_REPORTING_REQUESTED;
}

/* B10 S3: Only the first free of a fragment after a pass requests the next pass. */
static void fragment_asks_for_a_pass_once(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	unsigned int order = fpr_engine_fragment_order;
	int tries = 20;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	/* Others may free a fragment at any time. */
	do {
		fpr_pass(fake);
		fpr_calm(fake);
	} while (page_reporting_notify_order != order && --tries);
	KUNIT_ASSERT_EQ(test, order, page_reporting_notify_order);
	while (tries && fragment_asks(fake, order - 1))
		tries--;
	KUNIT_EXPECT_GT(test, tries, 0);

	fpr_pass(fake);
	KUNIT_EXPECT_TRUE(test, fragment_asks(fake, order));
	KUNIT_EXPECT_EQ(test, page_reporting_order, page_reporting_notify_order);
	/* Further frees request no pass. */
	tries = 20;
	while (tries && fragment_asks(fake, order))
		tries--;
	KUNIT_EXPECT_GT(test, tries, 0);
}

/* Runs passes in this thread until pageblocks were emptied, or for @for_ms. */
static unsigned long pass_until_emptied(struct fpr_fake *fake,
					const struct fpr_sums *before,
					unsigned int for_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(for_ms);
	unsigned long emptied = 0;

	while (!emptied && time_before(jiffies, end)) {
		fpr_pass(fake);
		fpr_calm(fake);
		emptied = fpr_grown(fake->test, before, PAGE_REPORTING_EMPTY);
		msleep(100);
	}
	return emptied;
}

/* B10: Without a flush, fragments are made whole blocks once they were idle for B. */
static void idle_fragments_become_whole_blocks(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before;
	u64 price;

	/* Use up the other fragments of the machine first. */
	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	fpr_unregister(fake);
	fpr_register(fake, 0);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	before = fpr_new_sums(test);
	fpr_pass(fake);
	fpr_calm(fake);
	price = fpr_engine_move_price(fpr_largest_zone());
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 1000));
	KUNIT_EXPECT_GT(test, pass_until_emptied(fake, before, 10000), 0);
	KUNIT_EXPECT_NE(test, price, fpr_engine_move_price(fpr_largest_zone()));
	expect_stamps(test, file);
	expect_moves_identity(test);
}

/* B10: Memory that is plugged in changes how many fragments are too few. */
static void least_fragments_follow_the_zone(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	u64 *least, is;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fpr_pass(fake);
	fpr_calm(fake);
	least = fpr_engine_least_fragments(fpr_largest_zone());
	KUNIT_ASSERT_NOT_NULL(test, least);
	is = *least;
	KUNIT_EXPECT_GE(test, is, zone_managed_pages(fpr_largest_zone()) / 64);
	/* As if the zone had been smaller. */
	*least = is / 2;
	fpr_pass(fake);
	fpr_calm(fake);
	KUNIT_EXPECT_EQ(test, is, *least);
}

/* B10: A slice may be too short for it, on a large zone or a slow machine. */
static void long_search_comes_to_an_end(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct zone *zone = considered(fake);
	unsigned int most = zone->spanned_pages >> pageblock_order;

	make_holes(file);
	KUNIT_EXPECT_GT(test, fpr_engine_search_slices(zone, 2, most + 2), 2);
	KUNIT_EXPECT_LE(test, fpr_engine_search_slices(zone, 2, most + 2), most);
}

/* B10: Otherwise, pageblocks that are looked at in vain make moves too dear. */
static void only_moves_have_a_price(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct zone *zone = considered(fake);
	u64 price = fpr_engine_move_price(zone), debt = fpr_engine_move_debt_ns();

	fpr_engine_charge_search(zone);
	KUNIT_EXPECT_EQ(test, price, fpr_engine_move_price(zone));
	KUNIT_EXPECT_GT(test, fpr_engine_move_debt_ns(), debt);
}

/* B10: A round that gets no CPU time would be given up after 10 s. */
static void round_starts_in_a_slice_of_its_own(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct zone *zone = considered(fake);

	/* A slice is 6 ms long. */
	KUNIT_EXPECT_LE(test, fpr_engine_wait_for_slice(zone), 10);
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_rounds());
	/* Nor does the time count in which a round has to wait for others. */
	KUNIT_EXPECT_LE(test, fpr_engine_age_behind_others(zone, 5000), 100);
	/* After more than that, its survey is old. */
	KUNIT_EXPECT_GE(test, fpr_engine_age_behind_others(zone, 60000), FPR_ROUND_MS);
}

/* B10: With a fixed delay, no page is moved, and frees of fragments request no pass. */
static void fixed_delay_moves_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before = fpr_new_sums(test);

	fpr_set_delay(fake, FPR_DELAY_MS);
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 4000));
	KUNIT_EXPECT_EQ(test, page_reporting_order, page_reporting_notify_order);
}

/* B10: For a device that refuses reports, no page is moved. */
static void refusing_device_moves_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before = fpr_new_sums(test);

	fpr_set_delay(fake, FPR_ADAPTIVE);
	fake->err = -EIO;
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 4000));
	KUNIT_EXPECT_GT(test, fpr_engine_errors(), 0);
}

static unsigned long all_unaccepted(struct zone *zone)
{
	return zone_managed_pages(zone);
}

/* B10: Free memory that cannot be allocated is of no use for moves. */
static void unaccepted_memory_moves_nothing(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before = fpr_new_sums(test);

	fpr_set_delay(fake, FPR_ADAPTIVE);
	/* A stub is for this thread alone, in which these passes run. */
	fpr_engine_stub_unaccepted(test, all_unaccepted);
	make_holes(file);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 4000));
	expect_stamps(test, file);
}

static unsigned long high_wmark;

static void restore_high_wmark(void *zone)
{
	((struct zone *)zone)->_watermark[WMARK_HIGH] = high_wmark;
}

/* Has the wait for the zone that must rest grown to more than this? */
static bool rests_for(struct fpr_fake *fake, unsigned int ms)
{
	struct timer_list *timer = &fake->prdev.work.timer;

	return timer_pending(timer) && fpr_wait_of(timer) > ms;
}

/* B7 B10: In a zone that is short of memory, a due round is tried ever more rarely. */
static void short_zone_runs_no_passes(struct kunit *test)
{
	struct zone *zone = fpr_largest_zone();
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	unsigned int retries, tries = 60;
	struct fpr_sums *before;
	struct page *page;

	fpr_set_delay(fake, FPR_ADAPTIVE);
	make_holes(file);
	high_wmark = zone->_watermark[WMARK_HIGH];
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, restore_high_wmark, zone));
	zone->_watermark[WMARK_HIGH] = zone_managed_pages(zone);
	/* Whole blocks are reported, and fragments idle for B. */
	msleep(6000);
	before = fpr_new_sums(test);
	msleep(3000);
	/* Frees of others may ask for some. */
	KUNIT_EXPECT_LE(test, fpr_grown(test, before, PAGE_REPORTING_PASS), 6);
	/* Others may free a block, for which the next pass comes sooner. */
	do {
		fpr_pass(fake);
	} while (!rests_for(fake, 20000) && !msleep_interruptible(200) && --tries);
	KUNIT_EXPECT_NE(test, 0, tries);
	/* Passes that such blocks need do not count. */
	retries = fpr_engine_retries();
	for (tries = 6; tries; tries--) {
		page = fpr_try_alloc(fake, GFP_HIGHUSER_MOVABLE, MAX_PAGE_ORDER);
		if (page)
			fpr_free_past_lists(page);
		fpr_pass(fake);
	}
	KUNIT_EXPECT_LE(test, fpr_engine_retries(), retries + 2);
	KUNIT_EXPECT_EQ(test, 0, tried(test, before));
	kunit_release_action(test, restore_high_wmark, zone);
}

/* B10: Moves have their own CPU cap, to which their CPU time is charged. */
static void moves_obey_the_cap(struct kunit *test)
{
	struct fpr_fake *fake = begin(test);
	struct file *file = new_file(test, false);
	struct fpr_sums *before;

	KUNIT_EXPECT_EQ(test, 0, fpr_flush_compact());
	/* The moves of a flush are not charged. */
	KUNIT_EXPECT_EQ(test, 0, fpr_engine_move_debt_ns());
	fpr_unregister(fake);
	fpr_register(fake, 0);
	fpr_set_delay(fake, FPR_ADAPTIVE);
	make_holes(file);
	before = fpr_new_sums(test);
	fpr_engine_set_move_debt(3600ULL * NSEC_PER_SEC);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 4000));
	/* The round is put off until then. */
	fpr_engine_set_move_debt(0);
	KUNIT_EXPECT_EQ(test, 0, pass_until_emptied(fake, before, 1000));
	fpr_unregister(fake);
	fpr_register(fake, 0);
	KUNIT_EXPECT_GT(test, pass_until_emptied(fake, before, 10000), 0);
	KUNIT_EXPECT_GT(test, fpr_engine_move_debt_ns(), 0);
	expect_stamps(test, file);
}

static struct kunit_case page_reporting_compact_cases[] = {
	KUNIT_CASE(flush_makes_whole_blocks),
	KUNIT_CASE(moves_refault_nothing),
	KUNIT_CASE(off_moves_nothing),
	KUNIT_CASE(other_orders_move_nothing),
	KUNIT_CASE(unevictable_pages_stay),
	KUNIT_CASE(pinned_pages_stay),
	KUNIT_CASE(flush_that_is_cut_short_tells_what_it_moved),
	KUNIT_CASE(round_in_a_large_zone_may_take_longer),
	KUNIT_CASE(isolation_stops_moves),
	KUNIT_CASE(isolated_pageblock_is_left_alone),
	KUNIT_CASE(block_that_became_free_is_emptied),
	KUNIT_CASE(sleep_stops_moves),
	KUNIT_CASE(short_zone_moves_nothing),
	KUNIT_CASE(hopeless_zone_moves_nothing),
	KUNIT_CASE(block_of_another_zone_is_not_found),
	KUNIT_CASE(frozen_page_is_in_use),
	KUNIT_CASE(holes_that_make_a_whole_block_ask_for_a_pass),
	KUNIT_CASE(hole_of_a_page_that_stays_is_kept),
	KUNIT_CASE(bad_hole_is_not_filled),
	KUNIT_CASE(pageblocks_share_a_bit_only_once),
	KUNIT_CASE(old_round_is_given_up),
	KUNIT_CASE(fragment_asks_for_a_pass_once),
	KUNIT_CASE_SLOW(idle_fragments_become_whole_blocks),
	KUNIT_CASE(least_fragments_follow_the_zone),
	KUNIT_CASE(long_search_comes_to_an_end),
	KUNIT_CASE(only_moves_have_a_price),
	KUNIT_CASE(round_starts_in_a_slice_of_its_own),
	KUNIT_CASE_SLOW(fixed_delay_moves_nothing),
	KUNIT_CASE_SLOW(refusing_device_moves_nothing),
	KUNIT_CASE_SLOW(unaccepted_memory_moves_nothing),
	KUNIT_CASE_SLOW(short_zone_runs_no_passes),
	KUNIT_CASE_SLOW(moves_obey_the_cap),
	{}
};

static struct kunit_suite page_reporting_compact_suite =
	FPR_SUITE("compact", page_reporting_compact_cases);

kunit_test_suite(page_reporting_compact_suite);
