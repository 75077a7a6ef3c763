# SPDX-License-Identifier: GPL-2.0
"""What the bench measures: its scenarios, their variants and figures, and the order of the runs.

With the standard library alone: it is read before anything is installed or built.
"""

from dataclasses import dataclass, replace

KERNELS = ("stock", "ours")
WITH_OFF = ("stock", "ours", "off")     # off: the stock kernel, its balloon without reporting
# User space code of the base kernel, which needs no configuration; a minute's work under TCG.
COMPILED = ["tools/lib/bpf/[bn]*.c", "scripts/kconfig/e*.c"]
EXACT_RUNS = 2                          # of what is counted: to see that it is the same twice
# Raise it with each change to how the lab starts a guest, reads its memory or computes a figure: records of another
# method do not count, and what else changes in the lab leaves them as they are.
METHOD = 1


@dataclass(frozen=True)
class Figure:
    """One number of a run; an exact one is counted, and should be the same in every run."""

    name: str
    unit: str
    better: str = "lower"
    exact: bool = False


@dataclass(frozen=True)
class Variant:
    """One workload of a scenario.

    workload: the name of a function in bench_runs, and its keyword arguments
    seconds: what one run takes, about, for the estimate of the time that is left
    together: how many runs of the scenario go on at the same time; more than one where the guests
        are idle most of the time, or where the figures do not depend on time
    runs: how many runs it takes, where that is fixed: of what is counted
    builds: the kernels that it boots, by what their names end in
    modules: what they are built against, from module/
    """

    scenario: str
    name: str
    figures: tuple
    workload: tuple
    columns: tuple = KERNELS
    seconds: int = 0
    together: int = 1
    runs: int | None = None
    builds: tuple = ("",)
    modules: tuple = ()

    @property
    def title(self):
        """How the variant is called on the screen."""
        return f"{self.scenario} {self.name}"


@dataclass(frozen=True)
class Job:
    """One run: a variant on one kernel."""

    variant: Variant
    column: str
    repeat: int

    @property
    def title(self):
        """How the run is called on the screen."""
        return f"{self.variant.title}, {self.column}, run {self.repeat}"

    @property
    def stem(self):
        """How the run is called in file names."""
        return f"{self.variant.scenario}-{self.variant.name}-{self.column}-{self.repeat}"


HOST_CPU = Figure("host_cpu_s", "s")
RELEASE = (Figure("t50_s", "s"), Figure("t90_s", "s"), Figure("t99_s", "s"),
           Figure("returned_pct", "%", "higher"), HOST_CPU)
CHURN = (Figure("cycles", "", "higher"), Figure("mean_alloc_ms", "ms"),
         Figure("refaulted_blocks_per_cycle", "blocks"), Figure("settled_refault_pct", "%"),
         *(Figure(f"{prefix}{kind}_{how}_pct", "%") for kind in ("short", "long") for how in ("refault", "counted")
           for prefix in ("", "settled_")), Figure("passes_per_s", "1/s"),
         Figure("worker_cpu_pct", "%"), Figure("host_minflt", "faults"), Figure("mean_rss_mib", "MiB"),
         HOST_CPU)
FRAGMENT = (Figure("touched_mib", "MiB"), Figure("half_released_mib", "MiB"),
            Figure("all_released_mib", "MiB"), HOST_CPU)
HOSTPAGES = (Figure("before_mib", "MiB"), Figure("after_mib", "MiB"), Figure("huge_before_mib", "MiB", "higher"),
             Figure("huge_after_mib", "MiB", "higher"), Figure("lost_huge_mib", "MiB"), Figure("host_splits", ""),
             Figure("host_deferred_splits", ""), HOST_CPU)
SCATTER = (Figure("before_mib", "MiB"), Figure("after_mib", "MiB"), Figure("lost_huge_mib", "MiB"),
           Figure("moved", "pages"), Figure("emptied", "pageblocks", "higher"), Figure("failed", "pageblocks"),
           Figure("refaults", "pages"), Figure("worker_cpu_s", "s"), HOST_CPU)
