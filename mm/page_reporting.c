// SPDX-License-Identifier: GPL-2.0
/* Free page reporting: the device, and when a pass over free memory runs. */

/**
 * DOC: model
 *
 * The engine takes large free blocks from the buddy allocator and passes them
 * to a device driver, whose hypervisor drops the memory that backs them. They
 * go back marked PG_reported and need not be reported again. Allocating one
 * clears the mark and costs a refault: the host has to back the block again.
 *
 * A pass over all zones reports as much as a budget allows. It runs from a
 * workqueue some time after a large block was freed: a burst of frees costs one
 * pass, and memory that is soon reused is not reported. Each file answers:
 *
 * ===========================  ==============================================
 * mm/page_reporting.c          when does a pass run?
 * mm/page_reporting_walk.c     what does a pass do to a block?
 * mm/page_reporting_mark.c     which blocks are reported, and what is counted?
 * mm/page_reporting_budget.c   how much may a pass take from each list?
 * mm/page_reporting_pacing.c   how much free memory is idle, and when should a
 *                              pass look again?
 * mm/page_reporting_compact.c  how do fragments become whole blocks?
 * mm/page_reporting_plan.c     which pageblocks are worth emptying, and when?
 * mm/page_reporting_flush.c    how is all free memory reported at once?
 * mm/page_reporting_params.c   what can the user set and read?
 * mm/page_reporting_debug.c    do the free lists, marks and counters agree?
 * ===========================  ==============================================
 */

/**
 * DOC: states
 *
 * A device's @state says if a pass is requested or running; @work runs it:
 *
 * =========  =======================  =========  ==============================
 * state      event                    new state  the work is
 * =========  =======================  =========  ==============================
 * IDLE       request                  REQUESTED  due within the delay
 * REQUESTED  request                  REQUESTED  as before
 * any        the work starts          ACTIVE     running
 * ACTIVE     request                  REQUESTED  queued when the pass ends
 * ACTIVE     pass ends, nothing left  IDLE       not queued
 * ACTIVE     pass ends, rest waits    IDLE       due when the wait is over
 * ACTIVE     pass ends, more left     REQUESTED  due after the delay
 * any        pass ends, error         REQUESTED  due after a growing back-off
 * REQUESTED  pass ends, no error      REQUESTED  due after the delay
 * any        flush                    unchanged  due at once
 * =========  =======================  =========  ==============================
 *
 * No free is missed: the pass stores ACTIVE, takes zone->lock and reads the
 * counts of free blocks. A free changes the counts and then reads @state, under
 * the same lock. So either the pass sees the block, or the free turns ACTIVE
 * into REQUESTED, which the end of the pass notices. A new order and the end of
 * a sleep are also stored before that. The delay -1 is 17/16 B, see "pacing".
 *
 * Memory may be freed in any context, including NMI, and with any lock held. So
 * a request only changes @state and raises an irq_work, which queues the work.
 */

/**
 * DOC: retries
 *
 * No free announces the blocks that a pass left behind. So each reason to leave
 * a block has its own retry:
 *
 * - The driver returned an error. The pass ends, as the next batch would
 *   probably fail too. The next pass waits for the delay, at least 100 ms, then
 *   twice as long each time, up to a minute, whatever is requested. A pass that
 *   only succeeds ends this; success before an error takes back one doubling.
 *   With each, batches are a quarter as long, down to one block; each success
 *   doubles them. The host may refuse some blocks for ever. So a failed batch
 *   goes to its lists' tails, and a refused batch of one does not end the pass.
 * - A zone was short of memory, or a block was on a list of MIGRATE_ISOLATE.
 *   The next pass follows a free, the end of the isolation, or a wait that
 *   grows as after errors. With pacing, the wait for isolated blocks is at most
 *   19/16 of the break-even time B, see "pacing". A zone that is smaller than
 *   its low watermark and a full batch together can never be reported, and is
 *   not retried.
 * - The budget was used up, or a merge or a split added a block to a list that
 *   was already walked. The next pass follows after the delay or, with pacing,
 *   after the wait that pacing computes.
 * - The system goes to sleep. As the workqueue is freezable, the freezer waits
 *   for the pass, which ends before its next report; the resume requests
 *   another. The kernel that loads a hibernation image uses pages that are
 *   marked in it, and the host backs them, so the resume clears all marks.
 *   Suspend to RAM changes nothing on the host.
 */

