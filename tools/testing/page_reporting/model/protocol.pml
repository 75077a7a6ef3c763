/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free page reporting: when a pass runs, as a model for spin.
 *
 * It follows mm/page_reporting.c and, of mm/page_reporting_walk.c, what decides
 * whether another pass is needed. Each step names the function that it stands
 * for. Whoever changes the order of two steps there changes it here.
 *
 * The worker and the irq_work are always there. WITH_* add what they have to
 * cope with. Everything happens a bounded number of times, but at any time, so
 * that what is left behind is seen: FREES, FAULTS.
 *
 * BREAK_* leave out one barrier or check each; mutations.toml has them with the
 * code that they stand for. The model is sequentially consistent: a missing
 * barrier is a store that the others see later (late_*), or an early load.
 *
 * Not in the model: time (what is due SOON or LONG may start at any moment),
 * capacities, migratetypes, more than one zone, how much pacing allows (it may
 * allow nothing for now), the two seconds after registration, hibernation, and
 * moves of fragments after the walk, which come to frees like all others.
 */

#ifndef FREES
#define FREES	2
#endif
#ifndef FAULTS
#define FAULTS	1
#endif
#ifndef FLUSHES
#define FLUSHES	2
#endif
#define ROUNDS	3		/* of a flush: PAGE_REPORTING_ROUNDS is 4 */

/* prdev->state */
#define IDLE		0
#define REQUESTED	1
#define ACTIVE		2

/* When prdev->work is due. Less is sooner. */
#define NONE		0
#define NOW		1
#define SOON		2	/* after the delay */
#define LONG		3	/* after a back-off, a wait, or a long delay */

/* A block of memory. A reported one is free, and marked. */
#define USED		0
#define FREE		1
#define BATCH		2	/* isolated */
#define REPORTED	3

/* The blocks: one of any order that may be reported, one of a lower order. */
#define LARGE		0
#define SMALL		1
#define BLOCKS		2

byte state = REQUESTED;
byte due = SOON;
bit running;			/* the work */
bit cancelling;			/* inside of cancel_delayed_work_sync() */
bit frozen;			/* system_freezable_wq */
bit irq, kicking;		/* page_reporting_kick_work: queued, running */
byte rcu;			/* RCU read-side critical sections */
bit dev = 1;			/* page_reporting_dev is not NULL */
bit key = 1;			/* page_reporting_enabled */
bit asleep;			/* page_reporting_asleep */
byte delay = LONG;		/* page_reporting_delay_ms */
bit failed;			/* page_reporting_failed */
#ifdef WITH_BOTH
bit low_wanted = 1;		/* page_reporting_user_order: SMALL is eligible */
#else
bit low_wanted;
#endif
bit low;			/* page_reporting_order, page_reporting_notify_order */
bit zone_lock;
byte block[BLOCKS] = FREE;

/* page_reporting_request: is there one, does the pass serve it; its completion and answer. */
bit request, joined;
bit answered, answer_err, answer_more;

/* page_reporting_reporter, page_reporting_called_at */
bit reporter, called_at_is_new;

/*
 * What may still go wrong: report() fails, the zone is short of memory, a block
 * merges while it is put back, the budget is used up, a signal comes.
 */
byte faults = FAULTS;

/* What only the properties read. */
byte busy;			/* processes that are inside of the engine */
bit gone;			/* page_reporting_unregister() has returned */
bit suspended;			/* all tasks and workqueues are frozen */
bit delay_set;			/* page_reporting_set_delay() has returned */
bit must[BLOCKS];		/* was free when the flush began, and still is */
byte last;			/* reports since the pass has had to end */

/* Stores that others do not see yet: BREAK_* only. */
bit late_active, late_low, late_awake;

#define eligible(b)	(block[b] == FREE && (b == LARGE || low))
#define is_due()	(eligible(LARGE) || eligible(SMALL))
#define left()		(block[LARGE] == FREE || (block[SMALL] == FREE && low_wanted))
#define quiet()		(!busy && !running && !irq && !kicking && \
			 !late_active && !late_low && !late_awake)

/*
 * A section under zone->lock is an atomic sequence that begins with locked(),
 * but for a free, which holds zone_lock for several steps. It sees what the
 * worker has stored before it released the lock.
 */
#define locked()	(!zone_lock)