SCATTER_FLUSH = (Figure("flush_s", "s"), *SCATTER)
STEADY = (Figure("replaced", "", "higher"), Figure("mean_us", "us"), Figure("worker_cpu_pct", "%"),
          *(Figure(f"{what}_p{part}_us", "us") for what in ("touch", "read") for part in ("50", "99", "999")),
          Figure("mean_rss_mib", "MiB"), HOST_CPU)
STALL = (*(Figure(f"{how}_{name}", unit) for how in ("sigstop", "qmp")
           for name, unit in (("refault_pct", "%"), ("refaulted_mib", "MiB"))), HOST_CPU)
IDLE = (Figure("works", ""), Figure("timers", ""), Figure("passes", ""), HOST_CPU)
REUSE = (Figure("insns", "instructions", exact=True), Figure("fault_in_s", "s"),
         Figure("host_minflt", "faults"), HOST_CPU)
SPLIT = (Figure("reported_per_reportable", "", exact=True), Figure("repeated_mib", "MiB", exact=True))
SCALE = (Figure("idle_pass_insns", "instructions", exact=True),
         Figure("one_block_pass_insns", "instructions", exact=True),
         Figure("max_irqsoff_us", "us", exact=True))
ONE_BLOCK = (Figure("one_block_pass_insns", "instructions", exact=True),)
BUSY_BLOCK = (*ONE_BLOCK, Figure("busy_reported_mib", "MiB", exact=True))
HOTPATH = (Figure("insns_per_pair", "instructions", exact=True),)
BUILD = (Figure("gib_min", "GiB*min"), Figure("run_s", "s"), Figure("refaulted_blocks", "blocks"),
         HOST_CPU)
REBUILD = (Figure("built_mib", "MiB"), Figure("cleaned_mib", "MiB"), Figure("rested_mib", "MiB"),
           Figure("used_mib", "MiB"), Figure("resident_per_used", ""), HOST_CPU)
PACK = (Figure("peak_mib", "MiB"), Figure("mean_mib", "MiB"), HOST_CPU)
FLUSH = (Figure("rss_at_pause_mib", "MiB"), HOST_CPU)

CACHE = (Figure("rested_mib", "MiB"), Figure("read_s", "s"), Figure("read_again_s", "s"), Figure("disk_mib", "MiB"),
         Figure("refaulted_mib", "MiB"), Figure("rest_cpu_s", "s"), HOST_CPU)
SNAPSHOT = (Figure("size_mib", "MiB"), Figure("used_mib", "MiB"), Figure("size_per_used", ""),
            Figure("resident_mib", "MiB"), Figure("prepare_s", "s"), Figure("write_s", "s"), HOST_CPU)


def _release(name, mem_mib, free_mib, seconds, together):
    return Variant("release", name, RELEASE, ("release", {"mem_mib": mem_mib, "free_mib": free_mib}),
                   seconds=seconds, together=together)


def _churn(name, mib, pause_ms, for_s, **more):
    return Variant("churn", name, CHURN,
                   ("churn", {"mib": mib, "pause_ms": pause_ms, "for_s": for_s, **more}),
                   columns=WITH_OFF, seconds=for_s + pause_ms // 1000 + 6, together=3,
                   modules=("blocks",) if more.get("of") == "blocks" else ())


def _fragment(order, thp, wait_s, together):
    name = "default" if order is None else f"order{order}"
    return Variant("fragment", f"{name}-thp-{thp}", FRAGMENT,
                   ("fragment", {"mib": 1200, "wait_s": wait_s, "order": order, "thp": thp}),
                   seconds=2 * wait_s + 19, together=together)


def _hostpages(name, mib, each_kib, hole_kib, **more):
    """One at a time: the host's counters are of all that runs on it."""
    return Variant("hostpages", name, HOSTPAGES, ("hostpages", {"mib": mib, "each_kib": each_kib, "hole_kib": hole_kib,
                                                               "wait_s": 20, **more}), seconds=56,
                   runs=EXACT_RUNS)


def _scatter(free_pct):
    return Variant("scatter", f"{free_pct}pct-of-2g", SCATTER,
                   ("scatter", {"mib": 2048, "free_pct": free_pct, "wait_s": 20}), seconds=60)


def _steady(name, columns, **more):
    return Variant("steady", name, STEADY, ("steady", {"mib": 2048, "for_s": 120, **more}), columns=columns, seconds=150)


