# SPDX-License-Identifier: GPL-2.0
"""The bench: its input, its statistics, its files, and a small workload in a guest."""

import concurrent.futures
import contextlib
import dataclasses
import json
import random
import subprocess
import threading
import types
from pathlib import Path

import psutil
import pytest

from conftest import LAB, environment
from lab import (bench, bench_batch, bench_chart, bench_disk, bench_plan, bench_results, bench_runs, bench_store,
                 drivers, host, paths, programs)
from lab import modules as lab_modules
from lab.bench_plan import Figure, Job, Variant
from lab.errors import BadInput, LabError
from lab.process import Event, Sample
from lab.vm import VM

product = pytest.mark.product
VARIANT = Variant("release", "tiny", (Figure("t50_s", "s"), Figure("share", "%", "higher")), ("w", {}),
                  seconds=1)


# Input

def test_input():
    assert [bench.check(*words) for words in (("", ""), ("churn/512m-10s", ""), ("scale", "1"))] == [3, 3, 1]
    for words, message in {
            ("foo", ""): "SCENARIO=foo: no such scenario; there are: release, churn",
            ("release/5g", ""): "SCENARIO=release/5g: no such scenario; there are: release/4g, release/16g",
            ("release,churn", ""): "SCENARIO=release,churn: no such scenario",
            ("", "0"): "REPEAT=0: give a whole number from 1 to 99", ("", "x"): "REPEAT=x: give",
            ("", "100"): "REPEAT=100: give",
            ("scale", "", True): "SCENARIO=scale: it counts, and counts have no spread",
            ("", "1", True): "REPEAT=1: a self-check compares spreads; give 2 or more"}.items():
        with pytest.raises(BadInput) as error:
            bench.check(*words)
        assert message in str(error.value)


def test_make_checks_its_input_before_anything_is_built():
    make = subprocess.run(["make", "-s", "bench-selfcheck", "SCENARIO=foo"], cwd=paths.REPO, text=True,
                          capture_output=True, timeout=60)
    ours = [line for line in make.stderr.splitlines() if not line.startswith("make: ***")]
    assert make.returncode == 2 and make.stdout == ""
    assert len(ours) == 1 and ours[0].startswith("bench: SCENARIO=foo: no such scenario")


# Statistics

def pair(stock, ours):
    return bench_results.summarize(stock), bench_results.summarize(ours)


def test_ratio_and_spread():
    """Medians 10 and 5; the farthest pairs are 4/12 and 6/8. Of three runs each, that is 3.1 times 50 %."""
    for stock, ours, ratio, spread in (([8, 10, 12], [4, 5, 6], 0.5, 155), ([7, 7], [7, 7], 1, 0),
                                       ([8, 9, 10, 10, 11, 12], [4, 5, 5, 5, 5, 6], 0.5, 50), ([2], [1, 1], 0.5, None),
                                       ([], [1], None, None), ([1], [], None, None), ([0, 0], [1, 2], None, None)):
        both = pair(stock, ours)
        assert bench_results.ratio(*both) == ratio
        assert bench_results.spread_pct(*both) == (spread if spread is None else pytest.approx(spread))


def test_spread_explains_chance():
    """Of 2000 pairs of equal kernels, the spread leaves about two unexplained."""
    for count in (3, 5):
        source = random.Random(5)
        pairs = [pair(*[[source.lognormvariate(0, 0.05) for _ in range(count)] for _ in range(2)])
                 for _ in range(2000)]
        assert sum(not bench_results.within(bench_results.ratio(*both), bench_results.spread_pct(*both))
                   for both in pairs) <= 6


# The plan

def test_plan_is_consistent():
    titles = [variant.title for variant in bench_plan.VARIANTS]
    assert len(titles) == len(set(titles))
    assert {v.workload[0] for v in bench_plan.VARIANTS} == {*bench_runs.WORKLOADS, *bench_disk.WORKLOADS}
    assert [variant.title for variant in bench_plan.chosen("churn/512m-10s")] == ["churn 512m-10s"]
    assert all(variant.columns == bench_plan.KERNELS for variant in bench_plan.chosen("churn", True))
    assert not any(variant.runs for variant in bench_plan.chosen("", True))


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


