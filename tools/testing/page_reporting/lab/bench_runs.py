# SPDX-License-Identifier: GPL-2.0
"""The bench's workloads: each boots a guest or more, has it work, and measures it from the host.

A workload takes boot(), which makes a lab.vm.VM of the kernel to measure, and show(seconds, MiB,
text), and returns a Measured.
"""

import bisect
import contextlib
import statistics
from dataclasses import dataclass, field

from . import fall
from .process import read_sample

BLOCK_MIB = 2           # a pageblock of x86-64: what is reported unless somebody asks for less
WINDOW_S = 90           # how long memory that a guest freed may take to come back
SETTLED_S = 3
REPORTING_MS = 60000    # of guest time, for everything to be reported
ICOUNT = ("-icount", "shift=0,sleep=off")
GRID_S = 0.1            # for the sum over several guests


@dataclass(frozen=True)
class Measured:
    """The figures of one run; a figure of None has a reason. The curve is (s, resident MiB).

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
    """How many reported blocks were faulted in again, as the host sees it.

    A block that was reported is gone from QEMU's resident memory, and its next use brings it back:
    the refaults are the growth of resident memory, all increases from one sample (50 ms) to the
    next, in units of a block. The caller leaves out the first touch of memory. A block that leaves
    and returns within one sample is missed, so this is a lower bound; what the column without
    reporting shows is growth that no report explains.
    """
    return growth_mib(samples) / BLOCK_MIB


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


def watch(vm, name, show):
    """Wait for the event `name`, showing resident memory."""
    start = vm.samples[0].t
    while not vm.done and not any(event.name == name for event in vm.events):
        vm.sleep(0.2)
        show(vm.samples[-1].t - start, vm.samples[-1].rss_mib)
    return vm.wait_event(name)


# release

def release(boot, show, mem_mib, free_mib):
    """Memory freed at once: when 50, 90 and 99 % of it were back on the host."""
    steps = [["hog", f"mem={free_mib}M", "thp=always", f"limit={WINDOW_S + 600}"]]
    with boot(steps=steps, mem_mib=mem_mib, run_deadline_s=240 + WINDOW_S + mem_mib / 50) as vm:
        freeing = watch(vm, "freeing", show)
        end = watch_return(vm, freeing, free_mib, show)
        vm.send("quit")
        result = vm.finish()
    after = [(0.0, freeing.sample.rss_mib)] + [
        (sample.t - freeing.t, sample.rss_mib) for sample in between(result.samples, freeing.t, end)]
    figures, reasons = release_figures(after, free_mib)
    figures["host_cpu_s"] = result.cpu_s
    return Measured(figures, [result], curve(between(result.samples, 0, end), freeing.t), reasons)


def watch_return(vm, freeing, free_mib, show):
    """Watch until 99 % is back and no more comes, or the window is over: the last sample's time."""
    settling, enough = fall.Settling(SETTLED_S), freeing.sample.rss_mib - 0.99 * free_mib
    while True:
        vm.sleep(0.1)
        sample = vm.samples[-1]
        t = sample.t - freeing.t
        show(t, sample.rss_mib)
        if settling.settled(t, sample.rss_mib) and sample.rss_mib <= enough or t >= WINDOW_S:
            return sample.t


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

def churn(boot, show, mib, pause_ms, for_s):
    """Memory taken and freed again and again: what reporting in between costs, and what it saves."""
    steps = [["churn", f"mem={mib}M", f"pause={pause_ms}", f"for={for_s}", "thp=always"]]
    with boot(steps=steps, run_deadline_s=2 * for_s + pause_ms / 1000 + 120) as vm:
        churning = watch(vm, "churning", show)
        churned = watch(vm, "churned", show)
        result = vm.finish()
    cycles = [event for event in result.events if event.name == "cycle"]
    figures = churn_figures(cycles, between(result.samples, churning.t, churned.t))
    figures["host_cpu_s"] = result.cpu_s
    points = curve(between(result.samples, 0, churned.t), churning.t)
    reason = {} if len(cycles) > 1 else {"refaulted_blocks_per_cycle": "only one cycle"}
    return Measured(figures, [result], points, reason)


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
    """Every other MiB given back, then the rest: how much stays resident after each step."""
    cmdline = [f"page_reporting.page_reporting_order={order}", f"transparent_hugepage={thp}"]
    steps = [["params", "expect", f"order={order}"], ["fragment", f"mib={mib}", f"wait={wait_s}"]]
    with boot(steps=steps, cmdline=cmdline, run_deadline_s=2 * wait_s + 180) as vm:
        events = [watch(vm, name, show) for name in ("touched", "half", "all")]
        result = vm.finish()
    touched, half, everything = (event.sample.rss_mib for event in events)
    figures = {"touched_mib": touched, "half_released_mib": half, "all_released_mib": everything,
               "host_cpu_s": result.cpu_s}
    points = curve(between(result.samples, 0, events[2].t), events[0].t)
    return Measured(figures, [result], points)


# pack

def pack(boot, show, guests, mib, pause_ms, for_s, stagger_s):
    """Several guests on one host, each at its height at another time: what all of them need."""
    steps = [["churn", f"mem={mib}M", f"pause={pause_ms}", f"for={for_s}", "thp=always"]]
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
        begun, cycle = [vm.wait_event("churning") for _ in range(2)][1], watch(vm, "cycle", show)
        result = vm.finish()
    figures = {"insns": cycle.number("alloc_ns"), "fault_in_s": cycle.t - begun.t,
               "host_minflt": cycle.sample.minflt - begun.sample.minflt, "host_cpu_s": result.cpu_s}
    missing = free_mib * 0.95 - (max_rss_mib(result.samples, begun.t) - begun.sample.rss_mib)
    reasons = {}
    if missing > 0:
        figures = dict.fromkeys(figures)
        reasons = dict.fromkeys(figures, f"{missing:.0f} MiB were not reported before the reuse")
    return Measured(figures, [result], curve(result.samples, taken.t), reasons)


def max_rss_mib(samples, end):
    """The peak of resident memory up to `end`."""
    return max(sample.rss_mib for sample in samples if sample.t <= end)


# flush

def flush(boot, show, free_mib, wait_s):
    """Before a snapshot: memory freed, a wait, a pause; what a snapshot would have to hold."""
    steps = [["hog", f"mem={free_mib}M", "thp=always"]]
    with boot(steps=steps, run_deadline_s=wait_s + 240) as vm:
        freed = watch(vm, "freed", show)
        vm.sleep(wait_s)
        paused = read_sample(vm.pid)
        vm.send("quit")
        result = vm.finish()
    figures = {"rss_at_pause_mib": paused.rss_mib, "host_cpu_s": result.cpu_s}
    return Measured(figures, [result], curve(between(result.samples, 0, paused.t), freed.t))


WORKLOADS = {workload.__name__: workload for workload in (release, churn, fragment, reuse, pack, flush)}
