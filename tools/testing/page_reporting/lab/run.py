# SPDX-License-Identifier: GPL-2.0
"""Boot one guest, run programs in it, print what they report; exit 0 only if all went well.

    run -- hog mem=512M limit=5
    run --balloon none --mem 1G -- params expect order=9 + file read /proc/meminfo
"""

import itertools

from . import paths, programs
from .errors import BadInput
from .inputs import parse_mib, parse_whole
from .vm import VM


def arguments(parser):
    parser.add_argument("--kernel", default=paths.kernel(), help="vmlinux or bzImage (%(default)s)")
    parser.add_argument("--initrd", help="use this archive of guest programs instead of building one")
    parser.add_argument("--mem", default="4G", help="the guest's memory (%(default)s)")
    parser.add_argument("--smp", default="2", help="the guest's CPUs (%(default)s)")
    parser.add_argument("--balloon", default="on", choices=("on", "off", "none"),
                        help="free-page-reporting of the balloon, or no balloon (%(default)s)")
    parser.add_argument("--cmdline", default="", help="more kernel parameters")
    parser.add_argument("--qemu-arg", action="append", default=[], help="one more argument for QEMU")
    parser.add_argument("--boot-deadline", default="60", help="seconds until it has booted (%(default)s)")
    parser.add_argument("--run-deadline", default="120", help="seconds from then to the end (%(default)s)")
    parser.add_argument("--console", metavar="FILE", help="copy the console to this file")
    parser.add_argument("steps", nargs="*", metavar="PROGRAM ARG",
                        help="guest programs with their arguments, separated by +")


def split_steps(words):
    """The programs' words, at each "+" a new program; BadInput when one has none."""
    steps = [list(step) for plus, step in itertools.groupby(words, "+".__eq__) if not plus]
    if words and len(steps) != words.count("+") + 1:
        raise BadInput("program: each + stands between two programs")
    return steps


def make_vm(args):
    wanted = {"steps": split_steps(args.steps), "mem_mib": parse_mib("--mem", args.mem),
              "smp": parse_whole("--smp", args.smp, 1, 8),
              "boot_deadline_s": parse_whole("--boot-deadline", args.boot_deadline, 1, 86400, " s"),
              "run_deadline_s": parse_whole("--run-deadline", args.run_deadline, 1, 86400, " s")}
    return VM(args.kernel, args.initrd or programs.initramfs(), cmdline=args.cmdline.split(),
              balloon=None if args.balloon == "none" else args.balloon, extra_args=args.qemu_arg,
              console_log=args.console, **wanted)


def follow(vm, events=True):
    """Print the guest's lines as they come, until it has powered off: the Result."""
    shown, done = 0, False
    while not done:
        vm.sleep(0.1)
        done, lines = vm.done, vm.progress
        for line in lines[shown:]:
            if events or not line.startswith("event="):
                print(line, flush=True)
        shown = len(lines)
    return vm.finish()


def main(args):
    with make_vm(args) as vm:
        result = follow(vm)
    peak = max(sample.rss_mib for sample in result.samples)
    print(f"{result.accel}, boot {result.boot_s:.1f} s, run {result.wall_s:.1f} s, resident at most "
          f"{peak:.0f} MiB, {result.minflt} faults and {result.cpu_s:.1f} s of CPU on the host")
