// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the device, and when a pass over free memory runs.
 */

/**
 * DOC: model
 *
 * The host backs a guest's memory when the guest first touches it, and is never
 * told that the guest is done with it. So the engine takes large free blocks
 * from the buddy allocator, hands them to a device driver, whose hypervisor
 * drops what backs them, and puts them back marked PG_reported. A block with
 * this mark costs the host nothing and need not be reported again. Allocating
 * it clears the mark and costs one refault.
 *
 * Work is done in passes. A pass goes over all zones once, and a budget limits
 * it. It runs from a workqueue some time after a large block became free, so
 * that a flood of frees costs one pass, and memory that is soon used again
 * stays where it is. Each question has one file that answers it:
 *
 * ==========================  ==============================================
 * mm/page_reporting.c         when does a pass run?
 * mm/page_reporting_walk.c    what does a pass do to a block?
 * mm/page_reporting_mark.c    which blocks does the host have, and what is
 *                             counted?
 * mm/page_reporting_budget.c  how much may leave each list?
 * mm/page_reporting_pacing.c  how much of it is idle, and when is it worth a
 *                             look?
 * mm/page_reporting_flush.c   how is all of it reported now?
 * mm/page_reporting_params.c  what does the user set and see?
 * mm/page_reporting_debug.c   do the free lists, marks and counters agree?
 * ==========================  ==============================================
 */

/**
 * DOC: states
 *
 * The device's @state says whether a pass is wanted or runs. The device has one
 * work item, @work. It is queued for the time at which the next pass is due:
 *
 * =========  ==========================  =========  ==========================
 * state      event                       new state  the work
 * =========  ==========================  =========  ==========================
 * IDLE       request                     REQUESTED  is due after the delay, if
 *                                                   not sooner
 * REQUESTED  request                     REQUESTED  stays as it is: the request
 *                                                   costs one read
 * any        the work starts             ACTIVE     walks
 * ACTIVE     request                     REQUESTED  sees it when the pass ends
 * ACTIVE     pass ends, all is done      IDLE       is not queued
 * ACTIVE     pass ends, something waits  IDLE       is due when pacing or what
 *                                                   was put off says
 * ACTIVE     pass ends, there is more    REQUESTED  is due after the delay
 * ACTIVE     pass ends by an error       REQUESTED  is due later each time
 * REQUESTED  pass ends (was requested)   REQUESTED  is due after the delay
 * any        a flush                     as it was  is due at once
 * =========  ==========================  =========  ==========================
 *
 * A free that comes too late for the walk is not lost. The walk stores ACTIVE,
 * takes zone->lock, and looks at the counts of the zone. The free changes these
 * counts and then reads @state, both under the same lock. So either the walk
 * sees the block, or the free finds ACTIVE and turns it into REQUESTED, which
 * the compare-and-exchange at the end of the pass notices. A change of
 * page_reporting_order takes no such lock. Its barrier pairs with the one in
 * page_reporting_begin_pass().
 *
 * A free may come from any context, an NMI included, and with any lock held. So
 * a request changes @state and raises an irq_work, which queues the work.
 */

/**
 * DOC: retries
 *
 * No free announces what a pass had to leave behind. So each of the reasons for
 * which a pass leaves a block has its own way back:
 *
 * - The driver had an error. The pass ends, as the next batch would fare no
 *   better, and the work is queued again: after the normal delay first, then
 *   after twice as long each time, up to a minute. Requests do not shorten this
 *   wait. A pass without an error ends the series, and a pass that reported
 *   something before its error takes the wait back by one step. A message names
 *   the first error of a series. The host may refuse some blocks for ever, and
 *   these must not keep others from it. So the blocks of the batch go to the
 *   tails of their lists. With each step, the batches of the next pass are a
 *   quarter as long, down to one block; each success doubles them. A single
 *   block that is refused does not end the pass.
 * - A zone was short of memory, or a block stood on a list of MIGRATE_ISOLATE,
 *   which it leaves without a notification. Only that is put off: the next pass
 *   comes later each time, as after errors, or after the delay when something
 *   is freed. A zone with fewer pages than its low watermark and a full batch
 *   together can never be served, and nobody waits for it.
 * - A budget was spent, or a block came to a list that had been walked, because
 *   it merged while it was put back or because an allocation split it. The next
 *   pass follows after the normal delay. Such a pass finds something to do, or
 *   is the last one.
 * - The system goes to sleep. The pass ends, and waking up asks for one.
 *
 * A pass allocates nothing, except for the state of a node that came after the
 * registration.
 */

