# SPDX-License-Identifier: GPL-2.0
"""The bench: its input, its statistics, its files, and a small workload in a guest."""

import concurrent.futures
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from conftest import LAB, load_program
from lab import bench_batch, bench_config, bench_input, bench_plan, bench_results, bench_runs, bench_stats
from lab import bench_store, bench_table, host, paths, programs, qmp
from lab import modules as lab_modules
from lab.bench_plan import Figure, Job, Variant
from lab.errors import BadInput, LabError, StepFailed
from lab.process import Event, Sample
from lab.vm import VM

BENCH = LAB / "bench"
VARIANT = Variant("release", "tiny", (Figure("t50_s", "s"), Figure("share", "%", "higher")), ("w", {}),
                  seconds=1)


bench = load_program("bench")


# Input

@pytest.mark.parametrize("words, expected", [
    (("", ""), ("", 3)), (("churn/512m-10s", ""), ("churn/512m-10s", 3)), (("", "5"), ("", 5)), (("scale", "1"), ("scale", 1)),
])
def test_good_input(words, expected):
    wanted = bench_input.check(*words)
    assert (wanted.scenario, wanted.repeat) == expected


@pytest.mark.parametrize("words, message", [
    (("foo", ""), "SCENARIO=foo: no such scenario; there are: release, churn"),
    (("release/5g", ""), "SCENARIO=release/5g: no such scenario; there are: release/4g, release/16g"),
    (("release,churn", ""), "SCENARIO=release,churn: no such scenario"),
    (("", "0"), "REPEAT=0: give a whole number from 1 to 99"), (("", "-1"), "REPEAT=-1: give"),
    (("", "x"), "REPEAT=x: give"), (("", "1.5"), "REPEAT=1.5: give"), (("", "100"), "REPEAT=100: give"),
])
def test_bad_input(words, message):
    with pytest.raises(BadInput) as error:
        bench_input.check(*words)
    assert message in str(error.value)


def test_selfcheck_is_about_time():
    with pytest.raises(BadInput, match="SCENARIO=scale: it counts, and counts have no spread"):
        bench_input.check("scale", "", selfcheck=True)
    assert all(variant.columns == bench_plan.KERNELS for variant in bench_plan.chosen("churn", True))
    assert not any(variant.runs for variant in bench_plan.chosen("", True))


def test_selfcheck_needs_a_spread():
    with pytest.raises(BadInput, match="REPEAT=1: a self-check compares spreads; give 2 or more"):
        bench_input.check("", "1", selfcheck=True)


@pytest.mark.parametrize("target", ["bench", "bench-selfcheck"])
@pytest.mark.parametrize("variable, reason", [
    ("SCENARIO=foo", "bench: SCENARIO=foo: no such scenario"), ("REPEAT=0", "bench: REPEAT=0: give"),
    ("ACCEL=foo", "bench: ACCEL=foo: give tcg or kvm")])
def test_bad_input_is_one_line_before_anything_is_built(target, variable, reason):
    make = subprocess.run(["make", "-s", target, variable], cwd=LAB.parents[2], text=True,
                          capture_output=True, timeout=60)
    ours = [line for line in make.stderr.splitlines() if not line.startswith("make: ***")]
    assert make.returncode == 2 and make.stdout == ""
    assert len(ours) == 1 and ours[0].startswith(reason)


def test_check_needs_no_modules():
    """Before anything is installed, the standard library has to do."""
    run = subprocess.run(["/usr/bin/python3", "-S", BENCH, "--check-only", "--repeat", "0"], text=True,
                         capture_output=True, timeout=60)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1


# Statistics

def test_summary():
    got = bench_stats.summarize([3, 1, 2, 10])
    assert (got.median, got.low, got.high, got.count) == (2.5, 1, 10, 4)
    assert bench_stats.summarize([]) is None


def pair(stock, ours):
    return bench_stats.summarize(stock), bench_stats.summarize(ours)


def test_ratio_and_spread():
    """Medians 10 and 5; the farthest pairs are 4/12 and 6/8. Of three runs each, that is 3.1 times 50 %."""
    stock, ours = pair([8, 10, 12], [4, 5, 6])
    assert bench_stats.ratio(stock, ours) == 0.5
    assert bench_stats.spread_pct(stock, ours) == pytest.approx(155)
    assert bench_stats.spread_pct(*pair([8, 9, 10, 10, 11, 12], [4, 5, 5, 5, 5, 6])) == pytest.approx(50)


@pytest.mark.parametrize("count, most", [(3, 6), (5, 6)])
def test_spread_explains_chance(count, most):
    """Of 2000 pairs of equal kernels, the spread leaves about two unexplained."""
    source = random.Random(5)
    pairs = [pair(*[[source.lognormvariate(0, 0.05) for _ in range(count)] for _ in range(2)])
             for _ in range(2000)]
    assert sum(not bench_stats.within(bench_stats.ratio(*both), bench_stats.spread_pct(*both))
               for both in pairs) <= most


def test_equal_runs_have_no_spread():
    assert bench_stats.spread_pct(*pair([7, 7], [7, 7])) == 0


def test_a_single_run_has_no_spread():
    assert bench_stats.ratio(*pair([2], [1])) == 0.5
    assert bench_stats.spread_pct(*pair([2], [1, 1])) is None
    assert "spread: of a single run" in bench_results.rows([VARIANT], records([2], [1]))[0]["reason"]


