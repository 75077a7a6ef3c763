// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: how fragments become whole blocks.
 */

/**
 * DOC: compact
 *
 * A round makes whole free blocks of a zone's fragments, as
 * mm/page_reporting_plan.c decides. First it surveys all pageblocks; then it
 * empties some of them, from the start of the zone to its end, into the free
 * pages of others, from the end to the start. Whole blocks are freed like any
 * others, and reported once they were idle for long enough.
 *
 * To empty a pageblock:
 *
 * #. Free pages of other pageblocks, the *holes*, are isolated, as many as
 *    there are pages to move. They stay isolated for one slice at most.
 * #. The used pages are taken off the LRU lists, 64 at a time, and migrated to
 *    the holes, without waiting for page locks or writeback.
 * #. The per-CPU lists of this CPU are drained, so that the pages merge.
 *
 * A page that cannot be moved ends this: one that is not on an LRU list, is
 * mlocked or pinned, or is larger than any hole. The pageblock is then left
 * alone for up to 64 B, see mm/page_reporting_plan.c, and may be filled. Only
 * MIGRATE_MOVABLE pageblocks are emptied or filled. Whole free blocks are left
 * alone, and reported blocks are never filled.
 *
 * The allocator's own compaction was not used: its scanners fill reported and
 * whole free blocks, it goes on until it has looked at everything, and it takes
 * no account of what a pageblock costs. To isolate pageblocks as
 * alloc_contig_range() does takes a drain of all CPUs for each.
 *
 * A round runs in slices of PAGE_REPORTING_SLICE_MS, in the engine's work after
 * its pass. It pauses while a flush waits, or when a pass would have to end. It
 * ends early when the zone is near its high watermark, when a pageblock of the
 * zone is isolated, when the CPU cap for moves is reached, and after about
 * PAGE_REPORTING_ROUND_MS. No round runs while the driver returns errors. The
 * rounds of a flush are single slices, before the pass, without a limit of time
 * or CPU time.
 *
 * Frees below the reporting order request no pass, so fragments would go
 * unnoticed. So after a pass, a free of PAGE_REPORTING_FRAGMENT_ORDER or more
 * requests one. The first such free below the reporting order restores that as
 * the limit. While a zone has enough fragments, passes are requested until a
 * round has run.
 *
 * Memory may go offline meanwhile, and its struct pages with it. They are looked
 * at in zone->lock sections that begin with whether the pageblock is online and
 * not isolated: to go offline, it has to be isolated, and its free pages taken
 * off the free lists, under that lock. A page on an LRU list is looked at outside
 * with a reference to it, which keeps its pageblock online unless the page turns
 * bad. What is left is as in pageblock_pfn_to_page(): memory of another zone may
 * go offline between the look at its section and that at its zone.
 *
 * Both rounds and the allocator's compaction move pages from the start of a
 * zone to its end, so that neither undoes what the other one does.
 *
 * Rounds run with a delay of -1, and in a flush that asks for one, where a
 * pageblock is as large as a huge page of the host, 2 MiB, and the smallest
 * reported block is as large as a pageblock. If smaller blocks are reported,
 * then so are the fragments. With pages of 64 KiB, a pageblock has 512 MiB: to
 * free one, hundreds of MiB would have to move.
 *
 * Each pageblock that a round tries to empty counts in page_reporting_try, and
 * then in page_reporting_empty if it became a free block, or in
 * page_reporting_empty_fail. pgreport_move counts the pages that were moved.
 */

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kernel_stat.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/memory_hotplug.h>
#include <linux/migrate.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/pageblock-flags.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <trace/events/page_reporting.h>

#include "internal.h"
#include "page_alloc.h"
#include "page_reporting.h"
#include "page_reporting_internal.h"
#include "page_reporting_plan.h"

/*
 * Length of a slice of a round, and the pause before the next one. A slice ends
 * late by up to one pageblock, 4 ms if a move takes 10 us. After 10 ms, a
 * workqueue takes a work item for a CPU hog, as it may a flush, which has no
 * slices.
 */
#define PAGE_REPORTING_SLICE_MS		6

/* Blocks that are looked at or put back in one zone->lock section. */
#define PAGE_REPORTING_LOCKED		64

/* Of a huge page of the host, as in PAGE_REPORTING_UNIT_ORDER. */
#define PAGE_REPORTING_HUGE_ORDER	(ilog2(SZ_2M) - PAGE_SHIFT)

/* Pageblocks that are searched for holes in one step. */
#define PAGE_REPORTING_SEARCHED		64

/* Pages that are unmapped at a time: whoever touches one has to wait. */
#define PAGE_REPORTING_MOVES		64

/*
 * A round that is not over by then is given up, as its survey is old. In a large
 * zone, that takes longer: one more ms for so many pageblocks.
 */
#define PAGE_REPORTING_ROUND_MS		10000
#define PAGE_REPORTING_ROUND_BLOCKS	32

/*
 * Bits of @vain. In a zone with more pageblocks, several share one: others each
 * time, as one of them that can never be emptied would keep the rest from it.
 */
#define PAGE_REPORTING_VAIN		8192

/* The shortest time over which the load is measured. */
#define PAGE_REPORTING_LOAD_MS		100

/* Of a free that may mean fragments. Smaller ones are too frequent for passes. */
#define PAGE_REPORTING_FRAGMENT_ORDER	3

enum page_reporting_stage {
	PAGE_REPORTING_NO_ROUND,
	PAGE_REPORTING_SURVEYING,
	PAGE_REPORTING_EMPTYING,
};

/* Why a slice ends. */
enum page_reporting_slice {
	PAGE_REPORTING_GO_ON,
	PAGE_REPORTING_SLICE_OVER,	/* the round goes on in the next one */
	PAGE_REPORTING_ROUND_OVER,	/* nothing is left to try */
	PAGE_REPORTING_ROUND_DEAR,	/* it costs more than was planned for */
	PAGE_REPORTING_ROUND_GIVEN_UP,
};

