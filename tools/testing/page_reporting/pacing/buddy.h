/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The free lists of one zone, as mm/page_alloc.c keeps them: orders 0 to 10, two
 * migratetypes, splits, merges, per-CPU lists, and a mark on each block that the
 * host has.
 */
#ifndef _PACING_BUDDY_H
#define _PACING_BUDDY_H

#include "host.h"

#define MAX_PAGE_ORDER		10
#define NR_PAGE_ORDERS		(MAX_PAGE_ORDER + 1)
#define PAGEBLOCK_ORDER		9

enum migratetype { MOVABLE, UNMOVABLE, NR_TYPES };

/* No page, and no memory. */
#define NO_PFN			(~0U)

#define PCP_BATCH		63
#define PCP_HIGH		(4 * PCP_BATCH)

/*
 * One for each page. All but @type are of the head of a free block, @type is of
 * the first page of a pageblock.
 */
struct frame {
	unsigned int next;
	unsigned int prev;
	unsigned char order;
	unsigned char type;
	unsigned char list;
	bool free;
	bool marked;
};

struct free_list {
	unsigned int head;
	unsigned int tail;
};

struct pcp {
	unsigned int pfns[PCP_HIGH + PCP_BATCH];
	unsigned int nr;
};

/*
 * A block that was taken from a list: of @high, to have one of @low. Its other
 * parts are of type @to now.
 */
struct taken {
	unsigned int low;
	unsigned int high;
	enum migratetype from;
	enum migratetype to;
	bool marked;
};

/*
 * @mark_order: a part of a marked block that is split keeps the mark from this
 *	order on
 * @taken: after a block was taken, its other parts being on their lists again
 * @freed: after a block came to the lists, of this order once it was merged
 */
struct buddy {
	struct frame *frames;
	unsigned int nr_pages;
	struct free_list lists[NR_PAGE_ORDERS][NR_TYPES];
	u64 nr_unmarked[NR_PAGE_ORDERS][NR_TYPES];
	unsigned int mark_order;
	bool has_pcp;
	struct pcp pcp[NR_TYPES];
	void (*taken)(struct buddy *buddy, const struct taken *taken);
	void (*freed)(struct buddy *buddy, unsigned int order, enum migratetype type);
};

void *allocate(void *old, size_t size);

/* All of it is free, in blocks of the largest order. */
void buddy_init(struct buddy *buddy, u64 nr_pages);
void buddy_free(struct buddy *buddy);

/* Returns the first page, or NO_PFN. */
unsigned int buddy_take(struct buddy *buddy, unsigned int order,
			enum migratetype type);
void buddy_give(struct buddy *buddy, unsigned int pfn, unsigned int order);

/* The block that has been on its list for longest and has no mark, or NO_PFN. */
unsigned int buddy_oldest(const struct buddy *buddy, unsigned int order,
			  enum migratetype type);

/* For the host, and back: to the tail, and marked if the host has it now. */
void buddy_isolate(struct buddy *buddy, unsigned int pfn);
void buddy_put_back(struct buddy *buddy, unsigned int pfn, unsigned int order,
		    bool reported);

/* A set of migratetypes. */
#define TYPE_BIT(type)		(1U << (type))
#define ALL_TYPES		(TYPE_BIT(NR_TYPES) - 1)

/* All pages in free blocks of @types from @low to @high that have no mark. */
u64 buddy_level(const struct buddy *buddy, unsigned int low, unsigned int high,
		unsigned int types);

#endif /* _PACING_BUDDY_H */