def _stall(of):
    return Variant("stall", f"{of}-128m-0.3s", STALL,
                   ("stall", {"mib": 128, "pause_ms": 300, "of": of, "stops": 5, "stop_s": 1.5, "qmp_stop_s": 60}),
                   columns=WITH_OFF, seconds=130, together=3, runs=EXACT_RUNS)


def _hotpath(order, cpus, state, **largest):
    return Variant("hotpath", f"{'split' if largest else 'order'}{order}-{cpus}cpu-{state}", HOTPATH,
                   ("hotpath", {"order": order, "cpus": cpus, "state": state, **largest}), seconds=6, together=2,
                   runs=EXACT_RUNS, builds=("off",) if state == "off" else ("",), modules=("measure",))


def _scale(gib, seconds):
    return Variant("scale", f"{gib}g", SCALE, ("scale", {"mem_mib": gib << 10}), seconds=seconds,
                   together=2, runs=EXACT_RUNS, builds=("", "trace"), modules=("measure",))


def _one_block(migratetype, busy=False):
    arguments = {"mem_mib": 4096, "migratetype": migratetype, "busy": busy}
    return Variant("scale", f"4g-{migratetype}" + ("-beside-busy" if busy else ""), BUSY_BLOCK if busy else ONE_BLOCK,
                   ("one_block", arguments), seconds=8, together=2, runs=EXACT_RUNS, modules=("measure",))


def _cache(name, limit="nothing", **more):
    return Variant("cache", name, CACHE, ("cache", {"mib": 1024, "rest_s": 60, "limit": limit, **more}), seconds=95,
                   together=4, runs=EXACT_RUNS, builds=("cache",))


def _snapshot(before):
    return Variant("snapshot", before, SNAPSHOT, ("snapshot", {"patterns": COMPILED, "jobs": 3, "before": before}),
                   seconds=85, together=4, runs=EXACT_RUNS)