@pytest.mark.parametrize("ours, said", [([7, 7], False), ([7, 8], True)])
def test_exact_counts_that_differ_are_named(ours, said):
    figure = Figure("insns", "instructions", exact=True)
    assert any("exact: runs differ" in text
               for text in bench_results.doubts(figure, *pair([7, 7], ours), 1, 0)) == said


@pytest.mark.parametrize("stock, ours", [([], [1]), ([1], []), ([0, 0], [1, 2])])
def test_no_ratio(stock, ours):
    assert bench_stats.ratio(*pair(stock, ours)) is None
    assert bench_stats.spread_pct(*pair(stock, ours)) is None


@pytest.mark.parametrize("stock, ours, expected", [
    ([10, 11, 12], [11, 12, 13], True), ([10, 10.1, 10.2], [20, 20.1, 20.2], False),
    ([20, 20.1, 20.2], [10, 10.1, 10.2], False), ([5, 5], [5, 5], True), ([5, 5], [6, 6], False)])
def test_within(stock, ours, expected):
    both = pair(stock, ours)
    assert bench_stats.within(bench_stats.ratio(*both), bench_stats.spread_pct(*both)) == expected


# The plan

def test_scenarios_are_those_of_the_specification():
    assert set(bench_plan.SCENARIOS) == {"release", "churn", "fragment", "hostpages", "scatter", "steady", "stall",
                                         "idle", "reuse", "split", "scale", "hotpath", "build", "pack", "flush"}


def test_variant_names_are_unique():
    titles = [variant.title for variant in bench_plan.VARIANTS]
    assert len(titles) == len(set(titles))


def test_workloads_exist():
    assert {v.workload[0] for v in bench_plan.VARIANTS} == set(bench_runs.WORKLOADS)


def test_one_variant_can_be_chosen():
    assert [variant.title for variant in bench_plan.chosen("churn/512m-10s")] == ["churn 512m-10s"]


def test_runs_are_interleaved():
    variants = bench_plan.chosen("release") + bench_plan.chosen("churn")[:1]
    order = [(job.variant.name, job.column, job.repeat) for job in bench_plan.schedule(variants, 2)]
    assert order == [
        ("4g", "stock", 1), ("4g", "ours", 1), ("4g", "stock", 2), ("4g", "ours", 2),
        ("16g", "stock", 1), ("16g", "ours", 1), ("16g", "stock", 2), ("16g", "ours", 2),
        ("512m-0.9s", "stock", 1), ("512m-0.9s", "ours", 1), ("512m-0.9s", "off", 1),
        ("512m-0.9s", "stock", 2), ("512m-0.9s", "ours", 2), ("512m-0.9s", "off", 2)]


def test_variants_that_run_together_alternate():
    jobs = bench_plan.schedule([variant for variant in bench_plan.chosen("fragment") if variant.together == 4], 2)
    assert [job.repeat for job in jobs] == [1] * 8 + [2] * 8
    batches = bench_plan.batches(jobs)
    assert [len(batch) for batch in batches] == [4] * 4
    for batch in batches:
        assert [job.column for job in batch] == ["stock", "ours"] * 2


def test_columns_share_their_company():
    """Three may run together, but a pair is not torn apart for that."""
    for batch in bench_plan.batches(bench_plan.schedule(bench_plan.chosen("churn", selfcheck=True), 2)):
        assert [job.column for job in batch] == ["stock", "ours"]
        assert len({(job.variant.title, job.repeat) for job in batch}) == 1


def test_what_is_counted_runs_twice():
    jobs = bench_plan.schedule(bench_plan.chosen("scale/4g"), 5)
    assert [(job.column, job.repeat) for job in jobs] == [("stock", 1), ("ours", 1), ("stock", 2),
                                                          ("ours", 2)]


def test_large_guests_run_one_at_a_time():
    """Two of 16 GiB, both in use, are more than the machine the bench is for has."""
    batches = bench_plan.batches(bench_plan.schedule(bench_plan.chosen("release"), 1))
    assert [[job.title for job in batch] for batch in batches] == [
        ["release 4g, stock, run 1", "release 4g, ours, run 1"],
        ["release 16g, stock, run 1"], ["release 16g, ours, run 1"]]


def test_the_whole_bench_fits():
    """105 minutes in all, 25 for a scenario, by what runs took; building the kernels comes on top."""
    needs = {scenario: sum(max(job.variant.seconds for job in batch) for batch in bench_plan.batches(
        bench_plan.schedule(bench_plan.chosen(scenario), bench_input.DEFAULT_REPEAT)))
             for scenario in bench_plan.SCENARIOS}
    assert max(needs.values()) <= 25 * 60 and sum(needs.values()) <= 105 * 60


@pytest.mark.parametrize("words, expected", [
    (["--scenario", "release"], "stock ours\n"),
    (["--scenario", "scale"], "stock ours stock-trace ours-trace\n"),
    (["--scenario", "hotpath/order0-1cpu-off"], "stock-off ours-off\n"),
    (["--selfcheck"], "stock\n")])
def test_kernels_that_are_built(words, expected):
    run = subprocess.run([BENCH, "--kernels", *words], text=True, capture_output=True, timeout=60, check=True,
                         env={k: v for k, v in os.environ.items() if k not in ("SCENARIO", "REPEAT")})
    assert run.stdout == expected


# Rows