/**
 * DOC: locks
 *
 * ====================  =======================================================
 * page_reporting_mutex  registration and unregistration, from start to end
 * RCU                   page_reporting_dev, for requests
 * the request's lock    the request of a caller of page_reporting_serve()
 * zone->lock            free lists, their marks, and the state of the zone
 * none                  what only the work (never two at a time) writes, or
 *                       registration, before there is work
 * ====================  =======================================================
 *
 * Order: page_reporting_mutex or the flush's mutex, the lock of a per-CPU list,
 * zone->lock. Requests are made under zone->lock and take no lock. The driver is
 * called, and pages are moved, with no lock held.
 */

#define pr_fmt(fmt) "page_reporting: " fmt

#include <kunit/static_stub.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/suspend.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <trace/events/page_reporting.h>

#include "page_reporting_internal.h"

#define PAGE_REPORTING_READY_MS		2000U	/* after registration */
/* Limits of the wait after failures: a call a minute costs next to nothing. */
#define PAGE_REPORTING_RETRY_MIN_MS	100U
#define PAGE_REPORTING_RETRY_MAX_MS	(60U * 1000)
#define PAGE_REPORTING_DOUBLINGS	10U	/* 100 ms << 10 exceeds a minute */

/* A caller of page_reporting_serve() waits for memory to be reported. */
struct page_reporting_request {
	struct completion done;
	/* A pass serves this one, not an earlier one at the same address. */
	bool joined;
	unsigned long wanted;	/* in pages */
	enum page_reporting_first first;
	struct page_reporting_flushed served;
};

DEFINE_STATIC_KEY_FALSE(page_reporting_enabled);

static DEFINE_MUTEX(page_reporting_mutex);
static struct page_reporting_dev_info __rcu *page_reporting_dev;
static bool page_reporting_asleep;	/* from PM_*_PREPARE to PM_POST_* */
static u64 page_reporting_ready_at;	/* no report before, in jiffies */

/* Steps by which the wait after an error has grown, and that after a deferral. */
static unsigned int page_reporting_errors;
static unsigned int page_reporting_retries;

/* Did the latest pass have an error? Then the next one waits for longer. */
static bool page_reporting_failed;

static DEFINE_SPINLOCK(page_reporting_request_lock);
static struct page_reporting_request *page_reporting_request;	/* or NULL */

/* The orders asked for by the user and by the device, and the latest in use. */
static unsigned int page_reporting_user_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_dev_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_last_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

unsigned int page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
EXPORT_SYMBOL_GPL(page_reporting_order);

unsigned int page_reporting_notify_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

static unsigned int page_reporting_delay_ms = PAGE_REPORTING_ADAPTIVE;

/* The wait after a failure that was preceded by @before others in a row. */
static unsigned int page_reporting_backoff(unsigned int delay_ms,
					   unsigned int before)
{
	unsigned int first = max(delay_ms, PAGE_REPORTING_RETRY_MIN_MS);
	unsigned int most = max(first, PAGE_REPORTING_RETRY_MAX_MS);

	return min(first << min(before, PAGE_REPORTING_DOUBLINGS), most);
}

static bool page_reporting_is_adaptive(void)
{
	return READ_ONCE(page_reporting_delay_ms) == PAGE_REPORTING_ADAPTIVE;
}

static unsigned int page_reporting_next_delay(void)
{
	if (page_reporting_is_adaptive())
		return page_reporting_pacing_soonest_ms();
	return READ_ONCE(page_reporting_delay_ms);
}

static void page_reporting_queue_at(struct page_reporting_dev_info *prdev,
				    unsigned int delay_ms)
{
	u64 now = get_jiffies_64();
	u64 at = max(now + msecs_to_jiffies(delay_ms), page_reporting_ready_at);

	/* Not 0, which sets no timer: page_reporting_queue() reads it. */
	mod_delayed_work(system_freezable_wq, &prdev->work, max(at - now, 1ULL));
}

