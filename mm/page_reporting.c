// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the device, and when a pass over free memory runs.
 */

/**
 * DOC: model
 *
 * The host backs a guest's memory when the guest first touches it, and is never
 * told when the guest no longer needs it. So the engine takes large free blocks
 * from the buddy allocator, passes them to a device driver, whose hypervisor
 * drops the memory that backs them, and puts them back marked PG_reported. A
 * marked block takes no memory on the host and need not be reported again.
 * Allocating it clears the mark and costs one refault: the host has to back the
 * block again.
 *
 * The work is done in passes. A pass goes over all zones once, and a budget
 * limits how much it reports. It runs from a workqueue some time after a large
 * block was freed, so that a burst of frees costs a single pass, and memory
 * that is soon reused is not reported. Each question is answered in one file:
 *
 * ==========================  ==============================================
 * mm/page_reporting.c         when does a pass run?
 * mm/page_reporting_walk.c    what does a pass do to a block?
 * mm/page_reporting_mark.c    which blocks are reported, and what is counted?
 * mm/page_reporting_budget.c  how much may a pass take from each list?
 * mm/page_reporting_pacing.c  how much free memory is idle, and when should a
 *                             pass look again?
 * mm/page_reporting_flush.c   how is all free memory reported at once?
 * mm/page_reporting_params.c  what can the user set and read?
 * mm/page_reporting_debug.c   do the free lists, marks and counters agree?
 * ==========================  ==============================================
 */

/**
 * DOC: states
 *
 * The device's @state says whether a pass is requested or running. The device
 * has one work item, @work, which is queued for the time when the next pass is
 * due:
 *
 * =========  ==========================  =========  ==========================
 * state      event                       new state  the work
 * =========  ==========================  =========  ==========================
 * IDLE       request                     REQUESTED  is due after the delay, or
 *                                                   sooner if it already was
 * REQUESTED  request                     REQUESTED  does not change; the
 *                                                   request costs one read
 * any        the work starts             ACTIVE     runs the pass
 * ACTIVE     request                     REQUESTED  sees the request when the
 *                                                   pass ends
 * ACTIVE     pass ends, nothing is left  IDLE       is not queued
 * ACTIVE     pass ends, the rest has to  IDLE       is due when pacing or the
 *            wait                                   back-off says
 * ACTIVE     pass ends, there is more    REQUESTED  is due after the delay
 * ACTIVE     pass ends with an error     REQUESTED  is due after a back-off
 *                                                   that grows
 * REQUESTED  pass ends (there was a      REQUESTED  is due after the delay
 *            request meanwhile)
 * any        a flush                     unchanged  is due at once
 * =========  ==========================  =========  ==========================
 *
 * A block that is freed too late for the walk to see it is not lost. The walk
 * stores ACTIVE, takes zone->lock, and reads the zone's counts of free blocks.
 * The free changes these counts and then reads @state, both under the same
 * lock. So either the walk sees the block, or the free finds ACTIVE and turns
 * it into REQUESTED, which the compare-and-exchange at the end of the pass
 * notices. A change of page_reporting_order takes no such lock. Its barrier
 * pairs with the one in page_reporting_begin_pass().
 *
 * Memory may be freed in any context, including NMI, and with any lock held. So
 * a request only changes @state and raises an irq_work, which queues the work.
 */