def records(stock, ours, share=1.0, reasons=()):
    made = {column: [{"figures": {"t50_s": value, "share": share}, "reasons": dict(reasons)}
                     for value in values] for column, values in (("stock", stock), ("ours", ours))}
    return {(VARIANT.title, column): runs for column, runs in made.items()}


def results_of(rows):
    return {"meta": dict.fromkeys(bench_results.META, "x"), "rows": rows}


def test_rows():
    rows = bench_results.rows([VARIANT], records([2, 4, 6], [1, 2, 3], share=50))
    assert rows[0] == {"scenario": "release", "variant": "tiny", "figure": "t50_s", "unit": "s", "stock": 4,
                       "ours": 2, "off": None, "ratio": 0.5, "spread_pct": pytest.approx(620),
                       "better": "lower", "reason": "off: no part of this scenario"}
    assert (rows[1]["ratio"], rows[1]["spread_pct"], rows[1]["better"]) == (1, 0, "higher")
    bench_results.check(results_of(rows))


def test_a_run_without_the_figure_leaves_no_median():
    """Two of three runs reached 50 %: a median of those two would flatter."""
    rows = bench_results.rows([VARIANT], records([2, None, 3], [1, 1, 1],
                                                 reasons={"t50_s": "less than 50 % was back"}))
    assert rows[0]["stock"] is None and rows[0]["ratio"] is None and rows[0]["ours"] == 1
    assert "stock: less than 50 % was back" in rows[0]["reason"]
    bench_results.check(results_of(rows))


def test_runs_are_what_rows_are_made_of():
    made = records([2, 4], [1, 2])
    made[VARIANT.title, "stock"][0] |= {"points": [[0, 1]], "events": [[]], "memory": [[]]}
    assert [run["figures"]["t50_s"] for run in bench_results.runs(made)] == [2, 4, 1, 2]
    assert not any({"points", "events", "memory"} & run.keys() for run in bench_results.runs(made))


def test_a_value_of_zero_has_no_ratio():
    row = bench_results.rows([VARIANT], records([0, 0], [1, 1]))[0]
    assert (row["stock"], row["ratio"], row["spread_pct"]) == (0, None, None)
    assert "ratio: of a value of 0" in row["reason"]


def test_what_was_not_run_is_no_number():
    rows = bench_results.rows(bench_plan.chosen("scale"), {})
    assert rows and all(bench_results.NOT_RUN in row["reason"] for row in rows)
    assert all(row[name] is None for row in rows for name in bench_results.NUMBERS)
    bench_results.check(results_of(rows))


@pytest.mark.parametrize("change", [
    {"reason": ""}, {"better": "more"}, {"extra": 1}])
def test_schema_is_checked(change):
    row = bench_results.rows([VARIANT], records([2], [1]))[0] | change
    with pytest.raises(LabError, match="results.json"):
        bench_results.check(results_of([row]))


def test_schema_of_meta_is_checked():
    with pytest.raises(LabError, match="meta has to be"):
        bench_results.check({"meta": {}, "rows": []})


def test_selfcheck_sees_a_bias():
    made = bench_results.rows([VARIANT], records([10, 10.1], [20, 20.1]))
    assert [row["figure"] for row in bench_results.outside(made)] == ["t50_s"]
    assert not bench_results.outside(bench_results.rows([VARIANT], records([10, 12], [11, 13])))


# Configurations

def test_configurations_agree_but_for_one_side():
    stock = bench_config.options("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_OLD=3\n")
    ours = bench_config.options("CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_NEW is not set\n")
    assert bench_config.compare(stock, ours) == {"same": 2, "only_stock": {"CONFIG_OLD": "3"},
                                                 "only_ours": {"CONFIG_NEW": "n"}}


@pytest.mark.parametrize("line", ["# CONFIG_A is not set", "CONFIG_A=m"])
def test_configurations_that_differ(line):
    with pytest.raises(LabError, match="stock and ours differ: CONFIG_A: y and"):
        bench_config.compare(bench_config.options("CONFIG_A=y\n"), bench_config.options(line))


# Raw records

def store_in(folder, kernel="k1", programs="p1"):
    return bench_store.Store(folder, lambda job: {"kernels": [kernel if job.column == "stock" else "k2"]},
                             {"programs": programs})


def test_record_is_kept_for_its_kernel_and_programs(tmp_path):
    job = Job(VARIANT, "stock", 1)
    store_in(tmp_path).save(job, {"figures": {}})
    assert store_in(tmp_path).load(job) == {"figures": {}}
    assert store_in(tmp_path).load(Job(VARIANT, "stock", 2)) is None
    assert store_in(tmp_path, kernel="k3").load(job) is None
    assert store_in(tmp_path, programs="p2").load(job) is None
    assert len(list(tmp_path.iterdir())) == 1


def test_not_a_number_is_no_result(tmp_path):
    with pytest.raises(ValueError):
        bench_store.write_json(tmp_path / "x.json", {"t50_s": float("nan")})
    assert list(tmp_path.iterdir()) == []


NO_GUESTS = types.SimpleNamespace(prepare=lambda jobs: None, boot=lambda job, guests: None)


@pytest.fixture
def fake_measure(monkeypatch):
    """Runs that take no guest; the third of all fails once."""
    calls = []

    def measure(job, _boot, _show):
        calls.append((job.column, job.repeat))
        if len(calls) == 3:
            raise LabError("the guest died")
        return {"variant": "tiny", "column": job.column, "figures": {"t50_s": job.repeat, "share": 1},
                "reasons": {}}

    monkeypatch.setattr(bench, "measure", measure)
    return calls


