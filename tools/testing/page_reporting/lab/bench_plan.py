# SPDX-License-Identifier: GPL-2.0
"""What the bench measures: its scenarios, their variants and figures, and the order of the runs.

With the standard library alone: it is read before anything is installed or built.
"""

from dataclasses import dataclass, field

KERNELS = ("stock", "ours")
WITH_OFF = ("stock", "ours", "off")     # off: the stock kernel, its balloon without reporting
NOT_YET = "not implemented yet"


@dataclass(frozen=True)
class Figure:
    """One number of a run; an exact one is counted, and should be the same in every run."""

    name: str
    unit: str
    better: str = "lower"
    exact: bool = False


@dataclass(frozen=True)
class Variant:
    """One workload of a scenario; without a workload there is nothing that could run it yet.

    workload: the name of a function in bench_runs, and its keyword arguments
    absent: why a column of the table is not among the columns that are measured
    seconds: what one run takes, about, for the estimate of the time that is left
    """

    scenario: str
    name: str
    figures: tuple
    workload: tuple | None = None
    columns: tuple = KERNELS
    seconds: int = 0
    absent: dict = field(default_factory=dict)

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
         Figure("refaulted_blocks_per_cycle", "blocks"), Figure("host_minflt", "faults"),
         Figure("mean_rss_mib", "MiB"), HOST_CPU)

FRAGMENT = (Figure("touched_mib", "MiB"), Figure("half_released_mib", "MiB"),
            Figure("all_released_mib", "MiB"), HOST_CPU)

REUSE = (Figure("insns", "instructions", exact=True), Figure("fault_in_s", "s"),
         Figure("host_minflt", "faults"), HOST_CPU)
PACK = (Figure("peak_mib", "MiB"), Figure("mean_mib", "MiB"), HOST_CPU)


def _release(name, mem_mib, free_mib, seconds):
    return Variant("release", name, RELEASE, ("release", {"mem_mib": mem_mib, "free_mib": free_mib}),
                   seconds=seconds)


def _churn(name, mib, pause_ms, for_s):
    return Variant("churn", name, CHURN,
                   ("churn", {"mib": mib, "pause_ms": pause_ms, "for_s": for_s}),
                   columns=WITH_OFF, seconds=for_s + pause_ms // 1000 + 6)


def _fragment(order, thp):
    return Variant("fragment", f"order{order}-thp-{thp}", FRAGMENT,
                   ("fragment", {"mib": 1200, "wait_s": 25, "order": order, "thp": thp}), seconds=62)


def _not_yet(scenario, names, *figures):
    return [Variant(scenario, name, figures) for name in names]


VARIANTS = (
    _release("4g", 4096, 3072, 45), _release("16g", 16384, 12288, 90),
    _churn("512m-0.9s", 512, 900, 35), _churn("128m-0.5s", 128, 500, 35),
    _churn("512m-10s", 512, 10000, 35), _churn("512m-30s", 512, 30000, 65),
    *(_fragment(order, thp) for order in (9, 2) for thp in ("always", "madvise")),
    *(Variant("reuse", f"256m-{name}", REUSE,
              ("reuse", {"free_mib": 3072, "mib": 256, "thp": thp}), seconds=45)
      for name, thp in (("thp", "always"), ("nothp", "never"))),
    Variant("pack", "3-guests", PACK,
            ("pack", {"guests": 3, "mib": 1536, "pause_ms": 20000, "for_s": 60, "stagger_s": 7}),
            seconds=100),
    *_not_yet("split", ["small-pieces"], Figure("reported_per_reportable", "")),
    *_not_yet("hotpath", [f"order{order}-{cpus}cpu-{state}" for order in (0, 3, 9, 10)
                          for cpus in (1, 2) for state in ("off", "nodevice", "device")],
              Figure("insns_per_pair", "instructions")),
    *_not_yet("scale", ["4g", "16g", "64g", "256g"],
              Figure("idle_pass_insns", "instructions"), Figure("one_block_pass_insns", "instructions"),
              Figure("max_irqsoff_us", "us")),
    *_not_yet("build", ["c-compile"],
              Figure("gib_min", "GiB*min"), Figure("run_s", "s"), Figure("refaulted_blocks", "blocks")),
    *(Variant("flush", f"snapshot-{wait_s}s", (Figure("rss_at_pause_mib", "MiB"), HOST_CPU),
              ("flush", {"free_mib": 3072, "wait_s": wait_s}), columns=("stock",), seconds=wait_s + 12,
              absent={"ours": "no flush file yet"}) for wait_s in (5, 20)),
)
SCENARIOS = tuple(dict.fromkeys(variant.scenario for variant in VARIANTS))


def chosen(wanted):
    """The variants of a scenario, or the one of "scenario/variant", or all for an empty word."""
    return [variant for variant in VARIANTS
            if wanted in ("", variant.scenario, f"{variant.scenario}/{variant.name}")]


def schedule(variants, repeat):
    """The runs in their order: A B A B, so that a machine that slows down slows all alike."""
    return [Job(variant, column, number) for variant in variants if variant.workload
            for number in range(1, repeat + 1) for column in variant.columns]