/**
 * DOC: retries
 *
 * No free announces the blocks that a pass had to leave behind. So each reason
 * for leaving a block has its own retry:
 *
 * - The driver returned an error. The pass ends, as the next batch would
 *   probably fail too, and the work is queued again: after the normal delay
 *   first, then after twice as long each time, up to a minute. Requests do not
 *   shorten this wait. A pass that reports something without an error ends the
 *   series, and a pass that reported something before its error takes the wait
 *   back by one step. The first error of a series is logged. The host may
 *   refuse some blocks for ever, and these must not keep others from being
 *   reported. So the blocks of the failed batch go to the tails of their lists.
 *   With each step, the batches of the next pass are a quarter as long, down to
 *   one block; each success doubles them. Once they are down to one block, a
 *   refusal does not end the pass, which goes on with the next list.
 * - A zone was short of memory, or a block was on a list of MIGRATE_ISOLATE,
 *   which it leaves without a notification. Only this memory is deferred: the
 *   next pass comes after the delay if something is freed. Otherwise, with a
 *   fixed delay, it comes later each time, as after errors. With the default,
 *   adaptive delay, the back-off for a short zone grows in the same way, but
 *   pacing has a pass run at least every 10/8 B while a block stays isolated.
 *   A zone with fewer pages than its low watermark and a full batch together
 *   can never be reported, and is not retried.
 * - The budget was used up, or a block was added to a list after the pass had
 *   walked it, because it merged while it was put back or because an allocation
 *   split it. The next pass follows after the normal delay. It either finds
 *   something to report or is the last one.
 * - The system goes to sleep. The pass ends, and the resume requests another.
 *
 * A pass allocates no memory, except for the state of a zone in which no pass
 * has been before.
 */

/**
 * DOC: sleep
 *
 * The workqueue is freezable, and freezing the system waits for a running pass.
 * From the notification that the system is about to sleep on, a running pass
 * ends before its next report, and a new one ends before its first.
 *
 * After hibernation the host backs other pages: the kernel that loaded the
 * image has used pages that are free and reported according to the image. So
 * all marks are cleared before the first pass. Suspend to RAM changes nothing
 * on the host.
 */

/**
 * DOC: locks
 *
 * ======================  ====================================================
 * lock                    covers
 * ======================  ====================================================
 * page_reporting_mutex    registration and unregistration, from start to end
 * RCU                     page_reporting_dev for code that only requests a
 *                         pass; unregistration clears it and waits for a grace
 *                         period before it cancels the work
 * the request's lock      the request that a caller of page_reporting_serve()
 *                         waits for
 * the flush's mutex       one flush at a time: page_reporting_flush.c
 * zone->lock              free lists, PG_reported of the blocks on them, and
 *                         the state of the zone: page_reporting_mark.c
 * none                    the batch, the CPU time that pacing allows, the order
 *                         in effect, and the counts of errors and retries. They
 *                         are written by the work item, which never runs twice
 *                         at a time, and by registration and unregistration
 *                         while there is no work item.
 *                         page_reporting_set_delay() reads the count of errors
 * ======================  ====================================================
 *
 * Order: page_reporting_mutex, then the memory hotplug lock, then zone->lock;
 * the flush's mutex, then the locks of draining the per-CPU lists. Requests
 * are made under zone->lock and take no lock. The driver is called with no lock
 * held.
 */

#define pr_fmt(fmt) "page_reporting: " fmt

#include <kunit/static_stub.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/page_reporting.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/suspend.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <trace/events/page_reporting.h>

#include "page_reporting.h"
#include "page_reporting_internal.h"

/* Time that drivers get after registration to make their device live. */
#define PAGE_REPORTING_READY_MS		2000U

/*
 * The waits after failures grow from the normal delay to a minute: a host that
 * is being upgraded is back by then, and one call a minute costs next to
 * nothing. They are never shorter than PAGE_REPORTING_RETRY_MIN_MS, even if the
 * user's delay is.
 */
#define PAGE_REPORTING_RETRY_MIN_MS	100U
#define PAGE_REPORTING_RETRY_MAX_MS	(60U * 1000)

/* A batch of more than one block takes no more than this off the free lists. */
#define PAGE_REPORTING_BATCH_BYTES	SZ_128M

/**
 * struct page_reporting_request - a caller waits for memory to be reported
 * @done: completed when the pass has ended
 * @ticket: distinguishes this request from an earlier one at the same address
 * @wanted: how much to report, in pages
 * @served: what has been done so far
 */
