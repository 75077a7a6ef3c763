/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a program that takes memory bit by bit, frees all of it, and pauses.
 */
#ifndef _PACING_CHURN_H
#define _PACING_CHURN_H

#include "guest.h"

#define MIB		256ULL
#define GIB		(1024 * MIB)

/*
 * @pages: how much it takes
 * @touch_ms: how long it takes to do so
 * @pause_ms: for how long all of it is free
 * @low: lowest order of the blocks that it takes
 * @high: highest order of these blocks
 * @type: migratetype of these blocks
 * @start_ms: when it begins
 */
struct churn_config {
	u64 pages;
	u64 touch_ms;
	u64 pause_ms;
	unsigned int low;
	unsigned int high;
	enum migratetype type;
	u64 start_ms;
};

struct block {
	unsigned int pfn;
	unsigned int order;
};

struct churn {
	struct churn_config config;
	struct block *blocks;
	u64 nr;
	u64 has;
	u64 next_ms;
	u64 seed;
};

void churn_init(struct churn *churn, const struct churn_config *config);
void churn_free(struct churn *churn);

/* Runs @nr programs in parallel. */
void churn_run(struct churn *churns, unsigned int nr, struct guest *guest, u64 until_ms);

/* Frees all that the program has. */
void churn_stop(struct churn *churn, struct guest *guest);

/* Takes memory, and keeps it until churn_give() or churn_stop(). */
void churn_take(struct churn *churn, struct guest *guest, u64 pages);
void churn_give(struct churn *churn, struct guest *guest, u64 pages);

/* Random numbers up to 2^23, the same in each run, without overflow for UBSan. */
static inline u64 draw(u64 *seed, u64 below)
{
	*seed = ((*seed & 0x7fffffff) * 1103515245 + 12345) & 0x7fffffff;
	return (*seed >> 8) % below;
}

#endif /* _PACING_CHURN_H */