def test_large_guests_run_one_at_a_time():
    """Two of 16 GiB, both in use, are more than the machine the bench is for has."""
    batches = bench_plan.batches(bench_plan.schedule(bench_plan.chosen("release"), 1))
    assert [[job.title for job in batch] for batch in batches] == [
        ["release 4g, stock, run 1", "release 4g, ours, run 1"],
        ["release 16g, stock, run 1"], ["release 16g, ours, run 1"]]


def test_the_whole_bench_fits():
    """175 minutes in all, 30 for a scenario, by what runs took; building the kernels comes on top."""
    needs = {scenario: sum(max(job.variant.seconds for job in batch) for batch in bench_plan.batches(
        bench_plan.schedule(bench_plan.chosen(scenario), bench.DEFAULT_REPEAT)))
             for scenario in bench_plan.SCENARIOS}
    assert max(needs.values()) <= 30 * 60 and sum(needs.values()) <= 175 * 60


def test_kernels_that_are_built():
    for words, expected in ((["--scenario", "release"], "stock ours\n"), (["--selfcheck"], "stock\n"),
                            (["--scenario", "scale"], "stock ours stock-trace ours-trace\n")):
        run = subprocess.run([*LAB, "bench", "--kernels", *words], text=True, capture_output=True, timeout=60,
                             check=True, env=environment())
        assert run.stdout == expected


# Rows

def records(stock, ours, share=1.0, reasons=()):
    made = {column: [{"figures": {"t50_s": value, "share": share}, "reasons": dict(reasons)}
                     for value in values] for column, values in (("stock", stock), ("ours", ours))}
    return {(VARIANT.title, column): runs for column, runs in made.items()}


def test_rows():
    """A run without a figure leaves no median, and whatever is missing has its reason."""
    rows = bench_results.rows([VARIANT], records([2, 4, 6], [1, 2, 3], share=50))
    assert rows[0] == {"scenario": "release", "variant": "tiny", "figure": "t50_s", "unit": "s", "stock": 4,
                       "ours": 2, "off": None, "ratio": 0.5, "spread_pct": pytest.approx(620),
                       "better": "lower", "reason": "off: no part of this scenario"}
    assert (rows[1]["ratio"], rows[1]["spread_pct"], rows[1]["better"]) == (1, 0, "higher")
    lost = records([2, None, 3], [1, 1, 1], reasons={"t50_s": "less than 50 % was back"})
    for made, values, said in ((lost, (None, 1, None, None), "stock: less than 50 % was back"),
                               (records([0, 0], [1, 1]), (0, 1, None, None), "ratio: of a value of 0"),
                               (records([2], [1]), (2, 1, 0.5, None), "spread: of a single run"),
                               ({}, (None,) * 4, bench_results.NOT_RUN)):
        row = bench_results.rows([VARIANT], made)[0]
        assert tuple(row[name] for name in ("stock", "ours", "ratio", "spread_pct")) == values and said in row["reason"]


def test_exact_counts_that_differ_are_named():
    variant = Variant("scale", "tiny", (Figure("t50_s", "", exact=True),), ("w", {}))
    for ours, said in (([7, 7], False), ([7, 8], True)):
        made = {("scale tiny", column): runs for (_, column), runs in records([7, 7], ours).items()}
        row = bench_results.rows([variant], made)[0]
        assert ("exact: runs differ" in row["reason"]) == said == bool(bench_results.notes({"rows": [row]}))


def test_selfcheck_ends_with_a_verdict(capsys):
    args = types.SimpleNamespace(selfcheck=True)
    assert bench.verdict(args, {"rows": bench_results.rows([VARIANT], records([10, 12], [11, 13]))}) == 0
    assert "OK:" in capsys.readouterr().out
    assert bench.verdict(args, {"rows": bench_results.rows([VARIANT], records([10, 10.1], [20, 20.1]))}) == 1
    assert "FAILED: release tiny t50_s" in capsys.readouterr().out