/* Makes a pass run in @delay_ms, unless one is due sooner already. */
static void page_reporting_queue(struct page_reporting_dev_info *prdev,
				 unsigned int delay_ms)
{
	unsigned long expires = jiffies + msecs_to_jiffies(delay_ms);

	if (!delayed_work_pending(&prdev->work) ||
	    time_after(READ_ONCE(prdev->work.timer.expires), expires))
		page_reporting_queue_at(prdev, delay_ms);
	/* Pairs with page_reporting_serve(): this may have delayed its pass. */
	smp_mb();
	if (READ_ONCE(page_reporting_request))
		page_reporting_queue_at(prdev, 0);
}

/* With interrupts off; on PREEMPT_RT, in a kthread with interrupts on. */
static void page_reporting_kick(struct irq_work *work)
{
	struct page_reporting_dev_info *prdev;
	unsigned int delay_ms = page_reporting_next_delay();

	/* Pairs with the grace period in page_reporting_unregister(). */
	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (!prdev)
		return;
	page_reporting_queue(prdev, delay_ms);
	trace_page_reporting_request(delay_ms);
}

static DEFINE_IRQ_WORK(page_reporting_kick_work, page_reporting_kick);

static void __page_reporting_request(struct page_reporting_dev_info *prdev)
{
	/* Frees come in bursts: do not write a shared cache line for each. */
	if (atomic_read(&prdev->state) == PAGE_REPORTING_REQUESTED)
		return;
	/* ACTIVE: the pass sees it when it ends. */
	if (atomic_xchg(&prdev->state, PAGE_REPORTING_REQUESTED) ==
	    PAGE_REPORTING_IDLE)
		irq_work_queue(&page_reporting_kick_work);
}

void __page_reporting_notify(void)
{
	struct page_reporting_dev_info *prdev;

	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (prdev)
		__page_reporting_request(prdev);
}

/* Starts a pass without delay. If one is running, another one follows it. */
static int page_reporting_run_now(void)
{
	struct page_reporting_dev_info *prdev;

	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (!prdev)
		return -ENODEV;
	page_reporting_queue_at(prdev, 0);
	return 0;
}

/* A pass starts to serve the current request. Returns how much that wants. */
static unsigned long page_reporting_join(struct page_reporting_pass *pass)
{
	unsigned long wanted = 0;

	spin_lock(&page_reporting_request_lock);
	if (page_reporting_request) {
		page_reporting_request->joined = true;
		wanted = page_reporting_request->wanted;
		pass->flush = true;
		pass->first = page_reporting_request->first;
	}
	spin_unlock(&page_reporting_request_lock);
	return wanted;
}

/* Tells the request what the pass did. False if nobody waits for it anymore. */
static bool page_reporting_tell(const struct page_reporting_pass *pass, bool last)
{
	bool waits;

	spin_lock(&page_reporting_request_lock);
	waits = page_reporting_request && page_reporting_request->joined;
	if (waits)
		page_reporting_request->served = (struct page_reporting_flushed) {
			.nr_pages = pass->pages,
			.moved = pass->moved,
			/* After a deferral, merged blocks were not checked. */
			.more = pass->more || (pass->put_off && pass->pages),
			.err = pass->stopped ?: pass->err,
		};
	if (waits && last) {
		complete(&page_reporting_request->done);
		page_reporting_request = NULL;
	}
	spin_unlock(&page_reporting_request_lock);
	return waits;
}

/* No pass will follow: fails the current request. */
static void page_reporting_give_up(int err)
{
	spin_lock(&page_reporting_request_lock);
	if (page_reporting_request) {
		page_reporting_request->served.err = err;
		complete(&page_reporting_request->done);
		page_reporting_request = NULL;
	}
	spin_unlock(&page_reporting_request_lock);
}

/**
 * page_reporting_serve - start a pass over free memory now and wait for it
 * @wanted: how much to report, in pages
 * @first: what is done before the pass
 *
 * A signal ends the wait at once. The pass then ends before its next report.
 *
 * Context: Process context, one caller at a time. Sleeps until the pass ends.
 * Return: what the pass did. For its error, see page_reporting_flush().
 */