struct page_reporting_request {
	struct completion done;
	unsigned long ticket;
	unsigned long wanted;
	struct page_reporting_served served;
};

DEFINE_STATIC_KEY_FALSE(page_reporting_enabled);

static DEFINE_MUTEX(page_reporting_mutex);
static struct page_reporting_dev_info __rcu *page_reporting_dev;

/* True from the announcement of a sleep until the resume is announced. */
static bool page_reporting_asleep;

/* No report before this time, in jiffies. */
static u64 page_reporting_ready_at;

/*
 * Length of the current series of passes with an error, and of passes that
 * deferred something.
 */
static unsigned int page_reporting_errors;
static unsigned int page_reporting_retries;

/* The request that is not answered yet, or NULL, and the latest ticket. */
static DEFINE_SPINLOCK(page_reporting_request_lock);
static struct page_reporting_request *page_reporting_request;
static unsigned long page_reporting_ticket;
/* Ticket of the request that the running pass serves; 0 if it serves none. */
static unsigned long page_reporting_serves;

/* The orders asked for by the user and by the device, and the latest in use. */
static unsigned int page_reporting_user_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_dev_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_last_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

unsigned int page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
EXPORT_SYMBOL_GPL(page_reporting_order);

static unsigned int page_reporting_delay_ms = PAGE_REPORTING_ADAPTIVE;

/* The wait after a failure that was preceded by @before others in a row. */
static unsigned int page_reporting_backoff(unsigned int delay_ms,
					   unsigned int before)
{
	unsigned int first = max(delay_ms, PAGE_REPORTING_RETRY_MIN_MS);
	unsigned int most = max(first, PAGE_REPORTING_RETRY_MAX_MS);

	/*
	 * Ten doublings are enough to take 100 ms past a minute, and do not
	 * overflow with an hour, the longest delay.
	 */
	return min(first << min(before, 10U), most);
}

static bool page_reporting_is_adaptive(void)
{
	return READ_ONCE(page_reporting_delay_ms) == PAGE_REPORTING_ADAPTIVE;
}

/* The wait before a pass that a free requests. */
static unsigned int page_reporting_next_delay(void)
{
	if (page_reporting_is_adaptive())
		return page_reporting_pacing_soonest_ms();
	return READ_ONCE(page_reporting_delay_ms);
}

/* Jiffies until the device can take reports; 0 if it can now. */
static unsigned long page_reporting_until_ready(void)
{
	u64 now = get_jiffies_64();

	return now < page_reporting_ready_at ? page_reporting_ready_at - now : 0;
}

/* A freezable workqueue: no pass may run while devices are suspended. */
static void page_reporting_queue_at(struct page_reporting_dev_info *prdev,
				    unsigned int delay_ms)
{
	unsigned long delay = max3(msecs_to_jiffies(delay_ms),
				   page_reporting_until_ready(), 1UL);

	/* Not 0, which sets no timer: page_reporting_queue() reads it. */
	mod_delayed_work(system_freezable_wq, &prdev->work, delay);
}

/* Has a pass run in @delay_ms, unless it is due sooner already. */
static void page_reporting_queue(struct page_reporting_dev_info *prdev,
				 unsigned int delay_ms)
{
	unsigned long expires = jiffies + msecs_to_jiffies(delay_ms);

	if (!delayed_work_pending(&prdev->work) ||
	    time_after(READ_ONCE(prdev->work.timer.expires), expires))
		page_reporting_queue_at(prdev, delay_ms);
	/*
	 * Pairs with page_reporting_serve(), which may have queued the work for
	 * now before the call above queued it for later.
	 */
	smp_mb();
	if (READ_ONCE(page_reporting_request))
		page_reporting_queue_at(prdev, 0);
}

