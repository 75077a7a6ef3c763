# SPDX-License-Identifier: GPL-2.0
"""The bench's workloads: each boots a guest or more, has it work, and measures it from the host.

A workload takes boot(build="", modules=(), ...), which makes a lab.vm.VM of the kernel to measure,
with those modules in its initramfs, and show(seconds, MiB), and returns a Measured. boot.column is the
kernel's column in the table.
"""

import bisect
import contextlib
import os
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass, field

from . import fall, files, host, image, paths, qmp
from .errors import LabError

BLOCK_MIB = 2           # a pageblock of x86-64: what is reported unless somebody asks for less
WINDOW_S = 90           # how long memory that a guest freed may take to come back
SETTLED_S = 3
LEARNED_S = 5           # from the begin of a churn, for the kernel to know it
IDLE_WORDS = {"short": "less than 1.4 s", "long": "1.4 s or longer"}    # as in guest/churn.c
USERLAND_UP_S = 600     # for systemd to have started everything, under TCG, with others beside
REPORTING_MS = 60000    # of guest time, for everything to be reported
ICOUNT = ("-icount", "shift=0,sleep=off")
PAGE_MIB = 4 / 1024     # of x86-64
GRID_S = 0.1            # for the sum over several guests


@dataclass(frozen=True)
class Measured:
    """The figures of one run; a figure of None has a reason. The curve is (s, resident MiB), empty
    where memory over time is not the point.

    results: what lab.vm says of each guest that took part
    """

    figures: dict
    results: list
    points: list
    reasons: dict = field(default_factory=dict)


def growth_mib(samples):
    """The sum of all increases of resident memory from one sample to the next, in MiB."""
    return sum(max(0, after.rss_mib - before.rss_mib) for before, after in zip(samples, samples[1:]))


def refaulted_blocks(samples):
    """How many reported blocks were faulted in again, as docs/bench.md says. The caller leaves out the first touch of
    memory. What the column without reporting shows is growth that no report explains."""
    return growth_mib(samples) / BLOCK_MIB


def regrowth_mib(samples):
    """The part of growth_mib() that came back to where resident memory had been before, in MiB:
    where first touches cannot be left out, they are what went beyond."""
    return growth_mib(samples) - (max(sample.rss_mib for sample in samples) - samples[0].rss_mib)


def mean_rss_mib(samples):
    """Resident memory, averaged over time."""
    area = sum(before.rss_mib * (after.t - before.t) for before, after in zip(samples, samples[1:]))
    return area / (samples[-1].t - samples[0].t)


def between(samples, start, end):
    """The samples from `start` to `end`, times of the host's monotonic clock."""
    return [sample for sample in samples if start <= sample.t <= end]


def curve(samples, origin):
    """The samples as (seconds since `origin`, resident MiB), rounded for a file."""
    return [[round(sample.t - origin, 3), round(sample.rss_mib, 1)] for sample in samples]


def measured(result, figures, reasons=None, start=None, end=None, lost=None):
    """A Measured of one guest: with the host's CPU time, and the curve up to the event `end`, in seconds since `start`.

    reasons: why figures are None; others are left out. lost: why none of the figures counts
    """
    if "host_cpu_s" not in figures:
        figures = figures | {"host_cpu_s": result.cpu_s}
    if lost:
        figures, reasons = dict.fromkeys(figures), dict.fromkeys(figures, lost)
    points = curve(between(result.samples, 0, end.t), start.t) if end else []
    reasons = {name: why for name, why in (reasons or {}).items() if figures[name] is None}
    return Measured(figures, [result], points, reasons)


def counted(event, name):
    """What a counter of the guest's kernel has in an event; None if the kernel has no such counter."""
    number = event.number(name)
    return number if number >= 0 else None


MEMORY_MS = 2000        # from one look at what the guest's memory is used for to the next
MEMORY_KINDS = ("used", "cache", "small", "backed")


def decomposed(step):
    """A guest's step, with guest/memory.c around it: used, page cache, free in blocks below 2 MiB, free but backed.

    Not for what counts instructions.
    """
    return ["memory", f"every={MEMORY_MS}", *step]