# Configurations

def test_configurations():
    stock = bench_store.options("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_OLD=3\n")
    ours = bench_store.options("CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_NEW is not set\n")
    assert bench_store.compare(stock, ours) == {"same": 2, "only_stock": {"CONFIG_OLD": "3"},
                                                "only_ours": {"CONFIG_NEW": "n"}}
    for line in ("# CONFIG_A is not set", "CONFIG_A=m"):
        with pytest.raises(LabError, match="stock and ours differ: CONFIG_A: y and"):
            bench_store.compare(bench_store.options("CONFIG_A=y\n"), bench_store.options(line))


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


def test_record_counts_for_its_method_and_inputs(tmp_path, monkeypatch):
    """Not for the text of the lab, most of whose changes do not change a figure."""
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(b"kernel")
    monkeypatch.setattr(bench_runs, "RECORDED", tmp_path)
    trace = tmp_path / "relink.csv"
    trace.write_text("0,1\n", encoding="utf-8")
    args = types.SimpleNamespace(out=tmp_path, stock=kernel, ours=kernel, earlier_runs=())
    relink, compiled = (next(v for v in bench_plan.VARIANTS if v.name == name) for name in ("relink", "c-compile"))

    def paths_of(variant):
        return bench.make_store(args, kernel).path(Job(variant, "stock", 1))
    before = paths_of(relink)
    assert paths_of(relink) == before
    trace.write_text("0,2\n", encoding="utf-8")
    assert paths_of(relink) != before
    before = paths_of(relink)
    assert paths_of(dataclasses.replace(relink, method=relink.method + 1)) != before
    compiler = bench.inputs_of(compiled)[0]
    assert compiler.name == "cc1" and compiler.is_file()


def test_runs_of_another_bench_count_for_the_same_kernel(tmp_path):
    """They come from its runs.json, and are not measured again."""
    job, runs = Job(VARIANT, "ours", 1), tmp_path / "runs.json"
    record = {"scenario": VARIANT.scenario, "variant": VARIANT.name, "column": "ours", "repeat": 1, "reasons": {},
              "accel": "tcg", "figures": {}, "identity": json.loads(json.dumps(store_in(tmp_path).identity(job)))}
    runs.write_text(json.dumps([record]), encoding="utf-8")
    earlier = bench_store.read_runs(runs)
    assert bench_store.Store(tmp_path / "raw", lambda job: {"kernels": ["k2"]}, {"programs": "p1"},
                             earlier).load(job) == record
    for kernel, packed in (("k3", "p1"), ("k2", "p2")):
        store = bench_store.Store(tmp_path / "raw", lambda job, kernel=kernel: {"kernels": [kernel]},
                                  {"programs": packed}, earlier)
        assert store.load(job) is None
    for text in ("", "{}", '[{"scenario": "release"}]'):
        runs.write_text(text, encoding="utf-8")
        with pytest.raises(LabError, match="not a runs.json"):
            bench_store.read_runs(runs)


NO_GUESTS = types.SimpleNamespace(prepare=lambda jobs: None, boot=lambda job, guests: None)


def test_interrupted_bench_goes_on(tmp_path, monkeypatch):
    """What failed or was not reached is measured by the next bench, and nothing else; the third of all runs fails."""
    calls = []

    def measure(job, _boot, _show):
        calls.append((job.column, job.repeat))
        if len(calls) == 3:
            raise LabError("the guest died")
        return {"variant": "tiny", "column": job.column, "figures": {"t50_s": job.repeat, "share": 1},
                "reasons": {}}
    monkeypatch.setattr(bench, "measure", measure)
    args, jobs = types.SimpleNamespace(out=tmp_path, earlier=None), bench_plan.schedule([VARIANT], 2)
    store = store_in(tmp_path / "raw")
    with pytest.raises(LabError, match="the guest died"):
        bench.run_all(args, jobs, store, NO_GUESTS)
    assert bench.load_records(jobs, store) == {}
    bench.run_all(args, jobs, store, NO_GUESTS)
    got = bench.load_records(jobs, store)
    assert calls == [("stock", 1), ("ours", 1), ("stock", 2), ("stock", 2), ("ours", 2)]
    assert [run["figures"]["t50_s"] for run in got[VARIANT.title, "ours"]] == [1, 2]


