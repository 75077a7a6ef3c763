// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: what the user can set and read. The files of
 * /sys/kernel/mm/page_reporting/ are described in
 * Documentation/ABI/testing/sysfs-kernel-mm-page-reporting.
 */

#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/stringify.h>
#include <linux/sysfs.h>

#include "page_reporting_internal.h"

/* Parameters are named after the feature, not after this file. */
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "page_reporting."

/* More than an hour is taken as an hour: any unsigned int is valid. */
#define PAGE_REPORTING_DELAY_MAX_MS	(60U * 60 * 1000)

/* Parses a number up to @max, or exactly the string "-1". */
static int page_reporting_parse(const char *val, unsigned int max, s64 *num)
{
	unsigned int n;

	*num = -1;
	if (sysfs_streq(val, "-1"))
		return 0;
	if (kstrtouint(val, 0, &n) || n > max)
		return -EINVAL;
	*num = n;
	return 0;
}

static int order_param_set(const char *val, const struct kernel_param *kp)
{
	s64 order;

	if (page_reporting_parse(val, MAX_PAGE_ORDER, &order))
		return -EINVAL;
	page_reporting_set_order(order);
	return 0;
}

static int order_param_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n",
			 (int)page_reporting_get_status().order);
}

static const struct kernel_param_ops page_reporting_order_ops = {
	.set = order_param_set,
	.get = order_param_get,
};
module_param_cb(page_reporting_order, &page_reporting_order_ops, NULL, 0644);
MODULE_PARM_DESC(page_reporting_order,
		 "Order of the smallest free block to report, 0 to " __stringify(MAX_PAGE_ORDER)
		 "; -1 (default): the driver's choice");

static int delay_param_set(const char *val, const struct kernel_param *kp)
{
	s64 delay_ms;

	if (page_reporting_parse(val, UINT_MAX, &delay_ms))
		return -EINVAL;
	if (delay_ms > PAGE_REPORTING_DELAY_MAX_MS) {
		pr_warn_once("page_reporting: a delay of %lld ms is taken as %u ms, an hour\n",
			     delay_ms, PAGE_REPORTING_DELAY_MAX_MS);
		delay_ms = PAGE_REPORTING_DELAY_MAX_MS;
	}
	page_reporting_set_delay(delay_ms);
	return 0;
}

static int delay_param_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n",
			 (int)page_reporting_get_status().delay_ms);
}

static const struct kernel_param_ops page_reporting_delay_ops = {
	.set = delay_param_set,
	.get = delay_param_get,
};
module_param_cb(page_reporting_delay_ms, &page_reporting_delay_ops, NULL, 0644);
MODULE_PARM_DESC(page_reporting_delay_ms,
		 "Wait before a pass over free memory in ms, up to 3600000; -1 (default): the kernel decides");

#ifdef CONFIG_PAGE_REPORTING_COMPACT
static int compact_param_set(const char *val, const struct kernel_param *kp)
{
	bool on;

	if (kstrtobool(val, &on))
		return -EINVAL;
	page_reporting_set_compact(on);
	page_reporting_settings_changed();
	return 0;
}

static int compact_param_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%c\n",
			 page_reporting_get_compact() ? 'Y' : 'N');
}

static const struct kernel_param_ops page_reporting_compact_ops = {
	.set = compact_param_set,
	.get = compact_param_get,
};
module_param_cb(page_reporting_compact, &page_reporting_compact_ops, NULL, 0644);
MODULE_PARM_DESC(page_reporting_compact,
		 "Move pages so that fragments of free memory become blocks that can be reported (default: Y)");
#endif

static const char * const page_reporting_state_names[] = {
	[PAGE_REPORTING_IDLE] = "idle",
	[PAGE_REPORTING_REQUESTED] = "requested",
	[PAGE_REPORTING_ACTIVE] = "active",
};