/* Those that come later see what was stored before the call. */
#define synchronize_rcu()	(rcu == 0)
#define irq_work_sync()		(!irq && !kicking)

/* page_reporting_queue_at(); in an atomic sequence */
inline queue_at(when)
{
	assert(!gone);			/* prdev may be freed */
	if
	:: !cancelling -> due = when
	:: else		/* mod_delayed_work() does nothing */
	fi
}

/* page_reporting_queue(): others may come between its look and what it does. */
inline queue(when, waits)
{
	if
	:: due == NONE || due > when ->
#ifdef BREAK_QUEUE_BARRIER
		waits = request;
#endif
		atomic { queue_at(when) }
	:: else
#ifdef BREAK_QUEUE_BARRIER
		-> waits = request
#endif
	fi;
#ifndef BREAK_QUEUE_BARRIER
	waits = request;	/* after smp_mb() */
#endif
	atomic {
		if
#ifndef BREAK_QUEUE_LOOKS_AGAIN
		:: waits -> queue_at(NOW)
#endif
		:: else
		fi;
		waits = 0
	}
}

/* __page_reporting_notify(), __page_reporting_request() */
inline notify(seen)
{
	atomic { rcu++; seen = (dev -> state : REQUESTED) }
	if
	:: seen == REQUESTED
	:: else ->
		/* atomic_xchg(), which is a full barrier */
		atomic {
			!late_low && !late_awake;
			assert(!gone);	/* prdev may be freed */
			seen = state;
			state = REQUESTED
		}
		if
		:: seen == IDLE -> irq = 1	/* irq_work_queue() */
		:: else				/* ACTIVE: the end of the pass sees it */
		fi
	fi;
	atomic { rcu--; seen = 0 }
}

/* page_reporting_run_now() */
inline run_now(found)
{
	atomic { rcu++; found = dev }
	atomic {
		if
		:: found -> queue_at(NOW)
		:: else			/* -ENODEV */
		fi;
		rcu--
	}
}

/* page_reporting_kick() */
active proctype kick()
{
	byte when, waits;
	bit found;

end:	do
	:: atomic { irq -> irq = 0; kicking = 1 }
		/* page_reporting_next_delay(), outside of the section */
		when = delay;
		atomic {
			found = dev;
#ifndef BREAK_UNREGISTER_WAITS_FOR_KICK
			rcu++
#endif
		}
		if
		:: found -> queue(when, waits)
		:: else
		fi;
		atomic {
#ifndef BREAK_UNREGISTER_WAITS_FOR_KICK
			rcu--;
#endif
			when = 0;
			found = 0;
			kicking = 0
		}
	od
}

/*
 * page_reporting_ended(): no device, a sleep, or nobody waits for it any more.
 * Each is one load, and none of them is taken back by another.
 */
inline ends()
{
	atomic {
		if
#ifndef BREAK_ENDS_WITHOUT_DEVICE
		:: !dev -> stopped = 1
#endif
#ifndef BREAK_ENDS_FOR_SLEEP
		:: asleep -> stopped = 1
#endif
#ifndef BREAK_ENDS_WITHOUT_CALLER
		:: serves && !(request && joined) -> stopped = 1
#endif
		:: else
		fi
	}
}

