/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of the free lists of one zone in mm/page_alloc.c: orders 0 to 10, two
 * migratetypes, splits, merges, per-CPU lists, and a mark on each reported block.
 */
#ifndef _PACING_BUDDY_H
#define _PACING_BUDDY_H

#include "host.h"

#define MAX_PAGE_ORDER		10
#define NR_PAGE_ORDERS		(MAX_PAGE_ORDER + 1)
#define PAGEBLOCK_ORDER		9

enum migratetype { MOVABLE, UNMOVABLE, NR_TYPES };

/* No page: there is no such block. */
#define NO_PFN			(~0U)

#define PCP_BATCH		63
#define PCP_HIGH		(4 * PCP_BATCH)

/*
 * One for each page. @type is valid for the first page of a pageblock, all other
 * fields for the first page of a free block.
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
 * A block of order @high was taken from a list to allocate @low from it. Its other
 * parts have the type @to now.
 */
struct taken {
	unsigned int low;
	unsigned int high;
	enum migratetype from;
	enum migratetype to;
	bool marked;
};

/*
 * @mark_order: when a marked block is split, parts of this order or above stay
 *	marked
 * @taken: called after a block was taken, and its other parts are on their lists
 * @freed: called after a block was added to a list, with its order after merging
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

/* Starts with all memory free, in blocks of the highest order. */
void buddy_init(struct buddy *buddy, u64 nr_pages);
void buddy_free(struct buddy *buddy);

/* Allocates a block. Returns its first page, or NO_PFN. */
unsigned int buddy_take(struct buddy *buddy, unsigned int order,
			enum migratetype type);
void buddy_give(struct buddy *buddy, unsigned int pfn, unsigned int order);

/* The unmarked block that has been on its list for the longest time, or NO_PFN. */
unsigned int buddy_oldest(const struct buddy *buddy, unsigned int order,
			  enum migratetype type);

/* Isolates a block for a report, and puts it back at the tail, marked if reported. */
void buddy_isolate(struct buddy *buddy, unsigned int pfn);
void buddy_put_back(struct buddy *buddy, unsigned int pfn, unsigned int order,
		    bool reported);

/* A set of migratetypes. */
#define TYPE_BIT(type)		(1U << (type))
#define ALL_TYPES		(TYPE_BIT(NR_TYPES) - 1)

/* Number of pages in unmarked free blocks of @types, of orders @low to @high. */
u64 buddy_level(const struct buddy *buddy, unsigned int low, unsigned int high,
		unsigned int types);

#endif /* _PACING_BUDDY_H */