def test_interrupted_bench_goes_on(tmp_path, fake_measure):
    """What failed or was not reached is measured by the next bench, and nothing else."""
    args, jobs = types.SimpleNamespace(out=tmp_path), bench_plan.schedule([VARIANT], 2)
    store = store_in(tmp_path / "raw")
    with pytest.raises(LabError, match="the guest died"):
        bench.run_all(args, jobs, store, NO_GUESTS)
    assert bench.load_records(jobs, store) == {}
    bench.run_all(args, jobs, store, NO_GUESTS)
    got = bench.load_records(jobs, store)
    assert fake_measure == [("stock", 1), ("ours", 1), ("stock", 2), ("stock", 2), ("ours", 2)]
    assert [run["figures"]["t50_s"] for run in got[VARIANT.title, "ours"]] == [1, 2]


# Runs that go on together

class FakeGuest:
    """A guest that runs until it is stopped."""

    def __init__(self):
        self.stopped = threading.Event()

    def stop(self):
        self.stopped.set()


def test_runs_of_a_batch_overlap():
    """Each waits for the other: one after the other, they never would end."""
    barrier = threading.Barrier(2, timeout=20)
    assert bench_batch.run([lambda: barrier.wait() >= 0] * 2, bench_batch.Guests()) == [True, True]


def test_one_failure_stops_the_batch():
    guests, guest = bench_batch.Guests(), FakeGuest()

    def waits():
        assert guests.add(guest).stopped.wait(20)
        raise LabError("the guest ended")

    def fails():
        raise LabError("the guest died")

    with pytest.raises(LabError):
        bench_batch.run([waits, fails], guests)
    assert guest.stopped.is_set()
    with pytest.raises(concurrent.futures.CancelledError):
        guests.add(FakeGuest())


def test_module_that_does_not_build(tmp_path, monkeypatch):
    kernel_build = tmp_path / "kernel"
    (kernel_build / "source").mkdir(parents=True)
    monkeypatch.setattr(lab_modules, "SOURCE", tmp_path)
    (tmp_path / "m.c").write_text("no module")
    with pytest.raises(LabError, match="build the module m for .*kernel"):
        lab_modules.build(kernel_build, "m")


# Workloads

def samples(*mib):
    return [Sample(t=float(i), rss_mib=value, minflt=10 * i, cpu_s=i) for i, value in enumerate(mib)]


def test_refaults_are_growth():
    """Up 100, down 60, up 40: 140 MiB came, in blocks of 2 MiB."""
    assert bench_runs.refaulted_blocks(samples(100, 200, 140, 180)) == 70
    assert bench_runs.refaulted_blocks(samples(200, 100, 100)) == 0


def test_regrowth_is_what_came_back():
    """From 100 up to 200, down to 140, up to 250: 60 of the 210 MiB of growth had been there."""
    assert bench_runs.regrowth_mib(samples(100, 200, 140, 250)) == 60
    assert bench_runs.regrowth_mib(samples(100, 150, 200)) == 0


def test_mean_is_over_time():
    uneven = [Sample(0, 100, 0, 0), Sample(1, 200, 0, 0), Sample(4, 100, 0, 0)]
    assert bench_runs.mean_rss_mib(uneven) == (100 + 3 * 200) / 4


def test_release_is_of_what_was_freed():
    """Of 1000 MiB, 900 come back, one 100 a second: 99 % never does, whatever else is quick."""
    figures, reasons = bench_runs.release_figures([(i, 2000 - 100 * i) for i in range(10)], 1000)
    assert (figures["t50_s"], figures["t90_s"], figures["t99_s"]) == (5, 9, None)
    assert figures["returned_pct"] == 90
    assert reasons == {"t99_s": "less than 99 % was back after 9 s"}


def test_sum_over_guests():
    """The last sample of each counts, and the times need not agree."""
    late = [Sample(0.05, 10, 0, 0), Sample(0.15, 20, 0, 0)]
    got = bench_runs.total([samples(100, 200), late], 0.0, 0.2)
    assert [mib for _, mib in got] == [110, 110, 120]


def cycle_at(t, alloc_us=1000, **more):
    """An event of guest/churn.c: what was taken so far, of each kind, and counted as refaulted."""
    names = ("never_mib", "short_mib", "long_mib", "short_refaults", "long_refaults")
    fields = {"alloc_ns": alloc_us * 1000} | dict.fromkeys(names, 0) | more
    return Event("cycle", t, None, {name: str(value) for name, value in fields.items()})


def run_at(t, idle):
    return Event("run", t, None, {"idle": idle})


def test_churn_leaves_out_the_first_touch():
    cycles = [cycle_at(1, 4000), cycle_at(3, 2000), cycle_at(5, 3000)]
    got = bench_runs.churn_figures(cycles, samples(0, 100, 50, 90, 90, 90))
    assert (got["cycles"], got["mean_alloc_ms"], got["host_minflt"]) == (3, 3, 50)
    assert got["refaulted_blocks_per_cycle"] == 10