def memory(events):
    """What decomposed() steps reported: (s of the guest's clock, and MiB of each of MEMORY_KINDS); None if unknown."""
    def mib(event, name):
        kib = counted(event, name)
        return None if kib is None else round(kib / 1024, 1)
    return [[event.number("t_ms") / 1000, *(mib(event, name) for name in MEMORY_KINDS)]
            for event in events if event.name == "memory"]


def watch(vm, name, show, *others):
    """Wait for the event `name`, or one of `others`, showing resident memory."""
    start, names = vm.samples[0].t, (name, *others)
    while not (found := [event.name for event in vm.events if event.name in names]) and not vm.done:
        vm.sleep(0.2)
        show(vm.samples[-1].t - start, vm.samples[-1].rss_mib)
    return vm.wait_event(found[0] if found else name)


def follow(vm, show, *names):
    """Wait for events in turn, and until the guest has powered off: the events and the Result, as one tuple."""
    return *(watch(vm, name, show) for name in names), vm.finish()


# release

def release(boot, show, mem_mib, free_mib):
    """Memory freed at once: when 50, 90 and 99 % of it were back on the host."""
    steps = [decomposed(["hog", f"mem={free_mib}M", "thp=always", f"limit={WINDOW_S + 600}"])]
    with boot(steps=steps, mem_mib=mem_mib, run_deadline_s=240 + WINDOW_S + mem_mib / 50) as vm:
        freeing = watch(vm, "freeing", show)
        end = watch_return(vm, freeing, free_mib, show)
        vm.send("quit")
        result = vm.finish()
    after = [(0.0, freeing.sample.rss_mib)] + [
        (sample.t - freeing.t, sample.rss_mib) for sample in between(result.samples, freeing.t, end.t)]
    return measured(result, *release_figures(after, free_mib), freeing, end)


def watch_return(vm, freeing, free_mib, show):
    """Watch until 99 % is back and no more comes, or the window is over: the last sample."""
    settling, enough = fall.Settling(SETTLED_S), freeing.sample.rss_mib - 0.99 * free_mib
    while True:
        vm.sleep(0.1)
        sample = vm.samples[-1]
        t = sample.t - freeing.t
        show(t, sample.rss_mib)
        if settling.settled(t, sample.rss_mib) and sample.rss_mib <= enough or t >= WINDOW_S:
            return sample


def release_figures(after, free_mib):
    """The times of 50, 90 and 99 % of what was freed, from the curve since then, and the reasons."""
    start, figures, reasons = after[0][1], {}, {}
    for share in fall.SHARES:
        t = fall.time_to(after, start - free_mib * share / 100)
        figures[f"t{share}_s"] = t
        if t is None:
            reasons[f"t{share}_s"] = f"less than {share} % was back after {after[-1][0]:.0f} s"
    figures["returned_pct"] = 100 * (start - min(mib for _, mib in after)) / free_mib
    return figures, reasons


# churn

def churn_words(mib, pause_ms, for_s, of="thp"):
    """The options of guest/churn.c. `of` is what is taken: thp, 4k, tmpfs or blocks (orders 4 to 8)."""
    kinds = {"thp": ["thp=always"], "4k": ["thp=never"], "tmpfs": ["of=tmpfs"], "blocks": ["of=blocks"]}
    return [f"mem={mib}M", f"pause={pause_ms}", f"for={for_s}", *kinds[of]]


def churn(boot, show, mib, pause_ms, for_s, of="thp", beside=None):
    """Memory taken and freed again and again: what reporting in between costs, and what it saves.

    beside: the same arguments of a second churn in the same guest.
    """
    steps, modules = [["churn", *churn_words(mib, pause_ms, for_s, of)]], ()
    if beside:
        steps[0] += ["beside", *churn_words(for_s=for_s, **beside)]
    steps[0] = decomposed(steps[0])
    if of == "blocks":
        steps, modules = [["module", "load", "blocks"], *steps], ("blocks",)
    with boot(steps=steps, modules=modules, run_deadline_s=2 * for_s + pause_ms / 1000 + 120) as vm:
        churning, churned, result = follow(vm, show, "churning", "churned")
    cycles = [event for event in result.events if event.name == "cycle"]
    samples = between(result.samples, churning.t, churned.t)
    figures, reasons = churn_figures(cycles, samples), {"refaulted_blocks_per_cycle": "only one cycle"}
    figures["settled_refault_pct"] = settled_refault_pct(cycles, samples)
    reasons["settled_refault_pct"] = f"no two cycles after the second use and {LEARNED_S} s"
    idle, why = idle_figures(result.events, samples)
    figures |= idle | {
        "passes_per_s": per_second("passes", churning, churned),
        "worker_cpu_pct": churned.number("workers_ms") / (churned.t - churning.t) / 10}
    reasons |= why | {"passes_per_s": "this kernel counts no passes"}
    return measured(result, figures, reasons, churning, churned)


