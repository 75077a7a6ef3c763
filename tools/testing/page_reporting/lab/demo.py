# SPDX-License-Identifier: GPL-2.0
"""Show that memory which a guest frees comes back to the host.

Boots a guest twice, with its balloon's free page reporting on and off, has it take and free
memory, and watches QEMU's resident memory. Exit status: 0 if at least 95 % came back with
reporting on and less than 5 % with it off, 1 if not or if a guest failed, 2 for bad input.
"""

import contextlib
import csv
import datetime
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import display, files, inputs, paths, programs, qemu
from .errors import need_modules
from .fall import Settling, measure

ENOUGH_PCT, NOTHING_PCT = 95, 5
WINDOW_S = 40           # how long to watch the run with reporting on, at most
BUDGET_S = 42           # for both runs together
ENOUGH_FOR_S = 2        # up to this delay; with longer ones, more
MIN_OFF_S = 6           # how long to watch the run with reporting off, at least


@dataclass(frozen=True)
class Run:
    """One finished run: curve of (seconds since the guest freed, resident MiB), and its kernel."""

    points: list
    freed_mib: int
    release: str
    accel: str

    def fall(self):
        """How far, and how fast, memory fell from the guest's free on."""
        return measure([point for point in self.points if point[0] >= 0], self.freed_mib)


def arguments(parser):
    inputs.guest_arguments(parser)
    parser.add_argument("--out", default=paths.BUILD / "demo", type=Path, help="folder for results (%(default)s)")


def window_s(wanted):
    """How long to wait for memory to come back: more where the delay between passes is longer."""
    return WINDOW_S + 12 * max(0, wanted.delay_s - ENOUGH_FOR_S)


def make_vm(args, wanted, balloon):
    from .vm import VM
    hog = ["hog", f"mem={wanted.free_mib}M", "thp=always", f"limit={window_s(wanted) + 600:.0f}"]
    return VM(args.kernel, args.initrd or programs.initramfs(), balloon=balloon, mem_mib=wanted.mem_mib,
              steps=[*wanted.first_steps, hog], cmdline=wanted.cmdline,
              run_deadline_s=120 + wanted.mem_mib / 100 + window_s(wanted))


def watch(vm, show, enough):
    """Run `vm` until `enough(seconds, MiB, MiB returned)`, with show(MiB, words) all the time: a Run."""
    while not vm.done and not any(event.name == "freeing" for event in vm.events):
        vm.sleep(0.1)
        show(vm.samples[-1].rss_mib if vm.samples else 0, "guest takes memory")
    freeing = vm.wait_event("freeing")
    freed_mib, start_mib = freeing.number("mib"), freeing.sample.rss_mib
    while True:
        vm.sleep(0.1)
        sample = vm.samples[-1]
        t, back = sample.t - freeing.t, start_mib - sample.rss_mib
        show(sample.rss_mib, f"{max(0, 100 * back / freed_mib):3.0f} % back after {t:.0f} s")
        if enough(t, sample.rss_mib, back):
            break
    vm.send("quit")
    result = vm.finish()
    points = [(s.t - freeing.t, s.rss_mib) for s in result.samples if s.t <= sample.t]
    return Run(sorted([*points, (0.0, start_mib)]), freed_mib, result.release, result.accel)


def run_both(args, wanted, rows):
    """The run with reporting on until it has settled, then the one with reporting off."""
    def show(name):
        return lambda mib, note: rows.show({name: display.Row(mib, wanted.mem_mib, note=note)},
                                           f"{name}: {mib:.0f} MiB resident, {note}")

    def settled(t, mib, back):
        quiet = settling.settled(t, mib)
        return t >= window_s(wanted) or (quiet and back >= ENOUGH_PCT / 100 * wanted.free_mib)

    started, settling = time.monotonic(), Settling(max(2 * wanted.delay_s + 0.5, 3))
    with make_vm(args, wanted, "on") as vm:
        on = watch(vm, show("reporting on"), settled)
    took_s = time.monotonic() - started
    # A second run of the same length fits into the budget less its boot and its taking of memory.
    budget_s = BUDGET_S * max(1, wanted.delay_s / ENOUGH_FOR_S)
    watched_s = on.points[-1][0]
    off_s = min(watched_s, max(MIN_OFF_S, budget_s - took_s - (took_s - watched_s)))
    with make_vm(args, wanted, "off") as vm:
        off = watch(vm, show("reporting off"), lambda t, *_: t >= off_s)
    return on, off