def test_settled_refaults_are_those_after_five_seconds():
    """What was refaulted before the first cycle that ends later does not count."""
    cycles = [cycle_at(t, never_mib=100, short_mib=done * 50, long_mib=done * 50)
              for done, t in enumerate((1, 4, 6, 8))]
    got = bench_runs.settled_refault_pct(cycles, samples(0, 100, 50, 150, 50, 150, 150, 110, 130))
    assert got == 20
    assert bench_runs.settled_refault_pct(cycles[:3], samples(0, 100, 50, 90, 90, 90, 90, 90)) is None


def idle_figures(counted=True):
    """The first 100 MiB, then two cycles, each 50 MiB of short and 50 of long; 5 s are over with the second cycle."""
    runs = [run_at(*run) for run in ((1.5, "short"), (3.5, "long"), (4.5, "short"), (7.5, "long"), (8.5, "short"))]
    cycles = [cycle_at(t, never_mib=100, short_mib=50 * done, long_mib=50 * done,
                       short_refaults=512 * done if counted else -1, long_refaults=2560 * done if counted else -1)
              for done, t in enumerate((1.4, 5, 9))]
    return bench_runs.idle_figures(sorted(runs + cycles, key=lambda event: event.t),
                                   samples(0, 100, 60, 70, 100, 60, 60, 61, 100, 100))


def test_refaults_are_told_apart_by_idle_time():
    """Up to 2 s, memory is touched first; then 10 MiB of short, 30 of long, and 1 and 39 once the churn is known."""
    figures, reasons = idle_figures()
    assert figures["short_refault_pct"] == 11 and figures["long_refault_pct"] == 69
    assert figures["settled_short_refault_pct"] == 2 and figures["settled_long_refault_pct"] == 78
    assert figures["short_counted_pct"] == figures["settled_short_counted_pct"] == 4
    assert figures["long_counted_pct"] == figures["settled_long_counted_pct"] == 20


def test_refaults_of_a_kernel_that_counts_none():
    figures, reasons = idle_figures(counted=False)
    assert figures["short_refault_pct"] == 11 and figures["short_counted_pct"] is None
    assert reasons["short_counted_pct"] == "this kernel counts no refaults"


def test_nothing_was_idle_for_long():
    cycles = [cycle_at(t, never_mib=100, short_mib=100 * t) for t in (1, 6, 7)]
    figures, reasons = bench_runs.idle_figures(cycles, samples(0, 100))
    assert figures["short_refault_pct"] == 0 and figures["long_refault_pct"] is None
    assert reasons["long_refault_pct"] == "nothing that was taken again was idle for 1.4 s or longer"


def test_counters_are_rates():
    before, after = (Event("x", t, None, {"passes": str(passes)}) for t, passes in ((2, 5), (4, 35)))
    assert bench_runs.per_second("passes", before, after) == 15
    without = Event("x", 2, None, {"passes": "-1"})
    assert bench_runs.per_second("passes", without, without) is None


def test_one_cycle_has_no_refaults():
    got = bench_runs.churn_figures([cycle_at(1, 4000)], samples(0, 100, 50))
    assert got["refaulted_blocks_per_cycle"] is None


@pytest.fixture
def boot(tmp_path):
    """What a workload boots, of the lab's kernel; the modules are built against it."""
    def make(build="", modules=(), **more):
        assert not build
        kernel, initrd = make.kernel, programs.initramfs()
        if modules:
            made = [lab_modules.build(kernel.parent, name) for name in modules]
            initrd = lab_modules.pack(initrd, made, kernel.parent, tmp_path / "initrd.gz")
        return VM(kernel, initrd, **{"mem_mib": 1024, **more})
    make.column, make.kernel = "ours", paths.kernel()
    return make


def test_compile_list_names_files_that_exist():
    lines = bench_runs.compile_list(bench_plan.COMPILED).splitlines()
    assert len(lines) >= 8
    for line in lines:
        words = line.split()
        assert len(words) + 4 <= 32 and words[-2] == "-c" and Path(words[-1]).is_file()


def test_pairs_are_counted_exactly(boot):
    """The same number twice, and a block of 4 MiB costs more than a page."""
    got = [bench_runs.hotpath(boot, lambda *_: None, order, 1, "nodevice").figures["insns_per_pair"]
           for order in (0, 0, 10)]
    assert 100 < got[0] == got[1] < got[2]


@pytest.mark.parametrize("migratetype", ["unmovable", "reclaimable", "movable"])
def test_one_block_of_each_type(boot, migratetype):
    got = bench_runs.one_block(boot, lambda *_: None, 1024, migratetype)
    assert got.figures["one_block_pass_insns"] > 1000 and got.figures["busy_reported_mib"] == 0


def module_of(got):
    return next(event for event in got.results[0].events if event.name == "module")


def test_one_block_beside_a_busy_one(boot):
    """It is reported, or the figure says that it was not; the busy block takes its turns meanwhile."""
    got = bench_runs.one_block(boot, lambda *_: None, 1024, "movable", busy=True)
    insns, passes = got.figures["one_block_pass_insns"], module_of(got).number("passes")
    assert (insns is None) == ("one_block_pass_insns" in got.reasons) and passes > 2
    assert insns is None or insns > 1000


def test_split_reports_nothing_again(boot):
    """What is left of a reported block of 4 MiB, of which a piece is in use, stays reported."""
    got = bench_runs.split(boot, lambda *_: None, 1024, 64, 5, 250)
    assert got.figures["repeated_mib"] < 2      # a block of others, in passing
    assert 1 <= got.figures["reported_per_reportable"] < 1.05