/**
 * struct page_reporting_compact - a zone's fragments, and the round in it
 * @fragments: the demand for them: when the next round is due
 * @surplus: pages that the round may make whole blocks of
 * @stage: the stage of the round
 * @survey: what it has found
 * @plan: what is left to do
 * @planned: @plan as it was made
 * @source: PFN of the pageblock to look at next
 * @target: end PFN of the next pageblock to search for holes
 * @searched: @target before the search in progress, or 0 if there is none
 * @repeated: the search was started over once
 * @last_source: PFN of the last source of the class @plan.sparse
 * @shares: pageblocks of that class are filled now, too
 * @seen_ms: when a pass last checked whether a round is due or goes on
 * @begin_ms: when the round started, not counting the slices of other zones
 * @emptied: pageblocks emptied in this round
 * @failed: pageblocks that it tried to empty in vain
 * @moved: pages moved
 * @cost_ns: CPU time spent
 * @flush: the round serves a flush: its CPU time is not limited
 * @vain: pageblocks that could not be emptied lately
 * @forgotten: how often @vain was cleared
 *
 * Belongs to the work, which never runs twice at a time.
 */
struct page_reporting_compact {
	struct page_reporting_fragments fragments;
	u64 surplus;
	enum page_reporting_stage stage;
	struct page_reporting_survey survey;
	struct page_reporting_plan plan, planned;
	unsigned long source;
	unsigned long target;
	unsigned long searched;
	bool repeated;
	unsigned long last_source;
	bool shares;
	u64 seen_ms;
	u64 begin_ms;
	unsigned long emptied;
	unsigned long failed;
	unsigned long moved;
	u64 cost_ns;
	bool flush;
	DECLARE_BITMAP(vain, PAGE_REPORTING_VAIN);
	unsigned int forgotten;
};

/* What a pageblock holds. */
struct page_reporting_block {
	unsigned int class;
	unsigned int used;
	unsigned int holes;
};

/* Isolated free pages, by order. Used by one slice at a time. */
struct page_reporting_holes {
	struct list_head free[NR_PAGE_ORDERS];
	struct list_head ready[NR_PAGE_ORDERS];	/* one for each folio to move */
	unsigned long pages;			/* in @free */
};

/* What is in use in a pageblock, each with a reference. As above. */
struct page_reporting_held {
	struct folio *folios[PAGE_REPORTING_LOCKED];
	unsigned int nr;
};

static struct page_reporting_holes page_reporting_holes;
static struct page_reporting_held page_reporting_held;

/* The CPU cap for moves. Registration resets it, and only the work uses it. */
static struct page_reporting_cap page_reporting_move_cap;

/*
 * What the CPUs do besides moving pages. @busy_ns: their busy time up to
 * @at_ns. @share: the share of the burst that moves may spend. @moves: pages
 * were moved since @at_ns, so the busy time since is not all that of others.
 */
struct page_reporting_load {
	u64 busy_ns;
	u64 at_ns;
	unsigned int share;
	bool moves;
};

static struct page_reporting_load page_reporting_load = {
	.share = PAGE_REPORTING_BUSY_SHARES,
};

static bool page_reporting_compact_on = true;

void page_reporting_set_compact(bool on)
{
	WRITE_ONCE(page_reporting_compact_on, on);
}

bool page_reporting_get_compact(void)
{
	return READ_ONCE(page_reporting_compact_on);
}

void page_reporting_compact_reset(void)
{
	page_reporting_cap_init(&page_reporting_move_cap,
				page_reporting_now_ms());
}

/**
 * page_reporting_compacts - does it pay to make whole blocks of fragments?
 * @order: of the smallest block that is reported
 *
 * A pageblock must be a huge page of the host, and the smallest reported block a
 * pageblock.
 *
 * Context: Any.
 * Return: PAGE_REPORTING_COMPACTS, or why not.
 */
enum page_reporting_compacts page_reporting_compacts(unsigned int order)
{
	if (pageblock_order != PAGE_REPORTING_HUGE_ORDER)
		return PAGE_REPORTING_COMPACT_PAGEBLOCK;
	if (order != pageblock_order)
		return PAGE_REPORTING_COMPACT_ORDER;
	return READ_ONCE(page_reporting_compact_on) ? PAGE_REPORTING_COMPACTS :
						      PAGE_REPORTING_COMPACT_OFF;
}

static bool page_reporting_can_compact(unsigned int order)
{
	return page_reporting_compacts(order) == PAGE_REPORTING_COMPACTS;
}

static struct page_reporting_free page_reporting_free_in(struct zone *zone)
{
	struct page_reporting_free free = {};
	unsigned int order;

	spin_lock_irq(&zone->lock);
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		*(order < pageblock_order ? &free.small : &free.whole) +=
			(u64)zone->free_area[order].nr_free << order;
	spin_unlock_irq(&zone->lock);
	return free;
}

/*
 * The order of the free block that a pageblock is, or is a part of, or 0. The
 * caller holds zone->lock.
 */
static unsigned int page_reporting_whole_order(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	unsigned int order;

	for (order = pageblock_order; order < NR_PAGE_ORDERS; order++) {
		struct page *head = pfn_to_page(ALIGN_DOWN(pfn, 1UL << order));

		if (PageBuddy(head) && buddy_order(head) >= order)
			return buddy_order(head);
	}
	return 0;
}

/*
 * A pageblock that may be emptied or filled, or NULL. The caller holds
 * zone->lock: until it is released, the pageblock does not go offline.
 */
static struct page *page_reporting_block_at(struct zone *zone, unsigned long pfn)
{
	struct page *page;

	lockdep_assert_held(&zone->lock);
	/* Not pageblock_pfn_to_page(): memory may go offline at any time. */
	page = __pageblock_pfn_to_page(pfn, pfn + pageblock_nr_pages, zone);
	if (!page || get_pageblock_migratetype(page) != MIGRATE_MOVABLE ||
	    page_reporting_whole_order(page))
		return NULL;
	return page;
}