VARIANTS = (
    # Two guests of 16 GiB do not fit in one machine.
    _release("4g", 4096, 3072, 40, together=2), _release("16g", 16384, 12288, 55, together=1),
    _churn("512m-0.9s", 512, 900, 35), _churn("128m-0.5s", 128, 500, 35),
    _churn("512m-10s", 512, 10000, 35), _churn("512m-30s", 512, 30000, 65),
    _churn("4k-512m-0.5s", 512, 500, 35, of="4k"), _churn("4k-128m-0.5s", 128, 500, 35, of="4k"),
    _churn("4k-128m-0.9s", 128, 900, 35, of="4k"), _churn("tmpfs-256m-0.5s", 256, 500, 35, of="tmpfs"),
    _churn("blocks-128m-0.5s", 128, 500, 35, of="blocks"),
    _churn("4k-and-tmpfs-128m", 128, 500, 35, of="4k", beside={"mib": 128, "pause_ms": 300, "of": "tmpfs"}),
    *(_fragment(order, thp, 25, together=4) for order in (9, 2) for thp in ("always", "madvise")),
    _fragment(None, "madvise", 60, together=6),
    _hostpages("128k-of-each-mib", 2048, 1024, 128), _hostpages("64k-of-each-mib", 2048, 1024, 64),
    _hostpages("every-other-mib", 1200, 2048, 1024), _hostpages("every-other-mib-nothp", 1200, 2048, 1024, huge=False),
    _scatter(90), _scatter(50),
    Variant("scatter", "flush-90pct-of-2g", SCATTER_FLUSH,
            ("scatter", {"mib": 2048, "free_pct": 90, "wait_s": 10, "flush": True}), columns=("ours",), seconds=50),
    _steady("half-of-2g", WITH_OFF), _steady("half-of-2g-compact-off", ("ours",), compact=False),
    *(_stall(of) for of in ("thp", "4k")),
    *(Variant("idle", name, IDLE, ("idle", {"settle_s": 30, "for_s": 60, "touch_mib": touch_mib}), columns=WITH_OFF,
              seconds=96, together=6, runs=EXACT_RUNS, builds=("trace",))
      for name, touch_mib in (("at-rest", 0), ("1hz-4mib", 4))),
    Variant("idle", "debian-userland", IDLE, ("idle_userland", {"settle_s": 30, "for_s": 60}), columns=WITH_OFF,
            seconds=120, together=3, runs=EXACT_RUNS, builds=("userland",)),
    *(Variant("reuse", f"256m-{name}", REUSE,
              ("reuse", {"free_mib": 3072, "mib": 256, "thp": thp}), seconds=30, together=2)
      for name, thp in (("thp", "always"), ("nothp", "never"))),
    Variant("split", "128k-pieces", SPLIT,
            ("split", {"mem_mib": 1024, "mib": 512, "order": 5, "pause_ms": 250}), seconds=8,
            together=2, runs=EXACT_RUNS, modules=("measure",)),
    *(_scale(gib, seconds) for gib, seconds in ((4, 12), (16, 13), (64, 18), (256, 28))),
    *(_one_block(migratetype) for migratetype in ("unmovable", "reclaimable", "movable")),
    _one_block("movable", busy=True),
    *(_hotpath(order, cpus, state) for state in ("off", "nodevice", "device")
      for cpus, orders in ((1, range(11)), (2, (0, 9))) for order in orders),
    *(_hotpath(order, 1, state, largest=1) for state in ("nodevice", "device") for order in (4, 8)),
    Variant("build", "c-compile", BUILD, ("compile_load", {"files": COMPILED, "jobs": 3, "tail_s": 15}), seconds=76,
            together=2),
    Variant("build", "relink", BUILD, ("demand", {"trace": "relink", "rounds": 2}), seconds=64, together=2),
    Variant("rebuild", "c-compile", REBUILD,
            ("rebuild", {"patterns": COMPILED, "jobs": 3, "wait_s": 20, "rest_s": 60}), columns=WITH_OFF, seconds=165,
            together=3, runs=EXACT_RUNS),
    Variant("pack", "3-guests", PACK,
            ("pack", {"guests": 3, "mib": 1536, "pause_ms": 20000, "for_s": 60, "stagger_s": 7}),
            seconds=104, together=2),
    *(Variant("flush", f"snapshot-{wait_s}s", FLUSH,
              ("flush", {"free_mib": 3072, "wait_s": wait_s}), seconds=wait_s + 34, together=4)
      for wait_s in (5, 20)),
    *(_snapshot(before) for before in ("nothing", "flush", "compact", "zero")),
    _cache("nothing"), _cache("drop-caches", "drop"), _cache("reclaim-psi", "reclaim"),
    _cache("damon-60s", damon_us=60_000_000), _cache("damon-1s", damon_us=1_000_000), _cache("mglru-min-ttl", "mglru"),
)
SCENARIOS = tuple(dict.fromkeys(variant.scenario for variant in VARIANTS))


def chosen(wanted, selfcheck=False):
    """The variants of a scenario, or the one of "scenario/variant", or all for an empty word.

    A self-check is about spreads: it leaves out what is counted, and the third column.
    """
    found = [variant for variant in VARIANTS
             if wanted in ("", variant.scenario, f"{variant.scenario}/{variant.name}")]
    if selfcheck:
        found = [replace(variant, columns=KERNELS) for variant in found if variant.runs is None]
    return found


def schedule(variants, repeat):
    """The runs in their order: A B A B, so that a machine that slows down slows all alike.

    The variants of a scenario whose runs go on together alternate too, so that its runs come in
    batches that are alike.
    """
    jobs = []
    for scenario in dict.fromkeys(variant.scenario for variant in variants):
        members = [variant for variant in variants if variant.scenario == scenario]
        for together in dict.fromkeys(variant.together for variant in members):
            jobs += [Job(variant, column, number) for number in range(1, repeat + 1)
                     for variant in members if variant.together == together
                     and number <= (variant.runs or repeat) for column in variant.columns]
    return jobs


def batches(jobs):
    """The runs that go on at the same time: neighbours of one scenario, as many as it takes.

    All columns of a variant's run are in one batch: they are to have the same company.
    """
    groups = {}
    for job in jobs:
        groups.setdefault((job.variant.title, job.repeat), []).append(job)
    made = []
    for group in groups.values():
        last, together = made[-1] if made else [], group[0].variant.together
        if last and len(last) + len(group) <= together == last[0].variant.together \
                and last[0].variant.scenario == group[0].variant.scenario:
            last += group
        else:
            made += [group[i:i + together] for i in range(0, len(group), together)]
    return made