/*
 * From an irq_work, with interrupts off; on PREEMPT_RT in a kthread, with
 * interrupts on. The code that asked may hold any lock, this takes none of
 * them.
 */
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
	/* Frees come in bursts: not all may write to a shared cache line. */
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

	/* Pairs with the grace period in page_reporting_unregister(). */
	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (prdev)
		__page_reporting_request(prdev);
}

/* Starts a pass without delay. If one is running, another one follows it. */
static int page_reporting_run_now(void)
{
	struct page_reporting_dev_info *prdev;

	/* Pairs with the grace period in page_reporting_unregister(). */
	guard(rcu)();
	prdev = rcu_dereference(page_reporting_dev);
	if (!prdev)
		return -ENODEV;
	page_reporting_queue_at(prdev, 0);
	return 0;
}

/* A pass starts to serve the current request. Returns how much that wants. */
static unsigned long page_reporting_join(void)
{
	unsigned long wanted = 0;

	spin_lock(&page_reporting_request_lock);
	page_reporting_serves = 0;
	if (page_reporting_request) {
		page_reporting_serves = page_reporting_request->ticket;
		wanted = page_reporting_request->wanted;
	}
	spin_unlock(&page_reporting_request_lock);
	return wanted;
}

/* The request that the pass serves, or NULL if nobody waits for it any more. */
static struct page_reporting_request *__page_reporting_served(void)
{
	lockdep_assert_held(&page_reporting_request_lock);
	if (page_reporting_request &&
	    page_reporting_request->ticket == page_reporting_serves)
		return page_reporting_request;
	return NULL;
}

/* Updates the request's progress. False if nobody waits for it any more. */
static bool page_reporting_tell(const struct page_reporting_pass *pass)
{
	struct page_reporting_request *request;

	spin_lock(&page_reporting_request_lock);
	request = __page_reporting_served();
	if (request)
		request->served.nr_pages = pass->pages;
	spin_unlock(&page_reporting_request_lock);
	return request;
}