/* Lets others have zone->lock. */
static void page_reporting_breathe(struct zone *zone)
{
	spin_unlock_irq(&zone->lock);
	spin_lock_irq(&zone->lock);
}

/*
 * Called before each look at a page of a pageblock, with zone->lock held, which
 * it lets others have after each PAGE_REPORTING_LOCKED steps. Returns false if
 * the pageblock must not be looked at any more.
 */
static bool page_reporting_may_look(struct zone *zone, unsigned long pfn,
				    unsigned int *steps)
{
	if (*steps && *steps % PAGE_REPORTING_LOCKED == 0)
		page_reporting_breathe(zone);
	return (*steps)++ % PAGE_REPORTING_LOCKED ||
	       page_reporting_block_at(zone, pfn);
}

/* Is all of a pageblock free? */
static bool page_reporting_is_whole(struct zone *zone, unsigned long pfn)
{
	struct page *page;
	bool whole;

	spin_lock_irq(&zone->lock);
	page = __pageblock_pfn_to_page(pfn, pfn + pageblock_nr_pages, zone);
	whole = page && page_reporting_whole_order(page);
	spin_unlock_irq(&zone->lock);
	return whole;
}

/* May this page in use be moved? Called without a reference: a guess. */
static bool page_reporting_looks_movable(struct page *page)
{
	/* folio_test_unevictable() needs a page that cannot become a tail. */
	return PageLRU(page) && !PageHWPoison(page) &&
	       !test_bit(PG_unevictable, &page->flags.f);
}

/*
 * Is a page, which is neither on a free list nor part of a compound page, on its
 * way to a free list? A frozen page has no reference either, but a type.
 */
static bool page_reporting_is_in_transit(struct page *page)
{
	return !page_count(page) && !page_has_type(page);
}

/*
 * Counts what is in a pageblock: nothing if it may be neither emptied nor filled.
 * Stops where more than @most pages are in use. Used pages are looked at without
 * a reference: a wrong order makes it skip too much, and all is checked again
 * before it is used.
 */
static struct page_reporting_block page_reporting_look(struct zone *zone,
						       unsigned long pfn,
						       unsigned int most)
{
	unsigned int i, nr = pageblock_nr_pages, step, order, steps = 0;
	struct page_reporting_block block = {};
	bool stuck = false, gone = false;

	spin_lock_irq(&zone->lock);
	for (i = 0; i < nr && block.used <= most; i += step) {
		struct page *p;

		gone = !page_reporting_may_look(zone, pfn, &steps);
		if (gone)
			break;
		p = pfn_to_page(pfn + i);
		step = 1;
		if (PageBuddy(p)) {
			step = min(1U << buddy_order(p), nr - i);
			block.holes += step;
			continue;
		}
		if (PageCompound(p)) {
			order = compound_order(compound_head(p));
			if (order <= MAX_PAGE_ORDER)
				step = min(1U << order, nr - i);
		} else if (page_reporting_is_in_transit(p)) {
			continue;
		}
		block.used += step;
		stuck |= !page_reporting_looks_movable(p);
	}
	spin_unlock_irq(&zone->lock);
	if (gone)
		return (struct page_reporting_block){};
	block.class = stuck ? PAGE_REPORTING_STUCK :
			      page_reporting_class(block.used, nr);
	return block;
}

/* The bit of a pageblock in @vain, after that was cleared so many times. */
static unsigned int page_reporting_vain_bit(unsigned long pfn, unsigned int forgotten)
{
	unsigned long block = pfn >> pageblock_order;

	return (block + block / PAGE_REPORTING_VAIN * forgotten) % PAGE_REPORTING_VAIN;
}

static void page_reporting_forget_vain(struct page_reporting_compact *compact)
{
	bitmap_zero(compact->vain, PAGE_REPORTING_VAIN);
	compact->forgotten++;
}

/* As page_reporting_look(). What could not be emptied lately is stuck, too. */
static struct page_reporting_block
page_reporting_look_again(const struct page_reporting_compact *compact,
			  struct zone *zone, unsigned long pfn, unsigned int most)
{
	struct page_reporting_block block = page_reporting_look(zone, pfn, most);

	if (test_bit(page_reporting_vain_bit(pfn, compact->forgotten), compact->vain))
		block.class = PAGE_REPORTING_STUCK;
	return block;
}

/* What is in use in a pageblock of this class at most. */
static unsigned int page_reporting_class_end(unsigned int class)
{
	return (class + 1) * pageblock_nr_pages / PAGE_REPORTING_CLASSES;
}

/* Neither entirely free nor entirely in use. */
static bool page_reporting_is_partial(const struct page_reporting_block *block)
{
	return block->used && block->holes;
}

/*
 * Isolates free blocks that are smaller than the pageblock, until all holes add
 * up to @pages.
 */
static void page_reporting_take_holes(struct zone *zone, unsigned long pfn,
				      unsigned int pages)
{
	struct page_reporting_holes *holes = &page_reporting_holes;
	unsigned int i, step, order, steps = 0;

	spin_lock_irq(&zone->lock);
	for (i = 0; i < pageblock_nr_pages && holes->pages < pages; i += step) {
		struct page *p;

		if (!page_reporting_may_look(zone, pfn, &steps))
			break;
		p = pfn_to_page(pfn + i);
		step = 1;
		if (!PageBuddy(p))
			continue;
		order = buddy_order(p);
		step = 1U << order;
		if (PageReported(p))
			continue;
		if (!__isolate_free_page(p, order))
			break;
		list_add_tail(&p->lru, &holes->free[order]);
		holes->pages += step;
	}
	spin_unlock_irq(&zone->lock);
}

/* A hole of this order, split off a larger one if need be, or NULL. */
static struct page *page_reporting_get_hole(unsigned int order)
{
	struct page_reporting_holes *holes = &page_reporting_holes;
	unsigned int high = order;
	struct page *page;