struct page_reporting_flushed page_reporting_serve(unsigned long wanted,
						   enum page_reporting_first first)
{
	struct page_reporting_request request = {
		.wanted = wanted,
		.first = first,
	};
	int err;

	init_completion(&request.done);
	spin_lock(&page_reporting_request_lock);
	page_reporting_request = &request;
	spin_unlock(&page_reporting_request_lock);

	err = page_reporting_run_now();
	if (!err)
		err = wait_for_completion_interruptible(&request.done);

	spin_lock(&page_reporting_request_lock);
	/* No pass has answered it: withdraw it. */
	if (page_reporting_request == &request) {
		page_reporting_request = NULL;
		request.served.err = err;
	}
	spin_unlock(&page_reporting_request_lock);
	return request.served;
}

/* While the system goes down, devices stop answering. */
static bool page_reporting_going_down(void)
{
	enum system_states now = READ_ONCE(system_state);

	KUNIT_STATIC_STUB_REDIRECT(page_reporting_going_down);
	return now >= SYSTEM_HALT && now <= SYSTEM_RESTART;
}

/* A negative errno that says why the pass has to end now, or 0. */
static int page_reporting_ended(struct page_reporting_pass *pass)
{
	/* Check the device first: unlike sleep, its removal is final. */
	if (rcu_access_pointer(page_reporting_dev) != pass->prdev)
		return -ENODEV;
	if (READ_ONCE(page_reporting_asleep) || page_reporting_going_down())
		return -EBUSY;
	return !pass->flush || page_reporting_tell(pass, false) ? 0 : -EINTR;
}

/* The same for moves after the walk, which also end if a request waits. */
static int page_reporting_moves_ended(struct page_reporting_pass *pass)
{
	return READ_ONCE(page_reporting_request) ? -EAGAIN :
						   page_reporting_ended(pass);
}

static unsigned int page_reporting_wanted_order(void)
{
	unsigned int user = READ_ONCE(page_reporting_user_order);

	if (user != PAGE_REPORTING_ORDER_UNSPECIFIED)
		return user;
	return READ_ONCE(page_reporting_dev_order);
}

/*
 * Drivers compare blocks with page_reporting_order: a change waits for the next
 * pass. What a driver writes stays until the user or the device asks anew.
 */
static unsigned int page_reporting_begin_order(void)
{
	unsigned int wanted = page_reporting_wanted_order();

	if (wanted != page_reporting_last_order) {
		WRITE_ONCE(page_reporting_last_order, wanted);
		WRITE_ONCE(page_reporting_order, wanted);
	}
	WRITE_ONCE(page_reporting_notify_order, READ_ONCE(page_reporting_order));
	return READ_ONCE(page_reporting_order);
}

static void page_reporting_ask_order(unsigned int order)
{
	WRITE_ONCE(page_reporting_dev_order, order);
	page_reporting_begin_order();
}

/*
 * Blocks in a full batch. With pages of more than 4 KiB, blocks larger than
 * @order fill it earlier, see page_reporting_fits().
 */
static unsigned int
page_reporting_capacity(const struct page_reporting_dev_info *prdev,
			unsigned int order)
{
	unsigned int most = clamp_t(unsigned int, PAGE_REPORTING_BATCH_PAGES >> order,
				    1, PAGE_REPORTING_CAPACITY);

	return prdev->capacity ? min(most, prdev->capacity) : most;
}

static void page_reporting_begin_pass(struct page_reporting_pass *pass)
{
	unsigned long wanted;
	unsigned int capacity;

	page_reporting_debug_begin_pass();
	/*
	 * A full barrier before the first zone->lock is taken, and before the
	 * order and page_reporting_asleep are read. Pairs with the zone->lock
	 * that a free holds, and with page_reporting_settings_changed(): see
	 * "states" above.
	 */
	atomic_xchg(&pass->prdev->state, PAGE_REPORTING_ACTIVE);
	pass->order = page_reporting_begin_order();
	capacity = page_reporting_capacity(pass->prdev, pass->order);
	wanted = page_reporting_join(pass);
	pass->budget = (struct page_reporting_budget) {
		.ops = wanted ? &page_reporting_flush_ops :
				&page_reporting_fixed_ops,
		.capacity = capacity,
		.wanted = wanted,
		.wait_ms = PAGE_REPORTING_NEVER,
	};
	if (!wanted && page_reporting_is_adaptive())
		page_reporting_budget_pace(&pass->budget);
	pass->limit = max(capacity >> min(2 * page_reporting_errors, 31U), 1U);
	trace_page_reporting_pass_begin(pass->order, wanted);
}