/* The work: page_reporting_work() */
active proctype worker()
{
	byte b, wait, seen, waits;
	bit serves, stopped, err, pages, more, put_off, short_of, paced, found;

end:	do
	:: atomic { due != NONE && !frozen -> due = NONE; running = 1; assert(!gone) }

		/*
		 * page_reporting_begin_pass(): atomic_xchg(), as what follows
		 * has to be read after this store is seen.
		 */
#ifdef BREAK_BEGIN_BARRIER
		late_active = 1;
#else
		state = ACTIVE;
#endif
		/* page_reporting_begin_order() */
		low = low_wanted;
		/* page_reporting_join() */
		atomic {
			serves = request;
			joined = request;
			last = 0;
			if
			:: !serves -> paced = 1
			:: paced = 0
			fi
		}
		/* page_reporting_mark_begin(): no marks below the order */
		atomic {
			locked();
			if
			:: !low && block[SMALL] == REPORTED -> block[SMALL] = FREE
			:: else
			fi
		}
		/* page_reporting_walk() */
		ends();
		if
		:: stopped -> goto over
		:: else
		fi;
		/* page_reporting_open_zone(): a free after this requests a pass. */
		atomic {
			locked();
			if
			:: is_due() -> found = 1
			:: !is_due() -> found = 0
			/* With pacing, nothing is idle yet. */
			:: paced && faults -> faults--; found = 0
			fi
		}
		b = (found -> LARGE : BLOCKS);
		found = 0;
		do
		:: b < BLOCKS ->
			/* __page_reporting_take() */
			atomic {
				locked();
				if
				:: !eligible(b)
				:: eligible(b) -> block[b] = BATCH; found = 1
				/* PAGE_REPORTING_NOT_NOW */
				:: eligible(b) && faults ->
					faults--; must[b] = 0;
					put_off = 1; short_of = 1
				/* PAGE_REPORTING_BUDGET_SPENT */
				:: eligible(b) && faults && !serves ->
					faults--; more = !paced
				fi
			}
			if
			:: !found
			:: found ->
				/* page_reporting_call() */
#ifdef WITH_AGE
#ifdef BREAK_CALL_RELEASE
				reporter = 1;
				called_at_is_new = 1;
#else
				called_at_is_new = 1;
				reporter = 1;
#endif
#endif
				/* page_reporting_call(): the driver's report() */
				atomic {
					last = last + (!dev || asleep ||
						       (serves && request != serves));
					assert(!gone);
					assert(!suspended);
					assert(b == LARGE || low);
					/* It was to end before its next report. */
					assert(last <= 1)
				}
				atomic {
					if
					:: true
					:: faults -> faults--; err = 1
					fi;
					/* page_reporting_call(): the answer */
					reporter = 0;
					called_at_is_new = 0
				}
				/* page_reporting_drain(), page_reporting_send() */
				atomic {
					locked();
					found = 0;
					if
					:: err -> block[b] = FREE
					:: !err -> block[b] = REPORTED; must[b] = 0; pages = 1
					:: !err && faults ->
						faults--; block[b] = FREE; pages = 1
					fi
				}
				/* page_reporting_send() */
				ends();
				if
				:: stopped || err -> b = BLOCKS
				:: else
				fi
			fi;
			if
			:: b < BLOCKS -> b++
			:: else
			fi
		:: else -> break
		od;
		/* page_reporting_close_zone() */
		atomic {
			locked();
			if
			/* A paced budget says when to come back. */
			:: paced -> wait = (is_due() && !short_of -> LONG : NONE)
#ifndef BREAK_CLOSE_LOOKS_AGAIN
			:: !paced && !put_off && is_due() -> more = 1
#endif
			:: else
			fi
		}
over:
		/* page_reporting_end_pass(), page_reporting_note_errors() */
		atomic {
			rcu++;
			failed = err
		}
		/* page_reporting_wait_after() */
		if
		:: err ->
#ifndef BREAK_ERROR_IS_RETRIED
			wait = LONG
#endif
		:: !err && (more || serves) -> wait = delay
		:: !err && !more && !serves && put_off ->
#ifndef BREAK_DEFERRED_IS_RETRIED
			wait = LONG
#endif
		:: else
		fi;
		/* page_reporting_tell() */
		atomic {
			if
#ifdef BREAK_JOINED
			:: request ->
#else
			:: request && joined ->
#endif
				answer_err = stopped || err;
				answer_more = more || (put_off && pages);
				request = 0;
				answered = 1
			:: else
			fi;
			found = (request != 0)
		}
		if
		:: found -> run_now(found)
		:: else
		fi;
		if
		:: wait != NONE -> queue(wait, waits)
		:: else
		fi;
		if
		:: err || more -> state = REQUESTED
		:: else ->
#ifdef BREAK_END_LOOKS_AGAIN
			state = IDLE
#else
			/* atomic_cmpxchg() */
			atomic {
				!late_active;
				seen = state;
				if
				:: seen == ACTIVE -> state = IDLE
				:: else
				fi
			}
			if
			:: seen != ACTIVE ->
				wait = delay;
				queue(wait, waits)
			:: else
			fi
#endif
		fi;
		atomic {
			serves = 0; b = 0; wait = 0; seen = 0; stopped = 0;
			err = 0; pages = 0; more = 0; put_off = 0; short_of = 0;
			paced = 0; found = 0;
			rcu--;
			running = 0
		}
	od
}