	while (high < pageblock_order && list_empty(&holes->free[high]))
		high++;
	if (high >= pageblock_order)
		return NULL;
	page = list_first_entry(&holes->free[high], struct page, lru);
	list_del(&page->lru);
	while (high-- > order)
		list_add(&page[1UL << high].lru, &holes->free[high]);
	holes->pages -= 1UL << order;
	return page;
}

static void page_reporting_return_hole(struct page *page, unsigned int order)
{
	list_add(&page->lru, &page_reporting_holes.free[order]);
	page_reporting_holes.pages += 1UL << order;
}

/*
 * Puts the holes back on the free lists. That alone does not count as a free,
 * but a whole block that forms does: blocks freed meanwhile may be part of it.
 */
static void page_reporting_put_holes(struct zone *zone)
{
	struct page_reporting_holes *holes = &page_reporting_holes;
	unsigned int order, whole, steps = 0;
	struct page *page, *next;
	int mt;

	spin_lock_irq(&zone->lock);
	for (order = 0; order < pageblock_order; order++) {
		list_for_each_entry_safe(page, next, &holes->free[order], lru) {
			mt = get_pageblock_migratetype(page);
			list_del(&page->lru);
			__putback_isolated_page(page, order, mt);
			whole = page_reporting_whole_order(page);
			if (whole)
				page_reporting_notify_free(zone, order, whole, mt);
			if (++steps % PAGE_REPORTING_LOCKED == 0)
				page_reporting_breathe(zone);
		}
	}
	spin_unlock_irq(&zone->lock);
	holes->pages = 0;
}

static bool page_reporting_is_bad(struct page *page, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++)
		if (PageHWPoison(page + i))
			return true;
	return false;
}

/*
 * The callback of migrate_pages(). A hole was made ready for each folio. One in
 * which a page turned bad is lost, as in an allocation that checks its pages.
 */
static struct folio *page_reporting_fill_hole_noprof(struct folio *src,
						     unsigned long unused)
{
	struct page_reporting_holes *holes = &page_reporting_holes;
	unsigned int order = folio_order(src);
	struct page *page;

	page = list_first_entry_or_null(&holes->ready[order], struct page, lru);
	/* @src was split meanwhile. */
	if (!page)
		return NULL;
	list_del(&page->lru);
	if (page_reporting_is_bad(page, order))
		return NULL;
	post_alloc_hook(page, order, __GFP_MOVABLE, ALLOC_DEFAULT);
	set_page_refcounted(page);
	if (order)
		prep_compound_page(page, order);
	return page_rmappable_folio(page);
}

static struct folio *page_reporting_fill_hole(struct folio *src,
					      unsigned long unused)
{
	return alloc_hooks(page_reporting_fill_hole_noprof(src, unused));
}

/* Its other callback: takes back a hole that was not filled. */
static void page_reporting_put_hole(struct folio *hole, unsigned long unused)
{
	unsigned int order = folio_order(hole);

	/* Whoever holds another reference will free it. */
	if (folio_put_testzero(hole) && free_pages_prepare(&hole->page, order))
		list_add(&hole->lru, &page_reporting_holes.ready[order]);
}

/* Has the folio more references than migration expects, for a pin or a walk? */
static bool page_reporting_is_pinned(struct folio *folio)
{
	return folio_maybe_dma_pinned(folio) ||
	       (!folio_mapping(folio) &&
		folio_ref_count(folio) - 1 > folio_mapcount(folio));
}

/*
 * Takes references to what is in use from page *@i of a pageblock on, until it
 * has @most pages or the zone->lock section is to end. Returns false if there is
 * something that cannot be moved, or if the pageblock must not be looked at: what
 * was unplugged or belongs to a driver gets no reference.
 */
static bool page_reporting_hold_folios(struct zone *zone, unsigned long pfn,
				       unsigned int *i, unsigned int most)
{
	struct page_reporting_held *held = &page_reporting_held;
	unsigned int steps, pages = 0;
	struct folio *folio;
	struct page *page;
	bool all;

	held->nr = 0;
	spin_lock_irq(&zone->lock);
	all = page_reporting_block_at(zone, pfn);
	for (steps = 0; all && steps < PAGE_REPORTING_LOCKED && pages < most &&
	     *i < pageblock_nr_pages; steps++) {
		page = pfn_to_page(pfn + *i);
		if (PageBuddy(page)) {
			*i += 1U << buddy_order(page);
			continue;
		}
		if (!PageCompound(page) && page_reporting_is_in_transit(page)) {
			++*i;
			continue;
		}
		folio = page_reporting_looks_movable(page) ?
			folio_get_nontail_page(page) : NULL;
		all = folio;
		if (!folio)
			break;
		held->folios[held->nr++] = folio;
		pages += folio_nr_pages(folio);
		*i += folio_nr_pages(folio);
	}
	spin_unlock_irq(&zone->lock);
	return all;
}

/*
 * Takes a folio, to which the caller has a reference, off its LRU list, and
 * makes a hole for it ready. Returns the number of its pages, or 0 if it cannot
 * be moved now.
 */
static unsigned int page_reporting_take_folio(struct folio *folio,
					      struct list_head *folios)
{
	struct page *hole;
	unsigned int order;

	/* Freed and allocated again: its order is not known before. */
	if (!folio_test_lru(folio))
		return 0;
	order = folio_order(folio);
	if (order >= pageblock_order || folio_test_unevictable(folio) ||
	    folio_test_writeback(folio) || folio_test_hugetlb(folio) ||
	    page_reporting_is_pinned(folio))
		return 0;
	hole = page_reporting_get_hole(order);
	if (!hole)
		return 0;
	if (!folio_isolate_lru(folio)) {
		page_reporting_return_hole(hole, order);
		return 0;
	}
	list_add_tail(&hole->lru, &page_reporting_holes.ready[order]);
	list_add_tail(&folio->lru, folios);
	node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
			    1L << order);
	return 1U << order;
}