def summarize(args, wanted, run, on, off):
    """The numbers of both falls, for the file."""
    return {
        "kernel": run.release, "accel": run.accel, "freed_mib": run.freed_mib,
        "returned_mib": round(on.returned_mib, 1), "returned_pct": round(on.returned_pct, 2),
        **{f"t{share}_s": None if t is None else round(t, 2) for share, t in on.times_s.items()},
        "off_returned_mib": round(off.returned_mib, 1), "off_returned_pct": round(off.returned_pct, 2),
        "mem_mib": wanted.mem_mib, "order": wanted.order, "delay_ms": wanted.delay_ms,
        "kernel_image": paths.shown(args.kernel), "qemu": qemu.version(qemu.find()),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def write_results(out, on, off, summary):
    """None of the files is replaced before all of them are there: they are of one complete run."""
    from . import chart
    with contextlib.ExitStack() as stack:
        table, picture = (stack.enter_context(files.replacing(out / name)) for name in ("rss.csv", "rss.png"))
        with open(table, "w", newline="", encoding="ascii") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(["run", "t_s", "rss_mib"])
            for name, run in (("on", on), ("off", off)):
                writer.writerows([name, f"{t:.3f}", f"{mib:.1f}"] for t, mib in run.points)
        chart.draw(picture, on.points, off.points, on.fall(),
                   f"A guest frees {inputs.format_mib(on.freed_mib)} of {inputs.format_mib(summary['mem_mib'])}",
                   f"Linux {summary['kernel']}, {summary['qemu'].split(' (')[0]}, {on.accel}")
        files.write_json(out / "summary.json", summary, indent=2)


def verdict(summary):
    """What is wrong with the numbers, or None."""
    if summary["returned_pct"] < ENOUGH_PCT:
        return (f"reporting on: only {summary['returned_pct']} % of what the guest freed came back; "
                f"{ENOUGH_PCT} % is needed")
    if summary["off_returned_pct"] >= NOTHING_PCT:
        return (f"reporting off: {summary['off_returned_pct']} % came back although nothing was "
                "reported: something else shrinks the VM")
    return None


def print_summary(console, falls, summary, out):
    """One screen: what was freed, what came back, how fast, where the files are."""
    from rich.table import Table
    table = Table("", "before", "after", "returned", "of freed", "50 %", "90 %", "99 %",
                  title=f"{summary['freed_mib']} MiB freed in a guest of {summary['mem_mib']} MiB, "
                        f"Linux {summary['kernel']}, {summary['accel']}")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, fall in falls.items():
        times = ("-" if t is None else f"{t:.2f} s" for t in fall.times_s.values())
        table.add_row(f"reporting {name}", f"{fall.start_mib:.0f} MiB", f"{fall.end_mib:.0f} MiB",
                      f"{fall.returned_mib:.0f} MiB", f"{fall.returned_pct:.1f} %", *times)
    console.print(table)
    console.print(f"Files: {paths.shown(out)}/rss.png, rss.csv, summary.json", highlight=False)


def main(args):
    """Both runs, the files and the summary: the exit status."""
    wanted = inputs.check_guest(args.mem, args.free, args.order, args.delay, inputs.available_mib())
    qemu.choose_accel()
    if args.check_only:
        return 0
    need_modules("show the demo", "rich", "matplotlib")
    from rich.console import Console
    args.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 100)
    with display.Rows(console, 0.5 if console.is_terminal else 2) as rows:
        on, off = run_both(args, wanted, rows)
    falls = {"on": on.fall(), "off": off.fall()}
    summary = summarize(args, wanted, on, *falls.values())
    write_results(args.out, on, off, summary)
    print_summary(console, falls, summary, args.out)
    wrong = verdict(summary)
    print(f"FAILED: {wrong}" if wrong else "OK: freed memory came back to the host, and only with "
          "reporting on", flush=True)
    return 1 if wrong else 0