static void page_reporting_note_errors(const struct page_reporting_pass *pass)
{
	unsigned int errors = page_reporting_errors;

	if (pass->err && !errors && !page_reporting_going_down())
		pr_warn_ratelimited("%ps: a report failed with error %d, will retry\n",
				    pass->prdev->report, pass->err);
	if (pass->err && pass->blocks)
		errors = max(errors, 2U) - 1;
	else if (pass->err)
		errors = min(errors, PAGE_REPORTING_DOUBLINGS) + 1;
	else if (pass->blocks)
		errors = 0;
	page_reporting_errors = errors;
	WRITE_ONCE(page_reporting_failed, pass->err);
}

/* When the next pass is due if nothing requests one. */
static unsigned int page_reporting_wait_after(const struct page_reporting_pass *pass)
{
	unsigned int delay_ms = page_reporting_next_delay(), wait_ms, budget_ms;

	if (pass->err)
		return page_reporting_backoff(delay_ms, page_reporting_errors - 1);
	/* The budget of a flush does not compute when the rest is due. */
	if (pass->more || pass->flush)
		return delay_ms;
	if (!pass->put_off)
		page_reporting_retries = 0;
	wait_ms = page_reporting_backoff(delay_ms, page_reporting_retries);
	budget_ms = pass->budget.wait_ms;
	/* A fixed delay that was set during the pass is not undercut. */
	if (!page_reporting_is_adaptive())
		budget_ms = max(budget_ms, delay_ms);
	if (!pass->put_off || budget_ms < wait_ms)
		return budget_ms;
	page_reporting_retries++;
	return wait_ms;
}

/* When the next pass comes if nothing requests one from now on. */
static unsigned int page_reporting_comes_in(const struct page_reporting_pass *pass,
					    unsigned int wait_ms)
{
	if (pass->err || pass->more ||
	    atomic_read(&pass->prdev->state) == PAGE_REPORTING_ACTIVE)
		return wait_ms;
	return min(wait_ms, page_reporting_next_delay());
}

static void page_reporting_end_pass(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	unsigned int wait_ms;

	page_reporting_debug_end_pass();
	/*
	 * The delay is read in this section. Pairs with synchronize_rcu() in
	 * page_reporting_set_delay().
	 */
	guard(rcu)();
	count_vm_event(PAGE_REPORTING_PASS);
	page_reporting_note_errors(pass);
	wait_ms = page_reporting_wait_after(pass);
	page_reporting_budget_end(&pass->budget,
				  page_reporting_comes_in(pass, wait_ms),
				  pass->err || pass->flush);
	/* Another request may have come while the pass was running. */
	if (!page_reporting_tell(pass, true) && READ_ONCE(page_reporting_request))
		page_reporting_run_now();

	if (wait_ms != PAGE_REPORTING_NEVER)
		page_reporting_queue(prdev, wait_ms);
	/* In REQUESTED, further requests do not queue the work sooner. */
	if (pass->err || pass->more)
		atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	else if (atomic_cmpxchg(&prdev->state, PAGE_REPORTING_ACTIVE,
				PAGE_REPORTING_IDLE) != PAGE_REPORTING_ACTIVE)
		page_reporting_queue(prdev, page_reporting_next_delay());
}

static void page_reporting_work(struct work_struct *work)
{
	struct page_reporting_pass pass = {
		.prdev = container_of(work, struct page_reporting_dev_info,
				      work.work),
		.ended = page_reporting_ended,
	};
	u64 begin_ns = ktime_get_ns();

	page_reporting_begin_pass(&pass);
	if (pass.first == PAGE_REPORTING_COMPACT_FIRST)
		page_reporting_compact_now(&pass);
	page_reporting_walk(&pass);
	trace_page_reporting_pass_end(pass.blocks, pass.pages, pass.err,
				      ktime_get_ns() - begin_ns);
	/*
	 * Do not move pages while somebody waits for a flush, if the device
	 * refuses blocks, or with a fixed delay, which no pass may undercut.
	 */
	pass.ended = page_reporting_moves_ended;
	if (!pass.flush && page_reporting_is_adaptive() && !pass.err)
		page_reporting_compact(&pass);
	page_reporting_end_pass(&pass);
}

