# SPDX-License-Identifier: GPL-2.0
"""Measure the stock kernel and this series side by side.

Boots both in turn under the same QEMU, in every scenario, and writes a table, charts and
results.json. Finished runs are kept, so an interrupted bench continues where it stopped. Exit
status: 0 all measured, 1 a guest failed (or, for --selfcheck, a ratio is outside its spread), 2 for
bad input.
"""

import datetime
import functools
import os
import subprocess
import sys
from pathlib import Path

from . import bench_batch, bench_plan, bench_results, bench_store, files, host, modules, paths, programs, qemu
from .display import Pace
from .errors import BadInput, LabError, need_modules, output
from .inputs import parse_whole

DEFAULT_REPEAT, MAX_REPEAT = 3, 99
# A pass of the stock kernel that comes while devices are being shut down, when the queues are broken already.
STOCK_WARNS = [r"WARNING: .* virtballoon_free_page_report\+"]


def arguments(parser):
    parser.add_argument("--scenario", default=os.environ.get("SCENARIO", ""),
                        help="one of: " + ", ".join(bench_plan.SCENARIOS) + ", or one variant such as "
                             "release/4g (or SCENARIO in the environment); all of them by default")
    parser.add_argument("--repeat", default=os.environ.get("REPEAT", ""),
                        help="runs of each kernel (or REPEAT in the environment); "
                             f"{DEFAULT_REPEAT} by default")
    parser.add_argument("--earlier", default=os.environ.get("EARLIER") or None, type=Path, metavar="FILE",
                        help="runs.json of another bench (or EARLIER in the environment): its runs of these very "
                             "kernels are not measured again")
    parser.add_argument("--selfcheck", action="store_true", help="compare stock with stock")
    parser.add_argument("--check-only", action="store_true", help="check the input and start nothing")
    parser.add_argument("--kernels", action="store_true", help="list the kernels that are needed, and start nothing")
    parser.add_argument("--stock", default=paths.vmlinux("stock"), type=Path, help="stock kernel (%(default)s)")
    parser.add_argument("--ours", default=paths.vmlinux("ours"), type=Path, help="this series (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for results (build/bench, or build/bench-selfcheck)")


def known(scenario):
    """What could have been meant: the variants of a scenario that there is, or all scenarios."""
    name = scenario.partition("/")[0]
    if name in bench_plan.SCENARIOS:
        return ", ".join(f"{name}/{variant.name}" for variant in bench_plan.chosen(name))
    return ", ".join(bench_plan.SCENARIOS)


def check(scenario, repeat, selfcheck=False):
    """How many runs of a scenario, "scenario/variant", or an empty word for all of them; empty is the default."""
    if not bench_plan.chosen(scenario):
        raise BadInput(f"SCENARIO={scenario}: no such scenario; there are: {known(scenario)}")
    if not bench_plan.chosen(scenario, selfcheck):
        raise BadInput(f"SCENARIO={scenario}: it counts, and counts have no spread to check; give a "
                       "scenario that takes time, such as release")
    number = parse_whole("REPEAT", repeat, 1, MAX_REPEAT) if repeat else DEFAULT_REPEAT
    if selfcheck and number < 2:
        raise BadInput(f"REPEAT={repeat}: a self-check compares spreads; give 2 or more")
    return number


class Ticker:
    """Where the bench is: a line for each batch of runs, and one every ten seconds in it."""

    def __init__(self, batches):
        self._batches, self._pace = batches, Pace()

    def begin(self, batch):
        number = self._batches.index(batch) + 1
        left_s = sum(max(job.variant.seconds for job in other) for other in self._batches[number - 1:])
        self._pace = Pace()
        print(f"[{number}/{len(self._batches)}] {'; '.join(job.title for job in batch)}; about "
              f"{left_s / 60:.0f} min left", flush=True)

    def show(self, seconds, rss_mib):
        """Called often by the workload of a batch's first run."""
        if self._pace.due():
            print(f"    {seconds:.0f} s, {rss_mib:.0f} MiB resident", flush=True)

    def end(self, record):
        print(f"    {record['variant']} {record['column']}: "
              + ", ".join(f"{name} {bench_results.number(value)}" for name, value in record["figures"].items()),
              flush=True)


def kernel_path(args, column, build):
    """A kernel of the bench: that of `column`, in the build whose name ends in `build`."""
    kernel = args.ours if column == "ours" else args.stock
    folder = kernel.parent
    return kernel if not build else folder.with_name(f"{folder.name}-{build}") / kernel.name