def per_second(counter, before, after):
    """How fast a counter of the guest's kernel rose between two events; None if the kernel has no such counter."""
    if counted(before, counter) is None:
        return None
    return (after.number(counter) - before.number(counter)) / (after.t - before.t)


def taken_mib(before, after, kinds=("never", "short", "long")):
    """What was taken between two events "cycle", of memory idle for as long as `kinds` says."""
    return sum(after.number(f"{kind}_mib") - before.number(f"{kind}_mib") for kind in kinds)


def settled_refault_pct(cycles, samples):
    """Of the memory that was taken once the kernel could know the churn, how much was refaulted."""
    known = learned(cycles, samples[0].t)
    if len(known) < 2:
        return None
    return 100 * growth_mib(between(samples, known[0].t, known[-1].t)) / taken_mib(known[0], known[-1])


def learned(cycles, start):
    """The cycles since the kernel could know the churn: all memory was used a second time, LEARNED_S are over."""
    return [event for event in cycles if event.t >= start + LEARNED_S
            and event.number("short_mib") + event.number("long_mib") >= event.number("never_mib")]


def idle_figures(events, samples):
    """How much of what is taken is refaulted, apart by how long it was idle: the figures, and the reasons of others.

    docs/bench.md says what their names mean. Neither short nor long is the first use of memory. The pauses count as
    short. The event of a change arrives some ms late, and where two churns work side by side, the kinds may change more
    often than samples are taken.
    """
    cycles = [event for event in events if event.name == "cycle"]
    runs = [event for event in events if event.name == "run"]
    figures, reasons = {}, {}
    for prefix, spans in (("", cycles), ("settled_", learned(cycles, samples[0].t))):
        for kind in ("short", "long"):
            names = f"{prefix}{kind}_refault_pct", f"{prefix}{kind}_counted_pct"
            taken = taken_mib(spans[0], spans[-1], [kind]) if spans else 0
            figures |= dict.fromkeys(names)
            reasons |= dict.fromkeys(names, f"nothing that was taken again was idle for {IDLE_WORDS[kind]}")
            if not taken:
                continue
            figures[names[0]] = 100 * kind_growth_mib(samples, runs, kind, spans[0].t, spans[-1].t) / taken
            counted = [event.number(f"{kind}_refaults") for event in (spans[0], spans[-1])]
            reasons[names[1]] = "this kernel counts no refaults"
            if counted[0] >= 0:
                figures[names[1]] = 100 * (counted[1] - counted[0]) * PAGE_MIB / taken
    return figures, reasons


def kind_growth_mib(samples, runs, kind, start, end):
    """Growth of resident memory from `start` to `end`, in the runs of memory that was idle for as long as `kind` says.

    Each increase belongs to the run that was on when it was seen.
    """
    times, grown = [event.t for event in runs], 0
    for before, after in zip(samples, samples[1:]):
        if start < after.t <= end and after.rss_mib > before.rss_mib:
            index = bisect.bisect_left(times, after.t) - 1
            now = runs[index].fields["idle"] if index >= 0 else "never"
            grown += (after.rss_mib - before.rss_mib) * (now == kind)
    return grown


def churn_figures(cycles, samples):
    """The figures of a churn; refaults only after the first cycle, which touches memory first."""
    later = between(samples, cycles[0].t, samples[-1].t)
    return {"cycles": len(cycles),
            "mean_alloc_ms": sum(event.number("alloc_ns") for event in cycles) / len(cycles) / 1e6,
            "refaulted_blocks_per_cycle":
                refaulted_blocks(later) / (len(cycles) - 1) if len(cycles) > 1 else None,
            "host_minflt": samples[-1].minflt - samples[0].minflt,
            "mean_rss_mib": mean_rss_mib(samples)}


# fragment

