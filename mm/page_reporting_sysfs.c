// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: /sys/kernel/mm/page_reporting/. Its files are described
 * in Documentation/ABI/testing/sysfs-kernel-mm-page-reporting.
 */

#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "page_reporting_internal.h"

static const char * const page_reporting_state_names[] = {
	[PAGE_REPORTING_IDLE] = "idle",
	[PAGE_REPORTING_REQUESTED] = "requested",
	[PAGE_REPORTING_ACTIVE] = "active",
};

static ssize_t device_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	struct page_reporting_status status;
	ssize_t len;

	/* The driver stays as long as this: unregistration waits. */
	rcu_read_lock();
	status = page_reporting_get_status();
	if (!status.report)
		len = sysfs_emit(buf, "none\n");
	else if (!IS_ENABLED(CONFIG_KALLSYMS))
		/* Without symbols, %ps would print the address. */
		len = sysfs_emit(buf, "unknown\n");
	else
		len = sysfs_emit(buf, "%ps\n", status.report);
	rcu_read_unlock();
	return len;
}

static ssize_t order_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	/* Signed, so that "undecided" reads -1. */
	return sysfs_emit(buf, "%d\n", (int)page_reporting_get_status().order);
}

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct page_reporting_status status = page_reporting_get_status();

	return sysfs_emit(buf, "%s\n", status.report ?
			  page_reporting_state_names[status.state] : "none");
}

static ssize_t flush_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct page_reporting_flushed flushed = page_reporting_last_flush();

	return sysfs_emit(buf, "pages=%lu duration_us=%llu error=%d\n",
			  flushed.nr_pages, flushed.duration_us, -flushed.err);
}

/* The bytes that @buf asks for, with a suffix or without; 0 if it does not. */
static u64 page_reporting_parse_size(const char *buf)
{
	static const char suffixes[] = "KMGTPE";
	size_t len = strspn(buf, "0123456789");
	unsigned int shift = 0;
	char digits[24] = "";
	const char *suffix;
	u64 number;

	/* memparse() would wrap around without a word. */
	if (len >= sizeof(digits))
		return 0;
	memcpy(digits, buf, len);
	if (kstrtou64(digits, 10, &number))
		return 0;

	buf += len;
	suffix = *buf ? strchr(suffixes, toupper(*buf)) : NULL;
	if (suffix) {
		shift = 10 * (suffix - suffixes + 1);
		buf++;
	}
	/* Leave room for rounding up to a page. */
	if (!sysfs_streq(buf, "") || number > (U64_MAX - PAGE_SIZE) >> shift)
		return 0;
	return number << shift;
}

static ssize_t flush_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t len)
{
	unsigned long nr_pages = ULONG_MAX;
	u64 bytes;
	int err;

	if (!sysfs_streq(buf, "all")) {
		bytes = page_reporting_parse_size(buf);
		if (!bytes)
			return -EINVAL;
		nr_pages = min_t(u64, DIV_ROUND_UP_ULL(bytes, PAGE_SIZE),
				 ULONG_MAX);
	}
	err = page_reporting_flush(nr_pages);
	return err ?: len;
}

static struct kobj_attribute device_attr = __ATTR_RO(device);
static struct kobj_attribute order_attr = __ATTR_RO(order);
static struct kobj_attribute state_attr = __ATTR_RO(state);
static struct kobj_attribute flush_attr = __ATTR_RW(flush);

static struct attribute *page_reporting_attrs[] = {
	&device_attr.attr,
	&order_attr.attr,
	&state_attr.attr,
	&flush_attr.attr,
	NULL,
};

static const struct attribute_group page_reporting_group = {
	.name = "page_reporting",
	.attrs = page_reporting_attrs,
};

static int __init page_reporting_sysfs_init(void)
{
	return sysfs_create_group(mm_kobj, &page_reporting_group);
}
late_initcall(page_reporting_sysfs_init);
