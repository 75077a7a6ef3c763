/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM page_reporting

#if !defined(_TRACE_PAGE_REPORTING_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_PAGE_REPORTING_H

#include <linux/mmzone.h>
#include <linux/tracepoint.h>

/* Fields have basic C types, as bpftrace does not know u64 without BTF. */

/*
 * A pass was requested while none was requested or running. Emitted from an
 * irq_work, with no lock of the allocator held.
 */
TRACE_EVENT(page_reporting_request,

	TP_PROTO(unsigned int delay_ms),

	TP_ARGS(delay_ms),

	TP_STRUCT__entry(
		__field(unsigned int, delay_ms)
	),

	TP_fast_assign(
		__entry->delay_ms = delay_ms;
	),

	TP_printk("delay_ms=%u", __entry->delay_ms)
);

TRACE_EVENT(page_reporting_pass_begin,

	TP_PROTO(unsigned int order, bool flush),

	TP_ARGS(order, flush),

	TP_STRUCT__entry(
		__field(unsigned int, order)
		__field(bool, flush)
	),

	TP_fast_assign(
		__entry->order = order;
		__entry->flush = flush;
	),

	TP_printk("order=%d flush=%d", (int)__entry->order, __entry->flush)
);

/* What a pass did in one zone. skipped: the zone was short of memory. */
TRACE_EVENT(page_reporting_zone,

	TP_PROTO(const struct zone *zone, unsigned long blocks,
		 unsigned long pages, bool skipped, u64 duration_ns),

	TP_ARGS(zone, blocks, pages, skipped, duration_ns),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(int, zone)
		__field(unsigned long, blocks)
		__field(unsigned long, pages)
		__field(bool, skipped)
		__field(unsigned long long, duration_ns)
	),

	TP_fast_assign(
		__entry->nid = zone_to_nid((struct zone *)zone);
		__entry->zone = zone_idx(zone);
		__entry->blocks = blocks;
		__entry->pages = pages;
		__entry->skipped = skipped;
		__entry->duration_ns = duration_ns;
	),

	TP_printk("nid=%d zone=%d blocks=%lu pages=%lu skipped=%d duration_ns=%llu",
		  __entry->nid, __entry->zone, __entry->blocks, __entry->pages,
		  __entry->skipped, __entry->duration_ns)
);

/* One call of the driver, after it has returned. */
TRACE_EVENT(page_reporting_batch,

	TP_PROTO(const struct zone *zone, unsigned int nents,
		 unsigned long pages, int err, u64 duration_ns),

	TP_ARGS(zone, nents, pages, err, duration_ns),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(int, zone)
		__field(unsigned int, nents)
		__field(unsigned long, pages)
		__field(int, err)
		__field(unsigned long long, duration_ns)
	),

	TP_fast_assign(
		__entry->nid = zone_to_nid((struct zone *)zone);
		__entry->zone = zone_idx(zone);
		__entry->nents = nents;
		__entry->pages = pages;
		__entry->err = err;
		__entry->duration_ns = duration_ns;
	),

	TP_printk("nid=%d zone=%d nents=%u pages=%lu err=%d duration_ns=%llu",
		  __entry->nid, __entry->zone, __entry->nents, __entry->pages,
		  __entry->err, __entry->duration_ns)
);

/* blocks, pages: reported without error. err: the driver's last error, or 0. */
TRACE_EVENT(page_reporting_pass_end,

	TP_PROTO(unsigned long blocks, unsigned long pages, int err,
		 u64 duration_ns),

	TP_ARGS(blocks, pages, err, duration_ns),

	TP_STRUCT__entry(
		__field(unsigned long, blocks)
		__field(unsigned long, pages)
		__field(int, err)
		__field(unsigned long long, duration_ns)
	),

	TP_fast_assign(
		__entry->blocks = blocks;
		__entry->pages = pages;
		__entry->err = err;
		__entry->duration_ns = duration_ns;
	),

	TP_printk("blocks=%lu pages=%lu err=%d duration_ns=%llu",
		  __entry->blocks, __entry->pages, __entry->err,
		  __entry->duration_ns)
);

/*
 * A round that made whole blocks of the fragments of a zone. planned, emptied,
 * failed: pageblocks. moved: pages.
 */
TRACE_EVENT(page_reporting_compact,

	TP_PROTO(const struct zone *zone, unsigned long planned,
		 unsigned long emptied, unsigned long failed,
		 unsigned long moved, u64 duration_ms),

	TP_ARGS(zone, planned, emptied, failed, moved, duration_ms),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(int, zone)
		__field(unsigned long, planned)
		__field(unsigned long, emptied)
		__field(unsigned long, failed)
		__field(unsigned long, moved)
		__field(unsigned long long, duration_ms)
	),

	TP_fast_assign(
		__entry->nid = zone_to_nid((struct zone *)zone);
		__entry->zone = zone_idx(zone);
		__entry->planned = planned;
		__entry->emptied = emptied;
		__entry->failed = failed;
		__entry->moved = moved;
		__entry->duration_ms = duration_ms;
	),

	TP_printk("nid=%d zone=%d planned=%lu emptied=%lu failed=%lu moved=%lu duration_ms=%llu",
		  __entry->nid, __entry->zone, __entry->planned,
		  __entry->emptied, __entry->failed, __entry->moved,
		  __entry->duration_ms)
);

/* Reported pages were allocated. Emitted under zone->lock. */
TRACE_EVENT(page_reporting_refault,

	TP_PROTO(const struct zone *zone, unsigned long pfn, unsigned long pages),

	TP_ARGS(zone, pfn, pages),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(int, zone)
		__field(unsigned long, pfn)
		__field(unsigned long, pages)
	),

	TP_fast_assign(
		__entry->nid = zone_to_nid((struct zone *)zone);
		__entry->zone = zone_idx(zone);
		__entry->pfn = pfn;
		__entry->pages = pages;
	),

	TP_printk("nid=%d zone=%d pfn=0x%lx pages=%lu", __entry->nid,
		  __entry->zone, __entry->pfn, __entry->pages)
);

#endif /* _TRACE_PAGE_REPORTING_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
