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
    method: raise it, in SCENARIO or for all, with each change to how the lab starts a guest, reads its memory or
        computes a figure: records of another method do not count, and what else changes in the lab leaves them as
        they are
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
    method: int = 1

    @property
    def title(self):
        return f"{self.scenario} {self.name}"


@dataclass(frozen=True)
class Job:
    """One run: a variant on one kernel."""

    variant: Variant
    column: str
    repeat: int

    @property
    def title(self):
        return f"{self.variant.title}, {self.column}, run {self.repeat}"

    @property
    def stem(self):
        return f"{self.variant.scenario}-{self.variant.name}-{self.column}-{self.repeat}"


# What a figure's name says: the unit, by all of it or by its last part; what is better when higher; what is exact.
UNITS = {"s": "s", "ms": "ms", "us": "us", "pct": "%", "mib": "MiB", "insns": "instructions", "minflt": "faults",
         "gib_min": "GiB*min", "insns_per_pair": "instructions", "passes_per_s": "1/s", "moved": "pages",
         "refaults": "pages", "emptied": "pageblocks", "failed": "pageblocks", "refaulted_blocks": "blocks",
         "refaulted_blocks_per_cycle": "blocks"}
HIGHER = {"returned_pct", "cycles", "huge_before_mib", "huge_after_mib", "emptied", "replaced"}
EXACT = {"insns", "reported_per_reportable", "repeated_mib", "idle_pass_insns", "one_block_pass_insns",
         "max_irqsoff_us", "busy_reported_mib", "insns_per_pair"}

SCATTER = "before_mib after_mib lost_huge_mib moved emptied failed refaults worker_cpu_s host_cpu_s"
SCATTER_FLUSH = f"flush_s {SCATTER}"
ONE_BLOCK = "one_block_pass_insns"
# What the variants of a scenario have in common. A workload has the scenario's name unless it is given.
SCENARIO = {
    "release": {"figures": "t50_s t90_s t99_s returned_pct host_cpu_s"},
    "churn": {"figures": "cycles mean_alloc_ms refaulted_blocks_per_cycle settled_refault_pct short_refault_pct "
                         "settled_short_refault_pct short_counted_pct settled_short_counted_pct long_refault_pct "
                         "settled_long_refault_pct long_counted_pct settled_long_counted_pct passes_per_s "
                         "worker_cpu_pct host_minflt mean_rss_mib host_cpu_s", "columns": WITH_OFF, "together": 3, "method": 2},
    "fragment": {"figures": "touched_mib half_released_mib all_released_mib host_cpu_s"},
    # One at a time: the host's counters are of all that runs on it.
    "hostpages": {"figures": "before_mib after_mib huge_before_mib huge_after_mib lost_huge_mib host_splits "
                             "host_deferred_splits host_cpu_s", "seconds": 56, "runs": EXACT_RUNS},
    "scatter": {"figures": SCATTER, "seconds": 60},
    "steady": {"figures": "replaced mean_us worker_cpu_pct touch_p50_us touch_p99_us touch_p999_us read_p50_us "
                          "read_p99_us read_p999_us mean_rss_mib host_cpu_s", "seconds": 150},
    "stall": {"figures": "sigstop_refault_pct sigstop_refaulted_mib qmp_refault_pct qmp_refaulted_mib host_cpu_s",
              "columns": WITH_OFF, "seconds": 130, "together": 3},
    "idle": {"figures": "works timers passes host_cpu_s", "columns": WITH_OFF, "runs": EXACT_RUNS},
    "reuse": {"figures": "insns fault_in_s host_minflt host_cpu_s", "seconds": 30, "together": 2},
    "split": {"figures": "reported_per_reportable repeated_mib", "seconds": 8, "together": 2, "runs": EXACT_RUNS,
              "modules": ("measure",)},
    "scale": {"figures": "idle_pass_insns one_block_pass_insns max_irqsoff_us", "together": 2, "runs": EXACT_RUNS,
              "modules": ("measure",)},
    "hotpath": {"figures": "insns_per_pair", "seconds": 6, "together": 2, "runs": EXACT_RUNS, "modules": ("measure",)},
    "build": {"figures": "gib_min run_s refaulted_blocks host_cpu_s", "together": 2},
    "rebuild": {"figures": "built_mib cleaned_mib rested_mib used_mib resident_per_used host_cpu_s",
                "columns": WITH_OFF, "seconds": 165, "together": 3, "runs": EXACT_RUNS},
    "pack": {"figures": "peak_mib mean_mib host_cpu_s", "seconds": 104, "together": 2},
    "flush": {"figures": "rss_at_pause_mib host_cpu_s", "together": 4},
    "snapshot": {"figures": "size_mib used_mib size_per_used resident_mib prepare_s write_s host_cpu_s",
                 "seconds": 85, "together": 4, "runs": EXACT_RUNS},
    "cache": {"figures": "rested_mib read_s read_again_s disk_mib refaulted_mib rest_cpu_s host_cpu_s",
              "seconds": 95, "together": 4, "runs": EXACT_RUNS, "builds": ("cache",)},
}