static void page_reporting_answer(const struct page_reporting_pass *pass)
{
	struct page_reporting_request *request;
	bool waits;

	spin_lock(&page_reporting_request_lock);
	request = __page_reporting_served();
	if (request) {
		request->served = (struct page_reporting_served) {
			.nr_pages = pass->pages,
			/*
			 * The check for blocks that merged is skipped in zones
			 * in which something was deferred.
			 */
			.more = pass->more || (pass->put_off && pass->pages),
			.err = pass->stopped ?: pass->err,
		};
		page_reporting_request = NULL;
		complete(&request->done);
	}
	waits = page_reporting_request;
	spin_unlock(&page_reporting_request_lock);
	/* This request came while the pass was running. */
	if (waits)
		page_reporting_run_now();
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
 *
 * A signal ends the wait even while the hypervisor does not answer. The pass
 * then takes no further blocks.
 *
 * Context: Process context, one caller at a time. Sleeps until the pass ends.
 * Return: what the pass did. Its error is -ENODEV if there is no device or it
 * went away; -EBUSY if the system is about to sleep; -ERESTARTSYS if a signal
 * came; otherwise what the driver returned.
 */
struct page_reporting_served page_reporting_serve(unsigned long wanted)
{
	struct page_reporting_request request = { .wanted = wanted };
	int err;

	init_completion(&request.done);
	spin_lock(&page_reporting_request_lock);
	request.ticket = ++page_reporting_ticket;
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

/* A negative errno that says why the pass has to end now, or 0. */
static int page_reporting_ended(struct page_reporting_pass *pass)
{
	/* Check the device first: unlike sleep, its removal is final. */
	if (rcu_access_pointer(page_reporting_dev) != pass->prdev)
		return -ENODEV;
	if (READ_ONCE(page_reporting_asleep))
		return -EBUSY;
	return !page_reporting_serves || page_reporting_tell(pass) ? 0 : -EINTR;
}

static unsigned int page_reporting_wanted_order(void)
{
	unsigned int user = READ_ONCE(page_reporting_user_order);

	if (user != PAGE_REPORTING_ORDER_UNSPECIFIED)
		return user;
	return READ_ONCE(page_reporting_dev_order);
}

/*
 * Drivers compare the blocks that they get with page_reporting_order, so a
 * change takes effect at the start of the next pass. A driver may also write to
 * the variable: its value stays until the user or the device asks for another
 * order.
 */
static unsigned int page_reporting_begin_order(void)
{
	unsigned int wanted = page_reporting_wanted_order();

	if (wanted != page_reporting_last_order) {
		WRITE_ONCE(page_reporting_last_order, wanted);
		WRITE_ONCE(page_reporting_order, wanted);
	}
	return READ_ONCE(page_reporting_order);
}

/* A device was registered and asks for an order, or was unregistered. */
static void page_reporting_ask_order(unsigned int order)
{
	WRITE_ONCE(page_reporting_dev_order, order);
	page_reporting_begin_order();
}

/* Blocks in a full batch. */
static unsigned int
page_reporting_capacity(const struct page_reporting_dev_info *prdev,
			unsigned int order)
{
	unsigned int most = max(PAGE_REPORTING_BATCH_BYTES >> PAGE_SHIFT >> order,
				1UL);

	if (!prdev->capacity || prdev->capacity > PAGE_REPORTING_CAPACITY)
		return min(most, PAGE_REPORTING_CAPACITY);
	return min(most, prdev->capacity);
}

static void page_reporting_set_budget(struct page_reporting_pass *pass,
				      unsigned long wanted)
{
	unsigned int capacity = page_reporting_capacity(pass->prdev, pass->order);

	if (wanted)
		pass->budget = page_reporting_flush_budget(capacity, wanted);
	else if (page_reporting_is_adaptive())
		pass->budget = page_reporting_paced_budget(capacity);
	else
		pass->budget = page_reporting_fixed_budget(capacity);
	pass->limit = max(capacity >> min(2 * page_reporting_errors, 31U), 1U);
}

static void page_reporting_begin_pass(struct page_reporting_pass *pass)
{
	unsigned long wanted;

	page_reporting_debug_begin_pass();
	/*
	 * A full barrier before the first zone->lock is taken, and before the
	 * order and page_reporting_asleep are read. Pairs with the zone->lock
	 * that a free holds, with smp_mb() in page_reporting_set_order() and
	 * with smp_store_mb() in page_reporting_wake(): see "states" above.
	 */
	atomic_xchg(&pass->prdev->state, PAGE_REPORTING_ACTIVE);
	pass->order = page_reporting_begin_order();
	wanted = page_reporting_join();
	page_reporting_set_budget(pass, wanted);
	trace_page_reporting_pass_begin(pass->order, wanted);
}

/* Counts the errors in a row. Only the first of a series is logged. */
static void page_reporting_note_errors(const struct page_reporting_pass *pass)
{
	unsigned int errors = page_reporting_errors;

	if (pass->err && !errors)
		pr_warn_ratelimited("the device did not take a report (error %d), trying again\n",
				    pass->err);
	if (pass->err && pass->blocks)
		errors = max(errors, 2U) - 1;
	else if (pass->err)
		errors++;
	else if (pass->blocks)
		errors = 0;
	WRITE_ONCE(page_reporting_errors, errors);
}

/* When to run again if nothing is freed: after a back-off, if memory waits. */
static unsigned int page_reporting_patience(const struct page_reporting_pass *pass)
{
	unsigned int backoff_ms;

	if (!pass->put_off) {
		page_reporting_retries = 0;
		return pass->budget.wait_ms;
	}
	backoff_ms = page_reporting_backoff(page_reporting_next_delay(),
					    page_reporting_retries++);
	return min(backoff_ms, pass->budget.wait_ms);
}

/* When the next pass is due if nothing requests one. */
static unsigned int page_reporting_wait_after(const struct page_reporting_pass *pass)
{
	if (pass->err)
		return page_reporting_backoff(page_reporting_next_delay(),
					      page_reporting_errors - 1);
	/* The budget of a flush does not compute when the rest is due. */
	if (pass->more || page_reporting_serves)
		return page_reporting_next_delay();
	return page_reporting_patience(pass);
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
	page_reporting_answer(pass);

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
	page_reporting_walk(&pass);
	trace_page_reporting_pass_end(pass.blocks, pass.pages, pass.err,
				      ktime_get_ns() - begin_ns);
	page_reporting_end_pass(&pass);
}

static struct page_reporting_dev_info *page_reporting_registered(void)
{
	return rcu_dereference_protected(page_reporting_dev,
				lockdep_is_held(&page_reporting_mutex));
}

static bool page_reporting_going_down(void)
{
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_going_down);
	return system_state == SYSTEM_HALT ||
	       system_state == SYSTEM_POWER_OFF ||
	       system_state == SYSTEM_RESTART;
}

/* As if there never was a device. */
static void page_reporting_forget(void)
{
	/* Disable the key last: while it is off, allocations clear no mark. */
	page_reporting_sweep(NR_PAGE_ORDERS);
	static_branch_disable(&page_reporting_enabled);
	page_reporting_put_zones();
	page_reporting_ask_order(PAGE_REPORTING_ORDER_UNSPECIFIED);
}

/**
 * page_reporting_register - start to report free memory to a device
 * @prdev: the device
 *
 * The first pass runs after the delay and sees all memory that is free by then.
 * The device need not be ready to take reports yet, but has to be ready within
 * two seconds. Nothing is reported before that, not even by a flush.
 *
 * Context: Process context. May sleep.
 * Return: 0, or -EBUSY if a device is already registered, even this one, or while
 *	the system goes down.
 */
int page_reporting_register(struct page_reporting_dev_info *prdev)
{
	/* The mutex's holder may be unregistering, and wait for this report. */
	if (page_reporting_in_report())
		return -EBUSY;

	guard(mutex)(&page_reporting_mutex);

	if (page_reporting_registered() || page_reporting_going_down())
		return -EBUSY;

	page_reporting_errors = 0;
	page_reporting_retries = 0;
	page_reporting_ready_at = get_jiffies_64() +
				  msecs_to_jiffies(PAGE_REPORTING_READY_MS);
	page_reporting_ask_order(prdev->order <= MAX_PAGE_ORDER ?
				 prdev->order : pageblock_order);
	INIT_DELAYED_WORK(&prdev->work, page_reporting_work);
	page_reporting_budget_reset();

	/* Enable the key first: while it is off, allocations clear no mark. */
	static_branch_enable(&page_reporting_enabled);

	/* Request the first pass here, before a free can request it. */
	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	rcu_assign_pointer(page_reporting_dev, prdev);
	page_reporting_queue_at(prdev, page_reporting_next_delay());
	return 0;
}
EXPORT_SYMBOL_GPL(page_reporting_register);

/* A driver that unregisters from its own report() would wait for itself. */
static void page_reporting_refuse(void *caller)
{
	/* A KUnit case makes this mistake on purpose and counts the calls. */
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
 * Waits for a report that is in progress, and so for the hypervisor. The pass
 * ends after that report. While the system goes down, nothing else takes time,
 * and the marks are not cleared.
 *
 * A driver cannot unregister from inside @prdev->report, as it would wait for
 * itself. Such a call is refused: it warns once, naming the caller, and changes
 * nothing; the device stays registered. Return an error from @prdev->report
 * instead, and unregister from a work item.
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

	if (page_reporting_registered() != prdev)
		return;

	/*
	 * After the grace period, frees request no pass. Pairs with the RCU
	 * section in __page_reporting_notify().
	 */
	RCU_INIT_POINTER(page_reporting_dev, NULL);
	synchronize_rcu();
	irq_work_sync(&page_reporting_kick_work);
	cancel_delayed_work_sync(&prdev->work);
	page_reporting_give_up(-ENODEV);
	page_reporting_assert(!delayed_work_pending(&prdev->work));

	/*
	 * A sweep takes the longer the larger the guest is, and is of no use to
	 * a system that goes down. Allocations still clear marks, as the key
	 * stays on.
	 */
	if (!page_reporting_going_down())
		page_reporting_forget();
}
EXPORT_SYMBOL_GPL(page_reporting_unregister);

static void page_reporting_wake(void)
{
	/*
	 * Pairs with page_reporting_begin_pass(): either the pass sees the
	 * store, or the request below sees ACTIVE.
	 */
	smp_store_mb(page_reporting_asleep, false);
	/* For what was freed, and for the pass that was cut short. */
	__page_reporting_notify();
}

static int page_reporting_pm_notify(struct notifier_block *nb,
				    unsigned long event, void *unused)
{
	/*
	 * Without page_reporting_mutex: while a device is unregistered, its
	 * holder waits for the host. Unregistration sweeps as well, and two
	 * sweeps at the same time do no harm.
	 */
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(page_reporting_asleep, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		/* If the key is off, there are no marks to clear. */
		if (static_key_enabled(&page_reporting_enabled))
			page_reporting_sweep(NR_PAGE_ORDERS);
		fallthrough;
	case PM_POST_SUSPEND:
		page_reporting_wake();
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

/**
 * page_reporting_set_order - set the user's choice of the reporting order
 * @order: order of the smallest block to report, or
 *	PAGE_REPORTING_ORDER_UNSPECIFIED for the choice of the device, or of
 *	the kernel if the device has none
 *
 * Takes effect at the start of the next pass, which this requests.
 *
 * Context: Process context.
 */
void page_reporting_set_order(unsigned int order)
{
	WRITE_ONCE(page_reporting_user_order, order);
	/*
	 * Pairs with page_reporting_begin_pass(): either the pass sees the new
	 * order, or the request below sees ACTIVE.
	 */
	smp_mb();
	/* A lower order makes free memory eligible that no free announces. */
	__page_reporting_notify();
}

/**
 * page_reporting_set_delay - set the wait before a pass
 * @delay_ms: the wait in ms, or PAGE_REPORTING_ADAPTIVE
 *
 * The new delay also applies to a pass that is already queued, unless that pass
 * waits after an error.
 *
 * Context: Process context. May sleep.
 */
void page_reporting_set_delay(unsigned int delay_ms)
{
	struct page_reporting_dev_info *prdev;

	/* Writing the same value again and again must not delay passes. */
	if (delay_ms == page_reporting_delay_ms)
		return;
	WRITE_ONCE(page_reporting_delay_ms, delay_ms);
	if (!rcu_access_pointer(page_reporting_dev))
		return;
	/* After this, all code that read the old delay has queued the work. */
	synchronize_rcu();
	irq_work_sync(&page_reporting_kick_work);
	scoped_guard(rcu) {
		prdev = rcu_dereference(page_reporting_dev);
		if (!prdev || !delayed_work_pending(&prdev->work))
			;	/* nothing is queued */
		else if (READ_ONCE(page_reporting_errors))
			/*
			 * Keep the wait after an error, but not one that an old
			 * delay has made longer than a minute.
			 */
			page_reporting_queue(prdev, PAGE_REPORTING_RETRY_MAX_MS);
		else
			page_reporting_queue_at(prdev, page_reporting_next_delay());
	}
	/* A flush that started meanwhile still gets its pass at once. */
	if (READ_ONCE(page_reporting_request))
		page_reporting_run_now();
	/* The new delay's budget may allow what the old one did not yet. */
	__page_reporting_notify();
}

/**
 * page_reporting_get_status - the device, its state and the settings
 *
 * Context: Any.
 * Return: a copy for display; the device may be unregistered already.
 */
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