def fragment(boot, show, mib, wait_s, order, thp):
    """Every other MiB given back, then the rest: how much stays resident after each step.

    `order` is None for what the kernel reports by default.
    """
    cmdline, steps = [f"transparent_hugepage={thp}"], [decomposed(["fragment", f"mib={mib}", f"wait={wait_s}"])]
    if order is not None:
        cmdline.append(f"page_reporting.page_reporting_order={order}")
        steps.insert(0, ["params", "expect", f"order={order}"])
    with boot(steps=steps, cmdline=cmdline, run_deadline_s=2 * wait_s + 180) as vm:
        *events, result = follow(vm, show, "touched", "half", "all")
    names = ("touched_mib", "half_released_mib", "all_released_mib")
    figures = {name: event.sample.rss_mib for name, event in zip(names, events)}
    return measured(result, figures, start=events[0], end=events[2])


# hostpages

def hostpages(boot, show, mib, each_kib, hole_kib, wait_s, huge=True):
    """A hole given back in each piece of the guest's memory, which is in 4 KiB pages: what comes back to the host, and
    what that costs it in huge pages.

    lost_huge_mib is by how much huge pages fell beyond what came back. The splits are those of the whole host, so that
    nobody else should work on it.

    huge: False for QEMU without huge pages.
    """
    program = ["fragment", f"mib={mib}", f"wait={wait_s}", f"each={each_kib}", f"hole={hole_kib}", "hold=2"]
    with boot(steps=[decomposed(program)], cmdline=["transparent_hugepage=madvise"], host_thp=huge,
              run_deadline_s=2 * wait_s + 240) as vm:
        states = []
        for name in ("touched", "half"):
            event = watch(vm, name, show)
            states.append((event, vm.huge_mib(), *host.splits()))
        result = vm.finish()
    (before, huge_before, *splits_before), (after, huge_after, *splits_after) = states
    figures = resident_figures(before, after, huge_before, huge_after) | {
        "huge_before_mib": huge_before, "huge_after_mib": huge_after,
        "host_splits": splits_after[0] - splits_before[0], "host_deferred_splits": splits_after[1] - splits_before[1]}
    reason, lost = host.no_huge_pages_reason() if huge else "QEMU runs without huge pages here", {}
    if reason:
        lost = dict.fromkeys(("huge_before_mib", "huge_after_mib", "lost_huge_mib", "host_splits",
                              "host_deferred_splits"), reason)
    return measured(result, figures | dict.fromkeys(lost), lost, before, after)


def resident_figures(before, after, huge_before_mib, huge_after_mib):
    """What was resident at two events, and by how much huge pages fell beyond what resident memory fell."""
    before_mib, after_mib = before.sample.rss_mib, after.sample.rss_mib
    return {"before_mib": before_mib, "after_mib": after_mib,
            "lost_huge_mib": max(0.0, (huge_before_mib - huge_after_mib) - max(0.0, before_mib - after_mib))}


# scatter and steady

COMPACT = "page_reporting.page_reporting_compact"


def scatter(boot, show, mib, free_pct, wait_s, flush=False):
    """Single pages given back one by one, in no order: what comes back to the host, and what that costs it in huge
    pages and the guest in moves and CPU time. What is left is compared with what was written.

    flush: make whole blocks and report them by a flush, in the middle of the wait.
    """
    program = ["scatter", f"mib={mib}", f"free={free_pct}", f"wait={wait_s}", f"flush={flush:d}"]
    with boot(steps=[decomposed(program)], cmdline=["transparent_hugepage=madvise"],
              run_deadline_s=2 * wait_s + 300) as vm:
        states = []
        for name in ("touched", "settled"):
            event = watch(vm, name, show)
            states.append((event, vm.huge_mib()))
        vm.wait_event("intact")
        result = vm.finish()
    (before, huge_before), (after, huge_after) = states
    figures = {name: counted(after, name) for name in ("moved", "emptied", "failed", "refaults")}
    reasons = dict.fromkeys(figures, "this kernel has no such counter")
    figures |= resident_figures(before, after, huge_before, huge_after)
    figures["worker_cpu_s"] = after.number("workers_ms") / 1000
    if flush:
        flushed = next(event for event in result.events if event.name == "flushed")
        figures["flush_s"] = flushed.number("took_ms") / 1000
    if reason := host.no_huge_pages_reason():
        figures["lost_huge_mib"], reasons["lost_huge_mib"] = None, reason
    return measured(result, figures, reasons, before, after)


