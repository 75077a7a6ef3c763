// SPDX-License-Identifier: GPL-2.0
/*
 * A model of the free lists of one zone in mm/page_alloc.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "buddy.h"

void *allocate(void *old, size_t size)
{
	void *mem = realloc(old, size);

	if (!mem) {
		fprintf(stderr, "no memory for %zu bytes\n", size);
		exit(1);
	}
	return mem;
}

static enum migratetype type_of(const struct buddy *buddy, unsigned int pfn)
{
	return buddy->frames[pfn >> PAGEBLOCK_ORDER << PAGEBLOCK_ORDER].type;
}

static void set_type(struct buddy *buddy, unsigned int pfn, unsigned int order,
		     enum migratetype type)
{
	unsigned int end = pfn + (1U << order);

	for (; pfn < end; pfn += 1U << PAGEBLOCK_ORDER)
		buddy->frames[pfn].type = type;
}

static void add(struct buddy *buddy, unsigned int pfn, unsigned int order,
		enum migratetype type, bool marked, bool to_tail)
{
	struct free_list *list = &buddy->lists[order][type];
	struct frame *frame = &buddy->frames[pfn];
	unsigned int *end = to_tail ? &list->tail : &list->head;

	frame->order = order;
	frame->list = type;
	frame->free = true;
	frame->marked = marked;
	frame->prev = to_tail ? *end : NO_PFN;
	frame->next = to_tail ? NO_PFN : *end;
	if (*end == NO_PFN) {
		list->head = pfn;
		list->tail = pfn;
	} else if (to_tail) {
		buddy->frames[*end].next = pfn;
	} else {
		buddy->frames[*end].prev = pfn;
	}
	*end = pfn;
	buddy->nr_unmarked[order][type] += !marked;
}

static void del(struct buddy *buddy, unsigned int pfn)
{
	struct frame *frame = &buddy->frames[pfn];
	struct free_list *list = &buddy->lists[frame->order][frame->list];

	if (frame->prev == NO_PFN)
		list->head = frame->next;
	else
		buddy->frames[frame->prev].next = frame->next;
	if (frame->next == NO_PFN)
		list->tail = frame->prev;
	else
		buddy->frames[frame->next].prev = frame->prev;
	frame->free = false;
	buddy->nr_unmarked[frame->order][frame->list] -= !frame->marked;
}

void buddy_init(struct buddy *buddy, u64 nr_pages)
{
	unsigned int order, type, pfn;

	*buddy = (struct buddy) {
		.nr_pages = nr_pages >> MAX_PAGE_ORDER << MAX_PAGE_ORDER,
		.mark_order = PAGEBLOCK_ORDER,
	};
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		for (type = 0; type < NR_TYPES; type++)
			buddy->lists[order][type] = (struct free_list) { NO_PFN, NO_PFN };
	buddy->frames = allocate(NULL, buddy->nr_pages * sizeof(*buddy->frames));
	memset(buddy->frames, 0, buddy->nr_pages * sizeof(*buddy->frames));
	for (pfn = 0; pfn < buddy->nr_pages; pfn += 1U << MAX_PAGE_ORDER)
		add(buddy, pfn, MAX_PAGE_ORDER, MOVABLE, false, true);
}

void buddy_free(struct buddy *buddy)
{
	free(buddy->frames);
}

/* As expand(): the parts are added to the heads of their lists. */
static unsigned int take_part(struct buddy *buddy, unsigned int pfn,
			      unsigned int low, enum migratetype type)
{
	struct frame *frame = &buddy->frames[pfn];
	struct taken taken = { low, frame->order, frame->list, type, frame->marked };
	unsigned int order;

	del(buddy, pfn);
	for (order = low; order < taken.high; order++)
		add(buddy, pfn + (1U << order), order, type,
		    taken.marked && order >= buddy->mark_order, false);
	if (buddy->taken)
		buddy->taken(buddy, &taken);
	return pfn;
}

/* As __rmqueue_claim() for blocks of a pageblock or more, else __rmqueue_steal(). */
static unsigned int take_of_other(struct buddy *buddy, unsigned int order,
				  enum migratetype type)
{
	enum migratetype other = type == MOVABLE ? UNMOVABLE : MOVABLE;
	int high;

	for (high = MAX_PAGE_ORDER; high >= (int)order; high--) {
		unsigned int pfn = buddy->lists[high][other].head;

		if (pfn == NO_PFN)
			continue;
		if (high < PAGEBLOCK_ORDER)
			return take_part(buddy, pfn, order, other);
		set_type(buddy, pfn, high, type);
		return take_part(buddy, pfn, order, type);
	}
	return NO_PFN;
}