def test_record_says_what_the_host_had_no_time_for(monkeypatch):
    """CPU time that was stolen during the run, of all CPUs."""
    stolen = iter((100, 102.5))
    monkeypatch.setattr(psutil, "cpu_times", lambda: types.SimpleNamespace(steal=next(stolen)))
    result = types.SimpleNamespace(cpu_s=1, wall_s=1, minflt=1, boot_s=1, release="6.12", accel="tcg", events=[])
    monkeypatch.setitem(bench_runs.WORKLOADS, VARIANT.workload[0], lambda *_, **__: types.SimpleNamespace(
        figures={}, reasons={}, results=[result], points=[]))
    record = bench.measure(bench_plan.schedule([VARIANT], 1)[0], None, None)
    assert record["steal_s"] == 2.5


# Runs that go on together

def test_runs_of_a_batch_overlap():
    """Each waits for the other: one after the other, they never would end."""
    barrier = threading.Barrier(2, timeout=20)
    assert bench_batch.run([lambda: barrier.wait() >= 0] * 2, bench_batch.Guests()) == [True, True]


def test_one_failure_stops_the_batch():
    guests, stopped = bench_batch.Guests(), threading.Event()
    guest = types.SimpleNamespace(stop=stopped.set)

    def waits():
        assert guests.add(guest) is guest and stopped.wait(20)
        raise LabError("the guest ended")

    def fails():
        raise LabError("the guest died")

    with pytest.raises(LabError):
        bench_batch.run([waits, fails], guests)
    assert stopped.is_set()
    with pytest.raises(concurrent.futures.CancelledError):
        guests.add(guest)


# Workloads

def samples(*mib):
    return [Sample(t=float(i), rss_mib=value, minflt=10 * i, cpu_s=i) for i, value in enumerate(mib)]


def test_growth_is_refaults_and_what_came_back():
    """Up 100, down 60, up 40: 140 MiB came, in blocks of 2 MiB. Of 210 MiB, 60 had been there. Means are over time."""
    assert bench_runs.refaulted_blocks(samples(100, 200, 140, 180)) == 70
    assert bench_runs.refaulted_blocks(samples(200, 100, 100)) == 0
    assert bench_runs.regrowth_mib(samples(100, 200, 140, 250)) == 60
    assert bench_runs.regrowth_mib(samples(100, 150, 200)) == 0
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


def test_slow_first_cycle_is_not_settled():
    """However late it is, what the kernel learns from comes after it: the second use of the memory."""
    cycles = [cycle_at(t, never_mib=100, short_mib=done * 100, long_mib=0) for done, t in enumerate((2, 3, 5, 7))]
    slow = [cycle_at(event.t + 4, never_mib=100, short_mib=event.number("short_mib"), long_mib=0) for event in cycles]
    assert [event.t for event in bench_runs.learned(cycles, 0)] == [5, 7]
    assert [event.t for event in bench_runs.learned(slow, 0)] == [7, 9, 11]


def idle_figures(counted=True):
    """The first 100 MiB, then two cycles, each 50 MiB of short and 50 of long; 5 s are over with the second cycle."""
    runs = [Event("run", t, None, {"idle": idle}) for t, idle in (
        (1.5, "short"), (3.5, "long"), (4.5, "short"), (7.5, "long"), (8.5, "short"))]
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