def steady(boot, show, mib, for_s, compact=True):
    """A program that holds half of its memory in single pages, and replaces pages at random: what making whole blocks
    costs it. The first page is replaced when the other half was given back, so that moves fall into the time measured.

    compact: False switches it off, where the kernel has it.
    """
    cmdline = ["transparent_hugepage=madvise"] + ([] if compact else [f"{COMPACT}=0"])
    steps = [decomposed(["scatter", f"mib={mib}", "free=50", "wait=0", f"churn={for_s}"])]
    with boot(steps=steps, cmdline=cmdline, run_deadline_s=2 * for_s + 300) as vm:
        settled, churned, _, result = follow(vm, show, "settled", "churned", "intact")
    figures = {"replaced": churned.number("count"), "mean_us": churned.number("mean_ns") / 1000,
               "worker_cpu_pct": churned.number("workers_ms") / for_s / 10,
               "mean_rss_mib": mean_rss_mib(between(result.samples, settled.t, churned.t))}
    figures |= {f"{what}_p{part}_us": churned.number(f"{what}_p{part}_ns") / 1000
                for what in ("touch", "read") for part in ("50", "99", "999")}
    return measured(result, figures, start=settled, end=churned)


# stall

STALL_AFTER_S = 5       # after each stop, for what it made the kernel do


def stall(boot, show, mib, pause_ms, of, stops, stop_s, qmp_stop_s):
    """A known churn, and the whole guest stopped for a while: by SIGSTOP, where its clock goes on, and by QMP, where it
    does not. What the kernel reports for that is refaulted in the seconds after."""
    for_s = 3 * LEARNED_S + stops * (stop_s + STALL_AFTER_S) + 2 * STALL_AFTER_S    # of the guest's time
    steps = [decomposed(["churn", *churn_words(mib, pause_ms, round(for_s), of)])]
    deadline_s = 2 * for_s + qmp_stop_s + 120
    with tempfile.TemporaryDirectory(prefix="page-reporting-qmp-") as folder, \
            boot(steps=steps, extra_args=qmp.arguments(f"{folder}/qmp"), run_deadline_s=deadline_s) as vm:
        churning = watch(vm, "churning", show)
        vm.sleep(3 * LEARNED_S)
        ends = []
        for _ in range(stops):
            with stopped(vm.pid):
                time.sleep(stop_s)
            ends.append(vm.samples[-1].t)
            vm.sleep(STALL_AFTER_S)
        with qmp.Monitor(f"{folder}/qmp") as monitor:
            monitor.execute("stop")
            time.sleep(qmp_stop_s)
            monitor.execute("cont")
        continued = vm.samples[-1].t
        vm.sleep(STALL_AFTER_S)
        churned, result = follow(vm, show, "churned")
    cycles = [event for event in result.events if event.name == "cycle"]
    figures, reasons = {}, {}
    for how, times in (("sigstop", ends), ("qmp", [continued])):
        refaulted, churned_mib = after_stops(result.samples, cycles, times)
        figures[f"{how}_refaulted_mib"] = refaulted / len(times)
        figures[f"{how}_refault_pct"] = 100 * refaulted / churned_mib if churned_mib else None
        reasons[f"{how}_refault_pct"] = f"no whole cycle in {STALL_AFTER_S} s"
    return measured(result, figures, reasons, churning, churned)