/* The allocator: what leaves a free list loses its mark, what comes is announced. */
active proctype allocator()
{
	byte b, seen, n;

	do
	:: n < FREES ->
		atomic { n++; busy++ }
		if
		:: b = LARGE
		:: b = SMALL
		fi;
		/* page_reporting_taken() and the like, behind the static key */
		atomic {
			locked();
			if
			:: block[b] == FREE || block[b] == REPORTED ->
				/* A mark that stays is believed by the next device. */
				assert(block[b] == FREE || key);
				block[b] = USED;
				must[b] = 0
			:: else
			fi
		}
		if
		:: block[b] != USED
		:: else ->
			atomic { locked() && !late_active -> zone_lock = 1 }
			block[b] = FREE;
			/* page_reporting_notify_free(), with the lock held */
			if
			:: key && (b == LARGE || low) -> notify(seen)
			:: else
			fi;
			zone_lock = 0
		fi;
		atomic { b = 0; busy-- }
	:: else -> break
	od
}

#ifdef WITH_ORDER
/* page_reporting_set_order(), lower and perhaps back; page_reporting_settings_changed() */
active proctype set_order()
{
	byte seen;
	bit again;

	do
	:: true ->
		busy++;
#ifdef BREAK_ORDER_BARRIER
		late_low = 1;
#else
		/* and smp_mb() */
		atomic { low_wanted = !again; must[SMALL] = must[SMALL] && low_wanted }
#endif
#ifndef BREAK_ORDER_NOTIFIES
		notify(seen);
#endif
		busy--;
		if
		:: !again -> again = 1
		:: true -> break
		fi
	od
}
#endif

#ifdef WITH_SLEEP
/* page_reporting_pm_notify(), and what freezes and thaws between its calls */
active proctype sleep()
{
	byte seen;

	atomic { busy++; last = 0; asleep = 1 }
	/* Freezing waits for work that is running. */
	frozen = 1;
	atomic { !running -> suspended = 1 }
	atomic { suspended = 0; frozen = 0 }
	/* page_reporting_pm_notify() */
#ifdef BREAK_WAKE_BARRIER
	late_awake = 1;
#else
	asleep = 0;		/* smp_mb() */
#endif
#ifndef BREAK_WAKE_NOTIFIES
	notify(seen);
#endif
	busy--
}
#endif

#ifdef WITH_FLUSH
/* page_reporting_flush_rounds(), page_reporting_serve(); two flushes, one may be interrupted */
active proctype flush()
{
	byte round, flushes;
	bit found, err, more;

	do
	:: flushes < FLUSHES ->
		atomic {
			flushes++;
			round = 0;
			must[LARGE] = eligible(LARGE);
			must[SMALL] = eligible(SMALL) && low_wanted
		}
		do
		:: round < ROUNDS ->
			busy++;
			/* under page_reporting_request_lock */
			atomic {
				round++;
				request = 1;
				joined = 0;
				answered = 0
			}
			run_now(found);
			busy--;
			/* wait_for_completion_interruptible() */
			if
			:: !found -> err = 1
			:: found ->
				if
				:: answered -> err = 0
				:: atomic { faults -> faults--; err = 1 }
				fi
			fi;
			/* Withdraws it unless it was answered meanwhile. */
			atomic {
				if
				:: request -> request = 0; more = 0
				:: else -> err = answer_err; more = answer_more
				fi;
				found = 0
			}
			if
			:: err || !more -> break
			:: else
			fi
		:: else -> break
		od;
		atomic {
			/* What it says is reported. */
			assert(err || more || (!must[LARGE] && !must[SMALL]));
			must[LARGE] = 0;
			must[SMALL] = 0;
			err = 0;
			more = 0
		}
	:: else -> break
	od
}
#endif

#ifdef WITH_DELAY
/* page_reporting_set_delay() */
active proctype set_delay()
{
	byte seen, when, waits;
	bit found;

	busy++;
	delay = SOON;
	if
	:: !dev
	:: else ->
#ifndef BREAK_DELAY_WAITS_FOR_READERS
		synchronize_rcu();
#endif
#ifndef BREAK_DELAY_WAITS_FOR_KICK
		irq_work_sync();
#endif
		/* page_reporting_requeue() */
		atomic { rcu++; found = dev && due != NONE }
		if
		:: found && failed -> when = LONG; queue(when, waits)
		:: else
		fi;
#ifdef BREAK_DELAY_LOOKS_FOR_SUCCESS
		/* An "else", from one look at it */
		found = found && when != LONG;
#endif
		atomic {
			if
			:: found && !failed -> queue_at(delay)
			:: else
			fi
		}
		atomic { rcu--; found = 0 }
#ifndef BREAK_DELAY_LOOKS_AGAIN
		if
		:: request -> run_now(found)
		:: else
		fi;
#endif
		notify(seen)
	fi;
	atomic { delay_set = 1; busy-- }
}
#endif