def test_refaults_that_cannot_be_told():
    figures, reasons = idle_figures(counted=False)
    assert figures["short_refault_pct"] == 11 and figures["short_counted_pct"] is None
    assert reasons["short_counted_pct"] == "this kernel counts no refaults"
    cycles = [cycle_at(t, never_mib=100, short_mib=100 * t) for t in (1, 6, 7)]
    figures, reasons = bench_runs.idle_figures(cycles, samples(0, 100))
    assert figures["short_refault_pct"] == 0 and figures["long_refault_pct"] is None
    assert reasons["long_refault_pct"] == "nothing that was taken again was idle for 1.4 s or longer"


def test_what_a_churn_cannot_tell():
    """A kernel without the counter, and one cycle."""
    before, after = (Event("x", t, None, {"passes": str(passes)}) for t, passes in ((2, 5), (4, 35)))
    assert bench_runs.per_second("passes", before, after) == 15
    without = Event("x", 2, None, {"passes": "-1"})
    assert bench_runs.per_second("passes", without, without) is None
    assert bench_runs.churn_figures([cycle_at(1, 4000)], samples(0, 100, 50))["refaulted_blocks_per_cycle"] is None


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
    lines = bench_runs.compile_list(bench_plan.COMPILED).read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 8
    for line in lines:
        words = line.split()
        assert len(words) + 4 <= 32 and words[-2] == "-c" and Path(words[-1]).is_file()


def test_disk_with_files_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    monkeypatch.setattr(bench_disk, "FILE_MIB", 1)
    image = bench_disk.disk(2)
    listed = subprocess.run(["/sbin/debugfs", "-R", "ls -p /", image], capture_output=True, text=True,
                            check=True).stdout
    assert "/0/1048576/" in listed and "/1/1048576/" in listed and "/2/1048576/" not in listed
    made = image.stat().st_mtime_ns
    assert bench_disk.disk(2).stat().st_mtime_ns == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files-2.img", "files-2.lock"]


def small(boot, workload, scenario, *arguments, **more):
    """A short run, which has all figures of its scenario."""
    got = bench_runs.WORKLOADS[workload](boot, lambda *_: None, *arguments, **more)
    assert {figure.name for figure in bench_plan.chosen(scenario)[0].figures} - {"max_irqsoff_us", "idle_pass_insns"} \
        <= set(got.figures)
    return got


def test_pairs_are_counted_exactly(boot):
    """The same number twice, and a block of 4 MiB costs more than a page."""
    got = [small(boot, "hotpath", "hotpath", order, 1, "nodevice").figures["insns_per_pair"] for order in (0, 0, 10)]
    assert 100 < got[0] == got[1] < got[2]


@product
@pytest.mark.parametrize("migratetype", ["unmovable", "reclaimable", "movable"])
def test_one_block_of_each_type_is_reported(boot, migratetype):
    got = small(boot, "one_block", f"scale/4g-{migratetype}", 1024, migratetype)
    assert got.figures["one_block_pass_insns"] > 1000 and got.figures["busy_reported_mib"] == 0


def test_one_block_beside_a_busy_one(boot):
    """It is reported, or the figure says that it was not; the busy block takes its turns meanwhile."""
    got = small(boot, "one_block", "scale/4g-movable-beside-busy", 1024, "movable", busy=True)
    insns, module = got.figures["one_block_pass_insns"], [e for e in got.results[0].events if e.name == "module"]
    assert module[0].number("passes") > 2
    if "one_block_pass_insns" in got.reasons:
        assert insns is None
    else:
        assert insns > 1000


@product
def test_split_reports_nothing_again(boot):
    """What is left of a reported block of 4 MiB, of which a piece is in use, stays reported."""
    got = small(boot, "split", "split", 1024, 64, 5, 250)
    # A huge page of others, in passing, and one of what the per-CPU lists had
    assert got.figures["repeated_mib"] <= 4
    assert 1 <= got.figures["reported_per_reportable"] < 1.05


def test_snapshot_without_a_flush(boot):
    """A wait is what stock can do; for ours, it would be the wrong number."""
    boot.kernel = paths.vmlinux("off")
    boot.column = "stock"
    waited = small(boot, "flush", "flush", 256, 1)
    assert 256 < waited.figures["rss_at_pause_mib"] < 1024 and waited.reasons == {}
    boot.column = "ours"
    got = small(boot, "flush", "flush", 256, 1)
    assert got.figures["rss_at_pause_mib"] is None and "no flush file" in got.reasons["rss_at_pause_mib"]