/**
 * DOC: sleep
 *
 * The workqueue freezes with the system, which waits for a running pass. From
 * the notification that the system is about to sleep on, a running pass ends
 * before its next report, and a new one ends before its first.
 *
 * After hibernation the host has other memory: the kernel that loaded the image
 * has used pages that the image takes for free and reported. So all marks are
 * cleared before the first pass. Suspending to RAM changes nothing for the
 * host.
 */

/**
 * DOC: locks
 *
 * ======================  ====================================================
 * lock                    covers
 * ======================  ====================================================
 * page_reporting_mutex    registration and unregistration, start to end
 * RCU                     page_reporting_dev for those that only ask for a
 *                         pass; unregistration clears it and waits for a grace
 *                         period before it cancels the work
 * the request's lock      what somebody waits for in page_reporting_serve()
 * the flush's mutex       one flush at a time: page_reporting_flush.c
 * zone->lock              free lists, PG_reported of the blocks on them, and
 *                         the state of the zone: page_reporting_mark.c
 * none                    the batch, the CPU time that pacing allows, the order
 *                         in effect, and the counts of errors and retries. They
 *                         belong to the work item, which never runs twice at a
 *                         time
 * ======================  ====================================================
 *
 * Order: page_reporting_mutex, then the memory hotplug lock, then zone->lock;
 * the flush's mutex, then the locks of draining the per-CPU lists. Requests
 * come from under zone->lock and take no lock. The driver is called with no
 * lock held.
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

/* Drivers register first and make their device live afterwards. */
#define PAGE_REPORTING_READY_MS		2000U

/*
 * Waits after a failure grow from the normal delay to a minute: a host that is
 * being upgraded is back by then, and a call a minute costs nothing. They are
 * never shorter than the first of these, whatever the user's delay.
 */
#define PAGE_REPORTING_RETRY_MIN_MS	100U
#define PAGE_REPORTING_RETRY_MAX_MS	(60U * 1000)

/* Most memory that a batch of more than one block keeps from the guest. */
#define PAGE_REPORTING_BATCH_BYTES	SZ_128M

/**
 * struct page_reporting_request - what somebody waits for
 * @done: the pass has ended
 * @ticket: tells it from an earlier one that was at the same address
 * @wanted: how much to report, in pages
 * @served: what was done so far
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

/* The system is about to sleep, sleeps, or has just woken up. */
static bool page_reporting_asleep;

/* No report before this time, in jiffies. */
static u64 page_reporting_ready_at;

/* Passes in a row, up to now, that had an error, and that put something off. */
static unsigned int page_reporting_errors;
static unsigned int page_reporting_retries;

/* The request that is not answered yet, and the last ticket. */
static DEFINE_SPINLOCK(page_reporting_request_lock);
static struct page_reporting_request *page_reporting_request;
static unsigned long page_reporting_ticket;
/* Which one the pass works for; 0: for none. */
static unsigned long page_reporting_serves;

/* What the user wants, what the device wants, and what was put in effect. */
static unsigned int page_reporting_user_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_dev_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
static unsigned int page_reporting_last_order = PAGE_REPORTING_ORDER_UNSPECIFIED;

unsigned int page_reporting_order = PAGE_REPORTING_ORDER_UNSPECIFIED;
EXPORT_SYMBOL_GPL(page_reporting_order);