def test_snapshot_without_a_flush(boot):
    """A wait is what stock can do; for ours, it would be the wrong number."""
    boot.kernel = paths.BUILD / "off" / "vmlinux"
    boot.column = "stock"
    waited = bench_runs.flush(boot, lambda *_: None, 256, 1)
    assert 256 < waited.figures["rss_at_pause_mib"] < 1024 and waited.reasons == {}
    boot.column = "ours"
    got = bench_runs.flush(boot, lambda *_: None, 256, 1)
    assert got.figures["rss_at_pause_mib"] is None and "no flush file" in got.reasons["rss_at_pause_mib"]


def test_snapshot_with_a_flush(boot):
    """What was freed is gone when it returns, long before the wait that others need is over."""
    got = bench_runs.flush(boot, lambda *_: None, 512, 600)
    assert 0 < got.figures["rss_at_pause_mib"] < 512 and got.reasons == {}


def test_churn_in_a_guest(boot):
    got = bench_runs.churn(boot, lambda *_: None, 64, 100, 3)
    assert set(got.figures) == {figure.name for figure in bench_plan.CHURN}
    assert got.figures["cycles"] > 3 and got.figures["mean_alloc_ms"] > 0
    assert 0 <= got.figures["worker_cpu_pct"] < 100
    assert 64 < got.figures["mean_rss_mib"] < 1024
    assert 0 <= got.figures["short_counted_pct"] < 200 and got.figures["passes_per_s"] > 0


def last_cycle(got):
    return [event for event in got.results[0].events if event.name == "cycle"][-1]


@pytest.mark.parametrize("of", ["4k", "tmpfs", "blocks"])
def test_churn_of_other_memory(boot, of):
    """Long pauses make it long: after the first cycle, no run is short."""
    got = bench_runs.churn(boot, lambda *_: None, 32, 1600, 7, of=of)
    last, cycles = last_cycle(got), got.figures["cycles"]
    assert cycles >= 3
    assert [last.number(f"{kind}_mib") for kind in ("never", "short", "long")] == [32, 0, 32 * (cycles - 1)]
    assert got.figures["short_refault_pct"] is None and got.figures["mean_rss_mib"] > 32


def test_two_churns_in_a_guest(boot):
    """The level of both is one: no more than both was ever taken for the first time."""
    beside = {"mib": 16, "pause_ms": 100, "of": "tmpfs"}
    got = bench_runs.churn(boot, lambda *_: None, 32, 200, 4, of="4k", beside=beside)
    last = last_cycle(got)
    assert 32 <= last.number("never_mib") <= 48 and last.number("short_mib") > 48
    assert got.figures["short_refault_pct"] >= 0


# What the guest's memory is used for

def memory_event(t_ms, **kib):
    return Event("memory", 0, None, {name: str(value) for name, value in (kib | {"t_ms": t_ms}).items()})


def test_memory_is_in_mib():
    """What stock does not count is unknown, and no number."""
    events = [memory_event(1500, used=2048, cache=1024, small=512, backed=4096), run_at(1, "short"),
              memory_event(3500, used=2048, cache=0, small=0, backed=-1)]
    assert bench_runs.memory(events) == [[1.5, 2, 1, 0.5, 4], [3.5, 2, 0, 0, None]]


def test_memory_in_a_guest(boot, monkeypatch):
    """64 MiB are used while they are held, and then free: first backed, then reported."""
    monkeypatch.setattr(bench_runs, "MEMORY_MS", 200)
    steps = [bench_runs.decomposed(["churn", "mem=64M", "pause=6000", "count=1", "thp=always"])]
    with boot(steps=steps) as vm:
        result = vm.finish()
    rows = bench_runs.memory(result.events)
    used, backed = [row[1] for row in rows], [row[4] for row in rows]
    assert len(rows) > 10 and min(used) > 0 and None not in backed
    assert all(sum(row[1:]) < 1024 for row in rows) and backed[-1] < max(backed) - 32


def test_failure_beside_memory(boot):
    with pytest.raises(StepFailed, match="options are mem, pause"):
        with boot(steps=[bench_runs.decomposed(["churn", "nosuch=1"])]) as vm:
            vm.finish()


@pytest.mark.parametrize("memory", [(), [[1.0, 2, 1, 0.5, 4], [3.0, 2, 0, 0, 1]], [[1.0, 2, 1, 0.5, None]] * 2])
def test_chart_of_a_curve(tmp_path, memory):
    bench_chart = pytest.importorskip("lab.bench_chart")
    points = {"stock": [[[0, 10], [1, 5]]], "ours": [[[0, 10], [1, 2]]]}
    bench_chart.curves(tmp_path / "c.png", "t", "s", points, bench_runs.MEMORY_KINDS, memory)
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


# The host's huge pages

def test_huge_pages_that_fell_for_nothing():
    """1766 MiB of huge pages are gone, for 113 MiB that came back."""
    assert bench_runs.lost_huge_mib(2305, 2192, 2244, 478) == 1653
    assert bench_runs.lost_huge_mib(2305, 2192, 2244, 2200) == 0
    assert bench_runs.lost_huge_mib(2305, 2310, 2244, 2240) == 4