#ifdef WITH_UNREGISTER
/* page_reporting_unregister(), and page_reporting_register() of the next device */
active proctype unregister()
{
	byte when, waits;

	busy++;
#ifdef BREAK_UNREGISTER_POINTER_FIRST
	atomic { cancelling = 1; due = NONE }
	atomic { !running -> cancelling = 0 }
#endif
	atomic { last = 0; dev = 0 }
#ifndef BREAK_UNREGISTER_WAITS_FOR_READERS
	synchronize_rcu();
#endif
#ifndef BREAK_UNREGISTER_WAITS_FOR_KICK
	irq_work_sync();
#endif
#ifndef BREAK_UNREGISTER_POINTER_FIRST
	/* cancel_delayed_work_sync() */
	atomic { cancelling = 1; due = NONE }
#ifdef BREAK_UNREGISTER_WAITS_FOR_PASS
	cancelling = 0;
#else
	atomic { !running -> cancelling = 0 }
#endif
#endif
#ifndef BREAK_UNREGISTER_GIVES_UP
	/* page_reporting_give_up() */
	atomic {
		if
		:: request -> request = 0; answer_err = 1; answer_more = 0; answered = 1
		:: else
		fi
	}
#endif
	/* page_reporting_forget(): page_reporting_sweep(), then the key */
#ifdef BREAK_FORGET_KEY_LAST
	key = 0;
#endif
	atomic {
		locked();
		block[LARGE] = (block[LARGE] == REPORTED -> FREE : block[LARGE]);
		block[SMALL] = (block[SMALL] == REPORTED -> FREE : block[SMALL])
	}
	atomic { key = 0; gone = 1; busy-- }

	/* page_reporting_register(), unless this was the last device */
	if
	:: true -> goto end
	:: true
	fi;
	atomic { busy++; gone = 0; failed = 0 }
#ifndef BREAK_REGISTER_KEY_FIRST
	key = 1;
#endif
	state = REQUESTED;
	atomic {
		dev = 1;
#ifndef BREAK_REGISTER_IS_READER
		rcu++
#endif
	}
	when = delay;
#ifdef BREAK_REGISTER_LOOKS_FIRST
	atomic { queue_at(when) }
#else
	queue(when, waits);
#endif
#ifndef BREAK_REGISTER_IS_READER
	rcu--;
#endif
#ifdef BREAK_REGISTER_KEY_FIRST
	key = 1;
#endif
	busy--;
end:	skip
}
#endif

#ifdef WITH_AGE
/* page_reporting_report_age_ms() */
active proctype age()
{
	bit seen;

	/* smp_load_acquire() */
	seen = reporter;
	if
	:: seen -> atomic { assert(called_at_is_new || !reporter) }
	:: else
	fi
}
#endif

#if defined(BREAK_BEGIN_BARRIER) || defined(BREAK_ORDER_BARRIER) || defined(BREAK_WAKE_BARRIER)
/* Stores reach the other CPUs at last. */
active proctype store_buffers()
{
end:	do
	:: atomic { late_active -> state = ACTIVE; late_active = 0 }
	:: atomic { late_low -> low_wanted = !low_wanted; late_low = 0 }
	:: atomic { late_awake -> asleep = 0; late_awake = 0 }
	od
}
#endif

/* What must hold whenever nobody is inside of the engine. */
active proctype watch()
{
end:	do
	/* What is left to report has a pass to come. */
	:: atomic { quiet() && dev && !asleep && left() && due == NONE -> assert(false) }
	/* Who waits for a flush waits for no delay. */
	:: atomic { quiet() && dev && !frozen && request && due != NOW -> assert(false) }
	/* A new delay is that of what is queued, too. */
	:: atomic { quiet() && dev && delay_set && !failed && state == REQUESTED &&
		    due == LONG -> assert(false) }
	od
}

/* No free block stays unreported for ever, while the system is awake and there is a device. */
ltl reported { [] <> (!left() || !dev || asleep) }