static unsigned int page_reporting_delay_ms = PAGE_REPORTING_ADAPTIVE;

/* The wait after a failure that follows @before others in a row. */
static unsigned int page_reporting_backoff(unsigned int delay_ms,
					   unsigned int before)
{
	unsigned int first = max(delay_ms, PAGE_REPORTING_RETRY_MIN_MS);
	unsigned int most = max(first, PAGE_REPORTING_RETRY_MAX_MS);

	/* Ten doublings of 100 ms exceed a minute, those of an hour fit. */
	return min(first << min(before, 10U), most);
}

static bool page_reporting_is_adaptive(void)
{
	return READ_ONCE(page_reporting_delay_ms) == PAGE_REPORTING_ADAPTIVE;
}

/* The wait before a pass that a free asks for. */
static unsigned int page_reporting_next_delay(void)
{
	if (page_reporting_is_adaptive())
		return page_reporting_pacing_soonest_ms();
	return READ_ONCE(page_reporting_delay_ms);
}

/* Jiffies until the device takes reports; 0 if it does. */
static unsigned long page_reporting_until_ready(void)
{
	u64 now = get_jiffies_64();

	return now < page_reporting_ready_at ? page_reporting_ready_at - now : 0;
}

/* The queue freezes with the system, as the devices do. */
static void page_reporting_queue_at(struct page_reporting_dev_info *prdev,
				    unsigned int delay_ms)
{
	unsigned long delay = max3(msecs_to_jiffies(delay_ms),
				   page_reporting_until_ready(), 1UL);

	/* Never 0: page_reporting_queue() looks at the timer. */
	mod_delayed_work(system_freezable_wq, &prdev->work, delay);
}

/* Not later than in @delay_ms. */
static void page_reporting_queue(struct page_reporting_dev_info *prdev,
				 unsigned int delay_ms)
{
	unsigned long expires = jiffies + msecs_to_jiffies(delay_ms);

	if (!delayed_work_pending(&prdev->work) ||
	    time_after(READ_ONCE(prdev->work.timer.expires), expires))
		page_reporting_queue_at(prdev, delay_ms);
	/* Pairs with page_reporting_serve(), which may have queued meanwhile. */
	smp_mb();
	if (READ_ONCE(page_reporting_request))
		page_reporting_queue_at(prdev, 0);
}

/* Interrupts are off. The code that asked for a pass has dropped its locks. */
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
	/* Frees come in floods, and each would write to a shared cache line. */
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

/* Begins a pass without delay; if one runs, another one follows it. */
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

/* A pass begins: which request does it work for, and how much is wanted? */
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

/* The request that the pass works for, if somebody still waits for it. */
static struct page_reporting_request *__page_reporting_served(void)
{
	lockdep_assert_held(&page_reporting_request_lock);
	if (page_reporting_request &&
	    page_reporting_request->ticket == page_reporting_serves)
		return page_reporting_request;
	return NULL;
}

/* Tells how far the pass is. False if nobody waits for it any more. */
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
			/* What was put off may hide that blocks have merged. */
			.more = pass->more || (pass->put_off && pass->pages),
			.err = pass->stopped ?: pass->err,
		};
		page_reporting_request = NULL;
		complete(&request->done);
	}
	waits = page_reporting_request;
	spin_unlock(&page_reporting_request_lock);
	/* It came while the pass ran. */
	if (waits)
		page_reporting_run_now();
}

/* No pass will follow: whoever waits is told why. */
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
 * page_reporting_serve - have a pass report what is free, now
 * @wanted: how much of it, in pages
 *
 * A signal ends the wait, whatever the hypervisor does. The pass takes no
 * further block then.
 *
 * Context: Process context, one caller at a time. Sleeps until the pass ends.
 * Return: what the pass did. As error: -ENODEV without a device, or when it
 * went away; -EBUSY when the system is about to sleep; -ERESTARTSYS when
 * interrupted; else what the driver returned.
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
	/* It was not answered, and is withdrawn. */
	if (page_reporting_request == &request) {
		page_reporting_request = NULL;
		request.served.err = err;
	}
	spin_unlock(&page_reporting_request_lock);
	return request.served;
}