@pytest.mark.parametrize("text, setting, reason", [
    ("always [madvise] never\n", "madvise", None), ("[always] madvise never\n", "always", None),
    ("always madvise [never]\n", "never", "the host's transparent huge pages are set to never"),
    (None, "none", "the host's transparent huge pages are set to none")])
def test_setting_of_the_host(tmp_path, monkeypatch, text, setting, reason):
    monkeypatch.setattr(host, "THP_ENABLED", tmp_path / "enabled")
    if text:
        (tmp_path / "enabled").write_text(text)
    assert (host.thp_setting(), host.no_huge_pages_reason()) == (setting, reason)


def test_splits_of_the_host(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "VMSTAT", tmp_path / "vmstat")
    (tmp_path / "vmstat").write_text("thp_split_page 3\nthp_split_page_failed 9\nthp_deferred_split_page 4\n")
    assert host.splits() == (3, 4)


HOSTPAGES_SMALL = {"mib": 256, "each_kib": 2048, "hole_kib": 1024, "wait_s": 3}


def test_hostpages_in_a_guest(boot):
    got = bench_runs.hostpages(boot, lambda *_: None, **HOSTPAGES_SMALL)
    assert set(got.figures) == {figure.name for figure in bench_plan.HOSTPAGES}
    assert 256 < got.figures["before_mib"] < 1024
    if not host.no_huge_pages_reason():
        assert 256 < got.figures["huge_before_mib"] <= got.figures["before_mib"] and got.reasons == {}


def test_guest_without_huge_pages_of_the_host(boot):
    """QEMU asks for them, and gets none."""
    with boot(steps=[["hog", "mem=64M"]], host_thp=False) as vm:
        vm.wait_event("ready")
        assert vm.samples[-1].rss_mib > 64 and host.huge_mib(vm.pid) == 0
        vm.send("quit")
        vm.finish()
    got = bench_runs.hostpages(boot, lambda *_: None, huge=False, **HOSTPAGES_SMALL)
    assert got.figures["huge_after_mib"] is None and got.figures["before_mib"] > 256
    assert got.reasons["host_splits"] == "QEMU runs without huge pages here"


# Stops

def test_what_follows_a_stop():
    """In the 5 s after 2 s, 30 MiB come, and the cycles that end take 150 MiB; both stops add up."""
    cycles = [cycle_at(t, never_mib=100, short_mib=50 * done) for done, t in enumerate((1, 3, 5, 7, 9))]
    curve = samples(0, 100, 60, 90, 90, 90, 90, 90, 100, 90, 90, 95)
    assert bench_runs.after_stops(curve, cycles, [2]) == (30, 150)
    assert bench_runs.after_stops(curve, cycles, [2, 7]) == (30 + 15, 150 + 50)


def test_a_stopped_process_goes_on():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(LabError), bench_runs.stopped(child.pid):
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
            raise LabError("the guest died")
        child.communicate(b"\n", timeout=20)
        assert child.returncode == 0


def test_stall_in_a_guest(boot, monkeypatch):
    monkeypatch.setattr(bench_runs, "LEARNED_S", 1)
    monkeypatch.setattr(bench_runs, "STALL_AFTER_S", 2)
    got = bench_runs.stall(boot, lambda *_: None, 32, 100, "4k", 2, 0.3, 1)
    assert set(got.figures) == {figure.name for figure in bench_plan.STALL}
    assert got.figures["sigstop_refaulted_mib"] >= 0 and got.figures["qmp_refault_pct"] is not None


# Rest

def test_idle_of_a_kernel_without_counters():
    """What the guest program says becomes the figures; what stock does not count has a reason."""
    events = {"resting": Event("resting", 1, Sample(1, 100, 0, 2.0), {}),
              "rested": Event("rested", 61, Sample(61, 100, 0, 2.5), {"works": "30", "timers": "2", "passes": "-1"})}
    guest = types.SimpleNamespace(samples=samples(100), events=list(events.values()), wait_event=events.get,
                                  finish=lambda: None)
    got = bench_runs.idle(lambda **_: contextlib.nullcontext(guest), lambda *_: None, 30, 60, 0)
    assert got.figures == {"works": 30, "timers": 2, "passes": None, "host_cpu_s": 0.5}
    assert got.reasons == {"passes": "this kernel counts no passes"}


# QEMU's monitor

@pytest.fixture
def monitor_socket(tmp_path):
    """A QEMU of words alone: serve(lines) sends them to who connects, one at once and one per request."""
    server, threads, asked = socket.socket(socket.AF_UNIX), [], []
    server.bind(str(tmp_path / "qmp"))
    server.listen()

    def answer(lines):
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as requests:
            for line in lines:
                connection.sendall(line.encode() + b"\n")
                if line != lines[-1] and '"event"' not in line:
                    asked.append(json.loads(requests.readline()))

    def serve(*lines):
        threads.append(threading.Thread(target=answer, args=(lines,)))
        threads[-1].start()
        return tmp_path / "qmp", asked
    yield serve
    for thread in threads:
        thread.join(20)
    server.close()


GREETING, EMPTY = '{"QMP": {}}', '{"return": {}}'


def test_monitor_leaves_out_events(monitor_socket):
    path, asked = monitor_socket(GREETING, EMPTY, '{"event": "STOP"}', '{"return": {"a": 1}}')
    with qmp.Monitor(path) as monitor:
        assert monitor.execute("query", wanted=2) == {"a": 1}
    assert asked == [{"execute": "qmp_capabilities"}, {"execute": "query", "arguments": {"wanted": 2}}]