class Bootable:
    """What can be booted: kernels, and an initramfs for each set of modules, made when needed."""

    def __init__(self, args, initrd):
        self._args, self._initrd = args, initrd
        self._packed = {}           # by kernel and names of modules

    def prepare(self, jobs):
        """Build what `jobs` boot, before any of them runs: modules, and the guest programs with them."""
        for job in jobs:
            for build in job.variant.builds:
                kernel, names = kernel_path(self._args, job.column, build), job.variant.modules
                if names and (kernel, names) not in self._packed:
                    made = [modules.build(kernel.parent, name) for name in names]
                    out = kernel.parent / "lab-modules" / f"{'-'.join(names)}.cpio.gz"
                    self._packed[kernel, names] = modules.pack(self._initrd, made, kernel.parent, out)

    def boot(self, job, guests):
        """What the workload of `job` boots its guests with."""
        from .vm import VM

        def boot(build="", modules=(), **more):     # pylint: disable=redefined-outer-name
            kernel = kernel_path(self._args, job.column, build)
            balloon = {"balloon": "off" if job.column == "off" else "on"}
            if job.column != "ours":
                balloon["tolerate"] = STOCK_WARNS
            initrd = self._packed[kernel, modules] if modules else self._initrd
            return guests.add(VM(kernel, **{"initrd": initrd, **balloon, **more}))
        boot.column = job.column
        return boot


def measure(job, boot, show):
    """Run `job`: its raw record."""
    import psutil
    from . import bench_disk, bench_runs
    name, arguments = job.variant.workload
    steal_s = psutil.cpu_times().steal
    got = {**bench_runs.WORKLOADS, **bench_disk.WORKLOADS}[name](boot, show, **arguments)
    return {
        "scenario": job.variant.scenario, "variant": job.variant.name, "column": job.column,
        "repeat": job.repeat, "figures": got.figures, "reasons": got.reasons,
        "host": [{"cpu_s": result.cpu_s, "wall_s": result.wall_s, "minflt": result.minflt,
                  "boot_s": result.boot_s} for result in got.results],
        # Of all CPUs: what a machine that this one runs on has kept from it.
        "steal_s": round(psutil.cpu_times().steal - steal_s, 2),
        "release": got.results[0].release, "accel": got.results[0].accel, "date": now(),
        "events": [[{"event": event.name, **event.fields} for event in result.events]
                   for result in got.results],
        "points": got.points, "memory": [bench_runs.memory(result.events) for result in got.results],
    }


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def run_all(args, jobs, store, bootable):
    """Run what has no record yet; of runs that go on together, the first shows how far it is."""
    todo = [job for job in jobs if not store.load(job)]
    if len(todo) < len(jobs):
        where = f"{paths.shown(args.out)}/raw" + (f" and {args.earlier}" if args.earlier else "")
        print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are there already, in {where}", flush=True)
    bootable.prepare(todo)
    batches = bench_plan.batches(todo)
    ticker = Ticker(batches)
    for batch in batches:
        ticker.begin(batch)
        guests = bench_batch.Guests()
        calls = [functools.partial(measure, job, bootable.boot(job, guests),
                                   (lambda *_: None) if index else ticker.show) for index, job in enumerate(batch)]
        for job, record in zip(batch, bench_batch.run(calls, guests)):
            record["identity"] = store.identity(job)
            store.save(job, record)
            ticker.end(record)


def load_records(jobs, store):
    """The records that there are, by (variant's title, column); none of a variant that is not through."""
    loaded = {}
    for job in jobs:
        loaded.setdefault(job.variant.title, []).append((job, store.load(job)))
    records = {}
    for pairs in loaded.values():
        for job, record in pairs if all(record for _, record in pairs) else ():
            records.setdefault((job.variant.title, job.column), []).append(record)
    return records


def git_commit():
    """The commit that is measured; with "+" when files that git knows were changed since."""
    try:
        return output("git", ["git", "-C", paths.REPO, "describe", "--always", "--abbrev=40", "--exclude=*",
                              "--dirty=+"]).strip()
    except LabError:
        return "no git repository"


def base_version():
    """What scripts/tree unpacked."""
    base = files.read_json(paths.BUILD / "base.json")
    if not base:
        raise LabError("look for the base: build/base.json is missing: run `make bench`")
    return base.get("version") or base["release"]


def make_meta(repeat, accels):
    return {"accel": ", ".join(accels), "qemu": qemu.version(qemu.find()).split(" (")[0],
            "base": base_version(), "commit": git_commit(), "date": now(), "cpus": os.cpu_count(),
            "repeat": repeat, "host_thp": host.thp_setting()}


def inputs_of(variant):
    """The files that a workload takes from outside: a recorded trace, or the compiler that it runs."""
    from . import bench_runs
    arguments = variant.workload[1]
    if "trace" in arguments:
        return [bench_runs.RECORDED / f"{arguments['trace']}.csv"]
    if bench_plan.COMPILED in arguments.values():
        found = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True)
        return [Path(found.stdout.strip())]
    return []


def make_store(args, initrd):
    """The raw records that count for these kernels and this machine."""
    digest = functools.lru_cache(maxsize=None)(bench_store.file_digest)
    setting = {"programs": digest(initrd), "accel": qemu.choose_accel(), "qemu": qemu.version(qemu.find()),
               "host_thp": host.thp_setting()}

    def depends_on(job):
        """The digests of the kernels that `job` boots, of its modules, and of what its workload works on."""
        paths_used = [kernel_path(args, job.column, build) for build in job.variant.builds]
        return {"kernels": [digest(path) if path.is_file() else None for path in paths_used],
                "modules": [digest(modules.SOURCE / f"{name}.c") for name in job.variant.modules],
                "inputs": [digest(path) for path in inputs_of(job.variant)],
                "method": job.variant.method}
    return bench_store.Store(args.out / "raw", depends_on, setting, args.earlier_runs)