/*
 * Takes the folios that are held, and lets go of them. Returns the number of
 * pages. The first that cannot be moved now ends it, and *@all is false.
 */
static unsigned int page_reporting_take_folios(struct list_head *folios, bool *all)
{
	struct page_reporting_held *held = &page_reporting_held;
	unsigned int n, taken, pages = 0;

	for (n = 0; n < held->nr; n++) {
		if (*all) {
			taken = page_reporting_take_folio(held->folios[n], folios);
			*all = taken;
			pages += taken;
		}
		folio_put(held->folios[n]);
	}
	return pages;
}

/* Puts back what was not moved. Returns true if that is nothing. */
static bool page_reporting_put_folios(struct list_head *folios)
{
	struct page_reporting_holes *holes = &page_reporting_holes;
	bool none = list_empty(folios);
	struct page *page, *next;
	unsigned int order;

	putback_movable_pages(folios);
	for (order = 0; order < pageblock_order; order++) {
		list_for_each_entry_safe(page, next, &holes->ready[order], lru) {
			list_del(&page->lru);
			page_reporting_return_hole(page, order);
		}
	}
	return none;
}

/* Moves folios to the holes that are ready. Returns false if one of them stayed. */
static bool page_reporting_move(struct page_reporting_compact *compact,
				struct list_head *folios)
{
	unsigned int moved = 0;

	if (list_empty(folios))
		return true;
	migrate_pages(folios, page_reporting_fill_hole, page_reporting_put_hole,
		      0, MIGRATE_ASYNC, MR_COMPACTION, &moved);
	compact->moved += moved;
	count_vm_events(PGREPORT_MOVE, moved);
	return page_reporting_put_folios(folios);
}

/* Moves what is in use in a pageblock, up to what cannot be moved. */
static void page_reporting_move_block(struct page_reporting_compact *compact,
				      struct zone *zone, unsigned long pfn)
{
	unsigned int i = 0, nr = 0;
	LIST_HEAD(folios);
	bool all;

	while (i < pageblock_nr_pages) {
		all = page_reporting_hold_folios(zone, pfn, &i,
						 PAGE_REPORTING_MOVES - nr);
		nr += page_reporting_take_folios(&folios, &all);
		if (!all) {
			page_reporting_put_folios(&folios);
			return;
		}
		if (nr < PAGE_REPORTING_MOVES)
			continue;
		if (!page_reporting_move(compact, &folios))
			return;
		nr = 0;
	}
	page_reporting_move(compact, &folios);
}

static void page_reporting_empty(struct page_reporting_compact *compact,
				 struct zone *zone, unsigned long pfn)
{
	unsigned long before = compact->moved;
	u64 begin_ns = task_sched_runtime(current);

	count_vm_event(PAGE_REPORTING_TRY);
	page_reporting_move_block(compact, zone, pfn);
	/* The pages that were vacated are on per-CPU lists of this CPU. */
	lru_add_drain();
	page_reporting_drain_pcp(zone, raw_smp_processor_id());
	if (!compact->flush)
		page_reporting_fragments_moved(&compact->fragments,
					       compact->moved - before,
					       task_sched_runtime(current) - begin_ns);
	/* Whatever was found on the way: others may have freed the rest. */
	if (page_reporting_is_whole(zone, pfn)) {
		compact->emptied++;
		count_vm_event(PAGE_REPORTING_EMPTY);
	} else {
		__set_bit(page_reporting_vain_bit(pfn, compact->forgotten), compact->vain);
		compact->failed++;
		count_vm_event(PAGE_REPORTING_EMPTY_FAIL);
	}
}

/*
 * Some pageblocks of the class @plan.sparse may be sources, from the start of the
 * zone on, and others targets, from the end on.
 */
static bool page_reporting_is_source(const struct page_reporting_compact *compact,
				     unsigned long pfn,
				     const struct page_reporting_block *block)
{
	const struct page_reporting_plan *plan = &compact->plan;

	if (!page_reporting_is_partial(block) || block->class > plan->sparse)
		return false;
	return block->class < plan->sparse ||
	       (plan->of_sparse && (!compact->shares || pfn < compact->target));
}

static bool page_reporting_is_target(const struct page_reporting_compact *compact,
				     unsigned long pfn,
				     const struct page_reporting_block *block)
{
	const struct page_reporting_plan *plan = &compact->plan;

	if (!page_reporting_is_partial(block))
		return false;
	return block->class >= plan->dense ||
	       (compact->shares && block->class == plan->sparse &&
		pfn > compact->last_source);
}

/* The next pageblock to look for holes in. Returns false if there is none. */
static bool page_reporting_next_target(struct page_reporting_compact *compact,
				       struct zone *zone)
{
	if (compact->target <= pageblock_align(zone->zone_start_pfn)) {
		if (compact->shares || !compact->plan.shares)
			return false;
		compact->shares = true;
		compact->target = pageblock_start_pfn(zone_end_pfn(zone));
	}
	compact->target -= pageblock_nr_pages;
	return true;
}

/*
 * Isolates holes for @pages in the next PAGE_REPORTING_SEARCHED pageblocks.
 * Returns false if there are no more targets.
 */
static bool page_reporting_find_holes(struct page_reporting_compact *compact,
				      struct zone *zone, unsigned int pages)
{
	struct page_reporting_block block;
	unsigned int i;

	for (i = 0; i < PAGE_REPORTING_SEARCHED &&
	     page_reporting_holes.pages < pages; i++) {
		if (!page_reporting_next_target(compact, zone))
			return false;
		block = page_reporting_look_again(compact, zone, compact->target,
						  pageblock_nr_pages);
		if (page_reporting_is_target(compact, compact->target, &block)) {
			page_reporting_take_holes(zone, compact->target, pages);
			/* This pageblock may have more. */
			if (page_reporting_holes.pages >= pages)
				compact->target += pageblock_nr_pages;
		}
		cond_resched();
	}
	return true;
}