@pytest.mark.parametrize("said, message", [
    ('{"error": {"class": "CommandNotFound", "desc": "The command nosuch has not been found"}}',
     "QMP nosuch: The command nosuch has not been found"),
    ("no json", "QMP nosuch: QEMU sent no json"), ("[]", r"QMP nosuch: QEMU sent \[\]"),
    ('{"id": 1}', "QMP nosuch: {'id': 1}"), ("", "QMP nosuch: QEMU sent nothing")])
def test_monitor_that_refuses(monitor_socket, said, message):
    path, _ = monitor_socket(GREETING, EMPTY, said)
    with qmp.Monitor(path) as monitor, pytest.raises(LabError, match=message):
        monitor.execute("nosuch")


def test_no_monitor(tmp_path, monitor_socket):
    with pytest.raises(LabError, match="QMP: connect to .*nosuch: No such file"):
        qmp.Monitor(tmp_path / "nosuch")
    with pytest.raises(LabError, match="QMP greet: QEMU sent no greeting"):
        qmp.Monitor(monitor_socket("{}")[0])


def test_release_in_a_guest(boot, monkeypatch):
    """Of so little, the lists of the CPUs may keep more than 1 %: do not wait for it."""
    monkeypatch.setattr(bench_runs, "WINDOW_S", 20)
    got = bench_runs.release(boot, lambda *_: None, 2048, 1024)
    assert set(got.figures) == {figure.name for figure in bench_plan.RELEASE}
    assert 0 < got.figures["t50_s"] <= got.figures["t90_s"] < bench_runs.WINDOW_S


def test_fragment_in_a_guest(boot):
    """Without huge pages, holes of 1 MiB are below order 9: whole blocks are made of them, and the rest comes back."""
    got = bench_runs.fragment(boot, lambda *_: None, 400, 10, 9, "madvise")
    assert set(got.figures) == {figure.name for figure in bench_plan.FRAGMENT}
    assert got.figures["touched_mib"] - got.figures["half_released_mib"] > 150
    assert got.figures["half_released_mib"] - got.figures["all_released_mib"] > 100


def test_scatter_in_a_guest(boot):
    """Single pages come back in whole huge pages, and what is left is intact."""
    got = bench_runs.scatter(boot, lambda *_: None, 400, 90, 10)
    assert set(got.figures) == {figure.name for figure in bench_plan.SCATTER}
    assert got.figures["before_mib"] - got.figures["after_mib"] > 250
    assert got.figures["emptied"] > 125 and got.figures["moved"] > 0


def test_scatter_with_a_flush_in_a_guest(boot):
    got = bench_runs.scatter(boot, lambda *_: None, 400, 90, 2, flush=True)
    assert set(got.figures) == {figure.name for figure in bench_plan.SCATTER_FLUSH}
    assert got.figures["before_mib"] - got.figures["after_mib"] > 250


@pytest.mark.parametrize("compact", [True, False])
def test_steady_in_a_guest(boot, compact):
    got = bench_runs.steady(boot, lambda *_: None, 400, 8, compact)
    assert set(got.figures) == {figure.name for figure in bench_plan.STEADY}
    assert got.figures["replaced"] > 1000
    assert 0 < got.figures["touch_p50_us"] <= got.figures["touch_p99_us"] <= got.figures["touch_p999_us"]


def test_two_guests_on_one_host(boot):
    got = bench_runs.pack(boot, lambda *_: None, guests=2, mib=64, pause_ms=1000, for_s=4, stagger_s=1)
    assert set(got.figures) == {figure.name for figure in bench_plan.PACK} and len(got.results) == 2
    assert 128 < got.figures["mean_mib"] <= got.figures["peak_mib"] < 2048


@pytest.mark.parametrize("row, expected", [
    ({"ratio": 0.5, "spread_pct": 10, "better": "lower"}, "better"),
    ({"ratio": 0.5, "spread_pct": 10, "better": "higher"}, "worse"),
    ({"ratio": 2.0, "spread_pct": 10, "better": "lower"}, "worse"),
    ({"ratio": 2.0, "spread_pct": 10, "better": "higher"}, "better"),
    ({"ratio": 1.05, "spread_pct": 10, "better": "lower"}, "same"),
    ({"ratio": 0.5, "spread_pct": None, "better": "lower"}, ""),
])
def test_verdict_of_a_row(row, expected):
    assert bench_table.verdict(row) == expected


def test_bench_without_kernels():
    run = subprocess.run([BENCH, "--stock", "/nosuch/vmlinux"], text=True, capture_output=True, timeout=60,
                         env={k: v for k, v in os.environ.items() if k not in ("SCENARIO", "REPEAT")})
    assert run.returncode == 1
    assert run.stderr == "bench: look for the kernels: /nosuch/vmlinux is missing: run `make bench`\n"


def test_selfcheck_ends_with_a_verdict(capsys):
    args = types.SimpleNamespace(selfcheck=True)
    good = json.loads(json.dumps(bench_results.rows([VARIANT], records([1, 2], [1, 2]))))
    assert bench.verdict(args, {"rows": good}) == 0 and "OK:" in capsys.readouterr().out
    bad = bench_results.rows([VARIANT], records([1, 1], [2, 2]))
    assert bench.verdict(args, {"rows": bad}) == 1 and "FAILED: release tiny" in capsys.readouterr().out