/* Why the pass has to end now: 0, or a negative errno. */
static int page_reporting_ended(struct page_reporting_pass *pass)
{
	/* The device comes first: a system that sleeps wakes up again. */
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
 * Drivers compare what they get with page_reporting_order, so a change waits
 * for the next pass. A driver may write to it, too: its value stays until the
 * user or the device asks for another order.
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

/* A device came, and asks for an order; or it went. */
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
	 * A full barrier, before the first zone->lock and before the order and
	 * page_reporting_asleep are read. Pairs with the zone->lock that a free
	 * holds, with smp_mb() in page_reporting_set_order() and smp_store_mb()
	 * in page_reporting_wake(): see "states" above.
	 */
	atomic_xchg(&pass->prdev->state, PAGE_REPORTING_ACTIVE);
	pass->order = page_reporting_begin_order();
	wanted = page_reporting_join();
	page_reporting_set_budget(pass, wanted);
	trace_page_reporting_pass_begin(pass->order, wanted);
}

/* One message for a series of errors. */
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

/* When to look again if nothing is freed: soon, if something was put off. */
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

/* When the next pass is due that nobody has asked for. */
static unsigned int page_reporting_wait_after(const struct page_reporting_pass *pass)
{
	if (pass->err)
		return page_reporting_backoff(page_reporting_next_delay(),
					      page_reporting_errors - 1);
	/* A flush does not know when what it left is due. */
	if (pass->more || page_reporting_serves)
		return page_reporting_next_delay();
	return page_reporting_patience(pass);
}

static void page_reporting_end_pass(const struct page_reporting_pass *pass)
{
	struct page_reporting_dev_info *prdev = pass->prdev;
	unsigned int wait_ms;

	page_reporting_debug_end_pass();
	/* Pairs with page_reporting_set_delay(): the delay is read here. */
	guard(rcu)();
	count_vm_event(PAGE_REPORTING_PASS);
	page_reporting_note_errors(pass);
	wait_ms = page_reporting_wait_after(pass);
	page_reporting_answer(pass);

	if (wait_ms != PAGE_REPORTING_NEVER)
		page_reporting_queue(prdev, wait_ms);
	/* Requests are to change nothing about the wait after an error. */
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
	/* The key is last: with it off, no mark would be cleared any more. */
	page_reporting_sweep(NR_PAGE_ORDERS);
	static_branch_disable(&page_reporting_enabled);
	page_reporting_put_zones();
	page_reporting_ask_order(PAGE_REPORTING_ORDER_UNSPECIFIED);
}

/**
 * page_reporting_register - start to report free memory to a device
 * @prdev: the device
 *
 * The first pass follows after the delay, and finds all memory that is free by
 * then. The device need not be ready to report yet, but has to be within
 * two seconds from now: nothing is reported before, not by a flush either.
 *
 * Context: Process context. May sleep.
 * Return: 0, or -EBUSY while a device is registered, be it this one, and when
 *	the system goes down.
 */
int page_reporting_register(struct page_reporting_dev_info *prdev)
{
	/* The mutex's holder may wait for this report, to unregister. */
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

	/* The key is first: with it off, no mark would be cleared. */
	static_branch_enable(&page_reporting_enabled);

	/* The first pass is asked for here, before a free can. */
	atomic_set(&prdev->state, PAGE_REPORTING_REQUESTED);
	rcu_assign_pointer(page_reporting_dev, prdev);
	page_reporting_queue_at(prdev, page_reporting_next_delay());
	return 0;
}
EXPORT_SYMBOL_GPL(page_reporting_register);