static enum page_reporting_slice
page_reporting_empty_next(struct page_reporting_compact *compact,
			  struct zone *zone)
{
	struct page_reporting_block block;
	unsigned long pfn = compact->source;

	if (!compact->plan.blocks || pfn >= pageblock_start_pfn(zone_end_pfn(zone)))
		return PAGE_REPORTING_ROUND_OVER;
	block = page_reporting_look_again(compact, zone, pfn,
					  page_reporting_class_end(compact->plan.sparse));
	if (page_reporting_is_source(compact, pfn, &block)) {
		if (block.class == compact->plan.sparse)
			compact->last_source = pfn;
		compact->searched = compact->searched ?: compact->target;
		if (!page_reporting_find_holes(compact, zone, block.used))
			return PAGE_REPORTING_ROUND_OVER;
		if (page_reporting_holes.pages < block.used)
			return PAGE_REPORTING_GO_ON;
		compact->searched = 0;
		compact->repeated = false;
		compact->plan.blocks--;
		if (block.class == compact->plan.sparse)
			compact->plan.of_sparse--;
		page_reporting_empty(compact, zone, pfn);
	}
	compact->source += pageblock_nr_pages;
	return PAGE_REPORTING_GO_ON;
}

/* Pageblocks that the zone shares with another one are left alone. */
static void page_reporting_rewind(struct page_reporting_compact *compact,
				  struct zone *zone)
{
	compact->source = pageblock_align(zone->zone_start_pfn);
	compact->target = pageblock_start_pfn(zone_end_pfn(zone));
	compact->searched = 0;
	compact->repeated = false;
	compact->last_source = 0;
	compact->shares = false;
}

static void page_reporting_make_plan(struct page_reporting_compact *compact,
				     struct zone *zone, unsigned int classes)
{
	compact->plan = page_reporting_plan(&compact->survey, compact->surplus,
					    classes, pageblock_nr_pages);
	compact->planned = compact->plan;
	page_reporting_rewind(compact, zone);
}

static enum page_reporting_slice
page_reporting_survey_next(struct page_reporting_compact *compact,
			   struct zone *zone)
{
	struct page_reporting_block block;
	unsigned int classes;

	if (compact->source < pageblock_start_pfn(zone_end_pfn(zone))) {
		block = page_reporting_look_again(compact, zone, compact->source,
						  pageblock_nr_pages);
		if (page_reporting_is_partial(&block))
			page_reporting_survey_add(&compact->survey, block.class,
						  block.used, block.holes);
		compact->source += pageblock_nr_pages;
		return PAGE_REPORTING_GO_ON;
	}
	classes = compact->flush ? PAGE_REPORTING_CLASSES :
		  page_reporting_fragments_affordable(&compact->fragments,
						      page_reporting_now_ms());
	page_reporting_make_plan(compact, zone, classes);
	compact->stage = PAGE_REPORTING_EMPTYING;
	return PAGE_REPORTING_GO_ON;
}

/*
 * Plans again without the classes that moves are too dear for. Each plan has
 * fewer classes than the one before, so this ends.
 */
static enum page_reporting_slice
page_reporting_plan_again(struct page_reporting_compact *compact,
			  struct zone *zone)
{
	unsigned int classes =
		page_reporting_fragments_affordable(&compact->fragments,
						    page_reporting_now_ms());

	page_reporting_make_plan(compact, zone,
				 min(classes, compact->plan.sparse));
	return compact->plan.blocks ? PAGE_REPORTING_GO_ON :
				      PAGE_REPORTING_ROUND_DEAR;
}

/* Is the zone too short of memory, or about to lose some? */
static bool page_reporting_must_rest(struct zone *zone)
{
	if (page_reporting_usable(zone, MIGRATE_MOVABLE) <
	    high_wmark_pages(zone) + 2 * pageblock_nr_pages)
		return true;
#ifdef CONFIG_MEMORY_ISOLATION
	return READ_ONCE(zone->nr_isolate_pageblock);
#else
	return false;
#endif
}

/* Adds the CPU time since @since_ns to the debt. */
static u64 page_reporting_charge_moves(struct page_reporting_compact *compact,
				       u64 since_ns)
{
	u64 now_ns = task_sched_runtime(current), part;

	compact->cost_ns += now_ns - since_ns;
	if (compact->flush)
		return now_ns;
	/* In parts: a single charge is limited, and a step may take longer. */
	for (; since_ns < now_ns; since_ns += part) {
		part = min(now_ns - since_ns, (u64)NSEC_PER_MSEC);
		page_reporting_cap_charge(&page_reporting_move_cap, part);
	}
	return now_ns;
}

static enum page_reporting_slice
page_reporting_step(struct page_reporting_pass *pass, struct zone *zone)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;

	if (page_reporting_must_rest(zone) ||
	    !page_reporting_can_compact(pass->order))
		return PAGE_REPORTING_ROUND_GIVEN_UP;
	if (compact->stage == PAGE_REPORTING_SURVEYING)
		return page_reporting_survey_next(compact, zone);
	if (!compact->flush && compact->plan.blocks &&
	    page_reporting_fragments_too_dear(&compact->fragments,
					      compact->plan.sparse,
					      page_reporting_now_ms()))
		return page_reporting_plan_again(compact, zone);
	return page_reporting_empty_next(compact, zone);
}