/* As __rmqueue_smallest(). */
static unsigned int take(struct buddy *buddy, unsigned int order,
			 enum migratetype type)
{
	unsigned int high;

	for (high = order; high < NR_PAGE_ORDERS; high++) {
		unsigned int pfn = buddy->lists[high][type].head;

		if (pfn != NO_PFN)
			return take_part(buddy, pfn, order, type);
	}
	return take_of_other(buddy, order, type);
}

static bool is_free(const struct buddy *buddy, unsigned int pfn, unsigned int order)
{
	return pfn < buddy->nr_pages && buddy->frames[pfn].free &&
	       buddy->frames[pfn].order == order;
}

/* As buddy_merge_likely(): if so, the block is added to the tail, to be used last. */
static bool merge_likely(const struct buddy *buddy, unsigned int pfn,
			 unsigned int order)
{
	unsigned int higher = pfn & ~(1U << order);

	return order < MAX_PAGE_ORDER - 1 &&
	       is_free(buddy, higher ^ 1U << (order + 1), order + 1);
}

/*
 * As __free_one_page(). A block that is merged only from marked ones is marked.
 * Returns its order.
 */
static unsigned int give(struct buddy *buddy, unsigned int pfn, unsigned int order,
			 bool reported, bool to_tail)
{
	enum migratetype type = type_of(buddy, pfn);

	for (; order < MAX_PAGE_ORDER; order++) {
		unsigned int other = pfn ^ 1U << order;

		if (!is_free(buddy, other, order))
			break;
		reported = reported && buddy->frames[other].marked;
		del(buddy, other);
		pfn &= ~(1U << order);
	}
	if (order > PAGEBLOCK_ORDER)
		set_type(buddy, pfn, order, type);
	add(buddy, pfn, order, type, reported,
	    to_tail || merge_likely(buddy, pfn, order));
	return order;
}

static void give_and_tell(struct buddy *buddy, unsigned int pfn, unsigned int order)
{
	enum migratetype type = type_of(buddy, pfn);

	order = give(buddy, pfn, order, false, false);
	if (buddy->freed)
		buddy->freed(buddy, order, type);
}

void buddy_give(struct buddy *buddy, unsigned int pfn, unsigned int order)
{
	struct pcp *pcp = &buddy->pcp[type_of(buddy, pfn)];
	unsigned int i;

	if (!buddy->has_pcp || order) {
		give_and_tell(buddy, pfn, order);
		return;
	}
	pcp->pfns[pcp->nr++] = pfn;
	if (pcp->nr < PCP_HIGH + PCP_BATCH)
		return;
	/* The oldest ones are freed. */
	for (i = 0; i < PCP_BATCH; i++)
		give_and_tell(buddy, pcp->pfns[i], 0);
	pcp->nr -= PCP_BATCH;
	memmove(pcp->pfns, pcp->pfns + PCP_BATCH, pcp->nr * sizeof(*pcp->pfns));
}

unsigned int buddy_take(struct buddy *buddy, unsigned int order,
			enum migratetype type)
{
	struct pcp *pcp = &buddy->pcp[type];
	unsigned int i, pfn;

	if (!buddy->has_pcp || order)
		return take(buddy, order, type);
	for (i = 0; !pcp->nr && i < PCP_BATCH; i++) {
		pfn = take(buddy, 0, type);
		if (pfn == NO_PFN)
			break;
		pcp->pfns[PCP_BATCH - 1 - i] = pfn;
	}
	if (i) {
		pcp->nr = i;
		memmove(pcp->pfns, pcp->pfns + PCP_BATCH - i, i * sizeof(*pcp->pfns));
	}
	return pcp->nr ? pcp->pfns[--pcp->nr] : NO_PFN;
}

unsigned int buddy_oldest(const struct buddy *buddy, unsigned int order,
			  enum migratetype type)
{
	unsigned int pfn = buddy->lists[order][type].tail;

	while (pfn != NO_PFN && buddy->frames[pfn].marked)
		pfn = buddy->frames[pfn].prev;
	return pfn;
}

void buddy_isolate(struct buddy *buddy, unsigned int pfn)
{
	del(buddy, pfn);
}

void buddy_put_back(struct buddy *buddy, unsigned int pfn, unsigned int order,
		    bool reported)
{
	give(buddy, pfn, order, reported, true);
}

u64 buddy_level(const struct buddy *buddy, unsigned int low, unsigned int high,
		unsigned int types)
{
	unsigned int type;
	u64 pages = 0;

	for (; low <= high; low++)
		for (type = 0; type < NR_TYPES; type++)
			if (types & TYPE_BIT(type))
				pages += buddy->nr_unmarked[low][type] << low;
	return pages;
}