@contextlib.contextmanager
def stopped(pid):
    """Have the process stand still meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def after_stops(samples, cycles, times):
    """In the STALL_AFTER_S after each of `times`: by how much resident memory grew, and what was churned, in MiB.

    A cycle counts where it ends.
    """
    refaulted = churned = 0
    for t in times:
        refaulted += growth_mib(between(samples, t, t + STALL_AFTER_S))
        churned += sum(taken_mib(before, after) for before, after in zip(cycles, cycles[1:])
                       if t < after.t <= t + STALL_AFTER_S)
    return refaulted, churned


# idle

def idle(boot, show, settle_s, for_s, touch_mib):
    """How often reporting wakes a guest that is at rest, or has a daemon that takes and frees memory once a second.

    Counted are works and timers whose function has page_reporting in its name: by trace events, so that it takes a
    kernel with tracing, which is booted for nothing else but the irqsoff tracer. A delayed work counts as a work, its
    timer not again.
    """
    steps = [["idle", f"settle={settle_s}", f"for={for_s}", f"touch={touch_mib}"]]
    with boot(steps=steps, build="trace", run_deadline_s=settle_s + for_s + 120) as vm:
        return watch_idle(vm, show)


def idle_userland(boot, show, settle_s, for_s):
    """The same of a Debian userland at rest: systemd is the first process, and the root is on a disk.

    The disk's writes are thrown away.
    """
    with files.locked(paths.BUILD / "userland.lock"):
        disk = image.make(None, paths.BUILD / "userland", [paths.BUILD / "guest-programs" / "idle"])
    cmdline = ["root=/dev/vda", "rw", f"page-reporting-lab=idle,settle={settle_s},for={for_s}"]
    drive = ["-drive", f"file={disk},format=raw,if=virtio,snapshot=on"]
    with boot(build="userland", initrd=None, cmdline=cmdline, extra_args=drive, boot_deadline_s=USERLAND_UP_S,
              run_deadline_s=settle_s + for_s + 240) as vm:
        up = vm.events[0]
        if (up.fields["init"], up.fields["state"]) != ("systemd", "running"):
            raise LabError(f"boot a userland: process 1 is {up.fields['init']}, and systemd says that it is "
                           f"{up.fields['state']}, not running")
        return watch_idle(vm, show)


def watch_idle(vm, show):
    """What guest/idle.c counts, as figures."""
    resting, rested, result = follow(vm, show, "resting", "rested")
    figures = {"works": rested.number("works"), "timers": rested.number("timers"), "passes": counted(rested, "passes"),
               "host_cpu_s": rested.sample.cpu_s - resting.sample.cpu_s}
    return measured(result, figures, {"passes": "this kernel counts no passes"})


# pack

def pack(boot, show, guests, mib, pause_ms, for_s, stagger_s):
    """Several guests on one host, each at its height at another time: what all of them need."""
    steps = [decomposed(["churn", *churn_words(mib, pause_ms, for_s)])]
    deadline_s = 3 * for_s + guests * stagger_s + 300
    with contextlib.ExitStack() as stack:
        vms = []
        for _ in range(guests):
            vms.append(stack.enter_context(boot(steps=steps, run_deadline_s=deadline_s)))
            begun = watch(vms[-1], "churning", show)
            vms[-1].sleep(stagger_s)
        ends = [watch(vm, "churned", show).t for vm in vms]
        results = [vm.finish() for vm in vms]
    points = total([result.samples for result in results], begun.t, min(ends))
    figures = {"peak_mib": max(mib for _, mib in points),
               "mean_mib": statistics.fmean(mib for _, mib in points),
               "host_cpu_s": sum(result.cpu_s for result in results)}
    return Measured(figures, results, [[round(t - begun.t, 3), round(mib, 1)] for t, mib in points])


def total(series, start, end):
    """The sum of resident memory of several guests, every GRID_S from `start` to `end`."""
    times = [start + GRID_S * i for i in range(int((end - start) / GRID_S) + 1)]
    return [(t, sum(resident_at(samples, t) for samples in series)) for t in times]


def resident_at(samples, t):
    """Resident memory in the last sample up to `t`."""
    index = bisect.bisect_right(samples, t, key=lambda sample: sample.t)
    return samples[max(0, index - 1)].rss_mib


# reuse

def reuse(boot, show, free_mib, mib, thp):
    """Memory that was reported taken into use again: what that costs the guest, and the host.

    Guest time counts instructions here: one a nanosecond, and none is spent on waiting for the host.
    """
    steps = [["churn", f"mem={free_mib}M", f"pause={REPORTING_MS}", "count=1", "thp=always"],
             ["churn", f"mem={mib}M", "count=1", f"thp={thp}"]]
    with boot(steps=steps, smp=1, accel="tcg", extra_args=ICOUNT, run_deadline_s=300) as vm:
        taken = [watch(vm, name, show) for name in ("cycle", "churned")][0]
        begun = [vm.wait_event("churning") for _ in range(2)][1]
        cycle, result = follow(vm, show, "cycle")
    figures = {"insns": cycle.number("alloc_ns"), "fault_in_s": cycle.t - begun.t,
               "host_minflt": cycle.sample.minflt - begun.sample.minflt}
    peak_mib = max(sample.rss_mib for sample in between(result.samples, 0, begun.t))
    missing = free_mib * 0.95 - (peak_mib - begun.sample.rss_mib)
    lost = f"{missing:.0f} MiB were not reported before the reuse" if missing > 0 else None
    return measured(result, figures, start=taken, end=result.samples[-1], lost=lost)


# flush

def flush(boot, show, free_mib, wait_s):
    """Before a snapshot: memory freed, a flush, or a wait where the kernel has none, and a pause;
    what a snapshot would have to hold."""
    steps = [decomposed(["hog", f"mem={free_mib}M", "thp=always"]), ["flush", f"wait={wait_s}"]]
    with boot(steps=steps, run_deadline_s=wait_s + 240) as vm:
        freed = watch(vm, "freed", show)
        vm.send("quit")
        paused = watch(vm, "flushed", show, "waited")
        result = vm.finish()
    lost = "this kernel has no flush file yet" if boot.column == "ours" and paused.name == "waited" else None
    return measured(result, {"rss_at_pause_mib": paused.sample.rss_mib}, start=freed, end=paused, lost=lost)


# split

def split(boot, show, mem_mib, mib, order, pause_ms):
    """Reported memory taken in small pieces, for good: how much of what is left is reported again."""
    steps = [["module", "load", "measure", "what=split", f"mib={mib}", f"order={order}",
              f"pause_ms={pause_ms}"], ["module", "show", "measure"]]
    with boot(steps=steps, modules=("measure",), balloon=None, smp=1, mem_mib=mem_mib, accel="tcg",
              extra_args=ICOUNT, run_deadline_s=300) as vm:
        said, result = follow(vm, show, "module")
    reported, repeated = said.number("reported_pages"), said.number("repeated_pages")
    return measured(result, {"reported_per_reportable": reported / (reported - repeated),
                             "repeated_mib": repeated * PAGE_MIB})


# scale

def scale_guest(mem_mib, *options):
    """The steps that count passes, and what else to boot them with."""
    load = [["module", "load", "measure", "what=passes", *options], ["module", "show", "measure"]]
    return load, {"modules": ("measure",), "balloon": None, "smp": 1, "mem_mib": mem_mib, "accel": "tcg",
                  "extra_args": ICOUNT, "boot_deadline_s": 300, "run_deadline_s": 600}


def one_block(boot, show, mem_mib, migratetype, busy=False):
    """What the passes cost that follow when one block of a type is freed, all else having been reported.

    busy: have an unmovable block beside it that is never idle for longer than 100 ms: with pacing, it is not reported,
    so that the zone has an unreported block of another type. busy_reported_mib is what was reported of it nevertheless.
    """
    load, size = scale_guest(mem_mib, f"type={migratetype}", f"busy={busy:d}")
    with boot(steps=load, **size) as vm:
        said, result = follow(vm, show, "module")
    insns = said.number("one_block_pass_insns") if said.fields["late"] != "Y" else None
    figures = {"one_block_pass_insns": insns, "busy_reported_mib": said.number("busy_pages") * PAGE_MIB}
    return measured(result, figures, {"one_block_pass_insns": "the block was not reported within 60 s"})


def scale(boot, show, mem_mib):
    """What a pass costs when all memory, or all but one block, has been reported already."""
    load, size = scale_guest(mem_mib)
    with boot(steps=load, **size) as vm:
        said, result = follow(vm, show, "module")
    with boot(steps=[["irqsoff", "start"], *load, ["irqsoff", "show"]], build="trace", **size) as vm:
        traced, with_tracer = follow(vm, show, "irqsoff")
    figures = {"idle_pass_insns": said.number("idle_pass_insns"),
               "one_block_pass_insns": said.number("one_block_pass_insns"),
               "max_irqsoff_us": traced.number("max_us"),
               "host_cpu_s": result.cpu_s + with_tracer.cpu_s}
    return Measured(figures, [result, with_tracer], [])


# hotpath

BALLOON = {"off": None, "nodevice": "off", "device": "on"}


def hotpath(boot, show, order, cpus, state, largest=0):
    """Blocks allocated and freed at once: what that costs without the feature, without a device,
    and with a device that has nothing to do. largest: each time, a largest block is split and merged."""
    steps = [["churn", "mem=4M", f"pause={REPORTING_MS}", "count=1"],
             ["module", "load", "measure", "what=pairs", f"order={order}", f"cpus={cpus}",
              f"largest={largest}"],
             ["module", "show", "measure"]]
    with boot(steps=steps, build="off" if state == "off" else "", modules=("measure",),
              balloon=BALLOON[state], smp=cpus, mem_mib=512, accel="tcg", extra_args=ICOUNT,
              run_deadline_s=200) as vm:
        said, result = follow(vm, show, "module")
    return measured(result, {"insns_per_pair": said.number("insns_per_pair")})


# build

HOST_ROOT = ("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap")
RECORDED = paths.REPO / "tools/testing/page_reporting/pacing/recorded"
INCLUDED = ("scripts/include", "tools/include", "tools/include/uapi", "tools/lib",
            "scripts/dtc/libfdt")


def compile_list(patterns):
    """A file with the arguments of all compilations, one a line, of files in the base kernel's tree."""
    flags = " ".join(f"-I{paths.BASE_TREE / folder}" for folder in INCLUDED)
    sources = [path for pattern in patterns for path in sorted(paths.BASE_TREE.glob(pattern))]
    listed = paths.BUILD / "compile.list"
    listed.write_text("".join(f"-O2 -w {flags} -c {path}\n" for path in sources), encoding="utf-8")
    return listed