def _variant(scenario, name, arguments, workload=None, **differs):
    """A variant of a scenario: the arguments of its workload, and what differs from others of the scenario."""
    more = {**SCENARIO[scenario], **differs}
    figures = tuple(Figure(figure, UNITS.get(figure, UNITS.get(figure.rpartition("_")[2], "")),
                           "higher" if figure in HIGHER else "lower", figure in EXACT)
                    for figure in more.pop("figures").split())
    return Variant(scenario, name, figures, (workload or scenario, arguments), **more)


def _churn(name, mib, pause_ms, for_s, **more):
    return _variant("churn", name, {"mib": mib, "pause_ms": pause_ms, "for_s": for_s, **more},
                    seconds=for_s + pause_ms // 1000 + 6, modules=("blocks",) if more.get("of") == "blocks" else ())


def _fragment(order, thp, wait_s, together):
    name = "default" if order is None else f"order{order}"
    return _variant("fragment", f"{name}-thp-{thp}", {"mib": 1200, "wait_s": wait_s, "order": order, "thp": thp},
                    seconds=2 * wait_s + 19, together=together)


def _hostpages(name, mib, each_kib, hole_kib, **more):
    return _variant("hostpages", name, {"mib": mib, "each_kib": each_kib, "hole_kib": hole_kib, "wait_s": 20, **more})


def _one_block(migratetype, busy=False):
    return _variant("scale", f"4g-{migratetype}" + ("-beside-busy" if busy else ""),
                    {"mem_mib": 4096, "migratetype": migratetype, "busy": busy}, "one_block", seconds=8,
                    figures=f"{ONE_BLOCK} busy_reported_mib" if busy else ONE_BLOCK)


def _hotpath(order, cpus, state, **largest):
    return _variant("hotpath", f"{'split' if largest else 'order'}{order}-{cpus}cpu-{state}",
                    {"order": order, "cpus": cpus, "state": state, **largest},
                    builds=("off",) if state == "off" else ("",))


def _cache(name, limit="nothing", **more):
    return _variant("cache", name, {"mib": 1024, "rest_s": 60, "limit": limit, **more})


VARIANTS = (
    # Two guests of 16 GiB do not fit in one machine.
    _variant("release", "4g", {"mem_mib": 4096, "free_mib": 3072}, seconds=40, together=2),
    _variant("release", "16g", {"mem_mib": 16384, "free_mib": 12288}, seconds=55),
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
    *(_variant("scatter", f"{free_pct}pct-of-2g", {"mib": 2048, "free_pct": free_pct, "wait_s": 20})
      for free_pct in (90, 50)),
    _variant("scatter", "flush-90pct-of-2g", {"mib": 2048, "free_pct": 90, "wait_s": 10, "flush": True},
             figures=SCATTER_FLUSH, columns=("ours",), seconds=50),
    _variant("steady", "half-of-2g", {"mib": 2048, "for_s": 120}, columns=WITH_OFF),
    _variant("steady", "half-of-2g-compact-off", {"mib": 2048, "for_s": 120, "compact": False}, columns=("ours",)),
    *(_variant("stall", f"{of}-128m-0.3s",
               {"mib": 128, "pause_ms": 300, "of": of, "stops": 5, "stop_s": 1.5, "qmp_stop_s": 60})
      for of in ("thp", "4k")),
    *(_variant("idle", name, {"settle_s": 30, "for_s": 60, "touch_mib": touch_mib}, seconds=96, together=6,
               builds=("trace",)) for name, touch_mib in (("at-rest", 0), ("1hz-4mib", 4))),
    _variant("idle", "debian-userland", {"settle_s": 30, "for_s": 60}, "idle_userland", seconds=120, together=3,
             builds=("userland",)),
    *(_variant("reuse", f"256m-{name}", {"free_mib": 3072, "mib": 256, "thp": thp})
      for name, thp in (("thp", "always"), ("nothp", "never"))),
    _variant("split", "128k-pieces", {"mem_mib": 1024, "mib": 512, "order": 5, "pause_ms": 250}),
    *(_variant("scale", f"{gib}g", {"mem_mib": gib << 10}, seconds=seconds, builds=("", "trace"))
      for gib, seconds in ((4, 12), (16, 13), (64, 18), (256, 28))),
    *(_one_block(migratetype) for migratetype in ("unmovable", "reclaimable", "movable")),
    _one_block("movable", busy=True),
    *(_hotpath(order, cpus, state) for state in ("off", "nodevice", "device")
      for cpus, orders in ((1, range(11)), (2, (0, 9))) for order in orders),
    *(_hotpath(order, 1, state, largest=1) for state in ("nodevice", "device") for order in (4, 8)),
    _variant("build", "c-compile", {"files": COMPILED, "jobs": 3, "tail_s": 15}, "compile_load", seconds=76),
    _variant("build", "relink", {"trace": "relink", "rounds": 2}, "demand", seconds=64),
    _variant("rebuild", "c-compile", {"patterns": COMPILED, "jobs": 3, "wait_s": 20, "rest_s": 60}),
    _variant("pack", "3-guests", {"guests": 3, "mib": 1536, "pause_ms": 20000, "for_s": 60, "stagger_s": 7}),
    *(_variant("flush", f"snapshot-{wait_s}s", {"free_mib": 3072, "wait_s": wait_s}, seconds=wait_s + 34)
      for wait_s in (5, 20)),
    *(_variant("snapshot", before, {"patterns": COMPILED, "jobs": 3, "before": before})
      for before in ("nothing", "flush", "compact", "zero")),
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
