# SPDX-License-Identifier: GPL-2.0
"""Watch a guest that takes and frees memory, once a second, until q or Ctrl-C.

Shows how much memory is free in the guest, how much of it is reported, how much is refaulted per
second, and QEMU's resident memory. Exit status: 0 if it was ended by q, Ctrl-C or --seconds, 1 if
the guest failed, 2 for bad input.
"""

import os
import select
import sys
import termios
import time
import tty

from . import display, inputs, programs, qemu
from .errors import need_modules

LIMIT_S = 86400
QUIT_S = 30


def arguments(parser):
    inputs.guest_arguments(parser)
    parser.add_argument("--seconds", default=os.environ.get("TOP_S", ""),
                        help="end by itself after this time (or TOP_S in the environment)")


class Keys:
    """Keys of standard input, as they are pressed; none where it is no terminal. Use as a context
    manager, which puts the terminal back as it was. Ctrl-C stays an interrupt."""

    def __init__(self):
        self._fd = self._before = None

    def __enter__(self):
        if sys.stdin is not None and sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, *_):
        if self._fd is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def pressed(self):
        """What was pressed since the last call, as text."""
        if self._fd is None or not select.select([self._fd], [], [], 0)[0]:
            return ""
        return os.read(self._fd, 64).decode("utf-8", "replace")


class Reading:
    """A guest at one instant, from an event "vmstat" of guest/top.c: sizes in MiB, sums since it booted."""

    def __init__(self, event):
        def mib(name):
            return event.number(name) * event.number("page_kib") / 1024

        self.t, self.guest_s = event.t, event.number("t_ms") / 1000
        self.free_mib, self.reported_mib = mib("nr_free_pages"), mib("nr_free_reported")
        self.resident_mib = event.sample.rss_mib
        self.refaulted_mib = mib("pgreport_refault")
        self.totals = (f"reported {mib('pgreport'):.0f} MiB in {event.number('page_reporting_call')} calls, "
                       f"failed {mib('pgreport_fail'):.0f} MiB",
                       f"refaulted {self.refaulted_mib:.0f} MiB, {event.number('page_reporting_pass')} passes, "
                       f"{event.number('page_reporting_skip')} zones skipped")

    def refault_rate(self, before):
        """MiB a second that were taken out of reported blocks since the Reading `before`, or None."""
        if before is None or self.guest_s <= before.guest_s:
            return 0.0
        return (self.refaulted_mib - before.refaulted_mib) / (self.guest_s - before.guest_s)


class View:
    """Readings on a display.Rows."""

    def __init__(self, rows, title, mem_mib):
        self._rows, self._title, self._mem_mib = rows, title, mem_mib
        self._fastest = mem_mib / 16        # MiB/s of refaults that fill the bar

    def show(self, reading, rate, seconds):
        """Show a Reading, with its refaults in MiB/s, `seconds` after the start."""
        self._fastest = max(self._fastest, rate)
        clock = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
        self._rows.show(
            {"free": display.Row(reading.free_mib, self._mem_mib, colour="green"),
             "- reported": display.Row(reading.reported_mib, self._mem_mib),
             "refaulted": display.Row(rate, self._fastest, "MiB/s", "yellow"),
             "host resident": display.Row(reading.resident_mib, self._mem_mib, colour="magenta")},
            f"{clock} free {reading.free_mib:.0f} MiB, reported {reading.reported_mib:.0f} MiB, "
            f"refaulted {rate:.0f} MiB/s, resident {reading.resident_mib:.0f} MiB",
            f"{self._title}, {clock}", (*reading.totals, "q ends it"))


def make_vm(args, wanted):
    """A guest whose cycles leave as much time as it takes to report what was freed."""
    from .vm import VM
    pause_s = max(6, 5 * wanted.delay_s + 2)
    churn = ["top", "every=1000", "churn", f"mem={wanted.free_mib}M", f"pause={pause_s * 1000:.0f}",
             f"for={LIMIT_S}", "thp=always"]
    return VM(args.kernel, args.initrd or programs.initramfs(), mem_mib=wanted.mem_mib,
              steps=[*wanted.first_steps, churn], cmdline=wanted.cmdline, run_deadline_s=LIMIT_S + QUIT_S)


def watch(vm, view, keys, seconds):
    """Show each of the guest's reports until a q, the end of the time, or the guest's own: the last Reading."""
    began, before, shown = time.monotonic(), None, 0
    while not vm.done and "q" not in keys.pressed() and time.monotonic() - began < seconds:
        vm.sleep(0.1)
        events = [event for event in vm.events if event.name == "vmstat"]
        for event in events[shown:]:
            reading = Reading(event)
            view.show(reading, reading.refault_rate(before), reading.t - began)
            before = reading
        shown = len(events)
    return before


def show_top(args, wanted, seconds):
    """Boot the guest, watch it, have it power off, and say what it all came to."""
    from rich.console import Console
    with Keys() as keys, make_vm(args, wanted) as vm:
        title = f"Guest of {inputs.format_mib(wanted.mem_mib)}, Linux {vm.events[0].fields['release']}, {vm.accel}"
        console = Console()
        if not console.is_terminal:
            print(title, flush=True)
        with display.Rows(console, 0) as rows:
            last = watch(vm, View(rows, title, wanted.mem_mib), keys, seconds)
        if not vm.done:
            vm.send("quit")
            vm.wait_event("finished", QUIT_S)
        vm.finish()
    if last:
        print(*last.totals, sep="\n", flush=True)


def main(args):
    wanted = inputs.check_guest(args.mem, args.free, args.order, args.delay, inputs.available_mib())
    seconds = inputs.parse_whole("TOP_S", args.seconds, 1, LIMIT_S, " s") if args.seconds else LIMIT_S
    qemu.choose_accel()
    if args.check_only:
        return 0
    need_modules("show the guest", "rich")
    try:
        show_top(args, wanted, seconds)
    except KeyboardInterrupt:
        print()
    return 0