/* A driver that unregisters inside of its report() would wait for itself. */
static void page_reporting_refuse(void *caller)
{
	/* A KUnit case makes this mistake on purpose, and counts the calls. */
	KUNIT_STATIC_STUB_REDIRECT(page_reporting_refuse, caller);
	WARN_ONCE(1, "page_reporting: %pS unregisters a device from inside of its report(): refused\n",
		  caller);
}

/**
 * page_reporting_unregister - stop to report free memory to a device
 * @prdev: the device; nothing happens unless it is the registered one
 *
 * When this returns, @prdev->report is not running and will not run again, and
 * all blocks are back on their free lists, none of them marked as reported.
 * Waits for a report that is under way, and so for the hypervisor; the pass
 * ends with it. When the system goes down, nothing else takes time, and marks
 * stay.
 *
 * A driver cannot unregister from inside of its @prdev->report: that would wait
 * for itself. Such a call is refused: it warns, once, with the caller's name,
 * and changes nothing; the device stays registered. Return an error instead,
 * and unregister from a work item.
 *
 * Context: Process context, but not @prdev->report. May sleep.
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

	/* No new request by a free: __page_reporting_notify() pairs. */
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
	/* Pairs with page_reporting_begin_pass(): one sees the other. */
	smp_store_mb(page_reporting_asleep, false);
	/* For what was freed, and for the pass that was cut short. */
	__page_reporting_notify();
}

static int page_reporting_pm_notify(struct notifier_block *nb,
				    unsigned long event, void *unused)
{
	/*
	 * Not under page_reporting_mutex, which waits for the host when a
	 * device goes. That sweeps as well: a second sweep beside it does no
	 * harm.
	 */
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(page_reporting_asleep, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		/* Without a device there are no marks to clear. */
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
 * page_reporting_set_order - the user wants another order
 * @order: the smallest block to report, or PAGE_REPORTING_ORDER_UNSPECIFIED for
 *	what the device or else the kernel chooses
 *
 * In effect from the next pass on, which this asks for.
 *
 * Context: Process context.
 */
void page_reporting_set_order(unsigned int order)
{
	WRITE_ONCE(page_reporting_user_order, order);
	/* Pairs with page_reporting_begin_pass(): one sees the other. */
	smp_mb();
	/* A lower order makes free memory eligible that no free announces. */
	__page_reporting_notify();
}

/**
 * page_reporting_set_delay - the user wants another delay
 * @delay_ms: the wait before a pass, or PAGE_REPORTING_ADAPTIVE
 *
 * A pass that is waiting for its time gets the new delay.
 *
 * Context: Process context. May sleep.
 */
void page_reporting_set_delay(unsigned int delay_ms)
{
	struct page_reporting_dev_info *prdev;

	/* Writing the same value again and again must not put passes off. */
	if (delay_ms == page_reporting_delay_ms)
		return;
	WRITE_ONCE(page_reporting_delay_ms, delay_ms);
	if (!rcu_access_pointer(page_reporting_dev))
		return;
	/* Afterwards, whoever read the old delay has queued the work. */
	synchronize_rcu();
	irq_work_sync(&page_reporting_kick_work);
	scoped_guard(rcu) {
		prdev = rcu_dereference(page_reporting_dev);
		if (!prdev || !delayed_work_pending(&prdev->work))
			;	/* nothing to put off or to hurry */
		else if (READ_ONCE(page_reporting_errors))
			/* No reason to try sooner, nor to wait for an old delay. */
			page_reporting_queue(prdev, PAGE_REPORTING_RETRY_MAX_MS);
		else
			page_reporting_queue_at(prdev, page_reporting_next_delay());
	}
	/* Whoever asked for a pass at once meanwhile still gets it at once. */
	if (READ_ONCE(page_reporting_request))
		page_reporting_run_now();
	/* The other budget may let go what this one waits for. */
	__page_reporting_notify();
}

/**
 * page_reporting_get_status - what there is to see from outside
 *
 * Context: any.
 * Return: a copy, for display: the device that it names may have gone since.
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