def compile_load(boot, show, files, jobs, tail_s):
    """C files compiled by the host's compiler, in the guest: the footprint of a busy system."""
    steps = [decomposed(["compile", f"list={compile_list(files)}", f"jobs={jobs}", f"tail={tail_s}"])]
    with boot(steps=steps, mem_mib=1024, extra_args=HOST_ROOT, run_deadline_s=600) as vm:
        compiling, compiled, idle_at, result = follow(vm, show, "compiling", "compiled", "idle")
    return built(result, compiling, compiled, idle_at)


def rebuild(boot, show, patterns, jobs, wait_s, rest_s, mem_mib=4096):
    """A build, its objects removed, and the caches dropped: what stays of it on the host each time.

    used_mib is all but free memory at the end, with the kernel itself.
    """
    steps = [decomposed(["compile", f"list={compile_list(patterns)}", f"jobs={jobs}", f"tail={wait_s}"]),
             decomposed(["clean", f"wait={wait_s}", f"rest={rest_s}"])]
    with boot(steps=steps, mem_mib=mem_mib, extra_args=HOST_ROOT, run_deadline_s=600) as vm:
        compiling, built_at, cleaned, rested, result = follow(vm, show, "compiling", "idle", "cleaned", "rested")
    used_mib = mem_mib - rested.number("free_kib") / 1024
    resident = {"built_mib": built_at.sample.rss_mib, "cleaned_mib": cleaned.sample.rss_mib,
                "rested_mib": rested.sample.rss_mib}
    figures = {**resident, "used_mib": used_mib, "resident_per_used": resident["rested_mib"] / used_mib}
    return measured(result, figures, start=compiling, end=rested)