static ssize_t device_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	struct page_reporting_status status;

	/* Unregistration waits for this: the callback stays valid. */
	guard(rcu)();
	status = page_reporting_get_status();
	if (!status.report)
		return sysfs_emit(buf, "none\n");
	/* %ps would print the address. */
	if (!IS_ENABLED(CONFIG_KALLSYMS))
		return sysfs_emit(buf, "unknown\n");
	return sysfs_emit(buf, "%ps\n", status.report);
}

static ssize_t order_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	/* Signed, so that it reads -1 while it is undecided. */
	return sysfs_emit(buf, "%d\n", (int)page_reporting_get_status().order);
}

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct page_reporting_status status = page_reporting_get_status();

	return sysfs_emit(buf, "%s\n", status.report ?
			  page_reporting_state_names[status.state] : "none");
}

static ssize_t report_age_ms_show(struct kobject *kobj,
				  struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", page_reporting_report_age_ms());
}

static ssize_t compact_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	static const char * const names[] = {
		[PAGE_REPORTING_COMPACTS] = "on",
		[PAGE_REPORTING_COMPACT_OFF] = "off",
		[PAGE_REPORTING_COMPACT_ORDER] = "order",
		[PAGE_REPORTING_COMPACT_PAGEBLOCK] = "pageblock",
		[PAGE_REPORTING_COMPACT_UNABLE] = "unable",
	};
	struct page_reporting_status status = page_reporting_get_status();
	enum page_reporting_compacts why = page_reporting_compacts(status.order);

	if (!status.report)
		return sysfs_emit(buf, "none\n");
	if (why == PAGE_REPORTING_COMPACTS &&
	    status.delay_ms != PAGE_REPORTING_ADAPTIVE)
		return sysfs_emit(buf, "flush\n");
	return sysfs_emit(buf, "%s\n", names[why]);
}

static ssize_t flush_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct page_reporting_flushed flushed = page_reporting_last_flush();

	return sysfs_emit(buf, "pages=%lu duration_us=%llu error=%d moved=%lu\n",
			  flushed.nr_pages, flushed.duration_us, -flushed.err,
			  flushed.moved);
}

/* The size in @buf in bytes, with or without a suffix; 0 if it is no size. */
static u64 page_reporting_parse_size(const char *buf)
{
	static const char suffixes[] = "KMGTPE";
	unsigned int shift = 0;
	const char *suffix;
	u64 number = 0;

	/* Not memparse(), which wraps around without an error. */
	for (; isdigit(*buf); buf++)
		if (check_mul_overflow(number, 10ULL, &number) ||
		    check_add_overflow(number, *buf - '0', &number))
			return 0;

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
	enum page_reporting_first first = PAGE_REPORTING_NOTHING_FIRST;
	unsigned long nr_pages = ULONG_MAX;
	u64 bytes;

	if (sysfs_streq(buf, "again")) {
		first = PAGE_REPORTING_FORGET_FIRST;
	} else if (sysfs_streq(buf, "compact")) {
		first = PAGE_REPORTING_COMPACT_FIRST;
	} else if (!sysfs_streq(buf, "all")) {
		bytes = page_reporting_parse_size(buf);
		if (!bytes)
			return -EINVAL;
		nr_pages = min_t(u64, DIV_ROUND_UP_ULL(bytes, PAGE_SIZE),
				 ULONG_MAX);
	}
	return page_reporting_flush(nr_pages, first) ?: len;
}

static struct kobj_attribute device_attr = __ATTR_RO(device);
static struct kobj_attribute order_attr = __ATTR_RO(order);
static struct kobj_attribute state_attr = __ATTR_RO(state);
static struct kobj_attribute report_age_ms_attr = __ATTR_RO(report_age_ms);
static struct kobj_attribute compact_attr = __ATTR_RO(compact);
static struct kobj_attribute flush_attr = __ATTR_RW(flush);

static struct attribute *page_reporting_attrs[] = {
	&device_attr.attr,
	&order_attr.attr,
	&state_attr.attr,
	&report_age_ms_attr.attr,
	&compact_attr.attr,
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