@product
def test_snapshot_with_a_flush(boot):
    """What was freed is gone when it returns, long before the wait that others need is over."""
    got = small(boot, "flush", "flush", 512, 600)
    assert 0 < got.figures["rss_at_pause_mib"] < 512 and got.reasons == {}


def test_churn_in_a_guest(boot):
    got = small(boot, "churn", "churn", 64, 100, 3)
    assert got.figures["cycles"] > 3 and got.figures["mean_alloc_ms"] > 0
    assert 0 <= got.figures["worker_cpu_pct"] < 100
    assert 64 < got.figures["mean_rss_mib"] < 1024
    assert 0 <= got.figures["short_counted_pct"] < 200 and got.figures["passes_per_s"] > 0


@pytest.mark.parametrize("of", ["4k", "tmpfs", "blocks"])
def test_churn_of_other_memory(boot, of):
    """Long pauses make it long: after the first cycle, no run is short."""
    got = small(boot, "churn", "churn", 32, 1600, 7, of=of)
    last, cycles = drivers.last(got.results[0], "cycle"), got.figures["cycles"]
    assert cycles >= 3
    assert [last.number(f"{kind}_mib") for kind in ("never", "short", "long")] == [32, 0, 32 * (cycles - 1)]
    assert got.figures["short_refault_pct"] is None and got.figures["mean_rss_mib"] > 32


def test_two_churns_in_a_guest(boot):
    """The level of both is one: no more than both was ever taken for the first time."""
    beside = {"mib": 16, "pause_ms": 100, "of": "tmpfs"}
    got = small(boot, "churn", "churn", 32, 200, 4, of="4k", beside=beside)
    last = drivers.last(got.results[0], "cycle")
    assert 32 <= last.number("never_mib") <= 48 and last.number("short_mib") > 48
    assert got.figures["short_refault_pct"] >= 0


# What the guest's memory is used for

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


def test_chart_of_a_curve(tmp_path):
    points = {"stock": [[[0, 10], [1, 5]]], "ours": [[[0, 10], [1, 2]]]}
    for memory in ((), [[1.0, 2, 1, 0.5, 4], [3.0, 2, 0, 0, 1]], [[1.0, 2, 1, 0.5, None]] * 2):
        bench_chart.curves(tmp_path / "c.png", "t", "s", points, bench_runs.MEMORY_KINDS, memory)
        assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


# The host's huge pages

HOSTPAGES_SMALL = {"mib": 256, "each_kib": 2048, "hole_kib": 1024, "wait_s": 3}


def test_hostpages_in_a_guest(boot):
    got = small(boot, "hostpages", "hostpages", **HOSTPAGES_SMALL)
    assert 256 < got.figures["before_mib"] < 1024
    if not host.no_huge_pages_reason():
        assert 256 < got.figures["huge_before_mib"] <= got.figures["before_mib"] and got.reasons == {}


def test_guest_without_huge_pages_of_the_host(boot):
    """QEMU asks for them, and gets none."""
    with boot(steps=[["hog", "mem=64M"]], host_thp=False) as vm:
        vm.wait_event("ready")
        assert vm.samples[-1].rss_mib > 64 and vm.huge_mib() == 0
        vm.send("quit")
        vm.finish()
    got = small(boot, "hostpages", "hostpages", huge=False, **HOSTPAGES_SMALL)
    assert got.figures["huge_after_mib"] is None and got.figures["before_mib"] > 256
    assert got.reasons["host_splits"] == "QEMU runs without huge pages here"


# Stops