static void page_reporting_forget(void)
{
	/* Clear the marks first: with the key off, allocations clear none. */
	page_reporting_sweep(NR_PAGE_ORDERS);
	static_branch_disable(&page_reporting_enabled);
	page_reporting_put_zones();
	page_reporting_ask_order(PAGE_REPORTING_ORDER_UNSPECIFIED);
}

/**
 * page_reporting_register - start to report free memory to a device
 * @prdev: the device
 *
 * The first pass runs after the delay, but nothing is reported in the first two
 * seconds, not even by a flush. After that, the device has to take reports.
 *
 * Context: Process context. May sleep.
 * Return: 0, or -EBUSY while any device is registered or the system goes down.
 */
int page_reporting_register(struct page_reporting_dev_info *prdev)
{
	/* The mutex's holder may be unregistering, and wait for this report. */
	if (page_reporting_in_report())
		return -EBUSY;

	guard(mutex)(&page_reporting_mutex);

	if (rcu_access_pointer(page_reporting_dev) || page_reporting_going_down())
		return -EBUSY;

	page_reporting_errors = 0;
	page_reporting_failed = false;
	page_reporting_retries = 0;
	page_reporting_ready_at = get_jiffies_64() +
				  msecs_to_jiffies(PAGE_REPORTING_READY_MS);
	page_reporting_ask_order(prdev->order <= MAX_PAGE_ORDER ?
				 prdev->order : pageblock_order);
	INIT_DELAYED_WORK(&prdev->work, page_reporting_work);
	page_reporting_budget_reset();
	page_reporting_compact_reset();

	/* Enable the key first: while it is off, allocations clear no mark. */
	static_branch_enable(&page_reporting_enabled);

	/* Request the first pass here, before a free can request it. */
	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	/* The delay is read in this section, see page_reporting_set_delay(). */
	guard(rcu)();
	rcu_assign_pointer(page_reporting_dev, prdev);
	/* Pairs with page_reporting_set_delay(): one of us sees the other. */
	smp_mb();
	/* A flush that has found the device meanwhile keeps its pass. */
	page_reporting_queue(prdev, page_reporting_next_delay());
	return 0;
}
EXPORT_SYMBOL_GPL(page_reporting_register);

static void page_reporting_refuse(void *caller)
{
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_refuse, caller);
	WARN_ONCE(1, "page_reporting: %pS unregisters a device from inside of its report(): refused\n",
		  caller);
}

/**
 * page_reporting_unregister - stop reporting free memory to a device
 * @prdev: the device; nothing happens if another or no device is registered
 *
 * When this returns, @prdev->report is not running and will not run again, and
 * all blocks are back on their free lists, none of them marked as reported.
 * Waits for a report in progress, and so for the hypervisor. While the system
 * goes down, the marks are not cleared, as that takes time.
 *
 * A call from inside @prdev->report, which would wait for itself, is refused
 * with a warning. Return an error there, and unregister from a work item.
 *
 * Context: Process context, but not from inside @prdev->report. May sleep.
 */
void page_reporting_unregister(struct page_reporting_dev_info *prdev)
{
	if (page_reporting_in_report()) {
		page_reporting_refuse(__builtin_return_address(0));
		return;
	}

	guard(mutex)(&page_reporting_mutex);

	if (rcu_access_pointer(page_reporting_dev) != prdev)
		return;

	/* Pairs with __page_reporting_notify(): no request comes after this. */
	RCU_INIT_POINTER(page_reporting_dev, NULL);
	synchronize_rcu();
	irq_work_sync(&page_reporting_kick_work);
	cancel_delayed_work_sync(&prdev->work);
	page_reporting_give_up(-ENODEV);
	page_reporting_assert(!delayed_work_pending(&prdev->work));

	/* Going down, do not sweep: it is slow, and allocations clear marks. */
	if (!page_reporting_going_down())
		page_reporting_forget();
}
EXPORT_SYMBOL_GPL(page_reporting_unregister);

