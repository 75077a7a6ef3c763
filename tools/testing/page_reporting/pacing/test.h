/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test cases with TAP output. A case is CASE(name) { ... }. It ends with the first
 * CHECK() that fails.
 */
#ifndef _PACING_TEST_H
#define _PACING_TEST_H

#include "churn.h"

/* The order of blocks of 2 MiB. */
#define ORDER		9
#define BLOCK		BIT_ULL(ORDER)

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_add(struct test *test);
void test_fail(const char *file, int line, const char *what, u64 got, u64 wanted);

#define CASE(id)						\
	static void run_##id(void);				\
	static struct test test_##id = { #id, run_##id, NULL };	\
	static void __attribute__((constructor)) add_##id(void)	\
	{							\
		test_add(&test_##id);				\
	}							\
	static void run_##id(void)

#define CHECK(what)						\
	do {							\
		if (!(what))					\
			test_fail(__FILE__, __LINE__, #what, 0, 1);	\
	} while (0)

#define CHECK_EQ(got, wanted)					\
	do {							\
		u64 _got = (got), _wanted = (wanted);		\
								\
		if (_got != _wanted)				\
			test_fail(__FILE__, __LINE__, #got, _got, _wanted);	\
	} while (0)

#define CHECK_LE(got, most)					\
	do {							\
		u64 _got = (got), _most = (most);		\
								\
		if (_got > _most)				\
			test_fail(__FILE__, __LINE__, #got " <= " #most, _got, _most);	\
	} while (0)

#endif /* _PACING_TEST_H */
