/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of the kernel that mm/page_reporting_pacing.c uses, for user space. The
 * headers that it includes are in linux/ and asm/ here, and only include this one.
 */
#ifndef _PACING_HOST_H
#define _PACING_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef unsigned long long u64;

#define PAGE_SHIFT	12

/* As in the kernel, operands of different types are an error. */
#define same_type(x, y)	((void)((typeof(x) *)1 == (typeof(y) *)1))

#define ALIGN(x, a)	(((x) + (a) - 1) & ~((a) - 1))
#define min(x, y)	({				\
	typeof(x) _x = (x);				\
	typeof(y) _y = (y);				\
	same_type(_x, _y);				\
	_x < _y ? _x : _y; })

#define max(x, y)	({				\
	typeof(x) _mx = (x);				\
	typeof(y) _my = (y);				\
	same_type(_mx, _my);				\
	_mx > _my ? _mx : _my; })

#define min_t(type, x, y)	min((type)(x), (type)(y))
#define max_t(type, x, y)	max((type)(x), (type)(y))

#define BIT_ULL(nr)	((u64)1 << (nr))
#define SZ_4G		BIT_ULL(32)
#define U64_MAX		(~(u64)0)

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

#endif /* _PACING_HOST_H */