def draw(out, variants, records, results):
    """All charts of the variants that were run: the paths."""
    from . import bench_chart, bench_runs
    meta, drawn = results["meta"], []
    subtitle = f"Linux {meta['base']}, {meta['qemu']}, {meta['accel']}"
    for variant in variants:
        # A run of another bench comes without its curve.
        points = {column: [record.get("points") for record in records[variant.title, column]]
                  for column in variant.columns}
        if all(all(runs) for runs in points.values()):
            drawn.append(out / f"{variant.scenario}-{variant.name}.png")
            memory = records[variant.title, "ours"][0]["memory"][0]
            bench_chart.curves(drawn[-1], variant.title, subtitle, points, bench_runs.MEMORY_KINDS, memory)
    sizes = {variant.name for variant in variants if variant.workload[0] == "scale"}
    scale = [row for row in results["rows"]
             if row["scenario"] == "scale" and row["variant"] in sizes and row["ratio"]]
    if scale:
        drawn.append(out / "scale.png")
        bench_chart.scaling(drawn[-1], subtitle, scale)
    if any(row["ratio"] for row in results["rows"]):
        drawn.append(out / "overview.png")
        bench_chart.overview(drawn[-1], results["rows"])
    return drawn


def report(results, variants, written):
    """The table, the reasons for what is missing, and where the files are."""
    from rich.console import Console
    titles = {(variant.scenario, variant.name) for variant in variants}
    shown = {**results, "rows": [row for row in results["rows"]
                                 if (row["scenario"], row["variant"]) in titles]}
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(bench_results.table(shown))
    for line in bench_results.notes(shown):
        print(line)
    print("Files:", ", ".join(paths.shown(path) for path in written), flush=True)


def verdict(args, results):
    """The exit status, with its reason when it is not 0."""
    if not args.selfcheck:
        return 0
    outside = [row for row in results["rows"] if row["ratio"] is not None and row["spread_pct"] is not None
               and not bench_results.within(row["ratio"], row["spread_pct"])]
    for row in outside:
        print(f"FAILED: {row['scenario']} {row['variant']} {row['figure']}: a ratio of {row['ratio']:.3f} "
              f"with a spread of {row['spread_pct']:.1f} %")
    if not outside:
        print("OK: stock against stock, every ratio is within its spread")
    return 1 if outside else 0


def builds(variants):
    """What the names of the kernels end in that `variants` boot."""
    return list(dict.fromkeys(build for variant in variants for build in variant.builds))


def check_kernels(args, variants):
    """All have to be there and be built alike; what differs goes into a file."""
    differences = {}
    for build in builds(variants):
        pair = [kernel_path(args, column, build) for column in bench_plan.KERNELS]
        for path in pair:
            if not path.is_file():
                raise LabError(f"look for the kernels: {paths.shown(path)} is missing: run `make bench`")
        name = f"kernel-{build}" if build else "kernel"
        differences[name] = bench_store.compare(*(bench_store.options(
            (path.parent / ".config").read_text(encoding="utf-8")) for path in pair))
    files.write_json(args.out / "config.json", differences)


def run_bench(args, repeat):
    need_modules("bench", "rich", "matplotlib", "psutil")
    variants, plan = (bench_plan.chosen(scenario, args.selfcheck) for scenario in (args.scenario, ""))
    check_kernels(args, variants)
    initrd = programs.build(args.stock.parent, paths.BUILD / "guest-programs")
    meta = make_meta(repeat, qemu.choose_accel())
    store = make_store(args, initrd)
    run_all(args, bench_plan.schedule(variants, repeat), store, Bootable(args, initrd))
    # Other scenarios keep their rows, where they were measured with these very kernels.
    records = load_records(bench_plan.schedule(plan, repeat), store)
    used = sorted({record["accel"] for runs in records.values() for record in runs})
    meta["accel"] = ", ".join(used) or meta["accel"]
    results = {"meta": meta, "rows": bench_results.rows(plan, records)}
    written = args.out / "results.json", args.out / "runs.json"
    for path, value in zip(written, (results, bench_results.runs(records))):
        files.write_json(path, value)
    report(results, variants, [*written, *draw(args.out, variants, records, results)])
    return verdict(args, results)


def main(args):
    if args.selfcheck:
        args.ours = args.stock
    args.out = args.out or paths.BUILD / ("bench-selfcheck" if args.selfcheck else "bench")
    repeat = check(args.scenario, args.repeat, args.selfcheck)
    args.earlier_runs = bench_store.read_runs(args.earlier) if args.earlier else ()
    qemu.choose_accel()
    if args.kernels:
        variants = bench_plan.chosen(args.scenario, args.selfcheck)
        # The names that scripts/build knows the kernels by
        print(*dict.fromkeys(kernel_path(args, column, build).parent.name for build in builds(variants)
                             for column in bench_plan.KERNELS))
    return 0 if args.check_only or args.kernels else run_bench(args, repeat)