def demand(boot, show, trace, rounds):
    """The memory that a recorded build took, taken and freed at the pace of the machine that built:
    under TCG a compiler takes a dozen times as long, and nothing else that matters here does."""
    path = RECORDED / f"{trace}.csv"
    steps = [decomposed(["demand", f"trace={path}", f"rounds={rounds}"])]
    with boot(steps=steps, mem_mib=1024, extra_args=HOST_ROOT, run_deadline_s=600) as vm:
        demanding, demanded, result = follow(vm, show, "demanding", "demanded")
    return built(result, demanding, demanded, demanded)


def built(result, start, done, end):
    """The figures of a build: its footprint from the event `start` to `end`, and the time that `done` says."""
    footprint = between(result.samples, start.t, end.t)
    figures = {"gib_min": mean_rss_mib(footprint) / 1024 * (footprint[-1].t - footprint[0].t) / 60,
               "run_s": done.number("took_ms") / 1000,
               "refaulted_blocks": regrowth_mib(footprint) / BLOCK_MIB}
    return measured(result, figures, start=start, end=end)


WORKLOADS = {workload.__name__: workload for workload in (
    release, churn, fragment, hostpages, stall, idle, idle_userland, reuse, split, scale, one_block, hotpath,
    compile_load, demand, rebuild, pack, flush, scatter, steady)}
