/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What newer kernels have in this file is in mm/internal.h, and in
 * include/linux/gfp.h, here.
 */
#ifndef _MM_PAGE_ALLOC_H
#define _MM_PAGE_ALLOC_H

#include <linux/gfp.h>

#include "internal.h"

#endif /* _MM_PAGE_ALLOC_H */