/* Runs a slice, until @end_ns. The CPU time of a flush is not charged. */
static enum page_reporting_slice
page_reporting_slice(struct page_reporting_pass *pass, struct zone *zone,
		     u64 end_ns)
{
	struct page_reporting_compact *compact = zone->page_reporting->compact;
	enum page_reporting_slice next = PAGE_REPORTING_GO_ON;
	u64 cpu_ns = task_sched_runtime(current);
	unsigned long before;

	while (next == PAGE_REPORTING_GO_ON) {
		before = compact->moved;
		if (pass->ended(pass) || ktime_get_ns() >= end_ns)
			next = PAGE_REPORTING_SLICE_OVER;
		else
			next = page_reporting_step(pass, zone);
		cpu_ns = page_reporting_charge_moves(compact, cpu_ns);
		/* For @ended, which tells how far a flush has come. */
		pass->moved += compact->moved - before;
		cond_resched();
	}
	page_reporting_put_holes(zone);
	/*
	 * An unfinished search starts over, as its holes were put back. Once: it
	 * may take longer than a slice, and has to come to an end.
	 */
	if (compact->searched && !compact->repeated) {
		/* The search may have gone on from the end of the zone. */
		compact->target = max(compact->target, compact->searched);
		compact->repeated = true;
	}
	compact->searched = 0;
	return next;
}

static void page_reporting_begin_round(struct page_reporting_compact *compact,
				       struct zone *zone, u64 surplus, bool flush)
{
	u64 begin_ns = task_sched_runtime(current);

	/*
	 * Pages on per-CPU lists could neither be moved nor merge. For other
	 * CPUs to put theirs on the LRU lists, only the writer of a flush waits:
	 * a CPU that is busy with a real-time task may take forever.
	 */
	lru_add_drain();
	page_reporting_drain_pcps(zone);
	memset(&compact->survey, 0, sizeof(compact->survey));
	memset(&compact->planned, 0, sizeof(compact->planned));
	compact->surplus = surplus;
	compact->stage = PAGE_REPORTING_SURVEYING;
	compact->begin_ms = page_reporting_now_ms();
	compact->emptied = 0;
	compact->failed = 0;
	compact->moved = 0;
	compact->cost_ns = 0;
	compact->flush = flush;
	if (page_reporting_fragments_retry(&compact->fragments, compact->begin_ms))
		page_reporting_forget_vain(compact);
	page_reporting_rewind(compact, zone);
	page_reporting_charge_moves(compact, begin_ns);
}

static enum page_reporting_end page_reporting_end_of(enum page_reporting_slice why)
{
	if (why == PAGE_REPORTING_ROUND_OVER)
		return PAGE_REPORTING_END_DONE;
	return why == PAGE_REPORTING_ROUND_DEAR ? PAGE_REPORTING_END_DEAR :
						  PAGE_REPORTING_END_CUT;
}

/* Returns true if another round is worth it at once, without those that failed. */
static bool page_reporting_end_round(struct page_reporting_compact *compact,
				     struct zone *zone,
				     enum page_reporting_slice why)
{
	const struct page_reporting_round round = {
		.plan = compact->planned,
		.blocks = compact->emptied,
		.failed = compact->failed,
		.cost_ns = compact->cost_ns,
		.end = page_reporting_end_of(why),
	};
	u64 now_ms = page_reporting_now_ms();

	compact->stage = PAGE_REPORTING_NO_ROUND;
	page_reporting_fragments_emptied(&compact->fragments, &round,
					 page_reporting_free_in(zone), now_ms);
	trace_page_reporting_compact(zone, compact->planned.blocks,
				     compact->emptied, compact->failed,
				     compact->moved, now_ms - compact->begin_ms);
	return page_reporting_fragments_left(&compact->fragments, &round);
}

/* The zone's state, or NULL: not allocated, or what it freed would not leave. */
static struct page_reporting_compact *
page_reporting_enter_compact(struct page_reporting_pass *pass, struct zone *zone)
{
	struct page_reporting_compact *compact;

	if (!page_reporting_enter_zone(zone, pass->order) ||
	    page_reporting_is_hopeless(pass, zone))
		return NULL;
	compact = zone->page_reporting->compact;
	if (!compact) {
		compact = kzalloc(sizeof(*compact), GFP_NOWAIT | __GFP_NOWARN);
		if (!compact)
			return NULL;
		page_reporting_fragments_init(&compact->fragments, pageblock_order,
					      page_reporting_free_in(zone).small,
					      page_reporting_now_ms());
		zone->page_reporting->compact = compact;
	}
	/* Memory may have come or gone. */
	page_reporting_fragments_resize(&compact->fragments,
					zone_managed_pages(zone));
	return compact;
}

/* The time since boot that CPUs were not idle, summed over all CPUs. */
static u64 page_reporting_busy_ns(void)
{
	static const enum cpu_usage_stat stats[] = {
		CPUTIME_USER, CPUTIME_NICE, CPUTIME_SYSTEM, CPUTIME_SOFTIRQ,
		CPUTIME_IRQ,
	};
	struct kernel_cpustat cpustat;
	unsigned int cpu, i;
	u64 ns = 0;

	for_each_possible_cpu(cpu) {
		kcpustat_cpu_fetch(&cpustat, cpu);
		for (i = 0; i < ARRAY_SIZE(stats); i++)
			ns += cpustat.cpustat[stats[i]];
	}
	return ns;
}

/* Measures the load of others. While pages are moved, it is not known. */
static void page_reporting_look_at_load(void)
{
	struct page_reporting_load *load = &page_reporting_load;
	u64 now_ns = ktime_get_ns(), busy_ns;

	if (now_ns < load->at_ns + PAGE_REPORTING_LOAD_MS * NSEC_PER_MSEC)
		return;
	busy_ns = page_reporting_busy_ns();
	if (!load->moves)
		load->share = page_reporting_cap_share(busy_ns - load->busy_ns,
						       now_ns - load->at_ns);
	load->at_ns = now_ns;
	load->busy_ns = busy_ns;
	load->moves = false;
}

/* The ms until moves may go on, with @share shares of their burst to spend. */
static u64 page_reporting_cap_wait(unsigned int share)
{
	return page_reporting_cap_moves_wait(&page_reporting_move_cap,
					     totalram_pages(), share,
					     page_reporting_now_ms());
}