/* A setting or the end of a sleep was stored, which allows more than before. */
void page_reporting_settings_changed(void)
{
	/* Pairs with page_reporting_begin_pass(): see "states" above. */
	smp_mb();
	__page_reporting_notify();
}

static int page_reporting_pm_notify(struct notifier_block *nb,
				    unsigned long event, void *unused)
{
	/* No mutex: its holder may wait for the host. Two sweeps do no harm. */
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(page_reporting_asleep, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		if (static_key_enabled(&page_reporting_enabled))
			page_reporting_sweep(NR_PAGE_ORDERS);
		fallthrough;
	case PM_POST_SUSPEND:
		WRITE_ONCE(page_reporting_asleep, false);
		/* For what was freed, and for the pass that was cut short. */
		page_reporting_settings_changed();
		break;
	}
	return NOTIFY_DONE;
}

static int __init page_reporting_init(void)
{
	pm_notifier(page_reporting_pm_notify, 0);
	return 0;
}
subsys_initcall(page_reporting_init);

/*
 * The user's order. With PAGE_REPORTING_ORDER_UNSPECIFIED, the device decides.
 * The device's own order means the same: a script that reads the order, changes
 * it and restores it does not want to override the device from then on.
 */
void page_reporting_set_order(unsigned int order)
{
	if (order == READ_ONCE(page_reporting_dev_order))
		order = PAGE_REPORTING_ORDER_UNSPECIFIED;
	WRITE_ONCE(page_reporting_user_order, order);
	/* A lower order makes free memory eligible that no free announces. */
	page_reporting_settings_changed();
}

/* Makes a queued pass follow a new delay. */
static void page_reporting_requeue(struct page_reporting_dev_info *prdev)
{
	if (!delayed_work_pending(&prdev->work))
		return;
	/* The wait after an error stays, up to a minute. */
	if (READ_ONCE(page_reporting_failed))
		page_reporting_queue(prdev, PAGE_REPORTING_RETRY_MAX_MS);
	/* Again: a pass without an error may have queued the next one. */
	if (!READ_ONCE(page_reporting_failed))
		page_reporting_queue_at(prdev, page_reporting_next_delay());
}

/* In ms, or PAGE_REPORTING_ADAPTIVE. Also moves a queued pass. May sleep. */
void page_reporting_set_delay(unsigned int delay_ms)
{
	struct page_reporting_dev_info *prdev;

	/* Writing the same value again and again must not delay passes. */
	if (delay_ms == page_reporting_delay_ms)
		return;
	WRITE_ONCE(page_reporting_delay_ms, delay_ms);
	/* Pairs with page_reporting_register(). */
	smp_mb();
	if (!rcu_access_pointer(page_reporting_dev))
		return;
	/* After this, all code that read the old delay has queued the work. */
	synchronize_rcu();
	irq_work_sync(&page_reporting_kick_work);
	scoped_guard(rcu) {
		prdev = rcu_dereference(page_reporting_dev);
		if (prdev)
			page_reporting_requeue(prdev);
	}
	/* A flush that started meanwhile still gets its pass at once. */
	if (READ_ONCE(page_reporting_request))
		page_reporting_run_now();
	/* The new delay's budget may allow what the old one did not yet. */
	__page_reporting_notify();
}

/* A copy for display, in any context. The device may be gone already. */
struct page_reporting_status page_reporting_get_status(void)
{
	unsigned int wanted = page_reporting_wanted_order();
	struct page_reporting_status status = {
		.order = wanted == READ_ONCE(page_reporting_last_order) ?
			 READ_ONCE(page_reporting_order) : wanted,
		.delay_ms = READ_ONCE(page_reporting_delay_ms),
	};
	struct page_reporting_dev_info *prdev;

	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (prdev) {
		status.report = prdev->report;
		status.state = atomic_read(&prdev->state);
	}
	return status;
}

#ifdef CONFIG_PAGE_REPORTING_KUNIT_TEST
#include "tests/page_reporting_engine_kunit.h"
#endif
