/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What newer kernels have in this file is in mm/internal.h, and in
 * include/linux/gfp.h, here.
 */
#ifndef _MM_PAGE_ALLOC_H
#define _MM_PAGE_ALLOC_H

#include <linux/gfp.h>

#include "internal.h"

/* For shmem_kernel_file_setup() */
typedef unsigned long vma_flags_t;

#endif /* _MM_PAGE_ALLOC_H */