def test_what_follows_a_stop():
    """In the 5 s after 2 s, 30 MiB come, and the cycles that end take 150 MiB; both stops add up."""
    cycles = [cycle_at(t, never_mib=100, short_mib=50 * done) for done, t in enumerate((1, 3, 5, 7, 9))]
    curve = samples(0, 100, 60, 90, 90, 90, 90, 90, 100, 90, 90, 95)
    assert bench_runs.after_stops(curve, cycles, [2]) == (30, 150)
    assert bench_runs.after_stops(curve, cycles, [2, 7]) == (30 + 15, 150 + 50)


def test_stall_in_a_guest(boot, monkeypatch):
    monkeypatch.setattr(bench_runs, "LEARNED_S", 1)
    monkeypatch.setattr(bench_runs, "STALL_AFTER_S", 2)
    got = small(boot, "stall", "stall", 32, 100, "4k", 2, 0.3, 1)
    assert got.figures["sigstop_refaulted_mib"] >= 0 and got.figures["qmp_refault_pct"] is not None


# Rest

def test_idle_of_a_userland_that_is_not_up(monkeypatch):
    """Units that failed, or another first process, would be something else than the userland at rest."""
    monkeypatch.setattr(bench_runs.image, "make", lambda *_: "disk")
    for init, state in (("systemd", "degraded"), ("sh", "running")):
        guest = types.SimpleNamespace(events=[Event("boot", 1, None, {"init": init, "state": state})])
        with pytest.raises(LabError, match=f"process 1 is {init}, and systemd says that it is {state}"):
            bench_runs.idle_userland(lambda guest=guest, **_: contextlib.nullcontext(guest), None, 30, 60)


@product
def test_release_in_a_guest(boot, monkeypatch):
    """Of so little, the lists of the CPUs may keep more than 1 %: do not wait for it."""
    monkeypatch.setattr(bench_runs, "WINDOW_S", 20)
    got = small(boot, "release", "release", 2048, 1024)
    assert 0 < got.figures["t50_s"] <= got.figures["t90_s"] < bench_runs.WINDOW_S


@product
def test_fragment_in_a_guest(boot):
    """Without huge pages, holes of 1 MiB are below order 9: whole blocks are made of them, and the rest comes back."""
    # Beside other tests, moves have less CPU time, and take longer than 20 s.
    got = small(boot, "fragment", "fragment", 400, 30, 9, "madvise")
    assert got.figures["touched_mib"] - got.figures["half_released_mib"] > 150
    assert got.figures["half_released_mib"] - got.figures["all_released_mib"] > 100


def test_scatter_in_a_guest(boot):
    """Single pages come back in whole huge pages, and what is left is intact."""
    got = small(boot, "scatter", "scatter", 400, 90, 10)
    assert got.figures["before_mib"] - got.figures["after_mib"] > 250
    assert got.figures["emptied"] > 125 and got.figures["moved"] > 0


def test_scatter_with_a_flush_in_a_guest(boot):
    got = bench_runs.scatter(boot, lambda *_: None, 400, 90, 2, flush=True)
    assert set(got.figures) == set(bench_plan.SCATTER_FLUSH.split())
    assert got.figures["before_mib"] - got.figures["after_mib"] > 250


@pytest.mark.parametrize("compact", [True, False])
def test_steady_in_a_guest(boot, compact):
    got = small(boot, "steady", "steady", 400, 8, compact)
    assert got.figures["replaced"] > 1000
    assert 0 < got.figures["touch_p50_us"] <= got.figures["touch_p99_us"] <= got.figures["touch_p999_us"]


def test_two_guests_on_one_host(boot):
    got = small(boot, "pack", "pack", guests=2, mib=64, pause_ms=1000, for_s=10, stagger_s=1)
    assert len(got.results) == 2
    assert 128 < got.figures["mean_mib"] <= got.figures["peak_mib"] < 2048


def test_bench_without_kernels(tmp_path):
    run = subprocess.run([*LAB, "bench", "--stock", "/nosuch/vmlinux", "--out", tmp_path], text=True,
                         capture_output=True, timeout=60, env=environment())
    assert run.returncode == 1
    assert run.stderr == "bench: look for the kernels: /nosuch/vmlinux is missing: run `make bench`\n"