/* Starts a round if one is due. Returns 0 then, or the ms until the next call. */
static unsigned int page_reporting_start(struct page_reporting_pass *pass,
					 struct page_reporting_compact *compact,
					 struct zone *zone, u64 now_ms)
{
	struct page_reporting_fragments *fragments = &compact->fragments;
	u64 surplus, wait_ms;

	surplus = page_reporting_fragments_sample(fragments,
						  page_reporting_free_in(zone),
						  now_ms);
	if (!surplus)
		return page_reporting_fragments_wait(fragments, now_ms);
	/* How long this will last is not known: the device backs off. */
	if (page_reporting_must_rest(zone)) {
		pass->put_off = true;
		return PAGE_REPORTING_NEVER;
	}
	/* Start once a quarter of what may be spent at once is left. */
	wait_ms = page_reporting_cap_wait(page_reporting_load.share * 3 / 4);
	if (wait_ms) {
		/* The load may change meanwhile. */
		wait_ms = min_t(u64, wait_ms, PAGE_REPORTING_ROUND_MS);
		page_reporting_fragments_put_off(fragments, wait_ms, now_ms);
		return page_reporting_fragments_wait(fragments, now_ms);
	}
	page_reporting_begin_round(compact, zone, surplus, false);
	return 0;
}

static unsigned int page_reporting_round_ms(struct zone *zone)
{
	return PAGE_REPORTING_ROUND_MS +
	       (zone->spanned_pages >> pageblock_order) / PAGE_REPORTING_ROUND_BLOCKS;
}

/* Starts a round, or goes on with one. Returns the ms until the next call. */
static unsigned int page_reporting_compact_zone(struct page_reporting_pass *pass,
						struct zone *zone, u64 end_ns)
{
	struct page_reporting_compact *compact;
	enum page_reporting_slice why;
	u64 now_ms = page_reporting_now_ms(), since_ms;
	unsigned int wait_ms;

	compact = page_reporting_enter_compact(pass, zone);
	if (!compact)
		return PAGE_REPORTING_NEVER;
	since_ms = now_ms - compact->seen_ms;
	compact->seen_ms = now_ms;
	/* Another zone has used up this slice: no reason to give a round up. */
	if (ktime_get_ns() >= end_ns) {
		if (since_ms < PAGE_REPORTING_ROUND_MS)
			compact->begin_ms = min(compact->begin_ms + since_ms, now_ms);
		return PAGE_REPORTING_SLICE_MS;
	}
	if (compact->stage == PAGE_REPORTING_NO_ROUND) {
		wait_ms = page_reporting_start(pass, compact, zone, now_ms);
		if (wait_ms)
			return wait_ms;
	}
	/* The last slice may have been long ago. */
	if (now_ms < compact->begin_ms + page_reporting_round_ms(zone)) {
		page_reporting_load.moves = true;
		why = page_reporting_slice(pass, zone, end_ns);
		if (why == PAGE_REPORTING_SLICE_OVER &&
		    !page_reporting_cap_wait(page_reporting_load.share))
			return PAGE_REPORTING_SLICE_MS;
	} else {
		why = PAGE_REPORTING_ROUND_GIVEN_UP;
	}
	page_reporting_end_round(compact, zone, why);
	return page_reporting_fragments_wait(&compact->fragments,
					     page_reporting_now_ms());
}

/**
 * page_reporting_compact - make whole blocks of fragments, if that pays
 * @pass: a pass that has walked all zones. Its budget's @wait_ms is lowered to
 *	the time at which this should be called again
 *
 * Context: Process context. May sleep. One caller at a time.
 */
void page_reporting_compact(struct page_reporting_pass *pass)
{
	u64 end_ns = ktime_get_ns() + PAGE_REPORTING_SLICE_MS * NSEC_PER_MSEC;
	struct zone *zone;
	unsigned int wait_ms;

	if (!page_reporting_can_compact(pass->order))
		return;
	page_reporting_look_at_load();
	/* Before a sample takes zone->lock: a free after it requests a pass. */
	WRITE_ONCE(page_reporting_notify_order, PAGE_REPORTING_FRAGMENT_ORDER);
	for_each_populated_zone(zone) {
		if (pass->ended(pass))
			return;
		wait_ms = page_reporting_compact_zone(pass, zone, end_ns);
		pass->budget.wait_ms = min(pass->budget.wait_ms, wait_ms);
	}
}

/**
 * page_reporting_compact_now - make whole blocks of all fragments of all zones
 * @pass: a pass that serves a flush, before it walks the zones. Its @moved says
 *	how many pages were moved
 *
 * Neither idle time nor the CPU cap matters.
 *
 * Context: Process context. May sleep. One caller at a time.
 */
void page_reporting_compact_now(struct page_reporting_pass *pass)
{
	struct page_reporting_compact *compact;
	enum page_reporting_slice why;
	struct zone *zone;

	if (!page_reporting_can_compact(pass->order))
		return;
	for_each_populated_zone(zone) {
		if (pass->ended(pass))
			return;
		compact = page_reporting_enter_compact(pass, zone);
		if (!compact || page_reporting_must_rest(zone))
			continue;
		if (compact->stage != PAGE_REPORTING_NO_ROUND)
			page_reporting_end_round(compact, zone,
						 PAGE_REPORTING_ROUND_GIVEN_UP);
		/* What could not be moved before may be moved now. */
		page_reporting_forget_vain(compact);
		do {
			page_reporting_begin_round(compact, zone,
						   page_reporting_free_in(zone).small,
						   true);
			why = page_reporting_slice(pass, zone, U64_MAX);
		} while (page_reporting_end_round(compact, zone, why));
		/* The pass has ended. */
		if (why == PAGE_REPORTING_SLICE_OVER)
			return;
	}
}

static int __init page_reporting_compact_init(void)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		INIT_LIST_HEAD(&page_reporting_holes.free[order]);
		INIT_LIST_HEAD(&page_reporting_holes.ready[order]);
	}
	return 0;
}
early_initcall(page_reporting_compact_init);

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_compact_engine_kunit.h"
#endif
